"""Use case: say what this machine can do and what an input shows, before anybody relies on it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from discovery.app.capture import profile_line, profile_of
from discovery.app.evidence import read_accounts
from discovery.app.ingest import ingest
from discovery.app.inputs import find_inputs
from discovery.app.options import IngestOptions
from discovery.app.words import counted, describe_incomplete
from discovery.flows.engine import engine
from discovery.flows.lake import Lake
from discovery.flows.rollup import roll_up
from discovery.flows.workloads import read_workloads
from discovery.model.capture import CaptureProfile
from discovery.model.errors import DiscoveryError

MIN_FREE_BYTES = 1 << 30
_LIBRARIES = ("duckdb", "pyarrow", "deltalake", "msgspec", "networkx")


class State(StrEnum):
    """The result of one check."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what was looked at, how it is, and what to do about it (None when all is well)."""

    name: str
    state: State
    message: str
    hint: str | None = None


def doctor(inputs: Iterable[str] = (), *, input_format: str = "auto") -> tuple[Check, ...]:
    """Return checks of this machine and, when inputs are given, of what they show."""
    checks = [_python(), _libraries(), _cores(), _space()]
    given = tuple(inputs)
    if given:
        checks += _inputs(given, input_format)
    return tuple(checks)


def _python() -> Check:
    """Check the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Check(
        name="python",
        state=State.OK if good else State.PROBLEM,
        message=version,
        hint=None if good else "install Python 3.11 or later",
    )


def _libraries() -> Check:
    """Check the libraries by their installed versions."""
    versions = [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    return Check(name="libraries", state=State.OK, message=", ".join(versions))


def _cores() -> Check:
    """Say how many cores reading will use."""
    return Check(
        name="cores",
        state=State.OK,
        message=f"{counted(os.cpu_count() or 1, 'core')}: large inputs are read in parallel",
    )


def _space() -> Check:
    """Check the room for spilling."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    good = free >= MIN_FREE_BYTES
    return Check(
        name="temporary space",
        state=State.OK if good else State.PROBLEM,
        message=f"{free / (1 << 30):.1f} GiB free in {tempfile.gettempdir()}",
        hint=None if good else "free some space, or set TMPDIR to a larger disk: large inputs spill there",
    )


def _inputs(given: tuple[str, ...], input_format: str) -> list[Check]:
    """Check what the inputs are, whether they are complete, and what they show."""
    try:
        found = find_inputs(given, input_format)
    except DiscoveryError as error:
        return [Check(name="input", state=State.PROBLEM, message=str(error), hint=error.hint)]
    checks = [
        Check(name="input", state=State.OK, message=f"{one.label}: {one.format}, {one.framing.value}")
        for one in found.raw
    ]
    checks += [Check(name="input", state=State.OK, message=f"{lake}: a lake") for lake in found.lakes]
    with tempfile.TemporaryDirectory(prefix="discovery-doctor-") as scratch:
        lakes = [Lake(place) for place in found.lakes]
        if found.raw:
            ingest([one.path for one in found.raw], Path(scratch) / "lake", IngestOptions(format=input_format))
            lakes.append(Lake(Path(scratch) / "lake"))
        snapshots = [lake.snapshot() for lake in lakes]
        account = found.empty
        for snapshot in snapshots:
            account = account + read_accounts(snapshot)
        files = tuple(file for snapshot in snapshots for file in snapshot.flows)
        workloads = read_workloads([file for snapshot in snapshots for file in snapshot.workloads])
        with engine() as connection:
            edges = roll_up(connection, files, workloads)
    complete = account.complete
    checks.append(
        Check(
            name="completeness",
            state=State.OK if complete else State.PROBLEM,
            message=f"{counted(account.rows_read, 'flow record')}, {counted(edges.num_rows, 'edge')}"
            + ("" if complete else f"; {describe_incomplete(account)}"),
            hint=None if complete else "fix the input; suggest refuses it without --allow-partial",
        )
    )
    return checks + _profile(profile_of(account))


def _profile(profile: CaptureProfile) -> list[Check]:
    """Return what the inputs show at all."""
    if not profile.shows:
        return []
    checks = [Check(name="shows", state=State.OK, message=profile_line(profile))]
    return checks + [
        Check(name="shows", state=State.NOTE, message=absence.meaning, hint=absence.setting)
        for absence in profile.absences
    ]
