"""The Cilium dialect: exact manifests, what it refuses, and the published schemas."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import CidrPeer, Dialect, Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector
from generators.base import RenderRequest
from generators.cilium import render
from tests.generators.samples import CART, EGRESS, INGRESS, NO_EGRESS, SUBJECT, entity, intent, observed, pods, request
from tests.generators.schemas import crd_validator
from tests.strategies import intent_sets, platforms

MONITOR = """\
# Network policy in monitor mode for shop/cart (Deployment), cluster east.
# Platform: cilium 1.18.
# Effect: changes no verdict. It isolates nothing (enableDefaultDeny: false); Cilium does not report
#   which ingress it would deny.
# Watch: record flows and run 'discover suggest' on them: a rule that it adds is traffic that this
#   policy would deny:
#   hubble observe --namespace shop --since 24h --output jsonpb > flows.jsonl
# Promote: 'discover promote' writes the enforcing form once replaying recent flows cuts nothing;
#   apply that file; it has the same name and replaces this one.
# Roll back:
#   kubectl delete ciliumnetworkpolicies.cilium.io -n shop deployment-cart
# Egress is left out: no accepted traffic was seen.
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: monitor
spec:
  endpointSelector:
    matchLabels:
      "k8s:app": cart
  enableDefaultDeny:
    ingress: false
    egress: false
  ingress:
    # monitoring/prometheus: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 510439fa
    - fromEndpoints:
        - matchLabels:
            "k8s:app": prometheus
            "k8s:io.kubernetes.pod.namespace": monitoring
      toPorts:
        - ports:
            - port: "9090"
              endPort: 9095
              protocol: TCP
    # shop/checkout: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 736eb86b
    # shop/frontend: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 4345b88c
    - fromEndpoints:
        - matchLabels:
            "k8s:app": checkout
            "k8s:io.kubernetes.pod.namespace": shop
        - matchLabels:
            "k8s:app": frontend
            "k8s:io.kubernetes.pod.namespace": shop
      toPorts:
        - ports:
            - port: "8080"
              protocol: TCP
    # host: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 34f2a626
    - fromEntities:
        - host
      toPorts:
        - ports:
            - port: "8080"
              protocol: TCP
"""

ENFORCE = """\
# Network policy in enforce mode for shop/cart (Deployment), cluster east.
# Platform: cilium 1.18.
# Effect: isolates the egress of these pods: what no policy allows is dropped, open connections too.
# Watch: drops, live:
#   hubble observe --namespace shop --verdict DROPPED --follow
# Roll back:
#   kubectl delete ciliumnetworkpolicies.cilium.io -n shop deployment-cart
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: enforce
spec:
  endpointSelector:
    matchLabels:
      "k8s:app": cart
  enableDefaultDeny:
    ingress: false
    egress: true
  egress:
    # shop/app=redis,tier=db: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 0db122b3
    - toEndpoints:
        - matchLabels:
            "k8s:app": redis
            "k8s:tier": db
            "k8s:io.kubernetes.pod.namespace": shop
      toPorts:
        - ports:
            - port: "6379"
              protocol: TCP
    # external (api.example.com): first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence ceaa641a
    - toCIDRSet:
        - cidr: 203.0.113.0/28
        - cidr: "2001:db8::/32"
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
    # kube-system/kube-dns TCP/53: declared addition (dns): pods of this cluster resolve names here
    # kube-system/kube-dns UDP/53: declared addition (dns): pods of this cluster resolve names here
    - toEndpoints:
        - matchLabels:
            "k8s:k8s-app": kube-dns
            "k8s:io.kubernetes.pod.namespace": kube-system
      toPorts:
        - ports:
            - port: "53"
              protocol: TCP
            - port: "53"
              protocol: UDP
