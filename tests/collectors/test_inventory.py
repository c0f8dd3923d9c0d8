"""The inventory that Kubernetes objects make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discovery.model.errors import InputError
from discovery.model.inventory import Exposure, ExposureKind, Inventory, NamedPort, Pod, ServicePort
from discovery.model.workload import Labels
from tests.collectors.objects import CREATED_AT, object_of, pod_of, read


def _only(inventory: Inventory) -> Pod:
    """Return the one pod."""
    (pod,) = inventory.pods
    return pod


def test_what_is_kept_of_a_pod(tmp_path: Path) -> None:
    """Labels without volatile keys, the account, all addresses in canonical form, named ports of all containers."""
    spec = {
        "serviceAccountName": "robot",
        "containers": [
            {"ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 1}]},
            {"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
        ],
    }
    labels = {"app": "web", "pod-template-hash": "6c9f7d8b54"}
    assert _only(read(tmp_path, pod_of("web-0", "10.0.0.1", "FD00::1", spec=spec, labels=labels))) == Pod(
        namespace="shop",
        name="web-0",
        labels=Labels.of({"app": "web"}),
        service_account="robot",
        owner_kind="Pod",
        owner_name="web-0",
        addresses=("10.0.0.1", "fd00::1"),
        host_network=False,
        created=CREATED_AT,
        ports=(NamedPort(name="dns", protocol="UDP", number=53), NamedPort(name="http", protocol="TCP", number=8080)),
    )


def test_a_pod_that_is_over_ends_with_its_last_container(tmp_path: Path) -> None:
    """One that does not tell when ends at its creation, so that it proves nothing."""
    status = {
        "phase": "Succeeded",
        "podIP": "10.0.0.1",
        "containerStatuses": [
            {"state": {"terminated": {"finishedAt": f"2026-11-01T00:00:0{second}Z"}}} for second in (5, 7)
        ],
    }
    assert _only(read(tmp_path, pod_of(status=status))).ended == CREATED_AT + 7_000_000
    assert _only(read(tmp_path, pod_of(status={"phase": "Failed", "podIP": "10.0.0.1"}))).ended == CREATED_AT
    assert _only(read(tmp_path, pod_of())).ended is None


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], ("Pod", "web-0")),
        ([("StatefulSet", "web", None)], ("StatefulSet", "web")),
        ([("ReplicaSet", "web-6c9f7d8b54", None)], ("Deployment", "web")),
        ([("ReplicaSet", "web-6c9f7d8b54", ("Deployment", "web")), ("Deployment", "web", None)], ("Deployment", "web")),
        ([("Job", "web-29366040", ("CronJob", "web")), ("CronJob", "web", None)], ("CronJob", "web")),
        ([("Rollout", "web", None)], ("Rollout", "web")),
        ([("StrimziPodSet", "web", None)], ("StrimziPodSet", "web")),
        ([("Node", "worker-1", None)], ("Pod", "web-0")),
        ([("ReplicaSet", "web-6c9f7d8b54", ("Rollout", "web"))], ("Rollout", "web")),
        ([("Job", "web", ("Workflow", "argo"))], ("Job", "web")),
        ([("StatefulSet", "kafka-broker", ("Kafka", "kafka"))], ("StatefulSet", "kafka-broker")),
        (
            [("ReplicaSet", "cd-server-1", ("Deployment", "cd-server")), ("Deployment", "cd-server", ("ArgoCD", "cd"))],
            ("Deployment", "cd-server"),
        ),
    ],
)
def test_the_workload_of_a_pod_is_the_top_of_its_owners(
    tmp_path: Path, objects: list[tuple[str, str, tuple[str, str] | None]], expected: tuple[str, str]
) -> None:
    """Controllers of any kind count, an operator's resource above them does not; a ReplicaSet that is not in the file
    belongs to the Deployment its hash shows.
    """
    owner: dict[str, Any] = {"owner": objects[0][:2]} if objects else {}
    pod = pod_of("web-0", labels={"pod-template-hash": "6c9f7d8b54"}, **owner)
    others = [
        object_of(kind, name, owner=above) if above else object_of(kind, name)
        for kind, name, above in objects
        if above is not None or kind in {"Deployment", "CronJob"}
    ]
    found = _only(read(tmp_path, pod, *others))
    assert (found.owner_kind, found.owner_name) == expected


def test_controllers_without_pods_are_workloads(tmp_path: Path) -> None:
    """A CronJob between two runs, a Deployment at zero: their templates say what their pods would carry."""
    template = {
        "metadata": {"labels": {"app": "x"}, "creationTimestamp": None},
        "spec": {"serviceAccountName": "robot"},
    }
    found = read(
        tmp_path,
        object_of("Deployment", "idle", spec={"template": template}),
        object_of("CronJob", "nightly", spec={"jobTemplate": {"spec": {"template": template}}}),
        object_of("ReplicaSet", "idle-1", owner=("Deployment", "idle"), spec={"template": template}),
    )
    assert [(one.kind, one.name, one.labels, one.service_account) for one in found.templates] == [
        ("Deployment", "idle", Labels.of({"app": "x"}), "robot"),
        ("CronJob", "nightly", Labels.of({"app": "x"}), "robot"),
    ]


def test_services(tmp_path: Path) -> None:
    """Every address that clients use, targets by number and name; without a selector the addresses of its slices."""
    with_selector = object_of(
        "Service",
        "web",
        spec={
            "clusterIP": "10.96.0.7",
            "clusterIPs": ["10.96.0.7", "fd00:96::7"],
            "externalIPs": ["192.0.2.7"],
            "selector": {"app": "web"},
            "ports": [
                {"name": "a", "port": 80, "targetPort": "http"},
                {"name": "b", "port": 81},
                {"port": 82, "targetPort": 8082},
            ],
        },
        status={"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}, {"hostname": "x.example"}]}},
    )
    without = object_of("Service", "db", spec={"clusterIP": "None", "ports": [{"name": "pg", "port": 5432}]})
    piece = object_of(
        "EndpointSlice",
        "db-1",
        labels={"kubernetes.io/service-name": "db"},
        addressType="IPv4",
        endpoints=[{"addresses": ["203.0.113.5"]}],
        ports=[{"name": "pg", "port": 15432}, {"name": "none"}],
    )
    empty = object_of("EndpointSlice", "db-2", labels={"kubernetes.io/service-name": "db"}, endpoints=None, ports=None)
    db, web = read(tmp_path, with_selector, without, piece, empty).services
    assert web.addresses == ("10.96.0.7", "fd00:96::7", "192.0.2.7", "198.51.100.7")
    assert web.selector == Labels.of({"app": "web"})
    assert web.ports == (
        ServicePort(name="a", protocol="TCP", number=80, target="http"),
        ServicePort(name="b", protocol="TCP", number=81, target=81),
        ServicePort(name="", protocol="TCP", number=82, target=8082),
    )
    assert (db.addresses, db.selector, db.backends) == ((), None, (("203.0.113.5", "pg", 15432),))


@pytest.mark.parametrize(
    ("container", "image", "expected"),
    [
        ("cilium-agent", "quay.io/cilium/cilium:v1.18.2@sha256:858f807ea4e2", {"cilium": (1, 18)}),
        ("cilium-agent", "registry:5000/cilium/cilium:v1.16.0-rc.1", {"cilium": (1, 16)}),
        ("calico-node", "docker.io/calico/node:v3.30.1", {"calico": (3, 30)}),
        ("calico-node", "docker.io/calico/node:master", {}),
        ("cilium-agent", "registry:5000/cilium/cilium", {}),
        ("web", "quay.io/cilium/cilium:v1.18.2", {}),
    ],
)
def test_versions_of_the_cni(tmp_path: Path, container: str, image: str, expected: dict[str, tuple[int, int]]) -> None:
    """The agent's container tells; an image without a version tells nothing."""
    spec = {"containers": [{"name": container, "image": image}]}
    assert read(tmp_path, pod_of(spec=spec)).versions == expected


