"""Where bytes come from: files, compressed files, standard input; cut into lines in bounded memory.

A plain file is cut into ranges that can be read in parallel; a compressed one and standard input are streams.
A line longer than ``MAX_LINE`` is never held: it is skipped, counted and located.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
import zstandard
from blake3 import blake3

from discovery.model.errors import InputError

Places = np.ndarray[Any, np.dtype[np.int64]]

CHUNK = 4 << 20
MAX_LINE = 8 << 20
SPARE = 8 << 10
STDIN = "-"
PEEK = 1 << 16

_BEYOND = 32 << 10

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
TRUNCATION_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


class Cut(Sequence[bytes]):
    """Lines that are cut out of one text only when they are asked for.

    ``starts`` and ``ends`` say where each lies in ``text``, and at least ``SPARE`` bytes follow the last: a reader may
    look past the end of any line without asking.
    """

    def __init__(self, text: bytes, starts: Places, ends: Places) -> None:
        """Cut a text, which is copied if too little follows the last line."""
        short = len(ends) > 0 and int(ends[-1]) + SPARE > len(text)
        self.text = text + bytes(SPARE) if short else text
        self.starts, self.ends = starts, ends

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Cut:
        """Return lines as they are, or joined to one text."""
        if isinstance(lines, cls):
            return lines
        ends = np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)))
        return cls(b"".join([*lines, bytes(SPARE)]), np.concatenate((np.zeros(1, np.int64), ends))[:-1], ends)

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self.ends)

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> Cut: ...

    def __getitem__(self, at: int | slice) -> bytes | Cut:
        """Return a line, or some lines of the same text."""
        if isinstance(at, slice):
            return Cut(self.text, self.starts[at], self.ends[at])
        return self.text[int(self.starts[at]) : int(self.ends[at])]

    def __iter__(self) -> Iterator[bytes]:
        """Cut one line after the other."""
        return (self.text[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Complete lines, each with its newline unless it is the last of its input. ``overlong`` counts lines that were
    skipped for their length, each of which is an empty entry in ``lines`` so that numbering holds.

    Newlines stay because cutting them off copies everything once more, and splitting looks at every byte (ADR 0003).
    """

    lines: Sequence[bytes]
    overlong: tuple[int, ...] = ()


def is_compressed(path: str) -> bool:
    """Say whether a file is gzip or zstd by its first bytes, whatever its name."""
    if path == STDIN:
        return False
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="check the path and its permissions") from error
    return head.startswith(_GZIP) or head == _ZSTD


def open_stream(path: str) -> BinaryIO:
    """Open a file or standard input for reading uncompressed bytes; many gzip members or zstd frames are one stream."""
    raw: BinaryIO = sys.stdin.buffer if path == STDIN else Path(path).open("rb")  # noqa: SIM115 - the caller closes it
    buffered = io.BufferedReader(raw, buffer_size=1 << 20)  # type: ignore[type-var]
    head = buffered.peek(4)[:4]
    if head.startswith(_GZIP):
        return GzipStream(fileobj=buffered, mode="rb")  # type: ignore[return-value]
    if head == _ZSTD:
        return ZstdStream(buffered)  # type: ignore[return-value]
    return buffered


def peek_stdin() -> bytes:
    """Return the first uncompressed bytes of standard input, as many as are there, and leave them to be read."""
    source = sys.stdin.buffer
    if hasattr(source, "peek"):
        head: bytes = source.peek(PEEK)
    else:  # an in-memory stream
        head = source.read(PEEK)
        source.seek(-len(head), io.SEEK_CUR)
    try:
        if head.startswith(_GZIP):
            return zlib.decompressobj(wbits=31).decompress(head)
        if head.startswith(_ZSTD):
            return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj().decompress(head)
    except TRUNCATION_ERRORS:
        return b""
    return head


