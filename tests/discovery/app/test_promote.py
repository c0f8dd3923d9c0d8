"""Tests of discovery.app.promote: the use case on real files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from discovery import suggest
from discovery.app.options import SuggestOptions
from discovery.app.promote import PromoteOptions, Promotion, promote_policies
from discovery.app.verify import VerifyOptions, verify_policies
from discovery.model.errors import EXIT_CUT, EXIT_FAILED, InputError, OptionError, RenderError
from discovery.model.intent import Dialect, Mode
from tests.flows_factory import flow, lines, reply

DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: data}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""


@pytest.fixture(scope="module")
def made(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the complete sample and what suggest makes of it in monitor mode."""
    source, folder = repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("promote")
    suggest(source, folder / "policies")
    return source, folder / "policies"


def promote(
    policies: Path,
    source: Path,
    output: Path,
    dialect: Dialect | None = Dialect.KUBERNETES,
    *,
    allow_partial: bool = False,
    **more: Any,
) -> Promotion:
    """Promote one dialect."""
    how = VerifyOptions(allow_partial=allow_partial)
    return promote_policies(policies, source, output, PromoteOptions(verify=how, dialect=dialect, **more))


def files(folder: Path) -> set[str]:
    """Return the manifests of a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}


@pytest.mark.parametrize("dialect", list(Dialect))
def test_everything_is_promoted_and_proven(made: tuple[Path, Path], tmp_path: Path, dialect: Dialect) -> None:
    """The enforcing set isolates, covers everything that was accepted, and every file is in the plan once."""
    source, policies = made
    done = promote(policies, source, tmp_path, dialect)
    assert (done.exit_codes, done.cut) == ((), ())
    planned = [Path(path) for step in done.steps for path in step.paths]
    assert files(tmp_path) == {str(path.relative_to(policies)) for path in planned}
    assert len(planned) == len(set(planned))
    found = verify_policies(tmp_path, source, VerifyOptions(as_written=True))
    assert found.exit_codes == ()
    assert found.reports[0].fates["covered"] > 100


def test_promoted_files_are_those_of_enforce_mode(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Byte for byte, so that a later suggest changes nothing."""
    source, policies = made
    promote(policies, source, tmp_path / "promoted")
    suggest(source, tmp_path / "enforced", SuggestOptions(mode=Mode.ENFORCE, dialects=(Dialect.KUBERNETES,)))
    for name in files(tmp_path / "promoted"):
        assert (tmp_path / "promoted" / name).read_text() == (tmp_path / "enforced" / name).read_text()


