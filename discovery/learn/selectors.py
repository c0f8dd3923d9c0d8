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

from discovery.model.intent import WorkloadPeer
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

    @property
    def peer(self) -> WorkloadPeer | None:
        """Return the workload as a peer, or None when nothing tells it apart."""
        return None if self.selector is None else WorkloadPeer(selector=self.selector, name=str(self.workload))


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


class _Namespace:
    """The versions of all workloads of a namespace by what they carry; a version is named by its row."""

    def __init__(self) -> None:
        self.versions: list[WorkloadVersion] = []
        self.rows: dict[WorkloadRef, set[int]] = {}
        self._by_pair: dict[tuple[str, str], set[int]] = {}
        self._by_account: dict[str | None, set[int]] = {}

    def add(self, version: WorkloadVersion) -> None:
        """Add one version."""
        row = len(self.versions)
        self.versions.append(version)
        self.rows.setdefault(version.ref, set()).add(row)
        self._by_account.setdefault(version.service_account, set()).add(row)
        for pair in version.labels.pairs:
            self._by_pair.setdefault(pair, set()).add(row)

    def carrying(self, pairs: Iterable[tuple[str, str]], accounts: Iterable[str | None] | None = None) -> set[int]:
        """Return the rows that carry all pairs, and one of these service accounts."""
        sets = [self._by_pair.get(pair, set()) for pair in pairs]
        if accounts is not None:
            sets.append(set().union(*(self._by_account.get(account, set()) for account in accounts)))
        sets.sort(key=len)
        return sets[0].intersection(*sets[1:]) if sets else set(range(len(self.versions)))

    def smallest(self, workload: WorkloadRef, candidates: list[tuple[str, str]], account: str | None) -> Labels | None:
        """Return the first smallest set of pairs that no other workload carries, or None; none of another service
        account, where one is given.
        """
        own = self.rows[workload]
        accounts = None if account is None else (None, account)
        named = any(key not in VERSION_KEYS for key, _ in candidates)
        for size in range(account is None, min(MAX_LABELS, len(candidates)) + 1):
            for chosen in combinations(candidates, size):
                if chosen and all(key in VERSION_KEYS for key, _ in chosen) and named:
                    continue  # "version=v2" alone would take in the next thing that calls itself v2
                if self.carrying(chosen, accounts) <= own:
                    return Labels.of(chosen)
        return None


def _choose(workload: WorkloadRef, place: _Namespace, *, labels_shown: bool) -> Choice:
    """Return how one workload is selected.

    Where the sources show no labels at all (``labels_shown``), nothing proves that a namespace holds nothing else.
    """
    own = [place.versions[row] for row in sorted(place.rows[workload])]
    candidates = _candidates(workload, own)
    labels = place.smallest(workload, candidates, None)
    if labels is not None:
        return Choice(workload=workload, selector=_selector(workload, labels), basis=Basis.LABELS)
    accounts = {version.service_account for version in own}
    alone = len(place.rows) == 1
    if len(accounts) == 1 and (account := next(iter(accounts))) is not None and not alone:
        labels = place.smallest(workload, candidates, account)
        if labels is not None:
            return Choice(workload=workload, selector=_selector(workload, labels, account), basis=Basis.SERVICE_ACCOUNT)
    if alone and labels_shown:
        return Choice(workload=workload, selector=_selector(workload, Labels()), basis=Basis.NAMESPACE)
    confused = {place.versions[row].ref for row in place.carrying(candidates)} - {workload}
    return Choice(workload=workload, selector=None, confused_with=tuple(sorted(confused)))


def _selector(workload: WorkloadRef, labels: Labels, account: str | None = None) -> Selector:
    """Return a selector in the workload's namespace."""
    return Selector(cluster=workload.cluster, namespace=workload.namespace, labels=labels, service_account=account)


def choose_all(versions: Iterable[WorkloadVersion], *, labels_shown: bool = True) -> Mapping[WorkloadRef, Choice]:
    """Return the choice of every workload, in order."""
    places: dict[tuple[str, str], _Namespace] = {}
    for version in versions:
        places.setdefault((version.ref.cluster, version.ref.namespace), _Namespace()).add(version)
    choices = {
        workload: _choose(workload, place, labels_shown=labels_shown)
        for place in places.values()
        for workload in place.rows
    }
    return dict(sorted(choices.items()))
