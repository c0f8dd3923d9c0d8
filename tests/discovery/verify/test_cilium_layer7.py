"""Tests of discovery.verify.cilium_layer7; whole ports are in test_cilium_ports."""

from __future__ import annotations

import pytest

from discovery.verify.cilium_layer7 import read_dns, read_http
from discovery.verify.fields import NotEvaluatedError
from discovery.verify.layer7 import DnsMatch, HttpMatch


def test_what_is_left_out_is_any() -> None:
    """Empty texts and empty lists ask for nothing."""
    assert read_http({}, "w") == HttpMatch()
    assert read_http({"method": "", "path": None, "headers": [], "headerMatches": None}, "w") == HttpMatch()


def test_names_are_in_lower_case_without_the_final_dot() -> None:
    """As they are recorded."""
    assert read_dns({"matchName": "API.Example.ORG."}, "w") == DnsMatch(pattern="api.example.org")
    assert read_dns({"matchPattern": "**.Example.org"}, "w") == DnsMatch(pattern="**.example.org")


@pytest.mark.parametrize("value", [None, 5, [], "x"])
def test_what_is_no_rule(value: object) -> None:
    """Everything but a mapping with one name is refused."""
    with pytest.raises(NotEvaluatedError):
        read_dns(value, "w")
