"""From evidence to files: proven before they are published, and what a reviewer must know is said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery.app import dialects, making, proposal
from discovery.app import processes as processes_of_ours
from discovery.app.evidence import Evidence
from discovery.app.existing import Existing
from discovery.app.options import SuggestOptions
from discovery.app.proposal import FULL_DAY, Suggestion, propose, summary_counts
from discovery.app.suggest import suggest
from discovery.flows.workloads import Workloads
from discovery.learn.judge import Reason, Ruling
from discovery.model.capture import CaptureProfile
from discovery.model.completeness import Completeness
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Protocol, Verdict
from discovery.model.errors import IncompleteInputError, ReadBackError
from discovery.model.intent import Dialect, Mode
from tests.discovery.learn.builders import EVIDENCE, HOUR, edge, pod, ref, version

IN, OUT = Direction.INGRESS, Direction.EGRESS
WEB, DB = (ref("web"), OUT), (ref("db"), IN)
DNS = ref("coredns", namespace="kube-system")
CALL = edge("web", "db", 5432)
LOOKUP = edge("web", pod("coredns", namespace="kube-system"), 53, protocol=Protocol.UDP)
LOSSY = Completeness(rows_read=2, events_lost=7)
ENFORCE = {"mode": Mode.ENFORCE}
REMARK = "# The input was incomplete and was used with --allow-partial: see summary.md.\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Suggestion:
    """Suggest policies for the sample once."""
    return suggest(
        repo / "sample_flows" / "shop-hubble.jsonl",
        tmp_path_factory.mktemp("out") / "policies",
        SuggestOptions(workers=0),
    )


def evidence(*edges: Edge, **changes: Any) -> Evidence:
    """Return what inputs show: a call and a look-up unless told otherwise, complete, and nobody governed."""
    versions = tuple(version(one) for one in (ref("web"), ref("db"), DNS))
    known = Workloads(ref_of={number: one.ref for number, one in enumerate(versions)}, versions=versions)
    plain = Evidence(
        edges=edges or (CALL, LOOKUP), workloads=known, completeness=Completeness(rows_read=2), profile=CaptureProfile()
    )
    return replace(plain, **changes)


def proposed(folder: Path, given: Evidence, **options: Any) -> Suggestion:
    """Propose policies below a folder."""
    return propose(given, folder, SuggestOptions(**options))


def told(found: Suggestion, code: str) -> list[Diagnostic]:
    """Return the diagnostics with a code."""
    return [one for one in found.diagnostics if one.code == code]


def texts_of(found: Suggestion) -> dict[str, str]:
    """Return path -> text of the rendered policies."""
    return {artifact.path: artifact.text for one in found.rendered for artifact in one.artifacts}


def lasting(microseconds: int, start: int = EVIDENCE.first_seen) -> Edge:
    """Return the call with evidence that spans some time."""
    return replace(CALL, evidence=replace(EVIDENCE, first_seen=start, last_seen=start + microseconds))


# ----------------------------------------------------------------------------------------------------------- proven


def test_a_difference_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the read-back finds an error, the output folder keeps what it had, and the error says where the rest is."""
    before = proposed(tmp_path, evidence(), dialects=(Dialect.CILIUM,))
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before.written.written
    bad = Diagnostic(code="x", level=Level.ERROR, subject="cilium/a.yaml:1", message="differs")
    monkeypatch.setattr(dialects, "prove", lambda *_: (bad,))
    with pytest.raises(ReadBackError, match=r"cilium/a\.yaml:1: differs \(1 findings\)") as caught:
        proposed(tmp_path, evidence(replace(CALL, port=1)), dialects=(Dialect.CILIUM,))
    assert {path: path.read_bytes() for path in kept} == kept
    assert caught.value.hint is not None
    assert "nothing was published" in caught.value.hint


def test_a_warning_of_the_read_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proof only doubts is published with the doubt."""
    doubt = Diagnostic(code="x", level=Level.WARNING, subject="shop/web", message="cannot be checked")
    monkeypatch.setattr(dialects, "prove", lambda *_: (doubt,))
    found = proposed(tmp_path, evidence())
    assert found.diagnostics[-1] == doubt
    assert "cannot be checked" in (tmp_path / "summary.md").read_text()


# ------------------------------------------------------------------------------------------------------- incomplete


def test_incomplete_evidence_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Rule 8: without consent nothing is learned from what was lost, and the way out is said."""
    with pytest.raises(IncompleteInputError, match="the source lost 7 events") as caught:
        proposed(tmp_path / "out", evidence(completeness=LOSSY))
    assert "--allow-partial" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", Mode)
