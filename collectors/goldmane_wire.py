"""The wire shapes of Goldmane's JSON: only the fields that policy discovery reads.

Source: projectcalico/calico ``goldmane/proto/api.proto`` and ``whisker-backend/pkg/apis/v1/flows.go``, v3.30 to
3.32. Protobuf-JSON writes names in either spelling, enums as names or numbers, 64-bit integers as strings and leaves
out zeros; here everything has its snake_case name.
"""

from __future__ import annotations

from msgspec import Struct

Number = int | str | None
EnumText = str | int | None


class PolicyHit(Struct, gc=False):
    """One step of a policy trace; ``trigger`` is the policy that made the end of a tier apply.

    ``policy_index`` is the place in the order of evaluation, which the order of a list is not.
    """

    kind: EnumText = None
    namespace: str | None = None
    name: str | None = None
    tier: str | None = None
    action: EnumText = None
    policy_index: Number = None
    trigger: PolicyHit | None = None


class PolicyTrace(Struct, gc=False):
    """The enforced and the pending trace, as Goldmane and as Whisker name them."""

    enforced_policies: list[PolicyHit] | None = None
    enforced: list[PolicyHit] | None = None
    pending_policies: list[PolicyHit] | None = None
    pending: list[PolicyHit] | None = None


class FlowKey(Struct, gc=False):
    """goldmane.FlowKey."""

    source_name: str | None = None
    source_namespace: str | None = None
    source_type: EnumText = None
    dest_name: str | None = None
    dest_namespace: str | None = None
    dest_type: EnumText = None
    dest_port: Number = None
    dest_service_name: str | None = None
    dest_service_namespace: str | None = None
    dest_service_port: Number = None
    proto: str | int | None = None
    reporter: EnumText = None
    action: EnumText = None
    policies: PolicyTrace | None = None


class Counted(Struct, gc=False):
    """What Goldmane's and Whisker's flows have in common. Labels are a list, or one text joined by " | "."""

    start_time: Number = None
    end_time: Number = None
    source_labels: list[str] | str | None = None
    dest_labels: list[str] | str | None = None
    packets_in: Number = None
    packets_out: Number = None
    bytes_in: Number = None
    bytes_out: Number = None
    num_connections_started: Number = None
    num_connections_live: Number = None


class Flow(Counted, kw_only=True, gc=False):
    """goldmane.Flow."""

    key: FlowKey


class ServiceRef(Struct, gc=False):
    """The Service of a Whisker flow (after 3.32)."""

    name: str | None = None
    namespace: str | None = None
    port: Number = None


class WhiskerFlow(Counted, kw_only=True, gc=False):
    """Whisker's FlowResponse: the same flow, flat; times are RFC 3339. Types and service came after 3.32."""

    source_name: str
    source_namespace: str
    dest_name: str
    dest_namespace: str
    protocol: str
    reporter: EnumText
    action: EnumText = None
    source_type: EnumText = None
    dest_type: EnumText = None
    dest_port: Number = None
    service: ServiceRef | None = None
    policies: PolicyTrace | None = None


def _camel(name: str) -> str:
    """Return the lowerCamelCase spelling of a field, as protobuf-JSON derives it."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


# Other spellings of the fields above. FlowKey is the field "Key", with a capital, in the proto file itself.
SPELLINGS = {
    _camel(name): name
    for shape in (PolicyHit, PolicyTrace, FlowKey, Counted, Flow, WhiskerFlow)
    for name in shape.__struct_fields__
    if "_" in name
} | {"Key": "key"}
