"""The report: ordered by risk, complete, and safe whatever the flows contain."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.report import ROLLBACK, evidence_files, peer_json, safe, summary_json, summary_markdown
from discovery.app.suggest import suggest
from discovery.learn.judge import EXPLANATIONS, Judged, Options, Ruling, judge
from discovery.model.completeness import Completeness, Rejected
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Establishment, EvidenceClass, Verdict
from discovery.model.intent import CidrPeer, EntityPeer, Mode, WorkloadPeer
from discovery.model.workload import Entity, Labels, Selector
from tests.discovery.learn.builders import edge, outside, pod
from tests.strategies import HOSTILE, hostile_text


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Suggestion:
    """Suggest policies for the sample once."""
    return suggest(
        repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("out"), SuggestOptions(workers=0)
    )


def with_judged(sample: Suggestion, *judged: Judged) -> Suggestion:
    """Return the sample with other rulings."""
    return replace(sample, learned=replace(sample.learned, judged=judged))


@given(hostile_text())
def test_hostile_text_stays_inside_its_code_span(text: str) -> None:
    """No control, bidi, backtick or pipe: the span cannot be left, the table not broken, the reader not fooled."""
    shown = safe(text)
    assert shown.startswith("`")
    assert shown.endswith("`")
    assert not set(shown[1:-1]) & {"`", "|", "\n", "\r"}
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert len(shown) <= 162


def test_the_sections_come_in_the_order_of_risk(sample: Suggestion) -> None:
    """A reviewer reads the largest risk first."""
    found = re.findall(r"^## (.+)$", summary_markdown(sample), re.MULTILINE)
    assert found == [
        "Input",
        "1. Newly isolated directions",
        "2. World exposure",
        "3. Rules with little evidence",
        "4. Undecided traffic",
        "5. Not learned, on purpose",
        "6. Findings",
        "Next",
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
        command = ROLLBACK[one.platform.dialect.value]
        assert (command in text) == bool(one.artifacts)
        assert command.endswith("-l app.kubernetes.io/managed-by=policy-discovery")
    assert "kubectl delete" not in summary_markdown(replace(sample, rendered=()))


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
    json.loads(evidence_files(hostile)["evidence/review.json"])


def test_external_clients_appear_without_their_addresses(sample: Suggestion) -> None:
    """Rule 10: who called from outside is a count in what reviewers pass around."""
    one = judge(edge(outside("203.0.113.77"), "web", verdict=Verdict.DENIED), Options())
    hidden = with_judged(sample, one)
    told = evidence_files(hidden)["evidence/review.json"] + summary_markdown(hidden)
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


def test_the_json_summary_and_the_evidence_hold_everything(sample: Suggestion) -> None:
    """The namespaces limit what is shown to a reviewer, never what is recorded."""
    one = judge(edge(pod("one", namespace="pay"), pod("two", namespace="pay"), verdict=Verdict.DENIED), Options())
    given = with_judged(sample, one)
    limited = replace(given, options=replace(given.options, namespaces=("shop",)))
    assert summary_json(limited) == summary_json(given)
    assert evidence_files(limited) == evidence_files(given)


def test_long_tables_are_cut_and_say_where_the_rest_is(sample: Suggestion) -> None:
    """A reviewer is not drowned; nothing is hidden either."""
    many = [judge(edge(pod(f"w{number:03}"), "db", None), Options()) for number in range(60)]
    text = summary_markdown(with_judged(sample, *many)).split("## 4. Undecided traffic")[1].split("## 5.")[0]
    assert 20 <= text.count("w0") <= 30
    assert "evidence/review.json" in text
    assert len(json.loads(evidence_files(with_judged(sample, *many))["evidence/review.json"])) == 60


def test_evidence_lies_beside_every_rule(sample: Suggestion) -> None:
    """One file per workload with a policy, each rule with its id, counts and times."""
    files = evidence_files(sample)
    assert set(files) == {f"evidence/{one.workload.key}.json" for one in sample.learned.intents} | {
        "evidence/review.json"
    }
    rules = [
        rule
        for name, text in files.items()
        if name != "evidence/review.json"
        for direction in json.loads(text)["directions"]
        for rule in direction["rules"]
    ]
    assert len(rules) == sum(len(one.allows) for one in sample.learned.intents)
    assert all(("evidence" in rule) == (rule["origin"] == "observed") for rule in rules)
    assert all(re.fullmatch(r"[0-9a-f]{8}", rule["id"]) for rule in rules)
    kept = [one for one in sample.learned.judged if one.ruling is not Ruling.LEARN]
    assert len(json.loads(files["evidence/review.json"])) == len(kept)


def test_the_json_summary_agrees_with_the_run(sample: Suggestion) -> None:
    """Counts, files and findings are those of the run."""
    found = json.loads(summary_json(sample))
    assert sum(found["counts"].values()) == len(sample.learned.judged)
    assert found["files"] == {
        one.platform.dialect.value: [item.path for item in one.artifacts] for one in sample.rendered
    }
    assert [item["code"] for item in found["diagnostics"]] == [item.code for item in sample.diagnostics]


def test_peers_as_data() -> None:
    """Each kind of peer has its own fields."""
    selector = Selector(cluster="c", namespace="shop", labels=Labels.of({"app": "web"}), service_account="sa")
    assert peer_json(CidrPeer(prefixes=("192.0.2.0/31",), names=("a",))) == {
        "cidrs": ["192.0.2.0/31"],
        "names": ["a"],
        "clientPrefixes": False,
    }
    assert peer_json(EntityPeer(entity=Entity.HOST, addresses=("10.0.0.1",))) == {
        "entity": "host",
        "addresses": ["10.0.0.1"],
    }
    assert peer_json(WorkloadPeer(selector=selector)) == {
        "namespace": "shop",
        "labels": {"app": "web"},
        "serviceAccount": "sa",
    }
