"""The Calico dialect: ``projectcalico.org/v3`` NetworkPolicy, and StagedNetworkPolicy to monitor.

Format: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy and the CRD's schema. The policies
stand in one tier, by default ``default`` before Kubernetes policies (order 1000), and contain allows only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from discovery.model.artifact import Rendered
from discovery.model.edge import Direction, Protocol
from discovery.model.intent import Dialect, Peer, PolicyIntent, WorkloadPeer
from discovery.model.platform import STAGED_SINCE
from discovery.model.workload import Selector
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
    check_host,
    chunks,
    metadata,
    networks,
    port_ranges,
    render_with,
)
from generators.yaml_writer import Node

DEFAULT_TIER = "default"
ORDER = 900
MAX_SELECTOR = 1024
ENFORCED = ("NetworkPolicy", "networkpolicies.projectcalico.org")
ICMP_VERSIONS = {Protocol.ICMP: 4, Protocol.ICMPV6: 6}
STAGED = ("StagedNetworkPolicy", "stagednetworkpolicies.projectcalico.org")

# The limits on lists are those of the 3.33 schema; older releases have none.
CAPABILITIES = Capabilities(
    dialect=Dialect.CALICO,
    monitor_since=STAGED_SINCE,
    port_ranges_since=(0, 0),
    icmp_since=(0, 0),
    max_icmp_type=254,
    workload_peers_since=(0, 0),
    service_accounts=True,
    cross_cluster=False,
    own_host_calls=True,
    ports_per_item=50,
    nets_per_rule=256,
    rules_per_direction=1024,
)


def render(request: RenderRequest) -> Rendered:
    """Return one NetworkPolicy or StagedNetworkPolicy for each workload with an isolated direction."""
    return render_with(CalicoWriter(request))


class CalicoWriter(Writer):
    """Writes Calico policies."""

    capabilities = CAPABILITIES
    style = GroupingStyle(one_protocol=True, shared=frozenset((PeerKind.ENTITY, PeerKind.CIDR)), entity_by_address=True)
    entities = EntityForm.ADDRESS

    def check_platform(self) -> None:
        """Refuse monitor mode where there are no staged policies."""
        super().check_platform()
        if self.monitor and self.platform.setting("staged") == "false":
            raise Inexpressible(
                Code.MONITOR_NOT_INERT,
                "this cluster has no staged policies (staged=false)",
                "use --mode enforce, or a cluster with Calico 3.30 or later",
            )

    def check_intent(self, intent: PolicyIntent) -> None:
        """Refuse selectors that are too long."""
        super().check_intent(intent)
        _selector(intent.subject)

    def check_peer(self, intent: PolicyIntent, peer: Peer) -> None:
        """Refuse selectors that are too long, and the own node where it drops what its pods send."""
        super().check_peer(intent, peer)
        if isinstance(peer, WorkloadPeer):
            _selector(peer.selector)
        check_host(self, intent, peer)

    def rules(self, intent: PolicyIntent, rule: RuleGroup) -> Sequence[Mapping[str, Node]]:
        """Return the rules of a group: one for each list of nets, list of ports and ICMP type."""
        return [
            _rule(intent.direction, peer, protocol, content)
            for peer in _peers(rule)
            for protocol, content in self._contents(rule)
        ]

    def manifest(self, name: str, subject: Selector, sections: Mapping[Direction, Node]) -> dict[str, Node]:
        """Return the policy."""
        spec: dict[str, Node] = {"stagedAction": "Set"} if self.monitor else {}
        spec |= {"tier": self.tier, "order": ORDER, "selector": _selector(subject)}
        if subject.service_account is not None:
            spec["serviceAccountSelector"] = f"projectcalico.org/name == '{subject.service_account}'"
        spec["types"] = [direction.capitalize() for direction in sections]
        spec |= {direction.value: section for direction, section in sections.items()}
        return {
            "apiVersion": "projectcalico.org/v3",
            "kind": (STAGED if self.monitor else ENFORCED)[0],
            "metadata": metadata(self.full_name(name), subject.namespace, self.request.mode),
            "spec": spec,
        }

    @property
    def tier(self) -> str:
        """Return the tier of the policies; another one than ``default`` has to exist before they are applied."""
        return self.platform.setting("tier")

    def full_name(self, name: str) -> str:
        """Return the name of a policy: outside of the default tier it starts with the tier (required up to 3.31)."""
        return name if self.tier == DEFAULT_TIER else f"{self.tier}.{name}"

    def guide(self, name: str, namespace: str, directions: str) -> Guide:
        """Return what the header says."""
        plural = (STAGED if self.monitor else ENFORCED)[1]
        rollback = (f"kubectl delete {plural} -n {namespace} {self.full_name(name)}",)
        if not self.monitor:
            final = (
                "" if self.tier == DEFAULT_TIER else " An allow here is final: policies of later tiers are not asked."
            )
            return Guide(
                effect=f"isolates the {directions} of these pods for new connections: what no policy allows is denied."
                f"{final}",
                watch="denied flows in Goldmane or Whisker (Calico 3.30 or later)",
                rollback=rollback,
            )
        return Guide(
            effect=f"changes no verdict. What it would do to {directions} is reported, never enforced.",
            watch="flows in Goldmane or Whisker whose pending_policies end in Deny while the action is Allow",
            promote=f"{PROMOTE} (same name, tier and order), then delete this one as below.",
            rollback=rollback,
        )

    def _contents(self, rule: RuleGroup) -> Iterator[tuple[str, Mapping[str, Node]]]:
        """Yield the protocol of each rule with its ports (none for every port) or its ICMP type."""
        for protocol, types in rule.icmp:
            for icmp_type in types:
                yield protocol.value, {"icmp": {"type": icmp_type}}
        for protocol, ports in rule.ports:
            ranges = port_ranges(ports, self.platform, CAPABILITIES)
            if ranges is None:
                yield protocol.value, {}
                continue
            items = [low if low == high else f"{low}:{high}" for low, high in ranges]
            for part in chunks(items, CAPABILITIES.ports_per_item):
                yield protocol.value, {"ports": part}


def _rule(
    direction: Direction, peer: Mapping[str, Node], protocol: str, content: Mapping[str, Node]
) -> dict[str, Node]:
    """Return one rule; the peer is the source on ingress, the ports are always the destination's."""
    rule: dict[str, Node] = {"action": "Allow", "protocol": protocol}
    if "icmp" in content:
        rule["icmp"] = content["icmp"]
    ports = {"ports": content["ports"]} if "ports" in content else {}
    if direction is Direction.EGRESS:
        return {**rule, "destination": {**peer, **ports}}
    return {**rule, "source": peer, **({"destination": ports} if ports else {})}


