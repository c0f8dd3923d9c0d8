"""Random populations and random NetworkPolicies, as plain manifests; other dialects build on what is here.

Small alphabets make selectors, names and ports meet. What is drawn is valid; what one oracle is known to get wrong is
left out by the flags of :class:`Limits`, so that every strategy can be held against every oracle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from discovery.model.inventory import NamedPort
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion
from discovery.verify.ends import PodEnd

Manifest = dict[str, Any]

NAMESPACES = ("shop", "pay")
LABELS = {"app": ("a", "b"), "tier": ("x", "y"), "example.org/env": ("prod",)}
NAMESPACE_LABELS = {"team": ("red", "blue"), "zone": ("z1",)}
NAMESPACE_NAME = "kubernetes.io/metadata.name"
PORT_NAMES = ("web", "dns", "admin")
PORT_NUMBERS = (53, 80, 81, 8080, 9090)
TRANSPORTS = ("TCP", "UDP", "SCTP")
# None of these holds an address of a pod, so that it does not matter whether they mean pods.
NETS = ("0.0.0.0/1", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "192.168.0.0/16", "8.8.8.8/32")
EVERYTHING = "0.0.0.0/0"
# One address of every region that the prefixes above make.
OUTSIDE = ("1.1.1.1", "8.8.8.8", "10.0.0.1", "10.1.0.1", "10.1.2.3", "10.1.2.200", "192.168.7.7", "203.0.113.9")
_INSIDE = {
    EVERYTHING: NETS,
    "0.0.0.0/1": NETS[1:5] + NETS[6:],
    "10.0.0.0/8": NETS[2:5],
    "10.1.0.0/16": NETS[3:5],
    "10.1.2.0/24": NETS[4:5],
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an oracle is asked about: prefixes of rules, and constructs that it reads in its own way."""

    nets: tuple[str, ...] = (EVERYTHING, *NETS)
    exists_beside_namespaces: bool = True
    empty_lists_without_types: bool = True
    names_of: tuple[str, ...] = TRANSPORTS


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod with its labels and its ports by name: name to protocol and number."""

    namespace: str
    name: str
    address: str
    labels: dict[str, str]
    ports: dict[str, tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class World:
    """Namespaces with their labels, and pods."""

    namespaces: dict[str, dict[str, str]]
    pods: tuple[Pod, ...]

    def manifests(self) -> list[Manifest]:
        """Return the namespaces and the pods as an API server would tell them."""
        found: list[Manifest] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            for name, labels in self.namespaces.items()
        ]
        for pod in self.pods:
            ports = [
                {"name": name, "protocol": protocol, "containerPort": number}
                for name, (protocol, number) in pod.ports.items()
            ]
            meta = {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels}
            spec = {"containers": [{"name": "main", "image": "none", "ports": ports}]}
            found.append(
                {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"podIP": pod.address}}
            )
        return found

    def ends(self) -> dict[str, PodEnd]:
        """Return the pods as ends of connections, by ``namespace/name``."""
        return {f"{pod.namespace}/{pod.name}": self._end(pod) for pod in self.pods}

    def _end(self, pod: Pod) -> PodEnd:
        """Return one pod as an end."""
        version = WorkloadVersion(
            ref=WorkloadRef(cluster="c1", namespace=pod.namespace, kind="Pod", name=pod.name),
            labels=Labels.of(pod.labels),
            service_account="default",
            namespace_labels=Labels.of(self.namespaces[pod.namespace]),
            valid_from=0,
            valid_to=1,
        )
        ports = tuple(
            NamedPort(name=name, protocol=protocol, number=number) for name, (protocol, number) in pod.ports.items()
        )
        return PodEnd(version=version, address=pod.address, ports=ports)


# For cases written by hand: one pod in each namespace, without labels and ports.
PLAIN = World(
    namespaces={name: {NAMESPACE_NAME: name} for name in NAMESPACES},
    pods=tuple(
        Pod(namespace=name, name="p", address=f"172.16.0.{number}", labels={}, ports={})
        for number, name in enumerate(NAMESPACES, start=1)
    ),
)


def text(manifests: Iterable[Manifest]) -> str:
    """Return manifests as YAML documents, one a line (JSON is YAML, and has no anchors)."""
    return "".join(f"---\n{json.dumps(manifest)}\n" for manifest in manifests)


def some_labels(alphabet: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[dict[str, str]]:
    """Draw labels of an alphabet, each key or not."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in alphabet.items()})


@st.composite
def worlds(draw: st.DrawFn, protocols: tuple[str, ...] = TRANSPORTS) -> World:
    """Draw two namespaces and two to four pods; names of ports stand for other numbers in each pod."""
    namespaces = {name: {**draw(some_labels(NAMESPACE_LABELS)), NAMESPACE_NAME: name} for name in NAMESPACES}
    named = st.dictionaries(
        st.sampled_from(PORT_NAMES),
        st.tuples(st.sampled_from(protocols), st.sampled_from(PORT_NUMBERS)),
        max_size=2,
    )
    pods = tuple(
        Pod(
            namespace=draw(st.sampled_from(NAMESPACES)) if number > 1 else NAMESPACES[number],
            name=f"p{number}",
            address=f"172.16.0.{number + 1}",
            labels=draw(some_labels(LABELS)),
            ports=draw(named),
        )
        for number in range(draw(st.integers(2, 4)))
    )
    return World(namespaces=namespaces, pods=pods)


