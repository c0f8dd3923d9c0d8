"""What policies of Cilium and Calico do to connections, from text to verdict, by their published semantics."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from discovery.model.edge import Protocol
from discovery.model.workload import Entity
from discovery.verify.decisions import Outcome
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from tests.discovery.verify.asking import (
    ALLOWED,
    CALICO,
    CILIUM,
    DENIED,
    FAR,
    NODE,
    OUT,
    SAAS,
    UNKNOWN,
    WEB,
    WORLD,
    A,
    B,
    ask,
    ccnp,
    cnp,
    gnp,
    knp,
    np,
    thing,
    tier,
)
from tests.discovery.verify.builders import version

# ------------------------------------------------------------------------------------------------------------ Cilium

ON_WEB = "endpointSelector: {matchLabels: {app: web}}"
FROM_A = "fromEndpoints: [{matchLabels: {app: a}}]"
TCP_80 = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]'
ALLOW_A = cnp(f"{{{ON_WEB}, ingress: [{{{FROM_A}, {TCP_80}}}]}}")
KNP_A = knp(
    "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], "
    "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]}"
)
DENY_A = f"ingressDeny: [{{{FROM_A}}}]"


def test_cilium_allows_are_a_union_over_all_kinds() -> None:
    """Each kind isolates and each allows; everything else is denied."""
    clusterwide = ccnp(f"{{{ON_WEB}, ingress: [{{fromEndpoints: [{{matchLabels: {{app: b}}}}]}}]}}")
    extra = knp("{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 443}]}]}", name="other")
    for texts, client, port, outcome in [
        ((), B, 80, ALLOWED),
        ((ALLOW_A,), A, 80, ALLOWED),
        ((ALLOW_A,), A, 81, DENIED),
        ((ALLOW_A,), B, 80, DENIED),
        ((ALLOW_A, clusterwide), B, 80, ALLOWED),
        ((ALLOW_A, clusterwide), A, 81, DENIED),
        ((ALLOW_A, clusterwide, extra), A, 443, ALLOWED),
        ((KNP_A, ALLOW_A, extra), A, 80, ALLOWED),
    ]:
        assert ask(texts, client, WEB, port=port, on=CILIUM) is outcome, (texts, port)


@pytest.mark.parametrize(
    "deny",
    [
        cnp(f"{{{ON_WEB}, {DENY_A}}}", name="d"),
        cnp(f"{{{ON_WEB}, ingressDeny: [{{{FROM_A}, {TCP_80}}}]}}", name="d"),
        cnp(f"{{{ON_WEB}, ingressDeny: [{{{TCP_80}}}]}}", name="d"),
        cnp(f"{{{ON_WEB}, ingressDeny: [{{fromEntities: [cluster]}}]}}", name="d"),
        cnp(f"{{{ON_WEB}, ingressDeny: [{{fromEntities: [all]}}], enableDefaultDeny: {{ingress: false}}}}", name="d"),
        ccnp(f"{{{ON_WEB}, ingressDeny: [{{fromEndpoints: [{{}}]}}]}}"),
    ],
)
@pytest.mark.parametrize("allow", [ALLOW_A, KNP_A, cnp(f"{{{ON_WEB}, ingress: [{{fromEntities: [all]}}]}}")])
def test_cilium_deny_beats_allow(allow: str, deny: str) -> None:
    """Whatever the kinds and however wide the deny or precise the allow."""
    assert ask((allow,), A, WEB, on=CILIUM) is ALLOWED
    assert ask((allow, deny), A, WEB, on=CILIUM) is DENIED
    assert ask((deny, allow), A, WEB, on=CILIUM) is DENIED


def test_cilium_deny_and_allow_of_one_policy() -> None:
    """A deny takes its peers and ports out of an allow of everything."""
    policy = cnp(f"{{{ON_WEB}, ingress: [{{fromEntities: [all]}}], ingressDeny: [{{{FROM_A}, {TCP_80}}}]}}")
    assert [ask((policy,), client, WEB, port=port, on=CILIUM) for client, port in [(A, 80), (A, 81), (B, 80)]] == [
        DENIED,
        ALLOWED,
        ALLOWED,
    ]


@pytest.mark.parametrize(
    ("texts", "from_a", "from_b"),
    [
        ((cnp(f"{{{ON_WEB}, ingress: []}}"),), ALLOWED, ALLOWED),
        ((cnp(f"{{{ON_WEB}, ingress: [{{}}]}}"),), DENIED, DENIED),
        ((cnp(f"{{{ON_WEB}, ingress: [{{fromEndpoints: []}}]}}"),), DENIED, DENIED),
        ((cnp(f"{{{ON_WEB}, egress: [{{}}]}}"),), ALLOWED, ALLOWED),
        ((cnp(f"{{{ON_WEB}, {DENY_A}}}"),), DENIED, DENIED),
        ((cnp(f"{{{ON_WEB}, {DENY_A}, enableDefaultDeny: {{ingress: false}}}}"),), DENIED, ALLOWED),
        ((cnp(f"{{{ON_WEB}, ingress: [{{{FROM_A}}}], enableDefaultDeny: {{ingress: false}}}}"),), ALLOWED, ALLOWED),
        ((cnp(f"{{{ON_WEB}, ingress: [{{{FROM_A}}}], enableDefaultDeny: {{egress: false}}}}"),), ALLOWED, DENIED),
        (
            (
                cnp(f"{{{ON_WEB}, ingress: [{{{FROM_A}}}], enableDefaultDeny: {{ingress: false}}}}"),
                cnp(f"{{{ON_WEB}, ingress: [{{}}]}}", name="q"),
            ),
            ALLOWED,
            DENIED,
        ),
    ],
)
def test_cilium_default_deny(texts: tuple[str, ...], from_a: Outcome, from_b: Outcome) -> None:
    """A section with rules isolates; enableDefaultDeny false does not, unless another policy does."""
    assert ask(texts, A, WEB, on=CILIUM) is from_a
    assert ask(texts, B, WEB, on=CILIUM) is from_b


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("fromEntities: [cluster]", {"a", "far", "node", "init", "ingress", "health", "unmanaged", "apiserver"}),
        ("fromEntities: [world]", {"out", "world"}),
        ("fromEntities: [remote-node]", {"node"}),
        ("fromEntities: [none]", set()),
        ("fromEntities: [all]",
         {"a", "far", "node", "init", "ingress", "health", "unmanaged", "apiserver", "out", "world"}),
        ("fromEndpoints: [{}]", {"a"}),
        ("fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: far}}]", {"far"}),
        ("fromEndpoints: [{matchLabels: {k8s:io.cilium.k8s.namespace.labels.env: prod}}]", {"far"}),
        ("fromEndpoints: [{matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]}]",
         {"a", "far"}),
        ("fromEndpoints: [{matchLabels: {reserved:health: ''}}]", {"health"}),
        ("fromCIDR: [0.0.0.0/0]", {"out"}),
        ("fromCIDRSet: [{cidr: 198.51.100.0/24, except: [198.51.100.0/25]}]", set()),
        ("fromCIDR: [10.0.0.0/8]", set()),
    ],
)  # fmt: skip
def test_cilium_peers(peer: str, allowed: set[str]) -> None:
    """Selectors are pods, entities what is none, and prefixes the outside alone."""
    ends: dict[str, End] = {"a": A, "far": FAR, "node": NODE, "out": OUT, "world": WORLD}
    ends |= {name: EntityEnd(entity=Entity(name)) for name in ("init", "ingress", "health", "unmanaged")}
    ends["apiserver"] = EntityEnd(entity=Entity.KUBE_APISERVER)
    policy = cnp(f"{{{ON_WEB}, ingress: [{{{peer}}}]}}")
    outcomes = {name: ask((policy,), end, WEB, on=CILIUM) for name, end in ends.items()}
    sure = {name for name, outcome in outcomes.items() if outcome is ALLOWED}
    # A world without address may be inside of a prefix; an API server may be a node or outside.
    doubtful = {name for name, outcome in outcomes.items() if outcome is UNKNOWN}
    assert sure == allowed
    assert doubtful <= {"world", "apiserver"}


def test_cilium_clusterwide_peers_are_everywhere() -> None:
    """An empty peer selector is every pod of the cluster, and the subject every pod too."""
    policy = ccnp("{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}")
    assert [ask((policy,), client, WEB, on=CILIUM) for client in (A, FAR, OUT)] == [ALLOWED, ALLOWED, DENIED]
    assert ask((policy,), OUT, FAR, on=CILIUM) is DENIED


def test_cilium_both_sides_must_allow() -> None:
    """Ingress at the server and egress at the client."""
    out = cnp(
        "{endpointSelector: {matchLabels: {app: a}}, egress: [{toEndpoints: [{matchLabels: {app: b}}]}]}", name="o"
    )
    assert ask((ALLOW_A, out), A, WEB, on=CILIUM) is DENIED
    assert ask((out,), A, B, on=CILIUM) is ALLOWED


@pytest.mark.parametrize(
    ("rule", "echo", "reply"),
    [
        (f"{FROM_A}, {TCP_80}", DENIED, DENIED),
        (f'{FROM_A}, toPorts: [{{ports: [{{port: "0", protocol: TCP}}]}}]', DENIED, DENIED),
        (FROM_A, ALLOWED, ALLOWED),
        (f"{FROM_A}, icmps: [{{fields: [{{type: 8}}]}}]", ALLOWED, DENIED),
        (f"{FROM_A}, icmps: [{{fields: [{{type: EchoRequest, family: IPv4}}]}}]", ALLOWED, DENIED),
        (f"{FROM_A}, icmps: [{{fields: [{{type: 8, family: IPv6}}]}}]", DENIED, DENIED),
    ],
)
def test_cilium_icmp_needs_its_own_rule(rule: str, echo: Outcome, reply: Outcome) -> None:
    """An allow that is limited to ports does not include it, one of peers alone does."""
    policy = cnp(f"{{{ON_WEB}, ingress: [{{{rule}}}]}}")
    assert ask((policy,), A, WEB, protocol=Protocol.ICMP, port=8, on=CILIUM) is echo
    assert ask((policy,), A, WEB, protocol=Protocol.ICMP, port=0, on=CILIUM) is reply


def test_cilium_layer_7() -> None:
    """What is restricted further is unknown; a plain allow of the port and peer overrides it; a deny decides."""
    http = cnp(
        f'{{{ON_WEB}, ingress: [{{{FROM_A}, toPorts: [{{ports: [{{port: "80", protocol: TCP}}], '
        "rules: {http: [{path: /x}]}}]}]}"
    )
    assert ask((http,), A, WEB, on=CILIUM) is UNKNOWN
    assert ask((http,), A, WEB, port=81, on=CILIUM) is DENIED
    assert ask((http,), B, WEB, on=CILIUM) is DENIED
    assert ask((http, cnp(f"{{{ON_WEB}, ingress: [{{{TCP_80}}}]}}", name="q")), A, WEB, on=CILIUM) is ALLOWED
    assert ask((http, cnp(f"{{{ON_WEB}, {DENY_A}}}", name="q")), A, WEB, on=CILIUM) is DENIED
    assert ask((http.replace("{path: /x}", "{}"),), A, WEB, on=CILIUM) is ALLOWED


def test_cilium_ports_by_name() -> None:
    """A name is the number of the server's containers, in any case of letters."""
    policy = cnp(f'{{{ON_WEB}, ingress: [{{toPorts: [{{ports: [{{port: "HTTP", protocol: TCP}}]}}]}}]}}')
    assert ask((policy,), A, WEB, port=8080, on=CILIUM) is ALLOWED
    assert ask((policy,), A, WEB, port=80, on=CILIUM) is DENIED


