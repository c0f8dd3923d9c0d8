"""What the field gets wrong: one named regression test for every row of the design's ``field.md``.

Each test gives the input on which another tool went wrong and asserts what comes out of the whole path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from collectors.framing import BATCH
from discovery.app.options import SuggestOptions
from discovery.cli.main import cli
from discovery.learn.judge import Reason
from discovery.model.edge import Direction, Protocol
from discovery.model.errors import IncompleteInputError
from discovery.model.intent import CidrPeer, Dialect, EntityPeer, Mode, Origin, WorkloadPeer
from discovery.model.platform import parse_platforms
from discovery.model.ports import PortSet
from discovery.model.workload import Entity, Labels
from tests.estate import (
    ACK,
    API,
    RST,
    SYN_ACK,
    WEB,
    Record,
    Run,
    calico,
    connection,
    dropped,
    lookups,
    lost,
    packet,
    pod,
    reserved,
    run,
    text_of,
    world,
)
from tests.memory import peak_of_reading_an_array

CLIENT_PORTS = (34_217, 51_764, 60_999)


def discover(folder: Path, records: Iterable[Record], *arguments: str) -> Result:
    """Write records to a file and run ``discover suggest`` on it through the command line."""
    path = folder / "flows.jsonl"
    path.write_text(text_of(records), encoding="utf-8")
    return CliRunner().invoke(cli, ["suggest", str(path), "-o", str(folder / "policies"), "--workers", "0", *arguments])


def written_ports(done: Run) -> set[int]:
    """Return every port that any written policy of any dialect names."""
    found: set[int] = set()

    def visit(node: object, key: str = "") -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                visit(value, str(name))
        elif isinstance(node, list):
            for item in node:
                visit(item, key)
        elif key in ("port", "ports"):
            found.add(int(str(node)))

    for text in done.policies().values():
        visit(yaml.safe_load(text)["spec"])
    return found


def enforced(dialects: tuple[Dialect, ...] = tuple(Dialect)) -> SuggestOptions:
    """Return options of enforce mode."""
    return SuggestOptions(workers=0, mode=Mode.ENFORCE, dialects=dialects)


def test_field_replies(tmp_path: Path) -> None:
    """Replies fold into their initiator: no client's ephemeral port becomes a rule, flagged or not."""
    records = lookups(WEB)
    for number, sport in enumerate(CLIENT_PORTS):
        records += connection(WEB, API, 8080, at=number, sport=sport)
        late = packet(API, WEB, "TCP", (8080, sport), at=number + 0.5, reply=True, flags=ACK)
        records.append(late)
        plain = packet(API, WEB, "TCP", (8080, sport), at=number + 0.6, reply=True, flags=ACK)
        plain["flow"]["is_reply"] = None
        records.append(plain)
    done = run(tmp_path, records)
    assert done.edges == ("shop/web -> kube-system/coredns UDP/53", "shop/web -> shop/api TCP/8080")
    assert written_ports(done) == {53, 8080}


def test_field_guessed_direction(tmp_path: Path) -> None:
    """A record that shows nothing about direction is undecided, whatever its ports, and isolates nothing."""
    records: list[Record] = []
    for number, (here, there) in enumerate(((40_000, 80), (1_023, 1_025), (8_080, 55_555))):
        records.append(packet(WEB, API, "TCP", (here, there), at=number, flags=ACK, is_reply=None))
    done = run(tmp_path, records)
    assert done.edges == ()
    assert set(done.unlearned.values()) == {Reason.DIRECTION}
    assert done.isolated == ()
    assert done.policies() == {}


def test_field_guessed_direction_server_initiates(tmp_path: Path) -> None:
    """A server behind a high port is a server, and a client from a low port is a client."""
    done = run(tmp_path, connection(WEB, API, 47_808, sport=700))
    assert done.edges == ("shop/web -> shop/api TCP/47808",)


