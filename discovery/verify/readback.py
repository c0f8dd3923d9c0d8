"""Prove that what was written means what was intended.

Codes of :func:`check`, all of level error unless said otherwise: ``direction-missing``, ``unexpected-policy``,
``missing-allow``, ``excess-allow``, ``inexpressible-allow``, ``kept-rule-lost``, ``monitor-isolates``,
``enforce-inert``,
``needs-newer-platform``, ``odd-rule``, ``wrong-dialect``, ``wrong-tier``, ``cluster-unknown``,
``version-not-selected``, ``selects-other-workload``,
``workload-without-version`` (warning), ``peer-may-cross-clusters`` (warning), and everything that
:func:`discovery.verify.read.read_policies` reports. Codes of :func:`covers`: ``learned-edge-cut``,
``learned-edge-unknown``, ``workload-without-version``, and ``existing-cuts`` (warning).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.intent import Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.binding import bind, bound
from discovery.verify.coverage import spoken
from discovery.verify.decisions import SideDecision
from discovery.verify.effects import isolates_now, unmet_needs
from discovery.verify.evaluate import Evaluator
from discovery.verify.fields import shown
from discovery.verify.meaning import differences, intended, said, written
from discovery.verify.read import ReadSet
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, Replayed, replay
from discovery.verify.rules import PodMatch, ReadPolicy, ReadRule, Tier

_Key = tuple[PodMatch, Direction]


def check(
    intents: Iterable[PolicyIntent],
    read: ReadSet,
    platform: Platform,
    mode: Mode,
    versions: Iterable[WorkloadVersion],
    skipped: frozenset[tuple[WorkloadRef, Direction]] = frozenset(),
    kept: Iterable[ReadPolicy] = (),
) -> tuple[Diagnostic, ...]:
    """Return every difference between the intents and the written files, as read back; empty means none.

    ``skipped`` are directions that the dialect could not say, for which nothing may be written. ``versions`` are all
    versions of all workloads: each policy must select every version of its workload and nothing else. ``kept`` are
    policies that the files take the place of: all of their rules must be there, too.
    """
    wanted = tuple(intents)
    policies, found = _bind(read, wanted, platform)
    old = _kept(kept, wanted)
    expected: dict[_Key, list[PolicyIntent]] = {}
    for intent in wanted:
        if intent.isolate and (intent.workload, intent.direction) not in skipped:
            expected.setdefault((_subject(intent), intent.direction), []).append(intent)
    have: dict[_Key, list[ReadPolicy]] = {}
    for policy in policies:
        have.setdefault((policy.subject, policy.direction), []).append(policy)
    known = _Versions(versions)
    for key in {**expected, **have}:
        found += _compare(key, expected.get(key, []), have.get(key, []), platform, old.get(key, []))
    rules = {rule for policies_of in old.values() for policy in policies_of for rule in policy.rules}
    for policy in policies:
        found += _in_mode(policy, platform, mode, rules)
        found += _crossing(policy, platform, known)
    for (subject, _), owners in expected.items():
        found += _selected(subject, owners, known)
    return _sorted(found)


def covers(
    edges: Iterable[Edge],
    intents: Iterable[PolicyIntent],
    read: ReadSet,
    platform: Platform,
    versions: Iterable[WorkloadVersion],
    beside: Beside | None = None,
) -> tuple[Diagnostic, ...]:
    """Return every learned edge that the written files would not surely allow if they were enforced.

    An edge of a workload is tried with each version of it, an edge of an external endpoint with each address. Files
    that cannot be evaluated make edges unknown; :func:`check` says why. With ``beside``, the files add to policies that
    are there: what those do at sides that the files do not govern is told as ``existing-cuts``, a warning.
    """
    policies, _ = _bind(read, tuple(intents), platform)
    known = _Versions(versions)
    more = beside or Beside(policies=(), tiers=(), written=frozenset(), subjects=frozenset())
    together = [*map(spoken, policies), *more.policies]
    evaluator = Evaluator(together, platform, as_enforced=True, tiers=more.tiers, versions=known.all)
    found: list[Diagnostic] = []
    for one in replay(edges, known.all, evaluator, more.recorded).edges:
        found += _not_covered(one, known, platform, beside)
    return _sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is there already and decides together with the files: policies and tiers. ``written`` are the sides that the
    files govern, ``subjects`` the workloads that policies were asked for; ``recorded`` is what was recorded beside
    edges.
    """

    policies: tuple[ReadPolicy, ...]
    tiers: tuple[Tier, ...]
    written: frozenset[tuple[WorkloadRef, Direction]]
    subjects: frozenset[WorkloadRef]
    recorded: Recorded = field(default_factory=Recorded)


