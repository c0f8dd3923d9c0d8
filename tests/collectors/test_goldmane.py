"""Goldmane and Whisker flows: exact rows for every shape, what is never claimed, robustness, recognition."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.calico import sniff as sniff_calico
from collectors.goldmane import GoldmaneReader, sniff
from collectors.registry import sniff as sniff_any
from tests.collectors.reading import read
from tests.conftest import REPO

UTC = dt.UTC
HUBBLE = REPO / "sample_flows" / "shop-hubble.jsonl"
CALICO = REPO / "sample_flows" / "shop-calico.jsonl"


def camel(**key: Any) -> dict[str, Any]:
    """Return a FlowResult as protojson prints it: camelCase, enum names, int64 strings; with changes of the key."""
    return {
        "id": "42",
        "flow": {
            "Key": {
                "sourceName": "frontend-6c9f7d8b54-*",
                "sourceNamespace": "shop",
                "sourceType": "WorkloadEndpoint",
                "destName": "cart-5b8d6f7c94-*",
                "destNamespace": "shop",
                "destType": "WorkloadEndpoint",
                "destPort": "7070",
                "destServiceName": "cart",
                "destServiceNamespace": "shop",
                "destServicePortName": "-",
                "destServicePort": "80",
                "proto": "tcp",
                "reporter": "Src",
                "action": "Allow",
                "policies": {
                    "enforcedPolicies": [
                        {"kind": "GlobalNetworkPolicy", "name": "base", "tier": "security", "action": "Pass"},
                        {
                            "kind": "CalicoNetworkPolicy",
                            "namespace": "shop",
                            "name": "web",
                            "tier": "default",
                            "action": "Allow",
                        },
                    ],
                    "pendingPolicies": [
                        {
                            "kind": "StagedNetworkPolicy",
                            "namespace": "shop",
                            "name": "next",
                            "tier": "default",
                            "action": "Deny",
                        }
                    ],
                },
            }
            | key,
            "startTime": "1793581200",
            "endTime": "1793581215",
            "sourceLabels": ["app=frontend", "pod-template-hash=6c9f7d8b54"],
            "destLabels": ["app=cart"],
            "packetsIn": "20",
            "packetsOut": "16",
            "bytesIn": "9000",
            "bytesOut": "1500",
            "numConnectionsStarted": "2",
            "numConnectionsCompleted": "2",
            "numConnectionsLive": "3",
        },
    }


def snake() -> dict[str, Any]:
    """Return the same flow with snake_case names, enum numbers and plain integers."""
    return {
        "key": {
            "source_name": "frontend-6c9f7d8b54-*",
            "source_namespace": "shop",
            "source_type": 1,
            "dest_name": "cart-5b8d6f7c94-*",
            "dest_namespace": "shop",
            "dest_type": 1,
            "dest_port": 7070,
            "dest_service_name": "cart",
            "dest_service_namespace": "shop",
            "dest_service_port": 80,
            "proto": "tcp",
            "reporter": 1,
            "action": 1,
            "policies": {
                "enforced_policies": [
                    {"kind": 2, "name": "base", "tier": "security", "action": 3},
                    {"kind": 1, "namespace": "shop", "name": "web", "tier": "default", "action": 1},
                ],
                "pending_policies": [{"kind": 3, "namespace": "shop", "name": "next", "action": 2}],
            },
        },
        "start_time": 1793581200,
        "end_time": 1793581215,
        "source_labels": ["app=frontend", "pod-template-hash=6c9f7d8b54"],
        "dest_labels": ["app=cart"],
        "packets_in": 20,
        "packets_out": 16,
        "bytes_in": 9000,
        "bytes_out": 1500,
        "num_connections_started": 2,
        "num_connections_live": 3,
    }


def whisker(**changes: Any) -> dict[str, Any]:
    """Return the same flow as Whisker prints it."""
    return {
        "start_time": "2026-11-02T01:00:00Z",
        "end_time": "2026-11-02T02:00:15+01:00",
        "action": "Allow",
        "source_name": "frontend-6c9f7d8b54-*",
        "source_namespace": "shop",
        "source_labels": "app=frontend | pod-template-hash=6c9f7d8b54",
        "dest_name": "cart-5b8d6f7c94-*",
        "dest_namespace": "shop",
        "dest_labels": "app=cart",
        "protocol": "tcp",
        "dest_port": 7070,
        "reporter": "Src",
        "policies": {
            "enforced": [
                {
                    "kind": "GlobalNetworkPolicy",
                    "name": "base",
                    "namespace": "",
                    "tier": "security",
                    "action": "Pass",
                    "policy_index": 0,
                    "rule_index": 1,
                    "trigger": None,
                },
                {
                    "kind": "CalicoNetworkPolicy",
                    "name": "web",
                    "namespace": "shop",
                    "tier": "default",
                    "action": "Allow",
                    "policy_index": 1,
                    "rule_index": 0,
                    "trigger": None,
                },
            ],
            "pending": [],
        },
        "packets_in": 20,
        "packets_out": 16,
        "bytes_in": 9000,
        "bytes_out": 1500,
    } | changes


def row(**changes: Any) -> dict[str, Any]:
    """Return the canonical row of these flows, without identities, with changes; None removes a column."""
    expected = {
        "time": dt.datetime(2026, 11, 2, 1, 0, tzinfo=UTC),
        "end_time": dt.datetime(2026, 11, 2, 1, 0, 15, tzinfo=UTC),
        "source": "goldmane",
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
        "egress_allowed_by": ["CalicoNetworkPolicy/shop/web"],
        "pending_denied_by": ["StagedNetworkPolicy/shop/next"],
        "flow_records": 3,
        "connections": 2,
        "packets_sent": 16,
        "packets_received": 20,
        "bytes_sent": 1500,
        "bytes_received": 9000,
        "ingest_id": "run",
        "cluster": "default",
        "date": dt.date(2026, 11, 2),
    } | changes
    return {name: value for name, value in expected.items() if value is not None}


PLAIN = row(
    service_namespace=None, service_name=None, service_port=None, flow_records=1, connections=None,
    pending_denied_by=None,
)  # fmt: skip


def rows(*records: Any) -> list[dict[str, Any]]:
    """Return the rows of records, none of which may be rejected, without identities."""
    found = read(GoldmaneReader, *records)
    assert found.reasons == []
    return [{name: value for name, value in got.items() if not name.endswith("_identity")} for got in found.rows]


def test_protobuf_json_in_both_spellings() -> None:
    """Camel case with names and strings, snake case with numbers: one row, wrapped in a result or not."""
    assert rows(camel(), camel()["flow"], snake(), {"id": 1, "flow": snake()}) == [row()] * 4


def test_whisker_flow() -> None:
    """Whisker's flat flows are read without type, service and connection counts, and with them."""
    service = {"name": "cart", "namespace": "shop", "port": 80, "port_name": ""}
    assert rows(whisker()) == [PLAIN]
    typed = whisker(source_type="WorkloadEndpoint", dest_type="WorkloadEndpoint", service=service)
    assert rows(typed) == [row(flow_records=1, connections=None, pending_denied_by=None)]
    assert rows(whisker(source_labels=["app=frontend"])) == [PLAIN]


