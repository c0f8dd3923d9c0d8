"""System namespaces and workloads: they get no policy unless asked, because cutting them cuts the cluster.

Detected by namespace and by workload, since people install the same things under other names.
"""

from __future__ import annotations

import re

from discovery.model.workload import WorkloadRef

SYSTEM_NAMESPACES = frozenset(
    {
        # Kubernetes
        "kube-system", "kube-node-lease", "kube-public",
        # CNI
        "cilium", "cilium-secrets", "cilium-test", "calico-system", "calico-apiserver", "tigera-operator",
        "kube-flannel", "kube-router", "openshift-ovn-kubernetes", "openshift-dns", "openshift-sdn",
        # mesh
        "istio-system", "istio-operator", "linkerd", "linkerd-cni", "linkerd-viz", "consul",
        # GitOps and admission
        "argocd", "argo-cd", "flux-system", "fleet-system", "gatekeeper-system", "kyverno", "cert-manager",
    }
)  # fmt: skip
_SYSTEM_WORKLOADS = re.compile(
    r"(?:cilium(?:-operator|-envoy)?|hubble-(?:relay|ui)|calico-(?:node|typha|kube-controllers|apiserver)|tigera-operator|"
    r"kube-(?:proxy|apiserver|controller-manager|scheduler|dns)|etcd|coredns|node-local-dns|kube-flannel(?:-ds)?|"
    r"istiod|istio-cni-node|ztunnel|linkerd-[a-z-]+|argocd-[a-z-]+|(?:source|kustomize|helm|notification)-controller)"
)


def is_system(workload: WorkloadRef) -> bool:
    """Say whether a workload belongs to the platform rather than to its users."""
    return workload.namespace in SYSTEM_NAMESPACES or _SYSTEM_WORKLOADS.fullmatch(workload.name) is not None
