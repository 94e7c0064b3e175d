"""Fix mode as clients of a mangled Ollama see it, and as the real Ollama behind it does."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import ollama
import pytest

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE, wait_until
from tests.standins import Mangler, RecordedRequest, StrictOllama

MIB = 1 << 20
HELLO = [{"role": "user", "content": "Why is the sky blue? Grüße, 漢字"}]
HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding"}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
BLOB = f"/api/blobs/sha256:{'0' * 64}"
# What Ollama wants, and where it finds it; written here once more, so that a slip in the product's own map shows.
WANTED: dict[str, tuple[str, str]] = {
    "/": ("GET", "/"),
    "/api/version": ("GET", "/api/version"),
    "/api/tags": ("GET", "/api/tags"),
    "/api/ps": ("GET", "/api/ps"),
    "/api/generate": ("POST", "/api/generate"),
    "/api/chat": ("POST", "/api/chat"),
    "/api/embed": ("POST", "/api/embed"),
    "/api/embeddings": ("POST", "/api/embeddings"),
    "/api/show": ("POST", "/api/show"),
    "/api/pull": ("POST", "/api/pull"),
    "/api/push": ("POST", "/api/push"),
    "/api/create": ("POST", "/api/create"),
    "/api/copy": ("POST", "/api/copy"),
    "/api/delete": ("DELETE", "/api/delete"),
    BLOB: ("POST", BLOB),
    "/api/ls": ("GET", "/api/tags"),
    "/api/serve": ("GET", "/api/version"),
    "/api/stop": ("POST", "/api/generate"),
    "/api/unload": ("POST", "/api/generate"),
    "/api/experimental/web_search": ("POST", "/api/experimental/web_search"),
    "/api/experimental/model-recommendations": ("GET", "/api/experimental/model-recommendations"),
    "/v1/models": ("GET", "/v1/models"),
    "/api/me": ("POST", "/api/me"),
    "/api/signout": ("POST", "/api/signout"),
    "/api/user/keys/c3NoLWVk": ("DELETE", "/api/user/keys/c3NoLWVk"),
}
HAS_NO_BODY = ("/api/me", "/api/signout", "/api/user/keys/c3NoLWVk")
TAKES_A_BODY = {
    path: "DELETE" if method == "DELETE" else "POST"
    for path, (method, _) in WANTED.items()
    if method != "GET" and path not in HAS_NO_BODY
}
NOT_IN_THE_MAP = ("/v1/chat/completions", "/v1/unheard", "/api/unheard")
# All that a client of the proxy may send beside what concerns the one hop.
MARKED = {
    "accept": "application/x-ndjson",
    "accept-encoding": "identity",
    "authorization": "Bearer marked",
    "content-type": "text/x-marked",
    "cookie": "a=1; b=2",
    "user-agent": "marked/1.0",
    "x-anything": "Any Thing",
}
# A lost upload looks just like the question whether the blob is there.
del TAKES_A_BODY[BLOB]

type Ask = Callable[[Any], Any]

CALLS: dict[str, Ask] = {
    "list": lambda client: client.list(),
    "show": lambda client: client.show("tinytools"),
    "chat": lambda client: client.chat("tiny", HELLO, options={"seed": 1}),
    "chat streamed": lambda client: client.chat("tiny", HELLO, stream=True),
    "generate": lambda client: client.generate("tiny", "Why?", system="Grüße"),
    "generate streamed": lambda client: client.generate("tiny", "Why?", stream=True),
    "embed": lambda client: client.embed("tiny", ["one", "two"]),
    "embeddings": lambda client: client.embeddings("tiny", "one"),
    "pull": lambda client: client.pull("another"),
    "pull streamed": lambda client: client.pull("another", stream=True),
    "push": lambda client: client.push("tiny"),
    "create": lambda client: client.create("made", from_="tiny"),
    "copy": lambda client: client.copy("tiny", "copied"),
    "delete": lambda client: client.delete("tinytools"),
    "ps": lambda client: client.ps(),
    "unknown model": lambda client: client.chat("nonsense", HELLO),
    "bad request": lambda client: client.chat("tiny", HELLO, think=True),
}


class Told(NamedTuple):
    """What a call of the SDK sent, and what it gave."""

    sent: httpx.Request
    answer: object


@pytest.fixture(scope="module")
def ollama_server() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(ollama_server: StrictOllama) -> Iterator[ProxyProcess]:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama_server.url) as running:
        yield running


@pytest.fixture(scope="module")
def pod(proxy: ProxyProcess) -> Iterator[Mangler]:
    """The pod's HTTP proxy, which makes a GET of everything."""
    with Mangler(proxy.url) as mangler:
        yield mangler


