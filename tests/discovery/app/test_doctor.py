"""The doctor: the machine, the inputs, and a next step for every problem."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from discovery.app.doctor import MIN_FREE_BYTES, Check, State, doctor
from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions

Usage = namedtuple("Usage", ["total", "used", "free"])  # noqa: PYI024 - shaped like what shutil returns


def named(checks: tuple[Check, ...], name: str) -> list[Check]:
    """Return the checks of a name."""
    return [check for check in checks if check.name == name]


def test_the_machine_is_checked_without_inputs() -> None:
    """Python, libraries, cores and room, in this order, and nothing is a problem without a hint."""
    checks = doctor()
    assert [check.name for check in checks] == ["python", "libraries", "cores", "temporary space"]
    assert all(check.hint for check in checks if check.state is State.PROBLEM)


@pytest.mark.parametrize(("free", "state"), [(MIN_FREE_BYTES, State.OK), (MIN_FREE_BYTES - 1, State.PROBLEM)])
def test_room_for_spilling(monkeypatch: pytest.MonkeyPatch, free: int, state: State) -> None:
    """Below the least room, large inputs would fail half way: that is a problem now."""
    monkeypatch.setattr("discovery.app.doctor.shutil.disk_usage", lambda _: Usage(free, 0, free))
    (check,) = named(doctor(), "temporary space")
    assert (check.state, check.hint is None) == (state, state is State.OK)


def test_an_input_is_described(repo: Path) -> None:
    """Format, completeness and what it shows, for raw logs."""
    checks = doctor([str(repo / "sample_flows" / "shop-hubble.jsonl")])
    assert "shop-hubble.jsonl: hubble" in named(checks, "input")[0].message
    assert named(checks, "completeness")[0].state is State.OK
    assert "replies yes" in named(checks, "shows")[0].message
    assert all(check.hint for check in named(checks, "shows")[1:])


def test_a_lake_is_described_like_its_logs(repo: Path, tmp_path: Path) -> None:
    """What was ingested shows the same as the logs that it came from."""
    source = repo / "sample_flows" / "shop-hubble-lossy.jsonl"
    ingest(source, tmp_path / "lake", IngestOptions(workers=0))
    raw, lake = doctor([str(source)]), doctor([str(tmp_path / "lake")])
    assert [check for check in lake if check.name in ("completeness", "shows")] == [
        check for check in raw if check.name in ("completeness", "shows")
    ]
    assert named(lake, "completeness")[0].state is State.PROBLEM
    assert "--allow-partial" in (named(lake, "completeness")[0].hint or "")


def test_an_input_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """The doctor never raises for a bad input: it says so."""
    (check,) = named(doctor([str(tmp_path / "missing")]), "input")
    assert check.state is State.PROBLEM
    assert check.hint
