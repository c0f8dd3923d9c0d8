"""Reader of CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy (cilium.io/v2).

Semantics: the Cilium policy reference and the agent's rule resolution. A direction is selected only by rules it
has, so an empty list has no effect and ``[{}]`` isolates; one L3 member per rule; no L3 member = any peer, an empty
one = nobody; an L4-limited rule does not include ICMP; denies come before all allows. Policies of nodes
(``nodeSelector``) are not evaluated: they rule no pod.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from discovery.model.diagnostics import Diagnostic
from discovery.model.edge import Direction
from discovery.model.intent import Dialect
from discovery.model.ports import PortSet
from discovery.verify.cilium_peers import read_peers, read_pods
from discovery.verify.cilium_ports import read_icmps, read_ports
from discovery.verify.context import NO_CONTEXT, Context
from discovery.verify.fields import (
    NOT_EVALUATED,
    Head,
    Notes,
    NotEvaluatedError,
    RuleList,
    home,
    mapping,
    only,
    read_manifest,
    read_rules,
    sequence,
    shown,
    unread,
)
from discovery.verify.rules import (
    Action,
    AnyMatch,
    NameMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
    ReadRule,
    all_icmp,
    all_ports,
    rules_for,
    split_opt_in,
)

_API = "cilium.io/v2"
_CLUSTERWIDE = "CiliumClusterwideNetworkPolicy"
_KINDS = ("CiliumNetworkPolicy", _CLUSTERWIDE)
_GROUP_KIND = "CiliumCIDRGroup"
_SPEC_FIELDS = (
    "endpointSelector",
    "nodeSelector",
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
_L3_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups")
_EGRESS_KINDS = ("Services", "FQDNs")
_NO_DNS = "names mean nothing until a rule of the same pods has rules.dns; this policy has none"


def read(
    document: dict[str, Any], source: str, context: Context = NO_CONTEXT
) -> tuple[tuple[ReadPolicy, ...], tuple[Diagnostic, ...]]:
    """Return one policy per spec and direction with rules, and what could not be evaluated.

    Never raises for bad content.
    """

    def stand_in(head: Head) -> tuple[ReadPolicy, ...]:
        place = None if head.kind == _CLUSTERWIDE else head.namespace
        return unread(Dialect.CILIUM, head, place, source, staged=False) if head.kind in _KINDS else ()

    def read_known(head: Head, notes: Notes) -> tuple[ReadPolicy, ...]:
        if head.kind == _GROUP_KIND:  # read before all policies
            return ()
        namespace = None if head.kind == _CLUSTERWIDE else home(head, notes)
        try:
            return _read_specs(document, head, namespace, notes, context)
        except NotEvaluatedError as error:
            notes.reject(error)
            return unread(Dialect.CILIUM, head, namespace, source, staged=False)

    return read_manifest(document, source, _is_known, read_known, stand_in)


def _is_known(head: Head) -> bool:
    """Say whether a manifest is of a kind and version that is read."""
    return head.kind == _GROUP_KIND or (head.api_version == _API and head.kind in _KINDS)


def _read_specs(
    document: dict[str, Any], head: Head, namespace: str | None, notes: Notes, context: Context
) -> tuple[ReadPolicy, ...]:
    """Read ``spec`` and ``specs``."""
    only(document, ("apiVersion", "kind", "metadata", "spec", "specs", "status"), "document")
    specs = [("spec", document["spec"])] if document.get("spec") is not None else []
    specs += [(f"specs[{n}]", item) for n, item in enumerate(sequence(document.get("specs"), "specs"))]
    if not specs:
        raise NotEvaluatedError("spec", "neither spec nor specs is there")
    return tuple(
        policy
        for where, spec in specs
        for policy in _read_spec(mapping(spec, where), where, head, namespace, notes, context)
    )


def _read_spec(
    spec: dict[str, Any], where: str, head: Head, namespace: str | None, notes: Notes, context: Context
) -> list[ReadPolicy]:
    """Read one rule of the policy (Cilium calls the whole spec a rule)."""
    only(spec, _SPEC_FIELDS, where)
    if namespace is None and spec.get("nodeSelector") is not None and spec.get("endpointSelector") is None:
        notes.warn(NOT_EVALUATED, f"{where}.nodeSelector: what policies of nodes do to nodes is not evaluated")
        return [replace(one, nodes=True) for one in unread(Dialect.CILIUM, head, None, notes.source, staged=False)]
    subject, opt_in = _read_subject(spec, where, namespace, notes)
    deny = _read_default_deny(spec.get("enableDefaultDeny"), f"{where}.enableDefaultDeny")
    policies = []
    for direction in Direction:
        sections = {Action.ALLOW: direction.value, Action.DENY: f"{direction.value}Deny"}
        if all(spec.get(section) is None or spec[section] == [] for section in sections.values()):
            _warn_without_rules(spec, where, direction, deny, notes)
            continue
        found = {
            action: _read_section(spec.get(section), f"{where}.{section}", direction, namespace, action, context, notes)
            for action, section in sections.items()
        }
        needs = {need for one in found.values() for need in one.needs}
        rules = [rule for one in found.values() for rule in one.rules]
        if not _asks_dns(spec):
            rules = [replace(rule, unclear=rule.unclear or _NO_DNS) if _is_named(rule) else rule for rule in rules]
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
                rules=tuple(rules),
                source=notes.source,
                unread=frozenset(action for action, one in found.items() if not one.complete),
                needs=tuple(sorted(needs | ({"enableDefaultDeny"} if False in deny.values() else set()))),
            )
        )
    if not policies:
        notes.warn("no-effect", f"{where} has no rules: Cilium refuses the policy or it does nothing")
    return policies


def _is_named(rule: ReadRule) -> bool:
    """Say whether a rule means addresses by DNS names."""
    return any(isinstance(peer, NameMatch) for peer in rule.peers)


def _asks_dns(spec: dict[str, Any]) -> bool:
    """Say whether a spec has answers to DNS queries of its pods looked at; it may hold anything."""
    return any(
        isinstance(port, dict) and isinstance(port.get("rules"), dict) and bool(port["rules"].get("dns"))
        for item in _each(spec.get("egress"))
        if isinstance(item, dict)
        for port in _each(item.get("toPorts"))
    )


def _each(value: Any) -> list[Any]:
    """Return the items of a list, and none of what is no list."""
    return value if isinstance(value, list) else []


def _read_subject(spec: dict[str, Any], where: str, namespace: str | None, notes: Notes) -> tuple[PodMatch, bool]:
    """Read ``endpointSelector``, which a namespaced policy binds to its own namespace."""
    place = f"{where}.endpointSelector"
    if spec.get("endpointSelector") is None or spec.get("nodeSelector") is not None:
        raise NotEvaluatedError(place, "endpointSelector alone is evaluated")
    chosen = read_pods(spec["endpointSelector"], place, namespace)
    if namespace is not None and chosen.namespace not in (None, namespace):
        notes.warn("namespace-ignored", f"{place} names another namespace, which Cilium replaces with {namespace!r}")
    chosen = replace(chosen, namespace=chosen.namespace if namespace is None else namespace)
    labels, opt_in = split_opt_in(chosen.labels)
    return replace(chosen, labels=labels), opt_in


def _read_section(
    value: Any, where: str, direction: Direction, namespace: str | None, action: Action, context: Context, notes: Notes
) -> RuleList:
    """Read the rules of one direction that allow, or those that deny."""
    one = partial(_read_rule, direction=direction, namespace=namespace, action=action, context=context)
    return read_rules(value, where, one, notes)


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


def _read_rule(
    item: dict[str, Any], where: str, *, direction: Direction, namespace: str | None, action: Action, context: Context
) -> tuple[list[ReadRule], set[str]]:
    """Read one rule into one :class:`ReadRule` per protocol."""
    denies = action is Action.DENY
    kinds = _L3_KINDS + (_EGRESS_KINDS if direction is Direction.EGRESS else ())
    names = {f"{_L3[direction]}{kind}": kind for kind in kinds if not (denies and kind == "FQDNs")}
    only(item, (*names, "toPorts", "icmps", *(() if denies else ("authentication",))), where)
    given = [key for key in names if item.get(key) is not None]
    l4 = [key for key in ("toPorts", "icmps") if item.get(key) is not None]
    if len(given) > 1 or len(l4) > 1:
        raise NotEvaluatedError(where, f"{' and '.join(given if len(given) > 1 else l4)} may not be in one rule")
    if not given and not l4:
        if denies:
            raise NotEvaluatedError(where, "what an empty rule denies is left open")
        return [], set()  # the empty rule: it isolates and allows nothing
    peers = read_peers(names[given[0]], item[given[0]], f"{where}.{given[0]}", namespace, context) if given else None
    rules, needs = _read_l4(item, where, (AnyMatch(),) if peers is None else peers, action, direction)
    mode = mapping(item.get("authentication"), f"{where}.authentication").get("mode")
    if mode not in (None, "disabled"):
        rules = [replace(rule, unclear=f"authentication {shown(mode)}") for rule in rules]
    return rules, needs


def _read_l4(
    item: dict[str, Any], where: str, peers: tuple[PeerMatch, ...], action: Action, direction: Direction
) -> tuple[list[ReadRule], set[str]]:
    """Read the ports or ICMP types of a rule; without either it is about everything."""
    if item.get("icmps") is not None:
        return rules_for(peers, {}, read_icmps(item["icmps"], f"{where}.icmps"), action), set()
    if item.get("toPorts") is None:
        return rules_for(peers, all_ports(), all_icmp(), action), set()
    items = read_ports(item["toPorts"], f"{where}.toPorts", denies=action is Action.DENY, direction=direction)
    needs = {need for one in items for need in one.needs}
    if not peers:
        return [], needs
    plain = [one for one in items if not one.proxied]
    numbers = {p: s for one in plain for p, s in one.numbers.items()}
    for protocol in numbers:
        numbers[protocol] = PortSet.from_intervals(
            interval for one in plain for interval in one.numbers.get(protocol, PortSet()).intervals
        )
    rules = rules_for(peers, numbers, {}, action)
    for one in items:
        if one.proxied:
            numbered = rules_for(peers, one.numbers, {}, action)
            rules += [replace(rule, layer7=one.layer7, unclear=one.unclear, proxied=True) for rule in numbered]
        rules += [
            ReadRule(
                peers=peers,
                protocol=protocol,
                names=given,
                action=action,
                layer7=one.layer7,
                unclear=one.unclear,
                proxied=one.proxied,
            )
            for protocol, given in one.names.items()
        ]
    return rules, needs
