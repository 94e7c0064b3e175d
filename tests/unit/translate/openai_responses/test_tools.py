"""Tools of every kind are offered as functions, or left out, and their names lead back to them."""

from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.translate.chat_completion import function_tools
from ollama_openai_proxy.translate.openai_responses.tools import chosen_tools, custom_input, function_name, offered_tools
from ollama_openai_proxy.translate.tool_names import ToolNames

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NO_PARAMETERS = {"type": "object", "properties": {}}
FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}
READ = {"type": "function", "name": "read"}
WRITE = {"type": "function", "name": "write"}


def asking(*tools: dict[str, Any], **fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", "tools": list(tools), **fields})


def chosen(*tools: dict[str, Any], **fields: Any) -> dict[str, Any]:
    asked = asking(*tools, **fields)
    offered = offered_tools(asked)
    tool_names = ToolNames(offered)
    chosen = chosen_tools(asked, offered, tool_names)
    offered_functions = function_tools(chosen.functions, tool_names)
    return chosen.parameters | ({"tools": offered_functions} if offered_functions else {})


def functions(*tools: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [tool["function"] for tool in chosen(*tools, **fields).get("tools", [])]


def names(*tools: dict[str, Any], **fields: Any) -> list[str]:
    return [function["name"] for function in functions(*tools, **fields)]


def refusal(*tools: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        chosen(*tools, **fields)
    return caught.value.message


# ── what is offered


SEARCH = {"type": "tool_search", "execution": "client"}


def test_a_search_for_tools_by_the_client_is_offered() -> None:
    (function,) = functions({**SEARCH, "description": "d", "parameters": SCHEMA})
    assert function == {"name": "tool_search", "description": "d", "parameters": SCHEMA}
    (function,) = functions(SEARCH)
    assert function["parameters"]["required"] == ["query"]


def test_a_search_that_a_server_would_do_is_not_offered() -> None:
    assert names({"type": "tool_search"}, READ) == ["read"]
    assert refusal({**SEARCH, "execution": "server"}) == (
        'tool_search execution "server" is not supported; use client execution'
    )


@pytest.mark.parametrize(
    ("tool", "function"),
    [
        (READ, {"name": "read", "parameters": NO_PARAMETERS}),
        ({**READ, "description": "d", "parameters": SCHEMA}, {"name": "read", "description": "d", "parameters": SCHEMA}),
        ({**READ, "strict": True, "parameters": SCHEMA}, {"name": "read", "parameters": SCHEMA, "strict": True}),
        ({**READ, "strict": False, "parameters": None}, {"name": "read", "parameters": NO_PARAMETERS}),
        ({"type": "custom", "name": "c"}, {"name": "c", "parameters": FREE_TEXT}),
        (
            {"type": "custom", "name": "c", "description": "d", "format": {"type": "text"}},
            {"name": "c", "description": "d", "parameters": FREE_TEXT},
        ),
        (
            {
                "type": "custom",
                "name": "c",
                "description": "d",
                "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
            },
            {"name": "c", "description": "d\n\nThe input must follow this lark grammar:\nx", "parameters": FREE_TEXT},
        ),
    ],
)
def test_a_tool_is_offered_as_a_function(tool: dict[str, Any], function: dict[str, Any]) -> None:
    assert chosen(tool) == {"tools": [{"type": "function", "function": function}]}


def test_openais_own_tools_are_left_out() -> None:
    own = [
        {"type": kind} for kind in ("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "local_shell")
    ]
    assert names(*own, READ) == ["read"]
    assert chosen(*own, parallel_tool_calls=False) == {}


def test_the_tools_of_a_namespace_are_offered_by_both_names() -> None:
    inner = [READ, {"type": "custom", "name": "patch"}, {"type": "web_search"}]
    assert names({"type": "namespace", "name": "files", "description": "", "tools": inner}) == ["files__read", "files__patch"]


def test_tools_that_come_with_the_conversation_are_offered_too() -> None:
    items = [
        {"type": kind, "tools": [{"type": "function", "name": kind}]} for kind in ("additional_tools", "tool_search_output")
    ]
    assert names(READ, input=[*items, {"type": "mcp_list_tools", "tools": [WRITE]}]) == [
        "read",
        "additional_tools",
        "tool_search_output",
    ]


def test_of_two_tools_with_one_name_the_first_counts() -> None:
    (function,) = functions({**READ, "description": "first"}, {"type": "custom", "name": "read"})
    assert function["description"] == "first"


def test_a_tool_must_have_a_name() -> None:
    assert refusal({"type": "function"}) == 'A tool in "tools" has no name.'


@pytest.mark.parametrize(
    ("name", "namespace", "joined"),
    [
        ("read", "", "read"),
        ("read", "files", "files__read"),
        ("read", "mcp__files__", "mcp__files__read"),
        ("_read", "files", "files_read"),
        ("read.now", "my files", "my files__read.now"),
        ("read.now", "", "read.now"),
    ],
)
def test_a_functions_name_has_both_names_in_it(name: str, namespace: str, joined: str) -> None:
    assert function_name(name, namespace) == joined


def test_long_names_are_cut_and_stay_different() -> None:
    inner = [{"type": "function", "name": "a" * 60 + end} for end in "xy"]
    first, second = names({"type": "namespace", "name": "files", "tools": inner})
    assert len(first) == len(second) == 64
    assert first != second


# ── which of them


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "write"}, {"type": "function", "function": {"name": "write"}}),
        ({"type": "custom", "name": "patch"}, {"type": "function", "function": {"name": "files__patch"}}),
        ({"type": "function", "name": "files__patch"}, {"type": "function", "function": {"name": "files__patch"}}),
    ],
)
def test_the_choice_is_sent(choice: Any, sent: Any) -> None:
    inner = {"type": "namespace", "name": "files", "tools": [{"type": "custom", "name": "patch"}]}
    assert chosen(READ, WRITE, inner, tool_choice=choice).get("tool_choice") == sent


