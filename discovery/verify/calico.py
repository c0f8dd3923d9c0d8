"""Reader of Calico's policies (projectcalico.org/v3): NetworkPolicy, GlobalNetworkPolicy, and their staged forms.

Semantics: the Calico policy reference. Rules decide in order; what they leave to others is for the evaluator, which
knows tiers. Policies for the traffic of hosts before tracking or translation (``doNotTrack``, ``preDNAT``) rule no pod.
A staged policy whose action is not ``Set`` proposes nothing to enforce.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.verify.calico_peers import account_condition, namespace_condition, pod_condition, pods_where
from discovery.verify.calico_rules import read_rule
from discovery.verify.context import NO_CONTEXT, Context
from discovery.verify.fields import (
    NOT_EVALUATED,
    Head,
    Notes,
    NotEvaluatedError,
    home,
    mapping,
    only,
    read_manifest,
    read_rules,
    sequence,
    shown,
    unread,
)
from discovery.verify.rules import Action, PodMatch, ReadPolicy, split_opt_in
from discovery.verify.selectors import EVERYTHING, parse_selector

STAGED_KIND = "StagedNetworkPolicy"
DEFAULT_TIER = "default"
_API = "projectcalico.org/v3"
_STORED = "crd.projectcalico.org/v1"  # what the storage of some installations shows: the same specs
# kind -> (cluster-wide, staged)
_KINDS = {
    "NetworkPolicy": (False, False),
    STAGED_KIND: (False, True),
    "GlobalNetworkPolicy": (True, False),
    "StagedGlobalNetworkPolicy": (True, True),
}
_HOST = "HostEndpoint"
# What policies refer to is read before them; the rest decides nothing about pods.
_REFERRED = ("Tier", "NetworkSet", "GlobalNetworkSet")
_FIELDS = ("tier", "order", "selector", "types", "ingress", "egress", "serviceAccountSelector", "performanceHints")
_GLOBAL_FIELDS = ("namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_NO_ACTIONS = ("Learn", "Ignore")  # Delete proposes to take a policy away, which is not evaluated


def read(
    document: dict[str, Any], source: str, context: Context = NO_CONTEXT
) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per type, and what could not be evaluated. Never raises for bad content."""

    def stand_in(head: Head) -> tuple[ReadPolicy, ...]:
        if head.kind not in _KINDS:
            return ()
        everywhere, staged = _KINDS[head.kind]
        return unread(Dialect.CALICO, head, None if everywhere else head.namespace, source, staged=staged)

    def read_known(head: Head, notes: Notes) -> tuple[ReadPolicy, ...]:
        if head.kind in _REFERRED:  # read before all policies
            return ()
        if head.kind == _HOST:
            return _read_host(head, notes, context)
        everywhere, staged = _KINDS[head.kind]
        namespace = None if everywhere else home(head, notes)
        try:
            return _read_spec(document, head, namespace, notes, context)
        except NotEvaluatedError as error:
            notes.reject(error)
            return unread(Dialect.CALICO, head, namespace, source, staged=staged)

    return read_manifest(document, source, _is_known, read_known, stand_in)


def _is_known(head: Head) -> bool:
    """Say whether a manifest is of a kind and version that is read."""
    return head.kind in _REFERRED or (head.api_version in (_API, _STORED) and head.kind in (*_KINDS, _HOST))


def _read_host(head: Head, notes: Notes, context: Context) -> tuple[ReadPolicy, ...]:
    """Read a host endpoint: nodes are governed, and so is what they forward between pods, where a policy applies to it.
    What that does is not evaluated.
    """
    what = "the traffic of nodes, and all that they forward," if context.forwards else "the traffic of nodes"
    notes.warn(NOT_EVALUATED, f"{head.kind} {shown(head.name)}: what policies do to {what} is not evaluated")
    governed = unread(Dialect.CALICO, head, None, notes.source, staged=False)
    return governed if context.forwards else tuple(replace(one, nodes=True) for one in governed)


