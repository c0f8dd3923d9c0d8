"""Who an endpoint is: from the attributes that a source reports to a stable identity.

The *identity* of a pod is a hash of what policy can see and what names its workload: cluster, namespace,
labels without volatile keys, service account, workload name. It does not contain the kind, because the far
end of a connection is often reported without it, nor the pod. :func:`unify` then joins identities that only
differ in how well the source knew the workload's name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from discovery.model.workload import VOLATILE_KEYS, EndpointKind

# Most specific first: an endpoint that is both the API server and a host is the API server (field: entities).
_RESERVED = (
    ("kube-apiserver", EndpointKind.KUBE_APISERVER),
    ("ingress", EndpointKind.INGRESS),
    ("health", EndpointKind.HEALTH),
    ("host", EndpointKind.HOST),
    ("remote-node", EndpointKind.REMOTE_NODE),
    ("init", EndpointKind.INIT),
    ("unmanaged", EndpointKind.UNMANAGED),
    ("world", EndpointKind.EXTERNAL),
    ("world-ipv4", EndpointKind.EXTERNAL),
    ("world-ipv6", EndpointKind.EXTERNAL),
)

_NAME_LABELS = ("app.kubernetes.io/name", "app", "k8s-app", "name", "app.kubernetes.io/component", "component", "role")

# Suffixes that Kubernetes appends to pod names. The generated parts use the consonant-and-digit alphabet
# of k8s.io/apimachinery/pkg/util/rand; a ReplicaSet hash is up to ten of them (older ones are hex or decimal).
# A lone five-character suffix must keep to that alphabet, or "my-redis" would become "my"; after a hash or a
# run's number it need not.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_POD_SUFFIXES = (
    (re.compile(r"-\d{8,11}-[a-z0-9]{5}$"), "CronJob"),
    (re.compile(rf"-(?:{_SAFE}{{6,10}}|[0-9a-f]{{8,10}}|\d{{6,10}})-[a-z0-9]{{5}}$"), "Deployment"),
    (re.compile(rf"-{_SAFE}{{5}}$"), "DaemonSet"),
    (re.compile(r"-\d{1,5}$"), "StatefulSet"),
)
_CRONJOB_RUN = re.compile(r"-\d{8,11}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointInfo:
    """One endpoint as a source reported it, interpreted. ``identity`` is None unless a workload."""

    kind: EndpointKind
    identity: int | None = None
    cluster: str | None = None
    namespace: str = ""
    workload_kind: str = ""
    workload_name: str = ""
    name_source: str = "reported"
    pod: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    service_account: str | None = None
    namespace_labels: tuple[tuple[str, str], ...] = ()


def name_from_pod(pod: str) -> tuple[str, str]:
    """Return ``(workload name, likely kind or "")`` from a pod's name, by the suffixes that controllers append.

    The kind is a guess that keeps file names the same whichever node reported; a reported kind replaces it.
    """
    for pattern, kind in _POD_SUFFIXES:
        stem = pattern.sub("", pod)
        if stem and stem != pod:
            return stem, kind
    return pod, ""


def _workload_name(
    namespace: str, pod: str | None, labels: Mapping[str, str], workloads: Iterable[tuple[str, str]]
) -> tuple[str, str, str]:
    """Return ``(name, kind, name_source)``, best knowledge first."""
    for name, kind in workloads:
        if kind == "Job" and _CRONJOB_RUN.search(name):
            return _CRONJOB_RUN.sub("", name), "CronJob", "reported"
        if name:
            return name, kind, "reported"
    if pod:
        return *name_from_pod(pod), "pod-name"
    for key in _NAME_LABELS:
        if labels.get(key):
            return labels[key], "", "labels"
    return namespace, "", "namespace"


def workload_endpoint(  # the attributes of a pod are these, and each is independent of the others
    *,
    cluster: str | None,
    namespace: str,
    pod: str | None,
    labels: Mapping[str, str],
    service_account: str | None = None,
    namespace_labels: Mapping[str, str] | None = None,
    workloads: Iterable[tuple[str, str]] = (),
) -> EndpointInfo:
    """Return the interpreted endpoint of a pod. ``workloads`` are ``(name, kind)`` as reported, if any."""
    name, kind, name_source = _workload_name(namespace, pod, labels, workloads)
    kept = tuple(sorted((key, value) for key, value in labels.items() if key not in VOLATILE_KEYS))
    info = EndpointInfo(
        kind=EndpointKind.WORKLOAD,
        cluster=cluster,
        namespace=namespace,
        workload_kind=kind,
        workload_name=name,
        name_source=name_source,
        pod=pod,
        labels=kept,
        service_account=service_account,
        namespace_labels=tuple(sorted((namespace_labels or {}).items())),
    )
    return replace(info, identity=identity_hash(info))


def identity_hash(info: EndpointInfo) -> int:
    """Return the signed 64-bit identity (BLAKE2b over length-prefixed parts, so no two inputs collide by joining)."""
    parts = [info.cluster or "", info.namespace, info.workload_name, info.service_account or "", str(len(info.labels))]
    for key, value in info.labels + info.namespace_labels:
        parts += [key, value]
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "little") + raw)
    return int.from_bytes(digest.digest(), "little", signed=True)


def reserved_endpoint(names: Iterable[str], cluster: str | None = None) -> EndpointInfo | None:
    """Return the endpoint for reserved identities, the most specific one winning; None when none is known."""
    given = set(names)
    for name, kind in _RESERVED:
        if name in given:
            return EndpointInfo(kind=kind, cluster=cluster)
    return None


UNRESOLVED = EndpointInfo(kind=EndpointKind.UNRESOLVED)
EXTERNAL = EndpointInfo(kind=EndpointKind.EXTERNAL)
