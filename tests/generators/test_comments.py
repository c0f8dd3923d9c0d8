"""Comments: headers that fit, evidence that does not move, and nothing hostile getting through."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Protocol
from discovery.model.intent import Allow, CidrPeer
from discovery.model.workload import Entity, WorkloadRef
from generators.comments import Guide, evidence_line, header, not_isolated, peer_name
from generators.grouping import GroupingStyle, PeerKind, group
from tests.generators.samples import CART, EVIDENCE, declared, entity, observed, pods
from tests.strategies import hostile_text

STYLE = GroupingStyle(one_protocol=False, shared=frozenset(PeerKind), entity_by_address=False)
GUIDE = Guide(effect="changes no verdict.", watch="replay", rollback=("kubectl delete x",))


def lines_of(*allows: Allow) -> list[str]:
    """Return the comment lines of the rules for some allows."""
    return [evidence_line(allow, rule, "3fa9c1d2") for rule in group(allows, STYLE) for allow in rule.allows]


def test_an_observed_allow_says_since_when_from_where_and_how_much() -> None:
    """First-seen date, sources, order of magnitude and evidence id stand on one line."""
    assert lines_of(observed(pods(app="frontend"), 8080)) == [
        "shop/frontend: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 3fa9c1d2"
    ]


@pytest.mark.parametrize(
    ("flow_records", "days", "amount"),
    [
        (0, 0, "a few"),
        (1, 1, "a few"),
        (9, 1, "a few"),
        (10, 1, "~10^1"),
        (10, 2, "a few"),
        (99, 1, "~10^1"),
        (100, 1, "~10^2"),
        (700, 7, "~10^2"),
    ],
)
def test_the_amount_is_that_of_a_day_with_traffic(flow_records: int, days: int, amount: str) -> None:
    """Orders of magnitude from ten a day on; below, a few: a longer window of the same traffic says the same."""
    evidence = replace(EVIDENCE, flow_records=flow_records, days=days)
    (line,) = lines_of(replace(observed(pods(app="a"), 80), evidence=evidence))
    assert line == f"shop/a: first seen 2026-11-01, hubble, {amount} flow records a day, evidence 3fa9c1d2"


def test_an_observed_allow_without_evidence_still_has_its_id() -> None:
    """The id leads to the evidence file, whatever the comment can say."""
    assert lines_of(replace(observed(pods(app="a"), 80), evidence=None)) == ["shop/a: evidence 3fa9c1d2"]


def test_a_declared_allow_says_why() -> None:
    """An addition carries its reason instead of evidence."""
    assert lines_of(declared(pods("kube-system", k8s_app="kube-dns"), 53)) == [
        "kube-system/kube-dns: declared addition (dns): pods of this cluster resolve names here"
    ]


def test_ports_are_named_only_where_they_differ_from_the_rule() -> None:
    """Of two allows in one rule each says its own part."""
    udp = declared(pods("kube-system", k8s_app="kube-dns"), 53, protocol=Protocol.UDP)
    tcp = observed(pods("kube-system", k8s_app="kube-dns"), 53)
    first, second = lines_of(udp, tcp)
    assert first.startswith("kube-system/kube-dns TCP/53: first seen")
    assert second.startswith("kube-system/kube-dns UDP/53: declared addition")


@pytest.mark.parametrize("change", [{"flow_records": 3_999}, {"last_seen": 1}, {"days": 9}, {"client_pods": 7}])
def test_more_of_the_same_traffic_is_the_same_comment(change: dict[str, int]) -> None:
    """Counts within a magnitude, last-seen times, days and pods are not in the text."""
    more = replace(observed(pods(app="a"), 80), evidence=replace(EVIDENCE, **change))  # type: ignore[arg-type]
    assert lines_of(more) == lines_of(observed(pods(app="a"), 80))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "cart"}, "shop/cart"),
        ({"tier": "db"}, "shop/tier=db"),
        ({"app": "cart", "tier": "db"}, "shop/app=cart,tier=db"),
        ({}, "shop/(all pods)"),
    ],
)
def test_pods_are_named_by_their_labels(labels: dict[str, str], expected: str) -> None:
    """One label that names an application is enough; otherwise the labels are shown as pairs."""
    assert peer_name(pods(**labels)) == expected


def test_a_workload_is_named_by_itself_where_it_is_known() -> None:
    """Whatever its selector shows; the name is for people, so that it is no part of what the peer means."""
    named = replace(pods(tier="db", app="x"), name="data/postgres\n# x")
    assert peer_name(named) == r"data/postgres\n# x"
    assert named == pods(tier="db", app="x")


def test_entities_and_external_peers_have_names() -> None:
    """External peers show the first DNS names seen, and how many more."""
    assert peer_name(entity(Entity.KUBE_APISERVER)) == "kube-apiserver"
    assert peer_name(pods(account="ci", app="a")) == "shop/app=a,serviceAccount=ci"
    assert peer_name(CidrPeer(prefixes=("192.0.2.0/24",))) == "external, no DNS name seen"
    names = ("d.example", "a.example", "b.example", "c.example")
    expected = "external (a.example, b.example, c.example and 1 more)"
    assert peer_name(CidrPeer(prefixes=("192.0.2.0/24",), names=names)) == expected


def test_a_direction_that_is_left_out_says_why() -> None:
    """The reasons of the intent become one sentence."""
    assert not_isolated("egress", ("a", "b")) == "Egress is left out: a; b."
    assert not_isolated("egress", ()) == "Egress is left out: no reason was given."


def test_the_header_reads_as_a_note_to_the_reviewer() -> None:
    """What it is, where, what it does, how to watch and undo it, what is missing."""
    assert header(CART, "cilium 1.18 (assumed)", "monitor", GUIDE, ["Egress is left out: a."]) == (
        "Network policy in monitor mode for shop/cart (Deployment), cluster east.",
        "Platform: cilium 1.18 (assumed).",
        "Effect: changes no verdict.",
        "Watch: replay.",
        "Roll back:",
        "  kubectl delete x",
        "Egress is left out: a.",
    )


def test_a_long_command_is_broken_as_a_shell_would_read_it() -> None:
    """Long commands go on below a backslash and stay within the line."""
    guide = replace(GUIDE, rollback=(f"kubectl delete policies --namespace {'n' * 63} {'p' * 63}",))
    assert header(CART, "cilium 1.18", "monitor", guide, [])[-2:] == (
        f"      {'n' * 63} \\",
        f"      {'p' * 63}",
    )


REFS = st.builds(
    WorkloadRef, cluster=hostile_text(), namespace=hostile_text(), kind=hostile_text(), name=hostile_text()
)


@given(text=st.one_of(st.text(max_size=120), st.text(alphabet="ab -\t\n", max_size=110)))
def test_sentences_are_wrapped_as_the_standard_library_does(text: str) -> None:
    """Short ones, too, which are not handed to it."""
    wrapped = textwrap.wrap(text, 98, subsequent_indent="  ", break_on_hyphens=False)
    before = header(CART, "cilium 1.18", "monitor", GUIDE, [])
    assert header(CART, "cilium 1.18", "monitor", GUIDE, [text]) == (*before, *wrapped)


@given(workload=REFS, reasons=st.lists(hostile_text(), max_size=3))
def test_hostile_text_stays_within_the_header(workload: WorkloadRef, reasons: list[str]) -> None:
    """Every line is printable ASCII and, with its ``# ``, at most 100 characters long."""
    lines = header(workload, "cilium 1.18", "monitor", GUIDE, [not_isolated("egress", reasons)])
    assert all(len(line) <= 98 and line.isascii() and line.isprintable() for line in lines)


@given(names=st.lists(hostile_text(), max_size=5), source=hostile_text(), reason=hostile_text(), value=hostile_text())
def test_hostile_text_stays_within_an_evidence_line(names: list[str], source: str, reason: str, value: str) -> None:
    """DNS names, sources, reasons and labels cannot put anything but printable ASCII into a comment."""
    seen = replace(
        observed(CidrPeer(prefixes=("192.0.2.0/24",), names=tuple(names)), 1),
        evidence=replace(EVIDENCE, sources=(source,)),
    )
    for line in lines_of(seen, replace(declared(pods(app=value), 53), reason=reason)):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 500
