"""What one Hubble record means: verdict, who opened the connection, what it shows of establishment.

Pure functions over the few fields that decide; called once per distinct combination. Sources: cilium
`flow.proto`, `pkg/monitor` and `pkg/hubble/parser`, 1.10 to 1.20.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from discovery.flows.batch import Meaning

_VERDICTS = ("VERDICT_UNKNOWN", "FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED")
_DIRECTIONS = ("TRAFFIC_DIRECTION_UNKNOWN", "INGRESS", "EGRESS")
_TRACE_REASONS = (
    "TRACE_REASON_UNKNOWN", "NEW", "ESTABLISHED", "REPLY", "RELATED", "REOPENED", "SRV6_ENCAP", "SRV6_DECAP",
    "ENCRYPT_OVERLAY",
)  # fmt: skip
_POINTS = {
    0: "UNKNOWN_POINT", 1: "TO_PROXY", 2: "TO_HOST", 3: "TO_STACK", 4: "TO_OVERLAY", 5: "FROM_ENDPOINT",
    6: "FROM_PROXY", 7: "FROM_HOST", 8: "FROM_STACK", 9: "FROM_OVERLAY", 10: "FROM_NETWORK", 11: "TO_NETWORK",
    12: "FROM_CRYPTO", 13: "TO_CRYPTO", 101: "TO_ENDPOINT",
}  # fmt: skip
_L7_TYPES = ("UNKNOWN_L7_TYPE", "REQUEST", "RESPONSE", "SAMPLE")

# Only these drops are policy; every other reason is a datapath fault that no policy asked for.
POLICY_DROPS = {133: "POLICY_DENIED", 181: "POLICY_DENY", 189: "AUTH_REQUIRED"}
_POLICY_DROP_NAMES = frozenset(POLICY_DROPS.values())

POLICY_VERDICT_EVENT = 5
FLAG_BITS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128, "NS": 256}
_SYN, _RST, _ACK = FLAG_BITS["SYN"], FLAG_BITS["RST"], FLAG_BITS["ACK"]

# ICMP answers and the requests that they answer (RFC 792, RFC 4443).
_ICMP_REQUESTS = {"ICMP": frozenset({8, 13, 15, 17}), "ICMPv6": frozenset({128, 139})}
_ICMP_REPLIES = {"ICMP": {0: 8, 14: 13, 16: 15, 18: 17}, "ICMPv6": {129: 128, 140: 139}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The raw fields that decide a record's meaning. ``l7_type`` is None unless the record is of layer 7."""

    verdict: str | int | None = None
    drop_reason: int | None = None
    drop_reason_desc: str | int | None = None
    node: str | None = None
    direction: str | int | None = None
    point: str | int | None = None
    trace_reason: str | int | None = None
    event: int = 0
    is_reply: bool | None = None
    reply: bool | None = None
    protocol: str | None = None
    flags: bytes | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    l7_type: str | int | None = None


