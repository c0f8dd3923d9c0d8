"""Ports and ICMP types of Cilium's rules.

Semantics: the Cilium policy reference. Protocol ANY is TCP, UDP and SCTP; port 0 is every port; a name is a port of the
server's containers. Rules of layer 7 are about requests of HTTP and look-ups of names; server names, authentication and
other proxies restrict further by what flows do not show: such a port may be allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import MAX_PORT, PortSet
from discovery.verify.cilium_layer7 import read_dns, read_http
from discovery.verify.fields import NotEvaluatedError, integer, mapping, only, sequence, shown, string
from discovery.verify.layer7 import DnsMatch, HttpMatch, RequestMatch

_PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "TCP": (Protocol.TCP,),
    "UDP": (Protocol.UDP,),
    "SCTP": (Protocol.SCTP,),
    "ANY": (Protocol.TCP, Protocol.UDP, Protocol.SCTP),
}
# Protocols of IP that no flow of ours is of.
_OTHERS = ("VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH")
_FAMILIES = {"IPv4": Protocol.ICMP, "IPv6": Protocol.ICMPV6}
# The names of types in the schema of CiliumNetworkPolicy.
_TYPES: dict[Protocol, dict[str, int]] = {
    Protocol.ICMP: {
        "EchoReply": 0,
        "DestinationUnreachable": 3,
        "Redirect": 5,
        "Echo": 8,
        "EchoRequest": 8,
        "RouterAdvertisement": 9,
        "RouterSelection": 10,
        "TimeExceeded": 11,
        "ParameterProblem": 12,
        "Timestamp": 13,
        "TimestampReply": 14,
        "Photuris": 40,
        "ExtendedEchoRequest": 42,
        "ExtendedEchoReply": 43,
    },
    Protocol.ICMPV6: {
        "DestinationUnreachable": 1,
        "PacketTooBig": 2,
        "TimeExceeded": 3,
        "ParameterProblem": 4,
        "EchoRequest": 128,
        "EchoReply": 129,
        "MulticastListenerQuery": 130,
        "MulticastListenerReport": 131,
        "MulticastListenerDone": 132,
        "RouterSolicitation": 133,
        "RouterAdvertisement": 134,
        "NeighborSolicitation": 135,
        "NeighborAdvertisement": 136,
        "RedirectMessage": 137,
        "RouterRenumbering": 138,
        "ICMPNodeInformationQuery": 139,
        "ICMPNodeInformationResponse": 140,
        "InverseNeighborDiscoverySolicitation": 141,
        "InverseNeighborDiscoveryAdvertisement": 142,
        "HomeAgentAddressDiscoveryRequest": 144,
        "HomeAgentAddressDiscoveryReply": 145,
        "MobilePrefixSolicitation": 146,
        "MobilePrefixAdvertisement": 147,
        "DuplicateAddressRequestCodeSuffix": 157,
        "DuplicateAddressConfirmationCodeSuffix": 158,
        "ExtendedEchoRequest": 160,
        "ExtendedEchoReply": 161,
    },
}
_ITEM_FIELDS = ("ports", "rules", "serverNames", "terminatingTLS", "originatingTLS", "listener")
# Kinds of rules of layer 7.
_KINDS = ("http", "dns", "kafka")
_NUMBER = re.compile(r"[0-9]{1,5}")
_PORT_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,13}[a-zA-Z0-9])?")
_MAX_PORTS = 40


@dataclass(slots=True, kw_only=True)
class Ports:
    """One item of ``toPorts``. ``layer7`` are the requests that it lets through, all without any; ``unclear`` names
    what restricts it beyond those; ``proxied`` says that the traffic goes through the proxy, also where that restricts
    nothing.
    """

    numbers: dict[Protocol, PortSet] = field(default_factory=dict)
    names: dict[Protocol, tuple[str, ...]] = field(default_factory=dict)
    needs: set[str] = field(default_factory=set)
    layer7: tuple[RequestMatch, ...] = ()
    unclear: str | None = None
    proxied: bool = False


def read_ports(value: Any, where: str, *, denies: bool, direction: Direction) -> list[Ports]:
    """Read ``toPorts``; those of deny rules are ports alone."""
    items = sequence(value, where)
    if not items:
        raise NotEvaluatedError(where, "an empty toPorts is not evaluated")
    fields = ("ports",) if denies else _ITEM_FIELDS
    return [_read_item(item, f"{where}[{number}]", fields, direction) for number, item in enumerate(items)]


def _read_item(value: Any, where: str, fields: tuple[str, ...], direction: Direction) -> Ports:
    """Read one item of ``toPorts``."""
    item = only(mapping(value, where), fields, where)
    listed = sequence(item.get("ports"), f"{where}.ports")
    if not 1 <= len(listed) <= _MAX_PORTS:
        raise NotEvaluatedError(f"{where}.ports", f"{len(listed)} ports; from 1 to {_MAX_PORTS} are accepted")
    layer7, unclear = _beyond_ports(item, where)
    proxied = any(item.get(key) for key in _ITEM_FIELDS[1:])
    found = Ports(layer7=layer7, unclear=unclear, proxied=proxied)
    kinds = mapping(item.get("rules"), f"{where}.rules")
    for index, entry in enumerate(listed):
        spot = f"{where}.ports[{index}]"
        port = only(mapping(entry, spot), ("port", "endPort", "protocol"), spot)
        if port.get("endPort") is not None:
            found.needs.add("endPort")
        if port.get("protocol") in _OTHERS and port.get("port") in (None, "", "0"):
            continue
        text = string(port.get("port"), f"{spot}.port")
        _check_layer7(kinds, port, text, spot, direction)
        for protocol in _read_protocol(port, spot):
            if _NUMBER.fullmatch(text):
                found.numbers[protocol] = found.numbers.get(protocol, PortSet()) | _read_range(port, text, spot)
            else:
                found.names[protocol] = tuple(sorted({*found.names.get(protocol, ()), _read_name(port, text, spot)}))
    return found


def _check_layer7(rules: dict[str, Any], port: dict[str, Any], text: str, where: str, direction: Direction) -> None:
    """Refuse what Cilium refuses of a port with rules of layer 7."""
    if not any(rules.values()):
        return
    if text == "0":
        raise NotEvaluatedError(where, "rules of layer 7 on port 0 are refused by Cilium")
    if rules.get("http") and port.get("protocol") != "TCP":
        raise NotEvaluatedError(where, "rules of HTTP on another protocol than TCP are refused by Cilium")
    if rules.get("dns") and (direction is Direction.INGRESS or port.get("endPort") is not None):
        raise NotEvaluatedError(where, "rules of DNS at ingress or on a range of ports are refused by Cilium")


def _beyond_ports(item: dict[str, Any], where: str) -> tuple[tuple[RequestMatch, ...], str | None]:
    """Return the requests that an item lets through, and what else restricts it beyond its ports."""
    place = f"{where}.rules"
    given = {
        key: rules
        for key, rules in only(mapping(item.get("rules"), place), _KINDS, place).items()
        if rules not in (None, [])
    }
    if len(given) > 1:
        raise NotEvaluatedError(place, f"{' and '.join(given)} may not be in one item")
    if "kafka" in given and sequence(given["kafka"], f"{place}.kafka") != [{}]:
        return (), "kafka rules of layer 7"
    layer7: tuple[RequestMatch, ...] = ()
    if "http" in given:
        listed = [
            read_http(one, f"{place}.http[{n}]") for n, one in enumerate(sequence(given["http"], f"{place}.http"))
        ]
        layer7 = () if HttpMatch() in listed else tuple(sorted(set(listed), key=repr))
    if "dns" in given:
        dns = sequence(given["dns"], f"{place}.dns")
        names = [read_dns(one, f"{place}.dns[{number}]") for number, one in enumerate(dns)]
        layer7 = () if DnsMatch(pattern="*") in names else tuple(sorted(set(names), key=repr))
    return layer7, _beyond_requests(item)


def _beyond_requests(item: dict[str, Any]) -> str | None:
    """Return what restricts an item beyond ports and requests."""
    named = {"serverNames": "server names of TLS", "terminatingTLS": "TLS that ends at the proxy",
             "originatingTLS": "TLS that starts at the proxy", "listener": "a listener of a proxy"}  # fmt: skip
    return next((text for key, text in named.items() if item.get(key)), None)


def _read_protocol(port: dict[str, Any], where: str) -> tuple[Protocol, ...]:
    """Read the protocol of a port; missing is ANY."""
    name = "ANY" if port.get("protocol") is None else port["protocol"]
    if not isinstance(name, str) or name not in _PROTOCOLS:
        raise NotEvaluatedError(f"{where}.protocol", f"{shown(name)} is not evaluated")
    if name == "ANY" and port.get("port") == "0":
        raise NotEvaluatedError(where, "port 0 of protocol ANY is not evaluated")
    return _PROTOCOLS[name]


def _read_range(port: dict[str, Any], text: str, where: str) -> PortSet:
    """Read ``port`` (a string of digits; "0" is every port) and ``endPort``."""
    low = integer(int(text), 0, MAX_PORT, f"{where}.port")
    if low == 0:
        if port.get("endPort") is not None:
            raise NotEvaluatedError(f"{where}.endPort", "endPort with port 0")
        return PortSet.all()
    high = low if port.get("endPort") is None else integer(port["endPort"], low, MAX_PORT, f"{where}.endPort")
    return PortSet.from_intervals([(low, high)])


def _read_name(port: dict[str, Any], text: str, where: str) -> str:
    """Read a port by name, which Cilium compares in lower case."""
    if not _PORT_NAME.fullmatch(text) or not re.search("[a-zA-Z]", text):
        raise NotEvaluatedError(f"{where}.port", f"{shown(text)} is no name of a port")
    if port.get("endPort") is not None:
        raise NotEvaluatedError(f"{where}.endPort", "endPort with a port by name")
    return text.lower()


def read_icmps(value: Any, where: str) -> dict[Protocol, tuple[int, ...]]:
    """Read ``icmps``: types by family, as numbers or by name."""
    types: dict[Protocol, set[int]] = {}
    for number, item in enumerate(sequence(value, where)):
        place = f"{where}[{number}]"
        fields = sequence(only(mapping(item, place), ("fields",), place).get("fields"), f"{place}.fields")
        for index, entry in enumerate(fields):
            spot = f"{place}.fields[{index}]"
            icmp = only(mapping(entry, spot), ("family", "type"), spot)
            family = "IPv4" if icmp.get("family") is None else icmp["family"]
            if not isinstance(family, str) or family not in _FAMILIES:
                raise NotEvaluatedError(f"{spot}.family", f"{shown(family)} is not IPv4 or IPv6")
            protocol = _FAMILIES[family]
            given = icmp.get("type")
            by_name = _TYPES[protocol].get(given) if isinstance(given, str) else None
            types.setdefault(protocol, set()).add(
                integer(given, 0, 255, f"{spot}.type") if by_name is None else by_name
            )
    if not types:
        raise NotEvaluatedError(where, "icmps without a type is not evaluated")
    return {protocol: tuple(sorted(found)) for protocol, found in types.items()}
