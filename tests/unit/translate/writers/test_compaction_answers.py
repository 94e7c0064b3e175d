"""The answers to requests for a compaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Finish, Text, Thinking
from ollama_openai_proxy.translate.openai_responses.compaction import no_summary, open_summary
from ollama_openai_proxy.translate.writers.compaction_answers import CompactionAnswerWriter, CompactionStreamWriter
from openai.types.responses import ResponseCompactionItem

from .answers import written
from .sse import events as sse_events

if TYPE_CHECKING:
    from ollama_openai_proxy.translate.events import Event

STOP = Finish("stop", Usage(input_tokens=7, output_tokens=5))
REQUEST = ResponsesRequest.model_validate({"model": "m", "input": "go on", "stream": True})


def streamed(*events: Event) -> list[dict[str, Any]]:
    writer = CompactionStreamWriter(REQUEST, response_id="resp_1", unix_time=lambda: 1.0)
    return sse_events(written(writer, list(events)))


def whole(*events: Event) -> bytes:
    return written(CompactionAnswerWriter(REQUEST, response_id="resp_1", unix_time=lambda: 1.0), list(events))


def test_a_stream_has_the_compaction_as_its_only_item() -> None:
    events = streamed(Thinking("hm"), Text("All "), Text("of it."), STOP)
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.completed",
    ]
    (item,) = events[-1]["response"]["output"]
    assert events[-2]["item"] == item
    assert (item["type"], open_summary(item["encrypted_content"])) == ("compaction", "All of it.")
    assert events[-1]["response"]["usage"]["output_tokens"] == 5


def test_a_summary_that_was_cut_is_a_summary_nevertheless() -> None:
    assert streamed(Text("All"), Finish("length", STOP.usage))[-1]["type"] == "response.completed"


def test_a_model_that_says_nothing_fails() -> None:
    events = streamed(STOP)
    assert [event.get("type") for event in events[2:]] == ["response.failed", None]
    assert events[-1]["error"]["code"] == "compaction_failed"


def test_thinking_is_taken_where_there_is_nothing_else() -> None:
    (item,) = streamed(Thinking("all of it"), STOP)[-1]["response"]["output"]
    assert open_summary(item["encrypted_content"]) == "all of it"


def test_a_reply_has_the_users_messages_and_the_compaction() -> None:
    reply = json.loads(whole(Text("All of it."), STOP))
    message, item = reply["output"]
    assert reply["object"] == "response.compaction"
    # The SDK's types have no message of the user among a Response's items, although its own words promise one here.
    assert ResponseCompactionItem.model_validate(item).type == "compaction"
    assert message["content"] == [{"type": "input_text", "text": "go on"}]
    assert open_summary(item["encrypted_content"]) == "All of it."
    assert reply["usage"]["total_tokens"] == 12


def test_there_is_no_reply_without_a_summary() -> None:
    assert whole(STOP) == b""
    writer = CompactionAnswerWriter(REQUEST, response_id="resp_1")
    assert (writer.begin(), writer.keep_alive(), writer.fail(no_summary())) == (b"", b"", b"")
