"""Promotion: the enforcing form of a manifest that this project wrote in monitor mode, text for text.

The result is the file that rendering the same intents in enforce mode gives: comments of rules stay, the header says
what the new form does. What is not exactly a monitor form of ours is refused, never guessed at.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, cast

import yaml

from discovery.model.errors import RenderError
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import Platform
from generators.base import MANAGED_BY, RenderRequest, Writer
from generators.comments import guide_lines

_WRITERS = {
    Dialect.CILIUM: "generators.cilium:CiliumWriter",
    Dialect.CALICO: "generators.calico:CalicoWriter",
    Dialect.KUBERNETES: "generators.kubernetes:KubernetesWriter",
}
_MODE = "policy-discovery/mode"
_OPT_IN = "policy-discovery/enforce"
_STAGED = {
    "StagedNetworkPolicy": ("projectcalico.org/v3", "NetworkPolicy"),
    "StagedKubernetesNetworkPolicy": ("networking.k8s.io/v1", "NetworkPolicy"),
}


def promote(text: str, platform: Platform) -> str:
    """Return the enforcing form of one manifest. Raises :class:`RenderError` for what is no monitor form of ours."""
    lines = text.splitlines(keepends=True)
    split = next((row for row, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head, body = lines[:split], "".join(lines[split:])
    before = _document(body)
    directions = [one for one in ("ingress", "egress") if one in before["spec"]]
    changed = _enforced(body, before, directions)
    after = _document(changed)
    if after != _expected(before, directions):
        raise RenderError("the manifest is not as it was written: somebody changed its form", hint=_HINT)
    metadata = before["metadata"]
    return "".join(_header(head, _guide(platform, metadata, directions))) + changed


_HINT = "run 'discover suggest' with --mode enforce instead, and review the difference"


def _document(body: str) -> dict[str, Any]:
    """Return a manifest of ours. Raises :class:`RenderError` for anything else."""
    try:
        document = yaml.safe_load(body)
        labels = document["metadata"]["labels"]
        ours = labels["app.kubernetes.io/managed-by"] == MANAGED_BY and isinstance(document["spec"], dict)
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise RenderError("the manifest is none of ours", hint=_HINT) from error
    if not ours:
        raise RenderError("the manifest is none of ours", hint=_HINT)
    return cast("dict[str, Any]", document)


def _expected(document: dict[str, Any], directions: list[str]) -> dict[str, Any]:
    """Return what the enforcing form of a document must be."""
    labels = {**document["metadata"]["labels"], _MODE: Mode.ENFORCE.value}
    spec = {key: value for key, value in document["spec"].items() if key != "stagedAction"}
    version, kind = _STAGED.get(document["kind"], (document["apiVersion"], document["kind"]))
    if "enableDefaultDeny" in spec:
        spec["enableDefaultDeny"] = {one: one in directions for one in spec["enableDefaultDeny"]}
    if isinstance(spec.get("podSelector"), dict):
        pairs = {key: value for key, value in (spec["podSelector"].get("matchLabels") or {}).items() if key != _OPT_IN}
        spec["podSelector"] = {"matchLabels": pairs} if pairs else {}
    metadata = {**document["metadata"], "labels": labels}
    return {**document, "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _enforced(body: str, document: dict[str, Any], directions: list[str]) -> str:
    """Return the text of the enforcing form."""
    changed = body.replace(f"    {_MODE}: {Mode.MONITOR.value}\n", f"    {_MODE}: {Mode.ENFORCE.value}\n", 1)
    kind = document["kind"]
    if kind in _STAGED:
        version, name = _STAGED[kind]
        changed = changed.replace(f"apiVersion: {document['apiVersion']}\n", f"apiVersion: {version}\n", 1)
        changed = changed.replace(f"kind: {kind}\n", f"kind: {name}\n", 1).replace("  stagedAction: Set\n", "", 1)
    for direction in directions:
        deny = rf"(  enableDefaultDeny:\n(?:    \w+: \w+\n)*?    {direction}: )false\n"
        changed = re.sub(deny, r"\1true\n", changed, count=1)
    changed = changed.replace(f'      {_OPT_IN}: "true"\n', "", 1)
    return re.sub(r"  podSelector:\n    matchLabels:\n(?!      )", "  podSelector: {}\n", changed, count=1)


def _guide(platform: Platform, metadata: dict[str, Any], directions: list[str]) -> tuple[str, ...]:
    """Return the lines of the header that say what the enforcing form does."""
    module, name = _WRITERS[platform.dialect].split(":")
    kind = cast("type[Writer]", getattr(import_module(module), name))
    writer = kind(RenderRequest(intents=(), platform=platform, mode=Mode.ENFORCE))
    plain = str(metadata["name"]).rpartition(".")[2]
    return guide_lines(writer.guide(plain, str(metadata["namespace"]), " and ".join(directions)))


def _header(lines: list[str], guide: tuple[str, ...]) -> list[str]:
    """Return the header with what the old form does replaced by what the new one does."""
    first = next((row for row, line in enumerate(lines) if line.startswith("# Effect:")), None)
    last = next((row for row, line in enumerate(lines) if line.startswith("# Roll back:")), None)
    if first is None or last is None or not lines[0].startswith("# Network policy in monitor mode"):
        raise RenderError("the header of the manifest is not as it was written", hint=_HINT)
    end = last + 1
    while end < len(lines) and lines[end].startswith("#   "):
        end += 1
    title = lines[0].replace("in monitor mode", "in enforce mode", 1)
    return [title, *lines[1:first], *(f"# {line}\n" for line in guide), *lines[end:]]
