"""Tests of discovery.verify.truth: Kleene's strong logic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.verify.truth import Truth, any_of, every, known, negated

TRUTHS = st.sampled_from(Truth)


def test_nothing_to_hold_holds() -> None:
    """An empty conjunction is true, an empty disjunction false, and booleans are answers."""
    assert (every(()), any_of(()), known(answer=True), known(answer=False)) == (
        Truth.YES,
        Truth.NO,
        Truth.YES,
        Truth.NO,
    )


@given(st.lists(TRUTHS, max_size=4))
def test_answers_are_those_of_every_way_to_settle_the_unknown(truths: list[Truth]) -> None:
    """MAYBE is told exactly when settling the unknown parts one way or the other changes the answer."""
    worlds: list[list[bool]] = [[]]
    for truth in truths:
        options = {Truth.NO: [False], Truth.YES: [True], Truth.MAYBE: [False, True]}[truth]
        worlds = [[*world, option] for world in worlds for option in options]
    for combine, of in ((every, all), (any_of, any)):
        answers = {of(world) for world in worlds}
        assert combine(truths) == (known(answers.pop()) if len(answers) == 1 else Truth.MAYBE)


@given(TRUTHS)
def test_negation_is_its_own_inverse(truth: Truth) -> None:
    """MAYBE stays MAYBE."""
    assert negated(negated(truth)) is truth
    assert (negated(truth) is truth) == (truth is Truth.MAYBE)
