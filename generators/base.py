"""What the dialects have in common: the request, what a dialect can say, and the way from intents to files.

A dialect module has one :class:`Writer` and a ``render`` that hands it to :func:`render_with`. Everything a
dialect module needs is importable from here and from :mod:`generators.yaml_writer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import ClassVar, TypeVar

from discovery.model.artifact import Artifact, Rendered
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.errors import RenderError
from discovery.model.intent import Allow, Dialect, EntityPeer, Mode, Peer, PolicyIntent, WorkloadPeer
from discovery.model.platform import Platform
from discovery.model.ports import MIN_PORT, PortSet
from discovery.model.workload import Entity, Selector, WorkloadRef
from generators.comments import Guide, content_name, evidence_line, header, not_isolated, peer_name
from generators.grouping import GroupingStyle, PeerKind, RuleGroup, allow_id, group, in_order
from generators.names import cluster_folder, is_dns_label, is_label_key, is_label_value, is_subdomain, manifest_names
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
PROMOTE = "run the same 'discover suggest' with --mode enforce, review and apply that file"

# A range is written out, port by port, up to this many where the platform has no ranges.
MAX_WRITTEN_OUT = 40
_SHORT_RUN = 2


class Code(StrEnum):
    """The diagnostic codes of the generators; all but the last two mean that something is not written."""

    MONITOR_NOT_INERT = "monitor-not-inert"
    ALREADY_ISOLATED = "already-isolated"
    NAMESPACE_INVALID = "namespace-invalid"
    LABEL_INVALID = "label-invalid"
    LABEL_NOT_IN_IDENTITY = "label-not-in-identity"
    LABEL_RESERVED = "label-reserved"
    SERVICE_ACCOUNT = "service-account-inexpressible"
    SELECTOR_TOO_LONG = "selector-too-long"
    WORKLOAD_PEER = "workload-peer-inexpressible"
    CROSS_CLUSTER = "cross-cluster-inexpressible"
    ENTITY = "entity-inexpressible"
    ADDRESS_INVALID = "address-invalid"
    ICMP = "icmp-inexpressible"
    PORT_ZERO = "port-zero-inexpressible"
    PORT_RANGE = "port-range-inexpressible"
    TOO_MANY_RULES = "too-many-rules"
    ENTITY_BY_ADDRESS = "entity-by-address"
    ALWAYS_ALLOWED = "always-allowed"


class EntityForm(StrEnum):
    """How a dialect on a platform writes nodes and the API server."""

    NAME = "name"
    ADDRESS = "address"
    NONE = "none"


class Inexpressible(Exception):  # noqa: N818 - it is a finding that travels to the pipeline, not an error of the program
    """Something that a dialect on a platform cannot say; becomes a diagnostic and is never dropped."""

    def __init__(self, code: Code, why: str, hint: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """The intents to be written, for one platform and mode.

    ``existing_isolated`` are the workloads and directions that a policy in the cluster isolates already. ``remarks``
    are sentences for the header of every file.
    """

    intents: tuple[PolicyIntent, ...]
    platform: Platform
    mode: Mode
    existing_isolated: frozenset[tuple[WorkloadRef, Direction]] = frozenset()
    remarks: tuple[str, ...] = ()


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
        _check_selector(intent.subject, self.capabilities)

    def check_peer(self, intent: PolicyIntent, peer: Peer) -> None:
        """Raise :class:`Inexpressible` if a peer of the intent cannot be named."""
        if isinstance(peer, WorkloadPeer):
            _check_selector(peer.selector, self.capabilities)
            _check_reach(self, intent.subject, peer)
        elif isinstance(peer, EntityPeer):
            _check_entity(self, peer)
        _check_addresses(peer)

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


def networks(peers: Iterable[Peer]) -> tuple[str, ...]:
    """Return the prefixes and addresses of peers as canonical prefixes, each once, IPv4 first.

    Raises ``ValueError`` for text that is not a prefix (checked before for every allow).
    """
    found = set()
    for peer in peers:
        if isinstance(peer, EntityPeer):
            found |= {ip_network(ip_address(address)) for address in peer.addresses}
        elif not isinstance(peer, WorkloadPeer):
            found |= {ip_network(prefix) for prefix in peer.prefixes}
    ordered = sorted(found, key=lambda net: (net.version, int(net.network_address), net.prefixlen))
    return tuple(map(str, ordered))


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
        manifest = writer.manifest(name, self.subject, self.sections)
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
        found: dict[Code, tuple[str, Inexpressible, int]] = {}
        for allow in in_order(intent.allows):
            try:
                if not _needs_no_rule(writer, intent, allow):
                    _check_allow(writer, intent, allow)
            except Inexpressible as problem:
                what = f"{peer_name(allow.peer)} {content_name(allow)}"
                first, kept, count = found.get(problem.code, (what, problem, 0))
                found[problem.code] = (first, kept, count + 1)
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
                    f" addresses seen ({len(allow.peer.addresses)}), so a new node is not allowed",
                    "run 'discover suggest' again when nodes come or go",
                )

    def _note(self, code: Code, level: Level, message: str, hint: str | None) -> None:
        """Keep one finding that does not stop the direction."""
        subject = clean(str(self.workload))
        self.findings.add(Diagnostic(code=code, level=level, subject=subject, message=message, hint=hint))


def _diagnostic(problem: Inexpressible, subject: str, consequence: str) -> Diagnostic:
    """Return the error diagnostic of something that cannot be said."""
    message = f"{consequence}: {clean(problem.why)}"
    return Diagnostic(code=problem.code, level=Level.ERROR, subject=clean(subject), message=message, hint=problem.hint)


def _check_selector(selector: Selector, capabilities: Capabilities) -> None:
    """Raise :class:`Inexpressible` if no API server would take the selector, or the dialect has none like it."""
    hint = "this name is not from Kubernetes; look at the source of these flows"
    if not is_dns_label(selector.namespace):
        raise Inexpressible(Code.NAMESPACE_INVALID, f"{clean(selector.namespace, 80)!r} is not a namespace", hint)
    for key, value in selector.labels.pairs:
        if not (is_label_key(key) and is_label_value(value)):
            raise Inexpressible(Code.LABEL_INVALID, f"{clean(f'{key}={value}', 80)!r} is not a label", hint)
    account = selector.service_account
    if account is None:
        return
    if not capabilities.service_accounts:
        raise Inexpressible(
            Code.SERVICE_ACCOUNT,
            f"the dialect cannot select the service account {clean(account, 80)!r}",
            "give these pods a label of their own, or use a dialect with service accounts",
        )
    if not is_subdomain(account):
        raise Inexpressible(Code.LABEL_INVALID, f"{clean(account, 80)!r} is not a service account", hint)


def _needs_no_rule(writer: Writer, intent: PolicyIntent, allow: Allow) -> bool:
    """Say whether the platform lets this traffic through whatever a policy says."""
    is_host = isinstance(allow.peer, EntityPeer) and allow.peer.entity is Entity.HOST
    return is_host and intent.direction is Direction.INGRESS and writer.capabilities.own_host_calls


def _check_allow(writer: Writer, intent: PolicyIntent, allow: Allow) -> None:
    """Raise :class:`Inexpressible` if the dialect on the platform cannot say one allow."""
    writer.check_peer(intent, allow.peer)
    if allow.protocol.has_ports:
        port_ranges(allow.ports, writer.platform, writer.capabilities)
    else:
        _check_icmp(writer, allow)


def _check_addresses(peer: Peer) -> None:
    """Raise :class:`Inexpressible` if an address or prefix of a peer is none."""
    try:
        networks((peer,))
    except ValueError as error:
        hint = "look at the source of these flows"
        raise Inexpressible(Code.ADDRESS_INVALID, clean(str(error), 120), hint) from error


def _check_reach(writer: Writer, subject: Selector, peer: WorkloadPeer) -> None:
    """Raise :class:`Inexpressible` if pods of the peer's namespace or cluster cannot be named."""
    capabilities = writer.capabilities
    if peer.selector.cluster != subject.cluster and not capabilities.cross_cluster:
        raise Inexpressible(
            Code.CROSS_CLUSTER,
            f"pods of cluster {clean(peer.selector.cluster, 80)!r} cannot be named from another cluster",
            "use Cilium with Cluster Mesh, or leave this direction open",
        )
    if writer.platform.version < capabilities.workload_peers_since:
        since = ".".join(map(str, capabilities.workload_peers_since))
        raise Inexpressible(
            Code.WORKLOAD_PEER, f"naming a namespace needs version {since} or later", "upgrade the platform"
        )


