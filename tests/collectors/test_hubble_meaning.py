"""What one Hubble record means: the whole table of verdicts, directions and establishment."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hubble_meaning import FLAG_BITS, POLICY_DROPS, Signals, classify


def _flags(*names: str) -> bytes:
    """Return raw TCP flags."""
    return json.dumps(dict.fromkeys(names, True)).encode()


@pytest.mark.parametrize(
    ("signals", "verdict", "reason"),
    [
        (Signals(verdict="FORWARDED"), "accepted", None),
        (Signals(verdict=1), "accepted", None),
        (Signals(verdict="REDIRECTED"), "accepted", None),
        (Signals(verdict=5), "accepted", None),
        (Signals(verdict="AUDIT"), "audit", None),
        (Signals(verdict=4), "audit", None),
        (Signals(verdict="ERROR"), "fault", "ERROR"),
        (Signals(verdict="TRACED"), "unknown", None),
        (Signals(verdict="TRANSLATED"), "unknown", None),
        (Signals(verdict=0), "unknown", None),
        (Signals(), "unknown", None),
        (Signals(verdict=99), "unknown", None),
        (Signals(verdict=-1), "unknown", None),
        (Signals(verdict="SOMETHING_NEW"), "unknown", None),
        (Signals(verdict="DROPPED", drop_reason=133), "denied", "POLICY_DENIED"),
        (Signals(verdict="DROPPED", drop_reason=181), "denied", "POLICY_DENY"),
        (Signals(verdict="DROPPED", drop_reason=189), "denied", "AUTH_REQUIRED"),
        (Signals(verdict=2, drop_reason_desc=133), "denied", "POLICY_DENIED"),
        (Signals(verdict="DROPPED", drop_reason_desc="POLICY_DENY"), "denied", "POLICY_DENY"),
        (
            Signals(verdict="DROPPED", drop_reason=139, drop_reason_desc="UNSUPPORTED_L3_PROTOCOL"),
            "fault",
            "UNSUPPORTED_L3_PROTOCOL",
        ),
        (Signals(verdict="DROPPED", drop_reason=140), "fault", "#140"),
        (Signals(verdict="DROPPED", drop_reason_desc=155), "fault", "#155"),
        (Signals(verdict="DROPPED"), "fault", "UNREPORTED"),
        (Signals(verdict="DROPPED", event=5), "denied", "POLICY_DENIED"),
        (Signals(verdict="DROPPED", event=5, drop_reason=181), "denied", "POLICY_DENY"),
        (Signals(verdict="DROPPED", l7_type="REQUEST"), "denied", "L7_POLICY"),
        (Signals(verdict="FORWARDED", l7_type="RESPONSE"), "accepted", None),
    ],
)
def test_verdicts(signals: Signals, verdict: str, reason: str | None) -> None:
    """Policy drops are denied, every other drop is a fault, and a drop reason is kept in the source's words."""
    found = classify(signals)
    assert (found.verdict, found.drop_reason) == (verdict, reason)


@given(st.integers(0, 255))
def test_three_drop_reasons_are_policy(number: int) -> None:
    """Of all drop reasons only 133, 181 and 189 are policy; the others must never count as "would be denied"."""
    verdict = classify(Signals(verdict="DROPPED", drop_reason=number, drop_reason_desc=number or None)).verdict
    assert verdict == ("denied" if number in {133, 181, 189} else "fault")
    assert set(POLICY_DROPS) == {133, 181, 189}


