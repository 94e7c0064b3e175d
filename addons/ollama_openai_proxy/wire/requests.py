"""Ollama's requests, field by field (wire reference §3 and §4)."""

from __future__ import annotations

import binascii
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .decoding import WireModel, refuse
from .durations import parse_keep_alive

type Think = bool | Literal["low", "medium", "high", "max"]

_THINK_LEVELS = ("low", "medium", "high", "max")
_TYPES_OF_THINK = '("high", "medium", "low", "max", true, or false)'


def _think(value: object) -> object:
    if isinstance(value, bool) or value in _THINK_LEVELS:
        return value
    if isinstance(value, str):
        raise refuse(f'invalid think value: "{value}" (must be "high", "medium", "low", "max", true, or false)')
    raise refuse(f"think must be a boolean or string {_TYPES_OF_THINK}")


def _keep_alive(value: object) -> float:
    try:
        return parse_keep_alive(value)
    except ValueError as error:
        raise refuse(str(error)) from None


def _base64(value: str) -> str:
    """Standard padded base64, checked as Go does, which skips line breaks."""
    text = value.replace("\r", "").replace("\n", "")
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        stray = re.search(r"[^A-Za-z0-9+/]", text)
        raise refuse(f"illegal base64 data at input byte {stray.start() if stray else len(text)}") from None
    return text


def _arguments(value: object) -> object:
    if not isinstance(value, dict):
        raise refuse("Value looks like object, but can't find closing '}' symbol")
    return value


def _no_nulls(value: object) -> object:
    return [{} if item is None else item for item in value] if isinstance(value, list) else value


type Image = Annotated[str, AfterValidator(_base64)]
type KeepAlive = Annotated[float, BeforeValidator(_keep_alive)]
type Thinking = Annotated[Think, BeforeValidator(_think)]


class CalledFunction(WireModel):
    """The function of a tool call."""

    go_type: ClassVar[str] = "ToolCallFunction"

    name: str = ""
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = Field(default_factory=dict)


class ToolCall(WireModel):
    """A call that a model made, in the history of a chat. `id` is empty where the client dropped it."""

    go_type: ClassVar[str] = "ToolCall"

    id: str = ""
    function: CalledFunction = Field(default_factory=CalledFunction)


class Message(WireModel):
    """One message of a chat. Roles are free text, as in Ollama."""

    go_type: ClassVar[str] = "Message"

    role: Annotated[str, AfterValidator(str.lower)] = ""
    content: str = ""
    thinking: str = ""
    images: list[Image] = Field(default_factory=list)
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class _Generation(WireModel):
    """What chat and generate have in common."""

    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    think: Thinking | None = None
    logprobs: bool = False
    top_logprobs: int = 0


_GENERATION_TYPES = {
    "options": "map[string]interface {}",
    "images": "[]api.ImageData",
    "images[]": "api.ImageData",
}


class ChatRequest(_Generation):
    """`POST /api/chat`. `tools` stay as they came, so that no part of a schema is lost."""

    go_type: ClassVar[str] = "ChatRequest"
    go_types: ClassVar[dict[str, str]] = _GENERATION_TYPES | {
        "messages": "[]api.Message",
        "messages[]": "api.Alias",
        "tool_calls": "[]api.ToolCall",
        "tool_calls[]": "api.ToolCall",
        "function": "api.ToolCallFunction",
        "tools": "api.Tools",
        "tools[]": "api.Tool",
    }

    messages: Annotated[list[Message], BeforeValidator(_no_nulls)] = Field(default_factory=list)
    tools: Annotated[list[dict[str, Any]], BeforeValidator(_no_nulls)] = Field(default_factory=list)


class GenerateRequest(_Generation):
    """`POST /api/generate`."""

    go_type: ClassVar[str] = "GenerateRequest"
    go_types: ClassVar[dict[str, str]] = _GENERATION_TYPES | {"context": "[]int", "context[]": "int"}

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[int] = Field(default_factory=list)
    raw: bool = False
    images: list[Image] = Field(default_factory=list)


class EmbedRequest(WireModel):
    """`POST /api/embed`. `input` is checked by `inputs`, with the text that Ollama has for it."""

    go_type: ClassVar[str] = "EmbedRequest"
    go_types: ClassVar[dict[str, str]] = {"options": "map[string]interface {}"}

    model: str = ""
    input: Any = None
    truncate: bool = True
    dimensions: int = 0
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class EmbeddingsRequest(WireModel):
    """`POST /api/embeddings`, the older call."""

    go_type: ClassVar[str] = "EmbeddingRequest"
    go_types: ClassVar[dict[str, str]] = {"options": "map[string]interface {}"}

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ShowRequest(WireModel):
    """`POST /api/show`; older clients send `name`."""

    go_type: ClassVar[str] = "ShowRequest"
    go_types: ClassVar[dict[str, str]] = {"options": "map[string]interface {}"}

    model: str = ""
    name: str = ""
    verbose: bool = False
