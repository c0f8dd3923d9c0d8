"""Explicit denies of existing policies, read as the rules that they are, so that audited traffic which somebody
denied on purpose is never learned.

A deny section is read as if it were an allow section: "would this rule match?" is the same question. Where a deny
cannot be read exactly it counts as matching, because learning a denied edge is the worse mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.workload import EndpointKind, WorkloadVersion
from discovery.verify import calico, cilium
from discovery.verify.rules import AnyMatch, CidrMatch, EntityMatch, PeerMatch, PodMatch, ReadPolicy

_SECTIONS = {"ingressDeny": "ingress", "egressDeny": "egress"}


def _documents(texts: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every manifest with its source; files that are not YAML are reported by the main reader."""
    for name, text in sorted(texts.items()):
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.YAMLError:
            continue
        for document in documents:
            items = document.get("items") if isinstance(document, dict) and "items" in document else [document]
            yield from ((item, name) for item in items or () if isinstance(item, dict))


def _cilium_denies(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one allow-shaped manifest per rule with deny sections."""
    rules = [document.get("spec"), *(document.get("specs") or ())]
    for rule in rules:
        if isinstance(rule, dict) and any(rule.get(section) for section in _SECTIONS):
            turned = {key: value for key, value in rule.items() if key not in ("ingress", "egress", *_SECTIONS)}
            turned |= {to: rule[section] for section, to in _SECTIONS.items() if rule.get(section)}
            yield {**{key: value for key, value in document.items() if key != "specs"}, "spec": turned}


def _calico_denies(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an allow-shaped manifest of the Deny rules of a Calico policy."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return
    for section in ("ingress", "egress"):
        denies = [rule for rule in spec.get(section) or () if isinstance(rule, dict) and rule.get("action") == "Deny"]
        if denies:
            allows = [{**rule, "action": "Allow"} for rule in denies]
            kept = {key: value for key, value in spec.items() if key not in ("ingress", "egress", "types")}
            yield {**document, "spec": {**kept, section: allows, "types": [section.capitalize()]}}


def read_denies(texts: Mapping[str, str]) -> tuple[ReadPolicy, ...]:
    """Return the explicit denies of Cilium and Calico manifests, as policies whose rules say what is denied."""
    found: list[ReadPolicy] = []
    for document, source in _documents(texts):
        group = str(document.get("apiVersion", "")).partition("/")[0]
        if group == "cilium.io":
            turned, read = list(_cilium_denies(document)), cilium.read
        elif group == "projectcalico.org":
            turned, read = list(_calico_denies(document)), calico.read
        else:
            continue
        for manifest in turned:
            found += read(manifest, source)[0]
    return tuple(found)


def matches_deny(denies: Iterable[ReadPolicy], edge: Edge, versions: Iterable[WorkloadVersion]) -> bool:
    """Say whether an explicit deny matches an edge at either end, or may match it."""
    known = tuple(versions)
    for deny in denies:
        here, there = (edge.client, edge.server) if deny.direction is Direction.EGRESS else (edge.server, edge.client)
        if not _is_selected(deny.subject, here, known):
            continue
        if not deny.complete or any(
            _rule_matches(rule.peers, there, known) and _content(rule, edge) for rule in deny.rules
        ):
            return True
    return False


def _is_selected(match: PodMatch, end: Endpoint, versions: tuple[WorkloadVersion, ...]) -> bool:
    """Say whether a pod match selects any version of a workload."""
    return end.workload is not None and any(
        match.matches(version) for version in versions if version.ref == end.workload
    )


def _rule_matches(peers: tuple[PeerMatch, ...], end: Endpoint, versions: tuple[WorkloadVersion, ...]) -> bool:
    """Say whether any peer of a rule is, or may be, this end."""
    for peer in peers:
        match peer:
            case AnyMatch():
                return True
            case PodMatch():
                if _is_selected(peer, end, versions):
                    return True
            case EntityMatch():
                if end.kind.value == peer.entity or (peer.entity == "world" and end.kind is EndpointKind.EXTERNAL):
                    return True
            case CidrMatch():
                if end.kind is not EndpointKind.WORKLOAD:  # an address may be inside: treat it as denied
                    return True
    return False


def _content(rule: Any, edge: Edge) -> bool:
    """Say whether protocol and port (or ICMP type) of an edge are in a rule."""
    if rule.protocol is not edge.protocol:
        return False
    return edge.port in rule.ports if edge.port is not None else edge.icmp_type in rule.icmp_types
