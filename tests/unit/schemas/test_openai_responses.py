"""The request of the Responses API: short forms are written out, what is unknown is ignored, what is wrong is named."""

from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.schemas.openai_responses import Item, ResponsesRequest, parse_responses_request


def parse(**fields: Any) -> ResponsesRequest:
    return parse_responses_request(encode_json({"model": "m", **fields}))


def item(**fields: Any) -> Item:
    return parse(input=[fields]).input[0]


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_responses_request(body)
    assert caught.value.status == 400
    return caught.value.message


def texts(parts: list[Any]) -> list[tuple[str, str]]:
    return [(part.type, part.text) for part in parts]


def test_the_least_request_has_openais_defaults() -> None:
    asked = parse()
    assert asked.input == []
    assert not asked.stream
    assert asked.tool_choice.type == "auto"
    assert asked.parallel_tool_calls
    assert asked.text.format.type == "text"
    assert not asked.wants_logprobs


def test_null_is_as_if_not_given() -> None:
    names = set(ResponsesRequest.model_fields) - {"model"}
    assert parse(**dict.fromkeys(names)) == parse()
    assert item(role="user", content=None, id=None) == item(role="user")


def test_unknown_fields_are_ignored() -> None:
    asked = parse(input=[{"role": "user", "content": [{"type": "input_text", "text": "a", "new": 1}], "new": 2}], new=3)
    assert asked == parse(input="a")


def test_a_string_is_a_message_of_the_user() -> None:
    (message,) = parse(input="hello").input
    assert (message.type, message.role, texts(message.content)) == ("message", "user", [("input_text", "hello")])


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ("done", [("input_text", "done")]),
        (
            [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
            [("input_text", "a"), ("input_text", "b")],
        ),
        ([], []),
        ([{"stdout": "a", "stderr": ""}], [("input_text", '[{"stdout":"a","stderr":""}]')]),
        ({"type": "computer_screenshot", "image_url": "u"}, [("computer_screenshot", "")]),
        ({"a": "ä"}, [("input_text", '{"a":"ä"}')]),
        (5, [("input_text", "5")]),
    ],
    ids=["text", "parts", "no parts", "a shell's", "a screen", "an object", "a number"],
)
def test_an_output_is_a_list_of_parts(output: Any, parts: list[tuple[str, str]]) -> None:
    assert texts(item(type="function_call_output", call_id="c", output=output).output) == parts


@pytest.mark.parametrize(("arguments", "text"), [('{"a": 1}', '{"a": 1}'), ({"a": 1}, '{"a":1}')])
def test_arguments_are_json_text(arguments: Any, text: str) -> None:
    assert item(type="function_call", call_id="c", name="f", arguments=arguments).arguments == text


@pytest.mark.parametrize("word", ["auto", "none", "required"])
def test_a_choice_of_tools_may_be_a_word(word: str) -> None:
    assert parse(tool_choice=word).tool_choice.type == word


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [({"include": ["message.output_text.logprobs"]}, True), ({"top_logprobs": 2}, True), ({"include": ["other"]}, False)],
)
def test_logprobs_are_wanted_by_either_field(fields: dict[str, Any], wanted: bool) -> None:
    assert parse(**fields).wants_logprobs is wanted


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": ""}, '"model" should have at least 1 character.'),
        ({"model": None}, '"model" is missing.'),
        ({"model": 5}, '"model" should be a valid string.'),
        ({"input": 5}, '"input" should be a list.'),
        ({"input": ["secret"]}, '"input[0]" should be an object.'),
        ({"input": [{"content": {"secret": 1}}]}, '"input[0].content" should be a list.'),
        ({"input": [{"content": [{"text": "secret"}]}]}, '"input[0].content[0].type" is missing.'),
        ({"input": [{}, {"type": 5}]}, '"input[1].type" should be a valid string.'),
        ({"input": [{"type": "local_shell_call", "action": "ls"}]}, '"input[0].action" should be an object.'),
        ({"tools": [{"type": "function", "parameters": "secret"}]}, '"tools[0].parameters" should be an object.'),
        ({"temperature": "secret"}, '"temperature" should be a valid number.'),
        ({"max_output_tokens": 0}, '"max_output_tokens" should be greater than or equal to 1.'),
        ({"top_logprobs": 21}, '"top_logprobs" should be less than or equal to 20.'),
        ({"tool_choice": "secret"}, "\"tool_choice\" should be 'auto', 'none', 'required' or an object."),
        ({"text": {"verbosity": "secret"}}, "\"text.verbosity\" should be 'low', 'medium' or 'high'."),
        ({"text": {"format": {"type": "json_schema", "name": "secret"}}}, '"text.format" has no schema.'),
        ({"metadata": {"secret": 5}}, '"metadata" should be a valid string.'),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not_told(fields: dict[str, Any], message: str) -> None:
    assert refusal(encode_json({"model": "m"} | fields)) == message


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, None),
        ({"think": None}, None),
        ({"reasoning": {"effort": "secret"}}, "secret"),
        ({"think": False, "reasoning": {"effort": "high"}}, False),
        ({"think": "max", "reasoning": {"effort": "high"}}, "max"),
        ({"think": ""}, ""),
    ],
)
def test_any_name_of_an_effort_is_taken_and_think_counts_before_it(fields: dict[str, Any], thinking: Any) -> None:
    assert parse_responses_request(encode_json({"model": "m", **fields})).thinking == thinking


@pytest.mark.parametrize("think", [1, 0, 1.5, [], {}])
def test_think_of_another_type_is_refused(think: object) -> None:
    assert refusal(encode_json({"model": "m", "think": think})) == "invalid think value"


@pytest.mark.parametrize(
    ("body", "message"), [(b"", "missing request body"), (b"[]", "The request body should be a JSON object.")]
)
def test_a_body_that_is_no_object_is_refused(body: bytes, message: str) -> None:
    assert refusal(body) == message


def test_very_deep_arguments_do_no_harm() -> None:
    deep = b'{"model":"m","input":[{"type":"function_call","arguments":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}]}"
    assert parse_responses_request(deep).input[0].arguments.startswith('{"a":{"a":')
