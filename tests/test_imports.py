"""The import budget: help is instant, and labelled input needs no statistics library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("duckdb", "pyarrow", "deltalake", "networkx", "numpy", "pandas", "sklearn", "grpc", "yaml", "msgspec", "ijson")

# Runs the command line and then tells, as the last line of stderr, which of the named modules are loaded.
PROBE = """
import json, sys
sys.argv = ["discover", *json.loads(sys.argv[1])]
names = json.loads({names!r})
from discovery.cli.main import main
try:
    main()
finally:
    print(json.dumps([name for name in names if name in sys.modules]), file=sys.stderr)
"""


def loaded(repo: Path, arguments: list[str], names: tuple[str, ...]) -> list[str]:
    """Return which modules a run of the command line imports; the run must succeed."""
    probe = PROBE.format(names=json.dumps(names))
    command = [sys.executable, "-c", probe, json.dumps(arguments)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["suggest", "--help"],
        ["ingest", "--help"],
        ["doctor", "--help"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(repo: Path, arguments: list[str]) -> None:
    """Reading how a command is used costs no engine, no columns and no YAML."""
    assert loaded(repo, arguments, HEAVY) == []


@pytest.mark.parametrize(
    "names",
    [
        ("sklearn", "scipy", "grpc"),
        ("pandas",),
        ("pyarrow.dataset",),
    ],
    ids=", ".join,
)
def test_suggest_on_labelled_input_needs_no_statistics(repo: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """scikit-learn and pandas are an option (analysis), and the Arrow dataset layer is not needed."""
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    assert loaded(repo, ["suggest", str(source), "-o", str(tmp_path / "out")], names) == []


def test_processes_that_write_policies_load_no_columns(repo: Path) -> None:
    """They render and prove, each dialect in its own process: an engine or numpy would cost each of them anew."""
    names = ("duckdb", "pyarrow", "numpy", "networkx", "re2")
    probe = (
        f"import sys, discovery.app.making, discovery.app.dialects; print([n for n in {names!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
