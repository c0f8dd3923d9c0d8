"""Kubernetes objects from files: every shape that kubectl prints, and what is none."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.inventory import read_inventory
from collectors.inventory_objects import KINDS
from discovery.model.errors import InputError
from discovery.model.inventory import Exposure, ExposureKind, Inventory, NamedPort, Pod, ServicePort
from discovery.model.workload import Labels

_CREATED = "2026-11-01T00:00:00Z"
_MICROSECONDS = 1_793_491_200_000_000


def _object(kind: str, name: str, namespace: str = "shop", **parts: Any) -> dict[str, Any]:
    """Return an object; ``owner`` and ``labels`` go to its metadata."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "creationTimestamp": _CREATED}
    if "owner" in parts:
        owner_kind, owner_name = parts.pop("owner")
        metadata["ownerReferences"] = [{"kind": owner_kind, "name": owner_name, "controller": True}]
    metadata["labels"] = parts.pop("labels", {})
    known = KINDS.get(kind)
    version = f"{known.group}/{known.versions[0]}".lstrip("/") if known is not None else "example.com/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def _pod(name: str = "web-0", *addresses: str, **parts: Any) -> dict[str, Any]:
    """Return a pod that runs."""
    status = {"phase": "Running", "podIPs": [{"ip": address} for address in addresses or ("10.0.0.1",)]}
    return _object("Pod", name, **{"status": status, **parts})


def _read(tmp_path: Path, *objects: Any, name: str = "objects.json") -> Inventory:
    """Return the inventory of objects in one JSON list."""
    path = tmp_path / name
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), "utf-8")
    return read_inventory([path], "east")


def _only(inventory: Inventory) -> Pod:
    """Return the one pod."""
    (pod,) = inventory.pods
    return pod


def test_every_way_to_write_it_down_is_the_same(tmp_path: Path) -> None:
    """A list, a typed list, a bare object, YAML documents, a JSON array, two files: one inventory."""
    pod, node = _pod(), _object("Node", "n1", "", status={"addresses": [{"type": "InternalIP", "address": "10.1.0.1"}]})
    bare = {key: value for key, value in pod.items() if key not in {"kind", "apiVersion"}}
    texts = {
        "list.json": json.dumps({"kind": "List", "items": [pod, node]}),
        "array.json": json.dumps([pod, node]),
        "list.yaml": yaml.safe_dump({"kind": "List", "items": [pod, node]}),
        "documents.yaml": "---\n" + yaml.safe_dump_all([pod, None, node]),
        "quoted.yaml": yaml.safe_dump_all([pod, node], default_style='"'),
    }
    found = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
        found.append(read_inventory([tmp_path / name], "east"))
    (tmp_path / "pods.json").write_text(json.dumps({"kind": "PodList", "items": [bare]}), "utf-8")
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump(node), "utf-8")
    found.append(read_inventory([tmp_path / "pods.json", tmp_path / "nodes.yaml"], "east"))
    assert found[0].counts() == {
        "pods": 1,
        "controllers": 0,
        "services": 0,
        "nodes": 1,
        "namespaces": 0,
        "calls of the API server": 0,
        "routes": 0,
        "schedules": 0,
        "objects without creationTimestamp": 0,
    }
    assert all(one == found[0] for one in found)
    assert found[0].taken == _MICROSECONDS


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
    assert _only(_read(tmp_path, _pod("web-0", "10.0.0.1", "FD00::1", spec=spec, labels=labels))) == Pod(
        namespace="shop",
        name="web-0",
        labels=Labels.of({"app": "web"}),
        service_account="robot",
        owner_kind="Pod",
        owner_name="web-0",
        addresses=("10.0.0.1", "fd00::1"),
        host_network=False,
        created=_MICROSECONDS,
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
    assert _only(_read(tmp_path, _pod(status=status))).ended == _MICROSECONDS + 7_000_000
    assert _only(_read(tmp_path, _pod(status={"phase": "Failed", "podIP": "10.0.0.1"}))).ended == _MICROSECONDS
    assert _only(_read(tmp_path, _pod())).ended is None


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
    ],
)
def test_the_workload_of_a_pod_is_the_top_of_its_owners(
    tmp_path: Path, objects: list[tuple[str, str, tuple[str, str] | None]], expected: tuple[str, str]
) -> None:
    """Controllers of any kind count; a ReplicaSet that is not in the file belongs to the Deployment its hash shows."""
    owner: dict[str, Any] = {"owner": objects[0][:2]} if objects else {}
    pod = _pod("web-0", labels={"pod-template-hash": "6c9f7d8b54"}, **owner)
    others = [
        _object(kind, name, owner=above) if above else _object(kind, name)
        for kind, name, above in objects
        if above is not None or kind in {"Deployment", "CronJob"}
    ]
    found = _only(_read(tmp_path, pod, *others))
    assert (found.owner_kind, found.owner_name) == expected


