"""Options of the use cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.app.options import IngestOptions, SuggestOptions, check_system, no_progress, parse_dialects
from discovery.app.suggest import suggest
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


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("yes", [False, True])
def test_enforcing_on_the_platform_needs_a_second_word(mode: Mode, include: bool, yes: bool) -> None:
    """Only enforce with --include-system and without --yes-system is refused, before anything is read."""
    options = SuggestOptions(mode=mode, include_system=include, yes_system=yes)
    if mode is Mode.ENFORCE and include and not yes:
        with pytest.raises(OptionError, match="platform") as failed:
            suggest("nowhere.jsonl", "out", options)
        assert "--yes-system" in str(failed.value.hint)
    else:
        check_system(options)
