"""What the cluster of the estate says it has at the end of the window, as ``kubectl get -A -o yaml`` prints it.

Made from the tables of ``estate.py`` and those below; the traffic of ``links.py`` is not used, so a port that is
declared here and called there is one check on both. Objects carry the fields that tell something, and no uid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sample_flows.estate import (
    APISERVER,
    CONTROL_PLANE,
    HOST_NETWORK,
    NODES,
    START,
    WINDOW_HOURS,
    WORKLOADS,
    HostNetwork,
    Pod,
    Workload,
)

KUBELET = "v1.31.4"
Object = dict[str, Any]
# When the cluster was made, and when what was there before the window was rolled out.
CLUSTER_MADE = -30 * 24.0
ROLLED_OUT = -5 * 24.0
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
# Labels of a pod that its controller's template does not have.
UNTEMPLATED = ("cost-center", "job-name", "batch.kubernetes.io/job-name")

# Workload -> its container ports (name, number, protocol) and the port that the kubelet probes.
METRICS = ("metrics", 9102, "TCP")
HEALTH = ("health", 8086, "TCP")
PORTS: dict[str, tuple[tuple[tuple[str, int, str], ...], int | None]] = {
    "shop/frontend": ((("http", 8080, "TCP"), METRICS), 8080),
    "shop/cart": ((("http", 7070, "TCP"), HEALTH, METRICS), 8086),
    "shop/catalog": ((("http", 7070, "TCP"), HEALTH, METRICS), 8086),
    "shop/checkout": ((("http", 7070, "TCP"), HEALTH, METRICS), 8086),
    "shop/recommendations": ((("http", 8081, "TCP"), HEALTH, METRICS), 8086),
    "shop/recommendations-model": ((("grpc", 9001, "TCP"),), None),
    "payments/payment-api": ((("https", 8443, "TCP"), HEALTH, METRICS), 8086),
    "payments/fraud-check": ((("grpc", 9000, "TCP"), METRICS), None),
    "payments/sctp-hub": ((("m3ua", 2905, "SCTP"),), None),
    "data/postgres": ((("postgresql", 5432, "TCP"), ("metrics", 9187, "TCP")), 5432),
    "data/postgres-read": ((("postgresql", 5432, "TCP"), ("metrics", 9187, "TCP")), None),
    "data/redis": ((("redis", 6379, "TCP"), ("metrics", 9121, "TCP")), None),
    "data/kafka": ((("client", 9092, "TCP"), ("controller", 9093, "TCP"), ("metrics", 9308, "TCP")), None),
    "monitoring/prometheus": ((("web", 9090, "TCP"),), None),
    "monitoring/alertmanager": ((("web", 9093, "TCP"), ("mesh-tcp", 9094, "TCP"), ("mesh-udp", 9094, "UDP")), 9093),
    "monitoring/statsd": ((("statsd", 8125, "UDP"), METRICS), None),
    "monitoring/log-agent": ((("metrics", 2020, "TCP"),), None),
    "monitoring/blackbox-exporter": ((("http", 9115, "TCP"),), None),
    "ingress-nginx/controller": ((("http", 80, "TCP"), ("https", 443, "TCP"), ("metrics", 10254, "TCP")), 10254),
    "ingress-nginx/default-backend": ((("http", 8080, "TCP"),), None),
    "kube-system/coredns": ((("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")), 8181),
    "kube-system/metrics-server": ((("https", 10250, "TCP"),), None),
    "edge/gateway": ((("http", 8080, "TCP"), METRICS), None),
    "edge/storefront-stable": ((("http", 8080, "TCP"), METRICS), None),
    "edge/storefront-canary": ((("http", 8080, "TCP"), METRICS), None),
    "edge/mqtt-broker": ((("mqtts", 8883, "TCP"),), None),
    "edge/admin-console": ((("https", 8443, "TCP"), METRICS), None),
    "edge/device-registry": ((("http", 8200, "TCP"),), None),
    "platform/accounts": ((("http", 8080, "TCP"), HEALTH, METRICS), 8086),
    "platform/ledger": ((("grpc", 9090, "TCP"), METRICS), None),
    "platform/ledger-worker": ((("grpc", 9091, "TCP"),), None),
    "platform/policy-webhook": ((("webhook", 9443, "TCP"), ("health", 8081, "TCP"), ("metrics", 8080, "TCP")), 8081),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One Service. ``ports`` are (name, port, target, protocol, node port or 0); ``policy``: externalTrafficPolicy."""

    key: str
    address: str
    selector: Mapping[str, str]
    ports: tuple[tuple[str, int, int | str, str, int], ...]
    kind: str = "ClusterIP"
    policy: str | None = None
    ingress: str | None = None


