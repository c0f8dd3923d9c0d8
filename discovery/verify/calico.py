"""Reader of Calico NetworkPolicy and StagedNetworkPolicy (projectcalico.org/v3).

Semantics: the Calico policy reference. Only Allow rules are evaluated: in one tier they are a union with the tier's
final deny (in tier ``default`` together with the Kubernetes policies); what several tiers mean together is left to the
evaluator. Deny, Pass and Log, negations, source ports, named ports, services and HTTP are not evaluated. Selectors are
taken to match pods alone: NetworkSets and HostEndpoints are not known here.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import MAX_PORT, PortSet
from discovery.model.workload import Labels
from discovery.verify.fields import (
    Head,
    Notes,
    NotEvaluatedError,
    home,
    integer,
    mapping,
    only,
    read_head,
    read_rules,
    sequence,
    shown,
    string,
    unread,
)
from discovery.verify.nets import Network, cidr_match, parse_prefix
from discovery.verify.rules import (
    ALL_ICMP_TYPES,
    Action,
    AnyMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    all_icmp,
    all_ports,
    rules_for,
    split_opt_in,
)
from discovery.verify.selectors import parse_selector

STAGED_KIND = "StagedNetworkPolicy"
_API = "projectcalico.org/v3"
_KINDS = ("NetworkPolicy", STAGED_KIND)
_CLUSTER_KINDS = {"GlobalNetworkPolicy": False, "StagedGlobalNetworkPolicy": True}
_FIELDS = ("tier", "order", "selector", "types", "ingress", "egress", "serviceAccountSelector")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_NAMESPACE_KEYS = ("kubernetes.io/metadata.name", "projectcalico.org/name")
_ACCOUNT_KEY = "projectcalico.org/name"
_PEER_FIELDS = ("nets", "selector", "namespaceSelector", "serviceAccounts")
_PORTS = re.compile(r"([0-9]{1,5})(?::([0-9]{1,5}))?")
_MAX_ICMP_TYPE = 254
DEFAULT_TIER = "default"


def read(document: dict[str, Any], source: str) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per type, and what could not be evaluated. Never raises for bad content."""
    notes = Notes(source)
    try:
        head = read_head(document)
    except NotEvaluatedError as error:
        notes.reject(error)
        return (), tuple(notes.found)
    policies: tuple[ReadPolicy, ...]
    if head.api_version != _API or head.kind not in _KINDS:
        notes.reject(NotEvaluatedError("kind", f"{shown(head.api_version)} {shown(head.kind)} is not evaluated"))
        return _stand_in(head, source), tuple(notes.found)
    namespace = home(head, notes)
    try:
        policies = _read_spec(document, head, namespace, notes)
    except NotEvaluatedError as error:
        notes.reject(error)
        policies = unread(Dialect.CALICO, head, namespace, source, staged=head.kind == STAGED_KIND)
    return policies, tuple(notes.found)


def _stand_in(head: Head, source: str) -> tuple[ReadPolicy, ...]:
    """Return what stands for a Calico kind that is not evaluated: any policy kind may do anything."""
    if head.kind in _CLUSTER_KINDS:
        return unread(Dialect.CALICO, head, None, source, staged=_CLUSTER_KINDS[head.kind])
    if head.kind in _KINDS:
        return unread(Dialect.CALICO, head, head.namespace, source, staged=head.kind == STAGED_KIND)
    return ()


