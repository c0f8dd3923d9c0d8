"""Tests of discovery.verify.cilium: kinds, scopes, subjects, sections and postures, by Cilium's policy reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels
from discovery.verify.cilium import read
from discovery.verify.conditions import Operator, Requirement, Scope
from discovery.verify.context import CidrGroup, Context
from discovery.verify.layer7 import HttpMatch
from discovery.verify.nets import parse_prefix
from discovery.verify.rules import (
    Action,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    NameMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    UnclearMatch,
)
from tests.discovery.verify.builders import codes, document

HEAD = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}}
CLUSTERWIDE = "CiliumClusterwideNetworkPolicy"
APP_X = Labels.of({"app": "x"})
PORT_1 = [{"ports": [{"port": "1", "protocol": "TCP"}]}]
ANY_1 = {"toPorts": PORT_1}
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY = Action.ALLOW, Action.DENY

WHOLE = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deployment-web, namespace: shop}
spec:
  description: all of it
  labels: [{key: a, value: b, source: k8s}]
  log: {value: x}
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
  egressDeny:
    - toCIDR: [192.0.2.7/32]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
status: {conditions: []}
"""


def manifest(kind: str = "CiliumNetworkPolicy", /, **spec: Any) -> dict[str, Any]:
    """Return a Cilium policy for all pods of its scope."""
    return {**HEAD, "kind": kind, "spec": {"endpointSelector": {}, **spec}}


def rules(rule: Mapping[str, object], section: str = "ingress") -> tuple[ReadRule, ...]:
    """Return what one rule says; nothing may be reported."""
    (policy,), diagnostics = read(manifest(**{section: [rule]}), "f:1")
    assert diagnostics == ()
    return policy.rules


def test_a_whole_manifest() -> None:
    """Subject with its special keys, posture, peers, ports, ICMP and denies of a manifest are read exactly."""
    policies, diagnostics = read(document(WHOLE), "f.yaml:1")
    common: dict[str, Any] = {
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
    net, one = ((CidrMatch(prefixes=(prefix,)),) for prefix in ("192.0.2.0/24", "192.0.2.7/32"))
    assert diagnostics == ()
    assert set(policies) == {
        ReadPolicy(
            **common,
            direction=INGRESS,
            needs=("enableDefaultDeny", "endPort"),
            rules=(
                ReadRule(peers=pods, protocol=Protocol.TCP, ports=PortSet(((8080, 8080), (9000, 9010)))),
                ReadRule(peers=nodes, protocol=Protocol.ICMP, icmp_types=(8,)),
                ReadRule(peers=nodes, protocol=Protocol.ICMPV6, icmp_types=(128,)),
            ),
        ),
        ReadPolicy(
            **common,
            direction=EGRESS,
            needs=("enableDefaultDeny",),
            rules=(
                ReadRule(peers=net, protocol=Protocol.TCP, ports=PortSet.of(443)),
                ReadRule(peers=one, protocol=Protocol.TCP, ports=PortSet.of(443), action=DENY),
            ),
        ),
    }


@pytest.mark.parametrize(
    ("posture", "isolates", "needs"),
    [
        (None, True, ()),
        ({}, True, ()),
        ({"ingress": None}, True, ()),
        ({"ingress": True}, True, ()),
        ({"ingress": False}, False, ("enableDefaultDeny",)),
        ({"egress": False}, True, ("enableDefaultDeny",)),
        ({"ingress": False, "egress": True}, False, ("enableDefaultDeny",)),
    ],
)
def test_default_deny(posture: object, isolates: bool, needs: tuple[str, ...]) -> None:
    """A direction with rules isolates unless enableDefaultDeny says false for it."""
    (policy, *_), _ = read(manifest(ingress=[ANY_1], enableDefaultDeny=posture), "f:1")
    assert (policy.direction, policy.isolates, policy.needs) == (INGRESS, isolates, needs)


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({"ingress": [{}]}, {INGRESS}),
        ({"egress": [{}]}, {EGRESS}),
        ({"ingressDeny": [{"fromEntities": ["world"]}]}, {INGRESS}),
        ({"egressDeny": [{"toEntities": ["world"]}]}, {EGRESS}),
        ({"ingress": [{}], "egressDeny": [{"toEntities": ["world"]}]}, {INGRESS, EGRESS}),
        ({"ingress": [{}], "ingressDeny": [], "egressDeny": None}, {INGRESS}),
    ],
)
def test_directions_are_selected_by_their_sections(spec: dict[str, object], directions: set[Direction]) -> None:
    """A section with rules, of allows or of denies, selects its direction and isolates it."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert diagnostics == ()
    assert {policy.direction for policy in policies} == directions
    assert all(policy.isolates and policy.complete for policy in policies)


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": []},
        {"ingress": [{}], "egress": []},
        {"ingress": [{}], "enableDefaultDeny": {"egress": True}},
        {"ingress": [], "ingressDeny": [], "egress": [], "egressDeny": []},
        {},
    ],
)
def test_directions_without_rules_do_nothing_and_are_reported(spec: dict[str, object]) -> None:
    """An empty list or a posture without rules selects no direction, and that is said."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert all(policy.direction is INGRESS for policy in policies)
    assert set(codes(diagnostics)) == {"no-effect"}


