"""Where records are in an input: lines, arrays, documents, pretty-printed objects."""

from __future__ import annotations

import io
import json
from typing import Any

import ijson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.framing import BATCH, Framing, elements, first_records, framing_of
from collectors.sources import ContentHasher
from tests.flows_factory import event, flow, line

_BOM = b"\xef\xbb\xbf"
_ONE, _TWO = event(flow()), event(flow(verdict="DROPPED"))
_TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


class _Short(io.BytesIO):
    """A stream that hands over a few bytes at a time, as pipes may."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most three bytes."""
        return super().read(min(size, 3) if size and size > 0 else size)


def _all(data: bytes, framing: Framing, stream: io.BytesIO | None = None) -> list[Any]:
    """Return the elements of a document."""
    found = elements(stream or io.BytesIO(data), framing, ContentHasher())
    return [json.loads(element) for batch in found for element in batch]


def _collect(stream: io.BytesIO, kept: list[bytes]) -> None:
    """Add the elements of an array to a list until the stream ends or breaks."""
    for batch in elements(stream, Framing.ARRAY, ContentHasher()):
        kept += batch


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", Framing.LINES),
        (line(flow()), Framing.LINES),
        (line(flow()) + b"\n" + line(flow()), Framing.LINES),
        (line(flow()) + b"\r\n" + line(flow()), Framing.LINES),
        (_BOM + line(flow()) + b"\n", Framing.LINES),
        (b"\n\n" + line(flow()) + b"\n", Framing.LINES),
        (line(flow())[:50] + b"\n" + line(flow()) + b"\n", Framing.LINES),
        (b"level=warning\n" + line(flow()), Framing.LINES),
        (b'{"flow"', Framing.LINES),
        (b" \n[{", Framing.ARRAY),
        (_BOM + b"[]", Framing.ARRAY),
        (json.dumps(_ONE, indent=1).encode(), Framing.OBJECTS),
        (b'{ "flow": {\n  "verdict": "FORWARDED"\n}}\n', Framing.OBJECTS),
        (json.dumps({"items": [_ONE]}).encode(), Framing.ITEMS),
        (json.dumps({"apiVersion": "v1", "items": [_ONE]}, indent=2).encode(), Framing.ITEMS),
        (json.dumps({"flows": [_ONE]}).encode(), Framing.FLOWS),
    ],
)
def test_framing_is_told_from_the_content(head: bytes, expected: Framing) -> None:
    """Each layout is told from the first bytes; a torn first line does not turn a line file into something else."""
    assert framing_of(head) is expected


@given(st.binary(max_size=300))
def test_any_bytes_have_a_framing_and_records(head: bytes) -> None:
    """No content crashes the detection."""
    for framing in (framing_of(head), *Framing):
        assert all(isinstance(record, bytes) for record in first_records(head, framing))


@given(st.lists(_JSON, max_size=5), st.booleans())
def test_an_array_yields_every_element(items: list[Any], with_bom: bool) -> None:
    """Every element comes out once, in order: nulls, scalars and lists too, byte-order mark or not."""
    data = (_BOM if with_bom else b"") + json.dumps(items).encode()
    assert _all(data, Framing.ARRAY) == items
    assert _all(data, Framing.ARRAY, _Short(data)) == items


@given(st.lists(st.dictionaries(_TEXT, _JSON, max_size=3), min_size=1, max_size=4), st.sampled_from((None, 1, 2)))
def test_objects_one_after_the_other(items: list[Any], indent: int | None) -> None:
    """Pretty-printed objects are read one by one, whatever stands between them."""
    data = b"\r\n".join(json.dumps(item, indent=indent).encode() for item in items)
    assert _all(data, Framing.OBJECTS) == items


@pytest.mark.parametrize(("key", "framing"), [("items", Framing.ITEMS), ("flows", Framing.FLOWS)])
def test_a_document_yields_its_list(key: str, framing: Framing) -> None:
    """``{"items": [...]}`` and ``{"flows": [...]}`` yield the list's elements and nothing else."""
    data = json.dumps({"kind": "List", key: [_ONE, _TWO], "total": {"items": 2}}).encode()
    assert framing_of(data) is framing
    assert _all(data, framing) == [_ONE, _TWO]
    assert json.loads(first_records(data, framing)[0]) == _ONE


def test_batches_are_bounded() -> None:
    """A long array comes in batches, so that memory does not grow with it."""
    data = json.dumps(list(range(BATCH * 2 + 1))).encode()
    assert [len(batch) for batch in elements(io.BytesIO(data), Framing.ARRAY, ContentHasher())] == [BATCH, BATCH, 1]


@pytest.mark.parametrize(
    "tail",
    [b', {"flow": ', b"", b", oops]", b"] trailing", b", NaN]", b', "\xff"]', b", " + b"[" * 50_000],
    ids=["cut", "unclosed", "no-json", "trailing", "nan", "no-utf8", "too-deep"],
)
def test_what_came_before_a_break_is_kept(tail: bytes) -> None:
    """A broken document yields what came before the break, then says so."""
    data = b"[" + json.dumps(_ONE).encode() + b", " + json.dumps(_TWO).encode() + tail
    kept: list[bytes] = []
    with pytest.raises((ijson.JSONError, ValueError)):
        _collect(io.BytesIO(data), kept)
    # One bomb is refused with the block that holds it.
    assert [json.loads(element) for element in kept] == ([] if tail.startswith(b", [") else [_ONE, _TWO])


def test_a_key_that_occurs_twice_spoils_its_element_alone() -> None:
    """Nobody knows which of two values was meant: the element becomes a line that no reader takes."""
    data = b'[{"a": 1}, {"b": {"a": 1, "a": 2}}, {"c": 3}]'
    found = [element for batch in elements(io.BytesIO(data), Framing.ARRAY, ContentHasher()) for element in batch]
    assert (found[0], found[2]) == (b'{"a":1}', b'{"c":3}')
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(found[1])


def test_a_cut_stream_keeps_what_came_before() -> None:
    """What the stream itself raises comes through, after the elements before it."""

    class Cut(io.BytesIO):
        """A stream that ends in an error."""

        def read(self, size: int | None = -1, /) -> bytes:
            """Return the data, then fail."""
            block = super().read(size)
            if size and not block:
                raise EOFError("cut")
            return block

    kept: list[bytes] = []
    with pytest.raises(EOFError, match="cut"):
        _collect(Cut(b'[{"a":1},{"b":2},'), kept)
    assert kept == [b'{"a":1}', b'{"b":2}']


def test_every_byte_is_hashed() -> None:
    """The content hash of a document is that of its bytes, byte-order mark included."""
    data = _BOM + json.dumps([_ONE, _TWO], indent=4).encode() + b"\n\n"
    hasher, plain = ContentHasher(), ContentHasher()
    assert len([*elements(io.BytesIO(data), Framing.ARRAY, hasher)]) == 1
    plain.update(data)
    assert hasher.hexdigest() == plain.hexdigest()


def test_a_torn_first_line_is_not_all_that_is_looked_at() -> None:
    """The first lines are shown without the blank ones and without a byte-order mark; a few of them, not all."""
    head = _BOM + b"\n" + b"torn\n\n" + b"x\n" * 100
    assert first_records(head, Framing.LINES)[:2] == [b"torn", b"x"]
    assert len(first_records(head, Framing.LINES)) < 25
