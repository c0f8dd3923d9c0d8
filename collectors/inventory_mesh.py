"""What a pod itself shows of a service mesh, and which of its ports the kubelet probes.

Sources: istio.io (sidecar injection; ambient: pod annotations), linkerd.io (proxy injection). A pod that shows nothing
is no member, whatever its namespace asks for: it may be older than the label.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectors.inventory_wire import Container, Metadata, PodSpec, Probe
from discovery.model.mesh import Mesh

_SIDECARS = {"istio-proxy": Mesh.ISTIO_SIDECAR, "linkerd-proxy": Mesh.LINKERD}
_AMBIENT = "ambient.istio.io/redirection"


def mesh_of(metadata: Metadata, spec: PodSpec) -> Mesh | None:
    """Return the mesh that a pod is a member of by its containers (native sidecars are init containers) and notes.

    Control planes and gateways run the same containers and redirect nothing: their pods carry no status of injection.
    """
    if metadata.annotations.get(_AMBIENT) == "enabled":
        return Mesh.ISTIO_AMBIENT
    injected = {"sidecar.istio.io/status", "linkerd.io/proxy-version"} & metadata.annotations.keys()
    names = [container.name for container in (*spec.containers, *spec.init_containers)]
    found = [_SIDECARS[name] for name in names if name in _SIDECARS]
    return found[0] if found and (injected or len(spec.containers) > 1) else None


def probes_of(spec: PodSpec) -> tuple[int, ...]:
    """Return the TCP ports that the kubelet probes, sorted: of containers and of native sidecars."""
    return tuple(sorted({port for container in running_containers(spec) for port in _probed(container)}))


def running_containers(spec: PodSpec) -> list[Container]:
    """Return the containers that run as long as the pod: its own, and native sidecars among the init containers."""
    return [*spec.containers, *(one for one in spec.init_containers if one.restart_policy == "Always")]


def _probed(container: Container) -> Iterator[int]:
    """Yield the ports of a container's probes; one that is named is looked up in the container."""
    named = {port.name: port.container_port for port in container.ports if port.name}
    for probe in (container.liveness_probe, container.readiness_probe, container.startup_probe):
        for target in _targets(probe):
            number = named.get(target) if isinstance(target, str) else target
            if number is not None:
                yield number


def _targets(probe: Probe | None) -> Iterator[int | str]:
    """Yield what a probe connects to."""
    if probe is not None:
        for action in (probe.http_get, probe.tcp_socket, probe.grpc):
            if action is not None and action.port is not None:
                yield action.port
