"""The rollup: against an independent oracle in plain Python, and the properties that learning rests on."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.flows.engine import engine
from discovery.flows.rollup import roll_up
from discovery.flows.schema import EDGES
from tests.flows_factory import CLIENT, SERVER, START, edges_of, known_workloads, row, write_parts

Row = dict[str, Any]

_RANK = ("handshake", "flag", "listener", "inferred", "none")
_KEY = ("protocol", "server_port", "icmp_type")
_COMPARED = (
    "protocol", "server_port", "icmp_type", "direction_known", "direction_evidence", "verdict", "contested",
    "establishment", "flow_records", "denied_records", "first_seen", "last_seen", "hours", "days", "sources",
    "reporters", "client_pods", "server_pods", "drop_reasons", "collapsed_ports",
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- oracle


def _same_connection(one: Row, other: Row) -> bool:
    """Say whether two records may be of one connection: the same five-tuple within a minute."""
    tuple_of = ("protocol", "server_port", "icmp_type", "client_address", "client_port", "server_address")
    pods = all(None in {one[side], other[side]} or one[side] == other[side] for side in ("client_pod", "server_pod"))
    near = abs(one["time"] - other["time"]) <= timedelta(seconds=60)
    return pods and near and all(one[name] == other[name] for name in tuple_of)


def _count(rows: Sequence[Row], verdict: str) -> int:
    """Return the records of a verdict, each observation point and each end once: their maximum."""
    points: dict[tuple[Any, Any], int] = defaultdict(int)
    for one in rows:
        points[one["reporter"], one["observation_point"]] += one["flow_records"] if one["verdict"] == verdict else 0
    return max(points.values(), default=0)


def _verdict(rows: Sequence[Row], known: bool) -> tuple[str, bool]:
    """Return the joined verdict and whether points disagreed."""
    passed = [one for one in rows if one["verdict"] in {"accepted", "audit"}]
    denied = [one for one in rows if one["verdict"] == "denied"]
    contested = bool(known and passed and denied)
    if contested and all(any(_same_connection(one, other) for other in denied) for one in passed):
        return "denied", True
    present = {one["verdict"] for one in rows}
    return next(word for word in ("audit", "accepted", "denied", "fault", "unknown") if word in present), contested


def _point(one: Row) -> tuple[Any, ...]:
    """Return where a record was seen, as far as an export filter may tell answers apart."""
    return one["source"], one["node"], one["reporter"], one["protocol"], one["time"].date()


def _establishment(rows: Sequence[Row], sighted: set[tuple[Any, ...]]) -> str:
    """Return what the records of an edge show; silence counts only where answers are seen."""
    shown = {one["establishment"] for one in rows}
    if "established" in shown:
        return "established"
    if "refused" in shown:
        return "refused"
    silent = any(one["establishment"] == "attempted" and _point(one) in sighted for one in rows)
    return "unanswered" if silent and rows[0]["protocol"] == "TCP" else "unknown"


def _judge(rows: Sequence[Row], known: bool, sighted: set[tuple[Any, ...]]) -> Row:
    """Return one edge of records with one key."""
    verdict, contested = _verdict(rows, known)
    counts = {word: _count(rows, word) for word in ("accepted", "audit", "denied", "fault", "unknown")}
    passed = counts["accepted"] + counts["audit"]
    return {
        **{name: rows[0][name] for name in _KEY},
        "direction_known": known,
        "verdict": verdict,
        "contested": contested,
        "establishment": _establishment(rows, sighted),
        "flow_records": passed or counts["denied"] or counts["fault"] or counts["unknown"],
        "denied_records": counts["denied"],
        "rows": list(rows),
        "ports": {rows[0]["server_port"]},
    }


def _may_collapse(edge: Row) -> bool:
    """Say whether ports of such edges fold into one when there are many."""
    failed = edge["verdict"] in {"denied", "fault", "unknown"} or edge["establishment"] in {"refused", "unanswered"}
    return edge["server_port"] is not None and (failed or not edge["direction_known"])


def _collapse(edges: list[Row]) -> list[Row]:
    """Fold the ports of scans."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for number, edge in enumerate(edges):
        shape = tuple(edge[name] for name in ("protocol", "direction_known", "verdict", "establishment"))
        groups[shape if _may_collapse(edge) else (number,)].append(edge)
    found: list[Row] = []
    for group in groups.values():
        if not _may_collapse(group[0]) or len(group) <= 8:
            found += [{**edge, "collapsed_ports": 0} for edge in group]
            continue
        found.append(
            {
                **group[0],
                "server_port": None,
                "contested": any(edge["contested"] for edge in group),
                "flow_records": sum(edge["flow_records"] for edge in group),
                "denied_records": sum(edge["denied_records"] for edge in group),
                "rows": [one for edge in group for one in edge["rows"]],
                "collapsed_ports": len(group),
            }
        )
    return found


