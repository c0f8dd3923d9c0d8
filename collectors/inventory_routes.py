"""What objects declare of traffic that a window may not show: routes of ingresses and gateways, scrapes of monitors.

Sources: networking.k8s.io/v1 Ingress, gateway.networking.k8s.io v1 (HTTPRoute, GRPCRoute) and v1alpha2 (TCPRoute,
TLSRoute, UDPRoute), monitoring.coreos.com/v1 ServiceMonitor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from collectors.inventory_wire import Metadata, ServiceObject
from discovery.model.inventory import Opener, Route


class BackendPort(Struct, rename="camel"):
    """networking.k8s.io/v1.ServiceBackendPort: a number or a name."""

    number: int | None = None
    name: str | None = None


class BackendService(Struct, rename="camel"):
    """networking.k8s.io/v1.IngressServiceBackend."""

    name: str
    port: BackendPort = field(default_factory=BackendPort)


class IngressBackend(Struct, rename="camel"):
    """networking.k8s.io/v1.IngressBackend; one with a resource has no Service."""

    service: BackendService | None = None


class IngressPath(Struct, rename="camel"):
    """networking.k8s.io/v1.HTTPIngressPath."""

    backend: IngressBackend = field(default_factory=IngressBackend)


class IngressHttp(Struct, rename="camel"):
    """networking.k8s.io/v1.HTTPIngressRuleValue."""

    paths: list[IngressPath] = field(default_factory=list)


class IngressRule(Struct, rename="camel"):
    """networking.k8s.io/v1.IngressRule."""

    http: IngressHttp = field(default_factory=IngressHttp)


class IngressSpec(Struct, rename="camel"):
    """networking.k8s.io/v1.IngressSpec."""

    default_backend: IngressBackend | None = None
    rules: list[IngressRule] = field(default_factory=list)


class IngressObject(Struct, rename="camel"):
    """networking.k8s.io/v1.Ingress."""

    metadata: Metadata
    spec: IngressSpec = field(default_factory=IngressSpec)


class BackendRef(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.BackendRef."""

    name: str
    kind: str = "Service"
    namespace: str | None = None
    port: int | None = None


class Mirror(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.HTTPRequestMirrorFilter."""

    backend_ref: BackendRef


class RouteFilter(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.HTTPRouteFilter and its siblings."""

    request_mirror: Mirror | None = None


class RouteRule(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.HTTPRouteRule and its siblings."""

    backend_refs: list[BackendRef] = field(default_factory=list)
    filters: list[RouteFilter] = field(default_factory=list)


class RouteSpec(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.HTTPRouteSpec and its siblings."""

    rules: list[RouteRule] = field(default_factory=list)


class RouteObject(Struct, rename="camel"):
    """gateway.networking.k8s.io/v1.HTTPRoute and its siblings."""

    metadata: Metadata
    spec: RouteSpec = field(default_factory=RouteSpec)


class Requirement(Struct, rename="camel"):
    """metav1.LabelSelectorRequirement."""

    key: str
    operator: str
    values: list[str] = field(default_factory=list)


class LabelSelector(Struct, rename="camel"):
    """metav1.LabelSelector."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: list[Requirement] = field(default_factory=list)


class NamespaceSelector(Struct, rename="camel"):
    """monitoring.coreos.com/v1.NamespaceSelector."""

    any: bool = False
    match_names: list[str] = field(default_factory=list)


class MonitorEndpoint(Struct, rename="camel"):
    """monitoring.coreos.com/v1.Endpoint: the name of a Service's port, or a port of its pods."""

    port: str = ""
    target_port: int | str | None = None


class MonitorSpec(Struct, rename="camel"):
    """monitoring.coreos.com/v1.ServiceMonitorSpec."""

    endpoints: list[MonitorEndpoint] = field(default_factory=list)
    selector: LabelSelector = field(default_factory=LabelSelector)
    namespace_selector: NamespaceSelector = field(default_factory=NamespaceSelector)


class MonitorObject(Struct, rename="camel"):
    """monitoring.coreos.com/v1.ServiceMonitor."""

    metadata: Metadata
    spec: MonitorSpec = field(default_factory=MonitorSpec)


def routes(objects: Mapping[tuple[str, str, str], Any]) -> tuple[Route, ...]:
    """Return what objects, by kind, namespace and name, declare of connections to Services; sorted."""
    services = [one for (kind, _, _), one in objects.items() if kind == "Service"]
    found: set[Route] = set()
    for (kind, namespace, name), one in objects.items():
        told = f"{kind} {namespace}/{name}"
        if isinstance(one, IngressObject):
            found.update(_of_ingress(one, told))
        elif isinstance(one, RouteObject):
            found.update(_of_route(one, told))
        elif isinstance(one, MonitorObject):
            found.update(_of_monitor(one, told, services))
    return tuple(sorted(found, key=repr))


def _of_ingress(one: IngressObject, told: str) -> Iterator[Route]:
    """Yield the Services that an Ingress routes to."""
    backends = [one.spec.default_backend, *(path.backend for rule in one.spec.rules for path in rule.http.paths)]
    for backend in backends:
        if backend is not None and backend.service is not None:
            port = backend.service.port.number or backend.service.port.name
            if port:
                yield Route(
                    opener=Opener.GATEWAY, declared_by=told, namespace=one.metadata.namespace,
                    service=backend.service.name, port=port,
                )  # fmt: skip


def _of_route(one: RouteObject, told: str) -> Iterator[Route]:
    """Yield the Services that a route of a Gateway leads to."""
    for rule in one.spec.rules:
        mirrors = [one.request_mirror.backend_ref for one in rule.filters if one.request_mirror is not None]
        for ref in (*rule.backend_refs, *mirrors):
            if ref.kind == "Service" and ref.port is not None:
                namespace = ref.namespace or one.metadata.namespace
                yield Route(
                    opener=Opener.GATEWAY, declared_by=told, namespace=namespace, service=ref.name, port=ref.port
                )


def _of_monitor(one: MonitorObject, told: str, services: Iterable[ServiceObject]) -> Iterator[Route]:
    """Yield the Services whose pods a ServiceMonitor scrapes."""
    wanted = one.spec.namespace_selector
    for service in services:
        namespace = service.metadata.namespace
        near = namespace in (wanted.match_names or [one.metadata.namespace])
        if (wanted.any or near) and _selects(one.spec.selector, service.metadata.labels):
            for endpoint in one.spec.endpoints:
                if endpoint.port or endpoint.target_port:
                    yield Route(
                        opener=Opener.WORKLOAD, declared_by=told, namespace=namespace, service=service.metadata.name,
                        port=endpoint.port, target=endpoint.target_port,
                    )  # fmt: skip


def _selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector selects an object; an empty one selects everything."""
    return selector.match_labels.items() <= labels.items() and all(
        _holds(one, labels) for one in selector.match_expressions
    )


def _holds(one: Requirement, labels: Mapping[str, str]) -> bool:
    """Say whether a requirement holds. Raises ``ValueError`` for an operator that Kubernetes does not have."""
    match one.operator:
        case "In":
            return labels.get(one.key) in one.values
        case "NotIn":
            return labels.get(one.key) not in one.values
        case "Exists":
            return one.key in labels
        case "DoesNotExist":
            return one.key not in labels
    raise ValueError(f"{one.operator[:32]!r} is no operator of a label selector")
