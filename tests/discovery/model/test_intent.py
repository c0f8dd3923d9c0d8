"""Intents refuse what makes no sense."""

from __future__ import annotations

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, EntityPeer, PolicyIntent
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector, WorkloadRef

HOST = EntityPeer(entity=Entity.HOST)
WEB = WorkloadRef(cluster="c", namespace="shop", kind="Deployment", name="web")
SUBJECT = Selector(cluster="c", namespace="shop", labels=Labels.of({"app": "web"}))


@pytest.mark.parametrize(
    ("protocol", "ports", "icmp_types"),
    [
        (Protocol.TCP, PortSet(), ()),
        (Protocol.TCP, PortSet.of(80), (8,)),
        (Protocol.ICMP, PortSet.of(80), (8,)),
        (Protocol.ICMPV6, PortSet(), ()),
    ],
)
def test_ports_and_types_fit_the_protocol(protocol: Protocol, ports: PortSet, icmp_types: tuple[int, ...]) -> None:
    """A transport has ports and no ICMP types; ICMP the other way round; neither has nothing."""
    with pytest.raises(ValueError, match=protocol.value):
        Allow(peer=HOST, protocol=protocol, ports=ports, icmp_types=icmp_types)


def test_nothing_is_isolated_without_an_allow() -> None:
    """No evidence, no isolation (rule 6): the value itself refuses it."""
    with pytest.raises(ValueError, match="isolation without any allow"):
        PolicyIntent(workload=WEB, subject=SUBJECT, direction=Direction.INGRESS, allows=(), isolate=True)


def test_a_direction_may_stay_open() -> None:
    """Without isolation, no allow and reasons are fine."""
    left_open = PolicyIntent(
        workload=WEB, subject=SUBJECT, direction=Direction.EGRESS, allows=(), isolate=False, reasons=("why",)
    )
    assert left_open.reasons == ("why",)
