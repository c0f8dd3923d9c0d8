"""What the dialects have in common: the request, what a dialect can say, and the way from intents to files.

A dialect module has one :class:`Writer` and a ``render`` that hands it to :func:`render_with`. Everything a
dialect module needs is importable from here and from :mod:`generators.yaml_writer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from discovery.model.artifact import OWNER_KEY, Artifact, Rendered
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.errors import RenderError
from discovery.model.intent import Allow, CidrPeer, Dialect, EntityPeer, Mode, Origin, Peer, PolicyIntent, WorkloadPeer
from discovery.model.networks import holds_private
from discovery.model.platform import Platform
from discovery.model.ports import MIN_PORT, PortSet
from discovery.model.workload import Entity, Selector, WorkloadRef
from generators.checks import (
    check_addresses,
    check_enforcing,
    check_entity,
    check_host,
    check_icmp,
    check_reach,
    check_selector,
    networks,
)
from generators.comments import Guide, content_name, evidence_line, header, not_isolated, peer_name
from generators.findings import Code, EntityForm, Inexpressible
from generators.grouping import GroupingStyle, PeerKind, RuleGroup, allow_id, group, in_order
from generators.keeping import keep
from generators.names import cluster_folder, is_label_value, manifest_names
from generators.yaml_writer import Commented, Node, clean, dump, plain

__all__ = [
    "MANAGED_BY",
    "PROMOTE",
    "Capabilities",
    "Code",
    "EntityForm",
    "GroupingStyle",
    "Guide",
    "Inexpressible",
    "PeerKind",
    "RenderRequest",
    "RuleGroup",
    "Writer",
    "allow_id",
    "check_enforcing",
    "check_host",
    "chunks",
    "is_label_value",
    "metadata",
    "networks",
    "port_ranges",
    "render_with",
]

Version = tuple[int, int]
Item = TypeVar("Item")

MANAGED_BY = "policy-discovery"
PROMOTE = "'discover promote' writes the enforcing form once replaying recent flows cuts nothing; apply that file"

# A range is written out, port by port, up to this many where the platform has no ranges.
MAX_WRITTEN_OUT = 40
_SHORT_RUN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """The intents to be written, for one platform and mode.

    ``existing_isolated`` are the workloads and directions that a policy in the cluster isolates already. ``remarks``
    are sentences for the header of every file. ``owners`` are label values of the owners of workloads that have one.
    ``kept`` are manifests that the files of workloads take the place of, as data: their rules are kept.
    """

    intents: tuple[PolicyIntent, ...]
    platform: Platform
    mode: Mode
    existing_isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    remarks: tuple[str, ...] = ()
    owners: Mapping[WorkloadRef, str] = field(default_factory=dict)
    kept: Mapping[WorkloadRef, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a dialect can say, by version of its platform; limits are None where the platform has none.

    ``monitor_since``: a form of the policy that changes no verdict exists. ``port_ranges_since``: a range of
    ports is one item. ``icmp_since``: ICMP types can be named (None: never), up to ``max_icmp_type``.
    ``workload_peers_since``: pods of a namespace given by name can be named. ``ports_per_item`` and
    ``nets_per_rule`` are the longest lists; ``rules_per_direction`` the most rules. ``own_host_calls``: the
    platform lets a pod's own node call it whatever a policy says, so no rule is needed.
    """

    dialect: Dialect
    monitor_since: Version
    port_ranges_since: Version
    icmp_since: Version | None
    max_icmp_type: int
    workload_peers_since: Version
    service_accounts: bool
    cross_cluster: bool
    own_host_calls: bool
    ports_per_item: int | None
    nets_per_rule: int | None
    rules_per_direction: int | None


