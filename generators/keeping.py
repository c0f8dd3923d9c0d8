"""A new manifest that takes the place of one that is there: what the old one says is kept, and the new rules added.

Rules that were added by hand, denies, annotations: only what the writer must say for the new rules is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discovery.model.edge import Direction
from generators.yaml_writer import Commented, Node

KEPT = "kept: it is there already"
_SECTIONS = tuple(direction.value for direction in Direction)
_TYPES = ("policyTypes", "types")
_DEFAULT_DENY = "enableDefaultDeny"
# What an API server or kubectl adds to a manifest.
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def is_writable(value: object) -> bool:
    """Say whether the writer can write a manifest, or a part of one, as it is."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_writable(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(is_writable, value))
    return isinstance(value, str | int)


def leaves_out(there: Mapping[str, Any]) -> bool:
    """Say whether a manifest has rules of a direction that its types leave out: they do nothing, and to add the
    direction would bring them to life.
    """
    spec = _mapping(there.get("spec"))
    types = [str(one).lower() for key in _TYPES for one in _items(spec.get(key))]
    return bool(types) and any(spec.get(key) and key not in types for key in _SECTIONS)


def keep(there: Mapping[str, Any], new: Mapping[str, Node]) -> dict[str, Node]:
    """Return the new manifest with all rules of the one that is there, which has the same subject, in front of its own.

    ``there`` must be writable (:func:`is_writable`), but for what an API server adds.
    """
    old_spec, spec = _mapping(there.get("spec")), _mapping(new["spec"])
    found = {key: value for key, value in old_spec.items() if key != "stagedAction"}
    found |= {key: value for key, value in spec.items() if key not in (*_SECTIONS, *_TYPES, "order")}
    found |= {key: value for key, value in spec.items() if key == "order" and key not in old_spec}
    for key in _TYPES:
        if key in spec:
            found[key] = list(dict.fromkeys([*_items(old_spec.get(key)), *_items(spec[key])]))
    if _DEFAULT_DENY in spec:
        found[_DEFAULT_DENY] = _isolating(old_spec, spec)
    for key in _SECTIONS:
        rules = [Commented(rule, (KEPT,)) for rule in _items(old_spec.get(key))]
        if key in old_spec or key in spec:
            found[key] = [*rules, *_items(spec.get(key))]
    # As the writer orders it; what it does not know comes before the rules.
    order = [key for key in (*spec, *found) if key not in _SECTIONS] + list(_SECTIONS)
    found = {key: found[key] for key in dict.fromkeys(order) if key in found}
    return {**new, "metadata": _metadata(_mapping(there.get("metadata")), _mapping(new["metadata"])), "spec": found}


def _isolating(old: Mapping[str, Node], new: Mapping[str, Node]) -> dict[str, Node]:
    """Return Cilium's default deny of both: in force for a direction of either, if it is in force at all."""
    said = _mapping(new[_DEFAULT_DENY])
    before = _mapping(old.get(_DEFAULT_DENY))
    enforcing = any(said.values())
    return {key: bool(value) or (enforcing and (key in old or bool(before.get(key)))) for key, value in said.items()}


def _metadata(old: Mapping[str, Node], new: Mapping[str, Node]) -> dict[str, Node]:
    """Return the metadata of the new manifest with the labels and annotations of the old one."""
    labels = {**_mapping(old.get("labels")), **_mapping(new.get("labels"))}
    notes = {key: value for key, value in _mapping(old.get("annotations")).items() if key != _APPLIED}
    return {**new, "labels": labels} | ({"annotations": notes} if notes else {})


def _mapping(node: object) -> Mapping[str, Node]:
    """Return a mapping; nothing is an empty one."""
    value = node.value if isinstance(node, Commented) else node
    return value if isinstance(value, Mapping) else {}


def _items(node: object) -> list[Node]:
    """Return the items of a list; nothing is an empty one."""
    value = node.value if isinstance(node, Commented) else node
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
