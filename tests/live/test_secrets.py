"""Nothing secret in the open: traffic of all kinds with marked secrets; then all that the proxy said is searched for them."""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import signal
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ollama_openai_proxy.backend.client import Backend
from ollama_openai_proxy.guard.admission import Gate
from ollama_openai_proxy.guard.keys import Keys
from ollama_openai_proxy.models.catalogue import Catalogue
from ollama_openai_proxy.models.models_file import load_models_file
from ollama_openai_proxy.net.http_messages import Timeouts
from ollama_openai_proxy.net.request_context import Record
from ollama_openai_proxy.settings import load_settings
from pydantic import SecretStr

from tests.live.proxy import Door, ProxyProcess
from tests.live.raw_http import Answer, Raw, exchange, get, post
from tests.patience import wait_until
from tests.standins import (
    Cut,
    Error,
    Script,
    ScriptedBackend,
    Stream,
    StrictOllama,
    error_body,
    finish,
    text,
    tool_delta,
)
from tests.standins import (
    Raw as RawBytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARKS = {
    name: f"marked-{name}-{number}x{number}"
    for number, name in enumerate(
        [
            *("own-key", "proxy-key", "file-key", "far-key", "wrong-key", "redis-password", "cookie", "query", "malformed"),
            *("prompt", "system", "image", "argument", "tool", "reply", "schema", "suffix", "refusal", "option", "field"),
        ],
        start=11,
    )
}
IMAGE = base64.b64encode(f"\x89PNG {MARKS['image']}".encode("latin-1")).decode()
MARKS["image-in-base64"] = IMAGE[12:40]
BASIC = "Authorization: Basic " + base64.b64encode(f"me:{MARKS['wrong-key']}".encode()).decode()
BEARER = f"Authorization: Bearer {MARKS['proxy-key']}"
HEADERS = (
    BEARER,
    f"Cookie: session={MARKS['cookie']}",
    f"X-Custom: {MARKS['cookie']}",
    f"OpenAI-Organization: {MARKS['cookie']}",
)
MESSAGES = [
    {"role": "system", "content": MARKS["system"]},
    {"role": "user", "content": MARKS["prompt"], "images": [IMAGE]},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": MARKS["argument"]}}}]},
    {"role": "tool", "tool_name": "f", "content": MARKS["tool"]},
]
PLAIN = [{"role": "user", "content": MARKS["prompt"]}]
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": MARKS["tool"],
        "parameters": {"type": "object", "properties": {MARKS["schema"]: {}}},
    },
}
SCHEMA = {"type": "object", "properties": {MARKS["schema"]: {"type": "string"}}}
OUT_OF_THE_ORDINARY = {"stop": [MARKS["option"]], "seed": MARKS["option"]}


@functools.cache
def forms(mark: str) -> set[str]:
    """A mark as it might be written somewhere."""
    shifted = {base64.b64encode(b"x" * by + mark.encode()).decode()[by + 3 : -4] for by in range(3)}
    return {mark, urllib.parse.quote(mark), mark.encode().hex(), *shifted}


def found(said: str) -> list[str]:
    """The names of the marks within something that the proxy said."""
    return [name for name, mark in MARKS.items() if any(form in said for form in forms(mark))]


class Call(NamedTuple):
    """A request; whether its error is the back end's, whose text is passed on; and what the back end answers."""

    data: bytes
    passed_on: bool = False
    scripts: tuple[Script, ...] = ()


