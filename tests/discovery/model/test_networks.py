"""The ranges in which clusters live."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.networks import PRIVATE, holds_private, is_inside, is_private


@pytest.mark.parametrize(
    ("prefix", "inside", "overlapping"),
    [
        ("10.1.2.3", True, True),
        ("10.0.0.0/8", True, True),
        ("8.0.0.0/6", False, True),
        ("0.0.0.0/0", False, True),
        ("::/0", False, True),
        ("100.64.0.0/16", True, True),
        ("fd00::1", True, True),
        ("203.0.113.0/24", False, False),
        ("2001:db8::/32", False, False),
    ],
)
def test_ranges_that_clusters_use(prefix: str, inside: bool, overlapping: bool) -> None:
    """All of a prefix, or a part of it."""
    assert (is_private(prefix), holds_private(prefix)) == (inside, overlapping)


@given(st.integers(0, 2**32 - 1), st.integers(8, 32), st.sampled_from(PRIVATE))
def test_inside_is_what_every_address_says(number: int, length: int, outer: object) -> None:
    """A prefix is inside when its first and its last address are; IPv6 never holds IPv4."""
    network = ip_network((number, length), strict=False)
    ends = (network[0], network[-1])
    expected = all(ip_address(str(end)) in outer for end in ends)  # type: ignore[operator]
    assert is_inside(str(network), outer) is expected  # type: ignore[arg-type]
