"""From reported attributes to identities and names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.identity import name_from_pod, reserved_endpoint, workload_endpoint
from discovery.model.workload import VOLATILE_KEYS, EndpointKind

_TEXT = st.text(max_size=4)
_LABELS = st.dictionaries(_TEXT, _TEXT, max_size=3)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ("web-7d9f8b6c5d-x2x4z", ("web", "Deployment")),
        ("coredns-66bc5c9577-abcde", ("coredns", "Deployment")),
        ("db-0", ("db", "StatefulSet")),
        ("db-12", ("db", "StatefulSet")),
        ("agent-x2x4z", ("agent", "DaemonSet")),
        ("report-29012345-x2x4z", ("report", "CronJob")),
        ("my-redis", ("my-redis", "")),
        ("web", ("web", "")),
        ("etcd-kind-control-plane", ("etcd-kind-control-plane", "")),
        ("", ("", "")),
        ("-0", ("-0", "")),
    ],
)
def test_names_from_pods(pod: str, expected: tuple[str, str]) -> None:
    """What controllers append goes away; a name that merely looks like it stays."""
    assert name_from_pod(pod) == expected


@given(st.text(max_size=80))
def test_any_pod_has_a_name(pod: str) -> None:
    """A name is never empty unless the pod's is, and always its beginning."""
    name, _ = name_from_pod(pod)
    assert pod.startswith(name)
    assert bool(name) == bool(pod)


def _endpoint(**fields: Any) -> Any:
    """Return a pod with few attributes."""
    return workload_endpoint(**{"cluster": None, "namespace": "shop", "pod": "web-1", "labels": {}, **fields})


def test_runs_of_one_cronjob_are_one_workload() -> None:
    """Jobs of a CronJob and their volatile labels fold (field: cronjob-labels)."""
    runs = [
        _endpoint(
            pod=f"report-{number}-abcde", workloads=[(f"report-{number}", "Job")],
            labels={"app": "report", "job-name": f"report-{number}", "controller-uid": str(number)},
        )
        for number in (29_012_345, 29_012_346)
    ]  # fmt: skip
    assert runs[0].identity == runs[1].identity
    assert (runs[0].workload_name, runs[0].workload_kind) == ("report", "CronJob")
    assert runs[0].labels == (("app", "report"),)


@pytest.mark.parametrize("key", sorted(VOLATILE_KEYS))
def test_volatile_labels_are_no_part_of_an_identity(key: str) -> None:
    """Labels that differ per pod, run or rollout change nothing (rule 4)."""
    assert _endpoint(labels={"app": "web", key: "1"}) == _endpoint(labels={"app": "web", key: "2"})


@given(st.tuples(_TEXT, _LABELS, st.none() | _TEXT, _LABELS), st.tuples(_TEXT, _LABELS, st.none() | _TEXT, _LABELS))
def test_identities_tell_attributes_apart(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Equal attributes have equal identities, different ones different ones, however their texts join."""
    names = ("namespace", "labels", "service_account", "namespace_labels")
    found = [_endpoint(**dict(zip(names, values, strict=True)), workloads=[("x", "")]) for values in (one, other)]
    same = (one[0], one[1], one[2] or "", one[3]) == (other[0], other[1], other[2] or "", other[3])
    assert (found[0].identity == found[1].identity) == same
    assert -(2**63) <= found[0].identity < 2**63


def test_the_kind_and_the_pod_are_no_part_of_an_identity() -> None:
    """The far end is reported without them and is still the same."""
    assert (
        _endpoint(workloads=[("web", "Deployment")]).identity
        == _endpoint(pod="web-2", workloads=[("web", "")]).identity
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"workloads": [("front", "Deployment")]}, ("front", "Deployment", "reported")),
        ({"pod": "web-7d9f8b6c5d-x2x4z"}, ("web", "Deployment", "pod-name")),
        ({"pod": None, "labels": {"app": "a", "app.kubernetes.io/name": "n"}}, ("n", "", "labels")),
        ({"pod": None, "labels": {"app": ""}}, ("shop", "", "namespace")),
        ({"pod": None}, ("shop", "", "namespace")),
        ({"pod": None, "workloads": [("", "Deployment")]}, ("shop", "", "namespace")),
    ],
)
def test_the_best_name_counts(fields: dict[str, Any], expected: tuple[str, str, str]) -> None:
    """Reported names first, then the pod's, then labels, then the namespace."""
    found = _endpoint(**fields)
    assert (found.workload_name, found.workload_kind, found.name_source) == expected


@given(st.lists(st.sampled_from(("host", "kube-apiserver", "world", "remote-node", "nonsense")), unique=True))
def test_the_most_specific_entity_wins(names: list[str]) -> None:
    """The API server is more than a host or a remote node, whatever the order."""
    found = reserved_endpoint(names)
    assert found == reserved_endpoint(reversed(names))
    if "kube-apiserver" in names:
        assert found is not None
        assert found.kind is EndpointKind.KUBE_APISERVER
    assert (found is None) == (not set(names) - {"nonsense"})
