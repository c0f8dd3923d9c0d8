"""Replays edges on policies in a process of its own: ``replaying.py POLICIES EDGES``.

Prints the seconds of reading the policies and of replaying all edges, on the estate of :mod:`estate`.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections import Counter

from estate import SEED, group, manifests, namespace, rules_of, triples

from discovery.model.edge import Edge, Endpoint, Establishment, Evidence, EvidenceClass, Protocol, Verdict
from discovery.model.intent import Dialect
from discovery.model.platform import parse_platforms
from discovery.model.workload import EndpointKind, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from discovery.verify.replay import replay

_EVIDENCE = Evidence(
    flow_records=1, connections=None, first_seen=0, last_seen=1, hours=1, days=1, sources=("hubble",), reporters=(),
    client_pods=1, server_pods=1,
)  # fmt: skip


def main() -> None:
    """Make an estate, read its policies, replay its edges."""
    workloads, edges = (int(text) for text in sys.argv[1:])
    gc.disable()  # as the command line does
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
