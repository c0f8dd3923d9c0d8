"""What one Felix flow record means: protocol, ends, policies, who sent what, what it shows of establishment.

Pure functions. Calico Enterprise flow logs and Goldmane are two wire formats of the same records, which the node
agent Felix makes (projectcalico/calico ``felix/collector``, v3.30 to 3.32): already aggregated, oriented from the
end that opened the connection to the end that was reached, and counted from the view of the reporting end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from discovery.flows.identity import EXTERNAL, UNRESOLVED, EndpointInfo, name_from_pod, workload_endpoint
from discovery.flows.redact import MAX_TEXT
from discovery.model.workload import EndpointKind

MAX_NAMES = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_LATEST = 4_102_444_800 * _SECOND  # 2100-01-01: later times are broken clocks or other units
_MAX_COUNT = (1 << 63) - 1

# The names of felix/collector/utils ProtoToString, and the numbers that older writers use.
_PROTOCOLS = {
    "1": "ICMP", "icmp": "ICMP", "6": "TCP", "tcp": "TCP", "17": "UDP", "udp": "UDP", "132": "SCTP", "sctp": "SCTP",
    "58": "ICMPv6", "icmp6": "ICMPv6", "icmpv6": "ICMPv6", "ipv6-icmp": "ICMPv6",
}  # fmt: skip
PORTED = frozenset({"TCP", "UDP", "SCTP"})

# Five characters as Kubernetes appends to a generated name: they complete a prefix to a plausible pod name.
_GENERATED = "bcdfg"
_TEMPLATE_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
_REVISION = "controller-revision-hash"
_STATEFULSET_MARKS = ("statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
_DAEMONSET_MARK = "pod-template-generation"

# Labels that Calico itself adds to endpoints. They are on no pod, so no selector may use them.
_OWN = "projectcalico.org/"
_ACCOUNT = "projectcalico.org/serviceaccount"
_NAMESPACE_LABEL, _ACCOUNT_LABEL = "pcns.", "pcsa."

# felix/types: the kinds in policy strings since 3.32, as named by Goldmane's PolicyKind.
_SHORT_KINDS = {
    "np": "CalicoNetworkPolicy", "gnp": "GlobalNetworkPolicy", "knp": "NetworkPolicy", "kcnp": "ClusterNetworkPolicy",
    "kanp": "AdminNetworkPolicy", "kbanp": "BaselineAdminNetworkPolicy", "pro": "Profile",
    "snp": "StagedNetworkPolicy", "sgnp": "StagedGlobalNetworkPolicy", "sknp": "StagedKubernetesNetworkPolicy",
}  # fmt: skip
_KUBERNETES = "knp.default."
_PROFILE_TIER = "__PROFILE__"
_HIDDEN = "*"
_STAGED_MARK = "staged:"
# The staged kinds whose names are not those of the enforced kinds behind "Staged".
_STAGED = {"CalicoNetworkPolicy": "StagedNetworkPolicy", "NetworkPolicy": "StagedKubernetesNetworkPolicy"}


class End(NamedTuple):
    """One end as Felix reports it: all that decides what it is, so it is the key of the memo.

    ``type`` is wep (pod), hep (host endpoint), ns (network set), net (any other address) or "". ``name`` is None
    when aggregated away; ``aggregate`` is the generated-name prefix with a star, or the name of what has none.
    ``addressed`` says whether the record gives an address. ``local`` says whether a host endpoint is the
    reporting node; None when the record does not tell.
    """

    type: str
    name: str | None
    aggregate: str | None
    namespace: str | None
    labels: tuple[str, ...]
    addressed: bool = False
    local: bool | None = None
    cluster: str | None = None


class Hit(NamedTuple):
    """One policy of a trace and what it did; ``policy`` is kind/namespace/name, ``action`` allow, deny or pass."""

    policy: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Counters from the view of the reporting end; None where not reported."""

    packets_in: int | None = None
    packets_out: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None

    def oriented(self, reporter: str) -> tuple[int | None, int | None, int | None, int | None]:
        """Return packets sent and received, bytes sent and received, as the client sees them.

        ``in`` is what came into the reporting endpoint (felix/collector/stats.go): replies at the source, requests
        at the destination. A forwarding host is neither end, so its counters have no orientation.
        """
        if reporter == "src":
            return self.packets_out, self.packets_in, self.bytes_out, self.bytes_in
        if reporter == "dst":
            return self.packets_in, self.packets_out, self.bytes_in, self.bytes_out
        return None, None, None, None


def given(text: str | None) -> str | None:
    """Return a text, or None for Felix's "-" and for nothing."""
    return None if text in (None, "", "-") else text


def protocol_name(raw: str | int | None) -> str | None:
    """Return the canonical protocol of a name or a number; the source's own word for any other."""
    text = given(str(raw).lower() if raw is not None else None)
    return None if text is None else _PROTOCOLS.get(text, text[:MAX_TEXT])


