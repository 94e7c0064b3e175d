"""What coding agents ask of the proxy beside their conversations: compaction, counts, models, keys that are refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import pytest
from aiohttp import web

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Error, ScriptedBackend, Stream, ThreadedServer, error_body, finish, role, text, tool_delta, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.two_backends import Side

USER = {"type": "message", "role": "user", "content": "Build the shed."}
TRIGGER = {"type": "compaction_trigger"}
SEARCH = {"type": "tool_search", "execution": "client"}
VERSION = {"anthropic-version": "2023-06-01"}
SUMMARY = Stream([role(), text("The shed "), text("has a roof."), finish(), usage(90, 7)])


@pytest.fixture
def http(chat_only: Side, url_of_pair: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url_of_pair, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def url_of_pair(pair: Any) -> str:
    url: str = pair.proxy.url
    return url


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


# -- Compaction --------------------------------------------------------------------------------------------------------


def test_a_compacted_conversation_goes_on(http: httpx.Client, chat_only: Side) -> None:
    chat_only.backend.reply_with(SUMMARY)
    reply = http.post(
        "/v1/responses/compact", json={"model": chat_only.model, "input": [USER], "instructions": "Be a carpenter."}
    )
    assert reply.status_code == 200
    *kept, item = reply.json()["output"]
    assert item["type"] == "compaction"
    assert "replaced by your summary" in chat_only.asked["messages"][-1]["content"]
    assert chat_only.asked["messages"][0]["content"] == "Be a carpenter."
    further = [*kept, item, {**USER, "content": "And the door?"}]
    assert http.post("/v1/responses", json={"model": chat_only.model, "input": further}).status_code == 200
    sent = json.dumps(chat_only.asked["messages"])
    assert "The shed has a roof." in sent
    assert "And the door?" in sent


def test_a_trigger_in_a_stream_is_answered_by_a_compaction(http: httpx.Client, chat_only: Side) -> None:
    chat_only.backend.reply_with(SUMMARY)
    reply = http.post("/v1/responses", json={"model": chat_only.model, "input": [USER, TRIGGER], "stream": True})
    last = events_of(reply)[-1]
    assert last["type"] == "response.completed"
    assert [item["type"] for item in last["response"]["output"]] == ["compaction"]
    assert last["response"]["usage"]["input_tokens"] == 90


def test_a_server_with_responses_is_told_a_summary_in_its_own_words(http: httpx.Client, chat_only: Side, full: Side) -> None:
    # A server that has the call but does not know the trigger would answer the conversation.
    full.backend.reply_with(SUMMARY)
    reply = http.post("/v1/responses", json={"model": full.model, "input": [USER, TRIGGER], "stream": True})
    (item,) = events_of(reply)[-1]["response"]["output"]
    assert full.posts()[-1].path.endswith("/chat/completions")
    http.post("/v1/responses", json={"model": full.model, "input": [item, USER]})
    assert full.posts()[-1].path.endswith("/responses")
    assert [each["type"] for each in full.asked["input"]] == ["message", "message"]
    assert "The shed has a roof." in json.dumps(full.asked["input"])


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/responses/compact", {}, "missing request body"),
        ("/v1/responses/compact", {"input": "x"}, "model is required"),
        ("/v1/responses/compact", {"model": "gpt-test"}, "input is required"),
        ("/v1/responses", {"model": "gpt-test", "input": [USER, TRIGGER]}, "compaction_trigger requires stream=true"),
    ],
)
def test_what_is_missing_is_said_in_ollamas_words(
    http: httpx.Client, chat_only: Side, path: str, body: dict[str, Any], message: str
) -> None:
    reply = http.post(path, json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["message"], error["code"]) == (400, message, "invalid_request_error")


def test_a_model_that_says_nothing_makes_the_compaction_fail(http: httpx.Client, chat_only: Side) -> None:
    chat_only.backend.reply_with(Stream([role(), finish(), usage(9, 0)]))
    reply = http.post("/v1/responses/compact", json={"model": chat_only.model, "input": [USER]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "compaction_failed")


def test_a_search_for_tools_is_called_and_its_result_is_offered(http: httpx.Client, chat_only: Side) -> None:
    call = tool_delta(0, "call_1", "tool_search", '{"query": "mail"}')
    chat_only.backend.reply_with(Stream([role(), call, finish("tool_calls"), usage(9, 3)]))
    request = {"model": chat_only.model, "input": [USER], "tools": [SEARCH]}
    (item,) = http.post("/v1/responses", json=request).json()["output"]
    assert (item["type"], item["arguments"]) == ("tool_search_call", {"query": "mail"})
    found = {"type": "function", "name": "send_mail", "parameters": {"type": "object", "properties": {}}}
    result = {"type": "tool_search_output", "call_id": item["call_id"], "execution": "client", "tools": [found]}
    http.post("/v1/responses", json=request | {"input": [USER, item, result]})
    assert [tool["function"]["name"] for tool in chat_only.asked["tools"]] == ["tool_search", "send_mail"]
    assert [message["role"] for message in chat_only.asked["messages"]] == ["user", "assistant", "tool"]


# -- Anthropic's clients -----------------------------------------------------------------------------------------------


def test_the_models_have_the_form_of_the_clients_api(url_of_pair: str, chat_only: Side) -> None:
    client = anthropic.Anthropic(base_url=url_of_pair, api_key="any", max_retries=0)
    listed = list(client.models.list())
    assert chat_only.model in [model.id for model in listed]
    assert {model.type for model in listed} == {"model"}
    one = client.models.retrieve(chat_only.model)
    assert (one.id, one.type) == (chat_only.model, "model")
    # Everybody else gets OpenAI's.
    assert httpx.get(f"{url_of_pair}/v1/models", trust_env=False).json()["object"] == "list"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 200), ("POST", 405)])
def test_claude_code_finds_its_api_reachable(http: httpx.Client, chat_only: Side, method: str, status: int) -> None:
    assert http.request(method, "/api/hello").status_code == status
    assert chat_only.posts() == []


# -- A key that the back end refuses -----------------------------------------------------------------------------------

REFUSED = Error(401, error_body("Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key"))
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
CALLS: dict[str, dict[str, Any]] = {
    "/api/chat": HELLO,
    "/api/generate": {"prompt": "Hello"},
    "/api/embed": {"input": "Hello"},
    "/v1/chat/completions": HELLO,
    "/v1/embeddings": {"input": "Hello"},
    "/v1/responses": {"input": "Hello"},
    "/v1/messages": HELLO | {"max_tokens": 9},
}


def message_of(reply: httpx.Response) -> str:
    error = reply.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)


@pytest.mark.parametrize("path", CALLS)
def test_each_api_says_that_the_proxys_key_was_refused(http: httpx.Client, side: Side, path: str) -> None:
    side.backend.reply_with(REFUSED)
    model = side.vectors if "embed" in path else side.alias
    reply = http.post(path, json={"model": model, **CALLS[path]}, headers=VERSION)
    assert reply.status_code == 401
    named = "of the back end full" if side.everything else "OPENAI_API_KEY"
    assert message_of(reply) == (f"the back end refused the proxy's own key ({named}), not yours: Incorrect API key provided.")
    assert reply.headers.get("x-should-retry") == ("false" if path == "/v1/messages" else None)
    if path.startswith("/v1/") and path != "/v1/messages":
        error = reply.json()["error"]
        assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")


def test_with_keys_that_are_passed_on_the_clients_own_was_refused() -> None:
    with (
        ScriptedBackend(api_key="right-key") as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY_PASSTHROUGH="true") as proxy,
    ):
        told = "the back end refused the key that you sent, which the proxy passes on: Incorrect API key provided."
        for path, body in CALLS.items():
            reply = httpx.post(
                proxy.url + path,
                json={"model": "m", **body},
                headers={"Authorization": "Bearer wrong-key"},
                trust_env=False,
                timeout=PATIENCE,
            )
            assert (reply.status_code, message_of(reply)) == (401, told)
        reply = httpx.get(f"{proxy.url}/api/tags", trust_env=False, timeout=PATIENCE)
        assert message_of(reply).startswith("the back end wants a key, and the proxy has none for it (OPENAI_API_KEY): ")


def test_claude_code_is_told_not_to_try_a_refused_key_again(url_of_pair: str, chat_only: Side) -> None:
    client = anthropic.Anthropic(base_url=url_of_pair, api_key="any", max_retries=4)
    chat_only.backend.reply_with(REFUSED)
    with pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model=chat_only.model, max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    assert len(chat_only.posts("/v1/chat/completions")) == 1


# -- Counts ------------------------------------------------------------------------------------------------------------


class Tokenizing(ThreadedServer):
    """A server with a tokenizer, of the kind that the names of its models' owner tell."""

    def __init__(self, owner: str, *, works: bool = True) -> None:
        super().__init__()
        self.owner = owner
        self.works = works

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._respond)

    async def _respond(self, request: web.Request) -> web.Response:
        recorded = self._note_request(request, await request.read())
        match request.path:
            case "/v1/models":
                return web.json_response({"data": [{"id": "m", "object": "model", "created": 1, "owned_by": self.owner}]})
            case "/tokenize" if self.works and self.owner == "vllm":
                return web.json_response({"count": 123, "tokens": []})
            case "/apply-template" if self.works:
                return web.json_response({"prompt": "|".join(each["content"] for each in recorded.json["messages"])})
            case "/tokenize" if self.works:
                return web.json_response({"tokens": list(recorded.json["content"])})
        return web.json_response({"detail": "Not Found"}, status=404)


