"""Each kind of difference is found, and what is free is not taken for one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.compare import compare
from tests.conformance.recording import DIRECTORY, Response, load

if TYPE_CHECKING:
    from tests.conformance.recording import BodyKind

JSON = "application/json; charset=utf-8"
NDJSON = {"content-type": "application/x-ndjson", "transfer-encoding": "chunked"}
SSE = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
DIGEST = "a7fb47f90327673d55924fdad7e2a64a8d5c8c6a00fe473fd446e842a26e73f8"

METRICS = {
    "total_duration": 6673223,
    "load_duration": 968861,
    "prompt_eval_count": 30,
    "prompt_eval_duration": 740715,
    "eval_count": 6,
    "eval_duration": 4105565,
}
TEXT = {
    "model": "tiny",
    "created_at": "2026-11-21T03:58:25.063968852Z",
    "message": {"role": "assistant", "content": "m"},
    "done": False,
}
DONE = {
    "model": "tiny",
    "created_at": "2026-11-21T03:58:25.068239953Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "length",
    **METRICS,
}


def reply(content: Any, *, status: int = 200, headers: dict[str, str] | None = None, kind: BodyKind = "json") -> Response:
    return Response(status, headers if headers is not None else {"content-type": JSON}, kind, content)


def places(recorded: Response, answered: Response) -> list[str]:
    return [difference.place for difference in compare(recorded, answered)]


def of_values(recorded: Any, answered: Any) -> list[str]:
    return places(reply(recorded), reply(answered))


def of_frames(recorded: list[Any], answered: list[Any]) -> list[str]:
    return places(reply(recorded, headers=NDJSON, kind="frames"), reply(answered, headers=NDJSON, kind="frames"))


def changed(value: Any, **changes: Any) -> Any:
    return copy.deepcopy(value) | changes


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != key}


# ── status and headers


def test_another_status_is_found() -> None:
    assert places(reply({}), reply({}, status=500)) == ["status"]
    assert places(reply(DONE), reply({"error": "x"}, status=500)) == ["status", "body"]


@pytest.mark.parametrize("name", ["content-type", "location", "access-control-allow-origin", "access-control-max-age"])
@pytest.mark.parametrize("now", ["something else", None])
def test_another_or_no_header_is_found(name: str, now: str | None) -> None:
    answered = {} if now is None else {name: now}
    assert places(reply({}, headers={name: "recorded"}), reply({}, headers=answered)) == [name]


def test_a_header_too_many_is_found() -> None:
    assert places(reply({}, headers={}), reply({}, headers={"allow": "POST"})) == ["allow"]


@pytest.mark.parametrize("name", ["allow", "vary", "access-control-allow-headers", "access-control-allow-methods"])
def test_lists_in_headers_may_be_in_any_order_but_must_be_whole(name: str) -> None:
    recorded = reply({}, headers={name: "GET, HEAD"})
    assert places(recorded, reply({}, headers={name: "head,get"})) == []
    assert places(recorded, reply({}, headers={name: "GET"})) == [name]


def test_headers_that_no_client_reads_are_free() -> None:
    assert places(reply({}, headers={"date": "x"}), reply({}, headers={"x-request-id": "1", "content-length": "2"})) == []


def test_a_stream_that_is_not_sent_in_chunks_is_found() -> None:
    whole = reply([DONE], headers={"content-type": "application/x-ndjson", "content-length": "9"}, kind="frames")
    assert places(reply([DONE], headers=NDJSON, kind="frames"), whole) == ["framing"]


# ── bodies


def test_another_text_is_found() -> None:
    plain = {"content-type": "text/plain"}
    answered = reply("404 not found", headers=plain, kind="text")
    assert places(reply("404 page not found", headers=plain, kind="text"), answered) == ["body"]


def test_another_kind_of_body_is_found() -> None:
    assert places(reply({}), reply("", kind="text")) == ["body"]
    assert places(reply([DONE], kind="frames"), reply(DONE)) == ["body"]


def test_a_missing_key_is_found() -> None:
    assert of_values(DONE, without(DONE, "done_reason")) == ["done_reason"]
    assert of_values(DONE, changed(DONE, message={"content": ""})) == ["message.role"]


def test_a_key_too_many_is_found() -> None:
    assert of_values(DONE, {**DONE, "usage": {}}) == ["usage"]
    assert of_values({"models": [{"name": "a"}]}, {"models": [{"name": "a", "more": 1}]}) == ["models[].more"]


def test_keys_in_another_order_are_found() -> None:
    assert of_values({"a": 1, "b": 2}, {"b": 2, "a": 1}) == ["body"]
    assert of_values({"details": {"a": 1, "b": 2}}, {"details": {"b": 2, "a": 1}}) == ["details"]


@pytest.mark.parametrize(
    ("recorded", "answered"),
    [
        (1, 1.0),
        (1.5, 1),
        (1, "1"),
        ("", None),
        (None, ""),
        (True, 1),
        ([], None),
        ([], {}),
        ({}, []),
        (["a"], [1]),
        ([["a"]], [[{}]]),
    ],
)
def test_another_type_is_found(recorded: Any, answered: Any) -> None:
    place = "value" + "[]" * str(recorded).count("['a'") + "[]" * str(recorded).count("[[")
    assert of_values({"value": recorded}, {"value": answered}) == [place]


@pytest.mark.parametrize("key", ["model", "name", "role", "done_reason", "error", "object", "family", "finish_reason", "type"])
def test_another_value_of_a_key_that_is_not_free_is_found(key: str) -> None:
    assert of_values({key: "recorded"}, {key: "answered"}) == [key]
    assert of_values({key: "recorded"}, {key: "recorded"}) == []


def test_another_list_of_capabilities_is_found() -> None:
    recorded = {"capabilities": ["completion", "tools"]}
    assert of_values(recorded, {"capabilities": ["completion"]}) == ["capabilities"]
    assert of_values(recorded, {"capabilities": ["completion", "vision"]}) == ["capabilities[]"]


def test_one_place_is_named_once() -> None:
    assert of_values({"models": [{"name": "a"}, {"name": "b"}]}, {"models": [{"name": "x"}, {"name": "y"}]}) == [
        "models[].name"
    ]


# ── values that are free within limits


@pytest.mark.parametrize(
    ("key", "recorded", "right", "wrong"),
    [
        ("content", "m worldpv", "Hello", ""),
        ("content", "", "", "Hello"),
        ("response", "m", "Hello", ""),
        ("thinking", "m", "Hmm", ""),
        ("template", "{{ .Prompt }}", "x", ""),
        ("eval_duration", 133960, 1, 0),
        ("prompt_tokens", 30, 5, -1),
        ("cached_tokens", 0, 0, 1),
        ("size", 495998, 1, 0),
        ("size_vram", 0, 495998, -1),
        ("created", 1795231478, 1, 0),
        ("created_at", "2026-11-21T03:58:25.06Z", "2026-11-21T03:58:25Z", "2026-11-21 03:58:25Z"),
        ("created_at", "2026-11-21T03:58:25.06Z", "2026-11-21T03:58:25.123456789Z", "2026-11-21T03:58:25.120Z"),
        ("modified_at", "2026-11-21T03:58:25.06Z", "2026-11-21T03:58:25+01:00", "2026-11-21T03:58:25"),
        ("digest", DIGEST, "0" * 64, "0" * 63),
        ("digest", f"sha256:{DIGEST}", "sha256:" + "0" * 64, "0" * 71),
        ("digest", DIGEST, "0" * 64, "A" * 64),
        ("id", "chatcmpl-604", "chatcmpl-1", "cmpl-604"),
        ("id", "call_x3d4i9sv", "call_12345678", "call_"),
        ("id", "tiny:latest", "tiny:latest", "tiny"),
        ("version", "0.0.0", "0.24.0", "0.24"),
        ("status", f"using existing layer sha256:{DIGEST}", f"creating new layer sha256:{'0' * 64}", "using existing layer"),
        ("status", "pulling 8eeb52dfb3bb", "pulling 000000000000", "pulling manifest"),
        ("error", "open /models/manifests/r/x: no such file", "open /srv/o/manifests/r/x: no such file", "open /manifests/r/y"),
        ("parent_model", "/models/blobs/sha256-8e80", "", None),
        ("logprob", -1.5, -2, 0.5),
        ("embedding", [0.5, 1.5], [1, -1.5], [0.5]),
        ("embedding", [0.5, 1.5], [1, -1.5], [0.5, None]),
        ("embeddings", [[0.5], [1.5]], [[2], [0.25]], [[0.5]]),
        ("embeddings", [[0.5], [1.5]], [[2], [0.25]], [[0.5], [0.5, 1.5]]),
        ("embeddings", [], [], [[]]),
        ("bytes", [32, 119], [104], []),
    ],
)
def test_a_free_value_has_its_limits(key: str, recorded: Any, right: Any, wrong: Any) -> None:
    assert of_values({key: recorded}, {key: right}) == []
    assert of_values({key: recorded}, {key: wrong}) == [key]


def test_a_context_has_any_numbers_but_some() -> None:
    assert of_values({"context": [1, 2]}, {"context": [3, 4, 5]}) == []
    assert of_values({"context": [1, 2]}, {"context": []}) == ["context"]
    assert of_values({"context": [1, 2]}, {"context": [1, "2"]}) == ["context[]"]


def test_logprobs_are_compared_one_by_one() -> None:
    entry = {"token": "m", "logprob": -1.0, "bytes": [109], "top_logprobs": [{"token": "m", "logprob": -1.0, "bytes": [109]}]}
    assert of_values({"logprobs": [entry]}, {"logprobs": [entry, entry]}) == []
    assert of_values({"logprobs": [entry]}, {"logprobs": [entry, without(entry, "bytes")]}) == ["logprobs[].bytes"]
    assert of_values({"logprobs": [entry]}, {"logprobs": [changed(entry, top_logprobs=[])]}) == ["logprobs[].top_logprobs"]


def test_tensors_are_compared_by_their_keys() -> None:
    tensor = {"name": "token_embd.weight", "type": "F32", "shape": [64, 308]}
    assert of_values({"tensors": [tensor]}, {"tensors": [changed(tensor, name="x", type="Q4_0", shape=[1])]}) == []
    assert of_values({"tensors": [tensor]}, {"tensors": [without(tensor, "shape")]}) == ["tensors[].shape"]


def test_numbers_that_ollama_omits_when_they_are_zero_may_be_there() -> None:
    assert of_values(without(DONE, "eval_duration"), DONE) == []
    assert of_values(DONE, without(DONE, "eval_duration")) == ["eval_duration"]


def test_numbers_that_ollama_never_gives_there_are_found() -> None:
    loaded = {"model": "tiny", "done": True, "done_reason": "load"}
    assert of_values(loaded, {**loaded, "total_duration": 1}) == ["total_duration"]


def test_model_info_needs_only_what_clients_read() -> None:
    recorded = {"general.architecture": "llama", "general.parameter_count": 121664, "tokenizer.ggml.pre": "default"}
    answered = {
        "general.architecture": "qwen",
        "general.parameter_count": 1,
        "qwen.context_length": 2048,
        "qwen.embedding_length": 64,
    }
    assert of_values({"model_info": recorded}, {"model_info": answered}) == []
    lacking = {"model_info": without(answered, "qwen.context_length")}
    assert of_values({"model_info": recorded}, lacking) == ["model_info.qwen.context_length"]
    of_other_type = {"model_info": changed(answered, **{"general.parameter_count": "1"})}
    assert of_values({"model_info": recorded}, of_other_type) == ["model_info.general.parameter_count"]
    assert of_values({"model_info": recorded}, {"model_info": dict(reversed(answered.items()))}) == ["model_info"]


# ── streams


def test_the_number_of_text_frames_is_free() -> None:
    assert of_frames([TEXT, DONE], [TEXT, TEXT, TEXT, DONE]) == []


@pytest.mark.parametrize(
    "answered",
    [
        [DONE, TEXT],
        [TEXT],
        [DONE],
        [TEXT, DONE, DONE],
        [TEXT, {"error": "x"}],
        [TEXT, DONE, {"error": "x"}],
        [TEXT, {}, DONE],
        [],
    ],
)
def test_another_order_of_frames_is_found(answered: list[Any]) -> None:
    assert of_frames([TEXT, DONE], answered) == ["frames"]


def test_thinking_and_tool_calls_have_their_place() -> None:
    thinking = changed(TEXT, message={"role": "assistant", "content": "", "thinking": "Hm"})
    calls = changed(TEXT, message={"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]})
    assert of_frames([thinking, TEXT, calls, DONE], [thinking, thinking, TEXT, calls, DONE]) == []
    assert of_frames([thinking, TEXT, calls, DONE], [TEXT, thinking, calls, DONE]) == ["frames"]
    assert of_frames([thinking, TEXT, calls, DONE], [thinking, TEXT, DONE]) == ["frames"]


def test_every_frame_is_compared_with_the_recorded_one_of_its_kind() -> None:
    empty = changed(TEXT, message={"role": "assistant", "content": ""})
    assert of_frames([TEXT, DONE], [TEXT, empty, DONE]) == ["frames[text].message.content"]
    assert of_frames([TEXT, DONE], [TEXT, without(DONE, "eval_count")]) == ["frames[done].eval_count"]
    assert of_frames([TEXT, DONE], [TEXT, changed(DONE, done_reason="stop")]) == ["frames[done].done_reason"]


def test_layers_of_a_new_model_count_as_one() -> None:
    layers = [{"status": f"using existing layer sha256:{DIGEST}"}, {"status": f"creating new layer sha256:{DIGEST}"}]
    end = [{"status": "writing manifest"}, {"status": "success"}]
    assert of_frames([*layers, *layers, *end], [layers[0], *end]) == []
    assert of_frames([*layers, *end], end) == ["frames"]
    assert of_frames([*layers, *end], [*layers, end[1]]) == ["frames"]


def test_server_sent_events_are_compared_as_frames() -> None:
    def events(*data: str) -> Response:
        return reply("".join(f"data: {each}\n\n" for each in data), headers=SSE, kind="text")

    text = '{"choices":[{"delta":{"content":"m"},"finish_reason":null}]}'
    other = '{"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}'
    finish = '{"choices":[{"delta":{"content":""},"finish_reason":"length"}]}'
    usage = '{"choices":[],"usage":{"prompt_tokens":30}}'
    recorded = events(text, finish, usage, "[DONE]")
    assert places(recorded, events(other, other, finish, usage, "[DONE]")) == []
    assert places(recorded, events(text, finish, usage)) == ["frames"]
    assert places(recorded, events(text, usage, finish, "[DONE]")) == ["frames"]
    stopped = finish.replace("length", "stop")
    assert places(recorded, events(text, stopped, usage, "[DONE]")) == ["frames[finish].choices[].finish_reason"]
    assert places(recorded, reply('{"error":"x"}', headers=SSE, kind="text")) == ["body"]


@pytest.mark.skipif(not DIRECTORY.is_dir(), reason="the recordings of a real Ollama are not on this machine (GOLDEN_DIR)")
@pytest.mark.parametrize("version", ["0.24", "0.33"])
def test_a_recording_does_not_differ_from_itself(version: str) -> None:
    exchanges = load(DIRECTORY / f"ollama-{version}.json").exchanges
    assert {each.name: found for each in exchanges if (found := compare(each.response, each.response))} == {}
