"""Tests of discovery.verify.readback: right files pass, and every mutation of them is reported."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import (
    Direction,
    Edge,
    Endpoint,
    Establishment,
    Evidence,
    EvidenceClass,
    Protocol,
    Verdict,
)
from discovery.model.intent import Allow, Mode, Origin, PolicyIntent, WorkloadPeer
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, Labels, Selector, WorkloadVersion
from discovery.verify.read import read_policies
from discovery.verify.readback import Beside, check, covers
from tests.discovery.verify.builders import (
    cidr_peer,
    codes,
    entity_peer,
    intent,
    platform,
    tcp,
    text,
    version,
    workload_peer,
)

INTENTS = (
    intent(
        "web",
        Direction.INGRESS,
        tcp(workload_peer("proxy", namespace="edge"), 80, 8080),
        tcp(cidr_peer("192.0.2.0/24"), 443),
    ),
    intent(
        "web",
        Direction.EGRESS,
        tcp(workload_peer("db"), 5432),
        Allow(
            peer=workload_peer("dns", namespace="kube-system"),
            protocol=Protocol.UDP,
            ports=PortSet.of(53),
            origin=Origin.DNS,
            reason="the pods resolve names there",
        ),
    ),
    intent("db", Direction.EGRESS, tcp(workload_peer("web"), 1), isolate=False),
)
VERSIONS = (
    version("web"),
    version("web", {"app": "web", "extra": "1"}),
    version("db"),
    version("proxy", namespace="edge"),
    version("dns", namespace="kube-system"),
)

KUBERNETES = text("""
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: deployment-web, namespace: shop}
    spec:
      podSelector: {matchLabels: {app: web}}
      policyTypes: [Ingress, Egress]
      ingress:
        - from:
            - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}
              podSelector: {matchLabels: {app: proxy}}
          ports: [{protocol: TCP, port: 80}, {protocol: TCP, port: 8080}]
        - from: [{ipBlock: {cidr: 192.0.2.0/24}}]
          ports: [{protocol: TCP, port: 443}]
      egress:
        - to:
            - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
              podSelector: {matchLabels: {app: db}}
          ports: [{protocol: TCP, port: 5432}]
        - to:
            - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
              podSelector: {matchLabels: {app: dns}}
          ports: [{protocol: UDP, port: 53}]
""")
CILIUM = text("""
    apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: deployment-web, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {"k8s:app": web}}
      enableDefaultDeny: {egress: true, ingress: true}
      ingress:
        - fromEndpoints: [{matchLabels: {"k8s:app": proxy, "k8s:io.kubernetes.pod.namespace": edge}}]
          toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "8080", protocol: TCP}]}]
        - fromCIDRSet: [{cidr: 192.0.2.0/24}]
          toPorts: [{ports: [{port: "443", protocol: TCP}]}]
      egress:
        - toEndpoints: [{matchLabels: {"k8s:app": db, "k8s:io.kubernetes.pod.namespace": shop}}]
          toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
        - toEndpoints: [{matchLabels: {"k8s:app": dns, "k8s:io.kubernetes.pod.namespace": kube-system}}]
          toPorts: [{ports: [{port: "53", protocol: UDP}]}]
""")
CALICO = text("""
    apiVersion: projectcalico.org/v3
    kind: NetworkPolicy
    metadata: {name: deployment-web, namespace: shop}
    spec:
      tier: default
      order: 900
      selector: app == 'web'
      types: [Ingress, Egress]
      ingress:
        - action: Allow
          protocol: TCP
          source: {selector: app == 'proxy', namespaceSelector: kubernetes.io/metadata.name == 'edge'}
          destination: {ports: [80, 8080]}
        - {action: Allow, protocol: TCP, source: {nets: [192.0.2.0/24]}, destination: {ports: [443]}}
      egress:
        - action: Allow
          protocol: TCP
          destination:
            {selector: app == 'db', namespaceSelector: kubernetes.io/metadata.name == 'shop', ports: [5432]}
        - action: Allow
          protocol: UDP
          destination:
            {selector: app == 'dns', namespaceSelector: kubernetes.io/metadata.name == 'kube-system', ports: [53]}
