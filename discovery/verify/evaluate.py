"""Decide what a set of policies does to one connection.

Semantics: a side (egress at the client, ingress at the server) is open until a policy in force isolates it; then only
the union of the allows of all policies in force passes. Both sides must allow. Answers are three-valued: what depends
on something unknown (a manifest that could not be evaluated, an address nobody saw, behaviour that the platform leaves
open) is UNKNOWN, never a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, WorkloadVersion
from discovery.verify.nets import NetIndex, Relation, parse_target
from discovery.verify.rules import (
    OPT_IN_KEY,
    OPT_IN_VALUE,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
)

_NODES = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)
_CILIUM_DEFAULT_DENY_FIELD = (1, 16)
# First releases that know a field or kind that older ones ignore or refuse.
_NEEDS = {
    (Dialect.KUBERNETES, "endPort"): (1, 22),
    (Dialect.CILIUM, "endPort"): (1, 16),
    (Dialect.CILIUM, "enableDefaultDeny"): (1, 16),
    (Dialect.CALICO, "staged"): (3, 30),
}


# Namespace, direction and one label pair of a subject; None where the subject has none.
_Place = tuple[str | None, Direction, tuple[str, str] | None]


class Outcome(StrEnum):
    """What happens to a connection."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Truth(StrEnum):
    """A three-valued answer."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnd:
    """A pod; ``address`` is its address, or None when nobody saw it."""

    version: WorkloadVersion
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityEnd:
    """A reserved entity. HOST is the node that the pod at the other end runs on."""

    entity: Entity
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressEnd:
    """An external address or prefix (a prefix asks for all of its addresses). ``resolved`` is False when nobody
    knows what the address was.
    """

    address: str
    resolved: bool = True


End = PodEnd | EntityEnd | AddressEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One connection to decide. ``port`` is the server's, after translation; None asks for every port (or type)."""

    client: End
    server: End
    protocol: Protocol
    port: int | None = None
    icmp_type: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDecision:
    """The answer of one side, with the policies that isolate it and the rules that (may) allow the probe."""

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


def decide(policies: Iterable[ReadPolicy], probe: Probe, platform: Platform, *, as_enforced: bool = False) -> Decision:
    """Return what the policies do to one connection; for many probes keep an :class:`Evaluator`."""
    return Evaluator(policies, platform, as_enforced=as_enforced).decide(probe)


