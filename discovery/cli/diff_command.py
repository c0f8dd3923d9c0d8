"""``discover diff``."""

from __future__ import annotations

from pathlib import Path

import click

from discovery.cli.common import platform_option, printable, speaks
from discovery.model.errors import EXIT_CHANGED, EXIT_FAILED

_EPILOG = """\b
Examples:
  discover diff policies.old policies                      what do the new policies decide differently?
  discover diff main/policies policies --format markdown   the comment of a pull request
  discover diff live.yaml policies/cilium --exit-code      fail in CI when a connection changes

\b
Exit codes:
  0  compared (also with differences, unless --exit-code is given)
  5  with --exit-code: a connection is decided differently
"""


@click.command(epilog=_EPILOG)
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
@platform_option
@click.option("--exit-code", is_flag=True, help="Exit with 5 when a connection is decided differently.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)
@speaks
def command(old: Path, new: Path, platforms: tuple[str, ...], exit_code: bool, output_format: str) -> None:
    """Compare what two sets of policies mean, not how they are written.

    OLD and NEW are files or folders of Kubernetes, Cilium and Calico policies, monitor forms as if they were enforced.
    Renaming, reordering or splitting policies is no difference. Each difference comes with a connection that shows it.
    """
    from discovery.app.diff import DiffOptions, diff_policies, markdown_of, record_of, text_of
    from discovery.app.output import as_json
    from discovery.model.platform import parse_platforms

    found = diff_policies(old, new, DiffOptions(platforms=parse_platforms(platforms)))
    for one in found:
        for note in one.unread:
            click.echo(f"? {printable(note.subject)}: {printable(note.message)}", err=True)
    if output_format == "json":
        click.echo(as_json(record_of(found)), nl=False)
    elif output_format == "markdown":
        click.echo(markdown_of(found), nl=False)
    else:
        for one in found:
            click.echo(f"{one.name.capitalize()}")
            for line in text_of(one).splitlines():
                click.echo(f"  {printable(line)}")
    if any(one.difference.lost for one in found):
        raise SystemExit(EXIT_FAILED)
    if exit_code and not all(one.difference.empty for one in found):
        raise SystemExit(EXIT_CHANGED)
