"""What a cluster says it has: pods, Services and nodes of one snapshot, reduced to what policy discovery needs.

Times are microseconds since 1970 UTC. Addresses are canonical text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from discovery.model.mesh import Mesh
from discovery.model.workload import Labels, WorkloadRef

API_SERVER_SERVICE = ("default", "kubernetes")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class NamedPort:
    """A port that a container declares under a name."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod. ``ended`` is None while it runs; a pod that ended without telling when has ``ended`` equal to
    ``created``, so that it proves no address. ``mesh``: its containers or annotations show that it is a member.
    ``probes`` are the TCP ports that the kubelet probes.
    """

    namespace: str
    name: str
    labels: Labels
    service_account: str
    owner_kind: str
    owner_name: str
    addresses: tuple[str, ...]
    host_network: bool
    created: int
    ended: int | None = None
    ports: tuple[NamedPort, ...] = ()
    mesh: Mesh | None = None
    probes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Call:
    """A call of the API server that an object declares: a webhook, a CRD conversion, an aggregated API.

    ``declared_by`` names the object and what a cut call breaks; ``port`` is a port of the Service, or of ``address``
    where the object gives one in the Service's place.
    """

    declared_by: str
    namespace: str
    service: str
    port: int
    address: str = ""


class Opener(StrEnum):
    """Who opens a declared connection: the API server, a client outside of the cluster, an ingress or gateway, or any
    workload.
    """

    API_SERVER = "api-server"
    OUTSIDE = "outside"
    GATEWAY = "gateway"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DeclaredCall:
    """A workload that somebody calls on a port of its pods, by what an object says."""

    workload: WorkloadRef
    protocol: str
    port: int
    declared_by: str
    opener: Opener = Opener.WORKLOAD


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class UnresolvedCall:
    """A call of the API server of which nobody knows at which port of which pods it ends: at some of ``workload``, or
    of any in the namespace where that is None.
    """

    cluster: str
    namespace: str
    workload: WorkloadRef | None
    declared_by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Route:
    """A connection that an object declares: from an ingress or gateway, or a scrape, to the pods of a Service.

    ``port`` is the number or name of the Service's port; ``target``, where given, that of the pods'.
    """

    opener: Opener

    declared_by: str
    namespace: str
    service: str
    port: int | str
    target: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Schedule:
    """A CronJob and when it runs, in the words of cron."""

    namespace: str
    name: str
    schedule: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DeclaredRun:
    """A workload that runs at times, by what its CronJob declares."""

    workload: WorkloadRef
    schedule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A controller and the pods it makes: a workload that exists though no pod of it may run now."""

    namespace: str
    kind: str
    name: str
    labels: Labels
    service_account: str
    created: int
    host_network: bool = False
    ports: tuple[NamedPort, ...] = ()
    mesh: Mesh | None = None
    probes: tuple[int, ...] = ()


class ExposureKind(StrEnum):
    """The types of Services that take clients from outside of the cluster at an address of a node or load balancer."""

    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Exposure:
    """How a Service takes clients from outside. ``local``: externalTrafficPolicy Local, which keeps the address of the
    client; otherwise any node forwards, and the pod may see that node's address. ``ranges`` are the client prefixes
    that the load balancer lets in (empty: all). ``internal``: it is for a private network.
    """

    kind: ExposureKind
    local: bool
    ranges: tuple[str, ...] = ()
    internal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DeclaredExposure:
    """A port of a workload's pods that a Service exposes to clients outside of the cluster. ``families`` are the IP
    versions of the Service.
    """

    workload: WorkloadRef
    protocol: str
    port: int
    declared_by: str
    exposure: Exposure
    families: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a Service. ``target`` is a number, or the name of a container port."""

    name: str
    protocol: str
    number: int
    target: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One Service. ``addresses`` are those that clients use: cluster IPs, external IPs, load balancers.

    ``selector`` is None when the Service has none; ``backends`` are then the addresses of its EndpointSlices, with
    the number of each named port. ``exposure`` is None for a Service that only the cluster reaches.
    """

    namespace: str
    name: str
    addresses: tuple[str, ...]
    selector: Labels | None
    ports: tuple[ServicePort, ...]
    created: int
    backends: tuple[tuple[str, str, int], ...] = ()
    exposure: Exposure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node, the addresses of its own and those of its CNI on it."""

    name: str
    addresses: tuple[str, ...]
    created: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One snapshot of one cluster. ``taken`` is the latest time that any of its objects names.

    ``versions`` are of Kubernetes and of the CNI, by the name of their dialect: the lowest that any node runs.
    ``settings`` are those of the CNI that change what a policy means, in the words of a platform. ``tells_calls``: it
    holds objects that declare calls of the API server, which every cluster has. ``tells_kinds``: the kinds of
    controllers of which it holds objects. ``seen_until``: the last heartbeat of a node, 0 when none is told. An object
    that was created at 0 does not say when it was: its address proves nothing.
    """

    cluster: str
    pods: tuple[Pod, ...] = ()
    templates: tuple[Template, ...] = ()
    services: tuple[Service, ...] = ()
    nodes: tuple[Node, ...] = ()
    calls: tuple[Call, ...] = ()
    routes: tuple[Route, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    namespaces: dict[str, Labels] = field(default_factory=dict)
    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    tells_calls: bool = False
    tells_kinds: frozenset[str] = frozenset()
    seen_until: int = 0
    taken: int = 0

    @property
    def node_addresses(self) -> tuple[str, ...]:
        """Return the addresses of all nodes, sorted."""
        return tuple(sorted({address for node in self.nodes for address in node.addresses}))

    @property
    def api_servers(self) -> tuple[str, ...]:
        """Return the addresses of the API server, sorted: the endpoints of the Service default/kubernetes, and all
        addresses of a node that has one of them.
        """
        found = {
            address
            for service in self.services
            if (service.namespace, service.name) == API_SERVER_SERVICE
            for address, _, _ in service.backends
        }
        for node in self.nodes:
            if found & set(node.addresses):
                found |= set(node.addresses)
        return tuple(sorted(found))

    @property
    def members(self) -> tuple[Pod | Template, ...]:
        """Return everything that shows a workload. Pods on the host network are the node: no policy selects them."""
        pods = tuple(pod for pod in self.pods if not pod.host_network)
        return (*pods, *(template for template in self.templates if not template.host_network))

    def counts(self) -> dict[str, int]:
        """Return how many objects of each kind it holds."""
        return {
            "pods": len(self.pods),
            "controllers": len(self.templates),
            "services": len(self.services),
            "nodes": len(self.nodes),
            "namespaces": len(self.namespaces),
            "calls of the API server": len(self.calls),
            "routes": len(self.routes),
            "schedules": len(self.schedules),
            "objects without creationTimestamp": sum(one.created == 0 for one in self.pods)
            + sum(one.created == 0 for one in self.nodes),
        }
