"""Semantic diff: which connections two sets of policies decide differently, with a witness for each.

Only what changed meaning is looked at: pods whose rules are the same in both sets, whatever the policies are called and
however the rules are spread over them, cannot differ. For the rest every stand-in is tried against every other on all
ports at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from discovery.model.edge import Direction, Protocol
from discovery.model.inventory import NamedPort
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.verify.ends import PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import ReadSet
from discovery.verify.rules import AllMatch, ExceptMatch, OneMatch, PeerMatch, ReadPolicy, ReadRule, UnclearMatch
from discovery.verify.universe import StandIn, is_whole, named_ports, outside_of, pods_of

_MODES = {True: "enforced", False: "monitored"}


class Kind(StrEnum):
    """How a verdict changed; the last three where one of the two is not known."""

    ALLOWED = "newly allowed"
    DENIED = "newly denied"
    SURE = "now surely allowed"
    REFUSED = "now surely denied"
    UNCLEAR = "no longer known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Connections of one protocol between two ends that are decided differently. ``witness`` is one port (or ICMP type)
    of them; ``direction`` is the side of ``subject`` whose rules changed. ``names`` are the numbers that stand for
    ports by name, whatever they are.
    """

    kind: Kind
    direction: Direction
    client: str
    server: str
    protocol: Protocol
    content: PortSet
    names: tuple[tuple[int, str], ...] = ()

    @property
    def subject(self) -> str:
        """Return the end whose rules changed."""
        return self.client if self.direction is Direction.EGRESS else self.server

    @property
    def peer(self) -> str:
        """Return the other end."""
        return self.server if self.direction is Direction.EGRESS else self.client

    @property
    def witness(self) -> str:
        """Return one concrete connection."""
        first, last = self.content.intervals[0]
        number = 1 if self.protocol.has_ports and first == 0 < last else first  # nobody connects to port 0
        port = dict(self.names).get(number, str(number))
        word = f"{self.protocol}/{port}" if self.protocol.has_ports else f"{self.protocol} type {number}"
        return f"{self.client} -> {self.server} {word}"

    @property
    def words(self) -> str:
        """Return the ports or types, those by name by their names."""
        named = PortSet.of(*(number for number, _ in self.names)) & self.content
        if self.content in (PortSet.all(), PortSet(((0, 255),))):
            return f"{self.protocol} (all)"
        if not self.protocol.has_ports:
            return f"{self.protocol} type {self.content}"
        parts = [str(self.content - named) or None, *(name for number, name in self.names if number in named)]
        return f"{self.protocol}/{','.join(part for part in parts if part)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed between two sets on one platform. ``same`` are manifests of which only the text changed (comments,
    annotations, order), ``unclear`` those of which nobody knows, since they hold what is not evaluated; ``lost`` are
    the places of manifests that could not be read at all. ``renamed`` are pairs of names of policies that say the same;
    ``modes`` says which policies began or ceased to be in force. ``whole`` is False where there are too many selectors
    to try every pod that two of them pick.
    """

    platform: Platform
    changes: tuple[Change, ...]
    same: tuple[str, ...]
    unclear: tuple[str, ...]
    lost: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    modes: tuple[str, ...]
    whole: bool = True

    @property
    def empty(self) -> bool:
        """Say whether both sets decide everything alike."""
        return not (self.changes or self.modes or self.unclear or self.lost)


def diff(old: ReadSet, new: ReadSet, platform: Platform, texts: Iterable[tuple[str, bool]] = ()) -> Difference:
    """Return what changed. ``texts`` are the manifests that both sets have, each with whether its text is the same."""
    same = _same(old, new, texts)
    unclear = _unclear(old) | _unclear(new)
    stands = pods_of((*old.policies, *new.policies))
    before = Evaluator(old.policies, platform, as_enforced=True, tiers=old.tiers)
    after = Evaluator(new.policies, platform, as_enforced=True, tiers=new.tiers)
    return Difference(
        platform=platform,
        changes=_told_once(_changes(stands, before, after, (*old.policies, *new.policies)), stands),
        same=tuple(name for name in same if name not in unclear),
        unclear=tuple(name for name in same if name in unclear),
        lost=(*(f"old {place}" for place in old.lost), *(f"new {place}" for place in new.lost)),
        renamed=_renamed(old, new),
        modes=_modes(old, new),
        whole=is_whole((*old.policies, *new.policies)),
    )


def _changes(
    stands: tuple[StandIn, ...], before: Evaluator, after: Evaluator, policies: tuple[ReadPolicy, ...]
) -> Iterator[Change]:
    """Yield the changes of every stand-in whose rules are not the same."""
    outside = outside_of(policies)
    names = named_ports(policies)
    seen: set[tuple[str, str]] = set()
    for stand in stands:
        if not isinstance(stand.end, PodEnd):
            continue
        for direction in (Direction.INGRESS, Direction.EGRESS):
            version = stand.end.version
            if before.program(direction, version) == after.program(direction, version):
                continue
            for peer in (*stands, *outside):
                client, server = (peer, stand) if direction is Direction.INGRESS else (stand, peer)
                if (client.name, server.name) not in seen:  # a pod is a peer of others like it, too
                    seen.add((client.name, server.name))
                    yield from _compare(client, server, direction, before, after, names)


def _told_once(changes: Iterable[Change], stands: tuple[StandIn, ...]) -> tuple[Change, ...]:
    """Return the changes without those of pods that join two stand-ins, where one of these changes in the same way."""
    of = {stand.name: stand.of for stand in stands if stand.of}
    given = list(changes)
    plain = {
        (change.kind, change.protocol, change.content, change.client, change.server)
        for change in given
        if change.client not in of and change.server not in of
    }

    def implied(change: Change) -> bool:
        clients, servers = of.get(change.client, (change.client,)), of.get(change.server, (change.server,))
        joined = change.client in of or change.server in of
        return joined and any(
            (change.kind, change.protocol, change.content, client, server) in plain
            for client in clients
            for server in servers
        )

    return tuple(change for change in given if not implied(change))


def _compare(
    client: StandIn,
    server: StandIn,
    direction: Direction,
    before: Evaluator,
    after: Evaluator,
    names: tuple[NamedPort, ...],
) -> Iterator[Change]:
    """Yield what changed between two ends."""
    for protocol in Protocol:
        sure, may = before.allowed(client.end, server.end, protocol)
        now_sure, now_may = after.allowed(client.end, server.end, protocol)
        found = (
            (Kind.ALLOWED, now_sure - may),
            (Kind.DENIED, sure - now_may),
            (Kind.SURE, now_sure & (may - sure)),
            (Kind.REFUSED, (may - sure) - now_may),
            (Kind.UNCLEAR, (now_may - now_sure) - (may - sure)),
        )
        for kind, content in found:
            if content.intervals:
                yield Change(
                    kind=kind,
                    direction=direction,
                    client=client.name,
                    server=server.name,
                    protocol=protocol,
                    content=content,
                    names=tuple((one.number, one.name) for one in names if one.protocol == protocol),
                )


def _meaning(policy: ReadPolicy) -> tuple[object, ...]:
    """Return what a policy says, whatever it is called."""
    rules: frozenset[ReadRule] | tuple[ReadRule, ...] = policy.rules
    return (policy.subject, policy.direction, policy.isolates, policy.layer, policy.order, policy.tier, rules)


def _by_name(read: ReadSet) -> dict[str, list[tuple[object, ...]]]:
    """Return the meanings of each policy by its kind, namespace and name."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for policy in read.policies:
        found.setdefault(_name(policy), []).append(_meaning(policy))
    return found


