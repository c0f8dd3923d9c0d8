"""Tests of discovery.verify.cilium_ports: ports and ICMP types, by Cilium's policy reference."""

from __future__ import annotations

import re

import pytest

from discovery.model.edge import Direction, Protocol
from discovery.model.ports import PortSet
from discovery.verify.cilium_ports import Ports, read_icmps, read_ports
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.layer7 import DnsMatch, HttpMatch

TCP, UDP, SCTP, ICMP, ICMPV6 = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6
ALL = PortSet.all()
ONE = [{"port": "80", "protocol": "TCP"}]


def item(*ports: object, **more: object) -> Ports:
    """Read one item of toPorts."""
    (found,) = read_ports([{"ports": list(ports), **more}], "w", denies=False, direction=Direction.EGRESS)
    return found


@pytest.mark.parametrize(
    ("port", "numbers"),
    [
        ({"port": "80", "protocol": "TCP"}, {TCP: PortSet.of(80)}),
        ({"port": "53", "protocol": "UDP"}, {UDP: PortSet.of(53)}),
        ({"port": "1", "protocol": "SCTP"}, {SCTP: PortSet.of(1)}),
        ({"port": "65535", "protocol": "TCP"}, {TCP: PortSet.of(65535)}),
        ({"port": "53"}, dict.fromkeys((TCP, UDP, SCTP), PortSet.of(53))),
        ({"port": "53", "protocol": None}, dict.fromkeys((TCP, UDP, SCTP), PortSet.of(53))),
        ({"port": "53", "protocol": "ANY"}, dict.fromkeys((TCP, UDP, SCTP), PortSet.of(53))),
        ({"port": "0", "protocol": "TCP"}, {TCP: ALL}),
        ({"port": "0", "protocol": "UDP", "endPort": None}, {UDP: ALL}),
        ({"port": "80", "endPort": 90, "protocol": "TCP"}, {TCP: PortSet(((80, 90),))}),
        ({"port": "80", "endPort": 80, "protocol": "TCP"}, {TCP: PortSet.of(80)}),
        ({"port": "1", "endPort": 65535}, dict.fromkeys((TCP, UDP, SCTP), PortSet(((1, 65535),)))),
        ({"port": "0", "protocol": "GRE"}, {}),
    ],
)
def test_numbers(port: dict[str, object], numbers: dict[Protocol, PortSet]) -> None:
    """Port 0 is every port; ANY, the default, is TCP, UDP and SCTP; ranges include both ends."""
    found = item(port)
    assert (found.numbers, found.names, found.unclear) == (numbers, {}, None)
    assert found.needs == ({"endPort"} if port.get("endPort") else set())


@pytest.mark.parametrize("protocol", ["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"])
def test_extended_protocols_are_none_of_ours(protocol: str) -> None:
    """No flow is of them: they give no port and no finding."""
    found = item({"port": "0", "protocol": protocol}, *ONE)
    assert found.numbers == {TCP: PortSet.of(80)}


@pytest.mark.parametrize("port", [{"protocol": "GRE"}, {"protocol": "GRE", "port": ""}, {"protocol": "VRRP"}])
def test_extended_protocols_may_go_without_a_port(port: dict[str, object]) -> None:
    """Their port is empty or 0."""
    assert item(port).numbers == {}


@pytest.mark.parametrize(
    ("port", "names"),
    [
        ({"port": "http", "protocol": "TCP"}, {TCP: ("http",)}),
        ({"port": "HTTP-Alt", "protocol": "TCP"}, {TCP: ("http-alt",)}),
        ({"port": "dns"}, dict.fromkeys((TCP, UDP, SCTP), ("dns",))),
        ({"port": "8080-a", "protocol": "TCP"}, {TCP: ("8080-a",)}),
    ],
)
def test_names(port: dict[str, object], names: dict[Protocol, tuple[str, ...]]) -> None:
    """Names are folded to lower case and kept apart from numbers."""
    found = item(port)
    assert (found.numbers, found.names) == ({}, names)


def test_ports_of_one_item_are_a_union() -> None:
    """By protocol, numbers and names on their own."""
    found = item(
        {"port": "80", "protocol": "TCP"},
        {"port": "81", "endPort": 90, "protocol": "TCP"},
        {"port": "53", "protocol": "UDP"},
        {"port": "web", "protocol": "TCP"},
        {"port": "http", "protocol": "TCP"},
        {"port": "web", "protocol": "TCP"},
    )
    assert found.numbers == {TCP: PortSet(((80, 90),)), UDP: PortSet.of(53)}
    assert found.names == {TCP: ("http", "web")}


