"""Tests of generators.keeping: a manifest takes the place of another and loses nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from generators.keeping import KEPT, is_writable, keep
from generators.yaml_writer import Commented, dump, plain

OLD: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {
        "name": "api",
        "namespace": "shop",
        "uid": "x",
        "labels": {"team": "blue", "policy-discovery/mode": "monitor"},
        "annotations": {"why": "ticket 7", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    },
    "spec": {
        "endpointSelector": {"matchLabels": {"k8s:app": "api"}},
        "enableDefaultDeny": {"ingress": False, "egress": False},
        "description": "by hand",
        "ingress": [{"fromEntities": ["host"]}],
        "ingressDeny": [{"fromEntities": ["world"]}],
    },
    "status": {"conditions": []},
}


def new(section: Any, **spec: Any) -> dict[str, Any]:
    """Return a manifest as the writer makes it."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "api", "namespace": "shop", "labels": {"policy-discovery/mode": "enforce"}},
        "spec": {"endpointSelector": {"matchLabels": {"k8s:app": "api"}}, **spec, **section},
    }


def test_rules_denies_labels_and_annotations_are_kept() -> None:
    """Only what a server adds is left out; new rules come after the old ones, which say that they are kept."""
    made = keep(OLD, new({"egress": Commented([{"toEntities": ["cluster"]}], ("why",))}))
    assert plain(made) == {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {
            "name": "api",
            "namespace": "shop",
            "labels": {"team": "blue", "policy-discovery/mode": "enforce"},
            "annotations": {"why": "ticket 7"},
        },
        "spec": {
            "endpointSelector": {"matchLabels": {"k8s:app": "api"}},
            "enableDefaultDeny": {"ingress": False, "egress": False},
            "description": "by hand",
            "ingress": [{"fromEntities": ["host"]}],
            "ingressDeny": [{"fromEntities": ["world"]}],
            "egress": [{"toEntities": ["cluster"]}],
        },
    }
    assert dump(made).count(f"# {KEPT}") == 1
    assert yaml.safe_load(dump(made)) == plain(made)


def test_an_enforcing_form_isolates_what_either_does() -> None:
    """A direction of the old manifest alone is isolated as well once the new one enforces; none in monitor mode."""
    egress = {"egress": [{"toEntities": ["cluster"]}]}
    enforced = keep(OLD, new(egress, enableDefaultDeny={"ingress": False, "egress": True}))
    assert plain(enforced)["spec"]["enableDefaultDeny"] == {"ingress": True, "egress": True}
    watched = keep(OLD, new(egress, enableDefaultDeny={"ingress": False, "egress": False}))
    assert plain(watched)["spec"]["enableDefaultDeny"] == {"ingress": False, "egress": False}


@pytest.mark.parametrize("key", ["types", "policyTypes"])
def test_types_and_order_of_both(key: str) -> None:
    """Directions are joined; an order that somebody set stays, and a staged form ends when the new one is none."""
    old = {"spec": {"stagedAction": "Set", "order": 7, key: ["Ingress"], "ingress": [{"action": "Deny"}]}}
    made = plain(keep(old, new({"egress": [{"action": "Allow"}]}, **{"order": 900, key: ["Egress"]})))["spec"]
    assert made[key] == ["Ingress", "Egress"]
    assert (made["order"], made["ingress"], made["egress"]) == (7, [{"action": "Deny"}], [{"action": "Allow"}])
    assert "stagedAction" not in made


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": [1, "b", True, {}]}, True), ({"a": 1.5}, False), ({"a": None}, False), ({1: "a"}, False)],
)
def test_what_can_be_written(value: object, expected: bool) -> None:
    """Fractions, nulls and keys that are no text are not written, so a manifest with one is left alone."""
    assert is_writable(value) is expected
