"""Properties of the whole path, from flow records to policies read back and evaluated as if they were enforced.

The estate is small on purpose: collisions of clients, servers and ports are what the properties are about.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.app.options import SuggestOptions
from discovery.model.edge import Protocol
from discovery.model.intent import Mode
from discovery.model.workload import Entity
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.ends import AddressEnd, End, EntityEnd, PodEnd
from discovery.verify.evaluate import Evaluator
from discovery.verify.read import read_policies
from tests.estate import (
    DNS,
    NODES,
    Party,
    Record,
    Run,
    connection,
    dropped,
    pod,
    reserved,
    run,
    world,
)

DAY = 86_400
PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
PODS = tuple(
    pod(
        name,
        f"10.0.{number}.{number + 10}",
        namespace="shop" if number < 4 else "payments",
        node=("node-a", "node-b")[number % 2],
        pod=f"{name}-6c9f7d8b54-k2xqv",
    )
    for number, name in enumerate(("web", "cart", "api", "db", "pay", "fraud"))
)
OUTSIDE = (world("203.0.113.10"), world("203.0.113.11", "api.example"), world("2001:db8::7"))
NODE = reserved("remote-node", address="192.168.56.13")

# Each example runs the whole path, and a busy machine must not turn that into chance.
WHOLE = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One connection that was accepted and answered."""

    client: Party
    server: Party
    protocol: str
    port: int


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """Draw the calls of an estate: between pods, to and from outside, and from a node."""
    found: list[Call] = []
    for _ in range(draw(st.integers(1, 6))):
        client = draw(st.sampled_from((*PODS, *PODS, *OUTSIDE, NODE)))
        others = PODS if client.reserved else (*PODS, *PODS, *OUTSIDE)
        server = draw(st.sampled_from([party for party in others if party != client]))
        protocol = draw(st.sampled_from(("TCP", "TCP", "UDP", "SCTP")))
        found.append(
            Call(client=client, server=server, protocol=protocol, port=draw(st.sampled_from((80, 443, 8080, 40_123))))
        )
    return found


def ends_of(call: Call) -> tuple[str, ...]:
    """Return the ends that report a connection: those whose node is known to the cluster."""
    return tuple(end for end, party in (("client", call.client), ("server", call.server)) if party.node in NODES)


def traffic(found: list[Call], *, at: float = 0, ends: tuple[str, ...] = ("client", "server")) -> list[Record]:
    """Return the records of calls as the given ends report them, with one DNS lookup."""
    records = connection(PODS[0], DNS, 53, "UDP", at=at, sport=50_000, ends=ends)
    for number, call in enumerate(found):
        reporting = tuple(end for end in ends_of(call) if end in ends) or ends_of(call)
        records += connection(
            call.client,
            call.server,
            call.port,
            call.protocol,
            at=at + 1 + number,
            sport=45_000 + number,
            ends=reporting,
        )
    return records


def options(**changes: Any) -> SuggestOptions:
    """Return options of a run in this process."""
    return replace(SuggestOptions(workers=0, include_system=True, yes_system=True), **changes)


def rules(*inputs: list[Record], **changes: Any) -> dict[str, str]:
    """Return path -> text of the policies that inputs give."""
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), *inputs, options=options(**changes)).policies()


