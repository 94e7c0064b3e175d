"""Each kind of refusal, in the words of the servers that say so, and what the next call is.

The names are those of server families. Where a text comes from a report or a source, the report stands beside it.
"""

from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.changes import KINDS
from ollama_openai_proxy.translate.adaptation.learned import Attempts, Learned
from ollama_openai_proxy.translate.adaptation.limits import batch_limit
from ollama_openai_proxy.translate.adaptation.message_changes import user_last

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be kind"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL_OF_TOOL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_00000000", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "call_00000000", "content": "21"}
CHAT: dict[str, Any] = {"model": "m", "messages": [USER], "stream": True, "stream_options": {"include_usage": True}}


def attempt(sent: dict[str, Any], text: str, param: str | None = None, status: int = 400) -> Attempts:
    attempts = Attempts(Learned(lambda: 0.0), sent)
    lesson = attempts.learn(status, text, param)
    assert lesson.again, "the call is not made again"
    assert {change.kind for change in lesson.changes} <= set(KINDS)
    assert all(change.describe() for change in lesson.changes)
    return attempts


def after(sent: dict[str, Any], text: str, param: str | None = None, status: int = 400) -> dict[str, Any]:
    return attempt(sent, text, param, status).call.parameters


# -- Lower --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "param", "most"),
    [
        pytest.param(
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
            "max_tokens",
            16384,
            id="openai",
        ),
        pytest.param("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", None, 8192, id="deepseek"),
        pytest.param(
            "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]", None, 8192, id="dashscope"
        ),
        pytest.param(
            "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022",
            None,
            8192,
            id="anthropic",
        ),
        pytest.param(
            "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is less than the "
            "`context_window` for this model",
            "max_tokens",
            4096,
            id="groq",
        ),
        pytest.param(
            "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is "
            "lower than 4096.",
            None,
            4096,
            id="bedrock",
        ),
        pytest.param(
            "Unable to submit request because it has a maxOutputTokens value of 32000 but the supported range is from 1 "
            "(inclusive) to 8193 (exclusive). Update the value and try again.",
            None,
            8192,
            id="vertex",
        ),
        pytest.param("max_tokens must be at most 2,048", None, 2048, id="a comma in the number"),
        pytest.param("max_tokens should be in [1, 16384]", None, 16384, id="an interval"),
        pytest.param("`max_new_tokens` must be <= 1024. Given: 32000", None, 1024, id="tgi"),
        pytest.param("Invalid value for 'max_tokens': must be between 1 and 4096", "max_tokens", 4096, id="between"),
        pytest.param("body.max_tokens: Input should be less than or equal to 8000", None, 8000, id="fastapi"),
        pytest.param(
            "1 validation error: max_tokens ensure this value is less than or equal to 512", None, 512, id="pydantic 1"
        ),
        pytest.param("max_tokens is above the maximum of 4096", None, 4096, id="above"),
    ],
)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_is_lowered_to_the_servers(text: str, param: str | None, most: int, name: str) -> None:
    attempts = attempt(CHAT | {name: 32000}, text, param)
    assert attempts.call.parameters == CHAT | {name: most}


def test_a_limit_of_tokens_without_a_number_is_left_out() -> None:
    assert after(CHAT | {"max_tokens": 32000}, "max_tokens is too large", "max_tokens") == CHAT


