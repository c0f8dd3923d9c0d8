"""From evidence to reviewable files: learn, render, read back, write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from discovery.app.deployed import Deployed, read_deployed
from discovery.app.dialects import Made, Wanted
from discovery.app.drift import Drift, is_outside, narrowed, unused_rules
from discovery.app.evidence import Evidence
from discovery.app.existing import Existing, read_existing
from discovery.app.making import Makers
from discovery.app.options import SuggestOptions
from discovery.app.output import Written, publish, stage, write_staged
from discovery.app.owners import Owners, owner_labels, read_owners
from discovery.app.records import evidence_files, summary_json
from discovery.app.report import summary_pages
from discovery.app.told import gone_by, recorded_by, told_by
from discovery.app.words import describe_incomplete, duration
from discovery.flows.declared import (
    unshown_namespaces,
)
from discovery.flows.workloads import Workloads
from discovery.learn.intents import Learned, Subjects, learn
from discovery.learn.judge import Options, Ruling
from discovery.model.artifact import Rendered
from discovery.model.capture import CaptureProfile
from discovery.model.completeness import Completeness
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction, Edge, Verdict
from discovery.model.errors import IncompleteInputError, OptionError, ReadBackError
from discovery.model.intent import Dialect, Mode
from discovery.model.inventory import Inventory
from discovery.model.platform import detect_platforms
from discovery.model.workload import WorkloadRef
from discovery.verify.reach import Openness
from discovery.verify.recorded import Recorded

FULL_DAY = 86_400_000_000  # microseconds
# Below this number of delivered edges a second process costs more than it saves.
PARALLEL_EDGES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What a suggestion holds, in memory and on disk. ``reach`` is what stays open once enforced."""

    folder: Path
    learned: Learned
    rendered: tuple[Rendered, ...]
    reach: Mapping[Dialect, Openness]
    completeness: Completeness
    profile: CaptureProfile
    existing: Existing
    workloads: Workloads
    inventory: Inventory | None
    owners: Owners | None
    drift: Drift | None
    options: SuggestOptions
    written: Written
    diagnostics: tuple[Diagnostic, ...]


def propose(evidence: Evidence, folder: Path, options: SuggestOptions) -> Suggestion:
    """Learn policies from evidence and write them for review.

    Raises :class:`IncompleteInputError` when input was lost or malformed and ``allow_partial`` is off or when no record
    of it can be used (nothing is written), and :class:`ReadBackError` when what was written does not mean what was
    learned (nothing is published).
    """
    if not evidence.completeness.complete and not options.allow_partial:
        raise IncompleteInputError(
            "the input is incomplete: " + describe_incomplete(evidence.completeness),
            hint="fix the input, or add --allow-partial to learn from what there is (the summary will say so)",
        )
    _check_usable(evidence.completeness)
    _check_apart(folder, options)
    _check_namespaces(evidence, options)
    if evidence.inventory is not None:
        _check_cluster(evidence.inventory, evidence.edges)
        told = evidence.inventory
        options = replace(options, platforms=detect_platforms(options.platforms, told.versions, told.settings))
    options.progress("learning", 0, 3)
    with Makers(_workers(evidence, options)) as makers:
        return _proposed(evidence, folder, options, makers)


def _proposed(evidence: Evidence, folder: Path, options: SuggestOptions, makers: Makers) -> Suggestion:
    """Learn, have the files of all dialects made while the evidence is written, and publish what is proven."""
    owners = read_owners(options.owners) if options.owners is not None else None
    existing = read_existing(options.existing, evidence.edges, evidence.workloads.versions)
    learned = _learned(evidence, options, existing)
    options.progress("learning", 1, 3)
    # What was given may lack a policy that the flows name (rule 7).
    isolated = existing.isolated | evidence.governed
    staging = stage(folder)
    deployed = {} if options.existing is None else read_deployed(options.existing)
    wanted = Wanted(
        intents=learned.intents,
        edges=tuple(one.edge for one in learned.judged if one.ruling is Ruling.LEARN),
        versions=evidence.workloads.versions,
        mode=options.mode,
        isolated=isolated,
        remarks=_remarks(evidence),
        deployed=deployed,
        recorded=recorded_by(evidence) if deployed else Recorded(),
        owners={} if owners is None else owner_labels(owners, {intent.workload for intent in learned.intents}),
    )
    makers.give(wanted, [options.platforms[dialect] for dialect in options.dialects], staging)
    texts = evidence_files(learned)
    write_staged(staging, texts)
    made = makers.results()
    # An allow beside a rule that restricts further would lift it, so such edges are told instead.
    asked = _asked(deployed, options)
    narrow = narrowed(asked, options.platforms, wanted.edges, wanted.versions, wanted.recorded)
    files = (artifact for one in made for artifact in one.rendered.artifacts)
    added = frozenset((file.workload, direction) for file in files for direction in file.isolates)
    cautions = _cautions(evidence, learned, options, isolated & added)
    options.progress("learning", 2, 3)
    rendered = tuple(one.rendered for one in made)
    found = (
        *cautions,
        *narrow,
        *learned.diagnostics,
        *existing.diagnostics,
        *(d for one in rendered for d in one.diagnostics),
    )
    suggestion = Suggestion(
        folder=folder, learned=learned, rendered=rendered,
        reach={one.rendered.platform.dialect: one.reach for one in made}, completeness=evidence.completeness,
        profile=evidence.profile, existing=existing, workloads=evidence.workloads, inventory=evidence.inventory,
        owners=owners, drift=_drift(evidence, learned, options, deployed, made, narrow), options=options,
        written=Written(written=(), unchanged=(), retired=()),
        diagnostics=tuple(dict.fromkeys((*found, *(d for one in made for d in one.found)))),
    )  # fmt: skip
    _check_proven(made, staging)
    names = [*texts, *(artifact.path for one in rendered for artifact in one.artifacts)]
    return _published(suggestion, staging, names)


