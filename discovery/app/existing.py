"""What existing policies mean for a suggestion: who is isolated already, and what is denied on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Verdict
from discovery.model.errors import InputError
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.denies import matches_deny, read_denies
from discovery.verify.read import read_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Directions that the existing policies isolate, AUDIT edges that they deny explicitly, and what was unclear."""

    isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    denied: frozenset[Edge] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()


def _texts(folder: Path) -> dict[str, str]:
    """Return the manifests of a folder. Raises :class:`InputError` when there are none."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in (".yaml", ".yml", ".json")]
    if not names:
        raise InputError(
            f"{folder}: no manifests (*.yaml, *.yml, *.json)",
            hint="save them with: kubectl get ciliumnetworkpolicies,networkpolicies -A -o yaml",
        )
    return {str(path.relative_to(folder)): path.read_text("utf-8", errors="replace") for path in names}


def read_existing(folder: Path | None, edges: Iterable[Edge], versions: Iterable[WorkloadVersion]) -> Existing:
    """Read existing policies. What cannot be evaluated counts as isolating, and is said."""
    if folder is None:
        return Existing()
    texts = _texts(folder)
    known = tuple(versions)
    read = read_policies(texts)
    isolated = {
        (version.ref, policy.direction)
        for policy in read.policies
        if not policy.staged and not policy.opt_in and (policy.isolates or not policy.complete)
        for version in known
        if policy.subject.matches(version) or not policy.complete
    }
    denies = read_denies(texts)
    audited = [edge for edge in edges if edge.verdict is Verdict.AUDIT]
    denied = frozenset(edge for edge in audited if matches_deny(denies, edge, known))
    for deny in denies:
        isolated |= {(version.ref, deny.direction) for version in known if deny.subject.matches(version)}
    notes = tuple(
        Diagnostic(
            code="existing-not-evaluated", level=Level.WARNING, subject=note.subject,
            message=f"existing policy: {note.message}", hint="its workloads are treated as isolated",
        )
        for note in read.diagnostics
        if note.code != "not-evaluated" or not denies
    )  # fmt: skip
    return Existing(isolated=frozenset(isolated), denied=denied, diagnostics=notes)
