"""External peers that deserve a second look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.learn.externals import METADATA, metadata_peers, private_externals
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, PolicyIntent
from discovery.model.ports import PortSet
from discovery.model.workload import Labels, Selector
from tests.discovery.learn.builders import CLUSTER, ref


def egress(*prefixes: str, clients: bool = False) -> PolicyIntent:
    """Return an isolated egress of web to external prefixes."""
    peer = CidrPeer(prefixes=prefixes, clients=clients)
    return PolicyIntent(
        workload=ref("web"),
        subject=Selector(cluster=CLUSTER, namespace="shop", labels=Labels.of({"app": "web"})),
        direction=Direction.EGRESS,
        allows=(Allow(peer=peer, protocol=Protocol.TCP, ports=PortSet.of(80)),),
        isolate=True,
    )


@pytest.mark.parametrize("prefix", sorted(METADATA))
def test_who_reaches_a_metadata_service_is_told(prefix: str) -> None:
    """By any of its addresses, beside others; an open direction grants nothing."""
    (found,) = metadata_peers([egress("203.0.113.7/32", prefix)])
    assert (found.code, found.subject) == ("metadata-service", "shop/web")
    assert found.message.startswith(f"egress: {prefix} is a metadata service")
    assert metadata_peers([replace(egress(prefix), isolate=False)]) == []


def test_other_addresses_are_no_metadata_service() -> None:
    """Not even its neighbours on the link."""
    assert metadata_peers([egress("169.254.169.253/32", "203.0.113.0/24")]) == []


def test_private_addresses_that_look_external_are_told() -> None:
    """At most three of them, with what a prefix of clients may hide."""
    private = [f"10.0.{number}.0/24" for number in range(5)]
    (found,) = private_externals([egress(*private, "203.0.113.7/32", clients=True)])
    assert found.message == (
        "egress: 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24 and 2 more is private and the source calls it external"
    )
    assert found.hint is not None
    assert found.hint.endswith("--show-addresses names it exactly")
    assert private_externals([egress("203.0.113.7/32")]) == []
    assert private_externals([replace(egress("10.0.0.1/32"), isolate=False)]) == []