def meaning(records: list[Record]) -> set[tuple[object, ...]]:
    """Return what the policies mean: subject, direction and allows, without names of files and without evidence."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder), records, options=options())
    return {
        (
            str(one.workload),
            one.subject,
            one.direction,
            one.isolate,
            allow.peer,
            allow.protocol,
            allow.ports,
            allow.reason,
        )
        for one in done.suggestion.learned.intents
        for allow in one.allows
    }


@WHOLE
@given(found=calls(), seed=st.integers(0, 2**32))
def test_row_order_changes_nothing(found: list[Call], seed: int) -> None:
    """The order of the records changes no byte."""
    records = traffic(found)
    mixed = list(records)
    Random(seed).shuffle(mixed)  # noqa: S311 - an order, not a secret
    assert rules(mixed) == rules(records)


@WHOLE
@given(found=calls(), seed=st.integers(0, 2**32))
def test_duplicates_change_nothing(found: list[Call], seed: int) -> None:
    """Repeated lines, repeated files and any split into files change no byte."""
    records = traffic(found)
    plain = rules(records)
    repeated = [record for record in records for _ in range(1 + Random(seed).randrange(2))]  # noqa: S311
    assert rules(repeated) == plain
    assert rules(records, records) == plain
    assert rules(records[1::2], records[::2]) == plain


@WHOLE
@given(found=calls(), end=st.sampled_from(("client", "server")))
def test_one_end_is_enough(found: list[Call], end: str) -> None:
    """Deleting all records of one reporter, where every edge is seen from both ends, changes no rule."""
    both = [call for call in found if len(ends_of(call)) == 2]
    assert meaning(traffic(both, ends=(end,))) == meaning(traffic(both))


@WHOLE
@given(found=calls(), days=st.integers(2, 3))
def test_more_days_change_nothing(found: list[Call], days: int) -> None:
    """More days of the same traffic change no byte of the YAML."""
    more = [record for day in range(days) for record in traffic(found, at=day * DAY)]
    assert rules(more) == rules(traffic(found))


@WHOLE
@given(found=calls(), denied=calls())
def test_drops_add_nothing(found: list[Call], denied: list[Call]) -> None:
    """Traffic that was only ever dropped adds no rule to what the rest gives."""
    known = {(call.client, call.server, call.protocol, call.port) for call in found}
    fresh = [call for call in denied if (call.client, call.server, call.protocol, call.port) not in known]
    drops = [
        dropped(call.client, call.server, call.port, call.protocol, reporter=ends_of(call)[0], at=100 + number)
        for number, call in enumerate(fresh)
        if ends_of(call)
    ]
    with tempfile.TemporaryDirectory() as folder:
        plain = run(Path(folder) / "plain", traffic(found), options=options())
        mixed = run(Path(folder) / "mixed", [*traffic(found), *drops], options=options())
    allows = [{one.allows for one in done.suggestion.learned.intents if one.isolate} for done in (plain, mixed)]
    assert allows[1] == allows[0]


def end_of(party: Party, done: Run) -> End:
    """Return a party as the evaluator knows it."""
    if party.reserved == NODE.reserved:
        return EntityEnd(entity=Entity.REMOTE_NODE, address=party.address)
    if party.reserved:
        return AddressEnd(address=party.address)
    versions = done.suggestion.workloads.versions
    return PodEnd(version=next(one for one in versions if one.ref.name == party.owner), address=party.address)


def evaluators(done: Run) -> dict[str, Evaluator]:
    """Return, per dialect, an evaluator of what was written and read back, as if it were enforced."""
    texts = done.policies()
    found = {}
    for one in done.suggestion.rendered:
        mine = {path: text for path, text in texts.items() if path.startswith(f"{one.platform.dialect}/")}
        read = read_policies(mine)
        assert not read.diagnostics
        found[one.platform.dialect.value] = Evaluator(read.policies, one.platform, as_enforced=True)
    return found


@WHOLE
@given(found=calls(), mode=st.sampled_from(Mode))
def test_learned_traffic_is_allowed(found: list[Call], mode: Mode) -> None:
    """Every accepted, initiated flow is allowed by every dialect after read-back, as enforced."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder), traffic(found), options=options(mode=mode))
        for dialect, evaluator in evaluators(done).items():
            for call in found:
                client, server = (end_of(party, done) for party in (call.client, call.server))
                probe = Probe(client=client, server=server, protocol=PROTOCOLS[call.protocol], port=call.port)
                assert evaluator.decide(probe).outcome is Outcome.ALLOWED, (dialect, call)


@WHOLE
@given(found=calls(), probed=calls(), port=st.sampled_from((22, 53, 80, 443, 8080, 40_123, 45_001)))
def test_nothing_else_is_allowed(found: list[Call], probed: list[Call], port: int) -> None:
    """Where a direction is isolated, whatever was neither observed nor declared is denied."""
    seen = {(call.client.address, call.server.address, call.protocol, call.port) for call in found}
    with tempfile.TemporaryDirectory() as folder:
        done = run(Path(folder), traffic(found), options=options(mode=Mode.ENFORCE))
        isolated = done.isolated
        for dialect, evaluator in evaluators(done).items():
            for call in [*probed, *(replace(one, port=port) for one in probed)]:
                key = (call.client.address, call.server.address, call.protocol, call.port)
                if key in seen or DNS.address in key[:2]:
                    continue
                if call.client not in PODS and call.server not in PODS:
                    continue
                client, server = (end_of_any(party, done) for party in (call.client, call.server))
                if client is None or server is None:
                    continue
                probe = Probe(client=client, server=server, protocol=PROTOCOLS[call.protocol], port=call.port)
                decision = evaluator.decide(probe)
                for side, party in ((decision.egress, call.client), (decision.ingress, call.server)):
                    name = f"{party.namespace}/{party.owner} {side.direction}"
                    if name in isolated and side.isolating:
                        assert side.outcome is Outcome.DENIED, (dialect, name, call)


def end_of_any(party: Party, done: Run) -> End | None:
    """Return a party as the evaluator knows it, or None for a pod that no record showed."""
    names = {one.ref.name for one in done.suggestion.workloads.versions}
    return end_of(party, done) if party.reserved or party.owner in names else None
