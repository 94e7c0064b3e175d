"""A conversation of any client API becomes messages that strict servers and chat templates take."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.conversation_normalizer import (
    UNRECORDED_REASONING,
    Call,
    Turn,
    chat_messages,
    continue_last_message,
    with_instruction,
)
from ollama_openai_proxy.translate.opaque_state import id_with_state
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName
from ollama_openai_proxy.translate.tool_names import ToolNames

PICTURE = {"type": "image_url", "image_url": {"url": "u"}}
OTHER_PICTURE = {"type": "image_url", "image_url": {"url": "v"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def calling(*call_ids: str, content: str = "", **fields: Any) -> dict[str, Any]:
    calls = [{"id": i, "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in call_ids]
    return {"role": "assistant", "content": content, "tool_calls": calls, **fields}


def answered(call_id: str, content: str = "") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def call(call_id: str = "", name: str = "f") -> Call:
    return Call(name, "{}", call_id)


def asking(*call_ids: str, **fields: Any) -> Turn:
    return Turn("assistant", calls=[call(call_id) for call_id in call_ids], **fields)


def result(call_id: str, content: Any = "") -> Turn:
    return Turn("tool", content, call_id=call_id)


def made(*turns: Turn, profile: ProfileName = "generic", model: str = "m", offered: tuple[str, ...] = ()) -> Any:
    return chat_messages(turns, PROFILES[profile], ToolNames(offered), model=model)


# ── the shape


@pytest.mark.parametrize(
    ("turns", "messages"),
    [
        # system messages
        (
            [Turn("system", "a"), Turn("user", "x"), Turn("system", "b"), Turn("assistant", "y"), Turn("system", "")],
            [said("system", "a\n\nb"), said("user", "x"), said("assistant", "y")],
        ),
        ([Turn("system", "a")], [said("system", "a")]),
        ([Turn("system", ""), Turn("user", "x")], [said("user", "x")]),
        # neighbours of one role
        ([Turn("user", "a"), Turn("user", "b")], [said("user", "a\n\nb")]),
        ([Turn("user", "a"), Turn("system", "s"), Turn("user", "b")], [said("system", "s"), said("user", "a\n\nb")]),
        ([Turn("user", "x"), Turn("assistant", "a"), Turn("assistant", "b")], [said("user", "x"), said("assistant", "a\n\nb")]),
        ([Turn("user", "a"), Turn("user", [PICTURE])], [said("user", [text("a"), PICTURE])]),
        ([Turn("user", [PICTURE]), Turn("user", "a")], [said("user", [PICTURE, text("a")])]),
        ([Turn("user", [PICTURE]), Turn("user", [OTHER_PICTURE])], [said("user", [PICTURE, OTHER_PICTURE])]),
        (
            [Turn("assistant", "a"), asking("1"), Turn("assistant", "b"), result("1", "r")],
            [calling("1", content="a\n\nb"), answered("1", "r")],
        ),
        # empty messages
        ([Turn("user", "a"), Turn("assistant", ""), Turn("user", "b")], [said("user", "a\n\nb")]),
        ([Turn("user", "a"), Turn("assistant", " \n"), Turn("user", "b")], [said("user", "a\n\nb")]),
        ([Turn("user", "a"), Turn("assistant", "")], [said("user", "a")]),
        ([Turn("user", ""), Turn("user", "a"), Turn("user", [])], [said("user", "a")]),
        (
            [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "")],
            [said("user", "a"), said("assistant", "b"), said("user", "")],
        ),
        ([Turn("user", "")], [said("user", "")]),
        ([Turn("assistant", "")], [said("user", "")]),
        ([asking("1"), result("1"), Turn("user", "")], [calling("1"), answered("1")]),
        ([], []),
        # calls and results
        (
            [asking("1"), asking("2"), result("1", "a"), result("2", "b")],
            [calling("1", "2"), answered("1", "a"), answered("2", "b")],
        ),
        (
            [asking("1"), asking("2"), Turn("assistant", ""), result("2", "b"), result("1", "a")],
            [calling("1", "2"), answered("1", "a"), answered("2", "b")],
        ),
        (
            [asking("1"), result("1", "a"), asking("2"), result("2", "b")],
            [calling("1"), answered("1", "a"), calling("2"), answered("2", "b")],
        ),
        (
            [asking("1"), Turn("user", "x"), asking("2"), result("1", "a"), result("2", "b")],
            [calling("1"), answered("1", "a"), said("user", "x"), calling("2"), answered("2", "b")],
        ),
        (
            [asking("1"), Turn("user", "x"), Turn("assistant", "a"), result("1", "r"), asking("2")],
            [calling("1"), answered("1", "r"), said("user", "x"), calling("2", content="a"), answered("2")],
        ),
        ([asking("1"), Turn("user", "x")], [calling("1"), answered("1"), said("user", "x")]),
        (
            [Turn("user", "x"), Turn("assistant", "a"), Turn("assistant", "b"), result("9", "lost")],
            [said("user", "x"), said("assistant", "a\n\nb"), said("user", "lost")],
        ),
        ([result("9", "lost"), Turn("user", "x")], [said("user", "lost\n\nx")]),
        ([result("9", [text("lost"), PICTURE])], [said("user", [text("lost"), PICTURE])]),
        # what a result cannot hold
        (
            [asking("1", "2"), result("1", [text("a"), PICTURE, text("b")]), result("2", [OTHER_PICTURE]), Turn("user", "x")],
            [calling("1", "2"), answered("1", "a\nb"), answered("2"), said("user", [PICTURE, OTHER_PICTURE, text("x")])],
        ),
    ],
)
def test_a_conversation_has_the_shape_that_servers_take(turns: list[Turn], messages: list[Any]) -> None:
    assert made(*turns) == messages


_TURNS = st.one_of(
    st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), st.sampled_from(["", "a"])),
    st.builds(lambda ids: asking(*ids), st.lists(st.sampled_from(["", "1", "2"]), min_size=1, max_size=3)),
    st.builds(result, st.sampled_from(["", "1", "2"]), st.sampled_from(["", "r"])),
    st.just(Turn("user", [PICTURE])),
)


def _texts(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@given(st.lists(_TURNS, max_size=10))
def test_any_conversation_keeps_the_contract(turns: list[Turn]) -> None:
    messages = made(*turns)
    due: list[str] = []
    ids: list[str] = []
    for message in messages:
        assert message["content"] is not None
        if message["role"] == "tool":
            assert message["tool_call_id"] == due.pop(0)
        else:
            assert not due
            due = [each["id"] for each in message.get("tool_calls", ())]
            ids += due
    assert not due
    assert len(ids) == len(set(ids)) == sum(len(turn.calls) for turn in turns)
    assert all(message["role"] != "system" for message in messages[1:])
    assert all(one["role"] != other["role"] or one["role"] == "tool" for one, other in pairwise(messages))
    given = sum(turn.role == "tool" and turn.content == "r" for turn in turns)
    assert sum(_texts(message).count("r") for message in messages) == given


# ── ids


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["a", "b"], ["a", "b"]),
        (["", ""], ["call_00000000", "call_00000001"]),
        (["a", "a", "a"], ["a", "a_1", "a_2"]),
        (["a_1", "a", "a"], ["a_1", "a", "a_2"]),
        (["call_00000001", ""], ["call_00000001", "call_00000001_1"]),
        (["functions.get_weather:0"], ["functions.get_weather:0"]),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_ids_are_unique_and_stay_where_they_are(given: list[str], sent: list[str], *, apart: bool) -> None:
    turns = [turn for call_id in given for turn in (asking(call_id), result(call_id))] if apart else [asking(*given)]
    assert [message["tool_call_id"] for message in made(*turns) if message["role"] == "tool"] == sent


def test_the_same_history_gives_the_same_ids() -> None:
    history = [Turn("user", "x"), asking("", "a"), result("a"), asking("a"), result("a")]
    shorter = made(*history)
    assert made(*history, asking(""), result(""))[: len(shorter)] == shorter


def test_a_long_id_of_a_gateway_stays() -> None:
    # LiteLLM and others write Gemini's signature into the id: BerriAI/litellm#16895.
    given = "call_1__thought__" + "QUJD+/=" * 400
    asked, answer = made(asking(given), result(given))
    assert asked["tool_calls"][0]["id"] == answer["tool_call_id"] == given


@pytest.mark.parametrize(("profile", "longest"), [("openai", 40), ("azure", 40)])
def test_a_long_id_is_shortened(profile: ProfileName, longest: int) -> None:
    for length in (longest, longest + 1):
        asked, answer = made(asking("a" * length), result("a" * length), profile=profile)
        assert asked["tool_calls"][0]["id"] == answer["tool_call_id"]
        assert (answer["tool_call_id"] == "a" * length) is (length == longest)
        assert len(answer["tool_call_id"]) <= longest


def test_many_calls_with_one_id_take_linear_time() -> None:
    messages = made(asking(*["a"] * 20_000), *[result("a", str(n)) for n in range(20_000)])
    assert [message["content"] for message in messages[1:]] == [str(n) for n in range(20_000)]


# ── names, state and reasoning


def test_names_are_the_servers_in_the_history_too() -> None:
    [message, _] = made(Turn("assistant", calls=[call("1", "files.read")]), offered=("files.read",))
    assert message["tool_calls"][0]["function"]["name"] == "files_read"


SIGNATURE = {"google": {"thought_signature": "s"}}
DETAILS = [{"type": "reasoning.encrypted", "data": "x"}]


@pytest.mark.parametrize("profile", ["gemini", "generic"])
def test_the_state_in_an_id_goes_back_with_the_call(profile: ProfileName) -> None:
    call_id = id_with_state("1", {"extra_content": SIGNATURE})
    asked, answer = made(asking(call_id, "2"), result(call_id, "r"), profile=profile)[:2]
    assert asked["tool_calls"][0]["extra_content"] == SIGNATURE
    assert "extra_content" not in asked["tool_calls"][1]
    assert answer == answered("1", "r")


def test_the_state_in_an_id_goes_back_with_the_message() -> None:
    call_id = id_with_state("1", {"reasoning_details": DETAILS})
    assert made(asking(call_id), profile="openrouter")[0] == calling("1", reasoning_details=DETAILS)
    assert made(asking("1", state={"reasoning_details": DETAILS}), profile="openrouter")[0]["reasoning_details"] == DETAILS


@pytest.mark.parametrize("profile", ["openai", "mistral", "groq", "llamacpp"])
def test_state_does_not_go_to_a_server_that_sends_none(profile: ProfileName) -> None:
    call_id = id_with_state("1", {"reasoning_details": DETAILS, "extra_content": SIGNATURE})
    message = made(asking(call_id), profile=profile)[0]
    assert "reasoning_details" not in message
    assert "extra_content" not in message["tool_calls"][0]


@pytest.mark.parametrize(("model", "filled"), [("gemini-3-pro-preview", True), ("gemini-2.5-flash", False)])
def test_a_call_without_its_signature_gets_the_one_that_google_documents(model: str, *, filled: bool) -> None:
    [asked, _] = made(asking("1"), profile="gemini", model=model)
    assert ("extra_content" in asked["tool_calls"][0]) is filled
    if filled:
        assert asked["tool_calls"][0]["extra_content"]["google"]["thought_signature"] == "skip_thought_signature_validator"


@pytest.mark.parametrize(
    ("profile", "turns", "reasoning"),
    [
        ("generic", [asking("1", reasoning="a"), asking("2", reasoning="b")], "a\n\nb"),
        ("generic", [asking("1")], None),
        ("deepseek", [asking("1", reasoning="a")], "a"),
        ("deepseek", [asking("1")], UNRECORDED_REASONING),
        ("openai", [asking("1", reasoning="a")], None),
        ("mistral", [asking("1", reasoning="a")], None),
        ("deepseek", [Turn("user", "x"), Turn("assistant", "a", reasoning="b")], None),
    ],
)
def test_reasoning_goes_back_with_calls(profile: ProfileName, turns: list[Turn], reasoning: str | None) -> None:
    [answer] = [message for message in made(*turns, profile=profile) if message["role"] == "assistant"]
    assert answer.get("reasoning_content") == reasoning


# ── what is added to the messages


def test_an_instruction_joins_the_system_message() -> None:
    messages = [said("system", "a"), said("user", "x")]
    assert with_instruction(messages, "b") == [said("system", "a\n\nb"), said("user", "x")]
    assert with_instruction(messages[1:], "b") == [said("system", "b"), said("user", "x")]
    assert with_instruction([], "b") == [said("system", "b")]
    assert messages[0] == said("system", "a")


@pytest.mark.parametrize(
    ("profile", "parameters", "fields"),
    [
        ("mistral", {}, {"prefix": True}),
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}, {}),
        ("sglang", {"continue_final_message": True, "add_generation_prompt": False}, {}),
        ("generic", {}, {}),
        ("llamacpp", {}, {}),
    ],
)
def test_a_last_message_of_the_assistant_is_continued(profile: ProfileName, parameters: Any, fields: Any) -> None:
    messages = [said("user", "x"), said("assistant", "One, two,")]
    assert continue_last_message(messages, PROFILES[profile]) == parameters
    assert messages[-1] == said("assistant", "One, two,") | fields


@pytest.mark.parametrize("messages", [[], [said("user", "x")], [calling("1")]])
def test_nothing_else_is_continued(messages: list[Any]) -> None:
    before = [dict(message) for message in messages]
    assert continue_last_message(messages, PROFILES["mistral"]) == {}
    assert continue_last_message(messages, PROFILES["vllm"]) == {}
    assert messages == before
