"""What generators find: codes, and the exception that carries one to the pipeline."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The diagnostic codes of the generators; all but the last four mean that something is not written."""

    MONITOR_NOT_INERT = "monitor-not-inert"
    ALREADY_ISOLATED = "already-isolated"
    NAMESPACE_INVALID = "namespace-invalid"
    LABEL_INVALID = "label-invalid"
    LABEL_NOT_IN_IDENTITY = "label-not-in-identity"
    LABEL_RESERVED = "label-reserved"
    SERVICE_ACCOUNT = "service-account-inexpressible"
    SELECTOR_TOO_LONG = "selector-too-long"
    WORKLOAD_PEER = "workload-peer-inexpressible"
    CROSS_CLUSTER = "cross-cluster-inexpressible"
    ENTITY = "entity-inexpressible"
    ADDRESS_INVALID = "address-invalid"
    ICMP = "icmp-inexpressible"
    PORT_ZERO = "port-zero-inexpressible"
    PORT_RANGE = "port-range-inexpressible"
    TOO_MANY_RULES = "too-many-rules"
    HOST_DROPS = "host-drops"
    NOT_ENFORCED = "not-enforced"
    ENTITY_BY_ADDRESS = "entity-by-address"
    ALWAYS_ALLOWED = "always-allowed"
    OWN_NODE_NOT_ALLOWED = "own-node-not-allowed"
    RANGE_HOLDS_PODS = "range-holds-pods"


class EntityForm(StrEnum):
    """How a dialect on a platform writes nodes and the API server."""

    NAME = "name"
    ADDRESS = "address"
    NONE = "none"


class Inexpressible(Exception):  # noqa: N818 - it is a finding that travels to the pipeline, not an error of the program
    """Something that a dialect on a platform cannot say; becomes a diagnostic and is never dropped."""

    def __init__(self, code: Code, why: str, hint: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.hint = hint