def test_controllers_without_pods_are_workloads(tmp_path: Path) -> None:
    """A CronJob between two runs, a Deployment at zero: their templates say what their pods would carry."""
    template = {
        "metadata": {"labels": {"app": "x"}, "creationTimestamp": None},
        "spec": {"serviceAccountName": "robot"},
    }
    found = _read(
        tmp_path,
        _object("Deployment", "idle", spec={"template": template}),
        _object("CronJob", "nightly", spec={"jobTemplate": {"spec": {"template": template}}}),
        _object("ReplicaSet", "idle-1", owner=("Deployment", "idle"), spec={"template": template}),
    )
    assert [(one.kind, one.name, one.labels, one.service_account) for one in found.templates] == [
        ("Deployment", "idle", Labels.of({"app": "x"}), "robot"),
        ("CronJob", "nightly", Labels.of({"app": "x"}), "robot"),
    ]


def test_services(tmp_path: Path) -> None:
    """Every address that clients use, targets by number and name; without a selector the addresses of its slices."""
    with_selector = _object(
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
    without = _object("Service", "db", spec={"clusterIP": "None", "ports": [{"name": "pg", "port": 5432}]})
    piece = _object(
        "EndpointSlice",
        "db-1",
        labels={"kubernetes.io/service-name": "db"},
        addressType="IPv4",
        endpoints=[{"addresses": ["203.0.113.5"]}],
        ports=[{"name": "pg", "port": 15432}, {"name": "none"}],
    )
    empty = _object("EndpointSlice", "db-2", labels={"kubernetes.io/service-name": "db"}, endpoints=None, ports=None)
    db, web = _read(tmp_path, with_selector, without, piece, empty).services
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
    assert _read(tmp_path, _pod(spec=spec)).versions == expected


def test_the_lowest_version_counts(tmp_path: Path) -> None:
    """During an upgrade nodes differ, and policies must hold on all of them."""
    nodes = [
        _object("Node", name, "", status={"nodeInfo": {"kubeletVersion": version}})
        for name, version in (("a", "v1.33.1-eks-1234"), ("b", "v1.32.9+k3s1"), ("c", "unknown"))
    ]
    assert _read(tmp_path, *nodes).versions == {"kubernetes": (1, 32)}


def test_calls_of_the_api_server(tmp_path: Path) -> None:
    """Webhooks of both kinds, conversions and aggregated APIs that name a Service; URLs and local APIs call no pod."""
    service = {"namespace": "shop", "name": "hook"}
    found = _read(
        tmp_path,
        _object(
            "ValidatingWebhookConfiguration",
            "v",
            "",
            webhooks=[
                {"clientConfig": {"service": service}},
                {"clientConfig": {"service": {**service, "port": 8443}}, "failurePolicy": "Ignore"},
                {"clientConfig": {"url": "https://hook.example"}},
            ],
        ),
        _object("MutatingWebhookConfiguration", "m", "", webhooks=None),
        _object(
            "CustomResourceDefinition",
            "c",
            "",
            spec={"conversion": {"webhook": {"clientConfig": {"service": service}}}},
        ),
        _object("CustomResourceDefinition", "plain", "", spec={"conversion": {"strategy": "None"}}),
        _object("APIService", "a", "", spec={"service": service}),
        _object("APIService", "local", "", spec={"service": None}),
    )
    assert [(call.declared_by, call.namespace, call.service, call.port) for call in found.calls] == [
        ("APIService a", "shop", "hook", 443),
        ("CustomResourceDefinition c, conversion", "shop", "hook", 443),
        ("ValidatingWebhookConfiguration v, failurePolicy Fail", "shop", "hook", 443),
        ("ValidatingWebhookConfiguration v, failurePolicy Ignore", "shop", "hook", 8443),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "neither YAML nor JSON"),
        ("a: [", "neither YAML nor JSON"),
        ("!!python/object:os.system {}", "neither YAML nor JSON"),
        ("- 7", "object 1 is no object"),
        (json.dumps({"kind": "Pod", "metadata": 7}), "a Pod that is none"),
        (json.dumps({"kind": "Pod", "spec": {}}), "a Pod that is none"),
        (json.dumps([{}, _pod("web-0", "10.0.0.300")]), "is not an IP address"),
        (json.dumps([{}, {**_pod(), "metadata": {"name": "x", "creationTimestamp": "soon"}}]), "object 2"),
        (json.dumps(_object("Service", "x", spec={"ports": [{"port": 70_000}]})), "a Service that is none"),
    ],
)
def test_what_is_no_inventory_is_said_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    """An inventory with holes would make workloads look gone: nothing that is read is skipped in silence."""
    path = tmp_path / "objects"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=why) as failed:
        read_inventory([path], "east")
    assert "kubectl get" in str(failed.value.hint)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(InputError, match="nowhere"):
        read_inventory([tmp_path / "nowhere.yaml"], "east")


