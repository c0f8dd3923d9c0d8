"""Tests of discovery.verify.members."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Labels, WorkloadVersion
from discovery.verify.conditions import Operator, Requirement, Scope
from discovery.verify.members import Members
from discovery.verify.rules import PodMatch
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import version

LABELS = st.dictionaries(st.sampled_from(["app", "tier", "pod-template-hash"]), st.sampled_from(["a", "b"]), max_size=3)
VERSIONS = st.lists(
    st.builds(lambda labels, place: version("w", labels, namespace=place), LABELS, st.sampled_from(["x", "y"])),
    max_size=6,
)
WHERE = st.sampled_from([(), (Requirement(scope=Scope.POD, key="tier", operator=Operator.LACKS),)])
MATCHES = st.builds(
    lambda labels, place, where: PodMatch(namespace=place, labels=Labels.of(labels), where=where),
    LABELS,
    st.sampled_from([None, "x", "y"]),
    WHERE,
)


@given(VERSIONS, MATCHES)
def test_the_index_finds_what_a_look_at_all_finds(versions: list[WorkloadVersion], match: PodMatch) -> None:
    """Every version that is selected, or may be, and no other; asking again gives the same answer."""
    members = Members(versions)
    expected = [(one, match.selects(one)) for one in versions if match.selects(one) is not Truth.NO]
    assert sorted(members.of(match), key=repr) == sorted(expected, key=repr)
    assert members.of(match) is members.of(match)


def test_versions_are_known_as_objects() -> None:
    """An equal object is another one, which is decided the long way."""
    one = version("a")
    assert Members([one]).knows(one)
    assert not Members([one]).knows(version("a"))