def calls(model: str) -> Iterator[Call]:
    """Every endpoint in good and in bad ways."""
    chat: dict[str, Any] = {"model": model, "messages": PLAIN, "options": {"stop": [MARKS["option"]]}}
    whole: dict[str, dict[str, Any]] = {
        "/api/chat": {"model": model, "messages": MESSAGES, "tools": [TOOL], "format": SCHEMA},
        "/api/generate": {"model": model, "prompt": MARKS["prompt"], "system": MARKS["system"], "images": [IMAGE]},
        "/api/embed": {"model": model, "input": [MARKS["prompt"], MARKS["suffix"]]},
        "/api/embeddings": {"model": model, "prompt": MARKS["prompt"]},
        "/api/show": {"model": model, "system": MARKS["system"]},
        "/api/pull": {"model": "nope", "password": MARKS["wrong-key"], "username": MARKS["field"]},
        "/api/push": {"model": "nope", "password": MARKS["wrong-key"]},
        "/api/create": {
            "model": "made",
            "from": model,
            "system": MARKS["system"],
            "messages": PLAIN,
            "template": MARKS["prompt"],
        },
        "/api/me": {"key": MARKS["wrong-key"]},
        "/v1/chat/completions": {"model": model, "messages": PLAIN, "tools": [TOOL]},
        "/v1/completions": {"model": model, "prompt": MARKS["prompt"], "suffix": MARKS["suffix"]},
        "/v1/embeddings": {"model": model, "input": MARKS["prompt"]},
        "/v1/responses": {"model": model, "input": MARKS["prompt"], "instructions": MARKS["system"]},
        "/v1/messages": {"model": model, "max_tokens": 5, "messages": PLAIN, "system": MARKS["system"]},
        "/v1/messages/count_tokens": {"model": model, "messages": PLAIN},
    }
    for path, body in whole.items():
        for stream in (True, False):
            # In this order: whatever an API does not know of another's back end, it may say.
            yield Call(post(path, body | {"stream": stream}, *HEADERS), passed_on=True)
        yield Call(post(path, body, *HEADERS, method="GET"), passed_on=True)
        content = json.dumps(body).encode()
        # Nonsense of all sorts, in which the marks stand where something else should.
        yield Call(post(path, content[:-2], *HEADERS))
        yield Call(post(path, content + content, *HEADERS), passed_on=True)
        yield Call(post(path, json.dumps([body]).encode(), *HEADERS), passed_on=True)
        yield Call(post(path, MARKS["malformed"].encode(), *HEADERS))
        yield Call(post(path, content, *HEADERS, "Content-Encoding: gzip"), passed_on=True)
        yield Call(post(path, content.decode().encode("utf-16"), *HEADERS), passed_on=True)
        for name in body:
            if name == "from":
                continue  # the name of a model, which is logged
            yield Call(post(path, body | {name: {MARKS["field"]: MARKS["field"]}}, *HEADERS), passed_on=True)
            if name != "model":
                yield Call(post(path, body | {name: MARKS["field"]}, *HEADERS), passed_on=True)
        yield Call(post(path, body | {MARKS["field"]: 1, "options": OUT_OF_THE_ORDINARY}, *HEADERS), passed_on=True)
        # Keys: none, wrong ones, and those that are no keys.
        for headers in ((), (f"Authorization: Bearer {MARKS['wrong-key']}",), (BASIC,), (f"X-Api-Key: {MARKS['wrong-key']}",)):
            yield Call(post(path, body, *headers))
        yield Call(post(path, body, BEARER, f"Authorization: {MARKS['wrong-key']}"))
    for path in (
        "/",
        "/api/tags",
        "/api/ps",
        "/api/version",
        "/v1/models",
        "/api/unheard",
        "/v1/unheard",
        "/healthz",
        "/readyz",
        "/metrics",
    ):
        yield Call(get(f"{path}?key={MARKS['query']}&prompt={MARKS['query']}", *HEADERS), passed_on=True)
        yield Call(get(f"{path}?key={MARKS['query']}"))
    yield Call(get(f"/api/generate?model={model}&prompt={MARKS['query']}", *HEADERS), passed_on=True)
    yield Call(get("/api/tags", *HEADERS, "Origin: https://" + MARKS["cookie"]))
    yield Call(get("/api/tags", *HEADERS, "X-Request-Id: a " + MARKS["cookie"]))
    yield Call(get("/api/tags", *HEADERS, "Upgrade: websocket", f"Sec-WebSocket-Protocol: {MARKS['cookie']}"))
    yield Call(get(f"http://user:{MARKS['query']}@evil.example/?x={MARKS['query']}", *HEADERS))
    yield Call(get("/api/chat", *HEADERS, "Content-Length: 999999999999"))
    # What the back end says is the client's to know; nobody else's.
    for script in (
        Stream([text(MARKS["reply"]), finish()]),
        Stream([tool_delta(0, "call", "f", json.dumps({"a": MARKS["argument"]})), finish("tool_calls")]),
        Stream([tool_delta(0, "call", "f", '{"broken": "' + MARKS["argument"]), finish("tool_calls")]),
        Stream([text(MARKS["reply"]), Cut()]),
        Stream([text(MARKS["reply"]), RawBytes(f"data: {MARKS['reply']} is no chunk\n\n".encode())]),
        Stream([RawBytes(b'data: {"error": {"message": "%s"}}\n\n' % MARKS["refusal"].encode())]),
        Error(400, error_body(f"your prompt {MARKS['refusal']} was refused")),
        Error(401, error_body(f"Incorrect API key provided: {MARKS['own-key']}.")),
        Error(429, error_body(MARKS["refusal"]), {"Retry-After": "3", "X-Request-Id": "theirs", "Set-Cookie": MARKS["cookie"]}),
        Error(500, f"<html>{MARKS['refusal']}</html>"),
        Error(503, MARKS["refusal"].encode()),
        Cut(),
    ):
        for path in ("/api/chat", "/api/generate", "/api/embed", "/v1/chat/completions", "/v1/messages"):
            body = whole[path] | ({"messages": PLAIN} if "messages" in whole[path] else {})
            yield Call(post(path, body, *HEADERS), passed_on=True, scripts=(script,))
    refused = Error(400, error_body("Unsupported parameter: 'stop' with " + MARKS["refusal"], param="stop"))
    yield Call(post("/api/chat", chat, *HEADERS), passed_on=True, scripts=(refused,))


