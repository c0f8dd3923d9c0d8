"""Processes of our own that share work: how they start, and the messages between them.

A plain subprocess instead of ``multiprocessing``: it never imports the caller's main module, so a notebook or an
unguarded script may call :func:`discovery.ingest`, and nothing is forked while threads run.
Messages are pickles with an 8-byte length, between two processes of the same user and version.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any


def start(code: str, *arguments: str, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process that runs some code of ours, with the module path of this one and pipes both ways.

    The code imports what it runs instead of "-m": messages must name the classes of the importable module, not those of
    ``__main__``. ``settings`` are added to the environment.
    """
    path = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(settings or {}), "PYTHONPATH": path},
    )


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return the two pipes of a process that :func:`start` started: what it reads and what it writes."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError("started with pipes")
    return process.stdin, process.stdout


def own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return what the process that started us sends, and where our answers go. What a library prints lands in neither
    but in standard error.
    """
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return inbox, outbox


def framed(message: Any) -> bytes:
    """Return one message as it goes through a pipe."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return struct.pack("<Q", len(data)) + data


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    stream.write(framed(message))
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; raises ``EOFError`` when the other side is gone."""
    header = stream.read(8)
    size = struct.unpack("<Q", header)[0] if len(header) == 8 else 0
    data = stream.read(size)
    if not size or len(data) < size:
        raise EOFError("the other process ended")
    return pickle.loads(data)  # noqa: S301 - our own parent or child process
