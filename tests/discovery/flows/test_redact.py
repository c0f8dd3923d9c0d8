"""Secrets are dropped before anything is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.flows.redact import MAX_TEXT, REDACTED, is_secret_like, redact_path, redact_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:hunter2@api.shop:8080/a/b?token=abc#frag", ("api.shop:8080", "/a/b?")),
        ("https://API.Shop", ("api.shop", "/")),
        ("/a/b?x=1", (None, "/a/b?")),
        ("/a#secret", (None, "/a?")),
        ("u:Pw@shop/x", (None, "shop/x")),
        ("//u:Pw@shop", (None, "//shop")),
        ("http:/u:Pw@shop/x", (None, "http:/shop/x")),
        ("u:Pw@shop:443", (None, "shop:443")),
        ("/a;pw=hunter2/b;v=1", (None, "/a;/b;")),
        ("/a%3Fk=hunter2", (None, "/a?")),
        ("/a%23hunter2", (None, "/a?")),
        ("/users/bob@shop", (None, "/users/bob@shop")),
        ("", (None, "")),
        ("http://[::1", (None, REDACTED)),
        ("http://shop:no/x", (None, REDACTED)),
        ("http://[2001:db8::1]:80/x", ("[2001:db8::1]:80", "/x")),
        ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0", (None, f"/reset/{REDACTED}")),
        ("/v1/orders/550e8400-e29b-41d4-a716-446655440000", (None, "/v1/orders/550e8400-e29b-41d4-a716-446655440000")),
        ("/internationalization/configuration-service-v2", (None, "/internationalization/configuration-service-v2")),
    ],
)
def test_urls(url: str, expected: tuple[str | None, str]) -> None:
    """Userinfo, query, fragment and tokens go; host and words stay, and a mark where something was."""
    assert redact_url(url) == expected


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLEKEY1",
        "c2VjcmV0LXRva2VuLXZhbHVlLTEyMw",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "qzkxvbnmwpljhgfdtrcs",
        "aGVsbGXbJsZEFiYRlKqT",
        "session-qzkxvbnmwpljhgfd",
        "ghp_abcdefghijkl",
        "sk_live_abcdefghijkl",
        "xoxb-abcdef",
    ],
)
def test_tokens_look_like_secrets(secret: str) -> None:
    """Keys, tokens and hashes are recognised wherever they stand in a path."""
    assert is_secret_like(secret)
    assert secret not in redact_path(f"/a/{secret}/b")


@pytest.mark.parametrize(
    "name", ["internationalization", "configurationservice", "getCustomerOrderHistory",
             "horizontalpodautoscalers", "validatingwebhookconfigurations"[:24]],
)  # fmt: skip
def test_long_words_stay(name: str) -> None:
    """Paths of APIs are made of long words, also in camelCase."""
    assert not is_secret_like(name)


@given(
    st.text(max_size=60), st.text(st.characters(exclude_characters="/@"), min_size=8, max_size=20), st.text(max_size=60)
)
def test_nothing_of_userinfo_or_query_comes_through(path: str, secret: str, query: str) -> None:
    """Whatever the rest looks like, the password and the query are gone."""
    secret = "".join(letter for letter in secret if letter.isalnum()) + "ZzTopSecretZz"
    host, kept = redact_url(f"http://user:{secret}@shop.example/{path.partition('?')[0]}?{secret}{query}")
    assert secret.lower() not in f"{host}{kept}".lower()


@given(st.text(max_size=2_000))
def test_any_text_is_bounded(text: str) -> None:
    """Nothing raises, nothing is longer than the bound."""
    host, path = redact_url(text)
    assert len(path) <= MAX_TEXT
    assert host is None or len(host) <= MAX_TEXT
