"""Turns what a person names (files, folders, globs, lakes, ``-``) into inputs with a known format."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from collectors.framing import Framing, framing_of
from collectors.registry import read_head, reader_class, sniff
from collectors.sources import STDIN, TRUNCATION_ERRORS, display_name, is_compressed, open_stream, peek_stdin
from discovery.flows.lake import is_lake
from discovery.flows.storage import is_address
from discovery.model.completeness import Completeness
from discovery.model.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input that can be read. ``size`` is in bytes as stored, 0 when unknown (standard input)."""

    path: str
    label: str
    format: str
    framing: Framing
    size: int
    compressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All inputs of a run: raw ones, lakes, and an account of those that turned out to be empty."""

    raw: tuple[Input, ...]
    lakes: tuple[str, ...]
    empty: Completeness


def _expand(pattern: str) -> list[str]:
    """Return the paths that one argument names, sorted. Raises :class:`InputError` when it names none."""
    if pattern == STDIN:
        return [pattern]
    if is_address(pattern):
        if not is_lake(pattern):
            raise InputError(
                f"{pattern}: no lake is there", hint="lakes are read from object stores; logs from local files"
            )
        return [pattern]
    path = Path(pattern)
    if path.is_dir() and not is_lake(path):
        found = sorted(
            str(child) for child in path.rglob("*") if child.is_file() and not child.name.startswith((".", "_"))
        )
        if not found:
            raise InputError(f"{pattern}: the folder holds no files", hint="name a file or a folder with flow logs")
        return found
    if path.exists():
        return [pattern]
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute, which Path.glob refuses
    if not matches:
        raise InputError(
            f"{pattern}: no such file or folder", hint="check the path; quote globs so that the shell leaves them alone"
        )
    return [child for match in matches for child in (_expand(match) if Path(match).is_dir() else [match])]


def _inspect(path: str, wanted: str) -> Input | None:
    """Return one input with its format, or None when it is empty."""
    label = display_name(path)
    if path == STDIN:
        head = peek_stdin()
        found, framing = _recognise(head, wanted, label)
        return Input(path=path, label=label, format=found, framing=framing, size=0, compressed=False)
    try:
        size = Path(path).stat().st_size
        compressed = is_compressed(path)
        with open_stream(path) as stream:
            head = read_head(stream)
    except TRUNCATION_ERRORS as error:  # first: a bad gzip header is an OSError too
        raise InputError(f"{path}: the compressed file holds nothing readable", hint="copy the file again") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", hint="check the path and its permissions") from error
    if not head.strip():
        return None
    found, framing = _recognise(head, wanted, path)
    return Input(path=path, label=label, format=found, framing=framing, size=size, compressed=compressed)


def _recognise(head: bytes, wanted: str, label: str) -> tuple[str, Framing]:
    """Return the format and framing of an input: by its content, or as given."""
    if wanted == "auto":
        return sniff(head, label)
    reader_class(wanted)
    return wanted, framing_of(head)


def find_inputs(arguments: tuple[str, ...], wanted: str) -> Inputs:
    """Return the inputs that the arguments name, each once, in the order given.

    Raises :class:`InputError` for paths that do not exist and :class:`UnknownFormatError` for unknown content.
    """
    if not arguments:
        raise InputError("no input was given", hint="name flow logs, folders, a lake, or - for standard input")
    paths = list(dict.fromkeys(path for argument in arguments for path in _expand(argument)))
    lakes = tuple(path for path in paths if path != STDIN and (is_address(path) or is_lake(path)))
    raw: list[Input] = []
    empty = Completeness()
    for path in paths:
        if path in lakes:
            continue
        found = _inspect(path, wanted)
        if found is None:
            empty = empty + Completeness(truncated=(f"{display_name(path)}: the input is empty",))
        else:
            raw.append(found)
    return Inputs(raw=tuple(raw), lakes=lakes, empty=empty)
