"""One dialect, from intents to files that are proven: rendered, written, read back from there, compared.

Other processes do this for some of the dialects where that pays (:mod:`discovery.app.making`), so nothing here loads an
engine or columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from discovery.app.delta import Delta, delta_of, isolating
from discovery.app.deployed import Deployed
from discovery.app.output import read_staged, write_staged
from discovery.model.artifact import Rendered
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge
from discovery.model.intent import Dialect, Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.coverage import spoken
from discovery.verify.evaluate import Evaluator
from discovery.verify.reach import Openness, left_open
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.readback import Beside, check, covers
from discovery.verify.recorded import Recorded
from discovery.verify.rules import Tier
from generators import render
from generators.base import RenderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the files of every dialect must say, and of what they are checked.

    ``edges`` are the learned ones, ``versions`` those of all workloads. ``isolated`` is what policies of the cluster
    isolate already, ``remarks`` what every file says about its input, ``owners`` label values of owners. ``deployed``
    are the policies that are there, by dialect: the files are what these lack, given what was ``recorded`` beside
    edges.
    """

    intents: tuple[PolicyIntent, ...]
    edges: tuple[Edge, ...]
    versions: tuple[WorkloadVersion, ...]
    mode: Mode
    isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    remarks: tuple[str, ...] = ()
    owners: Mapping[WorkloadRef, str]
    deployed: Mapping[Dialect, Deployed] = field(default_factory=dict)
    recorded: Recorded = field(default_factory=Recorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of one dialect, what reading them back found, and what they leave open once enforced, together with
    the policies that are there. ``said`` counts the directions that those already say all of.
    """

    rendered: Rendered
    found: tuple[Diagnostic, ...]
    reach: Openness
    said: int = 0


def make(wanted: Wanted, platform: Platform, staging: Path) -> Made:
    """Render one dialect, write its files below ``staging`` and prove what lies there.

    Raises :class:`discovery.model.errors.RenderError` for intents that contradict each other.
    """
    request = RenderRequest(
        intents=wanted.intents,
        platform=platform,
        mode=wanted.mode,
        existing_isolated=wanted.isolated,
        remarks=wanted.remarks,
        owners=wanted.owners,
    )
    rendered = render(request)
    delta = Delta(intents=wanted.intents)
    tiers: tuple[Tier, ...] = ()
    if platform.dialect in wanted.deployed:
        rendered, delta = _added(wanted, request, rendered)
        tiers = wanted.deployed[platform.dialect].read.tiers
    texts = {artifact.path: artifact.text for artifact in rendered.artifacts}
    write_staged(staging, texts)
    read = read_policies(read_staged(staging, sorted(texts)))
    together = [*read.policies, *delta.beside]
    evaluator = Evaluator(together, platform, as_enforced=True, tiers=tiers, versions=wanted.versions)
    return Made(
        rendered=rendered,
        found=prove(wanted, rendered, read, delta),
        reach=left_open(wanted.versions, wanted.edges, evaluator),
        said=len(delta.said),
    )


def _added(wanted: Wanted, request: RenderRequest, whole: Rendered) -> tuple[Rendered, Delta]:
    """Return the files that add to what is there. What cannot be proven beside it (a deny by hand comes first, say) is
    left alone, and said, so that the rest can be published.
    """
    deployed = wanted.deployed[request.platform.dialect]
    delta = delta_of(whole, wanted.intents, deployed, request.platform, wanted.versions, wanted.recorded)
    while True:
        rendered = render(replace(request, intents=delta.intents, kept=delta.kept))
        delta = delta.only(artifact.workload for artifact in rendered.artifacts)
        read = read_policies({artifact.path: artifact.text for artifact in rendered.artifacts})
        errors = [one for one in prove(wanted, rendered, read, delta) if one.level is Level.ERROR]
        owners = {str(one.workload): one.workload for one in rendered.artifacts}
        owners |= {one.path: one.workload for one in rendered.artifacts}
        refused = {
            owners[subject]: one.message
            for one in errors
            for subject in (one.subject, one.subject.rpartition(":")[0])
            if subject in owners
        }
        if not refused:
            return replace(rendered, diagnostics=(*rendered.diagnostics, *delta.found)), delta
        delta = delta.without(refused)


def prove(wanted: Wanted, rendered: Rendered, read: ReadSet, delta: Delta | None = None) -> tuple[Diagnostic, ...]:
    """Hold the files of one dialect, as its independent reader understands them, against the intents, or what a delta
    leaves of them, and the edges.
    """
    left = delta or Delta(intents=wanted.intents)
    written = {(artifact.workload, direction) for artifact in rendered.artifacts for direction in artifact.isolates}
    skipped = frozenset(isolating(left.intents) - written)
    platform, versions = rendered.platform, wanted.versions
    beside = None
    if platform.dialect in wanted.deployed:
        beside = Beside(
            policies=tuple(map(spoken, left.beside)),
            tiers=wanted.deployed[platform.dialect].read.tiers,
            written=frozenset(written),
            subjects=frozenset(intent.workload for intent in wanted.intents),
            recorded=Recorded(names=wanted.recorded.names),
        )
    kept = [policy for mine in left.replaced.values() for policy in mine]
    return (
        *check(left.intents, read, platform, wanted.mode, versions, skipped, kept),
        *covers(wanted.edges, left.intents, read, platform, versions, beside),
    )
