"""A conversation that is too long is shortened as Ollama does it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.token_estimate import prompt_tokens
from ollama_openai_proxy.translate.truncation import (
    LIFETIME,
    ContextSize,
    ContextSizes,
    shorten,
    told_size,
)

# Each message below has ten tokens: four of its own, and six of 24 bytes.
SIZE = 10


def said(role: str, mark: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": mark.ljust(24, "."), **fields}


def calling(mark: str) -> list[dict[str, Any]]:
    call = {"id": mark, "type": "function", "function": {"name": "", "arguments": ""}}
    return [said("assistant", mark, tool_calls=[call]), said("tool", mark, tool_call_id=mark)]


def talk(count: int) -> list[dict[str, Any]]:
    return [said("assistant" if n % 2 else "user", str(n)) for n in range(count)]


def marks(parameters: Any) -> list[str]:
    return [message["content"].strip(".") for message in parameters["messages"]]


def shortened(messages: list[dict[str, Any]], limit: int, **parameters: Any) -> Any:
    return shorten({"model": "m", "messages": messages, **parameters}, ContextSize(limit))


SYSTEM = said("system", "s")


@pytest.mark.parametrize(
    ("messages", "tokens", "kept"),
    [
        pytest.param([SYSTEM, *talk(5)], 40, ["s", "2", "3", "4"], id="the oldest go first"),
        pytest.param([SYSTEM, *talk(5)], 30, ["s", "4"], id="what is left begins with the user"),
        pytest.param(talk(5), 30, ["2", "3", "4"], id="without a system message"),
        pytest.param([SYSTEM, *talk(5)], 1, ["s", "4"], id="the system message and the last message stay"),
        pytest.param(
            [SYSTEM, *talk(2), *calling("a"), said("user", "x"), said("assistant", "y"), said("user", "z")],
            45,
            ["s", "x", "y", "z"],
            id="calls go with their results",
        ),
        pytest.param(
            [SYSTEM, said("user", "task"), *calling("z"), *calling("a"), *calling("b"), *calling("c")],
            60,
            ["s", "task", "b", "b", "c", "c"],
            id="an agent keeps its task, and the newest calls",
        ),
        pytest.param([*calling("a"), *calling("b"), *calling("c")], 40, ["b", "b", "c", "c"], id="no user at all"),
        pytest.param(
            [said("user", "x" * 160), *calling("a"), *calling("b")], 45, ["a", "a", "b", "b"], id="a task that is too long"
        ),
        pytest.param([*talk(4), *calling("a")], 32, ["2", "a", "a"], id="an answer between"),
    ],
)
def test_the_oldest_messages_are_left_out(messages: list[dict[str, Any]], tokens: int, kept: list[str]) -> None:
    # A quarter of the context is kept for the answer, and estimates may be too low by a twentieth.
    assert marks(shortened(messages, int(tokens * 1.05 / 0.75) + 1)) == kept


def test_what_fits_stays() -> None:
    assert shortened(talk(5), 5 * SIZE) is None
    assert shortened(talk(5), 5 * SIZE - 1) is not None


def test_what_cannot_be_shortened_is_not() -> None:
    assert shortened([SYSTEM, said("user", "x" * 1000)], 50) is None
    assert shortened([], 0) is None


def test_room_is_kept_for_the_answer_and_the_tools() -> None:
    many = talk(101)
    usual = len(shortened(many, 1000)["messages"])
    assert len(shortened(many, 1000, max_tokens=20)["messages"]) > usual
    assert len(shortened(many, 1000, tools=[{"x": "y" * 800}])["messages"]) < usual - 15


def test_the_limit_of_tokens_fits_beside_what_is_left() -> None:
    parameters = shortened(talk(101), 1000, max_tokens=4000)
    assert 200 < parameters["max_tokens"] <= 1000 - prompt_tokens(parameters["messages"])


def test_the_servers_own_count_corrects_the_estimate() -> None:
    parameters: dict[str, Any] = {"messages": talk(100)}
    # It has four times as many tokens as was estimated.
    size = told_size(parameters, 1000, 4000)
    assert size == ContextSize(1000, 4.0)
    shorter: Any = shorten(parameters, size)
    assert 10 <= len(shorter["messages"]) <= 18


@pytest.mark.parametrize(
    ("limit", "fits"),
    [(0, 50), (2000, 50), (500, 50)],
)
def test_without_numbers_less_is_sent(limit: int, fits: int) -> None:
    parameters: dict[str, Any] = {"messages": talk(100)}
    shorter: Any = shorten(parameters, told_size(parameters, limit, 0))
    assert 0 < len(shorter["messages"]) <= fits * 1.3


@given(st.lists(st.sampled_from(["user", "assistant", "call"]), max_size=12), st.integers(0, 200), st.floats(0.1, 5))
def test_any_conversation_stays_one_that_servers_take(kinds: list[str], limit: int, scale: float) -> None:
    messages = [SYSTEM]
    for number, kind in enumerate(kinds):
        messages += calling(str(number)) if kind == "call" else [said(kind, str(number))]
    shorter = shorten({"messages": messages}, ContextSize(limit, scale))
    if shorter is None:
        return
    kept = shorter["messages"]
    assert kept[0] == SYSTEM
    assert kept[-1] == messages[-1]
    assert [message for message in messages if message in kept] == kept
    ids = [message["tool_call_id"] for message in kept if message["role"] == "tool"]
    assert ids == [message["tool_calls"][0]["id"] for message in kept if "tool_calls" in message]


# ── what is remembered


def test_a_size_that_was_told_holds_for_an_hour() -> None:
    now = [0.0]
    sizes = ContextSizes(lambda: now[0])
    assert sizes.find("b", "m", 0) is None
    assert sizes.find("b", "m", 4096) == ContextSize(4096)
    sizes.learn("b", "m", ContextSize(2048, 1.5))
    assert sizes.find("b", "m", 4096) == ContextSize(2048, 1.5)
    assert sizes.find("b", "other", 0) is None
    now[0] = LIFETIME
    assert sizes.find("b", "m", 4096) == ContextSize(4096)
