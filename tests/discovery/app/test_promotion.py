"""Tests of discovery.app.promotion: steps and their order."""

from __future__ import annotations

from discovery.app.promotion import check_steps, in_force, open_before, open_consequence, plan_steps
from discovery.model.edge import EvidenceClass
from discovery.model.workload import Labels
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.rules import ReadPolicy
from tests.discovery.learn.builders import edge, ping
from tests.discovery.verify.builders import platform, version

NOTHING = ReadSet(policies=(), diagnostics=())
ON = platform("kubernetes=1.31")
MONITORED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: NAME, namespace: shop}
spec:
  podSelector: {matchLabels: {LABEL, policy-discovery/enforce: "true"}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: FROM}}}]}]
"""
VERSIONS = (version("a"), version("b"), version("web", {"app": "web", "tier": "front"}), version("db"))


def policies(*given: tuple[str, str, str]) -> tuple[ReadPolicy, ...]:
    """Read policies of (name, label of the subject, allowed app)."""
    texts = {
        f"{name}.yaml": MONITORED.replace("NAME", name).replace("LABEL", label).replace("FROM", peer)
        for name, label, peer in given
    }
    return read_policies(texts).policies


def test_the_enforcing_form_of_a_policy_isolates() -> None:
    """Whatever made it inert is gone."""
    (policy,) = policies(("web", "app: web", "a"))
    assert (policy.opt_in, in_force(policy).opt_in, in_force(policy).isolates) == (True, False, True)


def test_policies_of_one_workload_are_one_step() -> None:
    """Applied one by one, the first would cut what the second allows."""
    both = policies(("one", "app: web", "a"), ("two", "tier: front", "b"), ("three", "app: db", "a"))
    edges = (edge("a", "web", 80), edge("b", "web", 80), edge("a", "db", 80))
    steps = plan_steps(both, VERSIONS, edges)
    assert [step.paths for step in steps] == [("three.yaml",), ("one.yaml", "two.yaml")]
    assert [step.records for step in steps] == [12, 24]
    assert check_steps(steps, ReadSet(policies=both, diagnostics=()), NOTHING, edges, VERSIONS, ON) == ()


def test_a_step_that_would_cut_is_told() -> None:
    """With the edge that it cuts."""
    one = policies(("one", "app: web", "a"))
    edges = (edge("a", "web", 80), edge("b", "web", 80))
    steps = plan_steps(one, VERSIONS, edges)
    ((step, found),) = check_steps(steps, ReadSet(policies=one, diagnostics=()), NOTHING, edges, VERSIONS, ON)
    assert (step.paths, found.edge) == (("one.yaml",), edges[1])


def test_a_policy_of_nothing_that_was_seen_is_a_step_of_its_own() -> None:
    """It decides nothing that is known, and so comes first."""
    steps = plan_steps(policies(("new", "app: new", "a"), ("db", "app: db", "a")), VERSIONS, (edge("a", "db", 80),))
    assert (steps[0].paths, steps[0].workloads, steps[0].records) == (("new.yaml",), (), 0)


def test_connections_without_an_opening_may_be_older_than_the_window() -> None:
    """TCP alone, of the workloads that are promoted alone."""
    steps = plan_steps(policies(("db", "app: db", "a")), VERSIONS, ())
    old = edge("a", "db", 80, evidence_class=EvidenceClass.FLAG)
    elsewhere = edge("a", "b", 80, evidence_class=EvidenceClass.FLAG)
    assert open_before((old, edge("a", "db", 81), elsewhere, ping("a", "db")), steps) == (old,)


def test_what_happens_to_them_is_the_platforms() -> None:
    """Cut by Cilium, kept until they reconnect by Calico, left open by the API."""
    words = [open_consequence(platform(spec)) for spec in ("cilium=1.18", "calico=3.30", "kubernetes=1.31")]
    assert [word.split()[0] for word in words] == ["cut", "goes", "undefined:"]
    assert open_consequence(platform("kubernetes=1.31;enforcer=cilium")) == words[0]


def test_labels_decide_which_policies_meet() -> None:
    """A workload with one of two labels belongs to one step alone."""
    two = policies(("one", "app: web", "a"), ("two", "tier: front", "b"))
    bare = (version("web"), version("other", {"tier": "front"}), version("a"), version("b"))
    assert len(plan_steps(two, bare, ())) == 2
    assert Labels.of({"tier": "front"}) == bare[1].labels
