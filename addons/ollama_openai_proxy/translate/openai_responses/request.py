"""A Responses request as the arguments of a chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...schemas.ollama.options import check_options
from ..ollama.chat_messages import shorten_call_ids
from ..ollama.request import json_instruction, streamed
from ..server_profiles import sampling_parameters, supported_format, thinking_parameters
from .input_items import chat_messages, leading_system_joined
from .tools import chosen_tools, offered_tools

if TYPE_CHECKING:
    from ...schemas.ollama.requests import Think
    from ...schemas.openai_responses import Effort, ResponsesRequest, TextFormat
    from ..model_descriptions import Model
    from ..ollama.chat_messages import OpenAIMessage
    from ..ollama.request import Parameters
    from ..server_profiles import Profile

_THINK: dict[Effort, Think] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_KNOW_VERBOSITY = frozenset({"openai", "azure", "openrouter"})


def chat_parameters(asked: ResponsesRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `chat.completions.create` for a Responses request.

    Raises:
        InvalidRequest: it needs what only a server with a memory or with tools of its own has, or an option of the models
            file is of a wrong type.
    """
    _refuse_memory(asked)
    form = _response_format(asked.text.format)
    taken = supported_format(form, profile)
    messages = _messages(asked, model, profile)
    if form and (instruction := json_instruction(form, taken, messages, profile)):
        messages.insert(0, {"role": "system", "content": instruction})
    parameters: Parameters = {"model": model.target, "messages": leading_system_joined(messages)}
    given = {"num_predict": asked.max_output_tokens, "temperature": asked.temperature, "top_p": asked.top_p}
    options = {**model.options, **{name: value for name, value in given.items() if value is not None}}
    parameters |= sampling_parameters(check_options(options), profile)
    if asked.reasoning.effort:
        parameters |= thinking_parameters(_THINK[asked.reasoning.effort], profile)
    parameters |= chosen_tools(asked, offered_tools(asked))
    if taken:
        parameters["response_format"] = taken
    if asked.wants_logprobs:
        parameters["logprobs"] = True
        if asked.top_logprobs:
            parameters["top_logprobs"] = asked.top_logprobs
    if asked.text.verbosity and profile.name in _KNOW_VERBOSITY:
        parameters["verbosity"] = asked.text.verbosity
    return parameters | streamed(profile)


def _refuse_memory(asked: ResponsesRequest) -> None:
    without = 'as this server keeps nothing between requests; send the whole conversation as "input" instead.'
    if asked.previous_response_id:
        raise InvalidRequest(f'"previous_response_id" cannot be used, {without}')
    if asked.conversation:
        raise InvalidRequest(f'"conversation" cannot be used, {without}')
    if asked.prompt:
        raise InvalidRequest('"prompt" cannot be used, as no prompt templates are stored here; send "input" instead.')
    if asked.background:
        raise InvalidRequest('"background" cannot be used, as this server keeps no answer for later.')


def _messages(asked: ResponsesRequest, model: Model, profile: Profile) -> list[OpenAIMessage]:
    messages = chat_messages(asked.input, reasoning_back=profile.reasoning_back)
    if not (messages or asked.instructions):
        raise InvalidRequest('"input" is missing.')
    own_system = any(message["role"] == "system" for message in messages)
    if system := asked.instructions or ("" if own_system else model.system):
        messages.insert(0, {"role": "system", "content": system})
    if profile.short_call_ids:
        shorten_call_ids(messages)
    return messages


def _response_format(form: TextFormat) -> dict[str, Any] | None:
    match form.type:
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
    described = {"description": form.description, "strict": form.strict}
    schema: dict[str, Any] = {"name": form.name, "schema": form.schema_}
    return {
        "type": "json_schema",
        "json_schema": schema | {name: value for name, value in described.items() if value is not None},
    }