def test_other_kinds_are_passed_over(tmp_path: Path) -> None:
    """Kubectl get all prints much that is none of our business, kinds of other groups with a known name included."""
    knative = {**_object("Service", "web"), "apiVersion": "serving.knative.dev/v1"}
    foreign = {"apiVersion": "example.com/v1", "kind": "Node", "metadata": {"name": 7}}
    found = _read(tmp_path, _object("Secret", "x"), _object("ConfigMap", "y"), {"kind": 7}, {}, knative, foreign)
    assert set(found.counts().values()) == {0}
    plain = _object("Service", "web", spec={"clusterIP": "10.96.0.9"})
    assert _read(tmp_path, plain, knative).services[0].addresses == ("10.96.0.9",)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("extensions/v1beta1", "Ingress"),
        ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"),
        ("batch/v1beta1", "CronJob"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice"),
    ],
)
def test_versions_that_are_not_read_are_an_error(tmp_path: Path, version: str, kind: str) -> None:
    """Their shapes differ: what they declare would be lost without a word."""
    with pytest.raises(InputError, match=f"a {kind} of {version}, which is not read") as caught:
        _read(tmp_path, {**_object(kind, "x"), "apiVersion": version})
    assert "ask the cluster for" in (caught.value.hint or "")


def test_a_file_that_holds_no_object_is_an_error(tmp_path: Path) -> None:
    """An answer that failed, or nothing at all, would look like an empty cluster."""
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    for given_objects in ((), (status,)):
        with pytest.raises(InputError, match="no object of the kinds"):
            _read(tmp_path, *given_objects)


def test_files_of_two_clusters_are_an_error(tmp_path: Path) -> None:
    """Objects of one name would hide each other; the cluster is known by its namespace kube-system."""
    first, second = (_object("Namespace", "kube-system", "") for _ in range(2))
    first["metadata"]["uid"], second["metadata"]["uid"] = "a", "b"
    assert _read(tmp_path, first, first).namespaces.keys() == {"kube-system"}
    with pytest.raises(InputError, match="several clusters"):
        _read(tmp_path, first, second)


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a [1,2]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]", "[" * 900 + "]" * 900],
)
def test_what_repeats_or_nests_for_ever_is_an_error(tmp_path: Path, text: str) -> None:
    """Aliases make much of little text, and kubectl writes none; no object is as deep."""
    path = tmp_path / "objects.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="neither YAML nor JSON"):
        read_inventory([path], "default")


def test_ports_of_native_sidecars_have_names(tmp_path: Path) -> None:
    """An init container that goes on running serves ports; one that ends does not."""

    def container(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "ports": [{"name": name, "containerPort": 8443}], **more}

    spec = {"initContainers": [container("proxy", restartPolicy="Always"), container("migrate")]}
    assert [port.name for port in _only(_read(tmp_path, _pod(spec=spec))).ports] == ["proxy"]


def test_urls_of_webhooks_may_be_of_the_cluster(tmp_path: Path) -> None:
    """The name of a Service in DNS, or an address; a name outside is nobody's here."""
    urls = [
        "https://hook.shop.svc:8443/x", "https://hook.shop.svc.cluster.local/x", "https://10.96.0.7/x",
        "https://[fd00::7]:9443/x", "https://hooks.example.com/x",
    ]  # fmt: skip
    hooks = [{"clientConfig": {"url": url}} for url in urls]
    found = _read(tmp_path, _object("ValidatingWebhookConfiguration", "v", "", webhooks=hooks))
    assert sorted((call.namespace, call.service, call.address, call.port) for call in found.calls) == [
        ("", "", "10.96.0.7", 443),
        ("", "", "fd00::7", 9443),
        ("shop", "hook", "", 443),
        ("shop", "hook", "", 8443),
    ]
    assert found.tells_calls
    assert not _read(tmp_path, _pod()).tells_calls


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
    one = _object("Service", "web", spec={"type": "LoadBalancer"}, status=status)
    one["metadata"]["annotations"] = annotations
    exposure = _read(tmp_path, one).services[0].exposure
    assert exposure is not None
    assert exposure.internal is internal


