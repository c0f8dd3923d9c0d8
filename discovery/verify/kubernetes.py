"""Reader of Kubernetes NetworkPolicy (networking.k8s.io/v1) and Calico's staged form of it.

Semantics: the Kubernetes API reference of NetworkPolicy v1 (isolation per direction, union of allows, items of
``from``/``to`` OR-ed, ``namespaceSelector`` and ``podSelector`` of one item AND-ed, missing or empty ``from`` =
any peer, missing or empty ``ports`` = any port and protocol, ``policyTypes`` defaulting).
StagedKubernetesNetworkPolicy (projectcalico.org/v3) has the same fields and is never in force.
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
from discovery.verify.conditions import NAMESPACE_NAME, Scope
from discovery.verify.fields import (
    Head,
    Notes,
    NotEvaluatedError,
    home,
    integer,
    label_selector,
    mapping,
    only,
    read_manifest,
    read_rules,
    sequence,
    shown,
    string,
    unread,
)
from discovery.verify.nets import Network, cidr_match, parse_prefix, subtract
from discovery.verify.rules import (
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

STAGED_KIND = "StagedKubernetesNetworkPolicy"
_SUPPORTED = (("networking.k8s.io/v1", "NetworkPolicy"), ("projectcalico.org/v3", STAGED_KIND))
_FIELDS = ("podSelector", "policyTypes", "ingress", "egress")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
_PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}


def read(document: dict[str, Any], source: str) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per declared direction, and what could not be evaluated. Never raises for bad content."""

    def read_known(head: Head, notes: Notes) -> tuple[ReadPolicy, ...]:
        namespace = home(head, notes)
        try:
            return _read_spec(document, head, namespace, notes)
        except NotEvaluatedError as error:
            notes.reject(error)
            staged, allows = head.kind == STAGED_KIND, frozenset({Action.ALLOW})
            return unread(Dialect.KUBERNETES, head, namespace, source, staged=staged, actions=allows)

    return read_manifest(
        document, source, lambda head: (head.api_version, head.kind) in _SUPPORTED, read_known, lambda _: ()
    )


def _read_spec(document: dict[str, Any], head: Head, namespace: str, notes: Notes) -> tuple[ReadPolicy, ...]:
    """Read the spec of one manifest."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "status"), "document")
    staged = head.kind == STAGED_KIND
    spec = only(mapping(document.get("spec"), "spec"), (*_FIELDS, "stagedAction") if staged else _FIELDS, "spec")
    if staged and spec.get("stagedAction", "Set") != "Set":
        raise NotEvaluatedError("spec.stagedAction", f"{shown(spec['stagedAction'])} is not evaluated")
    chosen, where = label_selector(spec.get("podSelector"), "spec.podSelector", Scope.POD)
    labels, opt_in = split_opt_in(chosen)
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
                dialect=Dialect.KUBERNETES,
                kind=head.kind,
                name=head.name,
                namespace=namespace,
                subject=PodMatch(namespace=namespace, labels=labels, where=where),
                opt_in=opt_in,
                direction=direction,
                isolates=True,
                staged=staged,
                rules=rules.rules,
                source=notes.source,
                unread=frozenset() if rules.complete else frozenset({Action.ALLOW}),
                needs=tuple(sorted(rules.needs | ({"staged"} if staged else set()))),
            )
        )
    return tuple(policies)


def _directions(spec: dict[str, Any], notes: Notes) -> list[Direction]:
    """Return the isolated directions; without ``policyTypes``: ingress, and egress when it has rules."""
    types = sequence(spec.get("policyTypes"), "spec.policyTypes")
    if not types:
        return [Direction.INGRESS] + ([Direction.EGRESS] if spec.get("egress") else [])
    found = set()
    for value in types:
        if not isinstance(value, str) or value not in _TYPES:
            raise NotEvaluatedError("spec.policyTypes", f"{shown(value)} is not Ingress or Egress")
        found.add(_TYPES[value])
    for direction in sorted(set(Direction) - found):
        if spec.get(direction.value):
            notes.warn(
                "no-effect", f"spec.{direction} has rules but policyTypes leaves the direction out: they do nothing"
            )
    return sorted(found)


def _read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, namespace: str
) -> tuple[list[ReadRule], set[str]]:
    """Read one rule into one :class:`ReadRule` per protocol."""
    key = _PEERS[direction]
    only(item, (key, "ports"), where)
    peers = _read_peers(item.get(key), f"{where}.{key}", namespace)
    ports, names, needs = _read_ports(item.get("ports"), f"{where}.ports")
    if ports is None:
        return rules_for(peers, all_ports(), all_icmp()), needs
    rules = rules_for(peers, ports, {})
    rules += [ReadRule(peers=peers, protocol=protocol, names=given) for protocol, given in sorted(names.items())]
    return rules, needs


def _read_peers(value: Any, where: str, namespace: str) -> tuple[PeerMatch, ...]:
    """Read ``from``/``to``; the prefixes of all its items become one match."""
    items = sequence(value, where)
    if not items:
        return (AnyMatch(),)
    peers: list[PeerMatch] = []
    networks: list[Network] = []
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        peer = only(mapping(item, place), ("podSelector", "namespaceSelector", "ipBlock"), place)
        given = {key for key, content in peer.items() if content is not None}
        if not given or ("ipBlock" in given and len(given) > 1):
            raise NotEvaluatedError(place, "a peer is either an ipBlock or selectors, and never empty")
        if "ipBlock" in given:
            networks += _read_block(peer["ipBlock"], f"{place}.ipBlock")
        else:
            peers.append(_read_pods(peer, place, namespace))
    if networks:
        peers.append(cidr_match(networks))
    return tuple(peers)


def _read_pods(peer: dict[str, Any], where: str, namespace: str) -> PodMatch:
    """Read the selectors of one peer; without ``namespaceSelector`` the policy's own namespace is meant."""
    if peer.get("namespaceSelector") is not None:
        return pods_of(peer["namespaceSelector"], peer.get("podSelector"), where)
    labels, more = label_selector(peer.get("podSelector"), f"{where}.podSelector", Scope.POD)
    return PodMatch(namespace=namespace, labels=labels, where=more)


