"""Reading in pieces and in parallel: line numbers, hashes and accounts are those of the whole."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import sources
from collectors.sources import hash_content, ranges
from discovery.app import reading
from discovery.app.inputs import find_inputs
from discovery.app.options import IngestOptions
from discovery.app.reading import Read, read_inputs
from discovery.model.completeness import MAX_LOCATED
from discovery.model.errors import DiscoveryError
from tests.flows_factory import flow, line, lines, stamp


def _read(path: Path, folder: Path, *, workers: int | None = None, input_format: str = "hubble") -> Read:
    """Read one input."""
    options = IngestOptions(workers=workers)
    return read_inputs(find_inputs((str(path),), input_format).raw, folder, "run", options)


def _cut_into(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Cut plain files into small ranges, and define the content hash by them."""
    monkeypatch.setattr(sources, "CHUNK", chunk)
    monkeypatch.setattr(reading, "ranges", functools.partial(ranges, chunk=chunk))


def _mixed(bad: set[int], count: int) -> bytes:
    """Return lines of which some are bad, and others blank."""
    good = line(flow())
    return b"".join(
        (b"oops" if number in bad else b"" if number % 5 == 0 else good) + b"\n" for number in range(1, count + 1)
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("chunk", [64, 700, 1_000_000])
def test_rejections_have_the_numbers_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, workers: int
) -> None:
    """However a file is cut and whoever reads the pieces, a bad line has its number in the file."""
    _cut_into(monkeypatch, chunk)
    bad = {1, 2, 17, 30, 31, 59, 60}
    path = tmp_path / "input"
    path.write_bytes(_mixed(bad, 60))
    found = _read(path, tmp_path / "flows", workers=workers)
    (account,) = found.accounts
    assert [rejected.line for rejected in account.rejected] == sorted(bad)
    assert {rejected.file for rejected in account.rejected} == {"input"}
    assert (account.rows_rejected, account.rows_read) == (
        len(bad),
        60 - len(bad | {5 * number for number in range(1, 13)}),
    )
    assert sum(part.rows for part in found.parts) == account.rows_read


@given(
    st.lists(st.sampled_from((b"oops", b"", b"\r", line(flow()), b'{"agent_event":{}}', b"x" * 50)), max_size=12),
    st.integers(1, 400),
)
@settings(max_examples=30)
def test_pieces_account_for_what_the_whole_does(content: list[bytes], chunk: int) -> None:
    """Any lines, cut anywhere: the same account, the same content hash."""
    import tempfile

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        path = Path(name) / "input"
        path.write_bytes(b"\n".join(content) or b"x")
        if not path.read_bytes().strip():
            return
        whole = _read(path, Path(name) / "whole", workers=0)
        _cut_into(patch, chunk)
        pieces = _read(path, Path(name) / "pieces", workers=0)
        assert pieces.accounts == whole.accounts
        assert pieces.hashes == (hash_content(str(path)),)


@pytest.mark.parametrize("workers", [0, 2])
def test_times_that_are_rejected_late_are_located_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A bad time is only seen when a batch is built; its line number is still that of the file."""
    _cut_into(monkeypatch, 300)
    texts = [line(flow(time="never" if number in {3, 40} else stamp())) for number in range(1, 51)]
    (tmp_path / "input").write_bytes(b"\n".join(texts) + b"\n")
    (account,) = _read(tmp_path / "input", tmp_path / "flows", workers=workers).accounts
    assert [rejected.line for rejected in account.rejected] == [3, 40]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_first_rejections_are_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """Of many, the first ones by line are located, whatever is wrong with them and however they were read."""
    _cut_into(monkeypatch, 2_000)
    texts = [line(flow(time="never")) if number % 2 else b"oops" for number in range(1, 101)]
    (tmp_path / "input").write_bytes(b"\n".join(texts) + b"\n")
    (account,) = _read(tmp_path / "input", tmp_path / "flows", workers=workers).accounts
    assert account.rows_rejected == 100
    assert [rejected.line for rejected in account.rejected] == list(range(1, MAX_LOCATED + 1))


def test_overlong_lines_in_ranges_are_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line over the limit that spans several ranges is told once, with its number; what follows keeps its own."""
    monkeypatch.setattr(sources, "MAX_LINE", 5_000)
    _cut_into(monkeypatch, 1_000)
    content = line(flow()) + b"\n" + b"x" * 9_000 + b"\n" + line(flow()) + b"\noops\n"
    (tmp_path / "input").write_bytes(content)
    (account,) = _read(tmp_path / "input", tmp_path / "flows", workers=0).accounts
    assert [rejected.line for rejected in account.rejected] == [2, 4]
    assert account.rows_read == 2


def test_accounts_belong_to_their_inputs(tmp_path: Path) -> None:
    """Several inputs at once keep an account and a hash each, in the order given."""
    for name, content in {
        "a": lines([flow()]) + b"oops\n",
        "b": lines([flow(), flow()]),
        "c": b"oops\n" + lines([flow()]),
    }.items():
        (tmp_path / name).write_bytes(content)
    given_inputs = find_inputs(tuple(str(tmp_path / name) for name in "cab"), "hubble").raw
    found = read_inputs(given_inputs, tmp_path / "flows", "run", IngestOptions(workers=2))
    assert [(one.rows_read, [bad.line for bad in one.rejected]) for one in found.accounts] == [
        (1, [1]),
        (1, [2]),
        (2, []),
    ]
    assert found.hashes == tuple(hash_content(str(tmp_path / name)) for name in "cab")


def test_progress_adds_up(tmp_path: Path) -> None:
    """Progress ends at the size of all inputs."""
    seen: list[tuple[str, int, int]] = []
    path = tmp_path / "input"
    path.write_bytes(lines([flow()] * 3))
    options = IngestOptions(workers=0, progress=lambda what, done, total: seen.append((what, done, total)))
    read_inputs(find_inputs((str(path),), "auto").raw, tmp_path / "flows", "run", options)
    assert seen[-1] == ("reading", path.stat().st_size, path.stat().st_size)


def test_a_worker_that_dies_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading process that ends early is an error with a hint, not a hang."""
    monkeypatch.setattr(reading, "_SERVE", "raise SystemExit(3)")
    (tmp_path / "input").write_bytes(lines([flow()]))
    with pytest.raises(DiscoveryError, match="ended early") as caught:
        _read(tmp_path / "input", tmp_path / "flows", workers=1)
    assert caught.value.hint


def test_no_inputs_no_parts(tmp_path: Path) -> None:
    """Nothing to read leaves nothing."""
    assert read_inputs((), tmp_path, "run", IngestOptions()) == Read(parts=())
