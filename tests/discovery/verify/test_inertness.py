"""The promise of monitor mode as a property: adding its documents to any policies changes no decision.

Existing policies are drawn from the enforced kinds of one platform; monitor documents from what that platform's monitor
mode writes. For Cilium they are drawn for endpoints that the existing policies do not isolate, as the generators do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.model.workload import Entity, WorkloadVersion
from discovery.verify.decisions import Probe
from discovery.verify.ends import AddressEnd, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.rules import ReadPolicy
from tests.discovery.verify.builders import platform, version

Manifest = dict[str, Any]

PODS = [
    version(name, {"app": name, "tier": tier}, namespace=namespace)
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y"))
    for namespace in ("n1", "n2")
]
LABELS = st.sampled_from([{}, {"app": "a"}, {"app": "b"}, {"tier": "x"}, {"app": "a", "tier": "x"}, {"app": "none"}])
NAMESPACES = st.sampled_from(["n1", "n2"])
PREFIXES = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24"])
PORTS = st.integers(1, 3)
ENDS = st.one_of(
    st.sampled_from(PODS).map(lambda pod: PodEnd(version=pod, address="10.0.0.1")),
    st.sampled_from(["10.0.0.9", "192.0.2.1", "198.51.100.1"]).map(lambda address: AddressEnd(address=address)),
    st.sampled_from(list(Entity)).map(lambda entity: EntityEnd(entity=entity, address="10.0.0.2")),
)
PROBES = st.one_of(
    st.builds(
        lambda client, server, protocol, port: Probe(client=client, server=server, protocol=protocol, port=port),
        ENDS,
        ENDS,
        st.sampled_from([Protocol.TCP, Protocol.UDP]),
        st.integers(1, 4),
    ),
    st.builds(
        lambda client, server: Probe(client=client, server=server, protocol=Protocol.ICMP, icmp_type=8), ENDS, ENDS
    ),
)
POLICY_TYPES = st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]])


def manifest(api: str, kind: str, namespace: str, spec: Manifest) -> Manifest:
    """Return a manifest."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def kubernetes_rules(peers_key: str) -> st.SearchStrategy[list[Manifest]]:
    """Return rules of a Kubernetes policy."""
    pods = st.builds(
        lambda namespace, labels: {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "podSelector": {"matchLabels": labels},
        },
        NAMESPACES,
        LABELS,
    )
    block = PREFIXES.map(lambda prefix: {"ipBlock": {"cidr": prefix}})
    ports = st.lists(st.builds(lambda port: {"protocol": "TCP", "port": port}, PORTS), max_size=2)
    rule = st.builds(lambda peers, at: {peers_key: peers, "ports": at}, st.lists(pods | block, max_size=2), ports)
    return st.lists(rule, max_size=2)


KUBERNETES_SPECS = st.builds(
    lambda labels, types, ingress, egress: {
        "podSelector": {"matchLabels": labels},
        "policyTypes": types,
        "ingress": ingress,
        "egress": egress,
    },
    LABELS,
    POLICY_TYPES,
    kubernetes_rules("from"),
    kubernetes_rules("to"),
)
KUBERNETES = st.builds(
    lambda namespace, spec: manifest("networking.k8s.io/v1", "NetworkPolicy", namespace, spec),
    NAMESPACES,
    KUBERNETES_SPECS,
)
OPT_IN = st.builds(
    lambda namespace, spec: manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        namespace,
        {
            **spec,
            "podSelector": {"matchLabels": {**spec["podSelector"]["matchLabels"], "policy-discovery/enforce": "true"}},
        },
    ),
    NAMESPACES,
    KUBERNETES_SPECS,
)
STAGED_KUBERNETES = st.builds(
    lambda namespace, spec: manifest(
        "projectcalico.org/v3", "StagedKubernetesNetworkPolicy", namespace, {**spec, "stagedAction": "Set"}
    ),
    NAMESPACES,
    KUBERNETES_SPECS,
)


