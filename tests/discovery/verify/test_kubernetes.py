"""Tests of discovery.verify.kubernetes: one construct at a time, by the API reference."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.conditions import NAMESPACE_NAME, Operator, Requirement, Scope
from discovery.verify.kubernetes import read
from discovery.verify.rules import AnyMatch, CidrMatch, PeerMatch, PodMatch, ReadPolicy, ReadRule
from tests.discovery.verify.builders import codes, document

HEAD = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}}

WHOLE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deployment-web
  namespace: shop
  labels: {app.kubernetes.io/managed-by: policy-discovery}
spec:
  podSelector:
    matchLabels: {app: web, policy-discovery/enforce: "true"}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}
          podSelector: {matchLabels: {app: proxy}}
      ports:
        - {protocol: TCP, port: 8080}
        - {protocol: TCP, port: 9000, endPort: 9010}
        - {protocol: UDP, port: 53}
  egress:
    - to:
        - ipBlock: {cidr: 192.0.2.0/25}
        - ipBlock: {cidr: 192.0.2.128/25}
      ports:
        - {protocol: TCP, port: 443}
"""


def manifest(**spec: object) -> dict[str, Any]:
    """Return a NetworkPolicy for all pods of shop."""
    return {**HEAD, "spec": {"podSelector": {}, **spec}}


def rules(direction: Direction, **spec: object) -> tuple[ReadRule, ...]:
    """Return the rules of one direction; nothing may be reported."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert diagnostics == ()
    return next(p.rules for p in policies if p.direction is direction)


def test_a_whole_manifest() -> None:
    """Subject, opt-in, both directions, peers and ports of a manifest are read exactly."""
    policies, diagnostics = read(document(WHOLE), "f.yaml:1")
    common: dict[str, Any] = {
        "dialect": Dialect.KUBERNETES,
        "kind": "NetworkPolicy",
        "name": "deployment-web",
        "namespace": "shop",
        "subject": PodMatch(namespace="shop", labels=Labels.of({"app": "web"})),
        "opt_in": True,
        "isolates": True,
        "staged": False,
        "source": "f.yaml:1",
    }
    proxy = (PodMatch(namespace="edge", labels=Labels.of({"app": "proxy"})),)
    assert diagnostics == ()
    assert set(policies) == {
        ReadPolicy(
            **common,
            direction=Direction.INGRESS,
            needs=("endPort",),
            rules=(
                ReadRule(peers=proxy, protocol=Protocol.TCP, ports=PortSet(((8080, 8080), (9000, 9010)))),
                ReadRule(peers=proxy, protocol=Protocol.UDP, ports=PortSet.of(53)),
            ),
        ),
        ReadPolicy(
            **common,
            direction=Direction.EGRESS,
            rules=(
                ReadRule(peers=(CidrMatch(prefixes=("192.0.2.0/24",)),), protocol=Protocol.TCP, ports=PortSet.of(443)),
            ),
        ),
    }


def test_staged_kind_is_staged() -> None:
    """StagedKubernetesNetworkPolicy has the same fields, is staged, and needs a Calico that knows it."""
    staged = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "StagedKubernetesNetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"stagedAction": "Set", "podSelector": {}, "policyTypes": ["Ingress"]},
    }
    (policy,), diagnostics = read(staged, "f:1")
    assert diagnostics == ()
    assert (policy.staged, policy.isolates, policy.needs, policy.dialect) == (
        True,
        True,
        ("staged",),
        Dialect.KUBERNETES,
    )
    _, diagnostics = read({**staged, "spec": {"stagedAction": "Delete"}}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, [Direction.INGRESS]),
        ({"policyTypes": []}, [Direction.INGRESS]),
        ({"egress": []}, [Direction.INGRESS]),
        ({"egress": [{}]}, [Direction.EGRESS, Direction.INGRESS]),
        ({"policyTypes": ["Egress"]}, [Direction.EGRESS]),
        ({"policyTypes": ["Ingress", "Egress"]}, [Direction.EGRESS, Direction.INGRESS]),
    ],
)
def test_policy_types_default_as_the_api_says(spec: dict[str, object], directions: list[Direction]) -> None:
    """Missing types mean ingress, and egress only when it has rules."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert sorted(policy.direction for policy in policies) == directions
    assert diagnostics == ()


