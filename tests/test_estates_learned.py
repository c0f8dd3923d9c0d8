"""Three public estates, learned from flow records of their call graphs: what is written allows them and nothing else.

Manifests, call graphs and hand-written policies are as published (origins: ``../shared/data/SOURCES.md``). Pods, nodes,
addresses and the records are made here: either with addresses alone, the server being a Service's address, so that only
the inventory tells who is who; or with labels, probes of the kubelet and calls of pods, as Hubble writes them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery.app.options import SuggestOptions
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect, Mode, Origin
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels, WorkloadRef, WorkloadVersion
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from tests.discovery.verify.builders import platform
from tests.estate import NODES, Party, Record, Run, connection, reserved, run

CREATED = "2026-10-01T00:00:00Z"
HASH = "6c9f7d8b54"
PLATFORMS = ("kubernetes=1.31", "cilium=1.18", "calico=3.30")
RESOLVER = "kube-system/coredns"

Object = dict[str, Any]
# Client, server and port of a pod, by the names of workloads.
Call = tuple[str, str, int]


@dataclass(frozen=True, kw_only=True)
class Estate:
    """An estate. ``calls`` name the Service's port; ``targets`` are the calls at the ports of pods; ``published`` are
    files that are given to the tool as they are, of which ``objects`` are the content; ``policies`` are hand-written;
    ``exposed`` is the Service for clients outside of the cluster, none of which any record shows.
    """

    namespace: str
    calls: frozenset[Call]
    published: tuple[Path, ...]
    objects: tuple[Object, ...]
    policies: tuple[Path, ...] = ()
    exposed: str = ""

    def of_kind(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind by name, sorted."""
        found = {one["metadata"]["name"]: one for one in self.objects if one["kind"] == kind}
        return dict(sorted(found.items()))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of all workloads."""
        return tuple(self.of_kind("Deployment"))

    @functools.cached_property
    def parties(self) -> Mapping[str, Party]:
        """Return one pod per workload."""
        return {
            name: Party(
                address=f"10.0.{1 + number % 2}.{10 + number}",
                namespace=self.namespace,
                owner=name,
                pod=f"{name}-{HASH}-k2xqv",
                labels=one["spec"]["template"]["metadata"]["labels"],
                account=one["spec"]["template"]["spec"].get("serviceAccountName", "default"),
                node=("node-a", "node-b")[number % 2],
            )
            for number, (name, one) in enumerate(self.of_kind("Deployment").items())
        }

    @functools.cached_property
    def addresses(self) -> Mapping[str, str]:
        """Return the cluster IP of each Service."""
        return {name: f"10.96.7.{10 + number}" for number, name in enumerate(self.of_kind("Service"))}

    @property
    def ports(self) -> frozenset[int]:
        """Return every port that any Service has, before and after translation, and one that none has."""
        both = (
            (port["port"], self.target(name, port["port"]))
            for name, one in self.of_kind("Service").items()
            for port in one["spec"]["ports"]
        )
        return frozenset(number for pair in both for number in pair) | {1}

    def target(self, service: str, number: int) -> int:
        """Return the port of the pods behind a port of a Service, looked up in the container where it is named."""
        spec = self.of_kind("Service")[service]["spec"]
        target = next(port.get("targetPort", number) for port in spec["ports"] if port["port"] == number)
        (server,) = (
            one for one in self.of_kind("Deployment").values()
            if spec["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        )  # fmt: skip
        named = {p.get("name"): p["containerPort"] for c in containers(server) for p in c.get("ports", [])}
        return target if isinstance(target, int) else int(named[target])

    @property
    def targets(self) -> frozenset[Call]:
        """Return the calls at the ports of pods."""
        return frozenset((client, server, self.target(server, port)) for client, server, port in self.calls)

    @property
    def callers(self) -> frozenset[str]:
        """Return the workloads that call another."""
        return frozenset(client for client, _, _ in self.calls)

    @property
    def called(self) -> frozenset[str]:
        """Return the workloads that another calls."""
        return frozenset(server for _, server, _ in self.calls)

    @property
    def probes(self) -> frozenset[tuple[str, int]]:
        """Return the workloads that the kubelet probes, with the port."""
        return frozenset(
            (name, action["port"])
            for name, one in self.of_kind("Deployment").items()
            for container in containers(one)
            for kind in ("livenessProbe", "readinessProbe")
            for action in container.get(kind, {}).values()
            if isinstance(action, Mapping) and "port" in action
        )


def containers(deployment: Object) -> list[Object]:
    """Return the containers of a Deployment."""
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def documents(paths: Iterable[Path]) -> tuple[Object, ...]:
    """Return the objects of YAML files."""
    return tuple(one for path in paths for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one)


def boutique(folder: Path) -> Estate:
    """Return Online Boutique, whose call graph was derived from the environment of its workloads."""
    home = folder / "online-boutique"
    graph = json.loads((home / "callgraph-online-boutique.json").read_text(encoding="utf-8"))
    published = tuple(sorted((home / "kubernetes-manifests").glob("*.yaml")))
    return Estate(
        namespace="default",
        calls=frozenset((edge["src"], edge["dst"], edge["service_port"]) for edge in graph["edges"]),
        published=published,
        objects=tuple(one for one in documents(published) if "metadata" in one),
        policies=tuple(sorted((home / "network-policies").glob("network-policy-*.yaml"))),
        exposed="frontend-external",
    )


# What Sock Shop calls and its own policies cut by bugs: two policies name `cart`, where the pods are labelled `carts`;
# and session-db is denied by default without any policy that lets the front end in.
CUT_BY_BUGS: frozenset[Call] = frozenset(
    {
        ("front-end", "carts", 80), ("orders", "carts", 80), ("carts", "carts-db", 27_017),
        ("front-end", "session-db", 6_379),
    }
)  # fmt: skip


def sock_shop(folder: Path) -> Estate:
    """Return Sock Shop, whose calls are those that its policies name, and those that they cut by bugs."""
    home = folder / "sock-shop"
    rows = json.loads((home / "allowed-by-policy.nca.json").read_text(encoding="utf-8"))
    named: set[Call] = set()
    for row in rows:
        if row.get("src_pods", ["*"]) != ["*"] and "dst_pods" in row:
            for client in listed(row["src_pods"]):
                for server in listed(row["dst_pods"]):
                    named |= {(client, server, port) for one in row["connection"] for port in one["dst_ports"]}
    published = (home / "complete-demo.yaml",)
    return Estate(
        namespace="sock-shop",
        calls=frozenset(named) | CUT_BY_BUGS,
        published=published,
        objects=documents(published),
        policies=tuple(sorted((home / "manifests-policy").glob("*.yaml"))),
        exposed="front-end",
    )


def listed(pods: list[str]) -> list[str]:
    """Return the names in ``name in (a,b)`` or ``a``."""
    return [name for text in pods for name in text.rpartition("(")[2].rstrip(")").split(",")]


def otel(folder: Path) -> Estate:
    """Return the OpenTelemetry demo, of which the call graph alone is published: plain objects are made for it."""
    graph = json.loads((folder / "callgraph-opentelemetry-demo.json").read_text(encoding="utf-8"))
    calls = frozenset((edge["src"], edge["dst"], edge["port"]) for edge in graph["edges"])
    objects: list[Object] = []
    for name in graph["services"]:
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "opentelemetry-demo"}
        ports = sorted({port for _, server, port in calls if server == name})
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name}]}}
        objects.append(thing("Deployment", name, "otel-demo", spec={"template": template}))
        if ports:
            spec = {"selector": labels, "ports": [{"name": f"p{port}", "port": port} for port in ports]}
            objects.append(thing("Service", name, "otel-demo", spec=spec))
    return Estate(namespace="otel-demo", calls=calls, published=(), objects=tuple(objects))


ESTATES = {"online-boutique": boutique, "sock-shop": sock_shop, "opentelemetry-demo": otel}
DNS = Party(address="10.0.2.253", namespace="kube-system", owner="coredns", pod=f"coredns-{HASH}-k2xqv",
            labels={"k8s-app": "kube-dns"}, account="coredns", node="node-b")  # fmt: skip
DNS_ADDRESS = "10.96.0.10"


def thing(kind: str, name: str, namespace: str = "", **body: Any) -> Object:
    """Return an object that a cluster holds."""
    metadata = {"name": name, "creationTimestamp": CREATED, **({"namespace": namespace} if namespace else {})}
    return {"kind": kind, "metadata": {**metadata, **body.pop("metadata", {})}, **body}


def live_pod(party: Party, spec: Object) -> Object:
    """Return the Pod that a Deployment made through its ReplicaSet."""
    owner = {"kind": "ReplicaSet", "name": f"{party.owner}-{HASH}", "controller": True}
    return thing(
        "Pod", party.pod, party.namespace,
        metadata={"labels": {**party.labels, "pod-template-hash": HASH}, "ownerReferences": [owner]},
        spec={**spec, "serviceAccountName": party.account}, status={"phase": "Running", "podIP": party.address},
    )  # fmt: skip


def live(estate: Estate) -> list[Object]:
    """Return what the cluster adds: nodes, namespaces, the resolver, pods, and Services with their addresses."""
    named = [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    port = {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"}
    dns = {"clusterIP": DNS_ADDRESS, "selector": {"k8s-app": "kube-dns"}, "ports": [port]}
    labels = {"kubernetes.io/metadata.name": estate.namespace}
    found = [
        *(thing("Node", n, status={"addresses": [{"type": "InternalIP", "address": a}]}) for n, a in NODES.items()),
        thing("Namespace", estate.namespace, metadata={"labels": labels}),
        thing("Namespace", "kube-system", metadata={"labels": {"kubernetes.io/metadata.name": "kube-system"}}),
        thing("Service", "kube-dns", "kube-system", spec=dns),
        live_pod(DNS, {"containers": [{"name": "coredns", "ports": named}]}),
    ]
    for name, one in estate.of_kind("Deployment").items():
        found.append(live_pod(estate.parties[name], one["spec"]["template"]["spec"]))
    for name, one in estate.of_kind("Service").items():
        spec = {**one["spec"], "clusterIP": estate.addresses[name]}
        found.append(thing("Service", name, estate.namespace, spec=spec))
    return found


def by_addresses(estate: Estate) -> Iterator[Record]:
    """Yield records with addresses alone, as the client's node sees them: Services are not translated yet. Every
    workload looks up names.
    """
    calls = [(client, estate.addresses[server], port, "TCP") for client, server, port in sorted(estate.calls)]
    calls += [(name, DNS_ADDRESS, 53, "UDP") for name in estate.names]
    for number, (client, address, port, protocol) in enumerate(calls):
        for record in connection(
            estate.parties[client], Party(address=address), port, protocol, at=number, sport=40_000 + number,
            ends=("client",),
        ):  # fmt: skip
            yield {**record, "flow": {k: v for k, v in record["flow"].items() if k not in ("source", "destination")}}


def by_labels(estate: Estate) -> Iterator[Record]:
    """Yield records as Hubble writes them, with replies and from both ends: calls, look-ups of callers, and probes."""
    number = 0
    for client, server, port in sorted(estate.targets):
        number += 1
        yield from connection(estate.parties[client], estate.parties[server], port, at=number, sport=40_000 + number)
    for client in sorted(estate.callers):
        number += 1
        yield from connection(estate.parties[client], DNS, 53, "UDP", at=number, sport=40_000 + number)
    for name, port in sorted(estate.probes):
        number += 1
        probed = estate.parties[name]
        node = reserved("host", address=NODES[probed.node or ""])
        yield from connection(node, probed, port, at=number, sport=40_000 + number, ends=("server",))


VARIANTS = {"addresses": by_addresses, "labels": by_labels}


@dataclass(frozen=True, kw_only=True)
class Case:
    """An estate, what was learned from its records, and what that should be."""

    estate: Estate
    variant: str
    done: Run

    @property
    def looking_up(self) -> frozenset[str]:
        """Return the workloads that were seen to look up names."""
        return frozenset(self.estate.names) if self.variant == "addresses" else self.estate.callers

    @property
    def probed(self) -> frozenset[tuple[str, int]]:
        """Return the workloads that were seen being probed, with the port."""
        return self.estate.probes if self.variant == "labels" else frozenset()

    @property
    def open_pairs(self) -> frozenset[Call]:
        """Return what no evidence isolates: from workloads that opened nothing to workloads that nothing opened."""
        reached = self.estate.called | {name for name, _ in self.probed}
        return frozenset(
            (client, server, port)
            for client in set(self.estate.names) - self.looking_up
            for server in set(self.estate.names) - reached
            for port in self.estate.ports
            if client != server
        )

    def ends(self) -> dict[str, PodEnd]:
        """Return every workload as the evaluator takes it, by what the published templates say."""
        return {
            name: PodEnd(version=version(party), address=party.address) for name, party in self.estate.parties.items()
        }


def version(party: Party) -> WorkloadVersion:
    """Return the attributes of a pod."""
    return WorkloadVersion(
        ref=WorkloadRef(cluster="default", namespace=party.namespace, kind="Deployment", name=party.owner),
        labels=Labels.of(party.labels),
        service_account=party.account,
        namespace_labels=Labels.of({"kubernetes.io/metadata.name": party.namespace}),
        valid_from=0,
        valid_to=1,
    )


CASES = [f"{estate}-{variant}" for estate in ESTATES for variant in VARIANTS]
# The estates that come with hand-written policies, and with a Service for clients outside of the cluster.
WRITTEN = [name for name in CASES if not name.startswith("opentelemetry-demo")]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return an estate with what enforcing policies were learned from one variant of its records."""
    name, _, variant = str(request.param).rpartition("-")
    estate = ESTATES[name](shared / "data" / "estates")
    folder = tmp_path_factory.mktemp("estate")
    made = folder / "cluster.yaml"
    extra = live(estate) if estate.published else [*estate.objects, *live(estate)]
    made.write_text(yaml.safe_dump({"kind": "List", "items": extra}, sort_keys=False), encoding="utf-8")
    options = SuggestOptions(workers=0, mode=Mode.ENFORCE, inventory=(*estate.published, made))
    return Case(estate=estate, variant=variant, done=run(folder, VARIANTS[variant](estate), options=options))