def test_every_file_from_incomplete_input_says_so(tmp_path: Path, mode: Mode) -> None:
    """A file may travel without its summary, so each header carries the remark; of complete input none does."""
    lossy = proposed(tmp_path / "a", evidence(completeness=LOSSY), allow_partial=True, mode=mode)
    whole = proposed(tmp_path / "b", evidence(), allow_partial=True, mode=mode)
    assert set(texts_of(lossy)) == set(texts_of(whole))
    assert {name.partition("/")[0] for name in texts_of(lossy)} == set(Dialect)
    for name, text in texts_of(lossy).items():
        assert text.count(REMARK) == 1
        assert text.replace(REMARK, "") == texts_of(whole)[name]
        assert (tmp_path / "a" / name).read_text() == text
    assert "**INCOMPLETE**" in (tmp_path / "a" / "summary.md").read_text()


# --------------------------------------------------------------------------------------------------------- cautions


def test_a_short_window_is_said(tmp_path: Path) -> None:
    """Less than a day of traffic shows no daily job: one warning about the input, with the span and what to do."""
    (found,) = told(proposed(tmp_path, evidence(lasting(2 * HOUR), LOOKUP)), "window-short")
    assert found == Diagnostic(
        code="window-short",
        level=Level.WARNING,
        subject="input",
        message="the traffic spans 2.0 hours: daily jobs and rare calls are not in it",
        hint="learn from at least one full cycle of your traffic before enforcing",
    )
    assert found.message in (tmp_path / "summary.md").read_text()
    assert found.code in {one["code"] for one in json.loads((tmp_path / "summary.json").read_text())["diagnostics"]}


@pytest.mark.parametrize(
    ("edges", "short"),
    [
        ([lasting(FULL_DAY - 1)], True),
        ([lasting(FULL_DAY)], False),
        ([lasting(0), lasting(0, EVIDENCE.first_seen + FULL_DAY)], False),
        ([lasting(0), lasting(0, EVIDENCE.first_seen + FULL_DAY - 1)], True),
    ],
)
def test_the_window_is_that_of_all_edges(tmp_path: Path, edges: Iterable[Edge], short: bool) -> None:
    """From the first record of any edge to the last of any: a full day is enough."""
    numbered = [replace(one, port=number + 1) for number, one in enumerate(edges)]
    assert bool(told(proposed(tmp_path, evidence(*numbered)), "window-short")) == short


def test_no_edges_have_no_window(tmp_path: Path) -> None:
    """Nothing seen is said elsewhere; a window of nothing is no finding."""
    found = proposed(tmp_path, replace(evidence(), edges=()))
    assert (told(found, "window-short"), texts_of(found)) == ([], {})


def test_what_is_governed_already_is_said_when_enforcing(tmp_path: Path) -> None:
    """Allows are a union with those of the policy that is there: each direction is a warning, and is still written."""
    found = proposed(tmp_path, evidence(governed=frozenset({WEB})), **ENFORCE)
    (caution,) = told(found, "adds-to-existing")
    assert (caution.level, caution.subject) == (Level.WARNING, "shop/web")
    assert caution.message == "egress: a policy governs it already; these allows add to what that one allows"
    assert caution.hint
    plain = proposed(tmp_path / "plain", evidence(), **ENFORCE)
    assert texts_of(found) == texts_of(plain)
    assert told(plain, "adds-to-existing") == []


def test_what_is_governed_already_is_not_written_where_monitoring_would_open_it(tmp_path: Path) -> None:
    """In monitor mode Cilium allows would open traffic at once: refused there; staged and opt-in forms are inert."""
    found = proposed(tmp_path, evidence(governed=frozenset({WEB, DB})))
    assert told(found, "adds-to-existing") == []
    assert {one.subject for one in told(found, "already-isolated")} == {"shop/web", "shop/db"}
    assert {name.partition("/")[0] for name in texts_of(found)} == {Dialect.CALICO, Dialect.KUBERNETES}


def test_a_direction_that_is_left_open_adds_to_nothing(tmp_path: Path) -> None:
    """The ingress of the resolver is not isolated, so no rule of ours is added to the policy that governs it."""
    governed = frozenset({(DNS, IN), DB})
    found = proposed(tmp_path, evidence(governed=governed), include_system=True, **ENFORCE)
    assert [one.subject for one in told(found, "adds-to-existing")] == ["shop/db"]