def test_field_learns_drops(tmp_path: Path) -> None:
    """Denied traffic is reviewed, not learned, at either end and for either kind of policy drop."""
    attacker = pod("attacker", "10.0.1.66")
    records = connection(WEB, API)
    for number, reason in enumerate(("POLICY_DENIED", "POLICY_DENY")):
        records.append(dropped(attacker, API, 5432, reporter="server", at=number, reason=reason))
        records.append(dropped(attacker, API, 6379, reporter="client", at=number + 0.5, reason=reason))
    done = run(tmp_path, records)
    assert done.edges == ("shop/web -> shop/api TCP/8080",)
    assert done.unlearned == {
        "shop/attacker -> shop/api TCP/5432": Reason.DENIED,
        "shop/attacker -> shop/api TCP/6379": Reason.DENIED,
    }
    assert "attacker" not in "".join(done.policies().values())


def test_field_dns_lost(tmp_path: Path) -> None:
    """Egress to DNS is granted by the real labels and port of the DNS pods, which carry no ``k8s-app``."""
    resolver = pod(
        "dns-server", "10.0.2.53", namespace="naming", labels={"role": "resolver"}, node="node-b", pod="dns-server-0"
    )
    other = pod("other", "10.0.1.11")
    asked = connection(other, resolver, 5353, "UDP", Type="L7", l7={"type": "REQUEST", "dns": {"query": "x."}})
    done = run(tmp_path, [*connection(WEB, API), *asked])
    allow = next(allow for allow in done.allows("shop/web", Direction.EGRESS) if allow.origin is Origin.DNS)
    assert isinstance(allow.peer, WorkloadPeer)
    assert (allow.peer.selector.namespace, allow.peer.selector.labels) == ("naming", Labels.of({"role": "resolver"}))
    granted = {
        allow.protocol: allow.ports
        for allow in done.allows("shop/web", Direction.EGRESS)
        if allow.peer == done.peer("naming/dns-server")
    }
    assert granted == {Protocol.UDP: PortSet.of(5353), Protocol.TCP: PortSet.of(5353)}


def test_field_dns_lost_unknown_resolver(tmp_path: Path) -> None:
    """Where no resolver was seen, an isolated egress says that names cannot be resolved."""
    done = run(tmp_path, connection(WEB, API))
    assert "shop/web egress" in done.isolated
    assert "dns-resolver-unknown" in done.codes()


def test_field_dns_lost_at_the_resolver(tmp_path: Path) -> None:
    """What is added for DNS at the client is allowed at the resolver too, where that gets a policy itself."""
    options = SuggestOptions(workers=0, include_system=True, yes_system=True)
    quiet = pod("quiet", "10.0.1.12")
    done = run(tmp_path, [*connection(quiet, API), *lookups(WEB)], options=options)
    ingress = done.intent("kube-system/coredns", Direction.INGRESS)
    given = {(allow.peer, allow.protocol) for allow in ingress.allows}
    wanted = {
        (done.peer(name), protocol) for name in ("shop/quiet", "shop/web") for protocol in (Protocol.UDP, Protocol.TCP)
    }
    assert not ingress.isolate or wanted <= given


def test_field_empty_spec(tmp_path: Path) -> None:
    """A workload without learned traffic gets no file, and no file grants or isolates nothing."""
    records = [*connection(WEB, API), dropped(pod("lonely", "10.0.1.66"), API, 9)]
    for number, options in enumerate((SuggestOptions(workers=0), enforced())):
        done = run(tmp_path / str(number), records, options=options)
        assert not [path for path in done.policies() if "lonely" in path]
        for text in done.policies().values():
            spec = yaml.safe_load(text)["spec"]
            directions = {key for key in spec if key in ("ingress", "egress")}
            assert directions
            assert all(spec[key] for key in directions)


def test_field_isolates_without_evidence(tmp_path: Path) -> None:
    """A pod that was only seen as a client is never isolated on ingress, and the flag is explicit in every dialect."""
    done = run(tmp_path, [*connection(WEB, API), *lookups(WEB)], options=enforced())
    assert done.isolated == ("shop/api ingress", "shop/web egress")
    specs = {path: yaml.safe_load(text)["spec"] for path, text in done.policies().items() if path.endswith("-web.yaml")}
    by_dialect = {path.split("/")[0]: spec for path, spec in specs.items()}
    assert by_dialect["cilium"]["enableDefaultDeny"] == {"ingress": False, "egress": True}
    assert by_dialect["calico"]["types"] == ["Egress"]
    assert by_dialect["kubernetes"]["policyTypes"] == ["Egress"]


