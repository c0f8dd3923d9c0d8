"""Settings of the CNI in an inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from collectors.inventory import read_inventory


def settings(folder: Path, *objects: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the settings that objects tell."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return read_inventory([path], "default").settings


def config(name: str = "cilium-config", **data: str) -> dict[str, Any]:
    """Return a ConfigMap; ``_`` in a key stands for ``-``."""
    kept = {key.replace("_", "-"): value for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": kept,
    }


def felix(name: str = "default", **spec: str) -> dict[str, Any]:
    """Return a FelixConfiguration."""
    return {
        "apiVersion": "projectcalico.org/v3", "kind": "FelixConfiguration", "metadata": {"name": name}, "spec": spec,
    }  # fmt: skip


def test_what_cilium_is_told(tmp_path: Path) -> None:
    """The settings that change what a policy means; others, empty ones and other ConfigMaps say nothing."""
    told = config(
        enable_policy="always", policy_cidr_match_mode="", policy_default_local_cluster="false", debug="true",
        allow_localhost=" Policy ",
    )  # fmt: skip
    assert settings(tmp_path, told, config("other", enable_policy="never")) == {
        "cilium": {"allow-localhost": "policy", "enable-policy": "always", "policy-default-local-cluster": "false"}
    }


@pytest.mark.parametrize(
    ("text", "mode"), [("nodes", "nodes"), ("pods,nodes", "nodes+pods"), ("nodes pods", "nodes+pods"), (",", "none")]
)
def test_lists_of_what_cidr_rules_match(tmp_path: Path, text: str, mode: str) -> None:
    """In any order and with either separator, as one word."""
    assert settings(tmp_path, config(policy_cidr_match_mode=text)) == {"cilium": {"policy-cidr-match-mode": mode}}


def test_what_calico_is_told(tmp_path: Path) -> None:
    """Felix' configuration, and before it the environment of its pods; settings of single nodes do not count, and what
    nobody says depends on the installation.
    """
    accept = felix(defaultEndpointToHostAction="Accept")
    assert settings(tmp_path, accept, felix("node.a")) == {"calico": {"default-endpoint-to-host-action": "accept"}}
    assert settings(tmp_path, felix()) == {}
    assert settings(tmp_path, felix("node.a", defaultEndpointToHostAction="Accept")) == {}
    env = [{"name": "FELIX_DEFAULTENDPOINTTOHOSTACTION", "value": "RETURN"}]
    agent = {
        "kind": "Pod", "metadata": {"name": "calico-node-1", "namespace": "calico-system"},
        "spec": {"containers": [{"name": "calico-node", "env": env}]},
    }  # fmt: skip
    assert settings(tmp_path, accept, agent) == {"calico": {"default-endpoint-to-host-action": "return"}}
