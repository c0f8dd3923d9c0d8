"""Tests of discovery.verify.calico_peers: ends of rules, by Calico's policy reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.workload import Labels
from discovery.verify.calico_peers import (
    account_condition,
    families,
    namespace_condition,
    pod_condition,
    pods_where,
    read_end,
)
from discovery.verify.conditions import ACCOUNT_NAME, NAMESPACE_NAME, Condition, Operator, Requirement, Scope
from discovery.verify.context import NO_CONTEXT, Context, NetworkSet
from discovery.verify.ends import AddressEnd, End, PeerMatcher, PodEnd
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.nets import parse_prefix
from discovery.verify.rules import PeerMatch, PodMatch, UnclearMatch
from discovery.verify.selectors import EVERYTHING, NOTHING, parse_selector
from discovery.verify.truth import Truth, any_of
from tests.discovery.verify.builders import platform, version

MATCHER = PeerMatcher(platform("calico=3.30"))
WEB = PodEnd(version=version("web", {"app": "web", "tier": "front"}, account="web-sa"), address="10.1.0.1")
DB = PodEnd(version=version("db", {"app": "db"}, account="db-sa"), address="10.1.0.2")
AWAY = PodEnd(
    version=version(
        "away",
        {"app": "web"},
        namespace="edge",
        account="web-sa",
        namespace_labels={NAMESPACE_NAME: "edge", "env": "prod"},
    ),
    address="10.2.0.1",
)
OUT, OUT6 = AddressEnd(address="192.0.2.1"), AddressEnd(address="2001:db8::1")
SETS = Context(
    sets=(
        NetworkSet(
            name="n", namespace="shop", labels=Labels.of({"role": "saas"}), networks=(parse_prefix("192.0.2.0/24"),)
        ),
        NetworkSet(
            name="m", namespace="edge", labels=Labels.of({"role": "saas"}), networks=(parse_prefix("198.51.100.0/24"),)
        ),
        NetworkSet(
            name="g", namespace=None, labels=Labels.of({"role": "saas"}), networks=(parse_prefix("203.0.113.0/24"),)
        ),
    )
)
IN_SHOP, IN_EDGE, GLOBAL = (AddressEnd(address=f"{net}.9") for net in ("192.0.2", "198.51.100", "203.0.113"))
EVERYONE: dict[str, End] = {"web": WEB, "db": DB, "away": AWAY, "out": OUT, "out6": OUT6}


def covered(end: dict[str, object], *, namespace: str | None = "shop", context: Context = NO_CONTEXT) -> set[str]:
    """Return who of everyone is surely an end that a policy describes; nobody may be in doubt."""
    peers = read_end(end, "w", namespace, context)
    truths = {name: covers(peers, one) for name, one in EVERYONE.items()}
    assert Truth.MAYBE not in truths.values(), truths
    return {name for name, truth in truths.items() if truth is Truth.YES}


def covers(peers: tuple[PeerMatch, ...], end: End) -> Truth:
    """Say whether one of the peers is this end."""
    return any_of(MATCHER.covers(peer, end, WEB.version) for peer in peers)


@pytest.mark.parametrize(
    ("end", "who"),
    [
        ({}, {"web", "db", "away", "out", "out6"}),
        ({"selector": None, "nets": None, "services": None}, {"web", "db", "away", "out", "out6"}),
        ({"selector": "", "notSelector": "", "namespaceSelector": ""}, {"web", "db", "away", "out", "out6"}),
        ({"selector": "all()"}, {"web", "db"}),
        ({"selector": "app == 'web'"}, {"web"}),
        ({"selector": "app != 'web'"}, {"db"}),
        ({"selector": "has(tier)"}, {"web"}),
        ({"selector": "app == 'web' || app == 'db'"}, {"web", "db"}),
        ({"selector": "app == 'web'", "namespaceSelector": "all()"}, {"web", "away"}),
        ({"namespaceSelector": "all()"}, {"web", "db", "away"}),
        ({"namespaceSelector": "has(kubernetes.io/metadata.name)"}, {"web", "db", "away"}),
        ({"namespaceSelector": "kubernetes.io/metadata.name == 'edge'"}, {"away"}),
        ({"namespaceSelector": "projectcalico.org/name == 'edge'"}, {"away"}),
        ({"namespaceSelector": "projectcalico.org/name != 'shop'"}, {"away"}),
        ({"namespaceSelector": "projectcalico.org/name in {'shop', 'edge'}", "selector": "app == 'web'"},
         {"web", "away"}),
        ({"namespaceSelector": "env == 'prod'"}, {"away"}),
        ({"namespaceSelector": "env == 'prod' && projectcalico.org/name == 'edge'"}, {"away"}),
        ({"namespaceSelector": "env == 'prod' && projectcalico.org/name == 'shop'"}, set()),
        ({"namespaceSelector": "env != 'prod'"}, {"web", "db"}),
        ({"namespaceSelector": "projectcalico.org/name == 'a' && kubernetes.io/metadata.name == 'b'"}, set()),
        ({"selector": "projectcalico.org/namespace == 'shop'"}, {"web", "db"}),
        ({"selector": "projectcalico.org/namespace == 'edge'"}, set()),
        ({"selector": "projectcalico.org/namespace == 'edge'", "namespaceSelector": "all()"}, {"away"}),
        ({"selector": "pcns.env == 'prod'", "namespaceSelector": "all()"}, {"away"}),
        ({"selector": "projectcalico.org/serviceaccount == 'db-sa'"}, {"db"}),
        ({"selector": "projectcalico.org/serviceaccount != 'db-sa'"}, {"web"}),
        ({"selector": "projectcalico.org/orchestrator == 'k8s'"}, {"web", "db"}),
        ({"selector": "projectcalico.org/orchestrator == 'openstack'"}, set()),
        ({"selector": "has(projectcalico.org/orchestrator)"}, {"web", "db"}),
        ({"serviceAccounts": {"names": ["web-sa"]}}, {"web"}),
        ({"serviceAccounts": {"names": ["web-sa", "db-sa"]}}, {"web", "db"}),
        ({"serviceAccounts": {"names": ["web-sa"]}, "namespaceSelector": "all()"}, {"web", "away"}),
        ({"serviceAccounts": {"names": ["web-sa"]}, "selector": "app == 'db'"}, set()),
        ({"serviceAccounts": {"selector": "projectcalico.org/name == 'db-sa'"}}, {"db"}),
        ({"serviceAccounts": {"names": ["web-sa"], "selector": "projectcalico.org/name == 'db-sa'"}}, set()),
        ({"nets": ["10.1.0.0/24"]}, {"web", "db"}),
        ({"nets": ["192.0.2.0/24", "192.0.2.0/25"]}, {"out"}),
        ({"nets": ["::/0"]}, {"out6"}),
        ({"notNets": ["10.0.0.0/8"]}, {"out", "out6"}),
        ({"nets": ["10.0.0.0/8"], "notNets": ["10.1.0.0/16"]}, {"away"}),
        ({"nets": ["10.1.0.1/32"], "selector": "app == 'web'"}, {"web"}),
        ({"nets": ["10.1.0.2/32"], "selector": "app == 'web'"}, set()),
        ({"selector": "all()", "notSelector": "app == 'web'"}, {"db"}),
        ({"notSelector": "app == 'web'", "namespaceSelector": "all()"}, {"db"}),
        ({"nets": ["0.0.0.0/0"], "notNets": ["10.1.0.0/16"], "namespaceSelector": "all()", "notSelector": "has(x)"},
         {"away"}),
    ],
)  # fmt: skip
def test_ends_of_a_namespaced_policy(end: dict[str, object], who: set[str]) -> None:
    """Any selector alone stays in the policy's namespace; all that is given must hold; nothing is anybody."""
    assert covered(end) == who


