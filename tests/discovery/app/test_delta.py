"""What is there already is not written again, and nothing of it is lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discovery.app.deployed import Deployed, read_deployed
from discovery.app.dialects import Made, Wanted, make
from discovery.model.diagnostics import Level
from discovery.model.edge import Direction, Edge
from discovery.model.intent import Allow, Dialect, Mode, WorkloadPeer
from discovery.model.platform import Platform
from discovery.model.workload import Labels, Selector
from discovery.verify.meaning import intended, written
from discovery.verify.read import read_policies
from tests.discovery.learn.builders import edge
from tests.discovery.verify.asking import cnp, gnp, knp, tier
from tests.discovery.verify.builders import cidr_peer, intent, platform, selector, tcp, version, workload_peer

VERSIONS = (version("web"), version("a"), version("b"), version("c"))
ALLOWS = (
    tcp(workload_peer("a"), 80, 443),
    tcp(workload_peer("b"), 80),
    tcp(workload_peer("c"), 9090),
    tcp(cidr_peer("192.0.2.0/24"), 443),
)
PLATFORMS = {
    Dialect.CILIUM: platform("cilium=1.18"),
    Dialect.CALICO: platform("calico=3.30"),
    Dialect.KUBERNETES: platform("kubernetes=1.31;enforcer=calico"),
}
SOME = st.sets(st.sampled_from(ALLOWS), min_size=1).map(lambda found: tuple(sorted(found, key=repr)))


def run(
    folder: Path,
    there: Path | None,
    on: Platform,
    *,
    ingress: tuple[Allow, ...] = (),
    egress: tuple[Allow, ...] = (),
    mode: Mode = Mode.MONITOR,
    edges: tuple[Edge, ...] = (),
) -> Made:
    """Make one dialect of web's intents, beside what is there."""
    sides = ((Direction.INGRESS, ingress), (Direction.EGRESS, egress))
    deployed: dict[Dialect, Deployed] = {} if there is None else read_deployed(there)
    intents = tuple(intent("web", direction, *allows) for direction, allows in sides if allows)
    wanted = Wanted(intents=intents, edges=edges, versions=VERSIONS, mode=mode, owners={}, deployed=deployed)
    made = make(wanted, on, folder)
    assert [one for one in made.found if one.level is Level.ERROR] == []
    return made


def errors(made: Made) -> list[str]:
    """Return the codes of what could not be written."""
    return [one.code for one in made.rendered.diagnostics if one.level is Level.ERROR]


@given(before=SOME, after=SOME, egress=SOME, dialect=st.sampled_from(Dialect), mode=st.sampled_from(Mode))
def test_what_is_there_and_what_is_new_is_all_there(
    tmp_path_factory: pytest.TempPathFactory,
    before: tuple[Allow, ...],
    after: tuple[Allow, ...],
    egress: tuple[Allow, ...],
    dialect: Dialect,
    mode: Mode,
) -> None:
    """The file says what both say, is written only if something is new, and a second run adds nothing."""
    folder, on = tmp_path_factory.mktemp("delta"), PLATFORMS[dialect]
    run(folder / "old", None, on, ingress=before, mode=mode)
    made = run(folder / "new", folder / "old", on, ingress=after, egress=egress, mode=mode)
    texts = {one.path: one.text for one in made.rendered.artifacts}
    policies = [one for one in read_policies(texts).policies if one.direction is Direction.INGRESS]
    joined, _ = intended([intent("web", Direction.INGRESS, *before, *after)], on)
    assert written(policies, "c1") == joined
    again = run(folder / "again", folder / "new", on, ingress=(*before, *after), egress=egress, mode=mode)
    assert again.rendered.artifacts == ()
    assert again.said == 2
    assert again.reach == made.reach


def test_rules_by_hand_stay(tmp_path: Path) -> None:
    """A rule and an annotation that somebody added to our file are in the file that takes its place."""
    on = PLATFORMS[Dialect.KUBERNETES]
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    document = yaml.safe_load(path.read_text())
    by_hand = {"from": [{"namespaceSelector": {}}], "ports": [{"port": 7000, "protocol": "TCP"}]}
    document["spec"]["ingress"].append(by_hand)
    document["metadata"]["annotations"] = {"ticket": "7"}
    path.write_text(yaml.safe_dump(document))
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2])
    (artifact,) = made.rendered.artifacts
    (manifest,) = artifact.documents
    assert by_hand in manifest["spec"]["ingress"]
    assert len(manifest["spec"]["ingress"]) == 3
    assert manifest["metadata"]["annotations"] == {"ticket": "7"}


