"""Decide what a set of policies does to one connection.

Semantics: a side (egress at the client, ingress at the server) goes through the stages of its platform one after the
other. In a stage the first rule that matches decides (allows of one rank are a union); what no rule decides is the
stage's default if a policy isolates the pod there, else the next stage's; what no stage decides passes. Both sides must
allow. Answers are three-valued: what depends on something unknown (a manifest that could not be evaluated, an address
nobody saw, behaviour that the platform leaves open) is UNKNOWN, never a guess: all outcomes that are possible are
followed, and only one that stands alone is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, WorkloadVersion
from discovery.verify.decisions import STRANGER, Decision, Outcome, Probe, SideDecision, everything
from discovery.verify.effects import setting
from discovery.verify.ends import NODES, AddressEnd, End, EntityEnd, PeerMatcher, PodEnd, enforcer_of
from discovery.verify.governing import Governing, Governors, Step, rank_of
from discovery.verify.rules import Action, NameMatch, ReadPolicy, ReadRule, Tier
from discovery.verify.truth import Truth

_NONE = PortSet()


@dataclass(slots=True, kw_only=True)
class _Possible:
    """The contents that may be allowed and those that may be denied, and the rules that match, surely or perhaps."""

    allowed: PortSet = _NONE
    denied: PortSet = _NONE
    sure: list[tuple[ReadPolicy, ReadRule]] = field(default_factory=list)
    unsure: list[tuple[ReadPolicy, ReadRule]] = field(default_factory=list)

    def take(self, governing: Governing, truth: Truth, hit: PortSet) -> None:
        """Note what a rule does to the contents that it hits, a pass aside."""
        _, policy, rule = governing
        if rule.action is Action.ALLOW:
            self.allowed = _either(self.allowed, hit)
        elif rule.action is Action.DENY:
            self.denied = _either(self.denied, hit)
        (self.sure if truth is Truth.YES else self.unsure).append((policy, rule))


_OPEN = {
    direction: SideDecision(direction=direction, outcome=Outcome.ALLOWED, reason="not isolated")
    for direction in Direction
}


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
    those of Calico that manifests define. ``versions`` are workloads that are asked about often: the rules that name
    them are found by them. The answers are the same without.
    """

    def __init__(
        self,
        policies: Iterable[ReadPolicy],
        platform: Platform,
        *,
        as_enforced: bool = False,
        tiers: Iterable[Tier] = (),
        versions: Iterable[WorkloadVersion] = (),
    ) -> None:
        """Index the policies."""
        self._platform = platform
        self._as_enforced = as_enforced
        self._enforcer = enforcer_of(platform)
        self.peers = PeerMatcher(platform)
        self._always = setting(platform, "enable-policy") == "always" and not as_enforced
        self._never = setting(platform, "enable-policy") == "never"
        given = list(policies)
        self._asks_names = any(
            isinstance(peer, NameMatch) for policy in given for rule in policy.rules for peer in rule.peers
        )
        self._asks_requests = any(rule.layer7 for policy in given for rule in policy.rules)
        self._of_nodes = next((one for one in given if one.nodes and one.dialect is self._enforcer), None)
        self._governors = Governors(
            [policy for policy in given if not policy.nodes],
            platform,
            self.peers,
            as_enforced=as_enforced,
            tiers=tiers,
            versions=versions,
        )

    def decide(self, probe: Probe) -> Decision:
        """Return what happens to one connection."""
        return Decision(
            egress=self._side(probe, Direction.EGRESS, probe.client, probe.server),
            ingress=self._side(probe, Direction.INGRESS, probe.server, probe.client),
        )

    @property
    def asks_requests(self) -> bool:
        """Say whether any rule is about requests of layer 7."""
        return self._asks_requests

    @property
    def asks_names(self) -> bool:
        """Say whether any rule means addresses by their names."""
        return self._asks_names

    def steps(self, direction: Direction, version: WorkloadVersion) -> tuple[Step, ...]:
        """Return what governs one side of a pod, stage by stage."""
        return self._governors.of(direction, version)

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
            for step in self.steps(direction, version)
        )

    def is_open(self, direction: Direction, version: WorkloadVersion) -> bool:
        """Say whether nothing governs a side of a pod, so that everything passes there."""
        return self._never or not (self._always or self.steps(direction, version))

    def peers_named(self, direction: Direction, version: WorkloadVersion) -> frozenset[int] | None:
        """Return the identities of the known versions that the rules of a side name, or None when a rule, or the lack
        of isolation, may mean anybody.
        """
        named: set[int] = set()
        for step in self.steps(direction, version):
            index = self._governors.index_of(step, version)
            if index is None or index.rest or step.isolated is not Truth.YES:
                return None
            named |= index.by_peer.keys()
        return frozenset(named) if self.steps(direction, version) and not self._never else None

    def governing_rules(
        self, direction: Direction, version: WorkloadVersion
    ) -> tuple[tuple[ReadPolicy, ReadRule], ...]:
        """Return the rules of all policies that govern a pod, or may, in the order in which they decide."""
        return tuple(
            (policy, rule) for step in self.steps(direction, version) for rank in step.ranks for _, policy, rule in rank
        )

    def allowed(self, client: End, server: End, protocol: Protocol) -> tuple[PortSet, PortSet]:
        """Return the ports (or ICMP types) on which a connection surely passes, and those on which it may."""
        sure, may = self.allowed_on(Direction.EGRESS, client, server, protocol)
        surely, perhaps = self.allowed_on(Direction.INGRESS, client, server, protocol)
        return sure & surely, may & perhaps

    def allowed_on(self, direction: Direction, client: End, server: End, protocol: Protocol) -> tuple[PortSet, PortSet]:
        """Return the ports (or ICMP types) that one side surely lets pass, and those that it may."""
        here, there = (client, server) if direction is Direction.EGRESS else (server, client)
        found = self.settled(direction, here, there)
        if found is not None:
            both = everything(protocol) if found[0] is Outcome.ALLOWED else _NONE
            return both, both
        if isinstance(here, PodEnd):
            probe = Probe(client=client, server=server, protocol=protocol)
            possible = self._follow(probe, here, there, self.steps(direction, here.version))
            return possible.allowed - possible.denied, possible.allowed
        return (_NONE if self._is_governed_node(here) else everything(protocol)), everything(protocol)

    def _side(self, probe: Probe, direction: Direction, here: End, there: End) -> SideDecision:
        """Return the answer of the side that ``here`` is on."""
        settled = self.settled(direction, here, there)
        if settled is not None:
            outcome, reason = settled
            return SideDecision(direction=direction, outcome=outcome, reason=reason)
        if not isinstance(here, PodEnd):
            return self.outside_pods(direction, here)
        steps = self.steps(direction, here.version)
        if not steps and not self._always:
            return _OPEN[direction]
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

    def outside_pods(self, direction: Direction, here: End) -> SideDecision:
        """Return the answer of a side that is no pod: nothing that is evaluated governs it."""
        if isinstance(here, AddressEnd) and here.stranger and self._governors.isolates_any(direction):
            return SideDecision(direction=direction, outcome=Outcome.UNKNOWN, reason=STRANGER)
        if self._of_nodes is not None and self._is_governed_node(here):
            reason = f"not known what {self._of_nodes} does to nodes"
            return SideDecision(direction=direction, outcome=Outcome.UNKNOWN, reason=reason)
        return SideDecision(direction=direction, outcome=Outcome.ALLOWED, reason="no pod on this side")

    def _is_governed_node(self, here: End) -> bool:
        """Say whether policies of nodes, which are not evaluated, may decide about an end."""
        node = isinstance(here, EntityEnd) and here.entity in NODES
        return node and self._of_nodes is not None and not self._never

    def _doubt(self, probe: Probe, steps: tuple[Step, ...], found: _Possible) -> str:
        """Say why the answer is not known."""
        doubtful = [policy for step in steps for policy in step.doubtful]
        if doubtful:
            return f"not known what {doubtful[0]} does here"
        if not probe.protocol.has_ports and self._enforcer is Dialect.KUBERNETES:
            return "the API leaves ICMP under isolation to the implementation"
        unclear = next((rule.unclear for _, rule in found.unsure if rule.unclear), None)
        if unclear is None and probe.request is None and any(rule.layer7 for _, rule in found.unsure):
            unclear = "it is about requests of layer 7, and none was recorded"
        return f"a rule may match ({unclear})" if unclear else "a rule may match"

    def settled(self, direction: Direction, here: End, there: End) -> tuple[Outcome, str] | None:
        """Return what the platform's settings decide whatever the policies say, or None."""
        if not isinstance(here, PodEnd):
            return None
        if self._never:
            return Outcome.ALLOWED, "nothing is enforced (enable-policy=never)"
        if not isinstance(there, EntityEnd) or there.entity is not Entity.HOST:
            return None
        if direction is Direction.INGRESS and setting(self._platform, "allow-localhost") != "policy":
            return Outcome.ALLOWED, "a node always reaches its own pods"
        dropped = setting(self._platform, "default-endpoint-to-host-action") == "drop"
        if direction is Direction.EGRESS and dropped and not self._as_enforced:
            return Outcome.DENIED, "the node drops what its pods send to it (defaultEndpointToHostAction Drop)"
        return None

    def _follow(self, probe: Probe, here: PodEnd, there: End, steps: tuple[Step, ...]) -> _Possible:
        """Follow all outcomes that are possible through the stages."""
        found = _Possible()
        left = probe.content
        for step in steps:
            further = _NONE
            if self.leaves_open(step, probe.protocol):
                found.allowed |= left
                found.denied |= left
            for _, rank in itertools.groupby(self._governors.matching(step, probe, here, there), key=rank_of):
                decided = _NONE
                for _, sure, governing in rank:
                    for truth, hit in _hits(governing[2], sure, probe, left):
                        found.take(governing, truth, hit)
                        if governing[2].action is Action.PASS:
                            further = _either(further, hit)
                        if truth is Truth.YES:
                            decided = _either(decided, hit)
                left = _without(left, decided)
                if not left.intervals:
                    break
            if step.isolated is not Truth.NO and step.stage.default is Action.DENY:
                found.denied = _either(found.denied, left)
            if step.isolated is not Truth.YES or step.stage.default is Action.PASS:
                further = _either(further, left)
            left = further
        if self.denies_rest(steps):
            found.denied = _either(found.denied, left)
        else:
            found.allowed = _either(found.allowed, left)
        return found

    def denies_rest(self, steps: tuple[Step, ...]) -> bool:
        """Say whether what no stage decides is denied: where everything is isolated that no policy selects."""
        return self._always and not any(step.ranks or step.isolating for step in steps)

    def leaves_open(self, step: Step, protocol: Protocol) -> bool:
        """Say whether ICMP is undefined: Kubernetes policies enforced by nobody in particular."""
        return (
            not protocol.has_ports
            and self._enforcer is Dialect.KUBERNETES
            and any(policy.dialect is Dialect.KUBERNETES for policy in step.isolating)
        )


