"""The capture profile: what the sources of an input show at all, measured on the rolled-up input itself."""

from __future__ import annotations

import duckdb

from discovery.model.completeness import CaptureProfile, Shows

# What would make a missing thing visible, by source.
_SETTINGS = {
    "replies": "no replies are visible: with Hubble keep trace events (an export filter on policy verdicts hides them)",
    "drops": "no policy drops are visible: none happened, or the export filter leaves them out",
    "both_ends": "connections are reported from one end alone: export from every node",
    "l7": "no layer 7 records: expected unless a policy redirects to the proxy",
    "ports": "some records have no port: check the exporter's field mask and aggregation",
    "labels": "some endpoints carry no labels: check the exporter's field mask",
}


def _shows(part: int, whole: int) -> Shows:
    """Return yes, partly or no."""
    return Shows.NO if part == 0 else Shows.YES if part == whole else Shows.PARTLY


def capture_profile(connection: duckdb.DuckDBPyConnection) -> CaptureProfile:
    """Return the profile of what the connection last rolled up (it reads the cells, not the flows)."""
    row = connection.execute(
        """
        SELECT count(*),
            count(*) FILTER (WHERE establishment IN ('established', 'refused')),
            count(*) FILTER (WHERE verdict = 'denied'),
            count(*) FILTER (WHERE (client_kind <> 'unresolved' AND server_kind <> 'unresolved')
                OR verdict <> 'accepted' OR protocol NOT IN ('TCP', 'UDP', 'SCTP')),
            count(DISTINCT reporter),
            count(*) FILTER (WHERE l7_protocol IS NOT NULL),
            count(*) FILTER (WHERE server_port IS NOT NULL OR icmp_type IS NOT NULL),
            count(*) FILTER (WHERE connections IS NOT NULL)
        FROM cells
        """
    ).fetchone()
    if row is None or not row[0]:
        return CaptureProfile()
    total, replies, drops, labelled, reporters, l7, ports, counted = row
    profile = CaptureProfile(
        replies=_shows(replies, total) if not replies else Shows.YES,
        drops=Shows.YES if drops else Shows.NO,
        labels=_shows(labelled, total),
        both_ends=Shows.YES if reporters > 1 else Shows.NO,
        l7=Shows.PARTLY if l7 else Shows.NO,
        ports=_shows(ports, total),
        connection_counts=_shows(counted, total),
    )
    missing = [
        text
        for name, text in _SETTINGS.items()
        if getattr(profile, name) is Shows.NO
        or (name in ("ports", "labels") and getattr(profile, name) is Shows.PARTLY)
    ]
    return CaptureProfile(
        replies=profile.replies, drops=profile.drops, labels=profile.labels, both_ends=profile.both_ends, l7=profile.l7,
        ports=profile.ports, connection_counts=profile.connection_counts, notes=tuple(missing),
    )  # fmt: skip


def governed_ends(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, str, str], ...]:
    """Return (workload key, direction, policy) of the ends at which the last rollup saw a policy at work.

    ``policy`` is ``kind/namespace/name``, or "" when the source names none.
    """
    return tuple(connection.execute("SELECT key, direction, policy FROM governed ORDER BY ALL").fetchall())
