"""Rules of layer 7 in Cilium's policies.

Semantics: the Cilium policy reference. ``path``, ``method`` and ``host`` are expressions; headers are never recorded.
"""

from __future__ import annotations

from typing import Any

from discovery.verify.fields import NotEvaluatedError, mapping, only, sequence, string
from discovery.verify.layer7 import DnsMatch, HttpMatch, compiled


def read_http(value: Any, where: str) -> HttpMatch:
    """Read one rule of HTTP."""
    item = only(mapping(value, where), ("method", "path", "host", "headers", "headerMatches"), where)
    headers = [*sequence(item.get("headers"), f"{where}.headers")]
    # What does not match is logged or changed, and passes, where a header says what to do about it.
    for number, one in enumerate(sequence(item.get("headerMatches"), f"{where}.headerMatches")):
        if not mapping(one, f"{where}.headerMatches[{number}]").get("mismatch"):
            headers.append(one)
    return HttpMatch(
        method=_expression(item.get("method"), f"{where}.method"),
        path=_expression(item.get("path"), f"{where}.path"),
        host=_expression(item.get("host"), f"{where}.host"),
        headers=bool(headers),
    )


def _expression(value: Any, where: str) -> str | None:
    """Read a regular expression; an empty one is none."""
    if value in (None, ""):
        return None
    text = string(value, where)
    try:
        compiled(text)
    except ValueError as error:
        raise NotEvaluatedError(where, str(error)) from error
    return text


def read_dns(value: Any, where: str) -> DnsMatch:
    """Read one rule of DNS: a name or a pattern of names."""
    item = only(mapping(value, where), ("matchName", "matchPattern"), where)
    given = [item[key] for key in ("matchName", "matchPattern") if item.get(key)]
    if len(given) != 1:
        raise NotEvaluatedError(where, "one of matchName and matchPattern must be there")
    text = string(given[0], where).lower().removesuffix(".")
    if item.get("matchName") and "*" in text:
        raise NotEvaluatedError(f"{where}.matchName", "a name has no *")
    return DnsMatch(pattern=text)
