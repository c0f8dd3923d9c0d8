"""From judged edges to intents: one per workload and direction (rules 2, 3, 4 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import networkx as nx

from discovery.learn.declared import (
    api_servers_of,
    unresolved_calls,
    unseen_calls,
    unseen_routes,
    unseen_runs,
    with_calls,
)
from discovery.learn.dns import RESOLVERS, Resolver, dns_additions, find_resolvers
from discovery.learn.exposed import by_nodes_alone, with_exposed
from discovery.learn.externals import metadata_peers, private_externals
from discovery.learn.graph import build_graph, node_of
from discovery.learn.judge import EXPLANATIONS, Judged, Options, Reason, Ruling, judge
from discovery.learn.mesh import as_seen_by_policy, find_meshes, refuse, with_mesh
from discovery.learn.peers import (
    NodeAddresses,
    NodesOf,
    entity_addresses,
    peer_of,
    split_external,
    with_client_prefixes,
)
from discovery.learn.selectors import Basis, Choice, choose_all
from discovery.learn.system import is_system
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Evidence, Protocol, Verdict
from discovery.model.intent import Allow, CidrPeer, EntityPeer, Peer, PolicyIntent
from discovery.model.inventory import DeclaredCall, DeclaredExposure, DeclaredRun, Opener, UnresolvedCall
from discovery.model.mesh import MeshSign
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, WorkloadRef, WorkloadVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What was learned: intents (subjects only), all judged edges, how each workload is selected, diagnostics."""

    intents: tuple[PolicyIntent, ...]
    judged: tuple[Judged, ...]
    choices: Mapping[WorkloadRef, Choice]
    graph: nx.MultiDiGraph[Any] = field(compare=False)
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Which workloads get policies: those of ``namespaces`` (empty = all), system ones only on request, and none
    that is ``gone``.
    """

    namespaces: frozenset[str] = frozenset()
    include_system: bool = False
    gone: frozenset[WorkloadRef] = frozenset()

    def take(self, workload: WorkloadRef) -> bool:
        """Say whether a workload gets policies."""
        if workload in self.gone or (self.namespaces and workload.namespace not in self.namespaces):
            return False
        return self.include_system or not is_system(workload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known beside the flows: ``calls`` of the API server, ``routes`` of ingresses, gateways and monitors,
    ``exposures`` of Services and ``runs`` of CronJobs that objects of the cluster declare, ``meshes`` that
    an inventory shows (None: no member), ``resolvers`` by the Services that offer DNS, ports that kubelets probe,
    ``addresses`` of nodes and the API server, calls that are ``unresolved``, AUDIT edges that no existing policy
    explains (``unexplained``: not learned), and whether the sources show labels at all.
    """

    calls: tuple[DeclaredCall, ...] = ()
    routes: tuple[DeclaredCall, ...] = ()
    exposures: tuple[DeclaredExposure, ...] = ()
    runs: tuple[DeclaredRun, ...] = ()
    resolvers: tuple[DeclaredCall, ...] = ()
    probes: Mapping[WorkloadRef, frozenset[int]] = field(default_factory=dict)
    meshes: Mapping[WorkloadRef, MeshSign | None] = field(default_factory=dict)
    unresolved: tuple[UnresolvedCall, ...] = ()
    addresses: NodesOf = field(default_factory=dict)
    unexplained: frozenset[Edge] = frozenset()
    labels_shown: bool = True


