"""Tests of discovery.verify.cilium_peers: who the L3 members of rules mean, by Cilium's policy reference."""

from __future__ import annotations

import pytest

from discovery.model.workload import Entity, Labels
from discovery.verify.cilium_peers import read_peers, read_pods, read_selector
from discovery.verify.conditions import ACCOUNT_NAME, NAMESPACE_NAME, Operator, Requirement, Scope
from discovery.verify.context import NO_CONTEXT, CidrGroup, Context
from discovery.verify.ends import AddressEnd, End, EntityEnd, PeerMatcher, PodEnd
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.nets import parse_prefix
from discovery.verify.rules import AnyMatch, CidrMatch, EntityMatch, NameMatch, PeerMatch, PodMatch, UnclearMatch
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import platform, pod, version

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
CLUSTER = "k8s:io.cilium.k8s.policy.cluster"
ACCOUNT = "k8s:io.cilium.k8s.policy.serviceaccount"
NAMESPACE_LABEL = "k8s:io.cilium.k8s.namespace.labels."
APP = Labels.of({"app": "x"})
GROUPS = Context(
    cidr_groups={
        name: CidrGroup(name=name, labels=Labels.of(labels), networks=tuple(map(parse_prefix, nets)))
        for name, labels, nets in (
            ("a", {"team": "x", "kind": "saas"}, ["10.0.0.0/9"]),
            ("b", {"team": "x"}, ["10.128.0.0/9"]),
            ("c", {"team": "y"}, ["192.0.2.0/24", "2001:db8::/32"]),
            ("empty", {"team": "z"}, []),
        )
    }
)


def pods(namespace: str | None = "shop", **labels: str) -> PodMatch:
    """Return the match of pods by namespace and labels."""
    return PodMatch(namespace=namespace, labels=Labels.of(labels))


def peers(kind: str, value: object, context: Context = GROUPS) -> tuple[PeerMatch, ...]:
    """Read one L3 member of a policy in shop."""
    return read_peers(kind, value, "w", "shop", context)