class Evaluator:
    """Decides many probes under one set of policies.

    With ``as_enforced`` every policy counts as if it were promoted: staged kinds are in force, opt-in labels are not
    asked for, and ``enableDefaultDeny: false`` isolates. It asks what these policies do, so what the platform denies
    whatever they say (``enable-policy=always``, ``defaultEndpointToHostAction``) does not count then.
    """

    def __init__(self, policies: Iterable[ReadPolicy], platform: Platform, *, as_enforced: bool = False) -> None:
        """Index the policies by place and direction."""
        self._platform = platform
        self._as_enforced = as_enforced
        self._enforcer = _enforcer(platform)
        self._places: dict[_Place, list[tuple[int, ReadPolicy]]] = {}
        self._nets: dict[CidrMatch, NetIndex] = {}
        self._governing: dict[tuple[Direction, WorkloadVersion], tuple[list[ReadPolicy], list[ReadPolicy]]] = {}
        enforced = [policy for policy in policies if self._enforced(policy)]
        shared = Counter(pair for policy in enforced for pair in policy.subject.labels.pairs)
        for number, policy in enumerate(enforced):
            # The rarest label of a subject is enough to find it, so a pod looks at few policies of its namespace.
            pair = min(policy.subject.labels.pairs, key=shared.__getitem__, default=None)
            place = (policy.subject.namespace, policy.direction, pair)
            self._places.setdefault(place, []).append((number, policy))

    def decide(self, probe: Probe) -> Decision:
        """Return what happens to one connection."""
        return Decision(
            egress=self._side(probe, Direction.EGRESS, probe.client, probe.server),
            ingress=self._side(probe, Direction.INGRESS, probe.server, probe.client),
        )

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
        certain, doubtful = self._governed(direction, here.version)
        isolating = tuple(
            policy for policy in (*certain, *doubtful) if self._as_enforced or isolates(policy, self._platform)
        )
        if doubtful:
            reason = f"not known what {doubtful[0]} does here"
            return SideDecision(direction=direction, outcome=Outcome.UNKNOWN, reason=reason, isolating=isolating)
        if not isolating and (self._as_enforced or _setting(self._platform, "enable-policy") != "always"):
            return SideDecision(direction=direction, outcome=Outcome.ALLOWED, reason="not isolated")
        if not probe.protocol.has_ports and self._open_icmp(certain):
            reason = "the API leaves ICMP under isolation to the implementation"
            return SideDecision(direction=direction, outcome=Outcome.UNKNOWN, reason=reason, isolating=isolating)
        return self._allows(probe, direction, here.version, there, certain, isolating)

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

    def _allows(
        self,
        probe: Probe,
        direction: Direction,
        subject: WorkloadVersion,
        peer: End,
        policies: list[ReadPolicy],
        isolating: tuple[ReadPolicy, ...],
    ) -> SideDecision:
        """Return the union of the allows of the policies in force."""
        found: dict[Truth, list[tuple[ReadPolicy, ReadRule]]] = {Truth.YES: [], Truth.MAYBE: []}
        for policy in policies:
            for rule in policy.rules:
                truth = self._rule(rule, probe, subject, peer)
                if truth is not Truth.NO:
                    found[truth].append((policy, rule))
        if found[Truth.YES]:
            outcome, reason, matching = Outcome.ALLOWED, "allowed by a rule", found[Truth.YES]
        elif found[Truth.MAYBE]:
            outcome, reason, matching = Outcome.UNKNOWN, "a rule may match", found[Truth.MAYBE]
        else:
            outcome, reason, matching = Outcome.DENIED, "isolated and no rule matches", []
        return SideDecision(
            direction=direction, outcome=outcome, reason=reason, isolating=isolating, matching=tuple(matching)
        )

    def _governed(self, direction: Direction, version: WorkloadVersion) -> tuple[list[ReadPolicy], list[ReadPolicy]]:
        """Return :meth:`_in_force`, computed once per pod version."""
        key = (direction, version)
        if key not in self._governing:
            self._governing[key] = self._in_force(direction, version)
        return self._governing[key]

    def _in_force(self, direction: Direction, version: WorkloadVersion) -> tuple[list[ReadPolicy], list[ReadPolicy]]:
        """Return the policies that surely govern a pod, and those that may, or in a way that is not known."""
        certain: list[ReadPolicy] = []
        doubtful: list[ReadPolicy] = []
        pairs = (None, *version.labels.pairs)
        places = ((namespace, direction, pair) for namespace in (version.ref.namespace, None) for pair in pairs)
        near = sorted(((n, p) for place in places for n, p in self._places.get(place, ())), key=lambda item: item[0])
        for _, policy in near:
            truth = _selects(policy.subject, version) if self._active(policy, version) else Truth.NO
            unclear = truth is Truth.MAYBE or not policy.complete or self._unclear(policy)
            if truth is not Truth.NO:
                (doubtful if unclear else certain).append(policy)
        return certain, doubtful

    def _active(self, policy: ReadPolicy, version: WorkloadVersion) -> bool:
        """Say whether a policy decides anything for a pod: staged ones never do, opt-in ones only for canaries."""
        if self._as_enforced:
            return True
        if policy.staged:
            return False
        return not policy.opt_in or version.labels.get(OPT_IN_KEY) == OPT_IN_VALUE

    def _unclear(self, policy: ReadPolicy) -> bool:
        """Say whether this platform may read the policy differently from how it is written."""
        foreign = self._enforcer is Dialect.KUBERNETES and policy.dialect is not Dialect.KUBERNETES
        # What policies of two tiers mean together depends on the order and the default action of the tiers.
        tier = _setting(self._platform, "tier") or "default"
        elsewhere = self._enforcer is Dialect.CALICO and policy.tier != tier
        return foreign or elsewhere or "endPort" in unmet_needs(policy, self._platform)

    def _open_icmp(self, policies: list[ReadPolicy]) -> bool:
        """Say whether ICMP is undefined: Kubernetes policies enforced by nobody in particular."""
        return self._enforcer is Dialect.KUBERNETES and any(policy.dialect is Dialect.KUBERNETES for policy in policies)

    def _rule(self, rule: ReadRule, probe: Probe, subject: WorkloadVersion, peer: End) -> Truth:
        """Say whether a rule allows the probe."""
        if rule.protocol is not probe.protocol:
            return Truth.NO
        layer4 = (
            _in_ports(rule.ports, probe.port)
            if probe.protocol.has_ports
            else _in_types(rule.icmp_types, probe.icmp_type)
        )
        if layer4 is Truth.NO:
            return Truth.NO
        best = Truth.NO
        for match in rule.peers:
            truth = self._peer(match, peer, subject)
            if truth is Truth.YES:
                return layer4
            if truth is Truth.MAYBE:
                best = Truth.MAYBE
        return best

    def _peer(self, match: PeerMatch, end: End, subject: WorkloadVersion) -> Truth:
        """Say whether a peer match covers the other end."""
        if isinstance(match, AnyMatch):
            return Truth.YES
        if isinstance(end, AddressEnd) and not end.resolved:
            return Truth.MAYBE
        if isinstance(match, PodMatch):
            return self._pod(match, end, subject)
        if isinstance(match, EntityMatch):
            return _entity(match.entity, end)
        return self._cidr(match, end)

    def _pod(self, match: PodMatch, end: End, subject: WorkloadVersion) -> Truth:
        """Say whether a pod selector covers the other end. Selectors reach other clusters only in a Cilium mesh."""
        cilium = self._enforcer is Dialect.CILIUM
        if isinstance(end, PodEnd):
            truth = _selects(match, end.version)
            if match.cluster is None and end.version.ref.cluster != subject.ref.cluster and truth is not Truth.NO:
                local = self._platform.dialect is Dialect.CILIUM and self._platform.local_by_default
                return Truth.MAYBE if cilium and not local else Truth.NO
            return truth
        # Cilium's special identities for pods carry no labels; elsewhere they are pods like others.
        special = isinstance(end, EntityEnd) and end.entity not in (*_NODES, Entity.WORLD)
        return Truth.MAYBE if special and not cilium else Truth.NO

    def _cidr(self, match: CidrMatch, end: End) -> Truth:
        """Say whether prefixes cover the other end: Cilium means the outside alone, the API text leaves pods open."""
        outside = isinstance(end, AddressEnd) or (isinstance(end, EntityEnd) and end.entity is Entity.WORLD)
        if outside:
            return self._contains(match, end)
        if self._enforcer is Dialect.CALICO:
            return self._contains(match, end)
        if self._enforcer is Dialect.KUBERNETES:
            return Truth.NO if self._contains(match, end) is Truth.NO else Truth.MAYBE
        mode = _setting(self._platform, "policy-cidr-match-mode") or ""
        if isinstance(end, PodEnd):
            return self._contains(match, end) if "pods" in mode else Truth.NO
        if isinstance(end, EntityEnd) and end.entity in _NODES:
            if "nodes" in mode:
                return self._contains(match, end)
            # An API server outside the cluster has an address identity as well.
            if end.entity is Entity.KUBE_APISERVER and self._contains(match, end) is not Truth.NO:
                return Truth.MAYBE
        return Truth.NO

    def _contains(self, match: CidrMatch, end: End) -> Truth:
        """Say whether the address of an end is inside; an address nobody saw may be."""
        if end.address is None:
            return Truth.MAYBE
        index = self._nets.get(match)
        if index is None:
            index = self._nets[match] = NetIndex(match)
        relation = index.relation(parse_target(end.address))
        return {Relation.INSIDE: Truth.YES, Relation.OUTSIDE: Truth.NO, Relation.PARTLY: Truth.MAYBE}[relation]


