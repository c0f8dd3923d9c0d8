"""What evidence tells beside its edges, as the learner takes it."""

from __future__ import annotations

from discovery.app.evidence import Evidence
from discovery.flows.declared import (
    declared_calls,
    declared_exposures,
    declared_probes,
    declared_resolvers,
    declared_routes,
    declared_runs,
    gone,
    mesh_signs,
)
from discovery.flows.resolve import endpoint_of
from discovery.learn.intents import Told
from discovery.model.capture import Aspect, Shows
from discovery.model.edge import Edge
from discovery.model.inventory import NamedPort
from discovery.model.workload import EndpointKind, WorkloadRef
from discovery.verify.recorded import Recorded

# Sources that know every pod of their cluster, so that an address that they do not resolve is none.
_KNOWS_PODS = frozenset(("calico", "goldmane"))


def told_by(evidence: Evidence, unexplained: frozenset[Edge]) -> Told:
    """Return what is known beside the flows."""
    if evidence.inventory is None:
        shown = evidence.profile.shows.get(Aspect.LABELS) is not Shows.NO
        return Told(labels_shown=shown, unexplained=unexplained)
    refs = evidence.workloads.ref_of
    nodes = evidence.inventory.node_addresses
    calls, unresolved = declared_calls(evidence.inventory, refs)
    return Told(
        calls=calls,
        unresolved=unresolved,
        routes=declared_routes(evidence.inventory, refs),
        exposures=declared_exposures(evidence.inventory, refs),
        runs=declared_runs(evidence.inventory, refs),
        resolvers=declared_resolvers(evidence.inventory, refs),
        probes=declared_probes(evidence.inventory, refs),
        meshes=mesh_signs(evidence.inventory, refs),
        addresses={
            evidence.inventory.cluster: {
                EndpointKind.HOST: nodes,
                EndpointKind.REMOTE_NODE: nodes,
                EndpointKind.KUBE_APISERVER: evidence.inventory.api_servers,
            }
        },
        unexplained=unexplained,
    )


def gone_by(evidence: Evidence) -> frozenset[WorkloadRef]:
    """Return the workloads that the inventory, if there is one, does not have any more."""
    if evidence.inventory is None:
        return frozenset()
    return gone(evidence.inventory, evidence.workloads.versions)


def recorded_by(evidence: Evidence) -> Recorded:
    """Return what the inputs show beside edges, as replaying takes it."""
    sources = {one.source for one in evidence.completeness.sightings if one.records}
    return Recorded(
        ports=ports_by(evidence),
        requests=evidence.requests,
        names=evidence.names,
        all_pods=evidence.inventory is not None or sources <= _KNOWS_PODS,
    )


def ports_by(evidence: Evidence) -> dict[WorkloadRef, tuple[NamedPort, ...]]:
    """Return the ports that containers declare, by workload; nothing of those that no inventory shows."""
    if evidence.inventory is None:
        return {}
    found: dict[WorkloadRef, set[NamedPort]] = {}
    for member in evidence.inventory.members:
        identity = endpoint_of(member, evidence.inventory).identity
        if identity is not None:
            found.setdefault(evidence.workloads.ref_of[identity], set()).update(member.ports)
    return {ref: tuple(sorted(ports)) for ref, ports in found.items()}
