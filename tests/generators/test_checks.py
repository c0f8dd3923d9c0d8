"""Checks: what no platform takes, or one cannot say."""

from __future__ import annotations

import pytest

from discovery.model.edge import Direction
from discovery.model.intent import CidrPeer, Mode
from discovery.model.workload import Entity
from generators import render
from generators.checks import networks
from tests.generators.samples import entity, intent, observed, pods, request

ON_CILIUM = "kubernetes=1.31;enforcer=cilium"
ON_CALICO = "kubernetes=1.31;enforcer=calico"


def test_networks_are_canonical_and_in_order() -> None:
    """Addresses of entities are prefixes of one; each is there once, IPv4 first; pods have none."""
    peers = (
        CidrPeer(prefixes=("2001:db8::/32", "203.0.113.0/24")),
        entity(Entity.HOST, "203.0.113.9", "10.0.0.1"),
        pods(app="x"),
        CidrPeer(prefixes=("10.0.0.1/32",)),
    )
    assert networks(peers) == ("10.0.0.1/32", "203.0.113.0/24", "203.0.113.9/32", "2001:db8::/32")


@pytest.mark.parametrize(
    ("platform", "direction", "name", "expected"),
    [
        (ON_CILIUM, Direction.INGRESS, Entity.HOST, []),
        (f"{ON_CILIUM};allow-localhost=policy", Direction.INGRESS, Entity.HOST, ["entity-inexpressible"]),
        (f"{ON_CILIUM};enable-policy=always", Direction.INGRESS, Entity.HOST, []),
        (f"{ON_CILIUM};enable-policy=never", Direction.INGRESS, Entity.HOST, ["not-enforced"]),
        (ON_CILIUM, Direction.EGRESS, Entity.REMOTE_NODE, ["entity-inexpressible"]),
        (f"{ON_CILIUM};policy-cidr-match-mode=nodes", Direction.EGRESS, Entity.REMOTE_NODE, []),
        (ON_CALICO, Direction.EGRESS, Entity.HOST, []),
        (f"{ON_CALICO};default-endpoint-to-host-action=drop", Direction.EGRESS, Entity.HOST, ["host-drops"]),
    ],
)
def test_settings_of_the_enforcer_concern_kubernetes_policies_too(
    platform: str, direction: Direction, name: Entity, expected: list[str]
) -> None:
    """What Cilium or Calico is told decides what a Kubernetes policy can say there."""
    found = render(request(platform, Mode.ENFORCE, intent(direction, observed(entity(name, "10.0.0.1"), 8080))))
    assert [one.code for one in found.diagnostics if one.level == "error"] == expected
    assert bool(found.artifacts) is not bool(expected)


@pytest.mark.parametrize("platform", ["cilium=1.18", ON_CILIUM])
def test_where_all_pods_are_isolated_monitor_files_would_open_traffic(platform: str) -> None:
    """Of both kinds that Cilium enforces: there is nothing to be watched."""
    asked = request(
        f"{platform};enable-policy=always", Mode.MONITOR, intent(Direction.INGRESS, observed(pods(app="x"), 8080))
    )
    found = render(asked)
    assert ([one.code for one in found.diagnostics], found.artifacts) == (["monitor-not-inert"], ())
