"""Paths and methods lead where they lead in Ollama."""

import pytest
from ollama_openai_proxy.exchange import Reply
from ollama_openai_proxy.ollama.routes import ROUTES, route


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        *(("GET", "/", "root"), ("HEAD", "/", "root"), ("GET", "/api/version", "version"), ("HEAD", "/api/tags", "tags")),
        *(("POST", "/api/chat", "chat"), ("POST", "/api/show", "show"), ("GET", "/api/ps", "ps")),
    ],
)
def test_a_known_path_leads_to_its_endpoint(method: str, path: str, endpoint: str) -> None:
    assert route(method, path) == endpoint


@pytest.mark.parametrize("path", ["/x", "/API/TAGS", "/api/tags/", "//api/tags", "", "/api"])
def test_an_unknown_path_is_not_found(path: str) -> None:
    assert route("GET", path) == Reply(404, {"Content-Type": "text/plain"}, b"404 page not found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *(
            ("POST", "/", "HEAD, GET"),
            ("HEAD", "/api/ps", "GET"),
            ("GET", "/api/chat", "POST"),
            ("OPTIONS", "/api/chat", "POST"),
        ),
        *(("DELETE", "/api/tags", "HEAD, GET"), ("get", "/", "HEAD, GET")),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allow: str) -> None:
    assert route(method, path) == Reply(405, {"Allow": allow, "Content-Type": "text/plain"}, b"405 method not allowed")


def test_head_goes_where_get_goes() -> None:
    for methods in ROUTES.values():
        assert methods.get("HEAD", methods.get("GET")) == methods.get("GET")
