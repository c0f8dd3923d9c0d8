"""Tests of discovery.verify.binding: which cluster policies are for."""

from __future__ import annotations

import hashlib

import pytest

from discovery.verify.binding import bind, cluster_of
from discovery.verify.read import read_policies
from tests.discovery.verify.asking import knp

ODD = "Prod Cluster"
DIGEST = hashlib.blake2b(ODD.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("source", "clusters", "expected"),
    [
        ("p.yaml:1", [], ""),
        ("p.yaml:1", ["east"], "east"),
        ("cilium/shop/p.yaml:1", ["east", "west"], None),
        ("cilium/west/shop/p.yaml:1", ["east", "west"], "west"),
        ("west/shop/p.yaml:1", ["east", "west"], "west"),
        (f"cilium/prod-cluster-{DIGEST}/shop/p.yaml:1", ["east", ODD], ODD),
        ("cilium/west/p.yaml:1", ["east", "west"], None),
    ],
)
def test_folders_name_clusters(source: str, clusters: list[str], expected: str | None) -> None:
    """The only cluster, or the folder above the namespace's."""
    assert cluster_of(source, clusters) == expected


def test_policies_are_bound_to_their_cluster() -> None:
    """Those of nobody knows which cluster are told apart."""
    read = read_policies({"west/shop/a.yaml": knp("{podSelector: {}}"), "b.yaml": knp("{podSelector: {}}")})
    found, unknown = bind(read.policies, ["east", "west"])
    assert [(one.source, one.subject.cluster) for one in found] == [("west/shop/a.yaml:1", "west")]
    assert [one.source for one in unknown] == ["b.yaml:1"]
