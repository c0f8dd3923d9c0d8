"""The lake: three Delta tables below one folder, with one commit point.

``flows`` holds the records, ``workloads`` the identities they name and ``ingests`` the account of every input.
The side tables are appended first; the commit to ``flows`` then makes everything visible at once: it carries a
Delta application transaction ``run:<ingest id>`` and one ``content:<hash>`` per input, and side rows count only
when their run is among them. A crash at any point therefore leaves the previous snapshot. Delta's log gives
atomic commits (put-if-absent on object stores); ours is the fsync before success is reported (ADR 0001).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from discovery.flows.parts import Part, fsync_file, fsync_folder
from discovery.flows.schema import PARTITION_COLUMNS, SCHEMA_VERSION, TABLES
from discovery.flows.storage import LOG_FOLDER, LocalStorage, Progress, is_address, plain_message, storage_at
from discovery.model.errors import LakeError

_MAIN = "flows"
_SIDE = ("workloads", "ingests")
_VERSION_KEY = "schemaVersion"
_PARTS_KEY = "parts"
# No automatic checkpoint: the library does not sync it, and a torn one would stop every reader (ADR 0001).
_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def _no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent view of the lake: the local part files of each table, absolute and sorted."""

    version: int
    flows: tuple[str, ...]
    workloads: tuple[str, ...]
    ingests: tuple[str, ...]


def is_lake(place: str | Path) -> bool:
    """Say whether a lake is at a path or an address. Raises :class:`LakeError` when an object store does not answer."""
    if is_address(place):
        return storage_at(place).exists()
    return any((Path(place) / _MAIN / LOG_FOLDER).glob("[0-9]*.json"))


class Lake:
    """A lake in a local folder or an object store (:mod:`discovery.flows.storage`).

    Raises :class:`LakeError` with a hint on anything that is not a healthy lake.
    """

    def __init__(self, place: str | Path, *, create: bool = False, progress: Progress = _no_progress) -> None:
        """Open a lake, or create an empty one where there is none."""
        self._storage = storage_at(place)
        self._progress = progress
        if not is_address(place):
            for name in TABLES:
                set_torn_commit_aside(self.folder(name))
        if not self._storage.exists():
            if not create:
                raise LakeError(f"{place} is not a lake", hint="create one with: discover ingest INPUT... -o LAKE")
            self._create()

    @property
    def name(self) -> str:
        """Return the absolute path or the address of the lake."""
        return self._storage.name

    def folder(self, table: str) -> Path:
        """Return the local folder of a table's parts: new ones are written there, committed ones read from it."""
        return self._storage.folder(table)

    def _create(self) -> None:
        """Create the tables; flows last, because its log is what makes the place a lake."""
        try:
            self._storage.create()
            for name in (*_SIDE, _MAIN):
                create_table_with_add_actions(
                    self._storage.uri(name),
                    Schema.from_arrow(TABLES[name]),
                    [],
                    mode="ignore",
                    partition_by=_partitions(name),
                    name=name,
                    commit_properties=CommitProperties(
                        custom_metadata={_VERSION_KEY: str(SCHEMA_VERSION), _PARTS_KEY: "0"}
                    ),
                    storage_options=self._storage.options(),
                )
                self._storage.sync_log(name, 0, 0)
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"{self.name}: the lake cannot be created: {plain_message(error)}",
                hint="check the path or address, its permissions and free space",
            ) from error

    def _table(self, name: str) -> DeltaTable:
        """Open a table."""
        try:
            return DeltaTable(self._storage.uri(name), storage_options=self._storage.options())
        except (TableNotFoundError, DeltaError, OSError) as error:
            raise LakeError(
                f"{self._storage.uri(name)}: {plain_message(error)}", hint="restore it, or ingest into a new lake"
            ) from error

    def snapshot(self, since: datetime | None = None, until: datetime | None = None) -> Snapshot:
        """Return the current snapshot: side rows count only when their run was committed.

        With ``since`` or ``until`` only the days between them are in it. Parts of an object store are fetched.
        """
        flows = self._table(_MAIN)
        days = [path for path in _paths(flows) if _overlaps(path, since, until)]
        side = {
            name: self._local(name, [path for path in _paths(self._table(name)) if _committed(path, flows)])
            for name in _SIDE
        }
        return Snapshot(version=flows.version(), flows=self._local(_MAIN, days), **side)

    def _local(self, table: str, paths: list[str]) -> tuple[str, ...]:
        """Return committed parts as local files, sorted."""
        self._storage.fetch(table, paths, self._progress)
        folder = self.folder(table)
        return tuple(sorted(str(folder / path) for path in paths))

    def has_content(self, content_hash: str) -> bool:
        """Say whether an input with this content was committed before."""
        return self._table(_MAIN).transaction_version(f"content:{content_hash}") is not None

    @property
    def is_empty(self) -> bool:
        """Say whether no run was ever committed."""
        return self._table(_MAIN).version() == 0

    def append_side(self, name: str, rows: pa.Table, ingest_id: str) -> None:
        """Append rows to a side table; they count once the run is committed."""
        target = self.folder(name) / f"{ingest_id}.parquet"
        pq.write_table(rows, target, compression="zstd", store_schema=False)
        fsync_file(target)
        fsync_folder(target.parent)
        part = Part(path=target.name, partition=(), rows=rows.num_rows, size=target.stat().st_size)
        self._commit(name, [part], ())

    def commit_flows(self, parts: Iterable[Part], ingest_id: str, content_hashes: Iterable[str]) -> None:
        """Make a run visible, with the content hashes of its inputs, atomically.

        Raises :class:`LakeError` when another run committed one of the inputs in the meantime.
        """
        hashes = sorted(set(content_hashes))
        self._commit(_MAIN, list(parts), (f"run:{ingest_id}", *(f"content:{digest}" for digest in hashes)))

    def _commit(self, name: str, parts: list[Part], transactions: tuple[str, ...]) -> None:
        """Commit one Delta transaction and make its log entry durable before returning."""
        now = int(time.time() * 1000)
        self._storage.publish(name, parts)
        with self._storage.locked(name):
            table = self._table(name)
            before = table.version()
            for app_id in transactions:  # on the handle that commits: only then does a concurrent commit conflict
                if table.transaction_version(app_id) is not None:
                    raise LakeError(
                        f"{app_id} was committed by another run",
                        hint="run the same command again: it skips what is there",
                    )
            try:
                table.create_write_transaction(
                    [_add(part, now) for part in parts],
                    mode="append",
                    schema=Schema.from_arrow(TABLES[name]),
                    partition_by=_partitions(name),
                    commit_properties=CommitProperties(
                        custom_metadata={_VERSION_KEY: str(SCHEMA_VERSION), _PARTS_KEY: str(len(parts))},
                        app_transactions=[Transaction(app_id, 1) for app_id in transactions],
                    ),
                    post_commithook_properties=_HOOKS,
                )
                table.update_incremental()
                self._storage.sync_log(name, before + 1, table.version())
            except (DeltaError, OSError) as error:
                raise LakeError(
                    f"{self._storage.uri(name)}: the commit failed: {plain_message(error)}",
                    hint="run the same command again",
                ) from error


