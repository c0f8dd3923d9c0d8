"""Tests of discovery.verify.calico: one construct at a time, by the policy reference."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.calico import read
from discovery.verify.rules import ALL_ICMP_TYPES, AnyMatch, CidrMatch, PodMatch, ReadPolicy, ReadRule
from tests.discovery.verify.builders import codes, document

HEAD = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
}
PORT_1 = {"ports": [1]}


def manifest(**spec: object) -> dict[str, Any]:
    """Return a Calico NetworkPolicy for all pods of shop."""
    return {**HEAD, "spec": {"selector": "all()", **spec}}


def rules(rule: dict[str, object]) -> tuple[ReadRule, ...]:
    """Return what one ingress rule says; nothing may be reported."""
    (policy,), diagnostics = read(manifest(ingress=[{"action": "Allow", **rule}]), "f:1")
    assert diagnostics == ()
    return policy.rules


def test_a_whole_manifest() -> None:
    """Subject, staging, peers, ports and ICMP of a manifest are read exactly."""
    policies, diagnostics = read(
        document("""
            apiVersion: projectcalico.org/v3
            kind: StagedNetworkPolicy
            metadata: {name: deployment-web, namespace: shop}
            spec:
              stagedAction: Set
              tier: default
              order: 900
              selector: app == 'web'
              serviceAccountSelector: projectcalico.org/name == 'web-sa'
              types: [Ingress, Egress]
              ingress:
                - action: Allow
                  protocol: TCP
                  source:
                    selector: app == 'proxy' && tier == 'edge'
                    namespaceSelector: kubernetes.io/metadata.name == 'edge'
                    serviceAccounts: {names: [proxy-sa]}
                  destination: {ports: [8080, "9000:9010"]}
              egress:
                - action: Allow
                  protocol: ICMP
                  icmp: {type: 8}
                  destination: {nets: [192.0.2.0/24]}
        """),
        "f.yaml:1",
    )
    common = {
        "dialect": Dialect.CALICO,
        "kind": "StagedNetworkPolicy",
        "name": "deployment-web",
        "namespace": "shop",
        "subject": PodMatch(namespace="shop", labels=Labels.of({"app": "web"}), service_account="web-sa"),
        "opt_in": False,
        "isolates": True,
        "staged": True,
        "source": "f.yaml:1",
        "needs": ("staged",),
    }
    proxy = PodMatch(namespace="edge", labels=Labels.of({"app": "proxy", "tier": "edge"}), service_account="proxy-sa")
    assert diagnostics == ()
    assert set(policies) == {
        ReadPolicy(
            **common,  # type: ignore[arg-type]
            direction=Direction.INGRESS,
            rules=(ReadRule(peers=(proxy,), protocol=Protocol.TCP, ports=PortSet(((8080, 8080), (9000, 9010)))),),
        ),
        ReadPolicy(
            **common,  # type: ignore[arg-type]
            direction=Direction.EGRESS,
            rules=(ReadRule(peers=(CidrMatch(prefixes=("192.0.2.0/24",)),), protocol=Protocol.ICMP, icmp_types=(8,)),),
        ),
    }


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, [Direction.INGRESS]),
        ({"egress": [{"action": "Allow"}]}, [Direction.EGRESS]),
        ({"ingress": [{"action": "Allow"}]}, [Direction.INGRESS]),
        (
            {"ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}]},
            [Direction.EGRESS, Direction.INGRESS],
        ),
        ({"types": ["Egress"]}, [Direction.EGRESS]),
    ],
)
def test_types_default_as_calico_says(spec: dict[str, object], directions: list[Direction]) -> None:
    """Missing types follow from the rules, and are ingress when there is none."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert [policy.direction for policy in policies] == directions
    assert diagnostics == ()


def test_rules_of_an_undeclared_type_do_nothing_and_are_reported() -> None:
    """Egress rules beside types [Ingress] isolate nothing and give a warning."""
    policies, diagnostics = read(manifest(types=["Ingress"], egress=[{"action": "Allow"}]), "f:1")
    assert [policy.direction for policy in policies] == [Direction.INGRESS]
    assert codes(diagnostics) == ["no-effect"]


@pytest.mark.parametrize(
    ("source", "peers"),
    [
        ({}, (AnyMatch(),)),
        (None, (AnyMatch(),)),
        ({"selector": "app == 'x'"}, (PodMatch(namespace="shop", labels=Labels.of({"app": "x"})),)),
        ({"selector": "all()", "namespaceSelector": "all()"}, (PodMatch(),)),
        ({"namespaceSelector": "kubernetes.io/metadata.name == 'n'"}, (PodMatch(namespace="n"),)),
        ({"namespaceSelector": "projectcalico.org/name == 'n'"}, (PodMatch(namespace="n"),)),
        ({"namespaceSelector": "env == 'prod'"}, (PodMatch(namespace_labels=Labels.of({"env": "prod"})),)),
        (
            {"serviceAccounts": {"names": ["a", "b"]}},
            (PodMatch(namespace="shop", service_account="a"), PodMatch(namespace="shop", service_account="b")),
        ),
        ({"nets": ["10.0.0.0/8", "10.0.0.0/9"]}, (CidrMatch(prefixes=("10.0.0.0/8",)),)),
    ],
)
def test_peers(source: object, peers: tuple[object, ...]) -> None:
    """Without a namespaceSelector selectors stay at home; nothing at all is anybody."""
    assert rules({"protocol": "TCP", "source": source, "destination": PORT_1}) == (
        ReadRule(peers=peers, protocol=Protocol.TCP, ports=PortSet.of(1)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"protocol": "TCP"}, [(Protocol.TCP, PortSet.all(), ())]),
        ({"protocol": "ICMP"}, [(Protocol.ICMP, PortSet(), ALL_ICMP_TYPES)]),
        ({"protocol": "ICMPv6", "icmp": {"type": 128}}, [(Protocol.ICMPV6, PortSet(), (128,))]),
        ({"protocol": "ICMP", "ipVersion": 4, "icmp": {"type": 0}}, [(Protocol.ICMP, PortSet(), (0,))]),
        ({"protocol": "UDP", "destination": {"ports": ["53", 5353]}}, [(Protocol.UDP, PortSet.of(53, 5353), ())]),
    ],
)
def test_protocols(rule: dict[str, object], expected: list[object]) -> None:
    """Missing ports or types mean all of them."""
    assert [(r.protocol, r.ports, r.icmp_types) for r in rules(rule)] == expected


