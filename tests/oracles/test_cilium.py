"""Random policies of Cilium and Kubernetes against Cilium's own policy engine (pkg/policy of 1.19.7).

``make oracles`` builds the program in ``cilium/``, or the variable ``CILIUM_ORACLE`` names it. It is the agent's own
code from the manifests to the policy map of each endpoint. What the data path adds (nodes reach their pods, replies)
is not in it, so it is asked on a platform where ``allow-localhost`` is ``policy``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Entity
from discovery.verify.ends import EntityEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from tests.discovery.verify.builders import platform
from tests.oracles import cilium_policies
from tests.oracles.process import BUILT, Oracle, cases, running
from tests.oracles.strategies import OUTSIDE, PLAIN, PORT_NUMBERS, Limits, Manifest, World, policy_sets, text, worlds
from tests.oracles.verdicts import Table, bounds, differences, ours

CILIUM = "cilium=1.19;allow-localhost=policy"
PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP)
# Ends that are neither pods nor addresses. An API server has two of these identities at once: not asked.
ENTITIES = {
    one.value: EntityEnd(entity=one) for one in (Entity.HOST, Entity.REMOTE_NODE, Entity.HEALTH, Entity.INGRESS)
}
# Both sides of every bound that a rule can have.
_BOUNDS = sorted({number + step for number in (1, *PORT_NUMBERS) for step in (-1, 0, 1)} - {0} | {65_535})
NUMBERS = {
    protocol: PortSet.of(*_BOUNDS) if protocol.has_ports else PortSet.of(*cilium_policies.ICMP_TYPES, 11)
    for protocol in PROTOCOLS
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Oracle]:
    """Start the engine, or skip with what is missing."""
    program = os.environ.get("CILIUM_ORACLE") or str(BUILT / "cilium")
    if not Path(program).exists():
        pytest.skip("Cilium's policy engine is not built (make oracles; it needs Go and its modules)")
    with running(program) as oracle:
        yield oracle


def question(world: World, policies: list[Manifest], cluster: str) -> Manifest:
    """Return a case as the program reads it, with the labels that Cilium takes from Kubernetes."""
    pods: list[Manifest] = []
    for pod in world.pods:
        labels = {
            **pod.labels,
            "io.kubernetes.pod.namespace": pod.namespace,
            "io.cilium.k8s.policy.cluster": "default",
            "io.cilium.k8s.policy.serviceaccount": "default",
        }
        for key, value in world.namespaces[pod.namespace].items():
            labels[f"io.cilium.k8s.namespace.labels.{key}"] = value
        ports = {name: {"protocol": kind, "number": number} for name, (kind, number) in pod.ports.items()}
        pods.append({"name": f"{pod.namespace}/{pod.name}", "labels": labels, "ports": ports})
    numbers = {str(protocol): list(asked) for protocol, asked in NUMBERS.items()}
    return {
        "pods": pods,
        "outside": [*OUTSIDE, *ENTITIES],
        "policies": policies,
        "numbers": numbers,
        "cluster": cluster,
    }


def theirs(oracle: Oracle, world: World, policies: list[Manifest], cluster: str = "default") -> Table:
    """Return what the engine allows among the numbers that are asked. Peers are bound to the cluster, as the agent does
    by default since 1.19 (``policy-default-local-cluster``), or to none.
    """
    found: Table = {}
    verdicts: dict[str, Any] = oracle.ask(question(world, policies, cluster))["verdicts"]
    for name, numbers in verdicts.items():
        source, target, protocol = name.split(" ")
        found.setdefault((source, target), {})[Protocol(protocol)] = PortSet.of(*numbers)
    return found


def narrowed(table: Table) -> Table:
    """Return a table of the numbers that are asked."""
    return {
        pair: {protocol: allowed & NUMBERS[protocol] for protocol, allowed in contents.items()}
        for pair, contents in table.items()
    }


def compare(oracle: Oracle, world: World, policies: list[Manifest]) -> None:
    """Hold our verdicts against the engine's."""
    found = narrowed(ours(world, policies, CILIUM, PROTOCOLS, others=ENTITIES))
    expected = theirs(oracle, world, policies)
    assert found.keys() == expected.keys()
    assert not differences(found, expected)


@cases(40)
@given(world=worlds(), policies=policy_sets(Limits()))
def test_kubernetes_policies(engine: Oracle, world: World, policies: list[Manifest]) -> None:
    """Policies of Kubernetes decide as on Cilium."""
    note(text([*world.manifests(), *policies]))
    compare(engine, world, policies)


