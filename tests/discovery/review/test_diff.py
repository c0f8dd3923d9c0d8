"""Tests of discovery.review.diff."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.model.edge import Direction, Protocol
from discovery.review.changes import as_markdown, as_text
from discovery.review.diff import Difference, Kind, diff
from discovery.verify import universe
from discovery.verify.ends import PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import ReadSet, read_policies
from tests.discovery.verify.builders import platform, version

HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME, namespace: shop}\nspec: "
ON = platform("kubernetes=1.31")


def read(*specs: str, names: tuple[str, ...] = ()) -> ReadSet:
    """Read policies from flow-style specs; names are p0, p1, ... unless given."""
    given_names = names or tuple(f"p{number}" for number in range(len(specs)))
    texts = {f"{name}.yaml": HEAD.replace("NAME", name) + spec for name, spec in zip(given_names, specs, strict=True)}
    return read_policies(texts)


WEB = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: RULES}"
FROM_A = "{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}"
FROM_B = "{from: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 81}]}"


def web(*rules: str) -> str:
    """Return a policy of web with these rules."""
    return WEB.replace("RULES", f"[{', '.join(rules)}]")


def told(found: Difference) -> set[tuple[str, str, str, str]]:
    """Return kind, ends and content of changes."""
    return {(one.kind.value, one.client, one.server, f"{one.protocol}/{one.content}") for one in found.changes}


A, B = "pods of shop with app=a", "pods of shop with app=b"
SERVER = "pods of shop with app=web"


def test_new_and_gone_rules_are_connections() -> None:
    """Each with the ends, the ports and a witness."""
    found = diff(read(web(FROM_A)), read(web(FROM_B)), ON)
    assert told(found) == {
        ("newly denied", A, SERVER, "TCP/80"),
        ("newly allowed", B, SERVER, "TCP/81"),
    }
    denied = next(one for one in found.changes if one.kind is Kind.DENIED)
    assert (denied.subject, denied.peer, denied.direction) == (SERVER, A, Direction.INGRESS)
    assert denied.witness == f"{A} -> {SERVER} TCP/80"
    assert not found.empty


def test_renaming_reordering_splitting_is_no_difference() -> None:
    """One policy with two rules says what two policies with one rule each say, whatever they are called."""
    whole = read(web(FROM_A, FROM_B))
    for other in (
        read(web(FROM_B, FROM_A)),
        read(web(FROM_A), web(FROM_B)),
        read(web(FROM_A, FROM_B), names=("other",)),
        read(web(FROM_A.replace("[{port: 80}]", "[{port: 80, endPort: 80}]"), FROM_B, FROM_A)),
    ):
        assert diff(whole, other, ON).empty
        assert diff(other, whole, ON).empty
    assert diff(whole, read(web(FROM_A, FROM_B), names=("other",)), ON).renamed == (
        ("NetworkPolicy shop/p0", "NetworkPolicy shop/other"),
    )


def test_a_wider_range_is_told_by_what_it_adds() -> None:
    """Only the ports that changed."""
    wide = FROM_A.replace("[{port: 80}]", "[{port: 80, endPort: 90}]")
    assert told(diff(read(web(FROM_A)), read(web(wide)), ON)) == {("newly allowed", A, SERVER, "TCP/81-90")}


def test_isolation_of_one_more_pod_is_seen_by_all_its_peers() -> None:
    """A policy for pods that had none cuts everybody who is not named."""
    found = diff(read(web()), read(web(), web(FROM_A).replace("app: web", "app: db")), ON)
    db = "pods of shop with app=db"
    assert {one.server for one in found.changes} == {db}
    assert any(one.client == "pods elsewhere" for one in found.changes)
    assert ("newly denied", A, db, "TCP/0-79,81-65535") in told(found)


def test_a_connection_that_the_other_side_still_denies_is_no_change() -> None:
    """Both sides must allow: ingress alone opens nothing."""
    egress = "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}"
    assert diff(read(web(), egress), read(web(FROM_A), egress), ON).empty


def test_text_alone_and_modes() -> None:
    """A comment is text; an opt-in label that goes puts the policy in force."""
    monitored = web(FROM_A).replace("{app: web}", '{app: web, policy-discovery/enforce: "true"}')
    found = diff(read(monitored), read(web(FROM_A)), ON, [("p0.yaml", False)])
    assert found.changes == ()
    assert found.modes == ("NetworkPolicy shop/p0 ingress: monitored -> enforced",)
    assert not found.empty
    text = diff(read(web(FROM_A)), read(web(FROM_A)), ON, [("p0.yaml", False)])
    assert (text.same, text.empty) == (("p0.yaml",), True)


def test_what_cannot_be_read_any_more_is_no_longer_known() -> None:
    """Never silently the same."""
    broken = FROM_A.replace("ports: [{port: 80}]", "ports: [{port: true}]")
    kinds = {one.kind for one in diff(read(web(FROM_A)), read(web(FROM_A, broken)), ON).changes}
    assert kinds == {Kind.UNCLEAR}


LABELS: tuple[dict[str, str], ...] = ({"app": "a"}, {"app": "b"}, {"tier": "x"}, {"app": "a", "tier": "x"}, {})
SELECTORS = st.sampled_from(["{}", "{matchLabels: {app: a}}", "{matchLabels: {app: b}}", "{matchLabels: {tier: x}}",
                             "{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}"])  # fmt: skip
PORTS = st.sampled_from(
    ["", ", ports: [{port: 80}]", ", ports: [{port: 80, endPort: 82}]", ", ports: [{protocol: UDP}]"]
)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Return a random policy of namespace shop."""
    direction, word = draw(st.sampled_from([("Ingress", "from"), ("Egress", "to")]))
    rules = draw(
        st.lists(st.builds(lambda s, p: f"{{{word}: [{{podSelector: {s}}}]{p}}}", SELECTORS, PORTS), max_size=2)
    )
    return f"{{podSelector: {draw(SELECTORS)}, policyTypes: [{direction}], {direction.lower()}: [{', '.join(rules)}]}}"


