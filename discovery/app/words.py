"""Small sentences about results, for errors, summaries and the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from discovery.model.completeness import Completeness

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def counted(count: int, what: str, plural: str | None = None) -> str:
    """Return ``1 file`` or ``1,234 files``."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def describe_incomplete(account: Completeness) -> str:
    """Return in words what an input lacks, with the first place."""
    told = []
    if account.rows_rejected:
        first = account.rejected[0] if account.rejected else None
        where = f" (first: {first.file}:{first.line}: {first.reason})" if first else ""
        told.append(counted(account.rows_rejected, "malformed record") + where)
    if account.events_lost:
        told.append(f"the source lost {counted(account.events_lost, 'event')}")
    told += [*account.truncated, *account.masked]
    return "; ".join(told)


def duration(microseconds: int) -> str:
    """Return a span of time in the unit that a person would use."""
    seconds = microseconds / 1e6
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def moment(microseconds: int) -> str:
    """Return a UTC time."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")
