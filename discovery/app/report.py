"""What a reviewer reads: ``summary.md``, at most 200 lines whatever the size, and a page per namespace and owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from discovery.app.drift import drift_section
from discovery.app.markdown import Section, Table, cut, fitting, page, safe
from discovery.app.merging import cut as would_cut
from discovery.app.merging import merging, rollback
from discovery.app.owners import NOBODY, folder_of
from discovery.app.sections import View, risk_sections, views_by, weak_edges, whole_view, world_rules
from discovery.app.words import counted, duration, moment
from discovery.learn.judge import Ruling
from discovery.learn.system import is_system
from discovery.model.artifact import OWNER_KEY
from discovery.model.intent import CidrPeer, Mode, Origin, PolicyIntent
from discovery.model.workload import WorkloadRef
from discovery.verify.reach import all_open

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion

MAX_LINES = 200
# A page of a namespace or an owner is read by those who know it: its tables are cut much later.
PAGE_ROWS = 200
_SHOWN = 25
_FEW = 5
_ABSENCES = 10
_ORIGINS = {
    Origin.DNS: "DNS",
    Origin.API_SERVER: "calls of the API server",
    Origin.MESH: "meshes",
    Origin.SERVICE: "exposed Services",
}


def summary_pages(suggestion: Suggestion) -> dict[str, str]:
    """Return ``summary.md`` and the pages that it leads to, by path."""
    namespaces = views_by(suggestion, _namespace_page(suggestion))
    owners = views_by(suggestion, suggestion.owners.of) if suggestion.owners is not None else {}
    window = _window(suggestion)
    pages = {"summary.md": _summary(suggestion, namespaces, owners, window)}
    for name, view in namespaces.items():
        first = view.intents[0].workload
        commands = _commands(suggestion, view, {first.namespace})
        pages[f"namespaces/{name}.md"] = _page(suggestion, f"Namespace {safe(first.namespace)}", view, window, commands)
    for name, view in owners.items():
        label = f"{OWNER_KEY}={folder_of(name)}"
        commands = [] if name == NOBODY else _commands(suggestion, view, _asked_for(suggestion, view), label)
        title = "Workloads without an owner" if name == NOBODY else f"Owner {safe(name)}"
        pages[f"owners/{folder_of(name)}.md"] = _page(suggestion, title, view, window, commands)
    return pages


def _namespace_page(suggestion: Suggestion) -> Callable[[WorkloadRef], str]:
    """Return what tells the page of a workload's namespace: its path below ``namespaces/`` without the ending."""
    from generators.names import cluster_folder

    several = len({ref.cluster for ref in suggestion.workloads.by_key.values()}) > 1

    def place(cluster: str, namespace: str) -> str:
        return (f"{cluster_folder(cluster)}/" if several else "") + cluster_folder(namespace)

    known = cache(place)
    return lambda ref: known(ref.cluster, ref.namespace)


def _commands(suggestion: Suggestion, view: View, namespaces: Collection[str], *label: str) -> list[str]:
    """Return the command per dialect that takes back what a page is about."""
    written = {dialect for _, per in view.isolated for dialect in per}
    mode = suggestion.options.mode
    return [
        rollback(one.platform, mode, namespaces, *label)
        for one in suggestion.rendered
        if one.platform.dialect.value in written
    ]


def _asked_for(suggestion: Suggestion, view: View) -> set[str]:
    """Return the namespaces with policies of a run that was asked for some: others have theirs from other runs."""
    return {ref.namespace for ref, _ in view.isolated} if suggestion.options.namespaces else set()


def _page(suggestion: Suggestion, title: str, view: View, window: _Window, commands: list[str]) -> str:
    """Return the page of a part of a run."""
    counts = Counter(one.ruling for one in view.judged)
    files = Counter(dialect for _, per in view.isolated for dialect in per)
    opening = [
        f"- Mode: **{_mode(suggestion)}**",
        f"- Policies: {', '.join(f'{files[dialect]} {dialect}' for dialect in view.dialects)}",
        f"- Learned: {counted(counts[Ruling.LEARN], 'edge')}",
        f"- Not learned: {counted(counts[Ruling.REVIEW], 'edge')} for review, {counts[Ruling.UNDECIDED]} undecided",
        "- The input, and what it cannot show: `summary.md`",
    ]
    sections = [*risk_sections(view), merging(view, window.length, commands)]
    return "\n".join(page(title, opening, sections, PAGE_ROWS)) + "\n"