def expressions(
    alphabet: Mapping[str, tuple[str, ...]], *, exists: bool = True, prefix: str = ""
) -> st.SearchStrategy[Manifest]:
    """Draw one matchExpression."""

    def of(key: str) -> st.SearchStrategy[Manifest]:
        values = st.lists(st.sampled_from(alphabet[key]), min_size=1, max_size=2, unique=True)
        compared = st.fixed_dictionaries(
            {"key": st.just(prefix + key), "operator": st.sampled_from(["In", "NotIn"]), "values": values}
        )
        present = st.fixed_dictionaries(
            {"key": st.just(prefix + key), "operator": st.sampled_from(["Exists", "DoesNotExist"])}
        )
        return st.one_of(compared, present) if exists else compared

    return st.sampled_from(sorted(alphabet)).flatmap(of)


def selectors(
    alphabet: Mapping[str, tuple[str, ...]], *, exists: bool = True, prefix: str = ""
) -> st.SearchStrategy[Manifest]:
    """Draw a label selector: everything, pairs, expressions or both."""
    pair = st.sampled_from([{prefix + key: value} for key, values in alphabet.items() for value in values])
    asked = st.lists(expressions(alphabet, exists=exists, prefix=prefix), min_size=1, max_size=2)
    pairs = some_labels(alphabet).map(lambda found: {prefix + key: value for key, value in found.items()})
    return st.one_of(
        st.just({}),
        st.just({}),
        pair.map(lambda found: {"matchLabels": found}),
        asked.map(lambda found: {"matchExpressions": found}),
        st.tuples(pairs, asked).map(lambda both: {"matchLabels": both[0], "matchExpressions": both[1]}),
    )


def namespace_selectors() -> st.SearchStrategy[Manifest]:
    """Draw a selector of namespaces, by label or by name."""
    by_name = st.sampled_from(NAMESPACES).map(lambda name: {"matchLabels": {NAMESPACE_NAME: name}})
    return st.one_of(by_name, selectors(NAMESPACE_LABELS))


@st.composite
def blocks(draw: st.DrawFn, nets: tuple[str, ...]) -> Manifest:
    """Draw a prefix, perhaps with exceptions inside it."""
    cidr = draw(st.sampled_from(nets))
    inside = [net for net in _INSIDE.get(cidr, ()) if net in nets]
    block: Manifest = {"cidr": cidr}
    narrowed = draw(st.booleans())
    if inside and narrowed:
        block["except"] = draw(st.lists(st.sampled_from(inside), min_size=1, max_size=2, unique=True))
    return block


def peers(limits: Limits) -> st.SearchStrategy[Manifest]:
    """Draw one peer of a NetworkPolicy."""
    beside = selectors(LABELS, exists=limits.exists_beside_namespaces)
    return st.one_of(
        st.fixed_dictionaries({"podSelector": selectors(LABELS)}),
        st.fixed_dictionaries({"namespaceSelector": namespace_selectors()}),
        st.fixed_dictionaries({"namespaceSelector": namespace_selectors(), "podSelector": beside}),
        st.fixed_dictionaries({"ipBlock": blocks(limits.nets)}),
    )


def ports(limits: Limits) -> st.SearchStrategy[Manifest]:
    """Draw one port of a NetworkPolicy: a protocol alone, a number, a range or a name."""
    protocol = {"protocol": st.sampled_from(TRANSPORTS)}
    named = {"protocol": st.sampled_from(limits.names_of)}
    number = st.sampled_from(PORT_NUMBERS)
    return st.one_of(
        st.fixed_dictionaries({"port": number}, optional=protocol),
        st.fixed_dictionaries(protocol),
        st.fixed_dictionaries({"port": number}, optional=protocol),
        st.fixed_dictionaries({"port": st.sampled_from(PORT_NAMES), **named}),
        st.tuples(number, number, st.sampled_from(TRANSPORTS)).map(
            lambda one: {"port": min(one[:2]), "endPort": max(one[:2]), "protocol": one[2]}
        ),
    )


def rules(limits: Limits, ends: str) -> st.SearchStrategy[Manifest]:
    """Draw one rule, mostly with ports; lists may be missing, empty or full."""
    some_peers = st.lists(peers(limits), min_size=1, max_size=3)
    some_ports = st.lists(ports(limits), min_size=2, max_size=5)
    anything = st.lists(st.nothing(), max_size=0)
    return st.one_of(
        st.fixed_dictionaries({ends: some_peers, "ports": some_ports}),
        st.fixed_dictionaries({"ports": some_ports}, optional={ends: anything}),
        st.fixed_dictionaries({ends: some_peers}, optional={"ports": anything}),
        st.fixed_dictionaries({ends: some_peers, "ports": some_ports}),
        st.fixed_dictionaries({}, optional={ends: anything, "ports": anything}),
    )


@st.composite
def network_policies(draw: st.DrawFn, limits: Limits, name: str) -> Manifest:
    """Draw a NetworkPolicy; which directions it has follows from its types, or from its rules without types."""
    spec: Manifest = {"podSelector": draw(selectors(LABELS))}
    declared = draw(st.sampled_from([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
    for direction, ends in (("Ingress", "from"), ("Egress", "to")):
        if declared is None or direction in declared:
            fewest = 1 if (declared is None and not limits.empty_lists_without_types) or draw(st.booleans()) else 0
            if draw(st.integers(0, 3)):
                spec[direction.lower()] = draw(st.lists(rules(limits, ends), min_size=fewest, max_size=3))
    if declared is not None:
        spec["policyTypes"] = declared
    meta = {"name": name, "namespace": draw(st.sampled_from(NAMESPACES))}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def policy_sets(limits: Limits, most: int = 4) -> st.SearchStrategy[list[Manifest]]:
    """Draw NetworkPolicies with names of their own."""
    return (
        st.integers(2, most)
        .flatmap(lambda n: st.tuples(*(network_policies(limits, f"n{i}") for i in range(n))))
        .map(list)
    )