class Writer(ABC):
    """What one dialect contributes. One writer serves one request."""

    capabilities: ClassVar[Capabilities]

    def __init__(self, request: RenderRequest) -> None:
        self.request = request
        self.platform = request.platform
        self.monitor = request.mode is Mode.MONITOR

    @property
    @abstractmethod
    def style(self) -> GroupingStyle:
        """Return what one rule can hold."""

    @property
    @abstractmethod
    def entities(self) -> EntityForm:
        """Return how nodes and the API server are written."""

    @property
    def nets_hold_pods(self) -> bool:
        """Say whether a prefix of addresses matches pods and nodes too, or may."""
        return True

    @property
    def own_node_needs_rule(self) -> bool:
        """Say whether a pod's own node, and so the kubelet's probes, are subject to policy on this platform."""
        return False

    def check_platform(self) -> None:
        """Raise :class:`Inexpressible` if the mode cannot be kept on this platform at all."""
        since = self.capabilities.monitor_since
        if self.monitor and self.platform.version < since:
            raise Inexpressible(
                Code.MONITOR_NOT_INERT,
                f"monitor mode needs {self.platform.dialect} {'.'.join(map(str, since))} or later",
                "upgrade the platform, or use --mode enforce",
            )

    def check_intent(self, intent: PolicyIntent) -> None:
        """Raise :class:`Inexpressible` if the subject cannot be selected, or the mode not kept for it."""
        check_selector(intent.subject, self.capabilities)

    def check_peer(self, intent: PolicyIntent, peer: Peer) -> None:
        """Raise :class:`Inexpressible` if a peer of the intent cannot be named."""
        if isinstance(peer, WorkloadPeer):
            check_selector(peer.selector, self.capabilities)
            check_reach(self, intent.subject, peer)
        elif isinstance(peer, EntityPeer):
            check_entity(self, peer)
        check_addresses(peer)

    @abstractmethod
    def rules(self, intent: PolicyIntent, rule: RuleGroup) -> Sequence[Mapping[str, Node]]:
        """Return the rules that say exactly what a group of the intent's allows says."""

    @abstractmethod
    def manifest(self, name: str, subject: Selector, sections: Mapping[Direction, Node]) -> dict[str, Node]:
        """Return the manifest that isolates the directions of ``sections`` (or would, in monitor mode)."""

    @abstractmethod
    def guide(self, name: str, namespace: str, directions: str) -> Guide:
        """Return what the header says; ``directions`` is ``ingress``, ``egress`` or ``ingress and egress``."""


def metadata(name: str, namespace: str, mode: Mode) -> dict[str, Node]:
    """Return the metadata of a manifest."""
    labels: dict[str, Node] = {"app.kubernetes.io/managed-by": MANAGED_BY, f"{MANAGED_BY}/mode": mode.value}
    return {"name": name, "namespace": namespace, "labels": labels}


def _owned(manifest: dict[str, Node], owner: str | None) -> dict[str, Node]:
    """Return a manifest with the label of its owner, by which all files of an owner can be found."""
    meta = manifest["metadata"]
    if owner is None or not isinstance(meta, dict):
        return manifest
    return {**manifest, "metadata": {**meta, "labels": {**meta["labels"], OWNER_KEY: owner}}}


def chunks(items: Sequence[Item], size: int | None) -> Iterator[Sequence[Item]]:
    """Yield ``items`` in order in parts of at most ``size``; None means one part."""
    for start in range(0, len(items), size or len(items) or 1):
        yield items[start : start + (size or len(items))]


def port_ranges(ports: PortSet, platform: Platform, capabilities: Capabilities) -> tuple[tuple[int, int], ...] | None:
    """Return inclusive port ranges as the platform can say them, or None for every port.

    A run of two ports is two ports: shorter to read, and safe where ranges are ignored. Raises
    :class:`Inexpressible` for port 0 (no platform has it, "0" would mean all) and for long ranges on platforms
    without ranges.
    """
    if ports == PortSet.all():
        return None
    if MIN_PORT in ports:
        raise Inexpressible(Code.PORT_ZERO, "port 0 cannot be named", "look at the source of these flows")
    ranged = platform.version >= capabilities.port_ranges_since
    ranges: list[tuple[int, int]] = []
    for low, high in ports.intervals:
        run = high - low + 1
        if run <= (_SHORT_RUN if ranged else MAX_WRITTEN_OUT):
            ranges += [(port, port) for port in range(low, high + 1)]
        elif ranged:
            ranges.append((low, high))
        else:
            since = ".".join(map(str, capabilities.port_ranges_since))
            raise Inexpressible(
                Code.PORT_RANGE,
                f"port range {low}-{high} needs {platform.dialect} {since} or later",
                "upgrade the platform or leave this direction open",
            )
    return tuple(ranges)


def render_with(writer: Writer) -> Rendered:
    """Return the files of one dialect, sorted by path, with a diagnostic for everything it could not say.

    Raises :class:`RenderError` for intents that contradict each other: two for one workload and direction, or
    directions with different subjects.
    """
    request = writer.request
    by_workload = _by_workload(request.intents)
    artifacts: list[Artifact] = []
    findings: set[Diagnostic] = set()
    try:
        if any(intent.isolate for intent in request.intents):
            writer.check_platform()
    except Inexpressible as problem:
        findings.add(_diagnostic(problem, str(request.platform), "no file is written"))
        by_workload = {}
    names = manifest_names(by_workload)
    spans_clusters = len({workload.cluster for workload in by_workload}) > 1
    for workload, intents in by_workload.items():
        sheet = _Sheet(writer, intents)
        findings |= sheet.findings
        if sheet.sections:
            folder = f"{cluster_folder(workload.cluster)}/" if spans_clusters else ""
            artifacts.append(sheet.artifact(names[workload], folder))
    return Rendered(
        platform=request.platform,
        mode=request.mode,
        artifacts=tuple(sorted(artifacts, key=lambda artifact: artifact.path)),
        diagnostics=tuple(sorted(findings, key=lambda found: (found.code, found.level, found.subject, found.message))),
    )


