"""Settles what single records cannot tell: who opened a connection, and which records were seen before.

Runs once per ingest, set-based, over the new parts (and what the lake already holds beside them), before
anything is committed. Only parts that need a change are rewritten.

Direction, strongest first (rule 1: evidence or UNKNOWN; a port's number is never evidence):

1. another record of the same connection knows (a handshake, or the source's own flag);
2. exactly one end is a known listener: a handshake or flag elsewhere proved that it serves this port;
3. one local port against at least ``INFER_PORTS`` distinct remote ports at two or more peers: ``inferred``, which is
   learned only on request.

A source's flag that contradicts handshakes (its "client" listens, its "server" does not) is turned round.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from discovery.flows.engine import parquet
from discovery.flows.parts import COMPRESSION_LEVEL, Part, fsync_file, fsync_folder
from discovery.flows.statements import fill, load_statements

INFER_PORTS = 10
INFER_PEERS = 2
_SYN, _RST, _ACK = 2, 4, 16  # bits of FLOWS.tcp_flags

_PORTED = "protocol IN ('TCP', 'UDP', 'SCTP') AND client_port IS NOT NULL AND server_port IS NOT NULL"


def _as_reported(*whats: str) -> str:
    """Return the columns of both ends as the source reported them, whichever way they were turned since."""
    return ", ".join(
        f"CASE WHEN initiator = 'destination' THEN {first}_{what} ELSE {second}_{what} END"
        for what in whats
        for first, second in (("server", "client"), ("client", "server"))
    )


# The whole identity of a record, inside one partition (cluster and date).
_IDENTITY = (
    f"time, node, observation_point, uuid, protocol, {_as_reported('address', 'port', 'identity', 'kind', 'pod')}, "
    "verdict, reporter, is_reply, tcp_flags, icmp_type, icmp_code, l7_type, l7_protocol, dns_query, http_method, "
    "http_path, end_time, source, connections, packets_sent, bytes_sent, service_name"
)
_QUICK = f"time, uuid, {_as_reported('address', 'port')}, node, observation_point"


@dataclass(slots=True)
class _Patch:
    """What to change in one part: rows to drop, and rows with a new ``(initiator, evidence)``."""

    drop: list[int] = field(default_factory=list)
    turn: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The parts after settling, and how many duplicate records were dropped."""

    parts: tuple[Part, ...]
    duplicates: int


def settle(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    parts: tuple[Part, ...],
    committed: tuple[str, ...],
    *,
    doubtful: bool = True,
) -> Settled:
    """Orient doubtful records, drop duplicates, rewrite the parts that change; returns the new list of parts.

    ``doubtful`` False says that every record tells its direction by itself.
    """
    if not parts:
        return Settled(parts=parts, duplicates=0)
    files = {str(folder / part.path): part for part in parts}
    patches: dict[str, _Patch] = {}
    if doubtful:
        _orient(connection, tuple(files), committed, patches)
    for partition in sorted({part.partition for part in parts}):
        new = tuple(sorted(name for name, part in files.items() if part.partition == partition))
        folder_of = str((folder / files[new[0]].path).parent)
        old = tuple(name for name in committed if str(Path(name).parent) == folder_of)
        _find_duplicates(connection, new, old, patches)
    settled = [_rewrite(Path(name), part, patches[name]) if name in patches else part for name, part in files.items()]
    kept = tuple(sorted((part for part in settled if part.rows), key=lambda part: part.path))
    return Settled(parts=kept, duplicates=sum(len(patch.drop) for patch in patches.values()))