@pytest.mark.parametrize(
    ("text", "context", "prompt"),
    [
        pytest.param(
            "This model's maximum context length is 8192 tokens. However, you requested 32020 tokens (20 in the "
            "messages, 32000 in "
            "the completion). Please reduce the length of the messages or completion.",
            8192,
            20,
            id="openai",
        ),
        pytest.param(
            "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 8192 "
            "tokens and "
            "your request has 20 input tokens (32000 > 8192 - 20).",
            8192,
            20,
            id="vllm",
        ),
        pytest.param(
            "This model's maximum context length is 2048 tokens. However, you requested 32000 output tokens and your prompt "
            "contains at least 17 input tokens, for a total of at least 32017 tokens. Please reduce the length of the "
            "input prompt "
            "or the number of requested output tokens.",
            2048,
            17,
            id="vllm, newer",
        ),
        pytest.param(
            "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 32020 "
            "tokens: 20 tokens from the input messages and 32000 tokens for the completion.",
            8192,
            20,
            id="sglang",
        ),
        pytest.param(
            "input length and `max_tokens` exceed context limit: 180000 + 32000 > 200000, decrease input length or "
            "`max_tokens` "
            "and try again",
            200000,
            180000,
            id="anthropic",
        ),
        pytest.param(
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens "
            "(108000 of text "
            "input, 32000 in the output). Please reduce the length of either one.",
            131072,
            108000,
            id="openrouter",
        ),
        pytest.param(
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 20 `inputs` tokens and 32000 `max_new_tokens`",
            4096,
            20,
            id="tgi",
        ),
        pytest.param("Requested tokens (32020) exceed context window of 2048", 2048, 20, id="llama-cpp-python"),
    ],
)
def test_a_limit_of_tokens_is_lowered_to_what_the_prompt_leaves(text: str, context: int, prompt: int) -> None:
    messages = [{"role": "user", "content": "word" * prompt}]
    sent = CHAT | {"messages": messages, "max_tokens": 32000}
    attempts = attempt(sent, text)
    assert 0 < attempts.call.parameters["max_tokens"] <= max(context - prompt, 1)
    attempts.confirm()
    short = CHAT | {"max_tokens": 10}
    assert Attempts(attempts._learned, short).call.parameters == short


@pytest.mark.parametrize(
    ("sent", "text", "param", "then"),
    [
        pytest.param({"temperature": 3}, "temperature must be in [0, 2], got 3.0", None, {"temperature": 2}, id="vllm"),
        pytest.param({"top_p": 0.0}, "top_p must be in (0, 1], got 0.0.", None, {"top_p": 1e-6}, id="vllm, open below"),
        pytest.param(
            {"temperature": 3},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
            "temperature",
            {"temperature": 2},
            id="openai",
        ),
        pytest.param(
            {"temperature": 1.5},
            "body.temperature: Input should be less than or equal to 1",
            None,
            {"temperature": 1},
            id="fastapi, flattened",
        ),
        pytest.param(
            {"temperature": 3, "top_p": 0.0},
            "[{'type': 'less_than_equal', 'loc': ('body', 'temperature'), 'msg': 'Input should be less than or equal "
            "to 2', 'input': 3}, "
            "{'type': 'greater_than', 'loc': ('body', 'top_p'), 'msg': 'Input should be greater than 0', 'input': 0.0}]",
            None,
            {"temperature": 2, "top_p": 1e-6},
            id="fastapi, two at once",
        ),
        pytest.param(
            {"temperature": 0},
            "temperature: range: must be between 0.01 and 1",
            None,
            {"temperature": 1},
            id="a whole number comes into an open range",
        ),
        pytest.param(
            {"presence_penalty": 3.5},
            "3.5 is greater than the maximum of 2 - 'presence_penalty'",
            None,
            {"presence_penalty": 2},
            id="jsonschema",
        ),
        pytest.param(
            {"top_logprobs": 20},
            "top_logprobs must be less than or equal to 5",
            "top_logprobs",
            {"top_logprobs": 5},
            id="top_logprobs",
        ),
        pytest.param({"top_k": 0}, "top_k must be at least 1", None, {"top_k": 1}, id="at least"),
        pytest.param({"top_k": 200}, "`top_k` must be less than 129", None, {"top_k": 128}, id="less than"),
        pytest.param({"temperature": 0.0}, "`temperature` must be strictly positive", None, {"temperature": 1e-6}, id="tgi"),
        pytest.param(
            {"seed": 1 << 40}, "seed must be less than or equal to 2147483647", None, {"seed": 2147483647}, id="a large seed"
        ),
        pytest.param({"temperature": 2.5}, "Temperature must be between 0 and 2.", None, {"temperature": 2}, id="cohere"),
    ],
)
def test_a_value_is_brought_into_the_range_that_is_taken(
    sent: dict[str, Any], text: str, param: str | None, then: dict[str, Any]
) -> None:
    assert after(CHAT | sent, text, param) == CHAT | then