def test_rules_of_an_undeclared_direction_do_nothing_and_are_reported() -> None:
    """Egress rules beside policyTypes [Ingress] isolate nothing and give a warning."""
    policies, diagnostics = read(manifest(policyTypes=["Ingress"], egress=[{}]), "f:1")
    assert [policy.direction for policy in policies] == [Direction.INGRESS]
    assert codes(diagnostics) == ["no-effect"]


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None, "ports": None}, {"ports": []}])
def test_empty_rule_allows_everything(rule: dict[str, object]) -> None:
    """Missing or empty from and ports mean any peer and any protocol."""
    found = rules(Direction.INGRESS, ingress=[rule])
    expected = [*sorted(p for p in Protocol if p.has_ports), Protocol.ICMP, Protocol.ICMPV6]
    assert [r.protocol for r in found] == expected
    assert {r.peers for r in found} == {(AnyMatch(),)}


@pytest.mark.parametrize("value", [None, []])
def test_no_rules_isolate_and_allow_nothing(value: object) -> None:
    """A declared direction without rules denies all."""
    assert rules(Direction.INGRESS, policyTypes=["Ingress"], ingress=value) == ()


@pytest.mark.parametrize(
    ("peer", "match"),
    [
        ({"podSelector": {}}, PodMatch(namespace="shop")),
        ({"podSelector": {"matchLabels": None}}, PodMatch(namespace="shop")),
        ({"podSelector": {"matchLabels": {"a": "b"}}}, PodMatch(namespace="shop", labels=Labels.of({"a": "b"}))),
        ({"namespaceSelector": {}}, PodMatch()),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}, PodMatch(labels=Labels.of({"a": "b"}))),
        (
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "x", "env": "prod"}}},
            PodMatch(namespace="x", namespace_labels=Labels.of({"env": "prod"})),
        ),
        ({"ipBlock": {"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31"]}}, CidrMatch(prefixes=("10.0.0.2/31",))),
    ],
)
def test_peers(peer: dict[str, object], match: PeerMatch) -> None:
    """Selectors without a namespace stay at home, both in one item are AND, and except is subtracted."""
    (found,) = rules(Direction.INGRESS, ingress=[{"from": [peer], "ports": [{"port": 1}]}])
    assert found == ReadRule(peers=(match,), protocol=Protocol.TCP, ports=PortSet.of(1))


