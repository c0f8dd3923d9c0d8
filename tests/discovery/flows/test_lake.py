"""The lake: atomic snapshots, whatever happens, in any folder, with any cluster name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.flows.lake import Lake, is_lake, set_torn_commit_aside
from discovery.flows.parts import PartWriter, partition_folder
from discovery.flows.schema import INGESTS, SCHEMA_VERSION, TABLES, WORKLOADS
from discovery.flows.storage import LOG_FOLDER
from discovery.model.errors import LakeError
from tests.flows_factory import lake_rows, row, table


def _add_run(lake: Lake, run: str, rows: Sequence[dict[str, object]], *hashes: str) -> None:
    """Commit one run with rows."""
    writer = PartWriter(lake.folder("flows"))
    writer.write(table(rows))
    parts = writer.close()
    lake.append_side("workloads", WORKLOADS.empty_table(), run)
    lake.append_side("ingests", INGESTS.empty_table(), run)
    lake.commit_flows(parts, run, hashes)


def test_a_new_lake_is_empty_and_versioned(tmp_path: Path) -> None:
    """Creating makes three empty tables with the schema's version; opening again changes nothing."""
    assert not is_lake(tmp_path / "lake")
    lake = Lake(tmp_path / "lake", create=True)
    assert lake.is_empty
    assert lake.snapshot() == Lake(tmp_path / "lake").snapshot()
    assert lake.snapshot().flows == lake.snapshot().workloads == lake.snapshot().ingests == ()
    for name in TABLES:
        assert DeltaTable(str(lake.folder(name))).history()[0]["schemaVersion"] == str(SCHEMA_VERSION)


def test_what_is_committed_is_there(tmp_path: Path) -> None:
    """A committed run shows its rows, its side rows and its content hash."""
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row(), row(cluster="east")], "hash-a")
    assert len(lake_rows(lake.name)) == 2
    assert {found["cluster"] for found in lake_rows(lake.name)} == {"default", "east"}
    assert lake.has_content("hash-a")
    assert not lake.has_content("hash-b")
    assert not lake.is_empty
    assert [Path(name).name for name in lake.snapshot().workloads] == ["run1.parquet"]


def test_side_rows_of_a_run_that_was_not_committed_do_not_count(tmp_path: Path) -> None:
    """A crash before the commit leaves the previous snapshot."""
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row()], "a")
    before = lake.snapshot()
    lake.append_side("workloads", WORKLOADS.empty_table(), "run2")
    lake.append_side("ingests", INGESTS.empty_table(), "run2")
    PartWriter(lake.folder("flows")).write(table([row()]))
    assert Lake(tmp_path / "lake").snapshot() == before


def test_the_same_content_or_run_cannot_be_committed_twice(tmp_path: Path) -> None:
    """Another run that holds the same input is refused, also by a handle that was opened before."""
    lake, other = Lake(tmp_path / "lake", create=True), Lake(tmp_path / "lake")
    _add_run(lake, "run1", [row()], "a", "b")
    with pytest.raises(LakeError) as caught:
        _add_run(other, "run2", [row()], "b")
    assert caught.value.hint
    with pytest.raises(LakeError):
        lake.commit_flows([], "run1", ["c"])
    assert len(lake_rows(lake.name)) == 1


def test_many_commits_with_checkpoints_stay_readable(tmp_path: Path) -> None:
    """Past Delta's checkpoint interval the snapshot, the hashes and the side rows are all still there."""
    lake = Lake(tmp_path / "lake", create=True)
    for number in range(12):
        _add_run(lake, f"run{number:02}", [row(client_port=number + 1)], f"hash{number}")
    assert len(lake_rows(lake.name)) == 12
    assert all(lake.has_content(f"hash{number}") for number in range(12))
    assert len(lake.snapshot().ingests) == 12
    assert lake.snapshot().version == 12


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b'{"commitInfo":', b'{"commitInfo":{}}\n{"add":{"pa', b"\xff\xfe"]
)
def test_a_torn_last_entry_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """What a power cut leaves of a log entry is moved out of the way; the snapshot before it is served."""
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row()], "a")
    before = lake.snapshot()
    entry = lake.folder("flows") / LOG_FOLDER / f"{2:020d}.json"
    entry.write_bytes(content)
    assert Lake(tmp_path / "lake").snapshot() == before
    assert not entry.exists()
    assert entry.with_name(f"torn-{entry.name}").read_bytes() == content
    _add_run(Lake(tmp_path / "lake"), "run2", [row(client_port=7)], "b")
    assert len(lake_rows(lake.name)) == 2


