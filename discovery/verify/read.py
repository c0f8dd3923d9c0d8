"""Read manifests from text: strict YAML, then the reader of each dialect.

YAML is read with the safe loader's grammar and less: no aliases (so no bombs), no explicit tags, no merge keys, no
duplicate or non-string keys, bounded depth and size. Every problem is a located diagnostic, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from discovery.model.diagnostics import Diagnostic, Level
from discovery.verify import calico, cilium, cluster_policies, kubernetes
from discovery.verify.context import Context
from discovery.verify.fields import NOT_EVALUATED, shown
from discovery.verify.references import read_references
from discovery.verify.rules import ReadPolicy, Tier

MAX_CHARACTERS = 16 * 1024 * 1024
MAX_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG = "tag:yaml.org,2002:str"
# What anchors, aliases and tags start with, and the line break that _INDENT does not know.
_UNUSUAL = re.compile(r"[&*!\r]")
_INDENT = re.compile(r"^[ \t?:-]*", re.MULTILINE)

Reader = Callable[[dict[str, Any], str, Context], tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]]
_READERS: dict[str, Reader] = {
    # Policies of the API refer to no other manifest.
    "networking.k8s.io": lambda document, source, _: kubernetes.read(document, source),
    cluster_policies.GROUP: lambda document, source, _: cluster_policies.read(document, source),
    "cilium.io": cilium.read,
    "projectcalico.org": calico.read,
    "crd.projectcalico.org": calico.read,
}
# Groups whose kinds also decide traffic, and that no reader here knows.
_FOREIGN = ("security.istio.io", "policy.linkerd.io", "crd.antrea.io", "k8s.ovn.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSet:
    """What a set of files says, in path and document order, and what could not be read (sorted). ``lost`` are the
    places (``path:line``) of manifests that no policy stands for: nobody knows what those do.
    """

    policies: tuple[ReadPolicy, ...]
    diagnostics: tuple[Diagnostic, ...]
    tiers: tuple[Tier, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether everything was evaluated."""
        return all(diagnostic.level is not Level.ERROR for diagnostic in self.diagnostics)


class UnreadableError(Exception):
    """Text that is not YAML as it is accepted here; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_policies(texts: Mapping[str, str | bytes]) -> ReadSet:
    """Read every document of every file (path to content). Never raises for bad content.

    A file that is not readable YAML gives one ``unreadable-yaml`` error at its line and no policies; a document
    that is not a policy gives an ``not-a-policy`` note.
    """
    documents: list[tuple[str, Any]] = []
    diagnostics: list[Diagnostic] = []
    lost: list[str] = []
    for path in sorted(texts):
        try:
            documents += [(f"{path}:{line}", item) for line, item in load_manifests(texts[path])]
        except UnreadableError as error:
            diagnostics.append(_error("unreadable-yaml", f"{path}:{error.line}", str(error)))
            lost.append(f"{path}:{error.line}")
    context, noted = read_references(documents)
    diagnostics += noted
    policies: list[ReadPolicy] = []
    # Folders may be those of several clusters.
    first: dict[tuple[str, ...], str] = {}
    for source, item in documents:
        found, noted = read_document(item, source, context)
        policies += found
        diagnostics += noted
        if not found and any(one.level is Level.ERROR for one in noted):
            lost.append(source)
        folder = source.rpartition("/")[0]
        for key in {(folder, one.dialect.value, one.kind, one.namespace or "", one.name) for one in found}:
            if key in first:
                message = f"{found[0]} is there already ({shown(first[key])}): a cluster keeps one of the two"
                diagnostics.append(_error("named-twice", source, message, Level.WARNING))
                lost.append(source)
            first.setdefault(key, source)
    return ReadSet(
        policies=tuple(policies),
        diagnostics=tuple(sorted(set(diagnostics), key=_order)),
        tiers=context.tiers,
        lost=tuple(lost),
    )


def _order(diagnostic: Diagnostic) -> tuple[str, str, str]:
    """Return the sort key of a diagnostic."""
    return diagnostic.subject, diagnostic.code, diagnostic.message


def _error(code: str, source: str, message: str, level: Level = Level.ERROR) -> Diagnostic:
    """Return a located diagnostic."""
    return Diagnostic(code=code, level=level, subject=source, message=message)


def expand(document: Any) -> list[Any]:
    """Return the manifests in a document: the items of a ``List`` (as ``kubectl get -o yaml`` writes it), also of lists
    in lists and of typed lists (``CiliumNetworkPolicyList``), whose items may leave out what the list says for them.
    """
    if not isinstance(document, dict) or not isinstance(document.get("items"), list):
        return [document]
    kind = document.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List"):
        return [document]
    known = {} if kind == "List" else {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
    items = [{**known, **item} if isinstance(item, dict) else item for item in document["items"]]
    return [manifest for item in items for manifest in expand(item)]


def read_document(
    document: Any, source: str, context: Context
) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Hand one document to the reader of its API group. Never raises for bad content."""
    if not isinstance(document, dict):
        return (), (_error("not-a-manifest", source, f"expected a manifest, found {shown(document)}"),)
    version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return (), (_error("not-a-manifest", source, "apiVersion or kind is missing or not a string"),)
    group = version.rpartition("/")[0]
    if kind == kubernetes.STAGED_KIND:
        return kubernetes.read(document, source)
    if group == "networking.k8s.io" and kind != "NetworkPolicy":
        return (), (_error("not-a-policy", source, f"{shown(kind)} is not a policy", Level.INFO),)
    if group in _READERS:
        return _READERS[group](document, source, context)
    if group in _FOREIGN or kind.endswith("NetworkPolicy"):
        return (), (_error(NOT_EVALUATED, source, f"{shown(version)} {shown(kind)} is not evaluated"),)
    return (), (_error("not-a-policy", source, f"{shown(kind)} is not a policy", Level.INFO),)


