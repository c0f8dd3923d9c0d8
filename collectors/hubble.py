"""Hubble JSON: exporter files, `hubble observe -o json|jsonpb`, bare flows, Retina's Hubble-shaped flows.

Source: see :mod:`collectors.hubble_wire`. One line is one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from collectors.base import RecordReader, Sink, as_count
from collectors.hubble_alike import FIRST_LINES, Alike
from collectors.hubble_meaning import Signals, classify
from collectors.hubble_wire import (
    ABSENT,
    CAMEL_MARKS,
    Addresses,
    Aggregate,
    Endpoint,
    EventType,
    Flow,
    Layer4,
    Layer7,
    Line,
    LostEvent,
    Policy,
    Ports,
    Service,
    Tunnel,
    count_colons,
    normalise,
)
from discovery.flows.addresses import canonical_address
from discovery.flows.batch import MAX_MEMO, pack_row
from discovery.flows.identity import EXTERNAL, UNRESOLVED, EndpointInfo, reserved_endpoint, workload_endpoint
from discovery.flows.redact import MAX_TEXT, known_method, redact_name, redact_url
from discovery.model.capture import Aspect
from discovery.model.workload import EndpointKind

_decode_line = msgspec.json.Decoder(Line).decode
_decode_flow = msgspec.json.Decoder(Flow).decode
_decode_endpoint = msgspec.json.Decoder(Endpoint).decode
_decode_l7 = msgspec.json.Decoder(Layer7).decode
_decode_service = msgspec.json.Decoder(Service).decode
_decode_policies = msgspec.json.Decoder(list[Policy]).decode
_decode_aggregate = msgspec.json.Decoder(Aggregate).decode
_decode_addresses = msgspec.json.Decoder(Addresses).decode
_decode_event = msgspec.json.Decoder(EventType).decode
_decode_lost = msgspec.json.Decoder(LostEvent).decode
_decode_tunnel = msgspec.json.Decoder(Tunnel).decode

_NAMESPACE = "io.kubernetes.pod.namespace"
_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
_CLUSTER = "io.cilium.k8s.policy.cluster"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
# Reserved numeric identities (cilium pkg/identity/numericidentity.go); node-local ones start at 2^24.
_RESERVED_IDS = {
    1: "host",
    2: "world",
    3: "unmanaged",
    4: "health",
    5: "init",
    6: "remote-node",
    7: "kube-apiserver",
    8: "ingress",
    9: "world-ipv4",
    10: "world-ipv6",
}
_FIRST_LOCAL_CIDR, _LAST_LOCAL_CIDR = 1 << 24, (2 << 24) - 1
REDIRECTED = frozenset({"REDIRECTED", 5})
TO_PROXY = frozenset({"TO_PROXY", 1})
# What a rule matched by: layer 3, 3 and 4, 4, 3 and protocol, protocol.
_MATCHED = frozenset({1, 2, 3, 5, 6})
_ALLOWED_BY: dict[str | int | None, str] = {
    "EGRESS": "egress_allowed_by", 2: "egress_allowed_by", "INGRESS": "ingress_allowed_by", 1: "ingress_allowed_by",
}  # fmt: skip
_POLICY_FIELDS = ("egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by")
_NOTHING = (b"", b"null")
_MAX_KNOWN = MAX_MEMO // 2  # these entries are large: they hold the bytes that they are found by


def parse_endpoint(raw: bytes) -> EndpointInfo:
    """Return the interpreted endpoint of a raw flow.Endpoint. Raises ``msgspec.DecodeError`` on bad content."""
    endpoint = Endpoint() if raw in _NOTHING else _decode_endpoint(raw)
    labels: dict[str, str] = {}
    namespace_labels: dict[str, str] = {}
    reserved: list[str] = []
    external = False
    special: dict[str, str] = {}
    for text in endpoint.labels or ():
        key, _, value = text.partition("=")
        origin, colon, name = key.partition(":")
        if not colon:
            origin, name = "k8s", key
        if origin == "reserved":
            reserved.append(name)
        elif origin in ("cidr", "fqdn", "cidrgroup"):
            external = True
        elif name in (_NAMESPACE, _ACCOUNT, _CLUSTER):
            special[name] = value
        elif name.startswith(_NAMESPACE_LABEL):
            namespace_labels[name.removeprefix(_NAMESPACE_LABEL)] = value
        elif origin in ("k8s", "any", "unspec"):
            labels[name] = value
    namespace = endpoint.namespace or special.get(_NAMESPACE)
    cluster = endpoint.cluster_name or special.get(_CLUSTER)
    if not reserved and endpoint.identity in _RESERVED_IDS:
        reserved.append(_RESERVED_IDS[endpoint.identity])
    if namespace and not set(reserved) - {"unknown", "init"}:
        return workload_endpoint(
            cluster=cluster,
            namespace=namespace,
            pod=endpoint.pod_name,
            labels=labels,
            service_account=special.get(_ACCOUNT),
            namespace_labels=namespace_labels,
            workloads=[(workload.name, workload.kind) for workload in endpoint.workloads or ()],
        )
    known = reserved_endpoint(reserved, cluster)
    if known is not None and known.kind is EndpointKind.EXTERNAL and namespace and endpoint.pod_name:
        return UNRESOLVED  # the agent did not know the identity of a pod that it names: this is no outside address
    if known is not None:
        return known
    return EXTERNAL if external or _FIRST_LOCAL_CIDR <= endpoint.identity <= _LAST_LOCAL_CIDR else UNRESOLVED


def _plain_error(line: bytes, error: Exception) -> Exception:
    """Return the error of a line without its newline, which decoding would blame instead of the line's end."""
    try:
        _decode_line(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as found:
        return found
    return error


def _reason(error: Exception) -> str:
    """Return the first line of a decoding error."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Known(msgspec.Struct, gc=False):
    """What was interpreted already of a record's parts.

    ``source`` and ``destination`` are its raw endpoints, ``near`` and ``far`` their memo indexes, ``source_ip`` and
    ``target_ip`` those of its addresses, ``colons`` is the number of colons in all of these, and ``signs`` are the raw
    event type and TCP flags.
    """

    source: msgspec.Raw
    destination: msgspec.Raw
    near: int
    far: int
    source_ip: int
    target_ip: int
    colons: int
    signs: tuple[bytes, bytes]


class HubbleReader(RecordReader):
    """Reads Hubble events. The loop is the project's hot path: see ADR 0003 before adding to it."""

    source = "hubble"
    settings: ClassVar[Mapping[Aspect, str]] = {
        Aspect.REPLIES: "Export trace events with is_reply: no event_type filter in hubble.export.static.allowList or "
        "denyList, and is_reply and l4 in its fieldMask and fieldAggregate.",
        Aspect.DROPS: "Either none happened, or a filter on verdict in hubble.export.static.allowList (--verdict of "
        "the hubble command) hides them.",
        Aspect.LABELS: "Put source and destination, with labels and namespace, into hubble.export.static.fieldMask.",
        Aspect.BOTH_ENDS: "Export from every node (hubble.export.static.enabled) or through Relay, with "
        "traffic_direction in fieldMask and fieldAggregate.",
        Aspect.L7: "Expected unless a policy sends traffic through the proxy.",
        Aspect.PORTS: "Put l4 into hubble.export.static.fieldMask and fieldAggregate.",
        Aspect.VERDICTS: "Put verdict into hubble.export.static.fieldMask and fieldAggregate.",
    }

    def __init__(self, sink: Sink, *, label: str, ingest_id: str, default_cluster: str) -> None:
        """Prepare to read one input."""
        super().__init__(sink, label=label, ingest_id=ingest_id, default_cluster=default_cluster)
        self.known: dict[bytes, Known] = {}
        self.raw_endpoints: list[msgspec.Raw] = []  # by memo index
        self.signs: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}  # so that equal signs are one object
        self.shapes: set[tuple[int, int, bool, bool, bool]] = set()
        self.alike = Alike(self.builder, self.address, self.raw_endpoints)

    def read_lines(self, lines: Sequence[bytes], first_line: int) -> None:
        """Read one event per line; malformed ones are located, the rest goes on."""
        unusual = any(mark in line for line in (*lines[:8], *lines[-8:]) for mark in CAMEL_MARKS)
        if unusual:
            self._read_each(lines, range(first_line, first_line + len(lines)), unusual=True)
        else:
            # Where nothing is known yet, few lines come first, for the others to be like them.
            start, size = 0, len(lines) if self.alike.families else FIRST_LINES
            while start < len(lines):
                block, first = lines[start : start + size], first_line + start
                others = self.alike.take(block, first)
                self._read_each([block[row] for row in others], [first + row for row in others], unusual=False)
                start, size = start + size, 2 * size
        self.maybe_flush()

    def _read_each(self, lines: Sequence[bytes], numbers: Sequence[int], *, unusual: bool) -> None:
        """Read lines one by one; ``unusual`` ones may have other names for their keys."""
        add, learn = self._add, self.alike.learn
        for number, line, colons in zip(numbers, lines, count_colons(lines), strict=True):
            try:
                text = normalise(line.removesuffix(b"\n")) if unusual else line
                event = _decode_line(text)
                flow = event.flow
                if flow is None:
                    self._other(event, text, number)
                    continue
                meaning = add(flow, event, number, text, text.count(b":") if unusual else colons)
                if not unusual and not _has_extras(flow):
                    learn(line, bytes(flow.source), bytes(flow.destination), meaning)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                plain = line.removesuffix(b"\n")
                self._retry(plain, number, error if unusual else _plain_error(plain, error))

    def _retry(self, line: bytes, number: int, error: Exception) -> None:
        """Read an unusual line the slow way, or reject it; blank lines do not count."""
        if not line.strip():
            return
        try:
            text = normalise(line)
            event = _decode_line(text)
            if event.flow is not None:
                self._add(event.flow, event, number, None, 0)
            else:
                self._other(event, text, number)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.account.reject(number, _reason(error))

    def _other(self, event: Line, line: bytes, number: int) -> None:
        """Handle an event that is not a wrapped flow: losses count, agent events are skipped, bare flows are read."""
        if event.lost_events is not ABSENT:
            self.account.lose(as_count(_decode_lost(event.lost_events).num_events_lost))
        elif event.node_status is not ABSENT or event.agent_event is not ABSENT or event.debug_event is not ABSENT:
            self.account.rows_skipped += 1
        else:
            flow = _decode_flow(line)
            if flow.IP is ABSENT and flow.source is ABSENT and flow.verdict is None:
                raise ValueError("the object is no Hubble event: it has neither flow, lost_events nor a verdict")
            self._add(flow, event, number, line, line.count(b":"))

    def _add(self, flow: Flow, event: Line, number: int, line: bytes | None, colons: int) -> int:
        """Append one flow to the batch; return the memo index of its meaning.

        Everything that can fail comes before the first append.

        ``line`` is the record's text with its number of colons, or None when its keys are known to be unique.
        """
        builder = self.builder
        l4 = flow.l4
        icmp = ports = protocol = None
        flags = ABSENT
        if l4 is not None:
            if l4.TCP is not None:
                protocol, ports = "TCP", l4.TCP
                flags = ports.flags
            elif l4.UDP is not None:
                protocol, ports = "UDP", l4.UDP
            else:
                protocol, ports, icmp = _other_transport(l4)
        # JSON values with a bar between them: no two records with different parts give the same bytes.
        raw = b"|".join((flow.IP, flow.event_type, flags))
        known = self.known.get(raw)
        if known is None or known.source != flow.source or known.destination != flow.destination:
            known = self._know(raw, flow, flags)
        node = flow.node_name or event.node_name
        key: tuple[Any, ...] = (
            known.signs, flow.verdict, node, flow.traffic_direction, flow.trace_observation_point, flow.is_reply,
            flow.reply, protocol, flow.drop_reason_desc, flow.drop_reason, flow.trace_reason, icmp,
        )  # fmt: skip
        if flow.l7 is not ABSENT:
            key = (*key, _l7_type(flow.l7))
        meaning = builder.meanings.index.get(key)
        if meaning is None:
            meaning = self._meaning(key)
        source_port, target_port = (-1, -1) if ports is None else (ports.source_port, ports.destination_port)
        if line is None and source_port == target_port == 0:  # masked: nothing is sent from port 0 to port 0
            source_port = target_port = -1
        if line is not None:
            shape = (meaning, colons - known.colons, flow.uuid is None, event.time is None, target_port == 0)
            if shape not in self.shapes:
                self._check_shape(line, shape)
        if _has_extras(flow):
            self._keep_extras(flow, flipped=builder.meanings.values[meaning].initiator == "destination")
        builder.times.append(event.time or flow.time)
        builder.uuids.append(flow.uuid)
        builder.rows += pack_row(
            number, known.near, known.far, known.source_ip, known.target_ip, source_port, target_port, meaning
        )
        return meaning

    def _keep_extras(self, flow: Flow, *, flipped: bool) -> None:
        """Set the sparse columns of the row that comes next."""
        row = len(self.builder.times)
        for name, value in self._extras(flow, flipped=flipped):
            if name == "flow_records":
                self.builder.weights[row] = value
            else:
                self.builder.set(name, row, value)

    def _check_shape(self, line: bytes, shape: tuple[int, int, bool, bool, bool]) -> None:
        """Refuse a record in which a key occurs twice, which the decoder would settle in silence.

        Checking every record would cost more than reading it. A doubled key adds a colon, so only records whose
        number of colons (without those of their ends, which are looked at once each) is new for their meaning and
        for the optional keys that they have are taken apart. Raises ``ValueError``.
        """
        if shape[-1]:  # the slow way looks again: the port may be there in another naming style
            raise ValueError("the port is missing")
        normalise(line)
        self.shapes.add(shape)

    def _know(self, key: bytes, flow: Flow, flags: msgspec.Raw) -> Known:
        """Interpret the ends, addresses and signs of a record, and remember them under their key.

        The addresses of a record nearly always tell its ends, which are long: comparing them is much cheaper than
        hashing them.
        """
        raw = (bytes(flow.source), bytes(flow.destination), bytes(flow.IP))
        near, far = self._endpoint(raw[0]), self._endpoint(raw[1])
        ip = Addresses() if raw[2] in _NOTHING else _decode_addresses(raw[2])
        signs = (bytes(flow.event_type), bytes(flags))
        known = self.known[key] = Known(
            source=self.raw_endpoints[near],  # shared, and without the line that the record's own is a part of
            destination=self.raw_endpoints[far],
            near=near,
            far=far,
            source_ip=self.address(ip.source),
            target_ip=self.address(ip.destination),
            colons=sum(part.count(b":") for part in raw),
            signs=self.signs.setdefault(signs, signs),
        )
        return known

    def _endpoint(self, raw: bytes) -> int:
        """Return the memo index of a raw endpoint."""
        memo = self.builder.endpoints
        found = memo.index.get(raw)
        if found is None:
            if raw not in _NOTHING:
                normalise(raw)
            found = memo.add(raw, parse_endpoint(raw))
            self.raw_endpoints.append(msgspec.Raw(raw))
        return found

    def flush(self) -> None:
        """Hand over the batch; what points into its memos goes with them."""
        super().flush()
        memos = (self.builder.endpoints, self.builder.addresses, self.builder.meanings)
        if all(memo.values for memo in memos):
            self.alike.trim()
        else:
            self.alike.forget()
        if len(self.known) > _MAX_KNOWN or not self.builder.endpoints.values or not self.builder.addresses.values:
            self.known.clear()
            self.signs.clear()
        if not self.builder.endpoints.values:
            self.raw_endpoints.clear()
        if len(self.shapes) > MAX_MEMO or not self.builder.meanings.values:  # shapes name meanings by their index
            self.shapes.clear()

    def _meaning(self, key: tuple[Any, ...]) -> int:
        """Classify a combination of raw fields that was not met before."""
        (event, flags), icmp = key[0], key[11]
        signals = Signals(
            verdict=key[1],
            node=key[2],
            direction=key[3],
            point=key[4],
            is_reply=key[5],
            reply=key[6],
            protocol=key[7],
            flags=flags or None,
            drop_reason_desc=key[8],
            drop_reason=key[9],
            trace_reason=key[10],
            event=0 if event in _NOTHING else _decode_event(event).type,
            icmp_type=None if icmp is None else icmp[0],
            icmp_code=None if icmp is None else icmp[1],
            l7_type=key[12] if len(key) > 12 else None,  # the key grows by the layer 7 type alone
        )
        return self.builder.meanings.add(key, classify(signals))

    def _extras(self, flow: Flow, *, flipped: bool) -> list[tuple[str, Any]]:
        """Return the sparse columns of a record. Raises on malformed parts, before the row is appended."""
        found: list[tuple[str, Any]] = []
        first, second = ("server", "client") if flipped else ("client", "server")
        if flow.source_names:
            found.append((f"{first}_names", _names(flow.source_names)))
        if flow.destination_names:
            found.append((f"{second}_names", _names(flow.destination_names)))
        if flow.proxy_port:
            found.append(("proxy_port", flow.proxy_port))
        service = flow.source_service if flipped else flow.destination_service
        if _present(service):
            named = _decode_service(service)
            found += [("service_name", named.name), ("service_namespace", named.namespace)]
        for name in _POLICY_FIELDS:
            raw = getattr(flow, name)
            if _present(raw):
                found.append((name, [f"{p.kind}/{p.namespace}/{p.name}" for p in _decode_policies(raw)]))
        unnamed = governed_by_unnamed(flow)
        if unnamed is not None and not flipped and not _present(getattr(flow, unnamed)):
            found.append((unnamed, [""]))
        if _present(flow.tunnel):
            found.append(("tunnel_protocol", str(_decode_tunnel(flow.tunnel).protocol or "")))
        if _present(flow.aggregate):
            counts = _decode_aggregate(flow.aggregate)
            total = counts.ingress_flow_count + counts.egress_flow_count + counts.unknown_direction_flow_count
            found.append(("flow_records", max(total, 1)))
        if _present(flow.l7):
            found += _layer7(_decode_l7(flow.l7))
        return found


