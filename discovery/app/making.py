"""Makes the files of all dialects, each in a process of its own where that pays.

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

# Not "-m": messages must name the classes of the importable module, not those of __main__.
_SERVE = "from discovery.app.making import main; main()"


class Makers:
    """Makes dialects, in as many processes as were started before; with none, here and when they are asked for."""

    def __init__(self, processes: int) -> None:
        """Start processes: they load what they need while the caller still learns."""
        self._processes = [_start(number) for number in range(processes)]
        self._tasks: list[tuple[Wanted, Platform, Path]] = []

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
        """Say what to make below ``staging``: one dialect for each platform, no more than there are processes."""
        self._tasks = [(wanted, platform, staging) for platform in platforms]
        if not self._processes:
            return
        # All get the same message: the values in it are many, and pickling them once for all is dear enough.
        data = pickle.dumps(self._tasks, protocol=pickle.HIGHEST_PROTOCOL)
        for process in self._processes[: len(self._tasks)]:
            # One that has ended already is found when its result is asked for.
            with suppress(BrokenPipeError), _pipe(process.stdin) as inbox:
                inbox.write(data)

    def results(self) -> tuple[Made, ...]:
        """Return what was made, in the order of the platforms; raises what :func:`discovery.app.dialects.make` raises,
        and :class:`DiscoveryError` when a process ended early.
        """
        if not self._processes:
            return tuple(make(*task) for task in self._tasks)
        return tuple(_result(process) for process in self._processes[: len(self._tasks)])


def _start(number: int) -> subprocess.Popen[bytes]:
    """Start a process, with the same module path as this one, for the task of this number."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", _SERVE, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe of a process that was started with it."""
    if stream is None:
        raise DiscoveryError("a process has no pipe")
    return stream


def _result(process: subprocess.Popen[bytes]) -> Made:
    """Wait for what one process made."""
    data = _pipe(process.stdout).read()
    if process.wait() or not data:
        raise DiscoveryError(
            f"a process that writes policies ended early, with {process.returncode}",
            hint="see its message above; --workers 0 writes in one process",
        )
    answer: Made | DiscoveryError = pickle.loads(data)  # noqa: S301 - from our own process
    if isinstance(answer, DiscoveryError):
        raise answer
    return answer


def main() -> None:
    """Make one dialect: tasks come in on standard input, the argument says which is ours, and what was made leaves on
    standard output.
    """
    outbox = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may land in the answer
    gc.disable()  # one task and out, like the command line
    data = sys.stdin.buffer.read()
    if not data:
        return  # whoever started us found that there is nothing to do
    answer: Made | DiscoveryError
    try:
        answer = make(*pickle.loads(data)[int(sys.argv[1])])  # noqa: S301 - from the process that started us
    except DiscoveryError as error:
        answer = error
    with outbox:
        pickle.dump(answer, outbox, protocol=pickle.HIGHEST_PROTOCOL)
