"""The request of OpenAI's Responses API, field by field.

What a later release of the API adds is ignored, `null` is as if it were not given, and the short forms are written out: a
string stands for one text part, or as `input` for one message of the user.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError, model_validator

from ..errors import InvalidRequest
from .go_json_decoding import first_value, refuse

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _parts(value: object) -> object:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


def _output(value: object) -> object:
    """The parts of a tool's output, which is a text or a list of parts, of some built-in tools another object."""
    if isinstance(value, dict) and "type" in value:
        value = [value]
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, dict) and "type" in part for part in value)):
        return _parts(value)
    return _parts(_compact(value))


def _input(value: object) -> object:
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else value


def _text(value: object) -> object:
    return value if isinstance(value, str) else _compact(value)


def _choice(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in ("auto", "none", "required"):
        raise refuse("should be 'auto', 'none', 'required' or an object")
    return {"type": value}


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class Audio(_Body):
    """A sound; `data` is base64."""

    data: str
    format: Literal["mp3", "wav"]


class Part(_Body):
    """A part of a message, of a tool's output or of a reasoning. Each type has its own fields."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: str = ""
    detail: Literal["auto", "low", "high", "original"] = "auto"
    file_data: str = ""
    filename: str = ""
    input_audio: Audio | None = None


class Tool(_Body):
    """A tool: a function, a `custom` one with free text for input, a `namespace` of such, or one of OpenAI's own.

    Attributes:
        execution: of `tool_search`: whether the client or the server looks for tools; "" leaves it to the server.
    """

    model_config = ConfigDict(extra="allow")

    type: str = "function"
    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] = Field(default_factory=dict)
    execution: str = ""
    tools: Annotated[list[Tool], FailFast()] = Field(default_factory=list)


class Item(_Body):
    """An item of the conversation. Each type has its own fields; one without a type is a message.

    Attributes:
        arguments: of a function call, as JSON text; of the calls of other tools `action` and `operation` are the same.
    """

    type: str = "message"
    id: str = ""
    role: str = ""
    content: Annotated[list[Part], FailFast(), BeforeValidator(_parts)] = Field(default_factory=list)
    call_id: str = ""
    name: str = ""
    namespace: str = ""
    arguments: Annotated[str, BeforeValidator(_text)] = ""
    action: dict[str, Any] = Field(default_factory=dict)
    operation: dict[str, Any] = Field(default_factory=dict)
    input: Annotated[str, BeforeValidator(_text)] = ""
    output: Annotated[list[Part], FailFast(), BeforeValidator(_output)] = Field(default_factory=list)
    summary: Annotated[list[Part], FailFast()] = Field(default_factory=list)
    encrypted_content: str = ""
    tools: Annotated[list[Tool], FailFast()] = Field(default_factory=list)


class AllowedTool(_Body):
    """A tool as `allowed_tools` names it."""

    model_config = ConfigDict(extra="allow")

    name: str = ""


class ToolChoice(_Body):
    """Which tool is to be called. A choice that is one word is of the type of that name."""

    model_config = ConfigDict(extra="allow")

    type: str
    name: str = ""
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[AllowedTool], FailFast()] = Field(default_factory=list)


class Reasoning(_Body):
    """How much the model is to think, and what is to be seen of it.

    Attributes:
        effort: the name of a level; a model may have levels of other names than OpenAI's.
    """

    effort: str | None = None
    summary: str | None = None


class TextFormat(_Body):
    """The form of the answer's text."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "schema"
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> TextFormat:
        if self.type == "json_schema" and self.schema_ is None:
            raise refuse("has no schema")
        return self


class Text(_Body):
    """What is wanted of the answer's text."""

    format: TextFormat = Field(default_factory=lambda: TextFormat(type="text"))
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponsesRequest(_Body):
    """`POST /v1/responses`.

    Attributes:
        think: Ollama's own field, which counts before `reasoning.effort`.
    """

    model: Annotated[str, Field(min_length=1)]
    input: Annotated[list[Item], FailFast(), BeforeValidator(_input)] = Field(default_factory=list)
    instructions: str | None = None
    stream: bool = False
    tools: Annotated[list[Tool], FailFast()] = Field(default_factory=list)
    tool_choice: Annotated[ToolChoice, BeforeValidator(_choice)] = Field(default_factory=lambda: ToolChoice(type="auto"))
    parallel_tool_calls: bool = True
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    include: list[str] = Field(default_factory=list)
    text: Text = Field(default_factory=Text)
    reasoning: Reasoning = Field(default_factory=Reasoning)
    think: bool | str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    truncation: Literal["auto", "disabled"] = "disabled"
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool = False

    @property
    def thinking(self) -> bool | str | None:
        """Whether, or at which level, the model is to think; None where the request does not say."""
        return self.reasoning.effort if self.think is None else self.think

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer is to tell how likely its tokens were."""
        return self.top_logprobs > 0 or "message.output_text.logprobs" in self.include


def parse_responses_request(body: bytes) -> ResponsesRequest:
    """Validate a request body.

    Raises:
        InvalidRequest: the body is no JSON object, or a field is wrong; the message names the field, never its value.
    """
    value = first_value(body)
    if not isinstance(value, dict):
        raise InvalidRequest("The request body should be a JSON object.")
    if not isinstance(value.get("think"), bool | str | None):
        raise InvalidRequest("invalid think value")
    try:
        return ResponsesRequest.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(_sentence(error.errors(include_url=False, include_input=False)[0])) from None


def _sentence(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            what = "is missing"
        case "model_type" | "dict_type":
            what = "should be an object"
        case "list_type":
            what = "should be a list"
        case _:
            what = error["msg"].removeprefix("Input ").removeprefix("String ")
    return f'"{_path(error["loc"])}" {what}.'


def _path(loc: tuple[int | str, ...]) -> str:
    """The field's name, without the keys of free objects: those are the client's, and so is what stands in them."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
        if part == "metadata":
            break
    return path.removeprefix(".")
