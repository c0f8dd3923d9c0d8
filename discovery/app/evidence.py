"""Brings every input into lakes and rolls the lakes up: what the inputs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from discovery.app.capture import profile_of
from discovery.app.ingest import ingest
from discovery.app.inputs import find_inputs
from discovery.app.options import IngestOptions, SuggestOptions
from discovery.flows.edges import read_edges
from discovery.flows.engine import in_engine
from discovery.flows.governed import governed_ends
from discovery.flows.lake import Lake, Snapshot
from discovery.flows.requests import read_names, read_requests
from discovery.flows.rollup import Scan, roll_up
from discovery.flows.workloads import Workloads, read_workloads
from discovery.model.capture import COUNTS, CaptureProfile, Sightings
from discovery.model.completeness import Completeness, Rejected
from discovery.model.edge import Direction, Edge
from discovery.model.inventory import Inventory
from discovery.model.requests import ConnectionKey, Request
from discovery.model.workload import WorkloadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the inputs show."""

    edges: tuple[Edge, ...]
    workloads: Workloads
    completeness: Completeness
    profile: CaptureProfile
    governed: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    inventory: Inventory | None = None
    requests: Mapping[ConnectionKey, tuple[Request | None, ...]] = field(default_factory=dict)
    names: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def gather(inputs: tuple[str, ...], scratch: Path, options: SuggestOptions, *, requests: bool = False) -> Evidence:
    """Bring every input into lakes, then roll the lakes up; ``requests`` asks for what layer 7 shows as well."""
    found = find_inputs(inputs, options.format)
    lakes = [Lake(place, progress=options.progress) for place in found.lakes]
    accounts = found.empty
    raw = [one.path for one in found.raw]
    if raw:
        how = IngestOptions(
            format=options.format, cluster=options.cluster, workers=options.workers, progress=options.progress
        )
        ingest(raw, scratch, how)
        lakes.append(Lake(scratch))
    snapshots = [lake.snapshot(options.since, options.until) for lake in lakes]
    for snapshot in snapshots:
        accounts = accounts + read_accounts(snapshot)
    inventory = _inventory(options)
    workloads = read_workloads([file for snapshot in snapshots for file in snapshot.workloads], inventory)
    flows = tuple(file for snapshot in snapshots for file in snapshot.flows)
    options.progress("rolling up", 0, 1)

    scan = Scan(files=flows, since=options.since, until=options.until, inventory=inventory)

    def rolled(connection: duckdb.DuckDBPyConnection) -> _Rolled:
        table = roll_up(connection, flows, workloads, since=options.since, until=options.until, inventory=inventory)
        made = _Rolled(edges=table)
        if flows:
            made.ends = governed_ends(connection)
        if flows and requests:
            made.requests, made.names = read_requests(connection, scan), read_names(connection, scan)
        return made

    rolled_up = in_engine(rolled, options.memory_limit_mb)
    options.progress("rolling up", 1, 1)
    return Evidence(
        edges=read_edges(rolled_up.edges, workloads),
        workloads=workloads,
        completeness=accounts,
        profile=profile_of(accounts),
        governed=_governed(rolled_up.ends, workloads),
        inventory=inventory,
        requests=rolled_up.requests,
        names=rolled_up.names,
    )


@dataclass(slots=True, kw_only=True)
class _Rolled:
    """What the engine makes of flows."""

    edges: pa.Table
    ends: tuple[tuple[str, str, str], ...] = ()
    requests: dict[ConnectionKey, tuple[Request | None, ...]] = field(default_factory=dict)
    names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def _inventory(options: SuggestOptions) -> Inventory | None:
    """Return what the inventory files show, if any were given; most runs have none and need not load its readers."""
    if not options.inventory:
        return None
    from collectors.inventory import read_inventory

    return read_inventory(options.inventory, options.cluster)


def _governed(ends: tuple[tuple[str, str, str], ...], workloads: Workloads) -> frozenset[tuple[WorkloadRef, Direction]]:
    """Return the directions that a policy governs already, other than one that this tool wrote for the workload."""
    from generators.names import manifest_names

    refs = workloads.by_key
    # The name that the file has beside those of all other workloads; the second is the one that it has alone.
    names = manifest_names(refs.values())
    found = set()
    for key, direction, policy in ends:
        ref = refs[key]
        _, namespace, name = (*policy.split("/", 2), "", "")[:3]
        own = {names[ref], manifest_names([ref])[ref]}
        # Outside of the default tier Calico's names start with the tier; ours have no other dot.
        if namespace != ref.namespace or not own & {name, name.rpartition(".")[2]}:
            found.add((ref, Direction(direction)))
    return frozenset(found)


def read_accounts(snapshot: Snapshot) -> Completeness:
    """Return the joined account of everything a lake holds."""
    account = Completeness()
    for file in snapshot.ingests:
        rows: pa.Table = pq.ParquetFile(file).read()
        for row in rows.to_pylist():
            one = Completeness(
                rows_read=row["rows_read"],
                rows_skipped=row["rows_skipped"],
                rows_rejected=row["rows_rejected"],
                events_lost=row["events_lost"],
                rejected=tuple(_located(text) for text in row["rejected"]),
                truncated=tuple(row["truncated"]),
                masked=tuple(row["masked"]),
                sightings=(Sightings(source=row["format"], **{name: row[f"shows_{name}"] for name in COUNTS}),),
            )
            account = account + one.with_duplicates(row["rows_duplicate"])  # a row counts them as read, too
    return account


def _located(text: str) -> Rejected:
    """Return a located rejection from its text form ``file:line: reason``; a file name may hold colons."""
    place, _, reason = text.partition(": ")
    file, _, line = place.rpartition(":")
    return Rejected(file=file, line=int(line) if line.isdigit() else 0, reason=reason)
