"""Where redirects may lead."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.net.redirects import within_site

URL = "http://ai.example/v1/models"


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/v1/models/", "http://ai.example/v1/models/"),
        ("other", "http://ai.example/v1/other"),
        ("?page=2", "http://ai.example/v1/models?page=2"),
        ("http://ai.example:80/x", "http://ai.example:80/x"),
        ("HTTP://AI.example/x", "HTTP://AI.example/x"),
        ("//ai.example/x", "http://ai.example/x"),
    ],
)
def test_a_place_on_the_servers_own_address_is_followed(location: str, place: str) -> None:
    found = within_site(URL, location)
    assert found is not None
    assert found.lower() == place.lower()


@pytest.mark.parametrize(
    "location",
    [
        *("http://other.example/v1/models", "http://ai.example:8080/x", "//other.example/x"),
        *("http://ai.example@other.example/x", "http://user@ai.example/x", "/\\other.example/x", "\\\\other.example/x"),
        *("http://ai.example.other.example/x", "http://[::1/x", "http://ai.example:x/", "javascript:alert(1)", "/\tx", "/é"),
    ],
)
def test_any_other_place_is_not(location: str) -> None:
    assert within_site(URL, location) is None
