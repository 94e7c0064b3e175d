"""What is read from `/api/show` of a model, and what a setup is."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.launch.target import FOLDER, Setup, Target, read_target

URL = "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, Target(URL, "m")),
        ({"model_info": {"qwen3.context_length": 40960}}, Target(URL, "m", context_length=40960)),
        ({"model_info": {"a.context_length": 10, "b.context_length": 20}}, Target(URL, "m", context_length=20)),
        ({"capabilities": ["completion", "vision", "thinking"]}, Target(URL, "m", thinks=True, vision=True)),
        (
            {"thinking": {"values": ["low", "high"], "default": "low"}},
            Target(URL, "m", thinking=("low", "high"), thinks=True),
        ),
        ({"thinking": {"values": [False, True], "default": True}, "capabilities": ["thinking"]}, Target(URL, "m", thinks=True)),
        # What is of another type counts as absent.
        ({"capabilities": "vision", "model_info": [], "thinking": "high"}, Target(URL, "m")),
        ({"capabilities": [1], "model_info": {"x.context_length": "8"}, "thinking": {"values": 1}}, Target(URL, "m")),
    ],
)
def test_facts_of_a_model(shown: dict[str, Any], expected: Target) -> None:
    assert read_target(f"{URL}/", "", "m", shown) == expected


def test_a_proxy_without_keys_is_sent_some_text_for_one() -> None:
    assert (Target(URL, "m").sent_key, Target(URL, "m", "secret").sent_key) == ("ollama", "secret")


@pytest.mark.parametrize(("context", "output"), [(0, 0), (8000, 2000), (1_000_000, 32_768)])
def test_an_answer_may_have_a_quarter_of_the_context(context: int, output: int) -> None:
    assert Target(URL, "m", context_length=context).output_length == output


def test_a_folder_takes_the_place_of_its_name() -> None:
    setup = Setup({"A": f"{FOLDER}/a"}, ("--config", f"{FOLDER}/b"), {"a": "text"}, ("B",))
    assert setup.placed("/tmp/x") == Setup({"A": "/tmp/x/a"}, ("--config", "/tmp/x/b"), {"a": "text"}, ("B",))
