"""Peers of Cilium's rules: endpoint selectors, entities, prefixes, names, and what cannot be told from flows.

Semantics: the Cilium policy reference and the agent's rule resolution. Peers of a namespaced policy without any key of
a namespace are in the policy's own; labels that Cilium leaves out of identities by default may be none of one here.
"""

from __future__ import annotations

import re
from typing import Any

from discovery.model.workload import Entity, Labels
from discovery.verify.conditions import (
    ACCOUNT_NAME,
    NAMESPACE_NAME,
    Attributes,
    Condition,
    Operator,
    Requirement,
    Scope,
    holds_for,
)
from discovery.verify.context import Context
from discovery.verify.fields import (
    NotEvaluatedError,
    label_selector,
    mapping,
    only,
    requirements,
    sequence,
    shown,
    string,
)
from discovery.verify.nets import Network, cidr_match, parse_prefix, parse_target, subtract
from discovery.verify.rules import (
    AllMatch,
    AnyMatch,
    EntityMatch,
    LocalMatch,
    NameMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    UnclearMatch,
)
from discovery.verify.truth import Truth, every

NAMESPACE_KEY = "io.kubernetes.pod.namespace"
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."

# Keys that Cilium leaves out of identities by default: a selector on one of them matches nothing.
_OUT_PREFIXES = (
    "io.kubernetes",
    "kubernetes.io",
    "k8s.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
    "etcd_node",
    "topology.kubernetes.io",
)
_OUT_KEYS = (
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
)
# Members whose peers are in no flow: labels of nodes, groups of a cloud, the pods and addresses of a Service.
_UNCLEAR = {
    "Nodes": UnclearMatch(what="nodes by label", nodes=True),
    "Groups": UnclearMatch(what="groups of a cloud provider"),
    "Services": UnclearMatch(what="Services"),
}
_NAME = re.compile(r"[-a-z0-9_.]{1,255}")
_PATTERN = re.compile(r"[-a-z0-9_.*]{1,255}")
_ONE_FAMILY = UnclearMatch(what="whether the cluster has one address family")
_CLUSTER_ENTITIES = tuple(EntityMatch(entity=entity) for entity in Entity if entity is not Entity.WORLD)


def read_peers(kind: str, value: Any, where: str, namespace: str | None, context: Context) -> tuple[PeerMatch, ...]:
    """Read the L3 member of a rule (``kind`` without ``from``/``to``); an empty list is nobody."""
    items = sequence(value, where)
    if kind == "Endpoints":
        return tuple(read_selector(item, f"{where}[{n}]", namespace) for n, item in enumerate(items))
    if kind == "Entities":
        return tuple(peer for item in items for peer in _read_entity(item, where))
    if kind == "FQDNs":
        return tuple(_read_name(item, f"{where}[{n}]") for n, item in enumerate(items))
    if kind in _UNCLEAR:
        return (_UNCLEAR[kind],) if items else ()
    networks: list[Network] = []
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        given = {"cidr": item} if kind == "CIDR" else mapping(item, place)
        networks += _read_cidr(given, place, context)
    return (cidr_match(networks),) if networks else ()


def read_selector(selector: Any, where: str, namespace: str | None) -> PeerMatch:
    """Read the selector of a peer; one of a reserved label means that entity."""
    wanted = requirements(selector, where)
    reserved = [key.removeprefix("reserved:") for key, _, _ in wanted if key.startswith("reserved:")]
    if reserved:
        (operator,) = {operator for _, operator, _ in wanted} if len(wanted) == 1 else (None,)
        if operator not in (Operator.IN, Operator.HAS) or reserved[0] not in list(Entity):
            raise NotEvaluatedError(where, f"reserved label {shown(reserved[0])} is not evaluated like this")
        match = EntityMatch(entity=Entity(reserved[0]))
        # With both address families the outside has other labels (world-ipv4, world-ipv6), which this one is not.
        return AllMatch(parts=(match, _ONE_FAMILY)) if match.entity is Entity.WORLD else match
    return read_pods(selector, where, namespace)


def read_pods(selector: Any, where: str, namespace: str | None) -> PodMatch:
    """Read an endpoint selector; without a key of a namespace it means ``namespace`` (None: any)."""
    pairs: dict[tuple[Scope | str, str], str] = {}
    more: list[Condition] = []
    placed = False
    for raw, operator, values in requirements(selector, where):
        scope, key = _scoped(raw, where)
        placed = placed or scope is Scope.NAMESPACE
        single = operator is Operator.IN and len(values) == 1
        if scope == CLUSTER_KEY and not single:
            raise NotEvaluatedError(where, "clusters are evaluated by one name alone")
        if single and (scope, key) not in pairs:
            pairs[scope, key] = values[0]
        elif not isinstance(scope, Scope):
            raise NotEvaluatedError(where, "a cluster is named twice")
        else:
            more.append(Requirement(scope=scope, key=key, operator=operator, values=values))
    home = None if placed else namespace
    further = {
        key: value for (scope, key), value in pairs.items() if scope is Scope.NAMESPACE and key != NAMESPACE_NAME
    }
    return PodMatch(
        cluster=pairs.get((CLUSTER_KEY, "")),
        namespace=pairs.get((Scope.NAMESPACE, NAMESPACE_NAME), home),
        labels=Labels.of({key: value for (scope, key), value in pairs.items() if scope is Scope.POD}),
        service_account=pairs.get((Scope.ACCOUNT, ACCOUNT_NAME)),
        namespace_labels=Labels.of(further),
        where=tuple(sorted(set(more), key=str)),
    )


