"""EDGES rows as :class:`Edge` values: the door from columns (millions of flows) to values (thousands of edges)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from discovery.flows.workloads import Workloads
from discovery.model.edge import Edge, Endpoint, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind

# Looked up by value: for tens of thousands of rows the call of an enum is dear.
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_KINDS = {kind.value: kind for kind in EndpointKind}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_ESTABLISHMENTS = {establishment.value: establishment for establishment in Establishment}
_EVIDENCE_CLASSES = {evidence_class.value: evidence_class for evidence_class in EvidenceClass}
# Rows that are plain Python values at a time.
_CHUNK = 4_096


def _endpoint(row: Mapping[str, Any], side: str, workloads: Mapping[str, Endpoint]) -> Endpoint:
    """Return one end of an edge."""
    kind = _KINDS[row[f"{side}_kind"]]
    if kind is EndpointKind.WORKLOAD:
        return workloads[row[f"{side}_workload"]]
    addresses = tuple(row[f"{side}_addresses"])
    return Endpoint(
        kind=kind,
        addresses=addresses,
        exact=not any("/" in address for address in addresses),
        distinct_addresses=row[f"{side}_distinct"],
        names=tuple(row["names"]) if kind is EndpointKind.EXTERNAL else (),
    )


def _evidence(row: Mapping[str, Any]) -> Evidence:
    """Return what an edge rests on."""
    return Evidence(
        flow_records=row["flow_records"],
        connections=row["connections"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        hours=row["hours"],
        days=row["days"],
        sources=tuple(row["sources"]),
        reporters=tuple(row["reporters"]),
        client_pods=row["client_pods"],
        server_pods=row["server_pods"],
    )


def _edge(row: Mapping[str, Any], workloads: Mapping[str, Endpoint]) -> Edge:
    """Return one edge from one EDGES row with times in microseconds. ``workloads`` maps keys to endpoints."""
    return Edge(
        client=_endpoint(row, "client", workloads),
        server=_endpoint(row, "server", workloads),
        protocol=_PROTOCOLS.get(row["protocol"]),
        port=row["server_port"],
        icmp_type=row["icmp_type"],
        verdict=_VERDICTS[row["verdict"]],
        establishment=_ESTABLISHMENTS[row["establishment"]],
        evidence_class=_EVIDENCE_CLASSES[row["direction_evidence"]],
        evidence=_evidence(row),
        l7=tuple(row["l7"]),
        service_names=tuple(row["service_names"]),
        drop_reasons=tuple(row["drop_reasons"]),
        pending_denied_by=tuple(row["pending_denied_by"]),
        collapsed_ports=row["collapsed_ports"],
        denied_records=row["denied_records"],
        contested=row["contested"],
    )


def read_edges(table: pa.Table, workloads: Workloads) -> tuple[Edge, ...]:
    """Return the edges of an EDGES table, in its order."""
    for name in ("first_seen", "last_seen"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.int64()))
    # One endpoint per workload, which its edges share.
    ends = {key: Endpoint(kind=EndpointKind.WORKLOAD, workload=ref) for key, ref in workloads.by_key.items()}
    batches = table.to_batches(max_chunksize=_CHUNK)
    return tuple(_edge(row, ends) for batch in batches for row in batch.to_pylist())
