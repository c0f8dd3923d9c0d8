"""Tests of discovery.verify.meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow
from discovery.model.ports import PortSet
from discovery.model.workload import Entity
from discovery.verify.meaning import Meaning, differences, intended
from discovery.verify.nets import cidr_match, parse_prefix
from discovery.verify.rules import AnyMatch, CidrMatch, EntityMatch, PodMatch
from tests.discovery.verify.builders import entity_peer, intent, platform, tcp, workload_peer


def meaning(*things: tuple[str, int, int]) -> Meaning:
    """Return a TCP meaning from (prefix, low port, high port)."""
    found = Meaning()
    for prefix, low, high in things:
        found.add(cidr_match([parse_prefix(prefix)]), Protocol.TCP, PortSet(((low, high),)))
    return found


def test_prefixes_compare_as_addresses_per_port() -> None:
    """Split prefixes and split port ranges mean the same."""
    left = meaning(("10.0.0.0/24", 1, 10))
    right = meaning(("10.0.0.0/25", 1, 10), ("10.0.0.128/25", 1, 4), ("10.0.0.128/25", 5, 10))
    assert list(differences(left, right)) == []


def test_differences_name_prefix_and_ports() -> None:
    """What is missing and what is too much is named by addresses and stretch of ports."""
    want = meaning(("10.0.0.0/24", 1, 10))
    have = meaning(("10.0.0.0/25", 1, 10), ("10.0.0.128/25", 1, 4), ("192.0.2.0/24", 7, 7))
    assert set(differences(want, have)) == {
        ("missing-allow", "10.0.0.0/24 TCP/5-6"),
        ("missing-allow", "10.0.0.0/24 TCP/7"),
        ("missing-allow", "10.0.0.0/24 TCP/8-10"),
        ("excess-allow", "192.0.2.0/24 TCP/7"),
    }


def test_icmp_of_the_other_family_is_nothing() -> None:
    """ICMPv6 cannot reach an IPv4 prefix, so allowing it adds nothing."""
    left, right = Meaning(), Meaning()
    left.add(CidrMatch(prefixes=("10.0.0.0/8", "2001:db8::/32")), Protocol.ICMPV6, PortSet.of(128))
    right.add(CidrMatch(prefixes=("2001:db8::/32",)), Protocol.ICMPV6, PortSet.of(128))
    assert list(differences(left, right)) == []


def test_atoms_compare_by_ports() -> None:
    """Pods, entities and "any" are compared one by one."""
    want, have = Meaning(), Meaning()
    want.add(PodMatch(namespace="n"), Protocol.TCP, PortSet.of(1, 2))
    have.add(PodMatch(namespace="n"), Protocol.TCP, PortSet.of(2, 3))
    have.add(AnyMatch(), Protocol.UDP, PortSet.of(53))
    have.add(EntityMatch(entity=Entity.WORLD), Protocol.ICMP, PortSet.of(8))
    assert set(differences(want, have)) == {
        ("missing-allow", "pods 'n: (all)' TCP/1"),
        ("excess-allow", "pods 'n: (all)' TCP/3"),
        ("excess-allow", "any peer UDP/53"),
        ("excess-allow", "entity world ICMP type 8"),
    }


def test_entities_by_platform() -> None:
    """Cilium names entities, Calico names addresses, and the own node on ingress needs no rule there."""
    host = intent("web", Direction.INGRESS, tcp(entity_peer(Entity.HOST, "10.0.0.1"), 80))
    api = intent("web", Direction.EGRESS, tcp(entity_peer(Entity.KUBE_APISERVER, "10.0.0.1"), 443))
    by_name, _ = intended([host, api], platform("cilium=1.18"))
    assert set(by_name.atoms) == {
        (Protocol.TCP, EntityMatch(entity=Entity.HOST)),
        (Protocol.TCP, EntityMatch(entity=Entity.KUBE_APISERVER)),
    }
    by_address, impossible = intended([host, api], platform("calico=3.30"))
    assert (by_address.atoms, impossible) == ({}, [])
    assert by_address.nets == {Protocol.TCP: {parse_prefix("10.0.0.1/32"): PortSet.of(443)}}


def test_what_a_dialect_cannot_say_is_returned() -> None:
    """Health checks, unseen addresses, other clusters, ICMP and type 255 are given back with their reason."""
    ping = Allow(peer=workload_peer("a"), protocol=Protocol.ICMP, icmp_types=(255,))
    allows = (
        tcp(entity_peer(Entity.HEALTH, "10.0.0.1"), 1),
        tcp(entity_peer(Entity.REMOTE_NODE), 1),
        tcp(workload_peer("a", cluster="c2"), 1),
        ping,
    )
    one = [intent("web", Direction.INGRESS, *allows)]
    assert [allow for allow, _ in intended(one, platform("calico=3.30"))[1]] == list(allows)
    assert [allow for allow, _ in intended(one, platform("kubernetes=1.31"))[1]] == list(allows)
    assert intended(one, platform("cilium=1.18"))[1] == []


THINGS = st.lists(
    st.builds(
        lambda base, length, low, size: (f"10.0.0.{base >> (32 - length) << (32 - length)}/{length}", low, low + size),
        st.integers(0, 255),
        st.integers(29, 32),
        st.integers(1, 6),
        st.integers(0, 3),
    ),
    max_size=5,
)


@given(THINGS, THINGS)
def test_difference_is_empty_exactly_for_equal_sets(
    left: list[tuple[str, int, int]], right: list[tuple[str, int, int]]
) -> None:
    """Two meanings differ exactly when some address and port is in one alone."""

    def points(things: list[tuple[str, int, int]]) -> set[tuple[str, int]]:
        return {
            (str(address), port)
            for prefix, low, high in things
            for address in parse_prefix(prefix)
            for port in range(low, high + 1)
        }

    found = list(differences(meaning(*left), meaning(*right)))
    assert ("missing-allow" in [code for code, _ in found]) == bool(points(left) - points(right))
    assert ("excess-allow" in [code for code, _ in found]) == bool(points(right) - points(left))


@pytest.mark.parametrize("spec", ["kubernetes=1.31", "calico=3.30"])
@pytest.mark.parametrize("icmp_type", [8, 255])
def test_ingress_from_the_own_node_needs_no_rule_whatever_its_protocol(spec: str, icmp_type: int) -> None:
    """The platform allows it without a rule, so it is neither meant nor impossible, not even as ICMP."""
    ping = Allow(peer=entity_peer(Entity.HOST), protocol=Protocol.ICMP, icmp_types=(icmp_type,))
    found, impossible = intended([intent("web", Direction.INGRESS, ping)], platform(spec))
    assert (list(differences(Meaning(), found)), impossible) == ([], [])
    _, refused = intended([intent("web", Direction.EGRESS, ping)], platform(spec))
    assert [allow for allow, _ in refused] == [ping]