def test_documents_of_many_flows() -> None:
    """List documents and arrays hold many flows; a broken one among them is rejected alone."""
    assert rows({"meta": {"totalPages": "1"}, "flows": [camel(), camel()]}) == [row()] * 2
    assert rows({"total": {"totalResults": 1}, "items": [whisker()]}) == [PLAIN]
    assert rows([camel(), snake()], {"meta": {}, "flows": []}) == [row()] * 2
    found = read(GoldmaneReader, {"flows": [camel(), 5, camel()]})
    assert len(found.rows) == 2
    assert found.reasons == ["1: Expected `object`, got `int`"]


def test_destination_report() -> None:
    """The destination's report counts from its side, and its trace is the ingress one."""
    counted = camel(
        reporter="Dst",
        action=2,
        policies={
            "enforcedPolicies": [
                {
                    "kind": "EndOfTier",
                    "tier": "default",
                    "action": "Deny",
                    "ruleIndex": "-1",
                    "trigger": {"kind": "NetworkPolicy", "namespace": "shop", "name": "guard", "tier": "default"},
                },
                {"kind": "EndOfTier", "tier": "adminnetworkpolicy", "action": "Deny"},
            ]
        },
    )
    assert rows(counted) == [
        row(
            reporter="server",
            verdict="denied",
            establishment=None,
            egress_allowed_by=None,
            ingress_denied_by=["NetworkPolicy/shop/guard", "EndOfTier//adminnetworkpolicy"],
            pending_denied_by=None,
            packets_sent=20,
            packets_received=16,
            bytes_sent=9000,
            bytes_received=1500,
        )
    ]


