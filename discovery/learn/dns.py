"""DNS: a workload whose egress is isolated can still resolve names, at the resolvers' real labels and ports.

A resolver is a workload, or a node (NodeLocal DNS, a resolver on the host network), that some client was seen to ask
for names: its records are DNS at layer 7, or it serves port 53 (the port identifies the service here; it is never used
to decide a direction).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from discovery.learn.judge import Judged, Ruling
from discovery.learn.peers import NodesOf, cluster_of, peer_of
from discovery.learn.selectors import Choice
from discovery.model.edge import Protocol
from discovery.model.intent import Allow, Origin, Peer
from discovery.model.inventory import DeclaredCall
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, WorkloadRef

_DNS_PORT = 53
_PROTOCOLS = (Protocol.TCP, Protocol.UDP)
_NODES = (EndpointKind.HOST, EndpointKind.REMOTE_NODE)
# Resolvers that are known by their names, whatever a window shows of them.
RESOLVERS = frozenset({"coredns", "dns-default", "kube-dns", "node-local-dns", "rke2-coredns-rke2-coredns"})
_USED = {
    Protocol.TCP: "large answers come over TCP",
    Protocol.UDP: "names are asked for over UDP unless told otherwise",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """What answers DNS in a cluster: how a rule names it, on which port, and for how many clients. ``workload`` is None
    for a node.
    """

    cluster: str
    peer: Peer
    port: int
    clients: int
    workload: WorkloadRef | None = None


def find_resolvers(
    judged: Iterable[Judged],
    choices: Mapping[WorkloadRef, Choice],
    addresses: NodesOf,
    declared: Iterable[DeclaredCall] = (),
) -> tuple[Resolver, ...]:
    """Return the resolvers that learned edges show and those that Services declare, in a stable order. ``addresses``
    are those of nodes as servers.
    """
    clients: dict[tuple[str, Peer, int], set[str]] = {}
    workloads: dict[Peer, WorkloadRef | None] = {}
    for one in judged:
        edge = one.edge
        is_dns = "dns" in edge.l7 or edge.port == _DNS_PORT
        cluster = cluster_of(edge)
        if one.ruling is not Ruling.LEARN or cluster is None or not (edge.port and is_dns):
            continue
        if edge.protocol in _PROTOCOLS and (edge.server.workload or edge.server.kind in _NODES):
            peer = peer_of(edge.server, choices, addresses.get(cluster, {}))
            if peer is not None:
                clients.setdefault((cluster, peer, edge.port), set()).add(str(edge.client))
                workloads[peer] = edge.server.workload
    for call in declared:
        peer = choices[call.workload].peer if call.workload in choices else None
        if peer is not None and call.protocol in _PROTOCOLS:
            clients.setdefault((call.workload.cluster, peer, call.port), set())
            workloads[peer] = call.workload
    found = [
        Resolver(cluster=cluster, peer=peer, port=port, clients=len(asked_by), workload=workloads[peer])
        for (cluster, peer, port), asked_by in clients.items()
    ]
    return tuple(sorted(found, key=_order))


def _order(resolver: Resolver) -> tuple[str, str, int]:
    """Return a total order of the resolvers of one run."""
    return resolver.cluster, repr(resolver.peer), resolver.port


def dns_additions(workload: WorkloadRef, allows: Iterable[Allow], resolvers: tuple[Resolver, ...]) -> tuple[Allow, ...]:
    """Return what must be added so that a workload can resolve names.

    Where it was seen to ask a resolver, that resolver gets both UDP and TCP (large answers use TCP); otherwise the
    resolver that most clients of its cluster ask. Nothing is added when no resolver is known.
    """
    near = [
        resolver for resolver in resolvers if resolver.cluster == workload.cluster and resolver.workload != workload
    ]
    given = {(allow.peer, allow.protocol, port) for allow in allows for port in allow.ports}
    used = [
        resolver
        for resolver in near
        if any((resolver.peer, protocol, resolver.port) in given for protocol in _PROTOCOLS)
    ]
    chosen = used or sorted(near, key=lambda resolver: (-resolver.clients, _order(resolver)))[:1]
    additions = []
    for resolver in chosen:
        peer = resolver.peer
        for protocol in _PROTOCOLS:
            if (peer, protocol, resolver.port) not in given:
                why = _USED[protocol] if used else "no look-up was seen, and names must still resolve"
                additions.append(
                    Allow(
                        peer=peer, protocol=protocol, ports=PortSet.of(resolver.port), origin=Origin.DNS,
                        reason=why,
                    )
                )  # fmt: skip
    return tuple(additions)
