"""What happens when the files are merged: nothing that was delivered is cut without being named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.app.markdown import Table
from discovery.app.merging import cut, merging, rollback
from discovery.app.proposal import Suggestion
from discovery.app.sections import View, whole_view
from discovery.learn.judge import Judged, Options, Reason, Ruling, judge
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Edge, Establishment, EvidenceClass, Protocol, Verdict
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import parse_platforms
from tests.discovery.app.suggestions import with_judged
from tests.discovery.learn.builders import edge, ping, ref


def view_of(*judged: Judged, findings: tuple[Diagnostic, ...] = ()) -> View:
    """Return a view in which web's egress and db's ingress are isolated."""
    isolated = ((ref("db"), {"cilium": ["ingress"]}), (ref("web"), {"calico": ["egress"], "cilium": []}))
    return View(
        judged=judged, intents=(), isolated=isolated, findings=findings, dialects=("cilium", "calico"), enforced=False
    )


def told(*edges: Edge) -> list[str]:
    """Return who would lose what."""
    judged = [judge(one, Options()) for one in edges]
    return [f"{workload} {direction}: {what}" for workload, direction, what, _ in cut(view_of(*judged))]


def test_delivered_traffic_without_a_rule_is_cut_at_each_isolated_end() -> None:
    """Audited traffic is cut at both ends, traffic of an open end at the other alone."""
    audit = edge("web", "db", verdict=Verdict.AUDIT)
    other = edge("api", "db", verdict=Verdict.UNKNOWN)
    assert told(audit, other) == [f"shop/web egress: {audit}", f"shop/db ingress: {audit}", f"shop/db ingress: {other}"]


@pytest.mark.parametrize(
    "one",
    [
        edge("web", "db"),
        edge("web", "db", verdict=Verdict.DENIED),
        edge("web", "db", verdict=Verdict.FAULT),
        edge("web", "db", establishment=Establishment.REFUSED),
        edge("web", "db", establishment=Establishment.UNANSWERED),
        ping("web", "db", 3),
        edge("db", "web", verdict=Verdict.AUDIT),
    ],
)
def test_nothing_else_is_missed(one: Edge) -> None:
    """Learned, never delivered, an error that connection tracking lets through, or of directions that stay open."""
    assert told(one) == []


def test_a_workload_that_is_gone_would_be_missed_if_it_came_back() -> None:
    """Its traffic was delivered and has no rule."""
    one = Judged(edge=edge("web", "db"), ruling=Ruling.REVIEW, reason=Reason.GONE)
    assert len(list(cut(view_of(one)))) == 2


def test_a_declared_route_that_was_not_seen_is_cut_by_an_isolated_ingress() -> None:
    """Where the ingress is isolated, and not where it is open."""
    findings = tuple(
        Diagnostic(code="route-unseen", level=Level.WARNING, subject=f"shop/{name}", message="leads to TCP/1")
        for name in ("db", "web")
    )
    assert list(cut(view_of(findings=findings))) == [
        (ref("db"), "ingress", "leads to TCP/1", "it is declared and was not seen")
    ]


def test_the_last_section_says_what_breaks() -> None:
    """Monitor mode breaks nothing, and tells what enforcing would; enforcing tells what it does."""
    audit = judge(edge("web", "db", verdict=Verdict.AUDIT), Options())
    quiet, loud = view_of(), view_of(audit)
    assert merging(quiet, "2 hours", ["undo"]).body == (
        "Nothing breaks: these files change no verdict when they are applied.",
        "Nothing would be cut if they were enforced of what was delivered in this window.",
        "What the window (2 hours) did not show is denied in the directions of section 1, once isolated.",
        "Roll back all of it with one command, that of the dialect that you applied:",
        "```sh\nundo\n```",
    )
    monitored, enforced = merging(loud, "2 hours", []).body, merging(replace(loud, enforced=True), "2 hours", []).body
    assert monitored[1] == "What would break if they were enforced as they are:"
    assert enforced[0] == "This breaks:"
    for body in (monitored, enforced):
        (table,) = [part for part in body if isinstance(part, Table)]
        assert [row[:2] for row in table.rows] == [("`shop/db`", "ingress"), ("`shop/web`", "egress")]
    nothing = replace(quiet, isolated=())
    assert merging(nothing, "no traffic", []).body == ("Nothing changes: no policy was written.",)


def test_every_enforced_direction_of_the_sample_names_what_it_cuts(sample: Suggestion) -> None:
    """An independent count: delivered edges without a rule whose end some dialect isolates."""
    closed = {(item.workload, one) for each in sample.rendered for item in each.artifacts for one in item.isolates}
    expected = {
        (end, str(one.edge))
        for one in sample.learned.judged
        if one.ruling is not Ruling.LEARN
        and one.edge.verdict in ("accepted", "audit", "unknown")
        and one.edge.establishment in ("established", "unknown")
        and one.reason not in ("icmp-error", "link-local")
        for end, direction in ((one.edge.client.workload, "egress"), (one.edge.server.workload, "ingress"))
        if end is not None and (end, direction) in closed
    }
    assert len(list(cut(whole_view(sample)))) == len(expected) > 0


def test_undecided_traffic_is_never_cut(sample: Suggestion) -> None:
    """The directions that it touches are open, so nothing of it is named."""
    vague = judge(edge("web", "db", evidence_class=EvidenceClass.NONE, protocol=Protocol.TCP), Options())
    assert vague.ruling is Ruling.UNDECIDED
    assert list(cut(whole_view(with_judged(sample, vague)))) == []


def test_the_roll_back_names_every_kind_that_was_written() -> None:
    """Of either mode, of one namespace or label where asked for, with the staged kind of Calico."""
    platforms = parse_platforms(["kubernetes=1.31;enforcer=calico"])
    assert rollback(platforms[Dialect.CILIUM], Mode.MONITOR) == (
        "kubectl delete ciliumnetworkpolicies.cilium.io -A -l app.kubernetes.io/managed-by=policy-discovery"
    )
    assert rollback(platforms[Dialect.KUBERNETES], Mode.MONITOR, ["shop"]) == (
        "kubectl delete stagedkubernetesnetworkpolicies.projectcalico.org,networkpolicies.networking.k8s.io -n shop"
        " -l app.kubernetes.io/managed-by=policy-discovery"
    )
    assert rollback(platforms[Dialect.CALICO], Mode.MONITOR, label="policy-discovery/owner=a") == (
        "kubectl delete stagednetworkpolicies.projectcalico.org,networkpolicies.projectcalico.org -A"
        " -l policy-discovery/owner=a"
    )


def test_the_roll_back_of_several_namespaces_is_one_command() -> None:
    """A run that was asked for two namespaces leaves the policies of others alone."""
    assert rollback(parse_platforms([])[Dialect.CILIUM], Mode.ENFORCE, ["b", "a"], "x=y") == (
        "for n in a b; do kubectl delete ciliumnetworkpolicies.cilium.io -n $n -l x=y; done"
    )


@pytest.mark.parametrize(
    ("platform", "mode", "staged"),
    [
        ("calico=3.30", Mode.ENFORCE, True),
        ("calico=3.30;staged=false", Mode.ENFORCE, False),
        ("calico=3.29", Mode.ENFORCE, False),
        ("calico=3.30", Mode.MONITOR, True),
        ("kubernetes=1.31;enforcer=calico", Mode.MONITOR, True),
        ("kubernetes=1.31;enforcer=calico", Mode.ENFORCE, False),
        ("kubernetes=1.31;enforcer=cilium", Mode.MONITOR, False),
        ("cilium=1.18", Mode.MONITOR, False),
    ],
)
def test_the_roll_back_names_no_kind_that_the_cluster_may_lack(platform: str, mode: Mode, staged: bool) -> None:
    """One kind that the API server does not know fails the whole command."""
    one = parse_platforms([platform])[Dialect(platform.partition("=")[0])]
    assert ("staged" in rollback(one, mode)) is staged