def test_the_lowest_version_counts(tmp_path: Path) -> None:
    """During an upgrade nodes differ, and policies must hold on all of them."""
    nodes = [
        object_of("Node", name, "", status={"nodeInfo": {"kubeletVersion": version}})
        for name, version in (("a", "v1.33.1-eks-1234"), ("b", "v1.32.9+k3s1"), ("c", "unknown"))
    ]
    agents = [
        pod_of(f"cilium-{image}", spec=_agent(image), status={"phase": phase})
        for image, phase in (("1.18.2", "Running"), ("1.17.9", "Running"), ("1.19.0", "Pending"), ("1.16.1", "Failed"))
    ]
    assert read(tmp_path, *nodes, *agents).versions == {"kubernetes": (1, 32), "cilium": (1, 17)}


def _agent(version: str) -> dict[str, Any]:
    """Return the spec of a pod of Cilium's agent."""
    return {"containers": [{"name": "cilium-agent", "image": f"quay.io/cilium/cilium:v{version}"}]}


def test_calls_of_the_api_server(tmp_path: Path) -> None:
    """Webhooks of both kinds, conversions and aggregated APIs that name a Service; URLs and local APIs call no pod."""
    service = {"namespace": "shop", "name": "hook"}
    found = read(
        tmp_path,
        object_of(
            "ValidatingWebhookConfiguration",
            "v",
            "",
            webhooks=[
                {"clientConfig": {"service": service}},
                {"clientConfig": {"service": {**service, "port": 8443}}, "failurePolicy": "Ignore"},
                {"clientConfig": {"url": "https://hook.example"}},
            ],
        ),
        object_of("MutatingWebhookConfiguration", "m", "", webhooks=None),
        object_of(
            "CustomResourceDefinition",
            "c",
            "",
            spec={"conversion": {"webhook": {"clientConfig": {"service": service}}}},
        ),
        object_of("CustomResourceDefinition", "plain", "", spec={"conversion": {"strategy": "None"}}),
        object_of("APIService", "a", "", spec={"service": service}),
        object_of("APIService", "local", "", spec={"service": None}),
    )
    assert [(call.declared_by, call.namespace, call.service, call.port) for call in found.calls] == [
        ("APIService a", "shop", "hook", 443),
        ("CustomResourceDefinition c, conversion", "shop", "hook", 443),
        ("ValidatingWebhookConfiguration v, failurePolicy Fail", "shop", "hook", 443),
        ("ValidatingWebhookConfiguration v, failurePolicy Ignore", "shop", "hook", 8443),
    ]


