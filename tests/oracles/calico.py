"""Random policies of Calico: NetworkPolicy, GlobalNetworkPolicy and network sets, in the tier ``default``.

What network-config-analyzer gets wrong or refuses is not drawn: two policies of one order (it does not go by name),
``notNets`` without ``nets`` (its pods have no addresses, so they never match), nets beside selectors, ICMP type 0 (read
as any type), ICMP codes, client ports, service accounts, tiers, orders with a fraction (it fails), types left out
beside empty lists of rules, and ``notSelector`` alone in a policy of a namespace (there it does not bind the end).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracles.strategies import (
    LABELS,
    NAMESPACE_LABELS,
    NAMESPACE_NAME,
    NAMESPACES,
    NETS,
    PORT_NAMES,
    PORT_NUMBERS,
    TRANSPORTS,
    Manifest,
)

ACTIONS = ("Allow", "Deny", "Allow", "Deny", "Pass", "Log")
ORDERS = (1, 2, 100, 500, 2000, 3000)
ICMP_TYPES = (3, 8, 13)
# Labels of network sets, some of which pods have as well.
SET_LABELS = {"app": ("a",), "kind": ("partner", "office")}


def terms(alphabet: dict[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """Draw one comparison of a selector."""

    def of(key: str) -> st.SearchStrategy[str]:
        value = st.sampled_from(alphabet[key])
        listed = st.lists(value, min_size=1, max_size=2, unique=True).map(
            lambda found: "{" + ", ".join(f"'{one}'" for one in found) + "}"
        )
        return st.one_of(
            st.tuples(st.sampled_from(["==", "!="]), value).map(lambda one: f"{key} {one[0]} '{one[1]}'"),
            st.tuples(st.sampled_from(["in", "not in"]), listed).map(lambda one: f"{key} {one[0]} {one[1]}"),
            st.sampled_from([f"has({key})", f"!has({key})"]),
            st.tuples(st.sampled_from(["contains", "starts with", "ends with"]), value).map(
                lambda one: f"{key} {one[0]} '{one[1][:1] if 'start' in one[0] else one[1][-1:]}'"
            ),
        )

    return st.one_of(st.just("all()"), st.sampled_from(sorted(alphabet)).flatmap(of))


def selector_texts(alphabet: dict[str, tuple[str, ...]]) -> st.SearchStrategy[str]:
    """Draw a selector: comparisons joined by ``&&`` and ``||``, negated and in parentheses."""

    def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(inner, st.sampled_from(["&&", "||"]), inner)
        return st.one_of(
            pairs.map(lambda one: f"{one[0]} {one[1]} {one[2]}"),
            pairs.map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
            inner.map(lambda one: f"!({one})"),
        )

    return st.recursive(terms(alphabet), joined, max_leaves=3)


def namespace_texts(*, sets: bool = False) -> st.SearchStrategy[str]:
    """Draw a selector of namespaces, by label or by name; beside network sets by name alone, as our reader does not
    know the labels of their namespaces.
    """
    by_name = st.sampled_from(NAMESPACES).map(lambda name: f"{NAMESPACE_NAME} == '{name}'")
    if sets:
        return st.one_of(by_name, st.just("all()"), st.just("global()"))
    return st.one_of(by_name, selector_texts(NAMESPACE_LABELS))


@st.composite
def entities(draw: st.DrawFn, *, sets: bool, everywhere: bool) -> Manifest:
    """Draw who an end of a rule must be: nets, or selectors; ``everywhere`` is for policies of no namespace."""
    shape = draw(st.sampled_from(["any", "nets", "pods", "pods", "pods"]))
    if shape == "any":
        return {}
    if shape == "nets":
        nets = st.lists(st.sampled_from(NETS), min_size=1, max_size=2, unique=True)
        found: Manifest = {"nets": draw(nets)}
        if draw(st.booleans()):
            found["notNets"] = draw(nets)
        return found
    found = {}
    alphabet = {**LABELS, **SET_LABELS} if sets else LABELS
    if draw(st.integers(0, 3)):
        found["selector"] = draw(selector_texts(alphabet))
    if draw(st.integers(0, 2)) == 0:
        found["namespaceSelector"] = draw(namespace_texts(sets=sets))
    if draw(st.integers(0, 2)) == 0 and (everywhere or found):
        found["notSelector"] = draw(selector_texts(alphabet))
    return found


def port_items(*, named: bool) -> st.SearchStrategy[Any]:
    """Draw one port: a number, a range or a name."""
    number = st.sampled_from(PORT_NUMBERS)
    ranges = st.tuples(number, number).map(lambda both: f"{min(both)}:{max(both)}")
    return st.one_of(number, ranges, st.sampled_from(PORT_NAMES)) if named else st.one_of(number, ranges)


@st.composite
def rules(draw: st.DrawFn, direction: str, *, sets: bool, everywhere: bool) -> Manifest:
    """Draw one rule."""
    rule: Manifest = {"action": draw(st.sampled_from(ACTIONS))}
    near, far = ("destination", "source") if direction == "ingress" else ("source", "destination")
    if peer := draw(entities(sets=sets, everywhere=everywhere)):
        rule[far] = peer
    own = draw(entities(sets=False, everywhere=everywhere)) if draw(st.integers(0, 4)) == 0 else {}
    if own and "nets" not in own:
        rule[near] = own
    protocol = draw(st.sampled_from([None, "ICMP", "not", *TRANSPORTS, *TRANSPORTS]))
    if protocol == "not":
        rule["notProtocol"] = draw(st.sampled_from([*TRANSPORTS, "ICMP"]))
    elif protocol is not None:
        rule["protocol"] = protocol
    if protocol == "ICMP" and (field := draw(st.sampled_from([None, "icmp", "notICMP"]))):
        rule[field] = {"type": draw(st.sampled_from(ICMP_TYPES))}
    if protocol in TRANSPORTS:
        target = rule.setdefault("destination", {})
        shape = draw(st.sampled_from(["ports", "notPorts", "both", "ports", "none"]))
        if shape in ("ports", "both"):
            target["ports"] = draw(st.lists(port_items(named=True), min_size=1, max_size=3))
        if shape in ("notPorts", "both"):
            target["notPorts"] = draw(st.lists(port_items(named=False), min_size=1, max_size=2))
        if not target:
            del rule["destination"]
    return rule


@st.composite
def policies(draw: st.DrawFn, name: str, order: float | None, *, sets: bool = False) -> Manifest:
    """Draw one policy of a given order."""
    everywhere = draw(st.booleans())
    meta: Manifest = {"name": name}
    spec: Manifest = {}
    if order is not None:
        spec["order"] = order
    if draw(st.integers(0, 2)):
        spec["selector"] = draw(selector_texts(LABELS))
    if everywhere:
        if draw(st.integers(0, 2)) == 0:
            spec["namespaceSelector"] = draw(namespace_texts())
    else:
        meta["namespace"] = draw(st.sampled_from(NAMESPACES))
    declared = draw(st.sampled_from([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
    for direction in ("ingress", "egress"):
        if (declared is None or direction.capitalize() in declared) and draw(st.integers(0, 3)):
            items = rules(direction, sets=sets, everywhere=everywhere)
            spec[direction] = draw(st.lists(items, min_size=declared is None, max_size=3))
    if declared is not None:
        spec["types"] = declared
    kind = "GlobalNetworkPolicy" if everywhere else "NetworkPolicy"
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": meta, "spec": spec}


@st.composite
def policy_sets(draw: st.DrawFn, *, sets: bool = False) -> list[Manifest]:
    """Draw policies with orders of their own, at most one without."""
    orders = draw(st.lists(st.sampled_from([*ORDERS, None]), min_size=1, max_size=4, unique=True))
    return [draw(policies(f"c{number}", order, sets=sets)) for number, order in enumerate(orders)]


@st.composite
def network_sets(draw: st.DrawFn) -> list[Manifest]:
    """Draw one or two network sets. They share no address: one of two sets is of one alone to the analyzer, where
    it is of both to Calico (seen with a global and a namespaced set, and the namespaceSelector ``all()``).
    """
    apart = draw(st.permutations(["10.1.0.0/16", "192.168.0.0/16", "8.8.8.8/32", "1.0.0.0/8"]))
    found: list[Manifest] = []
    for number in range(draw(st.integers(1, 2))):
        everywhere = draw(st.booleans())
        labels = {key: draw(st.sampled_from(values)) for key, values in SET_LABELS.items()}
        meta: Manifest = {"name": f"s{number}", "labels": labels}
        if not everywhere:
            meta["namespace"] = draw(st.sampled_from(NAMESPACES))
        nets = apart[2 * number : 2 * number + draw(st.integers(1, 2))]
        kind = "GlobalNetworkSet" if everywhere else "NetworkSet"
        found.append({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": meta, "spec": {"nets": nets}})
    return found