def test_learned_edges(case: Case) -> None:
    """What is learned is the call graph at the ports of pods, the look-ups and the probes; nothing is left over."""
    where = case.estate.namespace
    expected = {f"{where}/{client} -> {where}/{server} TCP/{port}" for client, server, port in case.estate.targets}
    expected |= {f"{where}/{name} -> {RESOLVER} UDP/53" for name in case.looking_up}
    expected |= {f"host -> {where}/{name} TCP/{port}" for name, port in case.probed}
    assert set(case.done.edges) == expected
    assert case.done.unlearned == {}


def evaluator(case: Case, spec: str) -> Evaluator:
    """Return the evaluator of the files written for a platform."""
    dialect = Dialect(spec.partition("=")[0])
    texts = {path: text for path, text in case.done.policies().items() if path.startswith(f"{dialect}/")}
    found = read_policies(texts)
    assert found.ok
    return Evaluator(found.policies, platform(spec))


def allowed(judge: Evaluator, ends: Mapping[str, PodEnd], ports: Iterable[int]) -> frozenset[Call]:
    """Return what policies allow between all pairs of workloads; every answer is certain."""
    found: set[Call] = set()
    for client, here in ends.items():
        for server, there in ends.items():
            for port in () if client == server else sorted(ports):
                probe = Probe(client=here, server=there, protocol=Protocol.TCP, port=port)
                outcome = judge.decide(probe).outcome
                assert outcome is not Outcome.UNKNOWN, (client, server, port)
                if outcome is Outcome.ALLOWED:
                    found.add((client, server, port))
    return frozenset(found)


