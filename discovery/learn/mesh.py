"""Service meshes: which ports and peers a policy really sees, and where that cannot be proven.

Between two members of a tunnelling mesh a policy sees the tunnel's port alone; the application's port is evidence for
the mesh's own authorization policies. Inside of a pod a mesh redirects connections to ports of its own, which are no
peers. And a member must reach what runs the mesh, or be reached by the kubelet from the mesh's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from discovery.learn.judge import Judged, Reason, Ruling
from discovery.learn.selectors import Choice
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Protocol
from discovery.model.intent import Allow, CidrPeer, Origin, PolicyIntent, WorkloadPeer
from discovery.model.mesh import AMBIENT_PROBES, Mesh, MeshSign, control_ports_of, mesh_of_labels
from discovery.model.ports import PortSet
from discovery.model.workload import Selector, WorkloadRef, WorkloadVersion

_AMBIENT_PORT = Mesh.ISTIO_AMBIENT.tunnel_port
_INVENTORY = "add an inventory with --inventory: pods, namespaces and the mesh's own pods"
_OUTSIDE = "learn from a window in which both are members; write rules for skipped ports by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meshes:
    """The members of meshes, and how the control plane of each mesh is selected, with the ports it serves."""

    members: Mapping[WorkloadRef, MeshSign] = field(default_factory=dict)
    control: Mapping[Mesh, tuple[tuple[Selector, tuple[int, ...]], ...]] = field(default_factory=dict)

    def mesh(self, workload: WorkloadRef | None) -> Mesh | None:
        """Return the mesh of a workload, proven or suggested."""
        sign = self.members.get(workload) if workload is not None else None
        return sign.mesh if sign is not None else None

    def control_of(self, workload: WorkloadRef) -> list[tuple[Selector, tuple[int, ...]]]:
        """Return what runs the mesh of a workload, in its cluster."""
        found = self.control.get(self.members[workload].mesh, ())
        return [one for one in found if one[0].cluster == workload.cluster]

    def proven(self, workload: WorkloadRef | None, mesh: Mesh) -> bool:
        """Say whether a workload is proven to be a member of a mesh."""
        sign = self.members.get(workload) if workload is not None else None
        return sign is not None and sign.proven and sign.mesh is mesh


def find_meshes(
    versions: Iterable[WorkloadVersion],
    judged: Iterable[Judged],
    signs: Mapping[WorkloadRef, MeshSign | None],
    choices: Mapping[WorkloadRef, Choice],
) -> Meshes:
    """Return the members of meshes: what an inventory says (``signs``; None = proven to be no member), then what labels
    and the port of a tunnel suggest. Labels that a mesh itself puts on pods prove it.
    """
    members = {ref: sign for ref, sign in signs.items() if sign is not None}
    control: dict[Mesh, set[tuple[Selector, tuple[int, ...]]]] = {}
    for version in versions:
        labels = version.labels.as_dict()
        served = control_ports_of(labels)
        selector = choices[version.ref].selector
        if served is not None and selector is not None:
            control.setdefault(served[0], set()).add((selector, served[1]))
        mesh = mesh_of_labels(labels, version.namespace_labels.as_dict())
        if mesh is not None and version.ref not in signs:
            members[version.ref] = MeshSign(mesh=mesh, proven=mesh is not Mesh.ISTIO_AMBIENT)
    for one in judged:
        server = one.edge.server.workload
        if one.ruling is Ruling.LEARN and one.edge.port == _AMBIENT_PORT and server is not None and server not in signs:
            members.setdefault(server, MeshSign(mesh=Mesh.ISTIO_AMBIENT, proven=False))
    return Meshes(members=members, control={mesh: tuple(sorted(found)) for mesh, found in sorted(control.items())})


def as_seen_by_policy(one: Judged, meshes: Meshes) -> Judged:
    """Return a learned edge with the port that policies see: that of the tunnel between two proven members of an
    ambient mesh. An edge to a port that a mesh redirects to goes to review.
    """
    edge = one.edge
    client, server = edge.client.workload, edge.server.workload
    mesh = meshes.mesh(server)
    if one.ruling is not Ruling.REVIEW and mesh is not None and edge.port in mesh.redirect_ports:
        return Judged(edge=edge, ruling=Ruling.REVIEW, reason=Reason.REDIRECT)
    ambient = meshes.proven(client, Mesh.ISTIO_AMBIENT) and meshes.proven(server, Mesh.ISTIO_AMBIENT)
    if one.ruling is Ruling.LEARN and ambient and edge.protocol is Protocol.TCP and edge.port != _AMBIENT_PORT:
        return replace(one, edge=replace(edge, port=_AMBIENT_PORT, application_port=edge.port))
    return one


def with_mesh(intent: PolicyIntent, meshes: Meshes) -> PolicyIntent:
    """Return an intent with what its mesh needs: probes of an ambient pod, the control plane of a sidecar."""
    sign = meshes.members.get(intent.workload)
    if sign is None or not intent.isolate:
        return intent
    if intent.direction is Direction.INGRESS:
        added = _probes(sign) if sign.mesh is Mesh.ISTIO_AMBIENT else []
    else:
        added = _control(intent, sign.mesh, meshes)
    return replace(intent, allows=(*intent.allows, *added)) if added else intent


def _probes(sign: MeshSign) -> list[Allow]:
    """Return the allow for the kubelet's probes, whose source an ambient mesh rewrites."""
    if not sign.probes:
        return []
    return [
        Allow(
            peer=CidrPeer(prefixes=AMBIENT_PROBES),
            protocol=Protocol.TCP,
            ports=PortSet.of(*sign.probes),
            origin=Origin.MESH,
            reason="probes of the kubelet come from these addresses in an ambient mesh",
        )
    ]


