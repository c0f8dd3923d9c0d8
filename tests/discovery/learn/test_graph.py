"""The graph: workloads are nodes, judged edges keep their direction."""

from __future__ import annotations

from discovery.learn.graph import Graph, node_of
from discovery.learn.judge import Options, judge
from discovery.model.edge import Direction
from discovery.model.workload import EndpointKind
from tests.discovery.learn.builders import edge, outside, pod, ref


def test_nodes_are_workloads_or_kinds() -> None:
    """All external addresses are one node; every workload is its own."""
    assert node_of(pod("web")) == ref("web")
    assert node_of(outside("192.0.2.1")) is EndpointKind.EXTERNAL


def test_edges_point_from_client_to_server_and_are_all_kept() -> None:
    """Parallel edges stay apart, in the order given; a call of oneself goes both in and out."""
    judged = [judge(edge("web", "db", port), Options()) for port in (2, 1)]
    own = judge(edge("web", "web", 3), Options())
    graph = Graph.of([*judged, own])
    assert graph.edges(ref("web"), Direction.EGRESS) == [*judged, own]
    assert graph.edges(ref("web"), Direction.INGRESS) == [own]
    assert graph.edges(ref("db"), Direction.INGRESS) == judged


def test_what_nobody_calls_has_no_edges() -> None:
    """Outsiders are at the other end of an edge, never its workload."""
    graph = Graph.of([judge(edge("a", outside("192.0.2.1")), Options())])
    assert [graph.edges(ref(name), Direction.INGRESS) for name in ("a", "idle")] == [[], []]
    assert len(graph.edges(ref("a"), Direction.EGRESS)) == 1
