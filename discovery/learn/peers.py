"""Peers: from the other end of an edge to what a policy can name, nothing wider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from discovery.learn.selectors import Choice
from discovery.model.edge import Direction, Edge, Endpoint, EvidenceClass
from discovery.model.intent import CidrPeer, EntityPeer, Peer
from discovery.model.mesh import AMBIENT_PROBES
from discovery.model.networks import NAT64, is_inside
from discovery.model.workload import EndpointKind, WorkloadRef

_NODES = (EndpointKind.HOST, EndpointKind.REMOTE_NODE, EndpointKind.KUBE_APISERVER)
_LINK_LOCAL_4 = "169.254."
_LINK_LOCAL = re.compile(r"fe[89ab][0-9a-f]:|169\.254\.")


# Client addresses are personal data: what people review names these prefixes in their place.
CLIENT_PREFIX = {4: 24, 6: 48}
_NAT64_PREFIX = 120  # the last 32 bits are an IPv4 address, so this is its /24
AMBIENT_SOURCES = frozenset(prefix.partition("/")[0] for prefix in AMBIENT_PROBES)


def cover(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the minimal exact cover of addresses as canonical prefixes, IPv4 first: it holds these and no others."""
    networks = [ip_network(address) for address in sorted(set(addresses))]
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return tuple(str(network) for network in (*four, *six))


NodesOf = Mapping[str, Mapping[EndpointKind, tuple[str, ...]]]
"""The addresses of each kind of node, by cluster."""
NO_ADDRESSES: NodesOf = {}


def cluster_of(edge: Edge) -> str | None:
    """Return the cluster that an edge is seen in: of a workload at its end, the server's first; None without one."""
    for end in (edge.server, edge.client):
        if end.workload is not None:
            return end.workload.cluster
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddresses:
    """Addresses that some record of a cluster showed to be a node's or the API server's, with the most specific kind.

    Private ranges overlap between clusters: an address is a node where it was seen as one.
    """

    kinds: Mapping[tuple[str | None, str], EndpointKind]

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> NodeAddresses:
        """Collect them from all edges; the API server wins over a node, another node over the own one."""
        kinds: dict[tuple[str | None, str], EndpointKind] = {}
        order = {EndpointKind.HOST: 0, EndpointKind.REMOTE_NODE: 1, EndpointKind.KUBE_APISERVER: 2}
        for edge in edges:
            cluster = cluster_of(edge)
            for end in (edge.client, edge.server):
                if end.kind in order and end.exact:
                    for address in end.addresses:
                        if order[end.kind] >= order.get(kinds.get((cluster, address), EndpointKind.HOST), 0):
                            kinds[cluster, address] = end.kind
        return cls(kinds=kinds)


def split_external(edge: Edge, nodes: NodeAddresses) -> tuple[Edge, ...]:
    """Return the edge with external addresses that are really nodes moved to edges of their own.

    Sources report a node as "world" where they do not know it; a CIDR rule for a node never matches on Cilium.
    A node that is only known as "host" is another node to somebody, so it becomes remote-node.
    Link-local addresses of nodes go: on every link they mean another machine, so no rule may name them. Only what a
    pod's own node serves on one (NodeLocal DNS) stays, as an edge of its own.
    """
    pieces = []
    for piece in _split_served(edge):
        client, server = _routable(piece.client), _routable(piece.server)
        unchanged = client is piece.client and server is piece.server
        pieces.append(piece if unchanged else replace(piece, client=client, server=server))
    for side in ("client", "server"):
        pieces = [piece for one in pieces for piece in _split_side(one, side, nodes)]
    return tuple(pieces)


def _split_served(edge: Edge) -> list[Edge]:
    """Return what a pod's own node serves on link-local IPv4 addresses apart from what it serves on others."""
    end = edge.server
    if end.kind is not EndpointKind.HOST:
        return [edge]
    served = tuple(address for address in end.addresses if address.startswith(_LINK_LOCAL_4))
    rest = tuple(address for address in end.addresses if not address.startswith(_LINK_LOCAL_4))
    if not served or not rest:
        return [edge]
    return [replace(edge, server=replace(end, addresses=part, distinct_addresses=len(part))) for part in (served, rest)]


def _routable(end: Endpoint) -> Endpoint:
    """Return a node without its link-local addresses, unless it has no others; every other end as it is."""
    if end.kind not in _NODES:
        return end
    kept = tuple(address for address in end.addresses if not _LINK_LOCAL.match(address))
    if not kept or len(kept) == len(end.addresses):
        return end
    return replace(end, addresses=kept, distinct_addresses=len(kept))