def test_ranges_of_several_refusals_hold_together() -> None:
    attempts = attempt(CHAT | {"temperature": 3}, "temperature must be at most 2")
    assert attempts.learn(400, "temperature must be at most 1", None).again
    assert attempts.call.parameters == CHAT | {"temperature": 1}


# -- Ask without a stream -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "param", "beside"),
    [
        pytest.param(
            "Your organization must be verified to stream this model. Please go to the settings and click on Verify "
            "Organization.",
            "stream",
            False,
            id="openai",
        ),
        pytest.param("Unsupported value: 'stream' does not support true with this model.", "stream", False, id="openai, o1"),
        pytest.param("Streaming is not supported for this model", None, False, id="a sentence"),
        pytest.param("This model doesn't support tool use in streaming mode.", None, True, id="bedrock"),
        pytest.param("Tools are not supported in streaming mode", None, True, id="n8n-io/n8n#14206"),
        pytest.param("stream must be set to false", None, False, id="must be false"),
        pytest.param("response_format is not supported when stream=true", None, False, id="a format in a stream"),
    ],
)
def test_a_stream_that_is_refused_is_not_asked_for(text: str, param: str | None, beside: bool) -> None:
    sent = CHAT | {"tools": [TOOL]}
    attempts = attempt(sent, text, param)
    assert attempts.call.parameters == {"model": "m", "messages": [USER], "tools": [TOOL], "stream": False}
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT).call.parameters["stream"] is beside


@pytest.mark.parametrize(
    "text",
    [
        "This model only supports streaming, please set stream to true",
        "This model only support stream mode, please enable the stream parameter to access the model.",
        "The 'stream_options' parameter is not supported",
    ],
)
def test_a_server_that_wants_streams_gets_them(text: str) -> None:
    attempts = Attempts(Learned(lambda: 0.0), CHAT)
    attempts.learn(400, text, None)
    assert attempts.call.parameters["stream"] is True


def test_a_call_without_a_stream_does_what_such_calls_need() -> None:
    attempts = attempt(CHAT, "Streaming is not supported for this model")
    assert attempts.learn(400, "parameter.enable_thinking must be set to false for non-streaming calls", None).again
    assert attempts.call.parameters == {"model": "m", "messages": [USER], "stream": False, "enable_thinking": False}


# -- Tools with something else --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("json mode cannot be combined with tool/function calling", id="groq"),
        pytest.param("Function calling with a response mime type: 'application/json' is unsupported", id="gemini"),
        pytest.param("response_format is not supported with tools", id="a sentence"),
        pytest.param("`tools` and `response_format` cannot be used together", id="together"),
        pytest.param("Structured outputs are incompatible with tools", id="incompatible"),
        pytest.param("tools and response_format are mutually exclusive", id="mutually exclusive"),
        pytest.param("Cannot specify both tools and response_format", id="both"),
    ],
)
def test_a_format_that_is_refused_beside_tools_is_told_in_words(text: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "properties": {"city": {}}}}}
    sent = CHAT | {"tools": [TOOL], "response_format": form}
    attempts = attempt(sent, text)
    then = attempts.call.parameters
    assert then["tools"] == [TOOL]
    assert "response_format" not in then
    assert '"city"' in then["messages"][0]["content"]
    attempts.confirm()
    without_tools = CHAT | {"response_format": form}
    assert Attempts(attempts._learned, without_tools).call.parameters == without_tools


def test_an_effort_that_is_refused_beside_tools_stays_without_them() -> None:
    text = (
        "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses."
    )
    attempts = attempt(CHAT | {"tools": [TOOL], "reasoning_effort": "low"}, text)
    assert attempts.call.parameters == CHAT | {"tools": [TOOL]}
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT | {"reasoning_effort": "low"}).call.parameters["reasoning_effort"] == "low"


