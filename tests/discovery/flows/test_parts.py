"""Part files: one folder per cluster and date, plain types, nothing lost in the split."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.flows.engine import engine, parquet
from discovery.flows.parts import MAX_OPEN_PARTS, PartWriter
from discovery.flows.schema import FLOWS, PARTITION_COLUMNS
from tests.flows_factory import START, row, table


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(("a", "b/c", "é")), st.integers(-2, 2)), min_size=1, max_size=6), max_size=4
    )
)
@settings(max_examples=20)
def test_every_row_lands_in_its_partition(batches: list[list[tuple[str, int]]]) -> None:
    """Each row is in the folder of its cluster and UTC date, once; parts tell their rows and size."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        writer = PartWriter(Path(name))
        for batch in batches:
            writer.write(
                table([row(cluster=cluster, time=START + timedelta(hours=14 * shift)) for cluster, shift in batch])
            )
        parts = writer.close()
        expected = Counter(
            (cluster, (START + timedelta(hours=14 * shift)).date().isoformat())
            for batch in batches
            for cluster, shift in batch
        )
        found: Counter[tuple[str, str]] = Counter()
        for part in parts:
            partition = dict(part.partition)
            found[partition["cluster"], partition["date"]] += part.rows
            assert (Path(name) / part.path).stat().st_size == part.size
            assert pq.read_metadata(Path(name) / part.path).num_rows == part.rows
        assert found == expected
        assert [part.path for part in parts] == sorted(part.path for part in parts)


def test_many_partitions_keep_few_files_open(tmp_path: Path) -> None:
    """A backfill of many days finishes parts as it goes and loses nothing."""
    writer = PartWriter(tmp_path)
    for _ in range(2):
        writer.write(table([row(time=START + timedelta(days=day)) for day in range(MAX_OPEN_PARTS + 5)]))
    assert len(writer._open) <= MAX_OPEN_PARTS
    assert sum(part.rows for part in writer.close()) == 2 * (MAX_OPEN_PARTS + 5)


def test_files_hold_plain_columns(tmp_path: Path) -> None:
    """No engine needs Arrow's own schema: types are those of the schema, partition columns are in the path alone."""
    writer = PartWriter(tmp_path)
    writer.write(table([row(server_names=["a"])]))
    (part,) = writer.close()
    schema = pq.read_schema(tmp_path / part.path)
    assert schema.names == [name for name in FLOWS.names if name not in PARTITION_COLUMNS]
    types = {name: schema.field(name).type for name in schema.names}
    assert all(
        str(types[name]).replace("element", "item") == str(FLOWS.field(name).type).replace("element", "item")
        for name in types
    )
    assert b"ARROW:schema" not in (schema.metadata or {})
    assert pq.read_metadata(tmp_path / part.path).row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("name", ["a'b.parquet", "a b", "x{y}"])
def test_the_engine_quotes_names(tmp_path: Path, name: str) -> None:
    """File names are data, not SQL."""
    folder = tmp_path / name
    writer = PartWriter(folder)
    writer.write(table([row()]))
    (part,) = writer.close()
    with engine(threads=1) as connection:
        found = connection.sql("FROM " + parquet([str(folder / part.path)])).to_arrow_table()
    assert found.num_rows == 1
