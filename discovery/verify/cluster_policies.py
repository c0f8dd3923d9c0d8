"""Reader of the cluster policies of policy.networking.k8s.io: ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy and
BaselineAdminNetworkPolicy (v1alpha1).

Semantics: network-policy-api v0.2.0. Rules decide in order, the first that matches; policies by priority; what no rule
matches goes on to the next tier. Missing ports are all traffic. Networks mean pods and nodes as well; ``*.`` in front
of a domain stands for one label or several. Content that is not understood makes what the policy does unknown.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import MAX_PORT, PortSet
from discovery.verify.fields import (
    Head,
    Notes,
    NotEvaluatedError,
    integer,
    mapping,
    only,
    read_manifest,
    read_rules,
    sequence,
    shown,
    string,
    unread,
)
from discovery.verify.kubernetes import pods_of
from discovery.verify.nets import collapse, parse_prefix
from discovery.verify.rules import (
    Action,
    CidrMatch,
    Layer,
    NameMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    UnclearMatch,
    all_icmp,
    all_ports,
    rules_for,
)

GROUP = "policy.networking.k8s.io"
KINDS = {
    "ClusterNetworkPolicy": f"{GROUP}/v1alpha2",
    "AdminNetworkPolicy": f"{GROUP}/v1alpha1",
    "BaselineAdminNetworkPolicy": f"{GROUP}/v1alpha1",
}
_CLUSTER = "ClusterNetworkPolicy"
_BASELINE = "BaselineAdminNetworkPolicy"
_TIERS = {"Admin": Layer.ADMIN, "Baseline": Layer.BASELINE}
_MAX_PRIORITY = 1000
_ACTIONS = {
    _CLUSTER: {"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    "AdminNetworkPolicy": {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    _BASELINE: {"Allow": Action.ALLOW, "Deny": Action.DENY},
}
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
_INGRESS_PEERS = ("namespaces", "pods")
_EGRESS_PEERS = (*_INGRESS_PEERS, "nodes", "networks", "domainNames")
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol if protocol.has_ports}
_Ports = tuple[dict[Protocol, PortSet], dict[Protocol, tuple[str, ...]]]


def read(document: dict[str, Any], source: str) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per direction with rules, and what could not be evaluated. Never raises for bad content."""

    def stand_in(head: Head) -> tuple[ReadPolicy, ...]:
        return unread(Dialect.KUBERNETES, head, None, source, staged=False) if head.kind in KINDS else ()

    def read_known(head: Head, notes: Notes) -> tuple[ReadPolicy, ...]:
        try:
            return _read_spec(document, head, notes)
        except NotEvaluatedError as error:
            notes.reject(error)
            return stand_in(head)

    return read_manifest(document, source, lambda head: KINDS.get(head.kind) == head.api_version, read_known, stand_in)