def _control(intent: PolicyIntent, mesh: Mesh, meshes: Meshes) -> list[Allow]:
    """Return allows for the ports of the mesh's control plane that no observed rule allows."""
    found = []
    for selector, served in meshes.control_of(intent.workload):
        missing = [port for port in served if not _reaches(intent, selector, port)]
        if missing:
            found.append(
                Allow(
                    peer=WorkloadPeer(selector=selector),
                    protocol=Protocol.TCP,
                    ports=PortSet.of(*missing),
                    origin=Origin.MESH,
                    reason=f"the control plane of its mesh ({mesh}), without which its proxy stops",
                )
            )
    return found


def _reaches(intent: PolicyIntent, selector: Selector, port: int) -> bool:
    """Say whether an intent allows a port of a workload already."""
    return any(
        allow.peer == WorkloadPeer(selector=selector) and allow.protocol is Protocol.TCP and port in allow.ports
        for allow in intent.allows
    )


def unproven(intent: PolicyIntent, edges: Iterable[Edge], meshes: Meshes) -> str | None:
    """Return why it is not proven that an intent allows what the mesh of its workload needs, or None.

    ``edges`` are the learned ones of its workload and direction.
    """
    sign = meshes.members.get(intent.workload)
    if sign is None or not intent.isolate:
        return None
    if not sign.proven:
        return f"labels or ports suggest that it is a member of a mesh ({sign.mesh}), and nothing proves it"
    if sign.mesh is Mesh.LINKERD and any(_bypasses(edge, meshes) for edge in edges):
        return "traffic between two members of Linkerd was seen outside of its tunnel: skipped ports, or older traffic"
    if intent.direction is Direction.EGRESS:
        served = {port for _, ports in meshes.control_of(intent.workload) for port in ports}
        if not sign.mesh.control_ports <= served:
            return f"nothing shows where the control plane of its mesh ({sign.mesh}) is"
    return None


def _bypasses(edge: Edge, meshes: Meshes) -> bool:
    """Say whether an edge between two members of Linkerd is on another port than that of the tunnel."""
    both = meshes.mesh(edge.client.workload) is Mesh.LINKERD and meshes.mesh(edge.server.workload) is Mesh.LINKERD
    return both and edge.protocol is Protocol.TCP and edge.port != Mesh.LINKERD.tunnel_port


def refuse(
    intents: Iterable[PolicyIntent], edges: Mapping[WorkloadRef, Iterable[Edge]], meshes: Meshes, *, enforce: bool
) -> tuple[list[PolicyIntent], list[Diagnostic]]:
    """Return the intents, in enforce mode without isolation where the mesh's needs are not proven, and the findings."""
    kept, found = [], []
    for intent in intents:
        own = [edge for edge in edges.get(intent.workload, ()) if _is_of(edge, intent)]
        why = unproven(intent, own, meshes)
        kept.append(replace(intent, isolate=False, reasons=(why,)) if why is not None and enforce else intent)
        if why is not None:
            effect = "it is left open" if enforce else "enforce mode will leave it open"
            found.append(
                Diagnostic(
                    code="mesh-not-provable",
                    level=Level.WARNING,
                    subject=str(intent.workload),
                    message=f"{intent.direction}: {why}; {effect}",
                    hint=_OUTSIDE if any(_bypasses(edge, meshes) for edge in own) else _INVENTORY,
                )
            )
    return kept, found


def _is_of(edge: Edge, intent: PolicyIntent) -> bool:
    """Say whether an edge is of an intent's direction."""
    end = edge.server if intent.direction is Direction.INGRESS else edge.client
    return end.workload == intent.workload
