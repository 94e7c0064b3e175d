"""A request that arrives with a wrong method gets the one that its client sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.fix.methods import (
    ENDPOINTS,
    LostBody,
    explain_lost_body,
    find,
    mend_slashes,
    restore,
    unload_body,
)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
BLOB = "/api/blobs/sha256:00"
TAKES = {
    **dict.fromkeys(["/", "/api/version", "/api/tags", "/api/ps", "/api/status", "/api/ls", "/api/serve"], "GET"),
    **dict.fromkeys([f"/api/{name}" for name in ("generate", "chat", "embed", "embeddings", "show")], "POST"),
    **dict.fromkeys([f"/api/{name}" for name in ("pull", "push", "create", "copy", "stop", "unload")], "POST"),
    BLOB: "POST",
    "/api/delete": "DELETE",
}


def test_every_endpoint_is_in_the_table() -> None:
    assert set(TAKES) == {*ENDPOINTS, BLOB}


@pytest.mark.parametrize("arrived", METHODS)
@pytest.mark.parametrize(("path", "method"), TAKES.items())
def test_a_request_with_a_body_gets_its_endpoints_method(path: str, method: str, arrived: str) -> None:
    assert restore(arrived, path, has_body=True) == method


@pytest.mark.parametrize("arrived", METHODS[1:])
@pytest.mark.parametrize(("path", "method"), TAKES.items())
def test_so_does_one_without_a_body_that_did_not_arrive_as_get(path: str, method: str, arrived: str) -> None:
    assert restore(arrived, path, has_body=False) == method


@pytest.mark.parametrize("has_body", [True, False])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [*TAKES, "/other"])
def test_head_and_options_stay(path: str, method: str, has_body: bool) -> None:
    assert restore(method, path, has_body=has_body) == method


@pytest.mark.parametrize("path", [path for path, method in TAKES.items() if method == "GET"])
def test_a_get_that_needs_no_body_stays(path: str) -> None:
    assert restore("GET", path, has_body=False) == "GET"


@pytest.mark.parametrize("path", [path for path, method in TAKES.items() if method != "GET" and path != BLOB])
def test_a_get_whose_body_was_lost_cannot_be_repaired(path: str) -> None:
    assert restore("GET", path, has_body=False) == LostBody(TAKES[path])


def test_a_get_of_a_blob_without_a_body_asked_whether_it_is_there() -> None:
    assert restore("GET", BLOB, has_body=False) == "HEAD"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/me", "/api/blobs", "/API/TAGS", "/api/tags/x"])
def test_a_path_that_is_not_in_the_map_gets_post_only_for_a_get_with_a_body(path: str) -> None:
    assert find(path) is None
    assert restore("GET", path, has_body=True) == "POST"
    assert restore("GET", path, has_body=False) == "GET"
    for method in METHODS[1:]:
        assert restore(method, path, has_body=True) == method


def test_names_that_no_ollama_has_lead_to_those_it_has() -> None:
    led = {path: (endpoint.path, endpoint.unload) for path, endpoint in ENDPOINTS.items() if endpoint.path}
    assert led == {
        "/api/ls": ("/api/tags", False),
        "/api/serve": ("/api/version", False),
        "/api/stop": ("/api/generate", True),
        "/api/unload": ("/api/generate", True),
    }


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        *(("/", "HEAD, GET"), ("/api/tags", "HEAD, GET"), ("/api/ps", "GET"), ("/api/chat", "POST"), (BLOB, "HEAD, POST")),
        ("/api/delete", "DELETE"),
    ],
)
def test_allow_is_what_ollama_says(path: str, allow: str) -> None:
    endpoint = find(path)
    assert endpoint is not None
    assert endpoint.allow == allow


# ── slashes


@pytest.mark.parametrize(
    ("target", "mended"),
    [
        *(("/", "/"), ("//", "/"), ("/api/tags", "/api/tags"), ("/api/tags/", "/api/tags"), ("//api///tags//", "/api/tags")),
        *(("/?a=//b/", "/?a=//b/"), ("/api/tags/?a=1", "/api/tags?a=1"), ("/api/tags?", "/api/tags?"), ("//?", "/?")),
        *(("/api/tags?a=b?c/", "/api/tags?a=b?c/"), ("*", "*"), ("/v1//models/", "/v1/models")),
    ],
)
def test_slashes_are_mended_in_the_path_only(target: str, mended: str) -> None:
    assert mend_slashes(target) == mended


@given(st.text("/a?.").map(lambda rest: "/" + rest))
def test_a_mended_target_needs_no_more_mending(target: str) -> None:
    mended = mend_slashes(target)
    path, _, query = mended.partition("?")
    assert path.startswith("/")
    assert "//" not in path
    assert path == "/" or not path.endswith("/")
    assert query == target.partition("?")[2]
    assert mend_slashes(mended) == mended


# ── bodies


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"m"}', "m"),
        (b'{"name":"m"}', "m"),
        (b'{"model":"","name":"m"}', "m"),
        (b'{"model":"m","name":"n","prompt":"x","keep_alive":5}', "m"),
        (b"{}", ""),
    ],
)
def test_an_unload_names_its_model_and_nothing_else(body: bytes, model: str) -> None:
    assert json.loads(unload_body(body)) == {"model": model, "keep_alive": 0}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'"m"', b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_names_no_model_is_left_for_ollama_to_refuse(body: bytes) -> None:
    assert unload_body(body) == body


def test_a_lost_body_is_explained_with_its_cause_and_its_cure() -> None:
    text = explain_lost_body(LostBody("POST"))
    assert text.startswith("405 method not allowed")
    assert "POST" in text
    assert "redirect" in text
    assert "https://" in text
