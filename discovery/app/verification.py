"""What ``verify`` found: per set of policies the fate of every edge, findings, and what they mean for an exit code."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from discovery.model.completeness import Completeness
from discovery.model.diagnostics import Diagnostic, Level
from discovery.model.edge import Direction
from discovery.model.errors import EXIT_CHANGED, EXIT_CUT, EXIT_FAILED, EXIT_INCOMPLETE
from discovery.model.platform import Platform
from discovery.verify.reach import Openness, WorkloadReach


class Code(StrEnum):
    """What a finding is about."""

    WOULD_DENY = "would-deny"
    UNDECIDED = "would-deny-undecided"
    UNKNOWN = "verdict-unknown"
    AUDITED = "audited-today"
    STRANGER = "address-may-be-a-pod"
    PENDING = "pending-deny"
    OPENS = "allows-what-was-denied"
    BROAD = "broad-rule"
    UNUSED = "unused-rule"


# Traffic that was accepted and would be cut, or may be: what must not be enforced.
CUTS = frozenset({Code.WOULD_DENY, Code.UNDECIDED, Code.UNKNOWN})
LEVELS = {
    Code.WOULD_DENY: Level.ERROR,
    Code.UNDECIDED: Level.ERROR,
    Code.UNKNOWN: Level.ERROR,
    Code.AUDITED: Level.WARNING,
    Code.STRANGER: Level.WARNING,
    Code.PENDING: Level.WARNING,
    Code.OPENS: Level.WARNING,
    Code.BROAD: Level.INFO,
    Code.UNUSED: Level.INFO,
}
EXPLANATIONS = {
    Code.WOULD_DENY: "accepted traffic that these policies would cut",
    Code.UNDECIDED: "accepted traffic that nobody could decide about (direction or peer unknown) and that would be cut",
    Code.UNKNOWN: "accepted traffic of which it is not known what these policies would do",
    Code.AUDITED: "traffic that today's policy would deny (AUDIT verdicts) and that these policies would deny, too",
    Code.STRANGER: "accepted traffic of addresses that nobody resolved: each may be a pod that these policies isolate "
    "(an --inventory tells)",
    Code.PENDING: "accepted traffic that staged policies of the cluster would deny (pending verdicts of Calico)",
    Code.OPENS: "traffic that a policy denied in the window and that these policies would allow",
    Code.BROAD: "rules that allow more than the recorded traffic used",
    Code.UNUSED: "rules that no recorded traffic used",
}


# Dialect, namespace and file.
_PATH_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a reviewer should know. ``subject`` is a workload or a rule; ``traffic`` the edge it is about, ""
    of rules; ``source`` is ``path:line`` of the policy that matters most, "" when there is none; ``records`` counts
    flow records; ``rule`` is what a rule says, "" of traffic. ``fingerprint`` is stable as
    long as the same rule does the same to the same traffic.
    """

    code: Code
    subject: str
    direction: Direction | None
    traffic: str
    message: str
    source: str = ""
    records: int = 0
    rule: str = ""

    @property
    def level(self) -> Level:
        """Return how bad it is."""
        return LEVELS[self.code]

    def fingerprint(self, of: str) -> str:
        """Return the stable id of the finding in the report of one set of policies."""
        # A rule is known by what it says: its place changes when others come and go.
        about = self.rule or self.subject
        # The same file by whichever path: its last folders tell it from others.
        file = "/".join(self.source.rpartition(":")[0].split("/")[-_PATH_PARTS:])
        parts = (of, self.code, about, self.direction or "", self.traffic, file)
        return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReport:
    """What one set of policies does on one platform. ``fates`` counts edges by what becomes of them; ``before`` and
    ``after`` say what is open without and with the policies, ``reach`` what each workload may reach with them.
    ``usable`` says that every manifest could be read, so that what is not reported is not there. ``governed`` counts
    the workloads that any policy is about.
    """

    name: str
    platform: Platform
    policies: int
    governed: int
    fates: dict[str, int]
    findings: tuple[Finding, ...]
    diagnostics: tuple[Diagnostic, ...]
    usable: bool
    before: Openness
    after: Openness
    reach: tuple[WorkloadReach, ...] = ()

    def count(self, code: Code) -> int:
        """Return how many findings have a code."""
        return Counter(finding.code for finding in self.findings)[code]

    def new(self, known: frozenset[str]) -> tuple[Finding, ...]:
        """Return the findings that a baseline does not have."""
        return tuple(finding for finding in self.findings if finding.fingerprint(self.name) not in known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The reports of all sets. ``gaps`` say why the inputs prove nothing; ``baseline`` are the fingerprints that were
    known before, None without a baseline.
    """

    reports: tuple[SetReport, ...]
    completeness: Completeness
    allow_partial: bool
    gaps: tuple[str, ...] = ()
    baseline: frozenset[str] | None = None

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """Return all exit codes that apply, the one that wins first."""
        known = self.baseline or frozenset()
        fresh = [finding for report in self.reports for finding in report.new(known)]
        codes = []
        if not all(report.usable for report in self.reports):
            codes.append(EXIT_FAILED)
        if (self.gaps or not self.completeness.complete) and not self.allow_partial:
            codes.append(EXIT_INCOMPLETE)
        if any(finding.code in CUTS for finding in fresh):
            codes.append(EXIT_CUT)
        if self.baseline is not None and any(finding.code not in CUTS for finding in fresh):
            codes.append(EXIT_CHANGED)
        return tuple(codes)
