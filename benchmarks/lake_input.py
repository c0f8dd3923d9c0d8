"""A lake of many resolved rows, written column by column: what a large estate's lake looks like to the rollup.

2,000 pairs of 300 workloads with 3 pods each, Zipf-weighted, over three days; 35% of the rows are replies, 3% go to
external addresses (20 of each workload's own, all 5,000 from three workloads), 1% are denied:
most of them the same few attempts again and again, the rest scans of ports from three workloads.
``uuid`` is left null: no query of the rollup reads it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from collectors.base import SeenWorkload
from discovery.app.ingest import workload_rows
from discovery.flows.batch import BATCH_ROWS
from discovery.flows.identity import EndpointInfo, workload_endpoint
from discovery.flows.lake import Lake
from discovery.flows.parts import PartWriter
from discovery.flows.schema import FLOWS, INGESTS

WORKLOADS, PODS, PAIRS, DAYS = 300, 3, 2_000, 3
EXTERNALS, FEW_EXTERNALS, CRAWLERS = 5_000, 20, 3
REFUSED_PAIRS, SCAN_SHARE = 500, 0.1
EXTERNAL_SHARE, DENIED_SHARE, REPLY_SHARE = 0.03, 0.01, 0.35
RUN = "benchmark"
_START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1e6)
_DAY = 86_400_000_000
_PORTS = np.array([80, 443, 3000, 3306, 5000, 5432, 6379, 7070, 8080, 8443, 9090, 9092, 50051], dtype=np.int32)

Ints = np.ndarray[Any, np.dtype[np.int64]]


class _Estate:
    """The workloads, their pods and who talks to whom."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the call graph."""
        self.infos: list[EndpointInfo] = [_workload(number) for number in range(WORKLOADS)]
        self.pods = [f"svc-{w:04d}-5d8f7c6b9-x{p}x{p}x" for w in range(WORKLOADS) for p in range(PODS)]
        self.addresses = [f"10.{w // 250}.{w % 250}.{p + 1}" for w in range(WORKLOADS) for p in range(PODS)]
        self.addresses += [f"{11 + n % 150}.{n // 150 % 200}.{n // 7 % 200}.{n % 250 + 1}" for n in range(EXTERNALS)]
        self.prefixes = [address.rpartition(".")[0] + ".0/24" for address in self.addresses[len(self.pods) :]]
        self.pairs = rng.integers(0, WORKLOADS, (PAIRS, 2))
        self.ports = _PORTS[rng.integers(0, len(_PORTS), WORKLOADS)]
        self.refused = rng.integers(0, WORKLOADS, (REFUSED_PAIRS, 2))
        weights = 1 / np.arange(1, PAIRS + 1) ** 0.8
        self.cumulated = np.cumsum(weights) / weights.sum()


def _workload(number: int) -> EndpointInfo:
    """Return one workload as a source would report it."""
    namespace, name = f"team-{number % 20:03d}", f"svc-{number:04d}"
    return workload_endpoint(
        cluster="default",
        namespace=namespace,
        pod=None,
        labels={"app": name, "app.kubernetes.io/part-of": namespace},
        service_account=name,
        namespace_labels={"kubernetes.io/metadata.name": namespace},
        workloads=[(name, "Deployment")],
    )


def _coded(codes: Ints, values: list[str]) -> pa.DictionaryArray:
    """Return a column of few distinct texts; a negative code is null."""
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(values, type=pa.string())
    )


