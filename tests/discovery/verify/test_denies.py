"""Explicit denies: whatever an existing policy denies on purpose is found, and doubt counts as denied."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Edge, Endpoint, Protocol
from discovery.model.workload import EndpointKind, WorkloadVersion
from discovery.verify.denies import denied_edges, may_select, read_denies
from discovery.verify.rules import PodMatch
from tests.discovery.learn.builders import edge, other, outside, ping, pod, ref, version
from tests.discovery.verify.builders import text

VERSIONS = (version("web"), version("db"), version(ref("cron", namespace="batch")))
WEB_TO_DB = edge("web", "db", 5432)


def cilium(body: str, *, kind: str = "CiliumNetworkPolicy", namespace: str | None = "shop") -> str:
    """Return a Cilium manifest with this body below ``spec``'s level."""
    place = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: p{place}}}\n" + text(body)


def calico(body: str, *, kind: str = "NetworkPolicy", namespace: str | None = "shop") -> str:
    """Return a Calico manifest with this body below ``spec``'s level."""
    place = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: p{place}}}\n" + text(body)


def denied(manifest: str | bytes, *edges: Edge, versions: tuple[WorkloadVersion, ...] = VERSIONS) -> list[Edge]:
    """Return which of the edges a manifest denies, in the order given."""
    found = denied_edges(read_denies({"p.yaml": manifest}), edges, versions)
    return [one for one in edges if one in found]


DB_DENIES_WEB = cilium(
    """
    spec:
      endpointSelector: {matchLabels: {app: db}}
      ingress: [{fromEntities: [all]}]
      ingressDeny:
      - fromEndpoints: [{matchLabels: {app: web}}]
        toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """
)


def test_a_cilium_deny_matches_its_peer_port_and_direction_alone() -> None:
    """An exact deny denies exactly what it says."""
    others = (edge("web", "db", 5433), edge("db", "web", 5432), edge(pod("cron", namespace="batch"), "db", 5432))
    assert denied(DB_DENIES_WEB, WEB_TO_DB, *others) == [WEB_TO_DB]


def test_allow_sections_deny_nothing() -> None:
    """A manifest without a deny is no deny, whatever else it says."""
    manifest = cilium("spec: {endpointSelector: {}, ingress: [{fromEntities: [all]}], ingressDeny: []}")
    assert read_denies({"p": manifest}) == ()


def test_every_spec_is_read() -> None:
    """Denies in ``specs`` count like those in ``spec``."""
    manifest = cilium(
        """
        specs:
        - {endpointSelector: {}, ingress: [{}]}
        - {endpointSelector: {matchLabels: {app: web}}, egressDeny: [{toEndpoints: [{matchLabels: {app: db}}]}]}
        """
    )
    assert denied(manifest, WEB_TO_DB, edge("db", "web")) == [WEB_TO_DB]


@pytest.mark.parametrize(
    "body",
    [
        "specs: 5",
        "specs: {a: {egressDeny: [{}]}}",
        "spec: 5",
        "spec: [5]",
        "spec: {endpointSelector: {}, egressDeny: 5}",
        "spec: {endpointSelector: 5, egressDeny: [{}]}",
        "spec: {egressDeny: [null, 5, x, {}]}",
        "spec: {endpointSelector: {matchLabels: 5}, egressDeny: {a: b}}",
        "spec: {ingress: 5, egress: x}",
        "spec: {ingress: [5, null, {action: 5}]}",
        "spec: {selector: 5, egress: [{action: Deny, destination: 5}]}",
        "spec: {egress: {action: Deny}}",
        "spec: {types: 5, ingress: [{action: Deny, source: {nets: [5]}}]}",
        "metadata: 5\nspec: {egressDeny: [{}]}",
        "x: 2026-13-45",
        "items: 5",
    ],
)
def test_malformed_manifests_never_raise(body: str) -> None:
    """A field of the wrong type is no reason to stop, in any dialect."""
    for head in (
        "cilium.io/v2\nkind: CiliumNetworkPolicy",
        "projectcalico.org/v3\nkind: NetworkPolicy",
        "x\nkind: List",
    ):
        read_denies({"p": f"apiVersion: {head}\n{body}\n"})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "spec",
                        "specs",
                        "ingressDeny",
                        "egressDeny",
                        "ingress",
                        "egress",
                        "action",
                        "selector",
                        "endpointSelector",
                    ]
                ),
                inner | st.just("Deny"),
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_any_shape_is_read_without_an_error(spec: Any) -> None:
    """Whatever stands below ``spec``, reading it ends, and what it gives can be held against edges."""
    for api, kind in (("cilium.io/v2", "CiliumClusterwideNetworkPolicy"), ("projectcalico.org/v3", "NetworkPolicy")):
        manifest = {"apiVersion": api, "kind": kind, "metadata": {"name": "p"}, "spec": spec, "specs": spec}
        denied(json.dumps(manifest), WEB_TO_DB, edge("web", outside("192.0.2.1")))