def _check_namespaces(evidence: Evidence, options: SuggestOptions) -> None:
    """Raise :class:`OptionError` for a namespace that nothing shows: a run for it would be empty, and look clean."""
    known = {version.ref.namespace for version in evidence.workloads.versions}
    unknown = [namespace for namespace in options.namespaces if namespace not in known]
    if unknown and known:
        raise OptionError(
            f"no workload of namespace {unknown[0]!r} is in the input",
            hint=f"known namespaces: {', '.join(sorted(known)[:10])}",
        )


def _check_apart(folder: Path, options: SuggestOptions) -> None:
    """Raise :class:`OptionError` for an output inside of the policies that are there: it would be read as one of them
    the next time.
    """
    there = None if options.existing is None else options.existing.resolve()
    if there is not None and folder.resolve() != there and folder.resolve().is_relative_to(there):
        raise OptionError(
            f"the output {folder} is inside of the policies that are there: a proposal nobody reviewed would count as "
            "one of them",
            hint="give an output folder beside it",
        )


def _drift(
    evidence: Evidence,
    learned: Learned,
    options: SuggestOptions,
    deployed: Mapping[Dialect, Deployed],
    made: Iterable[Made],
    narrow: tuple[Diagnostic, ...],
) -> Drift | None:
    """Return how far the traffic has moved from the policies that are there, None where none were given."""
    if options.existing is None:
        return None
    results = tuple(made)
    findings = [found for one in results for found in (*one.rendered.diagnostics, *one.found) if is_outside(found)]
    return Drift(
        proposed={one.rendered.platform.dialect.value: len(one.rendered.artifacts) for one in results},
        said={one.rendered.platform.dialect.value: one.said for one in results},
        outside=tuple(dict.fromkeys((*findings, *narrow))),
        unused=unused_rules(
            _asked(deployed, options),
            options.platforms,
            learned.intents,
            (one.edge for one in learned.judged if one.ruling is not Ruling.REVIEW),
            evidence.workloads.versions,
            options.unused_days,
            options.namespaces,
        ),
        days=options.unused_days,
    )


def _asked(deployed: Mapping[Dialect, Deployed], options: SuggestOptions) -> dict[Dialect, Deployed]:
    """Return what is there of the dialects that are written."""
    return {dialect: deployed[dialect] for dialect in options.dialects if dialect in deployed}


def _workers(evidence: Evidence, options: SuggestOptions) -> int:
    """Return how many processes make the dialects, this one counted."""
    seen = sum(edge.verdict in (Verdict.ACCEPTED, Verdict.AUDIT) for edge in evidence.edges)
    most = (os.cpu_count() or 1) if options.workers is None else options.workers
    return max(1, min(len(options.dialects), most)) if seen >= PARALLEL_EDGES else 1


def _learned(evidence: Evidence, options: SuggestOptions, existing: Existing) -> Learned:
    """Return what the evidence supports."""
    return learn(
        evidence.edges,
        evidence.workloads.versions,
        Options(
            accept_inferred=options.accept_inferred,
            learn_audit=options.learn_audit or options.existing is not None,
            client_prefixes=not options.show_addresses,
            enforce=options.mode is Mode.ENFORCE,
        ),
        Subjects(
            namespaces=frozenset(options.namespaces), include_system=options.include_system, gone=gone_by(evidence)
        ),
        existing.denied,
        told_by(evidence, frozenset() if options.learn_audit else existing.unexplained),
    )


def _check_cluster(inventory: Inventory, edges: Iterable[Edge]) -> None:
    """Raise :class:`OptionError` for an inventory of a cluster that no flow is of: it would do nothing, silently."""
    ends = (end.workload for edge in edges for end in (edge.client, edge.server))
    seen = sorted({workload.cluster for workload in ends if workload is not None})
    if seen and inventory.cluster not in seen:
        raise OptionError(
            f"the inventory is read as that of cluster {inventory.cluster!r}, and the flows are of: {', '.join(seen)}",
            hint=f"say whose it is, for example --cluster {seen[0]}",
        )


def _check_usable(account: Completeness) -> None:
    """Raise :class:`IncompleteInputError` when no input shows what everything rests on: no option makes up for it."""
    read = [one for one in account.sightings if one.records]
    if read and all(one.unusable for one in read):
        missing = ", ".join(f"{one.unusable} ({one.source})" for one in read)
        raise IncompleteInputError(
            f"the input shows nothing to learn from: no record has {missing}",
            hint="export the logs again without a field mask; 'discover doctor INPUT' names the setting",
        )


