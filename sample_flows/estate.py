"""The estate "shop": its nodes and its workloads with their pods. Who calls whom is in ``links.py``.

This is what ``build.py`` writes flows from. It is not the truth that tests compare with: that is ``truth.yaml``,
written by hand. Addresses outside the cluster are documentation ranges (RFC 5737, RFC 3849), names end in
``.example`` (RFC 2606).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

CLUSTER = "default"
START = datetime(2026, 11, 2, 1, tzinfo=UTC)
WINDOW_HOURS = 26

# Node name -> node address. The kube-apiserver runs on a fourth node that runs no pods of ours.
NODES = {"node-a": "192.168.56.11", "node-b": "192.168.56.12", "node-c": "192.168.56.13"}
APISERVER = "192.168.56.10"
CONTROL_PLANE = "control-plane"
# Where NodeLocal DNS answers, on every node.
NODE_LOCAL_DNS = "169.254.20.10"
# The address from which a node reaches its own pods (cilium_host, the first of the node's pod range).
HOST_ADDRESSES = {"node-a": "10.244.0.1", "node-b": "10.244.1.1", "node-c": "10.244.2.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod. ``since`` and ``until`` are hours after START; ``generate`` is its generateName ("" for a bare pod).

    A pod whose labels are changed while it lives is two rows with one name.

    ``shown`` are volatile labels that Cilium keeps in the identity, ``hidden`` those that its default label list
    leaves out and that Calico shows.
    """

    name: str
    generate: str
    node: str
    ipv4: str
    ipv6: str | None = None
    since: float = 0.0
    until: float = float(WINDOW_HOURS)
    identity: int = 0
    shown: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One workload: the controller (or bare pod) that owns pods with the same labels and service account."""

    namespace: str
    kind: str
    name: str
    service_account: str
    labels: dict[str, str]
    pods: tuple[Pod, ...]

    @property
    def key(self) -> str:
        """Return ``namespace/name``, by which the tables refer to it."""
        return f"{self.namespace}/{self.name}"

    def alive(self, hour: float) -> tuple[Pod, ...]:
        """Return the pods that run ``hour`` hours after START."""
        return tuple(pod for pod in self.pods if pod.since <= hour < pod.until)


def _deployment(
    namespace: str, name: str, account: str, labels: dict[str, str], *pods: tuple[str, str, str, str]
) -> Workload:
    """Return a Deployment from (node, address, template hash, suffix) rows."""
    base = int(pods[0][1].rsplit(".", 1)[1])
    return Workload(
        namespace=namespace,
        kind="Deployment",
        name=name,
        service_account=account,
        labels=labels,
        pods=tuple(
            Pod(
                name=f"{name}-{digest}-{suffix}",
                generate=f"{name}-{digest}-",
                node=node,
                ipv4=ip,
                identity=20_000 + 131 * base,
                hidden={"pod-template-hash": digest},
            )
            for node, ip, digest, suffix in pods
        ),
    )


def _stateful(namespace: str, name: str, account: str, labels: dict[str, str], *pods: tuple[str, str]) -> Workload:
    """Return a StatefulSet from (node, address) rows; ordinals follow their order."""
    base = int(pods[0][1].rsplit(".", 1)[1])
    return Workload(
        namespace=namespace,
        kind="StatefulSet",
        name=name,
        service_account=account,
        labels=labels,
        pods=tuple(
            Pod(
                name=f"{name}-{i}",
                generate=f"{name}-",
                node=node,
                ipv4=ip,
                identity=20_000 + 131 * base,
                hidden={
                    "controller-revision-hash": f"{name}-5f7d8c9b6d",
                    "apps.kubernetes.io/pod-index": str(i),
                    "statefulset.kubernetes.io/pod-name": f"{name}-{i}",
                },
            )
            for i, (node, ip) in enumerate(pods)
        ),
    )


def _ledger() -> Workload:
    """Return the ledger: one pod, on which somebody changed ``cost-center`` at hour 12 (Cilium: a new identity)."""
    rows = ((0.0, 12.0, "cc-4711", 34_672), (12.0, 26.0, "cc-4722", 34_673))
    return Workload(
        namespace="platform",
        kind="Deployment",
        name="ledger",
        service_account="ledger",
        labels=_part("ledger", "api"),
        pods=tuple(
            Pod(
                name="ledger-5b7f9c6d84-n4xwq",
                generate="ledger-5b7f9c6d84-",
                node="node-c",
                ipv4="10.244.2.112",
                since=since,
                until=until,
                identity=identity,
                shown={"cost-center": center},
                hidden={"pod-template-hash": "5b7f9c6d84"},
            )
            for since, until, center, identity in rows
        ),
    )


def _part(name: str, component: str) -> dict[str, str]:
    """Return the labels of one part of an application."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}


