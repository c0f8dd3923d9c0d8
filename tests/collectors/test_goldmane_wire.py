"""The spellings of Goldmane's fields."""

from __future__ import annotations

from collectors.goldmane_wire import SPELLINGS


def test_spellings_are_those_of_protobuf_json() -> None:
    """Every field is found under its lowerCamelCase name; the flow's key has a capital of its own."""
    assert SPELLINGS["Key"] == "key"
    assert SPELLINGS["sourceName"] == "source_name"
    assert SPELLINGS["numConnectionsStarted"] == "num_connections_started"
    assert SPELLINGS["enforcedPolicies"] == "enforced_policies"
    assert SPELLINGS["pendingPolicies"] == "pending_policies"
    assert SPELLINGS["policyIndex"] == "policy_index"
    assert not set(SPELLINGS) & set(SPELLINGS.values())
