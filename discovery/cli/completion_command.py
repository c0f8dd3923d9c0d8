"""``discover completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from discovery.cli.common import speaks
from discovery.model.errors import DiscoveryError

EPILOG = """
\b
Examples:
  discover completion bash >> ~/.bashrc
  discover completion zsh > ~/.zfunc/_discover
  discover completion fish > ~/.config/fish/completions/discover.fish
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@speaks
def command(shell: str) -> None:
    """Print the completion script for SHELL."""
    from discovery.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise DiscoveryError(f"no completion for {shell}")
    click.echo(found(cli, {}, "discover", "_DISCOVER_COMPLETE").source())