DNS = (
    "{toEndpoints: [{matchLabels: {k8s-app: dns}}], "
    "toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchPattern: '*'}]}}]}"
)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("api.example.com", ALLOWED), ("example.com", DENIED), ("a.api.example.com", DENIED), ("example.org", DENIED)],
)
def test_cilium_names(name: str, outcome: Outcome) -> None:
    """A star stays inside of a label; names of pods do not count."""
    names = f'{{toFQDNs: [{{matchPattern: "*.example.com"}}], {TCP_80}}}'
    policy = cnp(f"{{{ON_WEB}, egress: [{names}, {DNS}]}}")
    assert ask((policy,), WEB, AddressEnd(address="192.0.2.1", names=(name,)), on=CILIUM) is outcome
    assert ask((policy,), WEB, A, on=CILIUM) is DENIED
    unproven = UNKNOWN if outcome is ALLOWED else outcome  # where nothing looks at DNS, Cilium learns no address
    alone = cnp(f"{{{ON_WEB}, egress: [{names}]}}")
    assert ask((alone,), WEB, AddressEnd(address="192.0.2.1", names=(name,)), on=CILIUM) is unproven


def test_cilium_groups_of_prefixes() -> None:
    """A group is looked up among the manifests; without its manifest the answer is open."""
    policy = cnp(f"{{{ON_WEB}, egress: [{{toCIDRSet: [{{cidrGroupRef: saas}}]}}]}}")
    group = thing("cilium.io/v2", "CiliumCIDRGroup", "saas", "{externalCIDRs: [192.0.2.0/24]}")
    assert [ask((policy, group), WEB, end, on=CILIUM) for end in (SAAS, OUT, A)] == [ALLOWED, DENIED, DENIED]
    assert ask((group, policy), WEB, SAAS, on=CILIUM) is ALLOWED
    assert ask((policy,), WEB, SAAS, on=CILIUM) is UNKNOWN


