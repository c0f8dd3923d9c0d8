"""DNS: a workload whose egress is isolated can still resolve names, at the resolvers' real labels and ports.

A resolver is a workload that some client was seen to ask for names: its records are DNS at layer 7, or it
serves port 53 (the port identifies the service here; it is never used to decide a direction).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from discovery.learn.judge import Judged, Ruling
from discovery.learn.selectors import Choice
from discovery.model.edge import Protocol
from discovery.model.intent import Allow, Origin, WorkloadPeer
from discovery.model.ports import PortSet
from discovery.model.workload import Selector, WorkloadRef

_DNS_PORT = 53
_PROTOCOLS = (Protocol.TCP, Protocol.UDP)
_USED = {
    Protocol.TCP: "large answers come over TCP",
    Protocol.UDP: "names are asked for over UDP unless told otherwise",
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Resolver:
    """A workload that answers DNS: how it is selected and on which port."""

    workload: WorkloadRef
    selector: Selector
    port: int
    clients: int


def find_resolvers(judged: Iterable[Judged], choices: Mapping[WorkloadRef, Choice]) -> tuple[Resolver, ...]:
    """Return the resolvers that learned edges show, sorted."""
    clients: dict[tuple[WorkloadRef, int], set[str]] = {}
    for one in judged:
        edge = one.edge
        is_dns = "dns" in edge.l7 or edge.port == _DNS_PORT
        if one.ruling is Ruling.LEARN and edge.server.workload and edge.port and is_dns and edge.protocol in _PROTOCOLS:
            clients.setdefault((edge.server.workload, edge.port), set()).add(str(edge.client))
    resolvers = []
    for (workload, port), asked_by in clients.items():
        selector = choices[workload].selector
        if selector is not None:
            resolvers.append(Resolver(workload=workload, selector=selector, port=port, clients=len(asked_by)))
    return tuple(sorted(resolvers))


def dns_additions(workload: WorkloadRef, allows: Iterable[Allow], resolvers: tuple[Resolver, ...]) -> tuple[Allow, ...]:
    """Return what must be added so that a workload can resolve names.

    Where it was seen to ask a resolver, that resolver gets both UDP and TCP (large answers use TCP); otherwise the
    resolver that most clients of its cluster ask. Nothing is added when no resolver is known.
    """
    near = [
        resolver
        for resolver in resolvers
        if resolver.workload.cluster == workload.cluster and resolver.workload != workload
    ]
    given = {(allow.peer, allow.protocol, port) for allow in allows for port in allow.ports}
    used = [
        resolver
        for resolver in near
        if any((WorkloadPeer(selector=resolver.selector), protocol, resolver.port) in given for protocol in _PROTOCOLS)
    ]
    chosen = used or sorted(near, key=lambda resolver: (-resolver.clients, resolver))[:1]
    additions = []
    for resolver in chosen:
        peer = WorkloadPeer(selector=resolver.selector)
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
