"""What happens in the estate, written as Hubble records: the links of the tables, and the scenes that are special."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sample_flows.estate import HOST_ADDRESSES, START, WINDOW_HOURS, WORKLOADS
from sample_flows.hubble import (
    L7,
    Party,
    Recorder,
    dropped,
    judged,
    later,
    layer4,
    node_party,
    pod_party,
    policy,
    reserved_party,
    trace,
)
from sample_flows.links import GUARDS, LINKS, STRIPE, Link

WINDOW_MINUTES = WINDOW_HOURS * 60
Step = tuple[int, str, bool, tuple[str, ...]]  # microseconds after the first packet, which end, reply?, TCP flags
TCP_STEPS: tuple[Step, ...] = (
    (0, "client", False, ("SYN",)),
    (310, "server", False, ("SYN",)),
    (520, "server", True, ("SYN", "ACK")),
    (840, "client", True, ("SYN", "ACK")),
    (2_150, "client", False, ("PSH", "ACK")),
)
TCP_LAST: Step = (48_700, "server", False, ("FIN", "ACK"))
PLAIN_STEPS: tuple[Step, ...] = tuple((after, end, reply, ()) for after, end, reply, _ in TCP_STEPS[:4])


def moment(hours: float) -> datetime:
    """Return the time that is so many hours after the start of the window."""
    return START + timedelta(hours=hours)


def times(link: Link, row: int) -> list[datetime]:
    """Return when a link's connections open: as the table says, or spread evenly but differently for each row."""
    if link.at:
        return [moment(hours) for hours in link.at]
    return [
        START + timedelta(minutes=(row * 53 + k * 487) % (WINDOW_MINUTES - 1), seconds=(row * 7 + k * 13) % 60)
        for k in range(link.count)
    ]


def party(key: str, when: datetime, turn: int = 0, *, ipv6: bool = False) -> Party:
    """Return the pod of a workload that takes part at that time; pods take turns."""
    workload = WORKLOADS[key]
    pods = workload.alive((when - START).total_seconds() / 3600)
    return pod_party(workload, pods[turn % len(pods)], ipv6=ipv6)


def ends(link: Link, when: datetime, turn: int) -> tuple[Party, Party]:
    """Return client and server of one connection of a link."""
    if link.client in WORKLOADS:
        client = party(link.client, when, turn, ipv6=link.ipv6)
        if link.server in WORKLOADS:
            return client, party(link.server, when, turn + 1, ipv6=link.ipv6)
        if link.addresses:
            return client, reserved_party(link.server, link.addresses[turn % len(link.addresses)], link.names)
        return client, node_party(link.server, client, turn, client=False)
    server = party(link.server, when, turn, ipv6=link.ipv6)
    if link.client == "external":
        return reserved_party("external", link.addresses[turn % len(link.addresses)]), server
    return node_party(link.client, server, turn, client=True), server


def _steps(link: Link, turn: int) -> tuple[Step, ...]:
    """Return the packets that agents report of one connection of a link."""
    if link.protocol == "TCP":
        return (*TCP_STEPS, TCP_LAST) if turn % 2 else TCP_STEPS
    return PLAIN_STEPS if link.answered else tuple(step for step in PLAIN_STEPS if not step[2])


def _reported(link: Link, client: Party, server: Party, end: str, *, reply: bool) -> bool:
    """Say whether a record of this packet exists: pods of one node are reported once, at the receiving end."""
    if (client if end == "client" else server).node is None:
        return False
    if client.node == server.node:
        return end == ("client" if reply else "server")
    return link.seen in ("both", end)


def _point(link: Link, end: str, *, reply: bool) -> str:
    """Return the observation point of a packet."""
    if (end == "client") == reply:
        return "TO_ENDPOINT"
    if end == "client" and link.proxied:
        return "TO_PROXY"
    return "TO_HOST" if "host" in (link.client, link.server) else "TO_STACK"


def _service(link: Link, end: str, *, reply: bool) -> dict[str, Any]:
    """Return the service that the client addressed; only its own node knows, and the port stays the pod's."""
    if link.service is None or end != "client":
        return {}
    namespace, name = link.service.split("/")
    return {"source_service" if reply else "destination_service": {"name": name, "namespace": namespace}}