class GzipStream(gzip.GzipFile):
    """Hands over what it has: where the file is cut short, ``GzipFile.read`` throws away all it gathered before."""

    def read(self, size: int | None = -1) -> bytes:
        """Return the next decompressed bytes, at most ``size`` and at most one MiB; b"" at the end."""
        return self.read1(min(size, 1 << 20) if size is not None and size >= 0 else 1 << 20)

    def close(self) -> None:
        """Close the source too; ``GzipFile`` leaves it open."""
        source = self.fileobj
        super().close()
        if isinstance(source, io.BufferedReader):
            source.close()


class ZstdStream(io.RawIOBase):
    """Decompresses zstd frames one after the other and reports a frame that ends early (``EOFError``), which the
    library's own stream reader takes for the end.
    """

    def __init__(self, source: BinaryIO) -> None:
        """Decompress ``source``."""
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""

    def readable(self) -> bool:
        """Say that the stream can be read."""
        return True

    def close(self) -> None:
        """Close the source too."""
        self._source.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Return the next decompressed bytes, in blocks of the stream's own size; b"" at the end."""
        del size  # blocks are bounded by the compressed block below
        while True:
            block = self._rest or self._source.read(1 << 14)
            self._rest = b""
            if not block:
                if self._frame is not None:
                    raise EOFError("the compressed stream ends before its end")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
            out = self._frame.decompress(block)
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
            if out:
                return out


class ContentHasher:
    """The content hash of an input, fed in pieces of any size.

    It is the BLAKE3 of the BLAKE3 digests of its 4 MiB chunks, so that ranges can be hashed in parallel.
    """

    def __init__(self) -> None:
        """Start with no content."""
        self._digests: list[str] = []
        self._current = blake3()
        self._held = 0

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        view = memoryview(data)
        while view:
            piece = view[: CHUNK - self._held]
            self._current.update(piece)
            self._held += len(piece)
            view = view[len(piece) :]
            if self._held == CHUNK:
                self._close_chunk()

    def _close_chunk(self) -> None:
        """Finish the current chunk."""
        self._digests.append(self._current.hexdigest())
        self._current, self._held = blake3(), 0

    def hexdigest(self) -> str:
        """Return the hash of all content so far."""
        if self._held:
            self._close_chunk()
        return combined_hash(self._digests)


def read_lines(stream: BinaryIO, hasher: ContentHasher | None = None, chunk: int = CHUNK) -> Iterator[Lines]:
    """Yield the lines of a stream in chunks, feeding ``hasher`` with every byte.

    Raises one of ``TRUNCATION_ERRORS`` when a compressed stream is cut short, after yielding what came before.
    """
    pending: list[bytes] = []
    held = 0
    skipping = False
    while True:
        try:
            block = stream.read(chunk)
        except TRUNCATION_ERRORS:
            if held:
                yield Lines(lines=[b"".join(pending)])
            raise
        if not block:
            break
        if hasher is not None:
            hasher.update(block)
        lines = io.BytesIO(block).readlines()
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if not lines:
            held += len(block)
            skipping = skipping or held > MAX_LINE
            pending = [] if skipping else [*pending, block]
            continue
        overlong: tuple[int, ...] = ()
        if skipping:
            lines[0], overlong = b"", (0,)
        elif pending:
            lines[0] = b"".join([*pending, lines[0]])
        yield _bounded(lines, overlong)
        pending, held, skipping = ([rest] if rest else []), len(rest), len(rest) > MAX_LINE
    if skipping:
        yield Lines(lines=[b""], overlong=(0,))
    elif held:
        yield _bounded([b"".join(pending)], ())