def named_ports(rule: ReadRule, server: End) -> PortSet | None:
    """Return the numbers that the server's containers give to the names of a rule, or None when nobody knows them.

    What is no pod has no containers, and so no port by name.
    """
    if not isinstance(server, PodEnd):
        return _NONE
    if server.ports is None:
        return None
    return PortSet.of(*(p.number for p in server.ports if p.name in rule.names and p.protocol == rule.protocol))


def _hits(rule: ReadRule, sure: Truth, probe: Probe, left: PortSet) -> Iterator[tuple[Truth, PortSet]]:
    """Yield the contents that a rule matches among those that are left, and how surely; its peer matches as surely."""
    content = rule.content
    if rule.names:
        named = named_ports(rule, probe.server)
        if named is None and (left - content).intervals:
            yield Truth.MAYBE, left - content
        content |= named or _NONE
    hit = _common(left, content)
    if hit.intervals:
        yield sure, hit


def _common(left: PortSet, content: PortSet) -> PortSet:
    """Return the intersection; quickly for the one port that most probes are about."""
    if len(left.intervals) == 1 and left.intervals[0][0] == left.intervals[0][1]:
        return left if left.intervals[0][0] in content else _NONE
    return left & content


def _either(one: PortSet, other: PortSet) -> PortSet:
    """Return the union; quickly where one is empty or both are the same."""
    if not other.intervals or one == other:
        return one
    return one | other if one.intervals else other


def _without(left: PortSet, decided: PortSet) -> PortSet:
    """Return the difference; quickly where nothing or everything was decided."""
    if not decided.intervals:
        return left
    return _NONE if left == decided else left - decided
