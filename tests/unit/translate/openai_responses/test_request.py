"""A Responses request becomes the arguments of a chat completion."""

from dataclasses import replace
from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest, parse_responses_request
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.openai_responses.request import chat_parameters, tool_names
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName

from tests.standins._openai_params import complaint

MODEL = replace(read_model({"id": "alias"}, 0), target="m")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORM = {"type": "json_schema", "name": "answer", "schema": SCHEMA}
READ = {"type": "function", "name": "read", "parameters": SCHEMA}
HELLO = {"role": "user", "content": "hello"}


def sent(profile: ProfileName = "generic", model: Any = MODEL, **fields: Any) -> dict[str, Any]:
    asked = parse_responses_request(encode_json({"model": "alias", "input": "hello", **fields}))
    return chat_parameters(asked, model, PROFILES[profile])


def beside(profile: ProfileName = "generic", **fields: Any) -> dict[str, Any]:
    """What is sent beside the model, the message, and that it is streamed."""
    least = sent(profile)
    parameters = sent(profile, **fields)
    assert all(parameters[name] == value for name, value in least.items())
    return {name: value for name, value in parameters.items() if name not in least}


def refusal(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        sent(**fields)
    assert caught.value.status == 400
    return caught.value.message


def test_the_least_request_sends_the_models_own_name_and_is_streamed() -> None:
    assert sent() == {
        "model": "m",
        "messages": [HELLO],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("fields", "profile", "parameters"),
    [
        ({"temperature": 0, "top_p": 0.5}, "generic", {"temperature": 0, "top_p": 0.5}),
        ({"max_output_tokens": 5}, "generic", {"max_tokens": 5}),
        ({"max_output_tokens": 5}, "openai", {"max_completion_tokens": 5}),
        ({"include": ["message.output_text.logprobs"]}, "generic", {"logprobs": True}),
        ({"top_logprobs": 3}, "generic", {"logprobs": True, "top_logprobs": 3}),
        ({"reasoning": {"effort": "none"}}, "generic", {"reasoning_effort": "none"}),
        ({"reasoning": {"effort": "none"}}, "openai", {"reasoning_effort": "none"}),
        ({"reasoning": {"effort": "minimal"}}, "generic", {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": "medium", "summary": "auto"}}, "generic", {"reasoning_effort": "medium"}),
        ({"reasoning": {"effort": "xhigh"}}, "ollama", {"reasoning_effort": "max"}),
        ({"reasoning": {"effort": "secret"}}, "generic", {}),
        ({"reasoning": {"effort": "ultra"}}, "ollama", {"reasoning_effort": "max"}),
        ({"think": False, "reasoning": {"effort": "high"}}, "generic", {"reasoning_effort": "none"}),
        ({"think": "low"}, "generic", {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": "high"}}, "openrouter", {"reasoning": {"effort": "high"}}),
        ({"reasoning": {"summary": "auto"}}, "openai", {}),
        ({"text": {"format": {"type": "text"}}}, "generic", {}),
        ({"text": {"format": {"type": "json_object"}}}, "generic", {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": FORM}},
            "generic",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
        ),
        (
            {"text": {"format": FORM | {"strict": False, "description": "d"}}},
            "generic",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA, "strict": False, "description": "d"},
                }
            },
        ),
        ({"text": {"verbosity": "low"}}, "openai", {"verbosity": "low"}),
        ({"text": {"verbosity": "low"}}, "vllm", {}),
        (
            {"tools": [READ, {"type": "web_search"}], "tool_choice": "required"},
            "generic",
            {
                "tools": [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}],
                "tool_choice": "required",
            },
        ),
        (
            {
                "user": "u",
                "metadata": {"a": "b"},
                "store": True,
                "service_tier": "flex",
                "truncation": "auto",
                "prompt_cache_key": "k",
                "safety_identifier": "s",
                "max_tool_calls": 3,
                "background": False,
                "stream": True,
                "stream_options": {"include_obfuscation": False},
            },
            "openai",
            {},
        ),
    ],
)
def test_fields_become_parameters(fields: dict[str, Any], profile: ProfileName, parameters: dict[str, Any]) -> None:
    assert beside(profile, **fields) == parameters


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
    ],
)
def test_what_needs_a_memory_is_refused(fields: dict[str, Any], name: str) -> None:
    assert refusal(**fields).startswith(f'"{name}" cannot be used, as ')


def test_a_tool_that_cannot_be_run_cannot_be_chosen() -> None:
    assert "one of OpenAI's own tools" in refusal(tools=[{"type": "file_search"}], tool_choice={"type": "file_search"})


def test_there_must_be_something_to_answer() -> None:
    assert refusal(input=[]) == '"input" is missing.'
    assert refusal(input=None) == '"input" is missing.'


# ── messages