STAGED_DENY = {"kind": "StagedNetworkPolicy", "namespace": "shop", "name": "next", "action": "Deny"}
GLOBAL_DENY = {"kind": "StagedGlobalNetworkPolicy", "name": "baseline", "action": "Deny"}
LET_PASS = {"kind": "CalicoNetworkPolicy", "namespace": "shop", "name": "web", "action": "Allow"}
PASSED_ON = {"kind": "StagedNetworkPolicy", "namespace": "shop", "name": "first", "action": "Pass"}
END_OF_TIER = {
    "kind": "EndOfTier",
    "tier": "default",
    "action": "Deny",
    "rule_index": -1,
    "trigger": {"kind": "StagedKubernetesNetworkPolicy", "namespace": "shop", "name": "guard", "tier": "default"},
}


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        (None, None),
        ([], None),
        ([LET_PASS], None),
        ([STAGED_DENY], ["StagedNetworkPolicy/shop/next"]),
        ([END_OF_TIER], ["StagedKubernetesNetworkPolicy/shop/guard"]),
        ([STAGED_DENY, LET_PASS], None),
        ([LET_PASS, STAGED_DENY], ["StagedNetworkPolicy/shop/next"]),
        ([STAGED_DENY, PASSED_ON], ["StagedNetworkPolicy/shop/next"]),
        ([PASSED_ON, {"kind": "Profile", "name": "kns.shop", "action": "Allow"}], None),
        ([PASSED_ON, LET_PASS | {"action": "Deny"}], ["CalicoNetworkPolicy/shop/web"]),
        ([PASSED_ON], None),
        (
            [GLOBAL_DENY, STAGED_DENY, GLOBAL_DENY],
            ["StagedGlobalNetworkPolicy//baseline", "StagedNetworkPolicy/shop/next"],
        ),
        ([STAGED_DENY | {"policy_index": 1}, LET_PASS], ["StagedNetworkPolicy/shop/next"]),
        ([LET_PASS | {"policy_index": "2"}, STAGED_DENY | {"policy_index": "1"}], None),
        ([STAGED_DENY | {"policy_index": "x"}, LET_PASS | {"policy_index": -1}], None),
        (
            [{"kind": 5, "namespace": "shop", "name": "numbers", "action": 2}],
            ["StagedKubernetesNetworkPolicy/shop/numbers"],
        ),
    ],
)
@pytest.mark.parametrize("name", ["pendingPolicies", "pending_policies", "pending"])
def test_pending_verdicts(name: str, pending: list[dict[str, Any]] | None, expected: list[str] | None) -> None:
    """The last decision in the order of evaluation counts, in every spelling; the flow stays accepted."""
    policies = {"enforced_policies": [LET_PASS], name: pending}
    assert rows(camel(policies=policies)) == [row(pending_denied_by=expected)]
    flat = {"enforced": [LET_PASS], name: pending}
    assert rows(whisker(policies=flat)) == [PLAIN | ({"pending_denied_by": expected} if expected else {})]