SETS = st.lists(specs(), max_size=3)


@settings(max_examples=150, deadline=None)
@given(SETS, SETS)
def test_a_difference_anywhere_is_found_and_every_witness_is_one(old: list[str], new: list[str]) -> None:
    """Against brute force over pods with every combination of labels: nothing is missed, nothing is made up."""
    before, after = read(*old), read(*new)
    found = diff(before, after, ON)
    first, second = (Evaluator(one.policies, ON, as_enforced=True) for one in (before, after))
    pods = [PodEnd(version=version(f"p{n}", labels), ports=()) for n, labels in enumerate(LABELS)]
    pods.append(PodEnd(version=version("far", {}, namespace="elsewhere"), ports=()))
    differs = any(
        first.allowed(client, server, protocol) != second.allowed(client, server, protocol)
        for client, server in itertools.product(pods, pods)
        for protocol in (Protocol.TCP, Protocol.UDP)
    )
    if differs:
        assert found.changes
    if not found.changes:
        assert not differs


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_a_set_is_like_itself_in_any_order(given_specs: list[str]) -> None:
    """Names and order say nothing."""
    names = tuple(f"q{number}" for number in range(len(given_specs)))
    assert diff(read(*given_specs), read(*reversed(given_specs), names=names), ON).empty


def cilium(*specs: str, kind: str = "CiliumNetworkPolicy") -> ReadSet:
    """Read Cilium policies from flow-style specs."""
    head = f"apiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: NAME, namespace: shop}}\nspec: "
    return read_policies(
        {f"p{number}.yaml": head.replace("NAME", f"p{number}") + spec for number, spec in enumerate(specs)}
    )


CILIUM = platform("cilium=1.18")
GET = (
    "{endpointSelector: {matchLabels: {app: web}}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}]RULES}]}]}"
)
NONE = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}"


def http(path: str) -> str:
    """Return a policy with a rule of layer 7."""
    return GET.replace("RULES", f", rules: {{http: [{{path: {path}}}]}}")


def test_what_becomes_sure_is_a_change() -> None:
    """A rule of layer 7, which is not evaluated, that gives way to one of layer 4, or goes."""
    wider = diff(cilium(http("/health")), cilium(GET.replace("RULES", "")), CILIUM)
    assert {one.kind for one in wider.changes} == {Kind.SURE}
    gone = diff(cilium(http("/health")), cilium(NONE), CILIUM)
    assert Kind.REFUSED in {one.kind for one in gone.changes}
    assert not wider.empty
    assert not gone.empty


