"""One id for each request: given by the client or by the proxy, on every reply, in every log line, at every back end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import Answer, Raw, exchange, get, post
from tests.patience import wait_until
from tests.standins import (
    Error,
    RecordedRequest,
    ScriptedBackend,
    Stream,
    StrictOllama,
    Whole,
    chat_completion,
    error_body,
    finish,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-of-the-tests"
BEARER = f"Authorization: Bearer {KEY}"
HELLO = [{"role": "user", "content": "hello"}]
CHAT = {"model": "gpt-test", "messages": HELLO}
PAGE = "Origin: http://localhost:3000"
MADE = re.compile(r"[0-9a-f]{32}")


class Case(NamedTuple):
    """A request, as far as its id does not matter, and the status of its reply."""

    status: int
    method: str
    path: str
    body: Any = None
    headers: tuple[str, ...] = (BEARER,)

    def data(self, *headers: str) -> bytes:
        if self.body is None:
            return get(self.path, *self.headers, *headers, method=self.method)
        return post(self.path, self.body, *self.headers, *headers, method=self.method)


EVERYWHERE = {
    "version": Case(200, "GET", "/api/version"),
    "head": Case(200, "HEAD", "/api/tags"),
    "health": Case(200, "GET", "/healthz", headers=()),
    "readiness": Case(200, "GET", "/readyz", headers=()),
    "metrics": Case(200, "GET", "/metrics"),
    "preflight": Case(204, "OPTIONS", "/api/chat", headers=(PAGE, "Access-Control-Request-Method: POST")),
    "a foreign page": Case(403, "GET", "/api/tags", headers=(BEARER, "Origin: https://evil.example")),
    "no key": Case(401, "GET", "/api/tags", headers=()),
    "no key, with a body": Case(401, "POST", "/v1/messages", CHAT, headers=()),
    "no key, as the command": Case(502, "GET", "/api/tags", headers=("User-Agent: ollama/0.24.0",)),
    "too large": Case(413, "POST", "/v1/chat/completions", b"x" * 20_000),
    "a websocket": Case(400, "GET", "/v1/realtime", headers=(BEARER, "Upgrade: websocket")),
    "another host": Case(403, "GET", "http://evil.example/api/tags"),
    "a lost body": Case(405, "GET", "/api/chat"),
    "no such path": Case(404, "GET", "/api/unheard"),
}
TRANSLATED = EVERYWHERE | {
    "tags": Case(200, "GET", "/api/tags"),
    "show": Case(200, "POST", "/api/show", {"model": "gpt-test"}),
    "chat streamed": Case(200, "POST", "/api/chat", CHAT),
    "chat whole": Case(200, "POST", "/api/chat", CHAT | {"stream": False}),
    "generate": Case(200, "POST", "/api/generate", {"model": "gpt-test", "prompt": "hello"}),
    "completion": Case(200, "POST", "/api/generate", {"model": "gpt-test", "prompt": "hello", "raw": True}),
    "embed": Case(200, "POST", "/api/embed", {"model": "text-embedding-test", "input": "hello"}),
    "embeddings": Case(200, "POST", "/api/embeddings", {"model": "text-embedding-test", "prompt": "hello"}),
    "nonsense": Case(400, "POST", "/api/chat", b"nonsense"),
    "an unknown model": Case(404, "POST", "/api/chat", CHAT | {"model": "nope"}),
    "a pull": Case(200, "POST", "/api/pull", {"model": "nope"}),
    "a wrong method": Case(405, "DELETE", "/api/tags"),
    "models": Case(200, "GET", "/v1/models"),
    "forwarded": Case(200, "POST", "/v1/chat/completions", CHAT),
    "forwarded and streamed": Case(200, "POST", "/v1/chat/completions", CHAT | {"stream": True}),
    "forwarded messages": Case(200, "POST", "/v1/messages", CHAT | {"max_tokens": 5}),
    "forwarded responses, streamed": Case(200, "POST", "/v1/responses", {"model": "gpt-test", "input": "hi", "stream": True}),
    "forwarded and unknown": Case(404, "POST", "/v1/chat/completions", CHAT | {"model": "nope"}),
    "forwarded to no path": Case(404, "GET", "/v1/unheard"),
}
FIXED = EVERYWHERE | {
    "tags": Case(200, "GET", "/api/tags"),
    "chat streamed": Case(200, "POST", "/api/chat", {"model": "tiny", "messages": HELLO}),
    "chat whole": Case(200, "POST", "/api/chat", {"model": "tiny", "messages": HELLO, "stream": False}),
    "as a GET": Case(200, "GET", "/api/show", {"model": "tiny"}),
    "an unknown model": Case(404, "POST", "/api/chat", {"model": "nope", "messages": HELLO}),
    "nonsense": Case(400, "POST", "/api/chat", b"nonsense"),
    "a blob": Case(400, "POST", "/api/blobs/sha256:" + "0" * 64, b"x"),
    "models": Case(200, "GET", "/v1/models"),
}
ALL = [("translate", name) for name in TRANSLATED] + [("fix", name) for name in FIXED]
COMMON: dict[str, Any] = {"PROXY_API_KEYS": KEY, "MAX_BODY_SIZE": "10kB", "LOG_LEVEL": "debug", "LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend(everything=True) as server:
        yield server


@pytest.fixture(scope="module")
def upstream() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


@pytest.fixture(scope="module")
def proxies(backend: ScriptedBackend, upstream: StrictOllama) -> Iterator[dict[str, ProxyProcess]]:
    with (
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **COMMON) as translating,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, **COMMON) as fixing,
    ):
        yield {"translate": translating, "fix": fixing}


def logged(proxy: ProxyProcess, request_id: str) -> list[dict[str, Any]]:
    """The lines with an id, when the one of the request is among them."""

    def lines() -> list[dict[str, Any]]:
        complete = proxy.log.rpartition("\n")[0].splitlines()
        return [entry for entry in map(json.loads, complete) if entry.get("request_id") == request_id]

    wait_until(lambda: any(line["message"] == "request" for line in lines()))
    return lines()


def line_of(proxy: ProxyProcess, request_id: str) -> dict[str, Any]:
    (line,) = [line for line in logged(proxy, request_id) if line["message"] == "request"]
    return line


@pytest.mark.parametrize(("mode", "name"), ALL)
def test_every_reply_and_its_log_line_carry_the_id_that_the_client_gave(
    proxies: dict[str, ProxyProcess], mode: str, name: str
) -> None:
    case = (TRANSLATED if mode == "translate" else FIXED)[name]
    request_id = f"mine/{mode}:{name.replace(' ', '-')}"
    answer = exchange(proxies[mode].port, case.data(f"X-Request-Id: {request_id}"), case.method)
    assert (answer.status, answer.headers["x-request-id"]) == (case.status, request_id)
    line = line_of(proxies[mode], request_id)
    assert line["status"] == case.status


@pytest.mark.parametrize("mode", ["translate", "fix"])
def test_every_reply_to_a_request_without_an_id_has_one_of_its_own(proxies: dict[str, ProxyProcess], mode: str) -> None:
    seen = set()
    for case in (TRANSLATED if mode == "translate" else FIXED).values():
        answer = exchange(proxies[mode].port, case.data(), case.method)
        assert MADE.fullmatch(answer.headers["x-request-id"])
        seen.add(answer.headers["x-request-id"])
        line_of(proxies[mode], answer.headers["x-request-id"])
    assert len(seen) == len(TRANSLATED if mode == "translate" else FIXED)


UNUSABLE = {
    "empty": [""],
    "blank": ["two words"],
    "a tab": ["two\twords"],
    "long": ["x" * 201],
    "another alphabet": ["\u00e4\u00f6\u00fc"],
    "twice": ["one", "two"],
    "quoted": ['{"a": 1}'],
}


@pytest.mark.parametrize("mode", ["translate", "fix"])
@pytest.mark.parametrize("values", UNUSABLE.values(), ids=UNUSABLE)
def test_an_id_that_is_none_is_replaced(
    proxies: dict[str, ProxyProcess], upstream: StrictOllama, mode: str, values: list[str]
) -> None:
    answer = exchange(proxies[mode].port, get("/api/tags", BEARER, *(f"X-Request-Id: {value}" for value in values)))
    assert answer.status == 200
    made = answer.headers["x-request-id"]
    assert MADE.fullmatch(made)
    line_of(proxies[mode], made)
    if mode == "fix":
        assert upstream.requests[-1].headers.getall("X-Request-Id") == [made]


def test_the_longest_id_is_kept(proxies: dict[str, ProxyProcess]) -> None:
    longest = "!~" * 100
    answer = exchange(proxies["translate"].port, get("/api/tags", BEARER, f"X-Request-Id: {longest}"))
    assert answer.headers["x-request-id"] == longest


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX : y\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"])
def test_even_what_is_no_request_has_an_id_that_is_in_the_log(proxies: dict[str, ProxyProcess], nonsense: bytes) -> None:
    proxy = proxies["translate"]
    with Raw(proxy.port) as connection:
        connection.send(nonsense)
        made = connection.answer().headers["x-request-id"]
    assert MADE.fullmatch(made)
    wait_until(lambda: made in proxy.log)


def test_who_is_refused_for_calling_too_often_has_an_id() -> None:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, RATE_LIMIT="1/hour", **COMMON) as proxy,
    ):
        for path in ("/api/tags", "/v1/models", "/v1/messages"):
            answer = exchange(proxy.port, get(path, BEARER, "X-Request-Id: mine"))
        assert (answer.status, answer.headers["x-request-id"], answer.json["request_id"]) == (429, "mine", "mine")


# -- The back end ------------------------------------------------------------------------------------------------------

TO_A_BACK_END = [
    name for name, case in TRANSLATED.items() if case.status == 200 and case.method == "POST" and name not in ("show", "a pull")
]


@pytest.mark.parametrize("name", TO_A_BACK_END)
def test_the_back_end_of_each_call_is_told_the_id(
    backend: ScriptedBackend, proxies: dict[str, ProxyProcess], name: str
) -> None:
    backend.requests.clear()
    assert exchange(proxies["translate"].port, TRANSLATED[name].data("X-Request-Id: told")).status == 200
    calls: list[RecordedRequest] = [request for request in backend.requests if request.method == "POST"]
    assert calls
    assert [call.headers.getall("X-Request-Id") for call in calls] == [["told"]] * len(calls)
    backend.requests.clear()
    answer = exchange(proxies["translate"].port, TRANSLATED[name].data())
    made = [answer.headers["x-request-id"]]
    assert [request.headers.getall("X-Request-Id") for request in backend.requests if request.method == "POST"] == [made]


def test_the_question_for_the_models_and_each_attempt_carry_the_id() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **COMMON) as proxy:
        backend.reply_with(Error(400, error_body("Unsupported parameter: 'seed'", param="seed"), {"X-Request-Id": "first"}))
        backend.reply_with(Stream([text("a"), finish()], {"X-Request-Id": "second"}))
        request = post("/api/chat", CHAT | {"options": {"seed": 1}}, BEARER, "X-Request-Id: told")
        assert exchange(proxy.port, request).status == 200
        assert [(each.method, each.headers.getall("X-Request-Id")) for each in backend.requests] == [
            ("GET", ["told"]),
            ("POST", ["told"]),
            ("POST", ["told"]),
        ]
        line = line_of(proxy, "told")
        assert line["backend_ids"] == ["first", "second"]
        # So does what is logged in between.
        assert any("for an hour, seed is left out" in entry["message"] for entry in logged(proxy, "told"))


@pytest.mark.parametrize("name", [name for name in FIXED if name not in EVERYWHERE])
def test_ollama_is_told_the_id(upstream: StrictOllama, proxies: dict[str, ProxyProcess], name: str) -> None:
    upstream.requests.clear()
    exchange(proxies["fix"].port, FIXED[name].data("X-Request-Id: told"))
    made = exchange(proxies["fix"].port, FIXED[name].data()).headers["x-request-id"]
    assert [request.headers.getall("X-Request-Id") for request in upstream.requests] == [["told"], [made]]


@pytest.mark.parametrize("name", TO_A_BACK_END)
def test_the_back_ends_own_id_is_logged_beside_it_and_not_told_to_the_client(
    backend: ScriptedBackend, proxies: dict[str, ProxyProcess], name: str
) -> None:
    theirs = {"X-Request-Id": f"theirs-{name.replace(' ', '-')}"}
    case = TRANSLATED[name]
    if "embed" in name:
        vector = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        backend.reply_with(Whole({"object": "list", "data": [vector], "model": "m", "usage": usage}, theirs))
    elif name.startswith("forwarded") and "streamed" not in name:
        backend.reply_with(Whole(chat_completion(), theirs))
    else:
        backend.reply_with(Stream([text("a"), finish()], theirs))
    request_id = f"ours-{name.replace(' ', '-')}"
    answer: Answer = exchange(proxies["translate"].port, case.data(f"X-Request-Id: {request_id}"))
    assert (answer.status, answer.headers["x-request-id"]) == (200, request_id)
    assert line_of(proxies["translate"], request_id)["backend_ids"] == [theirs["X-Request-Id"]]


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_so_it_is_when_the_back_end_fails(backend: ScriptedBackend, proxies: dict[str, ProxyProcess], path: str) -> None:
    backend.reply_with(Error(500, headers={"X-Request-Id": "theirs"}))
    request_id = f"failed{path}"
    answer = exchange(proxies["translate"].port, post(path, CHAT, BEARER, f"X-Request-Id: {request_id}"))
    assert (answer.status, answer.headers["x-request-id"]) == (500, request_id)
    assert line_of(proxies["translate"], request_id)["backend_ids"] == ["theirs"]


def test_text_lines_carry_it_too() -> None:
    settings: dict[str, Any] = COMMON | {"LOG_FORMAT": "text"}
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy:
        backend.reply_with(Error(400, error_body("Unsupported parameter: 'seed'", param="seed")))
        exchange(proxy.port, post("/api/chat", CHAT | {"options": {"seed": 1}}, BEARER, "X-Request-Id: told"))
        wait_until(lambda: "POST /api/chat" in proxy.log)
        about = [line for line in proxy.log.splitlines() if "for an hour" in line or "/api/chat" in line]
        assert len(about) == 2
        assert all("(told)" in line or " request_id=told " in line for line in about)
