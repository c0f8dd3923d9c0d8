"""Tests of discovery.model.requests."""

from __future__ import annotations

from discovery.model.requests import DnsRequest, HttpRequest


def test_requests_are_values() -> None:
    """Equal when they say the same; what no source told is no text."""
    assert HttpRequest(method="GET") == HttpRequest(method="GET")
    assert HttpRequest(method="GET") != HttpRequest(method="GET", path="")
    assert len({DnsRequest(name="a"), DnsRequest(name="a"), DnsRequest(name="b")}) == 2
