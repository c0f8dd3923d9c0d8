"""Tests of discovery.app.explain."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from discovery import suggest
from discovery.app.explain import explain_connection, explain_rule, is_rule
from discovery.app.verify import VerifyOptions
from discovery.model.errors import InputError, OptionError
from discovery.verify.decisions import Outcome


@pytest.fixture(scope="module")
def made(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the complete sample and what suggest makes of it."""
    source, folder = repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("explain")
    suggest(source, folder)
    return source, folder


def test_every_rule_of_a_set_can_be_explained(made: tuple[Path, Path]) -> None:
    """Each evidence id of a comment leads to its evidence, and back to all lines that name it."""
    _, folder = made
    path = folder / "cilium" / "shop" / "deployment-cart.yaml"
    found = re.findall(r"evidence ([0-9a-f]{8})", path.read_text())
    assert found
    for identifier in found:
        reason = explain_rule(folder, identifier)
        assert reason.workload == "shop/cart"
        assert reason.rule["origin"]
        for place in reason.places:
            name, _, line = place.rpartition(":")
            assert identifier in (folder / name).read_text().splitlines()[int(line) - 1]
        assert "cilium" in {place.split("/")[0] for place in reason.places}


def test_an_id_that_nothing_has_is_an_error(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Of this folder, and of one without evidence."""
    for folder in (made[1], tmp_path):
        with pytest.raises(InputError):
            explain_rule(folder, "00000000")


def test_ids_and_connections_are_told_apart() -> None:
    """Eight hex digits are an id."""
    assert is_rule("1a2b3c4d")
    assert not is_rule("shop/web -> shop/db TCP/1")


def test_a_connection_is_traced_in_each_set(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Allowed as learned; denied with the port changed, at the side that denies."""
    source, folder = made
    what = "shop/frontend -> shop/catalog TCP/7070"
    found = explain_connection(folder, what, source, VerifyOptions())
    assert [one.policies for one in found] == ["cilium", "calico", "kubernetes"]
    assert {one.outcome for one in found} == {Outcome.ALLOWED}
    shutil.copytree(folder / "kubernetes", tmp_path / "k")
    target = tmp_path / "k" / "shop" / "deployment-catalog.yaml"
    target.write_text(target.read_text().replace("port: 7070", "port: 7071"))
    (one,) = explain_connection(tmp_path / "k", what, source, VerifyOptions())
    egress, ingress = one.sides
    assert (one.outcome, egress.decision.outcome, ingress.decision.outcome) == (
        Outcome.DENIED, Outcome.ALLOWED, Outcome.DENIED,
    )  # fmt: skip
    assert any("TCP/7071" in look.says for look in ingress.looks)


@pytest.mark.parametrize("text", ["{", '{"workload": {"namespace": "a", "name": "b"}, "directions": [{}]}', "\udc80"])
def test_a_torn_evidence_file_is_an_error(tmp_path: Path, text: str) -> None:
    """Never a traceback."""
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="is no evidence file"):
        explain_rule(tmp_path, "1a2b3c4d")


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("host -> shop/cart TCP/8086", Outcome.ALLOWED),
        ("world -> shop/cart TCP/7070", Outcome.DENIED),
        ("198.51.100.250 -> shop/cart udp/1", Outcome.DENIED),
        ("shop/cart -> 2001:db8::1 ICMPv6 type 128", Outcome.DENIED),
    ],
)
def test_ends_may_be_entities_and_addresses(made: tuple[Path, Path], what: str, outcome: Outcome) -> None:
    """In the words that verify shows."""
    assert {one.outcome for one in explain_connection(made[1] / "cilium", what, made[0], VerifyOptions())} == {outcome}


@pytest.mark.parametrize(
    "what",
    [
        "",
        "shop/cart",
        "a -> b",
        "shop/cart -> shop/db GRE/1",
        "shop/none -> shop/cart TCP/1",
        "a -> b TCP/99999999",
        "shop/frontend -> shop/cart TCP/65536",
        "shop/frontend -> shop/cart ICMP type 256",
        "shop/frontend -> shop/cart ICMP/8",
        "shop/frontend -> shop/cart TCP type 8",
    ],
)
def test_what_is_no_connection_is_an_error(made: tuple[Path, Path], what: str) -> None:
    """With an example of one."""
    with pytest.raises(OptionError) as caught:
        explain_connection(made[1], what, made[0], VerifyOptions())
    assert caught.value.hint
