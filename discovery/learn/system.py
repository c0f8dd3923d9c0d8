"""System namespaces and workloads: they get no policy unless asked, because cutting them cuts the cluster.

Detected by namespace and by workload, since people install the same things under other names. ``docs/system.md`` is
generated from this list.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from discovery.model.workload import WorkloadRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPart:
    """One part of the platform. ``workloads`` are names, in which ``*`` stands for anything."""

    what: str
    namespaces: tuple[str, ...]
    workloads: tuple[str, ...]


SYSTEM_PARTS = (
    SystemPart(
        what="Kubernetes",
        namespaces=("kube-system", "kube-node-lease", "kube-public"),
        workloads=(
            "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kube-dns", "coredns",
            "node-local-dns", "metrics-server", "konnectivity-agent",
        ),
    ),
    SystemPart(
        what="CNI",
        namespaces=(
            "cilium", "cilium-secrets", "cilium-test", "calico-system", "calico-apiserver", "tigera-operator",
            "kube-flannel", "kube-router", "openshift-ovn-kubernetes", "openshift-dns", "openshift-sdn",
        ),
        workloads=(
            "cilium", "cilium-node-init", "cilium-operator", "cilium-envoy", "hubble-relay", "hubble-ui", "calico-node",
            "calico-typha",
            "calico-kube-controllers", "calico-apiserver", "goldmane", "whisker", "tigera-operator", "kube-flannel",
            "kube-flannel-ds", "kube-router", "aws-node", "azure-cns", "calico-node-windows", "kube-multus-ds*",
            "weave-net", "antrea-agent", "antrea-controller",
        ),
    ),
    SystemPart(
        what="Mesh",
        namespaces=("istio-system", "istio-operator", "linkerd", "linkerd-cni", "linkerd-viz", "consul", "kuma-system"),
        workloads=("istiod", "istiod-*", "istio-cni-node", "kuma-control-plane", "ztunnel", "linkerd-*"),
    ),
    SystemPart(
        what="GitOps and admission",
        namespaces=(
            "argocd", "argo-cd", "argo-rollouts", "flux-system", "fleet-system", "cattle-fleet-system",
            "gatekeeper-system", "kyverno", "cert-manager",
        ),
        workloads=(
            "argocd-*", "source-controller", "kustomize-controller", "helm-controller", "notification-controller",
            "image-reflector-controller", "image-automation-controller", "argo-rollouts", "fleet-agent",
            "fleet-controller",
            "gatekeeper-*", "kyverno-*", "cert-manager", "cert-manager-*",
        ),
    ),
)  # fmt: skip


def is_system(workload: WorkloadRef) -> bool:
    """Say whether a workload belongs to the platform rather than to its users."""
    return any(
        workload.namespace in part.namespaces or any(fnmatchcase(workload.name, name) for name in part.workloads)
        for part in SYSTEM_PARTS
    )
