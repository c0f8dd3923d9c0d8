"""The documents say what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from discovery.cli.main import cli
from discovery.model.capture import Aspect
from discovery.model.platform import SETTINGS

REPO = Path(__file__).resolve().parent.parent
MAKEFILE_TARGETS = set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), *(REPO / "benchmarks").rglob("*.md")])


# A decision may speak of what is not built yet; every other page is held to what the tool has.
HELD = [path for path in PAGES if path.parent.name != "adr"]


def load_builder(name: str) -> ModuleType:
    """Load a script of docs/ by its path: ``docs`` is a folder of documents, not a package."""
    spec = importlib.util.spec_from_file_location(name, REPO / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILDER = load_builder("build_cli")
LAKE = load_builder("build_lake")
SYSTEM = load_builder("build_system")
CAPTURE = load_builder("build_capture")
PEERS = load_builder("build_peers")
COMMANDS: dict[tuple[str, ...], click.Command] = dict(BUILDER.commands(cli, ("discover",)))


def options(command: click.Command) -> dict[str, click.Option]:
    """Return the visible options of a command by each of their spellings."""
    return {
        spelling: option
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for spelling in (*option.opts, *option.secondary_opts)
    }


def code_of(path: Path) -> list[str]:
    """Return the code in a page: the lines of its fenced blocks (continuations joined) and its inline pieces."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip().removeprefix("$ ") for line in lines] + re.findall(r"`([^`\n]+)`", prose)


def words_of(line: str) -> list[str]:
    """Split a line as a shell would, comments left out; a line that no shell would take has no words."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def test_the_command_page_is_what_the_help_says() -> None:
    """docs/cli.md equals the generated page, byte for byte (`make golden` rewrites it)."""
    assert BUILDER.PAGE.read_text(encoding="utf-8") == BUILDER.page(cli)


def test_the_lake_page_is_what_the_schemas_say() -> None:
    """docs/lake.md equals the generated page, byte for byte (`make golden` rewrites it)."""
    assert LAKE.PAGE.read_text(encoding="utf-8") == LAKE.page()


def test_the_page_of_system_parts_is_current() -> None:
    """docs/system.md says what the list says."""
    assert SYSTEM.PAGE.read_text(encoding="utf-8") == SYSTEM.page()


def test_the_page_of_what_sources_may_not_show_is_current() -> None:
    """docs/capture.md says what the engine says."""
    assert CAPTURE.PAGE.read_text(encoding="utf-8") == CAPTURE.page()


def test_the_page_of_peers_is_current() -> None:
    """docs/peers.md shows what is written for each peer today, and explains every setting of a platform."""
    assert PEERS.PAGE.read_text(encoding="utf-8") == PEERS.page()
    assert set(PEERS.MEANINGS) == {name for settings in SETTINGS.values() for name in settings}


@pytest.mark.parametrize(("aspect", "case"), [(aspect, name) for aspect in Aspect for name in CAPTURE.CASES[aspect]])
def test_the_case_of_each_absence_shows_it(repo: Path, aspect: Aspect, case: str) -> None:
    """The golden case that the page names says in its outputs that the thing is not, or only partly, shown."""
    expected = repo / "tests" / "golden" / case / "expected"
    if (expected / "summary.json").exists():
        shows = json.loads((expected / "summary.json").read_text("utf-8"))["captureProfile"]["shows"]
        assert shows[aspect.value] in ("no", "partly")
    else:
        assert "no record has" in (expected / "terminal.txt").read_text("utf-8")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_and_option_is_explained(words: tuple[str, ...]) -> None:
    """Every command has help, every option has help, and the page shows each of them."""
    command = COMMANDS[words]
    assert command.help
    assert [spelling for spelling, option in options(command).items() if not option.help] == []
    section = BUILDER.PAGE.read_text(encoding="utf-8").split(f"\n## {' '.join(words)}\n")[1].split("\n## ")[0]
    assert [spelling for spelling in options(command) if spelling not in section] == []


def test_the_readme_tells_how_to_try_and_to_test() -> None:
    """The two commands that a newcomer needs are in the README, word for word."""
    assert {"make demo", "make test"} <= set(code_of(REPO / "README.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_make_targets_in_the_documents_exist(path: Path) -> None:
    """Each `make target` that a page names is in the Makefile."""
    named = {word for line in code_of(path) for word in re.findall(r"^make ([a-z]+)\b", line)}
    assert named - MAKEFILE_TARGETS == set()


@pytest.mark.parametrize("path", HELD, ids=lambda path: path.relative_to(REPO).as_posix())
def test_commands_in_the_documents_exist(path: Path) -> None:
    """Each `discover command --option` that a page names is one that the tool has."""
    unknown: list[str] = []
    for line in code_of(path):
        words = words_of(line)
        if len(words) < 2 or words[0] != "discover" or words[1].startswith("-"):
            continue
        command = COMMANDS.get(("discover", words[1]))
        if command is None:
            unknown.append(line)
            continue
        known = {*options(command), "--help"}
        unknown += [f"{line}: {word}" for word in words if word.startswith("--") and word.split("=")[0] not in known]
    assert unknown == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """Each relative link of a page names a file that exists."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (path.parent / target).exists()] == []
