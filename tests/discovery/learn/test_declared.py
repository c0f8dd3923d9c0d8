"""Calls of the API server that objects declare and a window need not show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.learn.declared import (
    api_servers_of,
    unresolved_calls,
    unseen_calls,
    unseen_routes,
    unseen_runs,
    with_calls,
)
from discovery.learn.judge import Judged, Options, judge
from discovery.model.edge import Direction, Endpoint, Protocol, Verdict
from discovery.model.intent import Allow, EntityPeer, Origin, PolicyIntent, WorkloadPeer
from discovery.model.inventory import DeclaredCall, DeclaredRun, Opener, UnresolvedCall
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, Labels, Selector, WorkloadRef
from tests.discovery.learn.builders import edge

HOOK = WorkloadRef(cluster="default", namespace="shop", kind="Deployment", name="hook")
API_SERVER = EntityPeer(entity=Entity.KUBE_APISERVER, addresses=("192.168.0.10",))
_SELECTOR = Selector(cluster="default", namespace="shop", labels=Labels.of({"app": "hook"}))
_SCRAPED = Allow(peer=WorkloadPeer(selector=_SELECTOR), protocol=Protocol.TCP, ports=PortSet.of(9402))


def _call(declared_by: str = "APIService a", port: int = 10_250, workload: WorkloadRef = HOOK) -> DeclaredCall:
    """Return a declared call."""
    return DeclaredCall(workload=workload, protocol="TCP", port=port, declared_by=declared_by)


def _intent(*allows: Allow, direction: Direction = Direction.INGRESS, isolate: bool = True) -> PolicyIntent:
    """Return an intent of the hook."""
    return PolicyIntent(
        workload=HOOK, subject=_SELECTOR, direction=direction, allows=allows or (_SCRAPED,), isolate=isolate
    )


def _arrival() -> Judged:
    """Return a learned edge from the API server to the hook."""
    client = Endpoint(kind=EndpointKind.KUBE_APISERVER, addresses=("192.168.0.10",), distinct_addresses=1)
    server = Endpoint(kind=EndpointKind.WORKLOAD, workload=HOOK)
    return judge(edge(client, server, 10_250), Options())


def test_an_unseen_call_is_allowed_where_the_api_server_was_seen_to_arrive() -> None:
    """As a declared addition with its reason; of several calls on one port the gravest gives it."""
    calls = [
        _call("MutatingWebhookConfiguration m, failurePolicy Ignore"),
        _call("Z, failurePolicy Fail"),
        _call(port=1),
    ]
    found = with_calls(_intent(), calls, (), API_SERVER)
    assert found.isolate
    assert found.allows[0] == _SCRAPED
    assert [
        (allow.peer, allow.protocol, str(allow.ports), allow.origin, allow.reason) for allow in found.allows[1:]
    ] == [
        (API_SERVER, Protocol.TCP, "1", Origin.API_SERVER, "APIService a, not seen in this window"),
        (API_SERVER, Protocol.TCP, "10250", Origin.API_SERVER, "Z, failurePolicy Fail, not seen in this window"),
    ]


def test_where_the_api_server_was_not_seen_nothing_is_isolated() -> None:
    """Nobody knows how it arrives there: through an agent, from a node, from outside."""
    found = with_calls(_intent(), [_call()], (), None)
    assert not found.isolate
    assert found.allows == (_SCRAPED,)
    assert "APIService a" in found.reasons[0]


def test_other_intents_stay_as_they_are() -> None:
    """Egress, what is open already, other workloads, and calls that an observed rule lets in."""
    seen = _intent(Allow(peer=API_SERVER, protocol=Protocol.TCP, ports=PortSet.of(10_250)))
    other = replace(HOOK, name="other")
    for intent, calls in (
        (_intent(direction=Direction.EGRESS), [_call()]),
        (_intent(isolate=False), [_call()]),
        (_intent(), [_call(workload=other)]),
        (_intent(), []),
        (seen, [_call()]),
    ):
        for server in (API_SERVER, None):
            assert with_calls(intent, calls, (), server) == intent


def test_how_the_api_server_arrives() -> None:
    """Only a learned edge from it shows that; its addresses are those of all such edges."""
    arrival = _arrival()
    known = {"default": {EndpointKind.KUBE_APISERVER: ("192.168.0.10",)}, "east": {}}
    assert api_servers_of([arrival], known) == {"default": API_SERVER}
    assert api_servers_of([], known) == {}
    denied = judge(replace(arrival.edge, verdict=Verdict.DENIED), Options())
    assert api_servers_of([denied], known) == {}
    east = replace(arrival.edge.server, workload=replace(HOOK, cluster="east"))
    there = judge(replace(arrival.edge, server=east), Options())
    assert api_servers_of([there], known) == {"east": replace(API_SERVER, addresses=())}


def test_a_call_that_ends_nobody_knows_where_leaves_open_what_it_may_end_at() -> None:
    """The workload that it is of, or every one of the namespace; it is listed."""
    lost = UnresolvedCall(cluster="default", namespace="shop", workload=HOOK, declared_by="webhook x", why="y")
    other = replace(lost, workload=replace(HOOK, name="other"))
    assert with_calls(_intent(), (), [other], API_SERVER) == _intent()
    for one in (lost, replace(lost, workload=None)):
        found = with_calls(_intent(), [_call()], [one], API_SERVER)
        assert (found.isolate, found.reasons) == (False, ("the API server may call it (webhook x), and y",))
    assert [(one.code, one.subject) for one in unresolved_calls([lost, lost, replace(lost, workload=None)])] == [
        ("declared-unresolved", "shop"),
        ("declared-unresolved", "shop/hook"),
    ]


def test_unseen_calls_are_listed() -> None:
    """A call that an edge shows is not; every other one is, once."""
    calls = [_call(), _call(), _call(port=1)]
    assert [one.message for one in unseen_calls(calls, [_arrival()])] == [
        "the API server calls TCP/1 (APIService a), not seen in this window"
    ]
    assert len(unseen_calls(calls, [])) == 2


GATEWAY = WorkloadRef(cluster="default", namespace="edge", kind="Deployment", name="gateway")


@pytest.mark.parametrize(
    ("client", "port", "openers"),
    [
        (Endpoint(kind=EndpointKind.KUBE_APISERVER), 8080, set(Opener)),
        (Endpoint(kind=EndpointKind.EXTERNAL), 8080, set(Opener)),
        (Endpoint(kind=EndpointKind.REMOTE_NODE), 9090, set(Opener)),
        (Endpoint(kind=EndpointKind.HOST), 8080, set(Opener)),
        (Endpoint(kind=EndpointKind.HOST), 9090, set()),
        (Endpoint(kind=EndpointKind.WORKLOAD, workload=GATEWAY), 8080, {Opener.GATEWAY, Opener.WORKLOAD}),
        (Endpoint(kind=EndpointKind.WORKLOAD, workload=replace(GATEWAY, name="x")), 8080, {Opener.WORKLOAD}),
    ],
)
def test_a_route_is_seen_by_who_comes_that_way(client: Endpoint, port: int, openers: set[Opener]) -> None:
    """A workload that takes clients from outside is a gateway, another is none; a probe is nobody's way."""
    server = Endpoint(kind=EndpointKind.WORKLOAD, workload=HOOK)
    reached = judge(edge(client, server, port), Options())
    for opener in Opener:
        told = DeclaredCall(workload=HOOK, protocol="TCP", port=port, declared_by="Ingress shop/x", opener=opener)
        found = unseen_routes([told, told], [reached], frozenset({GATEWAY}), {HOOK: frozenset({9090})})
        assert [(one.code, one.subject) for one in found] == (
            [] if opener in openers else [("route-unseen", "shop/hook")]
        )
        assert all(f"Ingress shop/x leads to TCP/{port}" in one.message for one in found)


