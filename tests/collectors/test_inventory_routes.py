"""What ingresses, routes of gateways and monitors declare."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collectors.inventory_objects import KINDS
from collectors.inventory_routes import routes
from discovery.model.inventory import Route


def declared(*objects: dict[str, Any]) -> list[tuple[str, str, str, int | str, int | str | None]]:
    """Return the routes of objects as tuples."""
    typed = {}
    for one in objects:
        kind, metadata = one["kind"], one["metadata"]
        shape = KINDS[kind].shape
        typed[kind, metadata.get("namespace", ""), metadata["name"]] = msgspec.convert(one, shape)
    return [(one.declared_by, one.namespace, one.service, one.port, one.target) for one in routes(typed)]


def thing(kind: str, spec: dict[str, Any], name: str = "x", namespace: str = "shop", **labels: str) -> dict[str, Any]:
    """Return an object."""
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}


def test_an_ingress_routes_to_its_backends() -> None:
    """Paths of all rules and the default backend, by number or name; a resource is no Service."""
    backends = [
        {"service": {"name": "web", "port": {"number": 80}}},
        {"service": {"name": "api", "port": {"name": "http"}}},
        {"service": {"name": "none"}},
        {"resource": {"kind": "StorageBucket", "name": "static"}},
    ]
    spec = {
        "ingressClassName": "nginx",
        "defaultBackend": {"service": {"name": "sorry", "port": {"number": 8080}}},
        "rules": [{"host": "shop.example", "http": {"paths": [{"backend": one} for one in backends]}}, {"host": "x"}],
    }
    assert declared(thing("Ingress", spec)) == [
        ("Ingress shop/x", "shop", "api", "http", None),
        ("Ingress shop/x", "shop", "sorry", 8080, None),
        ("Ingress shop/x", "shop", "web", 80, None),
    ]


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"])
def test_a_route_leads_to_its_backends(kind: str) -> None:
    """Services of its own and of other namespaces; backends of another kind and without a port are passed over."""
    refs = [
        {"name": "web", "port": 80},
        {"name": "api", "port": 81, "namespace": "back", "kind": "Service"},
        {"name": "other", "port": 82, "kind": "ServiceImport"},
        {"name": "portless"},
    ]
    assert declared(thing(kind, {"rules": [{"backendRefs": refs}, {}]})) == [
        (f"{kind} shop/x", "back", "api", 81, None),
        (f"{kind} shop/x", "shop", "web", 80, None),
    ]


@pytest.mark.parametrize(
    ("selector", "namespaces", "expected"),
    [
        ({"matchLabels": {"app": "web"}}, {}, ["shop/web"]),
        ({"matchLabels": {"app": "web"}}, {"any": True}, ["back/web", "shop/web"]),
        ({}, {"matchNames": ["back"]}, ["back/web"]),
        ({}, {}, ["shop/db", "shop/web"]),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "x"]}]}, {}, ["shop/db"]),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, {}, ["shop/web"]),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {}, ["shop/db", "shop/web"]),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, {}, []),
    ],
)
def test_a_monitor_scrapes_what_it_selects(
    selector: dict[str, Any], namespaces: dict[str, Any], expected: list[str]
) -> None:
    """Services by labels and expressions, in its own namespace unless told otherwise."""
    services = [
        thing("Service", {}, "web", "shop", app="web"),
        thing("Service", {}, "db", "shop", app="db"),
        thing("Service", {}, "web", "back", app="web"),
    ]
    monitor = thing(
        "ServiceMonitor",
        {"selector": selector, "namespaceSelector": namespaces, "endpoints": [{"port": "metrics", "interval": "30s"}]},
    )
    found = declared(monitor, *services)
    assert [f"{namespace}/{name}" for _, namespace, name, _, _ in found] == expected
    assert {(by, port) for by, _, _, port, _ in found} <= {("ServiceMonitor shop/x", "metrics")}


def test_a_monitor_may_name_the_port_of_pods() -> None:
    """By number or by name; an endpoint without any port says nothing."""
    endpoints = [{"targetPort": 9100}, {"targetPort": "prom"}, {}]
    monitor = thing("ServiceMonitor", {"selector": {}, "endpoints": endpoints})
    found = declared(monitor, thing("Service", {}, "web"))
    assert sorted(str(target) for *_, target in found) == ["9100", "prom"]


def test_an_unknown_operator_is_an_error() -> None:
    """A selector that is not understood selects nothing in silence nowhere."""
    monitor = thing("ServiceMonitor", {"selector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}})
    with pytest.raises(ValueError, match="'Gt' is no operator"):
        declared(monitor, thing("Service", {}, "web"))


def test_nothing_declares_nothing() -> None:
    """No objects, no routes."""
    assert routes({}) == tuple[Route, ...]()