@pytest.mark.parametrize("effort", [{}, {"reasoning_effort": "low"}])
@pytest.mark.parametrize(
    "text",
    [
        "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. To use function "
        "tools, use "
        "/v1/responses or set reasoning_effort to 'none'.",
        "tools are not supported unless reasoning_effort is 'none'",
    ],
)
def test_tools_that_need_a_model_without_thinking_get_it(text: str, effort: dict[str, str]) -> None:
    attempts = attempt(CHAT | {"tools": [TOOL]} | effort, text, "reasoning_effort")
    assert attempts.call.parameters == CHAT | {"tools": [TOOL], "reasoning_effort": "none"}
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT | effort).call.parameters == CHAT | effort


# -- A choice of tools ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "param"),
    [
        (404, "No endpoints found that support the provided 'tool_choice' value. To learn more, see the documentation.", None),
        (400, "deepseek-reasoner does not support this tool_choice", None),
        (400, "tool_choice 'specified' is incompatible with thinking enabled", None),
        (400, '`tool_choice` must either be a named tool, "auto", or "none".', None),
        (400, "Only 'auto' is supported for tool_choice", None),
        (400, "Invalid value: 'required'", "tool_choice"),
    ],
)
def test_a_choice_of_tools_that_is_refused_is_left_out(status: int, text: str, param: str | None) -> None:
    sent = CHAT | {"tools": [TOOL], "tool_choice": "required"}
    assert after(sent, text, param, status) == CHAT | {"tools": [TOOL]}


@pytest.mark.parametrize("text", ["tool_choice: tool 'g' not found in the list of tools", "Invalid tool_choice: no such tool"])
def test_a_choice_of_a_tool_that_is_not_there_is_the_clients(text: str) -> None:
    attempts = Attempts(Learned(lambda: 0.0), CHAT | {"tools": [TOOL], "tool_choice": "required"})
    assert not attempts.learn(400, text, None).again


# -- Thinking ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Thinking mode cannot be disabled for this model",
        "This model only works in thinking mode",
        "Reasoning is mandatory for this endpoint and cannot be disabled.",
        "disabling thinking is not supported",
    ],
)
@pytest.mark.parametrize(
    "off",
    [
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}},
        {"reasoning": {"enabled": False}},
        {"enable_thinking": False},
        {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    ],
)
def test_a_model_that_must_think_is_not_told_not_to(text: str, off: dict[str, Any]) -> None:
    assert after(CHAT | off, text) == CHAT


def test_other_variables_of_the_template_stay() -> None:
    sent = CHAT | {"chat_template_kwargs": {"enable_thinking": False, "tone": "dry"}}
    assert after(sent, "thinking cannot be disabled") == CHAT | {"chat_template_kwargs": {"tone": "dry"}}


# -- Add --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "text", "param", "added"),
    [
        (CHAT, "max_tokens: Field required", None, {"max_tokens": 4096}),
        (CHAT, "Missing required parameter: 'max_tokens'", "max_tokens", {"max_tokens": 4096}),
        (CHAT, "body.max_tokens: field required", None, {"max_tokens": 4096}),
        (CHAT | {"tools": [TOOL]}, "tool_choice is required when tools are given", None, {"tool_choice": "auto"}),
        (
            {"model": "m", "input": ["a"]},
            "'input_type' parameter is required for asymmetric models",
            None,
            {"input_type": "passage"},
        ),
    ],
)
def test_what_a_server_demands_is_added(sent: dict[str, Any], text: str, param: str | None, added: dict[str, Any]) -> None:
    assert after(sent, text, param) == sent | added


@pytest.mark.parametrize(
    "text",
    [
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        "<400> InternalError.Algo.InvalidParameter: 'messages' must contain the word 'json' in some form, to use "
        "'response_format' of type 'json_object'.",
        "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
    ],
)
@pytest.mark.parametrize("param", [None, "messages"])
def test_the_word_json_is_said_where_it_is_demanded(text: str, param: str | None) -> None:
    form = {"response_format": {"type": "json_object"}}
    sent = after(CHAT | form, text, param)
    assert sent == CHAT | form | {"messages": [{"role": "system", "content": "Answer with a JSON object."}, USER]}


