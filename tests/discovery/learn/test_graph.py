"""The graph: workloads and kinds are nodes, judged edges keep their direction."""

from __future__ import annotations

from discovery.learn.graph import build_graph, components, node_of
from discovery.learn.judge import Options, judge
from discovery.model.workload import EndpointKind
from tests.discovery.learn.builders import edge, outside, pod, ref


def test_nodes_are_workloads_or_kinds() -> None:
    """All external addresses are one node; every workload is its own."""
    assert node_of(pod("web")) == ref("web")
    assert node_of(outside("192.0.2.1")) is EndpointKind.EXTERNAL


def test_edges_point_from_client_to_server_and_are_all_kept() -> None:
    """Parallel edges stay apart, in the order given, and silent workloads are there too."""
    judged = [judge(edge("web", "db", port), Options()) for port in (2, 1)]
    graph = build_graph(judged, [ref("idle")])
    assert [data["judged"] for _, _, data in graph.out_edges(ref("web"), data=True)] == judged
    assert set(graph.nodes) == {ref("web"), ref("db"), ref("idle")}
    assert graph.in_degree(ref("web")) == 0


def test_components_are_not_joined_by_outsiders() -> None:
    """Two groups that both call the outside are still two groups, the larger first."""
    edges = [
        edge("a", "b"),
        edge("b", "c"),
        edge("x", "y"),
        edge("a", outside("192.0.2.1")),
        edge("x", outside("192.0.2.1")),
    ]
    found = components(build_graph([judge(one, Options()) for one in edges], [ref("alone")]))
    assert found == [
        frozenset({ref("a"), ref("b"), ref("c")}),
        frozenset({ref("x"), ref("y")}),
        frozenset({ref("alone")}),
    ]
