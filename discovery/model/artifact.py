"""Artifacts: the manifests that a generator hands back, and what a dialect could not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef

# The label by which all manifests of one owner are found.
OWNER_KEY = "policy-discovery/owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file to be written for one workload.

    ``path`` is relative to the output folder, with ``/``; ``text`` is the whole file; ``documents`` are the
    manifests in it as plain data (for validation). ``isolates`` lists the directions that the enforcing form
    isolates.
    """

    dialect: Dialect
    workload: WorkloadRef
    path: str
    text: str
    documents: tuple[dict[str, Any], ...]
    isolates: tuple[Direction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """All that one dialect made of the intents: files, and diagnostics for everything it could not say."""

    platform: Platform
    mode: Mode
    artifacts: tuple[Artifact, ...]
    diagnostics: tuple[Diagnostic, ...]
