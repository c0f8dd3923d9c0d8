"""The policies of a cluster: whichever way they were saved, each is known with its manifest."""

from __future__ import annotations

from pathlib import Path

from discovery.app.deployed import existing_texts, read_deployed
from discovery.app.proposal import Suggestion
from discovery.model.intent import Dialect
from tests.discovery.verify.asking import cnp, knp

LIST = """apiVersion: v1
kind: List
items:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: a, namespace: shop}
    spec: {podSelector: {}}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: b, namespace: shop}
    spec: {podSelector: {}}
"""


def test_loose_manifests_are_those_of_every_dialect(tmp_path: Path) -> None:
    """All are enforced together; items of a list have places of their own, and what is broken is skipped."""
    (tmp_path / "all.yaml").write_text(LIST)
    (tmp_path / "c.yaml").write_text(cnp("{endpointSelector: {}, ingress: [{}]}", name="c"))
    (tmp_path / "broken.yaml").write_text("a: [")
    found = read_deployed(tmp_path)
    assert set(found) == set(Dialect)
    one = found[Dialect.CALICO]
    assert {key: manifest["metadata"]["name"] for key, manifest in one.manifests.items()} == {
        "all.yaml:4": "a",
        "all.yaml:8": "b",
        "c.yaml:1": "c",
    }
    assert {policy.source for policy in one.read.policies} == {"all.yaml:4", "all.yaml:8", "c.yaml:1"}


def test_lists_in_lists_share_a_place_and_are_not_told_apart(tmp_path: Path) -> None:
    """Of several manifests at one place none is taken for another."""
    inner = LIST.replace("\n", "\n    ").rstrip()
    (tmp_path / "all.yaml").write_text(f"kind: List\napiVersion: v1\nitems:\n  - {inner}\n")
    assert read_deployed(tmp_path)[Dialect.KUBERNETES].manifests == {}


def test_of_what_suggest_wrote_each_dialect_has_its_own(sample: Suggestion) -> None:
    """A cluster has one of the three, so none is read beside another; evidence and summaries are no policies."""
    found = read_deployed(sample.folder)
    for dialect, one in found.items():
        assert {policy.dialect for policy in one.read.policies} == {dialect}
    assert {path.partition("/")[0] for path in existing_texts(sample.folder)} == {one.value for one in found}


def test_other_files_are_read_as_they_are(tmp_path: Path) -> None:
    """What suggest did not write is all taken."""
    (tmp_path / "k.yaml").write_text(knp("{podSelector: {}}"))
    assert set(existing_texts(tmp_path)) == {"k.yaml"}
