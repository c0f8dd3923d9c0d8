"""Goldmane flows as JSON, one per line or many in one document: FlowResult, bare Flow, FlowListResult (what gRPC
clients such as grpcurl print), and the answers of Whisker's REST interface.

Source: see :mod:`collectors.goldmane_wire`. There are no addresses at all: a network, a network set or the node at
the other end is unresolved, because nothing says which it is. Names are prefixes, labels are those that all folded
pods share. The id of a FlowResult numbers keys, not records, so it is no record id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from collectors.felix import FelixReader, Record, StrictJson
from collectors.felix_meaning import (
    End,
    Hit,
    Traffic,
    given,
    integer,
    microseconds,
    pending_hit,
    place,
    policy_hit,
    port_number,
    protocol_name,
)
from collectors.goldmane_wire import (
    SPELLINGS,
    Counted,
    EnumText,
    Flow,
    FlowKey,
    Number,
    PolicyHit,
    PolicyTrace,
    WhiskerFlow,
)
from discovery.model.capture import Aspect

_ACTIONS = ("ActionUnspecified", "Allow", "Deny", "Pass")
_REPORTERS = ("ReporterUnspecified", "Src", "Dst")
_TYPES = ("EndpointTypeUnspecified", "WorkloadEndpoint", "HostEndpoint", "NetworkSet", "Network")
_FELIX_TYPES = {"WorkloadEndpoint": "wep", "HostEndpoint": "hep", "NetworkSet": "ns", "Network": "net"}
_KINDS = (
    "KindUnspecified", "CalicoNetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy", "NetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "Profile",
    "EndOfTier", "ClusterNetworkPolicy",
)  # fmt: skip
_GLOBAL = "Global"  # how Whisker may show "no namespace"
_SEPARATOR = " | "
_WHISKER_MARKS = frozenset({"source_name", "source_namespace", "dest_name", "dest_namespace", "protocol", "reporter"})
_KEY_MARKS = frozenset({"source_name", "source_namespace", "dest_name", "dest_namespace", "proto"})
_LISTS = ("flows", "items")

_decode = StrictJson(SPELLINGS)


class GoldmaneReader(FelixReader):
    """Reads Goldmane and Whisker flows."""

    source = "goldmane"
    settings: ClassVar[Mapping[Aspect, str]] = {
        Aspect.REPLIES: "Keep the packet and byte counters of every flow.",
        Aspect.DROPS: "Either none happened, or a filter on actions hides them.",
        Aspect.LABELS: "Keep source_labels and dest_labels of every flow.",
        Aspect.BOTH_ENDS: "List flows without a filter on reporter.",
        Aspect.L7: "Goldmane has none.",
        Aspect.PORTS: "Keep dest_port of every flow.",
        Aspect.CONNECTION_COUNTS: "Keep num_connections_started of every flow.",
        Aspect.VERDICTS: "Keep action of every flow.",
    }

    def documents(self, line: bytes) -> Sequence[Any]:
        """Return the flows of a line: those of a list document or of an array, or the one that the line is."""
        return _flows(_decode(line))

    def record(self, document: Any) -> Record:
        """Return the record of a FlowResult, a Flow or a Whisker flow."""
        outer = msgspec.convert(document, dict[str, Any])
        inner = msgspec.convert(outer.get("flow", outer), dict[str, Any])
        if "key" in inner:
            flow = msgspec.convert(inner, Flow)
            return _record(flow, flow.key)
        if not inner.keys() >= _WHISKER_MARKS:
            raise ValueError("the object is no flow: it has neither a key nor both names")
        flat = msgspec.convert(inner, WhiskerFlow)
        return _record(flat, _key_of(flat))


def _flows(document: Any) -> Sequence[Any]:
    """Return the flows of a list document or of an array; anything else is taken for one flow."""
    if isinstance(document, dict):
        document = next((document[name] for name in _LISTS if isinstance(document.get(name), list)), document)
    return document if isinstance(document, list) else (document,)


def _key_of(flat: WhiskerFlow) -> FlowKey:
    """Return the flow key that a Whisker flow spells out."""
    service = flat.service
    return FlowKey(
        source_name=flat.source_name, source_namespace=flat.source_namespace, source_type=flat.source_type,
        dest_name=flat.dest_name, dest_namespace=flat.dest_namespace, dest_type=flat.dest_type,
        dest_port=flat.dest_port, proto=flat.protocol, reporter=flat.reporter, action=flat.action,
        policies=flat.policies,
        dest_service_name=None if service is None else service.name,
        dest_service_namespace=None if service is None else service.namespace,
        dest_service_port=None if service is None else service.port,
    )  # fmt: skip


def _record(flow: Counted, key: FlowKey) -> Record:
    """Return the record of a flow. Raises ``ValueError`` for values out of range."""
    start = microseconds(flow.start_time, "start_time")
    if start is None:
        raise ValueError("the flow has no start_time")
    reporter = _enum(key.reporter, _REPORTERS).lower()
    return Record(
        start=start,
        end=microseconds(flow.end_time, "end_time"),
        action=_enum(key.action, _ACTIONS).lower(),
        reporter=reporter,
        protocol=protocol_name(key.proto),
        source=_end(
            key.source_type, key.source_name, key.source_namespace, flow.source_labels, reports=reporter == "src"
        ),
        target=_end(key.dest_type, key.dest_name, key.dest_namespace, flow.dest_labels, reports=reporter == "dst"),
        port=port_number(key.dest_port, "dest_port"),
        service=_service(key.dest_service_namespace, key.dest_service_name, key.dest_service_port),
        hits=_hits(key.policies),
        pending=_pending(key.policies),
        traffic=Traffic(
            packets_in=integer(flow.packets_in, "packets_in"), packets_out=integer(flow.packets_out, "packets_out"),
            bytes_in=integer(flow.bytes_in, "bytes_in"), bytes_out=integer(flow.bytes_out, "bytes_out"),
        ),
        flows=integer(flow.num_connections_live, "num_connections_live"),
        started=integer(flow.num_connections_started, "num_connections_started"),
    )  # fmt: skip


def _enum(value: EnumText, names: tuple[str, ...]) -> str:
    """Return the name of an enum that is a name, a number or left out (zero); unknown numbers stay readable."""
    if isinstance(value, str):
        return value
    number = value or 0
    return names[number] if 0 <= number < len(names) else f"#{number}"


def _end(
    kind: EnumText, name: str | None, namespace: str | None, labels: list[str] | str | None, *, reports: bool
) -> End:
    """Return one end; ``reports`` says whether it is the one that reported, so that a host endpoint is its node.

    Whisker up to 3.32 leaves the type out. Then only a generated name in a namespace is surely a pod's: a network
    set may have a namespace too, and to take one for a pod would put a selector where addresses belong.
    """
    own_namespace = None if namespace == _GLOBAL else given(namespace)
    known = _FELIX_TYPES.get(_enum(kind, _TYPES), "")
    if not known and own_namespace is not None and name is not None and name.endswith("*"):
        known = "wep"
    pairs = labels.split(_SEPARATOR) if isinstance(labels, str) else labels or ()
    return End(
        type=known,
        name=None,
        aggregate=given(name),
        namespace=own_namespace,
        labels=tuple(pair for pair in pairs if given(pair)),
        local=True if known == "hep" and reports else None,
    )


def _service(namespace: str | None, name: str | None, port: Number) -> tuple[str | None, str, int | None] | None:
    """Return the Service that the client asked for, when there was one."""
    named = given(name)
    return None if named is None else (given(namespace), named, port_number(port, "dest_service_port"))


def _hits(trace: PolicyTrace | None) -> tuple[Hit, ...]:
    """Return the enforced policies of a trace, in the order of evaluation."""
    if trace is None:
        return ()
    hits = trace.enforced_policies if trace.enforced_policies is not None else trace.enforced
    return tuple(found for found in (policy_hit(*_named(hit)) for hit in hits or ()) if found is not None)


def _pending(trace: PolicyTrace | None) -> tuple[Hit, ...]:
    """Return the pending policies of a trace, in the order of evaluation."""
    if trace is None:
        return ()
    hits = trace.pending_policies if trace.pending_policies is not None else trace.pending
    return tuple(pending_hit(*_named(hit)) for hit in sorted(hits or (), key=lambda hit: place(hit.policy_index)))


def _named(hit: PolicyHit) -> tuple[str, str, str, str]:
    """Return kind, namespace, name and action. The end of a tier counts for the policy that made it apply."""
    named = hit.trigger if _enum(hit.kind, _KINDS) == "EndOfTier" and hit.trigger is not None else hit
    name = (hit.tier if named is hit and not hit.name else named.name) or ""
    return _enum(named.kind, _KINDS), given(named.namespace) or "", name, _enum(hit.action, _ACTIONS)


def sniff(head: bytes) -> bool:
    """Say whether the first record of an input looks like a flow of Goldmane or Whisker.

    Hubble wraps its flows in "flow" too, so the key inside decides.
    """
    try:
        first = next(iter(_flows(_decode(head))), None)
    except (ValueError, RecursionError):
        return False
    flow = first.get("flow", first) if isinstance(first, dict) else None
    if not isinstance(flow, dict):
        return False
    key = flow.get("key")
    if isinstance(key, dict):
        return bool(key.keys() & _KEY_MARKS)
    return flow.keys() >= _WHISKER_MARKS and "source_name_aggr" not in flow