MALFORMED = [
    f"{MARKS['malformed']} is no request line\r\n\r\n",
    f"GET /api/tags HTTP/1.1\r\n{BEARER}\r\n{MARKS['malformed']}\r\n\r\n",
    f"GET /api/tags HTTP/1.1\r\n{BEARER}\r\nX: {MARKS['malformed']}\0\r\n\r\n",
    f"GET /api/tags HTTP/1.1\r\n{BEARER}\r\n{MARKS['malformed']}()<>: x\r\n\r\n",
    f"GET /api/tags HTTP/9.9\r\n{BEARER}\r\n\r\n",
    f"POST /?{MARKS['query']} HTTP/1.1\r\n{BEARER}\r\nContent-Length: {MARKS['malformed']}\r\n\r\n",
    f"POST /?{MARKS['query']} HTTP/1.1\r\n{BEARER}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{MARKS['prompt']}",
    f"POST /?{MARKS['query']} HTTP/1.1\r\n{BEARER}\r\nTransfer-Encoding: {MARKS['malformed']}\r\n\r\n",
    f"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}\r\nTransfer-Encoding: chunked\r\n\r\n{MARKS['malformed']}\r\n",
    f"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}\r\nContent-Length: 500\r\n\r\n{MARKS['prompt']}",
    f"CONNECT {MARKS['malformed']}:443 HTTP/1.1\r\n{BEARER}\r\n\r\n",
    f"GET gopher://{MARKS['malformed']}/ HTTP/1.1\r\n{BEARER}\r\n\r\n",
    f"GET / HTTP/1.1\r\n{BEARER}\r\nX-{MARKS['malformed']}: " + "x" * 200_000,
    f"GET / HTTP/1.1\r\n{BEARER}\r\nX-{MARKS['malformed']}",
    "\x16\x03\x01\x00\x40\x01\x00\x00\x3c" + MARKS["malformed"],
    "\x16\x03\x01\x00\x10\x01" + MARKS["malformed"],
]