def calico_selector(labels: dict[str, str]) -> str:
    """Return labels in Calico's selector language."""
    return " && ".join(f"{key} == '{value}'" for key, value in labels.items()) or "all()"


def calico_rules(direction: Direction) -> st.SearchStrategy[list[Manifest]]:
    """Return allow rules of a Calico policy."""
    side = "source" if direction is Direction.INGRESS else "destination"
    pods = st.builds(
        lambda namespace, labels: {
            "selector": calico_selector(labels),
            "namespaceSelector": f"kubernetes.io/metadata.name == '{namespace}'",
        },
        NAMESPACES,
        LABELS,
    )
    nets = PREFIXES.map(lambda prefix: {"nets": [prefix]})

    def rule(peer: Manifest, port: int) -> Manifest:
        ends: Manifest = {side: dict(peer)}
        ends.setdefault("destination", {})["ports"] = [port]
        return {"action": "Allow", "protocol": "TCP", **ends}

    return st.lists(st.builds(rule, pods | nets, PORTS), max_size=2)


CALICO_SPECS = st.builds(
    lambda labels, types, ingress, egress: {
        "tier": "default",
        "order": 900,
        "selector": calico_selector(labels),
        "types": types,
        "ingress": ingress,
        "egress": egress,
    },
    LABELS,
    POLICY_TYPES,
    calico_rules(Direction.INGRESS),
    calico_rules(Direction.EGRESS),
)
CALICO = st.builds(
    lambda namespace, spec: manifest("projectcalico.org/v3", "NetworkPolicy", namespace, spec),
    NAMESPACES,
    CALICO_SPECS,
)
STAGED_CALICO = st.builds(
    lambda namespace, spec: manifest(
        "projectcalico.org/v3", "StagedNetworkPolicy", namespace, {**spec, "stagedAction": "Set"}
    ),
    NAMESPACES,
    CALICO_SPECS,
)