def test_no_protocol_is_every_protocol() -> None:
    """A rule without protocol covers ICMP as well."""
    assert {rule.protocol for rule in rules({})} == set(Protocol)


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "Deny"},
        {"action": "Pass"},
        {"action": "Log"},
        {"action": None},
        {"protocol": 6},
        {"protocol": "tcp"},
        {"protocol": "UDPLite"},
        {"notProtocol": "TCP"},
        {"ipVersion": 4},
        {"protocol": "ICMP", "ipVersion": 6},
        {"protocol": "ICMP", "ipVersion": [4]},
        {"protocol": "ICMPv6", "source": {"nets": ["10.0.0.0/8"]}},
        {"protocol": "ICMP", "icmp": {"type": 255}},
        {"protocol": "ICMP", "icmp": {"type": 8, "code": 0}},
        {"protocol": "ICMP", "icmp": {}},
        {"protocol": "TCP", "icmp": {"type": 8}},
        {"protocol": "ICMP", "destination": PORT_1},
        {"destination": PORT_1},
        {"protocol": "TCP", "destination": {"ports": ["http"]}},
        {"protocol": "TCP", "destination": {"ports": ["9:8"]}},
        {"protocol": "TCP", "destination": {"ports": [True]}},
        {"protocol": "TCP", "destination": {"ports": [70000]}},
        {"protocol": "TCP", "destination": {"notPorts": [1]}},
        {"protocol": "TCP", "source": {"ports": [1]}},
        {"protocol": "TCP", "destination": {"selector": "all()"}},
        {"source": {"notSelector": "all()"}},
        {"source": {"selector": "has(app)"}},
        {"source": {"selector": "projectcalico.org/namespace == 'x'"}},
        {"source": {"namespaceSelector": "global()"}},
        {"source": {"namespaceSelector": "projectcalico.org/name == 'a' && kubernetes.io/metadata.name == 'b'"}},
        {"source": {"nets": ["10.0.0.0/8"], "selector": "all()"}},
        {"source": {"nets": ["10.0.0.0/8", "2001:db8::/32"]}},
        {"source": {"nets": ["10.0.0.1"]}},
        {"source": {"nets": []}},
        {"source": {"notNets": ["10.0.0.0/8"]}},
        {"source": {"services": {"name": "x"}}},
        {"source": {"serviceAccounts": {"selector": "all()"}}},
        {"source": {"serviceAccounts": {"names": []}}},
        {"http": {"methods": ["GET"]}},
        {"metadata": {"annotations": {}}},
    ],
)
def test_rules_outside_the_subset_are_reported(rule: dict[str, object]) -> None:
    """A rule that is not evaluated is an error and makes the policy incomplete."""
    (policy,), diagnostics = read(manifest(ingress=[{"action": "Allow", **rule}]), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert "spec.ingress[0]" in diagnostics[0].message
    assert (policy.complete, policy.rules) == (False, ())


def test_egress_has_no_source() -> None:
    """A source in an egress rule narrows it in a way that is not evaluated."""
    _, diagnostics = read(manifest(egress=[{"action": "Allow", "source": {"nets": ["10.0.0.0/8"]}}]), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]


@pytest.mark.parametrize(
    "spec",
    [
        {"tier": ["security"]},
        {"order": "900"},
        {"order": True},
        {"selector": "has(app)"},
        {"selector": 3},
        {"serviceAccountSelector": "team == 'x'"},
        {"types": ["Ingress", "Ingress"]},
        {"types": ["Both"]},
        {"doNotTrack": True},
        {"stagedAction": "Set"},
    ],
)
def test_specs_outside_the_subset_may_do_anything(spec: dict[str, object]) -> None:
    """Unreadable tiers, orders and subjects make both directions of the namespace unknown."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(p.subject, p.direction, p.complete) for p in policies] == [
        (PodMatch(namespace="shop"), direction, False) for direction in Direction
    ]


@pytest.mark.parametrize(
    ("api", "kind", "staged"),
    [
        ("projectcalico.org/v3", "GlobalNetworkPolicy", [False, False]),
        ("projectcalico.org/v3", "StagedGlobalNetworkPolicy", [True, True]),
        ("crd.projectcalico.org/v1", "NetworkPolicy", [False, False]),
        ("projectcalico.org/v3", "NetworkSet", []),
    ],
)
def test_other_kinds_are_reported(api: str, kind: str, staged: list[bool]) -> None:
    """Policy kinds outside the subset stand for anything; other kinds are only reported."""
    policies, diagnostics = read({**HEAD, "apiVersion": api, "kind": kind}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [policy.staged for policy in policies] == staged
    assert not any(policy.complete for policy in policies)


@pytest.mark.parametrize("action", ["Delete", "Learn", "Ignore", 1])
def test_other_staged_actions_are_reported(action: object) -> None:
    """Only stagedAction Set is evaluated."""
    staged = {**manifest(stagedAction=action), "kind": "StagedNetworkPolicy"}
    policies, diagnostics = read(staged, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert all(policy.staged for policy in policies)
