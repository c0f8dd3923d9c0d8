"""The capture profile: what the input itself shows, measured on the cells of the rollup."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from discovery.flows.engine import engine
from discovery.flows.profile import capture_profile
from discovery.model.completeness import CaptureProfile, Shows

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
}


def profile(*cells: dict[str, Any]) -> CaptureProfile:
    """Return the profile of cells that differ from an ordinary one."""
    with engine(threads=1) as connection:
        connection.execute(
            "CREATE TABLE cells (establishment VARCHAR, verdict VARCHAR, client_kind VARCHAR, server_kind VARCHAR, "
            "reporter VARCHAR, l7_protocol VARCHAR, server_port INTEGER, icmp_type INTEGER, connections BIGINT)"
        )
        for cell in cells:
            connection.execute("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", list({**CELL, **cell}.values()))
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
