"""What an inventory proves of an address, and of nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.engine import engine, parquet
from discovery.flows.resolve import (
    Claim,
    SelectedPods,
    backends,
    claims,
    endpoint_of,
    resolved_flows,
    undisputed,
    workload_rows_of,
)
from discovery.flows.schema import WORKLOADS
from discovery.flows.workloads import read_workloads
from discovery.model.inventory import Inventory, NamedPort, Node
from discovery.model.workload import Labels
from tests.discovery.flows.objects import pod_of, port_of, service_of, template_of, us_of
from tests.flows_factory import START, row, write_parts

_DAY = timedelta(days=1)
_FOREVER = 1 << 62


def _resolved(folder: Path, inventory: Inventory, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Return FLOWS rows as an inventory shows them, in order of time."""
    with engine(threads=1) as connection:
        view = resolved_flows(connection, parquet(write_parts(folder, rows)), inventory)
        found = connection.sql(f"FROM {view} ORDER BY time, server_identity, server_address").to_arrow_table()
        result: list[dict[str, Any]] = found.to_pylist()
    return result


def _unknown(address: str = "10.0.0.2", kind: str = "unresolved", **fields: Any) -> dict[str, Any]:
    """Return a row whose server is an address alone."""
    return row(server_kind=kind, server_identity=None, server_pod=None, server_address=address, **fields)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8), st.sampled_from("abc")), max_size=6))
def test_an_address_is_proven_exactly_where_one_object_claims_it(spans: list[tuple[int, int, str]]) -> None:
    """Against an oracle that looks at every moment by itself; two claims of one object over one time are one."""
    given_claims = [
        Claim(address="x", valid_from=start, valid_to=start + length, kind="workload", pod=pod)
        for start, length, pod in spans
    ]
    found = undisputed(given_claims)
    for moment in range(18):
        active = {claim for claim in given_claims if claim.valid_from <= moment < claim.valid_to}
        proven = [claim.pod for claim in found if claim.valid_from <= moment < claim.valid_to]
        assert proven == ([next(iter(active)).pod] if len(active) == 1 else [])


def test_pods_and_nodes_claim_their_addresses() -> None:
    """Host-network pods have their node's address, which is the node's; a pod that tells no end claims nothing."""
    inventory = Inventory(
        cluster="default",
        pods=(
            pod_of(),
            pod_of("agent", "10.1.0.1", host_network=True),
            pod_of("job", "10.0.0.9", ended=us_of(START)),
            pod_of("lost", "10.0.0.8", ended=us_of(START - _DAY)),
        ),
        nodes=(Node(name="n", addresses=("10.1.0.1",), created=7),),
    )
    assert [(one.address, one.kind, one.pod, one.valid_from, one.valid_to) for one in claims(inventory)] == [
        ("10.0.0.2", "workload", "cart-1", us_of(START - _DAY), _FOREVER),
        ("10.0.0.9", "workload", "job-1", us_of(START - _DAY), us_of(START)),
        ("10.1.0.1", "remote-node", None, 7, _FOREVER),
    ]


@pytest.mark.parametrize("kind", ["unresolved", "external"])
def test_an_address_is_resolved_from_the_creation_of_its_pod_on(tmp_path: Path, kind: str) -> None:
    """To the microsecond: earlier it was something of the cluster, and nobody knows what; never what is outside."""
    pod = pod_of(since=START)
    before, after = _resolved(
        tmp_path,
        Inventory(cluster="default", pods=(pod,)),
        _unknown(kind=kind, time=START - timedelta(microseconds=1)),
        _unknown(kind=kind, time=START),
    )
    identity = endpoint_of(pod, Inventory(cluster="default")).identity
    assert (before["server_kind"], before["server_identity"], before["server_pod"]) == ("unresolved", None, None)
    assert before["server_prefix"] is None
    assert (after["server_kind"], after["server_identity"], after["server_pod"]) == ("workload", identity, "cart-1")


def test_clients_are_resolved_too(tmp_path: Path) -> None:
    """Both ends are looked up, each by itself; a prefix belongs to external ends alone."""
    given_row = row(
        client_kind="external", client_identity=None, client_pod=None, client_address="10.0.0.5",
        client_prefix="10.0.0.0/24",
    )  # fmt: skip
    (found,) = _resolved(tmp_path, Inventory(cluster="default", pods=(pod_of("web", "10.0.0.5"),)), given_row)
    assert (found["client_kind"], found["client_pod"], found["client_prefix"]) == ("workload", "web-1", None)
    assert found["server_identity"] == given_row["server_identity"]


