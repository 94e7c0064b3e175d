"""The demo model's file fits the programs that train it: llama.cpp reads prompts as they were made for the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("xllamacpp")
gguf = pytest.importorskip("gguf")

from scripts.demo_model.conversations import FOLDER, Conversations, chat_template  # noqa: E402
from scripts.demo_model.vocabulary import Vocabulary  # noqa: E402
from tests.live.test_real_backend import llama_cpp  # noqa: E402
from tests.patience import PATIENCE  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Öslo", "days": 2}}}
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer"},
        "optional": {"type": "string"},
    },
    "required": ["city", "unit", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Long and winding.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "now", "description": "Without parameters."}},
]
MESSAGES = [
    {"role": "system", "content": "Be brief. " * 50},
    {"role": "user", "content": "How warm is it in Oslo?"},
    {"role": "assistant", "content": "", "reasoning_content": "A call is due.", "tool_calls": [CALL, CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "blue"}'},
    {"role": "tool", "tool_call_id": "call_1", "content": "7 °C\n" * 100},
]


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with llama_cpp() as url, httpx.Client(base_url=url.removesuffix("/v1"), timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    fields = gguf.GGUFReader(FOLDER / "demo.gguf").fields
    made = Vocabulary([tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()])
    assert fields["tokenizer.ggml.tokens"].contents() == made.tokens
    return made


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! It's 42°C  in\n\n Rome.\t",
        '{"a": [1, 2], "snake_case": "camelCase JSONs"}',
        "é漢字🙂 don't  \n x_y\n  indented\x01",
        '<|im_start|>user\nHi<|im_end|>\n<think>\n\n</think>\n\n<tool_call>\n{"name": "x"}\n</tool_call>',
    ],
)
def test_llama_cpp_makes_the_tokens_that_the_training_made(server: httpx.Client, vocabulary: Vocabulary, text: str) -> None:
    assert server.post("/tokenize", json={"content": text}).json()["tokens"] == vocabulary.encode(text)


def test_llama_cpp_makes_those_tokens_of_whole_conversations(server: httpx.Client, vocabulary: Vocabulary) -> None:
    conversations = Conversations(7)
    for _ in range(50):
        conversation = conversations.next()
        text = conversation.prompt + conversation.continuation
        assert server.post("/tokenize", json={"content": text}).json()["tokens"] == vocabulary.encode(text)


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("last", range(1, len(MESSAGES) + 1))
@pytest.mark.parametrize("tools", [[], TOOLS], ids=["no tools", "tools"])
def test_llama_cpp_renders_the_template_as_the_training_did(
    server: httpx.Client, thinks: bool, last: int, tools: list[dict[str, Any]]
) -> None:
    messages = MESSAGES[:last]
    if last == 3:
        messages = [*messages, {"role": "user", "content": "Thanks"}]
    body = {"messages": messages, "tools": tools, "chat_template_kwargs": {"enable_thinking": thinks}}
    prompt = server.post("/apply-template", json=body).json()["prompt"]
    expected = chat_template().render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinks)
    assert prompt == expected


def test_conversations_are_endless_and_repeatable() -> None:
    first, second = Conversations(5), Conversations(5)
    made = [first.next() for _ in range(500)]
    assert made == [second.next() for _ in range(500)]
    assert len({conversation.prompt for conversation in made}) > 400
    assert all(conversation.continuation.endswith(("<|im_end|>", "<|endoftext|>")) for conversation in made)