""")
ENFORCED = {"kubernetes=1.31": KUBERNETES, "cilium=1.19": CILIUM, "calico=3.30": CALICO}
MONITORED = {
    "kubernetes=1.31": KUBERNETES.replace(
        "{app: web}}\n  policy", '{app: web, policy-discovery/enforce: "true"}}\n  policy'
    ),
    "kubernetes=1.31;enforcer=calico": KUBERNETES.replace("networking.k8s.io/v1", "projectcalico.org/v3")
    .replace("kind: Net", "kind: StagedKubernetesNet")
    .replace("spec:\n", "spec:\n  stagedAction: Set\n"),
    "cilium=1.19": CILIUM.replace("egress: true, ingress: true", "egress: false, ingress: false"),
    "calico=3.30": CALICO.replace("kind: Net", "kind: StagedNet").replace("spec:\n", "spec:\n  stagedAction: Set\n"),
}


def run(
    content: str | dict[str, str],
    on: str,
    mode: Mode = Mode.ENFORCE,
    *,
    intents: tuple[PolicyIntent, ...] = INTENTS,
    versions: tuple[WorkloadVersion, ...] = VERSIONS,
    skipped: frozenset[tuple[object, Direction]] = frozenset(),
) -> tuple[Diagnostic, ...]:
    """Check one file, or several."""
    texts = {"x/shop/deployment-web.yaml": content} if isinstance(content, str) else content
    return check(intents, read_policies(texts), platform(on), mode, versions, skipped)  # type: ignore[arg-type]


@pytest.mark.parametrize("on", ENFORCED)
def test_the_right_enforcing_file_passes(on: str) -> None:
    """A file that says exactly the intent has no findings."""
    assert run(ENFORCED[on], on) == ()


@pytest.mark.parametrize("on", MONITORED)
def test_the_right_monitor_file_passes(on: str) -> None:
    """The inert form of the same file has no findings in monitor mode."""
    assert run(MONITORED[on], on, Mode.MONITOR) == ()


@pytest.mark.parametrize("on", ENFORCED)
def test_modes_are_not_confused(on: str) -> None:
    """An enforcing file in monitor mode isolates, and a monitor file in enforce mode is inert."""
    assert set(codes(run(ENFORCED[on], on, Mode.MONITOR))) == {"monitor-isolates"}
    assert set(codes(run(MONITORED[on], on, Mode.ENFORCE))) == {"enforce-inert"}


BOTH = {"missing-allow", "excess-allow"}
MOVED = {"direction-missing", "unexpected-policy"}
MUTATIONS = [
    ("kubernetes=1.31", "port: 8080", "port: 8081", BOTH),
    ("kubernetes=1.31", ", {protocol: TCP, port: 8080}", "", {"missing-allow"}),
    ("kubernetes=1.31", "port: 8080", "port: 8080, endPort: 8081", {"excess-allow"}),
    ("kubernetes=1.31", "{protocol: UDP, port: 53}", "{protocol: TCP, port: 53}", BOTH),
    ("kubernetes=1.31", "  ports: [{protocol: TCP, port: 443}]", "  ports: []", {"excess-allow"}),
    (
        "kubernetes=1.31",
        "podSelector: {matchLabels: {app: proxy}}",
        "podSelector: {}",
        BOTH,
    ),
    (
        "kubernetes=1.31",
        "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}\n          pod",
        "pod",
        BOTH,
    ),
    (
        "kubernetes=1.31",
        "{kubernetes.io/metadata.name: edge}",
        "{kubernetes.io/metadata.name: edge, env: prod}",
        BOTH,
    ),
    ("kubernetes=1.31", "192.0.2.0/24", "192.0.2.0/25", {"missing-allow"}),
    ("kubernetes=1.31", "192.0.2.0/24", "192.0.2.0/23", {"excess-allow"}),
    (
        "kubernetes=1.31",
        "podSelector: {matchLabels: {app: web}}",
        "podSelector: {}",
        MOVED,
    ),
    ("kubernetes=1.31", "{app: web}}", "{app: web, x: y}}", MOVED),
    ("kubernetes=1.31", "[Ingress, Egress]", "[Ingress]", {"direction-missing", "no-effect"}),
    ("kubernetes=1.31", "  egress:\n", "  egress:\n    - {}\n", {"excess-allow"}),
    ("kubernetes=1.31", ", namespace: shop}", "}", {"namespace-assumed", "direction-missing", "unexpected-policy"}),
    ("kubernetes=1.31", "port: 5432", "port: postgres", {"odd-rule", "missing-allow"}),
    ("kubernetes=1.31", "app: db}", "app: db, app: db}", {"unreadable-yaml", "direction-missing"}),
    ("cilium=1.19", '"8080"', '"8081"', BOTH),
    ("cilium=1.19", '"k8s:app": proxy, ', "", BOTH),
    ("cilium=1.19", ', "k8s:io.kubernetes.pod.namespace": edge', "", BOTH),
    (
        "cilium=1.19",
        '"k8s:app": db,',
        '"k8s:app": db, "k8s:io.cilium.k8s.policy.cluster": c2,',
        BOTH,
    ),
    ("cilium=1.19", "egress: true", "egress: false", {"enforce-inert"}),
    ("cilium=1.19", "  egress:\n", "  egress:\n    - toEntities: [world]\n", {"excess-allow"}),
    ("cilium=1.19", "  egress:\n", "  egress:\n    - {}\n", set()),
    ("cilium=1.19", '{"k8s:app": web}', '{"k8s:app": web, "k8s:tier": x}', MOVED),
    (
        "cilium=1.19",
        "endpointSelector: {matchLabels",
        "nodeSelector: {matchLabels",
        {"not-evaluated", *MOVED},
    ),
    ("cilium=1.19", '{port: "53", protocol: UDP}', '{port: "53"}', {"excess-allow"}),
    (
        "cilium=1.19",
        '{port: "53", protocol: UDP}]',
        '{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}',
        {"odd-rule"},
    ),
    ("cilium=1.19", "fromCIDRSet: [{cidr: 192.0.2.0/24}]", "fromEntities: [world]", BOTH),
    ("cilium=1.19", "192.0.2.0/24}", "192.0.2.0/24, except: [192.0.2.7/32]}", {"missing-allow"}),
    ("calico=3.30", "8080", "8081", BOTH),
    ("calico=3.30", "[80, 8080]", '["80:8080"]', {"excess-allow"}),
    ("calico=3.30", "selector: app == 'proxy', ", "", BOTH),
    (
        "calico=3.30",
        ", namespaceSelector: kubernetes.io/metadata.name == 'edge'",
        "",
        BOTH,
    ),
    ("calico=3.30", "== 'edge'", "!= 'edge'", BOTH),
    ("calico=3.30", "selector: app == 'web'", "selector: all()", MOVED),
    ("calico=3.30", "[Ingress, Egress]", "[Egress]", {"direction-missing", "no-effect"}),
    ("calico=3.30", "  egress:\n", "  egress:\n    - {action: Allow}\n", {"excess-allow"}),
    ("calico=3.30", "  egress:\n", "  egress:\n    - {action: Deny}\n", {"odd-rule"}),
    ("calico=3.30", "tier: default", "tier: security", {"wrong-tier"}),
    ("calico=3.30", "tier: default", "tier: [x]", {"not-evaluated", *MOVED}),
    ("calico=3.30", "nets: [192.0.2.0/24]", "nets: [0.0.0.0/0]", {"excess-allow"}),
    (
        "calico=3.30",
        "  types",
        "  serviceAccountSelector: projectcalico.org/name == 'x'\n  types",
        MOVED,
    ),
]


@pytest.mark.parametrize(("on", "old", "new", "expected"), MUTATIONS)
def test_every_mutation_is_reported(on: str, old: str, new: str, expected: set[str]) -> None:
    """One changed port, dropped label, flipped posture, extra rule or type is found, and named for what it is."""
    content = ENFORCED[on]
    assert old in content
    assert set(codes(run(content.replace(old, new, 1), on))) == expected


def test_flipping_enable_default_deny_in_monitor_mode_is_reported() -> None:
    """One direction that isolates after all breaks the promise of monitor mode."""
    flipped = MONITORED["cilium=1.19"].replace("ingress: false", "ingress: true")
    assert codes(run(flipped, "cilium=1.19", Mode.MONITOR)) == ["monitor-isolates"]


def test_a_dropped_opt_in_label_is_reported() -> None:
    """A Kubernetes monitor file without the opt-in label isolates both directions."""
    found = run(KUBERNETES, "kubernetes=1.31", Mode.MONITOR)
    assert codes(found) == ["monitor-isolates", "monitor-isolates"]
    assert all(d.subject == "x/shop/deployment-web.yaml:1" and d.level is Level.ERROR for d in found)


@pytest.mark.parametrize("on", ["cilium=1.15", "cilium=1.19;enable-non-default-deny-policies=false"])
def test_a_platform_that_ignores_the_posture_is_reported(on: str) -> None:
    """Where enableDefaultDeny false does not hold, the monitor file isolates."""
    assert "monitor-isolates" in codes(run(MONITORED["cilium=1.19"], on, Mode.MONITOR))


def test_a_platform_without_staged_kinds_is_reported() -> None:
    """Staged kinds need Calico 3.30."""
    assert set(codes(run(MONITORED["calico=3.30"], "calico=3.29", Mode.MONITOR))) == {"needs-newer-platform"}


def test_nothing_written_is_a_missing_direction() -> None:
    """Every intended direction must be there."""
    assert codes(run({}, "kubernetes=1.31")) == ["direction-missing", "direction-missing"]


def test_skipped_directions_must_not_be_there() -> None:
    """A direction that the dialect could not say is not missed, and is unexpected when it is there."""
    web = VERSIONS[0].ref
    skipped: frozenset[tuple[object, Direction]] = frozenset({(web, Direction.EGRESS)})
    half = KUBERNETES[: KUBERNETES.index("  egress:")].replace("[Ingress, Egress]", "[Ingress]")
    assert run(half, "kubernetes=1.31", skipped=skipped) == ()
    assert codes(run(KUBERNETES, "kubernetes=1.31", skipped=skipped)) == ["unexpected-policy"]


def test_a_direction_that_is_not_isolated_must_not_be_written() -> None:
    """An intent without isolation grants and isolates nothing."""
    intents = (INTENTS[0], replace(INTENTS[1], isolate=False))
    assert codes(run(KUBERNETES, "kubernetes=1.31", intents=intents)) == ["unexpected-policy"]


def test_two_files_of_one_subject_are_a_union() -> None:
    """Directions may be in files of their own."""
    first = KUBERNETES[: KUBERNETES.index("  egress:")].replace("[Ingress, Egress]", "[Ingress]")
    second = (
        KUBERNETES[: KUBERNETES.index("  ingress:")].replace("[Ingress, Egress]", "[Egress]")
        + KUBERNETES[KUBERNETES.index("  egress:") :]
    )
    second = second.replace("name: deployment-web", "name: deployment-web-egress", 1)
    assert run({"k/shop/a.yaml": first, "k/shop/b.yaml": second}, "kubernetes=1.31") == ()


def test_an_allow_that_cannot_be_said_is_reported() -> None:
    """Writing the rest of a direction without it would cut learned traffic."""
    ping = Allow(peer=workload_peer("db"), protocol=Protocol.ICMP, icmp_types=(8,))
    intents = (INTENTS[0], replace(INTENTS[1], allows=(*INTENTS[1].allows, ping)))
    (found,) = run(KUBERNETES, "kubernetes=1.31", intents=intents)
    assert (found.code, found.subject) == ("inexpressible-allow", "shop/web")


@pytest.mark.parametrize(("on", "written"), [("cilium=1.19", True), ("calico=3.30", False), ("kubernetes=1.31", False)])
def test_the_own_node_on_ingress(on: str, written: bool) -> None:
    """Cilium writes the host entity, the others need no rule for it."""
    host = tcp(entity_peer(Entity.HOST, "10.0.0.1"), 9000)
    intents = (replace(INTENTS[0], allows=(*INTENTS[0].allows, host)), INTENTS[1])
    rule = '    - {fromEntities: [host], toPorts: [{ports: [{port: "9000", protocol: TCP}]}]}\n'
    assert codes(run(ENFORCED[on], on, intents=intents)) == (["missing-allow"] if written else [])
    if written:
        assert run(ENFORCED[on].replace("  egress:\n", f"{rule}  egress:\n"), on, intents=intents) == ()


def test_every_version_must_be_selected() -> None:
    """A version of the workload with other labels would not be governed."""
    versions = (*VERSIONS, version("web", {"app": "web-v2"}))
    (found,) = run(KUBERNETES, "kubernetes=1.31", versions=versions)
    assert (found.code, found.subject) == ("version-not-selected", "shop/web")


def test_no_other_workload_may_be_selected() -> None:
    """A stranger with the same labels would be isolated by evidence that is not its own."""
    stranger = version("web2", {"app": "web"})
    elsewhere = (version("web3", {"app": "web"}, namespace="other"), version("web4", {"app": "web"}, cluster="c2"))
    assert run(KUBERNETES, "kubernetes=1.31", versions=(*VERSIONS, *elsewhere)) == ()
    assert codes(run(KUBERNETES, "kubernetes=1.31", versions=(*VERSIONS, stranger))) == ["selects-other-workload"]


_PAIRS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"))


@given(subject=_PAIRS, pods=st.lists(st.tuples(_PAIRS, st.sampled_from(["shop", "edge"]), st.sampled_from(["x", "y"]))))
def test_every_other_workload_that_a_subject_selects_is_found(
    subject: dict[str, str], pods: list[tuple[dict[str, str], str, str]]
) -> None:
    """Whatever labels pods share, those that carry all of the subject's are named, and no other."""
    versions = [
        version(f"w{number}", labels, namespace=namespace, account=account)
        for number, (labels, namespace, account) in enumerate(pods)
    ]
    own = replace(intent("web", Direction.INGRESS, tcp(workload_peer("db"), 1)), subject=_subject(subject))
    found = check([own], read_policies({}), platform("kubernetes=1.31"), Mode.ENFORCE, versions)
    others = {one.message for one in found if one.code == "selects-other-workload"}
    wanted = {v for v in versions if own.subject.matches(v)}
    assert others == {f"the policy also selects 'Deployment {v.ref}'" for v in wanted}


