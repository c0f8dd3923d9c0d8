"""Unusual spellings of Hubble JSON become the usual one, and nothing ambiguous gets through."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hubble_wire import CAMEL_MARKS, count_colons, normalise
from tests.flows_factory import event, flow, pod

_KEEP = {"IP", "Type", "TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6", "SYN", "ACK", "RST", "FIN", "Summary"}


def camel(value: Any) -> Any:
    """Return a document with lowerCamelCase names, as protobuf-JSON writes them by default."""
    if isinstance(value, dict):
        return {
            name if name in _KEEP else re.sub("_([a-z0-9])", lambda found: found[1].upper(), name): camel(inner)
            for name, inner in value.items()
        }
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def test_camel_case_becomes_snake_case() -> None:
    """A whole flow with lowerCamelCase names reads as the same flow."""
    whole = event(
        flow(
            source=pod("web", cluster_name="east"), drop_reason_desc="X", egress_allowed_by=[{"name": "p"}], ip=None,
            aggregate={"egress_flow_count": 3, "unknown_direction_flow_count": 1}, is_reply=True, proxy_port=1,
        )
    )  # fmt: skip
    raw = json.dumps(camel(whole)).encode()
    assert any(mark in raw for mark in CAMEL_MARKS)
    assert json.loads(normalise(raw)) == whole


def test_snake_case_stays() -> None:
    """What is usual already is not changed."""
    whole = event(flow())
    assert json.loads(normalise(json.dumps(whole, indent=2).encode())) == whole


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a":1,"a":2}', "occurs twice"),
        (b'{"flow":{"verdict":"DROPPED","verdict":"FORWARDED"}}', "occurs twice"),
        (b'{"nodeName":"a","node_name":"b"}', "occurs twice"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":Infinity}', "not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_not_one_clear_object_is_refused(raw: bytes, message: str) -> None:
    """Keys that occur twice (also in two spellings), constants that are not JSON, and other documents are errors."""
    with pytest.raises(ValueError, match=message):
        normalise(raw)


@given(st.binary(max_size=120))
def test_any_bytes_are_an_object_or_an_error(raw: bytes) -> None:
    """Nothing but ``ValueError`` comes out."""
    try:
        found = normalise(raw)
    except ValueError:
        return
    assert isinstance(json.loads(found), dict)


@given(st.lists(st.lists(st.sampled_from((b":", b"a", b":" * 70, b"x" * 61)), max_size=6).map(b"".join), max_size=9))
def test_colons_are_counted_per_line(lines: list[bytes]) -> None:
    """The bitmap counts what counting each line counts, wherever lines begin and end."""
    assert count_colons(lines) == [line.count(b":") for line in lines]
