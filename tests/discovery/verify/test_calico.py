"""Tests of discovery.verify.calico: kinds, scopes, subjects, types, order and tiers, by Calico's policy reference."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.calico import read, read_order
from discovery.verify.conditions import NAMESPACE_NAME, Operator, Requirement, Scope
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.rules import Action, CidrMatch, PodMatch, ReadPolicy, ReadRule
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import codes, document, version

API = "projectcalico.org/v3"
HEAD = {"apiVersion": API, "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}}
ALLOW = [{"action": "Allow"}]
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
KINDS = ("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy")
WORKLOADS = {
    "web": version("web", {"app": "web"}, account="web-sa"),
    "db": version("db", {"app": "db"}, account="db-sa"),
    "away": version(
        "away", {"app": "web"}, namespace="edge", account="web-sa",
        namespace_labels={NAMESPACE_NAME: "edge", "env": "prod"},
    ),
}  # fmt: skip

WHOLE = """
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: deployment-web, namespace: shop}
spec:
  stagedAction: Set
  tier: platform
  order: 900
  selector: app == 'web'
  serviceAccountSelector: projectcalico.org/name == 'web-sa'
  performanceHints: [AssumeNeededOnEveryNode]
  types: [Ingress, Egress]
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: app == 'proxy' && tier == 'edge'
        namespaceSelector: kubernetes.io/metadata.name == 'edge'
        serviceAccounts: {names: [proxy-sa]}
      destination: {ports: [8080, "9000:9010"]}
    - action: Log
  egress:
    - action: Deny
      protocol: ICMP
      icmp: {type: 8}
      destination: {nets: [192.0.2.0/24]}