def _by_workload(intents: Iterable[PolicyIntent]) -> dict[WorkloadRef, tuple[PolicyIntent, ...]]:
    """Return the intents of each workload, ingress first, workloads in order."""
    found: dict[WorkloadRef, dict[Direction, PolicyIntent]] = {}
    for intent in intents:
        directions = found.setdefault(intent.workload, {})
        if intent.direction in directions:
            raise RenderError(f"{intent.workload} has two {intent.direction} intents")
        directions[intent.direction] = intent
        home = (intent.workload.cluster, intent.workload.namespace)
        subjects = {other.subject for other in directions.values()}
        if len(subjects) > 1 or (intent.subject.cluster, intent.subject.namespace) != home:
            raise RenderError(f"the intents of {intent.workload} have different subjects")
    order = (Direction.INGRESS, Direction.EGRESS)
    return {
        workload: tuple(found[workload][direction] for direction in order if direction in found[workload])
        for workload in sorted(found)
    }


class _Sheet:
    """One workload on its way to one file: each direction is a section, or a sentence on why it is not."""

    def __init__(self, writer: Writer, intents: Sequence[PolicyIntent]) -> None:
        self.writer = writer
        self.workload = intents[0].workload
        self.subject = intents[0].subject
        self.sections: dict[Direction, Node] = {}
        self.left_out: list[str] = []
        self.findings: set[Diagnostic] = set()
        for intent in intents:
            self._add(intent)

    def artifact(self, name: str, folder: str) -> Artifact:
        """Return the file of the sections."""
        writer, workload = self.writer, self.workload
        dialect = writer.capabilities.dialect
        manifest = _owned(writer.manifest(name, self.subject, self.sections), writer.request.owners.get(workload))
        if workload in writer.request.kept:
            manifest = keep(writer.request.kept[workload], manifest)
        guide = writer.guide(name, workload.namespace, " and ".join(self.sections))
        comments = header(
            workload, str(writer.platform), writer.request.mode, guide, [*self.left_out, *writer.request.remarks]
        )
        return Artifact(
            dialect=dialect,
            workload=workload,
            path=f"{dialect}/{folder}{workload.namespace}/{name}.yaml",
            text=dump(Commented(manifest, comments)),
            documents=(plain(manifest),),
            isolates=tuple(self.sections),
        )

    def _add(self, intent: PolicyIntent) -> None:
        """Take in a direction: it becomes a section, or a sentence on why it does not."""
        if not intent.isolate:
            self.left_out.append(not_isolated(intent.direction, intent.reasons))
            return
        problems = dict(self._problems(intent))
        if not problems:
            try:
                self.sections[intent.direction] = self._section(intent)
            except Inexpressible as problem:
                problems = {problem.code: problem}
        for found in problems.values():
            self.findings.add(_diagnostic(found, str(self.workload), f"{intent.direction} is left out"))
        if problems:
            self.left_out.append(not_isolated(intent.direction, [found.why for found in problems.values()]))

    def _problems(self, intent: PolicyIntent) -> Iterator[tuple[Code, Inexpressible]]:
        """Yield one finding for each kind of thing in a direction that cannot be said."""
        writer = self.writer
        try:
            writer.check_intent(intent)
        except Inexpressible as problem:
            yield problem.code, problem
        unsayable = {id(allow): why for allow, why in _unsayable(writer, intent)}
        found: dict[Code, tuple[str, Inexpressible, int]] = {}
        for allow in in_order(allow for allow in intent.allows if id(allow) in unsayable):
            why = unsayable[id(allow)]
            what = f"{peer_name(allow.peer)} {content_name(allow)}"
            first, kept, count = found.get(why.code, (what, why, 0))
            found[why.code] = (first, kept, count + 1)
        for code, (first, finding, count) in found.items():
            others = f" (and {count - 1} more)" if count > 1 else ""
            yield code, Inexpressible(code, f"{first}{others}: {finding.why}", finding.hint)

    def _section(self, intent: PolicyIntent) -> Node:
        """Return the rules of a direction, each with the evidence of its allows above it."""
        writer = self.writer
        free = [allow for allow in intent.allows if _needs_no_rule(writer, intent, allow)]
        needed = [allow for allow in intent.allows if allow not in free]
        rules: list[Node] = []
        for rule in group(needed, writer.style):
            comments = tuple(
                evidence_line(allow, rule, allow_id(intent.workload, intent.direction, allow)) for allow in rule.allows
            )
            for written in writer.rules(intent, rule):
                rules.append(Commented(written, comments))
                comments = ("the same, continued",)
        limit = writer.capabilities.rules_per_direction
        if limit is not None and len(rules) > limit:
            raise Inexpressible(
                Code.TOO_MANY_RULES,
                f"{len(rules)} rules are more than the {limit} that the platform takes",
                "give peers a common label, or split the workload",
            )
        self._remark(intent, free, needed)
        if not free:
            return rules
        names = sorted({f"{peer_name(allow.peer)} {content_name(allow)}" for allow in free})
        return Commented(rules, tuple(f"{name}: always allowed by the platform, needs no rule" for name in names))

    def _remark(self, intent: PolicyIntent, free: Iterable[Allow], needed: Iterable[Allow]) -> None:
        """Keep what a person should know about a direction that is written."""
        for allow in free:
            self._note(
                Code.ALWAYS_ALLOWED,
                Level.INFO,
                f"{intent.direction}: {peer_name(allow.peer)} {content_name(allow)} needs no rule, the platform always"
                " allows it",
                None,
            )
        for allow in needed:
            if isinstance(allow.peer, EntityPeer) and self.writer.entities is EntityForm.ADDRESS:
                self._note(
                    Code.ENTITY_BY_ADDRESS,
                    Level.WARNING,
                    f"{intent.direction}: {peer_name(allow.peer)} {content_name(allow)} is written as the"
                    f" addresses known ({len(allow.peer.addresses)}), so a new node is not allowed",
                    "run 'discover suggest' again when nodes come or go",
                )

        self._remark_ranges(intent, needed)
        entities = {allow.peer.entity for allow in intent.allows if isinstance(allow.peer, EntityPeer)}
        asked = self.writer.own_node_needs_rule and intent.direction is Direction.INGRESS
        if asked and Entity.HOST not in entities:
            self._note(
                Code.OWN_NODE_NOT_ALLOWED,
                Level.WARNING,
                "ingress: the node of a pod is subject to policy on this platform, and no call of it was seen: probes"
                " of the kubelet would be denied",
                "check that these pods have no probes, or learn from flows that show them",
            )

    def _remark_ranges(self, intent: PolicyIntent, needed: Iterable[Allow]) -> None:
        """Say where a range, declared or of clients, holds pods and nodes as well as the outside."""
        for allow in needed:
            peer = allow.peer
            ranges = isinstance(peer, CidrPeer) and (peer.clients or allow.origin is Origin.SERVICE)
            if ranges and self.writer.nets_hold_pods and any(map(holds_private, networks((peer,)))):
                self._note(
                    Code.RANGE_HOLDS_PODS,
                    Level.WARNING,
                    f"{intent.direction}: {peer_name(peer)} {content_name(allow)} is written as a range of"
                    " addresses, which also matches pods and nodes on this platform",
                    "put a policy of the platform's own before it if no pod may call this port",
                )

    def _note(self, code: Code, level: Level, message: str, hint: str | None) -> None:
        """Keep one finding that does not stop the direction."""
        subject = clean(str(self.workload))
        self.findings.add(Diagnostic(code=code, level=level, subject=subject, message=message, hint=hint))


