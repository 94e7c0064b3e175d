"""Watches a stream that passes as it is until its first piece of content, up to which another server may still answer.

What keeps a client waiting is no content: comments, pings, the opening events of an answer, empty pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from .reader.finish_reasons import ending_of, read_finish_reason
from .reader.server_errors import ModelNames, error_in_chunk, server_error
from .reader.sse import SseReader

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPENING = frozenset(
    {
        *("message_start", "ping", "keepalive", "content_block_start", "content_block_stop"),
        *("response.created", "response.queued", "response.in_progress", "response.output_item.added"),
        *("response.content_part.added", "response.reasoning_summary_part.added"),
    }
)
"""Events of Anthropic's messages and of Responses that come before the first piece."""
_FAILED = frozenset({"error", "response.failed"})
_NO_NAMES = ModelNames()


class FirstContent:
    """Watches one stream of server-sent events of any of OpenAI's APIs, or of Anthropic's messages.

    Attributes:
        begun: whether content has come, or an end that needs none.
        failure: why there will be none; None as long as there may be.
    """

    def __init__(self) -> None:
        self.begun = False
        self.failure: BackendError | None = None
        self._sse = SseReader()

    @property
    def decided(self) -> bool:
        """Whether nothing more needs to be seen."""
        return self.begun or self.failure is not None

    def feed(self, data: bytes) -> None:
        """Look at a network read."""
        if self.decided:
            return
        for chunk in self._sse.feed(data):
            self._look(chunk)
        if self._sse.done or self._sse.broken:
            self.finish()

    def finish(self) -> None:
        """Take note of the end of the stream."""
        if not self.decided:
            said = f": {self._sse.text.strip()}" if self._sse.text.strip() else ""
            self.failure = BackendError(502, f"the back end ended its answer before the first piece{said}")

    def _look(self, chunk: Mapping[str, Any]) -> None:
        if self.decided:
            return
        kind = chunk.get("type")
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        response = chunk.get("response")
        if kind in _FAILED:
            error = response.get("error") if isinstance(response, dict) else None
            self.failure = server_error(error or chunk, _NO_NAMES)
        elif (told := error_in_chunk(chunk, choice)) is not None:
            self.failure = server_error(told, _NO_NAMES)
        elif choice is not None:
            self._look_at_choice(choice)
        elif isinstance(kind, str):
            self.begun = kind not in _OPENING

    def _look_at_choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta")
        said = isinstance(delta, dict) and any(value for name, value in delta.items() if name != "role")
        reason = read_finish_reason(choice.get("finish_reason"))
        if not said and ending_of(reason) == "failed":
            self.failure = BackendError(502, f"the back end failed while it answered ({reason})", code=reason)
        else:
            self.begun = bool(said or reason or choice.get("text"))