def test_cilium_policies_of_nodes_do_nothing_to_pods() -> None:
    """They rule nodes, and what they do there is not known; nobody but Cilium enforces them."""
    policy = ccnp("{nodeSelector: {}, ingress: [{}]}")
    assert ask((policy,), A, WEB, on=CILIUM) is ALLOWED
    assert ask((policy,), A, NODE, on=CILIUM) is ask((policy,), NODE, A, on=CILIUM) is UNKNOWN
    assert ask((policy,), A, NODE, on="calico=3.30") is ALLOWED


def test_a_staged_policy_takes_the_place_of_the_one_of_its_name() -> None:
    """Once it is enforced; of another name, both count."""
    allow, nothing = (
        "{selector: all(), types: [Ingress], ingress: [{action: Allow}]}",
        "{selector: all(), types: [Ingress]}",
    )
    assert ask((np(allow), np(nothing, kind="StagedNetworkPolicy")), A, WEB, on=CALICO) is ALLOWED
    for name, outcome in (("p", DENIED), ("q", ALLOWED)):
        policies = (np(allow), np(nothing, name=name, kind="StagedNetworkPolicy"))
        assert ask(policies, A, WEB, on=CALICO, as_enforced=True) is outcome
    staged = thing(
        "projectcalico.org/v3", "StagedKubernetesNetworkPolicy", "k", "{podSelector: {}}", ", namespace: shop"
    )
    allowed = knp("{podSelector: {}, ingress: [{}]}")
    assert ask((allowed, staged), A, WEB, on=CALICO, as_enforced=True) is DENIED


