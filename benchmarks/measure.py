"""Runs a command as a whole process and says what it cost: wall time, CPU time, peak memory of its process tree.

Memory is the sum over the tree, sampled: PSS where the kernel tells it (shared pages count once), else RSS. The
largest single process comes exact from ``wait4``. Sampling costs time, so runs for time are not sampled.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.02
# Above this share of one core, somebody else's work disturbs a measurement.
QUIET_CORES = 0.10
_WAIT_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run cost. CPU includes all descendants; ``foreign_cores`` is what other processes (and a stealing
    hypervisor) used of the machine meanwhile, in cores. ``tree_mb`` is 0 unless memory was sampled.
    """

    wall_seconds: float
    cpu_seconds: float
    largest_process_mb: float
    tree_mb: float
    foreign_cores: float

    @property
    def disturbed(self) -> bool:
        """Say whether other work on the machine makes the times doubtful."""
        return self.foreign_cores > QUIET_CORES


def memory_kind() -> str:
    """Return what tree memory means on this machine: ``PSS`` or ``RSS``."""
    return "PSS" if hasattr(psutil.Process().memory_full_info(), "pss") else "RSS"


def _busy_seconds() -> float:
    """Return the CPU seconds that the whole machine has used so far, those stolen from it included."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq + getattr(times, "steal", 0.0))


def _tree_bytes(root: psutil.Process) -> int:
    """Return the memory of a process and its descendants now."""
    total = 0
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            info = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += getattr(info, "pss", info.rss)
    return total


class _Sampler(threading.Thread):
    """Keeps the largest memory of a process tree."""

    def __init__(self, pid: int) -> None:
        """Watch the tree below ``pid``."""
        super().__init__(daemon=True)
        self.peak = 0
        self.ended = threading.Event()
        self._root = psutil.Process(pid)

    def run(self) -> None:
        """Sample until told to end."""
        while not self.ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, _tree_bytes(self._root))


def run(command: Sequence[str], *, sample: bool = False) -> tuple[Usage, str]:
    """Run a command to its end; return its cost and standard output. Ends the benchmark when the command fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        busy, start = _busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        sampler = _Sampler(process.pid) if sample else None
        if sampler is not None:
            sampler.start()
        _, status, used = os.wait4(process.pid, 0)
        wall, busy = time.perf_counter() - start, _busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
        if sampler is not None:
            sampler.ended.set()
            sampler.join()
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\nfailed ({process.returncode}): {errors.read()[-2_000:].decode()}")
        cpu = used.ru_utime + used.ru_stime
        usage = Usage(
            wall_seconds=round(wall, 3),
            cpu_seconds=round(cpu, 3),
            largest_process_mb=round(used.ru_maxrss / 1024, 1),
            tree_mb=round(sampler.peak / (1 << 20), 1) if sampler is not None else 0.0,
            foreign_cores=round(max(busy - cpu, 0.0) / wall, 2),
        )
        return usage, out.read().decode()


def wait_until_quiet() -> None:
    """Wait until nothing else computes on the machine, at most some minutes."""
    for _ in range(_WAIT_SECONDS):
        if psutil.cpu_percent(interval=1.0) * (os.cpu_count() or 1) / 100 <= QUIET_CORES:
            return


def measured(command: Callable[[Path], Sequence[str]], *, sample: bool, wait: bool, retakes: int = 3) -> Usage:
    """Run a command in a fresh folder; a disturbed run is retaken, and the least disturbed one counts."""
    runs: list[Usage] = []
    for _ in range(1 + (retakes if wait else 0)):
        if wait:
            wait_until_quiet()
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            runs.append(run(command(Path(folder)), sample=sample)[0])
        if not runs[-1].disturbed:
            break
    return min(runs, key=lambda usage: usage.foreign_cores)


def compare(
    commands: dict[str, Callable[[Path], Sequence[str]]], *, runs: int, wait: bool
) -> dict[str, dict[str, Any]]:
    """Run commands in turn, ``runs`` times each, so that a drift of the machine hits all; return their medians."""
    taken: dict[str, list[Usage]] = {name: [] for name in commands}
    for turn in range(runs):
        names = list(commands)
        for name in names if turn % 2 == 0 else reversed(names):
            taken[name].append(measured(commands[name], sample=False, wait=wait))
    return {name: _median(usages) for name, usages in taken.items()}


def _median(usages: list[Usage]) -> dict[str, Any]:
    """Return the run with the median wall time, all wall times, and whether any run was disturbed."""
    middle = statistics.median_low([usage.wall_seconds for usage in usages])
    chosen = next(usage for usage in usages if usage.wall_seconds == middle)
    rest = {"walls": [usage.wall_seconds for usage in usages], "disturbed": any(usage.disturbed for usage in usages)}
    return asdict(chosen) | rest
