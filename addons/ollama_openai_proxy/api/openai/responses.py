"""`/v1/responses`, from chat completions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ...backend.client import CHAT
from ...net.off_loop import off_loop
from ...schemas.go_json_decoding import first_value
from ...schemas.openai_responses import parse_responses_request
from ...translate.openai_responses.compaction import asks_for_compaction, check_compact, check_trigger, no_summary
from ...translate.openai_responses.request import chat_parameters, compaction_parameters, tool_names
from ...translate.thinking_levels import nearest_level
from ...translate.writers.carried_state import id_of_call, seal_reasoning
from ...translate.writers.compaction_answers import CompactionAnswerWriter, CompactionStreamWriter
from ...translate.writers.openai_responses import ResponseAnswerWriter, ResponseStreamWriter
from ..completion import Completion, require_named

if TYPE_CHECKING:
    from ...backend.client import Backend
    from ...net.http_messages import Reply
    from ...schemas.openai_responses import ResponsesRequest
    from ...translate.ollama_descriptions import Model
    from ..completion import Answering, ApiWriter

CHARACTERS_PER_TOKEN = 4


async def create_compaction(content: bytes, model: Model | None, backend: Backend, answering: Answering) -> Reply:
    """Answer a call of `/v1/responses/compact`.

    Args:
        content: the body of the request.
        model: the model; None where the request names none.
        backend: the model's server.
        answering: makes the answer.

    Raises:
        ApiError: the request cannot be translated, the back end refuses, or the model wrote no summary.
    """
    value = first_value(content) if content.strip() else None
    check_compact(value if isinstance(value, dict) else None)
    params = parse_responses_request(content)
    writer = CompactionAnswerWriter(params, response_id=_new_id())
    reply = await answering.complete(_compaction(params, require_named(model), backend, writer, content, stream=False))
    if not reply.body:
        raise no_summary()
    return reply


async def create_response(
    content: bytes, model: Model | None, backend: Backend, keep_alive: float, answering: Answering
) -> Reply:
    """Answer a call of `/v1/responses`.

    Args:
        content: the body of the request.
        model: the model; None where the request names none.
        backend: the model's server.
        keep_alive: seconds of silence after which the client gets an event; 0 is never.
        answering: makes the answer.

    Raises:
        ApiError: the request cannot be translated, or the back end refuses.
    """
    size = len(content)
    params = await off_loop(size, parse_responses_request, content)
    check_trigger(params)
    model = require_named(model)
    if asks_for_compaction(params.input):
        summary = CompactionStreamWriter(params, response_id=_new_id())
        return await answering.complete(
            _compaction(params, model, backend, summary, content, stream=True, keep_alive=keep_alive)
        )
    estimate = max(size // CHARACTERS_PER_TOKEN, 1)

    make_writer = ResponseStreamWriter if params.stream else ResponseAnswerWriter
    writer = make_writer(params, response_id=_new_id(), call_id=id_of_call, seal=seal_reasoning)
    return await answering.complete(
        Completion(
            backend=backend,
            path=CHAT,
            parameters=await off_loop(size, chat_parameters, params, model, backend.profile),
            model=params.model,
            writer=writer,
            stream=params.stream,
            prompt_tokens=estimate,
            original_tool_name=tool_names(params).original,
            drop_thinking=nearest_level(params.thinking) is False,
            keep_alive=keep_alive,
        )
    )


def _compaction(
    params: ResponsesRequest,
    model: Model,
    backend: Backend,
    writer: ApiWriter,
    content: bytes,
    *,
    stream: bool,
    keep_alive: float = 0,
) -> Completion:
    return Completion(
        backend=backend,
        path=CHAT,
        parameters=compaction_parameters(params, model, backend.profile),
        model=params.model,
        writer=writer,
        stream=stream,
        prompt_tokens=max(len(content) // CHARACTERS_PER_TOKEN, 1),
        keep_alive=keep_alive,
    )


def _new_id() -> str:
    return f"resp_{secrets.token_hex(24)}"
