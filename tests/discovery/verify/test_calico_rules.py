"""Tests of discovery.verify.calico_rules: one rule at a time, by Calico's policy reference."""

from __future__ import annotations

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.model.workload import Labels
from discovery.verify.calico_rules import read_rule
from discovery.verify.context import NO_CONTEXT, Context, NetworkSet
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.nets import parse_prefix
from discovery.verify.rules import (
    ALL_ICMP_TYPES,
    Action,
    AllMatch,
    AnyMatch,
    CidrMatch,
    ExceptMatch,
    OneMatch,
    PodMatch,
    ReadRule,
)

TCP, UDP, SCTP, ICMP, ICMPV6 = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6
ALL = PortSet.all()
ANY = (AnyMatch(),)
FOUR, SIX = CidrMatch(prefixes=("0.0.0.0/0",)), CidrMatch(prefixes=("::/0",))
TEN = CidrMatch(prefixes=("10.0.0.0/8",))
APP_X = PodMatch(namespace="shop", labels=Labels.of({"app": "x"}))


def rules(
    rule: dict[str, object],
    *,
    direction: Direction = Direction.INGRESS,
    namespace: str | None = "shop",
    context: Context = NO_CONTEXT,
) -> list[ReadRule]:
    """Return what one rule says; it allows unless it says something else."""
    found, needs = read_rule(
        {"action": "Allow", **rule}, "w", direction=direction, namespace=namespace, context=context
    )
    assert needs == set()
    return found


def contents(rule: dict[str, object]) -> dict[Protocol, object]:
    """Return the ports by number or name, or the ICMP types, of each protocol of an ingress rule."""
    found = rules(rule)
    assert len({one.protocol for one in found}) == len(found)
    return {one.protocol: (one.names or one.ports) if one.protocol.has_ports else one.icmp_types for one in found}


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("Allow", Action.ALLOW),
        ("Deny", Action.DENY),
        ("Pass", Action.PASS),
        ("allow", Action.ALLOW),
        ("deny", Action.DENY),
        ("pass", Action.PASS),
    ],
)
def test_actions(name: str, action: Action) -> None:
    """All of a rule's parts do what it says, in either spelling."""
    assert {one.action for one in rules({"action": name})} == {action}


@pytest.mark.parametrize("name", ["Log", "log"])
def test_log_decides_nothing(name: str) -> None:
    """It writes and goes on."""
    assert rules({"action": name, "protocol": "TCP", "destination": {"ports": [80]}}) == []


EVERY: dict[Protocol, object] = {TCP: ALL, UDP: ALL, SCTP: ALL, ICMP: ALL_ICMP_TYPES, ICMPV6: ALL_ICMP_TYPES}
NOT_8 = tuple(n for n in range(256) if n != 8)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, EVERY),
        ({"protocol": None, "source": None, "destination": None, "http": None}, EVERY),
        ({"metadata": {"annotations": {"a": "b"}}}, EVERY),
        ({"protocol": "TCP"}, {TCP: ALL}),
        ({"protocol": "UDP"}, {UDP: ALL}),
        ({"protocol": "SCTP"}, {SCTP: ALL}),
        ({"protocol": "ICMP"}, {ICMP: ALL_ICMP_TYPES}),
        ({"protocol": "ICMPv6"}, {ICMPV6: ALL_ICMP_TYPES}),
        ({"protocol": "UDPLite"}, {}),
        ({"protocol": 6}, {TCP: ALL}),
        ({"protocol": 17}, {UDP: ALL}),
        ({"protocol": 132}, {SCTP: ALL}),
        ({"protocol": 1}, {ICMP: ALL_ICMP_TYPES}),
        ({"protocol": 58}, {ICMPV6: ALL_ICMP_TYPES}),
        ({"protocol": 47}, {}),
        ({"protocol": 136}, {}),
        ({"protocol": 255}, {}),
        ({"notProtocol": "TCP"}, {p: c for p, c in EVERY.items() if p is not TCP}),
        ({"notProtocol": 17}, {p: c for p, c in EVERY.items() if p is not UDP}),
        ({"notProtocol": "UDPLite"}, EVERY),
        ({"notProtocol": 47}, EVERY),
        ({"protocol": "TCP", "notProtocol": "UDP"}, {TCP: ALL}),
        ({"protocol": "TCP", "notProtocol": "TCP"}, {}),
        ({"protocol": "ICMP", "icmp": {"type": 0}}, {ICMP: (0,)}),
        ({"protocol": "ICMP", "icmp": {"type": 254}}, {ICMP: (254,)}),
        ({"protocol": "ICMPv6", "icmp": {"type": 128}}, {ICMPV6: (128,)}),
        ({"protocol": 1, "icmp": {"type": 8}}, {ICMP: (8,)}),
        ({"protocol": "ICMP", "notICMP": {"type": 8}}, {ICMP: NOT_8}),
        ({"protocol": "ICMP", "icmp": {"type": 8}, "notICMP": {"type": 0}}, {ICMP: (8,)}),
        ({"protocol": "ICMP", "icmp": {"type": 8}, "notICMP": {"type": 8}}, {}),
        ({"protocol": "ICMP", "ipVersion": 4}, {ICMP: ALL_ICMP_TYPES}),
        ({"protocol": "ICMPv6", "ipVersion": 6}, {ICMPV6: ALL_ICMP_TYPES}),
    ],
)
def test_protocols_and_types(rule: dict[str, object], expected: dict[Protocol, object]) -> None:
    """Names and numbers of protocols; none is every one; what no flow of ours is of gives no rule."""
    assert contents(rule) == expected
    assert all(one.unclear is None for one in rules(rule))


