"""Tests of discovery.verify.selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.verify.fields import NotEvaluatedError
from discovery.verify.selectors import parse_selector


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("  ", {}),
        ("all()", {}),
        ("app == 'web'", {"app": "web"}),
        ('app=="it\'s"', {"app": "it's"}),
        ("app == 'web' && tier == \"x\"", {"app": "web", "tier": "x"}),
        ("all() && app == 'web'", {"app": "web"}),
        ("app == 'a && b'", {"app": "a && b"}),
        ("example.com/part-of == ''", {"example.com/part-of": ""}),
    ],
)
def test_conjunctions_are_read(text: str, pairs: dict[str, str]) -> None:
    """Equality terms joined by && give their pairs."""
    assert parse_selector(text, "s").as_dict() == pairs


@pytest.mark.parametrize(
    "text",
    [
        "app != 'web'",
        "app == 'web' || app == 'db'",
        "!has(app)",
        "has(app)",
        "app in {'a','b'}",
        "global()",
        "(app == 'web')",
        "app == 'web' &&",
        "app == 'web' app == 'db'",
        "app == 'web",
        "app == 'it''s'",
        "app == web",
        "app starts with 'w'",
        "app == 'a' && app == 'b'",
        "app == 'a'\x00",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """Other operators, broken text and contradictions are not evaluated."""
    with pytest.raises(NotEvaluatedError):
        parse_selector(text, "s")


@pytest.mark.parametrize("value", [None, 3, ["a"], {}])
def test_a_selector_is_a_string(value: object) -> None:
    """Anything but a string is refused."""
    with pytest.raises(NotEvaluatedError):
        parse_selector(value, "s")


KEYS = st.text("abcXYZ019_./-", min_size=1, max_size=8)


@given(st.dictionaries(KEYS, st.text(max_size=8).filter(lambda v: not ("'" in v and '"' in v)), max_size=4))
def test_quoted_pairs_round_trip(pairs: dict[str, str]) -> None:
    """Whatever is quoted with the quote that it lacks reads back as it was."""
    terms = [f'{k} == "{v}"' if "'" in v else f"{k} == '{v}'" for k, v in pairs.items()]
    assert parse_selector(" && ".join(terms) or "all()", "s").as_dict() == pairs