def asks(scope: Scope, key: str, operator: Operator, *values: str) -> Requirement:
    """Return one requirement."""
    return Requirement(scope=scope, key=key, operator=operator, values=values)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ({}, PodMatch(namespace="shop")),
        ({"app": "x"}, PodMatch(namespace="shop", labels=APP)),
        ({"k8s:app": "x"}, PodMatch(namespace="shop", labels=APP)),
        ({"any:app": "x"}, PodMatch(namespace="shop", labels=APP)),
        ({"k8s:app": ""}, pods(app="")),
        ({NAMESPACE: "far"}, PodMatch(namespace="far")),
        ({"io.kubernetes.pod.namespace": "far"}, PodMatch(namespace="far")),
        ({"any:io.kubernetes.pod.namespace": "far", "app": "x"}, PodMatch(namespace="far", labels=APP)),
        ({ACCOUNT: "sa"}, PodMatch(namespace="shop", service_account="sa")),
        ({CLUSTER: "c2"}, PodMatch(cluster="c2", namespace="shop")),
        ({CLUSTER: "c2", NAMESPACE: "far"}, PodMatch(cluster="c2", namespace="far")),
        ({f"{NAMESPACE_LABEL}env": "prod"}, PodMatch(namespace_labels=Labels.of({"env": "prod"}))),
        ({f"{NAMESPACE_LABEL}{NAMESPACE_NAME}": "far"}, PodMatch(namespace="far")),
        ({f"{NAMESPACE_LABEL}env": "prod", "app": "x"},
         PodMatch(labels=APP, namespace_labels=Labels.of({"env": "prod"}))),
        ({f"{NAMESPACE_LABEL}env": "prod", NAMESPACE: "far"},
         PodMatch(namespace="far", namespace_labels=Labels.of({"env": "prod"}))),
        ({"app.kubernetes.io/name": "x"}, pods(**{"app.kubernetes.io/name": "x"})),
        ({"job-name": "x"}, pods(**{"job-name": "x"})),
        ({"batch.kubernetes.io/job-name": "x"}, pods(**{"batch.kubernetes.io/job-name": "x"})),
        ({"helm.sh/chart": "x"}, pods(**{"helm.sh/chart": "x"})),
        ({"version": "1"}, pods(version="1")),
    ],
)  # fmt: skip
def test_labels_of_peers(labels: dict[str, str], match: PodMatch) -> None:
    """Every form of key; without one of a namespace (its name or a label of it) peers are in the policy's own."""
    assert read_selector({"matchLabels": labels}, "w", "shop") == match


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ({}, PodMatch()),
        ({"app": "x"}, PodMatch(labels=APP)),
        ({NAMESPACE: "far"}, PodMatch(namespace="far")),
        ({f"{NAMESPACE_LABEL}env": "prod"}, PodMatch(namespace_labels=Labels.of({"env": "prod"}))),
    ],
)
def test_peers_of_a_clusterwide_policy_are_in_every_namespace(labels: dict[str, str], match: PodMatch) -> None:
    """Unless a key of a namespace says where."""
    assert read_selector({"matchLabels": labels}, "w", None) == match


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        (("app", "In", ["x"]), PodMatch(namespace="shop", labels=APP)),
        (("app", "In", ["y", "x"]), PodMatch(namespace="shop", where=(asks(Scope.POD, "app", Operator.IN, "x", "y"),))),
        (("k8s:app", "NotIn", ["x"]),
         PodMatch(namespace="shop", where=(asks(Scope.POD, "app", Operator.NOT_IN, "x"),))),
        (("any:app", "Exists", None), PodMatch(namespace="shop", where=(asks(Scope.POD, "app", Operator.HAS),))),
        (("app", "DoesNotExist", []), PodMatch(namespace="shop", where=(asks(Scope.POD, "app", Operator.LACKS),))),
        ((NAMESPACE, "In", ["far"]), PodMatch(namespace="far")),
        ((NAMESPACE, "In", ["a", "b"]),
         PodMatch(where=(asks(Scope.NAMESPACE, NAMESPACE_NAME, Operator.IN, "a", "b"),))),
        ((NAMESPACE, "NotIn", ["a"]), PodMatch(where=(asks(Scope.NAMESPACE, NAMESPACE_NAME, Operator.NOT_IN, "a"),))),
        ((NAMESPACE, "Exists", None), PodMatch(where=(asks(Scope.NAMESPACE, NAMESPACE_NAME, Operator.HAS),))),
        ((f"{NAMESPACE_LABEL}env", "NotIn", ["dev"]),
         PodMatch(where=(asks(Scope.NAMESPACE, "env", Operator.NOT_IN, "dev"),))),
        ((f"{NAMESPACE_LABEL}env", "Exists", None), PodMatch(where=(asks(Scope.NAMESPACE, "env", Operator.HAS),))),
        ((ACCOUNT, "In", ["sa"]), PodMatch(namespace="shop", service_account="sa")),
        ((ACCOUNT, "NotIn", ["sa"]),
         PodMatch(namespace="shop", where=(asks(Scope.ACCOUNT, ACCOUNT_NAME, Operator.NOT_IN, "sa"),))),
        ((CLUSTER, "In", ["c2"]), PodMatch(cluster="c2", namespace="shop")),
    ],
)  # fmt: skip
def test_expressions_of_peers(expression: tuple[str, str, list[str] | None], match: PodMatch) -> None:
    """All four operators on every kind of key; any key of a namespace removes the policy's own."""
    key, operator, values = expression
    item = {"key": key, "operator": operator, **({} if values is None else {"values": values})}
    assert read_pods({"matchExpressions": [item]}, "w", "shop") == match