def _subject(labels: dict[str, str]) -> Selector:
    """Return a selector of the namespace of the tests, for the service account ``x``."""
    return Selector(cluster=version("web").ref.cluster, namespace="shop", labels=Labels.of(labels), service_account="x")


def test_a_workload_without_versions_is_a_warning() -> None:
    """Without labels nothing can be said about selection."""
    found = run(KUBERNETES, "kubernetes=1.31", versions=())
    assert [(d.code, d.level) for d in found] == [("workload-without-version", Level.WARNING)]


def test_the_wrong_dialect_is_reported() -> None:
    """A Cilium file among Calico files is an error."""
    found = codes(run({"x/shop/a.yaml": CALICO, "x/shop/b.yaml": CILIUM}, "calico=3.30"))
    assert found == ["wrong-dialect"]


def test_foreign_documents_are_reported() -> None:
    """Whatever else lies in a written file is not overlooked."""
    extra = KUBERNETES + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    assert codes(run(extra, "kubernetes=1.31")) == ["not-a-policy"]


def other_cluster(intent_: PolicyIntent, cluster: str) -> PolicyIntent:
    """Return an intent moved to another cluster, its peers with it."""

    def move(selector: Selector) -> Selector:
        return replace(selector, cluster=cluster)

    allows = tuple(
        replace(a, peer=WorkloadPeer(selector=move(a.peer.selector))) if isinstance(a.peer, WorkloadPeer) else a
        for a in intent_.allows
    )
    return replace(
        intent_, workload=replace(intent_.workload, cluster=cluster), subject=move(intent_.subject), allows=allows
    )


