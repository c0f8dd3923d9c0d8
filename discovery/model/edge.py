"""Edges: all flows that say the same thing, and the enums that describe them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from discovery.model.workload import EndpointKind, WorkloadRef


class Protocol(StrEnum):
    """Transport protocols that a policy can name."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"
    ICMPV6 = "ICMPv6"

    @property
    def has_ports(self) -> bool:
        """Say whether the protocol has ports (ICMP has types instead)."""
        return self in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


class Direction(StrEnum):
    """The direction of a policy, seen from its subject."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Verdict(StrEnum):
    """What the enforcement points did, joined over all that reported the connection.

    ``AUDIT`` is delivered traffic that today's policy would deny; ``FAULT`` is a datapath drop that no policy
    asked for; ``UNKNOWN`` is a record without a verdict.
    """

    ACCEPTED = "accepted"
    DENIED = "denied"
    AUDIT = "audit"
    FAULT = "fault"
    UNKNOWN = "unknown"


class Establishment(StrEnum):
    """Whether a connection came to be."""

    ESTABLISHED = "established"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNKNOWN = "unknown"


class EvidenceClass(StrEnum):
    """How we know who opened the connection, strongest first; NONE means nobody knows."""

    HANDSHAKE = "handshake"
    FLAG = "flag"
    LISTENER = "listener"
    INFERRED = "inferred"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Endpoint:
    """One end of an edge. ``workload`` is set exactly when ``kind`` is WORKLOAD.

    For every other kind, ``addresses`` holds the canonical addresses seen, sorted: all of them up to
    1,024 and, past that, covering prefixes (``exact`` is then False); of a client perhaps the prefixes that stand
    for them. ``names`` are DNS names that a source
    gave for the addresses, sorted, at most 64.
    """

    kind: EndpointKind
    workload: WorkloadRef | None = None
    addresses: tuple[str, ...] = ()
    exact: bool = True
    distinct_addresses: int = 0
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a short name for people."""
        if self.workload is not None:
            return str(self.workload)
        if self.kind is EndpointKind.EXTERNAL:
            shown = ", ".join(self.names[:2] or self.addresses[:2])
            more = max(self.distinct_addresses, len(self.addresses)) - len(self.addresses[:2])
            return f"external {shown}" + (f" and {more} more" if more > 0 and not self.names else "")
        return self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Evidence:
    """What an edge or a rule rests on.

    ``flow_records`` counts records, each observation of one packet at several points or from both ends once;
    ``connections`` counts connections, or is None when no source counts them. Times are microseconds since
    1970 UTC. ``hours`` is a bitmap of hours of the day (bit 0 = 00:00-00:59 UTC). ``days`` counts distinct dates.
    """

    flow_records: int
    connections: int | None
    first_seen: int
    last_seen: int
    hours: int
    days: int
    sources: tuple[str, ...]
    reporters: tuple[str, ...]
    client_pods: int
    server_pods: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edge:
    """All flows that say: this client opened this protocol and port on this server.

    ``port`` is the server's port after translation, None for ICMP and for collapsed edges (``collapsed_ports``
    then counts the distinct ports). ``icmp_type`` is set for ICMP alone. ``protocol`` is None for one that no
    policy can name. ``service_names`` are the services (``namespace/name``) that clients addressed before
    translation. ``pending_denied_by`` are the staged policies (``kind/namespace/name``) that would have denied accepted
    records by the cluster's own verdict, sorted, at most 64. ``denied_records`` counts records of the same edge that a
    policy denied; ``contested`` says that one enforcement point accepted and another denied connections of the edge.
    ``application_port`` is the server's port
    inside of a mesh's tunnel, of which ``port`` is the outer one.
    """

    client: Endpoint
    server: Endpoint
    protocol: Protocol | None
    port: int | None
    icmp_type: int | None
    verdict: Verdict
    establishment: Establishment
    evidence_class: EvidenceClass
    evidence: Evidence
    l7: tuple[str, ...] = ()
    service_names: tuple[str, ...] = ()
    drop_reasons: tuple[str, ...] = ()
    pending_denied_by: tuple[str, ...] = ()
    collapsed_ports: int = 0
    denied_records: int = 0
    contested: bool = False
    application_port: int | None = None

    def __str__(self) -> str:
        """Return ``client -> server PROTO/port``."""
        if self.port is not None:
            where = f"{self.protocol}/{self.port}"
        elif self.icmp_type is not None:
            where = f"{self.protocol} type {self.icmp_type}"
        else:
            where = f"{self.protocol} ({self.collapsed_ports} ports)"
        return f"{self.client} -> {self.server} {where}"
