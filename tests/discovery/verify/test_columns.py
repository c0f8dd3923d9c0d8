"""Tests of discovery.verify.columns: many connections at once are decided as each alone."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given, note
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.workload import Entity
from discovery.verify.columns import OUTCOMES, Columns, Connections, Rows, content_code
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, End, EntityEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.rules import Action, ReadPolicy, ReadRule
from discovery.verify.use import RuleKey, rule_key
from tests.discovery.verify.asking import CALICO, CILIUM, WEB, A, B, ccnp, cnp, gnp, knp, tier
from tests.discovery.verify.asking import np as calico_np
from tests.discovery.verify.builders import platform
from tests.oracles import calico, cilium_policies
from tests.oracles.strategies import Limits, Manifest, World, policy_sets, text, worlds

OUTSIDE: tuple[End, ...] = (
    *(EntityEnd(entity=entity) for entity in Entity),
    EntityEnd(entity=Entity.REMOTE_NODE, address="10.1.2.3"),
    AddressEnd(address="10.1.2.3"),
    AddressEnd(address="10.1.0.0/16", names=("api.example.org",)),
    AddressEnd(address="2001:db8::1"),
    AddressEnd(address="8.8.8.8", resolved=False),
    AddressEnd(address="10.1.2.9", resolved=False, stranger=True),
)
CONTENTS = [(Protocol.TCP, 80), (Protocol.TCP, 9090), (Protocol.UDP, 53), (Protocol.SCTP, 81), (Protocol.ICMP, 8)]
PLATFORMS = (
    "kubernetes=1.31;enforcer=strict",
    "kubernetes=1.31;enforcer=calico",
    "cilium=1.19",
    "cilium=1.15;allow-localhost=policy;policy-cidr-match-mode=nodes",
    "cilium=1.19;enable-policy=always",
    "cilium=1.19;enable-policy=never",
    "calico=3.30",
    "calico=3.30;default-endpoint-to-host-action=drop",
)
# What needs every branch: stages that pass on, rules that are not evaluated, policies of nobody knows what.
SPECIAL = (
    tier("first", "{order: 1, defaultAction: Pass}"),
    calico_np("{tier: first, order: 1, ingress: [{action: Pass, source: {selector: app == 'a'}}]}", name="first.p"),
    gnp("{tier: nowhere, ingress: [{action: Deny, protocol: TCP}]}", name="nowhere.g"),
    gnp("{selector: app == 'a', ingress: [{action: Allow, protocol: TCP, destination: {ports: [web, 80]}}]}"),
    cnp("{endpointSelector: {}, ingress: [{fromEntities: [all], toPorts: [{ports: [{port: '80', protocol: TCP}], "
        "rules: {http: [{method: GET}]}}]}]}", name="l7"),
    cnp("{endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: '*.example.org'}]}]}", name="dns"),
    ccnp("{endpointSelector: {}, ingressDeny: [{fromEntities: [world]}], enableDefaultDeny: {ingress: false}}"),
    knp("{podSelector: {}, bogus: 1}", name="broken"),
)  # fmt: skip

Uses = Counter[tuple[RuleKey, int]]


def scalar(evaluator: Evaluator, probes: list[Probe]) -> tuple[list[Outcome], Uses]:
    """Decide one after the other; the uses are of the rules that surely allow a side, by the number of the probe."""
    outcomes, uses = [], Uses()
    for number, probe in enumerate(probes):
        decision = evaluator.decide(probe)
        outcomes.append(decision.outcome)
        for side in (decision.egress, decision.ingress):
            if side.outcome is Outcome.ALLOWED:
                uses.update((rule_key(policy, rule), number) for policy, rule in side.matching)
    return outcomes, uses


def in_columns(evaluator: Evaluator, ends: list[End], probes: list[Probe]) -> tuple[list[Outcome], Uses]:
    """Decide all at once."""
    place = {id(end): number for number, end in enumerate(ends)}
    uses = Uses()

    def learn(policy: ReadPolicy, rule: ReadRule, direction: Direction, rows: Rows) -> None:
        assert rule.action is Action.ALLOW
        assert policy.direction is direction
        uses.update((rule_key(policy, rule), row) for row in rows.tolist())

    given = Connections(
        clients=np.array([place[id(probe.client)] for probe in probes]),
        servers=np.array([place[id(probe.server)] for probe in probes]),
        contents=np.array([content_code(p.protocol, next(iter(p.content))) for p in probes]),
    )
    found = Columns(evaluator, ends).decide(given, learn)
    return [OUTCOMES[one] for one in found], uses


def asked(ends: list[End]) -> list[Probe]:
    """Return connections between all ends."""
    return [
        Probe(
            client=client, server=server, protocol=protocol,
            port=number if protocol.has_ports else None, icmp_type=None if protocol.has_ports else number,
        )
        for client, server in itertools.permutations(ends, 2)
        for protocol, number in CONTENTS
    ]  # fmt: skip


def hold_equal(read: ReadSet, ends: list[End], on: str, *, as_enforced: bool = False) -> Counter[Outcome]:
    """Compare both forms, and return how many connections have which outcome."""
    evaluator = Evaluator(read.policies, platform(on), as_enforced=as_enforced, tiers=read.tiers)
    probes = asked(ends)
    one, other = scalar(evaluator, probes), in_columns(evaluator, ends, probes)
    assert other[0] == one[0]
    assert other[1] == one[1]
    return Counter(one[0])


@given(
    world=worlds(),
    kubernetes=policy_sets(Limits(), most=2),
    calicos=calico.policy_sets(sets=True),
    sets=calico.network_sets(),
    ciliums=cilium_policies.policy_sets(),
    special=st.sets(st.sampled_from(SPECIAL)),
    on=st.sampled_from(PLATFORMS),
    as_enforced=st.booleans(),
)
def test_many_at_once_are_decided_as_each_alone(
    world: World,
    kubernetes: list[Manifest],
    calicos: list[Manifest],
    sets: list[Manifest],
    ciliums: list[Manifest],
    special: set[str],
    on: str,
    as_enforced: bool,
) -> None:
    """Outcomes and the uses of rules are those of the scalar form, for any policies together."""
    manifests = text([*kubernetes, *calicos, *sets, *ciliums])
    note(text(world.manifests()) + manifests)
    texts = {"all.yaml": manifests} | {f"{number}.yaml": one for number, one in enumerate(sorted(special))}
    hold_equal(read_policies(texts), [*world.ends().values(), *OUTSIDE], on, as_enforced=as_enforced)


def test_each_outcome_is_met() -> None:
    """The comparison is about something: special policies give every outcome."""
    # A tier that nobody knows makes everything unknown, and so does a policy that cannot be read.
    known = [one for one in SPECIAL if "nowhere" not in one and "bogus" not in one]
    read = read_policies({f"{number}.yaml": one for number, one in enumerate(known)})
    ends = [A, B, WEB, *OUTSIDE]
    assert set(hold_equal(read, ends, CILIUM)) == set(Outcome)
    assert set(hold_equal(read, ends, CALICO)) == set(Outcome)


def test_nothing_to_decide() -> None:
    """No connection gives no outcome."""
    nothing = np.zeros(0, dtype=np.int64)
    evaluator = Evaluator((), platform(CILIUM))
    found = Columns(evaluator, []).decide(
        Connections(clients=nothing, servers=nothing, contents=nothing), lambda *_: None
    )
    assert found.tolist() == []