"""


def manifest(kind: str = "NetworkPolicy", /, **spec: Any) -> dict[str, Any]:
    """Return a Calico policy for everything in its scope."""
    return {**HEAD, "kind": kind, "spec": {"selector": "all()", **spec}}


def read_well(kind: str = "NetworkPolicy", /, **spec: Any) -> tuple[ReadPolicy, ...]:
    """Read a policy; nothing may be reported."""
    policies, diagnostics = read(manifest(kind, **spec), "f:1")
    assert diagnostics == ()
    return policies


def test_a_whole_manifest() -> None:
    """Subject, staging, tier, order, peers, ports and ICMP of a manifest are read exactly."""
    policies, diagnostics = read(
        document(WHOLE),
        "f.yaml:1",
    )
    common: dict[str, Any] = {
        "dialect": Dialect.CALICO,
        "kind": "StagedNetworkPolicy",
        "name": "deployment-web",
        "namespace": "shop",
        "subject": PodMatch(namespace="shop", labels=Labels.of({"app": "web"}), service_account="web-sa"),
        "opt_in": False,
        "isolates": True,
        "staged": True,
        "source": "f.yaml:1",
        "needs": ("staged",),
        "tier": "platform",
        "order": 900.0,
    }
    proxy = PodMatch(namespace="edge", labels=Labels.of({"app": "proxy", "tier": "edge"}), service_account="proxy-sa")
    ping: dict[str, Any] = {"protocol": Protocol.ICMP, "icmp_types": (8,), "action": Action.DENY}
    assert diagnostics == ()
    assert set(policies) == {
        ReadPolicy(
            **common,
            direction=INGRESS,
            rules=(ReadRule(peers=(proxy,), protocol=Protocol.TCP, ports=PortSet(((8080, 8080), (9000, 9010)))),),
        ),
        ReadPolicy(
            **common,
            direction=EGRESS,
            rules=(ReadRule(peers=(CidrMatch(prefixes=("192.0.2.0/24",)),), **ping),),
        ),
    }


@pytest.mark.parametrize("api", [API, "crd.projectcalico.org/v1"])
@pytest.mark.parametrize(
    ("kind", "namespace", "staged"),
    [
        ("NetworkPolicy", "shop", False),
        ("StagedNetworkPolicy", "shop", True),
        ("GlobalNetworkPolicy", None, False),
        ("StagedGlobalNetworkPolicy", None, True),
    ],
)
def test_kinds(api: str, kind: str, namespace: str | None, staged: bool) -> None:
    """Global kinds are in no namespace, staged ones are never in force and need a release that knows them."""
    (policy,), diagnostics = read({**manifest(kind), "apiVersion": api}, "f:1")
    assert diagnostics == ()
    assert (policy.kind, policy.namespace, policy.subject) == (kind, namespace, PodMatch(namespace=namespace))
    assert (policy.staged, policy.needs) == (staged, ("staged",) if staged else ())


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, [INGRESS]),
        ({"ingress": [], "egress": []}, [INGRESS]),
        ({"egress": ALLOW}, [EGRESS]),
        ({"ingress": ALLOW}, [INGRESS]),
        ({"ingress": ALLOW, "egress": ALLOW}, [EGRESS, INGRESS]),
        ({"types": None, "egress": ALLOW}, [EGRESS]),
        ({"types": [], "egress": ALLOW}, [EGRESS]),
        ({"types": ["Egress"]}, [EGRESS]),
        ({"types": ["Ingress"]}, [INGRESS]),
        ({"types": ["Ingress", "Egress"]}, [EGRESS, INGRESS]),
        ({"types": ["Egress", "Ingress"], "ingress": ALLOW}, [EGRESS, INGRESS]),
    ],
)
@pytest.mark.parametrize("kind", ["NetworkPolicy", "GlobalNetworkPolicy"])
def test_types_default_as_calico_says(kind: str, spec: dict[str, object], directions: list[Direction]) -> None:
    """Missing types follow from the rules: ingress without egress rules, egress with those alone."""
    assert [policy.direction for policy in read_well(kind, **spec)] == directions


@pytest.mark.parametrize(("types", "rules"), [(["Ingress"], {"egress": ALLOW}), (["Egress"], {"ingress": ALLOW})])
def test_rules_of_an_undeclared_type_do_nothing_and_are_reported(types: list[str], rules: dict[str, object]) -> None:
    """Rules of a direction that types leaves out isolate nothing and give a warning."""
    policies, diagnostics = read(manifest(types=types, **rules), "f:1")
    assert [policy.direction.value for policy in policies] == [types[0].lower()]
    assert codes(diagnostics) == ["no-effect"]


def test_a_type_without_rules_denies_all() -> None:
    """It isolates and no rule allows."""
    (policy,) = read_well(types=["Egress"])
    assert (policy.isolates, policy.rules, policy.complete) == (True, (), True)


@pytest.mark.parametrize(
    ("kind", "spec", "who"),
    [
        ("NetworkPolicy", {}, {"web", "db"}),
        ("NetworkPolicy", {"selector": None}, {"web", "db"}),
        ("NetworkPolicy", {"selector": ""}, {"web", "db"}),
        ("NetworkPolicy", {"selector": "app == 'web'"}, {"web"}),
        ("NetworkPolicy", {"selector": "app != 'web'"}, {"db"}),
        ("NetworkPolicy", {"selector": "app in {'web', 'x'} || has(tier)"}, {"web"}),
        ("NetworkPolicy", {"selector": "projectcalico.org/namespace == 'edge'"}, set()),
        ("NetworkPolicy", {"selector": "projectcalico.org/orchestrator == 'k8s'"}, {"web", "db"}),
        ("NetworkPolicy", {"serviceAccountSelector": "projectcalico.org/name == 'db-sa'"}, {"db"}),
        ("NetworkPolicy", {"serviceAccountSelector": "projectcalico.org/name starts with 'web'"}, {"web"}),
        ("NetworkPolicy", {"selector": "projectcalico.org/serviceaccount == 'db-sa'"}, {"db"}),
        ("NetworkPolicy", {"selector": "app == 'web'", "serviceAccountSelector": "projectcalico.org/name == 'x'"},
         set()),
        ("GlobalNetworkPolicy", {}, {"web", "db", "away"}),
        ("GlobalNetworkPolicy", {"selector": "app == 'web'"}, {"web", "away"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "env == 'prod'"}, {"away"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "projectcalico.org/name == 'shop'"}, {"web", "db"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "kubernetes.io/metadata.name != 'shop'"}, {"away"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "all()", "selector": "app == 'web'"}, {"web", "away"}),
        ("GlobalNetworkPolicy", {"selector": "projectcalico.org/namespace in {'edge'}"}, {"away"}),
        ("GlobalNetworkPolicy", {"selector": "pcns.env == 'prod'"}, {"away"}),
        ("GlobalNetworkPolicy", {"serviceAccountSelector": "projectcalico.org/name == 'web-sa'"}, {"web", "away"}),
        ("GlobalNetworkPolicy", {"namespaceSelector": "env == 'prod'", "selector": "app == 'db'"}, set()),
    ],
)  # fmt: skip
def test_subjects(kind: str, spec: dict[str, object], who: set[str]) -> None:
    """All selectors must hold, in the policy's namespace or, for global kinds, everywhere."""
    (policy,) = read_well(kind, **spec)
    truths = {name: policy.subject.selects(one) for name, one in WORKLOADS.items()}
    assert Truth.MAYBE not in truths.values()
    assert {name for name, truth in truths.items() if truth is Truth.YES} == who