"""


def spec_of(*intents: PolicyIntent, platform: str = "cilium=1.18", mode: Mode = Mode.ENFORCE) -> Any:
    """Return the spec of the one manifest for some intents of the cart service."""
    (artifact,) = render(request(platform, mode, *intents)).artifacts
    return artifact.documents[0]["spec"]


def codes_of(*intents: PolicyIntent, platform: str = "cilium=1.18", mode: Mode = Mode.ENFORCE) -> list[str]:
    """Return the codes of the errors; nothing may be written."""
    rendered = render(request(platform, mode, *intents))
    assert rendered.artifacts == ()
    return [found.code for found in rendered.diagnostics if found.level is Level.ERROR]


def test_a_monitor_policy_isolates_nothing_and_says_so() -> None:
    """The whole text of a monitor policy with one direction."""
    (artifact,) = render(request("cilium=1.18", Mode.MONITOR, INGRESS, NO_EGRESS)).artifacts
    assert artifact.text == MONITOR
    assert artifact.path == "cilium/shop/deployment-cart.yaml"
    assert artifact.isolates == (Direction.INGRESS,)


def test_an_enforcing_policy_isolates_the_directions_it_has() -> None:
    """The whole text of an enforcing policy with egress alone."""
    (artifact,) = render(request("cilium=1.18", Mode.ENFORCE, EGRESS)).artifacts
    assert artifact.text == ENFORCE


def test_before_1_16_the_default_applies() -> None:
    """Sections isolate by being there, and ranges are written out."""
    spec = spec_of(INGRESS, platform="cilium=1.15")
    assert list(spec) == ["endpointSelector", "ingress"]
    assert spec["ingress"][0]["toPorts"] == [
        {"ports": [{"port": str(port), "protocol": "TCP"} for port in range(9090, 9096)]}
    ]


@pytest.mark.parametrize("platform", ["cilium=1.15", "cilium=1.18;enable-non-default-deny-policies=false"])
def test_monitor_is_refused_where_it_would_isolate(platform: str) -> None:
    """An agent that does not know or overrules enableDefaultDeny would enforce a monitor policy."""
    assert codes_of(INGRESS, EGRESS, platform=platform, mode=Mode.MONITOR) == ["monitor-not-inert"]


def test_monitor_is_refused_for_a_direction_that_is_isolated_already() -> None:
    """There the allows would open traffic at once; the other direction is written."""
    isolated = frozenset(((CART, Direction.INGRESS),))
    rendered = render(replace(request("cilium=1.18", Mode.MONITOR, INGRESS, EGRESS), existing_isolated=isolated))
    assert [artifact.isolates for artifact in rendered.artifacts] == [(Direction.EGRESS,)]
    why = "a policy governs it already, where these allows would open traffic at once"
    (found,) = rendered.diagnostics
    assert (found.code, found.level) == ("already-isolated", Level.ERROR)
    assert found.message == f"ingress is left out: {why}"
    assert found.hint == "--mode enforce with --existing DIR adds what those policies lack"
    header = " ".join(line.removeprefix("#").strip() for line in rendered.artifacts[0].text.splitlines())
    assert f"Ingress is left out: {why}." in header


def test_an_empty_selector_and_a_service_account() -> None:
    """No label selects every pod of the namespace; a service account is a label of Cilium's."""
    every = replace(SUBJECT, labels=Labels())
    allow = observed(pods("pay"), 80)
    assert spec_of(intent(Direction.INGRESS, allow, subject=every))["endpointSelector"] == {}
    account = replace(SUBJECT, service_account="cart")
    assert spec_of(intent(Direction.INGRESS, allow, subject=account))["endpointSelector"] == {
        "matchLabels": {"k8s:app": "cart", "k8s:io.cilium.k8s.policy.serviceaccount": "cart"}
    }


def test_a_peer_in_another_cluster_carries_the_cluster_key() -> None:
    """Namespace always, cluster only where it differs."""
    spec = spec_of(intent(Direction.INGRESS, observed(pods(cluster="west", app="a"), 80)))
    assert spec["ingress"][0]["fromEndpoints"] == [
        {
            "matchLabels": {
                "k8s:app": "a",
                "k8s:io.kubernetes.pod.namespace": "shop",
                "k8s:io.cilium.k8s.policy.cluster": "west",
            }
        }
    ]


