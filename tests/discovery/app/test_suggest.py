"""The use case as a whole, on the sample: reproducible, gated, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discovery import suggest
from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.model.errors import IncompleteInputError, InputError
from tests.collectors.test_goldmane import STAGED_DENY, whisker
from tests.estate import API, WEB, connection, dropped, lookups, text_of


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Suggestion:
    """Suggest policies for the sample once."""
    return suggest(
        repo / "sample_flows" / "shop-hubble.jsonl",
        tmp_path_factory.mktemp("out") / "policies",
        SuggestOptions(workers=0),
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_what_the_contract_says(sample: Suggestion) -> None:
    """Policies per dialect, evidence, both summaries and the manifest that lists them all."""
    found = tree(sample.folder)
    assert {name.split("/")[0] for name in found} == {
        "cilium",
        "calico",
        "kubernetes",
        "evidence",
        "namespaces",
        "summary.md",
        "summary.json",
        "manifest.json",
    }
    assert set(json.loads(found["manifest.json"])["files"]) == set(found) - {"manifest.json"}
    for one in sample.rendered:
        assert {artifact.path for artifact in one.artifacts} == {
            name for name in found if name.startswith(one.platform.dialect)
        }


def test_the_same_input_gives_the_same_bytes(sample: Suggestion, repo: Path, tmp_path: Path) -> None:
    """Rule 9: a second run elsewhere is identical; a rerun in place writes nothing."""
    source, options = repo / "sample_flows" / "shop-hubble.jsonl", SuggestOptions(workers=0)
    again = suggest(source, tmp_path, options)
    assert tree(tmp_path) == tree(sample.folder)
    assert again.written.retired == ()
    assert suggest(source, tmp_path, options).written.written == ()


def test_incomplete_input_is_refused_unless_allowed(repo: Path, tmp_path: Path) -> None:
    """Rule 8: a lossy export writes nothing without consent, and says so in the summary with it."""
    lossy = repo / "sample_flows" / "shop-hubble-lossy.jsonl"
    with pytest.raises(IncompleteInputError, match="lost"):
        suggest(lossy, tmp_path / "no", SuggestOptions(workers=0))
    assert not (tmp_path / "no").exists()
    suggest(lossy, tmp_path / "yes", SuggestOptions(workers=0, allow_partial=True))
    assert "**INCOMPLETE**" in (tmp_path / "yes" / "summary.md").read_text()


def test_no_input_is_an_error(tmp_path: Path) -> None:
    """A path that is not there is an error with its name."""
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        suggest(tmp_path / "missing.jsonl", tmp_path / "out")


def test_several_inputs_are_one(tmp_path: Path) -> None:
    """A list of paths gives what the joined file gives, and one path may be a string."""
    records = [*lookups(WEB), *connection(WEB, API), dropped(WEB, API, 22)]
    paths = [tmp_path / f"{number}.jsonl" for number in range(2)]
    for path, part in zip(paths, (records[:3], records[3:]), strict=True):
        path.write_text(text_of(part))
    whole = tmp_path / "whole.jsonl"
    whole.write_text(text_of(records))
    apart = suggest(paths, tmp_path / "apart", SuggestOptions(workers=0))
    joined = suggest(str(whole), str(tmp_path / "joined"), SuggestOptions(workers=0))
    assert tree(apart.folder) == tree(joined.folder)
    assert any(name.endswith(".yaml") for name in tree(joined.folder))


def test_the_lake_of_a_run_is_gone_after_it(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows are copied to a scratch lake, which does not outlive the run, whether it succeeds or not."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    suggest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "out", SuggestOptions(workers=0))
    assert list(scratch.iterdir()) == []
    with pytest.raises(InputError):
        suggest(tmp_path / "missing.jsonl", tmp_path / "out", SuggestOptions(workers=0))
    assert list(scratch.iterdir()) == []


def test_pending_verdicts_change_nothing_that_is_learned(tmp_path: Path) -> None:
    """What staged policies of the cluster would deny was accepted, so it is learned, to the same bytes."""
    made = []
    for name, pending in (("without", []), ("with", [STAGED_DENY])):
        (tmp_path / name).mkdir()
        source = tmp_path / name / "flows.jsonl"
        source.write_text(json.dumps(whisker(policies={"enforced": [], "pending": pending})) + "\n")
        made.append(tree(suggest(source, tmp_path / name / "out", SuggestOptions(workers=0)).folder))
    assert any(name.startswith("calico/shop/") and b"7070" in content for name, content in made[0].items())
    assert made[0] == made[1]
