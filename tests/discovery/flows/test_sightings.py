"""What the rows of a batch show, counted from its builder, against the rows themselves."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions
from discovery.flows.lake import Lake
from discovery.model.capture import Sightings
from tests.flows_factory import lake_rows


def test_counts_are_those_of_the_rows(repo: Path, tmp_path: Path) -> None:
    """An independent count over the lake's rows agrees, for records that no duplicate is dropped from."""
    done = ingest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "lake", IngestOptions(workers=0))
    (found,) = done.completeness.sightings
    snapshot = Lake(tmp_path / "lake").snapshot()
    rows = lake_rows(tmp_path / "lake")
    workloads = {row["identity"]: row for file in snapshot.workloads for row in pq.ParquetFile(file).read().to_pylist()}
    assert done.completeness.rows_duplicate == 0
    ends = [(row[f"{side}_kind"], row[f"{side}_identity"]) for row in rows for side in ("client", "server")]
    pods = [(kind, identity) for kind, identity in ends if kind in ("workload", "unresolved")]
    assert found == Sightings(
        source="hubble",
        records=len(rows),
        verdicts=sum(row["verdict"] != "unknown" for row in rows),
        protocols=sum(row["protocol"] is not None for row in rows),
        ports=sum(row["server_port"] is not None or row["icmp_type"] is not None for row in rows),
        answers=found.answers,
        openers=found.openers,
        drops=sum(row["verdict"] in ("denied", "fault") for row in rows),
        pod_ends=len(pods),
        labelled_ends=sum(identity in workloads and bool(workloads[identity]["labels"]) for _, identity in pods),
        client_reports=sum(row["reporter"] == "client" for row in rows),
        server_reports=sum(row["reporter"] == "server" for row in rows),
        l7=sum(row["l7_protocol"] is not None for row in rows),
        connections=0,
    )
    # What a record shows by itself: settling, later, makes others of the same connection show it too.
    assert 0 < found.answers <= sum(row["establishment"] in ("established", "refused") for row in rows)
    flagged = sum(row["is_reply"] is not None for row in rows)
    assert flagged <= found.openers <= len(rows)
