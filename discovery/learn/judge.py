"""What may be learned (rules 1, 2 and 6): every edge gets exactly one ruling, with a reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from discovery.model.edge import Edge, Endpoint, Establishment, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind


class Ruling(StrEnum):
    """What happens to an edge.

    LEARN: it becomes a rule. REVIEW: it does not, and cutting it is right or harmless. UNDECIDED: it was accepted,
    is not known to have failed, and was not learned; the directions it touches are not isolated.
    """

    LEARN = "learn"
    REVIEW = "review"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why an edge was not learned."""

    DENIED = "denied"
    CONFLICT = "denied-at-other-end"
    FAULT = "datapath-fault"
    NO_VERDICT = "no-verdict"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    DIRECTION = "direction-unknown"
    INFERRED = "direction-inferred"
    AUDIT = "audit"
    EXPLICIT_DENY = "explicit-deny"
    PEER = "peer-unresolved"
    PROTOCOL = "protocol-unsupported"
    ICMP_ERROR = "icmp-error"
    LINK_LOCAL = "link-local"
    EXTERNAL_LIMIT = "too-many-external-addresses"
    NOT_SELECTABLE = "peer-not-selectable"
    GONE = "workload-gone"
    REDIRECT = "mesh-redirect"


EXPLANATIONS = {
    Reason.DENIED: "a policy denied it",
    Reason.CONFLICT: "one end sent it and the policy of the other end denied it",
    Reason.FAULT: "the datapath dropped it, for a reason that is no policy",
    Reason.NO_VERDICT: "no record tells whether it was delivered",
    Reason.REFUSED: "the server refused the connection",
    Reason.UNANSWERED: "nobody answered, at a point where answers are visible",
    Reason.DIRECTION: "no record tells who opened the connection",
    Reason.INFERRED: "who opened the connection is only inferred from port use (--accept-inferred learns it)",
    Reason.AUDIT: "today's policy would deny it, and it was let through in audit mode (--learn-audit learns it)",
    Reason.EXPLICIT_DENY: "an explicit deny rule of the existing policies matches it",
    Reason.PEER: "no record says enough of one of its ends to name it (an inventory may)",
    Reason.PROTOCOL: "no policy dialect can name the protocol",
    Reason.ICMP_ERROR: "an error message about another connection, which connection tracking allows",
    Reason.LINK_LOCAL: "link-local or multicast housekeeping, which policies do not govern",
    Reason.EXTERNAL_LIMIT: "more external addresses than a reviewable list (1,024) can hold",
    Reason.NOT_SELECTABLE: "nothing tells one of its ends apart from other workloads",
    Reason.GONE: "one of its ends is gone: the inventory does not have it any more",
    Reason.REDIRECT: "a mesh redirects connections to this port inside of a pod: no peer ever connects to it",
}

# ICMP errors (RFC 792, RFC 4443) and neighbour discovery (RFC 4861).
_ERRORS = {Protocol.ICMP: frozenset({3, 4, 5, 11, 12}), Protocol.ICMPV6: frozenset({1, 2, 3, 4})}
_NEIGHBOUR = frozenset(range(130, 138)) | {143}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller lets in, and for what: ``client_prefixes`` names external clients by prefixes, ``enforce`` says
    that the rules will isolate.
    """

    accept_inferred: bool = False
    learn_audit: bool = False
    client_prefixes: bool = False
    enforce: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One edge with its ruling; ``reason`` is None exactly for LEARN."""

    edge: Edge
    ruling: Ruling
    reason: Reason | None = None


def _is_housekeeping(end: Endpoint) -> bool:
    """Say whether all addresses of an end are link-local or multicast."""
    return bool(end.addresses) and all(
        address.startswith(("fe80:", "ff", "224.", "239.", "169.254.255.")) or address == "255.255.255.255"
        for address in end.addresses
    )


def _failed(edge: Edge, options: Options) -> Reason | None:
    """Return why an edge is known not to have worked (or that today's policy denies it), or None."""
    if edge.verdict is Verdict.DENIED:
        return Reason.CONFLICT if edge.contested else Reason.DENIED
    if edge.verdict is Verdict.FAULT:
        return Reason.FAULT
    if edge.verdict is Verdict.UNKNOWN:
        return Reason.NO_VERDICT
    if edge.verdict is Verdict.AUDIT and not options.learn_audit:
        return Reason.AUDIT
    if edge.establishment is Establishment.REFUSED:
        return Reason.REFUSED
    return Reason.UNANSWERED if edge.establishment is Establishment.UNANSWERED else None


def _harmless(edge: Edge) -> Reason | None:
    """Return why no policy needs to allow an accepted edge, or None."""
    if edge.icmp_type is not None and edge.protocol in _ERRORS:
        if edge.icmp_type in _ERRORS[edge.protocol]:
            return Reason.ICMP_ERROR
        if edge.protocol is Protocol.ICMPV6 and edge.icmp_type in _NEIGHBOUR:
            return Reason.LINK_LOCAL
    return Reason.LINK_LOCAL if _is_housekeeping(edge.server) or _is_housekeeping(edge.client) else None


def _undecided(edge: Edge, options: Options) -> Reason | None:
    """Return why an accepted edge cannot be learned, or None."""
    if edge.evidence_class is EvidenceClass.NONE:
        return Reason.DIRECTION
    if edge.evidence_class is EvidenceClass.INFERRED and not options.accept_inferred:
        return Reason.INFERRED
    if EndpointKind.UNRESOLVED in (edge.client.kind, edge.server.kind):
        return Reason.PEER
    if edge.protocol is None or (edge.port is None if edge.protocol.has_ports else edge.icmp_type is None):
        return Reason.PROTOCOL
    if not edge.client.exact or not edge.server.exact:
        return Reason.EXTERNAL_LIMIT
    return None


def judge(edge: Edge, options: Options) -> Judged:
    """Return the ruling on one edge."""
    reason = _failed(edge, options) or _harmless(edge)
    if reason is not None:
        return Judged(edge=edge, ruling=Ruling.REVIEW, reason=reason)
    reason = _undecided(edge, options)
    if reason is not None:
        return Judged(edge=edge, ruling=Ruling.UNDECIDED, reason=reason)
    return Judged(edge=edge, ruling=Ruling.LEARN)