@pytest.mark.parametrize("name", ["c2", "Prod/Ost"])
def test_clusters_are_told_apart_by_folder(name: str) -> None:
    """With several clusters the folder says which one a file is for; an odd name ends with its hash."""
    digest = hashlib.blake2b(name.encode()).hexdigest()[:8]
    folder = name if name == "c2" else f"prod-ost-{digest}"
    intents = (*INTENTS, *(other_cluster(i, name) for i in INTENTS))
    versions = (*VERSIONS, *(replace(v, ref=replace(v.ref, cluster=name)) for v in VERSIONS))
    texts = {"cilium/c1/shop/web.yaml": CILIUM, f"cilium/{folder}/shop/web.yaml": CILIUM}
    assert run(texts, "cilium=1.19", intents=intents, versions=versions) == ()
    older = run(texts, "cilium=1.18", intents=intents, versions=versions)
    assert {(d.code, d.level) for d in older} == {("peer-may-cross-clusters", Level.WARNING)}
    lost = run(
        {"cilium/c1/shop/web.yaml": CILIUM, "cilium/x/shop/web.yaml": CILIUM},
        "cilium=1.19",
        intents=intents,
        versions=versions,
    )
    assert codes(lost) == ["cluster-unknown", "direction-missing", "direction-missing"]


