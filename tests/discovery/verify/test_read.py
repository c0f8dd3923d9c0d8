"""Tests of discovery.verify.read: strict YAML, located errors, and no crash whatever the input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.diagnostics import Level
from discovery.verify import calico, cilium, kubernetes, read
from discovery.verify.read import UnreadableError, load_manifests, read_policies
from tests.discovery.verify.builders import codes, text

POLICY = text("""
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: p, namespace: shop}
    spec: {podSelector: {}, policyTypes: [Ingress]}
""")


def test_documents_are_located() -> None:
    """Every document of a file is read, and its source is the line that it starts at."""
    found = read_policies({"b.yaml": f"# header\n---\n{POLICY}---\n{POLICY}", "a.yaml": POLICY})
    assert [policy.source for policy in found.policies] == ["a.yaml:1", "b.yaml:3", "b.yaml:8"]
    assert found.ok


def test_empty_documents_are_nothing() -> None:
    """Comments and separators alone give no policy and no finding."""
    found = read_policies({"a": "# only a comment\n", "b": "---\n---\n", "c": ""})
    assert (found.policies, found.diagnostics) == ((), ())


def test_items_of_lists_have_lines_of_their_own() -> None:
    """What ``kubectl get -o yaml`` wrote can be told apart; a list in a list has one place for all in it."""
    item = "  - {apiVersion: v1, kind: Pod}\n"
    listed = f"apiVersion: v1\nkind: List\nitems:\n{item}{item}"
    assert [line for line, _ in load_manifests(listed)] == [4, 5]
    assert [line for line, _ in load_manifests(f"kind: Pod\n---\n{listed}")] == [1, 6, 7]
    nested = "kind: List\nitems:\n  - {kind: List, items: [{kind: Pod}, {kind: Pod}]}\n"
    assert [line for line, _ in load_manifests(nested)] == [1, 1]
    assert load_manifests("kind: List\nitems: []\n") == []
    assert [line for line, _ in load_manifests("kind: Pod\nitems:\n  - 1\n")] == [1]


def test_lists_are_expanded() -> None:
    """What `kubectl get -o yaml` writes is read item by item."""
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"- {line}\n" if not n else f"  {line}\n" for n, line in enumerate(POLICY.splitlines())
    )
    assert [str(policy) for policy in read_policies({"f": listed}).policies] == ["NetworkPolicy shop/p"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: 1\na: 2\n", 2),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4),
        ("a: &x 1\nb: *x\n", 1),
        ("a: *x\n", 1),
        ("a: {<<: {b: 1}}\n", 1),
        ("a: 1\n1: 2\n", 2),
        ("on: 1\n", 1),
        ("? [a]\n: b\n", 1),
        ("a: !!python/object/apply:os.system [ls]\n", 1),
        ("a: !!str 1\n", 1),
        ("a: 1\nb: 2026-13-45\n", 2),
        ("a: [1\n", 2),
        ("a: b: c\n", 1),
        ("a:\n\t- b\n", 2),
        ("a: 1\nb: \x00\n", 2),
        ("a: 1\n\nb: \ud800\n", 3),
        (b"a: 1\nb: \xff\n", 2),
        ("a: " + "[" * 65 + "]" * 65, 1),
        ("a: " + "{a: " * 5000 + "}" * 5000, 1),
        ("a: " + "9" * 5000, 1),
        ("a: =\n", 1),
    ],
)
def test_dangerous_and_broken_yaml_is_a_located_error(content: str | bytes, line: int) -> None:
    """Duplicate keys, aliases, tags, depth, odd keys and garbage give one error at their line and no policy."""
    found = read_policies({"f.yaml": content})
    assert found.policies == ()
    assert [(d.code, d.level, d.subject) for d in found.diagnostics] == [
        ("unreadable-yaml", Level.ERROR, f"f.yaml:{line}")
    ]


def test_a_bomb_is_refused_at_its_first_anchor() -> None:
    """Billions of laughs end at the first anchor."""
    laughs = "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopq"))
    bomb = f'a: &a ["x", "x"]\n{laughs}'
    assert codes(read_policies({"f": bomb}).diagnostics) == ["unreadable-yaml"]


def test_one_broken_file_does_not_hide_another() -> None:
    """The other files are still read."""
    found = read_policies({"a": "a: [", "b": POLICY})
    assert len(found.policies) == 1
    assert not found.ok


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("just text\n", "not-a-manifest"),
        ("- a\n", "not-a-manifest"),
        ("3\n", "not-a-manifest"),
        ("kind: X\n", "not-a-manifest"),
        ("apiVersion: 1\nkind: X\n", "not-a-manifest"),
        ("apiVersion: v1\nkind: Namespace\n", "not-a-policy"),
        ("apiVersion: networking.k8s.io/v1\nkind: Ingress\n", "not-a-policy"),
        ("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n", "not-evaluated"),
        ("apiVersion: networking.k8s.io/v2\nkind: NetworkPolicy\nmetadata: {name: x}\n", "not-evaluated"),
        ("apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: x}\n", "not-evaluated"),
    ],
)
def test_other_documents_are_named(content: str, code: str) -> None:
    """What is no policy, or no manifest, is said."""
    found = read_policies({"f": content})
    assert (found.policies, codes(found.diagnostics)) == ((), [code])


def test_hostile_text_is_escaped_in_messages() -> None:
    """Control and bidirectional characters of a manifest never reach a message."""
    hostile = POLICY.replace("podSelector: {}", 'podSelector: {}, "x\\e[31m\\u202e": 1')
    (diagnostic,) = read_policies({"f": hostile}).diagnostics
    assert diagnostic.message.isascii()
    assert diagnostic.message.isprintable()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=6)
WORDS = st.sampled_from(
    [
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "namespace",
        "spec",
        "specs",
        "podSelector",
        "matchLabels",
        "matchExpressions",
        "policyTypes",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "port",
        "endPort",
        "protocol",
        "ipBlock",
        "cidr",
        "except",
        "endpointSelector",
        "enableDefaultDeny",
        "fromEndpoints",
        "toCIDRSet",
        "toPorts",
        "icmps",
        "fields",
        "family",
        "type",
        "selector",
        "types",
        "action",
        "source",
        "destination",
        "nets",
        "serviceAccounts",
        "names",
        "namespaceSelector",
        "tier",
        "order",
        "stagedAction",
        "ipVersion",
        "icmp",
    ]
)
VALUES = st.sampled_from(
    [
        "Allow",
        "TCP",
        "Ingress",
        "Egress",
        "10.0.0.0/8",
        "all()",
        "a == 'b'",
        "80",
        80,
        "8:9",
        "Set",
        "default",
        True,
        -1,
    ]
)
TREES = st.recursive(
    SCALARS | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
SPECS = st.dictionaries(WORDS, TREES, max_size=6) | TREES
KINDS = [
    ("networking.k8s.io/v1", "NetworkPolicy", kubernetes.read),
    ("projectcalico.org/v3", "StagedKubernetesNetworkPolicy", kubernetes.read),
    ("cilium.io/v2", "CiliumNetworkPolicy", cilium.read),
    ("projectcalico.org/v3", "NetworkPolicy", calico.read),
    ("projectcalico.org/v3", "StagedNetworkPolicy", calico.read),
]


@given(st.sampled_from(KINDS), SPECS, st.booleans())
def test_readers_never_raise(kind: tuple[str, str, Any], spec: object, known_spec: bool) -> None:
    """Any tree as a spec, or as a whole manifest, is read or reported; nothing incomplete goes unreported."""
    api, name, reader = kind
    manifest = {"apiVersion": api, "kind": name, "metadata": {"name": "p", "namespace": "n"}, "spec": spec}
    policies, diagnostics = reader(manifest if known_spec else spec, "f:1")
    if any(not policy.complete for policy in policies):
        assert "not-evaluated" in codes(diagnostics)
    assert all(d.subject == "f:1" and d.message.isascii() and d.message.isprintable() for d in diagnostics)


@given(st.binary(max_size=200) | st.text(max_size=200) | st.text("{}[]:-&*!|>'\"#%@,? \n\tab01", max_size=80))
def test_garbage_never_raises(content: str | bytes) -> None:
    """Any bytes or text are read or reported at a line of the file."""
    for diagnostic in read_policies({"f": content}).diagnostics:
        path, _, line = diagnostic.subject.rpartition(":")
        assert path == "f"
        assert 1 <= int(line) <= len(content) + 1


@given(st.integers(0, len(POLICY) - 1), st.characters())
def test_flipped_characters_never_raise(position: int, character: str) -> None:
    """A policy with one character replaced is read or reported."""
    found = read_policies({"f": POLICY[:position] + character + POLICY[position + 1 :]})
    assert found.policies or found.diagnostics


_PIECES = (
    "a", ": ", ":", "- ", "? ", "\n", "\n  ", "\n ", " ", "\t", "[", "]", "{", "}", ",", "---", "&x ", "*x", "!t ",
    "\r", "\x85", "\u2028", '"', "#", "|",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join), st.integers(2, 10))
def test_what_looks_harmless_is(content: str, depth: int) -> None:
    """A text that is not scanned has no anchor, alias or tag, and is no deeper than allowed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "MAX_DEPTH", depth)
        if not read._is_harmless(content):
            return
        try:
            read._scan(content)
        except UnreadableError as error:
            pytest.fail(f"{content!r}: {error}")
        except yaml.YAMLError:
            pass  # told by whoever builds the nodes