def ports(**target: object) -> dict[str, object]:
    """Return a TCP rule with a destination."""
    return {"protocol": "TCP", "destination": target}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ports(ports=[80]), {TCP: PortSet.of(80)}),
        (ports(ports=["80"]), {TCP: PortSet.of(80)}),
        (ports(ports=["80:81", 443, "443"]), {TCP: PortSet(((80, 81), (443, 443)))}),
        (ports(ports=["0:65535"]), {TCP: ALL}),
        (ports(ports=[0]), {TCP: PortSet.of(0)}),
        (ports(ports=[]), {TCP: ALL}),
        (ports(ports=None, notPorts=None), {TCP: ALL}),
        (ports(notPorts=[80]), {TCP: PortSet(((0, 79), (81, 65535)))}),
        (ports(notPorts=["0:1023"]), {TCP: PortSet(((1024, 65535),))}),
        (ports(ports=["80:90"], notPorts=[85]), {TCP: PortSet(((80, 84), (86, 90)))}),
        (ports(ports=[80], notPorts=[80]), {}),
        (ports(ports=["http"]), {TCP: ("http",)}),
        (ports(ports=["web", "http", "web"]), {TCP: ("http", "web")}),
        ({"protocol": 6, "destination": {"ports": [80]}}, {TCP: PortSet.of(80)}),
        ({"protocol": "UDP", "destination": {"ports": ["53", 5353]}}, {UDP: PortSet.of(53, 5353)}),
        ({"protocol": "SCTP", "destination": {"ports": [1]}}, {SCTP: PortSet.of(1)}),
        ({"destination": {"ports": ["dns"]}}, {TCP: ("dns",), UDP: ("dns",), SCTP: ("dns",)}),
    ],
)
def test_ports(rule: dict[str, object], expected: dict[Protocol, object]) -> None:
    """Numbers, ranges and names; names alone may go without a protocol; notPorts are taken away."""
    assert contents(rule) == expected


def test_numbers_and_names_are_rules_of_their_own() -> None:
    """A name has a number only at a server."""
    assert [(one.ports, one.names) for one in rules(ports(ports=["http", 80]))] == [
        (PortSet.of(80), ()),
        (PortSet(), ("http",)),
    ]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"protocol": "TCP", "source": {"ports": [1024]}}, "ports of the client"),
        ({"protocol": "TCP", "source": {"notPorts": ["1:1023"]}}, "ports of the client"),
        ({"protocol": "TCP", "http": {"methods": ["GET"]}}, "HTTP methods or paths"),
        ({"protocol": "TCP", "http": {"paths": [{"prefix": "/a"}]}}, "HTTP methods or paths"),
        ({"protocol": "ICMP", "icmp": {"type": 8, "code": 0}}, "ICMP codes"),
        ({"protocol": "ICMP", "notICMP": {"type": 3, "code": 4}}, "ICMP codes"),
    ],
)
def test_what_no_flow_shows_is_unclear(rule: dict[str, object], what: str) -> None:
    """Such a rule may match, and says why."""
    for action in ("Allow", "Deny", "Pass"):
        if "http" in rule and action != "Allow":
            continue
        assert {one.unclear for one in rules({**rule, "action": action})} == {what}


def test_a_code_narrows_its_type_alone() -> None:
    """With a code the type may match; without it a not-match leaves every type in question."""
    assert contents({"protocol": "ICMP", "icmp": {"type": 8, "code": 0}}) == {ICMP: (8,)}
    assert contents({"protocol": "ICMP", "notICMP": {"type": 3, "code": 4}}) == {ICMP: ALL_ICMP_TYPES}