def test_items_stay_apart() -> None:
    """Each has restrictions of its own."""
    plain, named = read_ports(
        [{"ports": ONE}, {"ports": ONE, "serverNames": ["x"]}], "w", denies=False, direction=Direction.EGRESS
    )
    assert (plain.unclear, named.unclear) == (None, "server names of TLS")


def test_forty_ports_are_the_most() -> None:
    """One more is refused."""
    ports = [{"port": str(number), "protocol": "TCP"} for number in range(1, 42)]
    assert item(*ports[:40]).numbers == {TCP: PortSet(((1, 40),))}
    with pytest.raises(NotEvaluatedError, match=r"^w\[0\]\.ports: 41 ports"):
        item(*ports)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"rules": {"kafka": [{"role": "produce"}]}}, "kafka rules of layer 7"),
        ({"serverNames": ["example.com"]}, "server names of TLS"),
        ({"terminatingTLS": {"secret": {"name": "x"}}}, "TLS that ends at the proxy"),
        ({"originatingTLS": {"secret": {"name": "x"}}}, "TLS that starts at the proxy"),
        ({"listener": {"envoyConfig": {"name": "x"}, "name": "y"}}, "a listener of a proxy"),
    ],
)
def test_what_is_beyond_ports_is_unclear(more: dict[str, object], what: str) -> None:
    """Flows at this layer do not show it, so such a port may be allowed; it says why."""
    found = item(*ONE, **more)
    assert (found.unclear, found.numbers) == (what, {TCP: PortSet.of(80)})


@pytest.mark.parametrize(
    "more",
    [
        {"rules": None},
        {"rules": {}},
        {"rules": {"http": None}},
        {"rules": {"http": [{}]}},
        {"rules": {"dns": [{"matchPattern": "*"}]}},
        {"serverNames": None},
        {"listener": None},
    ],
)
def test_visibility_rules_allow_everything(more: dict[str, object]) -> None:
    """An empty HTTP rule and a DNS pattern of every name only show what passes."""
    assert item(*ONE, **more).unclear is None


@pytest.mark.parametrize("rules", [{"smtp": [{}]}, {"http": [{"matchPattern": "*"}]}, {"dns": [{}]}])
def test_unknown_rules_of_layer_7_are_not_read_as_nothing(rules: dict[str, object]) -> None:
    """What is not of the schema is refused or unclear, never an allow of everything."""
    try:
        found = item(*ONE, rules=rules)
    except NotEvaluatedError:
        return
    assert found.unclear is not None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "w"),
        ("x", "w"),
        ({}, "w"),
        ([{}], "w[0].ports"),
        ([None], "w[0].ports"),
        (["80"], "w[0]"),
        ([{"ports": []}], "w[0].ports"),
        ([{"ports": "80"}], "w[0].ports"),
        ([{"ports": [80]}], "w[0].ports[0]"),
        ([{"ports": [{}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": 80, "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "70000", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "123456", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "-1", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "80-90", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "a_b", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "sixteen-letters-x", "protocol": "TCP"}]}], "w[0].ports[0].port"),
        ([{"ports": [{"port": "0", "protocol": "ANY"}]}], "w[0].ports[0]"),
        ([{"ports": [{"port": "0"}]}], "w[0].ports[0]"),
        ([{"ports": [{"port": "0", "endPort": 9, "protocol": "TCP"}]}], "w[0].ports[0].endPort"),
        ([{"ports": [{"port": "10", "endPort": 9, "protocol": "TCP"}]}], "w[0].ports[0].endPort"),
        ([{"ports": [{"port": "10", "endPort": "11", "protocol": "TCP"}]}], "w[0].ports[0].endPort"),
        ([{"ports": [{"port": "10", "endPort": 65536, "protocol": "TCP"}]}], "w[0].ports[0].endPort"),
        ([{"ports": [{"port": "http", "endPort": 90, "protocol": "TCP"}]}], "w[0].ports[0].endPort"),
        ([{"ports": [{"port": "10", "protocol": "GRE"}]}], "w[0].ports[0].protocol"),
        ([{"ports": [{"port": "10", "protocol": "ICMP"}]}], "w[0].ports[0].protocol"),
        ([{"ports": [{"port": "10", "protocol": ["TCP"]}]}], "w[0].ports[0].protocol"),
        ([{"ports": [{"port": "10", "name": "x"}]}], "w[0].ports[0]"),
        ([{"ports": ONE, "extra": 1}], "w[0]"),
        ([{"ports": ONE, "rules": []}], "w[0].rules"),
        ([{"ports": ONE, "rules": {"http": {}}}], "w[0].rules.http"),
        ([{"ports": ONE, "rules": {"l7proto": "x", "l7": [{}]}}], "w[0].rules"),
        ([{"ports": ONE}, {"ports": [1]}], "w[1].ports[0]"),
    ],
)
def test_ports_that_cannot_be_read_are_located(value: object, where: str) -> None:
    """The error names the field."""
    with pytest.raises(NotEvaluatedError) as caught:
        read_ports(value, "w", denies=False, direction=Direction.EGRESS)
    assert str(caught.value).startswith(f"{where}: ")


