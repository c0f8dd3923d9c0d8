"""Calico Enterprise and Calico Cloud flow logs: JSON lines of ``/var/log/calico/flowlogs/flows.log``, or the same
documents exported from Elasticsearch (``{"_id": ..., "_source": {...}}``).

Source: the field tables of docs.tigera.io (flow log data types) and Felix' own writer. Pods are aggregated to the
prefix of their generated name, client ports and mostly addresses are gone, both ends report each connection.
Not read: ``transit_policies`` (of forwarding hosts, which no workload policy governs), process data, TCP statistics,
``original_source_ips``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from collectors.felix import FelixReader, Record, StrictJson
from collectors.felix_meaning import (
    End,
    Hit,
    Traffic,
    domain_names,
    given,
    hit_from_text,
    integer,
    microseconds,
    pending_from_texts,
    port_number,
    protocol_name,
)
from discovery.model.capture import Aspect

Number = int | str | None


class Labels(Struct, gc=False):
    """The object around a list of ``k=v``."""

    labels: list[str] | None = None


class Policies(Struct, gc=False):
    """Policy traces; ``all_policies`` alone before enforced and pending ones were told apart."""

    enforced_policies: list[str] | None = None
    pending_policies: list[str] | None = None
    all_policies: list[str] | None = None


class Line(Struct, gc=False):
    """One flow log document. ``dest_service_port`` is the name or the number of the port, by version."""

    source_type: str
    dest_type: str
    action: str
    reporter: str
    start_time: int | str
    proto: str | int
    end_time: Number = None
    host: str | None = None
    cluster: str | None = None
    source_ip: str | None = None
    dest_ip: str | None = None
    source_name: str | None = None
    dest_name: str | None = None
    source_name_aggr: str | None = None
    dest_name_aggr: str | None = None
    source_namespace: str | None = None
    dest_namespace: str | None = None
    source_port: Number = None
    dest_port: Number = None
    source_labels: Labels | None = None
    dest_labels: Labels | None = None
    dest_service_namespace: str | None = None
    dest_service_name: str | None = None
    dest_service_port: Number = None
    dest_service_port_num: Number = None
    dest_domains: list[str] | None = None
    num_flows: Number = None
    num_flows_started: Number = None
    packets_in: Number = None
    packets_out: Number = None
    bytes_in: Number = None
    bytes_out: Number = None
    policies: Policies | None = None


_MARKS = frozenset({"source_type", "dest_type", "action", "reporter", "start_time", "proto"})
_decode = StrictJson()


class CalicoReader(FelixReader):
    """Reads Calico flow logs."""

    source = "calico"
    settings: ClassVar[Mapping[Aspect, str]] = {
        Aspect.REPLIES: "Ship packets_in, packets_out, bytes_in and bytes_out of every record.",
        Aspect.DROPS: "Either none happened, or flowLogsFileEnabledForDenied of the FelixConfiguration is false.",
        Aspect.LABELS: "Set flowLogsFileIncludeLabels of the FelixConfiguration to true.",
        Aspect.BOTH_ENDS: "Ship the logs of every node, with reporter src and with reporter dst.",
        Aspect.L7: "Calico writes layer 7 logs to files of their own, which are not read.",
        Aspect.PORTS: "Set flowLogsFileAggregationKindForAllowed of the FelixConfiguration to 2 or less: "
        "3 leaves ports out.",
        Aspect.CONNECTION_COUNTS: "Ship num_flows_started of every record.",
        Aspect.VERDICTS: "Ship action of every record.",
    }

    def documents(self, line: bytes) -> Sequence[Any]:
        """Return the document of a line."""
        return (_decode(line),)

    def record(self, document: Any) -> Record:
        """Return the record of a document, with or without the wrapper of Elasticsearch."""
        uuid = None
        if isinstance(document, dict) and isinstance(document.get("_source"), dict):
            uuid = document.get("_id") if isinstance(document.get("_id"), str) else None
            document = document["_source"]
        line = msgspec.convert(document, Line)
        start = microseconds(line.start_time, "start_time")
        if start is None:
            raise ValueError("the record has no start_time")
        return Record(
            start=start,
            end=microseconds(line.end_time, "end_time"),
            action=line.action.lower(),
            reporter=line.reporter.lower(),
            protocol=protocol_name(line.proto),
            source=_end(line, "source"),
            target=_end(line, "dest"),
            source_ip=given(line.source_ip),
            target_ip=given(line.dest_ip),
            source_port=port_number(line.source_port, "source_port"),
            port=port_number(line.dest_port, "dest_port"),
            service=_service(line),
            names=tuple(domain_names(line.dest_domains or ())),
            hits=_hits(line.policies),
            pending=_pending(line.policies),
            traffic=Traffic(
                packets_in=integer(line.packets_in, "packets_in"), packets_out=integer(line.packets_out, "packets_out"),
                bytes_in=integer(line.bytes_in, "bytes_in"), bytes_out=integer(line.bytes_out, "bytes_out"),
            ),
            flows=integer(line.num_flows, "num_flows"),
            started=integer(line.num_flows_started, "num_flows_started"),
            node=given(line.host),
            cluster=given(line.cluster),
            uuid=uuid,
        )  # fmt: skip


def _end(line: Line, side: str) -> End:
    """Return one end. The aggregate of a host endpoint is the name of its node."""
    kind = getattr(line, f"{side}_type")
    labels = getattr(line, f"{side}_labels")
    aggregate = given(getattr(line, f"{side}_name_aggr"))
    host = given(line.host)
    return End(
        type=kind,
        name=given(getattr(line, f"{side}_name")),
        aggregate=aggregate,
        namespace=given(getattr(line, f"{side}_namespace")),
        labels=tuple(labels.labels or ()) if labels is not None else (),
        addressed=given(getattr(line, f"{side}_ip")) is not None,
        local=aggregate == host if kind == "hep" and aggregate is not None and host is not None else None,
        cluster=given(line.cluster),
    )


def _service(line: Line) -> tuple[str | None, str, int | None] | None:
    """Return namespace, name and port of the Service that the client asked for, when there was one."""
    name = given(line.dest_service_name)
    if name is None:
        return None
    raw = line.dest_service_port_num if line.dest_service_port_num is not None else line.dest_service_port
    if isinstance(raw, str) and not raw.isdigit():
        raw = None  # the port's name
    return given(line.dest_service_namespace), name, port_number(raw, "dest_service_port")


def _hits(policies: Policies | None) -> tuple[Hit, ...]:
    """Return the enforced policies."""
    if policies is None:
        return ()
    texts = policies.all_policies if policies.enforced_policies is None else policies.enforced_policies
    return tuple(hit for hit in map(hit_from_text, texts or ()) if hit is not None)


def _pending(policies: Policies | None) -> tuple[Hit, ...]:
    """Return the pending policies, in the order of evaluation: what would be with staged policies enforced."""
    return () if policies is None else pending_from_texts(policies.pending_policies or ())


def sniff(head: bytes) -> bool:
    """Say whether the first record of an input looks like a Calico flow log document."""
    try:
        first = _decode(head)
    except (ValueError, RecursionError):
        return False
    if isinstance(first, dict) and isinstance(first.get("_source"), dict):
        first = first["_source"]
    return isinstance(first, dict) and first.keys() >= _MARKS
