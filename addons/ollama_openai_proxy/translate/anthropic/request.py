"""A request of Anthropic's as the arguments of a chat completion.

What differs in shape: results of tools are blocks of the user's message there, and messages of their own here, which hold
nothing but text and stand right behind the call. What differs in strictness: chat templates want the one system message at the
beginning and the roles in turn, so messages of one role are joined, as Anthropic does it as well.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
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
from ...schemas.ollama.options import check_options
from ..ollama.chat_messages import shorten_call_ids
from ..ollama.request import response_format, streamed
from ..server_profiles import sampling_parameters, supported_format, thinking_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...schemas.anthropic import Block, ImageSource, InputMessage, MessagesRequest
    from ...schemas.ollama.requests import Think
    from ..model_descriptions import Model
    from ..ollama.chat_messages import OpenAIMessage
    from ..ollama.request import Parameters
    from ..server_profiles import Profile

type Part = dict[str, Any]

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
    form = supported_format(response_format(schema), profile)
    instruction = ""
    if form and form["type"] == "json_object":
        instruction = f"Answer with a JSON object that fits this JSON schema: {_json(schema)}"
    messages = chat_messages(asked, model.system, instruction, reasoning_back=profile.reasoning_back)
    if profile.short_call_ids:
        shorten_call_ids(messages)
    parameters: Parameters = {"model": model.target, "messages": messages}
    parameters |= sampling_parameters(check_options({**model.options, **_options(asked)}), profile)
    parameters |= thinking_parameters(wanted_thinking(asked), profile)
    parameters |= _tool_parameters(asked)
    if form:
        parameters["response_format"] = form
    return parameters | streamed(profile)


def count_tokens(asked: MessagesRequest) -> int:
    """Roughly how many tokens a model makes of a request; at least 1.

    Raises:
        InvalidRequest: the request refers to a file that lies with Anthropic.
    """
    tools = _tools(asked)
    characters = len(_json(tools)) if tools else 0
    pictures = 0
    for message in chat_messages(asked):
        for call in message.get("tool_calls") or ():
            characters += len(call["function"]["name"]) + len(call["function"]["arguments"])
        content = message["content"] or ""
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


def chat_messages(
    asked: MessagesRequest, default_system: str = "", instruction: str = "", *, reasoning_back: bool = False
) -> list[OpenAIMessage]:
    """The conversation for a back end.

    Args:
        asked: the request.
        default_system: the system prompt for a request that brings none.
        instruction: what the system prompt says besides.
        reasoning_back: whether the back end wants the reasoning behind a model's tool calls.

    Raises:
        InvalidRequest: the request refers to a file that lies with Anthropic.
    """
    leading = 0
    while leading < len(asked.messages) and asked.messages[leading].role == "system":
        leading += 1
    prompts = [_system_text(asked.system), *(_system_text(message.content) for message in asked.messages[:leading])]
    system = _lines(*prompts) or default_system
    sent: list[OpenAIMessage] = []
    if text := "\n\n".join(filter(None, (system, instruction))):
        sent.append({"role": "system", "content": text})
    calls: Mapping[str, ToolUseBlock] = {}
    for turn in _turns(asked.messages[leading:]):
        if turn.role == "assistant":
            calls = _calls(turn.blocks)
            sent.append(_answer(turn.blocks, calls, reasoning_back=reasoning_back))
        else:
            sent += _user(turn.blocks, calls)
            calls = {}
    if calls:
        sent += _user([], calls)
    return sent


@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[Block]


def _turns(messages: Sequence[InputMessage]) -> list[_Turn]:
    """The messages, those of one role in a row as one.

    A system message in the midst is what Claude Code would else put into the user's, in the tags that its models know. Many
    templates refuse it there, and at the front, where it would change from call to call, it would spoil the prompt's cache.
    """
    turns: list[_Turn] = []
    for message in messages:
        role, blocks = message.role, message.content
        if role == "system":
            role, blocks = "user", [TextBlock(text=f"<system-reminder>\n{_system_text(blocks)}\n</system-reminder>")]
        if turns and turns[-1].role == role:
            turns[-1].blocks += blocks
        else:
            turns.append(_Turn(role, list(blocks)))
    return turns


def _system_text(blocks: Sequence[Block]) -> str:
    """A system prompt, without the line for Anthropic's books that Claude Code has at its front.

    It is another one with each call, so that no back end could ever find the rest of the prompt in its cache.
    """
    texts = (block.text for block in blocks if isinstance(block, TextBlock))
    return _lines(*(text.partition("\n")[2] if text.startswith(_BILLING) else text for text in texts))


def _answer(blocks: Sequence[Block], calls: Mapping[str, ToolUseBlock], *, reasoning_back: bool) -> OpenAIMessage:
    """A model's message. Its blocks of text are one text, parted only by what Anthropic's servers did in between."""
    texts: list[str] = []
    for block in blocks:
        match block:
            case TextBlock(text=text):
                texts.append(text)
            case OtherBlock() if other := _other_text(block):
                texts.append(f"\n{other}\n")
    content = "".join(texts)
    if not calls:
        return {"role": "assistant", "content": content}
    message: OpenAIMessage = {"role": "assistant", "content": content or None, "tool_calls": []}
    for call_id, call in calls.items():
        function = {"name": call.name, "arguments": _json(call.input)}
        message["tool_calls"].append({"id": call_id, "type": "function", "function": function})
    thinking = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    if reasoning_back and thinking:
        message["reasoning_content"] = thinking
    return message


def _calls(blocks: Sequence[Block]) -> dict[str, ToolUseBlock]:
    """The calls by id; two calls of a message never share one."""
    calls: dict[str, ToolUseBlock] = {}
    for block in blocks:
        if isinstance(block, ToolUseBlock):
            call_id = block.id
            while call_id in calls:
                call_id += "_"
            calls[call_id] = block
    return calls


def _user(blocks: Sequence[Block], calls: Mapping[str, ToolUseBlock]) -> Iterator[OpenAIMessage]:
    """A result for each call, then a user's message with what the results cannot hold and with all the rest."""
    used: set[int] = set()
    parts: list[Part] = []
    for call_id, call in calls.items():
        found = (block for block in blocks if isinstance(block, ToolResultBlock) and block.tool_use_id == call.id)
        result = next((block for block in found if id(block) not in used), None)
        content = ""
        if result is not None:
            used.add(id(result))
            results = list(_parts([result]))
            content = _lines(*(part["text"] for part in results if "text" in part))
            parts += [part for part in results if "text" not in part]
        yield {"role": "tool", "tool_call_id": call_id, "content": content}
    parts += _parts([block for block in blocks if id(block) not in used])
    if all("text" in part for part in parts):
        # Not all servers take a list.
        text = _lines(*(part["text"] for part in parts))
        if text or not calls:
            yield {"role": "user", "content": text}
    else:
        yield {"role": "user", "content": parts}


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


def _tool_parameters(asked: MessagesRequest) -> Parameters:
    """The tools and how they are to be used; nothing where none is left, for a choice without tools is refused."""
    tools = _tools(asked)
    if not tools:
        return {}
    parameters: Parameters = {"tools": tools}
    if choice := asked.tool_choice:
        match choice.type:
            case "any":
                parameters["tool_choice"] = "required"
            case "none":
                parameters["tool_choice"] = "none"
            case "tool" if any(tool["function"]["name"] == choice.name for tool in tools):
                parameters["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
        if choice.disable_parallel_tool_use:
            parameters["parallel_tool_calls"] = False
    return parameters


def _tools(asked: MessagesRequest) -> list[dict[str, Any]]:
    """The client's own tools. Of Anthropic's nothing says what they do: their models know them, or their servers run them."""
    tools: list[dict[str, Any]] = []
    for tool in asked.tools:
        if isinstance(tool, CustomTool):
            function: dict[str, Any] = {"name": tool.name}
            if tool.description:
                function["description"] = tool.description
            function["parameters"] = tool.input_schema or {"type": "object", "properties": {}}
            tools.append({"type": "function", "function": function})
    return tools


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