def test_ports_of_native_sidecars_have_names(tmp_path: Path) -> None:
    """An init container that goes on running serves ports; one that ends does not."""

    def container(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "ports": [{"name": name, "containerPort": 8443}], **more}

    spec = {"initContainers": [container("proxy", restartPolicy="Always"), container("migrate")]}
    assert [port.name for port in _only(read(tmp_path, pod_of(spec=spec))).ports] == ["proxy"]


def test_urls_of_webhooks_may_be_of_the_cluster(tmp_path: Path) -> None:
    """The name of a Service in DNS, or an address; a name outside is nobody's here."""
    urls = [
        "https://hook.shop.svc:8443/x", "https://hook.shop.svc.cluster.local/x", "https://10.96.0.7/x",
        "https://[fd00::7]:9443/x", "https://hooks.example.com/x",
    ]  # fmt: skip
    hooks = [{"clientConfig": {"url": url}} for url in urls]
    found = read(tmp_path, object_of("ValidatingWebhookConfiguration", "v", "", webhooks=hooks))
    assert sorted((call.namespace, call.service, call.address, call.port) for call in found.calls) == [
        ("", "", "10.96.0.7", 443),
        ("", "", "fd00::7", 9443),
        ("shop", "hook", "", 443),
        ("shop", "hook", "", 8443),
    ]
    assert found.tells_calls
    assert not read(tmp_path, pod_of()).tells_calls


@pytest.mark.parametrize(
    ("annotations", "address", "internal"),
    [
        ({}, "203.0.113.7", False),
        ({}, "10.200.0.5", True),
        ({}, "", False),
        ({"service.beta.kubernetes.io/aws-load-balancer-internal": "true"}, "", True),
        ({"networking.gke.io/load-balancer-type": "Internal"}, "203.0.113.7", True),
        ({"service.beta.kubernetes.io/azure-load-balancer-internal": "false"}, "", False),
    ],
)
def test_load_balancers_of_private_networks(
    tmp_path: Path, annotations: dict[str, str], address: str, internal: bool
) -> None:
    """By what asks a cloud for one, or by the address that it got."""
    status = {"loadBalancer": {"ingress": [{"ip": address}]}}
    one = object_of("Service", "web", spec={"type": "LoadBalancer"}, status=status)
    one["metadata"]["annotations"] = annotations
    exposure = read(tmp_path, one).services[0].exposure
    assert exposure is not None
    assert exposure.internal is internal


def test_what_tells_when_the_snapshot_was_taken(tmp_path: Path) -> None:
    """The last heartbeat of a node, and the kinds of controllers that are listed at all."""
    beats = [{"lastHeartbeatTime": f"2026-11-01T00:0{minute}:00Z"} for minute in (1, 3, 2)]
    node = object_of("Node", "n", "", status={"conditions": beats})
    found = read(tmp_path, node, object_of("Deployment", "web"), object_of("Job", "once"))
    assert found.seen_until == CREATED_AT + 180_000_000
    assert found.tells_kinds == {"Deployment", "Job"}


def test_owners_in_a_circle_end(tmp_path: Path) -> None:
    """A hostile file may let objects own each other."""
    one = object_of("ReplicaSet", "a", owner=("ReplicaSet", "b"))
    other = object_of("ReplicaSet", "b", owner=("ReplicaSet", "a"))
    assert read(tmp_path, one, other, pod_of(owner=("ReplicaSet", "a"))).pods