@pytest.mark.parametrize(
    "content",
    ["a: [1\n", "a: &x 1\nb: *x\n", "a: 1\na: 2\n", "a: 2026-13-45\n", b"\xff\xfe", "a: !!python/name:os.system x"],
)
def test_a_file_that_cannot_be_read_may_deny_everything(content: str | bytes) -> None:
    """Nobody knows what an unreadable file denies, so nothing audited is learned beside it."""
    assert denied(content, WEB_TO_DB, edge("web", outside("192.0.2.1"))) != []


def test_a_deny_behind_a_duplicate_key_is_not_lost() -> None:
    """The second of two equal keys would win silently in a lenient loader: the file counts as unreadable."""
    assert denied(DB_DENIES_WEB + "spec: {}\n", WEB_TO_DB) == [WEB_TO_DB]


@pytest.mark.parametrize(
    "rule",
    [
        "{}",
        "null",
        "{fromRequires: [{}]}",
        "{fromEndpoints: [{matchExpressions: [{key: app, operator: Exists}]}]}",
        "{fromEntities: [cluster]}",
        '{toPorts: [{ports: [{port: "postgres"}]}]}',
        "{fromCIDR: [not-a-prefix]}",
    ],
)
def test_a_deny_rule_that_cannot_be_read_matches_everything_of_its_subject(rule: str) -> None:
    """Doubt about a rule denies all that its subject takes part in, in the direction of the rule, and nothing else."""
    manifest = cilium(f"spec: {{endpointSelector: {{matchLabels: {{app: db}}}}, ingressDeny: [{rule}]}}")
    assert denied(manifest, WEB_TO_DB, edge("db", "web"), edge("db", outside("192.0.2.1"))) == [WEB_TO_DB]


@pytest.mark.parametrize("selector", ["{matchExpressions: [{key: app, operator: Is}]}", "5", "null"])
def test_a_deny_whose_subject_cannot_be_read_may_select_all_of_its_namespace(selector: str) -> None:
    """Doubt about the subject spreads over the namespace, not over the cluster."""
    manifest = cilium(f"spec: {{endpointSelector: {selector}, ingressDeny: [{{fromEntities: [world]}}]}}")
    elsewhere = edge("web", pod("cron", namespace="batch"))
    assert denied(manifest, WEB_TO_DB, elsewhere) == [WEB_TO_DB]


def test_a_manifest_without_a_namespace_may_land_anywhere() -> None:
    """Where kubectl would have put it is not known."""
    manifest = cilium("spec: {endpointSelector: {}, egressDeny: [{toEntities: [all]}]}", namespace=None)
    assert denied(manifest, WEB_TO_DB, edge(pod("cron", namespace="batch"), "db")) != []
    assert all(deny.subject.namespace is None for deny in read_denies({"p": manifest}))


def test_clusterwide_cilium_denies_are_exact() -> None:
    """A cluster-wide policy means any namespace where it names none, and the one it names where it does."""
    body = (
        "spec: {{endpointSelector: {{matchLabels: {{{own}}}}}, "
        "egressDeny: [{{toEndpoints: [{{matchLabels: {{app: db}}}}]}}]}}"
    )
    everywhere = cilium(body.format(own=""), kind="CiliumClusterwideNetworkPolicy", namespace=None)
    batch = cilium(
        body.format(own='"k8s:io.kubernetes.pod.namespace": batch'),
        kind="CiliumClusterwideNetworkPolicy",
        namespace=None,
    )
    job = edge(pod("cron", namespace="batch"), "db")
    back = edge("db", pod("cron", namespace="batch"))
    assert denied(everywhere, WEB_TO_DB, job, back) == [WEB_TO_DB, job]
    assert denied(batch, WEB_TO_DB, job, back) == [job]


CALICO_DENY = """
spec:
  tier: security
  order: 10
  selector: app == 'web'
  types: [Egress]
  egress:
  - {action: Log}
  - action: Deny
    metadata: {annotations: {why: incident}}
    protocol: TCP
    destination: {selector: app == 'db', ports: [5432]}
  - {action: Allow}
"""


