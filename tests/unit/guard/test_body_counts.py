"""Bodies with too much of something are refused, in whichever API and spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.guard.body_counts import check_counts
from ollama_openai_proxy.net.bounds import Counts

NONE = Counts(0, 0, 0, 0, 0, 0, 0)
MESSAGE = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def deep(depth: int) -> Any:
    """An object nested so deep that one of the parsers gives up."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "messages": ("max_messages", 3, {"messages": [MESSAGE] * 3}),
    "messages as Go reads names": ("max_messages", 3, {"Messages": [MESSAGE] * 3}),
    "items of a Responses call": ("max_messages", 3, {"input": [MESSAGE] * 3}),
    "messages beside something deep": ("max_messages", 3, {"messages": [MESSAGE] * 3, "x": deep(500)}),
    "tools": ("max_tools", 3, {"tools": [TOOL] * 3}),
    "functions": ("max_tools", 3, {"tools": [TOOL], "functions": [{}, {}]}),
    "stop strings of Ollama": ("max_stops", 3, {"options": {"stop": ["a", "b", "c"]}}),
    "stop strings of OpenAI": ("max_stops", 3, {"stop": ["a", "b", "c"]}),
    "stop strings of Anthropic": ("max_stops", 3, {"stop_sequences": ["a", "b", "c"]}),
    "inputs": ("max_inputs", 3, {"input": ["a", "b", "c"]}),
    "prompts": ("max_inputs", 3, {"prompt": ["a", "b", "c"]}),
    "numbers of a context": ("max_context", 3, {"context": [1, 2, 3]}),
    "a format": ("max_schema_nodes", 6, {"format": {"properties": {"a": {"enum": [1, 2, 3]}}}}),
    "a response format": ("max_schema_nodes", 6, {"response_format": {"json_schema": {"schema": [1, 2, 3, 4]}}}),
    "the schemas of tools": ("max_schema_nodes", 10, {"tools": [TOOL, TOOL]}),
}


@pytest.mark.parametrize(("name", "number", "body"), CASES.values(), ids=CASES)
def test_a_limit_allows_what_it_says_and_no_more(name: str, number: int, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    for limit in (0, number, 10**9):
        check_counts(content, NONE._replace(**{name: limit}))
    with pytest.raises(InvalidRequest) as refused:
        check_counts(content, NONE._replace(**{name: 2}))
    assert (refused.value.status, name.upper() in refused.value.message) == (413, True)
    # What follows the first value is not read by Ollama, and does not hide it.
    with pytest.raises(InvalidRequest):
        check_counts(content + b" rest", NONE._replace(**{name: 2}))


def test_values_are_counted_before_anything_is_parsed() -> None:
    most = NONE._replace(max_json_elements=10)
    assert check_counts(b"[0,0,0,0,0,0,0]", most) == 8
    assert check_counts(b'{"text":"[,,,,,,,,,,,,,,,,,,"}', most) == 2
    for body in (b"[" + b"0," * 20 + b"0]", b"[" * 20, b"{" * 20):
        with pytest.raises(InvalidRequest) as refused:
            check_counts(body, most)
        assert (refused.value.status, "MAX_JSON_ELEMENTS" in refused.value.message) == (413, True)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"{", b"[1,2,3,4]", b'"text"', b"[" * 100_000, b'{"messages":5,"options":[1,2,3]}']
)
def test_the_rest_is_left_to_the_api(body: bytes) -> None:
    check_counts(body, Counts(0, 2, 2, 2, 2, 2, 2))