def test_what_tells_when_the_snapshot_was_taken(tmp_path: Path) -> None:
    """The last heartbeat of a node, and the kinds of controllers that are listed at all."""
    beats = [{"lastHeartbeatTime": f"2026-11-01T00:0{minute}:00Z"} for minute in (1, 3, 2)]
    node = _object("Node", "n", "", status={"conditions": beats})
    found = _read(tmp_path, node, _object("Deployment", "web"), _object("Job", "once"))
    assert found.seen_until == _MICROSECONDS + 180_000_000
    assert found.tells_kinds == {"Deployment", "Job"}


def test_owners_in_a_circle_end(tmp_path: Path) -> None:
    """A hostile file may let objects own each other."""
    one = _object("Job", "a", owner=("Job", "b"))
    other = _object("Job", "b", owner=("Job", "a"))
    assert _read(tmp_path, one, other, _pod(owner=("Job", "a"))).pods


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PARTS = st.dictionaries(
    st.sampled_from(["metadata", "spec", "status", "endpoints", "ports", "items"]), _JSON, max_size=4
)
_KIND = st.sampled_from(["Pod", "Service", "EndpointSlice", "Node", "Namespace", "Deployment", "CronJob", "PodList"])


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.builds(lambda k, p: json.dumps({"kind": k, **p}).encode(), _KIND, _PARTS))
def test_any_bytes_are_an_inventory_or_one_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Nothing else ever comes out of the reader."""
    path = tmp_path_factory.mktemp("inventory") / "objects"
    path.write_bytes(raw)
    with suppress(InputError):
        assert read_inventory([path], "east").cluster == "east"


def test_routes_and_schedules_are_read(tmp_path: Path) -> None:
    """Ingresses, monitors and CronJobs that are not suspended; a Service that a monitor selects is looked up."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    objects = [
        _object("Ingress", "front", spec={"rules": [{"http": {"paths": [{"backend": backend}]}}]}),
        _object("ServiceMonitor", "all", spec={"selector": {}, "endpoints": [{"port": "metrics"}]}),
        _object("Service", "web", spec={"selector": {"app": "web"}}),
        _object("CronJob", "nightly", spec={"schedule": "0 3 * * *"}),
        _object("CronJob", "off", spec={"schedule": "0 4 * * *", "suspend": True}),
    ]
    found = _read(tmp_path, *objects)
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
    assert _read(tmp_path, _object("Service", "web", spec=spec)).services[0].exposure == expected


def test_a_source_range_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A load balancer whose ranges cannot be read would look open to everybody."""
    spec = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["everybody"]}
    with pytest.raises(InputError, match="everybody"):
        _read(tmp_path, _object("Service", "web", spec=spec))


def test_addresses_of_a_node_are_also_those_of_its_cni(tmp_path: Path) -> None:
    """Traffic of a node may come from the tunnel or the router of its CNI; other annotations say nothing."""
    annotations = {
        "projectcalico.org/IPv4Address": "192.168.0.9/24",
        "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.3.1",
        "network.cilium.io/ipv4-cilium-host": "10.0.1.7",
        "node.alpha.kubernetes.io/ttl": "0",
    }
    addresses = [{"type": "InternalIP", "address": "192.168.0.9"}, {"type": "Hostname", "address": "worker"}]
    node = _object("Node", "worker", status={"addresses": addresses})
    node["metadata"]["annotations"] = annotations
    assert _read(tmp_path, node).nodes[0].addresses == ("192.168.0.9", "10.0.1.7", "10.244.3.1")


def test_pods_on_the_host_network_are_no_workloads(tmp_path: Path) -> None:
    """Neither they nor their controllers: no policy selects them."""
    spec = {"hostNetwork": True}
    found = _read(
        tmp_path,
        _object("Pod", "agent-1", spec=spec),
        _object("DaemonSet", "agent", spec={"template": {"spec": spec}}),
        _object("Pod", "web-1", spec={}),
    )
    assert (len(found.pods), len(found.templates)) == (2, 1)
    assert [one.name for one in found.members] == ["web-1"]


def test_lists_in_lists_are_opened(tmp_path: Path) -> None:
    """Files put together from several answers hold lists of lists."""
    path = tmp_path / "objects.yaml"
    inner = {"kind": "PodList", "items": [{"metadata": {"name": "a", "namespace": "shop"}}]}
    path.write_text(yaml.safe_dump({"kind": "List", "items": [{"kind": "List", "items": [inner]}]}), encoding="utf-8")
    assert [pod.name for pod in read_inventory([path], "default").pods] == ["a"]
    path.write_text(yaml.safe_dump({"kind": "List", "items": [7]}), encoding="utf-8")
    with pytest.raises(InputError, match="object 1 is no object"):
        read_inventory([path], "default")