def _plain(key: str, address: str, port: int, target: int | str, selector: Mapping[str, str]) -> Service:
    """Return a Service with one TCP port and a cluster address, or "None" for a headless one."""
    name = str(target) if isinstance(target, str) else "tcp"
    return Service(key=key, address=address, selector=selector, ports=((name, port, target, "TCP", 0),))


_NAME, _COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
SERVICES = (
    _plain("shop/frontend", "10.96.22.1", 80, "http", {"app": "frontend"}),
    _plain("shop/cart", "10.96.22.2", 7070, "http", {"app": "cart"}),
    _plain("shop/catalog", "10.96.22.3", 7070, "http", {"app": "catalog"}),
    _plain("shop/checkout", "10.96.22.4", 7070, "http", {"app": "checkout"}),
    _plain("shop/recommendations", "10.96.22.5", 8081, "http", {_NAME: "recommendations", _COMPONENT: "api"}),
    _plain("payments/payment-api", "10.96.14.8", 443, "https", {"app": "payment-api"}),
    _plain("payments/fraud-check", "10.96.14.9", 9000, "grpc", {"app": "fraud-check"}),
    _plain("data/postgres", "10.96.30.5", 5432, 5432, {_NAME: "postgresql", _COMPONENT: "primary"}),
    _plain("data/postgres-read", "10.96.30.6", 5432, 5432, {_NAME: "postgresql", _COMPONENT: "read"}),
    _plain("data/redis", "10.96.30.7", 6379, "redis", {_NAME: "redis"}),
    _plain("data/kafka", "None", 9092, "client", {"app": "kafka"}),
    Service(
        key="monitoring/alertmanager-operated",
        address="None",
        selector={_NAME: "alertmanager"},
        ports=(
            ("web", 9093, "web", "TCP", 0),
            ("mesh-tcp", 9094, "mesh-tcp", "TCP", 0),
            ("mesh-udp", 9094, "mesh-udp", "UDP", 0),
        ),
    ),
    Service(
        key="monitoring/statsd",
        address="10.96.40.2",
        selector={"app": "statsd"},
        ports=(("statsd", 8125, 8125, "UDP", 0),),
    ),
    Service(
        key="ingress-nginx/controller",
        address="10.96.50.1",
        selector={_NAME: "ingress-nginx", _COMPONENT: "controller"},
        ports=(("http", 80, "http", "TCP", 31_080), ("https", 443, "https", "TCP", 31_443)),
        kind="LoadBalancer",
        policy="Local",
        ingress="198.51.100.240",
    ),
    _plain(
        "ingress-nginx/default-backend",
        "10.96.50.2",
        80,
        "http",
        {_NAME: "ingress-nginx", _COMPONENT: "default-backend"},
    ),
    Service(
        key="kube-system/kube-dns",
        address="10.96.0.10",
        selector={"k8s-app": "kube-dns"},
        ports=(("dns", 53, 53, "UDP", 0), ("dns-tcp", 53, 53, "TCP", 0)),
    ),
    _plain("kube-system/metrics-server", "10.96.0.20", 443, "https", {"k8s-app": "metrics-server"}),
    # The client's address is lost behind that of the node where it came in ...
    Service(
        key="edge/gateway",
        address="10.96.60.1",
        selector={"app": "gateway"},
        ports=(("http", 80, "http", "TCP", 30_080),),
        kind="NodePort",
        policy="Cluster",
    ),
    # ... and here it is kept.
    Service(
        key="edge/mqtt-broker",
        address="10.96.60.2",
        selector={"app": "mqtt-broker"},
        ports=(("mqtts", 8883, "mqtts", "TCP", 30_883),),
        kind="NodePort",
        policy="Local",
    ),
    _plain("edge/storefront", "10.96.60.3", 80, "http", {"app": "storefront"}),
    _plain("edge/admin-console", "10.96.60.4", 8443, "https", {"app": "admin-console"}),
    _plain("edge/device-registry", "None", 8200, "http", {"app": "device-registry"}),
    _plain("platform/accounts", "10.96.70.1", 80, "http", {_NAME: "accounts"}),
    _plain("platform/ledger", "10.96.70.2", 9090, "grpc", {_NAME: "ledger", _COMPONENT: "api"}),
    _plain("platform/policy-webhook", "10.96.70.3", 443, "webhook", {"app": "policy-webhook"}),
)


