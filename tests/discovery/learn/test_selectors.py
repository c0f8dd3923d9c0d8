"""Selectors: smallest, stable, exact; held against a search through all subsets of labels."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.learn.selectors import MAX_CANDIDATES, MAX_LABELS, Basis, Choice, choose_all, is_stable
from discovery.model.workload import Labels, WorkloadVersion
from tests.discovery.learn.builders import ref, version
from tests.strategies import HOSTILE

KEYS = ("app", "tier", "a", "b", "c")


def choose(own: list[WorkloadVersion], others: list[WorkloadVersion], *, labels_shown: bool = True) -> Choice:
    """Return the choice of the one workload of the first versions."""
    (workload,) = {found.ref for found in own}
    return choose_all([*own, *others], labels_shown=labels_shown)[workload]


def labels() -> st.SearchStrategy[dict[str, str]]:
    """Draw labels from so few pairs that workloads collide."""
    return st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("x", "y")), max_size=5)


@st.composite
def estates(draw: st.DrawFn) -> list[WorkloadVersion]:
    """Draw a few workloads of one namespace, some with several versions."""
    accounts = st.sampled_from((None, "red", "blue"))
    return [
        version(ref(f"w{number}"), draw(labels()), account=draw(accounts))
        for number in range(draw(st.integers(1, 5)))
        for _ in range(draw(st.integers(1, 2)))
    ]


def smallest_by_search(own: list[WorkloadVersion], others: list[WorkloadVersion]) -> int | None:
    """Return how many labels tell a workload apart, trying every subset of every size."""
    common = [pair for pair in own[0].labels.pairs if all(pair in one.labels.pairs for one in own)]
    for size in range(1, min(MAX_LABELS, len(common)) + 1):
        for chosen in combinations(common, size):
            if not any(all(pair in other.labels.pairs for pair in chosen) for other in others):
                return size
    return None


@given(estates())
def test_selectors_are_exact_and_as_small_as_a_full_search_finds(versions: list[WorkloadVersion]) -> None:
    """Rule 4: a selector matches every version of its workload and no version of another, with the fewest labels."""
    for workload, choice in choose_all(versions).items():
        own = [one for one in versions if one.ref == workload]
        others = [one for one in versions if one.ref != workload]
        size = smallest_by_search(own, others)
        if size is not None:
            assert choice.basis is Basis.LABELS
            assert choice.selector is not None
            assert len(choice.selector.labels.pairs) == size
        if choice.selector is not None:
            assert all(choice.selector.matches(one) for one in own)
            assert not any(choice.selector.matches(one) for one in others)


@given(estates())
def test_nothing_selected_means_that_nothing_could(versions: list[WorkloadVersion]) -> None:
    """A workload without a selector shares every label, and possibly its account, with one of those named."""
    for workload, choice in choose_all(versions).items():
        if choice.selector is not None:
            assert choice.confused_with == ()
            continue
        own = [one for one in versions if one.ref == workload]
        common = [pair for pair in own[0].labels.pairs if all(pair in one.labels.pairs for one in own)]
        twins = {one.ref for one in versions if one.ref != workload and set(common) <= set(one.labels.pairs)}
        assert choice.confused_with == tuple(sorted(twins))
        assert twins
        accounts = {one.service_account for one in own}
        if len(accounts) == 1 and None not in accounts:
            alike = [one for one in versions if one.ref in twins and one.service_account in (None, *accounts)]
            assert alike


@given(st.data())
def test_the_order_of_versions_does_not_matter(data: st.DataObject) -> None:
    """The same versions in any order give the same choices in the same order."""
    versions = data.draw(estates())
    shuffled = data.draw(st.permutations(versions))
    assert list(choose_all(shuffled).items()) == list(choose_all(versions).items())


@given(estates(), estates())
def test_workloads_of_another_namespace_do_not_matter(
    here: list[WorkloadVersion], there: list[WorkloadVersion]
) -> None:
    """A selector is for one namespace: what runs elsewhere changes no choice."""
    moved = [
        version(ref(one.ref.name, namespace="pay"), one.labels.as_dict(), account=one.service_account) for one in there
    ]
    alone, together = choose_all(here), choose_all([*here, *moved])
    assert {workload: together[workload] for workload in alone} == alone


@pytest.mark.parametrize(
    "key",
    [
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/job-name",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "pod-template-generation",
        "helm.sh/chart",
        "app.kubernetes.io/managed-by",
        "topology.kubernetes.io/zone",
        "policy-discovery/enforce",
        "io.kubernetes.pod.namespace",
        "security.istio.io/tlsMode",
    ],
)
def test_volatile_labels_never_select(key: str) -> None:
    """Labels that change with a run, a rollout or a zone are no evidence of what a workload is."""
    assert not is_stable(key, "x", ref("web"))
    choice = choose([version("web", {key: "x"})], [version("db", {})])
    assert choice.selector is None


def test_versions_select_only_where_the_name_carries_them() -> None:
    """reviews-v1 is another workload than reviews-v2; elsewhere a version changes with the next release."""
    assert is_stable("version", "v1", ref("reviews-v1"))
    assert not is_stable("version", "v1", ref("reviews"))
    assert not is_stable("version", "", ref("reviews-"))


@pytest.mark.parametrize("value", [text for text in HOSTILE if text])
def test_hostile_labels_never_select(value: str) -> None:
    """What no API server would take as a label never reaches a selector, also not as a version."""
    for key, text, name in (("app", value, "web"), (value, "x", "web"), ("version", value, f"web-{value}")):
        choice = choose([version(ref(name), {key: text})], [version("db", {})])
        pairs = () if choice.selector is None else choice.selector.labels.pairs
        assert all(_is_label(found) for found in pairs)


def _is_label(pair: tuple[str, str]) -> bool:
    """Say whether an API server takes a pair (checked character by character, unlike the code under test)."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    key, value = pair[0].rpartition("/")[2], pair[1]
    edges = (key[0], key[-1], *value[:1], *value[-1:])
    return set(key + value) <= allowed and not set(edges) & set("-_.") and len(key) <= 63 and len(value) <= 63