def _read_spec(
    document: dict[str, Any], head: Head, namespace: str | None, notes: Notes, context: Context
) -> tuple[ReadPolicy, ...]:
    """Read the spec of one manifest."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "status"), "document")
    staged = _KINDS[head.kind][1]
    known = _FIELDS + (_GLOBAL_FIELDS if namespace is None else ()) + (("stagedAction",) if staged else ())
    spec = only(mapping(document.get("spec"), "spec"), known, "spec")
    if not _decides(spec, notes):
        return ()
    tier = spec.get("tier") or DEFAULT_TIER
    if not isinstance(tier, str):
        raise NotEvaluatedError("spec.tier", f"expected a name, found {shown(tier)}")
    subject, opt_in = _read_subject(spec, namespace)
    policies = []
    for direction in _directions(spec, notes):
        rules = read_rules(
            spec.get(direction.value),
            f"spec.{direction}",
            partial(read_rule, direction=direction, namespace=namespace, context=context),
            notes,
        )
        policies.append(
            ReadPolicy(
                dialect=Dialect.CALICO,
                kind=head.kind,
                name=head.name,
                namespace=namespace,
                subject=subject,
                opt_in=opt_in,
                direction=direction,
                isolates=True,
                staged=staged,
                rules=rules.rules,
                source=notes.source,
                unread=frozenset() if rules.complete else frozenset(Action),
                needs=("staged",) if staged else (),
                tier=tier,
                order=read_order(spec.get("order")),
            )
        )
    return tuple(policies)


def read_order(value: Any) -> float:
    """Read an order; a missing one comes last. Raises :class:`NotEvaluatedError` for what is no number."""
    if value is None:
        return math.inf
    try:
        order = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        order = math.nan
    if math.isnan(order):
        raise NotEvaluatedError("spec.order", f"expected a number, found {shown(value)}")
    return order


def _decides(spec: dict[str, Any], notes: Notes) -> bool:
    """Say whether a policy decides anything about pods, and say so where it does not."""
    action = spec.get("stagedAction", "Set")
    if action != "Set":
        if action not in _NO_ACTIONS:
            raise NotEvaluatedError("spec.stagedAction", f"{shown(action)} is not evaluated")
        notes.warn("no-effect", f"spec.stagedAction is {action}: it proposes no policy to enforce")
        return False
    for name in ("doNotTrack", "preDNAT"):
        if spec.get(name):
            notes.warn(
                NOT_EVALUATED, f"spec.{name}: policies of the traffic of hosts are not evaluated; none rules pods"
            )
            return False
    return True


def _read_subject(spec: dict[str, Any], namespace: str | None) -> tuple[PodMatch, bool]:
    """Read ``selector``, ``namespaceSelector`` and ``serviceAccountSelector``."""
    conditions = [
        EVERYTHING if spec.get(name) is None else parse_selector(spec[name], f"spec.{name}", make)
        for name, make in (
            ("selector", pod_condition),
            ("namespaceSelector", namespace_condition),
            ("serviceAccountSelector", account_condition),
        )
    ]
    chosen = pods_where(conditions, namespace)
    labels, opt_in = split_opt_in(chosen.labels)
    return PodMatch(
        namespace=chosen.namespace,
        labels=labels,
        service_account=chosen.service_account,
        namespace_labels=chosen.namespace_labels,
        where=chosen.where,
    ), opt_in


def _directions(spec: dict[str, Any], notes: Notes) -> list[Direction]:
    """Return the isolated directions; without ``types`` they follow from the rules."""
    types = sequence(spec.get("types"), "spec.types")
    if not types:
        egress = bool(sequence(spec.get("egress"), "spec.egress"))
        ingress = bool(sequence(spec.get("ingress"), "spec.ingress")) or not egress
        return ([Direction.EGRESS] if egress else []) + ([Direction.INGRESS] if ingress else [])
    found: list[Direction] = []
    for value in types:
        if not isinstance(value, str) or value not in _TYPES or _TYPES[value] in found:
            raise NotEvaluatedError("spec.types", f"{shown(value)} is unknown or there twice")
        found.append(_TYPES[value])
    for direction in sorted(set(Direction) - set(found)):
        if spec.get(direction.value):
            notes.warn("no-effect", f"spec.{direction} has rules but types leaves the direction out: they do nothing")
    return sorted(found)
