"""The policies of a cluster: whichever way they were saved, each is known with its manifest."""

from __future__ import annotations

from pathlib import Path

from discovery.app.deployed import dialects_in, existing_texts, identity_of, read_deployed
from discovery.app.proposal import Suggestion
from discovery.model.intent import Dialect
from discovery.verify.read import read_policies
from tests.discovery.verify.asking import cnp, knp, np

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
    assert {policy.source for policy in one.read.policies} == {"all.yaml:4", "all.yaml:8", "c.yaml:1"}
    for policy in one.read.policies:
        manifest = one.manifest_of(policy)
        assert manifest is not None
        assert manifest["metadata"]["name"] == policy.name
    assert (one.unread_of("a"), one.unread_of("no-such-name")) == ("broken.yaml", None)


def test_manifests_are_told_apart_by_name_wherever_they_stand(tmp_path: Path) -> None:
    """Lists in lists and lists on one line share a place; of two of one name neither is taken."""
    inner = LIST.replace("\n", "\n    ").rstrip()
    (tmp_path / "all.yaml").write_text(f"kind: List\napiVersion: v1\nitems:\n  - {inner}\n")
    one = read_deployed(tmp_path)[Dialect.KUBERNETES]
    assert {(one.manifest_of(policy) or {})["metadata"]["name"] for policy in one.read.policies} == {"a", "b"}
    (tmp_path / "again.yaml").write_text(LIST)
    again = read_deployed(tmp_path)[Dialect.KUBERNETES]
    assert {again.manifest_of(policy) is None for policy in again.read.policies} == {True}


def test_names_that_calico_stores_are_those_that_we_write() -> None:
    """The stored form starts with the tier."""
    allow = "{ingress: [{action: Allow}]}"
    stored = np(allow, name="default.web").replace("projectcalico.org/v3", "crd.projectcalico.org/v1")
    (one,) = read_policies({"p.yaml": stored}).policies
    (other,) = read_policies({"p.yaml": np(allow, name="web", kind="StagedNetworkPolicy")}).policies
    assert identity_of(one) == identity_of(other)


def test_the_dialects_of_a_folder(tmp_path: Path) -> None:
    """Those of its policies; all where none can be read."""
    (tmp_path / "k.yaml").write_text(knp("{podSelector: {}}"))
    assert dialects_in(tmp_path) == (Dialect.KUBERNETES,)
    (tmp_path / "k.yaml").write_text(cnp("{endpointSelector: {}, ingress: [{}]}"))
    assert dialects_in(tmp_path) == (Dialect.CILIUM,)
    (tmp_path / "k.yaml").write_text("a: [")
    assert dialects_in(tmp_path) == tuple(Dialect)


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
