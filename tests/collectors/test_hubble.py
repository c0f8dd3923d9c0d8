"""Hubble lines in, canonical rows out: every layout and generation, and anything hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hubble import parse_endpoint, sniff
from discovery.model.workload import EndpointKind
from tests.collectors.test_hubble_wire import camel
from tests.flows_factory import START, entity, event, flow, line, read, read_flow, reply, stamp, tcp

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _dump(record: Any) -> bytes:
    """Return anything as one line."""
    return json.dumps(record).encode()


# --------------------------------------------------------------------------------------------------- the reading


def test_a_flow_becomes_a_row() -> None:
    """All that a first packet says is in its row."""
    found = read_flow(uuid="u-1")
    expected = {
        "time": START, "source": "hubble", "node": "node-1", "observation_point": "TO_ENDPOINT", "uuid": "u-1",
        "verdict": "accepted", "drop_reason": None, "reporter": "client", "protocol": "TCP", "tcp_flags": 2,
        "initiator": "source", "direction_evidence": "handshake", "is_reply": False, "establishment": "attempted",
        "client_address": "10.0.0.1", "client_port": 40_000, "client_kind": "workload", "client_pod": "web-1",
        "server_address": "10.0.0.2", "server_port": 8_080, "server_kind": "workload", "server_pod": "cart-1",
        "flow_records": 1, "connections": None, "cluster": "default", "date": START.date(), "ingest_id": "run",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_a_reply_folds_into_its_initiator() -> None:
    """The answer has the ends of the question: no client's port ever becomes a server's (field: replies)."""
    question, answer = read(line(flow()), line(reply())).rows
    for name in ("address", "port", "kind", "identity", "pod"):
        for side in ("client", "server"):
            assert question[f"{side}_{name}"] == answer[f"{side}_{name}"]
    assert (answer["initiator"], answer["establishment"]) == ("destination", "established")


def test_every_layout_reads_alike() -> None:
    """Wrapped, bare, camelCase, numeric enums, CRLF, byte-order mark and spaces: one and the same row."""
    usual = read(line(flow())).rows
    numeric = flow(verdict=1, traffic_direction=2, trace_observation_point=101)
    for raw in (
        _dump(flow()),
        _dump(camel(event(flow()))),
        _dump(camel(flow())),
        _dump(event(numeric)),
        line(flow()) + b"\r",
        b"\xef\xbb\xbf" + line(flow()),
        b"  " + json.dumps(event(flow()), indent=2).replace("\n", " ").encode() + b"  ",
        _dump({**event(flow()), "unknown": {"x": [1, {"y": None}]}, "another": None}),
    ):
        sunk = read(raw)
        assert sunk.completeness.rejected == ()
        assert sunk.rows == usual


@pytest.mark.parametrize(
    "before", [b"", b"garbage", line(flow()), b'{"agent_event":{}}'], ids=["blank", "bad", "snake", "agent"]
)
def test_camel_case_is_seen_wherever_it_begins(before: bytes) -> None:
    """LowerCamelCase after another line does not lose its ports."""
    assert read(before, _dump(camel(event(flow())))).rows[-1]["server_port"] == 8_080


def test_camel_case_in_the_middle_of_a_long_snake_case_input() -> None:
    """A file joined from two exporters reads as both do."""
    lines = [line(flow(uuid=str(number))) for number in range(40)]
    lines.insert(20, _dump(camel(event(flow(uuid="camel")))))
    found = {row["uuid"]: row for row in read(*lines).rows}["camel"]
    assert (found["server_port"], found["client_port"], found["node"]) == (8_080, 40_000, "node-1")


def test_the_outer_time_and_node_count_when_the_inner_are_missing() -> None:
    """With a field mask the flow itself may have neither time nor node."""
    found = read(_dump({"flow": flow(time=None, node_name=None), "time": stamp(5), "node_name": "east/node-9"})).row
    assert found["time"].second == 5
    assert (found["node"], found["cluster"]) == ("east/node-9", "east")


def test_aggregated_records_weigh_what_they_stand_for() -> None:
    """1.19 aggregation: a record counts all its flows, and at least one."""
    counts = {"ingress_flow_count": 3, "egress_flow_count": 4, "unknown_direction_flow_count": 1}
    assert read_flow(aggregate=counts)["flow_records"] == 8
    assert read_flow(aggregate={})["flow_records"] == 1


def test_other_events_are_counted_apart() -> None:
    """Losses add up (64-bit integers are strings), other events are skipped, blank lines are nothing."""
    sunk = read(
        b'{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"12","cpu":1},"node_name":"n"}',
        b'{"lost_events":{"num_events_lost":5}}',
        b'{"lostEvents":{"numEventsLost":"3"},"nodeName":"n"}',
        b'{"lost_events":{}}',
        b'{"agent_event":{"type":"AGENT_STARTED"}}',
        b'{"debug_event":{"type":"DBG"}}',
        b'{"node_status":{"state_change":"NODE_GONE"}}',
        b"",
        b"  \r",
        line(flow()),
    )
    account = sunk.completeness
    assert (account.events_lost, account.rows_skipped, account.rows_read, account.rows_rejected) == (20, 3, 1, 0)


def test_a_lying_loss_cannot_overflow() -> None:
    """Impossible numbers of lost events stay numbers that the lake can hold."""
    huge = _dump({"lost_events": {"num_events_lost": str(2**63 - 1)}})
    account = read(huge, huge, huge).completeness
    assert 2**50 < account.events_lost < 2**60


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"l4": {"UDP": {"source_port": 1, "destination_port": 53}}}, ("UDP", 53, None)),
        ({"l4": {"SCTP": {"source_port": 1, "destination_port": 2_905}}}, ("SCTP", 2_905, None)),
        ({"l4": {"ICMPv4": {"type": 8}}}, ("ICMP", None, 8)),
        ({"l4": {"ICMPv4": {}}}, ("ICMP", None, 8)),  # type 0 is omitted: an echo answer names its request
        ({"l4": {"ICMPv6": {"type": 128}}}, ("ICMPv6", None, 128)),
        ({"l4": {"VRRP": {"type": 1}}}, (None, None, None)),
        ({"l4": None}, (None, None, None)),
        ({"l4": {"TCP": {"destination_port": 65_535}}}, ("TCP", 65_535, None)),
        ({"l4": {"TCP": {"flags": {"SYN": True}}}}, ("TCP", None, None)),  # masked
        ({"l4": {"UDP": {}}}, ("UDP", None, None)),
        ({"l4": {"TCP": {"source_port": 7}}}, ("TCP", 0, None)),
    ],
)
def test_protocols(fields: dict[str, Any], expected: tuple[str | None, int | None, int | None]) -> None:
    """Each protocol has its port or its ICMP type; what no policy can name has neither."""
    found = read_flow(**fields)
    assert (found["protocol"], found["server_port"], found["icmp_type"]) == expected


def test_what_is_rare_lands_in_its_columns() -> None:
    """Names, services, policies, tunnel, proxy and layer 7, secrets dropped."""
    found = read_flow(
        source_names=["Web.Example.", "a.example"],
        destination_names=["db.example."],
        destination_service={"name": "cart", "namespace": "shop"},
        egress_allowed_by=[{"name": "p", "namespace": "shop", "kind": "CiliumNetworkPolicy"}],
        ingress_denied_by=[{"name": "q"}],
        tunnel={"protocol": "VXLAN"},
        proxy_port=10_000,
        l7={
            "type": "REQUEST",
            "http": {"method": "GET", "url": "http://u:pw@api.shop/x?token=s3cr3t", "headers": [{"key": "a"}]},
        },
    )
    expected = {
        "client_names": ["a.example", "web.example"], "server_names": ["db.example"], "service_name": "cart",
        "service_namespace": "shop", "egress_allowed_by": ["CiliumNetworkPolicy/shop/p"],
        "ingress_denied_by": ["//q"], "tunnel_protocol": "VXLAN", "proxy_port": 10_000, "l7_protocol": "http",
        "l7_type": "request", "http_method": "GET", "http_host": "api.shop", "http_path": "/x?",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert "s3cr3t" not in repr(found)
    assert "pw" not in repr(found)


def test_dns_and_kafka() -> None:
    """DNS questions are canonical; a response turns the ends; a topic is kept."""
    answer = {"type": "RESPONSE", "dns": {"query": "DB.Example.", "ips": ["192.0.2.1"], "rcode": 3}}
    found = read_flow(l7=answer, is_reply=True, l4={"UDP": {"source_port": 53, "destination_port": 40_000}})
    assert (found["dns_query"], found["dns_rcode"], found["dns_answers"]) == ("db.example", 3, ["192.0.2.1"])
    assert (found["server_port"], found["l7_type"]) == (53, "response")
    assert read_flow(l7={"type": 1, "kafka": {"topic": "orders"}})["kafka_topic"] == "orders"


def test_names_and_services_turn_with_the_ends() -> None:
    """In a reply the source is the server: its names are the server's, its service the one asked for."""
    found = read(line(reply(source_names=["db"], source_service={"name": "db", "namespace": "shop"}))).row
    assert (found["server_names"], found["client_names"], found["service_name"]) == (["db"], None, "db")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("::ffff:10.0.0.9", "10.0.0.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("", None),
        (None, None),
    ],
)
def test_addresses_are_canonical(given: str | None, expected: str | None) -> None:
    """One address has one spelling; none is null."""
    assert (
        read_flow(IP={"source": given, "destination": "10.0.0.2"} if given is not None else {})["client_address"]
        == expected
    )


