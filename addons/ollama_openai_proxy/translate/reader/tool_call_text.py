"""Recognises tool calls that a model wrote into its text, where the server has no parser for the model's format.

The contract: feed the content in pieces of any size, get text and calls in their order; at the end ask `finish`. Only calls of
tools that were offered are calls, everything else stays text. The formats, each of a family of models:

* `<tool_call>{"name":…,"arguments":{…}}</tool_call>`: Hermes, Qwen; a list or `name` with `<arg_key>` within: GLM, Granite;
* `<function=NAME><parameter=KEY>VALUE</parameter></function>`: Qwen Coder, Seed-OSS; with JSON within: Llama;
* `<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>` within a tag: MiniMax, DeepSeek's DSML;
* `[TOOL_CALLS]` before a list, or before `NAME[ARGS]{…}`: Mistral;
* `<|python_tag|>` before `{"name":…,"parameters":{…}}`, or that alone at the beginning, perhaps in a fence: Llama;
* tools and arguments between tokens of their own: DeepSeek, Kimi, gpt-oss, Command A, Phi-4;
* `[NAME(KEY=VALUE)]`: Llama 4, LFM2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .stop_texts import begun_mark
from .tool_arguments import ArgumentText
from .tool_call_formats import find_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .offered_tools import OfferedTools
    from .tool_call_formats import WrittenCall


_BAR = "\uff5c"
"""The vertical line of full width in DeepSeek's tokens."""


class _Mark(NamedTuple):
    opening: str
    closing: str


