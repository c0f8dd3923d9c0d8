"""Writes a Hubble capture as an exporter with filters, a field mask or aggregation would have written it.

Source: cilium `pkg/hubble/exporter` and `flow.FlowFilter` as `../shared/facts/hubble.md` tells them: filters drop
whole records, a mask keeps fields, aggregation (1.19) makes one record of all that agree in its fields. Paths are
dotted, in the names of the proto. Tests use it so that masked inputs are real captures, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How an exporter was set: ``only`` lets records with one of these values through (None: the field is absent),
    ``without`` are the fields that its mask leaves out, ``aggregate`` the fields that records are folded by.
    """

    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    aggregate: tuple[str, ...] = ()


def export(source: Path, target: Path, how: Export) -> None:
    """Write the records of a capture to ``target`` as that exporter would have."""
    events = [json.loads(line) for line in source.read_text("utf-8").splitlines() if line.strip()]
    kept = [event for event in events if all(_get(event["flow"], path) in values for path, values in how.only.items())]
    if how.aggregate:
        kept = _folded(kept, how.aggregate)
    for event in kept:
        for path in how.without:
            _drop(event["flow"], path)
    target.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in kept), "utf-8")


def _get(flow: Mapping[str, Any], path: str) -> Any:
    """Return the value of a field, or None."""
    value: Any = flow
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _drop(flow: dict[str, Any], path: str) -> None:
    """Remove a field where it is."""
    *parents, last = path.split(".")
    inner = _get(flow, ".".join(parents)) if parents else flow
    if isinstance(inner, dict):
        inner.pop(last, None)


def _folded(events: Sequence[dict[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return one record per combination of fields: the first time, these fields, and how many records it stands for."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        groups.setdefault(json.dumps([_get(event["flow"], path) for path in fields]), []).append(event)
    found = []
    for members in groups.values():
        directions = [_get(member["flow"], "traffic_direction") for member in members]
        counts = {
            "ingress_flow_count": directions.count("INGRESS"),
            "egress_flow_count": directions.count("EGRESS"),
            "unknown_direction_flow_count": directions.count(None),
        }
        flow: dict[str, Any] = {"aggregate": {name: count for name, count in counts.items() if count}}
        for path in fields:
            value = _get(members[0]["flow"], path)
            if value is not None:
                *parents, last = path.split(".")
                inner = flow
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[last] = value
        found.append({"flow": flow, "node_name": members[0]["node_name"], "time": members[0]["time"]})
    return found