@pytest.mark.parametrize("spec", PLATFORMS)
def test_allowed_pairs(case: Case, spec: str) -> None:
    """Enforced, the files allow the call graph and no other port of any pair that was shown to be in use."""
    assert allowed(evaluator(case, spec), case.ends(), case.estate.ports) == case.estate.targets | case.open_pairs


@pytest.mark.parametrize("spec", PLATFORMS)
def test_declared_additions(case: Case, spec: str) -> None:
    """Enforced, the files let callers resolve names over UDP and TCP, and let the kubelet probe where it was seen."""
    judge, ends = evaluator(case, spec), case.ends()
    server = PodEnd(version=version(DNS), address=DNS.address)
    for name in sorted(case.looking_up):
        for protocol in (Protocol.UDP, Protocol.TCP):
            probe = Probe(client=ends[name], server=server, protocol=protocol, port=53)
            assert judge.decide(probe).outcome is Outcome.ALLOWED, (name, protocol)
    for name, port in sorted(case.probed):
        own = case.estate.parties[name].node or ""
        node = EntityEnd(entity=Entity.HOST, address=NODES[own])
        probe = Probe(client=node, server=ends[name], protocol=Protocol.TCP, port=port)
        assert judge.decide(probe).outcome is Outcome.ALLOWED, (name, port)