def test_routes_and_schedules_are_read(tmp_path: Path) -> None:
    """Ingresses, monitors and CronJobs that are not suspended; a Service that a monitor selects is looked up."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    objects = [
        object_of("Ingress", "front", spec={"rules": [{"http": {"paths": [{"backend": backend}]}}]}),
        object_of("ServiceMonitor", "all", spec={"selector": {}, "endpoints": [{"port": "metrics"}]}),
        object_of("Service", "web", spec={"selector": {"app": "web"}}),
        object_of("CronJob", "nightly", spec={"schedule": "0 3 * * *"}),
        object_of("CronJob", "off", spec={"schedule": "0 4 * * *", "suspend": True}),
    ]
    found = read(tmp_path, *objects)
    assert [(one.declared_by, one.service, one.port) for one in found.routes] == [
        ("Ingress shop/front", "web", 80),
        ("ServiceMonitor shop/all", "web", "metrics"),
    ]
    assert [(one.name, one.schedule) for one in found.schedules] == [("nightly", "0 3 * * *")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ClusterIP", "externalTrafficPolicy": "Local"}, None),
        ({"type": "ExternalName", "externalName": "db.example"}, None),
        ({"type": "NodePort"}, Exposure(kind=ExposureKind.NODE_PORT, local=False)),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, Exposure(kind=ExposureKind.NODE_PORT, local=True)),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.7/24", " 198.51.100.0/24 "]},
            Exposure(kind=ExposureKind.LOAD_BALANCER, local=False, ranges=("198.51.100.0/24", "203.0.113.0/24")),
        ),
    ],
)
def test_how_a_service_takes_clients_from_outside(
    tmp_path: Path, spec: dict[str, Any], expected: Exposure | None
) -> None:
    """Its type, whether it keeps client addresses, and the ranges of a load balancer in canonical form."""
    assert read(tmp_path, object_of("Service", "web", spec=spec)).services[0].exposure == expected


def test_a_source_range_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A load balancer whose ranges cannot be read would look open to everybody."""
    spec = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["everybody"]}
    with pytest.raises(InputError, match="everybody"):
        read(tmp_path, object_of("Service", "web", spec=spec))


@pytest.mark.parametrize(
    "key",
    [
        "network.cilium.io/ipv4-cilium-host",
        "network.cilium.io/ipv6-cilium-host",
        "projectcalico.org/IPv4Address",
        "projectcalico.org/IPv4IPIPTunnelAddr",
        "projectcalico.org/IPv4VXLANTunnelAddr",
        "projectcalico.org/IPv4WireguardInterfaceAddr",
        "projectcalico.org/IPv6Address",
        "projectcalico.org/IPv6VXLANTunnelAddr",
        "projectcalico.org/IPv6WireguardInterfaceAddr",
    ],
)
def test_each_annotation_with_an_address_of_a_node_counts(tmp_path: Path, key: str) -> None:
    """Tunnels, routers and WireGuard of both CNIs and families; a prefix length is no part of the address."""
    node = object_of("Node", "worker")
    node["metadata"]["annotations"] = {key: "2001:db8::7/64" if "6" in key else "192.0.2.7/24"}
    assert read(tmp_path, node).nodes[0].addresses == ("2001:db8::7" if "6" in key else "192.0.2.7",)


def test_addresses_of_a_node_are_also_those_of_its_cni(tmp_path: Path) -> None:
    """Traffic of a node may come from the tunnel or the router of its CNI; other annotations say nothing."""
    annotations = {
        "projectcalico.org/IPv4Address": "192.168.0.9/24",
        "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.3.1",
        "network.cilium.io/ipv4-cilium-host": "10.0.1.7",
        "node.alpha.kubernetes.io/ttl": "0",
    }
    addresses = [
        {"type": "InternalIP", "address": "192.168.0.9"},
        {"type": "ExternalIP", "address": "203.0.113.9"},
        {"type": "Hostname", "address": "worker"},
    ]
    node = object_of("Node", "worker", status={"addresses": addresses})
    node["metadata"]["annotations"] = annotations
    assert read(tmp_path, node).nodes[0].addresses == ("192.168.0.9", "203.0.113.9", "10.0.1.7", "10.244.3.1")


def test_pods_on_the_host_network_are_no_workloads(tmp_path: Path) -> None:
    """Neither they nor their controllers: no policy selects them."""
    spec = {"hostNetwork": True}
    found = read(
        tmp_path,
        object_of("Pod", "agent-1", spec=spec),
        object_of("DaemonSet", "agent", spec={"template": {"spec": spec}}),
        object_of("Pod", "web-1", spec={}),
    )
    assert (len(found.pods), len(found.templates)) == (2, 1)
    assert [one.name for one in found.members] == ["web-1"]
