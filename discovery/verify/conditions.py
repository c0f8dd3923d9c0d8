"""Conditions over labels: what selectors ask beyond pairs that must be there.

A condition is about the labels of the pod, of its namespace or of its service account. The namespace's name is its
label ``kubernetes.io/metadata.name``, the service account's name the key ``name`` of its scope. Labels that no source
reported make an answer MAYBE.

Sources: label selectors of Kubernetes (``NotIn`` and ``DoesNotExist`` also hold when the key is missing), selectors of
Calico (``!=`` and ``not in`` likewise).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from discovery.model.workload import VOLATILE_KEYS, Labels, WorkloadVersion
from discovery.verify.truth import Truth, any_of, every, known, negated

NAMESPACE_NAME = "kubernetes.io/metadata.name"
ACCOUNT_NAME = "name"


class Scope(StrEnum):
    """Whose labels are meant."""

    POD = "pod"
    NAMESPACE = "namespace"
    ACCOUNT = "service account"


class Operator(StrEnum):
    """How a value is compared; NOT_IN and LACKS hold when the key is missing."""

    IN = "in"
    NOT_IN = "not in"
    HAS = "has"
    LACKS = "lacks"
    CONTAINS = "contains"
    STARTS = "starts with"
    ENDS = "ends with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One key and what is asked of its value. ``values`` are sorted; HAS and LACKS take none."""

    scope: Scope
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return ``app in {a, b}``, with the scope unless it is the pod."""
        where = "" if self.scope is Scope.POD else f"{self.scope}'s "
        if self.operator in (Operator.HAS, Operator.LACKS):
            return f"{self.operator} {where}{self.key}"
        return f"{where}{self.key} {self.operator} {{{', '.join(self.values)}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """All of the parts must hold."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """Return the parts with ``and`` between them."""
        return f"({' and '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """One of the parts must hold."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        """Return the parts with ``or`` between them."""
        return f"({' or '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neither:
    """The part must not hold."""

    part: Condition

    def __str__(self) -> str:
        """Return ``not (part)``."""
        return f"not {self.part}"


Condition = Requirement | Both | Either | Neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The labels of each scope; None where no source reported them."""

    pod: Labels
    namespace: Labels | None
    account: Labels | None
    unrecorded: frozenset[str] = frozenset()  # pod labels that ingest leaves out, as they change with every rollout

    @classmethod
    def of(cls, version: WorkloadVersion) -> Attributes:
        """Return the attributes of a workload version. The name of its namespace is always known."""
        account = None
        if version.service_account is not None:
            account = Labels.of({ACCOUNT_NAME: version.service_account})
        return cls(
            pod=version.labels,
            namespace=version.namespace_labels if version.namespace_labels.pairs else None,
            account=account,
            unrecorded=VOLATILE_KEYS,
        )


def holds(condition: Condition, version: WorkloadVersion) -> Truth:
    """Say whether a condition holds for a workload version."""
    return holds_for(condition, Attributes.of(version), version.ref.namespace)


def holds_for(condition: Condition, attributes: Attributes, namespace: str | None) -> Truth:
    """Say whether a condition holds for what has these attributes in a namespace (None: in no namespace)."""
    match condition:
        case Both():
            return every(holds_for(part, attributes, namespace) for part in condition.parts)
        case Either():
            return any_of(holds_for(part, attributes, namespace) for part in condition.parts)
        case Neither():
            return negated(holds_for(condition.part, attributes, namespace))
        case Requirement():
            return _required(condition, attributes, namespace)


def _required(requirement: Requirement, attributes: Attributes, namespace: str | None) -> Truth:
    """Say whether one requirement holds."""
    key = requirement.key
    if requirement.scope is Scope.NAMESPACE:
        if namespace is not None and key == NAMESPACE_NAME:
            return known(_compare(requirement, namespace))
        labels = attributes.namespace
        if namespace is None:  # what is in no namespace has no labels of one
            labels = Labels()
    elif requirement.scope is Scope.ACCOUNT:
        labels = attributes.account
        if key != ACCOUNT_NAME and (labels is None or labels.pairs):  # labels of service accounts are in no flow
            labels = None
        elif labels is None and requirement.operator is Operator.HAS:  # every pod has one, whatever its name
            return Truth.YES
    else:
        labels = attributes.pod
        if key in attributes.unrecorded and labels.get(key) is None:
            labels = None
    return Truth.MAYBE if labels is None else known(_compare(requirement, labels.get(key)))


def _compare(requirement: Requirement, value: str | None) -> bool:
    """Say whether a value, or None for a missing key, is what is asked."""
    match requirement.operator:
        case Operator.HAS:
            return value is not None
        case Operator.LACKS:
            return value is None
        case Operator.NOT_IN:
            return value is None or value not in requirement.values
        case Operator.IN:
            return value is not None and value in requirement.values
        case Operator.CONTAINS:
            return value is not None and requirement.values[0] in value
        case Operator.STARTS:
            return value is not None and value.startswith(requirement.values[0])
        case Operator.ENDS:
            return value is not None and value.endswith(requirement.values[0])
