"""Tests of discovery.app.verify: the use case on real files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from discovery import suggest, verify_policies
from discovery.app.options import SuggestOptions
from discovery.app.verification import Code, Finding, Verification
from discovery.app.verify import VerifyOptions
from discovery.app.verify_records import as_record
from discovery.model.errors import InputError, OptionError
from discovery.model.intent import Dialect
from tests.flows_factory import flow, lines, pod, reply, tcp


@pytest.fixture(scope="module")
def sample(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the complete sample and what suggest makes of it."""
    folder = tmp_path_factory.mktemp("verify")
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    suggest(source, folder / "policies", SuggestOptions(dialects=tuple(Dialect)))
    return source, folder / "policies"


def codes(found: Verification) -> list[Counter[str]]:
    """Return the codes of each report, counted."""
    return [Counter(finding.code.value for finding in report.findings) for report in found.reports]


def test_what_was_suggested_covers_what_it_was_learned_from(sample: tuple[Path, Path]) -> None:
    """In each dialect by itself; what today's policy audits stays denied and is told, not counted as cut."""
    source, policies = sample
    found = verify_policies(policies, source)
    assert [report.name for report in found.reports] == ["cilium", "calico", "kubernetes"]
    assert found.exit_codes == ()
    for report in found.reports:
        assert report.usable
        assert report.diagnostics == ()
        assert set(report.fates) == {"covered", "audited-today", "address-may-be-a-pod"}
        assert report.before.pairs == report.before.workloads * (report.before.workloads - 1)
        assert 0 < report.after.pairs < report.before.pairs / 2
        assert report.after.blast_mean <= report.before.blast_mean
        assert report.after.from_world < report.before.from_world
        assert report.fates["covered"] > 100


def test_monitor_forms_as_written_cut_nothing_at_all(sample: tuple[Path, Path]) -> None:
    """They are inert: even what is audited passes."""
    source, policies = sample
    for report in verify_policies(policies, source, VerifyOptions(as_written=True)).reports:
        assert set(report.fates) == {"covered"}


def test_a_wrong_port_is_found_with_the_rule_that_is_nearest(sample: tuple[Path, Path], tmp_path: Path) -> None:
    """Every client of the database is named, with the policy, the line and what the rule lacks."""
    source, policies = sample
    shutil.copytree(policies / "kubernetes", tmp_path / "k")
    target = tmp_path / "k" / "data" / "statefulset-postgres.yaml"
    target.write_text(target.read_text().replace("port: 5432", "port: 5433"))
    found = verify_policies(tmp_path / "k", source)
    (report,) = found.reports
    cut = [finding for finding in report.findings if finding.code is Code.WOULD_DENY]
    assert found.exit_codes == (3,)
    assert {finding.subject for finding in cut} == {"data/postgres"}
    assert all("port 5432 is not among 5433" in finding.message for finding in cut)
    assert {finding.source.rpartition(":")[0] for finding in cut} == {str(target)}
    assert report.fates["would-deny"] == len(cut)


def test_a_baseline_leaves_what_is_new(sample: tuple[Path, Path], tmp_path: Path) -> None:
    """The same findings again are known; another cut is new."""
    source, policies = sample
    shutil.copytree(policies / "kubernetes", tmp_path / "k")
    target = tmp_path / "k" / "data" / "statefulset-postgres.yaml"
    target.write_text(target.read_text().replace("port: 5432", "port: 5433"))
    known = tmp_path / "known.json"
    known.write_text(json.dumps(as_record(verify_policies(tmp_path / "k", source))))
    assert verify_policies(tmp_path / "k", source, VerifyOptions(baseline=known)).exit_codes == ()
    other = tmp_path / "k" / "shop" / "deployment-catalog.yaml"
    other.write_text(other.read_text().replace("app: frontend", "app: front"))
    again = verify_policies(tmp_path / "k", source, VerifyOptions(baseline=known))
    assert again.exit_codes[0] == 3
    (report,) = again.reports
    assert {one.subject for one in report.new(again.baseline or frozenset()) if one.code is Code.WOULD_DENY} == {
        "shop/catalog"
    }


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"reports": [{"findings": [{}]}]}'])
def test_a_baseline_that_is_none_is_refused(sample: tuple[Path, Path], tmp_path: Path, content: str) -> None:
    """Before anything is read."""
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(OptionError):
        verify_policies(sample[1], sample[0], VerifyOptions(baseline=tmp_path / "b.json"))