@pytest.mark.parametrize(
    "kind", ["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"]
)
def test_calico_denies_are_exact_in_any_tier(kind: str) -> None:
    """Tier, order and the rules around a deny do not blur what it denies."""
    manifest = calico(CALICO_DENY, kind=kind, namespace=None if "Global" in kind else "shop")
    assert denied(manifest, WEB_TO_DB, edge("web", "db", 80), edge("db", "web", 5432)) == [WEB_TO_DB]


def test_global_calico_denies_reach_every_namespace() -> None:
    """A global policy's peers without a namespace selector are those of any namespace."""
    manifest = calico(
        "spec: {selector: all(), egress: [{action: deny, destination: {selector: app == 'db'}}]}",
        kind="GlobalNetworkPolicy",
        namespace=None,
    )
    job = edge(pod("cron", namespace="batch"), "db")
    assert denied(manifest, job, edge("db", pod("cron", namespace="batch"))) == [job]


def test_the_stored_form_of_calico_policies_is_read() -> None:
    """``crd.projectcalico.org/v1`` is how the same policies lie in etcd."""
    stored = calico(CALICO_DENY).replace("projectcalico.org/v3", "crd.projectcalico.org/v1")
    assert denied(stored, WEB_TO_DB, edge("web", "db", 80)) == [WEB_TO_DB]


@pytest.mark.parametrize(
    "rule",
    [
        "{action: Deny, destination: {notSelector: app == 'x'}}",
        "{action: Deny, http: {methods: [GET]}}",
        "{action: Deny, source: {ports: [1]}}",
        "{action: Deny, destination: {domains: [example.com]}}",
    ],
)
def test_calico_denies_that_cannot_be_read_match_their_subject(rule: str) -> None:
    """Negations, HTTP, source ports and domains are not evaluated: they may match."""
    manifest = calico(f"spec: {{selector: app == 'web', egress: [{rule}]}}")
    assert denied(manifest, WEB_TO_DB, edge("db", "web")) == [WEB_TO_DB]


def test_a_deny_in_the_wrong_place_counts() -> None:
    """Nothing that says "deny" is passed over because it stands where no reader looks."""
    manifest = calico("spec: {selector: all(), egress: {first: {action: Deny}}}")
    assert denied(manifest, WEB_TO_DB) == [WEB_TO_DB]


def test_cluster_policies_of_kubernetes_that_deny_may_deny_anything() -> None:
    """AdminNetworkPolicy is not evaluated; with a deny it counts everywhere, without one nowhere."""
    head = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}\n"
    assert denied(head + "spec: {ingress: [{action: Deny}]}", WEB_TO_DB) == [WEB_TO_DB]
    assert denied(head + "spec: {ingress: [{action: Allow}]}", WEB_TO_DB) == []


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (outside("192.0.2.1"), True),
        (outside("198.51.100.1", "192.0.2.255"), True),
        (outside("198.51.100.1"), False),
        (outside("2001:db8::1"), False),
        (outside(), True),
        (outside("not-an-address"), True),
        (outside("192.0.0.0/16", exact=False), True),
        (outside("192.0.2.64/26", exact=False), True),
        (outside("198.51.100.0/24", exact=False), False),
        (other(EndpointKind.REMOTE_NODE, "192.0.2.9"), True),
        (other(EndpointKind.REMOTE_NODE, "10.0.0.9"), False),
        (other(EndpointKind.HOST), True),
    ],
)
def test_prefixes_are_tested_by_containment(end: Endpoint, expected: bool) -> None:
    """One address inside is enough; an address that nobody knows counts as inside."""
    manifest = cilium("spec: {endpointSelector: {}, egressDeny: [{toCIDRSet: [{cidr: 192.0.2.0/24}]}]}")
    one = edge("web", end)
    assert denied(manifest, one) == ([one] if expected else [])


def test_excepted_prefixes_are_not_denied() -> None:
    """A hole in a denied prefix is a hole."""
    manifest = cilium(
        "spec: {endpointSelector: {}, egressDeny: [{toCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.8/29]}]}]}"
    )
    inside, hole = edge("web", outside("192.0.2.1")), edge("web", outside("192.0.2.9"))
    assert denied(manifest, inside, hole) == [inside]


def test_prefixes_mean_pods_in_calico_and_never_in_cilium() -> None:
    """A pod's address is not known to an edge, so a Calico deny by prefix may match it."""
    assert denied(cilium("spec: {endpointSelector: {}, egressDeny: [{toCIDR: [10.0.0.0/8]}]}"), WEB_TO_DB) == []
    rule = "{action: Deny, destination: {nets: [10.0.0.0/8]}}"
    assert denied(calico(f"spec: {{selector: app == 'web', egress: [{rule}]}}"), WEB_TO_DB) == [WEB_TO_DB]


