"""Tests of discovery.app.diff."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discovery import suggest
from discovery.app.diff import diff_policies, markdown_of, record_of, text_of
from discovery.app.promote import PromoteOptions, promote_policies
from discovery.app.verify import VerifyOptions
from discovery.model.errors import InputError
from discovery.model.intent import Dialect

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}
"""


def folder(path: Path, text: str) -> Path:
    """Write one policy into a folder."""
    path.mkdir()
    (path / "p.yaml").write_text(text)
    return path


def test_what_suggest_wrote_is_compared_dialect_by_dialect(repo: Path, tmp_path: Path) -> None:
    """A rerun on the same traffic changes nothing, in any dialect."""
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    suggest(source, tmp_path / "a")
    suggest(source, tmp_path / "b")
    found = diff_policies(tmp_path / "a", tmp_path / "b")
    assert [one.name for one in found] == ["cilium", "calico", "kubernetes"]
    assert all(one.difference.empty and not one.unread for one in found)


def test_promotion_changes_the_mode_of_the_dialect_that_was_promoted(repo: Path, tmp_path: Path) -> None:
    """Not the text alone; and the other dialects, which say the same, were not taken away."""
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    suggest(source, tmp_path / "a")
    options = PromoteOptions(verify=VerifyOptions(), dialect=Dialect.CALICO, namespaces=("data",))
    promote_policies(tmp_path / "a", source, tmp_path / "b", options)
    (one,) = diff_policies(tmp_path / "a", tmp_path / "b")
    assert one.name == "calico"
    assert one.difference.same == ()
    assert {mode.rpartition(": ")[2] for mode in one.difference.modes} == {"monitored -> enforced"}


def test_folders_are_compared_by_paths_inside_of_them(tmp_path: Path) -> None:
    """So that a comment in one of two copies is a change of text alone."""
    old, new = folder(tmp_path / "a", POLICY), folder(tmp_path / "b", POLICY + "# a comment\n")
    (one,) = diff_policies(old, new)
    assert one.difference.same == ("p.yaml",)
    assert "only the text changed: p.yaml" in text_of(one)


def test_a_change_in_every_form(tmp_path: Path) -> None:
    """Text, Markdown and data tell the same change."""
    old, new = folder(tmp_path / "a", POLICY), folder(tmp_path / "b", POLICY.replace("port: 80", "port: 81"))
    found = diff_policies(old, new)
    assert "newly denied, TCP/80 from" in text_of(found[0])
    assert markdown_of(found).startswith(
        "## What these policy changes mean\n\n### kubernetes: 1 newly allowed, 1 newly denied"
    )
    record = json.loads(json.dumps(record_of(found)))
    kinds = {(one["kind"], one["content"]) for one in record["reports"][0]["changes"]}
    assert kinds == {("newly allowed", "TCP/81"), ("newly denied", "TCP/80")}


def test_a_dialect_that_goes_is_compared_with_nothing(tmp_path: Path) -> None:
    """All that its policies cut is newly allowed."""
    cilium = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: shop}\n"
    cilium += "spec: {endpointSelector: {}, ingress: [{}]}\n"
    old, new = folder(tmp_path / "a", cilium), folder(tmp_path / "b", POLICY)
    assert [one.name for one in diff_policies(old, new)] == ["cilium", "kubernetes"]


def test_what_cannot_be_read_is_told_with_its_side(tmp_path: Path) -> None:
    """Of the old or of the new set, with file and line."""
    old, new = folder(tmp_path / "a", POLICY), folder(tmp_path / "b", "a: [1\n")
    (one,) = diff_policies(old, new)
    assert [note.subject for note in one.unread] == ["new p.yaml:2"]
    with pytest.raises(InputError):
        diff_policies(old, tmp_path / "none")
