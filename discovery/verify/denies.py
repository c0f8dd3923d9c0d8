"""Explicit denies of existing policies, read as the rules that they are, so that audited traffic which somebody
denied on purpose is never learned.

A deny section is read as if it were an allow section: "would this rule match?" is the same question. Where a deny
cannot be read exactly it counts as matching for every subject it may select, because learning a denied edge is the
worse mistake: an unreadable file may deny everything, a manifest that cannot be taken apart everything of its
namespace, a rule that cannot be evaluated everything of its subject in its direction.

Read: ``ingressDeny``/``egressDeny`` of CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, ``action: Deny`` of
Calico's namespaced and global policies (staged ones too: somebody means them). The cluster policies of
policy.networking.k8s.io count as matching when they deny anything. Meshes and other CNIs deny on a plane of their
own, which no rule written here opens: they are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, WorkloadRef, WorkloadVersion
from discovery.verify import calico, cilium
from discovery.verify.fields import Head, unread
from discovery.verify.nets import NetIndex, Relation, parse_target
from discovery.verify.read import UnreadableError, expand, load_documents
from discovery.verify.rules import (
    ALL_ICMP_TYPES,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
)
from discovery.verify.truth import Truth

_SECTIONS = {"ingressDeny": Direction.INGRESS, "egressDeny": Direction.EGRESS}
_GROUPS = {
    "cilium.io": Dialect.CILIUM,
    "projectcalico.org": Dialect.CALICO,
    "crd.projectcalico.org": Dialect.CALICO,
    "policy.networking.k8s.io": Dialect.KUBERNETES,
}
# kind -> the kind that its rules are read as; the cluster-wide ones have no namespace of their own.
_KINDS = {
    "CiliumNetworkPolicy": "CiliumNetworkPolicy",
    "CiliumClusterwideNetworkPolicy": "CiliumNetworkPolicy",
    "NetworkPolicy": "NetworkPolicy",
    "GlobalNetworkPolicy": "NetworkPolicy",
    "StagedNetworkPolicy": "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy": "StagedNetworkPolicy",
}
_NAMESPACED = ("CiliumNetworkPolicy", "NetworkPolicy", "StagedNetworkPolicy")
Match = TypeVar("Match", bound=PeerMatch)

# Stands for "any namespace" while a manifest is read: no namespace can have this name.
_ANYWHERE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """The denies of one direction in the shape of allows. ``denies`` counts them as :func:`_marks` does;
    ``namespace`` is set where the subject names its own.
    """

    direction: Direction
    spec: dict[str, Any]
    denies: int
    namespace: str | None = None


def read_denies(texts: Mapping[str, str | bytes]) -> tuple[ReadPolicy, ...]:
    """Return the explicit denies of all manifests, as policies whose rules say what is denied.

    ``complete`` is False where a deny could not be read exactly. Never raises for bad content.
    """
    found: list[ReadPolicy] = []
    for path in sorted(texts):
        try:
            documents = load_documents(texts[path])
        except UnreadableError as error:
            head = Head(api_version="", kind="unreadable file", name=path, namespace=None)
            found += unread(Dialect.CILIUM, head, None, f"{path}:{error.line}", staged=False)
            continue
        for line, document in documents:
            for manifest in expand(document):
                found += _read_manifest(manifest, f"{path}:{line}")
    return tuple(found)


def _read_manifest(manifest: Any, source: str) -> Iterator[ReadPolicy]:
    """Yield the denies of one manifest."""
    if not isinstance(manifest, dict):
        return
    group, kind = str(manifest.get("apiVersion")).partition("/")[0], str(manifest.get("kind"))
    dialect = _GROUPS.get(group)
    marks = _marks([manifest.get("spec"), manifest.get("specs")])
    if dialect is None or not marks:
        return
    metadata = manifest.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    namespace = given.get("namespace") if kind in _NAMESPACED else None
    head = Head(
        api_version={Dialect.CILIUM: "cilium.io/v2", Dialect.CALICO: "projectcalico.org/v3"}.get(dialect, group),
        kind=_KINDS.get(kind, kind),
        name=str(given.get("name") or "(no name)"),
        namespace=namespace if isinstance(namespace, str) and namespace else None,
    )
    sections: list[_Section] = []
    if kind in _KINDS:
        sections = list(_cilium_sections(manifest) if dialect is Dialect.CILIUM else _calico_sections(manifest))
        for section in sections:
            yield from _read_section(dialect, head, section, source)
    if sum(section.denies for section in sections) < marks:
        # A deny stands where no deny belongs: which traffic it means is not known.
        yield from unread(dialect, head, head.namespace, source, staged=kind.startswith("Staged"))


def _marks(value: Any) -> int:
    """Return how many denies are written anywhere in a value (whose depth the reader of the text has bounded)."""
    if isinstance(value, list):
        return sum(map(_marks, value))
    if not isinstance(value, dict):
        return 0
    own = sum(
        bool((key in _SECTIONS and bool(item)) or (key == "action" and _is_deny(item))) for key, item in value.items()
    )
    return own + sum(map(_marks, value.values()))


def _is_deny(action: Any) -> bool:
    """Say whether an action denies; older releases of Calico write it in lower case."""
    return isinstance(action, str) and action.lower() == "deny"


def _cilium_sections(manifest: dict[str, Any]) -> Iterator[_Section]:
    """Yield the deny sections of ``spec`` and ``specs``, each with nothing but the subject of its rule."""
    specs = manifest.get("specs")
    for rule in (manifest.get("spec"), *(specs if isinstance(specs, list) else ())):
        if not isinstance(rule, dict):
            continue
        selector, namespace = rule.get("endpointSelector"), None
        if manifest.get("kind") == "CiliumClusterwideNetworkPolicy":
            selector, namespace = _without_namespace(selector)
        for name, direction in _SECTIONS.items():
            section = rule.get(name)
            if section:
                # An empty rule allows nothing where it is an allow; what it denies is left open, so it is not read.
                items = [item or None for item in section] if isinstance(section, list) else section
                spec = {"endpointSelector": selector, direction.value: items}
                yield _Section(direction=direction, spec=spec, denies=1, namespace=namespace)


def _without_namespace(selector: Any) -> tuple[Any, str | None]:
    """Return an endpoint selector without its namespace label, and the namespace."""
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    if not isinstance(labels, dict):
        return selector, None
    keys = [key for key in labels if key.removeprefix("k8s:") == cilium.NAMESPACE_KEY]
    if len(keys) != 1 or not isinstance(labels[keys[0]], str):
        return selector, None
    rest = {key: value for key, value in labels.items() if key != keys[0]}
    return {**selector, "matchLabels": rest}, labels[keys[0]]


def _calico_sections(manifest: dict[str, Any]) -> Iterator[_Section]:
    """Yield the Deny rules of a Calico policy by direction.

    Tier, order and types are left out (they only say when the rule comes into force), and so is the namespace
    selector of a global policy, which makes the subject wider.
    """
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        return
    subject = {key: spec[key] for key in ("selector", "serviceAccountSelector") if key in spec}
    for direction in Direction:
        rules = spec.get(direction.value)
        denies = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
        denies = [rule for rule in denies if _is_deny(rule.get("action"))]
        if denies:
            allows = [{**{k: v for k, v in rule.items() if k != "metadata"}, "action": "Allow"} for rule in denies]
            turned = {**subject, "types": [direction.value.capitalize()], direction.value: allows}
            yield _Section(direction=direction, spec=turned, denies=len(denies))


def _read_section(dialect: Dialect, head: Head, section: _Section, source: str) -> Iterator[ReadPolicy]:
    """Read one section with the reader of its dialect."""
    metadata = {"name": head.name, "namespace": head.namespace or _ANYWHERE}
    document = {"apiVersion": head.api_version, "kind": head.kind, "metadata": metadata, "spec": section.spec}
    read = cilium.read if dialect is Dialect.CILIUM else calico.read
    for policy in read(document, source)[0]:
        if policy.direction is section.direction:
            subject = _everywhere(policy.subject)
            rules = tuple(replace(rule, peers=tuple(map(_everywhere, rule.peers))) for rule in policy.rules)
            yield replace(
                policy,
                namespace=head.namespace,
                subject=replace(subject, namespace=section.namespace or subject.namespace),
                rules=rules,
            )


def _everywhere(match: Match) -> Match:
    """Return a match in which the stand-in for "any namespace" is any namespace."""
    if isinstance(match, PodMatch) and match.namespace == _ANYWHERE:
        return replace(match, namespace=None)
    return match


def may_select(match: PodMatch, version: WorkloadVersion) -> bool:
    """Say whether a pod match selects a workload version, or may: attributes that no source reported may match."""
    return match.selects(version) is not Truth.NO


def denied_edges(
    denies: Iterable[ReadPolicy], edges: Iterable[Edge], versions: Iterable[WorkloadVersion]
) -> frozenset[Edge]:
    """Return the edges that an explicit deny matches at either end, or may match."""
    matcher = _Matcher(denies, versions)
    return frozenset(edge for edge in edges if matcher.denies(edge))


class _Matcher:
    """Holds edges against denies."""

    def __init__(self, denies: Iterable[ReadPolicy], versions: Iterable[WorkloadVersion]) -> None:
        """Index the versions by workload and the prefixes by their match."""
        self._denies = tuple(denies)
        self._versions: dict[WorkloadRef, list[WorkloadVersion]] = {}
        self._nets: dict[CidrMatch, NetIndex] = {}
        for version in versions:
            self._versions.setdefault(version.ref, []).append(version)

    def denies(self, edge: Edge) -> bool:
        """Say whether any deny matches an edge, or may."""
        for deny in self._denies:
            egress = deny.direction is Direction.EGRESS
            here, there = (edge.client, edge.server) if egress else (edge.server, edge.client)
            if self._selected(deny.subject, here) and (
                not deny.complete
                or any(
                    _names_content(rule, edge) and any(self._is_peer(peer, there, deny.dialect) for peer in rule.peers)
                    for rule in deny.rules
                )
            ):
                return True
        return False

    def _selected(self, match: PodMatch, end: Endpoint) -> bool:
        """Say whether a pod match selects any version of an end's workload, or may."""
        if end.workload is None:
            return False
        versions = self._versions.get(end.workload)
        if versions is None:  # nothing is known of it but its place
            return match.namespace in (None, end.workload.namespace) and match.cluster in (None, end.workload.cluster)
        return any(may_select(match, version) for version in versions)

    def _is_peer(self, peer: PeerMatch, end: Endpoint, dialect: Dialect) -> bool:
        """Say whether a peer of a rule is, or may be, this end."""
        match peer:
            case AnyMatch():
                return True
            case PodMatch():
                return self._selected(peer, end)
            case EntityMatch():
                return _is_entity(peer.entity, end)
            case CidrMatch():
                # Cilium's prefixes never mean pods; elsewhere a pod has an address like any other.
                pod = end.kind is EndpointKind.WORKLOAD and dialect is Dialect.CILIUM
                return not pod and self._inside(peer, end)
            case _:  # whatever else is said of peers may mean this one
                return True

    def _inside(self, match: CidrMatch, end: Endpoint) -> bool:
        """Say whether any address of an end is inside the prefixes; addresses that nobody knows count as inside."""
        if match not in self._nets:
            self._nets[match] = NetIndex(match)
        try:
            targets = [parse_target(address) for address in end.addresses]
        except ValueError:
            return True
        return not targets or any(self._nets[match].relation(target) is not Relation.OUTSIDE for target in targets)


def _is_entity(entity: Entity, end: Endpoint) -> bool:
    """Say whether an end is an entity, or may be: an API server is also a node or an outside address."""
    if end.kind is EndpointKind.EXTERNAL:
        return entity is Entity.WORLD
    if end.kind is EndpointKind.KUBE_APISERVER:
        return entity in (Entity.KUBE_APISERVER, Entity.HOST, Entity.REMOTE_NODE, Entity.WORLD)
    return end.kind.entity is entity


def _names_content(rule: ReadRule, edge: Edge) -> bool:
    """Say whether protocol and port (or ICMP type) of an edge are in a rule.

    An edge without a port or type is in a rule that names all of them; it is never learned, so there is no need to
    think of the worst.
    """
    if edge.protocol is not rule.protocol:
        return False
    if rule.protocol.has_ports:
        return rule.ports == PortSet.all() if edge.port is None else edge.port in rule.ports
    return rule.icmp_types == ALL_ICMP_TYPES if edge.icmp_type is None else edge.icmp_type in rule.icmp_types
