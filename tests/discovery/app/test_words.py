"""Small sentences read well in singular, plural and large numbers."""

from __future__ import annotations

import pytest

from discovery.app.words import counted, describe_incomplete, duration, moment
from discovery.model.completeness import Completeness, Rejected


@pytest.mark.parametrize(
    ("count", "what", "plural", "expected"),
    [
        (1, "file", None, "1 file"),
        (0, "file", None, "0 files"),
        (1234, "file", None, "1,234 files"),
        (2, "policy", "policies", "2 policies"),
    ],
)
def test_counts(count: int, what: str, plural: str | None, expected: str) -> None:
    """One is singular, everything else plural, thousands are grouped."""
    assert counted(count, what, plural) == expected


def test_what_is_missing_is_named_with_its_first_place() -> None:
    """Every kind of loss is told, malformed records with the first place."""
    account = Completeness(
        rows_rejected=2,
        events_lost=1,
        rejected=(Rejected(file="a.jsonl", line=7, reason="not JSON"),),
        truncated=("b.gz: cut short",),
    )
    assert describe_incomplete(account) == (
        "2 malformed records (first: a.jsonl:7: not JSON); the source lost 1 event; b.gz: cut short"
    )
    assert describe_incomplete(Completeness(rows_rejected=1)) == "1 malformed record"
    assert describe_incomplete(Completeness()) == ""


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (0, "0.0 seconds"),
        (1_500_000, "1.5 seconds"),
        (119_900_000, "119.9 seconds"),
        (120_000_000, "2.0 minutes"),
        (7_199_000_000, "120.0 minutes"),
        (7_200_000_000, "2.0 hours"),
        (86_400_000_000, "24.0 hours"),
        (172_800_000_000, "2.0 days"),
        (864_000_000_000, "10.0 days"),
    ],
)
def test_a_duration_is_in_the_unit_of_people(microseconds: int, expected: str) -> None:
    """The largest unit of which there are at least two."""
    assert duration(microseconds) == expected


def test_times_are_utc() -> None:
    """Microseconds since 1970 as people and machines both read them."""
    assert moment(1_762_000_000_000_000) == "2025-11-01T12:26:40Z"