def test_the_word_json_is_not_said_twice() -> None:
    form = {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "as JSON, please"}]}
    attempts = Attempts(Learned(lambda: 0.0), CHAT | form)
    assert not attempts.learn(400, "'messages' must contain the word 'json'", "messages").again


# -- Schemas ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Invalid schema for response_format 'schema': schema must be a JSON Schema of 'type: \"object\"', got 'type: "
        '"array"\'.',
        "The root schema must be of type object",
    ],
)
def test_a_schema_of_a_list_is_wrapped_where_only_objects_are_taken(text: str) -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/name"}, "$defs": {"name": {"type": "string"}}}
    sent = CHAT | {"response_format": {"type": "json_schema", "json_schema": {"name": "schema", "schema": schema}}}
    attempts = attempt(sent, text, "response_format")
    wrapped = attempts.call.parameters["response_format"]["json_schema"]["schema"]
    assert attempts.call.unwrap
    assert wrapped == {
        "$defs": schema["$defs"],
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/name"}}},
        "required": ["value"],
        "additionalProperties": False,
    }


def test_one_schema_that_is_refused_changes_no_other() -> None:
    def sent(schema: dict[str, Any]) -> dict[str, Any]:
        return CHAT | {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}

    odd, plain = {"type": "object", "propertyNames": {}}, {"type": "object"}
    attempts = attempt(sent(odd), "Invalid schema for response_format: 'propertyNames' is not permitted", "response_format")
    attempts.confirm()
    assert Attempts(attempts._learned, sent(plain)).call.parameters == sent(plain)
    assert Attempts(attempts._learned, sent(odd)).call.parameters["response_format"] == {"type": "json_object"}


