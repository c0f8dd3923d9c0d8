"""Typed options of the use cases. Defaults are those of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from discovery.model.errors import OptionError
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import Platform, parse_platforms

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) in bytes or steps; total is 0 when unknown."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """How to ingest. ``workers`` None means one per core for large inputs and none for small ones."""

    format: str = "auto"
    cluster: str = "default"
    workers: int | None = None
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestOptions:
    """What to suggest. ``namespaces`` selects policy subjects; empty means all but system namespaces. ``workers`` is as
    for ingest, also for the writing of several dialects; 0 starts no process. ``existing`` are the policies that are
    there: what they say is not written again, and their rules that nothing used for ``unused_days`` are told.
    ``prune`` retires files of an earlier run in enforce mode, too.
    """

    format: str = "auto"
    dialects: tuple[Dialect, ...] = tuple(Dialect)
    mode: Mode = Mode.MONITOR
    namespaces: tuple[str, ...] = ()
    platforms: dict[Dialect, Platform] = field(default_factory=lambda: parse_platforms([]))
    existing: Path | None = None
    unused_days: int = 30
    prune: bool = False
    inventory: tuple[Path, ...] = ()
    owners: Path | None = None
    since: datetime | None = None
    until: datetime | None = None
    cluster: str = "default"
    allow_partial: bool = False
    accept_inferred: bool = False
    learn_audit: bool = False
    include_system: bool = False
    yes_system: bool = False
    show_addresses: bool = False
    workers: int | None = None
    memory_limit_mb: int = 192
    progress: Progress = no_progress


def check_system(options: SuggestOptions) -> None:
    """Raise :class:`OptionError` for enforcing policies on the platform itself that nobody has confirmed."""
    if options.mode is Mode.ENFORCE and options.include_system and not options.yes_system:
        raise OptionError(
            "--include-system with --mode enforce isolates the platform itself: DNS, the CNI, what would roll it back",
            hint="start in monitor mode, or confirm with --yes-system (the list is in docs/system.md)",
        )


def parse_dialects(text: str) -> tuple[Dialect, ...]:
    """Return dialects from ``cilium,calico``, each once, in order. Raises :class:`OptionError` for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Dialect)]
    if unknown or not names:
        raise OptionError(
            f"dialect {', '.join(unknown) or text!r} is not known", hint=f"known dialects: {', '.join(Dialect)}"
        )
    return tuple(dict.fromkeys(Dialect(name) for name in names))
