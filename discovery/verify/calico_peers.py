"""Ends of Calico's rules: endpoints, network sets and prefixes, and what they must not be.

Semantics: the Calico policy reference. In a namespaced policy a selector without ``namespaceSelector`` means pods and
network sets of the policy's namespace, in a global one of everywhere. Selectors of global policies may also mean host
endpoints, of which flows say nothing.
"""

from __future__ import annotations

import re
from typing import Any

from discovery.model.workload import Labels
from discovery.verify.conditions import (
    ACCOUNT_NAME,
    NAMESPACE_NAME,
    Attributes,
    Both,
    Condition,
    Operator,
    Requirement,
    Scope,
    holds_for,
)
from discovery.verify.context import Context, NetworkSet
from discovery.verify.fields import NotEvaluatedError, mapping, only, sequence, shown, string
from discovery.verify.nets import Network, cidr_match, parse_prefix
from discovery.verify.rules import (
    AllMatch,
    AnyMatch,
    CidrMatch,
    ExceptMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    UnclearMatch,
)
from discovery.verify.selectors import EVERYTHING, NOTHING, parse_selector, split_pairs
from discovery.verify.truth import Truth

PEER_FIELDS = ("nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts", "services")
_NAMESPACE_KEYS = (NAMESPACE_NAME, "projectcalico.org/name")
_ACCOUNT_KEYS = ("projectcalico.org/name",)
_HOST_ENDPOINTS = UnclearMatch(what="host endpoints by label", nodes=True)
_GLOBAL = re.compile(r"\s*global\(\s*\)\s*")


