"""How much memory reading takes: inputs that are made as they are read."""

from __future__ import annotations

import hashlib
import io
import itertools
import tracemalloc
from typing import BinaryIO, cast

from collectors.framing import Framing, elements


class _Array(io.RawIOBase):
    """A JSON array of one element again and again, made as it is read."""

    def __init__(self, element: bytes, count: int) -> None:
        """Repeat ``element``."""
        self._pieces = itertools.chain([b"["], itertools.repeat(element + b",", count - 1), [element + b"]"])
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        while len(self._rest) < size and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        block, self._rest = self._rest[:size], self._rest[size:]
        return block


def peak_of_reading_an_array(element: bytes, count: int) -> int:
    """Return the most memory that Python held at once while an array was cut into records."""
    tracemalloc.start()
    try:
        batches = elements(cast(BinaryIO, _Array(element, count)), Framing.ARRAY, hashlib.blake2b())
        assert sum(len(batch) for batch in batches) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
