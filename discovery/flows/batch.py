"""Builds canonical FLOWS batches from records, column by column.

Reading is the hot path of the whole project, so this is the one place (ADR 0003) where Python handles
records one by one: a reader appends what each record has of its own, and everything that depends only on a
low-cardinality combination (verdict, node, flags, reply flag ...) is computed once per combination, as a
:class:`Meaning`, and written as a dictionary index. A batch of 32,768 rows is then turned into Arrow at once,
so memory does not grow with the input.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.flows.addresses import bounding_prefix
from discovery.flows.identity import EndpointInfo
from discovery.flows.schema import FLOWS
from discovery.model.workload import EndpointKind

BATCH_ROWS = 32_768
MAX_MEMO = 50_000
DEFAULT_CLUSTER = "default"
# Folders carry the name percent-encoded, three bytes for one, and end at 255 bytes.
MAX_CLUSTER_BYTES = 80

# The numbers of a row, packed: one addition per row instead of an append per column, and an array without a copy per
# number. Ports that a record does not have are -1.
ROW = np.dtype(
    [
        ("line", "<i8"),  # where the record stands in its input
        ("source", "<i4"),  # indexes of ``endpoints.values``
        ("target", "<i4"),
        ("source_ip", "<i4"),  # indexes of ``addresses.values``
        ("target_ip", "<i4"),
        ("source_port", "<i4"),
        ("target_port", "<i4"),
        ("meaning", "<i4"),  # an index of ``meanings.values``
    ]
)
pack_row = struct.Struct("<q7i").pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a record says, apart from its ends and its time. Shared by all records with the same raw fields.

    ``initiator`` is "source", "destination" or "unknown"; ``reporter`` is "client", "server" or None.
    """

    verdict: str
    initiator: str
    direction_evidence: str
    protocol: str | None
    establishment: str | None = None
    reporter: str | None = None
    is_reply: bool | None = None
    drop_reason: str | None = None
    node: str | None = None
    cluster: str | None = None
    observation_point: str | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_flags: int | None = None


_MEANING_TEXT = (
    "verdict", "initiator", "direction_evidence", "protocol", "establishment", "reporter",
    "drop_reason", "node", "observation_point",
)  # fmt: skip
_MEANING_INT = ("icmp_type", "icmp_code", "tcp_flags")

# Columns that few records have: kept as (row, value) pairs until the batch is built.
SPARSE_COLUMNS = (
    "end_time", "client_names", "server_names", "service_address", "service_port", "service_namespace", "service_name",
    "l7_protocol", "l7_type", "http_method", "http_host", "http_path", "http_status", "dns_query", "dns_rcode",
    "dns_answers", "kafka_topic", "egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by",
    "pending_denied_by", "tunnel_protocol", "proxy_port", "connections", "packets_sent", "packets_received",
    "bytes_sent", "bytes_received",
)  # fmt: skip


