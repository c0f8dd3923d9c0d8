"""Use case: from monitor to enforce, gated by replay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from discovery.app.deployed import others, read_deployed
from discovery.app.manifests import policy_sets
from discovery.app.output import Written, publish, stage, write_staged
from discovery.app.promotion import Step, check_steps, in_force, open_before, open_consequence, path_of, plan_steps
from discovery.app.told import recorded_by
from discovery.app.verification import CUTS, SetReport
from discovery.app.verify import Judgement, VerifyOptions, gaps, judge_inputs, report_on
from discovery.model.edge import Edge
from discovery.model.errors import EXIT_CUT, EXIT_FAILED, EXIT_INCOMPLETE, InputError, OptionError, ReadBackError
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef
from discovery.verify.read import ReadSet, read_policies
from discovery.verify.replay import Replayed
from discovery.verify.rules import ReadPolicy
from discovery.verify.truth import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """What to promote and how. ``dialect`` picks one of several that ``suggest`` wrote; ``namespaces`` and
    ``workloads`` (``namespace/name``) narrow what is promoted, and empty means all. ``dry_run`` writes nothing.
    ``prune`` retires files of an earlier promotion that are not part of this one. ``existing`` are the other policies
    of the cluster, which decide together with those that are promoted.
    """

    verify: VerifyOptions
    existing: Path | None = None
    dialect: Dialect | None = None
    namespaces: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    dry_run: bool = False
    prune: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The plan of a promotion and whether it was let through. ``report`` is the replay with everything that is promoted
    in force; ``gaps`` say why the inputs prove nothing; ``cut`` are edges that a step on the way would cut;
    ``old`` are edges that may be open connections; ``whole`` says that all manifests of the dialect are promoted.
    """

    report: SetReport
    steps: tuple[Step, ...]
    gaps: tuple[str, ...]
    cut: tuple[tuple[Step, Replayed], ...]
    old: tuple[Edge, ...]
    consequence: str
    complete: bool
    whole: bool
    written: Written | None

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """Return all exit codes that apply, the one that wins first; none means that promotion is let through."""
        codes = [] if self.report.usable else [EXIT_FAILED]
        codes += [] if self.complete and not self.gaps else [EXIT_INCOMPLETE]
        refused = self.cut or any(finding.code in CUTS for finding in self.report.findings)
        return (*codes, EXIT_CUT) if refused else tuple(codes)


def promote_policies(
    policies: str | Path, inputs: str | Path | Iterable[str | Path], output: str | Path, options: PromoteOptions
) -> Promotion:
    """Replay flows on policies as if they were enforced, and write their enforcing forms if nothing would be cut.

    Raises :class:`InputError` for policies that ``suggest`` did not write, :class:`OptionError` when it is not clear
    which are meant or none is, and :class:`ReadBackError` when what was written does not mean what was promoted.
    """
    root = Path(policies)
    if root.resolve() == Path(output).resolve():
        raise OptionError(
            "the enforcing forms may not replace the monitor forms, which the roll-back needs",
            hint="give another folder with -o",
        )
    dialect, texts = _chosen(root, options)
    judgement = judge_inputs(inputs, options.verify)
    platform = judgement.platforms[dialect]
    read = read_policies(texts)
    chosen = _selected(read, judgement, options)
    promoted = {path_of(policy) for policy in chosen}
    state = tuple(in_force(policy) if path_of(policy) in promoted else policy for policy in read.policies)
    beside = _beside(options, dialect, read)
    concerned = _concerned(judgement, chosen) if options.existing is not None else judgement
    report = report_on(
        dialect.value, replace(read, policies=state), platform, concerned, as_enforced=False, beside=beside
    )
    edges = tuple(one.edge for one in judgement.tried if one.counts)
    versions = judgement.evidence.workloads.versions
    steps = plan_steps(chosen, versions, edges)
    done = Promotion(
        report=report,
        steps=steps,
        gaps=() if options.verify.allow_partial else (*gaps(judgement), *_unproven(steps, read)),
        cut=check_steps(steps, read, beside, edges, versions, platform, recorded_by(judgement.evidence)),
        old=open_before(edges, steps),
        consequence=open_consequence(platform),
        complete=judgement.evidence.completeness.complete or options.verify.allow_partial,
        whole=promoted == {path_of(policy) for policy in read.policies},
        written=None,
    )
    if done.exit_codes or options.dry_run:
        return done
    made = _made({path: texts[path] for path in promoted}, chosen, platform)
    names = {str(Path(path).relative_to(root)): text for path, text in made.items()}
    staging = stage(Path(output))
    write_staged(staging, names)
    return replace(done, written=publish(Path(output), staging, sorted(names), retire=options.prune))


