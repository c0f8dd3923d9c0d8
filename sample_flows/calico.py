"""The same estate as Calico Enterprise flow logs: what that format can show of it.

Field names and value forms are those of Tigera's flow log data types. A line is one aggregate of a 5-minute
window: no addresses, no client ports, pod names cut to their generated prefix, networks as ``pub`` or ``pvt``,
service accounts, ICMP types and replies not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sample_flows.estate import START, WORKLOADS, Pod, Workload
from sample_flows.links import GUARDS, LINKS, Link
from sample_flows.scenes import SCANNED, moment, times

WINDOW_SECONDS = 300
# Protocols other than TCP and UDP are numbers, in text.
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "ICMP": "1", "SCTP": "132"}
# What Felix never logs: traffic from a node to its own pods is accepted before any policy is looked at.
UNLOGGED_CLIENTS = ("host",)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a line: name, aggregated name, namespace, type and labels, and the node that may report it."""

    aggregate: str
    namespace: str
    kind: str
    labels: tuple[str, ...] | None
    node: str | None


def pod_end(workload: Workload, pod: Pod) -> End:
    """Return a pod with all its labels, volatile ones included; its name is cut to the generated prefix."""
    labels = workload.labels | pod.shown | pod.hidden
    if len(workload.pods) > 1 and workload.kind == "StatefulSet":  # labels are those that all pods of a line share
        labels = {key: value for key, value in labels.items() if not key.endswith(("/pod-name", "/pod-index"))}
    return End(
        aggregate=f"{pod.generate}*" if pod.generate else pod.name,
        namespace=workload.namespace,
        kind="wep",
        labels=tuple(sorted(f"{key}={value}" for key, value in labels.items())),
        node=pod.node,
    )


def network_end(kind: str) -> End:
    """Return a network: nodes and the API server are private, all else is public. There are no HostEndpoints."""
    return End(aggregate="pub" if kind == "external" else "pvt", namespace="-", kind="net", labels=None, node=None)


def _end(key: str, when: datetime, turn: int) -> End:
    """Return the end that a table's word stands for at that time."""
    if key not in WORKLOADS:
        return network_end(key)
    pods = WORKLOADS[key].alive((when - START).total_seconds() / 3600)
    return pod_end(WORKLOADS[key], pods[turn % len(pods)])


def _policies(place: str, action: str, name: str | None) -> dict[str, list[str]]:
    """Return the policy traces: the namespace profile where no policy selects the end, else one policy.

    A deny is the end of the tier (rule index -1), except where a rule of the policy says so.
    """
    if name is None:
        hit = f"0|__PROFILE__|__PROFILE__.kns.{place}|allow|0"
    else:
        hit = f"0|default|{place}/default.{name}|{action}|{-1 if action == 'deny' and name in GUARDS.values() else 0}"
    return {"all_policies": [hit], "enforced_policies": [hit], "pending_policies": [hit], "transit_policies": []}


