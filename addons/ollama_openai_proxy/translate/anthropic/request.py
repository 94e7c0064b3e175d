"""A request of Anthropic's as the arguments of a chat completion.

Results of tools are blocks of the user's message there, and turns of their own here.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...schemas.anthropic import (
    Base64Source,
    ContentSource,
    CustomTool,
    DocumentBlock,
    ImageBlock,
    OtherBlock,
    SearchResultBlock,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    URLSource,
)
from ..chat_completion import ChatCall, chat_completion, function_tools
from ..conversation_normalizer import Call, Turn, chat_messages
from ..ollama.request import response_format
from ..opaque_state import decode_state
from ..server_profiles import PROFILES
from ..tool_names import ToolNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...schemas.anthropic import Block, ImageSource, MessagesRequest
    from ...schemas.ollama.requests import Think
    from ..chat_completion import Parameters
    from ..conversation_normalizer import Content, Part
    from ..ollama_descriptions import Model
    from ..server_profiles import Profile

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 1600
"""What Anthropic counts for the largest picture that it does not scale down. A picture's size is not known here, and clients
count to keep within the context, so that too many is better than too few."""
_PAGE = 50_000
"""Characters of a PDF in base64 that stand for a page, which counts as a picture."""

_LOW_BUDGET, _MEDIUM_BUDGET = 4096, 16384
"""The largest budgets of thinking that are a low and a medium effort. Claude Code has sent 4000, 10000 and 31999 for "think",
"think hard" and "ultrathink"."""
_EFFORTS: dict[str, Think] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
    "ultra": "max",
}
_BILLING = "x-anthropic-billing-header:"
_FILE = "messages: an image or a document of the Files API cannot be read here; send it in base64 or give its URL"


def chat_parameters(asked: MessagesRequest, model: Model, profile: Profile) -> Parameters:
    """The arguments of `chat.completions.create`, always for a stream.

    Raises:
        InvalidRequest: the request refers to a file that lies with Anthropic, or the model's own options are wrong.
    """
    wanted = asked.output_config.format or asked.output_format
    schema = wanted.json_schema if wanted and wanted.type == "json_schema" else None
    names = tool_names(asked)
    functions = list(_functions(asked))
    call = ChatCall(
        turns(asked, model.system),
        names,
        options=_options(asked),
        think=wanted_thinking(asked),
        response_format=response_format(schema),
        tools=functions,
        further=_tool_choice(asked, names) if functions else {},
        by_id_only=True,
    )
    return chat_completion(call, model, profile)


def tool_names(asked: MessagesRequest) -> ToolNames:
    """The names that a request's tools have for the server."""
    return ToolNames(tool.name for tool in asked.tools if isinstance(tool, CustomTool))


def count_tokens(asked: MessagesRequest) -> int:
    """Roughly how many tokens a model makes of a request; at least 1.

    Raises:
        InvalidRequest: the request refers to a file that lies with Anthropic.
    """
    names = tool_names(asked)
    tools = function_tools(_functions(asked), names)
    characters = len(_json(tools)) if tools else 0
    pictures = 0
    for message in chat_messages(turns(asked), PROFILES["generic"], names, by_id_only=True):
        for call in message.get("tool_calls") or ():
            characters += len(call["function"]["name"]) + len(call["function"]["arguments"])
        content = message["content"]
        for part in [_text_part(content)] if isinstance(content, str) else content:
            match part:
                case {"text": text}:
                    characters += len(text)
                case {"file": {"file_data": data}}:
                    pictures += math.ceil(len(data) / _PAGE)
                case _:
                    pictures += 1
    return max(math.ceil(characters / CHARACTERS_PER_TOKEN) + pictures * IMAGE_TOKENS, 1)


def wanted_thinking(asked: MessagesRequest) -> Think | None:
    """The `think` that the request stands for; None where it says nothing of it.

    A budget is an effort, too; without one an `effort` that is asked for is the model's to think with.
    """
    effort = _EFFORTS.get(asked.output_config.effort)
    thinking = asked.thinking
    if thinking is None:
        return effort
    if thinking.type == "disabled":
        return False
    if thinking.type == "enabled" and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
        return "low" if budget <= _LOW_BUDGET else "medium" if budget <= _MEDIUM_BUDGET else "high"
    return effort or True


def turns(asked: MessagesRequest, default_system: str = "") -> list[Turn]:
    """The conversation.

    A system message in the midst is what Claude Code would else put into the user's, in the tags that its models know. At the
    front, where it would change from call to call, it would spoil the prompt's cache.

    Args:
        asked: the request.
        default_system: the system prompt for a request that brings none.

    Raises:
        InvalidRequest: the request refers to a file that lies with Anthropic.
    """
    leading = 0
    while leading < len(asked.messages) and asked.messages[leading].role == "system":
        leading += 1
    prompts = [_system_text(asked.system), *(_system_text(message.content) for message in asked.messages[:leading])]
    made = [Turn("system", _lines(*prompts) or default_system)]
    for message in asked.messages[leading:]:
        match message.role:
            case "assistant":
                made.append(_answer(message.content))
            case "user":
                made += _user(message.content)
            case "system" if text := _system_text(message.content):
                made.append(Turn("user", f"<system-reminder>\n{text}\n</system-reminder>"))
    return made


