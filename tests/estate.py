"""Small factories of flow records: an estate of pods, connections between them, and files of records.

Records are Hubble's (Cilium 1.18, as ``sample_flows`` documents them) or Calico flow logs. A record is a plain dict,
so a test may change any field before it writes the file. Times are seconds after ``START``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.suggest import suggest
from discovery.learn.judge import Reason, Ruling
from discovery.model.edge import Direction, Edge
from discovery.model.intent import Allow, PolicyIntent, WorkloadPeer

Record = dict[str, Any]

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
SYN: tuple[str, ...] = ("SYN",)
SYN_ACK: tuple[str, ...] = ("SYN", "ACK")
ACK: tuple[str, ...] = ("ACK",)
RST: tuple[str, ...] = ("RST", "ACK")
NODES: Mapping[str, str] = {"node-a": "192.168.56.11", "node-b": "192.168.56.12"}


@dataclass(frozen=True, kw_only=True)
class Party:
    """One end of a flow. ``node`` is where a pod runs, None for everything that is no pod.

    ``labels`` are pod labels; ``reserved`` are reserved identities (then the party is no pod); ``extra_labels`` are
    further raw Cilium labels. ``owner`` is the workload's name as the local agent reports it.
    """

    address: str
    namespace: str = ""
    owner: str = ""
    kind: str = "Deployment"
    pod: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    account: str | None = None
    reserved: tuple[str, ...] = ()
    node: str | None = None
    names: tuple[str, ...] = ()
    cluster: str = "default"

    def endpoint(self, *, local: bool) -> Record:
        """Return the endpoint as a Hubble agent reports it: the owner is known at the pod's own node alone."""
        if self.reserved:
            return {"identity": 2, "labels": [f"reserved:{name}" for name in self.reserved]}
        known = {
            **self.labels,
            "io.kubernetes.pod.namespace": self.namespace,
            "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": self.namespace,
            "io.cilium.k8s.policy.cluster": self.cluster,
        }
        if self.account is not None:
            known["io.cilium.k8s.policy.serviceaccount"] = self.account
        found: Record = {
            "identity": 4242,
            "cluster_name": self.cluster,
            "namespace": self.namespace,
            "labels": sorted(f"k8s:{key}={value}" for key, value in known.items()),
            "pod_name": self.pod,
        }
        if local and self.owner:
            found["workloads"] = [{"name": self.owner, "kind": self.kind}]
        return found


def pod(name: str, address: str, **changes: Any) -> Party:
    """Return a pod of the Deployment ``name`` in namespace ``shop`` with the label ``app=name``."""
    plain = Party(
        address=address,
        namespace="shop",
        owner=name,
        pod=f"{name}-6c9f7d8b54-k2xqv",
        labels={"app": name},
        account=name,
        node="node-a",
    )
    return replace(plain, **changes)


def world(address: str, *names: str) -> Party:
    """Return an external address as a dual-stack cluster reports it."""
    return Party(address=address, reserved=("world", "world-ipv6" if ":" in address else "world-ipv4"), names=names)


def reserved(*names: str, address: str = "192.168.56.11") -> Party:
    """Return a reserved entity."""
    return Party(address=address, reserved=names)


# The estate that most tests need: a client, a server and the resolver, on two nodes.
WEB = pod("web", "10.0.1.10")
API = pod("api", "10.0.2.20", node="node-b", pod="api-7d4b9c6f8d-x5c2p")
DNS = pod(
    "coredns",
    "10.0.2.53",
    namespace="kube-system",
    labels={"k8s-app": "kube-dns"},
    node="node-b",
    pod="coredns-76f75df574-lmgcf",
)


