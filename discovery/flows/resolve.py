"""Resolves addresses by an inventory: what a snapshot proves of an address, and from when on.

An address is proven from the creation of the object that has it to its end. Where two objects claim an address at
one time nothing is proven. A Service's address stands for its backends, each with its own port. What a source resolved
itself is never overruled: only ends that it left unresolved, or took for external, are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import duckdb
import pyarrow as pa

from discovery.flows.addresses import bounding_prefix
from discovery.flows.identity import EndpointInfo, workload_endpoint
from discovery.flows.schema import FLOWS
from discovery.model.inventory import API_SERVER_SERVICE, Inventory, Pod, Service, ServicePort, Template
from discovery.model.workload import EndpointKind, Labels

_FOREVER = 1 << 62

_CLAIMS = pa.schema(
    [
        ("address", pa.string()), ("valid_from", pa.int64()), ("valid_to", pa.int64()), ("kind", pa.string()),
        ("identity", pa.int64()), ("pod", pa.string()), ("node", pa.string()),
    ]
)  # fmt: skip
_BACKENDS = pa.schema(
    [
        ("address", pa.string()), ("protocol", pa.string()), ("port", pa.int32()), ("valid_from", pa.int64()),
        ("kind", pa.string()), ("identity", pa.int64()), ("target_address", pa.string()), ("target_port", pa.int32()),
        ("prefix", pa.string()), ("namespace", pa.string()), ("name", pa.string()),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claim:
    """An address is this endpoint in [valid_from, valid_to), in microseconds since 1970. ``node`` is the name of the
    node that it is.
    """

    address: str
    valid_from: int
    valid_to: int
    kind: str
    identity: int | None = None
    pod: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Backend:
    """What stands behind a Service's address and port from ``valid_from`` on."""

    address: str
    protocol: str
    port: int
    valid_from: int
    kind: str
    identity: int | None
    target_address: str | None
    target_port: int
    prefix: str | None
    namespace: str
    name: str


def endpoint_of(one: Pod | Template, inventory: Inventory) -> EndpointInfo:
    """Return the endpoint that a pod, or a pod of a controller, is."""
    kind, name = _owner(one)
    labels = inventory.namespaces.get(one.namespace)
    return workload_endpoint(
        cluster=inventory.cluster,
        namespace=one.namespace,
        pod=one.name if isinstance(one, Pod) else None,
        labels=one.labels.as_dict(),
        service_account=one.service_account,
        namespace_labels=labels.as_dict() if labels is not None else None,
        workloads=[(name, kind)],
    )


_Place = tuple[EndpointKind, int, int, int | None, str | None]
"""A backend: kind, port, since when, identity and address."""


class SelectedPods:
    """Finds what a Service selects without a look at every pod: by the label pair that the fewest carry."""

    def __init__(self, members: Iterable[Pod | Template]) -> None:
        """Index pods, or pods and controllers, by namespace and label pair."""
        self._all: dict[str, list[Pod | Template]] = {}
        self._by_pair: dict[tuple[str, tuple[str, str]], list[Pod | Template]] = {}
        for member in members:
            self._all.setdefault(member.namespace, []).append(member)
            for pair in member.labels.pairs:
                self._by_pair.setdefault((member.namespace, pair), []).append(member)

    def of(self, service: Service) -> list[Pod | Template]:
        """Return what a Service selects; nothing when it has no selector."""
        return [] if service.selector is None else self.matching(service.namespace, service.selector)

    def matching(self, namespace: str, labels: Labels) -> list[Pod | Template]:
        """Return what carries all of the labels in a namespace."""
        places = [self._by_pair.get((namespace, pair), []) for pair in labels.pairs]
        fewest = min(places, key=len, default=self._all.get(namespace, []))
        return [member for member in fewest if member.labels.matches(labels)]


