"""The schema helper itself: what the API server would refuse must not pass here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discovery.model.intent import Mode
from generators import render
from tests.generators.samples import INGRESS, request
from tests.generators.schemas import crd_validator


def manifest(platform: str) -> dict[str, Any]:
    """Return a fresh manifest of the cart service."""
    return render(request(platform, Mode.ENFORCE, INGRESS)).artifacts[0].documents[0]


@pytest.mark.parametrize(
    ("platform", "file", "spoil"),
    [
        ("cilium=1.18", "ciliumnetworkpolicies.yaml", {"enableDefaultDenny": {}}),
        ("cilium=1.18", "ciliumnetworkpolicies.yaml", {"ingress": [{"fromEntities": ["moon"]}]}),
        ("cilium=1.18", "ciliumnetworkpolicies.yaml", {"ingress": [{"fromEndpoint": []}]}),
        ("calico=3.30", "calico-networkpolicies.yaml", {"types": ["Ingress", "Ingress"]}),
        ("calico=3.30", "calico-networkpolicies.yaml", {"ingress": [{"action": "Permit"}]}),
        ("calico=3.30", "calico-networkpolicies.yaml", {"ingress": [{"action": "Allow", "source": {"net": "x"}}]}),
    ],
)
def test_unknown_fields_and_values_are_refused(shared: Path, platform: str, file: str, spoil: dict[str, Any]) -> None:
    """A typing error in a field or a value that the platform does not know fails the validation."""
    validator = crd_validator(shared / "crds" / file)
    document = manifest(platform)
    assert validator.is_valid(document)
    document["spec"] |= spoil
    assert not validator.is_valid(document)
