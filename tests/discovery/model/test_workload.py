"""Labels, selectors and workload keys."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import EndpointKind, Entity, Labels, Selector, WorkloadRef, WorkloadVersion
from tests.strategies import label_keys, label_values, workload_refs

_PAIRS = st.dictionaries(label_keys(), label_values(), max_size=5)


def _version(labels: dict[str, str], account: str | None = None, namespace: str = "shop") -> WorkloadVersion:
    """Return a workload version with labels."""
    ref = WorkloadRef(cluster="east", namespace=namespace, kind="Deployment", name="cart")
    return WorkloadVersion(
        ref=ref, labels=Labels.of(labels), service_account=account, namespace_labels=Labels(), valid_from=0, valid_to=1
    )


@given(_PAIRS, st.randoms())
def test_labels_are_canonical(pairs: dict[str, str], random: Random) -> None:
    """Order of the input is no part of labels; the result is sorted and reads back."""
    items = list(pairs.items())
    random.shuffle(items)
    assert Labels.of(items) == Labels.of(pairs)
    assert Labels.of(items).as_dict() == pairs
    assert list(Labels.of(items).pairs) == sorted(pairs.items())


@given(_PAIRS, _PAIRS)
def test_matching_is_by_pair(own: dict[str, str], required: dict[str, str]) -> None:
    """Labels match exactly when every required pair is there: key and value together."""
    assert Labels.of(own).matches(Labels.of(required)) == all(own.get(key) == value for key, value in required.items())
    assert Labels.of(own).matches(Labels())


@given(_PAIRS)
def test_get_agrees_with_a_dict(pairs: dict[str, str]) -> None:
    """``get`` returns the value or None, and handing out a dict gives no way in."""
    labels = Labels.of(pairs)
    labels.as_dict()["intruder"] = "x"
    assert {key: labels.get(key) for key in (*pairs, "intruder")} == {**pairs, "intruder": None}


def test_keys_and_values_are_not_exchanged() -> None:
    """``app=web`` and ``name=web`` are different labels (field: label-key-lost)."""
    assert not Labels.of({"app": "web"}).matches(Labels.of({"name": "web"}))


@pytest.mark.parametrize("pairs", [(("b", "1"), ("a", "2")), (("a", "1"), ("a", "2"))], ids=["unsorted", "twice"])
def test_labels_must_be_canonical(pairs: tuple[tuple[str, str], ...]) -> None:
    """The constructor refuses unsorted pairs and a key that occurs twice."""
    with pytest.raises(ValueError, match="sorted by key"):
        Labels(pairs)


@pytest.mark.parametrize(
    ("cluster", "namespace", "labels", "account", "expected"),
    [
        ("east", "shop", {}, None, True),
        ("east", "shop", {"app": "cart"}, None, True),
        ("east", "shop", {"app": "cart"}, "builder", True),
        ("east", "shop", {"app": "cart"}, "other", False),
        ("east", "pay", {"app": "cart"}, None, False),
        ("west", "shop", {"app": "cart"}, None, False),
        ("east", "shop", {"app": "cart", "tier": "x"}, None, False),
    ],
)
def test_a_selector_needs_everything(
    cluster: str, namespace: str, labels: dict[str, str], account: str | None, expected: bool
) -> None:
    """Cluster, namespace, every label and the service account must all hold."""
    selector = Selector(cluster=cluster, namespace=namespace, labels=Labels.of(labels), service_account=account)
    assert selector.matches(_version({"app": "cart", "v": "1"}, "builder")) is expected


def test_a_service_account_that_nobody_reported_is_not_matched() -> None:
    """A selector with a service account never picks pods whose account is unknown."""
    selector = Selector(cluster="east", namespace="shop", labels=Labels(), service_account="builder")
    assert not selector.matches(_version({}, None))


def test_texts() -> None:
    """The short forms that people read."""
    assert str(Selector(cluster="east", namespace="shop", labels=Labels())) == "shop: (all pods)"
    selector = Selector(cluster="east", namespace="shop", labels=Labels.of({"b": "2", "a": "1"}), service_account="sa")
    assert str(selector) == "shop: a=1,b=2,serviceAccount=sa"
    assert str(_version({}).ref) == "shop/cart"


@given(workload_refs(), workload_refs())
def test_keys_tell_workloads_apart(left: WorkloadRef, right: WorkloadRef) -> None:
    """The key is 16 hex digits, the same for the same workload and for no other."""
    assert len(left.key) == 16
    assert int(left.key, 16) >= 0
    assert (left.key == right.key) == (left == right)


def test_every_endpoint_kind_has_its_entity() -> None:
    """All kinds but workload, external and unresolved are entities of the same name."""
    without = {EndpointKind.WORKLOAD, EndpointKind.EXTERNAL, EndpointKind.UNRESOLVED}
    assert {kind for kind in EndpointKind if kind.entity is None} == without
    assert {kind.entity for kind in EndpointKind} - {None} == set(Entity) - {Entity.WORLD}