def _other_transport(l4: Layer4) -> tuple[str | None, Ports | None, tuple[int, int] | None]:
    """Return ``(protocol, ports, (ICMP type, code))`` of what is neither TCP nor UDP; None for one not known."""
    if l4.ICMPv4 is not None:
        return "ICMP", None, (l4.ICMPv4.type, l4.ICMPv4.code)
    if l4.ICMPv6 is not None:
        return "ICMPv6", None, (l4.ICMPv6.type, l4.ICMPv6.code)
    return ("SCTP", l4.SCTP, None) if l4.SCTP is not None else (None, None, None)


def _l7_type(raw: msgspec.Raw) -> str | int | None:
    """Return the type of a raw layer 7 part: 0 when it has none, None when there is no such part."""
    return (_decode_l7(raw).type or 0) if _present(raw) else None


def _has_extras(flow: Flow) -> bool:
    """Say whether a record has any of the parts that become sparse columns."""
    return not (
        flow.l7 is flow.source_service is flow.destination_service is flow.tunnel is flow.aggregate is ABSENT
        and flow.egress_allowed_by is flow.ingress_allowed_by is ABSENT
        and flow.egress_denied_by is flow.ingress_denied_by is ABSENT
        and flow.source_names is flow.destination_names is None
        and flow.proxy_port is None
        and not flow.policy_match_type
        and flow.verdict not in REDIRECTED
        and flow.trace_observation_point not in TO_PROXY
    )