def claims(inventory: Inventory) -> tuple[Claim, ...]:
    """Return what addresses of pods, nodes and the API server are, without the times at which two objects claim one.

    A node that runs the API server is the API server: the most specific counts.
    """
    found: dict[str, list[Claim]] = {}
    for pod in inventory.pods:
        if pod.host_network or pod.created in (0, pod.ended):
            continue
        info = endpoint_of(pod, inventory)
        for address in pod.addresses:
            claim = Claim(
                address=address,
                valid_from=pod.created,
                valid_to=_FOREVER if pod.ended is None else pod.ended,
                kind=info.kind.value,
                identity=info.identity,
                pod=pod.name,
            )
            found.setdefault(address, []).append(claim)
    api_servers = set(inventory.api_servers)
    for node in inventory.nodes:
        for address in set(node.addresses) - api_servers if node.created else ():
            claim = Claim(
                address=address, valid_from=node.created, valid_to=_FOREVER, kind=EndpointKind.REMOTE_NODE.value,
                node=node.name,
            )  # fmt: skip
            found.setdefault(address, []).append(claim)
    for service in inventory.services:
        if (service.namespace, service.name) == API_SERVER_SERVICE:
            for address in api_servers:
                kind = EndpointKind.KUBE_APISERVER.value
                claim = Claim(address=address, valid_from=service.created, valid_to=_FOREVER, kind=kind)
                found.setdefault(address, []).append(claim)
    return tuple(sorted(claim for given in found.values() for claim in undisputed(given)))


def undisputed(given: Iterable[Claim]) -> list[Claim]:
    """Return the claims on one address, cut to the times at which there is exactly one."""
    rows = sorted(set(given))
    cuts = sorted({time for claim in rows for time in (claim.valid_from, claim.valid_to)})
    found: list[Claim] = []
    for start, end in pairwise(cuts):
        active = [claim for claim in rows if claim.valid_from <= start and claim.valid_to >= end]
        if len(active) != 1:
            continue
        (one,) = active
        last = found[-1] if found else None
        if last is not None and last.valid_to == start and _same(last, one):
            found[-1] = _cut(one, last.valid_from, end)
        else:
            found.append(_cut(one, start, end))
    return found


def _same(one: Claim, other: Claim) -> bool:
    """Say whether two claims say the same of their address."""
    return (one.kind, one.identity, one.pod, one.node) == (other.kind, other.identity, other.pod, other.node)


def _cut(claim: Claim, start: int, end: int) -> Claim:
    """Return a claim for another time."""
    return replace(claim, valid_from=start, valid_to=end)


def backends(inventory: Inventory) -> tuple[Backend, ...]:
    """Return what stands behind the addresses of Services: workloads, nodes, the API server, or addresses outside.

    A Service stands for workloads, from the creation of both on, and not for the pods that happen to run: those of last
    week are gone.
    """
    places = _Places(inventory)
    found = {
        backend
        for service in inventory.services
        for address in service.addresses
        for port in service.ports
        for backend in places.behind(service, port, address)
    }
    return tuple(sorted(found, key=repr))


class _Places:
    """What stands behind the ports of Services."""

    def __init__(self, inventory: Inventory) -> None:
        """Index what Services select, and the running pods by address."""
        self._inventory = inventory
        running = [pod for pod in inventory.pods if pod.ended is None]
        self._selected = SelectedPods([*running, *inventory.templates])
        self._pods = pods_by_address(inventory)
        self._nodes = set(inventory.node_addresses)

    def behind(self, service: Service, port: ServicePort, address: str) -> Iterable[Backend]:
        """Yield the backends of one address and port of a Service."""
        found = self._by_selector(service, port) if service.selector is not None else self._by_address(service, port)
        for kind, number, since, identity, target in found:
            outside = kind is EndpointKind.EXTERNAL and target is not None
            yield Backend(
                address=address, protocol=port.protocol, port=port.number, valid_from=max(since, service.created),
                kind=kind.value, identity=identity, target_address=target, target_port=number,
                prefix=bounding_prefix(target) if outside and target is not None else None,
                namespace=service.namespace, name=service.name,
            )  # fmt: skip

    def _by_selector(self, service: Service, port: ServicePort) -> Iterable[_Place]:
        """Yield each workload that a Service selects once, by its newest member, since its oldest one; nodes for pods
        on the host network.
        """
        workloads: dict[tuple[str, str, int], list[Pod | Template]] = {}
        for member in self._selected.of(service):
            number = target_port(port, member)
            if number is None or not member.created:
                continue
            if not member.host_network:
                owner = (
                    (member.owner_kind, member.owner_name) if isinstance(member, Pod) else (member.kind, member.name)
                )
                workloads.setdefault((*owner, number), []).append(member)
            elif isinstance(member, Pod):
                for node in member.addresses:
                    yield from _at_node(number, member.created, node)
        for (_, _, number), members in workloads.items():
            newest = max(members, key=lambda one: (isinstance(one, Pod), one.created, one.name))
            since = min(member.created for member in members)
            yield EndpointKind.WORKLOAD, number, since, endpoint_of(newest, self._inventory).identity, None

    def _by_address(self, service: Service, port: ServicePort) -> Iterable[_Place]:
        """Yield what the EndpointSlices of a Service without a selector name: a pod, a node, or what is outside."""
        is_api = (service.namespace, service.name) == API_SERVER_SERVICE
        for target, name, number in service.backends:
            pod = self._pods.get(target)
            if name != port.name:
                continue
            if is_api:
                yield EndpointKind.KUBE_APISERVER, number, 0, None, target
            elif pod is not None:
                yield EndpointKind.WORKLOAD, number, pod.created, endpoint_of(pod, self._inventory).identity, None
            elif target in self._nodes:
                yield from _at_node(number, 0, target)
            else:
                yield EndpointKind.EXTERNAL, number, 0, None, target


