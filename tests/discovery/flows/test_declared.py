"""What an inventory declares of workloads, beside what flows show."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.flows.declared import (
    declared_calls,
    declared_exposures,
    declared_probes,
    declared_resolvers,
    declared_routes,
    declared_runs,
    gone,
    mesh_signs,
    unshown_namespaces,
)
from discovery.flows.resolve import workload_rows_of
from discovery.flows.workloads import unify
from discovery.model.inventory import (
    Call,
    Exposure,
    ExposureKind,
    Inventory,
    NamedPort,
    Node,
    Opener,
    Pod,
    Route,
    Schedule,
    ServicePort,
    Template,
)
from discovery.model.mesh import Mesh, MeshSign
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion
from tests.discovery.flows.objects import pod_of, port_of, service_of, template_of, us_of
from tests.flows_factory import START

_NAMED = {"namespace": "shop", "service": "cart"}
_NOWHERE = "no address behind Service shop/cart is in the inventory"
_NO_POD = "10.0.0.7 behind Service shop/cart is no pod's that is known"
AMBIENT = {"istio.io/dataplane-mode": "ambient"}


def _route(**fields: Any) -> Route:
    """Return a route of an Ingress."""
    return Route(opener=Opener.GATEWAY, declared_by="x", **fields)


def test_what_the_api_server_calls() -> None:
    """The workloads behind the named Service's port, those without a pod included, on the port of their own pods."""
    ports = (NamedPort(name="https", protocol="TCP", number=10_250),)
    pod = pod_of(ports=ports)
    idle = Template(
        namespace="shop", kind="Deployment", name="idle", labels=Labels.of({"app": "cart", "idle": "yes"}),
        service_account="default", created=1, ports=ports,
    )  # fmt: skip
    elsewhere = pod_of("other", namespace="elsewhere", labels=Labels.of({"app": "cart"}), ports=ports)
    inventory = Inventory(
        cluster="default",
        pods=(pod, elsewhere),
        templates=(idle,),
        services=(service_of(port_of("https", 443), port_of("https", 444)),),
        calls=(
            Call(declared_by="APIService a", namespace="shop", service="cart", port=443),
            Call(declared_by="APIService b", namespace="shop", service="nowhere", port=443),
            Call(declared_by="APIService c", namespace="shop", service="cart", port=9),
        ),
    )
    calls, unresolved = declared_calls(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert [(str(one.workload), one.protocol, one.port, one.declared_by) for one in calls] == [
        ("shop/cart", "TCP", 10_250, "APIService a"),
        ("shop/idle", "TCP", 10_250, "APIService a"),
    ]
    assert [(one.declared_by, str(one.workload), one.why) for one in unresolved] == [
        ("APIService b", "None", "Service shop/nowhere is not in the inventory"),
        ("APIService c", "shop/cart", "port 9 of Service shop/cart is none of its pods' that is known"),
        ("APIService c", "shop/idle", "port 9 of Service shop/cart is none of its pods' that is known"),
    ]


@pytest.mark.parametrize(
    ("call", "service", "expected"),
    [
        (
            {"namespace": "shop", "service": "cart"},
            {"selector": None, "backends": (("10.0.0.2", "http", 9443),)},
            [9443],
        ),
        (
            {"namespace": "shop", "service": "cart"},
            {"selector": None, "backends": (("203.0.113.9", "http", 9443),)},
            [],
        ),
        ({"address": "10.96.0.7"}, {}, [8080]),
        ({"address": "10.0.0.2"}, {}, [443]),
        ({"address": "203.0.113.9"}, {}, []),
    ],
)
def test_calls_without_a_selector_to_follow(call: dict[str, Any], service: dict[str, Any], expected: list[int]) -> None:
    """By EndpointSlices, by the address of a Service or of a pod; what is outside is nobody's of the cluster."""
    told = Call(**{"namespace": "", "service": "", **call}, declared_by="x", port=443)
    inventory = Inventory(
        cluster="default", pods=(pod_of(),), services=(service_of(port_of(8080, 443), **service),), calls=(told,)
    )
    calls, unresolved = declared_calls(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert [(str(one.workload), one.port) for one in calls] == [("shop/cart", port) for port in expected]
    assert unresolved == ()


@pytest.mark.parametrize(
    ("changes", "service", "why"),
    [
        ({"pods": ()}, {}, "no pod that Service shop/cart selects is in the inventory"),
        ({"pods": (pod_of("other"),)}, {}, "no pod that Service shop/cart selects is in the inventory"),
        ({"pods": (pod_of(host_network=True),)}, {}, None),
        ({"pods": (), "templates": (template_of(host_network=True),)}, {}, None),
        ({}, {"selector": None}, _NOWHERE),
        ({}, {"selector": None, "backends": (("10.0.0.2", "metrics", 1),)}, _NOWHERE),
        ({}, {"selector": None, "backends": (("10.0.0.7", "http", 1),)}, _NO_POD),
        ({}, {"selector": None, "backends": (("192.168.0.9", "http", 1),)}, None),
        ({}, {"selector": None, "backends": (("203.0.113.9", "http", 1),)}, None),
    ],
)  # fmt: skip
def test_a_call_that_ends_at_no_known_pod_is_kept(
    changes: dict[str, Any], service: dict[str, Any], why: str | None
) -> None:
    """It may end at any pod of the namespace that the inventory lacks; not where nodes or others outside serve it."""
    told = Call(declared_by="x", namespace="shop", service="cart", port=443)
    whole: dict[str, Any] = {
        "cluster": "default", "pods": (pod_of(),), "services": (service_of(port_of(8080, 443), **service),),
        "nodes": (Node(name="n", addresses=("192.168.0.9",), created=1),), "calls": (told,),
    }  # fmt: skip
    inventory = Inventory(**{**whole, **changes})
    calls, unresolved = declared_calls(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert calls == ()
    assert [(one.namespace, one.workload, one.why) for one in unresolved] == ([("shop", None, why)] if why else [])


def _version(name: str, namespace: str = "shop", **changes: Any) -> WorkloadVersion:
    """Return what flows showed of a workload of unknown kind."""
    cluster, kind = changes.pop("cluster", "default"), changes.pop("kind", "")
    return WorkloadVersion(
        ref=WorkloadRef(cluster=cluster, namespace=namespace, kind=kind, name=name),
        labels=Labels.of(changes.pop("labels", {"app": name})), service_account=None, namespace_labels=Labels(),
        valid_from=1, valid_to=changes.pop("valid_to", 2),
    )  # fmt: skip


def test_a_namespace_of_which_nothing_is_shown_says_nothing_of_its_workloads() -> None:
    """Whoever may list namespaces may not list the pods of each: nothing there is gone, and that is said."""
    shown = _snapshot(namespaces={"shop": Labels(), "pay": Labels()})
    versions = [_version("old", "pay"), _version("old"), _version("x", "far", cluster="west")]
    assert {str(ref) for ref in gone(shown, versions)} == {"shop/old"}
    assert unshown_namespaces(shown, versions) == ("pay",)
    with_agent = _snapshot(pods=(pod_of(), pod_of("agent", namespace="pay", host_network=True)))
    assert unshown_namespaces(with_agent, versions) == ()


def _snapshot(**changes: Any) -> Inventory:
    """Return a snapshot with the Deployment cart, a Job that is over and a CronJob of another namespace."""
    nightly = Template(
        namespace="batch", kind="CronJob", name="nightly", labels=Labels(), service_account="default", created=1
    )
    whole: dict[str, Any] = {
        "cluster": "default", "pods": (pod_of(), pod_of("done", ended=us_of(START))), "templates": (nightly,),
        "tells_kinds": frozenset({"Deployment", "CronJob"}),
    }  # fmt: skip
    return Inventory(**{**whole, **changes})


def test_what_is_gone() -> None:
    """A workload of a namespace that the inventory shows and that has neither a pod that runs nor a controller."""
    here = [
        _version("cart"), _version("nightly", "batch"), _version("old", "elsewhere"), _version("old", cluster="west"),
    ]  # fmt: skip
    away = [_version("old"), _version("done"), _version("old", "batch")]
    assert gone(_snapshot(), [*here, *away]) == frozenset(one.ref for one in away)


@pytest.mark.parametrize(
    ("snapshot", "version", "expected"),
    [
        ({}, _version("renamed", labels={"app": "cart"}), False),
        ({}, _version("renamed", labels={"app": "cart", "x": "y"}), True),
        ({}, _version("renamed", labels={}), True),
        ({"seen_until": 10}, _version("old", valid_to=11), False),
        ({"seen_until": 10}, _version("old", valid_to=10), True),
        ({"tells_kinds": frozenset({"Deployment"})}, _version("old", kind="CronJob"), False),
        ({"tells_kinds": frozenset({"Deployment"})}, _version("old", kind="StatefulSet"), True),
        ({"tells_kinds": frozenset()}, _version("old", kind="Deployment"), False),
        ({"tells_kinds": frozenset()}, _version("old", kind="Pod"), True),
    ],
)
def test_where_an_inventory_cannot_tell_nothing_is_gone(
    snapshot: dict[str, Any], version: WorkloadVersion, expected: bool
) -> None:
    """A pod with all its labels is the workload; what was seen later, or is of a kind not listed, may be there."""
    assert gone(_snapshot(**snapshot), [version]) == (frozenset({version.ref}) if expected else frozenset())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([pod_of()], None),
        ([pod_of(mesh=Mesh.LINKERD, probes=(8080,))], MeshSign(mesh=Mesh.LINKERD, proven=True, probes=(8080,))),
        (
            [pod_of(mesh=Mesh.LINKERD), pod_of(address="10.0.0.3", name="cart-2")],
            MeshSign(mesh=Mesh.LINKERD, proven=False),
        ),
        (
            [pod_of(mesh=Mesh.LINKERD), pod_of(address="10.0.0.3", name="cart-2", ended=1)],
            MeshSign(mesh=Mesh.LINKERD, proven=True),
        ),
        ([template_of()], None),
        ([template_of(labels=Labels.of({"app": "cart", **AMBIENT}))], MeshSign(mesh=Mesh.ISTIO_AMBIENT, proven=True)),
        ([template_of(mesh=Mesh.ISTIO_SIDECAR)], MeshSign(mesh=Mesh.ISTIO_SIDECAR, proven=True)),
        ([pod_of(), template_of(labels=Labels.of({"app": "cart", **AMBIENT}))], None),
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
        templates=(
            template_of(),
            template_of("db", labels=Labels.of({"app": "db", "istio.io/dataplane-mode": "none"})),
        ),
        namespaces={"shop": Labels.of(AMBIENT)},
    )
    known = unify(workload_rows_of(inventory))
    found = {ref.name: sign for ref, sign in mesh_signs(inventory, known.ref_of).items()}
    assert found == {"cart": MeshSign(mesh=Mesh.ISTIO_AMBIENT, proven=True), "db": None}


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (_route(namespace="shop", service="cart", port=80), [("TCP", 8080)]),
        (_route(namespace="shop", service="cart", port="http"), [("TCP", 8080)]),
        (_route(namespace="shop", service="cart", port="metrics"), []),
        (
            _route(namespace="shop", service="cart", port="", target=9100),
            [("TCP", 9100)],
        ),
        (
            _route(namespace="shop", service="cart", port="", target="web"),
            [("TCP", 8080)],
        ),
        (_route(namespace="shop", service="gone", port=80), []),
        (_route(namespace="pay", service="cart", port=80), []),
    ],
)
def test_where_routes_lead(route: Route, expected: list[tuple[str, int]]) -> None:
    """The Service's port by number or name, or a port of the pods, at the pods behind the Service."""
    inventory = Inventory(
        cluster="default",
        pods=(pod_of(ports=(NamedPort(name="web", protocol="TCP", number=8080),)), pod_of("db", "10.0.0.9")),
        services=(service_of(port_of("web")),),
        routes=(route,),
    )
    known = unify(workload_rows_of(inventory))
    found = declared_routes(inventory, known.ref_of)
    assert [(one.protocol, one.port) for one in found] == expected
    assert {one.opener for one in found} <= {Opener.GATEWAY}
    assert {one.workload.name for one in found} <= {"cart"}


