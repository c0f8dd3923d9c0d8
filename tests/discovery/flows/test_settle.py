"""Settling: direction from other records, and each record once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.flows.engine import engine
from discovery.flows.parts import Part, PartWriter
from discovery.flows.settle import INFER_PORTS, settle
from tests.flows_factory import START, row, table

Row = dict[str, Any]


def _write(folder: Path, rows: Sequence[Row]) -> tuple[Part, ...]:
    """Write rows as part files."""
    writer = PartWriter(folder)
    if rows:
        writer.write(table(rows))
    return writer.close()


def _settled(folder: Path, rows: Sequence[Row], *, committed: Sequence[Row] = ()) -> tuple[list[Row], int]:
    """Return the rows after settling, by client port and time, and the number of duplicates."""
    old = tuple(str(folder / part.path) for part in _write(folder, committed))
    with engine(threads=1) as connection:
        found = settle(connection, folder, _write(folder, rows), old)
    kept = [one for part in found.parts for one in pq.read_table(folder / part.path, partitioning=None).to_pylist()]
    assert len(kept) == sum(part.rows for part in found.parts)
    return sorted(kept, key=lambda one: (one["time"], one["client_port"] or 0, repr(one))), found.duplicates


def _unknown(**fields: Any) -> Row:
    """Return a record that does not tell its direction: an ACK without a flag."""
    return row(
        **{
            "initiator": "unknown",
            "direction_evidence": "none",
            "tcp_flags": 16,
            "observation_point": "TO_STACK",
            **fields,
        }
    )


def _swapped(**fields: Any) -> Row:
    """Return the same, seen from the server: the ends the other way round."""
    ends: Row = {}
    base = row()
    for what in ("address", "port", "kind", "identity", "pod"):
        ends[f"client_{what}"], ends[f"server_{what}"] = base[f"server_{what}"], base[f"client_{what}"]
    return _unknown(**{**ends, **fields})


def _told(one: Row) -> tuple[Any, ...]:
    """Return what settling decides."""
    return (
        one["initiator"],
        one["direction_evidence"],
        one["client_address"],
        one["client_port"],
        one["server_port"],
        one["client_pod"],
    )


def test_another_record_of_the_connection_tells(tmp_path: Path) -> None:
    """A handshake of the same connection orients its later packets, whichever end they were reported from."""
    late = START + timedelta(seconds=1)
    for rows in ([row(), _unknown(time=late)], [row(), _swapped(time=late)]):
        found, _ = _settled(tmp_path, rows)
        assert _told(found[1])[1:] == ("flag", "10.0.0.1", 40_000, 8_080, "web-1")
        assert found[1]["establishment"] == "established"


def test_a_known_listener_tells(tmp_path: Path) -> None:
    """A port that a handshake proved to be served orients other connections to it."""
    found, _ = _settled(tmp_path, [row(), _swapped(server_port=50_000, time=START + timedelta(seconds=1))])
    assert _told(found[1]) == ("destination", "listener", "10.0.0.1", 50_000, 8_080, "web-1")


def test_a_committed_record_tells_too(tmp_path: Path) -> None:
    """What the lake holds already is evidence for what comes later."""
    found, _ = _settled(tmp_path, [_swapped(server_port=50_000)], committed=[row()])
    assert _told(found[0])[:2] == ("destination", "listener")


def test_listeners_at_both_ends_tell_nothing(tmp_path: Path) -> None:
    """Two servers that talk: no evidence, so unknown."""
    other = row(client_address="10.0.0.3", server_address="10.0.0.1", server_port=40_000, server_pod="web-1")
    found, _ = _settled(
        tmp_path, [row(server_port=8_080, client_port=5), other, _unknown(time=START + timedelta(seconds=1))]
    )
    assert _told(found[-1])[:2] == ("unknown", "none")


def test_a_denied_attempt_proves_no_listener(tmp_path: Path) -> None:
    """A connection that policy refused says nothing of what listens."""
    denied = row(verdict="denied", drop_reason="POLICY_DENIED")
    found, _ = _settled(tmp_path, [denied, _swapped(server_port=50_000, time=START + timedelta(seconds=1))])
    assert _told(found[1])[:2] == ("unknown", "none")


@pytest.mark.parametrize(
    ("ports", "peers", "expected"),
    [(INFER_PORTS, 2, "inferred"), (INFER_PORTS - 1, 2, "none"), (INFER_PORTS, 1, "none")],
)
def test_many_remote_ports_at_several_peers_infer(tmp_path: Path, ports: int, peers: int, expected: str) -> None:
    """One port against many remote ports looks like a server; it takes enough of both, and is only inferred."""
    rows = [
        _unknown(
            client_port=40_000 + number,
            client_address=f"10.0.1.{number % peers}",
            time=START + timedelta(seconds=number),
        )
        for number in range(ports)
    ]
    found, _ = _settled(tmp_path, rows)
    assert {one["direction_evidence"] for one in found} == {expected}
    assert {one["server_port"] for one in found} == {8_080}


def test_a_low_port_is_no_evidence(tmp_path: Path) -> None:
    """A port's number never tells who is the server (field: guessed-direction)."""
    found, _ = _settled(tmp_path, [_swapped(client_port=80, server_port=60_000)])
    assert _told(found[0])[:2] == ("unknown", "none")


