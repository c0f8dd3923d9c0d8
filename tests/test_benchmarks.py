"""The benchmarks run; what they measure is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_quick_run_writes_its_figures_with_the_facts_of_the_machine(repo: Path, tmp_path: Path) -> None:
    """``--quick --only memory`` measures the whole process tree and names machine, versions and ratios."""
    output = tmp_path / "results.json"
    command = [sys.executable, str(repo / "benchmarks" / "run.py"), "--quick", "--only", "memory"]
    given = ["--inputs", str(tmp_path / "inputs"), "--output", str(output)]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text(encoding="utf-8"))
    assert {"processor", "cores", "memory_gb", "python", "versions"} <= found["machine"].keys()
    memory = found["sections"]["memory"]
    assert memory["memory_kind"] in {"PSS", "RSS"}
    assert list(memory["runs"]) == ["100,000 flows", "20,000 clients and two port scans"]
    assert all(run["tree_mb"] > 0 and run["largest_process_mb"] > 0 for run in memory["runs"].values())
    assert memory["ratios"]["highest peak, MB"]["at_most"] == 500
    assert "highest peak, MB" in done.stdout
