"""``discover explain``: the contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from discovery import suggest
from tests.discovery.cli.running import check_help, requires, run


@pytest.fixture(scope="module")
def made(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the complete sample and the policies that suggest makes of it."""
    source, folder = repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("made")
    suggest(source, folder)
    return str(source), folder


def test_help() -> None:
    """Examples of both questions."""
    check_help("explain", examples=3)


def test_a_rule(made: tuple[str, Path]) -> None:
    """What it allows, why, since when, and where it is written."""
    text = (made[1] / "calico" / "shop" / "deployment-cart.yaml").read_text()
    identifier = re.search(r"evidence ([0-9a-f]{8})", text)
    assert identifier is not None
    result = run("explain", str(made[1]), identifier[1])
    assert result.exit_code == 0
    assert "Because    observed: it was seen in the traffic" in result.stdout
    assert "first seen: 2026-11-" in result.stdout
    assert sum(line.startswith("Written    ") for line in result.stdout.splitlines()) == 3


def test_a_connection(made: tuple[str, Path]) -> None:
    """Both sides, and the rules that match first."""
    source, folder = made
    result = run("explain", str(folder / "kubernetes"), "shop/frontend -> shop/catalog TCP/7070", source)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Kubernetes allowed on kubernetes")
    assert any(line.strip().startswith("> NetworkPolicy shop/deployment-frontend spec.egress") for line in lines)
    assert any(line.startswith("  ingress of shop/catalog: allowed (allowed by a rule)") for line in lines)


def test_a_question_that_cannot_be_answered_says_why(made: tuple[str, Path]) -> None:
    """A connection without flows, text that is neither, an unknown id."""
    source, folder = made
    requires(run("explain", str(folder), "shop/a -> shop/b TCP/1"), 2, "add flow logs or a lake")
    requires(run("explain", str(folder), "why?", source), 2, "neither an evidence id nor a connection")
    requires(run("explain", str(folder), "00000000"), 1, "no evidence with the id")