def _at_node(port: int, since: int, address: str) -> Iterable[_Place]:
    """Yield what a node behind a Service is to pods: their own to those that run there, another one to the rest."""
    for kind in (EndpointKind.HOST, EndpointKind.REMOTE_NODE):
        yield kind, port, since, None, address


def _owner(member: Pod | Template) -> tuple[str, str]:
    """Return kind and name of the workload that a pod or controller is of."""
    return (member.owner_kind, member.owner_name) if isinstance(member, Pod) else (member.kind, member.name)


def pods_by_address(inventory: Inventory) -> dict[str, Pod]:
    """Return the running pod of each address that only one has, without those on the host network."""
    found: dict[str, list[Pod]] = {}
    for pod in inventory.pods:
        if pod.ended is None and not pod.host_network:
            for address in pod.addresses:
                found.setdefault(address, []).append(pod)
    return {address: pods[0] for address, pods in found.items() if len(pods) == 1}


def inside(inventory: Inventory) -> tuple[str, ...]:
    """Return every address that is something of the cluster at some time: what is not proven of one is unresolved,
    never outside.
    """
    found = {address for service in inventory.services for address in service.addresses}
    found |= {address for pod in inventory.pods for address in pod.addresses}
    return tuple(sorted(found | set(inventory.node_addresses) | set(inventory.api_servers)))


def target_port(port: ServicePort, pod: Pod | Template) -> int | None:
    """Return the number of a Service port's target at a pod; None when the pod has no port of that name."""
    if isinstance(port.target, int):
        return port.target
    found = [own.number for own in pod.ports if own.name == port.target and own.protocol == port.protocol]
    return found[0] if found else None


def workload_rows_of(inventory: Inventory) -> list[dict[str, object]]:
    """Return the workloads of an inventory as rows of WORKLOADS (times in microseconds), for :func:`unify`."""
    rows: list[dict[str, object]] = []
    for one in inventory.members:
        info = endpoint_of(one, inventory)
        ended = one.ended if isinstance(one, Pod) else None
        rows.append(
            {
                "identity": info.identity,
                "cluster": inventory.cluster,
                "namespace": info.namespace,
                "kind": info.workload_kind,
                "name": info.workload_name,
                "name_source": info.name_source,
                "labels": list(info.labels),
                "service_account": info.service_account,
                "namespace_labels": list(info.namespace_labels),
                "valid_from": one.created,
                "valid_to": max(inventory.taken if ended is None else ended, one.created),
            }
        )
    return rows


def _own_node(claim: str, pod_end: str) -> str:
    """Return the kind ``host`` in SQL where the node of a claim is the one that reported the record for the pod at the
    other end (a cluster may stand before the node's name), else null.
    """
    same = f"f.node = {claim}.node OR right(f.node, length({claim}.node) + 1) = '/' || {claim}.node"
    return f"CASE WHEN f.reporter = '{pod_end}' AND ({same}) THEN '{EndpointKind.HOST.value}' END"