HEADLESS = (
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {generateName: p-}\nspec: {podSelector: {}}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        HEADLESS,
        HEADLESS.replace("generateName: p-", "name: 2026-01-01"),
        HEADLESS.replace("generateName", "name").replace("/v1", "/v1beta1"),
        HEADLESS.replace("generateName", "name").replace("networking.k8s.io/v1", "extensions/v1beta1"),
        HEADLESS.replace("generateName", "name").replace("kind: NetworkPolicy\n", ""),
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: b}\nspec: {}\n",
        "a: [\n",
    ],
)
def test_a_manifest_that_no_policy_stands_for_is_lost(text: str) -> None:
    """What it does is not known, and nothing may be concluded from the others alone."""
    read = read_policies({"a.yaml": text})
    assert (read.policies, [place.rpartition(":")[0] for place in read.lost]) == ((), ["a.yaml"])
    assert not read.ok


def test_of_two_manifests_of_one_name_a_cluster_keeps_one() -> None:
    """In one folder; folders of several clusters may have the same names."""
    text = HEADLESS.replace("generateName: p-", "name: p, namespace: shop")
    read = read_policies({"k/a.yaml": text, "k/b.yaml": text, "l/a.yaml": text})
    assert read.lost == ("k/b.yaml:1",)
    assert [one.code for one in read.diagnostics] == ["named-twice"]
    assert read_policies({"k/a.yaml": text, "k/b.yaml": text.replace("name: p", "name: q")}).lost == ()


def test_what_decides_no_traffic_is_not_lost() -> None:
    """A Deployment, an Ingress, a route."""
    for api, kind in (
        ("apps/v1", "Deployment"),
        ("networking.k8s.io/v1", "Ingress"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ):
        assert read_policies({"a.yaml": f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n"}).lost == ()
