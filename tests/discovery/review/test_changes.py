"""Tests of discovery.review.changes."""

from __future__ import annotations

from dataclasses import replace

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.review.changes import as_markdown, as_text, content_of, grouped
from discovery.review.diff import Change, Difference, Kind
from tests.discovery.verify.builders import platform


def change(
    client: str, server: str = "web", *, kind: Kind = Kind.ALLOWED, protocol: Protocol = Protocol.TCP, port: int = 80
) -> Change:
    """Return a change of the server's ingress."""
    return Change(
        kind=kind,
        direction=Direction.INGRESS,
        client=client,
        server=server,
        protocol=protocol,
        content=PortSet.of(port),
    )


def difference(*changes: Change, modes: tuple[str, ...] = ()) -> Difference:
    """Return a difference."""
    return Difference(
        platform=platform("cilium=1.18"),
        changes=changes,
        same=("a.yaml",),
        renamed=(("x", "y"),),
        modes=modes,
        unclear=(),
        lost=(),
    )


def test_peers_with_the_same_ports_are_one_group() -> None:
    """Protocols of one pair are told together, allowed before denied."""
    groups = grouped(
        difference(
            change("b", kind=Kind.DENIED),
            change("a"),
            change("a", protocol=Protocol.UDP, port=53),
            change("c"),
            change("c", protocol=Protocol.UDP, port=53),
        )
    )
    assert [(one.kind, one.content, one.peers) for one in groups] == [
        (Kind.ALLOWED, "TCP/80, UDP/53", ("a", "c")),
        (Kind.DENIED, "TCP/80", ("b",)),
    ]
    assert groups[0].witness == "a -> web TCP/80"


def test_all_of_everything_is_everything() -> None:
    """All ports of all protocols and all ICMP types."""
    whole = [
        Change(
            kind=Kind.DENIED, direction=Direction.INGRESS, client="a", server="b", protocol=protocol,
            content=PortSet.all() if protocol.has_ports else PortSet(((0, 255),)),
        )
        for protocol in Protocol
    ]  # fmt: skip
    assert content_of(whole) == "everything"
    assert content_of(whole[:1]) == "TCP (all)"


def test_text() -> None:
    """Marks, a witness below each line, and what is no difference."""
    lines = list(as_text(difference(change("a"), modes=("p: monitored -> enforced",))))
    assert lines == [
        "+ web: newly allowed, TCP/80 from a",
        "    for example a -> web TCP/80",
        "! p: monitored -> enforced",
        "= x is now called y",
        "= only the text changed: a.yaml",
    ]
    assert next(iter(as_text(difference()))) == "No connection is decided differently on cilium 1.18."


def test_markdown_holds_hostile_names_in_cells() -> None:
    """A headline, a table per kind; nothing in a name ends a cell or begins markup."""
    text = "\n".join(as_markdown(difference(change("a|b`c`\n<x>"))))
    assert text.startswith("### cilium: 1 newly allowed\n")
    row = next(line for line in text.splitlines() if line.startswith("| `web`"))
    assert row.count("|") == 5
    assert "\n<x>" not in text
    assert "from a\u00a6b'c'\ufffd<x>" in row
    assert "<details><summary>Only the text changed: 1</summary>" in text


def test_long_lists_are_cut() -> None:
    """Six peers of a group, and the number of the others."""
    lines = list(as_text(difference(*(change(f"p{n}") for n in range(9)))))
    assert lines[0].endswith("p5 and 3 more")


def test_what_nobody_knows_is_said() -> None:
    """In the headline, too."""
    found = replace(difference(), unclear=("l7.yaml",), lost=("new b.yaml:1",))
    assert list(as_text(found))[:2] == [
        "? new b.yaml:1: not read, and nobody knows what it does",
        "? l7.yaml: its text changed, and it holds what is not evaluated",
    ]
    lines = list(as_markdown(found))
    assert lines[0] == "### cilium: 2 of which nobody knows"
    assert "- `l7.yaml`" in lines
    assert "- `new b.yaml:1`" in lines