@pytest.mark.parametrize(
    ("rule", "direction", "peers", "own"),
    [
        ({"source": {"selector": "app == 'x'"}}, Direction.INGRESS, (APP_X,), None),
        ({"destination": {"selector": "app == 'x'"}}, Direction.INGRESS, ANY, OneMatch(parts=(APP_X,))),
        ({"source": {"selector": "app == 'x'"}}, Direction.EGRESS, ANY, OneMatch(parts=(APP_X,))),
        ({"destination": {"selector": "app == 'x'"}}, Direction.EGRESS, (APP_X,), None),
        ({"destination": {"nets": ["10.0.0.0/8"]}}, Direction.INGRESS, ANY, OneMatch(parts=(TEN,))),
        ({"source": {"notNets": ["10.0.0.0/8"]}}, Direction.EGRESS, ANY, OneMatch(parts=(ExceptMatch(part=TEN),))),
        ({"source": {"nets": ["10.0.0.0/8"]}, "destination": {"selector": "app == 'x'"}}, Direction.INGRESS,
         (TEN,), OneMatch(parts=(APP_X,))),
        ({"destination": {"serviceAccounts": {"names": ["a"]}}}, Direction.INGRESS,
         ANY, OneMatch(parts=(PodMatch(namespace="shop", service_account="a"),))),
        ({}, Direction.INGRESS, ANY, None),
        ({"source": {}, "destination": {"selector": ""}}, Direction.EGRESS, ANY, None),
    ],
)  # fmt: skip
def test_the_far_end_is_the_peer_and_the_near_end_the_own(
    rule: dict[str, object], direction: Direction, peers: tuple[object, ...], own: object
) -> None:
    """Source is the peer of ingress and destination of egress; the other one narrows the subject."""
    found = rules(rule, direction=direction)
    assert {(one.peers, one.own) for one in found} == {(peers, own)}


@pytest.mark.parametrize("direction", list(Direction))
def test_ports_are_the_servers_in_both_directions(direction: Direction) -> None:
    """Destination ports are of the pod itself on ingress and of the peer on egress."""
    (one,) = rules(ports(ports=[80]), direction=direction)
    assert (one.ports, one.unclear) == (PortSet.of(80), None)


