"""Decide many edges in columns: those that are surely covered need no further look."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.verify.columns import ALLOWED, Columns, Connections, Rows, content_code
from discovery.verify.endpoints import Ends
from discovery.verify.ends import End
from discovery.verify.evaluate import Evaluator
from discovery.verify.recorded import Recorded
from discovery.verify.rules import ReadPolicy, ReadRule
from discovery.verify.use import RuleKey, Use, rule_key


def decide_many(
    edges: Sequence[Edge],
    ends: Ends,
    evaluator: Evaluator,
    uses: dict[RuleKey, Use],
    told: Recorded | None = None,
) -> tuple[set[int], set[int]]:
    """Return the numbers of the edges of which every connection is surely allowed, and of all that were decided; what
    these use rules for is noted. An edge of no single port or of an end that nobody knows is not decided, and none of
    which requests or names were ``told``.
    """
    table = _Table(ends)
    for number, edge in enumerate(edges):
        if told is None or not _is_told(edge, ends, told):
            table.add(number, edge)
    given = Connections(
        clients=_column(table.clients), servers=_column(table.servers), contents=_column(table.contents)
    )
    owner = _column(table.owners)
    last_seen = _column(table.last_seen)
    others = {
        Direction.EGRESS: _column(table.server_endpoints),
        Direction.INGRESS: _column(table.client_endpoints),
    }

    def note(policy: ReadPolicy, rule: ReadRule, direction: Direction, rows: Rows) -> None:
        """Add the connections that a rule allows to its use."""
        use = uses.setdefault(rule_key(policy, rule), Use())
        use.edges += len(rows)
        use.last_seen = max(use.last_seen, int(last_seen[rows].max()))
        use.contents.update((given.contents[rows] & 0xFFFF).tolist())
        for number in set(others[direction][rows].tolist()):
            use.add_peer(table.endpoints[number])

    outcomes = Columns(evaluator, table.ends).decide(given, note)
    decided = set(np.unique(owner).tolist())
    return decided - set(np.unique(owner[outcomes != ALLOWED]).tolist()), decided


def _is_told(edge: Edge, ends: Ends, told: Recorded) -> bool:
    """Say whether anything was recorded beside an edge."""
    if edge.protocol is None or not (told.requests or told.names):
        return False
    return any(
        told.asked(client, server, edge.protocol, edge.port) is not None or told.named(client, server) is not server
        for client in ends.of(edge.client)
        for server in ends.of(edge.server)
    )


@dataclass(slots=True)
class _Table:
    """The connections of edges, one per pair of ends, as columns that grow: ends and endpoints by their numbers."""

    known: Ends
    ends: list[End] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    owners: array[int] = field(default_factory=lambda: array("q"))
    clients: array[int] = field(default_factory=lambda: array("q"))
    servers: array[int] = field(default_factory=lambda: array("q"))
    contents: array[int] = field(default_factory=lambda: array("q"))
    last_seen: array[int] = field(default_factory=lambda: array("q"))
    client_endpoints: array[int] = field(default_factory=lambda: array("q"))
    server_endpoints: array[int] = field(default_factory=lambda: array("q"))
    _numbers: dict[Endpoint, tuple[int, range]] = field(default_factory=dict)
    # The same by identity, which is cheaper to ask: edges share most of their endpoints, and are kept.
    _same: dict[int, tuple[int, range]] = field(default_factory=dict)

    def add(self, number: int, edge: Edge) -> None:
        """Add the connections that an edge stands for, unless it is about no single port and type."""
        content = edge.icmp_type if edge.protocol is None or not edge.protocol.has_ports else edge.port
        if edge.protocol is None or content is None:
            return
        code = content_code(edge.protocol, content)
        client, from_ = self._same.get(id(edge.client)) or self._number(edge.client)
        server, to = self._same.get(id(edge.server)) or self._number(edge.server)
        for one in from_:
            for other in to:
                self.owners.append(number)
                self.clients.append(one)
                self.servers.append(other)
                self.contents.append(code)
                self.last_seen.append(edge.evidence.last_seen)
                self.client_endpoints.append(client)
                self.server_endpoints.append(server)

    def _number(self, endpoint: Endpoint) -> tuple[int, range]:
        """Return the number of an endpoint and those of the ends that it stands for."""
        found = self._numbers.get(endpoint)
        if found is None:
            first = len(self.ends)
            self.ends += self.known.of(endpoint)
            found = self._numbers[endpoint] = (len(self.endpoints), range(first, len(self.ends)))
            self.endpoints.append(endpoint)
        self._same[id(endpoint)] = found
        return found


def _column(numbers: array[int]) -> Rows:
    """Return a column of numbers, which are not copied."""
    return np.frombuffer(numbers, dtype=np.int64)
