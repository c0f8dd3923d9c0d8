"""Says what the sources of an input show, with the exporter settings that would show more."""

from __future__ import annotations

from collectors.registry import COLLECTORS, reader_class
from discovery.model.capture import Aspect, CaptureProfile
from discovery.model.completeness import Completeness


def profile_of(account: Completeness) -> CaptureProfile:
    """Return the capture profile of everything that an account covers."""
    sources = [one.source for one in account.sightings if one.source in COLLECTORS]
    return CaptureProfile.of(account.sightings, {source: dict(reader_class(source).settings) for source in sources})


def profile_line(profile: CaptureProfile) -> str:
    """Return what is shown as one line for people."""
    return ", ".join(f"{aspect.words} {profile.shows[aspect]}" for aspect in Aspect if aspect in profile.shows)
