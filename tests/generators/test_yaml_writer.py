"""The YAML writer: layout, quoting, comments, and the round trip through two independent readers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generators.yaml_writer import Commented, Node, clean, dump, plain
from tests.strategies import HOSTILE, hostile_text

SCALARS = st.one_of(st.text(), hostile_text().filter(lambda text: "\ud800" not in text), st.integers(), st.booleans())


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw lists and mappings of ``children``."""
    return st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=20), children, max_size=4)


def commented(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw lists and mappings whose members may have hostile comments."""
    comments = st.lists(hostile_text(), max_size=3).map(tuple)
    return containers(children | st.builds(Commented, children, comments))


TREES = st.recursive(SCALARS, containers, max_leaves=20)
COMMENTED_TREES = st.recursive(SCALARS, commented, max_leaves=20)


def test_the_layout_is_block_style_in_insertion_order() -> None:
    """Mappings keep their order, lists are indented below their key, empty collections stay on the line."""
    node: Node = {
        "kind": "Policy",
        "spec": {"b": [{"port": "80", "end": 81}, [True, "x"], "y"], "a": {}, "c": []},
    }
    assert dump(node) == (
        "kind: Policy\n"
        "spec:\n"
        "  b:\n"
        '    - port: "80"\n'
        "      end: 81\n"
        "    - - true\n"
        "      - x\n"
        '    - "y"\n'
        "  a: {}\n"
        "  c: []\n"
    )


def test_comments_stand_above_what_they_are_about() -> None:
    """Comments go above the document, a key or a list item, at its indent, one line each."""
    node = Commented(
        {"a": Commented([Commented({"k": Commented(1, ("about k",))}, ("about the item", ""))], ("about a",))},
        ("about all",),
    )
    assert dump(node) == (
        "# about all\n"
        "# about a\n"
        "a:\n"
        "  # about the item\n"
        "  #\n"
        "  # about k\n"
        "  - k: 1\n"
    )  # fmt: skip


@pytest.mark.parametrize("text", ["TCP", "cilium.io/v2", "kubernetes.io/metadata.name", "a_b-c", "10.0.0.0/8"])
def test_clear_strings_are_plain(text: str) -> None:
    """What no reader can misread is not quoted."""
    assert dump(text) == f"{text}\n"


@pytest.mark.parametrize(
    "text",
    [
        *("y", "N", "yes", "No", "on", "OFF", "true", "False", "null", "NULL", "~", "", " a", "a ", "a b"),
        *("1", "-1", "1.18", "1e3", "0x1F", "0o17", "017", "1_000", "1:30", "8000:8010", ".inf", "2026-11-01"),
        *("<<", "=", "- a", "a: b", "a #b", "#", "*a", "&a", "!a", "%a", "@a", "`a", "k8s:app", "a,b", "[a]", "{a}"),
        *("::/0", "2001:db8::/32", "10.0.0.1"),
    ],
)
def test_doubtful_strings_are_quoted(text: str) -> None:
    """What some YAML 1.1 or 1.2 reader takes for a number, boolean, null, date, merge key or syntax is quoted."""
    assert dump(text) == f'"{text}"\n'


def test_everything_outside_printable_ascii_is_escaped() -> None:
    """Control, bidirectional and other non-ASCII characters become escapes, in scalars and comments."""
    text = 'a"\\\n\x00\x85\u202e\U0001f600'
    assert dump(text) == '"a\\"\\\\\\x0a\\x00\\x85\\u202e\\U0001f600"\n'
    assert dump(Commented("x", (text,))) == '# a"\\\\n\\x00\\x85\\u202e\\U0001f600\nx\n'


@given(text=hostile_text())
def test_clean_text_stays_as_it_is(text: str) -> None:
    """Cleaning twice is cleaning once, so that text may be cleaned where it is measured and where it is written."""
    assert clean(clean(text)) == clean(text)


def test_clean_cuts_long_text_visibly() -> None:
    """A cut text has exactly the asked length and ends with dots."""
    assert clean("x" * 50, 10) == "xxxxxxx..."
    assert clean("x" * 10, 10) == "x" * 10


def test_a_value_that_yaml_has_no_word_for_is_refused() -> None:
    """None and floats are errors of the caller, not output."""
    with pytest.raises(TypeError, match="NoneType"):
        dump({"a": None})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="float"):
        dump([1.5])  # type: ignore[list-item]


def test_a_key_too_long_for_yaml_is_refused() -> None:
    """Readers give up on simple keys over 1,024 characters, so such a key is an error."""
    with pytest.raises(ValueError, match="too long"):
        dump({"k" * 1_001: 1})


@given(tree=TREES)
def test_two_readers_read_back_what_was_written(tree: Any) -> None:
    """The pure and the C reader both return exactly the tree, types included."""
    text = dump(tree)
    assert repr(yaml.safe_load(text)) == repr(tree)
    assert repr(yaml.load(text, Loader=yaml.CSafeLoader)) == repr(tree)  # noqa: TID251 - the safe C reader
    assert text.isascii()


@given(tree=COMMENTED_TREES)
def test_comments_change_nothing(tree: Any) -> None:
    """Whatever the comments say, readers see the tree without them."""
    text = dump(tree)
    assert repr(yaml.safe_load(text)) == repr(plain(tree))
    assert all(0x20 <= ord(character) < 0x7F or character == "\n" for character in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_comments_stay_on_their_line(text: str) -> None:
    """No comment ends before its line does."""
    assert len(dump(Commented({"a": 1}, (text,))).splitlines()) == 2
