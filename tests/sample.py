"""What the tests of the sample estate share: its truth, its runs, and their ends and edges in the truth's words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.suggest import suggest
from discovery.learn.judge import Reason, Ruling
from discovery.model.edge import Direction, Edge, Endpoint
from discovery.model.workload import EndpointKind

REASONS = {
    "denied": Reason.DENIED,
    "conflict": Reason.CONFLICT,
    "audit": Reason.AUDIT,
    "refused": Reason.REFUSED,
    "unanswered": Reason.UNANSWERED,
    "fault": Reason.FAULT,
    "neighbour-noise": Reason.LINK_LOCAL,
    "direction-unknown": Reason.DIRECTION,
    "peer-unknown": Reason.PEER,
    "explicit-deny": Reason.EXPLICIT_DENY,
}

Key = tuple[str, str, str, str]


def read_truth(repo: Path, *, informed: bool) -> Any:
    """Return the truth of the estate, without what only an inventory tells where there is none."""
    told = yaml.safe_load((repo / "sample_flows" / "truth.yaml").read_text("utf-8"))

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: known(member) for key, member in value.items()}
        if isinstance(value, list):
            return [known(one) for one in value if informed or not isinstance(one, dict) or "only_with" not in one]
        return value

    return known(told)


def both_runs(repo: Path, folder: Path) -> dict[bool, Suggestion]:
    """Return what the Hubble log of the estate suggests, with the addresses of clients as they are: alone (False), and
    with the inventory (True).
    """
    return {
        informed: suggest(
            repo / "sample_flows" / "shop-hubble.jsonl",
            folder / ("inventory" if informed else "log"),
            SuggestOptions(
                workers=0,
                show_addresses=True,
                inventory=(repo / "sample_flows" / "inventory.yaml",) if informed else (),
            ),
        )
        for informed in (False, True)
    }


def end_name(end: Endpoint) -> str:
    """Return an end in the truth's words."""
    if end.workload is not None:
        return str(end.workload)
    return "external" if end.kind is EndpointKind.EXTERNAL else end.kind.value


def edge_key(edge: Edge) -> Key:
    """Return what identifies an edge, in the truth's words."""
    content = edge.port if edge.protocol is not None and edge.protocol.has_ports else f"type {edge.icmp_type}"
    return end_name(edge.client), end_name(edge.server), str(edge.protocol), str(content)


def truth_key(row: Mapping[str, Any]) -> Key:
    """Return what identifies an edge of the truth."""
    content = row["port"] if "port" in row else f"type {row['icmp_type']}"
    return row["client"], row["server"], row["protocol"], str(content)


def ruled(suggestion: Suggestion, *rulings: Ruling) -> list[tuple[Edge, Reason | None]]:
    """Return the edges with one of the rulings."""
    return [(one.edge, one.reason) for one in suggestion.learned.judged if one.ruling in rulings]


def existing_isolation(truth: Any) -> set[tuple[str, str]]:
    """Return what policies of the cluster isolate already; an explicit deny (a denied edge, POLICY_DENY) does too."""
    told = {(row["workload"], row["direction"]) for row in truth["existing_isolation"]}
    return told | {(row["client"], "egress") for row in truth["not_learned"] if row.get("drop_reason") == "POLICY_DENY"}


def already_isolated(learned: Suggestion) -> set[tuple[str, str]]:
    """Return what the Cilium files leave out because it is isolated already."""
    return {
        (one.subject, direction.value)
        for one in learned.diagnostics
        if one.code == "already-isolated"
        for direction in Direction
        if one.message.startswith(direction.value)
    }
