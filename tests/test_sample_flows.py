"""The shop estate against its hand-written truth: what is learned, what is not, what is isolated, what is written.

The truth and the expected manifests were written by hand, without looking at any output; nothing here refreshes them.
Most tests run twice: on the log alone, and with the inventory of the estate. What only the latter tells is marked in
the truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from discovery.app.ingest import ingest
from discovery.app.options import IngestOptions, SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.suggest import suggest
from discovery.flows.addresses import bounding_prefix
from discovery.flows.lake import Lake
from discovery.learn.judge import Reason, Ruling
from discovery.learn.peers import cover
from discovery.model.edge import Direction, Edge, Endpoint, Protocol
from discovery.model.intent import CidrPeer, Dialect, EntityPeer, Origin
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Labels
from discovery.verify.read import read_policies
from discovery.verify.rules import CidrMatch, EntityMatch, PeerMatch, PodMatch, ReadPolicy
from sample_flows import build

REASONS = {
    "denied": Reason.DENIED,
    "conflict": Reason.CONFLICT,
    "audit": Reason.AUDIT,
    "refused": Reason.REFUSED,
    "unanswered": Reason.UNANSWERED,
    "fault": Reason.FAULT,
    "neighbour-noise": Reason.LINK_LOCAL,
    "direction-unknown": Reason.DIRECTION,
    "peer-unknown": Reason.PEER,
    "explicit-deny": Reason.EXPLICIT_DENY,
}

SAMPLE = Path(__file__).parent.parent / "sample_flows"
# The manifests, and whether the run that they are compared with has the inventory; the older ones hold either way.
EXPECTED = sorted(
    (str(path.relative_to(SAMPLE / "expected")), informed)
    for path in (SAMPLE / "expected").rglob("*.yaml")
    for informed in (False, True)
    if informed or "sample_flows/inventory.yaml" not in path.read_text("utf-8").partition("apiVersion")[0]
)

Key = tuple[str, str, str, str]
Content = dict[tuple[PeerMatch, Protocol], tuple[PortSet, frozenset[int]]]


@pytest.fixture(params=[False, True], ids=["log", "inventory"])
def informed(request: pytest.FixtureRequest) -> bool:
    """Return whether the run has the inventory."""
    return bool(request.param)


def read_truth(repo: Path, *, informed: bool) -> Any:
    """Return the truth of the estate, without what only an inventory tells where there is none."""
    told = yaml.safe_load((repo / "sample_flows" / "truth.yaml").read_text("utf-8"))

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: known(member) for key, member in value.items()}
        if isinstance(value, list):
            return [known(one) for one in value if informed or not isinstance(one, dict) or "only_with" not in one]
        return value

    return known(told)


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
    """Return what the Hubble log of the estate suggests, with the addresses of clients as they are: alone, and with
    the inventory.
    """
    return {
        informed: suggest(
            repo / "sample_flows" / "shop-hubble.jsonl",
            tmp_path_factory.mktemp("shop"),
            SuggestOptions(
                workers=0,
                show_addresses=True,
                inventory=(repo / "sample_flows" / "inventory.yaml",) if informed else (),
            ),
        )
        for informed in (False, True)
    }


@pytest.fixture
def learned(runs: dict[bool, Suggestion], informed: bool) -> Suggestion:
    """Return what is suggested, without or with the inventory."""
    return runs[informed]


def end_name(end: Endpoint) -> str:
    """Return an end in the truth's words."""
    if end.workload is not None:
        return str(end.workload)
    return "external" if end.kind is EndpointKind.EXTERNAL else end.kind.value


def edge_key(edge: Edge) -> Key:
    """Return what identifies an edge, in the truth's words."""
    content = edge.port if edge.protocol is not None and edge.protocol.has_ports else f"type {edge.icmp_type}"
    return end_name(edge.client), end_name(edge.server), str(edge.protocol), str(content)


def truth_key(row: Mapping[str, Any]) -> Key:
    """Return what identifies an edge of the truth."""
    content = row["port"] if "port" in row else f"type {row['icmp_type']}"
    return row["client"], row["server"], row["protocol"], str(content)


