"""The house limits that no linter checks: sizes, docstrings, tests beside sources, nothing of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 600
SHIPPED = ("discovery", "collectors", "generators")
CHECKED = (*SHIPPED, "benchmarks", "docs", "tests")

# Modules without a test file of their own -> why. Say which test covers them instead.
UNMIRRORED: dict[str, str] = {
    "discovery/model/artifact.py": "plain records without behaviour",
    "discovery/model/diagnostics.py": "plain records without behaviour",
    "generators/findings.py": "codes and one exception without behaviour",
}

# Absolute paths of a developer's or a CI machine; written so that this file does not contain one.
MACHINE_PATH = re.compile(r"(?:^|[^.\w/-])/(?:w[o]rk|r[o]ot|t[m]p/\w+|h[o]me/\w+|U[s]ers/\w+)/", re.MULTILINE)


def sources(*folders: str) -> list[Path]:
    """Return the Python files under the given top-level folders, sorted."""
    return sorted(path for folder in folders for path in (REPO / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a path relative to the repository, for messages and test ids."""
    return path.relative_to(REPO).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def public_definitions(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield (dotted name, node) of what a module offers: functions, classes and their public members."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{prefix}{node.name}.")


def project_files() -> list[Path]:
    """Return every file that is or would be committed; without git, every file outside hidden folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=REPO, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = (path for path in REPO.rglob("*") if not path.relative_to(REPO).as_posix().startswith("."))
    else:
        found = (REPO / name for name in listing.split("\0") if name)
    return sorted(path for path in found if path.is_file())


@pytest.mark.parametrize("path", sources(*CHECKED), ids=name_of)
def test_sizes_stay_readable(path: Path) -> None:
    """No file reaches 600 lines and no function exceeds 60."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MAX_FILE_LINES, f"{name_of(path)}: split it by purpose"
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in functions(ast.parse(text))
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


@pytest.mark.parametrize("path", sources(*SHIPPED), ids=name_of)
def test_what_is_public_is_documented(path: Path) -> None:
    """Every module and every public function, class and method has a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module says what it is for"
    assert [name for name, node in public_definitions(tree.body) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", [p for p in sources("tests") if p.name.startswith("test_")], ids=name_of)
def test_each_test_says_its_behaviour(path: Path) -> None:
    """Every test has a docstring: the behaviour, in one sentence."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in functions(tree) if node.name.startswith("test_")]
    assert [node.name for node in tests if not ast.get_docstring(node)] == []


def mirror_of(module: Path) -> Path:
    """Return where the test file of a module belongs: tests/<same folders>/test_<same name>.py."""
    relative = module.relative_to(REPO)
    return REPO / "tests" / relative.parent / f"test_{relative.name}"


@pytest.mark.parametrize("path", [p for p in sources(*SHIPPED) if p.name != "__init__.py"], ids=name_of)
def test_each_module_has_its_test_file(path: Path) -> None:
    """Tests mirror the sources; a module without a test file is listed with the reason."""
    assert mirror_of(path).is_file() != (name_of(path) in UNMIRRORED), (
        f"write {name_of(mirror_of(path))}, or list {name_of(path)} in UNMIRRORED with the reason (one, not both)"
    )


def test_reasons_name_existing_modules() -> None:
    """The list of unmirrored modules holds no module that is gone, and no empty reason."""
    assert [name for name, why in UNMIRRORED.items() if not why or not (REPO / name).is_file()] == []


def test_each_test_folder_is_a_package() -> None:
    """Equal file names collide and ``import discovery`` finds tests/discovery unless every folder is a package."""
    folders = {path.parent for path in sources("tests")}
    assert sorted(name_of(folder) for folder in folders if not (folder / "__init__.py").is_file()) == []


@pytest.mark.parametrize("path", sources("discovery/model"), ids=name_of)
def test_the_model_imports_the_standard_library_alone(path: Path) -> None:
    """The vocabulary depends on nothing: not on a third party, not on another part of the house."""
    allowed = (*sys.stdlib_module_names, "discovery.model")
    imported: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.append(node.module or "")
    assert [name for name in imported if not any(name == ok or name.startswith(f"{ok}.") for ok in allowed)] == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    """What is committed works in any folder of any machine."""
    found: list[str] = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {match.group().strip()}" for match in MACHINE_PATH.finditer(text)]
    assert found == []
