"""What happens if this is merged now, and the one command that takes it back."""

from __future__ import annotations

from collections.abc import Iterator

from discovery.app.markdown import Section, Table, safe
from discovery.app.sections import View, edge_name
from discovery.learn.judge import EXPLANATIONS, Judged, Reason, Ruling
from discovery.model.edge import Direction, Establishment, Verdict
from discovery.model.intent import Dialect
from discovery.model.platform import Platform
from discovery.model.workload import WorkloadRef

_KINDS = {
    "cilium": "ciliumnetworkpolicies.cilium.io",
    "calico": "stagednetworkpolicies.projectcalico.org,networkpolicies.projectcalico.org",
    "kubernetes": "networkpolicies.networking.k8s.io",
}
_DELIVERED = (Verdict.ACCEPTED, Verdict.AUDIT, Verdict.UNKNOWN)
_FAILED = (Establishment.REFUSED, Establishment.UNANSWERED)
# Traffic that needs no rule: connection tracking or the link lets it through, or it never leaves the pod.
_NEEDS_NO_RULE = (Reason.ICMP_ERROR, Reason.LINK_LOCAL, Reason.REDIRECT)


def rollback(
    platform: Platform, where: str = "-A", label: str = "app.kubernetes.io/managed-by=policy-discovery"
) -> str:
    """Return the command that removes what a dialect's files applied, in either mode: everywhere, or of a namespace
    (``-n NAME``) or a label alone.
    """
    kinds = _KINDS[platform.dialect.value]
    if platform.dialect is Dialect.KUBERNETES and platform.setting("enforcer") == Dialect.CALICO:
        kinds += ",stagedkubernetesnetworkpolicies.projectcalico.org"
    return f"kubectl delete {kinds} {where} -l {label}"


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