@pytest.mark.parametrize(
    ("rule", "peers"),
    [
        ({"ipVersion": 4}, (AllMatch(parts=(OneMatch(parts=ANY), FOUR)),)),
        ({"ipVersion": 6}, (AllMatch(parts=(OneMatch(parts=ANY), SIX)),)),
        ({"ipVersion": 4, "source": {"selector": "app == 'x'"}}, (AllMatch(parts=(OneMatch(parts=(APP_X,)), FOUR)),)),
        ({"ipVersion": 4, "source": {"nets": ["10.0.0.0/8"]}}, (TEN,)),
        ({"ipVersion": None}, ANY),
    ],
)
def test_ip_versions(rule: dict[str, object], peers: tuple[object, ...]) -> None:
    """A version that prefixes do not imply anyway is a further condition on the peer."""
    assert {one.peers for one in rules({"protocol": "TCP", **rule})} == {peers}


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ({"action": None}, "w.action"),
        ({"action": "Accept"}, "w.action"),
        ({"action": ["Allow"]}, "w.action"),
        ({"action": True}, "w.action"),
        ({"extra": 1}, "w"),
        ({"protocol": "HTTP"}, "w.protocol"),
        ({"protocol": 0}, "w.protocol"),
        ({"protocol": 256}, "w.protocol"),
        ({"protocol": True}, "w.protocol"),
        ({"protocol": ["TCP"]}, "w.protocol"),
        ({"notProtocol": "x"}, "w.notProtocol"),
        ({"ipVersion": 5}, "w.ipVersion"),
        ({"ipVersion": "4"}, "w.ipVersion"),
        ({"ipVersion": True}, "w.ipVersion"),
        ({"protocol": "ICMP", "ipVersion": 6}, "w.ipVersion"),
        ({"protocol": "ICMPv6", "ipVersion": 4}, "w.ipVersion"),
        ({"ipVersion": 6, "source": {"nets": ["10.0.0.0/8"]}}, "w.ipVersion"),
        ({"protocol": "ICMPv6", "source": {"nets": ["10.0.0.0/8"]}}, "w"),
        ({"source": {"nets": ["10.0.0.0/8", "2001:db8::/32"]}}, "w"),
        ({"source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["2001:db8::/32"]}}, "w"),
        ({"protocol": "ICMP", "icmp": {"type": 255}}, "w.icmp.type"),
        ({"protocol": "ICMP", "icmp": {"type": -1}}, "w.icmp.type"),
        ({"protocol": "ICMP", "icmp": {"type": "8"}}, "w.icmp.type"),
        ({"protocol": "ICMP", "icmp": {"code": 0}}, "w.icmp.type"),
        ({"protocol": "ICMP", "icmp": {}}, "w.icmp"),
        ({"protocol": "ICMP", "icmp": [8]}, "w.icmp"),
        ({"protocol": "ICMP", "icmp": {"type": 8, "name": "x"}}, "w.icmp"),
        ({"protocol": "ICMP", "notICMP": {"code": 1}}, "w.notICMP.type"),
        ({"protocol": "TCP", "icmp": {"type": 8}}, "w.icmp"),
        ({"protocol": "ICMP", "destination": {"ports": [1]}}, "w.destination.ports"),
        ({"destination": {"ports": [1]}}, "w.destination.ports[0]"),
        ({"destination": {"ports": ["1:2"]}}, "w.destination.ports[0]"),
        ({"notProtocol": "TCP", "destination": {"ports": [1]}}, "w.destination.ports[0]"),
        (ports(ports=["9:8"]), "w.destination.ports[0]"),
        (ports(ports=[1, True]), "w.destination.ports[1]"),
        (ports(ports=[65536]), "w.destination.ports[0]"),
        (ports(ports=["1:65536"]), "w.destination.ports[0]"),
        (ports(ports=[1.5]), "w.destination.ports[0]"),
        (ports(ports=["-1"]), "w.destination.ports[0]"),
        (ports(ports=["1-2"]), "w.destination.ports[0]"),
        (ports(ports=["a b"]), "w.destination.ports[0]"),
        (ports(ports=[""]), "w.destination.ports[0]"),
        (ports(ports=[None]), "w.destination.ports[0]"),
        (ports(ports={"80": 80}), "w.destination.ports"),
        (ports(notPorts=["x:y"]), "w.destination.notPorts[0]"),
        (ports(notPorts=["http"]), "w.destination.notPorts"),
        (ports(domains=["example.com"]), "w.destination"),
        ({"source": {"domains": ["example.com"]}}, "w.source"),
        ({"source": "x"}, "w.source"),
        ({"destination": ["x"]}, "w.destination"),
        ({"source": {"selector": "a ="}}, "w.source.selector"),
        ({"destination": {"nets": ["x"]}}, "w.destination.nets"),
    ],
)
def test_what_is_malformed_is_located(rule: dict[str, object], where: str) -> None:
    """The error names the field, or the rule when its parts do not fit together."""
    with pytest.raises(NotEvaluatedError) as caught:
        rules(rule)
    assert str(caught.value).startswith(f"{where}:") or str(caught.value).startswith(f"{where}.")


def test_an_ip_version_that_is_a_list_is_refused() -> None:
    """Malformed content is a located finding, never another exception."""
    with pytest.raises(NotEvaluatedError, match=r"^w\.ipVersion"):
        rules({"ipVersion": [4]})


BOTH_FAMILIES = Context(
    sets=(
        NetworkSet(
            name="n",
            namespace="shop",
            labels=Labels.of({"role": "saas"}),
            networks=(parse_prefix("192.0.2.0/24"), parse_prefix("2001:db8::/32")),
        ),
    )
)


@pytest.mark.parametrize(
    "rule",
    [
        {"source": {"selector": "role == 'saas'"}},
        {"protocol": "ICMP", "source": {"selector": "role == 'saas'"}},
        {"ipVersion": 4, "source": {"selector": "role == 'saas'"}},
        {"source": {"nets": ["10.0.0.0/8"]}, "destination": {"selector": "role == 'saas'"}},
    ],
)
def test_network_sets_may_hold_both_families(rule: dict[str, object]) -> None:
    """Only nets and notNets of one rule may not mix families; a selector may pick a set that has both."""
    assert rules(rule, context=BOTH_FAMILIES)


@pytest.mark.parametrize("value", [["x y"], {"a": 1}, [99999], 0])
def test_malformed_ports_of_the_client_are_located(value: object) -> None:
    """They are in no flow, but malformed content is still a finding."""
    with pytest.raises(NotEvaluatedError, match=r"^w\.source\.ports"):
        rules({"protocol": "TCP", "source": {"ports": value}})


@pytest.mark.parametrize(
    "rule",
    [
        {"icmp": {"type": 8}},
        {"source": {"notNets": ["0.0.0.0/0"]}},
        {"source": {"nets": ["10.0.0.0/8"], "notNets": ["2001:db8::/32"]}},
    ],
)
def test_what_the_reference_refuses_is_not_evaluated(rule: dict[str, object]) -> None:
    """ICMP types need their protocol, notNets may not be everything, and families do not mix."""
    with pytest.raises(NotEvaluatedError):
        rules(rule)
