"""The inventory that Kubernetes objects make: what ``kubectl get pods,services,... -A -o yaml`` (or ``json``) prints.

Source: Kubernetes API v1, apps/v1, batch/v1 and discovery.k8s.io/v1, 1.31 to 1.34.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collectors.inventory_mesh import mesh_of, probes_of, running_containers
from collectors.inventory_objects import HINT, Objects, read_objects
from collectors.inventory_routes import routes
from collectors.inventory_settings import settings_of
from collectors.inventory_wire import (
    ApiServiceObject,
    ClientConfig,
    DefinitionObject,
    EndpointSlice,
    JobSpec,
    Metadata,
    NodeObject,
    PodObject,
    PodSpec,
    ReplicaSetObject,
    ServiceObject,
    TemplateObject,
    WebhookObject,
)
from discovery.flows.addresses import canonical_address
from discovery.model.errors import InputError
from discovery.model.inventory import (
    Call,
    Exposure,
    ExposureKind,
    Inventory,
    NamedPort,
    Node,
    Pod,
    Schedule,
    Service,
    ServicePort,
    Template,
)
from discovery.model.networks import is_private
from discovery.model.workload import VOLATILE_KEYS, Labels

_CALLING = frozenset({"APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"})
_ENDED = ("Succeeded", "Failed")
_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet")
# The containers that enforce policies on each node, by the dialect that they understand.
_AGENTS = {"cilium-agent": "cilium", "calico-node": "calico"}
# Annotations in which Calico and Cilium keep further addresses of a node: traffic of the node, or that it forwards, has
# them as its source (Calico: node resource in the Kubernetes datastore; Cilium: pkg/annotation).
_CNI_ADDRESSES = frozenset(
    {
        "network.cilium.io/ipv4-cilium-host",
        "network.cilium.io/ipv6-cilium-host",
        "projectcalico.org/IPv4Address",
        "projectcalico.org/IPv4IPIPTunnelAddr",
        "projectcalico.org/IPv4VXLANTunnelAddr",
        "projectcalico.org/IPv4WireguardInterfaceAddr",
        "projectcalico.org/IPv6Address",
        "projectcalico.org/IPv6VXLANTunnelAddr",
        "projectcalico.org/IPv6WireguardInterfaceAddr",
    }
)
# Annotations that ask a cloud for a load balancer in the private network (AWS, Azure, GCP, OpenStack).
_INTERNAL = frozenset(
    {
        "cloud.google.com/load-balancer-type",
        "networking.gke.io/load-balancer-type",
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        "service.beta.kubernetes.io/aws-load-balancer-scheme",
        "service.beta.kubernetes.io/azure-load-balancer-internal",
        "service.beta.kubernetes.io/openstack-internal-load-balancer",
    }
)
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?![\d])")


def read_inventory(paths: Iterable[Path], cluster: str) -> Inventory:
    """Return the inventory that files hold together: each is YAML documents or JSON, objects or lists of objects.

    Raises :class:`InputError` as :func:`collectors.inventory_objects.read_objects` does, and for an address or a time
    that is none.
    """
    objects = read_objects(paths)
    try:
        return _assemble(objects, cluster)
    except ValueError as error:
        raise InputError(f"inventory: {error}", hint=HINT) from error


def _assemble(objects: Objects, cluster: str) -> Inventory:
    """Return the inventory of typed objects. Raises ``ValueError`` for a time or an address that is none."""

    def of_kind(kind: str) -> list[Any]:
        return [objects[key] for key in sorted(objects) if key[0] == kind]

    owners = _Owners(objects)
    pods = tuple(_pod(one, owners) for one in of_kind("Pod"))
    slices: dict[tuple[str, str], list[EndpointSlice]] = {}
    for one in of_kind("EndpointSlice"):
        service = one.metadata.labels.get("kubernetes.io/service-name")
        if service:
            slices.setdefault((one.metadata.namespace, service), []).append(one)
    times = [_microseconds(one.metadata.creation_timestamp, 0) for one in objects.values()]
    ends = [pod.ended for pod in pods if pod.ended is not None]
    return Inventory(
        cluster=cluster,
        pods=pods,
        templates=tuple(
            template
            for kind in _CONTROLLERS
            for one in of_kind(kind)
            if (template := _template(kind, one, owners)) is not None
        ),
        services=tuple(
            _service(one, slices.get((one.metadata.namespace, one.metadata.name), [])) for one in of_kind("Service")
        ),
        nodes=tuple(
            Node(
                name=one.metadata.name,
                addresses=_node_addresses(one),
                created=_microseconds(one.metadata.creation_timestamp, 0),
            )
            for one in of_kind("Node")
        ),
        calls=tuple(sorted({call for (kind, _, _), one in objects.items() for call in _calls(kind, one)})),
        routes=routes(objects),
        schedules=tuple(
            Schedule(namespace=one.metadata.namespace, name=one.metadata.name, schedule=one.spec.schedule)
            for one in of_kind("CronJob")
            if one.spec.schedule and not one.spec.suspend
        ),
        versions=_versions(of_kind("Pod"), of_kind("Node")),
        settings=settings_of(objects),
        tells_calls=any(kind in _CALLING for kind, _, _ in objects),
        tells_kinds=frozenset(kind for kind, _, _ in objects if kind in _CONTROLLERS),
        seen_until=max((_heartbeat(one) for one in of_kind("Node")), default=0),
        namespaces={one.metadata.name: Labels.of(one.metadata.labels) for one in of_kind("Namespace")},
        taken=max([*times, *ends], default=0),
    )


def _heartbeat(one: NodeObject) -> int:
    """Return when a node was last heard of: minutes before the snapshot at most. 0 when nothing tells."""
    return max((_microseconds(told.last_heartbeat_time, 0) for told in one.status.conditions), default=0)


def _node_addresses(one: NodeObject) -> tuple[str, ...]:
    """Return the addresses that a node's traffic may have: its own, and those of its CNI's tunnels and router."""
    own = [a.address for a in one.status.addresses if a.type in ("InternalIP", "ExternalIP")]
    told = [text.partition("/")[0] for key, text in one.metadata.annotations.items() if key in _CNI_ADDRESSES and text]
    return _addresses([*own, *sorted(told)])


def _versions(pods: Iterable[PodObject], nodes: Iterable[NodeObject]) -> dict[str, tuple[int, int]]:
    """Return the lowest versions of Kubernetes and of the CNI's agents that any node runs, by name of the dialect."""
    shown = [("kubernetes", node.status.node_info.kubelet_version) for node in nodes]
    for pod in pods:
        if pod.status.phase not in _ENDED:
            shown += [
                (_AGENTS[container.name], container.image.partition("@")[0].rpartition(":")[2])
                for container in pod.spec.containers
                if container.name in _AGENTS
            ]
    found: dict[str, tuple[int, int]] = {}
    for name, text in shown:
        match = _VERSION.match(text)
        if match is not None:
            version = (int(match[1]), int(match[2]))
            found[name] = min(found.get(name, version), version)
    return found


