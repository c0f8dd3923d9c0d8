"""Named SQL statements kept in files beside the code: ``-- name: word`` starts each one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_statements(file: str) -> dict[str, str]:
    """Return the statements of a file of this package, in order."""
    text = (resources.files("discovery.flows") / file).read_text("utf-8")
    pieces = _NAME.split(text)
    return dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))


def fill(text: str, fields: Mapping[str, str]) -> str:
    """Replace each ``{name}`` by its value; plain replacement, because the values may hold braces."""
    for name, value in fields.items():
        text = text.replace("{" + name + "}", value)
    return text
