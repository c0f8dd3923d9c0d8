"""DNS: who resolves names, and what is added so that isolated workloads can still ask."""

from __future__ import annotations

from dataclasses import replace

from discovery.learn.dns import Resolver, dns_additions, find_resolvers
from discovery.learn.judge import Judged, Options, judge
from discovery.learn.selectors import choose_all
from discovery.model.edge import Edge, Protocol, Verdict
from discovery.model.intent import Allow, EntityPeer, Origin, WorkloadPeer
from discovery.model.inventory import DeclaredCall
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, Labels, Selector
from tests.discovery.learn.builders import CLUSTER, edge, other, outside, pod, ref, version

DNS = ref("coredns", namespace="kube-system")
SELECTOR = Selector(cluster=CLUSTER, namespace="kube-system", labels=Labels.of({"app": "coredns"}))
CHOICES = choose_all([version("web"), version("db"), version(DNS)])


def ask(client: str, port: int = 53, **changes: object) -> Edge:
    """Return an edge that asks the resolver."""
    return edge(client, pod("coredns", namespace="kube-system"), port, **{"protocol": Protocol.UDP, **changes})


def judged(*edges: Edge) -> list[Judged]:
    """Return the rulings on edges."""
    return [judge(one, Options()) for one in edges]


def resolver(name: str = "coredns", *, clients: int = 1, port: int = 53, cluster: str = CLUSTER) -> Resolver:
    """Return a resolver."""
    place = Selector(cluster=cluster, namespace="kube-system", labels=Labels.of({"app": name}))
    return Resolver(
        cluster=cluster, peer=WorkloadPeer(selector=place), port=port, clients=clients,
        workload=ref(name, namespace="kube-system", cluster=cluster),
    )  # fmt: skip


def asked(one: Resolver, protocol: Protocol) -> Allow:
    """Return the observed allow of a look-up."""
    return Allow(peer=one.peer, protocol=protocol, ports=PortSet.of(one.port))


def test_a_resolver_is_found_by_its_port_or_its_records() -> None:
    """Port 53, or layer 7 records of DNS on any port; each client counts once."""
    asks = (ask("web"), ask("web", protocol=Protocol.TCP), ask("db", 5353, l7=("dns",)))
    found = find_resolvers(judged(*asks), CHOICES, {})
    assert [(one.workload, one.port, one.clients, one.peer) for one in found] == [
        (DNS, 53, 1, WorkloadPeer(selector=SELECTOR)),
        (DNS, 5353, 1, WorkloadPeer(selector=SELECTOR)),
    ]


def test_what_was_not_learned_shows_no_resolver() -> None:
    """Denied look-ups, outside resolvers, SCTP and other ports prove nothing."""
    edges = (
        ask("web", verdict=Verdict.DENIED),
        edge("web", outside("192.0.2.53"), 53),
        ask("web", 80),
        ask("web", protocol=Protocol.SCTP),
    )
    assert find_resolvers(judged(*edges), CHOICES, {}) == ()


def test_who_asked_gets_the_other_protocol_too() -> None:
    """Large answers come over TCP: both protocols, and only what is missing, with its reason."""
    one = resolver()
    added = dns_additions(ref("web"), [asked(one, Protocol.UDP)], (one, resolver("other", clients=9)))
    assert [(allow.peer, allow.protocol, allow.ports, allow.origin) for allow in added] == [
        (one.peer, Protocol.TCP, PortSet.of(53), Origin.DNS)
    ]
    assert added[0].reason is not None
    assert "TCP" in added[0].reason
    assert dns_additions(ref("web"), [asked(one, Protocol.UDP), asked(one, Protocol.TCP)], (one,)) == ()


def test_who_never_asked_gets_the_resolver_that_most_ask() -> None:
    """It stays possible to resolve names; among equals the choice is by name."""
    few, most, same = resolver("a"), resolver("c", clients=5), resolver("b", clients=5)
    added = dns_additions(ref("web"), [], (few, same, most))
    assert [(allow.peer, allow.protocol) for allow in added] == [
        (same.peer, Protocol.TCP),
        (same.peer, Protocol.UDP),
    ]


def test_nothing_is_added_without_a_resolver_near() -> None:
    """Not that of another cluster, and a resolver does not ask itself."""
    assert dns_additions(ref("web"), [], ()) == ()
    assert dns_additions(ref("web"), [], (resolver(cluster="c2"),)) == ()
    assert dns_additions(DNS, [], (resolver(),)) == ()


NODE_LOCAL = "169.254.20.10"
LOCAL = EntityPeer(entity=Entity.HOST, addresses=(NODE_LOCAL,))


def test_a_node_may_resolve_names() -> None:
    """NodeLocal DNS is a resolver for those that ask it, named by the address that it has on every node."""
    asks = [edge(name, other(EndpointKind.HOST, NODE_LOCAL), 53, protocol=Protocol.UDP) for name in ("web", "db")]
    found = find_resolvers(judged(*asks), CHOICES, {CLUSTER: {EndpointKind.HOST: ("10.0.0.1",)}})
    assert found == (Resolver(cluster=CLUSTER, peer=LOCAL, port=53, clients=2),)


def test_who_asks_the_node_gets_no_other_resolver() -> None:
    """TCP is added for the node alone; the resolver that more clients ask is not."""
    node = Resolver(cluster=CLUSTER, peer=LOCAL, port=53, clients=1)
    given = Allow(peer=LOCAL, protocol=Protocol.UDP, ports=PortSet.of(53))
    added = dns_additions(ref("web"), [given], (resolver(clients=9), node))
    assert [(allow.peer, allow.protocol, allow.ports) for allow in added] == [(LOCAL, Protocol.TCP, PortSet.of(53))]


def test_services_declare_resolvers_that_no_window_showed() -> None:
    """On the port of their pods; one that clients asked counts them; what nothing selects is none."""
    call = DeclaredCall(workload=DNS, protocol="UDP", port=53, declared_by="Service kube-system/kube-dns")
    unknown = replace(call, workload=ref("gone", namespace="kube-system"))
    assert [(one.workload, one.port, one.clients) for one in find_resolvers([], CHOICES, {}, [call, unknown])] == [
        (DNS, 53, 0)
    ]
    asked_by = find_resolvers(judged(ask("web")), CHOICES, {}, [call])
    assert [(one.workload, one.port, one.clients) for one in asked_by] == [(DNS, 53, 1)]