# -- Messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "text", "then"),
    [
        pytest.param(
            [SYSTEM, USER],
            "System role not supported",
            [{"role": "user", "content": "be kind\n\nhi"}],
            id="gemma",
        ),
        pytest.param(
            [SYSTEM, USER],
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            [{"role": "user", "content": "be kind\n\nhi"}],
            id="openai, o1-mini",
        ),
        pytest.param(
            [SYSTEM, USER],
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            [{"role": "user", "content": "be kind\n\nhi"}],
            id="gemini, gemma",
        ),
        pytest.param(
            [{"role": "developer", "content": "be kind"}, USER],
            "developer role is not supported",
            [SYSTEM, USER],
            id="an older server",
        ),
        pytest.param(
            [USER, SYSTEM, USER],
            "System message must be at the beginning.",
            [SYSTEM, USER, USER],
            id="qwen",
        ),
        pytest.param(
            [SYSTEM, SYSTEM, USER],
            "Only one system message is allowed",
            [{"role": "system", "content": "be kind\n\nbe kind"}, USER],
            id="one system message",
        ),
        pytest.param(
            [USER, USER],
            "Conversation roles must alternate user/assistant/user/assistant/...",
            [{"role": "user", "content": "hi\n\nhi"}],
            id="gemma, llama 2",
        ),
        pytest.param(
            [SYSTEM, {"role": "assistant", "content": "hello"}, USER],
            "After the (optional) system message(s), user and assistant roles should be alternating.",
            [SYSTEM, {"role": "user", "content": "Continue."}, {"role": "assistant", "content": "hello"}, USER],
            id="perplexity",
        ),
        pytest.param(
            [{"role": "assistant", "content": "hello"}, USER],
            "First message must have role user",
            [{"role": "user", "content": "Continue."}, {"role": "assistant", "content": "hello"}, USER],
            id="the user begins",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": "Once"}],
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            [USER, {"role": "assistant", "content": "Once", "prefix": True}],
            id="mistral",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": "Once"}],
            "This model does not support assistant message prefill. The conversation must end with a user message.",
            [USER, {"role": "assistant", "content": "Once"}, {"role": "user", "content": "Continue."}],
            id="claude",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": "Once"}],
            "Last message must have role `user`",
            [USER, {"role": "assistant", "content": "Once"}, {"role": "user", "content": "Continue."}],
            id="perplexity, last",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT, USER],
            "Unexpected role 'user' after role 'tool'",
            [USER, CALL_OF_TOOL, RESULT, {"role": "assistant", "content": "."}, USER],
            id="mistral, after a tool",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT],
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
            [USER, CALL_OF_TOOL | {"reasoning_content": "."}, RESULT],
            id="moonshot",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT],
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            [USER, CALL_OF_TOOL | {"reasoning_content": "."}, RESULT],
            id="deepseek",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT],
            "1 validation error:\n  {'type': 'string_type', 'loc': ('body', 'messages', 1, 'content'), 'msg': 'Input "
            "should be a "
            "valid string', 'input': None}",
            [USER, CALL_OF_TOOL | {"content": ""}, RESULT],
            id="llama-cpp-python",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "messages[0].content must be a string",
            [{"role": "user", "content": "a\nb"}],
            id="a server that knows no parts",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": ""}, USER],
            "messages.1: all messages must have non-empty content except for the optional final assistant message",
            [USER, USER],
            id="anthropic",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL | {"content": ""}, RESULT | {"content": " "}],
            "the message at position 1 with role 'assistant' must not be empty",
            [USER, {name: value for name, value in CALL_OF_TOOL.items() if name != "content"}, RESULT | {"content": "."}],
            id="moonshot, empty",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT],
            "GenerateContentRequest.contents[2].parts[0].function_response.name: Name cannot be empty.",
            [USER, CALL_OF_TOOL, RESULT | {"name": "f"}],
            id="gemini",
        ),
        pytest.param(
            [USER, CALL_OF_TOOL, RESULT],
            "role 'tool' is not supported",
            [
                USER,
                {"role": "assistant", "content": '{"call": "f", "arguments": "{}"}'},
                {"role": "user", "content": "Result of f: 21"},
            ],
            id="a model without tools",
        ),
        pytest.param(
            [USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER],
            "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
            "'reasoning_content' is "
            "unsupported)]",
            [USER, {"role": "assistant", "content": "a"}, USER],
            id="groq",
        ),
        pytest.param(
            [USER | {"name": "me"}],
            "property 'messages.0.name' is unsupported",
            [USER],
            id="a field of messages",
        ),
        pytest.param(
            [USER | {"name": "me"}],
            "[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'name'), 'msg': 'Extra inputs are not permitted'}]",
            [USER],
            id="vllm, a field of messages",
        ),
    ],
)
def test_messages_are_shaped_as_the_server_wants_them(
    messages: list[dict[str, Any]], text: str, then: list[dict[str, Any]]
) -> None:
    sent = CHAT | {"messages": messages}
    assert after(sent, text) == CHAT | {"messages": then}
    assert sent == CHAT | {"messages": messages}


