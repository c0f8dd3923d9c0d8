"""What the two readers of Felix flow records share: strict JSON, the canonical record, the way into a batch."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collectors.base import RecordReader
from collectors.felix_meaning import PORTED, End, Hit, Traffic, establishment, interpret, pending_denials
from discovery.flows.batch import Meaning, pack_row

_VERDICTS = {"allow": "accepted", "deny": "denied"}
_REPORTERS = {"src": "client", "dst": "server"}
_SIDES = {"src": "egress", "dst": "ingress"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One flow record with checked values. Times are microseconds since 1970 UTC.

    ``action`` is allow, deny or another word; ``reporter`` is src, dst, fwd or "". ``flows`` are connections that
    were alive in the interval, ``started`` those that began in it. ``hits`` are enforced policies alone;
    ``pending`` is the trace as it would be with staged policies enforced, in the order of evaluation.
    """

    start: int
    end: int | None
    action: str
    reporter: str
    protocol: str | None
    source: End
    target: End
    source_ip: str | None = None
    target_ip: str | None = None
    source_port: int | None = None
    port: int | None = None
    service: tuple[str | None, str, int | None] | None = None
    names: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    pending: tuple[Hit, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    flows: int | None = None
    started: int | None = None
    node: str | None = None
    cluster: str | None = None
    uuid: str | None = None


def _no_constant(text: str) -> Any:
    """Refuse NaN and infinities, which are not JSON."""
    raise ValueError(f"{text} is not JSON")


class StrictJson:
    """Decodes one JSON text and refuses what JSON must not have: a key twice in one object, NaN, broken Unicode.

    ``names`` maps other spellings of keys to the one that is read.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        """Prepare the decoder."""
        self._names = names or {}
        self._decode = json.JSONDecoder(object_pairs_hook=self._pairs, parse_constant=_no_constant).decode

    def __call__(self, text: bytes) -> Any:
        """Return the document. Raises ``ValueError`` or ``RecursionError`` with the reason."""
        decoded = text.decode("utf-8-sig")
        document = self._decode(decoded)
        if "\\u" in decoded:  # an escape may spell half a surrogate pair, which no column can hold
            json.dumps(document, ensure_ascii=False).encode()
        return document

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Build an object; refuse a key that occurs twice, in whatever spelling."""
        names = self._names
        built = {names.get(key, key): value for key, value in pairs}
        if len(built) < len(pairs):
            seen = [names.get(key, key) for key, _ in pairs]
            twice = next(key for key in seen if seen.count(key) > 1)
            raise ValueError(f"key {twice[:64]!r} occurs twice in one object")
        return built


class FelixReader(RecordReader):
    """Reads records of Felix, whatever their wire format. Malformed ones are located, the rest goes on."""

    @abstractmethod
    def documents(self, line: bytes) -> Sequence[Any]:
        """Return the JSON values of one line that should be records. Raises ``ValueError`` when it is no JSON."""

    @abstractmethod
    def record(self, document: Any) -> Record:
        """Return the record of one JSON value. Raises ``msgspec.MsgspecError`` or ``ValueError`` with the reason."""

    def read_lines(self, lines: Sequence[bytes], first_line: int) -> None:
        """Read the records of each line; blank lines do not count."""
        for number, line in enumerate(lines, first_line):
            if not line.strip():
                continue
            for document in self._documents(line.removesuffix(b"\n"), number):
                try:
                    self._add(self.record(document), number)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    self._reject(number, error)
        self.maybe_flush()

    def _documents(self, line: bytes, number: int) -> Sequence[Any]:
        """Return the objects of a line, or none after rejecting it."""
        try:
            return self.documents(line)
        except (ValueError, RecursionError) as error:
            self._reject(number, error)
            return ()

    def _reject(self, number: int, error: Exception) -> None:
        """Locate a malformed record with the first line of the error."""
        self.account.reject(number, str(error).partition("\n")[0] or type(error).__name__)

    def _add(self, record: Record, number: int) -> None:
        """Append one record to the batch. Everything that can fail comes before the first append."""
        if record.end is not None and record.end < record.start:
            raise ValueError("the record ends before it starts")
        source, target = self._endpoint(record.source), self._endpoint(record.target)
        source_ip, target_ip = self.address(record.source_ip), self.address(record.target_ip)
        builder = self.builder
        row = len(builder)
        for name, value in _columns(record):
            builder.set(name, row, value)
        if record.flows:
            builder.weights[row] = record.flows
        ported = record.protocol in PORTED
        source_port = record.source_port if ported and record.source_port else -1
        port = record.port if ported and record.port else -1
        meaning = self._meaning(record)
        builder.times.append(record.start)
        builder.uuids.append(record.uuid)
        builder.rows += pack_row(number, source, target, source_ip, target_ip, source_port, port, meaning)

    def _endpoint(self, end: End) -> int:
        """Return the memo index of an end."""
        memo = self.builder.endpoints
        found = memo.index.get(end)
        return memo.add(end, interpret(end)) if found is None else found

    def _meaning(self, record: Record) -> int:
        """Return the memo index of what the record says apart from its ends and time.

        The ends of a record are those of the connection's first packet, so the source is the client: Felix looks
        connections up in conntrack, and policy is asked about first packets alone.
        """
        verdict = _VERDICTS.get(record.action, "unknown")
        shown = establishment(verdict, record.protocol, record.traffic, record.reporter)
        key = (verdict, record.reporter, record.protocol, shown, record.node, record.cluster)
        memo = self.builder.meanings
        found = memo.index.get(key)
        if found is not None:
            return found
        meaning = Meaning(
            verdict=verdict,
            initiator="source",
            direction_evidence="flag",
            protocol=record.protocol,
            establishment=shown,
            reporter=_REPORTERS.get(record.reporter),
            node=record.node,
            cluster=record.cluster,
            observation_point="fwd" if record.reporter == "fwd" else None,
        )
        return memo.add(key, meaning)


def _columns(record: Record) -> Iterator[tuple[str, Any]]:
    """Yield the sparse columns of a record.

    Policies are those of the reporting end: egress at the source, ingress at the destination.
    """
    sent, received, bytes_sent, bytes_received = record.traffic.oriented(record.reporter)
    numbers = {
        "end_time": record.end, "connections": record.started, "packets_sent": sent, "packets_received": received,
        "bytes_sent": bytes_sent, "bytes_received": bytes_received,
    }  # fmt: skip
    yield from ((name, value) for name, value in numbers.items() if value is not None)
    if record.names:
        yield "server_names", list(record.names)
    if record.service is not None:
        namespace, name, port = record.service
        yield "service_namespace", namespace
        yield "service_name", name
        yield "service_port", port
    side = _SIDES.get(record.reporter)
    for action, done in (("allow", "allowed"), ("deny", "denied")):
        policies = list(dict.fromkeys(hit.policy for hit in record.hits if hit.action == action))
        if side is not None and policies:
            yield f"{side}_{done}_by", policies
    pending = pending_denials(record.pending) if record.action == "allow" else []
    if pending:
        yield "pending_denied_by", pending
