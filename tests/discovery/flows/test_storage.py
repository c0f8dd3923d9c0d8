"""Where lakes live: folders, and object stores as a real server shows them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from discovery.app.inputs import find_inputs
from discovery.cli.main import cli
from discovery.flows.lake import Lake, is_lake
from discovery.flows.parts import Part, PartWriter
from discovery.flows.schema import INGESTS, WORKLOADS
from discovery.flows.storage import (
    CACHE_VARIABLE,
    LocalStorage,
    ObjectStorage,
    cache_folder,
    is_address,
    plain_message,
    storage_at,
)
from discovery.model.errors import InputError, LakeError
from tests.flows_factory import lake_rows, row, table

_BUCKET = "lakes"


def _free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(port: int) -> dict[str, str]:
    """Return the variables that every S3 client understands."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail("the object store ended early")
        try:
            urllib.request.urlopen(address).close()  # noqa: S310 - our own address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    pytest.fail("the object store does not answer")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Run an S3 server of somebody else's making and return its port."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/moto-api/", process)
        made = urllib.request.Request(f"http://127.0.0.1:{port}/{_BUCKET}", method="PUT")
        urllib.request.urlopen(made).close()  # noqa: S310 - our own address
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def store(server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the address of an unused prefix, with a copy folder of the test's own."""
    for name, value in _environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return f"s3://{_BUCKET}/{request.node.name}"


def _ignored(what: str, done: int, total: int) -> None:
    """Take no notice of progress."""


def _add_run(lake: Lake, run: str, *ports: int, day: int = 1) -> None:
    """Commit one run with one row per client port."""
    writer = PartWriter(lake.folder("flows"))
    writer.write(table([row(client_port=port, time=datetime(2026, 11, day, 12, tzinfo=UTC)) for port in ports]))
    lake.append_side("workloads", WORKLOADS.empty_table(), run)
    lake.append_side("ingests", INGESTS.empty_table(), run)
    lake.commit_flows(writer.close(), run, [f"content-{run}"])


def _ports(lake: str) -> list[int]:
    """Return the client ports that a lake shows."""
    return sorted(found["client_port"] for found in lake_rows(lake))


def test_addresses_are_told_from_paths(tmp_path: Path) -> None:
    """A scheme makes an address; everything else is a path, whatever it looks like."""
    assert all(is_address(text) for text in ("s3://b/l", "gs://b/l", "ftp://x", "S3://b/l"))
    assert not any(is_address(text) for text in ("lake", "/a/b", "s3:/b", "-", "a//b", "://x", tmp_path))
    assert isinstance(storage_at(tmp_path), LocalStorage)
    assert isinstance(storage_at("az://bucket/lake"), ObjectStorage)


@pytest.mark.parametrize(
    "address", ["ftp://host/lake", "http://host/lake", "s3://bucket", "s3:///lake", "s3://b/a%20b"]
)
def test_addresses_that_no_lake_can_have(address: str) -> None:
    """They end in a message with a hint, before anything is asked."""
    with pytest.raises(LakeError) as failed:
        Lake(address)
    assert failed.value.hint


def test_what_is_committed_is_there_for_everybody(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second machine, with an empty copy, sees the same rows; so does the Delta library alone."""
    assert not is_lake(store)
    lake = Lake(store, create=True)
    assert lake.is_empty
    _add_run(lake, "run1", 1, 2)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other machine"))
    assert is_lake(store)
    assert _ports(store) == [1, 2]
    again = Lake(store)
    assert again.has_content("content-run1")
    assert not again.has_content("content-run2")
    assert [Path(name).name for name in again.snapshot().workloads] == ["run1.parquet"]
    assert DeltaTable(f"{store}/flows").version() == 1


def test_parts_are_fetched_once_and_only_those_asked_for(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of some days fetches the parts of those days; what is there is not fetched again."""
    for day in (1, 2, 3):
        _add_run(Lake(store, create=True), f"run{day}", day, day=day)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "fresh"))
    told: list[tuple[str, int, int]] = []
    lake = Lake(store, progress=lambda what, done, total: told.append((what, done, total)))
    second = lake.snapshot(datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 20, tzinfo=UTC)).flows
    assert ["date=2026-11-02" in name for name in second] == [True]
    assert {what for what, _, _ in told} == {"fetching parts"}
    told.clear()
    assert len(lake.snapshot().flows) == 3
    assert ("fetching parts", 2, 2) in told
    told.clear()
    assert len(lake.snapshot().flows) == 3
    assert told == []
    assert not list(cache_folder().rglob("*.partial"))


def test_writers_at_once_lose_nothing(store: str) -> None:
    """The store lets one of two puts of a log entry through; the other is tried again."""
    Lake(store, create=True)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _add_run(Lake(store), f"run{number}", number), range(12)))
    assert _ports(store) == list(range(12))


