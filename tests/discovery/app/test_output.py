"""The output folder: staged first, published whole, and only our own unchanged files are ever retired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discovery.app.output import MANIFEST, Written, as_json, as_json_list, publish, read_staged, stage, write_staged
from discovery.model.errors import OptionError


def write(folder: Path, texts: dict[str, str]) -> Written:
    """Stage and publish texts."""
    staging = stage(folder)
    write_staged(staging, texts)
    return publish(folder, staging, list(texts))


def files(folder: Path) -> set[str]:
    """Return the files of a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_in_place_before_it_is_published(tmp_path: Path) -> None:
    """Staged files can be read back and do not show in the output."""
    staging = stage(tmp_path)
    write_staged(staging, {"cilium/shop/a.yaml": "a: 1\n"})
    assert not (tmp_path / "cilium").exists()
    assert read_staged(staging, ["cilium/shop/a.yaml"]) == {"cilium/shop/a.yaml": "a: 1\n"}


def test_a_first_run_writes_everything(tmp_path: Path) -> None:
    """Files, a manifest that lists them, and nothing left over."""
    assert write(tmp_path / "new" / "out", {"b": "2", "a/x": "1"}) == Written(
        written=("a/x", "b"), unchanged=(), retired=()
    )
    assert files(tmp_path / "new" / "out") == {"a/x", "b", MANIFEST}
    assert set(json.loads((tmp_path / "new/out" / MANIFEST).read_text())["files"]) == {"a/x", "b"}


def test_a_rerun_touches_only_what_changed_and_retires_its_own(tmp_path: Path) -> None:
    """Unchanged files are left alone, stale ones removed with their empty folders."""
    write(tmp_path, {"keep": "1", "change": "1", "old/folder/stale": "1"})
    before = (tmp_path / "keep").stat().st_mtime_ns, (tmp_path / "keep").stat().st_ino
    again = write(tmp_path, {"keep": "1", "change": "2"})
    assert again == Written(written=("change",), unchanged=("keep",), retired=("old/folder/stale",))
    assert ((tmp_path / "keep").stat().st_mtime_ns, (tmp_path / "keep").stat().st_ino) == before
    assert files(tmp_path) == {"keep", "change", MANIFEST}
    assert not (tmp_path / "old").exists()


def test_what_a_person_wrote_or_changed_is_kept(tmp_path: Path) -> None:
    """A foreign file stays; so does a stale file of ours that somebody edited."""
    write(tmp_path, {"a/edited": "1", "a/stale": "1"})
    (tmp_path / "a" / "edited").write_text("mine")
    (tmp_path / "a" / "foreign").write_text("mine too")
    assert write(tmp_path, {"b": "1"}).retired == ("a/stale",)
    assert files(tmp_path) == {"a/edited", "a/foreign", "b", MANIFEST}


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", ""])
def test_a_manifest_cannot_point_outside(tmp_path: Path, name: str) -> None:
    """A manifest is a file that anybody may have edited: names outside the folder are not ours to remove."""
    outside = tmp_path / "outside"
    outside.write_text("1")
    folder = tmp_path / "out"
    write(folder, {"a": "1"})
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][str(outside) if name == "/outside" else name] = manifest["files"]["a"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert write(folder, {"b": "1"}).retired == ("a",)
    assert outside.read_text() == "1"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": 5}', b'{"files": []}', b"\xff", b"{"])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    """Another tool's manifest.json is neither overwritten nor believed, and nothing is published."""
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(OptionError, match="not ours"):
        write(tmp_path, {"a": "1"})
    assert not (tmp_path / "a").exists()
    assert (tmp_path / MANIFEST).read_bytes() == content


def test_leftovers_of_a_crashed_run_are_removed(tmp_path: Path) -> None:
    """What an interrupted run staged never reaches the output."""
    write_staged(stage(tmp_path), {"ghost": "1"})
    write(tmp_path, {"a": "1"})
    assert files(tmp_path) == {"a", MANIFEST}


@pytest.mark.parametrize("values", [[], [{"a": 1}], [{"a": [1, 2]}, {"b": {"c": "é\n"}}, None]])
def test_a_long_list_has_the_layout_of_any_json(values: list[object]) -> None:
    """Text that is made value by value is the text of the whole."""
    assert as_json_list(iter(values)) == as_json(values)


def test_json_has_a_stable_layout() -> None:
    """Two spaces, a final newline, insertion order kept, text as it is."""
    assert as_json({"b": [1], "a": "é"}) == '{\n  "b": [\n    1\n  ],\n  "a": "é"\n}\n'
