"""The report of ``verify`` for machines: JSON of our own, and SARIF 2.1.0 for code scanning in CI.

SARIF: OASIS Standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from discovery import __version__
from discovery.app.verification import EXPLANATIONS, LEVELS, Code, Finding, SetReport, Verification
from discovery.model.diagnostics import Diagnostic, Level
from discovery.verify.reach import WorkloadReach

FORMAT = 1
_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SARIF_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}


def as_record(verification: Verification) -> dict[str, Any]:
    """Return the whole verification as plain data."""
    known = verification.baseline or frozenset()
    return {
        "format": FORMAT,
        "tool": "policy-discovery",
        "version": __version__,
        "exit_codes": list(verification.exit_codes),
        "complete_input": verification.completeness.complete,
        "flow_records": verification.completeness.rows_read,
        "reports": [_report(report, known) for report in verification.reports],
    }


def _report(report: SetReport, known: frozenset[str]) -> dict[str, Any]:
    """Return one set's report as plain data."""
    return {
        "policies": report.name,
        "platform": str(report.platform),
        "manifests": report.policies,
        "governed_workloads": report.governed,
        "usable": report.usable,
        "edges": report.fates,
        "open_without": asdict(report.before),
        "open_with": asdict(report.after),
        "reach": [_reach(one, report.after.workloads) for one in report.reach],
        "findings": [_finding(finding, report.name, known) for finding in report.findings],
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
    }


def _reach(one: WorkloadReach, workloads: int) -> dict[str, Any]:
    """Return what one workload may reach as plain data; "everyone" where that is every other one."""
    everyone = len(one.direct) == workloads - 1
    return {
        "workload": str(one.workload),
        "may_reach": "everyone" if everyone else [str(other) for other in one.direct],
        "direct": len(one.direct),
        "never_used": one.never_used,
        "spread": one.spread,
        "from_world": one.from_world,
        "to_world": one.to_world,
    }


def _finding(finding: Finding, name: str, known: frozenset[str]) -> dict[str, Any]:
    """Return one finding as plain data."""
    fingerprint = finding.fingerprint(name)
    return {
        "code": finding.code.value,
        "level": finding.level.value,
        "subject": finding.subject,
        "direction": finding.direction.value if finding.direction is not None else None,
        "traffic": finding.traffic,
        "message": finding.message,
        "source": finding.source,
        "flow_records": finding.records,
        "fingerprint": fingerprint,
        "new": fingerprint not in known,
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return what was wrong with a manifest as plain data."""
    return {
        "code": diagnostic.code,
        "level": diagnostic.level.value,
        "source": diagnostic.subject,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }


def as_sarif(verification: Verification) -> dict[str, Any]:
    """Return a SARIF log with one run per set of policies. Findings of a baseline are marked unchanged."""
    return {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [_run(report, verification.baseline) for report in verification.reports],
    }


def _run(report: SetReport, baseline: frozenset[str] | None) -> dict[str, Any]:
    """Return one run: what every code means, then a result per finding and per manifest that could not be read."""
    rules = [
        {
            "id": code.value,
            "shortDescription": {"text": EXPLANATIONS[code]},
            "defaultConfiguration": {"level": _SARIF_LEVELS[LEVELS[code]]},
        }
        for code in Code
    ]
    codes = sorted({diagnostic.code for diagnostic in report.diagnostics})
    rules += [{"id": code, "shortDescription": {"text": "a manifest that could not be read in full"}} for code in codes]
    results = [_result(finding, report.name, baseline) for finding in report.findings]
    results += [
        {
            "ruleId": diagnostic.code,
            "level": _SARIF_LEVELS[diagnostic.level],
            "message": {"text": _plain(diagnostic.message)},
            "locations": _locations(diagnostic.subject),
        }
        for diagnostic in report.diagnostics
    ]
    driver = {"name": "policy-discovery", "version": __version__, "rules": rules}
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"verify/{report.name}/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }


def _result(finding: Finding, name: str, baseline: frozenset[str] | None) -> dict[str, Any]:
    """Return one result."""
    about = f"{finding.traffic}: " if finding.traffic else ""
    fingerprint = finding.fingerprint(name)
    found: dict[str, Any] = {
        "ruleId": finding.code.value,
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": _plain(f"{finding.subject}: {about}{finding.message}")},
        "locations": _locations(finding.source),
        "partialFingerprints": {"policyDiscovery/v1": fingerprint},
    }
    if baseline is not None:
        found["baselineState"] = "unchanged" if fingerprint in baseline else "new"
    return found


def _plain(text: str) -> str:
    """Return hostile text of a message, in which brackets would make a link (SARIF 2.1.0, 3.11.6)."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _locations(source: str) -> list[dict[str, Any]]:
    """Return where ``path:line`` is; nowhere without one."""
    path, _, line = source.rpartition(":")
    if not path or not line.isdigit():
        return []
    uri = {"uri": quote(path.replace("\\", "/").encode("utf-8", "surrogateescape"))}
    return [{"physicalLocation": {"artifactLocation": uri, "region": {"startLine": max(int(line), 1)}}}]
