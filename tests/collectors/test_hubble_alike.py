"""Lines taken because they are like others give what they give when each is read for itself, whatever they hold."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import hubble_alike
from collectors.hubble import HubbleReader
from discovery.flows.schema import FLOWS
from discovery.model.completeness import Completeness
from tests.flows_factory import entity, pod, stamp

_VERDICTS: tuple[dict[str, Any], ...] = (
    {"verdict": "FORWARDED"},
    {"verdict": "DROPPED", "drop_reason": 133},
    {"verdict": "AUDIT"},
)
_ENDS = {
    "10.0.0.1": [pod("web"), pod("web", ID=901)],
    "10.0.0.2": [pod("cart", number=2)],
    "10.0.10.200": [pod("cart", number=3, namespace="pay")],
    "fd00::1:2": [pod("six")],
    "203.0.113.9": [{"identity": 2, "labels": ["reserved:world"]}, entity("remote-node"), entity("host")],
    "::ffff:10.0.0.7": [entity("unknown")],
}


def _random(seed: int) -> random.Random:
    """Return what draws the same every time."""
    return random.Random(seed)  # noqa: S311 - nothing here is secret


def _record(draw: random.Random, number: int) -> dict[str, Any]:
    """Return a record with the keys and the order of Hubble's exporter."""
    source, target = draw.sample(sorted(_ENDS), 2)
    verdict = draw.choice(_VERDICTS)
    port = draw.choice((53, 443, 8_080, 40_000, 65_535))
    ports: dict[str, Any] = {"source_port": port, "destination_port": draw.randrange(1, 65_536)}
    flags = draw.choice((("SYN",), ("SYN", "ACK"), ("ACK", "PSH"), ()))
    if flags:
        ports["flags"] = dict.fromkeys(flags, True)
    layer = {"TCP" if flags else "UDP": ports}
    node = draw.choice(("node-1", "east/node-22"))
    time = stamp(number * 0.001).replace("Z", "000Z").replace("+00:00", "")
    flow = {
        "time": time if "." in time else time.replace("000Z", ".000000000Z"),
        "uuid": f"{draw.getrandbits(128):032x}",
        **verdict,
        "ethernet": {name: f"0a:58:0a:00:00:{draw.randrange(16, 99)}" for name in ("source", "destination")},
        "IP": {"source": source, "destination": target, "ipVersion": "IPv6" if ":" in source else "IPv4"},
        "l4": layer,
        "source": draw.choice(_ENDS[source]),
        "destination": draw.choice(_ENDS[target]),
        "Type": "L3_L4",
        "node_name": node,
        "event_type": {"type": 4},
        "traffic_direction": draw.choice(("EGRESS", "INGRESS")),
        "trace_observation_point": draw.choice(("TO_ENDPOINT", "TO_STACK")),
        "is_reply": draw.random() < 0.5,
        "Summary": "TCP Flags: SYN",
    }
    return {"flow": flow, "node_name": node, "time": flow["time"]}


