"""Paths that leave the API, headers that hold keys, and names of models that are too long or command a terminal."""

from __future__ import annotations

import json
from itertools import chain, cycle
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import BEARER, CALLS, MODEL, Says, in_mode, listing, one_setup_each, reply, setup
from tests.live.raw_http import exchange, get, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.attacks.backend_side import Setup


def spellings() -> Iterator[str]:
    """Ways to write `..` between slashes, as some server or other understands them."""
    slashes = ("/", "%2f", "%2F", "\\", "%5c", "%252f", "%255c", "/%2f", "//", "/;/", "%25252f")
    dots = (
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%25252e.",
        "..;",
        "..;x=y",
        "%2e%2e%3b",
        "..%00",
        "..%20",
        "%c0%ae%c0%ae",
    )
    yield from (f"/v1/{up}{slash}admin" for up in dots for slash in slashes)
    yield from (f"/v1/x{slash}{up}{slash}{up}/admin" for up in dots for slash in slashes)
    yield from (
        "/v1/..",
        "/v1/%2e%2e",
        "/v1/.",
        "/v1/./admin",
        "/v1/..?x",
        "/v1/x/../chat/completions",
        "/v1//../admin",
        "//v1/../admin",
    )
    yield from ("/v1/\uff0e\uff0e/admin".encode().decode("latin-1"), "/v1/%EF%BC%8E%EF%BC%8E/admin", "/v1/models/../../admin")


@pytest.mark.parametrize(
    "method", [pytest.param("GET", marks=one_setup_each), "POST", pytest.param("DELETE", marks=one_setup_each)]
)
def test_a_path_that_leaves_the_api_does_not_reach_the_server(hostile: Setup, method: str) -> None:
    wrong = []
    # Such a path is wrong whether or not there is a model of the name.
    bodies = cycle(json.dumps({"model": model}).encode() for model in (MODEL, "unheard-of"))
    for path, body in zip(spellings(), bodies, strict=False):
        hostile.server.requests.clear()
        request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{BEARER}\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = exchange(hostile.proxy.port, request.encode("latin-1") + body, method, may_be_cut=True)
        if hostile.server.calls or answer.status != 400:
            wrong.append((path, answer.status, [call.target for call in hostile.server.calls]))
    assert wrong == []
    assert hostile.works()


@pytest.mark.parametrize("name", ["../admin", "a/../../admin", "%2e%2e/admin"])
def test_nor_does_the_name_of_a_model_lead_there(name: str) -> None:
    """llama-swap loads a model when it is asked for a path with the model's name."""
    swap = {"object": "model", "owned_by": "llama-swap"}
    with setup("console", "translate") as running:
        running.server.lists = lambda _: Says(
            [reply({"object": "list", "data": [{"id": each, **swap} for each in (name, "tame")]})]
        )
        assert running.call(("/api/generate", {"model": "tame"})).status == 200
        assert [call.target for call in running.server.calls] == ["/upstream/tame/health"]
        running.server.requests.clear()
        assert running.call(("/api/generate", {"model": name})).status == 400
        assert running.server.calls == []


def test_a_path_with_other_escapes_passes(hostile: Setup) -> None:
    for path in (
        "/v1/files/a%2Fb",
        "/v1/files/a..b",
        "/v1/files/..a/b",
        "/v1/files/...",
        "/v1/files/a;b=c",
        "/v1/files/%E2%82%AC",
        "/v1/f?x=../..",
    ):
        hostile.server.requests.clear()
        assert exchange(hostile.proxy.port, get(path, BEARER)).status == 200
        assert [call.target for call in hostile.server.calls] == [path]


