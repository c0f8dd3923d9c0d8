"""The Calico dialect: exact manifests, what it refuses, and the published schemas."""

from __future__ import annotations

from dataclasses import replace
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
from discovery.model.workload import Entity, Labels
from generators.base import RenderRequest
from generators.calico import render
from tests.generators.samples import EGRESS, INGRESS, NO_EGRESS, SUBJECT, entity, intent, observed, pods, request
from tests.generators.schemas import crd_validator
from tests.strategies import intent_sets, platforms

MONITOR = """\
# Network policy in monitor mode for shop/cart (Deployment), cluster east.
# Platform: calico 3.30.
# Effect: changes no verdict. What it would do to ingress is reported, never enforced.
# Watch: flows in Goldmane or Whisker whose pending_policies end in Deny while the action is Allow.
# Promote: 'discover promote' writes the enforcing form once replaying recent flows cuts nothing;
#   apply that file (same name, tier and order), then delete this one as below.
# Roll back:
#   kubectl delete stagednetworkpolicies.projectcalico.org -n shop deployment-cart
# Egress is left out: no accepted traffic was seen.
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: monitor
spec:
  stagedAction: Set
  tier: default
  order: 900
  selector: "app == 'cart'"
  types:
    - Ingress
  # host TCP/8080: always allowed by the platform, needs no rule
  ingress:
    # monitoring/prometheus: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 510439fa
    - action: Allow
      protocol: TCP
      source:
        selector: "app == 'prometheus'"
        namespaceSelector: "kubernetes.io/metadata.name == 'monitoring'"
      destination:
        ports:
          - "9090:9095"
    # shop/checkout: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 736eb86b
    - action: Allow
      protocol: TCP
      source:
        selector: "app == 'checkout'"
        namespaceSelector: "kubernetes.io/metadata.name == 'shop'"
      destination:
        ports:
          - 8080
    # shop/frontend: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 4345b88c
    - action: Allow
      protocol: TCP
      source:
        selector: "app == 'frontend'"
        namespaceSelector: "kubernetes.io/metadata.name == 'shop'"
      destination:
        ports:
          - 8080
"""

ENFORCE = """\
# Network policy in enforce mode for shop/cart (Deployment), cluster east.
# Platform: calico 3.30.
# Effect: isolates the egress of these pods for new connections: what no policy allows is denied.
# Watch: denied flows in Goldmane or Whisker (Calico 3.30 or later).
# Roll back:
#   kubectl delete networkpolicies.projectcalico.org -n shop deployment-cart
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: deployment-cart
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: enforce
spec:
  tier: default
  order: 900
  selector: "app == 'cart'"
  types:
    - Egress
  egress:
    # shop/app=redis,tier=db: first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence 0db122b3
    - action: Allow
      protocol: TCP
      destination:
        selector: "app == 'redis' && tier == 'db'"
        namespaceSelector: "kubernetes.io/metadata.name == 'shop'"
        ports:
          - 6379
    # external (api.example.com): first seen 2026-11-01, hubble, ~10^2 flow records a day, evidence ceaa641a
    - action: Allow
      protocol: TCP
      destination:
        nets:
          - 203.0.113.0/28
        ports:
          - 443
    # the same, continued
    - action: Allow
      protocol: TCP
      destination:
        nets:
          - "2001:db8::/32"
        ports:
          - 443
    # kube-system/kube-dns: declared addition (dns): pods of this cluster resolve names here
    - action: Allow
      protocol: TCP
      destination:
        selector: "k8s-app == 'kube-dns'"
        namespaceSelector: "kubernetes.io/metadata.name == 'kube-system'"
        ports:
          - 53
    # kube-system/kube-dns: declared addition (dns): pods of this cluster resolve names here
    - action: Allow
      protocol: UDP
      destination:
        selector: "k8s-app == 'kube-dns'"
        namespaceSelector: "kubernetes.io/metadata.name == 'kube-system'"
        ports:
          - 53
"""


