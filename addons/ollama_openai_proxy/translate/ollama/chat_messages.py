"""Ollama's messages as turns of a conversation: roles, pictures and sounds, tool calls and their results."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from ..conversation_normalizer import Call, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...schemas.ollama.requests import Message
    from ..conversation_normalizer import Content, Part, Role

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "assistant": "assistant", "tool": "tool"}
"""Every other role is the user's. Few servers know that of a developer, and OpenAI takes both for the same."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


def turns(messages: Sequence[Message]) -> list[Turn]:
    """Translate a conversation. The pictures of an assistant or a system message follow as the user's."""
    return [turn for message in messages for turn in _turns(message)]


def media_part(data: str) -> Part:
    """The part of a message for an entry of `images` in base64: a picture, or a WAV sound, which Ollama takes there too."""
    head = base64.b64decode(data[:24])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"type": "image_url", "image_url": {"url": f"data:{_image_type(head)};base64,{data}"}}


def _image_type(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for signature, mime in _SIGNATURES if head.startswith(signature)), "image/jpeg")


def _turns(message: Message) -> Iterator[Turn]:
    role = _ROLES.get(message.role, "user")
    if role in ("user", "tool"):
        content = _content(message.content, message.images)
        yield Turn(role, content, call_id=message.tool_call_id, name=message.tool_name)
        return
    calls = [
        Call(call.function.name, json.dumps(call.function.arguments, ensure_ascii=False), call.id)
        for call in (message.tool_calls if role == "assistant" else ())
    ]
    yield Turn(role, message.content, calls, message.thinking if calls else "")
    if message.images:
        yield Turn("user", _content("", message.images))


def _content(text: str, images: Sequence[str]) -> Content:
    """Text alone is a string, which every server takes."""
    if not images:
        return text
    parts: list[Part] = [{"type": "text", "text": text}] if text else []
    return parts + [media_part(image) for image in images]