def test_icmp_has_a_rule_of_its_own() -> None:
    """Types of both families stand in one icmps rule, apart from the ports of the same peer."""
    spec = spec_of(
        intent(
            Direction.EGRESS,
            observed(pods(app="a"), 80),
            observed(pods(app="a"), 0, 8, protocol=Protocol.ICMP),
            observed(pods(app="a"), 128, protocol=Protocol.ICMPV6),
        )
    )
    assert [sorted(rule) for rule in spec["egress"]] == [["icmps", "toEndpoints"], ["toEndpoints", "toPorts"]]
    assert spec["egress"][0]["icmps"] == [
        {
            "fields": [
                {"family": "IPv4", "type": 0},
                {"family": "IPv4", "type": 8},
                {"family": "IPv6", "type": 128},
            ]
        }
    ]


def test_entities_are_named_and_never_written_as_addresses() -> None:
    """Node addresses do not appear; two entities with the same ports share a rule."""
    allows = (observed(entity(Entity.REMOTE_NODE, "10.0.0.9"), 80), observed(entity(Entity.KUBE_APISERVER), 80))
    spec = spec_of(intent(Direction.INGRESS, *allows))
    assert [rule["fromEntities"] for rule in spec["ingress"]] == [["kube-apiserver", "remote-node"]]


def test_more_than_40_ports_are_several_items() -> None:
    """Cilium takes 40 ports an item; the rule stays one."""
    spec = spec_of(intent(Direction.INGRESS, observed(pods(app="a"), *range(1, 200, 2))))
    assert [len(item["ports"]) for item in spec["ingress"][0]["toPorts"]] == [40, 40, 20]


def test_every_port_is_port_0() -> None:
    """Port "0" is Cilium's word for every port."""
    allow = replace(observed(pods(app="a"), 1), ports=PortSet.all())
    spec = spec_of(intent(Direction.INGRESS, allow))
    assert spec["ingress"][0]["toPorts"] == [{"ports": [{"port": "0", "protocol": "TCP"}]}]


@pytest.mark.parametrize(
    ("allow", "platform", "code"),
    [
        (observed(pods(app="a"), 0), "cilium=1.18", "port-zero-inexpressible"),
        (replace(observed(pods(app="a"), 1), ports=PortSet(((1, 99),))), "cilium=1.15", "port-range-inexpressible"),
        (observed(pods(app="a"), 256, protocol=Protocol.ICMP), "cilium=1.18", "icmp-inexpressible"),
        (observed(pods(app="a"), 8, protocol=Protocol.ICMP), "cilium=1.10", "icmp-inexpressible"),
        (observed(entity(Entity.KUBE_APISERVER), 443), "cilium=1.10", "entity-inexpressible"),
        (observed(pods(app="a", cluster="a b"), 80), "cilium=1.18", "cross-cluster-inexpressible"),
        (observed(pods(account="a" * 64), 80), "cilium=1.18", "service-account-inexpressible"),
        (observed(pods(pod_template_hash="a"), 80), "cilium=1.18", "label-not-in-identity"),
        (observed(CidrPeer(prefixes=("10.0.0.1/8",)), 80), "cilium=1.18", "address-invalid"),
        (observed(CidrPeer(prefixes=("x\n- cidr: 0.0.0.0/0",)), 80), "cilium=1.18", "address-invalid"),
    ],
)
def test_what_cannot_be_said_leaves_the_direction_open(allow: Any, platform: str, code: str) -> None:
    """One allow that cannot be said is an error, and nothing of its direction is written."""
    assert codes_of(intent(Direction.INGRESS, allow, observed(pods(app="b"), 80)), platform=platform) == [code]


@pytest.mark.parametrize(
    "key", ["io.kubernetes.pod.namespace", "io.cilium.k8s.policy.cluster", "topology.kubernetes.io/zone", "k8s.io/x"]
)
def test_a_subject_that_no_identity_matches_is_refused(key: str) -> None:
    """A pod label with one of these keys would select nothing, or shadow one of Cilium's own labels."""
    subject = Selector(cluster="east", namespace="shop", labels=Labels.of({key: "a"}))
    assert codes_of(intent(Direction.INGRESS, observed(pods(app="a"), 80), subject=subject)) == [
        "label-not-in-identity"
    ]


