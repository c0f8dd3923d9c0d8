"""The shapes of Kubernetes objects, against the published schemas where they are there."""

from __future__ import annotations

import msgspec
import pytest

from collectors import inventory_wire
from collectors.inventory_wire import NodeObject, PodObject, ServiceObject

STRUCTS = [
    value
    for value in vars(inventory_wire).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_wire_names_are_those_of_kubernetes(struct: type[msgspec.Struct]) -> None:
    """Lower camel case, with IP and IPs in capitals, as the API reference spells them."""
    for name in struct.__struct_encode_fields__:
        assert "_" not in name
        assert not name.endswith(("Ip", "Ips"))


def test_only_what_is_needed_is_required() -> None:
    """An object with metadata alone is read; what is not there has the meaning that Kubernetes gives it."""
    for struct in (PodObject, ServiceObject, NodeObject):
        assert msgspec.to_builtins(msgspec.convert({"metadata": {"name": "x"}}, struct))["metadata"]["name"] == "x"
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({}, struct)
    assert msgspec.convert({"metadata": {}}, ServiceObject).spec.type == "ClusterIP"


@pytest.mark.parametrize("port", [-1, 65_536, "80", 8.5, None])
def test_ports_are_ports(port: object) -> None:
    """A number outside of the range is no port, and a text is none."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"metadata": {}, "spec": {"ports": [{"port": port}]}}, ServiceObject)