@pytest.mark.parametrize("action", ["Deny", "Pass", "ActionUnspecified"])
def test_pending_verdicts_of_flows_that_were_not_allowed(action: str) -> None:
    """What was denied anyway, or of which nobody knows, has no pending denial."""
    (found,) = rows(camel(action=action))
    assert "pending_denied_by" not in found


def test_enforced_denials_are_no_pending_ones() -> None:
    """A deny of the enforced trace alone says nothing of staged policies."""
    (found,) = rows(camel(action="Deny", policies={"enforcedPolicies": [LET_PASS | {"action": "Deny"}]}))
    assert found["egress_denied_by"] == ["CalicoNetworkPolicy/shop/web"]
    assert "pending_denied_by" not in found


def test_staged_and_profile_hits_never_count() -> None:
    """Staged policies enforce nothing and a profile is no policy."""
    hits = [
        {"kind": "StagedGlobalNetworkPolicy", "name": "x", "action": "Allow"},
        {"kind": 5, "name": "y", "action": "Allow"},
        {"kind": "Profile", "name": "kns.shop", "action": "Allow"},
    ]
    assert rows(camel(policies={"enforcedPolicies": hits})) == [row(egress_allowed_by=None, pending_denied_by=None)]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ({"destType": "Network", "destName": "pub", "destNamespace": "-"}, "unresolved"),
        ({"destType": 4, "destName": "pvt", "destNamespace": ""}, "unresolved"),
        ({"destType": "NetworkSet", "destName": "partners", "destNamespace": "shop"}, "unresolved"),
        ({"destType": "HostEndpoint", "destName": "node-b", "destNamespace": "-"}, "unresolved"),
        ({"destType": "WorkloadEndpoint", "destNamespace": "-"}, "unresolved"),
        ({"destType": "EndpointTypeUnspecified"}, "workload"),
        ({"destType": "EndpointTypeUnspecified", "destName": "cart"}, "unresolved"),
        ({"destType": 99, "destName": "cart"}, "unresolved"),
    ],
)
def test_ends_that_no_policy_can_name(key: dict[str, Any], kind: str) -> None:
    """Without addresses, everything but a pod stays unresolved."""
    assert rows(camel(**key)) == [row(server_kind=kind)]


def test_host_endpoint_that_reports_is_the_host() -> None:
    """Only the reporting end is surely a node of its own."""
    host = {"sourceType": "HostEndpoint", "sourceName": "node-a", "sourceNamespace": "-"}
    assert rows(camel(**host)) == [row(client_kind="host")]
    assert rows(camel(**host, reporter="Dst", policies=None))[0]["client_kind"] == "unresolved"


def test_whisker_networks() -> None:
    """Whisker spells networks out; they are unresolved."""
    assert (
        rows(whisker(dest_name="PRIVATE NETWORK", dest_namespace="-", dest_labels=""))[0]["server_kind"] == "unresolved"
    )
    assert rows(whisker(dest_name="PUBLIC NETWORK", dest_namespace="Global"))[0]["server_kind"] == "unresolved"


def test_left_out_zeros() -> None:
    """Protobuf-JSON leaves zeros out: no port, no verdict, no reporter."""
    record = camel()
    for name in ("destPort", "action", "reporter"):
        del record["flow"]["Key"][name]
    assert rows(record) == [
        row(
            server_port=None,
            verdict="unknown",
            reporter=None,
            establishment=None,
            egress_allowed_by=None,
            pending_denied_by=None,
            packets_sent=None,
            packets_received=None,
            bytes_sent=None,
            bytes_received=None,
        )
    ]