def learn(
    edges: Iterable[Edge],
    versions: Iterable[WorkloadVersion],
    options: Options,
    subjects: Subjects,
    explicit_denies: frozenset[Edge] = frozenset(),
    told: Told | None = None,
) -> Learned:
    """Return the intents that edges support. Deterministic; the order of the inputs does not matter.

    ``explicit_denies`` are AUDIT edges that an explicit deny of the existing policies matches: never learned.
    """
    told = told or Told()
    known = tuple(versions)
    choices = choose_all(known, labels_shown=told.labels_shown)
    given = sorted(edges, key=_edge_order)
    nodes = NodeAddresses.of(given)
    split = [piece for edge in given for piece in split_external(edge, nodes)]
    explicit_denies |= {piece for edge in explicit_denies for piece in split_external(edge, nodes)}
    addresses = {direction: entity_addresses(split, direction, told.addresses) for direction in Direction}
    judged = tuple(
        _selectable(_present(_judge(edge, options, explicit_denies, told.unexplained), subjects.gone), choices)
        for edge in split
    )
    meshes = find_meshes(known, judged, told.meshes, choices)
    judged = tuple(_as_written(as_seen_by_policy(one, meshes), options) for one in judged)
    graph = build_graph(judged, choices)
    resolvers = find_resolvers(judged, choices, addresses[Direction.EGRESS], told.resolvers)
    intents: list[PolicyIntent] = []
    diagnostics: list[Diagnostic] = []
    for workload, choice in choices.items():
        if not subjects.take(workload) or not graph.degree(workload):
            continue
        diagnostics += _selector_diagnostics(choice)
        for direction in Direction:
            own = addresses[direction].get(workload.cluster, {})
            intent = _intent(choice, direction, graph, choices, own)
            if intent is None:
                continue
            if direction is Direction.EGRESS and intent.isolate:
                intent = _with(intent, dns_additions(workload, intent.allows, resolvers))
                diagnostics += _dns_diagnostics(intent)
            intents.append(intent)
    servers = api_servers_of(judged, addresses[Direction.INGRESS])
    intents = _with_declared([_open_resolver(intent, resolvers) for intent in intents], told, servers)
    diagnostics += _unseen(told, subjects, judged)
    intents, unproven = refuse(
        [with_mesh(intent, meshes) for intent in intents], _learned_of(judged), meshes, enforce=options.enforce
    )
    diagnostics += unproven
    intents, filtered = without_tcp(intents, judged)
    diagnostics += filtered
    diagnostics += _peer_findings(intents, told)
    return Learned(
        intents=tuple(intents),
        judged=judged,
        choices=choices,
        graph=graph,
        diagnostics=tuple(sorted(set(diagnostics), key=_diagnostic_order)),
    )


def _peer_findings(intents: list[PolicyIntent], told: Told) -> list[Diagnostic]:
    """Return what a person should know of peers by address, and of clients that came through nodes."""
    exposures = _by_workload(told.exposures)
    by_nodes = [one for intent in intents for one in by_nodes_alone(intent, exposures.get(intent.workload, ()))]
    return [*private_externals(intents), *metadata_peers(intents), *by_nodes]


def _with_declared(intents: list[PolicyIntent], told: Told, servers: Mapping[str, EntityPeer]) -> list[PolicyIntent]:
    """Return the intents with what objects declare of their callers; ``servers`` are API servers by cluster."""
    calls, exposures = _by_workload(told.calls), _by_workload(told.exposures)
    unresolved: dict[tuple[str, str], list[UnresolvedCall]] = {}
    for call in told.unresolved:
        unresolved.setdefault((call.cluster, call.namespace), []).append(call)
    found = []
    for intent in intents:
        ref = intent.workload
        nodes = told.addresses.get(ref.cluster, {}).get(EndpointKind.REMOTE_NODE, ())
        lost = unresolved.get((ref.cluster, ref.namespace), ())
        called = with_calls(intent, calls.get(ref, ()), lost, servers.get(ref.cluster))
        found.append(with_exposed(called, exposures.get(ref, ()), nodes, told.probes.get(ref, frozenset())))
    return found


_Declared = TypeVar("_Declared", DeclaredCall, DeclaredExposure)


def _by_workload(declared: Iterable[_Declared]) -> dict[WorkloadRef, list[_Declared]]:
    """Return what is declared of each workload."""
    found: dict[WorkloadRef, list[_Declared]] = {}
    for one in declared:
        found.setdefault(one.workload, []).append(one)
    return found


