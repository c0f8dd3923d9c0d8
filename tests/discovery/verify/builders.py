"""Small builders that the tests of this folder share."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Peer, PolicyIntent, WorkloadPeer
from discovery.model.platform import Platform, parse_platforms
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector, WorkloadRef, WorkloadVersion
from discovery.verify.ends import PodEnd

CLUSTER = "c1"


def text(source: str) -> str:
    """Return hand-written YAML without its indentation."""
    return textwrap.dedent(source).lstrip("\n")


def document(source: str) -> dict[str, Any]:
    """Return hand-written YAML as a document."""
    loaded = yaml.safe_load(text(source))
    assert isinstance(loaded, dict)
    return loaded


def platform(spec: str) -> Platform:
    """Return one platform from ``cilium=1.18;setting=value``."""
    return next(p for p in parse_platforms([spec]).values() if p.dialect == spec.split("=", maxsplit=1)[0])


def codes(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    """Return the codes of diagnostics, in order."""
    return [diagnostic.code for diagnostic in diagnostics]


def version(
    name: str,
    labels: Mapping[str, str] | None = None,
    *,
    namespace: str = "shop",
    account: str | None = "default",
    cluster: str = CLUSTER,
    namespace_labels: Mapping[str, str] | None = None,
) -> WorkloadVersion:
    """Return one version of a Deployment; its labels are ``app: <name>`` unless given."""
    return WorkloadVersion(
        ref=WorkloadRef(cluster=cluster, namespace=namespace, kind="Deployment", name=name),
        labels=Labels.of({"app": name} if labels is None else labels),
        service_account=account,
        namespace_labels=Labels.of(namespace_labels or {"kubernetes.io/metadata.name": namespace}),
        valid_from=0,
        valid_to=1,
    )


def pod(name: str, address: str | None = None, *, namespace: str = "shop") -> PodEnd:
    """Return a pod end of :func:`version`."""
    return PodEnd(version=version(name, namespace=namespace), address=address)


def selector(name: str, *, namespace: str = "shop", account: str | None = None, cluster: str = CLUSTER) -> Selector:
    """Return the selector that picks ``app: <name>``."""
    return Selector(cluster=cluster, namespace=namespace, labels=Labels.of({"app": name}), service_account=account)


def workload_peer(name: str, *, namespace: str = "shop", cluster: str = CLUSTER) -> WorkloadPeer:
    """Return the peer ``app: <name>``."""
    return WorkloadPeer(selector=selector(name, namespace=namespace, cluster=cluster))


def entity_peer(entity: Entity, *addresses: str) -> EntityPeer:
    """Return an entity peer."""
    return EntityPeer(entity=entity, addresses=addresses)


def cidr_peer(*prefixes: str) -> CidrPeer:
    """Return an external peer."""
    return CidrPeer(prefixes=prefixes)


def tcp(peer: Peer, *ports: int) -> Allow:
    """Return a TCP allow."""
    return Allow(peer=peer, protocol=Protocol.TCP, ports=PortSet.of(*ports))


def intent(name: str, direction: Direction, *allows: Allow, isolate: bool = True) -> PolicyIntent:
    """Return the intent of the Deployment ``name``."""
    return PolicyIntent(
        workload=version(name).ref, subject=selector(name), direction=direction, allows=allows, isolate=isolate
    )
