"""Which traffic a rule is about, whether or not another rule, or the platform, lets it through as well."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from discovery.model.edge import Direction, Edge
from discovery.model.workload import WorkloadRef, WorkloadVersion
from discovery.verify.endpoints import Ends
from discovery.verify.ends import PeerMatcher, PodEnd
from discovery.verify.members import Members
from discovery.verify.rules import ReadPolicy, ReadRule
from discovery.verify.truth import Truth


class Traffic:
    """Edges by the workloads at their ends."""

    def __init__(self, edges: Iterable[Edge], versions: tuple[WorkloadVersion, ...], peers: PeerMatcher) -> None:
        """Index the edges."""
        self._ends = Ends(versions)
        self._members = Members(versions)
        self._peers = peers
        self._edges: dict[tuple[Direction, WorkloadRef], list[Edge]] = {}
        for edge in edges:
            for direction, end in ((Direction.EGRESS, edge.client), (Direction.INGRESS, edge.server)):
                if end.workload is not None:
                    self._edges.setdefault((direction, end.workload), []).append(edge)

    def last_use(self, policy: ReadPolicy, rule: ReadRule) -> int:
        """Return when an edge that a rule is about, or may be, was last seen, in microseconds since 1970 UTC; 0 for
        none.
        """
        last = 0
        for ref in {version.ref for version, _ in self._members.of(policy.subject)}:
            for edge in self._edges.get((policy.direction, ref), ()):
                if edge.evidence.last_seen > last and self._is_about(policy.direction, rule, edge):
                    last = edge.evidence.last_seen
        return last

    def _is_about(self, direction: Direction, rule: ReadRule, edge: Edge) -> bool:
        """Say whether a rule may be about an edge of its subject."""
        number = edge.icmp_type if edge.protocol is None or not edge.protocol.has_ports else edge.port
        if rule.protocol is not edge.protocol or not (rule.names or number is None or number in rule.content):
            return False
        near, far = (edge.client, edge.server) if direction is Direction.EGRESS else (edge.server, edge.client)
        return any(
            self._peers.covers(match, there, here.version) is not Truth.NO
            for here, there in itertools.product(self._ends.of(near), self._ends.of(far))
            if isinstance(here, PodEnd)
            for match in rule.peers
        )
