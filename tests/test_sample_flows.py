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
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import CidrPeer, Dialect, Origin
from discovery.model.ports import PortSet
from discovery.model.workload import EndpointKind, Labels
from discovery.verify.read import read_policies
from discovery.verify.rules import CidrMatch, EntityMatch, PeerMatch, PodMatch, ReadPolicy
from sample_flows import build, inventory
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

SAMPLE = Path(__file__).parent.parent / "sample_flows"
# The manifests, and whether the run that they are compared with has the inventory; the older ones hold either way, but
# for what a Service of the inventory says of clients that the log shows a sample of (truth: declared_additions).
LOG_ALONE = "ingress-nginx/deployment-controller.yaml"
EXPECTED = sorted(
    (str(path.relative_to(SAMPLE / "expected")), informed)
    for path in (SAMPLE / "expected").rglob("*.yaml")
    for informed in (False, True)
    if informed or "sample_flows/inventory.yaml" not in path.read_text("utf-8").partition("apiVersion")[0]
    if not (informed and str(path).endswith(LOG_ALONE))
)

Content = dict[tuple[PeerMatch, Protocol], tuple[PortSet, frozenset[int]]]


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


def test_the_logs_are_what_the_script_writes(repo: Path, tmp_path: Path) -> None:
    """The committed logs and inventory are the bytes that ``python -m sample_flows.build`` writes."""
    build.write(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["inventory.yaml", "shop-calico.jsonl", "shop-hubble-lossy.jsonl", "shop-hubble.jsonl"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (repo / "sample_flows" / name).read_bytes()


def test_the_inventory_is_what_its_tables_say(repo: Path) -> None:
    """The YAML reads back as the objects that it was written from."""
    read = yaml.safe_load((repo / "sample_flows" / "inventory.yaml").read_text("utf-8"))
    assert read == {"apiVersion": "v1", "kind": "List", "items": list(inventory.objects())}


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
    if dialect is Dialect.CILIUM:
        assert isolated - written - already_isolated(learned) == missing
    else:
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


@pytest.mark.parametrize(("path", "with_inventory"), EXPECTED)
def test_written_files_mean_what_was_written_by_hand(
    runs: dict[bool, Suggestion], repo: Path, path: str, with_inventory: bool
) -> None:
    """A generated manifest means what the hand-written one means, and is equal in everything but its rules."""
    learned = runs[with_inventory]
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
    """Every external prefix of an intent is in the truth's covers, or declared by a Service."""
    known = {prefix for row in truth["edges"] for prefix in row.get("cover", ())}
    known |= {row["peer"] for row in truth["declared_additions"]}
    used = {
        prefix
        for intent in learned.learned.intents
        for allow in intent.allows
        if isinstance(allow.peer, CidrPeer)
        for prefix in allow.peer.prefixes
    }
    assert used <= known