def test_a_flag_that_handshakes_contradict_is_turned(tmp_path: Path) -> None:
    """is_reply=false on an answer: its "client" is a proven listener, so the ends are turned round."""
    wrong = _swapped(
        initiator="source",
        direction_evidence="flag",
        is_reply=False,
        server_port=50_001,
        time=START + timedelta(seconds=1),
    )
    found, _ = _settled(tmp_path, [row(), wrong])
    assert _told(found[1]) == ("destination", "handshake", "10.0.0.1", 50_001, 8_080, "web-1")


def test_a_flag_that_only_flags_contradict_stays(tmp_path: Path) -> None:
    """One flag is no better than another: only a handshake overrules."""
    other = row(direction_evidence="flag", tcp_flags=16)
    wrong = _swapped(
        initiator="source", direction_evidence="flag", server_port=50_001, time=START + timedelta(seconds=1)
    )
    found, _ = _settled(tmp_path, [other, wrong])
    assert _told(found[1])[:2] == ("source", "flag")


def test_udp_is_settled_too(tmp_path: Path) -> None:
    """Datagrams have no handshake, but listeners by flag count."""
    udp: Row = {"protocol": "UDP", "tcp_flags": None}
    flagged = row(**udp, direction_evidence="flag")
    found, _ = _settled(tmp_path, [flagged, _swapped(**udp, server_port=50_000, time=START + timedelta(seconds=1))])
    assert _told(found[1])[:2] == ("destination", "listener")


# ------------------------------------------------------------------------------------------------------ duplicates


def test_a_record_counts_once_in_one_run(tmp_path: Path) -> None:
    """The same record in two files of a run is one row."""
    found, duplicates = _settled(tmp_path, [row(uuid="u"), row(uuid="u"), row(uuid="v")])
    assert ([one["uuid"] for one in found], duplicates) == (["u", "v"], 1)


def test_a_record_counts_once_across_runs(tmp_path: Path) -> None:
    """A record that the lake holds is dropped; the committed one stays."""
    found, duplicates = _settled(tmp_path, [row(uuid="u"), row(uuid="v")], committed=[row(uuid="u")])
    assert ([one["uuid"] for one in found], duplicates) == (["v"], 1)


def test_a_run_of_duplicates_leaves_nothing(tmp_path: Path) -> None:
    """When all was seen before, there is nothing to commit."""
    assert _settled(tmp_path, [row(uuid="u")], committed=[row(uuid="u")]) == ([], 1)


@pytest.mark.parametrize(
    "difference",
    [
        {"uuid": "other"}, {"node": "node-2"}, {"observation_point": "TO_STACK"}, {"client_port": 9},
        {"reporter": "server"},
        {"time": START + timedelta(microseconds=1)}, {"verdict": "denied"}, {"tcp_flags": 16}, {"cluster": "east"},
        {"client_address": "10.9.9.9"}, {"l7_type": "response"}, {"source": "calico"},
    ],
)  # fmt: skip
def test_records_that_differ_are_kept(tmp_path: Path, difference: Row) -> None:
    """Node, time, tuple, point, id or verdict: one difference makes two records."""
    found, duplicates = _settled(tmp_path, [row(), row(**difference)])
    assert (len(found), duplicates) == (2, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(("u", "v", None))), min_size=1, max_size=15),
    st.integers(0, 15),
)
@settings(max_examples=20)
def test_duplicates_across_any_split(keys: list[tuple[int, str | None]], cut: int) -> None:
    """However records are spread over what is committed and what is new, each distinct one counts once."""
    import tempfile

    rows = [row(client_port=port + 1, uuid=uuid) for port, uuid in keys]
    distinct_old = list({(one["client_port"], one["uuid"]): one for one in rows[:cut]}.values())
    with tempfile.TemporaryDirectory() as folder:
        found, duplicates = _settled(Path(folder), rows[cut:], committed=distinct_old)
    old = {(one["client_port"], one["uuid"]) for one in distinct_old}
    new = {(one["client_port"], one["uuid"]) for one in rows[cut:]} - old
    assert sorted(((one["client_port"], one["uuid"]) for one in found), key=repr) == sorted(new, key=repr)
    assert duplicates == len(rows[cut:]) - len(new)


def test_a_turned_duplicate_is_still_a_duplicate(tmp_path: Path) -> None:
    """Unknown records ingested twice: the copy in the lake was turned when it was settled, the new one is the same."""
    first, _ = _settled(tmp_path / "a", [row(), _swapped(uuid="x", time=START + timedelta(seconds=1))])
    for one in first:
        one["cluster"] = "default"
    found, duplicates = _settled(
        tmp_path / "b",
        [_swapped(uuid="x", time=START + timedelta(seconds=1))],
        committed=[{**row(), **one} for one in first],
    )
    assert (found, duplicates) == ([], 1)


def test_nothing_to_settle() -> None:
    """No parts, nothing to do."""
    with engine(threads=1) as connection:
        assert settle(connection, Path("nowhere"), (), ()).parts == ()
