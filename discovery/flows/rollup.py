"""The rollup, flows -> edges: runs ``rollup.sql`` and bounds what it returns.

Cardinality is bounded by design: pods are counted, external addresses are listed to ``MAX_ADDRESSES`` and become
prefixes past that, ports of scans collapse. The SQL is portable (ADR 0002); this module only names its inputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import duckdb
import pyarrow as pa

from discovery.flows.engine import parquet
from discovery.flows.schema import EDGES
from discovery.flows.workloads import Workloads

MAX_ADDRESSES = 1_024
MAX_WORDS = 64
COLLAPSE_PORTS = 8

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_EVIDENCE = {1: "handshake", 2: "flag", 3: "listener", 4: "inferred", 5: "none"}

# From an address or prefix to ever wider prefixes, as SQL over canonical text. IPv4: /24, /16, /8; IPv6: /48, /32, /16.
_LADDER = (
    "prefix",
    "CASE WHEN contains(prefix, ':') THEN split_part(prefix, ':', 1) || ':' || split_part(prefix, ':', 2) || '::/32' "
    "ELSE split_part(prefix, '.', 1) || '.' || split_part(prefix, '.', 2) || '.0.0/16' END",
    "CASE WHEN contains(prefix, ':') THEN split_part(prefix, ':', 1) || '::/16' ELSE split_part(prefix, '.', 1) || '.0.0.0/8' END",
)


def statements() -> dict[str, str]:
    """Return the named statements of the rollup, in order."""
    text = (resources.files("discovery.flows") / "rollup.sql").read_text("utf-8")
    pieces = _NAME.split(text)
    return dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))


def _literal(time: datetime) -> str:
    """Return a UTC timestamp literal."""
    return f"TIMESTAMPTZ '{time.astimezone(UTC).isoformat()}'"


def _where(since: datetime | None, until: datetime | None) -> str:
    """Return the time filter: since inclusive, until exclusive."""
    bounds = []
    if since is not None:
        bounds.append(f"time >= {_literal(since)} AND date >= DATE '{since.astimezone(UTC).date().isoformat()}'")
    if until is not None:
        bounds.append(f"time < {_literal(until)} AND date <= DATE '{until.astimezone(UTC).date().isoformat()}'")
    return " AND ".join(bounds) or "true"


def roll_up(
    connection: duckdb.DuckDBPyConnection,
    flows: tuple[str, ...],
    workloads: Workloads,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pa.Table:
    """Return the EDGES of part files, sorted by their key. No files give no edges."""
    if not flows:
        return EDGES.empty_table()
    keys = _register(connection, workloads)
    texts = statements()
    fields = {"flows": parquet(flows), "where": _where(since, until), "collapse_ports": str(COLLAPSE_PORTS)}
    for name, text in texts.items():
        if name in ("addressed", "peers"):
            continue
        connection.execute(_fill(text, fields))
    addresses: dict[str, dict[int, tuple[list[str], int]]] = {}
    for end in ("client", "server"):
        for name in ("addressed", "peers"):
            connection.execute(_fill(texts[name], {**fields, "end": end}))
        addresses[end] = _addresses(connection, f"{end}_peers")
    return _assemble(connection, keys, addresses)


def _fill(text: str, fields: Mapping[str, str]) -> str:
    """Replace ``{name}`` by its value; plain text replacement, because part names may hold braces."""
    for name, value in fields.items():
        text = text.replace("{" + name + "}", value)
    return text


def _register(connection: duckdb.DuckDBPyConnection, workloads: Workloads) -> list[str]:
    """Register ``workload_of``; returns the workload key of each number."""
    keys = sorted({ref.key for ref in workloads.ref_of.values()})
    number = {key: position for position, key in enumerate(keys)}
    identities = sorted(workloads.ref_of)
    table = pa.table(
        {
            "identity": pa.array(identities, pa.int64()),
            "workload": pa.array([number[workloads.ref_of[identity].key] for identity in identities], pa.int32()),
        }
    )
    connection.register("workload_of_rows", table)
    connection.execute("CREATE OR REPLACE TEMP TABLE workload_of AS SELECT * FROM workload_of_rows")
    connection.unregister("workload_of_rows")
    return keys


def _addresses(connection: duckdb.DuckDBPyConnection, table: str) -> dict[int, tuple[list[str], int]]:
    """Return, per edge, its addresses (or covering prefixes) sorted, and how many distinct addresses there are."""
    counts: dict[int, int] = dict(connection.execute(f"SELECT edge, count(*) FROM {table} GROUP BY edge").fetchall())
    found: dict[int, tuple[list[str], int]] = {}
    few = [edge for edge, count in counts.items() if count <= MAX_ADDRESSES]
    for edge, values in _lists(connection, table, "address", few):
        found[edge] = (values, counts[edge])
    many = sorted(counts.keys() - set(few))
    for step in _LADDER:
        if not many:
            break
        last = step is _LADDER[-1]
        rows = connection.execute(
            f"SELECT edge, count(DISTINCT {step}) FROM {table} WHERE edge IN ({_numbers(many)}) GROUP BY edge"
        ).fetchall()
        fit = [edge for edge, count in rows if count <= MAX_ADDRESSES or last]
        for edge, values in _lists(connection, table, step, fit):
            found[edge] = (values, counts[edge])
        many = sorted(set(many) - set(fit))
    return found


def _numbers(edges: list[int]) -> str:
    """Return edge numbers as a list for SQL."""
    return ", ".join(map(str, edges)) or "-1"


def _lists(connection: duckdb.DuckDBPyConnection, table: str, value: str, edges: list[int]) -> list[tuple[int, list[str]]]:
    """Return the distinct values of some edges, sorted."""
    return [
        (edge, sorted(values))
        for edge, values in connection.execute(
            f"SELECT edge, array_agg(DISTINCT {value}) FROM {table} WHERE edge IN ({_numbers(edges)}) AND {value} IS NOT NULL GROUP BY edge"
        ).fetchall()
    ]


def _words(connection: duckdb.DuckDBPyConnection, kind: str) -> dict[int, list[str]]:
    """Return the names or services of each edge, sorted and bounded."""
    rows = connection.execute("SELECT edge, array_agg(word) FROM words WHERE kind = ? GROUP BY edge", [kind]).fetchall()
    return {edge: sorted(words)[:MAX_WORDS] for edge, words in rows}


def _assemble(
    connection: duckdb.DuckDBPyConnection, keys: list[str], addresses: dict[str, dict[int, tuple[list[str], int]]]
) -> pa.Table:
    """Join the pieces of each edge into EDGES rows. Edges are few, so rows are Python values here."""
    services, dns = _words(connection, "service"), _words(connection, "name")
    cursor = connection.execute("SELECT s.*, m.* EXCLUDE (edge) FROM shown s JOIN members m ON m.edge = s.edge ORDER BY s.edge")
    names = [column[0] for column in cursor.description or ()]
    rows: list[dict[str, Any]] = []
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        edge = row["edge"]
        client_addresses, client_distinct = addresses["client"].get(edge, ([], 0))
        server_addresses, server_distinct = addresses["server"].get(edge, ([], 0))
        rows.append(
            {
                **{name: row.get(name) for name in EDGES.names},
                "client_workload": None if row["client"] is None else keys[row["client"]],
                "server_workload": None if row["server"] is None else keys[row["server"]],
                "server_port": row["shown_port"],
                "direction_evidence": _EVIDENCE[row["evidence_rank"]],
                "sources": sorted(row["sources"]),
                "reporters": sorted(row["reporters"] or []),
                "l7": sorted(row["l7"] or []),
                "drop_reasons": sorted(row["drop_reasons"] or []),
                "client_addresses": client_addresses,
                "server_addresses": server_addresses,
                "client_distinct": client_distinct,
                "server_distinct": server_distinct,
                "names": dns.get(edge, []),
                "service_names": services.get(edge, []),
            }
        )
    return pa.Table.from_pylist(rows, schema=EDGES)
