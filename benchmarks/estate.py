"""An estate to try policies on, seeded: workloads in namespaces of fifty, and one Kubernetes policy for each.

A policy has a rule for each of five ports, which names two groups of clients by a label and their namespace (as people
write policies, and as roles are learned). Most edges are of those clients; some come from elsewhere, and are cut.
"""

from __future__ import annotations

import random

SEED = 7
_PER_NAMESPACE = 50
_PER_GROUP = 10
_GROUPS_PER_RULE = 2
_FAR = 0.3  # how many of the groups are of another namespace
_STRAY = 0.01  # how many of the edges no rule allows
_PORTS = tuple(range(8_000, 8_100))
_PORTS_PER_WORKLOAD = 5
Triple = tuple[int, int, int]
# Groups by port, per server.
Rules = list[dict[int, list[int]]]


def namespace(workload: int) -> str:
    """Return the namespace of a workload."""
    return f"team-{workload // _PER_NAMESPACE}"


def group(workload: int) -> str:
    """Return the label that a workload shares with its group."""
    return f"group-{workload // _PER_GROUP % (_PER_NAMESPACE // _PER_GROUP)}"


def rules_of(workloads: int, rng: random.Random) -> Rules:
    """Return which groups may reach which ports of each workload."""
    groups = max(1, workloads // _PER_GROUP)
    near = _PER_NAMESPACE // _PER_GROUP
    made: Rules = []
    for server in range(workloads):
        home = server // _PER_NAMESPACE * near
        ports = {}
        for port in rng.sample(_PORTS, _PORTS_PER_WORKLOAD):
            choices = (rng.randrange(groups) if rng.random() < _FAR else home + rng.randrange(near) for _ in range(9))
            ports[port] = list(dict.fromkeys(one % groups for one in choices))[:_GROUPS_PER_RULE]
        made.append(ports)
    return made


def triples(rules: Rules, edges: int, rng: random.Random) -> list[Triple]:
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


def manifests(rules: Rules) -> dict[str, str]:
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


def pods(workloads: int) -> str:
    """Return the namespaces, and a pod per workload, as an API server would tell them."""
    parts = [
        f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"
        f"  labels:\n    kubernetes.io/metadata.name: {name}\n"
        for name in dict.fromkeys(map(namespace, range(workloads)))
    ]
    parts += [
        f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: w-{number}\n  namespace: {namespace(number)}\n"
        f"  labels:\n    app: w-{number}\n    part-of: {group(number)}\n"
        "spec:\n  containers:\n    - name: main\n      image: none\n"
        f"status:\n  podIP: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}\n"
        for number in range(workloads)
    ]
    return "---\n".join(parts)
