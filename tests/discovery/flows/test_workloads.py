"""From identities to workloads: the best knowledge of any observer counts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.workloads import unify
from discovery.model.workload import Labels


def _row(identity: int, **fields: Any) -> dict[str, Any]:
    """Return a WORKLOADS row."""
    return {
        "identity": identity, "cluster": "default", "namespace": "shop", "kind": "", "name": "web",
        "name_source": "pod-name",
        "labels": [("app", "web")], "service_account": None, "namespace_labels": [], "valid_from": 1, "valid_to": 2,
        **fields,
    }  # fmt: skip


_ROW = st.builds(
    lambda identity, fields: _row(identity, **fields),
    st.integers(1, 4),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(("", "Deployment")), "valid_from": st.integers(0, 5), "valid_to": st.integers(6, 9)}
    ),
)


@given(st.lists(_ROW, max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    """Sightings in any order, twice or once, give the same workloads."""
    fixed = [{**one, "labels": [("app", f"web{one['identity']}")], "name": f"web{one['identity']}"} for one in rows]
    shuffled = fixed + fixed
    random.shuffle(shuffled)
    assert unify(shuffled) == unify(fixed)


def test_a_reported_name_counts_for_the_same_pods() -> None:
    """The far end knew only the pod; the near end reported the workload: one workload."""
    found = unify([_row(1), _row(2, name="front", name_source="reported", kind="Deployment")])
    assert found.ref_of[1] == found.ref_of[2]
    assert (found.ref_of[1].name, found.ref_of[1].kind) == ("front", "Deployment")


def test_two_reported_names_are_not_guessed_between() -> None:
    """Where the same labels belong to two workloads, a vague sighting keeps its own name."""
    found = unify(
        [_row(1), *(_row(number, name=name, name_source="reported") for number, name in ((2, "a"), (3, "b")))]
    )
    assert [found.ref_of[number].name for number in (1, 2, 3)] == ["web", "a", "b"]


def test_kinds_are_not_mixed() -> None:
    """Two kinds of one name stay two workloads; a sighting without a kind takes neither side."""
    rows = [
        _row(1, kind="Deployment", labels=[("a", "1")], name_source="reported"),
        _row(2, kind="StatefulSet", labels=[("a", "2")], name_source="reported"),
        _row(3, labels=[("a", "3")]),
    ]
    found = unify(rows)
    assert [found.ref_of[number].kind for number in (1, 2, 3)] == ["Deployment", "StatefulSet", ""]


def test_versions_keep_attributes_and_interval() -> None:
    """Each identity is one version, from the first to the last sighting of any run."""
    found = unify([_row(1, valid_from=5, valid_to=6), _row(1, valid_from=2, valid_to=3, service_account=None)])
    (version,) = found.versions
    assert (version.labels, version.valid_from, version.valid_to) == (Labels.of({"app": "web"}), 2, 6)
    assert found.by_key == {version.ref.key: version.ref}


def test_other_clusters_namespaces_and_accounts_are_others() -> None:
    """What policy tells apart stays apart."""
    rows = [
        _row(1),
        _row(2, cluster="east"),
        _row(3, namespace="pay"),
        _row(4, service_account="sa", name="x", name_source="reported"),
    ]
    found = unify(rows)
    assert len({found.ref_of[number] for number in (1, 2, 3, 4)}) == 4
