"""The fields of Ollama's requests: what they take, what is left when they are missing, and what is said of a wrong value."""

import base64
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.go_json_decoding import decode
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.schemas.ollama.requests import (
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    ShowRequest,
)


def chat(**fields: Any) -> ChatRequest:
    return decode(ChatRequest, encode_json(fields))


def generate(**fields: Any) -> GenerateRequest:
    return decode(GenerateRequest, encode_json(fields))


def message(**fields: Any) -> Message:
    return chat(messages=[fields]).messages[0]


def refusal(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        generate(**fields)
    return caught.value.message


def test_an_empty_chat_streams_and_has_nothing_else() -> None:
    asked = chat()
    assert asked.model_dump() == {
        "model": "",
        "stream": True,
        "format": None,
        "keep_alive": None,
        "options": {},
        "think": None,
        "logprobs": False,
        "top_logprobs": 0,
        "truncate": True,
        "shift": True,
        "messages": [],
        "tools": [],
    }


def test_an_empty_generate_call_streams_and_has_nothing_else() -> None:
    asked = generate()
    assert asked.stream
    assert (asked.prompt, asked.suffix, asked.system, asked.template, asked.raw) == ("", "", "", "", False)
    assert (asked.context, asked.images) == ([], [])


def test_the_other_requests_need_nothing_either() -> None:
    assert decode(EmbedRequest, b"{}") == EmbedRequest(model="", input=None, truncate=True, dimensions=0)
    assert decode(EmbeddingsRequest, b"{}") == EmbeddingsRequest(model="", prompt="")
    assert decode(ShowRequest, b"{}") == ShowRequest(model="", name="", verbose=False)


@pytest.mark.parametrize("client", ["generate", "null"])
def test_defaults_that_clients_spell_out_mean_nothing(client: str) -> None:
    spelled_out: dict[str, dict[str, Any]] = {
        "generate": {
            "format": "",
            "options": {},
            "keep_alive": None,
            "template": "",
            "system": "",
            "context": [],
            "images": [],
            "raw": False,
            "suffix": "",
        },
        "null": {"format": None, "system": None, "template": None, "keep_alive": None, "raw": None, "options": {"seed": None}},
    }
    asked = generate(model="m", **spelled_out[client])
    assert asked.keep_alive is None
    assert not (asked.format)
    assert not (asked.system)
    assert not (asked.template)
    assert not (asked.raw)
    assert not (asked.context)
    assert not (asked.images)


# ── think, keep_alive


@pytest.mark.parametrize("value", [True, False, "low", "medium", "high", "max", None, "xhigh", "", "HIGH", 'a"b'])
def test_think_takes_a_boolean_or_any_name(value: object) -> None:
    assert generate(think=value).think == value


@pytest.mark.parametrize("value", [5, 0, 1, 1.5, [], ["high"], {}])
def test_think_of_another_type_is_refused(value: object) -> None:
    assert refusal(think=value) == "think must be a boolean or string"


@pytest.mark.parametrize(("value", "seconds"), [("5m0s", 300), (0, 0), ("0s", 0), (-1, math.inf), (300.0, 300), (None, None)])
def test_keep_alive_becomes_seconds(value: object, seconds: float | None) -> None:
    body = encode_json({"keep_alive": value})
    assert decode(ChatRequest, body).keep_alive == seconds
    assert decode(GenerateRequest, body).keep_alive == seconds
    assert decode(EmbedRequest, body).keep_alive == seconds
    assert decode(EmbeddingsRequest, body).keep_alive == seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("abc", 'time: invalid duration "abc"'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_a_wrong_keep_alive_is_refused_in_gos_words(value: object, text: str) -> None:
    assert refusal(keep_alive=value) == text


# ── images


@pytest.mark.parametrize(
    ("image", "position"),
    [
        ("data:image/png;base64,xx", 4),
        *(("Q", 0), ("QQ", 0), ("QUI", 0), ("QUJDQ", 4), ("QQ=", 3), ("QUJDQQ=\n", 8), ("QUJD\nQUJ", 5), ("\nQ", 1)),
        *(("=", 0), ("====", 0), ("Q===", 1), ("QQ=x", 2), ("QQ=\nx", 3), ("QQ==x", 4), ("QUI==", 4), ("QQ==QUJD", 4)),
        *(("é", 0), ("QUé=", 2), ("QUJD-_==", 4), ("QU JD", 2)),
    ],
)
def test_broken_base64_is_told_with_gos_position(image: str, position: int) -> None:
    assert refusal(images=[image]) == f"illegal base64 data at input byte {position}"


@pytest.mark.parametrize(
    ("image", "taken"),
    [("QUJD", "QUJD"), ("QUI=", "QUI="), ("QQ==", "QQ=="), ("QUJD\r\nQUJD\n", "QUJDQUJD"), ("", ""), ("QR==", "QR==")],
)
def test_base64_is_taken_without_its_line_breaks(image: str, taken: str) -> None:
    assert generate(images=[image]).images == [taken]
    assert message(images=[image]).images == [taken]


@given(st.binary())
def test_any_image_is_taken(data: bytes) -> None:
    image = base64.b64encode(data).decode()
    assert generate(images=[image]).images == [image]


@given(st.text("QUJD=+/\n\ré -"))
def test_any_text_is_an_image_or_told_where_it_is_none(text: str) -> None:
    try:
        base64.b64decode(generate(images=[text]).images[0], validate=True)
    except InvalidRequest as error:
        position = int(error.message.removeprefix("illegal base64 data at input byte "))
        assert 0 <= position <= len(text.encode())


# ── messages and tools


def test_a_message_needs_nothing() -> None:
    assert message() == Message(role="", content="", thinking="", images=[], tool_calls=[], tool_name="", tool_call_id="")


@pytest.mark.parametrize(("role", "read"), [("User", "user"), ("ALIEN", "alien"), (None, ""), ("", "")])
def test_roles_are_free_text_in_lower_case(role: str | None, read: str) -> None:
    assert message(role=role).role == read


def test_null_in_a_list_is_the_zero_value() -> None:
    assert chat(messages=[None]).messages == [Message()]
    assert chat(tools=[None]).tools[0].function.name == ""
    assert message(tool_calls=[None]).tool_calls[0].function.arguments == {}
    assert message(images=[None]).images == [""]
    assert generate(context=[1, None]).context == [1, 0]


@pytest.mark.parametrize("arguments", ["{}", "x", 5, [], True])
def test_arguments_that_are_no_object_are_refused(arguments: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        message(tool_calls=[{"function": {"name": "f", "arguments": arguments}}])
    assert caught.value.message == "Value looks like object, but can't find closing '}' symbol"


@pytest.mark.parametrize(
    ("function", "arguments"), [({"arguments": {"A": None}}, {"A": None}), ({"arguments": None}, {}), ({}, {})]
)
def test_arguments_are_kept_as_they_are(function: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert message(tool_calls=[{"function": function}]).tool_calls[0].function.arguments == arguments


def test_a_tools_schema_is_kept_whole() -> None:
    parameters = {"type": "object", "$schema": "x", "additionalProperties": False, "properties": {"A": {"default": None}}}
    [tool] = chat(tools=[{"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}]).tools
    assert tool.function.parameters == parameters
    assert tool.function.model_dump(exclude_unset=True) == {"name": "f", "strict": True, "parameters": parameters}
