"""What an inventory declares of workloads: calls, routes, runs, meshes, and which workloads are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from discovery.flows.identity import EndpointInfo
from discovery.flows.resolve import SelectedPods, endpoint_of, target_port
from discovery.model.inventory import (
    DeclaredCall,
    DeclaredExposure,
    DeclaredRun,
    Inventory,
    Opener,
    Pod,
    Route,
    Service,
    ServicePort,
    Template,
)
from discovery.model.mesh import Mesh, MeshSign, mesh_of_labels
from discovery.model.workload import WorkloadRef

DNS_PORT = 53


def declared_calls(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> tuple[DeclaredCall, ...]:
    """Return which workloads the API server calls, by what objects declare, on the ports of their pods."""
    services = {(service.namespace, service.name): service for service in inventory.services}
    found: set[DeclaredCall] = set()
    members = _Members(inventory, ref_of)
    for call in inventory.calls:
        service = services.get((call.namespace, call.service))
        if service is not None:
            ports = [one for one in service.ports if one.number == call.port]
            found.update(members.at(call.declared_by, service, ports, Opener.API_SERVER))
    return tuple(sorted(found))


def declared_routes(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> tuple[DeclaredCall, ...]:
    """Return which workloads routes lead to and monitors scrape, on the ports of their pods."""
    services = {(service.namespace, service.name): service for service in inventory.services}
    found: set[DeclaredCall] = set()
    members = _Members(inventory, ref_of)
    for route in inventory.routes:
        service = services.get((route.namespace, route.service))
        if service is not None:
            found.update(members.at(route.declared_by, service, _ports_of(route, service), route.opener))
    return tuple(sorted(found))


def declared_exposures(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> tuple[DeclaredExposure, ...]:
    """Return the ports of workloads that Services expose to clients outside of the cluster."""
    found: set[DeclaredExposure] = set()
    members = _Members(inventory, ref_of)
    for service in inventory.services:
        if service.exposure is None:
            continue
        told = f"Service {service.namespace}/{service.name} ({service.exposure.kind})"
        families = tuple(sorted({6 if ":" in address else 4 for address in service.addresses}))
        for call in members.at(told, service, service.ports, Opener.OUTSIDE):
            found.add(
                DeclaredExposure(
                    workload=call.workload, protocol=call.protocol, port=call.port, declared_by=told,
                    exposure=service.exposure, families=families,
                )
            )  # fmt: skip
    return tuple(sorted(found))


def declared_resolvers(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> tuple[DeclaredCall, ...]:
    """Return the workloads that answer DNS, by the Services that offer port 53, on the ports of their pods."""
    found: set[DeclaredCall] = set()
    members = _Members(inventory, ref_of)
    for service in inventory.services:
        ports = [port for port in service.ports if port.number == DNS_PORT]
        told = f"Service {service.namespace}/{service.name}"
        found.update(members.at(told, service, ports, Opener.WORKLOAD))
    return tuple(sorted(found))


def declared_probes(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> Mapping[WorkloadRef, frozenset[int]]:
    """Return the TCP ports of each workload that the kubelet probes."""
    found: dict[WorkloadRef, set[int]] = {}
    for member in inventory.members:
        identity = endpoint_of(member, inventory).identity
        if identity is not None and member.probes:
            found.setdefault(ref_of[identity], set()).update(member.probes)
    return {ref: frozenset(ports) for ref, ports in found.items()}


def _ports_of(route: Route, service: Service) -> list[ServicePort]:
    """Return the ports of a Service that a route means; one that names a port of the pods is a port of its own."""
    if route.target is not None and not route.port:
        return [ServicePort(name="", protocol="TCP", number=0, target=route.target)]
    return [one for one in service.ports if route.port in (one.number, one.name)]


class _Members:
    """The workloads behind Services, by what the inventory has."""

    def __init__(self, inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> None:
        """Index the pods and controllers of the inventory."""
        self._selected = SelectedPods(inventory.members)
        self._refs: dict[int, WorkloadRef] = {}
        for member in inventory.members:
            identity = endpoint_of(member, inventory).identity
            if identity is not None:
                self._refs[id(member)] = ref_of[identity]

    def at(
        self, declared_by: str, service: Service, ports: Sequence[ServicePort], opener: Opener
    ) -> Iterator[DeclaredCall]:
        """Yield the workloads behind ports of a Service, with the number of the port at their pods."""
        for member in self._selected.of(service):
            for port in ports:
                number = target_port(port, member)
                if number is not None and id(member) in self._refs:
                    yield DeclaredCall(
                        workload=self._refs[id(member)], protocol=port.protocol, port=number, declared_by=declared_by,
                        opener=opener,
                    )  # fmt: skip


def declared_runs(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> tuple[DeclaredRun, ...]:
    """Return the workloads that run at times, by the schedules of their CronJobs."""
    refs = {(ref.namespace, ref.name): ref for ref in ref_of.values() if ref.kind == "CronJob"}
    found = {
        DeclaredRun(workload=refs[place], schedule=one.schedule)
        for one in inventory.schedules
        if (place := (one.namespace, one.name)) in refs
    }
    return tuple(sorted(found))


def mesh_signs(inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> Mapping[WorkloadRef, MeshSign | None]:
    """Return what each workload is to meshes: by its running pods or, where none runs, by its template or namespace.

    None: no member. Where some of its pods are members and some are not, nothing is proven.
    """
    found: dict[WorkloadRef, list[Pod | Template]] = {}
    for member in inventory.members:
        identity = endpoint_of(member, inventory).identity
        if identity is not None and not (isinstance(member, Pod) and member.ended is not None):
            found.setdefault(ref_of[identity], []).append(member)
    signs: dict[WorkloadRef, MeshSign | None] = {}
    for ref, members in found.items():
        pods = [member for member in members if isinstance(member, Pod)]
        meshes = {_mesh(member, inventory) for member in pods or members}
        some = sorted(mesh for mesh in meshes if mesh is not None)
        probes = tuple(sorted({port for member in members for port in member.probes}))
        signs[ref] = MeshSign(mesh=some[0], proven=len(meshes) == 1, probes=probes) if some else None
    return signs


def _mesh(member: Pod | Template, inventory: Inventory) -> Mesh | None:
    """Return the mesh that a pod shows, or that the pods of a controller will be members of."""
    if member.mesh is not None or isinstance(member, Pod):
        return member.mesh
    namespace = inventory.namespaces.get(member.namespace)
    return mesh_of_labels(member.labels.as_dict(), namespace.as_dict() if namespace is not None else {})


def gone(inventory: Inventory, refs: Iterable[WorkloadRef]) -> frozenset[WorkloadRef]:
    """Return the workloads that the inventory does not have any more.

    Only the namespaces of which it shows pods or controllers can tell: a file of one namespace says nothing of others.
    """
    here = {(info.namespace, info.workload_name) for info in _infos(inventory)}
    told = {one.namespace for one in inventory.members} | (set(inventory.namespaces) if inventory.pods else set())
    return frozenset(
        ref
        for ref in refs
        if ref.cluster == inventory.cluster and ref.namespace in told and (ref.namespace, ref.name) not in here
    )


def _infos(inventory: Inventory) -> Iterable[EndpointInfo]:
    """Yield the endpoints that exist: controllers, and pods that run."""
    for one in inventory.members:
        if not isinstance(one, Pod) or one.ended is None:
            yield endpoint_of(one, inventory)