def test_hostile_names_are_escaped() -> None:
    """Control characters of labels and names never reach a message."""
    bad = "x\x1b[31m\u202e"
    hostile = replace(INTENTS[0], subject=replace(INTENTS[0].subject, labels=Labels.of({"app": bad})))
    for diagnostic in run(KUBERNETES, "kubernetes=1.31", intents=(hostile,)):
        assert diagnostic.message.isascii()
        assert diagnostic.message.isprintable()


EVIDENCE = Evidence(
    flow_records=1,
    connections=None,
    first_seen=0,
    last_seen=1,
    hours=1,
    days=1,
    sources=("hubble",),
    reporters=("n1",),
    client_pods=1,
    server_pods=1,
)


def workload_end(name: str, *, namespace: str = "shop") -> Endpoint:
    """Return the endpoint of a workload."""
    return Endpoint(kind=EndpointKind.WORKLOAD, workload=version(name, namespace=namespace).ref)


def edge(client: Endpoint, server: Endpoint, port: int | None, protocol: Protocol | None = Protocol.TCP) -> Edge:
    """Return an accepted edge."""
    return Edge(
        client=client,
        server=server,
        protocol=protocol,
        port=port,
        icmp_type=None,
        verdict=Verdict.ACCEPTED,
        establishment=Establishment.ESTABLISHED,
        evidence_class=EvidenceClass.HANDSHAKE,
        evidence=EVIDENCE,
    )


