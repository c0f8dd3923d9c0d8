"""Ends that stand for all others under a set of policies: what no selector, prefix or name tells apart is one end.

A stand-in is made for every selector (a pod that has just what it asks for), for pairs of selectors that one pod may
satisfy together, for a pod without labels in every namespace and elsewhere, for every reserved entity, and for every
stretch of addresses and every name that prefixes and patterns tell apart. Verdicts that differ anywhere differ at a
stand-in, but for pods that satisfy three selectors or more at once.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from discovery.model.intent import Dialect
from discovery.model.inventory import NamedPort
from discovery.model.ports import MAX_PORT, MIN_PORT
from discovery.model.workload import Entity, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.conditions import (
    ACCOUNT_NAME,
    NAMESPACE_NAME,
    Both,
    Condition,
    Either,
    Neither,
    Operator,
    Requirement,
    Scope,
)
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.nearest import describe_peers
from discovery.verify.rules import (
    Action,
    AllMatch,
    CidrMatch,
    ExceptMatch,
    NameMatch,
    OneMatch,
    PeerMatch,
    PodMatch,
    ReadPolicy,
)
from discovery.verify.truth import Truth

LOCAL = "local"
ELSEWHERE = "elsewhere"
MAX_PAIRS = 20_000
_NODES = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)
# So many numbers are tried for each port by name.
_FEW_NUMBERS = 32
# A rule of fewer ports is about these ports.
_FEW_PORTS = 1_000
# Outside of every usual prefix: the benchmarking range of RFC 2544 and the documentation range of RFC 3849.
_STRANGERS = ("198.18.255.254", "2001:db8:ffff:ffff::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """An end and the words for all that it stands for; ``of`` are the names of the two that a pod joins."""

    name: str
    end: End
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """What a pod must have to satisfy a selector."""

    cluster: str
    namespace: str
    labels: dict[str, str]
    namespace_labels: dict[str, str]
    account: str


def named_ports(policies: Iterable[ReadPolicy]) -> tuple[NamedPort, ...]:
    """Return a port for every name that policies name, each a number of its own from the top: numbers that rules are
    about come last, so that a name is no number if that can be.
    """
    rules = [rule for policy in policies for rule in policy.rules]
    names = sorted({(name, rule.protocol) for rule in rules for name in rule.names})
    taken = {number for rule in rules if len(rule.ports) < _FEW_PORTS for number in rule.ports}
    numbers = itertools.chain(
        (number for number in range(MAX_PORT, MIN_PORT, -1) if number not in taken), itertools.cycle((MAX_PORT,))
    )
    return tuple(
        NamedPort(name=name, protocol=protocol.value, number=number)
        for (name, protocol), number in zip(names, numbers, strict=False)
    )


def _port_maps(policies: tuple[ReadPolicy, ...]) -> list[tuple[str, tuple[NamedPort, ...]]]:
    """Return the ports that pods may have by name, with words for them: numbers of their own, and where rules also deny
    or pass, so that it matters, the numbers that rules are about.
    """
    base = named_ports(policies)
    rules = [rule for policy in policies for rule in policy.rules]
    maps = [("", base)]
    if all(rule.action is Action.ALLOW for rule in rules):
        return maps
    for place, one in enumerate(base):
        numbers = {
            number
            for rule in rules
            if rule.protocol == one.protocol and len(rule.ports) < _FEW_PORTS
            for number in rule.ports
        }
        for number in sorted(numbers)[:_FEW_NUMBERS]:
            meant = replace(one, number=number)
            maps.append(
                (f" whose port {ascii(one.name)[1:-1]} is {number}", (*base[:place], meant, *base[place + 1 :]))
            )
    return maps


def is_whole(policies: Iterable[ReadPolicy]) -> bool:
    """Say whether :func:`pods_of` tries every pair of selectors: there may be too many."""
    return sum(len(group) * (len(group) - 1) // 2 for group in _alike(_drafts(policies))) <= MAX_PAIRS


_Drafts = list[tuple[PodMatch, "_Draft"]]


def _drafts(policies: Iterable[ReadPolicy]) -> _Drafts:
    """Return a pod for every selector, and for what its conditions tell apart."""
    matches = dict.fromkeys((match, policy.namespace) for policy in policies for match in _pod_matches(policy))
    drafts = [(match, _draft(match, home)) for match, home in matches]
    return drafts + [one for match, draft in drafts for one in _told_apart(match, draft)]


def _alike(drafts: _Drafts) -> list[_Drafts]:
    """Return the drafts of each place: only those of one place can be one pod."""
    groups: dict[tuple[str, str, str], _Drafts] = {}
    for match, draft in drafts:
        groups.setdefault((draft.cluster, draft.namespace, draft.account), []).append((match, draft))
    return list(groups.values())


def pods_of(policies: Iterable[ReadPolicy]) -> tuple[StandIn, ...]:
    """Return the pods that stand for all, each set of attributes once; they have a port for every name."""
    given = tuple(policies)
    drafts = _drafts(given)
    found: dict[tuple[object, ...], StandIn] = {}
    for match, draft in drafts:
        _add(found, describe_peers((match,)), draft, [match])
    pairs = (pair for group in _alike(drafts) for pair in itertools.combinations(group, 2))
    for (one, first), (two, second) in itertools.islice(pairs, MAX_PAIRS):
        joined = _joined(first, second)
        if joined is not None:
            both = (describe_peers((one,)), describe_peers((two,)))
            merged = PodMatch(namespace=joined.namespace, labels=Labels.of(joined.labels))
            simple = not (one.where or two.where or one.namespace_labels.pairs or two.namespace_labels.pairs)
            _add(found, describe_peers((merged,)) if simple else " that are ".join(both), joined, [one, two], both)
    for namespace in sorted({draft.namespace for _, draft in drafts} | {ELSEWHERE}):
        bare = _Draft(cluster=LOCAL, namespace=namespace, labels={}, namespace_labels={}, account="default")
        _add(found, f"other pods of {ascii(namespace)[1:-1]}" if namespace != ELSEWHERE else "pods elsewhere", bare, [])
    return tuple(
        replace(stand, name=stand.name + words, end=replace(stand.end, ports=ports))
        for words, ports in _port_maps(given)
        for stand in found.values()
        if isinstance(stand.end, PodEnd)
    )


def outside_of(policies: Iterable[ReadPolicy]) -> tuple[StandIn, ...]:
    """Return the entities, addresses and names that rules tell apart. Pods with a reserved identity are Cilium's."""
    given = list(policies)
    entities = Entity if any(policy.dialect is Dialect.CILIUM for policy in given) else _NODES
    found = [StandIn(name=f"entity {one}", end=EntityEnd(entity=one)) for one in entities if one is not Entity.WORLD]
    peers = [peer for policy in given for rule in policy.rules for peer in _parts(rule.peers)]
    names = sorted({pattern for peer in peers if isinstance(peer, NameMatch) for pattern in peer.patterns})
    found += [
        StandIn(
            name=f"addresses of {ascii(name)[1:-1]}", end=AddressEnd(address=_STRANGERS[0], names=(_concrete(name),))
        )
        for name in names
    ]
    prefixes = {prefix for peer in peers if isinstance(peer, CidrMatch) for prefix in peer.prefixes}
    return (*found, *_stretches(prefixes))


