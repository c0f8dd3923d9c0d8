"""How records are laid out in an input: one per line, or elements of a JSON document; read in bounded memory."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, BinaryIO

import ijson
import msgspec

BATCH = 4_096
_LOOK_AT = 20
# An object whose list of records comes first, or after a few plain members or one flat object (totals, paging).
_ITEMS = re.compile(
    rb'^\s*\{\s*(?:"[a-zA-Z]{1,40}"\s*:\s*(?:\{[^{}\[\]]{0,500}\}|"[^"\\]{0,100}"|\d{1,20})\s*,\s*){0,8}'
    rb'"(items|flows)"\s*:\s*\['
)


class Framing(StrEnum):
    """Where the records are."""

    LINES = "lines"
    ARRAY = "array"
    ITEMS = "items"
    FLOWS = "flows"
    OBJECTS = "objects"


_PREFIX = {Framing.ARRAY: "item", Framing.ITEMS: "items.item", Framing.FLOWS: "flows.item", Framing.OBJECTS: ""}
_BOM = b"\xef\xbb\xbf"
_END = object()
_TWICE = object()
# The parser names every level by its whole path, so its memory grows with the square of the depth.
_MAX_DEPTH = 2_000


def framing_of(head: bytes) -> Framing:
    """Return the framing from the first bytes.

    A bracket opens an array; an object with an ``items`` or ``flows`` list is a document; an object that goes on
    after its first line is a stream of pretty-printed objects; everything else is one record per line, also when
    its first line is a torn one (rotation cuts records in half).
    """
    text = head.removeprefix(_BOM).lstrip()
    if text.startswith(b"["):
        return Framing.ARRAY
    if not text.startswith(b"{"):
        return Framing.LINES
    if document := _ITEMS.search(text[:4096]):
        return Framing.FLOWS if document[1] == b"flows" else Framing.ITEMS
    first, _, rest = text.partition(b"\n")
    goes_on = not first.rstrip().endswith(b"}") and bool(rest.strip()) and not rest.lstrip().startswith(b"{")
    return Framing.OBJECTS if first.strip() == b"{" or goes_on else Framing.LINES


def first_records(head: bytes, framing: Framing) -> list[bytes]:
    """Return the first records of an input as JSON lines: a few of them, because the first one may be torn."""
    if framing is Framing.LINES:
        lines = head.removeprefix(_BOM).split(b"\n", _LOOK_AT)[:_LOOK_AT]
        return [line for line in lines if line.strip()]
    try:
        stream = _Hashed(io.BytesIO(head), hashlib.blake2b())
        for element in ijson.items(stream, _PREFIX[framing], multiple_values=True, use_float=True):
            return [msgspec.json.encode(element)]
    except (ijson.JSONError, ValueError, OverflowError, RecursionError):
        pass  # a head cut in the middle of the first record: there is nothing to show
    return []


class _Once(dict[str, Any]):
    """An object that cannot be encoded when a key occurs twice: nobody knows which of the two values was meant."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a key once. It must not raise: the parser in C does not survive it."""
        super().__setitem__(key, _TWICE if key in self else value)


class _Hashed:
    """A stream that shows every byte to a hasher, and ends in ``ValueError`` where no honest document is."""

    def __init__(self, stream: BinaryIO, hasher: Any) -> None:
        """Wrap a stream."""
        self._stream = stream
        self._hasher = hasher
        self._started = False
        self._depth = 0

    def read(self, size: int = -1) -> bytes:
        """Read and hash; ijson first asks for no bytes, to see that it gets bytes."""
        if not size:
            return b""
        block = self._stream.read(size)
        self._hasher.update(block)
        self._depth += block.count(b"[") + block.count(b"{") - block.count(b"]") - block.count(b"}")
        if self._depth > _MAX_DEPTH:
            raise ValueError("the document is nested too deeply")
        if not self._started:
            self._started = True
            return block.removeprefix(_BOM) or self.read(size)
        return block


def _encode(element: Any) -> bytes:
    """Return an element as a JSON line, or a line that no reader takes when a key occurs twice in it."""
    try:
        return msgspec.json.encode(element)
    except TypeError:
        return b"a key occurs twice in this element"


def elements(stream: BinaryIO, framing: Framing, hasher: Any) -> Iterator[list[bytes]]:
    """Yield the elements of a JSON document as JSON lines, in batches.

    Raises ``ijson.JSONError`` or ``ValueError`` where the document is broken, and whatever the stream raises where
    it is cut short, after yielding what came before.
    """
    batch: list[bytes] = []
    found = ijson.items(
        _Hashed(stream, hasher),
        _PREFIX[framing],
        multiple_values=True,
        use_float=True,
        buf_size=1 << 18,
        map_type=_Once,
    )
    while True:
        try:
            element = next(found, _END)  # a null is an element too
            if element is not _END:
                batch.append(_encode(element))
        except RecursionError as error:
            if batch:
                yield batch
            raise ValueError("the document is nested too deeply") from error
        except Exception:
            if batch:
                yield batch
            raise
        if element is _END:
            break
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