def spec_of(*intents: PolicyIntent, platform: str = "calico=3.30", mode: Mode = Mode.ENFORCE) -> Any:
    """Return the spec of the one manifest for some intents of the cart service."""
    (artifact,) = render(request(platform, mode, *intents)).artifacts
    return artifact.documents[0]["spec"]


def codes_of(*intents: PolicyIntent, platform: str = "calico=3.30", mode: Mode = Mode.ENFORCE) -> list[str]:
    """Return the codes of the errors; nothing may be written."""
    rendered = render(request(platform, mode, *intents))
    assert rendered.artifacts == ()
    return [found.code for found in rendered.diagnostics if found.level is Level.ERROR]


def test_a_monitor_policy_is_staged() -> None:
    """The whole text of a staged policy with one direction; the own host needs no rule."""
    rendered = render(request("calico=3.30", Mode.MONITOR, INGRESS, NO_EGRESS))
    (artifact,) = rendered.artifacts
    assert artifact.text == MONITOR
    assert artifact.path == "calico/shop/deployment-cart.yaml"
    assert [(found.code, found.level) for found in rendered.diagnostics] == [("always-allowed", Level.INFO)]


def test_an_enforcing_policy_isolates_the_directions_it_has() -> None:
    """The whole text of an enforcing policy with egress alone."""
    (artifact,) = render(request("calico=3.30", Mode.ENFORCE, EGRESS)).artifacts
    assert artifact.text == ENFORCE
    assert artifact.isolates == (Direction.EGRESS,)


@pytest.mark.parametrize("platform", ["calico=3.29", "calico=3.30;staged=false"])
def test_monitor_is_refused_without_staged_policies(platform: str) -> None:
    """There is no other form that changes no verdict."""
    assert codes_of(INGRESS, EGRESS, platform=platform, mode=Mode.MONITOR) == ["monitor-not-inert"]


def test_an_empty_selector_and_service_accounts() -> None:
    """No label is all(); service accounts have fields of their own, on the subject and on peers."""
    subject = replace(SUBJECT, labels=Labels(), service_account="cart")
    spec = spec_of(intent(Direction.INGRESS, observed(pods("pay", account="bot"), 80), subject=subject))
    assert spec["selector"] == "all()"
    assert spec["serviceAccountSelector"] == "projectcalico.org/name == 'cart'"
    assert spec["ingress"][0]["source"] == {
        "selector": "all()",
        "namespaceSelector": "kubernetes.io/metadata.name == 'pay'",
        "serviceAccounts": {"names": ["bot"]},
    }


def test_a_direction_with_the_own_host_alone_has_no_rules() -> None:
    """The platform lets the host through, so the direction is isolated with an empty list, on purpose."""
    spec = spec_of(intent(Direction.INGRESS, observed(entity(Entity.HOST), 8080)))
    assert spec["types"] == ["Ingress"]
    assert spec["ingress"] == []


def test_nodes_are_written_as_the_addresses_seen() -> None:
    """Single addresses become /32 and /128, one rule an IP family, with a warning on new nodes."""
    allow = observed(entity(Entity.REMOTE_NODE, "10.0.0.2", "10.0.0.9", "2001:db8::1"), 80)
    rendered = render(request("calico=3.30", Mode.ENFORCE, intent(Direction.INGRESS, allow)))
    rules = rendered.artifacts[0].documents[0]["spec"]["ingress"]
    assert [rule["source"] for rule in rules] == [
        {"nets": ["10.0.0.2/32", "10.0.0.9/32"]},
        {"nets": ["2001:db8::1/128"]},
    ]
    assert [(found.code, found.level) for found in rendered.diagnostics] == [("entity-by-address", Level.WARNING)]


def test_one_rule_for_each_icmp_type() -> None:
    """Calico names one type a rule."""
    spec = spec_of(intent(Direction.EGRESS, observed(pods(app="a"), 0, 8, protocol=Protocol.ICMP)))
    assert [(rule["protocol"], rule["icmp"]) for rule in spec["egress"]] == [
        ("ICMP", {"type": 0}),
        ("ICMP", {"type": 8}),
    ]