@pytest.mark.parametrize(
    ("signals", "initiator", "evidence"),
    [
        (Signals(protocol="TCP", flags=_flags("SYN")), "source", "handshake"),
        (Signals(protocol="TCP", flags=_flags("SYN", "ACK")), "destination", "handshake"),
        # a handshake beats a flag that says otherwise
        (Signals(protocol="TCP", flags=_flags("SYN"), is_reply=True), "source", "handshake"),
        (Signals(protocol="TCP", flags=_flags("SYN", "ACK"), is_reply=False), "destination", "handshake"),
        (Signals(protocol="TCP", flags=_flags("ACK"), is_reply=True), "destination", "flag"),
        (Signals(protocol="TCP", flags=_flags("ACK"), is_reply=False), "source", "flag"),
        (Signals(protocol="TCP", flags=_flags("RST")), "unknown", "none"),
        (Signals(protocol="TCP", flags=_flags("ACK")), "unknown", "none"),
        (Signals(protocol="TCP", flags=b"null"), "unknown", "none"),
        (Signals(protocol="UDP", is_reply=False), "source", "flag"),
        (Signals(protocol="UDP", is_reply=True), "destination", "flag"),
        # three-valued: absent is unknown; the deprecated flag can only say yes
        (Signals(protocol="UDP"), "unknown", "none"),
        (Signals(protocol="UDP", reply=True), "destination", "flag"),
        (Signals(protocol="UDP", reply=False), "unknown", "none"),
        (Signals(protocol="UDP", reply=True, is_reply=False), "source", "flag"),
        (Signals(protocol="ICMP", icmp_type=8), "source", "handshake"),
        (Signals(protocol="ICMP", icmp_type=0), "destination", "handshake"),
        (Signals(protocol="ICMPv6", icmp_type=128), "source", "handshake"),
        (Signals(protocol="ICMPv6", icmp_type=129), "destination", "handshake"),
        (Signals(protocol="ICMP", icmp_type=3), "unknown", "none"),
        (Signals(protocol="ICMPv6", icmp_type=8), "unknown", "none"),
        (Signals(protocol="TCP", l7_type="REQUEST"), "source", "flag"),
        (Signals(protocol="TCP", l7_type=2), "destination", "flag"),
        (Signals(protocol="TCP", l7_type="SAMPLE"), "unknown", "none"),
        (Signals(trace_reason="NEW"), "source", "flag"),
        (Signals(trace_reason=3), "destination", "flag"),
        (Signals(trace_reason="RELATED"), "unknown", "none"),
        (Signals(trace_reason="TRACE_REASON_UNKNOWN"), "unknown", "none"),
        (Signals(verdict="FORWARDED", event=5), "source", "flag"),
        (Signals(verdict="DROPPED", drop_reason=133), "source", "flag"),
        (Signals(verdict="DROPPED", drop_reason=140), "unknown", "none"),
    ],
)
def test_initiators(signals: Signals, initiator: str, evidence: str) -> None:
    """Direction is evidence or unknown (rule 1): handshake, then the source's flag, then what policy judged."""
    found = classify(signals)
    assert (found.initiator, found.direction_evidence) == (initiator, evidence)


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("SYN")), "attempted"),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("SYN", "ACK")), "established"),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("RST", "ACK"), is_reply=True), "refused"),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("RST"), is_reply=True), "refused"),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("RST", "ACK"), is_reply=False), None),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("ACK"), is_reply=False), "established"),
        (Signals(verdict="FORWARDED", protocol="TCP", flags=_flags("ACK")), None),
        (Signals(verdict="FORWARDED", protocol="TCP", is_reply=False), None),
        (Signals(verdict="AUDIT", protocol="TCP", flags=_flags("SYN")), "attempted"),
        (Signals(verdict="DROPPED", protocol="TCP", flags=_flags("SYN"), drop_reason=133), None),
        (Signals(verdict="TRACED", protocol="TCP", flags=_flags("SYN", "ACK")), None),
        (Signals(verdict="FORWARDED", protocol="UDP", is_reply=False), None),
        (Signals(verdict="FORWARDED", protocol="UDP", is_reply=True), "established"),
        (Signals(verdict="FORWARDED", protocol="ICMP", icmp_type=8), None),
        (Signals(verdict="FORWARDED", protocol="ICMP", icmp_type=0), "established"),
        (Signals(verdict="FORWARDED", l7_type="RESPONSE"), "established"),
    ],
)
def test_establishment(signals: Signals, expected: str | None) -> None:
    """An answer establishes, a reset from the server refuses, a first packet attempts; a drop shows nothing."""
    assert classify(signals).establishment == expected