def _check_entity(writer: Writer, peer: EntityPeer) -> None:
    """Raise :class:`Inexpressible` if an entity has no form on the platform."""
    if writer.entities is EntityForm.NAME:
        return
    by_address = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)
    if writer.entities is EntityForm.NONE or peer.entity not in by_address:
        raise Inexpressible(
            Code.ENTITY,
            f"{writer.platform} cannot name the entity {peer.entity}",
            "use the cilium dialect, or leave this direction open",
        )
    if not peer.addresses:
        raise Inexpressible(
            Code.ENTITY,
            f"{writer.platform} can name {peer.entity} by address only, and none was seen",
            "give an inventory with node addresses, or use the cilium dialect",
        )


def _check_icmp(writer: Writer, allow: Allow) -> None:
    """Raise :class:`Inexpressible` if the ICMP types have no form on the platform."""
    capabilities = writer.capabilities
    if capabilities.icmp_since is None or writer.platform.version < capabilities.icmp_since:
        raise Inexpressible(Code.ICMP, f"{writer.platform} cannot name ICMP types", "use the cilium or calico dialect")
    for icmp_type in allow.icmp_types:
        if not 0 <= icmp_type <= capabilities.max_icmp_type:
            raise Inexpressible(
                Code.ICMP,
                f"{writer.platform} cannot name {allow.protocol} type {icmp_type}",
                "look at the source of these flows",
            )