def _enforcer(platform: Platform) -> Dialect:
    """Return who enforces; KUBERNETES stands for "somebody, by the API text alone"."""
    if platform.dialect is not Dialect.KUBERNETES:
        return platform.dialect
    setting = platform.setting("enforcer")
    return Dialect.KUBERNETES if setting == "strict" else Dialect(setting)


def _selects(match: PodMatch, version: WorkloadVersion) -> Truth:
    """Say whether a pod match covers a version; attributes that no source reported may match."""
    if match.cluster not in (None, version.ref.cluster) or match.namespace not in (None, version.ref.namespace):
        return Truth.NO
    if not version.labels.matches(match.labels):
        return Truth.NO
    truth = Truth.YES
    if match.service_account is not None and match.service_account != version.service_account:
        if version.service_account is not None:
            return Truth.NO
        truth = Truth.MAYBE
    if not version.namespace_labels.matches(match.namespace_labels):
        # Every namespace has labels (its name at least), so none at all means that they are not known.
        if version.namespace_labels != Labels():
            return Truth.NO
        truth = Truth.MAYBE
    return truth


def _entity(entity: Entity, end: End) -> Truth:
    """Say whether an entity covers the other end."""
    if isinstance(end, AddressEnd):
        return Truth.YES if entity is Entity.WORLD else Truth.NO
    if not isinstance(end, EntityEnd):
        return Truth.NO
    if end.entity is entity:
        return Truth.YES
    # An API server is also a node or an outside address, but which of them is not known.
    either = (Entity.HOST, Entity.REMOTE_NODE, Entity.WORLD)
    return Truth.MAYBE if end.entity is Entity.KUBE_APISERVER and entity in either else Truth.NO


def _in_ports(ports: PortSet, port: int | None) -> Truth:
    """Say whether a port, or every port, is in a set."""
    if port is None:
        return Truth.YES if ports == PortSet.all() else Truth.MAYBE
    return Truth.YES if port in ports else Truth.NO


def _in_types(types: tuple[int, ...], icmp_type: int | None) -> Truth:
    """Say whether an ICMP type, or every type, is in a list."""
    if icmp_type is None:
        return Truth.YES if len(types) == 256 else Truth.MAYBE
    return Truth.YES if icmp_type in types else Truth.NO
