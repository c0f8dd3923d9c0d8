"""``discover ingest``: logs into a lake, accounted for in text and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.discovery.cli.running import BAD_INPUTS, check_help, from_json, requires, run


@pytest.fixture
def source(repo: Path) -> Path:
    """Return the small sample."""
    return repo / "sample_flows" / "shop-hubble-lossy.jsonl"


def test_help() -> None:
    """The help has examples and the exit codes."""
    check_help("ingest", examples=3)
    assert "4 done, but the input is incomplete" in run("ingest", "--help").stdout.replace("\n", " ").replace("  ", " ")


def test_incomplete_input_is_ingested_and_said(source: Path, tmp_path: Path) -> None:
    """Rule 8: what is there is in the lake, and the exit code is 4 unless partial input was allowed."""
    requires(run("ingest", str(source), "-o", str(tmp_path / "a")), 4, "Incomplete:", "lost")
    allowed = run("ingest", str(source), "-o", str(tmp_path / "b"), "--allow-partial")
    assert allowed.exit_code == 0
    assert "Next: discover suggest" in allowed.stdout


def test_json_holds_the_whole_account(source: Path, tmp_path: Path) -> None:
    """Standard output is one JSON document; talk goes to standard error."""
    result = run("ingest", str(source), "-o", str(tmp_path / "lake"), "--output-format", "json")
    found = from_json(result)
    assert isinstance(found, dict)
    assert (result.exit_code, found["complete"], found["rowsRead"] > 0, found["eventsLost"] > 0) == (
        4,
        False,
        True,
        True,
    )
    assert "Incomplete:" in result.stderr


def test_a_second_run_skips_what_is_there(source: Path, tmp_path: Path) -> None:
    """Content that the lake holds is not read again."""
    run("ingest", str(source), "-o", str(tmp_path / "lake"))
    again = from_json(run("ingest", str(source), "-o", str(tmp_path / "lake"), "--output-format", "json"))
    assert isinstance(again, dict)
    assert (again["skipped"], again["inputs"], again["rowsRead"]) == ([source.name], [], 0)


def test_standard_input(repo: Path, source: Path, tmp_path: Path) -> None:
    """`-` reads standard input like the file itself, in a process of its own; its format has to be given."""
    requires(run("ingest", "-", "-o", str(tmp_path / "no")), 1, "standard input", "--format")
    options = ["--output-format", "json", "--allow-partial"]
    script = "from discovery.cli.main import main; main()"
    piped = subprocess.run(
        [sys.executable, "-c", script, "ingest", "-", "--format", "hubble", "-o", str(tmp_path / "a"), *options],
        input=source.read_bytes(),
        cwd=repo,
        capture_output=True,
        check=False,
    )
    assert piped.returncode == 0, piped.stderr
    told = json.loads(piped.stdout)
    filed = from_json(run("ingest", str(source), "-o", str(tmp_path / "b"), *options))
    assert isinstance(filed, dict)
    assert {key: told[key] for key in ("rowsRead", "eventsLost")} == {
        key: filed[key] for key in ("rowsRead", "eventsLost")
    }


@pytest.mark.parametrize("name", BAD_INPUTS)
@pytest.mark.parametrize("told", ["auto", "hubble"])
def test_bad_input_is_an_error_not_a_crash(tmp_path: Path, name: str, told: str) -> None:
    """Whatever the bytes are: a message, and exit 1 or 4."""
    path = tmp_path / name
    path.write_bytes(BAD_INPUTS[name])
    result = run("ingest", str(path), "-o", str(tmp_path / "lake"), "--format", told, "--workers", "0")
    assert result.exit_code in (1, 4), result.output
    assert result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ingest"], 2, ["INPUT"]),
        (["ingest", "x"], 2, ["--output"]),
        (["ingest", "missing.jsonl", "-o", "LAKE"], 1, ["missing.jsonl", "Try:"]),
        (["ingest", "SOURCE", "-o", "LAKE", "--format", "nonsense"], 1, ["nonsense", "hubble"]),
        (["ingest", "SOURCE", "-o", "LAKE", "--workers", "65"], 2, ["65"]),
        (["ingest", "SOURCE", "-o", "SOURCE"], 1, ["Try:"]),
        (["ingest", "SOURCE", "-o", "SOURCE/inside"], 1, ["Try:"]),
    ],
)
def test_bad_arguments(source: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    """Every mistake has its exit code and says what to do."""
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(source.read_bytes())
    given = [item.replace("SOURCE", str(copy)).replace("LAKE", str(tmp_path / "lake")) for item in arguments]
    requires(run(*given), code, *words)


def test_hostile_file_names_are_only_names(source: Path, tmp_path: Path) -> None:
    """Control characters, quotes and globs in a name neither break the run nor reach the terminal."""
    path = tmp_path / "a'\x1b[2J\u202e[b] $(x)\n.jsonl"
    path.write_bytes(source.read_bytes())
    result = run("ingest", str(path), "-o", str(tmp_path / "la'ke"), "--allow-partial")
    assert result.exit_code == 0, result.output
    again = run("ingest", str(path), "-o", str(tmp_path / "la'ke"), "--allow-partial")
    assert "\x1b" not in again.output
    assert "\u202e" not in again.output
