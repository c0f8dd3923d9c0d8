"""The capture profile: what counts of records mean, and what their silence forbids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.capture import COUNTS, FORBIDS, Aspect, CaptureProfile, Shows, Sightings, merged, shown

COUNT = st.integers(0, 1_000)
SIGHTINGS = st.builds(Sightings, source=st.sampled_from(["hubble", "calico"]), **dict.fromkeys(COUNTS, COUNT))


def seen(**counts: int) -> Sightings:
    """Return sightings of ten records that show everything, apart from what is given."""
    return Sightings(source="hubble", **{**dict.fromkeys(COUNTS, 10), "pod_ends": 20, "labelled_ends": 20, **counts})


@given(st.lists(SIGHTINGS))
def test_merging_adds_up_by_source_in_any_order(given_sightings: list[Sightings]) -> None:
    """Every source appears once with the sum of its counts, whatever the order."""
    found = merged(given_sightings)
    assert found == merged(reversed(given_sightings))
    assert [one.source for one in found] == sorted({one.source for one in given_sightings})
    for name in COUNTS:
        assert sum(getattr(one, name) for one in found) == sum(getattr(one, name) for one in given_sightings)


def test_sources_are_kept_apart() -> None:
    """Counts of different sources are never added."""
    with pytest.raises(ValueError, match="hubble and of calico"):
        Sightings(source="hubble") + Sightings(source="calico")


@pytest.mark.parametrize(
    ("aspect", "counts", "expected"),
    [
        (Aspect.REPLIES, {}, Shows.YES),
        (Aspect.REPLIES, {"answers": 0}, Shows.NO),
        (Aspect.REPLIES, {"answers": 1, "openers": 0}, Shows.PARTLY),
        (Aspect.DROPS, {}, Shows.YES),
        (Aspect.DROPS, {"drops": 1}, Shows.YES),
        (Aspect.DROPS, {"drops": 0}, Shows.NO),
        (Aspect.LABELS, {}, Shows.YES),
        (Aspect.LABELS, {"labelled_ends": 19}, Shows.PARTLY),
        (Aspect.LABELS, {"labelled_ends": 0}, Shows.NO),
        (Aspect.LABELS, {"labelled_ends": 0, "pod_ends": 0}, Shows.YES),
        (Aspect.BOTH_ENDS, {}, Shows.YES),
        (Aspect.BOTH_ENDS, {"client_reports": 0}, Shows.NO),
        (Aspect.BOTH_ENDS, {"server_reports": 0}, Shows.NO),
        (Aspect.L7, {}, Shows.PARTLY),
        (Aspect.L7, {"l7": 0}, Shows.NO),
        (Aspect.PORTS, {}, Shows.YES),
        (Aspect.PORTS, {"ports": 9}, Shows.PARTLY),
        (Aspect.PORTS, {"ports": 0}, Shows.NO),
        (Aspect.CONNECTION_COUNTS, {"connections": 9}, Shows.PARTLY),
        (Aspect.CONNECTION_COUNTS, {"connections": 0}, Shows.NO),
        (Aspect.VERDICTS, {}, Shows.YES),
        (Aspect.VERDICTS, {"verdicts": 9}, Shows.PARTLY),
        (Aspect.VERDICTS, {"verdicts": 0}, Shows.NO),
    ],
)
def test_what_counts_mean(aspect: Aspect, counts: dict[str, int], expected: Shows) -> None:
    """Each aspect is shown by every record, by some, or by none."""
    assert shown(seen(**counts), aspect) is expected


@pytest.mark.parametrize(
    ("counts", "missing"),
    [({}, None), ({"verdicts": 0}, "verdict"), ({"protocols": 0}, "l4"), (dict.fromkeys(COUNTS, 0), None)],
)
def test_what_makes_an_input_unusable(counts: dict[str, int], missing: str | None) -> None:
    """Records of which none has a verdict, or none a protocol, teach nothing; no records are another case."""
    assert seen(**counts).unusable == missing


def test_every_absence_says_what_it_forbids_and_what_would_show_it() -> None:
    """One absence for each thing that is not shown and has a setting; none for what is shown."""
    settings: dict[str, dict[Aspect, str]] = {"hubble": {aspect: f"Set {aspect}." for aspect in Aspect}}
    bare = CaptureProfile.of([Sightings(source="hubble", records=1, pod_ends=1)], settings)
    assert [one.aspect for one in bare.absences] == list(Aspect)
    assert all(FORBIDS[one.aspect] in str(one) and str(one).endswith(f"Set {one.aspect}.") for one in bare.absences)
    assert set(bare.shows.values()) == {Shows.NO}
    full: Any = CaptureProfile.of([seen()], settings)
    assert full.absences == ()
    assert CaptureProfile.of([seen(drops=0)], {}).absences == ()


def test_a_thing_that_one_of_two_sources_shows_is_shown_partly() -> None:
    """The profile is over all sources; the absence names the one that lacks it."""
    other = Sightings(source="calico", **{**dict.fromkeys(COUNTS, 10), "drops": 0})
    profile = CaptureProfile.of([seen(), other], {"calico": {Aspect.DROPS: "Look."}})
    assert profile.shows[Aspect.DROPS] is Shows.PARTLY
    assert [(one.source, one.shows) for one in profile.absences] == [("calico", Shows.NO)]


def test_no_records_claim_nothing() -> None:
    """An empty input neither shows nor lacks anything."""
    assert CaptureProfile.of([Sightings(source="hubble")], {}) == CaptureProfile()
