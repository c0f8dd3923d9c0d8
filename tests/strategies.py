"""Hypothesis strategies for the vocabulary: names, labels, ports, peers, allows and sets of intents.

Unless a strategy says ``hostile``, what it draws is valid in Kubernetes; small alphabets make collisions likely.
``everyday`` leaves out what some dialect cannot say (service accounts, entities, ICMP, port 0), so that files get
written. Strategies are cached, because building one costs more than drawing from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from ipaddress import ip_network

from hypothesis import strategies as st

from discovery.model.edge import Direction, Evidence, Protocol
from discovery.model.intent import (
    Allow,
    CidrPeer,
    Dialect,
    EntityPeer,
    Origin,
    Peer,
    PolicyIntent,
    WorkloadPeer,
)
from discovery.model.platform import ASSUMED_VERSIONS, SETTINGS, Platform
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, Selector, WorkloadRef

CLUSTERS = ("east", "west")
NAMESPACES = ("shop", "pay", "kube-system", "no", "1")
MICROSECONDS_2100 = 4_102_444_800_000_000
MANY_PREFIXES = tuple(f"198.18.{number // 256}.{number % 256}/32" for number in range(300))

# Text that has broken YAML writers, selectors, comments, shells and reviewers' eyes.
HOSTILE = (
    "",
    " ",
    "#",
    ": ",
    "- x",
    "a\nkind: Secret",
    "a\r\n- hostPath: /",
    "a\u2028b",
    "a\x85b",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "x' || all() || a == 'y",
    'x" || all()',
    "../../etc/passwd",
    "$(reboot)",
    "`reboot`",
    "; reboot",
    "{{ x }}",
    "*alias",
    "&anchor",
    "!!python/object/apply:os.system",
    "<<",
    "=",
    "~",
    "null",
    "yes",
    "off",
    "0x1F",
    "1e3",
    "0o17",
    "1:30",
    "2026-11-01",
    "\x00\x1b[2J",
    "\ud800",
    "<script>alert(1)</script>",
    "]]>",
    "x" * 300,
)


@cache
def hostile_text() -> st.SearchStrategy[str]:
    """Draw text that a flow should not contain."""
    return st.sampled_from(HOSTILE) | st.text(max_size=30)


@cache
def label_keys() -> st.SearchStrategy[str]:
    """Draw valid label keys that every platform takes."""
    plain = st.sampled_from(("app", "k8s-app", "tier", "app.kubernetes.io/name", "example.com/Team_1", "y", "null"))
    return plain | st.from_regex(r"\A[a-z][a-z0-9._-]{0,8}[a-z0-9]\Z").filter(
        lambda key: not key.startswith(("io.", "k8s.io", "annotation", "policy-discovery", "etcd"))
    )


@cache
def label_values() -> st.SearchStrategy[str]:
    """Draw valid label values, among them those that YAML readers like to misread."""
    tricky = st.sampled_from(("", "cart", "web", "yes", "No", "on", "null", "1", "1.18", "0x1F", "1e3", "2026-11-01"))
    return tricky | st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?\Z")


@cache
def labels(min_size: int = 0, max_size: int = 3) -> st.SearchStrategy[Labels]:
    """Draw label pairs."""
    return st.dictionaries(label_keys(), label_values(), min_size=min_size, max_size=max_size).map(Labels.of)


@cache
def service_accounts() -> st.SearchStrategy[str | None]:
    """Draw a service account, mostly none."""
    return st.sampled_from((None, None, None, "cart", "build.bot"))


@cache
def selectors(clusters: tuple[str, ...] = CLUSTERS, *, everyday: bool = False) -> st.SearchStrategy[Selector]:
    """Draw selectors of pods in a few namespaces."""
    return st.builds(
        Selector,
        cluster=st.sampled_from(clusters),
        namespace=st.sampled_from(NAMESPACES),
        labels=labels(),
        service_account=st.none() if everyday else service_accounts(),
    )


@cache
def workload_refs(clusters: tuple[str, ...] = CLUSTERS) -> st.SearchStrategy[WorkloadRef]:
    """Draw workloads, some with names that no manifest can have as they are.

    Lone surrogates are left out: the lake's strings are UTF-8, so a name with one never gets past ingest.
    """
    odd = hostile_text().filter(lambda name: "\ud800" not in name)
    return st.builds(
        WorkloadRef,
        cluster=st.sampled_from(clusters),
        namespace=st.sampled_from(NAMESPACES),
        kind=st.sampled_from(("Deployment", "deployment", "CronJob", "")),
        name=st.sampled_from(("cart", "Cart", "web", "web.v1", "web-v1", "x" * 80)) | odd,
    )


@cache
def port_sets(*, with_zero: bool = False) -> st.SearchStrategy[PortSet]:
    """Draw non-empty sets of ports: singles, neighbours, ranges, many, and all of them."""
    port = st.integers(0 if with_zero else 1, 65_535) | st.sampled_from((53, 80, 443, 8080, 8081))
    singles = st.lists(port, min_size=1, max_size=4).map(lambda found: PortSet.of(*found))
    ranges = st.tuples(port, st.integers(0, 500)).map(
        lambda start: PortSet.from_intervals(((start[0], min(start[0] + start[1], 65_535)),))
    )
    many = st.integers(41, 120).map(lambda count: PortSet.of(*range(1000, 1000 + 2 * count, 2)))
    return st.one_of(singles, singles, ranges, st.builds(PortSet.__or__, singles, ranges), many, st.just(PortSet.all()))


@cache
def prefixes(max_size: int = 4) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw sorted canonical prefixes of both IP families, IPv4 first."""
    v4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda net: ip_network(net, strict=False))
    v6 = st.tuples(st.integers(2**112, 2**128 - 1), st.integers(0, 128)).map(lambda net: ip_network(net, strict=False))
    some = st.lists(v4 | v6, min_size=1, max_size=max_size, unique=True)
    ordered = some.map(
        lambda nets: tuple(str(net) for net in sorted(nets, key=lambda net: (net.version, int(net[0]), net.prefixlen)))
    )
    many = st.integers(257, 300).map(lambda count: MANY_PREFIXES[:count])
    return st.one_of(ordered, ordered, ordered, many)