def test_a_label_that_changes_with_each_rollout_may_select() -> None:
    """It is not recorded, so nobody knows: also as the only label of a subject."""
    for pair in ("pod-template-hash: abc", "pod-template-hash: abc, app: web"):
        policy = knp(f"{{podSelector: {{matchLabels: {{{pair}}}}}, policyTypes: [Ingress]}}")
        assert ask((policy,), A, WEB, on=CILIUM) is UNKNOWN
    other = knp("{podSelector: {matchLabels: {pod-template-hash: abc, app: db}}, policyTypes: [Ingress]}")
    assert ask((other,), A, WEB, on=CILIUM) is ALLOWED


def test_cilium_what_is_unclear_may_deny() -> None:
    """Endpoints of a Service that are denied may be the peer: an allow of it is in doubt, a deny is not."""
    policy = cnp(
        f"{{{ON_WEB}, egress: [{{toEndpoints: [{{matchLabels: {{app: a}}}}]}}], "
        "egressDeny: [{toServices: [{k8sService: {serviceName: s, namespace: shop}}]}]}"
    )
    assert ask((policy,), WEB, A, on=CILIUM) is UNKNOWN
    assert ask((policy,), WEB, B, on=CILIUM) is DENIED


def test_cilium_groups_that_could_not_be_read_may_be_picked() -> None:
    """A selector of groups may mean the prefixes of one that is there and malformed."""
    policy = cnp(f"{{{ON_WEB}, egress: [{{toCIDRSet: [{{cidrGroupSelector: {{matchLabels: {{team: x}}}}}}]}}]}}")
    good, bad = (
        thing("cilium.io/v2", "CiliumCIDRGroup", name, f"{{externalCIDRs: [{net}]}}", ", labels: {team: x}")
        for name, net in (("good", "192.0.2.0/24"), ("bad", "198.51.100.0"))
    )
    assert ask((policy, good, bad), WEB, SAAS, on=CILIUM) is ALLOWED
    bad = bad.replace("198.51.100.0", "198.51.100.0/99")
    assert ask((policy, good, bad), WEB, OUT, on=CILIUM) is UNKNOWN


def test_cilium_the_entity_cluster_is_local() -> None:
    """Every endpoint of the local cluster, whatever selectors mean by default in this release."""
    policy = cnp(f"{{{ON_WEB}, ingress: [{{fromEntities: [cluster]}}]}}")
    other = PodEnd(version=version("a", cluster="c2"), address="10.3.0.1")
    assert ask((policy,), other, WEB, on="cilium=1.19") is DENIED
    assert ask((policy,), other, WEB, on="cilium=1.17") is DENIED


# ------------------------------------------------------------------------------------------------------------ Calico

ON = "selector: app == 'web', types: [Ingress]"
C_FROM_A = "source: {selector: app == 'a'}"
ALLOW = f"ingress: [{{action: Allow, {C_FROM_A}}}]"
DENY = f"ingress: [{{action: Deny, {C_FROM_A}}}]"
PASS = f"ingress: [{{action: Pass, {C_FROM_A}}}]"