@pytest.mark.parametrize("value", [{}, "", 0, False])
def test_sections_are_lists_even_when_empty(value: object) -> None:
    """Malformed content is a finding, also where it is falsy."""
    assert "not-evaluated" in codes(read(manifest(ingress=[{}], egress=value), "f:1")[1])


@pytest.mark.parametrize("section", ["ingress", "egress"])
def test_the_empty_rule_isolates_and_allows_nothing(section: str) -> None:
    """``[{}]`` is the default deny, unlike the empty rule of Kubernetes."""
    assert rules({}, section) == ()


def test_what_an_empty_deny_denies_is_left_open() -> None:
    """The direction is unknown: it may deny anything."""
    (policy,), diagnostics = read(manifest(ingress=[ANY_1], ingressDeny=[{}]), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith("spec.ingressDeny[0]: ")
    assert (policy.unread, len(policy.rules)) == (frozenset({DENY}), 1)


FROM_MEMBERS: list[tuple[str, list[object], PeerMatch]] = [
    ("Endpoints", [{"matchLabels": {"app": "x"}}], PodMatch(namespace="shop", labels=APP_X)),
    ("Endpoints", [{}], PodMatch(namespace="shop")),
    ("Entities", ["world"], EntityMatch(entity=Entity.WORLD)),
    ("Entities", ["all"], AnyMatch()),
    ("CIDR", ["10.0.0.0/8"], CidrMatch(prefixes=("10.0.0.0/8",))),
    ("CIDRSet", [{"cidr": "10.0.0.0/31", "except": ["10.0.0.0/32"]}], CidrMatch(prefixes=("10.0.0.1/32",))),
]


@pytest.mark.parametrize(("prefix", "direction"), [("from", INGRESS), ("to", EGRESS)])
@pytest.mark.parametrize("action", [ALLOW, DENY])
@pytest.mark.parametrize(("kind", "value", "peer"), FROM_MEMBERS)
def test_members(
    kind: str, value: list[object], peer: PeerMatch, action: Action, prefix: str, direction: Direction
) -> None:
    """Each L3 member means its peers in all four sections."""
    section = direction.value + ("Deny" if action is DENY else "")
    assert rules({f"{prefix}{kind}": value, "toPorts": PORT_1}, section) == (
        ReadRule(peers=(peer,), protocol=Protocol.TCP, ports=PortSet.of(1), action=action),
    )


@pytest.mark.parametrize("section", ["ingress", "egress", "ingressDeny", "egressDeny"])
def test_no_member_is_anybody(section: str) -> None:
    """Ports alone are about every peer."""
    (rule,) = rules(ANY_1, section)
    assert rule.peers == (AnyMatch(),)
    (rule,) = rules({"icmps": [{"fields": [{"type": 8}]}]}, section)
    assert (rule.peers, rule.protocol, rule.icmp_types) == ((AnyMatch(),), Protocol.ICMP, (8,))


@pytest.mark.parametrize("section", ["ingress", "ingressDeny"])
@pytest.mark.parametrize("kind", ["Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups"])
def test_an_empty_member_is_nobody(kind: str, section: str) -> None:
    """A list that is there and empty selects nobody, with ports or without."""
    assert rules({f"from{kind}": [], "toPorts": PORT_1}, section) == ()
    assert rules({f"from{kind}": []}, section) == ()


@pytest.mark.parametrize("section", ["ingress", "ingressDeny"])
def test_a_member_alone_is_about_every_protocol(section: str) -> None:
    """Without toPorts and icmps it is everything, ICMP included; with ports ICMP is not."""
    assert {rule.protocol for rule in rules({"fromEntities": ["world"]}, section)} == set(Protocol)
    ports = {"toPorts": [{"ports": [{"port": "1"}]}]}
    assert {rule.protocol for rule in rules(ports, section)} == {p for p in Protocol if p.has_ports}


def test_names_of_egress() -> None:
    """The member toFQDNs means addresses by name, and goes with ports."""
    (rule,) = rules({"toFQDNs": [{"matchName": "example.com"}], "toPorts": PORT_1}, "egress")
    assert rule.peers == (NameMatch(patterns=("example.com",)),)


def test_groups_of_the_manifests() -> None:
    """References to CIDR groups are looked up in the context."""
    group = CidrGroup(name="g", labels=Labels(), networks=(parse_prefix("10.0.0.0/8"),))
    given_ = manifest(egress=[{"toCIDRSet": [{"cidrGroupRef": "g"}], "toPorts": PORT_1}])
    (policy,), diagnostics = read(given_, "f:1", Context(cidr_groups={"g": group}))
    assert diagnostics == ()
    assert policy.rules[0].peers == (CidrMatch(prefixes=("10.0.0.0/8",)),)
    (policy,), diagnostics = read(given_, "f:1")
    assert diagnostics[0].message.startswith("spec.egress[0].toCIDRSet[0].cidrGroupRef: ")
    assert policy.unread == {ALLOW}


@pytest.mark.parametrize(
    ("section", "rule", "what"),
    [
        ("ingress", {"fromNodes": [{}]}, "nodes by label"),
        ("ingress", {"fromGroups": [{"aws": {}}]}, "groups of a cloud provider"),
        ("egress", {"toServices": [{"k8sService": {"serviceName": "x"}}]}, "Services"),
        ("egressDeny", {"toServices": [{"k8sService": {"serviceName": "x"}}]}, "Services"),
        ("ingress", {**ANY_1, "authentication": {"mode": "required"}}, "authentication 'required'"),
        ("ingress", {**ANY_1, "authentication": {"mode": "test-always-fail"}}, "authentication 'test-always-fail'"),
        ("egress", {"toPorts": [{**PORT_1[0], "serverNames": ["x"]}]}, "server names of TLS"),
        ("egress", {"toPorts": [{**PORT_1[0], "listener": {"name": "x"}}]}, "a listener of a proxy"),
    ],
)  # fmt: skip
def test_what_is_partly_evaluated_is_a_warning(section: str, rule: dict[str, object], what: str) -> None:
    """The rule is there, may match, and the policy is complete; the warning names the rule."""
    (policy,), diagnostics = read(manifest(**{section: [rule]}), "f:1")
    assert codes(diagnostics) == ["partly-evaluated"]
    assert diagnostics[0].message.startswith(f"spec.{section}[0]: {what}")
    assert policy.complete
    assert policy.rules
    for one in policy.rules:
        assert one.unclear == what or all(isinstance(peer, UnclearMatch) for peer in one.peers)


def test_authentication_that_is_disabled_restricts_nothing() -> None:
    """The mode that asks for nothing, and none."""
    for mode in ({"mode": "disabled"}, {}, None):
        (rule,) = rules({**ANY_1, "authentication": mode})
        assert rule.unclear is None


def test_a_port_without_layer_7_is_a_rule_of_its_own() -> None:
    """What is plain stays plain beside what is restricted further, so that it allows all of the port."""
    given_ = manifest(ingress=[{"toPorts": [PORT_1[0], {**PORT_1[0], "rules": {"http": [{"path": "/"}]}}]}])
    (policy,), _ = read(given_, "f:1")
    assert [rule.layer7 for rule in policy.rules] == [(), (HttpMatch(path="/"),)]


def test_ports_by_name_are_rules_of_their_own() -> None:
    """A name has a number only at a server."""
    found = rules({"toPorts": [{"ports": [{"port": "1", "protocol": "TCP"}, {"port": "web", "protocol": "TCP"}]}]})
    assert [(rule.ports, rule.names) for rule in found] == [(PortSet.of(1), ()), (PortSet(), ("web",))]


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ({"fromEndpoints": [{}], "fromEntities": ["world"]}, ""),
        ({"fromCIDR": ["10.0.0.0/8"], "fromCIDRSet": [{"cidr": "10.0.0.0/8"}]}, ""),
        ({"toPorts": PORT_1, "icmps": [{"fields": [{"type": 8}]}]}, ""),
        ({"fromRequires": [{}]}, ""),
        ({"fromFQDNs": []}, ""),
        ({"fromServices": []}, ""),
        ({"toEndpoints": [{}]}, ""),
        ({"fromEndpoints": {}}, ".fromEndpoints"),
        ({"fromEndpoints": [3]}, ".fromEndpoints[0]"),
        ({"fromEntities": ["x"]}, ".fromEntities"),
        ({"fromCIDR": ["x"]}, ".fromCIDR[0]"),
        ({"fromCIDRSet": [{}]}, ".fromCIDRSet[0]"),
        ({"toPorts": []}, ".toPorts"),
        ({"toPorts": [{"ports": [{"port": 80}]}]}, ".toPorts[0].ports[0].port"),
        ({"icmps": [{"fields": [{"type": 256}]}]}, ".icmps[0].fields[0].type"),
        ({**ANY_1, "authentication": "required"}, ".authentication"),
        ({**ANY_1, "authentication": []}, ".authentication"),
        (None, ""),
        ("rule", ""),
        ([], ""),
    ],
)
def test_a_rule_that_cannot_be_read_makes_its_direction_unknown(rule: object, where: str) -> None:
    """A located error; the other rules and directions are read."""
    policies, diagnostics = read(manifest(ingress=[ANY_1, rule], egress=[ANY_1]), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"spec.ingress[1]{where}: ")
    assert {p.direction: (p.unread, len(p.rules)) for p in policies} == {
        INGRESS: (frozenset({ALLOW}), 1),
        EGRESS: (frozenset(), 1),
    }


