"""A back end that refuses much is asked so that it answers: with one further call for each kind, and with none the second time.

The back end here is a server of its own that checks each call, so that what is counted is what a real one would have seen.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
from openai import APIStatusError, OpenAI

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELLO = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}
LIST = {"type": "array", "items": {"type": "integer"}}

type Call = dict[str, Any]
type Refusals = Callable[[Call], tuple[int, str] | None]


class PickyBackend:
    """An OpenAI-compatible server; `refuses` says what is wrong with a call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.paths: list[str] = []
        self.refuses: Refusals = lambda _: None
        self.content = "hello"
        self.base64 = True
        self.tells_in_streams = True
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._reply(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

            def do_POST(self) -> None:
                call: Call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                backend.calls.append(call)
                backend.paths.append(self.path)
                if (found := backend.refuses(call)) and call.get("stream") and not backend.tells_in_streams:
                    self._send(200, b"", "text/event-stream")
                elif found:
                    self._reply(found[0], {"error": {"message": found[1], "type": "invalid_request_error", "param": None}})
                elif self.path.endswith("/embeddings"):
                    self._reply(200, backend.vectors(call))
                elif call.get("stream"):
                    self._stream([{"choices": [{"index": 0, "delta": {"content": backend.content}, "finish_reason": "stop"}]}])
                else:
                    message = {"role": "assistant", "content": backend.content}
                    self._reply(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

            def _stream(self, chunks: list[dict[str, Any]]) -> None:
                data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
                self._send(200, data.encode(), "text/event-stream")

            def _reply(self, status: int, value: object) -> None:
                self._send(status, json.dumps(value).encode(), "application/json")

            def _send(self, status: int, data: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def vectors(self, call: Call) -> dict[str, Any]:
        """Vectors that tell the number in each text; without `base64` a call for that gets none."""
        empty = not self.base64 and call.get("encoding_format") == "base64"
        entries = [
            {"index": n, "embedding": "" if empty else [float(text[1:] or 0), 1.0]} for n, text in enumerate(call["input"])
        ]
        return {"data": entries, "usage": {"prompt_tokens": len(entries)}}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def picky() -> Iterator[PickyBackend]:
    with PickyBackend() as backend:
        yield backend


@pytest.fixture
def proxy(picky: PickyBackend) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=picky.url) as running:
        yield running


def post(proxy: ProxyProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(proxy.url + path, json={"model": "m", **body}, timeout=PATIENCE)


def chat(proxy: ProxyProcess, **body: Any) -> httpx.Response:
    return post(proxy, "/api/chat", **{"messages": HELLO, "stream": False, **body})


def first_of(*rules: tuple[Callable[[Call], Any], int, str]) -> Refusals:
    """Refuses with the first rule that holds, as servers do."""
    return lambda call: next(((status, text) for holds, status, text in rules if holds(call)), None)


def test_each_kind_of_refusal_costs_one_call_and_the_second_request_none(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of(
        (lambda call: {"seed", "presence_penalty"} & call.keys(), 400, "Unknown parameters: ['seed', 'presence_penalty']"),
        (lambda call: call.get("max_tokens", 0) > 4096, 400, "max_tokens must be at most 4096"),
        (lambda call: "tools" in call and "response_format" in call, 400, "json mode cannot be combined with tool calling"),
        (lambda call: call["stream"], 400, "Your organization must be verified to stream this model."),
        (lambda call: call["messages"][0]["role"] == "system", 400, "System role not supported"),
    )
    body = {
        "options": {"seed": 1, "presence_penalty": 0.5, "num_predict": 90000},
        "tools": [TOOL],
        "format": "json",
    }
    for stream in (False, True):
        assert chat(proxy, **body, stream=stream).status_code == 200
        assert len(picky.calls) == 6, [sorted(call) for call in picky.calls]
        picky.calls[:] = picky.calls[-1:] * 5
    metrics = httpx.get(proxy.url + "/metrics", timeout=PATIENCE).text
    for kind in ("leave_out", "lower", "rebuild", "no_stream", "messages"):
        assert f'ollama_proxy_extra_calls_total{{backend="default",kind="{kind}"}} 1.0' in metrics


@pytest.fixture
def hiding(picky: PickyBackend) -> Iterator[ProxyProcess]:
    """A proxy in front of a server whose streams do not tell what is refused."""
    picky.tells_in_streams = False
    with ProxyProcess(OPENAI_API_BASE_URL=picky.url, BACKEND_PROFILE="llama-cpp-python") as running:
        yield running


def test_a_refusal_that_a_stream_does_not_tell_is_asked_for_without_one(picky: PickyBackend, hiding: ProxyProcess) -> None:
    picky.refuses = first_of(
        (
            lambda call: len(call["messages"]) > 3,
            400,
            "This model's maximum context length is 30 tokens. However, you requested 90.",
        )
    )
    talk = [{"role": role, "content": f"word {n} and some more words"} for n in range(4) for role in ("user", "assistant")]
    messages = [*talk, *HELLO]
    shortened = chat(hiding, messages=messages)
    assert shortened.status_code == 200
    assert shortened.json()["prompt_eval_count"] < 30
    assert [call["stream"] for call in picky.calls[:2]] == [True, False]
    assert picky.calls[-1]["stream"]
    assert len(picky.calls[-1]["messages"]) <= 3
    assert chat(hiding).status_code == 200
    assert picky.calls[-1]["stream"]
    told = chat(hiding, messages=messages, truncate=False)
    assert told.status_code == 400
    assert "maximum context length is 30 tokens" in told.json()["error"]


def test_an_error_that_a_stream_does_not_tell_is_told(picky: PickyBackend, hiding: ProxyProcess) -> None:
    picky.refuses = lambda _: (500, "the engine is gone")
    reply = chat(hiding)
    assert (reply.status_code, reply.json()) == (500, {"error": "the engine is gone"})
    assert [call["stream"] for call in picky.calls] == [True, False]


def test_other_servers_are_not_asked_again_after_an_empty_answer(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = lambda _: (500, "the engine is gone")
    picky.tells_in_streams = False
    assert chat(proxy).status_code == 502
    assert len(picky.calls) == 1


def test_what_is_learned_stands_in_the_log_without_any_text_of_the_client(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of((lambda call: "seed" in call, 400, "Unknown parameter: 'seed'"))
    chat(proxy, options={"seed": 1}, messages=[{"role": "user", "content": "a secret"}])
    assert "model m: for an hour, seed is left out" in proxy.log
    assert "a secret" not in proxy.log


def test_nothing_is_learned_where_that_is_forbidden(picky: PickyBackend) -> None:
    picky.refuses = first_of((lambda call: "seed" in call, 400, "Unknown parameter: 'seed'"))
    with ProxyProcess(OPENAI_API_BASE_URL=picky.url, ADAPT="false") as proxy:
        reply = chat(proxy, options={"seed": 1})
        assert (reply.status_code, reply.json()) == (400, {"error": "Unknown parameter: 'seed'"})
    assert len(picky.calls) == 1


def test_a_quotation_of_one_client_changes_no_call_of_another(picky: PickyBackend, proxy: ProxyProcess) -> None:
    words = "the parameter temperature is not supported by this model"
    picky.refuses = first_of((lambda call: words in str(call["messages"]), 400, f"This text is not allowed: {words}"))
    chat(proxy, messages=[{"role": "user", "content": words}], options={"temperature": 0.5})
    chat(proxy, options={"temperature": 0.5})
    assert picky.calls[-1]["temperature"] == 0.5


def test_a_list_is_taken_out_of_the_object_around_it(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of(
        (
            lambda call: call["response_format"]["json_schema"]["schema"]["type"] != "object",
            400,
            "Invalid schema for response_format 'schema': schema must be a JSON Schema of 'type: \"object\"', "
            "got 'type: \"array\"'.",
        )
    )
    picky.content = '{"value": [1, 2]}'
    assert chat(proxy, format=LIST).json()["message"]["content"] == "[1, 2]"
    assert chat(proxy, format=LIST).json()["message"]["content"] == "[1, 2]"
    assert len(picky.calls) == 3


def test_a_model_that_refuses_tools_is_shown_without_them(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of((lambda call: "tools" in call, 400, "This model does not support tools."))
    assert "tools" in post(proxy, "/api/show").json()["capabilities"]
    assert chat(proxy, tools=[TOOL]).status_code == 400
    assert "tools" not in post(proxy, "/api/show").json()["capabilities"]
    assert "does not support tools" in chat(proxy, tools=[TOOL]).json()["error"]
    assert len(picky.calls) == 1


def test_embeddings_are_split_in_order_as_the_server_takes_them(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of(
        (lambda call: len(call["input"]) > 10, 400, "batch size is invalid, it should not be larger than 10."),
        (lambda call: "" in call["input"], 400, "input must not be empty"),
    )
    texts = [f"x{n}" for n in range(95)] + [""]
    for calls in (11, 10):
        picky.calls.clear()
        reply = post(proxy, "/api/embed", input=texts).json()
        ratios = [round(first / second) for first, second in reply["embeddings"]]
        assert ratios == [*range(95), 0]
        assert reply["prompt_eval_count"] == 96
        assert len(picky.calls) == calls


@pytest.mark.parametrize(
    ("texts", "most", "refused"),
    [(60, 7, 3), (64, 8, 3), (256, 32, 3), (300, 100, 2), (5, 1, 2)],  # of 256, 60, 64 and 5 texts, until a half is taken
)
def test_a_limit_of_texts_that_the_server_does_not_name_is_found_by_halving_once(
    picky: PickyBackend, proxy: ProxyProcess, texts: int, most: int, refused: int
) -> None:
    picky.refuses = first_of((lambda call: len(call["input"]) > most, 413, "the batch is too large"))
    reply = post(proxy, "/api/embed", input=[f"x{n}" for n in range(texts)]).json()
    assert [round(first / second) for first, second in reply["embeddings"]] == [*range(texts)]
    sizes = [len(call["input"]) for call in picky.calls]
    assert all(size > most for size in sizes[:refused])
    assert len(sizes) - refused == -(-texts // sizes[refused])


def test_vectors_come_as_numbers_from_a_server_without_base64(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.base64 = False
    for _ in range(2):
        first, second = post(proxy, "/api/embed", input=["x3"]).json()["embeddings"][0]
        assert round(first / second) == 3
    assert [call["encoding_format"] for call in picky.calls] == ["base64", "float", "float"]


@pytest.mark.parametrize(("truncate", "status"), [(True, 200), (False, 400)])
def test_a_text_that_is_too_long_is_cut_unless_that_is_forbidden(
    picky: PickyBackend, proxy: ProxyProcess, truncate: bool, status: int
) -> None:
    text = "maximum context length is 100 tokens. However, you requested 400 tokens in the input"
    picky.refuses = first_of((lambda call: len(call["input"][0]) > 400, 400, text))
    reply = post(proxy, "/api/embed", input=["x1" + " " * 1500], truncate=truncate)
    assert reply.status_code == status
    if not truncate:
        assert reply.json() == {"error": "the input length exceeds the context length"}


def test_embeddings_that_are_refused_within_status_200_are_made_again(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of(
        (lambda call: len(call["input"]) > 2, 200, "batch size is invalid, it should not be larger than 2.")
    )
    reply = post(proxy, "/api/embed", input=["x1", "x2", "x3"])
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["embeddings"]) == 3
    picky.refuses = first_of((lambda call: "input" in call, 200, "insufficient balance"))
    reply = post(proxy, "/api/embed", input=["x1"])
    assert (reply.status_code, reply.json()) == (402, {"error": "insufficient balance"})


def test_a_server_without_embeddings_is_no_server_without_the_model(picky: PickyBackend, proxy: ProxyProcess) -> None:
    picky.refuses = first_of((lambda call: "input" in call, 404, "Not Found"))
    reply = post(proxy, "/api/embed", input=["x1"])
    assert (reply.status_code, reply.json()) == (501, {"error": "the back end has no embeddings: Not Found"})


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_chat_completion_of_openais_api_is_made_otherwise_if_a_refusal_shows_how(
    picky: PickyBackend, proxy: ProxyProcess, status: int
) -> None:
    picky.refuses = first_of((lambda call: "seed" in call, status, "Unsupported fields in the request: {'seed'}"))
    with OpenAI(base_url=f"{proxy.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE) as client:
        create: Any = client.chat.completions.create
        for calls in (2, 1):
            picky.calls.clear()
            assert create(model="m", messages=HELLO, seed=1).choices[0].message.content == "hello"
            # The call as it came, and as the refusal asks for; from then on only that.
            assert len(picky.calls) == calls
        chunks = list(create(model="m", messages=HELLO, seed=1, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello"
        picky.calls.clear()
        create(model="m", messages=HELLO, user="u")
        assert picky.calls == [{"model": "m", "messages": HELLO, "user": "u"}], (
            "a call without the refused field came otherwise"
        )
        picky.refuses = first_of((lambda call: True, status, "Please be polite"))
        refused = refusal_of(lambda: create(model="m", messages=HELLO))
    assert (refused.status_code, "Please be polite" in str(refused)) == (status, True)


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [(404, "Not Found", 501), (405, "Method Not Allowed", 501), (404, "The model `m` does not exist", 404)],
)
def test_a_server_without_chat_is_told_from_a_model_that_is_not_there(
    picky: PickyBackend, proxy: ProxyProcess, status: int, text: str, expected: int
) -> None:
    picky.refuses = first_of((lambda call: True, status, text))
    refused = post(proxy, "/v1/chat/completions", messages=HELLO)
    assert refused.status_code == expected
    assert text in refused.json()["error"]["message"]
    assert len(picky.calls) == 1


def refusal_of(call: Callable[[], object]) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        call()
    return caught.value


# ── calls of APIs that the server has


TOO_MUCH = "max_completion_tokens=32000 cannot be greater than max_model_len=1024. Please request fewer output tokens."
MESSAGES_CALL: Call = {"messages": HELLO, "max_tokens": 32_000}
RESPONSES_CALL: Call = {"input": HELLO, "max_output_tokens": 32_000}
NATIVE_CALLS = [("/v1/messages", MESSAGES_CALL), ("/v1/responses", RESPONSES_CALL)]


def asks_too_much(call: Call) -> bool:
    return any((call.get(name) or 0) > 1024 for name in ("max_tokens", "max_output_tokens", "max_completion_tokens"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), NATIVE_CALLS)
def test_a_call_of_another_api_becomes_a_chat_completion_if_a_refusal_shows_how(
    picky: PickyBackend, proxy: ProxyProcess, path: str, body: Call, stream: bool
) -> None:
    picky.refuses = first_of((asks_too_much, 400, TOO_MUCH))
    reply = post(proxy, path, **body, stream=stream)
    assert (reply.status_code, "hello" in reply.text) == (200, True), reply.text
    assert picky.paths[0] == path
    assert picky.paths[-1] == "/v1/chat/completions"
    assert picky.calls[-1]["messages"] == HELLO


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({}, "Please be polite", id="a refusal that shows nothing"),
        pytest.param({"previous_response_id": "resp_1"}, TOO_MUCH, id="state that the server keeps"),
        pytest.param({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, TOO_MUCH, id="a tool that it runs"),
    ],
)
@pytest.mark.parametrize(("path", "body"), NATIVE_CALLS)
def test_a_call_of_another_api_that_cannot_be_a_better_chat_completion_is_refused(
    picky: PickyBackend, proxy: ProxyProcess, path: str, body: Call, more: Call, words: str
) -> None:
    picky.refuses = first_of((lambda call: True, 400, words))
    reply = post(proxy, path, **body, **more)
    assert (reply.status_code, words in reply.text, picky.paths) == (400, True, [path])


@pytest.mark.parametrize(("path", "body"), NATIVE_CALLS)
def test_the_reason_is_that_of_the_clients_call_if_the_chat_completion_fails_too(
    picky: PickyBackend, proxy: ProxyProcess, path: str, body: Call
) -> None:
    picky.refuses = first_of((lambda call: "chat" in picky.paths[-1], 403, "no chat for you"), (asks_too_much, 400, TOO_MUCH))
    reply = post(proxy, path, **body)
    assert (reply.status_code, TOO_MUCH in reply.text) == (400, True), reply.text
    assert picky.paths == [path, "/v1/chat/completions"]