def _enum(value: str | int | None, names: tuple[str, ...] | dict[int, str]) -> str | None:
    """Return the name of an enum that is a name or a number on the wire; unknown numbers stay readable."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(names, dict):
        return names.get(value, f"#{value}")
    return names[value] if 0 <= value < len(names) else f"#{value}"


def _flag_mask(raw: bytes | None) -> int | None:
    """Return the flag bits of a raw TCPFlags object, or None when it was not reported."""
    if raw is None or raw == b"null":
        return None
    given = msgspec.json.decode(raw, type=dict[str, bool])
    return sum(bit for name, bit in FLAG_BITS.items() if given.get(name))


def _verdict(signals: Signals) -> tuple[str, str | None]:
    """Return the canonical verdict and the drop reason."""
    name = _enum(signals.verdict, _VERDICTS)
    if name in ("FORWARDED", "REDIRECTED"):
        return "accepted", None
    if name == "AUDIT":
        return "audit", None
    if name == "ERROR":
        return "fault", "ERROR"
    if name != "DROPPED":
        return "unknown", None
    reason = _enum(signals.drop_reason_desc, POLICY_DROPS) or POLICY_DROPS.get(signals.drop_reason or 0)
    if signals.l7_type is not None:
        return "denied", reason or "L7_POLICY"
    if reason is None and not signals.drop_reason:
        # A policy-verdict event that dropped is a policy drop by definition, whatever else is missing.
        return ("denied", "POLICY_DENIED") if signals.event == POLICY_VERDICT_EVENT else ("fault", "UNREPORTED")
    reason = reason or f"#{signals.drop_reason}"
    return ("denied" if reason in _POLICY_DROP_NAMES else "fault"), reason


def _reply_flag(signals: Signals) -> bool | None:
    """Return the three-valued reply flag; the deprecated plain bool can only say yes."""
    if signals.is_reply is not None:
        return signals.is_reply
    return True if signals.reply else None


def _initiator(signals: Signals, flags: int | None, verdict: str, reason: str | None) -> tuple[str, str]:
    """Return ``(initiator, evidence class)``, the strongest evidence first."""
    if flags is not None and flags & _SYN:
        return ("destination" if flags & _ACK else "source"), "handshake"
    if signals.protocol in _ICMP_REQUESTS and signals.icmp_type is not None:
        if signals.icmp_type in _ICMP_REQUESTS[signals.protocol]:
            return "source", "handshake"
        if signals.icmp_type in _ICMP_REPLIES[signals.protocol]:
            return "destination", "handshake"
    flag = _reply_flag(signals)
    if flag is not None:
        return ("destination" if flag else "source"), "flag"
    l7 = _enum(signals.l7_type, _L7_TYPES)
    if l7 in ("REQUEST", "RESPONSE"):
        return ("source" if l7 == "REQUEST" else "destination"), "flag"
    trace = _enum(signals.trace_reason, _TRACE_REASONS)
    if trace in ("NEW", "ESTABLISHED", "REPLY"):
        return ("destination" if trace == "REPLY" else "source"), "flag"
    # Policy is not asked about replies, so a packet that policy judged was sent by the initiator.
    if signals.event == POLICY_VERDICT_EVENT or (verdict == "denied" and reason in _POLICY_DROP_NAMES):
        return "source", "flag"
    return "unknown", "none"


def _establishment(flags: int | None, verdict: str, initiator: str) -> str | None:
    """Return what this one record shows: established, refused, attempted or nothing."""
    if verdict not in ("accepted", "audit") or initiator == "unknown":
        return None
    if initiator == "destination":
        refused = flags is not None and flags & _RST and not flags & _SYN
        return "refused" if refused else "established"
    if flags is None:
        return None
    if flags & _SYN:
        return "attempted"
    return "established" if flags & _ACK and not flags & _RST else None


def classify(signals: Signals) -> Meaning:
    """Return the meaning of a record. Raises ``ValueError`` when the flags are malformed."""
    flags = _flag_mask(signals.flags)
    verdict, reason = _verdict(signals)
    initiator, evidence = _initiator(signals, flags, verdict, reason)
    icmp_type = signals.icmp_type
    if signals.protocol in _ICMP_REPLIES and initiator == "destination" and icmp_type is not None:
        # A rule must name the type of the request: the answer is allowed by connection tracking.
        icmp_type = _ICMP_REPLIES[signals.protocol].get(icmp_type, icmp_type)
    direction = _enum(signals.direction, _DIRECTIONS)
    return Meaning(
        verdict=verdict,
        initiator=initiator,
        direction_evidence=evidence,
        protocol=signals.protocol,
        establishment=_establishment(flags, verdict, initiator),
        reporter={"EGRESS": "client", "INGRESS": "server"}.get(direction or ""),
        is_reply=_reply_flag(signals),
        drop_reason=reason,
        node=signals.node,
        cluster=signals.node.partition("/")[0] if signals.node is not None and "/" in signals.node else None,
        observation_point=_enum(signals.point, _POINTS),
        icmp_type=icmp_type,
        icmp_code=signals.icmp_code,
        tcp_flags=flags,
    )
