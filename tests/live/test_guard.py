"""Who gets in, how often and how much: attacks on the gate of a running proxy."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import re
import socket
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

import anthropic
import httpx
import ollama
import openai
import pytest

from tests.live.cut_streams import CUT_AFTER_ERRORS, read_stream
from tests.live.proxy import Door, ProxyProcess
from tests.live.raw_http import HOST, Answer, Raw, exchange, get, post
from tests.live.redis_server import RedisServer, running_redis
from tests.live.test_fix_mode import peak_memory
from tests.patience import PATIENCE, wait_until
from tests.standins import Gate, ScriptedBackend, Sleep, Step, Stream, StrictOllama, WaitForClient, finish, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp import web

KEY, OTHER_KEY, FILE_KEY = "key-of-ada-1234", "key-of-bob-1234", "key-in-a-file-1234"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
CHAT = {"model": "gpt-test", "messages": HELLO}
TINY = {"model": "tiny", "messages": HELLO}
CALLS: dict[str, dict[str, Any]] = {
    "/api/chat": CHAT,
    "/v1/chat/completions": CHAT,
    "/v1/messages": CHAT | {"max_tokens": 5},
}
"""One call of each of the three APIs."""
UNAUTHORIZED = "unauthorized: a valid API key of this proxy is needed"
BUSY = "server busy, please try again.  maximum pending requests exceeded"
MIB = 1 << 20


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def error_of(path: str, answer: Answer) -> tuple[int, str]:
    """Status and text of an error, in the shape of the API that the path belongs to."""
    told = answer.json
    if path.startswith("/v1/messages"):
        assert set(told) == {"type", "error", "request_id"}
        assert told["type"] == "error"
        assert set(told["error"]) == {"type", "message"}
        assert told["request_id"] == answer.headers["x-request-id"]
    elif path.startswith("/v1/"):
        assert set(told) == {"error"}
        assert set(told["error"]) == {"message", "type", "param", "code"}
    else:
        assert set(told) == {"error"}
        return answer.status, told["error"]
    return answer.status, told["error"]["message"]


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend(everything=True) as server:
        yield server


@pytest.fixture(scope="module")
def upstream() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


# -- Keys --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed(
    backend: ScriptedBackend, upstream: StrictOllama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ProxyProcess]]:
    """One proxy in each mode, with keys in both places for them."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# those of the team\n{FILE_KEY}\n", "utf-8")
    settings: dict[str, Any] = {"PROXY_API_KEYS": f"{KEY}, {OTHER_KEY}", "PROXY_API_KEYS_FILE": str(file), "LOG_LEVEL": "debug"}
    with (
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings) as translating,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, **settings) as fixing,
    ):
        yield [translating, fixing]


@pytest.fixture
def proxy(keyed: list[ProxyProcess]) -> ProxyProcess:
    return keyed[0]


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


RIGHT = {
    "bearer": [bearer(KEY)],
    "the second key": [bearer(OTHER_KEY)],
    "a key of the file": [bearer(FILE_KEY)],
    "bearer in capitals": [f"authorization: BEARER {KEY}"],
    "basic": [basic("anyone", KEY)],
    "basic without a name": [basic("", KEY)],
    "x-api-key": [f"X-Api-Key: {KEY}"],
    "api-key": [f"api-key: {KEY}"],
    "beside another scheme": ["Authorization: Digest x", f"X-Api-Key: {KEY}"],
    "beside a wrong one": [bearer("wrong-key-1234"), f"X-Api-Key: {KEY}"],
}
WRONG = {
    "none": [],
    "a wrong one": [bearer("wrong-key-1234")],
    "an empty one": ["Authorization: Bearer "],
    "no scheme": [f"Authorization: {KEY}"],
    "another scheme": [f"Authorization: Digest {KEY}"],
    "a part of it": [bearer(KEY[:-1])],
    "more than it": [bearer(KEY + "4")],
    "two with a comma": [bearer(f"{KEY},{OTHER_KEY}")],
    "the same twice": [bearer(KEY), bearer(KEY)],
    "a right one behind a wrong one": [bearer("wrong-key-1234"), bearer(KEY)],
    "x-api-key twice": [f"X-Api-Key: {KEY}", f"X-Api-Key: {KEY}"],
    "in capitals": [bearer(KEY.upper())],
    "basic with the key as the name": [basic(KEY, "")],
    "basic that is no base64": ["Authorization: Basic !!!!"],
    "basic of another alphabet": ["Authorization: Basic " + base64.b64encode("a:schlüssel".encode()).decode()],
    "quoted": [bearer(f'"{KEY}"')],
    "percent-encoded": [bearer("key%2Dof-ada-1234")],
    "bytes of another alphabet": [bearer("\u212aey-of-ada-1234")],
    "its hash": [bearer(hashlib.sha256(KEY.encode()).hexdigest())],
    "in a cookie": [f"Cookie: key={KEY}"],
    "30 kB": [bearer("k" * 30_000)],
    "30 kB that begin well": [bearer(KEY + "k" * 30_000)],
    "30 kB of base64": ["Authorization: Basic " + "QUFB" * 7_500],
    "as a proxy's": [f"Proxy-Authorization: Bearer {KEY}"],
}


