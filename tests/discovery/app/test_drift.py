"""Drift: rules that nobody uses any more, told from those that are declared to be needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from discovery.app.deployed import read_deployed
from discovery.app.drift import DAY, Drift, UnusedRule, drift_json, drift_section, is_outside, narrowed, unused_rules
from discovery.app.markdown import page
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Protocol
from discovery.model.intent import Dialect, Origin
from discovery.model.requests import ConnectionKey, HttpRequest, Request
from discovery.verify.recorded import Recorded
from tests.discovery.learn.builders import EVIDENCE, NOVEMBER, edge
from tests.discovery.verify.asking import cnp, knp
from tests.discovery.verify.builders import intent, platform, tcp, version, workload_peer

VERSIONS = (version("web"), version("a"), version("b"), version("c"))
PLATFORMS = {Dialect.KUBERNETES: platform("kubernetes=1.31")}
POLICY = knp(
    "{podSelector: {matchLabels: {app: web}}, ingress: ["
    + ", ".join(
        f"{{from: [{{podSelector: {{matchLabels: {{app: {name}}}}}}}], ports: [{{port: 80}}]}}" for name in "abc"
    )
    + "]}"
)


def seen(client: str, first: int, last: int) -> Edge:
    """Return an edge to web that was seen from one day to another."""
    evidence = replace(EVIDENCE, first_seen=NOVEMBER + first * DAY, last_seen=NOVEMBER + last * DAY)
    return edge(client, "web", 80, evidence=evidence)


def unused(
    folder: Path, *edges: Edge, days: int = 7, declared: str | None = None, namespaces: tuple[str, ...] = ()
) -> list[tuple[str, int | None]] | None:
    """Return the rules that nobody used, with the day of their last use."""
    (folder / "k.yaml").write_text(POLICY)
    deployed = {Dialect.KUBERNETES: read_deployed(folder)[Dialect.KUBERNETES]}
    asked = replace(tcp(workload_peer(declared or "a"), 80), origin=Origin.MESH if declared else Origin.OBSERVED)
    intents = (intent("web", Direction.INGRESS, asked),)
    found = unused_rules(deployed, PLATFORMS, intents, edges, VERSIONS, days, namespaces)
    if found is None:
        return None
    return [(one.place, one.last_used and (one.last_used - NOVEMBER) // DAY) for one in found]


def test_rules_without_a_use_in_the_last_days(tmp_path: Path) -> None:
    """Used today is used; used ten days ago is not, and neither is never."""
    found = unused(tmp_path, seen("a", 0, 20), seen("b", 0, 10))
    assert found == [("spec.ingress[1]", 10), ("spec.ingress[2]", None)]
    assert unused(tmp_path, seen("a", 0, 20), seen("b", 0, 10), days=15) == [("spec.ingress[2]", None)]


def test_a_short_window_tells_nothing(tmp_path: Path) -> None:
    """What was not used in three days may be used on the fourth."""
    assert unused(tmp_path, seen("a", 0, 3)) is None
    assert unused(tmp_path) is None


def test_what_is_declared_is_needed(tmp_path: Path) -> None:
    """A rule that a declared addition asks for is not unused."""
    assert unused(tmp_path, seen("a", 0, 20), seen("b", 0, 20), declared="c") == []


RULE = UnusedRule(
    policy="NetworkPolicy shop/k", source="k.yaml:1", direction=Direction.INGRESS, place="spec.ingress[1]",
    allows="pods of shop with app=b TCP/80", last_used=None,
)  # fmt: skip
CUTS = Diagnostic(code="existing-cuts", level=Level.WARNING, subject="shop/web", message="m")


NOTHING = Drift(proposed={"cilium": 0}, said={"cilium": 3}, outside=(), unused=(), days=30)


def test_what_counts_as_drift() -> None:
    """Files that add, traffic outside that could not be added, and unused rules; a short window is none."""
    assert not NOTHING.found
    assert not replace(NOTHING, unused=None).found
    assert replace(NOTHING, proposed={"cilium": 1}).found
    assert replace(NOTHING, outside=(CUTS,)).found
    assert replace(NOTHING, unused=(RULE,)).found
    assert is_outside(CUTS)
    assert not is_outside(replace(CUTS, code="window-short"))


def text_of(found: Drift) -> str:
    """Return the section as a page."""
    return "\n".join(page("t", [], [drift_section(found)], 10))


def test_what_people_and_machines_read() -> None:
    """Each state has its sentence; the JSON has the rule with its place."""
    assert "| cilium | 3 | 0 |" in text_of(NOTHING)
    assert "Every rule was used in the last 30 days" in text_of(NOTHING)
    assert "shorter than 1 day:" in text_of(replace(NOTHING, unused=None, days=1))
    assert "1 finding" in text_of(replace(NOTHING, outside=(CUTS,)))
    assert "never in this window" in text_of(replace(NOTHING, unused=(RULE,)))
    assert "2026-11-01" in text_of(replace(NOTHING, unused=(replace(RULE, last_used=NOVEMBER),)))
    told = drift_json(replace(NOTHING, unused=(RULE,), outside=(CUTS,)))
    assert told["found"] is True
    assert told["unusedRules"] == [
        {
            "policy": "NetworkPolicy shop/k",
            "source": "k.yaml:1",
            "direction": "ingress",
            "rule": "spec.ingress[1]",
            "allows": "pods of shop with app=b TCP/80",
            "lastUsed": None,
        }
    ]


def test_only_policies_of_the_namespaces_that_were_asked_for(tmp_path: Path) -> None:
    """What was not asked for is not told."""
    assert unused(tmp_path, seen("a", 0, 20), namespaces=("pay",)) == []
    assert unused(tmp_path, seen("a", 0, 20), namespaces=("shop",)) is not None


HTTP = cnp(
    "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{matchLabels: {app: a}}], toPorts: "
    "[{ports: [{port: '80', protocol: TCP}], rules: {http: [{path: /a}]}}]}]}"
)


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ((HttpRequest(path="/a"),), []),
        ((HttpRequest(path="/b"),), ["existing-narrow"]),
        (None, ["existing-narrow"]),
    ],
)
def test_rules_that_are_there_and_restrict_further(
    tmp_path: Path, asked: tuple[Request, ...] | None, codes: list[str]
) -> None:
    """An allow beside them would lift them, so none is written; what they refuse, or may, is told."""
    (tmp_path / "k.yaml").write_text(HTTP)
    there = {Dialect.CILIUM: read_deployed(tmp_path)[Dialect.CILIUM]}
    key: ConnectionKey = (version("a").ref.key, version("web").ref.key, Protocol.TCP, 80)
    recorded = Recorded(requests={key: asked} if asked else {})
    edges = [edge("a", "web", 80), edge("b", "web", 80)]
    found = narrowed(there, {Dialect.CILIUM: platform("cilium=1.18")}, edges, VERSIONS, recorded)
    assert [one.code for one in found] == codes
    assert all(map(is_outside, found))
