"""The embedded engine: bounded, UTC, and gone when it is done."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from discovery.flows.engine import engine, in_engine, parquet
from discovery.model.errors import DiscoveryError


def _setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Return a setting of the engine."""
    found = connection.execute(f"SELECT current_setting('{name}')").fetchone()
    assert found is not None
    return str(found[0])


def test_settings() -> None:
    """Memory and threads are bounded, times are UTC, spill goes to a folder of its own that is removed."""
    with engine(memory_limit_mb=100, threads=1) as connection:
        assert _setting(connection, "TimeZone") == "UTC"
        assert _setting(connection, "threads") == "1"
        assert _setting(connection, "memory_limit") in {"95.3 MiB", "100.0 MB"}
        spill = Path(_setting(connection, "temp_directory"))
        assert spill.is_dir()
    assert not spill.exists()


def test_a_failure_inside_closes_it() -> None:
    """The spill folder goes away and the connection is closed when the work fails."""
    kept: list[tuple[duckdb.DuckDBPyConnection, Path]] = []

    def fail() -> None:
        """Fail while the engine is in use."""
        with engine() as connection:
            kept.append((connection, Path(_setting(connection, "temp_directory"))))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    connection, spill = kept[0]
    assert not spill.exists()
    with pytest.raises(duckdb.Error):
        connection.execute("SELECT 1")


def test_names_are_quoted() -> None:
    """A quote in a file name ends no literal."""
    assert "'a''b'" in parquet(["a'b"])


def test_the_engine_draws_no_progress_of_its_own() -> None:
    """DuckDB's bar would draw over ours on a terminal and fill the output of a notebook."""
    with engine() as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]


def test_work_that_runs_out_of_memory_gets_more() -> None:
    """What the engine cannot spill is tried again with twice the memory, and then said."""
    limits: list[str] = []

    def hungry(connection: duckdb.DuckDBPyConnection) -> int:
        """Run out of memory twice."""
        limits.append(_setting(connection, "memory_limit"))
        if len(limits) < 3:
            raise duckdb.OutOfMemoryException("could not allocate")
        return 7

    assert in_engine(hungry, 100) == 7
    assert limits == ["95.3 MiB", "190.7 MiB", "381.4 MiB"]


def test_work_that_never_has_enough_memory_is_said() -> None:
    """A real query that needs more than four times the limit ends in one error with a hint."""
    with pytest.raises(DiscoveryError, match="out of memory") as failed:
        in_engine(lambda connection: connection.execute("SELECT list(range) FROM range(20_000_000)").fetchall(), 10)
    assert "--since" in str(failed.value.hint)
