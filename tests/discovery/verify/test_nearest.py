"""Tests of discovery.verify.nearest."""

from __future__ import annotations

import pytest

from discovery.model.edge import Protocol
from discovery.model.workload import Entity, Labels
from discovery.verify.conditions import Operator, Requirement, Scope
from discovery.verify.decisions import Probe
from discovery.verify.ends import AddressEnd, End, EntityEnd, PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.nearest import describe_end, describe_peers, nearest
from discovery.verify.read import read_policies
from discovery.verify.rules import (
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    ExceptMatch,
    NameMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    UnclearMatch,
)
from tests.discovery.verify.builders import platform, pod

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 5432}]}
    - {from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 90, endPort: 95}, {port: 53, protocol: UDP}]}
"""
ON = platform("kubernetes=1.31")


def lack(client: End, port: int, protocol: Protocol = Protocol.TCP) -> tuple[str, str] | None:
    """Return the place of the nearest rule and what it lacks, for a denied connection to web."""
    probe = Probe(client=client, server=pod("web"), protocol=protocol, port=port)
    side = Evaluator(read_policies({"p.yaml": POLICY}).policies, ON).decide(probe).ingress
    found = nearest(side, probe, PeerMatcher(ON))
    return None if found is None else (found.rule.place, found.lacks)


@pytest.mark.parametrize(
    ("client", "port", "protocol", "expected"),
    [
        (pod("a"), 5433, Protocol.TCP, ("spec.ingress[0]", "port 5433 is not among 5432")),
        (pod("b"), 89, Protocol.TCP, ("spec.ingress[1]", "port 89 is not among 90-95")),
        (pod("a"), 5432, Protocol.UDP, ("spec.ingress[0]", "UDP is not TCP")),
        (pod("c"), 5432, Protocol.TCP, ("spec.ingress[0]", "shop/c is not among pods of shop with app=a")),
        (pod("c"), 53, Protocol.UDP, ("spec.ingress[1]", "shop/c is not among pods of shop with app=b")),
        (pod("c"), 1, Protocol.TCP, None),
    ],
)
def test_the_rule_with_the_right_peer_is_nearest(
    client: End, port: int, protocol: Protocol, expected: tuple[str, str] | None
) -> None:
    """The right peer beats the right port; a rule with neither is no help."""
    assert lack(client, port, protocol) == expected


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (AnyMatch(), "anybody"),
        (EntityMatch(entity=Entity.WORLD), "entity world"),
        (CidrMatch(prefixes=("192.0.2.0/24",)), "192.0.2.0/24"),
        (CidrMatch(prefixes=("a", "b", "c", "d", "e")), "a, b, c and 2 more"),
        (NameMatch(patterns=("*.example.com",)), "names *.example.com"),
        (UnclearMatch(what="Services"), "Services"),
        (PodMatch(), "pods of any namespace"),
        (PodMatch(namespace="x", service_account="sa"), "pods of x with serviceAccount=sa"),
        (PodMatch(namespace_labels=Labels.of({"e": "p"})), "pods of any namespace with namespace e=p"),
        (
            PodMatch(namespace="x", where=(Requirement(scope=Scope.POD, key="k", operator=Operator.HAS),)),
            "pods of x with has k",
        ),
        (PodMatch(namespace="x", labels=Labels.of({"a": "\x1b[31m\n"})), "pods of x with a=\\x1b[31m\\n"),
        (AllMatch(parts=(AnyMatch(), ExceptMatch(part=PodMatch(namespace="x")))), "anybody and all but pods of x"),
        (OneMatch(parts=(AnyMatch(), EntityMatch(entity=Entity.HOST))), "anybody or entity host"),
    ],
)
def test_peers_in_words(peer: PeerMatch, text: str) -> None:
    """Each kind of peer, with nothing that drives a terminal."""
    assert describe_peers((peer,)) == text


def test_many_peers_and_none() -> None:
    """Long lists are cut, an empty one is nobody."""
    assert describe_peers(()) == "nobody"
    assert describe_peers((AnyMatch(),) * 5) == "anybody; anybody; anybody and 2 more"


def test_ends_in_words() -> None:
    """Workload, entity, address."""
    ends = (pod("a"), EntityEnd(entity=Entity.HOST), AddressEnd(address="192.0.2.1"))
    assert [describe_end(end) for end in ends] == ["shop/a", "entity host", "192.0.2.1"]
