"""Tests of discovery.verify.breadth."""

from __future__ import annotations

import pytest

from discovery.verify.breadth import Breadth, breadths
from discovery.verify.ends import PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.replay import replay
from tests.discovery.learn.builders import edge, outside
from tests.discovery.verify.builders import platform, version

HEAD = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
"""
VERSIONS = (version("a"), version("b"), version("web"), version("a", namespace="other"))
EDGES = [edge("a", "web", 80), edge(outside("192.0.2.1"), "web", 80)]


def measure(rule: str, on: str = "kubernetes=1.31;enforcer=cilium") -> Breadth:
    """Return how wide one rule is after a and an outside client used port 80."""
    read = read_policies({"p.yaml": f"{HEAD}    - {rule}\n"})
    assert read.diagnostics == ()
    found = replay(EDGES, VERSIONS, Evaluator(read.policies, platform(on)))
    (breadth,) = breadths(read.policies, found.uses, VERSIONS, PeerMatcher(platform(on)))
    return breadth


@pytest.mark.parametrize(
    ("rule", "contents", "workloads", "addresses", "used"),
    [
        ("{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}", 0, 0, 0, 1),
        ("{from: [{podSelector: {}}], ports: [{port: 80}]}", 0, 2, 0, 1),
        ("{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80, endPort: 89}]}", 9, 0, 0, 1),
        ("{from: [{podSelector: {matchLabels: {app: none}}}], ports: [{port: 80}]}", 1, 0, 0, 0),
        ("{from: [{ipBlock: {cidr: 192.0.2.0/28}}], ports: [{port: 80}]}", 0, 0, 15, 1),
        ("{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}", 0, 0, None, 1),
        ("{ports: [{port: 80}]}", 0, 3, None, 2),
    ],
)
def test_width_is_what_nobody_used(rule: str, contents: int, workloads: int, addresses: int | None, used: int) -> None:
    """Ports, workloads and addresses that a rule allows beyond its use."""
    found = measure(rule)
    assert (found.contents, found.workloads, found.addresses, found.used) == (contents, workloads, addresses, used)
    assert found.key == ("p.yaml:2", "ingress", "spec.ingress[0]")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("{ports: [{port: 80}, {port: 53, protocol: UDP}]}", "TCP/80, UDP/53"),
        ("{ports: [{protocol: TCP}]}", "TCP/all ports"),
        ("{ports: [{port: http}]}", "TCP/http"),
        ("{}", "everything"),
    ],
)
def test_contents_in_words(rule: str, text: str) -> None:
    """What a rule allows beside its peers."""
    assert measure(rule).allowed_contents == text
