"""Tests of discovery.verify.references: CIDR groups, network sets and tiers, by the references of Cilium and Calico."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Labels
from discovery.verify.context import NO_CONTEXT, CidrGroup, Context, NetworkSet
from discovery.verify.references import read_references
from discovery.verify.rules import Action, Tier
from tests.discovery.verify.builders import codes

CALICO = "projectcalico.org/v3"
CILIUM = "cilium.io/v2"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def thing(api: str, kind: str, spec: object, *, name: str = "x", **metadata: object) -> dict[str, Any]:
    """Return one object."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def read(*documents: object) -> Context:
    """Read documents; nothing may be reported."""
    context, diagnostics = read_references((f"f:{n}", document) for n, document in enumerate(documents, 1))
    assert diagnostics == ()
    return context


def net(*prefixes: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return networks."""
    return tuple(ipaddress.ip_network(prefix) for prefix in prefixes)


@pytest.mark.parametrize("api", [CILIUM, "cilium.io/v2alpha1"])
def test_cidr_groups(api: str) -> None:
    """A CiliumCIDRGroup is known by name, with its labels and the prefixes of spec.externalCIDRs."""
    spec = {"externalCIDRs": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]}
    context = read(thing(api, "CiliumCIDRGroup", spec, name="g", labels={"team": "a"}))
    group = CidrGroup(
        name="g", labels=Labels.of({"team": "a"}), networks=net("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32")
    )
    assert context == Context(cidr_groups={"g": group})


def test_network_sets() -> None:
    """A NetworkSet is in its namespace, a GlobalNetworkSet in none, whatever its metadata say."""
    labels = {"kind": "outside"}
    context = read(
        thing(CALICO, "NetworkSet", {"nets": ["10.0.0.0/8"]}, name="a", namespace="shop", labels=labels),
        thing(CALICO, "GlobalNetworkSet", {"nets": ["192.0.2.0/24"]}, name="b", namespace="shop"),
        thing(CALICO, "GlobalNetworkSet", {}, name="c"),
    )
    assert context == Context(
        sets=(
            NetworkSet(name="a", namespace="shop", labels=Labels.of(labels), networks=net("10.0.0.0/8")),
            NetworkSet(name="b", namespace=None, labels=Labels(), networks=net("192.0.2.0/24")),
            NetworkSet(name="c", namespace=None, labels=Labels(), networks=()),
        )
    )


def test_a_set_without_namespace_is_read_in_default() -> None:
    """And that is said."""
    context, diagnostics = read_references([("f:1", thing(CALICO, "NetworkSet", {"nets": []}))])
    assert [one.namespace for one in context.sets] == ["default"]
    assert [(one.code, one.subject) for one in diagnostics] == [("namespace-assumed", "f:1")]


@pytest.mark.parametrize(
    ("spec", "order", "default"),
    [
        ({"order": 5}, 5.0, Action.DENY),
        ({"order": -1.5, "defaultAction": "Pass"}, -1.5, Action.PASS),
        ({"defaultAction": "Deny"}, math.inf, Action.DENY),
        ({}, math.inf, Action.DENY),
        (None, math.inf, Action.DENY),
    ],
)
def test_tiers(spec: object, order: float, default: Action) -> None:
    """A missing order comes last; what no rule of the tier decides is denied unless it says Pass."""
    assert read(thing(CALICO, "Tier", spec)) == Context(tiers=(Tier(name="x", order=order, default=default),))


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (thing(CILIUM, "CiliumCIDRGroup", {"externalCIDRs": ["10.0.0.0/33"]}), "spec.externalCIDRs"),
        (thing(CILIUM, "CiliumCIDRGroup", {"externalCIDRs": ["example.com"]}), "spec.externalCIDRs"),
        (thing(CILIUM, "CiliumCIDRGroup", {"externalCIDRs": [None]}), "spec.externalCIDRs"),
        (thing(CILIUM, "CiliumCIDRGroup", {"externalCIDRs": "10.0.0.0/8"}), "spec.externalCIDRs"),
        (thing(CILIUM, "CiliumCIDRGroup", []), "spec"),
        (thing(CILIUM, "CiliumCIDRGroup", {}, labels={"a": 1}), "metadata.labels"),
        (thing(CILIUM, "CiliumCIDRGroup", {}, labels=[1]), "metadata.labels"),
        ({"apiVersion": CILIUM, "kind": "CiliumCIDRGroup", "metadata": {}}, "metadata.name"),
        (thing(CALICO, "NetworkSet", {"nets": ["10.0.0.0/8/8"]}, namespace="shop"), "spec.nets"),
        (thing(CALICO, "NetworkSet", {"nets": []}, namespace=3), "metadata.namespace"),
        (thing(CALICO, "GlobalNetworkSet", {"nets": {}}), "spec.nets"),
        (thing(CALICO, "GlobalNetworkSet", "x"), "spec"),
        (thing(CALICO, "Tier", {"order": "5"}), "spec.order"),
        (thing(CALICO, "Tier", {"order": True}), "spec.order"),
        (thing(CALICO, "Tier", {"order": math.nan}), "spec.order"),
        (thing(CALICO, "Tier", {"defaultAction": "Allow"}), "spec.defaultAction"),
        (thing(CALICO, "Tier", {"defaultAction": ["Deny"]}), "spec.defaultAction"),
        ({"apiVersion": CALICO, "kind": "Tier", "metadata": []}, "metadata"),
    ],
)
def test_what_cannot_be_read_is_not_there(document: dict[str, Any], where: str) -> None:
    """A located error; an unreadable set is remembered, because selectors may mean it."""
    context, diagnostics = read_references([("f:1", document)])
    assert codes(diagnostics) == ["not-evaluated"]
    assert diagnostics[0].message.startswith(where)
    assert diagnostics[0].subject == "f:1"
    assert (context.cidr_groups, context.sets, context.tiers) == ({}, (), ())
    assert context.sets_known is ("NetworkSet" not in document["kind"])


def test_other_objects_are_nothing_to_refer_to() -> None:
    """Policies, other groups of the same kinds and what is no manifest are left to others."""
    assert (
        read(
            None,
            "text",
            {},
            {"kind": ["Tier"], "apiVersion": {}},
            thing(CILIUM, "CiliumNetworkPolicy", {}),
            thing(CALICO, "NetworkPolicy", {}),
            thing("example.com/v1", "Tier", {}),
            thing("example.com/v1", "NetworkSet", {}),
        )
        == NO_CONTEXT
    )


@pytest.mark.parametrize("kind", ["GlobalNetworkSet", "NetworkSet"])
def test_stored_sets_are_read_like_stored_policies(kind: str) -> None:
    """crd.projectcalico.org/v1 holds the same specs: a set of it is read, or said to be unknown."""
    document = thing("crd.projectcalico.org/v1", kind, {"nets": ["10.0.0.0/8"]}, namespace="shop")
    context, diagnostics = read_references([("f:1", document)])
    assert context.sets or diagnostics or not context.sets_known


def test_an_order_beyond_all_numbers_is_refused() -> None:
    """A YAML integer has as many digits as it likes; no exception comes out."""
    _, diagnostics = read_references([("f:1", thing(CALICO, "Tier", {"order": 10**400}))])
    assert codes(diagnostics) == ["not-evaluated"]


@given(
    st.sampled_from(
        [(CILIUM, "CiliumCIDRGroup"), (CALICO, "NetworkSet"), (CALICO, "GlobalNetworkSet"), (CALICO, "Tier")]
    ),
    JSON,
    JSON,
    st.sampled_from(["externalCIDRs", "nets", "order", "defaultAction"]),
)
def test_random_content_never_raises(kind: tuple[str, str], value: object, labels: object, field: str) -> None:
    """Whatever an object holds, it is read or reported."""
    for spec in (value, {field: value}, {field: [value]}):
        read_references([("f:1", thing(*kind, spec, labels=labels)), ("f:2", value)])
