"""``discover suggest``: the contract of the main command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discovery.cli.running import BAD_INPUTS, check_help, from_json, requires, run
from tests.discovery.verify.asking import knp


@pytest.fixture
def source(repo: Path) -> str:
    """Return the small sample, which is incomplete."""
    return str(repo / "sample_flows" / "shop-hubble-lossy.jsonl")


def test_help() -> None:
    """The help has examples, and says what monitor mode does."""
    check_help("suggest", examples=5)
    assert "monitor changes no verdict" in run("suggest", "--help").stdout


def test_text_ends_with_what_to_do_next(source: str, tmp_path: Path) -> None:
    """Numbers, what applying does, and the next step; no bar without a terminal."""
    result = run("suggest", source, "-o", str(tmp_path), "--allow-partial", "--dialect", "cilium")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("Read ")
    assert result.stdout.splitlines()[-1].endswith("summary.md")
    assert "change no verdict when applied" in result.stdout
    assert result.stderr == ""
    assert not (tmp_path / "calico").exists()


def test_json_is_the_summary(source: str, tmp_path: Path) -> None:
    """Standard output is the summary, byte for byte."""
    result = run("suggest", source, "-o", str(tmp_path), "--allow-partial", "--format", "json")
    assert isinstance(from_json(result), dict)
    assert result.stdout == (tmp_path / "summary.json").read_text()


def test_enforce_mode_says_what_it_does(source: str, tmp_path: Path) -> None:
    """Nobody applies enforcing files by mistake."""
    result = run("suggest", source, "-o", str(tmp_path), "--allow-partial", "--mode", "enforce")
    assert result.exit_code == 0, result.output
    assert "ISOLATE workloads when applied" in result.stdout


def test_incomplete_input_is_exit_four_and_writes_nothing(source: str, tmp_path: Path) -> None:
    """Rule 8, with the way out in the hint."""
    requires(run("suggest", source, "-o", str(tmp_path / "out")), 4, "incomplete", "--allow-partial")
    assert not (tmp_path / "out").exists()


def test_a_rerun_tells_what_it_retired(source: str, tmp_path: Path) -> None:
    """Files of an earlier run that are stale go, and are named."""
    run("suggest", source, "-o", str(tmp_path), "--allow-partial", "--dialect", "cilium,calico")
    result = run("suggest", source, "-o", str(tmp_path), "--allow-partial", "--dialect", "cilium")
    assert "Retired" in result.stdout
    assert not (tmp_path / "calico").exists()


def test_drift_is_exit_five_until_what_is_there_says_all(source: str, tmp_path: Path) -> None:
    """A pull request is due, it is merged, and none is due any more; without --drift it is only told."""
    options = ("--allow-partial", "--dialect", "calico")
    there, more = tmp_path / "there", tmp_path / "more"
    there.mkdir()
    (there / "k.yaml").write_text(knp("{podSelector: {matchLabels: {app: nobody}}}"))
    arguments = ("suggest", source, "-o", str(more), *options, "--existing", str(there))
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--drift")
    assert result.exit_code == 5
    assert "There " in result.stdout
    again = run("suggest", source, "-o", str(tmp_path / "again"), *options, "--existing", str(more), "--drift")
    assert again.exit_code == 0, again.output
    assert "Nothing to add" in again.stdout


def test_what_is_added_to_in_place_is_not_retired(source: str, tmp_path: Path) -> None:
    """The folder of the policies may be the output: files that say all already stay."""
    options = ("--allow-partial", "--dialect", "cilium")
    run("suggest", source, "-o", str(tmp_path), *options)
    before = sorted(tmp_path.rglob("*.yaml"))
    result = run("suggest", source, "-o", str(tmp_path), *options, "--existing", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.rglob("*.yaml")) == before != []


def test_the_output_may_not_be_inside_of_what_is_there(source: str, tmp_path: Path) -> None:
    """The next run would take a proposal that nobody reviewed for a policy of the cluster."""
    (tmp_path / "k.yaml").write_text(knp("{podSelector: {}}"))
    arguments = ("suggest", source, "-o", str(tmp_path / "out"), "--allow-partial", "--existing", str(tmp_path))
    requires(run(*arguments), 2, "inside", "beside it")


def test_the_dialects_are_those_of_what_is_there(source: str, tmp_path: Path) -> None:
    """Nobody wants policies of two other CNIs in a pull request; what is named counts."""
    run("suggest", source, "-o", str(tmp_path / "a"), "--allow-partial", "--dialect", "cilium")
    there = ("--existing", str(tmp_path / "a"), "--allow-partial")
    assert run("suggest", source, "-o", str(tmp_path / "b"), *there, "--drift").exit_code == 0
    run("suggest", source, "-o", str(tmp_path / "c"), *there, "--dialect", "calico")
    assert [path.name for path in (tmp_path / "c").iterdir() if path.name in ("cilium", "calico")] == ["calico"]


def test_enforcing_files_are_retired_only_when_asked(source: str, tmp_path: Path) -> None:
    """A stale file that enforces is removed with --prune alone."""
    arguments = ("suggest", source, "-o", str(tmp_path), "--allow-partial", "--mode", "enforce")
    run(*arguments, "--dialect", "cilium,calico")
    assert "Retired" not in run(*arguments, "--dialect", "cilium").stdout
    assert (tmp_path / "calico").exists()
    assert "Retired" in run(*arguments, "--dialect", "cilium", "--prune").stdout
    assert not (tmp_path / "calico").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--dialect", "istio"], 2, ["istio", "known dialects"]),
        (["--dialect", ","], 2, ["known dialects"]),
        (["--mode", "audit"], 2, ["audit"]),
        (["--platform", "cilium"], 2, ["NAME=VERSION", "Try:"]),
        (["--platform", "cilium=1.18;x=y"], 2, ["x=y"]),
        (["--since", "yesterday"], 2, ["yesterday"]),
        (["--existing", "missing"], 2, ["missing"]),
        (["--existing", "EMPTY"], 1, ["no manifests", "kubectl get"]),
        (["--drift"], 2, ["nothing to compare with", "--existing"]),
        (["--unused-days", "0"], 2, ["unused-days"]),
        (["--namespace", "no-such"], 2, ["no-such", "known namespaces"]),
        (["--input-format", "nonsense"], 1, ["nonsense"]),
        (["--workers", "-1"], 2, ["-1"]),
        (["--format", "xml"], 2, ["xml"]),
    ],
)
def test_bad_options(source: str, tmp_path: Path, options: list[str], code: int, words: list[str]) -> None:
    """Every mistake has its exit code and names what was wrong."""
    (tmp_path / "empty").mkdir()
    given = [item.replace("EMPTY", str(tmp_path / "empty")) for item in options]
    requires(run("suggest", source, "-o", str(tmp_path / "out"), "--allow-partial", *given), code, *words)


def test_the_output_may_not_be_a_file(source: str, tmp_path: Path) -> None:
    """A file in the way of the output folder is an error that names it."""
    (tmp_path / "out").write_text("mine")
    requires(run("suggest", source, "-o", str(tmp_path / "out"), "--allow-partial"), 1, "out", "Try:")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_foreign_manifest_is_refused(source: str, tmp_path: Path) -> None:
    """A manifest.json of another tool is not overwritten."""
    (tmp_path / "manifest.json").write_text('{"name": "web app"}')
    requires(run("suggest", source, "-o", str(tmp_path), "--allow-partial"), 2, "not ours", "Try:")
    assert (tmp_path / "manifest.json").read_text() == '{"name": "web app"}'


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_an_error_not_a_crash(tmp_path: Path, name: str) -> None:
    """Whatever the bytes are: a message, exit 1 or 4, and nothing written."""
    path = tmp_path / name
    path.write_bytes(BAD_INPUTS[name])
    result = run("suggest", str(path), "-o", str(tmp_path / "out"), "--workers", "0")
    assert result.exit_code in (1, 4), result.output
    assert not (tmp_path / "out").exists()


def test_hostile_existing_manifests_do_no_harm(source: str, tmp_path: Path) -> None:
    """Manifests of any shape under odd names are findings, not crashes, and drive no terminal."""
    (tmp_path / "there").mkdir()
    for number, text in enumerate(("specs: 5", "a: &x [*x]", "spec: {ingress: 5}", "x: 2026-13-45", "\x1b[2J: 1")):
        head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        (tmp_path / "there" / f"\x1b[2J\u202e{number}.yaml").write_text(head + text)
    result = run(
        "suggest", source, "-o", str(tmp_path / "out"), "--allow-partial", "--existing", str(tmp_path / "there")
    )
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output + (tmp_path / "out" / "summary.md").read_text()
