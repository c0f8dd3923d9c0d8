"""Write the sample flow logs and the inventory from the tables: ``python -m sample_flows.build [FOLDER]``.

Deterministic: no clock, no random numbers, the same bytes on every machine. Prints nothing; the tests compare
the committed files with what this writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sample_flows.calico import flow_log
from sample_flows.estate import CLUSTER
from sample_flows.hubble import Recorder, encode, stamp
from sample_flows.inventory import inventory
from sample_flows.scenes import SCENES, lossy, moment


def hubble_log() -> list[str]:
    """Return the complete Hubble export of all three nodes, merged by time."""
    recorder = Recorder()
    for scene in SCENES:
        scene(recorder)
    return recorder.lines()


def lossy_log() -> list[str]:
    """Return a small export with two holes: 64-bit counts are text, as protobuf-JSON writes them."""
    recorder = Recorder()
    lossy(recorder)
    lines = recorder.lines()
    holes = (
        (1.6, "node-b", {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "1024"}),
        (2.5, "node-a", {"source": "PERF_EVENT_RING_BUFFER", "num_events_lost": "37", "cpu": 3}),
    )
    for position, (hour, node, lost) in zip((len(lines) // 2, len(lines)), holes, strict=True):
        event = {"lost_events": lost, "node_name": f"{CLUSTER}/{node}", "time": stamp(moment(hour))}
        lines.insert(position, encode(event))
    return lines


def write(folder: Path) -> None:
    """Write the three logs and the inventory into an existing folder."""
    for name, lines in (
        ("shop-hubble.jsonl", hubble_log()),
        ("shop-hubble-lossy.jsonl", lossy_log()),
        ("shop-calico.jsonl", flow_log()),
        ("inventory.yaml", inventory()),
    ):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
