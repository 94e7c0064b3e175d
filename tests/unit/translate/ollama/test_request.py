"""Ollama's requests become the arguments of OpenAI's calls."""

import json
from dataclasses import replace
from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.requests import ChatRequest, GenerateRequest
from ollama_openai_proxy.translate.ollama.generate_context import write_context
from ollama_openai_proxy.translate.ollama.request import (
    chat_parameters,
    check_raw,
    completion_defaults,
    completion_parameters,
    default_parameters,
    embedding_parameters,
    generate_messages,
    generate_parameters,
    infill_parameters,
    response_format,
    tool_names,
)
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
GENERIC = PROFILES["generic"]
MODEL = replace(read_model({"id": "alias"}, 0), target="m")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def chat(**fields: Any) -> dict[str, Any]:
    """What a chat sends beside its model, its messages, and that it is streamed."""
    parameters = chat_parameters(ChatRequest.model_validate(fields), MODEL, GENERIC)
    assert parameters.pop("model") == "m"
    assert parameters.pop("messages") == []
    assert {name: parameters.pop(name) for name in STREAMED} == STREAMED
    return parameters


def generate(**fields: Any) -> GenerateRequest:
    return GenerateRequest.model_validate(fields)


def completion(**fields: Any) -> dict[str, Any]:
    """What a completion sends beside its model, and that it is streamed."""
    parameters = completion_parameters(generate(**fields), MODEL, GENERIC)
    assert parameters.pop("model") == "m"
    assert {name: parameters.pop(name) for name in STREAMED} == STREAMED
    return parameters


# ── options


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"presence_penalty": 1, "frequency_penalty": 0}, {"presence_penalty": 1, "frequency_penalty": 0}),
        ({"num_predict": 5}, {"max_tokens": 5}),
        ({"num_predict": 5.9}, {"max_tokens": 5}),
        *(({"num_predict": -1}, {}), ({"num_predict": -2}, {}), ({"num_predict": 0}, {})),
        *(({"seed": 0}, {"seed": 0}), ({"seed": 7}, {"seed": 7}), ({"seed": -1}, {})),
        *(({"stop": ["a", "b"]}, {"stop": ["a", "b"]}), ({"stop": []}, {})),
        ({"temperature": None, "top_p": None, "num_predict": None, "seed": None, "stop": None}, {}),
        ({"top_k": -1, "min_p": 0.1, "repeat_penalty": 1.1, "num_ctx": 4096, "low_vram": True, "mirostat": 0}, {}),
    ],
)
def test_only_options_that_were_given_and_that_openai_has_are_sent(options: dict[str, Any], sent: dict[str, Any]) -> None:
    assert chat(options=options) == sent


def test_an_option_of_a_wrong_type_is_refused_even_where_it_is_not_sent() -> None:
    with pytest.raises(InvalidRequest, match="top_k"):
        chat(options={"top_k": "x"})


# ── format


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        ("", None),
        ("json", {"type": "json_object"}),
        (SCHEMA, {"type": "json_schema", "json_schema": {"name": "schema", "schema": SCHEMA}}),
        ({}, {"type": "json_schema", "json_schema": {"name": "schema", "schema": {}}}),
    ],
)
def test_a_format_is_sent_as_openai_has_it(value: Any, sent: Any) -> None:
    assert response_format(value) == sent
    assert chat(format=value).get("response_format") == sent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *(("xml", r'"\"xml\""'), (5, '"5"'), ([{"json": 1}, 2], r'"[{\"json\":1},2]"'), (True, '"true"')),
        *(('a"é', r'"\"a\\\"é\""'), ("a\nb", r'"\"a\\nb\""'), (False, '"false"')),
    ],
)
def test_another_format_is_refused_with_status_500(value: object, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(format=value)
    assert caught.value.status == 500
    assert caught.value.message == f'invalid format: {shown}; expected "json" or a valid JSON Schema object'


# ── thinking, logprobs, tools


@pytest.mark.parametrize(
    ("think", "sent"),
    [
        *(("low", {"reasoning_effort": "low"}), ("medium", {"reasoning_effort": "medium"})),
        *(("high", {"reasoning_effort": "high"}), ("max", {"reasoning_effort": "high"})),
        *((True, {}), (False, {"reasoning_effort": "none"}), (None, {})),
    ],
)
def test_a_level_of_thinking_is_an_effort(think: Any, sent: dict[str, Any]) -> None:
    assert chat(think=think) == sent


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"top_logprobs": 3}, {}),
    ],
)
def test_logprobs_are_asked_for_only_where_the_client_does(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    assert chat(**asked) == sent


EMPTY_SCHEMA = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("function", "sent"),
    [
        (
            {"name": "f", "description": "d", "parameters": SCHEMA | {"additionalProperties": False}, "strict": True},
            {"name": "f", "description": "d", "parameters": SCHEMA | {"additionalProperties": False}, "strict": True},
        ),
        ({"name": "f"}, {"name": "f", "parameters": EMPTY_SCHEMA}),
        ({"name": "f", "parameters": None, "description": None}, {"name": "f", "parameters": EMPTY_SCHEMA}),
        ({"name": "f", "parameters": {}}, {"name": "f", "parameters": EMPTY_SCHEMA}),
    ],
)
@pytest.mark.parametrize("kind", [{"type": "function"}, {"type": "other"}, {}])
def test_a_tool_is_a_function_with_a_schema(function: dict[str, Any], sent: dict[str, Any], kind: dict[str, Any]) -> None:
    assert chat(tools=[{**kind, "function": function}]) == {"tools": [{"type": "function", "function": sent}]}


