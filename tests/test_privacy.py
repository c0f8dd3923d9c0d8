"""A canary in every field of layer 7 of an input is found nowhere: not in the lake, in an output or in a message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from discovery.cli.main import cli
from tests.flows_factory import flow, lines, stamp

CANARY = "q7Zx9Kc2Vn4Lw8Rt5Yb3"

# Every field of flow.Layer7 and its parts that holds text (Cilium 1.10 to 1.20), and where text is said beside it.
HTTP: dict[str, Any] = {
    "url-userinfo": {"http": {"method": "GET", "url": f"http://me:{CANARY}@api.shop/a"}},
    "url-user": {"http": {"method": "GET", "url": f"http://{CANARY}@api.shop/a"}},
    "url-host": {"http": {"method": "GET", "url": f"http://{CANARY}.hooks.example/a"}},
    "url-path": {"http": {"method": "GET", "url": f"http://api.shop/reset/{CANARY}/now"}},
    "url-matrix": {"http": {"method": "GET", "url": f"http://api.shop/a;jsessionid={CANARY}/b"}},
    "url-query": {"http": {"method": "GET", "url": f"http://api.shop/a?token={CANARY}"}},
    "url-fragment": {"http": {"method": "GET", "url": f"http://api.shop/a#{CANARY}"}},
    "bare-path": {"http": {"method": "GET", "url": f"/a/{CANARY}?{CANARY}"}},
    "method": {"http": {"method": CANARY, "url": "http://api.shop/a"}},
    "protocol": {"http": {"method": "GET", "url": "/", "protocol": CANARY}},
    "header-key": {"http": {"method": "GET", "url": "/", "headers": [{"key": CANARY, "value": "x"}]}},
    "header-value": {"http": {"method": "GET", "url": "/", "headers": [{"key": "Cookie", "value": CANARY}]}},
}
DNS: dict[str, Any] = {
    "query": {"dns": {"query": f"{CANARY}.exfil.example."}},
    "ips": {"dns": {"query": "a.example.", "ips": [CANARY, "192.0.2.1"]}},
    "cnames": {"dns": {"query": "a.example.", "cnames": [f"{CANARY}.example."]}},
    "observation_source": {"dns": {"query": "a.example.", "observation_source": CANARY}},
    "qtypes": {"dns": {"query": "a.example.", "qtypes": [CANARY]}},
    "rrtypes": {"dns": {"query": "a.example.", "rrtypes": [CANARY]}},
}
KAFKA: dict[str, Any] = {
    "topic": {"kafka": {"topic": f"orders.{CANARY}"}},
    "api_key": {"kafka": {"topic": "orders", "api_key": CANARY}},
}
PLANTED = {**HTTP, **DNS, **KAFKA}


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield everything below a folder as text, the values of Parquet files included."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes().decode("utf-8", "replace")
            if path.suffix == ".parquet":
                yield str(path), repr(pq.ParquetFile(path).read().to_pylist())


@pytest.mark.parametrize("kind", ["REQUEST", "RESPONSE"])
def test_no_canary_comes_through(tmp_path: Path, kind: str) -> None:
    """One record per field, each with the canary there: the lake, the outputs and all messages are free of it."""
    records = [
        flow(Type="L7", l7={"type": kind, **part}, Summary=CANARY, time=stamp(number))
        for number, part in enumerate(PLANTED.values())
    ]
    source = tmp_path / "flows.jsonl"
    source.write_bytes(lines(records))
    assert source.read_text("utf-8").count(CANARY) >= 2 * len(PLANTED)
    run = CliRunner()
    lake, output = str(tmp_path / "lake"), str(tmp_path / "out")
    said = [
        run.invoke(cli, ["ingest", str(source), "-o", lake]),
        run.invoke(cli, ["suggest", lake, "-o", output]),
        run.invoke(cli, ["doctor", lake]),
    ]
    assert [result.exit_code for result in said] == [0, 0, 0]
    found = [*texts(Path(lake)), *texts(Path(output)), *(("terminal", result.output) for result in said)]
    assert len(found) > 10
    assert [place for place, text in found if CANARY.lower() in text.lower()] == []
    assert any("{secret}" in text for _, text in found)


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_malformed_record_is_not_quoted(tmp_path: Path, name: str) -> None:
    """What makes a record unreadable is told without its content."""
    broken = flow(Type="L7", l7={"type": "REQUEST", **PLANTED[name]}, IP=7)
    source = tmp_path / "flows.jsonl"
    source.write_bytes(lines([broken]))
    result = CliRunner().invoke(cli, ["ingest", str(source), "-o", str(tmp_path / "lake"), "--format", "hubble"])
    assert result.exit_code == 4
    assert CANARY not in result.output
    assert [place for place, text in texts(tmp_path / "lake") if CANARY in text] == []
