"""The common rule table: what a manifest of any dialect says, one :class:`ReadPolicy` per direction.

All values are canonical, so equality is equality of meaning within one platform, conditions and algebra of peers aside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import VOLATILE_KEYS, Entity, Labels, WorkloadVersion
from discovery.verify.conditions import Condition, Operator, Requirement, Scope, holds
from discovery.verify.layer7 import RequestMatch
from discovery.verify.truth import Truth, every, known

ALL_ICMP_TYPES = tuple(range(256))

NO_LABELS = Labels()

# A pod that carries this pair asks to be governed by monitor-mode Kubernetes policies (a canary).
OPT_IN_KEY = "policy-discovery/enforce"
OPT_IN_VALUE = "true"


class Action(StrEnum):
    """What a rule does to what it matches; PASS leaves the layer or tier that it is in."""

    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105 - a word of policies


class Layer(StrEnum):
    """Where a policy stands to the namespaced ones: cluster policies come before them or, as a baseline, after."""

    ADMIN = "admin"
    NAMESPACE = "namespace"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMatch:
    """Pods by cluster, namespace, labels and service account; None is "any", all given parts must hold.

    ``cluster`` None is the cluster that the policy is applied in. ``namespace_labels`` are required labels of
    the pod's namespace, other than its name. An empty ``labels`` selects every pod of the place. ``where`` is whatever
    else must hold.
    """

    cluster: str | None = None
    namespace: str | None = None
    labels: Labels = NO_LABELS
    service_account: str | None = None
    namespace_labels: Labels = NO_LABELS
    where: tuple[Condition, ...] = ()

    @property
    def only_refuses(self) -> bool:
        """Say whether labels must be missing or different, those of the namespace among them, and nothing be there."""
        wanted = self.cluster or self.namespace or self.labels.pairs or self.service_account
        if wanted or self.namespace_labels.pairs or not self.where:
            return False
        parts = [one for one in self.where if isinstance(one, Requirement)]
        refusing = len(parts) == len(self.where) and all(
            one.operator in (Operator.NOT_IN, Operator.LACKS) for one in parts
        )
        return refusing and any(one.scope is Scope.NAMESPACE for one in parts)

    def matches(self, version: WorkloadVersion) -> bool:
        """Say whether a workload version is surely selected (an unknown service account is not a match)."""
        return self.selects(version) is Truth.YES

    def selects(self, version: WorkloadVersion) -> Truth:
        """Say whether a workload version is selected; attributes that no source reported may match."""
        ref = version.ref
        if self.cluster not in (None, ref.cluster) or self.namespace not in (None, ref.namespace):
            return Truth.NO
        found = _has_labels(version, self.labels)
        if found is not Truth.NO and self.service_account not in (None, version.service_account):
            found = min(found, known(answer=False) if version.service_account is not None else Truth.MAYBE)
        if found is not Truth.NO and not version.namespace_labels.matches(self.namespace_labels):
            # Every namespace has labels (its name at least), so none at all means that they are not known.
            found = min(found, Truth.NO if version.namespace_labels.pairs else Truth.MAYBE)
        if found is not Truth.NO and self.where:
            found = min(found, every(holds(condition, version) for condition in self.where))
        return found


def _has_labels(version: WorkloadVersion, required: Labels) -> Truth:
    """Say whether a version has all pairs; those of keys that ingest leaves out may be there."""
    if version.labels.matches(required):
        return Truth.YES
    missing = {key for key, _ in set(required.pairs) - set(version.labels.pairs)}
    unrecorded = missing <= VOLATILE_KEYS and all(version.labels.get(key) is None for key in missing)
    return Truth.MAYBE if unrecorded else Truth.NO


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityMatch:
    """One reserved entity."""

    entity: Entity


@dataclass(frozen=True, slots=True, kw_only=True)
class CidrMatch:
    """Addresses inside any of these prefixes (canonical, collapsed, IPv4 first). ``inside`` says that they mean pods
    and nodes as well on every platform, as those of cluster policies do.
    """

    prefixes: tuple[str, ...]
    inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyMatch:
    """Every peer: pods, nodes and external addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMatch:
    """Every pod of the cluster that the policy is in, in a mesh, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMatch:
    """Addresses that one of these DNS name patterns resolved to (Cilium's: lower case, ``*`` within a label)."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearMatch:
    """Peers that cannot be told from what is recorded: ``what`` says by which construct. With ``nodes`` they are nodes
    at most, so that no pod and no external address is among them.
    """

    what: str
    nodes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AllMatch:
    """Peers that every part matches."""

    parts: tuple[PeerMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneMatch:
    """Peers that one of the parts matches."""

    parts: tuple[PeerMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptMatch:
    """Every peer that the part does not match, unknown ones included."""

    part: PeerMatch


PeerMatch = (
    PodMatch
    | EntityMatch
    | CidrMatch
    | AnyMatch
    | LocalMatch
    | NameMatch
    | UnclearMatch
    | AllMatch
    | OneMatch
    | ExceptMatch
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRule:
    """Matches any of ``peers`` on one protocol AND any of the ports (or ICMP types, for ICMP alone), and does
    ``action``.

    ``names`` are ports by name, each the number that the server's containers give it. ``own`` is what the policy's own
    end must match beside the subject. ``layer7`` are the requests that it lets through, all without any.
    ``unclear`` names a further restriction that cannot be evaluated; ``proxied``
    says that the traffic goes through a proxy. ``place`` is the field path of the rule in its manifest, which is no
    part of its meaning.
    """

    peers: tuple[PeerMatch, ...]
    protocol: Protocol
    ports: PortSet = PortSet()
    icmp_types: tuple[int, ...] = ()
    action: Action = Action.ALLOW
    names: tuple[str, ...] = ()
    own: PeerMatch | None = None
    layer7: tuple[RequestMatch, ...] = ()
    unclear: str | None = None
    proxied: bool = False
    place: str = field(default="", compare=False)

    @property
    def is_plain(self) -> bool:
        """Say whether the rule allows, and by peer, protocol and number of a port or type alone."""
        restricted = self.names or self.own is not None or self.layer7 or self.unclear is not None or self.proxied
        return self.action is Action.ALLOW and not restricted

    @property
    def content(self) -> PortSet:
        """Return the ports, or the ICMP types as if they were ports, that the rule names by number."""
        return self.ports if self.protocol.has_ports else PortSet.of(*self.icmp_types)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPolicy:
    """What one manifest says for one direction.

    ``subject`` does not contain the opt-in label; ``opt_in`` says that it was there. ``isolates`` is what the
    document asks for once it is in force (False for Cilium's ``enableDefaultDeny: false`` and for cluster policies,
    which leave open what no rule of theirs matches). ``staged`` kinds are never in force. ``source`` is ``path:line``.
    ``unread`` is what rules could do that could not be evaluated: a decision that depends on one is UNKNOWN; and
    ``anywhere`` says that not even the subject could be read. ``nodes`` says that it governs nodes and no pod; what it
    does to them is not evaluated. ``needs`` names the fields and kinds that older platforms
    ignore, sorted. ``order`` ranks policies of one tier or layer, lower first; ``tier`` is Calico's; policies of
    Kubernetes are in its tier ``default``.
    """

    dialect: Dialect
    kind: str
    name: str
    namespace: str | None
    subject: PodMatch
    opt_in: bool
    direction: Direction
    isolates: bool
    staged: bool
    rules: tuple[ReadRule, ...]
    source: str
    unread: frozenset[Action] = frozenset()
    anywhere: bool = False
    nodes: bool = False
    needs: tuple[str, ...] = ()
    tier: str = "default"
    layer: Layer = Layer.NAMESPACE
    order: float = math.inf

    @property
    def complete(self) -> bool:
        """Say whether everything in the manifest could be evaluated."""
        return not self.unread and not self.anywhere

    def __str__(self) -> str:
        """Return ``Kind namespace/name``, hostile characters escaped."""
        return ascii(f"{self.kind} {self.namespace or '(cluster)'}/{self.name}")[1:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier of Calico: lower orders come first; ``default`` is what happens to what its policies select and no rule of
    theirs decides, DENY or PASS.
    """

    name: str
    order: float
    default: Action


def rules_for(
    peers: tuple[PeerMatch, ...],
    ports: dict[Protocol, PortSet],
    icmp_types: dict[Protocol, tuple[int, ...]],
    action: Action = Action.ALLOW,
) -> list[ReadRule]:
    """Return one rule per protocol for a list of peers; no peers and empty ports give no rule."""
    if not peers:
        return []
    rules = [ReadRule(peers=peers, protocol=p, ports=s, action=action) for p, s in sorted(ports.items()) if s.intervals]
    rules += [
        ReadRule(peers=peers, protocol=p, icmp_types=t, action=action) for p, t in sorted(icmp_types.items()) if t
    ]
    return rules


def all_ports() -> dict[Protocol, PortSet]:
    """Return every port of every protocol with ports."""
    return {protocol: PortSet.all() for protocol in Protocol if protocol.has_ports}


def all_icmp() -> dict[Protocol, tuple[int, ...]]:
    """Return every ICMP type of both families."""
    return {protocol: ALL_ICMP_TYPES for protocol in Protocol if not protocol.has_ports}


def split_opt_in(labels: Labels) -> tuple[Labels, bool]:
    """Return the labels without the opt-in pair, and whether it was there."""
    opt_in = labels.get(OPT_IN_KEY) == OPT_IN_VALUE
    rest = (pair for pair in labels.pairs if not (opt_in and pair[0] == OPT_IN_KEY))
    return Labels.of(rest), opt_in