WEB = flow(l4=tcp(40_000, 8_080, "SYN"))
ANSWER = reply()


def replayed(tmp_path: Path, policy: str, *records: dict[str, object], name: str = "p.yaml") -> Verification:
    """Verify one policy on records."""
    (tmp_path / "flows.jsonl").write_bytes(lines(records))
    (tmp_path / name).write_text(policy)
    return verify_policies(tmp_path / name, tmp_path / "flows.jsonl")


ISOLATE = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {matchLabels: {app: cart}}, policyTypes: [Ingress], ingress: RULES}
"""


def test_unknown_is_never_allowed(tmp_path: Path) -> None:
    """A port by name that no inventory tells, and a rule that cannot be read, are told and fail."""
    named = replayed(tmp_path, ISOLATE.replace("RULES", "[{ports: [{port: http}]}]"), WEB, ANSWER)
    assert codes(named) == [Counter({"verdict-unknown": 1})]
    assert named.exit_codes == (3,)
    broken = replayed(tmp_path, ISOLATE.replace("RULES", "[{from: [{}]}]"), WEB, ANSWER)
    assert codes(broken) == [Counter({"verdict-unknown": 1})]
    assert [one.code for one in broken.reports[0].diagnostics] == ["not-evaluated"]


def test_an_undecided_edge_is_a_class_of_its_own(tmp_path: Path) -> None:
    """Nobody knows who opened it: it is cut all the same."""
    unknown = flow(l4=tcp(40_000, 8_080, "ACK"), is_reply=None)
    found = replayed(tmp_path, ISOLATE.replace("RULES", "[]"), unknown)
    assert found.exit_codes == (3,)
    assert codes(found)[0].keys() <= {"would-deny-undecided", "verdict-unknown"}


def test_what_was_denied_and_would_pass_is_told(tmp_path: Path) -> None:
    """A policy denied it in the window; this one lets it in."""
    dropped = flow(verdict="DROPPED", drop_reason=133, drop_reason_desc="POLICY_DENIED", event_type={"type": 1},
                   source=pod("scanner"), IP={"source": "10.0.0.9", "destination": "10.0.0.2"})  # fmt: skip
    found = replayed(tmp_path, ISOLATE.replace("RULES", "[{ports: [{port: 8080}]}]"), WEB, ANSWER, dropped)
    assert codes(found)[0]["allows-what-was-denied"] == 1
    assert found.exit_codes == ()


STAGED: dict[str, object] = {"kind": "StagedNetworkPolicy", "namespace": "shop", "name": "next", "action": "Deny"}
EXACT = ISOLATE.replace("RULES", "[{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]")


def goldmane(reporter: str, *pending: dict[str, object], action: str = "Allow") -> dict[str, object]:
    """Return a flow of Goldmane: shop/web to shop/cart on port 8080, with a pending trace."""
    return {
        "Key": {
            "sourceName": "web-*", "sourceNamespace": "shop", "sourceType": "WorkloadEndpoint",
            "destName": "cart-*", "destNamespace": "shop", "destType": "WorkloadEndpoint", "destPort": "8080",
            "proto": "tcp", "reporter": reporter, "action": action,
            "policies": {"pendingPolicies": list(pending)},
        },
        "startTime": "1793581200", "endTime": "1793581215", "sourceLabels": ["app=web"], "destLabels": ["app=cart"],
        "packetsIn": "20", "packetsOut": "16", "bytesIn": "9000", "bytesOut": "9000",
        "numConnectionsStarted": "2", "numConnectionsLive": "3",
    }  # fmt: skip


def told(tmp_path: Path, *records: dict[str, object], options: VerifyOptions | None = None) -> Verification:
    """Verify a policy that allows exactly this on flows of Calico."""
    (tmp_path / "flows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "p.yaml").write_text(EXACT)
    return verify_policies(tmp_path / "p.yaml", tmp_path / "flows.jsonl", options)


def test_what_staged_policies_of_the_cluster_would_deny_is_told(tmp_path: Path) -> None:
    """Once for both reporters, with every policy by name; it is covered all the same and fails nothing."""
    tier: dict[str, object] = {
        "kind": "EndOfTier", "tier": "default", "action": "Deny",
        "trigger": {"kind": "StagedGlobalNetworkPolicy", "name": "baseline"},
    }  # fmt: skip
    found = told(tmp_path, goldmane("Src", STAGED), goldmane("Dst", tier))
    (report,) = found.reports
    assert report.fates == {"covered": 1}
    assert report.findings == (
        Finding(
            code=Code.PENDING,
            subject="shop/cart",
            direction=None,
            traffic="shop/web -> shop/cart TCP/8080",
            message="the cluster's own verdict: StagedGlobalNetworkPolicy (cluster)/baseline, "
            "StagedNetworkPolicy shop/next would deny it",
            records=3,
        ),
    )
    assert found.exit_codes == ()


@pytest.mark.parametrize("pending", [(), (STAGED | {"action": "Allow"},), (STAGED, STAGED | {"action": "Allow"})])
def test_nothing_is_pending_unless_the_last_decision_denies(
    tmp_path: Path, pending: tuple[dict[str, object], ...]
) -> None:
    """No staged policies, one that allows, and a denial that a later entry overrides."""
    (report,) = told(tmp_path, goldmane("Src", *pending), goldmane("Dst")).reports
    assert report.findings == ()


def test_pending_denials_of_denied_traffic_are_not_told(tmp_path: Path) -> None:
    """What is cut today is no finding of staged policies."""
    (report,) = told(tmp_path, goldmane("Src", STAGED, action="Deny"), goldmane("Dst", STAGED, action="Deny")).reports
    assert [finding.code for finding in report.findings] == [Code.OPENS, Code.UNUSED]


def test_new_pending_denials_are_new_findings(tmp_path: Path) -> None:
    """Against a baseline without them it is exit 5; against one with them nothing is new."""
    known = tmp_path / "known.json"
    known.write_text(json.dumps(as_record(told(tmp_path, goldmane("Src")))))
    again = told(tmp_path, goldmane("Src", STAGED), options=VerifyOptions(baseline=known))
    assert again.exit_codes == (5,)
    known.write_text(json.dumps(as_record(again)))
    assert told(tmp_path, goldmane("Src", STAGED), options=VerifyOptions(baseline=known)).exit_codes == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mx\u202e", "StagedNetworkPolicy shop/\\x1b[31mx\\u202e"),
        ("a/b, c", "StagedNetworkPolicy shop/a/b, c"),
        ("it's", "StagedNetworkPolicy shop/it's"),
    ],
)
def test_hostile_names_of_staged_policies_are_escaped(tmp_path: Path, name: str, shown: str) -> None:
    """Whatever a flow calls a policy, the message is plain text."""
    (finding,) = told(tmp_path, goldmane("Src", STAGED | {"name": name})).reports[0].findings
    assert finding.message == f"the cluster's own verdict: {shown} would deny it"


def test_a_hidden_staged_policy_denies_without_a_name(tmp_path: Path) -> None:
    """Calico's flow logs may hide names from who may not read them; the verdict still counts."""
    record = {
        "start_time": 1793581200, "end_time": 1793581500, "host": "node-a", "action": "allow", "reporter": "src",
        "proto": "tcp", "source_name_aggr": "web-*", "source_namespace": "shop", "source_type": "wep",
        "source_labels": {"labels": ["app=web"]}, "dest_name_aggr": "cart-*", "dest_namespace": "shop",
        "dest_type": "wep", "dest_port": 8080, "dest_labels": {"labels": ["app=cart"]},
        "packets_in": 20, "packets_out": 16, "bytes_in": 9000, "bytes_out": 1500,
        "policies": {"enforced_policies": [], "pending_policies": ["0|*|*|deny|*"]},
    }  # fmt: skip
    (finding,) = told(tmp_path, record).reports[0].findings
    assert finding.message == "the cluster's own verdict: a policy without a name would deny it"