def _scoped(raw: str, where: str) -> tuple[Scope | str, str]:
    """Return whose label a key of a selector is, and the key there."""
    source, colon, rest = raw.partition(":")
    if colon and source not in ("k8s", "any"):
        raise NotEvaluatedError(where, f"label source of {shown(raw)} is not evaluated")
    key = rest if colon else raw
    if key == NAMESPACE_KEY:
        return Scope.NAMESPACE, NAMESPACE_NAME
    if key == ACCOUNT_KEY:
        return Scope.ACCOUNT, ACCOUNT_NAME
    if key == CLUSTER_KEY:
        return CLUSTER_KEY, ""
    if key.startswith(_NAMESPACE_LABEL):
        return Scope.NAMESPACE, key.removeprefix(_NAMESPACE_LABEL)
    if not key:
        raise NotEvaluatedError(where, "empty label key")
    if key.startswith(_OUT_PREFIXES) or key in _OUT_KEYS or "beta.kubernetes.io" in key:
        raise NotEvaluatedError(
            where, f"label {shown(key)} is not part of a Cilium identity by default: it matches nothing"
        )
    return Scope.POD, key


def _read_entity(value: Any, where: str) -> tuple[PeerMatch, ...]:
    """Read one entity name; ``cluster`` is every pod of the local cluster and everything in it that is no pod."""
    if value == "all":
        return (AnyMatch(),)
    if value == "none":
        return ()
    if value == "cluster":
        return (OneMatch(parts=(LocalMatch(), *_CLUSTER_ENTITIES)),)
    if not isinstance(value, str) or value not in list(Entity):
        raise NotEvaluatedError(where, f"entity {shown(value)} is not evaluated")
    return (EntityMatch(entity=Entity(value)),)


def _read_name(item: Any, where: str) -> PeerMatch:
    """Read one name or pattern; names are compared in lower case, without their last dot."""
    found = only(mapping(item, where), ("matchName", "matchPattern"), where)
    if len(found) != 1:
        raise NotEvaluatedError(where, "exactly one of matchName and matchPattern is asked for")
    ((kind, value),) = found.items()
    text = string(value, f"{where}.{kind}").lower().rstrip(".")
    if not (_NAME if kind == "matchName" else _PATTERN).fullmatch(text):
        raise NotEvaluatedError(f"{where}.{kind}", f"{shown(value)} is no name that Cilium takes")
    return NameMatch(patterns=(text,))


def _read_cidr(item: dict[str, Any], where: str, context: Context) -> list[Network]:
    """Read one CIDR item; ``except`` is subtracted exactly. A bare address is its own prefix (Cilium up to 1.19)."""
    only(item, ("cidr", "cidrGroupRef", "cidrGroupSelector", "except"), where)
    given = [key for key in ("cidr", "cidrGroupRef", "cidrGroupSelector") if item.get(key) is not None]
    if len(given) != 1:
        raise NotEvaluatedError(where, "exactly one of cidr, cidrGroupRef and cidrGroupSelector is asked for")
    try:
        holes = [
            parse_prefix(string(hole, f"{where}.except")) for hole in sequence(item.get("except"), f"{where}.except")
        ]
        if given == ["cidr"]:
            text = string(item["cidr"], f"{where}.cidr")
            return subtract(parse_prefix(text) if "/" in text else parse_target(text), holes)
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error
    if holes:
        raise NotEvaluatedError(f"{where}.except", "exceptions from a CIDR group are not evaluated")
    if given == ["cidrGroupRef"]:
        name = string(item["cidrGroupRef"], f"{where}.cidrGroupRef")
        if name not in context.cidr_groups:
            raise NotEvaluatedError(f"{where}.cidrGroupRef", f"CIDR group {shown(name)} is not among the manifests")
        return list(context.cidr_groups[name].networks)
    return _selected(item["cidrGroupSelector"], f"{where}.cidrGroupSelector", context)


def _selected(selector: Any, where: str, context: Context) -> list[Network]:
    """Return the networks of all CIDR groups that a label selector picks."""
    labels, more = label_selector(selector, where, Scope.POD)
    found: list[Network] = []
    for group in context.cidr_groups.values():
        attributes = Attributes(pod=group.labels, namespace=None, account=None)
        if group.labels.matches(labels) and every(holds_for(one, attributes, None) for one in more) is Truth.YES:
            found += group.networks
    if not context.groups_known:
        raise NotEvaluatedError(where, "it may pick a CIDR group that could not be read")
    if not found:
        raise NotEvaluatedError(where, "it picks no CIDR group among the manifests")
    return found