LEARNED = (
    edge(workload_end("proxy", namespace="edge"), workload_end("web"), 80),
    edge(Endpoint(kind=EndpointKind.EXTERNAL, addresses=("192.0.2.1", "192.0.2.128/25")), workload_end("web"), 443),
    edge(Endpoint(kind=EndpointKind.HOST, addresses=("10.0.0.1",)), workload_end("web"), 9000),
    edge(workload_end("web"), workload_end("db"), 5432),
    edge(workload_end("web"), workload_end("dns", namespace="kube-system"), 53, Protocol.UDP),
    edge(workload_end("db"), Endpoint(kind=EndpointKind.UNRESOLVED), 1),
)


@pytest.mark.parametrize(("on", "content"), [*ENFORCED.items(), *MONITORED.items()])
def test_learned_edges_are_covered_in_both_modes(on: str, content: str) -> None:
    """Every learned edge passes under the files taken as enforced."""
    assert covers(LEARNED, INTENTS, read_policies({"x/shop/web.yaml": content}), platform(on), VERSIONS) == ()


@pytest.mark.parametrize(
    ("cut", "code", "subject"),
    [
        (edge(workload_end("db"), workload_end("web"), 80), "learned-edge-cut", "shop/web"),
        (edge(workload_end("web"), workload_end("db"), 5433), "learned-edge-cut", "shop/web"),
        (
            edge(
                Endpoint(kind=EndpointKind.EXTERNAL, addresses=("192.0.2.1", "198.51.100.1")), workload_end("web"), 443
            ),
            "learned-edge-cut",
            "shop/web",
        ),
        (edge(Endpoint(kind=EndpointKind.EXTERNAL), workload_end("web"), 443), "learned-edge-unknown", "shop/web"),
        (edge(Endpoint(kind=EndpointKind.UNRESOLVED), workload_end("web"), 443), "learned-edge-unknown", "shop/web"),
        (edge(workload_end("proxy", namespace="edge"), workload_end("web"), None), "learned-edge-unknown", "shop/web"),
        (edge(workload_end("web"), workload_end("db"), None, None), "learned-edge-unknown", "shop/db"),
        (edge(workload_end("gone"), workload_end("web"), 80), "workload-without-version", "shop/gone"),
    ],
)
def test_edges_that_would_be_cut_are_reported(cut: Edge, code: str, subject: str) -> None:
    """What is denied, or not surely allowed, is named by the workload that it concerns."""
    (found,) = covers(
        [cut],
        INTENTS,
        read_policies({"x/shop/web.yaml": MONITORED["kubernetes=1.31"]}),
        platform("kubernetes=1.31"),
        VERSIONS,
    )
    assert (found.code, found.subject, found.level) == (code, subject, Level.ERROR)


