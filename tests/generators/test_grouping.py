"""Grouping: rules that mean exactly the union of the allows, in an order that does not depend on the input's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Peer
from discovery.model.ports import PortSet
from discovery.model.workload import Entity
from generators.grouping import GroupingStyle, PeerKind, RuleGroup, allow_id, group, peer_kind, peer_text
from tests.generators.samples import CART, EVIDENCE, declared, entity, observed, pods
from tests.strategies import allows

STYLES = (
    GroupingStyle(one_protocol=False, shared=frozenset(PeerKind), entity_by_address=False),
    GroupingStyle(one_protocol=False, shared=frozenset(PeerKind), entity_by_address=True),
    GroupingStyle(one_protocol=True, shared=frozenset((PeerKind.CIDR, PeerKind.ENTITY)), entity_by_address=True),
)
SHARING = STYLES[0]


def meaning(peer: Peer, *, by_address: bool) -> object:
    """Return what a peer means to a dialect."""
    return (peer_text(peer), peer.addresses if by_address and isinstance(peer, EntityPeer) else ())


def union(
    parts: Iterable[tuple[object, Protocol, PortSet | tuple[int, ...]]],
) -> dict[tuple[object, Protocol], set[int]]:
    """Return all that is allowed, by peer and protocol."""
    found: dict[tuple[object, Protocol], set[int]] = {}
    for peer, protocol, what in parts:
        found.setdefault((peer, protocol), set()).update(what)
    return found


def allowed_by(rules: Iterable[RuleGroup], *, by_address: bool) -> dict[tuple[object, Protocol], set[int]]:
    """Return what rules allow: each the cross product of its peers and its content."""
    return union(
        (meaning(peer, by_address=by_address), protocol, what)
        for rule in rules
        for peer in rule.peers
        for protocol, what in rule.content
    )


@given(found=st.lists(allows(), max_size=8), style=st.sampled_from(STYLES))
def test_rules_mean_exactly_the_union_of_the_allows(found: list[Allow], style: GroupingStyle) -> None:
    """Whatever is merged, nothing is added and nothing lost."""
    by_address = style.entity_by_address
    expected = union(
        (
            meaning(allow.peer, by_address=by_address),
            allow.protocol,
            allow.ports if allow.protocol.has_ports else allow.icmp_types,
        )
        for allow in found
    )
    assert allowed_by(group(found, style), by_address=by_address) == expected


@given(data=st.data(), found=st.lists(allows(), max_size=8), style=st.sampled_from(STYLES))
def test_the_order_of_the_allows_does_not_matter(data: st.DataObject, found: list[Allow], style: GroupingStyle) -> None:
    """Shuffled allows give the very same rules."""
    assert group(data.draw(st.permutations(found)), style) == group(found, style)


@given(found=st.lists(allows(), max_size=8), style=st.sampled_from(STYLES))
def test_rules_keep_to_the_style(found: list[Allow], style: GroupingStyle) -> None:
    """A rule has peers of one kind, ports or ICMP, and no more peers or protocols than its style has room for."""
    for rule in group(found, style):
        assert {peer_kind(peer) for peer in rule.peers} == {rule.kind}
        assert len(rule.peers) == 1 or rule.kind in style.shared
        assert not (rule.ports and rule.icmp)
        assert len(rule.content) == 1 or not style.one_protocol
        assert rule.allows


def test_peers_with_the_same_ports_share_a_rule() -> None:
    """Two callers of one port are one rule with two peers."""
    (rule,) = group([observed(pods(app="b"), 80), observed(pods(app="a"), 80)], SHARING)
    assert rule.peers == (pods(app="a"), pods(app="b"))


def test_peers_with_different_ports_never_share_a_rule() -> None:
    """A on 80 and b on 80 and 81 stay apart: together they would let a use 81."""
    rules = group([observed(pods(app="a"), 80), observed(pods(app="b"), 80), observed(pods(app="b"), 81)], SHARING)
    assert [(rule.peers, rule.ports) for rule in rules] == [
        ((pods(app="a"),), ((Protocol.TCP, PortSet.of(80)),)),
        ((pods(app="b"),), ((Protocol.TCP, PortSet.of(80, 81)),)),
    ]


def test_rules_come_observed_first_then_by_kind_then_by_peer() -> None:
    """The order is the reader's: what was seen before what was declared, pods before entities before addresses."""
    cidr = CidrPeer(prefixes=("192.0.2.0/24",))
    found = [
        declared(pods(app="a"), 53),
        observed(cidr, 443),
        observed(entity(Entity.HOST), 1),
        observed(pods(app="z"), 2),
        observed(pods(app="b"), 3),
    ]
    kinds = [rule.peers[0] for rule in group(found, SHARING)]
    assert kinds == [pods(app="b"), pods(app="z"), entity(Entity.HOST), cidr, pods(app="a")]


@pytest.mark.parametrize(
    "other",
    [
        replace(observed(entity(Entity.HOST, "10.0.0.1"), 80), evidence=None),
        replace(observed(entity(Entity.HOST, "10.0.0.1"), 80), evidence=replace(EVIDENCE, flow_records=9)),
        observed(entity(Entity.HOST, "10.0.0.2"), 80),
        declared(entity(Entity.HOST), 80),
    ],
)
def test_evidence_does_not_change_the_evidence_id(other: Allow) -> None:
    """More traffic, other node addresses or another origin keep the id of the rule."""
    first = allow_id(CART, Direction.INGRESS, observed(entity(Entity.HOST, "10.0.0.1"), 80))
    assert allow_id(CART, Direction.INGRESS, other) == first


def test_names_of_external_addresses_do_not_change_the_evidence_id() -> None:
    """DNS names are evidence, not meaning."""
    named = observed(CidrPeer(prefixes=("192.0.2.0/24",), names=("a.example.com",)), 443)
    bare = observed(CidrPeer(prefixes=("192.0.2.0/24",)), 443)
    assert allow_id(CART, Direction.EGRESS, named) == allow_id(CART, Direction.EGRESS, bare)


def test_the_evidence_id_is_stable_and_tells_meanings_apart() -> None:
    """The id is fixed text of 8 hex digits; subject, direction, peer, protocol and ports each change it."""
    base = observed(pods(app="a"), 80)
    ids = [
        allow_id(CART, Direction.INGRESS, base),
        allow_id(CART, Direction.EGRESS, base),
        allow_id(replace(CART, kind=""), Direction.INGRESS, base),
        allow_id(CART, Direction.INGRESS, observed(pods(app="b"), 80)),
        allow_id(CART, Direction.INGRESS, observed(pods(app="a"), 81)),
        allow_id(CART, Direction.INGRESS, observed(pods(app="a"), 80, protocol=Protocol.UDP)),
        allow_id(CART, Direction.INGRESS, observed(pods(app="a"), 8, protocol=Protocol.ICMP)),
    ]
    assert len(set(ids)) == len(ids)
    assert ids[0] == "ab2198e2"