def test_what_a_source_resolved_is_not_overruled(tmp_path: Path) -> None:
    """Workloads and reserved entities of the source stay, and so do records of other clusters."""
    rows = [
        row(),
        row(server_kind="host", server_identity=None, time=START + _DAY),
        _unknown(cluster="west", time=START + 2 * _DAY),
    ]
    inventory = Inventory(
        cluster="default", pods=(pod_of("other", "10.0.0.2"),), services=(service_of(port_of(1, 8_080)),)
    )
    assert _resolved(tmp_path, inventory, *rows) == [{**one, "date": one["time"].date()} for one in rows]


def test_a_services_address_is_the_workloads_behind_it(tmp_path: Path) -> None:
    """One row per workload, on its own port, with the Service kept; a pod without the named port is not behind it."""
    named = pod_of(ports=(NamedPort(name="web", protocol="TCP", number=8_081),))
    canary = pod_of(
        "canary", "10.0.0.3", labels=Labels.of({"app": "cart", "track": "canary"}),
        ports=(NamedPort(name="web", protocol="TCP", number=9_090),),
    )  # fmt: skip
    without = pod_of("plain", "10.0.0.4", labels=Labels.of({"app": "cart", "x": "y"}))
    inventory = Inventory(cluster="default", pods=(named, canary, without), services=(service_of(port_of("web")),))
    found = _resolved(
        tmp_path,
        inventory,
        _unknown("10.96.0.7", server_port=80),
        _unknown("10.96.0.7", server_port=81, time=START + _DAY),
    )
    assert sorted((one["server_kind"], one["server_port"], one["service_port"]) for one in found) == [
        ("unresolved", 81, None),
        ("workload", 8_081, 80),
        ("workload", 9_090, 80),
    ]
    behind = [one for one in found if one["server_kind"] == "workload"]
    assert {one["server_identity"] for one in behind} == {
        endpoint_of(pod, inventory).identity for pod in (named, canary)
    }
    assert {(one["service_address"], one["service_namespace"], one["service_name"]) for one in behind} == {
        ("10.96.0.7", "shop", "cart")
    }


def test_the_api_server_and_services_without_a_selector(tmp_path: Path) -> None:
    """The endpoints of the Service kubernetes are the API server; those of another one are what they are outside."""
    inventory = Inventory(
        cluster="default",
        services=(
            service_of(
                port_of(6_443, 443, "https"), namespace="default", name="kubernetes", addresses=("10.96.0.1",),
                selector=None, backends=(("192.168.0.10", "https", 6_443),),
            ),
            service_of(
                port_of(1, 5_432, "pg"), selector=None,
                backends=(("203.0.113.5", "pg", 15_432), ("203.0.113.5", "other", 1)),
            ),
        ),
    )  # fmt: skip
    api, database = _resolved(
        tmp_path,
        inventory,
        _unknown("10.96.0.1", server_port=443),
        _unknown("10.96.0.7", server_port=5_432, time=START + _DAY),
    )
    assert (api["server_kind"], api["server_address"], api["server_port"]) == ("kube-apiserver", "192.168.0.10", 6_443)
    assert (database["server_kind"], database["server_address"]) == ("external", "203.0.113.5")
    assert (database["server_port"], database["server_prefix"]) == (15_432, "203.0.113.0/24")


def test_backends_exist_from_their_pods_on() -> None:
    """A Service stands for a pod from the creation of both on, and for the node of a host-network pod, which is the own
    node of pods there.
    """
    young = pod_of(since=START)
    host = pod_of("agent", "192.168.0.9", labels=Labels.of({"app": "cart"}), host_network=True)
    found = backends(Inventory(cluster="default", pods=(young, host), services=(service_of(port_of(8_080)),)))
    assert sorted((one.kind, one.valid_from, one.target_address) for one in found) == [
        ("host", us_of(START - _DAY), "192.168.0.9"),
        ("remote-node", us_of(START - _DAY), "192.168.0.9"),
        ("workload", us_of(START), None),
    ]


