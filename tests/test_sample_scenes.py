"""The scenes of the shop estate that need more than its edges: an inventory, existing policies, a resolver on the node.

Most tests run twice: on the log alone, and with the inventory of the estate. The truth was written by hand.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.suggest import suggest
from discovery.learn.judge import Reason, Ruling
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import CidrPeer, Dialect, EntityPeer, Origin, Peer
from discovery.verify.read import read_policies
from discovery.verify.rules import CidrMatch
from tests.sample import (
    REASONS,
    already_isolated,
    both_runs,
    edge_key,
    end_name,
    existing_isolation,
    read_truth,
    ruled,
    truth_key,
)


@pytest.fixture(params=[False, True], ids=["log", "inventory"])
def informed(request: pytest.FixtureRequest) -> bool:
    """Return whether the run has the inventory."""
    return bool(request.param)


@pytest.fixture
def truth(repo: Path, informed: bool) -> Any:
    """Return the truth of the estate as the run can know it."""
    return read_truth(repo, informed=informed)


@pytest.fixture
def plain_truth(repo: Path) -> Any:
    """Return the truth of the estate as the log alone tells it."""
    return read_truth(repo, informed=False)


@pytest.fixture(scope="module")
def runs(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Suggestion]:
    """Return what the log suggests: alone, and with the inventory."""
    return both_runs(repo, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def learned(runs: dict[bool, Suggestion], informed: bool) -> Suggestion:
    """Return what is suggested, without or with the inventory."""
    return runs[informed]


def peer_text(peer: Peer) -> str:
    """Return a peer in the truth's words."""
    if isinstance(peer, EntityPeer):
        return peer.entity.value
    return ", ".join(peer.prefixes) if isinstance(peer, CidrPeer) else str(peer.selector)


def allows_of(learned: Suggestion, workload: str, direction: Direction) -> set[tuple[str, str, str, Origin]]:
    """Return what the intent of one direction allows: peer, protocol, ports and why."""
    return {
        (
            peer_text(allow.peer),
            allow.protocol.value,
            str(allow.ports),
            allow.origin,
        )
        for intent in learned.learned.intents
        if str(intent.workload) == workload and intent.direction is direction
        for allow in intent.allows
    }


def test_the_platform_is_told_by_the_inventory(runs: dict[bool, Suggestion]) -> None:
    """Cilium 1.18 and Kubernetes 1.31 are read from the agents and nodes of the inventory."""
    told = {one.platform.dialect: one.platform.version for one in runs[True].rendered}
    assert (told[Dialect.CILIUM], told[Dialect.KUBERNETES]) == ((1, 18), (1, 31))


def test_host_network_pods_are_no_workloads(runs: dict[bool, Suggestion], repo: Path) -> None:
    """Nothing selects a pod in the host network, none of them gets a policy, and as a peer it is its node."""
    names = {row["workload"] for row in read_truth(repo, informed=True)["host_network"]}
    for learned in runs.values():
        selected = {str(ref) for ref, choice in learned.learned.choices.items() if choice.selector is not None}
        assert names & selected == set()
        assert (
            names & {end_name(end) for one in learned.learned.judged for end in (one.edge.client, one.edge.server)}
            == set()
        )
        assert names & {str(one.workload) for one in learned.learned.intents} == set()
        scrapes = {one[:3] for one in allows_of(learned, "monitoring/prometheus", Direction.EGRESS)}
        assert {("host", "TCP", "9100"), ("remote-node", "TCP", "9100")} <= scrapes


def test_volatile_labels_are_in_no_selector(learned: Suggestion, truth: Any) -> None:
    """A key that the truth calls volatile selects nothing: not as a subject, not as a peer, in no dialect."""
    keys = {key for row in truth["workloads"] for key in row.get("volatile", ())}
    assert "cost-center" in keys
    for path in sorted(learned.folder.rglob("*.yaml")):
        for key in keys:
            assert not re.search(rf"(?<![\w./-]){re.escape(key)}(?![\w./-])", path.read_text("utf-8")), (path.name, key)


def test_dns_goes_to_the_resolver_that_was_asked(learned: Suggestion, truth: Any) -> None:
    """Those who ask NodeLocal DNS are allowed to ask the node, not coredns; TCP is declared beside what was seen."""
    for workload in truth["dns_additions"]["node_local"]:
        port_53 = {one for one in allows_of(learned, workload, Direction.EGRESS) if one[2] == "53"}
        assert port_53 == {("host", "UDP", "53", Origin.OBSERVED), ("host", "TCP", "53", Origin.DNS)}
    others = {*truth["dns_additions"]["tcp"], *truth["dns_additions"]["both"]} - set(
        truth["dns_additions"]["node_local"]
    )
    for workload in others:
        assert not [
            one for one in allows_of(learned, workload, Direction.EGRESS) if one[0] == "host" and one[2] == "53"
        ]


def test_declared_additions_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """Beside DNS nothing is added but what the inventory declares: the API server's calls, clients of Services."""
    found = {
        (str(intent.workload), intent.direction.value, *allow)
        for intent in learned.learned.intents
        for allow in allows_of(learned, str(intent.workload), intent.direction)
        if allow[3] not in (Origin.OBSERVED, Origin.DNS) and intent.isolate
    }
    assert found == {
        (row["workload"], row["direction"], row["peer"], row["protocol"], str(row["port"]), Origin(row["origin"]))
        for row in truth["declared_additions"]
    }


def test_system_parts_get_no_policy(learned: Suggestion) -> None:
    """metrics-server is called by the API server and is part of the platform: no file is about kube-system."""
    assert [path for path in learned.folder.rglob("*.yaml") if path.parent.name == "kube-system"] == []


