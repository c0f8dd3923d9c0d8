"""``discover verify``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from discovery.cli.common import (
    Bars,
    cluster_option,
    input_format_option,
    inventory_option,
    period_options,
    platform_option,
    printable,
    speaks,
    workers_option,
)

if TYPE_CHECKING:
    from discovery.app.verification import Finding, SetReport, Verification

_SHOWN = 12
_WIDEST = 3

_EPILOG = """\b
Examples:
  discover verify policies flows.jsonl                     what would enforcing these policies cut?
  discover verify policies lake --format sarif > out.sarif annotate a pull request
  discover verify live.yaml flows.jsonl --as-written       what do the policies of a cluster cut as they are?
  discover verify policies lake --baseline known.json      fail on new findings alone

\b
Exit codes:
  0  nothing that was accepted would be cut
  1  a manifest cannot be read at all
  3  accepted traffic would be cut, or may be
  4  the input is incomplete (see --allow-partial)
  5  with --baseline: new findings that cut nothing
"""


@click.command(epilog=_EPILOG)
@click.argument("policies", type=click.Path(exists=True, path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@inventory_option
@platform_option
@period_options
@click.option("--as-written", is_flag=True, help="Take monitor forms as they are, inert, not as if they were promoted.")
@click.option("--allow-partial", is_flag=True, help="Do not fail because the input is incomplete.")
@click.option("--accept-inferred", is_flag=True, help="Count edges whose direction is only inferred as decided.")
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="JSON of an earlier verify: only findings that it lacks make this one fail.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)
@input_format_option
@cluster_option
@workers_option
@speaks
def command(  # noqa: PLR0917 - click passes one argument per option
    policies: Path,
    inputs: tuple[str, ...],
    inventory: tuple[Path, ...],
    platforms: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    as_written: bool,
    allow_partial: bool,
    accept_inferred: bool,
    baseline: Path | None,
    output_format: str,
    input_format: str,
    cluster: str,
    workers: int | None,
) -> None:
    """Replay recorded flows on policies: what would be cut, what is wider than its use, what nobody uses.

    POLICIES is a file or folder of Kubernetes, Cilium and Calico policies: yours, or what suggest wrote (each dialect
    is then replayed by itself). INPUT is files, folders, globs, a lake, or - for standard input. Nothing is written.
    """
    from discovery.app.output import as_json
    from discovery.app.verify import VerifyOptions, verify_policies
    from discovery.app.verify_records import as_record, as_sarif
    from discovery.model.platform import parse_platforms

    with Bars() as bars:
        options = VerifyOptions(
            format=input_format,
            platforms=parse_platforms(platforms),
            inventory=inventory,
            since=since,
            until=until,
            cluster=cluster,
            allow_partial=allow_partial,
            accept_inferred=accept_inferred,
            as_written=as_written,
            baseline=baseline,
            workers=workers,
            progress=bars.update,
        )
        found = verify_policies(policies, inputs, options)
    if output_format == "text":
        _tell(found, as_written=as_written)
    else:
        click.echo(as_json(as_record(found) if output_format == "json" else as_sarif(found)), nl=False)
    if found.exit_codes:
        raise SystemExit(found.exit_codes[0])


def _tell(found: Verification, *, as_written: bool) -> None:
    """Print the reports, the worst findings first."""
    from discovery.app.words import describe_incomplete

    for report in found.reports:
        _tell_report(report, found.baseline, as_written=as_written)
    if not found.completeness.complete:
        click.echo(f"Input      incomplete: {printable(describe_incomplete(found.completeness))}")
    for gap in found.gaps:
        click.echo(f"Input      proves nothing: {printable(gap)}")
    click.echo(f"Verdict    {_verdict(found)}")


def _tell_report(report: SetReport, baseline: frozenset[str] | None, *, as_written: bool) -> None:
    """Print what one set of policies does."""
    from discovery.app.verification import EXPLANATIONS, Code
    from discovery.app.words import counted

    how = "as written" if as_written else "as if enforced"
    policies = counted(report.policies, "policy", "policies")
    click.echo(f"{report.name.capitalize():<11}{policies} on {report.platform}, {how}")
    click.echo(f"Governed   {report.governed:,} of {counted(report.after.workloads, 'workload')} of the flows")
    edges = sum(report.fates.values())
    click.echo(f"Traffic    {counted(edges, 'accepted edge')}, {report.fates.get('covered', 0):,} surely allowed")
    _tell_openness(report)
    for one in report.diagnostics[:_SHOWN]:
        click.echo(f"  ? {printable(one.subject)}: {printable(one.message)}")
    if len(report.diagnostics) > _SHOWN:
        click.echo(f"  ? and {len(report.diagnostics) - _SHOWN} more about manifests")
    for code in Code:
        findings = [finding for finding in report.findings if finding.code is code]
        if findings:
            click.echo(f"\n  {counted(len(findings), 'finding')}: {EXPLANATIONS[code]} [{code}]")
            _tell_findings(findings, report.name, baseline)
    click.echo("")


def _tell_openness(report: SetReport) -> None:
    """Print what stays open between workloads, beside what was open without the policies."""
    before, after = report.before, report.after
    click.echo(
        f"Open       {after.pairs:,} of {before.pairs:,} pairs of workloads, {after.unseen:,} of them never seen"
    )
    click.echo(
        f"Spread     from one workload to {after.blast_mean:,.1f} others, at most {after.blast_most:,} "
        f"(without the policies {before.blast_mean:,.1f})"
    )
    for one in sorted(report.reach, key=lambda one: (-one.never_used, one.workload))[:_WIDEST]:
        if one.never_used:
            click.echo(
                f"Widest     {printable(one.workload)} may reach {len(one.direct):,}, "
                f"{one.never_used:,} of them never used; {one.spread:,} over others"
            )
    click.echo(
        f"World      reaches {after.from_world:,} of {after.workloads:,} workloads and is reached by {after.to_world:,}"
    )


def _tell_findings(findings: list[Finding], name: str, baseline: frozenset[str] | None) -> None:
    """Print findings, those of one subject together."""
    subject = None
    for finding in findings[:_SHOWN]:
        head = f"{finding.subject}" + (f" {finding.direction}" if finding.direction is not None else "")
        if head != subject:
            subject = head
            click.echo(f"    {printable(head)}")
        known = baseline is not None and finding.fingerprint(name) in baseline
        about = f"{finding.traffic}: " if finding.traffic else ""
        click.echo(f"      {'(known) ' if known else ''}{printable(about)}{printable(finding.message)}")
    if len(findings) > _SHOWN:
        click.echo(f"    and {len(findings) - _SHOWN} more (--format json has them all)")


def _verdict(found: Verification) -> str:
    """Return the end of the report: whether these policies may be enforced."""
    from discovery.model.errors import EXIT_CHANGED, EXIT_CUT, EXIT_FAILED, EXIT_INCOMPLETE

    if EXIT_FAILED in found.exit_codes:
        return "not usable: a manifest cannot be read or told from another, and nobody knows what it would do"
    if EXIT_CUT in found.exit_codes:
        return "do not enforce: accepted traffic would be cut, or may be"
    if EXIT_INCOMPLETE in found.exit_codes:
        return "not proven: the input is incomplete, and what it lacks may be cut (--allow-partial accepts that)"
    if EXIT_CHANGED in found.exit_codes:
        return "nothing accepted would be cut; there are findings that the baseline does not have"
    known = "" if found.baseline is None else " beyond what the baseline knows"
    return f"nothing that was accepted in this window would be cut{known}"
