"""Tests of discovery.verify.cluster_policies: one construct at a time, by network-policy-api."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.cluster_policies import read
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, End, PodEnd
from discovery.verify.evaluate import decide
from discovery.verify.rules import Action, CidrMatch, Layer, NameMatch, PodMatch, ReadPolicy, UnclearMatch
from tests.discovery.verify.builders import codes, document, platform, version

ADMIN = """
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: admin}
spec:
  priority: 5
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
  ingress:
    - name: first
      action: Allow
      from: [{pods: {podSelector: {matchLabels: {app: a}}}}]
      ports: [{portNumber: {protocol: TCP, port: 80}}]
    - action: Deny
      from: [{namespaces: {}}]
      ports: [{portRange: {protocol: UDP, start: 10, end: 20}}, {namedPort: web}]
    - {action: Pass, from: [{namespaces: {}}]}
  egress:
    - {action: Deny, to: [{networks: [192.0.2.0/24]}, {domainNames: ["*.Example.com."]}]}
"""
CLUSTER = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: baseline}
spec:
  tier: Baseline
  priority: 7
  subject: {pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}}
  ingress:
    - action: Accept
      from: [{namespaces: {}}]
      protocols:
        - tcp: {destinationPort: {number: 80}}
        - tcp: {destinationPort: {range: {start: 90, end: 95}}}
        - udp: {}
        - destinationNamedPort: web
"""


def only(found: tuple[tuple[ReadPolicy, ...], Any]) -> ReadPolicy:
    """Return the single policy that was read without a finding."""
    (policy,), diagnostics = found
    assert diagnostics == ()
    return policy


def test_an_admin_policy_is_read_in_order() -> None:
    """Actions, peers and ports, one policy per direction with rules; it isolates nothing by itself."""
    policies, diagnostics = read(document(ADMIN), "f:1")
    assert diagnostics == ()
    ingress = next(policy for policy in policies if policy.direction is Direction.INGRESS)
    egress = next(policy for policy in policies if policy.direction is Direction.EGRESS)
    assert (ingress.layer, ingress.order, ingress.isolates, ingress.subject) == (
        Layer.ADMIN, 5, False, PodMatch(namespace="shop"),
    )  # fmt: skip
    assert [(rule.action, rule.protocol, str(rule.content), rule.names) for rule in ingress.rules][:5] == [
        (Action.ALLOW, Protocol.TCP, "80", ()),
        (Action.DENY, Protocol.UDP, "10-20", ()),
        (Action.DENY, Protocol.TCP, "", ("web",)),
        (Action.DENY, Protocol.UDP, "", ("web",)),
        (Action.DENY, Protocol.SCTP, "", ("web",)),
    ]
    assert {rule.protocol for rule in ingress.rules[5:]} == set(Protocol)
    assert egress.rules[0].peers == (
        CidrMatch(prefixes=("192.0.2.0/24",), inside=True),
        NameMatch(patterns=("**.example.com",)),
    )


def test_a_cluster_policy_of_the_baseline_tier() -> None:
    """Tier, priority and the protocols of v1alpha2."""
    policy = only(read(document(CLUSTER), "f:1"))
    assert (policy.layer, policy.order) == (Layer.BASELINE, 7)
    assert policy.subject == PodMatch(labels=Labels.of({"app": "web"}), namespace_labels=Labels.of({"team": "a"}))
    assert {rule.protocol: rule.ports for rule in policy.rules if not rule.names} == {
        Protocol.TCP: PortSet.from_intervals([(80, 80), (90, 95)]),
        Protocol.UDP: PortSet.all(),
    }


def test_nodes_by_label_are_told_as_unknown() -> None:
    """No flow says which labels a node has."""
    text = ADMIN.replace("{networks: [192.0.2.0/24]}", "{nodes: {}}")
    policies, diagnostics = read(document(text), "f:1")
    assert codes(diagnostics) == ["partly-evaluated"]
    egress = next(policy for policy in policies if policy.direction is Direction.EGRESS)
    assert egress.rules[0].peers[0] == UnclearMatch(what="nodes by label", nodes=True)


