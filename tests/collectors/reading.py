"""How collector tests read: lines in, canonical rows and the account out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from collectors.base import RecordReader, SeenWorkload
from discovery.flows.schema import FLOWS
from discovery.model.completeness import Completeness


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one reader made of its lines. ``rows`` hold the columns that are not null."""

    rows: list[dict[str, Any]]
    completeness: Completeness
    workloads: list[SeenWorkload]

    @property
    def reasons(self) -> list[str]:
        """Return where and why records were rejected."""
        return [f"{rejected.line}: {rejected.reason}" for rejected in self.completeness.rejected]


def read(
    reader_class: type[RecordReader], *records: bytes | dict[str, Any] | Sequence[Any], first_line: int = 1
) -> Read:
    """Read records (bytes as they are, anything else as JSON) as consecutive lines of one input."""
    tables: list[pa.Table] = []
    reader = reader_class(tables.append, label="input", ingest_id="run", default_cluster="default")
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    reader.read_lines(lines, first_line)
    reader.finish()
    rows = [row for table in tables for row in table.select(FLOWS.names).to_pylist()]
    return Read(
        rows=[{name: value for name, value in row.items() if value is not None} for row in rows],
        completeness=reader.account.completeness(),
        workloads=sorted(reader.workloads.values(), key=lambda seen: str(seen.info)),
    )
