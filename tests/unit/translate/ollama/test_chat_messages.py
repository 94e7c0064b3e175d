"""Ollama's conversations as a strict OpenAI server wants them."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.ollama.requests import Message
from ollama_openai_proxy.translate.conversation_normalizer import chat_messages
from ollama_openai_proxy.translate.ollama.chat_messages import media_part, turns
from ollama_openai_proxy.translate.server_profiles import PROFILES
from ollama_openai_proxy.translate.tool_names import ToolNames

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
PNG_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}


def call(name: str, call_id: str = "", **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


def asking(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **fields}


def result(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


def translate(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    made = turns([Message.model_validate(message) for message in messages])
    return chat_messages(made, PROFILES["generic"], ToolNames())


def results(messages: list[dict[str, Any]]) -> dict[str, str]:
    """The content of each tool result by the id of its call."""
    return {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}


# ── roles


@pytest.mark.parametrize(
    ("role", "sent"),
    [
        *(("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant")),
        *(("USER", "user"), ("alien", "user"), ("", "user"), ("tool", "user")),
    ],
)
def test_an_unknown_role_is_a_users(role: str, sent: str) -> None:
    assert translate({"role": role, "content": "x"}) == [{"role": sent, "content": "x"}]


def test_a_conversation_keeps_its_order_and_loses_its_thinking() -> None:
    messages = [
        *({"role": "system", "content": "s"}, {"role": "user", "content": "a"}),
        *({"role": "assistant", "content": "b", "thinking": "hm"}, {"role": "user", "content": "c"}),
    ]
    expected = [{key: message[key] for key in ("role", "content")} for message in messages]
    assert translate(*messages) == expected
    assert translate() == []


# ── images


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        pytest.param(b"\x89PNG\r\n\x1a\n", "image/png", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", "image/jpeg", id="jpeg"),
        pytest.param(b"GIF89a", "image/gif", id="gif"),
        pytest.param(b"GIF87a", "image/gif", id="gif87"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", id="webp"),
        pytest.param(b"RIFF\x00\x00\x00\x00AVI LIST", "image/jpeg", id="riff that is no webp"),
        pytest.param(b"BM\x00", "image/bmp", id="bmp"),
        pytest.param(b"whatever", "image/jpeg", id="unknown"),
        pytest.param(b"", "image/jpeg", id="empty"),
    ],
)
def test_an_images_type_is_read_from_its_first_bytes(data: bytes, mime: str) -> None:
    for tail in (b"", bytes(1), bytes(100)):
        image = base64.b64encode(data + tail).decode()
        assert media_part(image) == {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{image}"}}


def test_a_users_images_follow_the_text_in_their_order() -> None:
    [sent] = translate({"role": "user", "content": "what?", "images": [PNG, "Qk0="]})
    bmp = {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}}
    assert sent == {"role": "user", "content": [{"type": "text", "text": "what?"}, PNG_PART, bmp]}


def test_images_without_text_have_no_text_part() -> None:
    assert translate({"role": "user", "images": [PNG]}) == [{"role": "user", "content": [PNG_PART]}]


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_images_of_others_follow_as_a_users(role: str) -> None:
    picture = {"role": "user", "content": [PNG_PART]}
    assert translate({"role": role, "content": "x", "images": [PNG]}) == [{"role": role, "content": "x"}, picture]


def test_images_of_calls_and_results_follow_the_last_result() -> None:
    sent = translate(asking(call("f", "A"), call("g", "B"), images=[PNG]), result("1", images=[PNG]), result("2"))
    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "user"]
    assert sent[-1]["content"] == [PNG_PART, PNG_PART]


def test_an_orphan_results_images_stay_with_it() -> None:
    assert translate(result("x", images=[PNG])) == [{"role": "user", "content": [{"type": "text", "text": "x"}, PNG_PART]}]


# ── calls


def test_a_call_is_sent_with_its_arguments_as_text() -> None:
    sent = translate(asking(call("f", "A", city="Zürich", n=[1, None])), result("sun", tool_call_id="A"))
    [sent_call] = sent[0]["tool_calls"]
    assert sent[0]["role"] == "assistant"
    assert sent[0]["content"] == ""
    assert (sent_call["id"], sent_call["type"], sent_call["function"]["name"]) == ("A", "function", "f")
    assert json.loads(sent_call["function"]["arguments"]) == {"city": "Zürich", "n": [1, None]}
    assert sent[1] == {"role": "tool", "tool_call_id": "A", "content": "sun"}


def test_a_text_beside_the_calls_is_kept() -> None:
    assert translate(asking(call("f"), content="let me see"))[0]["content"] == "let me see"


def test_missing_ids_are_the_same_for_the_same_history() -> None:
    history = [asking(call("f"), call("g")), result("1"), result("2"), {"role": "user", "content": "x"}]
    longer = translate(*history, asking(call("f")), result("3"))
    assert longer[:4] == translate(*history)
    assert [c["id"] for message in longer for c in message.get("tool_calls", ())] == [
        *("call_00000000", "call_00000001", "call_00000002"),
    ]


@pytest.mark.parametrize("ids", [("A", "A"), ("A", "A", "A"), ("call_00000001", ""), ("", "call_00000000")])
def test_two_calls_of_a_message_never_share_an_id(ids: tuple[str, ...]) -> None:
    sent = translate(asking(*[call("f", call_id) for call_id in ids]), *[result(str(n)) for n in range(len(ids))])
    made = [c["id"] for c in sent[0]["tool_calls"]]
    assert len(set(made)) == len(ids)
    assert list(results(sent).items()) == list(zip(made, map(str, range(len(ids))), strict=True))


@pytest.mark.parametrize(
    ("answers", "paired"),
    [
        pytest.param([result("1"), result("2"), result("3")], {"A": "1", "B": "2", "C": "3"}, id="by order"),
        pytest.param(
            [result("3", tool_call_id="C"), result("1", tool_call_id="A"), result("2", tool_call_id="B")],
            {"A": "1", "B": "2", "C": "3"},
            id="by id",
        ),
        pytest.param(
            [result("2", tool_name="g"), result("1", tool_name="f"), result("3", tool_name="f")],
            {"A": "1", "B": "2", "C": "3"},
            id="by name, then order",
        ),
        pytest.param([result("x"), result("1", tool_call_id="A")], {"A": "1", "B": "x", "C": ""}, id="an id goes first"),
        pytest.param([result("x"), result("1", tool_name="f")], {"A": "1", "B": "x", "C": ""}, id="a name goes before order"),
        pytest.param(
            [result("x", tool_name="f"), result("1", tool_call_id="A", tool_name="f")],
            {"A": "1", "B": "", "C": "x"},
            id="an id goes before a name",
        ),
        pytest.param([result("1", tool_name="other")], {"A": "1", "B": "", "C": ""}, id="an unknown name"),
        pytest.param([result("1", tool_call_id="other")], {"A": "1", "B": "", "C": ""}, id="an unknown id"),
        pytest.param([result("2", tool_name="g")], {"A": "", "B": "2", "C": ""}, id="missing results are empty"),
        pytest.param([], {"A": "", "B": "", "C": ""}, id="no results"),
    ],
)
def test_results_are_paired_with_their_calls(answers: list[dict[str, Any]], paired: dict[str, str]) -> None:
    sent = translate(asking(call("f", "A"), call("g", "B"), call("f", "C")), *answers)
    assert results(sent) == paired
    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "tool"]


def test_several_calls_of_one_tool_without_ids_or_names_are_paired_by_order() -> None:
    sent = translate(asking(call("f", x=1), call("f", x=2)), result("same"), result("same"), result("more"))
    assert list(results(sent).values()) == ["same", "same"]
    assert sent[-1] == {"role": "user", "content": "more"}


def test_what_stands_between_calls_and_results_follows_the_results() -> None:
    sent = translate(
        asking(call("f", "A"), call("g", "B")),
        {"role": "system", "content": "hurry"},
        result("1"),
        {"role": "user", "content": "well?"},
        result("2"),
        {"role": "assistant", "content": "done"},
    )
    assert [message["content"] for message in sent] == ["hurry", "", "1", "2", "well?", "done"]
    assert results(sent) == {"A": "1", "B": "2"}


def test_a_result_after_the_next_answer_belongs_to_the_open_call() -> None:
    sent = translate(
        asking(call("f", "A")), {"role": "user", "content": "and?"}, {"role": "assistant", "content": "hm"}, result("late")
    )
    assert results(sent) == {"A": "late"}
    assert [message["role"] for message in sent] == ["assistant", "tool", "user", "assistant"]


def test_a_wav_sound_among_the_images_is_a_sound() -> None:
    sound = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(30)).decode()
    [sent] = translate({"role": "user", "content": "what is said?", "images": [sound, PNG]})
    part = {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
    assert sent["content"] == [{"type": "text", "text": "what is said?"}, part, PNG_PART]


_IDS = st.sampled_from(["", "A", "B"])
_NAMES = st.sampled_from(["", "f", "g"])
_MESSAGES = st.one_of(
    st.builds(lambda role: {"role": role, "content": "x"}, st.sampled_from(["user", "system", "assistant", "alien"])),
    st.builds(lambda i, n: result("r", tool_call_id=i, tool_name=n), _IDS, _NAMES),
    st.lists(st.builds(call, _NAMES, _IDS), min_size=1, max_size=3).map(lambda calls: asking(*calls)),
)


@given(st.lists(_MESSAGES, max_size=8))
def test_any_conversation_answers_each_call_once_right_after_it(messages: list[dict[str, Any]]) -> None:
    sent = translate(*messages)
    expected: list[str] = []
    for message in sent:
        if message["role"] == "tool":
            assert expected
            assert message["tool_call_id"] == expected.pop(0)
        else:
            assert not expected
            expected = [made["id"] for made in message.get("tool_calls", ())]
            assert len(set(expected)) == len(expected)
    assert not expected
    given = sum(message["role"] == "tool" for message in messages)
    assert sum(str(message["content"]).count("r") for message in sent) == given
    for one, other in pairwise(sent):
        assert one["role"] != other["role"] or one["role"] == "tool"