def integer(value: int | str | None, what: str, largest: int = _MAX_COUNT) -> int | None:
    """Return a whole number that may be written as a string (protobuf-JSON). Raises ``ValueError`` out of range."""
    if value is None:
        return None
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise ValueError(f"{what} {value[:64]!r} is not a whole number")
        value = int(value)
    if not 0 <= value <= largest:
        raise ValueError(f"{what} is out of range")
    return value


def port_number(value: int | str | None, what: str) -> int | None:
    """Return a port; 0 is how the formats write "none". Raises ``ValueError`` out of range."""
    return integer(value, what, 65_535) or None


def microseconds(value: int | str | None, what: str) -> int | None:
    """Return microseconds since 1970 from unix seconds or an RFC 3339 text. Raises ``ValueError`` for other content."""
    if isinstance(value, str) and not value.isdigit():
        try:  # a time without a zone cannot be compared with the epoch
            found = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{what} {value[:64]!r} is not a time") from None
        if not 0 <= found <= _LATEST:
            raise ValueError(f"{what} is not between 1970 and 2100")
        return found
    seconds = integer(value, what)
    if seconds is None:
        return None
    if seconds * _SECOND > _LATEST:
        raise ValueError(f"{what} is not between 1970 and 2100: it must be in seconds")
    return seconds * _SECOND


def domain_names(names: Iterable[str]) -> list[str]:
    """Return DNS names in canonical form: lower case, no final dot, sorted, bounded."""
    return sorted({name.rstrip(".").lower()[:MAX_TEXT] for name in names if given(name)})[:MAX_NAMES]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLabels:
    """The labels of a pod, told apart from those that Calico adds."""

    labels: dict[str, str]
    namespace_labels: dict[str, str]
    service_account: str | None


def pod_labels(pairs: Iterable[str]) -> PodLabels:
    """Return the labels of ``k=v`` pairs.

    ``pcns.*`` are the namespace's labels, which endpoints inherit; ``pcsa.*`` (the service account's) and
    ``projectcalico.org/*`` are not the pod's and are left out. Raises ``ValueError`` for a pair that is none and
    for a key that occurs twice.
    """
    labels: dict[str, str] = {}
    namespace_labels: dict[str, str] = {}
    account: str | None = None
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"label {pair[:64]!r} is not of the form key=value")
        if key == _ACCOUNT:
            account = value or None
        elif key.startswith(_NAMESPACE_LABEL):
            _put(namespace_labels, key.removeprefix(_NAMESPACE_LABEL), value)
        elif not key.startswith((_OWN, _ACCOUNT_LABEL)):
            _put(labels, key, value)
    return PodLabels(labels=labels, namespace_labels=namespace_labels, service_account=account)


def _put(labels: dict[str, str], key: str, value: str) -> None:
    """Add a label; raises ``ValueError`` when the key is taken."""
    if key in labels:
        raise ValueError(f"label {key[:64]!r} occurs twice")
    labels[key] = value


def workload_name(prefix: str, labels: dict[str, str]) -> tuple[str, str]:
    """Return ``(workload name or "", kind or "")`` from a generated-name prefix with its star, like ``web-6c9f7-*``.

    The pods' own labels say what the last part is: a template hash belongs to a ReplicaSet, a revision hash to a
    DaemonSet or a StatefulSet, whose prefix is the name itself. Without them, the shape of the name decides.
    """
    stem = prefix.removesuffix("*")
    base = stem.removesuffix("-")
    if not base or base == stem:  # a prefix that somebody chose freely
        return base, ""
    for key in _TEMPLATE_HASHES:
        if labels.get(key) and base.endswith(f"-{labels[key]}") and len(base) > len(labels[key]) + 1:
            return base.removesuffix(f"-{labels[key]}"), ""
    if any(key in labels for key in _STATEFULSET_MARKS):
        return base, "StatefulSet"
    if _DAEMONSET_MARK in labels:
        return base, "DaemonSet"
    return (base, "") if _REVISION in labels else name_from_pod(stem + _GENERATED)


def _workload(end: End, namespace: str) -> EndpointInfo:
    """Return the endpoint of a pod, or of pods that share a generated-name prefix."""
    known = pod_labels(end.labels)
    aggregated = end.aggregate is not None and end.aggregate.endswith("*")
    name, kind = workload_name(end.aggregate or "", known.labels) if aggregated else ("", "")
    info = workload_endpoint(
        cluster=end.cluster, namespace=namespace, pod=end.name if aggregated else end.name or end.aggregate,
        labels=known.labels, service_account=known.service_account, namespace_labels=known.namespace_labels,
        workloads=[(name, kind)] if name else (),
    )  # fmt: skip
    return replace(info, name_source="pod-name") if name else info  # derived by us, reported by nobody