def test_expressions_on_one_key_are_joined() -> None:
    """Several expressions must all hold."""
    expressions = [
        {"key": "app", "operator": "Exists"},
        {"key": "app", "operator": "NotIn", "values": ["x"]},
        {"key": "app", "operator": "NotIn", "values": ["y"]},
    ]
    found = read_pods({"matchExpressions": expressions}, "w", "shop")
    truths = [found.selects(version("p", labels)) for labels in ({"app": "z"}, {"app": "x"}, {"app": "y"}, {})]
    assert truths == [Truth.YES, Truth.NO, Truth.NO, Truth.NO]


@pytest.mark.parametrize("entity", sorted(set(Entity) - {Entity.WORLD}))
@pytest.mark.parametrize("form", ["label", "expression", "in"])
def test_reserved_labels_are_entities(entity: Entity, form: str) -> None:
    """A selector of a reserved label means that entity, in no namespace."""
    key = f"reserved:{entity.value}"
    forms: dict[str, dict[str, object]] = {
        "label": {"matchLabels": {key: ""}},
        "expression": {"matchExpressions": [{"key": key, "operator": "Exists"}]},
        "in": {"matchExpressions": [{"key": key, "operator": "In", "values": [""]}]},
    }
    assert read_selector(forms[form], "w", "shop") == EntityMatch(entity=entity)


def test_the_reserved_label_of_the_outside_may_mean_it() -> None:
    """In a cluster of both address families the outside has the labels world-ipv4 and world-ipv6, not world; the entity
    stands for all three. Never does the label mean a pod.
    """
    match = read_selector({"matchLabels": {"reserved:world": ""}}, "w", "shop")
    covers = PeerMatcher(platform("cilium=1.19")).covers
    subject = version("p")
    assert covers(match, AddressEnd(address="192.0.2.1"), subject) is Truth.MAYBE
    assert covers(match, pod("p"), subject) is Truth.NO
    assert covers(match, EntityEnd(entity=Entity.HOST), subject) is Truth.NO


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"reserved:host": "", "app": "x"}},
        {"matchLabels": {"reserved:host": "", "reserved:health": ""}},
        {"matchLabels": {"reserved:unknown": ""}},
        {"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "reserved:host", "operator": "NotIn", "values": [""]}]},
        {"matchLabels": {"k8s:": "x"}},
        {"matchLabels": {"": "x"}},
        {"matchLabels": {"cidr:10.0.0.0/8": ""}},
        {"matchLabels": {"fqdn:example.com": ""}},
        {"matchLabels": {"node:x": ""}},
        {"matchLabels": {"container:x": ""}},
        {"matchLabels": {":app": "x"}},
        {"matchLabels": {"app": 1}},
        {"matchLabels": ["app"]},
        {"matchExpressions": [{"key": CLUSTER, "operator": "NotIn", "values": ["c2"]}]},
        {"matchExpressions": [{"key": CLUSTER, "operator": "In", "values": ["c1", "c2"]}]},
        {"matchExpressions": [{"key": "app", "operator": "Is"}]},
        {"matchExpressions": [{"key": "app", "operator": "In"}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]},
        {"matchExpressions": [{"operator": "Exists"}]},
        {"matchExpressions": ["app"]},
        {"matchExpressions": {}},
        {"labels": {}},
        "app",
        3,
    ],
)
def test_selectors_that_cannot_be_read_are_located(selector: object) -> None:
    """Other label sources, joined reserved labels, several clusters and malformed content are findings."""
    with pytest.raises(NotEvaluatedError, match=r"^w\[1\]"):
        peers("Endpoints", [{}, selector])