def governed_by_unnamed(flow: Flow) -> str | None:
    """Return the column of the policies that allowed a record where one did, also if the record names none: a rule
    matched, or the packet goes to a proxy, which rules of layer 7 do. Match type 4 is that of an end without policies.
    """
    proxied = flow.verdict in REDIRECTED or flow.trace_observation_point in TO_PROXY
    if not proxied and flow.policy_match_type not in _MATCHED:
        return None
    return _ALLOWED_BY.get(flow.traffic_direction)


def _present(raw: msgspec.Raw) -> bool:
    """Say whether a raw part is there and not null."""
    return bytes(raw) not in _NOTHING


def _names(names: list[str]) -> list[str]:
    """Return DNS names in canonical form: lower case, no final dot, sorted, bounded."""
    return sorted({name.rstrip(".").lower()[:MAX_TEXT] for name in names if name})[:64]


def _layer7(l7: Layer7) -> list[tuple[str, Any]]:
    """Return the layer 7 columns; secrets never leave this function."""
    kind = l7.type if isinstance(l7.type, str) else {1: "REQUEST", 2: "RESPONSE", 3: "SAMPLE"}.get(l7.type or 0)
    found: list[tuple[str, Any]] = [("l7_type", kind.lower() if kind else None)]
    if l7.http is not None:
        host, path = redact_url(l7.http.url or "")
        method = known_method(l7.http.method)
        found += [("l7_protocol", "http"), ("http_method", method), ("http_host", host), ("http_path", path)]
        found += [("http_status", l7.http.code or None)]
    elif l7.dns is not None:
        query = redact_name((l7.dns.query or "").rstrip(".")).lower()
        found += [("l7_protocol", "dns"), ("dns_query", query or None), ("dns_rcode", l7.dns.rcode)]
        answers = [canonical_address(text) for text in l7.dns.ips or ()]
        found += [("dns_answers", [address for address in answers if address is not None] or None)]
    elif l7.kafka is not None:
        found += [("l7_protocol", "kafka"), ("kafka_topic", redact_name(l7.kafka.topic or "") or None)]
    return found


def sniff(head: bytes) -> bool:
    """Say whether the first record of an input looks like a Hubble event."""
    try:
        first = msgspec.json.decode(normalise(head))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    if not isinstance(first, dict):
        return False
    if {"flow", "lost_events", "node_status", "agent_event", "debug_event"} & first.keys():
        return True
    return "verdict" in first and ("IP" in first or "l4" in first) and "source" in first
