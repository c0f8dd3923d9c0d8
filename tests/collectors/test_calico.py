"""Calico flow logs: exact rows, what each field means, robustness, recognition."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.calico import CalicoReader, sniff
from discovery.model.workload import EndpointKind
from tests.collectors.reading import read
from tests.conftest import REPO

UTC = dt.UTC
DAY = dt.date(2026, 11, 2)
SAMPLE = REPO / "sample_flows" / "shop-calico.jsonl"


def line(**changes: Any) -> dict[str, Any]:
    """Return a complete record of the source's end, with changes."""
    return {
        "start_time": 1793581200,
        "end_time": 1793581500,
        "host": "node-a",
        "action": "allow",
        "reporter": "src",
        "proto": "tcp",
        "source_ip": None,
        "source_name": "-",
        "source_name_aggr": "frontend-6c9f7d8b54-*",
        "source_namespace": "shop",
        "source_type": "wep",
        "source_port": None,
        "source_labels": {"labels": ["pod-template-hash=6c9f7d8b54", "app=frontend"]},
        "dest_ip": None,
        "dest_name": "-",
        "dest_name_aggr": "cart-5b8d6f7c94-*",
        "dest_namespace": "shop",
        "dest_type": "wep",
        "dest_port": 7070,
        "dest_labels": {"labels": ["app=cart"]},
        "dest_service_namespace": "shop",
        "dest_service_name": "cart",
        "dest_service_port": 80,
        "dest_service_port_name": "-",
        "dest_domains": None,
        "num_flows": 3,
        "num_flows_started": 2,
        "num_flows_completed": 2,
        "packets_in": 20,
        "packets_out": 16,
        "bytes_in": 9000,
        "bytes_out": 1500,
        "policies": {
            "all_policies": [
                "0|default|shop/default.staged:next|deny|-1",
                "1|default|shop/default.web|pass|0",
                "2|__PROFILE__|__PROFILE__.kns.shop|allow|0",
            ],
            "enforced_policies": ["0|security|security.base|pass|1", "1|default|shop/default.web|allow|0"],
            "pending_policies": ["0|default|shop/default.staged:next|deny|-1"],
        },
    } | changes


def row(**changes: Any) -> dict[str, Any]:
    """Return the canonical row of :func:`line`, without identities, with changes; None removes a column."""
    expected = {
        "time": dt.datetime(2026, 11, 2, 1, 0, tzinfo=UTC),
        "end_time": dt.datetime(2026, 11, 2, 1, 5, tzinfo=UTC),
        "source": "calico",
        "node": "node-a",
        "verdict": "accepted",
        "reporter": "client",
        "protocol": "TCP",
        "initiator": "source",
        "direction_evidence": "flag",
        "establishment": "established",
        "client_kind": "workload",
        "server_kind": "workload",
        "server_port": 7070,
        "service_namespace": "shop",
        "service_name": "cart",
        "service_port": 80,
        "egress_allowed_by": ["CalicoNetworkPolicy/shop/default.web"],
        "pending_denied_by": ["StagedNetworkPolicy/shop/default.next"],
        "flow_records": 3,
        "connections": 2,
        "packets_sent": 16,
        "packets_received": 20,
        "bytes_sent": 1500,
        "bytes_received": 9000,
        "ingest_id": "run",
        "cluster": "default",
        "date": DAY,
    } | changes
    return {name: value for name, value in expected.items() if value is not None}


def one(record: dict[str, Any]) -> dict[str, Any]:
    """Return the only row of a record, without identities."""
    found = read(CalicoReader, record)
    assert found.reasons == []
    assert len(found.rows) == 1
    return {name: value for name, value in found.rows[0].items() if not name.endswith("_identity")}


def test_source_record_is_read_exactly() -> None:
    """A record of the source's end: client is the source, counters and policies are egress."""
    assert one(line()) == row()