@dataclass(slots=True, kw_only=True)
class Line:
    """One aggregate while it is counted."""

    when: int
    reporter: str
    action: str
    source: End
    destination: End
    link: Link
    policy: str | None
    flows: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the line in the order of the documentation."""
        reporting = self.source if self.reporter == "src" else self.destination
        service = self.link.service.split("/") if self.link.service and self.reporter == "src" else None
        answered = self.link.answered and self.action == "allow"
        line: dict[str, Any] = {
            "start_time": self.when,
            "end_time": self.when + WINDOW_SECONDS,
            "host": reporting.node,
            "action": self.action,
            "reporter": self.reporter,
            "proto": PROTOCOLS[self.link.protocol],
        }
        for side, end in (("source", self.source), ("dest", self.destination)):
            line |= {
                f"{side}_ip": None,
                f"{side}_name": "-",
                f"{side}_name_aggr": end.aggregate,
                f"{side}_namespace": end.namespace,
                f"{side}_type": end.kind,
                f"{side}_port": None if side == "source" or self.link.protocol == "ICMP" else self.link.port,
                f"{side}_labels": None if end.labels is None else {"labels": list(end.labels)},
            }
        line |= {
            "dest_service_namespace": service[0] if service else "-",
            "dest_service_name": service[1] if service else "-",
            "dest_service_port_name": "-",
            "dest_service_port": self.link.service_port if service else None,
            "dest_domains": list(self.link.names) if self.link.names and self.reporter == "src" else None,
            "num_flows": self.flows,
            "num_flows_started": self.flows,
            "num_flows_completed": self.flows if answered else 0,
            "packets_in": self.flows * 6 if answered else 0,
            "packets_out": self.flows * (8 if answered else 1),
            "bytes_in": self.flows * 2_310 if answered else 0,
            "bytes_out": self.flows * (1_180 if answered else 60),
            "http_requests_allowed_in": 0,
            "http_requests_denied_in": 0,
            "policies": _policies(reporting.namespace, self.action, self.policy),
        }
        return line


class Log:
    """Counts connections into lines; local to one build."""

    def __init__(self) -> None:
        self._lines: dict[tuple[object, ...], Line] = {}

    def count(
        self, link: Link, when: datetime, turn: int, reporter: str, action: str = "allow", policy: str | None = None
    ) -> None:
        """Count one connection as one end reports it; nothing if that end is not a pod."""
        source = _end(link.client, when, turn)
        destination = _end(link.server, when, turn + 1 if link.client in WORKLOADS else turn)
        if (source if reporter == "src" else destination).node is None:
            return
        start = int(when.timestamp()) // WINDOW_SECONDS * WINDOW_SECONDS
        key = (
            start,
            reporter,
            action,
            source.aggregate,
            source.namespace,
            destination.aggregate,
            destination.namespace,
            link.protocol,
            link.port,
        )
        fresh = Line(
            when=start,
            reporter=reporter,
            action=action,
            source=source,
            destination=destination,
            link=link,
            policy=policy,
        )
        self._lines.setdefault(key, fresh).flows += 1

    def lines(self) -> list[str]:
        """Return the log, one compact JSON object a line, in the order of time."""
        order = sorted(self._lines, key=lambda key: tuple(str(part) for part in key))
        return [json.dumps(self._lines[key].as_json(), separators=(",", ":")) for key in order]


def flow_log() -> list[str]:
    """Return the Calico flow log of the estate: true links, the conflict, the scan and the explicit deny."""
    log = Log()
    for row, link in enumerate(LINKS):
        if link.client in UNLOGGED_CLIENTS:
            continue
        guards = {"src": GUARDS.get((link.client, "egress")), "dst": GUARDS.get((link.server, "ingress"))}
        for turn, when in enumerate(times(link, row)):
            for reporter in ("src", "dst"):
                log.count(link, when, turn, reporter, policy=guards[reporter])
    replica = Link(client="data/postgres-read", server="data/postgres", protocol="TCP", port=5432)
    cart = Link(client="shop/cart", server="payments/payment-api", protocol="TCP", port=8443, answered=False)
    for hour in (0.0056, 11.9, 22.3):
        for reporter in ("src", "dst"):
            log.count(replica, moment(hour), 0, reporter)
    for hour in (11.0, 20.5):
        log.count(cart, moment(hour), 0, "src")
        log.count(cart, moment(hour), 0, "dst", "deny", "payment-api-ingress")
    for turn, port in enumerate(SCANNED):
        scan = Link(client="payments/toolbox", server="data/postgres", protocol="TCP", port=port, answered=False)
        log.count(scan, moment(8.4) + timedelta(milliseconds=210 * turn), 0, "src", "deny", "toolbox-egress")
    ssh = Link(client="payments/fraud-check", server="external", protocol="TCP", port=22, answered=False)
    log.count(ssh, moment(10.1), 0, "src", "deny", "no-ssh-outside")
    return log.lines()