def test_given_policies_count_beside_what_flows_show(tmp_path: Path) -> None:
    """A folder may lack a policy that the flows name: who either of them isolates is isolated."""
    existing = tmp_path / "existing"
    existing.mkdir()
    existing.joinpath("p.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}\n"
    )
    given = evidence(governed=frozenset({WEB}))
    found = proposed(tmp_path / "out", given, existing=existing, **ENFORCE)
    assert [one.subject for one in told(found, "adds-to-existing")] == ["shop/db", "shop/web"]
    assert found.existing == Existing(isolated=frozenset({DB}))


# --------------------------------------------------------------------------------------------------------- the rest


def test_existing_denies_reach_the_ruling(tmp_path: Path) -> None:
    """With existing policies, audited edges are learned where one of them isolates an end, but for those that an
    explicit deny there matches; an AUDIT verdict that none of them explains may be such a deny.
    """
    given = evidence(replace(CALL, verdict=Verdict.AUDIT), LOOKUP)

    def ruling(name: str, **options: Any) -> tuple[Ruling, Reason | None]:
        judged = proposed(tmp_path / name, given, **options).learned.judged
        return next((one.ruling, one.reason) for one in judged if one.edge.verdict is Verdict.AUDIT)

    folder = tmp_path / "existing"
    folder.mkdir()
    folder.joinpath("p.yaml").write_text("apiVersion: v1\nkind: List\nitems: []\n")
    assert ruling("plain") == (Ruling.REVIEW, Reason.AUDIT)
    assert ruling("asked", learn_audit=True) == (Ruling.LEARN, None)
    assert ruling("open", existing=folder) == (Ruling.REVIEW, Reason.AUDIT)
    assert ruling("open, and asked", existing=folder, learn_audit=True) == (Ruling.LEARN, None)
    explains = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]},
    }  # fmt: skip
    folder.joinpath("p.yaml").write_text(yaml.safe_dump(explains))
    assert ruling("explained", existing=folder) == (Ruling.LEARN, None)
    head = {"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "d"}}
    deny = {**head, "spec": {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}}
    folder.joinpath("p.yaml").write_text(yaml.safe_dump(deny))
    assert ruling("denied", existing=folder) == (Ruling.REVIEW, Reason.EXPLICIT_DENY)


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    """Steps of learning, in order, up to all of them."""
    steps: list[tuple[str, int, int]] = []
    proposed(tmp_path, evidence(), progress=lambda *step: steps.append(step))
    assert steps == [("learning", done, 3) for done in range(4)]


@pytest.mark.parametrize(("workers", "processes"), [(None, 2), (2, 1), (1, 0), (0, 0)])
def test_large_runs_share_the_dialects_between_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, processes: int
) -> None:
    """From a number of delivered edges on, as many as were asked for; the output is the same to the byte."""
    started: list[str] = []

    def counted(code: str, number: str, of: str) -> subprocess.Popen[bytes]:
        started.append(number)
        return processes_of_ours.start(code, number, of)

    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(making, "start", counted)
    proposed(tmp_path / "small", evidence(), workers=workers)
    assert started == []
    monkeypatch.setattr(proposal, "PARALLEL_EDGES", 2)
    proposed(tmp_path / "large", evidence(), workers=workers)
    assert len(started) == processes
    small, large = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("small", "large")
    )
    assert small == large


def test_no_dialects_give_no_policies(tmp_path: Path) -> None:
    """Who asks for none gets the evidence and the summary alone."""
    found = proposed(tmp_path, evidence(), dialects=())
    assert (found.rendered, texts_of(found)) == ((), {})
    assert (tmp_path / "summary.md").exists()


def test_nothing_is_said_twice(sample: Suggestion) -> None:
    """Findings that several stages or dialects share appear once."""
    assert len(set(sample.diagnostics)) == len(sample.diagnostics)


def test_the_counts_add_up(sample: Suggestion) -> None:
    """The numbers at the end of a run are those of the summary."""
    counts = summary_counts(sample)
    assert counts["flow records"] == sample.completeness.rows_read
    assert counts["edges learned"] + counts["edges for review"] + counts["edges undecided"] == len(
        sample.learned.judged
    )
    assert counts["policy files"] == sum(len(one.artifacts) for one in sample.rendered)