@pytest.mark.parametrize(
    ("texts", "from_a", "from_b"),
    [
        ((), ALLOWED, ALLOWED),
        ((np(f"{{{ON}, {ALLOW}}}"),), ALLOWED, DENIED),
        ((np(f"{{{ON}}}"),), DENIED, DENIED),
        ((np(f"{{{ON}, order: 1, {DENY}}}"), np(f"{{{ON}, order: 2, {ALLOW}}}", name="q")), DENIED, DENIED),
        ((np(f"{{{ON}, order: 2, {DENY}}}"), np(f"{{{ON}, order: 1, {ALLOW}}}", name="q")), ALLOWED, DENIED),
        ((np(f"{{{ON}, order: 10, {DENY}}}"), np(f"{{{ON}, order: 9.5, {ALLOW}}}", name="q")), ALLOWED, DENIED),
        ((np(f"{{{ON}, {DENY}}}", name="a"), np(f"{{{ON}, order: 5000, {ALLOW}}}", name="b")), ALLOWED, DENIED),
        ((np(f"{{{ON}, order: 1, {DENY}}}", name="a"), np(f"{{{ON}, order: 1, {ALLOW}}}", name="b")), DENIED, DENIED),
        ((np(f"{{{ON}, {DENY}}}", name="b"), np(f"{{{ON}, {ALLOW}}}", name="a")), ALLOWED, DENIED),
        ((np(f"{{{ON}, order: 1, {ALLOW}}}"), gnp("{order: 2, types: [Ingress], ingress: [{action: Allow}]}")),
         ALLOWED, ALLOWED),
        ((np(f"{{{ON}, order: 2, {ALLOW}}}"), gnp("{order: 1, types: [Ingress], ingress: [{action: Deny}]}")),
         DENIED, DENIED),
        ((np(f"{{{ON}, ingress: [{{action: Log}}, {{action: Allow, {C_FROM_A}}}]}}"),), ALLOWED, DENIED),
        ((np(f"{{{ON}, ingress: [{{action: Deny, {C_FROM_A}}}, {{action: Allow}}]}}"),), DENIED, ALLOWED),
        ((np(f"{{{ON}, ingress: [{{action: Allow}}, {{action: Deny, {C_FROM_A}}}]}}"),), ALLOWED, ALLOWED),
        ((np(f"{{{ON}, {PASS}}}"),), ALLOWED, DENIED),
        ((np(f"{{{ON}, order: 1, {PASS}}}"), np(f"{{{ON}, order: 2, ingress: [{{action: Deny}}]}}", name="q")),
         ALLOWED, DENIED),
    ],
)  # fmt: skip
def test_calico_order(texts: tuple[str, ...], from_a: Outcome, from_b: Outcome) -> None:
    """The first Allow or Deny decides, by order, name and rule; Pass ends the tier and then profiles allow."""
    assert ask(texts, A, WEB, on=CALICO) is from_a
    assert ask(texts, B, WEB, on=CALICO) is from_b


T_DENY, T_PASS = tier("first", "{order: 100}"), tier("first", "{order: 100, defaultAction: Pass}")
LATE = tier("first", "{order: 2000000}")
IN_FIRST = f"tier: first, {ON}"


@pytest.mark.parametrize(
    ("texts", "from_a", "from_b"),
    [
        ((T_DENY, np(f"{{{IN_FIRST}, {ALLOW}}}")), ALLOWED, DENIED),
        ((T_PASS, np(f"{{{IN_FIRST}, {ALLOW}}}")), ALLOWED, ALLOWED),
        ((T_PASS, np(f"{{{IN_FIRST}, {DENY}}}")), DENIED, ALLOWED),
        ((T_DENY, np(f"{{{IN_FIRST}, {PASS}}}")), ALLOWED, DENIED),
        ((T_DENY, np(f"{{{IN_FIRST}, {PASS}}}"), np(f"{{{ON}}}", name="q")), DENIED, DENIED),
        ((T_DENY, np(f"{{{IN_FIRST}, {PASS}}}"), np(f"{{{ON}, {ALLOW}}}", name="q")), ALLOWED, DENIED),
        ((T_PASS, np(f"{{{IN_FIRST}, {DENY}}}"), np(f"{{{ON}, ingress: [{{action: Allow}}]}}", name="q")),
         DENIED, ALLOWED),
        ((T_DENY, np(f"{{{IN_FIRST}, order: 9000, {ALLOW}}}"), np(f"{{{ON}, order: 1, {DENY}}}", name="q")),
         ALLOWED, DENIED),
        ((T_PASS, np(f"{{{IN_FIRST}, {ALLOW}}}"), np(f"{{{ON}, {DENY}}}", name="q")), ALLOWED, DENIED),
        ((T_DENY, np("{tier: first, selector: app == 'b'}"), np(f"{{{ON}, {ALLOW}}}", name="q")), ALLOWED, DENIED),
        ((LATE, np(f"{{{IN_FIRST}, {ALLOW}}}"), np(f"{{{ON}, {DENY}}}", name="q")), DENIED, DENIED),
        ((LATE, np(f"{{{IN_FIRST}, {DENY}}}"), np(f"{{{ON}, ingress: [{{action: Pass}}]}}", name="q")), DENIED, DENIED),
        ((T_DENY, tier("second", "{order: 200}"), np(f"{{{IN_FIRST}, {PASS}}}"),
          np(f"{{tier: second, {ON}, {DENY}}}", name="q"), np(f"{{{ON}, {ALLOW}}}", name="r")), DENIED, DENIED),
    ],
)  # fmt: skip
def test_calico_tiers(texts: tuple[str, ...], from_a: Outcome, from_b: Outcome) -> None:
    """By order; the default action of a tier is for what its policies select; one that selects nothing is skipped."""
    assert ask(texts, A, WEB, on=CALICO) is from_a
    assert ask(texts, B, WEB, on=CALICO) is from_b


