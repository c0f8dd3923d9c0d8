"""The graph of an estate: which edges that may matter to policy touch which workload, and from which side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from discovery.learn.judge import Judged
from discovery.model.edge import Direction, Endpoint
from discovery.model.workload import EndpointKind, WorkloadRef

Node = WorkloadRef | EndpointKind


def node_of(endpoint: Endpoint) -> Node:
    """Return the node of an endpoint: its workload, or its kind for everything that is none."""
    return endpoint.workload if endpoint.workload is not None else endpoint.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The judged edges that go into each workload, and those that come out of it, in the order given."""

    into: Mapping[WorkloadRef, list[Judged]]
    out: Mapping[WorkloadRef, list[Judged]]

    @classmethod
    def of(cls, judged: Iterable[Judged]) -> Graph:
        """Build the graph."""
        into: dict[WorkloadRef, list[Judged]] = {}
        out: dict[WorkloadRef, list[Judged]] = {}
        for one in judged:
            for end, edges in ((one.edge.client, out), (one.edge.server, into)):
                if end.workload is not None:
                    edges.setdefault(end.workload, []).append(one)
        return cls(into=into, out=out)

    def edges(self, workload: WorkloadRef, direction: Direction) -> list[Judged]:
        """Return the edges of a workload in one direction."""
        return (self.into if direction is Direction.INGRESS else self.out).get(workload, [])
