"""The report: ordered by risk, complete, and safe whatever the flows contain."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from discovery.app.merging import rollback
from discovery.app.owners import Owners
from discovery.app.proposal import Suggestion
from discovery.app.records import evidence_files, summary_json
from discovery.app.report import MAX_LINES, summary_pages
from discovery.learn.judge import EXPLANATIONS, Judged, Options, judge
from discovery.model.capture import Absence, Aspect, Shows
from discovery.model.completeness import Completeness, Rejected
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Establishment, EvidenceClass, Verdict
from discovery.model.intent import Mode
from tests.discovery.app.suggestions import with_judged
from tests.discovery.learn.builders import edge, outside, pod
from tests.strategies import HOSTILE


def summary_markdown(suggestion: Suggestion) -> str:
    """Return the summary of a suggestion."""
    return summary_pages(suggestion)["summary.md"]


def test_the_sections_come_in_the_order_of_risk(sample: Suggestion) -> None:
    """A reviewer reads the largest risk first."""
    found = re.findall(r"^## (.+)$", summary_markdown(sample), re.MULTILINE)
    assert found == [
        "Input",
        "Namespaces",
        "1. Newly isolated directions",
        "2. World exposure",
        "3. Rules with little evidence",
        "4. Undecided traffic",
        "5. Not learned, on purpose",
        "6. Findings",
        "Reach",
        "Next",
        "If this is merged now",
    ]


def test_every_ruling_that_is_no_rule_is_explained(sample: Suggestion) -> None:
    """What was not learned, and why, in words."""
    text = summary_markdown(sample)
    for one in sample.learned.judged:
        if one.reason is not None:
            assert EXPLANATIONS[one.reason] in text


def test_the_roll_back_is_one_command_per_dialect_that_was_written(sample: Suggestion) -> None:
    """Exactly the dialects with files, by the label that all files carry."""
    text = summary_markdown(sample)
    for one in sample.rendered:
        command = rollback(one.platform, sample.options.mode)
        assert (command in text) == bool(one.artifacts)
        assert command.endswith("-l app.kubernetes.io/managed-by=policy-discovery")
    assert "kubectl delete" not in summary_markdown(replace(sample, rendered=()))


def test_what_stays_open_is_beside_what_was_open(sample: Suggestion) -> None:
    """Every dialect with files has its row, and leaves no more open than no policy at all."""
    text = summary_markdown(sample)
    rows = re.findall(r"^\| (no policy|\w+, enforced) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \|", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["no policy", "cilium, enforced", "calico, enforced", "kubernetes, enforced"]
    workloads = len({version.ref for version in sample.workloads.versions})
    assert int(rows[0][1].replace(",", "")) == workloads * (workloads - 1)
    assert all(int(row[1].replace(",", "")) < workloads * (workloads - 1) for row in rows[1:])
    assert "enforced |" not in summary_markdown(replace(sample, rendered=()))


def test_the_mode_is_said_at_the_top(sample: Suggestion) -> None:
    """Whether applying the files changes anything is the first thing said."""
    enforce = replace(sample, options=replace(sample.options, mode=Mode.ENFORCE))
    assert "changes no verdict" in summary_markdown(sample).splitlines()[2]
    assert "ENFORCE" in summary_markdown(enforce).splitlines()[2]


def test_loss_is_in_the_summary(sample: Suggestion) -> None:
    """Rule 8: what was lost, with places, hostile names made harmless."""
    account = Completeness(
        rows_read=1,
        rows_rejected=1,
        events_lost=2,
        rejected=(Rejected(file="a`\n|b", line=3, reason="x"),),
        truncated=("c",),
    )
    lossy = replace(sample, completeness=account)
    assert "- **INCOMPLETE**: 1 malformed, 2 lost by the source, 1 cut short" in summary_markdown(lossy)
    assert "`a'\ufffd¦b:3: x`" in summary_markdown(lossy)
    assert json.loads(summary_json(lossy))["completeness"]["complete"] is False


@pytest.mark.parametrize("text", [word for word in HOSTILE if word.strip() and "\ud800" not in word])
def test_hostile_names_break_no_table(sample: Suggestion, text: str) -> None:
    """Names from flows appear in rows of a table: every row keeps its cells, and no character drives a terminal."""
    one = judge(edge(pod(text), outside("192.0.2.1", names=(text,)), verdict=Verdict.DENIED), Options())
    finding = Diagnostic(code="x", level=Level.ERROR, subject=text, message=text, hint=text)
    hostile = replace(with_judged(sample, one), diagnostics=(finding,))
    for line in summary_markdown(hostile).splitlines():
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf")]
    rows = [line for line in summary_markdown(hostile).splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)
    json.loads(summary_json(hostile))
    json.loads(evidence_files(hostile.learned)["evidence/review.json"])


def test_external_clients_appear_without_their_addresses(sample: Suggestion) -> None:
    """Rule 10: who called from outside is a count in what reviewers pass around."""
    one = judge(edge(outside("203.0.113.77"), "web", verdict=Verdict.DENIED), Options())
    hidden = with_judged(sample, one)
    told = evidence_files(hidden.learned)["evidence/review.json"] + summary_markdown(hidden)
    assert "203.0.113.77" not in told
    assert "external (1 address)" in told


def section(text: str, number: int) -> str:
    """Return one numbered section of a summary."""
    return re.split(r"^## ", text.partition(f"\n## {number}. ")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_what_is_left_open_is_listed_with_what_is_known_and_why(sample: Suggestion) -> None:
    """A direction that no dialect covers must not look covered: workload, rules known, reason; hostile or not."""
    isolated, other = sample.learned.intents[:2]
    opened = [
        replace(isolated, isolate=False, reasons=("a`|b", "c")),
        replace(isolated, workload=replace(isolated.workload, name="aa"), isolate=False, reasons=("why",)),
    ]
    changed = replace(sample, learned=replace(sample.learned, intents=(*opened, other), judged=()))
    told = section(summary_markdown(changed), 4)
    rows = [line for line in told.splitlines() if line.startswith("| `")]
    known = len(isolated.allows)
    namespace = isolated.workload.namespace
    assert rows == sorted(
        [
            f"| `{namespace}/aa` | {isolated.direction} | {known} | `why` |",
            f"| `{isolated.workload}` | {isolated.direction} | {known} | `a'¦b; c` |",
        ]
    )
    assert "Left open" in told
    closed = replace(sample, learned=replace(sample.learned, intents=(other,), judged=()))
    assert "Left open" not in summary_markdown(closed)


@pytest.mark.parametrize("number", [3, 4, 5])
def test_the_sections_hold_what_touches_the_namespaces_asked_for(sample: Suggestion, number: int) -> None:
    """With --namespace, edges with neither end there are somebody else's; without it, every edge is listed."""
    told: dict[int, dict[str, Any]] = {
        3: {"establishment": Establishment.UNKNOWN},
        4: {"evidence_class": EvidenceClass.NONE},
        5: {"verdict": Verdict.DENIED},
    }
    changes = told[number]
    inside, into = edge("mine", "db", 1, **changes), edge(pod("caller", namespace="pay"), "db", 2, **changes)
    out_of, elsewhere = (
        edge("mine", pod("api", namespace="pay"), 3, **changes),
        edge(pod("one", namespace="pay"), pod("two", namespace="pay"), 4, **changes),
    )
    found = {name: judge(one, Options()) for name, one in (("inside", inside), ("into", into), ("out", out_of))}
    foreign = judge(elsewhere, Options())

    def listed(*judged: Judged, namespaces: tuple[str, ...]) -> str:
        given = with_judged(sample, *judged)
        return section(summary_markdown(replace(given, options=replace(given.options, namespaces=namespaces))), number)

    for one in (*found.values(), foreign):
        assert str(one.edge) in listed(one, namespaces=())
    for one in found.values():
        assert str(one.edge) in listed(one, namespaces=("shop",))
    assert str(foreign.edge) not in listed(foreign, namespaces=("shop",))
    assert str(foreign.edge) in listed(foreign, namespaces=("shop", "pay"))
    assert listed(*found.values(), foreign, namespaces=("shop",)) == listed(*found.values(), namespaces=("shop",))