@pytest.mark.parametrize(
    ("direction", "reporter"),
    [("EGRESS", "client"), (2, "client"), ("INGRESS", "server"), (1, "server"), (0, None), (None, None), (7, None)],
)
def test_reporters(direction: str | int | None, reporter: str | None) -> None:
    """Egress is reported where the client is enforced, ingress where the server is."""
    assert classify(Signals(direction=direction)).reporter == reporter


@pytest.mark.parametrize(
    ("protocol", "answer", "request_type"),
    [("ICMP", 0, 8), ("ICMP", 14, 13), ("ICMP", 18, 17), ("ICMPv6", 129, 128), ("ICMPv6", 140, 139)],
)
def test_an_icmp_answer_carries_the_type_of_its_request(protocol: str, answer: int, request_type: int) -> None:
    """A rule must name the request; the answer needs none."""
    found = classify(Signals(protocol=protocol, icmp_type=answer))
    assert (found.initiator, found.icmp_type) == ("destination", request_type)


def test_numbers_and_names_mean_the_same() -> None:
    """Enums as numbers give what enums as names give."""
    names = Signals(verdict="DROPPED", drop_reason_desc="POLICY_DENIED", direction="EGRESS", point="TO_ENDPOINT")
    numbers = Signals(verdict=2, drop_reason_desc=133, direction=2, point=101)
    assert classify(names) == classify(numbers)
    assert classify(Signals(point=77)).observation_point == "#77"


@given(st.sets(st.sampled_from(sorted(FLAG_BITS))))
def test_flags_become_bits(names: set[str]) -> None:
    """Each flag has its bit; false flags have none."""
    raw = json.dumps({name: name in names for name in FLAG_BITS}).encode()
    assert classify(Signals(protocol="TCP", flags=raw)).tcp_flags == sum(FLAG_BITS[name] for name in names)


@pytest.mark.parametrize("raw", [b"5", b"[]", b'"SYN"', b'{"SYN":"yes"}', b'{"SYN":1}'])
def test_malformed_flags_are_refused(raw: bytes) -> None:
    """Flags that are no object of booleans are an error, not "no flags"."""
    with pytest.raises(ValueError, match="Expected"):
        classify(Signals(protocol="TCP", flags=raw))


_ENUM = st.none() | st.integers(-5, 300) | st.sampled_from(("FORWARDED", "DROPPED", "AUDIT", "REPLY", "NEW", "", "x"))
_FLAG = st.none() | st.booleans()


@given(
    st.builds(
        Signals, verdict=_ENUM, drop_reason=st.none() | st.integers(-5, 300), drop_reason_desc=_ENUM, direction=_ENUM,
        point=_ENUM, trace_reason=_ENUM, event=st.integers(0, 300), is_reply=_FLAG, reply=_FLAG,
        protocol=st.sampled_from((None, "TCP", "UDP", "SCTP", "ICMP", "ICMPv6")),
        icmp_type=st.none() | st.integers(0, 255), l7_type=_ENUM,
    )
)  # fmt: skip
def test_every_combination_has_a_consistent_meaning(signals: Signals) -> None:
    """Whatever is combined: known words, no direction without evidence, nothing established by a drop."""
    found = classify(signals)
    assert found.verdict in {"accepted", "denied", "audit", "fault", "unknown"}
    assert (found.initiator == "unknown") == (found.direction_evidence == "none")
    assert (found.drop_reason is not None) == (found.verdict in {"denied", "fault"})
    if found.verdict not in {"accepted", "audit"} or found.initiator == "unknown":
        assert found.establishment is None
    assert found.is_reply in {None, signals.is_reply, True}
