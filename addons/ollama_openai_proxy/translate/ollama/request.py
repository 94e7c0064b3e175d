"""Ollama's requests as the arguments of OpenAI's calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...schemas.go_json_syntax import quoted
from ...schemas.ollama.options import check_options
from ...schemas.ollama.requests import ChatRequest, Message
from ..adaptation.format_changes import schema_of
from ..chat_completion import ChatCall, chat_completion, streamed
from ..parameter_ranges import completion_limit, lowered_limit, within_ranges
from ..server_profiles import sampling_parameters, thinking_parameters
from ..thinking_levels import level_for, nearest_level
from ..token_estimate import text_tokens
from ..tool_names import ToolNames
from .chat_messages import turns
from .generate_context import read_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...schemas.ollama.requests import GenerateRequest
    from ..chat_completion import Parameters
    from ..ollama_descriptions import Model
    from ..server_profiles import Profile

_MAY_KNOW_EVERY_EFFORT = frozenset({"generic", "openai", "azure", "openrouter", "litellm", "github"})
_TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_THINKING = frozenset({"reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "think"})
"""Parameters of a chat completion that say how a model is to think."""


def chat_parameters(request: ChatRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `chat.completions.create` for a chat.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    messages = request.messages
    if model.system and not (messages and messages[0].role == "system"):
        messages = [Message(role="system", content=model.system), *messages]
    return _conversation(request, messages, model, profile)


def generate_parameters(request: GenerateRequest, model: Model, profile: Profile) -> Parameters:
    """The same for a generate call that is a conversation of one turn, or of more where it carries a `context`.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    return _conversation(request, generate_messages(request, model.system), model, profile)


def generate_messages(request: GenerateRequest, default_system: str = "") -> list[Message]:
    """The conversation that a generate call stands for; `default_system` is for one that brings no system prompt."""
    earlier = [Message(role=message["role"], content=message["content"]) for message in read_context(request.context)]
    if system := request.system or ("" if earlier else default_system):
        earlier = [Message(role="system", content=system)] + [m for m in earlier if m.role != "system"]
    return [*earlier, Message(role="user", content=request.prompt, images=request.images)]


def check_raw(request: GenerateRequest) -> None:
    """Refuse what a raw prompt excludes.

    Raises:
        InvalidRequest: with Ollama's text.
    """
    if request.raw and (request.template or request.system or request.context):
        raise InvalidRequest("raw mode does not support template, system, or context")


def completion_parameters(request: GenerateRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `completions.create`, for a prompt that is raw or to be filled in.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    form = response_format(request.format)
    options = check_options({**model.options, **request.options})
    parameters: Parameters = {"model": model.target, "prompt": request.prompt}
    if form and profile.raw_schema:
        parameters[profile.raw_schema] = schema_of(form) or {"type": "object"}
    parameters |= within_ranges(sampling_parameters(options, profile, chat=False), profile) | streamed(profile)
    tokens, context_length = text_tokens(request.prompt), model.known_context_length
    parameters |= completion_limit(parameters, profile, context_length, tokens)
    parameters |= lowered_limit(parameters, context_length, tokens)
    if request.suffix:
        parameters["suffix"] = request.suffix
    if request.logprobs:
        parameters["logprobs"] = request.top_logprobs or 1
    return parameters


def infill_parameters(request: GenerateRequest, model: Model, profile: Profile) -> Parameters:
    """The body of llama.cpp's `/infill`, for a prompt with a suffix; the names are those of its own `/completion`.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    parameters = completion_parameters(request, model, profile)
    for name in ("stream_options", "logprobs"):
        parameters.pop(name, None)
    renamed = {"prompt": "input_prefix", "suffix": "input_suffix", profile.token_limit: "n_predict"}
    return {renamed.get(name, name): value for name, value in parameters.items()}


def default_parameters(call: Mapping[str, Any], model: Model, profile: Profile) -> Parameters:
    """What changes in a chat completion of a client that is handed on.

    The models file adds options, thinking and the system prompt that the call does not set. A name of a high effort that the
    kind of server is known not to have becomes the nearest one that the server has.

    Raises:
        InvalidRequest: an option is of a wrong type.
    """
    options = check_options(dict(model.options))
    defaults = within_ranges(sampling_parameters(options, profile), profile)
    set_by_call = set(call)
    if not set_by_call.isdisjoint(_TOKEN_LIMITS):
        set_by_call |= _TOKEN_LIMITS  # two names of one limit, of which a server takes one only
    added = {name: value for name, value in defaults.items() if name not in set_by_call}
    if set_by_call.isdisjoint(_THINKING):
        added |= thinking_parameters(level_for(None, model), profile)
    if (effort := known_effort(call.get("reasoning_effort"), profile)) is not None:
        added["reasoning_effort"] = effort
    messages = call.get("messages")
    if model.system and isinstance(messages, list):
        roles = {message.get("role") for message in messages if isinstance(message, dict)}
        if roles.isdisjoint(("system", "developer")):
            added["messages"] = [{"role": "system", "content": model.system}, *messages]
    return added


def known_effort(effort: Any, profile: Profile) -> str | None:
    """The effort in the place of one above "high"; None where the given one is to stay.

    It stays at servers of which nothing is known, and at those where some models have these levels.
    """
    if profile.name in _MAY_KNOW_EVERY_EFFORT or not isinstance(effort, str) or nearest_level(effort) != "max":
        return None
    known = profile.thinking.get("max", {}).get("reasoning_effort", "high")
    return known if isinstance(known, str) and known != effort else None


def completion_defaults(call: Mapping[str, Any], model: Model, profile: Profile) -> Parameters:
    """What is added to a text completion of a client that sets no limit of tokens."""
    prompt = call.get("prompt")
    tokens = text_tokens(prompt) if isinstance(prompt, str) else 0
    given = [name for name, value in call.items() if value is not None]
    return completion_limit(given, profile, model.known_context_length, tokens)


def embedding_parameters(model: Model, inputs: list[str], profile: Profile, dimensions: int = 0) -> Parameters:
    """The arguments of `embeddings.create`; `dimensions` 0 are as many as the model gives."""
    parameters: Parameters = {"model": model.target, "input": inputs}
    return parameters | ({profile.dimensions: dimensions} if dimensions > 0 else {})


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


def tool_names(request: ChatRequest) -> ToolNames:
    """The names that a request's tools have for the server."""
    return ToolNames(tool.function.name for tool in request.tools)


def _conversation(
    request: ChatRequest | GenerateRequest, messages: Sequence[Message], model: Model, profile: Profile
) -> Parameters:
    tools = request.tools if isinstance(request, ChatRequest) else []
    further: Parameters = {}
    if request.logprobs:
        further["logprobs"] = True
        if request.top_logprobs:
            further["top_logprobs"] = request.top_logprobs
    call = ChatCall(
        turns(messages),
        ToolNames(tool.function.name for tool in tools),
        options=request.options,
        think=request.think,
        response_format=response_format(request.format),
        tools=[tool.function.model_dump(exclude_unset=True) for tool in tools],
        further=further,
    )
    return chat_completion(call, model, profile)
