"""How far what runs has moved from the policies that are there: traffic outside of them, and rules that nobody uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from discovery.app.deployed import Deployed
from discovery.app.markdown import Section, Table, safe
from discovery.app.words import counted, moment
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge
from discovery.model.intent import Dialect, Origin, PolicyIntent
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadVersion
from discovery.verify.breadth import Breadth, breadths
from discovery.verify.coverage import Coverage, spoken
from discovery.verify.ends import PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, Replayed, replay
from discovery.verify.traffic import Traffic
from discovery.verify.truth import Truth

DAY = 86_400_000_000  # microseconds
# Findings that say that traffic is outside of what is there, and that no file could be written for it.
_OUTSIDE = ("existing-cuts", "existing-not-kept", "existing-narrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedRule:
    """A rule that is there and that no traffic used for some days; ``last_used`` in microseconds since 1970 UTC, None
    if the window does not show any use.
    """

    policy: str
    source: str
    direction: Direction
    place: str
    allows: str
    last_used: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """By dialect, ``proposed`` counts files that add to what is there and ``said`` directions of which it says
    everything. ``outside`` is what could not be added. ``unused`` are rules without use for ``days``; None where the
    window is shorter than that.
    """

    proposed: Mapping[str, int]
    said: Mapping[str, int]
    outside: tuple[Diagnostic, ...]
    unused: tuple[UnusedRule, ...] | None
    days: int

    @property
    def found(self) -> bool:
        """Say whether something should change."""
        return bool(any(self.proposed.values()) or self.outside or self.unused)


def is_outside(finding: Diagnostic) -> bool:
    """Say whether a finding is about traffic outside of what is there."""
    return finding.code in _OUTSIDE


def unused_rules(
    deployed: Mapping[Dialect, Deployed],
    platforms: Mapping[Dialect, Platform],
    intents: tuple[PolicyIntent, ...],
    edges: Iterable[Edge],
    versions: tuple[WorkloadVersion, ...],
    days: int,
    namespaces: Collection[str] = (),
) -> tuple[UnusedRule, ...] | None:
    """Return the rules that no edge used in the last days of the window, in the order of the policies, or None when the
    window is shorter. What is declared to be needed counts as used, and so does what may have been. With ``namespaces``
    only policies of those are looked at.
    """
    used = tuple(edges)
    if not used:
        return None
    since = max(edge.evidence.last_seen for edge in used) - days * DAY
    if min(edge.evidence.first_seen for edge in used) > since:
        return None
    found: list[UnusedRule] = []
    for dialect, one in deployed.items():
        peers = PeerMatcher(platforms[dialect])
        mine = [
            policy
            for policy in one.read.policies
            if policy.dialect is dialect and (not namespaces or policy.namespace in namespaces)
        ]
        traffic = Traffic(used, versions, peers)
        for rule in breadths(mine, {}, versions, peers):
            last = max((traffic.last_use(rule.policy, part) for part in rule.rules), default=0) or None
            if (last is None or last < since) and not _is_declared(rule, intents, platforms[dialect], versions):
                found.append(_unused(rule, last))
    return tuple(found)


def narrowed(
    deployed: Mapping[Dialect, Deployed],
    platforms: Mapping[Dialect, Platform],
    edges: Iterable[Edge],
    versions: tuple[WorkloadVersion, ...],
    recorded: Recorded,
) -> tuple[Diagnostic, ...]:
    """Return the edges of which rules that are there name peer and port, and do not surely let all of it pass, since
    they restrict further (requests of layer 7, authentication): no allow is written beside those, because it would lift
    them.
    """
    given = tuple(edges)
    found: list[Diagnostic] = []
    for dialect, one in deployed.items():
        policies = [policy for policy in one.read.policies if policy.complete]
        if not any(rule.layer7 or rule.unclear for policy in policies for rule in policy.rules):
            continue
        fates = [
            replay(
                given,
                versions,
                Evaluator(some, platforms[dialect], as_enforced=True, tiers=one.read.tiers, versions=versions),
                recorded,
            ).edges
            for some in (policies, list(map(spoken, policies)))
        ]
        found += [
            _narrow(dialect, real)
            for real, named in zip(*fates, strict=True)
            if named.fate is Fate.COVERED and real.fate is not Fate.COVERED
        ]
    return tuple(dict.fromkeys(found))


def _narrow(dialect: Dialect, found: Replayed) -> Diagnostic:
    """Return the finding of an edge that rules restrict further than its traffic."""
    why = found.sides[0].reason if found.sides else found.reason
    return Diagnostic(
        code="existing-narrow",
        level=Level.WARNING,
        subject=str(found.edge.server),
        message=f"{dialect}: {ascii(str(found.edge))[1:-1]}: rules that are there name it, and do not surely let all "
        f"of it pass ({why}); an allow beside them would lift what they restrict",
        hint="'discover verify' shows which rule; mend it by hand",
    )


def _is_declared(
    rule: Breadth, intents: tuple[PolicyIntent, ...], platform: Platform, versions: tuple[WorkloadVersion, ...]
) -> bool:
    """Say whether a rule says what a declared addition asks for (look-ups of names, routes, meshes)."""
    policy = rule.policy
    alone = replace(policy, rules=rule.rules)
    owners = {one.ref for one in versions if policy.subject.selects(one) is Truth.YES}
    coverage = Coverage([alone], platform, versions)
    return any(
        coverage.says(intent, allow)
        for intent in intents
        if intent.workload in owners and intent.direction is policy.direction
        for allow in intent.allows
        if allow.origin is not Origin.OBSERVED
    )


def _unused(rule: Breadth, last: int | None) -> UnusedRule:
    """Return a rule with what a reviewer wants to know of it."""
    source, direction, place = rule.key
    return UnusedRule(
        policy=str(rule.policy),
        source=source,
        direction=direction,
        place=place,
        allows=f"{rule.peers} {rule.allowed_contents}",
        last_used=last,
    )


def drift_json(drift: Drift) -> dict[str, Any]:
    """Return drift as data."""
    return {
        "found": drift.found,
        "filesThatAdd": dict(drift.proposed),
        "directionsSaidAlready": dict(drift.said),
        "outside": [{"subject": one.subject, "message": one.message} for one in drift.outside],
        "unusedDays": drift.days,
        "windowIsLongEnough": drift.unused is not None,
        "unusedRules": [
            {
                "policy": one.policy,
                "source": one.source,
                "direction": one.direction.value,
                "rule": one.place,
                "allows": one.allows,
                "lastUsed": None if one.last_used is None else moment(one.last_used),
            }
            for one in drift.unused or ()
        ],
    }


def drift_section(drift: Drift) -> Section:
    """Return the section of a summary."""
    rows = tuple((name, f"{drift.said[name]:,}", f"{count:,}") for name, count in drift.proposed.items())
    head = ("dialect", "directions of which all is there", "files of this run, which add")
    body: list[str | Table] = [
        "What the policies that are there say is not written again, and their rules are kept as they are.",
        Table(head=head, rows=rows, more="`summary.json`"),
    ]
    if drift.outside:
        body.append(f"Outside of them, and not added: {counted(len(drift.outside), 'finding')} (see the findings).")
    if drift.unused is None:
        short = counted(drift.days, "day")
        body.append(f"The window is shorter than {short}: unused rules cannot be told (`--unused-days`).")
    elif not drift.unused:
        body.append(f"Every rule was used in the last {counted(drift.days, 'day')}, or is declared to be needed.")
    else:
        unused = tuple(
            (
                safe(one.policy), one.direction.value, safe(one.place), safe(one.allows, 200),
                "never in this window" if one.last_used is None else moment(one.last_used)[:10],
            )
            for one in drift.unused
        )  # fmt: skip
        body.append(f"Not used in the last {counted(drift.days, 'day')}; remove them by hand if nobody needs them:")
        named = ("policy", "direction", "rule", "allows", "last used")
        body.append(Table(head=named, rows=unused, more="`summary.json`"))
    return Section(title="Drift", body=tuple(body))
