"""The reading process: messages, streams and what it says of broken input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.framing import Framing
from collectors.sources import combined_hash, hash_content, ranges
from discovery.app.processes import receive, send
from discovery.app.read_worker import LINE_BITS, Setup, Task, Worker
from tests.conftest import REPO
from tests.flows_factory import event, flow, line, lines


def _worker(folder: Path) -> Worker:
    """Return a worker that writes below a folder."""
    return Worker(Setup(folder=folder, ingest_id="run", default_cluster="default"))


def _task(path: Path, framing: Framing = Framing.LINES) -> Task:
    """Return a task that reads a whole input as a stream."""
    return Task(input=0, path=str(path), label=path.name, format="hubble", framing=framing)


def test_a_process_serves_tasks_until_told_to_end(tmp_path: Path) -> None:
    """A real process reads ranges and hands back results, parts and accounts; prints do not disturb it."""
    path = tmp_path / "input"
    path.write_bytes(lines([flow(uuid=str(number)) for number in range(20)]) + b"oops\n")
    serve = f"import sys; sys.path.insert(0, {str(REPO)!r}); from discovery.app.read_worker import main; main()"
    with subprocess.Popen([sys.executable, "-c", serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        send(process.stdin, Setup(folder=tmp_path / "flows", ingest_id="run", default_cluster="default"))
        parts = ranges(str(path), path.stat().st_size, chunk=3_000)
        results = []
        for chunk, part in enumerate(parts):
            send(process.stdin, Task(input=0, path=str(path), label="input", format="hubble", chunk=chunk, part=part))
            results.append(receive(process.stdout))
        send(process.stdin, None)
        last = receive(process.stdout)
    assert len(parts) > 2
    assert sum(result.newlines for result in results) == 21
    assert sum(result.size for result in results) == path.stat().st_size
    assert sum(part.rows for part in last.parts) == last.accounts[0].rows_read == 20
    (rejected,) = last.accounts[0].rejected
    chunk, offset = rejected.line >> LINE_BITS, rejected.line & ((1 << LINE_BITS) - 1)
    assert sum(result.newlines for result in results[:chunk]) + offset == 21
    assert {seen.info.workload_name for seen in last.workloads.values()} == {"web", "cart"}


@pytest.mark.parametrize(
    ("content", "framing", "rows", "message"),
    [
        (b"[" + line(flow()) + b",", Framing.ARRAY, 1, "after record 1"),
        (b"[" + line(flow()) + b", nonsense]", Framing.ARRAY, 1, "after record 1"),
        (b"[" + b"[" * 50_000, Framing.ARRAY, 0, "nested too deeply"),
        (json.dumps({"items": [event(flow())]}).encode()[:-2], Framing.ITEMS, 1, "after record 1"),
        (line(flow()) + b"{", Framing.OBJECTS, 1, "after record 1"),
    ],
)
def test_a_broken_document_keeps_its_beginning(
    tmp_path: Path, content: bytes, framing: Framing, rows: int, message: str
) -> None:
    """What came before the break is read; the account says where it broke."""
    path = tmp_path / "input"
    path.write_bytes(content)
    worker = _worker(tmp_path / "flows")
    worker.run(_task(path, framing))
    account = worker.finish().accounts[0]
    assert account.rows_read == rows
    assert len(account.truncated) == 1
    assert account.truncated[0].startswith("input: ")
    assert message in account.truncated[0]


def test_a_stream_hashes_like_the_file(tmp_path: Path) -> None:
    """The digest of a stream is the content hash; one empty input hashes as nothing."""
    path = tmp_path / "input"
    path.write_bytes(lines([flow()]))
    assert _worker(tmp_path / "flows").run(_task(path)).digest == hash_content(str(path))
    assert combined_hash([]) == combined_hash([])


def test_elements_that_are_no_records_are_located(tmp_path: Path) -> None:
    """In an array, the position of the element stands for the line."""
    path = tmp_path / "input"
    path.write_bytes(b"[1, " + line(flow()) + b", null, " + line(flow(uuid="b")) + b', {"a":1,"a":2}]')
    worker = _worker(tmp_path / "flows")
    worker.run(_task(path, Framing.ARRAY))
    account = worker.finish().accounts[0]
    assert (account.rows_read, [bad.line for bad in account.rejected]) == (2, [1, 3, 5])
