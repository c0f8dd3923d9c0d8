"""The embedded engine: one DuckDB connection with bounded memory that spills to a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import duckdb

from discovery.model.errors import DiscoveryError

# Measured: 1 million flows never need more than 128, and 50 million sometimes do; ``in_engine`` then gives more.
MEMORY_LIMIT_MB = 192
_ATTEMPTS = 3
_T = TypeVar("_T")


def in_engine(work: Callable[[duckdb.DuckDBPyConnection], _T], memory_limit_mb: int = MEMORY_LIMIT_MB) -> _T:
    """Return what ``work`` makes of a connection; it is called again with twice the memory when it runs out of it.

    The engine spills what it can, but not everything: how much it needs cannot be known before. Raises
    :class:`DiscoveryError` when four times the limit is not enough.
    """
    for attempt in range(_ATTEMPTS):
        limit = memory_limit_mb << attempt
        try:
            with engine(limit) as connection:
                return work(connection)
        except duckdb.OutOfMemoryException as error:
            if attempt + 1 == _ATTEMPTS:
                raise DiscoveryError(
                    f"the engine ran out of memory at {limit} MB: {str(error).splitlines()[0]}",
                    hint="use fewer days at once with --since and --until",
                ) from error
    raise AssertionError("not reached: the last attempt returns or raises")


@contextmanager
def engine(memory_limit_mb: int = MEMORY_LIMIT_MB, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
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
