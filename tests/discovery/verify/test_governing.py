"""Tests of discovery.verify.governing: the index by peers gives what a look at every rule gives."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.model.edge import Protocol
from discovery.verify.decisions import Probe
from discovery.verify.ends import AddressEnd, End, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from tests.discovery.verify.builders import platform, version

LABELS: tuple[dict[str, str], ...] = ({"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}, {})
VERSIONS = tuple(version(f"p{number}", labels) for number, labels in enumerate(LABELS))
AWAY = tuple(version(f"q{number}", labels, namespace="away", cluster="c2") for number, labels in enumerate(LABELS))
SELECTORS = st.sampled_from(["all()", "app == 'a'", "app != 'a'", "has(tier)", "app == 'a' || tier == 'y'"])
PEERS = st.one_of(
    st.builds(lambda text: f'selector: "{text}"', SELECTORS),
    st.builds(lambda text: f'selector: "{text}", namespaceSelector: all()', SELECTORS),
    st.builds(lambda text: f'notSelector: "{text}"', SELECTORS),
    st.just("nets: [192.0.2.0/24]"),
    st.just(""),
)
RULES = st.builds(
    lambda action, peer, ports: (
        f"{{action: {action}, protocol: TCP, source: {{{peer}}}, destination: {{ports: [{ports}]}}}}"
    ),
    st.sampled_from(["Allow", "Deny", "Pass", "Log"]),
    PEERS,
    st.sampled_from(["80", '"80:82"', "http"]),
)
POLICIES = st.builds(
    lambda order, subject, rules: (
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        f'spec: {{order: {order}, selector: "{subject}", types: [Ingress], ingress: [{", ".join(rules)}]}}\n'
    ),
    st.integers(0, 3),
    SELECTORS,
    st.lists(RULES, max_size=3),
)


def read(texts: list[str]) -> tuple[ReadPolicy, ...]:
    """Read policies."""
    return read_policies({f"{number}.yaml": text for number, text in enumerate(texts)}).policies


@settings(max_examples=150, deadline=None)
@given(st.lists(POLICIES, min_size=1, max_size=4), st.sampled_from([80, 81, 90]))
def test_known_versions_change_no_answer(texts: list[str], port: int) -> None:
    """Outcome, reason, isolating policies and matching rules, for pods of this and of another cluster and outside."""
    policies = read(texts)
    plain = Evaluator(policies, platform("calico=3.30"))
    indexed = Evaluator(policies, platform("calico=3.30"), versions=(*VERSIONS, *AWAY))
    ends: list[End] = [PodEnd(version=one) for one in (*VERSIONS, *AWAY)]
    ends += [AddressEnd(address="192.0.2.1"), AddressEnd(address="198.51.100.1", resolved=False)]
    for client, server in itertools.product(ends, ends):
        probe = Probe(client=client, server=server, protocol=Protocol.TCP, port=port)
        assert indexed.decide(probe) == plain.decide(probe)


def test_programs_are_those_of_the_rules_whatever_their_policies_are_called() -> None:
    """Two sets that say the same in other files have equal programs."""
    text = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME, namespace: shop}\n"
        "spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: PORT}]}]}\n"
    )

    def program(*given: tuple[str, int]) -> tuple[object, ...]:
        policies = read([text.replace("NAME", name).replace("PORT", str(port)) for name, port in given])
        return Evaluator(policies, platform("kubernetes=1.31")).program(policies[0].direction, VERSIONS[0])

    assert program(("a", 1), ("b", 2)) == program(("x", 2), ("y", 1)) == program(("x", 2), ("y", 1), ("z", 1))
    assert program(("a", 1)) != program(("a", 2))
