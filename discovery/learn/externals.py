"""External peers that deserve a second look: private addresses, and the metadata services of clouds."""

from __future__ import annotations

from collections.abc import Iterable

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.intent import CidrPeer, Origin, PolicyIntent
from discovery.model.networks import is_private

# Addresses at which clouds hand out the identity and the secrets of a machine: AWS, GCP, Azure, OpenStack and others
# (169.254.169.254, fd00:ec2::254), AWS tasks (169.254.170.2, .23), Azure's wire server, Alibaba Cloud.
METADATA = frozenset(
    {
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.169.254/32",
        "169.254.170.2/32",
        "169.254.170.23/32",
        "fd00:ec2::254/128",
    }
)


def private_externals(intents: Iterable[PolicyIntent]) -> list[Diagnostic]:
    """Warn about private external peers: a source also says "world" for pods and nodes that it does not know."""
    found = []
    for intent in intents:
        private = sorted(
            (prefix, allow.peer.clients)
            for allow in intent.allows
            if intent.isolate and isinstance(allow.peer, CidrPeer) and allow.origin is Origin.OBSERVED
            for prefix in allow.peer.prefixes
            if is_private(prefix)
        )
        if private:
            hint = "if it is a pod or a node, a rule by address may not match it: find out before enforcing"
            if any(clients for _, clients in private):
                hint += "; pods and nodes may share the prefix of a client: --show-addresses names it exactly"
            shown = ", ".join(prefix for prefix, _ in private[:3]) + (
                f" and {len(private) - 3} more" if len(private) > 3 else ""
            )
            found.append(
                Diagnostic(
                    code="private-external-peer",
                    level=Level.WARNING,
                    subject=str(intent.workload),
                    message=f"{intent.direction}: {shown} is private and the source calls it external",
                    hint=hint,
                )
            )
    return found


def metadata_peers(intents: Iterable[PolicyIntent]) -> list[Diagnostic]:
    """Warn about workloads that are allowed to reach a metadata service."""
    found = []
    for intent in intents:
        peers = [allow.peer for allow in intent.allows if intent.isolate and isinstance(allow.peer, CidrPeer)]
        reached = sorted({prefix for peer in peers for prefix in peer.prefixes} & METADATA)
        if reached:
            found.append(
                Diagnostic(
                    code="metadata-service",
                    level=Level.WARNING,
                    subject=str(intent.workload),
                    message=f"{intent.direction}: {', '.join(reached)} is a metadata service: whoever reaches it may "
                    "get the credentials of the node",
                    hint="give the workload an identity of its own, then take the rule out",
                )
            )
    return found