# -------------------------------------------------------------------------------------------------------- rejection


_BAD: dict[str, Any] = {
    "port-huge": {"l4": tcp(1, 70_000)},
    "port-negative": {"l4": tcp(-1, 80)},
    "port-text": {"l4": {"TCP": {"destination_port": "80"}}},
    "port-float": {"l4": {"TCP": {"destination_port": 80.5}}},
    "icmp-huge": {"l4": {"ICMPv4": {"type": 256}}},
    "flags-text": {"l4": {"TCP": {"destination_port": 80, "flags": {"SYN": "x"}}}},
    "flags-number": {"l4": {"TCP": {"destination_port": 80, "flags": 2}}},
    "address": {"IP": {"source": "not an address", "destination": "10.0.0.2"}},
    "address-range": {"IP": {"source": "10.0.0.0/8", "destination": "10.0.0.2"}},
    "time-before-1970": {"time": "1969-12-31T23:59:59.999999Z"},
    "time-after-2100": {"time": "2100-01-02T00:00:00Z"},
    "time-after-2262": {"time": "2999-01-01T00:00:00Z"},
    "time-year-0": {"time": "0000-01-01T00:00:00Z"},
    "time-garbage": {"time": "yesterday"},
    "time-empty": {"time": ""},
    "time-no-zone": {"time": "2026-11-01T10:00:00"},
    "time-number": {"time": 1_793_527_200},
    "verdict-object": {"verdict": {}},
    "verdict-bool": {"verdict": True},
    "reply-text": {"is_reply": "false"},
    "source-number": {"source": 5},
    "labels-text": {"source": {"labels": "k8s:app=x"}},
    "labels-numbers": {"source": {"labels": [1]}},
    "l7-list": {"l7": []},
    "http-status": {"l7": {"type": "RESPONSE", "http": {"code": 2**40}}},
    "dns-rcode": {"l7": {"type": "RESPONSE", "dns": {"rcode": 2**33}}},
    "tunnel-number": {"tunnel": 5},
    "tunnel-list": {"tunnel": [1]},
    "service-text": {"destination_service": "cart"},
    "policies-object": {"egress_allowed_by": {}},
    "names-text": {"destination_names": "db"},
    "aggregate-huge": {"aggregate": {"egress_flow_count": 2**63}},
    "aggregate-negative": {"aggregate": {"egress_flow_count": -5}},
    "proxy-huge": {"proxy_port": 2**31},
    "event-text": {"event_type": "drop"},
    "surrogate": {"source": {"namespace": "shop", "pod_name": "\ud800"}},
}


