"""The registry of collectors: names resolve on use, content is sniffed, names of files play no part."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.base import RecordReader
from collectors.framing import Framing
from collectors.registry import COLLECTORS, HEAD, read_head, reader_class, sniff
from collectors.sources import open_stream
from discovery.model.errors import UnknownFormatError
from tests.flows_factory import event, flow, line, lines


@pytest.mark.parametrize("name", sorted(COLLECTORS))
def test_every_name_resolves_to_its_reader(name: str) -> None:
    """Each registered format has a reader that calls itself by that name."""
    found = reader_class(name)
    assert issubclass(found, RecordReader)
    assert found.source == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    """A wrong --format says which there are."""
    with pytest.raises(UnknownFormatError) as caught:
        reader_class("pcap")
    assert all(name in (caught.value.hint or "") for name in COLLECTORS)


@pytest.mark.parametrize(
    ("head", "framing"),
    [
        (lines([flow()]), Framing.LINES),
        (b"\xef\xbb\xbf" + lines([flow()]), Framing.LINES),
        (json.dumps(flow()).encode(), Framing.LINES),
        (json.dumps([event(flow())]).encode(), Framing.ARRAY),
        (json.dumps([flow(), flow()], indent=2).encode(), Framing.ARRAY),
        (json.dumps({"items": [event(flow())]}).encode(), Framing.ITEMS),
        (json.dumps(event(flow()), indent=2).encode(), Framing.OBJECTS),
        (b'{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"5"}}\n', Framing.LINES),
        (b'{"lostEvents":{"numEventsLost":"5"},"nodeName":"n"}\n', Framing.LINES),
        (b'{"agent_event":{"type":"AGENT_STARTED"}}\n', Framing.LINES),
        (line(flow())[40:] + b"\n" + lines([flow()]), Framing.LINES),
        (line(flow())[:40] + b"\n" + lines([flow()]), Framing.LINES),
    ],
    ids=[
        "lines",
        "bom",
        "bare",
        "array",
        "pretty-array",
        "items",
        "pretty",
        "lost",
        "camel-lost",
        "agent",
        "torn",
        "torn-2",
    ],
)
def test_hubble_is_recognised_by_content(head: bytes, framing: Framing) -> None:
    """Every layout that Hubble is kept in is told from its content, also when the first line is torn."""
    assert sniff(head, "input") == ("hubble", framing)


@pytest.mark.parametrize("head", [b"hello\n", b"{}\n", b"[]", b'{"a": 1}\n', b"\x00" * 100, b"[" * 200_000, b"1\n"])
def test_content_that_nobody_knows_is_one_error(head: bytes) -> None:
    """What no collector recognises is refused, naming the input and what to do."""
    with pytest.raises(UnknownFormatError, match="some-input") as caught:
        sniff(head, "some-input")
    assert "--format" in (caught.value.hint or "")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_format_or_the_one_error(head: bytes) -> None:
    """No content crashes the sniffing of any collector."""
    try:
        name, framing = sniff(head, "input")
    except UnknownFormatError:
        return
    assert name in COLLECTORS
    assert framing in Framing


def test_the_head_is_bounded() -> None:
    """At most a quarter MiB is looked at, all of it when the stream has it."""
    assert len(read_head(io.BytesIO(b"x" * (HEAD * 2)))) == HEAD
    assert read_head(io.BytesIO(b"abc")) == b"abc"


def test_the_head_of_a_cut_stream_is_what_there_is(tmp_path: Path) -> None:
    """A gzip that was cut off can still be recognised by its beginning."""
    path = tmp_path / "flows"
    path.write_bytes(gzip.compress(lines([flow(uuid=str(number)) for number in range(300)]))[:-30])
    with open_stream(str(path)) as stream:
        assert sniff(read_head(stream), "flows") == ("hubble", Framing.LINES)
