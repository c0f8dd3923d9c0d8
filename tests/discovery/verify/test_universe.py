"""Tests of discovery.verify.universe."""

from __future__ import annotations

import ipaddress

from discovery.verify.ends import AddressEnd, EntityEnd, PodEnd
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from discovery.verify.universe import StandIn, outside_of, pods_of

HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: "


def policies(spec: str, *more: str) -> tuple[ReadPolicy, ...]:
    """Read policies from flow-style specs."""
    return read_policies({f"{n}.yaml": HEAD + text for n, text in enumerate((spec, *more))}).policies


def attributes(stands: tuple[StandIn, ...]) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return namespace and labels of pods."""
    ends = [stand.end for stand in stands if isinstance(stand.end, PodEnd)]
    return {(end.version.ref.namespace, end.version.labels.pairs) for end in ends}


def test_every_selector_has_a_pod_and_every_namespace_a_stranger() -> None:
    """Subjects, peers at home and elsewhere, and pods that nothing selects."""
    spec = (
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}, "
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: far}}, podSelector: {}}]}]}"
    )
    assert attributes(pods_of(policies(spec))) == {
        ("shop", (("app", "web"),)), ("shop", (("app", "a"),)), ("shop", ()), ("far", ()), ("elsewhere", ()),
    }  # fmt: skip


def test_selectors_that_one_pod_may_satisfy_together_have_one() -> None:
    """Labels that clash cannot be joined."""
    stands = pods_of(
        policies(
            "{podSelector: {matchLabels: {app: web}}}",
            "{podSelector: {matchLabels: {tier: front}}}",
            "{podSelector: {matchLabels: {app: db}}}",
        )
    )
    joined = {stand.end.version.labels.pairs for stand in stands if stand.of and isinstance(stand.end, PodEnd)}
    assert joined == {(("app", "web"), ("tier", "front")), (("app", "db"), ("tier", "front"))}


def test_conditions_are_satisfied_where_that_is_simple() -> None:
    """One of several values, a label that must be there, one that must not, a namespace by expression."""
    spec = (
        "{podSelector: {matchExpressions: [{key: app, operator: In, values: [x, y]}, {key: t, operator: Exists}, "
        "{key: old, operator: DoesNotExist}]}, ingress: [{from: [{namespaceSelector: {matchExpressions: "
        "[{key: kubernetes.io/metadata.name, operator: In, values: [m, n]}, {key: env, operator: Exists}]}}]}]}"
    )
    found = attributes(pods_of(policies(spec)))
    assert ("shop", (("app", "x"), ("t", "x"))) in found
    assert any(namespace == "m" for namespace, _ in found)


def test_addresses_are_told_apart_at_every_edge_of_a_prefix() -> None:
    """Each stretch between edges has its first address, and each family one address outside of all prefixes."""
    spec = (
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, "
        "{ipBlock: {cidr: '2001:db8::/32'}}]}]}"
    )
    ends = [stand.end for stand in outside_of(policies(spec)) if isinstance(stand.end, AddressEnd)]
    addresses = {end.address for end in ends}
    assert {"10.0.0.0", "10.2.0.0", "2001:db8::"} <= addresses
    strangers = [ipaddress.ip_address(address) for address in addresses]
    assert any(one.version == 4 and one not in ipaddress.ip_network("10.0.0.0/8") for one in strangers)


def test_entities_of_pods_are_ciliums() -> None:
    """Elsewhere only nodes and API servers are no pods."""
    names = [stand.name for stand in outside_of(policies("{podSelector: {}}")) if isinstance(stand.end, EntityEnd)]
    assert names == ["entity host", "entity remote-node", "entity kube-apiserver"]
    cilium = read_policies(
        {
            "c": "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: n}\n"
            "spec: {endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: '*.example.com'}]}]}\n"
        }
    ).policies
    stands = outside_of(cilium)
    assert "entity health" in [stand.name for stand in stands]
    (named,) = [stand.end for stand in stands if isinstance(stand.end, AddressEnd) and stand.end.names]
    assert named.names == ("x.example.com",)
