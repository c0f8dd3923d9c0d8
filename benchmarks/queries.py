"""Queries over a lake, each in a process of its own: ``queries.py NAME LAKE THREADS``.

The engine has the memory that ``suggest`` gives it. Prints the seconds of the query alone and the rows of its result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import duckdb

from discovery.flows.engine import engine, parquet
from discovery.flows.lake import Lake, Snapshot
from discovery.flows.rollup import roll_up
from discovery.flows.workloads import read_workloads

# What the edges are made of and what is added up, as one statement written down by hand. The rollup itself takes pods
# apart (ADR 0002).
_KEYS = """cluster, client_kind, client_identity, client_pod, server_kind, server_identity, server_pod, protocol,
    server_port, icmp_type, verdict, establishment, direction_evidence, reporter, observation_point, node, source,
    l7_protocol, drop_reason, date"""
_SUMS = """sum(flow_records), sum(connections), sum(bytes_sent), sum(bytes_received), min(time), max(time),
    bit_or(1 << CAST(hour(time) AS INTEGER))"""


def group_by(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> int:
    """Run the bare GROUP BY; every group is fetched."""
    rows = connection.sql(f"SELECT {_KEYS}, {_SUMS} FROM {parquet(snapshot.flows)} GROUP BY ALL")  # noqa: S608 - our own names
    return sum(batch.num_rows for batch in rows.to_arrow_reader(100_000))


def rollup(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> int:
    """Run the whole rollup, to the table of edges."""
    return int(roll_up(connection, snapshot.flows, read_workloads(snapshot.workloads)).num_rows)


QUERIES: dict[str, Callable[[duckdb.DuckDBPyConnection, Snapshot], int]] = {"group_by": group_by, "rollup": rollup}


def main() -> None:
    """Run one query over one lake."""
    name, lake, threads = sys.argv[1:]
    snapshot = Lake(lake).snapshot()
    with engine(threads=int(threads)) as connection:
        start = time.perf_counter()
        rows = QUERIES[name](connection, snapshot)
        seconds = time.perf_counter() - start
    sys.stdout.write(json.dumps({"seconds": round(seconds, 3), "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
