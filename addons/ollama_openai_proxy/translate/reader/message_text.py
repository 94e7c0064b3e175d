"""Finds the content and the thinking of a message, or of a delta, in every place where servers put them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .think_tags import Part

# DeepSeek, llama.cpp and vLLM; Ollama, OpenRouter and newer vLLM; Copilot; others; LiteLLM. Where two are there they say the
# same thing.
_REASONING_KEYS = (
    *("reasoning_content", "reasoning", "reasoning_text", "thinking", "thinking_content", "thought"),
    *("reasoning_details", "thinking_blocks"),
)
_REASONING = frozenset(_REASONING_KEYS)
_TEXT_KEYS = ("text", "content", "value", "output_text")
_THINKING_KEYS = ("thinking", "text", "summary", "reasoning", "reasoning_content", "content")
_THINKING_TYPES = ("thinking", "reasoning", "thought", "reasoning_text", "reasoning_content")


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The thinking beside the content."""
    if _REASONING.isdisjoint(message):
        return ""
    for key in _REASONING_KEYS:
        if (value := message.get(key)) and (text := _thinking(value)):
            return text
    return ""


def content_of(message: Mapping[str, Any]) -> list[Part]:
    """The content, in its order, with the thinking among it."""
    content = message.get("content")
    if isinstance(content, str):
        parts = [(False, content)]
    elif isinstance(content, list):
        parts = [_part(part) for part in content]
    else:
        parts = [_part(content)]
    if not any(text for _, text in parts) and isinstance(refusal := message.get("refusal"), str):
        parts = [(False, refusal)]
    if is_thought(message):
        parts = [(True, text) for _, text in parts]
    return [part for part in parts if part[1]]


def is_thought(message: Mapping[str, Any]) -> bool:
    """Whether Gemini says that the content is a thought."""
    extra = message.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return isinstance(google, dict) and google.get("thought") is True


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return False, part
    if not isinstance(part, dict):
        return False, ""
    kind = part.get("type")
    if kind in _THINKING_TYPES or part.get("thought") is True:
        return True, _thinking(part)
    if kind == "refusal":
        return False, _string(part.get("refusal"))
    return False, next(filter(None, (_text(part.get(key)) for key in _TEXT_KEYS)), "")


def _text(value: Any) -> str:
    """The text of a part: a string, or an object that holds one."""
    if isinstance(value, dict):
        value = value.get("value") or value.get("text")
    return _string(value)


def _thinking(value: Any) -> str:
    """The thinking in a string, a list of parts, or a part."""
    match value:
        case str():
            return value
        case list():
            return "".join(map(_thinking, value))
        case dict():
            for key in _THINKING_KEYS:
                if (inner := value.get(key)) and (text := _thinking(inner)):
                    return text
    return ""


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
