"""The wire shapes of Hubble JSON: only the fields that policy discovery reads.

Source: cilium `api/v1/flow/flow.proto` and `observer.proto`, 1.10 to 1.20, in protobuf-JSON with snake_case names.
Parts with few distinct values (endpoints, flags) stay raw bytes, so that they are parsed once per value and
not once per record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Raw, Struct

Port = Annotated[int, Meta(ge=0, le=65_535)]
Small = Annotated[int, Meta(ge=0, le=255)]
Code = Annotated[int, Meta(ge=0, le=65_535)]  # HTTP status, DNS response code
Count = Annotated[int, Meta(ge=0, le=4_294_967_295)]  # uint32
EnumText = str | int | None

# A part that the record does not have. msgspec cannot type a raw part as optional, so absence is this object.
ABSENT = Raw(b"")


class Ports(Struct, gc=False):
    """TCP, UDP or SCTP: ports in host order; flags only for TCP."""

    source_port: Port = 0
    destination_port: Port = 0
    flags: Raw = ABSENT


class Icmp(Struct, gc=False):
    """ICMP type and code (zero values are omitted on the wire)."""

    type: Small = 0
    code: Small = 0


class Layer4(Struct, gc=False):
    """The protocol oneof."""

    TCP: Ports | None = None
    UDP: Ports | None = None
    SCTP: Ports | None = None
    ICMPv4: Icmp | None = None
    ICMPv6: Icmp | None = None


class Addresses(Struct, gc=False):
    """The IP layer: source is before source NAT."""

    source: str = ""
    destination: str = ""


class EventType(Struct, gc=False):
    """Monitor message type: 1 drop, 4 trace, 5 policy verdict, 7 socket trace, 129 layer 7."""

    type: int = 0
    sub_type: int = 0


class Flow(Struct, gc=False):
    """flow.Flow."""

    time: str | None = None
    uuid: str | None = None
    verdict: EnumText = None
    drop_reason: int | None = None
    IP: Raw = ABSENT
    l4: Layer4 | None = None
    source: Raw = ABSENT
    destination: Raw = ABSENT
    Type: EnumText = None
    node_name: str | None = None
    source_names: list[str] | None = None
    destination_names: list[str] | None = None
    l7: Raw = ABSENT
    reply: bool | None = None
    event_type: Raw = ABSENT
    source_service: Raw = ABSENT
    destination_service: Raw = ABSENT
    traffic_direction: EnumText = None
    trace_observation_point: EnumText = None
    trace_reason: EnumText = None
    drop_reason_desc: EnumText = None
    is_reply: bool | None = None
    policy_match_type: int | None = None
    proxy_port: Port | None = None
    tunnel: Raw = ABSENT
    aggregate: Raw = ABSENT
    egress_allowed_by: Raw = ABSENT
    ingress_allowed_by: Raw = ABSENT
    egress_denied_by: Raw = ABSENT
    ingress_denied_by: Raw = ABSENT


class Line(Struct, gc=False):
    """observer.GetFlowsResponse / ExportEvent: exactly one of the events is set."""

    flow: Flow | None = None
    node_name: str | None = None
    time: str | None = None
    lost_events: Raw = ABSENT
    node_status: Raw = ABSENT
    agent_event: Raw = ABSENT
    debug_event: Raw = ABSENT


class Workload(Struct, gc=False):
    """flow.Workload."""

    name: str = ""
    kind: str = ""


class Endpoint(Struct, gc=False):
    """flow.Endpoint."""

    identity: int = 0
    cluster_name: str | None = None
    namespace: str | None = None
    labels: list[str] | None = None
    pod_name: str | None = None
    workloads: list[Workload] | None = None


class Service(Struct, gc=False):
    """flow.Service."""

    name: str | None = None
    namespace: str | None = None


class Policy(Struct, gc=False):
    """flow.Policy."""

    name: str = ""
    namespace: str = ""
    kind: str = ""


class Dns(Struct, gc=False):
    """flow.DNS."""

    query: str | None = None
    ips: list[str] | None = None
    rcode: Code | None = None


class Http(Struct, gc=False):
    """flow.HTTP; headers are never read."""

    code: Code | None = None
    method: str | None = None
    url: str | None = None


class Kafka(Struct, gc=False):
    """flow.Kafka."""

    topic: str | None = None


class Layer7(Struct, gc=False):
    """flow.Layer7."""

    type: EnumText = None
    dns: Dns | None = None
    http: Http | None = None
    kafka: Kafka | None = None


class Aggregate(Struct, gc=False):
    """flow.Aggregate (1.19 exporter aggregation): how many flows a record stands for."""

    ingress_flow_count: Count = 0
    egress_flow_count: Count = 0
    unknown_direction_flow_count: Count = 0


class Tunnel(Struct, gc=False):
    """flow.Tunnel; the inner addresses are those of the flow."""

    protocol: EnumText = None


class LostEvent(Struct, gc=False):
    """flow.LostEvent; 64-bit integers are strings on the wire."""

    source: EnumText = None
    num_events_lost: int | str = 0


# Names that only protobuf-JSON with lowerCamelCase names has.
CAMEL_MARKS = (b'"trafficDirection"', b'"isReply"', b'"nodeName"', b'"podName"', b'"sourcePort"', b'"eventType"')
_COUNTED = 512  # lines
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_KEEP = frozenset(
    {
        "IP",
        "Type",
        "TCP",
        "UDP",
        "SCTP",
        "ICMPv4",
        "ICMPv6",
        "ID",
        "SYN",
        "ACK",
        "FIN",
        "RST",
        "PSH",
        "URG",
        "ECE",
        "CWR",
        "NS",
    }
)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object with snake_case names; refuse a key that occurs twice."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        name = key if key in _KEEP else _CAMEL.sub(lambda match: "_" + match.group(1).lower(), key)
        name = {"ip": "IP"}.get(name, name)
        if name in built:
            raise ValueError(f"key {key!r} occurs twice in one object")
        built[name] = value
    return built


def _no_constant(text: str) -> Any:
    """Refuse NaN and infinities, which are not JSON."""
    raise ValueError(f"{text} is not JSON")


def normalise(line: bytes) -> bytes:
    """Return one record re-encoded with snake_case names: the slow path for unusual lines.

    Raises ``ValueError`` for anything that is not one JSON object with unique keys.
    """
    document = json.loads(line, object_pairs_hook=_pairs, parse_constant=_no_constant)
    if not isinstance(document, dict):
        raise ValueError("the line is JSON but not an object")  # noqa: TRY004 - one kind of error for bad content
    return json.dumps(document, separators=(",", ":")).encode()


def count_colons(lines: Sequence[bytes]) -> list[int]:
    """Return how many colons each line has.

    As ``line.count`` does, which looks at byte after byte before Python 3.13; a bitmap is looked at 64 bytes at a time,
    for few lines at once, so that it stays small.
    """
    parts = (lines[start : start + _COUNTED] for start in range(0, len(lines), _COUNTED))
    return [colons for part in parts for colons in _count_colons(part)]


def _count_colons(lines: Sequence[bytes]) -> list[int]:
    """Return how many colons each line has, from a bitmap of all of them."""
    bits = np.packbits(np.frombuffer(b"".join(lines), dtype=np.uint8) == ord(":"), bitorder="little")
    words = np.zeros(len(bits) // 8 + 1, dtype="<u8")
    words.view(np.uint8)[: len(bits)] = bits
    before = np.concatenate(([0], np.cumsum(np.bitwise_count(words), dtype=np.int64)))
    word, bit = np.divmod(np.cumsum([len(line) for line in lines], dtype=np.int64), 64)
    begun = words[word] & ((np.uint64(1) << bit.astype(np.uint64)) - np.uint64(1))
    counted: list[int] = np.diff(before[word] + np.bitwise_count(begun), prepend=0).tolist()
    return counted
