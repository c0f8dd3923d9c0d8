"""Tests of discovery.verify.evaluate."""

from __future__ import annotations

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.workload import Entity
from discovery.verify.decisions import Decision, Outcome, Probe
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator, decide
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from tests.discovery.verify.builders import platform, pod, version

K8S = "kubernetes=1.31"
K8S_CALICO = "kubernetes=1.31;enforcer=calico"
K8S_CILIUM = "kubernetes=1.31;enforcer=cilium"
ALLOWED, DENIED, UNKNOWN = Outcome.ALLOWED, Outcome.DENIED, Outcome.UNKNOWN


def netpol(spec: str, metadata: str = "{name: p, namespace: shop}") -> str:
    """Return a NetworkPolicy with a flow-style spec."""
    return f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {metadata}\nspec: {spec}\n"


def cnp(spec: str) -> str:
    """Return a CiliumNetworkPolicy with a flow-style spec."""
    return (
        f"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"
    )


def calico_policy(spec: str, kind: str = "NetworkPolicy") -> str:
    """Return a Calico policy with a flow-style spec."""
    return f"apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"


def policies(*texts: str) -> tuple[ReadPolicy, ...]:
    """Read policies."""
    return read_policies({f"{number}.yaml": content for number, content in enumerate(texts)}).policies


def ask(
    texts: tuple[str, ...] | str,
    client: End,
    server: End,
    *,
    port: int | None = 80,
    protocol: Protocol = Protocol.TCP,
    icmp_type: int | None = None,
    on: str = K8S,
    as_enforced: bool = False,
) -> Decision:
    """Decide one probe."""
    found = policies(*((texts,) if isinstance(texts, str) else texts))
    probe = Probe(client=client, server=server, protocol=protocol, port=port, icmp_type=icmp_type)
    return decide(found, probe, platform(on), as_enforced=as_enforced)


IN_80 = netpol(
    "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], "
    "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]}"
)
OUT_DB = netpol(
    "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], "
    "egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]}"
)


def test_without_policies_everything_passes() -> None:
    """No isolation, no denial; the decision says why."""
    decision = ask((), pod("a"), pod("web"))
    assert (decision.outcome, decision.egress.reason, decision.ingress.reason) == (
        ALLOWED,
        "not isolated",
        "not isolated",
    )


def test_an_isolated_pod_takes_the_union_of_its_allows() -> None:
    """The allowed peer and port pass, with the rule that says so; everything else is denied."""
    allowed = ask(IN_80, pod("a"), pod("web"))
    assert allowed.outcome is ALLOWED
    ((policy, rule),) = allowed.ingress.matching
    assert (policy.name, rule.protocol, allowed.ingress.isolating) == ("p", Protocol.TCP, (policy,))
    assert ask(IN_80, pod("b"), pod("web")).outcome is DENIED
    assert ask(IN_80, pod("a"), pod("web"), port=81).outcome is DENIED
    assert ask(IN_80, pod("a"), pod("web"), protocol=Protocol.UDP).outcome is DENIED
    assert ask(IN_80, pod("a", namespace="other"), pod("web")).outcome is DENIED
    second = IN_80.replace("name: p", "name: q").replace("app: a}", "app: b}")
    assert ask((IN_80, second), pod("b"), pod("web")).outcome is ALLOWED


def test_both_sides_must_allow() -> None:
    """Ingress allowing does not help when the client's egress does not."""
    decision = ask((IN_80, OUT_DB), pod("a"), pod("web"))
    assert (decision.egress.outcome, decision.ingress.outcome, decision.outcome) == (DENIED, ALLOWED, DENIED)


def test_other_pods_and_directions_stay_open() -> None:
    """Isolation is per pod and per direction."""
    assert ask(IN_80, pod("web"), pod("db")).outcome is ALLOWED
    assert ask(IN_80, pod("b"), pod("db")).outcome is ALLOWED


@pytest.mark.parametrize("on", [K8S, K8S_CALICO, K8S_CILIUM, "calico=3.30", "cilium=1.18"])
def test_the_own_node_always_reaches_its_pods(on: str) -> None:
    """Ingress from the pod's own host passes on every platform; another node's does not."""
    deny = netpol("{podSelector: {}, policyTypes: [Ingress]}")
    assert ask(deny, EntityEnd(entity=Entity.HOST), pod("web"), on=on).outcome is ALLOWED
    assert ask(deny, EntityEnd(entity=Entity.REMOTE_NODE), pod("web"), on=on).outcome is DENIED