# -------------------------------------------------------------------------------------------------------- metadata


def at(hours: float) -> str:
    """Return a Kubernetes timestamp that lies so many hours after the start of the window."""
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _object(api: str, kind: str, key: str, hours: float, labels: Mapping[str, str], owner: Object | None) -> Object:
    """Return the head of an object; ``key`` is ``namespace/name``, or the name alone of a cluster-wide one."""
    namespace, _, name = key.rpartition("/")
    metadata: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    metadata["creationTimestamp"] = at(hours)
    if labels:
        metadata["labels"] = dict(sorted(labels.items()))
    if owner is not None:
        metadata["ownerReferences"] = [owner | {"controller": True}]
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _owner(kind: str, name: str) -> Object:
    """Return a reference to the owner."""
    return {"apiVersion": "batch/v1" if kind in ("Job", "CronJob") else "apps/v1", "kind": kind, "name": name}


# ------------------------------------------------------------------------------------------------------------ pods


def _containers(key: str) -> list[Object]:
    """Return the containers of a workload's pods."""
    ports, probe = PORTS.get(key, ((), None))
    name = key.split("/")[1]
    container: Object = {"name": name, "image": f"registry.example/{key}:1"}
    if ports:
        container["ports"] = [{"name": a, "containerPort": b, "protocol": c} for a, b, c in ports]
    if probe is not None:
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": probe}}
        if key == "data/postgres":
            container["readinessProbe"] = {"tcpSocket": {"port": probe}}
    return [container]


def _pod_spec(workload: Workload) -> Object:
    """Return what a workload's pods and its template say alike."""
    spec: Object = {"serviceAccountName": workload.service_account}
    if workload.key == "platform/accounts":
        spec["initContainers"] = [{"name": "migrate", "image": "registry.example/platform/accounts:1"}]
    if workload.kind == "CronJob":
        spec["restartPolicy"] = "Never"
    return spec | {"containers": _containers(workload.key)}


def _last(workload: Workload) -> Iterator[tuple[Pod, float]]:
    """Yield the pods that the cluster still shows, with when each was created: those alive, and runs of a job."""
    created: dict[str, float] = {}
    for pod in workload.pods:
        created.setdefault(pod.name, pod.since)
    for pod in workload.pods:
        if pod.until >= WINDOW_HOURS or workload.kind == "CronJob":
            yield pod, created[pod.name] or ROLLED_OUT


def _replica_set(pod: Pod) -> str:
    """Return the name of the ReplicaSet that made a pod."""
    return pod.generate.removesuffix("-")


def _pod_owner(workload: Workload, pod: Pod) -> Object | None:
    """Return the direct owner of a pod; a bare pod has none."""
    if workload.kind == "Pod":
        return None
    if workload.kind in ("Deployment", "CronJob"):
        return _owner({"Deployment": "ReplicaSet", "CronJob": "Job"}[workload.kind], _replica_set(pod))
    return _owner(workload.kind, workload.name)


def _pods(workload: Workload) -> Iterator[Object]:
    """Yield a workload's pods; one that is over says when it ended."""
    for pod, created in _last(workload):
        labels = workload.labels | pod.shown | pod.hidden
        key = f"{workload.namespace}/{pod.name}"
        addresses = [pod.ipv4, *([pod.ipv6] if pod.ipv6 else [])]
        over = pod.until < WINDOW_HOURS
        status: Object = {
            "phase": "Succeeded" if over else "Running",
            "hostIP": NODES[pod.node],
            "podIP": pod.ipv4,
            "podIPs": [{"ip": address} for address in addresses],
        }
        if over:
            ended = {"exitCode": 0, "startedAt": at(created), "finishedAt": at(pod.until)}
            status["containerStatuses"] = [{"name": workload.name, "state": {"terminated": ended}}]
        spec = {"nodeName": pod.node} | _pod_spec(workload)
        yield _object("v1", "Pod", key, created, labels, _pod_owner(workload, pod)) | {"spec": spec, "status": status}


# ----------------------------------------------------------------------------------------------------- controllers


