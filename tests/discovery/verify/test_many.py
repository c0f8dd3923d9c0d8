"""Tests of discovery.verify.many: a replay in columns is the replay of each edge alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.model.edge import Edge, Protocol
from discovery.model.inventory import NamedPort
from discovery.model.workload import EndpointKind, Labels
from discovery.verify import replay as module
from discovery.verify.endpoints import Ends
from discovery.verify.evaluate import Evaluator
from discovery.verify.many import decide_many
from discovery.verify.read import read_policies
from discovery.verify.recorded import Recorded
from discovery.verify.replay import Fate, replay
from discovery.verify.use import RuleKey, Use
from tests.discovery.learn.builders import edge, outside, ping
from tests.discovery.verify.builders import platform, version
from tests.discovery.verify.test_replay import POLICY

OLD = replace(version("a"), labels=Labels.of({"app": "old"}))
VERSIONS = (version("a"), OLD, version("b"), version("web"))
RECORDED = Recorded(ports={version("web").ref: (NamedPort(name="http", protocol="TCP", number=8080),)})
EDGES: list[Edge] = [
    edge("a", "web", 80),
    edge("b", "web", 80),
    edge("web", "a", 80),
    edge(outside("192.0.2.1", "192.0.2.2"), "web", 8080),
    edge(outside("192.0.2.1", "198.51.100.1"), "web", 8080),
    edge(replace(outside("192.0.2.1"), kind=EndpointKind.UNRESOLVED), "web", 8080),
    edge("gone", "web", 80),
    replace(edge("b", "web", 80), port=None, collapsed_ports=7),
    replace(edge("b", "web", 80), protocol=None),
    edge("b", "web", 80, protocol=Protocol.UDP),
    ping("b", "web"),
]


def test_the_replay_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fates, sides, probes and the uses of rules: of several versions, addresses, names of ports, and what is no single
    port or nobody knows.
    """
    evaluator = Evaluator(read_policies({"p.yaml": POLICY}).policies, platform("kubernetes=1.31"))
    alone = replay(EDGES, VERSIONS, evaluator, RECORDED)
    monkeypatch.setattr(module, "COLUMNS_FROM", 0)
    assert replay(EDGES, VERSIONS, evaluator, RECORDED) == alone
    assert {one.fate for one in alone.edges} == set(Fate)


def test_what_is_decided() -> None:
    """Edges of no single port and of unknown ends are left to be looked at alone."""
    evaluator = Evaluator(read_policies({"p.yaml": POLICY}).policies, platform("kubernetes=1.31"))
    uses: dict[RuleKey, Use] = {}
    covered, decided = decide_many(EDGES, Ends(VERSIONS, RECORDED), evaluator, uses)
    assert decided == {0, 1, 2, 3, 4, 5, 9, 10}
    assert covered == {2, 3}
