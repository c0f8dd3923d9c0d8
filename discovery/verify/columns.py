"""Decide many connections at once: a column per question, a row per connection.

The semantics are those of :mod:`discovery.verify.evaluate`, for connections of one port (or ICMP type) each: what it
does with sets of ports is done here with columns of truths. All connections of one side of one pod are decided
together, rule by rule. The scalar form is the reference, and the tests hold both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discovery.model.edge import Direction, Protocol
from discovery.model.workload import Entity
from discovery.verify.cover import Cover, There
from discovery.verify.decisions import Outcome
from discovery.verify.ends import End, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator, named_ports
from discovery.verify.governing import Step
from discovery.verify.rules import Action, ReadPolicy, ReadRule
from discovery.verify.truth import Truth

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Truths = npt.NDArray[np.int8]

# Outcomes in one column; the greatest of two sides, or of several connections, is theirs together.
OUTCOMES = (Outcome.ALLOWED, Outcome.UNKNOWN, Outcome.DENIED)
ALLOWED, UNKNOWN, DENIED = range(3)
_BASE = {protocol: number << 16 for number, protocol in enumerate(Protocol)}
_PORTLESS = np.array([not protocol.has_ports for protocol in Protocol])

# Is told which rows a rule surely allows on a side that allows them.
NoteUse = Callable[[ReadPolicy, ReadRule, Direction, Rows], None]


def content_code(protocol: Protocol, number: int) -> int:
    """Return a port or ICMP type of a protocol as one number."""
    return _BASE[protocol] | number


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """One row per connection: numbers of its ends, and what it is about (:func:`content_code`)."""

    clients: Rows
    servers: Rows
    contents: Rows


@dataclass(slots=True, kw_only=True)
class _Possible:
    """What may become of the connections of one side, as far as it has been followed, and the rules that allow them."""

    left: Mask
    allowed: Mask
    denied: Mask
    used: list[tuple[ReadPolicy, ReadRule, Mask]]


class Columns:
    """Decides many connections between known ends under the policies of one evaluator."""

    def __init__(self, evaluator: Evaluator, ends: Sequence[End]) -> None:
        """Know the ends by their numbers."""
        self._evaluator = evaluator
        self._ends = ends
        self._cover = Cover(evaluator.peers, ends)
        self._hosts = np.array([isinstance(end, EntityEnd) and end.entity is Entity.HOST for end in ends], dtype=bool)

    def decide(self, given: Connections, note: NoteUse) -> Truths:
        """Return the outcome of each connection, a place in :data:`OUTCOMES`; ``note`` learns what allows it."""
        egress = self._sides(Direction.EGRESS, given.clients, given.servers, given.contents, note)
        ingress = self._sides(Direction.INGRESS, given.servers, given.clients, given.contents, note)
        return np.maximum(egress, ingress)

    def _sides(self, direction: Direction, here: Rows, there: Rows, contents: Rows, note: NoteUse) -> Truths:
        """Return the outcome of one side of each connection, one pod after the other."""
        found = np.zeros(len(here), dtype=np.int8)
        order = np.argsort(here, kind="stable")
        cuts = np.flatnonzero(np.diff(here[order])) + 1
        for rows in np.split(order, cuts) if len(order) else ():
            end = self._ends[here[rows[0]]]
            # A node is special to its own pods.
            hosts = self._hosts[there[rows]]
            for part in (rows[hosts], rows[~hosts]) if hosts.any() else (rows,):
                if len(part):
                    found[part] = self._side(direction, end, part, there[part], contents[part], note)
        return found

    def _side(
        self, direction: Direction, here: End, rows: Rows, there: Rows, contents: Rows, note: NoteUse
    ) -> Truths | int:
        """Return the outcomes of one side of an end, or the one that all have."""
        settled = self._evaluator.settled(direction, here, self._ends[there[0]])
        if settled is not None:
            return OUTCOMES.index(settled[0])
        if not isinstance(here, PodEnd):
            return OUTCOMES.index(self._evaluator.outside_pods(direction, here).outcome)
        if self._evaluator.is_open(direction, here.version):
            return ALLOWED
        found = self._follow(direction, here, There(*np.unique(there, return_inverse=True)), contents)
        outcomes = np.where(found.denied, np.where(found.allowed, UNKNOWN, DENIED), ALLOWED).astype(np.int8)
        for policy, rule, mask in found.used:
            allowed = rows[mask & ~found.denied]
            if len(allowed):
                note(policy, rule, direction, allowed)
        return outcomes

    def _follow(self, direction: Direction, here: PodEnd, there: There, contents: Rows) -> _Possible:
        """Follow all outcomes that are possible through the stages."""
        nothing = np.zeros(len(contents), dtype=bool)
        found = _Possible(left=~nothing, allowed=nothing.copy(), denied=nothing.copy(), used=[])
        steps = self._evaluator.steps(direction, here.version)
        for step in steps:
            further = nothing.copy()
            if self._evaluator.leaves_open(step, Protocol.ICMP):
                vague = found.left & _PORTLESS[contents >> 16]
                found.allowed |= vague
                found.denied |= vague
            self._rank_by_rank(direction, step, here, there, contents, found, further)
            if step.isolated is not Truth.NO and step.stage.default is Action.DENY:
                found.denied |= found.left
            if step.isolated is not Truth.YES or step.stage.default is Action.PASS:
                further |= found.left
            found.left = further
        if self._evaluator.denies_rest(steps):
            found.denied |= found.left
        else:
            found.allowed |= found.left
        return found

    def _rank_by_rank(
        self,
        direction: Direction,
        step: Step,
        here: PodEnd,
        there: There,
        contents: Rows,
        found: _Possible,
        further: Mask,
    ) -> None:
        """Let the rules of a step decide, those of one rank together; ``further`` takes what they pass on."""
        for rank in step.ranks:
            decided = np.zeros(len(contents), dtype=bool)
            for truth, policy, rule in rank:
                surely, perhaps = self._hits(direction, rule, truth, here, there, contents)
                hit = found.left & perhaps
                if not hit.any():
                    continue
                sure = found.left & surely
                decided |= sure
                if rule.action is Action.ALLOW:
                    found.allowed |= hit
                    found.used.append((policy, rule, sure))
                elif rule.action is Action.DENY:
                    found.denied |= hit
                else:
                    further |= hit
            found.left &= ~decided
            if not found.left.any():
                return

    def _hits(
        self, direction: Direction, rule: ReadRule, governs: Truth, here: PodEnd, there: There, contents: Rows
    ) -> tuple[Mask, Mask]:
        """Return which connections a rule surely matches, and which it may."""
        inside, perhaps = self._contents(direction, rule, here, there, contents)
        # A connection with requests is decided alone; without any, nobody knows what rules of layer 7 let through.
        most = min(governs, Truth.MAYBE if rule.unclear or rule.layer7 else Truth.YES)
        if rule.own is not None and (inside.any() or perhaps.any()):
            most = min(most, self._evaluator.peers.covers(rule.own, here, here.version))
        if most is Truth.NO or not (inside.any() or perhaps.any()):
            return np.zeros_like(inside), np.zeros_like(inside)
        truths = np.minimum(self._cover.any_of(rule.peers, here.version, there), np.int8(most))[there.of_row]
        reached = truths > Truth.NO
        return inside & (truths == Truth.YES), (inside | perhaps) & reached

    def _contents(
        self, direction: Direction, rule: ReadRule, here: PodEnd, there: There, contents: Rows
    ) -> tuple[Mask, Mask]:
        """Return which contents a rule names, and which it may: those of ports whose names nobody knows."""
        base = _BASE[rule.protocol]
        inside = _within(contents, base, rule.content.intervals)
        nothing = np.zeros_like(inside)
        if not rule.names:
            return inside, nothing
        perhaps = nothing
        spoken = contents >> 16 == base >> 16
        servers = [here] if direction is Direction.INGRESS else [self._ends[number] for number in there.numbers]
        for place, server in enumerate(servers):
            its = spoken if direction is Direction.INGRESS else spoken & (there.of_row == place)
            named = named_ports(rule, server)
            if named is None:
                perhaps = perhaps | (its & ~inside)
            else:
                inside = inside | (its & _within(contents, base, named.intervals))
        return inside, perhaps


def _within(contents: Rows, base: int, intervals: tuple[tuple[int, int], ...]) -> Mask:
    """Return which contents are ports of a protocol inside of intervals."""
    found: Mask = np.zeros(len(contents), dtype=bool)
    for low, high in intervals:
        if low == high:
            found |= contents == base | low
        else:
            found |= (contents >= base | low) & (contents <= base | high)
    return found