@pytest.fixture
def upstream(ollama_server: StrictOllama) -> Iterator[StrictOllama]:
    """The real Ollama, as it was in the beginning."""
    models = list(ollama_server.models)
    ollama_server.requests.clear()
    ollama_server.sent.clear()
    yield ollama_server
    ollama_server.models[:] = models
    ollama_server.frame_delay = ollama_server.first_frame_delay = 0
    ollama_server.cut_after = None


@pytest.fixture
def client(proxy: ProxyProcess) -> Iterator[httpx.Client]:
    """A client without any proxy but the tested one."""
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=PATIENCE) as plain:
        yield plain


def plain_data(answer: object) -> object:
    """An answer of the SDK without the time at which it was given."""
    if isinstance(answer, list):
        return [plain_data(part) for part in answer]
    if isinstance(answer, ollama.ResponseError):
        return answer.status_code, answer.error
    dump = getattr(answer, "model_dump", None)
    return {key: value for key, value in dump().items() if key != "created_at"} if dump else answer


def told(url: str, call: Ask, *, sync: bool) -> Told:
    return told_sync(url, call) if sync else asyncio.run(told_async(url, call))


def told_sync(url: str, call: Ask) -> Told:
    sent: list[httpx.Request] = []
    sdk = ollama.Client(url, headers=client_headers(), event_hooks={"request": [sent.append]}, trust_env=False)
    try:
        answer = call(sdk)
        if inspect.isgenerator(answer):
            answer = list(answer)
    except ollama.ResponseError as error:
        answer = error
    finally:
        sdk.close()
    return Told(sent[0], plain_data(answer))


async def told_async(url: str, call: Ask) -> Told:
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    sdk = ollama.AsyncClient(url, headers=client_headers(), event_hooks={"request": [note]}, trust_env=False)
    try:
        answer = await call(sdk)
        if inspect.isasyncgen(answer):
            answer = [part async for part in answer]
    except ollama.ResponseError as error:
        answer = error
    finally:
        await sdk.close()
    return Told(sent[0], plain_data(answer))


def client_headers() -> dict[str, str]:
    return {"Authorization": "Bearer marked", "Cookie": "a=1; b=2", "X-Request-Id": "id-1", "X-Anything": "Any Thing"}


def assert_arrived_as_sent(arrived: RecordedRequest, sent: httpx.Request) -> None:
    assert (arrived.method, arrived.path) == (sent.method, sent.url.raw_path.decode())
    lost = [
        (name, value)
        for name, value in sent.headers.multi_items()
        if name not in HOP_BY_HOP and arrived.headers.getall(name, []) != [value]
    ]
    added = set(map(str.lower, arrived.headers)) - set(sent.headers) - HOP_BY_HOP
    assert (lost, added) == ([], set())


# -- Through the official SDK ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", [True, False], ids=["Client", "AsyncClient"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_through_a_mangling_proxy_arrives_and_is_answered_as_without_one(
    upstream: StrictOllama, pod: Mangler, call: Ask, sync: bool
) -> None:
    models = list(upstream.models)
    direct = told(upstream.url, call, sync=sync)
    upstream.models[:] = models
    upstream.requests.clear()
    through = told(pod.url, call, sync=sync)
    (arrived,) = upstream.requests
    assert_arrived_as_sent(arrived, through.sent)
    assert arrived.body == through.sent.content
    assert arrived.headers["Authorization"] == "Bearer marked"
    assert through.answer == direct.answer