BAD: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "no JSON": (b"{", "Expecting property name"),
    "no object": (b"5", "Expected `object`, got `int`"),
    "no flow": ({"id": 1}, "the object is no flow"),
    "flow of another kind": ({"flow": 1}, "Expected `object`, got `int`"),
    "key of another kind": ({"key": 1, "start_time": 1}, "Expected `object`, got `int`"),
    "a key twice": (b'{"a":1,"a":2}', "key 'a' occurs twice"),
    "a key in two spellings": (b'{"startTime":1,"start_time":2}', "key 'start_time' occurs twice"),
    "NaN": (b'{"a":NaN}', "NaN is not JSON"),
    "invalid UTF-8": (b'"\xff"', "can't decode"),
    "half a surrogate pair": (json.dumps(whisker(protocol="\udc00")).encode(), "can't encode"),
    "no start": (camel() | {"flow": {"Key": {}}}, "no start_time"),
    "negative time": (whisker(start_time="-5"), "is not a time"),
    "time without zone": (whisker(start_time="2026-11-02T01:00:00"), "is not a time"),
    "time before 1970": (whisker(end_time="0001-01-01T00:00:00Z"), "end_time is not between 1970 and 2100"),
    "port": (camel(destPort="65536"), "dest_port is out of range"),
    "port that is none": (camel(destPort="http"), "dest_port 'http' is not a whole number"),
    "count": (whisker(bytes_in="9" * 20), "is not a whole number"),
    "pending trace": (whisker(policies={"pending": 5}), "Expected `array | null`, got `int`"),
    "label": (whisker(dest_labels="app=a | x"), "label 'x' is not of the form key=value"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_malformed_records_are_located_and_the_rest_goes_on(name: str) -> None:
    """A broken flow is counted and located with its reason; those around it are read."""
    record, reason = BAD[name]
    found = read(GoldmaneReader, camel(), record, whisker())
    assert len(found.rows) == 2
    assert (found.completeness.rows_read, found.completeness.rows_rejected) == (2, 1)
    assert found.reasons[0].startswith("2: ")
    assert reason in found.reasons[0]


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_or_rejections(text: bytes) -> None:
    """Whatever the bytes, nothing is raised, and a line that is no empty list is a row or a rejection."""
    account = read(GoldmaneReader, text).completeness
    assert account.rows_read + account.rows_rejected >= bool(text.strip() and text.strip()[:1] not in b"[{")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Src", "*", "a=b", "Deny"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["enforced", "pending", "kind", "trigger", "name", "policy_index"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(whisker())), JSON, max_size=4))
def test_any_values_give_a_row_or_a_rejection(changes: dict[str, Any]) -> None:
    """Whatever stands in the fields, the flow is read or rejected."""
    account = read(GoldmaneReader, whisker(**changes)).completeness
    assert account.rows_read + account.rows_rejected == 1


def test_sniff() -> None:
    """Every shape is recognised, and nothing else is."""
    flows = (
        camel(),
        camel()["flow"],
        snake(),
        whisker(),
        {"meta": {}, "flows": [camel()]},
        {"items": [whisker()]},
        [snake()],
    )
    assert all(sniff(json.dumps(record).encode()) for record in flows)
    assert not any(sniff_calico(json.dumps(record).encode()) for record in flows)
    hubble = b'{"flow":{"verdict":"FORWARDED","IP":{},"l4":{},"source":{}},"node_name":"n"}'
    others = (b"", b"{", b"[]", b"{}", b"5", b'{"flow":5}', b'{"flow":{"key":{}}}', b'{"flows":[]}', b"\xff", hubble)
    assert not any(sniff(text) for text in others)


def test_formats_are_told_apart() -> None:
    """Content alone says which collector reads an input, whatever the order of the table."""
    assert sniff_any(json.dumps(camel()).encode(), "x")[0] == "goldmane"
    assert sniff_any(json.dumps(whisker()).encode(), "x")[0] == "goldmane"
    for path, name in ((HUBBLE, "hubble"), (CALICO, "calico")):
        for text in path.read_bytes().splitlines():
            assert sniff_any(text, "x")[0] == name
