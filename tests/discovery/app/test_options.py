"""Options of the use cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.app.options import IngestOptions, SuggestOptions, no_progress, parse_dialects
from discovery.model.errors import OptionError
from discovery.model.intent import Dialect, Mode


def test_the_default_is_inert() -> None:
    """Without a word: monitor mode, all dialects, nothing lenient."""
    options = SuggestOptions()
    assert options.mode is Mode.MONITOR
    assert set(options.dialects) == set(options.platforms) == set(Dialect)
    lenient = (options.allow_partial, options.accept_inferred, options.learn_audit, options.include_system)
    assert not any(lenient)
    assert IngestOptions().format == options.format == "auto"
    assert not any(platform.declared for platform in options.platforms.values())


@given(st.lists(st.sampled_from(Dialect), min_size=1), st.sampled_from((",", ", ", " ,", ",,")))
def test_dialects_are_read_in_order_each_once(dialects: list[Dialect], separator: str) -> None:
    """Repetitions and spaces do not matter."""
    assert parse_dialects(separator.join(dialects)) == tuple(dict.fromkeys(dialects))


@pytest.mark.parametrize("text", ["", " ", ",", "istio", "cilium,istio", "Cilium", "cilium;calico"])
def test_unknown_dialects_are_refused(text: str) -> None:
    """A wrong name says which there are."""
    with pytest.raises(OptionError) as caught:
        parse_dialects(text)
    assert all(dialect in (caught.value.hint or "") for dialect in Dialect)


def test_progress_may_be_ignored() -> None:
    """The default takes any progress."""
    no_progress("reading", 1, 0)
