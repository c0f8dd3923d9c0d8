"""Requests of layer 7 and names of addresses, by what the lake holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from discovery.flows import requests as module
from discovery.flows.engine import engine
from discovery.flows.requests import read_names, read_requests
from discovery.flows.rollup import Scan, roll_up
from discovery.model.edge import Protocol
from discovery.model.requests import ConnectionKey, DnsRequest, HttpRequest, Request
from tests.flows_factory import CLIENT, SERVER, START, known_workloads, row, write_parts

WEB, CART = (known_workloads().ref_of[info.identity].key for info in (CLIENT, SERVER) if info.identity is not None)
Found = dict[ConnectionKey, tuple[Request | None, ...]]


def read(folder: Path, *rows: dict[str, Any], **window: Any) -> tuple[Found, dict[tuple[str, str], tuple[str, ...]]]:
    """Return the requests and the names of canonical rows."""
    files = write_parts(folder, rows)
    with engine(threads=1) as connection:
        roll_up(connection, files, known_workloads(), **window)
        scan = Scan(files=files, **window)
        return read_requests(connection, scan), read_names(connection, scan)


def http(method: str | None = "GET", path: str | None = "/a", **fields: Any) -> dict[str, Any]:
    """Return a record of HTTP."""
    return row(l7_protocol="http", l7_type="request", http_method=method, http_path=path, http_host="h", **fields)


def dns(name: str | None, *answers: str, **fields: Any) -> dict[str, Any]:
    """Return a record of DNS to an external resolver."""
    return row(
        l7_protocol="dns", dns_query=name, dns_answers=list(answers) or None, protocol="UDP", server_port=53,
        server_kind="external", server_identity=None, server_pod=None, **fields,
    )  # fmt: skip


def test_each_request_of_a_connection_once(tmp_path: Path) -> None:
    """Request and response are one, sorted; a record without a name is one that nobody knows."""
    again = {**http(), "l7_type": "response", "http_status": 200}
    found, names = read(tmp_path, http("PUT"), http(), again, row(), dns("api.example.org"), dns(None))
    assert found == {
        (WEB, CART, Protocol.TCP, 8_080): (
            HttpRequest(method="GET", host="h", path="/a"),
            HttpRequest(method="PUT", host="h", path="/a"),
        ),
        (WEB, "10.0.0.2", Protocol.UDP, 53): (DnsRequest(name="api.example.org"), None),
    }
    assert names == {}


def test_what_was_refused_is_not_asked_for(tmp_path: Path) -> None:
    """A request that the proxy dropped is no traffic that must go on; one in audit mode was let through."""
    refused = http("DELETE", verdict="denied")
    found, _ = read(tmp_path, refused, http("PATCH", verdict="audit"))
    assert found == {(WEB, CART, Protocol.TCP, 8_080): (HttpRequest(method="PATCH", host="h", path="/a"),)}


def test_the_window_counts(tmp_path: Path) -> None:
    """Records before it do not."""
    late = START + timedelta(hours=1)
    found, names = read(
        tmp_path, http("PUT"), http(time=late), dns("a.example.org", "192.0.2.1"),
        dns("b.example.org", "192.0.2.1", time=late), since=late,
    )  # fmt: skip
    assert found[WEB, CART, Protocol.TCP, 8_080] == (HttpRequest(method="GET", host="h", path="/a"),)
    assert names == {(WEB, "192.0.2.1"): ("b.example.org",)}


def test_answers_name_addresses(tmp_path: Path) -> None:
    """An address has all names that it was an answer to, for who asked."""
    rows = (dns("b.example.org", "192.0.2.1", "192.0.2.2"), dns("a.example.org", "192.0.2.1"))
    assert read(tmp_path, *rows)[1] == {
        (WEB, "192.0.2.1"): ("a.example.org", "b.example.org"),
        (WEB, "192.0.2.2"): ("b.example.org",),
    }


def test_more_than_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further requests are one that nobody knows."""
    monkeypatch.setattr(module, "MAX_REQUESTS", 2)
    found, _ = read(tmp_path, *(http(path=f"/{number}") for number in range(4)))
    (listed,) = found.values()
    assert listed == (
        HttpRequest(method="GET", host="h", path="/0"),
        HttpRequest(method="GET", host="h", path="/1"),
        None,
    )
