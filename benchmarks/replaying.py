"""Replays edges on policies in a process of its own: ``replaying.py POLICIES EDGES``.

The estate is made here, seeded: one Kubernetes policy per workload, in namespaces of fifty, with a rule for each of
five ports that names two groups of clients by a label and their namespace (as people write policies, and as roles are
learned). Most edges are of those clients; some come from elsewhere, and are cut. Prints the seconds of reading the
policies and of replaying all edges.
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
_PER_NAMESPACE = 50
_PER_GROUP = 10
_GROUPS_PER_RULE = 2
_FAR = 0.3  # how many of the groups are of another namespace
_STRAY = 0.01  # how many of the edges no rule allows
_PORTS = tuple(range(8_000, 8_100))
_PORTS_PER_WORKLOAD = 5
_EVIDENCE = Evidence(
    flow_records=1, connections=None, first_seen=0, last_seen=1, hours=1, days=1, sources=("hubble",), reporters=(),
    client_pods=1, server_pods=1,
)  # fmt: skip
_Triple = tuple[int, int, int]
# Groups by port, per server.
_Rules = list[dict[int, list[int]]]


def namespace(workload: int) -> str:
    """Return the namespace of a workload."""
    return f"team-{workload // _PER_NAMESPACE}"


def group(workload: int) -> str:
    """Return the label that a workload shares with its group."""
    return f"group-{workload // _PER_GROUP % (_PER_NAMESPACE // _PER_GROUP)}"


def rules_of(workloads: int, rng: random.Random) -> _Rules:
    """Return which groups may reach which ports of each workload."""
    groups = max(1, workloads // _PER_GROUP)
    near = _PER_NAMESPACE // _PER_GROUP
    made: _Rules = []
    for server in range(workloads):
        home = server // _PER_NAMESPACE * near
        ports = {}
        for port in rng.sample(_PORTS, _PORTS_PER_WORKLOAD):
            choices = (rng.randrange(groups) if rng.random() < _FAR else home + rng.randrange(near) for _ in range(9))
            ports[port] = list(dict.fromkeys(one % groups for one in choices))[:_GROUPS_PER_RULE]
        made.append(ports)
    return made


def triples(rules: _Rules, edges: int, rng: random.Random) -> list[_Triple]:
    """Return distinct (client, server, port), sorted: as many as there are, up to ``edges``."""
    workloads = len(rules)
    every = [
        (client, server, port)
        for server, ports in enumerate(rules)
        for port, groups in ports.items()
        for one in groups
        for client in range(one * _PER_GROUP, min((one + 1) * _PER_GROUP, workloads))
    ]
    found = set(rng.sample(every, min(len(every), int(edges * (1 - _STRAY)))))
    for _ in range(int(edges * _STRAY)):
        found.add((rng.randrange(workloads), rng.randrange(workloads), rng.choice(_PORTS)))
    return sorted(found)


def manifests(rules: _Rules) -> dict[str, str]:
    """Return one policy per server."""
    texts = {}
    for server, ports in enumerate(rules):
        lines = [
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:",
            f"  name: w-{server}\n  namespace: {namespace(server)}",
            f"spec:\n  podSelector:\n    matchLabels:\n      app: w-{server}",
            "  policyTypes:\n    - Ingress\n  ingress:",
        ]
        for port, groups in ports.items():
            lines.append("    - from:")
            lines += [
                "        - podSelector:\n            matchLabels:\n"
                f"              part-of: {group(one * _PER_GROUP)}\n"
                "          namespaceSelector:\n            matchLabels:\n"
                f"              kubernetes.io/metadata.name: {namespace(one * _PER_GROUP)}"
                for one in groups
            ]
            lines.append(f"      ports:\n        - port: {port}\n          protocol: TCP")
        texts[f"{server}.yaml"] = "\n".join(lines) + "\n"
    return texts


def main() -> None:
    """Make an estate, read its policies, replay its edges."""
    workloads, edges = (int(text) for text in sys.argv[1:])
    rng = random.Random(SEED)  # noqa: S311 - an estate, not a secret
    rules = rules_of(workloads, rng)
    found = triples(rules, edges, rng)
    texts = manifests(rules)
    del rules
    start = time.perf_counter()
    read = read_policies(texts)
    reading = time.perf_counter() - start
    del texts
    refs = [
        WorkloadRef(cluster="c", namespace=namespace(w), kind="Deployment", name=f"w-{w}") for w in range(workloads)
    ]
    versions = [
        WorkloadVersion(
            ref=ref, labels=Labels.of({"app": ref.name, "part-of": group(number)}), service_account="default",
            namespace_labels=Labels.of({"kubernetes.io/metadata.name": ref.namespace}), valid_from=0, valid_to=1,
        )
        for number, ref in enumerate(refs)
    ]  # fmt: skip
    ends = [Endpoint(kind=EndpointKind.WORKLOAD, workload=ref) for ref in refs]
    given = [
        Edge(
            client=ends[client], server=ends[server], protocol=Protocol.TCP, port=port, icmp_type=None,
            verdict=Verdict.ACCEPTED, establishment=Establishment.ESTABLISHED,
            evidence_class=EvidenceClass.HANDSHAKE, evidence=_EVIDENCE,
        )
        for client, server, port in found
    ]  # fmt: skip
    del found
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