def attack(proxy: ProxyProcess, backend: ScriptedBackend, model: str) -> list[str]:
    """Send it all; gives what should not have been told to clients."""
    told = []
    count = 0
    for call in calls(model):
        backend._scripts.clear()
        backend.reply_with(*call.scripts)
        answer = exchange(proxy.port, call.data, call.data.split(b" ", 1)[0].decode(), may_be_cut=True)
        count += 1
        heads = json.dumps(answer.headers)
        if found(heads if call.passed_on else heads + answer.body.decode("utf-8", "replace")):
            told.append(f"{call.data[:200]!r}\n  -> {answer}")
    backend._scripts.clear()
    for nonsense in MALFORMED:
        with Raw(proxy.port) as connection:
            connection.send(nonsense.encode("latin-1"))
            connection.socket.shutdown(1)
            if names := found(connection.rest().decode("utf-8", "replace")):
                told.append(f"{nonsense[:200]!r} -> {names}")
    # One that leaves in the middle.
    with Raw(proxy.port) as connection:
        connection.send(post("/api/chat", {"model": model, "messages": PLAIN}, *HEADERS))
    metrics: Answer = exchange(proxy.port, get("/metrics", BEARER))
    if metrics.status == 200 and (names := found(metrics.body.decode())):
        told.append(f"/metrics: {names}")
    assert count > 300
    return told


@pytest.fixture(autouse=True)
def quiet_servers(caplog: pytest.LogCaptureFixture) -> None:
    """The servers of the tests tell at length what they think of such requests."""
    caplog.set_level(logging.CRITICAL, "aiohttp.server")
    caplog.set_level(logging.CRITICAL, "asyncio")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScriptedBackend, StrictOllama, dict[str, Any]]]:
    """What is behind the proxies, and the settings that hold secrets."""
    folder = tmp_path_factory.mktemp("secrets")
    with ScriptedBackend(strict=False) as backend, StrictOllama() as upstream:
        (folder / "keys").write_text(MARKS["file-key"], "utf-8")
        models = f'[backends.far]\nurl = "http://127.0.0.1:9/v1"\napi_key = "{MARKS["far-key"]}"\n'
        (folder / "models.toml").write_text(models + '[models.far]\nbackend = "far"\n', "utf-8")
        settings = {
            "LOG_LEVEL": "debug",
            "PROXY_API_KEYS": f"{MARKS['proxy-key']},another-key",
            "PROXY_API_KEYS_FILE": str(folder / "keys"),
            "MODELS_FILE": str(folder / "models.toml"),
            "OPENAI_API_KEY": MARKS["own-key"],
            "OPENAI_API_BASE_URL": backend.base_url,
            "OLLAMA_UPSTREAM_URL": upstream.url,
            "MAX_BODY_SIZE": "100kB",
            "RATE_LIMIT": "100000/minute",
            # Nobody is there, which is said in the log.
            "RATE_LIMIT_STORAGE": f"redis://:{MARKS['redis-password']}@127.0.0.1:9/0",
        }
        yield backend, upstream, settings
        backend.violations.clear()


DOORS: list[tuple[Door, str, str]] = [
    ("console", "translate", "text"),
    ("console", "translate", "json"),
    ("console", "fix", "json"),
    ("mitmdump", "translate", "text"),
    ("mitmdump", "fix", "text"),
]


@pytest.mark.parametrize(("door", "mode", "form"), DOORS)
def test_no_secret_is_in_anything_that_the_proxy_says(
    servers: tuple[ScriptedBackend, StrictOllama, dict[str, Any]], door: Door, mode: str, form: str
) -> None:
    backend, _, settings = servers
    # mitmdump's own lines about flows are another matter, see below.
    arguments = ["--set", "flow_detail=0"] if door == "mitmdump" else []
    # It tells more of what it is at; mitmdump's tasks, of which it knows little, cost several times as much with it.
    chatty: dict[str, Any] = {"PYTHONASYNCIODEBUG": "1"} if door == "console" else {}
    with ProxyProcess(door=door, arguments=arguments, **settings, **chatty, PROXY_MODE=mode, LOG_FORMAT=form) as proxy:
        told = attack(proxy, backend, "gpt-test" if mode == "translate" else "tiny")
        assert proxy.stop(signal.SIGTERM) == 0
    assert proxy.log.count("/api/chat") > 20, "there is nothing to search"
    assert "RATE_LIMIT_STORAGE cannot be used" in proxy.log
    lines = proxy.log.splitlines() if found(proxy.log) else []
    leaks = [f"{names}: {line[:500]}" for line in lines if (names := found(line))]
    assert leaks == [], "\n".join(leaks[:40])
    assert told == [], "\n".join(told[:10])
    assert "Traceback" not in proxy.log


