"""Parameters are brought into the ranges that servers take."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.parameter_ranges import COMPLETION_TOKENS, completion_limit, lowered_limit, within_ranges
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"temperature": 5}, {"temperature": 2.0}),
        ({"temperature": -1}, {"temperature": 0.0}),
        ({"top_p": 0}, {"top_p": 0.01}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"top_p": 1.5}, {"top_p": 1.0}),
        ({"min_p": -0.1, "typical_p": 3}, {"min_p": 0.0, "typical_p": 1.0}),
        ({"presence_penalty": 3, "frequency_penalty": -3}, {"presence_penalty": 2.0, "frequency_penalty": -2.0}),
        ({"repetition_penalty": 0}, {}),
        ({"repeat_penalty": -1}, {}),
        ({"repeat_penalty": 1.1}, {"repeat_penalty": 1.1}),
        ({"stop": ["", "x"]}, {"stop": ["x"]}),
        ({"stop": [""]}, {}),
        ({"seed": 5, "top_k": -1, "max_tokens": 9}, {"seed": 5, "top_k": -1, "max_tokens": 9}),
    ],
)
def test_values_are_brought_into_range(given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert within_ranges(given, PROFILES["vllm"]) == sent


def test_a_server_may_take_lower_temperatures_only() -> None:
    assert within_ranges({"temperature": 2}, PROFILES["mistral"]) == {"temperature": 1.5}


@pytest.mark.parametrize(
    ("parameters", "context_length", "prompt_tokens", "lowered"),
    [
        ({"max_tokens": 100}, 0, 50, {}),
        ({"max_tokens": 100}, 150, 50, {}),
        ({"max_tokens": 101}, 150, 50, {"max_tokens": 94}),
        ({"max_completion_tokens": 32000}, 8192, 1000, {"max_completion_tokens": 7091}),
        ({"max_tokens": 100}, 150, 200, {"max_tokens": 100}),
        ({"max_tokens": 500}, 150, 200, {"max_tokens": 150}),
        ({}, 150, 200, {}),
        ({"max_tokens": "x"}, 150, 200, {}),
    ],
)
def test_a_limit_is_lowered_to_what_the_prompt_leaves(
    parameters: dict[str, Any], context_length: int, prompt_tokens: int, lowered: dict[str, int]
) -> None:
    assert lowered_limit(parameters, context_length, prompt_tokens) == lowered


@pytest.mark.parametrize(
    ("profile", "given", "context_length", "limit"),
    [
        ("generic", [], 0, {"max_tokens": COMPLETION_TOKENS}),
        ("vllm", ["prompt"], 8192, {"max_tokens": 8080}),
        ("vllm", [], 50, {"max_tokens": COMPLETION_TOKENS}),
        ("generic", ["max_tokens"], 0, {}),
        ("openai", ["max_completion_tokens"], 0, {}),
        ("llamacpp", [], 8192, {}),
    ],
)
def test_a_completion_gets_a_limit(profile: ProfileName, given: list[str], context_length: int, limit: dict[str, int]) -> None:
    assert completion_limit(given, PROFILES[profile], context_length, 101) == limit
