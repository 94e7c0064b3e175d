"""Chat completions of clients that are handed on as they came, and that a server refuses.

A call of OpenAI's API goes to a server as the client made it. Where the server refuses the call in a way that shows how else
to make it, the call is translated instead, since a real Ollama would have taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bounded_json import read_odd_json
from ..reader.server_errors import ModelNames, server_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...errors import BackendError
    from .learned import LearnedByModel

_UNTRANSLATED = ("audio", "functions", "modalities", "prediction", "web_search_options")
"""Parameters of which a translated answer would not have what the client expects."""


def knows_better(learned: LearnedByModel, chat: Mapping[str, Any]) -> bool:
    """Whether earlier refusals have taught to make a chat completion otherwise than with the parameters that came.

    Args:
        learned: what a server's refusals have taught.
        chat: the parameters.
    """
    if not (learned.enabled and _is_translatable(chat) and learned.of(str(chat.get("model")), "chat").changes):
        return False
    return learned.attempts(chat).call.parameters != chat


def teaching_refusal(learned: LearnedByModel, chat: Mapping[str, Any], status: int, body: bytes) -> BackendError | None:
    """Return the refusal of a chat completion if it shows how the call can be made otherwise, and None if it does not.

    Args:
        learned: what the server's refusals have taught.
        chat: the parameters that were sent.
        status: of the refusal.
        body: of the refusal.
    """
    if not _is_translatable(chat):
        return None
    error = server_error(_parsed(body), ModelNames(), status=status)
    return error if learned.attempts(chat).learn(status, error.message, error.param).again else None


def _is_translatable(chat: Mapping[str, Any]) -> bool:
    """Whether a translated answer has all that the client expects: one choice, of text and tool calls."""
    return chat.get("n") in (None, 1) and not any(chat.get(name) for name in _UNTRANSLATED)


def _parsed(body: bytes) -> Any:
    try:
        return read_odd_json(body)
    except ValueError:
        return body.decode("utf-8", "replace")
