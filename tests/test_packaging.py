"""What a wheel of this project holds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

PACKAGES = {"discovery", "collectors", "generators"}


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel and return the names of its members."""
    out = tmp_path_factory.mktemp("wheel")
    built = next(WheelBuilder(str(repo)).build(directory=str(out), versions=["standard"]))
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_ships_the_packages_alone(wheel: list[str]) -> None:
    """The top-level names are generic, so a wheel must not bring tests, notebooks or a namesake along."""
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


def test_every_source_and_data_file_is_in_the_wheel(repo: Path, wheel: list[str]) -> None:
    """A module or an SQL file that works in the repository works when installed."""
    wanted = {
        path.relative_to(repo).as_posix()
        for package in PACKAGES
        for path in (repo / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert wanted - set(wheel) == set()


def normal(requirement: str) -> str:
    """Return the name in a requirement (without its extras) or a pin as registries compare it."""
    return re.split(r"[=>]=|\[", requirement, maxsplit=1)[0].strip().lower().replace("_", "-")


@pytest.fixture(scope="module")
def project(repo: Path) -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_dependency_is_pinned(repo: Path, project: dict[str, Any]) -> None:
    """``make`` and CI install one known set: each declared requirement has a pin in constraints.txt."""
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared += extra
    lines = (repo / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line) for line in lines if "==" in line}
    assert {normal(requirement) for requirement in declared} - pinned == set()


def test_imports_and_dependencies_agree(repo: Path, project: dict[str, Any]) -> None:
    """Every third-party package that the sources import is a declared dependency, and none is declared in vain."""
    imported: set[str] = set()
    for path in (path for package in PACKAGES for path in (repo / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    installed = packages_distributions()
    used = {normal(installed.get(name, [name])[0]) for name in imported - PACKAGES - sys.stdlib_module_names}
    assert used == {normal(requirement) for requirement in project["project"]["dependencies"]}
