"""Use case: replay recorded flows on policies, before anyone enforces them."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from discovery.app.evidence import Evidence, gather
from discovery.app.manifests import PolicySet, policy_sets
from discovery.app.options import Progress, SuggestOptions, no_progress
from discovery.app.told import gone_by, recorded_by, told_by
from discovery.app.verification import Code, Finding, SetReport, Verification
from discovery.app.words import counted
from discovery.learn.intents import Subjects, learn
from discovery.learn.judge import EXPLANATIONS, Judged, Options, Reason, Ruling
from discovery.model.capture import Aspect, Shows, merged, shown
from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Edge
from discovery.model.errors import InputError, OptionError
from discovery.model.intent import Dialect
from discovery.model.platform import Platform, detect_platforms, parse_platforms
from discovery.verify.breadth import Breadth, breadths
from discovery.verify.decisions import Outcome, SideDecision
from discovery.verify.ends import PeerMatcher
from discovery.verify.evaluate import Evaluator
from discovery.verify.nearest import nearest
from discovery.verify.reach import all_open, openness, pairs_of, reach
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.replay import Fate, Replayed, replay
from discovery.verify.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How to verify. ``as_written`` takes monitor forms as they are, inert, instead of as if they were promoted;
    ``baseline`` is the JSON of an earlier run, of which known findings do not fail again.
    """

    format: str = "auto"
    platforms: dict[Dialect, Platform] = field(default_factory=lambda: parse_platforms([]))
    inventory: tuple[Path, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    cluster: str = "default"
    allow_partial: bool = False
    accept_inferred: bool = False
    as_written: bool = False
    baseline: Path | None = None
    workers: int | None = None
    memory_limit_mb: int = 192
    progress: Progress = no_progress


def verify_policies(
    policies: str | Path | Iterable[str | Path],
    inputs: str | Path | Iterable[str | Path],
    options: VerifyOptions | None = None,
) -> Verification:
    """Replay the flows of inputs on policies; nothing is written.

    ``policies`` are files and folders; what ``suggest`` wrote is taken one dialect at a time. Raises
    :class:`InputError` for paths that cannot be read or hold no policy, and :class:`OptionError` for a baseline that is
    none. Malformed manifests and records are part of the result.
    """
    options = options or VerifyOptions()
    known = _baseline(options.baseline)
    sets = policy_sets(Path(path) for path in _listed(policies))
    judgement = judge_inputs(inputs, options)
    reports = [
        report_on(one.name, one.read, one.platform, judgement, as_enforced=not options.as_written)
        for one in enforced_sets(sets, judgement.platforms)
    ]
    return Verification(
        reports=tuple(reports),
        completeness=judgement.evidence.completeness,
        allow_partial=options.allow_partial,
        gaps=(*gaps(judgement), *(() if options.as_written else _idle(reports))),
        baseline=known,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An edge that is replayed; ``counts`` says that cutting it would be wrong (it was accepted, not audited)."""

    judged: Judged

    @property
    def edge(self) -> Edge:
        """Return the edge."""
        return self.judged.edge

    @property
    def counts(self) -> bool:
        """Say whether cutting the edge would be wrong."""
        return self.judged.reason is not Reason.AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the inputs show, every edge judged: ``tried`` are those that policies are tried on, ``denied`` those that a
    policy denied in the window. ``platforms`` are as an inventory tells them, if there is one.
    """

    evidence: Evidence
    platforms: dict[Dialect, Platform]
    tried: tuple[Tried, ...]
    denied: tuple[Edge, ...]
    progress: Progress


def judge_inputs(inputs: str | Path | Iterable[str | Path], options: VerifyOptions) -> Judgement:
    """Return what the inputs show. Raises :class:`InputError` for one that cannot be read."""
    with tempfile.TemporaryDirectory(prefix="discovery-lake-") as scratch:
        given = tuple(str(path) for path in _listed(inputs))
        evidence = gather(given, Path(scratch) / "lake", _reading(options), requests=True)
    platforms = options.platforms
    if evidence.inventory is not None:
        platforms = detect_platforms(platforms, evidence.inventory.versions, evidence.inventory.settings)
    judged = _judged(evidence, options)
    refused = (Reason.DENIED, Reason.CONFLICT, Reason.EXPLICIT_DENY)
    return Judgement(
        evidence=evidence,
        platforms=platforms,
        tried=tuple(
            Tried(judged=one) for one in judged if one.ruling is not Ruling.REVIEW or one.reason is Reason.AUDIT
        ),
        denied=tuple(one.edge for one in judged if one.reason in refused),
        progress=options.progress,
    )


def gaps(judgement: Judgement) -> tuple[str, ...]:
    """Return why replaying these inputs proves nothing, whatever it finds."""
    found = []
    if not judgement.tried:
        found.append("they hold no accepted traffic, so nothing was replayed")
    if judgement.evidence.inventory is None:
        found += [
            f"no pod has labels in what {one.source} exported, so nobody knows which policies govern it: export them, "
            "or add --inventory"
            for one in merged(judgement.evidence.completeness.sightings)
            if one.records and shown(one, Aspect.LABELS) is Shows.NO
        ]
    return tuple(found)


def _idle(reports: Iterable[SetReport]) -> Iterator[str]:
    """Yield which sets are about none of the workloads, so that the flows say nothing about them."""
    for report in reports:
        if report.policies and not report.governed:
            yield f"the {report.name} policies are about none of its workloads"


def _listed(given: str | Path | Iterable[str | Path]) -> tuple[str | Path, ...]:
    """Return one path or several as a tuple."""
    return (given,) if isinstance(given, (str, Path)) else tuple(given)


def _reading(options: VerifyOptions) -> SuggestOptions:
    """Return the options of gathering evidence."""
    return SuggestOptions(
        format=options.format,
        inventory=options.inventory,
        since=options.since,
        until=options.until,
        cluster=options.cluster,
        workers=options.workers,
        memory_limit_mb=options.memory_limit_mb,
        progress=options.progress,
    )


def _baseline(path: Path | None) -> frozenset[str] | None:
    """Return the fingerprints of an earlier report. Raises :class:`OptionError` when it is none."""
    if path is None:
        return None
    try:
        told = json.loads(path.read_bytes())
        return frozenset(str(one["fingerprint"]) for report in told["reports"] for one in report["findings"])
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror or error}", hint="give the JSON of an earlier verify") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"{path} is no report of verify", hint="make one: discover verify ... --format json > baseline.json"
        ) from error


