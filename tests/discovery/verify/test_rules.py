"""Tests of discovery.verify.rules."""

from __future__ import annotations

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.conditions import Neither, Operator, Requirement, Scope
from discovery.verify.rules import ALL_ICMP_TYPES, AnyMatch, PodMatch, all_icmp, all_ports, rules_for, split_opt_in
from tests.discovery.verify.builders import version


def test_pod_match_needs_every_given_part() -> None:
    """A pod match holds only when cluster, namespace, labels, account and namespace labels all hold."""
    pod = version("web", {"app": "web", "tier": "front"}, account="sa", namespace_labels={"env": "prod"})
    assert PodMatch().matches(pod)
    assert PodMatch(
        cluster="c1",
        namespace="shop",
        labels=Labels.of({"app": "web"}),
        service_account="sa",
        namespace_labels=Labels.of({"env": "prod"}),
    ).matches(pod)
    assert not PodMatch(cluster="c2").matches(pod)
    assert not PodMatch(namespace="other").matches(pod)
    assert not PodMatch(labels=Labels.of({"app": "db"})).matches(pod)
    assert not PodMatch(service_account="other").matches(pod)
    assert not PodMatch(namespace_labels=Labels.of({"env": "dev"})).matches(pod)


def test_unknown_service_account_is_no_sure_match() -> None:
    """A pod whose account nobody reported is not surely selected by account."""
    assert not PodMatch(service_account="sa").matches(version("web", account=None))


def test_rules_for_makes_one_rule_per_protocol() -> None:
    """All ports and all ICMP give five rules, and no peer or no port gives none."""
    rules = rules_for((AnyMatch(),), all_ports(), all_icmp())
    assert [rule.protocol for rule in rules] == [
        Protocol.SCTP,
        Protocol.TCP,
        Protocol.UDP,
        Protocol.ICMP,
        Protocol.ICMPV6,
    ]
    assert {rule.icmp_types for rule in rules if not rule.protocol.has_ports} == {ALL_ICMP_TYPES}
    assert rules_for((), all_ports(), all_icmp()) == []
    assert rules_for((AnyMatch(),), {Protocol.TCP: PortSet()}, {Protocol.ICMP: ()}) == []


def test_split_opt_in_takes_only_the_exact_pair() -> None:
    """Only policy-discovery/enforce=true is the opt-in label; another value stays a label."""
    asked = Labels.of({"app": "web", "policy-discovery/enforce": "true"})
    other = Labels.of({"policy-discovery/enforce": "no"})
    assert split_opt_in(asked) == (Labels.of({"app": "web"}), True)
    assert split_opt_in(other) == (other, False)


def test_a_match_that_only_refuses() -> None:
    """It asks for no label, and refuses one of the namespace at least."""
    team = Requirement(scope=Scope.NAMESPACE, key="team", operator=Operator.NOT_IN, values=("red",))
    app = Requirement(scope=Scope.POD, key="app", operator=Operator.LACKS)
    tier = Requirement(scope=Scope.POD, key="tier", operator=Operator.HAS)
    assert PodMatch(where=(team,)).only_refuses
    assert PodMatch(where=(team, app)).only_refuses
    assert not PodMatch(where=(app,)).only_refuses
    assert not PodMatch(where=(team, tier)).only_refuses
    assert not PodMatch(where=(Neither(part=tier), team)).only_refuses
    assert not PodMatch(namespace="shop", where=(team,)).only_refuses
    assert not PodMatch(namespace_labels=Labels.of({"zone": "z1"}), where=(team,)).only_refuses
    assert not PodMatch().only_refuses
