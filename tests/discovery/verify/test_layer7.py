"""Tests of discovery.verify.layer7: requests that were recorded against rules about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.requests import DnsRequest, HttpRequest
from discovery.verify.layer7 import (
    DnsMatch,
    HttpMatch,
    compiled,
    deep_patterns,
    describe,
    describe_request,
    lets_through,
)
from discovery.verify.truth import Truth
from tests.discovery.verify.builders import platform

NO, MAYBE, YES = Truth.NO, Truth.MAYBE, Truth.YES
GET = HttpRequest(method="GET", host="api.shop", path="/public/a")


def test_without_rules_all_pass_and_without_a_record_nobody_knows() -> None:
    """A connection of which no request is known may have had any."""
    assert lets_through((), None) is YES
    assert lets_through((HttpMatch(method="GET"),), None) is MAYBE


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (HttpMatch(method="GET"), YES),
        (HttpMatch(method="GET|PUT", path="/public/.*"), YES),
        (HttpMatch(path="/public"), NO),
        (HttpMatch(path="/PUBLIC/.*"), NO),
        (HttpMatch(path="/[[:alpha:]]+/a"), YES),
        (HttpMatch(method="GE"), NO),
        (HttpMatch(host="api[.]shop"), YES),
        (HttpMatch(host="api[.]shop(:80)?"), YES),
        (HttpMatch(host="other"), NO),
        (HttpMatch(headers=True), MAYBE),
        (HttpMatch(method="PUT", headers=True), NO),
        (DnsMatch(pattern="*"), NO),
    ],
)
def test_requests_of_http(match: HttpMatch | DnsMatch, expected: Truth) -> None:
    """Expressions match the whole text; headers are never recorded."""
    assert lets_through((match,), GET) is expected


def test_any_of_the_rules_is_enough() -> None:
    """A request that one rule lets through passes."""
    assert lets_through((HttpMatch(method="PUT"), HttpMatch(path="/public/a")), GET) is YES


@pytest.mark.parametrize(
    ("expression", "path", "expected"),
    [
        ("/a", "/a?", MAYBE),
        ("/a.*", "/a?", YES),
        ("/b.*", "/a?", MAYBE),
        ("/a|/b.*", "/b?", MAYBE),
        ("(/a|/b).*", "/b?", YES),
        ("/a[^?].*", "/a?", MAYBE),
        ("/a\\\\.*", "/a?", MAYBE),
        ("/b.$.*", "/b?", MAYBE),
        ("/b\\?\\z.*", "/b?", MAYBE),
        ("\\Q/b?\\E$.*", "/b?", MAYBE),
        ("/b.\\B.*", "/b?", MAYBE),
        ("^/b.*", "/b?", MAYBE),
        ("/reset/.*", "/reset/{secret}", MAYBE),
        ("/a/b", "/a;/b", MAYBE),
        (".*", None, MAYBE),
        (None, None, YES),
        (".*", "/HUBBLE_REDACTED", MAYBE),
        (".*", "/" + "a" * 511, MAYBE),
    ],
)
def test_what_was_dropped_from_a_path_may_matter(expression: str | None, path: str | None, expected: Truth) -> None:
    """Nobody knows the query, a token, or the rest of a long path; an open end matches whatever the query is."""
    assert lets_through((HttpMatch(path=expression),), HttpRequest(path=path)) is expected


@given(st.text("/ab.*|()?", min_size=1, max_size=8), st.text("/ab", max_size=4), st.text("abc=&", max_size=4))
def test_what_is_sure_without_the_query_holds_with_it(expression: str, path: str, query: str) -> None:
    """If a path with an unknown query surely passes, it passes with any."""
    match = HttpMatch(path=expression)
    try:
        compiled(expression)
    except ValueError:
        return
    if lets_through((match,), HttpRequest(path=f"{path}?")) is YES:
        assert compiled(expression).fullmatch(f"{path}?{query}")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("api.example.org", "api.example.org", YES),
        ("*.example.org", "api.example.org", YES),
        ("*.example.org", "a.api.example.org", NO),
        ("**.example.org", "a.api.example.org", YES),
        ("*", "anything.at.all", YES),
        ("**", "anything.at.all", YES),
        ("***.example.org", "a.api.example.org", YES),
        ("*.example.org", "{secret}.example.org", MAYBE),
    ],
)
def test_look_ups(pattern: str, name: str, expected: Truth) -> None:
    """Patterns as those of FQDN rules."""
    assert lets_through((DnsMatch(pattern=pattern),), DnsRequest(name=name)) is expected
    assert lets_through((HttpMatch(),), DnsRequest(name=name)) is NO


def test_older_releases_know_no_pattern_of_several_labels() -> None:
    """Several stars were one before Cilium 1.19."""
    match, deep = DnsMatch(pattern="**.example.org"), DnsRequest(name="a.api.example.org")
    assert lets_through((match,), deep) is YES
    assert lets_through((match,), deep, deep=False) is NO
    assert lets_through((match,), DnsRequest(name="api.example.org"), deep=False) is YES
    assert deep_patterns(platform("cilium=1.19"))
    assert not deep_patterns(platform("cilium=1.18"))


def test_expressions_that_re2_refuses() -> None:
    """Look-ahead and back-references are no expressions of the proxy; what is linear there is linear here."""
    for text in ("(?=a)", "(a)\\1", "(", "[[:nothing:]]"):
        with pytest.raises(ValueError, match="RE2"):
            compiled(text)
    assert compiled("(a+)+$").fullmatch("a" * 5_000 + "b") is None


def test_for_people() -> None:
    """What a rule is about, hostile text escaped."""
    assert describe((HttpMatch(method="GET", path="/a", host="h", headers=True), DnsMatch(pattern="x\n"))) == (
        "HTTP GET /a of h with headers or DNS x\\n"
    )
    assert describe_request(GET) == "the request GET /public/a of api.shop"
    assert describe_request(DnsRequest(name="x\ny")) == "the look-up of x\\ny"