def _verdicts(recorder: Recorder, link: Link, when: datetime, pair: tuple[Party, Party], port: int) -> None:
    """Record the policy verdicts of one connection, at the ends that a policy isolates; the host always passes."""
    client, server = pair
    if link.client == "host":
        return
    for key, way, node, after in (
        (link.client, "egress", client.node, -20),
        (link.server, "ingress", server.node, 290),
    ):
        name = GUARDS.get((key, way))
        if name is None or node is None:
            continue
        l4 = layer4(link.protocol, (port, link.port), ("SYN",) if link.protocol == "TCP" else ())
        by = {f"{way}_allowed_by": [policy(name, key.split("/")[0])]}
        recorder.add(later(when, after), node, client, server, l4=l4, **judged("FORWARDED", way.upper(), **by))


def connection(recorder: Recorder, link: Link, when: datetime, turn: int) -> None:
    """Record one connection of a link, at the ends and in the directions that its nodes report."""
    client, server = ends(link, when, turn)
    port = link.client_port or recorder.client_port()
    _verdicts(recorder, link, when, (client, server), port)
    for after, end, reply, flags in _steps(link, turn):
        node = (client if end == "client" else server).node
        if node is None or not _reported(link, client, server, end, reply=reply):
            continue
        if link.protocol == "ICMP":
            l4 = layer4("ICMPv4", (0, 0), icmp_type=0 if reply else link.port)
        else:
            l4 = layer4(link.protocol, (link.port, port) if reply else (port, link.port), flags)
        reason = "REPLY" if reply else ("NEW" if after < 400 else "ESTABLISHED")
        direction = "EGRESS" if end == "client" else "INGRESS"
        fields = trace(_point(link, end, reply=reply), reply=reply, direction=direction, reason=reason)
        source, destination = (server, client) if reply else (client, server)
        recorder.add(later(when, after), node, source, destination, l4=l4, **_service(link, end, reply=reply), **fields)
        if link.server == "external" and flags == ("SYN",):  # the same packet once more, where it leaves the node
            again = trace("TO_NETWORK", reply=None, direction="EGRESS", reason=None)
            recorder.add(later(when, after + 40), node, source, destination, l4=l4, **again)


def links(recorder: Recorder) -> None:
    """Record every connection of the tables."""
    for row, link in enumerate(LINKS):
        for turn, when in enumerate(times(link, row)):
            connection(recorder, link, when, turn)


# ------------------------------------------------------------------------------------------------ layer 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One DNS question that a proxy saw, with its answer; response code 3 says that the name does not exist."""

    client: str
    hour: float
    query: str
    qtype: str = "A"
    addresses: tuple[str, ...] = ()
    rcode: int = 0


LOOKUPS = (
    Lookup(client="payments/payment-api", hour=3.5, query="api.stripe.example.payments.svc.cluster.local.", rcode=3),
    Lookup(client="payments/payment-api", hour=3.5003, query="api.stripe.example.", addresses=STRIPE),
    Lookup(client="payments/payment-api", hour=15.25, query="api.stripe.example.", addresses=STRIPE),
    Lookup(client="payments/payment-api", hour=15.2503, query="api.stripe.example.", qtype="AAAA"),
    Lookup(
        client="payments/payment-api",
        hour=15.4,
        query="fraud-check.payments.svc.cluster.local.",
        addresses=("10.96.14.9",),
    ),
    Lookup(
        client="shop/nightly-report", hour=1.011, query="postgres.data.svc.cluster.local.", addresses=("10.96.30.5",)
    ),
    Lookup(
        client="shop/nightly-report", hour=13.011, query="postgres.data.svc.cluster.local.", addresses=("10.96.30.5",)
    ),
    Lookup(
        client="shop/nightly-report", hour=25.011, query="postgres.data.svc.cluster.local.", addresses=("10.96.30.5",)
    ),
    Lookup(
        client="ingress-nginx/controller",
        hour=6.75,
        query="frontend.shop.svc.cluster.local.",
        addresses=("10.96.22.1",),
    ),
)


def dns(recorder: Recorder) -> None:
    """Record DNS requests and answers as the client's DNS proxy logs them."""
    for turn, lookup in enumerate(LOOKUPS):
        when = moment(lookup.hour)
        client, server = party(lookup.client, when), party("kube-system/coredns", when, turn)
        port, node = recorder.client_port(), str(client.node)
        common: dict[str, Any] = {"Type": "L7", "event_type": {"type": L7}, "traffic_direction": "EGRESS"}
        question = {"query": lookup.query, "observation_source": "proxy", "qtypes": [lookup.qtype]}
        recorder.add(
            when,
            node,
            client,
            server,
            l4=layer4("UDP", (port, 53)),
            is_reply=False,
            l7={"type": "REQUEST", "dns": question},
            **common,
        )
        found: dict[str, Any] = {"rcode": lookup.rcode} if lookup.rcode else {}
        if lookup.addresses:
            found = {"ips": list(lookup.addresses), "ttl": 30, "rrtypes": [lookup.qtype]}
        recorder.add(
            later(when, 1_900),
            node,
            server,
            client,
            l4=layer4("UDP", (53, port)),
            is_reply=True,
            l7={"type": "RESPONSE", "latency_ns": "1874211", "dns": question | found},
            **common,
        )