def _judged(evidence: Evidence, options: VerifyOptions) -> tuple[Judged, ...]:
    """Return every edge with its ruling, as learning takes it."""
    learned = learn(
        evidence.edges,
        evidence.workloads.versions,
        Options(accept_inferred=options.accept_inferred),
        Subjects(include_system=True, gone=gone_by(evidence)),
        frozenset(),
        told_by(evidence, frozenset()),
    )
    return learned.judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """Policies that are enforced together, and where."""

    name: str
    platform: Platform
    read: ReadSet


def enforced_sets(sets: Iterable[PolicySet], platforms: dict[Dialect, Platform]) -> Iterator[Enforced]:
    """Yield what is enforced together: the dialect that was written, or all that a CNI enforces.

    Raises :class:`InputError` for a set without any policy.
    """
    for given in sets:
        read = read_policies(given.texts)
        if given.dialect is not None:
            yield Enforced(name=given.dialect.value, platform=platforms[given.dialect], read=read)
            continue
        found = {policy.dialect for policy in read.policies}
        if not found and not any(one.level is Level.ERROR for one in read.diagnostics):
            raise InputError(
                f"{next(iter(given.texts))}: no network policy is in the manifests",
                hint="name the folder of the policies",
            )
        enforcers: list[Dialect] = [one for one in (Dialect.CILIUM, Dialect.CALICO) if one in found]
        for dialect in enforcers or [Dialect.KUBERNETES]:
            yield Enforced(name=dialect.value, platform=platforms[dialect], read=read)


