"""What our evaluator says of all pairs of ends, in a form that an oracle's answer can be compared with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from discovery.model.edge import Protocol
from discovery.model.ports import PortSet
from discovery.verify.ends import AddressEnd, End
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from tests.discovery.verify.builders import platform
from tests.oracles.strategies import OUTSIDE, Manifest, World, text

PORTS = PortSet(((1, 65_535),))
TYPES = PortSet(((1, 254),))
# The contents that pass, by protocol; ports, or ICMP types as if they were ports.
Contents = dict[Protocol, PortSet]
Table = dict[tuple[str, str], Contents]


def whole(protocol: Protocol) -> PortSet:
    """Return the contents of a protocol that are compared."""
    return PORTS if protocol.has_ports else TYPES


def pairs(world: World, others: Mapping[str, End] | None = None) -> Iterable[tuple[tuple[str, End], tuple[str, End]]]:
    """Yield every pair of pods, and every pod with every end outside, in both directions."""
    inside: list[tuple[str, End]] = list(world.ends().items())
    yield from itertools.permutations(inside, 2)
    ends: dict[str, End] = {address: AddressEnd(address=address) for address in OUTSIDE}
    for outside in (ends | dict(others or {})).items():
        for one in inside:
            yield outside, one
            yield one, outside


def ours(
    world: World,
    policies: list[Manifest],
    on: str,
    protocols: Iterable[Protocol],
    others: Mapping[str, End] | None = None,
) -> Table:
    """Return what our evaluator allows. Everything must be read, and nothing may stay unknown."""
    sure, may = bounds(world, policies, on, protocols, others)
    assert sure == may, differences(sure, may)
    return sure


def bounds(
    world: World,
    policies: list[Manifest],
    on: str,
    protocols: Iterable[Protocol],
    others: Mapping[str, End] | None = None,
) -> tuple[Table, Table]:
    """Return what our evaluator surely allows, and what it may allow. Everything must be read."""
    read = read_policies({"policies.yaml": text(policies)})
    assert read.ok, read.diagnostics
    evaluator = Evaluator(read.policies, platform(on), tiers=read.tiers)
    kinds = tuple(protocols)
    surely: Table = {}
    perhaps: Table = {}
    for (source, client), (target, server) in pairs(world, others):
        answers = {protocol: evaluator.allowed(client, server, protocol) for protocol in kinds}
        surely[source, target] = {protocol: sure & whole(protocol) for protocol, (sure, _) in answers.items()}
        perhaps[source, target] = {protocol: may & whole(protocol) for protocol, (_, may) in answers.items()}
    return surely, perhaps


def differences(found: Table, expected: Table) -> dict[str, str]:
    """Return where two tables differ, in words."""
    return {
        f"{source} -> {target} {protocol}": f"ours {found[source, target][protocol]}, oracle {contents[protocol]}"
        for (source, target), contents in expected.items()
        for protocol in contents
        if found[source, target][protocol] != contents[protocol]
    }