def without_tcp(intents: list[PolicyIntent], judged: tuple[Judged, ...]) -> tuple[list[PolicyIntent], list[Diagnostic]]:
    """Return the intents, none isolated where no delivered record is of TCP: there is no cluster without, so the export
    is filtered, and what else these pods do is not known (rule 8). Where none is of UDP, that is said.
    """
    seen = {one.edge.protocol for one in judged if one.edge.verdict in (Verdict.ACCEPTED, Verdict.AUDIT)}
    absent = [protocol for protocol in (Protocol.TCP, Protocol.UDP) if seen and protocol not in seen]
    found = [
        Diagnostic(
            code="protocol-unseen",
            level=Level.WARNING,
            subject="input",
            message=f"no delivered record is of {protocol}, so the export seems filtered by protocol: "
            + ("no direction is isolated" if protocol is Protocol.TCP else "what else these pods do is not known"),
            hint="take the filter on protocols out of the export, or give the records that it leaves out as well",
        )
        for protocol in absent
    ]
    if Protocol.TCP not in absent:
        return intents, found
    why = "no delivered record is of TCP, so the export seems filtered by protocol"
    return [replace(one, isolate=False, reasons=(why,)) if one.isolate else one for one in intents], found


def _unseen(told: Told, subjects: Subjects, judged: tuple[Judged, ...]) -> list[Diagnostic]:
    """Return what objects declare of subjects, and of the platform, and no learned edge shows."""
    gateways = frozenset(one.workload for one in told.exposures)
    everyone = replace(subjects, include_system=True)  # a cut webhook of the platform stops all others
    return [
        *unresolved_calls(told.unresolved),
        *unseen_calls((call for call in told.calls if everyone.take(call.workload)), judged),
        *unseen_routes((one for one in _leading(told) if subjects.take(one.workload)), judged, gateways, told.probes),
        *unseen_runs((run for run in told.runs if subjects.take(run.workload)), judged),
    ]


def _leading(told: Told) -> Iterator[DeclaredCall]:
    """Yield what leads to ports of workloads: routes, and Services for clients outside of the cluster."""
    yield from told.routes
    for one in told.exposures:
        yield DeclaredCall(
            workload=one.workload, protocol=one.protocol, port=one.port, declared_by=one.declared_by,
            opener=Opener.OUTSIDE,
        )  # fmt: skip


def _open_resolver(intent: PolicyIntent, resolvers: tuple[Resolver, ...]) -> PolicyIntent:
    """Return an intent that leaves the ingress of a resolver open: workloads that no window has shown ask it too."""
    serves = intent.workload in {resolver.workload for resolver in resolvers} or intent.workload.name in RESOLVERS
    if intent.direction is not Direction.INGRESS or not serves or not intent.isolate:
        return intent
    why = "it resolves names, also for workloads that this window did not show"
    return replace(intent, isolate=False, reasons=(why,))


def _with(intent: PolicyIntent, added: Iterable[Allow]) -> PolicyIntent:
    """Return an intent with further allows, in order."""
    return replace(intent, allows=tuple(sorted((*intent.allows, *added), key=_allow_order)))


def _as_written(one: Judged, options: Options) -> Judged:
    """Return a judged edge as people will read it: clients by their prefixes, unless their addresses were asked for."""
    edge = with_client_prefixes(one.edge) if options.client_prefixes else one.edge
    return one if edge is one.edge else replace(one, edge=edge)


def _learned_of(judged: Iterable[Judged]) -> Mapping[WorkloadRef, list[Edge]]:
    """Return the learned edges of each workload."""
    found: dict[WorkloadRef, list[Edge]] = {}
    for one in judged:
        for end in {one.edge.client.workload, one.edge.server.workload} if one.ruling is Ruling.LEARN else ():
            if end is not None:
                found.setdefault(end, []).append(one.edge)
    return found


def _judge(edge: Edge, options: Options, explicit_denies: frozenset[Edge], unexplained: frozenset[Edge]) -> Judged:
    """Judge an edge, explicit denies first, then what may be one."""
    if edge in explicit_denies:
        return Judged(edge=edge, ruling=Ruling.REVIEW, reason=Reason.EXPLICIT_DENY)
    if edge in unexplained:
        return Judged(edge=edge, ruling=Ruling.REVIEW, reason=Reason.AUDIT)
    return judge(edge, options)


def _present(one: Judged, gone: frozenset[WorkloadRef]) -> Judged:
    """Leave an accepted edge of a workload that is gone to review: a rule for it would select nothing."""
    if one.ruling is not Ruling.REVIEW and gone & {one.edge.client.workload, one.edge.server.workload}:
        return Judged(edge=one.edge, ruling=Ruling.REVIEW, reason=Reason.GONE)
    return one