def oracle(rows: Sequence[Row]) -> list[Row]:
    """Return the edges of one pair of workloads, as the house rules say, row by row."""
    sighted = {_point(one) for one in rows if one["establishment"] in {"established", "refused"}}
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for one in rows:
        groups[(*(one[name] for name in _KEY), one["direction_evidence"] != "none")].append(one)
    edges = [_judge(group, key[-1], sighted) for key, group in groups.items()]
    found = []
    for edge in _collapse(edges):
        delivered = [one for one in edge["rows"] if one["verdict"] in {"accepted", "audit"}]
        members = delivered if edge["verdict"] in {"accepted", "audit"} else edge["rows"]
        hours = 0
        for one in members:
            hours |= 1 << one["time"].hour
        found.append(
            {
                **{name: edge[name] for name in _COMPARED if name in edge},
                "direction_evidence": min((one["direction_evidence"] for one in members), key=_RANK.index),
                "first_seen": min(one["time"] for one in members),
                "last_seen": max(one["time"] for one in members),
                "hours": hours,
                "days": len({one["time"].date() for one in members}),
                "sources": sorted({one["source"] for one in members}),
                "reporters": sorted({one["reporter"] for one in members} - {None}),
                "client_pods": len({one["client_pod"] for one in members} - {None}),
                "server_pods": len({one["server_pod"] for one in members} - {None}),
                "drop_reasons": sorted({one["drop_reason"] for one in members} - {None}),
            }
        )
    return sorted(found, key=repr)