def _peers(rule: RuleGroup) -> Iterator[dict[str, Node]]:
    """Yield the entity rules for the peers of a group: a selector, or nets of one IP family."""
    if rule.kind is PeerKind.WORKLOAD:
        for peer in rule.peers:
            if isinstance(peer, WorkloadPeer):
                yield _entity_rule(peer.selector)
        return
    nets = networks(rule.peers)
    families = {4: [net for net in nets if ":" not in net], 6: [net for net in nets if ":" in net]}
    for protocol, _ in rule.icmp:
        # A rule with ICMP and nets of the other family could never match.
        version = ICMP_VERSIONS[protocol]
        families = {version: families[version]}
        if not families[version]:
            hint = "look at the source of these flows"
            raise Inexpressible(Code.ICMP, f"{protocol} with a peer that has no IPv{version} address", hint)
    for family in families.values():
        for part in chunks(family, CAPABILITIES.nets_per_rule):
            yield {"nets": part}


def _entity_rule(selector: Selector) -> dict[str, Node]:
    """Return the entity rule that names the pods of a selector."""
    rule: dict[str, Node] = {
        "selector": _selector(selector),
        "namespaceSelector": f"kubernetes.io/metadata.name == '{selector.namespace}'",
    }
    if selector.service_account is not None:
        rule["serviceAccounts"] = {"names": [selector.service_account]}
    return rule


def _selector(selector: Selector) -> str:
    """Return the labels of a selector in Calico's language.

    The language has no escapes; it needs none, because what is no Kubernetes label was refused before.
    """
    text = " && ".join(f"{key} == '{value}'" for key, value in selector.labels.pairs) or "all()"
    if len(text) > MAX_SELECTOR:
        raise Inexpressible(
            Code.SELECTOR_TOO_LONG,
            f"a selector of {len(text)} characters is longer than {MAX_SELECTOR}",
            "give these pods a label of their own",
        )
    return text