@pytest.mark.parametrize("name", sorted(_BAD))
def test_a_malformed_record_is_located_and_alone(name: str) -> None:
    """The bad line is counted and located with a reason; its neighbours are read."""
    bad = _BAD[name]
    record = event(flow(**bad))
    if "time" in bad:
        record["time"] = bad["time"]
    sunk = read(line(flow(uuid="a")), _dump(record), line(flow(uuid="b")), first_line=41)
    assert [row["uuid"] for row in sunk.rows] == ["a", "b"]
    assert (sunk.completeness.rows_read, sunk.completeness.rows_rejected) == (2, 1)
    (rejected,) = sunk.completeness.rejected
    assert (rejected.file, rejected.line) == ("input", 42)
    assert rejected.reason.strip()


_RAW: dict[str, bytes] = {
    "no-utf8": line(flow()).replace(b"shop", b"sh\xffp"),
    "nan-port": line(flow()).replace(b"8080", b"NaN"),
    "infinite-port": line(flow()).replace(b"8080", b"1e999"),
    "cut": line(flow())[:-20],
    "two-on-a-line": line(flow()) + line(flow()),
    "scalar": b"5",
    "null": b"null",
    "array": b"[" + line(flow()) + b"]",
    "text": b"level=info msg=hello",
    "nul": b"\x00" * 20,
    "no-event": b'{"hello": "world"}',
    "empty-object": b"{}",
    "deep": b'{"flow":' * 100_000,
    "deep-closed": b'{"flow":{"source":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "loss-text": b'{"lost_events":{"num_events_lost":"many"}}',
    "loss-negative": b'{"lost_events":{"num_events_lost":-4}}',
    "loss-huge": b'{"lost_events":{"num_events_lost":"99999999999999999999999"}}',
    "loss-null": b'{"lost_events":null}',
    "key-twice": line(flow()).replace(b'"verdict":"FORWARDED"', b'"verdict":"DROPPED","verdict":"FORWARDED"'),
    "flow-twice": line(flow())[:-1] + b"," + line(flow())[1:],
}


