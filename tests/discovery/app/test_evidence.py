"""What the inputs show as a whole: every account joined and located, and which ends a policy governs already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from discovery.app.evidence import Evidence, gather, read_accounts
from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions, SuggestOptions
from discovery.flows.lake import Lake
from discovery.model.capture import CaptureProfile
from discovery.model.completeness import Completeness
from discovery.model.edge import Direction, Verdict
from discovery.model.errors import InputError
from generators.names import manifest_names
from tests.discovery.learn.builders import ref
from tests.estate import START, Record, connection, dropped, lost, pod, text_of, world

IN, OUT = Direction.INGRESS, Direction.EGRESS
WEB = pod("web", "10.0.0.1", node="node-a")
DB = pod("db", "10.0.1.1", node="node-b")
OUTSIDE = world("203.0.113.10")
BAD = "{not json}\n"


def evidence(folder: Path, *inputs: Iterable[Record] | str, **options: Any) -> Evidence:
    """Write each input (records or text) as one file and gather them all."""
    paths = []
    for number, content in enumerate(inputs):
        paths.append(folder / f"flows-{number}.jsonl")
        paths[-1].write_text(content if isinstance(content, str) else text_of(content), encoding="utf-8")
    return gather(tuple(map(str, paths)), folder / "lake", SuggestOptions(workers=0, **options))


def governed(found: Evidence) -> set[tuple[str, Direction]]:
    """Return the governed directions by name."""
    return {(str(ref), direction) for ref, direction in found.governed}


def named(records: Iterable[Record], **policies: str) -> list[Record]:
    """Return records whose first packets name a policy ``kind/namespace/name`` in each of the given fields.

    Answers name none, as in Cilium: they pass because their connection is known.
    """
    fields = {
        field: [dict(zip(("kind", "namespace", "name"), policy.split("/"), strict=True))]
        for field, policy in policies.items()
    }
    return [
        record if record["flow"]["is_reply"] else {**record, "flow": {**record["flow"], **fields}} for record in records
    ]


# --------------------------------------------------------------------------------------------------------- accounts


def test_raw_inputs_and_lakes_are_one_account(tmp_path: Path) -> None:
    """A lake brings the account of when it was filled; what is read now is added, each rejection with its place."""
    first, second = tmp_path / "a:b.jsonl", tmp_path / "c.jsonl"
    first.write_text(text_of([*connection(WEB, DB), lost(5)]) + BAD)
    second.write_text(BAD + text_of(connection(WEB, OUTSIDE, 443, ends=("client",))))
    ingest([first], tmp_path / "lake", IngestOptions(workers=0))
    inputs = (str(second), str(tmp_path / "lake"))
    found = gather(inputs, tmp_path / "scratch", SuggestOptions(workers=0))
    account = found.completeness
    assert (account.rows_rejected, account.events_lost, account.complete) == (2, 5, False)
    assert {(bad.file, bad.line) for bad in account.rejected} == {
        ("a:b.jsonl", len(text_of([*connection(WEB, DB), lost(5)]).splitlines()) + 1),
        ("c.jsonl", 1),
    }
    assert all(bad.reason for bad in account.rejected)
    assert {str(edge) for edge in found.edges} == {
        "shop/web -> shop/db TCP/8080",
        "shop/web -> external 203.0.113.10 TCP/443",
    }
    assert account == read_accounts(Lake(tmp_path / "lake").snapshot()) + read_accounts(
        Lake(tmp_path / "scratch").snapshot()
    )


def test_an_account_is_what_its_runs_said(tmp_path: Path) -> None:
    """The sum over all runs of a lake; a lake without runs has nothing to say."""
    records, more = connection(WEB, DB), connection(WEB, DB, at=60, sport=40_001)
    for name, content in (("a", text_of(records)), ("b", text_of(more) + BAD)):
        (tmp_path / name).write_text(content)
        ingest([tmp_path / name], tmp_path / "lake", IngestOptions(workers=0, format="hubble"))
    account = read_accounts(Lake(tmp_path / "lake").snapshot())
    assert [(bad.file, bad.line) for bad in account.rejected] == [("b", len(more) + 1)]
    assert (account.rows_read, account.rows_rejected) == (len(records) + len(more), 1)
    assert read_accounts(Lake(tmp_path / "empty", create=True).snapshot()) == Completeness()


def test_duplicates_are_not_counted_as_read(tmp_path: Path) -> None:
    """What the lake already held became no flow: the account of the lake is that of its runs."""
    records = connection(WEB, DB)
    told = Completeness()
    for name, content in (("a", text_of(records)), ("b", text_of(records) + "\n")):
        (tmp_path / name).write_text(content)
        told = (
            told + ingest([tmp_path / name], tmp_path / "lake", IngestOptions(workers=0, format="hubble")).completeness
        )
    read = read_accounts(Lake(tmp_path / "lake").snapshot())
    assert read == told
    assert (read.rows_read, read.rows_duplicate) == (len(records), len(records))


def test_rejections_keep_their_place_through_a_lake(tmp_path: Path) -> None:
    """The place is parsed back exactly as the collector told it, also where the reason holds colons."""
    (tmp_path / "x.jsonl").write_text(BAD + BAD)
    told = ingest([tmp_path / "x.jsonl"], tmp_path / "lake", IngestOptions(workers=0, format="hubble")).completeness
    read = read_accounts(Lake(tmp_path / "lake").snapshot())
    assert read.rejected == told.rejected
    assert [(bad.file, bad.line) for bad in read.rejected] == [("x.jsonl", 1), ("x.jsonl", 2)]


def test_an_empty_input_is_evidence_of_nothing(tmp_path: Path) -> None:
    """No records: no edges, no workloads, an empty profile, and nobody is governed."""
    assert evidence(tmp_path, [lost(0)]).edges == ()
    lake = tmp_path / "nothing"
    Lake(lake, create=True)
    found = gather((str(lake),), tmp_path / "unused", SuggestOptions(workers=0))
    assert (found.edges, found.workloads.versions, found.governed) == ((), (), frozenset())
    assert (found.profile, found.completeness) == (CaptureProfile(), Completeness())


def test_a_missing_input_is_an_error(tmp_path: Path) -> None:
    """A path that is not there is named."""
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        gather((str(tmp_path / "missing.jsonl"),), tmp_path / "lake", SuggestOptions(workers=0))


# --------------------------------------------------------------------------------------------------------- governed


@pytest.mark.parametrize(("reporter", "expected"), [("client", {("shop/web", OUT)}), ("server", {("shop/db", IN)})])
def test_a_denial_marks_the_end_that_reported_it_alone(
    tmp_path: Path, reporter: str, expected: set[tuple[str, Direction]]
) -> None:
    """A policy that denies at the server says nothing about the client's egress, and the other way round."""
    records = [*connection(WEB, DB), *connection(WEB, OUTSIDE, 443, ends=("client",))]
    found = evidence(tmp_path, [*records, dropped(WEB, DB, 22, reporter=reporter)])
    assert governed(found) == expected
    assert Verdict.DENIED in {edge.verdict for edge in found.edges}


