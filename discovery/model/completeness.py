"""Completeness: what an input lost; capture profile: what a source shows at all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

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
    itself says it lost; ``truncated`` lists inputs that end before their end, each with the reason.
    """

    rows_read: int = 0
    rows_skipped: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    events_lost: int = 0
    rejected: tuple[Rejected, ...] = ()
    truncated: tuple[str, ...] = ()

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
        )

    @property
    def complete(self) -> bool:
        """Say whether nothing was lost, rejected or cut short."""
        return not (self.rows_rejected or self.events_lost or self.truncated)

    def with_duplicates(self, count: int) -> Completeness:
        """Return the account after ``count`` of the rows read proved to be duplicates."""
        return replace(self, rows_read=self.rows_read - count, rows_duplicate=self.rows_duplicate + count)


class Shows(StrEnum):
    """Whether a source shows a thing."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureProfile:
    """What the sources of an input show at all, measured on the input itself."""

    replies: Shows = Shows.NO
    drops: Shows = Shows.NO
    labels: Shows = Shows.NO
    both_ends: Shows = Shows.NO
    l7: Shows = Shows.NO
    ports: Shows = Shows.NO
    connection_counts: Shows = Shows.NO
    notes: tuple[str, ...] = field(default=())
