"""What is measured, and the limits that the project set itself. Each case returns plain data for the report."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inputs
import machine
from measure import Usage, compare, measured, memory_kind, run, wait_until_quiet
from pairs import write
from parsers import READERS

_HERE = Path(__file__).resolve().parent
PEER = "hubble-audit2policy"
THREADS = 2
MEMORY_LIMIT_MB = 500
REPLAY_SECONDS = 30.0
REPLAY_MB = 2_000
# `make oracles` installs it.
ANALYZER = _HERE.parent / "build" / "oracles" / "nca" / "bin" / "nca"
ANALYZER_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large the inputs are, and how often each timed command runs. ``wait`` for a quiet machine or not."""

    folder: Path
    flows: int = 1_000_000
    memory: tuple[int, ...] = (100_000, 1_000_000, 5_000_000)
    clients: int = 10_000_000
    lake_rows: int = 50_000_000
    # Policies and edges: both grow, then one alone.
    replays: tuple[tuple[int, int], ...] = (
        (1_000, 100_000), (10_000, 100_000), (10_000, 300_000), (10_000, 1_000_000),
    )  # fmt: skip
    estates: tuple[int, ...] = (50, 100, 200, 400)
    runs: int = 3
    wait: bool = True


def scale_of(folder: Path, *, quick: bool) -> Scale:
    """Return the full scale, or the small one of a smoke test, with inputs kept in ``folder``."""
    if not quick:
        return Scale(folder=folder)
    return Scale(
        folder=folder, flows=100_000, memory=(100_000,), clients=20_000, lake_rows=1_000_000,
        replays=((100, 1_000),), estates=(50,), runs=1, wait=False,
    )  # fmt: skip


Command = Callable[[Path], Sequence[str]]


def _tool(name: str) -> str:
    """Return the path of a console script: beside this Python first, then on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed; `make bench` installs what is compared")
    return found


def _script(name: str, *arguments: str) -> list[str]:
    """Return the command of a script of this folder."""
    return [sys.executable, str(_HERE / f"{name}.py"), *arguments]


def _suggest(source: Path) -> Command:
    """Return ``discover suggest`` into a fresh folder."""
    tool = _tool("discover")
    return lambda folder: [tool, "suggest", str(source), "-o", str(folder / "policies")]


def _ratio(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Return how many times the wall time of the second the first takes."""
    return round(float(first["wall_seconds"]) / float(second["wall_seconds"]), 2)


def speed(scale: Scale) -> dict[str, Any]:
    """Compare whole processes on one export: suggest, the peer, and a bare simdjson parse."""
    source, peer = inputs.hubble_flows(scale.folder, scale.flows), _tool(PEER)
    taken = compare(
        {
            "simdjson": lambda _: _script("parsers", "simdjson", str(source)),
            "suggest": _suggest(source),
            "peer": lambda folder: [peer, "--no-enrich", "-o", str(folder / "policies"), str(source)],
        },
        runs=scale.runs,
        wait=scale.wait,
    )
    ratios = {
        "suggest / simdjson": {"value": _ratio(taken["suggest"], taken["simdjson"]), "at_most": 3.0},
        f"{PEER} / suggest": {"value": _ratio(taken["peer"], taken["suggest"]), "at_least": 10.0},
    }
    return {"flows": inputs.count_lines(source), "runs": taken, "ratios": ratios}


def memory(scale: Scale) -> dict[str, Any]:
    """Take the peak memory of suggest at several sizes, and on an export made to break it."""
    made: list[tuple[str, Callable[[], Path]]] = [
        (f"{flows:,} flows", lambda flows=flows: inputs.hubble_flows(scale.folder, flows))  # type: ignore[misc]
        for flows in scale.memory
    ]
    made.append(
        (f"{scale.clients:,} clients and two port scans", lambda: inputs.hostile_clients(scale.folder, scale.clients))
    )
    taken: dict[str, dict[str, Any]] = {}
    for name, make in made:
        usage = measured(_suggest(make()), sample=True, wait=scale.wait, retakes=0)
        taken[name] = {
            "tree_mb": usage.tree_mb,
            "largest_process_mb": usage.largest_process_mb,
            "wall_seconds": usage.wall_seconds,
            "cpu_seconds": usage.cpu_seconds,
        }
    peaks = [one["tree_mb"] for one in taken.values()]
    ratios = {
        "highest peak, MB": {"value": max(peaks), "at_most": MEMORY_LIMIT_MB},
        "highest peak / peak at the smallest size": {"value": round(max(peaks) / max(peaks[0], 1), 2)},
    }
    return {"memory_kind": memory_kind(), "runs": taken, "ratios": ratios}


