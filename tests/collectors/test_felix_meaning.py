"""What Felix' fields mean: names, labels, policies, counters, times."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.felix_meaning import (
    End,
    Hit,
    Traffic,
    establishment,
    hit_from_text,
    integer,
    interpret,
    microseconds,
    pending_denials,
    pending_from_texts,
    place,
    pod_labels,
    protocol_name,
    workload_name,
)
from discovery.model.workload import EndpointKind


@pytest.mark.parametrize(
    ("prefix", "labels", "expected"),
    [
        ("frontend-6c9f7d8b54-*", {"pod-template-hash": "6c9f7d8b54"}, ("frontend", "")),
        ("frontend-6c9f7d8b54-*", {}, ("frontend", "Deployment")),
        ("web-abcdef-*", {"rollouts-pod-template-hash": "abcdef"}, ("web", "")),
        ("web-ghi-*", {"pod-template-hash": "ghi"}, ("web", "")),
        ("log-agent-*", {}, ("log-agent", "DaemonSet")),
        ("app-bcdfgh-*", {"controller-revision-hash": "767bb965"}, ("app-bcdfgh", "")),
        (
            "kube-proxy-*",
            {"controller-revision-hash": "1", "pod-template-generation": "1"},
            ("kube-proxy", "DaemonSet"),
        ),
        ("postgres-*", {"statefulset.kubernetes.io/pod-name": "postgres-0"}, ("postgres", "StatefulSet")),
        ("postgres-*", {"controller-revision-hash": "postgres-5f7d8c9b6d"}, ("postgres", "")),
        ("nightly-report-29893080-*", {}, ("nightly-report", "CronJob")),
        ("chosen*", {}, ("chosen", "")),
        ("-*", {}, ("", "")),
        ("*", {}, ("", "")),
    ],
)
def test_workload_name_of_a_prefix(prefix: str, labels: dict[str, str], expected: tuple[str, str]) -> None:
    """Hashes and run numbers go, told by labels first and by shape second; names that only look so stay."""
    assert workload_name(prefix, labels) == expected


def test_labels_that_calico_adds_are_not_the_pods() -> None:
    """Inherited and own labels are told apart; the service account is one of Calico's own."""
    found = pod_labels(
        [
            "app=a",
            "empty=",
            "pcns.team=x",
            "pcsa.role=y",
            "projectcalico.org/namespace=n",
            "projectcalico.org/serviceaccount=robot",
        ]
    )
    assert found.labels == {"app": "a", "empty": ""}
    assert found.namespace_labels == {"team": "x"}
    assert found.service_account == "robot"


def test_interpreted_workload() -> None:
    """A pod is a workload of its namespace, with the service account and without a pod name of our making."""
    labels = ("app=a", "projectcalico.org/serviceaccount=robot")
    info = interpret(End("wep", None, "a-6c9f7d8b54-*", "n", labels, cluster="east"))
    assert (info.kind, info.cluster, info.namespace, info.workload_name) == (EndpointKind.WORKLOAD, "east", "n", "a")
    assert (info.labels, info.service_account, info.pod) == ((("app", "a"),), "robot", None)


