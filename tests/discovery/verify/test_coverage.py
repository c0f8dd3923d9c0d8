"""Tests of discovery.verify.coverage."""

from __future__ import annotations

import pytest

from discovery.model.edge import Direction
from discovery.model.intent import Allow, PolicyIntent
from discovery.model.workload import Entity
from discovery.verify.coverage import Coverage
from discovery.verify.read import read_policies
from discovery.verify.recorded import Recorded
from tests.discovery.verify.asking import CALICO, CILIUM, cnp, gnp, knp
from tests.discovery.verify.builders import cidr_peer, entity_peer, intent, platform, tcp, version, workload_peer

VERSIONS = (version("web"), version("a"), version("b"), version("web", namespace="far"))
FROM_A = "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]"
L7 = (
    "endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{matchLabels: {app: a}}], "
    "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]"
)


def coverage(*texts: str, on: str = CILIUM) -> Coverage:
    """Return the coverage of policies."""
    read = read_policies({f"{number}.yaml": one for number, one in enumerate(texts)})
    return Coverage(read.policies, platform(on), VERSIONS, read.tiers)


def web(*allows: Allow) -> PolicyIntent:
    """Return an intent of web's ingress."""
    return intent("web", Direction.INGRESS, *allows)


FROM = {name: tcp(workload_peer(name), 80) for name in ("a", "b", "gone")}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (knp(f"{{{FROM_A}, ports: [{{port: 80}}]}}]}}"), {"a"}),
        (knp(f"{{{FROM_A}, ports: [{{port: 81}}]}}]}}"), set()),
        (knp("{podSelector: {}, ingress: [{}]}"), {"a", "b"}),
        (cnp(f"{{{L7}}}"), {"a"}),
        (cnp("{endpointSelector: {}, ingress: [{fromEntities: [cluster]}, {fromEndpoints: 5}]}"), set()),
    ],
)
def test_what_is_said(policy: str, said: set[str]) -> None:
    """The same peer and port, or more; a rule that restricts further has spoken, and one that cannot be read has not.
    Of pods that nobody knows nothing is said.
    """
    found = coverage(policy)
    told = {name for name, allow in FROM.items() if found.isolates(web(allow)) and found.says(web(allow), allow)}
    assert told == said


def test_outside_and_nodes() -> None:
    """A prefix is said when all of it is; an entity by its name."""
    found = coverage(cnp("{endpointSelector: {}, ingress: [{fromCIDR: [192.0.2.0/25]}, {fromEntities: [host]}]}"))
    inside, over = tcp(cidr_peer("192.0.2.0/26"), 80), tcp(cidr_peer("192.0.2.0/24"), 80)
    host, node = tcp(entity_peer(Entity.HOST), 80), tcp(entity_peer(Entity.REMOTE_NODE), 80)
    assert [found.says(web(one), one) for one in (inside, over, host, node)] == [True, False, True, False]


def test_what_isolates() -> None:
    """A policy that selects every pod of the workload in that direction; monitor forms count as if enforced."""
    assert coverage(knp("{podSelector: {}, policyTypes: [Ingress]}")).isolates(web(FROM["a"]))
    assert not coverage(knp("{podSelector: {}, policyTypes: [Egress]}")).isolates(web(FROM["a"]))
    assert not coverage().isolates(web(FROM["a"]))
    watched = cnp("{endpointSelector: {}, ingress: [{}], enableDefaultDeny: {ingress: false}}")
    assert coverage(watched).isolates(web(FROM["a"]))
    nobody = intent("nobody", Direction.INGRESS, FROM["a"])
    assert not coverage(knp("{podSelector: {}, policyTypes: [Ingress]}")).isolates(nobody)
    assert not coverage(knp("{podSelector: {}, ingress: [{}]}")).says(nobody, FROM["a"])


def test_a_deny_that_comes_first_takes_away() -> None:
    """An allow behind a deny says nothing."""
    allow = gnp("{order: 2, ingress: [{action: Allow}]}")
    deny = gnp("{order: 1, ingress: [{action: Deny, source: {selector: app == 'a'}}]}").replace("name: g", "name: d")
    found = coverage(allow, deny, on=CALICO)
    assert [found.says(web(FROM[name]), FROM[name]) for name in ("a", "b")] == [False, True]


def test_names_that_the_client_looked_up_count() -> None:
    """An address that an FQDN rule means is said, for who asked for the name."""
    policy = cnp(
        "{endpointSelector: {matchLabels: {app: a}}, egress: [{toFQDNs: [{matchName: api.example.org}]}, "
        "{toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]}"
    )
    read = read_policies({"p.yaml": policy})
    api = tcp(cidr_peer("192.0.2.1/32"), 443)
    asked = intent("a", Direction.EGRESS, api)
    for client, said in (("a", True), ("b", False)):
        names = {(version(client).ref.key, "192.0.2.1"): ("api.example.org",)}
        found = Coverage(read.policies, platform(CILIUM), VERSIONS, recorded=Recorded(names=names))
        assert found.says(asked, api) is said