@pytest.mark.parametrize(
    ("allowed", "mode", "left"), [("write", "auto", ["write"]), ("files", "required", ["files__patch"]), ("web", "auto", [])]
)
def test_tools_that_are_not_allowed_are_left_out(allowed: str, mode: str, left: list[str]) -> None:
    inner = {"type": "namespace", "name": "files", "tools": [{"type": "custom", "name": "patch"}]}
    choice = {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": allowed}]}
    parameters = chosen(READ, WRITE, inner, tool_choice=choice)
    assert [tool["function"]["name"] for tool in parameters.get("tools", [])] == left
    assert parameters.get("tool_choice") == ("required" if mode == "required" else None)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"type": "web_search_preview"}, '"tool_choice" asks for one of OpenAI\'s own tools, which cannot be run here.'),
        ({"type": "mcp", "server_label": "x"}, '"tool_choice" asks for one of OpenAI\'s own tools, which cannot be run here.'),
        ({"type": "function", "name": "secret"}, '"tool_choice" names a tool that is not among the tools.'),
        ({"type": "custom"}, '"tool_choice" names a tool that is not among the tools.'),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
            '"tool_choice" requires the call of a tool, but there is none that can be offered.',
        ),
    ],
)
def test_a_choice_that_cannot_be_had_is_refused(choice: Any, message: str) -> None:
    assert refusal(READ, {"type": "web_search"}, tool_choice=choice) == message


def test_calls_one_at_a_time_are_said_only_if_asked_for() -> None:
    assert chosen(READ, parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in chosen(READ, parallel_tool_calls=True)


# ── back


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input": "a\nb"}, "a\nb"),
        ({"input": "a", "why": "b"}, "a"),
        ({"patch": "a"}, "a"),
        ({"a": "ä", "b": 1}, '{"a":"ä","b":1}'),
        ({"input": 5}, '{"input":5}'),
        ({}, "{}"),
    ],
)
def test_free_text_is_found_in_the_arguments(arguments: dict[str, Any], text: str) -> None:
    assert custom_input(arguments) == text
