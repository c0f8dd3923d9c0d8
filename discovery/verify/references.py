"""Reads what policies refer to: CIDR groups of Cilium, network sets and tiers of Calico."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.verify.calico import read_order
from discovery.verify.context import CidrGroup, Context, NetworkSet
from discovery.verify.fields import (
    Head,
    Notes,
    NotEvaluatedError,
    mapping,
    match_labels,
    read_head,
    sequence,
    shown,
    string,
)
from discovery.verify.nets import Network, parse_prefix, parse_target
from discovery.verify.rules import Action, Tier

_CALICO = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
_CILIUM = ("cilium.io/v2", "cilium.io/v2alpha1")
_GROUP = "CiliumCIDRGroup"
_SETS = ("NetworkSet", "GlobalNetworkSet")
_DEFAULTS = {"Deny": Action.DENY, "Pass": Action.PASS}


def read_references(documents: Iterable[tuple[str, Any]]) -> tuple[Context, tuple[Diagnostic, ...]]:
    """Return what documents, each with its source, define for policies, and what could not be read.

    A group or tier that could not be read is not there, so that policies that refer to it are unknown; a network set
    that could not be read may hold any address.
    """
    groups: dict[str, CidrGroup] = {}
    sets: list[NetworkSet] = []
    tiers: list[Tier] = []
    found: list[Diagnostic] = []
    unread: set[object] = set()
    forwards = False
    for source, document in documents:
        if not isinstance(document, dict):
            continue
        forwards = forwards or _forwards(document)
        kind = document.get("kind")
        notes = Notes(source)
        try:
            if kind == _GROUP and document.get("apiVersion") in _CILIUM:
                group = _read_group(document)
                groups[group.name] = group
            elif kind in _SETS and document.get("apiVersion") in _CALICO:
                sets.append(_read_set(document, notes))
            elif kind == "Tier" and document.get("apiVersion") in _CALICO:
                tiers.append(_read_tier(document))
        except NotEvaluatedError as error:
            notes.reject(error)
            unread.add(kind)
        found += notes.found
    context = Context(
        cidr_groups=groups,
        sets=tuple(sets),
        tiers=tuple(tiers),
        sets_known=not unread & set(_SETS),
        groups_known=_GROUP not in unread,
        forwards=forwards,
    )
    return context, tuple(found)


def _forwards(document: dict[str, Any]) -> bool:
    """Say whether a document is a policy of Calico that applies to forwarded traffic, or may."""
    spec = document.get("spec")
    return document.get("apiVersion") in _CALICO and isinstance(spec, dict) and bool(spec.get("applyOnForward"))


def _labels(document: dict[str, Any]) -> Any:
    """Return the labels of an object as a selector reads them."""
    metadata = mapping(document.get("metadata"), "metadata")
    return match_labels({"matchLabels": metadata.get("labels")}, "metadata.labels")


def _read_group(document: dict[str, Any]) -> CidrGroup:
    """Read one CiliumCIDRGroup."""
    head = read_head(document)
    spec = mapping(document.get("spec"), "spec")
    networks = _networks(spec.get("externalCIDRs"), "spec.externalCIDRs")
    return CidrGroup(name=head.name, labels=_labels(document), networks=networks)


def _read_set(document: dict[str, Any], notes: Notes) -> NetworkSet:
    """Read one NetworkSet or GlobalNetworkSet."""
    head = read_head(document)
    spec = mapping(document.get("spec"), "spec")
    networks = _networks(spec.get("nets"), "spec.nets")
    namespace = None if head.kind == "GlobalNetworkSet" else _home(head, notes)
    return NetworkSet(name=head.name, namespace=namespace, labels=_labels(document), networks=networks)


def _home(head: Head, notes: Notes) -> str:
    """Return the namespace of a set; a missing one is ``default``, with a warning."""
    if head.namespace is None:
        notes.warn("namespace-assumed", f"{head.kind} {shown(head.name)} has no namespace; read as 'default'")
    return head.namespace or "default"


def _read_tier(document: dict[str, Any]) -> Tier:
    """Read one Tier; a missing order comes last, a missing default action is Deny."""
    head = read_head(document)
    spec = mapping(document.get("spec"), "spec")
    action = spec.get("defaultAction", "Deny")
    if not isinstance(action, str) or action not in _DEFAULTS:
        raise NotEvaluatedError("spec.defaultAction", f"{shown(action)} is not Deny or Pass")
    return Tier(name=head.name, order=read_order(spec.get("order")), default=_DEFAULTS[action])


def _networks(value: Any, where: str) -> tuple[Network, ...]:
    """Read prefixes and bare addresses."""
    try:
        return tuple(
            parse_prefix(text) if "/" in text else parse_target(text)
            for text in (string(item, where) for item in sequence(value, where))
        )
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error