def pod_condition(key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
    """Return what a key of an endpoint selector asks, labels that Calico adds to pods included.

    Raises ``ValueError`` for one of those that is not evaluated.
    """
    if key == "projectcalico.org/namespace":
        return Requirement(scope=Scope.NAMESPACE, key=NAMESPACE_NAME, operator=operator, values=values)
    if key == "projectcalico.org/serviceaccount":
        return Requirement(scope=Scope.ACCOUNT, key=ACCOUNT_NAME, operator=operator, values=values)
    if key.startswith("pcns."):
        return namespace_condition(key.removeprefix("pcns."), operator, values)
    if key.startswith("pcsa."):
        return account_condition(key.removeprefix("pcsa."), operator, values)
    if key == "projectcalico.org/orchestrator" and operator in (Operator.IN, Operator.HAS):
        # Network sets do not have this label, pods do: what a pod alone has is a service account.
        pods = Requirement(scope=Scope.ACCOUNT, key=ACCOUNT_NAME, operator=Operator.HAS)
        return pods if operator is Operator.HAS or "k8s" in values else NOTHING
    if key.startswith("projectcalico.org/"):
        raise ValueError(f"automatic label {shown(key)} is not evaluated")
    return Requirement(scope=Scope.POD, key=key, operator=operator, values=values)


def namespace_condition(key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
    """Return what a key of a namespace selector asks."""
    name = NAMESPACE_NAME if key in _NAMESPACE_KEYS else key
    return Requirement(scope=Scope.NAMESPACE, key=name, operator=operator, values=values)


def account_condition(key: str, operator: Operator, values: tuple[str, ...]) -> Condition:
    """Return what a key of a service account selector asks."""
    name = ACCOUNT_NAME if key in _ACCOUNT_KEYS else key
    return Requirement(scope=Scope.ACCOUNT, key=name, operator=operator, values=values)


def pods_where(conditions: list[Condition], namespace: str | None) -> PodMatch:
    """Return the pods for which all conditions hold, in a namespace (None: any), as pairs where they are pairs."""
    flat = [part for one in conditions for part in (one.parts if isinstance(one, Both) else (one,))]
    labels, more = split_pairs(Both(parts=tuple(flat)), Scope.POD)
    wanted, more = split_pairs(Both(parts=more), Scope.NAMESPACE)
    accounts, more = split_pairs(Both(parts=more), Scope.ACCOUNT)
    places, names = wanted.as_dict(), accounts.as_dict()
    place = places.pop(NAMESPACE_NAME, None)
    account = names.pop(ACCOUNT_NAME, None)
    rest = [namespace_condition(key, Operator.IN, (value,)) for key, value in places.items() if place or namespace]
    labelled = {} if rest else places
    if namespace is not None and place not in (None, namespace):
        rest.append(NOTHING)
    rest += [account_condition(key, Operator.IN, (value,)) for key, value in names.items()]
    return PodMatch(
        namespace=namespace or place,
        labels=labels,
        service_account=account,
        namespace_labels=type(labels).of(labelled),
        where=tuple(sorted({*more, *rest}, key=str)),
    )


def read_end(end: dict[str, Any], where: str, namespace: str | None, context: Context) -> tuple[PeerMatch, ...]:
    """Read one end of a rule: what it must be and must not be; nothing is anybody. ``namespace`` None is a global
    policy's.
    """
    parts: list[tuple[PeerMatch, ...]] = []
    # In a namespaced policy any selector binds the end to the namespace, a negated one too.
    binding = ("selector", "namespaceSelector", "serviceAccounts", *(("notSelector",) if namespace is not None else ()))
    if any(end.get(key) not in (None, "") for key in binding):
        parts.append(_read_endpoints(end, where, namespace, context))
    if end.get("nets") is not None:
        parts.append((_read_nets(end["nets"], f"{where}.nets"),))
    if end.get("notNets") is not None:
        refused = _read_nets(end["notNets"], f"{where}.notNets")
        if {"0.0.0.0/0", "::/0"} & set(refused.prefixes):
            raise NotEvaluatedError(f"{where}.notNets", "all addresses are refused here")
        parts.append((ExceptMatch(part=refused),))
    if end.get("notSelector") not in (None, ""):
        condition = parse_selector(end["notSelector"], f"{where}.notSelector", pod_condition)
        parts.append((ExceptMatch(part=OneMatch(parts=_endpoints([condition], None, context, everywhere=True))),))
    if end.get("services") is not None:
        parts.append((UnclearMatch(what="the endpoints of a Service"),))
    if not parts:
        return (AnyMatch(),)
    if len(parts) == 1:
        return parts[0]
    return (AllMatch(parts=tuple(one[0] if len(one) == 1 else OneMatch(parts=one) for one in parts)),)


def families(end: dict[str, Any]) -> set[int]:
    """Return the address families of the prefixes of an end that was read."""
    return {parse_prefix(net).version for key in ("nets", "notNets") for net in end.get(key) or ()}


def _read_endpoints(end: dict[str, Any], where: str, namespace: str | None, context: Context) -> tuple[PeerMatch, ...]:
    """Read the selectors of an end."""
    given = end.get("selector")
    conditions = [EVERYTHING if given is None else parse_selector(given, f"{where}.selector", pod_condition)]
    place = end.get("namespaceSelector")
    accounts = _read_accounts(end.get("serviceAccounts"), f"{where}.serviceAccounts")
    if isinstance(place, str) and _GLOBAL.fullmatch(place):
        if accounts != [[]]:  # what is in no namespace has no service account
            return ()
        sets = _sets(conditions, [one for one in context.sets if one.namespace is None])
        return (*sets, *_unread_sets(context), _HOST_ENDPOINTS)
    if place not in (None, ""):
        conditions.append(parse_selector(place, f"{where}.namespaceSelector", namespace_condition))
    everywhere = namespace is None and place in (None, "") and accounts == [[]]
    home = None if place not in (None, "") else namespace
    return tuple(
        peer for account in accounts for peer in _endpoints(conditions + account, home, context, everywhere=everywhere)
    )


def _endpoints(
    conditions: list[Condition], namespace: str | None, context: Context, *, everywhere: bool
) -> tuple[PeerMatch, ...]:
    """Return the pods, network sets and, where namespaces do not matter, host endpoints that conditions pick."""
    near = [one for one in context.sets if namespace in (None, one.namespace) and (everywhere or one.namespace)]
    hosts = (_HOST_ENDPOINTS,) if everywhere else ()
    return (pods_where(conditions, namespace), *_sets(conditions, near), *_unread_sets(context), *hosts)


def _sets(conditions: list[Condition], sets: list[NetworkSet]) -> tuple[PeerMatch, ...]:
    """Return the addresses of the network sets that conditions pick; those that they may pick are unclear."""
    networks: list[Network] = []
    unclear: list[str] = []
    for one in sets:
        attributes = Attributes(pod=one.labels, namespace=None, account=Labels())
        truth = min((holds_for(condition, attributes, one.namespace) for condition in conditions), default=Truth.YES)
        if truth is Truth.YES:
            networks += one.networks
        elif truth is Truth.MAYBE:
            unclear.append(one.name)
    found: tuple[PeerMatch, ...] = (cidr_match(networks),) if networks else ()
    return found + ((UnclearMatch(what=f"network set {shown(unclear[0])}"),) if unclear else ())


def _unread_sets(context: Context) -> tuple[PeerMatch, ...]:
    """Return what stands for network sets that could not be read."""
    return () if context.sets_known else (UnclearMatch(what="a network set that could not be read"),)


def _read_nets(value: Any, where: str) -> CidrMatch:
    """Read prefixes."""
    nets = sequence(value, where)
    if not nets:
        raise NotEvaluatedError(where, "an empty list is not evaluated")
    try:
        return cidr_match([parse_prefix(string(net, where)) for net in nets])
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error


def _read_accounts(value: Any, where: str) -> list[list[Condition]]:
    """Read ``serviceAccounts`` into alternatives, each a list of conditions; missing is any account."""
    if value is None:
        return [[]]
    found = only(mapping(value, where), ("names", "selector"), where)
    names = [string(name, f"{where}.names") for name in sequence(found.get("names"), f"{where}.names")]
    more = []
    if found.get("selector") not in (None, ""):
        more.append(parse_selector(found["selector"], f"{where}.selector", account_condition))
    if not names and not more:
        raise NotEvaluatedError(where, "neither names nor a selector is there")
    named = [[account_condition(_ACCOUNT_KEYS[0], Operator.IN, (name,)), *more] for name in names]
    return named or [more]
