"""A large estate made up by rule: as many workloads in as many namespaces as asked for, always the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.estate import DNS, Party, Record, connection, dropped, packet, pod, world


@dataclass(frozen=True, kw_only=True)
class Large:
    """How large: workloads are spread evenly over namespaces."""

    workloads: int
    namespaces: int

    def party(self, number: int) -> Party:
        """Return the pod of a workload."""
        return pod(
            f"svc-{number:04}",
            f"10.{number // 60_000 + 1}.{number // 250 % 250}.{number % 250 + 1}",
            namespace=f"team-{number % self.namespaces:02}",
            pod=f"svc-{number:04}-6c9f7d8b54-k2xqv",
            node=("node-a", "node-b")[number % 2],
        )

    def records(self) -> Iterator[Record]:
        """Yield the flow records. Each workload looks a name up and calls two others, the first in its own namespace;
        every 40th serves clients from outside, every 50th calls out, every 70th is scanned, every 90th shows a
        connection of unknown direction.
        """
        for number in range(self.workloads):
            client, at = self.party(number), number * 0.5
            peers = (number + self.namespaces, 7 * number + 3)
            for which, peer in enumerate(peers):
                server = self.party(peer % self.workloads)
                if server != client:
                    yield from connection(client, server, 8080 + which, at=at + which, sport=30_000 + number)
            yield from connection(client, DNS, 53, "UDP", at=at + 3, sport=40_000 + number % 20_000)
            yield from self._special(number, client, at)

    def _special(self, number: int, one: Party, at: float) -> Iterator[Record]:
        """Yield what only some workloads show."""
        if number % 40 == 0:
            outside = world(f"203.0.113.{number // 40 % 250 + 1}")
            yield from connection(outside, one, 8443, at=at + 4, ends=("server",))
        if number % 50 == 0:
            yield from connection(one, world(f"198.51.100.{number % 250 + 1}"), 443, at=at + 5, ends=("client",))
        if number % 70 == 0:
            for port in range(5):
                yield dropped(self.party(number + 1), one, 20 + port, at=at + 6 + port)
        if number % 90 == 0:
            other = self.party(number + 2)
            yield packet(one, other, ports=(39_000, 41_000), at=at + 12, reply=None, flags=("ACK",))