def test_field_label_key_lost(tmp_path: Path) -> None:
    """A key and its value travel together: ``app=web`` and ``name=web`` are two workloads with two selectors."""
    by_app = pod("web", "10.0.1.10", labels={"app": "web"})
    by_name = pod("web-two", "10.0.1.11", labels={"name": "web"}, pod="web-two-6c9f7d8b54-aaaaa")
    standard = pod("web-three", "10.0.1.12", labels={"app.kubernetes.io/name": "web"}, pod="web-three-6c9f7d8b54-bbbbb")
    records = [
        record
        for number, party in enumerate((by_app, by_name, standard))
        for record in connection(party, API, 8080 + number)
    ]
    done = run(tmp_path, records)
    labels = {name: done.peer(f"shop/{name}").selector.labels.as_dict() for name in ("web", "web-two", "web-three")}
    assert labels == {
        "web": {"app": "web"},
        "web-two": {"name": "web"},
        "web-three": {"app.kubernetes.io/name": "web"},
    }
    assert len(done.allows("shop/api", Direction.INGRESS)) == 3


def test_field_helm_labels(tmp_path: Path) -> None:
    """Chart, version and per-rollout labels never select, even where they are all that tells workloads apart."""
    volatile = {
        "helm.sh/chart": "shop-2.4.0",
        "app.kubernetes.io/version": "2.4.0",
        "app.kubernetes.io/managed-by": "Helm",
        "pod-template-hash": "6c9f7d8b54",
    }
    client = pod("web", "10.0.1.10", labels={"app": "web", **volatile})
    rolled = replace(client, address="10.0.1.11", labels={**client.labels, "app.kubernetes.io/version": "2.4.1"})
    twin = pod("twin", "10.0.1.12", labels={"app": "web", **volatile, "helm.sh/chart": "other-1.0.0"}, account=None)
    done = run(tmp_path, [*connection(client, API), *connection(rolled, API, at=1)])
    assert done.peer("shop/web").selector.labels == Labels.of({"app": "web"})
    for text in done.policies().values():
        assert not [key for key in volatile if f"{key}:" in text.split("\nspec:")[1] or f"{key} ==" in text]
    two = run(tmp_path / "twin", [*connection(replace(client, account=None), API), *connection(twin, API, at=1)])
    assert "labels-cannot-tell-apart" in two.codes()
    assert two.edges == ()


def test_field_helm_labels_version_alone(tmp_path: Path) -> None:
    """A version label never selects alone: the next ``details-v2`` of the namespace must not fall under the policy."""
    old = pod("reviews-v1", "10.0.2.21", labels={"app": "reviews", "version": "v1"}, account="reviews")
    new = pod("reviews-v2", "10.0.2.22", labels={"app": "reviews", "version": "v2"}, account="reviews")
    done = run(tmp_path, [*connection(WEB, old), *connection(WEB, new, at=1)])
    assert done.peer("shop/reviews-v2").selector.labels == Labels.of({"app": "reviews", "version": "v2"})


@pytest.mark.parametrize(
    ("names", "entity"),
    [
        (("host",), Entity.HOST),
        (("remote-node",), Entity.REMOTE_NODE),
        (("host", "kube-apiserver"), Entity.KUBE_APISERVER),
        (("kube-apiserver", "remote-node"), Entity.KUBE_APISERVER),
        (("kube-apiserver", "world"), Entity.KUBE_APISERVER),
        (("health",), Entity.HEALTH),
        (("ingress", "world"), Entity.INGRESS),
        (("unmanaged",), Entity.UNMANAGED),
        (("init",), Entity.INIT),
    ],
)
def test_field_entities(tmp_path: Path, names: tuple[str, ...], entity: Entity) -> None:
    """Every reserved identity is understood, the most specific wins, and Cilium names the entity."""
    done = run(tmp_path, connection(reserved(*names), API))
    peers = [allow.peer for allow in done.allows("shop/api", Direction.INGRESS)]
    assert [peer.entity for peer in peers if isinstance(peer, EntityPeer)] == [entity]
    spec = yaml.safe_load(done.policies()["cilium/shop/deployment-api.yaml"])["spec"]
    assert spec["ingress"][0]["fromEntities"] == [entity.value]