@pytest.mark.parametrize("headers", RIGHT.values(), ids=RIGHT)
def test_a_right_key_opens(keyed: list[ProxyProcess], headers: list[str]) -> None:
    for proxy in keyed:
        assert exchange(proxy.port, get("/api/tags", *headers)).status == 200


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("path", CALLS)
def test_without_a_right_key_nobody_gets_in_and_each_api_says_so_in_its_own_way(
    backend: ScriptedBackend, upstream: StrictOllama, keyed: list[ProxyProcess], path: str, headers: list[str]
) -> None:
    before = len(backend.requests), len(upstream.requests)
    for proxy in keyed:
        answer = exchange(proxy.port, post(path, CALLS[path], *headers))
        assert error_of(path, answer) == (401, UNAUTHORIZED)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"].startswith("application/json")
    assert (len(backend.requests), len(upstream.requests)) == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_nothing_but_the_health_checks_is_open(keyed: list[ProxyProcess], method: str) -> None:
    paths = [
        "/",
        "/api/tags",
        "/api/pull",
        "/api/unheard",
        "/v1/models",
        "/x",
        "/metrics",
        "/healthz/x",
        "/%2fhealthz",
        "/healthz%20",
    ]
    for proxy, path in itertools.product(keyed, paths):
        assert exchange(proxy.port, get(path, method=method), method).status == 401


def test_the_path_of_a_query_or_a_key_in_it_opens_nothing(keyed: list[ProxyProcess]) -> None:
    for proxy in keyed:
        for path in (f"/api/tags?key={KEY}", f"/api/tags?api_key={KEY}", "/api/tags?/healthz", "/api/tags#/healthz"):
            assert exchange(proxy.port, get(path)).status == 401


@pytest.mark.parametrize("header", ["Authorization: Bearer ", "X-Api-Key: ", "Authorization: Basic "])
def test_a_key_of_200_kb_is_refused(proxy: ProxyProcess, header: str) -> None:
    for _ in range(5):
        assert exchange(proxy.port, get("/api/tags", header + "k" * 200_000)).status in (401, 431)


def test_without_keys_set_every_key_will_do(backend: ScriptedBackend) -> None:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as open_proxy:
        for headers in WRONG.values():
            assert exchange(open_proxy.port, get("/api/tags", *headers)).status == 200


@pytest.mark.parametrize("path", CALLS)
def test_a_wrong_key_is_refused_before_the_body_is_read(keyed: list[ProxyProcess], path: str) -> None:
    size = 50 * MIB
    for proxy in keyed:
        with Raw(proxy.port, timeout=PATIENCE) as connection:
            connection.send(f"POST {path} HTTP/1.1\r\n".encode() + HOST + b"Content-Length: %d\r\n\r\n{" % size)
            assert error_of(path, connection.answer()) == (401, UNAUTHORIZED)
            before = peak_memory(proxy.worker)
            with pytest.raises(ConnectionError):  # the proxy reads a few of these, and then no more
                connection.socket.sendall(bytes(size - 1))
            assert peak_memory(proxy.worker) - before < 10 * MIB


