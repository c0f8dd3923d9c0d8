"""Where a lake lives: a local folder, or an object store with a local copy of its parts.

Everything that reads or writes parts works on local files. Parts never change once written, so the copy of one in an
object store is fetched once and never goes stale; new parts are written into the copy and sent up before the commit.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from discovery.flows.parts import Part, fsync_file, fsync_folder
from discovery.flows.schema import PARTITION_COLUMNS, TABLES
from discovery.model.errors import LakeError

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")

LOG_FOLDER = "_delta_log"
SCHEMES = ("s3", "gs", "az", "abfss")
CACHE_VARIABLE = "DISCOVERY_CACHE_DIR"
# An address or a key that is wrong should end in a message, not in three minutes of silence.
RETRY_OPTIONS = {"max_retries": "3", "retry_timeout": "30s", "connect_timeout": "5s"}
_DOWNLOADS = 8
_LOCK = ".commit-lock"
_PARTITION_MARKS = tuple(f"{name}=" for name in PARTITION_COLUMNS)
_HINT = "check the address and the credentials: the AWS_*, GOOGLE_* or AZURE_* variables of the environment"


class Storage(Protocol):
    """What a lake needs of the place where it lives. Paths of parts are relative to their table, with ``/``."""

    name: str

    def uri(self, table: str) -> str:
        """Return the address of a table for the Delta library."""

    def folder(self, table: str) -> Path:
        """Return the local folder in which the parts of a table are written and read."""

    def exists(self) -> bool:
        """Say whether a lake is there."""

    def create(self) -> None:
        """Make the place ready for a new lake."""

    def publish(self, table: str, parts: Iterable[Part]) -> None:
        """Make parts durable at their home, before the commit that names them."""

    def fetch(self, table: str, paths: Iterable[str], progress: Progress) -> None:
        """Make committed parts readable in the table's local folder."""

    def locked(self, table: str) -> AbstractContextManager[None]:
        """Hold off other committers of this machine, where the place needs it."""

    def sync_log(self, table: str, first: int, last: int) -> None:
        """Make log entries durable."""

    def options(self) -> dict[str, str] | None:
        """Return options for the Delta library."""


def is_address(text: str | Path) -> bool:
    """Say whether a text is the address of something in an object store and not a path."""
    return isinstance(text, str) and bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text))


def storage_at(place: str | Path) -> Storage:
    """Return the storage at a path or an address. Raises :class:`LakeError` where no lake can live."""
    return ObjectStorage(str(place)) if is_address(place) else LocalStorage(Path(place))


class LocalStorage:
    """A local folder. Its log entries are synced by us: the Delta library does not (ADR 0001)."""

    def __init__(self, path: Path) -> None:
        """Use a folder, which need not exist yet."""
        self.path = path.absolute()
        self.name = str(self.path)
        misread = [part for part in self.path.parts if "%" in part or part.startswith(_PARTITION_MARKS)]
        if misread:
            raise LakeError(
                f"{path}: no lake can live below {misread[0]!r}, which readers take for an escape or a partition",
                hint="give a path without % and without parts that begin with cluster= or date=",
            )

    def uri(self, table: str) -> str:
        """Return the folder of a table."""
        return str(self.folder(table))

    def folder(self, table: str) -> Path:
        """Return the folder of a table."""
        return self.path / table

    def exists(self) -> bool:
        """Say whether the main table has a log."""
        return any((self.folder("flows") / LOG_FOLDER).glob("[0-9]*.json"))

    def create(self) -> None:
        """Make the folders. Raises :class:`LakeError` when the folder holds other things."""
        children = self.path.iterdir() if self.path.exists() else ()
        foreign = sorted(child.name for child in children if child.name not in TABLES)
        if foreign:
            raise LakeError(f"{self.path} holds other things ({foreign[0]})", hint="give a new or an empty folder")
        for table in TABLES:
            self.folder(table).mkdir(parents=True, exist_ok=True)
        fsync_folder(self.path)

    def publish(self, table: str, parts: Iterable[Part]) -> None:
        """Do nothing: parts are synced where they are written."""

    def fetch(self, table: str, paths: Iterable[str], progress: Progress) -> None:
        """Do nothing: the parts are here."""

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Hold the commit lock of a table. The kernel drops it when a process dies."""
        with (self.folder(table) / _LOCK).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def sync_log(self, table: str, first: int, last: int) -> None:
        """Make log entries durable, others' included: ours is worth nothing after a hole."""
        log = self.folder(table) / LOG_FOLDER
        for version in range(first, last + 1):
            entry = log / f"{version:020d}.json"
            if entry.exists():
                fsync_file(entry)
        fsync_folder(log)
        fsync_folder(self.folder(table))

    def options(self) -> dict[str, str] | None:
        """Return no options."""
        return None