# (hour, method, URL, headers, status): what must never leave ingest is the userinfo, the query and header values.
REQUESTS: tuple[tuple[float, str, str, dict[str, str], int], ...] = (
    (2.2, "GET", "http://catalog.shop.svc.cluster.local:7070/products", {"User-Agent": "frontend/2.4.0"}, 200),
    (
        2.7,
        "GET",
        "http://catalog.shop.svc.cluster.local:7070/products/66VCHSJNUP?session=8f14e45fceea167a5a36dedd4bea2543&card=4111111111111111",
        {},
        200,
    ),
    (
        9.1,
        "GET",
        "http://catalog.shop.svc.cluster.local:7070/search?q=camera&user=ana%40shop.example",
        {"Accept": "application/json"},
        200,
    ),
    (
        15.3,
        "POST",
        "http://svc-frontend:hunter2-s3cr3t@catalog.shop.svc.cluster.local:7070/admin/export?token=eyJhbGciOiJIUzI1NiJ9.c2FtcGxl.Zm9yLXRlc3Rz",
        {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.c2FtcGxl.Zm9yLXRlc3Rz"},
        403,
    ),
    (
        21.6,
        "GET",
        "http://catalog.shop.svc.cluster.local:7070/products/1YMWWN1N4O",
        {"Cookie": "sid=2c26b46b68ffc68ff99b453c1d304134"},
        404,
    ),
)


def http(recorder: Recorder) -> None:
    """Record frontend -> catalog at the catalog's node, where an existing rule redirects to the HTTP proxy."""
    for turn, (hour, method, url, headers, code) in enumerate(REQUESTS):
        when = moment(hour)
        client, server = party("shop/frontend", when, turn), party("shop/catalog", when)
        port, node = recorder.client_port(), str(server.node)
        syn = layer4("TCP", (port, 7070), ("SYN",))
        allowed = judged("REDIRECTED", "INGRESS", ingress_allowed_by=[policy("catalog-http-visibility", "shop")])
        recorder.add(when, node, client, server, l4=syn, proxy_port=14_021, **allowed)
        to_proxy = trace("TO_PROXY", reply=False, direction="INGRESS", reason="NEW")
        recorder.add(later(when, 20), node, client, server, l4=syn, proxy_port=14_021, **to_proxy)
        request = {
            "method": method,
            "url": url,
            "protocol": "HTTP/1.1",
            "headers": [{"key": key, "value": value} for key, value in headers.items()],
        }
        common: dict[str, Any] = {"Type": "L7", "event_type": {"type": L7}, "traffic_direction": "INGRESS"}
        recorder.add(
            later(when, 3_000),
            node,
            client,
            server,
            l4=layer4("TCP", (port, 7070)),
            is_reply=False,
            l7={"type": "REQUEST", "http": request},
            **common,
        )
        recorder.add(
            later(when, 9_400),
            node,
            server,
            client,
            l4=layer4("TCP", (7070, port)),
            is_reply=True,
            l7={"type": "RESPONSE", "latency_ns": "6398112", "http": request | {"code": code}},
            **common,
        )


# ------------------------------------------------------------------------------------- what must not be learned

SCANNED = (*range(20, 79), 5432)  # 60 ports, the true one among them


def denied(recorder: Recorder) -> None:
    """Record the port scan (no rule allows it) and the explicit deny, both at the client's egress."""
    for turn, port in enumerate(SCANNED):
        when = later(moment(8.4), turn * 210_000)
        client, server = party("payments/toolbox", when), party("data/postgres", when)
        l4 = layer4("TCP", (recorder.client_port(), port), ("SYN",))
        recorder.add(when, str(client.node), client, server, l4=l4, **dropped("POLICY_DENIED", "EGRESS"))
    for turn in range(3):
        when = moment(10.1 + turn * 0.3)
        client, server = party("payments/fraud-check", when), reserved_party("external", "192.0.2.200")
        l4 = layer4("TCP", (recorder.client_port(), 22), ("SYN",))
        by = policy("no-ssh-outside", "", "CiliumClusterwideNetworkPolicy")
        recorder.add(
            when, str(client.node), client, server, l4=l4, **judged("DROPPED", "EGRESS", egress_denied_by=[by])
        )
        recorder.add(later(when, 9), str(client.node), client, server, l4=l4, **dropped("POLICY_DENY", "EGRESS"))


def faults(recorder: Recorder) -> None:
    """Record drops of the datapath: one pair seen only so, one true pair once, and router solicitations."""
    for client_key, server_key, port, hour in (
        ("shop/frontend", "data/redis", 6379, 4.3),
        ("shop/frontend", "data/redis", 6379, 4.31),
        ("shop/catalog", "data/postgres", 5432, 4.32),
    ):
        when = moment(hour)
        client, server = party(client_key, when), party(server_key, when)
        l4 = layer4("TCP", (recorder.client_port(), port), ("SYN",))
        recorder.add(when, str(client.node), client, server, l4=l4, **dropped("CT_MAP_INSERTION_FAILED", "EGRESS"))
    for hour in (0.2, 12.2):
        when = moment(hour)
        pod = _link_local("shop/recommendations", when)
        l4 = layer4("ICMPv6", (0, 0), icmp_type=133)
        routers = reserved_party("unknown", "ff02::2")
        recorder.add(when, str(pod.node), pod, routers, l4=l4, **dropped("UNSUPPORTED_L3_PROTOCOL", "EGRESS"))


def _link_local(key: str, when: datetime) -> Party:
    """Return a pod under its link-local IPv6 address."""
    pod = party(key, when)
    return Party(address="fe80::8c10:72ff:feb0:7403", node=pod.node, local=pod.local, remote=pod.remote)


def neighbours(recorder: Recorder) -> None:
    """Record neighbour solicitations: a pod to the solicited-node group, and the host to the pod."""
    for hour in (0.4, 6.4, 18.4):
        when = moment(hour)
        l4 = layer4("ICMPv6", (0, 0), icmp_type=135)
        pod = _link_local("shop/recommendations-model", when)
        group = reserved_party("unknown", "ff02::1:ff00:1")
        out = trace("TO_STACK", reply=False, direction="EGRESS", reason="NEW")
        recorder.add(when, str(pod.node), pod, group, l4=l4, **out)
        host = reserved_party("host", "fe80::5cf1:2eff:fe4d:91aa")
        there = party("shop/recommendations-model", when, ipv6=True)
        incoming = trace("TO_ENDPOINT", reply=False, direction="INGRESS", reason="NEW")
        recorder.add(later(when, 700), str(there.node), host, there, l4=l4, **incoming)


def failed(recorder: Recorder) -> None:
    """Record attempts that nobody answered, and attempts that were refused with RST."""
    for hour, after in ((5.0, 0), (5.0, 1_024_000), (5.0, 3_072_000)):  # one SYN and its repetitions
        when = later(moment(hour), after)
        client, server = party("shop/checkout", when), party("payments/fraud-check", when)
        l4 = layer4("TCP", (41_117, 9999), ("SYN",))
        _forward(recorder, when, client, server, l4)
        client, server = party("shop/worker-orders", when), reserved_party("external", "192.0.2.99")
        _forward(recorder, when, client, server, layer4("TCP", (41_231, 8443), ("SYN",)))
    for turn, hour in enumerate((7.0, 7.5, 16.0)):
        when = moment(hour)
        client, server = party("shop/checkout", when, turn), party("data/redis", when)
        port = recorder.client_port()
        _forward(recorder, when, client, server, layer4("TCP", (port, 6380), ("SYN",)))
        reset = layer4("TCP", (6380, port), ("RST", "ACK"))
        for after, node, point, direction in (
            (480, server.node, "TO_STACK", "INGRESS"),
            (700, client.node, "TO_ENDPOINT", "EGRESS"),
        ):
            back = trace(point, reply=True, direction=direction, reason="REPLY")
            recorder.add(later(when, after), str(node), server, client, l4=reset, **back)


def _forward(recorder: Recorder, when: datetime, client: Party, server: Party, l4: dict[str, Any]) -> None:
    """Record one forwarded first packet at the client's node and, for pods, at the server's."""
    out = trace("TO_STACK", reply=False, direction="EGRESS", reason="NEW")
    recorder.add(when, str(client.node), client, server, l4=l4, **out)
    if server.node is not None:
        incoming = trace("TO_ENDPOINT", reply=False, direction="INGRESS", reason="NEW")
        recorder.add(later(when, 300), server.node, client, server, l4=l4, **incoming)


def conflict(recorder: Recorder) -> None:
    """Record cart -> payment-api: the client's node lets it go, the server's node drops it."""
    for hour, after in ((11.0, 0), (11.0, 1_024_000), (20.5, 0), (20.5, 1_024_000)):
        when = later(moment(hour), after)
        client, server = party("shop/cart", when), party("payments/payment-api", when)
        l4 = layer4("TCP", (43_001 + int(hour), 8443), ("SYN",))
        out = trace("TO_STACK", reply=False, direction="EGRESS", reason="NEW")
        recorder.add(when, str(client.node), client, server, l4=l4, **out)
        recorder.add(later(when, 320), str(server.node), client, server, l4=l4, **dropped("POLICY_DENIED", "INGRESS"))


def audit(recorder: Recorder) -> None:
    """Record what is delivered and answered only because the server's endpoint is in audit mode.

    catalog -> fraud-check matches no rule; storefront-canary -> admin-console matches an explicit deny, which the
    record of Cilium 1.18 does not say (an AUDIT verdict names policies since 1.20).
    """
    for client_key, server_key, port, hours in (
        ("shop/catalog", "payments/fraud-check", 9000, (2.9, 12.6, 19.9)),
        ("edge/storefront-canary", "edge/admin-console", 8443, (9.4, 17.7)),
    ):
        for hour in hours:
            when = moment(hour)
            client, server = party(client_key, when), party(server_key, when)
            own = recorder.client_port()
            l4 = layer4("TCP", (own, port), ("SYN",))
            recorder.add(later(when, 290), str(server.node), client, server, l4=l4, **judged("AUDIT", "INGRESS"))
            _forward(recorder, when, client, server, l4)
            answer = layer4("TCP", (port, own), ("SYN", "ACK"))
            for after, node, point, direction in (
                (520, server.node, "TO_STACK", "INGRESS"),
                (830, client.node, "TO_ENDPOINT", "EGRESS"),
            ):
                back = trace(point, reply=True, direction=direction, reason="REPLY")
                recorder.add(later(when, after), str(node), server, client, l4=answer, **back)


def bare_address(recorder: Recorder) -> None:
    """Record device-sync -> 10.244.0.97, which the reporting agent knows nothing about.

    The address is device-registry's since hour 9; who had it at hour 3.5 is told nowhere.
    """
    for hour in (3.5, 15.0, 19.0):
        when = moment(hour)
        client, server = party("edge/device-sync", when), reserved_party("unknown", "10.244.0.97")
        port = recorder.client_port()
        _forward(recorder, when, client, server, layer4("TCP", (port, 8200), ("SYN",)))
        back = trace("TO_ENDPOINT", reply=True, direction="EGRESS", reason="REPLY")
        answer = layer4("TCP", (8200, port), ("SYN", "ACK"))
        recorder.add(later(when, 870), str(client.node), server, client, l4=answer, **back)


def old_connections(recorder: Recorder) -> None:
    """Record connections older than the window: only ACKs, no word on replies or direction.

    The first is provable, because the other clients of postgres show that 5432 listens there; of the second
    nothing shows which end listens.
    """
    for one_key, one_port, other_key, other_port in (
        ("data/postgres-read", 52_744, "data/postgres", 5432),
        ("shop/worker-emails", 41_800, "payments/toolbox", 39_400),
    ):
        for hour in (0.0056, 5.7, 11.9, 22.3):
            when = moment(hour)
            one, other = party(one_key, when), party(other_key, when)
            for after, source, destination, ports in (
                (0, one, other, (one_port, other_port)),
                (400, other, one, (other_port, one_port)),
            ):
                l4 = layer4("TCP", ports, ("ACK",) if after else ("PSH", "ACK"))
                sent = trace("TO_STACK", reply=None, direction=None, reason=None)
                received = trace("TO_ENDPOINT", reply=None, direction=None, reason=None)
                if source.node != destination.node:
                    recorder.add(later(when, after), str(source.node), source, destination, l4=l4, **sent)
                recorder.add(later(when, after + 250), str(destination.node), source, destination, l4=l4, **received)


SCENES = (links, dns, http, denied, faults, neighbours, failed, conflict, audit, old_connections, bare_address)


def lossy(recorder: Recorder) -> None:
    """Record a few good connections and host probes, for the file that also says what was lost."""
    for turn in range(3):
        link = Link(client="shop/frontend", server="shop/cart", protocol="TCP", port=7070)
        connection(recorder, link, moment(1.0 + turn), turn)
    host = reserved_party("host", HOST_ADDRESSES["node-b"])
    when = moment(1.5)
    probe = trace("TO_ENDPOINT", reply=False, direction="INGRESS", reason="NEW")
    l4 = layer4("TCP", (recorder.client_port(), 8086), ("SYN",))
    recorder.add(when, "node-b", host, party("shop/cart", when), l4=l4, **probe)
