"""Why a side denies, for people: the policy that isolates and the rule that nearly matched."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.edge import Direction
from discovery.model.ports import PortSet
from discovery.verify.decisions import Probe, SideDecision
from discovery.verify.ends import End, EntityEnd, PeerMatcher, PodEnd
from discovery.verify.fields import shown
from discovery.verify.layer7 import describe, describe_request
from discovery.verify.rules import (
    Action,
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    ExceptMatch,
    LocalMatch,
    NameMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
)
from discovery.verify.truth import Truth, any_of

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The rule that came closest to allowing a probe, and what it lacks, in words."""

    policy: ReadPolicy
    rule: ReadRule
    lacks: str


def nearest(side: SideDecision, probe: Probe, peers: PeerMatcher) -> Nearest | None:
    """Return the allow of the isolating policies that nearly matches a probe that a side denies, or None when none has
    the right peer, protocol or port. One with the right peer is nearer than one with the right port.
    """
    here, there = (probe.client, probe.server)
    if side.direction is Direction.INGRESS:
        here, there = there, here
    if not isinstance(here, PodEnd):
        return None
    best: tuple[int, Nearest] | None = None
    for policy in side.isolating:
        for rule in policy.rules:
            if rule.action is not Action.ALLOW:
                continue
            peer = any_of(peers.covers(match, there, here.version) for match in rule.peers) is Truth.YES
            protocol = rule.protocol is probe.protocol
            content = protocol and not (probe.content - rule.content).intervals
            score = 4 * peer + 2 * protocol + content
            if (peer or content) and (best is None or score > best[0]):
                text = _port_lack(rule, probe) if peer else _peer_lack(rule, there)
                best = (score, Nearest(policy=policy, rule=rule, lacks=text))
    return best[1] if best is not None else None


def _port_lack(rule: ReadRule, probe: Probe) -> str:
    """Return what a rule with the right peer lacks."""
    if rule.protocol is not probe.protocol:
        return f"{probe.protocol} is not {rule.protocol}"
    if rule.layer7 and probe.request is not None and not (probe.content - rule.content).intervals:
        return f"{describe_request(probe.request)} is not among {describe(rule.layer7)}"
    word = "port" if probe.protocol.has_ports else "type"
    named = f"{_ports(rule.content)}{' or ' if rule.content.intervals and rule.names else ''}{', '.join(rule.names)}"
    return f"{word} {probe.content} is not among {named}"


def _peer_lack(rule: ReadRule, end: End) -> str:
    """Return what a rule with the right port lacks."""
    return f"{describe_end(end)} is not among {describe_peers(rule.peers)}"


def _ports(ports: PortSet) -> str:
    """Return ports for people."""
    return "all" if ports == PortSet.all() else str(ports)


def describe_end(end: End) -> str:
    """Return an end for people, hostile text escaped."""
    if isinstance(end, PodEnd):
        return f"{end.version.ref}"
    if isinstance(end, EntityEnd):
        return f"entity {end.entity}"
    return end.address


def describe_peers(peers: tuple[PeerMatch, ...]) -> str:
    """Return the peers of a rule for people: the first of them, hostile text escaped."""
    if not peers:
        return "nobody"
    more = f" and {len(peers) - _SHOWN} more" if len(peers) > _SHOWN else ""
    return "; ".join(map(_describe, peers[:_SHOWN])) + more


def _describe(peer: PeerMatch) -> str:
    """Return one peer for people."""
    match peer:
        case AnyMatch():
            return "anybody"
        case LocalMatch():
            return "every pod of the cluster"
        case EntityMatch():
            return f"entity {peer.entity}"
        case CidrMatch():
            more = f" and {len(peer.prefixes) - _SHOWN} more" if len(peer.prefixes) > _SHOWN else ""
            return ", ".join(peer.prefixes[:_SHOWN]) + more
        case NameMatch():
            return "names " + shown(", ".join(peer.patterns[:_SHOWN]))[1:-1]
        case PodMatch():
            return _pods(peer)
        case AllMatch():
            return " and ".join(map(_describe, peer.parts))
        case OneMatch():
            return " or ".join(map(_describe, peer.parts[:_SHOWN]))
        case ExceptMatch():
            return f"all but {_describe(peer.part)}"
        case _:
            return peer.what


def _pods(match: PodMatch) -> str:
    """Return the pods of a match for people."""
    parts = [f"{key}={value}" for key, value in match.labels.pairs]
    parts += [f"serviceAccount={match.service_account}"] if match.service_account is not None else []
    parts += [f"namespace {key}={value}" for key, value in match.namespace_labels.pairs]
    parts += map(str, match.where)
    place = match.namespace or "any namespace"
    return ascii(f"pods of {place}" + (f" with {', '.join(parts)}" if parts else ""))[1:-1]
