"""`/v1/messages` and its count of tokens, from chat completions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ...backend.client import CHAT
from ...backend.prompt_counts import count_prompt
from ...net.http_messages import Reply
from ...net.off_loop import off_loop
from ...schemas.anthropic import parse_messages_request
from ...schemas.ollama.json_encoding import encode_json
from ...translate.anthropic.request import chat_parameters, count_tokens, tool_names, wanted_thinking
from ...translate.writers.anthropic_messages import MessageAnswerWriter, MessageStreamWriter
from ...translate.writers.carried_state import id_of_call, seal_reasoning
from ..completion import Completion, require_named

if TYPE_CHECKING:
    from ...backend.client import Backend
    from ...translate.ollama_descriptions import Model
    from ..completion import Answering

JSON_TYPE = "application/json"


async def create_message(
    content: bytes, model: Model | None, backend: Backend, keep_alive: float, answering: Answering
) -> Reply:
    """Answer a call of `/v1/messages`.

    Args:
        content: the body of the request.
        model: the model; None where the request names none.
        backend: the model's server.
        keep_alive: seconds of silence after which the client gets a ping; 0 is never.
        answering: makes the answer.

    Raises:
        ApiError: the request cannot be translated, or the back end refuses.
    """
    size = len(content)
    params = await off_loop(size, parse_messages_request, content, counting=False)
    model = require_named(model)
    estimate = await off_loop(size, count_tokens, params)
    drop_thinking = wanted_thinking(params) is False
    make_writer = MessageStreamWriter if params.stream else MessageAnswerWriter
    writer = make_writer(
        params.model,
        message_id=f"msg_{secrets.token_hex(12)}",
        input_tokens=estimate,
        call_id=id_of_call,
        # A client that gets no thinking gives no signature back.
        signature=None if drop_thinking else seal_reasoning,
    )
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
            drop_thinking=drop_thinking,
            keep_alive=keep_alive,
        )
    )


async def count_message_tokens(content: bytes, model: Model | None, backend: Backend) -> Reply:
    """Answer a call of `/v1/messages/count_tokens`: with the server's count where it has a tokenizer, else with an estimate.

    Raises:
        ApiError: the request cannot be understood, or names no model.
    """
    params = await off_loop(len(content), parse_messages_request, content, counting=True)
    model = require_named(model)
    counted = await count_prompt(backend, await off_loop(len(content), chat_parameters, params, model, backend.profile))
    tokens = counted or await off_loop(len(content), count_tokens, params)
    return Reply(200, {"Content-Type": JSON_TYPE}, encode_json({"input_tokens": tokens}))
