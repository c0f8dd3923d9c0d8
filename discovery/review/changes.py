"""A semantic diff in words: for the terminal, and as Markdown made for a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.review.diff import Change, Difference, Kind

_SHOWN_PEERS = 6
_SHOWN_GROUPS = 40
_MARKS = {Kind.ALLOWED: "+", Kind.DENIED: "-", Kind.SURE: "?", Kind.REFUSED: "?", Kind.UNCLEAR: "?"}
_UNCLEAR = "Changed, and nobody knows whether it matters: they hold what is not evaluated"
_LOST = "Not read, so nobody knows what they do"


_NOT_WHOLE = "there are too many selectors to try every pod that two of them pick: what only such pods meet is not told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Changes of one subject and direction that are about the same ports, with all their peers and a witness."""

    kind: Kind
    direction: Direction
    subject: str
    content: str
    peers: tuple[str, ...]
    witness: str


def grouped(difference: Difference) -> tuple[Group, ...]:
    """Return the changes for people: what is newly allowed first, wide before narrow."""
    by_pair: dict[tuple[Kind, Direction, str, str], list[Change]] = {}
    for change in difference.changes:
        by_pair.setdefault((change.kind, change.direction, change.subject, change.peer), []).append(change)
    by_content: dict[tuple[Kind, Direction, str, str], list[tuple[str, str]]] = {}
    for (kind, direction, subject, peer), changes in by_pair.items():
        key = (kind, direction, subject, content_of(changes))
        by_content.setdefault(key, []).append((peer, changes[0].witness))
    groups = [
        Group(
            kind=kind,
            direction=direction,
            subject=subject,
            content=content,
            peers=tuple(peer for peer, _ in found),
            witness=found[0][1],
        )
        for (kind, direction, subject, content), found in by_content.items()
    ]
    return tuple(sorted(groups, key=lambda one: (list(Kind).index(one.kind), one.subject, one.direction, one.content)))


def content_of(changes: list[Change]) -> str:
    """Return what changes of one pair of ends are about: ``TCP/80, UDP/53`` or ``everything``."""
    if {change.protocol for change in changes} == set(Protocol) and all(_is_all(one.content) for one in changes):
        return "everything"
    by_protocol = {change.protocol: change for change in changes}
    return ", ".join(change.words for change in by_protocol.values())


def _is_all(content: PortSet) -> bool:
    """Say whether contents are all ports or all ICMP types."""
    return content in (PortSet.all(), PortSet(((0, 255),)))


def _peers(group: Group) -> str:
    """Return the peers of a group: the first of them."""
    more = f" and {len(group.peers) - _SHOWN_PEERS} more" if len(group.peers) > _SHOWN_PEERS else ""
    return "; ".join(group.peers[:_SHOWN_PEERS]) + more


def as_text(difference: Difference) -> Iterator[str]:
    """Yield the lines of a terminal report."""
    if difference.empty:
        yield f"No connection is decided differently on {difference.platform}."
    groups = grouped(difference)
    for group in groups[:_SHOWN_GROUPS]:
        arrow = "from" if group.direction is Direction.INGRESS else "to"
        yield f"{_MARKS[group.kind]} {group.subject}: {group.kind}, {group.content} {arrow} {_peers(group)}"
        yield f"    for example {group.witness}"
    if len(groups) > _SHOWN_GROUPS:
        yield f"  and {len(groups) - _SHOWN_GROUPS} more (--format json has them all)"
    if not difference.whole:
        yield f"? {_NOT_WHOLE}"
    yield from (f"? {name}: not read, and nobody knows what it does" for name in difference.lost)
    yield from (f"? {name}: its text changed, and it holds what is not evaluated" for name in difference.unclear)
    yield from (f"! {mode}" for mode in difference.modes)
    yield from (f"= {old} is now called {new}" for old, new in difference.renamed)
    if difference.same:
        yield f"= only the text changed: {', '.join(difference.same)}"


def as_markdown(difference: Difference) -> Iterator[str]:
    """Yield the lines of a section for a pull request: a sentence that says it all, then a table per kind of change."""
    yield f"### {difference.platform.dialect}: {_headline(difference)}"
    yield ""
    groups = grouped(difference)
    for kind in Kind:
        found = [group for group in groups if group.kind is kind]
        if found:
            yield f"**{kind.value.capitalize()}**"
            yield ""
            yield "| whose rules | what | with | for example |"
            yield "|---|---|---|---|"
            for group in found[:_SHOWN_GROUPS]:
                arrow = "from" if group.direction is Direction.INGRESS else "to"
                cells = (group.subject, group.content, f"{arrow} {_peers(group)}", group.witness)
                yield f"| {' | '.join(map(_cell, cells))} |"
            if len(found) > _SHOWN_GROUPS:
                yield f"| and {len(found) - _SHOWN_GROUPS} more | | | |"
            yield ""
    if not difference.whole:
        yield f"{_NOT_WHOLE.capitalize()}."
        yield ""
    for title, items in (
        (_LOST, difference.lost),
        (_UNCLEAR, difference.unclear),
        ("In force", difference.modes),
        ("Renamed, meaning the same", tuple(f"{old} -> {new}" for old, new in difference.renamed)),
        ("Only the text changed", difference.same),
    ):
        if items:
            yield f"<details><summary>{title}: {len(items)}</summary>"
            yield ""
            yield from (f"- {_cell(item)}" for item in items)
            yield ""
            yield "</details>"
            yield ""


def _headline(difference: Difference) -> str:
    """Return the change in one sentence."""
    if difference.empty:
        return "no connection is decided differently"
    groups = grouped(difference)
    parts = [f"{sum(group.kind is kind for group in groups)} {kind.value}" for kind in Kind]
    told = [part for part in parts if not part.startswith("0 ")]
    if difference.modes:
        told.append(f"{len(difference.modes)} changed mode")
    open_ = len(difference.unclear) + len(difference.lost)
    if open_:
        told.append(f"{open_} of which nobody knows")
    return ", ".join(told)


def _cell(text: str) -> str:
    """Return hostile text as the code of a table cell: nothing in it is markup, nothing ends the cell."""
    plain = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return f"`{plain.replace('`', chr(39)).replace('|', chr(0xA6))}`"
