"""Which policies govern a pod, in which order they decide, and which of their rules are about a peer."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.workload import VOLATILE_KEYS, WorkloadVersion
from discovery.verify.decisions import Probe
from discovery.verify.effects import isolates, unmet_needs
from discovery.verify.ends import End, PeerMatcher, PodEnd, enforcer_of
from discovery.verify.layer7 import deep_patterns, lets_through
from discovery.verify.members import Members
from discovery.verify.rules import (
    OPT_IN_KEY,
    OPT_IN_VALUE,
    Action,
    Layer,
    PodMatch,
    ReadPolicy,
    ReadRule,
    Tier,
    UnclearMatch,
    all_icmp,
    all_ports,
    rules_for,
)
from discovery.verify.stages import Order, Rank, Stage
from discovery.verify.truth import Truth, any_of

# An index of the rules of a pod costs about as much as so many looks at all of them.
_SCANS = 8
_NOWHERE = Stage(position=-math.inf, name="a tier whose order is not known")

# Namespace, direction and one label pair of a subject; None where the subject has none.
_Place = tuple[str | None, Direction, tuple[str, str] | None]

# A rule with the truth that its policy governs the pod.
Governing = tuple[Truth, ReadPolicy, ReadRule]


# Where a rule stands: its rank, and its place among all rules of the step.
Place = tuple[int, int]
# A rule that matches a peer, with its place and how surely it matches.
Matching = tuple[Place, Truth, Governing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The rules of one step by the pods that they name: ``by_peer`` by the identity of a known version, ``rest`` those
    that name anything else as well.
    """

    by_peer: dict[int, list[Matching]]
    rest: tuple[tuple[Place, Governing], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What governs one pod in one stage: rules by rank, the policies that isolate it, or may, and those of which it is
    not known what they do.
    """

    stage: Stage
    ranks: tuple[tuple[Governing, ...], ...]
    isolating: tuple[ReadPolicy, ...]
    isolated: Truth
    doubtful: tuple[ReadPolicy, ...]


class Governors:
    """Finds what governs a pod, stage by stage, and keeps it.

    With ``as_enforced`` every policy counts as if it were promoted. ``versions`` are workloads that are asked about
    often: the rules that name them are found by them.
    """

    def __init__(
        self,
        policies: Iterable[ReadPolicy],
        platform: Platform,
        peers: PeerMatcher,
        *,
        as_enforced: bool,
        tiers: Iterable[Tier],
        versions: Iterable[WorkloadVersion],
    ) -> None:
        """Index the policies by place and direction."""
        self._platform = platform
        self._as_enforced = as_enforced
        self._enforcer = enforcer_of(platform)
        self._order = Order(platform, tiers)
        self._peers = peers
        self._members = Members(versions)
        self._places: dict[_Place, list[tuple[int, ReadPolicy]]] = {}
        self._governing: dict[tuple[Direction, WorkloadVersion | int], tuple[Step, ...]] = {}
        # Both by the identity of steps, which are kept.
        self._indexes: dict[int, Index] = {}
        self._asked: Counter[int] = Counter()
        enforced = [policy for policy in policies if self._enforced(policy)]
        if as_enforced:
            enforced = _replaced(enforced)
        self._isolated = frozenset(
            policy.direction
            for policy in enforced
            if as_enforced or (not policy.staged and not policy.opt_in and isolates(policy, platform))
        )
        shared = Counter(pair for policy in enforced for pair in policy.subject.labels.pairs)
        for number, policy in enumerate(enforced):
            # The rarest label of a subject is enough to find it, so a pod looks at few policies of its namespace.
            recorded = (pair for pair in policy.subject.labels.pairs if pair[0] not in VOLATILE_KEYS)
            pair = min(recorded, key=shared.__getitem__, default=None)
            place = (policy.subject.namespace, policy.direction, pair)
            self._places.setdefault(place, []).append((number, policy))

    def _enforced(self, policy: ReadPolicy) -> bool:
        """Say whether anything on this platform enforces the dialect (else the manifest is inert)."""
        return policy.dialect in (Dialect.KUBERNETES, self._enforcer) or self._enforcer is Dialect.KUBERNETES

    def isolates_any(self, direction: Direction) -> bool:
        """Say whether any policy isolates a direction of the pods that it selects."""
        return direction in self._isolated

    def of(self, direction: Direction, version: WorkloadVersion) -> tuple[Step, ...]:
        """Return what governs a pod, stage by stage; computed once per pod version."""
        key = (direction, id(version) if self._members.knows(version) else version)
        if key not in self._governing:
            by_stage: dict[Stage, list[tuple[Truth, ReadPolicy]]] = {}
            for truth, policy in self._in_force(direction, version):
                by_stage.setdefault(self._stage(policy), []).append((truth, policy))
            stages = sorted(by_stage, key=lambda stage: stage.position)
            self._governing[key] = tuple(self._step(stage, by_stage[stage]) for stage in stages)
        return self._governing[key]

    def _in_force(self, direction: Direction, version: WorkloadVersion) -> Iterator[tuple[Truth, ReadPolicy]]:
        """Yield the policies that govern a pod, or may, in the order in which they were given."""
        pairs = (None, *version.labels.pairs)
        places = ((namespace, direction, pair) for namespace in (version.ref.namespace, None) for pair in pairs)
        near = sorted(((n, p) for place in places for n, p in self._places.get(place, ())), key=lambda item: item[0])
        for _, policy in near:
            truth = policy.subject.selects(version) if self._active(policy, version) else Truth.NO
            if truth is not Truth.NO:
                yield (Truth.MAYBE if self._is_unclear(policy) else truth), policy

    def _stage(self, policy: ReadPolicy) -> Stage:
        """Return the stage of a policy; one whose place is not known may come before all others."""
        return self._order.stage(policy) if self._order.is_known(policy) else _NOWHERE

    def _step(self, stage: Stage, governing: list[tuple[Truth, ReadPolicy]]) -> Step:
        """Arrange the policies that govern a pod in one stage."""
        by_rank: dict[Rank, list[Governing]] = {}
        for given, policy in governing:
            tied = any(policy.layer is not Layer.NAMESPACE and _tied(policy, other) for _, other in governing)
            truth = Truth.MAYBE if tied else given
            unread = frozenset(Action) if stage is _NOWHERE else policy.unread
            for action in sorted(unread):
                for rule in _anything(action):
                    by_rank.setdefault(self._order.rank(policy, rule, -1), []).append((Truth.MAYBE, policy, rule))
            for number, rule in enumerate(policy.rules):
                by_rank.setdefault(self._order.rank(policy, rule, number), []).append((truth, policy, rule))
        isolating = [one for one in governing if self._as_enforced or isolates(one[1], self._platform)]
        isolating = [one for one in isolating if one[1].layer is Layer.NAMESPACE]
        return Step(
            stage=stage,
            ranks=tuple(tuple(by_rank[rank]) for rank in sorted(by_rank)),
            isolating=tuple(policy for _, policy in isolating),
            isolated=any_of(truth for truth, _ in isolating),
            doubtful=tuple(policy for truth, policy in governing if truth is Truth.MAYBE or policy.unread),
        )

    def index_of(self, step: Step, version: WorkloadVersion) -> Index | None:
        """Return the rules of a step of a pod by the pods that they name, None for a pod that is not known."""
        if not self._members.knows(version):
            return None
        if id(step) not in self._indexes:
            self._indexes[id(step)] = self._indexed(step.ranks, version)
        return self._indexes[id(step)]

    def _indexed(self, ranks: tuple[tuple[Governing, ...], ...], subject: WorkloadVersion) -> Index:
        """Return the rules by the known pods that they name."""
        by_peer: dict[int, list[Matching]] = {}
        rest: list[tuple[Place, Governing]] = []
        for place, governing in _placed(ranks):
            rule = governing[2]
            pods = [match for match in rule.peers if isinstance(match, PodMatch)]
            if sum(map(self._peers.never_pods, rule.peers)) + len(pods) < len(rule.peers):
                rest.append((place, governing))
                continue
            best: dict[int, Truth] = {}
            for match in pods:
                for version, truth in self._members.of(match):
                    found = self._peers.in_reach(match, version, subject, truth)
                    best[id(version)] = max(found, best.get(id(version), Truth.NO))
            for peer, truth in best.items():
                if truth is not Truth.NO:
                    by_peer.setdefault(peer, []).append((place, truth, governing))
        return Index(by_peer=by_peer, rest=tuple(rest))

    def matching(self, step: Step, probe: Probe, here: PodEnd, there: End) -> Iterator[Matching]:
        """Yield the rules of a step that match the other end, or may, in the order of their ranks."""
        protocol = probe.protocol
        known = isinstance(there, PodEnd) and self._members.knows(there.version)
        self._asked[id(step)] += 1
        index = self.index_of(step, here.version) if known and self._asked[id(step)] > _SCANS else None
        if index is None or not isinstance(there, PodEnd):
            candidates = list(_placed(step.ranks))
            found: list[Matching] = []
        else:
            candidates = list(index.rest)
            found = [one for one in index.by_peer.get(id(there.version), ()) if one[2][2].protocol is protocol]
        for place, governing in candidates:
            rule = governing[2]
            if rule.protocol is protocol:
                truth = any_of(self._peers.covers(match, there, here.version) for match in rule.peers)
                if truth is not Truth.NO:
                    found.append((place, truth, governing))
        for place, truth, governing in sorted(found, key=_place_of):
            rule = governing[2]
            sure = min(truth, governing[0], Truth.MAYBE if rule.unclear else Truth.YES)
            if rule.layer7:
                sure = min(sure, lets_through(rule.layer7, probe.request, deep=deep_patterns(self._platform)))
            if rule.own is not None:
                sure = min(sure, self._peers.covers(rule.own, here, here.version))
            if sure is not Truth.NO:
                yield place, sure, governing

    def _active(self, policy: ReadPolicy, version: WorkloadVersion) -> bool:
        """Say whether a policy decides anything for a pod: staged ones never do, opt-in ones only for canaries."""
        if self._as_enforced:
            return True
        if policy.staged:
            return False
        return not policy.opt_in or version.labels.get(OPT_IN_KEY) == OPT_IN_VALUE

    def _is_unclear(self, policy: ReadPolicy) -> bool:
        """Say whether this platform may read the policy differently from how it is written."""
        foreign = self._enforcer is Dialect.KUBERNETES and policy.dialect is not Dialect.KUBERNETES
        elsewhere = policy.anywhere or not self._order.is_known(policy)
        # Cilium has cluster policies behind a flag (1.20), Calico one or the other kind by release.
        foreign = foreign or (policy.layer is not Layer.NAMESPACE and self._enforcer is not Dialect.KUBERNETES)
        return foreign or elsewhere or "endPort" in unmet_needs(policy, self._platform)


@cache
def _anything(action: Action) -> tuple[ReadRule, ...]:
    """Return rules that may match anything."""
    return tuple(rules_for((UnclearMatch(what="not evaluated"),), all_ports(), all_icmp(), action))


def _tied(policy: ReadPolicy, other: ReadPolicy) -> bool:
    """Say whether two cluster policies have the same priority: then it is undefined which of them comes first."""
    return policy.order == other.order and (policy.name, policy.kind) != (other.name, other.kind)


def rank_of(matching: Matching) -> int:
    """Return the rank of a rule that matches."""
    return matching[0][0]


def _place_of(matching: Matching) -> Place:
    """Return where a rule that matches stands."""
    return matching[0]


def _placed(ranks: tuple[tuple[Governing, ...], ...]) -> Iterator[tuple[Place, Governing]]:
    """Yield every rule of a step with its place."""
    position = itertools.count()
    for number, rank in enumerate(ranks):
        for governing in rank:
            yield (number, next(position)), governing


def _replaced(policies: list[ReadPolicy]) -> list[ReadPolicy]:
    """Return policies without those that a staged one of the same name and tier takes the place of once it is enforced
    (Calico's staged policies with the action Set).
    """
    proposed = {_pair(policy) for policy in policies if policy.staged}
    return [policy for policy in policies if policy.staged or _pair(policy) not in proposed]


def _pair(policy: ReadPolicy) -> tuple[object, ...]:
    """Return what a staged policy and the one that it stands for have in common."""
    kind = policy.kind.removeprefix("Staged").removeprefix("Kubernetes")
    return policy.dialect, kind, policy.namespace, policy.name, policy.tier
