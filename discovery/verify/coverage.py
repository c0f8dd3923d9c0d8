"""What policies that are there already say of what a workload needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from discovery.model.edge import Direction
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Peer, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Selector, WorkloadVersion
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.members import Members
from discovery.verify.recorded import Recorded
from discovery.verify.rules import Action, PodMatch, ReadPolicy, Tier
from discovery.verify.truth import Truth


def spoken(policy: ReadPolicy) -> ReadPolicy:
    """Return a policy whose rules count as far as they name peers and ports: one that restricts further (by a method of
    HTTP, say) has spoken about its traffic, and an allow beside it without the restriction would lift it.
    """
    return replace(policy, rules=tuple(replace(rule, unclear=None, layer7=()) for rule in policy.rules))


class Coverage:
    """Policies as if all were enforced; those that cannot be evaluated say nothing."""

    def __init__(
        self,
        policies: Iterable[ReadPolicy],
        platform: Platform,
        versions: Iterable[WorkloadVersion],
        tiers: Iterable[Tier] = (),
        recorded: Recorded | None = None,
    ) -> None:
        """Index the policies and the workloads; names of addresses are as they were recorded."""
        known = tuple(versions)
        self._recorded = recorded or Recorded()
        told = [spoken(policy) for policy in policies if policy.complete]
        self._evaluator = Evaluator(told, platform, as_enforced=True, tiers=tiers, versions=known)
        self._members = Members(known)

    def isolates(self, intent: PolicyIntent) -> bool:
        """Say whether all pods of the workload are surely isolated in the direction."""
        pods = self._pods(intent.subject)
        return bool(pods) and all(
            any(
                step.isolated is Truth.YES and step.stage.default is Action.DENY
                for step in self._evaluator.steps(intent.direction, pod)
            )
            for pod in pods
        )

    def says(self, intent: PolicyIntent, allow: Allow) -> bool:
        """Say whether all that is allowed to the workload is surely allowed already, on its side (as everything is
        where it is not isolated); of pods that nobody knows it is not.
        """
        wanted = allow.ports if allow.protocol.has_ports else PortSet.of(*allow.icmp_types)
        pods, ends = self._pods(intent.subject), tuple(self._ends(allow.peer))
        for pod in pods:
            here = PodEnd(version=pod)
            for end in ends:
                there = self._recorded.named(here, end) if intent.direction is Direction.EGRESS else end
                client, server = (here, there) if intent.direction is Direction.EGRESS else (there, here)
                sure, _ = self._evaluator.allowed_on(intent.direction, client, server, allow.protocol)
                if (wanted - sure).intervals:
                    return False
        return bool(pods and ends)

    def _pods(self, selector: Selector) -> list[WorkloadVersion]:
        """Return the versions that a selector picks."""
        match = PodMatch(
            cluster=selector.cluster,
            namespace=selector.namespace,
            labels=selector.labels,
            service_account=selector.service_account,
        )
        return [version for version, truth in self._members.of(match) if truth is Truth.YES]

    def _ends(self, peer: Peer) -> Iterator[End]:
        """Yield all that a peer stands for."""
        if isinstance(peer, CidrPeer):
            for prefix in peer.prefixes:
                # One address is written as it is recorded.
                single = prefix.removesuffix("/128" if ":" in prefix else "/32")
                yield AddressEnd(address=single, names=peer.names)
        elif isinstance(peer, EntityPeer):
            for address in peer.addresses or (None,):
                yield EntityEnd(entity=peer.entity, address=address)
        else:
            for version in self._pods(peer.selector):
                yield PodEnd(version=version)