def test_workload_without_any_name() -> None:
    """A pod whose name is aggregated away altogether is named by its labels."""
    info = interpret(End("wep", None, None, "n", ("app=a",)))
    assert (info.workload_name, info.name_source) == ("a", "labels")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0|default|shop/default.web|allow|0", Hit("CalicoNetworkPolicy/shop/default.web", "allow")),
        ("0|default|default.all|deny|-1", Hit("GlobalNetworkPolicy//default.all", "deny")),
        ("0|default|shop/knp.default.web|allow|0", Hit("NetworkPolicy/shop/web", "allow")),
        ("0|default|np:shop/web|allow|0", Hit("CalicoNetworkPolicy/shop/web", "allow")),
        ("0|default|knp:shop/web|allow|0", Hit("NetworkPolicy/shop/web", "allow")),
        ("0|security|gnp:all|pass|1", Hit("GlobalNetworkPolicy//all", "pass")),
        ("2|kube-baseline|kcnp:name.with.dots|pass|4", Hit("ClusterNetworkPolicy//name.with.dots", "pass")),
        ("0|default|shop/default.old|deny", Hit("CalicoNetworkPolicy/shop/default.old", "deny")),
        ("0|default|shop/default.staged:web|allow|0", None),
        ("0|default|shop/staged:knp.default.web|allow|0", None),
        ("0|default|snp:shop/web|allow|0", None),
        ("0|default|sgnp:web|allow|0", None),
        ("0|default|sknp:shop/web|allow|0", None),
        ("0|default|np:shop/default.staged:web|deny|-1", None),
        ("0|__PROFILE__|__PROFILE__.kns.shop|allow|0", None),
        ("0|__PROFILE__|pro:kns.shop|allow|0", None),
        ("0|*|*|deny|*", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_policy_strings(text: str, expected: Hit | None) -> None:
    """Both forms of the name are read; staged policies, profiles, hidden and unknown ones never count."""
    assert hit_from_text(text) == expected


@given(st.text(alphabet="|/:.*-np0stagedk", max_size=40))
def test_any_policy_string_is_read(text: str) -> None:
    """Whatever the trace, reading it raises nothing and yields no staged policy."""
    found = hit_from_text(text)
    assert found is None or "staged:" not in found.policy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0|default|shop/default.staged:web|deny|-1", Hit("StagedNetworkPolicy/shop/default.web", "deny")),
        ("0|default|shop/staged:knp.default.web|deny|0", Hit("StagedKubernetesNetworkPolicy/shop/web", "deny")),
        ("0|default|shop/knp.default.staged:web|deny|0", Hit("StagedKubernetesNetworkPolicy/shop/web", "deny")),
        ("0|default|default.staged:all|Deny|-1", Hit("StagedGlobalNetworkPolicy//default.all", "deny")),
        ("0|default|snp:shop/web|allow|0", Hit("StagedNetworkPolicy/shop/web", "allow")),
        ("0|default|snp:shop/staged:web|allow|0", Hit("StagedNetworkPolicy/shop/web", "allow")),
        ("0|default|sgnp:web|pass", Hit("StagedGlobalNetworkPolicy//web", "pass")),
        ("0|default|sknp:shop/web|allow|0", Hit("StagedKubernetesNetworkPolicy/shop/web", "allow")),
        ("0|default|np:shop/staged:web|deny|-1", Hit("StagedNetworkPolicy/shop/web", "deny")),
        ("0|default|knp:shop/web|deny|-1", Hit("NetworkPolicy/shop/web", "deny")),
        ("1|__PROFILE__|__PROFILE__.kns.shop|allow|0", Hit("Profile//__PROFILE__.kns.shop", "allow")),
        ("1|__PROFILE__|pro:kns.shop|allow|0", Hit("Profile//kns.shop", "allow")),
        ("0|*|*|deny|*", Hit("", "deny")),
        ("nonsense", None),
        ("", None),
    ],
)
def test_pending_policy_strings(text: str, expected: Hit | None) -> None:
    """Every kind counts in a pending trace; a hidden policy has no name, an unknown form is left out."""
    assert pending_from_texts([text]) == (() if expected is None else (expected,))


def test_pending_policies_are_read_in_their_order() -> None:
    """By their index, as a number; what has none comes first, and equal ones keep their order."""
    texts = ["10|t|c|deny|0", "9|t|b|pass|0", "x|t|a|pass|0", "9|t|d|pass|0"]
    assert [hit.policy for hit in pending_from_texts(texts)] == [f"GlobalNetworkPolicy//{name}" for name in "abdc"]


@given(st.lists(st.text(alphabet="|/:.*-np0stagedk", max_size=40), max_size=3))
def test_any_pending_policy_strings_are_read(texts: list[str]) -> None:
    """Whatever the trace, reading it raises nothing."""
    assert len(pending_from_texts(texts)) <= len(texts)