def _since(workload: Workload, hour: float) -> Workload:
    """Return a workload whose pods were created in the window."""
    return replace(workload, pods=tuple(replace(pod, since=hour) for pod in workload.pods))


SHOP_HELM = {
    "helm.sh/chart": "shop-2.4.0",
    "app.kubernetes.io/version": "2.4.0",
    "app.kubernetes.io/managed-by": "Helm",
}
DB_HELM = {"helm.sh/chart": "postgresql-15.5.38", "app.kubernetes.io/version": "16.4.0"}
NGINX_HELM = {
    "helm.sh/chart": "ingress-nginx-4.11.3",
    "app.kubernetes.io/version": "1.11.3",
    "app.kubernetes.io/name": "ingress-nginx",
    "app.kubernetes.io/instance": "ingress-nginx",
}


def _frontend() -> Workload:
    """Return the frontend: release 2.4.0 until hour 13, then 2.4.1 (other version labels, other identity).

    One pod of the new release gets the address that the first run of nightly-report had.
    """
    old = {"helm.sh/chart": "shop-2.4.0", "app.kubernetes.io/version": "2.4.0"}
    new = {"helm.sh/chart": "shop-2.4.1", "app.kubernetes.io/version": "2.4.1"}
    rows = (
        ("6c9f7d8b54", "k2xqv", "node-a", "10.244.0.21", 0.0, 13.0, old, 22_751),
        ("7d5b86f9c7", "m9tlz", "node-b", "10.244.1.21", 13.0, 26.0, new, 22_752),
        ("7d5b86f9c7", "w4hrp", "node-c", "10.244.2.90", 13.0, 26.0, new, 22_752),
    )
    return Workload(
        namespace="shop",
        kind="Deployment",
        name="frontend",
        service_account="frontend",
        labels={"app": "frontend", "tier": "web", "app.kubernetes.io/managed-by": "Helm"},
        pods=tuple(
            Pod(
                name=f"frontend-{digest}-{suffix}",
                generate=f"frontend-{digest}-",
                node=node,
                ipv4=ip,
                since=since,
                until=until,
                identity=identity,
                shown=labels,
                hidden={"pod-template-hash": digest},
            )
            for digest, suffix, node, ip, since, until, labels, identity in rows
        ),
    )


