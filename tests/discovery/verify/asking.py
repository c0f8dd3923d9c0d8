"""Ends and short ways to write policies, and to ask what they do to a connection."""

from __future__ import annotations

from discovery.model.edge import Protocol
from discovery.model.inventory import NamedPort
from discovery.model.workload import Entity
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.evaluate import decide
from discovery.verify.read import read_policies
from tests.discovery.verify.builders import platform, version

ALLOWED, DENIED, UNKNOWN = Outcome.ALLOWED, Outcome.DENIED, Outcome.UNKNOWN
CILIUM, CALICO = "cilium=1.19", "calico=3.30"

WEB = PodEnd(
    version=version("web", account="web-sa"),
    address="10.1.0.1",
    ports=(NamedPort(name="http", protocol="TCP", number=8080),),
)
A, B = (
    PodEnd(version=version(name, account=f"{name}-sa"), address=f"10.1.0.{n}", ports=())
    for n, name in enumerate("ab", 2)
)
FAR = PodEnd(
    version=version("a", namespace="far", namespace_labels={"kubernetes.io/metadata.name": "far", "env": "prod"}),
    address="10.2.0.1",
    ports=(),
)
OUT, SAAS = AddressEnd(address="198.51.100.1"), AddressEnd(address="192.0.2.1")
NODE, WORLD = EntityEnd(entity=Entity.REMOTE_NODE, address="10.9.0.1"), EntityEnd(entity=Entity.WORLD)


def thing(api: str, kind: str, name: str, spec: str, metadata: str = "") -> str:
    """Return one manifest with a flow-style spec."""
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}{metadata}}}\nspec: {spec}\n"


def cnp(spec: str, *, name: str = "p") -> str:
    """Return a CiliumNetworkPolicy of shop."""
    return thing("cilium.io/v2", "CiliumNetworkPolicy", name, spec, ", namespace: shop")


def ccnp(spec: str) -> str:
    """Return a CiliumClusterwideNetworkPolicy."""
    return thing("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "c", spec)


def knp(spec: str, *, name: str = "k") -> str:
    """Return a Kubernetes NetworkPolicy of shop."""
    return thing("networking.k8s.io/v1", "NetworkPolicy", name, spec, ", namespace: shop")


def np(spec: str, *, name: str = "p", kind: str = "NetworkPolicy") -> str:
    """Return a Calico policy of shop."""
    return thing("projectcalico.org/v3", kind, name, spec, ", namespace: shop")


def gnp(spec: str, *, name: str = "g") -> str:
    """Return a GlobalNetworkPolicy."""
    return thing("projectcalico.org/v3", "GlobalNetworkPolicy", name, spec)


def tier(name: str, spec: str) -> str:
    """Return a Tier."""
    return thing("projectcalico.org/v3", "Tier", name, spec)


def ask(
    texts: tuple[str, ...],
    client: End,
    server: End,
    *,
    on: str,
    port: int | None = 80,
    protocol: Protocol = Protocol.TCP,
    as_enforced: bool = False,
) -> Outcome:
    """Decide one connection; ICMP is type ``port``."""
    found = read_policies({f"{number:02}.yaml": text for number, text in enumerate(texts)})
    ported = protocol.has_ports
    probe = Probe(
        client=client,
        server=server,
        protocol=protocol,
        port=port if ported else None,
        icmp_type=None if ported else port,
    )
    return decide(found.policies, probe, platform(on), as_enforced=as_enforced, tiers=found.tiers).outcome
