"""The policies that a cluster has, read once, and their manifests as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discovery.app.manifests import folder_texts, policy_sets
from discovery.model.intent import Dialect
from discovery.verify.read import ReadSet, UnreadableError, load_manifests, read_policies
from discovery.verify.rules import ReadPolicy

# What a policy is known by in a cluster: dialect, kind without its staged form, namespace and name.
Identity = tuple[Dialect, str, str | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """Policies that are applied together; ``manifests`` are their documents by ``path:line``, where one stands there
    alone.
    """

    read: ReadSet
    manifests: Mapping[str, dict[str, Any]]


def identity_of(policy: ReadPolicy) -> Identity:
    """Return what a policy is known by."""
    kind = policy.kind.removeprefix("Staged").removeprefix("Kubernetes")
    return policy.dialect, kind, policy.namespace, policy.name


def existing_texts(folder: Path) -> dict[str, bytes]:
    """Return all manifests of a folder by path in it; of one that ``suggest`` wrote those of every dialect. Raises
    :class:`discovery.model.errors.InputError` when there are none.
    """
    ours = [one for one in policy_sets([folder]) if one.dialect is not None]
    if not ours:
        return folder_texts(folder)
    return {str(Path(path).relative_to(folder)): text for one in ours for path, text in one.texts.items()}


def read_deployed(folder: Path) -> dict[Dialect, Deployed]:
    """Return what a folder holds for each dialect: the files of that dialect alone, where ``suggest`` wrote them, since
    a cluster has one; else everything.
    """
    found: dict[Dialect, Deployed] = {}
    loose: Deployed | None = None
    sets = {one.dialect: one.texts for one in policy_sets([folder])}
    for dialect in Dialect:
        if dialect in sets:
            found[dialect] = _deployed({str(Path(p).relative_to(folder)): text for p, text in sets[dialect].items()})
        elif None in sets:
            loose = loose or _deployed(folder_texts(folder))
            found[dialect] = loose
    return found


def _deployed(texts: Mapping[str, bytes]) -> Deployed:
    """Return the policies of files and their documents."""
    manifests: dict[str, dict[str, Any]] = {}
    for path, text in texts.items():
        try:
            loaded = load_manifests(text)
        except UnreadableError:
            continue  # reading says so
        shared = Counter(line for line, _ in loaded)
        manifests |= {f"{path}:{line}": one for line, one in loaded if shared[line] == 1 and isinstance(one, dict)}
    return Deployed(read=read_policies(texts), manifests=manifests)


def others(deployed: Deployed, policies: Iterable[ReadPolicy]) -> ReadSet:
    """Return what is there under names that none of the policies has, which would take its place."""
    taken = {identity_of(policy) for policy in policies}
    left = tuple(policy for policy in deployed.read.policies if identity_of(policy) not in taken)
    return replace(deployed.read, policies=left)