def test_a_change_of_what_is_not_evaluated_is_not_called_text() -> None:
    """Nobody knows whether it matters."""
    found = diff(cilium(http("/health")), cilium(http("/.*")), CILIUM, [("p0.yaml", False)])
    assert (found.changes, found.same, found.unclear, found.empty) == ((), (), ("p0.yaml",), False)
    plain = GET.replace("RULES", "")
    found = diff(cilium(plain), cilium(plain + "  # comment"), CILIUM, [("p0.yaml", False)])
    assert (found.same, found.unclear, found.empty) == (("p0.yaml",), (), True)


def test_a_manifest_that_is_lost_leaves_the_difference_open() -> None:
    """On either side."""
    broken = read_policies({"x.yaml": "a: [\n"})
    assert diff(broken, read(web(FROM_A)), ON).lost == ("old x.yaml:2",)
    assert not diff(read(), broken, ON).empty


def test_a_staged_policy_that_is_enforced_changes_its_mode() -> None:
    """Its kind changes as well, and that is no new name."""
    text = """
apiVersion: projectcalico.org/v3
kind: KIND
metadata: {name: p, namespace: shop}
spec: {selector: all(), types: [Ingress]}
"""
    kinds = ("StagedNetworkPolicy", "NetworkPolicy")
    staged, enforced = (read_policies({"p.yaml": text.replace("KIND", kind)}) for kind in kinds)
    found = diff(staged, enforced, platform("calico=3.30"))
    assert (found.changes, found.renamed) == ((), ())
    assert found.modes == ("NetworkPolicy shop/p ingress: monitored -> enforced",)


def test_a_witness_is_a_connection_that_somebody_can_make() -> None:
    """Not to port 0."""
    found = diff(read(), read(web(FROM_A)), ON)
    assert found.changes
    assert not [one for one in found.changes if one.witness.endswith("/0")]


def test_ports_by_name_have_numbers_of_their_own() -> None:
    """A rule that names another port is a change, told by the names: which numbers they have is each pod's."""

    def named(port: str) -> str:
        return f"{{podSelector: {{}}, ingress: [{{ports: [{{port: {port}}}]}}]}}"

    found = diff(read(named("http")), read(named("metrics")), ON)
    told = {(one.kind, one.words) for one in found.changes}
    assert told == {(Kind.ALLOWED, "TCP/metrics"), (Kind.DENIED, "TCP/http")}
    assert all(one.witness.endswith(("TCP/metrics", "TCP/http")) for one in found.changes)
    assert diff(read(named("http")), read(named("http")), ON).changes == ()
    both = diff(read(named("http")), read(named("8080")), ON)
    assert {one.words for one in both.changes} == {"TCP/http", "TCP/8080"}


def test_too_many_selectors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods that two selectors pick may be more than can be tried."""
    spec = "{podSelector: {matchLabels: {app: a}}, ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}"
    assert diff(read(spec), read("{podSelector: {}}"), ON).whole
    monkeypatch.setattr(universe, "MAX_PAIRS", 1)
    few = diff(read(spec), read("{podSelector: {}}"), ON)
    assert not few.whole
    assert "too many selectors" in "".join(as_text(few))
    assert "too many selectors" in "".join(as_markdown(few))


def test_a_deny_of_a_port_by_name_may_be_one_of_a_number() -> None:
    """The name may be the very number that another rule allows: such a pod is tried, too."""
    allow = "ingress: [{fromEntities: [all], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]"
    deny = "ingressDeny: [{fromEntities: [all], toPorts: [{ports: [{port: http, protocol: TCP}]}]}]"
    found = diff(
        cilium(f"{{endpointSelector: {{}}, {allow}}}"), cilium(f"{{endpointSelector: {{}}, {allow}, {deny}}}"), CILIUM
    )
    denied = [one for one in found.changes if one.kind is Kind.DENIED and one.words == "TCP/8080"]
    assert denied
    assert all("whose port http is 8080" in one.server for one in denied)


def test_the_order_of_rules_of_layer_7_is_no_difference() -> None:
    """They are alternatives."""

    def given(*paths: str) -> ReadSet:
        rules = ", ".join(f"{{path: {path}}}" for path in paths)
        return cilium(GET.replace("RULES", f", rules: {{http: [{rules}]}}"))

    assert diff(given("/a", "/b"), given("/b", "/a", "/a"), CILIUM, [("p0.yaml", False)]).changes == ()
    assert diff(given("/a"), given("/b"), CILIUM, [("p0.yaml", False)]).unclear == ("p0.yaml",)
