"""Intent: what a policy should mean, before any dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from discovery.model.edge import Direction, Evidence, Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Selector, WorkloadRef


class Mode(StrEnum):
    """``monitor`` output is inert; ``enforce`` output isolates."""

    MONITOR = "monitor"
    ENFORCE = "enforce"


class Dialect(StrEnum):
    """The policy languages that can be written."""

    CILIUM = "cilium"
    CALICO = "calico"
    KUBERNETES = "kubernetes"


class Origin(StrEnum):
    """Why an allow is there. Everything but OBSERVED is a declared addition with its own excess class."""

    OBSERVED = "observed"
    DNS = "dns"
    API_SERVER = "api-server"
    MESH = "mesh"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadPeer:
    """Pods that a selector picks. ``name`` says to people which workload they are; it is no part of the meaning."""

    selector: Selector
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EntityPeer:
    """A reserved entity. ``addresses`` are those it was seen with (sorted, single addresses), for dialects
    that can only name nodes or the API server by address.
    """

    entity: Entity
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CidrPeer:
    """External addresses as a minimal cover: sorted canonical prefixes (IPv4 first). ``names`` are DNS
    names seen for them: evidence only, never a rule. ``clients``: the prefixes stand for client addresses seen in them,
    which are private (rule 10): an excess that is said wherever the rule is.
    """

    prefixes: tuple[str, ...]
    names: tuple[str, ...] = ()
    clients: bool = False


Peer = WorkloadPeer | EntityPeer | CidrPeer


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """One allowed thing: this peer AND this protocol AND (any of these ports, or any of these ICMP types).

    ``ports`` is non-empty exactly for protocols with ports; ``icmp_types`` is non-empty exactly for ICMP.
    ``reason`` explains a declared addition (None for observed traffic). ``evidence`` is None for additions.
    ``carries`` are the application ports inside of a mesh's tunnel: evidence for authorization policies, no rule here.
    """

    peer: Peer
    protocol: Protocol
    ports: PortSet = PortSet()
    icmp_types: tuple[int, ...] = ()
    origin: Origin = Origin.OBSERVED
    reason: str | None = None
    evidence: Evidence | None = None
    carries: PortSet = PortSet()

    def __post_init__(self) -> None:
        """Check that ports and ICMP types fit the protocol."""
        if bool(self.ports.intervals) != self.protocol.has_ports:
            raise ValueError(f"{self.protocol} allow has the wrong ports {self.ports}")
        if bool(self.icmp_types) == self.protocol.has_ports:
            raise ValueError(f"{self.protocol} allow has the wrong ICMP types {self.icmp_types}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyIntent:
    """What one workload may do in one direction.

    ``isolate`` says whether everything that is not allowed shall be denied; when False, ``reasons`` say why
    not (rule 6: no evidence, or undecided traffic) and ``allows`` are kept for people but grant nothing.
    ``allows`` are sorted and unique; an empty tuple with ``isolate`` never occurs.
    """

    workload: WorkloadRef
    subject: Selector
    direction: Direction
    allows: tuple[Allow, ...]
    isolate: bool
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an isolation that rests on nothing."""
        if self.isolate and not self.allows:
            raise ValueError(f"{self.workload} {self.direction}: isolation without any allow")
