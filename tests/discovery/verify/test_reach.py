"""Tests of discovery.verify.reach."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.model.edge import Protocol
from discovery.verify.ends import PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.reach import Openness, Reach, WorkloadReach, all_open, left_open, reach
from discovery.verify.read import read_policies
from tests.discovery.learn.builders import edge, outside
from tests.discovery.verify.builders import platform, version

VERSIONS = tuple(version(name) for name in "abcd")
TRANSPORTS = [protocol for protocol in Protocol if protocol.has_ports]
REF = {one.ref.name: one.ref for one in VERSIONS}
ON = platform("kubernetes=1.31;enforcer=cilium")
HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: "


def measure(*specs: str) -> Reach:
    """Return what policies leave open between a, b, c and d."""
    read = read_policies({f"{number}.yaml": HEAD + spec for number, spec in enumerate(specs)})
    return reach(VERSIONS, Evaluator(read.policies, ON, versions=VERSIONS))


def names(found: Reach, bits: int) -> str:
    """Return the names of workloads in a set."""
    return "".join(ref.name for row, ref in enumerate(found.workloads) if bits >> row & 1)


def ingress(app: str, *clients: str) -> str:
    """Return the spec of a policy that lets clients into a workload."""
    rules = ", ".join(f"{{from: [{{podSelector: {{matchLabels: {{app: {client}}}}}}}]}}" for client in clients)
    return f"{{podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [Ingress], ingress: [{rules}]}}"


def test_without_policies_everybody_reaches_everybody() -> None:
    """And the world, both ways."""
    found = measure()
    assert found.pairs == 12
    assert found.blast_radius == (3.0, 3)
    assert found.from_world == found.to_world == frozenset(REF.values())


def test_a_chain_spreads_as_far_as_it_is_long() -> None:
    """A reaches b alone, and over b and c everything behind."""
    found = measure(ingress("a"), ingress("b", "a"), ingress("c", "b"), ingress("d", "c"))
    assert [names(found, bits) for bits in found.direct] == ["b", "c", "d", ""]
    assert [names(found, bits) for bits in found.spread] == ["bcd", "cd", "d", ""]
    assert found.blast_radius == (1.5, 3)
    assert (found.from_world, len(found.to_world)) == (frozenset(), 4)


def test_what_was_never_seen_is_counted() -> None:
    """Open pairs beyond the traffic; a workload that calls itself is none."""
    found = measure(ingress("a"), ingress("b", "a", "c"), ingress("c"), ingress("d"))
    assert found.pairs == 2
    assert found.unseen([(REF["a"], REF["b"]), (REF["a"], REF["a"])]) == 1
    assert found.unseen([(REF["a"], REF["b"]), (REF["c"], REF["b"])]) == 0


def test_numbers_tell_what_is_open_and_what_of_it_was_never_used() -> None:
    """With policies and without any; an edge of nobody known counts for nothing."""
    used = [edge("a", "b"), edge("b", outside("203.0.113.7"))]
    read = read_policies({"0.yaml": HEAD + ingress("a"), "1.yaml": HEAD + ingress("b", "a", "c")})
    assert left_open(VERSIONS, used, Evaluator(read.policies, ON, versions=VERSIONS)) == Openness(
        workloads=4, pairs=8, unseen=7, blast_mean=2.2, blast_most=3, from_world=2, to_world=4
    )
    assert left_open(VERSIONS, used, Evaluator((), ON, versions=VERSIONS)) == all_open(VERSIONS, used)
    assert all_open(VERSIONS, used).unseen == 11


def test_each_workload_has_its_reach() -> None:
    """Whom it may reach, what of that was never used, how far it spreads, and the world."""
    found = measure(ingress("a"), ingress("b", "a", "c"), ingress("c", "b"), ingress("d"))
    one, two, *_ = found.of_each([(REF["a"], REF["b"]), (REF["a"], REF["a"]), (REF["b"], REF["d"])])
    assert one == WorkloadReach(
        workload=REF["a"], direct=(REF["b"],), never_used=0, spread=2, from_world=False, to_world=True
    )
    assert (two.direct, two.never_used, two.spread) == ((REF["c"],), 1, 1)


SELECTORS = st.sampled_from(["{}", "{matchLabels: {app: a}}", "{matchLabels: {app: b}}", "{matchLabels: {app: z}}"])
PEERS = st.one_of(st.builds("podSelector: {}".format, SELECTORS), st.just("ipBlock: {cidr: 0.0.0.0/0}"))


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Return a random policy."""
    direction, word = draw(st.sampled_from([("Ingress", "from"), ("Egress", "to")]))
    ports = st.sampled_from(["", ", ports: [{port: 80}]", ", ports: [{port: 81}]"])
    rules = draw(st.lists(st.builds(lambda peer, port: f"{{{word}: [{{{peer}}}]{port}}}", PEERS, ports), max_size=2))
    return f"{{podSelector: {draw(SELECTORS)}, policyTypes: [{direction}], {direction.lower()}: [{', '.join(rules)}]}}"


@settings(max_examples=150, deadline=None)
@given(st.lists(specs(), max_size=4))
def test_reach_is_what_asking_about_every_pair_gives(given_specs: list[str]) -> None:
    """No pair is missed by the index, none is added."""
    read = read_policies({f"{number}.yaml": HEAD + spec for number, spec in enumerate(given_specs)})
    evaluator = Evaluator(read.policies, ON)
    found = measure(*given_specs)
    for (row, one), (column, other) in itertools.permutations(enumerate(VERSIONS), 2):
        client, server = PodEnd(version=one), PodEnd(version=other)
        open_ = any(evaluator.allowed(client, server, protocol)[1].intervals for protocol in TRANSPORTS)
        assert bool(found.direct[row] >> column & 1) == open_
