"""The Cilium dialect: ``cilium.io/v2`` CiliumNetworkPolicy.

Format: https://docs.cilium.io/en/stable/security/policy/language/ and the CRD's schema. Cilium has no monitor
mode for one policy; what is written is a policy that isolates nothing (``enableDefaultDeny: false``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from discovery.model.artifact import Rendered
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect, EntityPeer, Peer, PolicyIntent, WorkloadPeer
from discovery.model.workload import Entity, Selector
from generators.base import (
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
    chunks,
    is_label_value,
    metadata,
    networks,
    port_ranges,
    render_with,
)
from generators.yaml_writer import Node

NAMESPACE_KEY = "k8s:io.kubernetes.pod.namespace"
CLUSTER_KEY = "k8s:io.cilium.k8s.policy.cluster"
SERVICE_ACCOUNT_KEY = "k8s:io.cilium.k8s.policy.serviceaccount"
PLURAL = "ciliumnetworkpolicies.cilium.io"
DEFAULT_DENY_SINCE = (1, 16)
APISERVER_SINCE = (1, 11)
ICMP_FAMILIES = {Protocol.ICMP: "IPv4", Protocol.ICMPV6: "IPv6"}

# Keys that are no part of a Cilium identity by default, so a selector with one matches nothing
# (https://docs.cilium.io/en/stable/operations/performance/scalability/identity-relevant-labels/), and keys that
# Cilium makes itself.
NOT_IN_IDENTITY = re.compile(
    r"io\.kubernetes|kubernetes\.io|k8s\.io|pod-template-generation|pod-template-hash|controller-revision-hash"
    r"|controller-uid|annotation|etcd_node|topology\.kubernetes\.io|.*beta\.kubernetes\.io|io\.cilium\.k8s"
    r"|(statefulset\.kubernetes\.io/pod-name|apps\.kubernetes\.io/pod-index"
    r"|batch\.kubernetes\.io/job-completion-index|batch\.kubernetes\.io/controller-uid)$"
)

CAPABILITIES = Capabilities(
    dialect=Dialect.CILIUM,
    monitor_since=DEFAULT_DENY_SINCE,
    port_ranges_since=(1, 16),
    icmp_since=(1, 11),
    max_icmp_type=255,
    workload_peers_since=(0, 0),
    service_accounts=True,
    cross_cluster=True,
    # True in fact (allow-localhost=always), but the entity costs one line and is exact.
    own_host_calls=False,
    ports_per_item=40,
    nets_per_rule=None,
    rules_per_direction=None,
)


def render(request: RenderRequest) -> Rendered:
    """Return one CiliumNetworkPolicy for each workload with an isolated direction."""
    return render_with(CiliumWriter(request))


class CiliumWriter(Writer):
    """Writes CiliumNetworkPolicies."""

    capabilities = CAPABILITIES
    style = GroupingStyle(one_protocol=False, shared=frozenset(PeerKind), entity_by_address=False)
    entities = EntityForm.NAME

    @property
    def nets_hold_pods(self) -> bool:
        """Say whether CIDR rules match pods or nodes: by setting alone."""
        return self.platform.setting("policy-cidr-match-mode") != "none"

    @property
    def own_node_needs_rule(self) -> bool:
        """Say whether the own node is subject to policy: by setting alone."""
        return self.platform.setting("allow-localhost") == "policy"

    def check_platform(self) -> None:
        """Refuse monitor mode where ``enableDefaultDeny: false`` is unknown or overruled, or where everything is
        isolated already; refuse to enforce where nothing is enforced.
        """
        super().check_platform()
        check_enforcing(self)
        if self.monitor and self.platform.setting("enable-non-default-deny-policies") == "false":
            raise Inexpressible(
                Code.MONITOR_NOT_INERT,
                "with enable-non-default-deny-policies=false every policy isolates, also one in monitor mode",
                "turn the agent's flag on, or use --mode enforce",
            )

    def check_intent(self, intent: PolicyIntent) -> None:
        """Refuse labels that no identity has, and monitor mode where the allows would open traffic."""
        super().check_intent(intent)
        _check_identity(intent.subject)
        if self.monitor and (intent.workload, intent.direction) in self.request.existing_isolated:
            raise Inexpressible(
                Code.ALREADY_ISOLATED,
                "a policy governs it already, where these allows would open traffic at once",
                "--mode enforce with --existing DIR adds what those policies lack",
            )

    def check_peer(self, intent: PolicyIntent, peer: Peer) -> None:
        """Refuse labels that no identity has, and entities of later versions."""
        super().check_peer(intent, peer)
        if isinstance(peer, WorkloadPeer):
            _check_identity(peer.selector)
            if not is_label_value(peer.selector.cluster):
                raise Inexpressible(
                    Code.CROSS_CLUSTER, "the cluster's name cannot be a label value", "name the cluster as Cilium does"
                )
        late = isinstance(peer, EntityPeer) and peer.entity is Entity.KUBE_APISERVER
        if late and self.platform.version < APISERVER_SINCE:
            raise Inexpressible(Code.ENTITY, "entity kube-apiserver needs cilium 1.11 or later", "upgrade Cilium")

    def rules(self, intent: PolicyIntent, rule: RuleGroup) -> Sequence[Mapping[str, Node]]:
        """Return the one rule of a group."""
        members = _members(intent, rule)
        if rule.icmp:
            fields: list[Node] = [
                {"family": ICMP_FAMILIES[protocol], "type": icmp_type}
                for protocol, types in rule.icmp
                for icmp_type in types
            ]
            return [{**members, "icmps": [{"fields": part} for part in chunks(fields, CAPABILITIES.ports_per_item)]}]
        ports = list(self._ports(rule))
        return [{**members, "toPorts": [{"ports": part} for part in chunks(ports, CAPABILITIES.ports_per_item)]}]

    def manifest(self, name: str, subject: Selector, sections: Mapping[Direction, Node]) -> dict[str, Node]:
        """Return the CiliumNetworkPolicy."""
        spec: dict[str, Node] = {"endpointSelector": _selector(_match_labels(subject))}
        if self.platform.version >= DEFAULT_DENY_SINCE:
            spec["enableDefaultDeny"] = {
                direction.value: direction in sections and not self.monitor
                for direction in (Direction.INGRESS, Direction.EGRESS)
            }
        spec |= {direction.value: section for direction, section in sections.items()}
        return {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": metadata(name, subject.namespace, self.request.mode),
            "spec": spec,
        }

    def guide(self, name: str, namespace: str, directions: str) -> Guide:
        """Return what the header says."""
        rollback = (f"kubectl delete {PLURAL} -n {namespace} {name}",)
        if not self.monitor:
            always = self.platform.setting("enable-policy") == "always"
            rest = " With enable-policy=always a direction without a policy is isolated, too." if always else ""
            return Guide(
                effect=f"isolates the {directions} of these pods: what no policy allows is dropped, open connections"
                f" too.{rest}",
                watch="drops, live",
                watch_commands=(f"hubble observe --namespace {namespace} --verdict DROPPED --follow",),
                rollback=rollback,
            )
        return Guide(
            effect=f"changes no verdict. It isolates nothing (enableDefaultDeny: false); Cilium does not report which"
            f" {directions} it would deny.",
            watch="record flows and run 'discover suggest' on them: a rule that it adds is traffic that this policy"
            " would deny",
            watch_commands=(f"hubble observe --namespace {namespace} --since 24h --output jsonpb > flows.jsonl",),
            promote=f"{PROMOTE}; it has the same name and replaces this one.",
            rollback=rollback,
        )

    def _ports(self, rule: RuleGroup) -> Iterator[dict[str, Node]]:
        """Yield the items of a port list; port "0" is Cilium's word for every port."""
        for protocol, ports in rule.ports:
            ranges = port_ranges(ports, self.platform, CAPABILITIES)
            for low, high in ranges if ranges is not None else ((0, 0),):
                end: dict[str, Node] = {"endPort": high} if high > low else {}
                yield {"port": str(low), **end, "protocol": protocol.value}