def _batch(estate: _Estate, rng: np.random.Generator, times: Ints) -> pa.Table:
    """Return rows of FLOWS at these times (microseconds)."""
    count = len(times)
    roll = rng.random(count)
    external = roll < EXTERNAL_SHARE
    denied = ~external & (roll < EXTERNAL_SHARE + DENIED_SHARE)
    reply = ~denied & (rng.random(count) < REPLY_SHARE)
    pairs = estate.pairs[np.minimum(np.searchsorted(estate.cumulated, rng.random(count)), PAIRS - 1)]
    scan = denied & (rng.random(count) < SCAN_SHARE)
    refused = estate.refused[rng.integers(0, REFUSED_PAIRS, count)]
    client = np.where(scan, rng.integers(0, CRAWLERS, count), np.where(denied, refused[:, 0], pairs[:, 0]))
    server = np.where(scan, rng.integers(0, WORKLOADS, count), np.where(denied, refused[:, 1], pairs[:, 1]))
    client_pod = client * PODS + rng.integers(0, PODS, count)
    server_pod = np.where(external, -1, server * PODS + rng.integers(0, PODS, count))
    few = (client * FEW_EXTERNALS + rng.integers(0, FEW_EXTERNALS, count)) % EXTERNALS
    outside = np.where(client < CRAWLERS, rng.integers(0, EXTERNALS, count), few)
    by_server = ~external & (denied | (rng.random(count) < 0.5))
    identities = np.array([info.identity or 0 for info in estate.infos], dtype=np.int64)
    given: dict[str, Any] = {
        "time": pa.array(times).cast(FLOWS.field("time").type),
        "source": _coded(np.zeros(count, dtype=np.int64), ["hubble"]),
        "node": _coded(np.where(by_server, server, client) % 16, [f"node-{n:02d}" for n in range(16)]),
        "observation_point": _coded(by_server.astype(np.int64), ["to-stack", "to-endpoint"]),
        "verdict": _coded(denied.astype(np.int64), ["accepted", "denied"]),
        "drop_reason": _coded(np.where(denied, 0, -1), ["POLICY_DENIED"]),
        "reporter": _coded(by_server.astype(np.int64), ["client", "server"]),
        "protocol": _coded(np.zeros(count, dtype=np.int64), ["TCP"]),
        "tcp_flags": pa.array(np.where(reply, 18, 2).astype(np.int32)),
        "initiator": _coded(reply.astype(np.int64), ["source", "destination"]),
        "direction_evidence": _coded(np.zeros(count, dtype=np.int64), ["handshake"]),
        "is_reply": pa.array(reply),
        "establishment": _coded(reply.astype(np.int64), ["attempted", "established"]),
        "client_address": _coded(client_pod, estate.addresses),
        "client_port": pa.array(rng.integers(32_768, 61_000, count).astype(np.int32)),
        "client_kind": _coded(np.zeros(count, dtype=np.int64), ["workload"]),
        "client_identity": pa.array(identities[client]),
        "client_pod": _coded(client_pod, estate.pods),
        "server_address": _coded(np.where(external, outside + len(estate.pods), server_pod), estate.addresses),
        "server_port": pa.array(
            np.where(scan, rng.integers(1, 1_025, count), np.where(external, 443, estate.ports[server])).astype(
                np.int32
            )
        ),
        "server_kind": _coded(external.astype(np.int64), ["workload", "external"]),
        "server_identity": pa.array(identities[server], mask=external),
        "server_pod": _coded(server_pod, estate.pods),
        "server_prefix": _coded(np.where(external, outside, -1), estate.prefixes),
        "flow_records": pa.array(np.ones(count, dtype=np.int64)),
        "ingest_id": _coded(np.zeros(count, dtype=np.int64), [RUN]),
        "cluster": _coded(np.zeros(count, dtype=np.int64), ["default"]),
    }
    given["date"] = given["time"].cast(pa.date32())
    return pa.table({field.name: _column(given, field, count) for field in FLOWS})


def _column(given: dict[str, Any], field: pa.Field, count: int) -> Any:
    """Return one column, or its nulls as the readers write them: dictionary-coded where it is text."""
    if field.name in given:
        return given[field.name]
    if field.type == pa.string() and field.name != "uuid":
        return _coded(np.full(count, -1, dtype=np.int64), [])
    return pa.nulls(count, field.type)


def write_lake(target: Path, rows: int, seed: int) -> None:
    """Write and commit a lake of ``rows`` rows at ``target``."""
    rng = np.random.default_rng(seed)
    estate = _Estate(rng)
    lake = Lake(target, create=True)
    writer = PartWriter(lake.folder("flows"))
    for first in range(0, rows, BATCH_ROWS):
        numbers = np.arange(first, min(first + BATCH_ROWS, rows), dtype=np.int64)
        writer.write(_batch(estate, rng, _START + (numbers * (DAYS * _DAY / rows)).astype(np.int64)))
    seen = [SeenWorkload(info=info, first=_START, last=_START + DAYS * _DAY - 1) for info in estate.infos]
    lake.append_side("workloads", workload_rows(seen, "default", RUN), RUN)
    account: dict[str, object] = dict.fromkeys((f.name for f in INGESTS if f.type == pa.int64()), 0)
    account |= {
        "rows_read": rows,
        "ingest_id": RUN,
        "content_hash": RUN,
        "input": "made",
        "format": "hubble",
        "rejected": [],
        "truncated": [],
    }
    lake.append_side("ingests", pa.Table.from_pylist([account], schema=INGESTS), RUN)
    lake.commit_flows(writer.close(), RUN, [RUN])
