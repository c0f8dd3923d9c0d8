"""The common way from intents to files: paths, diagnostics, determinism, and hostile input in all dialects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.artifact import Rendered
from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Protocol
from discovery.model.errors import RenderError
from discovery.model.intent import Allow, CidrPeer, Dialect, Mode, Origin, PolicyIntent
from discovery.model.platform import default_platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector, WorkloadRef
from generators import render
from generators.base import Inexpressible, RenderRequest, chunks, networks, port_ranges
from generators.calico import CAPABILITIES as CALICO
from generators.kubernetes import CAPABILITIES as KUBERNETES
from tests.generators.samples import (
    CART,
    EGRESS,
    EVIDENCE,
    INGRESS,
    NO_EGRESS,
    SUBJECT,
    entity,
    intent,
    observed,
    platform,
    pods,
)
from tests.generators.samples import request as asked
from tests.strategies import hostile_text, intent_sets, platforms

DIALECTS = pytest.mark.parametrize("dialect", Dialect)


def rendered(dialect: Dialect, *intents: PolicyIntent, mode: Mode = Mode.ENFORCE) -> Rendered:
    """Return what a dialect makes of intents on its default platform."""
    return render(RenderRequest(intents=intents, platform=default_platform(dialect), mode=mode))


@DIALECTS
@given(data=st.data(), intents=intent_sets(), mode=st.sampled_from(Mode))
def test_the_order_of_the_input_does_not_matter(
    dialect: Dialect, data: st.DataObject, intents: tuple[PolicyIntent, ...], mode: Mode
) -> None:
    """Shuffled intents with shuffled allows give the very same files and diagnostics."""
    chosen = data.draw(platforms(dialect))
    shuffled = tuple(
        replace(found, allows=tuple(data.draw(st.permutations(found.allows))))
        for found in data.draw(st.permutations(intents))
    )
    first = render(RenderRequest(intents=intents, platform=chosen, mode=mode))
    assert render(RenderRequest(intents=shuffled, platform=chosen, mode=mode)) == first


@DIALECTS
@given(data=st.data(), intents=intent_sets(), mode=st.sampled_from(Mode))
def test_files_are_what_they_say(
    dialect: Dialect, data: st.DataObject, intents: tuple[PolicyIntent, ...], mode: Mode
) -> None:
    """Each file is ASCII, parses to its one document, has its own path, and every gap has an error diagnostic."""
    chosen = data.draw(platforms(dialect))
    result = render(RenderRequest(intents=intents, platform=chosen, mode=mode))
    assert len({artifact.path for artifact in result.artifacts}) == len(result.artifacts)
    written = {(artifact.workload, direction) for artifact in result.artifacts for direction in artifact.isolates}
    wanted = {(found.workload, found.direction) for found in intents if found.isolate}
    assert written <= wanted
    errors = {found.subject for found in result.diagnostics if found.level is Level.ERROR}
    assert bool(wanted - written) == bool(errors)
    for artifact in result.artifacts:
        assert all(line.isprintable() and line.isascii() for line in artifact.text.splitlines())
        assert (yaml.safe_load(artifact.text),) == artifact.documents
        name = artifact.documents[0]["metadata"]["name"]
        assert artifact.path.endswith(f"/{artifact.workload.namespace}/{name}.yaml")
        assert artifact.isolates


@DIALECTS
@given(values=st.lists(hostile_text(), min_size=8, max_size=8), mode=st.sampled_from(Mode))
def test_hostile_input_escapes_from_nothing(dialect: Dialect, values: list[str], mode: Mode) -> None:
    """Names, labels, accounts, DNS names and reasons from a flow are refused or shown escaped, never obeyed."""
    key, value, namespace, account, dns, reason, name, cluster = (text.replace("\ud800", "") for text in values)
    workload = WorkloadRef(cluster=cluster, namespace="shop", kind=key, name=name)
    subject = Selector(cluster=cluster, namespace="shop", labels=Labels.of({key: value}))
    peer = pods(namespace, cluster, account, **{key: value})
    outside = CidrPeer(prefixes=("192.0.2.0/24",), names=(dns,))
    intents = (
        replace(intent(Direction.INGRESS, observed(peer, 80)), workload=workload, subject=subject),
        replace(
            intent(Direction.EGRESS, observed(outside, 443)), workload=workload, subject=subject, reasons=(reason,)
        ),
    )
    result = rendered(dialect, *intents, mode=mode)
    for artifact in result.artifacts:
        path = PurePosixPath(artifact.path)
        assert path.parts[:2] == (dialect.value, "shop")
        assert len(path.parts) == 3
        assert all(line.isprintable() and line.isascii() for line in artifact.text.splitlines())
        assert (yaml.safe_load(artifact.text),) == artifact.documents
        assert list(yaml.safe_load(artifact.text)) == ["apiVersion", "kind", "metadata", "spec"]
    for found in result.diagnostics:
        assert all(text.isprintable() and text.isascii() for text in (found.subject, found.message))


@DIALECTS
def test_a_direction_that_is_not_isolated_is_left_out(dialect: Dialect) -> None:
    """Its allows grant nothing; the header says why; without any direction there is no file."""
    (artifact,) = rendered(dialect, INGRESS, NO_EGRESS).artifacts
    assert artifact.isolates == (Direction.INGRESS,)
    assert "egress" not in artifact.documents[0]["spec"]
    assert "# Egress is left out: no accepted traffic was seen.\n" in artifact.text
    assert rendered(dialect, NO_EGRESS).artifacts == ()
    assert rendered(dialect, NO_EGRESS).diagnostics == ()


@DIALECTS
def test_a_direction_that_cannot_be_said_is_left_out_with_an_error(dialect: Dialect) -> None:
    """The other direction is written; the diagnostic names the first allow, how many there are, and a way out."""
    bad = intent(Direction.INGRESS, observed(pods("Shop", app="a"), 80), observed(pods("Shop", app="b"), 81))
    result = rendered(dialect, bad, EGRESS)
    (artifact,) = result.artifacts
    assert artifact.isolates == (Direction.EGRESS,)
    (error,) = [found for found in result.diagnostics if found.level is Level.ERROR]
    assert (error.code, error.subject) == ("namespace-invalid", "shop/cart")
    assert error.message == "ingress is left out: Shop/a TCP/80 (and 1 more): 'Shop' is not a namespace"
    assert error.hint
    assert "Ingress is left out: Shop/a TCP/80 (and 1 more): 'Shop' is not a namespace." in artifact.text


@DIALECTS
def test_remarks_stand_in_the_header_of_every_file(dialect: Dialect) -> None:
    """What every file must say about its input follows what is left out, cleaned and wrapped like the rest."""
    remarks = ("The input was incomplete.", "a\nb: 1 " + "long " * 40)
    api = replace(INGRESS, workload=replace(CART, name="api"))
    asked = RenderRequest(
        intents=(INGRESS, NO_EGRESS, api), platform=default_platform(dialect), mode=Mode.ENFORCE, remarks=remarks
    )
    plain, told = render(replace(asked, remarks=())), render(asked)
    assert len(told.artifacts) == 2
    for before, after in zip(plain.artifacts, told.artifacts, strict=True):
        assert "# The input was incomplete.\n# a" in after.text
        assert all(line.isprintable() and len(line) <= 100 for line in after.text.splitlines() if line[:1] == "#")
        assert [
            line for line in after.text.splitlines() if line in before.text.splitlines()
        ] == before.text.splitlines()
        assert after.documents == before.documents
    left_out = "# Egress is left out: no accepted traffic was seen.\n# The input was incomplete.\n"
    assert [left_out in artifact.text for artifact in told.artifacts] == [False, True]


@DIALECTS
def test_the_cluster_is_a_folder_only_where_there_are_several(dialect: Dialect) -> None:
    """One cluster: dialect/namespace/name; several: dialect/cluster/namespace/name."""
    west = replace(CART, cluster="west")
    moved = replace(EGRESS, workload=west, subject=replace(SUBJECT, cluster="west"))
    only_cidr = replace(moved, allows=tuple(allow for allow in moved.allows if isinstance(allow.peer, CidrPeer)))
    assert [artifact.path for artifact in rendered(dialect, EGRESS).artifacts] == [
        f"{dialect}/shop/deployment-cart.yaml"
    ]
    assert [artifact.path for artifact in rendered(dialect, EGRESS, only_cidr).artifacts] == [
        f"{dialect}/east/shop/deployment-cart.yaml",
        f"{dialect}/west/shop/deployment-cart.yaml",
    ]


@DIALECTS
def test_more_of_the_same_traffic_gives_the_same_bytes(dialect: Dialect) -> None:
    """Counts, last-seen times and pods may grow within a magnitude without any change in the file."""
    grown = replace(EVIDENCE, flow_records=9_000, last_seen=1_799_000_000_000_000, days=60, client_pods=9)
    allows = tuple(replace(allow, evidence=allow.evidence and grown) for allow in EGRESS.allows)
    more = replace(EGRESS, allows=allows)
    assert more != EGRESS
    assert rendered(dialect, more) == rendered(dialect, EGRESS)


@pytest.mark.parametrize(
    "intents",
    [
        (INGRESS, INGRESS),
        (INGRESS, replace(EGRESS, subject=replace(SUBJECT, labels=Labels()))),
        (replace(INGRESS, subject=replace(SUBJECT, namespace="pay")),),
    ],
)
def test_intents_that_contradict_each_other_are_an_error(intents: tuple[PolicyIntent, ...]) -> None:
    """Two intents for one direction, two subjects, or a subject elsewhere: the caller is wrong, not the data."""
    with pytest.raises(RenderError):
        rendered(Dialect.CILIUM, *intents)


def test_ports_come_as_the_platform_can_say_them() -> None:
    """A run of two is two ports; longer ones are ranges, or written out where there are none."""
    ports = PortSet.from_intervals([(80, 81), (90, 92)])
    assert port_ranges(ports, platform("kubernetes=1.31"), KUBERNETES) == ((80, 80), (81, 81), (90, 92))
    old = ((80, 80), (81, 81), (90, 90), (91, 91), (92, 92))
    assert port_ranges(ports, platform("kubernetes=1.20"), KUBERNETES) == old
    assert port_ranges(PortSet.all(), platform("kubernetes=1.20"), KUBERNETES) is None
    with pytest.raises(Inexpressible, match=r"port range 1-41 needs kubernetes 1\.22 or later"):
        port_ranges(PortSet(((1, 41),)), platform("kubernetes=1.20"), KUBERNETES)
    with pytest.raises(Inexpressible, match="port 0"):
        port_ranges(PortSet(((0, 65_534),)), platform("calico=3.30"), CALICO)


def test_networks_are_canonical_unique_and_ordered() -> None:
    """Addresses and prefixes of all peers, IPv4 first, by number."""
    peers = (
        CidrPeer(prefixes=("10.0.0.0/8", "2001:DB8::/32")),
        entity(Entity.HOST, "9.0.0.1", "10.0.0.1"),
        pods(app="a"),
    )
    assert networks(peers) == ("9.0.0.1/32", "10.0.0.0/8", "10.0.0.1/32", "2001:db8::/32")


def test_chunks_keep_order_and_size() -> None:
    """Parts of at most the size, all items in order; no limit is one part, nothing is no part."""
    assert [list(part) for part in chunks(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [list(part) for part in chunks(range(5), None)] == [[0, 1, 2, 3, 4]]
    assert list(chunks([], 2)) == []
    assert list(chunks([], None)) == []


def test_protocols_are_never_left_open() -> None:
    """SCTP is named like TCP and UDP in every dialect."""
    found = intent(Direction.INGRESS, observed(pods(app="a"), 80, protocol=Protocol.SCTP))
    for dialect in Dialect:
        (artifact,) = rendered(dialect, found).artifacts
        assert "protocol: SCTP\n" in artifact.text


@pytest.mark.parametrize(
    ("platform", "prefix", "expected"),
    [
        ("calico=3.30", "0.0.0.0/0", True),
        ("calico=3.30", "10.0.0.0/8", True),
        ("calico=3.30", "203.0.113.0/24", False),
        ("kubernetes=1.31", "::/0", True),
        ("kubernetes=1.31;enforcer=cilium", "0.0.0.0/0", False),
        ("cilium=1.18", "0.0.0.0/0", False),
        ("cilium=1.18;policy-cidr-match-mode=nodes", "0.0.0.0/0", True),
    ],
)
def test_a_declared_range_that_holds_pods_is_said(platform: str, prefix: str, expected: bool) -> None:
    """Where prefixes match pods or nodes, a range for clients outside lets those in as well."""
    clients = Allow(
        peer=CidrPeer(prefixes=(prefix,)), protocol=Protocol.TCP, ports=PortSet.of(443), origin=Origin.SERVICE,
        reason="Service shop/web (LoadBalancer) takes clients from anywhere; some were seen",
    )  # fmt: skip
    found = render(asked(platform, Mode.ENFORCE, intent(Direction.INGRESS, clients)))
    assert len(found.artifacts) == 1
    assert ("range-holds-pods" in [one.code for one in found.diagnostics]) is expected


@pytest.mark.parametrize(
    ("clients", "prefix"), [(True, "10.0.0.0/24"), (False, "10.0.0.0/24"), (True, "203.0.113.0/24")]
)
def test_prefixes_that_stand_for_clients_may_hold_pods(clients: bool, prefix: str) -> None:
    """The /24 of a private client holds its neighbours; an address that was seen is that one alone."""
    peer = CidrPeer(prefixes=(prefix,), clients=clients)
    found = render(asked("calico=3.30", Mode.ENFORCE, intent(Direction.INGRESS, observed(peer, 443))))
    expected = clients and prefix.startswith("10.")
    assert ("range-holds-pods" in [one.code for one in found.diagnostics]) is expected