def test_a_whole_last_entry_stays(tmp_path: Path) -> None:
    """A healthy log is not touched."""
    lake = Lake(tmp_path / "lake", create=True)
    before = sorted((lake.folder("flows") / LOG_FOLDER).iterdir())
    set_torn_commit_aside(lake.folder("flows"))
    set_torn_commit_aside(tmp_path / "nothing")
    assert sorted((lake.folder("flows") / LOG_FOLDER).iterdir()) == before


@pytest.mark.parametrize("tables", [(), ("workloads",), ("workloads", "ingests"), ("workloads", "ingests", "flows")])
@pytest.mark.parametrize("torn", [False, True], ids=["no-entry", "torn-entry"])
def test_a_creation_that_was_cut_off_can_be_completed(tmp_path: Path, tables: tuple[str, ...], torn: bool) -> None:
    """Folders without a log entry, or with a torn first one, are no lake yet and become one."""
    for name in tables:
        (tmp_path / "lake" / name / LOG_FOLDER).mkdir(parents=True)
        if torn:
            (tmp_path / "lake" / name / LOG_FOLDER / f"{0:020d}.json").write_bytes(b"")
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row()], "a")
    assert len(lake_rows(lake.name)) == 1


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder that holds other things never becomes a lake; a missing one is not created on reading."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LakeError, match=r"notes\.txt"):
        Lake(tmp_path, create=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "notes.txt"]
    with pytest.raises(LakeError, match="is not a lake"):
        Lake(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    "name",
    ["my lake", "la[k]e", "st*r", "wh?t", "br{a}ce", "qu'ote", 'dou"ble', "é中", "a#b", "a+b", "env=prod", "a;b&c"],
)
def test_a_lake_lives_in_any_folder(tmp_path: Path, name: str) -> None:
    """Spaces, glob characters, quotes and letters of any script in the path change nothing."""
    lake = Lake(tmp_path / name / "lake", create=True)
    _add_run(lake, "run1", [row()], "a")
    _add_run(Lake(lake.name), "run2", [row(client_port=2)], "b")
    assert {(found["cluster"], found["client_port"]) for found in lake_rows(lake.name)} == {
        ("default", 40_000),
        ("default", 2),
    }


@pytest.mark.parametrize("name", ["cluster=west", "date=1999-01-01", "100%25"])
def test_a_path_that_readers_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    """A parent folder that looks like a partition would change what rows say: it is refused, not misread."""
    with pytest.raises(LakeError) as caught:
        Lake(tmp_path / name / "lake", create=True)
    assert caught.value.hint


_HOSTILE = [
    "a b",
    "../../etc",
    "..",
    ".",
    "a/b",
    "a%2Fb",
    "a=b",
    "'",
    '"',
    "*",
    "[x]",
    "?",
    "{}",
    "\\",
    "\n",
    "\x00",
    "é中",
    "NULL",
    "null",
    "__HIVE_DEFAULT_PARTITION__",
    "2026-01-01",
    "-",
    "a+b",
    "#",
]


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_cluster_names_stay_what_they_are(tmp_path: Path, name: str) -> None:
    """A cluster's name comes back as it went in, from a folder inside the lake."""
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row(cluster=name)], "a")
    assert [found["cluster"] for found in lake_rows(lake.name)] == [name]
    assert all(Path(part).resolve().is_relative_to(lake.folder("flows")) for part in lake.snapshot().flows)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
@settings(max_examples=30)
def test_partition_folders_are_one_level_each(name: str) -> None:
    """No value adds a level, a glob or an empty name."""
    folder = partition_folder((("cluster", name), ("date", "2026-11-01")))
    assert folder.count("/") == 1
    assert not set(folder) & set("*?[]\\\0\n")


def test_a_damaged_log_is_one_error(tmp_path: Path) -> None:
    """A log that lost an entry in the middle is an error with a hint, not a traceback."""
    lake = Lake(tmp_path / "lake", create=True)
    _add_run(lake, "run1", [row()], "a")
    (lake.folder("flows") / LOG_FOLDER / f"{0:020d}.json").unlink()
    with pytest.raises(LakeError) as caught:
        Lake(tmp_path / "lake").snapshot()
    assert caught.value.hint