@pytest.mark.parametrize(
    ("end", "who"),
    [
        ({"selector": "app == 'web'"}, {"web", "away"}),
        ({"selector": "all()"}, {"web", "db", "away"}),
        ({"notSelector": "app == 'web'"}, {"db", "out", "out6"}),
        ({"notSelector": "all()"}, {"out", "out6"}),
        ({"selector": "app == 'web'", "namespaceSelector": "projectcalico.org/name == 'shop'"}, {"web"}),
        ({"namespaceSelector": "all()", "notSelector": "app == 'web'"}, {"db"}),
        ({"serviceAccounts": {"names": ["web-sa"]}}, {"web", "away"}),
        ({"serviceAccounts": {"names": ["web-sa"]}, "namespaceSelector": "env == 'prod'"}, {"away"}),
        ({"selector": "has(projectcalico.org/namespace)"}, {"web", "db", "away"}),
        ({"selector": "!has(projectcalico.org/namespace)"}, set()),
    ],
)
def test_ends_of_a_global_policy(end: dict[str, object], who: set[str]) -> None:
    """Selectors mean everywhere; ``all()`` is every known endpoint and no outside address."""
    assert covered(end, namespace=None) == who


def test_not_selector_alone_stays_in_the_namespace() -> None:
    """As soon as any selector of an end is used, notSelector too, it is limited to the policy's namespace."""
    assert covered({"notSelector": "app == 'web'"}) == {"db"}