def _selectable(one: Judged, choices: Mapping[WorkloadRef, Choice]) -> Judged:
    """Turn a learned edge into an undecided one when nothing tells one of its ends apart (rule 4)."""
    ends = (one.edge.client.workload, one.edge.server.workload)
    if one.ruling is Ruling.LEARN and any(end is not None and choices[end].selector is None for end in ends):
        return Judged(edge=one.edge, ruling=Ruling.UNDECIDED, reason=Reason.NOT_SELECTABLE)
    return one


def _touching(workload: WorkloadRef, direction: Direction, graph: nx.MultiDiGraph[Any]) -> list[Judged]:
    """Return the judged edges of a workload in one direction; those of unknown direction count for both."""
    into = [data["judged"] for _, _, data in graph.in_edges(workload, data=True)]
    out = [data["judged"] for _, _, data in graph.out_edges(workload, data=True)]
    own, other = (into, out) if direction is Direction.INGRESS else (out, into)
    return own + [one for one in other if one.reason in (Reason.DIRECTION, Reason.INFERRED) and one not in own]


def _intent(
    choice: Choice,
    direction: Direction,
    graph: nx.MultiDiGraph[Any],
    choices: Mapping[WorkloadRef, Choice],
    addresses: Mapping[EndpointKind, tuple[str, ...]],
) -> PolicyIntent | None:
    """Return the intent of a workload in one direction, or None when there is nothing to say about it."""
    if choice.selector is None:
        return None
    touching = _touching(choice.workload, direction, graph)
    learned = [one.edge for one in touching if one.ruling is Ruling.LEARN]
    undecided = [one for one in touching if one.ruling is Ruling.UNDECIDED]
    if not learned and not undecided:
        return None
    reasons = sorted({f"{EXPLANATIONS[one.reason]}: {one.edge}" for one in undecided if one.reason is not None})
    return PolicyIntent(
        workload=choice.workload,
        subject=choice.selector,
        direction=direction,
        allows=_allows(learned, direction, choices, addresses),
        isolate=bool(learned) and not undecided,
        reasons=tuple(reasons),
    )


def _allows(
    edges: list[Edge],
    direction: Direction,
    choices: Mapping[WorkloadRef, Choice],
    addresses: Mapping[EndpointKind, tuple[str, ...]],
) -> tuple[Allow, ...]:
    """Return one allow per peer, protocol and port (or ICMP type), with the joined evidence of its edges."""
    found: dict[tuple[Peer, Protocol, int], Evidence] = {}
    carried: dict[tuple[Peer, Protocol, int], PortSet] = {}
    external: dict[tuple[Protocol, int], list[Edge]] = {}
    for edge in edges:
        end = edge.client if direction is Direction.INGRESS else edge.server
        number = edge.port if edge.port is not None else edge.icmp_type
        if edge.protocol is None or number is None:
            continue  # judged undecided before: kept only for the type checker
        if end.kind is EndpointKind.EXTERNAL:
            external.setdefault((edge.protocol, number), []).append(edge)
            continue
        peer = peer_of(end, choices, addresses)
        if peer is not None:
            key = (peer, edge.protocol, number)
            found[key] = join_evidence(found[key], edge.evidence) if key in found else edge.evidence
            if edge.application_port is not None:
                carried[key] = carried.get(key, PortSet()) | PortSet.of(edge.application_port)
    for (protocol, number), group in external.items():
        ends = [edge.client if direction is Direction.INGRESS else edge.server for edge in group]
        names = sorted({name for end in ends for name in end.names})
        merged = replace(
            ends[0], addresses=tuple(sorted({a for end in ends for a in end.addresses})), names=tuple(names)
        )
        peer = peer_of(merged, choices, addresses)
        if isinstance(peer, CidrPeer):
            evidence = group[0].evidence
            for edge in group[1:]:
                evidence = join_evidence(evidence, edge.evidence)
            found[peer, protocol, number] = evidence
    return tuple(
        sorted(
            (_allow(*key, evidence, carried.get(key, PortSet())) for key, evidence in found.items()),
            key=_allow_order,
        )
    )