def _template(workload: Workload) -> Object:
    """Return the pod template of a controller as it is at the end of the window."""
    labels = workload.labels | {k: v for k, v in workload.pods[-1].shown.items() if k not in UNTEMPLATED}
    return {"metadata": {"labels": dict(sorted(labels.items()))}, "spec": _pod_spec(workload)}


def _controllers(workload: Workload) -> Iterator[Object]:
    """Yield the controller of a workload and, for a Deployment or CronJob, the ReplicaSets or Jobs below it."""
    if workload.kind == "Pod":
        return
    api = "batch/v1" if workload.kind == "CronJob" else "apps/v1"
    made = min((created for _, created in _last(workload)), default=ROLLED_OUT)
    head = _object(api, workload.kind, workload.key, made if made > ROLLED_OUT else CLUSTER_MADE, {}, None)
    if workload.key in ("shop/frontend", "shop/nightly-report"):  # older than any pod that is left of them
        head["metadata"]["creationTimestamp"] = at(CLUSTER_MADE)
    template = _template(workload)
    if workload.kind == "CronJob":
        spec: Object = {"schedule": "0 2,14 * * *", "jobTemplate": {"spec": {"template": template}}}
        yield head | {"spec": spec}
        for pod in workload.pods:
            owner = _owner("CronJob", workload.name)
            job = _object("batch/v1", "Job", f"{workload.namespace}/{_replica_set(pod)}", pod.since, pod.shown, owner)
            yield job | {"status": {"succeeded": 1, "completionTime": at(pod.until)}}
        return
    spec = {"selector": {"matchLabels": dict(sorted(workload.labels.items()))}, "template": template}
    if workload.kind == "StatefulSet":
        spec = {"serviceName": workload.name} | spec
    if workload.kind != "DaemonSet":
        spec = {"replicas": len({pod.name for pod, _ in _last(workload)})} | spec
    yield head | {"spec": spec}
    if workload.kind == "Deployment":
        yield from _replica_sets(workload)


def _replica_sets(workload: Workload) -> Iterator[Object]:
    """Yield the ReplicaSets of a Deployment; that of an old release is kept without pods."""
    running = [pod for pod, _ in _last(workload)]
    for name in dict.fromkeys(map(_replica_set, workload.pods)):
        mine = [pod for pod in workload.pods if _replica_set(pod) == name]
        shown = {k: v for k, v in mine[-1].shown.items() if k not in UNTEMPLATED}
        labels = workload.labels | shown | mine[-1].hidden
        key = f"{workload.namespace}/{name}"
        head = _object("apps/v1", "ReplicaSet", key, mine[0].since or ROLLED_OUT, labels, None)
        head["metadata"]["ownerReferences"] = [_owner("Deployment", workload.name) | {"controller": True}]
        yield head | {"spec": {"replicas": len({pod.name for pod in running if _replica_set(pod) == name})}}


def _host_network(one: HostNetwork) -> Iterator[Object]:
    """Yield a DaemonSet in the host network and its pods, whose addresses are those of their nodes."""
    nodes = NODES | ({CONTROL_PLANE: APISERVER} if one.control_plane else {})
    container: Object = {"name": one.container, "image": one.image}
    if one.ports:
        container["ports"] = [
            {"name": name, "containerPort": port, "hostPort": port, "protocol": protocol}
            for name, port, protocol in one.ports
        ]
    spec: Object = {"hostNetwork": True, "serviceAccountName": one.name, "containers": [container]}
    key = f"{one.namespace}/{one.name}"
    labels = dict(sorted(one.labels.items()))
    yield _object("apps/v1", "DaemonSet", key, CLUSTER_MADE, {}, None) | {
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    }
    for (node, address), suffix in zip(sorted(nodes.items()), ("b4t7k", "h2m9x", "n6q5w", "z8v3d"), strict=False):
        hidden = {"controller-revision-hash": "6d5f8b7c94", "pod-template-generation": "1"}
        owner = _owner("DaemonSet", one.name)
        yield _object("v1", "Pod", f"{key}-{suffix}", ROLLED_OUT, one.labels | hidden, owner) | {
            "spec": {"nodeName": node} | spec,
            "status": {"phase": "Running", "hostIP": address, "podIP": address, "podIPs": [{"ip": address}]},
        }


# --------------------------------------------------------------------------------------- the cluster and its services