def test_nothing_else_is_added(case: Case) -> None:
    """No rule rests on anything but a record, except that look-ups may go over TCP: no client from outside was seen."""
    added = {
        (str(intent.workload), intent.direction, allow.origin, allow.protocol, allow.ports)
        for intent in case.done.suggestion.learned.intents
        for allow in intent.allows
        if allow.origin is not Origin.OBSERVED
    }
    assert added == {
        (f"{case.estate.namespace}/{name}", Direction.EGRESS, Origin.DNS, Protocol.TCP, PortSet.of(53))
        for name in case.looking_up
    }


@pytest.mark.parametrize("case", WRITTEN, indirect=True)
def test_exposure_without_clients_is_listed(case: Case) -> None:
    """A Service for clients outside of the cluster is listed where no client from outside was seen: an isolated
    ingress would cut them, though probes or pods of the cluster reach the same port.
    """
    where, name = case.estate.namespace, case.estate.exposed
    spec = case.estate.of_kind("Service")[name]["spec"]
    told = f"Service {where}/{name} ({spec['type']}) leads to TCP/{case.estate.target(name, 80)}"
    (subject,) = spec["selector"].values()
    unseen = [one for one in case.done.suggestion.diagnostics if one.code == "route-unseen"]
    assert [one.message.startswith(told) for one in unseen if one.subject == f"{where}/{subject}"] == [True]