@pytest.mark.parametrize(
    ("namespace", "end", "who"),
    [
        ("shop", {"selector": "role == 'saas'"}, {"shop"}),
        ("shop", {"selector": "role != 'saas'"}, set()),
        ("shop", {"selector": "role == 'saas'", "namespaceSelector": "all()"}, {"shop", "edge"}),
        ("shop", {"selector": "role == 'saas'", "namespaceSelector": "projectcalico.org/name == 'edge'"}, {"edge"}),
        ("shop", {"selector": "role == 'saas'", "namespaceSelector": "global()"}, {"global"}),
        ("shop", {"selector": "role == 'x'", "namespaceSelector": "global()"}, set()),
        ("shop", {"namespaceSelector": "global()"}, {"global"}),
        ("shop", {"namespaceSelector": "global( )"}, {"global"}),
        ("shop", {"selector": "all()"}, {"shop"}),
        (None, {"selector": "role == 'saas'"}, {"shop", "edge", "global"}),
        (None, {"selector": "role == 'saas'", "namespaceSelector": "all()"}, {"shop", "edge"}),
        (None, {"selector": "role == 'saas'", "namespaceSelector": "global()"}, {"global"}),
        (None, {"selector": "role == 'saas' && has(projectcalico.org/namespace)"}, {"shop", "edge"}),
        (None, {"selector": "role == 'saas' && projectcalico.org/namespace == 'edge'"}, {"edge"}),
        (None, {"notSelector": "role == 'saas'"}, set()),
        (None, {"selector": "role == 'saas'", "notNets": ["203.0.113.0/25"]}, {"shop", "edge"}),
        (None, {"selector": "role == 'saas'", "nets": ["203.0.113.0/25"]}, {"global"}),
    ],
)
def test_network_sets(namespace: str | None, end: dict[str, object], who: set[str]) -> None:
    """Sets are picked like pods of their namespace, global ones from global policies and by ``global()``."""
    peers = read_end(end, "w", namespace, SETS)
    ends = {"shop": IN_SHOP, "edge": IN_EDGE, "global": GLOBAL}
    assert {name for name, one in ends.items() if covers(peers, one) is Truth.YES} == who
    assert {name for name, one in ends.items() if covers(peers, one) is Truth.NO} == set(ends) - who
    assert covers(peers, AddressEnd(address="8.8.8.8")) is (Truth.YES if "notSelector" in end else Truth.NO)


def test_labels_of_namespaces_that_nobody_reported_leave_sets_unclear() -> None:
    """A set in a namespace whose labels are not known may be meant."""
    peers = read_end({"selector": "role == 'saas'", "namespaceSelector": "env == 'prod'"}, "w", "shop", SETS)
    assert any(isinstance(peer, UnclearMatch) for peer in peers)
    assert covers(peers, IN_EDGE) is Truth.MAYBE
    assert covers(peers, GLOBAL) is Truth.MAYBE


@pytest.mark.parametrize("end", [{"selector": "all()"}, {"namespaceSelector": "global()"}, {"notSelector": "has(x)"}])
def test_sets_that_could_not_be_read_may_hold_any_address(end: dict[str, object]) -> None:
    """Then a selector may or may not mean an outside address; pods are known as before."""
    peers = read_end(end, "w", None, Context(sets_known=False))
    assert covers(peers, OUT) is Truth.MAYBE


