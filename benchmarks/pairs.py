"""Finds what may connect to what under policies, between all pairs of workloads: ``pairs.py WORKLOADS``.

The question that network-config-analyzer answers for manifests. Prints how many pairs are open for some port.
"""

from __future__ import annotations

import gc
import random
import sys
from pathlib import Path

from estate import SEED, group, manifests, namespace, pods, rules_of

from discovery.model.edge import Protocol
from discovery.model.intent import Dialect
from discovery.model.platform import parse_platforms
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion
from discovery.verify.ends import PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies

TRANSPORTS = tuple(protocol for protocol in Protocol if protocol.has_ports)


def write(folder: Path, workloads: int) -> None:
    """Write the manifests of an estate."""
    rules = rules_of(workloads, random.Random(SEED))  # noqa: S311 - an estate, not a secret
    (folder / "pods.yaml").write_text(pods(workloads), encoding="utf-8")
    for name, text in manifests(rules).items():
        (folder / name).write_text(text, encoding="utf-8")


def main() -> None:
    """Read the policies of a folder and ask about every pair."""
    gc.disable()  # as the command line does
    folder, workloads = Path(sys.argv[1]), int(sys.argv[2])
    texts = {str(path): path.read_bytes() for path in folder.glob("*.yaml") if path.name != "pods.yaml"}
    versions = [
        WorkloadVersion(
            ref=WorkloadRef(cluster="c", namespace=namespace(number), kind="Pod", name=f"w-{number}"),
            labels=Labels.of({"app": f"w-{number}", "part-of": group(number)}),
            service_account="default",
            namespace_labels=Labels.of({"kubernetes.io/metadata.name": namespace(number)}),
            valid_from=0,
            valid_to=1,
        )
        for number in range(workloads)
    ]
    ends = [PodEnd(version=version, ports=()) for version in versions]
    platform = parse_platforms(["kubernetes=1.31;enforcer=cilium"])[Dialect.KUBERNETES]
    evaluator = Evaluator(read_policies(texts).policies, platform, versions=versions)
    found = 0
    for client in ends:
        for server in ends:
            if client is not server:
                found += any(evaluator.allowed(client, server, protocol)[0].intervals for protocol in TRANSPORTS)
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main()
