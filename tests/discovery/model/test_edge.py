"""Edges as people read them."""

from __future__ import annotations

import pytest

from discovery.model.edge import Edge, Endpoint, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind, WorkloadRef

WEB = Endpoint(
    kind=EndpointKind.WORKLOAD, workload=WorkloadRef(cluster="c", namespace="shop", kind="Deployment", name="web")
)
EVIDENCE = Evidence(
    flow_records=1,
    connections=None,
    first_seen=0,
    last_seen=0,
    hours=1,
    days=1,
    sources=("hubble",),
    reporters=("client",),
    client_pods=1,
    server_pods=1,
)


def external(*addresses: str, names: tuple[str, ...] = (), distinct: int = 0) -> Endpoint:
    """Return an external end."""
    return Endpoint(kind=EndpointKind.EXTERNAL, addresses=addresses, names=names, distinct_addresses=distinct)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (WEB, "shop/web"),
        (Endpoint(kind=EndpointKind.HOST, addresses=("10.0.0.1",)), "host"),
        (external("192.0.2.1"), "external 192.0.2.1"),
        (external("192.0.2.1", "192.0.2.2", "192.0.2.3"), "external 192.0.2.1, 192.0.2.2 and 1 more"),
        (external("192.0.2.0/24", "192.0.3.0/24", distinct=400), "external 192.0.2.0/24, 192.0.3.0/24 and 398 more"),
        (external("192.0.2.1", "192.0.2.2", "192.0.2.3", names=("api.example",)), "external api.example"),
    ],
)
def test_an_end_has_a_short_name(end: Endpoint, text: str) -> None:
    """Workloads by namespace and name, outsiders by DNS name or the first addresses, the rest by kind."""
    assert str(end) == text


@pytest.mark.parametrize(
    ("protocol", "port", "icmp_type", "collapsed", "text"),
    [
        (Protocol.TCP, 80, None, 0, "shop/web -> host TCP/80"),
        (Protocol.ICMP, None, 8, 0, "shop/web -> host ICMP type 8"),
        (Protocol.UDP, None, None, 12, "shop/web -> host UDP (12 ports)"),
    ],
)
def test_an_edge_says_what_it_is(
    protocol: Protocol, port: int | None, icmp_type: int | None, collapsed: int, text: str
) -> None:
    """Client, server, protocol and port, ICMP type, or how many ports were folded."""
    edge = Edge(
        client=WEB,
        server=Endpoint(kind=EndpointKind.HOST),
        protocol=protocol,
        port=port,
        icmp_type=icmp_type,
        verdict=Verdict.ACCEPTED,
        establishment=Establishment.ESTABLISHED,
        evidence_class=EvidenceClass.FLAG,
        evidence=EVIDENCE,
        collapsed_ports=collapsed,
    )
    assert str(edge) == text


def test_only_transports_have_ports() -> None:
    """TCP, UDP and SCTP have ports, ICMP has types."""
    assert [protocol for protocol in Protocol if protocol.has_ports] == [Protocol.TCP, Protocol.UDP, Protocol.SCTP]
