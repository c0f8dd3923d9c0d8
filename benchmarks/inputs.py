"""The inputs of the benchmarks, made once and kept in a folder (``build/bench`` unless told otherwise).

Hubble exports come from ``../shared/bench/make_hubble_flows.py`` where that is present, else from a generator of the
same shape here. Everything is seeded: the same name is always the same content.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
KEPT = REPO / "build" / "bench"
_SHARED = REPO.parent / "shared" / "bench" / "make_hubble_flows.py"

SEED = 7
NAMESPACES = 20
WORKLOADS = 200
REPLY_SHARE = 0.35
SCANNED_PORTS = 65_535
# Spreads consecutive numbers over the whole IPv4 space without repeating one (odd, so invertible modulo 2^32).
_SPREAD = 2_654_435_761
_BLOCK = 10_000
_NODE_SECONDS = 86_400


def _made(target: Path, size: int, make: Callable[[Path], None]) -> Path:
    """Return a cached input, making it first where it is absent. ``size`` is about how many bytes it takes."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size * 1.2:
        raise SystemExit(f"{target.name} takes {size / 1e9:.0f} GB; {target.parent} has {free / 1e9:.0f} GB free")
    print(f"making {target.name} ...", flush=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    make(unfinished)
    unfinished.rename(target)
    return target


def hubble_flows(folder: Path, flows: int) -> Path:
    """Return a Hubble export with at least this many flows of an estate of 200 workloads, 35% of them replies."""

    def make(target: Path) -> None:
        if not _SHARED.exists():
            _write_estate(target, flows)
            return
        options: dict[str, float] = {"flows": flows, "namespaces": NAMESPACES, "workloads": WORKLOADS, "seed": SEED}
        options["reply-share"] = REPLY_SHARE
        given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        subprocess.run([sys.executable, str(_SHARED), str(target), *given], check=True)

    return _made(folder / f"hubble-{flows}.jsonl", flows * 1_550, make)


def hostile_clients(folder: Path, clients: int) -> Path:
    """Return a Hubble export in which one workload is reached by this many distinct external addresses.

    Every hundredth client is seen answered. Two scans of 65,535 ports come on top: one that policy denies, and one
    that nobody answers, from a node that shows answers otherwise.
    """
    return _made(folder / f"clients-{clients}.jsonl", clients * 900, lambda target: _write_clients(target, clients))


def flow_lake(folder: Path, rows: int) -> Path:
    """Return a lake of this many resolved rows; see :mod:`lake_input`."""
    from lake_input import write_lake

    return _made(folder / f"lake-{rows}", rows * 40, lambda target: write_lake(target, rows, SEED))


def count_lines(path: Path) -> int:
    """Return how many lines a file has."""
    total = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            total += block.count(b"\n")
    return total


def _endpoint(namespace: str, name: str, identity: int, pod: str) -> dict[str, object]:
    """Return a workload as Hubble reports it."""
    return {
        "ID": identity % 4_096,
        "identity": identity,
        "cluster_name": "default",
        "namespace": namespace,
        "labels": [
            f"k8s:app={name}",
            f"k8s:app.kubernetes.io/part-of={namespace}",
            f"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}",
            "k8s:io.cilium.k8s.policy.cluster=default",
            f"k8s:io.cilium.k8s.policy.serviceaccount={name}",
            f"k8s:io.kubernetes.pod.namespace={namespace}",
        ],
        "pod_name": pod,
        "workloads": [{"name": name, "kind": "Deployment"}],
    }


_WORLD = {"identity": 2, "labels": ["reserved:world"]}
# What changes from line to line. Marks, because JSON holds braces and percent signs.
_MARKS = ("@TIME@", "@UUID@", "@FROM@", "@TO@", '"@SPORT@"', '"@DPORT@"')


def _template(
    ends: tuple[dict[str, object], dict[str, object]], *, verdict: str, direction: str, reply: bool, node: str
) -> str:
    """Return one TCP record as text for ``str.format`` with (time, uuid, source, destination and both ports).

    As in Hubble, ``direction`` is that of the connection at the reporting endpoint, for replies too.
    """
    dropped = verdict == "DROPPED"
    body: dict[str, object] = {
        "time": _MARKS[0],
        "uuid": _MARKS[1],
        "verdict": verdict,
        "ethernet": {"source": "0a:58:0a:00:00:01", "destination": "0a:58:0a:00:00:02"},
        "IP": {"source": _MARKS[2], "destination": _MARKS[3], "ipVersion": "IPv4"},
        "l4": {
            "TCP": {
                "source_port": "@SPORT@",
                "destination_port": "@DPORT@",
                "flags": {"SYN": True, "ACK": True} if reply else {"SYN": True},
            }
        },
        "source": ends[0],
        "destination": ends[1],
        "Type": "L3_L4",
        "node_name": node,
        "event_type": {"type": 1, "sub_type": 133} if dropped else {"type": 4, "sub_type": 0},
        "traffic_direction": direction,
        "is_reply": reply,
        "Summary": "TCP Flags: SYN",
    }
    if dropped:
        body |= {"drop_reason": 133, "drop_reason_desc": "POLICY_DENIED"}
    else:
        body["trace_observation_point"] = "TO_ENDPOINT" if (direction == "INGRESS") is not reply else "TO_STACK"
    text = json.dumps({"flow": body, "node_name": node, "time": _MARKS[0]}, separators=(",", ":"))
    text = text.replace("{", "{{").replace("}", "}}")
    for number, mark in enumerate(_MARKS):
        text = text.replace(mark, "{%d}" % number)  # noqa: UP031 - braces are what is being made
    return text + "\n"


def _stamp(second: float) -> str:
    """Return a time of 2026-11-01 as Hubble writes it."""
    whole, rest = divmod(round(second * 1e6), 1_000_000)
    hour, minute = divmod(whole // 60, 60)
    return f"2026-11-01T{hour % 24:02d}:{minute:02d}:{whole % 60:02d}.{rest:06d}000Z"


def _client(number: int) -> str:
    """Return the number-th distinct public IPv4 address, spread over the whole space."""
    value = number * _SPREAD % (1 << 32)
    first, second = value >> 24, value >> 16 & 255
    private = first in {0, 10, 127} or first >= 224 or (first, second) in {(192, 168), (169, 254)}
    if private or (first == 172 and 16 <= second < 32) or (first == 100 and 64 <= second < 128):
        return ""
    return f"{first}.{second}.{value >> 8 & 255}.{value & 255}"


def _write_clients(target: Path, clients: int) -> None:
    """Write :func:`hostile_clients`."""
    web = _endpoint("shop", "web", 10_001, "web-7d4b9c6f5-x2x4z")
    scanner = _endpoint("shop", "batch", 10_002, "batch-6c9f7d5b8-k9k7m")
    request = _template((_WORLD, web), verdict="FORWARDED", direction="INGRESS", reply=False, node="node-00").format
    answer = _template((web, _WORLD), verdict="FORWARDED", direction="INGRESS", reply=True, node="node-00").format
    denied = _template((_WORLD, web), verdict="DROPPED", direction="INGRESS", reply=False, node="node-00").format
    silent = _template((scanner, web), verdict="FORWARDED", direction="EGRESS", reply=False, node="node-01").format
    heard = _template((web, scanner), verdict="FORWARDED", direction="EGRESS", reply=True, node="node-01").format
    server, number, written = "10.0.0.7", 0, 0
    with target.open("w", encoding="ascii") as out:
        while written < clients:
            lines: list[str] = []
            while len(lines) < _BLOCK and written < clients:
                number += 1
                address = _client(number)
                if not address:
                    continue
                time, port = _stamp(written * _NODE_SECONDS / clients), 32_768 + number % 28_000
                lines.append(request(time, f"{number:032x}", address, server, port, 8443))
                if written % 100 == 0:
                    lines.append(answer(time, f"{number:031x}a", server, address, 8443, port))
                written += 1
            out.writelines(lines)
        out.write(silent(_stamp(0), f"{0:031x}e", "10.0.0.9", server, 39_999, 8443))
        out.write(heard(_stamp(0), f"{0:031x}f", server, "10.0.0.9", 8443, 39_999))
        for port in range(1, SCANNED_PORTS + 1):
            time = _stamp(port)
            out.write(denied(time, f"{port:031x}d", "203.0.113.66", server, 40_000, port))
            out.write(silent(time, f"{port:031x}e", "10.0.0.9", server, 40_000, port))


def _write_estate(target: Path, flows: int) -> None:
    """Write an export of the shape of the shared generator's: Zipf-weighted TCP edges, replies, some denied flows."""
    rng = random.Random(SEED)  # noqa: S311 - made-up traffic, not a secret
    names = [(f"team-{n % NAMESPACES:03d}", f"svc-{n:04d}") for n in range(WORKLOADS)]
    pods = [[f"{name}-{rng.getrandbits(32):08x}-{n}{m}" for m in range(rng.randint(1, 5))] for n, (_, name) in
            enumerate(names)]  # fmt: skip
    edges = [(n, rng.randrange(WORKLOADS)) for n in range(WORKLOADS) for _ in range(rng.randint(1, 6))]
    weights = [1 / (rank + 1) ** 0.8 for rank in range(len(edges))]
    templates: dict[tuple[int, int, int, int, str], Callable[..., str]] = {}
    with target.open("w", encoding="ascii") as out:
        for row, edge in enumerate(rng.choices(edges, weights=weights, k=flows)):
            ends = [(end, rng.randrange(len(pods[end]))) for end in edge]
            roll = rng.random()
            form = "denied" if roll < 0.01 else "reply" if roll < 0.01 + REPLY_SHARE else "request"
            addresses = [f"10.0.{end}.{pod + 1}" for end, pod in ends]
            ports = [rng.randint(32_768, 60_999), rng.randint(1, 1_024) if form == "denied" else 8_000 + edge[1] % 50]
            if form == "reply":
                ends, addresses, ports = ends[::-1], addresses[::-1], ports[::-1]
            key = (*ends[0], *ends[1], form)
            if key not in templates:
                both = [_endpoint(*names[end], 10_000 + end, pods[end][pod]) for end, pod in ends]
                templates[key] = _template(
                    (both[0], both[1]),
                    verdict="DROPPED" if form == "denied" else "FORWARDED",
                    direction="INGRESS",
                    reply=form == "reply",
                    node=f"node-{edge[0] % 16:02d}",
                ).format
            time = _stamp(row * _NODE_SECONDS / flows)
            out.write(templates[key](time, f"{rng.getrandbits(128):032x}", *addresses, *ports))
