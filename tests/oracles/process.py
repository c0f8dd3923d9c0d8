"""Oracles as processes that answer line by line, how they are found, and how many cases a test asks of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import seed, settings

BUILT = Path(__file__).resolve().parents[2] / "build" / "oracles"
# The same cases each time; ORACLE_SEED looks at others, ORACLE_CASES at more of them.
SEED = int(os.environ.get("ORACLE_SEED", "0"))
CASES = int(os.environ.get("ORACLE_CASES", "0"))

_Test = TypeVar("_Test", bound=Callable[..., None])


class Oracle:
    """A running oracle. ``asked`` counts the cases that it was asked about."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take a process that answers each line of JSON with one."""
        self._process = process
        self.asked = 0

    def ask(self, question: Any) -> dict[str, Any]:
        """Return the answer to one question. Raises AssertionError with what the oracle says if it has none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the oracle ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        self.asked += 1
        return answer


@contextmanager
def running(*command: str) -> Iterator[Oracle]:
    """Start an oracle, and end it."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Oracle(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait()


def cases(few: int) -> Callable[[_Test], _Test]:
    """Ask about ``few`` random cases, the same ones each time, unless the environment wants others."""

    def decorate(test: _Test) -> _Test:
        bounded = settings(max_examples=CASES or few, deadline=None, database=None, print_blob=True)
        return bounded(seed(SEED)(test))

    return decorate