@pytest.mark.parametrize(
    ("section", "rule"),
    [
        ("egressDeny", {"toFQDNs": [{"matchName": "x"}]}),
        ("egressDeny", {**ANY_1, "authentication": {"mode": "required"}}),
        ("ingressDeny", {"toPorts": [{**PORT_1[0], "rules": {"http": [{}]}}]}),
        ("ingressDeny", {"toPorts": [{**PORT_1[0], "serverNames": ["x"]}]}),
        ("ingressDeny", {"fromRequires": []}),
    ],
)
def test_what_denies_do_not_have_is_a_finding(section: str, rule: dict[str, object]) -> None:
    """No names, no authentication, no layer 7: the direction may deny anything, its allows are read."""
    (policy,), diagnostics = read(manifest(**{section: [rule], section.removesuffix("Deny"): [ANY_1]}), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"spec.{section}[0]")
    assert (policy.unread, len(policy.rules)) == (frozenset({DENY}), 1)


def test_a_deny_isolates_nothing_where_default_deny_is_off() -> None:
    """Its rules stay."""
    spec = {"ingressDeny": [{"fromEntities": ["world"]}], "enableDefaultDeny": {"ingress": False}}
    (policy,), _ = read(manifest(**spec), "f:1")
    assert (policy.isolates, {rule.action for rule in policy.rules}) == (False, {DENY})


