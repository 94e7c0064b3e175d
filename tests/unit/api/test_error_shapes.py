"""Each of the three APIs tells an error in its own words."""

import json
from typing import Any

import pytest
from ollama_openai_proxy.api.error_shapes import error_event, error_reply, error_response
from ollama_openai_proxy.api.path_table import Surface, surface_of
from ollama_openai_proxy.errors import ApiError

ID = "request-1"


def told(surface: Surface, status: int, message: str = "no") -> Any:
    return json.loads(error_reply(surface, ApiError(status, message), ID)[1])


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        *((path, "ollama") for path in ("/", "/api/chat", "/api/v1/messages", "/v1", "/v10/messages", "", "*", "/V1/messages")),
        *((path, "openai") for path in ("/v1/", "/v1/chat/completions", "/v1/responses", "/v1/messagesx", "/v1/message")),
        *((path, "anthropic") for path in ("/v1/messages", "/v1/messages/", "/v1/messages/count_tokens")),
    ],
)
def test_a_path_belongs_to_one_api(path: str, surface: Surface) -> None:
    assert surface_of(path) == surface


def test_ollama_tells_an_error_in_one_field() -> None:
    content_type, body = error_reply("ollama", ApiError(404, 'model "Grüße" not found'), ID)
    assert content_type == "application/json; charset=utf-8"
    assert body == b'{"error":"model \\"Gr\\u00fc\\u00dfe\\" not found"}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"), (404, "not_found_error")),
        *((405, "api_error"), (429, "rate_limit_error"), (500, "api_error"), (502, "api_error")),
    ],
)
def test_openai_tells_an_error_with_its_type(status: int, kind: str) -> None:
    content_type, body = error_reply("openai", ApiError(status, "no"), ID)
    assert content_type == "application/json"
    assert json.loads(body) == {"error": {"message": "no", "type": kind, "param": None, "code": None}}
    assert body.endswith(b"}\n")


def test_anthropic_tells_an_error_with_its_type_and_the_requests_id() -> None:
    assert error_reply("anthropic", ApiError(503, "no"), ID)[0] == "application/json; charset=utf-8"
    assert told("anthropic", 503) == {"type": "error", "error": {"type": "overloaded_error", "message": "no"}, "request_id": ID}


@pytest.mark.parametrize("surface", ["ollama", "openai"])
def test_the_others_have_no_place_for_the_id(surface: Surface) -> None:
    assert ID not in error_reply(surface, ApiError(500, "no"), ID)[1].decode()


@pytest.mark.parametrize("surface", ["ollama", "openai"])
def test_a_stream_of_events_that_breaks_off_ends_with_an_error_as_the_openai_sdk_expects(surface: Surface) -> None:
    event = error_event(surface, ApiError(502, "broke off\n\n"))
    data = json.dumps(told("openai", 502, "broke off\n\n"), separators=(",", ":"))
    assert event.decode() == f"data: {data}\n\n"


def test_anthropics_last_event_names_itself() -> None:
    event = error_event("anthropic", ApiError(529, "broke off\n\n"))
    assert event == (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"broke off\\n\\n"}}\n\n'
    )  # fmt: skip


@pytest.mark.parametrize("log", [True, False])
def test_a_client_that_is_sent_away_is_logged_unless_that_would_be_too_much(
    log: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    told_bytes = error_response(408, "too slow", "/api/chat", log=log)
    assert told_bytes.startswith(b"HTTP/1.1 408 ")
    assert told_bytes.endswith(b'{"error":"too slow"}')
    assert ("too slow" in caplog.text) is log
