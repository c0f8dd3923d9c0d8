"""The Kubernetes dialect: ``networking.k8s.io/v1`` NetworkPolicy.

Format: https://kubernetes.io/docs/concepts/services-networking/network-policies/. The API has no monitor mode.
What is written instead: a policy that selects only pods which carry an opt-in label, or, where Calico enforces,
a ``projectcalico.org/v3`` StagedKubernetesNetworkPolicy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from discovery.model.artifact import Rendered
from discovery.model.edge import Direction
from discovery.model.intent import Dialect, Peer, PolicyIntent, WorkloadPeer
from discovery.model.workload import Selector
from generators.base import (
    MANAGED_BY,
    PROMOTE,
    Capabilities,
    Code,
    EntityForm,
    GroupingStyle,
    Guide,
    Inexpressible,
    PeerKind,
    RenderRequest,
    RuleGroup,
    Writer,
    check_enforcing,
    check_host,
    metadata,
    networks,
    port_ranges,
    render_with,
)
from generators.yaml_writer import Node

OPT_IN_KEY = f"{MANAGED_BY}/enforce"
OPT_IN_VALUE = "true"
NAMESPACE_KEY = "kubernetes.io/metadata.name"
PLURAL = "networkpolicies.networking.k8s.io"
STAGED_PLURAL = "stagedkubernetesnetworkpolicies.projectcalico.org"

CAPABILITIES = Capabilities(
    dialect=Dialect.KUBERNETES,
    monitor_since=(0, 0),
    port_ranges_since=(1, 22),
    icmp_since=None,
    max_icmp_type=0,
    workload_peers_since=(1, 21),
    service_accounts=False,
    cross_cluster=False,
    own_host_calls=True,
    ports_per_item=None,
    nets_per_rule=None,
    rules_per_direction=None,
)


def render(request: RenderRequest) -> Rendered:
    """Return one NetworkPolicy (or its staged form) for each workload with an isolated direction."""
    return render_with(KubernetesWriter(request))


class KubernetesWriter(Writer):
    """Writes Kubernetes NetworkPolicies."""

    capabilities = CAPABILITIES
    style = GroupingStyle(one_protocol=False, shared=frozenset(PeerKind), entity_by_address=True)

    def __init__(self, request: RenderRequest) -> None:
        super().__init__(request)
        by_calico = self.platform.setting("enforcer") == "calico"
        self.staged = self.monitor and by_calico
        self.opt_in = self.monitor and not by_calico
        by_address = by_calico or "nodes" in self.platform.setting("policy-cidr-match-mode")
        self._entities = EntityForm.ADDRESS if by_address else EntityForm.NONE

    @property
    def entities(self) -> EntityForm:
        """Return how nodes are written: by address where Calico enforces, or Cilium with a setting for it."""
        return self._entities

    @property
    def nets_hold_pods(self) -> bool:
        """Say whether an ipBlock matches pods or nodes, or may: on Cilium by setting alone."""
        on_cilium = self.platform.setting("enforcer") == "cilium"
        return not on_cilium or self.platform.setting("policy-cidr-match-mode") != "none"

    @property
    def own_node_needs_rule(self) -> bool:
        """Say whether the own node is subject to policy: on Cilium by setting alone."""
        return self.platform.setting("allow-localhost") == "policy"

    def check_platform(self) -> None:
        """Refuse monitor mode where everything is isolated already, and to enforce where nothing is enforced."""
        super().check_platform()
        check_enforcing(self)

    def check_peer(self, intent: PolicyIntent, peer: Peer) -> None:
        """Refuse the own node where it drops what its pods send."""
        super().check_peer(intent, peer)
        check_host(self, intent, peer)

    def check_intent(self, intent: PolicyIntent) -> None:
        """Refuse a subject that selects by our own opt-in label: its pods have opted in already."""
        super().check_intent(intent)
        if intent.subject.labels.get(OPT_IN_KEY) is not None:
            raise Inexpressible(
                Code.LABEL_RESERVED,
                f"the subject is selected by {OPT_IN_KEY}, the label that turns enforcement on",
                "remove that label from the pods",
            )

    def rules(self, intent: PolicyIntent, rule: RuleGroup) -> Sequence[Mapping[str, Node]]:
        """Return the one rule of a group."""
        member = "from" if intent.direction is Direction.INGRESS else "to"
        return [{member: list(_peers(rule)), "ports": list(self._ports(rule))}]

    def manifest(self, name: str, subject: Selector, sections: Mapping[Direction, Node]) -> dict[str, Node]:
        """Return the NetworkPolicy or its staged form."""
        labels = subject.labels.as_dict() | ({OPT_IN_KEY: OPT_IN_VALUE} if self.opt_in else {})
        spec: dict[str, Node] = {"stagedAction": "Set"} if self.staged else {}
        spec |= {"podSelector": _pods(labels), "policyTypes": [direction.capitalize() for direction in sections]}
        spec |= {direction.value: section for direction, section in sections.items()}
        return {
            "apiVersion": "projectcalico.org/v3" if self.staged else "networking.k8s.io/v1",
            "kind": "StagedKubernetesNetworkPolicy" if self.staged else "NetworkPolicy",
            "metadata": metadata(name, subject.namespace, self.request.mode),
            "spec": spec,
        }

    def guide(self, name: str, namespace: str, directions: str) -> Guide:
        """Return what the header says."""
        rollback = f"kubectl delete {STAGED_PLURAL if self.staged else PLURAL} -n {namespace} {name}"
        if self.staged:
            return Guide(
                effect=f"changes no verdict. What it would do to {directions} is reported, never enforced.",
                watch="flows in Goldmane or Whisker whose pending_policies end in Deny while the action is Allow",
                promote=f"{PROMOTE} (same name), then delete this one as below.",
                rollback=(rollback,),
            )
        if self.opt_in:
            label = f"kubectl label pod -n {namespace}"
            return Guide(
                effect=f"changes no verdict until a pod is labelled {OPT_IN_KEY}={OPT_IN_VALUE}; then it isolates the"
                f" {directions} of that pod.",
                watch="record flows and run 'discover suggest' on them: a rule that it adds is traffic that this"
                " policy would deny. Or label one pod as a canary",
                watch_commands=(f"{label} POD {OPT_IN_KEY}={OPT_IN_VALUE}",),
                promote=f"{PROMOTE}; it has the same name and replaces this one.",
                rollback=(f"{label} POD {OPT_IN_KEY}-", rollback),
            )
        return Guide(
            effect=f"isolates the {directions} of these pods: what no policy allows is denied. The cluster must have a"
            " network plugin that enforces NetworkPolicy.",
            watch="denied connections in the plugin's flow log; Kubernetes itself reports none",
            rollback=(rollback,),
        )

    def _ports(self, rule: RuleGroup) -> Iterator[dict[str, Node]]:
        """Yield the items of a port list; an item without a port is every port of its protocol."""
        for protocol, ports in rule.ports:
            ranges = port_ranges(ports, self.platform, CAPABILITIES)
            if ranges is None:
                yield {"protocol": protocol.value}
                continue
            for low, high in ranges:
                end: dict[str, Node] = {"endPort": high} if high > low else {}
                yield {"port": low, **end, "protocol": protocol.value}


def _peers(rule: RuleGroup) -> Iterator[dict[str, Node]]:
    """Yield the peers of a rule; namespace and pods stand in ONE item, which means both."""
    for peer in rule.peers:
        if isinstance(peer, WorkloadPeer):
            yield {
                "namespaceSelector": _pods({NAMESPACE_KEY: peer.selector.namespace}),
                "podSelector": _pods(peer.selector.labels.as_dict()),
            }
    for cidr in networks(rule.peers):
        yield {"ipBlock": {"cidr": cidr}}


def _pods(labels: dict[str, str]) -> dict[str, Node]:
    """Return a label selector; no label selects everything."""
    return {"matchLabels": dict(sorted(labels.items()))} if labels else {}