def load_documents(content: str | bytes) -> list[tuple[int, Any]]:
    """Return (line, value) of each non-empty document. Raises :class:`UnreadableError`."""
    return [(line, value) for line, value, _ in _loaded(content)]


def load_manifests(content: str | bytes) -> list[tuple[int, Any]]:
    """Return (line, manifest) of each manifest in the non-empty documents, those in lists one by one (:func:`expand`).

    Raises :class:`UnreadableError`.
    """
    found: list[tuple[int, Any]] = []
    for line, value, node in _loaded(content):
        items = expand(value)
        lines = [line] if items == [value] else _item_lines(node)
        # A list in a list has a place for all that is in it.
        found += zip(lines if len(lines) == len(items) else [line] * len(items), items, strict=True)
    return found


def _item_lines(node: yaml.Node) -> list[int]:
    """Return the line of each item of a list, which is a mapping with items."""
    items = next(value for key, value in node.value if key.value == "items")
    return [_line(item) for item in items.value]


def _loaded(content: str | bytes) -> list[tuple[int, Any, yaml.Node]]:
    """Return (line, value, node) of each non-empty document. Raises :class:`UnreadableError`."""
    text = _decode(content)
    try:
        if not _is_harmless(text):
            _scan(text)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
        values = [(_line(node), _construct(node), node) for node in nodes]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(
            mark.line + 1 if mark else 1, f"YAML cannot be read: {shown(error.problem or '')}"
        ) from error
    except yaml.YAMLError as error:
        raise UnreadableError(_reader_line(text, error), f"YAML cannot be read: {shown(str(error))}") from error
    return [one for one in values if one[1] is not None]


def _reader_line(text: str, error: yaml.YAMLError) -> int:
    """Return the line of a character that YAML does not allow."""
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


def _decode(content: str | bytes) -> str:
    """Return the text; lone surrogates and bytes that are not UTF-8 are refused."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        text.encode("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        raise UnreadableError(before.count(b"\n") + 1, f"not UTF-8: {error.reason}") from error
    except UnicodeEncodeError as error:
        raise UnreadableError(str(error.object)[: error.start].count("\n") + 1, "not UTF-8: lone surrogate") from error
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError(1, f"longer than {MAX_CHARACTERS} characters")
    return text


def _is_harmless(text: str) -> bool:
    """Say whether a look at the characters shows that :func:`_scan`, which parses the text once more, finds nothing.

    A block collection starts further right than the one around it, but for a sequence, which may start right below
    its key; every flow collection has a bracket. So indents and brackets bound the depth.
    """
    if not text.isascii() or _UNUSUAL.search(text):
        return False
    indent = max(map(len, _INDENT.findall(text)))
    return 2 * (indent + 1) + text.count("[") + text.count("{") <= MAX_DEPTH


def _scan(text: str) -> None:
    """Refuse, event by event and before anything is built, what makes YAML dangerous."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise UnreadableError(line, "anchors and aliases are not accepted")
        if getattr(event, "tag", None) is not None:
            raise UnreadableError(line, "explicit tags are not accepted")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UnreadableError(line, f"nested deeper than {MAX_DEPTH}")


def _line(item: yaml.Node | yaml.Event) -> int:
    """Return the line that a node or event starts at, counted from 1."""
    return item.start_mark.line + 1 if item.start_mark is not None else 1


def _construct(node: yaml.Node) -> Any:
    """Return the plain value of a node; the depth is known to be bounded."""
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node))
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item) for item in node.value]
    try:
        return node.value if node.tag == _STRING_TAG else SafeConstructor().construct_object(node)
    except (ValueError, OverflowError) as error:  # a date like 2026-13-45, a number of 5,000 digits
        raise UnreadableError(_line(node), f"value {shown(node.value)} cannot be read") from error


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[str, Any]]:
    """Yield the pairs of a mapping; keys are strings (so no merge keys) and occur once."""
    seen: set[str] = set()
    for key, value in node.value:
        line = _line(key)
        if not isinstance(key, yaml.ScalarNode) or key.tag != _STRING_TAG:
            raise UnreadableError(line, "a key is not a string")
        if key.value in seen:
            raise UnreadableError(line, f"key {shown(key.value)} is there twice")
        seen.add(key.value)
        yield key.value, _construct(value)
