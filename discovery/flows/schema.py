"""Canonical Arrow schemas of the lake, every column documented.

Types are those that every engine reads: ``timestamp[us, UTC]``, ``int32`` ports, ``int64`` counts, strings; no
unsigned integers and no nanoseconds (Spark has neither). Null always means "not reported by the source".
The field metadata key ``doc`` carries the meaning and unit; ``docs/lake.md`` is generated from it.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
TEXTS = pa.list_(pa.string())
PAIRS = pa.map_(pa.string(), pa.string())


def _column(name: str, kind: pa.DataType, doc: str, *, nullable: bool = True) -> pa.Field:
    """Return a documented field."""
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc})


def _endpoint(side: str, what: str) -> list[pa.Field]:
    """Return the columns of one end."""
    return [
        _column(
            f"{side}_address", TEXT, f"canonical IP address of the {what}; IPv4-mapped IPv6 is IPv4, zones stripped"
        ),
        _column(
            f"{side}_port",
            pa.int32(),
            f"transport port of the {what}, host order, after translation; null for ICMP and where the source has none",
        ),
        _column(
            f"{side}_kind",
            TEXT,
            f"what the {what} was: workload, external, host, remote-node, kube-apiserver, health, init, ingress, "
            "unmanaged, unresolved",
            nullable=False,
        ),
        _column(
            f"{side}_identity",
            pa.int64(),
            f"attribute version of the {what}: joins WORKLOADS.identity; null unless {side}_kind is workload",
        ),
        _column(f"{side}_pod", TEXT, f"pod name of the {what}"),
        _column(
            f"{side}_prefix",
            TEXT,
            f"/24 (IPv4) or /48 (IPv6) of {side}_address when {side}_kind is external; bounds cardinality",
        ),
        _column(f"{side}_names", TEXTS, f"DNS names that the source gave for {side}_address"),
    ]


FLOWS = pa.schema(
    [
        _column("time", TIME, "when the record was observed, or the start of its interval", nullable=False),
        _column("end_time", TIME, "end of the interval of an aggregated record"),
        _column("source", TEXT, "format that the record came from: hubble, calico, goldmane", nullable=False),
        _column("node", TEXT, "node that reported the record"),
        _column("observation_point", TEXT, "hook on the node that saw the packet, in the source's words"),
        _column("uuid", TEXT, "the source's own record id"),
        _column(
            "verdict",
            TEXT,
            "what the reporting point did: accepted, denied, audit, fault (a datapath drop), unknown",
            nullable=False,
        ),
        _column("drop_reason", TEXT, "the source's drop reason, for denied and fault"),
        _column("reporter", TEXT, "whose enforcement point reported: client (egress) or server (ingress)"),
        _column("protocol", TEXT, "TCP, UDP, SCTP, ICMP, ICMPv6, or the source's word for another"),
        _column("icmp_type", pa.int32(), "ICMP type"),
        _column("icmp_code", pa.int32(), "ICMP code"),
        _column(
            "tcp_flags",
            pa.int32(),
            "TCP flags of the packet: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, NS 256",
        ),
        _column(
            "initiator",
            TEXT,
            "which end of the record as reported became the client: source, destination, or unknown "
            "(client_* then holds the source)",
            nullable=False,
        ),
        _column(
            "direction_evidence",
            TEXT,
            "how the initiator is known: handshake, flag, listener, inferred, none",
            nullable=False,
        ),
        _column("is_reply", pa.bool_(), "the source's own three-valued reply flag"),
        _column(
            "establishment",
            TEXT,
            "what this one record shows: established, refused, attempted; null when it shows nothing",
        ),
        *_endpoint("client", "end that opened the connection"),
        *_endpoint("server", "end that was reached, after translation"),
        _column("service_address", TEXT, "address that the client asked for, before translation"),
        _column("service_port", pa.int32(), "port that the client asked for, before translation"),
        _column("service_namespace", TEXT, "namespace of the Service that the client asked for"),
        _column("service_name", TEXT, "name of the Service that the client asked for"),
        _column("l7_protocol", TEXT, "http, dns or kafka, when the record is of layer 7"),
        _column("l7_type", TEXT, "request, response or sample"),
        _column("http_method", TEXT, "HTTP method"),
        _column("http_host", TEXT, "host of the URL, without userinfo, with the port that the client named"),
        _column("http_path", TEXT, "path of the URL; the query string and high-entropy segments are dropped at ingest"),
        _column("http_status", pa.int32(), "HTTP status code, of responses"),
        _column(
            "dns_query", TEXT, "DNS name asked for, lower case, without the final dot; high-entropy parts are dropped"
        ),
        _column("dns_rcode", pa.int32(), "DNS response code"),
        _column("dns_answers", TEXTS, "addresses in the DNS answer"),
        _column("kafka_topic", TEXT, "Kafka topic"),
        _column(
            "egress_allowed_by",
            TEXTS,
            "policies that allowed the egress, as kind/namespace/name; empty text for one without a name",
        ),
        _column(
            "ingress_allowed_by",
            TEXTS,
            "policies that allowed the ingress, as kind/namespace/name; empty text for one without a name",
        ),
        _column("egress_denied_by", TEXTS, "policies that denied the egress, as kind/namespace/name"),
        _column("ingress_denied_by", TEXTS, "policies that denied the ingress, as kind/namespace/name"),
        _column(
            "pending_denied_by",
            TEXTS,
            "staged policies that would have denied the flow that was allowed (Calico's pending verdicts), "
            "as kind/namespace/name; empty text for one without a name",
        ),
        _column("tunnel_protocol", TEXT, "encapsulation of the packet, when reported"),
        _column("proxy_port", pa.int32(), "port of the proxy that the packet was redirected to"),
        _column(
            "flow_records",
            pa.int64(),
            "flow records that this row stands for (1 unless the source aggregated)",
            nullable=False,
        ),
        _column("connections", pa.int64(), "connections started; null where the source does not count them"),
        _column("packets_sent", pa.int64(), "packets, client to server"),
        _column("packets_received", pa.int64(), "packets, server to client"),
        _column("bytes_sent", pa.int64(), "bytes, client to server"),
        _column("bytes_received", pa.int64(), "bytes, server to client"),
        _column("ingest_id", TEXT, "the ingest run that wrote the row", nullable=False),
        _column("cluster", TEXT, "cluster of the reporting node (partition column)", nullable=False),
        _column("date", pa.date32(), "UTC date of time (partition column)", nullable=False),
    ]
)

PARTITION_COLUMNS = ("cluster", "date")

WORKLOADS = pa.schema(
    [
        _column(
            "identity", pa.int64(), "hash of all attributes below but kind and times; FLOWS.*_identity", nullable=False
        ),
        _column("cluster", TEXT, "cluster of the workload", nullable=False),
        _column("namespace", TEXT, "namespace of the workload", nullable=False),
        _column("kind", TEXT, "Kubernetes kind of the workload; empty when no source told it", nullable=False),
        _column("name", TEXT, "name of the workload; runs of one CronJob share its name", nullable=False),
        _column(
            "name_source",
            TEXT,
            "reported by the source, or derived: reported, pod-name, labels, namespace",
            nullable=False,
        ),
        _column("labels", PAIRS, "pod labels without per-run and per-pod keys", nullable=False),
        _column("service_account", TEXT, "service account of the pods"),
        _column("namespace_labels", PAIRS, "labels of the namespace", nullable=False),
        _column("valid_from", TIME, "first time the attributes were seen", nullable=False),
        _column("valid_to", TIME, "last time the attributes were seen", nullable=False),
        _column("ingest_id", TEXT, "the ingest run that wrote the row", nullable=False),
    ]
)

# What Sightings counts, by its name there.
SHOWN = {
    "records": "any row",
    "verdicts": "a verdict",
    "protocols": "a transport protocol",
    "ports": "a server port, or a protocol without ports",
    "answers": "that the connection was answered",
    "openers": "by the source's own flag who opened the connection",
    "drops": "a denial or a datapath fault",
    "pod_ends": "(ends) a pod, or something unknown",
    "labelled_ends": "(ends) a pod with labels",
    "client_reports": "the client's enforcement point as reporter",
    "server_reports": "the server's enforcement point as reporter",
    "l7": "layer 7",
    "connections": "a count of connections",
}

INGESTS = pa.schema(
    [
        _column("ingest_id", TEXT, "the ingest run", nullable=False),
        _column("content_hash", TEXT, "BLAKE3 of the uncompressed content of the input", nullable=False),
        _column("input", TEXT, "base name of the input as given", nullable=False),
        _column("format", TEXT, "collector that read it", nullable=False),
        _column("rows_read", pa.int64(), "records that became flows, repeated ones included", nullable=False),
        _column("rows_skipped", pa.int64(), "records that are not flows", nullable=False),
        _column("rows_rejected", pa.int64(), "malformed records", nullable=False),
        _column(
            "rows_duplicate",
            pa.int64(),
            "of rows_read, the records that repeat another one and were dropped (all of a run, on its first input)",
            nullable=False,
        ),
        _column("events_lost", pa.int64(), "events that the source says it lost", nullable=False),
        _column("rejected", TEXTS, "the first malformed records as file:line: reason", nullable=False),
        _column("truncated", TEXTS, "inputs that ended before their end", nullable=False),
        _column("masked", TEXTS, "what no record of the input shows though everything rests on it", nullable=False),
        *(
            _column(f"shows_{name}", pa.int64(), f"rows read that show this: {doc}", nullable=False)
            for name, doc in SHOWN.items()
        ),
    ]
)


def _edge_end(side: str) -> list[pa.Field]:
    """Return the key columns of one end of an edge."""
    return [
        _column(f"{side}_kind", TEXT, f"endpoint kind of the {side}", nullable=False),
        _column(f"{side}_workload", TEXT, f"key of the {side}'s workload (WorkloadRef.key); null unless a workload"),
    ]


EDGES = pa.schema(
    [
        _column("cluster", TEXT, "cluster whose nodes reported the edge", nullable=False),
        *_edge_end("client"),
        *_edge_end("server"),
        _column("protocol", TEXT, "transport protocol"),
        _column("server_port", pa.int32(), "server port after translation; null for ICMP and for collapsed edges"),
        _column("icmp_type", pa.int32(), "ICMP type, for ICMP alone"),
        _column("direction_known", pa.bool_(), "whether any record proves who opened the connection", nullable=False),
        _column("direction_evidence", TEXT, "strongest evidence class of the direction", nullable=False),
        _column(
            "verdict",
            TEXT,
            "joined verdict over all enforcement points: accepted, denied, audit, fault, unknown",
            nullable=False,
        ),
        _column(
            "contested",
            pa.bool_(),
            "one enforcement point accepted and another denied connections of the edge",
            nullable=False,
        ),
        _column("establishment", TEXT, "established, refused, unanswered or unknown", nullable=False),
        _column(
            "flow_records",
            pa.int64(),
            "flow records, each observation point and each end once (their maximum)",
            nullable=False,
        ),
        _column("denied_records", pa.int64(), "flow records of the same edge that a policy denied", nullable=False),
        _column("connections", pa.int64(), "connections, where the source counts them"),
        _column("bytes_sent", pa.int64(), "bytes, client to server"),
        _column("bytes_received", pa.int64(), "bytes, server to client"),
        _column("first_seen", TIME, "time of the first record", nullable=False),
        _column("last_seen", TIME, "time of the last record", nullable=False),
        _column(
            "hours",
            pa.int32(),
            "bitmap of the hours of the day (UTC) with traffic; bit 0 is 00:00-00:59",
            nullable=False,
        ),
        _column("days", pa.int64(), "distinct UTC dates with traffic", nullable=False),
        _column("sources", TEXTS, "formats that reported the edge, sorted", nullable=False),
        _column("reporters", TEXTS, "ends that reported the edge, sorted: client, server", nullable=False),
        _column("client_pods", pa.int64(), "distinct client pods, exact to 64", nullable=False),
        _column("server_pods", pa.int64(), "distinct server pods, exact to 64", nullable=False),
        _column(
            "client_addresses",
            TEXTS,
            "client addresses unless a workload: exact to 1,024, then covering prefixes",
            nullable=False,
        ),
        _column(
            "server_addresses",
            TEXTS,
            "server addresses unless a workload: exact to 1,024, then covering prefixes",
            nullable=False,
        ),
        _column(
            "client_distinct",
            pa.int64(),
            "distinct client addresses (exact to 1,024, then an estimate)",
            nullable=False,
        ),
        _column(
            "server_distinct",
            pa.int64(),
            "distinct server addresses (exact to 1,024, then an estimate)",
            nullable=False,
        ),
        _column("names", TEXTS, "DNS names that sources gave for the external end, sorted, at most 64", nullable=False),
        _column("l7", TEXTS, "layer 7 protocols seen, sorted", nullable=False),
        _column(
            "service_names",
            TEXTS,
            "services that clients asked for, namespace/name, sorted, at most 64",
            nullable=False,
        ),
        _column("drop_reasons", TEXTS, "drop reasons of denied and fault edges, sorted", nullable=False),
        _column(
            "pending_denied_by",
            TEXTS,
            "staged policies that would have denied accepted records (Calico's pending verdicts), "
            "kind/namespace/name, sorted, at most 64",
            nullable=False,
        ),
        _column("collapsed_ports", pa.int64(), "distinct ports folded into a collapsed edge, else 0", nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {"flows": FLOWS, "workloads": WORKLOADS, "ingests": INGESTS}
