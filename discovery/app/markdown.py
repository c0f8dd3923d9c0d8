"""Markdown that people read: hostile text made safe, tables that are cut to what fits and say where the rest is."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ROWS = 25
LEAST_ROWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of one line per row. ``more`` says where the rows are that do not fit."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with lines of text and tables below it, an empty line between any two of them."""

    title: str
    body: tuple[str | Table, ...]


def safe(text: object, limit: int = 160) -> str:
    """Return hostile text for a Markdown code span: no control or bidi characters, no backtick, no pipe, bounded."""
    kept = "".join(
        "�" if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") else char for char in str(text)
    )
    return "`" + kept[:limit].replace("`", "'").replace("|", "¦") + "`"


def cut(names: Sequence[str], limit: int, more: str) -> str:
    """Return hostile names as one line, at most ``limit`` of them and where the others are."""
    rest = f" and {len(names) - limit:,} more ({more})" if len(names) > limit else ""
    return ", ".join(safe(name) for name in names[:limit]) + rest


def page(title: str, opening: Sequence[str], sections: Sequence[Section], rows: int) -> list[str]:
    """Return the lines of a page, each table with at most ``rows`` rows; ``opening`` follows the title as it is."""
    lines = [f"# {title}", "", *opening]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for part in section.body:
            lines += ["", *(_table(part, rows) if isinstance(part, Table) else part.splitlines())]
    return lines


def fitting(title: str, opening: Sequence[str], sections: Sequence[Section], most_lines: int) -> list[str]:
    """Return a page of at most ``most_lines`` lines: every table is cut to the same number of rows, the largest that
    fits (at least ``LEAST_ROWS``).
    """
    for rows in range(MOST_ROWS, LEAST_ROWS, -1):
        lines = page(title, opening, sections, rows)
        if len(lines) <= most_lines:
            return lines
    return page(title, opening, sections, LEAST_ROWS)


def _table(table: Table, rows: int) -> list[str]:
    """Return the lines of a table."""
    lines = ["| " + " | ".join(table.head) + " |", "|" + " --- |" * len(table.head)]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows[:rows]]
    if len(table.rows) > rows:
        lines += ["", f"... and {len(table.rows) - rows:,} more in {table.more}."]
    return lines