class Interner:
    """Maps hashable raw values to small indexes into ``values``; cleared between batches when it grows large."""

    __slots__ = ("index", "values")

    def __init__(self) -> None:
        """Start empty."""
        self.index: dict[Any, int] = {}
        self.values: list[Any] = []

    def add(self, raw: Any, value: Any) -> int:
        """Store the value of a raw key and return its index."""
        number = len(self.values)
        self.index[raw] = number
        self.values.append(value)
        return number

    def trim(self) -> None:
        """Forget everything when the memo has grown past its bound. Only between batches."""
        if len(self.values) > MAX_MEMO:
            self.index.clear()
            self.values.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows that a reader read together: parsed times (``timestamp[us, UTC]``), ids and an array of :data:`ROW`."""

    times: pa.Array
    uuids: pa.Array
    rows: np.ndarray[Any, Any]


@dataclass(slots=True)
class BatchBuilder:
    """Accumulates records as raw columns. The lists are public on purpose: the reader's loop appends to them.

    ``times``, ``uuids`` and ``rows`` have one entry per row: RFC 3339 strings or integers (microseconds since 1970),
    the source's own ids, and :data:`ROW` as packed by ``pack_row``, whose indexes point into the memos of endpoints
    (:class:`EndpointInfo`), addresses (canonical text) and meanings. The rows of ``blocks`` come after all of these;
    they have no sparse values.
    """

    source: str
    ingest_id: str
    default_cluster: str = DEFAULT_CLUSTER
    endpoints: Interner = field(default_factory=Interner)
    addresses: Interner = field(default_factory=Interner)
    meanings: Interner = field(default_factory=Interner)
    times: list[Any] = field(default_factory=list)
    uuids: list[str | None] = field(default_factory=list)
    rows: bytearray = field(default_factory=bytearray)
    blocks: list[Block] = field(default_factory=list)
    sparse: dict[str, dict[int, Any]] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    _packed: np.ndarray[Any, Any] | None = None  # what :meth:`packed` returned last

    def __len__(self) -> int:
        """Return how many rows wait."""
        return len(self.times) + sum(len(block.rows) for block in self.blocks)

    def set(self, column: str, row: int, value: Any) -> None:
        """Give a sparse column a value in one row."""
        if column not in self.sparse:
            self.sparse[column] = {}
        self.sparse[column][row] = value

    def packed(self) -> np.ndarray[Any, Any]:
        """Return all rows as an array of :data:`ROW`."""
        if self._packed is None or len(self._packed) != len(self):
            first = np.frombuffer(bytes(self.rows), dtype=ROW)
            self._packed = np.concatenate([first, *(block.rows for block in self.blocks)])
        return self._packed

    def all_times(self, parsed: pa.Array) -> pa.Array:
        """Return the times of all rows; ``parsed`` are ``times``, parsed."""
        return pa.concat_arrays([parsed, *(block.times for block in self.blocks)])

    def all_uuids(self) -> pa.Array:
        """Return the source's own ids of all rows."""
        return pa.concat_arrays([pa.array(self.uuids, type=pa.string()), *(block.uuids for block in self.blocks)])

    def clear(self) -> None:
        """Drop the rows; keep the memos unless they grew too large."""
        for rows in (self.times, self.uuids, self.rows, self.blocks, self.sparse, self.weights):
            rows.clear()
        self._packed = None
        for memo in (self.endpoints, self.addresses, self.meanings):
            memo.trim()


def _dictionary(
    indexes: np.ndarray[Any, Any], values: list[Any], kind: pa.DataType = pa.string()
) -> pa.DictionaryArray:
    """Return a dictionary array; a value that is None becomes null."""
    return pa.array(values, type=kind).dictionary_encode().take(pa.array(indexes))


