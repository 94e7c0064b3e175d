"""What the calls of all three client APIs have in common."""

from dataclasses import replace
from typing import Any

import pytest
from ollama_openai_proxy.translate.chat_completion import ChatCall, chat_completion, function_tools
from ollama_openai_proxy.translate.conversation_normalizer import Turn
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName
from ollama_openai_proxy.translate.tool_names import ToolNames

MODEL = replace(read_model({"id": "m"}, 0), options={"seed": 1})
HELLO = [Turn("user", "hello")]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def call(profile: ProfileName = "generic", *, known_context_length: int = 0, **fields: Any) -> dict[str, Any]:
    given = {"turns": HELLO, "names": ToolNames(), **fields}
    return chat_completion(ChatCall(**given), replace(MODEL, known_context_length=known_context_length), PROFILES[profile])


def test_the_least_call_is_a_stream_with_the_models_options() -> None:
    assert call() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_options_are_brought_into_range() -> None:
    parameters = call(options={"temperature": 9, "top_p": 0, "seed": 2})
    assert (parameters["temperature"], parameters["top_p"], parameters["seed"]) == (2.0, 0.01, 2)


@pytest.mark.parametrize(("known", "limit"), [(0, 32000), (100_000, 32000), (8192, 8185)])
def test_a_limit_above_the_context_is_lowered_where_the_context_is_known(known: int, limit: int) -> None:
    assert call(options={"num_predict": 32000}, known_context_length=known)["max_tokens"] == limit


@pytest.mark.parametrize(
    ("profile", "form", "system", "sent"),
    [
        ("deepseek", {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}, "", "fits this JSON schema: {"),
        ("openai", {"type": "json_object"}, "", "Answer with a JSON object."),
        ("openai", {"type": "json_object"}, "Say JSON.", "Say JSON."),
        ("generic", {"type": "json_object"}, "Be brief.", "Be brief."),
    ],
)
def test_an_instruction_is_part_of_the_one_system_message(profile: ProfileName, form: Any, system: str, sent: str) -> None:
    messages = call(profile, turns=[Turn("system", system), *HELLO], response_format=form)["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert sent in messages[0]["content"]


@pytest.mark.parametrize(
    ("profile", "parameters", "fields"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}, {}),
        ("mistral", {}, {"prefix": True}),
        ("generic", {}, {}),
    ],
)
def test_the_assistants_last_message_is_continued(profile: ProfileName, parameters: Any, fields: Any) -> None:
    sent = call(profile, turns=[*HELLO, Turn("assistant", "Hel")])
    assert sent["messages"][-1] == {"role": "assistant", "content": "Hel", **fields}
    assert {name: sent[name] for name in sent if name.endswith(("message", "prompt"))} == parameters


def test_tools_have_names_and_schemas_that_servers_take() -> None:
    functions: list[dict[str, Any]] = [
        {"name": "a.b", "description": "d"},
        {"name": "f", "parameters": SCHEMA, "strict": True},
        {"name": "f"},
    ]
    names = ToolNames(function["name"] for function in functions)
    assert function_tools(functions, names) == [
        {
            "type": "function",
            "function": {"name": "a_b", "description": "d", "parameters": {"type": "object", "properties": {}}},
        },
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
    ]


def test_a_tool_without_a_name_is_the_servers_to_refuse() -> None:
    (tool,) = function_tools([{}, {}], ToolNames(()))
    assert tool["function"]["name"]
