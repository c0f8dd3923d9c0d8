"""What was recorded beside the edges, and helps to decide about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from discovery.model.edge import Protocol
from discovery.model.inventory import NamedPort
from discovery.model.requests import ConnectionKey, Request
from discovery.model.workload import WorkloadRef
from discovery.verify.ends import AddressEnd, End, PodEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """``ports`` are those that containers name. ``requests`` are those of layer 7 that were let through, by connection;
    None among them stands for further ones that are not listed. ``names`` are the DNS names that a client asked for
    and got an address as answer, by the client and the address. ``all_pods`` says that every pod is known, so that an
    address of nobody knows whom is none.
    """

    ports: Mapping[WorkloadRef, tuple[NamedPort, ...]] = field(default_factory=dict)
    requests: Mapping[ConnectionKey, tuple[Request | None, ...]] = field(default_factory=dict)
    names: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    all_pods: bool = True

    def asked(
        self, client: End, server: End, protocol: Protocol, port: int | None
    ) -> tuple[Request | None, ...] | None:
        """Return the requests on a connection, None when none was recorded."""
        return self.requests.get((_key(client), _key(server), protocol, port))

    def named(self, client: End, server: End) -> End:
        """Return a server with the names that the client's look-ups gave it."""
        if not isinstance(server, AddressEnd):
            return server
        names = self.names.get((_key(client), server.address), ())
        return replace(server, names=tuple(dict.fromkeys((*server.names, *names)))) if names else server


def _key(end: End) -> str:
    """Return what an end is known by in what was recorded: the key of its workload, or its address."""
    if isinstance(end, PodEnd):
        return end.version.ref.key
    return end.address or ""
