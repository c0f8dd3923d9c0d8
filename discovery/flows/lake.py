"""The lake: three Delta tables below one folder, with one commit point.

``flows`` holds the records, ``workloads`` the identities they name and ``ingests`` the account of every input.
The side tables are appended first; the commit to ``flows`` then makes everything visible at once: it carries a
Delta application transaction ``run:<ingest id>`` and one ``content:<hash>`` per input, and side rows count only
when their run is among them. A crash at any point therefore leaves the previous snapshot. Delta's log gives
atomic commits (put-if-absent on object stores); ours is the fsync before success is reported (ADR 0001).
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from discovery.flows.parts import Part, fsync_file, fsync_folder
from discovery.flows.schema import PARTITION_COLUMNS, SCHEMA_VERSION, TABLES
from discovery.model.errors import LakeError

LOG_FOLDER = "_delta_log"
_MAIN = "flows"
_SIDE = ("workloads", "ingests")
_PARTITION_MARKS = tuple(f"{name}=" for name in PARTITION_COLUMNS)
_VERSION_KEY = "schemaVersion"
_PARTS_KEY = "parts"
_LOCK = ".commit-lock"
# No automatic checkpoint: the library does not sync it, and a torn one would stop every reader (ADR 0001).
_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent view of the lake: the part files of each table, absolute and sorted."""

    version: int
    flows: tuple[str, ...]
    workloads: tuple[str, ...]
    ingests: tuple[str, ...]


def is_lake(path: str | Path) -> bool:
    """Say whether a folder is a lake."""
    return any((Path(path) / _MAIN / LOG_FOLDER).glob("[0-9]*.json"))


class Lake:
    """A lake in a local folder. Raises :class:`LakeError` with a hint on anything that is not a healthy lake."""

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        """Open a lake, or create an empty one where there is none."""
        self.path = Path(path).absolute()
        misread = [part for part in self.path.parts if "%" in part or part.startswith(_PARTITION_MARKS)]
        if misread:
            raise LakeError(
                f"{path}: no lake can live below {misread[0]!r}, which readers take for an escape or a partition",
                hint="give a path without % and without parts that begin with cluster= or date=",
            )
        for name in TABLES:
            set_torn_commit_aside(self.folder(name))
        if not is_lake(self.path):
            if not create:
                raise LakeError(f"{path} is not a lake", hint="create one with: discover ingest INPUT... -o LAKE")
            self._create()

    def folder(self, table: str) -> Path:
        """Return the folder of a table."""
        return self.path / table

    def _create(self) -> None:
        """Create the tables; flows last, because its log is what makes the folder a lake."""
        try:
            foreign = (
                sorted(child.name for child in self.path.iterdir() if child.name not in TABLES)
                if self.path.exists()
                else []
            )
            if foreign:
                raise LakeError(f"{self.path} holds other things ({foreign[0]})", hint="give a new or an empty folder")
            for name in (*_SIDE, _MAIN):
                self.folder(name).mkdir(parents=True, exist_ok=True)
                create_table_with_add_actions(
                    str(self.folder(name)),
                    Schema.from_arrow(TABLES[name]),
                    [],
                    mode="ignore",
                    partition_by=_partitions(name),
                    name=name,
                    commit_properties=CommitProperties(
                        custom_metadata={_VERSION_KEY: str(SCHEMA_VERSION), _PARTS_KEY: "0"}
                    ),
                )
                _sync_log(self.folder(name), 0, 0)
            fsync_folder(self.path)
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"{self.path}: the lake cannot be created: {error}",
                hint="check the path, its permissions and free space",
            ) from error

    def _table(self, name: str) -> DeltaTable:
        """Open a table."""
        try:
            return DeltaTable(str(self.folder(name)))
        except (TableNotFoundError, DeltaError, OSError) as error:
            raise LakeError(
                f"{self.folder(name)}: {error}", hint="restore the folder, or ingest into a new lake"
            ) from error

    def snapshot(self) -> Snapshot:
        """Return the current snapshot: side rows count only when their run was committed."""
        flows = self._table(_MAIN)
        side = {name: self._side_files(name, flows) for name in _SIDE}
        return Snapshot(version=flows.version(), flows=_files(flows, self.folder(_MAIN)), **side)

    def _side_files(self, name: str, flows: DeltaTable) -> tuple[str, ...]:
        """Return the parts of a side table whose run was committed; each is named after its run."""
        files = _files(self._table(name), self.folder(name))
        return tuple(file for file in files if flows.transaction_version(f"run:{Path(file).stem}") is not None)

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
        with _locked(self.folder(name)):
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
                _sync_log(self.folder(name), before + 1, table.version())
            except (DeltaError, OSError) as error:
                raise LakeError(
                    f"{self.folder(name)}: the commit failed: {error}", hint="run the same command again"
                ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the commit lock of a table: one local committer at a time. The kernel drops it when a process dies."""
    with (folder / _LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _partitions(name: str) -> list[str] | None:
    """Return the partition columns of a table."""
    return list(PARTITION_COLUMNS) if name == _MAIN else None


def _add(part: Part, now: int) -> AddAction:
    """Return the Delta action for a part; the library percent-encodes the path itself."""
    stats = json.dumps({"numRecords": part.rows})
    return AddAction(part.path, part.size, dict(part.partition), now, True, stats)


def _files(table: DeltaTable, folder: Path) -> tuple[str, ...]:
    """Return the absolute paths of a table's parts. Delta percent-encodes the table's own path in them alone."""
    root = table.table_uri.removeprefix("file://")
    return tuple(sorted(str(folder / uri.removeprefix(root)) for uri in table.file_uris()))


def _sync_log(folder: Path, first: int, last: int) -> None:
    """Make log entries durable, others' included: the library links them into place without an fsync, and ours is
    worth nothing after a hole.
    """
    log = folder / LOG_FOLDER
    for version in range(first, last + 1):
        entry = log / f"{version:020d}.json"
        if entry.exists():
            fsync_file(entry)
    fsync_folder(log)
    fsync_folder(folder)


def set_torn_commit_aside(folder: Path) -> None:
    """Rename a last log entry that a power cut left short: it was never reported as committed.

    An entry cut at the end of a line is valid JSON with parts missing, which the library would show as a snapshot;
    every entry of ours says how many parts it adds, so that is noticed too.
    """
    log = folder / LOG_FOLDER
    entries = sorted(log.glob("[0-9]*.json"))
    if not entries or _is_whole(entries[-1]):
        return
    with _locked(folder):
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
