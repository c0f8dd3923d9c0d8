"""How much wider a rule is than its use: ports, workloads and addresses that it allows and no recorded edge needed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, WorkloadRef, WorkloadVersion
from discovery.verify.cover import Cover, There
from discovery.verify.ends import PeerMatcher, PodEnd
from discovery.verify.members import Members
from discovery.verify.nearest import describe_peers
from discovery.verify.rules import (
    Action,
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    ExceptMatch,
    OneMatch,
    PeerMatch,
    ReadPolicy,
    ReadRule,
)
from discovery.verify.truth import Truth
from discovery.verify.use import RuleKey, Use, rule_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Breadth:
    """What one written rule allows beside what was used of it; ``rules`` are what it was read into. ``contents`` and
    ``workloads`` count what no edge used: ports and ICMP types over all protocols, workloads that exist. ``addresses``
    counts addresses outside of the cluster, None for all there are. ``used`` is how many edges it allowed. ``meaning``
    is what the rule says, wherever it stands.
    """

    policy: ReadPolicy
    rules: tuple[ReadRule, ...]
    key: RuleKey
    meaning: str
    peers: str
    contents: int
    allowed_contents: str
    workloads: int
    addresses: int | None
    used: int

    @property
    def wide(self) -> bool:
        """Say whether the rule allows more than a reviewer would expect of its use."""
        return bool(self.contents or self.workloads or self.addresses is None or self.addresses)


def breadths(
    policies: Iterable[ReadPolicy],
    uses: dict[RuleKey, Use],
    versions: Iterable[WorkloadVersion],
    peers: PeerMatcher,
) -> list[Breadth]:
    """Return every written allow with how wide it is, in the order of the policies."""
    known = _Known(versions, peers)
    found: dict[RuleKey, list[ReadRule]] = {}
    owners: dict[RuleKey, ReadPolicy] = {}
    for policy in policies:
        for rule in policy.rules:
            if rule.action is Action.ALLOW:
                key = rule_key(policy, rule)
                owners.setdefault(key, policy)
                found.setdefault(key, []).append(rule)
    return [_measure(owners[key], key, rules, uses.get(key, Use()), known) for key, rules in found.items()]


class _Known:
    """The workloads that exist, and which of them a rule surely means."""

    def __init__(self, versions: Iterable[WorkloadVersion], peers: PeerMatcher) -> None:
        """Index the versions."""
        self._versions = tuple(versions)
        self._members = Members(self._versions)
        self._cover = Cover(peers, [PodEnd(version=version) for version in self._versions])
        rows = np.arange(len(self._versions))
        self._all = There(rows, rows)

    def named(self, policy: ReadPolicy, rule: ReadRule) -> set[WorkloadRef]:
        """Return the workloads that the peers of a rule mean; none for a policy that governs nobody."""
        here = next((version for version, _ in self._members.of(policy.subject)), None)
        if here is None:
            return set()
        covered = np.flatnonzero(self._cover.any_of(rule.peers, here, self._all) == Truth.YES)
        return {self._versions[row].ref for row in covered}


def _measure(
    policy: ReadPolicy,
    key: RuleKey,
    rules: list[ReadRule],
    use: Use,
    known: _Known,
) -> Breadth:
    """Return how wide one written rule is."""
    used = PortSet.of(*use.contents)
    contents = sum(len(rule.content - used) for rule in rules)
    outside = _addresses(rules[0].peers)
    seen = sum(1 for peer in use.peers if isinstance(peer, str))
    return Breadth(
        policy=policy,
        rules=tuple(rules),
        key=key,
        meaning="; ".join(sorted(repr(replace(rule, place="")) for rule in rules)),
        peers=describe_peers(rules[0].peers),
        contents=contents,
        allowed_contents=_contents(rules),
        workloads=len(known.named(policy, rules[0]) - use.peers),
        addresses=None if outside is None else max(outside - seen, 0),
        used=use.edges,
    )


def _contents(rules: list[ReadRule]) -> str:
    """Return what rules allow beside their peers: ``TCP/80,443`` or ``everything``."""
    if {rule.protocol for rule in rules if rule.content in (PortSet.all(), PortSet(((0, 255),)))} == set(Protocol):
        return "everything"
    parts = []
    for rule in rules:
        text = (
            "all ports" if rule.content == PortSet.all() else ",".join(filter(None, (str(rule.content), *rule.names)))
        )
        parts.append(f"{rule.protocol}/{text}" if rule.protocol.has_ports else f"{rule.protocol} type {rule.content}")
    return ", ".join(dict.fromkeys(parts))


def _addresses(peers: tuple[PeerMatch, ...]) -> int | None:
    """Return how many addresses outside of the cluster peers may be, None for all there are."""
    total = 0
    for peer in peers:
        match peer:
            case CidrMatch():
                networks = [ipaddress.ip_network(prefix) for prefix in peer.prefixes]
                if any(network.prefixlen == 0 for network in networks):
                    return None
                total += sum(network.num_addresses for network in networks)
            case AnyMatch() | ExceptMatch():
                return None
            case EntityMatch():
                if peer.entity is Entity.WORLD:
                    return None
            case OneMatch() | AllMatch():
                counts = [_addresses((part,)) for part in peer.parts]
                bounded = [count for count in counts if count is not None]
                if isinstance(peer, AllMatch) and bounded:
                    total += min(bounded)
                elif None in counts:
                    return None
                else:
                    total += sum(bounded)
            case _:
                pass
    return total
