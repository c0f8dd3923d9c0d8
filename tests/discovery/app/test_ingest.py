"""Ingest as a whole: real captures, duplicates, crashes at any moment, two at once."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions
from discovery.flows.lake import Lake
from discovery.model.errors import DiscoveryError, InputError, LakeError
from tests.conftest import REPO
from tests.flows_factory import event, flow, lake_accounts, lake_edges, lake_rows, line, lines, read, reply, stamp, tcp

_INGEST = "import sys; from discovery.app.ingest import ingest; ingest(sys.argv[1:-1], sys.argv[-1])"


def _flows(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return distinct connections."""
    return [
        flow(uuid=f"u{number}", l4=tcp(30_000 + number % 30_000, 8_080, "SYN"), time=stamp(number % 3_000), **fields)
        for number in range(count)
    ]


def _write(path: Path, content: bytes) -> Path:
    """Write one input."""
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------------------------ what goes in


@pytest.mark.parametrize("capture", ["hubble-otel-2021", "starwars-kind-2024"])
def test_real_captures_ingest_without_a_rejection(shared: Path, tmp_path: Path, capture: str) -> None:
    """Every record of the real captures is read: nothing rejected, lost or cut."""
    folder = shared / "data" / "flows" / capture
    files = sorted(folder.glob("*.json"))
    if not files:
        pytest.skip(f"../shared/data/flows/{capture} is absent")
    done = ingest(files, tmp_path / "lake")
    account = done.completeness
    records = sum(1 for file in files for text in file.read_bytes().split(b"\n") if text.strip())
    assert account.complete
    assert account.rows_read + account.rows_skipped + account.rows_duplicate == records
    assert len(lake_rows(tmp_path / "lake")) == account.rows_read
    assert done.formats == ("hubble",)


_LAYOUTS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "lines": lines,
    "crlf": lambda records: lines(records).replace(b"\n", b"\r\n"),
    "no-last-newline": lambda records: lines(records).rstrip(b"\n"),
    "bom": lambda records: b"\xef\xbb\xbf" + lines(records),
    "blank-lines": lambda records: b"\n\n" + lines(records).replace(b"\n", b"\n\n"),
    "bare": lambda records: b"".join(json.dumps(one).encode() + b"\n" for one in records),
    "array": lambda records: json.dumps([event(one) for one in records]).encode(),
    "pretty-array": lambda records: json.dumps([event(one) for one in records], indent=2).encode(),
    "bom-array": lambda records: b"\xef\xbb\xbf" + json.dumps(records).encode(),
    "items": lambda records: json.dumps({"items": [event(one) for one in records]}).encode(),
    "pretty": lambda records: b"\n".join(json.dumps(event(one), indent=4).encode() for one in records),
    "gzip": lambda records: gzip.compress(lines(records)),
    "two-members": lambda records: gzip.compress(lines(records[:3])) + gzip.compress(lines(records[3:])),
    "zstd": lambda records: zstandard.compress(lines(records)),
    "gzip-array": lambda records: gzip.compress(json.dumps(records).encode()),
}


