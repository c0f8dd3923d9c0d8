"""Reader of CiliumNetworkPolicy (cilium.io/v2).

Semantics: the Cilium policy reference and the agent's rule resolution. A direction is selected only by rules it
has, so an empty list has no effect and ``[{}]`` isolates; one L3 member per rule; no L3 member = any peer, an empty
one = nobody; an L4-limited rule does not include ICMP; protocol ANY is TCP, UDP and SCTP; peers without a
namespace key are in the policy's namespace. Deny rules, L7, named ports, FQDNs, groups and node selectors are not
evaluated.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.model.ports import MAX_PORT, PortSet
from discovery.model.workload import Entity, Labels
from discovery.verify.fields import (
    NO_DENIES,
    Head,
    Notes,
    NotEvaluatedError,
    home,
    integer,
    mapping,
    match_labels,
    only,
    read_head,
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
    EntityMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    all_icmp,
    all_ports,
    rules_for,
    split_opt_in,
)

NAMESPACE_KEY = "io.kubernetes.pod.namespace"
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"

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
_SPEC_FIELDS = (
    "endpointSelector",
    "ingress",
    "egress",
    "ingressDeny",
    "egressDeny",
    "enableDefaultDeny",
    "description",
    "labels",
    "log",
)
_L3 = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
_L3_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet")
_PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "TCP": (Protocol.TCP,),
    "UDP": (Protocol.UDP,),
    "SCTP": (Protocol.SCTP,),
    "ANY": (Protocol.TCP, Protocol.UDP, Protocol.SCTP),
}
_FAMILIES = {"IPv4": Protocol.ICMP, "IPv6": Protocol.ICMPV6}
_NUMBER = re.compile(r"[0-9]{1,5}")
_MAX_PORTS = 40


def read(document: dict[str, Any], source: str) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per spec and direction with rules, and what could not be evaluated.

    Never raises for bad content.
    """
    notes = Notes(source)
    try:
        head = read_head(document)
    except NotEvaluatedError as error:
        notes.reject(error)
        return (), tuple(notes.found)
    policies: tuple[ReadPolicy, ...]
    if (head.api_version, head.kind) != ("cilium.io/v2", "CiliumNetworkPolicy"):
        notes.reject(NotEvaluatedError("kind", f"{shown(head.api_version)} {shown(head.kind)} is not evaluated"))
        everywhere = head.kind == "CiliumClusterwideNetworkPolicy"
        policies = unread(Dialect.CILIUM, head, None, source, staged=False) if everywhere else ()
        return policies, tuple(notes.found)
    namespace = home(head, notes)
    try:
        policies = _read_specs(document, head, namespace, notes)
    except NotEvaluatedError as error:
        notes.reject(error)
        policies = unread(Dialect.CILIUM, head, namespace, source, staged=False)
    return policies, tuple(notes.found)