class _Owners:
    """Finds the workload behind a pod: the first of its owners that outlives rollouts and runs. What owns that one (an
    operator's resource) may own several, a server and its database, that must stay apart; Hubble names workloads so.
    """

    def __init__(self, objects: Objects) -> None:
        """Look owners up in the objects."""
        self._objects = objects

    def top(self, kind: str, metadata: Metadata) -> tuple[str, str]:
        """Return ``(kind, name)`` of the workload that an object belongs to: itself when nothing owns it.

        A pod may be owned by any kind (Argo's Rollout, an operator's own), but not by the node, which owns static pods.
        """
        name = metadata.name
        for _ in range(8):  # a chain that goes on for ever is no chain
            owner = next((one for one in metadata.owner_references if one.controller), None)
            if owner is None or owner.kind == "Node" or not _passes(kind, owner.kind):
                return kind, name
            labels = metadata.labels
            kind, name = owner.kind, owner.name
            found = self._objects.get((kind, metadata.namespace, name))
            if found is None:
                return self._unseen(kind, name, labels)
            metadata = found.metadata
        return kind, name

    @staticmethod
    def _unseen(kind: str, name: str, labels: Mapping[str, str]) -> tuple[str, str]:
        """Return the workload behind an owner that the inventory lacks: a ReplicaSet that carries the template's hash
        in its name belongs to a Deployment, or to a Rollout, which name their ReplicaSets so.
        """
        for key, above in (("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")):
            digest = labels.get(key)
            if kind == "ReplicaSet" and digest and name.endswith(f"-{digest}"):
                return above, name.removesuffix(f"-{digest}")
        return kind, name


