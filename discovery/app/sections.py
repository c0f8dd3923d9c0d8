"""The sections of a page, by what they cover: all of a run, one namespace, one owner. Ordered by risk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from discovery.app.markdown import Section, Table, safe
from discovery.app.words import counted
from discovery.learn.judge import EXPLANATIONS, Judged, Reason, Ruling
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Establishment, EvidenceClass
from discovery.model.intent import Allow, CidrPeer, Mode, Origin, PolicyIntent
from discovery.model.workload import EndpointKind, WorkloadRef

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion

_Item = TypeVar("_Item")

LOW_EVIDENCE_RECORDS = 3
# More findings than these are told by their kind, with one example each.
MANY_FINDINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page covers, of a run: edges of which an end is covered, intents, isolated directions per workload and
    dialect, and findings that need a person, errors first. ``whole``: all of the run.
    """

    judged: tuple[Judged, ...]
    intents: tuple[PolicyIntent, ...]
    isolated: tuple[tuple[WorkloadRef, dict[str, list[str]]], ...]
    findings: tuple[Diagnostic, ...]
    dialects: tuple[str, ...]
    enforced: bool
    whole: bool = False


def whole_view(suggestion: Suggestion) -> View:
    """Return the view of a whole run; with ``--namespace``, of edges that touch those namespaces alone."""
    wanted = set(suggestion.options.namespaces)
    judged = suggestion.learned.judged
    if wanted:
        judged = tuple(one for one in judged if any(ref.namespace in wanted for ref in _workloads(one)))
    return View(
        judged=judged,
        intents=suggestion.learned.intents,
        isolated=isolated(suggestion),
        findings=_findings_of(suggestion),
        dialects=_dialects(suggestion),
        enforced=suggestion.options.mode is Mode.ENFORCE,
        whole=True,
    )


def views_by(suggestion: Suggestion, key: Callable[[WorkloadRef], str]) -> dict[str, View]:
    """Return the view of each group of workloads that have intents, by the key of the group; an edge between two groups
    is in both.
    """
    names = {str(ref): key(ref) for ref in suggestion.workloads.by_key.values()}
    intents = _grouped(suggestion.learned.intents, lambda intent: {key(intent.workload)})
    judged = _grouped(suggestion.learned.judged, lambda one: {key(ref) for ref in _workloads(one)})
    closed = _grouped(isolated(suggestion), lambda item: {key(item[0])})
    found = _grouped(_findings_of(suggestion), lambda one: {names[one.subject]} if one.subject in names else set())
    return {
        group: View(
            judged=tuple(judged.get(group, ())),
            intents=tuple(intents[group]),
            isolated=tuple(closed.get(group, ())),
            findings=tuple(found.get(group, ())),
            dialects=_dialects(suggestion),
            enforced=suggestion.options.mode is Mode.ENFORCE,
        )
        for group in sorted(intents)
    }


