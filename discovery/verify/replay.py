"""Replay: what a set of policies would do to every recorded edge, and what each rule was good for.

An edge stands for several connections: each version of a workload, each address of an external end. It is denied if any
of them is, else unknown if any of them is. A decision is taken once per distinct pair of ends and port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.inventory import NamedPort
from discovery.model.workload import EndpointKind, Entity, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.decisions import Decision, Outcome, Probe, SideDecision
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.rules import ReadPolicy, ReadRule


class Fate(StrEnum):
    """What would become of an edge."""

    COVERED = "covered"
    WOULD_DENY = "would-deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One edge with its fate. ``sides`` are those that do not surely allow it, with the probe that shows it; none has
    been taken when nothing is known of an end or no policy can name the protocol: ``reason`` then says so.
    """

    edge: Edge
    fate: Fate
    sides: tuple[SideDecision, ...] = ()
    probe: Probe | None = None
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Use:
    """What allowed edges used a rule for: ports (ICMP types alike) and the other ends."""

    contents: set[int] = field(default_factory=set)
    peers: set[WorkloadRef | str] = field(default_factory=set)
    edges: int = 0


# A rule by its manifest, direction and field path: the rules that one written rule was read into are one here.
RuleKey = tuple[str, Direction, str]


def rule_key(policy: ReadPolicy, rule: ReadRule) -> RuleKey:
    """Return which written rule a rule was read from."""
    return policy.source, policy.direction, rule.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The fates of edges, in their order, and the use of every rule that allowed one."""

    edges: tuple[Replayed, ...]
    uses: dict[RuleKey, Use]


class Ends:
    """The ends that endpoints of edges stand for."""

    def __init__(
        self, versions: Iterable[WorkloadVersion], ports: Mapping[WorkloadRef, tuple[NamedPort, ...]] | None = None
    ) -> None:
        """Know the versions of all workloads, each set of attributes once, and the ports that containers name."""
        self._ports = ports or {}
        self._by_ref: dict[WorkloadRef, list[WorkloadVersion]] = {}
        self._known: dict[Endpoint, tuple[End, ...]] = {}
        seen: set[tuple[WorkloadRef, Labels, str | None, Labels]] = set()
        for version in versions:
            attributes = (version.ref, version.labels, version.service_account, version.namespace_labels)
            if attributes not in seen:
                seen.add(attributes)
                self._by_ref.setdefault(version.ref, []).append(version)

    def of(self, endpoint: Endpoint) -> tuple[End, ...]:
        """Return what an endpoint may be; nothing for a workload of which no version is known."""
        if endpoint not in self._known:
            self._known[endpoint] = tuple(self._ends(endpoint))
        return self._known[endpoint]

    def _ends(self, endpoint: Endpoint) -> Iterator[End]:
        """Yield what an endpoint may be."""
        if endpoint.workload is not None:
            for version in self._by_ref.get(endpoint.workload, ()):
                yield PodEnd(version=version, ports=self._ports.get(version.ref))
            return
        entity = endpoint.kind.entity
        if entity is not None:
            for address in endpoint.addresses or (None,):
                yield EntityEnd(entity=entity, address=address)
            return
        resolved = endpoint.kind is not EndpointKind.UNRESOLVED
        for address in endpoint.addresses:
            yield AddressEnd(address=address, resolved=resolved, names=endpoint.names)
        if not endpoint.addresses:
            yield EntityEnd(entity=Entity.WORLD) if resolved else AddressEnd(address="0.0.0.0/0", resolved=False)


def replay(
    edges: Iterable[Edge],
    versions: Iterable[WorkloadVersion],
    evaluator: Evaluator,
    ports: Mapping[WorkloadRef, tuple[NamedPort, ...]] | None = None,
) -> Replay:
    """Return the fate of every edge under the evaluator's policies; ``ports`` are those that containers name."""
    ends = Ends(versions, ports)
    uses: dict[RuleKey, Use] = {}
    return Replay(edges=tuple(_replay_one(edge, ends, evaluator, uses) for edge in edges), uses=uses)


def _replay_one(edge: Edge, ends: Ends, evaluator: Evaluator, uses: dict[RuleKey, Use]) -> Replayed:
    """Return the fate of one edge, and note the rules that allow it."""
    if edge.protocol is None:
        return Replayed(edge=edge, fate=Fate.UNKNOWN, reason="no policy can name its protocol")
    clients, servers = ends.of(edge.client), ends.of(edge.server)
    for endpoint, found in ((edge.client, clients), (edge.server, servers)):
        if not found:
            return Replayed(edge=edge, fate=Fate.UNKNOWN, reason=f"nothing is known of {endpoint}")
    worst: tuple[Decision, Probe] | None = None
    for client in clients:
        for server in servers:
            probe = Probe(
                client=client, server=server, protocol=edge.protocol, port=edge.port, icmp_type=edge.icmp_type
            )
            decision = evaluator.decide(probe)
            _note_use(edge, decision, uses)
            outcome = decision.outcome
            if outcome is Outcome.DENIED and (worst is None or worst[0].outcome is not Outcome.DENIED):
                worst = (decision, probe)
            if outcome is Outcome.UNKNOWN and worst is None:
                worst = (decision, probe)
    if worst is None:
        return Replayed(edge=edge, fate=Fate.COVERED)
    decision, probe = worst
    fate = Fate.WOULD_DENY if decision.outcome is Outcome.DENIED else Fate.UNKNOWN
    sides = tuple(side for side in (decision.egress, decision.ingress) if side.outcome is not Outcome.ALLOWED)
    return Replayed(edge=edge, fate=fate, sides=sides, probe=probe)


def _note_use(edge: Edge, decision: Decision, uses: dict[RuleKey, Use]) -> None:
    """Note what the rules that allow an edge were used for."""
    number = edge.port if edge.icmp_type is None else edge.icmp_type
    for side, peer in ((decision.egress, edge.server), (decision.ingress, edge.client)):
        if side.outcome is not Outcome.ALLOWED:
            continue
        for policy, rule in side.matching:
            use = uses.setdefault(rule_key(policy, rule), Use())
            use.edges += 1
            if number is not None:
                use.contents.add(number)
            use.peers |= {peer.workload} if peer.workload is not None else {*(peer.addresses or (str(peer),))}