def test_the_own_node_is_enforced_on_egress() -> None:
    """A pod's egress to its own host is ruled like any other."""
    deny = cnp("{endpointSelector: {}, egress: [{}]}")
    assert ask(deny, pod("web"), EntityEnd(entity=Entity.HOST), on="cilium=1.18").outcome is DENIED


BLOCK = netpol(
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]}"
)


@pytest.mark.parametrize(
    ("server", "answers"),
    [
        (AddressEnd(address="10.1.2.3"), {K8S: ALLOWED, K8S_CALICO: ALLOWED, K8S_CILIUM: ALLOWED}),
        (AddressEnd(address="192.0.2.1"), {K8S: DENIED, K8S_CALICO: DENIED, K8S_CILIUM: DENIED}),
        (pod("db", "10.1.2.3"), {K8S: UNKNOWN, K8S_CALICO: ALLOWED, K8S_CILIUM: DENIED}),
        (pod("db", "192.0.2.1"), {K8S: DENIED, K8S_CALICO: DENIED, K8S_CILIUM: DENIED}),
        (pod("db"), {K8S: UNKNOWN, K8S_CALICO: UNKNOWN, K8S_CILIUM: DENIED}),
        (
            EntityEnd(entity=Entity.REMOTE_NODE, address="10.1.2.3"),
            {K8S: UNKNOWN, K8S_CALICO: ALLOWED, K8S_CILIUM: DENIED, "cilium=1.18": DENIED},
        ),
        (
            EntityEnd(entity=Entity.KUBE_APISERVER, address="10.1.2.3"),
            {K8S: UNKNOWN, K8S_CALICO: ALLOWED, K8S_CILIUM: UNKNOWN},
        ),
        (
            EntityEnd(entity=Entity.REMOTE_NODE, address="10.1.2.3"),
            {"cilium=1.18;policy-cidr-match-mode=nodes": ALLOWED},
        ),
        (
            EntityEnd(entity=Entity.REMOTE_NODE, address="192.0.2.1"),
            {"cilium=1.18;policy-cidr-match-mode=nodes": DENIED},
        ),
        (EntityEnd(entity=Entity.WORLD), {K8S: UNKNOWN, "cilium=1.18": UNKNOWN}),
        (EntityEnd(entity=Entity.WORLD, address="10.1.2.3"), {K8S: ALLOWED, "cilium=1.18": ALLOWED}),
        (EntityEnd(entity=Entity.HEALTH, address="10.1.2.3"), {K8S_CILIUM: DENIED}),
        (AddressEnd(address="10.0.0.0/9"), {K8S: ALLOWED}),
        (AddressEnd(address="0.0.0.0/0"), {K8S: UNKNOWN}),
        (AddressEnd(address="10.1.2.3", resolved=False), {K8S: UNKNOWN}),
    ],
)
def test_prefixes_by_platform(server: End, answers: dict[str, Outcome]) -> None:
    """Calico matches any address, Cilium the outside alone, and the API text leaves pods and nodes open."""
    for on, outcome in answers.items():
        assert ask(BLOCK, pod("web"), server, on=on).outcome is outcome, on


ENTITIES = cnp(
    "{endpointSelector: {}, ingress: [{fromEntities: [remote-node]}, "
    "{fromEntities: [world], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}"
)


@pytest.mark.parametrize(
    ("client", "port", "outcome"),
    [
        (EntityEnd(entity=Entity.REMOTE_NODE), 1, ALLOWED),
        (EntityEnd(entity=Entity.WORLD), 80, ALLOWED),
        (AddressEnd(address="192.0.2.1"), 80, ALLOWED),
        (AddressEnd(address="192.0.2.1"), 81, DENIED),
        (EntityEnd(entity=Entity.KUBE_APISERVER), 80, UNKNOWN),
        (EntityEnd(entity=Entity.INGRESS), 80, DENIED),
        (pod("db"), 80, DENIED),
    ],
)
def test_entities(client: End, port: int, outcome: Outcome) -> None:
    """An entity rule matches its entity; the API server may also be a node or an outside address."""
    assert ask(ENTITIES, client, pod("web"), port=port, on="cilium=1.18").outcome is outcome


