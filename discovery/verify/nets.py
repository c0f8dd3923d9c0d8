"""Prefixes: strict parsing, exact subtraction, and an index that answers containment without scanning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum

from discovery.verify.rules import CidrMatch

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Python also reads netmasks (10.0.0.0/255.0.0.0), bare addresses and zones; policy APIs do not.
_PREFIX = re.compile(r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}")


class Relation(StrEnum):
    """How a set of addresses lies to a set of prefixes."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    PARTLY = "partly"


def parse_prefix(text: str) -> Network:
    """Return the network of ``address/length``, host bits cleared. Raises ``ValueError``."""
    if not _PREFIX.fullmatch(text):
        raise ValueError("not a prefix of the form address/length")
    return ipaddress.ip_network(text, strict=False)


def parse_target(text: str) -> Network:
    """Return the network of an address or a prefix (an address is its own /32 or /128). Raises ``ValueError``."""
    return parse_prefix(text) if "/" in text else ipaddress.ip_network(ipaddress.ip_address(text))


def subtract(network: Network, holes: Iterable[Network]) -> list[Network]:
    """Return the prefixes of ``network`` without the holes. Raises ``ValueError`` for a hole outside it."""
    left: list[Network] = [network]
    for hole in holes:
        if hole.version != network.version or not _subnet(hole, network):
            raise ValueError(f"{hole} is not inside {network}")
        left = [piece for part in left for piece in _without(part, hole)]
    return left


def _without(part: Network, hole: Network) -> list[Network]:
    """Return one prefix without one hole."""
    if _subnet(part, hole):
        return []
    if isinstance(part, ipaddress.IPv4Network) and isinstance(hole, ipaddress.IPv4Network):
        return list(part.address_exclude(hole)) if hole.subnet_of(part) else [part]
    if isinstance(part, ipaddress.IPv6Network) and isinstance(hole, ipaddress.IPv6Network):
        return list(part.address_exclude(hole)) if hole.subnet_of(part) else [part]
    return [part]


def _subnet(inner: Network, outer: Network) -> bool:
    """Say whether one prefix lies in another; never across families."""
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def collapse(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the minimal exact cover, IPv4 first, in address order."""
    four: list[ipaddress.IPv4Network] = []
    six: list[ipaddress.IPv6Network] = []
    for network in networks:
        if isinstance(network, ipaddress.IPv4Network):
            four.append(network)
        else:
            six.append(network)
    return (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))


def cidr_match(networks: Iterable[Network]) -> CidrMatch:
    """Return the canonical match of a union of prefixes."""
    return CidrMatch(prefixes=tuple(str(network) for network in collapse(networks)))


class NetIndex:
    """Containment in a set of prefixes: one set look-up per distinct prefix length."""

    def __init__(self, match: CidrMatch) -> None:
        """Build the index; the prefixes of a :class:`CidrMatch` are known to parse."""
        self._networks = tuple(parse_prefix(prefix) for prefix in match.prefixes)
        self._bases: dict[tuple[int, int], set[int]] = {}
        for network in self._networks:
            key = (network.version, network.prefixlen)
            self._bases.setdefault(key, set()).add(int(network.network_address))

    def relation(self, target: Network) -> Relation:
        """Say how an address or prefix lies to the set."""
        bits = target.max_prefixlen
        base = int(target.network_address)
        for (version, length), bases in self._bases.items():
            if (
                version == target.version
                and length <= target.prefixlen
                and (base >> (bits - length)) << (bits - length) in bases
            ):
                return Relation.INSIDE
        if target.prefixlen < bits and any(_subnet(network, target) for network in self._networks):
            return Relation.PARTLY
        return Relation.OUTSIDE
