"""What is tried with tools: a call and its result, through all three APIs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripts.real_servers.chat_scenarios import EXACT, user
from scripts.real_servers.programs import MODEL
from scripts.real_servers.scenarios import scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama import ChatResponse

    from scripts.real_servers.stage import Stage

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Get the weather of a city.", "parameters": PARAMETERS}
TOOLS = [{"type": "function", "function": FUNCTION}]
QUESTION = user("What is the weather in Paris?")
RESULT = "21 °C"


SAID = f"In Paris: {RESULT}"


def _check(name: object, arguments: object) -> None:
    """Check that the tool of the question is called with what the question says."""
    assert (name, arguments) == ("get_weather", {"city": "Paris"})


def _call(parts: Sequence[ChatResponse]) -> dict[str, Any]:
    """The assistant's message, which must call the tool once and say nothing that looks like a call."""
    content = "".join(part.message.content or "" for part in parts)
    calls = [call.function for part in parts for call in part.message.tool_calls or []]
    assert len(calls) == 1, f"{len(calls)} calls, and the text {content!r}"
    _check(calls[0].name, calls[0].arguments)
    assert "tool_call" not in content, content
    function = {"name": calls[0].name, "arguments": calls[0].arguments}
    return {"role": "assistant", "content": content, "tool_calls": [{"function": function}]}


@scenario("`show` tells whether a model takes tools, and those that do answer calls with tools")
def _capability(stage: Stage) -> None:
    capabilities = stage.sdks.ollama.show(MODEL).capabilities or []
    assert "tools" in capabilities, capabilities
    assert stage.sdks.ollama.chat(MODEL, user("Hello"), tools=TOOLS, options=EXACT).done


@scenario("A tool call and its result, in Ollama's API")
def _ollama(stage: Stage) -> None:
    client = stage.sdks.ollama
    for streamed in (False, True):
        first = client.chat(MODEL, QUESTION, tools=TOOLS, options=EXACT, stream=streamed)
        message = _call(list(first) if streamed else [first])
        name = message["tool_calls"][0]["function"]["name"]
        messages = [*QUESTION, message, {"role": "tool", "tool_name": name, "content": RESULT}]
        second = client.chat(MODEL, messages, tools=TOOLS, options=EXACT)
        assert second.message.content == SAID, second.message.content


@scenario("A tool call and its result, in OpenAI's chat completions")
def _openai(stage: Stage) -> None:
    create: Any = stage.sdks.openai.chat.completions.create
    common = {"model": MODEL, "tools": TOOLS, "temperature": 0, "max_tokens": 100}
    first = create(messages=QUESTION, **common).choices[0]
    assert first.message.tool_calls, f"no call, and the text {first.message.content!r}"
    call = first.message.tool_calls[0]
    _check(call.function.name, json.loads(call.function.arguments))
    assert first.finish_reason == "tool_calls", first.finish_reason
    spoken, ends = "", []
    for chunk in create(messages=QUESTION, stream=True, **common):
        for choice in chunk.choices:
            spoken += "".join(it.function.arguments or "" for it in choice.delta.tool_calls or [])
            ends += [choice.finish_reason] if choice.finish_reason else []
    assert (spoken, ends) == (call.function.arguments, ["tool_calls"])
    said = {"role": "assistant", "content": None, "tool_calls": [call.model_dump(exclude_none=True)]}
    messages = [*QUESTION, said, {"role": "tool", "tool_call_id": call.id, "content": RESULT}]
    assert create(messages=messages, **common).choices[0].message.content == SAID


@scenario("A tool call and its result, in OpenAI's responses")
def _responses(stage: Stage) -> None:
    create: Any = stage.sdks.openai.responses.create
    common = {"model": MODEL, "tools": [{"type": "function", **FUNCTION}], "temperature": 0, "max_output_tokens": 100}
    first = create(input=QUESTION, **common)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 1, f"no call, and the text {first.output_text!r}"
    _check(calls[0].name, json.loads(calls[0].arguments))
    result = {"type": "function_call_output", "call_id": calls[0].call_id, "output": RESULT}
    items = [*QUESTION, *(item.model_dump(exclude_none=True) for item in first.output), result]
    assert create(input=items, **common).output_text == SAID


@scenario("A tool call and its result, in Anthropic's API")
def _anthropic(stage: Stage) -> None:
    messages: Any = stage.sdks.anthropic.messages
    tool = {"name": "get_weather", "description": FUNCTION["description"], "input_schema": PARAMETERS}
    common = {"model": MODEL, "tools": [tool], "max_tokens": 100, "extra_body": {"temperature": 0}}
    first = messages.create(messages=QUESTION, **common)
    uses = [block for block in first.content if block.type == "tool_use"]
    assert len(uses) == 1, f"no call, and {first.content}"
    assert first.stop_reason == "tool_use", first.stop_reason
    _check(uses[0].name, uses[0].input)
    with messages.stream(messages=QUESTION, **common) as stream:
        final = stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [uses[0].input]
    result = {"type": "tool_result", "tool_use_id": uses[0].id, "content": RESULT}
    said = [block.model_dump(exclude_none=True) for block in first.content]
    talk = [*QUESTION, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
    last = messages.create(messages=talk, **common)
    assert [block.text for block in last.content if block.type == "text"] == [SAID], last.content
