"""Requests of layer 7 as sources record them: what rules of that layer are about."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.edge import Protocol


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class HttpRequest:
    """A request of HTTP; None is what no source told. ``host`` is what the client asked for, with a port if it named
    one. ``path`` has no query: it ends with ``?`` if there was one.
    """

    method: str | None = None
    host: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DnsRequest:
    """A look-up of a name, in lower case and without the final dot."""

    name: str


Request = HttpRequest | DnsRequest

# The ends (the key of a workload, or an address), and what the connection is about.
ConnectionKey = tuple[str, str, Protocol | None, int | None]
