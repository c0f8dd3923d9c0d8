"""Tests of discovery.verify.use."""

from __future__ import annotations

from discovery.model.edge import Endpoint
from discovery.model.workload import EndpointKind
from discovery.verify.use import Use
from tests.discovery.learn.builders import outside, pod


def test_other_ends_are_workloads_addresses_or_kinds() -> None:
    """A workload is itself, what is outside its addresses, and what has none its kind."""
    use = Use()
    for endpoint in (pod("a"), outside("192.0.2.1", "192.0.2.2"), Endpoint(kind=EndpointKind.UNRESOLVED)):
        use.add_peer(endpoint)
    assert use.peers == {pod("a").workload, "192.0.2.1", "192.0.2.2", "unresolved"}