@pytest.mark.parametrize(
    "text",
    [
        "Tool call id was call_00000000 but must be a-z, A-Z, 0-9, with a length of 9.",
        "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 9.",
    ],
)
def test_ids_of_calls_are_shortened_where_long_ones_are_refused(text: str) -> None:
    _, call, result = after(CHAT | {"messages": [USER, CALL_OF_TOOL, RESULT]}, text)["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()


def test_several_calls_come_one_in_each_message_where_more_are_refused() -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    results = [{"role": "tool", "tool_call_id": name, "content": name} for name in "ba"]
    both = {"role": "assistant", "content": None, "tool_calls": calls}
    sent = CHAT | {"messages": [USER, both, *results, USER]}
    shaped = after(sent, "This model only supports single tool-calls at once!")["messages"]
    assert [(m["role"], m.get("tool_call_id"), len(m.get("tool_calls", []))) for m in shaped] == [
        ("user", None, 0),
        ("assistant", None, 1),
        ("tool", "a", 0),
        ("assistant", None, 1),
        ("tool", "b", 0),
        ("user", None, 0),
    ]


def test_a_last_message_of_the_assistant_is_continued() -> None:
    sent = CHAT | {"messages": [USER, {"role": "assistant", "content": "Once"}]}
    text = (
        "Cannot set `add_generation_prompt` to True when the last message is from the assistant. Consider using "
        "`continue_final_message` instead."
    )
    assert after(sent, text) == sent | {"continue_final_message": True, "add_generation_prompt": False}


# -- Embeddings ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "most"),
    [
        pytest.param(
            400,
            "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger than 10.: "
            "input.contents",
            10,
            id="dashscope",
        ),
        pytest.param(422, "batch size 473 > maximum allowed batch size 32", 32, id="tei"),
        pytest.param(413, "input batch size 136 > maximum allowed batch size 64", 64, id="siliconflow"),
        pytest.param(400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch", 100, id="gemini"),
        pytest.param(
            400,
            "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 3000 "
            "instead.",
            2048,
            id="openai",
        ),
        pytest.param(400, "The batch size limit is 128. Your batch size is 3000", 128, id="voyage"),
        pytest.param(400, "Too many inputs in request. Max is 512.", 512, id="mistral"),
        pytest.param(422, "List should have at most 2048 items after validation, not 3000", 2048, id="infinity"),
        pytest.param(400, "invalid request: total number of texts must be at most 96 - received 3000", 96, id="cohere"),
        pytest.param(413, "the back end answered 413 Request Entity Too Large", 1500, id="a gateway"),
        pytest.param(400, "the batch is too large", 1500, id="without a number"),
    ],
)
def test_the_most_texts_of_a_call_are_learned(status: int, text: str, most: int) -> None:
    learned = Learned(lambda: 0.0)
    attempts = Attempts(learned, {"model": "m", "input": ["a"] * 3000})
    lesson = attempts.learn(status, text, None)
    assert not lesson.again, "one call cannot become several"
    assert [getattr(change, "inputs", None) for change in lesson.changes] == [most]
    assert list(lesson.changes) == learned.changes


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("Requested 400000 tokens, max 300000 tokens per request", 300000),
        ("The max allowed tokens per submitted batch is 120000. Your batch has 150000 tokens after truncation.", 120000),
        ("Too many tokens overall, split into more batches.", 375),
    ],
)
def test_the_most_tokens_of_a_call_are_learned(text: str, most: int) -> None:
    attempts = Attempts(Learned(lambda: 0.0), {"model": "m", "input": ["a" * 30] * 100})
    assert [getattr(change, "tokens", None) for change in attempts.learn(400, text, None).changes] == [most]


@pytest.mark.parametrize("text", ["base64 encoding is not currently supported", "encoding_format base64 is not supported"])
def test_vectors_come_as_numbers_where_base64_is_refused(text: str) -> None:
    sent = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    assert after(sent, text) == sent | {"encoding_format": "float"}


def test_an_encoding_that_is_no_parameter_is_left_out() -> None:
    sent = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    assert after(sent, 'Unknown name "encoding_format": Cannot find field.') == {"model": "m", "input": ["a"]}


@pytest.mark.parametrize("text", ["'$.input' is invalid. Input must not be empty", "input[1] cannot be blank"])
def test_blank_texts_become_full_stops_where_they_are_refused(text: str) -> None:
    assert after({"model": "m", "input": ["a", " "]}, text) == {"model": "m", "input": ["a", "."]}


@pytest.mark.parametrize(
    ("text", "most"),
    [
        pytest.param(
            "This model's maximum context length is 256 tokens. However, your prompt contains at least 400 input tokens, which "
            "exceeds this limit even without any output tokens.",
            256 * 4,
            id="vllm",
        ),
        pytest.param(
            "input (400 tokens) is too large to process. increase the physical batch size (current batch size: 256)",
            800,
            id="llama.cpp",
        ),
        pytest.param("`inputs` must have less than 256 tokens. Given: 400", 512, id="tei"),
        pytest.param("input is too long", 800, id="without a number"),
    ],
)
def test_a_text_that_is_too_long_is_cut(text: str, most: int) -> None:
    sent = {"model": "m", "input": ["a" * 1600, "b"]}
    long, short = after(sent, text)["input"]
    assert 100 < len(long) <= most
    assert short == "b"