def test_an_upload_needs_a_key_too(keyed: list[ProxyProcess], upstream: StrictOllama) -> None:
    upstream.blob_received = 0
    for proxy in keyed:
        head = b"POST /api/blobs/sha256:" + b"0" * 64 + b" HTTP/1.1\r\n" + HOST
        for framing in (b"Content-Length: 50000000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"):
            assert exchange(proxy.port, head + framing).status == 401
    assert upstream.blob_received == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_need_no_key(keyed: list[ProxyProcess], path: str) -> None:
    for proxy in keyed:
        assert exchange(proxy.port, get(path)).status == 200


def test_a_page_may_ask_what_it_may_send_without_a_key(keyed: list[ProxyProcess]) -> None:
    asks = [
        "Origin: http://localhost:3000",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization",
    ]
    for proxy in keyed:
        answer = exchange(proxy.port, get("/api/chat", *asks, method="OPTIONS"))
        assert answer.status == 204
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        refused = exchange(proxy.port, post("/api/chat", CHAT, asks[0]))
        # Without this header the page could not read why.
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")


def test_the_official_clients_bring_a_key(
    proxy: ProxyProcess, monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    assert ollama.Client(proxy.url).chat("gpt-test", HELLO).message.content == "Hello world!"
    monkeypatch.delenv("OLLAMA_API_KEY")
    assert ollama.Client(proxy.url, headers={"Authorization": f"Bearer {KEY}"}).list().models
    one = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
    assert one.chat.completions.create(model="gpt-test", messages=HELLO).choices[0].message.content == "Hello world!"
    two = anthropic.Anthropic(base_url=proxy.url, api_key=KEY, max_retries=0)
    assert two.messages.create(model="gpt-test", max_tokens=5, messages=HELLO).content
    assert anthropic.Anthropic(base_url=proxy.url, auth_token=KEY, max_retries=0).messages.create(
        model="gpt-test", max_tokens=5, messages=HELLO
    )
    # None of the clients' keys went on.
    assert not any(KEY in str(request.raw_headers) for request in backend.requests)


def test_the_official_clients_understand_that_they_are_refused(proxy: ProxyProcess) -> None:
    with pytest.raises(ollama.ResponseError, match=UNAUTHORIZED) as told:
        ollama.Client(proxy.url).chat("gpt-test", HELLO)
    assert told.value.status_code == 401
    with pytest.raises(openai.AuthenticationError, match=UNAUTHORIZED):
        openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="wrong-key", max_retries=0).models.list()
    with pytest.raises(anthropic.AuthenticationError, match=UNAUTHORIZED):
        anthropic.Anthropic(base_url=proxy.url, api_key="wrong-key", max_retries=0).messages.create(
            model="gpt-test", max_tokens=5, messages=HELLO
        )


def test_the_ollama_command_is_shown_the_reason_instead_of_being_asked_to_sign_in(proxy: ProxyProcess) -> None:
    answer = exchange(proxy.port, get("/api/tags", "User-Agent: ollama/0.24.0 (amd64 linux) Go/go1.26"))
    assert error_of("/api/tags", answer) == (502, UNAUTHORIZED)


# -- The client's own key ----------------------------------------------------------------------------------------------

OWN_KEY, FAR_KEY = "own-key-of-the-proxy", "key-of-the-far-server"


MODELS_FILE = """
[backends.far]
url = "{url}"
api_key = "{key}"
[models.far]
backend = "far"
model = "gpt-test"
[backends.keyless]
url = "{url}"
[models.keyless]
backend = "keyless"
model = "gpt-test"
"""


class BackendWithLists(ScriptedBackend):
    """Shows everyone other models."""

    LISTS: ClassVar = {
        f"Bearer {KEY}": "model-of-ada",
        f"Bearer {OTHER_KEY}": "model-of-bob",
        f"Bearer {OWN_KEY}": "model-of-all",
    }

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        name = self.LISTS.get(request.headers.get("Authorization", ""), "model-of-nobody")
        self.models = [self.models[0] | {"id": model} for model in (name, "gpt-test")]
        return await super()._serve_any(request)


@pytest.fixture(scope="module")
def lists() -> Iterator[BackendWithLists]:
    with BackendWithLists(everything=True) as server:
        yield server


