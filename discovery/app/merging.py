"""What happens if this is merged now, and the one command that takes it back."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from discovery.app.markdown import Section, Table, safe
from discovery.app.sections import View, edge_name
from discovery.learn.judge import EXPLANATIONS, Judged, Reason, Ruling
from discovery.model.edge import Direction, Establishment, Verdict
from discovery.model.intent import Dialect, Mode
from discovery.model.platform import STAGED_SINCE, Platform
from discovery.model.workload import WorkloadRef

_KINDS = {
    Dialect.CILIUM: "ciliumnetworkpolicies.cilium.io",
    Dialect.CALICO: "networkpolicies.projectcalico.org",
    Dialect.KUBERNETES: "networkpolicies.networking.k8s.io",
}
_STAGED = {
    Dialect.CALICO: "stagednetworkpolicies.projectcalico.org",
    Dialect.KUBERNETES: "stagedkubernetesnetworkpolicies.projectcalico.org",
}
_DELIVERED = (Verdict.ACCEPTED, Verdict.AUDIT, Verdict.UNKNOWN)
_FAILED = (Establishment.REFUSED, Establishment.UNANSWERED)
# Traffic that needs no rule: connection tracking or the link lets it through, or it never leaves the pod.
_NEEDS_NO_RULE = (Reason.ICMP_ERROR, Reason.LINK_LOCAL, Reason.REDIRECT)


def rollback(
    platform: Platform,
    mode: Mode,
    namespaces: Collection[str] = (),
    label: str = "app.kubernetes.io/managed-by=policy-discovery",
) -> str:
    """Return the command that removes what a dialect's files applied: everywhere, or of these namespaces or a label
    alone. kubectl refuses the whole command for one kind that the cluster lacks, so only kinds that it has are named.
    """
    kinds = f"{_STAGED[platform.dialect]}," if _is_staged(platform, mode) else ""
    command = f"kubectl delete {kinds}{_KINDS[platform.dialect]}"
    if len(namespaces) > 1:
        return f"for n in {' '.join(sorted(namespaces))}; do {command} -n $n -l {label}; done"
    where = "".join(f"-n {namespace}" for namespace in namespaces) or "-A"
    return f"{command} {where} -l {label}"


def _is_staged(platform: Platform, mode: Mode) -> bool:
    """Say whether staged policies may have been applied: now, or before by a Calico that has them."""
    if platform.dialect is Dialect.KUBERNETES:
        return mode is Mode.MONITOR and platform.setting("enforcer") == Dialect.CALICO
    has_them = platform.dialect is Dialect.CALICO and platform.version >= STAGED_SINCE
    return has_them and platform.setting("staged") == "true"


def cut(view: View) -> Iterator[tuple[WorkloadRef, Direction, str, str]]:
    """Yield what was delivered, or is declared, and would be denied by a direction that the files isolate: workload,
    direction, the traffic and why no rule allows it.
    """
    closed = {(ref, direction) for ref, per in view.isolated for directions in per.values() for direction in directions}
    for one in view.judged:
        if _would_be_missed(one):
            why = EXPLANATIONS[one.reason] if one.reason is not None else ""
            ends = ((one.edge.client, Direction.EGRESS), (one.edge.server, Direction.INGRESS))
            for end, direction in ends:
                if end.workload is not None and (end.workload, direction.value) in closed:
                    yield end.workload, direction, edge_name(one.edge), why
    refs = {str(ref): ref for ref, direction in closed if direction == Direction.INGRESS.value}
    for found in view.findings:
        if found.code == "route-unseen" and found.subject in refs:
            yield refs[found.subject], Direction.INGRESS, found.message, "it is declared and was not seen"


def _would_be_missed(one: Judged) -> bool:
    """Say whether an edge was delivered, may be needed again and has no rule."""
    delivered = one.edge.verdict in _DELIVERED and one.edge.establishment not in _FAILED
    return delivered and one.ruling is not Ruling.LEARN and one.reason not in _NEEDS_NO_RULE


def merging(view: View, window: str, commands: list[str]) -> Section:
    """Return the last section of a page. ``window`` is how long the traffic was watched."""
    rows = tuple(
        (safe(str(ref)), direction.value, safe(what, 300), why)
        for ref, direction, what, why in sorted(cut(view), key=lambda row: (str(row[0]), *row[1:]))
    )
    body: list[str | Table] = []
    if not view.isolated:
        body.append("Nothing changes: no policy was written.")
    elif not view.enforced:
        body.append("Nothing breaks: these files change no verdict when they are applied.")
    if rows:
        body.append("This breaks:" if view.enforced else "What would break if they were enforced as they are:")
        body.append(Table(head=("workload", "direction", "traffic", "why"), rows=rows, more="`evidence/review.json`"))
    elif view.isolated:
        verb = "is cut" if view.enforced else "would be cut if they were enforced"
        body.append(f"Nothing {verb} of what was delivered in this window.")
    if view.isolated:
        body.append(f"What the window ({window}) did not show is denied in the directions of section 1, once isolated.")
    if commands:
        code = "\n".join(("```sh", *commands, "```"))
        body += ["Roll back all of it with one command, that of the dialect that you applied:", code]
    return Section(title="If this is merged now", body=tuple(body))