def test_long_tables_are_cut_and_say_where_the_rest_is(sample: Suggestion) -> None:
    """A reviewer is not drowned; nothing is hidden either."""
    many = [judge(edge(pod(f"w{number:03}"), "db", None), Options()) for number in range(60)]
    text = summary_markdown(with_judged(sample, *many)).split("## 4. Undecided traffic")[1].split("## 5.")[0]
    assert 20 <= text.count("w0") <= 30
    assert "evidence/review.json" in text
    assert len(json.loads(evidence_files(with_judged(sample, *many).learned)["evidence/review.json"])) == 60


def test_no_run_makes_the_summary_longer_than_two_hundred_lines(sample: Suggestion) -> None:
    """Every list at once longer than anybody reads: namespaces, owners, edges of each ruling, findings, losses."""
    told: tuple[dict[str, Any], ...] = (
        {}, {"evidence_class": EvidenceClass.NONE}, {"verdict": Verdict.DENIED}, {"verdict": Verdict.AUDIT},
        {"verdict": Verdict.FAULT}, {"establishment": Establishment.REFUSED}, {"verdict": Verdict.UNKNOWN},
    )  # fmt: skip
    judged = [
        judge(
            edge(pod(f"w{number}", namespace=f"n{number % 60}"), outside("192.0.2.1"), number + 1, **changes), Options()
        )
        for number in range(300)
        for changes in told
    ]
    intents = tuple(
        replace(one, workload=replace(one.workload, namespace=f"n{number}"), isolate=False, reasons=("x",))
        for number in range(60)
        for one in sample.learned.intents
    )
    findings = tuple(
        Diagnostic(code=f"code-{number}", level=Level.ERROR, subject=f"n{number}/web", message="m", hint="h")
        for number in range(300)
    )
    rejected = tuple(Rejected(file="f", line=number, reason="r") for number in range(300))
    many = tuple(str(number) for number in range(300))
    absence = Absence(source="hubble", aspect=Aspect.DROPS, shows=Shows.NO, setting="x")
    huge = replace(
        with_judged(sample, *judged),
        diagnostics=findings,
        completeness=Completeness(rows_read=1, rows_rejected=300, rejected=rejected, truncated=many, masked=many),
        profile=replace(sample.profile, absences=(absence,) * 60),
        owners=Owners(lines=tuple((f"n{number}", f"team-{number}") for number in range(60))),
    )
    huge = replace(huge, learned=replace(huge.learned, intents=intents))
    pages = summary_pages(huge)
    lines = pages["summary.md"].splitlines()
    assert len(lines) <= MAX_LINES == 200
    assert sum(line.startswith("... and ") for line in lines) >= 6
    assert len([name for name in pages if name.startswith("namespaces/")]) == 60
    assert len([name for name in pages if name.startswith("owners/")]) == 60


