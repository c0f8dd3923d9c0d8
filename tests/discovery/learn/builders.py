"""Small builders of edges, endpoints and versions, for the tests of learning and of what is told about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discovery.model.edge import Edge, Endpoint, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.workload import EndpointKind, Labels, WorkloadRef, WorkloadVersion

CLUSTER = "c1"
NOVEMBER = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
HOUR = 3_600_000_000

EVIDENCE = Evidence(
    flow_records=12,
    connections=None,
    first_seen=NOVEMBER,
    last_seen=NOVEMBER + 2 * HOUR,
    hours=0b111,
    days=1,
    sources=("hubble",),
    reporters=("client", "server"),
    client_pods=2,
    server_pods=1,
)


def ref(name: str, *, namespace: str = "shop", cluster: str = CLUSTER, kind: str = "Deployment") -> WorkloadRef:
    """Return the key of a workload."""
    return WorkloadRef(cluster=cluster, namespace=namespace, kind=kind, name=name)


def version(
    workload: WorkloadRef | str,
    labels: Mapping[str, str] | None = None,
    *,
    account: str | None = None,
    namespace_labels: Mapping[str, str] | None = None,
) -> WorkloadVersion:
    """Return one version; its labels are ``app: <name>`` unless given."""
    known = ref(workload) if isinstance(workload, str) else workload
    return WorkloadVersion(
        ref=known,
        labels=Labels.of({"app": known.name} if labels is None else labels),
        service_account=account,
        namespace_labels=Labels.of(namespace_labels or {}),
        valid_from=0,
        valid_to=1,
    )


def pod(name: str, *, namespace: str = "shop", cluster: str = CLUSTER) -> Endpoint:
    """Return a workload end."""
    return Endpoint(kind=EndpointKind.WORKLOAD, workload=ref(name, namespace=namespace, cluster=cluster))


def other(kind: EndpointKind, *addresses: str, names: tuple[str, ...] = (), exact: bool = True) -> Endpoint:
    """Return an end that is no workload."""
    return Endpoint(kind=kind, addresses=addresses, distinct_addresses=len(addresses), names=names, exact=exact)


def outside(*addresses: str, names: tuple[str, ...] = (), exact: bool = True) -> Endpoint:
    """Return an external end."""
    return other(EndpointKind.EXTERNAL, *addresses, names=names, exact=exact)


def edge(client: Endpoint | str, server: Endpoint | str, port: int | None = 8080, **changes: Any) -> Edge:
    """Return an accepted, established TCP edge with a handshake, unless told otherwise."""
    told: dict[str, Any] = {
        "protocol": Protocol.TCP,
        "icmp_type": None,
        "verdict": Verdict.ACCEPTED,
        "establishment": Establishment.ESTABLISHED,
        "evidence_class": EvidenceClass.HANDSHAKE,
        "evidence": EVIDENCE,
        **changes,
    }
    return Edge(
        client=pod(client) if isinstance(client, str) else client,
        server=pod(server) if isinstance(server, str) else server,
        port=port,
        **told,
    )


def ping(client: Endpoint | str, server: Endpoint | str, icmp_type: int | None = 8, **changes: Any) -> Edge:
    """Return an accepted ICMP edge."""
    told = {"protocol": Protocol.ICMP, "establishment": Establishment.UNKNOWN, "evidence_class": EvidenceClass.FLAG}
    return edge(client, server, None, **{**told, "icmp_type": icmp_type, **changes})