def _summary(
    suggestion: Suggestion, namespaces: Mapping[str, View], owners: Mapping[str, View], window: _Window
) -> str:
    """Return the summary that a reviewer reads, ordered by risk."""
    view = whole_view(suggestion)
    sections = [
        Section(title="Input", body=("\n".join(_input(suggestion, window)),)),
        *([_index("Namespaces", "namespaces", {name: (name, one) for name, one in namespaces.items()})]
          if len(namespaces) > 1 else []),
        *([_index("Owners", "owners", {folder_of(name): (name or "unowned", one) for name, one in owners.items()})]
          if owners else []),
        *risk_sections(view),
        *([] if suggestion.drift is None else [drift_section(suggestion.drift)]),
        _reach(suggestion),
        Section(title="Next", body=("\n".join(_next(suggestion)),)),
        merging(view, window.length, _commands(suggestion, view, _asked_for(suggestion, view))),
    ]  # fmt: skip
    return "\n".join(fitting("Suggested network policies", _head(suggestion), sections, MAX_LINES)) + "\n"


def _reach(suggestion: Suggestion) -> Section:
    """Return what stays open between workloads once the files of a dialect are enforced."""
    used = [one.edge for one in suggestion.learned.judged if one.ruling is Ruling.LEARN]
    before = all_open(suggestion.workloads.versions, used)
    states = [("no policy", before)]
    states += [
        (f"{one.platform.dialect.value}, enforced", suggestion.reach[one.platform.dialect])
        for one in suggestion.rendered
        if one.artifacts
    ]
    rows = [
        (
            name, f"{one.pairs:,}", f"{one.unseen:,}", f"{one.blast_mean:,.1f}", f"{one.blast_most:,}",
            f"{one.from_world:,}", f"{one.to_world:,}",
        )
        for name, one in states
    ]  # fmt: skip
    head = (
        "with", "open pairs", "never used", "one spreads to", "at most", "open to the world", "may reach the world"
    )  # fmt: skip
    opening = (
        f"What could reach what among {counted(before.workloads, 'workload')}: ordered pairs with any port open, and "
        "how many workloads an intruder in one could get to, over others. "
    )
    opening += (
        "Policies that are there already do not count."
        if suggestion.drift is None
        else "Policies that are there already count as if they were enforced, too."
    )
    return Section(title="Reach", body=(opening, Table(head=head, rows=tuple(rows), more="`summary.json`")))


def _index(title: str, folder: str, views: Mapping[str, tuple[str, View]]) -> Section:
    """Return the pages of a folder, those with most to look at first. ``views`` are (name, view) by file."""
    rows = []
    for file, (name, view) in views.items():
        directions = Counter(
            direction for _, per in view.isolated for direction in {one for each in per.values() for one in each}
        )
        figures = (
            sum(1 for _ in would_cut(view)),
            sum(one.ruling is Ruling.UNDECIDED for one in view.judged),
            len(world_rules(view.intents)),
            len(weak_edges(view.judged)),
            len(view.findings),
        )
        workloads = len({intent.workload for intent in view.intents})
        row = (workloads, directions["ingress"], directions["egress"], *figures)
        link = f"[{safe(name)}]({folder}/{file}.md)"
        rows.append(([-figure for figure in figures], file, (link, *(f"{figure:,}" for figure in row))))
    head = (
        "page", "workloads", "ingress isolated", "egress isolated", "would be cut", "undecided", "world rules",
        "weak rules", "findings",
    )  # fmt: skip
    table = Table(head=head, rows=tuple(row for *_, row in sorted(rows)), more=f"`{folder}/`")
    return Section(title=title, body=(table,))


def _mode(suggestion: Suggestion) -> str:
    """Return what applying the files does, in a few words."""
    if suggestion.options.mode is Mode.MONITOR:
        return "monitor (applying these files changes no verdict)"
    return "ENFORCE (applying these files isolates workloads)"