def test_icmp_by_platform() -> None:
    """A port rule never covers ICMP, an open rule does, and plain API text leaves ICMP open."""
    open_rule = netpol("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}")
    for on, limited, wide in ((K8S, UNKNOWN, UNKNOWN), (K8S_CALICO, DENIED, ALLOWED), (K8S_CILIUM, DENIED, ALLOWED)):
        for content, outcome in ((IN_80, limited), (open_rule, wide)):
            decision = ask(content, pod("a"), pod("web"), protocol=Protocol.ICMP, port=None, icmp_type=8, on=on)
            assert decision.outcome is outcome
    ping = cnp("{endpointSelector: {}, ingress: [{icmps: [{fields: [{family: IPv4, type: 8}]}]}]}")
    for icmp_type, outcome in ((8, ALLOWED), (3, DENIED), (None, UNKNOWN)):
        decision = ask(
            ping, pod("a"), pod("web"), protocol=Protocol.ICMP, port=None, icmp_type=icmp_type, on="cilium=1.18"
        )
        assert decision.outcome is outcome


def test_every_port_needs_a_rule_for_every_port() -> None:
    """A probe without a port is allowed only by a rule for all ports."""
    assert ask(IN_80, pod("a"), pod("web"), port=None).outcome is UNKNOWN
    wide = netpol("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}")
    assert ask(wide, pod("a"), pod("web"), port=None).outcome is ALLOWED


STAGED = calico_policy("{stagedAction: Set, selector: all(), types: [Ingress]}", "StagedNetworkPolicy")
OPT_IN = netpol("{podSelector: {matchLabels: {policy-discovery/enforce: 'true'}}, policyTypes: [Ingress]}")
SOFT = cnp(
    "{endpointSelector: {}, enableDefaultDeny: {ingress: false, egress: false}, ingress: [{fromEntities: [world]}]}"
)


@pytest.mark.parametrize(("content", "on"), [(STAGED, "calico=3.30"), (OPT_IN, K8S), (SOFT, "cilium=1.18")])
def test_monitor_forms_decide_nothing_unless_taken_as_enforced(content: str, on: str) -> None:
    """Staged, opt-in and enableDefaultDeny false change nothing now, and deny when taken as enforced."""
    assert ask(content, pod("a"), pod("web"), on=on).outcome is ALLOWED
    assert ask(content, pod("a"), pod("web"), on=on, as_enforced=True).outcome is DENIED


def test_a_canary_is_governed_by_the_opt_in_form() -> None:
    """A pod that carries the opt-in label is isolated by it, and only that pod."""
    canary = PodEnd(version=version("web", {"app": "web", "policy-discovery/enforce": "true"}))
    assert ask(OPT_IN, pod("a"), canary).outcome is DENIED
    assert ask(OPT_IN, pod("a"), pod("web")).outcome is ALLOWED


def test_soft_allows_count_where_another_policy_isolates() -> None:
    """EnableDefaultDeny false adds its allows to an isolated endpoint: it is inert only on open ones."""
    deny = cnp("{endpointSelector: {}, ingress: [{}]}")
    outside = AddressEnd(address="192.0.2.1")
    assert ask(deny, outside, pod("web"), on="cilium=1.18").outcome is DENIED
    assert ask((deny, SOFT), outside, pod("web"), on="cilium=1.18").outcome is ALLOWED


def test_a_range_on_a_platform_that_ignores_it_is_unknown() -> None:
    """Where endPort is ignored, nobody knows what the policy does."""
    ranged = cnp("{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80', endPort: 90, protocol: TCP}]}]}]}")
    assert ask(ranged, pod("a"), pod("web"), on="cilium=1.15").outcome is UNKNOWN
    assert ask(ranged, pod("a"), pod("web"), on="cilium=1.16").outcome is ALLOWED


@pytest.mark.parametrize(
    "content",
    [
        calico_policy("{selector: all(), ingress: [{action: Block}]}"),
        calico_policy("{selector: has(app}"),
        calico_policy("{tier: security, selector: all()}"),
    ],
)
def test_what_was_not_evaluated_is_unknown(content: str) -> None:
    """A manifest outside the subset never gives an answer for the pods that it may govern."""
    assert ask(content, pod("a"), pod("web"), on="calico=3.30").outcome is UNKNOWN
    assert ask(content, pod("a", namespace="x"), pod("web", namespace="y"), on="calico=3.30").outcome is ALLOWED


def test_cluster_wide_policies_make_every_pod_unknown() -> None:
    """A kind that may select anything leaves nothing known."""
    wide = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: x}\nspec: {}\n"
    assert ask(wide, pod("a"), pod("web"), on="cilium=1.18").outcome is UNKNOWN


