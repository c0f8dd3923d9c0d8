"""Tests of discovery.app.manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discovery.app.manifests import PolicySet, folder_texts, policy_sets
from discovery.model.errors import InputError
from discovery.model.intent import Dialect


def ours(folder: Path, *names: str) -> None:
    """Write a folder as suggest does."""
    for name in (*names, "summary.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = dict.fromkeys([*names, "summary.json", "cilium/../x.yaml", "calico/gone.yaml"], "digest")
    (folder / "manifest.json").write_text(json.dumps({"tool": "policy-discovery", "files": files}))


def test_what_suggest_wrote_is_one_set_per_dialect(tmp_path: Path) -> None:
    """Reports beside the policies, files that are gone and paths that leave the folder are left out."""
    ours(tmp_path, "cilium/a/x.yaml", "kubernetes/a/x.yaml")
    sets = policy_sets([tmp_path])
    assert [one.dialect for one in sets] == [Dialect.CILIUM, Dialect.KUBERNETES]
    assert sets[0] == PolicySet(texts={str(tmp_path / "cilium/a/x.yaml"): b"cilium/a/x.yaml"}, dialect=Dialect.CILIUM)


def test_everything_else_is_one_set(tmp_path: Path) -> None:
    """Files and folders are applied together; a foreign manifest.json is a file like others."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.yml").write_text("x")
    (tmp_path / "a" / "manifest.json").write_text('{"tool": "other", "files": {}}')
    (tmp_path / "a" / "notes.txt").write_text("no manifest")
    (tmp_path / "b.yaml").write_text("y")
    (one,) = policy_sets([tmp_path / "a", tmp_path / "b.yaml"])
    assert sorted(Path(name).name for name in one.texts) == ["b.yaml", "manifest.json", "p.yml"]
    assert one.dialect is None


@pytest.mark.parametrize("content", ["", "[]", '{"tool": "policy-discovery", "files": []}', "{"])
def test_a_broken_manifest_is_no_manifest_of_ours(tmp_path: Path, content: str) -> None:
    """Whatever it holds, the folder is then read like any other."""
    (tmp_path / "manifest.json").write_text(content)
    assert policy_sets([tmp_path])[0].dialect is None


def test_paths_that_hold_nothing_say_so(tmp_path: Path) -> None:
    """An empty folder and a file that is not there are errors with a way out."""
    for given in (tmp_path, tmp_path / "x"):
        with pytest.raises(InputError) as caught:
            policy_sets([given])
        assert caught.value.hint
    with pytest.raises(InputError):
        folder_texts(tmp_path)
