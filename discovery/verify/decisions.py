"""What is asked of policies, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.model.requests import Request
from discovery.verify.ends import End
from discovery.verify.rules import ReadPolicy, ReadRule

# Why nothing is known of a side of which nobody knows what it is.
STRANGER = "nobody knows whether it is a pod, which a policy may isolate"
_ALL_TYPES = PortSet(((0, 255),))


class Outcome(StrEnum):
    """What happens to a connection."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One connection to decide. ``port`` is the server's, after translation; None asks for every port (or type).
    ``request`` is what was asked for on it, None when nothing was recorded.
    """

    client: End
    server: End
    protocol: Protocol
    port: int | None = None
    icmp_type: int | None = None
    request: Request | None = None

    @property
    def content(self) -> PortSet:
        """Return the ports that are asked for, or the ICMP types as if they were ports."""
        number = self.port if self.protocol.has_ports else self.icmp_type
        return everything(self.protocol) if number is None else _single(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDecision:
    """The answer of one side, with the policies that isolate it and the rules that (may) decide the probe."""

    direction: Direction
    outcome: Outcome
    reason: str
    isolating: tuple[ReadPolicy, ...] = ()
    matching: tuple[tuple[ReadPolicy, ReadRule], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer of both sides: denied if one denies, else unknown if one is, else allowed."""

    egress: SideDecision
    ingress: SideDecision

    @property
    def outcome(self) -> Outcome:
        """Return the joined answer."""
        both = (self.egress.outcome, self.ingress.outcome)
        for outcome in (Outcome.DENIED, Outcome.UNKNOWN):
            if outcome in both:
                return outcome
        return Outcome.ALLOWED


@cache
def everything(protocol: Protocol) -> PortSet:
    """Return every port of a protocol, or every ICMP type."""
    return PortSet.all() if protocol.has_ports else _ALL_TYPES


@cache
def _single(number: int) -> PortSet:
    """Return the set of one port or ICMP type; there are no more than ports."""
    return PortSet(((number, number),))