@pytest.mark.parametrize(
    "key",
    [
        "io.kubernetes.container.name",
        "kubernetes.io/arch",
        "k8s.io/x",
        "pod-template-generation",
        "pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "annotation.x",
        "etcd_node",
        "topology.kubernetes.io/zone",
        "beta.kubernetes.io/arch",
        "node.beta.kubernetes.io/x",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/controller-uid",
    ],
)
def test_labels_outside_of_identities_match_nothing_that_is_known(key: str) -> None:
    """Cilium leaves them out by default, an operator may not: a finding, never a match."""
    for form in (key, f"k8s:{key}", f"any:{key}"):
        with pytest.raises(NotEvaluatedError, match=r"^w: label .* not part of a Cilium identity"):
            read_selector({"matchLabels": {form: "x"}}, "w", "shop")
    labels = {f"{NAMESPACE_LABEL}{key}": "x"}
    assert read_selector({"matchLabels": labels}, "w", "shop") == PodMatch(namespace_labels=Labels.of({key: "x"}))


@pytest.mark.parametrize("entity", list(Entity))
def test_entities(entity: Entity) -> None:
    """Each name of the schema that is an identity of its own."""
    assert peers("Entities", [entity.value]) == (EntityMatch(entity=entity),)


def test_all_is_anybody_and_none_is_nobody() -> None:
    """The two names that are no identity."""
    assert peers("Entities", ["all"]) == (AnyMatch(),)
    assert peers("Entities", ["none"]) == ()
    assert peers("Entities", ["none", "host"]) == (EntityMatch(entity=Entity.HOST),)


def test_the_cluster_is_everything_in_it() -> None:
    """Every pod of the local cluster and every entity but the world; no pod of another cluster."""
    (cluster,) = peers("Entities", ["cluster"])
    matcher = PeerMatcher(platform("cilium=1.19"))
    subject = version("web")
    inside: list[End] = [EntityEnd(entity=entity) for entity in Entity if entity is not Entity.WORLD]
    inside += [PodEnd(version=version("p", namespace=name)) for name in ("shop", "kube-system")]
    assert {matcher.covers(cluster, end, subject) for end in inside} == {Truth.YES}
    outside: list[End] = [EntityEnd(entity=Entity.WORLD), PodEnd(version=version("p", cluster="c2"))]
    assert {matcher.covers(cluster, end, subject) for end in outside} == {Truth.NO}


@pytest.mark.parametrize("value", ["world-ipv4", "cluster-mesh", "HOST", "", None, 3, ["host"], {}])
def test_other_entities_are_findings(value: object) -> None:
    """Names that are not evaluated and what is no name."""
    with pytest.raises(NotEvaluatedError, match=r"^w: entity"):
        peers("Entities", ["host", value])


@pytest.mark.parametrize(
    ("kind", "value", "prefixes"),
    [
        ("CIDR", ["10.0.0.0/8"], ("10.0.0.0/8",)),
        ("CIDR", ["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"], ("10.0.0.0/8", "2001:db8::/32")),
        ("CIDR", ["192.0.2.1"], ("192.0.2.1/32",)),
        ("CIDR", ["2001:db8::1"], ("2001:db8::1/128",)),
        ("CIDRSet", [{"cidr": "10.0.0.0/8"}], ("10.0.0.0/8",)),
        ("CIDRSet", [{"cidr": "10.0.0.0/30", "except": ["10.0.0.0/31", "10.0.0.2/32"]}], ("10.0.0.3/32",)),
        ("CIDRSet", [{"cidr": "10.0.0.0/30", "except": []}], ("10.0.0.0/30",)),
        ("CIDRSet", [{"cidrGroupRef": "a"}], ("10.0.0.0/9",)),
        ("CIDRSet", [{"cidrGroupRef": "a"}, {"cidrGroupRef": "b"}], ("10.0.0.0/8",)),
        ("CIDRSet", [{"cidrGroupRef": "c", "cidr": None}], ("192.0.2.0/24", "2001:db8::/32")),
        ("CIDRSet", [{"cidrGroupSelector": {"matchLabels": {"team": "x"}}}], ("10.0.0.0/8",)),
        ("CIDRSet", [{"cidrGroupSelector": {"matchLabels": {"team": "x", "kind": "saas"}}}], ("10.0.0.0/9",)),
        ("CIDRSet", [{"cidrGroupSelector": {"matchExpressions": [{"key": "kind", "operator": "Exists"}]}}],
         ("10.0.0.0/9",)),
        ("CIDRSet", [{"cidrGroupSelector": {"matchExpressions": [
            {"key": "team", "operator": "In", "values": ["x", "y"]},
            {"key": "kind", "operator": "DoesNotExist"},
        ]}}], ("10.128.0.0/9", "192.0.2.0/24", "2001:db8::/32")),
        ("CIDRSet", [{"cidrGroupSelector": {}}], ("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32")),
    ],
)  # fmt: skip
def test_prefixes(kind: str, value: object, prefixes: tuple[str, ...]) -> None:
    """Prefixes, bare addresses, exceptions, and groups by name or by labels are one union."""
    assert peers(kind, value) == (CidrMatch(prefixes=prefixes),)