def _allow(peer: Peer, protocol: Protocol, number: int, evidence: Evidence, carries: PortSet) -> Allow:
    """Return one observed allow."""
    if protocol.has_ports:
        return Allow(peer=peer, protocol=protocol, ports=PortSet.of(number), evidence=evidence, carries=carries)
    return Allow(peer=peer, protocol=protocol, icmp_types=(number,), evidence=evidence)


def join_evidence(first: Evidence, second: Evidence) -> Evidence:
    """Return the evidence of two sets of flows together; pods are at least the larger count."""
    counted = [count for count in (first.connections, second.connections) if count is not None]
    return Evidence(
        flow_records=first.flow_records + second.flow_records,
        connections=sum(counted) if counted else None,
        first_seen=min(first.first_seen, second.first_seen),
        last_seen=max(first.last_seen, second.last_seen),
        hours=first.hours | second.hours,
        days=max(first.days, second.days),
        sources=tuple(sorted({*first.sources, *second.sources})),
        reporters=tuple(sorted({*first.reporters, *second.reporters})),
        client_pods=max(first.client_pods, second.client_pods),
        server_pods=max(first.server_pods, second.server_pods),
    )


def _selector_diagnostics(choice: Choice) -> list[Diagnostic]:
    """Say how a workload is selected when it is not by labels."""
    subject = str(choice.workload)
    if choice.selector is None:
        others = ", ".join(str(other) for other in choice.confused_with[:5])
        hint = "give its pods a label of their own, for example app.kubernetes.io/name"
        if not others:
            others = "whatever else is in its namespace"
            hint = "export the labels of pods, or add an inventory with --inventory"
        return [
            Diagnostic(
                code="labels-cannot-tell-apart",
                level=Level.ERROR,
                subject=subject,
                message=f"no stable label or service account tells {subject} apart from {others}; it gets no policy",
                hint=hint,
            )
        ]
    if choice.basis is Basis.LABELS:
        return []
    what = (
        "its service account" if choice.basis is Basis.SERVICE_ACCOUNT else "its namespace, where nothing else was seen"
    )
    return [
        Diagnostic(
            code=f"selected-by-{choice.basis}",
            level=Level.WARNING,
            subject=subject,
            message=f"labels cannot tell {subject} apart: it is selected by {what}",
            hint="give its pods a label of their own, for example app.kubernetes.io/name",
        )
    ]


def _dns_diagnostics(intent: PolicyIntent) -> list[Diagnostic]:
    """Say when an isolated egress cannot resolve names."""
    if any(port in allow.ports for allow in intent.allows for port in (53, 5353)) or any(
        allow.origin == "dns" for allow in intent.allows
    ):
        return []
    return [
        Diagnostic(
            code="dns-resolver-unknown",
            level=Level.WARNING,
            subject=str(intent.workload),
            message=f"no name look-up was seen in the cluster, so the egress of {intent.workload} has no rule for DNS",
            hint="ingest flows that show DNS, or add the rule for your resolver by hand",
        )
    ]


def _edge_order(edge: Edge) -> tuple[object, ...]:
    """Return a total order of the edges of one rollup, whose key is what is compared."""
    return (
        str(node_of(edge.client)),
        str(node_of(edge.server)),
        edge.client.addresses,
        edge.server.addresses,
        edge.protocol or "",
        -1 if edge.port is None else edge.port,
        -1 if edge.icmp_type is None else edge.icmp_type,
        edge.verdict,
        edge.establishment,
        edge.evidence_class,
        edge.client.workload or (),
        edge.server.workload or (),
        edge.evidence.first_seen,
        edge.evidence.last_seen,
        edge.evidence.flow_records,
    )


def _allow_order(allow: Allow) -> tuple[object, ...]:
    """Return a total order of allows: observed before added, then by peer, protocol and port."""
    return (
        allow.origin != "observed",
        type(allow.peer).__name__,
        repr(allow.peer),
        allow.protocol,
        allow.ports,
        allow.icmp_types,
    )


def _diagnostic_order(diagnostic: Diagnostic) -> tuple[str, ...]:
    """Return a total order of diagnostics."""
    return (diagnostic.code, diagnostic.subject, diagnostic.message)
