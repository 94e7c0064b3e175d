"""A server that quotes the proxy's keys: clients, the log and the user interfaces get to see stars."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.backend_side import CALLS, CLIENTS_KEY, OWN_KEY, Says, head, listing, reply, said, setup
from tests.live.proxy import BIN, ProxyProcess
from tests.live.raw_http import exchange, get
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.attacks.backend_side import Setup
    from tests.live.attacks.targets import Mode

EVENTS = "text/event-stream"
NDJSON = "application/x-ndjson"


def error(key: str) -> dict[str, object]:
    text = f"Incorrect API key provided: {key}. You sent Bearer {key}"
    return {"error": {"message": text, "type": key, "param": key, "code": key}, "message": text, "detail": [{"msg": text}]}


def chunk(text: str) -> dict[str, object]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def events(*data: object) -> list[bytes]:
    return [head(200, "Connection: close", kind=EVENTS), *(b"data: %s\n\n" % json.dumps(each).encode() for each in data)]


def lines(*data: object) -> list[bytes]:
    return [head(200, "Connection: close", kind=NDJSON), *(b"%s\n" % json.dumps(each).encode() for each in data)]


def cut(data: bytes) -> list[bytes]:
    """The data in pieces that cut every key."""
    return [data[at : at + 7] for at in range(0, len(data), 7)]


WAYS: dict[str, Callable[[str], Says]] = {
    "an error": lambda key: Says([reply(error(key), 401)]),
    "an error in plain text": lambda key: Says([reply(error(key)["message"].encode(), 400, kind="text/plain")]),  # type: ignore[attr-defined]
    "an error of the server": lambda key: Says([reply(error(key), 500)]),
    "an error that is a page": lambda key: Says([reply(f"<html><h1>{key}</h1></html>".encode(), 502, kind="text/html")]),
    "an error as of a missing call": lambda key: Says([reply(error(key), 404)]),
    "an error in pieces": lambda key: Says(cut(reply(error(key), 400))),
    "an error in an answer of status 200": lambda key: Says([reply(error(key))]),
    "an error event": lambda key: Says(events(error(key)), "close"),
    "an error event behind text": lambda key: Says(events(chunk("Hi"), error(key)), "close"),
    "an error as a line": lambda key: Says(lines({"error": key}), "close"),
    "an error as a line behind text": lambda key: Says(lines(said("Hi") | {"done": False}, {"error": key}), "close"),
    "text where events should be": lambda key: Says([*events(), f"{key} is wrong\n\n".encode()], "close"),
    "the reason for the end": lambda key: Says(
        events({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": f"the key {key}"}]}), "close"
    ),
    "the text": lambda key: Says([reply(said(f"The key is {key}."))]),
    "streamed text": lambda key: Says(events(chunk(f"The key is {key}.")), "close"),
    "a stream cut anywhere": lambda key: Says(
        [piece for part in events(chunk(f"The key: {key}")) for piece in cut(part)], "close"
    ),
    "a header": lambda key: Says([reply(said("Hi"), 200, f"X-Debug: {key}", f"X-Request-Id: {key}", f"Set-Cookie: a={key}")]),
    "a header of an error": lambda key: Says(
        [reply(error(key), 429, f"Retry-After: {key}", f"WWW-Authenticate: Bearer {key}")]
    ),
    "the reason of a status": lambda key: Says([f"HTTP/1.1 401 {key}\r\nContent-Length: 0\r\n\r\n".encode()]),
    "a redirect": lambda key: Says([reply({}, 302, f"Location: http://127.0.0.1:9/{key}")]),
    "a redirect on the same address": lambda key: Says([reply({}, 302, f"Location: /{key}")]),
    "no HTTP": lambda key: Says([f"{key}\r\n\r\n".encode()], "close"),
    "escapes of JSON": lambda key: Says([reply(json.dumps(error(key)).replace("-", "\\u002d").encode(), 400)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_the_server_quotes_is_masked(hostile: Setup, way: str) -> None:
    keys = [OWN_KEY] if hostile.mode == "translate" else [CLIENTS_KEY]
    # In translate mode the server never saw the key of a client.
    told = []
    for key in keys:
        hostile.server.answer = lambda _, key=key: WAYS[way](key)  # type: ignore[misc]
        for name, call in CALLS.items():
            answer = hostile.call(call)
            seen = json.dumps(answer.headers) + answer.body.decode("utf-8", "replace")
            if key in seen or (way != "escapes of JSON" and key.replace("-", "\\u002d") in seen):
                told.append(f"{name}: {seen[:300]}")
    assert told == []
    assert OWN_KEY not in hostile.proxy.log
    assert CLIENTS_KEY not in hostile.proxy.log


def test_a_list_of_models_that_quotes_the_key_is_masked(hostile: Setup) -> None:
    key = OWN_KEY if hostile.mode == "translate" else CLIENTS_KEY
    for answer in (
        reply(error(key), 401),
        reply(listing({"id": f"x-{key}", "name": f"x-{key}", "owned_by": key})),
        reply(error(key)),
        reply(f"{key} is no list".encode()),
    ):
        hostile.server.lists = lambda _, answer=answer: Says([answer])
        for path in ("/api/tags", "/v1/models", "/readyz", f"/v1/models/{OWN_KEY[:5]}"):
            got = hostile.call((path, None))
            assert key not in json.dumps(got.headers) + got.body.decode()
    assert key not in hostile.proxy.log


@pytest.mark.parametrize("mode", ["translate", "fix"])
def test_the_check_command_masks_keys(mode: Mode) -> None:
    with setup("console", mode) as running:
        for answer in (reply(error(OWN_KEY), 500), reply(error(OWN_KEY), 302, f"Location: http://x.test/{OWN_KEY}")):
            running.server.answer = running.server.lists = lambda _, answer=answer: Says([answer])
            settings: dict[str, Any] = {
                "PROXY_MODE": mode,
                "OPENAI_API_BASE_URL": f"{running.server.url}/v1",
                "OLLAMA_UPSTREAM_URL": running.server.url,
                "OPENAI_API_KEY": OWN_KEY,
            }
            command = [str(BIN / "ollama-openai-proxy"), "check"]
            with ProxyProcess(command=command, wait=False, **settings) as check:
                check.exit_code()
            assert check.log
            assert OWN_KEY not in check.log


def test_what_mitmweb_shows_of_the_server_is_masked() -> None:
    with setup("mitmweb", "translate", PROXY_API_KEYS="") as running:
        running.server.answer = lambda _: WAYS["an error event behind text"](OWN_KEY)
        running.call(CALLS["a chat"])
        running.server.answer = lambda _: WAYS["an error"](OWN_KEY)
        running.call(CALLS["OpenAI's chat"])
        port = running.proxy.port
        wait_until(lambda: exchange(port, get("/api/version")).status == 200)
        assert OWN_KEY not in running.proxy.log


def test_a_word_that_stands_for_no_key_stays() -> None:
    with setup("console", "translate", OPENAI_API_KEY="lm-studio") as running:
        running.server.answer = lambda _: Says([reply(said("This is lm-studio."))])
        assert b"This is lm-studio." in running.call(CALLS["OpenAI's chat"]).body
