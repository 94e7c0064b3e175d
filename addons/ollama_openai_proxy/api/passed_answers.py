"""Chooses the machine for an answer that passes as its server sends it, by the answer's path and content type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..schemas.ollama.json_encoding import NDJSON_TYPE, error_body
from ..translate.pass_through import EventMachine, LineMachine
from ..translate.writers.ollama_chat import ChatForm
from ..translate.writers.ollama_frames import OllamaStreamWriter
from ..translate.writers.ollama_generate import GenerateForm
from .error_shapes import error_event
from .path_table import CHAT, GENERATE, MESSAGES, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_RESPONSES, surface_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..errors import ApiError
    from ..net.answer_driver import Machine
    from ..translate.pass_through import Rewrite

SSE_TYPE = "text/event-stream"

_COMPLETIONS = frozenset({OPENAI_CHAT, OPENAI_COMPLETIONS})
_PINGS = {
    MESSAGES: b'event: ping\ndata: {"type":"ping"}\n\n',
    # Codex counts each event as a sign of life, but no comment. The SDK takes any event, but not before `response.created`.
    OPENAI_RESPONSES: b'event: keepalive\ndata: {"type":"keepalive"}\n\n',
}
_FORMS = {CHAT: ChatForm, GENERATE: GenerateForm}


def make_passed_machine(path: str, headers: Mapping[str, str], model: str, rewrite: Rewrite | None = None) -> Machine | None:
    """The machine for a streamed answer; None for a body that passes untouched, as one does whose content is encoded.

    Args:
        path: that was called.
        headers: of the server's response.
        model: the model's name, as the client wrote it.
        rewrite: changes whole lines of the answer.
    """
    if not has_plain_content(headers):
        return None
    content_type = headers.get("Content-Type", "").lower()
    if content_type.startswith(NDJSON_TYPE):
        return LineMachine(_error_line, rewrite, _empty_frame(path, model))
    if content_type.startswith(SSE_TYPE):
        return _event_machine(path, _PINGS.get(path, b""), rewrite)
    if rewrite is not None and "json" in content_type:
        return LineMachine(None, rewrite)
    return None


def has_plain_content(headers: Mapping[str, str]) -> bool:
    """Whether the body that belongs to some headers has no content coding, so that it can be looked into."""
    return headers.get("Content-Encoding", "identity").strip().lower() in ("", "identity")


def make_early_machine(path: str, model: str) -> Machine:
    """The machine that keeps the client of a streamed call waiting before the server has answered."""
    if path in _FORMS:
        return LineMachine(_error_line, None, _empty_frame(path, model))
    return _event_machine(path, b"" if path == OPENAI_RESPONSES else _PINGS.get(path, b""), None)


def stream_headers(path: str) -> dict[str, str]:
    """The headers of a streamed answer that has to begin before its server answers."""
    return {"Content-Type": NDJSON_TYPE} if path in _FORMS else {"Content-Type": SSE_TYPE, "Cache-Control": "no-cache"}


def _event_machine(path: str, ping: bytes, rewrite: Rewrite | None) -> Machine:
    def error_text(error: ApiError) -> bytes:
        return error_event(surface_of(path), error)

    completions = path in _COMPLETIONS
    return EventMachine(error_text, rewrite, ping=ping, has_end=completions or path in _PINGS, cut_after_failure=completions)


def _error_line(error: ApiError) -> bytes:
    return error_body(error.message) + b"\n"


def _empty_frame(path: str, model: str) -> Callable[[], bytes] | None:
    make_form = _FORMS.get(path)
    return None if make_form is None or not model else OllamaStreamWriter(make_form(model), None).keep_alive
