"""What no platform takes, or one cannot say: each check raises :class:`Inexpressible` with a code and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from discovery.model.edge import Direction
from discovery.model.intent import Allow, EntityPeer, Peer, PolicyIntent, WorkloadPeer
from discovery.model.workload import Entity, Selector
from generators.findings import Code, EntityForm, Inexpressible
from generators.names import is_dns_label, is_label_key, is_label_value, is_subdomain
from generators.yaml_writer import clean

if TYPE_CHECKING:
    from generators.base import Capabilities, Writer


def networks(peers: Iterable[Peer]) -> tuple[str, ...]:
    """Return the prefixes and addresses of peers as canonical prefixes, each once, IPv4 first.

    Raises ``ValueError`` for text that is not a prefix (checked before for every allow).
    """
    found = set()
    for peer in peers:
        if isinstance(peer, EntityPeer):
            found |= {ip_network(ip_address(address)) for address in peer.addresses}
        elif not isinstance(peer, WorkloadPeer):
            found |= {ip_network(prefix) for prefix in peer.prefixes}
    ordered = sorted(found, key=lambda net: (net.version, int(net.network_address), net.prefixlen))
    return tuple(map(str, ordered))


def check_selector(selector: Selector, capabilities: Capabilities) -> None:
    """Raise :class:`Inexpressible` if no API server would take the selector, or the dialect has none like it."""
    hint = "this name is not from Kubernetes; look at the source of these flows"
    if not is_dns_label(selector.namespace):
        raise Inexpressible(Code.NAMESPACE_INVALID, f"{clean(selector.namespace, 80)!r} is not a namespace", hint)
    for key, value in selector.labels.pairs:
        if not (is_label_key(key) and is_label_value(value)):
            raise Inexpressible(Code.LABEL_INVALID, f"{clean(f'{key}={value}', 80)!r} is not a label", hint)
    account = selector.service_account
    if account is None:
        return
    if not capabilities.service_accounts:
        raise Inexpressible(
            Code.SERVICE_ACCOUNT,
            f"the dialect cannot select the service account {clean(account, 80)!r}",
            "give these pods a label of their own, or use a dialect with service accounts",
        )
    if not is_subdomain(account):
        raise Inexpressible(Code.LABEL_INVALID, f"{clean(account, 80)!r} is not a service account", hint)


def check_addresses(peer: Peer) -> None:
    """Raise :class:`Inexpressible` if an address or prefix of a peer is none."""
    try:
        networks((peer,))
    except ValueError as error:
        hint = "look at the source of these flows"
        raise Inexpressible(Code.ADDRESS_INVALID, clean(str(error), 120), hint) from error


def check_reach(writer: Writer, subject: Selector, peer: WorkloadPeer) -> None:
    """Raise :class:`Inexpressible` if pods of the peer's namespace or cluster cannot be named."""
    capabilities = writer.capabilities
    if peer.selector.cluster != subject.cluster and not capabilities.cross_cluster:
        raise Inexpressible(
            Code.CROSS_CLUSTER,
            f"pods of cluster {clean(peer.selector.cluster, 80)!r} cannot be named from another cluster",
            "use Cilium with Cluster Mesh, or leave this direction open",
        )
    if writer.platform.version < capabilities.workload_peers_since:
        since = ".".join(map(str, capabilities.workload_peers_since))
        raise Inexpressible(
            Code.WORKLOAD_PEER, f"naming a namespace needs version {since} or later", "upgrade the platform"
        )


def check_entity(writer: Writer, peer: EntityPeer) -> None:
    """Raise :class:`Inexpressible` if an entity has no form on the platform."""
    if writer.entities is EntityForm.NAME:
        return
    by_address = (Entity.HOST, Entity.REMOTE_NODE, Entity.KUBE_APISERVER)
    if writer.entities is EntityForm.NONE or peer.entity not in by_address:
        raise Inexpressible(
            Code.ENTITY,
            f"{writer.platform} cannot name the entity {peer.entity}",
            "use the cilium dialect, or leave this direction open",
        )
    if not peer.addresses:
        raise Inexpressible(
            Code.ENTITY,
            f"{writer.platform} can name {peer.entity} by address only, and none was seen",
            "give an inventory with node addresses, or use the cilium dialect",
        )


def check_enforcing(writer: Writer) -> None:
    """Raise :class:`Inexpressible` for monitor mode where Cilium isolates everything already, and for enforcing where
    it enforces nothing.
    """
    enforcing = writer.platform.setting("enable-policy")
    if writer.monitor and enforcing == "always":
        raise Inexpressible(
            Code.MONITOR_NOT_INERT,
            "with enable-policy=always every pod is isolated already: these allows would open traffic at once",
            "use --mode enforce and review it as what it is: more traffic is let through",
        )
    if not writer.monitor and enforcing == "never":
        raise Inexpressible(
            Code.NOT_ENFORCED,
            "with enable-policy=never no policy is enforced",
            "set enable-policy=default in the agent's configuration first",
        )


def check_host(writer: Writer, intent: PolicyIntent, peer: Peer) -> None:
    """Raise :class:`Inexpressible` for the own node as server where Calico's node drops what its pods send to it."""
    to_host = isinstance(peer, EntityPeer) and peer.entity is Entity.HOST and intent.direction is Direction.EGRESS
    if to_host and writer.platform.setting("default-endpoint-to-host-action") == "drop":
        raise Inexpressible(
            Code.HOST_DROPS,
            "the node drops what its pods send to it (defaultEndpointToHostAction Drop), whatever a policy allows",
            "set defaultEndpointToHostAction to Accept or Return, and write policies of host endpoints",
        )


def check_icmp(writer: Writer, allow: Allow) -> None:
    """Raise :class:`Inexpressible` if the ICMP types have no form on the platform."""
    capabilities = writer.capabilities
    if capabilities.icmp_since is None or writer.platform.version < capabilities.icmp_since:
        raise Inexpressible(Code.ICMP, f"{writer.platform} cannot name ICMP types", "use the cilium or calico dialect")
    for icmp_type in allow.icmp_types:
        if not 0 <= icmp_type <= capabilities.max_icmp_type:
            raise Inexpressible(
                Code.ICMP,
                f"{writer.platform} cannot name {allow.protocol} type {icmp_type}",
                "look at the source of these flows",
            )