@pytest.mark.parametrize("name", ["world", "world-ipv4", "world-ipv6"])
def test_field_entities_world(tmp_path: Path, name: str) -> None:
    """The world is learned as the clients' prefixes, in single-stack and dual-stack words."""
    address, prefix = ("2001:db8::7", "2001:db8::/48") if name.endswith("6") else ("203.0.113.7", "203.0.113.0/24")
    done = run(tmp_path, connection(reserved(name, address=address), API))
    peers = [allow.peer for allow in done.allows("shop/api", Direction.INGRESS)]
    assert [(peer.prefixes, peer.clients) for peer in peers if isinstance(peer, CidrPeer)] == [((prefix,), True)]


def test_field_host_network(tmp_path: Path) -> None:
    """Nodes and host-network pods are peers, as each dialect can say it or with a diagnostic, never in silence."""
    node = reserved("remote-node", address="192.168.56.12")
    records = [*connection(WEB, node, 9100), *connection(node, API, 8080, at=1)]
    done = run(tmp_path, records)
    assert done.edges == ("remote-node -> shop/api TCP/8080", "shop/web -> remote-node TCP/9100")
    texts = done.policies()
    assert yaml.safe_load(texts["cilium/shop/deployment-web.yaml"])["spec"]["egress"][0]["toEntities"] == [
        "remote-node"
    ]
    rule = yaml.safe_load(texts["calico/shop/deployment-web.yaml"])["spec"]["egress"][0]
    assert rule["destination"]["nets"] == ["192.168.56.12/32"]
    assert not [path for path in texts if path.startswith("kubernetes")]
    assert {"entity-inexpressible", "entity-by-address"} <= done.codes()


def test_field_host_network_no_link_local_address(tmp_path: Path) -> None:
    """A node is never written by an address that means another machine on every link."""
    probe = reserved("host", address="fe80::1")
    node = reserved("host", address="192.168.56.11")
    records = [*connection(probe, API), *connection(WEB, node, 9100, at=1)]
    texts = run(tmp_path, records).policies()
    assert not [path for path, text in texts.items() if "fe80" in text]


def test_field_namespace_missing(tmp_path: Path) -> None:
    """Every peer names its namespace, in the subject's own namespace and across namespaces."""
    far = pod("far", "10.0.1.30", namespace="payments")
    done = run(tmp_path, [*connection(WEB, API), *connection(far, API, at=1)])
    texts = done.policies()
    cilium = yaml.safe_load(texts["cilium/shop/deployment-api.yaml"])["spec"]["ingress"]
    peers = [
        peer["matchLabels"]["k8s:io.kubernetes.pod.namespace"] for rule in cilium for peer in rule["fromEndpoints"]
    ]
    assert sorted(peers) == ["payments", "shop"]
    plain = yaml.safe_load(texts["kubernetes/shop/deployment-api.yaml"])["spec"]["ingress"]
    names = [peer["namespaceSelector"]["matchLabels"] for rule in plain for peer in rule["from"]]
    assert sorted(name["kubernetes.io/metadata.name"] for name in names) == ["payments", "shop"]
    calico_rules = yaml.safe_load(texts["calico/shop/deployment-api.yaml"])["spec"]["ingress"]
    assert sorted(rule["source"]["namespaceSelector"] for rule in calico_rules) == [
        "kubernetes.io/metadata.name == 'payments'",
        "kubernetes.io/metadata.name == 'shop'",
    ]