def rollup(scale: Scale) -> dict[str, Any]:
    """Compare the whole rollup over a lake with a bare GROUP BY of the same columns in the same memory."""
    lake = inputs.flow_lake(scale.folder, scale.lake_rows)
    commands: dict[str, Command] = {
        name: lambda _, name=name: _script("queries", name, str(lake), str(THREADS))  # type: ignore[misc]
        for name in ("group_by", "rollup")
    }
    taken = compare(commands | {"suggest": _suggest(lake)}, runs=scale.runs, wait=scale.wait)
    ratios = {
        "rollup / GROUP BY": {"value": _ratio(taken["rollup"], taken["group_by"]), "at_most": 1.5},
        "suggest / GROUP BY": {"value": _ratio(taken["suggest"], taken["group_by"])},
    }
    return {"rows": scale.lake_rows, "threads": THREADS, "runs": taken, "ratios": ratios}


def verify(scale: Scale) -> dict[str, Any]:
    """Take the time of reading policies and replaying edges on them, and how it grows with either; then the time of
    another analyzer for what it can do.
    """
    taken: dict[str, dict[str, Any]] = {}
    for policies, edges in scale.replays:
        if scale.wait:
            wait_until_quiet()
        usage, text = run(_script("replaying", str(policies), str(edges)))
        told = json.loads(text.splitlines()[-1])
        taken[f"{edges:,} edges on {policies:,} policies"] = {
            "wall_seconds": usage.wall_seconds,
            "replaying_seconds": told["replaying"],
            "microseconds_per_edge": round(told["replaying"] / edges * 1e6, 1),
            "reading_seconds": told["reading"],
            "rules": told["rules"],
            "covered": told["fates"].get("covered", 0),
            "disturbed": usage.disturbed,
            "largest_process_mb": usage.largest_process_mb,
        }
    largest = list(taken.values())[-1]
    ratios = {
        "reading and replaying the largest, seconds": {
            "value": round(largest["reading_seconds"] + largest["replaying_seconds"], 1), "at_most": REPLAY_SECONDS,
        },
        "its memory, MB": {"value": largest["largest_process_mb"], "at_most": REPLAY_MB},
    }  # fmt: skip
    for count in scale.estates:
        pairs = _pairs(scale, count)
        if pairs is None:
            break
        taken[f"all pairs of {count} workloads"] = pairs["ours"]
        taken[f"all pairs of {count} workloads, network-config-analyzer"] = pairs["theirs"]
        ratios["network-config-analyzer / ours, on the largest that it finishes"] = {
            "value": _ratio(pairs["theirs"], pairs["ours"])
        }
    return {"runs": taken, "ratios": ratios}


def _pairs(scale: Scale, workloads: int) -> dict[str, dict[str, Any]] | None:
    """Compare with the other analyzer on one estate; None when it is not there or does not end in time."""
    if not ANALYZER.exists():
        return None
    with tempfile.TemporaryDirectory(prefix="benchmark-estate-") as name:
        folder = Path(name)
        write(folder, workloads)
        lists = [word for option in ("--connectivity", "-n", "-p") for word in (option, name)]
        theirs = [
            "timeout", str(ANALYZER_SECONDS), str(ANALYZER), *lists, "-o", "txt_no_fw_rules",
            "--output_endpoints", "pods", "-f", str(folder / "report.txt"),
        ]  # fmt: skip
        commands: dict[str, Command] = {
            "ours": lambda _: _script("pairs", name, str(workloads)),
            "theirs": lambda _: theirs,
        }
        try:
            return compare(commands, runs=1, wait=scale.wait)
        except SystemExit:
            return None


def readers(scale: Scale) -> dict[str, Any]:
    """Take the CPU time per line of several readers, imports not counted."""
    source, warm = (
        inputs.hubble_flows(scale.folder, scale.flows),
        _first_lines(inputs.hubble_flows(scale.folder, scale.flows)),
    )
    taken: dict[str, dict[str, Any]] = {}
    for name, (title, _) in READERS.items():
        runs: list[tuple[float, Usage]] = []
        for _ in range(scale.runs):
            if scale.wait:
                wait_until_quiet()
            usage, text = run(_script("parsers", name, str(source), str(warm)))
            told = json.loads(text.splitlines()[-1])
            runs.append((told["cpu_seconds"] / told["lines"] * 1e6, usage))
        least, usage = min(runs, key=lambda one: one[0])
        taken[name] = {
            "title": title,
            "microseconds_per_line": round(least, 2),
            "disturbed": usage.disturbed,
            "largest_process_mb": usage.largest_process_mb,
        }
    return {"flows": inputs.count_lines(source), "runs": taken, "ratios": {}}


def _first_lines(source: Path, lines: int = 1_000) -> Path:
    """Return a small file with the first lines of an input."""
    target = source.with_name(f"{source.stem}-head.jsonl")
    with source.open("rb") as stream, target.open("wb") as out:
        out.writelines(line for line, _ in zip(stream, range(lines), strict=False))
    return target


CASES: dict[str, Callable[[Scale], dict[str, Any]]] = {
    "speed": speed, "memory": memory, "rollup": rollup, "readers": readers, "verify": verify,
}  # fmt: skip


def section(name: str, scale: Scale) -> dict[str, Any]:
    """Run one case; its load average before and after says how quiet the machine was."""
    before = machine.load()
    found = CASES[name](scale)
    return found | {"load_before": before, "load_after": machine.load()}
