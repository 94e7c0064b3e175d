"""The parameters of a chat completion, made of what the requests of all three client APIs have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..schemas.ollama.options import check_options
from .conversation_normalizer import chat_messages, continue_last_message, with_instruction
from .parameter_ranges import lowered_limit, within_ranges
from .server_profiles import sampling_parameters, supported_format, thinking_parameters
from .thinking_levels import level_for
from .token_estimate import prompt_tokens
from .tool_schemas import completed_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .conversation_normalizer import Turn
    from .ollama_descriptions import Model
    from .server_profiles import Profile
    from .thinking_levels import Level
    from .tool_names import ToolNames

type Parameters = dict[str, Any]


@dataclass(slots=True)
class ChatCall:
    """A chat completion in the terms of this proxy.

    Attributes:
        turns: the conversation.
        names: the names that the tools have for the server.
        options: Ollama's options, unchecked; those of the model count where one is missing.
        think: as the client says it, with any name of a level; None where the client does not say.
        response_format: OpenAI's; None is text.
        tools: functions with the clients' names and schemas, as `name`, `description`, `parameters` and further fields.
        further: parameters that need no translation.
        by_id_only: whether tool results name the ids of their calls.
    """

    turns: Sequence[Turn]
    names: ToolNames
    options: Mapping[str, Any] = field(default_factory=dict)
    think: Level | None = None
    response_format: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    further: Mapping[str, Any] = field(default_factory=dict)
    by_id_only: bool = False


def chat_completion(call: ChatCall, model: Model, profile: Profile) -> Parameters:
    """Make the arguments of `chat.completions.create`, always for a stream.

    Raises:
        InvalidRequest: an option is of a wrong type.
    """
    messages = chat_messages(call.turns, profile, call.names, model=model.target, by_id_only=call.by_id_only)
    form = supported_format(call.response_format, profile)
    if form and (instruction := json_instruction(call.response_format, form, messages, profile)):
        messages = with_instruction(messages, instruction)
    parameters: Parameters = {"model": model.target, "messages": messages}
    options = check_options({**model.options, **call.options})
    parameters |= within_ranges(sampling_parameters(options, profile), profile)
    parameters |= thinking_parameters(level_for(call.think, model), profile)
    if tools := function_tools(call.tools, call.names):
        parameters["tools"] = tools
    if form:
        parameters["response_format"] = form
    parameters |= {**continue_last_message(messages, profile), **call.further}
    if model.known_context_length:
        parameters |= lowered_limit(parameters, model.known_context_length, prompt_tokens(messages, tools))
    return parameters | streamed(profile)


def function_tools(functions: Iterable[Mapping[str, Any]], names: ToolNames) -> list[dict[str, Any]]:
    """The tools of a chat completion, with names and schemas that each server takes; of two with one name the first counts."""
    tools: dict[str, dict[str, Any]] = {}
    for function in functions:
        name = names.sent(function.get("name", ""))
        sent = {**function, "name": name, "parameters": completed_parameters(function.get("parameters"))}
        tools.setdefault(name, {"type": "function", "function": sent})
    return list(tools.values())


def streamed(profile: Profile) -> Parameters:
    """Every call is streamed, also where the client wants its answer whole: it can be cancelled, and it is one way to read."""
    return {"stream": True} | ({"stream_options": {"include_usage": True}} if profile.stream_options else {})


def json_instruction(
    wanted: Mapping[str, Any] | None, form: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], profile: Profile
) -> str:
    """What the messages must say besides: a schema that the server does not take, or the word JSON where it insists on it."""
    if form["type"] != "json_object":
        return ""
    if wanted and wanted["type"] == "json_schema":
        schema = json.dumps(wanted["json_schema"]["schema"], ensure_ascii=False)
        return f"Answer with a JSON object that fits this JSON schema: {schema}"
    if profile.json_word and not any("json" in str(message["content"]).lower() for message in messages):
        return "Answer with a JSON object."
    return ""