def test_no_tools_are_not_sent() -> None:
    assert chat(tools=[]) == {}


def test_the_messages_are_translated() -> None:
    request = ChatRequest.model_validate({"messages": [{"role": "alien", "content": "x"}]})
    assert chat_parameters(request, MODEL, GENERIC)["messages"] == [{"role": "user", "content": "x"}]


# ── generate


def test_a_prompt_is_a_conversation_of_one_turn() -> None:
    sent = generate_parameters(generate(prompt="Hi", system="s", images=["Qk0="], options={"seed": 1}), MODEL, GENERIC)
    image = {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}}
    assert sent == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, image]},
        ],
        "seed": 1,
        **STREAMED,
    }


@pytest.mark.parametrize(
    ("system", "sent"),
    [("", ["system:old", "user:a", "assistant:b", "user:c"]), ("new", ["system:new", "user:a", "assistant:b", "user:c"])],
)
def test_a_context_is_continued_and_a_new_system_prompt_replaces_the_old(system: str, sent: list[str]) -> None:
    earlier = [("system", "old"), ("user", "a"), ("assistant", "b")]
    context = write_context([{"role": role, "content": content} for role, content in earlier])
    messages = generate_messages(generate(prompt="c", system=system, context=context))
    assert [f"{message.role}:{message.content}" for message in messages] == sent


def test_a_context_of_another_server_is_ignored() -> None:
    assert [message.content for message in generate_messages(generate(prompt="c", context=[60, 124, 115]))] == ["c"]


# ── completions


def test_a_raw_prompt_and_a_suffix_are_completed() -> None:
    assert completion(prompt="a", raw=True) == {"prompt": "a", "max_tokens": 2048}
    assert completion(prompt="a", suffix="c") == {"prompt": "a", "suffix": "c", "max_tokens": 2048}


