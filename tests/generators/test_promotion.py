"""Tests of generators.promotion: the promoted file is the file that enforce mode renders, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.model.artifact import Artifact
from discovery.model.errors import RenderError
from discovery.model.intent import Dialect, Mode, PolicyIntent
from discovery.model.platform import Platform, default_platform, parse_platforms
from generators import render
from generators.base import RenderRequest
from generators.promotion import promote
from tests import strategies


def rendered(intents: tuple[PolicyIntent, ...], platform: Platform, mode: Mode) -> dict[str, str]:
    """Return the text of each file."""
    found: tuple[Artifact, ...] = render(RenderRequest(intents=intents, platform=platform, mode=mode)).artifacts
    return {artifact.path: artifact.text for artifact in found}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(Dialect))
def test_promoting_is_rendering_in_enforce_mode(data: st.DataObject, dialect: Dialect) -> None:
    """For any intents on any dialect, comments and header included."""
    intents = data.draw(strategies.intent_sets())
    platform = default_platform(dialect)
    monitored = rendered(intents, platform, Mode.MONITOR)
    enforced = rendered(intents, platform, Mode.ENFORCE)
    assert {path: promote(text, platform) for path, text in monitored.items()} == {
        path: enforced[path] for path in monitored
    }


@settings(max_examples=15, deadline=None)
@given(strategies.intent_sets())
def test_staged_kubernetes_policies_become_network_policies(intents: tuple[PolicyIntent, ...]) -> None:
    """On Calico the monitor form is another kind, and so of another API."""
    platform = parse_platforms(["kubernetes=1.31;enforcer=calico"])[Dialect.KUBERNETES]
    monitored = rendered(intents, platform, Mode.MONITOR)
    enforced = rendered(intents, platform, Mode.ENFORCE)
    assert [promote(text, platform) for text in monitored.values()] == [enforced[path] for path in monitored]


OURS = """# Network policy in monitor mode for shop/web (Deployment), cluster default.
# Platform: kubernetes 1.31 (assumed).
# Effect: changes no verdict.
# Roll back:
#   kubectl delete networkpolicies.networking.k8s.io -n shop web
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: policy-discovery
    policy-discovery/mode: monitor
spec:
  podSelector:
    matchLabels:
      policy-discovery/enforce: "true"
  policyTypes:
    - Ingress
  ingress: []
"""


def test_a_selector_of_the_opt_in_label_alone_becomes_empty() -> None:
    """Every pod of the namespace, as it was meant."""
    text = promote(OURS, default_platform(Dialect.KUBERNETES))
    assert "  podSelector: {}\n  policyTypes:" in text
    assert text.startswith("# Network policy in enforce mode for shop/web")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("managed-by: policy-discovery", "managed-by: somebody"),
        ("  labels:", "  annotations:"),
        ("kind: NetworkPolicy", "kind: [NetworkPolicy"),
        ("# Effect", "# Result"),
        ("in monitor mode", "in any mode"),
        (
            '    matchLabels:\n      policy-discovery/enforce: "true"\n',
            '    matchLabels: {policy-discovery/enforce: "true"}\n',
        ),
        ("policy-discovery/mode: monitor", "policy-discovery/mode: 'monitor'"),
        ("spec:", "spec: 5\nmore:"),
    ],
)
def test_what_is_not_as_we_wrote_it_is_refused(old: str, new: str) -> None:
    """Nothing is guessed: somebody changed the file, so somebody must look at it."""
    assert old in OURS
    with pytest.raises(RenderError) as caught:
        promote(OURS.replace(old, new), default_platform(Dialect.KUBERNETES))
    assert caught.value.hint