def stamp(seconds: float) -> str:
    """Return a time in Hubble's notation."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "000Z")


def packet(
    source: Party,
    target: Party,
    protocol: str = "TCP",
    ports: tuple[int, int] | None = (40_000, 8080),
    *,
    at: float = 0,
    reporter: str = "client",
    reply: bool | None = False,
    flags: tuple[str, ...] = SYN,
    icmp: tuple[int, int] = (8, 0),
    **fields: Any,
) -> Record:
    """Return one Hubble event of a packet from ``source`` to ``target``.

    ``reporter`` is whose node reports: client (EGRESS) or server (INGRESS), as seen from the connection; for a reply
    the client is the target. ``fields`` replace fields of the flow; None removes one.
    """
    initiator, responder = (target, source) if reply else (source, target)
    node = (initiator if reporter == "client" else responder).node or "node-a"
    layer: Record = {"type": icmp[0], "code": icmp[1]} if ports is None else {"source_port": ports[0]}
    if ports is not None:
        layer["destination_port"] = ports[1]
    if protocol == "TCP" and flags:
        layer["flags"] = dict.fromkeys(flags, True)
    flow: Record = {
        "time": stamp(at),
        "verdict": "FORWARDED",
        "IP": {
            "source": source.address,
            "destination": target.address,
            "ipVersion": "IPv6" if ":" in source.address else "IPv4",
        },
        "l4": {protocol: layer},
        "source": source.endpoint(local=source.node == node),
        "destination": target.endpoint(local=target.node == node),
        "Type": "L3_L4",
        "node_name": f"default/{node}",
        "event_type": {"type": 4},
        "trace_observation_point": "TO_ENDPOINT" if (reporter == "server") != bool(reply) else "TO_STACK",
        "traffic_direction": "EGRESS" if reporter == "client" else "INGRESS",
        "is_reply": reply,
    }
    if source.names:
        flow["source_names"] = list(source.names)
    if target.names:
        flow["destination_names"] = list(target.names)
    flow.update(fields)
    flow = {key: value for key, value in flow.items() if value is not None}
    return {"flow": flow, "node_name": f"default/{node}", "time": flow["time"]}


def connection(
    client: Party,
    server: Party,
    port: int = 8080,
    protocol: str = "TCP",
    *,
    at: float = 0,
    sport: int = 40_000,
    ends: tuple[str, ...] = ("client", "server"),
    answered: bool = True,
    **fields: Any,
) -> list[Record]:
    """Return the events of one connection: the first packet and its answer, as each of ``ends`` reports them."""
    found: list[Record] = []
    for number, end in enumerate(ends):
        moment = at + number * 0.001
        found.append(packet(client, server, protocol, (sport, port), at=moment, reporter=end, **fields))
        if answered:
            back = packet(
                server,
                client,
                protocol,
                (port, sport),
                at=moment + 0.01,
                reporter=end,
                reply=True,
                flags=SYN_ACK,
                **fields,
            )
            found.append(back)
    return found


def dropped(
    client: Party, server: Party, port: int = 8080, protocol: str = "TCP", *, reporter: str = "server", at: float = 0,
    reason: str = "POLICY_DENIED", sport: int = 40_000,
) -> Record:  # fmt: skip
    """Return the drop of a first packet at one end."""
    codes = {"POLICY_DENIED": 133, "POLICY_DENY": 181}
    return packet(
        client,
        server,
        protocol,
        (sport, port),
        at=at,
        reporter=reporter,
        verdict="DROPPED",
        drop_reason=codes.get(reason, 155),
        drop_reason_desc=reason,
        event_type={"type": 1, "sub_type": codes.get(reason, 155)},
        trace_observation_point=None,
        is_reply=None,
    )


def lookups(*clients: Party, at: float = 0) -> list[Record]:
    """Return one answered DNS query per client, seen from both ends."""
    found: list[Record] = []
    for number, client in enumerate(clients):
        found += connection(client, DNS, 53, "UDP", at=at + number * 0.1, sport=50_000 + number)
    return found


def lost(events: int, at: float = 0) -> Record:
    """Return Hubble's own record of lost events."""
    count = {"source": "HUBBLE_RING_BUFFER", "num_events_lost": str(events)}
    return {"lost_events": count, "node_name": "default/node-a", "time": stamp(at)}