def test_labels_of_service_accounts_are_not_known() -> None:
    """No flow has them, so a subject by one may be meant."""
    (policy,) = read_well(serviceAccountSelector="team == 'x'")
    assert policy.subject.where == (Requirement(scope=Scope.ACCOUNT, key="team", operator=Operator.IN, values=("x",)),)
    assert policy.subject.selects(WORKLOADS["web"]) is Truth.MAYBE


def test_the_opt_in_label_is_no_part_of_the_subject() -> None:
    """A canary's pair is noted and left out."""
    (policy,) = read_well(selector="app == 'web' && policy-discovery/enforce == 'true'")
    assert (policy.opt_in, policy.subject.labels) == (True, Labels.of({"app": "web"}))


@pytest.mark.parametrize(
    ("spec", "tier", "order"),
    [
        ({}, "default", math.inf),
        ({"tier": "", "order": None}, "default", math.inf),
        ({"tier": "default", "order": 10}, "default", 10),
        ({"tier": "platform", "order": -0.5}, "platform", -0.5),
        ({"order": 0}, "default", 0),
    ],
)
def test_tiers_and_orders(spec: dict[str, object], tier: str, order: float) -> None:
    """The tier is ``default`` unless it is named; a missing order comes last."""
    (policy,) = read_well(**spec)
    assert (policy.tier, policy.order) == (tier, order)


@pytest.mark.parametrize(("value", "order"), [(None, math.inf), (3, 3.0), (-2.5, -2.5), (math.inf, math.inf)])
def test_orders(value: object, order: float) -> None:
    """Any number is one."""
    assert read_order(value) == order


@pytest.mark.parametrize("value", ["1", True, math.nan, [], {}])
def test_what_is_no_order(value: object) -> None:
    """Anything else is refused."""
    with pytest.raises(NotEvaluatedError, match=r"^spec\.order"):
        read_order(value)


def test_an_order_beyond_all_numbers_is_refused() -> None:
    """A YAML integer has as many digits as it likes; no exception comes out."""
    assert codes(read(manifest(order=10**400), "f:1")[1]) == ["not-evaluated"]


@pytest.mark.parametrize("action", ["Learn", "Ignore"])
@pytest.mark.parametrize("kind", ["StagedNetworkPolicy", "StagedGlobalNetworkPolicy"])
def test_other_staged_actions_propose_nothing(kind: str, action: str) -> None:
    """Only Set is a proposal to enforce; of the others it is said that they have no effect."""
    policies, diagnostics = read(manifest(kind, stagedAction=action), "f:1")
    assert (policies, codes(diagnostics)) == ((), ["no-effect"])
    assert "spec.stagedAction" in diagnostics[0].message


def test_a_staged_action_is_set_by_default() -> None:
    """Missing is Set."""
    assert read_well("StagedNetworkPolicy") == read_well("StagedNetworkPolicy", stagedAction="Set")


@pytest.mark.parametrize("field", ["doNotTrack", "preDNAT"])
def test_policies_of_host_traffic_rule_no_pod(field: str) -> None:
    """They act on host endpoints before tracking or translation: said, and no policy of a pod."""
    policies, diagnostics = read(manifest("GlobalNetworkPolicy", applyOnForward=True, **{field: True}), "f:1")
    assert (policies, codes(diagnostics)) == ((), ["not-evaluated"])
    assert f"spec.{field}" in diagnostics[0].message


