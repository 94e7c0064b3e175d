"""The calls that count a prompt."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.tokenizer_calls import TokenizerCall, count_calls

MESSAGES = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
PARAMETERS = {"model": "m", "messages": MESSAGES, "tools": TOOLS, "stream": True, "temperature": 1}


def counted(profile: str, *replies: Any) -> tuple[list[TokenizerCall], int | None]:
    """The calls, and the count after these replies."""
    counting = count_calls(profile, PARAMETERS)
    assert counting is not None
    calls = [next(counting)]
    for reply in replies:
        try:
            calls.append(counting.send(reply))
        except StopIteration as end:
            return calls, end.value
    raise AssertionError("further calls are wanted")


def test_vllm_counts_a_conversation_in_one_call() -> None:
    calls, count = counted("vllm", {"count": 12, "tokens": []})
    assert calls == [("/tokenize", {"model": "m", "messages": MESSAGES, "tools": TOOLS})]
    assert count == 12


def test_llamacpp_renders_and_then_counts() -> None:
    calls, count = counted("llamacpp", {"prompt": "<user>hello"}, {"tokens": [1, 2, 3]})
    assert calls == [
        ("/apply-template", {"messages": MESSAGES, "tools": TOOLS}),
        ("/tokenize", {"content": "<user>hello", "add_special": True, "parse_special": True}),
    ]
    assert count == 3


@pytest.mark.parametrize(
    ("profile", "replies"),
    [
        ("vllm", [{"count": 0}]),
        ("vllm", [{"count": True}]),
        ("vllm", [{"count": "12"}]),
        ("vllm", [[]]),
        ("llamacpp", [{}]),
        ("llamacpp", [[]]),
        ("llamacpp", [{"prompt": "x"}, {"tokens": 3}]),
        ("llamacpp", [{"prompt": "x"}, {"tokens": []}]),
        ("llamacpp", [{"prompt": "x"}, []]),
    ],
)
def test_a_reply_without_a_count_counts_nothing(profile: str, replies: list[Any]) -> None:
    assert counted(profile, *replies)[1] is None


@pytest.mark.parametrize("profile", ["openai", "generic", "ollama"])
def test_other_servers_are_not_asked(profile: str) -> None:
    assert count_calls(profile, PARAMETERS) is None
