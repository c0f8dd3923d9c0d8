"""Tests of discovery.verify.nets."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.verify.nets import NetIndex, Network, Relation, cidr_match, parse_prefix, parse_target, subtract
from discovery.verify.rules import CidrMatch


@pytest.mark.parametrize("bad", ["10.0.0.1", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fe80::1%eth0/64", "", "/8", "x/8"])
def test_only_address_and_length_is_a_prefix(bad: str) -> None:
    """Bare addresses, netmasks, zones and garbage are refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_prefix(bad)


def test_host_bits_are_cleared() -> None:
    """10.1.2.3/8 means 10.0.0.0/8, as it does to an API server."""
    assert str(parse_prefix("10.1.2.3/8")) == "10.0.0.0/8"


def test_subtract_is_exact() -> None:
    """A hole leaves its complement, a whole hole leaves nothing, and a hole outside is refused."""
    net = parse_prefix("10.0.0.0/30")
    assert [str(n) for n in sorted(subtract(net, [parse_prefix("10.0.0.1/32")]), key=str)] == [
        "10.0.0.0/32",
        "10.0.0.2/31",
    ]
    assert subtract(net, [net]) == []
    for hole in ("10.0.0.4/32", "2001:db8::/64", "10.0.0.0/8"):
        with pytest.raises(ValueError, match="is not inside"):
            subtract(net, [parse_prefix(hole)])
    six = subtract(parse_prefix("2001:db8::/126"), [parse_prefix("2001:db8::/127")])
    assert [str(n) for n in six] == ["2001:db8::2/127"]


def test_cidr_match_is_canonical() -> None:
    """Neighbours collapse and IPv4 comes first, in whatever order they are given."""
    nets = [parse_prefix(p) for p in ("2001:db8::/32", "10.0.1.0/24", "10.0.0.0/24", "10.0.0.0/32")]
    assert cidr_match(nets) == CidrMatch(prefixes=("10.0.0.0/23", "2001:db8::/32"))
    assert cidr_match(reversed(nets)) == cidr_match(nets)


def test_relation_of_prefix_targets() -> None:
    """A prefix can be inside, outside, or only partly inside, and families never mix."""
    index = NetIndex(CidrMatch(prefixes=("10.0.0.0/24", "2001:db8::/64")))
    assert index.relation(parse_target("10.0.0.0/25")) is Relation.INSIDE
    assert index.relation(parse_target("10.0.0.0/8")) is Relation.PARTLY
    assert index.relation(parse_target("192.0.2.1")) is Relation.OUTSIDE
    assert index.relation(parse_target("2001:db8::1")) is Relation.INSIDE
    assert index.relation(parse_target("::/0")) is Relation.PARTLY


NETS = st.builds(
    lambda base, length: ipaddress.ip_network((base, length), strict=False),
    st.integers(0, 255).map(lambda low: 0x0A000000 + low),
    st.integers(22, 32),
)


@given(st.lists(NETS, max_size=6), st.integers(0, 300))
def test_index_agrees_with_scanning(nets: list[Network], offset: int) -> None:
    """Look-up by prefix length gives the same answer as asking every prefix."""
    address = ipaddress.IPv4Address(0x0A000000 + offset)
    inside = any(address in net for net in nets)
    relation = NetIndex(cidr_match(nets)).relation(parse_target(str(address)))
    assert relation is (Relation.INSIDE if inside else Relation.OUTSIDE)


@given(NETS, st.lists(NETS, max_size=4), st.integers(0, 300))
def test_subtraction_agrees_with_scanning(net: Network, holes: list[Network], offset: int) -> None:
    """An address is left exactly when it is in the prefix and in no hole."""
    fitting = [h for h in holes if h.prefixlen >= net.prefixlen and h.network_address in net]
    address = ipaddress.IPv4Address(0x0A000000 + offset)
    left = subtract(net, fitting)
    assert any(address in part for part in left) == (address in net and not any(address in h for h in fitting))