@pytest.mark.parametrize(
    ("texts", "from_a", "from_b"),
    [
        ((KNP_A,), ALLOWED, DENIED),
        ((KNP_A, np(f"{{{ON}, order: 999, ingress: [{{action: Deny}}]}}")), DENIED, DENIED),
        ((KNP_A, np(f"{{{ON}, order: 1001, ingress: [{{action: Deny}}]}}")), ALLOWED, DENIED),
        ((KNP_A, np(f"{{{ON}, order: 1001, ingress: [{{action: Allow}}]}}")), ALLOWED, ALLOWED),
        ((KNP_A, np(f"{{{ON}, ingress: [{{action: Allow}}]}}")), ALLOWED, ALLOWED),
        ((KNP_A, np(f"{{{ON}, order: 999, ingress: [{{action: Pass}}]}}")), ALLOWED, ALLOWED),
        ((KNP_A, T_DENY, np(f"{{{IN_FIRST}, {DENY}}}")), DENIED, DENIED),
        ((KNP_A, T_PASS, np(f"{{{IN_FIRST}, {DENY}}}")), DENIED, DENIED),
        ((KNP_A, T_DENY, np(f"{{{IN_FIRST}, ingress: [{{action: Allow}}]}}")), ALLOWED, ALLOWED),
    ],
)
def test_calico_places_kubernetes_policies_at_order_1000(
    texts: tuple[str, ...], from_a: Outcome, from_b: Outcome
) -> None:
    """In the tier default, as allows alone: what comes before or after them in order decides as well."""
    for on in (CALICO, "kubernetes=1.31;enforcer=calico"):
        assert ask(texts, A, WEB, on=on) is from_a
        assert ask(texts, B, WEB, on=on) is from_b


SETS = (
    thing("projectcalico.org/v3", "NetworkSet", "n", "{nets: [192.0.2.0/24]}", ", namespace: shop, labels: {role: x}"),
    thing("projectcalico.org/v3", "GlobalNetworkSet", "g", "{nets: [198.51.100.0/24]}", ", labels: {role: x}"),
)
EGRESS = "types: [Egress], egress: [{action: Allow, destination: "


@pytest.mark.parametrize(
    ("policy", "saas", "out"),
    [
        (np(f"{{{EGRESS}{{selector: role == 'x'}}}}]}}"), ALLOWED, DENIED),
        (np(f"{{{EGRESS}{{selector: role == 'y'}}}}]}}"), DENIED, DENIED),
        (np(f"{{{EGRESS}{{selector: role == 'x', namespaceSelector: global()}}}}]}}"), DENIED, ALLOWED),
        (np(f"{{{EGRESS}{{selector: role == 'x', namespaceSelector: all()}}}}]}}"), ALLOWED, DENIED),
        (gnp(f"{{{EGRESS}{{selector: role == 'x'}}}}]}}"), ALLOWED, ALLOWED),
        (gnp(f"{{{EGRESS}{{selector: role == 'x', namespaceSelector: global()}}}}]}}"), DENIED, ALLOWED),
        (gnp(f"{{{EGRESS}{{notSelector: role == 'x'}}}}]}}"), DENIED, DENIED),
        (np(f"{{{EGRESS}{{nets: [192.0.2.0/24]}}}}]}}"), ALLOWED, DENIED),
        (np(f"{{{EGRESS}{{notNets: [192.0.2.0/24]}}}}]}}"), DENIED, ALLOWED),
        (np(f"{{{EGRESS}{{}}}}]}}"), ALLOWED, ALLOWED),
    ],
)
def test_calico_network_sets(policy: str, saas: Outcome, out: Outcome) -> None:
    """Sets of the namespace are picked like pods; global ones by global policies or ``global()``."""
    assert ask((policy, *SETS), WEB, SAAS, on=CALICO) is saas
    assert ask((policy, *SETS), WEB, OUT, on=CALICO) is out


