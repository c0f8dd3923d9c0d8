"""Parsing of declared platforms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.errors import OptionError
from discovery.model.intent import Dialect
from discovery.model.platform import ASSUMED_VERSIONS, SETTINGS, default_platform, detect_platforms, parse_platforms


def test_nothing_declared_assumes_supported_releases() -> None:
    """Every dialect has a platform; undeclared ones say that they are assumed."""
    found = parse_platforms([])
    assert set(found) == set(Dialect)
    assert found == {dialect: default_platform(dialect) for dialect in Dialect}
    assert str(found[Dialect.CILIUM]) == "cilium 1.18 (assumed)"


def test_declared_platforms_replace_assumed_ones() -> None:
    """Items may be separated by commas or given apart; patch levels do not matter; the last one counts."""
    found = parse_platforms(["cilium=1.16.3,calico=3.29;staged=false", "cilium=1.17"])
    assert found[Dialect.CILIUM].version == (1, 17)
    assert found[Dialect.CALICO].setting("staged") == "false"
    assert found[Dialect.CALICO].declared
    assert str(found[Dialect.CALICO]) == "calico 3.29 (staged=false)"
    assert not found[Dialect.KUBERNETES].declared


@given(st.sampled_from(Dialect), st.integers(0, 9_899), st.integers(0, 9_999), st.data())
def test_text_and_platform_agree(dialect: Dialect, major: int, minor: int, data: st.DataObject) -> None:
    """Every known setting and version reads back as declared."""
    chosen = {name: data.draw(st.sampled_from(values)) for name, values in SETTINGS[dialect].items()}
    if dialect is Dialect.KUBERNETES:
        chosen = {"enforcer": chosen["enforcer"]}
    major += 100  # a release that has everything
    text = f"{dialect}={major}.{minor}" + "".join(f";{name}={value}" for name, value in chosen.items())
    found = parse_platforms([text])[dialect]
    assert (found.version, found.declared, found.chosen) == ((major, minor), True, tuple(sorted(chosen)))
    assert dict(found.settings) == {**dict(default_platform(dialect).settings), **chosen}


@pytest.mark.parametrize(
    "item",
    [
        "",
        "cilium",
        "cilium=",
        "cilium=1",
        "cilium=v1.18",
        "cilium=1.18;",
        "cilium=1.18;policy-cidr-match-mode",
        "cilium=1.18;policy-cidr-match-mode=pods",
        "cilium=1.14;policy-cidr-match-mode=nodes",
        "cilium=1.17;policy-default-local-cluster=false",
        "calico=3.30;tier=-x",
        "kubernetes=1.31;enable-policy=never",
        "kubernetes=1.31;enforcer=calico;allow-localhost=policy",
        "kubernetes=1.31;enforcer=cilium;default-endpoint-to-host-action=drop",
        "calico=3.30;tier=",
        "cilium=1.18;enforcer=strict",
        "istio=1.20",
        "Cilium=1.18",
        "cilium=99999.1",
        "cilium=-1.18",
    ],
)
def test_unknown_platforms_are_refused_with_a_hint(item: str) -> None:
    """What is not known is never guessed: a clear error that says what to write."""
    with pytest.raises(OptionError) as caught:
        parse_platforms([item])
    assert caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_a_platform_or_the_one_error(text: str) -> None:
    """No text crashes the parser."""
    try:
        found = parse_platforms([text])
    except OptionError:
        return
    assert set(found) == set(Dialect)


def test_assumed_versions_are_complete() -> None:
    """Every dialect has an assumed version and a table of settings."""
    assert set(ASSUMED_VERSIONS) == set(SETTINGS) == set(Dialect)


def test_an_inventory_replaces_assumptions_and_nothing_else() -> None:
    """What was declared stays; a detected version is said; one CNI is who enforces Kubernetes policies."""
    versions = {"kubernetes": (1, 33), "cilium": (1, 17)}
    found = detect_platforms(parse_platforms(["calico=3.29"]), versions, {})
    assert str(found[Dialect.CILIUM]) == "cilium 1.17 (from the inventory)"
    assert str(found[Dialect.CALICO]) == "calico 3.29"
    assert str(found[Dialect.KUBERNETES]) == "kubernetes 1.33 (enforcer=cilium, from the inventory)"
    both = detect_platforms(parse_platforms([]), {**versions, "calico": (3, 30)}, {})
    assert both[Dialect.KUBERNETES].setting("enforcer") == "strict"
    assert detect_platforms(parse_platforms([]), {}, {}) == parse_platforms([])
    declared = detect_platforms(parse_platforms(["kubernetes=1.30"]), versions, {})[Dialect.KUBERNETES]
    assert str(declared) == "kubernetes 1.30 (enforcer=cilium)"


def test_settings_of_an_inventory_stand_where_nobody_declared_them() -> None:
    """Each setting by itself: what was declared stays, what is not known is left alone."""
    told = {
        "cilium": {
            "enable-policy": "always",
            "allow-localhost": "policy",
            "other": "x",
            "policy-cidr-match-mode": "all",
        },
        "calico": {"default-endpoint-to-host-action": "drop"},
    }
    found = detect_platforms(parse_platforms(["cilium=1.18;allow-localhost=always"]), {}, told)
    assert str(found[Dialect.CILIUM]) == "cilium 1.18 (allow-localhost=always, enable-policy=always)"
    assert str(found[Dialect.CALICO]) == "calico 3.30 (default-endpoint-to-host-action=drop, assumed)"
    assert str(found[Dialect.KUBERNETES]) == "kubernetes 1.31 (assumed)"


def test_a_setting_of_a_later_release_is_ignored_by_an_older_one() -> None:
    """A ConfigMap that was written for a later release says nothing of what this one does."""
    told = {"cilium": {"policy-cidr-match-mode": "pods", "policy-default-local-cluster": "true"}}
    for version, known in (((1, 17), ()), ((1, 18), ("local",)), ((1, 20), ("local", "pods"))):
        found = detect_platforms(parse_platforms([]), {"cilium": version}, told)
        cilium, kubernetes = found[Dialect.CILIUM], found[Dialect.KUBERNETES]
        assert (cilium.setting("policy-default-local-cluster") == "true") is ("local" in known)
        for one in (cilium, kubernetes):
            assert (one.setting("policy-cidr-match-mode") == "pods") is ("pods" in known)


@pytest.mark.parametrize(
    ("item", "local"),
    [
        ("cilium=1.18", False),
        ("cilium=1.19", True),
        ("cilium=1.18;policy-default-local-cluster=true", True),
        ("cilium=1.19;policy-default-local-cluster=false", False),
        ("calico=3.30", True),
    ],
)
def test_what_a_selector_without_a_cluster_means(item: str, local: bool) -> None:
    """From Cilium 1.19 on the local cluster, unless told otherwise; elsewhere there is no other."""
    assert parse_platforms([item])[Dialect(item.partition("=")[0])].local_by_default is local


def test_tiers_have_any_name() -> None:
    """A tier is a name, not one of a list."""
    assert parse_platforms(["calico=3.30;tier=app-team"])[Dialect.CALICO].setting("tier") == "app-team"


def test_kubernetes_policies_have_the_settings_of_their_enforcer() -> None:
    """Those of Cilium where it enforces, by declaration or detection; not those of a CNI that does not."""
    told = {"cilium": {"allow-localhost": "policy"}, "calico": {"default-endpoint-to-host-action": "drop"}}
    plain = detect_platforms(parse_platforms([]), {"cilium": (1, 18)}, told)[Dialect.KUBERNETES]
    assert str(plain) == "kubernetes 1.31 (allow-localhost=policy, enforcer=cilium, assumed)"
    declared = detect_platforms(parse_platforms(["kubernetes=1.31;enforcer=calico"]), {"cilium": (1, 18)}, told)
    assert str(declared[Dialect.KUBERNETES]) == (
        "kubernetes 1.31 (default-endpoint-to-host-action=drop, enforcer=calico)"
    )
