"""Objects of a small cluster, as YAML that an inventory is read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

CREATED = "2026-10-01T00:00:00Z"
NODES = {"node-a": "192.168.56.11", "node-b": "192.168.56.12", "node-c": "192.168.56.13"}
# The pods of the estate that cases select: name, address, node.
_PODS = (
    ("shop", "web", "10.0.1.10", {"app": "web"}),
    ("shop", "api", "10.0.2.20", {"app": "api"}),
    ("kube-system", "coredns", "10.0.2.53", {"k8s-app": "kube-dns"}),
)

Object = dict[str, Any]


def _object(kind: str, name: str, namespace: str = "", **body: Any) -> Object:
    """Return an object."""
    metadata: Object = {"name": name, "creationTimestamp": CREATED}
    if namespace:
        metadata["namespace"] = namespace
    return {"kind": kind, "metadata": {**metadata, **body.pop("metadata", {})}, **body}


def _pod(namespace: str, name: str, address: str, labels: Mapping[str, str], **spec: Any) -> Object:
    """Return a running pod of a Deployment."""
    return _object(
        "Pod",
        f"{name}-6c9f7d8b54-k2xqv",
        namespace,
        metadata={
            "labels": {**labels, "pod-template-hash": "6c9f7d8b54"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-6c9f7d8b54", "controller": True}],
        },
        spec={"serviceAccountName": name, **spec},
        status={"phase": "Running", "podIP": address},
    )


def inventory(*objects: Object) -> str:
    """Return the nodes and pods of the cluster with further objects, as YAML."""
    nodes = [
        _object("Node", name, status={"addresses": [{"type": "InternalIP", "address": address}]})
        for name, address in NODES.items()
    ]
    pods = [_pod(*row) for row in _PODS]
    return yaml.safe_dump({"kind": "List", "items": [*nodes, *pods, *objects]}, sort_keys=False)


def service(name: str, kind: str, *, local: bool, ranges: tuple[str, ...] = ()) -> Object:
    """Return a Service of a type for port 80, which is 8080 at the pods."""
    if kind == "ExternalName":
        return _object("Service", name, "shop", spec={"type": kind, "externalName": "db.example"})
    spec: Object = {
        "type": kind,
        "clusterIP": "10.96.0.20",
        "externalTrafficPolicy": "Local" if local else "Cluster",
        "selector": {"app": name},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30_080}],
    }
    if ranges:
        spec["loadBalancerSourceRanges"] = list(ranges)
    return _object("Service", name, "shop", spec=spec)


def _slice(service_name: str, namespace: str, address: str, port: int) -> Object:
    """Return the EndpointSlice of a Service with one backend."""
    return _object(
        "EndpointSlice",
        f"{service_name}-1",
        namespace,
        metadata={"labels": {"kubernetes.io/service-name": service_name}},
        addressType="IPv4",
        endpoints=[{"addresses": [address]}],
        ports=[{"name": "p", "port": port}],
    )


def endpoints(name: str, address: str, port: int, backend: str, target: int) -> tuple[Object, Object]:
    """Return a Service without a selector and its one backend."""
    spec = {"clusterIP": address, "ports": [{"name": "p", "port": port}]}
    return _object("Service", name, "shop", spec=spec), _slice(name, "shop", backend, target)


def api_server(address: str) -> Object:
    """Return the Service default/kubernetes with its one endpoint, as a list."""
    spec = {"clusterIP": "10.96.0.1", "ports": [{"name": "p", "port": 443}]}
    items = [_object("Service", "kubernetes", "default", spec=spec), _slice("kubernetes", "default", address, 6443)]
    return {"kind": "List", "items": items}


def daemon_set(name: str, *addresses: str) -> Object:
    """Return host-network pods of a DaemonSet, one per node address, as a list."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"hostNetwork": True}}
    owner = [{"kind": "DaemonSet", "name": name, "controller": True}]
    pods = [
        _object(
            "Pod",
            f"{name}-{number}",
            "shop",
            metadata={"labels": {"app": name}, "ownerReferences": owner},
            spec={"hostNetwork": True},
            status={"phase": "Running", "podIP": address},
        )
        for number, address in enumerate(addresses)
    ]
    return {"kind": "List", "items": [_object("DaemonSet", name, "shop", spec={"template": template}), *pods]}
