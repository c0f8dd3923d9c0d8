"""Reads all inputs of a run into part files, in parallel where it pays, and accounts for every record."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from collectors.base import SeenWorkload, note
from collectors.framing import Framing
from collectors.sources import STDIN, combined_hash, ranges
from discovery.app.inputs import Input
from discovery.app.lean import ONE_BLAS_THREAD
from discovery.app.options import IngestOptions
from discovery.app.processes import pipes, receive, send, start
from discovery.app.read_worker import LINE_BITS, Setup, Task, TaskResult, Worker, WorkerResult
from discovery.flows.parts import Part
from discovery.model.completeness import Completeness, Rejected
from discovery.model.errors import DiscoveryError

# Below this size a worker process costs more than it saves.
PARALLEL_BYTES = 32 << 20
MAX_WORKERS = 8
_SERVE = "from discovery.app.read_worker import main; main()"

# A worker frees and takes the same few megabytes for every chunk; giving them back to the kernel each time cost
# more system time than parsing (measured: 2.1 s against 0.2 s per 500 MB). One pool for Arrow and Python.
_SETTINGS = {
    **ONE_BLAS_THREAD,
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What reading left: parts, workloads by identity, and per input its account and content hash.

    ``doubtful`` says that some record does not tell by itself who opened its connection.
    """

    parts: tuple[Part, ...]
    workloads: dict[int, SeenWorkload] = field(default_factory=dict)
    accounts: tuple[Completeness, ...] = ()
    hashes: tuple[str, ...] = ()
    doubtful: bool = False


def _plan(inputs: tuple[Input, ...]) -> list[Task]:
    """Cut plain line files into ranges; everything else is one stream."""
    tasks: list[Task] = []
    for number, given in enumerate(inputs):
        task = Task(input=number, path=given.path, label=given.label, format=given.format, framing=given.framing)
        if given.path != STDIN and not given.compressed and given.framing is Framing.LINES:
            cut = ranges(given.path, given.size)
            tasks += [replace(task, chunk=chunk, part=part) for chunk, part in enumerate(cut)]
        else:
            tasks.append(task)
    return tasks


def _worker_count(inputs: tuple[Input, ...], options: IngestOptions, tasks: int) -> int:
    """Return how many worker processes to use; 0 means read in this process."""
    if options.workers is not None:
        return min(options.workers, tasks)
    total = sum(given.size for given in inputs)
    return 0 if total < PARALLEL_BYTES else min(os.cpu_count() or 1, MAX_WORKERS, tasks)


class _Progress:
    """Adds up the bytes of finished tasks."""

    def __init__(self, inputs: tuple[Input, ...], options: IngestOptions) -> None:
        """Start at zero."""
        self._report = options.progress
        self._total = sum(given.size for given in inputs)
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Report more bytes done."""
        with self._lock:
            self._done += size
            self._report("reading", self._done, max(self._total, self._done))


def read_inputs(inputs: tuple[Input, ...], folder: Path, ingest_id: str, options: IngestOptions) -> Read:
    """Read inputs into part files below ``folder``. Malformed content is accounted for, never raised."""
    setup = Setup(folder=folder, ingest_id=ingest_id, default_cluster=options.cluster)
    tasks = _plan(inputs)
    local = [task for task in tasks if task.path == STDIN]
    shared = [task for task in tasks if task.path != STDIN]
    count = _worker_count(inputs, options, len(shared))
    progress = _Progress(inputs, options)
    if count == 0:
        local, shared = tasks, []
    done: list[TaskResult] = []
    results: list[WorkerResult] = []
    if local:
        worker = Worker(setup)
        for task in local:
            done.append(worker.run(task))
            progress.add(done[-1].size)
        results.append(worker.finish())
    if shared:
        found = _run_pool(setup, shared, count, progress)
        done += found[0]
        results += found[1]
    return _combine(inputs, done, results)


def _run_pool(
    setup: Setup, tasks: list[Task], count: int, progress: _Progress
) -> tuple[list[TaskResult], list[WorkerResult]]:
    """Run tasks in worker processes, each fed by a thread. Raises when a worker dies."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    done: list[TaskResult] = []
    results: list[WorkerResult] = []
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            with start(_SERVE, settings=_SETTINGS) as process:
                inbox, outbox = pipes(process)
                send(inbox, setup)
                while not failures:
                    try:
                        task = waiting.get_nowait()
                    except queue.Empty:
                        break
                    send(inbox, task)
                    done.append(receive(outbox))
                    progress.add(done[-1].size)
                send(inbox, None)
                results.append(receive(outbox))
        except Exception as error:  # noqa: BLE001 - a thread has no caller: whatever it is, it is raised below
            failures.append(error)

    threads = [threading.Thread(target=serve) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise DiscoveryError(
            f"a reading process ended early: {failures[0]}",
            hint="see its message above; --workers 0 reads in one process",
        ) from failures[0]
    return done, results


def _combine(inputs: tuple[Input, ...], done: Iterable[TaskResult], results: list[WorkerResult]) -> Read:
    """Join what the workers found: absolute line numbers, one account and one content hash per input."""
    by_input: dict[int, list[TaskResult]] = {number: [] for number in range(len(inputs))}
    for result in done:
        by_input[result.input].append(result)
    accounts: list[Completeness] = []
    hashes: list[str] = []
    for number in range(len(inputs)):
        chunks = sorted(by_input[number], key=lambda result: result.chunk)
        whole = len(chunks) == 1 and inputs[number].compressed
        streamed = inputs[number].path == STDIN or inputs[number].framing is not Framing.LINES
        hashes.append(chunks[0].digest if whole or streamed else combined_hash([chunk.digest for chunk in chunks]))
        starts = [0]
        for chunk in chunks:
            starts.append(starts[-1] + chunk.newlines)
        account = Completeness()
        for worker in results:
            account = account + worker.accounts.get(number, Completeness())
        masked = tuple(
            f"{inputs[number].label}: no record has {one.unusable}, so nothing can be learned from it"
            for one in account.sightings
            if one.unusable
        )
        accounts.append(replace(account, rejected=_located(account, chunks, starts), masked=masked))
    workloads: dict[int, SeenWorkload] = {}
    for worker in results:
        for seen in worker.workloads.values():
            note(workloads, seen)
    parts = sorted((part for worker in results for part in worker.parts), key=lambda part: part.path)
    return Read(
        parts=tuple(parts),
        workloads=workloads,
        accounts=tuple(accounts),
        hashes=tuple(hashes),
        doubtful=any(worker.doubtful for worker in results),
    )


def _located(account: Completeness, chunks: list[TaskResult], starts: list[int]) -> tuple[Rejected, ...]:
    """Turn positions (chunk, line in chunk) into line numbers of the file."""
    first = {chunk.chunk: starts[row] for row, chunk in enumerate(chunks)}
    return tuple(
        sorted(
            replace(bad, line=first[bad.line >> LINE_BITS] + (bad.line & ((1 << LINE_BITS) - 1)))
            for bad in account.rejected
        )
    )