def test_a_service_without_a_selector_leads_to_no_workload() -> None:
    """Its backends are addresses."""
    route = _route(namespace="shop", service="cart", port=80)
    inventory = Inventory(
        cluster="default", pods=(pod_of(),), services=(service_of(port_of(8080), selector=None),), routes=(route,)
    )
    assert declared_routes(inventory, unify(workload_rows_of(inventory)).ref_of) == ()


def test_schedules_are_of_their_cron_jobs() -> None:
    """A schedule of a CronJob that the inventory has; a Deployment of the same name has none."""
    inventory = Inventory(
        cluster="default",
        templates=(template_of("report", kind="CronJob"), template_of("other")),
        schedules=(
            Schedule(namespace="shop", name="report", schedule="0 3 * * *"),
            Schedule(namespace="shop", name="other", schedule="0 3 * * *"),
        ),
    )
    found = declared_runs(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert [(str(one.workload), one.schedule) for one in found] == [("shop/report", "0 3 * * *")]


def test_ports_that_services_expose() -> None:
    """The ports of the pods behind a Service of type NodePort or LoadBalancer, in the families of its addresses."""
    exposure = Exposure(kind=ExposureKind.NODE_PORT, local=True)
    dual = service_of(port_of(8080), exposure=exposure, addresses=("10.96.0.7", "fd00:96::7"))
    inside = service_of(port_of(9090), name="inside")
    inventory = Inventory(cluster="default", pods=(pod_of(), pod_of("db", "10.0.0.9")), services=(dual, inside))
    (found,) = declared_exposures(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert (str(found.workload), found.protocol, found.port, found.families) == ("shop/cart", "TCP", 8080, (4, 6))
    assert (found.declared_by, found.exposure) == ("Service shop/cart (NodePort)", exposure)


def test_resolvers_are_behind_services_with_port_53() -> None:
    """On the port of their pods, by either protocol; other Services answer no names."""
    ports = (NamedPort(name="dns", protocol="UDP", number=5353),)
    dns = service_of(ServicePort(name="dns", protocol="UDP", number=53, target="dns"), port_of(53, 53, "dns-tcp"))
    inventory = Inventory(
        cluster="default",
        pods=(pod_of(ports=ports), pod_of("db", "10.0.0.9")),
        services=(dns, service_of(port_of(8080), name="web", selector=Labels.of({"app": "db"}))),
    )
    found = declared_resolvers(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert [(str(one.workload), one.protocol, one.port) for one in found] == [
        ("shop/cart", "TCP", 53),
        ("shop/cart", "UDP", 5353),
    ]


def test_probed_ports_are_those_of_all_pods_of_a_workload() -> None:
    """Two versions of a workload may be probed on two ports; one without probes has none."""
    inventory = Inventory(
        cluster="default",
        pods=(
            pod_of(probes=(8080,)),
            pod_of(address="10.0.0.3", name="cart-2", probes=(9090,)),
            pod_of("db", "10.0.0.9"),
        ),
    )
    found = declared_probes(inventory, unify(workload_rows_of(inventory)).ref_of)
    assert {str(ref): ports for ref, ports in found.items()} == {"shop/cart": frozenset({8080, 9090})}
