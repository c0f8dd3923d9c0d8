"""Small intents for exact comparisons: one cart service, what calls it and what it calls."""

from __future__ import annotations

from discovery.model.edge import Direction, Evidence, Protocol
from discovery.model.intent import Allow, CidrPeer, Dialect, EntityPeer, Mode, Origin, Peer, PolicyIntent, WorkloadPeer
from discovery.model.platform import Platform, parse_platforms
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector, WorkloadRef
from generators.base import RenderRequest

CART = WorkloadRef(cluster="east", namespace="shop", kind="Deployment", name="cart")
SUBJECT = Selector(cluster="east", namespace="shop", labels=Labels.of({"app": "cart"}))
EVIDENCE = Evidence(
    flow_records=1_234,
    connections=None,
    first_seen=1_793_500_000_000_000,
    last_seen=1_793_900_000_000_000,
    hours=1,
    days=4,
    sources=("hubble",),
    reporters=("client", "server"),
    client_pods=2,
    server_pods=3,
)


def pods(namespace: str = "shop", cluster: str = "east", account: str | None = None, **labels: str) -> WorkloadPeer:
    """Return a peer that selects pods; ``_`` in a label key means ``-``."""
    pairs = Labels.of({key.replace("_", "-"): value for key, value in labels.items()})
    return WorkloadPeer(selector=Selector(cluster=cluster, namespace=namespace, labels=pairs, service_account=account))


def entity(name: Entity, *addresses: str) -> EntityPeer:
    """Return an entity peer."""
    return EntityPeer(entity=name, addresses=addresses)


def observed(peer: Peer, *ports: int, protocol: Protocol = Protocol.TCP) -> Allow:
    """Return an allow with evidence; for ICMP the numbers are types."""
    return Allow(
        peer=peer,
        protocol=protocol,
        ports=PortSet.of(*ports) if protocol.has_ports else PortSet(),
        icmp_types=() if protocol.has_ports else ports,
        evidence=EVIDENCE,
    )


def declared(peer: Peer, *ports: int, protocol: Protocol = Protocol.TCP) -> Allow:
    """Return a DNS addition."""
    return Allow(
        peer=peer,
        protocol=protocol,
        ports=PortSet.of(*ports),
        origin=Origin.DNS,
        reason="pods of this cluster resolve names here",
    )


def intent(
    direction: Direction,
    *allows: Allow,
    isolate: bool = True,
    reasons: tuple[str, ...] = (),
    subject: Selector = SUBJECT,
) -> PolicyIntent:
    """Return an intent of the cart service."""
    return PolicyIntent(
        workload=CART, subject=subject, direction=direction, allows=allows, isolate=isolate, reasons=reasons
    )


INGRESS = intent(
    Direction.INGRESS,
    observed(pods(app="checkout"), 8080),
    observed(pods(app="frontend"), 8080),
    observed(pods("monitoring", app="prometheus"), *range(9090, 9096)),
    observed(entity(Entity.HOST, "10.0.0.1"), 8080),
)
EGRESS = intent(
    Direction.EGRESS,
    observed(pods(app="redis", tier="db"), 6379),
    observed(CidrPeer(prefixes=("203.0.113.0/28", "2001:db8::/32"), names=("api.example.com",)), 443),
    declared(pods("kube-system", k8s_app="kube-dns"), 53),
    declared(pods("kube-system", k8s_app="kube-dns"), 53, protocol=Protocol.UDP),
)
NO_EGRESS = intent(Direction.EGRESS, isolate=False, reasons=("no accepted traffic was seen",))


def platform(text: str) -> Platform:
    """Return a platform from ``cilium=1.18``."""
    return parse_platforms([text])[Dialect(text.split("=", maxsplit=1)[0])]


def request(text: str, mode: Mode, *intents: PolicyIntent) -> RenderRequest:
    """Return a request for a platform."""
    return RenderRequest(intents=intents, platform=platform(text), mode=mode)
