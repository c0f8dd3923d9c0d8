"""Comments: the header of a file and the evidence line of each allow, as raw text lines.

Everything that may come from a flow is cleaned here, before it is measured; the writer cleans again.
Only slow evidence is written (rule 9): the same traffic, seen longer, gives the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from discovery.model.edge import Evidence
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Origin, Peer
from discovery.model.workload import Selector, WorkloadRef
from generators.grouping import RuleGroup, allow_content
from generators.yaml_writer import clean

WIDTH = 98  # "# " and 98 characters: 100 in all
MAX_NAME = 80
MAX_REASON = 240
SHOWN_NAMES = 3

# Labels whose value alone names an application for people.
_NAMING_KEYS = frozenset(("app", "app.kubernetes.io/name", "k8s-app", "name"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What the header says about one manifest: prose, and commands for the reader's shell.

    ``effect`` is what applying the file does; ``watch`` is prose with commands below it; ``promote`` is how to
    enforce it (empty when it is enforced already); ``rollback`` are the commands that undo it.
    """

    effect: str
    watch: str
    watch_commands: tuple[str, ...] = ()
    promote: str = ""
    rollback: tuple[str, ...]


def header(workload: WorkloadRef, platform: str, mode: str, guide: Guide, left_out: Iterable[str]) -> tuple[str, ...]:
    """Return the comment lines at the top of a file, each at most 100 characters with its ``# ``."""
    kind = f" ({clean(workload.kind, MAX_NAME)})" if workload.kind else ""
    cluster = f", cluster {clean(workload.cluster, MAX_NAME)}" if workload.cluster else ""
    name = clean(str(workload), 2 * MAX_NAME)
    lines = _prose(f"Network policy in {mode} mode for {name}{kind}{cluster}.")
    lines += _prose(f"Platform: {clean(platform)}.")
    lines += guide_lines(guide)
    for sentence in left_out:
        lines += _prose(sentence)
    return tuple(lines)


def guide_lines(guide: Guide) -> tuple[str, ...]:
    """Return the lines of a header that say what applying does, how to watch it, promote it and roll it back."""
    lines = _prose(f"Effect: {guide.effect}")
    lines += _prose(f"Watch: {guide.watch}{':' if guide.watch_commands else '.'}") + _commands(guide.watch_commands)
    if guide.promote:
        lines += _prose(f"Promote: {guide.promote}")
    return (*lines, "Roll back:", *_commands(guide.rollback))


def not_isolated(direction: str, reasons: Iterable[str]) -> str:
    """Return the header sentence on a direction that the file leaves out."""
    why = "; ".join(clean(reason, MAX_REASON) for reason in reasons)
    return f"{direction.capitalize()} is left out: {why or 'no reason was given'}."


def evidence_line(allow: Allow, rule: RuleGroup, identifier: str) -> str:
    """Return the comment of one allow of a rule, with its evidence id.

    Names the ports only if they are not those of the whole rule.
    """
    whole = rule.content == ((allow.protocol, allow_content(allow)),)
    who = peer_name(allow.peer) + ("" if whole else f" {content_name(allow)}")
    if allow.origin is not Origin.OBSERVED:
        reason = clean(allow.reason or "no reason was given", MAX_REASON)
        return f"{who}: declared addition ({allow.origin}): {reason}"
    if allow.evidence is None:
        return f"{who}: evidence {identifier}"
    inside = f" (inside of a mesh's tunnel: {clean(str(allow.carries), MAX_NAME)})" if allow.carries.intervals else ""
    return f"{who}{inside}: {_slow(allow.evidence)}, evidence {identifier}"


def peer_name(peer: Peer) -> str:
    """Return a short name of a peer for people, safe in a comment."""
    if isinstance(peer, CidrPeer):
        if peer.prefixes and set(peer.prefixes) <= {"0.0.0.0/0", "::/0"}:
            return "anywhere"
        if peer.clients:
            names = f" ({_names(peer.names)})" if peer.names else ""
            return f"external clients{names}, named by their /24 and /48 (--show-addresses: exactly)"
        return f"external ({_names(peer.names)})" if peer.names else "external, no DNS name seen"
    if isinstance(peer, EntityPeer):
        return peer.entity.value
    return clean(peer.name, 2 * MAX_NAME) if peer.name else _selector_name(peer.selector)


def _selector_name(selector: Selector) -> str:
    """Return ``namespace/app`` when one label names the application, else the namespace and the labels."""
    namespace = clean(selector.namespace, MAX_NAME)
    pairs = selector.labels.pairs
    if selector.service_account is None and len(pairs) == 1 and pairs[0][0] in _NAMING_KEYS:
        return f"{namespace}/{clean(pairs[0][1], MAX_NAME)}"
    parts = [f"{key}={value}" for key, value in pairs]
    if selector.service_account is not None:
        parts.append(f"serviceAccount={selector.service_account}")
    return f"{namespace}/{clean(','.join(parts), MAX_NAME) if parts else '(all pods)'}"


def content_name(allow: Allow) -> str:
    """Return ``TCP/80,443`` or ``ICMP type 8`` of an allow."""
    if allow.protocol.has_ports:
        return clean(f"{allow.protocol}/{allow.ports}", MAX_NAME)
    return clean(f"{allow.protocol} type {','.join(map(str, sorted(allow.icmp_types)))}", MAX_NAME)


def _slow(evidence: Evidence) -> str:
    """Return the evidence that more of the same traffic does not change: the amount is that of a day with traffic."""
    date = (_EPOCH + timedelta(microseconds=evidence.first_seen)).date().isoformat()
    sources = clean("+".join(sorted(evidence.sources)), MAX_NAME)
    magnitude = len(str(max(evidence.flow_records // max(evidence.days, 1), 1))) - 1
    amount = f"~10^{magnitude}" if magnitude else "a few"
    return f"first seen {date}, {sources or 'source unknown'}, {amount} flow records a day"


def _names(names: tuple[str, ...]) -> str:
    """Return the first few names and how many more there are."""
    ordered = sorted(set(names))
    shown = ", ".join(clean(name, MAX_NAME) for name in ordered[:SHOWN_NAMES])
    return shown if len(ordered) <= SHOWN_NAMES else f"{shown} and {len(ordered) - SHOWN_NAMES} more"


def _prose(text: str) -> list[str]:
    """Return clean text as lines, the second and later ones indented."""
    if 0 < len(text) <= WIDTH and text.isprintable() and not text[-1].isspace():
        return [text]  # what wrapping would make of it, for a tenth of the time
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _commands(commands: Iterable[str]) -> list[str]:
    r"""Return commands as indented lines; one that is too long goes on below a ``\``."""
    lines: list[str] = []
    for command in commands:
        broken = textwrap.wrap(
            command,
            WIDTH - 2,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        lines += [f"{line} \\" for line in broken[:-1]] + broken[-1:]
    return lines
