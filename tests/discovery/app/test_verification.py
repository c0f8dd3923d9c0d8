"""Tests of discovery.app.verification: exit codes and fingerprints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.app.verification import CUTS, EXPLANATIONS, LEVELS, Code, Finding, SetReport, Verification
from discovery.model.completeness import Completeness
from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.model.platform import default_platform
from discovery.verify.reach import Openness

OPEN = Openness(workloads=3, pairs=2, unseen=1, blast_mean=1.0, blast_most=2, from_world=1, to_world=3)


def finding(code: Code, traffic: str = "a -> b TCP/1") -> Finding:
    """Return a finding."""
    return Finding(
        code=code, subject="shop/b", direction=Direction.INGRESS, traffic=traffic, message="m", source="p.yaml:3"
    )


def verification(
    *codes: Code, usable: bool = True, lost: int = 0, partial: bool = False, baseline: frozenset[str] | None = None
) -> Verification:
    """Return a verification with one finding per code."""
    report = SetReport(
        name="cilium", platform=default_platform(Dialect.CILIUM), policies=1, governed=1, fates={},
        findings=tuple(map(finding, codes)), diagnostics=(), usable=usable, before=OPEN, after=OPEN,
    )  # fmt: skip
    account = Completeness(events_lost=lost)
    return Verification(reports=(report,), completeness=account, allow_partial=partial, baseline=baseline)


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        (verification(), ()),
        (verification(Code.UNUSED, Code.BROAD, Code.AUDITED, Code.PENDING, Code.OPENS), ()),
        (verification(Code.WOULD_DENY), (3,)),
        (verification(Code.UNDECIDED), (3,)),
        (verification(Code.UNKNOWN), (3,)),
        (verification(lost=1), (4,)),
        (verification(lost=1, partial=True), ()),
        (verification(Code.WOULD_DENY, lost=1, usable=False), (1, 4, 3)),
        (verification(Code.WOULD_DENY, Code.UNUSED, baseline=frozenset()), (3, 5)),
        (verification(Code.UNUSED, baseline=frozenset()), (5,)),
        (verification(Code.PENDING, baseline=frozenset()), (5,)),
        (verification(Code.UNUSED, baseline=frozenset({finding(Code.UNUSED).fingerprint("cilium")})), ()),
        (verification(Code.WOULD_DENY, baseline=frozenset({finding(Code.WOULD_DENY).fingerprint("cilium")})), ()),
        (verification(Code.WOULD_DENY, baseline=frozenset({finding(Code.WOULD_DENY).fingerprint("calico")})), (3,)),
    ],
)
def test_exit_codes(found: Verification, codes: tuple[int, ...]) -> None:
    """All that apply, the one that wins first: failed, incomplete, cut, new."""
    assert found.exit_codes == codes


def test_every_code_is_explained() -> None:
    """Each has a level and words, and what cuts is an error."""
    assert set(EXPLANATIONS) == set(LEVELS) == set(Code)
    assert all(LEVELS[code].value == "error" for code in CUTS)


def test_the_order_of_codes_is_that_of_the_report() -> None:
    """The worst first; what a cluster says of its staged policies stands before what the new ones would open."""
    codes = list(Code)
    between = codes[codes.index(Code.AUDITED) : codes.index(Code.OPENS) + 1]
    assert between == [Code.AUDITED, Code.STRANGER, Code.PENDING, Code.OPENS]


def test_fingerprints_hold_while_lines_move_and_differ_by_traffic() -> None:
    """A policy that moved in its file, or traffic that was counted again, is the same finding."""
    one = finding(Code.WOULD_DENY)
    moved = Finding(
        code=one.code, subject=one.subject, direction=one.direction, traffic=one.traffic, message="other words",
        source="p.yaml:9", records=5,
    )  # fmt: skip
    assert one.fingerprint("x") == moved.fingerprint("x")
    assert one.fingerprint("x") != one.fingerprint("y")
    assert one.fingerprint("x") != finding(Code.WOULD_DENY, "a -> b TCP/2").fingerprint("x")


def test_a_rule_is_known_by_what_it_says() -> None:
    """Wherever it stands among others; a wider one is another."""
    first = replace(finding(Code.BROAD), subject="NetworkPolicy a/p spec.ingress[0]", rule="10.0.0.0/8")
    moved = replace(first, subject="NetworkPolicy a/p spec.ingress[1]")
    assert first.fingerprint("x") == moved.fingerprint("x")
    assert first.fingerprint("x") != replace(first, rule="0.0.0.0/0").fingerprint("x")