@cache
def addresses() -> st.SearchStrategy[tuple[str, ...]]:
    """Draw a few sorted node addresses, sometimes none."""
    nodes = ("10.0.0.1", "10.0.0.2", "192.0.2.7", "2001:db8::1", "2001:db8::2")
    return st.lists(st.sampled_from(nodes), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))


@cache
def peers(clusters: tuple[str, ...] = CLUSTERS, *, everyday: bool = False) -> st.SearchStrategy[Peer]:
    """Draw peers of every kind."""
    workload = st.builds(WorkloadPeer, selector=selectors(clusters, everyday=everyday))
    entity = st.builds(EntityPeer, entity=st.sampled_from(Entity), addresses=addresses())
    cidr = st.builds(CidrPeer, prefixes=prefixes(), names=st.lists(hostile_text(), max_size=5).map(tuple))
    return st.one_of(workload, workload, workload, cidr, *(() if everyday else (entity,)))


@cache
def evidence() -> st.SearchStrategy[Evidence]:
    """Draw evidence."""
    return st.builds(
        Evidence,
        flow_records=st.integers(0, 10**9),
        connections=st.none() | st.integers(0, 10**9),
        first_seen=st.integers(0, MICROSECONDS_2100),
        last_seen=st.just(MICROSECONDS_2100),
        hours=st.integers(0, 2**24 - 1),
        days=st.integers(1, 400),
        sources=st.lists(st.sampled_from(("hubble", "goldmane")), unique=True, max_size=2).map(tuple),
        reporters=st.just(("client",)),
        client_pods=st.integers(0, 64),
        server_pods=st.integers(0, 64),
    )


