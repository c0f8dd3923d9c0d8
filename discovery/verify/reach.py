"""Who can reach whom: pairs of workloads between which policies let any connection pass, how far one spreads from
another, and who is open to the world.

Exact over ports: a pair counts when some port of TCP, UDP or SCTP may pass both sides. What is not surely denied counts
as reachable: this is what an attacker may use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from discovery.model.edge import Direction, Edge, Protocol
from discovery.model.workload import Entity, WorkloadRef, WorkloadVersion
from discovery.verify.ends import EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator

_WORLD = EntityEnd(entity=Entity.WORLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What policies leave open between workloads. ``direct`` has a bit per workload of ``workloads`` that each may
    reach, ``spread`` those that it may reach over others; ``from_world`` and ``to_world`` are the workloads that the
    world may reach and that may reach the world. A workload does not count as reaching itself.
    """

    workloads: tuple[WorkloadRef, ...]
    direct: tuple[int, ...]
    spread: tuple[int, ...]
    from_world: frozenset[WorkloadRef]
    to_world: frozenset[WorkloadRef]

    @property
    def pairs(self) -> int:
        """Return how many ordered pairs of workloads are open."""
        return sum(bits.bit_count() for bits in self.direct)

    @property
    def blast_radius(self) -> tuple[float, int]:
        """Return how many workloads one may reach over others: the mean and the most."""
        counts = [bits.bit_count() for bits in self.spread]
        return (sum(counts) / len(counts), max(counts)) if counts else (0.0, 0)

    def of_each(self, seen: Iterable[tuple[WorkloadRef, WorkloadRef]]) -> tuple[WorkloadReach, ...]:
        """Return the reach of each workload; ``seen`` are the pairs that traffic used."""
        used: dict[WorkloadRef, set[WorkloadRef]] = {}
        for client, server in seen:
            used.setdefault(client, set()).add(server)
        found = []
        for row, ref in enumerate(self.workloads):
            direct = tuple(other for column, other in enumerate(self.workloads) if self.direct[row] >> column & 1)
            found.append(
                WorkloadReach(
                    workload=ref,
                    direct=direct,
                    never_used=len(set(direct) - used.get(ref, set())),
                    spread=self.spread[row].bit_count(),
                    from_world=ref in self.from_world,
                    to_world=ref in self.to_world,
                )
            )
        return tuple(found)

    def unseen(self, seen: Iterable[tuple[WorkloadRef, WorkloadRef]]) -> int:
        """Return how many open pairs are not among those that were seen."""
        place = {ref: row for row, ref in enumerate(self.workloads)}
        used = [0] * len(self.workloads)
        for client, server in seen:
            if client in place and server in place and client != server:
                used[place[client]] |= 1 << place[server]
        return sum((open_ & ~known).bit_count() for open_, known in zip(self.direct, used, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadReach:
    """What one workload may reach: ``direct`` others, ``never_used`` of which no traffic used; ``spread`` counts those
    that it reaches over others. ``from_world`` and ``to_world`` say whether the world may reach it, and it the world.
    """

    workload: WorkloadRef
    direct: tuple[WorkloadRef, ...]
    never_used: int
    spread: int
    from_world: bool
    to_world: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Openness:
    """What is open between workloads, in numbers: ordered ``pairs`` of them, how many of these no traffic used
    (``unseen``), how many workloads one may reach over others (``blast_mean``, ``blast_most``), and how many the world
    may reach (``from_world``) and may reach the world (``to_world``).
    """

    workloads: int
    pairs: int
    unseen: int
    blast_mean: float
    blast_most: int
    from_world: int
    to_world: int


def left_open(versions: Iterable[WorkloadVersion], used: Iterable[Edge], evaluator: Evaluator) -> Openness:
    """Return what an evaluator's policies leave open between workloads, ``used`` being the edges between them that
    legitimate traffic took. The evaluator must have been given these very versions.
    """
    return openness(reach(versions, evaluator), used)


def all_open(versions: Iterable[WorkloadVersion], used: Iterable[Edge]) -> Openness:
    """Return what is open where nothing is isolated."""
    refs = tuple(sorted({version.ref for version in versions}))
    others = tuple(((1 << len(refs)) - 1) & ~(1 << row) for row in range(len(refs)))
    everyone = frozenset(refs)
    return openness(Reach(workloads=refs, direct=others, spread=others, from_world=everyone, to_world=everyone), used)


def pairs_of(edges: Iterable[Edge]) -> list[tuple[WorkloadRef, WorkloadRef]]:
    """Return the pairs of workloads that edges are between."""
    ends = ((edge.client.workload, edge.server.workload) for edge in edges)
    return [(client, server) for client, server in ends if client is not None and server is not None]


def openness(found: Reach, used: Iterable[Edge]) -> Openness:
    """Return a reach in numbers; ``used`` are the edges that legitimate traffic took."""
    mean, most = found.blast_radius
    return Openness(
        workloads=len(found.workloads),
        pairs=found.pairs,
        unseen=found.unseen(pairs_of(used)),
        blast_mean=round(mean, 1),
        blast_most=most,
        from_world=len(found.from_world),
        to_world=len(found.to_world),
    )


def reach(versions: Iterable[WorkloadVersion], evaluator: Evaluator) -> Reach:
    """Return what an evaluator's policies leave open between workloads, each version of one counting for it.

    The evaluator must have been given these very versions, so that it knows which pods its rules name.
    """
    given = list(versions)
    refs = tuple(sorted({version.ref for version in given}))
    place = {ref: row for row, ref in enumerate(refs)}
    ends = [PodEnd(version=version) for version in given]
    servers = _Servers(given, evaluator)
    direct = [0] * len(refs)
    for client in ends:
        mine = place[client.version.ref]
        named = evaluator.peers_named(Direction.EGRESS, client.version)
        free = evaluator.is_open(Direction.EGRESS, client.version)
        for row in servers.open if free else ():
            direct[mine] |= 1 << place[given[row].ref]
        for row in servers.that_may_take(client.version, named):
            bit = 1 << place[given[row].ref]
            if not direct[mine] & bit and _passes(evaluator, client, ends[row]):
                direct[mine] |= bit
    direct = [bits & ~(1 << row) for row, bits in enumerate(direct)]
    return Reach(
        workloads=refs,
        direct=tuple(direct),
        spread=_spread(direct),
        from_world=frozenset(end.version.ref for end in ends if _passes(evaluator, _WORLD, end)),
        to_world=frozenset(end.version.ref for end in ends if _passes(evaluator, end, _WORLD)),
    )


class _Servers:
    """Which workloads may take a connection of a client, by what their rules name."""

    def __init__(self, versions: list[WorkloadVersion], evaluator: Evaluator) -> None:
        """Look at the ingress of every version once."""
        self._row_of = {id(version): row for row, version in enumerate(versions)}
        self.open: list[int] = []  # nothing governs them
        self._anyone: list[int] = []  # some rule may mean anybody
        self._by_client: dict[int, list[int]] = {}
        for row, version in enumerate(versions):
            named = evaluator.peers_named(Direction.INGRESS, version)
            if evaluator.is_open(Direction.INGRESS, version):
                self.open.append(row)
            elif named is None:
                self._anyone.append(row)
            else:
                for client in named:
                    self._by_client.setdefault(client, []).append(row)

    def that_may_take(self, client: WorkloadVersion, named: frozenset[int] | None) -> list[int]:
        """Return the servers to ask about: those that both sides may mean; ``named`` None is anybody."""
        willing = [*self._anyone, *self._by_client.get(id(client), ())]
        if named is None:
            return willing + self.open
        asked = {self._row_of[one] for one in named if one in self._row_of}
        return [row for row in (*willing, *self.open) if row in asked]


def _passes(evaluator: Evaluator, client: PodEnd | EntityEnd, server: PodEnd | EntityEnd) -> bool:
    """Say whether any connection may pass; a ping opens nothing."""
    transports = (protocol for protocol in Protocol if protocol.has_ports)
    return any(evaluator.allowed(client, server, protocol)[1].intervals for protocol in transports)


def _spread(direct: list[int]) -> tuple[int, ...]:
    """Return what each workload reaches over others: the transitive closure, without itself."""
    found = []
    for start, first in enumerate(direct):
        reached, fresh = first, first
        while fresh:
            further = 0
            while fresh:
                low = fresh & -fresh
                further |= direct[low.bit_length() - 1]
                fresh ^= low
            fresh = further & ~reached
            reached |= fresh
        found.append(reached & ~(1 << start))
    return tuple(found)
