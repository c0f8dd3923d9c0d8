"""Service meshes: what they do to the ports that a policy sees.

Sources: istio.io (ambient and Kubernetes NetworkPolicy; application requirements: ports used by Istio), linkerd.io
(common errors: network policy; control plane ports).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Where the kubelet's probes of an ambient pod seem to come from: the node rewrites their source.
AMBIENT_PROBES = ("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")


class Mesh(StrEnum):
    """A mesh, and the way in which it takes part in a pod's traffic."""

    ISTIO_SIDECAR = "Istio sidecar"
    ISTIO_AMBIENT = "Istio ambient"
    LINKERD = "Linkerd"

    @property
    def tunnel_port(self) -> int | None:
        """Return the TCP port at which a policy sees all traffic between two members; None where ports stay."""
        return {Mesh.ISTIO_AMBIENT: 15_008, Mesh.LINKERD: 4_143}.get(self)

    @property
    def redirect_ports(self) -> frozenset[int]:
        """Return the ports that traffic is redirected to inside a pod: no peer ever connects to them."""
        return frozenset({4_140}) if self is Mesh.LINKERD else frozenset({15_001, 15_006})

    @property
    def control_ports(self) -> frozenset[int]:
        """Return the ports of the control plane that a member's own pods must reach."""
        return {Mesh.ISTIO_SIDECAR: frozenset({15_012}), Mesh.LINKERD: frozenset({8_080, 8_086, 8_090})}.get(
            self, frozenset()
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MeshSign:
    """That a workload is a member of a mesh; ``probes`` are the TCP ports that its kubelet probes.

    ``proven``: its pods say so themselves; otherwise labels or ports of flows suggest it.
    """

    mesh: Mesh
    proven: bool
    probes: tuple[int, ...] = ()


def mesh_of_labels(labels: dict[str, str], namespace_labels: dict[str, str]) -> Mesh | None:
    """Return the mesh that labels of a pod or of its namespace suggest."""
    if "linkerd.io/control-plane-ns" in labels and "linkerd.io/control-plane-component" not in labels:
        return Mesh.LINKERD
    if labels.get("security.istio.io/tlsMode") == "istio":
        return Mesh.ISTIO_SIDECAR
    mode = labels.get("istio.io/dataplane-mode", namespace_labels.get("istio.io/dataplane-mode"))
    return Mesh.ISTIO_AMBIENT if mode == "ambient" else None


def control_ports_of(labels: dict[str, str]) -> tuple[Mesh, tuple[int, ...]] | None:
    """Return the mesh whose control plane labels name, and the ports that it serves members on; None for no such."""
    if labels.get("app") == "istiod" or labels.get("istio") == "pilot":
        return Mesh.ISTIO_SIDECAR, (15_012,)
    component = labels.get("linkerd.io/control-plane-component")
    served = {"destination": (8_086, 8_090), "identity": (8_080,)}.get(component or "")
    return None if served is None else (Mesh.LINKERD, served)