def test_global_ends_may_be_host_endpoints() -> None:
    """Labels of host endpoints are in no flow: they may be nodes, and nothing else."""
    for end in ({"selector": "has(x)"}, {"namespaceSelector": "global()"}):
        peers = read_end(end, "w", None, NO_CONTEXT)
        assert UnclearMatch(what="host endpoints by label", nodes=True) in peers
        assert [covers(peers, one) for one in (WEB, OUT)] == [Truth.NO, Truth.NO]
    assert not any(isinstance(peer, UnclearMatch) for peer in read_end({"selector": "has(x)"}, "w", "shop", NO_CONTEXT))


@pytest.mark.parametrize("services", [{"name": "db"}, {"name": "db", "namespace": "edge"}])
def test_endpoints_of_services_are_unclear(services: dict[str, object]) -> None:
    """They are in no policy and in no flow: anybody may be among them."""
    peers = read_end({"services": services}, "w", "shop", NO_CONTEXT)
    assert [covers(peers, one) for one in (WEB, AWAY, OUT)] == [Truth.MAYBE] * 3


@pytest.mark.parametrize(
    ("end", "where"),
    [
        ({"selector": 3}, "w.selector"),
        ({"selector": "app = 'web'"}, "w.selector"),
        ({"selector": "global()"}, "w.selector"),
        ({"selector": "projectcalico.org/name == 'x'"}, "w.selector"),
        ({"selector": "projectcalico.org/orchestrator != 'k8s'"}, "w.selector"),
        ({"notSelector": ["a"]}, "w.notSelector"),
        ({"notSelector": "!"}, "w.notSelector"),
        ({"namespaceSelector": {}}, "w.namespaceSelector"),
        ({"namespaceSelector": "global() || all()"}, "w.namespaceSelector"),
        ({"namespaceSelector": "!global()"}, "w.namespaceSelector"),
        ({"serviceAccounts": {}}, "w.serviceAccounts"),
        ({"serviceAccounts": {"names": []}}, "w.serviceAccounts"),
        ({"serviceAccounts": {"names": [1]}}, "w.serviceAccounts.names"),
        ({"serviceAccounts": {"names": "a"}}, "w.serviceAccounts.names"),
        ({"serviceAccounts": {"selector": "("}}, "w.serviceAccounts.selector"),
        ({"serviceAccounts": {"labels": {}}}, "w.serviceAccounts"),
        ({"serviceAccounts": ["a"]}, "w.serviceAccounts"),
        ({"nets": ["10.0.0.0/33"]}, "w.nets"),
        ({"nets": ["10.0.0.0/255.0.0.0"]}, "w.nets"),
        ({"nets": ["all"]}, "w.nets"),
        ({"nets": [None]}, "w.nets"),
        ({"nets": "10.0.0.0/8"}, "w.nets"),
        ({"nets": []}, "w.nets"),
        ({"notNets": [4]}, "w.notNets"),
        ({"notNets": {}}, "w.notNets"),
    ],
)
def test_what_is_malformed_is_located(end: dict[str, object], where: str) -> None:
    """The error names the field."""
    with pytest.raises(NotEvaluatedError, match=rf"^{where}"):
        read_end(end, "w", "shop", NO_CONTEXT)