def _system_text(blocks: Sequence[Block]) -> str:
    """A system prompt, without the line for Anthropic's books that Claude Code has at its front.

    It is another one with each call, so that no back end could ever find the rest of the prompt in its cache.
    """
    texts = (block.text for block in blocks if isinstance(block, TextBlock))
    return _lines(*(text.partition("\n")[2] if text.startswith(_BILLING) else text for text in texts))


def _answer(blocks: Sequence[Block]) -> Turn:
    """A model's message. Its blocks of text are one text, parted only by what Anthropic's servers did in between."""
    turn = Turn("assistant")
    texts: list[str] = []
    thoughts: list[str] = []
    for block in blocks:
        match block:
            case TextBlock(text=text):
                texts.append(text)
            case ToolUseBlock(id=call_id, name=name, input=arguments):
                turn.calls.append(Call(name, _json(arguments), call_id))
            case ThinkingBlock(thinking=thinking, signature=signature):
                thoughts.append(thinking)
                turn.state = {**turn.state, **decode_state(signature)}
            case OtherBlock() if other := _other_text(block):
                texts.append(f"\n{other}\n")
    turn.content = "".join(texts)
    turn.reasoning = "".join(thoughts)
    return turn


def _user(blocks: Sequence[Block]) -> Iterator[Turn]:
    """The results of tools, then a user's message with all the rest."""
    for block in blocks:
        if isinstance(block, ToolResultBlock):
            yield Turn("tool", _content([block]), call_id=block.tool_use_id)
    yield Turn("user", _content([block for block in blocks if not isinstance(block, ToolResultBlock)]))


def _content(blocks: Sequence[Block]) -> Content:
    parts = list(_parts(blocks))
    if all("text" in part for part in parts):
        # Not all servers take a list.
        return _lines(*(part["text"] for part in parts))
    return parts


def _parts(blocks: Sequence[Block]) -> Iterator[Part]:
    """The parts of a user's message, or of a tool's result, that blocks become."""
    for block in blocks:
        match block:
            case TextBlock(text=text) if text:
                yield _text_part(text)
            case ImageBlock(source=source):
                yield {"type": "image_url", "image_url": {"url": _image_url(source)}}
            case DocumentBlock():
                yield from _document(block)
            case SearchResultBlock():
                found = (part["text"] for part in _parts(block.content) if "text" in part)
                yield _text_part(_lines(block.title, block.source, *found))
            case ToolResultBlock(is_error=is_error, content=content):
                if is_error:
                    yield _text_part("The tool failed:")
                yield from _parts(content)
            case OtherBlock() if text := _other_text(block):
                yield _text_part(text)


def _image_url(source: ImageSource) -> str:
    match source:
        case Base64Source():
            return f"data:{source.media_type};base64,{source.data}"
        case URLSource():
            return source.url
    raise InvalidRequest(_FILE)


def _document(block: DocumentBlock) -> Iterator[Part]:
    match block.source:
        case Base64Source(media_type=media_type, data=data):
            if block.context:
                yield _text_part(block.context)
            file = {"filename": block.title or "document.pdf", "file_data": f"data:{media_type};base64,{data}"}
            yield {"type": "file", "file": file}
        case TextSource(data=data):
            yield _text_part(_lines(block.title, block.context, data))
        case URLSource(url=url):
            # A chat completion has no place for it, but a model may have a tool to fetch it.
            yield _text_part(_lines(block.title, block.context, url))
        case ContentSource(content=content):
            if heading := _lines(block.title, block.context):
                yield _text_part(heading)
            yield from _parts(content)
        case _:
            raise InvalidRequest(_FILE)


def _other_text(block: OtherBlock) -> str:
    """A block that only Anthropic's servers know, as JSON; nothing of what they have encrypted, for no one else can read it."""
    if block.type == "redacted_thinking":
        return ""
    return _json(_readable({"type": block.type, **(block.model_extra or {})}))


def _readable(value: Any) -> Any:
    match value:
        case dict():
            kept = {name: item for name, item in value.items() if not name.startswith("encrypted_") and name != "cache_control"}
            return {name: _readable(item) for name, item in kept.items()}
        case list():
            return [_readable(item) for item in value]
    return value


def _options(asked: MessagesRequest) -> dict[str, Any]:
    """Ollama's options for what the request sets."""
    options = {
        "num_predict": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "stop": asked.stop_sequences or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _tool_choice(asked: MessagesRequest, names: ToolNames) -> Parameters:
    """How the tools are to be used."""
    choice = asked.tool_choice
    if choice is None:
        return {}
    parameters: Parameters = {}
    match choice.type:
        case "any":
            parameters["tool_choice"] = "required"
        case "none":
            parameters["tool_choice"] = "none"
        case "tool" if any(isinstance(tool, CustomTool) and tool.name == choice.name for tool in asked.tools):
            parameters["tool_choice"] = {"type": "function", "function": {"name": names.sent(choice.name)}}
    if choice.disable_parallel_tool_use:
        parameters["parallel_tool_calls"] = False
    return parameters


def _functions(asked: MessagesRequest) -> Iterator[dict[str, Any]]:
    """The client's own tools. Of Anthropic's nothing says what they do: their models know them, or their servers run them."""
    for tool in asked.tools:
        if isinstance(tool, CustomTool):
            description = {"description": tool.description} if tool.description else {}
            yield {"name": tool.name, **description, "parameters": tool.input_schema}


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
