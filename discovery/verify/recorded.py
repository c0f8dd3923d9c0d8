"""What was recorded beside the edges, and helps to decide about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from discovery.model.inventory import NamedPort
from discovery.model.requests import ConnectionKey, Request
from discovery.model.workload import WorkloadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """``ports`` are those that containers name. ``requests`` are those of layer 7 that were let through on the
    connections of edges; None among them stands for further ones that are not listed. ``names`` are the DNS names that
    addresses were answers to. ``all_pods`` says that every pod is known, so that an address of nobody knows whom is
    none.
    """

    ports: Mapping[WorkloadRef, tuple[NamedPort, ...]] = field(default_factory=dict)
    requests: Mapping[ConnectionKey, tuple[Request | None, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all_pods: bool = True
