"""Markdown: hostile text stays inside its place, and pages keep to their length."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from discovery.app.markdown import LEAST_ROWS, MOST_ROWS, Section, Table, cut, fitting, page, safe
from tests.strategies import hostile_text


@given(hostile_text())
def test_hostile_text_stays_inside_its_code_span(text: str) -> None:
    """No control, bidi, backtick or pipe: the span cannot be left, the table not broken, the reader not fooled."""
    shown = safe(text)
    assert shown.startswith("`")
    assert shown.endswith("`")
    assert not set(shown[1:-1]) & {"`", "|", "\n", "\r"}
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert len(shown) <= 162


def test_long_lists_of_names_are_cut() -> None:
    """All names where they fit, else how many more there are, and where."""
    assert cut(["a", "b"], 2, "x") == "`a`, `b`"
    assert cut(["a", "b|", "c", "d"], 2, "`x`") == "`a`, `b¦` and 2 more (`x`)"
    assert cut([], 2, "x") == ""


def sections(*sizes: int) -> list[Section]:
    """Return sections with a sentence and a table of so many rows each."""
    return [
        Section(title=f"{number}", body=("text", Table(head=("a",), rows=(("x",),) * size, more="`elsewhere`")))
        for number, size in enumerate(sizes)
    ]


def test_the_layout_of_a_page() -> None:
    """A title, the opening as it is, sections with an empty line between any two parts, and what was cut."""
    assert page("T", ["- o"], sections(2), 1) == [
        "# T", "", "- o", "", "## 0", "", "text", "", "| a |", "| --- |", "| x |", "",
        "... and 1 more in `elsewhere`.",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(60, 300))
def test_a_page_shows_as_many_rows_as_fit(sizes: list[int], most: int) -> None:
    """All tables get the same number of rows: the largest with which the page fits, within the bounds."""
    made = sections(*sizes)
    fits = [rows for rows in range(LEAST_ROWS, MOST_ROWS + 1) if len(page("T", [], made, rows)) <= most] or [LEAST_ROWS]
    assert fitting("T", [], made, most) == page("T", [], made, max(fits))