def test_the_calls_that_are_compared_have_the_answers_they_are_meant_to_have(upstream: StrictOllama, pod: Mangler) -> None:
    assert told_sync(pod.url, CALLS["unknown model"]).answer == (404, "model 'nonsense' not found")
    assert told_sync(pod.url, CALLS["bad request"]).answer == (400, '"tiny" does not support thinking')
    frames = told_sync(pod.url, CALLS["chat streamed"]).answer
    assert isinstance(frames, list)
    assert [frame["done"] for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert told_sync(pod.url, CALLS["pull"]).answer == {"status": "success", "completed": None, "total": None, "digest": None}


@pytest.mark.parametrize("sync", [True, False], ids=["Client", "AsyncClient"])
def test_a_blob_arrives_whole(upstream: StrictOllama, pod: Mangler, tmp_path: Path, sync: bool) -> None:
    content = bytes(range(256)) * (5 * MIB // 256) + f"the end {sync}".encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (tmp_path / "blob").write_bytes(content)
    through = told(pod.url, lambda client: client.create_blob(tmp_path / "blob"), sync=sync)
    assert through.answer == digest
    assert upstream.last_blob == (digest, len(content))
    assert_arrived_as_sent(upstream.requests[0], through.sent)


# -- Headers, paths and bodies -----------------------------------------------------------------------------------------


def test_every_header_of_a_request_arrives_except_those_of_the_one_hop(upstream: StrictOllama, client: httpx.Client) -> None:
    kept = [
        ("Accept", "application/x-ndjson"),
        ("Accept-Encoding", "identity"),
        ("Authorization", "Bearer marked"),
        ("Cookie", "a=1"),
        ("User-Agent", "somebody/1.0"),
        ("X-Twice", "one"),
        ("X-Twice", "two"),
        ("x-forwarded-for", "192.0.2.7"),
    ]
    hop = [
        ("Connection", "keep-alive, X-Hop, Content-Length"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=PATIENCE"),
        ("TE", "trailers"),
        ("Proxy-Connection", "keep-alive"),
    ]
    with httpx.Client(trust_env=False) as bare:
        bare.headers.clear()
        request = httpx.Request("POST", f"{client.base_url}/api/show", headers=[*kept, *hop], content=b'{"model":"tiny"}')
        assert bare.send(request).status_code == 200
    arrived = upstream.requests[0]
    names = {"host", "content-length", "x-request-id"}
    assert [(name, value) for name, value in arrived.raw_headers if name.lower() not in names] == kept
    assert arrived.headers["Content-Length"] == "16"
    assert arrived.headers["Host"] == f"127.0.0.1:{upstream.port}"


@pytest.mark.parametrize(
    "body", [b'{"model" :\n"tiny"}\n\n', b"\xff\xfenot JSON\x00", b"{" * 300_000], ids=["JSON", "bytes", "long"]
)
def test_a_body_arrives_byte_for_byte(upstream: StrictOllama, client: httpx.Client, body: bytes) -> None:
    pieces = iter([body[:7], body[7:]])
    client.request("GET", "/api/show", content=body)
    client.request("GET", "/api/show", content=pieces)
    assert [request.body for request in upstream.requests] == [body, body]


@pytest.mark.parametrize("path", ["/api/show", BLOB])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_a_client_that_asks_first_is_told_to_go_on_and_its_body_arrives(
    upstream: StrictOllama, proxy: ProxyProcess, path: str, chunked: bool
) -> None:
    body = b'{"model":"tiny"}'
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n%s\r\n\r\n" % (path.encode(), framing))
        assert raw.recv(4096).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        assert raw.recv(4096).split()[1] == (b"400" if path == BLOB else b"200")
    (arrived,) = upstream.requests
    assert (arrived.method, arrived.body) == ("POST", body)
    # A blob's digest is not that of the body, which shows that Ollama has read it.
    assert path != BLOB or upstream.last_blob == (f"sha256:{hashlib.sha256(body).hexdigest()}", len(body))


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_a_body_without_a_content_type_arrives_and_gets_none(
    upstream: StrictOllama, client: httpx.Client, chunked: bool
) -> None:
    body = b'{"model":"tiny"}'
    response = client.request("GET", "/api/show", content=iter([body[:5], body[5:]]) if chunked else body)
    assert "Content-Type" not in response.request.headers
    assert response.status_code == 200
    (arrived,) = upstream.requests
    assert (arrived.method, arrived.body) == ("POST", body)
    assert "Content-Type" not in arrived.headers


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        ("//api/tags", "/api/tags"),
        ("/api//tags/", "/api/tags"),
        ("/api/tags/?a=//b/", "/api/tags?a=//b/"),
        ("//", "/"),
    ],
)
def test_doubled_and_trailing_slashes_are_mended(
    upstream: StrictOllama, client: httpx.Client, proxy: ProxyProcess, asked: str, arrives: str
) -> None:
    response = client.request("PUT", f"{proxy.url}{asked}", json={})
    assert response.status_code == 200
    assert [(request.method, request.path) for request in upstream.requests] == [("GET", arrives)]


def test_a_call_to_a_path_with_a_doubled_slash_keeps_method_and_body(
    upstream: StrictOllama, client: httpx.Client, proxy: ProxyProcess
) -> None:
    response = client.post(f"{proxy.url}//api/show/", json={"model": "tiny"})
    assert (response.status_code, upstream.requests[0].json) == (200, {"model": "tiny"})


def test_a_client_that_asks_for_it_finds_the_connection_closed_after_the_reply(
    upstream: StrictOllama, proxy: ProxyProcess
) -> None:
    for path, status in (("/api/version", b"200"), ("/api/chat", b"405")):
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            reply = b"".join(iter(lambda: raw.recv(4096), b""))
        assert reply.split()[1] == status


# -- Methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*WANTED, *NOT_IN_THE_MAP])
def test_whatever_a_request_arrives_with_ollama_gets_the_call_that_was_meant(
    upstream: StrictOllama, client: httpx.Client, path: str
) -> None:
    for came in METHODS:
        for body in (b"", b'{"model" : "nonsense"}'):
            upstream.requests.clear()
            # Where there is no body, a query would become one.
            query = "?a=%2F/b" if body else ""
            response = client.request(came, path + query, content=body, headers=MARKED)
            meant = method_meant(came, path, with_body=bool(body))
            if meant is None:
                assert_told_of_a_lost_body(response, path)
                assert upstream.requests == [], f"{came} {path} without a body was forwarded"
                continue
            (arrived,) = upstream.requests
            asked_for = f"{came} {path} {'with' if body else 'without'} a body"
            assert (asked_for, arrived.method) == (asked_for, meant)
            assert arrived.path == (WANTED[path][1] if path in WANTED else path) + query
            assert_arrived_marked(arrived, path, body)


def method_meant(came: str, path: str, *, with_body: bool) -> str | None:
    """The method that has to arrive; None where nothing can."""
    if came in ("HEAD", "OPTIONS"):
        return came
    if path in NOT_IN_THE_MAP:
        return "POST" if with_body else came
    if came == "GET" and not with_body and path in TAKES_A_BODY:
        return None
    return "HEAD" if came == "GET" and not with_body and path == BLOB else WANTED[path][0]


def assert_arrived_marked(arrived: RecordedRequest, path: str, body: bytes) -> None:
    own = {"host", "content-length", "x-request-id"}
    assert {name.lower(): value for name, value in arrived.raw_headers if name.lower() not in own} == MARKED
    assert sum(name.lower() not in own for name, _ in arrived.raw_headers) == len(MARKED)
    if body and path in ("/api/stop", "/api/unload"):
        assert arrived.json == {"model": "nonsense", "keep_alive": 0}
    elif path != BLOB or arrived.method == "POST":
        assert arrived.body == body
        assert arrived.headers.get("Content-Length", "0") == str(len(body))


def assert_told_of_a_lost_body(response: httpx.Response, path: str) -> None:
    assert (response.status_code, response.headers["Allow"]) == (405, TAKES_A_BODY[path])
    assert response.headers["Content-Type"].startswith("application/json")
    (error,) = response.json().values()
    assert error.startswith("405 method not allowed")
    assert "https://" in error


def test_a_preflight_request_is_answered_here_also_where_it_was_made_a_get(
    upstream: StrictOllama, client: httpx.Client
) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        response = client.request(method, "/api/chat", headers=headers)
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (204, "http://localhost:3000")
    assert upstream.requests == []


@pytest.mark.parametrize("path", TAKES_A_BODY)
def test_a_request_whose_body_was_lost_is_told_so(upstream: StrictOllama, proxy: ProxyProcess, path: str) -> None:
    with Mangler(proxy.url, drop_body=True) as pod:
        response = httpx.post(f"{pod.url}{path}", json={"model": "tiny"}, trust_env=False)
    assert_told_of_a_lost_body(response, path)
    assert upstream.requests == []


@pytest.mark.parametrize("through_pod", [False, True], ids=["direct", "through a pod that drops bodies"])
def test_a_get_that_has_the_call_in_its_query_is_answered_with_a_stream(
    upstream: StrictOllama, proxy: ProxyProcess, through_pod: bool
) -> None:
    upstream.frame_delay = 0.05
    query = "model=tiny&prompt=5%2B5%3F&options=%7B%22seed%22%3A1%7D"
    with Mangler(proxy.url, drop_body=True) as pod, httpx.Client(trust_env=False) as browser:
        url = f"{(pod if through_pod else proxy).url}/api/generate?{query}"
        with browser.stream("GET", url) as response:
            frames = [(time.monotonic(), json.loads(line)) for line in response.iter_lines()]
    (arrived,) = upstream.requests
    assert (arrived.method, arrived.json) == ("POST", {"model": "tiny", "prompt": "5+5?", "options": {"seed": 1}})
    assert arrived.headers.getall("Content-Type") == ["application/json"]
    assert [frame["done"] for _, frame in frames] == [False] * (len(frames) - 1) + [True]
    assert frames[-1][0] - frames[0][0] > 0.1


def test_a_get_that_asks_for_it_in_its_query_gets_a_whole_answer(upstream: StrictOllama, client: httpx.Client) -> None:
    assert client.get("/api/generate?model=tiny&prompt=Why&stream=false").json()["done"] is True
    assert client.get("/api/embed?model=tiny&input=one&input=two").json()["embeddings"] != []
    assert [request.json for request in upstream.requests] == [
        {"model": "tiny", "prompt": "Why", "stream": False},
        {"model": "tiny", "input": ["one", "two"]},
    ]


def test_the_sdk_gives_the_reason_of_a_lost_body_as_its_error(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    with Mangler(proxy.url, drop_body=True) as pod:
        answer = told_sync(pod.url, CALLS["chat"]).answer
    assert isinstance(answer, tuple)
    assert answer[0] == 405
    assert "without a body" in answer[1]


def test_a_get_for_a_blob_without_a_body_asks_whether_the_blob_is_there(upstream: StrictOllama, client: httpx.Client) -> None:
    content = b"a blob"
    there = f"/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
    client.post(there, content=content)
    assert [client.get(path).status_code for path in (BLOB, there)] == [404, 200]
    assert [request.method for request in upstream.requests] == ["POST", "HEAD", "HEAD"]


def test_methods_are_left_alone_where_fix_methods_is_false(upstream: StrictOllama) -> None:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, FIX_METHODS="false") as untouched:
        upstream.requests.clear()
        statuses = [
            httpx.request(method, f"{untouched.url}/api/show", json={"model": "tiny"}, trust_env=False).status_code
            for method in METHODS
        ]
        lost = httpx.get(f"{untouched.url}/api/chat", trust_env=False)
    assert [request.method for request in upstream.requests[: len(METHODS)]] == list(METHODS)
    assert statuses == [405, 200, 405, 405, 405, 405, 405]
    assert (lost.status_code, lost.text) == (405, "405 method not allowed")


def test_the_override_header_gives_the_method_of_a_path_that_is_not_in_the_map(
    upstream: StrictOllama, client: httpx.Client
) -> None:
    override = {"X-HTTP-Method-Override": "PATCH"}
    for path in ("/v1/files/1", "/api/chat"):
        client.request("GET", path, json={}, headers=override)
    client.get("/v1/files/1", headers=override)
    assert [request.method for request in upstream.requests] == ["PATCH", "POST", "PATCH"]


# -- The user's own map ------------------------------------------------------------------------------------------------

OWN_MAP = {
    "/api/wipe": {"method": "DELETE", "path": "/api/delete"},
    "/api/rest": {"method": "POST", "path": "/api/generate", "body": {"keep_alive": 0}},
    "/v1/files/": "DELETE",
    "/api/show": "keep",
}
OWN_MAP_AS_TOML = """
"/api/wipe" = {method = "delete", path = "/api/delete"}
"/api/rest" = {method = "post", path = "/api/generate", body = {keep_alive = 0}}
"/v1/files/" = "DELETE"
"/api/show" = "keep"
"""


@pytest.mark.parametrize("form", ["inline", "file"])
def test_the_user_changes_the_map_in_the_settings(upstream: StrictOllama, tmp_path: Path, form: str) -> None:
    (tmp_path / "map.toml").write_text(OWN_MAP_AS_TOML, encoding="utf-8")
    method_map = json.dumps(OWN_MAP) if form == "inline" else "map.toml"
    with (
        ProxyProcess(cwd=tmp_path, PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, METHOD_MAP=method_map) as own,
        httpx.Client(base_url=own.url, trust_env=False) as client,
    ):
        upstream.requests.clear()
        statuses = [
            client.request("GET", path, json={"model": "tiny"}).status_code
            for path in ("/api/wipe", "/api/rest", "/v1/files/1", "/api/show", "/api/chat")
        ]
        lost = [client.get(path).status_code for path in ("/api/wipe", "/api/show")]
    assert [(request.method, request.path) for request in upstream.requests] == [
        ("DELETE", "/api/delete"),
        ("POST", "/api/generate"),
        ("DELETE", "/v1/files/1"),
        ("GET", "/api/show"),
        ("POST", "/api/chat"),
        # Ollama itself answers this one.
        ("GET", "/api/show"),
    ]
    assert upstream.requests[1].json == {"model": "tiny", "keep_alive": 0}
    assert (statuses, lost) == ([200, 404, 404, 405, 404], [405, 405])


def test_a_wrong_map_stops_the_start_with_a_sentence() -> None:
    with ProxyProcess(wait=False, PROXY_MODE="fix", METHOD_MAP='"/api/chat" = "FETCH"') as wrong:
        assert wrong.exit_code() == 1
    (sentence,) = wrong.log.splitlines()
    assert sentence.startswith("ollama-openai-proxy: METHOD_MAP is wrong: /api/chat: say ")
    assert sentence.endswith(".")


# -- Origin and Host ---------------------------------------------------------------------------------------------------

APP = "https://app.example"
POD_NAME = "pod-11435.proxy.runpod.net"


@pytest.fixture(scope="module")
def allowing_url(ollama_server: StrictOllama) -> Iterator[str]:
    """A proxy whose user has allowed one more origin, which Ollama itself would refuse."""
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama_server.url, OLLAMA_ORIGINS=APP) as running:
        yield running.url


