"""Settings of the CNI that change what a policy means: Cilium's ConfigMap, Calico's FelixConfiguration.

Sources: Cilium command reference of cilium-agent (1.15 to 1.20), projectcalico.org/v3 FelixConfiguration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from collectors.inventory_wire import Metadata, PodObject

CILIUM_CONFIG = "cilium-config"
FELIX_DEFAULT = "default"
_FELIX_CONTAINER = "calico-node"
_FELIX_ENV = "FELIX_DEFAULTENDPOINTTOHOSTACTION"
_CILIUM_KEYS = (
    "allow-localhost",
    "enable-non-default-deny-policies",
    "enable-policy",
    "policy-cidr-match-mode",
    "policy-default-local-cluster",
)


class ConfigMapObject(Struct, rename="camel"):
    """v1.ConfigMap."""

    metadata: Metadata
    data: dict[str, str] = field(default_factory=dict)


class FelixSpec(Struct, rename="camel"):
    """projectcalico.org/v3.FelixConfigurationSpec."""

    default_endpoint_to_host_action: str = ""


class FelixObject(Struct, rename="camel"):
    """projectcalico.org/v3.FelixConfiguration."""

    metadata: Metadata
    spec: FelixSpec = field(default_factory=FelixSpec)


def settings_of(objects: Mapping[tuple[str, str, str], Any]) -> dict[str, dict[str, str]]:
    """Return the settings by name of the dialect, in the words of a platform; what is not told is not there.

    Felix reads its environment first, then its configuration; what neither says depends on how it was installed.
    """
    found: dict[str, dict[str, str]] = {}
    for (_, _, name), one in sorted(objects.items(), key=lambda item: item[0]):
        if isinstance(one, ConfigMapObject) and name == CILIUM_CONFIG:
            told = {key: one.data[key].strip().lower() for key in _CILIUM_KEYS if one.data.get(key, "").strip()}
            if "policy-cidr-match-mode" in told:
                told["policy-cidr-match-mode"] = _match_mode(told["policy-cidr-match-mode"])
            found["cilium"] = told
    action = _host_action(objects)
    return found | ({"calico": {"default-endpoint-to-host-action": action}} if action else {})


def _host_action(objects: Mapping[tuple[str, str, str], Any]) -> str:
    """Return Felix' action for what pods send to their node, in lower case; nothing when it is not told."""
    configured = ""
    for (_, _, name), one in sorted(objects.items(), key=lambda item: item[0]):
        if isinstance(one, FelixObject) and name == FELIX_DEFAULT:
            configured = one.spec.default_endpoint_to_host_action
        spec = one.spec if isinstance(one, PodObject) else None
        for container in spec.containers if spec is not None else ():
            if container.name == _FELIX_CONTAINER:
                for given in container.env:
                    if given.name == _FELIX_ENV and given.value:
                        return given.value.lower()
    return configured.lower()


def _match_mode(text: str) -> str:
    """Return the list of what CIDR rules match beside the outside, in a fixed order."""
    modes = {mode for mode in text.replace(",", " ").split() if mode}
    return "+".join(sorted(modes)) or "none"
