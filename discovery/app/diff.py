"""Use case: what changed between two sets of policies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from discovery.app.manifests import PolicySet, policy_sets
from discovery.model.diagnostics import Diagnostic
from discovery.model.intent import Dialect
from discovery.model.platform import Platform, parse_platforms
from discovery.review.changes import as_markdown, as_text, content_of
from discovery.review.diff import Change, Difference, diff
from discovery.verify.read import ReadSet, read_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One pair of sets: what changed, and what of the old and of the new manifests could not be read."""

    name: str
    difference: Difference
    unread: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions:
    """On which platforms to compare."""

    platforms: dict[Dialect, Platform] = field(default_factory=lambda: parse_platforms([]))


def diff_policies(old: str | Path, new: str | Path, options: DiffOptions | None = None) -> tuple[Compared, ...]:
    """Compare two files or folders of policies; what ``suggest`` wrote is compared dialect by dialect.

    Raises :class:`InputError` for a path that cannot be read or holds no manifest.
    """
    options = options or DiffOptions()
    before, after = _by_dialect(Path(old)), _by_dialect(Path(new))
    both = before.keys() & after.keys()
    # The dialects that suggest wrote say the same, and one is applied: one that is not there was not taken away.
    alternatives = both and _is_ours(Path(old)) and _is_ours(Path(new))
    return tuple(
        _compare(dialect, before.get(dialect), after.get(dialect), options.platforms)
        for dialect in Dialect
        if dialect in (both if alternatives else before.keys() | after.keys())
    )


def _is_ours(path: Path) -> bool:
    """Say whether a path is a folder that ``suggest`` or ``promote`` wrote."""
    return any(given.dialect is not None for given in policy_sets([path]))


def _by_dialect(path: Path) -> dict[Dialect, dict[str, bytes]]:
    """Return the manifests of a path by the dialect that says who enforces them, by their path below it."""
    found: dict[Dialect, dict[str, bytes]] = {}
    for given in policy_sets([path]):
        texts = {
            str(Path(name).relative_to(path)) if path.is_dir() else "the manifest": text
            for name, text in given.texts.items()
        }
        for dialect in _enforcers(given, texts):
            found.setdefault(dialect, {}).update(texts)
    return found


def _enforcers(given: PolicySet, texts: dict[str, bytes]) -> Iterable[Dialect]:
    """Return the dialect that was written, or those of the CNIs whose policies are there."""
    if given.dialect is not None:
        return (given.dialect,)
    dialects = {policy.dialect for policy in read_policies(texts).policies}
    return [one for one in (Dialect.CILIUM, Dialect.CALICO) if one in dialects] or [Dialect.KUBERNETES]


def _compare(
    dialect: Dialect,
    old: dict[str, bytes] | None,
    new: dict[str, bytes] | None,
    platforms: dict[Dialect, Platform],
) -> Compared:
    """Compare the manifests of one dialect; a set that is not there is empty."""
    before, after = read_policies(old or {}), read_policies(new or {})
    both = sorted((old or {}).keys() & (new or {}).keys())
    texts = [(name, (old or {})[name] == (new or {})[name]) for name in both]
    return Compared(
        name=dialect.value,
        difference=diff(before, after, platforms[dialect], texts),
        unread=(*_marked("old", before), *_marked("new", after)),
    )


def _marked(which: str, read: ReadSet) -> Iterable[Diagnostic]:
    """Return the findings of reading with the set that they are of."""
    return (
        Diagnostic(code=one.code, level=one.level, subject=f"{which} {one.subject}", message=one.message, hint=one.hint)
        for one in read.diagnostics
    )


def text_of(compared: Compared) -> str:
    """Return the report of a terminal."""
    return "\n".join(as_text(compared.difference))


def markdown_of(found: Iterable[Compared]) -> str:
    """Return the comment of a pull request."""
    sections = ["\n".join(as_markdown(one.difference)).rstrip() for one in found]
    return "\n\n".join(["## What these policy changes mean", *sections]) + "\n"


def record_of(found: Iterable[Compared]) -> dict[str, object]:
    """Return everything as plain data."""
    return {
        "format": 1,
        "tool": "policy-discovery",
        "reports": [
            {
                "policies": one.name,
                "platform": str(one.difference.platform),
                "changes": [_change(change) for change in one.difference.changes],
                "modes": list(one.difference.modes),
                "not_read": list(one.difference.lost),
                "unclear": list(one.difference.unclear),
                "renamed": [list(pair) for pair in one.difference.renamed],
                "text_only": list(one.difference.same),
                "diagnostics": [{"source": d.subject, "code": d.code, "message": d.message} for d in one.unread],
            }
            for one in found
        ],
    }


def _change(change: Change) -> dict[str, str]:
    """Return one change as plain data."""
    return {
        "kind": change.kind.value,
        "direction": change.direction.value,
        "client": change.client,
        "server": change.server,
        "content": content_of([change]),
        "witness": change.witness,
    }
