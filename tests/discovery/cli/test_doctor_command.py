"""``discover doctor``: the machine, and what each input shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discovery.cli.running import BAD_INPUTS, check_help, from_json, requires, run


def test_help() -> None:
    """The help has examples."""
    check_help("doctor", examples=3)


def test_the_machine_alone() -> None:
    """Without inputs the machine is checked, one line per check."""
    result = run("doctor")
    assert [line.split()[1] for line in result.stdout.splitlines()[:3]] == ["python", "libraries", "cores"]


def test_json_is_a_list_of_checks(repo: Path) -> None:
    """A machine reads the same checks."""
    result = run("doctor", str(repo / "sample_flows" / "shop-hubble-lossy.jsonl"), "--format", "json")
    found = from_json(result)
    assert isinstance(found, list)
    assert all(set(item) == {"name", "state", "message", "hint"} for item in found)
    assert {item["name"]: item["state"] for item in found}["completeness"] == "problem"
    assert result.exit_code == 1


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_a_problem_not_a_crash(tmp_path: Path, name: str) -> None:
    """Whatever the bytes are: a problem with a hint, and exit 1."""
    path = tmp_path / name
    path.write_bytes(BAD_INPUTS[name])
    result = run("doctor", str(path))
    assert result.exit_code == 1, result.output
    assert "problem" in result.stdout


def test_usage() -> None:
    """A mistyped option is a usage error; a missing file a problem."""
    requires(run("doctor", "--format", "xml"), 2, "xml")
    assert run("doctor", "missing.jsonl").exit_code == 1