def _bounded(lines: list[bytes], overlong: tuple[int, ...]) -> Lines:
    """Replace lines over the limit by empty ones and say which they were."""
    if max(map(len, lines)) <= MAX_LINE:
        return Lines(lines=lines, overlong=overlong)
    long = {row for row, line in enumerate(lines) if len(line.removesuffix(b"\n")) > MAX_LINE} | set(overlong)
    return Lines(lines=[b"" if row in long else line for row, line in enumerate(lines)], overlong=tuple(sorted(long)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A stretch of a plain file. A line belongs to the range in which it starts."""

    path: str
    begin: int
    end: int


def ranges(path: str, size: int, chunk: int = CHUNK) -> list[Range]:
    """Return the ranges that cover a plain file."""
    return [Range(path=path, begin=begin, end=min(begin + chunk, size)) for begin in range(0, size, chunk)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeLines:
    """The lines that start in a range. ``newlines`` counts those in the range's bytes, ``before`` those of them
    that come before the first line: together they number the lines of every range. ``digest`` is of the bytes.
    """

    lines: Lines
    newlines: int
    before: int
    digest: str


def read_range(part: Range) -> RangeLines:
    """Return the lines that start in a range; the last one is read to its end, past the range."""
    with Path(part.path).open("rb", buffering=0) as stream:
        stream.seek(max(part.begin - 1, 0))
        before = stream.read(1) if part.begin else b"\n"
        size = part.end - part.begin
        data = _read_exactly(stream, size + _BEYOND)  # the last line mostly ends there
        digest = blake3(memoryview(data)[:size]).hexdigest()
        size = min(size, len(data))
        ends = _line_ends(data, size)
        newlines = len(ends)
        skipped = before != b"\n"
        if (ends[-1] if ends else 0) < size and not (skipped and not ends):
            data, end = _to_newline(stream, data, size)
            ends.append(end)
    places = np.array([0, *ends], np.int64)
    starts, found = places[:-1], places[1:].copy()
    if skipped:  # the first piece belongs to the range before
        starts, found = starts[1:], found[1:]
    overlong = np.flatnonzero(found - starts > MAX_LINE)
    overlong = overlong[[len(data[starts[row] : found[row]].removesuffix(b"\n")) > MAX_LINE for row in overlong]]
    found[overlong] = starts[overlong]
    lines = Lines(lines=Cut(data, starts, found), overlong=tuple(overlong.tolist()))
    return RangeLines(lines=lines, newlines=newlines, before=int(skipped), digest=digest)


def _line_ends(data: bytes, size: int) -> list[int]:
    """Return where the lines end, newline included, that end in the first ``size`` bytes."""
    ends = []
    end, find = 0, data.find
    while end := find(b"\n", end, size) + 1:
        ends.append(end)
    return ends


def _read_exactly(stream: io.FileIO, count: int) -> bytes:
    """Read ``count`` bytes, or what there is."""
    blocks = []
    while count and (block := stream.read(count)):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


def _to_newline(stream: io.FileIO, data: bytes, begin: int) -> tuple[bytes, int]:
    """Return what was read of a stream, and more if need be, and where the line ends in it that goes on at ``begin``.

    Reading ends where the line is too long to be kept.
    """
    end = data.find(b"\n", begin) + 1
    if end:
        return data, end
    blocks = [data]
    held = len(data) - begin
    while held <= MAX_LINE and (block := stream.read(1 << 16)):
        blocks.append(block)
        held += len(block)
        if b"\n" in block:
            break
    data = b"".join(blocks)
    return data, data.find(b"\n", begin) + 1 or len(data)


def combined_hash(digests: list[str]) -> str:
    """Return the content hash of an input from the digests of its chunks, in order."""
    return blake3("".join(digests).encode()).hexdigest()


def hash_content(path: str) -> str:
    """Return the content hash of an input without parsing it; equal for a file and its compressed copy."""
    hasher = ContentHasher()
    with open_stream(path) as stream:
        while block := stream.read(CHUNK):
            hasher.update(block)
    return hasher.hexdigest()


def display_name(path: str) -> str:
    """Return the name under which an input is reported."""
    return "standard input" if path == STDIN else Path(path).name
