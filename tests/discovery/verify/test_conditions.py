"""Tests of discovery.verify.conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Labels
from discovery.verify.conditions import (
    ACCOUNT_NAME,
    NAMESPACE_NAME,
    Attributes,
    Both,
    Condition,
    Either,
    Neither,
    Operator,
    Requirement,
    Scope,
    holds,
    holds_for,
)
from discovery.verify.truth import Truth, negated
from tests.discovery.verify.builders import version

WEB = version("web", {"app": "web", "tier": "front"}, namespace_labels={NAMESPACE_NAME: "shop", "team": "a"})


def need(key: str, operator: Operator, *values: str, scope: Scope = Scope.POD) -> Requirement:
    """Return a requirement."""
    return Requirement(scope=scope, key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        (need("app", Operator.IN, "api", "web"), Truth.YES),
        (need("app", Operator.IN, "api"), Truth.NO),
        (need("none", Operator.IN, "api"), Truth.NO),
        (need("app", Operator.NOT_IN, "web"), Truth.NO),
        (need("none", Operator.NOT_IN, "web"), Truth.YES),
        (need("app", Operator.HAS), Truth.YES),
        (need("none", Operator.HAS), Truth.NO),
        (need("none", Operator.LACKS), Truth.YES),
        (need("tier", Operator.CONTAINS, "ron"), Truth.YES),
        (need("tier", Operator.STARTS, "fro"), Truth.YES),
        (need("tier", Operator.ENDS, "fro"), Truth.NO),
        (need("none", Operator.CONTAINS, ""), Truth.NO),
        (need("team", Operator.IN, "a", scope=Scope.NAMESPACE), Truth.YES),
        (need(NAMESPACE_NAME, Operator.IN, "shop", scope=Scope.NAMESPACE), Truth.YES),
        (need(NAMESPACE_NAME, Operator.NOT_IN, "shop", scope=Scope.NAMESPACE), Truth.NO),
        (need(ACCOUNT_NAME, Operator.IN, "default", scope=Scope.ACCOUNT), Truth.YES),
        (need("label", Operator.HAS, scope=Scope.ACCOUNT), Truth.MAYBE),
        (need("pod-template-hash", Operator.HAS), Truth.MAYBE),
        (Both(parts=(need("app", Operator.HAS), need("none", Operator.HAS))), Truth.NO),
        (Either(parts=(need("app", Operator.HAS), need("none", Operator.HAS))), Truth.YES),
        (Neither(part=need("app", Operator.HAS)), Truth.NO),
        (Both(parts=(need("app", Operator.HAS), need("pod-template-hash", Operator.HAS))), Truth.MAYBE),
        (Either(parts=(need("app", Operator.HAS), need("pod-template-hash", Operator.HAS))), Truth.YES),
    ],
)
def test_answers(condition: Condition, answer: Truth) -> None:
    """Each operator by its published meaning, and the unknown only where it decides."""
    assert holds(condition, WEB) is answer


def test_labels_that_nobody_reported_are_unknown() -> None:
    """Without labels of the namespace only its name is known; an account that no source told may have any name."""
    bare = version("web", account=None)
    bare = type(bare)(
        ref=bare.ref, labels=bare.labels, service_account=None, namespace_labels=Labels(), valid_from=0, valid_to=1
    )
    assert holds(need("team", Operator.LACKS, scope=Scope.NAMESPACE), bare) is Truth.MAYBE
    assert holds(need(NAMESPACE_NAME, Operator.IN, "shop", scope=Scope.NAMESPACE), bare) is Truth.YES
    assert holds(need(ACCOUNT_NAME, Operator.IN, "x", scope=Scope.ACCOUNT), bare) is Truth.MAYBE


def test_what_is_in_no_namespace_has_no_labels_of_one() -> None:
    """A global network set lacks every label of a namespace, its name too."""
    attributes = Attributes(pod=Labels(), namespace=None, account=Labels())
    assert holds_for(need(NAMESPACE_NAME, Operator.HAS, scope=Scope.NAMESPACE), attributes, None) is Truth.NO
    assert holds_for(need("team", Operator.LACKS, scope=Scope.NAMESPACE), attributes, None) is Truth.YES


REQUIREMENTS = st.builds(
    need,
    st.sampled_from(["app", "tier", "none", "pod-template-hash"]),
    st.sampled_from(Operator),
    st.sampled_from(["web", "front", ""]),
    scope=st.sampled_from(Scope),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    REQUIREMENTS,
    lambda inner: (
        st.builds(lambda parts: Both(parts=tuple(parts)), st.lists(inner, max_size=3))
        | st.builds(lambda parts: Either(parts=tuple(parts)), st.lists(inner, max_size=3))
        | st.builds(lambda part: Neither(part=part), inner)
    ),
    max_leaves=6,
)


@given(CONDITIONS, CONDITIONS)
def test_de_morgan(first: Condition, second: Condition) -> None:
    """Not both is either not, for every pair of conditions, and a condition can be written out."""
    both = Neither(part=Both(parts=(first, second)))
    either = Either(parts=(Neither(part=first), Neither(part=second)))
    assert holds(both, WEB) is holds(either, WEB)
    assert holds(Neither(part=first), WEB) is negated(holds(first, WEB))
    assert str(both).startswith("not (")


def test_conditions_in_words() -> None:
    """What people read."""
    wanted = Either(
        parts=(need("app", Operator.IN, "a", "b"), Neither(part=need("team", Operator.HAS, scope=Scope.NAMESPACE)))
    )
    assert str(wanted) == "(app in {a, b} or not has namespace's team)"