def pods_of(namespaces: Any, pods: Any, where: str) -> PodMatch:
    """Return the pods that a selector picks in the namespaces that another one picks."""
    labels, more = label_selector(pods, f"{where}.podSelector", Scope.POD)
    wanted, further = label_selector(namespaces, f"{where}.namespaceSelector", Scope.NAMESPACE)
    rest = wanted.as_dict()
    name = rest.pop(NAMESPACE_NAME, None)
    return PodMatch(namespace=name, labels=labels, namespace_labels=Labels.of(rest), where=more + further)


def _read_block(value: Any, where: str) -> list[Network]:
    """Read an ``ipBlock``; ``except`` is subtracted exactly."""
    block = only(mapping(value, where), ("cidr", "except"), where)
    try:
        holes = [
            parse_prefix(string(hole, f"{where}.except")) for hole in sequence(block.get("except"), f"{where}.except")
        ]
        return subtract(parse_prefix(string(block.get("cidr"), f"{where}.cidr")), holes)
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error


def _read_ports(
    value: Any, where: str
) -> tuple[dict[Protocol, PortSet] | None, dict[Protocol, tuple[str, ...]], set[str]]:
    """Read ``ports`` into numbers (None is any port and any protocol), names, and what they need."""
    items = sequence(value, where)
    if not items:
        return None, {}, set()
    ports: dict[Protocol, PortSet] = {}
    names: dict[Protocol, tuple[str, ...]] = {}
    needs: set[str] = set()
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        port = only(mapping(item, place), ("protocol", "port", "endPort"), place)
        name = "TCP" if port.get("protocol") is None else port["protocol"]
        if not isinstance(name, str) or name not in _PROTOCOLS:
            raise NotEvaluatedError(f"{place}.protocol", f"{shown(name)} is not TCP, UDP or SCTP")
        if port.get("endPort") is not None:
            needs.add("endPort")
        protocol = _PROTOCOLS[name]
        if isinstance(port.get("port"), str):
            names[protocol] = tuple(sorted({*names.get(protocol, ()), port_name(port, place)}))
        else:
            ports[protocol] = ports.get(protocol, PortSet()) | _read_range(port, place)
    return ports, names, needs


def port_name(port: dict[str, Any], where: str) -> str:
    """Read a port by name: an IANA service name, without ``endPort``."""
    name = port["port"]
    if not _PORT_NAME.fullmatch(name) or not re.search("[a-z]", name) or "--" in name:
        raise NotEvaluatedError(f"{where}.port", f"{shown(name)} is no name of a port")
    if port.get("endPort") is not None:
        raise NotEvaluatedError(f"{where}.endPort", "endPort with a port by name")
    return str(name)


def _read_range(port: dict[str, Any], where: str) -> PortSet:
    """Read ``port`` and ``endPort``; no port is every port."""
    if port.get("port") is None:
        if port.get("endPort") is not None:
            raise NotEvaluatedError(f"{where}.endPort", "endPort without port")
        return PortSet.all()
    low = integer(port["port"], 1, MAX_PORT, f"{where}.port")
    high = low if port.get("endPort") is None else integer(port["endPort"], low, MAX_PORT, f"{where}.endPort")
    return PortSet.from_intervals([(low, high)])