def test_each_page_ends_with_what_breaks_and_the_command_that_takes_it_back(sample: Suggestion) -> None:
    """Of its own namespace alone; the summary of everything."""
    pages = summary_pages(sample)
    namespaces = {one.workload.namespace for one in sample.learned.intents}
    assert set(pages) == {"summary.md"} | {f"namespaces/{name}.md" for name in namespaces}
    for name, text in pages.items():
        last = text.rpartition("\n## ")[2]
        assert last.startswith("If this is merged now\n")
        where = "-A" if name == "summary.md" else f"-n {name.removeprefix('namespaces/').removesuffix('.md')}"
        commands = [line for line in last.splitlines() if line.startswith("kubectl delete ")]
        assert commands
        assert all(f" {where} -l " in command for command in commands)


def test_an_edge_between_two_namespaces_is_on_both_pages(sample: Suggestion) -> None:
    """Both teams have to know of it; nobody else does."""
    one = judge(edge(pod("cart"), pod("postgres", namespace="data"), evidence_class=EvidenceClass.NONE), Options())
    pages = summary_pages(with_judged(sample, one))
    assert {name for name, text in pages.items() if str(one.edge) in text} == {
        "summary.md", "namespaces/shop.md", "namespaces/data.md",
    }  # fmt: skip


def test_owners_have_pages_and_a_label_of_their_own(sample: Suggestion) -> None:
    """The command of an owner's page names the label; workloads of nobody have a page without a command."""
    owned = replace(sample, owners=Owners(lines=(("shop", "@acme/shop"),)))
    pages = summary_pages(owned)
    assert {name for name in pages if name.startswith("owners/")} == {"owners/acme-shop.md", "owners/unowned.md"}
    assert " -A -l policy-discovery/owner=acme-shop\n" in pages["owners/acme-shop.md"]
    assert "kubectl delete" not in pages["owners/unowned.md"]
    some = replace(owned, options=replace(owned.options, namespaces=("shop",)))
    assert " -n shop -l policy-discovery/owner=acme-shop\n" in summary_pages(some)["owners/acme-shop.md"]
    assert "[`@acme/shop`](owners/acme-shop.md)" in pages["summary.md"]
    assert "[`unowned`](owners/unowned.md)" in pages["summary.md"]
