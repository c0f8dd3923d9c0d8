"""What machines read: ``summary.json`` and the evidence behind the rules, all of it whatever the pages show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from discovery.app.drift import drift_json
from discovery.app.output import as_json, as_json_list
from discovery.app.sections import end_name, isolated
from discovery.app.words import moment
from discovery.learn.intents import Learned
from discovery.learn.judge import Judged, Ruling
from discovery.model.edge import Direction
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, Peer, PolicyIntent
from discovery.model.workload import WorkloadRef
from discovery.verify.reach import Openness

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion


def peer_json(peer: Peer) -> dict[str, Any]:
    """Return a peer as data."""
    if isinstance(peer, CidrPeer):
        return {"cidrs": list(peer.prefixes), "names": list(peer.names), "clientPrefixes": peer.clients}
    if isinstance(peer, EntityPeer):
        return {"entity": peer.entity.value, "addresses": list(peer.addresses)}
    selector = peer.selector
    return {
        "namespace": selector.namespace,
        "labels": selector.labels.as_dict(),
        "serviceAccount": selector.service_account,
    }


def _allow_json(workload: WorkloadRef, direction: Direction, allow: Allow) -> dict[str, Any]:
    """Return one rule with all its evidence, fast and slow."""
    from generators.base import allow_id

    told: dict[str, Any] = {
        "id": allow_id(workload, direction, allow),
        "peer": peer_json(allow.peer),
        "protocol": allow.protocol.value,
        "ports": str(allow.ports) or None,
        "icmpTypes": list(allow.icmp_types),
        "origin": allow.origin.value,
        "reason": allow.reason,
        "applicationPorts": str(allow.carries) or None,
    }
    if allow.evidence is not None:
        seen = allow.evidence
        told["evidence"] = {
            "flowRecords": seen.flow_records,
            "connections": seen.connections,
            "firstSeen": moment(seen.first_seen),
            "lastSeen": moment(seen.last_seen),
            "days": seen.days,
            "hoursUtc": [hour for hour in range(24) if seen.hours >> hour & 1],
            "sources": list(seen.sources),
            "reporters": list(seen.reporters),
            "clientPods": seen.client_pods,
            "serverPods": seen.server_pods,
        }
    return told


def evidence_files(learned: Learned) -> dict[str, str]:
    """Return ``evidence/*.json``: one file per workload, and one with every edge that was not learned."""
    by_workload: dict[WorkloadRef, list[PolicyIntent]] = {}
    for intent in learned.intents:
        by_workload.setdefault(intent.workload, []).append(intent)
    files = {}
    for workload, intents in by_workload.items():
        name = f"evidence/{workload.key}.json"
        files[name] = as_json(
            {
                "workload": {
                    "cluster": workload.cluster,
                    "namespace": workload.namespace,
                    "kind": workload.kind,
                    "name": workload.name,
                },
                "directions": [
                    {
                        "direction": intent.direction.value,
                        "isolate": intent.isolate,
                        "reasons": list(intent.reasons),
                        "rules": [_allow_json(workload, intent.direction, allow) for allow in intent.allows],
                    }
                    for intent in intents
                ],
            }
        )
    files["evidence/review.json"] = as_json_list(
        _judged_json(one) for one in learned.judged if one.ruling is not Ruling.LEARN
    )
    return files


def _judged_json(one: Judged) -> dict[str, Any]:
    """Return an edge that was not learned, as data. External clients appear as prefixes (rule 10)."""
    edge = one.edge
    return {
        "ruling": one.ruling.value,
        "reason": one.reason.value if one.reason else None,
        "client": end_name(edge, "client"),
        "server": end_name(edge, "server"),
        "protocol": edge.protocol.value if edge.protocol else None,
        "port": edge.port,
        "icmpType": edge.icmp_type,
        "collapsedPorts": edge.collapsed_ports,
        "verdict": edge.verdict.value,
        "establishment": edge.establishment.value,
        "evidenceClass": edge.evidence_class.value,
        "dropReasons": list(edge.drop_reasons),
        "flowRecords": edge.evidence.flow_records,
        "firstSeen": moment(edge.evidence.first_seen),
        "lastSeen": moment(edge.evidence.last_seen),
        "reporters": list(edge.evidence.reporters),
    }


def summary_json(suggestion: Suggestion) -> str:
    """Return the summary as data."""
    judged = suggestion.learned.judged
    account = suggestion.completeness
    return as_json(
        {
            "mode": suggestion.options.mode.value,
            "platforms": [str(one.platform) for one in suggestion.rendered],
            "counts": dict(Counter(one.ruling.value for one in judged).most_common()),
            "completeness": _completeness_json(account),
            "inventory": None if suggestion.inventory is None else suggestion.inventory.counts(),
            "captureProfile": _profile_json(suggestion),
            "isolated": [{"workload": str(workload), **per} for workload, per in isolated(suggestion)],
            "drift": None if suggestion.drift is None else drift_json(suggestion.drift),
            "reach": {dialect.value: _reach_json(left) for dialect, left in suggestion.reach.items()},
            "files": {
                one.platform.dialect.value: [artifact.path for artifact in one.artifacts] for one in suggestion.rendered
            },
            "diagnostics": [
                {
                    "code": one.code,
                    "level": one.level.value,
                    "subject": one.subject,
                    "message": one.message,
                    "hint": one.hint,
                }
                for one in suggestion.diagnostics
            ],
            "excess": _excess_json(suggestion.learned.intents),
            "notLearned": dict(sorted(Counter(one.reason.value for one in judged if one.reason).items())),
        }
    )


def _reach_json(left: Openness) -> Mapping[str, float]:
    """Return what stays open, as data."""
    return {
        "workloads": left.workloads,
        "openPairs": left.pairs,
        "neverUsedPairs": left.unseen,
        "blastRadiusMean": left.blast_mean,
        "blastRadiusMost": left.blast_most,
        "openToWorld": left.from_world,
        "mayReachWorld": left.to_world,
    }


def _excess_json(intents: Iterable[PolicyIntent]) -> Mapping[str, int]:
    """Return how many rules allow more than was observed, by the class of what they add."""
    allows = [allow for intent in intents if intent.isolate for allow in intent.allows]
    classes = [allow.origin.value for allow in allows if allow.origin is not Origin.OBSERVED]
    classes += ["client-prefix" for allow in allows if isinstance(allow.peer, CidrPeer) and allow.peer.clients]
    return dict(sorted(Counter(classes).items()))


def _completeness_json(account: Any) -> Mapping[str, Any]:
    """Return the account as data."""
    return {
        "complete": account.complete,
        "rowsRead": account.rows_read,
        "rowsSkipped": account.rows_skipped,
        "rowsRejected": account.rows_rejected,
        "rowsDuplicate": account.rows_duplicate,
        "eventsLost": account.events_lost,
        "rejected": [f"{bad.file}:{bad.line}: {bad.reason}" for bad in account.rejected],
        "truncated": list(account.truncated),
    }


def _profile_json(suggestion: Suggestion) -> Mapping[str, Any]:
    """Return the capture profile as data."""
    profile = suggestion.profile
    return {
        "shows": {aspect.value: shown.value for aspect, shown in profile.shows.items()},
        "absences": [
            {"source": one.source, "aspect": one.aspect.value, "shows": one.shows.value, "text": str(one)}
            for one in profile.absences
        ],
    }
