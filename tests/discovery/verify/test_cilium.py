"""Tests of discovery.verify.cilium: one construct at a time, by the policy reference."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels
from discovery.verify.cilium import read
from discovery.verify.rules import AnyMatch, CidrMatch, EntityMatch, PodMatch, ReadPolicy, ReadRule
from tests.discovery.verify.builders import codes, document

HEAD = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
}
APP_X = Labels.of({"app": "x"})
ACCOUNT = "k8s:io.cilium.k8s.policy.serviceaccount"
ONE_ADDRESS = ("10.0.0.1/32",)
PORT_1 = [{"ports": [{"port": "1", "protocol": "TCP"}]}]
ANY_1 = {"toPorts": PORT_1}

WHOLE = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deployment-web, namespace: shop}
spec:
  endpointSelector:
    matchLabels:
      "k8s:app": web
      "k8s:io.cilium.k8s.policy.serviceaccount": web-sa
  enableDefaultDeny: {egress: false, ingress: false}
  ingress:
    - fromEndpoints:
        - matchLabels: {"k8s:app": proxy, "k8s:io.kubernetes.pod.namespace": edge}
        - matchLabels:
            "k8s:io.kubernetes.pod.namespace": far
            "k8s:io.cilium.k8s.policy.cluster": c2
      toPorts:
        - ports: [{port: "8080", protocol: TCP}]
        - ports: [{port: "9000", endPort: 9010, protocol: TCP}]
    - fromEntities: [host, remote-node]
      icmps:
        - fields: [{family: IPv4, type: 8}, {family: IPv6, type: 128}]
  egress:
    - toCIDRSet: [{cidr: 192.0.2.0/24}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""


def manifest(**spec: object) -> dict[str, Any]:
    """Return a CiliumNetworkPolicy for all pods of shop."""
    return {**HEAD, "spec": {"endpointSelector": {}, **spec}}


def rules(rule: dict[str, object]) -> tuple[ReadRule, ...]:
    """Return what one ingress rule says; nothing may be reported."""
    (policy,), diagnostics = read(manifest(ingress=[rule]), "f:1")
    assert diagnostics == ()
    return policy.rules


def test_a_whole_manifest() -> None:
    """Subject with its special keys, posture, peers, ports and ICMP of a manifest are read exactly."""
    policies, diagnostics = read(document(WHOLE), "f.yaml:1")
    common = {
        "dialect": Dialect.CILIUM,
        "kind": "CiliumNetworkPolicy",
        "name": "deployment-web",
        "namespace": "shop",
        "subject": PodMatch(namespace="shop", labels=Labels.of({"app": "web"}), service_account="web-sa"),
        "opt_in": False,
        "isolates": False,
        "staged": False,
        "source": "f.yaml:1",
    }
    nodes = (EntityMatch(entity=Entity.HOST), EntityMatch(entity=Entity.REMOTE_NODE))
    pods = (PodMatch(namespace="edge", labels=Labels.of({"app": "proxy"})), PodMatch(cluster="c2", namespace="far"))
    assert diagnostics == ()
    assert set(policies) == {
        ReadPolicy(
            **common,  # type: ignore[arg-type]
            direction=Direction.INGRESS,
            needs=("enableDefaultDeny", "endPort"),
            rules=(
                ReadRule(peers=pods, protocol=Protocol.TCP, ports=PortSet(((8080, 8080), (9000, 9010)))),
                ReadRule(peers=nodes, protocol=Protocol.ICMP, icmp_types=(8,)),
                ReadRule(peers=nodes, protocol=Protocol.ICMPV6, icmp_types=(128,)),
            ),
        ),
        ReadPolicy(
            **common,  # type: ignore[arg-type]
            direction=Direction.EGRESS,
            needs=("enableDefaultDeny",),
            rules=(
                ReadRule(peers=(CidrMatch(prefixes=("192.0.2.0/24",)),), protocol=Protocol.TCP, ports=PortSet.of(443)),
            ),
        ),
    }


@pytest.mark.parametrize(
    ("posture", "isolates", "needs"),
    [
        (None, True, ()),
        ({}, True, ()),
        ({"ingress": True}, True, ()),
        ({"egress": False}, True, ("enableDefaultDeny",)),
        ({"ingress": False}, False, ("enableDefaultDeny",)),
    ],
)
def test_default_deny_follows_the_rules_unless_it_is_written(
    posture: object, isolates: bool, needs: tuple[str, ...]
) -> None:
    """A direction with rules isolates unless enableDefaultDeny says false for it."""
    (policy,), diagnostics = read(manifest(ingress=[{}], enableDefaultDeny=posture), "f:1")
    assert (policy.isolates, policy.needs, diagnostics) == (isolates, needs, ())


def test_the_empty_rule_isolates_and_allows_nothing() -> None:
    """[{}] is Cilium's default deny, unlike the empty rule of Kubernetes."""
    assert rules({}) == ()


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": []},
        {"ingress": [{}], "egress": []},
        {"ingress": [{}], "enableDefaultDeny": {"egress": True}},
        {},
    ],
)
def test_directions_without_rules_do_nothing_and_are_reported(spec: dict[str, object]) -> None:
    """An empty list or a posture without rules selects no direction, and that is said."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert all(policy.direction is Direction.INGRESS for policy in policies)
    assert set(codes(diagnostics)) == {"no-effect"}


@pytest.mark.parametrize(
    ("member", "peers"),
    [
        ({}, (AnyMatch(),)),
        ({"fromEndpoints": [{}]}, (PodMatch(namespace="shop"),)),
        (
            {"fromEndpoints": [{"matchLabels": {"app": "x"}}]},
            (PodMatch(namespace="shop", labels=Labels.of({"app": "x"})),),
        ),
        (
            {"fromEndpoints": [{"matchLabels": {"any:app": "x", "k8s:io.kubernetes.pod.namespace": "n"}}]},
            (PodMatch(namespace="n", labels=APP_X),),
        ),
        ({"fromEntities": ["world"]}, (EntityMatch(entity=Entity.WORLD),)),
        ({"fromEntities": ["all"]}, (AnyMatch(),)),
        ({"fromCIDR": ["10.0.0.0/9", "10.128.0.0/9"]}, (CidrMatch(prefixes=("10.0.0.0/8",)),)),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/31", "except": ["10.0.0.0/32"]}]},
            (CidrMatch(prefixes=("10.0.0.1/32",)),),
        ),
    ],
)
def test_peers(member: dict[str, object], peers: tuple[object, ...]) -> None:
    """Each L3 member means its peers; none means anybody; no namespace key means the policy's own."""
    assert rules({**member, "toPorts": PORT_1}) == (
        ReadRule(peers=peers, protocol=Protocol.TCP, ports=PortSet.of(1)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("member", [{"fromEndpoints": []}, {"fromEntities": []}, {"fromCIDRSet": []}])
def test_an_empty_member_is_nobody(member: dict[str, object]) -> None:
    """A list that is there and empty selects nobody."""
    assert rules({**member, "toPorts": PORT_1}) == ()


def test_l3_alone_allows_every_protocol() -> None:
    """Without toPorts and icmps everything passes, ICMP included."""
    assert {rule.protocol for rule in rules({"fromEntities": ["world"]})} == set(Protocol)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": "53", "protocol": "UDP"}, {Protocol.UDP: PortSet.of(53)}),
        ({"port": "0", "protocol": "TCP"}, {Protocol.TCP: PortSet.all()}),
        ({"port": "53"}, {p: PortSet.of(53) for p in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)}),
        ({"port": "53", "protocol": "ANY"}, {p: PortSet.of(53) for p in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)}),
    ],
)
def test_ports(port: dict[str, object], expected: dict[Protocol, PortSet]) -> None:
    """Port 0 is every port, and ANY (the default) is TCP, UDP and SCTP without ICMP."""
    assert {rule.protocol: rule.ports for rule in rules({"toPorts": [{"ports": [port]}]})} == expected


