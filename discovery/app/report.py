"""What a reviewer reads: ``summary.md`` ordered by risk, ``summary.json``, and the evidence behind the rules."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from discovery.app.output import as_json
from discovery.app.words import counted, duration
from discovery.learn.judge import EXPLANATIONS, Judged, Reason, Ruling
from discovery.learn.system import is_system
from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Edge, Establishment, EvidenceClass
from discovery.model.intent import Allow, CidrPeer, Dialect, EntityPeer, Mode, Origin, Peer, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion

LOW_EVIDENCE_RECORDS = 3
_ORIGINS = {
    Origin.DNS: "DNS",
    Origin.API_SERVER: "calls of the API server",
    Origin.MESH: "meshes",
    Origin.SERVICE: "exposed Services",
}
MAX_LISTED = 25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_KINDS = {
    "cilium": "ciliumnetworkpolicies.cilium.io",
    "calico": "stagednetworkpolicies.projectcalico.org,networkpolicies.projectcalico.org",
    "kubernetes": "networkpolicies.networking.k8s.io",
}
ROLLBACK = {
    dialect: f"kubectl delete {kinds} -A -l app.kubernetes.io/managed-by=policy-discovery"
    for dialect, kinds in _KINDS.items()
}


def rollback(platform: Platform) -> str:
    """Return the command that removes everything a dialect's files applied, in either mode."""
    command = ROLLBACK[platform.dialect.value]
    if platform.dialect is Dialect.KUBERNETES and platform.setting("enforcer") == Dialect.CALICO:
        return command.replace(" -A", ",stagedkubernetesnetworkpolicies.projectcalico.org -A")
    return command


def safe(text: object, limit: int = 160) -> str:
    """Return hostile text for a Markdown code span: no control or bidi characters, no backtick, no pipe, bounded."""
    kept = "".join(
        "�" if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") else char for char in str(text)
    )
    return "`" + kept[:limit].replace("`", "'").replace("|", "¦") + "`"


def _date(microseconds: int) -> str:
    """Return a UTC date."""
    return (_EPOCH + timedelta(microseconds=microseconds)).date().isoformat()


