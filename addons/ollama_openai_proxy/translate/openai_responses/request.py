"""A Responses request as the arguments of a chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...schemas.openai_responses import Text, ToolChoice
from ..chat_completion import ChatCall, chat_completion
from ..conversation_normalizer import Turn
from ..tool_names import ToolNames
from .compaction import compaction_turn
from .input_items import turns
from .tools import chosen_tools, offered_tools

if TYPE_CHECKING:
    from ...schemas.openai_responses import ResponsesRequest, TextFormat
    from ..chat_completion import Parameters
    from ..ollama_descriptions import Model
    from ..server_profiles import Profile

_KNOW_VERBOSITY = frozenset({"openai", "azure", "openrouter"})


def chat_parameters(asked: ResponsesRequest, model: Model, profile: Profile, last: Turn | None = None) -> Parameters:
    """The arguments of `chat.completions.create` for a Responses request.

    Args:
        asked: the request.
        model: the model.
        profile: of the model's server.
        last: a turn behind the conversation of the request.

    Raises:
        InvalidRequest: it needs what only a server with a memory or with tools of its own has, or an option of the models
            file is of a wrong type.
    """
    _refuse_memory(asked)
    offered = offered_tools(asked)
    names = ToolNames(offered)
    given = {"num_predict": asked.max_output_tokens, "temperature": asked.temperature, "top_p": asked.top_p}
    chosen = chosen_tools(asked, offered, names)
    further = dict(chosen.parameters)
    if asked.wants_logprobs:
        further["logprobs"] = True
        if asked.top_logprobs:
            further["top_logprobs"] = asked.top_logprobs
    if asked.text.verbosity and profile.name in _KNOW_VERBOSITY:
        further["verbosity"] = asked.text.verbosity
    conversation = [*_turns(asked, model), *([last] if last else [])]
    call = ChatCall(
        conversation,
        names,
        options={name: value for name, value in given.items() if value is not None},
        think=asked.thinking,
        response_format=_response_format(asked.text.format),
        tools=chosen.functions,
        further=further,
        # An output may name its tool instead of the call's id.
        by_id_only=all(turn.call_id for turn in conversation if turn.role == "tool"),
    )
    return chat_completion(call, model, profile)


def compaction_parameters(asked: ResponsesRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `chat.completions.create` for the summary of a request's conversation.

    The tools stay offered, since some servers refuse a history of calls without them, but none may be called.

    Raises:
        InvalidRequest: see `chat_parameters`.
    """
    plain: dict[str, Any] = {
        "text": Text(),
        "tool_choice": ToolChoice(type="none"),
        "max_output_tokens": None,
        "top_logprobs": 0,
        "include": [],
    }
    return chat_parameters(asked.model_copy(update=plain), model, profile, compaction_turn())


def tool_names(asked: ResponsesRequest) -> ToolNames:
    """The names that a request's tools have for the server; the others are those of `offered_tools`."""
    return ToolNames(offered_tools(asked))


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


def _turns(asked: ResponsesRequest, model: Model) -> list[Turn]:
    conversation = turns(asked.input)
    if not (conversation or asked.instructions):
        raise InvalidRequest('"input" is missing.')
    own_system = any(turn.role == "system" for turn in conversation)
    system = asked.instructions or ("" if own_system else model.system)
    return [Turn("system", system), *conversation]


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
