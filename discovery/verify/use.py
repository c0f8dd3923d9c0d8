"""What the rules of policies were good for: which edges they allow."""

from __future__ import annotations

from dataclasses import dataclass, field

from discovery.model.edge import Direction, Endpoint
from discovery.model.workload import WorkloadRef
from discovery.verify.rules import ReadPolicy, ReadRule


@dataclass(slots=True, kw_only=True)
class Use:
    """What allowed edges used a rule for: ports (ICMP types alike) and the other ends; ``last_seen`` is when the last
    one was seen, in microseconds since 1970 UTC.
    """

    contents: set[int] = field(default_factory=set)
    peers: set[WorkloadRef | str] = field(default_factory=set)
    edges: int = 0
    last_seen: int = 0

    def add_peer(self, peer: Endpoint) -> None:
        """Note the other end of an edge."""
        self.peers |= {peer.workload} if peer.workload is not None else {*(peer.addresses or (str(peer),))}


# A rule by its manifest, direction and field path: the rules that one written rule was read into are one here.
RuleKey = tuple[str, Direction, str]


def rule_key(policy: ReadPolicy, rule: ReadRule) -> RuleKey:
    """Return which written rule a rule was read from."""
    return policy.source, policy.direction, rule.place
