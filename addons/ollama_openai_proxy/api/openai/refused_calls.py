"""Decides which refused calls of `/v1/messages` and `/v1/responses` are made again as chat completions.

Such calls go to a server that has them as the client made them, and servers are stricter there than the APIs' own servers: vLLM
refuses a `max_tokens` above the context, where Anthropic's API has room. A chat completion can be made otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ...net.off_loop import off_loop
from ...translate.adaptation.finding import STATUSES
from ...translate.adaptation.passed_chats import teaching_refusal
from ..path_table import MESSAGES, OPENAI_RESPONSES

if TYPE_CHECKING:
    from ...backend.client import Backend
    from ...net.http_messages import Reply
    from ...translate.ollama_descriptions import Model

_HELD_BY_SERVERS = ("previous_response_id", "conversation", "background", "prompt", "mcp_servers", "container")
"""Parameters that mean what only the server has."""
_PLAIN_TOOLS = (None, "function", "custom", "namespace")


def needs_this_api(data: dict[str, Any]) -> bool:
    """Return whether a call uses what a chat completion does not have: state that the server keeps, or tools that it runs."""
    tools = data.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return any(data.get(name) for name in _HELD_BY_SERVERS) or any(kind not in _PLAIN_TOOLS for kind in kinds)


async def has_better_chat(
    path: str, content: bytes, data: dict[str, Any], model: Model, backend: Backend, reply: Reply
) -> bool:
    """Return whether a refusal shows how the call can be made otherwise, as a chat completion.

    Args:
        path: that was called.
        content: the body of the request.
        data: the body as a JSON object.
        model: that is asked.
        backend: the model's server.
        reply: the server's, its body in one piece if the reply is a refusal.
    """
    if reply.status not in STATUSES or not isinstance(reply.body, bytes) or needs_this_api(data):
        return False
    try:
        parameters = await off_loop(len(content), _chat_parameters, path, content, model, backend)
    except ApiError:
        return False
    return parameters is not None and teaching_refusal(backend.learned, parameters, reply.status, reply.body) is not None


def _chat_parameters(path: str, content: bytes, model: Model, backend: Backend) -> dict[str, Any] | None:
    """Return the parameters of the chat completion for a call; None where there is none."""
    # Few installations need these, and they take a while to load.
    if path == MESSAGES:
        from ...schemas.anthropic import parse_messages_request
        from ...translate.anthropic import request as messages

        return messages.chat_parameters(parse_messages_request(content, counting=False), model, backend.profile)
    if path == OPENAI_RESPONSES:
        from ...schemas.openai_responses import parse_responses_request
        from ...translate.openai_responses import request as responses

        return responses.chat_parameters(parse_responses_request(content), model, backend.profile)
    return None
