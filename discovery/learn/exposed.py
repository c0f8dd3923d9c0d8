"""Clients from outside of the cluster, as the Services that expose a workload declare them.

With externalTrafficPolicy Cluster any node forwards, and the pod sees that node's address; so a client that came by one
node may come by each. A load balancer that keeps client addresses takes clients from anywhere, or from its source
ranges: those of one window are a sample. What was never seen is listed, not allowed.

Source: Kubernetes documentation, "Source IP for Services" and "Create an External Load Balancer", 1.31.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, PolicyIntent
from discovery.model.inventory import DeclaredExposure, ExposureKind
from discovery.model.networks import is_inside, is_private
from discovery.model.ports import PortSet
from discovery.model.workload import Entity

_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


def with_exposed(
    intent: PolicyIntent, exposures: Iterable[DeclaredExposure], nodes: tuple[str, ...], probes: frozenset[int]
) -> PolicyIntent:
    """Return an isolated ingress that lets the clients of exposed ports in as their Services declare, where some were
    seen. ``nodes`` are the addresses of all nodes that are known; ``probes`` are the ports that the kubelet probes,
    where a call of the own node is no client.
    """
    if intent.direction is not Direction.INGRESS or not intent.isolate:
        return intent
    for one in sorted(exposure for exposure in exposures if exposure.workload == intent.workload):
        intent = _with_nodes(_with_clients(intent, one), one, nodes, probes)
    return intent


def _on_port(allow: Allow, one: DeclaredExposure) -> bool:
    """Say whether an allow is of an exposed port alone."""
    return allow.protocol == one.protocol and allow.ports == PortSet.of(one.port)


def _with_clients(intent: PolicyIntent, one: DeclaredExposure) -> PolicyIntent:
    """Put what a load balancer lets in for the client prefixes that were seen inside of it."""
    seen = [allow for allow in intent.allows if _on_port(allow, one) and isinstance(allow.peer, CidrPeer)]
    if one.exposure.kind is not ExposureKind.LOAD_BALANCER or not seen:
        return intent
    # A private client, or a load balancer of a private network, shows nobody from anywhere.
    prefixes = one.exposure.ranges
    if not prefixes and not one.exposure.internal and not all(map(_is_private, seen)):
        prefixes = tuple(_ANYWHERE[family] for family in one.families)
    if not prefixes:
        return intent
    where = "these ranges" if one.exposure.ranges else "anywhere"
    added = Allow(
        peer=CidrPeer(prefixes=prefixes), protocol=Protocol(one.protocol), ports=PortSet.of(one.port),
        origin=Origin.SERVICE, reason=f"{one.declared_by} takes clients from {where}; some were seen",
    )  # fmt: skip
    kept = [
        left
        for allow in intent.allows
        if allow != added
        for left in (_without(allow, prefixes) if allow in seen else [allow])
    ]
    return replace(intent, allows=(*kept, added))


def _without(allow: Allow, prefixes: tuple[str, ...]) -> list[Allow]:
    """Return an allow without the prefixes that are inside of others: none where all are."""
    if not isinstance(allow.peer, CidrPeer):
        return [allow]
    outer = [ip_network(prefix) for prefix in prefixes]
    left = tuple(prefix for prefix in allow.peer.prefixes if not any(is_inside(prefix, one) for one in outer))
    return [replace(allow, peer=replace(allow.peer, prefixes=left))] if left else []


def _with_nodes(
    intent: PolicyIntent, one: DeclaredExposure, nodes: tuple[str, ...], probes: frozenset[int]
) -> PolicyIntent:
    """Let every node forward clients of a port when one did, and say that they are clients from outside."""
    peers = [allow.peer for allow in intent.allows if _on_port(allow, one)]
    entities = {peer.entity: peer.addresses for peer in peers if isinstance(peer, EntityPeer)}
    by_host = Entity.HOST in entities and one.port not in probes
    # A node that runs the API server is that to Cilium, and forwards like any other.
    by_node = by_host or not entities.keys().isdisjoint((Entity.REMOTE_NODE, Entity.KUBE_APISERVER))
    forwarded = by_node or any(isinstance(peer, CidrPeer) for peer in peers)
    if one.exposure.local or not forwarded:
        return intent
    added = Allow(
        peer=EntityPeer(entity=Entity.REMOTE_NODE, addresses=entities.get(Entity.REMOTE_NODE, nodes)),
        protocol=Protocol(one.protocol),
        ports=PortSet.of(one.port),
        origin=Origin.SERVICE,
        reason=f"{one.declared_by} with externalTrafficPolicy Cluster: any node forwards its clients",
    )
    return intent if added in intent.allows else replace(intent, allows=(*intent.allows, added))


def by_nodes_alone(intent: PolicyIntent, exposures: Iterable[DeclaredExposure]) -> list[Diagnostic]:
    """Return a finding per exposed port whose clients came by nodes alone. kube-proxy translates those of the pod's own
    node, too; Cilium in its place does not, and they keep their addresses (Cilium documentation, "Kubernetes Without
    kube-proxy", client source IP preservation).
    """
    if intent.direction is not Direction.INGRESS or not intent.isolate:
        return []
    found = []
    for one in sorted(exposure for exposure in exposures if exposure.workload == intent.workload):
        peers = [allow.peer for allow in intent.allows if _on_port(allow, one)]
        forwarded = any(isinstance(peer, EntityPeer) and peer.entity is Entity.REMOTE_NODE for peer in peers)
        if forwarded and not one.exposure.local and not any(isinstance(peer, CidrPeer) for peer in peers):
            found.append(
                Diagnostic(
                    code="clients-by-nodes",
                    level=Level.WARNING,
                    subject=str(intent.workload),
                    message=f"clients of {one.declared_by} came to {one.protocol}/{one.port} by other nodes alone: with"
                    " Cilium in the place of kube-proxy, those that enter at the pod's own node keep their address and"
                    " would be denied",
                    hint="learn from a longer window, or allow the addresses of its clients in a policy of your own",
                )
            )
    return found


def _is_private(allow: Allow) -> bool:
    """Say whether all prefixes of an allow are private."""
    return isinstance(allow.peer, CidrPeer) and all(map(is_private, allow.peer.prefixes))