def _head(suggestion: Suggestion) -> list[str]:
    """Return the numbers that decide whether to read on."""
    counts = Counter(one.ruling for one in suggestion.learned.judged)
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
        f"- Mode: **{_mode(suggestion)}**",
        f"- Policies: {', '.join(f'{count} {name}' for name, count in files.items())}",
        f"- Platforms: {', '.join(str(one.platform) for one in suggestion.rendered)}",
        f"- Learned: {counted(counts[Ruling.LEARN], 'edge')}",
        f"- In the files: {counted(rules - added, 'observed rule')}{prefixes}, {additions}",
        f"- Not learned: {counted(counts[Ruling.REVIEW], 'edge')} for review, {counts[Ruling.UNDECIDED]} undecided",
        *([f"- Part of the platform, so without policy (`--include-system` writes them): {left}"] if left else []),
    ]


class _Window(NamedTuple):
    """The window of the traffic in words: from when to when, and how long."""

    text: str
    length: str


def _window(suggestion: Suggestion) -> _Window:
    """Return the window of the traffic."""
    edges = [one.edge for one in suggestion.learned.judged]
    if not edges:
        return _Window("no traffic", "no traffic")
    first = min(edge.evidence.first_seen for edge in edges)
    last = max(edge.evidence.last_seen for edge in edges)
    return _Window(f"{moment(first)} to {moment(last)} ({duration(last - first)})", duration(last - first))


def _input(suggestion: Suggestion, window: _Window) -> list[str]:
    """Return what was read and what it cannot show."""
    account = suggestion.completeness
    lines = [f"- Window: {window.text}", f"- Flow records: {account.rows_read:,}"]
    if account.rows_duplicate:
        lines.append(f"- Duplicates dropped: {account.rows_duplicate:,}")
    if not account.complete:
        lines.append(
            f"- **INCOMPLETE**: {account.rows_rejected:,} malformed, {account.events_lost:,} lost by the source, "
            f"{len(account.truncated)} cut short, {len(account.masked)} without what everything rests on"
        )
        lines += [f"  - {safe(f'{bad.file}:{bad.line}: {bad.reason}')}" for bad in account.rejected[:_FEW]]
        lines += [f"  - {safe(text)}" for text in (*account.truncated[:_FEW], *account.masked[:_FEW])]
    absences = suggestion.profile.absences
    lines += [f"- Not shown: {absence}" for absence in absences[:_ABSENCES]]
    if len(absences) > _ABSENCES:
        lines.append(f"- Not shown: and {len(absences) - _ABSENCES} more in `summary.json`")
    if suggestion.inventory is not None:
        held = ", ".join(f"{count:,} {what}" for what, count in suggestion.inventory.counts().items() if count)
        lines.append(f"- Inventory of cluster {safe(suggestion.inventory.cluster)}: {held}")
        away = [one.subject for one in suggestion.diagnostics if one.code == "workload-gone"]
        if away:
            told = cut(away, _SHOWN, "`summary.json`")
            lines.append(f"- Gone by the time of the inventory, so without policy and rules: {told}")
    return lines


def _left_out(suggestion: Suggestion) -> str:
    """Return the system workloads that get no policy, bounded, or nothing."""
    if suggestion.options.include_system:
        return ""
    found = sorted({str(ref) for ref in suggestion.workloads.ref_of.values() if is_system(ref)})
    return cut(found, _SHOWN, "in the input")


def _origins(intents: Iterable[PolicyIntent]) -> str:
    """Return the kinds of declared additions in brackets, or nothing."""
    kinds = {allow.origin for intent in intents if intent.isolate for allow in intent.allows} - {Origin.OBSERVED}
    return f" ({', '.join(_ORIGINS[kind] for kind in sorted(kinds))})" if kinds else ""


def _next(suggestion: Suggestion) -> list[str]:
    """Return the next steps."""
    if not any(one.artifacts for one in suggestion.rendered):
        steps = [
            "Read why above: sections 4 and 6, and what the input does not show.",
            "Run `discover suggest` again on a longer or fuller export, or with an inventory.",
        ]
    elif suggestion.options.mode is Mode.MONITOR:
        steps = [
            "Review the YAML in a pull request; each file says what it does, how to watch it and how to promote it.",
            "Settle section 4: a longer window, an inventory, or a decision. Undecided directions stay open.",
            "Apply one dialect, the one that your cluster enforces, and watch it for a full cycle of your traffic.",
            "Write the enforcing form with `discover promote`, one workload first: it refuses what would cut traffic.",
        ]
        if all(intent.isolate for intent in suggestion.learned.intents):
            del steps[1]
    else:
        steps = ["Apply one workload first and watch it.", "Keep the roll-back command below at hand."]
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]