def _compared(edges: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the columns of EDGES rows that the oracle knows too."""
    found = [{name: edge[name] for name in _COMPARED} for edge in edges]
    for edge in found:
        edge["first_seen"] = edge["first_seen"].astimezone(UTC)
        edge["last_seen"] = edge["last_seen"].astimezone(UTC)
    return sorted(({**{name: edge[name] for name in oracle_order()}} for edge in found), key=repr)


def oracle_order() -> tuple[str, ...]:
    """Return the names of the compared columns in the oracle's order."""
    late = (
        "direction_evidence",
        "first_seen",
        "last_seen",
        "hours",
        "days",
        "sources",
        "reporters",
        "client_pods",
        "server_pods",
        "drop_reasons",
    )
    return (*(name for name in _COMPARED if name not in late), *late)


# ------------------------------------------------------------------------------------------------------ strategies

_OFFSETS = (0, 0.5, 59, 60, 61, 130, 3_600, 90_000)


@st.composite
def _rows(draw: st.DrawFn, verdicts: tuple[str, ...] = ("accepted", "denied", "audit", "fault", "unknown")) -> Row:
    """Draw one record between the two workloads, few of everything so that records meet."""
    protocol = draw(st.sampled_from(("TCP", "TCP", "TCP", "UDP")))
    verdict = draw(st.sampled_from(verdicts))
    evidence = draw(st.sampled_from(("handshake", "flag", "listener", "inferred", "none")))
    passed = verdict in {"accepted", "audit"} and evidence != "none"
    return row(
        time=START + timedelta(seconds=draw(st.sampled_from(_OFFSETS))),
        protocol=protocol,
        verdict=verdict,
        drop_reason="POLICY_DENIED" if verdict == "denied" else "X" if verdict == "fault" else None,
        direction_evidence=evidence,
        initiator="unknown" if evidence == "none" else "source",
        establishment=draw(st.sampled_from((None, "attempted", "established", "refused"))) if passed else None,
        reporter=draw(st.sampled_from(("client", "server", None))),
        observation_point=draw(st.sampled_from(("TO_ENDPOINT", None))),
        node=draw(st.sampled_from(("node-1", "node-2"))),
        source=draw(st.sampled_from(("hubble", "goldmane"))),
        client_port=draw(st.sampled_from((40_000, 40_001))),
        client_pod=draw(st.sampled_from(("web-1", "web-2"))),
        server_port=draw(st.sampled_from((80, 443)) | st.integers(1_000, 1_011)),
        flow_records=draw(st.integers(1, 3)),
    )


@given(st.lists(_rows(), min_size=1, max_size=25))
@settings(max_examples=30)
def test_the_rollup_agrees_with_the_oracle(rows: list[Row]) -> None:
    """Verdict, disagreement, establishment, counts, times and collapsing are what plain Python says."""
    with tempfile.TemporaryDirectory() as folder:
        assert _compared(edges_of(Path(folder), rows)) == oracle(rows)


@given(
    st.lists(_rows(("accepted", "denied")), min_size=2, max_size=12),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
)
@settings(max_examples=10)
def test_order_and_files_do_not_matter(rows: list[Row], random: Any, cut: int) -> None:
    """Shuffled rows, in one file or several, give identical EDGES, byte for byte."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        straight = write_parts(Path(one), rows)
        pieces = write_parts(Path(two), shuffled[: cut + 1]) + write_parts(Path(two), shuffled[cut + 1 :])
        with engine(threads=1) as connection:
            first = roll_up(connection, straight, known_workloads())
        with engine(threads=2) as connection:
            second = roll_up(connection, tuple(reversed(pieces)), known_workloads())
    assert first.equals(second)
    assert first.schema.equals(EDGES)


@given(
    st.lists(
        st.tuples(st.sampled_from((80, 443, 53)), st.integers(40_000, 40_003), st.sampled_from(_OFFSETS)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(("client", "server")),
)
@settings(max_examples=10)
def test_one_reporter_is_enough(connections: list[tuple[int, int, float]], lost: str) -> None:
    """Deleting all records of one reporter keeps the accepted edges (rule 3)."""
    rows = [
        row(
            server_port=port, client_port=local, time=START + timedelta(seconds=offset), reporter=reporter,
            observation_point="TO_NETWORK" if reporter == "client" else "TO_ENDPOINT", establishment="established",
        )
        for port, local, offset in connections
        for reporter in ("client", "server")
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        both = edges_of(Path(folder), rows)
        one = edges_of(Path(folder), [found for found in rows if found["reporter"] != lost])
    keys = [
        {(edge["protocol"], edge["server_port"]) for edge in edges if edge["verdict"] == "accepted"}
        for edges in (both, one)
    ]
    assert keys[0] == keys[1] == {("TCP", port) for port, _, _ in connections}
    assert [edge["flow_records"] for edge in both] == [edge["flow_records"] for edge in one]


# ------------------------------------------------------------------------------------------- joined verdicts, by hand


def _verdicts(folder: Path, *rows: Row) -> list[tuple[str, bool]]:
    """Return verdict and disagreement of each edge."""
    return [(edge["verdict"], edge["contested"]) for edge in edges_of(folder, rows)]


def _denied(**fields: Any) -> Row:
    """Return a record of the same packet, denied at the server."""
    return row(
        **{
            "verdict": "denied",
            "drop_reason": "POLICY_DENIED",
            "reporter": "server",
            "node": "node-2",
            "time": START + timedelta(milliseconds=2),
            **fields,
        }
    )


def test_accepted_at_the_client_and_denied_at_the_server_is_denied(tmp_path: Path) -> None:
    """The golden case: egress passes, ingress drops: nothing was accepted."""
    assert _verdicts(tmp_path, row(), _denied()) == [("denied", True)]


@pytest.mark.parametrize(
    "unknown",
    [{"client_pod": None}, {"server_pod": None}, {"client_pod": None, "server_pod": None}],
    ids=["client", "server", "both"],
)
def test_a_denial_that_does_not_know_the_pods_counts(tmp_path: Path, unknown: Row) -> None:
    """The point that denies often knows less of the far end; the five-tuple says that it is the same connection."""
    assert _verdicts(tmp_path, row(), _denied(**unknown)) == [("denied", True)]


def test_ping_accepted_at_the_client_and_denied_at_the_server_is_denied(tmp_path: Path) -> None:
    """ICMP has no ports, but its denial counts all the same, a moment later."""
    ping: Row = {
        "protocol": "ICMP",
        "icmp_type": 8,
        "icmp_code": 0,
        "client_port": None,
        "server_port": None,
        "tcp_flags": None,
    }
    assert _verdicts(tmp_path, row(**ping), _denied(**ping)) == [("denied", True)]


def test_across_clusters_a_denial_at_the_server_counts(tmp_path: Path) -> None:
    """In a mesh the client's node reports to one cluster and the server's to another; it is one connection."""
    verdicts = _verdicts(tmp_path, row(cluster="east"), _denied(cluster="west"))
    assert ("accepted", False) not in verdicts


def test_another_connection_is_not_denied_by_it(tmp_path: Path) -> None:
    """A denied connection leaves another one of the same edge accepted, and the edge says that points disagree."""
    assert _verdicts(tmp_path, row(), _denied(client_port=40_001)) == [("accepted", True)]
    assert _verdicts(tmp_path, row(), _denied(client_address="10.0.0.9", client_pod="web-2")) == [("accepted", True)]


def test_yesterdays_denial_does_not_count_today(tmp_path: Path) -> None:
    """A port is used again: a denial long before says nothing of this connection."""
    assert _verdicts(tmp_path, row(), _denied(time=START - timedelta(hours=5))) == [("accepted", True)]


def test_a_datapath_fault_denies_nothing(tmp_path: Path) -> None:
    """A drop that no policy asked for is no verdict of policy."""
    assert _verdicts(tmp_path, row(), _denied(verdict="fault", drop_reason="CT_MAP_INSERTION_FAILED")) == [
        ("accepted", False)
    ]


def test_one_audit_record_tells_the_truth(tmp_path: Path) -> None:
    """Delivered, but today's policy would deny it: AUDIT, although the packet was also traced as forwarded."""
    assert _verdicts(tmp_path, row(), row(verdict="audit", observation_point=None)) == [("audit", False)]


def test_silence_counts_only_where_answers_are_seen(tmp_path: Path) -> None:
    """Unanswered needs a point that shows replies; UDP is never unanswered (vocabulary: establishment)."""
    attempt = row(establishment="attempted")
    elsewhere = row(server_port=9, establishment="established", node="node-2")
    here = row(server_port=9, establishment="established")
    found = {}
    for name, rows in {"alone": [attempt], "elsewhere": [attempt, elsewhere], "here": [attempt, here]}.items():
        found[name] = next(
            edge["establishment"] for edge in edges_of(tmp_path / name, rows) if edge["server_port"] == 8_080
        )
    assert found == {"alone": "unknown", "elsewhere": "unknown", "here": "unanswered"}
    udp = edges_of(tmp_path / "udp", [row(protocol="UDP", establishment="attempted"), here])
    assert {edge["protocol"]: edge["establishment"] for edge in udp} == {"UDP": "unknown", "TCP": "established"}


# ---------------------------------------------------------------------------------------------------------- bounds


def test_a_port_scan_collapses(tmp_path: Path) -> None:
    """Thousands of denied ports become one edge that says how many; the honest edge beside it stays."""
    scan = [row(server_port=port, verdict="denied", drop_reason="POLICY_DENIED") for port in range(1, 3_001)]
    found = edges_of(tmp_path, [*scan, row(server_port=8_080, establishment="established")])
    assert sorted((edge["server_port"] or 0, edge["verdict"], edge["collapsed_ports"]) for edge in found) == [
        (0, "denied", 3_000),
        (8_080, "accepted", 0),
    ]
    assert sum(edge["denied_records"] for edge in found) == 3_000


def test_accepted_ports_never_collapse(tmp_path: Path) -> None:
    """What was accepted keeps every port (field: one-port-kept)."""
    ports = range(1_000, 1_100)
    found = edges_of(tmp_path, [row(server_port=port, establishment="established") for port in ports])
    assert sorted(edge["server_port"] for edge in found) == list(ports)


def _external(address: str, prefix: str, **fields: Any) -> Row:
    """Return a record of an external client."""
    return row(
        client_kind="external",
        client_identity=None,
        client_pod=None,
        client_address=address,
        client_prefix=prefix,
        **fields,
    )


@pytest.mark.parametrize("count", [1_024, 1_025, 3_000])
def test_many_external_addresses_become_prefixes_that_cover_them(tmp_path: Path, count: int) -> None:
    """Exact to 1,024; past that, prefixes that cover every address, and never more of them than that."""
    addresses = [str(ip_address(int(ip_address("198.18.0.0")) + number * 3)) for number in range(count)]
    rows = [_external(address, address.rpartition(".")[0] + ".0/24") for address in addresses]
    (edge,) = edges_of(tmp_path, rows)
    assert edge["client_distinct"] == count
    if count <= 1_024:
        assert sorted(edge["client_addresses"]) == sorted(addresses)
        return
    nets = [ip_network(text) for text in edge["client_addresses"]]
    assert len(nets) <= 1_024
    assert all(any(ip_address(address) in net for net in nets) for address in addresses)


@pytest.mark.parametrize(
    "base", ["2001:db8::", "::", "2001::", "64:ff9b::", "fd00:1:2::"], ids=["common", "zeros", "short", "nat64", "ula"]
)
def test_many_ipv6_addresses_become_valid_prefixes(tmp_path: Path, base: str) -> None:
    """IPv6 in compressed spelling widens to prefixes that are valid and cover all (field: ipv6)."""
    addresses = [str(IPv6Address(int(ip_address(base)) + (number << 80))) for number in range(1_500)]
    rows = [_external(address, str(ip_network(f"{address}/48", strict=False))) for address in addresses]
    (edge,) = edges_of(tmp_path, rows)
    nets = [ip_network(text) for text in edge["client_addresses"]]
    assert len(nets) <= 1_024
    assert all(any(ip_address(address) in net for net in nets) for address in addresses)


def test_nodes_are_counted_and_listed(tmp_path: Path) -> None:
    """A host at the other end is listed by address, each once, and pods are counted apart."""
    node = {"client_kind": "remote-node", "client_identity": None, "client_pod": None}
    rows = [row(**node, client_address=f"192.0.2.{number % 5}", client_port=40_000 + number) for number in range(20)]
    (edge,) = edges_of(tmp_path, rows)
    assert (edge["client_kind"], edge["client_workload"]) == ("remote-node", None)
    assert edge["client_addresses"] == [f"192.0.2.{number}" for number in range(5)]
    assert (edge["client_distinct"], edge["client_pods"], edge["server_pods"]) == (5, 0, 1)
    assert edge["server_addresses"] == []


def test_hosts_hours_and_names(tmp_path: Path) -> None:
    """Hours are a bitmap, days are dates, names and services are sorted words, each once."""
    rows = [
        row(time=START, server_names=["b.example", "a.example"], service_namespace="shop", service_name="cart"),
        row(
            time=START + timedelta(days=2, hours=3),
            client_port=1,
            server_names=["b.example"],
            service_namespace="shop",
            service_name="cart",
        ),
    ]
    (edge,) = edges_of(tmp_path, rows)
    assert (edge["hours"], edge["days"]) == (1 << 10 | 1 << 13, 2)
    assert (edge["names"], edge["service_names"]) == (["a.example", "b.example"], ["shop/cart"])


_STAGED = "StagedNetworkPolicy/shop/"


def test_pending_denials_of_accepted_records_are_words_of_the_edge(tmp_path: Path) -> None:
    """From both reporters, sorted, each once; they change no verdict and no count."""
    rows = [
        row(pending_denied_by=[f"{_STAGED}b", f"{_STAGED}a"], source="goldmane", flow_records=2),
        row(pending_denied_by=[f"{_STAGED}b", "StagedGlobalNetworkPolicy//c"], reporter="server"),
        row(pending_denied_by=[f"{_STAGED}b"], client_port=1),
        row(client_port=2),
        row(server_port=443),
    ]
    edges = {edge["server_port"]: edge for edge in edges_of(tmp_path, rows)}
    assert edges[8_080]["pending_denied_by"] == ["StagedGlobalNetworkPolicy//c", f"{_STAGED}a", f"{_STAGED}b"]
    assert (edges[8_080]["verdict"], edges[8_080]["flow_records"]) == ("accepted", 4)
    assert (edges[8_080]["names"], edges[8_080]["service_names"]) == ([], [])
    assert edges[443]["pending_denied_by"] == []


def test_pending_denials_of_other_records_do_not_count(tmp_path: Path) -> None:
    """What was not accepted has none, whatever a lake says."""
    rows = [
        row(verdict=verdict, server_port=port, pending_denied_by=[f"{_STAGED}a"])
        for port, verdict in enumerate(("denied", "fault", "audit", "unknown"), 1)
    ]
    assert [edge["pending_denied_by"] for edge in edges_of(tmp_path, rows)] == [[]] * 4


def test_pending_denials_are_bounded(tmp_path: Path) -> None:
    """The first 64 by name, wherever they came from."""
    names = [f"{_STAGED}{number:03}" for number in range(70)]
    rows = [row(pending_denied_by=names[start::7], client_port=start + 1) for start in range(7)]
    assert [edge["pending_denied_by"] for edge in edges_of(tmp_path, rows)] == [names[:64]]


def test_an_address_that_failed_has_no_pending_denials(tmp_path: Path) -> None:
    """They stay with the edge that it was split from."""
    told = {"pending_denied_by": [f"{_STAGED}a"]}
    rows = [_stranger("9.9.9.1", establishment="established", **told), _stranger("9.9.9.2", establishment="refused")]
    found = {edge["establishment"]: edge["pending_denied_by"] for edge in edges_of(tmp_path, rows)}
    assert found == {"established": [f"{_STAGED}a"], "refused": []}


def test_windows_take_since_and_leave_until(tmp_path: Path) -> None:
    """Since is inclusive, until exclusive, across midnight and in any zone."""
    times = [START + timedelta(hours=hour) for hour in range(30)]
    files = write_parts(tmp_path, [row(time=time, client_port=number) for number, time in enumerate(times)])
    with engine(threads=1) as connection:
        found = roll_up(connection, files, known_workloads(), since=times[3], until=times[20]).to_pylist()
        nothing = roll_up(connection, files, known_workloads(), since=times[29] + timedelta(seconds=1))
    assert [edge["flow_records"] for edge in found] == [17]
    assert found[0]["first_seen"] == times[3]
    assert found[0]["last_seen"] == times[19]
    assert nothing.num_rows == 0


def test_no_flows_no_edges() -> None:
    """No part files give an empty table of the right shape."""
    with engine(threads=1) as connection:
        assert roll_up(connection, (), known_workloads()).equals(EDGES.empty_table())


def test_the_machines_zone_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours and days are UTC wherever it runs."""
    late = datetime(2026, 11, 1, 23, 59, 59, tzinfo=UTC)
    usual = edges_of(tmp_path / "a", [row(time=late)])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert edges_of(tmp_path / "b", [row(time=late)]) == usual
    assert (usual[0]["hours"], usual[0]["days"]) == (1 << 23, 1)


def test_the_ends_are_the_workloads(tmp_path: Path) -> None:
    """Workload keys are those of the references, on the right side."""
    (edge,) = edges_of(tmp_path, [row()])
    refs = known_workloads().ref_of
    assert CLIENT.identity is not None
    assert SERVER.identity is not None
    assert (edge["client_workload"], edge["server_workload"]) == (refs[CLIENT.identity].key, refs[SERVER.identity].key)


def _stranger(address: str, **fields: Any) -> Row:
    """Return a record of a connection to an external server."""
    return row(
        server_kind="external", server_identity=None, server_pod=None, server_address=address,
        server_prefix="9.9.9.0/24", **fields,
    )  # fmt: skip


def _told(edges: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the verdict, the establishment and the server addresses of edges."""
    return sorted((one["verdict"], one["establishment"], tuple(one["server_addresses"])) for one in edges)


def test_a_denied_address_is_not_learned_from_its_neighbour(tmp_path: Path) -> None:
    """An edge to outside addresses joins many of them; one that was only ever denied is an edge of its own."""
    early = START - timedelta(hours=3)
    denied = _stranger("9.9.9.2", verdict="denied", drop_reason="POLICY_DENIED", establishment=None, time=early)
    edges = edges_of(tmp_path, [_stranger("9.9.9.1", establishment="established"), denied])
    assert _told(edges) == [("accepted", "established", ("9.9.9.1",)), ("denied", "unknown", ("9.9.9.2",))]
    assert next(one for one in edges if one["verdict"] == "accepted")["first_seen"] == START


@pytest.mark.parametrize("how", ["unanswered", "refused"])
def test_a_silent_address_is_not_learned_from_its_neighbour(tmp_path: Path, how: str) -> None:
    """Nor is one that never answered, or refused, where answers are visible."""
    shown = "attempted" if how == "unanswered" else "refused"
    rows = [_stranger("9.9.9.1", establishment="established"), _stranger("9.9.9.2", establishment=shown)]
    edges = edges_of(tmp_path, rows)
    assert _told(edges) == [("accepted", "established", ("9.9.9.1",)), ("accepted", how, ("9.9.9.2",))]


def test_what_nothing_reads_any_more_takes_no_memory(tmp_path: Path) -> None:
    """After the rollup only what callers read is left; a table dropped too early would fail every other test."""
    files = write_parts(tmp_path, [row(), row(verdict="denied", establishment=None, drop_reason="POLICY_DENIED")])
    with engine(threads=1) as connection:
        roll_up(connection, files, known_workloads())
        left = connection.execute("SELECT table_name FROM duckdb_tables() WHERE temporary ORDER BY ALL").fetchall()
    assert [name for (name,) in left] == ["edges", "governed", "workload_keys", "workload_of"]
