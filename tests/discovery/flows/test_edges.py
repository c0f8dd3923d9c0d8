"""EDGES rows become values without losing anything."""

from __future__ import annotations

from pathlib import Path

from discovery.flows.edges import read_edges
from discovery.flows.engine import engine
from discovery.flows.rollup import roll_up
from discovery.model.edge import Edge, Establishment, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind
from tests.flows_factory import START, known_workloads, row, write_parts


def _edges(folder: Path, *rows: dict[str, object]) -> tuple[Edge, ...]:
    """Return the edges of rows."""
    with engine(threads=1) as connection:
        return read_edges(roll_up(connection, write_parts(folder, rows), known_workloads()), known_workloads())


def test_a_row_becomes_an_edge(tmp_path: Path) -> None:
    """Ends, port, verdict, evidence and times are those of the rows."""
    (edge,) = _edges(
        tmp_path, row(establishment="established"), row(client_port=2, reporter="server", node="b", connections=4)
    )
    assert str(edge) == "shop/web -> shop/cart TCP/8080"
    assert (edge.protocol, edge.port, edge.icmp_type) == (Protocol.TCP, 8_080, None)
    assert (edge.verdict, edge.establishment) == (Verdict.ACCEPTED, Establishment.ESTABLISHED)
    assert edge.evidence_class is EvidenceClass.HANDSHAKE
    start = int(START.timestamp()) * 1_000_000
    assert (edge.evidence.first_seen, edge.evidence.last_seen, edge.evidence.days) == (start, start, 1)
    assert (edge.evidence.reporters, edge.evidence.sources, edge.evidence.connections) == (
        ("client", "server"),
        ("hubble",),
        4,
    )


def test_pending_denials_come_along(tmp_path: Path) -> None:
    """They are the edge's, sorted; an edge without any has none."""
    told = row(pending_denied_by=["StagedNetworkPolicy/shop/b", "StagedNetworkPolicy/shop/a"])
    first, second = _edges(tmp_path, told, row(server_port=443))
    assert first.pending_denied_by == ()
    assert second.pending_denied_by == ("StagedNetworkPolicy/shop/a", "StagedNetworkPolicy/shop/b")


def test_protocols_that_no_policy_names(tmp_path: Path) -> None:
    """An unknown protocol is None, never another one."""
    found = _edges(tmp_path, row(protocol="VRRP", server_port=None), row(protocol=None, server_port=None))
    assert [edge.protocol for edge in found] == [None, None]


def test_external_ends_carry_addresses_and_names(tmp_path: Path) -> None:
    """Few addresses are exact; names are those of the external end alone."""
    outside: dict[str, object] = {
        "server_kind": "external",
        "server_identity": None,
        "server_pod": None,
        "server_prefix": "192.0.2.0/24",
    }
    (edge,) = _edges(tmp_path, row(**outside, server_address="192.0.2.1", server_names=["api.example"]))
    assert (edge.server.kind, edge.server.addresses, edge.server.exact) == (EndpointKind.EXTERNAL, ("192.0.2.1",), True)
    assert (edge.server.names, edge.client.names) == (("api.example",), ())


def test_prefixes_are_not_exact(tmp_path: Path) -> None:
    """Past 1,024 addresses the end says that its prefixes are wider than what was seen."""
    rows = [
        row(
            client_kind="external",
            client_identity=None,
            client_pod=None,
            client_address=f"198.18.{number // 256}.{number % 256}",
            client_prefix=f"198.18.{number // 256}.0/24",
        )
        for number in range(1_100)
    ]
    (edge,) = _edges(tmp_path, *rows)
    assert not edge.client.exact
    assert edge.client.distinct_addresses == 1_100
