"""Canonical addresses and prefixes. Everything that enters the lake passes through here once."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address


def canonical_address(text: str) -> str | None:
    """Return the canonical form of an IP address, or None when it is none.

    IPv4-mapped IPv6 (``::ffff:10.0.0.1``) is IPv4; a zone (``fe80::1%eth0``) is stripped.
    """
    try:  # the common case, without building objects
        packed = socket.inet_aton(text) if text.count(".") == 3 and ":" not in text else None
        if packed is not None and socket.inet_ntoa(packed) == text:
            return text
        address = ip_address(text.partition("%")[0])
    except (OSError, ValueError):
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


# All of IPv4 lies in 64:ff9b::/96 (RFC 6052), so a /48 there would be everybody; networks have their own ones in
# 64:ff9b:1::/48 (RFC 8215).
_NAT64 = bytes.fromhex("0064ff9b")


def bounding_prefix(address: str) -> str:
    """Return the /24 (IPv4) or /48 (IPv6) that holds a canonical address; of NAT64 the /120, which is a /24 of IPv4."""
    if ":" not in address:
        return address.rpartition(".")[0] + ".0/24"
    packed = socket.inet_pton(socket.AF_INET6, address)
    if packed.startswith(_NAT64):
        return socket.inet_ntop(socket.AF_INET6, packed[:15] + bytes(1)) + "/120"
    return socket.inet_ntop(socket.AF_INET6, packed[:6] + bytes(10)) + "/48"