def _members(intent: PolicyIntent, rule: RuleGroup) -> dict[str, Node]:
    """Return the L3 member of a rule: exactly one kind."""
    prefix = "from" if intent.direction is Direction.INGRESS else "to"
    if rule.kind is PeerKind.CIDR:
        return {f"{prefix}CIDRSet": [{"cidr": cidr} for cidr in networks(rule.peers)]}
    if rule.kind is PeerKind.ENTITY:
        return {f"{prefix}Entities": [peer.entity.value for peer in rule.peers if isinstance(peer, EntityPeer)]}
    selectors = [peer.selector for peer in rule.peers if isinstance(peer, WorkloadPeer)]
    return {f"{prefix}Endpoints": [_selector(_peer_labels(intent.subject, selector)) for selector in selectors]}


def _check_identity(selector: Selector) -> None:
    """Raise :class:`Inexpressible` for a selector that no Cilium identity could match."""
    for key, _ in selector.labels.pairs:
        if NOT_IN_IDENTITY.match(key):
            raise Inexpressible(
                Code.LABEL_NOT_IN_IDENTITY,
                f"the label {key} is no part of a Cilium identity, so a selector with it matches nothing",
                "give these pods another label that tells them apart",
            )
    if not is_label_value(selector.service_account or ""):
        raise Inexpressible(
            Code.SERVICE_ACCOUNT,
            "the service account's name is too long for a Cilium label",
            "give these pods a label of their own",
        )


def _match_labels(selector: Selector) -> dict[str, Node]:
    """Return the labels of a selector as Cilium writes them, without the namespace."""
    labels: dict[str, Node] = {f"k8s:{key}": value for key, value in selector.labels.pairs}
    if selector.service_account is not None:
        labels[SERVICE_ACCOUNT_KEY] = selector.service_account
    return labels


def _peer_labels(subject: Selector, selector: Selector) -> dict[str, Node]:
    """Return the labels of a peer: its namespace always, its cluster when it is not the subject's."""
    labels = _match_labels(selector) | {NAMESPACE_KEY: selector.namespace}
    return labels if selector.cluster == subject.cluster else labels | {CLUSTER_KEY: selector.cluster}


def _selector(labels: dict[str, Node]) -> dict[str, Node]:
    """Return a label selector; no label selects everything."""
    return {"matchLabels": labels} if labels else {}