def _cluster() -> Iterator[Object]:
    """Yield nodes and namespaces."""
    for name, address in sorted((NODES | {CONTROL_PLANE: APISERVER}).items()):
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        if name == CONTROL_PLANE:
            labels["node-role.kubernetes.io/control-plane"] = ""
        addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]
        yield _object("v1", "Node", name, CLUSTER_MADE, labels, None) | {
            "status": {"addresses": addresses, "nodeInfo": {"kubeletVersion": KUBELET, "operatingSystem": "linux"}}
        }
    used = {workload.namespace for workload in WORKLOADS.values()}
    for name in sorted(used | set(NAMESPACES)):
        yield _object("v1", "Namespace", name, CLUSTER_MADE, {"kubernetes.io/metadata.name": name}, None)


def _services() -> Iterator[Object]:
    """Yield the Services, and that of the API server with its EndpointSlice."""
    for one in SERVICES:
        ports = [
            {"name": name, "port": port, "targetPort": target, "protocol": protocol}
            | ({"nodePort": node} if node else {})
            for name, port, target, protocol, node in one.ports
        ]
        spec: Object = {"type": one.kind, "clusterIP": one.address, "clusterIPs": [one.address]}
        if one.policy is not None:
            spec["externalTrafficPolicy"] = one.policy
        found = _object("v1", "Service", one.key, ROLLED_OUT, {}, None)
        found["spec"] = spec | {"selector": dict(one.selector), "ports": ports}
        if one.ingress is not None:
            found["status"] = {"loadBalancer": {"ingress": [{"ip": one.ingress}]}}
        yield found
    https = {"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}
    own = {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ports": [https]}
    yield _object("v1", "Service", "default/kubernetes", CLUSTER_MADE, {}, None) | {"spec": own}
    labels = {"kubernetes.io/service-name": "kubernetes"}
    yield _object("discovery.k8s.io/v1", "EndpointSlice", "default/kubernetes", CLUSTER_MADE, labels, None) | {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [APISERVER], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


def _called() -> Iterator[Object]:
    """Yield what makes the API server call pods: a webhook that must answer, and the metrics API."""
    api = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }
    yield _object(api, "ValidatingWebhookConfiguration", "policy-webhook", ROLLED_OUT, {}, None) | {
        "webhooks": [
            {
                "name": "deployments.policy-webhook.example",
                "clientConfig": {"service": {"namespace": "platform", "name": "policy-webhook", "path": "/validate"}},
                "rules": [rule],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ]
    }
    yield _object("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io", CLUSTER_MADE, {}, None) | {
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443},
        }
    }


def objects() -> Iterator[Object]:
    """Yield every object of the cluster, those of one kind after one another."""
    workloads = sorted(WORKLOADS.values(), key=lambda workload: workload.key)
    found = [
        *_cluster(),
        *(one for workload in workloads for one in (*_controllers(workload), *_pods(workload))),
        *(one for agent in HOST_NETWORK for one in _host_network(agent)),
        *_services(),
        *_called(),
    ]
    kinds = list(dict.fromkeys(one["kind"] for one in found))
    for kind in kinds:
        yield from (one for one in found if one["kind"] == kind)


# ------------------------------------------------------------------------------------------------------------ YAML

# Text that YAML reads as text without quotes; all else is quoted, as are words and numbers that mean something.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?:[:@][A-Za-z0-9_./-]+)*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def _scalar(value: Any) -> str:
    """Return a scalar as YAML."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


def _block(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a mapping or sequence in block style."""
    pairs: Iterable[tuple[str, Any]]
    pairs = ((f"{_scalar(key)}:", one) for key, one in value.items()) if isinstance(value, dict) else ()
    for head, one in pairs:
        if isinstance(one, dict | list) and one:
            yield f"{indent}{head}"
            yield from _block(one, indent + ("  " if isinstance(one, dict) else ""))
        else:
            yield f"{indent}{head} {_scalar(one)}"
    if isinstance(value, list):
        for one in value:
            lines = list(_block(one, indent + "  ")) if isinstance(one, dict) else [f"{indent}  {_scalar(one)}"]
            yield f"{indent}- {lines[0][len(indent) + 2 :]}"
            yield from lines[1:]


def inventory() -> list[str]:
    """Return the lines of the inventory: one v1 List."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects())}
    return ["# Written by sample_flows/inventory.py. No cluster was asked: nothing here exists.", *_block(whole, "")]