@pytest.fixture(scope="module")
def passing(
    lists: BackendWithLists, backend: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    """Passes the clients' keys on, and has a second server that has a key of its own."""
    file = tmp_path_factory.mktemp("models") / "models.toml"
    file.write_text(MODELS_FILE.format(url=backend.base_url, key=FAR_KEY), "utf-8")
    settings: dict[str, Any] = {"OPENAI_API_KEY_PASSTHROUGH": "true", "OPENAI_API_KEY": OWN_KEY, "MODELS_FILE": str(file)}
    with ProxyProcess(OPENAI_API_BASE_URL=lists.base_url, **settings) as proxy:
        yield proxy


def names(answer: Answer) -> set[str]:
    told = answer.json
    return {entry.get("name") or entry["id"] for entry in told.get("models") or told["data"]}


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
def test_each_client_sees_the_models_of_its_own_key(passing: ProxyProcess, path: str) -> None:
    # In this order, so that one list must not be remembered for another key.
    for headers, model in (
        ([bearer(KEY)], "model-of-ada"),
        ([bearer(OTHER_KEY)], "model-of-bob"),
        ([], "model-of-all"),
        ([bearer(KEY)], "model-of-ada"),
        ([f"X-Api-Key: {OTHER_KEY}"], "model-of-bob"),
        ([basic("me", KEY)], "model-of-ada"),
        ([bearer("a-key-unknown")], "model-of-nobody"),
    ):
        seen = names(exchange(passing.port, get(path, *headers)))
        assert seen & {"model-of-ada", "model-of-bob", "model-of-all", "model-of-nobody"} == {model}


def test_nobody_may_use_the_model_of_anothers_key(passing: ProxyProcess) -> None:
    asked = {"model": "model-of-ada", "messages": HELLO}
    assert exchange(passing.port, post("/api/chat", asked, bearer(KEY))).status == 200
    assert exchange(passing.port, post("/api/chat", asked, bearer(OTHER_KEY))).status == 404
    assert exchange(passing.port, post("/v1/chat/completions", asked, bearer(OTHER_KEY))).status == 404


PASSED_ON: dict[str, dict[str, Any]] = {
    **CALLS,
    "/api/generate": {"model": "gpt-test", "prompt": "hello"},
    "/api/embed": {"model": "gpt-test", "input": "hello"},
    "/v1/embeddings": {"model": "gpt-test", "input": "hello"},
    "/v1/responses": {"model": "gpt-test", "input": "hello"},
}


@pytest.mark.parametrize("path", PASSED_ON)
def test_the_clients_key_reaches_the_back_end_and_without_one_the_proxys_own(
    lists: BackendWithLists, passing: ProxyProcess, path: str
) -> None:
    for headers, key in (
        ([bearer(KEY)], KEY),
        ([f"X-Api-Key: {OTHER_KEY}"], OTHER_KEY),
        ([], OWN_KEY),
        (["Authorization: Bearer "], OWN_KEY),
    ):
        lists.requests.clear()
        assert exchange(passing.port, post(path, PASSED_ON[path], *headers)).status == 200
        assert lists.requests
        for request in lists.requests:
            assert request.headers.getall("Authorization") == [f"Bearer {key}"]
            assert request.headers.getall("X-Api-Key", [key]) == [key]


@pytest.mark.parametrize("path", CALLS)
def test_the_clients_key_reaches_no_further_server(
    lists: BackendWithLists, backend: ScriptedBackend, passing: ProxyProcess, path: str
) -> None:
    for model, keys in (("far", {f"Bearer {FAR_KEY}"}), ("keyless", {None})):
        backend.requests.clear()
        lists.requests.clear()
        assert exchange(passing.port, post(path, CALLS[path] | {"model": model}, bearer(KEY))).status == 200
        calls = [request for request in backend.requests if request.method == "POST"]
        assert {request.headers.get("Authorization") for request in calls} == keys
        assert not any(KEY in str(request.raw_headers) for request in backend.requests)
        assert not [request for request in lists.requests if request.method == "POST"]


@pytest.mark.parametrize("door", ["console", "mitmdump"])
def test_keys_of_the_proxy_and_of_the_back_end_cannot_both_be_asked_for(door: Door, backend: ScriptedBackend) -> None:
    settings: dict[str, Any] = {
        "PROXY_API_KEYS": KEY,
        "OPENAI_API_KEY_PASSTHROUGH": "true",
        "OPENAI_API_BASE_URL": backend.base_url,
    }
    with ProxyProcess(door=door, wait=False, **settings) as proxy:
        assert proxy.exit_code() == 1
    (sentence,) = [line for line in proxy.log.splitlines() if "PROXY_API_KEYS" in line]
    assert "OPENAI_API_KEY_PASSTHROUGH are both set" in sentence
    assert KEY not in proxy.log


# -- The start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["console", "mitmdump"])
def test_a_start_without_keys_on_an_address_that_others_reach_warns_in_one_line(door: Door, backend: ScriptedBackend) -> None:
    def warnings(**settings: Any) -> list[str]:
        with ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy:
            assert exchange(proxy.port, get("/healthz")).status == 200
            proxy.stop()
        return [line for line in proxy.log.splitlines() if "PROXY_API_KEYS" in line]

    (warning,) = warnings(PROXY_HOST="0.0.0.0")
    assert "0.0.0.0" in warning
    assert warnings(PROXY_HOST="0.0.0.0", PROXY_API_KEYS=KEY) == []


@pytest.mark.parametrize("door", ["console", "mitmdump"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="every address of 127/8 is this machine's on Linux only")
def test_only_this_machine_reaches_a_proxy_that_was_told_no_address(door: Door, backend: ScriptedBackend) -> None:
    def is_open_at(address: str, port: int) -> bool:
        with socket.socket() as visitor:
            return visitor.connect_ex((address, port)) == 0

    hosts: list[tuple[dict[str, Any], bool]] = [({}, False), ({"PROXY_HOST": "0.0.0.0"}, True)]
    for host, everywhere in hosts:
        with ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=KEY, **host) as proxy:
            # Listening on 127.0.0.1 does not show at another address, as listening on all of them does.
            assert (is_open_at("127.0.0.1", proxy.port), is_open_at("127.0.0.2", proxy.port)) == (True, everywhere)


# -- How often ---------------------------------------------------------------------------------------------------------


def wait_of(path: str, answer: Answer) -> int:
    """The seconds that a refused client is told to wait."""
    status, message = error_of(path, answer)
    assert status == 429
    seconds = answer.headers["retry-after"]
    assert message == f"rate limit exceeded: try again in {seconds} s"
    return int(seconds)


def statuses(proxy: ProxyProcess, count: int, *headers: str, path: str = "/api/version") -> list[int]:
    return [exchange(proxy.port, get(path, *headers)).status for _ in range(count)]


def test_who_calls_too_often_is_told_when_to_come_back_in_each_apis_way(backend: ScriptedBackend) -> None:
    settings: dict[str, Any] = {"PROXY_API_KEYS": f"{KEY},{OTHER_KEY}", "RATE_LIMIT": "3/hour;9/day"}
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy:
        for path, body in CALLS.items():
            assert exchange(proxy.port, post(path, body, bearer(KEY))).status == 200
        before = len(backend.requests)
        for path, body in CALLS.items():
            assert 0 < wait_of(path, exchange(proxy.port, post(path, body, bearer(KEY)))) <= 3601
        assert len(backend.requests) == before
        # The same key in another place is the same caller; another key is another.
        assert exchange(proxy.port, get("/api/tags", f"X-Api-Key: {KEY}")).status == 429
        assert exchange(proxy.port, get("/api/tags", bearer(OTHER_KEY))).status == 200
        # Who is refused for a wrong key is not counted, and health is always told.
        assert statuses(proxy, 4) == [401] * 4
        assert statuses(proxy, 4, path="/healthz") == [200] * 4
        assert exchange(proxy.port, get("/api/tags", bearer(OTHER_KEY))).status == 200


def test_without_keys_each_address_has_its_own_budget_which_nobody_can_forge(upstream: StrictOllama) -> None:
    settings: dict[str, Any] = {"PROXY_MODE": "fix", "OLLAMA_UPSTREAM_URL": upstream.url, "RATE_LIMIT": "3/hour"}
    with ExitStack() as stack:
        alone = stack.enter_context(ProxyProcess(**settings))
        behind = stack.enter_context(ProxyProcess(TRUSTED_PROXIES="127.0.0.0/8", **settings))
        # One call was made to see whether it has started.
        assert statuses(alone, 3, "X-Forwarded-For: 203.0.113.1") == [200, 200, 429]
        assert statuses(alone, 2, "X-Forwarded-For: 203.0.113.2") == [429, 429]
        assert statuses(alone, 1, "X-Forwarded-For: 203.0.113.3", "X-Real-IP: 203.0.113.3", "Forwarded: for=203.0.113.3") == [
            429
        ]
        assert statuses(behind, 4, "X-Forwarded-For: 203.0.113.1") == [200, 200, 200, 429]
        assert statuses(behind, 1, "X-Forwarded-For: 203.0.113.2") == [200]
        # Only what the trusted proxy itself has added counts.
        assert statuses(behind, 1, "X-Forwarded-For: 203.0.113.9, 203.0.113.1") == [429]
        assert statuses(behind, 1, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.1") == [429]
        # All of one home are one caller.
        home = "2001:db8:1:2"
        assert statuses(behind, 3, f"X-Forwarded-For: {home}::1") == [200] * 3
        assert statuses(behind, 1, f"X-Forwarded-For: {home}:ffff::2") == [429]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


def test_two_proxies_share_one_budget_over_redis(backend: ScriptedBackend, redis: RedisServer) -> None:
    settings: dict[str, Any] = {"PROXY_API_KEYS": f"{KEY},{OTHER_KEY}", "RATE_LIMIT": "6/hour", "RATE_LIMIT_STORAGE": redis.url}
    with ExitStack() as stack:
        one, two = (stack.enter_context(ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings)) for _ in range(2))
        assert one.pid != two.pid
        assert statuses(one, 3, bearer(KEY)) + statuses(two, 4, bearer(KEY)) == [200] * 6 + [429]
        assert statuses(one, 2, bearer(KEY)) == [429, 429]
        assert statuses(one, 1, bearer(OTHER_KEY)) + statuses(two, 1, bearer(OTHER_KEY)) == [200, 200]
        # A budget outlives a restart.
        two.stop()
        three = stack.enter_context(ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings))
        assert statuses(three, 1, bearer(KEY)) == [429]
        # Without Redis calls pass, and the log says so without its password.
        redis.stop()
        assert statuses(one, 2, bearer(KEY)) == [200, 200]
        assert "RATE_LIMIT_STORAGE" in one.log
        assert "s3cret" not in one.log + two.log + three.log


