"""The parameters of a chat completion become those of Responses."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.responses_backend.request import SUMMARY, responses_parameters
from ollama_openai_proxy.translate.responses_backend.when_needed import reasons_beside_tools
from openai.types.responses import ResponseCreateParams
from pydantic import TypeAdapter

USER = {"role": "user", "content": "hi"}
INPUT = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
FLAT = {"type": "function", "strict": False, **FUNCTION}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
GRAMMAR = {"syntax": "lark", "definition": "start: /a/"}
SDK_PARAMETERS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)


def made(**chat: Any) -> dict[str, Any]:
    body = responses_parameters({"model": "m", "messages": [USER], "stream": True, **chat})
    SDK_PARAMETERS.validate_python(body)
    assert (body.pop("model"), body.pop("input"), body.pop("stream")) == ("m", INPUT, True)
    return body


@pytest.mark.parametrize(
    ("chat", "body"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}}, None),
        ({"store": False, "include": ["reasoning.encrypted_content"], "parallel_tool_calls": False}, None),
        ({"temperature": None, "seed": 7, "n": 1, "stop": ["x"], "presence_penalty": 1, "logit_bias": {}}, {}),
        ({"max_tokens": 50}, {"max_output_tokens": 50}),
        ({"max_completion_tokens": 5, "max_tokens": 99}, {"max_output_tokens": 16}),
        ({"max_tokens": None}, {}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"reasoning_effort": "low", SUMMARY: "auto"}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"reasoning_effort": "none", SUMMARY: "auto"}, {"reasoning": {"effort": "none"}}),
        ({SUMMARY: "auto"}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA, "name": "n"}}, "verbosity": "low"},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"}},
        ),
        ({"logprobs": True}, {"include": ["message.output_text.logprobs"], "top_logprobs": 0}),
        (
            {"logprobs": True, "top_logprobs": 3, "include": ["reasoning.encrypted_content"]},
            {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 3},
        ),
        (TOOLS, {"tools": [FLAT]}),
        (
            {"functions": [FUNCTION], "function_call": {"name": "f"}},
            {"tools": [FLAT], "tool_choice": {"type": "function", "name": "f"}},
        ),
        ({"tool_choice": "auto"}, {}),
        (TOOLS | {"tool_choice": "required"}, {"tools": [FLAT], "tool_choice": "required"}),
        (
            TOOLS | {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [FLAT], "tool_choice": {"type": "function", "name": "f"}},
        ),
        (
            TOOLS
            | {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                }
            },
            {
                "tools": [FLAT],
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            },
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "g", "strict": True, "description": None}}]},
            {"tools": [{"type": "function", "name": "g", "strict": True, "parameters": {"type": "object", "properties": {}}}]},
        ),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}}}]},
            {"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", **GRAMMAR}}]},
        ),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c"}}, {"type": "odd"}]},
            {"tools": [{"type": "custom", "name": "c"}]},
        ),
    ],
)
def test_each_parameter(chat: dict[str, Any], body: dict[str, Any] | None) -> None:
    assert made(**chat) == (chat if body is None else body)


def test_the_instructions_are_the_first_system_messages() -> None:
    messages = [{"role": "system", "content": "be kind"}, {"role": "developer", "content": "be brief"}, USER]
    body = responses_parameters({"model": "m", "messages": messages})
    assert (body["instructions"], body["input"]) == ("be kind\n\nbe brief", INPUT)


@pytest.mark.parametrize(
    ("model", "more", "needed"),
    [
        ("gpt-5.6", {}, True),
        ("gpt-5.6-terra", {"reasoning_effort": "none"}, False),
        ("openai/gpt-5.4-mini", {"reasoning_effort": "low"}, True),
        ("gpt-5.4", {}, False),
        ("gpt-5", {"reasoning_effort": "low"}, False),
        ("gpt-6", {}, True),
        ("gpt-5.10", {}, True),
        ("gpt-4o", {"reasoning_effort": "low"}, False),
        ("o3", {"reasoning_effort": "low"}, False),
    ],
)
def test_which_models_reason_beside_tools_in_responses_alone(model: str, more: dict[str, Any], needed: bool) -> None:
    assert reasons_beside_tools({"model": model, **TOOLS, **more}) == needed
    assert reasons_beside_tools({"model": model, "functions": [FUNCTION], **more}) == needed
    assert not reasons_beside_tools({"model": model, **more})
