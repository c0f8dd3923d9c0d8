"""Tests of discovery.model.requests."""

from __future__ import annotations

from discovery.model.edge import Protocol
from discovery.model.requests import connection_key
from tests.discovery.learn.builders import edge, outside, ref


def test_a_connection_is_known_by_workloads_or_kinds_and_port() -> None:
    """Addresses do not tell connections apart."""
    assert connection_key(edge("a", "b", 80)) == (ref("a").key, ref("b").key, Protocol.TCP, 80)
    assert connection_key(edge(outside("192.0.2.1"), "b", 80)) == ("external", ref("b").key, Protocol.TCP, 80)