# -- How much ----------------------------------------------------------------------------------------------------------

MOST = 10 * 1024
TOO_LARGE = f"the request is larger than {MOST} bytes, which MAX_BODY_SIZE allows"


@pytest.fixture(scope="module")
def small(backend: ScriptedBackend, upstream: StrictOllama) -> Iterator[list[ProxyProcess]]:
    with (
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MAX_BODY_SIZE="10KiB") as translating,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, MAX_BODY_SIZE="10KiB") as fixing,
    ):
        yield [translating, fixing]


@pytest.mark.parametrize("path", CALLS)
def test_a_body_is_refused_for_the_length_that_it_announces(small: list[ProxyProcess], path: str) -> None:
    for proxy in small:
        for length in (str(MOST + 1), "9" * 30):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n"
            assert error_of(path, exchange(proxy.port, head.encode())) == (413, TOO_LARGE)


@pytest.mark.parametrize("path", CALLS)
def test_a_body_in_chunks_is_refused_while_it_is_read(
    backend: ScriptedBackend, upstream: StrictOllama, small: list[ProxyProcess], path: str
) -> None:
    before = len(backend.requests), len(upstream.requests)
    for proxy in small:
        with Raw(proxy.port) as connection:
            connection.send(f"POST {path} HTTP/1.1\r\n".encode() + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(11):
                connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
            # It has not ended yet.
            assert error_of(path, connection.answer()) == (413, TOO_LARGE)
            connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n" + get("/api/version"))
            assert connection.answer().status == 200
    assert len(backend.requests) == before[0]
    assert [request.path for request in upstream.requests[before[1] :]] == ["/api/version"]


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_of_just_the_size_that_is_allowed_passes(small: list[ProxyProcess], chunked: bool) -> None:
    for proxy, body in zip(small, (CHAT, TINY), strict=True):
        content = json.dumps(body).encode().ljust(MOST)
        request = post("/api/chat", content)
        if chunked:
            request = b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
            request += b"%x\r\n%s\r\n0\r\n\r\n" % (MOST, content)
        assert exchange(proxy.port, request).status == 200


def test_blobs_may_be_larger(small: list[ProxyProcess], upstream: StrictOllama) -> None:
    blob = bytes(5 * MOST)
    path = f"/api/blobs/sha256:{hashlib.sha256(blob).hexdigest()}"
    for proxy in small:
        assert exchange(proxy.port, post(path, blob)).status in (200, 201)
        # But nothing else that only begins like one.
        assert exchange(proxy.port, post("/api/blobs", blob)).status == 413
    assert upstream.last_blob is not None
    assert upstream.last_blob.size == len(blob)


# -- How many at a time ------------------------------------------------------------------------------------------------


class Caller:
    """A client whose call to a model is under way."""

    def __init__(self, proxy: ProxyProcess, name: str, path: str = "/api/chat") -> None:
        self.raw = Raw(proxy.port)
        self.name = name
        self.raw.send(post(path, CALLS[path], f"X-Request-Id: {name}"))
        # What comes later is answered later: the call has arrived when this has been answered.
        for _ in range(2):
            assert exchange(proxy.port, get("/api/version")).status == 200

    def leaves(self, proxy: ProxyProcess) -> None:
        self.raw.socket.close()
        wait_until(lambda: any(self.name in line and "client_gone" in line for line in proxy.log.splitlines()))


@pytest.fixture(scope="module")
def narrow(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    """Answers one call at a time while two may wait."""
    settings: dict[str, Any] = {"MAX_CONCURRENT_REQUESTS": "1", "MAX_QUEUED_REQUESTS": "2"}
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy:
        yield proxy


@pytest.fixture
def crowded(backend: ScriptedBackend, narrow: ProxyProcess) -> Iterator[ProxyProcess]:
    backend.requests.clear()
    yield narrow
    # Whatever happened, all places are free again.
    assert backend.wait_idle()
    assert exchange(narrow.port, post("/api/chat", CHAT)).status == 200


def posts(backend: ScriptedBackend) -> list[str]:
    return [request.headers["X-Request-Id"] for request in backend.requests if request.method == "POST"]


def test_calls_wait_in_turn_and_the_last_are_told_that_the_server_is_busy(
    backend: ScriptedBackend, crowded: ProxyProcess
) -> None:
    gate = threading.Event()
    backend.reply_with(Stream([text("first"), finish()], before=[Gate(gate)]))
    first = Caller(crowded, "first")
    wait_until(lambda: posts(backend) == ["first"])
    second, third = Caller(crowded, "second", "/v1/chat/completions"), Caller(crowded, "third", "/v1/messages")
    for path, body in CALLS.items():
        assert error_of(path, exchange(crowded.port, post(path, body))) == (503, BUSY)
    # What asks no model is answered all the same.
    for path in ("/api/tags", "/api/ps", "/healthz", "/readyz", "/"):
        assert exchange(crowded.port, get(path)).status == 200
    # A client that leaves while it waits leaves its place to another.
    second.leaves(crowded)
    fourth = Caller(crowded, "fourth")
    assert error_of("/api/chat", exchange(crowded.port, post("/api/chat", CHAT))) == (503, BUSY)
    assert posts(backend) == ["first"]
    gate.set()
    for caller in (first, third, fourth):
        with caller.raw:
            assert caller.raw.answer().status == 200
    assert posts(backend) == ["first", "third", "fourth"]


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before the first byte"])
def test_a_client_that_leaves_frees_its_place(backend: ScriptedBackend, crowded: ProxyProcess, path: str, begun: bool) -> None:
    steps: list[Step] = [text("a"), WaitForClient()] if begun else [text("a")]
    for name in ("one", "two", "three"):
        backend.reply_with(Stream(steps, before=[] if begun else [WaitForClient()]))
        streamed = CALLS[path] | {"stream": True}
        with Raw(crowded.port) as connection:
            connection.send(post(path, streamed, f"X-Request-Id: {name}"))
            wait_until(lambda name=name: name in posts(backend))  # type: ignore[misc]
            if begun:
                assert connection.socket.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert exchange(crowded.port, post("/api/chat", CHAT)).status == 200


def test_a_call_that_fails_frees_its_place(backend: ScriptedBackend, crowded: ProxyProcess) -> None:
    for _ in range(4):
        assert exchange(crowded.port, post("/api/chat", CHAT | {"model": "nope"})).status == 404
        assert exchange(crowded.port, post("/api/chat", b"nonsense")).status == 400
        assert exchange(crowded.port, post("/v1/chat/completions", CHAT | {"model": "nope"})).status == 404
    assert exchange(crowded.port, post("/api/chat", CHAT)).status == 200


# -- How long ----------------------------------------------------------------------------------------------------------

SHORT = 0.5


@pytest.fixture(scope="module")
def impatient(backend: ScriptedBackend, upstream: StrictOllama) -> Iterator[list[ProxyProcess]]:
    settings: dict[str, Any] = {"REQUEST_TIMEOUT": str(SHORT), "STREAM_IDLE_TIMEOUT": str(SHORT)}
    with (
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **settings) as translating,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, **settings) as fixing,
    ):
        for proxy in (translating, fixing):
            assert exchange(proxy.port, get("/api/tags")).status == 200
        yield [translating, fixing]