def test_field_allow_anywhere(tmp_path: Path) -> None:
    """External peers with names stay addresses with all of their ports: no rule without a peer, none for everyone."""
    shop = world("203.0.113.10", "api.stripe.example")
    records = [*connection(WEB, shop, 443), *connection(WEB, shop, 8443, at=1), *lookups(WEB)]
    done = run(tmp_path, records)
    spec = yaml.safe_load(done.policies()["cilium/shop/deployment-web.yaml"])["spec"]
    outside = [rule for rule in spec["egress"] if "toCIDRSet" in rule]
    assert [rule["toCIDRSet"] for rule in outside] == [[{"cidr": "203.0.113.10/32"}]]
    assert [port["port"] for rule in outside for ports in rule["toPorts"] for port in ports["ports"]] == ["443", "8443"]
    for path, text in done.policies().items():
        spec = yaml.safe_load(text)["spec"]
        rules = [*spec.get("ingress", ()), *spec.get("egress", ())]
        if path.startswith("calico"):
            assert all(set(rule.get("source", rule["destination"])) & {"selector", "nets"} for rule in rules)
        else:
            assert all(
                any(key.startswith(("to", "from")) and key != "toPorts" and rule[key] for key in rule) for rule in rules
            )
        assert "0.0.0.0/0" not in text


def test_field_one_port_kept(tmp_path: Path) -> None:
    """All ports between one pair of workloads are kept, in every dialect."""
    ports = (80, 443, 8080, 9090, 9102)
    done = run(tmp_path, [record for at, port in enumerate(ports) for record in connection(WEB, API, port, at=at)])
    assert {port for allow in done.allows("shop/api", Direction.INGRESS) for port in allow.ports} == set(ports)
    assert written_ports(done) == set(ports)


def test_field_udp_1024(tmp_path: Path) -> None:
    """UDP is learned on all ports and in both directions, answered or not."""
    records = [
        *connection(WEB, API, 8125, "UDP", answered=False),
        *connection(WEB, API, 514, "UDP", at=1),
        *connection(WEB, API, 40_123, "UDP", at=2, sport=500),
    ]
    done = run(tmp_path, records)
    for workload, direction in (("shop/web", Direction.EGRESS), ("shop/api", Direction.INGRESS)):
        allows = done.allows(workload, direction)
        assert {port for allow in allows for port in allow.ports} == {514, 8125, 40_123}
        assert {allow.protocol for allow in allows} == {Protocol.UDP}


def test_field_ipv6(tmp_path: Path) -> None:
    """IPv6 is first class: between pods, to outside, and as ICMPv6."""
    client = pod("web", "fd00::10")
    server = pod("api", "fd00::20", node="node-b", pod="api-7d4b9c6f8d-x5c2p")
    records = [
        *connection(client, server),
        *connection(client, world("2001:db8::5"), 443, at=1),
        *connection(client, world("2001:db8::4"), 443, at=2),
        packet(client, server, "ICMPv6", None, icmp=(128, 0), at=3),
    ]
    done = run(tmp_path, records)
    assert done.edges == (
        "shop/web -> external 2001:db8::4, 2001:db8::5 TCP/443",
        "shop/web -> shop/api ICMPv6 type 128",
        "shop/web -> shop/api TCP/8080",
    )
    peers = [allow.peer for allow in done.allows("shop/web", Direction.EGRESS)]
    assert [peer.prefixes for peer in peers if isinstance(peer, CidrPeer)] == [("2001:db8::4/127",)]


def test_field_service_port(tmp_path: Path) -> None:
    """The port of a rule is the pod's own, after translation, not the Service's."""
    service = {"name": "api", "namespace": "shop"}
    virtual = replace(world("10.96.0.20"), node=None)
    untranslated = packet(WEB, virtual, "TCP", (40_000, 80), verdict="TRANSLATED", trace_observation_point=None)
    done = run(tmp_path, [untranslated, *connection(WEB, API, 8080, at=1, destination_service=service)])
    assert done.edges == ("shop/web -> shop/api TCP/8080",)
    assert written_ports(done) == {8080}


