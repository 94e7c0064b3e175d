"""Writes the answers of `/api/generate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from .ollama_frames import OllamaAnswerWriter, OllamaStreamWriter
from .whole_tool_calls import server_call_id

if TYPE_CHECKING:
    from .answer_timing import AnswerTiming
    from .ollama_frames import Content
    from .whole_tool_calls import CallId

type MakeContext = Callable[[str], Sequence[int]]
"""Makes the `context` from which the client's next call continues, of the whole text of a complete answer."""


class GenerateForm:
    """The form of the objects of `/api/generate`.

    Args:
        model: repeated as the client wrote it.
        context: None leaves `context` out.
    """

    text = '","response":'
    thinking = text + '"","thinking":'
    not_done = ',"done":false'

    def __init__(self, model: str, context: MakeContext | None = None) -> None:
        self._model = model
        self._context = context
        self.keeps_text = context is not None
        self.head = f'{{"model":{encode_basestring_ascii(model)},"created_at":"'

    def tool_calls(self, calls: str) -> str:  # noqa: D102
        return f'{self.text}""{self.not_done},"tool_calls":{calls}'

    def last(  # noqa: D102
        self, created_at: str, content: Content, text: str, done_reason: str, metrics: dict[str, int]
    ) -> dict[str, Any]:
        frame: dict[str, Any] = {"model": self._model, "created_at": created_at, "response": content.text}
        if content.thinking:
            frame["thinking"] = content.thinking
        frame |= {"done": True, "done_reason": done_reason}
        if self._context is not None:
            frame["context"] = self._context(text)
        frame |= metrics
        if content.tool_calls:
            frame["tool_calls"] = content.tool_calls
        if content.logprobs:
            frame["logprobs"] = content.logprobs
        return frame

    def idle(self, created_at: str, done_reason: str) -> dict[str, Any]:  # noqa: D102
        head = {"model": self._model, "created_at": created_at, "response": ""}
        return head | {"done": True, "done_reason": done_reason}


class GenerateStreamWriter(OllamaStreamWriter):
    """Writes the frames of a stream."""

    __slots__ = ()

    def __init__(
        self,
        model: str,
        context: MakeContext | None = None,
        timing: AnswerTiming | None = None,
        call_id: CallId = server_call_id,
    ) -> None:
        super().__init__(GenerateForm(model, context), timing, call_id)


class GenerateAnswerWriter(OllamaAnswerWriter):
    """Writes an answer that is not streamed."""

    __slots__ = ()

    def __init__(
        self,
        model: str,
        context: MakeContext | None = None,
        timing: AnswerTiming | None = None,
        call_id: CallId = server_call_id,
    ) -> None:
        super().__init__(GenerateForm(model, context), timing, call_id)
