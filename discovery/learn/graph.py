"""The graph of an estate: endpoints are nodes, edges that may matter to policy are its edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx

from discovery.learn.judge import Judged
from discovery.model.edge import Endpoint
from discovery.model.workload import EndpointKind, WorkloadRef

Node = WorkloadRef | EndpointKind


def node_of(endpoint: Endpoint) -> Node:
    """Return the node of an endpoint: its workload, or its kind for everything that is none."""
    return endpoint.workload if endpoint.workload is not None else endpoint.kind


def build_graph(judged: Iterable[Judged], workloads: Iterable[WorkloadRef]) -> nx.MultiDiGraph[Any]:
    """Return a directed multigraph with every workload as a node and every judged edge as an edge (``judged``).

    Edges point from client to server. Their order is the order given.
    """
    graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    graph.add_nodes_from(workloads)
    for one in judged:
        graph.add_edge(node_of(one.edge.client), node_of(one.edge.server), judged=one)
    return graph


def components(graph: nx.MultiDiGraph[Any]) -> list[frozenset[WorkloadRef]]:
    """Return the groups of workloads that talk to each other, largest first; shared outsiders do not join groups."""
    inside = graph.subgraph([node for node in graph if isinstance(node, WorkloadRef)])
    found = [frozenset(component) for component in nx.weakly_connected_components(inside)]
    return sorted(found, key=lambda component: (-len(component), min(component)))