def cors_headers(response: httpx.Response) -> list[tuple[str, str]]:
    return [pair for pair in response.headers.multi_items() if pair[0].startswith("access-control-") or pair[0] == "vary"]


@pytest.mark.parametrize("host", [POD_NAME, f"{POD_NAME}:443", "127.0.0.1", "localhost:1"])
def test_whatever_the_host_ollama_is_asked_under_its_own(upstream: StrictOllama, client: httpx.Client, host: str) -> None:
    response = client.get("/api/tags", headers={"Host": host, "X-Forwarded-Host": host})
    assert response.status_code == 200
    assert upstream.requests[0].headers.getall("Host") == [f"127.0.0.1:{upstream.port}"]
    assert upstream.requests[0].headers["X-Forwarded-Host"] == host


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000", "vscode-webview://abc"])
@pytest.mark.parametrize("through_pod", [False, True], ids=["direct", "through a pod"])
def test_an_allowed_page_is_answered_though_ollama_does_not_know_its_origin(
    upstream: StrictOllama, allowing_url: str, origin: str, through_pod: bool
) -> None:
    with Mangler(allowing_url) as pod:
        url = pod.url if through_pod else allowing_url
        headers = {"Origin": origin, "Host": POD_NAME, "Referer": f"{origin}/page"}
        answered = httpx.post(f"{url}/api/show", json={"model": "tiny"}, headers=headers, trust_env=False)
        refused = httpx.get(f"{url}/api/chat", headers=headers, trust_env=False)
    (arrived,) = upstream.requests
    assert "Origin" not in arrived.headers
    assert arrived.headers["Referer"] == f"{origin}/page"
    assert (answered.status_code, refused.status_code) == (200, 405)
    assert cors_headers(answered) == [("access-control-allow-origin", origin), ("vary", "Origin")]
    assert cors_headers(refused) == cors_headers(answered)


