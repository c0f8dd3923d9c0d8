"""What is there already is not written again, and nothing of it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discovery.app.deployed import Deployed, read_deployed
from discovery.app.dialects import Made, Wanted, make
from discovery.model.diagnostics import Level
from discovery.model.edge import Direction
from discovery.model.intent import Allow, Dialect, Mode
from discovery.model.platform import Platform
from discovery.verify.meaning import intended, written
from discovery.verify.read import read_policies
from tests.discovery.verify.asking import knp
from tests.discovery.verify.builders import cidr_peer, intent, platform, tcp, version, workload_peer

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
) -> Made:
    """Make one dialect of web's intents, beside what is there."""
    sides = ((Direction.INGRESS, ingress), (Direction.EGRESS, egress))
    deployed: dict[Dialect, Deployed] = {} if there is None else read_deployed(there)
    intents = tuple(intent("web", direction, *allows) for direction, allows in sides if allows)
    wanted = Wanted(intents=intents, edges=(), versions=VERSIONS, mode=mode, owners={}, deployed=deployed)
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
    """That would open what is closed; in enforce mode the rule is added."""
    on = PLATFORMS[Dialect.CALICO]
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
