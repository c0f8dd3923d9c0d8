"""Calico's selector language: parsed into label pairs and conditions.

Grammar and precedence from the Calico selector reference: comparisons bind first, then parentheses, ``!``, ``&&``,
``||``; keys are written bare, values quoted with ' or " and without escape characters; ``!=`` and ``not in`` also hold
when the label is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from discovery.model.workload import Labels
from discovery.verify.conditions import Both, Condition, Either, Neither, Operator, Requirement, Scope
from discovery.verify.fields import NotEvaluatedError, shown

MAX_DEPTH = 32
EVERYTHING = Both(parts=())
NOTHING = Either(parts=())

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<call>all|global)\(\s*\)
    | has\(\s*(?P<has>[a-zA-Z0-9_./-]+)\s*\)
    | (?P<symbol>&&|\|\||==|!=|[!(){},])
    | (?P<quoted>'[^']*'|"[^"]*")
    | (?P<word>[a-zA-Z0-9_./-]+)
    )\s*""",
    re.VERBOSE,
)
_PHRASES = {
    ("contains",): Operator.CONTAINS,
    ("starts", "with"): Operator.STARTS,
    ("ends", "with"): Operator.ENDS,
    ("in",): Operator.IN,
    ("not", "in"): Operator.NOT_IN,
}
# Turns a key, an operator and values into a condition; raises ``ValueError`` for a key that is not evaluated.
MakeCondition = Callable[[str, Operator, tuple[str, ...]], Condition]
_Token = tuple[str, str]


def pod_label(key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
    """Return a requirement of a pod's own label."""
    return Requirement(scope=Scope.POD, key=key, operator=operator, values=values)


def parse_selector(text: object, where: str, make: MakeCondition = pod_label) -> Condition:
    """Return the condition that a selector is; ``all()`` and the empty selector are :data:`EVERYTHING`.

    Raises :class:`NotEvaluatedError` for broken text, and for ``global()``, which is no condition on labels.
    """
    if not isinstance(text, str):
        raise NotEvaluatedError(where, f"expected a selector, found {shown(text)}")
    if not text.strip():
        return EVERYTHING
    return _Parser(text, where, make).parse()


def split_pairs(condition: Condition, scope: Scope) -> tuple[Labels, tuple[Condition, ...]]:
    """Return the label pairs of a scope that a condition requires, and whatever else it requires."""
    pairs: dict[str, str] = {}
    more: list[Condition] = []
    for part in condition.parts if isinstance(condition, Both) else (condition,):
        one = part if isinstance(part, Requirement) and part.scope is scope else None
        if one is not None and one.operator is Operator.IN and len(one.values) == 1 and one.key not in pairs:
            pairs[one.key] = one.values[0]
        else:
            more.append(part)
    return Labels.of(pairs), tuple(sorted(set(more), key=str))


class _Parser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str, where: str, make: MakeCondition) -> None:
        self._text = text
        self._where = where
        self._make = make
        self._tokens = self._split(text)
        self._next = 0

    def parse(self) -> Condition:
        """Return the condition of the whole text."""
        found = self._either(0)
        if self._next < len(self._tokens):
            raise self._broken()
        return found

    def _split(self, text: str) -> list[_Token]:
        """Return the tokens as (kind, text)."""
        tokens: list[_Token] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise self._broken()
            tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def _broken(self) -> NotEvaluatedError:
        """Return the error for text that is no selector."""
        return NotEvaluatedError(self._where, f"selector {shown(self._text)} cannot be read")

    def _peek(self) -> _Token:
        """Return the next token; an empty one at the end."""
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, kind: str, text: str | None = None) -> str:
        """Return the text of the next token, which must be of a kind (and this text)."""
        found, value = self._peek()
        if found != kind or text not in (None, value):
            raise self._broken()
        self._next += 1
        return value

    def _skip(self, symbol: str) -> bool:
        """Take a symbol if it comes next."""
        if self._peek() != ("symbol", symbol):
            return False
        self._next += 1
        return True

    def _either(self, depth: int) -> Condition:
        """Parse parts with ``||`` between them."""
        parts = [self._both(depth)]
        while self._skip("||"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Either(parts=tuple(parts))

    def _both(self, depth: int) -> Condition:
        """Parse parts with ``&&`` between them; nested ones are one list."""
        parts = [self._one(depth)]
        while self._skip("&&"):
            parts.append(self._one(depth))
        flat = [inner for part in parts for inner in (part.parts if isinstance(part, Both) else (part,))]
        return flat[0] if len(flat) == 1 else Both(parts=tuple(flat))

    def _one(self, depth: int) -> Condition:
        """Parse one comparison, call, negation or parenthesis."""
        if depth > MAX_DEPTH:
            raise NotEvaluatedError(self._where, f"the selector is nested deeper than {MAX_DEPTH}")
        if self._skip("!"):
            return Neither(part=self._one(depth + 1))
        if self._skip("("):
            inner = self._either(depth + 1)
            self._take("symbol", ")")
            return inner
        kind, text = self._peek()
        if kind == "call":
            self._next += 1
            if text == "global":
                raise NotEvaluatedError(self._where, "global() is evaluated alone, and of namespaces")
            return EVERYTHING
        if kind == "has":
            self._next += 1
            return self._made(text, Operator.HAS, ())
        return self._comparison(self._take("word"))

    def _comparison(self, key: str) -> Condition:
        """Parse what comes after a key."""
        for symbol, operator in (("==", Operator.IN), ("!=", Operator.NOT_IN)):
            if self._skip(symbol):
                return self._made(key, operator, (self._value(),))
        words = [self._take("word")]
        if words[0] in ("starts", "ends", "not"):
            words.append(self._take("word"))
        found = _PHRASES.get(tuple(words))
        if found is None:
            raise self._broken()
        if found not in (Operator.IN, Operator.NOT_IN):
            return self._made(key, found, (self._value(),))
        self._take("symbol", "{")
        values = set()
        while not self._skip("}"):
            values.add(self._value())
            if self._peek() != ("symbol", "}"):
                self._take("symbol", ",")
        return self._made(key, found, tuple(sorted(values)))

    def _made(self, key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
        """Return the condition of one comparison."""
        try:
            return self._make(key, operator, values)
        except ValueError as error:
            raise NotEvaluatedError(self._where, str(error)) from error

    def _value(self) -> str:
        """Take a quoted value."""
        return self._take("quoted")[1:-1]