def _partitions(name: str) -> list[str] | None:
    """Return the partition columns of a table."""
    return list(PARTITION_COLUMNS) if name == _MAIN else None


def _add(part: Part, now: int) -> AddAction:
    """Return the Delta action for a part; the library percent-encodes the path itself."""
    stats = json.dumps({"numRecords": part.rows})
    return AddAction(part.path, part.size, dict(part.partition), now, True, stats)


def _paths(table: DeltaTable) -> list[str]:
    """Return the paths of a table's parts, relative to it. Delta percent-encodes the table's own path in them alone."""
    root = table.table_uri.removeprefix("file://")
    return [uri.removeprefix("file://").removeprefix(root).lstrip("/") for uri in table.file_uris()]


def _committed(path: str, flows: DeltaTable) -> bool:
    """Say whether the run of a side table's part was committed; the part is named after it."""
    return flows.transaction_version(f"run:{PurePosixPath(path).stem}") is not None


def _overlaps(path: str, since: datetime | None, until: datetime | None) -> bool:
    """Say whether a part's day lies between two times, as the rollup's own filter does."""
    day = next((piece.removeprefix("date=") for piece in path.split("/") if piece.startswith("date=")), None)
    if day is None:
        return True
    first = since.astimezone(UTC).date().isoformat() if since else ""
    last = until.astimezone(UTC).date().isoformat() if until else "9999"
    return first <= day <= last


def set_torn_commit_aside(folder: Path) -> None:
    """Rename a last log entry that a power cut left short: it was never reported as committed.

    An entry cut at the end of a line is valid JSON with parts missing, which the library would show as a snapshot;
    every entry of ours says how many parts it adds, so that is noticed too.
    """
    log = folder / LOG_FOLDER
    entries = sorted(log.glob("[0-9]*.json"))
    if not entries or _is_whole(entries[-1]):
        return
    with LocalStorage(folder.parent).locked(folder.name):
        if not _is_whole(entries[-1]):  # it may have been a commit in progress
            entries[-1].rename(log / f"torn-{entries[-1].name}")
            fsync_folder(log)


def _is_whole(entry: Path) -> bool:
    """Say whether a log entry holds every action that it announces."""
    try:
        actions = [json.loads(line) for line in entry.read_bytes().splitlines()]
    except ValueError:
        return False
    told = next((action["commitInfo"] for action in actions if "commitInfo" in action), None)
    if told is None:
        return False
    announced = told.get(_PARTS_KEY)
    return announced is None or int(announced) == sum("add" in action for action in actions)
