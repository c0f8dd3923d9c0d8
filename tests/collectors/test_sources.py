"""Where bytes come from: ranges and streams cut any content into exactly its lines, in bounded memory."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from collectors import sources
from collectors.sources import (
    CHUNK,
    MAX_LINE,
    STDIN,
    TRUNCATION_ERRORS,
    ContentHasher,
    combined_hash,
    display_name,
    hash_content,
    is_compressed,
    open_stream,
    ranges,
    read_lines,
    read_range,
)
from discovery.model.errors import InputError

# Few symbols, so that newlines are everywhere; and real bytes, so that nothing else is special.
_CONTENT = st.lists(st.sampled_from((b"\n", b"a", b"\r", b"bc", b"\x00")), max_size=40).map(b"".join) | st.binary(
    max_size=80
)
_SIZE = st.integers(1, 12)


def _lines(content: bytes) -> list[bytes]:
    """Return the lines of content with their newlines; a newline at the end starts no line."""
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _zstd(content: bytes) -> bytes:
    """Return content as one zstd frame."""
    return zstandard.compress(content)


def _collect(path: Path, found: list[bytes]) -> None:
    """Add the lines of a file to a list until it ends or breaks."""
    with open_stream(str(path)) as stream:
        for batch in read_lines(stream):
            found += batch.lines


@pytest.fixture(scope="module")
def scratch() -> Path:
    """Return one file that examples overwrite."""
    return Path(tempfile.mkdtemp()) / "content"


@given(content=_CONTENT, chunk=_SIZE)
@example(content=b"\n", chunk=1)
@example(content=b"ab", chunk=1)
@example(content=b"ab\ncd", chunk=3)
@example(content=b"ab\ncd", chunk=2)
@example(content=b"\n\n\n", chunk=2)
def test_ranges_partition_the_lines(content: bytes, chunk: int, scratch: Path) -> None:
    """Any bytes cut into ranges of any size give the lines of the whole, each once, each with its number."""
    scratch.write_bytes(content)
    found: list[bytes] = []
    newlines = 0
    for part in ranges(str(scratch), len(content), chunk=chunk):
        got = read_range(part)
        for offset, text in enumerate(got.lines.lines):
            assert _lines(content)[newlines + got.before + offset] == text
        found += got.lines.lines
        newlines += got.newlines
        assert got.lines.overlong == ()
    assert found == _lines(content)
    assert newlines == content.count(b"\n")


@given(content=_CONTENT, chunk=_SIZE)
def test_a_stream_has_the_same_lines(content: bytes, chunk: int) -> None:
    """Reading in blocks of any size gives the lines of the whole."""
    hasher, plain = ContentHasher(), ContentHasher()
    found = [text for batch in read_lines(io.BytesIO(content), hasher, chunk=chunk) for text in batch.lines]
    plain.update(content)
    assert found == _lines(content)
    assert hasher.hexdigest() == plain.hexdigest()


@given(content=_CONTENT, chunk=_SIZE, limit=st.integers(1, 6))
def test_overlong_lines_are_skipped_and_placed(content: bytes, chunk: int, limit: int, scratch: Path) -> None:
    """A line over the limit is an empty entry in its place, and is told; nothing else changes; both ways agree."""
    expected = [b"" if len(text.rstrip(b"\n")) > limit else text for text in _lines(content)]
    overlong = [row for row, text in enumerate(_lines(content)) if len(text.rstrip(b"\n")) > limit]
    scratch.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "MAX_LINE", limit)
        streamed: list[bytes] = []
        told: list[int] = []
        for batch in read_lines(io.BytesIO(content), chunk=chunk):
            told += [len(streamed) + row for row in batch.overlong]
            streamed += batch.lines
        assert (streamed, told) == (expected, overlong)
        ranged: list[bytes] = []
        told = []
        for part in ranges(str(scratch), len(content), chunk=chunk):
            lines = read_range(part).lines
            told += [len(ranged) + row for row in lines.overlong]
            ranged += lines.lines
        assert (ranged, told) == (expected, overlong)


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 9))
def test_the_content_hash_is_of_the_content_alone(pieces: list[bytes], chunk: int) -> None:
    """How content is cut when it is fed does not matter; the chunks that it is defined by do not overlap."""
    content = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK", chunk)
        piecewise, whole = ContentHasher(), ContentHasher()
        for piece in pieces:
            piecewise.update(piece)
        whole.update(content)
        assert piecewise.hexdigest() == whole.hexdigest()


@given(content=_CONTENT.filter(lambda content: not content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))))
def test_plain_and_compressed_content_hash_alike(content: bytes, scratch: Path) -> None:
    """gzip, zstd, several members or frames: the hash is of what is inside."""
    half = len(content) // 2
    copies = (
        content,
        gzip.compress(content),
        _zstd(content),
        gzip.compress(content[:half]) + gzip.compress(content[half:]),
        _zstd(content[:half]) + _zstd(content[half:]),
    )
    found = set()
    for copy in copies:
        scratch.write_bytes(copy)
        found.add(hash_content(str(scratch)))
    assert len(found) == 1


@given(content=_CONTENT, other=_CONTENT)
def test_different_content_hashes_differently(content: bytes, other: bytes) -> None:
    """No two contents share a hash."""
    first, second = ContentHasher(), ContentHasher()
    first.update(content)
    second.update(other)
    assert (first.hexdigest() == second.hexdigest()) == (content == other)


def test_ranges_and_streams_hash_alike(tmp_path: Path) -> None:
    """The digests of the ranges of a file combine to the hash of its compressed copy, across a chunk's border."""
    content = (b"x" * 1023 + b"\n") * (CHUNK // 1024 + 5)
    plain = tmp_path / "plain"
    plain.write_bytes(content)
    packed = tmp_path / "packed"
    packed.write_bytes(_zstd(content))
    digests = [read_range(part).digest for part in ranges(str(plain), len(content))]
    assert len(digests) == 2
    assert combined_hash(digests) == hash_content(str(packed)) == hash_content(str(plain))


@pytest.mark.parametrize("pack", [gzip.compress, _zstd], ids=["gzip", "zstd"])
def test_compression_is_seen_by_content(tmp_path: Path, pack: object) -> None:
    """The first bytes tell compression, whatever the name; the stream then has the content."""
    assert callable(pack)
    path = tmp_path / "flows.json"
    path.write_bytes(pack(b"one\ntwo\n"))
    assert is_compressed(str(path))
    with open_stream(str(path)) as stream:
        assert b"".join(iter(lambda: stream.read(3), b"")) == b"one\ntwo\n"
    path.write_bytes(b"one\n")
    assert not is_compressed(str(path))
    assert not is_compressed(STDIN)


@pytest.mark.parametrize("pack", [gzip.compress, _zstd], ids=["gzip", "zstd"])
def test_a_cut_file_yields_what_came_before(tmp_path: Path, pack: object) -> None:
    """Whole lines before the cut come out, then the cut is raised; a hash is refused."""
    assert callable(pack)
    content = b"".join(b"%d %s\n" % (number, str(hash(number * 7919)).encode()) for number in range(60_000))
    packed = pack(content)
    path = tmp_path / "cut"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    found: list[bytes] = []
    with pytest.raises(TRUNCATION_ERRORS):
        _collect(path, found)
    assert len(found) > 10_000
    assert found[:-1] == _lines(content)[: len(found) - 1]
    with pytest.raises(TRUNCATION_ERRORS):
        hash_content(str(path))


@given(st.integers(0, 400), st.sampled_from((gzip.compress, _zstd)), st.integers(0, 255))
def test_damaged_compression_never_ends_quietly(position: int, pack: object, byte: int) -> None:
    """A changed or missing byte in a compressed file is an error or harmless, never other content taken for whole."""
    assert callable(pack)
    content = b"".join(b"line %d\n" % number for number in range(60))
    packed = bytearray(pack(content))
    position %= len(packed)
    packed[position] = byte
    path = Path(tempfile.mkdtemp()) / "damaged"
    path.write_bytes(bytes(packed))
    try:
        with open_stream(str(path)) as stream:
            found = b"".join(iter(lambda: stream.read(64), b""))
    except TRUNCATION_ERRORS:
        return
    # zstd without a checksum cannot tell a changed literal; its structure still holds. A changed magic is plain bytes.
    assert found == content or pack is _zstd or bytes(packed) == found


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    """A path that is not there is an input error with a hint."""
    with pytest.raises(InputError) as caught:
        is_compressed(str(tmp_path / "absent"))
    assert caught.value.hint


def test_a_nine_mebibyte_line_is_not_held(tmp_path: Path) -> None:
    """A line over 8 MiB is skipped, told and numbered, plain and streamed; its neighbours stay."""
    content = b"first\n" + b"x" * (MAX_LINE + (1 << 20)) + b"\nlast\n"
    path = tmp_path / "long"
    path.write_bytes(content)
    for found in (
        [read_range(part).lines for part in ranges(str(path), len(content))],
        list(read_lines(io.BytesIO(content), chunk=1 << 20)),
        list(read_lines(io.BytesIO(content))),
    ):
        texts = [text for batch in found for text in batch.lines]
        assert texts == [b"first\n", b"", b"last\n"]
        assert sum(len(batch.overlong) for batch in found) == 1


def test_names_for_people() -> None:
    """Reports name a file without its folder, and standard input as such."""
    assert display_name("/some/where/flows.json") == "flows.json"
    assert display_name(STDIN) == "standard input"
