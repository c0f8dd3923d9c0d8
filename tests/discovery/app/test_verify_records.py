"""Tests of discovery.app.verify_records."""

from __future__ import annotations

import json
from dataclasses import replace

from discovery.app.verification import Code, Finding, SetReport, Verification
from discovery.app.verify_records import as_record, as_sarif
from discovery.model.completeness import Completeness
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.model.platform import default_platform
from discovery.verify.reach import Openness

OPEN = Openness(workloads=3, pairs=2, unseen=1, blast_mean=1.0, blast_most=2, from_world=1, to_world=3)

CUT = Finding(
    code=Code.WOULD_DENY, subject="shop/b", direction=Direction.INGRESS, traffic="shop/a -> shop/b TCP/1",
    message="isolated", source="policies/p.yaml:3", records=4,
)  # fmt: skip
NOWHERE = Finding(code=Code.OPENS, subject="x", direction=None, traffic="t", message="m")
BROKEN = Diagnostic(code="not-evaluated", level=Level.ERROR, subject="policies/q.yaml:1", message="kind", hint="h")


def verification(baseline: frozenset[str] | None = None) -> Verification:
    """Return a verification with two findings and a manifest that could not be read."""
    report = SetReport(
        name="cilium", platform=default_platform(Dialect.CILIUM), policies=2, governed=1,
        fates={"covered": 1, "would-deny": 1}, findings=(CUT, NOWHERE), diagnostics=(BROKEN,), usable=True,
        before=OPEN, after=OPEN,
    )  # fmt: skip
    return Verification(reports=(report,), completeness=Completeness(), allow_partial=False, baseline=baseline)


def test_the_record_holds_everything() -> None:
    """Each finding with its place, count and fingerprint; each manifest that was not read; all exit codes."""
    record = json.loads(json.dumps(as_record(verification())))
    assert record["exit_codes"] == [3]
    (report,) = record["reports"]
    assert (report["open_without"]["pairs"], report["open_with"]["blast_most"]) == (2, 2)
    assert (report["policies"], report["edges"]) == ("cilium", {"covered": 1, "would-deny": 1})
    assert report["findings"][0] == {
        "code": "would-deny", "level": "error", "subject": "shop/b", "direction": "ingress",
        "traffic": "shop/a -> shop/b TCP/1", "message": "isolated", "source": "policies/p.yaml:3", "flow_records": 4,
        "fingerprint": CUT.fingerprint("cilium"), "new": True,
    }  # fmt: skip
    assert report["diagnostics"][0]["source"] == "policies/q.yaml:1"


def test_findings_of_a_baseline_are_not_new() -> None:
    """Both forms say which ones are known."""
    found = verification(frozenset({CUT.fingerprint("cilium")}))
    assert [one["new"] for one in as_record(found)["reports"][0]["findings"]] == [False, True]
    states = [one.get("baselineState") for one in as_sarif(found)["runs"][0]["results"]]
    assert states == ["unchanged", "new", None]


def test_sarif_has_what_the_standard_asks_for() -> None:
    """Version, tool, rules that results refer to, levels of the standard, and locations with a line."""
    log = json.loads(json.dumps(as_sarif(verification())))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= rules
    assert {result["level"] for result in run["results"]} <= {"none", "note", "warning", "error"}
    assert all(result["message"]["text"] for result in run["results"])
    assert run["results"][0]["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "policies/p.yaml"}, "region": {"startLine": 3}}}
    ]
    assert run["results"][1]["locations"] == []


def test_hostile_names_are_no_links_and_no_other_uri() -> None:
    """A message of SARIF reads brackets as links, and a URI has its own escapes."""
    hostile = replace(CUT, subject="[click](https://evil.example)", source="h\x1b x#%/\udce9.yaml:7")
    given = verification()
    report = replace(given.reports[0], findings=(hostile,), diagnostics=())
    (result,) = as_sarif(replace(given, reports=(report,)))["runs"][0]["results"]
    assert result["message"]["text"].startswith("\\[click\\](https://evil.example): ")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "h%1B%20x%23%25/%E9.yaml"
    assert place["region"] == {"startLine": 7}
