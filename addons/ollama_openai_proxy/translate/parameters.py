"""Ollama's requests as the arguments of OpenAI's calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..wire.options import check_options
from ..wire.requests import Message
from ..wire.syntax import quoted
from .context import read_context
from .messages import openai_messages

if TYPE_CHECKING:
    from ..wire.requests import ChatRequest, EmbedRequest, GenerateRequest, Think, Tool

type Parameters = dict[str, Any]

_SAME_NAME = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "max": "high"}


def chat_parameters(request: ChatRequest, model: str) -> Parameters:
    """The arguments of `chat.completions.create` for a chat; `model` is the back end's id.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    parameters: Parameters = {"model": model, "messages": openai_messages(request.messages)}
    if request.tools:
        parameters["tools"] = [_tool(tool) for tool in request.tools]
    return parameters | _common(request)


def generate_parameters(request: GenerateRequest, model: str) -> Parameters:
    """The same for a generate call that is a conversation of one turn, or of more where it carries a `context`.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    return {"model": model, "messages": openai_messages(generate_messages(request))} | _common(request)


def generate_messages(request: GenerateRequest) -> list[Message]:
    """The conversation that a generate call stands for."""
    earlier = [Message(role=message["role"], content=message["content"]) for message in read_context(request.context)]
    if request.system:
        earlier = [Message(role="system", content=request.system)] + [m for m in earlier if m.role != "system"]
    return [*earlier, Message(role="user", content=request.prompt, images=request.images)]


def completion_parameters(request: GenerateRequest, model: str) -> Parameters:
    """The arguments of `completions.create`, for a prompt that is raw or to be filled in.

    Raises:
        InvalidRequest: an option is of a wrong type, or `raw` goes with what it excludes.
    """
    if request.raw and (request.template or request.system or request.context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    parameters: Parameters = {"model": model, "prompt": request.prompt} | _common(request)
    if request.suffix:
        parameters["suffix"] = request.suffix
    if parameters.pop("logprobs", False):
        parameters["logprobs"] = parameters.pop("top_logprobs", 1)
    for chat_only in ("response_format", "reasoning_effort"):
        parameters.pop(chat_only, None)
    return parameters


def embedding_parameters(model: str, inputs: list[str], request: EmbedRequest | None = None) -> Parameters:
    """The arguments of `embeddings.create`."""
    parameters: Parameters = {"model": model, "input": inputs}
    if request is not None and request.dimensions > 0:
        parameters["dimensions"] = request.dimensions
    return parameters


def response_format(value: Any) -> dict[str, Any] | None:
    """OpenAI's `response_format` for Ollama's `format`: "json", a schema, or nothing.

    Raises:
        InvalidRequest: with Ollama's text and, as there, status 500.
    """
    match value:
        case None | "":
            return None
        case "json":
            return {"type": "json_object"}
        case dict():
            return {"type": "json_schema", "json_schema": {"name": "schema", "schema": value}}
    raw = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    raise InvalidRequest(f'invalid format: {quoted(raw)}; expected "json" or a valid JSON Schema object', status=500)


def _common(request: ChatRequest | GenerateRequest) -> Parameters:
    parameters = _sampling(check_options(request.options))
    if form := response_format(request.format):
        parameters["response_format"] = form
    if effort := _effort(request.think):
        parameters["reasoning_effort"] = effort
    if request.logprobs:
        parameters["logprobs"] = True
        if request.top_logprobs:
            parameters["top_logprobs"] = request.top_logprobs
    return parameters | {"stream": True, "stream_options": {"include_usage": True}}


def _sampling(options: dict[str, Any]) -> Parameters:
    parameters: Parameters = {name: options[name] for name in _SAME_NAME if name in options}
    if options.get("num_predict", -1) > 0:
        parameters["max_tokens"] = options["num_predict"]
    if options.get("seed", -1) >= 0:
        parameters["seed"] = options["seed"]
    if stop := options.get("stop"):
        parameters["stop"] = stop
    return parameters


def _effort(think: Think | None) -> str | None:
    return _EFFORTS[think] if isinstance(think, str) else None


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI wants it: of type function, with a schema for its parameters."""
    function = tool.function.model_dump(exclude_unset=True)
    function["parameters"] = tool.function.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
