"""What labels say of meshes, and the ports that each mesh uses."""

from __future__ import annotations

import pytest

from discovery.model.mesh import Mesh, control_ports_of, mesh_of_labels

AMBIENT = {"istio.io/dataplane-mode": "ambient"}


@pytest.mark.parametrize(
    ("labels", "namespace", "expected"),
    [
        ({}, {}, None),
        ({"app": "web"}, {"istio-injection": "enabled"}, None),
        ({"security.istio.io/tlsMode": "istio"}, {}, Mesh.ISTIO_SIDECAR),
        ({"security.istio.io/tlsMode": "istio"}, AMBIENT, Mesh.ISTIO_SIDECAR),
        ({}, AMBIENT, Mesh.ISTIO_AMBIENT),
        (AMBIENT, {}, Mesh.ISTIO_AMBIENT),
        ({"istio.io/dataplane-mode": "none"}, AMBIENT, None),
        ({"linkerd.io/control-plane-ns": "linkerd"}, {}, Mesh.LINKERD),
        ({"linkerd.io/control-plane-ns": "linkerd", "linkerd.io/control-plane-component": "identity"}, {}, None),
    ],
)
def test_labels_tell_meshes(labels: dict[str, str], namespace: dict[str, str], expected: Mesh | None) -> None:
    """The pod's own label beats its namespace's; a namespace that asks for injection proves nothing of a pod."""
    assert mesh_of_labels(labels, namespace) is expected


def test_ports_of_each_mesh() -> None:
    """Sidecars of Istio keep the application's ports; the others tunnel; no port has two parts in one mesh."""
    assert [mesh.tunnel_port for mesh in Mesh] == [None, 15_008, 4_143]
    assert [sorted(mesh.control_ports) for mesh in Mesh] == [[15_012], [], [8_080, 8_086, 8_090]]
    assert all(not mesh.redirect_ports & {mesh.tunnel_port, *mesh.control_ports} for mesh in Mesh)


@pytest.mark.parametrize("mesh", [mesh for mesh in Mesh if mesh.control_ports])
def test_control_planes_serve_what_members_need(mesh: Mesh) -> None:
    """The parts of a control plane together serve every port that a member must reach."""
    labels = [
        {"app": "istiod"},
        {"istio": "pilot"},
        {"linkerd.io/control-plane-component": "destination"},
        {"linkerd.io/control-plane-component": "identity"},
        {"linkerd.io/control-plane-component": "proxy-injector"},
        {"app": "web"},
    ]
    found = [served for one in labels if (served := control_ports_of(one)) is not None]
    assert {port for of, ports in found if of is mesh for port in ports} == mesh.control_ports
