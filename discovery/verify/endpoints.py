"""The ends that endpoints of edges stand for: each version of a workload, each address outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from discovery.model.edge import Endpoint
from discovery.model.workload import EndpointKind, Entity, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.recorded import Recorded


class Ends:
    """The ends that endpoints of edges stand for."""

    def __init__(self, versions: Iterable[WorkloadVersion], recorded: Recorded | None = None) -> None:
        """Know the versions of all workloads, each set of attributes once, and what was recorded beside edges."""
        self._recorded = recorded or Recorded()
        self._by_ref: dict[WorkloadRef, list[WorkloadVersion]] = {}
        self._known: dict[Endpoint, tuple[End, ...]] = {}
        seen: set[tuple[WorkloadRef, Labels, str | None, Labels]] = set()
        for version in versions:
            attributes = (version.ref, version.labels, version.service_account, version.namespace_labels)
            if attributes not in seen:
                seen.add(attributes)
                self._by_ref.setdefault(version.ref, []).append(version)

    def of(self, endpoint: Endpoint) -> tuple[End, ...]:
        """Return what an endpoint may be; nothing for a workload of which no version is known."""
        if endpoint not in self._known:
            self._known[endpoint] = tuple(self._ends(endpoint))
        return self._known[endpoint]

    def _ends(self, endpoint: Endpoint) -> Iterator[End]:
        """Yield what an endpoint may be."""
        if endpoint.workload is not None:
            for version in self._by_ref.get(endpoint.workload, ()):
                yield PodEnd(version=version, ports=self._recorded.ports.get(version.ref))
            return
        entity = endpoint.kind.entity
        if entity is not None:
            for address in endpoint.addresses or (None,):
                yield EntityEnd(entity=entity, address=address)
            return
        resolved = endpoint.kind is not EndpointKind.UNRESOLVED
        stranger = not resolved and not self._recorded.all_pods
        for address in endpoint.addresses:
            yield AddressEnd(address=address, resolved=resolved, stranger=stranger, names=endpoint.names)
        if not endpoint.addresses:
            yield (
                EntityEnd(entity=Entity.WORLD)
                if resolved
                else AddressEnd(address="0.0.0.0/0", resolved=False, stranger=stranger)
            )