@pytest.mark.parametrize(
    ("seen", "template", "expected"),
    [
        ([{"app": "cart"}], None, [{"app": "cart", "tier": "backend"}]),
        ([{}, {"app": "cart", "tier": "backend"}], None, [{"app": "cart", "tier": "backend"}]),
        (
            [{"app": "cart"}, {"app": "cart", "tier": "backend"}], None,
            [{"app": "cart"}, {"app": "cart", "tier": "backend"}],
        ),
        ([{"app": "cart"}, {"tier": "x"}], None, [{"app": "cart"}, {"app": "cart", "tier": "backend"}, {"tier": "x"}]),
        ([{"app": "cart"}], {"app": "cart"}, [{"app": "cart"}, {"app": "cart", "tier": "backend"}]),
        (
            [{"app": "cart", "tier": "other"}], None,
            [{"app": "cart", "tier": "backend"}, {"app": "cart", "tier": "other"}],
        ),
    ],
    ids=["a-key-never-shown", "no-labels-at-all", "added-live", "shown-elsewhere", "by-its-template", "another-value"],
)  # fmt: skip
def test_the_inventory_knows_labels_better_than_a_partial_view(
    tmp_path: Path, seen: list[dict[str, str]], template: dict[str, str] | None, expected: list[dict[str, str]]
) -> None:
    """A sighting without keys that the flows never show is no version of its own; one without a key that they do show
    is of a time before that label, and a template proves its own.
    """
    lake = Inventory(cluster="default", pods=tuple(pod_of(labels=Labels.of(labels)) for labels in seen))
    whole = pod_of(labels=Labels.of({"app": "cart", "tier": "backend"}))
    made = () if template is None else (template_of(labels=Labels.of(template)),)
    inventory = Inventory(cluster="default", pods=(whole,), templates=made)
    rows = [{**one, "valid_from": START, "valid_to": START, "ingest_id": "x"} for one in workload_rows_of(lake)]
    pq.write_table(pa.Table.from_pylist(rows, schema=WORKLOADS), tmp_path / "w.parquet")
    versions = read_workloads([str(tmp_path / "w.parquet")], inventory).versions
    assert sorted((version.labels.as_dict() for version in versions), key=str) == sorted(expected, key=str)


def test_times_are_utc() -> None:
    """Rows of WORKLOADS span from the creation to the snapshot, or to the end of what ended."""
    running, ended = pod_of(), pod_of("job", ended=us_of(START))
    taken = us_of(datetime(2026, 12, 1, tzinfo=UTC))
    rows = workload_rows_of(Inventory(cluster="default", pods=(running, ended), taken=taken))
    assert [(one["valid_from"], one["valid_to"]) for one in rows] == [
        (us_of(START - _DAY), taken),
        (us_of(START - _DAY), us_of(START)),
    ]


def test_the_api_server_is_where_its_service_leads() -> None:
    """Its endpoints are the API server, a node among them included; other nodes stay nodes."""
    inventory = Inventory(
        cluster="default",
        nodes=(
            Node(name="control", addresses=("192.168.0.10",), created=1),
            Node(name="worker", addresses=("192.168.0.11",), created=1),
        ),
        services=(
            service_of(
                port_of(6_443, 443, "https"), namespace="default", name="kubernetes", addresses=("10.96.0.1",),
                selector=None, backends=(("192.168.0.10", "https", 6_443), ("203.0.113.9", "https", 6_443)), created=5,
            ),
        ),
    )  # fmt: skip
    assert [(one.address, one.kind, one.valid_from) for one in claims(inventory)] == [
        ("192.168.0.10", "kube-apiserver", 5),
        ("192.168.0.11", "remote-node", 1),
        ("203.0.113.9", "kube-apiserver", 5),
    ]
    assert inventory.api_servers == ("192.168.0.10", "203.0.113.9")
    assert inventory.node_addresses == ("192.168.0.10", "192.168.0.11")


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3), max_size=8),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=2),
)
def test_a_service_selects_what_a_look_at_every_pod_finds(
    labels: list[dict[str, str]], selector: dict[str, str]
) -> None:
    """By the pairs of the selector, in its own namespace; without a selector nothing."""
    pods = [pod_of(f"p{number}", labels=Labels.of(one)) for number, one in enumerate(labels)]
    elsewhere = pod_of("other", namespace="elsewhere", labels=Labels.of(selector))
    index = SelectedPods([*pods, elsewhere])
    wanted = Labels.of(selector)
    assert index.of(service_of(selector=wanted)) == [pod for pod in pods if pod.labels.matches(wanted)]
    assert index.of(service_of(selector=None)) == []


def test_a_service_stands_for_workloads_not_for_pods() -> None:
    """One row per workload however many pods run, since the oldest of them or its controller, and since the Service."""
    replicas = [pod_of(address=f"10.0.0.{n}", name=f"cart-{n}", since=START - timedelta(hours=n)) for n in range(1, 9)]
    over = pod_of("cart", "10.0.1.1", name="run", owner_kind="Job", owner_name="run", ended=us_of(START))
    service = service_of(port_of(8080))
    (found,) = backends(Inventory(cluster="default", pods=(*replicas, over), services=(service,)))
    assert found.valid_from == us_of(START - timedelta(hours=8))
    (found,) = backends(
        Inventory(cluster="default", pods=tuple(replicas), templates=(template_of(),), services=(service,))
    )
    assert found.valid_from == us_of(START - _DAY)
    late = service_of(port_of(8080), created=us_of(START))
    (found,) = backends(Inventory(cluster="default", pods=tuple(replicas), services=(late,)))
    assert found.valid_from == us_of(START)


