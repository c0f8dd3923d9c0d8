"""System workloads: found by namespace and by name, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from discovery.learn.system import SYSTEM_PARTS, is_system
from tests.discovery.learn.builders import ref


@pytest.mark.parametrize("namespace", sorted(name for part in SYSTEM_PARTS for name in part.namespaces))
def test_everything_in_a_system_namespace_is_system(namespace: str) -> None:
    """The documented namespaces get no policy, whatever runs in them."""
    assert is_system(ref("anything", namespace=namespace))


@pytest.mark.parametrize(
    "name",
    [
        "cilium",
        "cilium-operator",
        "hubble-relay",
        "calico-node",
        "kube-proxy",
        "coredns",
        "etcd",
        "istiod",
        "ztunnel",
        "argocd-repo-server",
        "linkerd-destination",
        "helm-controller",
        "node-local-dns",
        "kube-dns",
        "metrics-server",
        "cert-manager-webhook",
        "aws-node",
        "istiod-1-25",
        "kube-multus-ds-amd64",
        "image-automation-controller",
        "argo-rollouts",
        "fleet-agent",
        "kuma-control-plane",
    ],
)
def test_system_workloads_are_found_in_any_namespace(name: str) -> None:
    """People install the same things under other names of namespaces."""
    assert is_system(ref(name, namespace="infra"))


@pytest.mark.parametrize(
    "name", ["web", "my-cilium", "cilium-demo-app", "etcd-backup", "coredns2", "controller", "istiod\n", "x-kube-proxy"]
)
def test_lookalikes_are_not_system(name: str) -> None:
    """A name is matched as a whole: a lookalike of a system workload still gets its policy."""
    assert not is_system(ref(name, namespace="infra"))