_MARKS = (
    _Mark("<tool_call>", "</tool_call>"),
    _Mark("<tool_calls>", "</tool_calls>"),
    _Mark("<function_call>", "</function_call>"),
    _Mark("<function_calls>", "</function_calls>"),
    _Mark("<longcat_tool_call>", "</longcat_tool_call>"),
    _Mark("<seed:tool_call>", "</seed:tool_call>"),
    _Mark("<minimax:tool_call>", "</minimax:tool_call>"),
    _Mark("<function=", "</function>"),
    _Mark("<invoke name=", "</invoke>"),
    _Mark("[TOOL_CALLS]", ""),
    _Mark("<|python_tag|>", ""),
    _Mark("<|python_start|>", "<|python_end|>"),
    _Mark("<|tool_call|>", "<|/tool_call|>"),
    _Mark("<|tool_call_start|>", "<|tool_call_end|>"),
    _Mark("<|START_ACTION|>", "<|END_ACTION|>"),
    _Mark("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    _Mark("<|tool_call_begin|>", "<|tool_call_end|>"),
    _Mark("<|channel|>commentary to=", "<|call|>"),
    _Mark("<|action_start|>", "<|action_end|>"),
    _Mark(f"<{_BAR}tool▁calls▁begin{_BAR}>", f"<{_BAR}tool▁calls▁end{_BAR}>"),
    _Mark(f"<{_BAR}tool▁call▁begin{_BAR}>", f"<{_BAR}tool▁call▁end{_BAR}>"),
    _Mark(f"<{_BAR}DSML{_BAR}function_calls>", f"</{_BAR}DSML{_BAR}function_calls>"),
    _Mark(f"<{_BAR}DSML{_BAR}tool_calls>", f"</{_BAR}DSML{_BAR}tool_calls>"),
)
"""The closing mark is "" where the format has none: the calls reach to the end of the text."""
_IN_FENCE = _Mark("", "```")
_OPENINGS = tuple(mark.opening for mark in _MARKS)
_STARTS = re.compile("|".join(map(re.escape, sorted(_OPENINGS, key=len, reverse=True))))

_FENCE = re.compile(r"```[\w-]*\s*")
_FENCE_BEGUN = re.compile(r"`{1,3}|```[\w-]*\s*")
_KEYS = ("name", "function", "tool_name", "tool", "type", "tool_calls", "function_call", "arguments", "parameters", "id")
_FIRST_KEY = re.compile(r'(?:\[\s*)?\{\s*"([^"]*)("?)')
_FIRST_NAME = re.compile(r'(?:\[\s*)?\{\s*"name"\s*:\s*"([^"]*)"')
_BEGUN_OBJECT = re.compile(r"(?:\[\s*)?(?:\{\s*)?")
_LONGEST_NAME = 256
"""Characters, the mark among them: what is longer is no mere mention of a mark any more."""
_NAME_BEGUN = re.compile(r"[^\s<>\[\]{}\"']*")
_PYTHONIC = re.compile(r"\[\s*([A-Za-z_][\w.]*)(\(?)")


class ToolCallText:
    """Reads the content of one answer.

    Args:
        tools: that were offered.
        schemas: the JSON schemas of their parameters, by name, where they are known: they tell a text from a number.

    Attributes:
        incomplete: a call was cut within the text.
    """

    __slots__ = ("_bare", "_held", "_mark", "_schemas", "_searched", "_state", "_tools", "incomplete")

    def __init__(self, tools: OfferedTools, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self.incomplete = False
        self._tools = tools
        self._schemas = schemas
        self._state: Literal["start", "bare", "text", "block"] = "start"
        self._held = ""
        self._mark = _MARKS[0]
        self._searched = 0
        self._bare: ArgumentText | None = None

    @property
    def free(self) -> bool:
        """Whether text without `<` and `[` is text, and nothing is held back."""
        return self._state == "text" and not self._held

    @property
    def held_size(self) -> int:
        """Characters that are held back."""
        return len(self._held)

    def feed(self, text: str) -> list[str | list[WrittenCall]]:
        """What is certain now."""
        made: list[str | list[WrittenCall]] = []
        if self.free and "<" not in text and "[" not in text:
            return [text]
        if self._state == "bare":
            self._held += text
            if self._bare is not None:
                self._bare.feed(text)
            return self._end_bare() if self._bare_ended() else made
        text, self._held = self._held + text, ""
        if self._state == "start" and not self._is_decided(text):
            self._held = text
            return self._end_bare() if self._bare_ended() else made
        while text:
            text = self._read_block(text, made) if self._state == "block" else self._read_text(text, made)
        return made

    def finish(self, *, cut: bool) -> list[str | list[WrittenCall]]:
        """What was held back, when the text has ended.

        Args:
            cut: whether a limit of tokens ended the answer, so that a call that is not whole must not be carried out.
        """
        held, self._held = self._held, ""
        if not held:
            return []
        state, self._state = self._state, "text"
        if state == "text" or (state == "start" and not cut):
            return [held]
        calls = find_calls(held, self._tools, self._schemas, whole=not cut)
        if cut:
            self.incomplete = True
            return [calls] if calls else []
        return [calls or held]

    def _read_text(self, text: str, made: list[str | list[WrittenCall]]) -> str:
        """Give out text up to a mark; what is returned begins with the mark."""
        if found := _STARTS.search(text):
            if before := text[: found.start()]:
                made.append(before)
            self._state, self._searched = "block", 0
            self._mark = next(mark for mark in _MARKS if mark.opening == found.group())
            return text[found.start() :]
        certain = len(text) - begun_mark(text, _OPENINGS)
        if certain:
            made.append(text[:certain])
        self._held = text[certain:]
        return ""

    def _read_block(self, text: str, made: list[str | list[WrittenCall]]) -> str:
        """Give out a block that is closed; what is returned stands behind the block."""
        closing = self._mark.closing
        at = text.find(closing, max(self._searched, len(self._mark.opening))) if closing else -1
        if at < 0:
            if len(text) < _LONGEST_NAME and not self._may_be_call(text):
                # The text only mentions the mark.
                self._state = "text"
                made.append(text[: len(self._mark.opening)])
                return text[len(self._mark.opening) :]
            self._searched = max(len(text) - len(closing), 0)
            self._held = text
            return ""
        end = at + len(closing)
        block = text[:end]
        made.append(find_calls(block, self._tools, self._schemas, whole=True) or block)
        self._state, self._searched = "text", 0
        return text[end:]

    def _may_be_call(self, text: str) -> bool:
        """Whether what stands behind an opening mark can be a call. Tokens of a model's own stand nowhere else."""
        opening = self._mark.opening
        body = text[len(opening) :].lstrip()
        if not (body and opening) or "|" in opening or _BAR in opening or (body[0] in "{[<" and opening[-1] in "]>"):
            return True
        name = _NAME_BEGUN.match(body.lstrip("\"'"))
        word = name.group() if name else ""
        return self._tools.begins(word) if body.endswith(word) else self._tools.offers(word)

    def _is_decided(self, text: str) -> bool:
        """Whether the beginning of a text shows that it is text, or a call in a fence. A call without marks is held back."""
        lead = text.lstrip()
        if not lead or (_FENCE_BEGUN.fullmatch(lead) and len(lead) < 24):
            return False
        fence = _FENCE.match(lead)
        if fence is not None:
            lead = lead[fence.end() :]
        if lead[0] not in "{[":
            self._state = "text"
            return True
        if _BEGUN_OBJECT.fullmatch(lead):
            return False
        if key := _FIRST_KEY.match(lead):
            known = key[1] in _KEYS if key[2] else any(each.startswith(key[1]) for each in _KEYS)
            name = _FIRST_NAME.match(lead)
            if known and (name is None or self._tools.offers(name[1])):
                if key[2] and fence is not None:
                    self._state, self._mark = "block", _IN_FENCE
                    self._searched = len(text) - len(lead)
                    return True
                return self._begin_bare(lead) if key[2] else False
        elif (call := _PYTHONIC.match(lead)) and (not call[2] or self._tools.offers(call[1])):
            return self._begin_bare(lead) if call[2] else call.end() != len(lead) and self._begin_text()
        return self._begin_text()

    def _begin_text(self) -> bool:
        self._state = "text"
        return True

    def _begin_bare(self, lead: str) -> bool:
        """Hold the text back until the value at its beginning is whole, or its name turns out to be no tool's."""
        if lead[0] == "{" and _FIRST_NAME.match(lead) is None and '"name"' in lead[:8]:
            return False
        self._state = "bare"
        if lead[0] == "{":
            self._bare = ArgumentText()
            self._bare.feed(lead)
        return False

    def _bare_ended(self) -> bool:
        return self._bare is not None and (self._bare.complete or self._bare.broken)

    def _end_bare(self) -> list[str | list[WrittenCall]]:
        held, self._held = self._held, ""
        self._state = "text"
        calls = find_calls(held, self._tools, self._schemas, whole=True)
        if calls:
            return [calls]
        return self.feed(held)
