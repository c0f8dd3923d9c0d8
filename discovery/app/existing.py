"""What existing policies mean for a suggestion: who is isolated already, and what is denied on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from discovery.app.deployed import existing_texts
from discovery.learn.peers import NodeAddresses, split_external
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Verdict
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.denies import denied_edges, may_select, read_denies
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.rules import OPT_IN_KEY, OPT_IN_VALUE, ReadPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Directions that the existing policies isolate, AUDIT edges that they deny explicitly, AUDIT edges that none of
    them explains (no end is isolated by what was given, so an explicit deny cannot be ruled out), and what was unclear.
    """

    isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    denied: frozenset[Edge] = frozenset()
    unexplained: frozenset[Edge] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()


def read_existing(folder: Path | None, edges: Iterable[Edge], versions: Iterable[WorkloadVersion]) -> Existing:
    """Read existing policies. What cannot be evaluated counts as isolating, and is said.

    ``denied`` holds the audited edges as :func:`discovery.learn.peers.split_external` splits them, because a node that
    a source calls "world" is still the node that a policy denies.
    """
    if folder is None:
        return Existing()
    texts = existing_texts(folder)
    known = tuple(versions)
    given = tuple(edges)
    read = read_policies(texts)
    denies = read_denies(texts)
    isolating = [policy for policy in (*read.policies, *denies) if _isolates(policy)]
    nodes = NodeAddresses.of(given)
    audited = [piece for edge in given if edge.verdict is Verdict.AUDIT for piece in split_external(edge, nodes)]
    isolated = frozenset(
        (version.ref, policy.direction) for policy in isolating for version in known if _governs(policy, version)
    )
    unexplained = frozenset(
        edge
        for edge in audited
        if not isolated & {(edge.client.workload, Direction.EGRESS), (edge.server.workload, Direction.INGRESS)}
    )
    return Existing(
        isolated=isolated,
        denied=denied_edges(denies, audited, known),
        unexplained=unexplained,
        diagnostics=(*_notes(read, isolating), *_missing(unexplained)),
    )


def _missing(unexplained: Iterable[Edge]) -> tuple[Diagnostic, ...]:
    """Return a finding per server of which an AUDIT verdict shows a policy that is not among those given."""
    return tuple(
        Diagnostic(
            code="existing-incomplete",
            level=Level.WARNING,
            subject=subject,
            message="an AUDIT verdict shows that a policy isolates one of the ends, and none of those given does",
            hint="give --existing all policies of the cluster; until then what was audited is not learned",
        )
        for subject in sorted({str(edge.server) for edge in unexplained})
    )


def _isolates(policy: ReadPolicy) -> bool:
    """Say whether a policy that is in force isolates what it selects, or may."""
    return not policy.staged and (policy.isolates or policy.anywhere)


def _governs(policy: ReadPolicy, version: WorkloadVersion) -> bool:
    """Say whether a policy is in force for a workload version, or may be; opt-in ones are for canaries alone."""
    if policy.opt_in and version.labels.get(OPT_IN_KEY) != OPT_IN_VALUE:
        return False
    return may_select(policy.subject, version)


def _notes(read: ReadSet, isolating: list[ReadPolicy]) -> tuple[Diagnostic, ...]:
    """Return what could not be evaluated, each with what was made of it."""
    counted = {policy.source for policy in isolating if not policy.complete}
    notes = []
    for note in read.diagnostics:
        if note.level is not Level.ERROR:
            continue
        treated = "all workloads that it may select are treated as isolated"
        if note.code == "unreadable-yaml":
            treated = "repair or remove the file; until then every workload is treated as isolated"
        elif note.subject not in counted:
            treated = "it is left out; remove the file if it is no policy of this cluster"
        notes.append(
            Diagnostic(
                code="existing-not-evaluated",
                level=Level.WARNING,
                subject=note.subject,
                message=f"existing policy: {note.message}",
                hint=treated,
            )
        )
    return tuple(notes)