def test_field_slash_32(tmp_path: Path) -> None:
    """External addresses become their minimal exact cover, with the names as evidence."""
    records: list[Record] = []
    for number in range(16):
        peer = world(f"203.0.113.{32 + number}", "cdn.example")
        records += connection(WEB, peer, 443, at=number, sport=40_000 + number)
    done = run(tmp_path, records)
    peers = [allow.peer for allow in done.allows("shop/web", Direction.EGRESS)]
    assert peers == [CidrPeer(prefixes=("203.0.113.32/28",), names=("cdn.example",))]
    assert "cdn.example" in done.policies()["cilium/shop/deployment-web.yaml"]


def test_field_unstable_output(tmp_path: Path) -> None:
    """The same input gives the same bytes, and a rerun into the same folder changes and retires nothing."""
    records = [*connection(WEB, API), *connection(WEB, world("203.0.113.10"), 443, at=1), *lookups(WEB)]
    first = run(tmp_path / "a", records)
    second = run(tmp_path / "b", records)

    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = files(first.folder)
    assert before == files(second.folder)
    again = run(tmp_path / "a", records)
    assert files(again.folder) == before
    assert again.suggestion.written.written == ()
    assert again.suggestion.written.retired == ()


def test_field_cronjob_labels(tmp_path: Path) -> None:
    """The runs of one CronJob are one workload, selected by nothing of a single run."""
    records: list[Record] = []
    for number in (29_893_080, 29_893_800, 29_894_520):
        job = f"report-{number}"
        party = pod(
            job,
            "10.0.1.40",
            kind="Job",
            pod=f"{job}-abcde",
            account="report",
            labels={
                "app": "report",
                "job-name": job,
                "batch.kubernetes.io/job-name": job,
                "controller-uid": f"u-{number}",
            },
        )
        records += connection(party, API, at=number % 1000, sport=number % 60_000)
    done = run(tmp_path, records)
    assert done.edges == ("shop/report -> shop/api TCP/8080",)
    assert done.peer("shop/report").selector.labels == Labels.of({"app": "report"})
    assert "cilium/shop/cronjob-report.yaml" in done.policies()


def test_field_duplicate_observations(tmp_path: Path) -> None:
    """One packet at four hook points and from both ends is one edge, and counts as one record."""
    records: list[Record] = []
    for number, point in enumerate(("FROM_ENDPOINT", "TO_STACK", "TO_OVERLAY", "TO_NETWORK")):
        records.append(packet(WEB, API, at=number * 0.0001, trace_observation_point=point))
    records.append(packet(WEB, API, at=0.001, reporter="server"))
    answer = packet(API, WEB, "TCP", (8080, 40_000), at=0.002, reply=True, flags=SYN_ACK)
    done = run(tmp_path, [*records, answer])
    assert done.edges == ("shop/web -> shop/api TCP/8080",)
    assert done.learned[0].evidence.flow_records <= 2


