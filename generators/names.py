"""Names: what Kubernetes accepts as a name or label, and the names that our manifests and files get.

Formats: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ (syntax and character set).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from discovery.model.workload import WorkloadRef

MAX_LABEL = 63
MAX_SUBDOMAIN = 253
SHORT_HASH = 8

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NOT_IN_NAME = re.compile(r"[^a-z0-9-]")


def is_dns_label(text: str) -> bool:
    """Say whether ``text`` is a DNS-1123 label (a namespace name)."""
    return len(text) <= MAX_LABEL and _DNS_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Say whether ``text`` is a DNS-1123 subdomain (a service account name)."""
    return len(text) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Say whether ``text`` is a label value; the empty text is one."""
    return not text or (len(text) <= MAX_LABEL and _LABEL_PART.fullmatch(text) is not None)


def is_label_key(text: str) -> bool:
    """Say whether ``text`` is a label key: an optional DNS prefix with ``/``, then a name."""
    prefix, slash, name = text.rpartition("/")
    return bool(name) and is_label_value(name) and (not slash or is_subdomain(prefix))


def _slug(text: str) -> str:
    """Return ``text`` in lower case with ``-`` for every character that a DNS label cannot have."""
    return _NOT_IN_NAME.sub("-", text.lower()).strip("-")


def _with_hash(stem: str, digest: str) -> str:
    """Return ``stem-digest``, the stem cut so that the whole is a DNS label."""
    cut = stem[: MAX_LABEL - len(digest) - 1].strip("-")
    return f"{cut}-{digest}" if cut else digest


def cluster_folder(cluster: str) -> str:
    """Return a folder name for a cluster; one that had to be changed ends with a hash, so none collide."""
    folder = _slug(cluster)
    if folder == cluster and is_dns_label(folder):
        return folder
    return _with_hash(folder, hashlib.blake2b(cluster.encode("utf-8", "surrogatepass")).hexdigest()[:SHORT_HASH])


def manifest_names(workloads: Iterable[WorkloadRef]) -> dict[WorkloadRef, str]:
    """Return ``metadata.name`` for each workload: ``<kind>-<name>`` as a DNS label, unique in its namespace.

    A name that had to be changed or cut, or that two workloads would share, ends with the start of the
    workload's key. Depends on the set of workloads only, not on their order.
    """
    names = {workload: _natural_name(workload) for workload in sorted(set(workloads))}
    # The second round is for a workload that is named like another one's hashed name.
    for length in (SHORT_HASH, None):
        uses = Counter((workload.cluster, workload.namespace, name) for workload, name in names.items())
        for workload, name in names.items():
            if uses[workload.cluster, workload.namespace, name] > 1:
                names[workload] = _with_hash(_stem(workload), workload.key[:length])
    return names


def _stem(workload: WorkloadRef) -> str:
    """Return ``<kind>-<name>`` in the characters of a DNS label, of any length."""
    return _slug(f"{workload.kind or 'workload'}-{workload.name}")


def _natural_name(workload: WorkloadRef) -> str:
    """Return the name that a workload gets if it is the only one."""
    stem = _stem(workload)
    asked = f"{workload.kind or 'workload'}-{workload.name}".lower()
    return stem if stem == asked and is_dns_label(stem) else _with_hash(stem, workload.key[:SHORT_HASH])
