"""Tests of discovery.verify.stages."""

from __future__ import annotations

from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect
from discovery.verify.rules import Action, AnyMatch, Layer, PodMatch, ReadPolicy, ReadRule, Tier
from discovery.verify.stages import Order
from tests.discovery.verify.builders import platform

RULE = ReadRule(peers=(AnyMatch(),), protocol=Protocol.TCP)
DENY = ReadRule(peers=(AnyMatch(),), protocol=Protocol.TCP, action=Action.DENY)


def policy(
    dialect: Dialect, *, name: str = "p", tier: str = "default", order: float = 1, layer: Layer = Layer.NAMESPACE
) -> ReadPolicy:
    """Return a policy without rules."""
    return ReadPolicy(
        dialect=dialect, kind="K", name=name, namespace=None, subject=PodMatch(), opt_in=False,
        direction=Direction.INGRESS, isolates=True, staged=False, rules=(), source="f:1", tier=tier, order=order,
        layer=layer,
    )  # fmt: skip


def test_cluster_policies_stand_around_the_others() -> None:
    """Admin, namespaced, baseline, on every platform."""
    for spec in ("kubernetes=1.31", "kubernetes=1.31;enforcer=cilium", "kubernetes=1.31;enforcer=calico"):
        order = Order(platform(spec))
        positions = [order.stage(policy(Dialect.KUBERNETES, layer=layer)).position for layer in Layer]
        assert positions == sorted(positions)
        assert len(set(positions)) == 3


def test_tiers_of_calico_come_in_their_order() -> None:
    """Manifests give the order and default of tiers; the default tier keeps its own, whatever a manifest says."""
    tiers = (Tier(name="first", order=5, default=Action.PASS), Tier(name="default", order=1, default=Action.PASS))
    order = Order(platform("calico=3.30"), tiers)
    first, last = order.stage(policy(Dialect.CALICO, tier="first")), order.stage(policy(Dialect.CALICO))
    assert (first.position, first.default, last.default) == (5, Action.PASS, Action.DENY)
    assert first.position < last.position
    assert order.stage(policy(Dialect.KUBERNETES)) == last
    assert order.is_known(policy(Dialect.CALICO, tier="first"))


def test_a_tier_without_manifest_has_no_known_place() -> None:
    """Unless it is the one that the platform names, and then the default one is unknown."""
    order = Order(platform("calico=3.30"))
    assert not order.is_known(policy(Dialect.CALICO, tier="other"))
    assert order.is_known(policy(Dialect.CALICO))
    named = Order(platform("calico=3.30;tier=other"))
    assert named.is_known(policy(Dialect.CALICO, tier="other"))
    assert not named.is_known(policy(Dialect.CALICO))


def test_ranks() -> None:
    """Denies first on Cilium; on Calico order, then name, then the rule's place, with Kubernetes at 1000 as one."""
    cilium = Order(platform("cilium=1.18"))
    assert cilium.rank(policy(Dialect.CILIUM), DENY, 3) < cilium.rank(policy(Dialect.CILIUM, order=0), RULE, 0)
    calico = Order(platform("calico=3.30"))
    ranks = [
        calico.rank(policy(Dialect.CALICO, order=1, name="b"), RULE, 0),
        calico.rank(policy(Dialect.CALICO, order=1, name="b"), DENY, 1),
        calico.rank(policy(Dialect.CALICO, order=1, name="c"), RULE, 0),
        calico.rank(policy(Dialect.KUBERNETES, name="a"), RULE, 5),
        calico.rank(policy(Dialect.CALICO, order=1001, name="a"), RULE, 0),
    ]
    assert ranks == sorted(ranks)
    assert ranks[3] == calico.rank(policy(Dialect.KUBERNETES, name="z"), RULE, 0)