def test_field_partial_input(tmp_path: Path) -> None:
    """Malformed or truncated input stops with exit code 4 and writes nothing, unless partial input is allowed."""
    path = tmp_path / "flows.jsonl"
    path.write_text(text_of(connection(WEB, API)) + '{"flow": {"time"\n', encoding="utf-8")
    arguments = ["suggest", str(path), "-o", str(tmp_path / "policies"), "--workers", "0"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 4
    assert "flows.jsonl:5" in refused.output
    assert not (tmp_path / "policies").exists()
    allowed = CliRunner().invoke(cli, [*arguments, "--allow-partial"])
    assert allowed.exit_code == 0
    assert "malformed" in (tmp_path / "policies" / "summary.md").read_text("utf-8")


def test_field_lost_events(tmp_path: Path) -> None:
    """Events that the source lost are counted, stop the run, and are shown when it goes on."""
    records = [*connection(WEB, API), lost(1024, at=1), lost(37, at=2)]
    with pytest.raises(IncompleteInputError, match="1,061"):
        run(tmp_path / "refused", records)
    assert discover(tmp_path, records).exit_code == 4
    assert discover(tmp_path, records, "--allow-partial").exit_code == 0
    assert "1,061" in (tmp_path / "policies" / "summary.md").read_text("utf-8")
    summary = json.loads((tmp_path / "policies" / "summary.json").read_text("utf-8"))
    assert summary["completeness"]["eventsLost"] == 1_061
    assert summary["completeness"]["complete"] is False


def test_field_json_array_memory(tmp_path: Path) -> None:
    """A JSON array is read like lines: the rules are the same, byte for byte, and the array is never held whole."""
    records = [*connection(WEB, API), *lookups(WEB)]
    lines = run(tmp_path / "lines", records)
    folder = tmp_path / "array"
    folder.mkdir()
    (folder / "flows.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    arguments = ["suggest", str(folder / "flows.json"), "-o", str(folder / "output"), "--workers", "0"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    array = {
        str(path.relative_to(folder / "output")): path.read_text("utf-8") for path in sorted(folder.rglob("*.yaml"))
    }
    assert array == lines.policies()
    short, long = (peak_of_reading_an_array(b'{"flow":{"uuid":"a"}}', batches * BATCH) for batches in (3, 12))
    assert long < 1.25 * short, f"{long} bytes for four times the array that took {short}"


def test_field_address_reuse(tmp_path: Path) -> None:
    """An address that another workload got later never gives the earlier workload's rules to it, nor the reverse."""
    job = pod("job", "10.0.1.99", pod="job-6c9f7d8b54-first")
    page = pod("page", "10.0.1.99", pod="page-6c9f7d8b54-later")
    records = [
        *connection(job, API, 5432),
        *connection(page, world("203.0.113.10"), 443, at=3600),
        *connection(WEB, page, 8080, at=3700),
        *lookups(WEB, at=10),
    ]
    done = run(tmp_path, records)
    assert done.edges == (
        "shop/job -> shop/api TCP/5432",
        "shop/page -> external 203.0.113.10 TCP/443",
        "shop/web -> kube-system/coredns UDP/53",
        "shop/web -> shop/page TCP/8080",
    )


def test_field_wrong_cni(tmp_path: Path) -> None:
    """Every file says which platform it is for and whether that was declared, and so does the summary."""
    declared = parse_platforms(["cilium=1.17"])
    done = run(tmp_path, connection(WEB, API), options=SuggestOptions(workers=0, platforms=declared))
    for path, text in done.policies().items():
        header = text.split("apiVersion:")[0]
        dialect = path.split("/")[0]
        assert f"# Platform: {declared[Dialect(dialect)]}" in header
        assert ("assumed" in header) == (dialect != "cilium")
    summary = (done.folder / "summary.md").read_text("utf-8")
    assert "cilium 1.17, calico 3.30 (assumed), kubernetes 1.31 (assumed)" in summary


def test_field_both_reporters_of_calico(tmp_path: Path) -> None:
    """A Calico flow log gives the same rules as Hubble, from either reporter or from both."""
    both = [calico(WEB, API, 8080), calico(WEB, API, 8080, reporter="src")]
    results = [run(tmp_path / str(number), records) for number, records in enumerate((both, both[:1], both[1:]))]
    for done in results:
        assert done.edges == ("shop/web -> shop/api TCP/8080",)
        assert done.isolated == ("shop/api ingress", "shop/web egress")


def test_field_refused(tmp_path: Path) -> None:
    """A connection that the server refused or nobody answered is not learned."""
    records = [
        packet(WEB, API, "TCP", (40_000, 81)),
        packet(API, WEB, "TCP", (81, 40_000), at=0.01, reply=True, flags=RST),
        *connection(WEB, API, 82, at=1, answered=False),
        *connection(WEB, API, 8080, at=2),
    ]
    done = run(tmp_path, records)
    assert done.edges == ("shop/web -> shop/api TCP/8080",)
    assert done.unlearned == {
        "shop/web -> shop/api TCP/81": Reason.REFUSED,
        "shop/web -> shop/api TCP/82": Reason.UNANSWERED,
    }


def test_every_row_has_a_test(shared: Path) -> None:
    """Each row of the design's table has a test of its name here."""
    text = (shared / "design" / "field.md").read_text("utf-8")
    table = text.split("## Defects to never have")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    wanted = {"test_field_" + row.replace("-", "_") for row in rows if row != "id"}
    assert len(wanted) == 25
    assert wanted <= set(globals())