def cilium_rules(prefix: str) -> st.SearchStrategy[list[Manifest]]:
    """Return rules of a Cilium policy, at least one."""
    pods = st.builds(
        lambda namespace, labels: {
            f"{prefix}Endpoints": [
                {
                    "matchLabels": {
                        "k8s:io.kubernetes.pod.namespace": namespace,
                        **{f"k8s:{key}": value for key, value in labels.items()},
                    }
                }
            ]
        },
        NAMESPACES,
        LABELS,
    )
    entities = st.sampled_from(list(Entity)).map(lambda entity: {f"{prefix}Entities": [entity.value]})
    nets = PREFIXES.map(lambda cidr: {f"{prefix}CIDRSet": [{"cidr": cidr}]})
    layer4: st.SearchStrategy[Manifest] = st.one_of(
        st.just({}),
        PORTS.map(lambda port: {"toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}),
        st.just({"icmps": [{"fields": [{"family": "IPv4", "type": 8}]}]}),
    )
    rule = st.builds(lambda peer, what: {**peer, **what}, pods | entities | nets, layer4)
    return st.lists(rule | st.just({}), min_size=1, max_size=2)


def cilium(*, monitor: bool) -> st.SearchStrategy[Manifest]:
    """Return Cilium policies, with default deny or without."""

    def build(namespace: str, labels: dict[str, str], directions: list[str], ingress: Any, egress: Any) -> Manifest:
        spec: Manifest = {"endpointSelector": {"matchLabels": {f"k8s:{k}": v for k, v in labels.items()}}}
        if monitor:
            spec["enableDefaultDeny"] = {"ingress": False, "egress": False}
        for direction, rules in (("Ingress", ingress), ("Egress", egress)):
            if direction in directions:
                spec[direction.lower()] = rules
        return manifest("cilium.io/v2", "CiliumNetworkPolicy", namespace, spec)

    return st.builds(build, NAMESPACES, LABELS, POLICY_TYPES, cilium_rules("from"), cilium_rules("to"))


def read(manifests: Iterable[Manifest]) -> tuple[ReadPolicy, ...]:
    """Read manifests through their text (JSON is YAML); nothing may be outside the subset."""
    found = read_policies({f"{n}.yaml": json.dumps(m) for n, m in enumerate(manifests)})
    assert found.ok
    return found.policies


def selected(policy: ReadPolicy) -> set[tuple[WorkloadVersion, Direction]]:
    """Return the pods and the direction that a policy governs."""
    return {(pod, policy.direction) for pod in PODS if policy.subject.matches(pod)}


def assert_same(on: str, existing: tuple[ReadPolicy, ...], added: tuple[ReadPolicy, ...], probes: list[Probe]) -> None:
    """Compare every decision before and after."""
    before = Evaluator(existing, platform(on))
    after = Evaluator(existing + added, platform(on))
    for probe in probes:
        assert after.decide(probe).outcome is before.decide(probe).outcome


ANY_KUBERNETES = ["kubernetes=1.31", "kubernetes=1.31;enforcer=cilium", "kubernetes=1.31;enforcer=calico"]
STAGED = STAGED_CALICO | STAGED_KUBERNETES
MANY_PROBES = st.lists(PROBES, min_size=1, max_size=8)


@pytest.mark.parametrize(
    "on", ["kubernetes=1.31", "kubernetes=1.31;enforcer=cilium", "kubernetes=1.31;enforcer=calico"]
)
@given(st.lists(KUBERNETES, max_size=3), st.lists(OPT_IN, min_size=1, max_size=3), MANY_PROBES)
def test_opt_in_policies_are_inert(
    on: str, existing: list[Manifest], added: list[Manifest], probes: list[Probe]
) -> None:
    """Kubernetes monitor documents select no pod that did not ask for it."""
    assert_same(on, read(existing), read(added), probes)


@given(
    st.lists(KUBERNETES | CALICO, max_size=3),
    st.lists(STAGED, min_size=1, max_size=3),
    MANY_PROBES,
)
def test_staged_policies_are_inert(existing: list[Manifest], added: list[Manifest], probes: list[Probe]) -> None:
    """Calico monitor documents decide nothing, whatever is enforced beside them."""
    assert_same("calico=3.30", read(existing), read(added), probes)


@given(
    st.lists(KUBERNETES | cilium(monitor=False), max_size=3), st.lists(cilium(monitor=True), max_size=4), MANY_PROBES
)
def test_soft_cilium_policies_are_inert_on_open_endpoints(
    existing: list[Manifest], added: list[Manifest], probes: list[Probe]
) -> None:
    """Cilium monitor documents for endpoints and directions that nothing isolates change no decision."""
    enforced = read(existing)
    isolated = set().union(*(selected(policy) for policy in enforced)) if enforced else set()
    inert = tuple(policy for policy in read(added) if not selected(policy) & isolated)
    assert_same("cilium=1.18", enforced, inert, probes)


def test_soft_cilium_policies_are_not_inert_on_isolated_endpoints() -> None:
    """The condition above is needed: on an isolated endpoint the allows open traffic at once."""
    deny = manifest("cilium.io/v2", "CiliumNetworkPolicy", "n1", {"endpointSelector": {}, "ingress": [{}]})
    spec = {
        "endpointSelector": {},
        "enableDefaultDeny": {"ingress": False, "egress": False},
        "ingress": [{"fromEntities": ["world"]}],
    }
    soft = manifest("cilium.io/v2", "CiliumNetworkPolicy", "n1", spec)
    probe = Probe(client=AddressEnd(address="192.0.2.1"), server=PodEnd(version=PODS[0]), protocol=Protocol.TCP, port=1)
    with pytest.raises(AssertionError):
        assert_same("cilium=1.18", read([deny]), read([soft]), [probe])