@pytest.mark.parametrize("name", sorted(_RAW))
def test_a_malformed_line_is_located_and_alone(name: str) -> None:
    """Bytes that are no record are counted and located; their neighbours are read."""
    sunk = read(line(flow(uuid="a")), _RAW[name], line(flow(uuid="b")))
    assert [row["uuid"] for row in sunk.rows] == ["a", "b"]
    assert sunk.bad_lines == [2]


@given(st.lists(st.binary(max_size=120), max_size=6))
def test_any_lines_give_rows_or_located_rejections(lines: list[bytes]) -> None:
    """Nothing crashes and nothing is silently lost: blank lines apart, every line is accounted for."""
    sunk = read(*lines)
    account = sunk.completeness
    assert account.rows_read == len(sunk.rows)
    assert account.rows_read + account.rows_skipped + account.rows_rejected == sum(bool(text.strip()) for text in lines)


@given(st.data())
def test_any_value_in_any_field_gives_a_row_or_a_rejection(data: st.DataObject) -> None:
    """One field of a flow replaced by anything at all, at any depth."""
    record = event(flow(l7={"type": "REQUEST", "http": {"code": 1, "url": "/"}}, aggregate={"egress_flow_count": 1}))
    place: Any = record
    path = []
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        path.append(key)
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_JSON)
    sunk = read(line(flow()), json.dumps(record).encode())
    account = sunk.completeness
    assert account.rows_read == len(sunk.rows) >= 1
    assert account.rows_read + account.rows_rejected + account.rows_skipped >= 2 or account.events_lost >= 0
    assert all(located.line == 2 for located in account.rejected)


@given(st.data())
def test_cut_and_damaged_lines(data: st.DataObject) -> None:
    """A flow with any piece cut out or replaced by any bytes."""
    raw = line(flow())
    begin = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(begin, min(len(raw), begin + 30)))
    sunk = read(raw[:begin] + data.draw(st.binary(max_size=10)) + raw[end:], line(flow(uuid="b")))
    assert sunk.rows[-1]["uuid"] == "b"
    assert sunk.completeness.rows_read + sunk.completeness.rows_rejected + sunk.completeness.rows_skipped >= 1


@given(st.binary(max_size=200))
def test_sniffing_takes_any_bytes(head: bytes) -> None:
    """Sniffing says yes or no."""
    assert sniff(head) in {True, False}


# --------------------------------------------------------------------------------------------------------- endpoints


def _endpoint(**fields: Any) -> Any:
    """Return the interpreted endpoint of raw fields."""
    return parse_endpoint(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("host",), EndpointKind.HOST),
        (("host", "kube-apiserver"), EndpointKind.KUBE_APISERVER),
        (("kube-apiserver", "world"), EndpointKind.KUBE_APISERVER),
        (("remote-node",), EndpointKind.REMOTE_NODE),
        (("kube-apiserver", "remote-node"), EndpointKind.KUBE_APISERVER),
        (("world",), EndpointKind.EXTERNAL),
        (("world-ipv4",), EndpointKind.EXTERNAL),
        (("world-ipv6",), EndpointKind.EXTERNAL),
        (("health",), EndpointKind.HEALTH),
        (("ingress",), EndpointKind.INGRESS),
        (("init",), EndpointKind.INIT),
        (("unmanaged",), EndpointKind.UNMANAGED),
        (("unknown",), EndpointKind.UNRESOLVED),
        (("something-new",), EndpointKind.UNRESOLVED),
    ],
)
def test_reserved_identities(names: tuple[str, ...], kind: EndpointKind) -> None:
    """Every reserved identity is understood, the most specific one wins, in any order (field: entities)."""
    assert parse_endpoint(json.dumps(entity(*names)).encode()).kind is kind
    assert parse_endpoint(json.dumps(entity(*reversed(names))).encode()).kind is kind


