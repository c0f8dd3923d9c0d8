"""Names: the syntax of Kubernetes, and unique, stable names for manifests."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import WorkloadRef
from generators.names import (
    cluster_folder,
    is_dns_label,
    is_label_key,
    is_label_value,
    is_subdomain,
    manifest_names,
)
from tests.strategies import hostile_text, workload_refs

CART = WorkloadRef(cluster="east", namespace="shop", kind="Deployment", name="cart")


@pytest.mark.parametrize("name", ["a", "kube-system", "1", "x" * 63])
def test_dns_labels(name: str) -> None:
    """Namespace names are accepted."""
    assert is_dns_label(name)
    assert is_subdomain(name)


@pytest.mark.parametrize("name", ["", "A", "a.b", "-a", "a-", "a\n", "x" * 64, "../x", "a/b", "é"])
def test_what_is_no_dns_label(name: str) -> None:
    """What the API server would refuse as a namespace is refused, trailing line break included."""
    assert not is_dns_label(name)


@pytest.mark.parametrize("value", ["", "cart", "A_b.c-9", "1", "x" * 63])
def test_label_values(value: str) -> None:
    """Label values are accepted, the empty one too."""
    assert is_label_value(value)


@pytest.mark.parametrize("value", ["-a", "a-", "a b", "a\n", "x" * 64, "a'b", "a/b", "é"])
def test_what_is_no_label_value(value: str) -> None:
    """What the API server would refuse as a label value is refused."""
    assert not is_label_value(value)


@pytest.mark.parametrize("key", ["app", "app.kubernetes.io/name", "App_1", "x" * 63, "a" * 63 + "/b"])
def test_label_keys(key: str) -> None:
    """Label keys are accepted with and without prefix."""
    assert is_label_key(key)


@pytest.mark.parametrize("key", ["", "/a", "a/", "A.b/c", "a/b/c", "a b", "a\n", "has(a) || b", "x" * 64])
def test_what_is_no_label_key(key: str) -> None:
    """What the API server would refuse as a label key is refused."""
    assert not is_label_key(key)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Deployment", "cart", "deployment-cart"),
        ("", "cart", "workload-cart"),
        ("CronJob", "a--b", "cronjob-a--b"),
        ("Deployment", "Cart", "deployment-cart"),
    ],
)
def test_simple_names_are_kept(kind: str, name: str, expected: str) -> None:
    """A manifest is named after its workload."""
    workload = replace(CART, kind=kind, name=name)
    assert manifest_names([workload]) == {workload: expected}


@pytest.mark.parametrize("name", ["web.v1", "x" * 80, "a/../b", "", "web-", "\u202ecart"])
def test_changed_names_end_with_the_start_of_the_key(name: str) -> None:
    """A name that had to be replaced or cut cannot be taken for another workload's."""
    workload = replace(CART, name=name)
    found = manifest_names([workload])[workload]
    assert found.endswith(f"-{workload.key[:8]}")
    assert is_dns_label(found)


def test_colliding_names_all_get_a_hash() -> None:
    """Of two workloads that would share a name neither keeps it, so the order cannot matter."""
    other = replace(CART, name="Cart")
    assert manifest_names([CART, other]) == {
        CART: f"deployment-cart-{CART.key[:8]}",
        other: f"deployment-cart-{other.key[:8]}",
    }


def test_a_workload_named_like_a_hashed_name_does_not_collide() -> None:
    """A name made to equal another workload's hashed name is told apart too."""
    long = replace(CART, name="x.y")
    evil = replace(CART, name=f"x-y-{long.key[:8]}")
    names = manifest_names([long, evil])
    assert len(set(names.values())) == 2


@given(workloads=st.sets(workload_refs(), max_size=8))
def test_names_are_valid_unique_and_stable(workloads: set[WorkloadRef]) -> None:
    """Names are DNS labels, unique in a namespace, and do not depend on the order."""
    names = manifest_names(sorted(workloads))
    assert names == manifest_names(sorted(workloads, reverse=True))
    assert all(is_dns_label(name) for name in names.values())
    places = {(workload.cluster, workload.namespace, name) for workload, name in names.items()}
    assert len(places) == len(workloads)


@given(cluster=hostile_text())
def test_cluster_folders_stay_inside_the_output(cluster: str) -> None:
    """A cluster's name cannot leave the output folder."""
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", cluster_folder(cluster))


def test_changed_cluster_folders_do_not_collide() -> None:
    """Names that differ only in what a folder cannot have get different folders; simple ones are kept."""
    assert cluster_folder("east") == "east"
    assert len({cluster_folder(name) for name in ("East", "east", "ea.st", "ea/st", "")}) == 5