def test_a_denial_marks_no_end_through_the_edge_that_it_joins(tmp_path: Path) -> None:
    """The edge is also seen accepted at its client; still only the server's policy denied."""
    records = [*connection(WEB, DB), dropped(WEB, DB, 8080, reporter="server", at=300)]
    found = evidence(tmp_path, records)
    assert {edge.evidence.reporters for edge in found.edges} == {("client", "server")}
    assert governed(found) == {("shop/db", IN)}


@pytest.mark.parametrize(("reporter", "end"), [("EGRESS", ("shop/web", OUT)), ("INGRESS", ("shop/db", IN))])
def test_audited_traffic_shows_a_policy_too(tmp_path: Path, reporter: str, end: tuple[str, Direction]) -> None:
    """In audit mode a policy would have denied there: it governs that end."""
    told = [record["flow"] for record in connection(WEB, DB)]
    for flow in told:
        if flow["traffic_direction"] == reporter and not flow["is_reply"]:
            flow["verdict"] = "AUDIT"
    assert governed(evidence(tmp_path, [{"flow": flow} for flow in told])) == {end}


def test_accepted_traffic_and_faults_show_no_policy(tmp_path: Path) -> None:
    """Most clusters accept without any policy, and the datapath also drops for other reasons."""
    records = [*connection(WEB, DB), dropped(WEB, DB, 22, reason="STALE_OR_UNROUTABLE_IP")]
    assert evidence(tmp_path, records).governed == frozenset()


