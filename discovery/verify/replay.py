"""Replay: what a set of policies would do to every recorded edge, and what each rule was good for.

An edge stands for several connections: each version of a workload, each address of an external end, and each request of
layer 7 that was recorded. It is denied if any of them is, else unknown if any of them is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from discovery.model.edge import Edge, Protocol
from discovery.model.workload import WorkloadVersion
from discovery.verify.decisions import STRANGER, Decision, Outcome, Probe, SideDecision
from discovery.verify.endpoints import Ends
from discovery.verify.ends import End
from discovery.verify.evaluate import Evaluator
from discovery.verify.recorded import Recorded
from discovery.verify.use import RuleKey, Use, rule_key

# From so many edges on it pays to load numpy and to decide in columns: a rule costs more there than an edge alone.
COLUMNS_FROM = 2_000


class Fate(StrEnum):
    """What would become of an edge."""

    COVERED = "covered"
    WOULD_DENY = "would-deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One edge with its fate. ``sides`` are those that do not surely allow it, with the probe that shows it; none has
    been taken when nothing is known of an end or no policy can name the protocol: ``reason`` then says so.
    """

    edge: Edge
    fate: Fate
    sides: tuple[SideDecision, ...] = ()
    probe: Probe | None = None
    reason: str = ""

    @property
    def is_strange(self) -> bool:
        """Say whether all that is not known is what an address without a name is, which may be a pod."""
        return self.fate is Fate.UNKNOWN and bool(self.sides) and all(side.reason == STRANGER for side in self.sides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The fates of edges, in their order, and the use of every rule that allowed one."""

    edges: tuple[Replayed, ...]
    uses: dict[RuleKey, Use]


def replay(
    edges: Iterable[Edge],
    versions: Iterable[WorkloadVersion],
    evaluator: Evaluator,
    recorded: Recorded | None = None,
) -> Replay:
    """Return the fate of every edge under the evaluator's policies."""
    ends = Ends(versions, recorded)
    # Requests and names matter to rules about them alone.
    known = recorded or Recorded()
    told = replace(
        known,
        requests=known.requests if evaluator.asks_requests else {},
        names=known.names if evaluator.asks_names else {},
    )
    uses: dict[RuleKey, Use] = {}
    given = tuple(edges)
    covered: frozenset[int] | set[int] = frozenset()
    noted: frozenset[int] | set[int] = frozenset()
    if len(given) >= COLUMNS_FROM:
        from discovery.verify.many import decide_many

        covered, noted = decide_many(given, ends, evaluator, uses, told)
    return Replay(
        edges=tuple(
            Replayed(edge=edge, fate=Fate.COVERED)
            if number in covered
            else _replay_one(edge, ends, evaluator, {} if number in noted else uses, told)
            for number, edge in enumerate(given)
        ),
        uses=uses,
    )


def _replay_one(
    edge: Edge,
    ends: Ends,
    evaluator: Evaluator,
    uses: dict[RuleKey, Use],
    told: Recorded,
) -> Replayed:
    """Return the fate of one edge, and note the rules that allow it."""
    if edge.protocol is None:
        return Replayed(edge=edge, fate=Fate.UNKNOWN, reason="no policy can name its protocol")
    clients, servers = ends.of(edge.client), ends.of(edge.server)
    for endpoint, found in ((edge.client, clients), (edge.server, servers)):
        if not found:
            return Replayed(edge=edge, fate=Fate.UNKNOWN, reason=f"nothing is known of {endpoint}")
    worst: tuple[Decision, Probe] | None = None
    for probe in _probes(edge, edge.protocol, clients, servers, told):
        decision = evaluator.decide(probe)
        _note_use(edge, decision, uses)
        outcome = decision.outcome
        if outcome is Outcome.DENIED and (worst is None or worst[0].outcome is not Outcome.DENIED):
            worst = (decision, probe)
        if outcome is Outcome.UNKNOWN and worst is None:
            worst = (decision, probe)
    if worst is None:
        return Replayed(edge=edge, fate=Fate.COVERED)
    decision, probe = worst
    fate = Fate.WOULD_DENY if decision.outcome is Outcome.DENIED else Fate.UNKNOWN
    sides = tuple(side for side in (decision.egress, decision.ingress) if side.outcome is not Outcome.ALLOWED)
    return Replayed(edge=edge, fate=fate, sides=sides, probe=probe)


def _probes(
    edge: Edge, protocol: Protocol, clients: tuple[End, ...], servers: tuple[End, ...], told: Recorded
) -> Iterator[Probe]:
    """Yield the connections that an edge stands for, with the requests that were recorded on each."""
    for client, server in itertools.product(clients, servers):
        there = told.named(client, server)
        for request in told.asked(client, server, protocol, edge.port) or (None,):
            yield Probe(
                client=client, server=there, protocol=protocol, port=edge.port, icmp_type=edge.icmp_type,
                request=request,
            )  # fmt: skip


def _note_use(edge: Edge, decision: Decision, uses: dict[RuleKey, Use]) -> None:
    """Note what the rules that allow an edge were used for."""
    number = edge.port if edge.icmp_type is None else edge.icmp_type
    for side, peer in ((decision.egress, edge.server), (decision.ingress, edge.client)):
        if side.outcome is not Outcome.ALLOWED:
            continue
        for policy, rule in side.matching:
            use = uses.setdefault(rule_key(policy, rule), Use())
            use.edges += 1
            use.last_seen = max(use.last_seen, edge.evidence.last_seen)
            if number is not None:
                use.contents.add(number)
            use.add_peer(peer)
