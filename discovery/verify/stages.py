"""The order in which policies decide: stages one after the other, policies in a stage by rank.

Kubernetes and Cilium: cluster policies of the admin tier by priority, then all namespaced policies together, then those
of the baseline tier. Calico: its tiers by order, policies in a tier by order and name; Kubernetes policies are in its
tier ``default`` at order 1000, cluster policies in tiers of their own. Sources: network-policy-api, the Cilium policy
reference, the Calico policy reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.verify.ends import enforcer_of
from discovery.verify.rules import Action, Layer, ReadPolicy, ReadRule, Tier

_DEFAULT_TIER = "default"
_KUBERNETES_ORDER, _KUBERNETES_NAME = 1000.0, "knp.default."
_BUILT_IN = {
    Layer.ADMIN: Tier(name="kube-admin", order=1_000, default=Action.PASS),
    Layer.NAMESPACE: Tier(name=_DEFAULT_TIER, order=1_000_000, default=Action.DENY),
    Layer.BASELINE: Tier(name="kube-baseline", order=10_000_000, default=Action.PASS),
}
# What ranks a rule among all rules of its stage; rules of one rank decide together.
Rank = tuple[float, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the decision. ``default`` is what happens to what is isolated and no rule decides."""

    position: float
    name: str
    default: Action = Action.DENY


class Order:
    """Where policies stand on one platform."""

    def __init__(self, platform: Platform, tiers: Iterable[Tier] = ()) -> None:
        """Take the tiers of Calico that manifests define; those that it makes itself are known."""
        self._enforcer = enforcer_of(platform)
        self._own = dict(platform.settings).get("tier") or _DEFAULT_TIER
        self._tiers = {tier.name: tier for tier in _BUILT_IN.values()}
        self._defined = frozenset(tier.name for tier in tiers)
        self._tiers.update((tier.name, tier) for tier in tiers if tier.name != _DEFAULT_TIER)

    def stage(self, policy: ReadPolicy) -> Stage:
        """Return the stage of a policy."""
        if self._enforcer is Dialect.CALICO:
            tier = _BUILT_IN[policy.layer]
            if policy.layer is Layer.NAMESPACE and policy.dialect is Dialect.CALICO:
                tier = self._tiers.get(policy.tier) or Tier(name=policy.tier, order=math.inf, default=Action.DENY)
            return Stage(position=tier.order, name=tier.name, default=tier.default)
        return Stage(position=list(Layer).index(policy.layer), name=policy.layer.value)

    def is_known(self, policy: ReadPolicy) -> bool:
        """Say whether the place of a policy is known: what policies of two tiers mean together depends on the order and
        the default action of the tiers, which only their manifests tell.
        """
        if self._enforcer is not Dialect.CALICO or policy.layer is not Layer.NAMESPACE:
            return True
        return policy.tier == self._own or {policy.tier, self._own} <= self._defined | {_DEFAULT_TIER}

    def rank(self, policy: ReadPolicy, rule: ReadRule, number: int) -> Rank:
        """Return the rank of the rule with this number in its policy."""
        if policy.layer is not Layer.NAMESPACE:
            return policy.order, "", number
        if self._enforcer is Dialect.CALICO:
            if policy.dialect is Dialect.CALICO:
                return policy.order, policy.name, number
            return _KUBERNETES_ORDER, _KUBERNETES_NAME, 0  # a union
        # Denies of Cilium come before every allow; allows are a union.
        return (0 if rule.action is Action.DENY else 1), "", 0