@pytest.mark.parametrize("through_pod", [False, True], ids=["direct", "through a pod"])
def test_the_preflight_of_an_allowed_page_is_answered_here(
    upstream: StrictOllama, allowing_url: str, through_pod: bool
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type", "Origin": APP}
    with Mangler(allowing_url) as pod:
        preflight = httpx.options(f"{pod.url if through_pod else allowing_url}/api/chat", headers=asked, trust_env=False)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, APP)
    assert preflight.headers["Allow"] == "POST"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"].split(",")
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"].split(",")
    assert upstream.requests == []


@pytest.mark.parametrize("headers", [{}, {"Access-Control-Request-Method": "POST"}], ids=["call", "preflight"])
@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        # As after DNS rebinding: the page's own name was made to lead here.
        {"Origin": "http://evil.example:11435", "Host": "evil.example:11435"},
    ],
    ids=lambda page: page["Origin"],
)
def test_a_foreign_page_is_refused_here(
    upstream: StrictOllama, allowing_url: str, page: dict[str, str], headers: dict[str, str]
) -> None:
    for method in METHODS:
        response = httpx.request(method, f"{allowing_url}/api/tags", headers=page | headers, trust_env=False)
        assert (response.status_code, response.content, cors_headers(response)) == (403, b"", [])
    assert upstream.requests == []