def _remarks(evidence: Evidence) -> tuple[str, ...]:
    """Return what every file must say about its input."""
    if evidence.completeness.complete:
        return ()
    return ("The input was incomplete and was used with --allow-partial: see summary.md.",)


def _beside_inventory(evidence: Evidence) -> list[Diagnostic]:
    """Return which workloads of the traffic the inventory does not have any more, or says nothing of."""
    if evidence.inventory is None:
        return []
    found = [
        Diagnostic(
            code="workload-gone",
            level=Level.WARNING,
            subject=str(ref),
            message="it was seen in the traffic, and the inventory does not have it any more: no rule names it",
            hint="nothing to do if it was removed; else make the inventory again",
        )
        for ref in sorted(gone_by(evidence))
    ]
    found += [
        Diagnostic(
            code="namespace-unshown",
            level=Level.WARNING,
            subject=namespace,
            message="the inventory shows no pod and no controller of this namespace: nobody knows whether its "
            "workloads are still there, so they keep their rules",
            hint="make the inventory with --all-namespaces",
        )
        for namespace in unshown_namespaces(evidence.inventory, evidence.workloads.versions)
    ]
    return found


def _cautions(
    evidence: Evidence, learned: Learned, options: SuggestOptions, isolated: frozenset[tuple[WorkloadRef, Direction]]
) -> list[Diagnostic]:
    """Return warnings about the run as a whole: a short window, and allows that add to policies that are there."""
    found = []
    if evidence.edges:
        first = min(edge.evidence.first_seen for edge in evidence.edges)
        seen = max(edge.evidence.last_seen for edge in evidence.edges) - first
        if seen < FULL_DAY:
            found.append(
                Diagnostic(
                    code="window-short",
                    level=Level.WARNING,
                    subject="input",
                    message=f"the traffic spans {duration(seen)}: daily jobs and rare calls are not in it",
                    hint="learn from at least one full cycle of your traffic before enforcing",
                )
            )
    found += _beside_inventory(evidence)
    if options.mode is Mode.ENFORCE:
        if evidence.inventory is None or not evidence.inventory.tells_calls:
            found.append(
                Diagnostic(
                    code="webhooks-unknown",
                    level=Level.WARNING,
                    subject="input",
                    message="no inventory tells which workloads serve webhooks or aggregated APIs: an isolated one "
                    "that this window did not show being called stops the cluster from creating pods",
                    hint="add one with --inventory that holds webhook configurations and apiservices before enforcing",
                )
            )
        found += [
            Diagnostic(
                code="adds-to-existing",
                level=Level.WARNING,
                subject=str(intent.workload),
                message=f"{intent.direction}: a policy governs it already; these allows add to what that one allows",
                hint="review both together: the union of allows counts, and on Cilium an allow without rules of layer "
                "7 lifts those of the same port",
            )
            for intent in learned.intents
            if intent.isolate and (intent.workload, intent.direction) in isolated
        ]
    return found


def _check_proven(made: Iterable[Made], staging: Path) -> None:
    """Raise :class:`ReadBackError` when files below ``staging`` do not mean what was learned."""
    errors = [finding for one in made for finding in one.found if finding.level is Level.ERROR]
    if errors:
        raise ReadBackError(
            f"what was written does not mean what was learned: {errors[0].subject}: {errors[0].message} "
            f"({len(errors)} findings)",
            hint=f"nothing was published; the files are in {staging}: please report this",
        )


def _published(suggestion: Suggestion, staging: Path, names: list[str]) -> Suggestion:
    """Write the summaries and move them and the files of these names into place."""
    summaries = {**summary_pages(suggestion), "summary.json": summary_json(suggestion)}
    write_staged(staging, summaries)
    written = publish(suggestion.folder, staging, [*names, *summaries], retire=_retires(suggestion))
    suggestion.options.progress("learning", 3, 3)
    return replace(suggestion, written=written)


def _retires(suggestion: Suggestion) -> bool:
    """Say whether files of an earlier run that are not written any more are removed: not those that enforce, unless
    asked for, and not those that this run adds to and left as they are.
    """
    options, here = suggestion.options, suggestion.folder.resolve()
    there = None if options.existing is None else options.existing.resolve()
    apart = there is None or not (there.is_relative_to(here) or here.is_relative_to(there))
    return apart and (options.mode is Mode.MONITOR or options.prune)


def summary_counts(suggestion: Suggestion) -> dict[str, int]:
    """Return the few numbers that the end of a run shows."""
    judged = suggestion.learned.judged
    return {
        "flow records": suggestion.completeness.rows_read,
        "edges learned": sum(one.ruling is Ruling.LEARN for one in judged),
        "edges for review": sum(one.ruling is Ruling.REVIEW for one in judged),
        "edges undecided": sum(one.ruling is Ruling.UNDECIDED for one in judged),
        "policy files": sum(len(one.artifacts) for one in suggestion.rendered),
    }
