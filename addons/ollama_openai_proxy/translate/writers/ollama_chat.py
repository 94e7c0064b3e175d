"""Writes the answers of `/api/chat`."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from .ollama_frames import OllamaAnswerWriter, OllamaStreamWriter
from .whole_tool_calls import server_call_id

if TYPE_CHECKING:
    from .answer_timing import AnswerTiming
    from .ollama_frames import Content
    from .whole_tool_calls import CallId


class ChatForm:
    """The form of the objects of `/api/chat`; the model is repeated as the client wrote it."""

    text = '","message":{"role":"assistant","content":'
    thinking = text + '"","thinking":'
    not_done = '},"done":false'
    keeps_text = False

    def __init__(self, model: str) -> None:
        self._model = model
        self.head = f'{{"model":{encode_basestring_ascii(model)},"created_at":"'

    def tool_calls(self, calls: str) -> str:  # noqa: D102
        return f'{self.text}"","tool_calls":{calls}{self.not_done}'

    def last(  # noqa: D102
        self,
        created_at: str,
        content: Content,
        text: str,  # noqa: ARG002
        done_reason: str,
        metrics: dict[str, int],
    ) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": content.text}
        if content.thinking:
            message["thinking"] = content.thinking
        if content.tool_calls:
            message["tool_calls"] = content.tool_calls
        frame: dict[str, Any] = {"model": self._model, "created_at": created_at, "message": message}
        frame |= {"done": True, "done_reason": done_reason}
        if content.logprobs:
            frame["logprobs"] = content.logprobs
        return frame | metrics

    def idle(self, created_at: str, done_reason: str) -> dict[str, Any]:  # noqa: D102
        message = {"role": "assistant", "content": ""}
        head = {"model": self._model, "created_at": created_at, "message": message}
        return head | {"done": True, "done_reason": done_reason}


class ChatStreamWriter(OllamaStreamWriter):
    """Writes the frames of a stream."""

    __slots__ = ()

    def __init__(self, model: str, timing: AnswerTiming | None = None, call_id: CallId = server_call_id) -> None:
        super().__init__(ChatForm(model), timing, call_id)


class ChatAnswerWriter(OllamaAnswerWriter):
    """Writes an answer that is not streamed."""

    __slots__ = ()

    def __init__(self, model: str, timing: AnswerTiming | None = None, call_id: CallId = server_call_id) -> None:
        super().__init__(ChatForm(model), timing, call_id)
