"""``discover completion``: scripts that shells take."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.discovery.cli.running import check_help, requires, run


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete ")])
def test_scripts_name_the_command(shell: str, word: str) -> None:
    """Each script completes ``discover`` through its own variable."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert word in result.stdout
    assert "_DISCOVER_COMPLETE" in result.stdout


def test_bash_takes_its_script() -> None:
    """The script is valid bash."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    script = run("completion", "bash").stdout
    done = subprocess.run([bash, "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_and_usage() -> None:
    """Examples for each shell; an unknown shell is a usage error that names the known ones."""
    check_help("completion", examples=3)
    requires(run("completion", "tcsh"), 2, "bash", "zsh", "fish")
    requires(run("completion"), 2, "Missing argument")
