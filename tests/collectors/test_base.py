"""What all collectors share: the account, bad times, workloads seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.base import Account, SeenWorkload, as_count, note
from collectors.hubble import HubbleReader
from discovery.model.completeness import MAX_LOCATED
from tests.flows_factory import CLIENT, SERVER, flow, line, read, stamp


def test_the_account_counts_all_and_locates_some() -> None:
    """Every rejection counts; the first ones are located, with bounded reasons."""
    account = Account("input")
    for number in range(1, 51):
        account.reject(number, "x" * 500)
    told = account.completeness()
    assert told.rows_rejected == 50
    assert [bad.line for bad in told.rejected] == list(range(1, MAX_LOCATED + 1))
    assert all(len(bad.reason) <= 200 for bad in told.rejected)


@given(st.lists(st.integers(0, 2**63 - 1), max_size=6))
def test_losses_add_up_within_bounds(losses: list[int]) -> None:
    """Losses add up exactly while they are possible, and never past what a 64-bit column holds."""
    account = Account("input")
    for loss in losses:
        account.lose(loss)
    assert account.events_lost == min(sum(losses), 1 << 53)


@pytest.mark.parametrize(
    ("given_value", "expected"), [(None, 0), (0, 0), ("", 0), ("12", 12), (7, 7), (str(2**63 - 1), 2**63 - 1)]
)
def test_counts(given_value: int | str | None, expected: int) -> None:
    """64-bit integers are numbers or strings."""
    assert as_count(given_value) == expected


@pytest.mark.parametrize("given_value", [-1, "-1", 2**63, str(2**63), "many", "1.5"])
def test_impossible_counts_are_refused(given_value: int | str) -> None:
    """A count that no column can hold is an error."""
    with pytest.raises(ValueError, match=r"count|invalid literal"):
        as_count(given_value)


@given(
    st.lists(
        st.sampled_from((None, "never", "1969-01-01T00:00:00Z", "2100-02-01T00:00:00Z", "x" * 99, "")),
        min_size=1,
        max_size=8,
    )
)
def test_rows_with_bad_times_go_and_the_rest_stays_in_place(times: list[str | None]) -> None:
    """Dropping rows moves nothing into another row: sparse columns, weights and clusters stay with theirs."""
    records: list[dict[str, Any]] = []
    for number, time in enumerate(times):
        for text in (time, stamp(number)):
            odd = len(records) % 3 == 0
            extra: dict[str, Any] = (
                {"proxy_port": len(records) + 1} if odd else {"aggregate": {"egress_flow_count": len(records) + 1}}
            )
            records.append(flow(time=text, uuid=str(len(records)), node_name=f"c{len(records)}/n", **extra))
    sunk = read(*(line(record) for record in records))
    good = [number for number in range(len(records)) if number % 2]
    assert [row["uuid"] for row in sunk.rows] == [str(number) for number in good]
    assert [row["cluster"] for row in sunk.rows] == [f"c{number}" for number in good]
    assert [row["proxy_port"] for row in sunk.rows] == [number + 1 if number % 3 == 0 else None for number in good]
    assert [row["flow_records"] for row in sunk.rows] == [1 if number % 3 == 0 else number + 1 for number in good]
    assert sunk.bad_lines == [number + 1 for number in range(len(records)) if number % 2 == 0][:MAX_LOCATED]


@given(st.permutations(range(5)))
def test_sightings_join_in_any_order(order: list[int]) -> None:
    """The interval is the widest; a reported name and a known kind win, whoever came first."""
    infos = [
        CLIENT,
        replace(CLIENT, workload_kind="", name_source="pod-name"),
        replace(CLIENT, name_source="labels", workload_kind=""),
    ]
    seen = [SeenWorkload(infos[number % 3], 10 - number, 10 + number) for number in range(5)]
    table: dict[int, SeenWorkload] = {}
    for number in order:
        note(table, replace(seen[number]))
    (found,) = table.values()
    assert (found.info, found.first, found.last) == (CLIENT, 6, 14)


def test_workloads_are_noted_with_their_interval() -> None:
    """Both ends are seen, over all batches, with the first and the last time."""
    reader = HubbleReader(lambda _: None, label="x", ingest_id="run", default_cluster="default")
    for seconds in (5, 1, 9):
        reader.read_lines([line(flow(time=stamp(seconds)))], 1)
        reader.flush()
    assert {seen.info.workload_name: (seen.last - seen.first) for seen in reader.workloads.values()} == {
        "web": 8_000_000,
        "cart": 8_000_000,
    }
    assert SERVER.identity is not None


@pytest.mark.parametrize("size", [1, 2, 7])
def test_batches_do_not_change_rows(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Rows are the same in batches of any size, also when memos are forgotten in between."""
    texts = [
        line(
            flow(
                uuid=str(number),
                source_names=["a"] if number % 2 else None,
                IP={"source": f"10.0.0.{number}", "destination": "10.0.0.2"},
            )
        )
        for number in range(9)
    ]
    whole = read(*texts).rows
    monkeypatch.setattr("collectors.base.BATCH_ROWS", size)
    monkeypatch.setattr("discovery.flows.batch.MAX_MEMO", 1)
    tables: list[Any] = []
    reader = HubbleReader(tables.append, label="input", ingest_id="run", default_cluster="default")
    for number, text in enumerate(texts):
        reader.read_lines([text], number + 1)
    reader.finish()
    assert [row for table in tables for row in table.to_pylist()] == whole