@pytest.mark.parametrize(
    ("verdict", "seen"),
    [(Verdict.ACCEPTED, True), (Verdict.AUDIT, True), (Verdict.UNKNOWN, True), (Verdict.DENIED, False)],
)
def test_a_route_is_seen_whatever_was_learned_of_it(verdict: Verdict, seen: bool) -> None:
    """What was delivered came that way, though it is reviewed, or has too many clients to name; what was denied did
    not.
    """
    client = Endpoint(kind=EndpointKind.WORKLOAD, workload=replace(HOOK, name="x"))
    one = judge(edge(client, Endpoint(kind=EndpointKind.WORKLOAD, workload=HOOK), 8080, verdict=verdict), Options())
    told = DeclaredCall(workload=HOOK, protocol="TCP", port=8080, declared_by="x", opener=Opener.WORKLOAD)
    assert (unseen_routes([told], [one], frozenset(), {}) == []) is seen


def test_unseen_runs_are_listed() -> None:
    """A CronJob with any traffic in the window ran; one without did not."""
    run = DeclaredRun(workload=HOOK, schedule="0 3 * * *")
    assert unseen_runs([run], [_arrival()]) == []
    (found,) = unseen_runs([run, run], [])
    assert (found.code, found.subject) == ("run-unseen", "shop/hook")
    assert "'0 3 * * *'" in found.message
