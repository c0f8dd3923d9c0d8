"""What an intent and what a written policy allow, in one comparable form.

A :class:`Meaning` is a set of (protocol, peer, ports); prefixes are compared as sets of addresses per port, so it does
not matter how rules were grouped, split or ordered. ICMP types are kept as port sets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, Dialect, EntityPeer, PolicyIntent, WorkloadPeer
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity
from discovery.verify.fields import shown
from discovery.verify.nets import NetIndex, Network, Relation, cidr_match, parse_prefix, parse_target
from discovery.verify.rules import Action, AnyMatch, CidrMatch, EntityMatch, PeerMatch, PodMatch, ReadPolicy

Atom = PeerMatch

_BY_ADDRESS = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)
_FAMILY = {Protocol.ICMP: 4, Protocol.ICMPV6: 6}
_SHOWN_PREFIXES = 3
_MAX_CALICO_ICMP = 254


class InexpressibleError(Exception):
    """An allow that the dialect on the platform cannot say exactly."""


@dataclass(slots=True)
class Meaning:
    """A set of allowed things of one subject and direction."""

    atoms: dict[tuple[Protocol, Atom], PortSet] = field(default_factory=dict)
    nets: dict[Protocol, dict[Network, PortSet]] = field(default_factory=dict)

    def add(self, peer: PeerMatch, protocol: Protocol, content: PortSet) -> None:
        """Add one thing; ICMP of one family over prefixes of the other is nothing."""
        if not isinstance(peer, CidrMatch):
            had = self.atoms.get((protocol, peer))
            self.atoms[protocol, peer] = content if had is None else had | content
            return
        nets = self.nets.setdefault(protocol, {})
        for prefix in peer.prefixes:
            network = parse_prefix(prefix)
            if _FAMILY.get(protocol, network.version) == network.version:
                known = nets.get(network)
                nets[network] = content if known is None else known | content


def written(policies: Iterable[ReadPolicy], cluster: str) -> Meaning:
    """Return what policies of one subject and direction allow; ``cluster`` is the one they are applied in."""
    meaning = Meaning()
    for protocol, peer, content in said(policies, cluster):
        meaning.add(peer, protocol, content)
    return meaning


def said(policies: Iterable[ReadPolicy], cluster: str) -> Iterator[tuple[Protocol, PeerMatch, PortSet]]:
    """Yield each thing that policies allow."""
    for policy in policies:
        for rule in policy.rules:
            if rule.action is Action.ALLOW:
                for peer in rule.peers:
                    yield rule.protocol, in_cluster(peer, cluster), rule.content


def in_cluster(peer: PeerMatch, cluster: str) -> PeerMatch:
    """Return the peer with its cluster made explicit."""
    return replace(peer, cluster=cluster) if isinstance(peer, PodMatch) and peer.cluster is None else peer


def intended(intents: Iterable[PolicyIntent], platform: Platform) -> tuple[Meaning, list[tuple[Allow, str]]]:
    """Return what intents allow as the platform can say it, and the allows that it cannot, with the reason."""
    meaning = Meaning()
    impossible: list[tuple[Allow, str]] = []
    for intent in intents:
        for allow in intent.allows:
            content = allow.ports if allow.protocol.has_ports else PortSet.of(*allow.icmp_types)
            try:
                peer = _peer(allow, intent, platform)
                if peer is not None:  # what needs no rule needs no word for its protocol
                    _check_icmp(allow, platform)
            except InexpressibleError as error:
                impossible.append((allow, str(error)))
            else:
                if peer is not None:
                    meaning.add(peer, allow.protocol, content)
    return meaning, impossible


def _check_icmp(allow: Allow, platform: Platform) -> None:
    """Refuse ICMP where the dialect has no word for it."""
    if platform.dialect is Dialect.KUBERNETES and not allow.protocol.has_ports:
        raise InexpressibleError("Kubernetes policies have no ICMP")
    if platform.dialect is Dialect.CALICO and any(number > _MAX_CALICO_ICMP for number in allow.icmp_types):
        raise InexpressibleError("Calico knows ICMP types up to 254")


def _peer(allow: Allow, intent: PolicyIntent, platform: Platform) -> PeerMatch | None:
    """Return the peer of an allow; None when the platform allows it without a rule."""
    peer = allow.peer
    if isinstance(peer, CidrPeer):
        return cidr_match(parse_prefix(prefix) for prefix in peer.prefixes)
    if isinstance(peer, EntityPeer):
        return _entity(peer, intent.direction, platform)
    return _pods(peer, intent, platform)


def _pods(peer: WorkloadPeer, intent: PolicyIntent, platform: Platform) -> PodMatch:
    """Return the pods of a peer."""
    selector = peer.selector
    if platform.dialect is not Dialect.CILIUM and selector.cluster != intent.workload.cluster:
        raise InexpressibleError("selectors reach no other cluster")
    if platform.dialect is Dialect.KUBERNETES and selector.service_account is not None:
        raise InexpressibleError("Kubernetes policies cannot select service accounts")
    return PodMatch(
        cluster=selector.cluster,
        namespace=selector.namespace,
        labels=selector.labels,
        service_account=selector.service_account,
    )


def _entity(peer: EntityPeer, direction: Direction, platform: Platform) -> PeerMatch | None:
    """Return the entity, or its addresses where the platform can name nodes by address alone."""
    if platform.dialect is Dialect.CILIUM:
        return EntityMatch(entity=peer.entity)
    settings = dict(platform.settings)
    if peer.entity is Entity.HOST and direction is Direction.INGRESS and settings.get("allow-localhost") != "policy":
        return None
    if peer.entity is Entity.HOST and settings.get("default-endpoint-to-host-action") == "drop":
        raise InexpressibleError("the node drops what its pods send to it")
    on_calico = platform.dialect is Dialect.CALICO or settings.get("enforcer") == "calico"
    by_address = on_calico or "nodes" in settings.get("policy-cidr-match-mode", "")
    if not by_address or peer.entity not in _BY_ADDRESS:
        raise InexpressibleError(f"entity {peer.entity} cannot be named")
    if not peer.addresses:
        raise InexpressibleError(f"no address of entity {peer.entity} was seen")
    return cidr_match(parse_target(address) for address in peer.addresses)


def differences(want: Meaning, have: Meaning) -> Iterator[tuple[str, str]]:
    """Yield ``("missing-allow" | "excess-allow", description)`` for everything that only one of them allows."""
    keys = want.atoms.keys() | have.atoms.keys()
    for protocol, atom in sorted((key for key in keys if want.atoms.get(key) != have.atoms.get(key)), key=repr):
        wanted = want.atoms.get((protocol, atom), PortSet())
        found = have.atoms.get((protocol, atom), PortSet())
        for code, rest in (("missing-allow", wanted - found), ("excess-allow", found - wanted)):
            if rest.intervals:
                yield code, f"{_named(atom)} {_content(protocol, rest)}"
    for protocol in sorted(set(want.nets) | set(have.nets)):
        yield from _net_differences(protocol, want.nets.get(protocol, {}), have.nets.get(protocol, {}))


def _net_differences(
    protocol: Protocol, want: dict[Network, PortSet], have: dict[Network, PortSet]
) -> Iterator[tuple[str, str]]:
    """Compare the addresses of every stretch of ports on which both sides are constant."""
    if want == have:
        return
    edges = sorted(
        {
            edge
            for ports in (*want.values(), *have.values())
            for low, high in ports.intervals
            for edge in (low, high + 1)
        }
    )
    for low, after in itertools.pairwise(edges):
        wanted = cidr_match(network for network, ports in want.items() if low in ports)
        found = cidr_match(network for network, ports in have.items() if low in ports)
        stretch = _content(protocol, PortSet.from_intervals([(low, after - 1)]))
        for code, ours, theirs in (("missing-allow", wanted, found), ("excess-allow", found, wanted)):
            rest = _outside(ours, theirs)
            if rest:
                more = f" and {len(rest) - _SHOWN_PREFIXES} more" if len(rest) > _SHOWN_PREFIXES else ""
                yield code, f"{', '.join(rest[:_SHOWN_PREFIXES])}{more} {stretch}"


def _outside(ours: CidrMatch, theirs: CidrMatch) -> list[str]:
    """Return the prefixes of one match that are not wholly inside the other."""
    index = NetIndex(theirs)
    return [prefix for prefix in ours.prefixes if index.relation(parse_prefix(prefix)) is not Relation.INSIDE]


def _content(protocol: Protocol, content: PortSet) -> str:
    """Return ``TCP/80,443`` or ``ICMP type 8``."""
    return f"{protocol}/{content}" if protocol.has_ports else f"{protocol} type {content}"


def _named(atom: Atom) -> str:
    """Return a peer for messages, hostile text escaped."""
    if isinstance(atom, EntityMatch):
        return f"entity {atom.entity}"
    if isinstance(atom, AnyMatch):
        return "any peer"
    if not isinstance(atom, PodMatch):
        return shown(repr(atom))
    parts = [f"{key}={value}" for key, value in (*atom.namespace_labels.pairs, *atom.labels.pairs)]
    parts += map(str, atom.where)
    if atom.service_account is not None:
        parts.append(f"serviceAccount={atom.service_account}")
    return "pods " + shown(f"{atom.namespace or '(any namespace)'}: {','.join(parts) or '(all)'}")
