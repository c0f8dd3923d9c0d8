"""Tests of discovery.verify.ends: what peers of rules cover, beside what the evaluator's tests show."""

from __future__ import annotations

import pytest

from discovery.model.workload import Entity, Labels
from discovery.verify.conditions import Operator, Requirement, Scope
from discovery.verify.ends import AddressEnd, End, EntityEnd, PeerMatcher, PodEnd
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
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import platform, pod, version

SUBJECT = version("web")
WEB = PodMatch(namespace="shop", labels=Labels.of({"app": "web"}))
NET = CidrMatch(prefixes=("192.0.2.0/24",))
OUTSIDE, OTHER = AddressEnd(address="192.0.2.1"), AddressEnd(address="198.51.100.1")
NODE, WORLD = EntityEnd(entity=Entity.HOST), EntityEnd(entity=Entity.WORLD)
NODES, ANYBODY = UnclearMatch(what="nodes", nodes=True), UnclearMatch(what="a cloud's groups")
YES, MAYBE, NO = Truth.YES, Truth.MAYBE, Truth.NO


@pytest.mark.parametrize(
    ("match", "end", "answer"),
    [
        (AllMatch(parts=(NET, ExceptMatch(part=CidrMatch(prefixes=("192.0.2.1/32",))))), OUTSIDE, NO),
        (AllMatch(parts=(NET, ExceptMatch(part=CidrMatch(prefixes=("192.0.2.2/32",))))), OUTSIDE, YES),
        (AllMatch(parts=(NET, ANYBODY)), OUTSIDE, MAYBE),
        (AllMatch(parts=(NET, ANYBODY)), OTHER, NO),
        (OneMatch(parts=(WEB, NET)), OUTSIDE, YES),
        (OneMatch(parts=(WEB, NET)), pod("web"), YES),
        (OneMatch(parts=(WEB, ANYBODY)), pod("api"), MAYBE),
        (ExceptMatch(part=WEB), pod("web"), NO),
        (ExceptMatch(part=WEB), pod("api"), YES),
        (ExceptMatch(part=WEB), OUTSIDE, YES),
        (ExceptMatch(part=WEB), AddressEnd(address="192.0.2.1", resolved=False), MAYBE),
        (AnyMatch(), AddressEnd(address="192.0.2.1", resolved=False), YES),
        (NODES, NODE, MAYBE),
        (NODES, WORLD, NO),
        (NODES, pod("web"), NO),
        (NODES, OUTSIDE, NO),
        (ANYBODY, pod("web"), MAYBE),
        (EntityMatch(entity=Entity.WORLD), OUTSIDE, YES),
    ],
)
def test_algebra_of_peers(match: PeerMatch, end: End, answer: Truth) -> None:
    """Peers combine as their parts do, and what cannot be told stays unknown where it decides."""
    assert PeerMatcher(platform("calico=3.30")).covers(match, end, SUBJECT) is answer


@pytest.mark.parametrize(
    ("pattern", "name", "answer"),
    [
        ("example.com", "example.com", YES),
        ("example.com", "www.example.com", NO),
        ("*.example.com", "www.example.com", YES),
        ("*.example.com", "example.com", NO),
        ("*.example.com", "a.b.example.com", NO),
        ("**.example.com", "a.b.example.com", YES),
        ("**.example.com", "example.com", NO),
        ("a*c.example.com", "abc.example.com", YES),
        ("a.example.com", "axexample.com", NO),
        ("*", "anything.at.all", YES),
        ("(.*)", "anything", NO),
    ],
)
def test_patterns_of_names(pattern: str, name: str, answer: Truth) -> None:
    """Cilium's patterns: a star stays inside a label, two stars are labels, and no character is an expression."""
    matcher = PeerMatcher(platform("cilium=1.19"))
    assert (
        matcher.covers(NameMatch(patterns=(pattern,)), AddressEnd(address="192.0.2.1", names=(name,)), SUBJECT)
        is answer
    )


def test_names_of_ends() -> None:
    """Without a recorded name the address may have been any; pods and nodes keep their identity."""
    matcher = PeerMatcher(platform("cilium=1.19"))
    match = NameMatch(patterns=("example.com",))
    assert matcher.covers(match, OUTSIDE, SUBJECT) is MAYBE
    assert matcher.covers(match, WORLD, SUBJECT) is MAYBE
    assert matcher.covers(match, NODE, SUBJECT) is NO
    assert matcher.covers(match, pod("web"), SUBJECT) is NO


def test_networks_of_cluster_policies_mean_pods_too() -> None:
    """Unlike an ipBlock, on every platform."""
    near = pod("web", "192.0.2.9")
    for spec in ("kubernetes=1.31", "kubernetes=1.31;enforcer=cilium"):
        matcher = PeerMatcher(platform(spec))
        assert matcher.covers(CidrMatch(prefixes=NET.prefixes, inside=True), near, SUBJECT) is YES
        assert matcher.covers(NET, near, SUBJECT) is not YES


@pytest.mark.parametrize("end", [OUTSIDE, NODE, WORLD])
@pytest.mark.parametrize(
    ("on", "answer"),
    [
        ("cilium=1.18", MAYBE),
        ("cilium=1.19;policy-default-local-cluster=false", MAYBE),
        ("cilium=1.19", NO),
        ("calico=3.30", NO),
        ("kubernetes=1.31;enforcer=cilium", NO),
    ],
)
def test_selectors_that_only_refuse_labels_of_namespaces(on: str, answer: Truth, end: End) -> None:
    """On Cilium nodes and the outside have no labels of a namespace, so they lack what such a selector refuses; one
    that is bound to the cluster, as since 1.19, means pods alone.
    """
    lacks = Requirement(scope=Scope.NAMESPACE, key="team", operator=Operator.LACKS)
    covers = PeerMatcher(platform(on)).covers
    assert covers(PodMatch(where=(lacks,)), end, SUBJECT) is answer
    assert covers(PodMatch(labels=Labels.of({"app": "web"}), where=(lacks,)), end, SUBJECT) is NO


@pytest.mark.parametrize(
    "on", ["cilium=1.18", "cilium=1.20;policy-cidr-match-mode=pods", "calico=3.30", "kubernetes=1.31"]
)
def test_what_never_covers_pods_covers_none(on: str) -> None:
    """Rules that name such peers alone are not looked at for pods."""
    peers = PeerMatcher(platform(on))
    subject = version("web")
    for match in (
        CidrMatch(prefixes=("0.0.0.0/0", "::/0")),
        CidrMatch(prefixes=("0.0.0.0/0", "::/0"), inside=True),
        NameMatch(patterns=("*",)),
        EntityMatch(entity=Entity.WORLD),
        EntityMatch(entity=Entity.HOST),
        UnclearMatch(what="x", nodes=True),
        UnclearMatch(what="x"),
        AnyMatch(),
    ):
        ends = (PodEnd(version=version("a"), address=address) for address in (None, "10.0.0.1", "2001:db8::1"))
        covered = any(peers.covers(match, end, subject) is not Truth.NO for end in ends)
        assert peers.never_pods(match) is not covered
