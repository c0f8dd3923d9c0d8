"""``discover doctor``."""

from __future__ import annotations

import json

import click

from discovery.cli.common import format_option, input_format_option, printable, speaks
from discovery.model.errors import EXIT_FAILED

EPILOG = """
\b
Examples:
  discover doctor
  discover doctor flows.jsonl
  discover doctor lake --format json

Exit codes: 0 all is well, 1 a problem was found, 2 usage.
"""


@click.command("doctor", epilog=EPILOG)
@click.argument("inputs", nargs=-1, metavar="[INPUT...]")
@format_option
@input_format_option
@speaks
def command(inputs: tuple[str, ...], output_format: str, input_format: str) -> None:
    """Say what this machine can do and, for each INPUT, what it is and what it shows."""
    from discovery.app.doctor import State, doctor

    checks = doctor(inputs, input_format=input_format)
    if output_format == "json":
        click.echo(
            json.dumps(
                [{"name": c.name, "state": c.state.value, "message": c.message, "hint": c.hint} for c in checks],
                indent=2,
            )
        )
    else:
        for check in checks:
            click.echo(f"{check.state.value:<8} {check.name:<16} {printable(check.message)}")
            if check.hint:
                click.echo(f"{'':<8} {'':<16} try: {printable(check.hint)}")
    if any(check.state is State.PROBLEM for check in checks):
        raise SystemExit(EXIT_FAILED)
