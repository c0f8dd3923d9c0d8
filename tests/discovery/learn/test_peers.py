"""Peers: exact covers (against sets of numbers), nodes that look external, and nothing wider."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.learn.peers import (
    NodeAddresses,
    cover,
    entity_addresses,
    peer_of,
    split_external,
    with_client_prefixes,
)
from discovery.learn.selectors import choose_all
from discovery.model.edge import Direction, EvidenceClass
from discovery.model.intent import CidrPeer, EntityPeer, WorkloadPeer
from discovery.model.workload import EndpointKind, Entity
from tests.discovery.learn.builders import CLUSTER, edge, other, outside, pod, version

V4 = int(ip_address("192.0.2.0"))
V6 = int(ip_address("2001:db8::"))


def blocks(numbers: frozenset[int], low: int, size: int) -> int:
    """Return how many aligned blocks cover exactly these numbers, by halving."""
    inside = sum(low <= number < low + size for number in numbers)
    if inside in (0, size):
        return int(inside > 0)
    half = size // 2
    return blocks(numbers, low, half) + blocks(numbers, low + half, half)


@given(st.frozensets(st.integers(0, 63)), st.frozensets(st.integers(0, 63)))
def test_a_cover_holds_exactly_the_addresses_and_is_minimal(four: frozenset[int], six: frozenset[int]) -> None:
    """Every address, no other one, and no prefix more than halving finds; IPv4 first, in order."""
    addresses = [str(ip_address(V4 + n)) for n in four] + [str(ip_address(V6 + n)) for n in six]
    found = [ip_network(prefix) for prefix in cover(addresses)]
    assert sorted(int(address) for network in found for address in network) == sorted(
        [V4 + n for n in four] + [V6 + n for n in six]
    )
    assert len(found) == blocks(four, 0, 64) + blocks(six, 0, 64)
    assert found == sorted(found, key=lambda network: (network.version, int(network.network_address)))


def test_no_addresses_no_cover() -> None:
    """Nothing is covered by nothing."""
    assert cover([]) == ()


def test_the_most_specific_kind_of_a_node_wins() -> None:
    """An address that is a host to one pod and the API server to another is the API server."""
    kinds = (EndpointKind.HOST, EndpointKind.KUBE_APISERVER, EndpointKind.REMOTE_NODE)
    edges = [edge("web", other(kind, "10.0.0.1")) for kind in kinds]
    for given_edges in (edges, edges[::-1]):
        assert NodeAddresses.of(given_edges).kinds == {(CLUSTER, "10.0.0.1"): EndpointKind.KUBE_APISERVER}


def test_inexact_lists_prove_no_node() -> None:
    """A covering prefix is no address of a node."""
    assert NodeAddresses.of([edge("web", other(EndpointKind.HOST, "10.0.0.0/24", exact=False))]).kinds == {}


def test_nodes_leave_the_external_end_of_an_edge() -> None:
    """Node addresses move to edges of their own; DNS names stay with what is outside; nothing is lost."""
    nodes = NodeAddresses(
        kinds={(CLUSTER, "10.0.0.1"): EndpointKind.HOST, (CLUSTER, "10.0.0.2"): EndpointKind.KUBE_APISERVER}
    )
    one = edge("web", outside("10.0.0.1", "10.0.0.2", "192.0.2.1", names=("example.com",)))
    pieces = {piece.server.kind: piece.server for piece in split_external(one, nodes)}
    assert {kind: (end.addresses, end.names, end.distinct_addresses) for kind, end in pieces.items()} == {
        EndpointKind.EXTERNAL: (("192.0.2.1",), ("example.com",), 1),
        EndpointKind.REMOTE_NODE: (("10.0.0.1",), (), 1),
        EndpointKind.KUBE_APISERVER: (("10.0.0.2",), (), 1),
    }


def test_edges_without_nodes_stay_as_they_are() -> None:
    """Nothing to split, nothing changed: also for inexact ends and for workloads."""
    nodes = NodeAddresses(kinds={(CLUSTER, "10.0.0.1"): EndpointKind.HOST})
    for one in (edge("web", outside("192.0.2.1")), edge(outside("10.0.0.0/24", exact=False), "web"), edge("a", "b")):
        assert split_external(one, nodes) == (one,)


def test_both_ends_are_split() -> None:
    """The client side is split like the server side."""
    nodes = NodeAddresses(kinds={(CLUSTER, "10.0.0.1"): EndpointKind.REMOTE_NODE})
    found = split_external(edge(outside("10.0.0.1", "192.0.2.1"), "web"), nodes)
    assert [piece.client.kind for piece in found] == [EndpointKind.EXTERNAL, EndpointKind.REMOTE_NODE]


def test_peers_name_their_end_exactly() -> None:
    """A workload by selector, an outsider by cover, a node by entity with all its addresses; else nobody."""
    choices = choose_all([version("web"), version("db"), version("twin", {"app": "x"}), version("twin2", {"app": "x"})])
    seen = {EndpointKind.HOST: ("10.0.0.1", "10.0.0.2")}
    selector = choices[version("web").ref].selector
    assert selector is not None
    assert peer_of(pod("web"), choices, seen) == WorkloadPeer(selector=selector)
    assert peer_of(pod("twin"), choices, seen) is None
    assert peer_of(outside("192.0.2.0", "192.0.2.1", names=("a.example",)), choices, seen) == CidrPeer(
        prefixes=("192.0.2.0/31",), names=("a.example",)
    )
    assert peer_of(outside("192.0.2.0/24", exact=False), choices, seen) is None
    assert peer_of(outside(), choices, seen) is None
    assert peer_of(other(EndpointKind.HOST, "10.0.0.1"), choices, seen) == EntityPeer(
        entity=Entity.HOST, addresses=("10.0.0.1", "10.0.0.2")
    )
    assert peer_of(other(EndpointKind.INIT, "10.0.0.1"), choices, seen) == EntityPeer(entity=Entity.INIT)
    assert peer_of(other(EndpointKind.UNRESOLVED, "10.0.0.1"), choices, seen) is None


def test_addresses_of_nodes_are_collected_over_all_edges_in_one_role() -> None:
    """A rule by address names every address that the kind of node was seen with as that end, and none of the other."""
    edges = [
        edge("web", other(EndpointKind.HOST, "10.0.0.3")),
        edge("db", other(EndpointKind.HOST, "10.0.0.2")),
        edge("db", other(EndpointKind.KUBE_APISERVER, "10.0.0.2")),
        edge(other(EndpointKind.HOST, "10.0.0.1"), "web"),
        edge("web", other(EndpointKind.HEALTH, "10.0.0.9")),
        edge("web", other(EndpointKind.REMOTE_NODE, "10.0.0.0/24", exact=False)),
        edge("web", outside("192.0.2.1")),
    ]
    assert entity_addresses(edges, Direction.INGRESS) == {CLUSTER: {EndpointKind.HOST: ("10.0.0.1",)}}
    assert entity_addresses(edges, Direction.EGRESS) == {
        CLUSTER: {EndpointKind.HOST: ("10.0.0.2", "10.0.0.3"), EndpointKind.KUBE_APISERVER: ("10.0.0.2",)}
    }


def test_what_a_node_serves_on_a_link_local_address_is_an_edge_of_its_own() -> None:
    """NodeLocal DNS has one address on every node: its rule names that, and rules for nodes do not."""
    one = edge("web", other(EndpointKind.HOST, "10.0.0.1", "169.254.20.10", "fe80::1"), 53)
    pieces = split_external(one, NodeAddresses(kinds={}))
    assert [piece.server.addresses for piece in pieces] == [("169.254.20.10",), ("10.0.0.1",)]
    addresses = entity_addresses(pieces, Direction.EGRESS)[CLUSTER]
    assert addresses == {EndpointKind.HOST: ("10.0.0.1",)}
    assert [peer_of(piece.server, {}, addresses) for piece in pieces] == [
        EntityPeer(entity=Entity.HOST, addresses=("169.254.20.10",)),
        EntityPeer(entity=Entity.HOST, addresses=("10.0.0.1",)),
    ]


def test_link_local_addresses_of_other_nodes_and_of_clients_are_nobodys() -> None:
    """They mean another machine on every link, so no rule names them."""
    for one in (
        edge("web", other(EndpointKind.REMOTE_NODE, "10.0.0.1", "169.254.20.10")),
        edge(other(EndpointKind.HOST, "10.0.0.1", "169.254.20.10"), "web"),
    ):
        (piece,) = split_external(one, NodeAddresses(kinds={}))
        assert ("10.0.0.1",) in (piece.client.addresses, piece.server.addresses)


def test_an_inventory_completes_the_addresses_of_a_kind_that_was_seen() -> None:
    """All nodes where one was seen; no kind that was not."""
    edges = [edge("web", other(EndpointKind.REMOTE_NODE, "10.0.0.9"))]
    known = {EndpointKind.REMOTE_NODE: ("10.0.0.1", "10.0.0.2"), EndpointKind.HOST: ("10.0.0.1",)}
    assert entity_addresses(edges, Direction.EGRESS, {CLUSTER: known}) == {
        CLUSTER: {EndpointKind.REMOTE_NODE: ("10.0.0.1", "10.0.0.2", "10.0.0.9")}
    }
    assert entity_addresses(edges, Direction.INGRESS, {CLUSTER: known}) == {}


def test_nodes_are_those_of_their_own_cluster() -> None:
    """Private ranges overlap: an address is a node where it was seen as one, and a rule names nodes of its cluster."""
    here = edge("web", other(EndpointKind.REMOTE_NODE, "10.0.0.1"))
    there = edge(pod("api", cluster="c2"), outside("10.0.0.1"))
    nodes = NodeAddresses.of([here, there])
    assert split_external(there, nodes) == (there,)
    assert split_external(edge("db", outside("10.0.0.1")), nodes)[0].server.kind is EndpointKind.REMOTE_NODE
    far = edge(pod("api", cluster="c2"), other(EndpointKind.REMOTE_NODE, "10.9.0.1"))
    known = {CLUSTER: {EndpointKind.REMOTE_NODE: ("10.0.0.2",)}}
    assert entity_addresses([here, far], Direction.EGRESS, known) == {
        CLUSTER: {EndpointKind.REMOTE_NODE: ("10.0.0.1", "10.0.0.2")},
        "c2": {EndpointKind.REMOTE_NODE: ("10.9.0.1",)},
    }


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:7:1::9", "2001:db8:7::/48"),
        ("64:ff9b::c633:6407", "64:ff9b::c633:6400/120"),
        ("64:ff9b:1::c633:6407", "64:ff9b:1::c633:6400/120"),
    ],
)
def test_clients_are_read_by_their_prefixes(address: str, expected: str) -> None:
    """A client of IPv4 behind NAT64 is one of its /24, never of all that is embedded there."""
    assert with_client_prefixes(edge(outside(address), "web")).client.addresses == (expected,)


@pytest.mark.parametrize(
    ("known", "expected"), [(EvidenceClass.NONE, "203.0.113.0/24"), (EvidenceClass.FLAG, "203.0.113.9")]
)
def test_an_end_that_may_be_the_client_is_read_by_its_prefix(known: EvidenceClass, expected: str) -> None:
    """Where nobody knows who opened the connection, the end that stands as the server may be a person's."""
    assert with_client_prefixes(edge("web", outside("203.0.113.9"), evidence_class=known)).server.addresses == (
        expected,
    )
