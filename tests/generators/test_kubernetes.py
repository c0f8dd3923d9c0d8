"""The Kubernetes dialect: exact manifests, what it refuses, and the published schemas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import CidrPeer, Dialect, Mode, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels
from generators.base import RenderRequest
from generators.kubernetes import render
from tests.generators.samples import EGRESS, INGRESS, NO_EGRESS, SUBJECT, entity, intent, observed, pods, request
from tests.generators.schemas import crd_validator
from tests.strategies import intent_sets, platforms

MONITOR = """\
# Network policy in monitor mode for shop/cart (Deployment), cluster east.
# Platform: kubernetes 1.31.
# Effect: changes no verdict until a pod is labelled policy-discovery/enforce=true; then it isolates
#   the ingress of that pod.
# Watch: record flows and run 'discover suggest' on them: a rule that it adds is traffic that this
#   policy would deny. Or label one pod as a canary:
#   kubectl label pod -n shop POD policy-discovery/enforce=true
# Promote: 'discover promote' writes the enforcing form once replaying recent flows cuts nothing;
#   apply that file; it has the same name and replaces this one.
# Roll back:
#   kubectl label pod -n shop POD policy-discovery/enforce-
#   kubectl delete networkpolicies.networking.k8s.io -n shop deployment-cart
# Egress is left out: no accepted traffic was seen.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: monitor
spec:
  podSelector:
    matchLabels:
      app: cart
      policy-discovery/enforce: "true"
  policyTypes:
    - Ingress
  # host TCP/8080: always allowed by the platform, needs no rule
  ingress:
    # monitoring/prometheus: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 510439fa
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: monitoring
          podSelector:
            matchLabels:
              app: prometheus
      ports:
        - port: 9090
          endPort: 9095
          protocol: TCP
    # shop/checkout: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 736eb86b
    # shop/frontend: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 4345b88c
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop
          podSelector:
            matchLabels:
              app: checkout
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop
          podSelector:
            matchLabels:
              app: frontend
      ports:
        - port: 8080
          protocol: TCP
"""

ENFORCE = """\
# Network policy in enforce mode for shop/cart (Deployment), cluster east.
# Platform: kubernetes 1.31.
# Effect: isolates the egress of these pods: what no policy allows is denied. The cluster must have
#   a network plugin that enforces NetworkPolicy.
# Watch: denied connections in the plugin's flow log; Kubernetes itself reports none.
# Roll back:
#   kubectl delete networkpolicies.networking.k8s.io -n shop deployment-cart
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: enforce
spec:
  podSelector:
    matchLabels:
      app: cart
  policyTypes:
    - Egress
  egress:
    # shop/app=redis,tier=db: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 0db122b3
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop
          podSelector:
            matchLabels:
              app: redis
              tier: db
      ports:
        - port: 6379
          protocol: TCP
    # external (api.example.com): first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence ceaa641a
    - to:
        - ipBlock:
            cidr: 203.0.113.0/28
        - ipBlock:
            cidr: "2001:db8::/32"
      ports:
        - port: 443
          protocol: TCP
    # kube-system/kube-dns TCP/53: declared addition (dns): pods of this cluster resolve names here
    # kube-system/kube-dns UDP/53: declared addition (dns): pods of this cluster resolve names here
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - port: 53
          protocol: TCP
        - port: 53
          protocol: UDP
"""

STAGED = """\
# Network policy in monitor mode for shop/cart (Deployment), cluster east.
# Platform: kubernetes 1.31 (enforcer=calico).
# Effect: changes no verdict. What it would do to ingress is reported, never enforced.
# Watch: flows in Goldmane or Whisker whose pending_policies end in Deny while the action is Allow.
# Promote: 'discover promote' writes the enforcing form once replaying recent flows cuts nothing;
#   apply that file (same name), then delete this one as below.
# Roll back:
#   kubectl delete stagedkubernetesnetworkpolicies.projectcalico.org -n shop deployment-cart
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: monitor
spec:
  stagedAction: Set
  podSelector:
    matchLabels:
      app: cart
  policyTypes:
    - Ingress
  ingress:
    # shop/frontend: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 4345b88c
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: shop
          podSelector:
            matchLabels:
              app: frontend
      ports:
        - port: 8080
          protocol: TCP
