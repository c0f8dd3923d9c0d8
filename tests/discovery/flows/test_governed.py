"""The ends at which a policy was seen at work, by what the rollup saw."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from discovery.flows.engine import engine
from discovery.flows.governed import governed_ends
from discovery.flows.rollup import roll_up
from tests.flows_factory import CLIENT, SERVER, START, known_workloads, row, write_parts

WEB, CART = (known_workloads().ref_of[info.identity].key for info in (CLIENT, SERVER) if info.identity is not None)
HAND = "NetworkPolicy/shop/by-hand"


def ends(folder: Path, *rows: dict[str, Any], **window: Any) -> tuple[tuple[str, str, str], ...]:
    """Return the governed ends of canonical rows."""
    with engine(threads=1) as connection:
        roll_up(connection, write_parts(folder, rows), known_workloads(), **window)
        return governed_ends(connection)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"verdict": "denied"}, [(WEB, "egress", "")]),
        ({"verdict": "audit"}, [(WEB, "egress", "")]),
        ({"verdict": "denied", "reporter": "server"}, [(CART, "ingress", "")]),
        ({"verdict": "audit", "reporter": "server"}, [(CART, "ingress", "")]),
        ({"verdict": "denied", "reporter": None}, []),
        ({"verdict": "fault"}, []),
        ({"verdict": "unknown"}, []),
        ({"egress_allowed_by": [HAND]}, [(WEB, "egress", HAND)]),
        ({"ingress_allowed_by": [HAND]}, [(CART, "ingress", HAND)]),
        ({"egress_allowed_by": [HAND], "reporter": "server"}, [(WEB, "egress", HAND)]),
        ({"egress_allowed_by": []}, []),
        ({"egress_denied_by": [HAND]}, []),
        ({"verdict": "denied", "egress_allowed_by": [HAND]}, [(WEB, "egress", ""), (WEB, "egress", HAND)]),
        ({"verdict": "denied", "client_kind": "external", "client_identity": None, "client_pod": None}, []),
        ({"egress_allowed_by": [HAND], "client_kind": "host", "client_identity": None, "client_pod": None}, []),
    ],
)
def test_a_policy_at_work_marks_its_own_end(
    tmp_path: Path, fields: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """Denied and audited: the end that reported it. Named as what allowed it: the direction that names it."""
    assert ends(tmp_path, row(), row(**fields, time=START + timedelta(seconds=5))) == tuple(sorted(expected))


def test_each_policy_of_an_end_is_listed_once(tmp_path: Path) -> None:
    """Sorted and without repetition, whatever number of records name them."""
    both = {"egress_allowed_by": ["b/shop/y", "a/shop/x"], "ingress_allowed_by": ["a/shop/x"]}
    rows = [row(**both, time=START + timedelta(seconds=number)) for number in range(3)]
    assert ends(tmp_path, *rows) == tuple(
        sorted([(CART, "ingress", "a/shop/x"), (WEB, "egress", "a/shop/x"), (WEB, "egress", "b/shop/y")])
    )


def test_only_the_window_is_looked_at(tmp_path: Path) -> None:
    """Since is inclusive, until exclusive, for both kinds of signs."""
    rows = [
        row(verdict="denied", time=START),
        row(egress_allowed_by=[HAND], time=START + timedelta(hours=1)),
        row(ingress_allowed_by=[HAND], time=START + timedelta(hours=2)),
    ]
    hour = START + timedelta(hours=1), START + timedelta(hours=2)
    assert ends(tmp_path, *rows, since=hour[0], until=hour[1]) == ((WEB, "egress", HAND),)
