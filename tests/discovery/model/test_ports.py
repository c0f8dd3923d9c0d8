"""PortSet against plain sets of integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.ports import MAX_PORT, PortSet

_EDGES = st.sampled_from((0, 1, 2, 79, 80, 81, MAX_PORT - 1, MAX_PORT))
_PORT = _EDGES | st.integers(0, 300) | st.integers(0, MAX_PORT)


@st.composite
def _interval(draw: st.DrawFn) -> tuple[int, int]:
    """Draw an inclusive interval, short enough to be counted out."""
    low = draw(_PORT)
    return low, min(MAX_PORT, low + draw(st.integers(0, 400)))


_INTERVALS = st.lists(_interval(), max_size=6)


def _plain(intervals: list[tuple[int, int]]) -> set[int]:
    """Return the ports of intervals one by one."""
    return {port for low, high in intervals for port in range(low, high + 1)}


@given(_INTERVALS)
def test_intervals_become_the_canonical_set(intervals: list[tuple[int, int]]) -> None:
    """Any intervals give sorted, disjoint, non-adjacent ones with the same ports."""
    found = PortSet.from_intervals(intervals)
    assert set(found) == _plain(intervals)
    assert list(found) == sorted(_plain(intervals))
    assert all(a[1] + 1 < b[0] for a, b in zip(found.intervals, found.intervals[1:], strict=False))


@given(_INTERVALS, _INTERVALS)
def test_operations_agree_with_sets_and_change_nothing(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    """Union, intersection and difference mean what they mean for sets; the arguments stay as they were."""
    a, b = PortSet.from_intervals(left), PortSet.from_intervals(right)
    before = (a.intervals, b.intervals, list(left), list(right))
    plain_a, plain_b = _plain(left), _plain(right)
    assert set(a | b) == plain_a | plain_b
    assert set(a & b) == plain_a & plain_b
    assert set(a - b) == plain_a - plain_b
    assert (a.intervals, b.intervals, left, right) == before


@given(_INTERVALS)
def test_complement_is_the_rest(intervals: list[tuple[int, int]]) -> None:
    """A port is in a set or in its complement, never in both; twice is nothing."""
    found = PortSet.from_intervals(intervals)
    assert set(found.complement()) == set(range(MAX_PORT + 1)) - _plain(intervals)
    assert found.complement().complement() == found
    assert len(found) + len(found.complement()) == MAX_PORT + 1


@given(_INTERVALS, _PORT)
def test_membership_and_length(intervals: list[tuple[int, int]], port: int) -> None:
    """``in`` and ``len`` agree with the plain set."""
    found = PortSet.from_intervals(intervals)
    assert (port in found) == (port in _plain(intervals))
    assert len(found) == len(_plain(intervals))


@given(st.lists(_PORT, max_size=20))
def test_single_ports(ports: list[int]) -> None:
    """``of`` takes ports in any order, repeated or not; equal sets are equal and hash alike."""
    assert set(PortSet.of(*ports)) == set(ports)
    assert PortSet.of(*ports) == PortSet.of(*reversed(ports))
    assert hash(PortSet.of(*ports)) == hash(PortSet.of(*sorted(set(ports))))


@given(_INTERVALS)
def test_text_reads_back(intervals: list[tuple[int, int]]) -> None:
    """The text form names every port: parsing it gives the set again."""
    found = PortSet.from_intervals(intervals)
    pieces = [piece.split("-") for piece in str(found).split(",") if piece]
    assert PortSet.from_intervals((int(piece[0]), int(piece[-1])) for piece in pieces) == found


def test_all_and_nothing() -> None:
    """Every port includes both ends; the empty set is falsy."""
    assert list(PortSet.all().intervals) == [(0, MAX_PORT)]
    assert PortSet.all().complement() == PortSet()
    assert not PortSet()
    assert str(PortSet.of(80, 443, 8_000, 8_001)) == "80,443,8000-8001"


@pytest.mark.parametrize(
    "intervals",
    [((5, 4),), ((-1, 3),), ((0, MAX_PORT + 1),), ((1, 2), (3, 4)), ((5, 9), (1, 2)), ((1, 5), (5, 9))],
    ids=["backwards", "negative", "too-high", "adjacent", "unsorted", "overlapping"],
)
def test_only_the_canonical_form_can_be_built(intervals: tuple[tuple[int, int], ...]) -> None:
    """The constructor refuses whatever is not canonical, so equality stays set equality."""
    with pytest.raises(ValueError, match="port interval"):
        PortSet(intervals)