@pytest.mark.parametrize(
    ("make", "key", "scope", "name"),
    [
        (pod_condition, "app", Scope.POD, "app"),
        (pod_condition, "projectcalico.org/namespace", Scope.NAMESPACE, NAMESPACE_NAME),
        (pod_condition, "projectcalico.org/serviceaccount", Scope.ACCOUNT, ACCOUNT_NAME),
        (pod_condition, "pcns.env", Scope.NAMESPACE, "env"),
        (pod_condition, "pcns.projectcalico.org/name", Scope.NAMESPACE, NAMESPACE_NAME),
        (pod_condition, "pcns.kubernetes.io/metadata.name", Scope.NAMESPACE, NAMESPACE_NAME),
        (pod_condition, "pcsa.team", Scope.ACCOUNT, "team"),
        (pod_condition, "pcsa.projectcalico.org/name", Scope.ACCOUNT, ACCOUNT_NAME),
        (namespace_condition, "env", Scope.NAMESPACE, "env"),
        (namespace_condition, "projectcalico.org/name", Scope.NAMESPACE, NAMESPACE_NAME),
        (namespace_condition, "kubernetes.io/metadata.name", Scope.NAMESPACE, NAMESPACE_NAME),
        (account_condition, "team", Scope.ACCOUNT, "team"),
        (account_condition, "projectcalico.org/name", Scope.ACCOUNT, ACCOUNT_NAME),
    ],
)
def test_keys(make: Callable[..., Condition], key: str, scope: Scope, name: str) -> None:
    """Labels that Calico adds are about the namespace and the account; all operators are kept."""
    for operator, values in ((Operator.IN, ("x",)), (Operator.NOT_IN, ("x", "y")), (Operator.HAS, ())):
        expected = Requirement(scope=scope, key=name, operator=operator, values=values)
        assert make(key, operator, values) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app == 'web'", PodMatch(namespace="shop", labels=Labels.of({"app": "web"}))),
        ("projectcalico.org/serviceaccount == 'a'", PodMatch(namespace="shop", service_account="a")),
        ("projectcalico.org/namespace == 'shop'", PodMatch(namespace="shop")),
        ("projectcalico.org/namespace == 'edge'", PodMatch(namespace="shop", where=(NOTHING,))),
    ],
)
def test_pairs_stay_pairs(text: str, expected: PodMatch) -> None:
    """What is a pair is one in the match, so that policies of one meaning look alike."""
    assert pods_where([parse_selector(text, "s", pod_condition)], "shop") == expected
    assert pods_where([EVERYTHING], None) == PodMatch()


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ({"selector": "all()"}, set()),
        ({"nets": ["10.0.0.0/8"]}, {4}),
        ({"nets": ["10.0.0.0/8"], "notNets": ["2001:db8::/32"]}, {4, 6}),
    ],
)
def test_families(end: dict[str, object], expected: set[int]) -> None:
    """Prefixes of the rule have a family; those of network sets do not count."""
    assert families(end) == expected


def test_sets_have_no_service_account() -> None:
    """All given parts must hold, so accounts among what is in no namespace are nobody."""
    peers = read_end({"namespaceSelector": "global()", "serviceAccounts": {"names": ["a"]}}, "w", "shop", SETS)
    assert covers(peers, GLOBAL) is not Truth.YES


def test_sets_have_no_orchestrator() -> None:
    """The selectable labels of a set are its own; orchestrator is a label of endpoints."""
    peers = read_end({"selector": "projectcalico.org/orchestrator == 'k8s'"}, "w", "shop", SETS)
    assert covers(peers, IN_SHOP) is not Truth.YES


def test_global_is_written_as_such() -> None:
    """Text that is no selector is refused."""
    with pytest.raises(NotEvaluatedError):
        read_end({"namespaceSelector": "gl obal()"}, "w", "shop", NO_CONTEXT)


LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]))
SELECTORS = st.sampled_from(
    ["all()", "app == 'a'", "app != 'a'", "has(tier)", "!has(app)", "tier in {'a','b'}", "app == 'a' && tier == 'b'"]
)


@given(SELECTORS, SELECTORS, LABELS, st.sampled_from(["shop", "edge"]))
def test_selector_and_not_selector_are_a_conjunction(one: str, other: str, labels: dict[str, str], place: str) -> None:
    """A pod is an end when the selector holds in the policy's namespace and the notSelector does not hold."""
    end = PodEnd(version=version("p", labels, namespace=place), address="10.0.0.1")
    peers = read_end({"selector": one, "notSelector": other}, "w", "shop", NO_CONTEXT)
    condition: list[Condition] = [parse_selector(text, "s", pod_condition) for text in (one, other)]
    wanted, refused = (pods_where([part], None).selects(end.version) is Truth.YES for part in condition)
    assert covers(peers, end) is (Truth.YES if wanted and not refused and place == "shop" else Truth.NO)