@cache
def icmp_types() -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a few sorted ICMP types."""
    types = st.lists(st.integers(0, 255), min_size=1, max_size=4, unique=True)
    return types.map(lambda found: tuple(sorted(found)))


@cache
def reasons() -> st.SearchStrategy[tuple[str, ...]]:
    """Draw reasons of a direction that is not isolated."""
    return st.lists(hostile_text(), max_size=2).map(tuple)


@cache
def directions() -> st.SearchStrategy[list[Direction]]:
    """Draw one direction or both."""
    return st.lists(st.sampled_from(Direction), min_size=1, max_size=2, unique=True)


@cache
def allow_lists(cluster: str, max_size: int, *, everyday: bool = False) -> st.SearchStrategy[tuple[Allow, ...]]:
    """Draw the allows of an intent, sorted and unique."""
    return st.lists(allows((cluster,), everyday=everyday), max_size=max_size).map(_unique)


@cache
@st.composite
def allows(draw: st.DrawFn, clusters: tuple[str, ...] = CLUSTERS, *, everyday: bool = False) -> Allow:
    """Draw one allow: observed with evidence, or a declared addition with a reason."""
    protocol = draw(st.sampled_from([known for known in Protocol if known.has_ports or not everyday]))
    observed = draw(st.booleans())
    return Allow(
        peer=draw(peers(clusters, everyday=everyday)),
        protocol=protocol,
        ports=draw(port_sets()) if protocol.has_ports else PortSet(),
        icmp_types=() if protocol.has_ports else draw(icmp_types()),
        origin=Origin.OBSERVED if observed else Origin.DNS,
        reason=None if observed else draw(hostile_text()),
        evidence=draw(evidence()) if observed else None,
    )


def _unique(found: Iterable[Allow]) -> tuple[Allow, ...]:
    """Return allows as intents hold them: sorted, each meaning once."""
    by_meaning = {(allow.peer, allow.protocol, allow.ports, allow.icmp_types): allow for allow in found}
    return tuple(sorted(by_meaning.values(), key=repr))


@st.composite
def workload_intents(draw: st.DrawFn, workload: WorkloadRef, max_allows: int = 5) -> tuple[PolicyIntent, ...]:
    """Draw the one or two intents of a workload."""
    everyday = draw(st.booleans())
    subject = draw(selectors((workload.cluster,), everyday=everyday))
    return tuple(
        PolicyIntent(
            workload=workload,
            subject=replace(subject, namespace=workload.namespace),
            direction=direction,
            allows=(found := draw(allow_lists(workload.cluster, max_allows, everyday=everyday))),
            isolate=bool(found) and draw(st.sampled_from((True, True, True, False))),
            reasons=draw(reasons()),
        )
        for direction in draw(directions())
    )


@cache
@st.composite
def intent_sets(draw: st.DrawFn, max_workloads: int = 4) -> tuple[PolicyIntent, ...]:
    """Draw the intents of a few workloads, as a whole run of the learner returns them."""
    clusters = draw(st.sampled_from((CLUSTERS, CLUSTERS[:1])))
    refs = draw(st.lists(workload_refs(clusters), min_size=1, max_size=max_workloads, unique=True))
    return tuple(intent for ref in refs for intent in draw(workload_intents(ref)))


@cache
@st.composite
def platforms(draw: st.DrawFn, dialect: Dialect) -> Platform:
    """Draw a platform of a dialect, old and new, with any settings."""
    versions = {
        Dialect.CILIUM: [(1, minor) for minor in range(9, 21)],
        Dialect.CALICO: [(3, minor) for minor in range(26, 34)],
        Dialect.KUBERNETES: [(1, minor) for minor in range(19, 37)],
    }
    settings = {name: draw(st.sampled_from(values[:1] + values)) for name, values in SETTINGS[dialect].items()}
    return Platform(
        dialect=dialect,
        version=draw(st.just(ASSUMED_VERSIONS[dialect]) | st.sampled_from(versions[dialect])),
        declared=draw(st.booleans()),
        settings=tuple(sorted(settings.items())),
    )