@pytest.mark.parametrize(
    ("port", "protocol", "ports"),
    [
        ({}, Protocol.TCP, PortSet.all()),
        ({"port": 80}, Protocol.TCP, PortSet.of(80)),
        ({"protocol": "SCTP"}, Protocol.SCTP, PortSet.all()),
        ({"protocol": "UDP", "port": 5, "endPort": 6}, Protocol.UDP, PortSet(((5, 6),))),
    ],
)
def test_ports(port: dict[str, object], protocol: Protocol, ports: PortSet) -> None:
    """The protocol defaults to TCP and a missing port means all of them."""
    assert rules(Direction.EGRESS, egress=[{"ports": [port]}]) == (
        ReadRule(peers=(AnyMatch(),), protocol=protocol, ports=ports),
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{}]},
        {"from": [None]},
        {"from": {"podSelector": {}}},
        {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]},
        {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]},
        {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}]},
        {"from": [{"podSelector": {"matchLabels": {"a": 1}}}]},
        {"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}]},
        {"from": [{"ipBlock": {}}]},
        {"to": [{"podSelector": {}}]},
        {"ports": [{"port": "80"}]},
        {"ports": [{"port": "a--b"}]},
        {"ports": [{"port": "http", "endPort": 90}]},
        {"ports": [{"port": True}]},
        {"ports": [{"port": 0}]},
        {"ports": [{"port": 65536}]},
        {"ports": [{"port": 80, "endPort": 79}]},
        {"ports": [{"endPort": 79}]},
        {"ports": [{"port": 80, "protocol": "ICMP"}]},
        {"ports": [{"port": 80, "protocol": "tcp"}]},
        {"ports": [{"port": 80, "name": "x"}]},
        {"ports": "80"},
        {"unknown": 1},
        None,
        "rule",
    ],
)
def test_rules_outside_the_subset_are_reported_and_the_rest_is_kept(rule: object) -> None:
    """A rule that is not evaluated is a located error and makes the policy incomplete; other rules stay."""
    policies, diagnostics = read(manifest(ingress=[{"ports": [{"port": 1}]}, rule]), "f.yaml:7")
    assert [(d.code, d.level, d.subject) for d in diagnostics] == [("not-evaluated", Level.ERROR, "f.yaml:7")]
    assert "spec.ingress[1]" in diagnostics[0].message
    assert [(p.complete, len(p.rules)) for p in policies] == [(False, 1)]


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}},
        {"podSelector": []},
        {"podSelector": "x"},
        {"policyTypes": ["Both"]},
        {"policyTypes": "Ingress"},
        {"policyTypes": [{}]},
        {"serviceSelector": {}},
    ],
)
def test_a_subject_or_type_outside_the_subset_may_be_anything(spec: dict[str, object]) -> None:
    """When subject or types are not evaluated, both directions of the whole namespace are unknown."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(p.subject, p.direction, p.complete) for p in policies] == [
        (PodMatch(namespace="shop"), direction, False) for direction in Direction
    ]


def test_a_missing_namespace_is_a_warning() -> None:
    """Without metadata.namespace the policy is read in default, and that is said."""
    policies, diagnostics = read({**manifest(), "metadata": {"name": "p"}}, "f:1")
    assert [p.namespace for p in policies] == ["default"]
    assert [(d.code, d.level) for d in diagnostics] == [("namespace-assumed", Level.WARNING)]


@pytest.mark.parametrize("metadata", [None, {}, {"name": 3}, {"name": "p", "namespace": 3}, []])
def test_unusable_metadata_is_refused(metadata: object) -> None:
    """A manifest that no API server would accept gives an error and no policy."""
    policies, diagnostics = read({**HEAD, "metadata": metadata}, "f:1")
    assert (policies, codes(diagnostics)) == ((), ["not-evaluated"])


def test_expressions_become_conditions() -> None:
    """``In`` with one value is a pair; the other operators are conditions on labels of pods or of namespaces."""
    expressions = [
        {"key": "app", "operator": "In", "values": ["web"]},
        {"key": "tier", "operator": "NotIn", "values": ["b", "a"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    policies, diagnostics = read(
        manifest(
            podSelector={"matchExpressions": expressions},
            ingress=[
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchExpressions": [{"key": NAMESPACE_NAME, "operator": "NotIn", "values": ["dev"]}]
                            }
                        }
                    ]
                }
            ],
        ),
        "f:1",
    )
    assert diagnostics == ()
    subject = policies[0].subject
    assert subject.labels == Labels.of({"app": "web"})
    assert subject.where == (
        Requirement(scope=Scope.POD, key="old", operator=Operator.LACKS),
        Requirement(scope=Scope.POD, key="tier", operator=Operator.NOT_IN, values=("a", "b")),
    )
    (peer,) = policies[0].rules[0].peers
    where = Requirement(scope=Scope.NAMESPACE, key=NAMESPACE_NAME, operator=Operator.NOT_IN, values=("dev",))
    assert peer == PodMatch(where=(where,))


def test_ports_by_name_are_rules_of_their_own() -> None:
    """Numbers and names of one protocol are two rules, because a name has a number only at a server."""
    policies, diagnostics = read(
        manifest(ingress=[{"ports": [{"port": 80}, {"port": "http"}, {"port": "web"}]}]), "f:1"
    )
    assert diagnostics == ()
    assert [(rule.ports, rule.names) for rule in policies[0].rules] == [
        (PortSet.of(80), ()),
        (PortSet(), ("http", "web")),
    ]
