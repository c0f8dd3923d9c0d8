"""Use case: logs into the lake. Orientation, resolution and duplicate removal happen here, once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from collectors.base import SeenWorkload
from collectors.sources import STDIN, TRUNCATION_ERRORS, hash_content
from discovery.app.inputs import Input, find_inputs
from discovery.app.options import IngestOptions
from discovery.app.reading import Read, read_inputs
from discovery.flows.engine import in_engine
from discovery.flows.lake import Lake
from discovery.flows.schema import INGESTS, WORKLOADS
from discovery.flows.settle import settle
from discovery.model.capture import COUNTS, Sightings
from discovery.model.completeness import Completeness
from discovery.model.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What an ingest did. ``skipped`` are inputs whose content the lake already held."""

    lake: str
    ingest_id: str
    completeness: Completeness
    inputs: tuple[str, ...]
    skipped: tuple[str, ...]
    formats: tuple[str, ...]


def ingest(
    inputs: str | Path | Iterable[str | Path], lake: str | Path, options: IngestOptions | None = None
) -> Ingested:
    """Read flow logs into a lake, which is created where there is none.

    Content that the lake already holds is skipped; records it already holds are dropped. Nothing is visible
    before everything is durable. Raises :class:`InputError` for inputs that cannot be read at all and
    :class:`LakeError` when the lake cannot be written. Malformed records are counted in the result.
    """
    options = options or IngestOptions()
    given = (inputs,) if isinstance(inputs, (str, Path)) else tuple(inputs)
    found = find_inputs(tuple(str(path) for path in given), options.format)
    if found.lakes:
        raise InputError(f"{found.lakes[0]} is a lake already", hint="give its path to suggest, or name raw logs here")
    target = Lake(lake, create=True, progress=options.progress)
    fresh, skipped = _skip_known(found.raw, target)
    ingest_id = uuid.uuid4().hex
    read = read_inputs(fresh, target.folder("flows"), ingest_id, options)
    options.progress("settling", 0, 1)
    committed = target.snapshot().flows
    settled = in_engine(
        lambda connection: settle(connection, target.folder("flows"), read.parts, committed, doubtful=read.doubtful)
    )
    account = found.empty
    for one in read.accounts:
        account = account + one
    account = account.with_duplicates(settled.duplicates)
    target.append_side("workloads", workload_rows(read.workloads.values(), options.cluster, ingest_id), ingest_id)
    target.append_side("ingests", _ingest_rows(fresh, read, settled.duplicates, found.empty, ingest_id), ingest_id)
    target.commit_flows(settled.parts, ingest_id, read.hashes)
    options.progress("settling", 1, 1)
    return Ingested(
        lake=target.name,
        ingest_id=ingest_id,
        completeness=account,
        inputs=tuple(one.label for one in fresh),
        skipped=tuple(one.label for one in skipped),
        formats=tuple(sorted({one.format for one in fresh})),
    )


def _skip_known(raw: tuple[Input, ...], lake: Lake) -> tuple[tuple[Input, ...], tuple[Input, ...]]:
    """Split inputs into new ones and those whose content was ingested before, or is named twice in this run.

    Hashing reads an input once more, so it is done only where a match is possible.
    """
    sizes = [one.size for one in raw]
    check_all = not lake.is_empty
    seen: set[str] = set()
    fresh: list[Input] = []
    skipped: list[Input] = []
    for one in raw:
        if one.path == STDIN or not (check_all or sizes.count(one.size) > 1 or any(other.compressed for other in raw)):
            fresh.append(one)
            continue
        try:
            digest = hash_content(one.path)
        except (*TRUNCATION_ERRORS, OSError, ValueError):  # cut short: reading it will say so, located
            fresh.append(one)
            continue
        known = digest in seen or (check_all and lake.has_content(digest))
        (skipped if known else fresh).append(one)
        seen.add(digest)
    return tuple(fresh), tuple(skipped)


def _time(microseconds: int) -> datetime:
    """Return a UTC time from microseconds since 1970."""
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC)


def workload_rows(workloads: Iterable[SeenWorkload], cluster: str, ingest_id: str) -> pa.Table:
    """Return the rows of WORKLOADS for what a run saw, sorted by identity."""
    rows = [
        {
            "identity": seen.info.identity,
            "cluster": seen.info.cluster or cluster,
            "namespace": seen.info.namespace,
            "kind": seen.info.workload_kind,
            "name": seen.info.workload_name,
            "name_source": seen.info.name_source,
            "labels": list(seen.info.labels),
            "service_account": seen.info.service_account,
            "namespace_labels": list(seen.info.namespace_labels),
            "valid_from": _time(seen.first),
            "valid_to": _time(seen.last),
            "ingest_id": ingest_id,
        }
        for seen in sorted(workloads, key=lambda seen: seen.info.identity or 0)
    ]
    return pa.Table.from_pylist(rows, schema=WORKLOADS)


def _ingest_rows(
    inputs: tuple[Input, ...], read: Read, duplicates: int, empty: Completeness, ingest_id: str
) -> pa.Table:
    """Return the rows of INGESTS: one account per input."""
    rows = []
    for number, (one, account, digest) in enumerate(zip(inputs, read.accounts, read.hashes, strict=True)):
        told = replace(account, rows_duplicate=duplicates) if number == 0 else account
        rows.append(_account_row(told, ingest_id, digest, one.label, one.format))
    if empty.truncated:
        rows.append(_account_row(empty, ingest_id, "", "(empty inputs)", "none"))
    return pa.Table.from_pylist(rows, schema=INGESTS)


def _account_row(account: Completeness, ingest_id: str, digest: str, label: str, found: str) -> dict[str, object]:
    """Return one row of INGESTS."""
    shown = account.sightings[0] if account.sightings else Sightings(source=found)  # one input has one source
    return {
        "ingest_id": ingest_id,
        "content_hash": digest,
        "input": label,
        "format": found,
        "rows_read": account.rows_read,
        "rows_skipped": account.rows_skipped,
        "rows_rejected": account.rows_rejected,
        "rows_duplicate": account.rows_duplicate,
        "events_lost": account.events_lost,
        "rejected": [f"{bad.file}:{bad.line}: {bad.reason}" for bad in account.rejected],
        "truncated": list(account.truncated),
        "masked": list(account.masked),
        **{f"shows_{name}": getattr(shown, name) for name in COUNTS},
    }