def test_specs_give_one_policy_each() -> None:
    """Every item of specs is read like a spec."""
    specs: list[dict[str, object]] = [
        {"endpointSelector": {}, "ingress": [{}]},
        {"endpointSelector": {}, "egress": [{}]},
    ]
    policies, diagnostics = read({**HEAD, "specs": specs}, "f:1")
    assert diagnostics == ()
    assert [policy.direction for policy in policies] == [Direction.INGRESS, Direction.EGRESS]


@pytest.mark.parametrize(
    "rule",
    [
        {"fromEndpoints": [{}], "fromEntities": ["world"]},
        {"toPorts": PORT_1, "icmps": [{"fields": [{"type": 8}]}]},
        {"fromEndpoints": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]},
        {"fromEndpoints": [{"matchLabels": {"reserved:host": ""}}]},
        {"fromEndpoints": [{"matchLabels": {"k8s:": "x"}}]},
        {"fromEndpoints": [{"matchLabels": {"k8s:app": "x", "any:app": "y"}}]},
        {"fromEndpoints": [{"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.env": "prod"}}]},
        {"fromEndpoints": [{"matchLabels": {"k8s:pod-template-hash": "abc"}}]},
        {"fromEndpoints": [{"matchLabels": {"k8s:statefulset.kubernetes.io/pod-name": "web-0"}}]},
        {"fromEntities": ["cluster"]},
        {"fromEntities": ["world-ipv4"]},
        {"fromEntities": [None]},
        {"fromCIDR": ["10.0.0.1"]},
        {"fromCIDRSet": [{"cidrGroupRef": "g"}]},
        {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]},
        {"fromNodes": [{}]},
        {"fromRequires": [{}]},
        {"toEndpoints": [{}]},
        {"authentication": {"mode": "required"}},
        {"toPorts": []},
        {"toPorts": [{}]},
        {"toPorts": [{"ports": []}]},
        {"toPorts": [{"ports": [{"port": str(n), "protocol": "TCP"} for n in range(1, 42)]}]},
        {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{}]}}]},
        {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "serverNames": ["x"]}]},
        {"toPorts": [{"ports": [{"port": 80, "protocol": "TCP"}]}]},
        {"toPorts": [{"ports": [{"port": "http", "protocol": "TCP"}]}]},
        {"toPorts": [{"ports": [{"port": "70000", "protocol": "TCP"}]}]},
        {"toPorts": [{"ports": [{"port": "0", "protocol": "ANY"}]}]},
        {"toPorts": [{"ports": [{"port": "0", "endPort": 9, "protocol": "TCP"}]}]},
        {"toPorts": [{"ports": [{"port": "10", "endPort": 9, "protocol": "TCP"}]}]},
        {"toPorts": [{"ports": [{"port": "10", "protocol": "GRE"}]}]},
        {"icmps": []},
        {"icmps": [{"fields": []}]},
        {"icmps": [{"fields": [{"type": "EchoRequest"}]}]},
        {"icmps": [{"fields": [{"type": 256}]}]},
        {"icmps": [{"fields": [{"family": "IPv5", "type": 8}]}]},
        None,
    ],
)
def test_rules_outside_the_subset_are_reported(rule: object) -> None:
    """A rule that is not evaluated is an error and makes the policy incomplete."""
    (policy,), diagnostics = read(manifest(ingress=[rule]), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert "spec.ingress[0]" in diagnostics[0].message
    assert (policy.complete, policy.rules) == (False, ())


@pytest.mark.parametrize(
    "spec",
    [
        {"endpointSelector": None},
        {"endpointSelector": {"matchExpressions": [{}]}},
        {"endpointSelector": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "other"}}},
        {"nodeSelector": {}},
        {"enableDefaultDeny": {"ingress": "false"}},
        {"enableDefaultDeny": {"both": False}},
        {"enableDefaultDeny": False},
        {"extra": 1},
    ],
)
def test_specs_outside_the_subset_may_do_anything(spec: dict[str, object]) -> None:
    """Unknown fields, postures and subjects make both directions of the namespace unknown."""
    policies, diagnostics = read(manifest(ingress=[{}], **spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(p.subject, p.direction, p.complete) for p in policies] == [
        (PodMatch(namespace="shop"), direction, False) for direction in Direction
    ]


@pytest.mark.parametrize(
    ("spec", "reported", "expected"),
    [
        ({"ingress": [ANY_1], "ingressDeny": [{}]}, {"spec.ingressDeny"}, {Direction.INGRESS: (False, 1)}),
        (
            {"ingress": [ANY_1], "egressDeny": [{"toEntities": ["world"]}]},
            {"spec.egressDeny"},
            {Direction.INGRESS: (True, 1), Direction.EGRESS: (False, 0)},
        ),
        (
            {"ingressDeny": [{}], "egressDeny": [{}]},
            {"spec.ingressDeny", "spec.egressDeny"},
            {Direction.INGRESS: (False, 0), Direction.EGRESS: (False, 0)},
        ),
    ],
)
def test_deny_rules_leave_their_direction_unknown_for_exactly_their_subject(
    spec: dict[str, object], reported: set[str], expected: dict[Direction, tuple[bool, int]]
) -> None:
    """What denies is not evaluated: its direction is incomplete; its subject and the other direction are read."""
    chosen = {"matchLabels": {"k8s:app": "x", ACCOUNT: "sa"}}
    policies, diagnostics = read(manifest(endpointSelector=chosen, **spec), "f:1")
    assert set(codes(diagnostics)) == {"not-evaluated"}
    assert {item.message.partition(":")[0] for item in diagnostics} == reported
    assert {policy.subject for policy in policies} == {PodMatch(namespace="shop", labels=APP_X, service_account="sa")}
    assert {policy.direction: (policy.complete, len(policy.rules)) for policy in policies} == expected
    assert all(policy.isolates for policy in policies)


def test_an_empty_deny_section_denies_nothing() -> None:
    """An empty list is no rule: it neither makes a direction unknown nor selects one."""
    (policy,), diagnostics = read(manifest(ingress=[{}], ingressDeny=[], egressDeny=[]), "f:1")
    assert (policy.direction, policy.complete, diagnostics) == (Direction.INGRESS, True, ())


def test_a_deny_that_isolates_nothing_stays_unknown() -> None:
    """Switching the default deny off switches no deny rule off: the direction stays incomplete."""
    (policy,), diagnostics = read(manifest(ingressDeny=[{}], enableDefaultDeny={"ingress": False}), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert (policy.direction, policy.isolates, policy.complete) == (Direction.INGRESS, False, False)


def test_missing_spec_is_reported() -> None:
    """A policy with neither spec nor specs is an error."""
    assert codes(read(HEAD, "f:1")[1]) == ["not-evaluated"]


def test_clusterwide_policies_make_everything_unknown() -> None:
    """CiliumClusterwideNetworkPolicy is not evaluated and stands for anything, anywhere."""
    policies, diagnostics = read({**HEAD, "kind": "CiliumClusterwideNetworkPolicy"}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(p.subject, p.complete) for p in policies] == [(PodMatch(), False)] * 2
    assert read({**HEAD, "kind": "CiliumCIDRGroup"}, "f:1")[0] == ()
