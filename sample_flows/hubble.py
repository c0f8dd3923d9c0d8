"""Records as Hubble's exporter writes them (Cilium 1.18): parties, layers and the kinds of events.

The field names and the meaning of each event are those of Cilium's ``flow.proto``, ``observer.proto`` and
``pkg/hubble/parser``; every record has the wrapper ``{"flow": ..., "node_name": ..., "time": ...}``.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sample_flows.estate import APISERVER, CLUSTER, HOST_ADDRESSES, NODES, START, Pod, Workload

# Trace observation point -> event_type.sub_type (a zero is left out, as protobuf-JSON does).
POINTS = {"TO_ENDPOINT": 0, "TO_PROXY": 1, "TO_HOST": 2, "TO_STACK": 3, "TO_NETWORK": 11}
DROPS = {"POLICY_DENIED": 133, "UNSUPPORTED_L3_PROTOCOL": 139, "CT_MAP_INSERTION_FAILED": 155, "POLICY_DENY": 181}
TRACE, DROP, POLICY_VERDICT, L7 = 4, 1, 5, 129


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end of a flow. ``node`` is the node whose agent manages it, or None outside the cluster.

    ``local`` is the endpoint as that agent reports it, ``remote`` as every other agent does: without endpoint ID
    and without workloads.
    """

    address: str
    node: str | None
    local: dict[str, Any]
    remote: dict[str, Any]
    names: tuple[str, ...] = ()

    def seen_from(self, node: str) -> dict[str, Any]:
        """Return the endpoint as the agent on ``node`` reports it."""
        return self.local if node == self.node else self.remote


def pod_party(workload: Workload, pod: Pod, *, ipv6: bool = False) -> Party:
    """Return a pod as a party; raises ``ValueError`` when it has no IPv6 address and one is asked for."""
    address = pod.ipv6 if ipv6 else pod.ipv4
    if address is None:
        raise ValueError(f"{pod.name} has no IPv6 address")
    labels = {
        **workload.labels,
        **pod.shown,
        "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": workload.namespace,
        "io.cilium.k8s.policy.cluster": CLUSTER,
        "io.cilium.k8s.policy.serviceaccount": workload.service_account,
        "io.kubernetes.pod.namespace": workload.namespace,
    }
    remote = {
        "identity": pod.identity,
        "cluster_name": CLUSTER,
        "namespace": workload.namespace,
        "labels": sorted(f"k8s:{key}={value}" for key, value in labels.items()),
        "pod_name": pod.name,
    }
    owner = {"workloads": [{"name": workload.name, "kind": workload.kind}]}
    return Party(
        address=address,
        node=pod.node,
        local={"ID": int(pod.ipv4.rsplit(".", 1)[1]) + 900} | remote | owner,
        remote=remote,
    )


def reserved_party(kind: str, address: str, names: tuple[str, ...] = ()) -> Party:
    """Return a reserved entity as a party. The cluster is dual stack, so the world is world-ipv4 and world-ipv6.

    An address with DNS names has a node-local identity with the ``fqdn:`` label of the existing rule.
    """
    world = "reserved:world-ipv6" if ":" in address else "reserved:world-ipv4"
    identity, labels = {
        "host": (1, ["reserved:host"]),
        "remote-node": (6, ["reserved:remote-node"]),
        "kube-apiserver": (7, ["reserved:kube-apiserver", "reserved:remote-node"]),
        "external": (10 if ":" in address else 9, [world]),
        "unknown": (0, ["reserved:unknown"]),
    }[kind]
    if names:
        identity, labels = 16_777_230, [*(f"fqdn:{name}" for name in names), world]
    endpoint = ({"identity": identity} if identity else {}) | {"labels": labels}
    return Party(address=address, node=None, local=endpoint, remote=endpoint, names=names)


def node_party(kind: str, other: Party, turn: int, *, client: bool) -> Party:
    """Return a host, remote node or API server that talks with a pod; remote nodes take turns."""
    if other.node is None:
        raise ValueError("a node talks with a pod")
    if kind == "kube-apiserver":
        return reserved_party(kind, APISERVER)
    if kind == "host":
        return reserved_party(kind, HOST_ADDRESSES[other.node] if client else NODES[other.node])
    others = [address for node, address in sorted(NODES.items()) if node != other.node]
    return reserved_party(kind, others[turn % len(others)])


def layer4(protocol: str, ports: tuple[int, int], flags: tuple[str, ...] = (), icmp_type: int = 0) -> dict[str, Any]:
    """Return the ``l4`` object; ports are (source, destination)."""
    if protocol in ("ICMPv4", "ICMPv6"):
        return {protocol: {"type": icmp_type} if icmp_type else {}}
    body: dict[str, Any] = {"source_port": ports[0], "destination_port": ports[1]}
    if flags:
        body["flags"] = dict.fromkeys(flags, True)
    return {protocol: body}


