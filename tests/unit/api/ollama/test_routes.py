"""Paths and methods lead where they lead in Ollama."""

import pytest
from ollama_openai_proxy.api.ollama.routes import handler_of
from ollama_openai_proxy.api.path_table import ROUTES
from ollama_openai_proxy.net.http_messages import Reply

DIGEST = f"sha256:{'0' * 64}"

TABLE: list[tuple[tuple[str, ...], str, str]] = [
    (("HEAD", "GET"), "/", "root"),
    (("HEAD", "GET"), "/api/version", "version"),
    (("GET",), "/api/status", "status"),
    (("HEAD", "GET"), "/api/tags", "tags"),
    (("POST",), "/api/show", "show"),
    (("GET",), "/api/ps", "ps"),
    (("POST",), "/api/chat", "chat"),
    (("POST",), "/api/generate", "generate"),
    (("POST",), "/api/embed", "embed"),
    (("POST",), "/api/embeddings", "embeddings"),
    (("POST",), "/api/pull", "pull"),
    (("POST",), "/api/push", "push"),
    (("POST",), "/api/create", "create"),
    (("POST",), "/api/copy", "copy"),
    (("DELETE",), "/api/delete", "delete"),
    (("POST",), "/api/me", "me"),
    (("POST",), "/api/signout", "signout"),
    (("GET",), "/api/experimental/model-recommendations", "recommendations"),
    (("POST",), "/api/experimental/web_search", "web"),
    (("POST",), "/api/experimental/web_fetch", "web"),
    (("GET",), "/api/usage", "account"),
    (("GET",), "/api/balance", "account"),
    (("HEAD", "POST"), f"/api/blobs/{DIGEST}", "blob"),
    (("HEAD", "POST"), f"/api/blobs/{DIGEST.replace(':', '-')}", "blob"),
    # A digest that the endpoint will refuse.
    (("HEAD", "POST"), "/api/blobs/x", "blob"),
    (("DELETE",), "/api/user/keys/c3NoLWVk", "signout"),
]
METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW")


def test_every_path_is_in_the_table() -> None:
    assert {path for _, path, _ in TABLE if not path.startswith(("/api/blobs/", "/api/user/"))} == {
        route.path for route in ROUTES if route.handler and route.prefix is None
    }


@pytest.mark.parametrize(("methods", "path", "endpoint"), TABLE)
def test_a_path_leads_to_its_endpoint_and_other_methods_are_told_the_right_ones(
    methods: tuple[str, ...], path: str, endpoint: str
) -> None:
    for method in METHODS:
        if method in methods:
            assert handler_of(method, path) == endpoint
        else:
            headers = {"Allow": ", ".join(methods), "Content-Type": "text/plain"}
            assert handler_of(method, path) == Reply(405, headers, b"405 method not allowed")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        *("/x", "/API/TAGS", "/api/tags/", "//api/tags", "", "/api", "/api/", "api/tags", "*"),
        *("/api/blobs", "/api/blobs/", "/api/blobs//", f"/api/blobs/{DIGEST}/x", "/api/blobs/a/b", f"/x/api/blobs/{DIGEST}"),
        *(
            "/api/user/keys",
            "/api/user/keys/",
            "/api/user/keys/a/b",
            "/api/signin",
            "/api/web_search",
            "/v1/models",
            "/api/ls",
            "/api/stop",
            "/healthz",
        ),
    ],
)
def test_an_unknown_path_is_not_found(method: str, path: str) -> None:
    assert handler_of(method, path) == Reply(404, {"Content-Type": "text/plain"}, b"404 page not found")
