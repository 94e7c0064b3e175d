"""Writes the answers to requests for a compaction: the model's text becomes the content of an item `compaction`."""

from __future__ import annotations

import time
from io import StringIO
from typing import TYPE_CHECKING, Any

from ...schemas.ollama.json_encoding import encode_json
from ..events import Finish, Text, Thinking
from ..openai_responses.compaction import kept_messages, no_summary, seal_summary
from .openai_responses import ResponseStreamWriter, response_usage
from .responses_items import CompactionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...errors import ApiError
    from ...schemas.openai_responses import ResponsesRequest
    from ..events import Event


class _Summary:
    """Collects what the model says; a model that only thinks has its thinking taken."""

    def __init__(self) -> None:
        self._text = StringIO()
        self._thinking = StringIO()

    def take(self, event: Event) -> None:
        if isinstance(event, Text):
            self._text.write(event.text)
        elif isinstance(event, Thinking):
            self._thinking.write(event.text)

    @property
    def text(self) -> str:
        return self._text.getvalue().strip() or self._thinking.getvalue().strip()


class CompactionStreamWriter(ResponseStreamWriter):
    """Writes the events of a Response whose only item is the compaction."""

    def __init__(self, request: ResponsesRequest, *, response_id: str, unix_time: Callable[[], float] = time.time) -> None:
        super().__init__(request, response_id=response_id, unix_time=unix_time)
        self._summary = _Summary()

    def _take(self, event: Event) -> None:
        if not isinstance(event, Finish):
            self._summary.take(event)
            return
        if not self._summary.text:
            self._out.append(self.fail(no_summary()).decode())
            return
        self._open_item(CompactionItem(*self._next("cmp"), seal_summary(self._summary.text)))
        self._close("completed")
        super()._take(Finish("stop", event.usage))


class CompactionAnswerWriter:
    """Writes the reply of `/v1/responses/compact`: the user's own messages, and the compaction."""

    content_type = "application/json"

    def __init__(self, request: ResponsesRequest, *, response_id: str, unix_time: Callable[[], float] = time.time) -> None:
        self._kept = kept_messages(request.input)
        self._id = response_id
        self._unix_time = unix_time
        self._summary = _Summary()

    def begin(self) -> bytes:  # noqa: D102
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The reply once the end has come; nothing for a model that has said nothing, see `no_summary`."""
        for event in events:
            self._summary.take(event)
            if isinstance(event, Finish) and self._summary.text:
                return encode_json(self._reply(event)) + b"\n"
        return b""

    def keep_alive(self) -> bytes:  # noqa: D102
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002, D102
        return b""

    def _reply(self, finish: Finish) -> dict[str, Any]:
        stem = self._id.removeprefix("resp_")
        kept = [message | {"id": f"msg_{stem}_{index}", "status": "completed"} for index, message in enumerate(self._kept)]
        item = {"id": f"cmp_{stem}", "type": "compaction", "encrypted_content": seal_summary(self._summary.text)}
        return {
            "id": self._id,
            "object": "response.compaction",
            "created_at": int(self._unix_time()),
            "output": [*kept, item],
            "usage": response_usage(finish.usage),
        }