# -- Refusals that teach nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status", "text", "param"),
    [
        (CHAT | {"max_tokens": 90000}, 400, "Your input exceeds the context window of this model", None),
        (CHAT | {"top_k": 4}, 404, "Not Found", None),
        (CHAT | {"top_k": 4}, 429, "Too many requests", None),
        (CHAT, 400, "tool_choice is required", None),
        (CHAT | {"response_format": {"type": "json_object"}}, 400, "response_format must be an object", None),
        ({"model": "m", "input": "text"}, 400, "the batch is too large", None),
        ({"model": "m", "input": ["a"]}, 400, "the batch is too large", None),
        ({"model": "m", "input": ["a", "b"]}, 400, "Tokens per request are limited to 1,000", "x"),
        ({"model": "m", "input": ["a", "b"]}, 400, "The server is out of order", None),
        ({"model": "m", "input": ["ab"]}, 400, "maximum context length is 256 tokens", None),
        (CHAT, 400, "This is not", None),
        (CHAT | {"stream": False}, 400, "The server is out of order", None),
        ({"model": "m", "input": ["a"]}, 400, "Total tokens are limited", None),
        (CHAT | {"seed": 1}, 400, "The seed option must be only", None),
    ],
)
def test_what_is_not_about_the_way_of_asking_changes_nothing(
    sent: dict[str, Any], status: int, text: str, param: str | None
) -> None:
    attempts = Attempts(Learned(lambda: 0.0), sent)
    assert not attempts.learn(status, text, param).again
    assert attempts.call.parameters == sent


@pytest.mark.parametrize(
    ("sent", "text", "param", "left_out"),
    [
        ({"seed": 1}, "parameter seed must be unset", None, "seed"),
        (
            {"response_format": {"type": "text"}},
            "[{'loc': ('body', 'response_format', 'type'), 'msg': 'odd'}]",
            None,
            "response_format",
        ),
        ({"presence_penalty": 1}, "not supported", "presence_penalty", "presence_penalty"),
        ({"top_k": 1}, "top_k is no longer supported", None, "top_k"),
        ({"top_k": 1}, "No endpoints found that can handle the requested parameters", None, "top_k"),
        ({"seed": 1}, "The following parameters are not supported by this model: seed", None, "seed"),
    ],
)
def test_further_words_refuse_a_parameter(sent: dict[str, Any], text: str, param: str | None, left_out: str) -> None:
    assert left_out not in after(CHAT | sent, text, param)


def test_a_penalty_by_its_family_name_is_both() -> None:
    sent = CHAT | {"presence_penalty": 0.2, "frequency_penalty": 0.2}
    assert after(sent, "Penalty is not enabled for this model") == CHAT


def test_a_call_without_a_result_stays_a_call() -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    sent = CHAT | {"messages": [USER, {"role": "assistant", "content": "x", "tool_calls": calls}, RESULT, CALL_OF_TOOL]}
    shaped = after(sent, "This model only supports single tool-calls at once!")["messages"]
    assert [message["role"] for message in shaped] == ["user", "assistant", "assistant", "tool", "assistant"]


def test_a_system_prompt_alone_becomes_the_users() -> None:
    sent = CHAT | {"messages": [SYSTEM, {"role": "assistant", "content": "a"}]}
    shaped = after(sent, "System role not supported")["messages"]
    assert shaped == [{"role": "user", "content": "be kind"}, {"role": "assistant", "content": "a"}]


def test_a_system_prompt_and_an_image_become_one_message() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    sent = CHAT | {"messages": [SYSTEM, {"role": "user", "content": [image]}]}
    shaped = after(sent, "System role not supported")["messages"]
    assert shaped == [{"role": "user", "content": [{"type": "text", "text": "be kind"}, image]}]


def test_reasoning_models_refuse_only_what_was_sent() -> None:
    text = "Unsupported parameter: 'top_p' is not supported with this model."
    assert after(CHAT | {"top_p": 0.1, "seed": 1}, text, "top_p") == CHAT | {"seed": 1}


def test_a_turn_of_the_user_is_not_added_to_one() -> None:
    assert user_last([USER]) == [USER]
    assert user_last([]) == [{"role": "user", "content": "Continue."}]


def test_a_limit_of_tokens_is_no_limit_of_texts() -> None:
    assert batch_limit("max 1000 tokens per batch", 400, 5) is None