def interpret(end: End) -> EndpointInfo:
    """Return what an end is. Raises ``ValueError`` on malformed labels.

    A network or network set is external when the record gives its address; without one there is nothing that a
    policy could name, so it stays unresolved, like a host endpoint of which nobody says where it is.
    """
    if end.type == "wep" and end.namespace is not None:
        return _workload(end, end.namespace)
    if end.type == "hep" and end.local is not None:
        return EndpointInfo(kind=EndpointKind.HOST if end.local else EndpointKind.REMOTE_NODE, cluster=end.cluster)
    return EXTERNAL if end.type in ("ns", "net") and end.addressed else UNRESOLVED


def policy_hit(kind: str, namespace: str, name: str, action: str) -> Hit | None:
    """Return the hit of an enforced policy, or None for what is none.

    Staged policies enforce nothing, and a profile decides exactly where no policy applies.
    """
    if kind.startswith("Staged") or kind == "Profile" or _STAGED_MARK in name:
        return None
    return pending_hit(kind, namespace, name, action)


def pending_hit(kind: str, namespace: str, name: str, action: str) -> Hit:
    """Return the hit of a policy in a pending trace, of any kind: what a staged policy passes on, the others decide."""
    return Hit(f"{kind}/{namespace}/{name}"[:MAX_TEXT], action.lower())


def pending_denials(hits: Iterable[Hit]) -> list[str]:
    """Return the policies that deny in the pending trace of an allowed flow, in the order of evaluation.

    There are none unless its last decision is a denial: else the flow would have been allowed as well.
    """
    decisions = [hit for hit in hits if hit.action in {"allow", "deny"}]
    if not decisions or decisions[-1].action != "deny":
        return []
    return list(dict.fromkeys(hit.policy for hit in decisions if hit.action == "deny"))


def place(index: int | str | None) -> int:
    """Return the place of a policy in its trace; 0 where protobuf-JSON leaves it out and for what is no place.

    Felix holds a trace as a set and writes it in any order (``felix/collector/flowlog``), so only this tells the last.
    """
    text = str(index)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def hit_from_text(text: str) -> Hit | None:
    """Return the hit of ``index|tier|name|action[|rule]``, in the older and in the kind-coded form of the name.

    None for staged policies, profiles, hits that access control hides (``*``) and forms that nobody knows yet:
    the record itself says what happened, so an unknown trace is no reason to lose it.
    """
    parts = text.split("|")
    if len(parts) not in (4, 5) or parts[1] == _PROFILE_TIER or parts[2] == _HIDDEN:
        return None
    return policy_hit(*_policy(parts[2]), parts[3])


def pending_from_texts(texts: Iterable[str]) -> tuple[Hit, ...]:
    """Return the hits of a pending trace in the order of evaluation, from texts as :func:`hit_from_text` takes them.

    A policy that access control hides is the empty text: it has no name and decides all the same.
    """
    found = []
    for text in sorted(texts, key=lambda text: place(text.partition("|")[0])):
        parts = text.split("|")
        if len(parts) not in (4, 5):
            continue
        kind, namespace, name = _policy(parts[2])
        kind = "Profile" if parts[1] == _PROFILE_TIER else kind
        hidden = parts[2] == _HIDDEN
        found.append(Hit("", parts[3].lower()) if hidden else pending_hit(kind, namespace, name, parts[3]))
    return tuple(found)


def _policy(text: str) -> tuple[str, str, str]:
    """Return kind, namespace and name of a policy in either form of its name; "staged:" becomes part of the kind."""
    staged = _STAGED_MARK in text
    text = text.replace(_STAGED_MARK, "", 1)
    short, colon, rest = text.partition(":")
    kind = _SHORT_KINDS.get(short) if colon else None
    before, slash, after = (text if kind is None else rest).partition("/")
    namespace, name = (before, after) if slash else ("", before)
    if kind is None:
        kind = "CalicoNetworkPolicy" if namespace else "GlobalNetworkPolicy"
        if name.startswith(_KUBERNETES):
            kind, name = "NetworkPolicy", name.removeprefix(_KUBERNETES)
    return _STAGED.get(kind, f"Staged{kind.removeprefix('Staged')}") if staged else kind, namespace, name


# More bytes than any reset has: IPv6 and TCP headers without options, behind Ethernet and a VLAN tag (the eBPF
# data plane counts frames, conntrack counts packets).
_LARGEST_RESET = 40 + 20 + 14 + 4


def establishment(verdict: str, protocol: str | None, traffic: Traffic, reporter: str) -> str | None:
    """Return "established" where the counters prove it, else None ("shows nothing").

    TCP: the packets that came back are on average larger than a reset can be. UDP: a packet came back.
    Silence proves nothing: Felix counts short connections by their first packet alone (it logs the policy hit and
    misses the connection between two looks at conntrack), so "attempted" and "refused" are never claimed.
    """
    _, packets, _, received = traffic.oriented(reporter)
    if verdict != "accepted" or not packets or received is None:
        return None
    if protocol == "UDP":
        return "established"
    return "established" if protocol == "TCP" and received > packets * _LARGEST_RESET else None
