"""Our verdicts against a public conformance suite: the expected connections of np-guard's netpol-analyzer.

Each folder holds manifests with workloads and policies (NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy),
and the connections that are allowed between all workloads and addresses outside. What lies beside policies is left out:
lines of ingress controllers, and networks that users define (their pods have another network as the primary one).
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
from pathlib import Path

import pytest

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from discovery.verify.ends import AddressEnd, End, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.rules import CidrMatch
from tests.discovery.verify.builders import platform
from tests.discovery.verify.population import documents, population

SUITE = Path(__file__).resolve().parents[4] / "shared" / "data" / "semantics" / "netpol-analyzer"
CASES = sorted(path.name for path in (SUITE / "tests").glob("*")) if SUITE.exists() else []
PORTS = PortSet(((1, 65_535),))
_OWN_NETWORK = "k8s.ovn.org/primary-user-defined-network"
_TRANSPORTS = (Protocol.SCTP, Protocol.TCP, Protocol.UDP)


def expected(case: str) -> dict[tuple[str, str], str]:
    """Return the expected connections in the network of pods, by source and destination."""
    lines = (SUITE / "expected" / f"{case}_connlist_output.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    network = True
    for line in lines:
        if line.startswith("Permitted connectivity analyzed in "):
            network = "Pod network" in line
        elif network and " => " in line and "{ingress-controller}" not in line:
            source, _, rest = line.partition(" => ")
            target, _, content = rest.rpartition(" : ")
            found[source.strip(), target.strip()] = content.strip()
    return found


def policies_of(case: str) -> ReadSet:
    """Read the manifests of a case."""
    folder = SUITE / "tests" / case
    files = [path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml", ".json")]
    return read_policies({path.name: path.read_bytes() for path in files if "connlist_output" not in path.name})


def ends_of(case: str) -> dict[str, PodEnd]:
    """Return the workloads whose primary network is that of pods."""
    folder = SUITE / "tests" / case
    own = {
        item["metadata"]["name"]
        for item in documents(folder)
        if item["kind"] == "Namespace" and _OWN_NETWORK in (item["metadata"].get("labels") or {})
    }
    return {name: end for name, end in population(folder).items() if end.version.ref.namespace not in own}


def stretches(read: ReadSet, wanted: dict[tuple[str, str], str]) -> list[str]:
    """Return prefixes that cover IPv4, none of which straddles a prefix of a rule or an expected range."""
    cuts = {0, 1 << 32}
    for rule in (rule for policy in read.policies for rule in policy.rules):
        for peer in rule.peers:
            for prefix in peer.prefixes if isinstance(peer, CidrMatch) else ():
                network = ipaddress.ip_network(prefix)
                if network.version == 4:
                    cuts |= {int(network.network_address), int(network.broadcast_address) + 1}
    for name in itertools.chain.from_iterable(wanted):
        for first, last in ranges(name):
            cuts |= {first, last + 1}
    return [
        str(network)
        for low, high in itertools.pairwise(sorted(cuts))
        for network in ipaddress.summarize_address_range(ipaddress.IPv4Address(low), ipaddress.IPv4Address(high - 1))
    ]


def ranges(name: str) -> list[tuple[int, int]]:
    """Return the address ranges of an external end, none for a workload."""
    if not name.endswith("[External]"):
        return []
    found = []
    for part in name.removesuffix("[External]").split(","):
        first, _, last = part.strip().partition("-")
        found.append((int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last or first))))
    return found


def told(evaluator: Evaluator, client: End, server: End) -> str:
    """Return what the evaluator says of two ends, in the words of the suite. Nothing may stay unknown."""
    parts = []
    for protocol in _TRANSPORTS:
        sure, may = evaluator.allowed(client, server, protocol)
        assert sure & PORTS == may & PORTS, (client, server, protocol)
        if sure & PORTS == PORTS:
            parts.append(f"{protocol} 1-65535")
        elif (sure & PORTS).intervals:
            parts.append(f"{protocol} {sure & PORTS}")
    if not parts:
        return "No Connections"
    whole = parts == [f"{protocol} 1-65535" for protocol in _TRANSPORTS]
    return "All Connections" if whole else ",".join(parts)


@functools.cache
def external(name: str) -> ipaddress.IPv4Network:
    """Return the network of a stretch."""
    return ipaddress.IPv4Network(name)


def wanted_of(wanted: dict[tuple[str, str], str], workload: str, stretch: str, *, inbound: bool) -> str:
    """Return what the suite says of a workload and a stretch of outside addresses."""
    network = external(stretch)
    first, last = int(network.network_address), int(network.broadcast_address)
    for (source, target), content in wanted.items():
        here, there = (target, source) if inbound else (source, target)
        if here == workload and any(low <= first and last <= high for low, high in ranges(there)):
            return content
    return "No Connections"


@pytest.mark.skipif(not CASES, reason="the recorded truth tables are not beside this checkout")
@pytest.mark.parametrize("case", CASES)
def test_verdicts_are_those_of_the_suite(case: str) -> None:
    """Every pair of workloads, and every workload with every stretch of outside addresses, in both directions."""
    wanted = expected(case)
    read = policies_of(case)
    ends = ends_of(case)
    # Whether an ipBlock means pods is left open; the suite says no, and so does Cilium.
    peers = {peer for policy in read.policies for rule in policy.rules for peer in rule.peers}
    blocks = any(isinstance(peer, CidrMatch) and not peer.inside for peer in peers)
    on = "kubernetes=1.31;enforcer=cilium" if blocks else "kubernetes=1.31"
    evaluator = Evaluator(read.policies, platform(on))
    assert {name for pair in wanted for name in pair if not ranges(name)} <= set(ends)
    wrong = {}
    for (source, client), (target, server) in itertools.permutations(ends.items(), 2):
        found, right = told(evaluator, client, server), wanted.get((source, target), "No Connections")
        if found != right:
            wrong[source, target] = (found, right)
    for stretch in stretches(read, wanted):
        outside = AddressEnd(address=stretch)
        for name, end in ends.items():
            for inbound in (True, False):
                found = told(evaluator, outside, end) if inbound else told(evaluator, end, outside)
                right = wanted_of(wanted, name, stretch, inbound=inbound)
                if found != right:
                    wrong[(stretch, name) if inbound else (name, stretch)] = (found, right)
    assert not wrong
