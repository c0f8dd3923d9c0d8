"""Workloads, their attributes, selectors and reserved entities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# Labels that differ per pod, per run or per rollout: part of no identity and of no selector.
VOLATILE_KEYS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-generation",
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)


class Entity(StrEnum):
    """Reserved endpoints that are not workloads. The names are the field's own (Cilium's identities)."""

    WORLD = "world"
    HOST = "host"
    REMOTE_NODE = "remote-node"
    KUBE_APISERVER = "kube-apiserver"
    HEALTH = "health"
    INIT = "init"
    INGRESS = "ingress"
    UNMANAGED = "unmanaged"


class EndpointKind(StrEnum):
    """What an address was at a time. The values are stored in the lake."""

    WORKLOAD = "workload"
    EXTERNAL = "external"
    HOST = "host"
    REMOTE_NODE = "remote-node"
    KUBE_APISERVER = "kube-apiserver"
    HEALTH = "health"
    INIT = "init"
    INGRESS = "ingress"
    UNMANAGED = "unmanaged"
    UNRESOLVED = "unresolved"

    @property
    def entity(self) -> Entity | None:
        """Return the reserved entity of this kind, or None for workloads, externals and unresolved."""
        if self in (EndpointKind.WORKLOAD, EndpointKind.EXTERNAL, EndpointKind.UNRESOLVED):
            return None
        return Entity(self.value)


@dataclass(frozen=True, slots=True, order=True)
class Labels:
    """Label pairs, sorted by key, each key once. Keys and values always travel together."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check that the pairs are sorted and the keys unique."""
        keys = [key for key, _ in self.pairs]
        if keys != sorted(set(keys)):
            raise ValueError("label pairs must be sorted by key, each key once; build with Labels.of")

    @classmethod
    def of(cls, labels: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
        """Return canonical labels; of a key that occurs twice the last value counts."""
        return cls(tuple(sorted(dict(labels).items())))

    def get(self, key: str) -> str | None:
        """Return the value of a key, or None."""
        return dict(self.pairs).get(key)

    def as_dict(self) -> dict[str, str]:
        """Return a fresh dict of the pairs."""
        return dict(self.pairs)

    def matches(self, required: Labels) -> bool:
        """Say whether every required pair is here (AND; no requirement matches everything)."""
        return set(required.pairs) <= set(self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadRef:
    """The stable key of a workload. ``kind`` is the Kubernetes kind, or "" when no source told it."""

    cluster: str
    namespace: str
    kind: str
    name: str

    @property
    def key(self) -> str:
        """Return the stable 16-hex-digit key: BLAKE2b of the four parts, each with its length before it."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.cluster, self.namespace, self.kind, self.name):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(4, "little") + raw)
        return digest.hexdigest()

    def __str__(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WorkloadVersion:
    """One version of a workload's attributes, as some source saw it.

    ``labels`` are pod labels without known-volatile keys; ``namespace_labels`` are the namespace's own;
    ``service_account`` is None when no source reported it. Times are microseconds since 1970 UTC.
    """

    ref: WorkloadRef
    labels: Labels
    service_account: str | None
    namespace_labels: Labels
    valid_from: int
    valid_to: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Selector:
    """Selects pods of ONE namespace: every pair of ``labels`` must hold AND the service account must be the
    given one (None = any). No label and no service account selects every pod of the namespace.

    Shown to match exactly the workloads it was made for by :mod:`discovery.learn.selectors`.
    """

    cluster: str
    namespace: str
    labels: Labels
    service_account: str | None = None

    def matches(self, version: WorkloadVersion) -> bool:
        """Say whether a workload version is selected."""
        return (
            version.ref.cluster == self.cluster
            and version.ref.namespace == self.namespace
            and version.labels.matches(self.labels)
            and self.service_account in (None, version.service_account)
        )

    def __str__(self) -> str:
        """Return ``namespace: a=b,c=d``."""
        parts = [f"{key}={value}" for key, value in self.labels.pairs]
        if self.service_account is not None:
            parts.append(f"serviceAccount={self.service_account}")
        return f"{self.namespace}: {','.join(parts) or '(all pods)'}"
