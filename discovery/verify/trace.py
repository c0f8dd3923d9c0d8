"""Why a connection is allowed or denied: every rule that was looked at, in the order in which they decide."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.edge import Direction
from discovery.verify.decisions import Decision, Probe, SideDecision
from discovery.verify.ends import PeerMatcher, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.nearest import describe_end, describe_peers
from discovery.verify.rules import ReadPolicy, ReadRule
from discovery.verify.truth import Truth, any_of

_WORDS = {Truth.YES: "yes", Truth.MAYBE: "perhaps", Truth.NO: "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One rule that was looked at, with what it says in words and whether its peer and its ports match."""

    policy: ReadPolicy
    rule: ReadRule
    says: str
    peer: Truth
    content: Truth

    @property
    def matches(self) -> Truth:
        """Say whether the rule matches."""
        return min(self.peer, self.content)

    def __str__(self) -> str:
        """Return the rule and why it matches or not."""
        why = f"peer: {_WORDS[self.peer]}, port: {_WORDS[self.content]}"
        return f"{self.policy} {self.rule.place}: {self.says} ({why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTrace:
    """One side of a connection: the answer, and the rules of all policies that govern the pod there."""

    subject: str
    decision: SideDecision
    looks: tuple[Look, ...]


def trace(evaluator: Evaluator, probe: Probe, peers: PeerMatcher) -> tuple[SideTrace, SideTrace]:
    """Return the traces of egress and ingress."""
    decision: Decision = evaluator.decide(probe)
    return (
        _side(evaluator, probe, decision.egress, peers),
        _side(evaluator, probe, decision.ingress, peers),
    )


def _side(evaluator: Evaluator, probe: Probe, decision: SideDecision, peers: PeerMatcher) -> SideTrace:
    """Return the trace of one side."""
    here, there = (probe.client, probe.server)
    if decision.direction is Direction.INGRESS:
        here, there = there, here
    looks: tuple[Look, ...] = ()
    if isinstance(here, PodEnd):
        looks = tuple(
            Look(
                policy=policy,
                rule=rule,
                says=_says(rule),
                peer=any_of(peers.covers(match, there, here.version) for match in rule.peers),
                content=_content(rule, probe),
            )
            for policy, rule in evaluator.governing_rules(decision.direction, here.version)
            if rule.protocol is probe.protocol
        )
    return SideTrace(subject=describe_end(here), decision=decision, looks=looks)


def _says(rule: ReadRule) -> str:
    """Return what a rule says."""
    number = ",".join(filter(None, (str(rule.content), *rule.names)))
    word = rule.protocol if rule.protocol.has_ports else f"{rule.protocol} type"
    return f"{rule.action} {describe_peers(rule.peers)} on {word}/{number}"


def _content(rule: ReadRule, probe: Probe) -> Truth:
    """Say whether the port or type that is asked for is among those of a rule."""
    if not (probe.content - rule.content).intervals:
        return Truth.YES
    if rule.names or (probe.content & rule.content).intervals:
        return Truth.MAYBE
    return Truth.NO