@pytest.mark.parametrize("key", ["app.kubernetes.io/name", "k8s-app", "statefulset.kubernetes.io/pod-name-x"])
def test_labels_of_an_identity_are_taken(key: str) -> None:
    """Keys that only look like the excluded ones are fine."""
    subject = Selector(cluster="east", namespace="shop", labels=Labels.of({key: "a"}))
    spec = spec_of(intent(Direction.INGRESS, observed(pods(app="a"), 80), subject=subject))
    assert spec["endpointSelector"] == {"matchLabels": {f"k8s:{key}": "a"}}


def check_limits(spec: dict[str, Any]) -> None:
    """Assert what Cilium checks beyond its CRD's schema."""
    sections = [name for name in ("ingress", "egress") if name in spec]
    assert sections
    for section in sections:
        assert spec[section], "an empty list has no effect"
        for rule in spec[section]:
            prefix = "from" if section == "ingress" else "to"
            members = [key for key in rule if key.startswith(prefix) and key != "toPorts"]
            assert len(members) == 1, "one L3 member a rule"
            assert rule[members[0]]
            assert ("icmps" in rule) != ("toPorts" in rule)
            for item in rule.get("toPorts", ()):
                assert 1 <= len(item["ports"]) <= 40
                for port in item["ports"]:
                    assert port.get("endPort", 65_536) > int(port["port"])
            for item in rule.get("icmps", ()):
                assert 1 <= len(item["fields"]) <= 40
                assert all(0 <= field["type"] <= 255 for field in item["fields"])
            for item in rule.get(f"{prefix}CIDRSet", ()):
                assert str(ip_network(item["cidr"])) == item["cidr"]
            for selector in rule.get(f"{prefix}Endpoints", ()):
                assert "k8s:io.kubernetes.pod.namespace" in selector["matchLabels"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(intents=intent_sets(), platform=platforms(Dialect.CILIUM), mode=st.sampled_from(Mode))
def test_every_manifest_is_valid(
    shared: Path, intents: tuple[PolicyIntent, ...], platform: Platform, mode: Mode
) -> None:
    """Whatever the intents, manifests pass the schemas of two releases and Cilium's own limits; monitor is inert."""
    files = ("ciliumnetworkpolicies.yaml", "cilium-1.19/ciliumnetworkpolicies.yaml")
    for artifact in render(RenderRequest(intents=intents, platform=platform, mode=mode)).artifacts:
        (document,) = artifact.documents
        for file in files:
            crd_validator(shared / "crds" / file).validate(document)
        check_limits(document["spec"])
        if mode is Mode.MONITOR:
            assert platform.version >= (1, 16)
            assert document["spec"]["enableDefaultDeny"] == {"ingress": False, "egress": False}
        else:
            deny = document["spec"].get("enableDefaultDeny")
            expected = {direction.value: direction in artifact.isolates for direction in Direction}
            assert deny == (expected if platform.version >= (1, 16) else None)


def test_settings_decide_whether_a_mode_can_be_kept() -> None:
    """Where everything is isolated monitor files would open traffic; where nothing is enforced enforcing is idle."""
    always, never = "cilium=1.18;enable-policy=always", "cilium=1.18;enable-policy=never"
    assert codes_of(INGRESS, platform=always, mode=Mode.MONITOR) == ["monitor-not-inert"]
    assert codes_of(INGRESS, platform=never) == ["not-enforced"]
    (artifact,) = render(request(always, Mode.ENFORCE, INGRESS)).artifacts
    assert "With enable-policy=always a direction without a policy is isolated, too." in " ".join(
        line.removeprefix("#").strip() for line in artifact.text.splitlines()
    )
    assert render(request(never, Mode.MONITOR, INGRESS)).artifacts


def test_own_nodes_that_are_subject_to_policy_are_missed() -> None:
    """With allow-localhost=policy an isolated ingress without a rule for the host cuts probes: it is said."""
    host = intent(Direction.INGRESS, observed(entity(Entity.HOST), 8080))
    web = intent(Direction.INGRESS, observed(pods(app="web"), 8080))
    for one, setting, expected in ((web, "policy", True), (host, "policy", False), (web, "always", False)):
        found = render(request(f"cilium=1.18;allow-localhost={setting}", Mode.ENFORCE, one))
        assert len(found.artifacts) == 1
        assert ("own-node-not-allowed" in [one.code for one in found.diagnostics]) is expected
