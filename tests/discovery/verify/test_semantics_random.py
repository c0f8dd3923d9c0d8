"""Random policies of Cilium and Calico against the few sentences that say how they decide together."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.discovery.verify.asking import ALLOWED, CALICO, CILIUM, DENIED, WEB, A, B, ask, cnp, np, tier
from tests.discovery.verify.test_semantics import KNP_A, ON, ON_WEB

PEERS = ("a", "b", "any")


@given(
    st.lists(st.tuples(st.sampled_from(["allow", "deny"]), st.sampled_from(PEERS), st.booleans()), max_size=4),
    st.booleans(),
)
def test_cilium_any_policies(many: list[tuple[str, str, bool]], kubernetes: bool) -> None:
    """Any deny that matches decides, then any allow, then whether a policy isolates."""
    texts = [KNP_A] if kubernetes else []
    for number, (action, peer, isolates) in enumerate(many):
        section = "ingress" if action == "allow" else "ingressDeny"
        who = "fromEntities: [all]" if peer == "any" else f"fromEndpoints: [{{matchLabels: {{app: {peer}}}}}]"
        flag = f"enableDefaultDeny: {{ingress: {str(isolates).lower()}}}"
        texts.append(cnp(f"{{{ON_WEB}, {section}: [{{{who}}}], {flag}}}", name=f"p{number}"))
    for name, client in (("a", A), ("b", B)):
        actions = {action for action, peer, _ in many if peer in (name, "any")}
        allowed = "allow" in actions or (kubernetes and name == "a")
        isolated = kubernetes or any(isolates for *_, isolates in many)
        expected = "deny" not in actions and (allowed or not isolated)
        assert ask(tuple(texts), client, WEB, on=CILIUM) is (ALLOWED if expected else DENIED)


TIER_ORDERS = {"first": 5.0, "second": 7.0, "default": 1_000_000.0, "last": 2_000_000.0}
RULES = st.lists(st.tuples(st.sampled_from(["Allow", "Deny", "Pass", "Log"]), st.sampled_from(PEERS)), max_size=3)
POLICIES = st.lists(st.tuples(st.sampled_from(sorted(TIER_ORDERS)), st.sampled_from([1, 2, 2000, None]), RULES))


def calico_allows(many: list[tuple[str, int | None, list[tuple[str, str]]]], passes: set[str], name: str) -> bool:
    """Say what the reference says: tiers by order, policies by order and name, then rules one by one."""
    for place in sorted(TIER_ORDERS, key=lambda one: TIER_ORDERS[one]):
        inside = sorted(
            (math.inf if order is None else order, number, rules)
            for number, (where, order, rules) in enumerate(many)
            if where == place
        )
        actions = [action for *_, rules in inside for action, peer in rules if peer in (name, "any")]
        decided = next((action for action in actions if action != "Log"), None)
        if decided in ("Allow", "Deny"):
            return decided == "Allow"
        if inside and decided is None and place not in passes:
            return False
    return True


@given(POLICIES.filter(lambda many: len(many) <= 5), st.sets(st.sampled_from(["first", "second", "last"])))
def test_calico_any_policies(many: list[tuple[str, int | None, list[tuple[str, str]]]], passes: set[str]) -> None:
    """Tiers, orders, names, rules and default actions decide together as the reference says."""
    texts = [
        tier(name, f"{{order: {order}, defaultAction: {'Pass' if name in passes else 'Deny'}}}")
        for name, order in TIER_ORDERS.items()
        if name != "default"
    ]
    for number, (place, order, rules) in enumerate(many):
        items = ", ".join(
            f"{{action: {action}}}" if peer == "any" else f"{{action: {action}, source: {{selector: app == '{peer}'}}}}"
            for action, peer in rules
        )
        place_in = f"tier: {place}, order: {'null' if order is None else order}"
        texts.append(np(f"{{{ON}, {place_in}, ingress: [{items}]}}", name=f"p{number}"))
    for name, client in (("a", A), ("b", B)):
        expected = ALLOWED if calico_allows(many, passes, name) else DENIED
        assert ask(tuple(texts), client, WEB, on=CALICO) is expected
