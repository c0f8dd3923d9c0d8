"""How surely peers of rules cover ends, for many ends at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discovery.model.workload import WorkloadVersion
from discovery.verify.ends import End, PeerMatcher, PodEnd
from discovery.verify.members import Members
from discovery.verify.rules import AllMatch, AnyMatch, ExceptMatch, OneMatch, PeerMatch, PodMatch
from discovery.verify.truth import Truth

_Truths = npt.NDArray[np.int8]
_Rows = npt.NDArray[np.int64]


class There(NamedTuple):
    """The other ends of connections: ``numbers`` of the distinct ones, and ``of_row`` the place of each row's there."""

    numbers: _Rows
    of_row: _Rows


class Cover:
    """Answers :meth:`PeerMatcher.covers` for columns of ends, which are known by their numbers.

    What a peer covers depends on the pod whose rule it is through its cluster alone, so answers are kept by cluster.
    """

    def __init__(self, peers: PeerMatcher, ends: Sequence[End]) -> None:
        """Index the ends that are pods."""
        self._peers = peers
        self._ends = ends
        pods = [(number, end.version) for number, end in enumerate(ends) if isinstance(end, PodEnd)]
        self._numbers: dict[int, list[int]] = {}
        for number, version in pods:
            self._numbers.setdefault(id(version), []).append(number)
        self._members = Members({id(version): version for _, version in pods}.values())
        self._is_pod = np.array([isinstance(end, PodEnd) for end in ends], dtype=bool)
        self._board: _Truths = np.zeros(len(ends), dtype=np.int8)
        self._reached: dict[tuple[PodMatch, str], tuple[_Rows, _Truths]] = {}
        self._single: dict[tuple[PeerMatch, str], dict[int, Truth]] = {}

    def any_of(self, matches: Iterable[PeerMatch], here: WorkloadVersion, there: There) -> _Truths:
        """Return how surely any of the peers of a rule of ``here`` covers each of the distinct ends."""
        found: _Truths = np.zeros(len(there.numbers), dtype=np.int8)
        for match in matches:
            np.maximum(found, self._one(match, here, there), out=found)
        return found

    def _one(self, match: PeerMatch, here: WorkloadVersion, there: There) -> _Truths:
        """Return how surely one peer covers each end."""
        match match:
            case AnyMatch():
                return np.full(len(there.numbers), Truth.YES, dtype=np.int8)
            case OneMatch():
                return self.any_of(match.parts, here, there)
            case AllMatch():
                found: _Truths = np.full(len(there.numbers), Truth.YES, dtype=np.int8)
                for part in match.parts:
                    np.minimum(found, self._one(part, here, there), out=found)
                return found
            case ExceptMatch():
                return np.int8(Truth.YES) - self._one(match.part, here, there)
            case PodMatch():
                return self._pods(match, here, there)
            case _:
                return self._each(match, here, there, np.ones(len(there.numbers), dtype=bool))

    def _pods(self, match: PodMatch, here: WorkloadVersion, there: There) -> _Truths:
        """Return how surely a selector covers each end: pods by a look at what it selects."""
        numbers, truths = self._selected(match, here)
        self._board[numbers] = truths
        found = self._board[there.numbers]
        self._board[numbers] = Truth.NO
        others = ~self._is_pod[there.numbers]
        return np.maximum(found, self._each(match, here, there, others)) if others.any() else found

    def _selected(self, match: PodMatch, here: WorkloadVersion) -> tuple[_Rows, _Truths]:
        """Return the numbers of the pods that a selector reaches, or may, and how surely."""
        key = (match, here.ref.cluster)
        if key not in self._reached:
            found = [
                (number, self._peers.in_reach(match, version, here, truth))
                for version, truth in self._members.of(match)
                for number in self._numbers[id(version)]
            ]
            self._reached[key] = (
                np.array([number for number, _ in found], dtype=np.int64),
                np.array([truth for _, truth in found], dtype=np.int8),
            )
        return self._reached[key]

    def _each(self, match: PeerMatch, here: WorkloadVersion, there: There, asked: npt.NDArray[np.bool_]) -> _Truths:
        """Return how surely a peer covers each end that is asked about, one by one; NO for the others."""
        answers = self._single.setdefault((match, here.ref.cluster), {})
        found: _Truths = np.zeros(len(there.numbers), dtype=np.int8)
        never = self._peers.never_pods(match)
        for place in np.flatnonzero(asked & ~self._is_pod[there.numbers] if never else asked):
            number = int(there.numbers[place])
            if number not in answers:
                answers[number] = self._peers.covers(match, self._ends[number], here)
            found[place] = answers[number]
        return found
