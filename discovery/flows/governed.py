"""The ends at which a policy was seen at work."""

from __future__ import annotations

import duckdb


def governed_ends(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, str, str], ...]:
    """Return (workload key, direction, policy) of the ends at which the last rollup saw a policy at work.

    ``policy`` is ``kind/namespace/name``, or "" when the source names none.
    """
    return tuple(connection.execute("SELECT key, direction, policy FROM governed ORDER BY ALL").fetchall())
