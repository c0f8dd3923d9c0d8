"""Random policies of Kubernetes and Calico against network-config-analyzer 2.1.0 (IBM, Apache-2.0).

It is found as ``build/oracles/nca`` (made by ``make oracles``), or by the variable ``NCA_PYTHON``: an interpreter of an
environment that has the package. What it is known to get wrong is not generated, and each such construct is a case of
its own below, with the reason.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from tests.oracles import calico
from tests.oracles.process import BUILT, Oracle, cases, running
from tests.oracles.strategies import NETS, OUTSIDE, PLAIN, Limits, Manifest, World, policy_sets, text, worlds
from tests.oracles.verdicts import PORTS, Contents, Table, differences, ours, pairs, whole

DRIVER = Path(__file__).with_name("nca_driver.py")
TRANSPORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
_NAMES = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP, "ICMP": Protocol.ICMP}
_PART = re.compile(r"(\w+):(.*?)(?=,\w+:|$)")
# An ipBlock never means a pod there, as with Cilium.
KUBERNETES = "kubernetes=1.31;enforcer=cilium"
LIMITS = Limits(
    # Exists and DoesNotExist beside a namespaceSelector are asked in the policy's own namespace.
    exists_beside_namespaces=False,
    # An empty list of egress rules isolates without policyTypes; the API server declares Egress for rules alone.
    empty_lists_without_types=False,
)

CALICO = "calico=3.30"
# Calico matches the addresses of pods, the analyzer has none: rules name no prefix that a pod is in.
CALICO_LIMITS = Limits(nets=NETS, exists_beside_namespaces=False, empty_lists_without_types=False)


@pytest.fixture(scope="module")
def nca() -> Iterator[Oracle]:
    """Start the analyzer, or skip with what is missing."""
    python = os.environ.get("NCA_PYTHON") or str(BUILT / "nca" / "bin" / "python")
    if not Path(python).exists():
        pytest.skip("network-config-analyzer is not installed (make oracles)")
    with running(python, str(DRIVER)) as oracle:
        yield oracle


def contents_of(told: str) -> Contents:
    """Return the contents that one line of a report allows."""
    if told in ("All connections", "No connections"):
        return {protocol: whole(protocol) if told[0] == "A" else PortSet() for protocol in _NAMES.values()}
    found = {protocol: PortSet() for protocol in _NAMES.values()}
    for cube in re.findall(r"{(.*?)}", told):
        parts = dict(_PART.findall(cube))
        assert parts.keys() <= {"protocols", "dst_ports", "icmp_type"}, told
        for protocol in _protocols(parts.get("protocols", "*")):
            asked = parts.get("dst_ports" if protocol.has_ports else "icmp_type")
            found[protocol] |= whole(protocol) & _numbers(asked) if asked else whole(protocol)
    if told.startswith("All but "):
        return {protocol: whole(protocol) - contents for protocol, contents in found.items()}
    return found


def _protocols(told: str) -> set[Protocol]:
    """Return the protocols of a list, an ``all but`` list or ``*``."""
    names = {name.strip() for name in told.removeprefix("all but ").split(",")}
    known = {protocol for name, protocol in _NAMES.items() if name in names}
    return set(_NAMES.values()) - known if told.startswith(("all but ", "*")) else known


def _numbers(told: str) -> PortSet:
    """Return the numbers of ``5-8,80``."""
    bounds = [part.partition("-") for part in told.split(",")]
    return PortSet.from_intervals((int(low), int(high or low)) for low, _, high in bounds)


def names_of(end: str) -> list[str]:
    """Return the pod, or the probed addresses in the ranges, that an end of a line stands for."""
    if "/" in end and not end[0].isdigit():
        return [end]
    found = []
    for part in end.split(","):
        low, _, high = part.strip().partition("-")
        if "/" in low:
            inside = ipaddress.ip_network(low)
            found += [one for one in OUTSIDE if ipaddress.ip_address(one) in inside]
        else:
            first, last = int(ipaddress.ip_address(low)), int(ipaddress.ip_address(high or low))
            found += [one for one in OUTSIDE if first <= int(ipaddress.ip_address(one)) <= last]
    return found


def theirs(oracle: Oracle, world: World, policies: list[Manifest], protocols: tuple[Protocol, ...]) -> Table:
    """Return what the analyzer allows, for the same pairs as ours."""
    found: Table = {
        (source, target): {protocol: PortSet() for protocol in protocols} for (source, _), (target, _) in pairs(world)
    }
    for line in oracle.ask(text([*world.manifests(), *policies]))["report"].splitlines():
        ends, separator, told = line.partition(" : ")
        if not separator or " => " not in ends:
            continue
        source, _, target = ends.partition(" => ")
        contents = contents_of(told.strip())
        for client in names_of(source):
            for server in names_of(target):
                for protocol in protocols:
                    found[client, server][protocol] |= contents[protocol]
    return found


@cases(40)
@given(world=worlds(), policies=policy_sets(LIMITS))
def test_kubernetes_policies(nca: Oracle, world: World, policies: list[Manifest]) -> None:
    """The ports of every protocol between all pods, and with addresses outside, are those of the analyzer."""
    found = ours(world, policies, KUBERNETES, TRANSPORTS)
    expected = theirs(nca, world, policies, TRANSPORTS)
    note(text([*world.manifests(), *policies]))
    assert not differences(found, expected)


@cases(40)
@given(world=worlds(), policies=calico.policy_sets(), beside=policy_sets(CALICO_LIMITS, most=2), mixed=st.booleans())
def test_calico_policies(
    nca: Oracle, world: World, policies: list[Manifest], beside: list[Manifest], mixed: bool
) -> None:
    """Policies of Calico by order, alone and beside those of Kubernetes, decide as the analyzer says."""
    together = [*policies, *beside] if mixed else policies
    protocols = (*TRANSPORTS, Protocol.ICMP)
    found = ours(world, together, CALICO, protocols)
    expected = theirs(nca, world, together, protocols)
    note(text([*world.manifests(), *together]))
    assert not differences(found, expected)


@cases(20)
@given(world=worlds(), policies=calico.policy_sets(sets=True), sets=calico.network_sets())
def test_calico_network_sets(nca: Oracle, world: World, policies: list[Manifest], sets: list[Manifest]) -> None:
    """Selectors of peers also mean the addresses of network sets with such labels."""
    together = [*sets, *policies]
    found = ours(world, together, CALICO, TRANSPORTS)
    expected = theirs(nca, world, together, TRANSPORTS)
    note(text([*world.manifests(), *together]))
    assert not differences(found, expected)


def test_not_selectors_alone(nca: Oracle) -> None:
    """The analyzer binds a ``notSelector`` to the namespace of its policy and leaves all other pods to it. Calico binds
    the end itself, as soon as any selector is there (GetEntityRuleSelector in its updateprocessors): nothing is left.
    """
    policy = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "pay"},
        "spec": {"types": ["Ingress"], "ingress": [{"action": "Allow", "source": {"notSelector": "all()"}}]},
    }
    pair = ("shop/p", "pay/p")
    assert theirs(nca, PLAIN, [policy], TRANSPORTS)[pair] == dict.fromkeys(TRANSPORTS, PORTS)
    assert ours(PLAIN, [policy], CALICO, TRANSPORTS)[pair] == dict.fromkeys(TRANSPORTS, PortSet())


def test_empty_lists_without_types(nca: Oracle) -> None:
    """An empty list of egress rules isolates in the analyzer; the API server declares Egress for rules alone."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"podSelector": {}, "egress": []},
    }
    pair = ("shop/p", "pay/p")
    assert theirs(nca, PLAIN, [policy], TRANSPORTS)[pair] == dict.fromkeys(TRANSPORTS, PortSet())
    assert ours(PLAIN, [policy], KUBERNETES, TRANSPORTS)[pair] == dict.fromkeys(TRANSPORTS, PORTS)
