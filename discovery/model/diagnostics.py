"""Diagnostics: what a stage wants a person to know, as data.

A diagnostic never stops a stage by itself; the caller looks at its level. Codes are stable and appear in
``summary.json`` and in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a diagnostic matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Diagnostic:
    """One finding.

    ``code`` is a stable kebab-case word; ``subject`` is what it is about (a workload, a file, a platform);
    ``message`` is one sentence for people; ``hint`` is what to do next, or None.
    """

    code: str
    level: Level
    subject: str
    message: str
    hint: str | None = None