def test_icmp_stays_in_its_ip_family() -> None:
    """A node with addresses of both families gets the ones that the protocol can reach; without one it is refused."""
    node = entity(Entity.REMOTE_NODE, "10.0.0.2", "2001:db8::1")
    (rule,) = spec_of(intent(Direction.INGRESS, observed(node, 8, protocol=Protocol.ICMP)))["ingress"]
    assert rule["source"] == {"nets": ["10.0.0.2/32"]}
    (rule,) = spec_of(intent(Direction.INGRESS, observed(node, 128, protocol=Protocol.ICMPV6)))["ingress"]
    assert rule["source"] == {"nets": ["2001:db8::1/128"]}
    only_v6 = observed(entity(Entity.REMOTE_NODE, "2001:db8::1"), 8, protocol=Protocol.ICMP)
    assert codes_of(intent(Direction.INGRESS, only_v6)) == ["icmp-inexpressible"]


def test_long_lists_of_ports_and_nets_are_split() -> None:
    """At most 50 ports and 256 nets a rule: 300 nets with 60 ports are four rules."""
    nets = tuple(f"198.18.{i // 256}.{i % 256}/32" for i in range(300))
    spec = spec_of(intent(Direction.EGRESS, observed(CidrPeer(prefixes=nets), *range(1, 121, 2))))
    sizes = [(len(rule["destination"]["nets"]), len(rule["destination"]["ports"])) for rule in spec["egress"]]
    assert sizes == [(256, 50), (256, 10), (44, 50), (44, 10)]


def test_every_port_needs_no_list() -> None:
    """A rule with a protocol and no ports is every port of it."""
    allow = replace(observed(pods(app="a"), 1), ports=PortSet.all())
    (rule,) = spec_of(intent(Direction.INGRESS, allow))["ingress"]
    assert sorted(rule) == ["action", "protocol", "source"]


@pytest.mark.parametrize(
    ("direction", "allow", "code"),
    [
        (Direction.EGRESS, observed(entity(Entity.HOST), 80), "entity-inexpressible"),
        (Direction.INGRESS, observed(entity(Entity.HEALTH, "10.0.0.1"), 80), "entity-inexpressible"),
        (Direction.INGRESS, observed(entity(Entity.WORLD), 80), "entity-inexpressible"),
        (Direction.INGRESS, observed(entity(Entity.REMOTE_NODE, "node-1"), 80), "address-invalid"),
        (Direction.INGRESS, observed(pods(cluster="west", app="a"), 80), "cross-cluster-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a"), 255, protocol=Protocol.ICMP), "icmp-inexpressible"),
        (Direction.INGRESS, observed(pods(app="a"), 0), "port-zero-inexpressible"),
        (Direction.INGRESS, observed(pods(app="x' || all() || a == 'y"), 80), "label-invalid"),
        (Direction.INGRESS, observed(pods(**{"a == 'b' || has(x)": "y"}), 80), "label-invalid"),
        (Direction.INGRESS, observed(pods("x' || all()"), 80), "namespace-invalid"),
        (Direction.INGRESS, observed(pods(account="x', 'y"), 80), "label-invalid"),
        (Direction.INGRESS, observed(pods(**{f"{i}" + "k" * 60: "v" * 63 for i in range(9)}), 80), "selector-too-long"),
    ],
)
def test_what_cannot_be_said_leaves_the_direction_open(direction: Direction, allow: Any, code: str) -> None:
    """One allow that cannot be said is an error, and nothing of its direction is written."""
    assert codes_of(intent(direction, allow, observed(pods(app="b"), 80))) == [code]


def test_a_subject_with_too_long_a_selector_is_refused() -> None:
    """Selectors have at most 1,024 characters."""
    labels = Labels.of({f"{i}" + "k" * 60: "v" * 63 for i in range(9)})
    found = intent(Direction.INGRESS, observed(pods(app="b"), 80), subject=replace(SUBJECT, labels=labels))
    assert codes_of(found) == ["selector-too-long"]