def _stretches(prefixes: set[str]) -> Iterator[StandIn]:
    """Yield one address of every stretch that the prefixes tell apart, and one of each family outside of all."""
    networks = [ipaddress.ip_network(prefix) for prefix in prefixes]
    for version, stranger in ((4, _STRANGERS[0]), (6, _STRANGERS[1])):
        cuts = set()
        for network in networks:
            if network.version == version:
                cuts |= {int(network.network_address), int(network.broadcast_address) + 1}
        kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        limit = (1 << 32) if version == 4 else (1 << 128)
        for low, high in itertools.pairwise(sorted(cuts | {limit})):
            covering = [str(one) for one in networks if one.version == version and kind(low) in one]
            if covering:
                first, last = str(kind(low)), str(kind(high - 1))
                yield StandIn(name=first if first == last else f"{first} to {last}", end=AddressEnd(address=first))
        if not any(network.version == version and kind(stranger) in network for network in networks):
            yield StandIn(name=f"other IPv{version} addresses outside", end=AddressEnd(address=stranger))


def _concrete(pattern: str) -> str:
    """Return a name that a pattern matches."""
    return pattern.replace("**.", "x.", 1).replace("*", "x") if pattern != "*" else "x.example"


def _parts(peers: Iterable[PeerMatch]) -> Iterator[PeerMatch]:
    """Yield peers and the parts that they are made of."""
    for peer in peers:
        yield peer
        if isinstance(peer, (AllMatch, OneMatch)):
            yield from _parts(peer.parts)
        elif isinstance(peer, ExceptMatch):
            yield from _parts((peer.part,))


