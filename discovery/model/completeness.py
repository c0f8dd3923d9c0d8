"""Completeness: what was read of an input, what it lost, and what its records show."""

from __future__ import annotations

from dataclasses import dataclass, replace

from discovery.model.capture import Sightings, merged

MAX_LOCATED = 20


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rejected:
    """One record that could not be read: where it is and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The account of one or more inputs.

    ``rows_read`` counts records that became flows; ``rows_skipped`` counts records that are not flows (agent
    events, node status); ``rows_rejected`` counts malformed ones, of which the first are located in
    ``rejected``; ``rows_duplicate`` counts records seen before; ``events_lost`` counts events that the source
    itself says it lost; ``truncated`` lists inputs that end before their end, each with the reason; ``masked`` lists
    inputs of which no record shows a thing that everything rests on. ``sightings`` say what the records show.
    """

    rows_read: int = 0
    rows_skipped: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    events_lost: int = 0
    rejected: tuple[Rejected, ...] = ()
    truncated: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    sightings: tuple[Sightings, ...] = ()

    def __add__(self, other: Completeness) -> Completeness:
        """Return the account of both inputs; located rejections are sorted and capped."""
        return Completeness(
            rows_read=self.rows_read + other.rows_read,
            rows_skipped=self.rows_skipped + other.rows_skipped,
            rows_rejected=self.rows_rejected + other.rows_rejected,
            rows_duplicate=self.rows_duplicate + other.rows_duplicate,
            events_lost=self.events_lost + other.events_lost,
            rejected=tuple(sorted(self.rejected + other.rejected)[:MAX_LOCATED]),
            truncated=tuple(sorted(set(self.truncated + other.truncated))),
            masked=tuple(sorted(set(self.masked + other.masked))),
            sightings=merged((*self.sightings, *other.sightings)),
        )

    @property
    def complete(self) -> bool:
        """Say whether nothing was lost, rejected, masked or cut short."""
        return not (self.rows_rejected or self.events_lost or self.truncated or self.masked)

    def with_duplicates(self, count: int) -> Completeness:
        """Return the account after ``count`` of the rows read proved to be duplicates."""
        return replace(self, rows_read=self.rows_read - count, rows_duplicate=self.rows_duplicate + count)
