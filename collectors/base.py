"""What all collectors share: the reader of one input, its account and its hand-over of batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.flows.addresses import canonical_address
from discovery.flows.batch import BATCH_ROWS, BatchBuilder, build_batch, has_doubtful, parse_times
from discovery.flows.identity import EndpointInfo
from discovery.flows.sightings import sightings
from discovery.model.capture import Aspect, Sightings
from discovery.model.completeness import MAX_LOCATED, Completeness, Rejected

Sink = Callable[[pa.Table], None]

# Times outside of this range are broken clocks or broken records, never traffic.
_EARLIEST = 0
_LATEST = 4_102_444_800_000_000  # 2100-01-01

# More than any source can lose; sums of several accounts still fit 64 bits.
_MAX_LOST = 1 << 53


@dataclass(slots=True)
class Account:
    """The running account of one input; becomes :class:`Completeness`."""

    label: str
    rows_read: int = 0
    rows_skipped: int = 0
    rows_rejected: int = 0
    events_lost: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    sightings: Sightings | None = None

    def reject(self, line: int, reason: str) -> None:
        """Count a malformed record; locate the first ones by line, in whatever order they are found."""
        self.rows_rejected += 1
        if len(self.rejected) < MAX_LOCATED or line < self.rejected[-1].line:
            insort(self.rejected, Rejected(file=self.label, line=line, reason=reason[:200]))
            del self.rejected[MAX_LOCATED:]

    def lose(self, count: int) -> None:
        """Count events that the source says it lost; a lying source cannot overflow the account."""
        self.events_lost = min(self.events_lost + count, _MAX_LOST)

    def completeness(self) -> Completeness:
        """Return the account as a value."""
        return Completeness(
            rows_read=self.rows_read,
            rows_skipped=self.rows_skipped,
            rows_rejected=self.rows_rejected,
            events_lost=self.events_lost,
            rejected=tuple(self.rejected),
            truncated=tuple(self.truncated),
            sightings=() if self.sightings is None else (self.sightings,),
        )


@dataclass(slots=True)
class SeenWorkload:
    """A workload identity with the interval in which it was seen (microseconds since 1970)."""

    info: EndpointInfo
    first: int
    last: int

    def widen(self, other: SeenWorkload) -> None:
        """Take in another sighting; a reported kind beats an unknown one."""
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        if _knowledge(other.info) > _knowledge(self.info):
            self.info = other.info


def _knowledge(info: EndpointInfo) -> tuple[bool, bool, str]:
    """Order sightings of one identity by how much they tell, independent of the order they came in."""
    return info.name_source == "reported", bool(info.workload_kind), info.workload_kind


class RecordReader(ABC):
    """Reads one input, line by line, into FLOWS batches for a sink.

    Subclasses implement :meth:`read_lines`: they append to ``builder``, one row per record. ``settings`` say, for what
    their source may not show, which setting of its exporter would show it.
    """

    source: str
    settings: ClassVar[Mapping[Aspect, str]] = {}

    def __init__(self, sink: Sink, *, label: str, ingest_id: str, default_cluster: str) -> None:
        """Prepare to read one input. ``label`` is the name under which its records are located."""
        self.sink = sink
        self.account = Account(label)
        self.builder = BatchBuilder(source=self.source, ingest_id=ingest_id, default_cluster=default_cluster)
        self.workloads: dict[int, SeenWorkload] = {}
        self.doubtful = False

    @abstractmethod
    def read_lines(self, lines: Sequence[bytes], first_line: int) -> None:
        """Read records, one per entry; ``first_line`` is the 1-based number of the first."""

    def finish(self) -> None:
        """Hand over the last batch."""
        self.flush()

    def address(self, text: str | None) -> int:
        """Return the memo index of a canonical address; "" and None are "not reported".

        Raises ``ValueError`` when the text is no address.
        """
        memo = self.builder.addresses
        found = memo.index.get(text)
        if found is not None:
            return found
        if not text:
            return memo.add(text, None)
        canonical = canonical_address(text)
        if canonical is None:
            raise ValueError(f"{text[:64]!r} is not an IP address")
        return memo.add(text, canonical)

    def flush(self) -> None:
        """Build the waiting rows into a batch and hand it to the sink."""
        if not len(self.builder):
            return
        times = self._times()
        if times is None:
            self._drop_bad_times()
            times = self._times()
        if times is not None and len(times):
            table = build_batch(self.builder, times)
            self.account.rows_read += table.num_rows
            self.doubtful = self.doubtful or has_doubtful(self.builder)
            self._note_workloads(table)
            seen = sightings(self.builder, len(table) - table["server_port"].null_count)
            self.account.sightings = seen if self.account.sightings is None else self.account.sightings + seen
            self.sink(table)
        self.builder.clear()

    def maybe_flush(self) -> None:
        """Flush when a whole batch waits."""
        if len(self.builder) >= BATCH_ROWS:
            self.flush()

    def _times(self) -> pa.Array | None:
        """Return the waiting times parsed, or None when one of them is no time between 1970 and 2100."""
        parsed = fitting_times(self.builder.times)
        return None if parsed is None else self.builder.all_times(parsed)

    def _drop_bad_times(self) -> None:
        """Reject the rows whose time cannot be parsed or is out of range."""
        bad = {row for row, time in enumerate(self.builder.times) if fitting_times([time]) is None}
        lines = self.builder.packed()["line"]
        for row in sorted(bad):
            self.account.reject(int(lines[row]), f"time {self.builder.times[row]!r} is not a time since 1970")
        _drop_rows(self.builder, bad)

    def _note_workloads(self, table: pa.Table) -> None:
        """Remember each workload identity of a batch with the interval in which it was seen."""
        infos: dict[int, EndpointInfo] = {}
        for info in self.builder.endpoints.values:
            if info.identity is not None and (
                info.identity not in infos or _knowledge(info) > _knowledge(infos[info.identity])
            ):
                infos[info.identity] = info
        times = table["time"].cast(pa.int64()).to_numpy()
        first = np.full(len(self.builder.endpoints.values), np.iinfo(np.int64).max)
        last = np.full(len(first), np.iinfo(np.int64).min)
        for side in ("source", "target"):
            ends = self.builder.packed()[side]
            np.minimum.at(first, ends, times)
            np.maximum.at(last, ends, times)
        for number in np.flatnonzero(first <= last):
            identity = self.builder.endpoints.values[number].identity
            if identity is not None:
                note(self.workloads, SeenWorkload(infos[identity], int(first[number]), int(last[number])))


def fitting_times(times: list[Any] | pa.StringArray) -> pa.Array | None:
    """Return times parsed, or None unless all of them parse and lie between 1970 and 2100."""
    try:
        parsed = parse_times(times)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
        return None
    if parsed.null_count:
        return None
    ends = pc.min_max(parsed.cast(pa.int64())).as_py()
    inside = not len(times) or (ends["min"] >= _EARLIEST and ends["max"] <= _LATEST)
    return parsed if inside else None


def note(workloads: dict[int, SeenWorkload], seen: SeenWorkload) -> None:
    """Merge one sighting into a table of workloads by identity."""
    identity = seen.info.identity
    if identity is None:
        return
    if identity in workloads:
        workloads[identity].widen(seen)
    else:
        workloads[identity] = seen


def _drop_rows(builder: BatchBuilder, bad: set[int]) -> None:
    """Remove rows from every column of a builder. Those of its blocks come last and stay."""
    keep = [row for row in range(len(builder.times)) if row not in bad]
    dense: tuple[list[Any], ...] = (builder.times, builder.uuids)
    for column in dense:
        column[:] = [column[row] for row in keep]
    builder.rows[:] = builder.packed()[keep].tobytes()
    position = {row: new for new, row in enumerate(keep)}
    sparse: tuple[dict[int, Any], ...] = (builder.weights, *builder.sparse.values())
    for by_row in sparse:
        moved = {position[row]: value for row, value in by_row.items() if row in position}
        by_row.clear()
        by_row.update(moved)


def as_count(value: int | str | None) -> int:
    """Return a 64-bit count that protobuf-JSON writes as a string. Raises ``ValueError`` when it is none."""
    number = int(value or 0)
    if not 0 <= number <= np.iinfo(np.int64).max:
        raise ValueError(f"count {value!r} is out of range")
    return number
