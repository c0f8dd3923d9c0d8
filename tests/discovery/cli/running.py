"""Runs the command line in this process, as click's own tests do."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from discovery.cli.main import COMMANDS, cli

BAD_INPUTS = {
    "empty": b"",
    "not-flows.txt": b"hello\n",
    "binary.jsonl": bytes(range(256)) * 8,
    "nan.jsonl": b'{"flow":{"time":"2026-11-01T00:00:00Z","verdict":"FORWARDED","l4":{"TCP":{"source_port":NaN}}}}\n',
    "deep.jsonl": b"[" * 100_000,
    "cut.jsonl.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "cut.zst": b"\x28\xb5\x2f\xfd\x04",
    "array.json": b'[{"flow":',
}


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    """Run ``discover`` with arguments; whatever happens, no exception but an exit may come out."""
    result = CliRunner().invoke(cli, list(arguments), input=stdin, prog_name="discover")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


def from_json(result: Result) -> object:
    """Return what was printed on standard output as JSON."""
    found: object = json.loads(result.stdout)
    return found


def check_help(command: str, *, examples: int) -> None:
    """Check that a command's help tells its use, its options and examples that name real commands."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: discover {command}" in result.stdout
    told = [line.strip() for line in result.stdout.splitlines() if "discover " in line and "Usage" not in line]
    assert len(told) >= examples, told
    for line in told:
        assert line.partition("discover ")[2].split()[0] in COMMANDS, line
    assert run(command, "-h").stdout == result.stdout


def requires(result: Result, code: int, *words: str) -> None:
    """Check the exit code and that the error says each of the words."""
    assert result.exit_code == code, result.output
    missing = [word for word in words if word not in result.stderr]
    if missing:
        pytest.fail(f"{missing} not in: {result.stderr}")
