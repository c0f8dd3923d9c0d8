"""Sections and views: what a page covers, and how many findings of one kind are told."""

from __future__ import annotations

from dataclasses import replace

from discovery.app.markdown import Table
from discovery.app.proposal import Suggestion
from discovery.app.sections import MANY_FINDINGS, risk_sections, views_by, weak_edges, whole_view, world_rules
from discovery.learn.judge import Options, judge
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Establishment, EvidenceClass
from tests.discovery.learn.builders import edge


def test_views_share_a_run_out(sample: Suggestion) -> None:
    """Every intent, isolated direction and finding about a workload is in one view; an edge is at each of its ends."""
    views = views_by(sample, lambda ref: ref.namespace)
    whole = whole_view(sample)
    assert sum(len(view.intents) for view in views.values()) == len(whole.intents)
    assert sorted(item for view in views.values() for item in view.isolated) == sorted(whole.isolated)
    about = {str(ref) for ref in sample.workloads.by_key.values() if ref.namespace in views}
    found = [one for view in views.values() for one in view.findings]
    assert sorted(found) == sorted(one for one in whole.findings if one.subject in about)
    for name, view in views.items():
        expected = [
            one
            for one in whole.judged
            for ends in [{end.workload.namespace for end in (one.edge.client, one.edge.server) if end.workload}]
            if name in ends
        ]
        assert list(view.judged) == expected


def test_external_rules_of_open_directions_are_no_exposure(sample: Suggestion) -> None:
    """What grants nothing exposes nothing; ingress comes first."""
    opened = [replace(intent, isolate=False, reasons=("x",)) for intent in sample.learned.intents]
    assert world_rules(opened) == []
    directions = [intent.direction for intent, _, _ in world_rules(sample.learned.intents)]
    assert directions == sorted(directions, key=lambda direction: direction is not Direction.INGRESS)
    assert directions


def test_why_an_edge_is_weak() -> None:
    """Few records, no visible answer, a weaker evidence of direction, denied records beside it."""
    weak = (
        edge("a", "b", establishment=Establishment.UNKNOWN),
        edge("a", "c", evidence_class=EvidenceClass.LISTENER),
        edge("a", "d", denied_records=2),
        edge("a", "e"),
    )
    few = tuple(replace(one, evidence=replace(one.evidence, flow_records=1)) for one in weak)
    many = tuple(replace(one, evidence=replace(one.evidence, flow_records=99)) for one in weak)
    assert [why for _, why in weak_edges(judge(one, Options()) for one in few)] == [
        "1 flow record, no answer is visible",
        "1 flow record, direction known by listener",
        "1 flow record, 2 records of it were denied",
        "1 flow record",
    ]
    assert [str(one) for one, _ in weak_edges(judge(one, Options()) for one in many)] == [str(one) for one in many[:3]]


def test_many_findings_of_one_kind_are_one_row(sample: Suggestion) -> None:
    """Past the limit the summary tells kinds with an example each; a page of a part tells every finding."""
    names = sorted(str(intent.workload) for intent in sample.learned.intents)
    findings = tuple(
        Diagnostic(code=f"code-{number % 2}", level=Level.WARNING, subject=names[0], message=str(number))
        for number in range(MANY_FINDINGS + 1)
    )
    many = replace(sample, diagnostics=findings)

    def rows(view_sections: list[object]) -> list[tuple[str, ...]]:
        return [row for part in view_sections if isinstance(part, Table) for row in part.rows]

    whole = rows(list(risk_sections(whole_view(many))[-1].body))
    assert [row[1:3] for row in whole] == [
        ("code-0", f"`{names[0]}` and 10 more"),
        ("code-1", f"`{names[0]}` and 9 more"),
    ]
    part = views_by(many, str)[names[0]]
    assert len(rows(list(risk_sections(part)[-1].body))) == MANY_FINDINGS + 1
    few = replace(sample, diagnostics=findings[:MANY_FINDINGS])
    assert len(rows(list(risk_sections(whole_view(few))[-1].body))) == MANY_FINDINGS
