"""Tests of discovery.verify.selectors: Calico's selector language, by its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Labels
from discovery.verify.conditions import Attributes, Both, Condition, Operator, Requirement, Scope, holds_for
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.selectors import EVERYTHING, MAX_DEPTH, NOTHING, parse_selector, split_pairs
from discovery.verify.truth import Truth


def holds(text: str, labels: dict[str, str]) -> bool:
    """Say whether a selector holds for labels; it is never in doubt."""
    attributes = Attributes(pod=Labels.of(labels), namespace=None, account=None)
    truth = holds_for(parse_selector(text, "s"), attributes, None)
    assert truth is not Truth.MAYBE
    return truth is Truth.YES


def asks(key: str, operator: Operator, *values: str) -> Requirement:
    """Return what is asked of one pod label."""
    return Requirement(scope=Scope.POD, key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("app == 'web'", [{"app": "web"}], [{}, {"app": "db"}, {"app": ""}]),
        ("app=='web'", [{"app": "web"}], [{}]),
        ('app == "web"', [{"app": "web"}], [{"app": '"web"'}]),
        ('app == "it\'s"', [{"app": "it's"}], [{"app": "its"}]),
        ("app == 'say \"a\"'", [{"app": 'say "a"'}], [{}]),
        ("app == 'a\\'", [{"app": "a\\"}], [{"app": "a"}]),
        ("app == ''", [{"app": ""}], [{}, {"app": "x"}]),
        ("app != 'web'", [{}, {"app": "db"}], [{"app": "web"}]),
        ("app in {'a','b'}", [{"app": "a"}, {"app": "b"}], [{}, {"app": "c"}]),
        ("app in { \"a\" , 'b' }", [{"app": "a"}, {"app": "b"}], [{"app": "c"}]),
        ("app not in {'a','b'}", [{}, {"app": "c"}], [{"app": "a"}, {"app": "b"}]),
        ("has(app)", [{"app": ""}, {"app": "x"}], [{}]),
        ("has( app )", [{"app": "x"}], [{}]),
        ("!has(app)", [{}], [{"app": "x"}]),
        ("! has(app)", [{}], [{"app": "x"}]),
        ("app contains 'eb'", [{"app": "web"}, {"app": "eb"}], [{}, {"app": "db"}]),
        ("app starts with 'we'", [{"app": "web"}, {"app": "we"}], [{}, {"app": "awe"}]),
        ("app ends with 'eb'", [{"app": "web"}], [{}, {"app": "ebb"}]),
        ("app starts  with 'we'", [{"app": "web"}], [{"app": "x"}]),
        ("all()", [{}, {"app": "x"}], []),
        ("!all()", [], [{}, {"app": "x"}]),
        ("", [{}, {"app": "x"}], []),
        (" \t\n", [{}, {"app": "x"}], []),
        ("example.com/part_of-x == 'a && b'", [{"example.com/part_of-x": "a && b"}], [{}]),
        ("has(has) && in in {'all'} && not == 'x'", [{"has": "", "in": "all", "not": "x"}], [{}]),
        ("a == 'x' && a == 'y'", [], [{"a": "x"}, {"a": "y"}]),
    ],
)
def test_each_form_means_what_the_reference_says(
    text: str, yes: list[dict[str, str]], no: list[dict[str, str]]
) -> None:
    """Missing labels satisfy ``!=``, ``not in`` and ``!has`` alone; values are taken as they are quoted."""
    assert [holds(text, labels) for labels in yes] == [True] * len(yes)
    assert [holds(text, labels) for labels in no] == [False] * len(no)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("has(a) || has(b) && has(c)", "has(a) || (has(b) && has(c))"),
        ("has(a) && has(b) || has(c)", "(has(a) && has(b)) || has(c)"),
        ("!has(a) && has(b)", "(!has(a)) && has(b)"),
        ("!has(a) || has(b)", "(!has(a)) || has(b)"),
        ("!a == 'x'", "!(a == 'x')"),
        ("!a in {'x'} && has(b)", "(!(a in {'x'})) && has(b)"),
        ("!!has(a)", "has(a)"),
        ("!(has(a) && has(b))", "!has(a) || !has(b)"),
        ("(((has(a))))", "has(a)"),
        ("has(a)&&has(b)||!has(c)", "(has(a) && has(b)) || (!has(c))"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    """Match operators bind first, then parentheses, ``!``, ``&&`` and ``||``."""
    for mask in range(8):
        labels = {key: "x" for bit, key in enumerate("abc") if mask >> bit & 1}
        assert holds(text, labels) is holds(same, labels), labels


@pytest.mark.parametrize(
    "text",
    [
        "app",
        "app ==",
        "app = 'web'",
        "== 'web'",
        "app == 'web' &&",
        "|| app == 'web'",
        "app == 'web' app == 'db'",
        "app == 'web",
        "app == 'it''s'",
        "app == web",
        "'app' == 'web'",
        "app in 'a'",
        "app in {'a'",
        "app in {'a' 'b'}",
        "app in {a}",
        "app not {'a'}",
        "app not 'a'",
        "app starts 'a'",
        "app with 'a'",
        "app matches 'a'",
        "app contains {'a'}",
        "has()",
        "has(a b)",
        "has('a')",
        "has(a",
        "(has(a)",
        "has(a))",
        "()",
        "!",
        "!!",
        "& has(a)",
        "has(a) & has(b)",
        "all(a)",
        "all",
        "none()",
        "app == 'a'\x00",
        "app == \u2018a\u2019",
        "\u00e4pp == 'a'",
    ],
)
def test_broken_text_is_refused(text: str) -> None:
    """Nothing is guessed; the error names the field and shows the text."""
    with pytest.raises(NotEvaluatedError, match=r"^spec\.selector: selector .* cannot be read$"):
        parse_selector(text, "spec.selector")


@pytest.mark.parametrize("text", ["global()", "!global()", "global() || has(a)", "has(a) && global()"])
def test_global_is_no_condition_on_labels(text: str) -> None:
    """It stands alone in the namespaceSelector of an entity, which others read."""
    with pytest.raises(NotEvaluatedError, match=r"^s: global"):
        parse_selector(text, "s")


@pytest.mark.parametrize("value", [None, 3, 1.5, True, ["a"], {}])
def test_a_selector_is_a_string(value: object) -> None:
    """Anything but a string is refused."""
    with pytest.raises(NotEvaluatedError, match=r"^s: expected a selector"):
        parse_selector(value, "s")


def test_nesting_is_limited() -> None:
    """What is as deep as the limit is read; anything deeper is a finding and no crash, however deep."""
    assert holds("(" * MAX_DEPTH + "has(a)" + ")" * MAX_DEPTH, {"a": ""})
    assert holds("!" * MAX_DEPTH + "has(a)", {"a": ""})
    for text in ("(" * 33 + "has(a)" + ")" * 33, "!" * 33 + "has(a)", "(" * 100_000, "!(" * 50_000):
        with pytest.raises(NotEvaluatedError, match=f"^s: the selector is nested deeper than {MAX_DEPTH}$"):
            parse_selector(text, "s")


def test_long_lists_are_not_nested() -> None:
    """Thousands of parts side by side are read."""
    assert holds(" && ".join(["has(a)"] * 5_000), {"a": ""})
    assert holds(" || ".join(["has(b)"] * 5_000 + ["has(a)"]), {"a": ""})
    assert holds("a in {" + ", ".join(f"'{n}'" for n in range(5_000)) + "}", {"a": "4999"})


def test_a_key_that_the_maker_refuses_is_a_finding() -> None:
    """What a key means is for the caller to say; its ValueError becomes a located finding."""

    def refuse(key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
        raise ValueError(f"{key} {operator.value} {'|'.join(values)}")

    with pytest.raises(NotEvaluatedError, match=r"^s: k in a\|b$"):
        parse_selector("k in {'b', 'a', 'b'}", "s", refuse)
    with pytest.raises(NotEvaluatedError, match=r"^s: k has $"):
        parse_selector("has(k)", "s", refuse)


def test_pairs_are_split_from_the_rest() -> None:
    """One equality per key and scope is a pair; a second one, other operators and other scopes stay conditions."""
    condition = parse_selector("a == 'x' && b in {'y'} && a == 'z' && has(c) && (d == 'x' || has(e))", "s")
    labels, more = split_pairs(condition, Scope.POD)
    assert labels == Labels.of({"a": "x", "b": "y"})
    assert set(more) == {
        asks("a", Operator.IN, "z"),
        asks("c", Operator.HAS),
        parse_selector("d == 'x' || has(e)", "s"),
    }
    assert split_pairs(condition, Scope.NAMESPACE)[0] == Labels()
    assert split_pairs(asks("a", Operator.IN, "x"), Scope.POD) == (Labels.of({"a": "x"}), ())
    assert split_pairs(EVERYTHING, Scope.POD) == (Labels(), ())
    assert split_pairs(NOTHING, Scope.POD) == (Labels(), (NOTHING,))


@dataclass(frozen=True)
class Leaf:
    """One comparison, as text and as what it says about labels."""

    key: str
    kind: Literal["==", "!=", "in", "not in", "has", "contains", "starts with", "ends with"]
    values: tuple[str, ...]

    def render(self) -> str:
        """Return the text; a value is quoted with the quote that it lacks."""
        quoted = [f'"{value}"' if "'" in value else f"'{value}'" for value in self.values]
        if self.kind == "has":
            return f"has({self.key})"
        if self.kind in ("in", "not in"):
            return f"{self.key} {self.kind} {{{', '.join(quoted)}}}"
        return f"{self.key} {self.kind} {quoted[0]}"

    def truth(self, labels: dict[str, str]) -> bool:
        """Return what the reference says."""
        value = labels.get(self.key)
        if value is None:
            return self.kind in ("!=", "not in")
        return {
            "!=": value != self.values[0],
            "not in": value not in self.values,
            "has": True,
            "==": value == self.values[0],
            "in": value in self.values,
            "contains": self.values[0] in value,
            "starts with": value.startswith(self.values[0]),
            "ends with": value.endswith(self.values[0]),
        }[self.kind]


@dataclass(frozen=True)
class Node:
    """A connective over parts; ``!`` has one. ``wrapped`` puts parentheses that are not needed."""

    kind: Literal["!", "&&", "||"]
    parts: tuple[Tree, ...]
    wrapped: bool

    def render(self) -> str:
        """Return the text with the parentheses that precedence asks for."""
        weaker = {"!": ("&&", "||"), "&&": ("||",), "||": ()}[self.kind]
        texts = [
            f"({part.render()})" if isinstance(part, Node) and part.kind in weaker else part.render()
            for part in self.parts
        ]
        text = f"!{texts[0]}" if self.kind == "!" else f" {self.kind} ".join(texts)
        return f"( {text} )" if self.wrapped else text

    def truth(self, labels: dict[str, str]) -> bool:
        """Return what the connective says."""
        found = [part.truth(labels) for part in self.parts]
        return not found[0] if self.kind == "!" else all(found) if self.kind == "&&" else any(found)


Tree = Leaf | Node
KEYS = st.sampled_from(["a", "b", "in", "not", "x.io/c", "has"])
VALUES = st.sampled_from(["", "a", "ab", "b", "it's", 'a"b', "&&", "a || b", "!has(a)", "}", "\u00e4"])
LEAVES = st.builds(
    Leaf,
    KEYS,
    st.sampled_from(["==", "!=", "in", "not in", "has", "contains", "starts with", "ends with"]),
    st.lists(VALUES, min_size=1, max_size=3, unique=True).map(tuple),
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Node, st.just("!"), st.tuples(inner), st.booleans())
        | st.builds(
            Node, st.sampled_from(["&&", "||"]), st.lists(inner, min_size=2, max_size=3).map(tuple), st.booleans()
        )
    ),
    max_leaves=10,
)


@given(TREES, st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=4))
def test_rendered_conditions_mean_the_same(tree: Tree, many: list[dict[str, str]]) -> None:
    """A condition written as text and read back has the same truth for any labels."""
    text = tree.render()
    for labels in many:
        assert holds(text, labels) is tree.truth(labels), text


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["a", "'b'", '"', "'", "==", "!=", "!", "(", ")", "&&", "||", "in", "not", "{", "}", ",", "has(a)", "all()",
             "global()", "starts", "with", "contains", "has(", " ", "\t", "\x00", "\ud800", "(" * 40]
        ),
        max_size=30,
    ).map(" ".join)
)  # fmt: skip
def test_hostile_text_is_read_or_refused(text: str) -> None:
    """No other exception, and a message that is short and printable."""
    said = "s: "
    try:
        parse_selector(text, "s")
    except NotEvaluatedError as error:
        said = str(error)
    assert said.startswith("s: ")
    assert said.isprintable()
    assert len(said) < 150


@given(st.dictionaries(st.text("abcXYZ019_./-", min_size=1, max_size=8), st.text(max_size=8), max_size=4))
def test_quoted_pairs_round_trip(pairs: dict[str, str]) -> None:
    """Whatever is quoted with the quote that it lacks reads back as it was."""
    pairs = {key: value for key, value in pairs.items() if not ("'" in value and '"' in value)}
    terms = [f'{k} == "{v}"' if "'" in v else f"{k} == '{v}'" for k, v in pairs.items()]
    found = parse_selector(" && ".join(terms) or "all()", "s")
    assert split_pairs(found, Scope.POD) == (Labels.of(pairs), ())
    assert isinstance(found, Both if len(pairs) != 1 else Requirement)