def _register(connection: duckdb.DuckDBPyConnection, inventory: Inventory) -> None:
    """Create the tables that records are joined with: what addresses are, what is behind Services, what is inside."""
    for name, rows, schema in (
        ("inventory_claims", claims(inventory), _CLAIMS),
        ("inventory_backends", backends(inventory), _BACKENDS),
    ):
        given = {field: [getattr(row, field) for row in rows] for field in schema.names}
        connection.register("given_rows", pa.table(given, schema=schema))
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT DISTINCT * FROM given_rows")
        connection.unregister("given_rows")
    connection.register("given_rows", pa.table({"address": pa.array(inside(inventory), pa.string())}))
    connection.execute("CREATE OR REPLACE TEMP TABLE inventory_inside AS SELECT address FROM given_rows")
    connection.unregister("given_rows")


def resolved_flows(connection: duckdb.DuckDBPyConnection, scan: str, inventory: Inventory) -> str:
    """Create the view ``resolved_flows`` over a scan of FLOWS, and return its name.

    Rows of the inventory's cluster get the ends that it proves; a record of a Service's address becomes one row per
    workload behind it.
    """
    _register(connection, inventory)
    unproven = f"'{EndpointKind.UNRESOLVED.value}'"
    replaced = {
        "client_kind": f"coalesce({_own_node('c', 'server')}, c.kind, "
        f"CASE WHEN ci.address IS NOT NULL THEN {unproven} END, f.client_kind)",
        "client_identity": "CASE WHEN c.kind IS NULL THEN f.client_identity ELSE c.identity END",
        "client_pod": "CASE WHEN c.kind IS NULL THEN f.client_pod ELSE c.pod END",
        "client_prefix": "CASE WHEN c.kind IS NULL AND ci.address IS NULL THEN f.client_prefix END",
        "server_kind": f"coalesce({_own_node('s', 'client')}, s.kind, b.kind, "
        f"CASE WHEN si.address IS NOT NULL THEN {unproven} END, f.server_kind)",
        "server_identity": "CASE WHEN s.kind IS NOT NULL THEN s.identity WHEN b.kind IS NOT NULL THEN b.identity "
        "ELSE f.server_identity END",
        "server_pod": "CASE WHEN s.kind IS NOT NULL THEN s.pod WHEN b.kind IS NULL THEN f.server_pod END",
        "server_prefix": "CASE WHEN s.kind IS NOT NULL THEN NULL WHEN b.kind IS NOT NULL THEN b.prefix "
        "WHEN si.address IS NULL THEN f.server_prefix END",
        "server_address": "CASE WHEN b.target_address IS NOT NULL THEN b.target_address ELSE f.server_address END",
        "server_port": "CASE WHEN b.kind IS NOT NULL THEN b.target_port ELSE f.server_port END",
        "service_address": "CASE WHEN b.kind IS NOT NULL THEN f.server_address ELSE f.service_address END",
        "service_port": "CASE WHEN b.kind IS NOT NULL THEN f.server_port ELSE f.service_port END",
        "service_namespace": "coalesce(b.namespace, f.service_namespace)",
        "service_name": "coalesce(b.name, f.service_name)",
    }
    columns = ", ".join(
        f"{replaced[name]} AS {name}" if name in replaced else f"f.{name} AS {name}" for name in FLOWS.names
    )
    cluster = inventory.cluster.replace("'", "''")
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW resolved_flows AS
        SELECT {columns}
        FROM {scan} f
        LEFT JOIN inventory_claims c ON f.cluster = '{cluster}' AND f.client_kind IN ('unresolved', 'external')
            AND c.address = f.client_address
            AND epoch_us(f.time) >= c.valid_from AND epoch_us(f.time) < c.valid_to
        LEFT JOIN inventory_claims s ON f.cluster = '{cluster}' AND f.server_kind IN ('unresolved', 'external')
            AND s.address = f.server_address
            AND epoch_us(f.time) >= s.valid_from AND epoch_us(f.time) < s.valid_to
        LEFT JOIN inventory_backends b ON f.cluster = '{cluster}' AND f.server_kind IN ('unresolved', 'external')
            AND s.kind IS NULL AND b.address = f.server_address AND b.protocol = f.protocol
            AND b.port = f.server_port AND epoch_us(f.time) >= b.valid_from
        LEFT JOIN inventory_inside ci ON f.cluster = '{cluster}' AND f.client_kind = 'external'
            AND ci.address = f.client_address
        LEFT JOIN inventory_inside si ON f.cluster = '{cluster}' AND f.server_kind = 'external'
            AND si.address = f.server_address"""
    )
    return "resolved_flows"