def report_on(
    name: str,
    read: ReadSet,
    platform: Platform,
    judgement: Judgement,
    *,
    as_enforced: bool,
    beside: ReadSet | None = None,
) -> SetReport:
    """Replay all edges on one set of policies; ``beside`` are others that are in force as well, and not judged."""
    judgement.progress(f"replaying on {name}", 0, 1)
    versions = judgement.evidence.workloads.versions
    more = beside or ReadSet(policies=(), diagnostics=())
    together, tiers = (*read.policies, *more.policies), (*read.tiers, *more.tiers)
    evaluator = Evaluator(together, platform, as_enforced=as_enforced, tiers=tiers, versions=versions)
    recorded = recorded_by(judgement.evidence)
    peers = PeerMatcher(platform)
    findings: list[Finding] = []
    fates: Counter[str] = Counter()
    replayed = replay([one.edge for one in judgement.tried], versions, evaluator, recorded)
    for one, found in zip(judgement.tried, replayed.edges, strict=True):
        fates[_fate(one.judged, found)] += 1
        findings += _of_edge(one.judged, found, peers)
        findings += _pending(one.edge)
    wide = breadths(read.policies, replayed.uses, versions, peers)
    about = Traffic((one.edge for one in judgement.tried), versions, peers)
    findings += [finding for breadth in wide for finding in _of_rule(breadth, about)]
    for found in replay(judgement.denied, versions, evaluator, recorded).edges:
        findings += _opened(found)
    used = [one.edge for one in judgement.tried if one.counts]
    open_ = reach(versions, evaluator)
    judgement.progress(f"replaying on {name}", 1, 1)
    return SetReport(
        name=name,
        platform=platform,
        policies=len({policy.source for policy in read.policies}),
        governed=len({one.ref for one in versions if not all(evaluator.is_open(side, one) for side in Direction)}),
        fates=dict(sorted(fates.items())),
        findings=tuple(sorted(findings, key=_order)),
        diagnostics=(*read.diagnostics, *more.diagnostics),
        usable=not (read.lost or more.lost),
        before=all_open(versions, used),
        after=openness(open_, used),
        reach=open_.of_each(pairs_of(used)),
    )


def _order(finding: Finding) -> tuple[int, str, str, str, str]:
    """Return the sort key: the worst first, then by subject."""
    return list(Code).index(finding.code), finding.subject, finding.direction or "", finding.traffic, finding.message


def _fate(one: Judged, found: Replayed) -> str:
    """Return under which count an edge falls."""
    if found.fate is Fate.COVERED:
        return "covered"
    return _code(one, found).value


def _code(one: Judged, found: Replayed) -> Code:
    """Return the code of an edge that is not surely allowed."""
    if one.reason is Reason.AUDIT:
        return Code.AUDITED
    if found.fate is Fate.UNKNOWN:
        return Code.STRANGER if found.is_strange else Code.UNKNOWN
    return Code.UNDECIDED if one.ruling is Ruling.UNDECIDED else Code.WOULD_DENY


def _of_edge(one: Judged, found: Replayed, peers: PeerMatcher) -> Iterator[Finding]:
    """Yield what there is to say of an edge: one finding per side that does not surely allow it."""
    if found.fate is Fate.COVERED:
        return
    edge = one.edge
    code = _code(one, found)
    why = f" ({EXPLANATIONS[one.reason]})" if one.ruling is Ruling.UNDECIDED and one.reason is not None else ""
    if not found.sides:
        yield Finding(
            code=code, subject=str(edge.server), direction=None, traffic=str(edge), message=found.reason + why,
            records=edge.evidence.flow_records,
        )  # fmt: skip
    for side in found.sides:
        if found.fate is Fate.WOULD_DENY and side.outcome is not Outcome.DENIED:
            continue
        message, source = _told(side, found, peers)
        end = edge.client if side.direction == "egress" else edge.server
        yield Finding(
            code=code, subject=str(end), direction=side.direction, traffic=str(edge), message=message + why,
            source=source, records=edge.evidence.flow_records,
        )  # fmt: skip