def test_apply_on_forward_alone_changes_nothing_for_pods() -> None:
    """It extends a policy to forwarded traffic of hosts; false flags are none."""
    plain = read_well("GlobalNetworkPolicy")
    assert read_well("GlobalNetworkPolicy", applyOnForward=True, doNotTrack=False, preDNAT=False) == plain


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"tier": ["security"]}, "spec.tier"),
        ({"tier": 3}, "spec.tier"),
        ({"order": "900"}, "spec.order"),
        ({"order": True}, "spec.order"),
        ({"selector": 3}, "spec.selector"),
        ({"selector": "has(app"}, "spec.selector"),
        ({"selector": "global()"}, "spec.selector"),
        ({"selector": "projectcalico.org/name == 'x'"}, "spec.selector"),
        ({"serviceAccountSelector": ["x"]}, "spec.serviceAccountSelector"),
        ({"types": ["Ingress", "Ingress"]}, "spec.types"),
        ({"types": ["Both"]}, "spec.types"),
        ({"types": ["ingress"]}, "spec.types"),
        ({"types": [["Ingress"]]}, "spec.types"),
        ({"types": "Ingress"}, "spec.types"),
        ({"types": {}}, "spec.types"),
        ({"doNotTrack": True}, "spec"),
        ({"preDNAT": True}, "spec"),
        ({"applyOnForward": True}, "spec"),
        ({"namespaceSelector": "all()"}, "spec"),
        ({"stagedAction": "Set"}, "spec"),
        ({"unknown": 1}, "spec"),
    ],
)
def test_specs_that_cannot_be_read_may_do_anything(spec: dict[str, object], where: str) -> None:
    """Unreadable tiers, orders, types and subjects make both directions of the namespace unknown."""
    policies, diagnostics = read(manifest(**spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"{where}: ")
    assert [(p.subject, p.direction, p.anywhere, p.unread) for p in policies] == [
        (PodMatch(namespace="shop"), direction, True, frozenset(Action)) for direction in Direction
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "where"),
    [
        ("GlobalNetworkPolicy", {"namespaceSelector": "global()"}, "spec.namespaceSelector"),
        ("GlobalNetworkPolicy", {"namespaceSelector": 1}, "spec.namespaceSelector"),
        ("StagedNetworkPolicy", {"stagedAction": "Delete"}, "spec.stagedAction"),
        ("StagedNetworkPolicy", {"stagedAction": "Replace"}, "spec.stagedAction"),
        ("StagedNetworkPolicy", {"stagedAction": ["Set"]}, "spec.stagedAction"),
        ("StagedGlobalNetworkPolicy", {"stagedAction": 1}, "spec.stagedAction"),
    ],
)
def test_what_is_malformed_in_other_kinds(kind: str, spec: dict[str, object], where: str) -> None:
    """Located as well; the stand-in is as wide as the kind and as staged."""
    policies, diagnostics = read(manifest(kind, **spec), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(f"{where}: ")
    namespace = None if "Global" in kind else "shop"
    assert {(p.subject, p.anywhere, p.staged) for p in policies} == {
        (PodMatch(namespace=namespace), True, kind.startswith("Staged"))
    }


@pytest.mark.parametrize("rule", [{}, {"action": "Reject"}, {"action": "Allow", "x": 1}, None, 3, [], "Allow"])
def test_a_rule_that_cannot_be_read_makes_its_direction_unknown(rule: object) -> None:
    """Any action may be meant; the other rules and the other direction are read."""
    policies, diagnostics = read(manifest(ingress=[rule, {"action": "Deny"}], egress=ALLOW), "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert "spec.ingress[0]" in diagnostics[0].message
    assert [(p.direction, p.unread, len(p.rules)) for p in policies] == [
        (EGRESS, frozenset(), 5),
        (INGRESS, frozenset(Action), 5),
    ]


@pytest.mark.parametrize("value", ["x", 3, {"action": "Allow"}])
def test_rules_are_a_list(value: object) -> None:
    """Anything else is a located finding and leaves the direction unknown."""
    for types, directions in ({"types": ["Ingress"]}, 1), ({}, 2):  # without types any direction may be meant
        policies, diagnostics = read(manifest(ingress=value, **types), "f:1")
        assert codes(diagnostics) == ["not-evaluated"]
        assert diagnostics[0].message.startswith("spec.ingress: ")
        assert [policy.complete for policy in policies] == [False] * directions


@pytest.mark.parametrize("value", [{}, "", 0, False])
def test_egress_rules_are_a_list_even_when_empty(value: object) -> None:
    """Malformed content is a finding, also where it is falsy."""
    assert codes(read(manifest(egress=value), "f:1")[1]) == ["not-evaluated"]


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "Allow", "protocol": "TCP", "source": {"ports": [1]}},
        {"action": "Allow", "protocol": "TCP", "http": {"methods": ["GET"]}},
        {"action": "Deny", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}},
        {"action": "Allow", "source": {"services": {"name": "x"}}},
    ],
)
def test_what_is_partly_evaluated_is_a_warning(rule: dict[str, object]) -> None:
    """The rule is there and the policy complete; the warning names the rule."""
    (policy,), diagnostics = read(manifest(ingress=[rule]), "f:1")
    assert codes(diagnostics) == ["partly-evaluated"]
    assert diagnostics[0].message.startswith("spec.ingress[0]: ")
    assert policy.complete
    assert policy.rules