@pytest.mark.parametrize("field", ["rules", "serverNames", "terminatingTLS", "originatingTLS", "listener"])
def test_deny_rules_have_ports_alone(field: str) -> None:
    """Nothing else is of their schema."""
    assert read_ports([{"ports": ONE}], "w", denies=True, direction=Direction.EGRESS) == [
        Ports(numbers={TCP: PortSet.of(80)})
    ]
    with pytest.raises(NotEvaluatedError, match=r"^w\[0\]: field"):
        read_ports([{"ports": ONE, field: {}}], "w", denies=True, direction=Direction.EGRESS)


def icmp(*entries: dict[str, object]) -> dict[Protocol, tuple[int, ...]]:
    """Read one item of icmps."""
    return read_icmps([{"fields": list(entries)}], "w")


@pytest.mark.parametrize(
    ("entry", "types"),
    [
        ({"type": 8}, {ICMP: (8,)}),
        ({"family": None, "type": 8}, {ICMP: (8,)}),
        ({"family": "IPv4", "type": 0}, {ICMP: (0,)}),
        ({"family": "IPv4", "type": 255}, {ICMP: (255,)}),
        ({"family": "IPv6", "type": 128}, {ICMPV6: (128,)}),
        ({"family": "IPv4", "type": "EchoRequest"}, {ICMP: (8,)}),
        ({"family": "IPv4", "type": "EchoReply"}, {ICMP: (0,)}),
        ({"family": "IPv4", "type": "DestinationUnreachable"}, {ICMP: (3,)}),
        ({"family": "IPv4", "type": "Redirect"}, {ICMP: (5,)}),
        ({"family": "IPv4", "type": "TimeExceeded"}, {ICMP: (11,)}),
        ({"family": "IPv4", "type": "TimestampReply"}, {ICMP: (14,)}),
        ({"family": "IPv4", "type": "ExtendedEchoReply"}, {ICMP: (43,)}),
        ({"family": "IPv6", "type": "EchoRequest"}, {ICMPV6: (128,)}),
        ({"family": "IPv6", "type": "EchoReply"}, {ICMPV6: (129,)}),
        ({"family": "IPv6", "type": "DestinationUnreachable"}, {ICMPV6: (1,)}),
        ({"family": "IPv6", "type": "PacketTooBig"}, {ICMPV6: (2,)}),
        ({"family": "IPv6", "type": "NeighborSolicitation"}, {ICMPV6: (135,)}),
        ({"family": "IPv6", "type": "RedirectMessage"}, {ICMPV6: (137,)}),
        ({"family": "IPv6", "type": "MobilePrefixAdvertisement"}, {ICMPV6: (147,)}),
        ({"family": "IPv6", "type": "ExtendedEchoRequest"}, {ICMPV6: (160,)}),
    ],
)
def test_icmp_types(entry: dict[str, object], types: dict[Protocol, tuple[int, ...]]) -> None:
    """By number or by name of the family, IPv4 unless the family is given."""
    assert icmp(entry) == types


