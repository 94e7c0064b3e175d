"""Makes the body of a call of `/v1/responses` of the parameters of a chat completion.

Source: https://platform.openai.com/docs/guides/migrate-to-responses and the API reference of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chat_items import input_items, instructions

if TYPE_CHECKING:
    from collections.abc import Mapping

type Parameters = dict[str, Any]

LOWEST_LIMIT = 16
"""The smallest `max_output_tokens` that OpenAI takes."""
SUMMARY = "reasoning_summary"
"""Stands among the parameters of a chat completion for Responses' `reasoning.summary`, so that it can be left out."""

_SAME = (
    *("model", "stream", "temperature", "top_p", "parallel_tool_calls", "metadata", "store", "user", "service_tier"),
    *("safety_identifier", "prompt_cache_key", "prompt_cache_retention", "include", "truncation"),
)
_LOGPROBS = "message.output_text.logprobs"


def responses_parameters(chat: Mapping[str, Any]) -> Parameters:
    """The body of the call.

    What Responses does not have is left out: `seed`, penalties, `n`, `logit_bias`, and `stop`, which the reader of the answer
    heeds instead.

    Args:
        chat: the parameters of a chat completion.
    """
    body: Parameters = {name: chat[name] for name in _SAME if chat.get(name) is not None}
    messages = chat.get("messages") or []
    if text := instructions(messages):
        body["instructions"] = text
    body["input"] = input_items(messages)
    if tools := [tool for each in _tools(chat) if (tool := _flat_tool(each))]:
        body["tools"] = tools
        if (choice := _tool_choice(chat.get("tool_choice", chat.get("function_call")))) is not None:
            body["tool_choice"] = choice
    limit = chat.get("max_completion_tokens", chat.get("max_tokens"))
    if isinstance(limit, int):
        body["max_output_tokens"] = max(limit, LOWEST_LIMIT)
    if text_options := _text_options(chat):
        body["text"] = text_options
    if reasoning := _reasoning(chat):
        body["reasoning"] = reasoning
    if chat.get("logprobs"):
        body["include"] = [*body.get("include", ()), _LOGPROBS]
        body["top_logprobs"] = chat.get("top_logprobs") or 0
    return body


def _tools(chat: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tools, also those of the older parameter `functions`."""
    older = [{"type": "function", "function": function} for function in chat.get("functions") or ()]
    return [*(chat.get("tools") or ()), *older]


def _flat_tool(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    """A tool as Responses has it: what chat completions put below `function` stands beside `type`."""
    match tool:
        case {"type": "function", "function": dict(function)}:
            # Without it, Responses takes a schema for strict, and refuses most.
            return {"type": "function", "parameters": {"type": "object", "properties": {}}, "strict": False} | {
                name: value for name, value in function.items() if value is not None
            }
        case {"type": "custom", "custom": dict(told)}:
            custom = dict(told)
            form = custom.get("format")
            if isinstance(form, dict) and isinstance(grammar := form.get("grammar"), dict):
                custom["format"] = {"type": "grammar", **grammar}
            return {"type": "custom", **custom}
    return None


def _tool_choice(choice: Any) -> Any:
    match choice:
        case {"type": "function", "function": {"name": name}} | {"type": "custom", "custom": {"name": name}}:
            return {"type": choice["type"], "name": name}
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}:
            return {"type": "allowed_tools", "mode": mode, "tools": [_tool_choice(tool) for tool in tools]}
        case {"name": str(name)}:
            return {"type": "function", "name": name}
    return choice


def _text_options(chat: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    match chat.get("response_format"):
        case {"type": "json_schema", "json_schema": dict(schema)}:
            options["format"] = {"type": "json_schema", "name": "schema", **schema}
        case {"type": "json_object"}:
            options["format"] = {"type": "json_object"}
    if verbosity := chat.get("verbosity"):
        options["verbosity"] = verbosity
    return options


def _reasoning(chat: Mapping[str, Any]) -> dict[str, Any]:
    effort = chat.get("reasoning_effort")
    reasoning = {"effort": effort} if effort is not None else {}
    if effort not in (None, "none") and (summary := chat.get(SUMMARY)):
        reasoning["summary"] = summary
    return reasoning
