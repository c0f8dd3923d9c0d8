"""Drops secrets before anything is stored: userinfo, queries, fragments, high-entropy parts of paths and names."""

from __future__ import annotations

import math
import re
from collections import Counter
from urllib.parse import urlsplit

REDACTED = "{secret}"
MAX_TEXT = 512
# Source: the IANA registry of HTTP methods.
_METHODS = frozenset(
    (
        "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LABEL",
        "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS",
        "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "REBIND", "REPORT", "SEARCH", "TRACE",
        "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
    )
)  # fmt: skip
_MIN_SECRET = 16
_MIN_ENTROPY = 3.2  # bits per character: words and ids with few symbols stay, tokens and keys go
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z]{1,24}(?:[-_.][A-Za-z]{1,24})*(?:[-_.]?v?\d{1,4})?")


# Formats of keys that their issuers publish so that scanners find them (GitHub, GitLab, Stripe, Slack, AWS, Google).
_KEY = re.compile(
    r"(?:gh[opsur]|github_pat|[prs]k_(?:live|test))_\w+|(?:glpat|xox[abeprs])-\S+|(?:AKIA|ASIA|AIza)\w{12,}"
)
_END = re.compile(r"[?#]|%3f|%23", re.IGNORECASE)
_USERINFO = re.compile(r"[^/@]*:[^/@]*@")


_LONG_RUN = re.compile(r"[A-Za-z]{16,}")
_HUMP = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}(?![a-z])")
_CONSONANTS = re.compile(r"[^aeiouy]{5}")


def _is_wordlike(run: str) -> bool:
    """Say whether a long run of letters reads as words: vowels as in English, no five consonants on end, and upper case
    only where a word begins (camelCase).
    """
    vowels = sum(letter in "aeiouy" for letter in run.lower()) / len(run)
    return 0.25 <= vowels <= 0.65 and not _CONSONANTS.search(run.lower()) and not _HUMP.sub("", run)


def _entropy(text: str) -> float:
    """Return the Shannon entropy in bits per character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def is_secret_like(segment: str) -> bool:
    """Say whether a path segment looks like a token: a known format of keys, or long, not words, not a UUID, and of
    high entropy.
    """
    if _KEY.fullmatch(segment):
        return True
    if len(segment) < _MIN_SECRET or _UUID.fullmatch(segment):
        return False
    if _PLAIN.fullmatch(segment) and all(map(_is_wordlike, _LONG_RUN.findall(segment))):
        return False
    return _entropy(segment) >= _MIN_ENTROPY


def redact_path(path: str) -> str:
    """Return the path without query, fragment (encoded ones as well), parameters of segments (RFC 3986, section 3.3),
    userinfo of a URL without its scheme, and token-like segments; at most 512 characters. A ``?`` at the end and a
    ``;`` say that something after them was dropped.
    """
    whole = _USERINFO.sub("", path)
    bare, *rest = _END.split(whole, maxsplit=1)
    kept = [_kept(segment) for segment in bare.split("/")]
    return ("/".join(kept) + ("?" if rest else ""))[:MAX_TEXT]


def _kept(segment: str) -> str:
    """Return what is kept of a segment."""
    bare, semicolon, _ = segment.partition(";")
    return (REDACTED if is_secret_like(bare) else bare) + semicolon


def redact_name(name: str) -> str:
    """Return a DNS name or a topic without token-like parts between its dots, at most 512 characters."""
    return ".".join(REDACTED if is_secret_like(part) else part for part in name.split("."))[:MAX_TEXT]


def known_method(text: str | None) -> str | None:
    """Return an HTTP method, or None for text that is no registered one: anything may be sent in its place."""
    return text if text in _METHODS else None


def redact_url(url: str) -> tuple[str | None, str]:
    """Return ``(host or None, redacted path)`` of a URL or a bare path; userinfo and query are dropped."""
    if "://" not in url:
        return None, redact_path(url)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # e.g. a broken IPv6 literal: keep nothing rather than something unredacted
        return None, REDACTED
    dropped = "?" if parts.query or parts.fragment else ""
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:  # no number of a port
        return None, REDACTED
    named = redact_name(host) if host else ""
    return (f"[{named}]{port}" if ":" in named else f"{named}{port}") or None, redact_path(
        (parts.path or "/") + dropped
    )