@pytest.mark.parametrize(
    ("make", "source", "allowed"),
    [
        (np, "{}", {"a", "far", "out"}),
        (np, "{selector: all()}", {"a"}),
        (np, "{namespaceSelector: all()}", {"a", "far"}),
        (np, "{namespaceSelector: env == 'prod'}", {"far"}),
        (np, "{serviceAccounts: {names: [a-sa]}}", {"a"}),
        (np, "{nets: [10.2.0.0/16]}", {"far"}),
        (np, "{nets: [10.0.0.0/8], selector: app == 'a'}", {"a"}),
        (np, "{notNets: [10.0.0.0/8]}", {"out"}),
        (gnp, "{selector: all()}", {"a", "far"}),
        (gnp, "{selector: app == 'a'}", {"a", "far"}),
        (gnp, "{notSelector: app == 'a'}", {"out"}),
        (gnp, "{namespaceSelector: env != 'prod'}", {"a"}),
    ],
)
def test_calico_peers(make: Callable[[str], str], source: str, allowed: set[str]) -> None:
    """Selectors mean known endpoints of their scope, prefixes mean pods too, nothing means anybody."""
    policy = make(f"{{{ON}, ingress: [{{action: Allow, source: {source}}}]}}")
    ends: dict[str, End] = {"a": A, "far": FAR, "out": OUT}
    outcomes = {name: ask((policy,), end, WEB, on=CALICO) for name, end in ends.items()}
    assert outcomes == {name: ALLOWED if name in allowed else DENIED for name in ends}


def test_calico_not_selector_in_a_namespace() -> None:
    """It is limited to the policy's namespace like every other selector of an end."""
    policy = np(f"{{{ON}, ingress: [{{action: Allow, source: {{notSelector: app == 'a'}}}}]}}")
    assert [ask((policy,), end, WEB, on=CALICO) for end in (A, B, FAR, OUT)] == [DENIED, ALLOWED, DENIED, DENIED]


@pytest.mark.parametrize(("make", "client"), [(np, SAAS), (gnp, SAAS), (gnp, NODE)])
def test_calico_accounts_are_of_pods(make: Callable[[str], str], client: End) -> None:
    """The labels of a set are its own, and neither a set nor a host runs under a service account."""
    policy = make(f"{{{ON}, ingress: [{{action: Allow, source: {{serviceAccounts: {{names: [a-sa]}}}}}}]}}")
    assert ask((policy, *SETS), client, WEB, on=CALICO) is DENIED


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_calico_network_sets_of_both_families(address: str) -> None:
    """A selector may pick a set that holds both."""
    both = thing(
        "projectcalico.org/v3",
        "GlobalNetworkSet",
        "both",
        '{nets: [192.0.2.0/24, "2001:db8::/32"]}',
        ", labels: {role: x}",
    )
    policy = gnp(f"{{{EGRESS}{{selector: role == 'x'}}}}]}}")
    assert ask((policy, both), WEB, AddressEnd(address=address), on=CALICO) is ALLOWED


def test_calico_rules_may_narrow_their_own_end() -> None:
    """A destination of ingress is about the pod itself."""
    rule = "{action: Allow, source: {selector: app == 'a'}, destination: {selector: app == 'web'}}"
    policy = gnp(f"{{types: [Ingress], ingress: [{rule}]}}")
    assert [ask((policy,), client, server, on=CALICO) for client, server in ((A, WEB), (B, WEB), (A, B))] == [
        ALLOWED,
        DENIED,
        DENIED,
    ]
    out = gnp("{types: [Egress], egress: [{action: Allow, source: {serviceAccounts: {names: [a-sa]}}}]}")
    assert [ask((out,), client, WEB, on=CALICO) for client in (A, B)] == [ALLOWED, DENIED]