def test_more_than_1024_rules_are_refused() -> None:
    """A list that the API server would refuse is not written in part."""
    allows = [observed(pods(app=f"a{number}"), 80) for number in range(1_025)]
    assert codes_of(intent(Direction.INGRESS, *allows)) == ["too-many-rules"]


def check_limits(spec: dict[str, Any], isolates: tuple[Direction, ...]) -> None:
    """Assert what Calico checks beyond its CRD's schema (its CEL rules among it)."""
    assert spec["types"] == [direction.capitalize() for direction in isolates]
    assert [key for key in spec if key in tuple(Direction)] == list(isolates)
    for direction in isolates:
        for rule in spec[direction]:
            ends = [rule[end] for end in ("source", "destination") if end in rule]
            nets = [net for end in ends for net in end.get("nets", ())]
            families = {6 if ":" in net else 4 for net in nets}
            assert len(families) <= 1, "no mixed IP families"
            assert {"ICMP": {4}, "ICMPv6": {6}}.get(rule["protocol"], families) >= families
            ports = [port for end in ends for port in end.get("ports", ())]
            assert len(ports) <= 50
            assert "ports" not in rule.get("source", {})
            assert ("icmp" in rule) == rule["protocol"].startswith("ICMP")
            assert not (ports and "icmp" in rule)
            peer = rule["source" if direction is Direction.INGRESS else "destination"]
            assert ("nets" in peer) != ("selector" in peer)
            assert ("namespaceSelector" in peer) == ("selector" in peer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(intents=intent_sets(), platform=platforms(Dialect.CALICO), mode=st.sampled_from(Mode))
def test_every_manifest_is_valid(
    shared: Path, intents: tuple[PolicyIntent, ...], platform: Platform, mode: Mode
) -> None:
    """Whatever the intents, manifests pass the schemas of two releases and Calico's own limits; monitor is staged."""
    kind = "StagedNetworkPolicy" if mode is Mode.MONITOR else "NetworkPolicy"
    file = {"StagedNetworkPolicy": "calico-stagednetworkpolicies.yaml", "NetworkPolicy": "calico-networkpolicies.yaml"}
    for artifact in render(RenderRequest(intents=intents, platform=platform, mode=mode)).artifacts:
        (document,) = artifact.documents
        assert document["kind"] == kind
        for path in (shared / "crds" / file[kind], shared / "crds" / "calico-master" / file[kind]):
            crd_validator(path).validate(document)
        check_limits(document["spec"], artifact.isolates)
        assert mode is Mode.ENFORCE or platform.version >= (3, 30)


def test_policies_stand_in_the_tier_of_the_platform() -> None:
    """Their names start with it, in the commands too; the default tier needs no prefix."""
    (artifact,) = render(request("calico=3.30;tier=app", Mode.ENFORCE, INGRESS)).artifacts
    (document,) = artifact.documents
    assert (document["metadata"]["name"], document["spec"]["tier"]) == ("app.deployment-cart", "app")
    assert "-n shop app.deployment-cart" in artifact.text
    assert "An allow here is final" in artifact.text
    assert artifact.path == "calico/shop/deployment-cart.yaml"
    (plain,) = render(request("calico=3.30", Mode.ENFORCE, INGRESS)).artifacts
    assert plain.documents[0]["metadata"]["name"] == "deployment-cart"


def test_a_node_that_drops_what_its_pods_send_is_no_peer() -> None:
    """With defaultEndpointToHostAction Drop a rule would promise what the node does not keep; other nodes are peers."""
    own = intent(Direction.EGRESS, observed(entity(Entity.HOST, "10.0.0.1"), 8126))
    other = intent(Direction.EGRESS, observed(entity(Entity.REMOTE_NODE, "10.0.0.2"), 8126))
    drops = "calico=3.30;default-endpoint-to-host-action=drop"
    assert codes_of(own, platform=drops) == ["host-drops"]
    assert render(request(drops, Mode.ENFORCE, other)).artifacts
    assert render(request("calico=3.30;default-endpoint-to-host-action=accept", Mode.ENFORCE, own)).artifacts
