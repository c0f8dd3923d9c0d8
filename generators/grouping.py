"""Grouping: the allows of one direction as few rules as mean exactly the same.

A policy rule is a cross product (any of these peers, on any of these ports), so only allows whose union IS a
cross product may share one: all contents of one peer are collected first, then peers with the very same
content share a rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from operator import itemgetter

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, Peer, WorkloadPeer
from discovery.model.ports import PortSet
from discovery.model.workload import WorkloadRef


class PeerKind(IntEnum):
    """The kinds of peers, in the order in which rules are written."""

    WORKLOAD = 0
    ENTITY = 1
    CIDR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingStyle:
    """What a rule of a dialect can hold.

    ``one_protocol``: a rule names one protocol. ``shared``: the kinds of peers of which one rule can name
    several. ``entity_by_address``: entities are written as the addresses seen, so these tell peers apart.
    """

    one_protocol: bool
    shared: frozenset[PeerKind]
    entity_by_address: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Any of ``peers`` (all of one kind), with any of ``content``.

    ``content`` holds each protocol once, in order, either all with ports or all ICMP: a set of ports, or
    sorted ICMP types. ``allows`` are the allows that the group is made of, in the order of their comments.
    """

    kind: PeerKind
    peers: tuple[Peer, ...]
    content: tuple[tuple[Protocol, PortSet | tuple[int, ...]], ...]
    allows: tuple[Allow, ...]

    @property
    def ports(self) -> tuple[tuple[Protocol, PortSet], ...]:
        """Return the protocols with ports."""
        return tuple((protocol, what) for protocol, what in self.content if isinstance(what, PortSet))

    @property
    def icmp(self) -> tuple[tuple[Protocol, tuple[int, ...]], ...]:
        """Return the ICMP protocols with their types."""
        return tuple((protocol, what) for protocol, what in self.content if not isinstance(what, PortSet))


def peer_kind(peer: Peer) -> PeerKind:
    """Return the kind of a peer."""
    if isinstance(peer, WorkloadPeer):
        return PeerKind.WORKLOAD
    return PeerKind.ENTITY if isinstance(peer, EntityPeer) else PeerKind.CIDR


def peer_text(peer: Peer) -> str:
    """Return canonical text of what a peer means: without DNS names and addresses seen, which are evidence."""
    if isinstance(peer, WorkloadPeer):
        selector = peer.selector
        parts = [selector.cluster, selector.namespace, selector.labels.pairs, selector.service_account]
        return json.dumps(["workload", *parts])
    if isinstance(peer, EntityPeer):
        return json.dumps(["entity", peer.entity])
    return json.dumps(["cidr", *peer.prefixes])


def allow_id(subject: WorkloadRef, direction: Direction, allow: Allow) -> str:
    """Return the evidence id of an allow: 8 hex digits that depend on its meaning alone.

    More traffic, other addresses of an entity or other DNS names do not change it, nor does the dialect.
    """
    meaning = [
        subject.key,
        direction,
        peer_text(allow.peer),
        allow.protocol,
        allow.ports.intervals,
        sorted(allow.icmp_types),
    ]
    return hashlib.blake2b(json.dumps(meaning).encode(), digest_size=4).hexdigest()


def allow_content(allow: Allow) -> PortSet | tuple[int, ...]:
    """Return the ports of an allow, or its ICMP types, sorted."""
    return allow.ports if allow.protocol.has_ports else tuple(sorted(set(allow.icmp_types)))


def in_order(allows: Iterable[Allow]) -> list[Allow]:
    """Return allows sorted: observed first, then peer, protocol and ports (``repr``, which is dear, breaks ties)."""
    keyed = sorted(((_order(allow), allow) for allow in allows), key=itemgetter(0))
    ties = ([allow for _, allow in same] for _, same in groupby(keyed, key=itemgetter(0)))
    return [allow for tie in ties for allow in (sorted(tie, key=repr) if len(tie) > 1 else tie)]


def _order(allow: Allow) -> tuple[object, ...]:
    """Return the sort key of allows, but for ties."""
    origin = 0 if allow.origin is Origin.OBSERVED else 1
    ports = allow.ports.intervals
    return (origin, peer_kind(allow.peer), peer_text(allow.peer), allow.protocol, ports, sorted(allow.icmp_types))


_Content = tuple[tuple[Protocol, PortSet | tuple[int, ...]], ...]
# What peers have in common that may share a rule: their kind and content, and the peer where a rule holds only one.
_Shared = tuple[PeerKind, _Content, Peer | None]


def group(allows: Iterable[Allow], style: GroupingStyle) -> tuple[RuleGroup, ...]:
    """Return rules that together allow exactly what ``allows`` allow, in a stable order."""
    cells: dict[tuple[Peer, str], list[tuple[int, Allow]]] = {}
    for place, allow in enumerate(in_order(allows)):
        class_ = allow.protocol if style.one_protocol else str(allow.protocol.has_ports)
        cells.setdefault((_meaning(allow.peer, style), class_), []).append((place, allow))
    shared: dict[_Shared, list[tuple[Peer, list[tuple[int, Allow]]]]] = {}
    for (peer, _), members in cells.items():
        alone = None if peer_kind(peer) in style.shared else peer
        content = _content(allow for _, allow in members)
        shared.setdefault((peer_kind(peer), content, alone), []).append((peer, members))
    groups = []
    for (kind, content, _), cell in shared.items():
        placed = sorted((one for _, members in cell for one in members), key=itemgetter(0))
        peers = sorted(((_peer_order(peer), peer) for peer, _ in cell), key=itemgetter(0))
        rule = RuleGroup(
            kind=kind,
            peers=tuple(peer for _, peer in peers),
            content=content,
            allows=tuple(allow for _, allow in placed),
        )
        groups.append((_group_order(rule, [order for order, _ in peers]), rule))
    return tuple(rule for _, rule in sorted(groups, key=itemgetter(0)))


def _meaning(peer: Peer, style: GroupingStyle) -> Peer:
    """Return the peer without the evidence on it."""
    if isinstance(peer, CidrPeer):
        return CidrPeer(prefixes=peer.prefixes)
    if isinstance(peer, EntityPeer) and not style.entity_by_address:
        return EntityPeer(entity=peer.entity)
    return peer


def _content(allows: Iterable[Allow]) -> _Content:
    """Return the union of the contents of allows of one class, by protocol."""
    content: dict[Protocol, PortSet | tuple[int, ...]] = {}
    for allow in allows:
        before, more = content.get(allow.protocol), allow_content(allow)
        if before is None:
            content[allow.protocol] = more
        elif isinstance(before, PortSet) and isinstance(more, PortSet):
            content[allow.protocol] = before | more
        elif isinstance(before, tuple) and isinstance(more, tuple):
            content[allow.protocol] = tuple(sorted({*before, *more}))
    return tuple(sorted(content.items(), key=lambda item: item[0]))


def _peer_order(peer: Peer) -> tuple[object, ...]:
    """Return the sort key of the peers of a rule."""
    return (peer_text(peer), peer.addresses if isinstance(peer, EntityPeer) else ())


def _group_order(rule: RuleGroup, peers: list[tuple[object, ...]]) -> tuple[object, ...]:
    """Return the sort key of rules: observed before declared, then kind, ``peers`` (their keys) and content."""
    origin = min(0 if allow.origin is Origin.OBSERVED else 1 for allow in rule.allows)
    content = [(protocol, str(what)) for protocol, what in rule.content]
    return (origin, rule.kind, peers, content)
