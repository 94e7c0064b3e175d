"""A back end that has no such call is told from one that has it and refuses."""

import json

import pytest
from ollama_openai_proxy.api.openai.missing_routes import names_no_route, whole, whole_refusal
from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.net.body import KnownParts, Sink
from ollama_openai_proxy.net.http_messages import Reply


def told(status: int, body: object) -> bool:
    return names_no_route(Reply(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()))


@pytest.mark.parametrize("status", [200, 400, 401, 403, 422, 429, 500, 502, 503])
def test_any_other_status_is_an_answer(status: int) -> None:
    assert not told(status, {"error": {"message": "Invalid URL (POST /v1/responses)"}})


@pytest.mark.parametrize("status", [405, 501])
def test_a_method_that_is_not_there_is_a_call_that_is_not_there(status: int) -> None:
    assert told(status, {"error": "the model does not do that"})


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Invalid URL (POST /v1/responses)", "type": "invalid_request_error", "code": None}},
        {"detail": "Not Found"},
        {"error": "Not Found"},
        {"error": None},
        {"error": {"message": None}},
        {"message": "no Route matched with those values"},
        [1],
        b"404 page not found",
        b"<html><title>The model shop: 404</title></html>",
        b"",
        b"\xff",
    ],
)
def test_a_path_that_is_not_there_is_a_call_that_is_not_there(body: object) -> None:
    assert told(404, body)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The model `x` does not exist", "type": "invalid_request_error", "code": "model_not_found"}},
        {"error": {"message": "gone", "code": "model_not_found"}},
        {"error": {"message": "Model x is not here"}},
        {"error": "model 'x' not found"},
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}},
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
        {"detail": "Model not found"},
        [{"error": {"code": 404, "message": "models/x is not found", "status": "NOT_FOUND"}}],
    ],
)
def test_a_model_that_is_not_there_is_an_answer(body: object) -> None:
    assert not told(404, body)


def test_a_body_that_nobody_read_says_nothing_of_a_model() -> None:
    assert names_no_route(Reply(404, {}, KnownParts([])))


class Parts(KnownParts):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("status", [404, 405, 501, 200, 400, 500])
async def test_only_what_may_have_to_be_looked_into_is_awaited(status: int) -> None:
    parts = Parts([b"a", b"b"])
    reply = Reply(status, {"A": "b"}, parts, length=2)
    answer = await whole(reply)
    if status in (404, 405, 501):
        assert answer == Reply(status, {"A": "b"}, b"ab")
        assert parts.closed
    else:
        assert answer is reply


async def test_a_refusal_that_is_whole_stays_as_it_is() -> None:
    reply = Reply(404, {}, b"ab")
    assert await whole(reply) is reply


async def test_a_refusal_that_breaks_off_is_an_error() -> None:
    class Broken(Parts):
        def start(self, sink: Sink) -> None:
            sink.write(b"a")
            sink.end(BackendError(502, "broke off"))

    with pytest.raises(BackendError):
        await whole(Reply(404, {}, Broken([])))


async def test_a_refusal_is_read_whole_and_nothing_else() -> None:
    refused = await whole_refusal(Reply(404, {}, KnownParts([b"no", b"pe"]), 4))
    assert (refused.status, refused.body, refused.length) == (404, b"nope", None)
    known = Reply(400, {}, b"nope")
    assert await whole_refusal(known) is known
    assert (await whole_refusal(Reply(500, {}, KnownParts([b"x"])))).body == b"x"
    for status in (200, 503):
        reply = Reply(status, {}, KnownParts([b"x"]))
        assert await whole_refusal(reply) is reply
