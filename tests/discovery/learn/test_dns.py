"""DNS: who resolves names, and what is added so that isolated workloads can still ask."""

from __future__ import annotations

from discovery.learn.dns import Resolver, dns_additions, find_resolvers
from discovery.learn.judge import Judged, Options, judge
from discovery.learn.selectors import choose_all
from discovery.model.edge import Edge, Protocol, Verdict
from discovery.model.intent import Allow, Origin, WorkloadPeer
from discovery.model.ports import PortSet
from discovery.model.workload import Labels, Selector
from tests.discovery.learn.builders import CLUSTER, edge, outside, pod, ref, version

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
        workload=ref(name, namespace="kube-system", cluster=cluster), selector=place, port=port, clients=clients
    )


def asked(one: Resolver, protocol: Protocol) -> Allow:
    """Return the observed allow of a look-up."""
    return Allow(peer=WorkloadPeer(selector=one.selector), protocol=protocol, ports=PortSet.of(one.port))


def test_a_resolver_is_found_by_its_port_or_its_records() -> None:
    """Port 53, or layer 7 records of DNS on any port; each client counts once."""
    found = find_resolvers(judged(ask("web"), ask("web", protocol=Protocol.TCP), ask("db", 5353, l7=("dns",))), CHOICES)
    assert [(one.workload, one.port, one.clients, one.selector) for one in found] == [
        (DNS, 53, 1, SELECTOR),
        (DNS, 5353, 1, SELECTOR),
    ]


def test_what_was_not_learned_shows_no_resolver() -> None:
    """Denied look-ups, outside resolvers, SCTP and other ports prove nothing."""
    edges = (
        ask("web", verdict=Verdict.DENIED),
        edge("web", outside("192.0.2.53"), 53),
        ask("web", 80),
        ask("web", protocol=Protocol.SCTP),
    )
    assert find_resolvers(judged(*edges), CHOICES) == ()


def test_who_asked_gets_the_other_protocol_too() -> None:
    """Large answers come over TCP: both protocols, and only what is missing, with its reason."""
    one = resolver()
    added = dns_additions(ref("web"), [asked(one, Protocol.UDP)], (one, resolver("other", clients=9)))
    assert [(allow.peer, allow.protocol, allow.ports, allow.origin) for allow in added] == [
        (WorkloadPeer(selector=one.selector), Protocol.TCP, PortSet.of(53), Origin.DNS)
    ]
    assert added[0].reason is not None
    assert "TCP" in added[0].reason
    assert dns_additions(ref("web"), [asked(one, Protocol.UDP), asked(one, Protocol.TCP)], (one,)) == ()


def test_who_never_asked_gets_the_resolver_that_most_ask() -> None:
    """It stays possible to resolve names; among equals the choice is by name."""
    few, most, same = resolver("a"), resolver("c", clients=5), resolver("b", clients=5)
    added = dns_additions(ref("web"), [], tuple(sorted((few, most, same))))
    assert [(allow.peer, allow.protocol) for allow in added] == [
        (WorkloadPeer(selector=same.selector), Protocol.TCP),
        (WorkloadPeer(selector=same.selector), Protocol.UDP),
    ]


def test_nothing_is_added_without_a_resolver_near() -> None:
    """Not that of another cluster, and a resolver does not ask itself."""
    assert dns_additions(ref("web"), [], ()) == ()
    assert dns_additions(ref("web"), [], (resolver(cluster="c2"),)) == ()
    assert dns_additions(DNS, [], (resolver(),)) == ()
