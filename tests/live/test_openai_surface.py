"""The OpenAI API through the official SDK: before a back end that has chat completions only, and one that has everything.

What a back end has is handed on; Responses are translated where it has none.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import openai
import pytest
import zstandard
from openai.types.responses import ResponseFunctionToolCall, ResponseReasoningItem
from pydantic import BaseModel

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE, give_up
from tests.standins import (
    Chunk,
    Cut,
    Done,
    Error,
    ScriptedBackend,
    Stream,
    WaitForClient,
    Whole,
    chat_completion,
    embedding_of,
    error_body,
    finish,
    reasoning,
    response,
    response_events,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.two_backends import Pair, Side
    from tests.standins import Script, Step

SAID = "Hello world!"
CLIENTS_KEY = "the-clients-own-key"
HELLO: Any = [{"role": "user", "content": "hello"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS, "strict": True}}
RESPONSES_TOOL: Any = {"type": "function", **TOOL["function"]}
CALL: list[Step] = [role(), tool_delta(0, "call_1", "weather", '{"ci'), tool_delta(0, arguments='ty":"Rome"}')]
CALL += [finish("tool_calls"), usage(9, 4)]
FUNCTION_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'}


pytestmark = pytest.mark.usefixtures("pair")


@pytest.fixture
def url(pair: Pair) -> str:
    return pair.proxy.url


@pytest.fixture(scope="module")
def client(_pair: Pair) -> Iterator[openai.OpenAI]:
    with sdk(_pair.proxy.url) as client:
        yield client


def sdk(url: str, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=CLIENTS_KEY, max_retries=0, timeout=PATIENCE, **more)


# ── models


def test_models_are_listed_under_the_names_that_clients_use(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {"gpt-test", "alias", "Org/full-test", "full-alias:8b", "gone"} <= set(listed)
    assert all((model.object, type(model.created)) == ("model", int) for model in listed.values())
    assert listed["alias"].owned_by == "tests"


@pytest.mark.parametrize("suffix", ["", ":latest"])
def test_a_model_is_found_by_its_name_and_keeps_it(client: openai.OpenAI, side: Side, suffix: str) -> None:
    for name in (side.model + suffix, side.alias + ("" if ":" in side.alias else suffix)):
        assert client.models.retrieve(name).id == name


# ── what every back end has


def test_a_chat_is_answered_whole(client: openai.OpenAI, side: Side) -> None:
    answer = client.chat.completions.create(model=side.model, messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (SAID, "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 8
    assert side.asked == {"model": side.model, "messages": HELLO}


def test_a_chat_is_answered_streamed_and_counted_at_the_end(client: openai.OpenAI, side: Side) -> None:
    chunks = list(
        client.chat.completions.create(model=side.model, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (5, 3)


def test_tools_of_a_chat_make_the_round_trip(client: openai.OpenAI, side: Side) -> None:
    side.backend.reply_with(Stream(CALL))
    with client.chat.completions.stream(model=side.model, messages=HELLO, tools=[TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Rome"}')
    assert side.asked["tools"] == [TOOL]
    asking: Any = {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": FUNCTION}]}
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    answer = client.chat.completions.create(model=side.model, messages=[*HELLO, asking, result])
    assert answer.choices[0].message.content == SAID
    assert side.asked["messages"][-1] == result


FUNCTION = {"name": "weather", "arguments": '{"city":"Rome"}'}


class Place(BaseModel):
    city: str


def test_a_chat_has_the_form_that_is_asked_for(client: openai.OpenAI, side: Side) -> None:
    side.backend.reply_with(Whole(chat_completion('{"city":"Rome"}')))
    parsed = client.chat.completions.parse(model=side.model, messages=HELLO, response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Rome")
    assert side.asked["response_format"]["json_schema"]["schema"]["properties"] == {"city": {"title": "City", "type": "string"}}


def test_a_chat_tells_how_likely_its_tokens_were(client: openai.OpenAI, side: Side) -> None:
    entry = {"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []}
    whole = chat_completion("é")
    whole["choices"][0]["logprobs"] = {"content": [entry], "refusal": None}
    side.backend.reply_with(Whole(whole))
    answer = client.chat.completions.create(model=side.model, messages=HELLO, logprobs=True, top_logprobs=2)
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.to_dict()["content"] == [entry]
    assert (side.asked["logprobs"], side.asked["top_logprobs"]) == (True, 2)


def test_a_prompt_is_completed_whole_and_streamed(client: openai.OpenAI, side: Side) -> None:
    assert client.completions.create(model=side.model, prompt="once").choices[0].text == SAID
    chunks = list(client.completions.create(model=side.model, prompt="once", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == SAID


@pytest.mark.parametrize("coding", ["float", "base64", None])
def test_texts_are_embedded(client: openai.OpenAI, side: Side, coding: Any) -> None:
    how = {} if coding is None else {"encoding_format": coding}
    reply = client.embeddings.create(model=side.vectors, input=["one", "two"], **how)
    assert reply.model == side.vectors
    if coding == "base64":
        assert all(isinstance(item.embedding, str) for item in reply.data)
    else:
        assert [item.embedding for item in reply.data] == [embedding_of("one"), embedding_of("two")]
    assert side.asked["encoding_format"] == (coding or "base64")


async def test_the_asynchronous_client_works_alike(url: str, side: Side) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CLIENTS_KEY, max_retries=0, timeout=PATIENCE) as client:
        chunks = [c async for c in await client.chat.completions.create(model=side.model, messages=HELLO, stream=True)]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
        assert (await client.responses.create(model=side.model, input="hello")).output_text == SAID
        async with client.responses.stream(model=side.model, input="hello") as stream:
            assert (await stream.get_final_response()).output_text == SAID
        assert len((await client.embeddings.create(model=side.vectors, input="one")).data) == 1
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nope")


# ── responses


def test_a_response_is_whole(client: openai.OpenAI, side: Side) -> None:
    answer = client.responses.create(model=side.alias, input="hello", max_output_tokens=50, temperature=0.5)
    assert (answer.output_text, answer.status, answer.model) == (SAID, "completed", side.alias)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)
    if not side.everything:
        assert (answer.object, answer.error, answer.temperature) == ("response", None, 0.5)
        assert side.posts()[-1].path == "/v1/chat/completions"
        assert side.asked["messages"] == HELLO
        assert (side.asked["max_tokens"], side.asked["temperature"]) == (50, 0.5)


def test_a_response_is_streamed_event_by_event(client: openai.OpenAI, side: Side) -> None:
    events = list(client.responses.create(model=side.alias, input="hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["Hello", " world", "!"]
    last = events[-1]
    assert last.type == "response.completed"
    assert (last.response.output_text, last.response.model, last.response.id) == (
        *(SAID, side.alias),
        events[0].response.id,
    )
    with client.responses.stream(model=side.alias, input="hello") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        assert snapshots == ["Hello", "Hello world", SAID]
        assert stream.get_final_response().output_text == SAID


@pytest.mark.parametrize("stream", [False, True])
def test_tools_of_a_response_make_the_round_trip(client: openai.OpenAI, side: Side, stream: bool) -> None:
    side.backend.reply_with(_called(side, stream))
    answer = _respond(client, stream, model=side.model, input=HELLO, tools=[RESPONSES_TOOL])
    [call] = answer.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.call_id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"city": "Rome"})
    assert side.asked["tools"] == [RESPONSES_TOOL if side.everything else TOOL]
    conversation = [*HELLO, call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    assert _respond(client, stream, model=side.model, input=conversation, tools=[RESPONSES_TOOL]).output_text == SAID
    if side.everything:
        assert side.asked["input"] == conversation
    else:
        _, asking, result = side.asked["messages"]
        assert asking["tool_calls"] == [{"id": "call_1", "type": "function", "function": FUNCTION}]
        assert result == {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def _called(side: Side, stream: bool) -> Script:
    if not side.everything:
        return Stream(CALL)
    whole = response("") | {"output": [FUNCTION_CALL | {"status": "completed"}]}
    if not stream:
        return Whole(whole)
    begun = {"type": "response.created", "sequence_number": 0, "response": response("", status="in_progress")}
    added = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": whole["output"][0]}
    return Stream([Chunk(begun), Chunk(added), Chunk({"type": "response.completed", "sequence_number": 2, "response": whole})])


def _respond(client: openai.OpenAI, stream: bool, **asked: Any) -> Any:
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        return events.get_final_response()


def test_a_response_has_the_form_that_is_asked_for(client: openai.OpenAI, side: Side) -> None:
    told = '{"city":"Rome"}'
    side.backend.reply_with(Whole(response(told)) if side.everything else Stream([role(), text(told), finish()]))
    assert client.responses.parse(model=side.model, input="hello", text_format=Place).output_parsed == Place(city="Rome")
    form = side.asked["text"]["format"] if side.everything else side.asked["response_format"]["json_schema"]
    assert (form["name"], form["strict"], form["schema"]["required"]) == ("Place", True, ["city"])


def test_reasoning_is_summed_up_before_the_text(client: openai.OpenAI, chat_only: Side) -> None:
    script = Stream([role(), reasoning("Let me "), reasoning("see."), text("Rome"), finish(), usage(5, 3)])
    chat_only.backend.reply_with(script, script)
    effort: Any = {"effort": "high", "summary": "auto"}
    answer = client.responses.create(model=chat_only.model, input="hello", reasoning=effort)
    thought, said = answer.output
    assert isinstance(thought, ResponseReasoningItem)
    assert [part.text for part in thought.summary] == ["Let me see."]
    assert (said.type, answer.output_text) == ("message", "Rome")
    assert chat_only.asked["reasoning_effort"] == "high"
    events = list(client.responses.create(model=chat_only.model, input="hello", reasoning=effort, stream=True))
    deltas = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == "Let me see."
    assert [event.item.type for event in events if event.type == "response.output_item.done"] == ["reasoning", "message"]


def test_instructions_come_before_the_conversation(client: openai.OpenAI, side: Side) -> None:
    answer = client.responses.create(model=side.model, instructions="Be kind.", input=HELLO)
    assert answer.output_text == SAID
    if side.everything:
        assert side.asked["instructions"] == "Be kind."
    else:
        assert answer.instructions == "Be kind."
        assert side.asked["messages"] == [{"role": "system", "content": "Be kind."}, *HELLO]


def test_an_answer_that_was_cut_short_says_why(client: openai.OpenAI, chat_only: Side) -> None:
    chat_only.backend.reply_with(Stream([role(), text("Hel"), finish("length")]))
    answer = client.responses.create(model=chat_only.model, input="hello")
    assert (answer.status, answer.output_text) == ("incomplete", "Hel")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_what_needs_a_memory_is_refused_with_a_way_out(client: openai.OpenAI, chat_only: Side, full: Side) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=chat_only.model, input="hello", previous_response_id="resp_1")
    assert 'send the whole conversation as "input" instead' in caught.value.message
    assert caught.value.type == "invalid_request_error"
    assert chat_only.posts("/v1/chat") == []
    assert client.responses.create(model=full.model, input="hello", previous_response_id="resp_1").output_text == SAID
    assert full.asked["previous_response_id"] == "resp_1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_without_a_model_is_a_bad_request(url: str, stream: bool) -> None:
    for body in ({"input": "hello", "stream": stream}, {"model": 5, "input": "hello"}, ["model"]):
        reply = httpx.post(f"{url}/v1/responses", json=body, timeout=PATIENCE)
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_body_that_is_packed_is_unpacked(url: str, side: Side) -> None:
    body = json.dumps({"model": side.alias, "input": "hello"}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
    reply = httpx.post(f"{url}/v1/responses", content=zstandard.compress(body), headers=headers, timeout=PATIENCE)
    assert (reply.status_code, reply.json()["model"]) == (200, side.alias)
    assert "Content-Encoding" not in side.posts()[-1].headers


# ── learnt once


def test_a_back_end_is_asked_once_for_a_call_that_it_does_not_have() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy, sdk(proxy.url) as client:
        for _ in range(3):
            assert client.responses.create(model="gpt-test", input="hello").output_text == SAID
            assert list(client.responses.create(model="gpt-test", input="hello", stream=True))
        paths = [request.path for request in backend.requests if request.method == "POST"]
        assert paths.count("/v1/responses") == 1
        assert paths.count("/v1/chat/completions") == 6


REFUSALS: dict[int, str | bytes] = {404: b'{"detail":"Not Found"}', 405: b"", 501: "<html>Not Implemented</html>"}


def test_every_way_to_say_that_there_is_no_such_call_is_understood(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        backends = {status: stack.enter_context(ScriptedBackend(everything=True)) for status in REFUSALS}
        models_file = tmp_path / "models.toml"
        models_file.write_text(
            "".join(
                f'[backends.b{status}]\nurl = "{backend.base_url}"\n'
                f'[models.m{status}]\nbackend = "b{status}"\nmodel = "gpt-test"\n'
                for status, backend in backends.items()
            )
        )
        default = backends[404].base_url
        proxy = stack.enter_context(ProxyProcess(OPENAI_API_BASE_URL=default, MODELS_FILE=str(models_file)))
        for status, backend in backends.items():
            for path in ("/v1/responses", "/v1/messages"):
                backend.requests.clear()
                backend.reply_with(Error(status, REFUSALS[status]))
                body = {"model": f"m{status}", "input": "hello", "messages": HELLO, "max_tokens": 5}
                assert httpx.post(proxy.url + path, json=body, timeout=PATIENCE).status_code == 200
                posts = [request.path for request in backend.requests if request.method == "POST"]
                assert posts == [path, "/v1/chat/completions"]


def test_a_refusal_of_the_model_is_handed_on_and_not_learnt(client: openai.OpenAI, full: Side) -> None:
    gone = error_body("The model `full-test` does not exist", code="model_not_found")
    for _ in range(2):
        full.backend.reply_with(Error(404, gone))
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.create(model=full.model, input="hello")
        assert caught.value.body == gone["error"]
    assert client.responses.create(model=full.model, input="hello").output_text == SAID
    assert [request.path for request in full.posts()] == ["/v1/responses"] * 3


# ── names


@pytest.mark.parametrize("suffix", ["", ":latest"])
def test_every_answer_carries_the_name_that_the_client_wrote(client: openai.OpenAI, side: Side, suffix: str) -> None:
    model = side.alias if ":" in side.alias else side.alias + suffix
    assert client.chat.completions.create(model=model, messages=HELLO).model == model
    assert client.completions.create(model=model, prompt="a").model == model
    assert {chunk.model for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True)} == {model}
    assert {chunk.model for chunk in client.completions.create(model=model, prompt="a", stream=True)} == {model}
    assert client.embeddings.create(model=side.vectors + suffix, input="a").model == side.vectors + suffix
    assert client.responses.create(model=model, input="a").model == model
    events = client.responses.create(model=model, input="a", stream=True)
    assert {each.response.model for each in events if hasattr(each, "response")} == {model}
    assert {post.json["model"] for post in side.posts()} == {side.model, side.posts("/v1/embeddings")[0].json["model"]}
    assert all(post.headers["Authorization"] == f"Bearer {side.key}" for post in side.backend.requests)


def test_a_large_answer_carries_it_too(client: openai.OpenAI, side: Side) -> None:
    reply = client.embeddings.create(model=side.vectors, input=["a"] * 60, dimensions=4000)
    assert reply.model == side.vectors
    assert sum(len(item.embedding) for item in reply.data) == 60 * 4000


def test_the_models_file_fills_in_what_a_chat_leaves_open(client: openai.OpenAI, side: Side) -> None:
    client.chat.completions.create(model=side.brief, messages=HELLO)
    system = {"role": "system", "content": "Be brief."}
    filled_in = {"temperature": 0.25, "seed": 7, "max_tokens": 9}
    assert side.asked == {"model": side.model, "messages": [system, *HELLO]} | filled_in
    own: Any = [{"role": "system", "content": "Be long."}, *HELLO]
    client.chat.completions.create(model=side.brief, messages=own, temperature=1, max_tokens=5)
    assert side.asked == {"model": side.model, "messages": own, "temperature": 1, "seed": 7, "max_tokens": 5}


def test_the_models_file_fills_in_what_a_translated_response_leaves_open(client: openai.OpenAI, chat_only: Side) -> None:
    client.responses.create(model=chat_only.brief, input=HELLO, temperature=1)
    assert chat_only.asked["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]
    assert (chat_only.asked["temperature"], chat_only.asked["seed"], chat_only.asked["max_tokens"]) == (1, 7, 9)


# ── other calls


def test_a_recording_is_passed_on_byte_for_byte_under_the_right_name(client: openai.OpenAI, full: Side) -> None:
    recording = bytes(range(256)) * 64 + b"\r\n--model\r\n"
    answer = client.audio.transcriptions.create(model=full.alias, file=("a.wav", recording, "audio/wav"), prompt="a talk")
    assert answer.text == SAID
    [post] = full.posts()
    assert post.path == "/v1/audio/transcriptions"
    boundary = post.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    fields = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in (post.body or b"").split(b"--" + boundary)]
    found = {head: content.removesuffix(b"\r\n") for head, _, content in fields if content}
    assert [content for head, content in found.items() if b'name="model"' in head] == [full.model.encode()]
    assert [content for head, content in found.items() if b'filename="a.wav"' in head] == [recording]
    assert [content for head, content in found.items() if b'name="prompt"' in head] == [b"a talk"]


def test_a_large_recording_is_passed_on(client: openai.OpenAI, full: Side) -> None:
    recording = bytes(20 << 20)
    assert client.audio.transcriptions.create(model=full.alias, file=("a.wav", recording)).text == SAID
    body = full.posts()[-1].body or b""
    assert recording in body
    assert full.model.encode() in body


def test_a_call_that_nobody_knows_gets_the_back_ends_own_answer(client: openai.OpenAI, side: Side, pair: Pair) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.post("/unheard/of?x=%2F&y", body={"model": side.alias, "z": 1}, cast_to=object)
    assert caught.value.body == error_body("Invalid URL (POST /v1/unheard/of)")["error"]
    assert (side.posts()[-1].path, side.asked) == ("/v1/unheard/of?x=%2F&y", {"model": side.model, "z": 1})
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.files.list()
    # Where no model is named, it is the back end of the settings that is asked.
    assert pair.sides["chat only"].backend.requests[-1].path == "/v1/files"


# ── errors


class Way(NamedTuple):
    """A way to call a model; `part` is what a back end that has everything streams before it breaks off."""

    call: Callable[[openai.OpenAI, str], Any]
    stream: bool = False
    responses: bool = False


WAYS = {
    "chat": Way(lambda client, model: client.chat.completions.create(model=model, messages=HELLO)),
    "chat, streamed": Way(
        lambda client, model: list(client.chat.completions.create(model=model, messages=HELLO, stream=True)), stream=True
    ),
    "response": Way(lambda client, model: client.responses.create(model=model, input="hello"), responses=True),
    "response, streamed": Way(
        lambda client, model: list(client.responses.create(model=model, input="hello", stream=True)),
        stream=True,
        responses=True,
    ),
}
OTHERS = {
    "completion": Way(lambda client, model: client.completions.create(model=model, prompt="a")),
    "embedding": Way(lambda client, model: client.embeddings.create(model=model, input="a")),
    "transcription": Way(lambda client, model: client.audio.transcriptions.create(model=model, file=("a.wav", b"a"))),
    "unheard of": Way(lambda client, model: client.post("/unheard/of", body={"model": model}, cast_to=object)),
    "model": Way(lambda client, model: client.models.retrieve(model)),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.mark.parametrize("name", [*WAYS, *OTHERS])
def test_an_unknown_model_is_told_in_ollamas_words(client: openai.OpenAI, pair: Pair, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        (WAYS | OTHERS)[name].call(client, "nope")
    shown = "nope:latest" if name == "model" else "nope"
    told = {"message": f"model '{shown}' not found", "type": "not_found_error", "param": None, "code": None}
    assert caught.value.body == told
    assert not any(side.posts() for side in pair.sides.values())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_a_back_ends_refusal_keeps_its_status_and_its_words(
    client: openai.OpenAI, side: Side, way: Way, status: int, kind: type[openai.APIStatusError]
) -> None:
    side.backend.reply_with(Error(status, error_body("it is so", kind="some_error", code="c"), {"Retry-After": "7"}))
    with pytest.raises(kind) as caught:
        way.call(client, side.model)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    begin, _, words = caught.value.body["message"].rpartition("it is so")
    # Of a key it is said whose it was.
    assert (bool(begin), words) == (status == 401, "")
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert caught.value.response.headers["Retry-After"] == "7"
    assert caught.value.response.headers["Content-Type"].startswith("application/json")


def test_a_back_end_that_is_down_is_told_as_an_error(client: openai.OpenAI, pair: Pair, way: Way) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        way.call(client, "gone")
    assert caught.value.status_code == 502
    assert f"cannot connect to the back end at {pair.gone}: Connection refused" in caught.value.message
    assert isinstance(caught.value.body, dict)
    assert caught.value.body | {"message": ""} == {"message": "", "type": "api_error", "param": None, "code": None}


def test_a_back_end_that_hangs_up_is_told_as_an_error(client: openai.OpenAI, side: Side, way: Way) -> None:
    # A call over a kept connection is made once more.
    side.backend.reply_with(Cut(), Cut())
    with pytest.raises(openai.InternalServerError) as caught:
        way.call(client, side.model)
    side.backend.forget_scripts()
    assert caught.value.status_code == 502
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "api_error"


def begun(side: Side, *, responses: bool) -> list[Step]:
    """The beginning of an answer as this back end streams it."""
    if responses and side.everything:
        return [Chunk(event) for event in response_events(["Hello", " world", "!"], model=side.model)[:4]]
    return [role(), text("Hello")]


@pytest.mark.parametrize("way", [way for way in WAYS if "streamed" in way], indirect=True)
@pytest.mark.parametrize("name", ["model", "alias"])
def test_a_stream_that_is_cut_does_not_end_quietly(client: openai.OpenAI, side: Side, way: Way, name: str) -> None:
    side.backend.reply_with(Stream([*begun(side, responses=way.responses), Cut()]))
    with pytest.raises(openai.APIError) as caught:
        way.call(client, getattr(side, name))
    assert type(caught.value) is openai.APIError, "it was told, not cut off"
    assert "broke off" in caught.value.message


def test_a_response_that_breaks_off_has_failed_with_what_was_said_so_far(client: openai.OpenAI, chat_only: Side) -> None:
    chat_only.backend.reply_with(Stream([*begun(chat_only, responses=True), Cut()]))
    stream = client.responses.create(model=chat_only.model, input="hello", stream=True)
    failed = next(event for event in stream if event.type == "response.failed")
    assert failed.type == "response.failed"
    assert (failed.response.status, failed.response.output_text) == ("failed", "Hello")
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"
    with pytest.raises(openai.APIError):
        next(stream)


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_in_the_midst_of_an_answer_is_raised(client: openai.OpenAI, chat_only: Side, stream: bool) -> None:
    late = Chunk({"error": {"message": "out of memory", "code": 500}})
    chat_only.backend.reply_with(Stream([role(), text("Hello"), late, Done()]))
    with pytest.raises(openai.APIError, match="out of memory"):
        _drained(client.responses.create(model=chat_only.model, input="hello", stream=stream))


def _drained(answer: Any) -> None:
    for _ in answer:
        pass


# ── clients that leave


@pytest.mark.parametrize("way", [way for way in WAYS if "streamed" in way], indirect=True)
def test_a_client_that_leaves_frees_the_back_end(client: openai.OpenAI, side: Side, way: Way) -> None:
    side.backend.reply_with(Stream([*begun(side, responses=way.responses), WaitForClient()]))
    asked: Any = {"model": side.alias, "stream": True}
    stream: Any = (
        client.responses.create(input="a", **asked)
        if way.responses
        else client.chat.completions.create(messages=HELLO, **asked)
    )
    next(iter(stream))
    stream.close()
    noticed = side.backend.wait_for_disconnect()
    assert noticed is not None


@pytest.mark.parametrize("way", [way for way in WAYS if "streamed" not in way], indirect=True)
def test_a_client_that_does_not_wait_frees_the_back_end(url: str, side: Side, way: Way) -> None:
    side.backend.reply_with(*[Stream([], before=[WaitForClient()])] * 5)
    with sdk(url) as client:
        give_up(
            lambda seconds: way.call(client.with_options(timeout=seconds), side.model),
            openai.APITimeoutError,
            side.posts,
        )
    noticed = side.backend.wait_for_disconnect()
    assert noticed is not None


# ── headers


KEYS = {
    "Authorization": f"Bearer {CLIENTS_KEY}",
    "X-Api-Key": CLIENTS_KEY,
    "Api-Key": CLIENTS_KEY,
    "X-Goog-Api-Key": CLIENTS_KEY,
    "Cookie": f"session={CLIENTS_KEY}",
    "Proxy-Authorization": f"Bearer {CLIENTS_KEY}",
    "OpenAI-Organization": CLIENTS_KEY,
    "OpenAI-Project": CLIENTS_KEY,
}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/completions": {"prompt": "a"},
    "/v1/embeddings": {"input": "a"},
    "/v1/responses": {"input": "a"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
    "/v1/messages/count_tokens": {"messages": HELLO},
    "/v1/unheard/of": {},
}


@pytest.mark.parametrize("path", [*ROUTES, "/v1/models", "/v1/files"])
def test_a_clients_own_key_reaches_no_back_end(url: str, side: Side, pair: Pair, path: str) -> None:
    headers = KEYS | {"X-Custom": "yes", "Anthropic-Version": "2023-06-01"}
    if path in ROUTES:
        reply = httpx.post(url + path, json=ROUTES[path] | {"model": side.alias}, headers=headers, timeout=PATIENCE)
        assert side.posts()
    else:
        reply = httpx.get(url + path, headers=headers, timeout=PATIENCE)
    assert reply.status_code == (404 if path in ("/v1/unheard/of", "/v1/files") else 200)
    for each in pair.sides.values():
        for request in each.backend.requests:
            assert CLIENTS_KEY not in str(request.raw_headers)
            assert request.headers["Authorization"] == f"Bearer {each.key}"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_without_a_key_of_the_proxy_none_is_sent(keyless: tuple[ScriptedBackend, str], path: str) -> None:
    backend, url = keyless
    backend.requests.clear()
    body = {"model": "gpt-test"} | ROUTES[path]
    assert httpx.post(url + path, json=body, headers=KEYS, timeout=PATIENCE).status_code == 200
    for request in backend.requests:
        assert not {"Authorization", "X-Api-Key", "Api-Key", "Cookie"} & set(request.headers)


@pytest.fixture(scope="module")
def keyless() -> Iterator[tuple[ScriptedBackend, str]]:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        yield backend, proxy.url


def test_a_clients_key_is_passed_on_where_that_is_asked_for() -> None:
    with (
        ScriptedBackend(api_key=CLIENTS_KEY) as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY="own", OPENAI_API_KEY_PASSTHROUGH="true") as proxy,
        sdk(proxy.url) as client,
    ):
        assert client.chat.completions.create(model="gpt-test", messages=HELLO).choices[0].message.content == SAID
        assert client.responses.create(model="gpt-test", input="hello").output_text == SAID


def test_a_page_may_read_the_reply_as_the_proxy_says_and_not_as_the_back_end_does(url: str, side: Side) -> None:
    origin = "http://localhost:3000"
    own = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "Set-Cookie": "session=1",
        "Strict-Transport-Security": "max-age=1",
        "OpenAI-Processing-Ms": "5",
    }
    whole = {"/v1/chat/completions": chat_completion(), "/v1/responses": response(SAID)}
    for path, answer in whole.items():
        side.backend.reply_with(Whole(answer if side.everything else chat_completion(), own))
        body = ROUTES[path] | {"model": side.model}
        reply = httpx.post(url + path, json=body, headers={"Origin": origin}, timeout=PATIENCE)
        assert reply.status_code == 200
        assert reply.headers.get_list("Access-Control-Allow-Origin") == [origin]
        assert not {"access-control-allow-credentials", "set-cookie", "strict-transport-security"} & set(reply.headers)
        if side.posts()[-1].path == path:
            assert reply.headers["OpenAI-Processing-Ms"] == "5"
            assert "Origin" not in side.posts()[-1].headers


@pytest.mark.parametrize("path", [*ROUTES, "/v1/models", "/v1/models/nope"])
def test_a_reply_carries_the_id_of_its_request(url: str, side: Side, path: str) -> None:
    def reply(headers: dict[str, str]) -> httpx.Response:
        if path not in ROUTES:
            return httpx.get(url + path, headers=headers, timeout=PATIENCE)
        return httpx.post(url + path, json=ROUTES[path] | {"model": side.model}, headers=headers, timeout=PATIENCE)

    assert reply({"X-Request-Id": "client-1"}).headers.get_list("X-Request-Id") == ["client-1"]
    own = reply({}).headers["X-Request-Id"]
    assert own
    assert own != reply({}).headers["X-Request-Id"]


def test_the_back_end_is_told_the_id_too(client: openai.OpenAI, side: Side) -> None:
    client.responses.create(model=side.model, input="hello", extra_headers={"X-Request-Id": "client-1"})
    assert side.posts()[-1].headers["X-Request-Id"] == "client-1"