def test_a_run_that_was_not_committed_is_not_there(store: str) -> None:
    """Parts that were sent up without a commit do not count."""
    lake = Lake(store, create=True)
    _add_run(lake, "run1", 1)
    writer = PartWriter(lake.folder("flows"))
    writer.write(table([row(client_port=2)]))
    storage_at(store).publish("flows", writer.close())
    lake.append_side("workloads", WORKLOADS.empty_table(), "run2")
    assert _ports(store) == [1]
    assert [Path(name).name for name in lake.snapshot().workloads] == ["run1.parquet"]


def test_a_part_that_is_gone_is_said(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that names a part which the store does not have ends in a message, not in half of the rows."""
    import obstore
    from obstore.store import from_url

    lake = Lake(store, create=True)
    _add_run(lake, "run1", 1)
    _add_run(lake, "run2", 2)
    flows = from_url(f"{store}/flows", client_options={"allow_http": True})
    obstore.delete(flows, next(found["path"] for found in obstore.list(flows).collect() if "part-" in found["path"]))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "fresh"))
    with pytest.raises(LakeError, match="cannot be fetched"):
        Lake(store).snapshot()


@pytest.mark.parametrize("path", ["../escape.parquet", "/etc/escape.parquet", "a/../../escape.parquet", "a\x00b", ""])
def test_a_log_cannot_write_outside_of_the_copy(store: str, path: str) -> None:
    """A hostile log names parts anywhere; nothing is fetched to such a place."""
    with pytest.raises(LakeError, match="outside"):
        ObjectStorage(store).fetch("flows", [path], _ignored)


def test_a_store_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong endpoint is a message that names the variables to look at, without colours and control characters."""
    for name, value in _environment(_free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(LakeError) as failed:
        Lake("s3://bucket/lake", create=True)
    assert "AWS_" in str(failed.value.hint)
    assert str(failed.value).isprintable()
    found = CliRunner().invoke(cli, ["suggest", "s3://bucket/lake", "-o", str(tmp_path / "out")])
    assert found.exit_code == 1
    assert "s3://bucket/lake" in found.output
    assert "Traceback" not in found.output


def test_sending_up_fails_before_the_commit(store: str) -> None:
    """A part that cannot be sent up is an error, and no commit names it."""
    storage = ObjectStorage(store)
    missing = Part(path="nothing.parquet", partition=(), rows=1, size=1)
    with pytest.raises(LakeError, match="cannot be stored"):
        storage.publish("flows", [missing])


def test_logs_in_a_store_are_refused(store: str) -> None:
    """Logs are read from local files; the message says so."""
    with pytest.raises(InputError, match="no lake") as failed:
        find_inputs((f"{store}/flows.json",), "auto")
    assert "local files" in str(failed.value.hint)


def test_the_command_line_works_on_a_store(store: str, repo: Path, tmp_path: Path) -> None:
    """Ingest twice and suggest: as with a folder, byte for byte."""
    flows = str(repo / "sample_flows" / "shop-hubble.jsonl")
    run = CliRunner()
    first = run.invoke(cli, ["ingest", flows, "-o", store], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    again = run.invoke(cli, ["ingest", flows, "-o", store], catch_exceptions=False)
    assert "skipped" in again.output
    shutil.rmtree(os.environ[CACHE_VARIABLE])
    for place, out in ((store, "remote"), (flows, "local")):
        done = run.invoke(cli, ["suggest", place, "-o", str(tmp_path / out)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    remote, local = tmp_path / "remote", tmp_path / "local"
    policies = sorted(path.relative_to(local) for path in local.rglob("*.yaml"))
    assert policies
    assert policies == sorted(path.relative_to(remote) for path in remote.rglob("*.yaml"))
    assert all((remote / path).read_bytes() == (local / path).read_bytes() for path in policies)


def test_the_copy_is_for_this_user_alone(store: str) -> None:
    """Flow records say who talks to whom: nobody else on the machine may read them."""
    Lake(store, create=True)
    _add_run(Lake(store), "run1", 1)
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in (ObjectStorage(store).cache, ObjectStorage(store).folder("flows"))
    )


def test_messages_are_made_plain() -> None:
    """Colours, tree marks and line breaks of a library go; nothing is left empty; nothing is endless."""
    assert plain_message(OSError("\x1b[31m↳\x1b[0m one\n   two")) == "one two"
    assert plain_message(OSError("")) == "OSError"
    assert len(plain_message(OSError("x" * 10_000))) == 400


def test_local_folders_hold_one_committer_at_a_time(tmp_path: Path) -> None:
    """The lock of a table is the kernel's: another handle cannot take it meanwhile."""
    import fcntl

    storage = LocalStorage(tmp_path)
    storage.create()
    lock = storage.folder("flows") / ".commit-lock"
    with storage.locked("flows"), lock.open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