def test_manifests_without_a_namespace(case: Case) -> None:
    """Published manifests that name no namespace make no workloads of a namespace without a name."""
    refs = {one.ref for one in case.done.suggestion.workloads.versions}
    assert {ref.namespace for ref in refs} == {case.estate.namespace, "kube-system"}


@pytest.mark.parametrize("case", WRITTEN, indirect=True)
def test_against_hand_written_policies(case: Case) -> None:
    """The estate's own policies allow more at the front end alone, and cut what their known bugs cut."""
    estate, ends = case.estate, case.ends()
    found = read_policies({path.name: path.read_text(encoding="utf-8") for path in estate.policies})
    theirs = allowed(Evaluator(found.policies, platform("kubernetes=1.31")), ends, estate.ports)
    ours = allowed(evaluator(case, "cilium=1.18"), ends, estate.ports)
    if estate.namespace == "sock-shop":
        # The front end is open on its port. `carts` is cut from its callers and from its database (two policies
        # name `cart`), and session-db from the front end (no policy lets it in).
        front, ports, cut = "front-end", frozenset({8_079}), CUT_BY_BUGS
    else:
        front, ports, cut = "frontend", estate.ports, frozenset()  # the front end is open on every port
    wide = {(client, front, port) for client in estate.names for port in ports if client != front}
    assert theirs - ours == wide - estate.targets
    # Nothing isolates the ingress of what no record shows as a server; their policies deny everything by default.
    assert ours - theirs == cut | case.open_pairs
