"""What the whole suite shares: hypothesis profiles, the golden flag and the data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPO = Path(__file__).resolve().parent.parent

# Neither profile has a deadline: a busy two-core machine would turn it into chance.
# `ci` derives its examples from the test itself, so that a run can be repeated; `dev` keeps looking for new ones.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden``."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        default=False,
        help="rewrite the expected outputs with what the code does now (review them with `git diff`)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to rewrite expectations in CI, where nobody reviews the difference."""
    if config.getoption("--update-golden") and os.environ.get("CI"):
        message = "--update-golden is for a developer who reviews the difference, never for CI"
        raise pytest.UsageError(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random cases were held against independent implementations, and how many of those were absent."""
    stats = terminalreporter.stats
    reports = [one for outcome in ("passed", "failed", "skipped") for one in stats.get(outcome, ())]
    asked = [one for one in reports if one.nodeid.startswith("tests/oracles/test_") and one.when != "teardown"]
    if asked:
        cases = sum(value for one in asked for name, value in one.user_properties if name == "oracle cases")
        skipped = sum(one.skipped for one in asked)
        seed = os.environ.get("ORACLE_SEED", "0")
        terminalreporter.write_line(f"oracles: {cases} cases compared (ORACLE_SEED={seed}), {skipped} tests skipped")


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    """Say whether this run rewrites expected outputs instead of comparing with them."""
    return bool(pytestconfig.getoption("--update-golden"))


@pytest.fixture(scope="session")
def repo() -> Path:
    """Return the root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared facts and captures beside the repository, or skip saying that it is absent."""
    folder = REPO.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("../shared is absent: real captures and published schemas are not part of the repository")
    return folder
