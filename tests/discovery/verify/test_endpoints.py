"""Tests of discovery.verify.endpoints."""

from __future__ import annotations

from dataclasses import replace

from discovery.model.edge import Endpoint
from discovery.model.inventory import NamedPort
from discovery.model.workload import EndpointKind, Entity, Labels
from discovery.verify.endpoints import Ends
from discovery.verify.ends import AddressEnd, EntityEnd, PodEnd
from discovery.verify.recorded import Recorded
from tests.discovery.learn.builders import outside, ref
from tests.discovery.verify.builders import version

HTTP = (NamedPort(name="http", protocol="TCP", number=8080),)
WORKLOAD = Endpoint(kind=EndpointKind.WORKLOAD, workload=ref("a"))


def test_a_workload_is_each_of_its_versions_once() -> None:
    """Versions of the same attributes are one end; ports by name belong to all."""
    old = replace(version("a"), labels=Labels.of({"app": "old"}))
    ends = Ends([version("a"), old, replace(old, valid_from=5)], Recorded(ports={ref("a"): HTTP}))
    assert ends.of(WORKLOAD) == (PodEnd(version=version("a"), ports=HTTP), PodEnd(version=old, ports=HTTP))
    assert Ends([]).of(WORKLOAD) == ()


def test_what_is_outside_is_each_of_its_addresses() -> None:
    """Names go with every address; an address of nobody knows whom says so."""
    named = replace(outside("192.0.2.1", "192.0.2.2"), names=("api.example.org",))
    ends = Ends([])
    assert ends.of(named) == tuple(AddressEnd(address=one, names=named.names) for one in named.addresses)
    unresolved = replace(outside("192.0.2.1"), kind=EndpointKind.UNRESOLVED)
    assert ends.of(unresolved) == (AddressEnd(address="192.0.2.1", resolved=False),)
    assert ends.of(Endpoint(kind=EndpointKind.EXTERNAL)) == (EntityEnd(entity=Entity.WORLD),)
    assert ends.of(Endpoint(kind=EndpointKind.UNRESOLVED)) == (AddressEnd(address="0.0.0.0/0", resolved=False),)


def test_an_entity_has_addresses_if_they_were_seen() -> None:
    """Each address of a node is an end; without any it is one without."""
    kind = next(one for one in EndpointKind if one.entity is Entity.REMOTE_NODE)
    ends = Ends([])
    assert ends.of(Endpoint(kind=kind)) == (EntityEnd(entity=Entity.REMOTE_NODE),)
    assert ends.of(Endpoint(kind=kind, addresses=("10.9.0.1",))) == (
        EntityEnd(entity=Entity.REMOTE_NODE, address="10.9.0.1"),
    )