@pytest.mark.parametrize("value", [[{"cidrGroupRef": "empty"}], [{"cidr": "10.0.0.0/31", "except": ["10.0.0.0/31"]}]])
def test_no_prefix_is_nobody(value: object) -> None:
    """A group without prefixes, or exceptions that leave nothing."""
    assert peers("CIDRSet", value) == ()


@pytest.mark.parametrize(
    ("kind", "item", "where"),
    [
        ("CIDR", "10.0.0.0/33", "w[0]"),
        ("CIDR", "10.0.0.0/255.0.0.0", "w[0]"),
        ("CIDR", "example.com", "w[0]"),
        ("CIDR", "", "w[0].cidr"),
        ("CIDR", None, "w[0]"),
        ("CIDR", 10, "w[0].cidr"),
        ("CIDR", {"cidr": "10.0.0.0/8"}, "w[0].cidr"),
        ("CIDRSet", {}, "w[0]"),
        ("CIDRSet", "10.0.0.0/8", "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "cidrGroupRef": "a"}, "w[0]"),
        ("CIDRSet", {"cidrGroupSelector": {}, "cidrGroupRef": "a"}, "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "extra": 1}, "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}, "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "except": ["::/64"]}, "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}, "w[0]"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "except": "10.0.0.0/9"}, "w[0].except"),
        ("CIDRSet", {"cidr": "10.0.0.0/8", "except": [1]}, "w[0].except"),
        ("CIDRSet", {"cidr": ["10.0.0.0/8"]}, "w[0].cidr"),
        ("CIDRSet", {"cidrGroupRef": "unknown"}, "w[0].cidrGroupRef"),
        ("CIDRSet", {"cidrGroupRef": 1}, "w[0].cidrGroupRef"),
        ("CIDRSet", {"cidrGroupRef": "a", "except": ["10.0.0.0/10"]}, "w[0].except"),
        ("CIDRSet", {"cidrGroupSelector": {"matchLabels": {"team": "unknown"}}}, "w[0].cidrGroupSelector"),
        ("CIDRSet", {"cidrGroupSelector": {"matchLabels": 1}}, "w[0].cidrGroupSelector.matchLabels"),
        ("CIDRSet", {"cidrGroupSelector": "team"}, "w[0].cidrGroupSelector"),
    ],
)
def test_prefixes_that_cannot_be_read_are_located(kind: str, item: object, where: str) -> None:
    """Broken prefixes, exceptions outside, unknown groups and members that exclude each other."""
    with pytest.raises(NotEvaluatedError) as caught:
        peers(kind, [item])
    assert str(caught.value).startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("item", "pattern"),
    [
        ({"matchName": "example.com"}, "example.com"),
        ({"matchName": "Example.COM"}, "example.com"),
        ({"matchName": "example.com."}, "example.com"),
        ({"matchName": "_sip-x.example.com"}, "_sip-x.example.com"),
        ({"matchPattern": "*.example.com"}, "*.example.com"),
        ({"matchPattern": "*"}, "*"),
        ({"matchPattern": "**.example.com"}, "**.example.com"),
        ({"matchPattern": "API-*.Example.com."}, "api-*.example.com"),
        ({"matchPattern": "example.com"}, "example.com"),
    ],
)
def test_names(item: dict[str, str], pattern: str) -> None:
    """Lower case, without the dot that is implied at the end."""
    assert peers("FQDNs", [item]) == (NameMatch(patterns=(pattern,)),)


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({}, "w[0]"),
        (None, "w[0]"),
        ("example.com", "w[0]"),
        ({"matchName": "a", "matchPattern": "b"}, "w[0]"),
        ({"name": "a"}, "w[0]"),
        ({"matchName": ""}, "w[0].matchName"),
        ({"matchName": "."}, "w[0].matchName"),
        ({"matchName": "*.example.com"}, "w[0].matchName"),
        ({"matchName": "a b"}, "w[0].matchName"),
        ({"matchName": "a" * 256}, "w[0].matchName"),
        ({"matchName": "ex\u00e4mple.com"}, "w[0].matchName"),
        ({"matchName": 1}, "w[0].matchName"),
        ({"matchPattern": "[a].example.com"}, "w[0].matchPattern"),
        ({"matchPattern": ["*"]}, "w[0].matchPattern"),
    ],
)
def test_names_that_cilium_does_not_take_are_located(item: object, where: str) -> None:
    """Letters, digits, ``-``, ``_``, ``.`` and in patterns ``*``, up to 255; one of the two members."""
    with pytest.raises(NotEvaluatedError) as caught:
        peers("FQDNs", [item])
    assert str(caught.value).startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("kind", "item", "nodes"),
    [
        ("Nodes", {"matchLabels": {"role": "gateway"}}, True),
        ("Groups", {"aws": {"securityGroupsIds": ["sg-1"]}}, False),
        ("Services", {"k8sService": {"serviceName": "db", "namespace": "shop"}}, False),
        ("Services", {"k8sServiceSelector": {"selector": {"matchLabels": {"a": "b"}}}}, False),
    ],
)
def test_what_is_in_no_flow_is_unclear(kind: str, item: object, nodes: bool) -> None:
    """Labels of nodes, groups of a cloud and endpoints of Services; the first are nodes at most."""
    (found,) = peers(kind, [item])
    assert isinstance(found, UnclearMatch)
    assert found.nodes is nodes