class ObjectStorage:
    """An object store: S3 and what speaks it, Google Cloud Storage, Azure. Commits are conditional puts there.

    Credentials and endpoints come from the environment, under the names that the store's own tools use.
    """

    def __init__(self, address: str) -> None:
        """Use a prefix in a store; nothing is asked of it yet."""
        self.name = address.rstrip("/")
        parts = urlsplit(self.name)
        if parts.scheme not in SCHEMES:
            raise LakeError(
                f"{address}: lakes live in local folders and at {', '.join(f'{scheme}://' for scheme in SCHEMES)}",
                hint="give such an address, or a path",
            )
        if not parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment or "%" in self.name:
            raise LakeError(
                f"{address}: the address of a lake is SCHEME://BUCKET/PREFIX", hint="name a prefix in the bucket"
            )
        self.cache = cache_folder() / f"{blake2b(self.name.encode(), digest_size=12).hexdigest()}"

    def uri(self, table: str) -> str:
        """Return the address of a table."""
        return f"{self.name}/{table}"

    def folder(self, table: str) -> Path:
        """Return the folder of the local copy of a table, which is made if need be, for this user alone."""
        folder = self.cache / table
        if not folder.exists():
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def exists(self) -> bool:
        """Ask the store. Raises :class:`LakeError` when it does not answer."""
        from deltalake import DeltaTable

        try:
            return bool(DeltaTable.is_deltatable(self.uri("flows"), self.options()))
        except Exception as error:
            raise self._failed("cannot be asked for a lake", error) from error

    def create(self) -> None:
        """Do nothing: an object store has no folders."""

    def publish(self, table: str, parts: Iterable[Part]) -> None:
        """Send parts up."""
        import obstore

        store = self._store(table)

        def send(part: Part) -> None:
            obstore.put(store, part.path, self.folder(table) / part.path)

        self._each(send, list(parts), "a part cannot be stored")

    def fetch(self, table: str, paths: Iterable[str], progress: Progress) -> None:
        """Fetch the parts that the copy does not have. A part is complete in the copy or not there at all."""
        missing = [path for path in paths if not _inside(self.folder(table), path).exists()]
        if not missing:
            return
        store = self._store(table)
        done = 0

        def get(path: str) -> None:
            nonlocal done
            _download(store, path, self.folder(table) / path)
            done += 1
            progress("fetching parts", done, len(missing))

        progress("fetching parts", 0, len(missing))
        self._each(get, missing, "a part cannot be fetched")

    def locked(self, table: str) -> AbstractContextManager[None]:
        """Hold no lock: the store lets one of several puts of a log entry through."""
        del table
        return nullcontext()

    def sync_log(self, table: str, first: int, last: int) -> None:
        """Do nothing: a put that was answered is durable."""

    def options(self) -> dict[str, str] | None:
        """Return how often and how long to try."""
        return dict(RETRY_OPTIONS)

    def _store(self, table: str) -> Any:
        """Open the store at a table."""
        from obstore.store import from_url

        try:
            return from_url(
                self.uri(table),
                client_options={
                    "connect_timeout": RETRY_OPTIONS["connect_timeout"],
                    "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
                },
                retry_config={"max_retries": int(RETRY_OPTIONS["max_retries"])},
            )
        except Exception as error:
            raise self._failed("cannot be opened", error) from error

    def _each(self, work: Callable[[_T], None], items: list[_T], what: str) -> None:
        """Do some things at once. Raises :class:`LakeError` for the first that fails."""
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            try:
                for _ in pool.map(work, items):
                    pass
            except LakeError:
                raise
            except Exception as error:
                raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> LakeError:
        """Return the error to raise when the store refuses something."""
        return LakeError(f"{self.name}: {what}: {plain_message(error)}", hint=_HINT)


def cache_folder() -> Path:
    """Return where copies of parts of object stores are kept: they are flow records, for this user alone."""
    given = os.environ.get(CACHE_VARIABLE)
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(given) if given else user / "policy-discovery"
    return base.absolute() / "lakes"


def plain_message(error: Exception) -> str:
    """Return the message of a library on one line, without its colours and tree marks."""
    text = re.sub(r"\x1b\[[0-9;]*m|↳", "", str(error))
    return " ".join(text.split())[:400] or type(error).__name__


def _inside(folder: Path, path: str) -> Path:
    """Return the local place of a part. Raises :class:`LakeError` for one that would lie outside: a log is input."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\x00" in path or not pure.parts:
        raise LakeError(f"the log names a part outside of its table: {path[:200]!r}", hint="do not trust this lake")
    return folder / pure


def _download(store: Any, path: str, target: Path) -> None:
    """Fetch one object into place."""
    import obstore

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        found = obstore.get(store, path)
        with partial.open("wb") as stream:
            for chunk in found.stream(1 << 20):
                stream.write(chunk)
        if partial.stat().st_size != found.meta["size"]:
            raise OSError(f"{path} was cut short")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