@pytest.mark.parametrize(
    ("field", "end"), [("egress_allowed_by", ("shop/web", OUT)), ("ingress_allowed_by", ("shop/db", IN))]
)
def test_what_allowed_the_traffic_governs_that_direction(
    tmp_path: Path, field: str, end: tuple[str, Direction]
) -> None:
    """A source that names the policy that allowed it shows one at that end, and says nothing about the other."""
    records = named(connection(WEB, DB), **{field: "CiliumNetworkPolicy/shop/by-hand"})
    assert governed(evidence(tmp_path, records)) == {end}


def test_a_policy_that_this_tool_wrote_for_the_workload_governs_nothing(tmp_path: Path) -> None:
    """Monitor output allows what it learned: seeing it at work must not refuse the next run."""
    own = {"egress_allowed_by": "CiliumNetworkPolicy/shop/deployment-web"}
    assert evidence(tmp_path, named(connection(WEB, DB), **own)).governed == frozenset()


def test_a_policy_of_ours_with_a_changed_name_is_ours(tmp_path: Path) -> None:
    """A name that Kubernetes would refuse is written with a hash, and is recognised by it."""
    odd = replace(WEB, owner="reviews.v1.2", labels={"app": "reviews"})
    name = manifest_names([ref("reviews.v1.2", cluster="default")])[ref("reviews.v1.2", cluster="default")]
    assert name != "deployment-reviews.v1.2"
    records = named(connection(odd, DB), egress_allowed_by=f"CiliumNetworkPolicy/shop/{name}")
    assert evidence(tmp_path, records).governed == frozenset()


def test_a_policy_of_our_name_for_the_whole_cluster_is_not_ours(tmp_path: Path) -> None:
    """What this tool writes lies in the namespace of its workload."""
    records = named(connection(WEB, DB), egress_allowed_by="CiliumClusterwideNetworkPolicy//deployment-web")
    assert governed(evidence(tmp_path, records)) == {("shop/web", OUT)}


def test_a_policy_that_this_tool_wrote_for_another_workload_does(tmp_path: Path) -> None:
    """Only the workload's own file is meant for it."""
    other = {
        "egress_allowed_by": "CiliumNetworkPolicy/shop/deployment-db",
        "ingress_allowed_by": "CiliumNetworkPolicy/shop/deployment-web",
    }
    assert governed(evidence(tmp_path, named(connection(WEB, DB), **other))) == {("shop/web", OUT), ("shop/db", IN)}


def test_own_and_foreign_policies_together_govern(tmp_path: Path) -> None:
    """One policy written by hand beside our own is enough."""
    own = {"egress_allowed_by": "CiliumNetworkPolicy/shop/deployment-web"}
    hand = {"egress_allowed_by": "NetworkPolicy/shop/by-hand"}
    records = [*named(connection(WEB, DB), **own), *named(connection(WEB, DB, at=60, sport=40_001), **hand)]
    assert governed(evidence(tmp_path, records)) == {("shop/web", OUT)}


def test_ends_that_are_no_workloads_are_not_governed(tmp_path: Path) -> None:
    """Only workloads get policies: a denied outsider marks the workload that denied it, and nothing else."""
    assert governed(evidence(tmp_path, [dropped(OUTSIDE, DB, 22, reporter="server")])) == {("shop/db", IN)}


def test_the_window_limits_what_governs(tmp_path: Path) -> None:
    """A policy seen at work before ``since`` may be gone by now."""
    records = [
        dropped(WEB, DB, 22),
        *named(connection(WEB, DB), egress_allowed_by="NetworkPolicy/shop/by-hand"),
        *connection(WEB, DB, at=7_200, sport=40_001),
    ]
    whole = evidence(tmp_path, records)
    assert governed(whole) == {("shop/web", OUT), ("shop/db", IN)}
    (tmp_path / "late").mkdir()
    late = evidence(tmp_path / "late", records, since=START + timedelta(hours=1))
    assert (len(late.edges), late.governed) == (1, frozenset())
