"""Counts what the rows of a batch show, from the columns of its builder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discovery.flows.batch import BatchBuilder, Meaning
from discovery.flows.identity import EndpointInfo
from discovery.model.capture import Sightings
from discovery.model.edge import Protocol
from discovery.model.workload import EndpointKind

_PORTED = frozenset(one.value for one in Protocol if one.has_ports)
_PODS = (EndpointKind.WORKLOAD, EndpointKind.UNRESOLVED)


def sightings(builder: BatchBuilder, server_ports: int) -> Sightings:
    """Return what the waiting rows show; ``server_ports`` is the number of rows with one."""
    meanings: list[Meaning] = builder.meanings.values
    packed = builder.packed()
    rows = np.bincount(packed["meaning"], minlength=len(meanings))
    infos: list[EndpointInfo] = builder.endpoints.values
    ends = np.bincount(packed["source"], minlength=len(infos)) + np.bincount(packed["target"], minlength=len(infos))

    def having(test: Callable[[Meaning], bool]) -> int:
        return int(rows[[number for number, meaning in enumerate(meanings) if test(meaning)]].sum())

    pods = [number for number, info in enumerate(infos) if info.kind in _PODS]
    return Sightings(
        source=builder.source,
        records=len(builder),
        verdicts=having(lambda one: one.verdict != "unknown"),
        protocols=having(lambda one: one.protocol is not None),
        ports=server_ports + having(lambda one: one.protocol is not None and one.protocol not in _PORTED),
        answers=having(lambda one: one.establishment in ("established", "refused")),
        openers=having(lambda one: one.is_reply is not None or _is_told(one)),
        drops=having(lambda one: one.verdict in ("denied", "fault")),
        pod_ends=int(ends[pods].sum()),
        labelled_ends=int(ends[[number for number in pods if infos[number].labels]].sum()),
        client_reports=having(lambda one: one.reporter == "client"),
        server_reports=having(lambda one: one.reporter == "server"),
        l7=len(builder.sparse.get("l7_protocol", ())),
        connections=len(builder.sparse.get("connections", ())),
    )


def _is_told(one: Meaning) -> bool:
    """Say whether a delivered record tells by the source's word who opened its connection."""
    return one.direction_evidence == "flag" and one.verdict in ("accepted", "audit")
