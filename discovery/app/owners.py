"""Who owns which workload, from a file in the style of CODEOWNERS: ``PATTERN OWNER``, the last line that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from discovery.model.errors import OptionError
from discovery.model.workload import WorkloadRef

NOBODY = ""
_MAX_LABEL = 63
_NOT_IN_FOLDER = re.compile(r"[^A-Za-z0-9_.-]+")
_HINT = "write one PATTERN OWNER per line, for example 'shop/* @acme/shop' or 'data @acme/storage'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Patterns and their owners in the order of the file. A pattern is ``NAMESPACE`` or ``NAMESPACE/NAME``; in both
    ``*`` stands for any characters.
    """

    lines: tuple[tuple[str, str], ...]

    def of(self, workload: WorkloadRef) -> str:
        """Return the owner of a workload, ``NOBODY`` where no line fits."""
        for pattern, owner in reversed(self.lines):
            namespace, _, name = pattern.partition("/")
            if fnmatchcase(workload.namespace, namespace) and fnmatchcase(workload.name, name or "*"):
                return owner
        return NOBODY


def folder_of(owner: str) -> str:
    """Return the name that an owner has in file names and label values; ``unowned`` for ``NOBODY``."""
    return _NOT_IN_FOLDER.sub("-", owner).strip("-_.") or "unowned"


def owner_labels(owners: Owners, workloads: Iterable[WorkloadRef]) -> dict[WorkloadRef, str]:
    """Return the label value of the owner of each workload that has one."""
    found = {workload: owners.of(workload) for workload in workloads}
    return {workload: folder_of(owner) for workload, owner in found.items() if owner != NOBODY}


def read_owners(path: Path) -> Owners:
    """Read a file of owners. Raises :class:`OptionError` with the place of what is no pattern and one owner."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: {error}", hint="give a text file; " + _HINT) from error
    lines: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0].count("/") > 1 or not words[0].partition("/")[0]:
            raise OptionError(f"{path}:{number}: {line.strip()[:80]!r} is not a pattern and one owner", hint=_HINT)
        lines.append((words[0], words[1]))
    _check_names(path, {owner for _, owner in lines})
    return Owners(lines=tuple(lines))


def _check_names(path: Path, owners: Iterable[str]) -> None:
    """Raise :class:`OptionError` for owners that no label can name, or that two lines spell almost alike."""
    folders: dict[str, str] = {}
    for owner in sorted(owners):
        folder = folder_of(owner)
        if folder == folder_of(NOBODY) or len(folder) > _MAX_LABEL:
            raise OptionError(
                f"{path}: owner {owner[:80]!r} cannot name a page and a label", hint="use 1 to 63 letters"
            )
        if folder in folders:
            raise OptionError(
                f"{path}: owners {folders[folder]!r} and {owner!r} would share the page {folder}", hint="rename one"
            )
        folders[folder] = owner