def _grouped(items: Iterable[_Item], groups_of: Callable[[_Item], Collection[str]]) -> dict[str, list[_Item]]:
    """Return the items of each group in their order."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        for group in groups_of(item):
            groups.setdefault(group, []).append(item)
    return groups


def _workloads(one: Judged) -> list[WorkloadRef]:
    """Return the workloads at the ends of an edge."""
    return [end.workload for end in (one.edge.client, one.edge.server) if end.workload is not None]


def _dialects(suggestion: Suggestion) -> tuple[str, ...]:
    """Return the names of the dialects of a run."""
    return tuple(one.platform.dialect.value for one in suggestion.rendered)


def _findings_of(suggestion: Suggestion) -> tuple[Diagnostic, ...]:
    """Return the findings that need a person, errors first."""
    found = [one for one in suggestion.diagnostics if one.level is not Level.INFO]
    return tuple(sorted(found, key=lambda one: (one.level is not Level.ERROR, one.code, one.subject)))


def isolated(suggestion: Suggestion) -> tuple[tuple[WorkloadRef, dict[str, list[str]]], ...]:
    """Return, per workload, the directions that each dialect isolates."""
    found: dict[WorkloadRef, dict[str, list[str]]] = {}
    for one in suggestion.rendered:
        for artifact in one.artifacts:
            found.setdefault(artifact.workload, {})[artifact.dialect.value] = [
                direction.value for direction in artifact.isolates
            ]
    return tuple(sorted(found.items(), key=lambda item: (str(item[0]), item[0])))


def end_name(edge: Edge, side: str) -> str:
    """Return the name of an end for people; external clients only as a count."""
    end = edge.client if side == "client" else edge.server
    if side == "client" and end.kind is EndpointKind.EXTERNAL:
        return f"external ({counted(end.distinct_addresses or len(end.addresses), 'address', 'addresses')})"
    return str(end)


def edge_name(edge: Edge) -> str:
    """Return an edge for people, external clients without addresses."""
    return str(edge).replace(str(edge.client), end_name(edge, "client"), 1)


def risk_sections(view: View) -> list[Section]:
    """Return the numbered sections of a page, the largest risk first."""
    made = (_isolation, _world, _weak_evidence, _undecided, _review, _findings)
    return [section(view) for section in made]


def _isolation(view: View) -> Section:
    """Return the newly isolated directions: the largest risk, first."""
    found, dialects = view.isolated, view.dialects
    title = "1. Newly isolated directions"
    if not found:
        why = (
            "no workload has enough undisputed evidence"
            if view.intents
            else "no traffic is of a workload that gets a policy"
        )
        return Section(title=title, body=(f"None: {why}.",))
    what = "isolated when applied" if view.enforced else "isolated once enforced"
    verb = "would be" if not view.enforced else "is" if len(found) == 1 else "are"
    rows = tuple(
        (safe(str(workload)), *(", ".join(per.get(dialect, [])) or "-" for dialect in dialects))
        for workload, per in found
    )
    more = "`namespaces/`" if view.whole else "`summary.json`"
    return Section(
        title=title,
        body=(
            f"{counted(len(found), 'workload')} {verb} {what}; everything their files do not allow is then denied.",
            Table(head=("workload", *dialects), rows=rows, more=more),
        ),
    )


def world_rules(intents: Iterable[PolicyIntent]) -> list[tuple[PolicyIntent, Allow, str]]:
    """Return every rule for peers outside of the cluster with their addresses in words, ingress first. Clients of an
    exposed Service come from outside by the addresses of nodes, too.
    """
    found = []
    for intent in intents:
        for allow in intent.allows:
            if intent.isolate and isinstance(allow.peer, CidrPeer):
                found.append((intent, allow, _prefixes(allow.peer)))
            elif intent.isolate and allow.origin is Origin.SERVICE:
                found.append((intent, allow, "clients that a node forwards"))
    return sorted(
        found, key=lambda item: (item[0].direction is not Direction.INGRESS, item[0].workload, str(item[1].ports))
    )


def _prefixes(peer: CidrPeer) -> str:
    """Return the first prefixes of a peer and how many more there are."""
    return ", ".join(peer.prefixes[:3]) + (f" and {len(peer.prefixes) - 3} more" if len(peer.prefixes) > 3 else "")


def _world(view: View) -> Section:
    """Return rules with external addresses."""
    rows = []
    for intent, allow, shown in world_rules(view.intents):
        names = ", ".join(allow.peer.names[:3]) if isinstance(allow.peer, CidrPeer) else ""
        content = f"{allow.protocol.value} {allow.ports or ','.join(map(str, allow.icmp_types))}"
        told = safe(names) if names else "-"
        rows.append((safe(str(intent.workload)), intent.direction.value, content, safe(shown), told))
    head = ("workload", "direction", "content", "addresses", "DNS names seen")
    return Section(
        title="2. World exposure",
        body=(
            Table(head=head, rows=tuple(rows), more="`evidence/`") if rows else "No rule names an external address.",
        ),
    )


def weak_edges(judged: Iterable[Judged]) -> list[tuple[Edge, str]]:
    """Return learned edges that rest on little, with the reason; the weakest first."""
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


def _weak_evidence(view: View) -> Section:
    """Return learned rules that rest on little."""
    rows = tuple((safe(str(edge)), why) for edge, why in weak_edges(view.judged))
    none = "None: what was learned rests on more than a few records with a visible answer."
    table = Table(head=("edge", "why it is weak"), rows=rows, more="`evidence/`")
    return Section(title="3. Rules with little evidence", body=(table if rows else none,))


def _undecided(view: View) -> Section:
    """Return accepted traffic that was not learned: enforcing would cut it, so its directions stay open."""
    found = [one for one in view.judged if one.ruling is Ruling.UNDECIDED]
    body: list[str | Table] = ["None: all accepted traffic was either learned or is known not to need a rule."]
    if found:
        rows = tuple((safe(edge_name(one.edge)), EXPLANATIONS[one.reason] if one.reason else "") for one in found)
        body = [
            "This traffic was accepted and not learned. The directions that it touches are left open.",
            Table(head=("edge", "why"), rows=rows, more="`evidence/review.json`"),
        ]
    left_open = [intent for intent in view.intents if not intent.isolate]
    if left_open:
        opened = tuple(
            (
                safe(str(intent.workload)),
                intent.direction.value,
                str(len(intent.allows)),
                safe("; ".join(intent.reasons), 200),
            )
            for intent in sorted(left_open, key=lambda intent: (str(intent.workload), intent.direction))
        )
        head = ("workload", "direction", "rules known", "why")
        body += ["Left open, in every dialect:", Table(head=head, rows=opened, more="`evidence/`")]
    return Section(title="4. Undecided traffic", body=tuple(body))


def _review(view: View) -> Section:
    """Return what was not learned on purpose, by reason."""
    by_reason: dict[Reason, list[Edge]] = {}
    for one in view.judged:
        if one.ruling is Ruling.REVIEW and one.reason is not None:
            by_reason.setdefault(one.reason, []).append(one.edge)
    rows = []
    for reason, edges in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        records = sum(edge.evidence.flow_records for edge in edges)
        rows.append((reason.value, str(len(edges)), f"{records:,}", EXPLANATIONS[reason], safe(edge_name(edges[0]))))
    head = ("reason", "edges", "records", "meaning", "for example")
    table = Table(head=head, rows=tuple(rows), more="`evidence/review.json`")
    return Section(title="5. Not learned, on purpose", body=(table if rows else "Nothing.",))


def _findings(view: View) -> Section:
    """Return what the dialects could not say and what needs a person; many of one kind are one row."""
    found = view.findings
    counts = Counter(one.code for one in found)
    grouped = view.whole and len(found) > MANY_FINDINGS
    rows, told = [], set()
    for one in found:
        if grouped and one.code in told:
            continue
        told.add(one.code)
        others = f" and {counts[one.code] - 1:,} more" if grouped and counts[one.code] > 1 else ""
        hint = safe(one.hint, 200) if one.hint else "-"
        rows.append((one.level.value, one.code, safe(one.subject) + others, safe(one.message, 300), hint))
    head = ("level", "code", "subject", "finding", "what to do")
    table = Table(head=head, rows=tuple(rows), more="`summary.json`")
    return Section(title="6. Findings", body=(table if rows else "None.",))
