"""The capture profile: what the input itself shows, measured on the cells of the rollup."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from discovery.flows.engine import engine
from discovery.flows.profile import capture_profile, governed_ends
from discovery.flows.rollup import roll_up
from discovery.model.completeness import CaptureProfile, Shows
from tests.flows_factory import CLIENT, SERVER, START, known_workloads, row, write_parts

CELL: dict[str, Any] = {
    "establishment": None,
    "verdict": "accepted",
    "client_kind": "workload",
    "server_kind": "workload",
    "reporter": "client",
    "l7_protocol": None,
    "server_port": 80,
    "icmp_type": None,
    "connections": None,
    "protocol": "TCP",
}
INSERT = "INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WEB, CART = (known_workloads().ref_of[info.identity].key for info in (CLIENT, SERVER) if info.identity is not None)
HAND = "NetworkPolicy/shop/by-hand"


def profile(*cells: dict[str, Any]) -> CaptureProfile:
    """Return the profile of cells that differ from an ordinary one."""
    with engine(threads=1) as connection:
        connection.execute(
            "CREATE TABLE cells (establishment VARCHAR, verdict VARCHAR, client_kind VARCHAR, server_kind VARCHAR, "
            "reporter VARCHAR, l7_protocol VARCHAR, server_port INTEGER, icmp_type INTEGER, connections BIGINT, "
            "protocol VARCHAR)"
        )
        for cell in cells:
            connection.execute(INSERT, list({**CELL, **cell}.values()))
        return capture_profile(connection)


def test_no_cells_show_nothing() -> None:
    """An empty input shows nothing, and asks for no setting."""
    assert profile() == CaptureProfile()


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("replies", [{}], Shows.NO),
        ("replies", [{"establishment": "attempted"}], Shows.NO),
        ("replies", [{}, {"establishment": "established"}], Shows.YES),
        ("replies", [{}, {"establishment": "refused"}], Shows.YES),
        ("drops", [{}], Shows.NO),
        ("drops", [{}, {"verdict": "denied"}], Shows.YES),
        ("drops", [{"verdict": "fault"}], Shows.NO),
        ("labels", [{}], Shows.YES),
        ("labels", [{}, {"server_kind": "unresolved"}], Shows.PARTLY),
        ("labels", [{"client_kind": "unresolved"}], Shows.NO),
        ("labels", [{"client_kind": "unresolved", "verdict": "denied"}], Shows.YES),
        ("labels", [{"server_kind": "unresolved", "protocol": "ICMPv6"}], Shows.YES),
        ("labels", [{}, {"server_kind": "unresolved", "protocol": "UDP"}], Shows.PARTLY),
        ("both_ends", [{}, {}], Shows.NO),
        ("both_ends", [{}, {"reporter": "server"}], Shows.YES),
        ("both_ends", [{}, {"reporter": None}], Shows.NO),
        ("l7", [{}], Shows.NO),
        ("l7", [{"l7_protocol": "http"}], Shows.PARTLY),
        ("ports", [{}, {"server_port": None, "icmp_type": 8}], Shows.YES),
        ("ports", [{}, {"server_port": None}], Shows.PARTLY),
        ("ports", [{"server_port": None}], Shows.NO),
        ("connection_counts", [{}], Shows.NO),
        ("connection_counts", [{}, {"connections": 1}], Shows.PARTLY),
        ("connection_counts", [{"connections": 0}], Shows.YES),
    ],
)
def test_each_thing_is_measured(name: str, cells: list[dict[str, Any]], expected: Shows) -> None:
    """Yes, partly or no, from the cells alone."""
    assert getattr(profile(*cells), name) is expected


def test_every_gap_names_the_setting_that_closes_it() -> None:
    """What cannot be seen is said in words; what can be seen is not."""
    bare = profile({"server_port": None, "client_kind": "unresolved"})
    assert len(bare.notes) == 6
    rich = profile({"establishment": "established", "l7_protocol": "dns"}, {"verdict": "denied", "reporter": "server"})
    assert rich.notes == ()
    assert {field.name for field in fields(rich)} >= {"replies", "drops", "labels", "both_ends", "l7", "ports"}


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
