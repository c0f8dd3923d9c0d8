"""``discover``: the entry point. Commands load on use, so that ``--help`` is instant."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

import click

from discovery import __version__

# name -> (module, short help). The short help stands here so that the list of commands imports nothing.
COMMANDS = {
    "ingest": ("discovery.cli.ingest_command", "Read flow logs into a lake (orient, resolve, remove duplicates once)."),
    "suggest": ("discovery.cli.suggest_command", "Learn policies from flow logs or a lake and write them for review."),
    "verify": ("discovery.cli.verify_command", "Replay flows on policies: what would be cut, what is too wide."),
    "promote": ("discovery.cli.promote_command", "Turn monitor policies into enforcing ones, if nothing would be cut."),
    "diff": ("discovery.cli.diff_command", "Compare what two sets of policies mean, with a witness per change."),
    "explain": ("discovery.cli.explain_command", "Say why a rule is there, or why a connection is allowed or denied."),
    "doctor": ("discovery.cli.doctor_command", "Say what an input shows and what this machine can do."),
    "completion": ("discovery.cli.completion_command", "Print the completion script for your shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the command names in the order of a first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            if near:
                raise click.UsageError(f"no such command {args[0]!r}; did you mean {near[0]!r}?", ctx) from error
            raise


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="discover")
def cli() -> None:
    r"""Learn least-privilege network policy from what a system really does.

    \b
    Start here:
      discover suggest flows.jsonl -o policies
    then read policies/summary.md.
    """


def main(*args: Any) -> None:
    """Run the command line; exit codes: 0 done, 1 failed, 2 usage, 3 traffic cut, 4 input incomplete, 5 new finds."""
    from discovery.app.lean import without_blas_threads, without_pandas

    without_pandas()
    without_blas_threads()
    gc.disable()  # one run and out: looking for cycles among hundreds of thousands of edges cost 0.5 s of 7 (measured)
    cli(*args, prog_name="discover")