@pytest.mark.parametrize(
    "rule",
    [
        {"ipVersion": 4, "source": {"services": {"name": "x"}}},
        {"source": {"services": {"name": "x"}, "notNets": ["10.0.0.0/8"]}},
    ],
)
def test_unclear_peers_inside_of_others_are_a_warning_too(rule: dict[str, object]) -> None:
    """What can never be told must be said, wherever it is in the rule."""
    _, diagnostics = read(manifest(ingress=[{"action": "Allow", **rule}]), "f:1")
    assert codes(diagnostics) == ["partly-evaluated"]


@pytest.mark.parametrize("kind", ["Tier", "NetworkSet", "GlobalNetworkSet"])
def test_what_policies_refer_to_is_read_elsewhere(kind: str) -> None:
    """Tiers and sets are no policies, and nothing is said about them here."""
    assert read({**HEAD, "kind": kind}, "f:1") == ((), ())


@pytest.mark.parametrize(
    ("api", "kind", "staged"),
    [
        ("projectcalico.org/v4", "NetworkPolicy", [False, False]),
        ("projectcalico.org/v4", "StagedGlobalNetworkPolicy", [True, True]),
        (API, "Unknown", []),
    ],
)
def test_other_versions_and_kinds_are_reported(api: str, kind: str, staged: list[bool]) -> None:
    """A policy of another version stands for anything; other kinds are only reported."""
    policies, diagnostics = read({**HEAD, "apiVersion": api, "kind": kind}, "f:1")
    assert codes(diagnostics) == ["not-evaluated"]
    assert [policy.staged for policy in policies] == staged
    assert not any(policy.complete for policy in policies)


@pytest.mark.parametrize("metadata", [None, {}, {"name": 3}, {"name": "p", "namespace": 3}, []])
def test_unusable_metadata_is_refused(metadata: object) -> None:
    """A manifest that no API server would accept gives an error and no policy."""
    policies, diagnostics = read({**manifest(), "metadata": metadata}, "f:1")
    assert (policies, codes(diagnostics)) == ((), ["not-evaluated"])


def test_a_missing_namespace_is_a_warning_for_namespaced_kinds_alone() -> None:
    """It lands in default there; a global policy needs none."""
    policies, diagnostics = read({**manifest(), "metadata": {"name": "p"}}, "f:1")
    assert ([p.namespace for p in policies], codes(diagnostics)) == (["default"], ["namespace-assumed"])
    assert read({**manifest("GlobalNetworkPolicy"), "metadata": {"name": "p"}}, "f:1")[1] == ()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["Allow", "TCP", "all()", "10.0.0.0/8", "Ingress", "1:2", 4]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("tier", "order", "selector", "types", "ingress", "egress", "namespaceSelector", "stagedAction", "doNotTrack")
END = st.dictionaries(
    st.sampled_from(
        ["nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts", "services", "ports",
         "notPorts"]
    ),
    JSON,
    max_size=3,
)  # fmt: skip
RULE = st.fixed_dictionaries(
    {"action": st.sampled_from(["Allow", "Deny", "Pass", "Log"]) | JSON},
    optional={
        "protocol": st.sampled_from(["TCP", "ICMP", 6]) | JSON,
        "notProtocol": JSON,
        "icmp": JSON,
        "notICMP": JSON,
        "source": END | JSON,
        "destination": END | JSON,
        "http": JSON,
        "ipVersion": st.sampled_from([4, 6, "4", 4.0]) | st.none() | st.booleans() | st.text(max_size=3),
    },
)


@given(
    st.sampled_from(KINDS),
    JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | st.builds(lambda r: {"ingress": [r]}, RULE),
    JSON,
)
def test_random_content_never_raises(kind: str, spec: object, metadata: object) -> None:
    """Whatever a manifest holds, it is read or reported, at its place."""
    for given_ in ({**HEAD, "kind": kind, "spec": spec}, {**HEAD, "kind": kind, "metadata": metadata, "spec": {}}):
        _, diagnostics = read(given_, "f:1")
        assert {one.subject for one in diagnostics} <= {"f:1"}
        assert all(one.message.isprintable() for one in diagnostics)
