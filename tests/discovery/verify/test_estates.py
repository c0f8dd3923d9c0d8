"""The Kubernetes reader and evaluator against an independent one, on two public estates.

The expected tables were made with network-config-analyzer from the same manifests (origin and licences:
``../shared/data/SOURCES.md``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery.model.edge import Protocol
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from tests.discovery.verify.builders import platform

OUTSIDE = "198.51.100.7"
ANYWHERE = "outside"
# estate, namespace, label that the table names pods by, policies, workloads
ESTATES = [
    ("online-boutique", "default", "app", "network-policies", "kubernetes-manifests/*.yaml"),
    ("sock-shop", "sock-shop", "name", "manifests-policy", "complete-demo.yaml"),
]
_IN = re.compile(r"[a-z]+ in \(([^)]*)\)")


def workloads(paths: Iterator[Path], namespace: str, key: str) -> dict[str, WorkloadVersion]:
    """Return the pods of all workloads with a pod template, by the label that the table uses."""
    found = {}
    for path in sorted(paths):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document and document.get("kind") in ("Deployment", "StatefulSet", "DaemonSet"):
                labels = Labels.of(document["spec"]["template"]["metadata"]["labels"])
                name = document["metadata"]["name"]
                found[labels.get(key) or name] = WorkloadVersion(
                    ref=WorkloadRef(cluster="c", namespace=namespace, kind=document["kind"], name=name),
                    labels=labels,
                    service_account=document["spec"]["template"]["spec"].get("serviceAccountName"),
                    namespace_labels=Labels.of({"kubernetes.io/metadata.name": namespace}),
                    valid_from=0,
                    valid_to=1,
                )
    return found


def names(row: dict[str, Any], side: str, pods: set[str]) -> set[str]:
    """Return the pods (or the outside) that a row of the table means at one side."""
    if f"{side}_ip_block" in row:
        return {ANYWHERE}
    named: set[str] = set()
    for text in row[f"{side}_pods"]:
        match = _IN.fullmatch(text)
        named |= pods if text == "*" else set(match[1].split(",")) if match else {text}
    return named


def table(rows: list[dict[str, Any]], pods: set[str]) -> dict[tuple[str, str], set[int] | None]:
    """Return the allowed ports by (client, server); None is every connection."""
    allowed: dict[tuple[str, str], set[int] | None] = {}
    for row in rows:
        for client in names(row, "src", pods):
            for server in names(row, "dst", pods):
                for connection in row["connection"]:
                    before = allowed.get((client, server), set())
                    everything = connection == "All connections" or before is None
                    allowed[client, server] = None if everything else (before or set()) | set(connection["dst_ports"])
    return allowed


@pytest.mark.parametrize(("estate", "namespace", "key", "policies", "manifests"), ESTATES, ids=str)
def test_estate(shared: Path, estate: str, namespace: str, key: str, policies: str, manifests: str) -> None:
    """Every pair of workloads (and the outside), on every port of the table and one more, is decided alike."""
    folder = shared / "data" / "estates" / estate
    found = read_policies({p.name: p.read_text(encoding="utf-8") for p in sorted((folder / policies).glob("*.yaml"))})
    assert [d for d in found.diagnostics if d.code not in ("namespace-assumed", "not-a-policy")] == []
    pods = workloads(folder.glob(manifests), namespace, key)
    rows = json.loads((folder / "allowed-by-policy.nca.json").read_text(encoding="utf-8"))
    allowed = table(rows, set(pods))
    assert {name for pair in allowed for name in pair} <= {*pods, ANYWHERE}
    ports = sorted({port for listed in allowed.values() if listed for port in listed} | {1})
    evaluator = Evaluator(found.policies, platform("kubernetes=1.31"))
    ends = {name: PodEnd(version=pod) for name, pod in pods.items()} | {ANYWHERE: AddressEnd(address=OUTSIDE)}
    checked = 0
    for client, client_end in ends.items():
        for server, server_end in ends.items():
            if client == server:
                continue  # a pod always reaches itself; the table says nothing else about one replica
            for port in ports:
                probe = Probe(client=client_end, server=server_end, protocol=Protocol.TCP, port=port)
                listed = allowed.get((client, server), set())
                expected = Outcome.ALLOWED if listed is None or port in listed else Outcome.DENIED
                assert evaluator.decide(probe).outcome is expected, (client, server, port)
                checked += 1
    assert checked > 1000
