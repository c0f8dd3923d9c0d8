"""The capture profile: what the sources of an input show at all, and what their silence forbids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum


class Shows(StrEnum):
    """Whether a source shows a thing."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


class Aspect(StrEnum):
    """What a source may or may not show."""

    REPLIES = "replies"
    DROPS = "drops"
    LABELS = "labels"
    BOTH_ENDS = "both_ends"
    L7 = "l7"
    PORTS = "ports"
    CONNECTION_COUNTS = "connection_counts"
    VERDICTS = "verdicts"

    @property
    def words(self) -> str:
        """Return the name for people."""
        return self.value.replace("_", " ")


FORBIDS: dict[Aspect, str] = {
    Aspect.REPLIES: "nothing tells whether an attempt was answered, so none counts as refused or unanswered; where "
    "nothing tells who opened a connection it is undecided, and its directions are not isolated",
    Aspect.DROPS: "nothing that a policy denied is in the review list, and a connection that one end let out and the "
    "other dropped counts as accepted",
    Aspect.LABELS: "pods without labels cannot be selected; what touches them is undecided, and its directions are not "
    "isolated (an inventory may know them)",
    Aspect.BOTH_ENDS: "a drop at the end that does not report stays unseen; one end is still enough for both policies",
    Aspect.L7: "nothing is known of paths, methods and queries; rules are of layers 3 and 4",
    Aspect.PORTS: "traffic without a port is undecided, and its directions are not isolated",
    Aspect.CONNECTION_COUNTS: "evidence counts flow records, not connections",
    Aspect.VERDICTS: "what no record says was delivered is never learned",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """How many of the records of one source show what. Counts add up over inputs.

    ``answers``: records that show an answer; ``openers``: records whose own reply flag (or what stands for it) tells
    who opened the connection; ``pod_ends``: ends that are pods or unknown, of which ``labelled_ends`` carry labels;
    ``client_reports`` and ``server_reports``: records by the end whose enforcement point reported.
    """

    source: str
    records: int = 0
    verdicts: int = 0
    protocols: int = 0
    ports: int = 0
    answers: int = 0
    openers: int = 0
    drops: int = 0
    pod_ends: int = 0
    labelled_ends: int = 0
    client_reports: int = 0
    server_reports: int = 0
    l7: int = 0
    connections: int = 0

    def __add__(self, other: Sightings) -> Sightings:
        """Return the sightings of both. Raises ``ValueError`` when they are of different sources."""
        if self.source != other.source:
            raise ValueError(f"sightings of {self.source} and of {other.source} do not add up")
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return Sightings(source=self.source, **counts)

    @property
    def unusable(self) -> str | None:
        """Return what is missing from every record, so that nothing can be learned from any; None if nothing is."""
        if not self.records:
            return None
        if not self.verdicts:
            return "verdict"
        return None if self.protocols else "l4"


COUNTS = tuple(each.name for each in fields(Sightings) if each.name != "source")


def merged(sightings: Iterable[Sightings]) -> tuple[Sightings, ...]:
    """Return one entry per source, in order of their names."""
    found: dict[str, Sightings] = {}
    for one in sightings:
        found[one.source] = found[one.source] + one if one.source in found else one
    return tuple(found[source] for source in sorted(found))


def _shows(part: int, whole: int) -> Shows:
    """Return yes, partly or no."""
    return Shows.NO if not part else Shows.YES if part >= whole else Shows.PARTLY


def shown(sightings: Sightings, aspect: Aspect) -> Shows:
    """Return whether the records of one source show a thing."""
    match aspect:
        case Aspect.REPLIES:
            # Answers that nobody marks as such: only handshakes tell who asked.
            return Shows.NO if not sightings.answers else Shows.YES if sightings.openers else Shows.PARTLY
        case Aspect.DROPS:
            return Shows.YES if sightings.drops else Shows.NO
        case Aspect.LABELS:
            return Shows.YES if not sightings.pod_ends else _shows(sightings.labelled_ends, sightings.pod_ends)
        case Aspect.BOTH_ENDS:
            return Shows.YES if sightings.client_reports and sightings.server_reports else Shows.NO
        case Aspect.L7:
            return Shows.PARTLY if sightings.l7 else Shows.NO
        case Aspect.PORTS:
            return _shows(sightings.ports, sightings.records)
        case Aspect.CONNECTION_COUNTS:
            return _shows(sightings.connections, sightings.records)
        case Aspect.VERDICTS:
            return _shows(sightings.verdicts, sightings.records)


def _is_worth_saying(aspect: Aspect, shows: Shows) -> bool:
    """Say whether something is missing that a person would want to know of: no source shows layer 7 of all traffic."""
    return shows is Shows.NO or (shows is Shows.PARTLY and aspect is not Aspect.L7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """One thing that a source does not show, or only partly; ``setting`` is what would make it visible."""

    source: str
    aspect: Aspect
    shows: Shows
    setting: str

    @property
    def meaning(self) -> str:
        """Return what is missing and what that forbids."""
        return f"{self.aspect.words} ({self.source}: {self.shows}): {FORBIDS[self.aspect]}"

    def __str__(self) -> str:
        """Return the finding for people: what it forbids and what would change it."""
        return f"{self.meaning}. {self.setting}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureProfile:
    """What the sources of an input show, over all of them: a thing that only one of two shows is shown partly."""

    shows: dict[Aspect, Shows] = field(default_factory=dict)
    absences: tuple[Absence, ...] = ()

    @classmethod
    def of(cls, sightings: Iterable[Sightings], settings: dict[str, dict[Aspect, str]]) -> CaptureProfile:
        """Return the profile of sightings; ``settings`` are by source what would show more."""
        given = [one for one in merged(sightings) if one.records]
        values: dict[Aspect, Shows] = {}
        absences = []
        for aspect in Aspect if given else ():
            found = {shown(one, aspect) for one in given}
            values[aspect] = found.pop() if len(found) == 1 else Shows.PARTLY
            absences += [
                Absence(source=one.source, aspect=aspect, shows=shown(one, aspect), setting=setting)
                for one in given
                if _is_worth_saying(aspect, shown(one, aspect))
                and (setting := settings.get(one.source, {}).get(aspect)) is not None
            ]
        return cls(shows=values, absences=tuple(absences))
