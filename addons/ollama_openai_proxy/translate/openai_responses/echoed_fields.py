"""What a Response repeats of its request, with OpenAI's defaults for what the request leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...schemas.openai_responses import ResponsesRequest, TextFormat, Tool, ToolChoice

_OFFERED = frozenset({"function", "custom", "namespace", "tool_search"})


def begun_response(asked: ResponsesRequest, response_id: str, created_at: int) -> dict[str, Any]:
    """The Response before the answer: every field is there, so that strict clients can read it.

    Of the tools it has those that the model is offered. The model has the name that the client uses.
    """
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls,
        "previous_response_id": None,
        "prompt_cache_key": asked.prompt_cache_key,
        "reasoning": {"effort": asked.reasoning.effort, "summary": asked.reasoning.summary},
        "safety_identifier": asked.safety_identifier,
        "service_tier": "default",
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": {"format": _format(asked.text.format)} | ({"verbosity": asked.text.verbosity} if asked.text.verbosity else {}),
        "tool_choice": _choice(asked.tool_choice),
        "tools": [_tool(tool) for tool in asked.tools if tool.type in _OFFERED],
        "top_logprobs": asked.top_logprobs,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": asked.truncation,
        "usage": None,
        "user": asked.user,
        "metadata": asked.metadata,
    }


def _format(form: TextFormat) -> dict[str, Any]:
    if form.type != "json_schema":
        return {"type": form.type}
    described = {"description": form.description, "strict": form.strict}
    return {"type": form.type, "name": form.name, "schema": form.schema_} | described


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.type in ("auto", "none", "required"):
        return choice.type
    mode = {"mode": choice.mode} if choice.type == "allowed_tools" else {}
    return choice.model_dump(exclude_unset=True) | mode


def _tool(tool: Tool) -> dict[str, Any]:
    """The tool with what the client gave; a field that is not given is left out, as Ollama does it, and is no null."""
    given = tool.model_dump(exclude_unset=True) | {"type": tool.type}
    if tool.type != "namespace":
        return given
    # OpenAI's type of a namespace must have a description.
    return given | {"description": tool.description, "tools": [_tool(each) for each in tool.tools]}