@cases(80)
@given(
    world=worlds(), policies=cilium_policies.policy_sets(), beside=policy_sets(Limits(), most=2), mixed=st.booleans()
)
def test_cilium_policies(
    engine: Oracle, world: World, policies: list[Manifest], beside: list[Manifest], mixed: bool
) -> None:
    """Policies of Cilium, alone and beside those of Kubernetes, decide as the engine says."""
    together = [*policies, *beside] if mixed else policies
    note(text([*world.manifests(), *together]))
    compare(engine, world, together)


@cases(30)
@given(world=worlds(), policies=cilium_policies.policy_sets(), beside=policy_sets(Limits(), most=2))
def test_peers_of_any_cluster(engine: Oracle, world: World, policies: list[Manifest], beside: list[Manifest]) -> None:
    """Before 1.19 peers are bound to no cluster: what we surely allow passes, and what passes we may allow."""
    together = [*policies, *beside]
    sure, may = map(narrowed, bounds(world, together, "cilium=1.18;allow-localhost=policy", PROTOCOLS, others=ENTITIES))
    note(text([*world.manifests(), *together]))
    for pair, contents in theirs(engine, world, together, cluster="").items():
        for protocol, passed in contents.items():
            assert not (sure[pair][protocol] - passed).intervals, (pair, protocol)
            assert not (passed - may[pair][protocol]).intervals, (pair, protocol)


def test_ip_blocks_of_ingress_mean_no_pod(engine: Oracle) -> None:
    """Bound to a cluster, agents up to 1.19.4 took an ``ipBlock`` at ingress for every pod of the namespace as well
    (cilium#46456): a fault of those releases, which neither the engine asked here nor we repeat.
    """
    peer = {"ipBlock": {"cidr": "8.8.8.8/32"}}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]},
    }
    pods = (*PLAIN.pods, replace(PLAIN.pods[0], name="q", address="172.16.0.9"))
    compare(engine, replace(PLAIN, pods=pods), [policy])


@pytest.mark.parametrize("both", [False, True])
def test_the_reserved_label_of_the_outside(engine: Oracle, both: bool) -> None:
    """The label means the outside in a cluster of one address family alone; we do not know which it is."""
    selector = {"matchLabels": {"reserved:world": ""}}
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"endpointSelector": {}, "ingress": [{"fromEndpoints": [selector]}]},
    }
    asked = {**question(PLAIN, [policy], "default"), "ipv6": both}
    passed = engine.ask(asked)["verdicts"]["1.1.1.1 shop/p TCP"]
    assert bool(passed) is not both
    sure, may = bounds(PLAIN, [policy], CILIUM, PROTOCOLS, others=ENTITIES)
    pair = ("1.1.1.1", "shop/p")
    assert not sure[pair][Protocol.TCP].intervals
    assert may[pair][Protocol.TCP].intervals


EMPTY_DENY: Manifest = {"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [{}]}
EVERY_PORT: Manifest = {"ingress": [{"toPorts": [{"ports": [{"port": "0", "protocol": "ANY"}]}]}]}


@pytest.mark.parametrize(
    ("spec", "passing"),
    [
        (EMPTY_DENY, PROTOCOLS),
        (EVERY_PORT, (Protocol.TCP, Protocol.UDP, Protocol.SCTP)),
    ],
)
def test_what_our_reader_leaves_open(engine: Oracle, spec: Manifest, passing: tuple[Protocol, ...]) -> None:
    """No reference tells what an empty deny denies, nor port 0 of any protocol: the engine takes them for nobody, and
    for all ports but not ICMP. We say that the manifest is not evaluated, and that what the engine does is possible.
    """
    meta = {"name": "p", "namespace": "shop"}
    spec = {"endpointSelector": {}, **spec}
    policy = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": meta, "spec": spec}
    contents = theirs(engine, PLAIN, [policy])["pay/p", "shop/p"]
    assert tuple(one for one in PROTOCOLS if contents[one].intervals) == passing
    read = read_policies({"policies.yaml": text([policy])})
    assert [found.code for found in read.diagnostics] == ["not-evaluated"]
    evaluator = Evaluator(read.policies, platform(CILIUM))
    ends = PLAIN.ends()
    for protocol in PROTOCOLS:
        sure, may = evaluator.allowed(ends["pay/p"], ends["shop/p"], protocol)
        assert sure & contents[protocol] == sure & NUMBERS[protocol]
        assert may & contents[protocol] == contents[protocol]