def _nightly_report() -> Workload:
    """Return the CronJob ("0 2,14 * * *") with its three runs; a job is named by its minute since 1970."""
    rows = (
        (29_893_080, "abcde", "node-c", "10.244.2.90", 1.0, "0c1b5a2e-77d1-4c7e-9d6a-3f0e5b1f2a01", 31_790),
        (29_893_800, "q7xnm", "node-b", "10.244.1.91", 13.0, "5e9d4f77-2b3c-49a8-8f21-6a7d1c0b9e02", 31_791),
        (29_894_520, "zt4vk", "node-a", "10.244.0.92", 25.0, "9a3e7c15-c0de-4f12-b6a4-1d2e3f4a5b03", 31_792),
    )
    return Workload(
        namespace="shop",
        kind="CronJob",
        name="nightly-report",
        service_account="nightly-report",
        labels={"app": "nightly-report"},
        pods=tuple(
            Pod(
                name=f"nightly-report-{minute}-{suffix}",
                generate=f"nightly-report-{minute}-",
                node=node,
                ipv4=ip,
                since=since,
                until=since + 0.25,
                identity=identity,
                shown={
                    "job-name": f"nightly-report-{minute}",
                    "batch.kubernetes.io/job-name": f"nightly-report-{minute}",
                },
                hidden={"controller-uid": uid, "batch.kubernetes.io/controller-uid": uid},
            )
            for minute, suffix, node, ip, since, uid, identity in rows
        ),
    )


def _log_agent() -> Workload:
    """Return the DaemonSet: one pod on each node."""
    rows = (("node-a", "10.244.0.53", "4xk9d"), ("node-b", "10.244.1.53", "8wq2z"), ("node-c", "10.244.2.53", "jv6tc"))
    hidden = {"controller-revision-hash": "59c8f7d6b4", "pod-template-generation": "3"}
    return Workload(
        namespace="monitoring",
        kind="DaemonSet",
        name="log-agent",
        service_account="log-agent",
        labels={"app": "log-agent"},
        pods=tuple(
            Pod(name=f"log-agent-{suffix}", generate="log-agent-", node=node, ipv4=ip, identity=26_943, hidden=hidden)
            for node, ip, suffix in rows
        ),
    )


def _with_ipv6(workload: Workload, address: str) -> Workload:
    """Return a one-pod workload whose pod also has an IPv6 address."""
    return replace(workload, pods=(replace(workload.pods[0], ipv6=address),))


def _recommendations(component: str) -> dict[str, str]:
    """Return the labels of one of the two parts of recommendations: same name, other component."""
    return {
        "app.kubernetes.io/name": "recommendations",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": "shop",
    }


