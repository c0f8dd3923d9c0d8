"""Dialects in processes of their own: the same files and findings, and errors that arrive as they were raised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from discovery.app import making
from discovery.app.dialects import Made, Wanted
from discovery.app.making import Makers
from discovery.app.proposal import Suggestion
from discovery.model.errors import DiscoveryError, RenderError
from tests.discovery.app.test_dialects import wanted_of


def made(sample: Suggestion, wanted: Wanted, staging: Path, *, workers: int) -> tuple[Made, ...]:
    """Make all dialects of the sample."""
    with Makers(workers) as makers:
        makers.give(wanted, sample.options.platforms.values(), staging)
        return makers.results()


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_processes_make_what_this_one_makes(sample: Suggestion, tmp_path: Path, workers: int) -> None:
    """Files, what is said of them and their order are the same."""
    wanted = wanted_of(sample)
    here = made(sample, wanted, tmp_path / "here", workers=1)
    there = made(sample, wanted, tmp_path / "there", workers=workers)
    assert there == here
    assert content(tmp_path / "there") == content(tmp_path / "here") != {}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(sample: Suggestion, tmp_path: Path, workers: int) -> None:
    """Intents that contradict each other are the same error wherever it is found."""
    wanted = wanted_of(sample)
    twice = replace(wanted, intents=(*wanted.intents, wanted.intents[0]))
    with pytest.raises(RenderError, match="has two"):
        made(sample, twice, tmp_path, workers=workers)


def test_a_process_that_dies_is_one_error(sample: Suggestion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends early is an error with a hint, not a hang."""
    monkeypatch.setattr(making, "_SERVE", "raise SystemExit(3)")
    with pytest.raises(DiscoveryError, match="ended early, with 3") as caught:
        made(sample, wanted_of(sample), tmp_path, workers=3)
    assert caught.value.hint


def test_processes_without_a_task_are_ended() -> None:
    """Whoever finds that there is nothing to make leaves no process behind."""
    with Makers(3) as makers:
        started = makers._processes
    assert [process.returncode is not None for process in started] == [True, True]