def _line(record: Any) -> bytes:
    """Return a record as the exporter writes it."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _lines(count: int = 1_500, seed: int = 3) -> list[bytes]:
    """Return lines as the exporter writes them."""
    draw = _random(seed)
    return [_line(_record(draw, number)) for number in range(count)]


_FEW = _lines(60, 11)


class Both:
    """Reads the same lines twice: as they come, and with nothing ever learned."""

    def __init__(self) -> None:
        """Begin two inputs."""
        self.tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])
        self.readers = [
            HubbleReader(tables.append, label="input", ingest_id="run", default_cluster="default")
            for tables in self.tables
        ]
        self.readers[1].alike.credit = 0
        self.next = 1

    def read(self, lines: Sequence[bytes]) -> int:
        """Read lines; return how many were taken for what they are like."""
        for reader in self.readers:
            reader.read_lines(lines, self.next)
        self.next += len(lines)
        assert not self.readers[1].builder.blocks
        return sum(len(block.rows) for block in self.readers[0].builder.blocks)

    def finish(self) -> Completeness:
        """Compare rows, accounts and workloads; return the account."""
        rows, accounts, workloads = [], [], []
        for reader, tables in zip(self.readers, self.tables, strict=True):
            reader.finish()
            found = [row for table in tables for row in table.select(FLOWS.names).to_pylist()]
            rows.append(sorted(map(repr, found)))
            accounts.append(reader.account.completeness())
            workloads.append(sorted(map(repr, reader.workloads.values())))
            assert reader.doubtful == self.readers[0].doubtful
        assert rows[0] == rows[1]
        assert accounts[0] == accounts[1]
        assert workloads[0] == workloads[1]
        return accounts[0]


@pytest.fixture(scope="module")
def usual() -> list[bytes]:
    """Return lines as the exporter writes them."""
    return _lines()


def test_lines_like_others_are_taken(usual: list[bytes]) -> None:
    """Of lines whose frames and ends are known nearly all are taken, and nothing differs."""
    both = Both()
    both.read(usual)
    before = both.read([])
    assert both.read(usual) - before > 0.95 * len(usual)
    assert both.finish().rows_read == 2 * len(usual)


def test_values_that_nobody_reads_do_not_keep_lines_from_being_alike() -> None:
    """Frames are remembered without them, and a line that spells such a frame out is none of its lines."""
    both = Both()
    taken, lines = 0, list[bytes]()
    for turn in range(3):
        records = [_record(_random(row % 40), 0) for row in range(320)]
        for row, record in enumerate(records):
            number = 1_000 * turn + row
            record["flow"]["interface"] = {"index": 1 + number, "name": f"lxc{number}"}
            record["flow"]["socket_cookie"] = str(number)
            record["flow"]["Summary"] = f"summary {number}"
        lines = [_line(record) for record in records]
        taken = both.read(lines)
    assert taken > 600
    short = [re.sub(rb',"(Summary|interfac|socket_c)[^,}]*(,"name[^}]*})?', rb',"\1', line) for line in lines]
    for mark in (b"", b"\n"):
        both.read([re.sub(rb',"(Summary"|interfac|socket_c)', rb',"\1' + mark, line) for line in short])
    assert both.finish().rows_rejected == 640


def test_rows_of_blocks_and_others_are_one_batch(usual: list[bytes]) -> None:
    """Sparse values stay with their rows, and times that are none are located, whatever is taken."""
    draw = _random(5)
    both = Both()
    both.read(usual)
    mixed = list(usual)
    for row in range(0, len(mixed), 7):
        record = _record(draw, row)
        record["flow"]["source_names"] = [f"name-{row}.example"]
        record["flow"]["l7"] = {"type": "REQUEST", "http": {"url": f"http://example/{row}", "method": "GET"}}
        mixed[row] = _line(record)
    for row in range(3, len(mixed), 70):
        mixed[row] = mixed[row].replace(b"2026-11-01T1", b"2026-11-31T1")
    for row in range(4, len(mixed), 70):
        mixed[row] = mixed[row].replace(b'"time":"2026-', b'"time":"1926-')
    assert both.read(mixed)
    assert both.finish().rows_rejected == 44


def test_real_captures_read_alike(shared: Path) -> None:
    """Every capture, over and over and in any order."""
    taken = 0
    for path in sorted((shared / "data" / "flows").glob("*/*.json")):
        lines = path.read_bytes().splitlines(keepends=True)
        both = Both()
        for seed in range(4):
            again = lines * (1 + 600 // len(lines))
            _random(seed).shuffle(again)
            taken += both.read(again)
        both.finish()
    assert taken


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"source_port":', b'"source_port": '),
        (b'"is_reply":false', b'"is_reply":false,"is_reply":true'),
        (b'"ipVersion":"IPv4"', b'"ipVersion":"IPv4","source":"10.9.9.9"'),
        (b'"Type":"L3_L4"', b'"Type":"L3_L4","IP":{"source":"10.9.9.9"}'),
        (b'"uuid":"', b'"uuid":"\\u0041'),
        (b'"uuid":"', b'"uuid":"\xff'),
        (b'"source":"10.0.0.1"', b'"source":"10.0.0.1\0"'),
        (b'"source":"10.0.0.1"', b'"source":"10.0.0.01"'),
        (b'"source":"10.0.0.1"', b'"source":"10.0.0.1%eth0"'),
        (b'"source":"10.0.0.1"', b'"source":""'),
        (b'"source":"10.0.0.1"', b'"source":"' + b"1" * 60 + b'"'),
        (b'"source_port":8080', b'"source_port":08080'),
        (b'"source_port":8080', b'"source_port":0'),
        (b'"source_port":8080', b'"source_port":65536'),
        (b'"source_port":8080', b'"source_port":808000000000'),
        (b'"source_port":8080', b'"source_port":8080.0'),
        (b'"source_port":8080', b'"source_port":8e3'),
        (b'"source_port":8080', b'"source_port":-1'),
        (b'"source_port":8080', b'"source_port":NaN'),
        (b'"Summary":"', b'"Summary":"\\"'),
        (b'"Summary":"', b'"Summary":"\xff'),
        (b'"Summary":"', b'"Summary":"\x01'),
        (b'"Summary":"', b'"Summary":"a","Summary":"'),
        (b'"Summary":"TCP Flags: SYN"', b'"Summary"'),
        (b'"Summary":"TCP Flags: SYN"', b'"Summary"\n'),
        (b'"Summary":"TCP Flags: SYN"', b'"Summary":null'),
        (b'"Summary":"TCP Flags: SYN"', b'"interface":{"index":2,"name":"lxc"}'),
        (b',"Summary":"TCP Flags: SYN"', b""),
        (b"}\n", b"} \n"),
        (b"}\n", b"}\r\n"),
        (b"}\n", b"}"),
        (b"}\n", b"}}\n"),
        (b'"identity":4000', b'"identity":4001'),
        (b'"identity":4000', b'"identity":4000,"identity":4000'),
        (b'"0a:58', b'"\\"a:58'),
        (b'"0a:58', b'"\n0a:58'),
        (b'"time":"2026', b'"time":"2027'),
        (b'000Z"}\n', b'001Z"}\n'),
        (b'},"node_name"', b',"time":"2026-11-01T10:00:00.000000000Z"},"node_name"'),
    ],
)
def test_a_line_that_is_only_nearly_alike_is_read_for_itself(old: bytes, new: bytes) -> None:
    """Each spoils something in every line that it fits, once with all known and once when nothing is."""
    usual = _FEW * 5
    spoilt = [line.replace(old, new) for line in usual]
    assert spoilt != usual
    for first in (usual, spoilt):
        both = Both()
        both.read(first)
        both.read(spoilt)
        both.finish()


def test_keys_that_occur_twice_unnoticed_teach_nothing() -> None:
    """Where the slow path takes a doubled key for another one, no line is taken for being like that one."""
    both = Both()
    other = [line.replace(b'"Type"', b'"never":1,"Type"').replace(b'"uuid":"', b'"uuid" :"') for line in _FEW * 3]
    both.read(other)
    doubled = [line.replace(b'"is_reply"', b'"is_reply":false,"is_reply"') for line in _FEW * 3]
    for _ in range(3):
        assert not both.read(doubled)
    assert both.finish().rows_rejected < 3 * len(doubled)


def test_summaries_with_more_colons_are_another_frame() -> None:
    """The slow path, which counts colons to notice doubled keys, has seen each number of them."""
    both = Both()
    more = [line.replace(b"TCP Flags", b"TCP:Flags") for line in _FEW * 5]
    doubled = [line.replace(b'"is_reply"', b'"is_reply":false,"is_reply"') for line in _FEW * 5]
    for lines in (_FEW * 5, _FEW * 5, more, doubled):
        both.read(lines)
    both.finish()


def test_a_nested_look_alike_teaches_nothing(usual: list[bytes]) -> None:
    """What looks like the parts of a record but lies deeper is not taken for them."""
    lines = []
    for line in usual:
        inner = line[line.index(b'"IP"') : line.index(b',"Type"')]
        lines.append(
            line.replace(b'"verdict"', b'"deeper":{' + inner + b'},"verdict"', 1).replace(b'"10.0.0.1"', b'"::1"')
        )
    both = Both()
    both.read(lines)
    assert not both.read(lines)
    both.finish()


@st.composite
def _mutations(draw: st.DrawFn) -> tuple[int, str, int, int, bytes]:
    """Draw a change of one line: its number, the kind, two places and a text."""
    kinds = ("flip", "insert", "delete", "double", "swap", "digit", "cut")
    text = draw(
        st.binary(min_size=1, max_size=3) | st.sampled_from([b'"', b"\\", b"\0", b",", b"}", b"9", b"\xc3", b" "])
    )
    places = st.integers(0, 1_000)
    return draw(st.integers(0, 3 * len(_FEW) - 1)), draw(st.sampled_from(kinds)), draw(places), draw(places), text


def _mutated(line: bytes, other: bytes, kind: str, first: int, second: int, text: bytes) -> bytes:
    """Return a line changed: a bit, a digit, some bytes more or less, a member twice, the rest from another line."""
    at = first % max(len(line), 1)
    members = [begin for begin in range(len(line)) if line.startswith(b',"', begin)] or [0]
    member = members[first % len(members)]
    end = next((begin for begin in members if begin > member), len(line))
    changes = {
        "flip": line[:at] + bytes([byte ^ (1 << second % 8) for byte in line[at : at + 1]]) + line[at + 1 :],
        "insert": line[:at] + text + line[at:],
        "delete": line[:at] + line[at + 1 + second % 3 :],
        "double": line[:end] + line[member:],
        "swap": line[:member] + other[max(other.find(line[member : member + 5]), 0) :],
        "digit": line[:at] + re.sub(rb"\d", b"%d" % (second % 10), line[at:], count=1),
        "cut": line[:at] + b"\n",
    }
    return changes[kind]


@given(st.lists(_mutations(), min_size=1, max_size=40))
def test_changed_lines_read_alike(changes: list[tuple[int, str, int, int, bytes]]) -> None:
    """Whatever happens to lines when all is known, each is read or refused as if it came alone."""
    changed = _FEW * 3
    both = Both()
    both.read(changed)
    assert both.read(changed)
    for row, kind, first, second, text in changes:
        changed[row] = _mutated(changed[row], _FEW[second % len(_FEW)], kind, first, second, text)
    both.read(changed)
    both.finish()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither new frames nor new addresses nor new endpoints without end are remembered, nor learned from."""
    monkeypatch.setattr("discovery.flows.batch.MAX_MEMO", 300)
    monkeypatch.setattr(hubble_alike, "MAX_MEMO", 300)
    monkeypatch.setattr(hubble_alike, "_MAX_TEXT", 20_000)
    both = Both()
    alike = both.readers[0].alike
    draw = _random(9)
    for turn in range(6):
        lines = []
        for number in range(1_000):
            record = _record(draw, number)
            record["flow"]["IP"]["source"] = f"10.{turn}.{number // 250}.{number % 250}"
            record["flow"]["source"] = pod("web", number=number + 1_000 * turn)
            record["flow"]["never"] = f"{number % 500} of {turn}"
            lines.append(_line(record))
        both.read(lines)
        for reader in both.readers:
            reader.flush()
        rests = [rest for one in alike.families.values() for rests in one.frames.values() for rest in rests]
        assert sum(map(len, rests)) == sum(one.size for one in alike.families.values()) <= 20_000
        assert max(len(alike.sources.places), len(alike.targets.places), len(alike.endpoints.sizes)) <= 301
    both.finish()


def test_learning_ends_where_nothing_is_like_anything() -> None:
    """Lines that never repeat do not go on being learned from."""
    both = Both()
    alike = both.readers[0].alike
    alike.credit = 50
    draw = _random(1)
    for turn in range(3):
        records = [_record(draw, number) for number in range(600)]
        for number, record in enumerate(records):
            record["flow"]["never"] = f"{turn} {number}"
        both.read([_line(record) for record in records])
    assert 0 < sum(len(rests) for one in alike.families.values() for rests in one.frames.values()) <= 50
    assert alike.credit < 1
    both.finish()
