"""``discover promote``: the contract."""

from __future__ import annotations

import shlex
import shutil
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
    """Examples and exit codes."""
    check_help("promote", examples=3)


def test_the_plan_has_commands_in_order(made: tuple[str, Path], tmp_path: Path) -> None:
    """A step per workload, what is open, how to go back, and what was written."""
    source, folder = made
    result = run("promote", str(folder), source, "-o", str(tmp_path), "--dialect", "cilium")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Promote    28 files in 28 steps on cilium")
    applied = [line.split()[-1] for line in lines if "kubectl apply -f" in line and "Roll back" not in line]
    assert all(Path(path).is_file() for path in applied)
    assert any(line.startswith("Open       1 edge") for line in lines)
    told = lines.index("Audited    2 edges pass in audit mode alone, and are cut once this is enforced:")
    assert [line.split(" TCP")[0].strip() for line in lines[told + 1 : told + 3]] == [
        "edge/storefront-canary -> edge/admin-console",
        "shop/catalog -> payments/fraud-check",
    ]
    assert any(line.startswith("Roll back  kubectl apply -f") for line in lines)
    assert lines[-1].startswith("Written    28 files")


def test_a_dry_run_says_so(made: tuple[str, Path], tmp_path: Path) -> None:
    """And writes nothing."""
    source, folder = made
    result = run("promote", str(folder), source, "-o", str(tmp_path / "o"), "--dialect", "calico", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("Dry run")
    assert "kubectl delete" in result.stdout
    assert not (tmp_path / "o").exists()


def test_the_roll_back_is_as_narrow_as_the_promotion(made: tuple[str, Path], tmp_path: Path) -> None:
    """And safe to paste into a shell."""
    source, folder = made
    output = tmp_path / "an output"
    for dialect, command, root in (("kubernetes", "apply", folder), ("calico", "delete", output)):
        given = ("-o", str(output), "--dialect", dialect, "--namespace", "data", "--dry-run")
        lines = run("promote", str(folder), source, *given).stdout.splitlines()
        (back,) = (line.removeprefix("Roll back  ") for line in lines if line.startswith("Roll back"))
        names = sorted(path.name for path in (folder / dialect / "data").iterdir())
        files = [part for name in names for part in ("-f", str(root / dialect / "data" / name))]
        assert shlex.split(back) == ["kubectl", command, *files]


def test_refusals(repo: Path, made: tuple[str, Path], tmp_path: Path) -> None:
    """Exit 3 names the traffic, exit 4 the incomplete input, exit 2 what is missing."""
    source, folder = made
    shutil.copytree(folder, tmp_path / "p")
    target = tmp_path / "p" / "kubernetes" / "data" / "statefulset-postgres.yaml"
    target.write_text(target.read_text().replace("port: 5432", "port: 5433"))
    out = str(tmp_path / "o")
    cut = run("promote", str(tmp_path / "p"), source, "-o", out, "--dialect", "kubernetes")
    assert cut.exit_code == 3
    assert "port 5432 is not among 5433" in cut.stdout
    assert "nothing was written" in cut.stdout
    lossy = str(repo / "sample_flows" / "shop-hubble-lossy.jsonl")
    assert run("promote", str(folder), lossy, "-o", out, "--dialect", "kubernetes").exit_code == 4
    requires(run("promote", str(folder), source, "-o", out), 2, "one dialect", "--dialect")