def test_attributes_nobody_reported_are_unknown() -> None:
    """An unknown service account or unknown namespace labels may match, a known other one does not."""
    by_account = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: "
        "[{matchLabels: {'k8s:io.cilium.k8s.policy.serviceaccount': sa}}]}]}"
    )
    for account, outcome in (("sa", ALLOWED), ("other", DENIED), (None, UNKNOWN)):
        client = PodEnd(version=version("a", account=account))
        assert ask(by_account, client, pod("web"), on="cilium=1.18").outcome is outcome
    by_label = netpol("{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}")
    prod = PodEnd(version=version("a", namespace_labels={"env": "prod"}))
    assert ask(by_label, prod, pod("web")).outcome is ALLOWED
    assert ask(by_label, pod("a"), pod("web")).outcome is DENIED


def test_a_subject_that_may_not_be_selected_is_unknown() -> None:
    """When it is not known whether a policy governs a pod, its answer is not known either."""
    content = calico_policy(
        "{selector: all(), serviceAccountSelector: \"projectcalico.org/name == 'sa'\", types: [Ingress]}"
    )
    server = PodEnd(version=version("web", account=None))
    assert ask(content, pod("a"), server, on="calico=3.30").outcome is UNKNOWN


def test_selectors_and_other_clusters() -> None:
    """Peers are local to their cluster; older Cilium in a mesh may read them as any cluster."""
    far = PodEnd(version=version("a", cluster="c2"))
    local = cnp("{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {'k8s:app': a}}]}]}")
    named = cnp(
        "{endpointSelector: {}, ingress: [{fromEndpoints: "
        "[{matchLabels: {'k8s:app': a, 'k8s:io.cilium.k8s.policy.cluster': c2}}]}]}"
    )
    assert ask(IN_80, far, pod("web")).outcome is DENIED
    assert ask(local, far, pod("web"), on="cilium=1.18").outcome is UNKNOWN
    assert ask(local, far, pod("web"), on="cilium=1.19").outcome is DENIED
    assert ask(named, far, pod("web"), on="cilium=1.18").outcome is ALLOWED
    assert ask(named, pod("a"), pod("web"), on="cilium=1.18").outcome is DENIED


def test_pods_without_labels_of_their_own() -> None:
    """Cilium's special pod identities carry no labels; elsewhere they are pods that may match."""
    unmanaged = EntityEnd(entity=Entity.UNMANAGED)
    assert ask(IN_80, unmanaged, pod("web"), on=K8S_CILIUM).outcome is DENIED
    assert ask(IN_80, unmanaged, pod("web"), on=K8S_CALICO).outcome is UNKNOWN
    assert ask(IN_80, EntityEnd(entity=Entity.WORLD), pod("web"), on=K8S_CALICO).outcome is DENIED


def test_dialects_that_nobody_enforces_are_inert() -> None:
    """A Cilium policy does nothing where Calico enforces, and nobody knows what under plain API text."""
    deny = cnp("{endpointSelector: {}, ingress: [{}]}")
    assert ask(deny, pod("a"), pod("web"), on="calico=3.30").outcome is ALLOWED
    assert ask(deny, pod("a"), pod("web"), on=K8S).outcome is UNKNOWN
    assert ask(deny, pod("a"), pod("web"), on=K8S_CILIUM).outcome is DENIED


def test_dialects_of_one_enforcer_are_a_union() -> None:
    """Kubernetes and Calico policies of tier default add up."""
    deny = calico_policy("{selector: all(), types: [Ingress]}")
    assert ask(deny, pod("a"), pod("web"), on="calico=3.30").outcome is DENIED
    assert ask((deny, IN_80), pod("a"), pod("web"), on="calico=3.30").outcome is ALLOWED


def test_the_evaluator_is_reusable() -> None:
    """One evaluator answers many probes, and answers the same twice."""
    evaluator = Evaluator(policies(IN_80, BLOCK), platform(K8S_CALICO))
    probes = [
        Probe(client=pod("a", "10.0.0.1"), server=end, protocol=Protocol.TCP, port=80)
        for end in (pod("web", "10.0.0.2"), AddressEnd(address="10.9.9.9"), AddressEnd(address="2001:db8::1"))
    ]
    first = [evaluator.decide(probe) for probe in probes]
    assert [decision.outcome for decision in first] == [ALLOWED, ALLOWED, DENIED]
    assert [evaluator.decide(probe) for probe in probes] == first
    assert first[0].ingress.direction is Direction.INGRESS


