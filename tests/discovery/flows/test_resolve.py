"""What an inventory proves of an address, and of nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.engine import engine, parquet
from discovery.flows.resolve import (
    Claim,
    backends,
    claims,
    declared_calls,
    endpoint_of,
    gone,
    mesh_signs,
    resolved_flows,
    undisputed,
    workload_rows_of,
)
from discovery.flows.workloads import read_workloads, unify
from discovery.model.inventory import Call, Inventory, NamedPort, Node, Pod, Service, ServicePort, Template
from discovery.model.mesh import Mesh, MeshSign
from discovery.model.workload import Labels, WorkloadRef
from tests.flows_factory import START, row, write_parts

_DAY = timedelta(days=1)
_FOREVER = 1 << 62
AMBIENT = {"istio.io/dataplane-mode": "ambient"}


def _us(time: datetime) -> int:
    """Return microseconds since 1970."""
    return int(time.timestamp() * 1_000_000)


def _pod(app: str = "cart", address: str = "10.0.0.2", since: datetime = START - _DAY, **changes: Any) -> Pod:
    """Return a pod of the Deployment ``app`` that runs."""
    whole: dict[str, Any] = {
        "namespace": "shop", "name": f"{app}-1", "labels": Labels.of({"app": app}), "service_account": "default",
        "owner_kind": "Deployment", "owner_name": app, "addresses": (address,), "host_network": False,
        "created": _us(since),
    }  # fmt: skip
    return Pod(**{**whole, **changes})


def _template(app: str = "cart", **changes: Any) -> Template:
    """Return the Deployment ``app`` of which no pod runs."""
    whole: dict[str, Any] = {
        "namespace": "shop", "kind": "Deployment", "name": app, "labels": Labels.of({"app": app}),
        "service_account": "default", "created": _us(START - _DAY),
    }  # fmt: skip
    return Template(**{**whole, **changes})


def _service(*ports: ServicePort, **changes: Any) -> Service:
    """Return the Service ``cart`` at 10.96.0.7."""
    whole: dict[str, Any] = {
        "namespace": "shop", "name": "cart", "addresses": ("10.96.0.7",), "selector": Labels.of({"app": "cart"}),
        "ports": ports, "created": _us(START - _DAY),
    }  # fmt: skip
    return Service(**{**whole, **changes})


def _port(target: int | str, number: int = 80, name: str = "http") -> ServicePort:
    """Return a TCP port of a Service."""
    return ServicePort(name=name, protocol="TCP", number=number, target=target)


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
            _pod(),
            _pod("agent", "10.1.0.1", host_network=True),
            _pod("job", "10.0.0.9", ended=_us(START)),
            _pod("lost", "10.0.0.8", ended=_us(START - _DAY)),
        ),
        nodes=(Node(name="n", addresses=("10.1.0.1",), created=7),),
    )
    assert [(one.address, one.kind, one.pod, one.valid_from, one.valid_to) for one in claims(inventory)] == [
        ("10.0.0.2", "workload", "cart-1", _us(START - _DAY), _FOREVER),
        ("10.0.0.9", "workload", "job-1", _us(START - _DAY), _us(START)),
        ("10.1.0.1", "remote-node", None, 7, _FOREVER),
    ]


@pytest.mark.parametrize("kind", ["unresolved", "external"])
def test_an_address_is_resolved_from_the_creation_of_its_pod_on(tmp_path: Path, kind: str) -> None:
    """Earlier records stay as they were, to the microsecond."""
    pod = _pod(since=START)
    before, after = _resolved(
        tmp_path,
        Inventory(cluster="default", pods=(pod,)),
        _unknown(kind=kind, time=START - timedelta(microseconds=1)),
        _unknown(kind=kind, time=START),
    )
    identity = endpoint_of(pod, Inventory(cluster="default")).identity
    assert (before["server_kind"], before["server_identity"], before["server_pod"]) == (kind, None, None)
    assert (after["server_kind"], after["server_identity"], after["server_pod"]) == ("workload", identity, "cart-1")


def test_clients_are_resolved_too(tmp_path: Path) -> None:
    """Both ends are looked up, each by itself; a prefix belongs to external ends alone."""
    given_row = row(
        client_kind="external", client_identity=None, client_pod=None, client_address="10.0.0.5",
        client_prefix="10.0.0.0/24",
    )  # fmt: skip
    (found,) = _resolved(tmp_path, Inventory(cluster="default", pods=(_pod("web", "10.0.0.5"),)), given_row)
    assert (found["client_kind"], found["client_pod"], found["client_prefix"]) == ("workload", "web-1", None)
    assert found["server_identity"] == given_row["server_identity"]


def test_what_a_source_resolved_is_not_overruled(tmp_path: Path) -> None:
    """Workloads and reserved entities of the source stay, and so do records of other clusters."""
    rows = [
        row(),
        row(server_kind="host", server_identity=None, time=START + _DAY),
        _unknown(cluster="west", time=START + 2 * _DAY),
    ]
    inventory = Inventory(cluster="default", pods=(_pod("other", "10.0.0.2"),), services=(_service(_port(1, 8_080)),))
    assert _resolved(tmp_path, inventory, *rows) == [{**one, "date": one["time"].date()} for one in rows]


def test_a_services_address_is_the_workloads_behind_it(tmp_path: Path) -> None:
    """One row per workload, on its own port, with the Service kept; a pod without the named port is not behind it."""
    named = _pod(ports=(NamedPort(name="web", protocol="TCP", number=8_081),))
    canary = _pod(
        "canary", "10.0.0.3", labels=Labels.of({"app": "cart", "track": "canary"}),
        ports=(NamedPort(name="web", protocol="TCP", number=9_090),),
    )  # fmt: skip
    without = _pod("plain", "10.0.0.4", labels=Labels.of({"app": "cart", "x": "y"}))
    inventory = Inventory(cluster="default", pods=(named, canary, without), services=(_service(_port("web")),))
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
            _service(
                _port(6_443, 443, "https"), namespace="default", name="kubernetes", addresses=("10.96.0.1",),
                selector=None, backends=(("192.168.0.10", "https", 6_443),),
            ),
            _service(
                _port(1, 5_432, "pg"), selector=None,
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
    """A Service stands for a pod from the creation of both on; host-network pods are no workload peers."""
    young, host = _pod(since=START), _pod("agent", labels=Labels.of({"app": "cart"}), host_network=True)
    found = backends(Inventory(cluster="default", pods=(young, host), services=(_service(_port(8_080)),)))
    assert [one.valid_from for one in found] == [_us(START)]


def test_the_inventory_knows_labels_better_than_a_partial_view(tmp_path: Path) -> None:
    """A sighting with fewer labels is no version of its own; one with another value is history."""
    whole = _pod(labels=Labels.of({"app": "cart", "tier": "backend"}))
    seen = _pod(labels=Labels.of({"app": "cart"}))
    relabelled = _pod(labels=Labels.of({"app": "cart", "tier": "other"}))
    lake = Inventory(cluster="default", pods=(seen, relabelled))
    inventory = Inventory(cluster="default", pods=(whole,))
    import pyarrow as pa
    import pyarrow.parquet as pq

    from discovery.flows.schema import WORKLOADS

    rows = [{**one, "valid_from": START, "valid_to": START, "ingest_id": "x"} for one in workload_rows_of(lake)]
    pq.write_table(pa.Table.from_pylist(rows, schema=WORKLOADS), tmp_path / "w.parquet")
    versions = read_workloads([str(tmp_path / "w.parquet")], inventory).versions
    assert {version.labels.get("tier") for version in versions} == {"backend", "other"}
    assert len(read_workloads([str(tmp_path / "w.parquet")]).versions) == 2


def test_what_the_api_server_calls() -> None:
    """The workloads behind the named Service's port, those without a pod included, on the port of their own pods."""
    ports = (NamedPort(name="https", protocol="TCP", number=10_250),)
    pod = _pod(ports=ports)
    idle = Template(
        namespace="shop", kind="Deployment", name="idle", labels=Labels.of({"app": "cart", "idle": "yes"}),
        service_account="default", created=1, ports=ports,
    )  # fmt: skip
    elsewhere = _pod("other", namespace="elsewhere", labels=Labels.of({"app": "cart"}), ports=ports)
    inventory = Inventory(
        cluster="default",
        pods=(pod, elsewhere),
        templates=(idle,),
        services=(_service(_port("https", 443), _port("https", 444)),),
        calls=(
            Call(declared_by="APIService a", namespace="shop", service="cart", port=443),
            Call(declared_by="APIService b", namespace="shop", service="nowhere", port=443),
            Call(declared_by="APIService c", namespace="shop", service="cart", port=9),
        ),
    )
    refs = unify(workload_rows_of(inventory)).ref_of
    assert [
        (str(one.workload), one.protocol, one.port, one.declared_by) for one in declared_calls(inventory, refs)
    ] == [
        ("shop/cart", "TCP", 10_250, "APIService a"),
        ("shop/idle", "TCP", 10_250, "APIService a"),
    ]


