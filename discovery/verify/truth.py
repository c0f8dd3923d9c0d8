"""Three-valued answers: what depends on something unknown is MAYBE, never a guess (Kleene's strong logic)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Truth(IntEnum):
    """An answer; the order makes AND the least and OR the greatest of several."""

    NO = 0
    MAYBE = 1
    YES = 2


def every(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction: YES when there is nothing to hold."""
    return min(truths, default=Truth.YES)


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return the disjunction: NO when there is nothing that could hold."""
    return max(truths, default=Truth.NO)


def negated(truth: Truth) -> Truth:
    """Return the negation; MAYBE stays MAYBE."""
    return Truth(Truth.YES - truth)


def known(answer: bool) -> Truth:  # noqa: FBT001 - it turns a boolean into an answer
    """Return the answer that a boolean is."""
    return Truth.YES if answer else Truth.NO