def _chosen(root: Path, options: PromoteOptions) -> tuple[Dialect, dict[str, bytes]]:
    """Return the dialect to promote and its manifests."""
    sets = {one.dialect: one.texts for one in policy_sets([root]) if one.dialect is not None}
    if not sets:
        raise InputError(
            f"{root} is not the output of 'discover suggest'",
            hint="promote what suggest wrote in monitor mode; policies written by hand are enforced as they are",
        )
    found = options.dialect or (next(iter(sets)) if len(sets) == 1 else None)
    if found is None or found not in sets:
        raise OptionError(
            f"{root} holds {', '.join(sorted(one.value for one in sets))}: one dialect is promoted at a time",
            hint=f"say which one your cluster enforces, for example --dialect {next(iter(sets))}",
        )
    return found, sets[found]


def _beside(options: PromoteOptions, dialect: Dialect, read: ReadSet) -> ReadSet:
    """Return the other policies of the cluster; those of the names that are promoted are replaced."""
    if options.existing is None:
        return ReadSet(policies=(), diagnostics=())
    there = read_deployed(options.existing)
    if dialect not in there:
        raise OptionError(
            f"{options.existing} holds what suggest wrote, and nothing for {dialect}",
            hint="give the policies of the cluster, or leave --existing away",
        )
    return others(there[dialect], read.policies)


def _concerned(judgement: Judgement, chosen: tuple[ReadPolicy, ...]) -> Judgement:
    """Return a judgement with the traffic of the workloads that are promoted: what other policies of the cluster do to
    others stands in the way of nothing.
    """
    versions = judgement.evidence.workloads.versions
    refs = {one.ref for one in versions for policy in chosen if policy.subject.selects(one) is not Truth.NO}
    tried = tuple(one for one in judgement.tried if {one.edge.client.workload, one.edge.server.workload} & refs)
    return replace(judgement, tried=tried)


def _unproven(steps: tuple[Step, ...], read: ReadSet) -> tuple[str, ...]:
    """Return which policies the flows prove nothing about, since they show none of their workloads."""
    named = {path_of(policy): str(policy) for policy in read.policies}
    return tuple(
        f"no traffic of a workload of {', '.join(named[path] for path in step.paths)} is in it"
        for step in steps
        if not step.records
    )


def _selected(read: ReadSet, judgement: Judgement, options: PromoteOptions) -> tuple[ReadPolicy, ...]:
    """Return the policies to promote. Raises :class:`OptionError` when there is none."""
    refs = {str(ref) for ref in judgement.evidence.workloads.ref_of.values()}
    unknown = sorted(set(options.workloads) - refs)
    if unknown:
        raise OptionError(f"workload {unknown[0]!r} is not in the flows", hint="write it as namespace/name")
    known = {policy.namespace for policy in read.policies}
    for namespace in options.namespaces:
        if namespace not in known:
            raise OptionError(f"no policy is of namespace {namespace!r}", hint="see the folders of the policies")
    versions = judgement.evidence.workloads.versions

    def wanted(policy: ReadPolicy) -> bool:
        if options.namespaces and policy.namespace not in options.namespaces:
            return False
        owners: set[WorkloadRef] = {one.ref for one in versions if policy.subject.selects(one) is Truth.YES}
        return not options.workloads or bool({str(ref) for ref in owners} & set(options.workloads))

    paths = {path_of(policy) for policy in read.policies if wanted(policy)}
    monitored = {path_of(policy) for policy in read.policies if policy != in_force(policy)}
    chosen = tuple(policy for policy in read.policies if path_of(policy) in paths & monitored)
    if not chosen:
        raise OptionError(
            "nothing is left to promote: no policy in monitor mode is among those that were asked for",
            hint="check --namespace and --workload, and whether the policies are enforced already",
        )
    return chosen


def _made(texts: dict[str, bytes], chosen: tuple[ReadPolicy, ...], platform: Platform) -> dict[str, str]:
    """Return the enforcing forms, read back. Raises :class:`ReadBackError` when one means something else."""
    from generators.promotion import promote

    made = {path: promote(text.decode("utf-8"), platform) for path, text in texts.items()}
    again = read_policies(made)
    expected = sorted((_meaning(in_force(policy)) for policy in chosen), key=repr)
    found = sorted((_meaning(policy) for policy in again.policies), key=repr)
    if again.diagnostics or found != expected:
        raise ReadBackError(
            "an enforcing form does not mean what its monitor form would: nothing was written",
            hint="please report this, with the policies",
        )
    return made


def _meaning(policy: ReadPolicy) -> tuple[object, ...]:
    """Return what a policy says, whatever its kind and whichever line it stands on."""
    return (
        policy.namespace, policy.name, policy.subject, policy.direction, policy.isolates, policy.staged, policy.opt_in,
        policy.rules, policy.tier, policy.order,
    )  # fmt: skip