def _read_specs(document: dict[str, Any], head: Head, namespace: str, notes: Notes) -> tuple[ReadPolicy, ...]:
    """Read ``spec`` and ``specs``."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "specs", "status"), "document")
    specs = [("spec", document["spec"])] if document.get("spec") is not None else []
    specs += [(f"specs[{n}]", item) for n, item in enumerate(sequence(document.get("specs"), "specs"))]
    if not specs:
        raise NotEvaluatedError("spec", "neither spec nor specs is there")
    return tuple(
        policy for where, spec in specs for policy in _read_spec(mapping(spec, where), where, head, namespace, notes)
    )


def _read_spec(spec: dict[str, Any], where: str, head: Head, namespace: str, notes: Notes) -> list[ReadPolicy]:
    """Read one rule of the policy (Cilium calls the whole spec a rule)."""
    only(spec, _SPEC_FIELDS, where)
    denying = {direction for direction in Direction if spec.get(f"{direction}Deny")}
    for direction in sorted(denying):
        notes.reject(NotEvaluatedError(f"{where}.{direction}Deny", NO_DENIES))
    if spec.get("endpointSelector") is None:
        raise NotEvaluatedError(f"{where}.endpointSelector", "endpointSelector is missing")
    chosen = _read_selector(spec["endpointSelector"], f"{where}.endpointSelector", namespace)
    if chosen.namespace != namespace:
        raise NotEvaluatedError(f"{where}.endpointSelector", "names another namespace, which Cilium ignores")
    labels, opt_in = split_opt_in(chosen.labels)
    subject = PodMatch(
        cluster=chosen.cluster, namespace=namespace, labels=labels, service_account=chosen.service_account
    )
    deny = _read_default_deny(spec.get("enableDefaultDeny"), f"{where}.enableDefaultDeny")
    policies = []
    for direction in Direction:
        rules = read_rules(
            spec.get(direction.value),
            f"{where}.{direction}",
            partial(_read_rule, direction=direction, namespace=namespace),
            notes,
        )
        if not spec.get(direction.value) and direction not in denying:
            _warn_without_rules(spec, where, direction, deny, notes)
            continue
        policies.append(
            ReadPolicy(
                dialect=Dialect.CILIUM,
                kind=head.kind,
                name=head.name,
                namespace=namespace,
                subject=subject,
                opt_in=opt_in,
                direction=direction,
                isolates=deny.get(direction, True),
                staged=False,
                rules=rules.rules,
                source=notes.source,
                unread=frozenset(
                    ([] if rules.complete else [Action.ALLOW]) + ([Action.DENY] if direction in denying else [])
                ),
                needs=tuple(sorted(rules.needs | ({"enableDefaultDeny"} if False in deny.values() else set()))),
            )
        )
    if not policies:
        notes.warn("no-effect", f"{where} has no rules: Cilium refuses the policy or it does nothing")
    return policies


def _warn_without_rules(
    spec: dict[str, Any], where: str, direction: Direction, deny: dict[Direction, bool], notes: Notes
) -> None:
    """Say what was written for a direction that has no rules, and so has no effect."""
    if deny.get(direction):
        notes.warn(
            "no-effect",
            f"{where}.enableDefaultDeny.{direction} is true but there is no {direction} rule: it isolates nothing",
        )
    if spec.get(direction.value) == []:
        notes.warn("no-effect", f"{where}.{direction} is an empty list: it isolates nothing")


def _read_default_deny(value: Any, where: str) -> dict[Direction, bool]:
    """Read ``enableDefaultDeny``; a direction that it does not name follows from the rules."""
    found = only(mapping(value, where), tuple(direction.value for direction in Direction), where)
    for key, flag in found.items():
        if flag is not None and not isinstance(flag, bool):
            raise NotEvaluatedError(f"{where}.{key}", f"expected a boolean, found {shown(flag)}")
    return {Direction(key): flag for key, flag in found.items() if flag is not None}


def _read_selector(selector: Any, where: str, namespace: str) -> PodMatch:
    """Read an endpoint selector; the namespace defaults to the policy's own."""
    plain: dict[str, str] = {}
    special: dict[str, str] = {}
    for raw, value in match_labels(selector, where).pairs:
        source, colon, rest = raw.partition(":")
        if colon and source not in ("k8s", "any"):
            raise NotEvaluatedError(where, f"label source of {shown(raw)} is not evaluated")
        key = rest if colon else raw
        target = special if key in (NAMESPACE_KEY, CLUSTER_KEY, ACCOUNT_KEY) else plain
        if key in target:
            raise NotEvaluatedError(where, f"label {shown(key)} is there twice")
        if target is plain:
            _refuse_outside_identity(key, where)
        target[key] = value
    return PodMatch(
        cluster=special.get(CLUSTER_KEY),
        namespace=special.get(NAMESPACE_KEY, namespace),
        labels=Labels.of(plain),
        service_account=special.get(ACCOUNT_KEY),
    )


def _refuse_outside_identity(key: str, where: str) -> None:
    """Refuse keys that are not part of an identity, and namespace labels."""
    if not key:
        raise NotEvaluatedError(where, "empty label key")
    if key.startswith("io.cilium.k8s.namespace.labels."):
        raise NotEvaluatedError(where, "namespace labels are not evaluated")
    if key.startswith(_OUT_PREFIXES) or key in _OUT_KEYS or "beta.kubernetes.io" in key:
        raise NotEvaluatedError(
            where, f"label {shown(key)} is not part of a Cilium identity by default: it matches nothing"
        )


def _read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, namespace: str
) -> tuple[list[ReadRule], set[str]]:
    """Read one ingress or egress rule into one :class:`ReadRule` per protocol."""
    names = [f"{_L3[direction]}{kind}" for kind in _L3_KINDS]
    only(item, (*names, "toPorts", "icmps"), where)
    given = [key for key in names if item.get(key) is not None]
    l4 = [key for key in ("toPorts", "icmps") if item.get(key) is not None]
    if len(given) > 1 or len(l4) > 1:
        raise NotEvaluatedError(where, f"{' and '.join(given if len(given) > 1 else l4)} may not be in one rule")
    if not given and not l4:
        return [], set()  # the empty rule: it isolates and allows nothing
    peers = _read_peers(given[0], item[given[0]], f"{where}.{given[0]}", namespace) if given else (AnyMatch(),)
    if not l4:
        return rules_for(peers, all_ports(), all_icmp()), set()
    if l4 == ["icmps"]:
        return rules_for(peers, {}, _read_icmps(item["icmps"], f"{where}.icmps")), set()
    ports, needs = _read_ports(item["toPorts"], f"{where}.toPorts")
    return rules_for(peers, ports, {}), needs


