"""Tests of discovery.app.told."""

from __future__ import annotations

from pathlib import Path

from discovery.app.evidence import gather
from discovery.app.options import SuggestOptions
from discovery.app.told import gone_by, ports_by, told_by


def test_what_an_inventory_tells(repo: Path, tmp_path: Path) -> None:
    """Ports by name, probes and what is gone come from the inventory alone."""
    sample = repo / "sample_flows"
    options = SuggestOptions(inventory=(sample / "inventory.yaml",))
    informed = gather((str(sample / "shop-hubble.jsonl"),), tmp_path / "a", options)
    bare = gather((str(sample / "shop-hubble.jsonl"),), tmp_path / "b", SuggestOptions())
    ports = ports_by(informed)
    assert any(port.name and port.number for named in ports.values() for port in named)
    assert ports.keys() <= set(informed.workloads.ref_of.values())
    assert told_by(informed, frozenset()).probes
    assert (ports_by(bare), gone_by(bare), told_by(bare, frozenset()).probes) == ({}, frozenset(), {})