def _read_spec(document: dict[str, Any], head: Head, namespace: str, notes: Notes) -> tuple[ReadPolicy, ...]:
    """Read the spec of one manifest."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "status"), "document")
    staged = head.kind == STAGED_KIND
    spec = only(mapping(document.get("spec"), "spec"), (*_FIELDS, "stagedAction") if staged else _FIELDS, "spec")
    if staged and spec.get("stagedAction", "Set") != "Set":
        raise NotEvaluatedError("spec.stagedAction", f"{shown(spec['stagedAction'])} is not evaluated")
    tier = spec.get("tier") or DEFAULT_TIER
    if not isinstance(tier, str):
        raise NotEvaluatedError("spec.tier", f"expected a name, found {shown(tier)}")
    order = spec.get("order")
    if order is not None and (isinstance(order, bool) or not isinstance(order, (int, float))):
        raise NotEvaluatedError("spec.order", f"expected a number, found {shown(order)}")
    subject, opt_in = _read_subject(spec, namespace)
    policies = []
    for direction in _directions(spec, notes):
        rules = read_rules(
            spec.get(direction.value),
            f"spec.{direction}",
            partial(_read_rule, direction=direction, namespace=namespace),
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
            )
        )
    return tuple(policies)


def _read_subject(spec: dict[str, Any], namespace: str) -> tuple[PodMatch, bool]:
    """Read ``selector`` and ``serviceAccountSelector``."""
    labels, opt_in = split_opt_in(_pod_labels(spec.get("selector"), "spec.selector"))
    accounts = _selector(spec.get("serviceAccountSelector"), "spec.serviceAccountSelector").as_dict()
    account = accounts.pop(_ACCOUNT_KEY, None)
    if accounts:
        raise NotEvaluatedError("spec.serviceAccountSelector", "service accounts are evaluated by name alone")
    return PodMatch(namespace=namespace, labels=labels, service_account=account), opt_in


def _selector(text: Any, where: str) -> Labels:
    """Read a selector; a missing one requires nothing."""
    return Labels() if text is None else parse_selector(text, where)


def _pod_labels(text: Any, where: str) -> Labels:
    """Read a pod selector; labels that Calico adds by itself are not known here."""
    labels = _selector(text, where)
    for key, _ in labels.pairs:
        if key.startswith(("projectcalico.org/", "pcns.", "pcsa.")):
            raise NotEvaluatedError(where, f"automatic label {shown(key)} is not evaluated")
    return labels


def _directions(spec: dict[str, Any], notes: Notes) -> list[Direction]:
    """Return the isolated directions; without ``types`` they follow from the rules."""
    types = sequence(spec.get("types"), "spec.types")
    if not types:
        egress = bool(spec.get("egress"))
        ingress = bool(spec.get("ingress")) or not egress
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


def _read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, namespace: str
) -> tuple[list[ReadRule], set[str]]:
    """Read one rule into one :class:`ReadRule` per protocol."""
    only(item, ("action", "protocol", "icmp", "ipVersion", "source", "destination"), where)
    if item.get("action") != "Allow":
        raise NotEvaluatedError(f"{where}.action", f"action {shown(item.get('action'))} is not evaluated")
    source = mapping(item.get("source"), f"{where}.source")
    destination = mapping(item.get("destination"), f"{where}.destination")
    if direction is Direction.INGRESS:
        only(source, _PEER_FIELDS, f"{where}.source")
        only(destination, ("ports",), f"{where}.destination")
        peer, place = source, f"{where}.source"
    else:
        only(source, (), f"{where}.source")
        only(destination, (*_PEER_FIELDS, "ports"), f"{where}.destination")
        peer, place = destination, f"{where}.destination"
    peers, families = _read_peers(peer, place, namespace)
    protocol = _read_protocol(item, where)
    _check_family(item.get("ipVersion"), protocol, families, where)
    ports = sequence(destination.get("ports"), f"{where}.destination.ports")
    return _read_l4(peers, protocol, ports, item, where), set()


def _read_l4(
    peers: tuple[PeerMatch, ...], protocol: Protocol | None, ports: list[Any], item: dict[str, Any], where: str
) -> list[ReadRule]:
    """Read protocol, ports and ICMP types."""
    if ports and (protocol is None or not protocol.has_ports):
        raise NotEvaluatedError(f"{where}.destination.ports", "ports need protocol TCP, UDP or SCTP")
    icmp = only(mapping(item.get("icmp"), f"{where}.icmp"), ("type",), f"{where}.icmp")
    if item.get("icmp") is not None and (protocol is None or protocol.has_ports):
        raise NotEvaluatedError(f"{where}.icmp", "icmp needs protocol ICMP or ICMPv6")
    if protocol is None:
        return rules_for(peers, all_ports(), all_icmp())
    if protocol.has_ports:
        allowed = PortSet.all()
        if ports:
            allowed = PortSet.from_intervals(
                _read_port(port, f"{where}.destination.ports[{n}]") for n, port in enumerate(ports)
            )
        return rules_for(peers, {protocol: allowed}, {})
    types = ALL_ICMP_TYPES
    if item.get("icmp") is not None:
        types = (integer(icmp.get("type"), 0, _MAX_ICMP_TYPE, f"{where}.icmp.type"),)
    return rules_for(peers, {}, {protocol: types})


def _read_protocol(item: dict[str, Any], where: str) -> Protocol | None:
    """Read the protocol; None is every protocol. Numbers are not evaluated."""
    name = item.get("protocol")
    if name is None:
        return None
    if not isinstance(name, str) or name not in list(Protocol):
        raise NotEvaluatedError(f"{where}.protocol", f"{shown(name)} is not evaluated")
    return Protocol(name)


def _check_family(version: Any, protocol: Protocol | None, families: set[int], where: str) -> None:
    """Accept ``ipVersion`` where it says what the rule says anyway, and refuse it elsewhere."""
    implied = set(families)
    if protocol is Protocol.ICMP:
        implied.add(4)
    if protocol is Protocol.ICMPV6:
        implied.add(6)
    if len(implied) > 1:
        raise NotEvaluatedError(where, "IPv4 and IPv6 in one rule are refused")
    if version is not None and (not isinstance(version, int) or implied != {int(version)}):
        raise NotEvaluatedError(f"{where}.ipVersion", f"ipVersion {shown(version)} is not evaluated here")


def _read_peers(peer: dict[str, Any], where: str, namespace: str) -> tuple[tuple[PeerMatch, ...], set[int]]:
    """Read the peer of a rule: nothing = any, nets, or pods. The second value is the address families of nets."""
    given = {key for key in _PEER_FIELDS if peer.get(key) not in (None, "")}
    if "nets" in given:
        if len(given) > 1:
            raise NotEvaluatedError(where, "nets together with selectors are not evaluated")
        networks = [_read_net(net, f"{where}.nets") for net in sequence(peer["nets"], f"{where}.nets")]
        if not networks:
            raise NotEvaluatedError(f"{where}.nets", "an empty list is not evaluated")
        return (cidr_match(networks),), {network.version for network in networks}
    if not given:
        return (AnyMatch(),), set()
    labels = _pod_labels(peer.get("selector"), f"{where}.selector")
    place, more = _read_namespace(peer.get("namespaceSelector"), f"{where}.namespaceSelector", namespace)
    accounts = _read_accounts(peer.get("serviceAccounts"), f"{where}.serviceAccounts")
    return tuple(
        PodMatch(namespace=place, labels=labels, service_account=account, namespace_labels=more) for account in accounts
    ), set()


def _read_net(value: Any, where: str) -> Network:
    """Read one prefix."""
    try:
        return parse_prefix(string(value, where))
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error


def _read_namespace(text: Any, where: str, namespace: str) -> tuple[str | None, Labels]:
    """Read ``namespaceSelector``: the namespace (None = any) and further labels of it."""
    if text in (None, ""):
        return namespace, Labels()
    wanted = parse_selector(text, where).as_dict()
    names = {wanted.pop(key) for key in _NAMESPACE_KEYS if key in wanted}
    if len(names) > 1:
        raise NotEvaluatedError(where, "asks for two namespaces: it matches nothing")
    return (names.pop() if names else None), Labels.of(wanted)


def _read_accounts(value: Any, where: str) -> list[str | None]:
    """Read ``serviceAccounts``: names, any of them; missing is any account."""
    if value is None:
        return [None]
    names = sequence(only(mapping(value, where), ("names",), where).get("names"), f"{where}.names")
    if not names:
        raise NotEvaluatedError(where, "service accounts are evaluated by name alone")
    return [string(name, f"{where}.names") for name in names]


def _read_port(value: Any, where: str) -> tuple[int, int]:
    """Read one port: a number, or ``start:end``. Named ports are not evaluated."""
    if isinstance(value, str):
        match = _PORTS.fullmatch(value)
        if match is None:
            raise NotEvaluatedError(where, f"named port {shown(value)} is not evaluated")
        low = integer(int(match[1]), 0, MAX_PORT, where)
        return low, integer(int(match[2] or match[1]), low, MAX_PORT, where)
    low = integer(value, 0, MAX_PORT, where)
    return low, low