@pytest.mark.parametrize(
    ("selector", "subject"),
    [
        ({}, PodMatch(namespace="shop")),
        ({"matchLabels": {"k8s:app": "x"}}, PodMatch(namespace="shop", labels=APP_X)),
        ({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "shop"}}, PodMatch(namespace="shop")),
        ({"matchLabels": {"k8s:io.cilium.k8s.policy.serviceaccount": "sa"}},
         PodMatch(namespace="shop", service_account="sa")),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]},
         PodMatch(namespace="shop",
                  where=(Requirement(scope=Scope.POD, key="app", operator=Operator.NOT_IN, values=("x",)),))),
    ],
)  # fmt: skip
def test_subjects_of_a_namespaced_policy(selector: dict[str, object], subject: PodMatch) -> None:
    """They are in its own namespace."""
    (policy,), diagnostics = read(manifest(endpointSelector=selector, ingress=[{}]), "f:1")
    assert (policy.subject, diagnostics) == (subject, ())


def test_another_namespace_in_a_subject_is_replaced_and_said() -> None:
    """A namespaced policy is always bound to its own."""
    selector = {"matchLabels": {"app": "x", "k8s:io.kubernetes.pod.namespace": "other"}}
    (policy,), diagnostics = read(manifest(endpointSelector=selector, ingress=[{}]), "f:1")
    assert policy.subject == PodMatch(namespace="shop", labels=APP_X)
    assert codes(diagnostics) == ["namespace-ignored"]


def test_a_label_of_the_own_namespace_is_not_another_namespace() -> None:
    """Nothing is replaced, so nothing is said; the label is asked for."""
    selector = {"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.env": "prod"}}
    (policy,), diagnostics = read(manifest(endpointSelector=selector, ingress=[{}]), "f:1")
    assert policy.subject == PodMatch(namespace="shop", namespace_labels=Labels.of({"env": "prod"}))
    assert diagnostics == ()


