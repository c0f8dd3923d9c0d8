"""The address ranges in which clusters live: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))

# Addresses that embed IPv4 ones: the well-known prefix (RFC 6052), and that of a network's own (RFC 8215).
NAT64 = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))


def is_inside(prefix: str, outer: IPv4Network | IPv6Network) -> bool:
    """Say whether all of a prefix lies in a network, never across families. Raises ``ValueError`` for other text."""
    inner = ip_network(prefix)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def is_private(prefix: str) -> bool:
    """Say whether all of a prefix lies in a range that clusters use for pods and nodes."""
    return any(is_inside(prefix, own) for own in PRIVATE)


def holds_private(prefix: str) -> bool:
    """Say whether a prefix shares an address with such a range."""
    network = ip_network(prefix)
    return any(network.version == own.version and network.overlaps(own) for own in PRIVATE)
