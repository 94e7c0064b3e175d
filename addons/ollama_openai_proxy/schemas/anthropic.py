"""Anthropic's requests to `/v1/messages`: what of them a chat completion can answer.

Fields that are not here are ignored, and `null` is as good as nothing. A text may stand wherever a list of content blocks may;
it is read as a list of one. A block or a tool of a type that is not here is kept as it is: it belongs to one of Anthropic's own
servers, and a client must not fail for having used one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ..errors import InvalidRequest
from .go_json_decoding import first_value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_OTHER = "other"


class _Object(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


def _blocks(value: object) -> object:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("anthropic", "Input should be a string or a list of content blocks")
    return value


def _some(messages: list[InputMessage]) -> list[InputMessage]:
    if not messages:
        raise PydanticCustomError("anthropic", "at least one message is required")
    return messages


def _by_type(*known: str, untyped: str = _OTHER) -> Discriminator:
    """Tells the members of a union apart; `untyped` is which one has no type."""

    def tag(value: Any) -> str:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind is None:
            return untyped
        return kind if isinstance(kind, str) and kind in known else _OTHER

    return Discriminator(tag)


# ── sources


class Base64Source(_Object):
    """Data that the request carries."""

    media_type: str
    data: str


class URLSource(_Object):
    """Data that lies elsewhere."""

    url: str


class TextSource(_Object):
    """The text of a document."""

    data: str


class ContentSource(_Object):
    """The content blocks of a document."""

    content: Content


class OtherSource(_Object):
    """Data that lies with Anthropic."""

    type: str


type ImageSource = Annotated[
    Annotated[Base64Source, Tag("base64")] | Annotated[URLSource, Tag("url")] | Annotated[OtherSource, Tag(_OTHER)],
    _by_type("base64", "url"),
]
type DocumentSource = Annotated[
    Annotated[Base64Source, Tag("base64")]
    | Annotated[URLSource, Tag("url")]
    | Annotated[TextSource, Tag("text")]
    | Annotated[ContentSource, Tag("content")]
    | Annotated[OtherSource, Tag(_OTHER)],
    _by_type("base64", "url", "text", "content"),
]


# ── content blocks


class TextBlock(_Object):
    """Text."""

    text: str


class ImageBlock(_Object):
    """A picture."""

    source: ImageSource


class DocumentBlock(_Object):
    """A document: a PDF, or text with a title and a remark on it."""

    source: DocumentSource
    title: str = ""
    context: str = ""


class SearchResultBlock(_Object):
    """What a client's own search has found; `source` is where."""

    source: str
    title: str
    content: Content


class ThinkingBlock(_Object):
    """A model's thinking, as it was answered, with the signature that was given with it."""

    thinking: str
    signature: str = ""


class ToolUseBlock(_Object):
    """A call that a model made."""

    id: str
    name: str
    input: dict[str, Any] = Field(default_factory=dict)


class ToolResultBlock(_Object):
    """What the client has to say to a call."""

    tool_use_id: str
    content: Content = Field(default_factory=list)
    is_error: bool = False


class OtherBlock(_Object):
    """A block of any other type, with all its fields."""

    model_config = ConfigDict(extra="allow")

    type: str


type Block = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[OtherBlock, Tag(_OTHER)],
    _by_type("text", "image", "document", "search_result", "thinking", "tool_use", "tool_result"),
]
type Content = Annotated[list[Block], FailFast(), BeforeValidator(_blocks)]


# ── the rest of a request


class InputMessage(_Object):
    """One message of a conversation. A system message may stand between others; Claude Code sends such."""

    role: Literal["user", "assistant", "system"]
    content: Content


class CustomTool(_Object):
    """A tool of the client's own."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class OtherTool(_Object):
    """A tool that only Anthropic's models or servers know, by its type."""

    type: str


type Tool = Annotated[
    Annotated[CustomTool, Tag("custom")] | Annotated[OtherTool, Tag(_OTHER)], _by_type("custom", untyped="custom")
]


class ToolChoice(_Object):
    """Which tools the model may or must call: `auto`, `any`, `none`, or `tool` with a name."""

    type: str
    name: str = ""
    disable_parallel_tool_use: bool = False


class Thinking(_Object):
    """Whether the model should think: `enabled` with a budget, `adaptive` or `disabled`."""

    type: str
    budget_tokens: int | None = None


class OutputFormat(_Object):
    """The form of the answer's text."""

    type: str
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")


class OutputConfig(_Object):
    """How much effort the model should make, and the form of its answer's text."""

    effort: str = ""
    format: OutputFormat | None = None


class MessagesRequest(_Object):
    """`POST /v1/messages`.

    Attributes:
        output_format: where the form of the answer stood before there was an `output_config`.
    """

    model: str
    messages: Annotated[list[InputMessage], FailFast(), AfterValidator(_some)]
    max_tokens: int = Field(ge=1)
    system: Content = Field(default_factory=list)
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = Field(default_factory=list)
    tools: Annotated[list[Tool], FailFast()] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig = Field(default_factory=OutputConfig)
    output_format: OutputFormat | None = None


class CountRequest(MessagesRequest):
    """`POST /v1/messages/count_tokens`, where nothing is answered and so nothing limited."""

    max_tokens: int = 1


def parse_messages_request(body: bytes, *, counting: bool = False) -> MessagesRequest:
    """Validate a request body; `counting` is for one that only asks for its number of tokens.

    Raises:
        InvalidRequest: with a sentence that names the field, as Anthropic's do, and says nothing of what was in it.
    """
    try:
        value = first_value(body)
    except InvalidRequest:
        # Its words are those of Go, and quote.
        raise InvalidRequest("The request body is not valid JSON") from None
    try:
        return (CountRequest if counting else MessagesRequest).model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(_sentence(error.errors(include_url=False, include_input=False)[0])) from None


def _sentence(error: ErrorDetails) -> str:
    """What is wrong, after the path to it, which has the types of the blocks in it; those of unknown type have none."""
    path = ".".join(str(part) for part in error["loc"] if part != _OTHER)
    text = "Input should be an object" if error["type"] in ("model_type", "dict_type") else error["msg"]
    return f"{path}: {text}" if path else text