ALL_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups", "Services", "FQDNs")


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_an_empty_member_is_nobody(kind: str) -> None:
    """A list that is there and empty selects nobody."""
    assert peers(kind, []) == ()


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("value", ["x", 1, {"a": 1}])
def test_a_member_is_a_list(kind: str, value: object) -> None:
    """Anything else is a located finding."""
    with pytest.raises(NotEvaluatedError, match=r"^w: expected a list"):
        peers(kind, value)


def test_unknown_groups_need_their_manifests() -> None:
    """Without them not even a selector of all groups is known."""
    items: list[dict[str, object]] = [{"cidrGroupRef": "a"}, {"cidrGroupSelector": {}}]
    for item in items:
        with pytest.raises(NotEvaluatedError, match="among the manifests"):
            peers("CIDRSet", [item], NO_CONTEXT)


@pytest.mark.parametrize(
    "expression",
    [{"key": "app", "operator": "Exists"}, {"key": "k8s:app", "operator": "NotIn", "values": ["y"]}],
)
def test_labels_and_expressions_may_be_about_one_key(expression: dict[str, object]) -> None:
    """A label selector is the conjunction of both parts."""
    found = read_pods({"matchLabels": {"app": "x"}, "matchExpressions": [expression]}, "w", "shop")
    assert found.selects(version("p", {"app": "x"})) is Truth.YES
    assert found.selects(version("p", {"app": "z"})) is Truth.NO