def test_llama_cpp_fills_in_with_names_of_its_own() -> None:
    asked = generate(prompt="a", suffix="c", logprobs=True, format="json", options={"num_predict": 5, "top_k": 3})
    assert infill_parameters(asked, MODEL, PROFILES["llamacpp"]) == {
        "model": "m",
        "input_prefix": "a",
        "input_suffix": "c",
        "stream": True,
        "n_predict": 5,
        "top_k": 3,
        "json_schema": {"type": "object"},
    }


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"logprobs": True}, {"logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": 3}),
        ({"top_logprobs": 3}, {}),
        ({"options": {"num_predict": 5, "temperature": 0.5}}, {"max_tokens": 5, "temperature": 0.5}),
        ({"format": "json", "think": "high"}, {}),
    ],
)
def test_a_completion_has_arguments_of_its_own(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    assert completion(prompt="a", raw=True, **asked) == {"prompt": "a", "max_tokens": 2048, **sent}


@pytest.mark.parametrize("other", [{"system": "s"}, {"template": "t"}, {"context": [1]}])
def test_a_raw_prompt_excludes_what_would_surround_it(other: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_raw(generate(prompt="a", raw=True, **other))
    assert (caught.value.status, caught.value.message) == (400, "raw mode does not support template, system, or context")
    check_raw(generate(prompt="a", suffix="b", **other))


def test_a_completion_is_refused_for_a_wrong_format_although_it_sends_none() -> None:
    with pytest.raises(InvalidRequest, match="invalid format"):
        completion(prompt="a", raw=True, format="xml")


# ── models and back ends with wishes of their own


def test_what_the_models_file_says_counts_where_the_request_says_nothing() -> None:
    model = replace(MODEL, system="be brief", options={"temperature": 0.1, "num_predict": 9})
    hello = [{"role": "user", "content": "hi"}]
    sent = chat_parameters(ChatRequest.model_validate({"messages": hello, "options": {"temperature": 1}}), model, GENERIC)
    assert (sent["temperature"], sent["max_tokens"]) == (1, 9)
    assert sent["messages"] == [{"role": "system", "content": "be brief"}, *hello]
    own = [{"role": "system", "content": "sing"}, *hello]
    assert chat_parameters(ChatRequest.model_validate({"messages": own}), model, GENERIC)["messages"] == own
    assert generate_parameters(generate(prompt="a"), model, GENERIC)["messages"][0]["content"] == "be brief"
    assert generate_parameters(generate(prompt="a", system="sing"), model, GENERIC)["messages"][0]["content"] == "sing"


def asked_of(profile: ProfileName, **fields: Any) -> dict[str, Any]:
    return chat_parameters(ChatRequest.model_validate(fields), MODEL, PROFILES[profile])


def test_the_word_json_is_said_to_a_server_that_insists_on_it() -> None:
    hello, json_too = [{"role": "user", "content": "hi"}], [{"role": "user", "content": "as Json please"}]
    sent = asked_of("openai", messages=hello, format="json")["messages"]
    assert (sent[0]["role"], sent[1:]) == ("system", hello)
    assert "JSON" in sent[0]["content"]
    assert asked_of("openai", messages=json_too, format="json")["messages"] == json_too
    assert asked_of("generic", messages=hello, format="json")["messages"] == hello
    assert asked_of("openai", messages=hello, format=SCHEMA)["messages"] == hello


def test_a_schema_that_a_server_does_not_take_is_said_in_words() -> None:
    sent = asked_of("deepseek", messages=[{"role": "user", "content": "hi"}], format=SCHEMA)
    assert sent["response_format"] == {"type": "json_object"}
    assert json.dumps(SCHEMA) in sent["messages"][0]["content"]


def test_the_ids_of_tool_calls_are_shortened_alike_on_both_sides() -> None:
    calls = [{"id": "a long id", "function": {"name": "f", "arguments": {}}}]
    history = [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "r", "tool_call_id": "a long id"}]
    asking, answer = asked_of("mistral", messages=history)["messages"]
    assert asking["tool_calls"][0]["id"] == answer["tool_call_id"]
    assert len(answer["tool_call_id"]) == 9
    assert answer["tool_call_id"].isalnum()


@pytest.mark.parametrize(("profile", "back"), [("deepseek", "hm"), ("generic", "hm"), ("openai", None), ("groq", None)])
def test_reasoning_goes_back_with_tool_calls_except_to_servers_that_refuse_it(profile: ProfileName, back: str | None) -> None:
    asking = {"role": "assistant", "thinking": "hm", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    assert asked_of(profile, messages=[asking])["messages"][0].get("reasoning_content") == back


def test_a_server_without_stream_options_is_not_asked_for_counts() -> None:
    silent = replace(GENERIC, stream_options=False)
    assert "stream_options" not in chat_parameters(ChatRequest(), MODEL, silent)


# ── embeddings


@pytest.mark.parametrize(("dimensions", "sent"), [(0, {}), (-1, {}), (3, {"dimensions": 3})])
def test_embeddings_are_asked_for_with_the_dimensions_that_the_client_wants(dimensions: int, sent: dict[str, Any]) -> None:
    assert embedding_parameters(MODEL, ["a"], GENERIC, dimensions) == {"model": "m", "input": ["a"], **sent}


def test_the_length_of_vectors_has_the_name_that_the_server_knows() -> None:
    assert embedding_parameters(MODEL, ["a"], PROFILES["mistral"], 3)["output_dimension"] == 3


# ── what the models file adds to a call that is forwarded


HELLO = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("call", "options", "added"),
    [
        ({}, {}, {}),
        ({}, {"temperature": 0.1, "num_predict": 9, "stop": ["a"]}, {"temperature": 0.1, "max_tokens": 9, "stop": ["a"]}),
        ({"temperature": 1, "max_tokens": 3}, {"temperature": 0.1, "num_predict": 9, "seed": 7}, {"seed": 7}),
        ({"temperature": None}, {"temperature": 0.1}, {}),
        ({"messages": HELLO}, {"num_ctx": 4096, "low_vram": True}, {}),
    ],
)
def test_a_forwarded_call_gets_the_models_options_that_it_does_not_set(
    call: dict[str, Any], options: dict[str, Any], added: dict[str, Any]
) -> None:
    assert default_parameters(call, replace(MODEL, options=options), GENERIC) == added


def test_a_forwarded_call_gets_options_under_the_names_of_its_server() -> None:
    model = replace(MODEL, options={"num_predict": 9})
    assert default_parameters({"messages": []}, model, PROFILES["openai"]) == {"max_completion_tokens": 9}


@pytest.mark.parametrize(
    ("messages", "prompted"),
    [
        (HELLO, True),
        ([], True),
        ([{"role": "assistant", "content": "x"}, "no message", {}], True),
        ([{"role": "system", "content": "sing"}, *HELLO], False),
        ([*HELLO, {"role": "developer", "content": "sing"}], False),
        ("no list", False),
        (None, False),
    ],
)
def test_a_forwarded_conversation_without_a_system_prompt_gets_the_models(messages: Any, prompted: bool) -> None:
    added = default_parameters({"messages": messages}, replace(MODEL, system="be brief"), GENERIC)
    assert added == ({"messages": [{"role": "system", "content": "be brief"}, *messages]} if prompted else {})
    assert default_parameters({"messages": messages}, MODEL, GENERIC) == {}


def test_an_option_of_a_wrong_type_in_the_models_file_is_told() -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        default_parameters({}, replace(MODEL, options={"temperature": "hot"}), GENERIC)


@pytest.mark.parametrize(
    ("call", "profile"),
    [
        ({"max_tokens": 3}, "generic"),
        ({"max_completion_tokens": 3}, "openai"),
        ({"max_tokens": 3}, "openai"),
        ({"max_completion_tokens": 3}, "generic"),
    ],
)
def test_a_limit_is_the_clients_whichever_of_its_names_is_used(call: dict[str, Any], profile: ProfileName) -> None:
    assert default_parameters(call, replace(MODEL, options={"num_predict": 9}), PROFILES[profile]) == {}


@pytest.mark.parametrize(
    ("call", "profile", "known", "added"),
    [
        ({"prompt": "a"}, "generic", 0, {"max_tokens": 2048}),
        ({"prompt": "a", "max_tokens": None}, "generic", 0, {"max_tokens": 2048}),
        ({"prompt": "a" * 400}, "vllm", 4096, {"max_tokens": 3985}),
        ({"prompt": ["a", "b"]}, "vllm", 4096, {"max_tokens": 4095}),
        ({"prompt": "a", "max_tokens": 5}, "generic", 0, {}),
        ({"prompt": "a"}, "llamacpp", 4096, {}),
    ],
)
def test_a_forwarded_completion_gets_a_limit_where_the_client_sets_none(
    call: dict[str, Any], profile: ProfileName, known: int, added: dict[str, Any]
) -> None:
    assert completion_defaults(call, replace(MODEL, known_context_length=known), PROFILES[profile]) == added


def test_a_completions_limit_is_lowered_to_what_the_context_leaves() -> None:
    model = replace(MODEL, known_context_length=100)
    request = GenerateRequest(prompt="a" * 40, raw=True, options={"num_predict": 500})
    assert completion_parameters(request, model, GENERIC)["max_tokens"] == 88


def test_the_tools_of_a_request_have_names_for_the_server() -> None:
    request = ChatRequest.model_validate({"tools": [{"function": {"name": "a.b"}}]})
    assert tool_names(request).sent("a.b") == "a_b"
    (tool,) = chat_parameters(request, MODEL, GENERIC)["tools"]
    assert tool["function"]["name"] == "a_b"


@pytest.mark.parametrize(
    ("form", "schema"), [("json", {"type": "object"}), ({"type": "array"}, {"type": "array"}), ("", None), (None, None)]
)
def test_a_format_of_a_raw_prompt_is_a_schema_where_the_server_takes_one(form: Any, schema: dict[str, Any] | None) -> None:
    request = generate(prompt="a", raw=True, format=form)
    assert completion_parameters(request, MODEL, PROFILES["llamacpp"]).get("json_schema") == schema
    assert "json_schema" not in completion_parameters(request, MODEL, GENERIC)


# ── efforts of calls that are handed on


@pytest.mark.parametrize(
    ("profile", "effort", "changed"),
    [
        ("vllm", "xhigh", "high"),
        ("vllm", "max", "high"),
        ("llamacpp", "ultra", "high"),
        ("ollama", "xhigh", "max"),
        # What stays: known names, unknown ones, and what the server may know.
        ("ollama", "max", None),
        ("vllm", "high", None),
        ("vllm", "none", None),
        ("vllm", "no-such-level", None),
        ("vllm", 5, None),
        ("vllm", None, None),
        ("generic", "xhigh", None),
        ("openai", "xhigh", None),
    ],
)
def test_an_effort_that_a_server_lacks_becomes_the_nearest(profile: ProfileName, effort: Any, changed: str | None) -> None:
    added = default_parameters({"messages": [], "reasoning_effort": effort}, MODEL, PROFILES[profile])
    assert added == ({} if changed is None else {"reasoning_effort": changed})