def test_the_baseline_is_called_default_and_has_no_priority() -> None:
    """Allow and Deny alone."""
    text = ADMIN.replace("AdminNetworkPolicy", "BaselineAdminNetworkPolicy").replace("  priority: 5\n", "")
    policies, diagnostics = read(document(text), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert "Pass" in diagnostics[0].message
    assert {policy.layer for policy in policies} == {Layer.BASELINE}
    assert {policy.direction: policy.unread for policy in policies} == {
        Direction.INGRESS: frozenset(Action),
        Direction.EGRESS: frozenset(),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("priority: 5", "priority: 1001"),
        ("priority: 5", "priority: true"),
        ("subject: {namespaces", "subject: {pods: {}, namespaces"),
        ("kind: AdminNetworkPolicy", "kind: ClusterNetworkPolicy"),
        ("spec:", "spec:\n  more: 1"),
    ],
)
def test_what_cannot_be_read_may_do_anything_anywhere(old: str, new: str) -> None:
    """Both directions of every pod are then unknown."""
    policies, diagnostics = read(document(ADMIN.replace(old, new)), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [(policy.subject, policy.anywhere, policy.unread) for policy in policies] == [
        (PodMatch(), True, frozenset(Action))
    ] * 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("action: Deny\n", "action: Block\n"),
        ("from: [{pods: {podSelector: {matchLabels: {app: a}}}}]", "from: []"),
        ("from: [{pods: {podSelector: {matchLabels: {app: a}}}}]", "from: [{networks: [10.0.0.0/8]}]"),
        ("port: 80", "port: 0"),
        ("protocol: UDP", "protocol: ICMP"),
        ("start: 10, end: 20", "start: 20, end: 10"),
        ("{namedPort: web}", "{namedPort: web, portNumber: {port: 1}}"),
        ("192.0.2.0/24", "192.0.2.0"),
    ],
)
def test_a_rule_that_cannot_be_read_may_do_anything(old: str, new: str) -> None:
    """The other rules stay; a decision that the missing one could change is unknown."""
    assert old in ADMIN
    policies, diagnostics = read(document(ADMIN.replace(old, new)), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert sum(bool(policy.unread) for policy in policies) == 1


A = PodEnd(version=version("a"), address="10.0.0.1", ports=())
WEB = PodEnd(version=version("web"), address="10.0.0.2", ports=())


def verdict(texts: list[str], client: End, server: End, port: int = 80, protocol: Protocol = Protocol.TCP) -> Outcome:
    """Decide a connection under cluster policies by the API text."""
    policies = [policy for text in texts for policy in read(document(text), "f:1")[0]]
    probe = Probe(client=client, server=server, protocol=protocol, port=port)
    return decide(policies, probe, platform("kubernetes=1.31")).outcome


def test_the_first_rule_that_matches_decides_and_the_rest_goes_on() -> None:
    """Allow before deny, deny before the baseline; what no rule matches passes."""
    assert verdict([ADMIN], A, WEB) is Outcome.ALLOWED
    assert verdict([ADMIN], A, WEB, 15, Protocol.UDP) is Outcome.DENIED
    assert verdict([ADMIN], A, WEB, 25, Protocol.UDP) is Outcome.ALLOWED
    assert verdict([ADMIN], WEB, AddressEnd(address="192.0.2.7")) is Outcome.DENIED
    assert verdict([ADMIN], WEB, AddressEnd(address="198.51.100.7", names=("a.b.example.com",))) is Outcome.DENIED
    assert verdict([ADMIN], WEB, AddressEnd(address="198.51.100.7", names=("example.com",))) is Outcome.ALLOWED


def test_equal_priorities_are_undefined() -> None:
    """Two policies of one priority that disagree leave the answer unknown."""
    other = ADMIN.replace("name: admin", "name: other").replace("action: Allow", "action: Deny")
    assert verdict([ADMIN, other], A, WEB) is Outcome.UNKNOWN
    assert verdict([ADMIN, other.replace("priority: 5", "priority: 6")], A, WEB) is Outcome.ALLOWED
