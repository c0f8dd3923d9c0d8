"""Finds policy manifests: files, folders, and the folders that ``suggest`` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from discovery.model.errors import InputError
from discovery.model.intent import Dialect

SUFFIXES = (".yaml", ".yml", ".json")
_OURS = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """Manifests that are applied together, by path. ``dialect`` is set where ``suggest`` wrote them: its folders of
    several dialects say the same thing, and one of them is applied.
    """

    texts: dict[str, bytes]
    dialect: Dialect | None = None


def folder_texts(folder: Path) -> dict[str, bytes]:
    """Return the manifests of a folder by their path in it. Raises :class:`InputError` when there are none, or one
    cannot be read.
    """
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in SUFFIXES]
    if not names:
        raise InputError(
            f"{folder}: no manifests (*.yaml, *.yml, *.json)",
            hint="save them with: kubectl get ciliumnetworkpolicies,networkpolicies -A -o yaml",
        )
    return {str(path.relative_to(folder)): _content(path) for path in names}


def policy_sets(given: Iterable[Path]) -> tuple[PolicySet, ...]:
    """Return the sets of manifests that paths name, in order of dialects; everything that ``suggest`` did not write is
    one set. Raises :class:`InputError` for a path that cannot be read or holds no manifest.
    """
    loose: dict[str, bytes] = {}
    ours: dict[Dialect, dict[str, bytes]] = {}
    for path in given:
        written = _written(path) if path.is_dir() else []
        if written:
            for name in written:
                dialect = Dialect(name.partition("/")[0])
                ours.setdefault(dialect, {})[str(path / name)] = _content(path / name)
        elif path.is_dir():
            loose |= {str(path / name): content for name, content in folder_texts(path).items()}
        else:
            loose[str(path)] = _content(path)
    sets = [PolicySet(texts=ours[dialect], dialect=dialect) for dialect in Dialect if dialect in ours]
    return (*sets, *([PolicySet(texts=loose)] if loose else []))


def _written(folder: Path) -> list[str]:
    """Return the manifests of the dialects in a folder that ``suggest`` wrote, what was added to them since among them;
    none if it wrote none.
    """
    try:
        told = json.loads((folder / _OURS).read_bytes())
    except (OSError, ValueError):
        return []
    if not isinstance(told, dict) or told.get("tool") != "policy-discovery" or not isinstance(told.get("files"), dict):
        return []
    dialects = {name.partition("/")[0] for name in told["files"]} & set(Dialect)
    found = (path for dialect in dialects for path in (folder / dialect).rglob("*"))
    return sorted(str(path.relative_to(folder)) for path in found if path.is_file() and path.suffix.lower() in SUFFIXES)


def _content(path: Path) -> bytes:
    """Return the content of a manifest."""
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "check the path of the policies and its permissions"
        raise InputError(f"{path}: {error.strerror or error}", hint=hint) from error
