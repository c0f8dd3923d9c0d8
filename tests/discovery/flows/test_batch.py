"""Batches: what a reader appended comes out in its row, with the schema's types."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.batch import (
    MAX_CLUSTER_BYTES,
    BatchBuilder,
    Interner,
    Meaning,
    build_batch,
    pack_row,
    parse_times,
)
from discovery.flows.identity import EXTERNAL, UNRESOLVED, EndpointInfo
from discovery.flows.schema import FLOWS
from discovery.model.workload import EndpointKind
from tests.flows_factory import CLIENT, SERVER

_ENDS = (CLIENT, SERVER, EXTERNAL, UNRESOLVED, EndpointInfo(kind=EndpointKind.HOST, cluster="east"))
_IPS = (None, "10.0.0.1", "2001:db8:1:2::3", "192.0.2.9")
_MEANINGS = tuple(
    Meaning(
        verdict=verdict, initiator=initiator, direction_evidence="flag", protocol=protocol, is_reply=flag,
        tcp_flags=flags,
    )
    for verdict, initiator, protocol, flag, flags in (
        ("accepted", "source", "TCP", False, 2), ("denied", "destination", "UDP", True, None),
        ("fault", "unknown", None, None, 0),
    )
)  # fmt: skip
_ROW = st.tuples(
    st.integers(0, 4_102_444_800_000_000), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3),
    st.integers(-1, 65_535), st.integers(-1, 65_535), st.integers(0, 2), st.none() | st.text(max_size=3),
    st.none() | st.integers(1, 2**40), st.none() | st.sampled_from(("west", "x")), st.none() | st.integers(0, 65_535),
)  # fmt: skip


def _builder() -> BatchBuilder:
    """Return a builder whose memos hold the values above."""
    builder = BatchBuilder(source="hubble", ingest_id="run")
    for memo, values in ((builder.endpoints, _ENDS), (builder.addresses, _IPS), (builder.meanings, _MEANINGS)):
        for value in values:
            memo.add(value, value)
    return builder


def _expected(drawn: tuple[Any, ...]) -> dict[str, Any]:
    """Return the row that raw values mean, by the plain rule."""
    time, source, target, source_ip, target_ip, source_port, target_port, meaning, uuid, weight, cluster, proxy = drawn
    ends = [(_ENDS[source], _IPS[source_ip], source_port), (_ENDS[target], _IPS[target_ip], target_port)]
    if _MEANINGS[meaning].initiator == "destination":
        ends.reverse()
    row: dict[str, Any] = {}
    for side, (info, ip, port) in zip(("client", "server"), ends, strict=True):
        row |= {f"{side}_address": ip, f"{side}_port": port if port >= 0 else None, f"{side}_kind": info.kind.value}
        row |= {f"{side}_identity": info.identity, f"{side}_pod": info.pod}
        bounds = {"10.0.0.1": "10.0.0.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "192.0.2.9": "192.0.2.0/24"}
        row[f"{side}_prefix"] = bounds[ip] if ip and info.kind is EndpointKind.EXTERNAL else None
    return {
        **row, "verdict": _MEANINGS[meaning].verdict, "is_reply": _MEANINGS[meaning].is_reply, "uuid": uuid,
        "tcp_flags": _MEANINGS[meaning].tcp_flags, "protocol": _MEANINGS[meaning].protocol, "proxy_port": proxy,
        "flow_records": 1 if weight is None else weight, "date": datetime.fromtimestamp(time // 1_000_000, UTC).date(),
        "cluster": cluster or ends[0][0].cluster or ends[1][0].cluster or "default",
    }  # fmt: skip


def _append(builder: BatchBuilder, drawn: tuple[Any, ...]) -> None:
    """Append raw values as a reader does."""
    time, source, target, source_ip, target_ip, source_port, target_port, meaning, uuid, weight, cluster, proxy = drawn
    row = len(builder)
    if cluster is not None:
        meaning = builder.meanings.add((meaning, cluster), replace(_MEANINGS[meaning], cluster=cluster))
    builder.times.append(time)
    builder.uuids.append(uuid)
    builder.rows += pack_row(row, source, target, source_ip, target_ip, source_port, target_port, meaning)
    if weight is not None:
        builder.weights[row] = weight
    if proxy is not None:
        builder.set("proxy_port", row, proxy)


@given(st.lists(_ROW, min_size=1, max_size=12))
def test_rows_come_out_as_they_went_in(rows: list[tuple[Any, ...]]) -> None:
    """Orientation, clusters, prefixes, weights and sparse columns agree with a plain row-by-row rule."""
    builder = _builder()
    for drawn in rows:
        _append(builder, drawn)
    found = build_batch(builder)
    for name, column in zip(found.schema.names, found.columns, strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        assert kind == FLOWS.field(name).type, name
    for drawn, row in zip(rows, found.to_pylist(), strict=True):
        expected = _expected(drawn)
        assert {name: row[name] for name in expected} == expected
    builder.clear()
    assert len(builder) == 0
    assert not builder.sparse
    assert not builder.weights
    assert not builder.rows


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=120), min_size=1, max_size=4, unique=True))
def test_clusters_stay_apart_and_fit_a_folder(names: list[str]) -> None:
    """Names that no folder can carry get a stand-in of their own; an empty name is no name."""
    builder = _builder()
    for number, name in enumerate(names):
        _append(builder, (number, 2, 2, 0, 0, -1, -1, 0, None, None, name, None))
    found = build_batch(builder)["cluster"].to_pylist()
    assert all(len(cluster.encode()) <= MAX_CLUSTER_BYTES for cluster in found)
    assert all(
        cluster == (name or "default")
        for cluster, name in zip(found, names, strict=True)
        if len(name.encode()) <= MAX_CLUSTER_BYTES
    )
    assert len(set(found)) == len(names)


def test_times_of_both_kinds() -> None:
    """RFC 3339 with any zone and up to nanoseconds, or microseconds since 1970."""
    texts = ["2026-11-01T10:00:00.123456789Z", "2026-11-01T12:00:00.123456+02:00", "2026-11-01T10:00:00Z"]
    found = parse_times(texts).cast(pa.int64()).to_pylist()
    assert found[0] == found[1] == found[2] + 123_456
    assert parse_times([found[0]]).cast(pa.int64()).to_pylist() == found[:1]
    with pytest.raises(pa.ArrowInvalid):
        parse_times(["yesterday"])


def test_memos_forget_only_when_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memo stays below its bound and keeps what it has until then."""
    monkeypatch.setattr("discovery.flows.batch.MAX_MEMO", 2)
    memo = Interner()
    assert [memo.add(raw, raw.upper()) for raw in "ab"] == [0, 1]
    memo.trim()
    assert memo.values == ["A", "B"]
    memo.add("c", "C")
    memo.trim()
    assert (memo.values, memo.index) == ([], {})
