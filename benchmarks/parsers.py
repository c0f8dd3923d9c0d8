"""Readers of Hubble JSON lines, each in a process of its own: ``parsers.py NAME FILE``.

Prints the CPU seconds of reading alone (imports are over) and the number of records, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_BLOCK = 4 << 20


def simdjson(path: Path) -> int:
    """Parse each line with one simdjson parser and build nothing: the lower limit."""
    from simdjson import Parser

    parser = Parser()
    lines = 0
    with path.open("rb") as stream:
        for line in stream:
            parser.parse(line)
            lines += 1
    return lines


def duckdb_typed(path: Path) -> int:
    """Read the fields that we need with DuckDB's ``read_json`` and a given type."""
    import duckdb

    end = (
        "STRUCT(identity BIGINT, cluster_name VARCHAR, namespace VARCHAR, labels VARCHAR[], pod_name VARCHAR, "
        "workloads STRUCT(name VARCHAR, kind VARCHAR)[])"
    )
    ports = "STRUCT(source_port INTEGER, destination_port INTEGER, flags STRUCT(SYN BOOLEAN, ACK BOOLEAN, RST BOOLEAN))"
    flow = (
        "STRUCT(time VARCHAR, uuid VARCHAR, verdict VARCHAR, drop_reason_desc VARCHAR, IP STRUCT(source VARCHAR, "
        f"destination VARCHAR), l4 STRUCT(TCP {ports}, UDP {ports}), source {end}, destination {end}, "
        "is_reply BOOLEAN, traffic_direction VARCHAR, trace_observation_point VARCHAR, "
        "event_type STRUCT(type INTEGER, sub_type INTEGER))"
    )
    connection = duckdb.connect()
    rows = connection.sql(
        "SELECT node_name, time, flow.* FROM read_json($path, format = 'newline_delimited', "  # noqa: S608 - our own types
        f"columns = {{'flow': '{flow}', 'node_name': 'VARCHAR', 'time': 'VARCHAR'}})",
        params={"path": str(path)},
    )
    return sum(batch.num_rows for batch in rows.to_arrow_reader(32_768))


def pyarrow_json(path: Path) -> int:
    """Read the same fields with Arrow's JSON reader and a given schema."""
    import pyarrow as pa
    from pyarrow.json import ParseOptions, ReadOptions, open_json

    text, number = pa.string(), pa.int64()
    workload = pa.struct({"name": text, "kind": text})
    end = pa.struct(
        {"identity": number, "cluster_name": text, "namespace": text, "labels": pa.list_(text), "pod_name": text,
         "workloads": pa.list_(workload)}
    )  # fmt: skip
    flags = pa.struct({"SYN": pa.bool_(), "ACK": pa.bool_(), "RST": pa.bool_()})
    ports = pa.struct({"source_port": number, "destination_port": number, "flags": flags})
    flow = pa.struct(
        {"time": text, "uuid": text, "verdict": text, "drop_reason_desc": text,
         "IP": pa.struct({"source": text, "destination": text}), "l4": pa.struct({"TCP": ports, "UDP": ports}),
         "source": end, "destination": end, "is_reply": pa.bool_(), "traffic_direction": text,
         "trace_observation_point": text, "event_type": pa.struct({"type": number, "sub_type": number})}
    )  # fmt: skip
    schema = pa.schema({"flow": flow, "node_name": text, "time": text})
    options = ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    with open_json(path, read_options=ReadOptions(block_size=_BLOCK), parse_options=options) as batches:
        return sum(batch.num_rows for batch in batches)


def msgspec_decode(path: Path) -> int:
    """Decode each line as our reader does, and nothing else."""
    import msgspec

    from collectors.hubble_wire import Line

    decode = msgspec.json.Decoder(Line).decode
    lines = 0
    with path.open("rb") as stream:
        for line in stream:
            decode(line)
            lines += 1
    return lines


def our_reader(path: Path) -> int:
    """Read as our worker does, batches built but not written."""
    from collectors.hubble import HubbleReader
    from collectors.sources import ranges, read_range

    reader = HubbleReader(lambda _: None, label=path.name, ingest_id="benchmark", default_cluster="default")
    for part in ranges(str(path), path.stat().st_size):
        reader.read_lines(read_range(part).lines.lines, 1)
    reader.finish()
    return reader.account.rows_read


def our_worker(path: Path) -> int:
    """Do all that one of our worker processes does: read, hash, build batches, write and flush part files."""
    import gc

    from collectors.sources import ranges
    from discovery.app.read_worker import Setup, Task, Worker

    gc.disable()
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Setup(folder=Path(folder), ingest_id="benchmark", default_cluster="default"))
        for chunk, part in enumerate(ranges(str(path), path.stat().st_size)):
            worker.run(Task(input=0, path=str(path), label=path.name, format="hubble", chunk=chunk, part=part))
        return worker.finish().accounts[0].rows_read


READERS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "simdjson": ("simdjson parse alone, line by line", simdjson),
    "duckdb": ("DuckDB read_json, typed", duckdb_typed),
    "pyarrow": ("pyarrow.json, typed", pyarrow_json),
    "msgspec": ("msgspec decode alone, into our structs", msgspec_decode),
    "reader": ("our reader: decoded, interpreted, Arrow batches", our_reader),
    "worker": ("our worker: the same, hashed and written as Parquet", our_worker),
}


def _cpu() -> float:
    """Return the CPU seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read one file with one reader."""
    name, path = sys.argv[1], Path(sys.argv[2])
    warm = sys.argv[3:]
    read = READERS[name][1]
    for given in warm:  # a small file first, so that imports are not counted
        read(Path(given))
    before = _cpu()
    lines = read(path)
    sys.stdout.write(json.dumps({"cpu_seconds": round(_cpu() - before, 3), "lines": lines}) + "\n")


if __name__ == "__main__":
    main()
