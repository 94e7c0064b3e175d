"""The requests of the Ollama API that call or describe a model, field by field.

Source: docs/wire.md#generate, docs/wire.md#chat, docs/wire.md#messages-and-tools,
docs/wire.md#embed-and-embeddings and docs/wire.md#show.
"""

from __future__ import annotations

import binascii
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, FailFast, Field

from ..go_json_decoding import WireModel, refuse
from .durations import parse_keep_alive

type Think = bool | Literal["low", "medium", "high", "max"]
"""A level of thinking that back ends have parameters for."""


def _think(value: object) -> object:
    if not isinstance(value, bool | str):
        raise refuse("think must be a boolean or string")
    return value


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
    except ValueError:
        raise refuse(f"illegal base64 data at input byte {_broken_base64(value.encode())}") from None
    return text


def _broken_base64(data: bytes) -> int:
    """The position at which Go's decoder gives up; `data` is known to be broken."""
    characters = [(position, byte) for position, byte in enumerate(data) if byte not in b"\r\n"]
    digits = next((n for n, (_, byte) in enumerate(characters) if byte not in _BASE64_DIGITS), len(characters))
    if digits == len(characters):
        # It ends within a group of four: Go counts back from the end.
        return len(data) - digits % 4
    position, byte = characters[digits]
    if byte != ord("=") or digits % 4 < 2:
        return position
    if digits % 4 == 2:
        if digits + 1 == len(characters):
            return len(data)
        following, byte = characters[digits + 1]
        if byte != ord("="):
            return following - 1
        digits += 1
    return characters[digits + 1][0]


def _arguments(value: object) -> object:
    if not isinstance(value, dict):
        raise refuse("Value looks like object, but can't find closing '}' symbol")
    return value


def null_is(zero: object) -> BeforeValidator:
    """In a list, `null` is the zero value of the items' type."""
    return BeforeValidator(
        lambda items: [zero if item is None else item for item in items] if isinstance(items, list) else items
    )


_BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

type Int = Annotated[int, Field(ge=-(2**63), lt=2**63)]
type KeepAlive = Annotated[float, BeforeValidator(_keep_alive)]
type Thinking = Annotated[bool | str, BeforeValidator(_think)]
type Images = Annotated[list[Annotated[str, AfterValidator(_base64)]], FailFast(), null_is("")]


class CalledFunction(WireModel):
    """The function of a tool call."""

    index: Int = 0
    name: str = ""
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = Field(default_factory=dict)


class ToolCall(WireModel):
    """A call that a model made, in the history of a chat. `id` is empty where the client dropped it."""

    id: str = ""
    function: CalledFunction = Field(default_factory=CalledFunction)


class Message(WireModel):
    """One message of a chat. Roles are free text, as in Ollama."""

    role: Annotated[str, AfterValidator(str.lower)] = ""
    content: str = ""
    thinking: str = ""
    images: Images = Field(default_factory=list)
    tool_calls: Annotated[list[ToolCall], FailFast(), null_is({})] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class ToolFunction(WireModel):
    """The function of a tool. What else is in it is kept, and so is the whole of the schema in `parameters`."""

    model_config = ConfigDict(extra="allow")

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(WireModel):
    """A tool that the model may call."""

    type: str = ""
    function: ToolFunction = Field(default_factory=ToolFunction)


class _Generation(WireModel):
    """What chat and generate have in common."""

    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    think: Thinking | None = None
    logprobs: bool = False
    top_logprobs: Int = 0
    truncate: bool = True
    shift: bool = True


_OPTIONS_TYPE = {"options": "map[string]interface {}"}
MESSAGE_TYPES = {
    "messages": "[]api.Message",
    "messages[]": "api.Alias",
    "messages.images": "[]api.ImageData",
    "messages.images[]": "api.ImageData",
    "messages.tool_calls": "[]api.ToolCall",
    "messages.tool_calls[]": "api.ToolCall",
    "messages.tool_calls.function": "api.ToolCallFunction",
}
"""The Go types within a list of messages."""


class ChatRequest(_Generation):
    """`POST /api/chat`."""

    go_type: ClassVar[str] = "ChatRequest"
    go_types: ClassVar[dict[str, str]] = (
        _OPTIONS_TYPE
        | MESSAGE_TYPES
        | {
            "tools": "api.Tools",
            "tools[]": "api.Tool",
            "tools.function": "api.ToolFunction",
            "tools.function.parameters": "api.ToolFunctionParameters",
        }
    )
    go_owners: ClassVar[dict[str, str]] = {"tools": "Tool", "tools.function": "ToolFunction"}

    messages: Annotated[list[Message], FailFast(), null_is({})] = Field(default_factory=list)
    tools: Annotated[list[Tool], FailFast(), null_is({})] = Field(default_factory=list)


class GenerateRequest(_Generation):
    """`POST /api/generate`."""

    go_type: ClassVar[str] = "GenerateRequest"
    go_types: ClassVar[dict[str, str]] = _OPTIONS_TYPE | {
        "context": "[]int",
        "images": "[]api.ImageData",
        "images[]": "api.ImageData",
    }

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: Annotated[list[Int], FailFast(), null_is(0)] = Field(default_factory=list)
    raw: bool = False
    images: Images = Field(default_factory=list)


class EmbedRequest(WireModel):
    """`POST /api/embed`. `input` is checked by `inputs`, with the text that Ollama has for it."""

    go_type: ClassVar[str] = "EmbedRequest"
    go_types: ClassVar[dict[str, str]] = _OPTIONS_TYPE

    model: str = ""
    input: Any = None
    truncate: bool = True
    dimensions: Int = 0
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class EmbeddingsRequest(WireModel):
    """`POST /api/embeddings`, the older call."""

    go_type: ClassVar[str] = "EmbeddingRequest"
    go_types: ClassVar[dict[str, str]] = _OPTIONS_TYPE

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class ShowRequest(WireModel):
    """`POST /api/show`; older clients send `name`."""

    go_type: ClassVar[str] = "ShowRequest"

    model: str = ""
    name: str = ""
    verbose: bool = False