def _taken(indexes: np.ndarray[Any, Any], values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return an array taken from few values; None becomes null."""
    return pa.array(values, type=kind).take(pa.array(indexes))


def parse_times(times: list[Any] | pa.StringArray) -> pa.Array:
    """Return ``timestamp[us, UTC]`` from RFC 3339 strings or integer microseconds.

    Raises ``pa.ArrowInvalid`` when one of them is not a time; the caller then looks for the culprit.
    """
    if isinstance(times, pa.Array):
        texts = times
    elif times and isinstance(times[0], int):
        return pa.array(times, type=pa.int64()).cast(FLOWS.field("time").type)
    else:
        texts = pa.array(times, type=pa.string())
    exact = pc.cast(texts, pa.timestamp("ns", tz="UTC"))
    return pc.cast(exact, FLOWS.field("time").type, safe=False)


def _sparse(builder: BatchBuilder, name: str, count: int) -> pa.Array:
    """Return a sparse column as an Arrow array of the schema's type."""
    kind = FLOWS.field(name).type
    given = builder.sparse.get(name)
    if not given:
        return pa.nulls(count, kind)
    values: list[Any] = [None] * count
    for row, value in given.items():
        values[row] = value
    return pa.array(values, type=kind)


def _ends(builder: BatchBuilder, rows: np.ndarray[Any, Any], swap: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
    """Return the columns of both ends, after orientation."""
    infos: list[EndpointInfo] = builder.endpoints.values
    texts: list[str | None] = builder.addresses.values
    kinds = [info.kind.value for info in infos]
    external = np.array([info.kind is EndpointKind.EXTERNAL for info in infos] or [False])
    columns: dict[str, pa.Array] = {}
    for side, first, second in (("client", "source", "target"), ("server", "target", "source")):
        ends = np.where(swap, rows[second], rows[first])
        ips = np.where(swap, rows[f"{second}_ip"], rows[f"{first}_ip"])
        ports = np.where(swap, rows[f"{second}_port"], rows[f"{first}_port"])
        columns[f"{side}_address"] = _dictionary(ips, texts)
        columns[f"{side}_port"] = pa.array(ports, type=pa.int32(), mask=ports < 0)
        columns[f"{side}_kind"] = _dictionary(ends, kinds)
        columns[f"{side}_identity"] = _taken(ends, [info.identity for info in infos], pa.int64())
        columns[f"{side}_pod"] = _dictionary(ends, [info.pod for info in infos])
        columns[f"{side}_prefix"] = _prefixes(ips, texts, external[ends])
    return columns


def _prefixes(ips: np.ndarray[Any, Any], texts: list[str | None], external: np.ndarray[Any, Any]) -> pa.Array:
    """Return the bounding prefixes of the external addresses, null elsewhere."""
    if not external.any():
        return _dictionary(np.zeros(len(ips), dtype=np.int32), [None])
    used = set(ips[external].tolist())
    prefixes = [bounding_prefix(text) if text and row in used else None for row, text in enumerate(texts)]
    nowhere = len(prefixes)
    return _dictionary(np.where(external, ips, nowhere), [*prefixes, None])


def _cluster_name(name: str) -> str:
    """Return the name of a cluster, or a short stand-in for one that no folder could carry."""
    raw = name.encode()
    if len(raw) <= MAX_CLUSTER_BYTES:
        return name
    return f"{raw[:32].decode(errors='ignore')}-{hashlib.blake2b(raw, digest_size=8).hexdigest()}"


def _clusters(builder: BatchBuilder, rows: np.ndarray[Any, Any], swap: np.ndarray[Any, Any]) -> pa.DictionaryArray:
    """Return the cluster per row: the record's own, else the client's, else the server's, else the default.

    Nothing but the row decides: a row must not change its cluster with the batch that it happens to be in.
    """
    unique: dict[str, int] = {builder.default_cluster: 0}

    def codes(holders: list[Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
        found = np.full(max(len(holders), 1), -1, dtype=np.int32)
        for position, holder in enumerate(holders):
            if holder.cluster:
                found[position] = unique.setdefault(_cluster_name(holder.cluster), len(unique))
        return found

    of_end = codes(builder.endpoints.values)
    source, target = of_end[rows["source"]], of_end[rows["target"]]
    client, server = np.where(swap, target, source), np.where(swap, source, target)
    own = codes(builder.meanings.values)[rows["meaning"]]
    found = np.where(own >= 0, own, np.where(client >= 0, client, np.maximum(server, 0)))
    return pa.DictionaryArray.from_arrays(pa.array(found), pa.array(list(unique), type=pa.string()))


def build_batch(builder: BatchBuilder, times: pa.Array | None = None) -> pa.Table:
    """Return the waiting rows as one FLOWS table (low-cardinality columns dictionary-coded) and keep the builder.

    ``times`` are those of all rows if they are parsed already. Raises ``pa.ArrowInvalid`` when a time cannot be.
    """
    count = len(builder)
    meanings: list[Meaning] = builder.meanings.values
    rows = builder.packed()
    codes = rows["meaning"]
    swap = np.array([meaning.initiator == "destination" for meaning in meanings] or [False])[codes]
    columns: dict[str, Any] = {"time": builder.all_times(parse_times(builder.times)) if times is None else times}
    columns["source"] = _dictionary(np.zeros(count, dtype=np.int32), [builder.source])
    columns["uuid"] = builder.all_uuids()
    for name in _MEANING_TEXT:
        columns[name] = _dictionary(codes, [getattr(meaning, name) for meaning in meanings])
    for name in _MEANING_INT:
        columns[name] = _taken(codes, [getattr(meaning, name) for meaning in meanings], pa.int32())
    columns["is_reply"] = _taken(codes, [meaning.is_reply for meaning in meanings], pa.bool_())
    columns.update(_ends(builder, rows, swap))
    for name in SPARSE_COLUMNS:
        columns[name] = _sparse(builder, name, count)
    weights = np.ones(count, dtype=np.int64)
    for row, weight in builder.weights.items():
        weights[row] = weight
    columns["flow_records"] = pa.array(weights)
    columns["ingest_id"] = _dictionary(np.zeros(count, dtype=np.int32), [builder.ingest_id])
    columns["cluster"] = _clusters(builder, rows, swap)
    columns["date"] = columns["time"].cast(pa.date32())
    return pa.table({name: columns[name] for name in FLOWS.names})


def has_doubtful(builder: BatchBuilder) -> bool:
    """Say whether any waiting row's direction is unknown, or a flag that a handshake elsewhere could contradict."""
    doubtful = [
        meaning.initiator == "unknown" or (meaning.direction_evidence == "flag" and meaning.protocol == "TCP")
        for meaning in builder.meanings.values
    ]
    return bool(np.array(doubtful or [False])[builder.packed()["meaning"]].any())
