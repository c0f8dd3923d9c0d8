"""The common rule table: what a manifest of any dialect says, one :class:`ReadPolicy` per direction.

All values are canonical, so equality is equality of meaning within one platform.
"""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, WorkloadVersion

ALL_ICMP_TYPES = tuple(range(256))

NO_LABELS = Labels()

# A pod that carries this pair asks to be governed by monitor-mode Kubernetes policies (a canary).
OPT_IN_KEY = "policy-discovery/enforce"
OPT_IN_VALUE = "true"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PodMatch:
    """Pods by cluster, namespace, labels and service account; None is "any", all given parts must hold.

    ``cluster`` None is the cluster that the policy is applied in. ``namespace_labels`` are required labels of
    the pod's namespace, other than its name. An empty ``labels`` selects every pod of the place.
    """

    cluster: str | None = None
    namespace: str | None = None
    labels: Labels = NO_LABELS
    service_account: str | None = None
    namespace_labels: Labels = NO_LABELS

    def matches(self, version: WorkloadVersion) -> bool:
        """Say whether a workload version is surely selected (an unknown service account is not a match)."""
        return (
            self.cluster in (None, version.ref.cluster)
            and self.namespace in (None, version.ref.namespace)
            and version.labels.matches(self.labels)
            and self.service_account in (None, version.service_account)
            and version.namespace_labels.matches(self.namespace_labels)
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EntityMatch:
    """One reserved entity."""

    entity: Entity


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CidrMatch:
    """Addresses inside any of these prefixes (canonical, collapsed, IPv4 first)."""

    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AnyMatch:
    """Every peer: pods, nodes and external addresses."""


PeerMatch = PodMatch | EntityMatch | CidrMatch | AnyMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRule:
    """Allows any of ``peers`` on one protocol AND any of the ports (or ICMP types, for ICMP alone)."""

    peers: tuple[PeerMatch, ...]
    protocol: Protocol
    ports: PortSet = PortSet()
    icmp_types: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPolicy:
    """What one manifest says for one direction.

    ``subject`` does not contain the opt-in label; ``opt_in`` says that it was there. ``isolates`` is what the
    document asks for once it is in force (False only for Cilium's ``enableDefaultDeny: false``). ``staged``
    kinds are never in force. ``source`` is ``path:line``. ``complete`` is False when something in the manifest
    could not be evaluated: a decision that depends on it is then UNKNOWN. ``needs`` names the fields and kinds
    that older platforms ignore, sorted. ``tier`` is Calico's; policies of Kubernetes are in its tier ``default``.
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
    complete: bool = True
    needs: tuple[str, ...] = ()
    tier: str = "default"

    def __str__(self) -> str:
        """Return ``Kind namespace/name``, hostile characters escaped."""
        return ascii(f"{self.kind} {self.namespace or '(cluster)'}/{self.name}")[1:-1]


def rules_for(
    peers: tuple[PeerMatch, ...], ports: dict[Protocol, PortSet], icmp_types: dict[Protocol, tuple[int, ...]]
) -> list[ReadRule]:
    """Return one rule per protocol for a list of peers; no peers and empty ports give no rule."""
    if not peers:
        return []
    rules = [ReadRule(peers=peers, protocol=p, ports=s) for p, s in sorted(ports.items()) if s.intervals]
    rules += [ReadRule(peers=peers, protocol=p, icmp_types=t) for p, t in sorted(icmp_types.items()) if t]
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
