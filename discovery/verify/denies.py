"""Explicit denies of existing policies, so that audited traffic which somebody denied on purpose is never learned.

Where a deny cannot be read exactly it counts as matching for every subject it may select, because learning a denied
edge is the worse mistake: an unreadable file may deny everything, a manifest that cannot be taken apart everything of
its namespace, a rule that cannot be evaluated everything of its subject in its direction.

Read: ``ingressDeny``/``egressDeny`` of Cilium's policies, ``action: Deny`` of Calico's (in any tier and order, staged
ones too: somebody means them), and of the cluster policies of policy.networking.k8s.io. Meshes and other CNIs deny on a
plane of their own, which no rule written here opens: they are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Entity, WorkloadRef, WorkloadVersion
from discovery.verify import cluster_policies
from discovery.verify.context import Context
from discovery.verify.fields import Head, unread
from discovery.verify.nets import NetIndex, Relation, parse_target
from discovery.verify.read import UnreadableError, expand, load_documents, read_document
from discovery.verify.references import read_references
from discovery.verify.rules import (
    ALL_ICMP_TYPES,
    Action,
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    UnclearMatch,
)
from discovery.verify.truth import Truth

_SECTIONS = {"ingressDeny": Direction.INGRESS, "egressDeny": Direction.EGRESS}
_GROUPS = {
    "cilium.io": Dialect.CILIUM,
    "projectcalico.org": Dialect.CALICO,
    "crd.projectcalico.org": Dialect.CALICO,
    cluster_policies.GROUP: Dialect.KUBERNETES,
}
_NAMESPACED = ("CiliumNetworkPolicy", "NetworkPolicy", "StagedNetworkPolicy")
Match = TypeVar("Match", bound=PeerMatch)

# Stands for "any namespace" while a manifest is read: no namespace can have this name.
_ANYWHERE = "*"


def read_denies(texts: Mapping[str, str | bytes]) -> tuple[ReadPolicy, ...]:
    """Return the explicit denies of all manifests, as policies whose rules are what is denied.

    ``complete`` is False where a deny could not be read exactly. Never raises for bad content.
    """
    found: list[ReadPolicy] = []
    documents: list[tuple[str, Any]] = []
    for path in sorted(texts):
        try:
            loaded = load_documents(texts[path])
        except UnreadableError as error:
            head = Head(api_version="", kind="unreadable file", name=path, namespace=None)
            found += unread(Dialect.CILIUM, head, None, f"{path}:{error.line}", staged=False)
            continue
        documents += [(f"{path}:{line}", _placed(item)) for line, document in loaded for item in expand(document)]
    context, _ = read_references(documents)
    for source, document in documents:
        found += _denies(document, source, context)
    return tuple(found)


def _placed(manifest: Any) -> Any:
    """Return a manifest that says its namespace; one that does not may land anywhere."""
    if not isinstance(manifest, dict) or manifest.get("kind") not in _NAMESPACED:
        return manifest
    metadata = manifest.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    named = {"name": "(no name)", "namespace": _ANYWHERE} | {key: value for key, value in given.items() if value}
    return {
        **manifest,
        "metadata": {key: value if isinstance(value, (str, dict)) else "x" for key, value in named.items()},
    }


def _denies(manifest: Any, source: str, context: Context) -> list[ReadPolicy]:
    """Return the denies of one manifest."""
    if not isinstance(manifest, dict):
        return []
    dialect = _GROUPS.get(str(manifest.get("apiVersion")).partition("/")[0])
    marks = _marks([manifest.get("spec"), manifest.get("specs")])
    if dialect is None or not marks:
        return []
    found = []
    for policy in read_document(manifest, source, context)[0]:
        if policy.anywhere and policy.direction not in _directions(manifest):
            continue
        rules = tuple(rule for rule in policy.rules if rule.action is Action.DENY)
        if rules or Action.DENY in policy.unread:
            rules = tuple(replace(rule, peers=tuple(map(_everywhere, rule.peers))) for rule in rules)
            only_denies = policy.unread & {Action.DENY}
            found.append(replace(policy, subject=_everywhere(policy.subject), rules=rules, unread=only_denies))
    if _in_place(manifest, *Direction) < marks or not found:
        # A deny stands where no deny belongs, or nothing came of it: which traffic it means is not known.
        metadata = manifest.get("metadata")
        given = metadata if isinstance(metadata, dict) else {}
        namespace = given.get("namespace") if manifest.get("kind") in _NAMESPACED else None
        place = namespace if isinstance(namespace, str) and namespace != _ANYWHERE else None
        head = Head(api_version="", kind=str(manifest.get("kind")), name=str(given.get("name")), namespace=place)
        found += unread(dialect, head, place, source, staged=head.kind.startswith("Staged"))
    return found


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


def _directions(manifest: dict[str, Any]) -> set[Direction]:
    """Return the directions of the denies that stand where they belong; all of them where none does."""
    return {direction for direction in Direction if _in_place(manifest, direction)} or set(Direction)


def _in_place(manifest: dict[str, Any], *directions: Direction) -> int:
    """Return how many denies of directions stand where they belong: sections of Cilium's rules, rules elsewhere."""
    specs = manifest.get("specs")
    rules = [
        item for item in (manifest.get("spec"), *(specs if isinstance(specs, list) else ())) if isinstance(item, dict)
    ]
    sections = sum(bool(rule.get(name)) for rule in rules for name, of in _SECTIONS.items() if of in directions)
    listed = [rule.get(direction.value) for rule in rules for direction in directions]
    items = [item for one in listed if isinstance(one, list) for item in one if isinstance(item, dict)]
    return sections + sum(_is_deny(item.get("action")) for item in items)


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
            case OneMatch():
                return any(self._is_peer(part, end, dialect) for part in peer.parts)
            case AllMatch():
                return all(self._is_peer(part, end, dialect) for part in peer.parts)
            case UnclearMatch(nodes=True):
                return end.kind in (EndpointKind.HOST, EndpointKind.REMOTE_NODE, EndpointKind.KUBE_APISERVER)
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
    if rule.names:  # a name may be any number
        return True
    if rule.protocol.has_ports:
        return rule.ports == PortSet.all() if edge.port is None else edge.port in rule.ports
    return rule.icmp_types == ALL_ICMP_TYPES if edge.icmp_type is None else edge.icmp_type in rule.icmp_types
