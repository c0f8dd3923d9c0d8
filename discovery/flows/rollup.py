"""The rollup, flows -> edges: runs ``rollup.sql`` and bounds what it returns.

Cardinality is bounded by design: pods are counted, external addresses are listed to ``MAX_ADDRESSES`` and become
prefixes past that, ports of scans collapse. The SQL is portable (ADR 0002); this module only names its inputs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from discovery.flows.engine import parquet
from discovery.flows.resolve import resolved_flows
from discovery.flows.schema import EDGES
from discovery.flows.statements import fill, load_statements
from discovery.flows.workloads import Workloads
from discovery.model.inventory import Inventory

MAX_ADDRESSES = 1_024
MAX_WORDS = 64
COLLAPSE_PORTS = 8

# From a bounding prefix (/24 or /48) to wider ones, as SQL over canonical text.
_WIDE = (
    "CASE WHEN contains(prefix, ':') THEN coalesce(nullif(split_part(prefix, ':', 1), ''), '0') || ':' "
    "|| coalesce(nullif(split_part(prefix, ':', 2), ''), '0') || '::/32' "
    "ELSE split_part(prefix, '.', 1) || '.' || split_part(prefix, '.', 2) || '.0.0/16' END"
)
_WIDEST = (
    "CASE WHEN contains(prefix, ':') THEN coalesce(nullif(split_part(prefix, ':', 1), ''), '0') || '::/16' "
    "ELSE split_part(prefix, '.', 1) || '.0.0.0/8' END"
)

_PER_END = ("pods", "standings", "peers", "levels", "lists", "failed")
# What callers read after the rollup (discovery.flows.governed, and the edges themselves).
_KEPT = frozenset({"edges", "governed"})
_MADE = re.compile(r"CREATE OR REPLACE TEMP TABLE (\w+)")
_READ = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")


def _literal(time: datetime) -> str:
    """Return a UTC timestamp literal."""
    return f"TIMESTAMPTZ '{time.astimezone(UTC).isoformat()}'"


def _where(since: datetime | None, until: datetime | None, alias: str = "") -> str:
    """Return the time filter: since inclusive, until exclusive; ``alias`` is the prefix of the columns."""
    bounds = []
    if since is not None:
        bounds.append(
            f"{alias}time >= {_literal(since)} AND {alias}date >= DATE '{since.astimezone(UTC).date().isoformat()}'"
        )
    if until is not None:
        bounds.append(
            f"{alias}time < {_literal(until)} AND {alias}date <= DATE '{until.astimezone(UTC).date().isoformat()}'"
        )
    return " AND ".join(bounds) or "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The flows of part files in a period. An inventory resolves ends that the source did not."""

    files: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    inventory: Inventory | None = None

    def fields(self, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """Return what stands for the flows in SQL: ``flows``, and the time filters ``where`` and ``where_f`` (on f)."""
        flows = parquet(self.files)
        return {
            "flows": flows if self.inventory is None else resolved_flows(connection, flows, self.inventory),
            "where": _where(self.since, self.until),
            "where_f": _where(self.since, self.until, "f."),
        }


def roll_up(
    connection: duckdb.DuckDBPyConnection,
    flows: tuple[str, ...],
    workloads: Workloads,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    inventory: Inventory | None = None,
) -> pa.Table:
    """Return the EDGES of part files, sorted by their key. No files give no edges.

    An inventory resolves ends that the source did not; ``workloads`` must hold its workloads, too.
    """
    if not flows:
        return EDGES.empty_table()
    _register(connection, workloads)
    scan = Scan(files=flows, since=since, until=until, inventory=inventory)
    fields = scan.fields(connection) | {
        "collapse_ports": str(COLLAPSE_PORTS),
        "max_addresses": str(MAX_ADDRESSES),
        "max_words": str(MAX_WORDS),
        "wide": _WIDE,
        "widest": _WIDEST,
    }
    for text, unused in _plan(fields):
        connection.execute(text)
        for name in unused:
            connection.execute(f"DROP TABLE {name}")
    found = connection.sql("SELECT * FROM edges ORDER BY edge, verdict, establishment, flow_records")
    return _as_edges(found.to_arrow_table())


def _plan(fields: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Return the statements in order, each with the tables that nothing reads after it: they would only take memory."""
    texts = [
        fill(text, {**fields, "end": end})
        for name, text in load_statements("rollup.sql").items()
        for end in (("client", "server") if name in _PER_END else ("",))
    ]
    last = {
        name: number
        for number, text in enumerate(texts)
        for name in (*_MADE.findall(text), *_READ.findall(text))
        if name not in _KEPT
    }
    made = {name for text in texts for name in _MADE.findall(text)}
    return [(text, sorted(name for name in made if last.get(name) == number)) for number, text in enumerate(texts)]


def _register(connection: duckdb.DuckDBPyConnection, workloads: Workloads) -> None:
    """Create ``workload_of`` and ``workload_keys``."""
    keys = sorted({ref.key for ref in workloads.ref_of.values()})
    number = {key: position for position, key in enumerate(keys)}
    identities = sorted(workloads.ref_of)
    tables = {
        "workload_of": pa.table(
            {
                "identity": pa.array(identities, pa.int64()),
                "workload": pa.array([number[workloads.ref_of[identity].key] for identity in identities], pa.int32()),
            }
        ),
        "workload_keys": pa.table(
            {"workload": pa.array(range(len(keys)), pa.int32()), "key": pa.array(keys, pa.string())}
        ),
    }
    for name, table in tables.items():
        connection.register("given_rows", table)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM given_rows")
        connection.unregister("given_rows")


def _as_edges(table: pa.Table) -> pa.Table:
    """Return the engine's rows in the canonical schema; times come as microseconds."""
    return pa.Table.from_arrays([table[field.name].cast(field.type) for field in EDGES], schema=EDGES)