def _time(microseconds: int) -> str:
    """Return a UTC time."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")


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
            "firstSeen": _time(seen.first_seen),
            "lastSeen": _time(seen.last_seen),
            "days": seen.days,
            "hoursUtc": [hour for hour in range(24) if seen.hours >> hour & 1],
            "sources": list(seen.sources),
            "reporters": list(seen.reporters),
            "clientPods": seen.client_pods,
            "serverPods": seen.server_pods,
        }
    return told


def evidence_files(suggestion: Suggestion) -> dict[str, str]:
    """Return ``evidence/*.json``: one file per workload, and one with every edge that was not learned."""
    by_workload: dict[WorkloadRef, list[PolicyIntent]] = {}
    for intent in suggestion.learned.intents:
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
    files["evidence/review.json"] = as_json(
        [_judged_json(one) for one in suggestion.learned.judged if one.ruling is not Ruling.LEARN]
    )
    return files


def _judged_json(one: Judged) -> dict[str, Any]:
    """Return an edge that was not learned, as data. External clients appear as prefixes (rule 10)."""
    edge = one.edge
    return {
        "ruling": one.ruling.value,
        "reason": one.reason.value if one.reason else None,
        "client": _end_name(edge, "client"),
        "server": _end_name(edge, "server"),
        "protocol": edge.protocol.value if edge.protocol else None,
        "port": edge.port,
        "icmpType": edge.icmp_type,
        "collapsedPorts": edge.collapsed_ports,
        "verdict": edge.verdict.value,
        "establishment": edge.establishment.value,
        "evidenceClass": edge.evidence_class.value,
        "dropReasons": list(edge.drop_reasons),
        "flowRecords": edge.evidence.flow_records,
        "firstSeen": _time(edge.evidence.first_seen),
        "lastSeen": _time(edge.evidence.last_seen),
        "reporters": list(edge.evidence.reporters),
    }


def _end_name(edge: Edge, side: str) -> str:
    """Return the name of an end for people; external clients only as a count."""
    end = edge.client if side == "client" else edge.server
    if side == "client" and end.workload is None and end.kind.value == "external":
        return f"external ({counted(end.distinct_addresses or len(end.addresses), 'address', 'addresses')})"
    return str(end)


def _isolated(suggestion: Suggestion) -> list[tuple[WorkloadRef, dict[str, list[str]]]]:
    """Return, per workload, the directions that each dialect isolates."""
    found: dict[WorkloadRef, dict[str, list[str]]] = {}
    for one in suggestion.rendered:
        for artifact in one.artifacts:
            found.setdefault(artifact.workload, {})[artifact.dialect.value] = [
                direction.value for direction in artifact.isolates
            ]
    return sorted(found.items(), key=lambda item: (str(item[0]), item[0]))


def _world(intents: Iterable[PolicyIntent]) -> list[tuple[PolicyIntent, Allow, CidrPeer]]:
    """Return every rule with external peers, ingress first."""
    found = [
        (intent, allow, allow.peer)
        for intent in intents
        for allow in intent.allows
        if isinstance(allow.peer, CidrPeer) and intent.isolate
    ]
    return sorted(
        found, key=lambda item: (item[0].direction is not Direction.INGRESS, item[0].workload, str(item[1].ports))
    )


def _weak(judged: Iterable[Judged]) -> list[tuple[Edge, str]]:
    """Return learned edges that rest on little, with the reason."""
    found = []
    for one in judged:
        edge = one.edge
        if one.ruling is not Ruling.LEARN:
            continue
        why = []
        if edge.evidence.flow_records <= LOW_EVIDENCE_RECORDS:
            why.append(f"{edge.evidence.flow_records} flow record{'s' if edge.evidence.flow_records > 1 else ''}")
        if edge.establishment is Establishment.UNKNOWN and edge.protocol == "TCP":
            why.append("no answer is visible")
        if edge.evidence_class in (EvidenceClass.LISTENER, EvidenceClass.INFERRED):
            why.append(f"direction known by {edge.evidence_class.value}")
        if edge.denied_records:
            why.append(f"{edge.denied_records} records of it were denied")
        if why:
            found.append((edge, ", ".join(why)))
    return sorted(found, key=lambda item: (item[0].evidence.flow_records, str(item[0])))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], more: str) -> list[str]:
    """Return a Markdown table, cut to what a person reads, saying where the rest is."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows[:MAX_LISTED]]
    if len(rows) > MAX_LISTED:
        lines += ["", f"... and {len(rows) - MAX_LISTED} more in `{more}`."]
    return [*lines, ""]


def summary_markdown(suggestion: Suggestion) -> str:
    """Return the summary that a reviewer reads, ordered by risk."""
    sections = [
        _head(suggestion),
        _input_section(suggestion),
        _isolation_section(suggestion),
        _world_section(suggestion),
        _weak_section(suggestion),
        _undecided_section(suggestion),
        _review_section(suggestion),
        _diagnostic_section(suggestion),
        _next_section(suggestion),
    ]
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _head(suggestion: Suggestion) -> list[str]:
    """Return the title and the numbers that decide whether to read on."""
    options = suggestion.options
    mode = (
        "monitor (applying these files changes no verdict)"
        if options.mode is Mode.MONITOR
        else "ENFORCE (applying these files isolates workloads)"
    )
    judged = suggestion.learned.judged
    counts = Counter(one.ruling for one in judged)
    files = {one.platform.dialect.value: len(one.artifacts) for one in suggestion.rendered}
    intents = suggestion.learned.intents
    added = sum(allow.origin is not Origin.OBSERVED for intent in intents if intent.isolate for allow in intent.allows)
    rules = sum(len(intent.allows) for intent in intents if intent.isolate)
    left = _left_out(suggestion)
    additions = f"{counted(added, 'declared addition')}{_origins(intents)}"
    widened = sum(
        isinstance(allow.peer, CidrPeer) and allow.peer.clients
        for intent in intents
        if intent.isolate
        for allow in intent.allows
    )
    prefixes = f" ({widened} of them name external clients by prefix: `--show-addresses`)" if widened else ""
    return [
        "# Suggested network policies",
        "",
        f"- Mode: **{mode}**",
        f"- Policies: {', '.join(f'{count} {name}' for name, count in files.items())}",
        f"- Platforms: {', '.join(str(one.platform) for one in suggestion.rendered)}",
        f"- Learned: {counted(counts[Ruling.LEARN], 'edge')}",
        f"- In the files: {counted(rules - added, 'observed rule')}{prefixes}, {additions}",
        f"- Not learned: {counted(counts[Ruling.REVIEW], 'edge')} for review, {counts[Ruling.UNDECIDED]} undecided",
        *([f"- Part of the platform, so without policy (`--include-system` writes them): {left}"] if left else []),
        "",
    ]


def _input_section(suggestion: Suggestion) -> list[str]:
    """Return what was read and what it cannot show."""
    account = suggestion.completeness
    edges = [one.edge for one in suggestion.learned.judged]
    window = "no traffic"
    if edges:
        first = min(edge.evidence.first_seen for edge in edges)
        last = max(edge.evidence.last_seen for edge in edges)
        window = f"{_time(first)} to {_time(last)} ({duration(last - first)})"
    lines = ["## Input", "", f"- Window: {window}", f"- Flow records: {account.rows_read:,}"]
    if account.rows_duplicate:
        lines.append(f"- Duplicates dropped: {account.rows_duplicate:,}")
    if not account.complete:
        lines.append(
            f"- **INCOMPLETE**: {account.rows_rejected:,} malformed, {account.events_lost:,} lost by the source, "
            f"{len(account.truncated)} cut short, {len(account.masked)} without what everything rests on"
        )
        lines += [f"  - {safe(f'{bad.file}:{bad.line}: {bad.reason}')}" for bad in account.rejected[:5]]
        lines += [f"  - {safe(text)}" for text in (*account.truncated[:5], *account.masked[:5])]
    lines += [f"- Not shown: {absence}" for absence in suggestion.profile.absences]
    if suggestion.inventory is not None:
        held = ", ".join(f"{count:,} {what}" for what, count in suggestion.inventory.counts().items() if count)
        lines.append(f"- Inventory of cluster {safe(suggestion.inventory.cluster)}: {held}")
        away = [one.subject for one in suggestion.diagnostics if one.code == "workload-gone"]
        if away:
            more = f" and {len(away) - MAX_LISTED:,} more (summary.json)" if len(away) > MAX_LISTED else ""
            names = ", ".join(safe(name) for name in away[:MAX_LISTED])
            lines.append(f"- Gone by the time of the inventory, so without policy and rules: {names}{more}")
    return [*lines, ""]


def _left_out(suggestion: Suggestion) -> str:
    """Return the system workloads that get no policy, bounded, or nothing."""
    if suggestion.options.include_system:
        return ""
    found = sorted({str(ref) for ref in suggestion.workloads.ref_of.values() if is_system(ref)})
    more = f" and {len(found) - MAX_LISTED:,} more" if len(found) > MAX_LISTED else ""
    return ", ".join(safe(name) for name in found[:MAX_LISTED]) + more


def _origins(intents: Iterable[PolicyIntent]) -> str:
    """Return the kinds of declared additions in brackets, or nothing."""
    kinds = {allow.origin for intent in intents if intent.isolate for allow in intent.allows} - {Origin.OBSERVED}
    return f" ({', '.join(_ORIGINS[kind] for kind in sorted(kinds))})" if kinds else ""


def _isolation_section(suggestion: Suggestion) -> list[str]:
    """Return the newly isolated directions: the largest risk, first."""
    found = _isolated(suggestion)
    dialects = [one.platform.dialect.value for one in suggestion.rendered]
    if not found:
        return ["## 1. Newly isolated directions", "", "None: no workload has enough undisputed evidence.", ""]
    what = "would be isolated once enforced" if suggestion.options.mode is Mode.MONITOR else "are isolated when applied"
    rows = [
        (safe(str(workload)), *(", ".join(per.get(dialect, [])) or "-" for dialect in dialects))
        for workload, per in found
    ]
    return [
        "## 1. Newly isolated directions",
        "",
        f"{len(found)} workloads {what}; everything their files do not allow is then denied.",
        "",
        *_table(("workload", *dialects), rows, "summary.json"),
    ]


def _world_section(suggestion: Suggestion) -> list[str]:
    """Return rules with external addresses."""
    found = _world(suggestion.learned.intents)
    lines = ["## 2. World exposure", ""]
    if not found:
        return [*lines, "No rule names an external address.", ""]
    rows = []
    for intent, allow, peer in found:
        shown = ", ".join(peer.prefixes[:3]) + (f" and {len(peer.prefixes) - 3} more" if len(peer.prefixes) > 3 else "")
        names = ", ".join(peer.names[:3])
        content = f"{allow.protocol.value} {allow.ports or ','.join(map(str, allow.icmp_types))}"
        rows.append(
            (safe(str(intent.workload)), intent.direction.value, content, safe(shown), safe(names) if names else "-")
        )
    return [*lines, *_table(("workload", "direction", "content", "addresses", "DNS names seen"), rows, "evidence/")]


def _weak_section(suggestion: Suggestion) -> list[str]:
    """Return learned rules that rest on little."""
    found = _weak(_of_subjects(suggestion))
    lines = ["## 3. Rules with little evidence", ""]
    if not found:
        return [*lines, "None: what was learned rests on more than a few records with a visible answer.", ""]
    return [*lines, *_table(("edge", "why it is weak"), [(safe(str(edge)), why) for edge, why in found], "evidence/")]


def _undecided_section(suggestion: Suggestion) -> list[str]:
    """Return accepted traffic that was not learned: enforcing would cut it, so its directions stay open."""
    found = [one for one in _of_subjects(suggestion) if one.ruling is Ruling.UNDECIDED]
    lines = ["## 4. Undecided traffic", ""]
    if found:
        rows = [(safe(_edge_name(one.edge)), EXPLANATIONS[one.reason] if one.reason else "") for one in found]
        lines += ["This traffic was accepted and not learned. The directions that it touches are left open.", ""]
        lines += _table(("edge", "why"), rows, "evidence/review.json")
    else:
        lines += ["None: all accepted traffic was either learned or is known not to need a rule.", ""]
    left_open = [intent for intent in suggestion.learned.intents if not intent.isolate]
    if left_open:
        opened = [
            (
                safe(str(intent.workload)),
                intent.direction.value,
                str(len(intent.allows)),
                safe("; ".join(intent.reasons), 200),
            )
            for intent in sorted(left_open, key=lambda intent: (str(intent.workload), intent.direction))
        ]
        lines += ["Left open, in every dialect:", ""]
        lines += _table(("workload", "direction", "rules known", "why"), opened, "evidence/")
    return lines


def _of_subjects(suggestion: Suggestion) -> list[Judged]:
    """Return the judged edges that touch the namespaces asked for; all of them when none was named."""
    wanted = set(suggestion.options.namespaces)
    if not wanted:
        return list(suggestion.learned.judged)
    ends = ((one, one.edge.client.workload, one.edge.server.workload) for one in suggestion.learned.judged)
    return [one for one, *both in ends if any(end is not None and end.namespace in wanted for end in both)]


def _edge_name(edge: Edge) -> str:
    """Return an edge for people, external clients without addresses."""
    text = str(edge)
    return text.replace(str(edge.client), _end_name(edge, "client"), 1)


def _review_section(suggestion: Suggestion) -> list[str]:
    """Return what was not learned on purpose, by reason."""
    found = [one for one in _of_subjects(suggestion) if one.ruling is Ruling.REVIEW]
    lines = ["## 5. Not learned, on purpose", ""]
    if not found:
        return [*lines, "Nothing.", ""]
    by_reason: dict[Reason, list[Edge]] = {}
    for one in found:
        if one.reason is not None:
            by_reason.setdefault(one.reason, []).append(one.edge)
    rows = []
    for reason, edges in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        records = sum(edge.evidence.flow_records for edge in edges)
        rows.append((reason.value, str(len(edges)), f"{records:,}", EXPLANATIONS[reason], safe(_edge_name(edges[0]))))
    return [*lines, *_table(("reason", "edges", "records", "meaning", "for example"), rows, "evidence/review.json")]


def _diagnostic_section(suggestion: Suggestion) -> list[str]:
    """Return what the dialects could not say and what needs a person."""
    found = [one for one in suggestion.diagnostics if one.level is not Level.INFO]
    lines = ["## 6. Findings", ""]
    if not found:
        return [*lines, "None.", ""]
    order = sorted(found, key=lambda one: (one.level is not Level.ERROR, one.code, one.subject))
    rows = [
        (one.level.value, one.code, safe(one.subject), safe(one.message, 300), safe(one.hint, 200) if one.hint else "-")
        for one in order
    ]
    return [*lines, *_table(("level", "code", "subject", "finding", "what to do"), rows, "summary.json")]


def _next_section(suggestion: Suggestion) -> list[str]:
    """Return the next steps and the one command that undoes everything."""
    options = suggestion.options
    lines = ["## Next", ""]
    if options.mode is Mode.MONITOR:
        lines += [
            "1. Review the YAML in a pull request; each file says what it does, how to watch it and how to promote it.",
            "2. Settle section 4: a longer window, an inventory, or a decision. Undecided directions stay open.",
            "3. Apply one dialect, the one that your cluster enforces, and watch it for a full cycle of your traffic.",
            "4. Write the enforcing form with `--mode enforce`, starting with one workload.",
        ]
    else:
        lines += ["1. Apply one workload first and watch it.", "2. Keep the roll-back command at hand."]
    commands = [rollback(one.platform) for one in suggestion.rendered if one.artifacts]
    if not commands:
        return [*lines, ""]
    return [
        *lines,
        "",
        "Roll back everything that these files applied, with one command:",
        "",
        "```sh",
        *commands,
        "```",
        "",
    ]


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
            "isolated": [{"workload": str(workload), **per} for workload, per in _isolated(suggestion)],
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