def test_destination_record_counts_from_the_other_side() -> None:
    """At the destination, what came in was sent by the client, and the policies are ingress."""
    deny = ["0|default|shop/knp.default.guard|deny|-1"]
    found = one(
        line(
            reporter="dst",
            action="deny",
            host="node-b",
            packets_in=4,
            packets_out=0,
            bytes_in=240,
            bytes_out=0,
            policies={"enforced_policies": deny},
            dest_service_name="-",
            dest_service_namespace="-",
            dest_service_port=None,
        )
    )
    assert found == row(
        node="node-b",
        verdict="denied",
        reporter="server",
        establishment=None,
        service_namespace=None,
        service_name=None,
        service_port=None,
        egress_allowed_by=None,
        ingress_denied_by=["NetworkPolicy/shop/guard"],
        pending_denied_by=None,
        packets_sent=4,
        packets_received=0,
        bytes_sent=240,
        bytes_received=0,
    )


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        (None, None),
        ([], None),
        (["0|default|shop/default.web|allow|0"], None),
        (["0|__PROFILE__|__PROFILE__.kns.shop|allow|0"], None),
        (["1|default|snp:shop/next|deny|-1", "0|security|gnp:base|pass|0"], ["StagedNetworkPolicy/shop/next"]),
        (["1|default|shop/default.web|allow|0", "0|security|security.staged:base|deny|0"], None),
        (["0|*|*|deny|*"], [""]),
        (["nonsense"], None),
    ],
)
def test_pending_verdicts(pending: list[str] | None, expected: list[str] | None) -> None:
    """The last decision by index counts, whatever the order of the list, and the flow stays accepted."""
    enforced = ["0|security|security.base|pass|1", "1|default|shop/default.web|allow|0"]
    found = one(line(policies={"enforced_policies": enforced, "pending_policies": pending}))
    assert found == row(pending_denied_by=expected)


def test_pending_verdicts_of_denied_flows_say_nothing_new() -> None:
    """What was denied anyway has no pending denial; records without policies have none either."""
    assert "pending_denied_by" not in one(line(action="deny"))
    assert "pending_denied_by" not in one(line(policies=None))


def test_workloads_are_named_by_prefix_and_labels() -> None:
    """Both ends become workloads without pods; volatile labels are no part of them."""
    found = read(CalicoReader, line())
    infos = {seen.info.workload_name: seen.info for seen in found.workloads}
    assert sorted(infos) == ["cart", "frontend"]
    assert infos["frontend"].labels == (("app", "frontend"),)
    assert {info.name_source for info in infos.values()} == {"pod-name"}
    assert {info.pod for info in infos.values()} == {None}


def test_unaggregated_pod_keeps_its_name_and_address() -> None:
    """With pod names and addresses switched on, both arrive; so does the client's port."""
    found = one(line(source_name="frontend-6c9f7d8b54-x2x4z", source_ip="10.0.0.7", source_port=40000))
    assert found == row(client_pod="frontend-6c9f7d8b54-x2x4z", client_address="10.0.0.7", client_port=40000)


