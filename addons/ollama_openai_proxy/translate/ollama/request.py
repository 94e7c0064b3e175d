"""Ollama's requests as the arguments of OpenAI's calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...schemas.go_json_syntax import quoted
from ...schemas.ollama.options import check_options
from ...schemas.ollama.requests import Message
from ..server_profiles import sampling_parameters, supported_format, thinking_parameters
from .chat_messages import openai_messages, shorten_call_ids
from .generate_context import read_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...schemas.ollama.requests import ChatRequest, GenerateRequest, Tool
    from ..model_descriptions import Model
    from ..server_profiles import Profile

type Parameters = dict[str, Any]

_TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


def chat_parameters(request: ChatRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `chat.completions.create` for a chat.

    Raises:
        InvalidRequest: an option or the format is of a wrong type.
    """
    messages = request.messages
    if model.system and not (messages and messages[0].role == "system"):
        messages = [Message(role="system", content=model.system), *messages]
    parameters = _conversation(request, messages, model, profile)
    if request.tools:
        parameters["tools"] = [_tool(tool) for tool in request.tools]
    return parameters


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
    response_format(request.format)
    options = check_options({**model.options, **request.options})
    parameters: Parameters = {"model": model.target, "prompt": request.prompt}
    parameters |= sampling_parameters(options, profile, chat=False) | streamed(profile)
    if request.suffix:
        parameters["suffix"] = request.suffix
    if request.logprobs:
        parameters["logprobs"] = request.top_logprobs or 1
    return parameters


def default_parameters(call: Mapping[str, Any], model: Model, profile: Profile) -> Parameters:
    """What the models file adds to a chat completion of a client: the options and the system prompt that it does not set.

    Raises:
        InvalidRequest: an option is of a wrong type.
    """
    defaults = sampling_parameters(check_options(dict(model.options)), profile) if model.options else {}
    set_by_call = set(call)
    if not set_by_call.isdisjoint(_TOKEN_LIMITS):
        set_by_call |= _TOKEN_LIMITS  # two names of one limit, of which a server takes one only
    added = {name: value for name, value in defaults.items() if name not in set_by_call}
    messages = call.get("messages")
    if model.system and isinstance(messages, list):
        roles = {message.get("role") for message in messages if isinstance(message, dict)}
        if roles.isdisjoint(("system", "developer")):
            added["messages"] = [{"role": "system", "content": model.system}, *messages]
    return added


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


def _conversation(
    request: ChatRequest | GenerateRequest, messages: Sequence[Message], model: Model, profile: Profile
) -> Parameters:
    options = check_options({**model.options, **request.options})
    wanted = response_format(request.format)
    form = supported_format(wanted, profile)
    sent = openai_messages(messages, reasoning_back=profile.reasoning_back)
    if profile.short_call_ids:
        shorten_call_ids(sent)
    if wanted and (instruction := json_instruction(wanted, form, sent, profile)):
        sent.insert(0, {"role": "system", "content": instruction})
    parameters: Parameters = {"model": model.target, "messages": sent}
    parameters |= sampling_parameters(options, profile) | thinking_parameters(request.think, profile)
    if form:
        parameters["response_format"] = form
    if request.logprobs:
        parameters["logprobs"] = True
        if request.top_logprobs:
            parameters["top_logprobs"] = request.top_logprobs
    return parameters | streamed(profile)


def streamed(profile: Profile) -> Parameters:
    """Every call is streamed, also where the client wants its answer whole: it can be cancelled, and it is one way to read."""
    return {"stream": True} | ({"stream_options": {"include_usage": True}} if profile.stream_options else {})


def json_instruction(
    wanted: Mapping[str, Any], form: Mapping[str, Any] | None, messages: Sequence[Mapping[str, Any]], profile: Profile
) -> str:
    """What the messages must say besides: a schema that the server does not take, or the word JSON where it insists on it."""
    if form and form["type"] != "json_object":
        return ""
    if wanted["type"] == "json_schema":
        schema = json.dumps(wanted["json_schema"]["schema"], ensure_ascii=False)
        return f"Answer with a JSON object that fits this JSON schema: {schema}"
    if (profile.json_word or form is None) and not any("json" in str(message["content"]).lower() for message in messages):
        return "Answer with a JSON object."
    return ""


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI wants it: of type function, with a schema for its parameters."""
    function = tool.function.model_dump(exclude_unset=True)
    function["parameters"] = tool.function.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
