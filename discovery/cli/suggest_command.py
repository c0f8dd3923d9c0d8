"""``discover suggest``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from discovery.cli.common import (
    Bars,
    cluster_option,
    format_option,
    input_format_option,
    inventory_option,
    period_options,
    platform_option,
    printable,
    speaks,
    workers_option,
)

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion
    from discovery.model.intent import Dialect

EPILOG = """
\b
Examples:
  discover suggest flows.jsonl -o policies
  discover suggest lake -o policies --dialect cilium --platform cilium=1.18
  discover suggest lake -o policies --namespace shop --namespace payments
  discover suggest lake -o policies --dialect kubernetes --platform 'kubernetes=1.31;enforcer=calico'
  discover suggest lake -o proposal --existing manifests/ --since 2026-11-01
  discover suggest lake -o proposal --existing manifests/ --drift    exit 5 opens a pull request
  discover suggest lake -o policies --inventory cluster.yaml

Monitor mode (the default) writes files that change no verdict when they are applied. Read summary.md first.
Exit codes: 0 done, 1 failed, 2 usage, 4 input incomplete (nothing is written unless --allow-partial), 5 drift
(with --drift alone).
"""


class _Passed(TypedDict):
    """The options that are those of the use case as they are."""

    namespaces: tuple[str, ...]
    existing: Path | None
    unused_days: int
    prune: bool
    inventory: tuple[Path, ...]
    owners: Path | None
    since: datetime | None
    until: datetime | None
    allow_partial: bool
    accept_inferred: bool
    learn_audit: bool
    include_system: bool
    yes_system: bool
    show_addresses: bool
    cluster: str
    workers: int | None


def _existing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what is about the policies that are there."""
    options = (
        click.option(
            "--existing",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="The policies that the cluster has now: what they say is not written again, and their rules are kept.",
        ),
        click.option("--drift", is_flag=True, help="With --existing: exit 5 if it lacks traffic or has unused rules."),
        click.option(
            "--unused-days",
            type=click.IntRange(min=1),
            default=30,
            show_default=True,
            metavar="N",
            help="With --existing: tell rules that nothing used for so many days.",
        ),
        click.option("--prune", is_flag=True, help="With --mode enforce: remove files of an earlier run, too."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("suggest", epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder for policies, evidence and summary.md.")
@click.option(
    "--dialect",
    show_default="all three; with --existing, those of its policies",
    metavar="LIST",
    help="Dialects to write, separated by commas: cilium, calico, kubernetes.",
)
@click.option(
    "--mode",
    type=click.Choice(["monitor", "enforce"]),
    default="monitor",
    show_default=True,
    help="monitor changes no verdict; enforce isolates.",
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NS",
    help="Write policies for this namespace alone; may be repeated.",
)
@_existing_options
@inventory_option
@click.option(
    "--owners",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Who owns which workload, one PATTERN OWNER per line (shop/* @acme/shop): a page and a label per owner.",
)
@platform_option
@period_options
@click.option("--allow-partial", is_flag=True, help="Learn from incomplete input; the summary says what is missing.")
@click.option("--accept-inferred", is_flag=True, help="Learn edges whose direction is only inferred from port use.")
@click.option("--learn-audit", is_flag=True, help="Learn traffic that today's policy would deny (AUDIT verdicts).")
@click.option(
    "--include-system", is_flag=True, help="Write policies for system namespaces too (kube-system, CNI, mesh, GitOps)."
)
@click.option("--yes-system", is_flag=True, help="Confirm --include-system in enforce mode.")
@click.option(
    "--show-addresses",
    is_flag=True,
    help="Name the addresses of external clients exactly, not by their prefixes (/24, /48).",
)
@format_option
@input_format_option
@cluster_option
@workers_option
@speaks
def command(
    inputs: tuple[str, ...],
    output: str,
    dialect: str | None,
    mode: str,
    platforms: tuple[str, ...],
    output_format: str,
    input_format: str,
    drift: bool,
    **passed: Unpack[_Passed],
) -> None:
    """Learn network policies from flow logs or a lake, prove them, and write them for review.

    INPUT is files, folders, globs, a lake, or - for standard input.
    """
    from discovery.app.options import SuggestOptions
    from discovery.app.suggest import suggest
    from discovery.model.errors import EXIT_CHANGED, OptionError
    from discovery.model.intent import Mode
    from discovery.model.platform import parse_platforms

    if drift and passed["existing"] is None:
        raise OptionError("--drift has nothing to compare with", hint="name the folder of the policies: --existing DIR")
    with Bars() as bars:
        options = SuggestOptions(
            format=input_format,
            dialects=_dialects(dialect, passed["existing"]),
            mode=Mode(mode),
            platforms=parse_platforms(platforms),
            progress=bars.update,
            **passed,
        )
        done = suggest(inputs, output, options)
    if output_format == "json":
        click.echo((Path(output) / "summary.json").read_text("utf-8"), nl=False)
    else:
        _tell(done, output)
    if drift and done.drift is not None and done.drift.found:
        raise SystemExit(EXIT_CHANGED)


def _dialects(named: str | None, existing: Path | None) -> tuple[Dialect, ...]:
    """Return the dialects to write: those that were named, else those of the policies that are there, else all."""
    from discovery.app.deployed import dialects_in
    from discovery.app.options import parse_dialects
    from discovery.model.intent import Dialect

    if named is not None:
        return parse_dialects(named)
    return tuple(Dialect) if existing is None else dialects_in(existing)


def _tell(done: Suggestion, output: str) -> None:
    """Print the end of a run: the numbers, the findings that need a person, and what to do next."""
    from discovery.app.proposal import summary_counts
    from discovery.app.words import counted
    from discovery.model.diagnostics import Level

    counts = summary_counts(done)
    click.echo(f"Read       {counted(counts['flow records'], 'flow record')}")
    click.echo(
        f"Learned    {counted(counts['edges learned'], 'edge')}; {counts['edges for review']:,} for review, "
        f"{counts['edges undecided']:,} undecided"
    )
    for one in done.rendered:
        isolates = sum(len(artifact.isolates) for artifact in one.artifacts)
        click.echo(
            f"{one.platform.dialect.value.capitalize():<11}{counted(len(one.artifacts), 'policy', 'policies')}, "
            f"{counted(isolates, 'direction')} for {one.platform}"
        )
    errors = [item for item in done.diagnostics if item.level is Level.ERROR]
    for item in errors[:5]:
        click.echo(f"  ! {printable(item.subject)}: {printable(item.message)}")
    if len(errors) > 5:
        click.echo(f"  ! and {len(errors) - 5} more in summary.md")
    if any(one.artifacts for one in done.rendered):
        mode = (
            "change no verdict when applied"
            if done.options.mode.value == "monitor"
            else "ISOLATE workloads when applied"
        )
        left = sum(one.code == "existing-not-kept" for one in done.diagnostics)
        proven = (
            "every learned edge" if not left else f"what they were made for; {counted(left, 'workload')} got none (!)"
        )
        click.echo(f"The files {mode}; they were read back and allow {proven}.")
    elif done.drift is not None and not done.drift.found:
        said = "of it" if not errors else "that can be said (what is left out is above)"
        click.echo(f"Nothing to add: the policies that are there say all {said}.")
    else:
        click.echo("No policy was written: summary.md says why, and 'discover doctor' what the input shows.")
    _tell_drift(done)
    if done.written.retired:
        click.echo(
            f"Retired    {counted(len(done.written.retired), 'file')} of an earlier run: "
            f"{', '.join(map(printable, done.written.retired[:3]))}"
        )
    click.echo(f"Next       read {printable(Path(output) / 'summary.md')}")


def _tell_drift(done: Suggestion) -> None:
    """Print what is there already, what it does not let pass, and what of it nobody uses."""
    from discovery.app.words import counted

    if done.drift is None:
        return
    said = ", ".join(f"{count:,} {name}" for name, count in done.drift.said.items())
    unused = "" if done.drift.unused is None else f"{counted(len(done.drift.unused), 'rule')} not used for "
    unused += counted(done.drift.days, "day") if unused else ""
    click.echo(f"There      {said} directions need nothing more{unused and '; '}{unused}")
    for one in done.drift.outside[:3]:
        click.echo(f"Outside    {printable(one.subject)}: {printable(one.message)}")
    if len(done.drift.outside) > 3:
        click.echo(f"Outside    and {len(done.drift.outside) - 3} more in summary.md")
