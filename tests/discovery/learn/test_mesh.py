"""Meshes: the ports that policies see, what members need, and what is refused because nothing proves it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from discovery.learn.intents import Learned, Subjects, Told, learn
from discovery.learn.judge import Options, Reason, Ruling
from discovery.model.edge import Direction, Edge, Protocol
from discovery.model.intent import CidrPeer, Origin, PolicyIntent
from discovery.model.mesh import AMBIENT_PROBES, Mesh, MeshSign
from discovery.model.workload import WorkloadRef, WorkloadVersion
from tests.discovery.learn.builders import edge, outside, pod, ref, version

IN, OUT = Direction.INGRESS, Direction.EGRESS
AMBIENT = {"istio.io/dataplane-mode": "ambient"}
SIDECAR = {"security.istio.io/tlsMode": "istio"}
LINKERD = {"linkerd.io/control-plane-ns": "linkerd"}
ISTIOD = ref("istiod", namespace="istio-system")
CONTROL = (
    version(ref("dst", namespace="linkerd"), {"linkerd.io/control-plane-component": "destination"}),
    version(ref("id", namespace="linkerd"), {"linkerd.io/control-plane-component": "identity"}),
)


def proven(mesh: Mesh, *names: str, probes: tuple[int, ...] = ()) -> dict[WorkloadRef, MeshSign | None]:
    """Return what an inventory says of members."""
    return {ref(name): MeshSign(mesh=mesh, proven=True, probes=probes) for name in names}


def learned(
    *edges: Edge,
    versions: tuple[WorkloadVersion, ...] = (version("web"), version("api"), version("db")),
    signs: Mapping[WorkloadRef, MeshSign | None] | None = None,
    enforce: bool = True,
) -> Learned:
    """Learn for enforce mode."""
    return learn(edges, versions, Options(enforce=enforce), Subjects(), told=Told(meshes=signs or {}))


def intent(found: Learned, name: str, direction: Direction) -> PolicyIntent:
    """Return an intent of the shop."""
    return next(one for one in found.intents if (one.workload, one.direction) == (ref(name), direction))


def ports(one: PolicyIntent, origin: Origin = Origin.OBSERVED) -> list[str]:
    """Return the ports of the allows of one origin."""
    return [str(allow.ports) for allow in one.allows if allow.origin is origin]


def refused(found: Learned) -> list[str]:
    """Return the subjects and directions that a mesh keeps open."""
    told = [one for one in found.diagnostics if one.code == "mesh-not-provable"]
    return [f"{one.subject} {one.message.partition(':')[0]}" for one in told]


# --------------------------------------------------------------------------------------------------------- ambient


def test_members_of_an_ambient_mesh_meet_at_the_tunnel() -> None:
    """All TCP ports between two members are one rule for 15008, at both ends; the ports themselves stay as evidence."""
    signs = proven(Mesh.ISTIO_AMBIENT, "web", "api")
    found = learned(edge("web", "api", 8080), edge("web", "api", 9090), edge("web", "api", 15008), signs=signs)
    for name, direction in (("web", OUT), ("api", IN)):
        one = intent(found, name, direction)
        assert one.isolate
        assert ports(one) == ["15008"]
        assert str(one.allows[0].carries) == "8080,9090"
    assert refused(found) == []


def test_the_tunnel_is_for_tcp_between_members_alone() -> None:
    """UDP, clients and servers outside of the mesh, and outside addresses keep their ports."""
    signs = {**proven(Mesh.ISTIO_AMBIENT, "web", "api"), ref("db"): None}
    found = learned(
        edge("web", "api", 53, protocol=Protocol.UDP),
        edge("web", "db", 5432),
        edge("db", "api", 8080),
        edge(outside("192.0.2.1"), "api", 443),
        signs=signs,
    )
    assert sorted(ports(intent(found, "api", IN))) == ["443", "53", "8080"]
    assert ports(intent(found, "db", IN)) == ["5432"]


def test_probes_of_ambient_pods_come_from_the_mesh() -> None:
    """Ingress lets the probes' addresses of both families in, on the probed ports, though no window showed it."""
    found = learned(edge("web", "api", 8080), signs=proven(Mesh.ISTIO_AMBIENT, "web", "api", probes=(8080, 8081)))
    (probe,) = [allow for allow in intent(found, "api", IN).allows if allow.origin is Origin.MESH]
    assert probe.peer == CidrPeer(prefixes=AMBIENT_PROBES)
    assert (probe.protocol, str(probe.ports)) == (Protocol.TCP, "8080-8081")
    assert ports(intent(found, "web", OUT), Origin.MESH) == []
    assert not [one for one in found.diagnostics if one.code == "private-external-peer"]
    without = learned(edge("web", "api", 8080), signs=proven(Mesh.ISTIO_AMBIENT, "web", "api"))
    assert ports(intent(without, "api", IN), Origin.MESH) == []