def test_nodes_by_address_are_all_nodes(learned: Suggestion, truth: Any, informed: bool) -> None:
    """Calico names remote nodes by address: those seen, and with an inventory every node of the cluster."""
    path = "calico/edge/deployment-gateway.yaml"
    policies = read_policies({path: (learned.folder / path).read_text("utf-8")}).policies
    prefixes = {
        prefix
        for policy in policies
        if policy.direction is Direction.INGRESS
        for rule in policy.rules
        for peer in rule.peers
        if isinstance(peer, CidrMatch)
        for prefix in peer.prefixes
    }
    seen = truth["node_addresses"]["by_log"]["edge/gateway ingress"]
    wanted = truth["node_addresses"]["by_inventory"] if informed else seen
    assert {str(address) for prefix in prefixes for address in ip_network(prefix)} == set(wanted)


def test_a_bare_address_is_what_the_inventory_proves(learned: Suggestion, truth: Any, informed: bool) -> None:
    """A record of an address is resolved from the pod's creation on; an older one stays undecided."""
    (row,) = [row for row in truth["not_learned"] if row["reason"] == "peer-unknown"]
    undecided = [
        edge
        for edge, reason in ruled(learned, Ruling.UNDECIDED)
        if reason is Reason.PEER and end_name(edge.client) == row["client"]
    ]
    assert [(end_name(edge.server), edge.port) for edge in undecided] == [("unresolved", int(row["ports"]))]
    found = {edge_key(edge) for edge, _ in ruled(learned, Ruling.LEARN)}
    assert (("edge/device-sync", "edge/device-registry", "TCP", "8200") in found) is informed


def test_a_rare_edge_is_learned(learned: Suggestion) -> None:
    """The one connection of an init container is learned like any other, and told as little evidence."""
    (edge,) = [
        edge
        for edge, _ in ruled(learned, Ruling.LEARN)
        if (end_name(edge.client), end_name(edge.server)) == ("platform/accounts", "data/postgres")
    ]
    assert (edge.protocol, edge.port) == (Protocol.TCP, 5432)
    assert "platform/accounts -> data/postgres TCP/5432" in (learned.folder / "summary.md").read_text("utf-8")


@pytest.mark.parametrize("with_existing", [False, True], ids=["log", "existing"])
def test_audit_of_an_explicit_deny(repo: Path, tmp_path: Path, plain_truth: Any, with_existing: bool) -> None:
    """An AUDIT record is reviewed as audit, and as an explicit deny where the existing policies show the rule.

    Only the connection that the deny rule names changes its reason.
    """
    options = SuggestOptions(workers=0, existing=repo / "sample_flows" / "existing" if with_existing else None)
    done = suggest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "out", options)
    found = {
        (end_name(edge.client), end_name(edge.server)): reason
        for edge, reason in ruled(done, Ruling.REVIEW)
        if reason in (Reason.AUDIT, Reason.EXPLICIT_DENY)
    }
    assert found == {
        (row["client"], row["server"]): REASONS[row.get("with_existing", "audit") if with_existing else "audit"]
        for row in plain_truth["not_learned"]
        if row["reason"] == "audit"
    }
    learned = {edge_key(edge) for edge, _ in ruled(done, Ruling.LEARN)}
    assert learned == set(map(truth_key, plain_truth["edges"]))


def test_given_policies_do_not_hide_the_isolation_that_the_log_shows(
    repo: Path, tmp_path: Path, plain_truth: Any
) -> None:
    """Rule 7: a folder of existing policies may be incomplete, and the log still shows who is isolated."""
    options = SuggestOptions(workers=0, existing=repo / "sample_flows" / "existing")
    done = suggest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "out", options)
    isolated = {(str(one.workload), one.direction.value) for one in done.learned.intents if one.isolate}
    # Of this one the given policy says all, on a platform that enforces it: nothing is left to be written.
    said = {("edge/admin-console", "ingress")}
    assert existing_isolation(plain_truth) & isolated - already_isolated(done) == said
    cilium = next(one for one in done.rendered if one.platform.dialect is Dialect.CILIUM)
    assert said & {(str(one.workload), side.value) for one in cilium.artifacts for side in one.isolates} == set()


def test_deny_rules_that_were_evaluated_are_not_called_unevaluated(repo: Path, tmp_path: Path) -> None:
    """What found an explicit deny does not say that deny rules are not evaluated."""
    options = SuggestOptions(workers=0, existing=repo / "sample_flows" / "existing")
    done = suggest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "out", options)
    assert [one.message for one in done.diagnostics if one.code == "existing-not-evaluated"] == []


def test_node_local_dns_is_one_address(runs: dict[bool, Suggestion], plain_truth: Any) -> None:
    """By address, NodeLocal DNS is its link-local address alone: nobody asked the nodes themselves, and nothing else
    of the estate was seen to use that address.
    """
    local = f"{plain_truth['node_local_resolver']['address']}/32"
    for learned in runs.values():
        using: dict[str, set[str]] = {}
        for path in sorted((learned.folder / "calico").rglob("*.yaml")):
            spec = yaml.safe_load(path.read_text("utf-8"))["spec"]
            for rule in spec.get("egress", []):
                nets = rule["destination"].get("nets", [])
                if (53 in rule["destination"].get("ports", []) and nets) or local in nets:
                    using.setdefault(f"{path.parent.name}/{path.stem}", set()).update(nets)
        assert using == {
            f"{workload.split('/')[0]}/deployment-{workload.split('/')[1]}": {local}
            for workload in plain_truth["dns_additions"]["node_local"]
        }