@pytest.mark.parametrize(
    ("owner", "works", "count"),
    [("vllm", True, 123), ("llamacpp", True, len("Be brief.|Hello")), ("vllm", False, 6), ("openai", True, 6)],
)
def test_tokens_are_counted_by_the_server_that_can(owner: str, works: bool, count: int) -> None:
    call = {"model": "m", "system": "Be brief.", "messages": [{"role": "user", "content": "Hello"}]}
    with Tokenizing(owner, works=works) as server, ProxyProcess(OPENAI_API_BASE_URL=f"{server.url}/v1") as proxy:
        for _ in range(2):
            reply = httpx.post(
                f"{proxy.url}/v1/messages/count_tokens", json=call, headers=VERSION, trust_env=False, timeout=PATIENCE
            )
            assert reply.status_code == 200
        counted = reply.json()["input_tokens"]
        asked = [each.path for each in server.requests if "token" in each.path or "template" in each.path]
    if works and owner != "openai":
        assert counted == count
    else:
        # An estimate, and a server without the call is not asked for each count.
        assert 1 <= counted <= 10
        assert asked.count("/tokenize") <= 1


# -- Levels of thinking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["minimal", "low", "medium", "high", "xhigh", "max", "ultra", "no-such-level"])
def test_no_name_of_a_level_is_refused(url_of_pair: str, chat_only: Side, level: str) -> None:
    with httpx.Client(base_url=url_of_pair, trust_env=False, timeout=PATIENCE) as client:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("/v1/responses", {"input": "Hello", "reasoning": {"effort": level}}),
            ("/v1/messages", {**HELLO, "max_tokens": 9, "thinking": {"type": "adaptive"}, "output_config": {"effort": level}}),
        ]
        for path, body in calls:
            assert client.post(path, json={"model": chat_only.model, **body}, headers=VERSION).status_code == 200
            assert chat_only.asked.get("reasoning_effort") in (None, "minimal", "low", "medium", "high")
