"""Objects from files: every shape that kubectl prints, and what is none."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.inventory import read_inventory
from discovery.model.errors import InputError
from tests.collectors.objects import CREATED_AT, object_of, pod_of, read


def test_every_way_to_write_it_down_is_the_same(tmp_path: Path) -> None:
    """A list, a typed list, a bare object, YAML documents, a JSON array, two files: one inventory."""
    pod, node = (
        pod_of(),
        object_of("Node", "n1", "", status={"addresses": [{"type": "InternalIP", "address": "10.1.0.1"}]}),
    )
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
    assert found[0].taken == CREATED_AT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "neither YAML nor JSON"),
        ("a: [", "neither YAML nor JSON"),
        ("!!python/object:os.system {}", "neither YAML nor JSON"),
        ("- 7", "object 1 is no object"),
        (json.dumps({"kind": "Pod", "metadata": 7}), "a Pod that is none"),
        (json.dumps({"kind": "Pod", "spec": {}}), "a Pod that is none"),
        (json.dumps([{}, pod_of("web-0", "10.0.0.300")]), "is not an IP address"),
        (json.dumps([{}, {**pod_of(), "metadata": {"name": "x", "creationTimestamp": "soon"}}]), "object 2"),
        (json.dumps(object_of("Service", "x", spec={"ports": [{"port": 70_000}]})), "a Service that is none"),
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
    knative = {**object_of("Service", "web"), "apiVersion": "serving.knative.dev/v1"}
    foreign = {"apiVersion": "example.com/v1", "kind": "Node", "metadata": {"name": 7}}
    found = read(tmp_path, object_of("Secret", "x"), object_of("ConfigMap", "y"), {"kind": 7}, {}, knative, foreign)
    assert set(found.counts().values()) == {0}
    plain = object_of("Service", "web", spec={"clusterIP": "10.96.0.9"})
    assert read(tmp_path, plain, knative).services[0].addresses == ("10.96.0.9",)


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


def test_lists_in_lists_are_opened(tmp_path: Path) -> None:
    """Files put together from several answers hold lists of lists."""
    path = tmp_path / "objects.yaml"
    inner = {"kind": "PodList", "items": [{"metadata": {"name": "a", "namespace": "shop"}}]}
    path.write_text(yaml.safe_dump({"kind": "List", "items": [{"kind": "List", "items": [inner]}]}), encoding="utf-8")
    assert [pod.name for pod in read_inventory([path], "default").pods] == ["a"]
    path.write_text(yaml.safe_dump({"kind": "List", "items": [7]}), encoding="utf-8")
    with pytest.raises(InputError, match="object 1 is no object"):
        read_inventory([path], "default")


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
        read(tmp_path, {**object_of(kind, "x"), "apiVersion": version})
    assert "ask the cluster for" in (caught.value.hint or "")


def test_a_file_that_holds_no_object_is_an_error(tmp_path: Path) -> None:
    """An answer that failed, or nothing at all, would look like an empty cluster."""
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure"}
    for given_objects in ((), (status,)):
        with pytest.raises(InputError, match="no object of the kinds"):
            read(tmp_path, *given_objects)


def test_files_of_two_clusters_are_an_error(tmp_path: Path) -> None:
    """Objects of one name would hide each other; the cluster is known by its namespace kube-system."""
    first, second = (object_of("Namespace", "kube-system", "") for _ in range(2))
    first["metadata"]["uid"], second["metadata"]["uid"] = "a", "b"
    assert read(tmp_path, first, first).namespaces.keys() == {"kube-system"}
    with pytest.raises(InputError, match="several clusters"):
        read(tmp_path, first, second)


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
