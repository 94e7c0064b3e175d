"""Requests as a readable conversation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.mitm.views.attachments import described
from ollama_openai_proxy.mitm.views.conversation_text import call_line
from ollama_openai_proxy.mitm.views.request_text import conversation_of
from ollama_openai_proxy.mitm.views.tool_signatures import shape, tool_signature

from tests.unit.mitm.views.samples import recorded
from tests.unit.mitm.views.test_response_text import FRAMES

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode()
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Weather of\n a city",
    "parameters": {
        "type": "object",
        "required": ["city"],
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    },
}
SIGNATURE = "weather(city: string, days?: integer) – Weather of a city"  # noqa: RUF001


def shown(path: str, request: dict[str, Any]) -> str:
    return conversation_of(path, json.dumps(request).encode())


def settings(path: str, request: dict[str, Any]) -> list[str]:
    return [" ".join(line.split()) for line in shown(path, request).partition("── settings")[2].splitlines()[1:]]


# -- Ollama ------------------------------------------------------------------------------------------------------------

CHAT = {
    "model": "llama3.2",
    "messages": [
        {"role": "system", "content": "Be brief.\nBe kind."},
        {"role": "user", "content": "What is this?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [{"function": {"name": "see", "arguments": {"n": 1}}}],
        },
        {"role": "tool", "tool_name": "see", "content": "a cat"},
    ],
    "tools": [{"type": "function", "function": WEATHER}],
    "options": {"temperature": 0.7, "stop": ["a", "b"]},
    "keep_alive": 300,
    "think": True,
}


def test_a_chat_reads_from_top_to_bottom() -> None:
    assert shown("/api/chat", CHAT) == (
        "POST /api/chat · llama3.2 · streamed\n"
        "\nsystem\n  Be brief.\n  Be kind.\n"
        "\nuser\n  What is this?\n  [PNG image, 108 bytes]\n"
        "\nassistant\n  (thinking)\n    Hm.\n  → see(n: 1)\n"
        "\ntool  see\n  a cat\n"
        f"\n── tools (1) {'─' * 51}\n{SIGNATURE}\n"
        f"\n── settings {'─' * 52}\n"
        'options     temperature 0.7, stop ["a", "b"]\n'
        "keep_alive  300 s\n"
        "think       true\n"
    )


def test_generate_has_a_prompt_and_tells_of_its_context() -> None:
    request = {"model": "m", "system": "S", "prompt": "P", "suffix": "X", "images": [PNG], "context": [1] * 99, "stream": False}
    text = shown("/api/generate", request)
    assert text.startswith(
        "POST /api/generate · m · not streamed\n"
        "\nsystem\n  S\n\nprompt\n  P\n\nsuffix\n  X\n\nimages\n  [PNG image, 108 bytes]\n"
    )
    assert "99 tokens from the answer before" in text


def test_texts_to_embed_are_counted() -> None:
    assert "input (2)\n  0: a\n  1: b\n" in shown("/api/embed", {"model": "m", "input": ["a", "b"]})
    assert "input\n  a\n" in shown("/api/embed", {"model": "m", "input": "a"})
    assert "0: (3 tokens, as numbers)" in shown("/v1/embeddings", {"model": "m", "input": [[1, 2, 3]]})
    assert "… 50 more" in shown("/api/embed", {"model": "m", "input": ["a"] * 100})


@pytest.mark.parametrize(
    ("path", "request_body", "first"),
    [
        ("/api/show", {"name": "m"}, "POST /api/show · m"),
        ("/api/pull", {"model": "m"}, "POST /api/pull · m · streamed"),
        ("/api/pull?x=1", {"model": "m", "stream": False}, "POST /api/pull · m · not streamed"),
        ("/v1/chat/completions", {"model": "m", "messages": []}, "POST /v1/chat/completions · m"),
        ("/api/chat", {"stream": "yes"}, 'POST /api/chat · stream "yes"'),
    ],
)
def test_the_first_line_says_what_was_called(path: str, request_body: dict[str, Any], first: str) -> None:
    assert shown(path, request_body).partition("\n")[0] == first


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"format": "json"}, "format json"),
        ({"format": {"properties": {"a": {"type": "array", "items": {"type": "string"}}}}}, "format JSON: {a?: string[]}"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
            "response_format JSON: object",
        ),
        ({"keep_alive": 0}, "keep_alive 0 (unload)"),
        ({"keep_alive": "5m"}, "keep_alive 5m"),
        ({"think": "high"}, "think high"),
        ({"something": {"new": [1]}}, 'something {"new": [1]}'),
        ({"files": {"a.gguf": "sha256:1"}}, "files a.gguf"),
    ],
)
def test_settings_stand_in_a_line_each(setting: dict[str, Any], line: str) -> None:
    assert settings("/api/chat", {"model": "m"} | setting) == [line]


# -- OpenAI and Anthropic ----------------------------------------------------------------------------------------------


def test_parts_of_openai_messages_are_told_apart() -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "new_part", "x": 1},
    ]
    text = shown("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert (
        "user\n  Look:\n  [PNG image, 108 bytes]\n  [image at https://example.org/cat.png]\n  [wav sound, 3 bytes]\n"
        '  {"type": "new_part", "x": 1}\n'
    ) in text


def test_calls_and_results_of_openai_messages_carry_their_id() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    history = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    ]
    text = shown("/v1/chat/completions", {"model": "m", "messages": history})
    assert "assistant\n  → f(a: 1)  [call_1]\n\ntool  [call_1]\n  2\n" in text


def test_the_input_of_responses_is_a_conversation() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "2"},
    ]
    text = shown(
        "/v1/responses", {"model": "m", "instructions": "Be brief.", "input": items, "tools": [{"type": "function", **WEATHER}]}
    )
    assert (
        "instructions\n  Be brief.\n\nuser\n  Hi\n\nassistant\n  (thinking)\n    Hm.\n"
        "\nassistant\n  → f()  [c]\n\ntool  [c]\n  2\n"
    ) in text
    assert SIGNATURE in text
    assert "user\n  Hi\n" in shown("/v1/responses", {"model": "m", "input": "Hi"})


def test_messages_of_anthropic_have_tools_and_results_in_their_parts() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    history = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "2"}]}]},
    ]
    tool = {"name": "weather", "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}
    text = shown(
        "/v1/messages", {"model": "m", "system": [{"type": "text", "text": "S"}], "messages": history, "tools": [tool]}
    )
    assert (
        "system\n  S\n\nuser\n  [PNG image, 108 bytes]\n  Hi\n\nassistant\n  (thinking)\n    Hm.\n  → f(a: 1)  [t]\n"
        "\nuser\n  (result of t)\n    2\n"
    ) in text
    assert SIGNATURE in text


# -- Pieces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"const": "x"}, '"x"'),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}, "(string | integer)[]"),
        ({"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}, "{a: number}"),
        ({"$ref": "#/$defs/Person"}, "Person"),
        ({}, "any"),
        (True, "any"),
        (7, "7"),
    ],
)
def test_a_schema_reads_as_a_type(schema: object, text: str) -> None:
    assert shape(schema) == text


def test_a_schema_cannot_make_much_out_of_little() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": ["array", "object"] * 50, "items": schema, "properties": {"a": schema}}
    assert len(shape(schema)) < 10_000


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ({"type": "function", "function": {"name": "f"}}, "f()"),
        ({"type": "web_search"}, "web_search (built into the back end)"),
        ({"x": 1}, '{"x": 1}'),
        ("f", "f"),
    ],
)
def test_any_tool_has_a_line(tool: object, text: str) -> None:
    assert tool_signature(tool) == text


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG image"),
        (b"GIF89a", "GIF image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV sound"),
        (b"\0\0\0\x1cftypavif", "AVIF image"),
        (b"%PDF-1.7", "PDF file"),
        (b"?", "image"),
    ],
)
def test_the_first_bytes_tell_what_an_image_is(head: bytes, kind: str) -> None:
    data = head + bytes(1_000_000 - len(head))
    assert described(base64.b64encode(data).decode()) == f"[{kind}, 1.0 MB]"


def test_what_is_no_base64_is_no_image() -> None:
    assert described("!!!!!!!!") == "[not base64, 6 bytes]"
    assert described("") == "[image, empty]"
    assert described(5) == "[image, empty]"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"a": "x"}, '→ f(a: "x")'),
        ('{"a": [1]}', "→ f(a: [1])"),
        ("", "→ f()"),
        (None, "→ f()"),
        ('{"a":', '→ f({"a":)'),
        ("[1]", "→ f([1])"),
    ],
)
def test_a_call_reads_as_one(arguments: object, text: str) -> None:
    assert call_line("f", arguments) == text


# -- What has been broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[1]", b'"x"', b"null"])
def test_what_is_no_request_is_shown_as_it_is(body: bytes) -> None:
    assert conversation_of("/api/chat", body).startswith("POST /api/chat\n\n(no ")


def test_a_request_may_end_at_any_byte() -> None:
    body = json.dumps(CHAT).encode()
    for length in range(len(body)):
        conversation_of("/api/chat", body[:length]).encode()


@given(
    st.dictionaries(
        st.sampled_from(("model", "messages", "input", "system", "prompt", "images", "tools", "options", "text")), FRAMES
    )
)
def test_members_may_hold_anything(request_body: dict[str, Any]) -> None:
    for path in ("/api/chat", "/v1/responses"):
        conversation_of(path, json.dumps(request_body).encode()).encode()


@given(st.binary(max_size=500))
def test_any_bytes_can_be_shown(body: bytes) -> None:
    conversation_of("/api/chat", body).encode()


def test_parts_within_parts_are_no_trouble() -> None:
    for depth in (300, 450, 700, 900, 5_000):
        part = '{"type":"tool_result","content":[' * depth + "]}" * depth
        assert "user" in conversation_of("/v1/messages", f'{{"messages":[{{"role":"user","content":[{part}]}}]}}'.encode())


def test_recorded_requests_are_all_shown() -> None:
    for request, _ in recorded():
        body = json.dumps(request["json"]) if "json" in request else request.get("text", "")
        assert conversation_of(request["path"], body.encode(), request["method"])
