"""What manifests refer to that is no policy itself: CIDR groups of Cilium, network sets and tiers of Calico."""

from __future__ import annotations

from dataclasses import dataclass, field

from discovery.model.workload import Labels
from discovery.verify.nets import Network
from discovery.verify.rules import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class CidrGroup:
    """A CiliumCIDRGroup."""

    name: str
    labels: Labels
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSet:
    """A NetworkSet of Calico, or a GlobalNetworkSet, which is in no namespace."""

    name: str
    namespace: str | None
    labels: Labels
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that a set of manifests defines for its policies to refer to.

    ``cidr_groups`` are by name. ``sets_known`` and ``groups_known`` are False when some network set or CIDR group could
    not be read, so that a selector may mean addresses that are not known. ``forwards`` says that some policy of Calico
    also applies to what nodes forward, between pods as well, where host endpoints take part in it.
    """

    cidr_groups: dict[str, CidrGroup] = field(default_factory=dict)
    sets: tuple[NetworkSet, ...] = ()
    tiers: tuple[Tier, ...] = ()
    sets_known: bool = True
    groups_known: bool = True
    forwards: bool = False


NO_CONTEXT = Context()
