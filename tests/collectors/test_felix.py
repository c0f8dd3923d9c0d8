"""Strict JSON and the way of Felix' records into batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.calico import CalicoReader
from collectors.felix import StrictJson
from discovery.flows.batch import BATCH_ROWS
from tests.collectors.reading import read

LINE = (
    b'{"start_time":%d,"action":"allow","reporter":"src","proto":"udp","source_type":"wep","source_name_aggr":"a-*",'
    b'"source_namespace":"n","dest_type":"wep","dest_name_aggr":"b-*","dest_namespace":"n","dest_port":53}'
)


def test_strict_json_maps_names_and_refuses_duplicates() -> None:
    """Two spellings of one name are one key, so both in one object are a duplicate."""
    decode = StrictJson({"aB": "a_b"})
    assert decode(b'\xef\xbb\xbf{"aB":{"aB":[1]},"c":"\\u00e4"}') == {"a_b": {"a_b": [1]}, "c": "ä"}
    with pytest.raises(ValueError, match="key 'a_b' occurs twice in one object"):
        decode(b'{"x":[{"aB":1,"a_b":2}]}')


@pytest.mark.parametrize(
    "text", [b"NaN", b'{"a":-Infinity}', b'"\xff"', b'"\\ud800"', b"", b"1 2", "{}".encode("utf-16")]
)
def test_strict_json_refuses_what_is_none(text: bytes) -> None:
    """NaN, broken Unicode, several values and other encodings are no JSON."""
    with pytest.raises(ValueError, match=r"."):
        StrictJson()(text)


@given(st.binary(max_size=50))
def test_strict_json_raises_one_class(text: bytes) -> None:
    """Whatever the bytes, the result is a value or a ValueError."""
    try:
        StrictJson()(text)
    except ValueError:
        return


def test_batches_are_handed_over_when_full() -> None:
    """A full batch leaves the reader; all rows arrive, in order, with shared ends."""
    count = BATCH_ROWS + 2
    found = read(CalicoReader, *[LINE % second for second in range(count)], LINE % 1)
    assert len(found.rows) == count + 1
    assert found.rows[count - 1]["time"].timestamp() == count - 1
    assert len(found.workloads) == 2
    assert {(seen.first, seen.last) for seen in found.workloads} == {(0, (count - 1) * 1_000_000)}
