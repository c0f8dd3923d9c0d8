"""What is left to write once the policies that are there already have said their part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from discovery.app.deployed import Deployed, Identity, identity_of
from discovery.model.artifact import Rendered
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.intent import Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.coverage import Coverage, spoken
from discovery.verify.effects import isolates_now
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from generators.keeping import is_writable

SAID = "policies that are there already say all of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The intents with what is left to say of them; ``kept`` are manifests that files take the place of, as data, and
    ``replaced`` the same as policies. ``beside`` are all other policies that could be evaluated.
    """

    intents: tuple[PolicyIntent, ...]
    kept: Mapping[WorkloadRef, Mapping[str, Any]] = field(default_factory=dict)
    replaced: tuple[ReadPolicy, ...] = ()
    beside: tuple[ReadPolicy, ...] = ()
    found: tuple[Diagnostic, ...] = ()


def delta_of(
    whole: Rendered,
    intents: Iterable[PolicyIntent],
    deployed: Deployed,
    platform: Platform,
    versions: tuple[WorkloadVersion, ...],
) -> Delta:
    """Return what of the intents is not there already. ``whole`` is all of it, rendered: a file of it would take the
    place of the manifest of the same kind and name, so the rules of that one are kept, and added to.
    """
    own = _own(whole, deployed)
    claimed = {policy.source for policies in own.values() for policy in policies}
    others = [policy for policy in deployed.read.policies if policy.source not in claimed]
    beside = Coverage(others, platform, versions, deployed.read.tiers)
    left: list[PolicyIntent] = []
    kept: dict[WorkloadRef, Mapping[str, Any]] = {}
    found: list[Diagnostic] = []
    replaced: list[ReadPolicy] = []
    for workload, given in _by_workload(intents).items():
        mine = own.get(workload, [])
        why = _cannot_keep(mine, given, deployed, platform, whole.mode)
        alone = Coverage(mine, platform, versions, deployed.read.tiers)
        rest = [_left(intent, beside, alone) for intent in given]
        if why is not None and any(intent.isolate for intent in rest):
            found.append(_not_kept(workload, mine[0], why))
            rest = [_said(intent, why) for intent in rest]
        left += rest
        if mine and any(intent.isolate for intent in rest):
            kept[workload] = deployed.manifests[mine[0].source]
            replaced += mine
    gone = {policy.source for policy in replaced}
    return Delta(
        intents=tuple(left),
        kept=kept,
        replaced=tuple(replaced),
        beside=tuple(
            spoken(policy) for policy in deployed.read.policies if policy.complete and policy.source not in gone
        ),
        found=tuple(found),
    )


def _by_workload(intents: Iterable[PolicyIntent]) -> dict[WorkloadRef, list[PolicyIntent]]:
    """Return the intents of each workload."""
    found: dict[WorkloadRef, list[PolicyIntent]] = {}
    for intent in intents:
        found.setdefault(intent.workload, []).append(intent)
    return found


def _own(whole: Rendered, deployed: Deployed) -> dict[WorkloadRef, list[ReadPolicy]]:
    """Return the policies that are there under the names of the files to be written, by workload."""
    there: dict[Identity, list[ReadPolicy]] = {}
    for policy in deployed.read.policies:
        there.setdefault(identity_of(policy), []).append(policy)
    found: dict[WorkloadRef, list[ReadPolicy]] = {}
    for artifact in whole.artifacts:
        for identity in {identity_of(policy) for policy in read_policies({artifact.path: artifact.text}).policies}:
            if identity in there:
                found[artifact.workload] = there[identity]
    return found


def _cannot_keep(
    mine: list[ReadPolicy], intents: list[PolicyIntent], deployed: Deployed, platform: Platform, mode: Mode
) -> str | None:
    """Return why a manifest that is there cannot be added to, or None."""
    if not mine:
        return None
    subject = intents[0].subject
    if len({policy.source for policy in mine}) > 1 or mine[0].source not in deployed.manifests:
        return "it is there more than once"
    manifest = deployed.manifests[mine[0].source]
    if not isinstance(manifest.get("spec"), dict) or not is_writable({"spec": manifest["spec"]}):
        return "it holds values that cannot be written again"
    if not all(policy.complete for policy in mine):
        return "parts of it are not evaluated"
    if any((p.subject.namespace, p.subject.labels) != (subject.namespace, subject.labels) for p in mine):
        return "it is about other pods than those of the workload"
    if mode is Mode.MONITOR and any(isolates_now(policy, platform) for policy in mine):
        return "it is enforced, and a monitor form in its place would end that: use --mode enforce"
    return None


def _left(intent: PolicyIntent, beside: Coverage, alone: Coverage) -> PolicyIntent:
    """Return an intent with the allows that nothing says already; one that is said does not isolate any more."""
    if not intent.isolate:
        return intent
    allows = intent.allows
    if beside.isolates(intent):
        allows = tuple(allow for allow in allows if not beside.says(intent, allow))
    if alone.isolates(intent):
        allows = tuple(allow for allow in allows if not alone.says(intent, allow))
    return replace(intent, allows=allows) if allows else _said(intent, SAID)


def _said(intent: PolicyIntent, why: str) -> PolicyIntent:
    """Return an intent for which nothing is written."""
    return replace(intent, isolate=False, reasons=(*intent.reasons, why)) if intent.isolate else intent


def _not_kept(workload: WorkloadRef, policy: ReadPolicy, why: str) -> Diagnostic:
    """Return the finding of a manifest that is not added to."""
    return Diagnostic(
        code="existing-not-kept",
        level=Level.ERROR,
        subject=str(workload),
        message=f"{policy} ({policy.source}) lacks rules for traffic that was learned, and is left as it is: {why}",
        hint="repair the manifest, or move it out of --existing to have it written anew",
    )


def isolating(intents: Iterable[PolicyIntent]) -> set[tuple[WorkloadRef, Direction]]:
    """Return the directions of workloads that intents isolate."""
    return {(intent.workload, intent.direction) for intent in intents if intent.isolate}
