"""How records are laid out in an input: one per line, or elements of a JSON document; read in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, BinaryIO

import ijson
import msgspec

BATCH = 4_096
_ITEMS = re.compile(rb'^\s*\{[^{\[]{0,200}"(items|flows)"\s*:\s*\[|^\s*\{\s*"(total|meta)"')


class Framing(StrEnum):
    """Where the records are."""

    LINES = "lines"
    ARRAY = "array"
    ITEMS = "items"
    OBJECTS = "objects"


_PREFIX = {Framing.ARRAY: "item", Framing.ITEMS: "items.item", Framing.OBJECTS: ""}


def framing_of(head: bytes) -> Framing:
    """Return the framing from the first bytes.

    A bracket opens an array; an object with an ``items`` list is a document; an object that is not closed on its
    first line is a stream of pretty-printed objects; everything else is one record per line.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return Framing.ARRAY
    if not text.startswith(b"{"):
        return Framing.LINES
    if _ITEMS.search(text[:4096]):
        return Framing.ITEMS
    first = text.partition(b"\n")[0].strip()
    return Framing.OBJECTS if first == b"{" or (b"\n" in text and not first.endswith(b"}")) else Framing.LINES


def first_record(head: bytes, framing: Framing) -> bytes:
    """Return the first record of an input as one JSON line, or what there is of it."""
    if framing is Framing.LINES:
        lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
        return next((line for line in lines if line.strip()), b"")
    try:
        for element in ijson.items(_Bytes(head), _PREFIX[framing], multiple_values=True, use_float=True):
            return msgspec.json.encode(element)
    except (ijson.JSONError, ValueError, UnicodeDecodeError):
        pass  # a head cut in the middle of the first record: there is nothing to show
    return b""


class _Bytes:
    """The least that ijson asks of a file."""

    def __init__(self, data: bytes) -> None:
        """Hold the bytes."""
        self._data = data

    def read(self, size: int = -1) -> bytes:
        """Return everything once."""
        del size
        data, self._data = self._data, b""
        return data


class _Hashed:
    """A stream that shows every byte to a hasher."""

    def __init__(self, stream: BinaryIO, hasher: Any) -> None:
        """Wrap a stream."""
        self._stream = stream
        self._hasher = hasher

    def read(self, size: int = -1) -> bytes:
        """Read and hash."""
        block = self._stream.read(size if size > 0 else 1 << 16)
        self._hasher.update(block)
        return block


def elements(stream: BinaryIO, framing: Framing, hasher: Any) -> Iterator[list[bytes]]:
    """Yield the elements of a JSON document as JSON lines, in batches.

    Raises ``ijson.JSONError`` where the document is broken or ends early, after yielding what came before.
    """
    batch: list[bytes] = []
    found = ijson.items(_Hashed(stream, hasher), _PREFIX[framing], multiple_values=True, use_float=True, buf_size=1 << 18)
    while True:
        try:
            element = next(found, None)
        except (ijson.JSONError, ValueError):
            if batch:
                yield batch
            raise
        if element is None:
            break
        batch.append(msgspec.json.encode(element))
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
