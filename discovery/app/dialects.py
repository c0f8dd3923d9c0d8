"""One dialect, from intents to files that are proven: rendered, written, read back from there, compared.

Other processes do this for some of the dialects where that pays (:mod:`discovery.app.making`), so nothing here loads an
engine or columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from discovery.app.output import read_staged, write_staged
from discovery.model.artifact import Rendered
from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction, Edge
from discovery.model.intent import Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.evaluate import Evaluator
from discovery.verify.reach import Openness, left_open
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.readback import check, covers
from generators import render
from generators.base import RenderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the files of every dialect must say, and of what they are checked.

    ``edges`` are the learned ones, ``versions`` those of all workloads. ``isolated`` is what policies of the cluster
    isolate already, ``remarks`` what every file says about its input, ``owners`` label values of owners.
    """

    intents: tuple[PolicyIntent, ...]
    edges: tuple[Edge, ...]
    versions: tuple[WorkloadVersion, ...]
    mode: Mode
    isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    remarks: tuple[str, ...] = ()
    owners: Mapping[WorkloadRef, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of one dialect, what reading them back found, and what they leave open once enforced."""

    rendered: Rendered
    found: tuple[Diagnostic, ...]
    reach: Openness


def make(wanted: Wanted, platform: Platform, staging: Path) -> Made:
    """Render one dialect, write its files below ``staging`` and prove what lies there.

    Raises :class:`discovery.model.errors.RenderError` for intents that contradict each other.
    """
    rendered = render(
        RenderRequest(
            intents=wanted.intents,
            platform=platform,
            mode=wanted.mode,
            existing_isolated=wanted.isolated,
            remarks=wanted.remarks,
            owners=wanted.owners,
        )
    )
    texts = {artifact.path: artifact.text for artifact in rendered.artifacts}
    write_staged(staging, texts)
    read = read_policies(read_staged(staging, sorted(texts)))
    evaluator = Evaluator(read.policies, platform, as_enforced=True, versions=wanted.versions)
    return Made(
        rendered=rendered,
        found=prove(wanted, rendered, read),
        reach=left_open(wanted.versions, wanted.edges, evaluator),
    )


def prove(wanted: Wanted, rendered: Rendered, read: ReadSet) -> tuple[Diagnostic, ...]:
    """Hold the files of one dialect, as its independent reader understands them, against the intents and the edges."""
    written = {(artifact.workload, direction) for artifact in rendered.artifacts for direction in artifact.isolates}
    asked = {(intent.workload, intent.direction) for intent in wanted.intents if intent.isolate}
    platform, versions = rendered.platform, wanted.versions
    return (
        *check(wanted.intents, read, platform, wanted.mode, versions, frozenset(asked - written)),
        *covers(wanted.edges, wanted.intents, read, platform, versions),
    )
