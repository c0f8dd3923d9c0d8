"""What objects declare and a window may not show: calls of the API server (webhooks, CRD conversions, aggregated APIs),
routes of ingresses and gateways, scrapes of monitors, runs of CronJobs.

A cut webhook with ``failurePolicy: Fail`` blocks the creation of pods, the roll
back included. So what serves such a call is never ingress-isolated without an allow for the API server; and where no
record shows how the API server arrives at pods of this cluster, it is not isolated at all. The others are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from discovery.learn.judge import Judged, Ruling
from discovery.learn.peers import NodesOf, cluster_of
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Protocol, Verdict
from discovery.model.intent import Allow, EntityPeer, Origin, PolicyIntent
from discovery.model.inventory import DeclaredCall, DeclaredRun, Opener, UnresolvedCall
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, WorkloadRef

_DELIVERED = (Verdict.ACCEPTED, Verdict.AUDIT, Verdict.UNKNOWN)


def api_servers_of(judged: Iterable[Judged], addresses: NodesOf) -> dict[str, EntityPeer]:
    """Return the API server of each cluster where it was seen to arrive at pods; ``addresses`` are those of clients."""
    found = {}
    for one in judged:
        cluster = cluster_of(one.edge)
        if one.ruling is Ruling.LEARN and one.edge.client.kind is EndpointKind.KUBE_APISERVER and cluster is not None:
            known = addresses.get(cluster, {}).get(EndpointKind.KUBE_APISERVER, ())
            found[cluster] = EntityPeer(entity=Entity.KUBE_APISERVER, addresses=known)
    return found


def with_calls(
    intent: PolicyIntent,
    calls: Iterable[DeclaredCall],
    unresolved: Iterable[UnresolvedCall],
    server: EntityPeer | None,
) -> PolicyIntent:
    """Return an ingress intent that lets the API server in where objects declare that it calls, or leaves it open: also
    where a call may end at it.
    """
    if intent.direction is not Direction.INGRESS or not intent.isolate:
        return intent
    for one in unresolved:
        if one.workload in (None, intent.workload):
            why = f"the API server may call it ({one.declared_by}), and {one.why}"
            return replace(intent, isolate=False, reasons=(why,))
    own = sorted((call for call in calls if call.workload == intent.workload), key=_gravest_first)
    unseen = [call for call in own if not _is_allowed(intent, call)]
    if not unseen:
        return intent
    if server is None:
        why = (
            f"the API server calls it ({unseen[0].declared_by}), and no record shows how the API server arrives at pods"
        )
        return replace(intent, isolate=False, reasons=(why,))
    added = {
        (call.protocol, call.port): Allow(
            peer=server,
            protocol=Protocol(call.protocol),
            ports=PortSet.of(call.port),
            origin=Origin.API_SERVER,
            reason=f"{call.declared_by}, not seen in this window",
        )
        for call in reversed(unseen)  # of several calls of one port the gravest names it
    }
    return replace(intent, allows=(*intent.allows, *(added[key] for key in sorted(added))))


def _gravest_first(call: DeclaredCall) -> tuple[bool, DeclaredCall]:
    """Order calls: first those whose loss stops the cluster from changing anything."""
    return not call.declared_by.endswith("failurePolicy Fail"), call


def _is_allowed(intent: PolicyIntent, call: DeclaredCall) -> bool:
    """Say whether an observed rule lets the API server call already."""
    return any(
        isinstance(allow.peer, EntityPeer)
        and allow.peer.entity is Entity.KUBE_APISERVER
        and allow.protocol == call.protocol
        and call.port in allow.ports
        for allow in intent.allows
    )


def unresolved_calls(calls: Iterable[UnresolvedCall]) -> list[Diagnostic]:
    """Return a finding per call of which nobody knows where it ends."""
    return [
        Diagnostic(
            code="declared-unresolved",
            level=Level.WARNING,
            subject=str(call.workload) if call.workload is not None else call.namespace,
            message=f"the API server calls {'it' if call.workload is not None else 'something there'}"
            f" ({call.declared_by}), and {call.why}: no ingress that it may call is isolated",
            hint="give an inventory with all Services, pods and EndpointSlices of the namespace",
        )
        for call in sorted(set(calls), key=repr)
    ]


def unseen_calls(calls: Iterable[DeclaredCall], judged: Iterable[Judged]) -> list[Diagnostic]:
    """Return a finding per declared call that no learned edge shows."""
    seen = {
        (one.edge.server.workload, one.edge.protocol, one.edge.port)
        for one in judged
        if one.ruling is Ruling.LEARN and one.edge.client.kind is EndpointKind.KUBE_APISERVER
    }
    return [
        Diagnostic(
            code="declared-unseen",
            level=Level.WARNING,
            subject=str(call.workload),
            message=f"the API server calls {call.protocol}/{call.port} ({call.declared_by}), not seen in this window",
            hint="its ingress is isolated only with an allow for the API server; watch it for a longer window",
        )
        for call in sorted(set(calls))
        if (call.workload, Protocol(call.protocol), call.port) not in seen
    ]


def unseen_routes(
    routes: Iterable[DeclaredCall],
    judged: Iterable[Judged],
    gateways: frozenset[WorkloadRef],
    probes: Mapping[WorkloadRef, frozenset[int]],
) -> list[Diagnostic]:
    """Return a finding per workload and port that a route leads to and no delivered edge reaches, from where the route
    comes. ``gateways`` are the workloads that take clients from outside; ``probes`` the ports that a kubelet probes.
    """
    seen = {
        (edge.server.workload, edge.protocol, edge.port, opener)
        for edge in (one.edge for one in judged if one.edge.verdict in _DELIVERED)
        for opener in _openers(edge, gateways, probes)
    }
    return [
        Diagnostic(
            code="route-unseen",
            level=Level.WARNING,
            subject=str(route.workload),
            message=f"{route.declared_by} leads to {route.protocol}/{route.port}, and nobody was seen on that way",
            hint="if it is in use, learn from a longer window: an isolated ingress would cut it",
        )
        for route in sorted(set(routes))
        if (route.workload, Protocol(route.protocol), route.port, route.opener) not in seen
    ]


def _openers(
    edge: Edge, gateways: frozenset[WorkloadRef], probes: Mapping[WorkloadRef, frozenset[int]]
) -> frozenset[Opener]:
    """Return as what the client of an edge may have come."""
    client, server = edge.client, edge.server.workload
    if client.workload is not None:
        return frozenset({Opener.WORKLOAD, Opener.GATEWAY} if client.workload in gateways else {Opener.WORKLOAD})
    probed = server is not None and edge.port in probes.get(server, frozenset())
    if client.kind is EndpointKind.HOST and probed:
        return frozenset()
    return frozenset(Opener)


def unseen_runs(runs: Iterable[DeclaredRun], judged: Iterable[Judged]) -> list[Diagnostic]:
    """Return a finding per CronJob that has no traffic in the window."""
    active = {end.workload for one in judged for end in (one.edge.client, one.edge.server)}
    return [
        Diagnostic(
            code="run-unseen",
            level=Level.WARNING,
            subject=str(run.workload),
            message=f"it runs at {run.schedule!r}, and this window shows none of its traffic",
            hint="learn from a window that holds a run before enforcing policies of what it may call",
        )
        for run in sorted(set(runs))
        if run.workload not in active
    ]