def test_policies_of_other_names_are_not_repeated(tmp_path: Path) -> None:
    """What a policy by hand says is left out of ours, which adds only the rest, and nothing where nothing is left."""
    rule = "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}, {port: 443}]}]"
    (tmp_path / "k.yaml").write_text(knp(f"{{podSelector: {{matchLabels: {{app: web}}}}, {rule}}}"))
    on = platform("kubernetes=1.31")
    rest = run(tmp_path / "rest", tmp_path, on, ingress=ALLOWS[:2], mode=Mode.ENFORCE)
    (artifact,) = rest.rendered.artifacts
    (manifest,) = artifact.documents
    assert [one["ports"] for one in manifest["spec"]["ingress"]] == [[{"port": 80, "protocol": "TCP"}]]
    nothing = run(tmp_path / "nothing", tmp_path, on, ingress=ALLOWS[:1], mode=Mode.ENFORCE)
    assert (nothing.rendered.artifacts, nothing.said) == ((), 1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"podSelector": {"matchLabels": {"app": "other"}}}, "about other pods"),
        ({"ingress": [{"from": 5}]}, "not evaluated"),
        ({"order": 1.5}, "cannot be written"),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, "types leave out"),
    ],
)
def test_what_cannot_be_kept_is_left_alone(tmp_path: Path, change: dict[str, object], why: str) -> None:
    """A manifest of our name that we cannot add to without loss is said, and no file takes its place."""
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    document = yaml.safe_load(path.read_text())
    document["spec"] |= change
    path.write_text(yaml.safe_dump(document))
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2])
    assert made.rendered.artifacts == ()
    assert errors(made) == ["existing-not-kept"]
    assert why in made.rendered.diagnostics[0].message


def test_a_monitor_form_never_takes_the_place_of_an_enforced_one(tmp_path: Path) -> None:
    """That would open what is closed; in enforce mode the rule is added. A staged policy of Calico stands beside it."""
    staged = PLATFORMS[Dialect.CALICO]
    run(tmp_path / "calico", None, staged, ingress=ALLOWS[:1], mode=Mode.ENFORCE)
    (artifact,) = run(tmp_path / "both", tmp_path / "calico", staged, ingress=ALLOWS[:2]).rendered.artifacts
    (manifest,) = artifact.documents
    assert (manifest["kind"], len(manifest["spec"]["ingress"])) == ("StagedNetworkPolicy", 2)
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1], mode=Mode.ENFORCE)
    watched = run(tmp_path / "watched", tmp_path / "old", on, ingress=ALLOWS[:2])
    assert (watched.rendered.artifacts, errors(watched)) == ((), ["existing-not-kept"])
    enforced = run(tmp_path / "enforced", tmp_path / "old", on, ingress=ALLOWS[:2], mode=Mode.ENFORCE)
    assert len(enforced.rendered.artifacts) == 1


def test_one_of_our_name_twice(tmp_path: Path) -> None:
    """Which of the two the cluster has is not known, so neither is replaced."""
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    (tmp_path / "old" / "copy.yaml").write_text(path.read_text())
    assert errors(run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2])) == ["existing-not-kept"]


