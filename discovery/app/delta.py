"""What is left to write once the policies that are there already have said their part.

In enforce mode only what is in force counts as said; in monitor mode everything counts as if it were promoted. A
manifest that a file would take the place of is kept, rule by rule, and added to; where that is not possible without
loss, it is left alone, and said.
"""

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
from discovery.verify.binding import bind
from discovery.verify.coverage import Coverage
from discovery.verify.effects import isolates_now
from discovery.verify.read import read_policies
from discovery.verify.recorded import Recorded
from discovery.verify.rules import ReadPolicy
from generators.keeping import is_writable, leaves_out

SAID = "policies that are there already say all of it"

# Cluster and identity: what a file takes the place of.
_Place = tuple[str, Identity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The intents with what is left to say of them; ``kept`` are manifests that files take the place of, as data, and
    ``replaced`` the same as policies, by workload. ``beside`` are all other policies that count. ``said`` are the
    directions of which everything is there.
    """

    intents: tuple[PolicyIntent, ...]
    kept: Mapping[WorkloadRef, Mapping[str, Any]] = field(default_factory=dict)
    replaced: Mapping[WorkloadRef, tuple[ReadPolicy, ...]] = field(default_factory=dict)
    beside: tuple[ReadPolicy, ...] = ()
    said: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    found: tuple[Diagnostic, ...] = ()

    def only(self, written: Iterable[WorkloadRef]) -> Delta:
        """Return the delta with the files that really were written: what they would have replaced is still there."""
        made = frozenset(written)
        still = [policy for ref, mine in self.replaced.items() if ref not in made for policy in mine]
        return replace(
            self,
            kept={ref: one for ref, one in self.kept.items() if ref in made},
            replaced={ref: mine for ref, mine in self.replaced.items() if ref in made},
            beside=(*self.beside, *still),
        )

    def without(self, refused: Mapping[WorkloadRef, str]) -> Delta:
        """Return the delta without the files of workloads, each with the reason."""
        found = [_not_kept(ref, self.replaced.get(ref, ()), why) for ref, why in sorted(refused.items())]
        intents = tuple(
            _left_out(intent, refused[intent.workload]) if intent.workload in refused else intent
            for intent in self.intents
        )
        left = self.only(self.replaced.keys() - refused.keys())
        return replace(left, intents=intents, found=(*self.found, *found))


def delta_of(
    whole: Rendered,
    intents: Iterable[PolicyIntent],
    deployed: Deployed,
    platform: Platform,
    versions: tuple[WorkloadVersion, ...],
    recorded: Recorded | None = None,
) -> Delta:
    """Return what of the intents is not there already. ``whole`` is all of it, rendered: a file of it would take the
    place of the manifest of the same kind and name, so the rules of that one are kept, and added to.
    """
    given = tuple(intents)
    clusters = sorted({intent.workload.cluster for intent in given})
    there, unbound = bind(deployed.read.policies, clusters)
    own = _own(whole, there, clusters)
    counting = [policy for policy in there if whole.mode is Mode.MONITOR or isolates_now(policy, platform)]
    together = Coverage(counting, platform, versions, deployed.read.tiers, recorded)
    delta = Delta(
        intents=tuple(_left(intent, together) for intent in given),
        beside=tuple(policy for policy in counting if policy.complete),
        said=frozenset((i.workload, i.direction) for i in given if _is_said(i, together)),
        found=tuple(map(_unbound, unbound)),
    )
    waiting = {intent.workload for intent in delta.intents if intent.isolate}
    mine = {ref: policies for ref, policies in own.items() if ref in waiting}
    refused = {
        ref: why
        for ref in waiting
        if (why := _cannot_keep(ref, mine.get(ref, ()), whole, deployed, platform)) is not None
    }
    gone = {policy for policies in mine.values() for policy in policies}
    return replace(
        delta,
        kept={ref: deployed.manifest_of(policies[0]) or {} for ref, policies in mine.items()},
        replaced=mine,
        beside=tuple(policy for policy in delta.beside if policy not in gone),
    ).without(refused)


def _own(
    whole: Rendered, there: Iterable[ReadPolicy], clusters: list[str]
) -> dict[WorkloadRef, tuple[ReadPolicy, ...]]:
    """Return the policies that are there under the names of the files to be written, by workload."""
    by_place: dict[_Place, list[ReadPolicy]] = {}
    for policy in there:
        by_place.setdefault((policy.subject.cluster or "", identity_of(policy)), []).append(policy)
    found: dict[WorkloadRef, tuple[ReadPolicy, ...]] = {}
    for artifact in whole.artifacts:
        mine, _ = bind(read_policies({artifact.path: artifact.text}).policies, clusters)
        for place in {(policy.subject.cluster or "", identity_of(policy)) for policy in mine}:
            if place in by_place:
                # A staged policy beside the one that it stands for says what is meant to be.
                staged = [policy for policy in by_place[place] if policy.staged]
                found[artifact.workload] = tuple(staged or by_place[place])
    return found


def _cannot_keep(
    ref: WorkloadRef, mine: tuple[ReadPolicy, ...], whole: Rendered, deployed: Deployed, platform: Platform
) -> str | None:
    """Return why a manifest that is there cannot be added to, or None."""
    artifact = next((one for one in whole.artifacts if one.workload == ref), None)
    if artifact is None:
        return None  # nothing will be written
    written = read_policies({artifact.path: artifact.text}).policies
    if not mine:
        unread = deployed.unread_of(written[0].name)
        return None if unread is None else f"{unread} cannot be read, and may be the manifest of this name"
    manifest, subject = deployed.manifest_of(mine[0]), written[0].subject
    if manifest is None:
        return "it is there more than once, or has several specs"
    meta = manifest.get("metadata")
    parts = {
        "spec": manifest.get("spec"),
        **({key: meta.get(key) or {} for key in ("labels", "annotations")} if isinstance(meta, dict) else {}),
    }
    checks = {
        "it holds values that cannot be written again (fractions or nulls)": not is_writable(parts),
        "parts of it are not evaluated": not all(policy.complete for policy in mine),
        "it is about other pods than those of the workload": any(
            (policy.subject.namespace, policy.subject.labels) != (subject.namespace, subject.labels) for policy in mine
        ),
        f"it is in tier {mine[0].tier!r}": mine[0].tier != written[0].tier,
        "it has rules of a direction that its types leave out": leaves_out(manifest),
        "it is enforced, and a monitor form in its place would end that (--mode enforce adds to it)": (
            # A staged form stands beside the enforced one.
            whole.mode is Mode.MONITOR
            and not written[0].staged
            and any(isolates_now(policy, platform) for policy in mine)
        ),
    }
    return next((why for why, holds in checks.items() if holds), None)


def _is_said(intent: PolicyIntent, together: Coverage) -> bool:
    """Say whether everything of an intent is there."""
    return intent.isolate and together.isolates(intent) and all(together.says(intent, one) for one in intent.allows)


def _left(intent: PolicyIntent, together: Coverage) -> PolicyIntent:
    """Return an intent with the allows that nothing says already; one that is said does not isolate any more."""
    if not intent.isolate or not together.isolates(intent):
        return intent
    allows = tuple(allow for allow in intent.allows if not together.says(intent, allow))
    return replace(intent, allows=allows) if allows else _left_out(intent, SAID)


def _left_out(intent: PolicyIntent, why: str) -> PolicyIntent:
    """Return an intent for which nothing is written."""
    return replace(intent, isolate=False, reasons=(*intent.reasons, why)) if intent.isolate else intent


def _not_kept(workload: WorkloadRef, policies: Iterable[ReadPolicy], why: str) -> Diagnostic:
    """Return the finding of a workload for which nothing is added."""
    there = next((f"{policy} ({policy.source})" for policy in policies), "what is there")
    return Diagnostic(
        code="existing-not-kept",
        level=Level.ERROR,
        subject=str(workload),
        message=f"{there} lacks rules for traffic that was learned, and is left as it is: {why}",
        hint="mend the policy by hand, or move it out of --existing to have it written anew",
    )


def _unbound(policy: ReadPolicy) -> Diagnostic:
    """Return the finding of a policy of nobody knows which cluster."""
    return Diagnostic(
        code="existing-cluster-unknown",
        level=Level.WARNING,
        subject=policy.source,
        message=f"{policy}: its folder names none of the clusters of the flows, so it does not count",
        hint="put the policies of each cluster into a folder of its name",
    )


def isolating(intents: Iterable[PolicyIntent]) -> set[tuple[WorkloadRef, Direction]]:
    """Return the directions of workloads that intents isolate."""
    return {(intent.workload, intent.direction) for intent in intents if intent.isolate}