def _passes(kind: str, owner: str) -> bool:
    """Say whether objects of a kind come and go with rollouts or runs of this owner."""
    return kind in ("Pod", "ReplicaSet", "ReplicationController") or (kind == "Job" and owner == "CronJob")


def _pod(one: PodObject, owners: _Owners) -> Pod:
    """Return a pod."""
    created = _microseconds(one.metadata.creation_timestamp, 0)
    kind, name = owners.top("Pod", one.metadata)
    ips = [one.status.pod_ip, *(ip.ip for ip in one.status.pod_ips)]
    return Pod(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        labels=_labels(one.metadata),
        service_account=one.spec.service_account_name or "default",
        owner_kind=kind,
        owner_name=name,
        addresses=_addresses(ip for ip in ips if ip),
        host_network=one.spec.host_network,
        created=created,
        ended=_ended(one, created),
        ports=_named_ports(one.spec),
        mesh=mesh_of(one.metadata, one.spec),
        probes=probes_of(one.spec),
    )


def _ended(one: PodObject, created: int) -> int | None:
    """Return when the last container of a pod that is over ended, or None while the pod runs."""
    if one.status.phase not in _ENDED:
        return None
    states = [status.state.terminated for status in one.status.container_statuses if status.state is not None]
    ends = [_microseconds(state.finished_at, created) for state in states if state is not None]
    return max(ends, default=created)


def _labels(metadata: Metadata) -> Labels:
    """Return the labels that are not volatile by their name."""
    return Labels.of({key: value for key, value in metadata.labels.items() if key not in VOLATILE_KEYS})


def _named_ports(spec: PodSpec) -> tuple[NamedPort, ...]:
    """Return the named ports of containers and of native sidecars, sorted."""
    found = {
        NamedPort(name=port.name, protocol=port.protocol, number=port.container_port)
        for container in running_containers(spec)
        for port in container.ports
        if port.name
    }
    return tuple(sorted(found))


def _template(kind: str, one: TemplateObject | ReplicaSetObject, owners: _Owners) -> Template | None:
    """Return what a controller makes, or None when another controller stands above it."""
    if owners.top(kind, one.metadata) != (kind, one.metadata.name):
        return None
    spec = one.spec.job_template.spec if one.spec.job_template is not None else one.spec
    template = spec.template if isinstance(spec, JobSpec) or spec.template is not None else None
    pod: PodSpec = template.spec if template is not None else PodSpec()
    return Template(
        namespace=one.metadata.namespace,
        kind=kind,
        name=one.metadata.name,
        labels=_labels(template.metadata) if template is not None else Labels(),
        service_account=pod.service_account_name or "default",
        created=_microseconds(one.metadata.creation_timestamp, 0),
        host_network=pod.host_network,
        ports=_named_ports(pod),
        mesh=mesh_of(template.metadata, pod) if template is not None else None,
        probes=probes_of(pod),
    )


