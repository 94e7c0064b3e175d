"""A path that a server does not have is told from a thing that it does not have."""

from __future__ import annotations

import json

import pytest
from ollama_openai_proxy.translate.not_found import names_missing_route


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Invalid URL (POST /v1/responses)", "code": "unknown_url"}},
        {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
        {"detail": "Not Found"},
        {"error": "Unexpected endpoint or method. (POST /v1/responses)"},
        {"error": {"code": "404", "message": "Resource not found"}},
        {"message": "no Route matched with those values"},
        {"error": "unknown path /v1/messages"},
        {"error": {"message": "No such page for messages"}},
        {"error": {"message": "gone", "code": "route_not_found"}},
        {},
        [],
        None,
        "404 page not found",
        b"Cannot POST /v1/embeddings",
        b"<html><title>The model shop: 404</title></html>",
        b"\xff",
        "",
    ],
)
def test_a_path_that_is_missing(body: object) -> None:
    assert names_missing_route(body)
    assert names_missing_route(body if isinstance(body, bytes | str) else json.dumps(body))


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Response with id 'resp_x' not found.", "param": "response_id", "code": 404}},
        {"error": {"message": "gone", "param": "previous_response_id"}},
        {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
        {"error": {"message": "gone", "code": "file_not_found"}},
        {"error": {"message": "No file found with id 'file-x'"}},
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
        {"error": "model 'x' not found"},
        "model 'x' not found, try pulling it first",
        b"The model is gone",
    ],
)
def test_a_thing_that_is_missing(body: object) -> None:
    assert not names_missing_route(body)
