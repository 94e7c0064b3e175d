"""Redirects are followed within one site, and named otherwise."""

import pytest
from ollama_openai_proxy.net.redirects import RedirectsElsewhere, method_after, redirected_base, redirected_url

BASE = "http://server.example/v1"
ASKED = BASE + "/chat/completions"


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        (ASKED, "https://server.example/v1/chat/completions", "https://server.example/v1/chat/completions"),
        (ASKED, "/v1/chat/completions/", "http://server.example/v1/chat/completions/"),
        (ASKED, "//server.example/x", "http://server.example/x"),
        ("http://h:8000/v1/models", "https://h:8000/v1/models", "https://h:8000/v1/models"),
        ("https://H/v1", "https://h:443/v2", "https://h:443/v2"),
        (ASKED, "", None),
    ],
)
def test_a_redirect_within_the_site_is_followed(url: str, location: str, target: str | None) -> None:
    assert redirected_url(url, 301, location, base_url=BASE) == target
    assert redirected_url(url, 200, location, base_url=BASE) is None


@pytest.mark.parametrize(
    ("url", "location", "right"),
    [
        (ASKED, "https://other.example/v1/chat/completions", "https://other.example/v1"),
        (ASKED, "http://server.example:8080/v1/chat/completions?x=1", "http://server.example:8080/v1"),
        (ASKED, "https://server.example:8443/login", "https://server.example:8443/login"),
        ("https://h/v1/models", "http://h/v1/models", "http://h/v1"),
        (ASKED, "ftp://server.example/v1", "ftp://server.example/v1"),
        (ASKED, "http://[::1", "http://[::1"),
        (ASKED, "http://server.example:x/", "http://server.example:x"),
        (ASKED, "https://user:secret@other.example/a\u202e", "https://other.example/a?"),
    ],
)
def test_a_redirect_elsewhere_is_named(url: str, location: str, right: str) -> None:
    with pytest.raises(RedirectsElsewhere) as caught:
        redirected_url(url, 308, location, base_url=BASE)
    assert caught.value.url == right
    assert "secret" not in str(caught.value)


def test_the_right_base_url_is_told_for_the_base_itself() -> None:
    assert redirected_base(BASE, BASE, "https://server.example/v2/") == "https://server.example/v2"


@pytest.mark.parametrize(
    ("status", "method", "after"), [(301, "POST", "POST"), (303, "POST", "GET"), (303, "HEAD", "HEAD"), (307, "PUT", "PUT")]
)
def test_the_method_stays_but_for_one_status(status: int, method: str, after: str) -> None:
    assert method_after(status, method) == after