SECRET = "a-secret-of-the-client"
KEYS = (
    *("Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie", "X-Auth-Token", "X-Auth-Key"),
    *("CF-Access-Client-Id", "CF-Access-Client-Secret", "CF-Access-Jwt-Assertion", "Cf-Connecting-Ip", "X-Real-IP"),
    *("X-Forwarded-For", "Forwarded", "X-Forwarded-User", "X-Forwarded-Email", "X-Amzn-Oidc-Data", "X-Amz-Security-Token"),
    *("X-Ms-Client-Principal", "Ocp-Apim-Subscription-Key", "X-CSRF-Token", "X-Xsrf-Token", "X-Vault-Token", "Private-Token"),
    *("X-Access-Token", "X-Session-Token", "X-User", "Remote-User", "X-Remote-User", "OpenAI-Organization", "OpenAI-Project"),
    *(
        "Helicone-Auth",
        "X-Portkey-Api-Key",
        "X-Litellm-Api-Key",
        "X-Api-Token",
        "Token",
        "Referer",
        "Origin-Token",
        "X-Whatever",
    ),
    *("X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Method-Override", "Via", "True-Client-Ip"),
)
KNOWN = {
    "User-Agent": "openai-python",
    "OpenAI-Beta": "assistants=v2",
    "Anthropic-Version": "2023-06-01",
    "Anthropic-Beta": "tools",
    "Idempotency-Key": "1",
    "X-Stainless-Lang": "python",
    "HTTP-Referer": "https://app.example",
    "X-Title": "App",
    "Accept": "application/json",
    "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "session_id": "s",
}


@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name][0].startswith("/v1/")])
def test_only_headers_that_are_known_to_be_harmless_are_sent_on(hostile: Setup, name: str) -> None:
    own = [f"{each}: {SECRET}" for each in KEYS if each != "Authorization"] + [
        f"{each}: {value}" for each, value in KNOWN.items()
    ]
    path, body = CALLS[name]
    assert body is not None
    answer = exchange(hostile.proxy.port, post(path, body, BEARER, *own, "Content-Type: application/json"), may_be_cut=True)
    assert answer.status in (200, 401)
    assert hostile.server.calls
    last = hostile.server.calls[-1].headers
    for request in hostile.server.requests:
        leaked = [each for each, value in request.headers.items() if SECRET in value]
        if hostile.mode == "translate":
            assert leaked == []
    if hostile.mode == "fix":
        hop = {"proxy-authorization", "x-http-method-override"}
        assert {each.lower() for each in KEYS} - {"authorization"} - hop <= last.keys()
    if hostile.mode == "fix" or hostile.server.calls[-1].target.endswith(path):
        assert {each.lower(): value for each, value in KNOWN.items()}.items() <= last.items()


LONG = "m" * 257
ODD = {"escapes for a terminal": "a\x1b[2Jb", "a line break": "a\r\nb", "a separator": "a\u2028b", "a null": "a\0b"}
NAMING: dict[str, dict[str, object]] = {
    "/api/chat": {"messages": []},
    "/api/generate": {"prompt": "x"},
    "/api/embed": {"input": "x"},
    "/api/embeddings": {"prompt": "x"},
    "/api/show": {},
    "/api/delete": {},
    "/api/pull": {},
    "/api/push": {},
    "/api/create": {"from": MODEL},
    "/v1/chat/completions": {"messages": []},
    "/v1/embeddings": {"input": "x"},
    "/v1/responses": {"input": "x"},
    "/v1/messages": {"messages": [], "max_tokens": 1},
}


def test_a_name_that_is_too_long_is_refused_and_not_logged(hostile: Setup) -> None:
    if hostile.mode == "fix":
        for path, fields in NAMING.items():
            exchange(hostile.proxy.port, post(path, fields | {"model": LONG}, BEARER), may_be_cut=True)
        assert LONG not in hostile.proxy.log
        return
    for path, fields in NAMING.items():
        method = "DELETE" if path == "/api/delete" else "POST"
        answer = exchange(hostile.proxy.port, post(path, fields | {"model": LONG}, BEARER, method=method), may_be_cut=True)
        if path not in ("/api/pull", "/api/push"):
            assert answer.status == 400, (path, answer)
        assert LONG not in answer.body.decode()
    copied = exchange(hostile.proxy.port, post("/api/copy", {"source": MODEL, "destination": LONG}, BEARER))
    assert copied.status == 400
    assert exchange(hostile.proxy.port, get(f"/v1/models/{LONG}", BEARER)).status == 400
    assert LONG not in hostile.proxy.log
    assert hostile.server.calls == []


@in_mode("translate")  # in fix mode Ollama itself answers
@pytest.mark.parametrize("what", ODD)
def test_a_name_commands_no_terminal(hostile: Setup, what: str) -> None:
    for path, fields in NAMING.items():
        method = "DELETE" if path == "/api/delete" else "POST"
        answer = exchange(hostile.proxy.port, post(path, fields | {"model": ODD[what]}, BEARER, method=method), may_be_cut=True)
        for line in answer.body.splitlines():
            assert not [text for text in texts(json.loads(line) if line.startswith(b"{") else "") if ODD[what] in text], path
    assert "\x1b" not in hostile.proxy.log


