"""Small builders of what an inventory holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from discovery.model.inventory import Pod, Service, ServicePort, Template
from discovery.model.workload import Labels
from tests.flows_factory import START

_DAY = timedelta(days=1)


def us_of(time: datetime) -> int:
    """Return microseconds since 1970."""
    return int(time.timestamp() * 1_000_000)


def pod_of(app: str = "cart", address: str = "10.0.0.2", since: datetime = START - _DAY, **changes: Any) -> Pod:
    """Return a pod of the Deployment ``app`` that runs."""
    whole: dict[str, Any] = {
        "namespace": "shop", "name": f"{app}-1", "labels": Labels.of({"app": app}), "service_account": "default",
        "owner_kind": "Deployment", "owner_name": app, "addresses": (address,), "host_network": False,
        "created": us_of(since),
    }  # fmt: skip
    return Pod(**{**whole, **changes})


def template_of(app: str = "cart", **changes: Any) -> Template:
    """Return the Deployment ``app`` of which no pod runs."""
    whole: dict[str, Any] = {
        "namespace": "shop", "kind": "Deployment", "name": app, "labels": Labels.of({"app": app}),
        "service_account": "default", "created": us_of(START - _DAY),
    }  # fmt: skip
    return Template(**{**whole, **changes})


def service_of(*ports: ServicePort, **changes: Any) -> Service:
    """Return the Service ``cart`` at 10.96.0.7."""
    whole: dict[str, Any] = {
        "namespace": "shop", "name": "cart", "addresses": ("10.96.0.7",), "selector": Labels.of({"app": "cart"}),
        "ports": ports, "created": us_of(START - _DAY),
    }  # fmt: skip
    return Service(**{**whole, **changes})


def port_of(target: int | str, number: int = 80, name: str = "http") -> ServicePort:
    """Return a TCP port of a Service."""
    return ServicePort(name=name, protocol="TCP", number=number, target=target)