def test_traffic_that_would_be_cut_refuses(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Nothing is written, and the report says what."""
    source, policies = made
    shutil.copytree(policies, tmp_path / "p")
    target = tmp_path / "p" / "kubernetes" / "data" / "statefulset-postgres.yaml"
    target.write_text(target.read_text().replace("port: 5432", "port: 5433"))
    done = promote(tmp_path / "p", source, tmp_path / "out")
    assert done.exit_codes == (3,)
    assert done.written is None
    assert not (tmp_path / "out").exists()
    # A namespace without that workload can go ahead.
    assert promote(tmp_path / "p", source, tmp_path / "out", namespaces=("shop",)).exit_codes == ()
    assert {name.split("/")[1] for name in files(tmp_path / "out")} == {"shop"}


def test_incomplete_input_refuses(repo: Path, made: tuple[Path, Path], tmp_path: Path) -> None:
    """What was lost may be cut, unless somebody accepts that."""
    lossy = repo / "sample_flows" / "shop-hubble-lossy.jsonl"
    assert promote(made[1], lossy, tmp_path / "out", namespaces=("shop",)).exit_codes[0] == 4
    assert not (tmp_path / "out").exists()
    assert 4 not in promote(made[1], lossy, tmp_path / "out", namespaces=("shop",), allow_partial=True).exit_codes


def test_a_dry_run_writes_nothing(made: tuple[Path, Path], tmp_path: Path) -> None:
    """The plan is the same."""
    source, policies = made
    done = promote(policies, source, tmp_path / "out", dry_run=True)
    assert (done.exit_codes, done.written) == ((), None)
    assert done.steps
    assert not (tmp_path / "out").exists()


def test_later_promotions_keep_what_is_enforced_unless_pruned(made: tuple[Path, Path], tmp_path: Path) -> None:
    """One namespace after the other; pruning retires what is not part of the last run."""
    source, policies = made
    promote(policies, source, tmp_path, namespaces=("shop",))
    promote(policies, source, tmp_path, namespaces=("data",))
    assert {name.split("/")[1] for name in files(tmp_path)} == {"shop", "data"}
    done = promote(policies, source, tmp_path, namespaces=("data",), prune=True)
    assert done.written is not None
    assert done.written.retired
    assert {name.split("/")[1] for name in files(tmp_path)} == {"data"}


def test_flows_of_other_workloads_prove_nothing(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Nor do flows of a time without traffic: what was not replayed was not proven."""
    _, policies = made
    other = tmp_path / "other.jsonl"
    other.write_bytes(lines([flow(), reply()]))  # of namespace shop alone
    done = promote(policies, other, tmp_path / "out", namespaces=("data",))
    assert (done.exit_codes, files(tmp_path / "out")) == ((4,), set())
    assert any("no traffic of a workload of NetworkPolicy data/" in gap for gap in done.gaps)


def test_a_file_that_somebody_else_wrote_is_not_replaced(made: tuple[Path, Path], tmp_path: Path) -> None:
    """The folder of the output may hold policies that were written by hand."""
    source, policies = made
    mine = tmp_path / "kubernetes" / "shop" / "deployment-cart.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OptionError, match=r"kubernetes/shop/deployment-cart\.yaml was not written by this tool"):
        promote(policies, source, tmp_path, workloads=("shop/cart",))
    assert files(tmp_path) == {"kubernetes/shop/deployment-cart.yaml"}
    assert mine.read_text() == "mine"


def test_a_manifest_that_was_added_by_hand_is_part_of_what_is_replayed(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Whoever applies the folder applies it, too."""
    source, policies = made
    shutil.copytree(policies, tmp_path / "p")
    (tmp_path / "p" / "kubernetes" / "shop" / "deny.yaml").write_text(DENY)
    assert promote(tmp_path / "p", source, tmp_path / "out").exit_codes == (3,)


def test_one_workload(made: tuple[Path, Path], tmp_path: Path) -> None:
    """By namespace and name; one that the flows do not have is an error."""
    source, policies = made
    promote(policies, source, tmp_path, workloads=("shop/cart",))
    assert files(tmp_path) == {"kubernetes/shop/deployment-cart.yaml"}
    with pytest.raises(OptionError):
        promote(policies, source, tmp_path, workloads=("shop/none",))


def test_what_cannot_be_promoted_says_why(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Several dialects, foreign files, nothing left, a file that somebody changed."""
    source, policies = made
    with pytest.raises(OptionError, match="one dialect is promoted at a time"):
        promote(policies, source, tmp_path / "out", None)
    (tmp_path / "p.yaml").write_text("x: 1\n")
    with pytest.raises(InputError):
        promote(tmp_path, source, tmp_path / "out")
    with pytest.raises(OptionError, match="no policy is of namespace 'none'"):
        promote(policies, source, tmp_path / "out", namespaces=("shop", "none"))
    promote(policies, source, tmp_path / "enforced", namespaces=("shop",))
    with pytest.raises(OptionError, match="nothing is left"):
        promote(tmp_path / "enforced", source, tmp_path / "out")
    with pytest.raises(OptionError, match="may not replace the monitor forms"):
        promote(policies, source, policies)
    shutil.copytree(policies, tmp_path / "changed")
    target = tmp_path / "changed" / "kubernetes" / "shop" / "deployment-cart.yaml"
    target.write_text(target.read_text().replace("# Effect", "# Result"))
    with pytest.raises(RenderError):
        promote(tmp_path / "changed", source, tmp_path / "out", namespaces=("shop",))
    assert not (tmp_path / "out").exists()


def test_connections_older_than_the_window_are_listed(made: tuple[Path, Path], tmp_path: Path) -> None:
    """The sample has one: a replica that was connected before the window began."""
    done = promote(made[1], made[0], tmp_path, dry_run=True)
    assert [str(one) for one in done.old] == ["data/postgres-read -> data/postgres TCP/5432"]
    assert done.consequence.startswith("undefined")


def test_other_policies_of_the_cluster_decide_together_with_the_promoted(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    """A deny-all that is there cuts what no promoted rule allows; what nobody can read proves nothing; and what is
    there under the name of a promoted policy is replaced, so it does not count.
    """
    source, policies = made
    there = tmp_path / "there"
    there.mkdir()
    (there / "deny.yaml").write_text(DENY)
    done = promote(policies, source, tmp_path / "a", existing=there)
    assert EXIT_CUT in done.exit_codes
    servers = {one.edge.server.workload for _, one in done.cut} - {None}
    assert "data" in {ref.namespace for ref in servers if ref is not None}
    (there / "deny.yaml").write_text(DENY.replace("podSelector: {}", "podSelector: {matchLabels: {app: nobody}}"))
    assert promote(policies, source, tmp_path / "b", existing=there).exit_codes == ()
    (there / "deny.yaml").write_text("a: [")
    assert promote(policies, source, tmp_path / "c", existing=there).exit_codes[0] == EXIT_FAILED
    own = next(path for path in (policies / "kubernetes").rglob("*.yaml"))
    (there / "deny.yaml").write_text(own.read_text().replace("policy-discovery/enforce", "no-such-label"))
    assert promote(policies, source, tmp_path / "d", existing=there).exit_codes == ()


def test_a_delta_is_promoted_beside_what_it_was_made_for(repo: Path, tmp_path: Path) -> None:
    """What an existing policy allows is not in the delta: without it the proof fails, with it it holds."""
    rules = "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]}]"
    head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    meta = "metadata: {name: open, namespace: data}\n"
    selector = "matchLabels: {app: kafka}"
    there = tmp_path / "there"
    there.mkdir()
    (there / "open.yaml").write_text(f"{head}{meta}spec: {{podSelector: {{{selector}}}, {rules}}}\n")
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    options = SuggestOptions(existing=there, workers=0, dialects=(Dialect.CALICO,), mode=Mode.MONITOR)
    suggest(source, tmp_path / "delta", options)
    alone = promote(tmp_path / "delta", source, tmp_path / "a", Dialect.CALICO)
    beside = promote(tmp_path / "delta", source, tmp_path / "b", Dialect.CALICO, existing=there)
    assert (alone.exit_codes, beside.exit_codes) == ((EXIT_CUT,), ())


def test_what_other_policies_do_to_others_stands_in_the_way_of_nothing(made: tuple[Path, Path], tmp_path: Path) -> None:
    """A conflict of another namespace does not block this one; a folder without the dialect is said."""
    source, policies = made
    there = tmp_path / "there"
    there.mkdir()
    (there / "deny.yaml").write_text(DENY.replace("namespace: data", "namespace: payments"))
    assert promote(policies, source, tmp_path / "a", namespaces=("edge",), existing=there).exit_codes == ()
    assert promote(policies, source, tmp_path / "b", namespaces=("payments",), existing=there).exit_codes == (EXIT_CUT,)
    calico = tmp_path / "calico"
    suggest(source, calico, SuggestOptions(workers=0, dialects=(Dialect.CALICO,)))
    with pytest.raises(OptionError, match="nothing for kubernetes"):
        promote(policies, source, tmp_path / "c", existing=calico)
