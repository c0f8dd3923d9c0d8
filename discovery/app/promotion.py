"""The plan of a promotion: which manifests are applied together, in which order, and what that does to connections
that are open already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from discovery.model.edge import Edge, EvidenceClass, Protocol
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.ends import enforcer_of
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import ReadSet
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, Replayed, replay
from discovery.verify.rules import ReadPolicy
from discovery.verify.truth import Truth

# What applying a policy does to a connection that is open already, by who enforces.
OPEN_CONNECTIONS = {
    Dialect.CILIUM: "cut on apply, where no rule covers it",
    Dialect.CALICO: "goes on; where no rule covers it, it fails at its next reconnect",
    Dialect.KUBERNETES: "undefined: the API leaves it to the implementation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Manifests that are applied together, because they govern the same pods. ``records`` counts the flow records of
    accepted edges that they decide; steps with the fewest come first.
    """

    paths: tuple[str, ...]
    workloads: tuple[WorkloadRef, ...]
    records: int


def in_force(policy: ReadPolicy) -> ReadPolicy:
    """Return a policy as its enforcing form is."""
    return replace(policy, staged=False, opt_in=False, isolates=True)


def path_of(policy: ReadPolicy) -> str:
    """Return the file that a policy was read from."""
    return policy.source.rpartition(":")[0]


def plan_steps(
    policies: Iterable[ReadPolicy], versions: Iterable[WorkloadVersion], edges: Iterable[Edge]
) -> tuple[Step, ...]:
    """Return the steps of promoting policies: those that govern one workload are one step."""
    known = list(versions)
    by_path: dict[str, set[WorkloadRef]] = {}
    for policy in policies:
        found = by_path.setdefault(path_of(policy), set())
        found |= {version.ref for version in known if policy.subject.selects(version) is not Truth.NO}
    records: dict[WorkloadRef, int] = {}
    for edge in edges:
        for ref in {edge.client.workload, edge.server.workload} - {None}:
            if ref is not None:
                records[ref] = records.get(ref, 0) + edge.evidence.flow_records
    steps = [
        Step(
            paths=tuple(sorted(paths)),
            workloads=tuple(sorted(refs)),
            records=sum(records.get(ref, 0) for ref in refs),
        )
        for paths, refs in _joined(by_path)
    ]
    return tuple(sorted(steps, key=lambda step: (step.records, step.paths)))


def _joined(by_path: dict[str, set[WorkloadRef]]) -> Iterator[tuple[set[str], set[WorkloadRef]]]:
    """Yield groups of files that share a workload."""
    left = dict(by_path)
    while left:
        path, refs = next(iter(left.items()))
        del left[path]
        paths, grown = {path}, True
        while grown:
            near = [other for other, theirs in left.items() if theirs & refs]
            grown = bool(near)
            for other in near:
                paths.add(other)
                refs = refs | left.pop(other)
        yield paths, refs


def check_steps(
    steps: tuple[Step, ...],
    read: ReadSet,
    beside: ReadSet,
    edges: tuple[Edge, ...],
    versions: tuple[WorkloadVersion, ...],
    platform: Platform,
    recorded: Recorded | None = None,
) -> tuple[tuple[Step, Replayed], ...]:
    """Return the edges that would not surely pass after a step: all steps up to it enforced, the others as they are
    written, and those ``beside`` them in force. Each step is tried on the edges of its own workloads, since no other
    rules change.
    """
    found = []
    done: set[str] = set()
    for step in steps:
        done |= set(step.paths)
        state = [in_force(policy) if path_of(policy) in done else policy for policy in read.policies]
        together = [*state, *beside.policies]
        evaluator = Evaluator(together, platform, tiers=(*read.tiers, *beside.tiers), versions=versions)
        mine = [edge for edge in edges if {edge.client.workload, edge.server.workload} & set(step.workloads)]
        tried = replay(mine, versions, evaluator, recorded).edges
        cut = [one for one in tried if one.fate is not Fate.COVERED and not one.is_strange]
        found += [(step, one) for one in cut]
    return tuple(found)


def open_before(edges: Iterable[Edge], steps: tuple[Step, ...]) -> tuple[Edge, ...]:
    """Return the TCP edges of the promoted workloads of which no record shows an opening: they may be connections that
    are older than the window.
    """
    refs = {ref for step in steps for ref in step.workloads}
    return tuple(
        edge
        for edge in edges
        if edge.protocol is Protocol.TCP
        and edge.evidence_class is not EvidenceClass.HANDSHAKE
        and {edge.client.workload, edge.server.workload} & refs
    )


def open_consequence(platform: Platform) -> str:
    """Return what happens to open connections when an enforcing policy is applied."""
    return OPEN_CONNECTIONS[enforcer_of(platform)]