def test_what_is_gone() -> None:
    """A workload of a namespace that the inventory shows and that has neither a pod that runs nor a controller."""
    inventory = Inventory(
        cluster="default",
        pods=(_pod(), _pod("done", ended=_us(START))),
        templates=(
            Template(
                namespace="batch", kind="CronJob", name="nightly", labels=Labels(), service_account="default", created=1
            ),
        ),
    )

    def ref(name: str, namespace: str = "shop", cluster: str = "default") -> WorkloadRef:
        return WorkloadRef(cluster=cluster, namespace=namespace, kind="", name=name)

    here = [ref("cart"), ref("nightly", "batch"), ref("old", "elsewhere"), ref("old", cluster="west")]
    away = [ref("old"), ref("done"), ref("old", "batch")]
    assert gone(inventory, [*here, *away]) == frozenset(away)


def test_times_are_utc() -> None:
    """Rows of WORKLOADS span from the creation to the snapshot, or to the end of what ended."""
    running, ended = _pod(), _pod("job", ended=_us(START))
    taken = _us(datetime(2026, 12, 1, tzinfo=UTC))
    rows = workload_rows_of(Inventory(cluster="default", pods=(running, ended), taken=taken))
    assert [(one["valid_from"], one["valid_to"]) for one in rows] == [
        (_us(START - _DAY), taken),
        (_us(START - _DAY), _us(START)),
    ]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([_pod()], None),
        ([_pod(mesh=Mesh.LINKERD, probes=(8080,))], MeshSign(mesh=Mesh.LINKERD, proven=True, probes=(8080,))),
        (
            [_pod(mesh=Mesh.LINKERD), _pod(address="10.0.0.3", name="cart-2")],
            MeshSign(mesh=Mesh.LINKERD, proven=False),
        ),
        (
            [_pod(mesh=Mesh.LINKERD), _pod(address="10.0.0.3", name="cart-2", ended=1)],
            MeshSign(mesh=Mesh.LINKERD, proven=True),
        ),
        ([_template()], None),
        ([_template(labels=Labels.of({"app": "cart", **AMBIENT}))], MeshSign(mesh=Mesh.ISTIO_AMBIENT, proven=True)),
        ([_template(mesh=Mesh.ISTIO_SIDECAR)], MeshSign(mesh=Mesh.ISTIO_SIDECAR, proven=True)),
        ([_pod(), _template(labels=Labels.of({"app": "cart", **AMBIENT}))], None),
    ],
)
def test_running_pods_prove_a_mesh(members: list[Pod | Template], expected: MeshSign | None) -> None:
    """Pods that run decide; where none runs, the template does; where they differ, nothing is proven."""
    inventory = Inventory(
        cluster="default",
        pods=tuple(one for one in members if isinstance(one, Pod)),
        templates=tuple(one for one in members if isinstance(one, Template)),
    )
    known = unify(workload_rows_of(inventory))
    assert set(mesh_signs(inventory, known.ref_of).values()) == {expected}


def test_a_namespace_may_make_the_pods_of_a_controller_members() -> None:
    """The label of the namespace counts for a controller without pods, unless the template says otherwise."""
    inventory = Inventory(
        cluster="default",
        templates=(_template(), _template("db", labels=Labels.of({"app": "db", "istio.io/dataplane-mode": "none"}))),
        namespaces={"shop": Labels.of(AMBIENT)},
    )
    known = unify(workload_rows_of(inventory))
    found = {ref.name: sign for ref, sign in mesh_signs(inventory, known.ref_of).items()}
    assert found == {"cart": MeshSign(mesh=Mesh.ISTIO_AMBIENT, proven=True), "db": None}