def _database(name: str, component: str, instance: str) -> dict[str, str]:
    """Return the labels that charts for databases write."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": instance,
    }


_ALL = (
    _frontend(),
    _deployment(
        "shop",
        "cart",
        "cart",
        {"app": "cart", "tier": "backend"} | SHOP_HELM,
        ("node-b", "10.244.1.22", "5b8d6f7c94", "x7l2p"),
    ),
    _deployment(
        "shop",
        "catalog",
        "catalog",
        {"app": "catalog", "tier": "backend"} | SHOP_HELM,
        ("node-c", "10.244.2.23", "84c6d9f57b", "hs5mw"),
    ),
    _deployment(
        "shop",
        "checkout",
        "checkout",
        {"app": "checkout", "tier": "backend"} | SHOP_HELM,
        ("node-b", "10.244.1.24", "6f5c9b7d88", "2gq8n"),
        ("node-a", "10.244.0.24", "6f5c9b7d88", "lz9kt"),
    ),
    _with_ipv6(
        _deployment(
            "shop",
            "recommendations",
            "recommendations",
            _recommendations("api"),
            ("node-a", "10.244.0.25", "79d8c5b6f4", "p6vxj"),
        ),
        "fd00:10:244::25",
    ),
    _with_ipv6(
        _deployment(
            "shop",
            "recommendations-model",
            "recommendations",
            _recommendations("model"),
            ("node-a", "10.244.0.26", "5c7f9d8b6d", "r8cnt"),
        ),
        "fd00:10:244::26",
    ),
    _deployment(
        "shop",
        "worker-orders",
        "worker-orders",
        {"app": "worker", "tier": "jobs"},
        ("node-c", "10.244.2.27", "76b5d9c8f4", "d4wzs"),
    ),
    _deployment(
        "shop",
        "worker-emails",
        "worker-emails",
        {"app": "worker", "tier": "jobs"},
        ("node-b", "10.244.1.28", "9f8c7d6b5b", "t2mkx"),
    ),
    _nightly_report(),
    _deployment(
        "payments",
        "payment-api",
        "payment-api",
        {"app": "payment-api", "tier": "backend"},
        ("node-c", "10.244.2.31", "6d9b5f8c7c", "vq3jl"),
    ),
    _deployment(
        "payments",
        "fraud-check",
        "fraud-check",
        {"app": "fraud-check"},
        ("node-a", "10.244.0.32", "58f7b9d6c4", "n5gdr"),
    ),
    Workload(
        namespace="payments",
        kind="Pod",
        name="toolbox",
        service_account="default",
        labels={},
        pods=(Pod(name="toolbox", generate="", node="node-b", ipv4="10.244.1.33", identity=24_323),),
    ),
    _deployment(
        "payments", "sctp-gateway", "sctp", {"app": "sctp-gateway"}, ("node-b", "10.244.1.34", "7c8b6d5f9f", "kz7wq")
    ),
    _deployment("payments", "sctp-hub", "sctp", {"app": "sctp-hub"}, ("node-c", "10.244.2.35", "66d4f8b9c5", "b3xht")),
    _stateful(
        "data",
        "postgres",
        "postgres",
        _database("postgresql", "primary", "shop-db") | DB_HELM,
        ("node-a", "10.244.0.41"),
    ),
    _stateful(
        "data",
        "postgres-read",
        "postgres",
        _database("postgresql", "read", "shop-db") | DB_HELM,
        ("node-b", "10.244.1.42"),
    ),
    _deployment(
        "data",
        "redis",
        "redis",
        _database("redis", "primary", "shop-cache"),
        ("node-c", "10.244.2.43", "85f6c7d9b9", "mf8sv"),
    ),
    _stateful(
        "data",
        "kafka",
        "kafka",
        {"app": "kafka"},
        ("node-a", "10.244.0.44"),
        ("node-b", "10.244.1.44"),
        ("node-c", "10.244.2.44"),
    ),
    _stateful(
        "monitoring",
        "prometheus",
        "prometheus",
        {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": "k8s"},
        ("node-c", "10.244.2.51"),
    ),
    _deployment("monitoring", "statsd", "statsd", {"app": "statsd"}, ("node-b", "10.244.1.52", "7b9c8d5f6f", "c9ljg")),
    _log_agent(),
    _deployment(
        "monitoring",
        "blackbox-exporter",
        "blackbox",
        {"app.kubernetes.io/name": "blackbox-exporter"},
        ("node-a", "10.244.0.54", "6c8d7f5b9d", "s6ntz"),
    ),
    _with_ipv6(
        _deployment(
            "ingress-nginx",
            "controller",
            "ingress-nginx",
            NGINX_HELM | {"app.kubernetes.io/component": "controller"},
            ("node-b", "10.244.1.61", "5d9f8c6b7b", "w2rqk"),
        ),
        "fd00:10:244:1::61",
    ),
    _deployment(
        "ingress-nginx",
        "default-backend",
        "ingress-nginx-backend",
        NGINX_HELM | {"app.kubernetes.io/component": "default-backend"},
        ("node-c", "10.244.2.62", "64c5d8f7b9", "g7vpm"),
    ),
    _deployment(
        "kube-system",
        "coredns",
        "coredns",
        {"k8s-app": "kube-dns"},
        ("node-a", "10.244.0.71", "7db6d8ff4d", "f8zkx"),
        ("node-b", "10.244.1.71", "7db6d8ff4d", "q4wtn"),
    ),
    _deployment(
        "kube-system",
        "metrics-server",
        "metrics-server",
        {"k8s-app": "metrics-server"},
        ("node-c", "10.244.2.72", "596474b58d", "l5hsd"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """A DaemonSet in the network of its nodes: to policies it is the node. ``ports`` are (name, number, protocol)."""

    namespace: str
    name: str
    container: str
    image: str
    labels: dict[str, str]
    ports: tuple[tuple[str, int, str], ...] = ()
    control_plane: bool = False


HOST_NETWORK = (
    HostNetwork(
        namespace="kube-system",
        name="cilium",
        container="cilium-agent",
        image="quay.io/cilium/cilium:v1.18.2",
        labels={"k8s-app": "cilium"},
        control_plane=True,
    ),
    HostNetwork(
        namespace="kube-system",
        name="node-local-dns",
        container="node-cache",
        image="registry.example/kube-system/node-cache:1",
        labels={"k8s-app": "node-local-dns"},
        ports=(("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")),
    ),
    HostNetwork(
        namespace="monitoring",
        name="node-exporter",
        container="node-exporter",
        image="registry.example/monitoring/node-exporter:1",
        labels={"app.kubernetes.io/name": "node-exporter"},
        ports=(("metrics", 9100, "TCP"),),
    ),
)

_NEWER = (
    _stateful(
        "monitoring",
        "alertmanager",
        "alertmanager",
        {"app.kubernetes.io/name": "alertmanager", "app.kubernetes.io/instance": "main"},
        ("node-a", "10.244.0.55"),
        ("node-b", "10.244.1.55"),
        ("node-c", "10.244.2.55"),
    ),
    _deployment(
        "edge",
        "gateway",
        "gateway",
        {"app": "gateway", "track": "stable"},
        ("node-a", "10.244.0.101", "84d5f6b9c7", "zk2vn"),
    ),
    _deployment(
        "edge",
        "storefront-stable",
        "storefront",
        {"app": "storefront", "track": "stable"},
        ("node-b", "10.244.1.102", "6f8c7d9b54", "hq7lp"),
        ("node-c", "10.244.2.102", "6f8c7d9b54", "x5drt"),
    ),
    _deployment(
        "edge",
        "storefront-canary",
        "storefront",
        {"app": "storefront", "track": "canary"},
        ("node-c", "10.244.2.103", "79b6c8f5d8", "w8jfs"),
    ),
    _with_ipv6(
        _deployment(
            "edge",
            "mqtt-broker",
            "mqtt-broker",
            {"app": "mqtt-broker"},
            ("node-b", "10.244.1.104", "5c9d7b8f66", "tm4kz"),
        ),
        "fd00:10:244:1::104",
    ),
    _deployment(
        "edge",
        "admin-console",
        "admin-console",
        {"app": "admin-console"},
        ("node-a", "10.244.0.105", "68f7d5c9b4", "v3gwx"),
    ),
    _deployment(
        "edge", "device-sync", "device-sync", {"app": "device-sync"}, ("node-b", "10.244.1.106", "7f6b9d8c5c", "pl6hd")
    ),
    # Nothing in the log names it; its address was somebody else's before.
    _since(
        _deployment(
            "edge",
            "device-registry",
            "device-registry",
            {"app": "device-registry"},
            ("node-a", "10.244.0.97", "56c8d7f9bb", "c9nqt"),
        ),
        9.0,
    ),
    # Created seven seconds after the window opened, so that its init container is in it.
    _since(
        _deployment(
            "platform",
            "accounts",
            "accounts",
            _part("accounts", "api"),
            ("node-b", "10.244.1.111", "8d6f5c9b7f", "k7svm"),
        ),
        0.002,
    ),
    _ledger(),
    _deployment(
        "platform",
        "ledger-worker",
        "ledger",
        _part("ledger", "worker"),
        ("node-a", "10.244.0.113", "6b9c8f7d5d", "d2rzw"),
    ),
    _deployment(
        "platform",
        "policy-webhook",
        "policy-webhook",
        {"app": "policy-webhook"},
        ("node-c", "10.244.2.114", "7d8b6f9c54", "f6xjk"),
    ),
)
WORKLOADS: dict[str, Workload] = {workload.key: workload for workload in _ALL + _NEWER}
