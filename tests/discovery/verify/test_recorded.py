"""Tests of discovery.verify.recorded: what was recorded beside edges decides about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.model.edge import Edge, Protocol
from discovery.model.requests import ConnectionKey, DnsRequest, HttpRequest, Request
from discovery.model.workload import EndpointKind
from discovery.verify import replay as module
from discovery.verify.decisions import STRANGER
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, Replay, replay
from tests.discovery.learn.builders import edge, outside, ref
from tests.discovery.verify.asking import CILIUM, cnp
from tests.discovery.verify.builders import platform, version

VERSIONS = (version("web"), version("a"), version("b"))
EDGES = [edge("a", "web", 80), edge("b", "web", 80)]
HTTP = cnp(
    "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '80', "
    "protocol: TCP}], rules: {http: [{method: GET, path: /public/.*}]}}]}]}"
)
KEY: ConnectionKey = (ref("a").key, ref("web").key, Protocol.TCP, 80)
LOOKUP: ConnectionKey = (ref("a").key, ref("web").key, Protocol.TCP, 53)
GET, PUT = HttpRequest(method="GET", path="/public/a"), HttpRequest(method="PUT", path="/public/a")


def run(text: str, edges: list[Edge], recorded: Recorded) -> Replay:
    """Replay edges on one policy."""
    return replay(edges, VERSIONS, Evaluator(read_policies({"p.yaml": text}).policies, platform(CILIUM)), recorded)


def fates(text: str, edges: list[Edge], recorded: Recorded) -> list[Fate]:
    """Return the fates of edges."""
    return [one.fate for one in run(text, edges, recorded).edges]


@pytest.mark.parametrize(
    ("asked", "fate"),
    [
        ((GET,), Fate.COVERED),
        ((GET, PUT), Fate.WOULD_DENY),
        ((GET, None), Fate.UNKNOWN),
        ((PUT, None), Fate.WOULD_DENY),
        ((), Fate.UNKNOWN),
    ],
)
def test_every_request_counts(asked: tuple[Request | None, ...], fate: Fate, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not let through cuts the edge; further ones that are not listed, or none at all, leave it open."""
    requests = {KEY: asked} if asked else {}
    alone = run(HTTP, EDGES, Recorded(requests=requests))
    assert [one.fate for one in alone.edges] == [fate, Fate.UNKNOWN]
    assert sum(use.edges for use in alone.uses.values()) == sum(request == GET for request in asked)
    monkeypatch.setattr(module, "COLUMNS_FROM", 0)
    assert run(HTTP, EDGES, Recorded(requests=requests)) == alone
    (told,) = alone.edges[1].sides
    assert "none was recorded" in told.reason


def test_without_rules_of_layer_7_requests_do_not_matter() -> None:
    """An allow of the port beside the rule lets everything through."""
    plain = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}]}]}"
    both = HTTP + "---\n" + cnp(plain, name="q")
    assert fates(both, EDGES, Recorded(requests={KEY: (PUT,)})) == [Fate.COVERED] * 2


def test_look_ups_and_the_names_of_addresses() -> None:
    """A look-up that is refused cuts the edge to the resolver; an answer gives its name to an address."""
    spec = (
        "{endpointSelector: {matchLabels: {app: a}}, egress: [{toEndpoints: [{matchLabels: {app: web}}], toPorts: "
        "[{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*.example.org'}]}}]}, "
        "{toFQDNs: [{matchPattern: '*.example.org'}]}]}"
    )
    lookup, api = edge("a", "web", 53), replace(edge("a", outside("192.0.2.1"), 443))
    asked = {LOOKUP: (DnsRequest(name="api.example.org"),)}
    names = {(ref("a").key, "192.0.2.1"): ("api.example.org",)}
    assert fates(cnp(spec), [lookup, api], Recorded(requests=asked, names=names)) == [Fate.COVERED] * 2
    other = {LOOKUP: (DnsRequest(name="api.example.com"),)}
    wrong = {(ref("a").key, "192.0.2.1"): ("api.example.com",)}
    others = {(ref("b").key, "192.0.2.1"): ("api.example.org",)}
    assert fates(cnp(spec), [api], Recorded(names=others)) == [Fate.UNKNOWN]
    assert fates(cnp(spec), [lookup, api], Recorded(requests=other, names=wrong)) == [Fate.WOULD_DENY] * 2
    assert fates(cnp(spec), [lookup, api], Recorded()) == [Fate.UNKNOWN] * 2


def test_an_address_of_nobody_knows_whom_may_be_a_pod() -> None:
    """Then a policy that isolates pods may isolate it, unless every pod is known."""
    unknown = replace(outside("192.0.2.1"), kind=EndpointKind.UNRESOLVED)
    text = cnp("{endpointSelector: {matchLabels: {app: b}}, ingress: [{fromEntities: [all]}]}")
    to_it = [edge("a", unknown, 80)]
    (strange,) = run(text, to_it, Recorded(all_pods=False)).edges
    assert (strange.fate, strange.sides[0].reason, strange.is_strange) == (Fate.UNKNOWN, STRANGER, True)
    assert fates(text, to_it, Recorded()) == [Fate.COVERED]
    egress = cnp("{endpointSelector: {matchLabels: {app: b}}, egress: [{toEntities: [all]}]}")
    assert fates(egress, to_it, Recorded(all_pods=False)) == [Fate.COVERED]


def test_each_address_has_requests_of_its_own() -> None:
    """What one client asked for says nothing of another, and is no request of another."""
    ports = "[{ports: [{port: '80', protocol: TCP}], rules: {http: [{path: PATH}]}}]"
    both = ", ".join(
        f"{{fromCIDR: [{address}/32], toPorts: {ports.replace('PATH', path)}}}"
        for address, path in (("192.0.2.1", "/a"), ("192.0.2.2", "/b"))
    )
    text = cnp(f"{{endpointSelector: {{matchLabels: {{app: web}}}}, ingress: [{both}]}}")
    given = [edge(outside("192.0.2.1", "192.0.2.2"), "web", 80)]

    def key(address: str) -> ConnectionKey:
        return address, ref("web").key, Protocol.TCP, 80

    one, two = {key("192.0.2.1"): (HttpRequest(path="/a"),)}, {key("192.0.2.2"): (HttpRequest(path="/b"),)}
    assert fates(text, given, Recorded(requests=one | two)) == [Fate.COVERED]
    assert fates(text, given, Recorded(requests=one)) == [Fate.UNKNOWN]