"""

BY_CALICO = "kubernetes=1.31;enforcer=calico"


def spec_of(*intents: PolicyIntent, platform: str = "kubernetes=1.31", mode: Mode = Mode.ENFORCE) -> Any:
    """Return the spec of the one manifest for some intents of the cart service."""
    (artifact,) = render(request(platform, mode, *intents)).artifacts
    return artifact.documents[0]["spec"]


def codes_of(*intents: PolicyIntent, platform: str = "kubernetes=1.31", mode: Mode = Mode.ENFORCE) -> list[str]:
    """Return the codes of the errors; nothing may be written."""
    rendered = render(request(platform, mode, *intents))
    assert rendered.artifacts == ()
    return [found.code for found in rendered.diagnostics if found.level is Level.ERROR]


def test_a_monitor_policy_selects_only_pods_that_opt_in() -> None:
    """The whole text of a monitor policy with one direction; the own node needs no rule."""
    rendered = render(request("kubernetes=1.31", Mode.MONITOR, INGRESS, NO_EGRESS))
    (artifact,) = rendered.artifacts
    assert artifact.text == MONITOR
    assert artifact.path == "kubernetes/shop/deployment-cart.yaml"
    assert [(found.code, found.level) for found in rendered.diagnostics] == [("always-allowed", Level.INFO)]


def test_an_enforcing_policy_isolates_the_directions_it_has() -> None:
    """The whole text of an enforcing policy with egress alone."""
    (artifact,) = render(request("kubernetes=1.31", Mode.ENFORCE, EGRESS)).artifacts
    assert artifact.text == ENFORCE
    assert artifact.isolates == (Direction.EGRESS,)


def test_where_calico_enforces_a_monitor_policy_is_staged() -> None:
    """The whole text of a staged policy; nobody has to label a pod."""
    allow = observed(pods(app="frontend"), 8080)
    (artifact,) = render(request(BY_CALICO, Mode.MONITOR, intent(Direction.INGRESS, allow))).artifacts
    assert artifact.text == STAGED


def test_an_empty_selector_is_every_pod_of_the_namespace() -> None:
    """Both selectors stand in one item, the empty one too; monitor still needs the opt-in."""
    found = intent(Direction.INGRESS, observed(pods("pay"), 80), subject=replace(SUBJECT, labels=Labels()))
    spec = spec_of(found)
    assert spec["podSelector"] == {}
    assert spec["ingress"][0]["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pay"}}, "podSelector": {}}
    ]
    assert spec_of(found, mode=Mode.MONITOR)["podSelector"] == {"matchLabels": {"policy-discovery/enforce": "true"}}


@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize("mode", Mode)
def test_a_subject_selected_by_the_opt_in_label_is_refused(value: str, mode: Mode) -> None:
    """Its pods have opted in already (or never would), so a monitor policy would not be inert."""
    subject = replace(SUBJECT, labels=Labels.of({"policy-discovery/enforce": value}))
    assert codes_of(intent(Direction.INGRESS, observed(pods(app="a"), 80), subject=subject), mode=mode) == [
        "label-reserved"
    ]


def test_a_direction_with_the_own_node_alone_has_no_rules() -> None:
    """The API lets the node through, so the direction is isolated with an empty list, on purpose."""
    spec = spec_of(intent(Direction.INGRESS, observed(entity(Entity.HOST), 8080)))
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == []


def test_where_calico_enforces_nodes_are_written_as_the_addresses_seen() -> None:
    """Calico matches nodes by ipBlock; a warning says that new nodes are not in it."""
    allow = observed(entity(Entity.KUBE_APISERVER, "10.0.0.1", "2001:db8::1"), 6443)
    rendered = render(request(BY_CALICO, Mode.ENFORCE, intent(Direction.EGRESS, allow)))
    assert rendered.artifacts[0].documents[0]["spec"]["egress"][0]["to"] == [
        {"ipBlock": {"cidr": "10.0.0.1/32"}},
        {"ipBlock": {"cidr": "2001:db8::1/128"}},
    ]
    assert [(found.code, found.level) for found in rendered.diagnostics] == [("entity-by-address", Level.WARNING)]


def test_ports_of_several_protocols_share_a_rule() -> None:
    """Single ports, a run of two as two, a longer run as a range."""
    spec = spec_of(
        intent(
            Direction.INGRESS,
            observed(pods(app="a"), 80, 81, 90, 91, 92),
            observed(pods(app="a"), 53, protocol=Protocol.UDP),
        )
    )
    assert spec["ingress"][0]["ports"] == [
        {"port": 80, "protocol": "TCP"},
        {"port": 81, "protocol": "TCP"},
        {"port": 90, "endPort": 92, "protocol": "TCP"},
        {"port": 53, "protocol": "UDP"},
    ]


def test_every_port_is_an_item_without_a_port() -> None:
    """An item that names only the protocol is every port of it."""
    allow = replace(observed(pods(app="a"), 1), ports=PortSet.all())
    assert spec_of(intent(Direction.INGRESS, allow))["ingress"][0]["ports"] == [{"protocol": "TCP"}]


@pytest.mark.parametrize(
    ("direction", "allow", "platform", "code"),
    [
        (Direction.INGRESS, observed(pods(account="bot"), 80), "kubernetes=1.31", "service-account-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a"), 8, protocol=Protocol.ICMP), BY_CALICO, "icmp-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a", cluster="west"), 80), BY_CALICO, "cross-cluster-inexpressible"),
        (Direction.EGRESS, observed(entity(Entity.HOST, "10.0.0.1"), 80), "kubernetes=1.31", "entity-inexpressible"),
        (
            Direction.INGRESS,
            observed(entity(Entity.REMOTE_NODE, "10.0.0.1"), 80),
            "kubernetes=1.31;enforcer=cilium",
            "entity-inexpressible",
        ),
        (Direction.INGRESS, observed(entity(Entity.REMOTE_NODE), 80), BY_CALICO, "entity-inexpressible"),
        (Direction.INGRESS, observed(entity(Entity.HEALTH, "10.0.0.1"), 80), BY_CALICO, "entity-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a"), 0), "kubernetes=1.31", "port-zero-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a"), 80), "kubernetes=1.20", "workload-peer-inexpressible"),
        (
            Direction.EGRESS,
            replace(observed(CidrPeer(prefixes=("192.0.2.0/24",)), 1), ports=PortSet(((1, 99),))),
            "kubernetes=1.20",
            "port-range-inexpressible",
        ),
        (Direction.INGRESS, observed(pods(app="a\n  b: c"), 80), "kubernetes=1.31", "label-invalid"),
        (Direction.INGRESS, observed(pods("../.."), 80), "kubernetes=1.31", "namespace-invalid"),
    ],
)
def test_what_cannot_be_said_leaves_the_direction_open(
    direction: Direction, allow: Any, platform: str, code: str
) -> None:
    """One allow that cannot be said is an error, and nothing of its direction is written."""
    other = observed(CidrPeer(prefixes=("198.51.100.0/24",)), 80)
    assert codes_of(intent(direction, allow, other), platform=platform) == [code]


def test_a_subject_with_a_service_account_is_refused() -> None:
    """The API selects pods by label alone."""
    subject = replace(SUBJECT, service_account="cart")
    found = intent(Direction.INGRESS, observed(pods(app="a"), 80), subject=subject)
    assert codes_of(found) == ["service-account-inexpressible"]


def check_limits(spec: dict[str, Any], isolates: tuple[Direction, ...]) -> None:
    """Assert what the API server checks beyond the schema."""
    assert spec["policyTypes"] == [direction.capitalize() for direction in isolates]
    assert [key for key in spec if key in tuple(Direction)] == list(isolates)
    for direction in isolates:
        for rule in spec[direction]:
            peers = rule["from" if direction is Direction.INGRESS else "to"]
            assert peers, "an empty list is everybody"
            assert rule["ports"], "an empty list is every port"
            assert all(set(peer) in ({"ipBlock"}, {"namespaceSelector", "podSelector"}) for peer in peers)
            for port in rule["ports"]:
                assert "port" not in port or 1 <= port["port"] < port.get("endPort", 65_536) <= 65_536


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(intents=intent_sets(), platform=platforms(Dialect.KUBERNETES), mode=st.sampled_from(Mode))
def test_every_manifest_is_valid(
    shared: Path, intents: tuple[PolicyIntent, ...], platform: Platform, mode: Mode
) -> None:
    """Whatever the intents, manifests pass the strict schemas; monitor is staged or needs a pod to opt in."""
    staged = mode is Mode.MONITOR and platform.setting("enforcer") == "calico"
    file = "calico-stagedkubernetesnetworkpolicies.yaml"
    for artifact in render(RenderRequest(intents=intents, platform=platform, mode=mode)).artifacts:
        (document,) = artifact.documents
        if staged:
            for path in (shared / "crds" / file, shared / "crds" / "calico-master" / file):
                crd_validator(path).validate(document)
        else:
            kubernetes_validate.validate(document, "1.37", strict=True)
        opted_in = document["spec"]["podSelector"].get("matchLabels", {}).get("policy-discovery/enforce") == "true"
        assert opted_in == (mode is Mode.MONITOR and not staged)
        assert (document["kind"] == "StagedKubernetesNetworkPolicy") == staged
        check_limits(document["spec"], artifact.isolates)