def stamp(when: datetime) -> str:
    """Return a protobuf-JSON timestamp with nanoseconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def _ethernet(address: str) -> str:
    """Return a locally administered MAC address made from the last parts of an address."""
    digits = uuid.uuid5(uuid.NAMESPACE_URL, f"mac:{address}").hex
    return "02:" + ":".join(digits[i : i + 2] for i in range(0, 10, 2))


def _summary(l4: dict[str, Any]) -> str:
    """Return the deprecated one-line summary that agents still write."""
    protocol, body = next(iter(l4.items()))
    if protocol == "TCP":
        return "TCP Flags: " + ", ".join(body.get("flags", ()))
    kinds = {
        ("ICMPv4", 8): " EchoRequest",
        ("ICMPv4", 0): " EchoReply",
        ("ICMPv6", 133): " RouterSolicitation",
        ("ICMPv6", 135): " NeighborSolicitation",
    }
    return str(protocol) + kinds.get((protocol, body.get("type", 0)), "")


class Recorder:
    """Collects records and hands out client ports; the only state of a build, and local to it."""

    def __init__(self) -> None:
        self._records: list[tuple[datetime, int, dict[str, Any]]] = []
        self._connections = 0

    def client_port(self) -> int:
        """Return the next client port: each once, in a fixed order, all in the Linux ephemeral range."""
        self._connections += 1
        return 32_768 + self._connections * 193 % 28_001

    def add(self, when: datetime, node: str, source: Party, destination: Party, **fields: Any) -> None:
        """Add one flow record that the agent on ``node`` wrote; ``fields`` complete the flow object."""
        identity = f"{stamp(when)} {node} {len(self._records)}"
        version = "IPv6" if ":" in destination.address else "IPv4"
        flow: dict[str, Any] = {
            "time": stamp(when),
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, identity)),
            "verdict": fields.pop("verdict", "FORWARDED"),
        }
        if fields["event_type"]["type"] != L7:
            flow["ethernet"] = {"source": _ethernet(source.address), "destination": _ethernet(destination.address)}
            flow["Summary"] = _summary(fields["l4"])
        flow |= {
            "IP": {"source": source.address, "destination": destination.address, "ipVersion": version},
            "source": source.seen_from(node),
            "destination": destination.seen_from(node),
            "Type": "L3_L4",
            "node_name": f"{CLUSTER}/{node}",
        }
        if source.names:
            flow["source_names"] = list(source.names)
        if destination.names:
            flow["destination_names"] = list(destination.names)
        if fields.get("is_reply"):
            flow["reply"] = True
        self._records.append((when, len(self._records), flow | fields))

    def lines(self) -> list[str]:
        """Return the export: one compact JSON object a line, in the order of time, escaped as Go's encoder does."""
        out = []
        for when, _, flow in sorted(self._records, key=lambda record: record[:2]):
            if when < START:
                raise ValueError(f"{stamp(when)} lies before the window")
            event = {"flow": flow, "node_name": flow["node_name"], "time": flow["time"]}
            out.append(encode(event))
        return out


def encode(event: dict[str, Any]) -> str:
    """Return one export line; ``<``, ``>`` and ``&`` are escaped as Go's JSON encoder does."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def trace(point: str, *, reply: bool | None, direction: str | None, reason: str | None) -> dict[str, Any]:
    """Return the fields of a trace event; what the agent could not tell is left out."""
    sub_type = POINTS[point]
    fields: dict[str, Any] = {
        "event_type": {"type": TRACE} | ({"sub_type": sub_type} if sub_type else {}),
        "trace_observation_point": point,
    }
    if direction is not None:
        fields["traffic_direction"] = direction
    if reply is not None:
        fields["is_reply"] = reply
    if reason is not None:
        fields["trace_reason"] = reason
    return fields


def dropped(reason: str, direction: str) -> dict[str, Any]:
    """Return the fields of a drop event; like all drops it does not say whether it is a reply."""
    number = DROPS[reason]
    return {
        "verdict": "DROPPED",
        "drop_reason": number,
        "drop_reason_desc": reason,
        "event_type": {"type": DROP, "sub_type": number},
        "traffic_direction": direction,
        "file": {"name": "bpf_lxc.c", "line": 1498},
    }


def policy(name: str, namespace: str, kind: str = "CiliumNetworkPolicy") -> dict[str, Any]:
    """Return one entry of ``*_allowed_by`` or ``*_denied_by``."""
    place = {"namespace": namespace} if namespace else {}
    derived = [f"k8s:io.cilium.k8s.policy.derived-from={kind}", f"k8s:io.cilium.k8s.policy.name={name}"]
    return {"name": name} | place | {"labels": derived, "revision": "14", "kind": kind}


def judged(verdict: str, direction: str, **correlated: Any) -> dict[str, Any]:
    """Return the fields of a policy-verdict event; a denied one says nothing about replies."""
    fields: dict[str, Any] = {
        "verdict": verdict,
        "event_type": {"type": POLICY_VERDICT},
        "traffic_direction": direction,
        "policy_match_type": 0 if verdict in ("DROPPED", "AUDIT") else 2,
    }
    if not fields["policy_match_type"]:
        del fields["policy_match_type"]
    if verdict != "DROPPED":
        fields["is_reply"] = False
    return fields | correlated


def later(when: datetime, microseconds: int) -> datetime:
    """Return a time a little later."""
    return when + timedelta(microseconds=microseconds)