def _same(old: ReadSet, new: ReadSet, texts: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    """Return the manifests whose text changed and whose meaning did not."""
    before = _by_source(old)
    after = _by_source(new)
    return tuple(sorted(name for name, equal in texts if not equal and before.get(name) == after.get(name)))


def _unclear(read: ReadSet) -> set[str]:
    """Return the files that hold something that is not evaluated."""
    return {
        policy.source.rpartition(":")[0]
        for policy in read.policies
        if not policy.complete
        or policy.nodes
        or any(rule.layer7 or rule.unclear or _has_unclear(rule.peers) for rule in policy.rules)
    }


def _has_unclear(peers: Iterable[PeerMatch]) -> bool:
    """Say whether a peer is one of which it is not known whom it means."""
    for peer in peers:
        parts: Iterable[PeerMatch] = ()
        if isinstance(peer, (AllMatch, OneMatch)):
            parts = peer.parts
        elif isinstance(peer, ExceptMatch):
            parts = (peer.part,)
        if isinstance(peer, UnclearMatch) or _has_unclear(parts):
            return True
    return False


def _by_source(read: ReadSet) -> dict[str, list[tuple[object, ...]]]:
    """Return the meanings of the policies of each file."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for policy in read.policies:
        # Requests of layer 7 are not compared: a file that holds any counts as unclear.
        bare = replace(policy, rules=tuple(replace(rule, layer7=()) for rule in policy.rules))
        meaning = (str(policy), _in_force(policy), *_meaning(bare))
        found.setdefault(policy.source.rpartition(":")[0], []).append(meaning)
    return found


def _renamed(old: ReadSet, new: ReadSet) -> tuple[tuple[str, str], ...]:
    """Return policies that went under one name and came under another, saying the same."""
    before, after = _by_name(old), _by_name(new)
    gone = {name: meaning for name, meaning in before.items() if name not in after}
    come = {name: meaning for name, meaning in after.items() if name not in before}
    return tuple(
        (name, next(other for other, said in come.items() if said == meaning))
        for name, meaning in sorted(gone.items())
        if meaning in come.values()
    )


def _modes(old: ReadSet, new: ReadSet) -> tuple[str, ...]:
    """Return which policies of both sets began or ceased to be in force."""
    before = {(_name(policy), policy.direction): _in_force(policy) for policy in old.policies}
    found = []
    for policy in new.policies:
        was = before.get((_name(policy), policy.direction))
        now = _in_force(policy)
        if was is not None and was != now:
            found.append(f"{policy} {policy.direction}: {_MODES[was]} -> {_MODES[now]}")
    return tuple(sorted(found))


def _name(policy: ReadPolicy) -> str:
    """Return what a policy is called, a staged one as it is called once enforced."""
    name = str(policy)
    return name.removeprefix("StagedKubernetes" if name.startswith("StagedKubernetes") else "Staged")


def _in_force(policy: ReadPolicy) -> bool:
    """Say whether a policy isolates as it is written."""
    return policy.isolates and not policy.staged and not policy.opt_in
