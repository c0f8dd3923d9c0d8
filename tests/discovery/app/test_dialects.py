"""One dialect: what was written is read back from where it lies, and proven or not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from discovery.app.dialects import Made, Wanted, make, prove
from discovery.app.proposal import Suggestion
from discovery.learn.judge import Ruling
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.intent import Dialect
from discovery.verify.read import read_policies


def wanted_of(found: Suggestion) -> Wanted:
    """Return what the files of a suggestion must say."""
    return Wanted(
        intents=found.learned.intents,
        edges=tuple(one.edge for one in found.learned.judged if one.ruling is Ruling.LEARN),
        versions=found.workloads.versions,
        mode=found.options.mode,
        owners={},
    )


@pytest.fixture(scope="module", params=Dialect)
def made(sample: Suggestion, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make one dialect of the sample."""
    return make(wanted_of(sample), sample.options.platforms[request.param], tmp_path_factory.mktemp("staging"))


def errors(sample: Suggestion, made: Made, changed: dict[str, str]) -> list[Diagnostic]:
    """Return the errors of the files, some of them changed."""
    texts = {artifact.path: artifact.text for artifact in made.rendered.artifacts} | changed
    return [one for one in prove(wanted_of(sample), made.rendered, read_policies(texts)) if one.level is Level.ERROR]


def test_what_is_made_lies_there_and_is_proven(sample: Suggestion, tmp_path: Path) -> None:
    """The files are below the folder as they were rendered, mean what was learned and allow every learned edge."""
    for dialect in Dialect:
        one = make(wanted_of(sample), sample.options.platforms[dialect], tmp_path)
        assert [(tmp_path / artifact.path).read_text() for artifact in one.rendered.artifacts] == [
            artifact.text for artifact in one.rendered.artifacts
        ]
        assert one.rendered.artifacts
        assert [item for item in one.found if item.level is Level.ERROR] == []


def test_what_lies_there_is_read_not_what_was_rendered(
    sample: Suggestion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that does not come out as it went in is found."""
    written = Path.write_text

    def torn(path: Path, text: str, encoding: str) -> int:
        return written(path, text.replace("8080", "8081"), encoding)

    monkeypatch.setattr(Path, "write_text", torn)
    one = make(wanted_of(sample), sample.options.platforms[Dialect.CALICO], tmp_path)
    assert any(item.level is Level.ERROR for item in one.found)


def test_a_tampered_file_is_found(sample: Suggestion, made: Made) -> None:
    """The proof is not a formality: one changed port is an error."""
    changed = {
        artifact.path: artifact.text.replace("8080", "8081")
        for artifact in made.rendered.artifacts
        if "8080" in artifact.text
    }
    assert changed
    assert errors(sample, made, {}) == []
    assert errors(sample, made, changed)


def test_a_missing_or_an_added_policy_is_found(sample: Suggestion, made: Made) -> None:
    """A file that holds nothing, or a policy for somebody else as well, is an error in each dialect."""
    first = made.rendered.artifacts[0]
    stranger = yaml.safe_load(first.text)
    stranger["metadata"]["namespace"] = "elsewhere"
    for changed in ("# nothing\n", f"{first.text}---\n{yaml.safe_dump(stranger)}"):
        assert errors(sample, made, {first.path: changed})