def test_the_address_of_probes_is_no_client() -> None:
    """It is written as it is, where addresses of clients become prefixes."""
    signs = proven(Mesh.ISTIO_AMBIENT, "api")
    probe = edge(outside("169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"), "api", 8081)
    found = learn([probe], (version("api"),), Options(client_prefixes=True), Subjects(), told=Told(meshes=signs))
    (allow,) = intent(found, "api", IN).allows
    assert isinstance(allow.peer, CidrPeer)
    assert (allow.peer.prefixes, allow.peer.clients) == (AMBIENT_PROBES, False)


@pytest.mark.parametrize(
    ("versions", "edges"),
    [
        ((version("web", namespace_labels=AMBIENT), version("api", namespace_labels=AMBIENT)), [edge("web", "api")]),
        ((version("web"), version("api")), [edge("web", "api", 15008)]),
    ],
)
def test_a_suggested_ambient_mesh_is_refused(versions: tuple[WorkloadVersion, ...], edges: list[Edge]) -> None:
    """Labels of a namespace or the tunnel's port alone: enforce mode leaves the member open and says so."""
    found = learned(*edges, versions=versions)
    assert "shop/api ingress" in refused(found)
    assert not intent(found, "api", IN).isolate
    watching = learned(*edges, versions=versions, enforce=False)
    assert refused(watching) == refused(found)
    assert intent(watching, "api", IN).isolate


def test_the_port_alone_says_nothing_of_what_an_inventory_knows() -> None:
    """A gateway that speaks the tunnel's protocol and is no member is none."""
    found = learned(edge("web", "api", 15008), signs={ref("web"): None, ref("api"): None})
    assert refused(found) == []
    assert intent(found, "api", IN).isolate


# -------------------------------------------------------------------------------------------------------- sidecars


@pytest.mark.parametrize(("labels", "port"), [(SIDECAR, 15001), (SIDECAR, 15006), (LINKERD, 4140)])
def test_redirect_ports_are_no_peers(labels: dict[str, str], port: int) -> None:
    """What a mesh redirects to inside of a pod goes to review; at any other pod the port is like any other."""
    versions = (version("web"), version("api", {"app": "api", **labels}))
    found = learned(edge("web", "api", port), edge("web", "api", 8080), versions=versions, enforce=False)
    assert [one.reason for one in found.judged if one.ruling is Ruling.REVIEW] == [Reason.REDIRECT]
    assert ports(intent(found, "api", IN)) == ["8080"]
    plain = learned(edge("web", "api", port))
    assert ports(intent(plain, "api", IN)) == [str(port)]


def test_a_sidecar_reaches_its_control_plane() -> None:
    """It is declared where it was not observed, and not twice where it was."""
    versions = (version("web", {"app": "web", **SIDECAR}), version("api"), version(ISTIOD))
    found = learned(edge("web", "api", 8080), versions=versions)
    assert ports(intent(found, "web", OUT), Origin.MESH) == ["15012"]
    assert refused(found) == []
    seen = learned(
        edge("web", "api", 8080), edge("web", pod("istiod", namespace="istio-system"), 15012), versions=versions
    )
    assert ports(intent(seen, "web", OUT), Origin.MESH) == []


def test_a_sidecar_without_a_known_control_plane_is_refused() -> None:
    """Its egress stays open; its ingress needs nothing of the mesh."""
    versions = (version("web", {"app": "web", **SIDECAR}), version("api", {"app": "api", **SIDECAR}))
    found = learned(edge("web", "api", 8080), versions=versions)
    assert refused(found) == ["shop/web egress"]
    assert not intent(found, "web", OUT).isolate
    assert intent(found, "api", IN).isolate
    far = (*versions, version(ref("istiod", namespace="istio-system", cluster="c2")))
    assert refused(learned(edge("web", "api", 8080), versions=far)) == ["shop/web egress"]


# --------------------------------------------------------------------------------------------------------- Linkerd


def test_members_of_linkerd_meet_at_its_proxy() -> None:
    """The observed port of the proxy is the rule, and both parts of the control plane are declared."""
    versions = (version("web", {"app": "web", **LINKERD}), version("api", {"app": "api", **LINKERD}), *CONTROL)
    found = learned(edge("web", "api", 4143), versions=versions)
    assert ports(intent(found, "api", IN)) == ["4143"]
    assert sorted(ports(intent(found, "web", OUT), Origin.MESH)) == ["8080", "8086,8090"]
    assert refused(found) == []


def test_members_of_linkerd_that_meet_elsewhere_are_refused() -> None:
    """A skipped port and older traffic look the same: neither end is isolated for it; others are."""
    versions = (version("web", {"app": "web", **LINKERD}), version("api", {"app": "api", **LINKERD}), *CONTROL)
    found = learned(edge("web", "api", 3306), edge(outside("192.0.2.1"), "web", 443), versions=versions)
    assert refused(found) == ["shop/api ingress", "shop/web egress"]
    assert intent(found, "web", IN).isolate
