"""``discover promote``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from discovery.cli.common import (
    Bars,
    cluster_option,
    input_format_option,
    inventory_option,
    platform_option,
    printable,
    speaks,
    workers_option,
)

if TYPE_CHECKING:
    from discovery.app.promote import Promotion

_SHOWN = 40

_EPILOG = """\b
Examples:
  discover promote policies lake -o enforced --dialect cilium --dry-run    the plan, and what stands in its way
  discover promote policies lake -o enforced --dialect cilium --namespace shop
  discover promote policies lake -o enforced --dialect calico --workload shop/cart
  discover promote policies lake -o enforced --dialect cilium --existing live/

\b
Exit codes:
  0  promoted (or, with --dry-run, nothing stands in the way)
  3  refused: accepted traffic would be cut, or may be; nothing was written
  4  refused: the input is incomplete; nothing was written (see --allow-partial)
"""


@click.command(epilog=_EPILOG)
@click.argument("policies", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for the enforcing forms.")
@click.option("--dialect", metavar="NAME", help="Which of several dialects to promote: cilium, calico or kubernetes.")
@click.option("--namespace", "namespaces", multiple=True, metavar="NS", help="Promote this namespace; may be repeated.")
@click.option(
    "--workload", "workloads", multiple=True, metavar="NS/NAME", help="Promote this workload; may be repeated."
)
@click.option(
    "--existing",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="All policies that the cluster has now: they decide together with those that are promoted.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and what stands in its way; write nothing.")
@click.option("--prune", is_flag=True, help="Retire files of an earlier promotion that are not part of this one.")
@inventory_option
@platform_option
@click.option("--allow-partial", is_flag=True, help="Do not refuse because the input is incomplete.")
@input_format_option
@cluster_option
@workers_option
@speaks
def command(  # noqa: PLR0917 - click passes one argument per option
    policies: Path,
    inputs: tuple[str, ...],
    output: Path,
    dialect: str | None,
    namespaces: tuple[str, ...],
    workloads: tuple[str, ...],
    existing: Path | None,
    dry_run: bool,
    prune: bool,
    inventory: tuple[Path, ...],
    platforms: tuple[str, ...],
    allow_partial: bool,
    input_format: str,
    cluster: str,
    workers: int | None,
) -> None:
    """Turn monitor policies into enforcing ones, if replaying recorded flows cuts nothing.

    POLICIES is a folder that suggest wrote in monitor mode; INPUT is files, folders, globs, a lake, or - for standard
    input. The plan is an order of application after each step of which everything that was accepted still passes.
    """
    from discovery.app.options import parse_dialects
    from discovery.app.promote import PromoteOptions, promote_policies
    from discovery.app.verify import VerifyOptions
    from discovery.model.platform import parse_platforms

    with Bars() as bars:
        how = VerifyOptions(
            format=input_format,
            platforms=parse_platforms(platforms),
            inventory=inventory,
            cluster=cluster,
            allow_partial=allow_partial,
            workers=workers,
            progress=bars.update,
        )
        options = PromoteOptions(
            verify=how,
            dialect=parse_dialects(dialect)[0] if dialect is not None else None,
            namespaces=namespaces,
            workloads=workloads,
            existing=existing,
            dry_run=dry_run,
            prune=prune,
        )
        done = promote_policies(policies, inputs, output, options)
    _tell(done, policies, output)
    if done.exit_codes:
        raise SystemExit(done.exit_codes[0])


def _tell(done: Promotion, policies: Path, output: Path) -> None:
    """Print the plan, or what stands in its way."""
    from discovery.app.words import counted

    files = sum(len(step.paths) for step in done.steps)
    edges = sum(done.report.fates.values())
    click.echo(f"Promote    {counted(files, 'file')} in {counted(len(done.steps), 'step')} on {done.report.platform}")
    click.echo(
        f"Proof      {counted(edges, 'accepted edge')} replayed, {done.report.fates.get('covered', 0):,} allowed"
    )
    audited = done.report.fates.get("audited-today", 0)
    if audited:
        verbs, then = ("passes", "is") if audited == 1 else ("pass", "are")
        click.echo(
            f"Audited    {counted(audited, 'edge')} {verbs} in audit mode alone, and {then} cut once this is enforced:"
        )
        for finding in done.report.findings:
            if finding.code == "audited-today":
                click.echo(f"             {printable(finding.traffic)}")
    if done.exit_codes:
        _tell_refusal(done)
        return
    for number, step in enumerate(done.steps[:_SHOWN], 1):
        who = ", ".join(map(str, step.workloads[:4])) or "no workload in the flows"
        click.echo(f"  {number:>3}. {printable(who)} ({counted(step.records, 'flow record')} decided)")
        for path in step.paths:
            click.echo(f"       kubectl apply -f {_quoted(output / Path(path).relative_to(policies))}")
    if len(done.steps) > _SHOWN:
        click.echo(f"  and {counted(len(done.steps) - _SHOWN, 'step')} more, in the same way")
    _tell_open(done)
    click.echo("Watch      after each step: the header of each file says how")
    click.echo(f"Roll back  {_rollback(done, policies, output)}")
    if done.written is None:
        click.echo("Dry run    nothing was written; nothing stands in the way")
    else:
        click.echo(f"Written    {counted(len(done.written.written), 'file')} to {printable(output)}")
        for path in done.written.retired:
            click.echo(f"Retired    {printable(path)}")


def _rollback(done: Promotion, policies: Path, output: Path) -> str:
    """Return the command that takes back what this promotion applies, and no more."""
    name = done.report.name
    verb, root = ("delete", output) if name == "calico" else ("apply", policies)
    if done.whole:
        return f"kubectl {verb} -f {_quoted(root / name)} -R"
    paths = sorted(Path(path).relative_to(policies) for step in done.steps for path in step.paths)
    return f"kubectl {verb} {' '.join(f'-f {_quoted(root / path)}' for path in paths)}"


def _quoted(path: Path) -> str:
    """Return a path for a shell."""
    return printable(shlex.quote(str(path)))


def _tell_open(done: Promotion) -> None:
    """Print what happens to connections that may be older than the window."""
    from discovery.app.words import counted

    if not done.old:
        return
    click.echo(
        f"Open       {counted(len(done.old), 'edge')} may be connections older than the window: {done.consequence}"
    )
    for edge in done.old[:5]:
        click.echo(f"             {printable(edge)}")
    if len(done.old) > 5:
        click.echo(f"             and {len(done.old) - 5} more")


def _tell_refusal(done: Promotion) -> None:
    """Print why nothing is promoted."""
    from discovery.app.verification import CUTS

    for one in done.report.diagnostics[:_SHOWN]:
        click.echo(f"  ? {printable(one.subject)}: {printable(one.message)}")
    if not done.report.usable:
        click.echo("Refused    a manifest cannot be read or told from another, and nobody knows what it would do")
    for gap in done.gaps[:_SHOWN]:
        click.echo(f"  ? {printable(gap)}")
    if done.gaps:
        click.echo("Refused    these inputs prove nothing about that (--allow-partial promotes all the same)")
    if not done.complete:
        click.echo("Refused    the input is incomplete: what it lacks may be cut (--allow-partial accepts that)")
    cut = [finding for finding in done.report.findings if finding.code in CUTS]
    for finding in cut[:_SHOWN]:
        click.echo(f"  ! {printable(finding.traffic)}: {printable(finding.message)} [{finding.code}]")
    if len(cut) > _SHOWN:
        click.echo(f"  ! and {len(cut) - _SHOWN} more: discover verify lists them")
    for step, lost in done.cut[:_SHOWN] if not cut else ():
        click.echo(f"  ! after the step of {printable(step.paths[0])}: {printable(lost.edge)} would be cut")
    if cut or done.cut:
        click.echo("Refused    nothing was written: learn that traffic first ('discover suggest'), or leave it out")
