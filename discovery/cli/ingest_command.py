"""``discover ingest``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from discovery.cli.common import Bars, cluster_option, printable, speaks, workers_option
from discovery.model.errors import EXIT_INCOMPLETE

if TYPE_CHECKING:
    from discovery.model.completeness import Completeness

EPILOG = """
\b
Examples:
  discover ingest /var/run/cilium/hubble/events.log* -o lake
  zcat flows.json.gz | discover ingest - --format hubble -o lake
  discover ingest exports/ -o lake --output-format json
  discover ingest exports/ -o s3://bucket/lake

Content that the lake already holds is skipped, records it already holds are dropped: the same command may
be run again and again. Exit codes: 0 done, 1 failed, 2 usage, 4 done, but the input is incomplete.
"""


@click.command("ingest", epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    "lake",
    required=True,
    metavar="LAKE",
    help="Folder or address (s3://...) of the lake; created if it is not there.",
)
@click.option(
    "--format",
    "--input-format",
    "input_format",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Format of the inputs: auto (looks at the content), hubble, calico, goldmane.",
)
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)
@click.option("--allow-partial", is_flag=True, help="Exit 0 even when input was malformed, lost or cut short.")
@cluster_option
@workers_option
@speaks
def command(
    inputs: tuple[str, ...],
    lake: str,
    input_format: str,
    output_format: str,
    allow_partial: bool,
    cluster: str,
    workers: int | None,
) -> None:
    """Read flow logs into a lake: files, folders, globs, or - for standard input.

    Plain, gzip and zstd files are read; Hubble, Calico and Goldmane flows are recognised by their content.
    """
    from discovery.app.capture import profile_of
    from discovery.app.ingest import ingest
    from discovery.app.options import IngestOptions
    from discovery.app.words import counted, describe_incomplete

    with Bars() as bars:
        done = ingest(
            inputs, lake, IngestOptions(format=input_format, cluster=cluster, workers=workers, progress=bars.update)
        )
    account = done.completeness
    if output_format == "json":
        click.echo(
            json.dumps(
                {
                    "lake": str(done.lake),
                    "inputs": list(done.inputs),
                    "skipped": list(done.skipped),
                    "formats": list(done.formats),
                    "rowsRead": account.rows_read,
                    "rowsSkipped": account.rows_skipped,
                    "rowsRejected": account.rows_rejected,
                    "rowsDuplicate": account.rows_duplicate,
                    "eventsLost": account.events_lost,
                    "rejected": [f"{bad.file}:{bad.line}: {bad.reason}" for bad in account.rejected],
                    "truncated": list(account.truncated),
                    "masked": list(account.masked),
                    "complete": account.complete,
                    "shows": {aspect.value: shown.value for aspect, shown in profile_of(account).shows.items()},
                    "absences": [str(absence) for absence in profile_of(account).absences],
                },
                indent=2,
            )
        )
    else:
        click.echo(
            f"{counted(account.rows_read, 'flow record')} from {counted(len(done.inputs), 'input')}: {printable(lake)}"
        )
        if account.rows_duplicate:
            click.echo(f"{account.rows_duplicate:,} duplicate records were dropped")
        for name in done.skipped:
            click.echo(f"skipped, its content is in the lake already: {printable(name)}")
        _tell_profile(done.completeness)
        click.echo(f"Next: discover suggest {printable(lake)} -o policies")
    if not account.complete:
        click.echo(f"Incomplete: {printable(describe_incomplete(account))}", err=True)
        if not allow_partial:
            raise SystemExit(EXIT_INCOMPLETE)


def _tell_profile(account: Completeness) -> None:
    """Print what the inputs show, and which setting would show more."""
    from discovery.app.capture import profile_line, profile_of

    profile = profile_of(account)
    if profile.shows:
        click.echo(f"Shows: {profile_line(profile)}")
    for absence in profile.absences:
        click.echo(f"  {absence.meaning}\n    {absence.setting}")