def _read_spec(document: dict[str, Any], head: Head, notes: Notes) -> tuple[ReadPolicy, ...]:
    """Read the spec of one manifest."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "status"), "document")
    ranked = {_CLUSTER: ("tier", "priority"), _BASELINE: ()}.get(head.kind, ("priority",))
    spec = only(mapping(document.get("spec"), "spec"), (*ranked, "subject", "ingress", "egress"), "spec")
    layer = Layer.BASELINE if head.kind == _BASELINE else Layer.ADMIN
    if head.kind == _CLUSTER:
        tier = spec.get("tier")
        if not isinstance(tier, str) or tier not in _TIERS:
            raise NotEvaluatedError("spec.tier", f"{shown(tier)} is not Admin or Baseline")
        layer = _TIERS[tier]
    priority = integer(spec.get("priority"), 0, _MAX_PRIORITY, "spec.priority") if ranked else 0
    subject = _read_pods(spec.get("subject"), "spec.subject")
    policies = []
    for direction in Direction:
        if not spec.get(direction.value):
            continue
        rules = read_rules(
            spec.get(direction.value), f"spec.{direction}", partial(_read_rule, direction=direction, head=head), notes
        )
        policies.append(
            ReadPolicy(
                dialect=Dialect.KUBERNETES,
                kind=head.kind,
                name=head.name,
                namespace=None,
                subject=subject,
                opt_in=False,
                direction=direction,
                isolates=False,
                staged=False,
                rules=rules.rules,
                source=notes.source,
                unread=frozenset() if rules.complete else frozenset(Action),
                layer=layer,
                order=priority,
            )
        )
    return tuple(policies)


def _read_pods(value: Any, where: str) -> PodMatch:
    """Read pods: exactly one of ``namespaces`` and ``pods``."""
    found = only(mapping(value, where), ("namespaces", "pods"), where)
    given = [key for key, content in found.items() if content is not None]
    if len(given) != 1:
        raise NotEvaluatedError(where, "exactly one of namespaces and pods is asked for")
    if given == ["namespaces"]:
        return pods_of(found["namespaces"], None, where)
    place = f"{where}.pods"
    pods = only(mapping(found["pods"], place), ("namespaceSelector", "podSelector"), place)
    return pods_of(pods.get("namespaceSelector"), pods.get("podSelector"), place)


def _read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, head: Head
) -> tuple[list[ReadRule], set[str]]:
    """Read one rule into one :class:`ReadRule` per protocol."""
    key = _PEERS[direction]
    ports_key = "protocols" if head.kind == _CLUSTER else "ports"
    only(item, ("name", "action", key, ports_key), where)
    name = item.get("action")
    actions = _ACTIONS[head.kind]
    if not isinstance(name, str) or name not in actions:
        raise NotEvaluatedError(f"{where}.action", f"{shown(name)} is not {', '.join(actions)}")
    items = sequence(item.get(key), f"{where}.{key}")
    if not items:
        raise NotEvaluatedError(f"{where}.{key}", "at least one peer is asked for")
    peers = tuple(_read_peer(peer, f"{where}.{key}[{number}]", direction) for number, peer in enumerate(items))
    if item.get(ports_key) is None:
        return rules_for(peers, all_ports(), all_icmp(), actions[name]), set()
    read_ports = _read_protocols if head.kind == _CLUSTER else _read_ports
    ports, names = read_ports(sequence(item[ports_key], f"{where}.{ports_key}"), f"{where}.{ports_key}")
    rules = rules_for(peers, ports, {}, actions[name])
    rules += [ReadRule(peers=peers, protocol=p, names=given, action=actions[name]) for p, given in names.items()]
    return rules, set()


def _read_peer(value: Any, where: str, direction: Direction) -> PeerMatch:
    """Read one peer: exactly one of its kinds."""
    kinds = _INGRESS_PEERS if direction is Direction.INGRESS else _EGRESS_PEERS
    found = only(mapping(value, where), kinds, where)
    given = [key for key, content in found.items() if content is not None]
    if len(given) != 1:
        raise NotEvaluatedError(where, f"exactly one of {', '.join(kinds)} is asked for")
    (kind,) = given
    if kind in _INGRESS_PEERS:
        return _read_pods(found, where)
    if kind == "nodes":
        return UnclearMatch(what="nodes by label", nodes=True)
    items = [string(item, f"{where}.{kind}") for item in sequence(found[kind], f"{where}.{kind}")]
    if kind == "domainNames":
        return NameMatch(patterns=tuple(sorted({_pattern(name) for name in items})))
    try:
        networks = collapse(parse_prefix(item) for item in items)
    except ValueError as error:
        raise NotEvaluatedError(f"{where}.networks", f"prefix cannot be read: {shown(str(error))}") from error
    return CidrMatch(prefixes=tuple(map(str, networks)), inside=True)


def _pattern(name: str) -> str:
    """Return the pattern of a domain name: ``*.`` stands for one label or several."""
    lowered = name.rstrip(".").lower()
    return f"**.{lowered[2:]}" if lowered.startswith("*.") else lowered


def _read_ports(items: list[Any], where: str) -> _Ports:
    """Read the ports of v1alpha1: by number, range or name."""
    ports: dict[Protocol, PortSet] = {}
    names: dict[Protocol, tuple[str, ...]] = {}
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        found = only(mapping(item, place), ("portNumber", "portRange", "namedPort"), place)
        if len(found) != 1:
            raise NotEvaluatedError(place, "exactly one of portNumber, portRange and namedPort is asked for")
        if "namedPort" in found:
            _add_name(names, string(found["namedPort"], f"{place}.namedPort"))
            continue
        (kind,) = found
        spot = f"{place}.{kind}"
        port = only(mapping(found[kind], spot), ("protocol", "port", "start", "end"), spot)
        name = port.get("protocol", "TCP")
        if not isinstance(name, str) or name not in _PROTOCOLS:
            raise NotEvaluatedError(f"{spot}.protocol", f"{shown(name)} is not TCP, UDP or SCTP")
        low, high = ("port", "port") if kind == "portNumber" else ("start", "end")
        _add(ports, _PROTOCOLS[name], port.get(low), port.get(high), spot)
    return ports, names


def _read_protocols(items: list[Any], where: str) -> _Ports:
    """Read the protocols of v1alpha2: TCP, UDP or SCTP with a destination port or none, or a port by name."""
    ports: dict[Protocol, PortSet] = {}
    names: dict[Protocol, tuple[str, ...]] = {}
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        found = only(mapping(item, place), ("tcp", "udp", "sctp", "destinationNamedPort"), place)
        if len(found) != 1:
            raise NotEvaluatedError(place, "exactly one protocol or name is asked for")
        (kind,) = found
        if kind == "destinationNamedPort":
            _add_name(names, string(found[kind], f"{place}.{kind}"))
            continue
        spot = f"{place}.{kind}.destinationPort"
        told = only(mapping(found[kind], f"{place}.{kind}"), ("destinationPort",), f"{place}.{kind}")
        port = only(mapping(told.get("destinationPort"), spot), ("number", "range"), spot)
        protocol = _PROTOCOLS[kind.upper()]
        if not port:
            ports[protocol] = PortSet.all()
        elif "number" in port:
            _add(ports, protocol, port["number"], port["number"], spot)
        else:
            both = only(mapping(port["range"], f"{spot}.range"), ("start", "end"), f"{spot}.range")
            _add(ports, protocol, both.get("start"), both.get("end"), f"{spot}.range")
    return ports, names


def _add(ports: dict[Protocol, PortSet], protocol: Protocol, low: Any, high: Any, where: str) -> None:
    """Add an interval of ports."""
    first = integer(low, 1, MAX_PORT, where)
    interval = PortSet(((first, integer(high, first, MAX_PORT, where)),))
    ports[protocol] = ports.get(protocol, PortSet()) | interval


def _add_name(names: dict[Protocol, tuple[str, ...]], name: str) -> None:
    """Add a port by name, which may be of any protocol with ports."""
    for protocol in _PROTOCOLS.values():
        names[protocol] = tuple(sorted({*names.get(protocol, ()), name}))