@pytest.mark.parametrize(
    ("identity", "kind"),
    [
        (1, EndpointKind.HOST), (2, EndpointKind.EXTERNAL), (6, EndpointKind.REMOTE_NODE),
        (7, EndpointKind.KUBE_APISERVER),
        (9, EndpointKind.EXTERNAL), (10, EndpointKind.EXTERNAL), (0, EndpointKind.UNRESOLVED),
        (300, EndpointKind.UNRESOLVED),
        (1 << 24, EndpointKind.EXTERNAL), ((2 << 24) - 1, EndpointKind.EXTERNAL), (2 << 24, EndpointKind.UNRESOLVED),
    ],
)  # fmt: skip
def test_identities_without_labels(identity: int, kind: EndpointKind) -> None:
    """Where a field mask drops the labels, reserved numbers and the CIDR scope still tell."""
    assert _endpoint(identity=identity).kind is kind


def test_labels_are_sorted_out() -> None:
    """Pod labels, namespace labels, account, cluster and namespace each go to their place; volatile ones go away."""
    found = _endpoint(
        labels=[
            "k8s:app=web", "k8s:pod-template-hash=abc", "k8s:io.kubernetes.pod.namespace=shop", "any:tier=front=end",
            "k8s:io.cilium.k8s.policy.serviceaccount=sa", "k8s:io.cilium.k8s.policy.cluster=east", "plain=x",
            "k8s:io.cilium.k8s.namespace.labels.team=a", "k8s:empty", "container:foo=bar",
        ]
    )  # fmt: skip
    assert found.labels == (("app", "web"), ("empty", ""), ("plain", "x"), ("tier", "front=end"))
    assert (found.namespace, found.cluster, found.service_account) == ("shop", "east", "sa")
    assert found.namespace_labels == (("team", "a"),)


def test_cidr_and_fqdn_labels_are_external() -> None:
    """An address that policy knows by prefix or name is outside."""
    assert _endpoint(identity=16_777_300, labels=["cidr:192.0.2.0/24=", "reserved:world"]).kind is EndpointKind.EXTERNAL
    assert _endpoint(labels=["fqdn:*.example.com="]).kind is EndpointKind.EXTERNAL


def test_the_far_end_has_the_identity_of_the_near_end_but_for_its_name() -> None:
    """Seen without workloads the pod's own name stands in, and says so."""
    far = _endpoint(namespace="shop", labels=["k8s:app=web"], pod_name="web-7d9f8b6c5d-x2x4z")
    assert (far.workload_name, far.name_source) == ("web", "pod-name")
    near = _endpoint(
        namespace="shop",
        labels=["k8s:app=web"],
        pod_name="web-7d9f8b6c5d-x2x4z",
        workloads=[{"name": "web", "kind": "Deployment"}],
    )
    assert near.identity == far.identity


@pytest.mark.parametrize("raw", [b"", b"null", b"{}"])
def test_no_endpoint_is_unresolved(raw: bytes) -> None:
    """An end that is not reported is unresolved, never external."""
    assert parse_endpoint(raw).kind is EndpointKind.UNRESOLVED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"policy_match_type": 2}, [""]),
        ({"policy_match_type": 4}, None),
        ({"policy_match_type": 0}, None),
        ({"verdict": "REDIRECTED"}, [""]),
        ({"trace_observation_point": "TO_PROXY"}, [""]),
        ({"policy_match_type": 2, "egress_allowed_by": [{"kind": "K", "namespace": "a", "name": "b"}]}, ["K/a/b"]),
        ({"policy_match_type": 2, "traffic_direction": "TRAFFIC_DIRECTION_UNKNOWN"}, None),
    ],
)  # fmt: skip
def test_a_rule_that_matched_shows_a_policy_without_a_name(fields: dict[str, Any], expected: list[str] | None) -> None:
    """A match, or a way through the proxy, which rules of layer 7 make; a match of everything is that of no policy."""
    found = read_flow(**fields)
    assert (found["egress_allowed_by"], found["ingress_allowed_by"]) == (expected, None)


def test_an_answer_through_the_proxy_shows_no_policy_of_its_own() -> None:
    """Policy is asked of the initiator's packets alone."""
    found = read(line(reply(trace_observation_point="TO_PROXY", traffic_direction="INGRESS"))).row
    assert (found["egress_allowed_by"], found["ingress_allowed_by"]) == (None, None)
