"""Strict access to manifest fields: whatever is not understood raises, and becomes a diagnostic, never a default.

A manifest is hostile text: every value that reaches a message goes through :func:`shown`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.model.workload import Labels
from discovery.verify.conditions import Condition, Operator, Requirement, Scope
from discovery.verify.rules import (
    Action,
    AllMatch,
    ExceptMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    UnclearMatch,
)

NOT_EVALUATED = "not-evaluated"
PARTLY_EVALUATED = "partly-evaluated"
_OPERATORS = {"In": Operator.IN, "NotIn": Operator.NOT_IN, "Exists": Operator.HAS, "DoesNotExist": Operator.LACKS}
_SHOWN = 80


class NotEvaluatedError(Exception):
    """A construct that this reader does not evaluate; ``where`` is its field path."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")


@dataclass(slots=True)
class Notes:
    """The diagnostics of one document, collected while it is read. ``source`` is ``path:line``."""

    source: str
    found: list[Diagnostic] = field(default_factory=list)

    def reject(self, error: NotEvaluatedError) -> None:
        """Record a construct outside the subset."""
        hint = "decisions that depend on this manifest are unknown; docs/semantics.md lists what is evaluated"
        self.found.append(
            Diagnostic(code=NOT_EVALUATED, level=Level.ERROR, subject=self.source, message=str(error), hint=hint)
        )

    def warn(self, code: str, message: str, hint: str | None = None) -> None:
        """Record something that is evaluated but surely not meant."""
        self.found.append(Diagnostic(code=code, level=Level.WARNING, subject=self.source, message=message, hint=hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every manifest starts with; ``namespace`` is None when the manifest does not say it."""

    api_version: str
    kind: str
    name: str
    namespace: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """The rules of one direction: what could be read, whether that is all, and what they need."""

    rules: tuple[ReadRule, ...]
    complete: bool
    needs: frozenset[str]


def shown(value: object) -> str:
    """Return a short, single-line, ASCII form of a value for messages."""
    if isinstance(value, (dict, list)):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a mapping with string keys; null is the empty mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise NotEvaluatedError(where, f"expected a mapping, found {shown(value)}")
    return value


def _present(value: Any, where: str) -> dict[str, Any]:
    """Return a mapping; null is refused, because as a rule it would allow everything in one dialect and nothing in
    another.
    """
    if value is None:
        raise NotEvaluatedError(where, "expected a mapping, found None")
    return mapping(value, where)


def sequence(value: Any, where: str) -> list[Any]:
    """Return a list; null is the empty list."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotEvaluatedError(where, f"expected a list, found {shown(value)}")
    return value


def only(value: dict[str, Any], known: Collection[str], where: str) -> dict[str, Any]:
    """Return the mapping when all its keys are known."""
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise NotEvaluatedError(where, f"field {shown(unknown[0])} is not evaluated")
    return value


def string(value: Any, where: str) -> str:
    """Return a non-empty string."""
    if not isinstance(value, str) or not value:
        raise NotEvaluatedError(where, f"expected a string, found {shown(value)}")
    return value


def integer(value: Any, low: int, high: int, where: str) -> int:
    """Return an integer within bounds (a boolean is not one)."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise NotEvaluatedError(where, f"expected a number from {low} to {high}, found {shown(value)}")
    return value


def label_selector(selector: Any, where: str, scope: Scope) -> tuple[Labels, tuple[Condition, ...]]:
    """Return what a label selector requires: pairs that must be there, and further conditions; null and ``{}`` require
    nothing. ``In`` with one value is a pair.
    """
    pairs: dict[str, str] = {}
    more: list[Condition] = []
    for key, operator, values in requirements(selector, where):
        if operator is Operator.IN and len(values) == 1 and key not in pairs:
            pairs[key] = values[0]
        else:
            more.append(Requirement(scope=scope, key=key, operator=operator, values=values))
    return Labels.of(pairs), tuple(sorted(set(more), key=str))


def requirements(selector: Any, where: str) -> list[tuple[str, Operator, tuple[str, ...]]]:
    """Return the requirements of a label selector as ``(key, operator, sorted values)``; ``matchLabels`` are IN."""
    found = only(mapping(selector, where), ("matchLabels", "matchExpressions"), where)
    labels = match_labels({"matchLabels": found.get("matchLabels")}, where)
    wanted: list[tuple[str, Operator, tuple[str, ...]]] = [(key, Operator.IN, (value,)) for key, value in labels.pairs]
    for number, item in enumerate(sequence(found.get("matchExpressions"), f"{where}.matchExpressions")):
        place = f"{where}.matchExpressions[{number}]"
        wanted.append(_expression(only(mapping(item, place), ("key", "operator", "values"), place), place))
    return wanted


def _expression(item: dict[str, Any], where: str) -> tuple[str, Operator, tuple[str, ...]]:
    """Read one label expression, with as many values as its operator takes."""
    name = item.get("operator")
    if not isinstance(name, str) or name not in _OPERATORS:
        raise NotEvaluatedError(f"{where}.operator", f"{shown(name)} is not In, NotIn, Exists or DoesNotExist")
    operator = _OPERATORS[name]
    values = [
        value if isinstance(value, str) else string(value, f"{where}.values")
        for value in sequence(item.get("values"), f"{where}.values")
    ]
    if bool(values) != (operator in (Operator.IN, Operator.NOT_IN)):
        raise NotEvaluatedError(f"{where}.values", f"{name} takes {'no' if values else 'at least one'} value")
    return string(item.get("key"), f"{where}.key"), operator, tuple(sorted(set(values)))


def match_labels(selector: Any, where: str) -> Labels:
    """Return the labels of a ``{matchLabels}`` selector; null and ``{}`` require nothing."""
    found = only(mapping(selector, where), ("matchLabels", "matchExpressions"), where)
    if found.get("matchExpressions"):
        raise NotEvaluatedError(f"{where}.matchExpressions", "label expressions are not evaluated")
    pairs = mapping(found.get("matchLabels"), f"{where}.matchLabels")
    for key, value in pairs.items():
        if not isinstance(value, str):
            raise NotEvaluatedError(
                f"{where}.matchLabels", f"label {shown(key)} has the value {shown(value)}, not a string"
            )
    return Labels.of(pairs)


def read_head(document: dict[str, Any]) -> Head:
    """Return kind, name and namespace. Raises :class:`NotEvaluatedError` when an API server would refuse them."""
    document = mapping(document, "document")
    metadata = mapping(document.get("metadata"), "metadata")
    namespace = metadata.get("namespace")
    return Head(
        api_version=string(document.get("apiVersion"), "apiVersion"),
        kind=string(document.get("kind"), "kind"),
        name=string(metadata.get("name"), "metadata.name"),
        namespace=None if namespace is None else string(namespace, "metadata.namespace"),
    )


def read_manifest(
    document: dict[str, Any],
    source: str,
    is_known: Callable[[Head], bool],
    read_known: Callable[[Head, Notes], tuple[ReadPolicy, ...]],
    stand_in: Callable[[Head], tuple[ReadPolicy, ...]],
) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return the policies of one manifest of a kind and version that is known, ``stand_in`` for another, and what could
    not be evaluated. Never raises for bad content.
    """
    notes = Notes(source)
    try:
        head = read_head(document)
    except NotEvaluatedError as error:
        notes.reject(error)
        return (), tuple(notes.found)
    if is_known(head):
        policies = read_known(head, notes)
    else:
        notes.reject(NotEvaluatedError("kind", f"{shown(head.api_version)} {shown(head.kind)} is not evaluated"))
        policies = stand_in(head)
    return policies, tuple(notes.found)


def home(head: Head, notes: Notes) -> str:
    """Return the namespace of a namespaced manifest; a missing one is read as ``default``, with a warning."""
    if head.namespace is not None:
        return head.namespace
    notes.warn(
        "namespace-assumed",
        f"{head.kind} {shown(head.name)} has no namespace; read as 'default', but it lands wherever kubectl points",
        "write metadata.namespace",
    )
    return "default"


def read_rules(
    value: Any, where: str, read_one: Callable[[dict[str, Any], str], tuple[list[ReadRule], set[str]]], notes: Notes
) -> RuleList:
    """Read a list of rules; one that cannot be evaluated makes the list incomplete and is reported."""
    rules: list[ReadRule] = []
    needs: set[str] = set()
    complete = True
    try:
        items = sequence(value, where)
    except NotEvaluatedError as error:
        notes.reject(error)
        return RuleList(rules=(), complete=False, needs=frozenset())
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        try:
            found, needed = read_one(_present(item, place), place)
        except NotEvaluatedError as error:
            notes.reject(error)
            complete = False
        else:
            for what in sorted({unclear for rule in found for unclear in _unclear(rule)}):
                notes.warn(PARTLY_EVALUATED, f"{place}: {what}: not evaluated, so what depends on it is unknown")
            rules += (replace(rule, place=place) for rule in found)
            needs |= needed
    return RuleList(rules=tuple(rules), complete=complete, needs=frozenset(needs))


def _unclear(rule: ReadRule) -> set[str]:
    """Return what of a rule cannot be evaluated."""
    own = () if rule.own is None else (rule.own,)
    return {what for peer in (*rule.peers, *own) for what in _unclear_parts(peer)} | set(filter(None, (rule.unclear,)))


def _unclear_parts(peer: PeerMatch) -> set[str]:
    """Return what of a peer cannot be evaluated."""
    match peer:
        case UnclearMatch():
            return {peer.what}
        case AllMatch() | OneMatch():
            return {what for part in peer.parts for what in _unclear_parts(part)}
        case ExceptMatch():
            return _unclear_parts(peer.part)
        case _:
            return set()


def unread(
    dialect: Dialect,
    head: Head,
    namespace: str | None,
    source: str,
    *,
    staged: bool,
    actions: frozenset[Action] = frozenset(Action),
) -> tuple[ReadPolicy, ...]:
    """Return stand-ins for a manifest that may select any pod of its place and do any of the actions to it."""
    return tuple(
        ReadPolicy(
            dialect=dialect,
            kind=head.kind,
            name=head.name,
            namespace=namespace,
            subject=PodMatch(namespace=namespace),
            opt_in=False,
            direction=direction,
            isolates=True,
            staged=staged,
            rules=(),
            source=source,
            unread=actions,
            anywhere=True,
        )
        for direction in Direction
    )