SYSTEM = replace(MODEL, system="Be brief.")


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ({"instructions": "Rhyme."}, ["Rhyme."]),
        ({}, ["Be brief."]),
        ({"instructions": ""}, ["Be brief."]),
        ({"input": [{"role": "developer", "content": "Rhyme."}, HELLO]}, ["Rhyme."]),
        ({"input": [HELLO, {"role": "system", "content": "Rhyme."}]}, ["Rhyme.", "hello"]),
        (
            {"instructions": "Rhyme.", "input": [{"role": "developer", "content": "In French."}, HELLO]},
            ["Rhyme.\n\nIn French."],
        ),
    ],
)
def test_the_models_system_prompt_is_for_requests_without_one(fields: dict[str, Any], head: list[str]) -> None:
    contents = [message["content"] for message in sent(model=SYSTEM, **fields)["messages"]]
    assert contents[: len(head)] == head
    assert contents.count("Be brief.") == head.count("Be brief.")


def test_the_models_options_are_for_what_the_request_leaves_out() -> None:
    model = replace(MODEL, options={"temperature": 0.5, "num_predict": 9, "top_k": 5})
    parameters = sent("vllm", model, temperature=0)
    assert (parameters["temperature"], parameters["max_tokens"], parameters["top_k"]) == (0, 9, 5)


def test_a_schema_that_the_server_does_not_take_is_told_the_model() -> None:
    parameters = sent("deepseek", instructions="Rhyme.", text={"format": FORM})
    assert parameters["response_format"] == {"type": "json_object"}
    head = parameters["messages"][0]["content"]
    assert head.startswith("Rhyme.\n\nAnswer with a JSON object that fits this JSON schema: {")


def test_a_server_that_insists_on_the_word_json_gets_it() -> None:
    assert "JSON" in sent("openai", text={"format": {"type": "json_object"}})["messages"][0]["content"]


HISTORY = [
    HELLO,
    {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "hm"},
    {"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "read", "arguments": '{"a":"b"}'},
    {"type": "custom_tool_call", "id": "ctc", "call_id": "call_2", "name": "patch", "input": "x"},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_image", "image_url": "data:x"}]},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
    {"type": "local_shell_call", "call_id": "call_3", "action": {"type": "exec", "command": ["ls"], "env": {}}},
    {"role": "developer", "content": "Go on."},
]


def test_ids_of_calls_are_shortened_where_they_must_be() -> None:
    ids = [message["tool_call_id"] for message in sent("mistral", input=HISTORY)["messages"] if message["role"] == "tool"]
    assert all(len(call_id) == 9 and call_id.isalnum() for call_id in ids)


def test_reasoning_goes_back_except_to_servers_that_refuse_it() -> None:
    for profile in ("deepseek", "vllm"):
        assert sent(profile, input=HISTORY)["messages"][2]["reasoning_content"] == "hm"
    assert "reasoning_content" not in sent("openai", input=HISTORY)["messages"][2]


def test_everything_at_once_is_a_valid_chat_completion() -> None:
    """As a coding agent sends it: with tools of all kinds and a history of their calls."""
    parameters = sent(
        "openai",
        input=HISTORY,
        instructions="You are an agent.",
        tools=[
            READ | {"strict": False, "description": "Reads."},
            {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "namespace", "name": "mcp__files__", "description": "d", "tools": [READ]},
            {"type": "web_search", "external_web_access": False},
            {"type": "local_shell"},
        ],
        tool_choice={"type": "custom", "name": "patch"},
        parallel_tool_calls=False,
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        top_logprobs=2,
        text={"format": FORM, "verbosity": "low"},
        max_output_tokens=100,
        temperature=0.5,
        top_p=1,
        store=False,
        stream=True,
        prompt_cache_key="k",
    )
    assert complaint("chat/completions", encode_json(parameters), stream=True) is None
    assert [message["role"] for message in parameters["messages"]] == [
        *("system", "user", "assistant", "tool", "tool", "user", "assistant", "tool")
    ]


def test_a_name_that_servers_refuse_is_mapped_in_tools_choice_and_history() -> None:
    fields: dict[str, Any] = {
        "input": [HELLO, {"type": "function_call", "call_id": "1", "name": "now", "namespace": "my clock", "arguments": "{}"}],
        "tools": [{"type": "namespace", "name": "my clock", "tools": [{"type": "function", "name": "now"}]}],
        "tool_choice": {"type": "function", "name": "now"},
    }
    parameters = sent("openai", **fields)
    assert parameters["tools"][0]["function"]["name"] == "my_clock__now"
    assert parameters["tool_choice"] == {"type": "function", "function": {"name": "my_clock__now"}}
    assert parameters["messages"][1]["tool_calls"][0]["function"]["name"] == "my_clock__now"
    asked = ResponsesRequest.model_validate({"model": "m", **fields})
    assert tool_names(asked).original("my_clock__now") == "my clock__now"
