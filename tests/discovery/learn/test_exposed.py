"""Clients from outside: what Services declare of them, beyond the few that a window shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.learn.exposed import by_nodes_alone, with_exposed
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, Peer, PolicyIntent
from discovery.model.inventory import DeclaredExposure, Exposure, ExposureKind
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector
from tests.discovery.learn.builders import CLUSTER, ref

WEB = ref("web")
NODES = ("192.168.56.11", "192.168.56.12")
SEEN = CidrPeer(prefixes=("203.0.113.0/24",), clients=True)
REMOTE = EntityPeer(entity=Entity.REMOTE_NODE, addresses=("192.168.56.11",))
HOST = EntityPeer(entity=Entity.HOST)
API_SERVER = EntityPeer(entity=Entity.KUBE_APISERVER, addresses=("192.168.56.10",))
PROBES = frozenset({9090})


def allow(peer: Peer, port: int = 8080, protocol: Protocol = Protocol.TCP) -> Allow:
    """Return an observed allow."""
    return Allow(peer=peer, protocol=protocol, ports=PortSet.of(port))


def ingress(*allows: Allow) -> PolicyIntent:
    """Return the isolated ingress of web."""
    return PolicyIntent(
        workload=WEB,
        subject=Selector(cluster=CLUSTER, namespace="shop", labels=Labels.of({"app": "web"})),
        direction=Direction.INGRESS,
        allows=allows,
        isolate=True,
    )


def exposed(
    kind: ExposureKind, *, local: bool, ranges: tuple[str, ...] = (), families: tuple[int, ...] = (4,)
) -> DeclaredExposure:
    """Return that a Service exposes TCP/8080 of web."""
    return DeclaredExposure(
        workload=WEB, protocol="TCP", port=8080, declared_by=f"Service shop/web ({kind})",
        exposure=Exposure(kind=kind, local=local, ranges=ranges), families=families,
    )  # fmt: skip


def told(intent: PolicyIntent, *exposures: DeclaredExposure) -> list[tuple[Peer, Origin, str | None]]:
    """Return what the intent allows with exposures."""
    return [(one.peer, one.origin, one.reason) for one in with_exposed(intent, exposures, NODES, PROBES).allows]


def test_any_node_forwards_where_one_did() -> None:
    """A client that came by one node may come by each: the entity, with all known addresses, on that port alone."""
    one = exposed(ExposureKind.NODE_PORT, local=False)
    why = "Service shop/web (NodePort) with externalTrafficPolicy Cluster: any node forwards its clients"
    added = (EntityPeer(entity=Entity.REMOTE_NODE, addresses=NODES), Origin.SERVICE, why)
    assert told(ingress(allow(HOST)), one) == [(HOST, Origin.OBSERVED, None), added]
    assert told(ingress(allow(SEEN)), one) == [(SEEN, Origin.OBSERVED, None), added]
    assert told(ingress(allow(API_SERVER)), one) == [(API_SERVER, Origin.OBSERVED, None), added]


def test_where_nodes_were_seen_it_is_said_who_comes_through_them() -> None:
    """The same peer with its reason, because its clients are outside; a second look changes nothing."""
    one = exposed(ExposureKind.NODE_PORT, local=False)
    assert [(peer, origin) for peer, origin, _ in told(ingress(allow(REMOTE)), one)] == [
        (REMOTE, Origin.OBSERVED),
        (REMOTE, Origin.SERVICE),
    ]
    once = with_exposed(ingress(allow(HOST)), (one,), NODES, PROBES)
    assert with_exposed(once, (one,), NODES, PROBES) == once


@pytest.mark.parametrize("other", [allow(HOST, 9090), allow(HOST, 8080, Protocol.UDP)])
def test_other_ports_prove_nothing(other: Allow) -> None:
    """A probe of the own node on another port or protocol shows no client of the Service."""
    intent = ingress(other)
    assert with_exposed(intent, (exposed(ExposureKind.NODE_PORT, local=False),), NODES, PROBES) == intent


def test_kept_addresses_of_a_node_port_stay_those_seen() -> None:
    """With externalTrafficPolicy Local clients keep their addresses, and nothing says that others may come."""
    intent = ingress(allow(SEEN), allow(HOST))
    assert with_exposed(intent, (exposed(ExposureKind.NODE_PORT, local=True),), NODES, PROBES) == intent


def test_a_load_balancer_takes_clients_from_anywhere() -> None:
    """The clients of one window are a sample: anywhere, in the families of the Service, in place of those seen."""
    one = exposed(ExposureKind.LOAD_BALANCER, local=True, families=(4, 6))
    anywhere = CidrPeer(prefixes=("0.0.0.0/0", "::/0"))
    why = "Service shop/web (LoadBalancer) takes clients from anywhere; some were seen"
    assert told(ingress(allow(SEEN), allow(HOST)), one) == [
        (HOST, Origin.OBSERVED, None),
        (anywhere, Origin.SERVICE, why),
    ]


def test_source_ranges_bound_a_load_balancer() -> None:
    """Its ranges are what it lets in; a client seen outside of them came another way and keeps its rule."""
    one = exposed(ExposureKind.LOAD_BALANCER, local=True, ranges=("198.51.100.0/24", "203.0.113.0/24"))
    inner = CidrPeer(prefixes=("192.0.2.0/24",), clients=True)
    why = "Service shop/web (LoadBalancer) takes clients from these ranges; some were seen"
    assert told(ingress(allow(SEEN), allow(inner)), one) == [
        (inner, Origin.OBSERVED, None),
        (CidrPeer(prefixes=("198.51.100.0/24", "203.0.113.0/24")), Origin.SERVICE, why),
    ]


def test_a_load_balancer_through_nodes_needs_both() -> None:
    """With externalTrafficPolicy Cluster a client may arrive by its own address or by that of any node."""
    one = exposed(ExposureKind.LOAD_BALANCER, local=False)
    peers = [peer for peer, _, _ in told(ingress(allow(SEEN)), one)]
    assert peers == [CidrPeer(prefixes=("0.0.0.0/0",)), EntityPeer(entity=Entity.REMOTE_NODE, addresses=NODES)]


def test_what_nobody_reached_is_not_opened() -> None:
    """Without a client in the window nothing is added; nor to egress, to what is open anyway, or to other workloads."""
    one = exposed(ExposureKind.LOAD_BALANCER, local=False)
    seen = ingress(allow(SEEN))
    pods = ingress(allow(REMOTE, 9090))
    for intent in (
        pods,
        replace(seen, direction=Direction.EGRESS),
        replace(seen, isolate=False),
        replace(seen, workload=ref("api")),
    ):
        assert with_exposed(intent, (one,), NODES, PROBES) == intent


def test_a_probe_of_the_kubelet_is_no_client() -> None:
    """The own node on a port that it probes shows nobody from outside; another node, or another port, does."""
    one = exposed(ExposureKind.NODE_PORT, local=False)
    probed = frozenset({8080})
    assert with_exposed(ingress(allow(HOST)), (one,), NODES, probed) == ingress(allow(HOST))
    for peer in (REMOTE, SEEN):
        assert len(with_exposed(ingress(allow(peer)), (one,), NODES, probed).allows) == 2


def test_a_load_balancer_of_a_private_network_opens_nothing_to_anywhere() -> None:
    """Nor does one that only private clients reached: the prefixes seen stay."""
    public = exposed(ExposureKind.LOAD_BALANCER, local=True)
    internal = replace(public, exposure=replace(public.exposure, internal=True))
    private = CidrPeer(prefixes=("10.50.3.0/24",), clients=True)
    for peer, one in ((SEEN, internal), (private, public)):
        assert with_exposed(ingress(allow(peer)), (one,), NODES, PROBES) == ingress(allow(peer))


@pytest.mark.parametrize(
    ("seen", "local", "expected"),
    [
        ([REMOTE], False, 1),
        ([REMOTE, SEEN], False, 0),
        ([REMOTE], True, 0),
        ([SEEN], False, 0),
        ([API_SERVER], False, 0),
    ],
)
def test_clients_that_came_by_nodes_alone_are_said(seen: list[Peer], local: bool, expected: int) -> None:
    """Those of the pod's own node may keep their addresses, and no window showed one."""
    one = exposed(ExposureKind.NODE_PORT, local=local)
    intent = ingress(*map(allow, seen))
    assert [found.code for found in by_nodes_alone(intent, [one])] == ["clients-by-nodes"] * expected
    assert by_nodes_alone(replace(intent, isolate=False), [one]) == []
    assert by_nodes_alone(intent, [replace(one, workload=ref("other"))]) == []