def _told(side: SideDecision, found: Replayed, peers: PeerMatcher) -> tuple[str, str]:
    """Return why a side does not allow an edge, with the rule that is nearest, and the policy to look at."""
    if side.matching:
        policy, rule = side.matching[0]
        return f"{side.reason}: {policy} {rule.place}", policy.source
    source = side.isolating[0].source if side.isolating else ""
    by = f" by {side.isolating[0]}" if side.isolating else ""
    more = f" and {len(side.isolating) - 1} more" if len(side.isolating) > 1 else ""
    if side.outcome is not Outcome.DENIED or found.probe is None:
        return f"{side.reason}{by and f'; isolated{by}{more}'}", source
    near = nearest(side, found.probe, peers)
    if near is None:
        return f"isolated{by}{more}, and no rule names this peer or this port", source
    return f"isolated{by}{more}; nearest rule {near.rule.place}: {near.lacks}", near.policy.source


def _pending(edge: Edge) -> Iterator[Finding]:
    """Yield the finding of an edge that staged policies of the cluster would deny, as the cluster itself told."""
    if edge.pending_denied_by:
        yield Finding(
            code=Code.PENDING, subject=str(edge.server), direction=None, traffic=str(edge),
            message=f"the cluster's own verdict: {', '.join(map(_policy, edge.pending_denied_by))} would deny it",
            records=edge.evidence.flow_records,
        )  # fmt: skip


def _policy(told: str) -> str:
    """Return the name of a policy that a flow told as kind/namespace/name, for people and harmless."""
    kind, _, rest = told.partition("/")
    namespace, _, name = rest.partition("/")
    return ascii(f"{kind} {namespace or '(cluster)'}/{name}")[1:-1] if told else "a policy without a name"


def _opened(found: Replayed) -> Iterator[Finding]:
    """Yield the finding of an edge that a policy denied and that these policies would allow."""
    edge: Edge = found.edge
    if found.fate is Fate.COVERED:
        yield Finding(
            code=Code.OPENS, subject=str(edge.server), direction=None, traffic=str(edge),
            message="a policy denied it in the window, and these would let it pass",
            records=edge.denied_records or edge.evidence.flow_records,
        )  # fmt: skip


def _many(count: int) -> str:
    """Return a number, or the power of two that it is about."""
    return f"{count:,}" if count < 1 << 32 else f"about 2^{count.bit_length() - 1}"


def _of_rule(breadth: Breadth, about: Traffic) -> Iterator[Finding]:
    """Yield what there is to say of one rule. One that is about traffic which passes anyway (probes of the own node,
    say) is not unused.
    """
    source, direction, place = breadth.key
    common = Finding(
        code=Code.UNUSED,
        subject=f"{breadth.policy} {place}",
        direction=direction,
        traffic="",
        message="",
        source=source,
        rule=f"{breadth.policy} {breadth.meaning}",
    )
    allows = f"allows {breadth.peers} on {breadth.allowed_contents}"
    if not breadth.used:
        if any(about.last_use(breadth.policy, rule) for rule in breadth.rules):
            return
        yield replace(common, message=f"{allows}; no recorded traffic used it")
        return
    parts = []
    if breadth.contents:
        parts.append(f"{breadth.contents:,} ports or types more than were used")
    if breadth.workloads:
        parts.append(f"{counted(breadth.workloads, 'workload')} that never used it")
    if breadth.addresses is None:
        parts.append("any address outside")
    elif breadth.addresses:
        parts.append(f"{_many(breadth.addresses)} addresses that never used it")
    if parts:
        yield replace(common, code=Code.BROAD, message=f"{allows}: {', '.join(parts)}")
