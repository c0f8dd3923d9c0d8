"""What a cluster says it has."""

from __future__ import annotations

from discovery.model.inventory import Inventory, Node, Pod, Template
from discovery.model.workload import Labels


def test_members_and_counts() -> None:
    """Pods and controllers show workloads; everything is counted."""
    pod = Pod(
        namespace="shop", name="web-0", labels=Labels(), service_account="default", owner_kind="StatefulSet",
        owner_name="web", addresses=(), host_network=False, created=1,
    )  # fmt: skip
    template = Template(
        namespace="shop", kind="StatefulSet", name="web", labels=Labels(), service_account="", created=1
    )
    node = Node(name="n", addresses=(), created=1)
    inventory = Inventory(
        cluster="east", pods=(pod,), templates=(template,), nodes=(node,), namespaces={"shop": Labels()}
    )
    assert inventory.members == (pod, template)
    assert inventory.counts() == {
        "pods": 1,
        "controllers": 1,
        "services": 0,
        "nodes": 1,
        "namespaces": 1,
        "calls of the API server": 0,
        "routes": 0,
        "schedules": 0,
        "objects without creationTimestamp": 0,
    }