@pytest.mark.parametrize("layout", sorted(_LAYOUTS))
def test_every_layout_ingests_alike(tmp_path: Path, layout: str) -> None:
    """Lines, arrays, documents, pretty-printed, compressed: the same rows, nothing rejected."""
    records = _flows(7)
    done = ingest(_write(tmp_path / "input", _LAYOUTS[layout](records)), tmp_path / "lake")
    ingest(_write(tmp_path / "plain", lines(records)), tmp_path / "expected")
    assert done.completeness.complete
    assert lake_rows(tmp_path / "lake") == lake_rows(tmp_path / "expected")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \n\r\n ", gzip.compress(b"")], ids=["nothing", "newline", "blank", "packed"]
)
def test_an_empty_input_is_incomplete(tmp_path: Path, content: bytes) -> None:
    """An input without content is told, never taken for a quiet cluster (field: partial-input)."""
    done = ingest(_write(tmp_path / "empty", content), tmp_path / "lake")
    assert not done.completeness.complete
    assert done.completeness.truncated == ("empty: the input is empty",)
    assert [account["truncated"] for account in lake_accounts(tmp_path / "lake")] == [["empty: the input is empty"]]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_cut_file_keeps_what_came_before_and_says_so(tmp_path: Path, pack: Any) -> None:
    """A truncated download loses its end, not its beginning, and is incomplete."""
    packed = pack(lines(_flows(3_000)))
    done = ingest(_write(tmp_path / "cut", packed[: len(packed) * 3 // 4]), tmp_path / "lake")
    assert 500 < done.completeness.rows_read < 3_000
    assert len(done.completeness.truncated) == 1
    assert "cut" in done.completeness.truncated[0]
    assert not done.completeness.complete


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("known", [False, True], ids=["new-lake", "old-lake"])
@given(data=st.data())
@settings(max_examples=6)
def test_a_damaged_file_is_one_error_or_told(pack: Any, known: bool, data: st.DataObject) -> None:
    """Any damage to a compressed file ends in an account or in the one error, on a new lake and on an old one."""
    import tempfile

    hints: list[str | None] = []
    packed = bytearray(pack(lines(_flows(60))))
    position = data.draw(st.integers(0, len(packed) - 1))
    packed[position : position + data.draw(st.integers(1, 30))] = data.draw(st.binary(min_size=1, max_size=20))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if known:
            ingest(_write(folder / "first", lines([flow()])), folder / "lake")
        try:
            done = ingest(_write(folder / "damaged", bytes(packed)), folder / "lake", IngestOptions(format="hubble"))
        except DiscoveryError as error:
            hints.append(error.hint)
        else:
            assert done.completeness.rows_read <= 60
    assert all(hints)


@given(st.binary(max_size=300), st.sampled_from(("plain", "gzip", "zstd")))
@settings(max_examples=15)
def test_any_bytes_ingest_or_are_one_error(content: bytes, packing: str) -> None:
    """Any bytes named as Hubble give an account: nothing crashes."""
    import tempfile

    packers: dict[str, Callable[[bytes], bytes]] = {
        "plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress,
    }  # fmt: skip
    packed = packers[packing](content)
    with tempfile.TemporaryDirectory() as name:
        try:
            done = ingest(_write(Path(name) / "any", packed), Path(name) / "lake", IngestOptions(format="hubble"))
        except InputError:
            return
        account = done.completeness
        assert account.rows_read == len(lake_rows(Path(name) / "lake"))


def test_a_line_of_nine_mebibytes_is_located(tmp_path: Path) -> None:
    """The line is skipped and told; the lines around it are read."""
    content = lines(_flows(2)) + b'{"flow":"' + b"x" * (9 << 20) + b'"}\n' + lines(_flows(3)[2:])
    done = ingest(_write(tmp_path / "long", content), tmp_path / "lake")
    assert done.completeness.rows_read == 3
    assert [(bad.line, bad.reason) for bad in done.completeness.rejected] == [(3, "the line is longer than 8 MiB")]


def test_losses_and_rejections_reach_the_account(tmp_path: Path) -> None:
    """What the source lost and what could not be read is in the result and in INGESTS, located."""
    content = lines(_flows(2)) + b"oops\n" + b'{"lost_events":{"num_events_lost":"7"}}\n' + b'{"agent_event":{}}\n'
    done = ingest(_write(tmp_path / "input", content), tmp_path / "lake")
    account = done.completeness
    assert (account.rows_read, account.rows_skipped, account.rows_rejected, account.events_lost) == (2, 1, 1, 7)
    (told,) = lake_accounts(tmp_path / "lake")
    assert (told["rows_read"], told["events_lost"], told["rows_rejected"], told["format"]) == (2, 7, 1, "hubble")
    assert told["rejected"][0].startswith("input:3: ")


# -------------------------------------------------------------------------------------------------------- duplicates


def test_content_that_is_known_is_skipped(tmp_path: Path) -> None:
    """The same content again, renamed or compressed, is skipped: in the next run and within one."""
    plain = _write(tmp_path / "plain", lines(_flows(5)))
    packed = _write(tmp_path / "packed.gz", gzip.compress(lines(_flows(5))))
    copy = _write(tmp_path / "copy", lines(_flows(5)))
    first = ingest([plain, packed, copy], tmp_path / "lake")
    assert (first.inputs, first.skipped) == (("plain",), ("packed.gz", "copy"))
    again = ingest([packed, copy, plain], tmp_path / "lake")
    assert (again.inputs, again.skipped) == ((), ("packed.gz", "copy", "plain"))
    assert len(lake_rows(tmp_path / "lake")) == 5


def test_overlapping_files_count_each_record_once(tmp_path: Path) -> None:
    """Rotated files overlap: the lake holds each record once, whichever came first, in one run or in two."""
    records = [
        one
        for number in range(20)
        for one in (flow(uuid=f"a{number}", time=stamp(number)), reply(uuid=f"b{number}", time=stamp(number)))
    ]
    first, second = _write(tmp_path / "1", lines(records[:30])), _write(tmp_path / "2", lines(records[10:]))
    together = ingest([first, second], tmp_path / "together")
    ingest(first, tmp_path / "apart")
    later = ingest(second, tmp_path / "apart")
    whole = ingest(_write(tmp_path / "whole", lines(records)), tmp_path / "whole-lake")
    assert together.completeness.rows_duplicate == later.completeness.rows_duplicate == 20
    assert whole.completeness.rows_duplicate == 0
    expected = lake_rows(tmp_path / "whole-lake")
    assert lake_rows(tmp_path / "together") == lake_rows(tmp_path / "apart") == expected
    assert lake_edges(tmp_path / "together") == lake_edges(tmp_path / "apart") == lake_edges(tmp_path / "whole-lake")


def test_records_without_direction_count_once_too(tmp_path: Path) -> None:
    """A record that was turned when it was settled is known again when it comes a second time."""
    vague = reply(uuid="vague", is_reply=None, l4=tcp(8_080, 40_000, "ACK"), time=stamp(1))
    ingest(_write(tmp_path / "1", lines([flow(), vague])), tmp_path / "lake")
    again = ingest(_write(tmp_path / "2", lines([vague])), tmp_path / "lake")
    assert again.completeness.rows_duplicate == 1
    assert [found["server_port"] for found in lake_rows(tmp_path / "lake")] == [8_080, 8_080]


@given(st.permutations(range(12)), st.integers(1, 11))
@settings(max_examples=6)
def test_order_and_files_do_not_change_the_edges(order: list[int], cut: int) -> None:
    """Shuffled lines, spread over two files, with a third that repeats some: identical EDGES."""
    import tempfile

    records = [
        one
        for number in range(6)
        for one in (
            flow(uuid=f"a{number}", time=stamp(number), l4=tcp(40_000 + number, 80 + number % 2, "SYN")),
            reply(uuid=f"b{number}", time=stamp(number + 0.5), l4=tcp(80 + number % 2, 40_000 + number, "SYN", "ACK")),
        )
    ]
    shuffled = [records[position] for position in order]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingest(_write(folder / "straight", lines(records)), folder / "expected")
        pieces = [
            _write(folder / "1", lines(shuffled[:cut])),
            _write(folder / "2", lines(shuffled[cut:])),
            _write(folder / "3", lines(shuffled[3:7])),
        ]
        ingest(pieces, folder / "lake")
        assert lake_edges(folder / "lake") == lake_edges(folder / "expected")


@pytest.mark.parametrize("batch", [1, 2, 65_536])
def test_a_row_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """A record without a cluster is of the default cluster, whoever shares its batch."""
    monkeypatch.setattr("collectors.base.BATCH_ROWS", batch)
    east = flow(source={"namespace": "a", "labels": ["k8s:a=b"], "cluster_name": "east"}, uuid="east")
    nobody = flow(source={"namespace": "a", "labels": ["k8s:a=b"]}, uuid="nobody")
    found = {one["uuid"]: one["cluster"] for text in (east, nobody) for one in read(line(text)).rows}
    together = {one["uuid"]: one["cluster"] for one in read(line(east), line(nobody)).rows}
    assert found == together == {"east": "east", "nobody": "default"}


# ------------------------------------------------------------------------------------------------------ bad requests


def test_a_lake_is_no_input_of_ingest(tmp_path: Path) -> None:
    """Naming a lake as input is an error with a hint."""
    ingest(_write(tmp_path / "input", lines(_flows(1))), tmp_path / "lake")
    with pytest.raises(InputError) as caught:
        ingest(tmp_path / "lake", tmp_path / "other")
    assert caught.value.hint


def test_a_missing_input_makes_no_lake(tmp_path: Path) -> None:
    """Nothing is created for inputs that are not there."""
    with pytest.raises(InputError):
        ingest(tmp_path / "absent", tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


# ------------------------------------------------------------------------------------------------------------ crashes


def _environment() -> dict[str, str]:
    """Return an environment in which a subprocess finds the project."""
    return {**os.environ, "PYTHONPATH": str(REPO)}


def test_a_kill_at_any_moment_leaves_the_previous_snapshot(tmp_path: Path) -> None:
    """Kill -9 during ingest, ten times: the lake always reads as before or as after, and a rerun completes it."""
    chance = random.Random(20_261_101)  # noqa: S311 - where to kill, not a secret
    first = _write(tmp_path / "first", lines(_flows(50)))
    second = _write(tmp_path / "second", lines(_flows(8_000, node_name="node-2")))
    lake = tmp_path / "lake"
    ingest(first, lake)
    before = lake_rows(lake)
    command = [sys.executable, "-c", _INGEST, str(second), str(lake)]
    started = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "timing")], check=True, env=_environment())
    whole = time.monotonic() - started
    for _ in range(10):
        process = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL)
        time.sleep(whole * chance.uniform(0.2, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = lake_rows(lake)
        assert len(found) in {50, 8_050}
        assert len(found) == 8_050 or found == before
    done = ingest(second, lake)
    assert len(lake_rows(lake)) == 8_050
    assert done.inputs == ("second",) or done.skipped == ("second",)
    assert len([account for account in lake_accounts(lake) if account["input"] == "second"]) == 1


def test_a_kill_while_the_lake_is_made_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Killed before the first commit, the same command completes."""
    chance = random.Random(7)  # noqa: S311 - where to kill, not a secret
    source = _write(tmp_path / "input", lines(_flows(200)))
    for number in range(4):
        lake = tmp_path / f"lake{number}"
        process = subprocess.Popen([sys.executable, "-c", _INGEST, str(source), str(lake)], env=_environment())
        while process.poll() is None and not lake.exists():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.wait()
        ingest(source, lake)
        assert len(lake_rows(lake)) == 200


def test_two_ingests_of_the_same_file_do_not_double(tmp_path: Path) -> None:
    """Run at the same time, one commits and the others skip it or are told; the lake holds each record once."""
    source = _write(tmp_path / "input", lines(_flows(3_000)))
    lake = tmp_path / "lake"
    Lake(lake, create=True)
    command = [sys.executable, "-c", _INGEST, str(source), str(lake)]
    running = [subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert 0 in {code for _, code in ends}
    assert all(code == 0 or "LakeError" in text for text, code in ends)
    assert len(lake_rows(lake)) == 3_000
    assert sum(account["rows_read"] for account in lake_accounts(lake)) == 3_000


def test_a_commit_that_lost_the_race_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another run committed the same input meanwhile, this one ends in a lake error that says what to do."""
    source = _write(tmp_path / "input", lines(_flows(3)))
    append = Lake.append_side
    raced: list[bool] = []

    def append_after_another(self: Lake, name: str, rows: Any, ingest_id: str) -> None:
        """Let another ingest commit first, once."""
        if not raced:
            raced.append(True)
            ingest(source, tmp_path / "lake")
        append(self, name, rows, ingest_id)

    monkeypatch.setattr(Lake, "append_side", append_after_another)
    with pytest.raises(LakeError) as caught:
        ingest(source, tmp_path / "lake")
    assert caught.value.hint
    assert len(lake_rows(tmp_path / "lake")) == 3
    assert len(lake_accounts(tmp_path / "lake")) == 1