class _Versions:
    """All workload versions, each set of attributes once, by workload and by what they carry in a namespace."""

    def __init__(self, versions: Iterable[WorkloadVersion]) -> None:
        self._by_ref: dict[WorkloadRef, list[WorkloadVersion]] = {}
        # By namespace and one label pair; None stands for all pods of the namespace.
        self._by_place: dict[tuple[str, tuple[str, str] | None], list[WorkloadVersion]] = {}
        unique = {(v.ref, v.labels, v.service_account, v.namespace_labels): v for v in versions}
        for version in sorted(unique.values(), key=repr):
            self._by_ref.setdefault(version.ref, []).append(version)
            for pair in (None, *version.labels.pairs):
                self._by_place.setdefault((version.ref.namespace, pair), []).append(version)

    @property
    def all(self) -> list[WorkloadVersion]:
        """Return every version."""
        return [version for versions in self._by_ref.values() for version in versions]

    def of(self, ref: WorkloadRef) -> list[WorkloadVersion]:
        """Return the versions of a workload."""
        return self._by_ref.get(ref, [])

    def selected(self, match: PodMatch) -> list[WorkloadVersion]:
        """Return the versions that a match of one namespace selects; its rarest label pair leaves few to look at."""
        places = [(match.namespace or "", pair) for pair in match.labels.pairs or (None,)]
        near = min((self._by_place.get(place, []) for place in places), key=len)
        return [version for version in near if match.matches(version)]


