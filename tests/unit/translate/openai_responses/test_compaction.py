"""A summary takes the place of a conversation, and is carried by the client."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.openai_responses.compaction import (
    INSTRUCTION,
    MOST_KEPT_TOKENS,
    asks_for_compaction,
    check_compact,
    check_trigger,
    has_trigger,
    kept_messages,
    open_summary,
    seal_summary,
    summary_message,
    with_summaries,
)
from ollama_openai_proxy.translate.openai_responses.request import compaction_parameters
from ollama_openai_proxy.translate.server_profiles import PROFILES

USER = {"type": "message", "role": "user", "content": "go"}
TRIGGER = {"type": "compaction_trigger"}


def asking(*items: dict[str, Any], **fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", "input": list(items), **fields})


@given(st.text())
def test_a_summary_comes_back_as_it_was(summary: str) -> None:
    assert open_summary(seal_summary(summary)) == summary


@pytest.mark.parametrize(
    "text",
    ["", "gAAAA-of-another-server", "summary1_", "summary1_!", "summary1_A", "summary1_AAAA", seal_summary("a" * 99)[:-8]],
)
def test_what_another_server_made_is_not_opened(text: str) -> None:
    assert open_summary(text) is None


def test_the_model_is_asked_for_a_summary_and_may_call_nothing() -> None:
    tool = {"type": "function", "name": "f"}
    asked = asking(
        USER, TRIGGER, tools=[tool], tool_choice="required", text={"format": {"type": "json_object"}}, max_output_tokens=1
    )
    model = replace(read_model({"id": "m"}, 0), target="m")
    parameters = compaction_parameters(asked, model, PROFILES["generic"])
    assert parameters["tool_choice"] == "none"
    assert len(parameters["tools"]) == 1
    assert not {"response_format", "max_tokens"} & parameters.keys()
    content = parameters["messages"][-1]["content"]
    assert parameters["messages"][-1]["role"] == "user"
    assert INSTRUCTION in str(content)
    assert "go" in str(parameters["messages"])


@pytest.mark.parametrize(("items", "asks"), [([], False), ([USER], False), ([USER, TRIGGER], True), ([TRIGGER, USER], False)])
def test_a_trigger_counts_at_the_end(items: list[dict[str, Any]], asks: bool) -> None:
    assert asks_for_compaction(asking(*items).input) is asks
    assert has_trigger(items) is asks


@pytest.mark.parametrize("items", [None, "text", ["text"]])
def test_other_inputs_have_no_trigger(items: object) -> None:
    assert has_trigger(items) is False


def test_a_trigger_wants_a_stream() -> None:
    check_trigger(asking(USER, TRIGGER, stream=True))
    check_trigger(asking(USER))
    with pytest.raises(ApiError) as caught:
        check_trigger(asking(USER, TRIGGER))
    assert (caught.value.status, caught.value.message) == (400, "compaction_trigger requires stream=true")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "missing request body"),
        ({}, "missing request body"),
        ({"input": "x"}, "model is required"),
        ({"model": "m"}, "input is required"),
        ({"model": "m", "input": []}, "input is required"),
    ],
)
def test_what_a_request_lacks_is_named(body: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_compact(body)
    assert (caught.value.status, caught.value.message, caught.value.code) == (400, message, "invalid_request_error")


def test_a_whole_request_lacks_nothing() -> None:
    check_compact({"model": "m", "input": "x"})


def test_the_newest_messages_of_the_user_stay_word_for_word() -> None:
    long = {"type": "message", "role": "user", "content": "x" * 4 * MOST_KEPT_TOKENS}
    empty = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}
    answer = {"type": "message", "role": "assistant", "content": "no"}
    kept = kept_messages(asking(USER, long, USER, answer, empty, {**USER, "content": "on"}).input)
    assert [message["content"][0]["text"] for message in kept] == ["go", "on"]
    assert {message["role"] for message in kept} == {"user"}


def test_a_back_end_gets_a_message_in_the_place_of_a_summary_made_here() -> None:
    own = {"type": "compaction", "encrypted_content": seal_summary("all of it")}
    other = {"type": "compaction", "encrypted_content": "of another server"}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": summary_message("all of it")}]}
    assert with_summaries([own, other, USER]) == [message, other, USER]
    assert with_summaries([other, USER]) is None
    assert with_summaries("text") is None


def test_a_summary_that_packs_very_well_comes_back_and_no_bomb_is_opened() -> None:
    summary = "again and again " * 10_000
    assert open_summary(seal_summary(summary)) == summary
    bomb = base64.urlsafe_b64encode(zlib.compress(summary.encode())).decode().rstrip("=")
    assert open_summary(f"summary1_{bomb}") is None
