"""A Response repeats its request, with a value for every field."""

from typing import Any

import pytest
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.translate.openai_responses.echoed_fields import begun_response
from openai.types.responses import Response


def begun(**fields: Any) -> dict[str, Any]:
    asked = ResponsesRequest.model_validate({"model": "alias:latest", "input": "hello", **fields})
    response = begun_response(asked, "resp_1", 1000)
    read = Response.model_validate(response)
    assert read.to_dict() == response
    assert not read.model_extra
    return response


def test_a_response_has_openais_defaults() -> None:
    assert begun() == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1000,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "alias:latest",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"instructions": "Rhyme.", "temperature": 0.0, "top_p": 0.5, "max_output_tokens": 9, "max_tool_calls": 2},
        {"metadata": {"a": "b"}, "parallel_tool_calls": False, "user": "u", "truncation": "auto", "top_logprobs": 2},
        {"reasoning": {"effort": "high", "summary": "auto"}, "prompt_cache_key": "k", "safety_identifier": "s"},
        {"text": {"format": {"type": "json_object"}, "verbosity": "low"}, "tool_choice": "none"},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "schema": {"type": "object", "default": None},
                    "strict": True,
                    "description": None,
                }
            }
        },
        {"tool_choice": {"type": "function", "name": "read"}},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "read"}]}},
        {
            "tools": [
                {"type": "function", "name": "a", "description": "d", "parameters": {"type": "object"}, "strict": True},
                {"type": "custom", "name": "b", "format": {"type": "text"}},
                {"type": "namespace", "name": "c", "description": "", "tools": [{"type": "custom", "name": "d"}]},
            ]
        },
    ],
)
def test_a_response_repeats_the_request(fields: dict[str, Any]) -> None:
    response = begun(**fields)
    assert {name: response[name] for name in fields} == fields


def test_a_response_has_the_tools_that_are_offered() -> None:
    tools = begun(tools=[{"type": "web_search"}, {"type": "function", "name": "a"}])["tools"]
    assert tools == [{"type": "function", "name": "a"}]


def test_a_tool_is_repeated_without_what_the_request_leaves_out_or_sets_to_null() -> None:
    inner = {"type": "function", "name": "b", "strict": None}
    tools = begun(
        tools=[
            {"type": "function", "name": "a", "parameters": {}, "description": None},
            {"type": "namespace", "name": "n", "tools": [inner]},
        ]
    )["tools"]
    assert tools == [
        {"type": "function", "name": "a", "parameters": {}},
        {"type": "namespace", "name": "n", "description": "", "tools": [{"type": "function", "name": "b"}]},
    ]
