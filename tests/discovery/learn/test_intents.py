"""From edges to intents: what isolates, what does not, and the same from any order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from discovery.learn.intents import Learned, Subjects, Told, join_evidence, learn
from discovery.learn.judge import Options, Reason, Ruling
from discovery.model.edge import Direction, Edge, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, PolicyIntent, WorkloadPeer
from discovery.model.inventory import DeclaredCall, Opener
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, WorkloadVersion
from tests.discovery.learn.builders import EVIDENCE, edge, other, outside, ping, pod, ref, version

DNS = ref("coredns", namespace="kube-system")
VERSIONS = (version("web"), version("db"), version("api"), version(DNS))
IN, OUT = Direction.INGRESS, Direction.EGRESS


def learned(
    *edges: Edge, versions: tuple[WorkloadVersion, ...] = VERSIONS, subjects: Subjects | None = None
) -> Learned:
    """Learn with default options."""
    return learn(edges, versions, Options(), subjects or Subjects())


def intent(found: Learned, name: str, direction: Direction) -> PolicyIntent | None:
    """Return the intent of a workload of the shop."""
    return next((one for one in found.intents if (one.workload, one.direction) == (ref(name), direction)), None)


def told(found: Learned, name: str, direction: Direction) -> list[tuple[str, str, str]]:
    """Return the allows of an intent in words."""
    one = intent(found, name, direction)
    return [] if one is None else [_words(allow) for allow in one.allows]


def _words(allow: Allow) -> tuple[str, str, str]:
    """Return peer, protocol and content."""
    peer = allow.peer
    if isinstance(peer, WorkloadPeer):
        name = str(peer.selector)
    else:
        name = peer.entity.value if isinstance(peer, EntityPeer) else ",".join(peer.prefixes)
    return name, allow.protocol.value, str(allow.ports) or ",".join(map(str, allow.icmp_types))


def test_one_edge_is_two_intents() -> None:
    """Rule 3: a connection is evidence for the client's egress and the server's ingress, and for nothing else."""
    found = learned(edge("web", "db", 5432))
    assert told(found, "web", OUT) == [("shop: app=db", "TCP", "5432")]
    assert told(found, "db", IN) == [("shop: app=web", "TCP", "5432")]
    assert [(one.workload.name, one.direction, one.isolate) for one in found.intents] == [
        ("db", IN, True),
        ("web", OUT, True),
    ]


def test_undecided_traffic_keeps_its_directions_open() -> None:
    """Rule 6: what is learned stays, what is undecided is named, nothing is isolated."""
    found = learned(edge("web", "db", 5432), edge("web", other(EndpointKind.UNRESOLVED, "10.0.0.9"), 80))
    one, peer = intent(found, "web", OUT), intent(found, "db", IN)
    assert one is not None
    assert peer is not None
    assert (one.isolate, len(one.allows), peer.isolate) == (False, 1, True)
    assert one.reasons == (
        "no record says enough of one of its ends to name it (an inventory may): shop/web -> unresolved TCP/80",
    )


def test_unknown_direction_opens_both_directions_at_both_ends() -> None:
    """Rule 1: nobody knows who opened it, so no direction of either end is isolated."""
    found = learned(edge("web", "db", 1), edge("db", "web", 2), edge("web", "db", 3, evidence_class=EvidenceClass.NONE))
    assert [one.isolate for one in found.intents] == [False] * 4


def test_review_alone_says_nothing() -> None:
    """A direction with nothing but denied traffic has no evidence, so there is no intent."""
    assert learned(edge("web", "db", 5432, verdict=Verdict.DENIED)).intents == ()


def test_denied_traffic_does_not_open_a_direction() -> None:
    """A scan that policy stopped neither becomes a rule nor keeps the direction open."""
    found = learned(edge("web", "db", 5432), edge("api", "db", 22, verdict=Verdict.DENIED))
    assert told(found, "db", IN) == [("shop: app=web", "TCP", "5432")]
    one = intent(found, "db", IN)
    assert one is not None
    assert one.isolate


def test_a_peer_that_cannot_be_selected_is_undecided() -> None:
    """Rule 4: what labels cannot tell apart is never widened to all of its likes."""
    twins = (*VERSIONS, version("t1", {"x": "y"}), version("t2", {"x": "y"}))
    found = learned(edge("web", "t1", 80), versions=twins)
    assert [(one.ruling, one.reason) for one in found.judged] == [(Ruling.UNDECIDED, Reason.NOT_SELECTABLE)]
    one = intent(found, "web", OUT)
    assert one is not None
    assert not one.isolate
    assert not one.allows
    told = [(item.code, item.subject) for item in found.diagnostics if item.subject != "input"]
    assert told == [("labels-cannot-tell-apart", "shop/t1")]


def test_a_workload_without_traffic_is_no_finding() -> None:
    """A workload that no edge touches gets neither an intent nor a diagnostic, however it would be selected."""
    idle = (version("t1", {"x": "y"}), version("t2", {"x": "y"}), version(ref("lone", namespace="pay"), {}))
    quiet, plain = learned(edge("web", "db", 5432), versions=(*VERSIONS, *idle)), learned(edge("web", "db", 5432))
    assert (quiet.intents, quiet.diagnostics) == (plain.intents, plain.diagnostics)


def test_external_addresses_of_one_port_are_one_cover() -> None:
    """Addresses of several edges join to the minimal cover, per protocol and port, with joined evidence."""
    found = learned(
        edge("web", outside("192.0.2.0", names=("a.example",)), 443),
        edge("web", outside("192.0.2.1", names=("b.example",)), 443, establishment=Establishment.UNKNOWN),
        edge("web", outside("192.0.2.1"), 80),
    )
    one = intent(found, "web", OUT)
    assert one is not None
    assert told(found, "web", OUT) == [("192.0.2.0/31", "TCP", "443"), ("192.0.2.1/32", "TCP", "80")]
    first = one.allows[0]
    assert isinstance(first.peer, CidrPeer)
    assert first.evidence is not None
    assert (first.peer.names, first.evidence.flow_records) == (("a.example", "b.example"), 24)


def test_external_clients_are_named_by_prefix() -> None:
    """Clients become their /24 and /48 in one rule; servers stay exact; a private client is warned of."""
    edges = (
        edge(outside("192.0.2.7"), "web", 443),
        edge(outside("192.0.2.9"), "web", 443, establishment=Establishment.UNKNOWN),
        edge(outside("2001:db8::7"), "web", 443, evidence_class=EvidenceClass.FLAG),
        edge(outside("10.9.8.7"), "db", 5432),
        edge("web", outside("198.51.100.7"), 443),
    )
    found = learn(edges, VERSIONS, Options(client_prefixes=True), Subjects())
    assert told(found, "web", IN) == [("192.0.2.0/24,2001:db8::/48", "TCP", "443")]
    assert told(found, "web", OUT) == [("198.51.100.7/32", "TCP", "443")]
    assert told(found, "db", IN) == [("10.9.8.0/24", "TCP", "5432")]
    hints = [one.hint or "" for one in found.diagnostics if one.code == "private-external-peer"]
    assert ["--show-addresses" in hint for hint in hints] == [True]
    exact = learn(edges, VERSIONS, Options(), Subjects())
    assert told(exact, "web", IN) == [("192.0.2.7/32,192.0.2.9/32,2001:db8::7/128", "TCP", "443")]


def test_entities_and_icmp() -> None:
    """Nodes by entity with all their addresses; ICMP by type."""
    found = learned(
        edge("web", other(EndpointKind.HOST, "10.0.0.1"), 1),
        edge("db", other(EndpointKind.HOST, "10.0.0.2"), 2),
        ping("web", "db"),
    )
    assert told(found, "web", OUT) == [("host", "TCP", "1"), ("shop: app=db", "ICMP", "8")]
    one = intent(found, "web", OUT)
    assert one is not None
    assert one.allows[0].peer == EntityPeer(entity=Entity.HOST, addresses=("10.0.0.1", "10.0.0.2"))


def test_addresses_of_nodes_are_those_of_their_role() -> None:
    """A node that only ever called is no server: ingress names the clients, egress the servers, each of all edges."""
    found = learned(
        edge("web", other(EndpointKind.REMOTE_NODE, "10.0.0.1"), 1),
        edge("api", other(EndpointKind.REMOTE_NODE, "10.0.0.2"), 2),
        edge(other(EndpointKind.REMOTE_NODE, "10.0.0.3"), "web", 3),
        edge(other(EndpointKind.REMOTE_NODE, "10.0.0.4"), "db", 4),
    )
    peers = {
        (one.workload.name, one.direction): allow.peer
        for one in found.intents
        for allow in one.allows
        if isinstance(allow.peer, EntityPeer)
    }
    servers = EntityPeer(entity=Entity.REMOTE_NODE, addresses=("10.0.0.1", "10.0.0.2"))
    clients = EntityPeer(entity=Entity.REMOTE_NODE, addresses=("10.0.0.3", "10.0.0.4"))
    assert peers == {("web", OUT): servers, ("api", OUT): servers, ("web", IN): clients, ("db", IN): clients}


def test_isolated_egress_can_resolve_names() -> None:
    """The resolver that others ask is added, with its origin; ingress gets no addition."""
    found = learned(
        edge("web", "db", 5432), edge("api", pod("coredns", namespace="kube-system"), 53, protocol=Protocol.UDP)
    )
    one = intent(found, "web", OUT)
    assert one is not None
    assert [(allow.origin, *_words(allow)) for allow in one.allows] == [
        (Origin.OBSERVED, "shop: app=db", "TCP", "5432"),
        (Origin.DNS, "kube-system: app=coredns", "TCP", "53"),
        (Origin.DNS, "kube-system: app=coredns", "UDP", "53"),
    ]
    assert all(allow.origin is Origin.OBSERVED for allow in (intent(found, "db", IN) or one).allows)
    assert not found.diagnostics


def test_an_unknown_resolver_is_said() -> None:
    """Where nobody was seen to resolve names, the isolated egress is a finding."""
    told = [(one.code, one.subject) for one in learned(edge("web", "db")).diagnostics if one.subject != "input"]
    assert told == [("dns-resolver-unknown", "shop/web")]


def test_the_ingress_of_a_resolver_stays_open() -> None:
    """Workloads that no window has shown ask it too: nothing is cut, what is known is kept, and the reason is said."""
    resolver = pod("coredns", namespace="kube-system")
    found = learned(
        edge("api", resolver, 53, protocol=Protocol.UDP),
        edge("web", resolver, 9153),
        edge(resolver, "db", 443),
        subjects=Subjects(include_system=True),
    )
    served = {one.direction: one for one in found.intents if one.workload == DNS}
    assert (served[IN].isolate, served[IN].reasons) == (
        False,
        ("it resolves names, also for workloads that this window did not show",),
    )
    assert [_words(allow) for allow in served[IN].allows] == [
        ("shop: app=api", "UDP", "53"),
        ("shop: app=web", "TCP", "9153"),
    ]
    assert served[OUT].isolate
    assert {allow.origin for one in served.values() for allow in one.allows} == {Origin.OBSERVED}


def test_a_resolver_that_is_open_already_keeps_its_reason() -> None:
    """Undecided traffic is what a reviewer can settle, so it stays the reason."""
    found = learned(
        edge("api", pod("coredns", namespace="kube-system"), 53, protocol=Protocol.UDP),
        edge(other(EndpointKind.UNRESOLVED, "10.0.0.8"), pod("coredns", namespace="kube-system"), 9153),
        subjects=Subjects(include_system=True),
    )
    (one,) = [one for one in found.intents if (one.workload, one.direction) == (DNS, IN)]
    assert not one.isolate
    assert len(one.reasons) == 1
    assert "unresolved -> kube-system/coredns TCP/9153" in one.reasons[0]


def test_a_resolver_of_the_shop_is_open_too() -> None:
    """Who answers names is seen in the traffic; it need not be a system workload."""
    one = intent(learned(edge("web", "db", 53, protocol=Protocol.UDP)), "db", IN)
    assert one is not None
    assert not one.isolate
    assert one.allows


def test_subjects_select_who_gets_policies() -> None:
    """Namespaces choose subjects, never peers; system workloads are left out unless asked for."""
    edges = (edge("web", pod("coredns", namespace="kube-system"), 53), edge("web", pod("x", namespace="pay"), 80))
    versions = (*VERSIONS, version(ref("x", namespace="pay")))
    every = {one.workload.name for one in learned(*edges, versions=versions).intents}
    shop = learned(*edges, versions=versions, subjects=Subjects(namespaces=frozenset({"shop"})))
    system = learned(*edges, versions=versions, subjects=Subjects(include_system=True))
    assert every == {"web", "x"}
    assert {one.workload.name for one in shop.intents} == {"web"}
    assert ("pay: app=x", "TCP", "80") in told(shop, "web", OUT)
    assert {one.workload.name for one in system.intents} == {"web", "x", "coredns"}


def test_unseen_calls_of_the_platform_are_listed_too() -> None:
    """It gets no policy, and its cut webhook would stop every other workload; other namespaces were not asked for."""
    call = DeclaredCall(workload=DNS, protocol="TCP", port=9443, declared_by="x", opener=Opener.API_SERVER)
    for subjects, listed in ((Subjects(), True), (Subjects(namespaces=frozenset({"shop"})), False)):
        found = learn([edge("web", "db")], VERSIONS, Options(), subjects, told=Told(calls=(call,)))
        assert ("declared-unseen" in [one.code for one in found.diagnostics]) is listed


def test_selection_without_labels_is_said() -> None:
    """Selection by namespace or service account is weaker, so a reviewer is told."""
    lone = version(ref("lone", namespace="pay"), {})
    by_account = (version("a", {"x": "y"}, account="a"), version("b", {"x": "y"}, account="b"))
    found = learned(edge("a", pod("lone", namespace="pay")), versions=(lone, *by_account))
    assert {(one.code, one.subject) for one in found.diagnostics} >= {
        ("selected-by-namespace", "pay/lone"),
        ("selected-by-service-account", "shop/a"),
    }


ENDS = (
    pod("web"),
    pod("db"),
    pod("api"),
    pod("coredns", namespace="kube-system"),
    outside("192.0.2.1"),
    outside("10.0.0.1"),
    other(EndpointKind.HOST, "10.0.0.1"),
    other(EndpointKind.UNRESOLVED, "10.0.0.8"),
)


@st.composite
def rollups(draw: st.DrawFn) -> list[Edge]:
    """Draw edges as a rollup returns them: one per client, server, port and verdict."""
    found: dict[tuple[object, ...], Edge] = {}
    for _ in range(draw(st.integers(1, 8))):
        one = edge(
            draw(st.sampled_from(ENDS)),
            draw(st.sampled_from(ENDS)),
            draw(st.sampled_from((53, 80))),
            verdict=draw(st.sampled_from((Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.DENIED, Verdict.AUDIT))),
            evidence_class=draw(st.sampled_from((EvidenceClass.HANDSHAKE, EvidenceClass.FLAG, EvidenceClass.NONE))),
        )
        found[one.client, one.server, one.port, one.verdict] = one
    return list(found.values())


@given(st.data())
def test_the_order_of_the_inputs_does_not_matter(data: st.DataObject) -> None:
    """Edges and versions in any order give the same intents, rulings and findings."""
    edges = data.draw(rollups())
    first = learned(*edges)
    again = learned(*data.draw(st.permutations(edges)), versions=tuple(data.draw(st.permutations(VERSIONS))))
    assert (again.intents, again.judged, again.diagnostics) == (first.intents, first.judged, first.diagnostics)


@given(rollups())
def test_allows_are_what_was_learned_and_isolation_needs_it(edges: list[Edge]) -> None:
    """No allow without a learned edge, no learned edge without an allow, no isolation beside undecided traffic."""
    found = learned(*edges, subjects=Subjects(include_system=True))
    for one in found.intents:
        mine = [
            item
            for item in found.judged
            if (item.edge.client if one.direction is OUT else item.edge.server).workload == one.workload
        ]
        ports = {item.edge.port for item in mine if item.ruling is Ruling.LEARN}
        observed = [allow for allow in one.allows if allow.origin is Origin.OBSERVED]
        assert {port for allow in observed for port in allow.ports} == ports
        if one.isolate:
            assert observed
            assert all(item.ruling is not Ruling.UNDECIDED for item in mine)
    subjects = {(one.workload, one.direction) for one in found.intents}
    for item in found.judged:
        if item.ruling is Ruling.LEARN:
            for end, direction in ((item.edge.client, OUT), (item.edge.server, IN)):
                assert end.workload is None or (end.workload, direction) in subjects


@given(rollups())
def test_more_of_the_same_traffic_changes_evidence_alone(edges: list[Edge]) -> None:
    """Rule 9: a hundred times the records, the same subjects, allows and isolation."""
    more = [replace(one, evidence=replace(one.evidence, flow_records=1200, days=9, client_pods=9)) for one in edges]

    def meaning(found: Learned) -> list[object]:
        return [
            replace(one, allows=tuple(replace(allow, evidence=None) for allow in one.allows)) for one in found.intents
        ]

    assert meaning(learned(*more)) == meaning(learned(*edges))


def evidence() -> st.SearchStrategy[Evidence]:
    """Draw evidence."""
    count = st.integers(0, 9)
    words = st.lists(st.sampled_from(("hubble", "calico", "goldmane")), unique=True).map(
        lambda found: tuple(sorted(found))
    )
    return st.builds(
        Evidence,
        flow_records=count,
        connections=st.none() | count,
        first_seen=count,
        last_seen=count,
        hours=st.integers(0, 2**24 - 1),
        days=count,
        sources=words,
        reporters=words,
        client_pods=count,
        server_pods=count,
    )


@given(evidence(), evidence(), evidence())
def test_evidence_joins_in_any_order(a: Evidence, b: Evidence, c: Evidence) -> None:
    """Joining is commutative and associative, so rules do not depend on the order of edges."""
    assert join_evidence(a, b) == join_evidence(b, a)
    assert join_evidence(join_evidence(a, b), c) == join_evidence(a, join_evidence(b, c))


@given(evidence(), evidence())
def test_joined_evidence_is_bounded_by_its_parts(a: Evidence, b: Evidence) -> None:
    """Counts add up, times and hours span both, and nothing is counted that nobody counted."""
    both = join_evidence(a, b)
    assert both.flow_records == a.flow_records + b.flow_records
    assert (both.first_seen, both.last_seen) == (min(a.first_seen, b.first_seen), max(a.last_seen, b.last_seen))
    assert {hour for hour in range(24) if both.hours >> hour & 1} == {
        hour for one in (a, b) for hour in range(24) if one.hours >> hour & 1
    }
    assert (both.connections is None) == (a.connections is None and b.connections is None)
    assert set(both.sources) == {*a.sources, *b.sources}
    assert max(a.days, b.days) <= both.days <= a.days + b.days


def test_ports_of_one_peer_stay_apart() -> None:
    """One allow per port: merging is for the dialects, where the meaning is the union."""
    found = learned(edge("web", "db", 1), edge("web", "db", 2))
    one = intent(found, "web", OUT)
    assert one is not None
    assert [allow.ports for allow in one.allows] == [PortSet.of(1), PortSet.of(2)]
    assert all(allow.evidence == EVIDENCE for allow in one.allows)


def test_a_window_without_tcp_isolates_nothing() -> None:
    """There is no cluster without: the export is filtered; a window without UDP is said."""
    lookup = edge("web", "db", 514, protocol=Protocol.UDP)
    alone, both = learned(lookup), learned(lookup, edge("web", "db", 80))
    assert not any(one.isolate for one in alone.intents)
    assert all("seems filtered by protocol" in one.reasons[0] for one in alone.intents)
    assert all(one.isolate for one in both.intents)
    told = [[one.message for one in found.diagnostics if one.code == "protocol-unseen"] for found in (alone, both)]
    assert [len(messages) for messages in told] == [1, 0]
    only_tcp = learned(edge("web", "db", 80))
    assert all(one.isolate for one in only_tcp.intents)
    assert [one.subject for one in only_tcp.diagnostics if one.code == "protocol-unseen"] == ["input"]
