"""What rules of layer 7 let through: HTTP by regular expressions, DNS by patterns of names.

Semantics: the Cilium policy reference. Expressions match the whole text, in the syntax of RE2, which is what the proxy
uses. What is recorded may lack what an expression is about (a query, a token in a path, a header): then a rule may
match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.requests import DnsRequest, HttpRequest, Request
from discovery.verify.truth import Truth, any_of, every, known

# What stands for a token in a path or name that was recorded, what parameters of a segment leave, and what Hubble puts
# where it redacts.
_HIDDEN = ("{secret}", ";", "HUBBLE_REDACTED")
# As long as a recorded text may be: it may have been cut.
_LONGEST = 512
_DEEP_PATTERNS = (1, 19)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMatch:
    """Requests whose method, path and host match expressions (None: any); ``headers`` says that headers must be there
    as well, which are never recorded.
    """

    method: str | None = None
    path: str | None = None
    host: str | None = None
    headers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsMatch:
    """Look-ups of names that match a pattern (lower case; see :func:`name_pattern`)."""

    pattern: str


RequestMatch = HttpMatch | DnsMatch


def deep_patterns(platform: Platform) -> bool:
    """Say whether several stars at the start of a name pattern mean several labels."""
    return platform.dialect is not Dialect.CILIUM or platform.version >= _DEEP_PATTERNS


def lets_through(matches: tuple[RequestMatch, ...], request: Request | None, *, deep: bool = True) -> Truth:
    """Say whether rules of layer 7 let a request through; without any rule all of them, and nobody knows of a request
    that was not recorded. ``deep`` is as for :func:`name_pattern`.
    """
    if not matches:
        return Truth.YES
    if request is None:
        return Truth.MAYBE
    return any_of(_matches(match, request, deep=deep) for match in matches)


def _matches(match: RequestMatch, request: Request, *, deep: bool) -> Truth:
    """Say whether one rule is about a request."""
    if isinstance(match, DnsMatch):
        if not isinstance(request, DnsRequest):
            return Truth.NO
        return names_one((match.pattern,), request.name, deep=deep)
    if not isinstance(request, HttpRequest):
        return Truth.NO
    return every(
        (
            _text(match.method, request.method),
            _path(match.path, request.path),
            _host(match.host, request.host),
            Truth.MAYBE if match.headers else Truth.YES,
        )
    )


def _is_hidden(text: str) -> bool:
    """Say whether a recorded text is not all that was sent."""
    return len(text) >= _LONGEST or any(word in text for word in _HIDDEN)


def _text(expression: str | None, text: str | None) -> Truth:
    """Say whether an expression matches a text."""
    if expression is None:
        return Truth.YES
    return Truth.MAYBE if text is None else known(compiled(expression).fullmatch(text) is not None)


def _path(expression: str | None, path: str | None) -> Truth:
    """Say whether an expression matches a path with its query, which is not recorded."""
    if expression is None or path is None or not (path.endswith("?") or _is_hidden(path)):
        return _text(expression, path)
    if not path.endswith("?") or _is_hidden(path):
        return Truth.MAYBE
    # Whatever the query is, an expression that ends with ".*" goes on matching.
    return Truth.YES if _ends_open(expression) and _text(expression, path) is Truth.YES else Truth.MAYBE


def _ends_open(expression: str) -> bool:
    """Say whether an expression ends with ``.*`` whatever comes before: no alternative is outside of parentheses."""
    # What asserts a place (``$``, a backslash and a letter), quotes or builds classes is not looked into.
    if not expression.endswith(".*") or re.search(r"\[|\(\?|[$^]|\\[A-Za-z]|\\\.\*$", expression):
        return False
    depth, before = 0, ""
    for character in expression:
        if before == "\\":
            before = ""
            continue
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return False
        before = character
    return depth == 0


def _host(expression: str | None, host: str | None) -> Truth:
    """Say whether an expression matches the host that a client asked for."""
    return Truth.MAYBE if expression is not None and host is not None and _is_hidden(host) else _text(expression, host)


def names_one(patterns: Iterable[str], name: str, *, deep: bool) -> Truth:
    """Say whether one of the patterns means a recorded name, of which tokens may be hidden."""
    if _is_hidden(name):
        return Truth.MAYBE
    return known(any(name_pattern(pattern, deep=deep).fullmatch(name) is not None for pattern in patterns))


@lru_cache(maxsize=4096)
def name_pattern(pattern: str, *, deep: bool = True) -> re.Pattern[str]:
    """Return the expression of a name pattern: ``*`` alone is every name, ``*`` stays inside a label, and several at
    the start before a dot are one label or more if patterns are ``deep`` (Cilium 1.19); before they were like one.
    """
    if not pattern.strip("*"):
        return re.compile(".*", re.DOTALL)
    rest = pattern.lstrip("*")
    several = deep and pattern.startswith("**") and rest.startswith(".")
    text = "[-a-z0-9_]*".join(map(re.escape, re.split(r"\*+", rest[1:] if several else pattern)))
    return re.compile((r"(?:[-a-z0-9_]+\.)+" if several else "") + text)


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Any:
    """Return an expression as RE2 reads it: in time that is linear in the text, whatever it is. Raises ``ValueError``
    for one that RE2 refuses.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"not a regular expression of RE2: {why}") from error


def describe(matches: Iterable[RequestMatch]) -> str:
    """Return rules of layer 7 for people: ``HTTP GET /public/.*``."""
    return " or ".join(_described(match) for match in matches)


def _described(match: RequestMatch) -> str:
    """Return one rule for people, hostile text escaped."""
    if isinstance(match, DnsMatch):
        return f"DNS {ascii(match.pattern)[1:-1]}"
    parts = [match.method, match.path, match.host and f"of {match.host}", "with headers" if match.headers else None]
    return ascii(" ".join(["HTTP", *filter(None, parts)]))[1:-1]


def describe_request(request: Request) -> str:
    """Return a request for people, hostile text escaped."""
    if isinstance(request, DnsRequest):
        return f"the look-up of {ascii(request.name)[1:-1]}"
    words = " ".join(filter(None, (request.method, request.path, request.host and f"of {request.host}")))
    return f"the request {ascii(words)[1:-1]}"
