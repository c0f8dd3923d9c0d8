"""The three dialects say the same thing: equal verdicts on everything that selectors, ports and prefixes tell apart.

Compared are all ports of TCP, UDP and SCTP between the workloads of an estate, pods that nothing selects, and every
stretch of outside addresses around the prefixes of the rules. Two dialects may differ only where one of them says that
it left a direction out, and where a verdict is open on a platform: what one surely allows, no other surely denies.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from discovery import suggest
from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.model.artifact import Rendered
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect, Mode
from discovery.model.workload import WorkloadRef
from discovery.verify.ends import AddressEnd, End, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from discovery.verify.universe import outside_of, pods_of

TRANSPORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


@dataclass(frozen=True)
class Written:
    """What one dialect wrote: its evaluator, its policies, and the directions that it isolates."""

    evaluator: Evaluator
    policies: tuple[ReadPolicy, ...]
    isolates: frozenset[tuple[WorkloadRef, Direction]]


def written(one: Rendered) -> Written:
    """Read back what a dialect wrote."""
    read = read_policies({artifact.path: artifact.text for artifact in one.artifacts})
    isolates = frozenset((artifact.workload, side) for artifact in one.artifacts for side in artifact.isolates)
    return Written(Evaluator(read.policies, one.platform), read.policies, isolates)


def ends_of(made: Suggestion, sets: list[Written]) -> tuple[list[End], list[End]]:
    """Return the pods of an estate with strangers among them, and addresses around every prefix."""
    policies = [policy for one in sets for policy in one.policies]
    pods: list[End] = [PodEnd(version=version, ports=()) for version in made.workloads.versions]
    clusters = {version.ref.cluster for version in made.workloads.versions}
    for stand in pods_of(policies):
        end = stand.end
        if isinstance(end, PodEnd) and stand.name.startswith(("other pods", "pods elsewhere")):
            refs = [replace(end.version.ref, cluster=cluster) for cluster in clusters]
            pods += [replace(end, version=replace(end.version, ref=ref)) for ref in refs]
    outside: list[End] = [stand.end for stand in outside_of(policies) if isinstance(stand.end, AddressEnd)]
    return pods, outside


def alike(sets: list[Written], end: End, direction: Direction) -> bool:
    """Say whether every dialect isolates a direction of an end, or none does."""
    if not isinstance(end, PodEnd):
        return True
    return len({(end.version.ref, direction) in one.isolates for one in sets}) == 1


def disagreements(sets: list[Written], client: End, server: End) -> list[str]:
    """Return what one dialect surely allows and another surely denies."""
    found = []
    for protocol in TRANSPORTS:
        answers = [one.evaluator.allowed(client, server, protocol) for one in sets]
        for (sure, _), (_, may) in itertools.permutations(answers, 2):
            rest = sure - may
            if rest.intervals:
                found.append(f"{protocol}/{rest}")
    return found


def check(made: Suggestion) -> int:
    """Compare all pairs of ends; return how many there were."""
    sets = [written(one) for one in made.rendered]
    pods, outside = ends_of(made, sets)
    pairs = [*itertools.product(pods, pods), *itertools.product(pods, outside), *itertools.product(outside, pods)]
    compared = 0
    for client, server in pairs:
        if alike(sets, client, Direction.EGRESS) and alike(sets, server, Direction.INGRESS):
            compared += 1
            assert not disagreements(sets, client, server), (client, server)
    return compared


def test_the_sample(repo: Path, tmp_path: Path) -> None:
    """The shop, with what its inventory declares."""
    sample = repo / "sample_flows"
    options = SuggestOptions(mode=Mode.ENFORCE, inventory=(sample / "inventory.yaml",), dialects=tuple(Dialect))
    assert check(suggest(sample / "shop-hubble.jsonl", tmp_path, options)) > 1_000


@pytest.mark.parametrize("capture", ["starwars-kind-2024", "hubble-otel-2021"])
def test_real_captures(shared: Path, tmp_path: Path, capture: str) -> None:
    """What was learned from real traffic."""
    options = SuggestOptions(mode=Mode.ENFORCE, allow_partial=True, accept_inferred=True, learn_audit=True)
    sources = [path for path in (shared / "data" / "flows" / capture).iterdir() if path.suffix in (".json", ".jsonl")]
    made = suggest(sources, tmp_path, options)
    assert check(made) > 10
