"""Gives tool calls the names by which the client knows the tools."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .answer_reader import AnswerReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..schemas.ollama.frames import Delta
    from .answer_reader import Chunk


class RenamingReader(AnswerReader):
    """An `AnswerReader` for a call whose tools had other names for the back end.

    Args:
        original_tool_name: the client's name for a name that the back end sent.
        split_thinking: as in `AnswerReader`.
        drop_thinking: as in `AnswerReader`.
    """

    def __init__(
        self, *, original_tool_name: Callable[[str], str], split_thinking: bool = True, drop_thinking: bool = False
    ) -> None:
        super().__init__(split_thinking=split_thinking, drop_thinking=drop_thinking)
        self._original = original_tool_name

    def feed(self, chunk: Chunk) -> Delta | None:  # noqa: D102
        return self._renamed(super().feed(chunk))

    def finish(self) -> Delta | None:  # noqa: D102
        return self._renamed(super().finish())

    def _renamed(self, delta: Delta | None) -> Delta | None:
        if delta is None or not delta.tool_calls:
            return delta
        calls = [
            {**call, "function": {**call["function"], "name": self._original(call["function"]["name"])}}
            for call in delta.tool_calls
        ]
        return replace(delta, tool_calls=calls)
