"""Replays edges on policies in a process of its own: ``replaying.py POLICIES EDGES``.

The estate is made here, seeded: one Kubernetes policy per workload, whose rules name the clients of each port; most
clients are of the same namespace. Prints the seconds of reading the policies and of replaying all edges.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter

from discovery.model.edge import Edge, Endpoint, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.intent import Dialect
from discovery.model.platform import parse_platforms
from discovery.model.workload import EndpointKind, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.replay import replay

SEED = 7
_NEAR = 0.7  # how many of the clients are of the server's namespace
_PER_NAMESPACE = 50
_PORTS = tuple(range(8_000, 8_100))
_EVIDENCE = Evidence(
    flow_records=1, connections=None, first_seen=0, last_seen=1, hours=1, days=1, sources=("hubble",), reporters=(),
    client_pods=1, server_pods=1,
)  # fmt: skip
_Triple = tuple[int, int, int]


def namespace(workload: int, workloads: int) -> str:
    """Return the namespace of a workload."""
    return f"team-{workload % max(1, workloads // _PER_NAMESPACE)}"


def triples(workloads: int, edges: int) -> list[_Triple]:
    """Return distinct (client, server, port), sorted."""
    rng = random.Random(SEED)  # noqa: S311 - an estate, not a secret
    groups = max(1, workloads // _PER_NAMESPACE)
    found: set[_Triple] = set()
    while len(found) < edges:
        client = rng.randrange(workloads)
        server = rng.randrange(workloads)
        if rng.random() < _NEAR:
            server = (server // groups * groups + client % groups) % workloads
        if client != server:
            found.add((client, server, rng.choice(_PORTS)))
    return sorted(found)


def manifests(found: list[_Triple], workloads: int) -> dict[str, str]:
    """Return one policy per server that allows exactly its clients."""
    clients: dict[int, dict[int, list[int]]] = {}
    for client, server, port in found:
        clients.setdefault(server, {}).setdefault(port, []).append(client)
    texts = {}
    for server, ports in clients.items():
        lines = [
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy",
            f"metadata: {{name: w-{server}, namespace: {namespace(server, workloads)}}}",
            f"spec:\n  podSelector: {{matchLabels: {{app: w-{server}}}}}\n  policyTypes: [Ingress]\n  ingress:",
        ]
        for port, names in ports.items():
            lines.append(f"    - ports: [{{port: {port}}}]\n      from:")
            lines += [
                f"        - podSelector: {{matchLabels: {{app: w-{c}}}}}\n"
                "          namespaceSelector:\n"
                f"            matchLabels: {{kubernetes.io/metadata.name: {namespace(c, workloads)}}}"
                for c in names
            ]
        texts[f"{server}.yaml"] = "\n".join(lines) + "\n"
    return texts


def main() -> None:
    """Make an estate, read its policies, replay its edges."""
    workloads, edges = (int(text) for text in sys.argv[1:])
    found = triples(workloads, edges)
    texts = manifests(found, workloads)
    start = time.perf_counter()
    read = read_policies(texts)
    reading = time.perf_counter() - start
    del texts
    refs = [
        WorkloadRef(cluster="c", namespace=namespace(w, workloads), kind="Deployment", name=f"w-{w}")
        for w in range(workloads)
    ]
    versions = [
        WorkloadVersion(
            ref=ref, labels=Labels.of({"app": ref.name}), service_account="default",
            namespace_labels=Labels.of({"kubernetes.io/metadata.name": ref.namespace}), valid_from=0, valid_to=1,
        )
        for ref in refs
    ]  # fmt: skip
    ends = [Endpoint(kind=EndpointKind.WORKLOAD, workload=ref) for ref in refs]
    given = (
        Edge(
            client=ends[client], server=ends[server], protocol=Protocol.TCP, port=port, icmp_type=None,
            verdict=Verdict.ACCEPTED, establishment=Establishment.ESTABLISHED,
            evidence_class=EvidenceClass.HANDSHAKE, evidence=_EVIDENCE,
        )
        for client, server, port in found
    )  # fmt: skip
    platform = parse_platforms(["kubernetes=1.31;enforcer=cilium"])[Dialect.KUBERNETES]
    start = time.perf_counter()
    done = replay(given, versions, Evaluator(read.policies, platform, versions=versions))
    seconds = time.perf_counter() - start
    fates = Counter(one.fate.value for one in done.edges)
    told = {
        "reading": round(reading, 3),
        "replaying": round(seconds, 3),
        "rules": sum(len(p.rules) for p in read.policies),
    }
    sys.stdout.write(json.dumps(told | {"fates": fates}) + "\n")


if __name__ == "__main__":
    main()
