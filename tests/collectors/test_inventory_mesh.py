"""What a pod shows of a mesh, and which of its ports the kubelet probes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collectors.inventory_mesh import mesh_of, probes_of
from collectors.inventory_wire import PodObject
from discovery.model.mesh import Mesh


def pod(containers: list[dict[str, Any]], init: list[dict[str, Any]] | None = None, **annotations: str) -> PodObject:
    """Return a pod; annotations are given with ``__`` for ``/`` and ``_`` for ``.``."""
    told = {key.replace("__", "/").replace("_", "."): value for key, value in annotations.items()}
    spec = {"containers": containers, "initContainers": init or []}
    return msgspec.convert({"metadata": {"name": "web", "annotations": told}, "spec": spec}, PodObject)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pod([{"name": "web"}]), None),
        (pod([{"name": "web"}, {"name": "istio-proxy"}]), Mesh.ISTIO_SIDECAR),
        (pod([{"name": "web"}], [{"name": "istio-proxy"}], sidecar_istio_io__status="{}"), Mesh.ISTIO_SIDECAR),
        (pod([{"name": "web"}], [{"name": "linkerd-init"}]), None),
        (pod([{"name": "web"}, {"name": "linkerd-proxy"}]), Mesh.LINKERD),
        (pod([{"name": "web"}], ambient_istio_io__redirection="enabled"), Mesh.ISTIO_AMBIENT),
        (pod([{"name": "web"}], ambient_istio_io__redirection="disabled"), None),
        (pod([{"name": "istio-proxy"}]), None),
        (pod([]), None),
    ],
)
def test_a_pod_shows_its_mesh(one: PodObject, expected: Mesh | None) -> None:
    """Sidecars, native sidecars and the note of an ambient mesh; a gateway runs the proxy alone and is no member."""
    assert mesh_of(one.metadata, one.spec) is expected


def test_all_kinds_of_probes_count_once() -> None:
    """HTTP, TCP and gRPC probes of all containers, by number or by name; commands and unknown names have no port."""
    web = {
        "name": "web",
        "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9999}],
        "livenessProbe": {"httpGet": {"port": "http"}},
        "readinessProbe": {"tcpSocket": {"port": 8081}},
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    side = {
        "name": "side",
        "livenessProbe": {"grpc": {"port": 9000}},
        "readinessProbe": {"httpGet": {"port": "nowhere"}},
        "startupProbe": {"tcpSocket": {"port": 8081}},
    }
    assert probes_of(pod([web, side]).spec) == (8080, 8081, 9000)
    assert probes_of(pod([{"name": "web"}]).spec) == ()


@pytest.mark.parametrize(("policy", "expected"), [("Always", (7070,)), (None, ())])
def test_probes_of_native_sidecars_count(policy: str | None, expected: tuple[int, ...]) -> None:
    """An init container that keeps running is probed like the others; one that ends before them is not."""
    sidecar: dict[str, Any] = {"name": "proxy", "startupProbe": {"tcpSocket": {"port": 7070}}}
    if policy is not None:
        sidecar["restartPolicy"] = policy
    assert probes_of(pod([{"name": "web"}], [sidecar]).spec) == expected
