"""Existing policies: who is isolated, what is denied on purpose, and what happens to everything in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.app.existing import Existing, read_existing
from discovery.learn.intents import Subjects, Told, learn
from discovery.learn.judge import Options, Reason, Ruling
from discovery.model.edge import Direction, Edge, Verdict
from discovery.model.errors import InputError
from discovery.model.workload import EndpointKind, WorkloadRef
from tests.discovery.learn.builders import edge, other, outside, pod, ref, version
from tests.discovery.verify.builders import text

WEB, DB, JOB = ref("web"), ref("db"), ref("job", namespace="batch")
VERSIONS = (version(WEB), version(DB), version(JOB))
AUDITED = edge("web", "db", 5432, verdict=Verdict.AUDIT)
BOTH = set(Direction)


def existing(folder: Path, manifest: str | bytes, *edges: Edge, name: str = "p.yaml") -> Existing:
    """Read one manifest from a folder."""
    folder.joinpath(name).write_bytes(manifest if isinstance(manifest, bytes) else text(manifest).encode())
    return read_existing(folder, edges, VERSIONS)


def isolated(found: Existing) -> dict[WorkloadRef, set[Direction]]:
    """Return the isolated directions by workload."""
    told: dict[WorkloadRef, set[Direction]] = {}
    for workload, direction in found.isolated:
        told.setdefault(workload, set()).add(direction)
    return told


def test_no_folder_means_nothing() -> None:
    """Without existing policies nothing is isolated and nothing denied."""
    assert read_existing(None, [AUDITED], VERSIONS) == Existing()


def test_a_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    """An empty folder is more likely a mistyped path than an open cluster."""
    with pytest.raises(InputError, match="no manifests") as caught:
        read_existing(tmp_path, [], VERSIONS)
    assert caught.value.hint is not None
    assert "kubectl get" in caught.value.hint


def test_an_evaluated_policy_isolates_exactly_what_it_selects(tmp_path: Path) -> None:
    """A readable policy isolates its subjects in its directions, and says nothing more."""
    found = existing(
        tmp_path,
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
        """,
    )
    assert (isolated(found), found.diagnostics) == ({DB: {Direction.INGRESS}}, ())


def test_monitor_output_of_our_own_isolates_nobody(tmp_path: Path) -> None:
    """Default deny switched off, staged kinds and opt-in policies are not in force."""
    found = existing(
        tmp_path,
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec:
          endpointSelector: {}
          enableDefaultDeny: {ingress: false, egress: false}
          ingress: [{fromEntities: [world]}]
        ---
        apiVersion: projectcalico.org/v3
        kind: StagedNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {selector: all(), types: [Ingress, Egress]}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {podSelector: {matchLabels: {policy-discovery/enforce: "true"}}, policyTypes: [Ingress, Egress]}
        """,
    )
    assert (isolated(found), found.diagnostics) == ({}, ())


def test_a_canary_is_isolated(tmp_path: Path) -> None:
    """Pods that carry the opt-in label are governed by opt-in policies."""
    canary = version(WEB, {"app": "web", "policy-discovery/enforce": "true"})
    tmp_path.joinpath("p.yml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        'spec: {podSelector: {matchLabels: {policy-discovery/enforce: "true"}}, policyTypes: [Egress]}\n'
    )
    assert read_existing(tmp_path, [], (canary, version(DB))).isolated == {(WEB, Direction.EGRESS)}


def test_a_policy_that_cannot_be_evaluated_isolates_all_it_may_select(tmp_path: Path) -> None:
    """Doubt isolates, as far as the manifest may reach and no further, and is said."""
    found = existing(
        tmp_path,
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {endpointSelector: {matchExpressions: [{key: app, operator: Is}]}, ingress: [{}]}
        """,
    )
    assert isolated(found) == {WEB: BOTH, DB: BOTH}
    assert [(one.code, one.subject) for one in found.diagnostics] == [("existing-not-evaluated", "p.yaml:1")]
    assert found.diagnostics[0].hint == "all workloads that it may select are treated as isolated"


