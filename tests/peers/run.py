"""What the dialects make of a peer: the claim of a written file, its excess in words, and the rules themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.model.artifact import Artifact
from discovery.model.diagnostics import Level
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import parse_platforms
from discovery.verify.read import read_policies
from discovery.verify.rules import CidrMatch, EntityMatch, PeerMatch, PodMatch
from generators import render
from generators.base import RenderRequest
from tests.estate import run
from tests.peers.cases import PeerCase

_NODES = ("entity host", "entity remote-node", "entity kube-apiserver")
_EXCESS = {
    "always allowed": "not a policy's decision: every process on the pod's own node",
    "entity host": "every process on the pod's own node",
    "entity remote-node": "every process on every other node",
    "entity kube-apiserver": "whatever answers at the addresses of the API server",
    "entity health": "none: the identity is that of the health checks",
    "entity ingress": "every route of Cilium's Ingress and Gateway",
    "entity init": "every pod of the node that has no labels yet",
    "entity unmanaged": "every pod that Cilium does not manage",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a platform makes of a peer: the claim, its excess, and the rules as YAML ("" where there are none)."""

    claim: str
    excess: str
    rules: str


def learn_case(case: PeerCase, folder: Path) -> Suggestion:
    """Return the suggestion of a case, enforcing, as ``discover suggest`` makes it."""
    path = folder / "inventory.yaml"
    path.write_text(case.objects, encoding="utf-8")
    options = SuggestOptions(workers=0, mode=Mode.ENFORCE, inventory=(path,) if case.objects else ())
    return run(folder, case.records, options=options).suggestion


def answers(case: PeerCase) -> dict[str, Answer]:
    """Return the answer of each platform that the case names, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        done = learn_case(case, Path(folder))
    return {platform: _answer(case, done, platform) for platform in case.expected}


def _answer(case: PeerCase, done: Suggestion, text: str) -> Answer:
    """Return the answer of one platform."""
    dialect = Dialect(text.partition("=")[0])
    platform = parse_platforms([text])[dialect]
    rendered = render(RenderRequest(intents=done.learned.intents, platform=platform, mode=Mode.ENFORCE))
    artifact = next((one for one in rendered.artifacts if str(one.workload) == case.subject), None)
    if artifact is None or case.direction not in artifact.isolates:
        codes = sorted(
            one.code for one in rendered.diagnostics if one.subject == case.subject and one.level is Level.ERROR
        )
        return Answer(claim=f"refused: {', '.join(codes)}", excess="the direction is left open", rules="")
    claim = _claim(case, artifact)
    node_case = case.expected.get("cilium=1.18") in _NODES
    return Answer(claim=claim, excess=_excess(claim, text, node_case=node_case), rules=_rules(case, artifact))


def _claim(case: PeerCase, artifact: Artifact) -> str:
    """Return what the rules for the port match, read back from the text of the file."""
    peers = {
        _peer(peer)
        for policy in read_policies({artifact.path: artifact.text}).policies
        if policy.direction is case.direction
        for rule in policy.rules
        if case.port in rule.ports
        for peer in rule.peers
    }
    return "; ".join(sorted(peers)) or "always allowed"


def _peer(peer: PeerMatch) -> str:
    """Return a peer in the words of a claim."""
    if isinstance(peer, EntityMatch):
        return f"entity {peer.entity}"
    if isinstance(peer, CidrMatch):
        return f"addresses {', '.join(sorted(peer.prefixes))}"
    assert isinstance(peer, PodMatch)
    where = f" in cluster {peer.cluster}" if peer.cluster else ""
    return f"pods {peer.namespace}: {','.join('='.join(pair) for pair in peer.labels.pairs)}{where}"


def _excess(claim: str, platform: str, *, node_case: bool) -> str:
    """Return in words what a claim allows beyond the peer."""
    if claim in _EXCESS:
        return _EXCESS[claim]
    if not claim.startswith("addresses"):
        return "none"
    if node_case:
        return "every process at these addresses; a node that joins later is not allowed"
    if "0.0.0.0/0" in claim:
        pods = "" if "cilium" in platform else ", and every pod and node (`range-holds-pods`)"
        return f"none beyond what the Service declares: everybody outside{pods}"
    if "/32" in claim or "/128" in claim:
        return "none"
    return "the other addresses of the prefixes"


def _rules(case: PeerCase, artifact: Artifact) -> str:
    """Return the rules for the port, as YAML without comments."""
    (document,) = artifact.documents
    rules = [rule for rule in document["spec"].get(case.direction.value, []) if _names(rule, case.port)]
    return yaml.safe_dump({case.direction.value: rules}, sort_keys=False, width=100) if rules else ""


def _names(rule: Mapping[str, Any], port: int) -> bool:
    """Say whether a rule names a port."""
    found = [rule.get("ports", []), *(item.get("ports", []) for item in rule.get("toPorts", []))]
    found.append(rule.get("destination", {}).get("ports", []))
    numbers = {str(one["port"]) if isinstance(one, Mapping) else str(one) for ports in found for one in ports}
    return str(port) in numbers