def test_pod_without_generated_name() -> None:
    """A bare pod is its own workload, and its aggregate is its name."""
    found = read(CalicoReader, line(source_name_aggr="toolbox", source_labels=None))
    assert found.rows[0]["client_pod"] == "toolbox"
    assert "toolbox" in {seen.info.workload_name for seen in found.workloads}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dest_type": "net", "dest_name_aggr": "pub"}, {"server_kind": "unresolved"}),
        ({"dest_type": "net", "dest_name_aggr": "pvt"}, {"server_kind": "unresolved"}),
        (
            {"dest_type": "net", "dest_name_aggr": "pub", "dest_ip": "::ffff:203.0.113.9"},
            {"server_kind": "external", "server_address": "203.0.113.9", "server_prefix": "203.0.113.0/24"},
        ),
        ({"dest_type": "ns", "dest_name_aggr": "partners"}, {"server_kind": "unresolved"}),
        (
            {"dest_type": "ns", "dest_name_aggr": "partners", "dest_ip": "2001:db8::1"},
            {"server_kind": "external", "server_address": "2001:db8::1", "server_prefix": "2001:db8::/48"},
        ),
        ({"dest_type": "hep", "dest_name_aggr": "node-a"}, {"server_kind": "host"}),
        ({"dest_type": "hep", "dest_name_aggr": "node-b"}, {"server_kind": "remote-node"}),
        ({"dest_type": "hep", "dest_name_aggr": "-"}, {"server_kind": "unresolved"}),
        ({"dest_type": "wep"}, {"server_kind": "unresolved"}),
        ({"dest_type": "new"}, {"server_kind": "unresolved"}),
    ],
)
def test_ends_that_are_no_pods(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """Networks and network sets are external only with an address; host endpoints are nodes; nothing is invented."""
    assert one(line(dest_namespace="-", **changes)) == row(**expected)


def test_domains_become_names() -> None:
    """Destination domains are canonical server names."""
    found = one(line(dest_domains=["API.Example.", "-", "a.example"]))
    assert found["server_names"] == ["a.example", "api.example"]


@pytest.mark.parametrize(
    ("proto", "protocol", "port"),
    [
        ("udp", "UDP", 7070),
        ("17", "UDP", 7070),
        (6, "TCP", 7070),
        ("132", "SCTP", 7070),
        ("sctp", "SCTP", 7070),
        ("1", "ICMP", None),
        ("icmp", "ICMP", None),
        (58, "ICMPv6", None),
        ("icmp6", "ICMPv6", None),
        ("esp", "esp", None),
        ("47", "47", None),
        ("-", None, None),
    ],
)
def test_protocols(proto: str | int, protocol: str | None, port: int | None) -> None:
    """Names and numbers are one protocol; only those with ports keep a port; others keep the source's word."""
    found = one(line(proto=proto))
    assert (found.get("protocol"), found.get("server_port")) == (protocol, port)


def test_forwarding_host_is_neither_end() -> None:
    """A record of a forwarding host has no reporter, no orientation of counters and no policies of an end."""
    assert one(line(reporter="fwd")) == row(
        reporter=None,
        observation_point="fwd",
        establishment=None,
        egress_allowed_by=None,
        packets_sent=None,
        packets_received=None,
        bytes_sent=None,
        bytes_received=None,
    )


def test_older_records_have_all_policies_alone() -> None:
    """Without the split, staged hits are told by their name and never count."""
    texts = [
        "0|default|shop/default.staged:next|allow",
        "1|default|shop/staged:knp.default.next|allow",
        "2|default|default.all|allow",
    ]
    found = one(line(policies={"all_policies": texts}))
    assert found["egress_allowed_by"] == ["GlobalNetworkPolicy//default.all"]


def test_counters_are_optional() -> None:
    """What is not counted stays null; a record stands for itself at least."""
    record = {
        name: value
        for name, value in line(num_flows=0).items()
        if not name.startswith(("packets", "bytes", "num_flows_"))
    }
    assert one(record) == row(
        flow_records=1,
        connections=None,
        establishment=None,
        packets_sent=None,
        packets_received=None,
        bytes_sent=None,
        bytes_received=None,
    )


def test_service_port_by_name() -> None:
    """Where the service port is a name, its number stands in a field of its own."""
    assert one(line(dest_service_port="http", dest_service_port_num=80)) == row()
    assert one(line(dest_service_port="http")) == row(service_port=None)


def test_elasticsearch_wrapper() -> None:
    """An exported document is read from its wrapper, whose id is the record's."""
    assert one({"_index": "flows", "_id": "abc", "_source": line(cluster="east")}) == row(uuid="abc", cluster="east")


BAD: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "no JSON": (b'{"start_time":', "Expecting value"),
    "no object": (b"[]", "Expected `object`, got `array`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "a key twice": (b'{"action":"allow","action":"deny"}', "key 'action' occurs twice in one object"),
    "NaN": (json.dumps(line(bytes_in=float("nan"))).encode(), "NaN is not JSON"),
    "invalid UTF-8": (b'{"action":"\xff"}', "'utf-8' codec can't decode"),
    "half a surrogate pair": (json.dumps(line(host="\ud800")).encode(), "'utf-8' codec can't encode"),
    "no type": (
        {key: value for key, value in line().items() if key != "dest_type"},
        "missing required field `dest_type`",
    ),
    "negative time": (line(start_time=-5), "start_time is out of range"),
    "time in milliseconds": (line(start_time=1793581200000), "must be in seconds"),
    "time of another kind": (line(start_time="yesterday"), "start_time 'yesterday' is not a time"),
    "end before start": (line(end_time=1), "ends before it starts"),
    "end far away": (line(end_time=1 << 62), "end_time is not between 1970 and 2100"),
    "port": (line(dest_port=65536), "dest_port is out of range"),
    "negative port": (line(source_port=-1), "source_port is out of range"),
    "service port": (line(dest_service_port=70000), "dest_service_port is out of range"),
    "negative count": (line(bytes_in=-1), "bytes_in is out of range"),
    "huge count": (line(num_flows=1 << 63), "num_flows is out of range"),
    "fraction": (line(num_flows=1.5), "Expected `int | str | null`, got `float`"),
    "address": (line(dest_ip="10.0.0"), "is not an IP address"),
    "label": (line(source_labels={"labels": ["app"]}), "label 'app' is not of the form key=value"),
    "label twice": (line(source_labels={"labels": ["a=b", "a=c"]}), "label 'a' occurs twice"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_malformed_records_are_located_and_the_rest_goes_on(name: str) -> None:
    """A broken record is counted and located with its reason; those around it are read."""
    record, reason = BAD[name]
    found = read(CalicoReader, line(), b"", record, line(), first_line=7)
    assert len(found.rows) == 2
    assert (found.completeness.rows_read, found.completeness.rows_rejected) == (2, 1)
    assert found.reasons[0].startswith("9: ")
    assert reason in found.reasons[0]


def test_deep_nesting_is_rejected() -> None:
    """A nesting bomb is a malformed record."""
    found = read(CalicoReader, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    assert (found.completeness.rows_read, found.completeness.rows_rejected) == (0, 1)


@given(st.lists(st.binary(max_size=200).filter(lambda text: b"\n" not in text), max_size=5))
def test_any_bytes_give_rows_or_rejections(lines: list[bytes]) -> None:
    """Whatever the bytes, every line that is not blank is a row or a rejection, and nothing is raised."""
    found = read(CalicoReader, *lines)
    account = found.completeness
    assert account.rows_read + account.rows_rejected == sum(1 for text in lines if text.strip())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["-", "*", "a=b", "fwd"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["labels", "enforced_policies"]), inner)
    ),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(line())), JSON, max_size=4))