def test_an_unread_rule_keeps_the_subject_of_its_policy(tmp_path: Path) -> None:
    """When only a rule is unclear, other workloads of the cluster are not touched."""
    found = existing(
        tmp_path,
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {endpointSelector: {matchLabels: {app: db}}, ingress: [{fromGroups: [{aws: {}}]}]}
        """,
    )
    assert isolated(found) == {DB: {Direction.INGRESS}}


@pytest.mark.parametrize(
    "head",
    [
        "cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy",
        "projectcalico.org/v3\nkind: GlobalNetworkPolicy",
        "policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy",
    ],
)
def test_cluster_wide_policies_isolate_everywhere(tmp_path: Path, head: str) -> None:
    """Cluster-wide policies that cannot be read may select any pod."""
    found = existing(tmp_path, f"apiVersion: {head}\nmetadata: {{name: p}}\nspec: {{selector: 5}}\n")
    assert isolated(found) == {WEB: BOTH, DB: BOTH, JOB: BOTH}


def test_a_global_policy_isolates_what_it_selects(tmp_path: Path) -> None:
    """Without types and rules it is about ingress, of the pods that its selectors pick in all namespaces."""
    text = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: "
    found = existing(tmp_path, text + "{selector: app == 'db'}\n")
    assert isolated(found) == {DB: {Direction.INGRESS}}


@pytest.mark.parametrize("content", [b"a: [1\n", b"a: &x 1\nb: *x\n", b"\xff", b"a: 1\na: 2\n", b"a: 2026-13-45\n"])
def test_an_unreadable_file_isolates_and_denies_everything(tmp_path: Path, content: bytes) -> None:
    """What a broken file holds is not known, so it may hold anything; the finding says where it is broken."""
    found = existing(tmp_path, content, AUDITED)
    assert isolated(found) == {WEB: BOTH, DB: BOTH, JOB: BOTH}
    assert found.denied == {AUDITED}
    assert [one.code for one in found.diagnostics] == ["existing-not-evaluated"]
    assert found.diagnostics[0].subject.startswith("p.yaml:")


def test_what_is_no_policy_is_left_out(tmp_path: Path) -> None:
    """A Service beside the policies is no finding; a file of values is one, and isolates nobody."""
    tmp_path.joinpath("service.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: p}\n")
    found = existing(tmp_path, "replicas: 3\n", AUDITED, name="values.yaml")
    assert (found.isolated, found.denied) == (frozenset(), frozenset())
    assert [one.hint for one in found.diagnostics] == [
        "it is left out; remove the file if it is no policy of this cluster",
        "give --existing all policies of the cluster; until then what was audited is not learned",
    ]


def test_an_audit_verdict_that_no_given_policy_explains_is_not_learned(tmp_path: Path) -> None:
    """It proves a policy that the folder lacks, and nobody knows whether that denies on purpose."""
    other_way = edge("db", "web", 80, verdict=Verdict.AUDIT)
    found = existing(tmp_path, DENY, AUDITED, other_way)
    assert found.unexplained == {other_way}
    assert [one.code for one in found.diagnostics] == ["existing-incomplete"]
    learned = learn(
        (AUDITED, other_way), VERSIONS, Options(learn_audit=True), Subjects(), found.denied,
        Told(unexplained=found.unexplained),
    )  # fmt: skip
    assert {one.edge: one.reason for one in learned.judged} == {
        AUDITED: Reason.EXPLICIT_DENY,
        other_way: Reason.AUDIT,
    }


def test_findings_are_kept_beside_denies(tmp_path: Path) -> None:
    """A deny that was understood is no finding, and does not hide a policy that was not."""
    tmp_path.joinpath("a.yaml").write_text(text(DENY))
    found = existing(
        tmp_path,
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: q, namespace: batch}
        specs: 5
        """,
    )
    assert {one.subject for one in found.diagnostics} == {"p.yaml:1"}
    assert isolated(found)[JOB] == BOTH


DENY = """
    apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: p, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: db}}
      ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]
    """


def test_only_audited_edges_are_held_against_denies(tmp_path: Path) -> None:
    """Accepted traffic is not denied, whatever a manifest says: it may be older than the manifest."""
    found = existing(tmp_path, DENY, AUDITED, edge("web", "db", 5432), edge("db", "web", verdict=Verdict.AUDIT))
    assert found.denied == {AUDITED}


def test_explicit_denies_go_to_review_and_other_audited_edges_are_learned(tmp_path: Path) -> None:
    """With existing policies at hand, an AUDIT edge is learned unless somebody denied it on purpose."""
    allowed = edge("db", "web", 80, verdict=Verdict.AUDIT)
    edges = (AUDITED, allowed)
    found = existing(tmp_path, DENY, *edges)
    learned = learn(edges, VERSIONS, Options(learn_audit=True), Subjects(), found.denied)
    assert {one.edge: (one.ruling, one.reason) for one in learned.judged} == {
        AUDITED: (Ruling.REVIEW, Reason.EXPLICIT_DENY),
        allowed: (Ruling.LEARN, None),
    }


def test_a_denied_node_that_looks_external_is_denied(tmp_path: Path) -> None:
    """An address that is a node elsewhere in the flows is held against denies as that node."""
    manifest = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec: {endpointSelector: {matchLabels: {app: web}}, egressDeny: [{toEntities: [remote-node]}]}
        """
    node = edge("db", other(EndpointKind.REMOTE_NODE, "10.0.0.7"), 9100)
    mixed = edge("web", outside("10.0.0.7", "192.0.2.1"), 443, verdict=Verdict.AUDIT)
    found = existing(tmp_path, manifest, node, mixed)
    learned = learn((node, mixed), VERSIONS, Options(learn_audit=True), Subjects(), found.denied)
    rulings = {(one.edge.client.workload, one.edge.server.kind): one.reason for one in learned.judged}
    assert rulings == {
        (WEB, EndpointKind.REMOTE_NODE): Reason.EXPLICIT_DENY,
        (WEB, EndpointKind.EXTERNAL): None,
        (DB, EndpointKind.REMOTE_NODE): None,
    }


def test_denies_handed_over_whole_count_for_every_piece() -> None:
    """An edge denied as a whole is denied in every piece that learning splits it into."""
    node = edge("db", other(EndpointKind.REMOTE_NODE, "10.0.0.7"), 9100)
    mixed = edge("web", outside("10.0.0.7", "192.0.2.1"), 443, verdict=Verdict.AUDIT)
    learned = learn((node, mixed), VERSIONS, Options(learn_audit=True), Subjects(), frozenset({mixed}))
    told = [one.reason for one in learned.judged if one.edge.client.workload == WEB]
    assert told == [Reason.EXPLICIT_DENY, Reason.EXPLICIT_DENY]


def test_a_deny_of_another_namespace_does_not_reach(tmp_path: Path) -> None:
    """Denies stay in their namespace."""
    job = edge(pod("job", namespace="batch"), pod("db"), 5432, verdict=Verdict.AUDIT)
    assert existing(tmp_path, DENY, job).denied == frozenset()


def test_names_of_files_may_be_hostile(tmp_path: Path) -> None:
    """Odd names and folders are only names; suffixes count in any case."""
    folder = tmp_path / "a\n\x1b[2J"
    folder.mkdir()
    found = existing(folder, DENY, AUDITED, name="\u202ex'; rm -rf.YAML")
    assert found.denied == {AUDITED}