@given(
    prefix=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda given: ip_network(given, strict=False)),
    numbers=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    near=st.booleans(),
)
def test_containment_agrees_with_the_standard_library(prefix: Any, numbers: list[int], near: bool) -> None:
    """For any prefix and addresses, a deny matches exactly when one of them is in it."""
    first, size = int(prefix.network_address), prefix.num_addresses
    addresses = [ip_address((first + number % (2 * size)) % 2**32 if near else number) for number in numbers]
    manifest = cilium(f"spec: {{endpointSelector: {{}}, egressDeny: [{{toCIDR: [{prefix}]}}]}}")
    one = edge("web", outside(*map(str, addresses)))
    assert bool(denied(manifest, one)) == any(address in prefix for address in addresses)


@pytest.mark.parametrize(
    ("entity", "kinds"),
    [
        ("world", {EndpointKind.EXTERNAL, EndpointKind.KUBE_APISERVER}),
        ("host", {EndpointKind.HOST, EndpointKind.KUBE_APISERVER}),
        ("remote-node", {EndpointKind.REMOTE_NODE, EndpointKind.KUBE_APISERVER}),
        ("kube-apiserver", {EndpointKind.KUBE_APISERVER}),
        ("health", {EndpointKind.HEALTH}),
        ("all", set(EndpointKind)),
    ],
)
def test_entities(entity: str, kinds: set[EndpointKind]) -> None:
    """An entity is itself; the API server may also be a node or outside."""
    manifest = cilium(f"spec: {{endpointSelector: {{}}, egressDeny: [{{toEntities: [{entity}]}}]}}")
    ends = {kind: pod("db") if kind is EndpointKind.WORKLOAD else other(kind, "192.0.2.1") for kind in EndpointKind}
    assert {kind for kind, end in ends.items() if denied(manifest, edge("web", end))} == kinds


def test_icmp_and_content_that_is_not_known() -> None:
    """ICMP is denied by type; an edge without port or type is denied only where everything is."""
    echo = cilium("spec: {endpointSelector: {}, egressDeny: [{toEntities: [all], icmps: [{fields: [{type: 8}]}]}]}")
    everything = cilium("spec: {endpointSelector: {}, egressDeny: [{toEntities: [all]}]}")
    unknown = (ping("web", "db", None), edge("web", "db", None), edge("web", "db", None, protocol=None))
    assert denied(echo, ping("web", "db"), ping("web", "db", 0), *unknown) == [ping("web", "db")]
    assert denied(everything, ping("web", "db"), *unknown) == [ping("web", "db"), *unknown[:2]]
    assert denied(everything, edge("web", "db", protocol=Protocol.SCTP)) != []


def test_lists_in_lists_and_typed_lists_are_opened() -> None:
    """What ``kubectl get -o json`` or the API itself returns is searched to the bottom."""
    import yaml

    manifest = yaml.safe_load(DB_DENIES_WEB)
    bare = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    nested = {"kind": "List", "items": [{"kind": "List", "items": [None, 5, manifest]}]}
    typed = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicyList", "items": [bare]}
    for document in (nested, typed):
        assert denied(json.dumps(document), WEB_TO_DB, edge("web", "db", 1)) == [WEB_TO_DB]


def test_subjects_of_unknown_attributes_may_be_selected() -> None:
    """A service account or namespace label that no source reported may be the one that is asked for."""
    match = PodMatch(namespace="shop", service_account="build")
    assert may_select(match, version("web"))
    assert may_select(match, version("web", account="build"))
    assert not may_select(match, version("web", account="other"))
    assert not may_select(PodMatch(namespace="pay"), version("web"))
    assert not may_select(PodMatch(cluster="c2"), version("web"))


def test_a_workload_without_a_version_may_be_selected() -> None:
    """An edge whose workload nobody described is held against the place alone."""
    assert denied(DB_DENIES_WEB, WEB_TO_DB, edge("web", pod("db", namespace="pay"), 5432), versions=()) == [WEB_TO_DB]


def test_denies_know_their_place_and_direction() -> None:
    """A deny carries its source line, its direction and what it was read from."""
    found = read_denies({"b.yaml": "# comment\n" + DB_DENIES_WEB, "a.yaml": ""})
    assert [(deny.source, deny.direction, deny.complete, str(deny)) for deny in found] == [
        ("b.yaml:2", Direction.INGRESS, True, "CiliumNetworkPolicy shop/p")
    ]
