"""`/v1/chat/completions` by translation, where the server cannot take the call as it is."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from ...backend.client import CHAT
from ...errors import InvalidRequest
from ...translate.chat_completion import streamed
from ...translate.responses_backend.chat_items import restored_messages
from ...translate.token_estimate import prompt_tokens
from ...translate.writers.carried_state import id_of_call
from ...translate.writers.openai_chat import CompletionAnswerWriter, CompletionStreamWriter
from ..completion import Completion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...backend.client import Backend
    from ...errors import BackendError
    from ...net.http_messages import Reply
    from ...translate.ollama_descriptions import Model
    from ..completion import Answering


async def create_chat_completion(
    data: Mapping[str, Any],
    name: str,
    model: Model,
    backend: Backend,
    keep_alive: float,
    answering: Answering,
    refusal: BackendError | None = None,
) -> Reply:
    """Answer a call of `/v1/chat/completions`.

    Args:
        data: the body for the back end.
        name: the model's name, as the client wrote it.
        model: the model.
        backend: the model's server.
        keep_alive: seconds of silence after which the client gets a comment; 0 is never.
        answering: makes the answer.
        refusal: how the server refused the call as it came; the call is made in the way that the refusal asks for.

    Raises:
        ApiError: the request cannot be translated, or the back end refuses.
    """
    messages = _checked_messages(data)
    stream = data.get("stream") is True
    options = data.get("stream_options")
    completion_id = f"chatcmpl-{secrets.token_hex(12)}"
    writer: CompletionStreamWriter | CompletionAnswerWriter
    if stream:
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        writer = CompletionStreamWriter(name, completion_id=completion_id, include_usage=include_usage, call_id=id_of_call)
    else:
        writer = CompletionAnswerWriter(name, completion_id=completion_id, call_id=id_of_call)
    parameters = {**data, "model": model.target, "messages": restored_messages(messages)}
    parameters.pop("stream_options", None)
    return await answering.complete(
        Completion(
            backend=backend,
            path=CHAT,
            parameters=parameters | streamed(backend.profile),
            model=name,
            writer=writer,
            stream=stream,
            prompt_tokens=prompt_tokens(messages, data.get("tools") or ()),
            keep_alive=keep_alive,
            refusal=refusal,
        )
    )


def _checked_messages(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a request.

    Raises:
        InvalidRequest: a part of the request that is to be translated is of a wrong type.
    """
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list of one message or more")
    for number, message in enumerate(messages):
        if not (isinstance(message, dict) and isinstance(message.get("role"), str)):
            raise InvalidRequest(f"messages[{number}] must be an object with a role")
        if not isinstance(message.get("content"), str | list | None):
            raise InvalidRequest(f"messages[{number}].content must be a string or a list of parts")
        _check_objects(message.get("tool_calls"), f"messages[{number}].tool_calls")
    _check_objects(data.get("tools"), "tools")
    _check_objects(data.get("functions"), "functions")
    return messages


def _check_objects(value: object, place: str) -> None:
    if value is not None and not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        raise InvalidRequest(f"{place} must be a list of objects")