def _diagnostic(problem: Inexpressible, subject: str, consequence: str) -> Diagnostic:
    """Return the error diagnostic of something that cannot be said."""
    message = f"{consequence}: {clean(problem.why)}"
    return Diagnostic(code=problem.code, level=Level.ERROR, subject=clean(subject), message=message, hint=problem.hint)


def _needs_no_rule(writer: Writer, intent: PolicyIntent, allow: Allow) -> bool:
    """Say whether the platform lets this traffic through whatever a policy says."""
    is_host = isinstance(allow.peer, EntityPeer) and allow.peer.entity is Entity.HOST
    free = writer.capabilities.own_host_calls and not writer.own_node_needs_rule
    return is_host and intent.direction is Direction.INGRESS and free


def _unsayable(writer: Writer, intent: PolicyIntent) -> Iterator[tuple[Allow, Inexpressible]]:
    """Yield the allows of a direction that cannot be said, each with the first reason."""
    for allow in intent.allows:
        try:
            if not _needs_no_rule(writer, intent, allow):
                _check_allow(writer, intent, allow)
        except Inexpressible as problem:
            yield allow, problem


def _check_allow(writer: Writer, intent: PolicyIntent, allow: Allow) -> None:
    """Raise :class:`Inexpressible` if the dialect on the platform cannot say one allow."""
    writer.check_peer(intent, allow.peer)
    if allow.protocol.has_ports:
        port_ranges(allow.ports, writer.platform, writer.capabilities)
    else:
        check_icmp(writer, allow)
