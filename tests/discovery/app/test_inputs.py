"""What a person names becomes inputs: files, folders, globs, lakes, standard input."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from collectors.framing import Framing
from discovery.app.inputs import find_inputs
from discovery.flows.lake import Lake
from discovery.model.errors import InputError, UnknownFormatError
from tests.flows_factory import flow, lines

_CONTENT = lines([flow()])


def _paths(*arguments: object, wanted: str = "auto") -> list[str]:
    """Return the names of the raw inputs that arguments give."""
    return [Path(one.path).name for one in find_inputs(tuple(str(argument) for argument in arguments), wanted).raw]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with flow logs, also below, and with what is not one."""
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    for name in ("b.json", "a.log", "deep/c", ".hidden", "_started"):
        (tmp_path / "logs" / name).write_bytes(_CONTENT)
    return tmp_path / "logs"


def test_a_folder_gives_its_files_sorted(folder: Path) -> None:
    """All files below a folder, hidden ones left out, in a fixed order."""
    assert _paths(folder) == ["a.log", "b.json", "c"]


def test_globs_and_repetitions(folder: Path) -> None:
    """A glob gives what it matches, folders opened; each file counts once, in the order first named."""
    assert _paths(folder / "*.json", folder / "a.log", folder) == ["b.json", "a.log", "c"]
    assert _paths(folder.parent / "l*") == ["a.log", "b.json", "c"]
    assert _paths(folder / "**" / "c") == ["c"]


def test_a_name_with_glob_characters_is_a_name_first(tmp_path: Path) -> None:
    """A file that exists is that file, whatever characters its name has."""
    (tmp_path / "a[1].json").write_bytes(_CONTENT)
    (tmp_path / "a1.json").write_bytes(_CONTENT)
    assert _paths(tmp_path / "a[1].json") == ["a[1].json"]


def test_lakes_are_told_apart(folder: Path, tmp_path: Path) -> None:
    """A lake is a lake, not a folder of files."""
    Lake(tmp_path / "lake", create=True)
    found = find_inputs((str(tmp_path / "lake"), str(folder / "b.json")), "auto")
    assert found.lakes == (str(tmp_path / "lake"),)
    assert [one.label for one in found.raw] == ["b.json"]


def test_what_is_known_of_an_input(tmp_path: Path) -> None:
    """Format, framing, size and compression come from the content, not from the name."""
    (tmp_path / "plain.gz").write_bytes(_CONTENT)
    (tmp_path / "packed.txt").write_bytes(gzip.compress(_CONTENT))
    plain, packed = find_inputs((str(tmp_path / "plain.gz"), str(tmp_path / "packed.txt")), "auto").raw
    assert (plain.format, plain.framing, plain.compressed, plain.size) == (
        "hubble",
        Framing.LINES,
        False,
        len(_CONTENT),
    )
    assert (packed.format, packed.framing, packed.compressed) == ("hubble", Framing.LINES, True)


@pytest.mark.parametrize("content", [b"", b"  \n\n", gzip.compress(b"\n", mtime=0), zstandard.compress(b"")])
def test_empty_inputs_are_told(tmp_path: Path, content: bytes) -> None:
    """An empty input is in the account as cut short, and is not read."""
    (tmp_path / "x").write_bytes(content)
    found = find_inputs((str(tmp_path / "x"),), "auto")
    assert found.raw == ()
    assert found.empty.truncated == ("x: the input is empty",)


@pytest.mark.parametrize("name", ["absent", "absent/*.json", "empty"])
def test_naming_nothing_is_one_error(tmp_path: Path, name: str) -> None:
    """A path, a glob or a folder without files is an error with a hint."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        _paths(tmp_path / name)
    assert caught.value.hint


def test_no_argument_is_one_error() -> None:
    """No input at all says what to name."""
    with pytest.raises(InputError) as caught:
        find_inputs((), "auto")
    assert caught.value.hint


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_standard_input_is_told_by_its_content(monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    """Standard input is recognised like a file, compressed or not, and nothing of it is used up by looking."""
    stdin = io.TextIOWrapper(io.BytesIO(pack(_CONTENT)))
    monkeypatch.setattr("sys.stdin", stdin)
    (found,) = find_inputs(("-",), "auto").raw
    assert (found.label, found.format, found.framing, found.size) == ("standard input", "hubble", Framing.LINES, 0)
    assert stdin.buffer.read() == pack(_CONTENT)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x1f\x8b\xff", b"\x28\xb5\x2f\xfd\xff"])
def test_standard_input_that_nobody_knows_is_one_error(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Empty, unknown or damaged standard input is the format error, naming it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(UnknownFormatError, match="standard input"):
        find_inputs(("-",), "auto")


def test_formats_are_checked(tmp_path: Path) -> None:
    """An unknown format, or content that nobody knows, is the format error."""
    (tmp_path / "x").write_bytes(b"hello\n")
    with pytest.raises(UnknownFormatError):
        _paths(tmp_path / "x")
    with pytest.raises(UnknownFormatError):
        _paths(tmp_path / "x", wanted="pcap")
    assert _paths(tmp_path / "x", wanted="hubble") == ["x"]


_BROKEN = {
    "gzip-magic": b"\x1f\x8b",
    "gzip-garbage": b"\x1f\x8b\x08\x00" + b"\xff" * 40,
    "gzip-method": b"\x1f\x8b\x07" + b"\x00" * 40,
    "gzip-cut": gzip.compress(_CONTENT)[:12],
    "zstd-magic": b"\x28\xb5\x2f\xfd",
    "zstd-garbage": b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
    "zstd-cut": zstandard.compress(_CONTENT)[:-3],
}


@pytest.mark.parametrize("name", sorted(_BROKEN))
def test_a_compressed_file_without_anything_readable_is_one_error(tmp_path: Path, name: str) -> None:
    """Damage at the very beginning is the input error, with a hint; never a library's own."""
    (tmp_path / "x").write_bytes(_BROKEN[name])
    with pytest.raises(InputError) as caught:
        _paths(tmp_path / "x")
    assert caught.value.hint
    assert "x" in str(caught.value)


def test_a_file_that_may_not_be_read_is_one_error(tmp_path: Path) -> None:
    """A directory entry that cannot be opened is an input error."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError):
        _paths(tmp_path / "loop")
