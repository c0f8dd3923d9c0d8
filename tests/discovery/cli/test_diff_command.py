"""``discover diff``: the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discovery.cli.running import BAD_INPUTS, check_help, from_json, run

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: "p\\e[31m", namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}
"""


@pytest.fixture
def both(tmp_path: Path) -> tuple[str, str]:
    """Return an old and a new policy."""
    (tmp_path / "old.yaml").write_text(POLICY)
    (tmp_path / "new.yaml").write_text(POLICY.replace("port: 80", "port: 81"))
    return str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")


def test_help() -> None:
    """Examples and exit codes."""
    check_help("diff", examples=3)


def test_a_difference_is_told_and_fails_on_request_alone(both: tuple[str, str]) -> None:
    """As git does."""
    result = run("diff", *both)
    assert result.exit_code == 0
    assert "newly allowed, TCP/81" in result.stdout
    assert "\x1b" not in result.output
    assert run("diff", *both, "--exit-code").exit_code == 5
    assert run("diff", both[0], both[0], "--exit-code").exit_code == 0


def test_markdown_and_json(both: tuple[str, str]) -> None:
    """The comment of a pull request, and data."""
    assert run("diff", *both, "--format", "markdown").stdout.startswith("## What these policy changes mean")
    assert isinstance(from_json(run("diff", *both, "--format", "json")), dict)


@pytest.mark.parametrize("name", sorted(BAD_INPUTS))
def test_bad_manifests_end_in_a_message(both: tuple[str, str], tmp_path: Path, name: str) -> None:
    """On the side that is broken, and never a traceback."""
    (tmp_path / "bad.yaml").write_bytes(BAD_INPUTS[name])
    assert run("diff", both[0], str(tmp_path / "bad.yaml")).exit_code in (0, 1)
