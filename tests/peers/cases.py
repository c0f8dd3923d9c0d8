"""The peers, each with the records that show it, what an inventory adds, and the claim on each platform, by hand.

A claim says what the rules for the peer match, as ``run.claim`` reads it from the written file: ``pods``, ``entity`` or
``addresses``; ``always allowed`` (the platform needs no rule); or ``refused: CODE`` (the direction is left open).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from discovery.model.edge import Direction
from tests.estate import API, WEB, Party, Record, connection, lookups, pod, reserved, world
from tests.peers.objects import (
    NODES,
    api_server,
    daemon_set,
    endpoints,
    inventory,
    service,
)

CILIUM = "cilium=1.18"
CALICO = "calico=3.30"
STRICT = "kubernetes=1.31"
ON_CILIUM = "kubernetes=1.31;enforcer=cilium"
ON_CALICO = "kubernetes=1.31;enforcer=calico"
PLATFORMS = (CILIUM, CALICO, STRICT, ON_CILIUM, ON_CALICO)

IN, OUT = Direction.INGRESS, Direction.EGRESS
NO_ENTITY = "refused: entity-inexpressible"
ALWAYS = "always allowed"
NODE_A, NODE_B, NODE_C = NODES.values()
ALL_NODES = f"addresses {NODE_A}/32, {NODE_B}/31"


@dataclass(frozen=True, kw_only=True)
class PeerCase:
    """One peer of ``shop/web`` (egress) or ``shop/api`` (ingress). ``tells`` says in one or two sentences what it is,
    how flows show it and what an inventory adds; ``port`` is the port in question.
    """

    name: str
    title: str
    tells: str
    direction: Direction
    port: int
    records: tuple[Record, ...]
    expected: Mapping[str, str]
    objects: str = ""

    @property
    def subject(self) -> str:
        """Return the workload whose policy names the peer."""
        return "shop/web" if self.direction is OUT else "shop/api"


def same(claim: str, **other: str) -> dict[str, str]:
    """Return one claim for all platforms but those given by a short name: ``cilium``, ``strict``, ``on_calico`` ..."""
    names = dict(zip(("cilium", "calico", "strict", "on_cilium", "on_calico"), PLATFORMS, strict=True))
    return {**dict.fromkeys(PLATFORMS, claim), **{names[name]: told for name, told in other.items()}}


def by_name(entity: str, addresses: str, **other: str) -> dict[str, str]:
    """Return the claims of a node: by name on Cilium, by address on Calico, refused by the API text alone."""
    told = {"calico": addresses, "on_calico": addresses, "cilium": f"entity {entity}", **other}
    return same(NO_ENTITY, **told)


def entity_alone(entity: str) -> dict[str, str]:
    """Return the claims of an entity that Cilium alone has."""
    return same(NO_ENTITY, cilium=f"entity {entity}")


def from_peer(client: Party, port: int = 8080, protocol: str = "TCP") -> tuple[Record, ...]:
    """Return a connection to shop/api."""
    ends = ("server",) if client.reserved else ("client", "server")
    return tuple(connection(client, API, port, protocol, ends=ends))


LOCAL_DNS = pod(
    "node-local-dns", "10.0.1.53", namespace="kube-system", labels={"k8s-app": "node-local-dns"}, kind="DaemonSet",
    pod="node-local-dns-x7c2p",
)  # fmt: skip
OPENSHIFT_DNS = pod(
    "dns-default", "10.0.2.99", namespace="openshift-dns", labels={"dns.operator.openshift.io/d": "x"},
    kind="DaemonSet", pod="dns-default-x7c2p", node="node-b",
)  # fmt: skip


def asked(record: Record) -> Record:
    """Return a request as one of DNS at layer 7; an answer as it is."""
    flow = record["flow"]
    return record if flow["is_reply"] else {**record, "flow": {**flow, **ASKED}}


def asks(server: Party) -> tuple[Record, ...]:
    """Return a look-up of shop/web at a node, beside a call."""
    return (*connection(WEB, API, at=9), *connection(WEB, server, 53, "UDP", ends=("client",)))


def to_peer(server: Party, port: int, protocol: str = "TCP") -> tuple[Record, ...]:
    """Return a connection of shop/web, which also looks names up."""
    ends = ("client",) if server.reserved else ("client", "server")
    return (*lookups(WEB), *connection(WEB, server, port, protocol, at=1, ends=ends))


HOST_A = reserved("host", address=NODE_A)
HOST_B = reserved("host", address=NODE_B)
OTHER_NODE = reserved("remote-node", address=NODE_A)
SERVER = reserved("kube-apiserver", "remote-node", address=NODE_C)
CLIENT = world("203.0.113.77")
PEERS = "198.51.100.0/24"
ASKED = {"Type": "L7", "l7": {"type": "REQUEST", "dns": {"query": "db.example."}}}

NODE_CASES = (
    PeerCase(
        name="own-node",
        title="The pod's own node",
        tells="A process on the node, or a host-network pod there, calls the pod. Hubble shows `reserved:host`.",
        direction=IN,
        port=8080,
        records=from_peer(HOST_B),
        expected=same(ALWAYS, cilium="entity host"),
    ),
    PeerCase(
        name="kubelet-probe",
        title="A probe of the kubelet",
        tells="The kubelet is a process of the pod's own node. With allow-localhost=policy Cilium asks the policy.",
        direction=IN,
        port=8086,
        records=from_peer(HOST_B, 8086),
        expected={**same(ALWAYS, cilium="entity host"), "cilium=1.18;allow-localhost=policy": "entity host"},
    ),
    PeerCase(
        name="other-node",
        title="Another node",
        tells="A process on another node calls the pod. An inventory names all nodes; without it only those seen"
        " are named where a dialect needs addresses.",
        direction=IN,
        port=8080,
        records=from_peer(OTHER_NODE),
        objects=inventory(),
        expected=by_name("remote-node", ALL_NODES),
    ),
    PeerCase(
        name="host-network-pod",
        title="A host-network pod as server",
        tells="A DaemonSet with hostNetwork (here an exporter) has its node's address: no selector matches it,"
        " and it gets no policy. The inventory says so; flows show the node.",
        direction=OUT,
        port=9100,
        records=to_peer(reserved("remote-node", address=NODE_B), 9100),
        objects=inventory(daemon_set("exporter", NODE_B)),
        expected=by_name("remote-node", ALL_NODES),
    ),
    PeerCase(
        name="agent-by-host-ip",
        title="An agent that pods reach by status.hostIP",
        tells="Each pod calls the agent on its own node (hostPort or host network). After a move the node is"
        " another one, so by address all nodes are named. With defaultEndpointToHostAction Drop Calico's"
        " node drops it anyway.",
        direction=OUT,
        port=8126,
        records=to_peer(HOST_A, 8126),
        objects=inventory(),
        expected={
            **by_name("host", ALL_NODES),
            "calico=3.30;default-endpoint-to-host-action=drop": "refused: host-drops",
        },
    ),
    PeerCase(
        name="api-server",
        title="The API server in the cluster",
        tells="Hubble shows `reserved:kube-apiserver`; the endpoints of Service default/kubernetes are its"
        " addresses. A node that runs it is the API server: the most specific entity counts.",
        direction=OUT,
        port=6443,
        records=to_peer(SERVER, 6443),
        objects=inventory(api_server(NODE_C)),
        expected=by_name("kube-apiserver", f"addresses {NODE_C}/32"),
    ),
    PeerCase(
        name="api-server-managed",
        title="The API server of a managed control plane",
        tells="Its address is outside of the cluster and flows may call it world; the endpoints of Service"
        " default/kubernetes in the inventory tell that it is the API server.",
        direction=OUT,
        port=443,
        records=to_peer(world("203.0.113.9"), 443),
        objects=inventory(api_server("203.0.113.9")),
        expected=by_name("kube-apiserver", "addresses 203.0.113.9/32"),
    ),
    PeerCase(
        name="api-server-as-client",
        title="The API server as client (webhooks, aggregated APIs)",
        tells="On some managed clusters (AKS, GKE) such calls arrive through a tunnel agent instead, and flows"
        " then show that agent. A declared call that no window showed is allowed when the API server was"
        " seen arriving anywhere.",
        direction=IN,
        port=9443,
        records=from_peer(SERVER, 9443),
        objects=inventory(api_server(NODE_C)),
        expected=by_name("kube-apiserver", f"addresses {NODE_C}/32"),
    ),
    PeerCase(
        name="health",
        title="Cilium's health checks",
        tells="Cilium's health endpoint probes endpoints of other nodes: `reserved:health`.",
        direction=IN,
        port=4240,
        records=from_peer(reserved("health", address="10.0.9.9"), 4240),
        expected=entity_alone("health"),
    ),
)

OUTSIDE_CASES = (
    PeerCase(
        name="node-port-snat",
        title="A client of a NodePort, its address translated",
        tells="With externalTrafficPolicy Cluster (the default) any node forwards, and the pod sees that node's"
        " address. One node was seen; the Service says that each may come.",
        direction=IN,
        port=8080,
        records=from_peer(OTHER_NODE),
        objects=inventory(service("api", "NodePort", local=False)),
        expected=by_name("remote-node", ALL_NODES),
    ),
    PeerCase(
        name="node-port-preserved",
        title="A client of a NodePort, its address kept",
        tells="With externalTrafficPolicy Local the pod sees the client. The prefixes seen are named: nothing"
        " says that others may come.",
        direction=IN,
        port=8080,
        records=from_peer(CLIENT),
        objects=inventory(service("api", "NodePort", local=True)),
        expected=same("addresses 203.0.113.0/24"),
    ),
    PeerCase(
        name="load-balancer-snat",
        title="A client of a LoadBalancer, its address translated",
        tells="As for a NodePort: the load balancer reaches any node, and that node forwards.",
        direction=IN,
        port=8080,
        records=from_peer(OTHER_NODE),
        objects=inventory(service("api", "LoadBalancer", local=False)),
        expected=by_name("remote-node", ALL_NODES),
    ),
    PeerCase(
        name="load-balancer-preserved",
        title="A client of a LoadBalancer, its address kept",
        tells="The Service takes clients from anywhere, and those of one window are a sample: the rule says what"
        " the Service says.",
        direction=IN,
        port=8080,
        records=from_peer(CLIENT),
        objects=inventory(service("api", "LoadBalancer", local=True)),
        expected=same("addresses 0.0.0.0/0"),
    ),
    PeerCase(
        name="load-balancer-ranges",
        title="A client of a LoadBalancer with source ranges",
        tells="loadBalancerSourceRanges are what it lets in.",
        direction=IN,
        port=8080,
        records=from_peer(CLIENT),
        objects=inventory(service("api", "LoadBalancer", local=True, ranges=("203.0.113.0/24", PEERS))),
        expected=same(f"addresses {PEERS}, 203.0.113.0/24"),
    ),
    PeerCase(
        name="cilium-ingress",
        title="Cilium's own Ingress or Gateway",
        tells="Its Envoy forwards with an identity of its own, `reserved:ingress`, whatever route the request took.",
        direction=IN,
        port=8080,
        records=from_peer(reserved("ingress", address="10.0.7.7")),
        expected=entity_alone("ingress"),
    ),
    PeerCase(
        name="ingress-controller",
        title="An ingress controller in the cluster",
        tells="It is a pod like others, of another namespace.",
        direction=IN,
        port=8080,
        records=from_peer(pod("controller", "10.0.1.61", namespace="ingress-nginx", pod="controller-6c9f7d8b54-w2rqk")),
        expected=same("pods ingress-nginx: app=controller"),
    ),
    PeerCase(
        name="metadata-service",
        title="The metadata service of a cloud",
        tells="169.254.169.254 (and its kin) hands out credentials of the node. The rule names it alone, no"
        " prefix is ever widened over it, and a finding (`metadata-service`) says who reaches it.",
        direction=OUT,
        port=80,
        records=to_peer(world("169.254.169.254"), 80),
        expected=same("addresses 169.254.169.254/32"),
    ),
    PeerCase(
        name="external-name",
        title="A Service of type ExternalName",
        tells="It is an alias in DNS: the pod calls an outside address, and the names that were asked for are"
        " kept as evidence.",
        direction=OUT,
        port=5432,
        records=to_peer(world("203.0.113.20", "db.example"), 5432),
        objects=inventory(service("db", "ExternalName", local=False)),
        expected=same("addresses 203.0.113.20/32"),
    ),
    PeerCase(
        name="selectorless-service",
        title="A Service without a selector",
        tells="Its EndpointSlices name the backends: a record of the Service's address becomes the backend's"
        " address and port, which is what policy sees.",
        direction=OUT,
        port=15_432,
        records=to_peer(world("10.96.0.50"), 5432),
        objects=inventory(*endpoints("legacy-db", "10.96.0.50", 5432, "203.0.113.30", 15_432)),
        expected=same("addresses 203.0.113.30/32"),
    ),
    PeerCase(
        name="egress-gateway",
        title="Outside through an egress gateway",
        tells="Policy is asked at the pod, before the gateway translates: the rule names the destination as"
        " without one.",
        direction=OUT,
        port=443,
        records=to_peer(world("198.51.100.7", "partner.example"), 443),
        expected=same("addresses 198.51.100.7/32"),
    ),
    PeerCase(
        name="mapped-address",
        title="An IPv4 address written as IPv6 (::ffff:0:0/96)",
        tells="Sockets of both families report it so; it is the IPv4 address, from the first step on.",
        direction=OUT,
        port=443,
        records=to_peer(world("::ffff:203.0.113.40"), 443),
        expected=same("addresses 203.0.113.40/32"),
    ),
    PeerCase(
        name="nat64",
        title="An IPv4 address through NAT64 (64:ff9b::/96)",
        tells="The packet that policy sees has the IPv6 address; the translation happens later. The rule names it"
        " as it is.",
        direction=OUT,
        port=443,
        records=to_peer(world("64:ff9b::cb00:7132"), 443),
        expected=same("addresses 64:ff9b::cb00:7132/128"),
    ),
)

POD_CASES = (
    PeerCase(
        name="node-local-dns",
        title="NodeLocal DNS at 169.254.20.10",
        tells="node-local-dns runs on the host network; its link-local address is the same on every node, so by"
        " address it is that one alone. TCP is added (large answers), no other resolver is.",
        direction=OUT,
        port=53,
        records=asks(reserved("host", address="169.254.20.10")),
        objects=inventory(),
        expected=by_name("host", "addresses 169.254.20.10/32"),
    ),
    PeerCase(
        name="node-local-dns-on-node",
        title="A resolver on the host network, by the node's address",
        tells="Where DNS is answered at the address of the node itself, any node may answer.",
        direction=OUT,
        port=53,
        records=asks(HOST_A),
        objects=inventory(),
        expected=by_name("host", ALL_NODES),
    ),
    PeerCase(
        name="node-local-dns-redirect",
        title="NodeLocal DNS behind a Local Redirect Policy",
        tells="Cilium redirects look-ups to the node-local-dns pods, which are on the pod network then: policy"
        " sees them.",
        direction=OUT,
        port=53,
        records=(*connection(WEB, API, at=9), *connection(WEB, LOCAL_DNS, 53, "UDP")),
        expected=same("pods kube-system: k8s-app=node-local-dns"),
    ),
    PeerCase(
        name="core-dns-elsewhere",
        title="CoreDNS with other labels and another port",
        tells="OpenShift's resolver listens on 5353. It is known by what it answers (DNS records of layer 7, or"
        " port 53), never by a well-known label.",
        direction=OUT,
        port=5353,
        records=(*connection(WEB, API, at=9), *map(asked, connection(WEB, OPENSHIFT_DNS, 5353, "UDP"))),
        expected=same("pods openshift-dns: dns.operator.openshift.io/d=x"),
    ),
    PeerCase(
        name="gossip",
        title="Members of a StatefulSet among themselves",
        tells="Pods behind a headless Service call each other by their own names: the workload is its own peer,"
        " in both directions.",
        direction=IN,
        port=7000,
        records=tuple(
            connection(
                pod("api", "10.0.1.21", pod="api-1", node="node-a"),
                pod("api", "10.0.2.20", pod="api-0", node="node-b"),
                7000,
            )
        ),
        expected=same("pods shop: app=api"),
    ),
    PeerCase(
        name="init",
        title="A pod whose labels are not known yet (reserved:init)",
        tells="Cilium gives it the identity `init` until its labels are known. Elsewhere it is a pod like others,"
        " which no flow names.",
        direction=IN,
        port=8080,
        records=from_peer(reserved("init", address="10.0.1.80")),
        expected=entity_alone("init"),
    ),
    PeerCase(
        name="unmanaged",
        title="A pod that Cilium does not manage (reserved:unmanaged)",
        tells="It was started before Cilium; restarting it gives it an identity, which is the better way.",
        direction=IN,
        port=8080,
        records=from_peer(reserved("unmanaged", address="10.0.1.81")),
        expected=entity_alone("unmanaged"),
    ),
    PeerCase(
        name="cluster-mesh",
        title="A pod of another cluster in a mesh",
        tells="Cilium's labels carry the cluster's name; no other dialect can name a pod of another cluster.",
        direction=IN,
        port=8080,
        records=tuple(
            connection(
                pod("caller", "10.8.1.20", cluster="east", namespace="east-shop", pod="caller-6c9f7d8b54-k2xqv"),
                API,
                ends=("server",),
            )
        ),
        expected=same("refused: cross-cluster-inexpressible", cilium="pods east-shop: app=caller in cluster east"),
    ),
)

CASES = (*NODE_CASES, *OUTSIDE_CASES, *POD_CASES)