def test_a_label_that_changed_is_not_used() -> None:
    """A label with two values over the versions of one workload selects only some of its pods."""
    own = [version("web", {"app": "web", "track": "a"}), version("web", {"app": "web", "track": "b"})]
    choice = choose(own, [version("db", {"app": "web"})])
    assert choice.selector is None
    assert choice.confused_with == (ref("db"),)


def test_names_are_preferred_to_other_labels() -> None:
    """Among equals, the label that names the workload wins."""
    pairs = {"zone": "a", "k8s-app": "web", "app.kubernetes.io/name": "web", "aaa": "b"}
    choice = choose([version("web", pairs)], [version("db", {"x": "y"})])
    assert choice.selector is not None
    assert choice.selector.labels == Labels.of({"app.kubernetes.io/name": "web"})


def test_the_service_account_tells_apart_what_labels_cannot() -> None:
    """Same labels, other account: selected by account; an unknown account of the other one is not enough."""
    own = [version("web", {"app": "x"}, account="web")]
    known = choose(own, [version("db", {"app": "x"}, account="db")])
    assert (known.basis, known.selector and known.selector.service_account) == (Basis.SERVICE_ACCOUNT, "web")
    assert choose(own, [version("db", {"app": "x"})]).selector is None


def test_a_lone_workload_without_labels_is_its_namespace() -> None:
    """Nothing else is there: the whole namespace is the workload, and that is said."""
    choice = choose([version("web", {})], [])
    assert choice.basis is Basis.NAMESPACE
    assert choice.selector is not None
    assert (choice.selector.namespace, choice.selector.labels) == ("shop", Labels())


def test_nothing_proves_a_namespace_to_be_a_workload_where_no_labels_are_shown() -> None:
    """A source without labels does not show what else is there: the namespace selects nothing then."""
    choice = choose([version("web", {})], [], labels_shown=False)
    assert (choice.selector, choice.confused_with) == (None, ())


def test_a_pod_with_a_thousand_labels_is_bounded() -> None:
    """A hostile pod cannot make the search explode: only the best candidates are combined."""
    many = {f"k{number:04}": "v" for number in range(1000)}
    twin = version("db", {key: value for key, value in many.items() if key != "k0999"})
    assert len(many) > MAX_CANDIDATES
    assert choose([version("web", many)], [twin]).selector is None