def calico(client: Party, server: Party, port: int, protocol: str = "tcp", **fields: Any) -> Record:
    """Return one Calico flow log of an allowed connection, as the server's Felix reports it."""
    start = int(START.timestamp())
    found: Record = {
        "start_time": start,
        "end_time": start + 300,
        "host": "node-a",
        "action": "allow",
        "reporter": "dst",
        "proto": protocol,
        "dest_port": port,
        "source_port": None,
        "num_flows": 1,
        "num_flows_started": 1,
        "num_flows_completed": 1,
        "packets_in": 4,
        "packets_out": 4,
        "bytes_in": 400,
        "bytes_out": 400,
    }
    for side, party in (("source", client), ("dest", server)):
        found |= {
            f"{side}_ip": party.address if party.reserved else None,
            f"{side}_name": "-",
            f"{side}_name_aggr": "pub" if party.reserved else f"{party.owner}-6c9f7d8b54-*",
            f"{side}_namespace": party.namespace or "-",
            f"{side}_type": "net" if party.reserved else "wep",
            f"{side}_labels": {"labels": sorted(f"{key}={value}" for key, value in party.labels.items())},
        }
    return found | fields


def text_of(records: Iterable[Record]) -> str:
    """Return records as JSON lines."""
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of ``suggest`` with its output in reach."""

    suggestion: Suggestion
    folder: Path

    @property
    def learned(self) -> tuple[Edge, ...]:
        """Return the learned edges."""
        return tuple(one.edge for one in self.suggestion.learned.judged if one.ruling is Ruling.LEARN)

    @property
    def edges(self) -> tuple[str, ...]:
        """Return the learned edges as text, sorted."""
        return tuple(sorted(str(edge) for edge in self.learned))

    @property
    def unlearned(self) -> dict[str, Reason | None]:
        """Return edges that were not learned, as text, with the reason."""
        return {str(one.edge): one.reason for one in self.suggestion.learned.judged if one.ruling is not Ruling.LEARN}

    @property
    def isolated(self) -> tuple[str, ...]:
        """Return the isolated directions as ``namespace/name direction``, sorted."""
        isolated = [one for one in self.suggestion.learned.intents if one.isolate]
        return tuple(sorted(f"{one.workload} {one.direction}" for one in isolated))

    def peer(self, name: str) -> WorkloadPeer:
        """Return the peer that names the workload ``namespace/name``."""
        choices = self.suggestion.learned.choices
        selector = next(choice.selector for ref, choice in choices.items() if str(ref) == name)
        assert selector is not None, f"nothing selects {name}"
        return WorkloadPeer(selector=selector)

    def intent(self, workload: str, direction: Direction) -> PolicyIntent:
        """Return the one intent of ``namespace/name`` in a direction."""
        known = self.suggestion.learned.intents
        wanted = [one for one in known if (str(one.workload), one.direction) == (workload, direction)]
        assert len(wanted) == 1, f"{len(wanted)} intents of {workload} {direction}"
        return wanted[0]

    def allows(self, workload: str, direction: Direction) -> tuple[Allow, ...]:
        """Return the allows of a workload in a direction."""
        return self.intent(workload, direction).allows

    def policies(self) -> dict[str, str]:
        """Return path -> text of every written policy."""
        return {
            str(path.relative_to(self.folder)): path.read_text("utf-8") for path in sorted(self.folder.rglob("*.yaml"))
        }

    def codes(self) -> set[str]:
        """Return the codes of all diagnostics."""
        return {one.code for one in self.suggestion.diagnostics}


def run(folder: Path, *inputs: Iterable[Record], options: SuggestOptions | None = None) -> Run:
    """Write each input as one file below ``folder``, run ``suggest`` and return what it did."""
    given = folder / "input"
    given.mkdir(parents=True, exist_ok=True)
    paths: list[str | Path] = []
    for number, records in enumerate(inputs):
        path = given / f"flows-{number}.jsonl"
        path.write_text(text_of(records), encoding="utf-8")
        paths.append(path)
    output = folder / "output"
    return Run(suggestion=suggest(paths, output, options or SuggestOptions(workers=0)), folder=output)