def _split_side(edge: Edge, side: str, nodes: NodeAddresses) -> list[Edge]:
    """Split one end by what its addresses are."""
    end: Endpoint = getattr(edge, side)
    if end.kind is not EndpointKind.EXTERNAL or not end.exact:
        return [edge]
    groups: dict[EndpointKind, list[str]] = {}
    for address in end.addresses:
        kind = nodes.kinds.get((cluster_of(edge), address), EndpointKind.EXTERNAL)
        groups.setdefault(EndpointKind.REMOTE_NODE if kind is EndpointKind.HOST else kind, []).append(address)
    if set(groups) <= {EndpointKind.EXTERNAL}:
        return [edge]
    pieces = []
    for kind, addresses in sorted(groups.items()):
        names = end.names if kind is EndpointKind.EXTERNAL else ()
        moved = Endpoint(kind=kind, addresses=tuple(addresses), distinct_addresses=len(addresses), names=names)
        pieces.append(replace(edge, client=moved) if side == "client" else replace(edge, server=moved))
    return pieces


def with_client_prefixes(edge: Edge) -> Edge:
    """Return the edge with the addresses of external clients as the /24 (IPv4) or /48 (IPv6) that hold them. Where
    nobody knows who opened the connection, either end may be the client.
    """
    edge = replace(edge, client=_by_prefix(edge.client))
    return replace(edge, server=_by_prefix(edge.server)) if edge.evidence_class is EvidenceClass.NONE else edge


def _by_prefix(end: Endpoint) -> Endpoint:
    """Return an external end by prefixes, any other as it is."""
    if end.kind is not EndpointKind.EXTERNAL or not end.exact:
        return end
    prefixes = tuple(sorted({_client_prefix(address) for address in end.addresses}))
    return replace(end, addresses=prefixes, distinct_addresses=max(end.distinct_addresses, len(end.addresses)))


def _client_prefix(address: str) -> str:
    """Return the prefix that stands for a client, or an address that is not private to anybody."""
    network = ip_network(address)
    if address in AMBIENT_SOURCES or network.is_link_local:
        return address  # one that nodes use on every link: it is nobody's
    length = _NAT64_PREFIX if any(is_inside(address, one) for one in NAT64) else CLIENT_PREFIX[network.version]
    return str(network.supernet(new_prefix=min(length, network.prefixlen)))


def peer_of(
    end: Endpoint, choices: Mapping[WorkloadRef, Choice], entity_addresses: Mapping[EndpointKind, tuple[str, ...]]
) -> Peer | None:
    """Return the peer that names an end, or None when nothing can name it exactly."""
    if end.workload is not None:
        return choices[end.workload].peer
    if end.kind is EndpointKind.EXTERNAL:
        prefixes = cover(end.addresses) if end.exact else ()
        clients = any("/" in address for address in end.addresses)
        return CidrPeer(prefixes=prefixes, names=end.names, clients=clients) if prefixes else None
    entity = end.kind.entity
    if entity is None:
        return None
    if is_served_locally(end):
        return EntityPeer(entity=entity, addresses=end.addresses)
    return EntityPeer(entity=entity, addresses=entity_addresses.get(end.kind, ()) if end.kind in _NODES else ())


def is_served_locally(end: Endpoint) -> bool:
    """Say whether an end is what a pod's own node serves on link-local addresses alone: the same on every node."""
    local = bool(end.addresses) and all(address.startswith(_LINK_LOCAL_4) for address in end.addresses)
    return end.kind is EndpointKind.HOST and local


def entity_addresses(edges: Iterable[Edge], direction: Direction, known: NodesOf = NO_ADDRESSES) -> NodesOf:
    """Return the addresses that each kind of node was seen with in one role in each cluster: as clients of ingress, as
    servers of egress; with those that are ``known`` of a kind that was seen. A rule by address names all of them.
    """
    found: dict[str, dict[EndpointKind, set[str]]] = {}
    for edge in edges:
        end = edge.client if direction is Direction.INGRESS else edge.server
        cluster = cluster_of(edge)
        if end.kind in _NODES and end.exact and not is_served_locally(end) and cluster is not None:
            given = known.get(cluster, {}).get(end.kind, ())
            found.setdefault(cluster, {}).setdefault(end.kind, set(given)).update(end.addresses)
    return {
        cluster: {kind: tuple(sorted(addresses)) for kind, addresses in kinds.items()}
        for cluster, kinds in found.items()
    }