@pytest.mark.parametrize(
    ("rule", "tcp_80", "tcp_8080", "udp_80", "echo"),
    [
        ("protocol: TCP, destination: {ports: [80]}", ALLOWED, DENIED, DENIED, DENIED),
        ('protocol: TCP, destination: {ports: ["80:90"]}', ALLOWED, DENIED, DENIED, DENIED),
        ("protocol: TCP, destination: {notPorts: [80]}", DENIED, ALLOWED, DENIED, DENIED),
        ("protocol: TCP, destination: {ports: [http]}", DENIED, ALLOWED, DENIED, DENIED),
        ("destination: {ports: [http]}", DENIED, ALLOWED, DENIED, DENIED),
        ("notProtocol: TCP", DENIED, DENIED, ALLOWED, ALLOWED),
        ("protocol: 17", DENIED, DENIED, ALLOWED, DENIED),
        ("protocol: ICMP", DENIED, DENIED, DENIED, ALLOWED),
        ("protocol: ICMP, icmp: {type: 8}", DENIED, DENIED, DENIED, ALLOWED),
        ("protocol: ICMP, notICMP: {type: 8}", DENIED, DENIED, DENIED, DENIED),
        ("protocol: ICMP, icmp: {type: 8, code: 0}", DENIED, DENIED, DENIED, UNKNOWN),
        ("ipVersion: 4", ALLOWED, ALLOWED, ALLOWED, ALLOWED),
        ("ipVersion: 6", DENIED, DENIED, DENIED, DENIED),
        ("protocol: TCP, source: {ports: [1000]}", UNKNOWN, UNKNOWN, DENIED, DENIED),
        ("protocol: TCP, http: {methods: [GET]}", UNKNOWN, UNKNOWN, DENIED, DENIED),
        ("protocol: UDPLite", DENIED, DENIED, DENIED, DENIED),
        ("protocol: null", ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    ],
)
def test_calico_contents(rule: str, tcp_80: Outcome, tcp_8080: Outcome, udp_80: Outcome, echo: Outcome) -> None:
    """Ports by number, range and name, protocols, ICMP, versions, and what no flow shows."""
    policy = np(f"{{{ON}, ingress: [{{action: Allow, {rule}}}]}}")
    assert ask((policy,), A, WEB, on=CALICO) is tcp_80
    assert ask((policy,), A, WEB, port=8080, on=CALICO) is tcp_8080
    assert ask((policy,), A, WEB, protocol=Protocol.UDP, on=CALICO) is udp_80
    assert ask((policy,), A, WEB, protocol=Protocol.ICMP, port=8, on=CALICO) is echo


def test_calico_staged_policies_are_never_in_force() -> None:
    """They count as enforced when that is what is asked."""
    staged = np(f"{{{ON}, {ALLOW}}}", kind="StagedNetworkPolicy")
    assert ask((staged,), B, WEB, on=CALICO) is ALLOWED
    assert ask((staged,), B, WEB, on=CALICO, as_enforced=True) is DENIED
    assert ask((staged,), A, WEB, on=CALICO, as_enforced=True) is ALLOWED


@pytest.mark.parametrize(("action", "outcome"), [("Delete", UNKNOWN), ("Learn", ALLOWED), ("Ignore", ALLOWED)])
def test_calico_other_staged_actions_propose_nothing(action: str, outcome: Outcome) -> None:
    """Not even as if they were enforced. What remains once a policy is taken away is not evaluated."""
    staged = np(f"{{stagedAction: {action}, {ON}}}", kind="StagedNetworkPolicy")
    assert ask((staged,), B, WEB, on=CALICO, as_enforced=True) is outcome


def test_calico_policies_of_host_traffic_do_nothing_to_pods() -> None:
    """Untracked and before translation."""
    for field in ("doNotTrack", "preDNAT"):
        policy = gnp(f"{{{field}: true, applyOnForward: true, types: [Ingress], ingress: [{{action: Deny}}]}}")
        assert ask((policy,), A, WEB, on=CALICO) is ALLOWED


HOST_ENDPOINT = thing("projectcalico.org/v3", "HostEndpoint", "n1", "{node: n1, interfaceName: '*'}")


def test_calico_host_endpoints_leave_nodes_open() -> None:
    """Who reaches a node, and whom it reaches, is not evaluated; between pods nothing changes."""
    assert ask((HOST_ENDPOINT,), A, NODE, on=CALICO) is UNKNOWN
    assert ask((HOST_ENDPOINT,), NODE, WEB, on=CALICO) is UNKNOWN
    assert ask((HOST_ENDPOINT,), A, WEB, on=CALICO) is ALLOWED
    assert ask((HOST_ENDPOINT, np(f"{{{ON}, {DENY}}}")), A, WEB, on=CALICO) is DENIED


def test_calico_forwarded_traffic_is_open_where_a_policy_applies_to_it() -> None:
    """Such a policy alone is about pods; with a host endpoint it also decides what nodes pass on."""
    policy = gnp("{applyOnForward: true, selector: all(), ingress: [{action: Allow}]}")
    assert ask((policy,), A, WEB, on=CALICO) is ALLOWED
    assert ask((policy, HOST_ENDPOINT), A, WEB, on=CALICO) is UNKNOWN


def test_calico_tiers_without_manifest_leave_the_answer_open() -> None:
    """Nobody knows whether the tier comes first and what it does by default."""
    texts = (np(f"{{{IN_FIRST}, {DENY}}}"), np(f"{{{ON}, {ALLOW}}}", name="q"))
    assert ask(texts, A, WEB, on=CALICO) is UNKNOWN
    assert ask((tier("first", "{order: 1}"), *texts), A, WEB, on=CALICO) is DENIED
