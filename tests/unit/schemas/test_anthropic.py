"""Anthropic's requests: what they take, what is left when fields are missing, and what is said of a wrong one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.anthropic import (
    CustomTool,
    DocumentBlock,
    ImageBlock,
    MessagesRequest,
    OtherBlock,
    OtherTool,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    parse_messages_request,
)
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from pydantic import BaseModel

LEAST = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def parse(**fields: Any) -> MessagesRequest:
    return parse_messages_request(encode_json(LEAST | fields))


def block(**fields: Any) -> Any:
    """A content block as it is read."""
    (read,) = parse(messages=[{"role": "user", "content": [fields]}]).messages[0].content
    return read


def refusal(body: bytes, *, counting: bool = False) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_messages_request(body, counting=counting)
    assert caught.value.status == 400
    return caught.value.message


def dump(model: BaseModel) -> dict[str, Any]:
    """All that was read. Pydantic warns that blocks have no field with their type, by which it would know them again."""
    return model.model_dump(warnings=False)


def test_the_least_request_has_nothing_else_and_is_not_streamed() -> None:
    assert dump(parse()) == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "max_tokens": 9,
        "system": [],
        "stream": False,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "stop_sequences": [],
        "tools": [],
        "tool_choice": None,
        "thinking": None,
        "output_config": {"effort": "", "format": None},
        "output_format": None,
    }


def test_null_is_as_good_as_nothing_and_unknown_fields_are_ignored() -> None:
    optional = MessagesRequest.model_fields.keys() - LEAST.keys()
    unknown = {"metadata": {"user_id": "u"}, "betas": ["b"], "context_management": {}, "service_tier": "auto"}
    assert parse(**dict.fromkeys(optional), **unknown) == parse()
    assert block(type="text", text="a", cache_control={"type": "ephemeral"}, citations=None) == TextBlock(text="a")


def test_a_text_stands_for_a_list_of_one_block() -> None:
    asked = parse(system="S", messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": []}])
    assert asked.system == [TextBlock(text="S")]
    assert [message.content for message in asked.messages] == [[TextBlock(text="a")], []]
    assert block(type="tool_result", tool_use_id="t", content="a").content == [TextBlock(text="a")]


@pytest.mark.parametrize(
    ("fields", "kind", "read"),
    [
        ({"type": "text", "text": "a"}, TextBlock, {}),
        ({"type": "thinking", "thinking": "a", "signature": "s"}, ThinkingBlock, {}),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"a": None}}, ToolUseBlock, {}),
        ({"type": "tool_result", "tool_use_id": "t"}, ToolResultBlock, {"content": [], "is_error": False}),
        ({"type": "search_result", "source": "s", "title": "t", "content": []}, SearchResultBlock, {}),
        ({"type": "image", "source": {"type": "url", "url": "u"}}, ImageBlock, {"source": {"url": "u"}}),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            ImageBlock,
            {"source": {"media_type": "image/png", "data": "AA=="}},
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ImageBlock, {"source": {"type": "file"}}),
        (
            {"type": "document", "source": {"type": "content", "content": "a"}, "title": None},
            DocumentBlock,
            {"source": {"content": [{"text": "a"}]}, "title": "", "context": ""},
        ),
        ({"type": "compaction", "content": "a"}, OtherBlock, {"type": "compaction"}),
    ],
)
def test_a_block_is_read_by_its_type(fields: dict[str, Any], kind: type[BaseModel], read: dict[str, Any]) -> None:
    found = block(**fields)
    assert type(found) is kind
    expected = {**fields, "type": None, **read}
    assert dump(found) == {name: value for name, value in expected.items() if value is not None}


def test_a_tool_without_a_type_is_the_clients_own() -> None:
    tools = parse(tools=[{"name": "f"}, {"type": "custom", "name": "g"}, {"type": "web_search_20250305", "name": "w"}]).tools
    assert tools == [CustomTool(name="f"), CustomTool(name="g"), OtherTool(type="web_search_20250305")]


def test_only_a_request_to_be_counted_goes_without_a_limit() -> None:
    body = encode_json({name: value for name, value in LEAST.items() if name != "max_tokens"})
    assert refusal(body) == "max_tokens: Field required"
    assert parse_messages_request(body, counting=True).messages == parse().messages


@pytest.mark.parametrize("body", [b"", b"{", b"secret", b'{"model": "secret', b"[" * 100_000, b'{"max_tokens": NaN}'])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(body) == "The request body is not valid JSON"


@pytest.mark.parametrize("value", [None, 1, "secret", ["secret"]])
def test_a_body_that_is_no_object_is_refused(value: Any) -> None:
    assert refusal(encode_json(value)) == "Input should be an object"


SECRET_BLOCKS = "Input should be a string or a list of content blocks"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"model": 1}, "model: Input should be a valid string"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": "secret"}, "messages: Input should be a valid list"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": ["secret"]}, "messages.0: Input should be an object"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (
            {"messages": [{"role": "secret", "content": ""}]},
            "messages.0.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ({"messages": [{"role": "user", "content": {"secret": 1}}]}, f"messages.0.content: {SECRET_BLOCKS}"),
        ({"messages": [{"role": "user", "content": ["secret"]}]}, "messages.0.content.0: Input should be an object"),
        ({"messages": [{"role": "user", "content": [{"text": "secret"}]}]}, "messages.0.content.0.type: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": 1}]}]},
            "messages.0.content.0.type: Input should be a valid string",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text.text: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "secret"}}]}]},
            "messages.0.content.0.image.source.base64.media_type: Field required",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "secret"}]}]},
            "messages.0.content.0.tool_use.input: Input should be an object",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": 1}]}]},
            f"messages.0.content.0.tool_result.content: {SECRET_BLOCKS}",
        ),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"system": 1}, f"system: {SECRET_BLOCKS}"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number"),
        ({"stop_sequences": "secret"}, "stop_sequences: Input should be a valid list"),
        ({"tools": [{"description": "secret"}]}, "tools.0.custom.name: Field required"),
        ({"tools": ["secret"]}, "tools.0.custom: Input should be an object"),
        ({"tool_choice": "secret"}, "tool_choice: Input should be an object"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0.5}}, "thinking.budget_tokens: Input should be a valid integer"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": "secret"}}},
            "output_config.format.schema: Input should be an object",
        ),
    ],
)
def test_a_wrong_field_is_named_but_not_quoted(fields: dict[str, Any], message: str) -> None:
    assert refusal(encode_json(LEAST | fields)) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "x"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(MessagesRequest.model_fields)), JSON), st.booleans())
def test_any_body_is_read_or_refused_in_a_sentence(fields: dict[str, Any], counting: bool) -> None:
    try:
        parse_messages_request(json.dumps(LEAST | fields).encode(), counting=counting)
    except InvalidRequest as error:
        assert error.message.partition(":")[0].partition(".")[0] in MessagesRequest.model_fields  # noqa: PT017
