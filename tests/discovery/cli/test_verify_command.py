"""``discover verify``: the contract of the command that proves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discovery import suggest
from tests.discovery.cli.running import BAD_INPUTS, check_help, from_json, requires, run


@pytest.fixture(scope="module")
def made(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the complete sample and the policies that suggest makes of it."""
    source, folder = repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("made")
    suggest(source, folder)
    return str(source), folder


def broken(made: Path, target: Path) -> Path:
    """Write a Kubernetes policy with a wrong port."""
    text = (made / "kubernetes" / "data" / "statefulset-postgres.yaml").read_text()
    path = target / "postgres.yaml"
    path.write_text(text.replace("port: 5432", "port: 5433"))
    return path


def test_help() -> None:
    """Examples and every exit code."""
    check_help("verify", examples=4)
    text = run("verify", "--help").stdout
    assert all(f"\n    {code}  " in text for code in (0, 1, 3, 4, 5))


def test_a_set_that_covers_everything_is_exit_zero(made: tuple[str, Path]) -> None:
    """A report per dialect, and the verdict at the end."""
    source, folder = made
    result = run("verify", str(folder), source)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines() if " as if enforced" in line] == [
        "Cilium", "Calico", "Kubernetes",
    ]  # fmt: skip
    assert result.stdout.splitlines()[-1].startswith("Verdict    nothing that was accepted")
    assert result.stderr == ""


def test_cut_traffic_is_exit_three(made: tuple[str, Path], tmp_path: Path) -> None:
    """The finding names policy, rule and port; the verdict says not to enforce."""
    source, folder = made
    result = run("verify", str(broken(folder, tmp_path)), source)
    assert result.exit_code == 3
    assert "nearest rule spec.ingress[0]: port 5432 is not among 5433" in result.stdout
    assert "do not enforce" in result.stdout.splitlines()[-1]


def test_json_and_sarif_are_documents(made: tuple[str, Path], tmp_path: Path) -> None:
    """With the same exit code; a baseline made of the first makes the second run pass."""
    source, folder = made
    policy = str(broken(folder, tmp_path))
    told = run("verify", policy, source, "--format", "json")
    assert told.exit_code == 3
    assert isinstance(from_json(told), dict)
    (tmp_path / "known.json").write_text(told.stdout)
    assert run("verify", policy, source, "--baseline", str(tmp_path / "known.json")).exit_code == 0
    sarif = run("verify", policy, source, "--format", "sarif")
    assert json.loads(sarif.stdout)["version"] == "2.1.0"
    assert sarif.exit_code == 3


PENDING = {
    "start_time": "2026-11-02T01:00:00Z", "end_time": "2026-11-02T01:00:15Z", "action": "Allow",
    "source_name": "web-*", "source_namespace": "shop", "source_labels": "app=web",
    "dest_name": "cart-*", "dest_namespace": "shop", "dest_labels": "app=cart", "protocol": "tcp", "dest_port": 8080,
    "packets_in": 20, "packets_out": 16, "bytes_in": 9000, "bytes_out": 1500, "reporter": "Src",
    "policies": {
        "enforced": [],
        "pending": [{"kind": "StagedNetworkPolicy", "namespace": "shop", "name": "x[1]", "action": "Deny"}],
    },
}  # fmt: skip
ALLOWS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cart}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]
"""


def test_pending_verdicts_come_out_in_every_form(tmp_path: Path) -> None:
    """In text, JSON and SARIF, with exit 0; with a baseline they are exit 5 while they are new."""
    flows, policy, known = tmp_path / "flows.jsonl", tmp_path / "p.yaml", tmp_path / "known.json"
    policy.write_text(ALLOWS)
    flows.write_text(json.dumps({**PENDING, "policies": None}) + "\n")
    known.write_text(run("verify", str(policy), str(flows), "--format", "json").stdout)
    flows.write_text(json.dumps(PENDING) + "\n")
    verify = ("verify", str(policy), str(flows))
    text = run(*verify)
    assert text.exit_code == 0, text.output
    heading = "1 finding: accepted traffic that staged policies of the cluster would deny (pending verdicts of Calico)"
    message = "the cluster's own verdict: StagedNetworkPolicy shop/x[1] would deny it"
    assert (
        f"\n  {heading} [pending-deny]\n    shop/cart\n      shop/web -> shop/cart TCP/8080: {message}\n" in text.stdout
    )
    told = json.loads(run(*verify, "--format", "json").stdout)
    (finding,) = told["reports"][0]["findings"]
    assert finding == {
        "code": "pending-deny", "level": "warning", "subject": "shop/cart", "direction": None,
        "traffic": "shop/web -> shop/cart TCP/8080", "message": message, "source": "", "flow_records": 1,
        "fingerprint": finding["fingerprint"], "new": True,
    }  # fmt: skip
    (only,) = json.loads(run(*verify, "--format", "sarif").stdout)["runs"]
    assert only["results"] == [
        {
            "ruleId": "pending-deny", "level": "warning", "locations": [],
            "message": {
                "text": "shop/cart: shop/web -> shop/cart TCP/8080: "
                "the cluster's own verdict: StagedNetworkPolicy shop/x\\[1\\] would deny it"
            },
            "partialFingerprints": {"policyDiscovery/v1": finding["fingerprint"]},
        }
    ]  # fmt: skip
    assert "pending-deny" in {rule["id"] for rule in only["tool"]["driver"]["rules"]}
    fresh = run(*verify, "--baseline", str(known))
    assert fresh.exit_code == 5
    assert fresh.stdout.splitlines()[-1].endswith("there are findings that the baseline does not have")
    known.write_text(json.dumps(told))
    again = run(*verify, "--baseline", str(known))
    assert again.exit_code == 0
    assert "      (known) shop/web -> shop/cart TCP/8080: " in again.stdout


def test_incomplete_input_proves_nothing(repo: Path, made: tuple[str, Path]) -> None:
    """Exit 4 with the reason, unless partial input is accepted."""
    lossy = str(repo / "sample_flows" / "shop-hubble-lossy.jsonl")
    result = run("verify", str(made[1]), lossy)
    assert result.exit_code == 4
    assert "the source lost" in result.stdout
    assert run("verify", str(made[1]), lossy, "--allow-partial").exit_code in (0, 3)


def test_hostile_manifests_end_in_a_message(made: tuple[str, Path], tmp_path: Path) -> None:
    """Names that drive a terminal are shown harmless."""
    (tmp_path / "p.yaml").write_text(
        'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "\\e[31mx", namespace: shop}\n'
        "spec: {podSelector: {}, policyTypes: [Ingress]}\n"
    )
    result = run("verify", str(tmp_path / "p.yaml"), made[0])
    assert result.exit_code == 3
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", sorted(BAD_INPUTS))
def test_bad_inputs_end_in_a_message(made: tuple[str, Path], tmp_path: Path, name: str) -> None:
    """As flows and as policies: exit 1 or 4, never a traceback."""
    (tmp_path / name).write_bytes(BAD_INPUTS[name])
    assert run("verify", str(made[1]), str(tmp_path / name)).exit_code in (1, 4)
    (tmp_path / "p.yaml").write_bytes(BAD_INPUTS[name])
    assert run("verify", str(tmp_path / "p.yaml"), made[0]).exit_code in (0, 1, 3)


def test_a_folder_without_policies_is_an_error(made: tuple[str, Path], tmp_path: Path) -> None:
    """With what to do."""
    requires(run("verify", str(tmp_path), made[0]), 1, "no manifests", "kubectl get")
