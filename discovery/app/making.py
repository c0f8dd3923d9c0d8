"""Makes the files of all dialects, in several processes where that pays. One message goes each way."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from discovery.app.dialects import Made, Wanted, make
from discovery.app.processes import framed, own_pipes, pipes, receive, send, start
from discovery.model.errors import DiscoveryError
from discovery.model.platform import Platform

_Task = tuple[Wanted, Platform, Path]

_SERVE = "from discovery.app.making import main; main()"


class Makers:
    """Makes dialects by several workers: this process, when it asks for the results, and others that start before."""

    def __init__(self, workers: int) -> None:
        """Start all workers but this process: they load what they need while the caller still learns."""
        self._workers = workers
        self._processes = [start(_SERVE, str(number), str(workers)) for number in range(workers - 1)]
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
        data = framed(self._tasks)
        for process in self._processes:
            # One that has ended already is found when its result is asked for.
            with suppress(BrokenPipeError), pipes(process)[0] as inbox:
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


def _result(process: subprocess.Popen[bytes]) -> list[Made]:
    """Wait for what one process made."""
    answer: list[Made] | DiscoveryError | None
    try:
        answer = receive(pipes(process)[1])
    except EOFError:
        answer = None
    if process.wait() or answer is None:
        raise DiscoveryError(
            f"a process that writes policies ended early, with {process.returncode}",
            hint="see its message above; --workers 0 writes in one process",
        )
    if isinstance(answer, DiscoveryError):
        raise answer
    return answer


def main() -> None:
    """Make a share of the dialects: one message with all tasks comes in, the arguments are our number and that of all
    workers, and what was made leaves as one message.
    """
    inbox, outbox = own_pipes()
    gc.disable()  # one share and out, like the command line
    try:
        tasks: list[_Task] = receive(inbox)
    except EOFError:
        return  # whoever started us found that there is nothing to do
    answer: list[Made] | DiscoveryError
    try:
        answer = _make_share(tasks, *map(int, sys.argv[1:]))
    except DiscoveryError as error:
        answer = error
    send(outbox, answer)
