"""The use case as a whole, on the sample: reproducible, gated, proven before it is published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import discovery.app.suggest as module
from discovery import suggest
from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion, prove, seen_isolated, summary_counts
from discovery.learn.judge import Reason, Ruling
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Verdict
from discovery.model.errors import IncompleteInputError, InputError, ReadBackError
from discovery.model.intent import Dialect
from tests.discovery.learn.builders import EVIDENCE, edge, outside, ref


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


def test_what_was_written_is_proven(sample: Suggestion) -> None:
    """The files as they lie there mean what was learned, and allow every learned edge."""
    texts = {
        artifact.path: (sample.folder / artifact.path).read_text()
        for one in sample.rendered
        for artifact in one.artifacts
    }
    assert [item for item in prove(sample, texts) if item.level is Level.ERROR] == []


def test_a_tampered_file_is_found(sample: Suggestion) -> None:
    """The proof is not a formality: one changed port is an error."""
    texts = {artifact.path: artifact.text for one in sample.rendered for artifact in one.artifacts}
    name = next(name for name, text in sorted(texts.items()) if name.startswith("calico") and "- 8080" in text)
    texts[name] = texts[name].replace("- 8080", "- 8081")
    assert any(item.level is Level.ERROR for item in prove(sample, texts))


def test_a_difference_publishes_nothing(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the read-back finds an error, the output folder keeps what it had."""
    bad = Diagnostic(code="x", level=Level.ERROR, subject="cilium/a.yaml:1", message="differs")
    monkeypatch.setattr(module, "prove", lambda *_: (bad,))
    with pytest.raises(ReadBackError, match="differs"):
        suggest(
            repo / "sample_flows" / "shop-hubble.jsonl", tmp_path, SuggestOptions(workers=0, dialects=(Dialect.CILIUM,))
        )
    assert not (tmp_path / "summary.md").exists()
    assert not (tmp_path / "cilium").exists()


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


def test_existing_denies_reach_the_ruling(repo: Path, tmp_path: Path) -> None:
    """With existing policies, audited edges are learned but for those that an explicit deny there matches."""
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    plain = suggest(source, tmp_path / "a", SuggestOptions(workers=0))
    audited = {one.edge for one in plain.learned.judged if one.edge.verdict is Verdict.AUDIT}
    if not audited:
        pytest.skip("the sample holds no AUDIT flow")
    folder = tmp_path / "existing"
    folder.mkdir()
    folder.joinpath("empty.yaml").write_text("apiVersion: v1\nkind: List\nitems: []\n")
    openly = suggest(source, tmp_path / "b", SuggestOptions(workers=0, existing=folder))
    assert {one.ruling for one in openly.learned.judged if one.edge in audited} <= {Ruling.LEARN, Ruling.UNDECIDED}
    head = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: d}\n"
    deny = head + "spec: {endpointSelector: {}, %s: [{%s: [all]}]}\n"
    folder.joinpath("deny.yaml").write_text(
        deny % ("egressDeny", "toEntities") + "---\n" + deny % ("ingressDeny", "fromEntities")
    )
    denied = suggest(source, tmp_path / "c", SuggestOptions(workers=0, existing=folder))
    assert {one.reason for one in denied.learned.judged if one.edge in audited} == {Reason.EXPLICIT_DENY}


def test_flows_show_who_is_isolated() -> None:
    """A denial or audit at an end proves a policy there, at the reporting end alone."""
    client = replace(EVIDENCE, reporters=("client",))
    assert seen_isolated([edge("web", "db", verdict=Verdict.DENIED, evidence=client)]) == {
        (ref("web"), Direction.EGRESS)
    }
    assert seen_isolated([edge("web", "db", verdict=Verdict.AUDIT)]) == {
        (ref("web"), Direction.EGRESS),
        (ref("db"), Direction.INGRESS),
    }
    assert (
        seen_isolated([edge("web", "db"), edge(outside("192.0.2.1"), outside("192.0.2.2"), verdict=Verdict.DENIED)])
        == frozenset()
    )


def test_the_counts_add_up(sample: Suggestion) -> None:
    """The numbers at the end of a run are those of the summary."""
    counts = summary_counts(sample)
    assert counts["flow records"] == sample.completeness.rows_read
    assert counts["edges learned"] + counts["edges for review"] + counts["edges undecided"] == len(
        sample.learned.judged
    )
    assert counts["policy files"] == sum(len(one.artifacts) for one in sample.rendered)
