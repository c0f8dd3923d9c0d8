"""The ends of a connection, and whether a peer of a rule covers one, on one platform.

Answers are three-valued: an address nobody saw, attributes that no source reported and behaviour that the platform
leaves open are MAYBE.
"""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.intent import Dialect
from discovery.model.inventory import NamedPort
from discovery.model.platform import Platform
from discovery.model.workload import Entity, WorkloadVersion
from discovery.verify.layer7 import deep_patterns, names_one
from discovery.verify.nets import NetIndex, Relation, parse_target
from discovery.verify.rules import (
    AllMatch,
    AnyMatch,
    CidrMatch,
    EntityMatch,
    ExceptMatch,
    LocalMatch,
    NameMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    UnclearMatch,
)
from discovery.verify.truth import Truth, any_of, every, known, negated

NODES = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnd:
    """A pod; ``address`` is its address, or None when nobody saw it. ``ports`` are those that its containers declare by
    name, or None when nobody knows them.
    """

    version: WorkloadVersion
    address: str | None = None
    ports: tuple[NamedPort, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityEnd:
    """A reserved entity. HOST is the node that the pod at the other end runs on."""

    entity: Entity
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressEnd:
    """An external address or prefix (a prefix asks for all of its addresses). ``resolved`` is False when nobody
    knows what the address was; ``stranger`` then says that it may be a pod. ``names`` are DNS names that it was asked
    for under, none when none was recorded.
    """

    address: str
    resolved: bool = True
    stranger: bool = False
    names: tuple[str, ...] = ()


End = PodEnd | EntityEnd | AddressEnd


def enforcer_of(platform: Platform) -> Dialect:
    """Return who enforces; KUBERNETES stands for "somebody, by the API text alone"."""
    if platform.dialect is not Dialect.KUBERNETES:
        return platform.dialect
    setting = platform.setting("enforcer")
    return Dialect.KUBERNETES if setting == "strict" else Dialect(setting)


class PeerMatcher:
    """Says whether peers of rules cover ends, on one platform; prefixes are indexed once."""

    def __init__(self, platform: Platform) -> None:
        """Match as this platform does."""
        self._platform = platform
        self._enforcer = enforcer_of(platform)
        self._cidr_mode = dict(platform.settings).get("policy-cidr-match-mode") or ""
        self._nets: dict[CidrMatch, NetIndex] = {}
        self._deep = deep_patterns(platform)

    def covers(self, match: PeerMatch, end: End, subject: WorkloadVersion) -> Truth:
        """Say whether a peer of a rule of ``subject`` covers an end."""
        match match:
            case AnyMatch():
                return Truth.YES
            case AllMatch():
                return every(self.covers(part, end, subject) for part in match.parts)
            case OneMatch():
                return any_of(self.covers(part, end, subject) for part in match.parts)
            case ExceptMatch():
                return negated(self.covers(match.part, end, subject))
            case _:
                unresolved = isinstance(end, AddressEnd) and not end.resolved
                return Truth.MAYBE if unresolved else self._is_one_of(match, end, subject)

    def _is_one_of(self, match: PeerMatch, end: End, subject: WorkloadVersion) -> Truth:
        """Say whether an end that is known is one of the peers that a match without parts names."""
        match match:
            case PodMatch():
                return self._pod(match, end, subject)
            case CidrMatch():
                return self._cidr(match, end)
            case EntityMatch():
                return _entity(match.entity, end)
            case LocalMatch():
                return known(isinstance(end, PodEnd) and end.version.ref.cluster == subject.ref.cluster)
            case NameMatch():
                return _named(match, end, deep=self._deep)
            case _:
                return _unclear(match, end)

    def _pod(self, match: PodMatch, end: End, subject: WorkloadVersion) -> Truth:
        """Say whether a pod selector covers the other end. Selectors reach other clusters only in a Cilium mesh."""
        cilium = self._enforcer is Dialect.CILIUM
        local = self._platform.dialect is Dialect.CILIUM and self._platform.local_by_default
        if isinstance(end, PodEnd):
            return self.in_reach(match, end.version, subject, match.selects(end.version))
        # Cilium's special identities for pods carry no labels; elsewhere they are pods like others.
        special = isinstance(end, EntityEnd) and end.entity not in (*NODES, Entity.WORLD)
        # There, what has no labels of a namespace lacks any: unless selectors are bound to the cluster (1.19), one that
        # only refuses labels means nodes and the outside as well.
        refused = self._platform.dialect is Dialect.CILIUM and not local and match.only_refuses
        return Truth.MAYBE if refused or (special and not cilium) else Truth.NO

    def never_pods(self, match: PeerMatch) -> bool:
        """Say whether a peer of a rule covers no pod, whichever it is."""
        if isinstance(match, CidrMatch):
            return self._enforcer is Dialect.CILIUM and not match.inside and "pods" not in self._cidr_mode
        return isinstance(match, (EntityMatch, NameMatch)) or (isinstance(match, UnclearMatch) and match.nodes)

    def in_reach(self, match: PodMatch, version: WorkloadVersion, subject: WorkloadVersion, selected: Truth) -> Truth:
        """Say whether a selector of a rule of ``subject`` reaches a version that it selects: pods of other clusters
        only in a mesh of Cilium, unless it names them.
        """
        if match.cluster is None and version.ref.cluster != subject.ref.cluster and selected is not Truth.NO:
            local = self._platform.dialect is Dialect.CILIUM and self._platform.local_by_default
            return Truth.MAYBE if self._enforcer is Dialect.CILIUM and not local else Truth.NO
        return selected

    def _cidr(self, match: CidrMatch, end: End) -> Truth:
        """Say whether prefixes cover the other end: Cilium means the outside alone, the API text leaves pods open."""
        outside = isinstance(end, AddressEnd) or (isinstance(end, EntityEnd) and end.entity is Entity.WORLD)
        if outside or match.inside or self._enforcer is Dialect.CALICO:
            return self._contains(match, end)
        if self._enforcer is Dialect.KUBERNETES:
            return min(self._contains(match, end), Truth.MAYBE)
        if isinstance(end, PodEnd):
            return self._contains(match, end) if "pods" in self._cidr_mode else Truth.NO
        if isinstance(end, EntityEnd) and end.entity in NODES:
            if "nodes" in self._cidr_mode:
                return self._contains(match, end)
            # An API server outside the cluster has an address identity as well.
            if end.entity is Entity.KUBE_APISERVER:
                return min(self._contains(match, end), Truth.MAYBE)
        return Truth.NO

    def _contains(self, match: CidrMatch, end: End) -> Truth:
        """Say whether the address of an end is inside; an address nobody saw may be."""
        if end.address is None:
            return Truth.MAYBE
        index = self._nets.get(match)
        if index is None:
            index = self._nets[match] = NetIndex(match)
        relation = index.relation(parse_target(end.address))
        return {Relation.INSIDE: Truth.YES, Relation.OUTSIDE: Truth.NO, Relation.PARTLY: Truth.MAYBE}[relation]


def _entity(entity: Entity, end: End) -> Truth:
    """Say whether an entity covers the other end."""
    if isinstance(end, AddressEnd):
        return known(entity is Entity.WORLD)
    if not isinstance(end, EntityEnd):
        return Truth.NO
    if end.entity is entity:
        return Truth.YES
    # An API server is also a node or an outside address, but which of them is not known.
    either = (Entity.HOST, Entity.REMOTE_NODE, Entity.WORLD)
    return Truth.MAYBE if end.entity is Entity.KUBE_APISERVER and entity in either else Truth.NO


def _named(match: NameMatch, end: End, *, deep: bool) -> Truth:
    """Say whether an end was reached under one of the names; names of pods and nodes never count (identity wins)."""
    if not isinstance(end, AddressEnd):
        return Truth.MAYBE if isinstance(end, EntityEnd) and end.entity is Entity.WORLD else Truth.NO
    if not end.names:
        return Truth.MAYBE
    return any_of(names_one(match.patterns, name, deep=deep) for name in end.names)


def _unclear(match: PeerMatch, end: End) -> Truth:
    """Say whether an end may be among peers that cannot be told."""
    if isinstance(match, UnclearMatch) and match.nodes:
        return Truth.MAYBE if isinstance(end, EntityEnd) and end.entity in NODES else Truth.NO
    return Truth.MAYBE
