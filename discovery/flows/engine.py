"""The embedded engine: one DuckDB connection with bounded memory that spills to a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb


@contextmanager
def engine(memory_limit_mb: int = 128, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an in-memory connection; its temporary folder is removed at the end.

    Times are UTC whatever the machine's zone, and insertion order is not kept (every result is sorted by us).
    """
    with tempfile.TemporaryDirectory(prefix="discovery-spill-") as spill:
        connection = duckdb.connect(":memory:")
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{memory_limit_mb}MB'")
            connection.execute("SET temp_directory = ?", [spill])
            connection.execute("SET preserve_insertion_order = false")
            connection.execute("SET enable_progress_bar = false")  # it would draw over ours, and into a notebook
            if threads is not None:
                connection.execute(f"SET threads = {threads}")
            yield connection
        finally:
            connection.close()


def parquet(files: tuple[str, ...] | list[str], *options: str) -> str:
    """Return the SQL of a scan over part files; file names are quoted, partition columns come from the folders."""
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
    extra = "".join(f", {option}" for option in options)
    return (
        f"read_parquet([{names}], hive_partitioning = true, "
        f"hive_types = {{'cluster': VARCHAR, 'date': DATE}}, union_by_name = false{extra})"
    )
