"""What machines read of a run: everything, whatever the pages show."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from discovery.app.proposal import Suggestion
from discovery.app.records import evidence_files, peer_json, summary_json
from discovery.learn.judge import Options, Ruling, judge
from discovery.model.edge import Verdict
from discovery.model.intent import CidrPeer, EntityPeer, WorkloadPeer
from discovery.model.workload import Entity, Labels, Selector
from tests.discovery.app.suggestions import with_judged
from tests.discovery.learn.builders import edge, pod


def test_the_json_summary_and_the_evidence_hold_everything(sample: Suggestion) -> None:
    """The namespaces limit what is shown to a reviewer, never what is recorded."""
    one = judge(edge(pod("one", namespace="pay"), pod("two", namespace="pay"), verdict=Verdict.DENIED), Options())
    given = with_judged(sample, one)
    limited = replace(given, options=replace(given.options, namespaces=("shop",)))
    assert summary_json(limited) == summary_json(given)
    assert evidence_files(limited.learned) == evidence_files(given.learned)


def test_evidence_lies_beside_every_rule(sample: Suggestion) -> None:
    """One file per workload with a policy, each rule with its id, counts and times."""
    files = evidence_files(sample.learned)
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