# -- Names that no Ollama has ------------------------------------------------------------------------------------------


def test_ls_lists_the_models(upstream: StrictOllama, client: httpx.Client) -> None:
    assert client.request("POST", "/api/ls").json() == {"models": upstream.models}


def test_serve_gives_the_version(upstream: StrictOllama, client: httpx.Client) -> None:
    assert client.post("/api/serve").json() == client.get("/api/version").json()
    assert list(client.post("/api/serve", json={}).json()) == ["version"]


@pytest.mark.parametrize("path", ["/api/stop", "/api/unload"])
@pytest.mark.parametrize("key", ["model", "name"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_stop_and_unload_unload_the_named_model(
    upstream: StrictOllama, client: httpx.Client, path: str, key: str, chunked: bool
) -> None:
    client.post("/api/generate", json={"model": "tinytools"})
    assert "tinytools:latest" in loaded(client)
    body = json.dumps({key: "tinytools"}).encode()
    response = client.request("GET", path, content=iter([body]) if chunked else body)
    assert (response.status_code, response.json()["done_reason"]) == (200, "unload")
    assert "tinytools:latest" not in loaded(client)


def loaded(client: httpx.Client) -> list[str]:
    return [model["name"] for model in client.get("/api/ps").json()["models"]]


# -- Replies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/chat", b'{"model":"nonsense","messages":[{"role":"user","content":"hi"}]}'),
        ("/api/show", b'{"model":"nonsense"}'),
        ("/api/chat", b'{"model":'),
        ("/api/chat", b"[]"),
        ("/api/generate", b'{"model":3}'),
        ("/api/chat", b'{"model":"tiny","think":true,"messages":[{"role":"user","content":"hi"}]}'),
        ("/api/create", b'{"model":"x"}'),
        ("/api/pull", b'{"model":"nope","stream":false}'),
        ("/api/nothing", b"{}"),
        ("/api/blobs/nonsense", b"{}"),
        (BLOB, b"something else"),
    ],
)
def test_an_error_of_ollama_reaches_the_client_unchanged(
    upstream: StrictOllama, client: httpx.Client, path: str, content: bytes
) -> None:
    direct = httpx.post(f"{upstream.url}{path}", content=content, trust_env=False)
    through = client.get(path) if path == "/api/nothing" else client.request("GET", path, content=content)
    assert direct.status_code >= 400
    assert (through.status_code, through.reason_phrase, through.content) == (
        direct.status_code,
        direct.reason_phrase,
        direct.content,
    )
    assert ollamas_headers(through) == ollamas_headers(direct)


