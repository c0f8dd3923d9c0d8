"""Which cluster policies are for, by the folders that their files lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from discovery.verify.meaning import in_cluster
from discovery.verify.rules import PodMatch, ReadPolicy

_HASH_DIGITS = 8


def bind(policies: Iterable[ReadPolicy], clusters: list[str]) -> tuple[list[ReadPolicy], list[ReadPolicy]]:
    """Return the policies with the cluster of their subjects made explicit, and those of nobody knows which."""
    found: list[ReadPolicy] = []
    unknown: list[ReadPolicy] = []
    for policy in policies:
        cluster = cluster_of(policy.source, clusters)
        if cluster is None:
            unknown.append(policy)
        else:
            found.append(replace(policy, subject=bound(policy.subject, cluster)))
    return found, unknown


def cluster_of(source: str, clusters: list[str]) -> str | None:
    """Return the cluster that a file is for: the only one, or the one that its folder names.

    Files lie at ``<dialect>/[<cluster>/]<namespace>/<file>``; a cluster name that is no folder name is changed and
    ends with the first 8 hex digits of its BLAKE2b hash.
    """
    if len(clusters) <= 1:
        return clusters[0] if clusters else ""
    folders = source.rpartition(":")[0].split("/")[:-1]
    for cluster in clusters:
        digest = hashlib.blake2b(cluster.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
        if any(folder in (cluster, digest) or folder.endswith(f"-{digest}") for folder in folders[-2:-1]):
            return cluster
    return None


def bound(match: PodMatch, cluster: str) -> PodMatch:
    """Return a match with its cluster made explicit."""
    made = in_cluster(match, cluster)
    return made if isinstance(made, PodMatch) else match