def _read_peers(key: str, value: Any, where: str, namespace: str) -> tuple[PeerMatch, ...]:
    """Read the L3 member of a rule; an empty list is nobody."""
    items = sequence(value, where)
    if key.endswith("Endpoints"):
        return tuple(_read_selector(item, f"{where}[{n}]", namespace) for n, item in enumerate(items))
    if key.endswith("Entities"):
        return tuple(_read_entity(item, where) for item in items)
    networks: list[Network] = []
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        networks += _read_cidr({"cidr": item} if key.endswith("CIDR") else mapping(item, place), place)
    return (cidr_match(networks),) if networks else ()


def _read_entity(value: Any, where: str) -> PeerMatch:
    """Read one entity name."""
    if value == "all":
        return AnyMatch()
    if not isinstance(value, str) or value not in list(Entity):
        raise NotEvaluatedError(where, f"entity {shown(value)} is not evaluated")
    return EntityMatch(entity=Entity(value))


def _read_cidr(item: dict[str, Any], where: str) -> list[Network]:
    """Read one CIDR item; ``except`` is subtracted exactly."""
    only(item, ("cidr", "except"), where)
    try:
        holes = [
            parse_prefix(string(hole, f"{where}.except")) for hole in sequence(item.get("except"), f"{where}.except")
        ]
        return subtract(parse_prefix(string(item.get("cidr"), f"{where}.cidr")), holes)
    except ValueError as error:
        raise NotEvaluatedError(where, f"prefix cannot be read: {shown(str(error))}") from error


def _read_ports(value: Any, where: str) -> tuple[dict[Protocol, PortSet], set[str]]:
    """Read ``toPorts``: the union of its items."""
    items = sequence(value, where)
    if not items:
        raise NotEvaluatedError(where, "an empty toPorts is not evaluated")
    ports: dict[Protocol, PortSet] = {}
    needs: set[str] = set()
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        listed = sequence(only(mapping(item, place), ("ports",), place).get("ports"), f"{place}.ports")
        if not 1 <= len(listed) <= _MAX_PORTS:
            raise NotEvaluatedError(f"{place}.ports", f"{len(listed)} ports; from 1 to {_MAX_PORTS} are accepted")
        for index, entry in enumerate(listed):
            spot = f"{place}.ports[{index}]"
            port = only(mapping(entry, spot), ("port", "endPort", "protocol"), spot)
            if port.get("endPort") is not None:
                needs.add("endPort")
            for protocol in _read_protocol(port, spot):
                ports[protocol] = ports.get(protocol, PortSet()) | _read_range(port, spot)
    return ports, needs


def _read_protocol(port: dict[str, Any], where: str) -> tuple[Protocol, ...]:
    """Read the protocol of a port; missing is ANY."""
    name = "ANY" if port.get("protocol") is None else port["protocol"]
    if not isinstance(name, str) or name not in _PROTOCOLS:
        raise NotEvaluatedError(f"{where}.protocol", f"{shown(name)} is not evaluated")
    if name == "ANY" and port.get("port") == "0":
        raise NotEvaluatedError(where, "port 0 of protocol ANY is not evaluated")
    return _PROTOCOLS[name]


def _read_range(port: dict[str, Any], where: str) -> PortSet:
    """Read ``port`` (a string of digits; "0" is every port) and ``endPort``."""
    text = string(port.get("port"), f"{where}.port")
    if not _NUMBER.fullmatch(text):
        raise NotEvaluatedError(f"{where}.port", f"named port {shown(text)} is not evaluated")
    low = integer(int(text), 0, MAX_PORT, f"{where}.port")
    if low == 0:
        if port.get("endPort") is not None:
            raise NotEvaluatedError(f"{where}.endPort", "endPort with port 0")
        return PortSet.all()
    high = low if port.get("endPort") is None else integer(port["endPort"], low, MAX_PORT, f"{where}.endPort")
    return PortSet.from_intervals([(low, high)])


def _read_icmps(value: Any, where: str) -> dict[Protocol, tuple[int, ...]]:
    """Read ``icmps``: numeric types by family."""
    types: dict[Protocol, set[int]] = {}
    for number, item in enumerate(sequence(value, where)):
        place = f"{where}[{number}]"
        fields = sequence(only(mapping(item, place), ("fields",), place).get("fields"), f"{place}.fields")
        for index, entry in enumerate(fields):
            spot = f"{place}.fields[{index}]"
            icmp = only(mapping(entry, spot), ("family", "type"), spot)
            family = "IPv4" if icmp.get("family") is None else icmp["family"]
            if not isinstance(family, str) or family not in _FAMILIES:
                raise NotEvaluatedError(f"{spot}.family", f"{shown(family)} is not IPv4 or IPv6")
            types.setdefault(_FAMILIES[family], set()).add(integer(icmp.get("type"), 0, 255, f"{spot}.type"))
    if not types:
        raise NotEvaluatedError(where, "icmps without a type is not evaluated")
    return {protocol: tuple(sorted(found)) for protocol, found in types.items()}
