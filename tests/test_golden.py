"""Golden cases: one folder holds inputs, flags and everything that ``discover suggest`` then writes, byte for byte.

``tests/golden/README.md`` says what a case looks like. ``pytest tests/test_golden.py --update-golden`` rewrites the
expectations with what the code does now; the difference is then reviewed like code, because it is what users get.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discovery.cli.main import cli
from tests.estate import text_of
from tests.export import Export, export
from tests.large import Large

CASES = Path(__file__).parent / "golden"
OUTPUT = "policies"
TERMINAL = "terminal.txt"
LARGE = "large.jsonl"
# It holds the digests of the other files, which are compared themselves.
REDUNDANT = frozenset({"manifest.json"})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One golden case, as its ``case.toml`` tells it."""

    folder: Path
    shows: str
    inputs: tuple[str, ...]
    arguments: tuple[str, ...]
    exit_code: int
    export: Export | None = None
    large: Large | None = None
    keep: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Read a case; every key but ``export``, ``large`` and ``keep`` is required, and no other is known."""
        told = tomllib.loads((folder / "case.toml").read_text("utf-8"))
        how, large, keep = told.pop("export", None), told.pop("large", None), told.pop("keep", ())
        assert set(told) == {"shows", "inputs", "arguments", "exit_code"}, folder.name
        return cls(
            folder=folder,
            shows=told["shows"],
            inputs=tuple(told["inputs"]),
            arguments=tuple(told["arguments"]),
            exit_code=told["exit_code"],
            export=None if how is None else _export_of(how),
            large=None if large is None else Large(**large),
            keep=tuple(keep),
        )

    @property
    def expected(self) -> Path:
        """Return the folder of what must come out."""
        return self.folder / "expected"

    def is_real(self) -> bool:
        """Say whether an input is a real capture."""
        return any(name.startswith("shared:") for name in self.inputs)


NAMES = sorted(path.parent.name for path in CASES.glob("*/case.toml"))


def locate(case: Case, name: str, repo: Path) -> str:
    """Return the path of one input: beside the case, ``repo:`` below the repository, ``shared:`` a real capture.

    Skips the test where the real captures are absent.
    """
    place, colon, rest = name.partition(":")
    if not colon:
        return str(case.folder / name)
    if place == "repo":
        return str(repo / rest)
    captures = repo.parent / "shared" / "data" / "flows"
    if not captures.is_dir():
        pytest.skip("../shared is absent: real captures are not part of the repository")
    return str(captures / rest)


def files_of(folder: Path) -> dict[str, str]:
    """Return relative path -> text of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def outcome(case: Case, repo: Path) -> dict[str, str]:
    """Run a case in the current folder and return what it wrote, and what it said as ``terminal.txt``."""
    inputs = [_as_exported(case, locate(case, name, repo)) for name in case.inputs]
    if case.large is not None:
        Path(LARGE).write_text(text_of(case.large.records()), encoding="utf-8")
        inputs.append(LARGE)
    arguments = [argument.replace("CASE", str(case.folder)) for argument in case.arguments]
    result = CliRunner().invoke(cli, ["suggest", *inputs, "-o", OUTPUT, "--workers", "0", *arguments])
    assert result.exit_code == case.exit_code, result.output
    written = files_of(Path(OUTPUT)) if Path(OUTPUT).exists() else {}
    kept = {name: text for name, text in written.items() if name not in REDUNDANT} | {TERMINAL: result.output}
    return {name: text for name, text in kept.items() if not case.keep or name in case.keep}


def _export_of(told: dict[str, Any]) -> Export:
    """Return the exporter that the table ``export`` of a case tells of; no other key is known."""
    assert set(told) <= {"only", "without", "aggregate"}
    return Export(
        only=told.get("only", {}),
        without=tuple(told.get("without", ())),
        aggregate=tuple(told.get("aggregate", ())),
    )


def _as_exported(case: Case, given: str) -> str:
    """Return the input, or a copy in the current folder as the exporter of the case would have written it."""
    if case.export is None:
        return given
    export(Path(given), Path(Path(given).name), case.export)
    return Path(given).name


def rewrite(case: Case, found: dict[str, str]) -> None:
    """Replace the expectations of a case."""
    shutil.rmtree(case.expected, ignore_errors=True)
    for name, text in found.items():
        path = case.expected / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    """What comes out of a case is exactly what its folder holds."""
    case = Case.read(CASES / name)
    monkeypatch.chdir(tmp_path)
    found = outcome(case, repo)
    if update_golden:
        rewrite(case, found)
    expected = files_of(case.expected)
    assert sorted(found) == sorted(expected), case.shows
    for path in sorted(found):
        assert found[path] == expected[path], f"{path}: {case.shows}"


def test_half_of_the_cases_are_real_captures() -> None:
    """At least ten cases exist, at least half of them on real captures, and each says what it shows."""
    cases = [Case.read(CASES / name) for name in NAMES]
    assert len(cases) >= 10
    assert 2 * sum(case.is_real() for case in cases) >= len(cases)
    assert all(case.shows.strip().endswith(".") for case in cases)


def test_the_summary_of_a_large_estate_is_short() -> None:
    """At 2,000 workloads the summary has at most 200 lines, and all that was asked to be kept is compared."""
    case = Case.read(CASES / "large-estate")
    assert case.large == Large(workloads=2_000, namespaces=50)
    assert len((case.expected / "summary.md").read_text("utf-8").splitlines()) <= 200
    assert sorted(files_of(case.expected)) == sorted(case.keep)