def _calls(kind: str, one: Any) -> Iterator[Call]:
    """Yield the calls of the API server that an object declares."""
    named = f"{kind} {one.metadata.name}"
    found: list[tuple[str, ClientConfig]] = []
    if isinstance(one, WebhookObject):
        found = [(f"{named}, failurePolicy {hook.failure_policy}", hook.client_config) for hook in one.webhooks]
    elif (
        isinstance(one, DefinitionObject)
        and one.spec.conversion is not None
        and one.spec.conversion.webhook is not None
    ):
        found = [(f"{named}, conversion", one.spec.conversion.webhook.client_config)]
    elif isinstance(one, ApiServiceObject):
        found = [(named, ClientConfig(service=one.spec.service))]
    for declared_by, config in found:
        if config.service is not None:
            yield Call(
                declared_by=declared_by, namespace=config.service.namespace, service=config.service.name,
                port=config.service.port,
            )  # fmt: skip
        elif config.url:
            yield from _called_url(declared_by, config.url)


def _called_url(declared_by: str, url: str) -> Iterator[Call]:
    """Yield the call of a URL of the cluster: the name of a Service, or an address, which may be anything's."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    labels = host.split(".")
    if canonical_address(host) is not None:
        yield Call(declared_by=declared_by, namespace="", service="", port=port, address=_address(host))
    elif len(labels) > 2 and labels[2] == "svc":
        yield Call(declared_by=declared_by, namespace=labels[1], service=labels[0], port=port)


def _service(one: ServiceObject, slices: Iterable[EndpointSlice]) -> Service:
    """Return a Service. One of type ExternalName has no address."""
    spec = one.spec
    own = [
        spec.cluster_ip,
        *spec.cluster_ips,
        *spec.external_ips,
        *(given.ip for given in one.status.load_balancer.ingress),
    ]
    backends = {
        (_address(address), port.name, port.port)
        for piece in slices
        for endpoint in piece.endpoints
        for address in endpoint.addresses
        for port in piece.ports
        if piece.address_type in ("IPv4", "IPv6") and port.port is not None
    }
    return Service(
        namespace=one.metadata.namespace,
        name=one.metadata.name,
        addresses=_addresses(address for address in own if address and address != "None"),
        selector=Labels.of(spec.selector) if spec.selector else None,
        ports=tuple(
            ServicePort(
                name=port.name,
                protocol=port.protocol,
                number=port.port,
                target=port.port if port.target_port is None or port.target_port in (0, "") else port.target_port,
            )
            for port in spec.ports
        ),
        created=_microseconds(one.metadata.creation_timestamp, 0),
        backends=tuple(sorted(backends)),
        exposure=_exposure(one),
    )


def _exposure(one: ServiceObject) -> Exposure | None:
    """Return how a Service takes clients from outside, or None. Raises ``ValueError`` for a range that is none."""
    spec = one.spec
    if spec.type not in list(ExposureKind):
        return None
    kind = ExposureKind(spec.type)
    ranges = spec.load_balancer_source_ranges if kind is ExposureKind.LOAD_BALANCER else []
    return Exposure(
        kind=kind,
        local=spec.external_traffic_policy == "Local",
        ranges=tuple(sorted({str(ip_network(text.strip(), strict=False)) for text in ranges})),
        internal=_is_internal(one),
    )


def _is_internal(one: ServiceObject) -> bool:
    """Say whether a load balancer is for a private network: by its annotations, or as all its addresses are private."""
    told = {key: value.lower() for key, value in one.metadata.annotations.items() if key in _INTERNAL}
    addresses = [given.ip for given in one.status.load_balancer.ingress if given.ip]
    private = bool(addresses) and all(is_private(_address(address)) for address in addresses)
    return private or any(value in ("true", "internal", "0.0.0.0/0") for value in told.values())


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """Return canonical addresses, each once, in order."""
    return tuple(dict.fromkeys(_address(text) for text in texts))


def _address(text: str) -> str:
    """Return a canonical address. Raises ``ValueError`` when the text is none."""
    found = canonical_address(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} is not an IP address")
    return found


def _microseconds(time: datetime | None, default: int) -> int:
    """Return a time in microseconds since 1970; one without a zone is UTC."""
    if time is None:
        return default
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return int(time.timestamp() * 1_000_000)