def texts(value: object) -> Iterator[str]:
    """All the texts in a value of JSON."""
    match value:
        case str():
            yield value
        case list():
            yield from chain.from_iterable(map(texts, value))
        case dict():
            yield from chain(value, chain.from_iterable(map(texts, value.values())))


UNREADABLE = {
    "nothing": b"",
    "half of an object": b'{"model":"gpt-test"',
    "no JSON": b"hello",
    "a list": b"[]",
    "a number": b"1",
    "bytes that are no text": b'{"model":"gpt-test\xff"}',
    "UTF-16": '{"model":"gpt-test"}'.encode("utf-16"),
    "two objects": b'{"model":"gpt-test"}{}',
    "lists that are too deep": b'{"model":"gpt-test","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}
JSON_CALLS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/rerank",
    "/v1/unheard",
]


@in_mode("translate")  # in fix mode Ollama itself answers
@pytest.mark.parametrize("what", UNREADABLE)
def test_an_unreadable_body_is_a_400_and_reaches_no_server(hostile: Setup, what: str) -> None:
    for path in JSON_CALLS:
        if path == "/v1/unheard" and what == "nothing":
            continue  # perhaps a call without a body
        answer = exchange(hostile.proxy.port, post(path, UNREADABLE[what], BEARER, "Content-Type: application/json"))
        assert answer.status == 400, (path, answer)
        assert "error" in answer.json
    assert hostile.server.calls == []


def test_half_a_character_does_not_make_a_body_unreadable(hostile: Setup) -> None:
    body = b'{"model":"gpt-test","messages":[{"role":"user","content":"\\ud83d"}]}'
    assert exchange(hostile.proxy.port, post("/v1/chat/completions", body, BEARER)).status == 200


ENTRIES: dict[str, bytes] = {
    "no id": b"{}",
    "an empty id": b'{"id":"","name":""}',
    "a number for an id": b'{"id":7,"name":7}',
    "no object": b"null",
    "half a character": b'{"id":"\\ud800","name":"\\ud800"}',
    "half a character elsewhere": b'{"id":"odd","name":"odd","owned_by":"\\ud800"}',
    "not a number": b'{"id":"odd","name":"odd","meta":{"n_params":NaN},"x":NaN}',
    "infinity": b'{"id":"odd","name":"odd","max_model_len":1e999,"created":1e999}',
    "a number without end": b'{"id":"odd","name":"odd","created":' + b"9" * 5000 + b"}",
    "a size without end": b'{"id":"' + b"9" * 200 + b"x" + b"9" * 40 + b'b","name":"x"}',
    "a name without end": b'{"id":"' + b"x" * 100_000 + b'","name":"x"}',
    "a name with escapes": b'{"id":"a\\u001b[2J","name":"a"}',
    "lists within lists": b'{"id":"odd","name":"odd","x":' + b"[" * 300 + b"]" * 300 + b"}",
    "the wrong types": b'{"id":"odd","name":"odd","created":[],"owned_by":{},"meta":[],"capabilities":7,"top_provider":1,'
    b'"architecture":[[]],"supported_parameters":{"a":1}}',
    "a time in the future": b'{"id":"odd","name":"odd","created":99999999999999999}',
    "a time before all times": b'{"id":"odd","name":"odd","created":-99999999999999999}',
}


@pytest.mark.parametrize("what", ["all of them", *(pytest.param(name, marks=pytest.mark.nightly) for name in ENTRIES)])
def test_odd_entries_of_a_list_cost_only_themselves(what: str) -> None:
    odd_ones = [ENTRIES[what]] if what in ENTRIES else [*ENTRIES.values()]
    with setup("console", "translate") as running:
        whole = json.dumps(listing()).encode()
        odd = whole.replace(b'"data": [', b'"data": [' + b", ".join(odd_ones) + b", ", 1)
        running.server.lists = lambda _: Says([reply(odd)])
        for path, key, name in (("/api/tags", "models", "name"), ("/v1/models", "data", "id")):
            answer = running.call((path, None))
            assert answer.status == 200
            assert MODEL in [entry[name] for entry in answer.json[key]]
        assert running.call(("/api/show", {"model": MODEL})).status == 200
        assert running.call(CALLS["OpenAI's chat"]).status == 200
        assert "Traceback" not in running.proxy.log