def _orient(
    connection: duckdb.DuckDBPyConnection,
    new: tuple[str, ...],
    committed: tuple[str, ...],
    patches: dict[str, _Patch],
) -> None:
    """Decide the direction of records that do not tell it themselves."""
    fields = {
        "new": parquet(new, "filename = true", "file_row_number = true"),
        "known": parquet([*new, *committed]),
        "ported": _PORTED,
        "infer_ports": str(INFER_PORTS),
        "infer_peers": str(INFER_PEERS),
    }
    texts = load_statements("settle.sql")
    for name in ("listeners", "doubtful"):
        connection.execute(fill(texts[name], fields))
    if not _count(connection, "doubtful"):
        return
    for name in ("connections", "spread", "decisions"):
        connection.execute(fill(texts[name], fields))
    decided = connection.execute(
        "SELECT DISTINCT filename, row, turned, evidence FROM decisions WHERE turned IS NOT NULL"
    )
    for name, row, turned, evidence in decided.fetchall():
        patches.setdefault(name, _Patch()).turn[row] = (turned, evidence)


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return how many rows a table has."""
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


def _find_duplicates(
    connection: duckdb.DuckDBPyConnection,
    new: tuple[str, ...],
    old: tuple[str, ...],
    patches: dict[str, _Patch],
) -> None:
    """Mark records of the new parts that repeat another record of the partition, keeping the first."""
    fields = {
        "both": parquet([*old, *new]),
        "both_rows": parquet([*old, *new], "filename = true", "file_row_number = true"),
        "quick": _QUICK,
        "identity": _IDENTITY,
        "committed": ", ".join("'" + name.replace("'", "''") + "'" for name in old) or "''",
    }
    texts = load_statements("settle.sql")
    connection.execute(fill(texts["suspects"], fields))
    if not _count(connection, "suspects"):
        return
    connection.execute(fill(texts["repeats"], fields))
    for name, row in connection.execute("SELECT filename, row FROM repeats").fetchall():
        patches.setdefault(name, _Patch()).drop.append(row)


_SIDES = [
    (f"client_{what}", f"server_{what}") for what in ("address", "port", "kind", "identity", "pod", "prefix", "names")
]


def _shown(initiator: str, flags: int | None) -> str | None:
    """Return what a delivered record shows of establishment, now that its direction is known: an answer proves it,
    unless it is a reset; so does a TCP packet with ACK from the initiator.
    """
    if initiator == "destination":
        return "refused" if flags is not None and flags & _RST and not flags & _SYN else "established"
    return "established" if flags is not None and flags & _ACK and not flags & _RST else None


def _turn(table: pa.Table, first_row: int, patch: _Patch) -> pa.Table:
    """Apply new directions to one row group."""
    rows = {row - first_row: turn for row, turn in patch.turn.items() if first_row <= row < first_row + table.num_rows}
    if not rows:
        return table
    columns = {name: table[name].to_pylist() for name in ("initiator", "direction_evidence", "establishment")}
    flags, verdicts = table["tcp_flags"].to_pylist(), table["verdict"].to_pylist()
    swap = np.zeros(table.num_rows, dtype=bool)
    for row, (initiator, evidence) in rows.items():
        # Columns hold the reading of the old initiator: they swap when source and destination trade places.
        swap[row] = (columns["initiator"][row] == "destination") != (initiator == "destination")
        columns["initiator"][row], columns["direction_evidence"][row] = initiator, evidence
        if columns["establishment"][row] is None and verdicts[row] in ("accepted", "audit"):
            columns["establishment"][row] = _shown(initiator, flags[row])
    mask = pa.array(swap)
    for client, server in _SIDES:
        first, second = table[client], table[server]
        table = table.set_column(table.schema.get_field_index(client), client, pc.if_else(mask, second, first))
        table = table.set_column(table.schema.get_field_index(server), server, pc.if_else(mask, first, second))
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, type=pa.string()))
    return table


def _rewrite(path: Path, part: Part, patch: _Patch) -> Part:
    """Write a part again with its patch, beside the old one, and take its place."""
    target = path.with_name(f"{path.stem}-settled.parquet")
    source = pq.ParquetFile(path)
    dropped = np.array(sorted(patch.drop), dtype=np.int64)
    rows = 0
    first = 0
    with pq.ParquetWriter(
        target,
        source.schema_arrow,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        store_schema=False,
        write_statistics=["time"],
    ) as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            count = table.num_rows
            table = _turn(table, first, patch)
            inside = dropped[(dropped >= first) & (dropped < first + count)] - first
            if len(inside):
                keep = np.ones(count, dtype=bool)
                keep[inside] = False
                table = table.filter(pa.array(keep))
            if table.num_rows:
                writer.write_table(table.cast(source.schema_arrow))
            rows += table.num_rows
            first += count
    path.unlink()
    fsync_file(target)
    fsync_folder(target.parent)
    relative = str(Path(part.path).with_name(target.name))
    return replace(part, path=relative, rows=rows, size=target.stat().st_size)