ALLOW, DENY, PASS = Hit("a", "allow"), Hit("d", "deny"), Hit("p", "pass")


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ((), []),
        ((PASS,), []),
        ((ALLOW,), []),
        ((DENY,), ["d"]),
        ((DENY, ALLOW), []),
        ((ALLOW, DENY), ["d"]),
        ((DENY, PASS), ["d"]),
        ((DENY, Hit("e", "deny"), DENY), ["d", "e"]),
        ((DENY, Hit("l", "log")), ["d"]),
    ],
)
def test_pending_denials(hits: tuple[Hit, ...], expected: list[str]) -> None:
    """The last decision counts; all that deny are named once, if it is a denial."""
    assert pending_denials(hits) == expected


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, 0),
        (0, 0),
        (7, 7),
        ("7", 7),
        (-1, 0),
        ("-1", 0),
        ("", 0),
        ("\u0663", 0),
        ("9" * 9, 999_999_999),
        ("9" * 10, 0),
    ],
)
def test_places_in_a_trace(index: int | str | None, expected: int) -> None:
    """A number in either form; what is none, or absurd, is the first place and no error."""
    assert place(index) == expected


BIG = Traffic(packets_in=10, packets_out=12, bytes_in=5000, bytes_out=700)
RESETS = Traffic(packets_in=10, packets_out=10, bytes_in=780, bytes_out=600)


@pytest.mark.parametrize(
    ("verdict", "protocol", "traffic", "reporter", "expected"),
    [
        ("accepted", "TCP", BIG, "src", "established"),
        ("accepted", "TCP", BIG, "dst", None),
        ("accepted", "TCP", RESETS, "src", None),
        ("accepted", "TCP", Traffic(packets_in=0, packets_out=3, bytes_in=0, bytes_out=180), "src", None),
        ("accepted", "UDP", RESETS, "dst", "established"),
        ("accepted", "UDP", Traffic(packets_in=0, packets_out=1, bytes_in=0, bytes_out=60), "src", None),
        ("accepted", "SCTP", BIG, "src", None),
        ("accepted", "ICMP", BIG, "src", None),
        ("denied", "TCP", BIG, "src", None),
        ("accepted", "TCP", BIG, "fwd", None),
        ("accepted", "TCP", Traffic(), "src", None),
    ],
)
def test_establishment_is_proved_or_not_claimed(
    verdict: str, protocol: str, traffic: Traffic, reporter: str, expected: str | None
) -> None:
    """Answers larger than resets prove a connection; neither silence nor resets are taken for more than nothing."""
    assert establishment(verdict, protocol, traffic, reporter) == expected


def test_counters_are_of_the_reporting_end() -> None:
    """What comes in is a reply at the source and a request at the destination."""
    assert BIG.oriented("src") == (12, 10, 700, 5000)
    assert BIG.oriented("dst") == (10, 12, 5000, 700)
    assert BIG.oriented("fwd") == BIG.oriented("") == (None, None, None, None)


def test_times() -> None:
    """Seconds, their text and RFC 3339 are microseconds; None stays."""
    second = 1_793_581_200_000_000
    assert [microseconds(value, "t") for value in (1793581200, "1793581200", "2026-11-02T01:00:00Z")] == [second] * 3
    assert microseconds("2026-11-02T01:00:00.123456789Z", "t") == second + 123_456
    assert microseconds(None, "t") is None


@given(st.integers() | st.text(max_size=30))
def test_numbers_are_in_range_or_refused(value: int | str) -> None:
    """Whatever the value, a number within its range comes out, or a ValueError with the field's name."""
    for convert in (integer, microseconds):
        with contextlib.suppress(ValueError):
            found = convert(value, "field")
            assert found is not None
            assert 0 <= found < 1 << 63


def test_protocol_names() -> None:
    """Numbers and names are one; unknown ones keep the source's word, in lower case and bounded."""
    assert [protocol_name(raw) for raw in (6, "TCP", "ipv6-icmp", "ESP", None, "")] == [
        "TCP",
        "TCP",
        "ICMPv6",
        "esp",
        None,
        None,
    ]
    assert protocol_name("x" * 10_000) == "x" * 512
