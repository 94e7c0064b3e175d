"""Tells thinking that stands between tags at the beginning of a text from the content behind the tags.

The contract: feed the text in pieces of any size, get pieces of thinking and of content; at the end ask `finish`. White space
around tags is left where it is. A closing tag without an opening one means that all before was thinking: the model's template
has written the opening tag (vllm#31045). What was given out by then cannot be taken back, so a caller that can wait, or that
knows the model, says so with `opened`.
"""

from __future__ import annotations

from typing import Literal

from .stop_texts import begun_mark

_TAGS = {
    "<think>": "</think>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "<thought>": "</thought>",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<mm:think>": "</mm:think>",
}
"""Most models; Seed-OSS; Magistral; Gemini; Kimi-VL; Command A; MiniMax."""
_ALONE = ("</think>", "</seed:think>", "[/THINK]", "</mm:think>")

_FIRST_CHARACTERS = "".join({tag[0] for tag in (*_TAGS, *_ALONE)})
"""Of tags; every text contains the empty one, of which it is not known yet what it begins with."""
_LONGEST_TAG = max(map(len, _ALONE))

type Part = tuple[bool, str]
"""Whether it is thinking, and the text."""


class ThinkTags:
    """Reads the text of one answer.

    Args:
        opened: whether the model's template opened the thinking, so that the text begins with it: False for no, or a caller
            that cannot wait; True for yes; None where it is not known and the text may be held back until it is.

    Attributes:
        closed_alone: there was a closing tag without an opening one.
        seen: there was a tag.
        preceding: the last character that was given out as content; to be set where text was not fed, see `free`.
    """

    __slots__ = ("_before", "_closing", "_held", "_mentioned", "_opened", "_state", "closed_alone", "preceding", "seen")

    def __init__(self, *, opened: bool | None = False) -> None:
        self.closed_alone = False
        self.seen = False
        self.preceding = ""
        self._opened = opened
        self._state: Literal["start", "thinking", "unsure", "watching", "content"] = "start"
        self._closing: tuple[str, ...] = ()
        self._held = ""
        # Long text that waits for a closing tag, in pieces: to join them with each piece would take quadratic time.
        self._before: list[str] = []
        self._mentioned = False

    @property
    def free(self) -> bool:
        """Whether text without `<` and `[` is content, and nothing is held back."""
        return not self._held and not self._before and self._state in ("watching", "content")

    @property
    def unsure(self) -> bool:
        """Whether text is held back until it is known whether the text so far is thinking; `hold` takes plain text then."""
        return self._state == "unsure" and self._opened is None

    def hold(self, text: str) -> bool:
        """Hold back text without `<` and `[` while `unsure`. Return False, and do nothing, if the text may end a tag."""
        if "<" in self._held or "[" in self._held:
            return False
        self._before.append(self._held + text)
        self._held = ""
        return True

    @property
    def state_is_start(self) -> bool:
        """Whether nothing but white space has come."""
        return self._state == "start"

    def not_opened(self) -> None:
        """Note that the server tells thinking from content itself."""
        self._opened = False

    def feed(self, text: str) -> list[Part]:
        """The pieces that are certain now."""
        if self._state == "content":
            return [(False, text)]
        text, self._held = self._held + text, ""
        if self._state == "start":
            lead = text.lstrip()
            may_be_tag = lead[:1] in _FIRST_CHARACTERS
            opening = next((tag for tag in _TAGS if lead.startswith(tag)), None) if may_be_tag else None
            if opening is not None:
                self.seen = True
                self._state, self._closing = "thinking", (_TAGS[opening],)
                text = lead[len(opening) :]
            elif may_be_tag and any(tag.startswith(lead) and tag != lead for tag in (*_TAGS, *_ALONE)):
                self._held = text
                return []
            else:
                self._state = "watching" if self._opened is False else "thinking" if self._opened else "unsure"
                self._closing = _ALONE
        if self._state == "thinking":
            return self._think(text)
        if self._state == "unsure" and self._opened is None:
            at, _ = _find(text, _ALONE)
            if at < 0:
                self._before.append(text[:-_LONGEST_TAG])
                self._held = text[-_LONGEST_TAG:]
                return []
            self.closed_alone = self.seen = True
            return self._think(self._all_before() + text)
        self._state = "watching"
        return self._watch(self._all_before() + text)

    def finish(self) -> list[Part]:
        """What was held back, when the text has ended."""
        held, self._held = self._all_before() + self._held, ""
        return [(self._state == "thinking", held)] if held else []

    def _all_before(self) -> str:
        before = "".join(self._before)
        self._before.clear()
        return before

    def _think(self, text: str) -> list[Part]:
        at, tag = _find(text, self._closing)
        if at < 0:
            certain = len(text) - begun_mark(text, self._closing)
            self._held = text[certain:]
            return [(True, text[:certain])]
        self.seen = True
        self.closed_alone = self.closed_alone or (self._opened is True and self._closing is _ALONE)
        self._state = "content"
        return [(True, text[:at]), (False, text[at + len(tag) :])]

    def _watch(self, text: str) -> list[Part]:
        """Take a closing tag alone out of the content. Only a tag that nobody quotes is one."""
        if "<" not in text and "[" not in text:
            self.preceding = text[-1:]
            return [(False, text)]
        at, tag = _find(text, _ALONE)
        before = text[:at] if at >= 0 else text
        self._mentioned = self._mentioned or any(opening in before for opening in _TAGS)
        if at < 0:
            certain = len(text) - begun_mark(text, (*_ALONE, *_TAGS))
            self._held = text[certain:]
            self.preceding = text[:certain][-1:] or self.preceding
            return [(False, text[:certain])]
        self._state = "content"
        if self._mentioned or (self.preceding + before).endswith(("`", '"', "'")):
            return [(False, text)]
        self.closed_alone = self.seen = True
        return [(False, text[:at]), (False, text[at + len(tag) :])]


def _find(text: str, tags: tuple[str, ...]) -> tuple[int, str]:
    """Return where the earliest of the tags stands in a text, and that tag; -1 and "" where there is none."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    return min(found) if found else (-1, "")