def test_icmp_types_are_a_union() -> None:
    """Over fields and items, each once."""
    found = read_icmps(
        [
            {"fields": [{"type": 8}, {"type": 0}, {"family": "IPv6", "type": 128}]},
            {"fields": [{"type": "EchoRequest"}]},
        ],
        "w",
    )
    assert found == {ICMP: (0, 8), ICMPV6: (128,)}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "w"),
        ("x", "w"),
        ([{}], "w"),
        ([{"fields": []}], "w"),
        (["x"], "w[0]"),
        ([{"types": []}], "w[0]"),
        ([{"fields": {}}], "w[0].fields"),
        ([{"fields": [8]}], "w[0].fields[0]"),
        ([{"fields": [{}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": 256}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": -1}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": True}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": "Ping"}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": "PacketTooBig"}]}], "w[0].fields[0].type"),
        ([{"fields": [{"family": "IPv6", "type": "Timestamp"}]}], "w[0].fields[0].type"),
        ([{"fields": [{"type": ["EchoRequest"]}]}], "w[0].fields[0].type"),
        ([{"fields": [{"family": "IPv5", "type": 8}]}], "w[0].fields[0].family"),
        ([{"fields": [{"family": ["IPv4"], "type": 8}]}], "w[0].fields[0].family"),
        ([{"fields": [{"type": 8, "code": 0}]}], "w[0].fields[0]"),
    ],
)
def test_icmp_types_that_cannot_be_read_are_located(value: object, where: str) -> None:
    """The error names the field; names of the other family are no names."""
    with pytest.raises(NotEvaluatedError) as caught:
        read_icmps(value, "w")
    assert str(caught.value).startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("rules", "port", "found"),
    [
        ({"http": [{"method": "GET"}]}, {}, (HttpMatch(method="GET"),)),
        ({"http": [{"path": "/a", "host": "b"}, {"headers": ["X: y"]}]}, {},
         (HttpMatch(path="/a", host="b"), HttpMatch(headers=True))),
        ({"http": [{"path": "/a"}, {}]}, {}, ()),
        ({"http": [{"headerMatches": [{"name": "X", "mismatch": "LOG"}]}]}, {}, ()),
        ({"http": [{"headerMatches": [{"name": "X", "value": "y"}]}]}, {}, (HttpMatch(headers=True),)),
        ({"dns": [{"matchName": "Example.com."}]}, {"protocol": "ANY"}, (DnsMatch(pattern="example.com"),)),
        ({"dns": [{"matchPattern": "*.example.com"}]}, {}, (DnsMatch(pattern="*.example.com"),)),
        ({"dns": [{"matchName": "a"}, {"matchPattern": "*"}]}, {}, ()),
        ({"http": [], "dns": None}, {}, ()),
        ({"kafka": [{}]}, {}, ()),
    ],
)  # fmt: skip
def test_requests(rules: dict[str, object], port: dict[str, object], found: tuple[object, ...]) -> None:
    """What is let through; a rule that lets everything through makes the others vain."""
    given = {"ports": [{"port": "80", "protocol": "TCP", **port}], "rules": rules}
    (one,) = read_ports([given], "w", denies=False, direction=Direction.EGRESS)
    assert (one.layer7, one.unclear) == (found, None)
    assert one.proxied


@pytest.mark.parametrize(
    ("rules", "port", "direction", "where"),
    [
        ({"http": [{"path": "("}]}, {}, "ingress", "w[0].rules.http[0].path"),
        ({"http": [{"method": "(?=a)"}]}, {}, "ingress", "w[0].rules.http[0].method"),
        ({"http": [{"path": 1}]}, {}, "ingress", "w[0].rules.http[0].path"),
        ({"http": [{"verb": "GET"}]}, {}, "ingress", "w[0].rules.http[0]"),
        ({"http": [{}]}, {"protocol": "ANY"}, "ingress", "w[0].ports[0]"),
        ({"http": [{}]}, {"protocol": None}, "ingress", "w[0].ports[0]"),
        ({"http": [{}]}, {"port": "0"}, "ingress", "w[0].ports[0]"),
        ({"dns": [{"matchPattern": "*"}]}, {}, "ingress", "w[0].ports[0]"),
        ({"dns": [{"matchPattern": "*"}]}, {"endPort": 90}, "egress", "w[0].ports[0]"),
        ({"dns": [{}]}, {}, "egress", "w[0].rules.dns[0]"),
        ({"dns": [{"matchName": "a", "matchPattern": "b"}]}, {}, "egress", "w[0].rules.dns[0]"),
        ({"dns": [{"matchName": "*"}]}, {}, "egress", "w[0].rules.dns[0].matchName"),
        ({"http": [{}], "dns": [{"matchPattern": "*"}]}, {}, "egress", "w[0].rules"),
    ],
)
def test_what_cilium_refuses_of_layer_7(
    rules: dict[str, object], port: dict[str, object], direction: str, where: str
) -> None:
    """Broken expressions, and kinds of rules where they cannot be."""
    given = {"ports": [{"port": "80", "protocol": "TCP", **port}], "rules": rules}
    with pytest.raises(NotEvaluatedError, match=f"^{re.escape(where)}: "):
        read_ports([given], "w", denies=False, direction=Direction(direction))