def test_every_version_of_an_edge_is_tried() -> None:
    """A client version that no peer selects would be cut."""
    versions = (*VERSIONS, version("proxy", {"app": "other"}, namespace="edge"))
    found = covers(
        LEARNED, INTENTS, read_policies({"x/shop/web.yaml": KUBERNETES}), platform("kubernetes=1.31"), versions
    )
    assert codes(found) == ["learned-edge-cut"]


def test_rules_that_were_kept_must_be_there() -> None:
    """A file that takes the place of another says what both say: a rule by hand is no excess, and its loss is told."""
    rule = "from: [{podSelector: {matchLabels: {app: job}}}]\n      ports: [{protocol: TCP, port: 7000}]"
    by_hand = f"\n    - {rule}\n  egress:"
    old = read_policies({"old.yaml": KUBERNETES.replace("\n  egress:", by_hand, 1)}).policies
    on = platform("kubernetes=1.31")

    def found(content: str) -> list[str]:
        read = read_policies({"kubernetes/shop/new.yaml": content})
        return codes(check(INTENTS[:1], read, on, Mode.ENFORCE, VERSIONS, kept=old))

    assert found(KUBERNETES.replace("\n  egress:", by_hand, 1)) == []
    assert "kept-rule-lost" in found(KUBERNETES)


def test_sides_that_were_not_written_are_not_the_fault_of_the_files() -> None:
    """What policies that are there do to a learned edge is a warning, where nothing could be added."""
    read = read_policies({"kubernetes/shop/new.yaml": KUBERNETES})
    learned = [edge(workload_end("db"), workload_end("web"), 5432)]
    on = platform("kubernetes=1.31")
    assert codes(covers(learned, INTENTS, read, on, VERSIONS)) == ["learned-edge-cut"]
    asked = frozenset(intent_.workload for intent_ in INTENTS)
    beside = Beside(policies=(), tiers=(), written=frozenset(), subjects=asked)
    (told,) = covers(learned, INTENTS, read, on, VERSIONS, beside)
    assert (told.code, told.level) == ("existing-cuts", Level.WARNING)
    assert covers(learned, INTENTS, read, on, VERSIONS, replace(beside, subjects=frozenset())) == ()
