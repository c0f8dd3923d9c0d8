"""The entry point: help, version, commands that load on use, and a guess for a mistyped one."""

from __future__ import annotations

import pytest

from discovery import __version__
from discovery.cli.main import COMMANDS
from tests.discovery.cli.running import requires, run


def test_help_lists_every_command() -> None:
    """Everything that is built is listed, and nothing else."""
    result = run("--help")
    assert result.exit_code == 0
    listed = result.stdout.split("Commands:\n")[1]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == list(
        COMMANDS
    )
    assert run("-h").stdout == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads(name: str) -> None:
    """Each entry of the table is a command with help and examples."""
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout


def test_the_version_is_the_package_version() -> None:
    """One version everywhere."""
    assert run("--version").stdout == f"discover, version {__version__}\n"


def test_a_mistyped_command_is_guessed() -> None:
    """A near miss names what may have been meant; a far one is a usage error too."""
    requires(run("sugest"), 2, "did you mean 'suggest'?")
    requires(run("xyzzy"), 2, "xyzzy")
    requires(run("--nonsense"), 2, "nonsense")


@pytest.mark.parametrize("name", ["verify", "promote", "diff", "explain", "collect", "serve", "ui"])
def test_what_is_not_built_is_absent(name: str) -> None:
    """A command of the contract that does not exist yet is a usage error, not a stub."""
    assert (name in COMMANDS) or run(name).exit_code == 2
