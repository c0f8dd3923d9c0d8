"""Decide what a set of policies does to one connection.

Semantics: a side (egress at the client, ingress at the server) goes through the stages of its platform one after the
other. In a stage the first rule that matches decides (allows of one rank are a union); what no rule decides is the
stage's default if a policy isolates the pod there, else the next stage's; what no stage decides passes. Both sides must
allow. Answers are three-valued: what depends on something unknown (a manifest that could not be evaluated, an address
nobody saw, behaviour that the platform leaves open) is UNKNOWN, never a guess: all outcomes that are possible are
followed, and only one that stands alone is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, WorkloadVersion
from discovery.verify.ends import End, EntityEnd, PeerMatcher, PodEnd, enforcer_of
from discovery.verify.rules import (
    OPT_IN_KEY,
    OPT_IN_VALUE,
    Action,
    Layer,
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

_CILIUM_DEFAULT_DENY_FIELD = (1, 16)
# First releases that know a field or kind that older ones ignore or refuse.
_NEEDS = {
    (Dialect.KUBERNETES, "endPort"): (1, 22),
    (Dialect.CILIUM, "endPort"): (1, 16),
    (Dialect.CILIUM, "enableDefaultDeny"): (1, 16),
    (Dialect.CALICO, "staged"): (3, 30),
}
_ALL_TYPES = PortSet(((0, 255),))
_NONE = PortSet()
_NOWHERE = Stage(position=-math.inf, name="a tier whose order is not known")


# Namespace, direction and one label pair of a subject; None where the subject has none.
_Place = tuple[str | None, Direction, tuple[str, str] | None]


class Outcome(StrEnum):
    """What happens to a connection."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One connection to decide. ``port`` is the server's, after translation; None asks for every port (or type)."""

    client: End
    server: End
    protocol: Protocol
    port: int | None = None
    icmp_type: int | None = None

    @property
    def content(self) -> PortSet:
        """Return the ports that are asked for, or the ICMP types as if they were ports."""
        number = self.port if self.protocol.has_ports else self.icmp_type
        return _everything(self.protocol) if number is None else PortSet(((number, number),))


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDecision:
    """The answer of one side, with the policies that isolate it and the rules that (may) decide the probe."""

    direction: Direction
    outcome: Outcome
    reason: str
    isolating: tuple[ReadPolicy, ...] = ()
    matching: tuple[tuple[ReadPolicy, ReadRule], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer of both sides: denied if one denies, else unknown if one is, else allowed."""

    egress: SideDecision
    ingress: SideDecision

    @property
    def outcome(self) -> Outcome:
        """Return the joined answer."""
        both = (self.egress.outcome, self.ingress.outcome)
        for outcome in (Outcome.DENIED, Outcome.UNKNOWN):
            if outcome in both:
                return outcome
        return Outcome.ALLOWED


# A rule with the truth that its policy governs the pod.
_Governing = tuple[Truth, ReadPolicy, ReadRule]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What governs one pod in one stage: rules by rank, the policies that isolate it, or may, and those of which it is
    not known what they do.
    """

    stage: Stage
    ranks: tuple[tuple[_Governing, ...], ...]
    isolating: tuple[ReadPolicy, ...]
    isolated: Truth
    doubtful: tuple[ReadPolicy, ...]


@dataclass(slots=True, kw_only=True)
class _Possible:
    """The contents that may be allowed and those that may be denied, and the rules that match, surely or perhaps."""

    allowed: PortSet = _NONE
    denied: PortSet = _NONE
    sure: list[tuple[ReadPolicy, ReadRule]] = field(default_factory=list)
    unsure: list[tuple[ReadPolicy, ReadRule]] = field(default_factory=list)

    def take(self, governing: _Governing, truth: Truth, hit: PortSet) -> None:
        """Note what a rule does to the contents that it hits, a pass aside."""
        _, policy, rule = governing
        if rule.action is Action.ALLOW:
            self.allowed |= hit
        elif rule.action is Action.DENY:
            self.denied |= hit
        (self.sure if truth is Truth.YES else self.unsure).append((policy, rule))


def unmet_needs(policy: ReadPolicy, platform: Platform) -> tuple[str, ...]:
    """Return the fields and kinds of a policy that this platform's version or settings do not know."""
    if policy.dialect is not platform.dialect:
        return ()
    unmet = [need for need in policy.needs if platform.version < _NEEDS.get((platform.dialect, need), (0, 0))]
    if "staged" in policy.needs and not _knows_staged(platform):
        unmet.append("staged")
    return tuple(sorted(set(unmet)))


def _knows_staged(platform: Platform) -> bool:
    """Say whether the platform serves Calico's staged kinds."""
    if platform.dialect is Dialect.CALICO:
        return platform.setting("staged") == "true"
    return platform.dialect is Dialect.KUBERNETES and platform.setting("enforcer") == "calico"


def isolates(policy: ReadPolicy, platform: Platform) -> bool:
    """Say whether a policy that is in force isolates on this platform.

    Cilium before 1.16 drops ``enableDefaultDeny`` on apply, and ``enable-non-default-deny-policies=false`` overrides
    it: both make the policy isolate every direction that it has rules for. ``enable-policy=never`` enforces nothing.
    """
    if _setting(platform, "enable-policy") == "never":
        return False
    if policy.isolates or policy.dialect is not Dialect.CILIUM or platform.dialect is not Dialect.CILIUM:
        return policy.isolates
    return (
        platform.version < _CILIUM_DEFAULT_DENY_FIELD or platform.setting("enable-non-default-deny-policies") == "false"
    )


def _setting(platform: Platform, name: str) -> str | None:
    """Return the value of a setting, or None where the platform has no such setting."""
    return dict(platform.settings).get(name)


def isolates_now(policy: ReadPolicy, platform: Platform) -> bool:
    """Say whether applying the policy as it is written isolates pods that carry no opt-in label."""
    return not policy.staged and not policy.opt_in and isolates(policy, platform)


@cache
def _everything(protocol: Protocol) -> PortSet:
    """Return every port of a protocol, or every ICMP type."""
    return PortSet.all() if protocol.has_ports else _ALL_TYPES


def decide(
    policies: Iterable[ReadPolicy],
    probe: Probe,
    platform: Platform,
    *,
    as_enforced: bool = False,
    tiers: Iterable[Tier] = (),
) -> Decision:
    """Return what the policies do to one connection; for many probes keep an :class:`Evaluator`."""
    return Evaluator(policies, platform, as_enforced=as_enforced, tiers=tiers).decide(probe)


class Evaluator:
    """Decides many probes under one set of policies.

    With ``as_enforced`` every policy counts as if it were promoted: staged kinds are in force, opt-in labels are not
    asked for, and ``enableDefaultDeny: false`` isolates. It asks what these policies do, so what the platform denies
    whatever they say (``enable-policy=always``, ``defaultEndpointToHostAction``) does not count then. ``tiers`` are
    those of Calico that manifests define.
    """

    def __init__(
        self,
        policies: Iterable[ReadPolicy],
        platform: Platform,
        *,
        as_enforced: bool = False,
        tiers: Iterable[Tier] = (),
    ) -> None:
        """Index the policies by place and direction."""
        self._platform = platform
        self._as_enforced = as_enforced
        self._enforcer = enforcer_of(platform)
        self._order = Order(platform, tiers)
        self._peers = PeerMatcher(platform)
        self._always = _setting(platform, "enable-policy") == "always" and not as_enforced
        self._places: dict[_Place, list[tuple[int, ReadPolicy]]] = {}
        self._governing: dict[tuple[Direction, WorkloadVersion], tuple[_Step, ...]] = {}
        for number, policy in enumerate(policies):
            if self._enforced(policy):
                # One label of the subject is enough to find it, so a pod looks at few of the policies of its namespace.
                pair = next(iter(policy.subject.labels.pairs), None)
                place = (policy.subject.namespace, policy.direction, pair)
                self._places.setdefault(place, []).append((number, policy))

    def decide(self, probe: Probe) -> Decision:
        """Return what happens to one connection."""
        return Decision(
            egress=self._side(probe, Direction.EGRESS, probe.client, probe.server),
            ingress=self._side(probe, Direction.INGRESS, probe.server, probe.client),
        )

    def program(self, direction: Direction, version: WorkloadVersion) -> tuple[object, ...]:
        """Return everything that decides one side of a pod, comparable between evaluators of one platform: two equal
        programs decide alike, whatever their policies are called. Unequal ones may still.
        """
        return tuple(
            (
                step.stage,
                step.isolated,
                tuple(frozenset((truth, rule) for truth, _, rule in rank) for rank in step.ranks),
            )
            for step in self._governed(direction, version)
        )

    def allowed(self, client: End, server: End, protocol: Protocol) -> tuple[PortSet, PortSet]:
        """Return the ports (or ICMP types) on which a connection surely passes, and those on which it may."""
        probe = Probe(client=client, server=server, protocol=protocol)
        sure = may = _everything(protocol)
        for direction, here, there in (
            (Direction.EGRESS, client, server),
            (Direction.INGRESS, server, client),
        ):
            found = self._settled(direction, here, there)
            if found is not None:
                open_ = _everything(protocol) if found[0] is Outcome.ALLOWED else _NONE
                sure, may = sure & open_, may & open_
            elif isinstance(here, PodEnd):
                possible = self._follow(probe, here, there, self._governed(direction, here.version))
                sure, may = sure & (possible.allowed - possible.denied), may & possible.allowed
        return sure, may

    def _enforced(self, policy: ReadPolicy) -> bool:
        """Say whether anything on this platform enforces the dialect (else the manifest is inert)."""
        return policy.dialect in (Dialect.KUBERNETES, self._enforcer) or self._enforcer is Dialect.KUBERNETES

    def _side(self, probe: Probe, direction: Direction, here: End, there: End) -> SideDecision:
        """Return the answer of the side that ``here`` is on."""
        settled = self._settled(direction, here, there)
        if settled is not None:
            outcome, reason = settled
            return SideDecision(direction=direction, outcome=outcome, reason=reason)
        if not isinstance(here, PodEnd):
            return SideDecision(direction=direction, outcome=Outcome.ALLOWED, reason="no pod on this side")
        steps = self._governed(direction, here.version)
        found = self._follow(probe, here, there, steps)
        if not found.denied.intervals:
            outcome, action, otherwise = Outcome.ALLOWED, Action.ALLOW, "not isolated"
            reason = "allowed by a rule"
        elif not found.allowed.intervals:
            outcome, action, otherwise = Outcome.DENIED, Action.DENY, "isolated and no rule matches"
            reason = "denied by a rule"
        else:
            outcome, action, otherwise = Outcome.UNKNOWN, None, ""
            reason = self._doubt(probe, steps, found)
        matching = [one for one in found.sure if action in (None, one[1].action)]
        return SideDecision(
            direction=direction,
            outcome=outcome,
            reason=reason if matching or action is None else otherwise,
            isolating=tuple(policy for step in steps for policy in step.isolating),
            matching=tuple(matching or (found.unsure if action is None else ())),
        )

    def _doubt(self, probe: Probe, steps: tuple[_Step, ...], found: _Possible) -> str:
        """Say why the answer is not known."""
        doubtful = [policy for step in steps for policy in step.doubtful]
        if doubtful:
            return f"not known what {doubtful[0]} does here"
        if not probe.protocol.has_ports and self._enforcer is Dialect.KUBERNETES:
            return "the API leaves ICMP under isolation to the implementation"
        unclear = next((rule.unclear for _, rule in found.unsure if rule.unclear), None)
        return f"a rule may match ({unclear})" if unclear else "a rule may match"

    def _settled(self, direction: Direction, here: End, there: End) -> tuple[Outcome, str] | None:
        """Return what the platform's settings decide whatever the policies say, or None."""
        if isinstance(here, PodEnd) and _setting(self._platform, "enable-policy") == "never":
            return Outcome.ALLOWED, "nothing is enforced (enable-policy=never)"
        if not isinstance(here, PodEnd) or not isinstance(there, EntityEnd) or there.entity is not Entity.HOST:
            return None
        if direction is Direction.INGRESS and _setting(self._platform, "allow-localhost") != "policy":
            return Outcome.ALLOWED, "a node always reaches its own pods"
        dropped = _setting(self._platform, "default-endpoint-to-host-action") == "drop"
        if direction is Direction.EGRESS and dropped and not self._as_enforced:
            return Outcome.DENIED, "the node drops what its pods send to it (defaultEndpointToHostAction Drop)"
        return None

    def _follow(self, probe: Probe, here: PodEnd, there: End, steps: tuple[_Step, ...]) -> _Possible:
        """Follow all outcomes that are possible through the stages."""
        found = _Possible()
        left = probe.content
        for step in steps:
            further = _NONE
            if self._leaves_open(step, probe.protocol):
                found.allowed |= left
                found.denied |= left
            for rank in step.ranks:
                decided = _NONE
                for governing in rank:
                    for truth, hit in self._hits(governing, probe, here, there, left):
                        found.take(governing, truth, hit)
                        further |= hit if governing[2].action is Action.PASS else _NONE
                        decided |= hit if truth is Truth.YES else _NONE
                left -= decided
            if step.isolated is not Truth.NO and step.stage.default is Action.DENY:
                found.denied |= left
            if step.isolated is not Truth.YES or step.stage.default is Action.PASS:
                further |= left
            left = further
        if self._always and not any(step.ranks or step.isolating for step in steps):
            found.denied |= left
        else:
            found.allowed |= left
        return found

    def _leaves_open(self, step: _Step, protocol: Protocol) -> bool:
        """Say whether ICMP is undefined: Kubernetes policies enforced by nobody in particular."""
        return (
            not protocol.has_ports
            and self._enforcer is Dialect.KUBERNETES
            and any(policy.dialect is Dialect.KUBERNETES for policy in step.isolating)
        )

    def _hits(
        self, governing: _Governing, probe: Probe, here: PodEnd, there: End, left: PortSet
    ) -> Iterator[tuple[Truth, PortSet]]:
        """Yield the contents that a rule matches among those that are left, and how surely."""
        governs, _, rule = governing
        if rule.protocol is not probe.protocol or not left.intervals:
            return
        truth = min(governs, any_of(self._peers.covers(match, there, here.version) for match in rule.peers))
        if truth is not Truth.NO and rule.own is not None:
            truth = min(truth, self._peers.covers(rule.own, here, here.version))
        if truth is Truth.NO:
            return
        if rule.unclear:
            truth = Truth.MAYBE
        content = rule.content
        if rule.names:
            named = _named_ports(rule, probe.server)
            if named is None and (left - content).intervals:
                yield Truth.MAYBE, left - content
            content |= named or _NONE
        hit = left & content
        if hit.intervals:
            yield truth, hit

    def _governed(self, direction: Direction, version: WorkloadVersion) -> tuple[_Step, ...]:
        """Return what governs a pod, stage by stage; computed once per pod version."""
        key = (direction, version)
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

    def _step(self, stage: Stage, governing: list[tuple[Truth, ReadPolicy]]) -> _Step:
        """Arrange the policies that govern a pod in one stage."""
        by_rank: dict[Rank, list[_Governing]] = {}
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
        return _Step(
            stage=stage,
            ranks=tuple(tuple(by_rank[rank]) for rank in sorted(by_rank)),
            isolating=tuple(policy for _, policy in isolating),
            isolated=any_of(truth for truth, _ in isolating),
            doubtful=tuple(policy for truth, policy in governing if truth is Truth.MAYBE or policy.unread),
        )

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


def _named_ports(rule: ReadRule, server: End) -> PortSet | None:
    """Return the numbers that the server's containers give to the names of a rule, or None when nobody knows them.

    What is no pod has no containers, and so no port by name.
    """
    if not isinstance(server, PodEnd):
        return _NONE
    if server.ports is None:
        return None
    return PortSet.of(*(p.number for p in server.ports if p.name in rule.names and p.protocol == rule.protocol))
