"""Tests of discovery.verify.trace."""

from __future__ import annotations

from discovery.model.edge import Protocol
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, End, PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.trace import SideTrace, trace
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import platform, pod

POLICIES = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: late, namespace: shop}
spec:
  order: 20
  selector: app == 'web'
  ingress:
    - {action: Allow, protocol: TCP, source: {selector: app == 'a'}, destination: {ports: [80, http]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: early, namespace: shop}
spec:
  order: 10
  selector: app == 'web'
  ingress:
    - {action: Deny, protocol: TCP, source: {nets: [192.0.2.0/24]}}
    - {action: Allow, protocol: ICMP}
"""
ON = platform("calico=3.30")


def sides(client: End, port: int = 80) -> tuple[SideTrace, SideTrace]:
    """Trace a connection to web."""
    probe = Probe(client=client, server=pod("web"), protocol=Protocol.TCP, port=port)
    return trace(Evaluator(read_policies({"p.yaml": POLICIES}).policies, ON), probe, PeerMatcher(ON))


def test_rules_are_told_in_the_order_in_which_they_decide() -> None:
    """Of the protocol that is asked for, each with what it says and why it matches or not."""
    _, ingress = sides(pod("a", "10.0.0.1"))
    assert [str(look) for look in ingress.looks] == [
        "NetworkPolicy shop/early spec.ingress[0]: deny 192.0.2.0/24 on TCP/0-65535 (peer: no, port: yes)",
        "NetworkPolicy shop/late spec.ingress[0]: allow pods of shop with app=a on TCP/80 (peer: yes, port: yes)",
        "NetworkPolicy shop/late spec.ingress[0]: allow pods of shop with app=a on TCP/http (peer: yes, port: perhaps)",
    ]
    assert [look.matches for look in ingress.looks] == [Truth.NO, Truth.YES, Truth.MAYBE]
    assert (ingress.decision.outcome, ingress.subject) == (Outcome.ALLOWED, "shop/web")


def test_a_side_without_a_pod_has_no_rules() -> None:
    """An address outside is governed by nobody."""
    egress, ingress = sides(AddressEnd(address="192.0.2.1"))
    assert (egress.looks, egress.subject, egress.decision.outcome) == ((), "192.0.2.1", Outcome.ALLOWED)
    assert (ingress.decision.outcome, ingress.looks[0].matches) == (Outcome.DENIED, Truth.YES)