def test_any_values_give_a_row_or_a_rejection(changes: dict[str, Any]) -> None:
    """Whatever stands in the fields, the record is read or rejected."""
    found = read(CalicoReader, line(**changes))
    assert found.completeness.rows_read + found.completeness.rows_rejected == 1


def test_hostile_text_is_kept_as_data() -> None:
    """Names are data: newlines and controls pass through to where they are escaped."""
    found = read(CalicoReader, line(source_name_aggr='x\n"--\u202e*'))
    assert {seen.info.workload_name for seen in found.workloads} == {'x\n"--\u202e', "cart"}


@pytest.mark.skipif(not SAMPLE.exists(), reason="sample_flows/shop-calico.jsonl is absent")
def test_sample_is_read_completely() -> None:
    """Every record of the sample estate becomes a row."""
    lines = SAMPLE.read_bytes().splitlines()
    found = read(CalicoReader, *lines)
    assert found.reasons == []
    assert found.completeness.rows_read == len(lines)
    kinds = {record[f"{side}_kind"] for record in found.rows for side in ("client", "server")}
    assert kinds == {EndpointKind.WORKLOAD, EndpointKind.UNRESOLVED}
    assert all(sniff(text) for text in lines)


def test_sniff() -> None:
    """Flow log documents are recognised, wrapped or not; nothing else is."""
    assert sniff(json.dumps(line()).encode())
    assert sniff(b"\xef\xbb\xbf" + json.dumps({"_source": line()}).encode())
    others = (b"", b"[]", b"{}", b"{", b'{"_source":1}', b'{"flow":{"verdict":"FORWARDED"}}', b"\xff")
    assert not any(sniff(text) for text in others)
