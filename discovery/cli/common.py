"""What the commands share: progress bars, errors that say what to do next, typed options."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import click

from discovery.model.errors import (
    EXIT_FAILED,
    EXIT_INCOMPLETE,
    EXIT_USAGE,
    DiscoveryError,
    IncompleteInputError,
    OptionError,
)

P = ParamSpec("P")
R = TypeVar("R")


def exit_code(error: DiscoveryError) -> int:
    """Return the documented exit code of an error."""
    if isinstance(error, IncompleteInputError):
        return EXIT_INCOMPLETE
    return EXIT_USAGE if isinstance(error, OptionError) else EXIT_FAILED


def printable(text: object) -> str:
    """Return text without control characters: what came from a flow must not drive a terminal, nor begin a line."""
    return "".join(char if char.isprintable() else "�" for char in str(text))


def speaks(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the library's errors into a message, a hint and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DiscoveryError as error:
            click.echo(f"Error: {printable(error)}", err=True)
            if error.hint:
                click.echo(f"Try: {printable(error.hint)}", err=True)
            raise SystemExit(exit_code(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read our output is gone: click ends quietly
            where = f"{error.filename}: " if error.filename is not None else ""
            click.echo(f"Error: {printable(where)}{printable(error.strerror or error)}", err=True)
            click.echo("Try: check the path, its permissions and the free space", err=True)
            raise SystemExit(EXIT_FAILED) from error

    return wrapped


class Bars:
    """Progress bars on a terminal, nothing elsewhere. Use as a context manager and pass ``update`` as the callback."""

    def __init__(self) -> None:
        """Show bars only where a person looks."""
        self._on = sys.stderr.isatty()
        self._bar: Any = None
        self._what = ""

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the last bar."""
        self._close()

    def _close(self) -> None:
        """Close the current bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def update(self, what: str, done: int, total: int) -> None:
        """Show one step: a new name starts a new bar."""
        if not self._on:
            return
        if what != self._what or self._bar is None:
            self._close()
            from tqdm import tqdm

            in_bytes = total > 1 << 16
            self._bar = tqdm(
                total=total or None,
                desc=what,
                unit="B" if in_bytes else "step",
                unit_scale=in_bytes,
                unit_divisor=1024,
                leave=False,
                file=sys.stderr,
            )
            self._what = what
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)


class Time(click.ParamType[datetime]):
    """A time: ISO 8601, UTC unless it says otherwise."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse a time."""
        if isinstance(value, datetime):
            return value
        try:
            parsed = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time; write for example 2026-11-02 or 2026-11-02T14:00:00Z", param, ctx)
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def format_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--format text|json``."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print the result.",
    )(function)


def input_format_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--input-format``."""
    return click.option(
        "--input-format",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="Format of the inputs: auto (looks at the content), hubble, calico, goldmane.",
    )(function)


def workers_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--workers``."""
    return click.option(
        "--workers",
        type=click.IntRange(0, 64),
        default=None,
        help="Processes that work in parallel; 0 uses this one alone.  [default: one per core for large inputs]",
    )(function)


def cluster_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--cluster``."""
    return click.option(
        "--cluster", default="default", show_default=True, help="Cluster name for records that do not tell theirs."
    )(function)


def inventory_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--inventory``."""
    return click.option(
        "--inventory",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Objects of the cluster from kubectl get ... -A -o yaml (or json); may be repeated.",
    )(function)


def platform_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--platform``."""
    return click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="NAME=VERSION",
        help="Platform, its version and settings, for example cilium=1.18; may be repeated.",
    )(function)


def period_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add ``--since`` and ``--until``."""
    until = click.option("--until", type=Time(), metavar="TIME", help="Use traffic before this time (UTC).")
    since = click.option("--since", type=Time(), metavar="TIME", help="Use traffic from this time on (UTC).")
    return since(until(function))
