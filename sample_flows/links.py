"""Who opens what to whom in the estate "shop", as tables; the special scenes are in ``scenes.py``."""

from __future__ import annotations

from dataclasses import dataclass

from sample_flows.estate import NODE_LOCAL_DNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One client that opens one port of one server, ``count`` times over the window.

    ``client`` and ``server`` are workload keys, or one of host, remote-node, kube-apiserver, external (then
    ``addresses`` says which addresses, one after the other). ``seen`` says whose node wrote records: both,
    client or server. ``port`` is the ICMP type for ICMP. ``at`` fixes the hours; otherwise they spread over the window.
    ``client_port`` is for protocols that use one port at both ends; else each connection has its own.
    """

    client: str
    server: str
    protocol: str
    port: int
    count: int = 2
    seen: str = "both"
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    service: str | None = None
    service_port: int | None = None
    proxied: bool = False
    ipv6: bool = False
    answered: bool = True
    at: tuple[float, ...] = ()
    client_port: int | None = None


def _link(client: str, server: str, protocol: str, port: int, **more: object) -> Link:
    """Return a link; the four things that every row has come first."""
    return Link(client=client, server=server, protocol=protocol, port=port, **more)  # type: ignore[arg-type]


RUNS = (1.02, 13.02, 25.02)  # hours at which the runs of nightly-report open connections
# Policies that exist already, of the workload's own namespace: they make policy-verdict events.
GUARDS = {
    ("payments/payment-api", "ingress"): "payment-api-ingress",
    ("payments/fraud-check", "ingress"): "fraud-check-ingress",
    ("payments/toolbox", "egress"): "toolbox-egress",
    ("edge/admin-console", "ingress"): "admin-console-ingress",
}
DNS = "kube-system/coredns"
PROM = "monitoring/prometheus"

CALLS = (
    _link("ingress-nginx/controller", "shop/frontend", "TCP", 8080, count=4, service="shop/frontend", service_port=80),
    _link("ingress-nginx/controller", "ingress-nginx/default-backend", "TCP", 8080),
    _link("shop/frontend", "shop/cart", "TCP", 7070, count=3),
    _link("shop/frontend", "shop/catalog", "TCP", 7070, count=3, seen="client"),
    _link("shop/frontend", "shop/checkout", "TCP", 7070, count=3),
    _link("shop/frontend", "shop/recommendations", "TCP", 8081, count=3),
    _link("shop/checkout", "shop/cart", "TCP", 7070, count=3),
    _link("shop/checkout", "shop/catalog", "TCP", 7070, seen="client"),
    _link(
        "shop/checkout",
        "payments/payment-api",
        "TCP",
        8443,
        count=3,
        service="payments/payment-api",
        service_port=443,
    ),
    _link("shop/checkout", "data/postgres", "TCP", 5432, count=3, service="data/postgres", service_port=5432),
    _link("shop/checkout", "data/kafka", "TCP", 9092, count=3),
    _link("shop/cart", "data/redis", "TCP", 6379, count=3, service="data/redis", service_port=6379),
    _link("shop/catalog", "data/postgres", "TCP", 5432, count=3),
    _link("shop/recommendations", "shop/catalog", "TCP", 7070, seen="server"),
    _link("shop/recommendations", "shop/recommendations-model", "TCP", 9001, count=3, ipv6=True),
    _link(
        "shop/nightly-report",
        "data/postgres",
        "TCP",
        5432,
        count=3,
        at=RUNS,
        service="data/postgres",
        service_port=5432,
    ),
    _link("shop/worker-orders", "data/kafka", "TCP", 9092),
    _link("shop/worker-emails", "data/kafka", "TCP", 9092),
    _link("payments/payment-api", "payments/fraud-check", "TCP", 9000, count=3),
    _link("payments/fraud-check", "data/postgres", "TCP", 5432),
    _link("payments/toolbox", "data/redis", "TCP", 6379),
    _link("payments/sctp-gateway", "payments/sctp-hub", "SCTP", 2905),
    _link("data/kafka", "data/kafka", "TCP", 9093, count=6),
    _link("monitoring/log-agent", "monitoring/statsd", "UDP", 8125, count=9, answered=False),
)

SCRAPES = tuple(
    _link(PROM, server, "TCP", port)
    for server, port in (
        ("shop/frontend", 9102),
        ("shop/cart", 9102),
        ("shop/catalog", 9102),
        ("shop/checkout", 9102),
        ("shop/recommendations", 9102),
        ("payments/payment-api", 9102),
        ("payments/fraud-check", 9102),
        ("data/postgres", 9187),
        ("data/postgres-read", 9187),
        ("data/redis", 9121),
        ("data/kafka", 9308),
        ("monitoring/statsd", 9102),
        ("monitoring/log-agent", 2020),
        ("monitoring/blackbox-exporter", 9115),
        ("ingress-nginx/controller", 10254),
        ("kube-system/coredns", 9153),
    )
)

# Who asks the resolver. Those with a DNS proxy (an existing DNS rule) show L7 records and names, see build.py.
LOOKUPS = (
    *(
        _link(client, DNS, "UDP", 53, service="kube-system/kube-dns", service_port=53)
        for client in (
            "shop/frontend",
            "shop/cart",
            "shop/catalog",
            "shop/checkout",
            "shop/recommendations",
            "shop/worker-orders",
            "shop/worker-emails",
            "payments/fraud-check",
            "payments/toolbox",
            "payments/sctp-gateway",
            PROM,
            "monitoring/log-agent",
            "monitoring/blackbox-exporter",
        )
    ),
    _link("payments/payment-api", DNS, "UDP", 53, proxied=True),
    _link("shop/nightly-report", DNS, "UDP", 53, count=3, at=(1.01, 13.01, 25.01), proxied=True),
    _link("ingress-nginx/controller", DNS, "UDP", 53, proxied=True),
    _link("ingress-nginx/controller", DNS, "TCP", 53),
)

STRIPE = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
OUTSIDE = (
    _link("payments/payment-api", "external", "TCP", 443, count=3, addresses=STRIPE, names=("api.stripe.example",)),
    _link("shop/checkout", "external", "TCP", 443, count=4, addresses=("198.51.100.20", "198.51.100.21")),
    _link("shop/worker-emails", "external", "TCP", 587, addresses=("192.0.2.25",)),
    _link(DNS, "external", "UDP", 53, addresses=("192.0.2.53",)),
    _link("monitoring/blackbox-exporter", "external", "ICMP", 8, count=4, addresses=("198.51.100.1", "198.51.100.129")),
)

PLATFORM = (
    _link(PROM, "kube-apiserver", "TCP", 6443, service="default/kubernetes", service_port=443),
    _link("ingress-nginx/controller", "kube-apiserver", "TCP", 6443, service="default/kubernetes", service_port=443),
    _link(PROM, "host", "TCP", 9100),
    _link(PROM, "remote-node", "TCP", 9100),
    _link("kube-system/metrics-server", "host", "TCP", 10250),
    _link("kube-system/metrics-server", "remote-node", "TCP", 10250),
    _link("kube-apiserver", "kube-system/metrics-server", "TCP", 10250),
    *(
        _link("host", server, "TCP", port, count=count)
        for server, port, count in (
            ("shop/frontend", 8080, 3),
            ("shop/cart", 8086, 2),
            ("shop/catalog", 8086, 2),
            ("shop/checkout", 8086, 4),
            ("shop/recommendations", 8086, 2),
            ("payments/payment-api", 8086, 2),
            ("data/postgres", 5432, 2),
            ("ingress-nginx/controller", 10254, 2),
            ("kube-system/coredns", 8181, 2),
        )
    ),
)

CLIENTS_V4 = (
    *(f"198.51.100.{i}" for i in range(64, 80)),
    *(f"203.0.113.{i}" for i in range(128, 136)),
    *(f"203.0.113.{i}" for i in range(200, 204)),
    "192.0.2.8",
    "192.0.2.9",
    "192.0.2.33",
    "192.0.2.130",
    "192.0.2.177",
    "198.51.100.5",
    "198.51.100.150",
    "198.51.100.201",
    "198.51.100.254",
    "203.0.113.3",
    "203.0.113.77",
    "203.0.113.250",
)
CLIENTS_V6 = ("2001:db8:7::10", "2001:db8:7::11")
VISITS = (
    _link("external", "ingress-nginx/controller", "TCP", 443, count=40, addresses=CLIENTS_V4),
    _link("external", "ingress-nginx/controller", "TCP", 443, addresses=CLIENTS_V6, ipv6=True),
    _link("external", "ingress-nginx/controller", "TCP", 80, count=8, addresses=CLIENTS_V4[16:24]),
)

AM = "monitoring/alertmanager"
DEVICES_V4 = ("192.0.2.65", "198.51.100.34", "198.51.100.35")
DEVICES_V6 = ("2001:db8:42::7",)
NEWER = (
    # canary and stable
    _link("edge/gateway", "edge/storefront-stable", "TCP", 8080, count=4, service="edge/storefront", service_port=80),
    _link("edge/gateway", "edge/storefront-canary", "TCP", 8080, service="edge/storefront", service_port=80),
    _link(
        "edge/storefront-stable",
        "platform/accounts",
        "TCP",
        8080,
        count=3,
        service="platform/accounts",
        service_port=80,
    ),
    _link("edge/storefront-canary", "platform/accounts", "TCP", 8080, service="platform/accounts", service_port=80),
    # the label of a living pod changes between the first two and the last two
    _link(
        "platform/accounts",
        "platform/ledger",
        "TCP",
        9090,
        at=(2.4, 7.9, 14.2, 21.3),
        service="platform/ledger",
        service_port=9090,
    ),
    _link("platform/ledger", "platform/ledger-worker", "TCP", 9091, at=(2.41, 14.21)),
    # the init container: seven seconds after the pod was created
    _link("platform/accounts", "data/postgres", "TCP", 5432, at=(0.004,), service="data/postgres", service_port=5432),
    # gossip
    _link(AM, AM, "TCP", 9094, count=6),
    _link(AM, AM, "UDP", 9094, count=9, client_port=9094),
    *(
        _link(PROM, server, "TCP", port)
        for server, port in (
            (AM, 9093),
            ("edge/gateway", 9102),
            ("edge/storefront-stable", 9102),
            ("edge/storefront-canary", 9102),
            ("edge/admin-console", 9102),
            ("platform/accounts", 9102),
            ("platform/ledger", 9102),
            ("platform/policy-webhook", 8080),
        )
    ),
    *(
        _link(client, DNS, "UDP", 53, service="kube-system/kube-dns", service_port=53)
        for client in (AM, "edge/gateway", "edge/storefront-stable", "edge/storefront-canary", "edge/device-sync")
    ),
    # NodeLocal DNS: the node to those who ask it, and a client of coredns itself
    *(
        _link(client, "host", "UDP", 53, count=3, addresses=(NODE_LOCAL_DNS,))
        for client in ("platform/accounts", "platform/ledger", "platform/policy-webhook")
    ),
    _link("host", DNS, "TCP", 53),
    _link("remote-node", DNS, "TCP", 53, count=4),
    _link(
        "platform/policy-webhook",
        "kube-apiserver",
        "TCP",
        6443,
        count=3,
        service="default/kubernetes",
        service_port=443,
    ),
    # NodePort with the client's address rewritten to that of the node where it came in, and with it preserved
    _link("remote-node", "edge/gateway", "TCP", 8080, count=6),
    _link("host", "edge/gateway", "TCP", 8080, count=3),
    _link("external", "edge/mqtt-broker", "TCP", 8883, count=3, addresses=DEVICES_V4),
    _link("external", "edge/mqtt-broker", "TCP", 8883, addresses=DEVICES_V6, ipv6=True),
    *(
        _link("host", server, "TCP", port)
        for server, port in (("platform/accounts", 8086), ("platform/policy-webhook", 8081), (AM, 9093))
    ),
)

LINKS: tuple[Link, ...] = CALLS + SCRAPES + LOOKUPS + OUTSIDE + PLATFORM + VISITS + NEWER
