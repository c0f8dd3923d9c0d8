"""Port-interval algebra: :class:`PortSet` is a canonical set of port numbers.

All operations return new values and never change their arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MIN_PORT = 0
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, order=True)
class PortSet:
    """A set of ports as sorted, disjoint, non-adjacent inclusive intervals ``(low, high)``.

    The empty set has no intervals. Equality is set equality because the form is canonical. Raises
    ``ValueError`` when an interval is not canonical; build with :meth:`of` or :meth:`from_intervals`.
    """

    intervals: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Check that the intervals are canonical."""
        previous = MIN_PORT - 2
        for low, high in self.intervals:
            if not MIN_PORT <= low <= high <= MAX_PORT:
                raise ValueError(f"port interval {low}-{high} is outside {MIN_PORT}-{MAX_PORT}")
            if low <= previous + 1:
                raise ValueError(f"port intervals are not canonical at {low}-{high}")
            previous = high

    @classmethod
    def from_intervals(cls, intervals: Iterable[tuple[int, int]]) -> PortSet:
        """Return the union of inclusive intervals, in any order and overlapping as they like.

        Raises ``ValueError`` for an interval that runs backwards or outside of the ports.
        """
        merged: list[tuple[int, int]] = []
        for low, high in sorted(intervals):
            if low > high:
                raise ValueError(f"port interval {low}-{high} runs backwards")
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    @classmethod
    def of(cls, *ports: int) -> PortSet:
        """Return the set of these single ports."""
        return cls.from_intervals((port, port) for port in ports)

    @classmethod
    def all(cls) -> PortSet:
        """Return every port."""
        return cls(((MIN_PORT, MAX_PORT),))

    def __contains__(self, port: int) -> bool:
        """Say whether one port is in the set."""
        return any(low <= port <= high for low, high in self.intervals)

    def __iter__(self) -> Iterator[int]:
        """Yield the ports in order."""
        for low, high in self.intervals:
            yield from range(low, high + 1)

    def __len__(self) -> int:
        """Return how many ports are in the set."""
        return sum(high - low + 1 for low, high in self.intervals)

    def __or__(self, other: PortSet) -> PortSet:
        """Return the union."""
        return PortSet.from_intervals(self.intervals + other.intervals)

    def __and__(self, other: PortSet) -> PortSet:
        """Return the intersection."""
        return PortSet.from_intervals(
            (max(a_low, b_low), min(a_high, b_high))
            for a_low, a_high in self.intervals
            for b_low, b_high in other.intervals
            if max(a_low, b_low) <= min(a_high, b_high)
        )

    def __sub__(self, other: PortSet) -> PortSet:
        """Return the ports of this set that the other lacks."""
        return self & other.complement()

    def complement(self) -> PortSet:
        """Return every port that is not in the set."""
        gaps: list[tuple[int, int]] = []
        start = MIN_PORT
        for low, high in self.intervals:
            if low > start:
                gaps.append((start, low - 1))
            start = high + 1
        if start <= MAX_PORT:
            gaps.append((start, MAX_PORT))
        return PortSet(tuple(gaps))

    def __str__(self) -> str:
        """Return ``80,443,8000-8010``."""
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.intervals)