def _pod_matches(policy: ReadPolicy) -> Iterator[PodMatch]:
    """Yield every pod selector of a policy."""
    yield policy.subject
    for rule in policy.rules:
        own = () if rule.own is None else (rule.own,)
        for peer in _parts((*rule.peers, *own)):
            if isinstance(peer, PodMatch):
                yield peer


def _told_apart(match: PodMatch, draft: _Draft) -> Iterator[tuple[PodMatch, _Draft]]:
    """Yield pods that have what a condition of a selector asks about: every value, the refused ones, too."""
    for need in (need for condition in match.where for need in _requirements(condition)):
        for value in need.values or ("x",):
            one = replace(need, operator=Operator.IN, values=(value,))
            pod = _with(draft, one)
            labels = Labels.of(pod.labels)
            places = Labels.of(pod.namespace_labels)
            yield PodMatch(namespace=pod.namespace, labels=labels, namespace_labels=places), pod


def _requirements(condition: Condition) -> Iterator[Requirement]:
    """Yield the requirements that a condition is made of."""
    match condition:
        case Requirement():
            yield condition
        case Neither():
            yield from _requirements(condition.part)
        case Both() | Either():
            for part in condition.parts:
                yield from _requirements(part)


def _draft(match: PodMatch, home: str | None) -> _Draft:
    """Return what a pod must have to satisfy a selector, as far as its conditions are simple."""
    draft = _Draft(
        cluster=match.cluster or LOCAL,
        namespace=match.namespace or (ELSEWHERE if match.namespace_labels.pairs or home is None else home),
        labels=match.labels.as_dict(),
        namespace_labels=match.namespace_labels.as_dict(),
        account=match.service_account or "default",
    )
    for condition in match.where:
        draft = _satisfied(draft, condition)
    return draft


def _satisfied(draft: _Draft, condition: Condition) -> _Draft:
    """Return a draft changed so that a condition holds, as far as that is simple."""
    match condition:
        case Both():
            for part in condition.parts:
                draft = _satisfied(draft, part)
            return draft
        case Either():
            return _satisfied(draft, condition.parts[0]) if condition.parts else draft
        case Neither():
            return draft
        case Requirement():
            return _with(draft, condition)


def _with(draft: _Draft, need: Requirement) -> _Draft:
    """Return a draft with the value that a requirement asks for; a missing label satisfies the negative ones."""
    if need.operator in (Operator.NOT_IN, Operator.LACKS):
        return draft
    value = need.values[0] if need.values else "x"
    labels, places = draft.labels, draft.namespace_labels
    namespace, account = draft.namespace, draft.account
    if need.scope is Scope.POD:
        labels = {**labels, need.key: value}
    elif need.scope is Scope.ACCOUNT:
        account = value if need.key == ACCOUNT_NAME else account
    elif need.key == NAMESPACE_NAME:
        namespace = value if need.operator is not Operator.HAS else namespace
    else:
        places = {**places, need.key: value}
    return _Draft(cluster=draft.cluster, namespace=namespace, labels=labels, namespace_labels=places, account=account)


def _joined(one: _Draft, two: _Draft) -> _Draft | None:
    """Return a pod that has what both drafts have, or None when no pod can."""
    same = (one.cluster, one.namespace, one.account) == (two.cluster, two.namespace, two.account)
    clash = any(two.labels.get(key, value) != value for key, value in one.labels.items())
    if not same or clash or one.labels == two.labels or one.namespace_labels != two.namespace_labels:
        return None
    return _Draft(
        cluster=one.cluster,
        namespace=one.namespace,
        labels={**one.labels, **two.labels},
        namespace_labels=one.namespace_labels,
        account=one.account,
    )


def _add(
    found: dict[tuple[object, ...], StandIn],
    name: str,
    draft: _Draft,
    wanted: list[PodMatch],
    of: tuple[str, ...] = (),
) -> None:
    """Add a pod unless its attributes are there, or it does not satisfy what it was made for."""
    told = Labels.of({**draft.namespace_labels, NAMESPACE_NAME: draft.namespace})
    version = WorkloadVersion(
        ref=WorkloadRef(cluster=draft.cluster, namespace=draft.namespace, kind="", name=name),
        labels=Labels.of(draft.labels),
        service_account=draft.account,
        namespace_labels=told,
        valid_from=0,
        valid_to=0,
    )
    key = (draft.cluster, draft.namespace, version.labels, told, draft.account)
    if key not in found and all(match.selects(version) is not Truth.NO for match in wanted):
        found[key] = StandIn(name=name, end=PodEnd(version=version, ports=()), of=of)