def test_an_address_that_is_none_raises() -> None:
    """A probe with a broken address is the caller's mistake."""
    with pytest.raises(ValueError, match="nonsense"):
        ask(BLOCK, pod("web"), AddressEnd(address="nonsense"))


def test_settings_of_cilium_decide_before_policies() -> None:
    """With enable-policy never nothing is denied, with always what no policy allows; own nodes by setting."""
    deny = cnp("{endpointSelector: {}, ingress: [{}]}")
    allow = cnp("{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEntities: [world]}]}")
    outside = AddressEnd(address="192.0.2.1")
    for setting, expected in (("default", ALLOWED), ("always", DENIED), ("never", ALLOWED)):
        assert ask((), outside, pod("web"), on=f"cilium=1.18;enable-policy={setting}").outcome is expected
    assert ask(allow, outside, pod("web"), on="cilium=1.18;enable-policy=always").outcome is ALLOWED
    assert ask(deny, outside, pod("web"), on="cilium=1.18;enable-policy=never").outcome is ALLOWED
    node = EntityEnd(entity=Entity.HOST)
    assert ask(deny, node, pod("web"), on="cilium=1.18;allow-localhost=always").outcome is ALLOWED
    assert ask(deny, node, pod("web"), on="cilium=1.18;allow-localhost=policy").outcome is DENIED


def test_what_is_not_isolated_is_nobodys_denial_when_policies_are_tried() -> None:
    """As enforced, policies answer for themselves: enable-policy=always is not theirs."""
    evaluator = Evaluator((), platform("cilium=1.18;enable-policy=always"), as_enforced=True)
    probe = Probe(client=AddressEnd(address="192.0.2.1"), server=pod("web"), protocol=Protocol.TCP, port=80)
    assert evaluator.decide(probe).outcome is ALLOWED
    evaluator = Evaluator((), platform("calico=3.30;default-endpoint-to-host-action=drop"), as_enforced=True)
    probe = Probe(client=pod("web"), server=EntityEnd(entity=Entity.HOST), protocol=Protocol.TCP, port=80)
    assert evaluator.decide(probe).outcome is ALLOWED


@pytest.mark.parametrize(
    ("mode", "node", "client"),
    [("none", DENIED, DENIED), ("nodes", ALLOWED, DENIED), ("pods", DENIED, ALLOWED), ("nodes+pods", ALLOWED, ALLOWED)],
)
def test_what_cidr_rules_of_cilium_match(mode: str, node: Outcome, client: Outcome) -> None:
    """The outside alone, and by setting nodes or pods."""
    rule = cnp("{endpointSelector: {}, ingress: [{fromCIDR: [10.0.0.0/8]}]}")
    on = f"cilium=1.20;policy-cidr-match-mode={mode}"
    assert ask(rule, EntityEnd(entity=Entity.REMOTE_NODE, address="10.0.0.1"), pod("web"), on=on).outcome is node
    assert ask(rule, pod("a", "10.0.0.2"), pod("web"), on=on).outcome is client
    assert ask(rule, AddressEnd(address="10.0.0.3"), pod("web"), on=on).outcome is ALLOWED


def test_the_node_of_a_pod_may_drop_what_it_sends() -> None:
    """With defaultEndpointToHostAction Drop no policy helps; other nodes are not concerned."""
    node, other = (
        EntityEnd(entity=Entity.HOST, address="10.0.0.1"),
        EntityEnd(entity=Entity.REMOTE_NODE, address="10.0.0.2"),
    )
    for setting, expected in (("unknown", ALLOWED), ("accept", ALLOWED), ("return", ALLOWED), ("drop", DENIED)):
        on = f"calico=3.30;default-endpoint-to-host-action={setting}"
        assert ask((), pod("web"), node, on=on).outcome is expected
        assert ask((), pod("web"), other, on=on).outcome is ALLOWED


def test_policies_of_one_tier_are_a_union_and_others_are_unknown() -> None:
    """Which tier is ours is a setting; what another one does depends on its order and its default action."""
    content = calico_policy("{tier: app, selector: all(), types: [Ingress]}")
    assert ask(content, pod("a"), pod("web"), on="calico=3.30;tier=app").outcome is DENIED
    assert ask(content, pod("a"), pod("web"), on="calico=3.30").outcome is UNKNOWN
    assert ask(IN_80, pod("a"), pod("web"), on="calico=3.30;tier=app").outcome is UNKNOWN
