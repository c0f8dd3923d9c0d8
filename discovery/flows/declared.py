"""What an inventory declares of workloads: calls, routes, runs, meshes, and which workloads are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from discovery.flows.resolve import SelectedPods, endpoint_of, pods_by_address, target_port
from discovery.model.inventory import (
    Call,
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
    UnresolvedCall,
)
from discovery.model.mesh import Mesh, MeshSign, mesh_of_labels
from discovery.model.networks import is_private
from discovery.model.workload import WorkloadRef, WorkloadVersion

DNS_PORT = 53


def declared_calls(
    inventory: Inventory, ref_of: Mapping[int, WorkloadRef]
) -> tuple[tuple[DeclaredCall, ...], tuple[UnresolvedCall, ...]]:
    """Return which workloads the API server calls, by what objects declare, on the ports of their pods; and the calls
    of which nobody knows where they end.
    """
    called = _Called(inventory, ref_of)
    for call in inventory.calls:
        called.add(call)
    return tuple(sorted(called.found)), tuple(sorted(called.unresolved, key=repr))


class _Called:
    """Follows calls of the API server to pods. What ends at none, and at no node, may end at pods that the inventory
    lacks: then it is kept as unresolved, never dropped.
    """

    def __init__(self, inventory: Inventory, ref_of: Mapping[int, WorkloadRef]) -> None:
        """Index Services by name and address, and pods by address."""
        self._inventory = inventory
        self._members = _Members(inventory, ref_of)
        self._pods = pods_by_address(inventory)
        self._on_nodes = SelectedPods(
            [*(pod for pod in inventory.pods if pod.host_network), *(t for t in inventory.templates if t.host_network)]
        )
        self._nodes = {*inventory.node_addresses, *inventory.api_servers}
        self._services = {(service.namespace, service.name): service for service in inventory.services}
        self._by_address = {address: service for service in inventory.services for address in service.addresses}
        self.found: set[DeclaredCall] = set()
        self.unresolved: set[UnresolvedCall] = set()

    def add(self, call: Call) -> None:
        """Follow one call."""
        service = (
            self._by_address.get(call.address) if call.address else self._services.get((call.namespace, call.service))
        )
        if service is not None:
            self._of_service(call, service)
        elif call.address:
            self._is_at(call, call.address, call.port)  # of nothing in the cluster: somebody else's
        else:
            self._leave(call, None, call.namespace, f"Service {call.namespace}/{call.service} is not in the inventory")

    def _of_service(self, call: Call, service: Service) -> None:
        """Follow a call of a Service: to the pods that it selects, or to those that its EndpointSlices name."""
        ports = [one for one in service.ports if one.number == call.port]
        told = f"Service {service.namespace}/{service.name}"
        if service.selector is None:
            self._of_backends(call, service, {port.name for port in ports})
            return
        if not self._members.of(service) and not self._on_nodes.of(service):
            self._leave(call, None, service.namespace, f"no pod that {told} selects is in the inventory")
        reached = set(self._members.at(call.declared_by, service, ports, Opener.API_SERVER))
        self.found |= reached
        for workload in self._members.of(service) - {one.workload for one in reached}:
            why = f"port {call.port} of {told} is none of its pods' that is known"
            self._leave(call, workload, service.namespace, why)

    def _of_backends(self, call: Call, service: Service, names: set[str]) -> None:
        """Follow a call to the addresses that the EndpointSlices of a Service name: a public one is no pod's."""
        told = f"Service {service.namespace}/{service.name}"
        backends = [(address, number) for address, name, number in service.backends if name in names or not names]
        if not backends:
            self._leave(call, None, service.namespace, f"no address behind {told} is in the inventory")
        for address, number in backends:
            if not self._is_at(call, address, number) and address not in self._nodes and is_private(address):
                self._leave(call, None, service.namespace, f"{address} behind {told} is no pod's that is known")

    def _is_at(self, call: Call, address: str, port: int) -> bool:
        """Keep a call to the address of a pod, and say whether it is one."""
        pod = self._pods.get(address)
        workload = self._members.ref(pod) if pod is not None else None
        if workload is not None:
            self.found.add(
                DeclaredCall(
                    workload=workload, protocol="TCP", port=port, declared_by=call.declared_by, opener=Opener.API_SERVER
                )
            )
        return workload is not None

    def _leave(self, call: Call, workload: WorkloadRef | None, namespace: str, why: str) -> None:
        """Keep a call that ends nobody knows where."""
        self.unresolved.add(
            UnresolvedCall(
                cluster=self._inventory.cluster, namespace=namespace, workload=workload, declared_by=call.declared_by,
                why=why,
            )
        )  # fmt: skip


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

    def of(self, service: Service) -> set[WorkloadRef]:
        """Return the workloads that a Service selects."""
        return {ref for member in self._selected.of(service) if (ref := self.ref(member)) is not None}

    def ref(self, member: Pod | Template) -> WorkloadRef | None:
        """Return the workload of a pod or controller."""
        return self._refs.get(id(member))

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


def gone(inventory: Inventory, versions: Iterable[WorkloadVersion]) -> frozenset[WorkloadRef]:
    """Return the workloads that the inventory does not have any more.

    Only where it can tell: in namespaces of which it shows pods or controllers (a file of one namespace says nothing of
    others), of kinds of which it holds objects (between two runs a CronJob has no pod), up to the last heartbeat of its
    nodes. A pod with all the labels of a workload is that workload, whatever its controller is called.
    """
    live = [one for one in inventory.members if not isinstance(one, Pod) or one.ended is None]
    here = {(info.namespace, info.workload_name) for info in (endpoint_of(one, inventory) for one in live)}
    told = {one.namespace for one in inventory.members}
    index = SelectedPods(live)
    by_ref: dict[WorkloadRef, list[WorkloadVersion]] = {}
    for version in versions:
        by_ref.setdefault(version.ref, []).append(version)

    def is_gone(ref: WorkloadRef) -> bool:
        if ref.cluster != inventory.cluster or ref.namespace not in told or (ref.namespace, ref.name) in here:
            return False
        late = inventory.seen_until and max(one.valid_to for one in by_ref[ref]) > inventory.seen_until
        alike = any(one.labels.pairs and index.matching(ref.namespace, one.labels) for one in by_ref[ref])
        return _tells(inventory, ref.kind) and not late and not alike

    return frozenset(ref for ref in by_ref if is_gone(ref))


def unshown_namespaces(inventory: Inventory, versions: Iterable[WorkloadVersion]) -> tuple[str, ...]:
    """Return the namespaces with traffic of which an inventory shows neither pods nor controllers."""
    shown = {pod.namespace for pod in inventory.pods} | {template.namespace for template in inventory.templates}
    seen = {version.ref.namespace for version in versions if version.ref.cluster == inventory.cluster}
    return tuple(sorted(seen - shown))


def _tells(inventory: Inventory, kind: str) -> bool:
    """Say whether an inventory would show a workload of a kind if it was there."""
    if kind in ("CronJob", "Job"):
        return bool(inventory.tells_kinds & {"CronJob", "Job"})
    return kind == "Pod" or bool(inventory.tells_kinds)