def test_a_record_of_a_service_older_than_the_workload_is_unresolved(tmp_path: Path) -> None:
    """Nobody knows what stood behind it; its address is of the cluster all the same."""
    inventory = Inventory(cluster="default", pods=(pod_of(since=START),), services=(service_of(port_of(8080)),))
    before, after = _resolved(
        tmp_path,
        inventory,
        _unknown("10.96.0.7", kind="external", server_port=80, time=START - timedelta(microseconds=1)),
        _unknown("10.96.0.7", kind="external", server_port=80, time=START),
    )
    assert (before["server_kind"], before["server_address"]) == ("unresolved", "10.96.0.7")
    assert (after["server_kind"], after["server_port"]) == ("workload", 8080)


@pytest.mark.parametrize("address", ["10.96.0.7", "10.0.0.2"])
def test_what_is_of_the_cluster_is_never_outside(tmp_path: Path, address: str) -> None:
    """A port that the Service lacks, an address that two pods claim: unresolved, at either end."""
    pods = (pod_of(), pod_of("other"))
    inventory = Inventory(cluster="default", pods=pods, services=(service_of(port_of(8080)),))
    (server,) = _resolved(tmp_path / "server", inventory, _unknown(address, kind="external", server_port=99))
    client_row = row(client_kind="external", client_identity=None, client_pod=None, client_address=address)
    (client,) = _resolved(tmp_path / "client", inventory, client_row)
    assert (server["server_kind"], client["client_kind"]) == ("unresolved", "unresolved")


def test_endpoints_of_a_service_without_a_selector_may_be_pods() -> None:
    """A pod by its address, a node by its, the rest outside."""
    names = ("10.0.0.2", "192.168.0.9", "203.0.113.5")
    service = service_of(port_of(1, 5432, "pg"), selector=None, backends=tuple((name, "pg", 15432) for name in names))
    node = Node(name="n", addresses=("192.168.0.9",), created=1)
    found = backends(Inventory(cluster="default", pods=(pod_of(),), nodes=(node,), services=(service,)))
    assert sorted((one.kind, one.target_address) for one in found if one.target_address) == [
        ("external", "203.0.113.5"), ("host", "192.168.0.9"), ("remote-node", "192.168.0.9"),
    ]  # fmt: skip
    assert [one.kind for one in found if one.identity is not None] == ["workload"]


@pytest.mark.parametrize(
    ("node", "reporter", "kind"),
    [
        ("default/worker", "client", "host"), ("worker", "client", "host"), ("default/other", "client", "remote-node"),
        ("default/worker", "server", "remote-node"), (None, "client", "remote-node"),
        ("co-worker", "client", "remote-node"),
    ],
)  # fmt: skip
def test_the_node_that_reports_for_a_pod_is_its_own(tmp_path: Path, node: str | None, reporter: str, kind: str) -> None:
    """An address of a node is the pod's own host where that node wrote the record, else another one."""
    inventory = Inventory(cluster="default", nodes=(Node(name="worker", addresses=("10.0.0.2",), created=1),))
    (found,) = _resolved(tmp_path, inventory, _unknown(node=node, reporter=reporter))
    assert found["server_kind"] == kind


def test_objects_that_do_not_say_when_they_were_made_prove_nothing() -> None:
    """Neither a pod nor a node, nor a Service's backend."""
    undated = pod_of(created=0)
    node = Node(name="n", addresses=("192.168.0.9",), created=0)
    inventory = Inventory(cluster="default", pods=(undated,), nodes=(node,), services=(service_of(port_of(8080)),))
    assert (claims(inventory), backends(inventory)) == ((), ())


def test_the_api_server_has_all_addresses_of_its_node() -> None:
    """What it sends comes from a tunnel of that node as well."""
    service = service_of(
        port_of(6_443, 443, "https"), namespace="default", name="kubernetes", selector=None,
        backends=(("192.168.0.10", "https", 6_443),),
    )  # fmt: skip
    nodes = (
        Node(name="control", addresses=("192.168.0.10", "10.244.9.0"), created=1),
        Node(name="worker", addresses=("192.168.0.11",), created=1),
    )
    assert Inventory(cluster="default", nodes=nodes, services=(service,)).api_servers == ("10.244.9.0", "192.168.0.10")
