"""Requests of layer 7 as sources record them: what rules of that layer are about."""

from __future__ import annotations

from dataclasses import dataclass

from discovery.model.edge import Edge, Endpoint, Protocol


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class HttpRequest:
    """A request of HTTP; None is what no source told. ``path`` has no query: it ends with ``?`` if there was one."""

    method: str | None = None
    host: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DnsRequest:
    """A look-up of a name, in lower case and without the final dot."""

    name: str


Request = HttpRequest | DnsRequest

# The ends of an edge (the key of a workload, or the kind of another end), and what it is about.
ConnectionKey = tuple[str, str, Protocol | None, int | None]


def connection_key(edge: Edge) -> ConnectionKey:
    """Return what the requests of an edge are found by."""
    return _end(edge.client), _end(edge.server), edge.protocol, edge.port


def _end(endpoint: Endpoint) -> str:
    """Return what tells an end from others."""
    return endpoint.kind.value if endpoint.workload is None else endpoint.workload.key
