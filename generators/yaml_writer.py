"""The YAML writer: deterministic block style, quoting that no reader can get wrong, comments that cannot escape.

The output is plain ASCII. Strings that some YAML 1.1 or 1.2 reader could take for something else are double
quoted; everything outside printable ASCII is escaped. Mappings keep their insertion order. No anchors, tags,
folding or flow style (but ``{}`` and ``[]`` for empty collections).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Node: TypeAlias = "str | int | bool | Sequence[Node] | Mapping[str, Node] | Commented"

INDENT = "  "

# YAML readers look for the ":" of a simple key within 1,024 characters of its start.
MAX_KEY = 1_000

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_PLAIN_CIDR = re.compile(r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}")
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_LAST_PRINTABLE = 0x7E
_LAST_LATIN_1 = 0xFF
_LAST_BMP = 0xFFFF


@dataclass(frozen=True, slots=True)
class Commented:
    """A node with comment lines above it: a list item, the value of a key (above the key), or the document.

    The comments are raw text; :func:`dump` makes them safe.
    """

    value: Node
    comments: tuple[str, ...]


def clean(text: str, limit: int | None = None) -> str:
    """Return ``text`` as printable ASCII on one line, for comments and messages.

    Line breaks, control and bidirectional characters, and everything else outside printable ASCII become
    backslash escapes, so that nothing from a flow can end a comment or hide in it. Clean text stays as it is. A
    text longer than ``limit`` characters is cut and ends with ``...``.
    """
    escaped = text
    if not _is_clean(text):
        escaped = "".join(
            character if _is_clean(character) else character.encode("unicode_escape").decode("ascii")
            for character in text
        )
    if limit is not None and len(escaped) > limit:
        return escaped[: limit - 3] + "..."
    return escaped


def _is_clean(text: str) -> bool:
    """Say whether every character of a text is printable ASCII."""
    return text.isascii() and text.isprintable()


def plain(node: Node) -> Any:
    """Return the node as plain dicts, lists and scalars, without comments and sharing nothing with it."""
    if isinstance(node, Commented):
        return plain(node.value)
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, str | int):
        return node
    return [plain(item) for item in node]


def dump(node: Node) -> str:
    """Return the YAML text of a node, ending with a line break.

    Raises ``TypeError`` for values that are not str, int, bool, sequence or mapping, and
    ``ValueError`` for keys of more than ``MAX_KEY`` characters as written.
    """
    lines: list[str] = []
    value = _unwrap(node, "", lines)
    inline = _inline(value)
    if inline is None:
        _block(value, "", lines)
    else:
        lines.append(inline)
    return "\n".join(lines) + "\n"


def _unwrap(node: Node, indent: str, lines: list[str]) -> Node:
    """Add the comments of a node at this indent, made safe, and return the node under them."""
    while isinstance(node, Commented):
        lines += [f"{indent}# {clean(comment)}".rstrip() for comment in node.comments]
        node = node.value
    return node


def _inline(node: Node) -> str | None:
    """Return the text of a scalar or an empty collection, None for everything else."""
    if isinstance(node, str):
        return _string(node)
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, int):
        return str(node)
    if node:
        return None
    if isinstance(node, Mapping):
        return "{}"
    return "[]" if isinstance(node, Sequence) else None


def _block(node: Node, indent: str, lines: list[str]) -> None:
    """Add the lines of a non-empty collection at this indent."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            _entry(key, value, indent, lines)
    elif isinstance(node, Sequence):
        for item in node:
            _item(item, indent, lines)
    else:
        raise TypeError(f"cannot write a {type(node).__name__} as YAML")


def _entry(key: str, node: Node, indent: str, lines: list[str]) -> None:
    """Add the lines of one ``key: value``."""
    name = _string(key)
    if len(name) > MAX_KEY:
        raise ValueError(f"a key of {len(name)} characters is too long for YAML")
    value = _unwrap(node, indent, lines)
    inline = _inline(value)
    if inline is not None:
        lines.append(f"{indent}{name}: {inline}")
    else:
        lines.append(f"{indent}{name}:")
        _block(value, indent + INDENT, lines)


def _item(node: Node, indent: str, lines: list[str]) -> None:
    """Add the lines of one ``- item``."""
    value = _unwrap(node, indent, lines)
    inline = _inline(value)
    if inline is not None:
        lines.append(f"{indent}- {inline}")
        return
    first = len(lines)
    _block(value, indent + INDENT, lines)
    # A comment on the first key of the item goes above the dash.
    while lines[first].lstrip().startswith("#"):
        lines[first] = indent + lines[first].lstrip()
        first += 1
    lines[first] = f"{indent}- {lines[first].removeprefix(indent + INDENT)}"


def _string(text: str) -> str:
    """Return a string as a plain scalar if no reader could misread it, else double quoted."""
    if _PLAIN.fullmatch(text):
        if text.lower() not in _RESERVED:
            return text
    elif _PLAIN_CIDR.fullmatch(text):
        return text
    if _is_clean(text) and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    """Return one character as it stands between double quotes."""
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if ord(" ") <= code <= _LAST_PRINTABLE:
        return character
    if code <= _LAST_LATIN_1:
        return f"\\x{code:02x}"
    if code <= _LAST_BMP:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"
