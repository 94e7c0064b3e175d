"""The parts of a message, or of a tool's output, as chat completions have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...schemas.openai_responses import Part

type ChatPart = dict[str, Any]

_UNREADABLE = "encrypted_content"
"""A part that only the server which made it can read; it is left out."""

_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"})


def user_content(parts: Sequence[Part], where: str) -> str | list[ChatPart]:
    """The content of a user's message; text alone is a string, which every server takes.

    Args:
        parts: what the client sent, whose order is kept.
        where: the item that they belong to, for an error to name.

    Raises:
        InvalidRequest: a part is of an unknown type, or its data is not there.
    """
    if all(part.type in _TEXTS or part.type == _UNREADABLE for part in parts):
        return text_of(parts)
    return [
        {"type": "text", "text": part.text} if part.type in _TEXTS else _other(part, f"{where}[{number}]")
        for number, part in enumerate(parts)
        if part.type != _UNREADABLE
    ]


def text_of(parts: Sequence[Part], between: str = "\n") -> str:
    """The text of the parts that are text; a refusal is text, too."""
    return between.join(part.text or part.refusal for part in parts if part.type in _TEXTS)


def beside_text(parts: Sequence[Part], where: str) -> list[ChatPart]:
    """The parts that are no text: images, files and sounds.

    Raises:
        InvalidRequest: a part is of an unknown type, or its data is not there.
    """
    return [
        _other(part, f"{where}[{number}]")
        for number, part in enumerate(parts)
        if part.type not in _TEXTS and part.type != _UNREADABLE
    ]


def _other(part: Part, where: str) -> ChatPart:
    match part.type:
        case "input_image" | "computer_screenshot":
            if not part.image_url:
                raise InvalidRequest(f'"{where}" has no "image_url"; no files are stored here of which it could be one.')
            detail = {} if part.detail == "auto" else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": part.image_url} | detail}
        case "input_file":
            if not part.file_data:
                raise InvalidRequest(f'"{where}" has no "file_data"; files are neither stored nor fetched here.')
            name = {"filename": part.filename} if part.filename else {}
            return {"type": "file", "file": {"file_data": part.file_data} | name}
        case "input_audio" if part.input_audio:
            return {"type": "input_audio", "input_audio": part.input_audio.model_dump()}
    raise InvalidRequest(f'"{where}" is of a type that is not known here.')
