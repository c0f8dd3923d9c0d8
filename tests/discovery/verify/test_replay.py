"""Tests of discovery.verify.replay."""

from __future__ import annotations

from dataclasses import replace

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.inventory import NamedPort
from discovery.model.workload import EndpointKind, Labels, WorkloadVersion
from discovery.verify.decisions import Outcome
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, Replay, replay
from tests.discovery.learn.builders import edge, outside, ping
from tests.discovery.verify.builders import platform, version

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}, {port: 81}]}
    - {from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: http}]}
"""
VERSIONS = (version("a"), version("b"), version("web"))


def run(edges: list[Edge], versions: tuple[WorkloadVersion, ...] = VERSIONS, **ports: int) -> Replay:
    """Replay edges on the policy; keywords are the ports that web's containers name."""
    evaluator = Evaluator(read_policies({"p.yaml": POLICY}).policies, platform("kubernetes=1.31"))
    named = tuple(NamedPort(name=name, protocol="TCP", number=number) for name, number in ports.items())
    return replay(edges, versions, evaluator, Recorded(ports={version("web").ref: named}))


def test_fates_come_in_the_order_of_the_edges() -> None:
    """Covered, cut with the side that cuts, and covered because nothing isolates the server."""
    found = run([edge("a", "web", 80), edge("b", "web", 80), edge("web", "a", 80)])
    assert [one.fate for one in found.edges] == [Fate.COVERED, Fate.WOULD_DENY, Fate.COVERED]
    (side,) = found.edges[1].sides
    assert (side.direction, side.outcome) == (Direction.INGRESS, Outcome.DENIED)


def test_every_version_of_a_workload_counts() -> None:
    """One version that would be cut cuts the edge, whichever comes first."""
    old = replace(version("a"), labels=Labels.of({"app": "old"}))
    for versions in ((version("a"), old), (old, version("a"))):
        assert run([edge("a", "web", 80)], (*versions, version("web"))).edges[0].fate is Fate.WOULD_DENY


def test_every_address_counts() -> None:
    """One address outside of the block is enough to cut; a denial is told before an unknown."""
    inside, both = outside("192.0.2.1"), outside("192.0.2.1", "198.51.100.1")
    found = run([edge(inside, "web", 80), edge(both, "web", 80)], http=80)
    assert [one.fate for one in found.edges] == [Fate.COVERED, Fate.WOULD_DENY]


def test_what_nobody_knows_is_unknown_with_a_reason() -> None:
    """No protocol, no version, no number of a name, an unresolved end: never covered."""
    cases = [
        edge("a", "web", None, protocol=None),
        edge("gone", "web", 80),
        edge(Endpoint(kind=EndpointKind.UNRESOLVED), "web", 80),
    ]
    found = run(cases)
    assert [one.fate for one in found.edges] == [Fate.UNKNOWN] * 3
    assert [bool(one.reason or one.sides) for one in found.edges] == [True] * 3
    evaluator = Evaluator(read_policies({"p.yaml": POLICY}).policies, platform("kubernetes=1.31"))
    assert replay([edge(outside("192.0.2.1"), "web", 80)], VERSIONS, evaluator).edges[0].fate is Fate.UNKNOWN


def test_uses_of_rules() -> None:
    """Each written rule knows the ports and peers that allowed edges used it for, and no others."""
    found = run([edge("a", "web", 80), edge("a", "web", 99), edge(outside("192.0.2.7"), "web", 8080)], http=8080)
    uses = {key[2]: (sorted(use.contents), use.peers, use.edges) for key, use in found.uses.items()}
    assert uses == {
        "spec.ingress[0]": ([80], {version("a").ref}, 1),
        "spec.ingress[1]": ([8080], {"192.0.2.7"}, 1),
    }


def test_icmp_types_are_used_like_ports() -> None:
    """A rule without ports that a ping used."""
    text = POLICY.replace(", ports: [{port: 80}, {port: 81}]", "")
    evaluator = Evaluator(read_policies({"p.yaml": text}).policies, platform("kubernetes=1.31;enforcer=calico"))
    found = replay([ping("a", "web")], VERSIONS, evaluator)
    assert [use.contents for use in found.uses.values()] == [{8}]