def ruled(suggestion: Suggestion, *rulings: Ruling) -> list[tuple[Edge, Reason | None]]:
    """Return the edges with one of the rulings."""
    return [(one.edge, one.reason) for one in suggestion.learned.judged if one.ruling in rulings]


def test_the_logs_are_what_the_script_writes(repo: Path, tmp_path: Path) -> None:
    """The committed logs and inventory are the bytes that ``python -m sample_flows.build`` writes."""
    build.write(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["inventory.yaml", "shop-calico.jsonl", "shop-hubble-lossy.jsonl", "shop-hubble.jsonl"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (repo / "sample_flows" / name).read_bytes()


def test_learned_edges_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """Exactly the true edges are learned, with the evidence that the log offers for their direction."""
    found = {edge_key(edge): edge for edge, _ in ruled(learned, Ruling.LEARN)}
    wanted = {truth_key(row): row for row in truth["edges"]}
    assert sorted(found) == sorted(wanted)
    told = {key: (edge.evidence_class.value, edge.establishment.value) for key, edge in found.items()}
    meant = {key: (row["evidence"], row.get("establishment", "established")) for key, row in wanted.items()}
    assert told == meant


def test_external_ends_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """Outside addresses, their number, their names and their cover are those of the truth."""
    found = {edge_key(edge): edge for edge, _ in ruled(learned, Ruling.LEARN)}
    for row in truth["edges"]:
        edge = found[truth_key(row)]
        side = edge.server if row["server"] == "external" else edge.client if row["client"] == "external" else None
        if side is None:
            continue
        assert list(cover(side.addresses)) == row["cover"]
        assert side.distinct_addresses == row.get("distinct_addresses", len(row.get("addresses", ())))
        assert sorted(side.addresses) == sorted(row.get("addresses", side.addresses))
        assert list(side.names) == row.get("names", [])


def test_entity_addresses_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """The addresses of nodes and of the API server are those of the truth, where it tells them."""
    found = {edge_key(edge): edge for edge, _ in ruled(learned, Ruling.LEARN)}
    for row in truth["edges"]:
        edge = found[truth_key(row)]
        for side, end in (("client", edge.client), ("server", edge.server)):
            if "addresses" in row and row[side] in ("host", "remote-node", "kube-apiserver"):
                assert sorted(end.addresses) == sorted(row["addresses"])


def test_what_is_not_learned_is_the_truth(learned: Suggestion, truth: Any) -> None:
    """Nothing else was seen but what the truth lists as not to be learned, for the reason that it gives."""
    wanted: set[tuple[str, str, str, Reason]] = set()
    for row in truth["not_learned"]:
        clients, servers = (row[side] if isinstance(row[side], list) else [row[side]] for side in ("client", "server"))
        for client in clients:
            for server in servers:
                if client != server:
                    wanted.add((client, server, row["protocol"], REASONS[row["reason"]]))
    found = {
        (end_name(edge.client), end_name(edge.server), str(edge.protocol), reason)
        for edge, reason in ruled(learned, Ruling.REVIEW, Ruling.UNDECIDED)
    }
    multicast = {one for one in wanted if one[1].startswith("ff02")}
    assert {one for one in found if one[1] not in ("external", "unresolved", "remote-node")} == {
        one for one in wanted - multicast if one[1] not in ("external", "unresolved")
    }
    for client, _, protocol, reason in multicast:
        assert [one for one in found if (one[0], one[2], one[3]) == (client, protocol, reason)]
    outside = {
        (row["client"], REASONS[row["reason"]], *row["addresses"])
        for row in truth["not_learned"]
        if row["server"] == "external"
    }
    assert outside == {
        (end_name(edge.client), reason, *edge.server.addresses)
        for edge, reason in ruled(learned, Ruling.REVIEW, Ruling.UNDECIDED)
        if edge.server.kind is EndpointKind.EXTERNAL and edge.protocol is not Protocol.ICMPV6
    }


def test_scan_collapses_to_one_edge(learned: Suggestion) -> None:
    """The scan of sixty ports is one reviewed edge that counts its ports."""
    scan = [edge for edge, _ in ruled(learned, Ruling.REVIEW) if end_name(edge.client) == "payments/toolbox"]
    assert [(end_name(edge.server), edge.collapsed_ports) for edge in scan] == [("data/postgres", 60)]


def test_selectors_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """Each workload is selected by the labels, or the service account, that the truth says."""
    found = {}
    hosted = {row["workload"] for row in truth["host_network"]}
    for ref, choice in learned.learned.choices.items():
        if str(ref) in hosted:
            continue  # held by a test of its own
        assert choice.selector is not None, ref
        found[str(ref)] = (ref.kind, choice.selector.labels, choice.selector.service_account)
    wanted = {}
    for row in truth["workloads"]:
        told = row["selector"] if row["selector"] is not None else row["selector_with_service_account"]["labels"]
        account = row.get("selector_with_service_account", {}).get("service_account")
        wanted[f"{row['namespace']}/{row['name']}"] = (row["kind"], Labels.of(told), account)
    assert found == wanted


def test_isolated_directions_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """A direction is isolated exactly where an edge was learned and the truth does not forbid it."""
    forbidden = {(row["workload"], row["direction"]) for row in truth["must_not_isolate"]}
    touched = {(row["client"], "egress") for row in truth["edges"]} | {
        (row["server"], "ingress") for row in truth["edges"]
    }
    own = {f"{row['namespace']}/{row['name']}" for row in truth["workloads"] if row["namespace"] != "kube-system"}
    wanted = {(name, direction) for name, direction in touched if name in own} - forbidden
    found = {(str(one.workload), one.direction.value) for one in learned.learned.intents if one.isolate}
    assert found == wanted


def existing_isolation(truth: Any) -> set[tuple[str, str]]:
    """Return what policies of the cluster isolate already; an explicit deny (a denied edge, POLICY_DENY) does too."""
    told = {(row["workload"], row["direction"]) for row in truth["existing_isolation"]}
    return told | {(row["client"], "egress") for row in truth["not_learned"] if row.get("drop_reason") == "POLICY_DENY"}


def already_isolated(learned: Suggestion) -> set[tuple[str, str]]:
    """Return what the Cilium files leave out because it is isolated already."""
    return {
        (one.subject, direction.value)
        for one in learned.diagnostics
        if one.code == "already-isolated"
        for direction in Direction
        if one.message.startswith(direction.value)
    }


def test_existing_isolation_is_not_invented(learned: Suggestion, truth: Any) -> None:
    """A drop at the server says nothing about the client: no policy is refused for an isolation that is not there."""
    assert already_isolated(learned) - existing_isolation(truth) == set()


def test_existing_isolation_is_not_missed(learned: Suggestion, truth: Any) -> None:
    """Rule 7: where the log shows that a policy isolates already, allows without isolation would open traffic.

    A policy's name on accepted traffic shows it as well as a drop does.
    """
    isolated = {(str(one.workload), one.direction.value) for one in learned.learned.intents if one.isolate}
    assert existing_isolation(truth) & isolated - already_isolated(learned) == set()


@pytest.mark.parametrize("dialect", list(Dialect))
def test_what_a_dialect_cannot_say_is_the_truth(learned: Suggestion, truth: Any, dialect: Dialect) -> None:
    """Each dialect writes every isolated direction but those it cannot say, and on Cilium what is isolated already."""
    isolated = {(str(one.workload), one.direction.value) for one in learned.learned.intents if one.isolate}
    rendered = next(one for one in learned.rendered if one.platform.dialect is dialect)
    written = {(str(one.workload), direction.value) for one in rendered.artifacts for direction in one.isolates}
    missing = {(row["workload"], row["direction"]) for row in truth["inexpressible"][dialect.value]}
    assert isolated - written - already_isolated(learned) == missing
    if dialect is not Dialect.CILIUM:
        assert isolated - written == missing


def test_dns_additions_are_the_truth(learned: Suggestion, truth: Any) -> None:
    """DNS is added exactly where the truth says that nobody was seen to use it."""
    found: dict[str, set[str]] = {}
    for intent in learned.learned.intents:
        for allow in intent.allows:
            if allow.origin is Origin.DNS:
                found.setdefault(str(intent.workload), set()).add(allow.protocol.value)
    wanted: dict[str, set[str]] = {name: {"UDP", "TCP"} for name in truth["dns_additions"]["both"]}
    wanted |= {name: {"TCP"} for name in truth["dns_additions"]["tcp"]}
    isolated = {
        str(one.workload) for one in learned.learned.intents if one.isolate and one.direction is Direction.EGRESS
    }
    assert found == {name: added for name, added in wanted.items() if name in isolated}


def content_of(policy: ReadPolicy) -> Content:
    """Return what a policy allows, per peer and protocol: how rules and prefixes are grouped says nothing."""
    found: Content = {}
    for rule in policy.rules:
        for peer in rule.peers:
            assert isinstance(peer, PodMatch | EntityMatch | CidrMatch)
            singles = [CidrMatch(prefixes=(one,)) for one in peer.prefixes] if isinstance(peer, CidrMatch) else [peer]
            for single in singles:
                ports, types = found.get((single, rule.protocol), (PortSet(), frozenset()))
                found[single, rule.protocol] = (ports | rule.ports, types | frozenset(rule.icmp_types))
    prefixes: dict[tuple[Protocol, tuple[PortSet, frozenset[int]]], list[str]] = {}
    for (match, protocol), content in found.items():
        if isinstance(match, CidrMatch):
            prefixes.setdefault((protocol, content), []).extend(match.prefixes)
    merged: Content = {key: content for key, content in found.items() if not isinstance(key[0], CidrMatch)}
    for (protocol, content), given in prefixes.items():
        merged |= {(CidrMatch(prefixes=(one,)), protocol): content for one in merge(given)}
    return merged


def merge(prefixes: Iterable[str]) -> list[str]:
    """Return the fewest prefixes that hold the same addresses."""
    networks = [ip_network(prefix) for prefix in prefixes]
    four = collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
    return [str(one) for one in (*four, *six)]


def table_of(policies: Iterable[ReadPolicy]) -> dict[Direction, tuple[ReadPolicy, Content]]:
    """Return the canonical rule table of one manifest."""
    return {policy.direction: (replace(policy, rules=(), source=""), content_of(policy)) for policy in policies}


def frame_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything of a manifest but its rules."""
    spec = {key: value for key, value in document["spec"].items() if key not in ("ingress", "egress")}
    return {**{key: document[key] for key in ("apiVersion", "kind", "metadata")}, "spec": spec}


@pytest.mark.parametrize(("path", "inventory"), EXPECTED)
def test_written_files_mean_what_was_written_by_hand(
    runs: dict[bool, Suggestion], repo: Path, path: str, inventory: bool
) -> None:
    """A generated manifest means what the hand-written one means, and is equal in everything but its rules."""
    learned = runs[inventory]
    texts = [(repo / "sample_flows" / "expected" / path).read_text("utf-8"), (learned.folder / path).read_text("utf-8")]
    wanted, found = (read_policies({path: text}) for text in texts)
    assert not wanted.diagnostics
    assert not found.diagnostics
    assert table_of(found.policies) == table_of(wanted.policies)
    first, second = (yaml.safe_load(text) for text in texts)
    assert frame_of(second) == frame_of(first)


def test_secrets_never_leave_ingest(repo: Path, plain_truth: Any, runs: dict[bool, Suggestion], tmp_path: Path) -> None:
    """No secret of the log is in any output file, nor in any column of any part of a lake."""
    source = repo / "sample_flows" / "shop-hubble.jsonl"
    bait = [secret.encode() for secret in plain_truth["secrets"]]
    assert all(secret in source.read_bytes() for secret in bait)
    for path in sorted(path for learned in runs.values() for path in learned.folder.rglob("*")):
        if path.is_file():
            assert not [secret for secret in bait if secret in path.read_bytes()], path.name
    ingest(source, tmp_path / "lake", IngestOptions(workers=0))
    files = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert Lake(tmp_path / "lake").snapshot().flows
    for path in files:
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += repr(pq.ParquetFile(path).read().to_pylist()).encode()
        assert not [secret for secret in bait if secret in text], path.name


def test_client_addresses_appear_as_prefixes_alone(repo: Path, tmp_path: Path, plain_truth: Any) -> None:
    """No output that people review tells a single external client apart, and rules name the prefixes alone."""
    done = suggest(repo / "sample_flows" / "shop-hubble.jsonl", tmp_path / "out", SuggestOptions(workers=0))
    rows = [row for row in plain_truth["edges"] if row["client"] == "external"]
    covers = [ip_network(prefix) for row in rows for prefix in row.get("cover", row.get("addresses"))]
    clients = sorted({str(address) for network in covers for address in network})
    told = b"".join(path.read_bytes() for path in sorted(done.folder.rglob("*")) if path.is_file()).decode()
    assert [
        address for address in clients if re.search(rf"(?<![0-9a-f.:]){re.escape(address)}(?![0-9a-f:])", told)
    ] == []
    found = {
        prefix
        for intent in done.learned.intents
        for allow in intent.allows
        if isinstance(allow.peer, CidrPeer) and allow.peer.clients
        for prefix in allow.peer.prefixes
    }
    assert found == set(cover(sorted({bounding_prefix(address) for address in clients})))


def test_calico_learns_the_same_estate(repo: Path, plain_truth: Any, tmp_path: Path) -> None:
    """The Calico log of the same estate gives the same edges between workloads, as far as the format can show them."""
    done = suggest(repo / "sample_flows" / "shop-calico.jsonl", tmp_path / "out", SuggestOptions(workers=0))
    found = {edge_key(edge)[:4] for edge, _ in ruled(done, Ruling.LEARN)}
    names = {f"{row['namespace']}/{row['name']}" for row in plain_truth["workloads"]}
    alike = {f"{row['namespace']}/{row['name']}" for row in plain_truth["workloads"] if row["selector"] is None}
    plain = {
        key
        for key in map(truth_key, plain_truth["edges"])
        if {key[0], key[1]} <= names - alike and key[2] in ("TCP", "UDP", "SCTP")
    }
    assert plain <= found
    between = {key for key in found if {key[0], key[1]} <= names}
    assert between <= {truth_key(row) for row in plain_truth["edges"]}
    assert len(between) == plain_truth["calico"]["edges_between_workloads"] - sum(
        1
        for row in plain_truth["edges"]
        if {row["client"], row["server"]} <= names and {row["client"], row["server"]} & alike
    )


def test_lossy_log_is_incomplete(repo: Path, tmp_path: Path) -> None:
    """The log with holes says how many events are missing."""
    options = SuggestOptions(workers=0, allow_partial=True)
    done = suggest(repo / "sample_flows" / "shop-hubble-lossy.jsonl", tmp_path / "out", options)
    assert done.completeness.events_lost == 1_061
    assert not done.completeness.complete


def test_world_rules_come_from_the_truth(learned: Suggestion, truth: Any) -> None:
    """Every external prefix of an intent is in the truth's covers."""
    known = {prefix for row in truth["edges"] for prefix in row.get("cover", ())}
    used = {
        prefix
        for intent in learned.learned.intents
        for allow in intent.allows
        if isinstance(allow.peer, CidrPeer)
        for prefix in allow.peer.prefixes
    }
    assert used <= known


# ------------------------------------------------------------------------- what an inventory and single scenes teach


def allows_of(learned: Suggestion, workload: str, direction: Direction) -> set[tuple[str, str, str, Origin]]:
    """Return what the intent of one direction allows: peer, protocol, ports and why."""
    return {
        (
            allow.peer.entity.value if isinstance(allow.peer, EntityPeer) else str(allow.peer),
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
    """Beside DNS nothing is added but the API server, where the inventory declares that it calls."""
    found = {
        (str(intent.workload), intent.direction.value, *allow)
        for intent in learned.learned.intents
        for allow in allows_of(learned, str(intent.workload), intent.direction)
        if allow[3] not in (Origin.OBSERVED, Origin.DNS) and intent.isolate
    }
    assert found == {
        (row["workload"], row["direction"], row["peer"], row["protocol"], str(row["port"]), Origin.API_SERVER)
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
    assert existing_isolation(plain_truth) & isolated - already_isolated(done) == set()


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
