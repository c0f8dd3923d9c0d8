"""Tests of discovery.verify.decisions."""

from __future__ import annotations

import itertools

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.verify.decisions import Decision, Outcome, Probe, SideDecision, everything
from tests.discovery.verify.builders import pod


def side(direction: Direction, outcome: Outcome) -> SideDecision:
    """Return the answer of one side."""
    return SideDecision(direction=direction, outcome=outcome, reason="r")


def test_both_sides_make_the_answer() -> None:
    """Denied if one denies, else unknown if one is, else allowed."""
    worst = [Outcome.ALLOWED, Outcome.UNKNOWN, Outcome.DENIED]
    for one, other in itertools.product(Outcome, Outcome):
        decision = Decision(egress=side(Direction.EGRESS, one), ingress=side(Direction.INGRESS, other))
        assert decision.outcome is max(one, other, key=worst.index)


def test_contents_of_probes() -> None:
    """One port, every port, one type, every type."""
    web, db = pod("web"), pod("db")
    assert Probe(client=web, server=db, protocol=Protocol.TCP, port=80).content == PortSet.of(80)
    assert Probe(client=web, server=db, protocol=Protocol.TCP).content == PortSet.all()
    assert Probe(client=web, server=db, protocol=Protocol.ICMP, icmp_type=8).content == PortSet.of(8)
    assert Probe(client=web, server=db, protocol=Protocol.ICMPV6).content == everything(Protocol.ICMP)
    assert everything(Protocol.ICMP) == PortSet(((0, 255),))