@pytest.mark.parametrize(
    ("labels", "subject"),
    [
        ({}, PodMatch()),
        ({"app": "x"}, PodMatch(labels=APP_X)),
        ({"k8s:io.kubernetes.pod.namespace": "far"}, PodMatch(namespace="far")),
        ({"k8s:io.cilium.k8s.namespace.labels.env": "prod"}, PodMatch(namespace_labels=Labels.of({"env": "prod"}))),
    ],
)
def test_subjects_and_peers_of_a_clusterwide_policy(labels: dict[str, str], subject: PodMatch) -> None:
    """They are everywhere, unless a key says where; metadata.namespace means nothing."""
    selector = {"matchLabels": labels}
    policies, diagnostics = read(
        manifest(CLUSTERWIDE, endpointSelector=selector, ingress=[{"fromEndpoints": [selector], **ANY_1}]), "f:1"
    )
    (policy,) = policies
    assert diagnostics == ()
    assert (policy.namespace, policy.subject, policy.rules[0].peers) == (None, subject, (subject,))


def test_the_opt_in_label_is_no_part_of_the_subject() -> None:
    """A canary's pair is noted and left out."""
    selector = {"matchLabels": {"k8s:app": "x", "k8s:policy-discovery/enforce": "true"}}
    (policy,), _ = read(manifest(endpointSelector=selector, ingress=[{}]), "f:1")
    assert (policy.opt_in, policy.subject.labels) == (True, APP_X)


def test_policies_of_nodes_rule_no_pod() -> None:
    """Only clusterwide ones may be; said, and what they do to nodes stays open."""
    spec: dict[str, object] = {"nodeSelector": {"matchLabels": {"a": "b"}}, "ingress": [{}]}
    policies, diagnostics = read({**HEAD, "kind": CLUSTERWIDE, "spec": spec}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(policy.direction, policy.nodes) for policy in policies] == [(each, True) for each in Direction]
    assert diagnostics[0].message.startswith("spec.nodeSelector: ")
    policies, diagnostics = read({**HEAD, "spec": spec}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert all(policy.anywhere for policy in policies)


def test_specs_give_one_policy_each() -> None:
    """Every item of specs is read like a spec, beside spec."""
    specs: list[dict[str, object]] = [
        {"endpointSelector": {}, "ingress": [{}]},
        {"endpointSelector": {"matchLabels": {"app": "x"}}, "egress": [{}]},
    ]
    policies, diagnostics = read({**HEAD, "specs": specs}, "f:1")
    assert diagnostics == ()
    assert [(policy.direction, policy.subject.labels) for policy in policies] == [(INGRESS, Labels()), (EGRESS, APP_X)]
    policies, diagnostics = read({**manifest(ingress=[{}]), "specs": specs}, "f:1")
    assert (len(policies), diagnostics) == (3, ())


def test_places_in_specs_are_named() -> None:
    """With the number of the spec."""
    specs: list[dict[str, object]] = [{"endpointSelector": {}, "ingress": [{}]}, {"endpointSelector": {}, "ingress": 3}]
    _, diagnostics = read({**HEAD, "specs": specs}, "f:1")
    assert diagnostics[0].message.startswith("specs[1].ingress: ")


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"endpointSelector": None}, "spec.endpointSelector"),
        ({"endpointSelector": 3}, "spec.endpointSelector"),
        ({"endpointSelector": {"matchExpressions": [{}]}}, "spec.endpointSelector.matchExpressions[0].operator"),
        ({"endpointSelector": {"matchLabels": {"reserved:ingress": ""}}}, "spec.endpointSelector"),
        ({"endpointSelector": {"matchLabels": {"k8s:pod-template-hash": "x"}}}, "spec.endpointSelector"),
        ({"nodeSelector": {}}, "spec.endpointSelector"),
        ({"enableDefaultDeny": {"ingress": "false"}}, "spec.enableDefaultDeny.ingress"),
        ({"enableDefaultDeny": {"both": False}}, "spec.enableDefaultDeny"),
        ({"enableDefaultDeny": False}, "spec.enableDefaultDeny"),
        ({"extra": 1}, "spec"),
    ],
)
@pytest.mark.parametrize("kind", ["CiliumNetworkPolicy", CLUSTERWIDE])
def test_specs_that_cannot_be_read_may_do_anything(kind: str, spec: dict[str, object], where: str) -> None:
    """Unknown fields, postures and subjects make both directions of the scope unknown."""
    policies, diagnostics = read(manifest(kind, ingress=[{}], **spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"{where}: ")
    namespace = None if kind == CLUSTERWIDE else "shop"
    assert [(p.subject, p.direction, p.anywhere, p.unread) for p in policies] == [
        (PodMatch(namespace=namespace), direction, True, frozenset(Action)) for direction in Direction
    ]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({}, "spec"),
        ({"spec": None, "specs": []}, "spec"),
        ({"spec": []}, "spec"),
        ({"specs": {}}, "specs"),
        ({"specs": [None]}, "specs[0].endpointSelector"),
        ({"specs": ["x"]}, "specs[0]"),
        ({"spec": {"endpointSelector": {}, "ingress": [{}]}, "rules": []}, "document"),
    ],
)
def test_a_document_needs_specs(more: dict[str, object], where: str) -> None:
    """One of spec and specs, and nothing unknown beside them."""
    policies, diagnostics = read({**HEAD, **more}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"{where}: ")
    assert all(policy.anywhere for policy in policies)


