"""Tests of discovery.verify.cover."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Entity, Labels
from discovery.verify.cover import Cover, There
from discovery.verify.ends import AddressEnd, End, EntityEnd, PeerMatcher, PodEnd
from discovery.verify.rules import (
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    ExceptMatch,
    LocalMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    UnclearMatch,
)
from discovery.verify.truth import any_of
from tests.discovery.verify.builders import platform, version

ENDS: list[End] = [
    PodEnd(version=version("a")),
    PodEnd(version=version("b", namespace="far"), address="10.0.0.1"),
    PodEnd(version=version("a", cluster="c2")),
    EntityEnd(entity=Entity.WORLD),
    EntityEnd(entity=Entity.KUBE_APISERVER, address="10.0.0.2"),
    AddressEnd(address="10.0.0.3"),
    AddressEnd(address="10.0.0.0/7"),
    AddressEnd(address="10.0.0.4", resolved=False),
]
LEAVES: st.SearchStrategy[PeerMatch] = st.sampled_from(
    [
        AnyMatch(),
        LocalMatch(),
        UnclearMatch(what="x"),
        UnclearMatch(what="x", nodes=True),
        EntityMatch(entity=Entity.WORLD),
        CidrMatch(prefixes=("10.0.0.0/8",)),
        PodMatch(labels=Labels.of({"app": "a"})),
        PodMatch(namespace="far"),
        PodMatch(cluster="c2"),
    ]
)


def _joined(inner: st.SearchStrategy[PeerMatch]) -> st.SearchStrategy[PeerMatch]:
    """Draw matches that are made of others."""
    parts = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        parts.map(lambda found: AllMatch(parts=found)),
        parts.map(lambda found: OneMatch(parts=found)),
        inner.map(lambda part: ExceptMatch(part=part)),
    )


@given(
    st.lists(st.recursive(LEAVES, _joined, max_leaves=4), max_size=3),
    st.sampled_from(["cilium=1.18", "cilium=1.19", "calico=3.30", "kubernetes=1.31;enforcer=strict"]),
)
def test_answers_are_those_for_each_end(matches: list[PeerMatch], on: str) -> None:
    """Every peer covers every end as surely as it does alone, asked twice and from another cluster."""
    matcher = PeerMatcher(platform(on))
    cover = Cover(matcher, ENDS)
    there = There(np.arange(len(ENDS)), np.arange(len(ENDS)))
    for here in (version("w"), version("w"), version("w", cluster="c2")):
        expected = [any_of(matcher.covers(match, end, here) for match in matches) for end in ENDS]
        assert cover.any_of(matches, here, there).tolist() == expected
