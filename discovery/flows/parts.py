"""Writes part files: Parquet, zstd, one folder per cluster and date, flushed to disk before anyone hears of them.

A part that no snapshot names is invisible (see :mod:`discovery.flows.lake`), so a crash while writing leaves
nothing but a stray file that the next vacuum removes.
"""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from discovery.flows.schema import FLOWS, PARTITION_COLUMNS

# Measured on 1,000,000 flows: level 1 writes as fast as snappy and 25% smaller (benchmarks/README.md).
COMPRESSION_LEVEL = 1
MAX_OPEN_PARTS = 16
# Columns whose values differ from row to row, and how they are written.
_UNLIKE = {"time": "DELTA_BINARY_PACKED", "uuid": "DELTA_LENGTH_BYTE_ARRAY"}
_FILE_SCHEMA = pa.schema([field for field in FLOWS if field.name not in PARTITION_COLUMNS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One finished part file. ``path`` is relative to the table's folder, with ``/``, as it is on disk."""

    path: str
    partition: tuple[tuple[str, str], ...]
    rows: int
    size: int


def fsync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make a file's content durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def partition_folder(partition: tuple[tuple[str, str], ...]) -> str:
    """Return the Hive-style folder of a partition; hostile values are percent-encoded.

    Underscores too where the value is Hive's own word for null.
    """
    return "/".join(f"{name}={quote(value, safe='').replace('__HIVE', '%5F%5FHIVE')}" for name, value in partition)


@dataclass(slots=True)
class _Open:
    """A part that is being written."""

    path: str
    writer: pq.ParquetWriter
    rows: int = 0


class PartWriter:
    """Writes FLOWS batches of one process into the FLOWS folder of a lake; at most 16 parts are open at once."""

    def __init__(self, folder: Path) -> None:
        """Write below ``folder``, which is created on the first batch."""
        self.folder = folder
        self._open: OrderedDict[tuple[tuple[str, str], ...], _Open] = OrderedDict()
        self._done: list[Part] = []

    def write(self, table: pa.Table) -> None:
        """Write one batch, split by cluster and date."""
        clusters = pc.unique(table["cluster"]).to_pylist()
        days = pc.min_max(table["date"]).as_py()
        if len(clusters) == 1 and days["min"] == days["max"]:
            self._append((("cluster", clusters[0]), ("date", days["min"].isoformat())), table)
            return
        for cluster in sorted(clusters):
            of_cluster = table.filter(pc.equal(table["cluster"], cluster))
            for day in sorted(pc.unique(of_cluster["date"]).to_pylist()):
                rows = of_cluster.filter(pc.equal(of_cluster["date"], pa.scalar(day, pa.date32())))
                self._append((("cluster", cluster), ("date", day.isoformat())), rows)

    def close(self) -> tuple[Part, ...]:
        """Finish all parts, make them durable and return them, sorted by path."""
        while self._open:
            self._finish(next(iter(self._open)))
        return tuple(sorted(self._done, key=lambda part: part.path))

    def _append(self, partition: tuple[tuple[str, str], ...], table: pa.Table) -> None:
        """Append rows to the open part of a partition, opening or re-opening as needed."""
        part = self._open.get(partition)
        if part is None:
            if len(self._open) >= MAX_OPEN_PARTS:
                self._finish(next(iter(self._open)))
            part = self._open[partition] = self._start(partition, table)
        self._open.move_to_end(partition)
        part.writer.write_table(table.drop_columns(list(PARTITION_COLUMNS)), row_group_size=table.num_rows)
        part.rows += table.num_rows

    def _start(self, partition: tuple[tuple[str, str], ...], table: pa.Table) -> _Open:
        """Open a new part file. The Arrow schema is not stored, so every reader sees plain strings."""
        path = f"{partition_folder(partition)}/part-{uuid.uuid4().hex}.parquet"
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(
            target,
            table.drop_columns(list(PARTITION_COLUMNS)).schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            store_schema=False,
            use_dictionary=[name for name in _FILE_SCHEMA.names if name not in _UNLIKE],
            column_encoding=_UNLIKE,
            write_statistics=["time"],
        )
        return _Open(path, writer)

    def _finish(self, partition: tuple[tuple[str, str], ...]) -> None:
        """Close a part and make it and its folder durable."""
        part = self._open.pop(partition)
        part.writer.close()
        target = self.folder / part.path
        fsync_file(target)
        fsync_folder(target.parent)
        self._done.append(Part(path=part.path, partition=partition, rows=part.rows, size=target.stat().st_size))
