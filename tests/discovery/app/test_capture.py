"""What inputs show, through the real readers, and the settings that would show more."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.registry import COLLECTORS, reader_class
from discovery.app.capture import profile_line, profile_of
from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions
from discovery.model.capture import Aspect, CaptureProfile, Shows
from discovery.model.completeness import Completeness

COUNTED_BY_NOBODY = {"hubble": {Aspect.CONNECTION_COUNTS}}


@pytest.mark.parametrize("source", sorted(COLLECTORS))
def test_every_reader_names_a_setting_for_all_that_it_may_not_show(source: str) -> None:
    """A person is told what to change; what no setting of a source can show is not asked for."""
    settings = reader_class(source).settings
    assert set(settings) == set(Aspect) - COUNTED_BY_NOBODY.get(source, set())
    assert all(text.endswith(".") for text in settings.values())


def test_the_sample_shows_what_its_sources_show(repo: Path, tmp_path: Path) -> None:
    """Hubble marks replies and counts no connections; Calico counts them and has no layer 7."""
    profiles = []
    for name in ("shop-hubble.jsonl", "shop-calico.jsonl"):
        done = ingest(repo / "sample_flows" / name, tmp_path / name, IngestOptions(workers=0))
        profiles.append(profile_of(done.completeness).shows)
    hubble, calico = profiles
    assert (hubble[Aspect.REPLIES], hubble[Aspect.BOTH_ENDS], hubble[Aspect.DROPS]) == (Shows.YES,) * 3
    assert (hubble[Aspect.CONNECTION_COUNTS], calico[Aspect.CONNECTION_COUNTS]) == (Shows.NO, Shows.YES)
    assert (hubble[Aspect.L7], calico[Aspect.L7]) == (Shows.PARTLY, Shows.NO)
    assert (hubble[Aspect.PORTS], calico[Aspect.PORTS]) == (Shows.YES, Shows.YES)


def test_the_line_names_every_aspect_once() -> None:
    """People read it in one line, in the order of the table of docs/capture.md."""
    profile = CaptureProfile(shows=dict.fromkeys(Aspect, Shows.NO))
    assert profile_line(profile).split(", ") == [f"{aspect.words} no" for aspect in Aspect]
    assert profile_line(CaptureProfile()) == ""
    assert profile_of(Completeness()) == CaptureProfile()
