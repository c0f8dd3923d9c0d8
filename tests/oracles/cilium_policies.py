"""Random policies of Cilium: CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.oracles.strategies import (
    EVERYTHING,
    LABELS,
    NAMESPACE_LABELS,
    NAMESPACES,
    NETS,
    PORT_NAMES,
    PORT_NUMBERS,
    TRANSPORTS,
    Manifest,
    blocks,
    expressions,
    selectors,
)

NAMESPACE_KEY = "k8s:io.kubernetes.pod.namespace"
NAMESPACE_PREFIX = "k8s:io.cilium.k8s.namespace.labels."
ENTITIES = ("all", "world", "cluster", "host", "remote-node", "init", "ingress", "unmanaged", "health", "none")
ICMP_TYPES = (3, 8, 13)
_CIDRS = (EVERYTHING, *NETS)


def _merged(parts: tuple[Manifest, ...]) -> Manifest:
    """Join label selectors: all must hold."""
    found: Manifest = {}
    for part in parts:
        found.setdefault("matchLabels", {}).update(part.get("matchLabels", {}))
        found.setdefault("matchExpressions", []).extend(part.get("matchExpressions", []))
    return {key: value for key, value in found.items() if value}


def places() -> st.SearchStrategy[Manifest]:
    """Draw what a selector asks of the namespace."""
    names = st.sampled_from(NAMESPACES)
    listed = st.lists(names, min_size=1, max_size=2, unique=True)
    asked = st.one_of(
        st.tuples(st.sampled_from(["In", "NotIn"]), listed).map(
            lambda one: {"key": NAMESPACE_KEY, "operator": one[0], "values": one[1]}
        ),
        st.just({"key": NAMESPACE_KEY, "operator": "Exists"}),
        expressions(NAMESPACE_LABELS, prefix=NAMESPACE_PREFIX),
    )
    return st.one_of(
        names.map(lambda name: {"matchLabels": {NAMESPACE_KEY: name}}),
        selectors(NAMESPACE_LABELS, prefix=NAMESPACE_PREFIX),
        asked.map(lambda one: {"matchExpressions": [one]}),
    )


def endpoint_selectors() -> st.SearchStrategy[Manifest]:
    """Draw the selector of a peer: labels with or without a source, perhaps of a namespace, or of a reserved end."""
    labels = st.sampled_from(["", "k8s:", "any:"]).flatmap(lambda prefix: selectors(LABELS, prefix=prefix))
    reserved = st.sampled_from(["host", "remote-node", "health"])
    return st.one_of(
        labels,
        labels,
        st.tuples(labels, places()).map(_merged),
        reserved.map(lambda name: {"matchLabels": {f"reserved:{name}": ""}}),
    )


@st.composite
def peers(draw: st.DrawFn, side: str) -> Manifest:
    """Draw at most one kind of peers."""
    kind = draw(st.sampled_from(["", "Endpoints", "Endpoints", "Entities", "CIDR", "CIDRSet"]))
    items: dict[str, st.SearchStrategy[object]] = {
        "Endpoints": endpoint_selectors(),
        "Entities": st.sampled_from(ENTITIES),
        "CIDR": st.sampled_from(_CIDRS),
        "CIDRSet": blocks(_CIDRS),
    }
    # An empty list of selectors is nobody; the other lists are not drawn empty.
    fewest = 0 if kind == "Endpoints" else 1
    return {side + kind: draw(st.lists(items[kind], min_size=fewest, max_size=2))} if kind else {}


def ports() -> st.SearchStrategy[Manifest]:
    """Draw one port: a number, a range, every port or a name; a missing protocol is any."""
    protocol = {"protocol": st.sampled_from([*TRANSPORTS, "ANY"])}
    number = st.sampled_from(PORT_NUMBERS)
    one = number.map(str)
    return st.one_of(
        st.fixed_dictionaries({"port": one}, optional=protocol),
        st.fixed_dictionaries({"port": st.sampled_from(PORT_NAMES)}, optional=protocol),
        st.fixed_dictionaries({"port": st.just("0"), "protocol": st.sampled_from(TRANSPORTS)}),
        st.tuples(number, number, st.sampled_from([*TRANSPORTS, "ANY"])).map(
            lambda drawn: {"port": str(min(drawn[:2])), "endPort": max(drawn[:2]), "protocol": drawn[2]}
        ),
    )


@st.composite
def rules(draw: st.DrawFn, side: str, *, empty: bool) -> Manifest:
    """Draw one rule, of any list; ``empty`` says whether it may be an empty one."""
    rule: Manifest = draw(peers(side))
    content = draw(st.sampled_from(["", "toPorts", "toPorts", "icmps"] if rule or empty else ["toPorts", "icmps"]))
    if content == "toPorts":
        items = st.lists(ports(), min_size=1, max_size=3).map(lambda found: {"ports": found})
        rule["toPorts"] = draw(st.lists(items, min_size=1, max_size=2))
    elif content == "icmps":
        types = draw(st.lists(st.sampled_from(ICMP_TYPES), min_size=1, max_size=2, unique=True))
        rule["icmps"] = [{"fields": [{"family": "IPv4", "type": one} for one in types]}]
    return rule


@st.composite
def specs(draw: st.DrawFn) -> Manifest:
    """Draw one spec with at least one rule."""
    subject = st.sampled_from(["", "k8s:", "any:"]).flatmap(lambda prefix: selectors(LABELS, prefix=prefix))
    spec: Manifest = {"endpointSelector": draw(subject)}
    lists = ("ingress", "egress", "ingressDeny", "egressDeny")
    for name in draw(st.lists(st.sampled_from(lists), min_size=1, max_size=3, unique=True)):
        side = "from" if name.startswith("ingress") else "to"
        # What an empty deny denies is told by no reference: our reader leaves it open, so it is not drawn.
        spec[name] = draw(st.lists(rules(side, empty="Deny" not in name), min_size=1, max_size=2))
    if draw(st.integers(0, 2)) == 0:
        flags = st.fixed_dictionaries({}, optional={"ingress": st.booleans(), "egress": st.booleans()})
        spec["enableDefaultDeny"] = draw(flags)
    return spec


@st.composite
def policies(draw: st.DrawFn, name: str) -> Manifest:
    """Draw one policy, with ``spec`` or ``specs``."""
    everywhere = draw(st.booleans())
    meta: Manifest = {"name": name} if everywhere else {"name": name, "namespace": draw(st.sampled_from(NAMESPACES))}
    content: Manifest = {"spec": draw(specs())} if draw(st.booleans()) else {"specs": [draw(specs()), draw(specs())]}
    kind = "CiliumClusterwideNetworkPolicy" if everywhere else "CiliumNetworkPolicy"
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": meta, **content}


def policy_sets() -> st.SearchStrategy[list[Manifest]]:
    """Draw policies with names of their own."""
    return st.integers(1, 3).flatmap(lambda n: st.tuples(*(policies(f"c{i}") for i in range(n)))).map(list)