def test_a_file_that_is_no_yaml_makes_the_report_unusable(tmp_path: Path) -> None:
    """What it holds is not known, so nothing is proven."""
    found = replayed(tmp_path, "a: [1\n", WEB, ANSWER)
    assert not found.reports[0].usable
    assert found.exit_codes[0] == 1


def test_no_policy_at_all_is_an_error(tmp_path: Path) -> None:
    """Manifests of other kinds prove nothing."""
    with pytest.raises(InputError):
        replayed(tmp_path, "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", WEB)


def test_policies_of_two_dialects_are_enforced_together(tmp_path: Path) -> None:
    """On a Cilium cluster a Kubernetes policy isolates, and a Cilium policy lets the traffic in."""
    cilium = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: c, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: cart}}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}
"""
    found = replayed(tmp_path, ISOLATE.replace("RULES", "[]") + cilium, WEB, ANSWER)
    (report,) = found.reports
    assert (report.name, report.fates, found.exit_codes) == ("cilium", {"covered": 1}, ())


def test_policies_of_other_workloads_are_not_proven(sample: tuple[Path, Path], tmp_path: Path) -> None:
    """Nothing would be cut by policies that are about nothing here, and that is no proof."""
    source, policies = sample
    text = (policies / "kubernetes" / "shop" / "deployment-cart.yaml").read_text()
    (tmp_path / "p.yaml").write_text(text.replace("namespace: shop", "namespace: elsewhere"))
    found = verify_policies(tmp_path, source)
    assert (found.exit_codes, found.reports[0].governed) == ((4,), 0)
    assert found.gaps == ("the kubernetes policies are about none of its workloads",)
    assert verify_policies(policies, source).reports[0].governed > 20


def test_inputs_that_show_nothing_prove_nothing(sample: tuple[Path, Path], tmp_path: Path) -> None:
    """No accepted traffic, or pods without labels: exit 4, unless asked to go on."""
    source, policies = sample
    late = VerifyOptions(since=datetime(2040, 1, 1, tzinfo=UTC))
    found = verify_policies(policies, source, late)
    assert (found.exit_codes, len(found.gaps)) == ((4,), 1)
    assert verify_policies(policies, source, replace(late, allow_partial=True)).exit_codes == ()
    bare = tmp_path / "bare.jsonl"
    bare.write_bytes(lines([flow(source=pod("web", labels=[]), destination=pod("cart", labels=[]))]))
    found = verify_policies(policies, bare)
    assert 4 in found.exit_codes
    assert "no pod has labels in what hubble exported" in found.gaps[0]


def test_what_passes_anyway_is_no_unused_rule(sample: tuple[Path, Path]) -> None:
    """Probes of the own node need no rule on Cilium, and the rule that is about them is used."""
    source, policies = sample
    cilium = verify_policies(policies, source).reports[0]
    unused = [finding.rule for finding in cilium.findings if finding.code is Code.UNUSED]
    assert unused
    assert not [rule for rule in unused if "Entity.HOST" in rule and "5432" in rule]


def test_each_workload_has_its_reach(sample: tuple[Path, Path]) -> None:
    """The numbers of all are the sums of each."""
    source, policies = sample
    for report in verify_policies(policies, source).reports:
        assert sum(len(one.direct) for one in report.reach) == report.after.pairs
        assert sum(one.never_used for one in report.reach) == report.after.unseen
        assert max(one.spread for one in report.reach) == report.after.blast_most
        assert sum(one.from_world for one in report.reach) == report.after.from_world
