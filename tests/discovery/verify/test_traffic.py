"""Tests of discovery.verify.traffic: which traffic a rule is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.model.edge import Edge, Endpoint, Protocol
from discovery.model.workload import EndpointKind
from discovery.verify.ends import PeerMatcher
from discovery.verify.read import read_policies
from discovery.verify.traffic import Traffic
from tests.discovery.learn.builders import EVIDENCE, edge, outside, ping
from tests.discovery.verify.asking import CILIUM, cnp
from tests.discovery.verify.builders import platform, version

VERSIONS = (version("web"), version("a"), version("b"))
HOST = Endpoint(kind=EndpointKind.HOST)


def last_use(rule: str, *edges: Edge, section: str = "ingress") -> int:
    """Return when the only rule of web was last used."""
    text = cnp(f"{{endpointSelector: {{matchLabels: {{app: web}}}}, {section}: [{rule}]}}")
    (policy,) = read_policies({"p.yaml": text}).policies
    traffic = Traffic(edges, VERSIONS, PeerMatcher(platform(CILIUM)))
    return max((traffic.last_use(policy, one) for one in policy.rules), default=0)


def at(time: int, given: Edge) -> Edge:
    """Return an edge that was last seen at a time."""
    return replace(given, evidence=replace(EVIDENCE, first_seen=0, last_seen=time))


FROM_A = "{fromEndpoints: [{matchLabels: {app: a}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (edge("a", "web", 80), True),
        (edge("b", "web", 80), False),
        (edge("a", "web", 81), False),
        (edge("a", "web", 80, protocol=Protocol.UDP), False),
        (edge("a", "b", 80), False),
        (edge("web", "a", 80), False),
        (ping("a", "web"), False),
        (replace(edge("a", "web", 80), port=None, collapsed_ports=3), True),
        (edge(replace(outside("192.0.2.1"), kind=EndpointKind.UNRESOLVED), "web", 80), True),
    ],
)
def test_traffic_that_a_rule_is_about(given: Edge, used: bool) -> None:
    """By subject, direction, peer, protocol and port; what may be about it counts."""
    assert last_use(FROM_A, at(7, given)) == (7 if used else 0)


def test_the_last_time_counts() -> None:
    """Of all edges, in any order."""
    edges = [at(time, edge("a", "web", 80)) for time in (3, 9, 5)]
    assert last_use(FROM_A, *edges) == 9


def test_what_the_platform_allows_anyway_and_requests_count() -> None:
    """Probes of the own node need no rule and use it all the same; so do connections with a rule of layer 7."""
    assert last_use("{fromEntities: [host]}", at(4, edge(HOST, "web", 8080))) == 4
    narrow = FROM_A.replace("}]}]}", "}], rules: {http: [{method: GET}]}}]}")
    assert last_use(narrow, at(4, edge("a", "web", 80))) == 4


def test_ports_by_name_may_be_any() -> None:
    """Which number a name has is not asked."""
    assert last_use("{toPorts: [{ports: [{port: http, protocol: TCP}]}]}", at(4, edge("a", "web", 8080))) == 4
