"""The messages of a chat completion become input items, with the reasoning that the client has given back."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.events import ReasoningState, ToolCallBegin
from ollama_openai_proxy.translate.responses_backend.chat_items import input_items, instructions, restored_messages
from ollama_openai_proxy.translate.responses_backend.reasoning_items import (
    detail_of,
    items_of,
    own_details,
    without_items,
)
from ollama_openai_proxy.translate.writers.carried_state import id_of_call

REASONING = {"type": "reasoning", "id": "rs_1", "encrypted_content": "abc", "summary": [{"type": "summary_text", "text": "Hm"}]}
KEPT = REASONING | {"summary": []}
DETAIL = {"type": "responses.item", "item": KEPT}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def message(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def said(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


@pytest.mark.parametrize(
    ("messages", "items"),
    [
        ([{"role": "user", "content": "hi"}], [message("user", said("hi"))]),
        ([{"role": "user", "content": None}], [message("user", said(""))]),
        (
            [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
            [message("user", said("a")), message("system", said("b"))],
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:x"}},
                        {"type": "image_url", "image_url": {"url": "data:y", "detail": "low"}},
                        {"type": "file", "file": {"file_id": "f"}},
                        {"type": "input_audio", "input_audio": {"data": "x"}},
                        "odd",
                    ],
                }
            ],
            [
                message(
                    "user",
                    said("look"),
                    {"type": "input_image", "image_url": "data:x", "detail": "auto"},
                    {"type": "input_image", "image_url": "data:y", "detail": "low"},
                    {"type": "input_file", "file_id": "f"},
                    {"type": "input_audio", "input_audio": {"data": "x"}},
                )
            ],
        ),
        ([{"role": "assistant", "content": "yes"}], [message("assistant", {"type": "output_text", "text": "yes"})]),
        (
            [{"role": "assistant", "content": None, "refusal": "no"}],
            [message("assistant", {"type": "output_text", "text": "no"})],
        ),
        (
            [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}],
            [message("assistant", {"type": "output_text", "text": "a\nb"})],
        ),
        ([{"role": "assistant", "content": ""}], []),
        (
            [{"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_details": [{"type": "other"}, DETAIL]}],
            [KEPT, {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}],
        ),
        (
            [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": "x"}}, {"id": "d"}],
                }
            ],
            [
                {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": "x"},
                {"type": "function_call", "call_id": "d", "name": "", "arguments": ""},
            ],
        ),
        (
            [{"role": "tool", "tool_call_id": "c", "content": "ok"}],
            [{"type": "function_call_output", "call_id": "c", "output": "ok"}],
        ),
        (
            [{"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            [{"type": "function_call_output", "call_id": "c", "output": "a\nb"}],
        ),
        (
            [
                {
                    "role": "tool",
                    "tool_call_id": "c",
                    "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}],
                }
            ],
            [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [said("a"), {"type": "input_image", "image_url": "u", "detail": "auto"}],
                }
            ],
        ),
        (
            [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "ok"},
            ],
            [
                message("user", said("hi")),
                {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "ok"},
            ],
        ),
        ([{"role": "function", "content": "ok"}], [{"type": "function_call_output", "call_id": "call_0", "output": "ok"}]),
    ],
)
def test_each_message(messages: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    assert input_items(messages) == items
    assert input_items([{"role": "system", "content": "first"}, *messages]) == items


def test_instructions_end_with_the_first_other_message() -> None:
    assert (
        instructions([{"role": "system", "content": [{"type": "text", "text": "a"}]}, {"role": "user"}, {"role": "system"}])
        == "a"
    )
    assert instructions([]) == ""


def test_a_client_gives_reasoning_back_in_the_id_of_a_call() -> None:
    call_id = id_of_call(ToolCallBegin(0, "call_1", "f"), ReasoningState([DETAIL]))
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [CALL | {"id": call_id}]},
        {"role": "tool", "tool_call_id": call_id, "content": "ok"},
        {"role": "assistant", "tool_calls": [CALL]},
    ]
    user, assistant, result, other = restored_messages(messages)
    assert user is messages[0]
    assert assistant == {"role": "assistant", "tool_calls": [CALL], "reasoning_details": [DETAIL]}
    assert result["tool_call_id"] == "call_1"
    assert other == messages[3]


def test_only_encrypted_reasoning_is_carried() -> None:
    assert detail_of(REASONING) == DETAIL
    assert detail_of({"type": "reasoning", "id": "rs_1"}) is None
    assert detail_of({"type": "message", "encrypted_content": "x"}) is None
    assert items_of(None) == items_of([{"type": "responses.item", "item": 5}]) == []
    assert own_details([DETAIL, {"type": "reasoning.text"}]) == [DETAIL]
    assert own_details("odd") == []


def test_chat_completions_get_no_reasoning_items() -> None:
    theirs = {"type": "reasoning.text"}
    plain = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert without_items(plain) == plain
    assert without_items({"prompt": "hi"}) == {"prompt": "hi"}
    mixed = {"role": "assistant", "reasoning_details": [DETAIL, theirs]}
    own = {"role": "assistant", "reasoning_details": [DETAIL]}
    stripped = without_items({"messages": [{"role": "user"}, mixed, own]})
    assert stripped == {
        "messages": [{"role": "user"}, {"role": "assistant", "reasoning_details": [theirs]}, {"role": "assistant"}]
    }
