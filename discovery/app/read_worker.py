"""Reads inputs in a process of its own: tasks come in on standard input, results leave on standard output."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ijson

from collectors.base import RecordReader, SeenWorkload, note
from collectors.framing import Framing, elements
from collectors.registry import reader_class
from collectors.sources import MAX_LINE, TRUNCATION_ERRORS, ContentHasher, Range, open_stream, read_lines, read_range
from discovery.app.lean import without_pandas
from discovery.app.processes import own_pipes, receive, send
from discovery.flows.parts import Part, PartWriter
from discovery.model.completeness import Completeness

LINE_BITS = 40  # a position is (chunk << LINE_BITS) + line in the chunk, until the chunks before it are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker needs to know once."""

    folder: Path
    ingest_id: str
    default_cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work: a range of a plain file, or a whole stream when ``part`` is None."""

    input: int
    path: str
    label: str
    format: str
    framing: Framing = Framing.LINES
    chunk: int = 0
    part: Range | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What one task found. ``digest`` is the hash of the chunk, or of the whole content of a stream."""

    input: int
    chunk: int
    newlines: int
    digest: str
    size: int


@dataclass(slots=True, kw_only=True)
class WorkerResult:
    """What one worker did in all."""

    parts: tuple[Part, ...] = ()
    workloads: dict[int, SeenWorkload] = field(default_factory=dict)
    accounts: dict[int, Completeness] = field(default_factory=dict)
    doubtful: bool = False


class Worker:
    """Runs tasks and writes parts. One reader per input, so that batches span chunks."""

    def __init__(self, setup: Setup) -> None:
        """Prepare the part writer."""
        self._setup = setup
        self._writer = PartWriter(setup.folder)
        self._readers: dict[int, RecordReader] = {}

    def run(self, task: Task, progress: Callable[[int], None] | None = None) -> TaskResult:
        """Read one task. Malformed input ends up in the account, never in an exception."""
        reader = self._readers.get(task.input)
        if reader is None:
            reader = self._readers[task.input] = reader_class(task.format)(
                self._writer.write,
                label=task.label,
                ingest_id=self._setup.ingest_id,
                default_cluster=self._setup.default_cluster,
            )
        if task.part is None:
            return self._run_stream(task, reader, progress)
        found = read_range(task.part)
        first = (task.chunk << LINE_BITS) + 1 + found.before
        for row in found.lines.overlong:
            reader.account.reject(first + row, f"the line is longer than {MAX_LINE >> 20} MiB")
        reader.read_lines(found.lines.lines, first)
        size = task.part.end - task.part.begin
        return TaskResult(input=task.input, chunk=task.chunk, newlines=found.newlines, digest=found.digest, size=size)

    def _run_stream(self, task: Task, reader: RecordReader, progress: Callable[[int], None] | None) -> TaskResult:
        """Read a whole stream; one that is cut short keeps what came before and says so."""
        hasher = ContentHasher()
        line = 1
        size = 0
        with open_stream(task.path) as stream:
            try:
                if task.framing is Framing.LINES:
                    for chunk in read_lines(stream, hasher):
                        for row in chunk.overlong:
                            reader.account.reject(line + row, f"the line is longer than {MAX_LINE >> 20} MiB")
                        reader.read_lines(chunk.lines, line)
                        line += len(chunk.lines)
                        size += sum(map(len, chunk.lines))
                        if progress is not None:
                            progress(size)
                else:
                    for batch in elements(stream, task.framing, hasher):
                        reader.read_lines(batch, line)
                        line += len(batch)
            except TRUNCATION_ERRORS as error:
                reader.account.truncated.append(
                    f"{task.label}: {str(error) or type(error).__name__} (after record {line - 1})"
                )
            except (ijson.JSONError, ValueError) as error:
                reader.account.truncated.append(
                    f"{task.label}: {str(error).splitlines()[0][:200]} (after record {line - 1})"
                )
        return TaskResult(input=task.input, chunk=0, newlines=line - 1, digest=hasher.hexdigest(), size=size)

    def finish(self) -> WorkerResult:
        """Flush everything, make the parts durable and return the accounts."""
        result = WorkerResult()
        for number, reader in self._readers.items():
            reader.finish()
            result.accounts[number] = reader.account.completeness()
            result.doubtful = result.doubtful or reader.doubtful
            for seen in reader.workloads.values():
                note(result.workloads, seen)
        result.parts = self._writer.close()
        return result


def main() -> None:
    """Serve tasks until told to finish (a None)."""
    inbox, outbox = own_pipes()
    without_pandas()
    gc.disable()  # batches hold no cycles; collecting them would only cost time (ADR 0003)
    worker = Worker(receive(inbox))
    while (task := receive(inbox)) is not None:
        send(outbox, worker.run(task))
    send(outbox, worker.finish())
