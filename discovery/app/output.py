"""Writes an output folder: everything is staged and read back first, then moved into place; only our own stale
files are retired.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from discovery.model.errors import OptionError

MANIFEST = "manifest.json"
_STAGING = ".policy-discovery-staging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What changed in the output folder; all paths are relative to it, sorted."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    retired: tuple[str, ...]


def as_json(value: Any) -> str:
    """Return JSON text with a stable layout."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def as_json_list(values: Iterable[Any]) -> str:
    """Return JSON text of a long list with the layout of :func:`as_json`; each value is let go of once it is text."""
    encoded = b"[" + b",".join(map(msgspec.json.encode, values)) + b"]"
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _digest(data: bytes) -> str:
    """Return the digest that the manifest keeps for a file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _previous(folder: Path) -> dict[str, str]:
    """Return path -> digest of what an earlier run wrote. Raises :class:`OptionError` when that cannot be read."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        files = json.loads(path.read_text("utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items() if _is_inside(str(name))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(
            f"{path} is not ours: {error}", hint="give another output folder, or remove the file"
        ) from error


def _is_inside(name: str) -> bool:
    """Say whether a relative path stays inside the output folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)


def stage(folder: Path) -> Path:
    """Return an empty staging folder inside the output folder."""
    _previous(folder)  # a manifest that is not ours is noticed before anything is written
    staging = folder / _STAGING
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir(parents=True)
    return staging


def write_staged(staging: Path, texts: Mapping[str, str]) -> None:
    """Write files below a staging folder."""
    for name, text in texts.items():
        target = staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def read_staged(staging: Path, names: list[str]) -> dict[str, str]:
    """Return what is really on disk."""
    return {name: (staging / name).read_text("utf-8") for name in names}


def publish(folder: Path, staging: Path, names: list[str], *, retire: bool = True) -> Written:
    """Move staged files into place and, unless told otherwise, retire files of an earlier run that are no longer
    written; those that are not retired stay ours.

    A file of ours that somebody edited since is kept, not retired: the manifest's digest no longer fits.
    """
    before = _previous(folder)
    for name in names:
        if name not in before and (folder / name).exists():
            _refuse_foreign(folder / name, staging, name)
    digests: dict[str, str] = {}
    written: list[str] = []
    unchanged: list[str] = []
    for name in sorted(names):
        data = (staging / name).read_bytes()
        digests[name] = _digest(data)
        target = folder / name
        if target.exists() and target.read_bytes() == data:
            unchanged.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(target)
        written.append(name)
    stale = sorted(before.keys() - digests.keys())
    retired = [name for name in stale if retire and _retire(folder / name, before[name])]
    digests |= {name: before[name] for name in stale if not retire and (folder / name).is_file()}
    (staging / MANIFEST).write_text(as_json({"tool": "policy-discovery", "files": digests}), "utf-8")
    (staging / MANIFEST).replace(folder / MANIFEST)
    shutil.rmtree(staging, ignore_errors=True)
    return Written(written=tuple(written), unchanged=tuple(unchanged), retired=tuple(retired))


def _refuse_foreign(path: Path, staging: Path, name: str) -> None:
    """Raise :class:`OptionError` for a file in the way that says something else and that no earlier run wrote."""
    if not path.is_file() or path.read_bytes() != (staging / name).read_bytes():
        shutil.rmtree(staging, ignore_errors=True)
        raise OptionError(
            f"{path} was not written by this tool, and would be replaced",
            hint="nothing was published: move it away, or give another output folder",
        )


def _retire(path: Path, digest: str) -> bool:
    """Remove a file that we wrote and nobody changed; then folders that are empty."""
    if not path.is_file() or _digest(path.read_bytes()) != digest:
        return False
    path.unlink()
    for parent in list(path.parents)[:4]:
        try:
            parent.rmdir()
        except OSError:
            break
    return True