@pytest.mark.parametrize("path", [*CALLS, "/api/generate", "/api/embed", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_back_end_that_does_not_begin_is_given_up(
    backend: ScriptedBackend, impatient: list[ProxyProcess], path: str, stream: bool
) -> None:
    backend.reply_with(Stream([text("late"), finish()], before=[WaitForClient()]))
    begun = time.monotonic()
    answer = exchange(impatient[0].port, post(path, PASSED_ON[path] | ({} if path == "/api/embed" else {"stream": stream})))
    assert time.monotonic() - begun > SHORT - 0.1
    status, message = error_of(path, answer)
    assert status == 504
    assert re.search(r"did not answer in time", message)
    assert backend.wait_idle()


@pytest.mark.parametrize("path", CALLS)
def test_a_back_end_that_falls_silent_is_given_up_and_the_stream_ends_with_an_error(
    backend: ScriptedBackend, impatient: list[ProxyProcess], path: str
) -> None:
    silent = Stream([text("a"), WaitForClient()])
    backend.reply_with(silent)
    begun = time.monotonic()
    answer = read_stream(impatient[0].url, path, CALLS[path] | {"stream": True})
    assert time.monotonic() - begun > SHORT - 0.1
    assert answer.status == 200
    assert answer.cut == (path in CUT_AFTER_ERRORS)
    last = answer.lines[-1].removeprefix("data: ")
    assert "error" in json.loads(last)
    assert "done_reason" not in last
    assert backend.wait_idle()


def test_a_back_end_that_keeps_talking_may_take_longer(backend: ScriptedBackend, impatient: list[ProxyProcess]) -> None:
    steps: list[Step] = [step for number in range(6) for step in (text(str(number)), Sleep(0.2))]
    backend.reply_with(Stream([*steps, finish()]))
    answer = exchange(impatient[0].port, post("/api/chat", CHAT))
    assert [json.loads(line)["done"] for line in answer.body.splitlines()] == [False] * 6 + [True]


def test_an_ollama_that_is_slow_is_given_up_too(upstream: StrictOllama, impatient: list[ProxyProcess]) -> None:
    try:
        upstream.first_frame_delay = 5
        status, message = error_of("/api/chat", exchange(impatient[1].port, post("/api/chat", TINY)))
        assert (status, "did not answer in time" in message) == (504, True)
        upstream.first_frame_delay, upstream.frame_delay = 0, 5
        answer = exchange(impatient[1].port, post("/api/chat", TINY))
        assert answer.status == 200
        assert "fell silent" in json.loads(answer.body.splitlines()[-1])["error"]
    finally:
        upstream.first_frame_delay = upstream.frame_delay = 0
    assert upstream.wait_idle()


def test_a_list_of_models_that_does_not_come_is_given_up(backend: ScriptedBackend) -> None:
    class Silent(ScriptedBackend):
        async def _serve_any(self, request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError(request)

    with Silent() as silent, ProxyProcess(OPENAI_API_BASE_URL=silent.base_url, REQUEST_TIMEOUT="0.5") as proxy:
        for path in ("/api/tags", "/v1/models"):
            assert httpx.get(proxy.url + path, trust_env=False).status_code == 504
