"""Tests of discovery.verify.effects."""

from __future__ import annotations

import pytest

from discovery.verify.effects import isolates_now, unmet_needs
from tests.discovery.verify.builders import platform, pod
from tests.discovery.verify.test_evaluate import ALLOWED, DENIED, SOFT, STAGED, ask, netpol, policies


@pytest.mark.parametrize(
    ("on", "now"),
    [("cilium=1.18", False), ("cilium=1.15", True), ("cilium=1.18;enable-non-default-deny-policies=false", True)],
)
def test_platforms_that_ignore_enable_default_deny_isolate(on: str, now: bool) -> None:
    """Before 1.16, and with the agent flag, enableDefaultDeny false isolates after all."""
    (soft,) = policies(SOFT)
    assert isolates_now(soft, platform(on)) is now
    assert ask(SOFT, pod("a"), pod("web"), on=on).outcome is (DENIED if now else ALLOWED)


@pytest.mark.parametrize(
    ("content", "on", "needs"),
    [
        (STAGED, "calico=3.29", ("staged",)),
        (STAGED, "calico=3.30;staged=false", ("staged",)),
        (STAGED, "calico=3.30", ()),
        (SOFT, "cilium=1.15", ("enableDefaultDeny",)),
        (SOFT, "cilium=1.16", ()),
        (netpol("{podSelector: {}, ingress: [{ports: [{port: 1, endPort: 2}]}]}"), "kubernetes=1.21", ("endPort",)),
        (netpol("{podSelector: {}, ingress: [{ports: [{port: 1, endPort: 2}]}]}"), "kubernetes=1.22", ()),
    ],
)
def test_unmet_needs(content: str, on: str, needs: tuple[str, ...]) -> None:
    """What a platform's version or settings do not know is named."""
    assert unmet_needs(policies(content)[0], platform(on)) == needs
