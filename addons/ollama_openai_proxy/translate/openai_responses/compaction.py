"""Compaction of a conversation for Codex: the model's summary takes the place of the conversation.

The client asks by `POST /v1/responses/compact`, or by an item `compaction_trigger` at the end of a streamed request. The reply
has an item `compaction`, whose `encrypted_content` carries the summary, and the client sends that item back with later
requests. So nothing is stored here, and any replica of the proxy can read the item. To the model the summary is a message of
the user.

Source: https://platform.openai.com/docs/guides/conversation-state (compaction), and docs/openai.md.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ..conversation_normalizer import Turn
from ..packed_data import pack, unpack
from ..token_estimate import text_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...schemas.openai_responses import Item, ResponsesRequest

TRIGGER = "compaction_trigger"
COMPACTIONS = frozenset({"compaction", "compaction_summary", "context_compaction"})
"""The types of items that carry a summary; releases of Codex name them differently."""
MOST_KEPT_TOKENS = 20_000
"""Tokens of the user's messages that stay word for word beside the summary, the newest first."""

_MARK = "summary1_"
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_MOST_TIMES = 6
"""How many times its packed size a summary may have; prose has three times."""

INSTRUCTION = (
    "The conversation has become too long and is about to be replaced by your summary of it. Write the summary for the model "
    "that goes on with the work and sees nothing else: what the user wants, with every constraint and preference; what has "
    "been done and found out; the files, commands, names and values that matter, exactly as they are written; decisions and "
    "their reasons; and what remains to be done, with the next step. Answer with the summary alone, and call no tools."
)
_INTRODUCTION = "The conversation before this message was replaced by a summary of it:\n\n"


def seal_summary(summary: str) -> str:
    """The text for `encrypted_content`; it is packed, not secret."""
    data = pack(summary.encode("utf-8", "surrogatepass"), _MOST_TIMES)
    return _MARK + base64.urlsafe_b64encode(data).decode().rstrip("=")


def open_summary(text: str) -> str | None:
    """Decode the summary that this proxy put into an `encrypted_content`; None if this proxy did not make the text."""
    if not text.startswith(_MARK) or not _ALPHABET.fullmatch(text):
        return None
    try:
        summary = unpack(base64.urlsafe_b64decode(text[len(_MARK) :] + "=="), _MOST_TIMES)
        return None if summary is None else summary.decode("utf-8", "surrogatepass")
    except ValueError:
        return None


def summary_message(summary: str) -> str:
    """The message of the user that stands for a conversation."""
    return _INTRODUCTION + summary


def compaction_turn() -> Turn:
    """The turn that asks the model for the summary."""
    return Turn("user", INSTRUCTION)


def asks_for_compaction(items: Sequence[Item]) -> bool:
    """Whether the last item of a request asks for a compaction instead of an answer."""
    return bool(items) and items[-1].type == TRIGGER


def kept_messages(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The user's messages of a conversation that stay word for word, as items, in their order.

    The newest are kept, up to `MOST_KEPT_TOKENS`; only their text is.
    """
    kept: list[dict[str, Any]] = []
    left = MOST_KEPT_TOKENS
    for item in reversed(items):
        if item.type != "message" or item.role != "user":
            continue
        texts = [part.text for part in item.content if part.text]
        left -= sum(map(text_tokens, texts))
        if left < 0:
            break
        if texts:
            content = [{"type": "input_text", "text": text} for text in texts]
            kept.append({"type": "message", "role": "user", "content": content})
    return kept[::-1]


def check_compact(body: Mapping[str, Any] | None) -> None:
    """Refuse what is missing in a request to compact, in Ollama's words.

    Raises:
        ApiError: with status 400.
    """
    if not body:
        raise _refusal("missing request body")
    for name in ("model", "input"):
        if not body.get(name):
            raise _refusal(f"{name} is required")


def check_trigger(params: ResponsesRequest) -> None:
    """Refuse a trigger in a request whose answer is no stream, in Ollama's words.

    Raises:
        ApiError: with status 400.
    """
    if asks_for_compaction(params.input) and not params.stream:
        raise _refusal("compaction_trigger requires stream=true")


def with_summaries(items: object) -> list[Any] | None:
    """The input of a request with a message in the place of each summary that was made here; None if there is none.

    Args:
        items: the field `input`, as the client sent it.
    """
    if not isinstance(items, list):
        return None
    changed = [_opened(item) for item in items]
    return changed if changed != items else None


def has_trigger(items: object) -> bool:
    """Whether the field `input`, as the client sent it, ends with a trigger."""
    return isinstance(items, list) and bool(items) and isinstance(items[-1], dict) and items[-1].get("type") == TRIGGER


def no_summary() -> ApiError:
    """The error of a model that has said nothing."""
    return ApiError(500, "the model wrote no summary", code="compaction_failed", error_type="server_error")


def _opened(item: Any) -> Any:
    if isinstance(item, dict) and item.get("type") in COMPACTIONS and isinstance(sealed := item.get("encrypted_content"), str):
        summary = open_summary(sealed)
        if summary is not None:
            content = [{"type": "input_text", "text": summary_message(summary)}]
            return {"type": "message", "role": "user", "content": content}
    return item


def _refusal(message: str) -> ApiError:
    return ApiError(400, message, kind="invalid_request", code="invalid_request_error", error_type="invalid_request_error")
