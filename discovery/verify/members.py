"""Which of the known workloads a pod selector selects, found without a look at all of them."""

from __future__ import annotations

from collections.abc import Iterable

from discovery.model.workload import VOLATILE_KEYS, WorkloadVersion
from discovery.verify.rules import PodMatch
from discovery.verify.truth import Truth

_Pair = tuple[str, str]


class Members:
    """All known workload versions, by what they carry; the answers for each selector are kept.

    Versions are told apart by identity: the objects that were given are those that are asked about.
    """

    def __init__(self, versions: Iterable[WorkloadVersion]) -> None:
        """Index versions by namespace and label pair."""
        self._versions = tuple(versions)
        self._ids = frozenset(map(id, self._versions))
        self._by_place: dict[tuple[str | None, _Pair | None], list[WorkloadVersion]] = {}
        for version in self._versions:
            for pair in (None, *version.labels.pairs):
                for namespace in (None, version.ref.namespace):
                    self._by_place.setdefault((namespace, pair), []).append(version)
        self._answers: dict[PodMatch, tuple[tuple[WorkloadVersion, Truth], ...]] = {}

    def knows(self, version: WorkloadVersion) -> bool:
        """Say whether this very object was given."""
        return id(version) in self._ids

    def of(self, match: PodMatch) -> tuple[tuple[WorkloadVersion, Truth], ...]:
        """Return the versions that a selector selects, or may, each with how surely. The cluster of a selector that
        names none is left to the caller.
        """
        found = self._answers.get(match)
        if found is None:
            # A pair of a key that ingest leaves out may match a version that does not show it.
            pairs = [pair for pair in match.labels.pairs if pair[0] not in VOLATILE_KEYS]
            places = [(match.namespace, pair) for pair in pairs or (None,)]
            near = min((self._by_place.get(place, []) for place in places), key=len)
            answers = ((version, match.selects(version)) for version in near)
            found = self._answers[match] = tuple(one for one in answers if one[1] is not Truth.NO)
        return found