def _sorted(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics once each, in a stable order."""
    return tuple(sorted(set(found), key=lambda d: (d.subject, d.code, d.message)))


def _error(code: str, subject: object, message: str, hint: str | None = None) -> Diagnostic:
    """Return an error."""
    return Diagnostic(code=code, level=Level.ERROR, subject=str(subject), message=message, hint=hint)


def _bind(
    read: ReadSet, intents: tuple[PolicyIntent, ...], platform: Platform
) -> tuple[list[ReadPolicy], list[Diagnostic]]:
    """Return the policies with their cluster made explicit, and what reading and binding found."""
    clusters = sorted({intent.workload.cluster for intent in intents})
    found = list(read.diagnostics)
    fitting = [policy for policy in read.policies if policy.dialect is platform.dialect]
    found += [
        _error("wrong-dialect", policy.source, f"{policy.kind} is not of dialect {platform.dialect}")
        for policy in read.policies
        if policy.dialect is not platform.dialect
    ]
    policies, unknown = bind(fitting, clusters)
    found += [_error("cluster-unknown", one.source, "the folder names none of the clusters") for one in unknown]
    return policies, found


def _subject(intent: PolicyIntent) -> PodMatch:
    """Return the subject of an intent as a reader would see it."""
    selector = intent.subject
    return PodMatch(
        cluster=selector.cluster,
        namespace=selector.namespace,
        labels=selector.labels,
        service_account=selector.service_account,
    )


def _compare(
    key: _Key, intents: list[PolicyIntent], policies: list[ReadPolicy], platform: Platform, kept: list[ReadPolicy]
) -> Iterator[Diagnostic]:
    """Compare what is meant, or kept, and what is written for one subject and direction."""
    subject, direction = key
    rules = {rule for policy in policies for rule in policy.rules}
    for policy in kept:
        for lost in [rule for rule in policy.rules if rule not in rules]:
            yield _error("kept-rule-lost", policy.source, f"{policy} {lost.place} is not in what takes its place")
    if not intents and kept:
        return
    if not intents:
        labels = ",".join("=".join(pair) for pair in subject.labels.pairs)
        pods = shown(f"{subject.namespace}: {labels or '(all)'}")
        for policy in policies:
            yield _error("unexpected-policy", policy.source, f"{direction} of {pods} was not meant to be governed")
        return
    owner = intents[0].workload
    meant, impossible = intended(intents, platform)
    for allow, reason in impossible:
        what = f"{direction} allow of {shown(str(allow.peer))} on {allow.protocol}"
        yield _error(
            "inexpressible-allow",
            owner,
            f"{what} cannot be said on {platform}: {reason}",
            "leave the direction out and list it as skipped",
        )
    if not policies:
        yield _error("direction-missing", owner, f"no policy isolates {direction} of {shown(str(intents[0].subject))}")
        return
    for protocol, atom, content in said(kept, owner.cluster):
        meant.add(atom, protocol, content)
    for code, text in differences(meant, written(policies, owner.cluster)):
        verb = "does not allow" if code == "missing-allow" else "also allows"
        yield _error(code, owner, f"{direction}: what was written {verb} {text}")


def _kept(kept: Iterable[ReadPolicy], intents: tuple[PolicyIntent, ...]) -> dict[_Key, list[ReadPolicy]]:
    """Return policies that files take the place of, by what they are about."""
    clusters = {intent.workload.cluster for intent in intents}
    found: dict[_Key, list[ReadPolicy]] = {}
    for policy in kept:
        for cluster in clusters:
            found.setdefault((bound(policy.subject, cluster), policy.direction), []).append(policy)
    return found


def _in_mode(policy: ReadPolicy, platform: Platform, mode: Mode, kept: set[ReadRule]) -> Iterator[Diagnostic]:
    """Check that monitor output isolates nothing, that enforcing output isolates, and that the platform knows it."""
    now = isolates_now(policy, platform)
    if mode is Mode.MONITOR and now:
        yield _error("monitor-isolates", policy.source, f"{policy} isolates {policy.direction} once it is applied")
    if mode is Mode.ENFORCE and not now:
        yield _error("enforce-inert", policy.source, f"{policy} isolates no {policy.direction} when it is applied")
    odd = sum(not rule.is_plain and rule not in kept for rule in policy.rules)
    if odd:
        text = f"{policy} has {odd} rules that deny, pass, or allow by more than peer and port: none is ever written"
        yield _error("odd-rule", policy.source, text)
    tier = dict(platform.settings).get("tier", policy.tier)
    if policy.tier != tier:
        yield _error("wrong-tier", policy.source, f"{policy} is in tier {shown(policy.tier)}, not in {tier}")
    for need in unmet_needs(policy, platform):
        yield _error("needs-newer-platform", policy.source, f"{policy} uses {need}, which {platform} does not know")


def _selected(subject: PodMatch, owners: list[PolicyIntent], known: _Versions) -> Iterator[Diagnostic]:
    """Check that a subject selects every version of its workload and of no other."""
    refs = {owner.workload for owner in owners}
    for ref in sorted(refs):
        if not known.of(ref):
            yield Diagnostic(
                code="workload-without-version",
                level=Level.WARNING,
                subject=str(ref),
                message="no labels of the workload are known: what its policy selects cannot be checked",
            )
        for version in known.of(ref):
            if not subject.matches(version):
                labels = ",".join("=".join(pair) for pair in version.labels.pairs)
                yield _error("version-not-selected", ref, f"pods with labels {shown(labels)} are not selected")
    for version in known.selected(subject):
        if version.ref not in refs or len(refs) > 1:
            other = f"{version.ref.kind} {version.ref}"
            yield _error("selects-other-workload", min(refs), f"the policy also selects {shown(other)}")


def _cut_by_others(side: SideDecision, found: Replayed, endpoint: Endpoint, platform: Platform) -> Diagnostic:
    """Return the finding of an edge that policies that are there would not surely let pass."""
    return Diagnostic(
        code="existing-cuts",
        level=Level.WARNING,
        subject=str(endpoint),
        message=f"{platform.dialect}: {side.direction} of {shown(str(found.edge))}: policies that are there would cut "
        f"it ({side.reason}), and no rule could be added",
        hint="see what is said of this direction, or mend those policies by hand",
    )


def _crossing(policy: ReadPolicy, platform: Platform, known: _Versions) -> Iterator[Diagnostic]:
    """Warn of selectors without a cluster that a mesh of older Cilium releases reads as "any cluster"."""
    if platform.local_by_default:
        return
    for rule in policy.rules:
        for peer in rule.peers:
            if not isinstance(peer, PodMatch) or peer.cluster is not None:
                continue
            others = {version.ref.cluster for version in known.selected(peer)} - {policy.subject.cluster or ""}
            if others:
                yield Diagnostic(
                    code="peer-may-cross-clusters",
                    level=Level.WARNING,
                    subject=policy.source,
                    message=f"{policy}: in a mesh, {platform} reads a peer without a cluster as pods of "
                    f"{shown(','.join(sorted(others)))} as well",
                    hint="set policy-default-local-cluster, or name the cluster in every peer",
                )


def _not_covered(found: Replayed, known: _Versions, platform: Platform, beside: Beside | None) -> Iterator[Diagnostic]:
    """Yield why an edge is not surely allowed."""
    edge = found.edge
    missing = [end for end in (edge.client, edge.server) if end.workload is not None and not known.of(end.workload)]
    for endpoint in missing:
        text = f"no version of it is known, so {shown(str(edge))} cannot be checked"
        yield _error("workload-without-version", endpoint, text)
    if edge.protocol is None:
        text = f"no policy can name the protocol of {shown(str(edge))}"
        yield _error("learned-edge-unknown", edge.server, text)
    code = "learned-edge-cut" if found.fate is Fate.WOULD_DENY else "learned-edge-unknown"
    for side in found.sides:
        endpoint = edge.client if side.direction is Direction.EGRESS else edge.server
        if beside is not None and (endpoint.workload, side.direction) not in beside.written:
            if endpoint.workload in beside.subjects:
                yield _cut_by_others(side, found, endpoint, platform)
            continue
        yield _error(code, endpoint, f"{side.direction} of {shown(str(edge))}: {side.reason}")