def changed(folder: Path, change: dict[str, object], *, meta: dict[str, object] | None = None) -> None:
    """Change the spec and the metadata of the only manifest of a folder."""
    (path,) = folder.rglob("*.yaml")
    document = yaml.safe_load(path.read_text())
    document["spec"] |= change
    document["metadata"] |= meta or {}
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("on", "there"),
    [
        ("calico=3.30", gnp("{selector: all(), ingress: [{action: Allow}]}").replace("Global", "StagedGlobal")),
        ("kubernetes=1.31", knp('{podSelector: {matchLabels: {policy-discovery/enforce: "true"}}, ingress: [{}]}')),
        (
            "cilium=1.18",
            cnp("{endpointSelector: {}, ingress: [{fromEntities: [all]}], enableDefaultDeny: {ingress: false}}"),
        ),
    ],
)  # fmt: skip
def test_what_is_inert_says_nothing_in_enforce_mode(tmp_path: Path, on: str, there: str) -> None:
    """A trial that nobody enforces allows nothing; in monitor mode it counts as what it will be."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.yaml").write_text(there)
    enforced = run(tmp_path / "a", tmp_path / "there", platform(on), ingress=ALLOWS[:1], mode=Mode.ENFORCE)
    assert (len(enforced.rendered.artifacts), enforced.said) == (1, 0)
    watched = run(tmp_path / "b", tmp_path / "there", platform(on), ingress=ALLOWS[:1])
    assert (len(watched.rendered.artifacts), watched.said) == (0, 1)


def test_a_tier_that_passes_on_says_nothing(tmp_path: Path) -> None:
    """What it does not decide is decided later, where nothing is yet."""
    (tmp_path / "there").mkdir()
    policy = gnp("{tier: sec, selector: all(), ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]}")
    (tmp_path / "there" / "a.yaml").write_text(f"{tier('sec', '{order: 10, defaultAction: Pass}')}---\n{policy}")
    made = run(tmp_path / "new", tmp_path / "there", PLATFORMS[Dialect.CALICO], ingress=ALLOWS[:1], mode=Mode.ENFORCE)
    assert (len(made.rendered.artifacts), made.said) == (1, 0)


def test_a_file_that_could_not_be_written_replaces_nothing(tmp_path: Path) -> None:
    """Where the dialect has no words for what is new, the policy that is there stays, and what it cuts is told."""
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    account = Selector(cluster="c1", namespace="shop", labels=Labels(), service_account="default")
    unsayable = tcp(WorkloadPeer(selector=account), 80)
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=(unsayable,), edges=(edge("b", "web", 80),))
    assert (made.rendered.artifacts, made.said) == ((), 0)
    assert [one.code for one in made.found] == ["existing-cuts"]


def test_a_deny_that_comes_first_leaves_the_workload_alone(tmp_path: Path) -> None:
    """An allow behind a deny by hand would do nothing: it is said, and nothing is written for this workload."""
    on = PLATFORMS[Dialect.CALICO]
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    document = yaml.safe_load(path.read_text())
    document["spec"]["ingress"].append({"action": "Deny"})
    path.write_text(yaml.safe_dump(document))
    new = (edge("a", "web", 80), edge("b", "web", 80))
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2], edges=new)
    assert (made.rendered.artifacts, errors(made)) == ((), ["existing-not-kept"])
    assert "denied by a rule" in made.rendered.diagnostics[0].message


def test_rules_of_layer_7_in_our_file_stay_beside_new_ones(tmp_path: Path) -> None:
    """Somebody narrowed a rule of ours to requests: it stays as it is, and is not lifted."""
    on = PLATFORMS[Dialect.CILIUM]
    run(tmp_path / "old", None, on, ingress=ALLOWS[1:2])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    document = yaml.safe_load(path.read_text())
    narrow = {"http": [{"method": "GET"}]}
    document["spec"]["ingress"][0]["toPorts"][0]["rules"] = narrow
    path.write_text(yaml.safe_dump(document))
    new = (edge("b", "web", 80), edge("c", "web", 9090))
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[1:3], edges=new)
    (artifact,) = made.rendered.artifacts
    (manifest,) = artifact.documents
    assert [one["toPorts"][0].get("rules") for one in manifest["spec"]["ingress"]] == [narrow, None]


@pytest.mark.parametrize(
    ("notes", "kept"), [({"a": "b"}, True), ({"a": None}, False), ({"a": 1.5}, False), (None, True)]
)
def test_annotations_that_cannot_be_written(tmp_path: Path, notes: object, kept: bool) -> None:
    """Nulls and fractions are no annotations."""
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    changed(tmp_path / "old", {}, meta={"annotations": notes})
    assert len(run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2]).rendered.artifacts) == kept


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    """It may be the manifest of that name, with rules by hand."""
    on = platform("kubernetes=1.31")
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    (path,) = (tmp_path / "old").rglob("*.yaml")
    path.write_text(path.read_text().replace("kind: ", "kind: &x ", 1))
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2])
    assert (made.rendered.artifacts, errors(made)) == ((), ["existing-not-kept"])
    assert "cannot be read" in made.rendered.diagnostics[0].message


def test_a_tier_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    """A file of ours that somebody moved to another tier stays there."""
    on = PLATFORMS[Dialect.CALICO]
    run(tmp_path / "old", None, on, ingress=ALLOWS[:1])
    changed(tmp_path / "old", {"tier": "app"})
    made = run(tmp_path / "new", tmp_path / "old", on, ingress=ALLOWS[:2])
    assert (made.rendered.artifacts, errors(made)) == ((), ["existing-not-kept"])
    assert "tier 'app'" in made.rendered.diagnostics[0].message


def test_each_cluster_has_its_own_policies(tmp_path: Path) -> None:
    """What one cluster has says nothing about another; a folder of nobody knows which cluster is told."""
    on = PLATFORMS[Dialect.CALICO]
    both = tuple(
        replace(
            intent("web", Direction.INGRESS, tcp(workload_peer("a", cluster=cluster), 80)),
            workload=version("web", cluster=cluster).ref,
            subject=selector("web", cluster=cluster),
        )
        for cluster in ("east", "west")
    )
    versions = tuple(version(name, cluster=cluster) for name in ("web", "a") for cluster in ("east", "west"))

    def made(folder: str, there: str | None) -> Made:
        deployed = {} if there is None else read_deployed(tmp_path / there)
        wanted = Wanted(intents=both, edges=(), versions=versions, mode=Mode.MONITOR, owners={}, deployed=deployed)
        return make(wanted, on, tmp_path / folder)

    assert len(made("all", None).rendered.artifacts) == 2
    (tmp_path / "half" / "calico").mkdir(parents=True)
    shutil.copytree(tmp_path / "all" / "calico" / "west", tmp_path / "half" / "calico" / "west")
    left = made("rest", "half")
    assert [one.path.split("/")[1] for one in left.rendered.artifacts] == ["east"]
    (tmp_path / "half" / "calico" / "west").rename(tmp_path / "half" / "calico" / "north")
    unbound = made("none", "half")
    assert len(unbound.rendered.artifacts) == 2
    assert "existing-cluster-unknown" in [one.code for one in unbound.rendered.diagnostics]
