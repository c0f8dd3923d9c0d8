"""Makes the files of all dialects, in several processes where that pays.

Plain subprocesses, as for reading (:mod:`discovery.app.read_worker` says why). One message goes each way, a pickle
between two processes of the same user and version: the end of the stream is the end of the message.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from discovery.app.dialects import Made, Wanted, make
from discovery.model.errors import DiscoveryError
from discovery.model.platform import Platform

_Task = tuple[Wanted, Platform, Path]

# Not "-m": messages must name the classes of the importable module, not those of __main__.
_SERVE = "from discovery.app.making import main; main()"


class Makers:
    """Makes dialects by several workers: this process, when it asks for the results, and others that start before."""

    def __init__(self, workers: int) -> None:
        """Start all workers but this process: they load what they need while the caller still learns."""
        self._workers = workers
        self._processes = [_start(number, workers) for number in range(workers - 1)]
        self._tasks: list[_Task] = []

    def __enter__(self) -> Self:
        """Return the makers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End processes that have not been waited for."""
        for process in self._processes:
            with process:
                process.kill()

    def give(self, wanted: Wanted, platforms: Iterable[Platform], staging: Path) -> None:
        """Say what to make below ``staging``: one dialect for each platform. Other processes begin at once."""
        self._tasks = [(wanted, platform, staging) for platform in platforms]
        if not self._processes:
            return
        # All get the same message: it holds many values, and pickling them once is dear enough.
        data = pickle.dumps(self._tasks, protocol=pickle.HIGHEST_PROTOCOL)
        for process in self._processes:
            # One that has ended already is found when its result is asked for.
            with suppress(BrokenPipeError), _pipe(process.stdin) as inbox:
                inbox.write(data)

    def results(self) -> tuple[Made, ...]:
        """Return what was made, in the order of the platforms; raises what :func:`discovery.app.dialects.make` raises,
        and :class:`DiscoveryError` when a process ended early.
        """
        own = _make_share(self._tasks, self._workers - 1, self._workers)
        made = [*map(_result, self._processes), own]
        return tuple(one for share in made for one in share)


def _make_share(tasks: list[_Task], number: int, workers: int) -> list[Made]:
    """Return what the worker of this number makes of the tasks: its part of them in a row, the last ones get fewer."""
    first, end = (-(-len(tasks) * one // workers) for one in (number, number + 1))
    return [make(*task) for task in tasks[first:end]]


def _start(number: int, workers: int) -> subprocess.Popen[bytes]:
    """Start the worker of this number, with the same module path as this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", _SERVE, str(number), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe of a process that was started with it."""
    if stream is None:
        raise DiscoveryError("a process has no pipe")
    return stream


def _result(process: subprocess.Popen[bytes]) -> list[Made]:
    """Wait for what one process made."""
    data = _pipe(process.stdout).read()
    if process.wait() or not data:
        raise DiscoveryError(
            f"a process that writes policies ended early, with {process.returncode}",
            hint="see its message above; --workers 0 writes in one process",
        )
    answer: list[Made] | DiscoveryError = pickle.loads(data)  # noqa: S301 - from our own process
    if isinstance(answer, DiscoveryError):
        raise answer
    return answer


def main() -> None:
    """Make a share of the dialects: all tasks come in on standard input, the arguments are our number and that of all
    workers, and what was made leaves on standard output.
    """
    outbox = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may land in the answer
    gc.disable()  # one share and out, like the command line
    data = sys.stdin.buffer.read()
    if not data:
        return  # whoever started us found that there is nothing to do
    answer: list[Made] | DiscoveryError
    try:
        answer = _make_share(pickle.loads(data), *map(int, sys.argv[1:]))  # noqa: S301 - from the process that started us
    except DiscoveryError as error:
        answer = error
    with outbox:
        pickle.dump(answer, outbox, protocol=pickle.HIGHEST_PROTOCOL)