@pytest.mark.parametrize(
    ("api", "kind", "subjects"),
    [
        ("cilium.io/v3", "CiliumNetworkPolicy", [PodMatch(namespace="shop")] * 2),
        ("cilium.io/v3", CLUSTERWIDE, [PodMatch()] * 2),
        ("cilium.io/v2", "CiliumEgressGatewayPolicy", []),
    ],
)
def test_other_versions_and_kinds_are_reported(api: str, kind: str, subjects: list[PodMatch]) -> None:
    """A policy of another version stands for anything; other kinds are only reported."""
    policies, diagnostics = read({**HEAD, "apiVersion": api, "kind": kind}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [policy.subject for policy in policies] == subjects


def test_groups_are_read_elsewhere() -> None:
    """CiliumCIDRGroup is no policy, and nothing is said about it here."""
    assert read({**HEAD, "kind": "CiliumCIDRGroup"}, "f:1") == ((), ())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["all", "TCP", "80", "10.0.0.0/8", "IPv4", "In"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SELECTOR = st.dictionaries(st.sampled_from(["matchLabels", "matchExpressions"]), JSON, max_size=2) | JSON
RULE = st.dictionaries(
    st.sampled_from(
        ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "fromNodes", "fromGroups", "icmps",
         "authentication", "toEndpoints", "toFQDNs", "toServices"]
    ),
    st.lists(SELECTOR, max_size=2) | JSON,
    max_size=2,
)  # fmt: skip
PORTS = st.fixed_dictionaries(
    {"ports": st.lists(st.dictionaries(st.sampled_from(["port", "endPort", "protocol"]), JSON), max_size=2) | JSON},
    optional={"rules": JSON, "serverNames": JSON, "listener": JSON},
)
SECTIONS = ("ingress", "egress", "ingressDeny", "egressDeny")


@given(
    st.sampled_from(["CiliumNetworkPolicy", CLUSTERWIDE]),
    st.dictionaries(st.sampled_from(SECTIONS), st.lists(RULE, max_size=2) | JSON, max_size=3),
    st.lists(PORTS, max_size=2),
    SELECTOR,
    JSON,
)
def test_random_content_never_raises(
    kind: str, spec: dict[str, object], ports: list[object], selector: object, anything: object
) -> None:
    """Whatever a manifest holds, it is read or reported, at its place."""
    for given_ in (
        manifest(kind, **spec),
        manifest(kind, ingress=[{"toPorts": ports}], endpointSelector=selector),
        {**HEAD, "kind": kind, "spec": anything},
        {**HEAD, "kind": kind, "specs": anything},
        manifest(kind, ingress=[{}], enableDefaultDeny=anything),
        {**HEAD, "kind": kind, "metadata": anything, "spec": {}},
    ):
        _, diagnostics = read(given_, "f:1")
        assert {one.subject for one in diagnostics} <= {"f:1"}
        assert all(one.message.isprintable() for one in diagnostics)


@pytest.mark.parametrize(
    "egress", [1, "x", {}, [1], [{"toPorts": 1}], [{"toPorts": [1]}], [{"toPorts": [{"rules": 1}]}]]
)
def test_rules_that_are_none_leave_the_policy_open(egress: object) -> None:
    """Whatever stands in the place of rules: a finding, and what the policy does stays unknown."""
    policies, diagnostics = read({**HEAD, "spec": {"endpointSelector": {}, "egress": egress}}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert policies
    assert not all(policy.complete for policy in policies)
