"""Rulings: accepted, initiated, understood traffic is learned; everything else has one reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.learn.judge import EXPLANATIONS, Options, Reason, Ruling, judge
from discovery.model.edge import Edge, Establishment, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind
from tests.discovery.learn.builders import edge, other, outside, ping

NOT_OPEN = {Verdict.DENIED, Verdict.FAULT, Verdict.UNKNOWN}


@pytest.mark.parametrize("establishment", [Establishment.ESTABLISHED, Establishment.UNKNOWN])
def test_accepted_traffic_is_learned(establishment: Establishment) -> None:
    """Rule 2: an accepting verdict is enough where no source shows answers."""
    found = judge(edge("web", "db", establishment=establishment), Options())
    assert (found.ruling, found.reason) == (Ruling.LEARN, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": Verdict.DENIED}, Reason.DENIED),
        ({"verdict": Verdict.DENIED, "contested": True}, Reason.CONFLICT),
        ({"verdict": Verdict.FAULT}, Reason.FAULT),
        ({"verdict": Verdict.UNKNOWN}, Reason.NO_VERDICT),
        ({"verdict": Verdict.AUDIT}, Reason.AUDIT),
        ({"establishment": Establishment.REFUSED}, Reason.REFUSED),
        ({"establishment": Establishment.UNANSWERED}, Reason.UNANSWERED),
    ],
)
def test_what_did_not_work_goes_to_review(changes: dict[str, Any], reason: Reason) -> None:
    """Rule 2: nothing that was denied, refused, unanswered or lost becomes a rule."""
    found = judge(edge("web", "db", **changes), Options())
    assert (found.ruling, found.reason) == (Ruling.REVIEW, reason)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (edge("web", "db", evidence_class=EvidenceClass.NONE), Reason.DIRECTION),
        (edge("web", "db", evidence_class=EvidenceClass.INFERRED), Reason.INFERRED),
        (edge("web", other(EndpointKind.UNRESOLVED, "10.0.0.1")), Reason.PEER),
        (edge("web", "db", None), Reason.PROTOCOL),
        (edge("web", "db", protocol=None), Reason.PROTOCOL),
        (ping("web", "db", None), Reason.PROTOCOL),
        (edge("web", outside("192.0.2.0/24", exact=False)), Reason.EXTERNAL_LIMIT),
    ],
)
def test_accepted_traffic_that_is_not_understood_is_undecided(one: Edge, reason: Reason) -> None:
    """Rule 6: it worked and was not learned, so its directions must stay open."""
    found = judge(one, Options())
    assert (found.ruling, found.reason) == (Ruling.UNDECIDED, reason)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (ping("web", outside("192.0.2.1"), 3), Reason.ICMP_ERROR),
        (ping("web", outside("2001:db8::1"), 2, protocol=Protocol.ICMPV6), Reason.ICMP_ERROR),
        (ping("web", outside("2001:db8::1"), 135, protocol=Protocol.ICMPV6), Reason.LINK_LOCAL),
        (edge("web", outside("224.0.0.251"), 5353, protocol=Protocol.UDP), Reason.LINK_LOCAL),
        (edge(outside("fe80::1"), "web"), Reason.LINK_LOCAL),
    ],
)
def test_housekeeping_needs_no_rule(one: Edge, reason: Reason) -> None:
    """ICMP errors, neighbour discovery and link-local traffic are not governed by policies."""
    found = judge(one, Options())
    assert (found.ruling, found.reason) == (Ruling.REVIEW, reason)


@pytest.mark.parametrize(
    "one",
    [
        ping("web", outside("192.0.2.1"), 8),
        ping("web", outside("2001:db8::1"), 128, protocol=Protocol.ICMPV6),
        ping("web", outside("192.0.2.1"), 135),
        edge("web", outside("224.0.0.1", "192.0.2.1")),
        edge("web", outside("fd00::1")),
        edge("web", outside()),
    ],
)
def test_ordinary_traffic_is_not_housekeeping(one: Edge) -> None:
    """Echo, types of the other family, mixed and unique local addresses are ordinary traffic."""
    assert judge(one, Options()).ruling is Ruling.LEARN


def test_options_let_in_what_they_name_and_nothing_else() -> None:
    """Each option opens its own door."""
    inferred = edge("web", "db", evidence_class=EvidenceClass.INFERRED)
    audited = edge("web", "db", verdict=Verdict.AUDIT)
    assert judge(inferred, Options(accept_inferred=True)).ruling is Ruling.LEARN
    assert judge(inferred, Options(learn_audit=True)).ruling is Ruling.UNDECIDED
    assert judge(audited, Options(learn_audit=True)).ruling is Ruling.LEARN
    assert judge(audited, Options(accept_inferred=True)).reason is Reason.AUDIT
    refused = edge("web", "db", verdict=Verdict.AUDIT, establishment=Establishment.REFUSED)
    assert judge(refused, Options(learn_audit=True)).reason is Reason.REFUSED


FACTS = {
    "verdict": st.sampled_from(Verdict),
    "establishment": st.sampled_from(Establishment),
    "evidence_class": st.sampled_from(EvidenceClass),
    "protocol": st.sampled_from([*Protocol, None]),
    "port": st.none() | st.integers(0, 65_535),
    "icmp_type": st.none() | st.integers(0, 255),
}


@given(
    facts=st.fixed_dictionaries(FACTS),
    kind=st.sampled_from(EndpointKind),
    exact=st.booleans(),
    inferred=st.booleans(),
    audit=st.booleans(),
)
def test_every_edge_gets_one_ruling_that_keeps_the_rules(
    facts: dict[str, Any], kind: EndpointKind, exact: bool, inferred: bool, audit: bool
) -> None:
    """For any edge: only accepted, initiated, nameable traffic is learned, and undecided traffic was accepted."""
    end = "db" if kind is EndpointKind.WORKLOAD else other(kind, "192.0.2.1", exact=exact)
    one = edge("web", end, **facts)
    found = judge(one, Options(accept_inferred=inferred, learn_audit=audit))
    assert (found.reason is None) == (found.ruling is Ruling.LEARN)
    failed = one.establishment in (Establishment.REFUSED, Establishment.UNANSWERED)
    if one.verdict in NOT_OPEN or failed or (one.verdict is Verdict.AUDIT and not audit):
        assert found.ruling is Ruling.REVIEW
    if found.ruling is Ruling.LEARN:
        assert one.evidence_class is not EvidenceClass.NONE
        assert inferred or one.evidence_class is not EvidenceClass.INFERRED
        assert kind is not EndpointKind.UNRESOLVED
        assert one.protocol is not None
        assert (one.port if one.protocol.has_ports else one.icmp_type) is not None


def test_every_reason_is_explained() -> None:
    """A reviewer reads words, not codes."""
    assert set(EXPLANATIONS) == set(Reason)
