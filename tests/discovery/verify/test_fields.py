"""Strict access to fields: what is not understood raises with its place, and nothing hostile reaches a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.conditions import Operator, Requirement, Scope
from discovery.verify.fields import (
    NOT_EVALUATED,
    PARTLY_EVALUATED,
    Head,
    Notes,
    NotEvaluatedError,
    RuleList,
    home,
    integer,
    label_selector,
    mapping,
    match_labels,
    only,
    read_head,
    read_rules,
    requirements,
    sequence,
    shown,
    string,
    unread,
)
from discovery.verify.rules import AnyMatch, PodMatch, ReadRule, UnclearMatch
from tests.discovery.verify.builders import codes

RULE = ReadRule(peers=(AnyMatch(),), protocol=Protocol.TCP, ports=PortSet.of(80))
HEAD = Head(api_version="v1", kind="NetworkPolicy", name="p", namespace="shop")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=5)


@given(TREES)
def test_a_value_is_shown_on_one_short_line(value: object) -> None:
    """ASCII, printable and bounded, whatever a manifest holds."""
    text = shown(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 83


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("\u202e", r"'\u202e'"),
        ({"a": 1}, "a mapping of 1"),
        ([], "a list of 0"),
        ("x" * 99, "'" + "x" * 79 + "..."),
    ],
)
def test_what_is_shown(value: object, text: str) -> None:
    """Scalars escaped and cut, collections by their size."""
    assert shown(value) == text


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: mapping(None, "w"), {}),
        (lambda: mapping({"a": 1}, "w"), {"a": 1}),
        (lambda: sequence(None, "w"), []),
        (lambda: sequence([1], "w"), [1]),
        (lambda: only({"a": 1}, ("a", "b"), "w"), {"a": 1}),
        (lambda: string("a", "w"), "a"),
        (lambda: integer(1, 1, 2, "w"), 1),
        (lambda: integer(2, 1, 2, "w"), 2),
        (lambda: match_labels(None, "w"), Labels()),
        (lambda: match_labels({"matchExpressions": []}, "w"), Labels()),
        (lambda: match_labels({"matchLabels": {"b": "", "a": "x"}}, "w"), Labels.of({"a": "x", "b": ""})),
    ],
)
def test_what_is_understood_is_returned(call: Callable[[], object], expected: object) -> None:
    """Null is the empty collection where nothing else is meant; bounds are inclusive."""
    assert call() == expected


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: mapping([], "w"), "w"),
        (lambda: mapping({1: 2}, "w"), "w"),
        (lambda: mapping("", "w"), "w"),
        (lambda: sequence({}, "w"), "w"),
        (lambda: sequence("ab", "w"), "w"),
        (lambda: only({"a": 1, "c": 2}, ("a",), "w"), "w"),
        (lambda: string("", "w"), "w"),
        (lambda: string(1, "w"), "w"),
        (lambda: string(None, "w"), "w"),
        (lambda: integer(True, 0, 2, "w"), "w"),
        (lambda: integer("1", 0, 2, "w"), "w"),
        (lambda: integer(1.0, 0, 2, "w"), "w"),
        (lambda: integer(3, 0, 2, "w"), "w"),
        (lambda: integer(-1, 0, 2, "w"), "w"),
        (lambda: match_labels({"matchExpressions": [{}]}, "w"), "w.matchExpressions"),
        (lambda: match_labels({"matchLabels": {"a": 1}}, "w"), "w.matchLabels"),
        (lambda: match_labels({"matchLabels": {"a": None}}, "w"), "w.matchLabels"),
        (lambda: match_labels({"labels": {}}, "w"), "w"),
        (lambda: match_labels([], "w"), "w"),
    ],
)
def test_what_is_not_understood_raises_with_its_place(call: Callable[[], object], where: str) -> None:
    """Never a default, never a conversion."""
    with pytest.raises(NotEvaluatedError) as caught:
        call()
    assert str(caught.value).startswith(f"{where}: ")


def test_the_first_unknown_field_is_named() -> None:
    """In a fixed order, so that the finding is the same each time, and escaped."""
    with pytest.raises(NotEvaluatedError, match=r"^w: field 'a\\n' is not evaluated$"):
        only({"z": 1, "a\n": 2, "known": 3}, ("known",), "w")


def test_a_head_is_read() -> None:
    """Version, kind and name are required; a namespace may be missing, and is then unknown."""
    document = {"apiVersion": "v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}}
    assert read_head(document) == HEAD
    assert read_head({**document, "metadata": {"name": "p"}}).namespace is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"apiVersion": None}, "apiVersion"),
        ({"kind": 1}, "kind"),
        ({"metadata": None}, "metadata.name"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"name": ""}}, "metadata.name"),
        ({"metadata": {"name": "p", "namespace": ""}}, "metadata.namespace"),
        ({"metadata": {"name": "p", "namespace": 1}}, "metadata.namespace"),
    ],
)
def test_a_head_that_an_api_server_would_refuse_raises(change: dict[str, object], where: str) -> None:
    """The place is the field."""
    document = {"apiVersion": "v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, **change}
    with pytest.raises(NotEvaluatedError, match=f"^{where}: "):
        read_head(document)


def test_a_missing_namespace_is_assumed_aloud() -> None:
    """A client would put it wherever it points: read as default, with a warning; one that is there needs none."""
    notes = Notes("f:1")
    assert home(HEAD, notes) == "shop"
    assert notes.found == []
    assert home(Head(api_version="v1", kind="K", name="p\n", namespace=None), notes) == "default"
    (found,) = notes.found
    assert (found.code, found.level, found.subject) == ("namespace-assumed", Level.WARNING, "f:1")
    assert r"K 'p\n' has no namespace" in found.message
    assert found.hint


def test_notes_say_what_was_not_evaluated_and_what_was_surely_not_meant() -> None:
    """The first is an error, because decisions depend on it; the second a warning; both at the document."""
    notes = Notes("f:1")
    notes.reject(NotEvaluatedError("spec.x", "odd"))
    notes.warn("no-effect", "nothing")
    first, second = notes.found
    assert (first.code, first.level, first.subject, first.message) == (
        "not-evaluated",
        Level.ERROR,
        "f:1",
        "spec.x: odd",
    )
    assert first.hint
    assert second == Diagnostic(code="no-effect", level=Level.WARNING, subject="f:1", message="nothing")


def read_one(item: dict[str, Any], where: str) -> tuple[list[ReadRule], set[str]]:
    """Read a rule that may be bad, may be nothing and may need something."""
    if "bad" in item:
        raise NotEvaluatedError(f"{where}.bad", "odd")
    return ([RULE] if "rule" in item else []), set(item.get("needs", ()))


@pytest.mark.parametrize(
    ("value", "expected", "places"),
    [
        (None, RuleList(rules=(), complete=True, needs=frozenset()), []),
        ([], RuleList(rules=(), complete=True, needs=frozenset()), []),
        ([{}], RuleList(rules=(), complete=True, needs=frozenset()), []),
        (
            [{"rule": 1, "needs": ["a"]}, {"rule": 1, "needs": ["b"]}],
            RuleList(rules=(RULE, RULE), complete=True, needs=frozenset({"a", "b"})),
            [],
        ),
        (
            [{"bad": 1}, {"rule": 1}, {"bad": 1}],
            RuleList(rules=(RULE,), complete=False, needs=frozenset()),
            ["w[0].bad", "w[2].bad"],
        ),
        ([None], RuleList(rules=(), complete=False, needs=frozenset()), ["w[0]"]),
        ([{"rule": 1}, "x"], RuleList(rules=(RULE,), complete=False, needs=frozenset()), ["w[1]"]),
        ({"rule": 1}, RuleList(rules=(), complete=False, needs=frozenset()), ["w"]),
    ],
)
def test_a_rule_that_is_not_evaluated_makes_the_list_incomplete(
    value: object, expected: RuleList, places: list[str]
) -> None:
    """The other rules are kept; each bad one is said with its place; null is no empty rule."""
    notes = Notes("f:1")
    assert read_rules(value, "w", read_one, notes) == expected
    assert [found.message.partition(":")[0] for found in notes.found] == places
    assert set(codes(tuple(notes.found))) <= {"not-evaluated"}


@pytest.mark.parametrize("namespace", ["shop", None])
def test_a_manifest_that_was_not_read_may_do_anything_in_its_place(namespace: str | None) -> None:
    """Both directions of every pod there: it isolates, allows nothing for certain, and is incomplete."""
    found = unread(Dialect.CALICO, HEAD, namespace, "f:1", staged=True)
    assert [policy.direction for policy in found] == list(Direction)
    for policy in found:
        assert policy.subject == PodMatch(namespace=namespace)
        assert (policy.dialect, policy.kind, policy.name, policy.namespace, policy.source) == (
            Dialect.CALICO,
            "NetworkPolicy",
            "p",
            namespace,
            "f:1",
        )
        assert (policy.isolates, policy.complete, policy.staged, policy.opt_in, policy.rules) == (
            True,
            False,
            True,
            False,
            (),
        )


def expression(key: object, operator: object, *values: object) -> dict[str, Any]:
    """Return one label expression; ``values`` is there when it has any."""
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, []),
        ({}, []),
        ({"matchLabels": None, "matchExpressions": None}, []),
        ({"matchLabels": {}, "matchExpressions": []}, []),
        ({"matchLabels": {"b": "y", "a": ""}}, [("a", Operator.IN, ("",)), ("b", Operator.IN, ("y",))]),
        ({"matchExpressions": [expression("a", "In", "y", "x", "y")]}, [("a", Operator.IN, ("x", "y"))]),
        ({"matchExpressions": [expression("a", "NotIn", "x")]}, [("a", Operator.NOT_IN, ("x",))]),
        ({"matchExpressions": [expression("a", "NotIn", "")]}, [("a", Operator.NOT_IN, ("",))]),
        ({"matchExpressions": [expression("a", "Exists")]}, [("a", Operator.HAS, ())]),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": []}]}, [("a", Operator.LACKS, ())]),
        (
            {"matchExpressions": [expression("a", "Exists"), expression("a", "In", "x")], "matchLabels": {"a": "x"}},
            [("a", Operator.IN, ("x",)), ("a", Operator.HAS, ()), ("a", Operator.IN, ("x",))],
        ),
    ],
)
def test_requirements_of_a_label_selector(selector: object, expected: list[object]) -> None:
    """Pairs first, by key, then expressions as they are written; values sorted, each once."""
    assert requirements(selector, "w") == expected


@pytest.mark.parametrize(
    ("selector", "where"),
    [
        ("app", "w"),
        ([], "w"),
        ({"matchFields": []}, "w"),
        ({"matchLabels": {"a": 1}}, "w.matchLabels"),
        ({"matchLabels": ["a"]}, "w.matchLabels"),
        ({"matchExpressions": {}}, "w.matchExpressions"),
        ({"matchExpressions": ["a"]}, "w.matchExpressions[0]"),
        ({"matchExpressions": [expression("a", "Exists"), {"name": "a"}]}, "w.matchExpressions[1]"),
        ({"matchExpressions": [None]}, "w.matchExpressions[0].operator"),
        ({"matchExpressions": [expression("a", None)]}, "w.matchExpressions[0].operator"),
        ({"matchExpressions": [expression("a", "in", "x")]}, "w.matchExpressions[0].operator"),
        ({"matchExpressions": [expression("a", "Gt", "1")]}, "w.matchExpressions[0].operator"),
        ({"matchExpressions": [expression("a", ["In"], "x")]}, "w.matchExpressions[0].operator"),
        ({"matchExpressions": [expression("a", "In")]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("a", "NotIn")]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("a", "Exists", "x")]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("a", "DoesNotExist", "x")]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("a", "In", 1)]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("a", "In", None)]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": "x"}]}, "w.matchExpressions[0].values"),
        ({"matchExpressions": [expression("", "Exists")]}, "w.matchExpressions[0].key"),
        ({"matchExpressions": [expression(1, "Exists")]}, "w.matchExpressions[0].key"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "w.matchExpressions[0].key"),
    ],
)
def test_label_selectors_that_cannot_be_read_are_located(selector: object, where: str) -> None:
    """In both forms in which they are read."""
    for call in (lambda: requirements(selector, "w"), lambda: label_selector(selector, "w", Scope.POD)):
        with pytest.raises(NotEvaluatedError) as caught:
            call()
        assert str(caught.value).startswith(f"{where}: ")


@pytest.mark.parametrize("scope", list(Scope))
def test_a_label_selector_is_pairs_and_conditions(scope: Scope) -> None:
    """``In`` with one value is a pair, but a second one of the same key is a condition; conditions are canonical."""
    selector = {
        "matchLabels": {"app": "x"},
        "matchExpressions": [
            expression("tier", "In", "y"),
            expression("old", "DoesNotExist"),
            expression("app", "In", "z"),
            expression("env", "NotIn", "b", "a"),
            expression("old", "DoesNotExist"),
        ],
    }
    labels, more = label_selector(selector, "w", scope)
    assert labels == Labels.of({"app": "x", "tier": "y"})
    assert more == tuple(
        sorted(
            [
                Requirement(scope=scope, key="app", operator=Operator.IN, values=("z",)),
                Requirement(scope=scope, key="env", operator=Operator.NOT_IN, values=("a", "b")),
                Requirement(scope=scope, key="old", operator=Operator.LACKS),
            ],
            key=str,
        )
    )
    assert label_selector(None, "w", scope) == (Labels(), ())


@given(TREES)
def test_any_selector_is_read_or_refused(value: object) -> None:
    """No other exception, whatever is there."""
    for selector in (value, {"matchLabels": value}, {"matchExpressions": value}, {"matchExpressions": [value]}):
        said = "w"
        try:
            label_selector(selector, "w", Scope.POD)
        except NotEvaluatedError as error:
            said = str(error)
        assert said.startswith("w")


@pytest.mark.parametrize(
    ("rules", "messages"),
    [
        ([RULE], []),
        ([replace(RULE, unclear="HTTP")], ["HTTP"]),
        ([replace(RULE, unclear="HTTP"), replace(RULE, unclear="HTTP"), RULE], ["HTTP"]),
        ([replace(RULE, peers=(AnyMatch(), UnclearMatch(what="Services")))], ["Services"]),
        ([replace(RULE, peers=(UnclearMatch(what="Services"),), unclear="HTTP")], ["HTTP", "Services"]),
    ],
)
def test_what_of_a_rule_is_unclear_is_said_once_with_its_place(rules: list[ReadRule], messages: list[str]) -> None:
    """A warning: the rule is read and the list complete, but what depends on it is unknown."""
    notes = Notes("f:1")
    found = read_rules([{}, {}], "w", lambda _, where: (rules if where == "w[1]" else [RULE], set()), notes)
    assert (found.rules, found.complete) == ((RULE, *rules), True)
    assert [(one.code, one.level) for one in notes.found] == [(PARTLY_EVALUATED, Level.WARNING)] * len(messages)
    assert [one.message for one in notes.found] == [
        f"w[1]: {what}: not evaluated, so what depends on it is unknown" for what in messages
    ]
    assert (PARTLY_EVALUATED, NOT_EVALUATED) == ("partly-evaluated", "not-evaluated")
