"""Selectors: the fewest stable labels that match exactly one workload among all that are known.

A label is stable when every version of the workload carries the same value and the key is no version, hash or
per-run key. Exactness is checked against every version of every other workload of the namespace (rule 4).
Where labels cannot tell workloads apart, the service account may; then the namespace, when nothing else is in
it; then nothing, which is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from discovery.model.workload import Labels, Selector, WorkloadRef, WorkloadVersion

PREFERRED_KEYS = (
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "name",
    "app.kubernetes.io/component",
    "component",
    "app.kubernetes.io/instance",
    "role",
    "tier",
)
MAX_LABELS = 4
MAX_CANDIDATES = 16  # combinations of four out of sixteen are 1,820: bounded whatever a hostile pod carries

# Keys that change with a rollout. One of them is used only when the workload's own name carries its value
# (reviews-v1 with version=v1): the next version is then another workload anyway.
VERSION_KEYS = frozenset({"app.kubernetes.io/version", "version", "app-version", "service.istio.io/canonical-revision"})
_UNSTABLE_KEYS = frozenset(
    {
        "helm.sh/chart", "chart", "heritage", "app.kubernetes.io/managed-by", "revision", "release-revision", "build",
        "commit", "git-commit", "git-sha", "image-tag", "date", "security.istio.io/tlsMode", "policy-discovery/enforce",
    }
)  # fmt: skip
# Not part of a Cilium identity by default (cilium pkg/labelsfilter), so no selector with them ever matches there.
_NO_IDENTITY = re.compile(
    r"io\.kubernetes|kubernetes\.io|k8s\.io|topology\.kubernetes\.io|annotation|etcd_node|.*beta\.kubernetes\.io"
)
_UNSTABLE_SHAPE = re.compile(r".*(?:-hash|-uid|job-name|template-generation|/pod-name|pod-index|completion-index)$")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class Basis(StrEnum):
    """What a selector rests on."""

    LABELS = "labels"
    SERVICE_ACCOUNT = "service-account"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a workload can be selected. ``selector`` is None when nothing tells it apart from ``confused_with``."""

    workload: WorkloadRef
    selector: Selector | None
    basis: Basis | None = None
    confused_with: tuple[WorkloadRef, ...] = ()


def is_stable(key: str, value: str, workload: WorkloadRef) -> bool:
    """Say whether a label may appear in a selector."""
    if key in VERSION_KEYS:
        return bool(value) and workload.name.endswith(f"-{value}") and _LABEL_VALUE.fullmatch(value) is not None
    if key in _UNSTABLE_KEYS or _NO_IDENTITY.match(key) or _UNSTABLE_SHAPE.match(key):
        return False
    return _LABEL_KEY.fullmatch(key) is not None and _LABEL_VALUE.fullmatch(value) is not None


def _rank(pair: tuple[str, str]) -> tuple[int, str]:
    """Order label pairs by how well their key names a workload."""
    key = pair[0]
    return (PREFERRED_KEYS.index(key) if key in PREFERRED_KEYS else len(PREFERRED_KEYS), key)


def _candidates(workload: WorkloadRef, versions: list[WorkloadVersion]) -> list[tuple[str, str]]:
    """Return the stable pairs that every version carries, best first."""
    common = set(versions[0].labels.pairs).intersection(*(version.labels.pairs for version in versions))
    return sorted((pair for pair in common if is_stable(*pair, workload)), key=_rank)[:MAX_CANDIDATES]


def _smallest(candidates: list[tuple[str, str]], others: list[WorkloadVersion], least: int) -> Labels | None:
    """Return the first smallest set of pairs that none of the others carries, or None."""
    carries = [{row for row, other in enumerate(others) if pair in set(other.labels.pairs)} for pair in candidates]
    named = any(key not in VERSION_KEYS for key, _ in candidates)
    for size in range(least, min(MAX_LABELS, len(candidates)) + 1):
        for chosen in combinations(range(len(candidates)), size):
            if chosen and all(candidates[row][0] in VERSION_KEYS for row in chosen) and named:
                continue  # "version=v2" alone would take in the next thing that calls itself v2
            left = set(range(len(others)))
            for row in chosen:
                left &= carries[row]
            if not left:
                return Labels.of(candidates[row] for row in chosen)
    return None


def choose(
    workload: WorkloadRef, own: list[WorkloadVersion], others: list[WorkloadVersion], *, labels_shown: bool = True
) -> Choice:
    """Return how one workload is selected. ``others`` are the versions of all other workloads of its namespace.

    Where the sources show no labels at all (``labels_shown``), nothing proves that a namespace holds nothing else.
    """
    candidates = _candidates(workload, own)
    labels = _smallest(candidates, others, 1)
    if labels is not None:
        return Choice(workload=workload, selector=_selector(workload, labels), basis=Basis.LABELS)
    accounts = {version.service_account for version in own}
    if len(accounts) == 1 and (account := next(iter(accounts))) is not None:
        same = [other for other in others if other.service_account in (None, account)]
        labels = _smallest(candidates, same, 0)
        if labels is not None and others:
            return Choice(workload=workload, selector=_selector(workload, labels, account), basis=Basis.SERVICE_ACCOUNT)
    if not others and labels_shown:
        return Choice(workload=workload, selector=_selector(workload, Labels()), basis=Basis.NAMESPACE)
    wanted = Labels.of(candidates)
    confused = sorted({other.ref for other in others if other.labels.matches(wanted)})
    return Choice(workload=workload, selector=None, confused_with=tuple(confused))


def _selector(workload: WorkloadRef, labels: Labels, account: str | None = None) -> Selector:
    """Return a selector in the workload's namespace."""
    return Selector(cluster=workload.cluster, namespace=workload.namespace, labels=labels, service_account=account)


def choose_all(versions: Iterable[WorkloadVersion], *, labels_shown: bool = True) -> Mapping[WorkloadRef, Choice]:
    """Return the choice of every workload, in order."""
    by_namespace: dict[tuple[str, str], dict[WorkloadRef, list[WorkloadVersion]]] = {}
    for version in versions:
        place = by_namespace.setdefault((version.ref.cluster, version.ref.namespace), {})
        place.setdefault(version.ref, []).append(version)
    choices: dict[WorkloadRef, Choice] = {}
    for place in by_namespace.values():
        for workload, own in place.items():
            others = [version for ref, found in place.items() if ref != workload for version in found]
            choices[workload] = choose(workload, own, others, labels_shown=labels_shown)
    return dict(sorted(choices.items()))