def ollamas_headers(response: httpx.Response) -> set[tuple[str, str]]:
    """The headers that do not differ from one reply to the next."""
    return {(name, value) for name, value in response.headers.multi_items() if name not in ("date", "x-request-id")}


def test_a_stream_that_ollama_breaks_off_ends_with_an_error(upstream: StrictOllama, client: httpx.Client) -> None:
    upstream.cut_after = 2
    with client.stream("POST", "/api/chat", json={"model": "tiny", "messages": HELLO}) as response:
        frames = [json.loads(line) for line in response.iter_lines()]
    assert [frame.get("done") for frame in frames] == [False, False, None]
    assert "broke off" in frames[-1]["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"model": "tiny", "messages": HELLO}),
        ("/api/generate", {"model": "tiny", "prompt": "Why?"}),
        ("/api/pull", {"model": "another"}),
    ],
)
def test_frames_arrive_when_ollama_sends_them(
    upstream: StrictOllama, client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    upstream.frame_permits = permits = threading.Semaphore(0)
    arrived = []
    with client.stream("GET", path, json=body) as response:
        for piece in response.iter_raw():
            arrived.append(piece)
            permits.release()  # Ollama sends the next frame only when the client has this one
    upstream.frame_permits = None
    assert arrived == [piece for _, piece in upstream.sent]
    assert len(arrived) == 7


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
def test_a_client_that_leaves_frees_the_upstream(upstream: StrictOllama, proxy: ProxyProcess, stream: bool) -> None:
    upstream.frame_delay = 5
    body = json.dumps({"model": "tiny", "messages": HELLO, "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(b"GET /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if stream:
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
        assert upstream.wait_for_requests()
        assert upstream.active == 1
    noticed = upstream.wait_for_disconnect()
    assert noticed is not None


# -- Uploads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_a_large_upload_passes_unbuffered(
    upstream: StrictOllama, proxy: ProxyProcess, client: httpx.Client, chunked: bool
) -> None:
    size = 50
    part = b"\x00" * MIB
    digest = f"sha256:{hashlib.sha256(part * size).hexdigest()}"
    halfway = threading.Event()

    def parts() -> Iterator[bytes]:
        for number in range(size):
            if number == size // 2:
                wait_until(lambda: upstream.blob_received > 20 * MIB)
                halfway.set()
            yield part

    upstream.blob_received = 0
    before = peak_memory(proxy.worker)
    headers = {} if chunked else {"Content-Length": str(size * MIB)}
    response = client.put(f"/api/blobs/{digest}", content=parts(), headers=headers)
    assert response.status_code in (200, 201)
    assert halfway.is_set()
    assert upstream.last_blob == (digest, size * MIB)
    assert ("Transfer-Encoding" in upstream.requests[0].headers) == chunked
    assert peak_memory(proxy.worker) - before < 20 * MIB


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_an_upload_that_breaks_off_does_so_for_ollama_too(upstream: StrictOllama, proxy: ProxyProcess, framing: str) -> None:
    upstream.last_blob, upstream.blob_received = None, 0
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(f"POST {BLOB} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n4\r\nhalf\r\n".encode())
        wait_until(lambda: upstream.blob_received > 0)
    noticed = upstream.wait_for_disconnect()
    assert upstream.last_blob is None
    assert noticed is not None


def test_an_upload_that_ollama_refuses_in_the_middle_is_answered_with_its_error(
    upstream: StrictOllama, client: httpx.Client
) -> None:
    response = client.post("/api/blobs/nonsense", content=(b"x" * MIB for _ in range(20)))
    assert (response.status_code, response.json()) == (400, {"error": "invalid digest format"})


def receive_until(raw: socket.socket, wanted: bytes) -> bytes:
    """All that has come when the wanted bytes have."""
    received = b""
    while wanted not in received:
        part = raw.recv(1 << 16)
        assert part, f"the connection ended after {received!r}"
        received += part
    return received


def peak_memory(pid: int) -> int:
    """The largest resident size of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("the memory of a process is read from /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


# -- The upstream's URL ------------------------------------------------------------------------------------------------


def test_a_path_in_the_upstream_url_is_put_before_every_path(upstream: StrictOllama) -> None:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=f"{upstream.url}/some/prefix/") as prefixed:
        upstream.requests.clear()
        for path in ("/", "/api/tags?a=b", "/api/ls", "//api/chat/"):
            httpx.put(f"{prefixed.url}{path}", json={}, trust_env=False)
    assert [(request.method, request.path) for request in upstream.requests] == [
        ("GET", "/some/prefix/"),
        ("GET", "/some/prefix/api/tags?a=b"),
        ("GET", "/some/prefix/api/tags"),
        ("POST", "/some/prefix/api/chat"),
    ]
