"""The policies that a cluster has, read once, and their manifests as data."""

from __future__ import annotations

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
    """Policies that are applied together; ``manifests`` are their documents, and ``unread`` the texts of the files of
    which a part could not be read.
    """

    read: ReadSet
    manifests: tuple[dict[str, Any], ...]
    unread: Mapping[str, str]

    def manifest_of(self, policy: ReadPolicy) -> dict[str, Any] | None:
        """Return the document of a policy; None for one that is there twice, or has not one ``spec``."""
        wanted = (policy.kind, policy.namespace, policy.name)
        found = [one for one in self.manifests if _names(one) in (wanted, (policy.kind, None, policy.name))]
        one = found[0] if len(found) == 1 else {}
        return one if isinstance(one.get("spec"), dict) and not one.get("specs") else None

    def unread_of(self, name: str) -> str | None:
        """Return the file that names a policy and could not be read, or None."""
        return next((path for path, text in self.unread.items() if name in text), None)


def _names(manifest: dict[str, Any]) -> tuple[object, object, object]:
    """Return kind, namespace and name of a document."""
    meta = manifest.get("metadata")
    told = meta if isinstance(meta, dict) else {}
    return manifest.get("kind"), told.get("namespace"), told.get("name")


def identity_of(policy: ReadPolicy) -> Identity:
    """Return what a policy is known by."""
    kind = policy.kind.removeprefix("Staged").removeprefix("Kubernetes")
    # Calico stores its policies under names that start with their tier.
    name = policy.name.removeprefix(f"{policy.tier}.") if policy.dialect is Dialect.CALICO else policy.name
    return policy.dialect, kind, policy.namespace, name


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
    manifests: list[dict[str, Any]] = []
    for text in texts.values():
        try:
            manifests += [one for _, one in load_manifests(text) if isinstance(one, dict)]
        except UnreadableError:
            continue  # reading says so
    read = read_policies(texts)
    lost = {place.rpartition(":")[0] for place in read.lost}
    unread = {path: text.decode("utf-8", "replace") for path, text in texts.items() if path in lost}
    return Deployed(read=read, manifests=tuple(manifests), unread=unread)


def others(deployed: Deployed, policies: Iterable[ReadPolicy]) -> ReadSet:
    """Return what is there under names that none of the policies has, which would take its place."""
    taken = {identity_of(policy) for policy in policies}
    left = tuple(policy for policy in deployed.read.policies if identity_of(policy) not in taken)
    return replace(deployed.read, policies=left)


def dialects_in(folder: Path) -> tuple[Dialect, ...]:
    """Return the dialects that a folder holds policies of, all when it holds none that can be read."""
    found = {policy.dialect for one in read_deployed(folder).values() for policy in one.read.policies}
    return tuple(dialect for dialect in Dialect if dialect in found) or tuple(Dialect)