@pytest.mark.xfail(reason="mitmdump prints the URL of each flow, and quotes what it did not understand", strict=True)
def test_nor_is_it_in_what_mitmdump_says_of_flows(servers: tuple[ScriptedBackend, StrictOllama, dict[str, Any]]) -> None:
    _, _, settings = servers
    with ProxyProcess(door="mitmdump", **settings) as proxy:
        exchange(proxy.port, get(f"/api/tags?key={MARKS['query']}", *HEADERS))
        for nonsense in MALFORMED:
            with Raw(proxy.port) as connection:
                connection.send(nonsense.encode("latin-1"))
                connection.socket.shutdown(1)
                connection.rest()
        proxy.stop()
    assert found(proxy.log) == []


FORGED = ["/x%0A2026-01-01%20INFO%20POST%20/api/chat", "/x%0D%0Aforged", "/x%1b%5b2Jforged", "/x%E2%80%A8forged"]


def test_a_path_cannot_forge_a_line_of_the_log(servers: tuple[ScriptedBackend, StrictOllama, dict[str, Any]]) -> None:
    with ProxyProcess(OPENAI_API_BASE_URL=servers[0].base_url) as proxy:
        for path in FORGED:
            before = len(proxy.log)
            answer = exchange(proxy.port, get(path))
            wait_until(lambda answer=answer: answer.headers["x-request-id"] in proxy.log)  # type: ignore[misc]
            (line,) = proxy.log[before:].strip("\n").splitlines()
            assert "\x1b" not in line


# -- Objects -----------------------------------------------------------------------------------------------------------


async def test_no_object_shows_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models.toml"
    file.write_text(f'[backends.far]\nurl = "http://127.0.0.1:9/v1"\napi_key = "{MARKS["far-key"]}"\n', "utf-8")
    for name in [name for name in os.environ if name.startswith(("PROXY_", "OPENAI_", "OLLAMA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        {
            "proxy_api_keys": MARKS["proxy-key"],
            "openai_api_key": MARKS["own-key"],
            "rate_limit": "1/minute",
            "rate_limit_storage": f"redis://:{MARKS['redis-password']}@127.0.0.1:9",
            "models_file": str(file),
        }
    )
    record = Record("id", "GET", "/", client_key=MARKS["wrong-key"])
    backend = Backend("far", "http://127.0.0.1:9/v1", SecretStr(MARKS["far-key"]), None, Timeouts(None, None), passthrough=True)
    catalogue, gate = Catalogue(settings), Gate(settings)
    try:
        for thing in (settings, record, backend, Keys([MARKS["proxy-key"]]), catalogue, gate, load_models_file(file)):
            assert found(f"{thing!r} {thing} {thing:}") == []
            assert found(repr(vars(thing)) if hasattr(thing, "__dict__") else "") == []
        assert found(f"{settings.model_dump()} {settings.model_dump_json()}") == []
    finally:
        await backend.close()
        await catalogue.close()
        await gate.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_API_KEYS", "marked, short"),
        ("PROXY_API_KEYS_FILE", MARKS["proxy-key"]),
        ("RATE_LIMIT_STORAGE", f"redis://:{MARKS['redis-password']}@"),
        ("RATE_LIMIT_STORAGE", f"redis://:{MARKS['redis-password']}@127.0.0.1:99999"),
        ("RATE_LIMIT_STORAGE", f"redis://127.0.0.1:9/0?{MARKS['redis-password']}=1"),
        ("RATE_LIMIT_STORAGE", MARKS["redis-password"]),
        ("OPENAI_API_BASE_URL", f"http://user:{MARKS['own-key']}@127.0.0.1:9/v1"),
        ("OLLAMA_UPSTREAM_URL", f"http://user:{MARKS['own-key']}@127.0.0.1:9"),
    ],
)
def test_a_start_that_fails_for_a_wrong_secret_does_not_tell_it(name: str, value: str) -> None:
    settings: dict[str, Any] = {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1", "RATE_LIMIT": "1/minute", name: value}
    with ProxyProcess(wait=False, **settings) as proxy:
        assert proxy.exit_code() == 1
    assert name in proxy.log
    assert "marked" not in proxy.log
