"""What a platform makes of a policy: whether it knows what the policy needs, and whether it isolates."""

from __future__ import annotations

from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.verify.rules import ReadPolicy

_CILIUM_DEFAULT_DENY_FIELD = (1, 16)
# First releases that know a field or kind that older ones ignore or refuse.
_NEEDS = {
    (Dialect.KUBERNETES, "endPort"): (1, 22),
    (Dialect.CILIUM, "endPort"): (1, 16),
    (Dialect.CILIUM, "enableDefaultDeny"): (1, 16),
    (Dialect.CALICO, "staged"): (3, 30),
}


def unmet_needs(policy: ReadPolicy, platform: Platform) -> tuple[str, ...]:
    """Return the fields and kinds of a policy that this platform's version or settings do not know."""
    if policy.dialect is not platform.dialect:
        return ()
    unmet = [need for need in policy.needs if platform.version < _NEEDS.get((platform.dialect, need), (0, 0))]
    if "staged" in policy.needs and not _knows_staged(platform):
        unmet.append("staged")
    return tuple(sorted(set(unmet)))


def _knows_staged(platform: Platform) -> bool:
    """Say whether the platform serves Calico's staged kinds."""
    if platform.dialect is Dialect.CALICO:
        return platform.setting("staged") == "true"
    return platform.dialect is Dialect.KUBERNETES and platform.setting("enforcer") == "calico"


def isolates(policy: ReadPolicy, platform: Platform) -> bool:
    """Say whether a policy that is in force isolates on this platform.

    Cilium before 1.16 drops ``enableDefaultDeny`` on apply, and ``enable-non-default-deny-policies=false`` overrides
    it: both make the policy isolate every direction that it has rules for. ``enable-policy=never`` enforces nothing.
    """
    if setting(platform, "enable-policy") == "never":
        return False
    if policy.isolates or policy.dialect is not Dialect.CILIUM or platform.dialect is not Dialect.CILIUM:
        return policy.isolates
    return (
        platform.version < _CILIUM_DEFAULT_DENY_FIELD or platform.setting("enable-non-default-deny-policies") == "false"
    )


def setting(platform: Platform, name: str) -> str | None:
    """Return the value of a setting, or None where the platform has no such setting."""
    return dict(platform.settings).get(name)


def isolates_now(policy: ReadPolicy, platform: Platform) -> bool:
    """Say whether applying the policy as it is written isolates pods that carry no opt-in label."""
    return not policy.staged and not policy.opt_in and isolates(policy, platform)
