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
    comments, value = _unwrap(node)
    lines = [f"# {comment}".rstrip() for comment in comments]
    inline = _inline(value)
    lines += _block(value, "") if inline is None else [inline]
    return "\n".join(lines) + "\n"


def _unwrap(node: Node) -> tuple[list[str], Node]:
    """Return the safe comments of a node and the node under them."""
    comments: list[str] = []
    while isinstance(node, Commented):
        comments += [clean(comment) for comment in node.comments]
        node = node.value
    return comments, node


def _inline(node: Node) -> str | None:
    """Return the text of a scalar or an empty collection, None for everything else."""
    if isinstance(node, str):
        return _string(node)
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, int):
        return str(node)
    if isinstance(node, Mapping) and not node:
        return "{}"
    if isinstance(node, Sequence) and not node:
        return "[]"
    return None


def _block(node: Node, indent: str) -> list[str]:
    """Return the lines of a non-empty collection at this indent."""
    if isinstance(node, Mapping):
        return [line for key, value in node.items() for line in _entry(key, value, indent)]
    if isinstance(node, Sequence):
        return [line for item in node for line in _item(item, indent)]
    raise TypeError(f"cannot write a {type(node).__name__} as YAML")


def _entry(key: str, node: Node, indent: str) -> list[str]:
    """Return the lines of one ``key: value``."""
    name = _string(key)
    if len(name) > MAX_KEY:
        raise ValueError(f"a key of {len(name)} characters is too long for YAML")
    comments, value = _unwrap(node)
    lines = [f"{indent}# {comment}".rstrip() for comment in comments]
    inline = _inline(value)
    if inline is not None:
        return [*lines, f"{indent}{name}: {inline}"]
    return [*lines, f"{indent}{name}:", *_block(value, indent + INDENT)]


def _item(node: Node, indent: str) -> list[str]:
    """Return the lines of one ``- item``."""
    comments, value = _unwrap(node)
    lines = [f"{indent}# {comment}".rstrip() for comment in comments]
    inline = _inline(value)
    if inline is not None:
        return [*lines, f"{indent}- {inline}"]
    block = _block(value, indent + INDENT)
    # A comment on the first key of the item goes above the dash.
    first = next(index for index, line in enumerate(block) if not line.lstrip().startswith("#"))
    lines += [indent + line.lstrip() for line in block[:first]]
    return [*lines, f"{indent}- {block[first].removeprefix(indent + INDENT)}", *block[first + 1 :]]


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
