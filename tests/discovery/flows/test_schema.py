"""The schemas: types that every engine reads, every column documented."""

from __future__ import annotations

import pyarrow as pa
import pytest
from deltalake import Schema

from discovery.flows.batch import SPARSE_COLUMNS
from discovery.flows.schema import EDGES, FLOWS, INGESTS, PARTITION_COLUMNS, TABLES, WORKLOADS

_ALL = {"flows": FLOWS, "workloads": WORKLOADS, "ingests": INGESTS, "edges": EDGES}
_COLUMNS = [(name, field.name) for name, schema in _ALL.items() for field in schema]
# What Spark's Parquet reader knows (no unsigned integers, no nanoseconds).
_PLAIN = {pa.string(), pa.int32(), pa.int64(), pa.bool_(), pa.date32(), pa.timestamp("us", tz="UTC")}


@pytest.mark.parametrize(("table", "column"), _COLUMNS)
def test_every_column_is_readable_and_documented(table: str, column: str) -> None:
    """Spark can read the type, and the column says what it means."""
    field = _ALL[table].field(column)
    kind = field.type
    inner = (
        {kind.value_type}
        if pa.types.is_list(kind)
        else {kind.key_type, kind.item_type}
        if pa.types.is_map(kind)
        else {kind}
    )
    assert inner <= _PLAIN
    assert len(field.metadata[b"doc"]) > 8


@pytest.mark.parametrize("name", sorted(_ALL))
def test_column_names_are_unique(name: str) -> None:
    """No column occurs twice, in any case of letters."""
    names = [column.lower() for column in _ALL[name].names]
    assert len(set(names)) == len(names)


def test_ports_counts_and_times() -> None:
    """Ports are int32, counts int64, times microseconds UTC, everywhere."""
    for schema in _ALL.values():
        for field in schema:
            if field.name.endswith("_port"):
                assert field.type == pa.int32()
            if field.name.endswith(("_records", "packets_sent", "bytes_sent", "connections")) or field.name.startswith(
                ("rows_", "events_")
            ):
                assert field.type == pa.int64()
            if field.name in {"time", "end_time", "first_seen", "last_seen", "valid_from", "valid_to"}:
                assert field.type == pa.timestamp("us", tz="UTC")


def test_version_one_has_what_the_issue_asks_for() -> None:
    """Service before translation, establishment, evidence, reporters, policies, ICMP, cluster, names, tunnel, proxy."""
    assert {
        "service_address", "service_port", "service_name", "service_namespace", "establishment", "direction_evidence",
        "reporter", "egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by", "icmp_type",
        "icmp_code", "cluster", "client_names", "server_names", "tunnel_protocol", "proxy_port",
    } <= set(FLOWS.names)  # fmt: skip


def test_pending_verdicts_stand_beside_the_enforced_ones() -> None:
    """Of a flow they may be absent; of an edge they are always a list."""
    flows = FLOWS.names
    assert flows[flows.index("ingress_denied_by") + 1] == "pending_denied_by"
    assert (FLOWS.field("pending_denied_by").nullable, EDGES.field("pending_denied_by").nullable) == (True, False)
    assert FLOWS.field("pending_denied_by").type == EDGES.field("pending_denied_by").type == pa.list_(pa.string())


def test_the_tables_fit_the_lake() -> None:
    """Every table has a Delta schema; the partition columns are there and never null."""
    for schema in TABLES.values():
        assert len(Schema.from_arrow(schema).fields) == len(schema)
    assert all(not FLOWS.field(name).nullable for name in PARTITION_COLUMNS)
    assert set(SPARSE_COLUMNS) <= set(FLOWS.names)
