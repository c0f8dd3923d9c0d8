"""Rules of Calico's policies: action, protocol, ports and ICMP types of one rule.

Semantics: the Calico policy reference. ``Log`` decides nothing. What a rule asks beyond peers, server ports and types
(client ports, ICMP codes, HTTP) is in no flow at this layer: such a rule may match.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import MAX_PORT, PortSet
from discovery.verify.calico_peers import PEER_FIELDS, families, read_end
from discovery.verify.context import Context
from discovery.verify.fields import NotEvaluatedError, integer, mapping, only, sequence, shown
from discovery.verify.rules import (
    Action,
    AllMatch,
    AnyMatch,
    CidrMatch,
    OneMatch,
    PeerMatch,
    ReadRule,
)

_FIELDS = (
    "action", "protocol", "notProtocol", "icmp", "notICMP", "ipVersion", "source", "destination", "http", "metadata",
)  # fmt: skip
_ACTIONS = {"allow": Action.ALLOW, "deny": Action.DENY, "pass": Action.PASS}
_NUMBERS = {1: Protocol.ICMP, 6: Protocol.TCP, 17: Protocol.UDP, 58: Protocol.ICMPV6, 132: Protocol.SCTP}
_PROTOCOLS = {protocol.value.lower(): protocol for protocol in Protocol}
_FAMILY_OF = {Protocol.ICMP: 4, Protocol.ICMPV6: 6}
_FAMILIES = {4: CidrMatch(prefixes=("0.0.0.0/0",)), 6: CidrMatch(prefixes=("::/0",))}
_PORTS = re.compile(r"([0-9]{1,5})(?::([0-9]{1,5}))?")
_PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_MAX_ICMP_TYPE = 254
_ALL_TYPES = PortSet(((0, 255),))


def read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, namespace: str | None, context: Context
) -> tuple[list[ReadRule], set[str]]:
    """Read one rule into one :class:`ReadRule` per protocol; ``Log`` gives none."""
    only(item, _FIELDS, where)
    name = item.get("action")
    action = _ACTIONS.get(name.lower()) if isinstance(name, str) else None
    if action is None:
        if isinstance(name, str) and name.lower() == "log":
            return [], set()
        raise NotEvaluatedError(f"{where}.action", f"{shown(name)} is not Allow, Deny, Pass or Log")
    source = only(
        mapping(item.get("source"), f"{where}.source"), (*PEER_FIELDS, "ports", "notPorts"), f"{where}.source"
    )
    place = f"{where}.destination"
    target = only(mapping(item.get("destination"), place), (*PEER_FIELDS, "ports", "notPorts"), place)
    ends = {
        "source": read_end(source, f"{where}.source", namespace, context),
        "destination": read_end(target, place, namespace, context),
    }
    near, far = ("destination", "source") if direction is Direction.INGRESS else ("source", "destination")
    peers = ends[far]
    own = None if ends[near] == (AnyMatch(),) else OneMatch(parts=ends[near])
    protocols = _protocols(item, where)
    typed = item.get("icmp") is not None or item.get("notICMP") is not None
    if typed and (item.get("protocol") is None or any(protocol.has_ports for protocol in protocols)):
        raise NotEvaluatedError(f"{where}.icmp", "icmp needs protocol ICMP or ICMPv6")
    for key in ("ports", "notPorts"):
        _read_ports(source.get(key), f"{where}.source.{key}", single=True)
    family = _family(item.get("ipVersion"), protocols, families(source) | families(target), where)
    if family is not None:
        peers = (AllMatch(parts=(OneMatch(parts=peers), _FAMILIES[family])),)
    rules = [
        rule
        for protocol in protocols
        for rule in _content(protocol, item, target, where, peers, action, single=len(protocols) == 1)
    ]
    unclear = _unclear(item, source)
    return [replace(rule, own=own, unclear=rule.unclear or unclear) for rule in rules], set()


def _unclear(item: dict[str, Any], source: dict[str, Any]) -> str | None:
    """Return what a rule asks that no flow shows."""
    if source.get("ports") or source.get("notPorts"):
        return "ports of the client"
    return "HTTP methods or paths" if item.get("http") is not None else None


def _protocols(item: dict[str, Any], where: str) -> list[Protocol]:
    """Return the protocols of a rule among those that flows are of: all of them without ``protocol``."""
    wanted = list(Protocol)
    if item.get("protocol") is not None:
        wanted = _read_protocol(item["protocol"], f"{where}.protocol")
    if item.get("notProtocol") is not None:
        refused = _read_protocol(item["notProtocol"], f"{where}.notProtocol")
        wanted = [protocol for protocol in wanted if protocol not in refused]
    return wanted


def _read_protocol(value: Any, where: str) -> list[Protocol]:
    """Return the protocol of a name or number, none for one that no flow is of."""
    if isinstance(value, str):
        if value.lower() == "udplite":
            return []
        if value.lower() not in _PROTOCOLS:
            raise NotEvaluatedError(where, f"{shown(value)} is no protocol")
        return [_PROTOCOLS[value.lower()]]
    number = integer(value, 1, 255, where)
    return [_NUMBERS[number]] if number in _NUMBERS else []


def _family(version: Any, protocols: list[Protocol], given: set[int], where: str) -> int | None:
    """Return the IP version that a rule asks for beyond what its prefixes and protocol say anyway."""
    implied = given | ({_FAMILY_OF[protocols[0]]} if len(protocols) == 1 and protocols[0] in _FAMILY_OF else set())
    if len(implied) > 1:
        raise NotEvaluatedError(where, "IPv4 and IPv6 in one rule are refused")
    if version is None:
        return None
    if type(version) is not int or version not in _FAMILIES or (implied and implied != {version}):
        raise NotEvaluatedError(f"{where}.ipVersion", f"{shown(version)} does not fit the rule")
    return None if implied else int(version)


def _content(
    protocol: Protocol,
    item: dict[str, Any],
    target: dict[str, Any],
    where: str,
    peers: tuple[PeerMatch, ...],
    action: Action,
    *,
    single: bool,
) -> list[ReadRule]:
    """Return the rules of one protocol: by number of port or type, and by name."""
    if not protocol.has_ports:
        return _types(protocol, item, target, where, peers, action, single=single)
    place = f"{where}.destination"
    numbers, names = _read_ports(target.get("ports"), f"{place}.ports", single=single)
    refused, unnamed = _read_ports(target.get("notPorts"), f"{place}.notPorts", single=single)
    if unnamed:
        raise NotEvaluatedError(f"{place}.notPorts", "ports by name are not evaluated here")
    if not target.get("ports"):
        numbers = PortSet.all()
    numbers = numbers - refused
    rules = [ReadRule(peers=peers, protocol=protocol, ports=numbers, action=action)] if numbers.intervals else []
    return rules + ([ReadRule(peers=peers, protocol=protocol, names=names, action=action)] if names else [])


def _types(
    protocol: Protocol,
    item: dict[str, Any],
    target: dict[str, Any],
    where: str,
    peers: tuple[PeerMatch, ...],
    action: Action,
    *,
    single: bool,
) -> list[ReadRule]:
    """Return the rule of an ICMP protocol."""
    if target.get("ports") or target.get("notPorts"):
        if single:
            raise NotEvaluatedError(f"{where}.destination.ports", "ports need protocol TCP, UDP or SCTP")
        return []
    wanted, coded = _read_icmp(item.get("icmp"), f"{where}.icmp")
    refused, other = _read_icmp(item.get("notICMP"), f"{where}.notICMP")
    types = _ALL_TYPES if item.get("icmp") is None else wanted
    if item.get("notICMP") is not None and not other:
        types = types - refused
    rule = ReadRule(peers=peers, protocol=protocol, icmp_types=tuple(types), action=action)
    return [replace(rule, unclear="ICMP codes") if coded or other else rule] if types.intervals else []


def _read_icmp(value: Any, where: str) -> tuple[PortSet, bool]:
    """Return the type as if it were a port, and whether a code narrows it."""
    if value is None:
        return PortSet(), False
    icmp = only(mapping(value, where), ("type", "code"), where)
    if icmp.get("type") is None and icmp.get("code") is None:
        raise NotEvaluatedError(where, "neither type nor code is there")
    number = integer(icmp.get("type"), 0, _MAX_ICMP_TYPE, f"{where}.type")
    return PortSet.of(number), icmp.get("code") is not None


def _read_ports(value: Any, where: str, *, single: bool) -> tuple[PortSet, tuple[str, ...]]:
    """Read ports: numbers and ranges (which need a protocol) into a set, and names."""
    intervals: list[tuple[int, int]] = []
    names: set[str] = set()
    for number, port in enumerate(sequence(value, where)):
        spot = f"{where}[{number}]"
        if isinstance(port, str) and not _PORTS.fullmatch(port):
            if not _PORT_NAME.fullmatch(port) or not re.search("[a-zA-Z]", port):
                raise NotEvaluatedError(spot, f"{shown(port)} is no port")
            names.add(port)
            continue
        if not single:
            raise NotEvaluatedError(spot, "ports by number need protocol TCP, UDP or SCTP")
        intervals.append(_read_port(port, spot))
    return PortSet.from_intervals(intervals), tuple(sorted(names))


def _read_port(value: Any, where: str) -> tuple[int, int]:
    """Read one port: a number, or ``start:end``."""
    if isinstance(value, str) and (match := _PORTS.fullmatch(value)):
        low = integer(int(match[1]), 0, MAX_PORT, where)
        return low, integer(int(match[2] or match[1]), low, MAX_PORT, where)
    low = integer(value, 0, MAX_PORT, where)
    return low, low
