"""Use case: why a rule is there, and why a connection would be allowed or denied."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discovery.app.evidence import Evidence
from discovery.app.manifests import policy_sets
from discovery.app.told import recorded_by
from discovery.app.verify import VerifyOptions, enforced_sets, judge_inputs
from discovery.model.edge import Endpoint, Protocol
from discovery.model.errors import InputError, OptionError
from discovery.model.platform import Platform
from discovery.model.ports import MAX_PORT
from discovery.model.workload import EndpointKind, Entity
from discovery.verify.decisions import Outcome, Probe
from discovery.verify.endpoints import Ends
from discovery.verify.ends import End, PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.recorded import Recorded
from discovery.verify.trace import SideTrace, trace

_ID = re.compile(r"[0-9a-f]{8}")
_CONNECTION = re.compile(
    r"\s*(?P<client>\S.*?)\s*->\s*(?P<server>\S.*?)\s+(?P<protocol>[A-Za-z0-9]+)"
    r"(?:/(?P<port>[0-9]{1,5})|\s+type\s+(?P<type>[0-9]{1,3}))\s*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReason:
    """Why a rule is there: what the evidence files keep of it, and the lines of manifests that name it."""

    identifier: str
    workload: str
    direction: str
    rule: dict[str, Any]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReason:
    """Why a connection is allowed or denied by one set of policies, for one pair of ends that it may stand for."""

    policies: str
    platform: Platform
    outcome: Outcome
    sides: tuple[SideTrace, ...]


def explain_rule(policies: str | Path, identifier: str) -> RuleReason:
    """Return why the rule with an evidence id is there.

    Raises :class:`InputError` when the folder has no evidence with this id.
    """
    folder = Path(policies)
    for path in sorted((folder / "evidence").glob("*.json")):
        try:
            found = _rule(json.loads(path.read_bytes()), identifier)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path} is no evidence file", hint="write it anew with discover suggest") from error
        if found is not None:
            who, direction, rule = found
            places = tuple(_places(folder, identifier))
            return RuleReason(identifier=identifier, workload=who, direction=direction, rule=rule, places=places)
    raise InputError(
        f"{folder} has no evidence with the id {identifier!r}",
        hint="the id stands in the comment above a rule, after 'evidence'; give the folder that suggest wrote",
    )


def _rule(told: Any, identifier: str) -> tuple[str, str, dict[str, Any]] | None:
    """Return workload, direction and rule of an evidence file that has an id."""
    if not isinstance(told, dict) or "directions" not in told:
        return None
    who = f"{told['workload']['namespace']}/{told['workload']['name']}"
    for direction in told["directions"]:
        for rule in direction["rules"]:
            if rule["id"] == identifier:
                return who, str(direction["direction"]), rule
    return None


def _places(folder: Path, identifier: str) -> Iterator[str]:
    """Yield ``path:line`` of every comment that names an evidence id."""
    for given in policy_sets([folder]):
        for name, content in given.texts.items():
            for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
                if line.lstrip().startswith("#") and f"evidence {identifier}" in line:
                    yield f"{Path(name).relative_to(folder)}:{number}"


def is_rule(what: str) -> bool:
    """Say whether somebody asks about a rule (by its evidence id), not about a connection."""
    return _ID.fullmatch(what.strip()) is not None


def explain_connection(
    policies: str | Path, what: str, inputs: str | Path | Iterable[str | Path], options: VerifyOptions
) -> tuple[ConnectionReason, ...]:
    """Return why policies allow or deny ``CLIENT -> SERVER PROTOCOL/PORT``, per set that is enforced together.

    An end is ``namespace/name`` of a workload of the inputs, a reserved entity, or an address. Raises
    :class:`OptionError` for text that is no connection and for a workload that the inputs do not have.
    """
    match = _CONNECTION.fullmatch(what)
    if match is None or match["protocol"].lower() not in {protocol.value.lower() for protocol in Protocol}:
        raise OptionError(
            f"{what!r} is neither an evidence id nor a connection",
            hint="write for example 'shop/web -> shop/db TCP/5432', 'shop/web -> 192.0.2.7 TCP/443' or '1a2b3c4d'",
        )
    protocol = next(one for one in Protocol if one.value.lower() == match["protocol"].lower())
    judgement = judge_inputs(inputs, options)
    recorded = recorded_by(judgement.evidence)
    ends = Ends(judgement.evidence.workloads.versions, recorded)
    client, server = (_ends(match[side], judgement.evidence, ends) for side in ("client", "server"))
    number = int(match["port"] or match["type"] or -1)
    if number > (MAX_PORT if protocol.has_ports else 255) or (match["port"] is None) is protocol.has_ports:
        raise OptionError(
            f"{what!r}: {protocol.value} has {'ports up to 65535' if protocol.has_ports else 'types up to 255'}",
            hint="write 'TCP/443' or 'ICMP type 8'",
        )
    reasons = []
    for one in enforced_sets(policy_sets([Path(policies)]), judgement.platforms):
        evaluator = Evaluator(one.read.policies, one.platform, as_enforced=not options.as_written, tiers=one.read.tiers)
        peers = PeerMatcher(one.platform)
        for here in client:
            for there in server:
                probe = Probe(
                    client=here, server=recorded.named(here, there), protocol=protocol,
                    port=number if protocol.has_ports else None, icmp_type=None if protocol.has_ports else number,
                )  # fmt: skip
                probe = _with_request(evaluator, probe, recorded)
                reasons.append(
                    ConnectionReason(
                        policies=one.name,
                        platform=one.platform,
                        outcome=evaluator.decide(probe).outcome,
                        sides=trace(evaluator, probe, peers),
                    )
                )
    return tuple(dict.fromkeys(reasons))  # versions of a workload that no policy tells apart look alike


def _with_request(evaluator: Evaluator, probe: Probe, recorded: Recorded) -> Probe:
    """Return the probe with a request that was recorded: one that is refused, if there is any."""
    asked = recorded.asked(probe.client, probe.server, probe.protocol, probe.port) if evaluator.asks_requests else None
    probes = [replace(probe, request=request) for request in asked or ()]
    order = (Outcome.DENIED, Outcome.UNKNOWN, Outcome.ALLOWED)
    return min(probes, key=lambda one: order.index(evaluator.decide(one).outcome), default=probe)


def _ends(text: str, evidence: Evidence, ends: Ends) -> tuple[End, ...]:
    """Return what the words for an end may stand for."""
    if text in list(Entity):
        return ends.of(Endpoint(kind=_kind(text)))
    try:
        return ends.of(Endpoint(kind=EndpointKind.EXTERNAL, addresses=(str(ipaddress.ip_address(text)),)))
    except ValueError:
        pass
    refs = sorted({ref for ref in evidence.workloads.ref_of.values() if str(ref) == text})
    if not refs:
        raise OptionError(
            f"{text!r} is no workload of the inputs, no entity and no address",
            hint="write a workload as namespace/name, as discover verify shows it",
        )
    return tuple(end for ref in refs for end in ends.of(Endpoint(kind=EndpointKind.WORKLOAD, workload=ref)))


def _kind(entity: str) -> EndpointKind:
    """Return the kind of end of a reserved entity."""
    return EndpointKind.EXTERNAL if entity == Entity.WORLD else EndpointKind(entity)
