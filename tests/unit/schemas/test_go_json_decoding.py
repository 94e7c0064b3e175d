"""Bodies are decoded as Go decodes them, and refused in its words."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.go_json_decoding import WireModel, decode, finite, first_value, no_constant
from ollama_openai_proxy.schemas.go_json_syntax import check_depth
from ollama_openai_proxy.schemas.ollama.requests import (
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    ShowRequest,
)
from pydantic import Field

REQUESTS: list[type[WireModel]] = [ChatRequest, GenerateRequest, EmbedRequest, EmbeddingsRequest, ShowRequest]


def refusal(model: type[WireModel], body: bytes | str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode(model, body.encode() if isinstance(body, str) else body)
    assert caught.value.status == 400
    return caught.value.message


# ── what is lenient


@pytest.mark.parametrize(
    ("body", "model"),
    [
        pytest.param('{"model":"a"}', "a", id="plain"),
        pytest.param('{"MODEL":"a"}', "a", id="keys in any case"),
        pytest.param('{"model":"a","Model":"b"}', "b", id="the last of two equal keys"),
        pytest.param('{"model":"a","MODEL":null}', "a", id="null leaves what was there"),
        pytest.param('{"model":null}', "", id="null is the default"),
        pytest.param("null", "", id="null is an empty object"),
        pytest.param("{}", "", id="empty object"),
        pytest.param('{"model":"a","unknown":[1]}', "a", id="unknown keys"),
        pytest.param(' \r\n\t{"model":"a"}', "a", id="space in front"),
        pytest.param('{"model":"a"} trailing {', "a", id="only the first value counts"),
        pytest.param('{"model":"\\ud83d\\ude00"}', "😀", id="escaped pair"),
        pytest.param('{"model":"\\uD83D\\uDE00"}', "😀", id="escaped pair, upper case"),
        pytest.param('{"model":"\\ud83dx"}', "\ufffdx", id="first half alone"),
        pytest.param('{"model":"\\ude00\\ud83d"}', "\ufffd\ufffd", id="halves in the wrong order"),
        pytest.param('{"model":"\\\\ud83d"}', "\\ud83d", id="escaped backslash before what looks like a half"),
    ],
)
def test_what_go_takes_is_taken(body: str, model: str) -> None:
    assert decode(ShowRequest, body.encode()).model == model


def test_invalid_utf8_in_a_string_is_replaced() -> None:
    assert decode(ShowRequest, b'{"model":"a\xff"}').model == "a\ufffd"


# ── bodies that are no object


@pytest.mark.parametrize("body", ["", " ", "\r\n\t "], ids=["empty", "space", "blank lines"])
@pytest.mark.parametrize("model", REQUESTS, ids=lambda model: model.go_type)
def test_an_empty_body_is_missing(model: type[WireModel], body: str) -> None:
    assert refusal(model, body) == "missing request body"


@pytest.mark.parametrize("model", REQUESTS, ids=lambda model: model.go_type)
@pytest.mark.parametrize(
    ("body", "kind"), [("[]", "array"), ("5", "number"), ("1.5", "number"), ('"x"', "string"), ("true", "bool")]
)
def test_a_body_that_is_no_object_names_its_kind_and_the_go_type(model: type[WireModel], body: str, kind: str) -> None:
    assert refusal(model, body) == f"json: cannot unmarshal {kind} into Go value of type api.{model.go_type}"


# ── fields of a wrong type

CANNOT = "json: cannot unmarshal "


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"model":1}', "number into Go struct field ChatRequest.model of type string"),
        ('{"stream":"x"}', "string into Go struct field ChatRequest.stream of type bool"),
        ('{"stream":1}', "number into Go struct field ChatRequest.stream of type bool"),
        ('{"logprobs":1}', "number into Go struct field ChatRequest.logprobs of type bool"),
        ('{"truncate":1}', "number into Go struct field ChatRequest.truncate of type bool"),
        ('{"top_logprobs":"x"}', "string into Go struct field ChatRequest.top_logprobs of type int"),
        ('{"top_logprobs":true}', "bool into Go struct field ChatRequest.top_logprobs of type int"),
        ('{"top_logprobs":1.5}', "number 1.5 into Go struct field ChatRequest.top_logprobs of type int"),
        (
            '{"top_logprobs":99999999999999999999}',
            "number 99999999999999999999 into Go struct field ChatRequest.top_logprobs of type int",
        ),
        (
            '{"top_logprobs":-99999999999999999999}',
            "number -99999999999999999999 into Go struct field ChatRequest.top_logprobs of type int",
        ),
        ('{"options":"x"}', "string into Go struct field ChatRequest.options of type map[string]interface {}"),
        ('{"options":[]}', "array into Go struct field ChatRequest.options of type map[string]interface {}"),
        ('{"messages":"x"}', "string into Go struct field ChatRequest.messages of type []api.Message"),
        ('{"messages":{}}', "object into Go struct field ChatRequest.messages of type []api.Message"),
        ('{"messages":["x"]}', "string into Go struct field ChatRequest.messages of type api.Alias"),
        ('{"messages":[[]]}', "array into Go struct field ChatRequest.messages of type api.Alias"),
        ('{"messages":[{"role":1}]}', "number into Go struct field ChatRequest.messages.role of type string"),
        ('{"messages":[{"content":[]}]}', "array into Go struct field ChatRequest.messages.content of type string"),
        ('{"messages":[{"Content":{}}]}', "object into Go struct field ChatRequest.messages.content of type string"),
        ('{"messages":[{"images":"x"}]}', "string into Go struct field ChatRequest.messages.images of type []api.ImageData"),
        ('{"messages":[{"images":[1]}]}', "number into Go struct field ChatRequest.messages.images of type api.ImageData"),
        ('{"messages":[{"images":[{}]}]}', "object into Go struct field ChatRequest.messages.images of type api.ImageData"),
        (
            '{"messages":[{"tool_calls":{}}]}',
            "object into Go struct field ChatRequest.messages.tool_calls of type []api.ToolCall",
        ),
        (
            '{"messages":[{"tool_calls":["x"]}]}',
            "string into Go struct field ChatRequest.messages.tool_calls of type api.ToolCall",
        ),
        (
            '{"messages":[{"tool_calls":[{"id":1}]}]}',
            "number into Go struct field ChatRequest.messages.tool_calls.id of type string",
        ),
        (
            '{"messages":[{"tool_calls":[{"function":"x"}]}]}',
            "string into Go struct field ChatRequest.messages.tool_calls.function of type api.ToolCallFunction",
        ),
        (
            '{"messages":[{"tool_calls":[{"function":{"name":1}}]}]}',
            "number into Go struct field ChatRequest.messages.tool_calls.function.name of type string",
        ),
        (
            '{"messages":[{"tool_calls":[{"function":{"index":"x"}}]}]}',
            "string into Go struct field ChatRequest.messages.tool_calls.function.index of type int",
        ),
        ('{"tools":"x"}', "string into Go struct field ChatRequest.tools of type api.Tools"),
        ('{"tools":["x"]}', "string into Go struct field ChatRequest.tools of type api.Tool"),
        ('{"tools":[{"type":1}]}', "number into Go struct field Tool.tools.type of type string"),
        ('{"tools":[{"function":"x"}]}', "string into Go struct field Tool.tools.function of type api.ToolFunction"),
        ('{"tools":[{"function":{"name":1}}]}', "number into Go struct field ToolFunction.tools.function.name of type string"),
        (
            '{"tools":[{"function":{"parameters":[]}}]}',
            "array into Go struct field ToolFunction.tools.function.parameters of type api.ToolFunctionParameters",
        ),
    ],
)
def test_a_chat_field_of_a_wrong_type_is_named_as_go_names_it(body: str, text: str) -> None:
    assert refusal(ChatRequest, body) == CANNOT + text


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (GenerateRequest, '{"prompt":1}', "number into Go struct field GenerateRequest.prompt of type string"),
        (GenerateRequest, '{"raw":"x"}', "string into Go struct field GenerateRequest.raw of type bool"),
        (GenerateRequest, '{"context":"x"}', "string into Go struct field GenerateRequest.context of type []int"),
        (GenerateRequest, '{"context":["x"]}', "string into Go struct field GenerateRequest.context of type int"),
        (GenerateRequest, '{"context":[1.5]}', "number 1.5 into Go struct field GenerateRequest.context of type int"),
        (GenerateRequest, '{"images":"x"}', "string into Go struct field GenerateRequest.images of type []api.ImageData"),
        (GenerateRequest, '{"images":[1]}', "number into Go struct field GenerateRequest.images of type api.ImageData"),
        (EmbedRequest, '{"dimensions":"x"}', "string into Go struct field EmbedRequest.dimensions of type int"),
        (EmbedRequest, '{"options":1}', "number into Go struct field EmbedRequest.options of type map[string]interface {}"),
        (EmbeddingsRequest, '{"prompt":1}', "number into Go struct field EmbeddingRequest.prompt of type string"),
        (ShowRequest, '{"verbose":1}', "number into Go struct field ShowRequest.verbose of type bool"),
    ],
)
def test_a_field_of_a_wrong_type_is_named_as_go_names_it(model: type[WireModel], body: str, text: str) -> None:
    assert refusal(model, body) == CANNOT + text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param('{"model":1,"stream":1}', "model of type string", id="fields in one order"),
        pytest.param('{"stream":1,"model":1}', "stream of type bool", id="fields in the other"),
        pytest.param('{"messages":[{"content":1,"role":1}]}', "messages.content of type string", id="nested"),
        pytest.param('{"messages":[{},{"role":1},{"content":1}]}', "messages.role of type string", id="in a list"),
        pytest.param('{"MODEL":null,"stream":1,"Model":1}', "stream of type bool", id="a key in several cases"),
    ],
)
def test_of_several_errors_the_first_in_the_body_is_told(body: str, field: str) -> None:
    assert refusal(ChatRequest, body).endswith(f"ChatRequest.{field}")


class Copied(WireModel):
    """A request with a map."""

    go_type: ClassVar[str] = "Copied"
    go_types: ClassVar[dict[str, str]] = {"files": "map[string]string"}

    files: dict[str, str] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"files":[]}', "array into Go struct field Copied.files of type map[string]string"),
        ('{"files":{"a":"x","B":1,"b":"x"}}', "number into Go struct field Copied.files of type string"),
        ('{"Files":{"a":"","b":[]}}', "array into Go struct field Copied.files of type string"),
    ],
)
def test_the_key_of_a_map_is_not_named(body: str, text: str) -> None:
    assert refusal(Copied, body) == CANNOT + text


# ── no JSON


@pytest.mark.parametrize(
    "body",
    [b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b"\xef\xbb\xbf{}", b"{", b"\xff", b'{"a":"\x00"}'],
    ids=["NaN", "Infinity", "-Infinity", "BOM", "cut", "invalid UTF-8", "control character"],
)
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(ChatRequest, body).startswith(("invalid character ", "unexpected EOF"))


@pytest.mark.parametrize("depth", [20_000, 500_000])
@pytest.mark.parametrize("closed", [True, False])
def test_endless_nesting_is_refused(depth: int, closed: bool) -> None:
    body = '{"options":' + "[" * depth + ("]" * depth + "}" if closed else "")
    assert refusal(ChatRequest, body) == "invalid character '[' exceeded max depth"


def test_many_lists_beside_each_other_are_not_too_deep() -> None:
    assert decode(ChatRequest, b'{"messages":[{"role":"user","content":"' + b"[" * 20_000 + b'"}]}').messages is not None


@pytest.mark.parametrize(("nested", "deep"), [("[", 10_000), ('{"a":', 10_000), ("[", 10_001), ('{"a":', 10_001)])
def test_go_reads_ten_thousand_levels(nested: str, deep: int) -> None:
    value: Any = [] if nested == "[" else {}
    for _ in range(deep - 1):
        value = [value] if nested == "[" else {"a": value}
    if deep <= 10_000:
        check_depth(value)
    else:
        with pytest.raises(RecursionError):
            check_depth(value)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000], ids=["float", "negative", "digits"])
def test_a_number_that_go_cannot_hold_is_refused(number: str) -> None:
    assert refusal(ChatRequest, f'{{"options":{{"seed":{number}}}}}').startswith("json: cannot unmarshal number ")


def test_finite_takes_numbers_and_refuses_what_overflows() -> None:
    assert finite("1.5") == 1.5
    with pytest.raises(ValueError, match="1e999"):
        finite("1e999")
    with pytest.raises(ValueError, match="NaN"):
        no_constant("NaN")


# ── anything

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.just("5m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "function", "x"]), inner),
    max_leaves=8,
)
_FIELDS = [
    *("model", "messages", "tools", "options", "think", "keep_alive", "format", "stream", "top_logprobs", "Model"),
    *("prompt", "images", "context", "raw", "input", "dimensions", "verbose", "name"),
]


def taken_or_refused(model: type[WireModel], body: bytes) -> None:
    try:
        decode(model, body)
    except InvalidRequest as error:
        message, status = error.message, error.status
    else:
        return
    assert status == 400
    assert message
    message.encode()  # raises where half a character is left


@pytest.mark.parametrize("model", REQUESTS, ids=lambda model: model.go_type)
@given(value=st.dictionaries(st.sampled_from(_FIELDS), _JSON) | _JSON)
def test_any_json_is_either_taken_or_an_invalid_request(model: type[WireModel], value: object) -> None:
    taken_or_refused(model, json.dumps(value).encode())


@given(body=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_either_taken_or_an_invalid_request(body: bytes) -> None:
    taken_or_refused(ChatRequest, body)


@given(value=_JSON.filter(lambda value: value is not None))
def test_a_value_comes_out_as_it_went_in(value: object) -> None:
    text = json.dumps(value)
    if "NaN" in text or "Infinity" in text or "\\ud" in text:
        return
    assert first_value(text.encode()) == value
