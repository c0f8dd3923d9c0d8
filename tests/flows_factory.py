"""Small builders: Hubble records as JSON, canonical FLOWS rows, and what a lake holds, as plain Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from collectors.hubble import HubbleReader
from discovery.flows.engine import engine, parquet
from discovery.flows.identity import workload_endpoint
from discovery.flows.lake import Lake
from discovery.flows.parts import PartWriter
from discovery.flows.rollup import roll_up
from discovery.flows.schema import FLOWS
from discovery.flows.workloads import Workloads, read_workloads, unify
from discovery.model.completeness import Completeness

START = datetime(2026, 11, 1, 10, tzinfo=UTC)


def pod(app: str, *, number: int = 1, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    """Return a Hubble endpoint of one pod of a Deployment."""
    return {
        "identity": 4_000,
        "namespace": namespace,
        "labels": [f"k8s:app={app}", f"k8s:io.kubernetes.pod.namespace={namespace}"],
        "pod_name": f"{app}-{number}",
        "workloads": [{"name": app, "kind": "Deployment"}],
        **more,
    }


def entity(*names: str) -> dict[str, Any]:
    """Return a Hubble endpoint with reserved labels."""
    return {"identity": 0, "labels": [f"reserved:{name}" for name in names]}


def tcp(source: int = 40_000, destination: int = 8_080, *flags: str) -> dict[str, Any]:
    """Return a TCP layer."""
    return {"TCP": {"source_port": source, "destination_port": destination, "flags": dict.fromkeys(flags, True)}}


def stamp(seconds: float = 0) -> str:
    """Return a time near the start of the tests' window, as Hubble writes it."""
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def flow(**fields: Any) -> dict[str, Any]:
    """Return a flow: the first packet of web -> cart:8080, accepted at the client; ``None`` leaves a field out."""
    whole: dict[str, Any] = {
        "time": stamp(),
        "verdict": "FORWARDED",
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2"},
        "l4": tcp(40_000, 8_080, "SYN"),
        "source": pod("web"),
        "destination": pod("cart"),
        "Type": "L3_L4",
        "node_name": "node-1",
        "event_type": {"type": 4},
        "traffic_direction": "EGRESS",
        "trace_observation_point": "TO_ENDPOINT",
        "is_reply": False,
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def reply(**fields: Any) -> dict[str, Any]:
    """Return the answer to :func:`flow`, as Hubble writes it: ends swapped."""
    swapped: dict[str, Any] = {
        "IP": {"source": "10.0.0.2", "destination": "10.0.0.1"},
        "l4": tcp(8_080, 40_000, "SYN", "ACK"),
        "source": pod("cart"),
        "destination": pod("web"),
        "is_reply": True,
    }
    return flow(**{**swapped, **fields})


def event(inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flow wrapped as the exporter writes it."""
    found = {"flow": dict(inner), "node_name": inner.get("node_name"), "time": inner.get("time")}
    return {name: value for name, value in found.items() if value is not None}


def line(record: Mapping[str, Any]) -> bytes:
    """Return one wrapped flow as one JSON line without its newline."""
    return json.dumps(event(record), separators=(",", ":")).encode()


def lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return wrapped flows as an exporter file."""
    return b"".join(line(record) + b"\n" for record in records)


@dataclass(slots=True)
class Sunk:
    """What a reader handed over."""

    tables: list[pa.Table] = field(default_factory=list)
    completeness: Completeness = field(default_factory=Completeness)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all batches."""
        return [row for table in self.tables for row in table.to_pylist()]

    @property
    def row(self) -> dict[str, Any]:
        """Return the only row."""
        (only,) = self.rows
        return only

    @property
    def bad_lines(self) -> list[int]:
        """Return the numbers of the located lines."""
        return [bad.line for bad in self.completeness.rejected]


def read(*content: bytes, first_line: int = 1, cluster: str = "default") -> Sunk:
    """Read lines with the Hubble reader, all in one call."""
    sunk = Sunk()
    reader = HubbleReader(sunk.tables.append, label="input", ingest_id="run", default_cluster=cluster)
    reader.read_lines(list(content), first_line)
    reader.finish()
    sunk.completeness = reader.account.completeness()
    return sunk


def read_flow(**fields: Any) -> dict[str, Any]:
    """Read one flow and return its row; it must not be rejected."""
    sunk = read(line(flow(**fields)))
    assert sunk.completeness.rejected == ()
    return sunk.row


# ---------------------------------------------------------------------------------------------- canonical rows

CLIENT = workload_endpoint(
    cluster=None, namespace="shop", pod="web-1", labels={"app": "web"}, workloads=[("web", "Deployment")]
)
SERVER = workload_endpoint(
    cluster=None, namespace="shop", pod="cart-1", labels={"app": "cart"}, workloads=[("cart", "Deployment")]
)


def row(**fields: Any) -> dict[str, Any]:
    """Return a canonical FLOWS row: web -> cart:8080 over TCP, accepted, the handshake's first packet."""
    whole: dict[str, Any] = dict.fromkeys(FLOWS.names)
    whole.update(
        time=START, source="hubble", node="node-1", observation_point="TO_ENDPOINT", verdict="accepted",
        reporter="client", protocol="TCP", initiator="source", direction_evidence="handshake",
        client_address="10.0.0.1", client_port=40_000, client_kind="workload", client_identity=CLIENT.identity,
        client_pod="web-1", server_address="10.0.0.2", server_port=8_080, server_kind="workload",
        server_identity=SERVER.identity, server_pod="cart-1", flow_records=1, ingest_id="run", cluster="default",
    )  # fmt: skip
    whole.update(fields)
    whole["date"] = whole["time"].date()
    return whole


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return canonical rows as a FLOWS table."""
    return pa.Table.from_pylist([dict(one) for one in rows], schema=FLOWS)


def write_parts(folder: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Write canonical rows as part files below a folder; returns their paths."""
    if not rows:
        return ()
    writer = PartWriter(folder)
    writer.write(table(rows))
    return tuple(str(folder / part.path) for part in writer.close())


def known_workloads() -> Workloads:
    """Return the workloads of :func:`row`."""
    return unify(
        {
            "identity": info.identity, "cluster": "default", "namespace": info.namespace, "kind": info.workload_kind,
            "name": info.workload_name, "name_source": "reported", "labels": list(info.labels),
            "service_account": None, "namespace_labels": [], "valid_from": 0, "valid_to": 1,
        }
        for info in (CLIENT, SERVER)
    )  # fmt: skip


def edges_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the EDGES rows of canonical rows."""
    with engine(threads=1) as connection:
        found: list[dict[str, Any]] = roll_up(connection, write_parts(folder, rows), known_workloads()).to_pylist()
    return found


# ------------------------------------------------------------------------------------------------------- lakes


def lake_rows(lake: str | Path) -> list[dict[str, Any]]:
    """Return the FLOWS rows of a lake's snapshot, in a fixed order, without the id of their run."""
    files = Lake(lake).snapshot().flows
    if not files:
        return []
    with engine(threads=1) as connection:
        found = connection.sql("FROM " + parquet(files)).to_arrow_table().drop_columns(["ingest_id"])
        rows: list[dict[str, Any]] = found.to_pylist()
    return sorted(rows, key=repr)


def lake_edges(lake: Path) -> list[dict[str, Any]]:
    """Return the EDGES rows of a lake's snapshot."""
    snapshot = Lake(lake).snapshot()
    with engine(threads=1) as connection:
        found: list[dict[str, Any]] = roll_up(
            connection, snapshot.flows, read_workloads(snapshot.workloads)
        ).to_pylist()
    return found


def lake_accounts(lake: Path) -> list[dict[str, Any]]:
    """Return the INGESTS rows of a lake's snapshot, sorted by input."""
    found = [
        one for file in Lake(lake).snapshot().ingests for one in pq.read_table(file, partitioning=None).to_pylist()
    ]
    return sorted(found, key=lambda one: (one["input"], one["ingest_id"]))
