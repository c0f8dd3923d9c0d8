"""The account of inputs is an algebra: merging is associative and commutative, so workers may finish in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.model.completeness import MAX_LOCATED, Completeness, Rejected

_REJECTED = st.builds(
    Rejected, file=st.sampled_from("ab"), line=st.integers(1, 60), reason=st.sampled_from(("bad", "worse"))
)
_COUNT = st.integers(0, 10**12)


@st.composite
def _accounts(draw: st.DrawFn) -> Completeness:
    """Draw an account as collectors make them: located rejections are sorted and capped."""
    located = tuple(sorted(draw(st.lists(_REJECTED, max_size=30)))[:MAX_LOCATED])
    return Completeness(
        rows_read=draw(_COUNT), rows_skipped=draw(_COUNT), rows_rejected=draw(_COUNT), rows_duplicate=draw(_COUNT),
        events_lost=draw(_COUNT), rejected=located,
        truncated=tuple(sorted(set(draw(st.lists(st.sampled_from("xyz"), max_size=3))))),
    )  # fmt: skip


@given(_accounts(), _accounts(), _accounts())
def test_merging_is_associative_and_commutative(a: Completeness, b: Completeness, c: Completeness) -> None:
    """Any order and any grouping of workers gives the same account; an empty one changes nothing."""
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Completeness() == a


@given(_accounts(), _accounts())
def test_merging_loses_no_count(a: Completeness, b: Completeness) -> None:
    """Counts add up, also past the number of located records; the located ones are the first."""
    both = a + b
    for name in ("rows_read", "rows_skipped", "rows_rejected", "rows_duplicate", "events_lost"):
        assert getattr(both, name) == getattr(a, name) + getattr(b, name)
    assert list(both.rejected) == sorted(a.rejected + b.rejected)[:MAX_LOCATED]
    assert set(both.truncated) == set(a.truncated) | set(b.truncated)


@given(_accounts(), _accounts())
def test_a_whole_is_complete_when_its_parts_are(a: Completeness, b: Completeness) -> None:
    """Nothing that is incomplete becomes complete by merging."""
    assert (a + b).complete == (a.complete and b.complete)


@given(_accounts(), st.integers(0, 10**6))
def test_duplicates_were_read(account: Completeness, count: int) -> None:
    """Duplicates move from read to duplicate: none is counted twice or forgotten, and none makes input incomplete."""
    after = account.with_duplicates(count)
    assert after.rows_read + after.rows_duplicate == account.rows_read + account.rows_duplicate
    assert after.complete == account.complete


def test_what_makes_input_incomplete() -> None:
    """Rejected, lost and cut-off input is incomplete; skipped and duplicate records are not (rule 8)."""
    assert Completeness(rows_read=1, rows_skipped=1, rows_duplicate=1).complete
    assert not Completeness(rows_rejected=1).complete
    assert not Completeness(events_lost=1).complete
    assert not Completeness(truncated=("x",)).complete
    assert not Completeness(masked=("x",)).complete
