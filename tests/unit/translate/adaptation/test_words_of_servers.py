"""Further words in which servers refuse: each row is a refusal's body, the call that it is about, and the next call.

The bodies go through `error_text`, as those of real answers do. The names are those of server families; where a text comes
from a report, the report stands beside it.
"""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.learned import Attempts, Learned
from ollama_openai_proxy.translate.error_text import error_text

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be kind"}
ANSWER = {"role": "assistant", "content": "Once"}
EMPTY = {"role": "assistant", "content": ""}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL_OF_TOOL: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "call_00000000", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "call_00000000", "content": "21"}
LOOP = {"messages": [USER, CALL_OF_TOOL, RESULT], "tools": [TOOL]}
CHAT: dict[str, Any] = {"model": "m", "messages": [USER], "stream": True, "stream_options": {"include_usage": True}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "s", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def told(text: str, **more: Any) -> dict[str, Any]:
    """The body of an error as OpenAI writes it."""
    return {"error": {"message": text, **more}}


def next_call(sent: dict[str, Any], body: Any, status: int = 400) -> dict[str, Any]:
    """The parameters of the call after a refusal; an empty object where there is none."""
    inner = body.get("error") if isinstance(body, dict) else None
    place = inner if isinstance(inner, dict) else body if isinstance(body, dict) else {}
    param = place.get("param")
    attempts = Attempts(Learned(lambda: 0.0), sent)
    lesson = attempts.learn(status, error_text(body), param if isinstance(param, str) else None)
    return attempts.call.parameters if lesson.again else {}


def roles(call: dict[str, Any]) -> list[str]:
    return [message["role"] for message in call["messages"]]


# -- parameters that are left out


@pytest.mark.parametrize(
    ("sent", "body", "status"),
    [
        pytest.param(
            {"frequency_penalty": 0.1, "presence_penalty": 0.1},
            {
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "body -> frequency_penalty\n  Extra inputs are not permitted (type=extra_forbidden)\n"
                "body -> presence_penalty\n  Extra inputs are not permitted (type=extra_forbidden)",
            },
            422,
            id="nim, NVIDIA/garak#748",
        ),
        pytest.param(
            {"top_k": 3},
            told(
                'litellm.BadRequestError: BedrockException - {"message":"The model returned the following errors: top_k: '
                'Extra inputs are not permitted"}. Received Model Group=us.anthropic'
            ),
            400,
            id="litellm before bedrock, litellm#13609",
        ),
        pytest.param(
            {"temperature": 0.2},
            told(
                "model call failed",
                code=400,
                cause='{"error": {"message": "Unsupported value: \'temperature\' does not support 0.2 with this model."}}',
            ),
            400,
            id="a gateway with the server's words in a text, llm_wiki#670",
        ),
        pytest.param({"temperature": 0.2}, told("temperature is not supported in thinking mode"), 400, id="a bare name"),
        pytest.param({"top_k": 2}, told("Unrecognized key(s) in object: 'top_k'"), 400, id="zod"),
        pytest.param({"top_k": 2}, told("body must NOT have additional properties: top_k"), 400, id="ajv"),
        pytest.param(
            {"top_k": 2},
            {"Message": "Received client error (422) from primary with message \"{'error': 'unknown field top_k'}\""},
            424,
            id="sagemaker",
        ),
        pytest.param({"top_k": 2}, told("Unsupported parameter(s): top_k"), 400, id="parameter(s)"),
        pytest.param(
            {"min_p": 0.1, "top_k": 2},
            told("Unsupported parameters for model foo: {'min_p', 'top_k'}"),
            400,
            id="a set, behind a model's name",
        ),
        pytest.param(
            {"min_p": 0.1, "logit_bias": {}},
            told("The min_p and logit_bias sampling parameters are not yet supported with speculative decoding."),
            400,
            id="vllm, speculative decoding",
        ),
        pytest.param({"top_k": 2}, told("不支持参数 top_k"), 400, id="in Chinese"),
        pytest.param(
            {"presence_penalty": 0.2},
            {"error_code": 336003, "error_msg": "the parameter presence_penalty is invalid"},
            400,
            id="qianfan",
        ),
        pytest.param({"thinking": {"type": "enabled"}}, told("This model does not support thinking"), 400, id="no thinking"),
        pytest.param({"reasoning_effort": "high"}, told('"m" does not support thinking'), 400, id="ollama, no thinking"),
        pytest.param(
            {"reasoning_effort": "high", **LOOP},
            told(
                "messages.1.content.0.type: Expected `thinking`, but found `tool_use`. When `thinking` is enabled, a final "
                "`assistant` message must start with a thinking block"
            ),
            400,
            id="anthropic, thinking that the client has dropped",
        ),
        pytest.param(
            {"enable_thinking": False},
            told("The value of the enable_thinking parameter is restricted to True."),
            400,
            id="qwen",
        ),
        pytest.param(
            {"thinking": {"type": "disabled"}},
            told("invalid thinking: only type=enabled is allowed for this model"),
            400,
            id="moonshot, must think",
        ),
        pytest.param(
            {"stop": ["\n"]}, told("stop_sequences: each stop sequence must contain non-whitespace"), 400, id="claude"
        ),
    ],
)
def test_what_is_named_is_left_out(sent: dict[str, Any], body: Any, status: int) -> None:
    kept = {name: sent[name] for name in ("messages", "tools") if name in sent}
    assert next_call(CHAT | sent, body, status) == CHAT | kept


def test_stop_texts_that_are_no_white_space_are_kept() -> None:
    body = told("stop_sequences: each stop sequence must contain non-whitespace")
    assert next_call(CHAT | {"stop": ["\n", "END"]}, body) == CHAT | {"stop": ["END"]}
    assert next_call(CHAT | {"stop": "END"}, body) == {}


def test_a_lesson_about_stop_texts_or_tools_says_what_is_done() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CHAT | {"stop": ["\n"]})
    lesson = attempts.learn(400, "stop_sequences: each stop sequence must contain non-whitespace", None)
    assert [change.describe() for change in lesson.changes] == ["stop texts of white space are not sent"]
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT | {"stop": "\n"}).call.parameters == CHAT | {"stop": "\n"}
    lesson = Attempts(Learned(lambda: 0.0), CHAT | {"tools": [RICH_TOOL]}).learn(400, "Invalid schema for function 'f'", None)
    assert [change.describe() for change in lesson.changes] == ["the schemas of tools are simplified"]


def test_a_parameter_beside_tools_is_left_out_beside_tools_only() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CHAT | {"tools": [TOOL], "min_p": 0.1})
    assert attempts.learn(400, "Sorry, min_p is something odd that tools here do not support", None).again
    assert attempts.call.parameters == CHAT | {"tools": [TOOL]}
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT | {"min_p": 0.1}).call.parameters == CHAT | {"min_p": 0.1}


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ({"seed": 1}, "property 'tools' is unsupported, did you mean 'seed'?"),
        ({"seed": 1}, "Unsupported file. Use the parameter seed instead."),
        ({"temperature": 0.2}, "the temperature is between 0 and 1 and that is invalid"),
        ({"temperature": 0.2}, "Talk about the temperature is not supported"),
        ({"max_tokens": 9}, "the odd max_tokens that stands here is not supported"),
        ({"max_tokens": 32000}, "32000 is invalid"),
        ({"tools": [TOOL]}, "tools with reasoning_effort are not supported"),
    ],
)
def test_a_name_in_advice_or_in_everyday_language_changes_nothing(sent: dict[str, Any], text: str) -> None:
    then = next_call(CHAT | sent, told(text))
    assert then in ({}, CHAT | {"max_completion_tokens": 9})


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "The model `m` does not exist or you do not have access to it."),
        (404, "No endpoints found that support image input"),
        (400, "Incorrect API key provided: sk-xxx. You can find your API key at https://platform.openai.com/account/api-keys."),
        (402, "Insufficient Balance"),
        (429, "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s."),
        (500, "CUDA out of memory. Tried to allocate 20.00 MiB"),
        (500, "Streaming response failed"),
        (400, "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."),
        (
            400,
            "The response was filtered due to the prompt triggering the content management policy. Please modify your prompt.",
        ),
        (400, "Unsupported image format: image/tiff"),
        (400, "Request contains an invalid argument."),
        (400, "Country, region, or territory not supported"),
        (400, "The requested model 'm' is not supported."),
        (400, "invalid character in JSON"),
    ],
)
def test_errors_of_other_kinds_change_nothing(status: int, text: str) -> None:
    sent = CHAT | {
        "temperature": 0.2,
        "top_p": 0.9,
        "seed": 1,
        "stop": ["x"],
        "max_tokens": 50,
        "top_k": 4,
        "tools": [RICH_TOOL],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    assert next_call(sent, told(text), status) == {}


# -- limits and ranges


@pytest.mark.parametrize(
    ("body", "status", "most"),
    [
        pytest.param(
            told(
                "Param Incorrect",
                param="max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you "
                "provided 32000.",
            ),
            400,
            16384,
            id="xiaomi, AQBot#93",
        ),
        pytest.param(
            told(
                "The parameter `max_tokens` specified in the request are not valid: integer above maximum value, expected a "
                "value <= 12288, but got 32000 instead. Request id: 0217752964393142",
                param="max_tokens",
            ),
            400,
            12288,
            id="volcengine, openclaude#331",
        ),
        pytest.param(
            told("max_tokens parameter is illegal. Please check the document. range: [1, 4095]"), 400, 4095, id="z.ai"
        ),
        pytest.param(
            told("API 调用参数有误\uff0c请检查文档\u3002max_tokens 参数非法\u3002限制数值范围[1,8192]"),
            400,
            8192,
            id="z.ai, in Chinese",
        ),
        pytest.param(told("max_tokens超过了模型最大输出长度 4096"), 400, 4096, id="hunyuan"),
        pytest.param(
            {"base_resp": {"status_code": 2013, "status_msg": "invalid params, tokens_to_generate should be less than 16384"}},
            400,
            16383,
            id="minimax",
        ),
        pytest.param(
            {"message": "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model"},
            400,
            4096,
            id="cohere",
        ),
        pytest.param({"message": "Malformed input request: expected maxLength: 3072, actual: 32000"}, 400, 3072, id="titan"),
        pytest.param(
            {"message": "Malformed input request: #/max_gen_len: 32000 is not less or equal to 8192, please reformat"},
            400,
            8192,
            id="llama on bedrock",
        ),
        pytest.param(
            told(
                "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can only "
                "afford 2666. To increase, visit https://openrouter.ai/settings/credits"
            ),
            402,
            2666,
            id="openrouter, credits",
        ),
        pytest.param(told("n_predict exceeds the limit 4096"), 400, 4096, id="llama.cpp"),
        pytest.param({"detail": "max_tokens must be less than 4096"}, 400, 4095, id="less than is not at most"),
        pytest.param({"detail": "max_tokens: 32000. Maximum permitted: 4096"}, 400, 4096, id="the number behind a full stop"),
        pytest.param(
            {"errors": [{"key": "maxTokens", "description": "maxTokens must be between 1 and 4096"}]}, 400, 4096, id="writer"
        ),
        pytest.param(
            told(
                "Invalid input", param=[{"code": "too_big", "path": ["max_tokens"], "message": "expected number to be <=8192"}]
            ),
            400,
            8192,
            id="a list of errors in place of a parameter",
        ),
        pytest.param(
            {"code": 20015, "message": "max_total_tokens (32100) must be less than or equal to max_seq_len (32768)"},
            400,
            None,
            id="siliconflow, a sum that fits",
        ),
    ],
)
def test_a_limit_of_tokens_is_lowered(body: Any, status: int, most: int | None) -> None:
    assert next_call(CHAT | {"max_tokens": 32000}, body, status).get("max_tokens") == most


@pytest.mark.parametrize(
    ("body", "status", "context"),
    [
        pytest.param(
            {"code": 20015, "message": "max_total_tokens (40000) must be less than or equal to max_seq_len (32768)"},
            400,
            32768 - 8000,
            id="siliconflow",
        ),
        pytest.param(
            told(
                "This model's maximum context length is 4096 tokens. However, you requested 32000 output tokens and your "
                "prompt contains at least 97 input tokens, for a total of at least 32097 tokens. (parameter=input_tokens, "
                "value=97)",
                param="input_tokens",
            ),
            400,
            4096 - 97,
            id="vllm, a prompt of at least so many tokens, OpenCowork#82",
        ),
        pytest.param(
            told(
                "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): "
                "Limit 6000, Requested 32100, please reduce your message size and try again."
            ),
            413,
            6000 - 100,
            id="groq, tokens of one call",
        ),
    ],
)
def test_a_limit_of_tokens_is_lowered_to_what_is_left(body: Any, status: int, context: int) -> None:
    assert 0 < next_call(CHAT | {"max_tokens": 32000}, body, status)["max_tokens"] <= context


@pytest.mark.parametrize(
    ("sent", "body", "then"),
    [
        pytest.param({"temperature": 1.5}, told("temperature: range: 0..1"), {"temperature": 1}, id="claude"),
        pytest.param(
            {"temperature": 1.5},
            {"message": "Malformed input request: #/temperature: 1.5 is not less or equal to 1"},
            {"temperature": 1},
            id="bedrock",
        ),
        pytest.param({"temperature": -1}, told("temperature must be non-negative, got -1."), {"temperature": 0}, id="vllm"),
        pytest.param(
            {"repetition_penalty": 0.0},
            told("repetition_penalty must be greater than zero, got 0.0."),
            {"repetition_penalty": 1e-6},
            id="vllm, zero as a word",
        ),
        pytest.param(
            {"seed": -1},
            told(
                "<400> InternalError.Algo.InvalidParameter: 'seed' must be Integer or Long. Range is [0, 9223372036854775807]"
            ),
            {"seed": 0},
            id="dashscope, the range in the next sentence",
        ),
        pytest.param(
            {"seed": 1 << 63},
            told(
                "Invalid 'seed': integer above maximum value. Expected a value <= 9223372036854775807, but got "
                "9223372036854775808."
            ),
            {"seed": (1 << 63) - 1},
            id="openai, a number that no float holds",
        ),
        pytest.param(
            {"top_p": 1.0},
            {"message": "invalid request: p must be between 0.01 and 0.99 inclusive."},
            {"top_p": 0.99},
            id="cohere",
        ),
        pytest.param(
            {"top_logprobs": 20},
            told("Requested sample logprobs of 20, which is greater than max allowed: 10"),
            {"top_logprobs": 10},
            id="vllm, logprobs",
        ),
        pytest.param({"stop": ["a", "b"]}, told("stop only supports 1 element"), {"stop": ["a"]}, id="z.ai, stop"),
        pytest.param(
            {"stop": list("abcdef")}, {"message": "stopSequences: array length must be <= 4"}, {"stop": list("abcd")}, id="ai21"
        ),
        pytest.param(
            {"temperature": 2},
            told("API 调用参数有误\uff0c请检查文档\u3002temperature 参数非法\u3002范围是(0.0,1.0]"),
            {"temperature": 1},
            id="z.ai, in Chinese",
        ),
        pytest.param(
            {"reasoning_effort": "max"},
            told("reasoning_effort 'max' not in [low, medium, high]"),
            {"reasoning_effort": "high"},
            id="an effort",
        ),
    ],
)
def test_a_value_is_brought_into_its_range(sent: dict[str, Any], body: Any, then: dict[str, Any]) -> None:
    assert next_call(CHAT | sent, body) == CHAT | then


# -- messages


@pytest.mark.parametrize(
    ("messages", "body", "status", "then"),
    [
        *(
            pytest.param([SYSTEM, USER], body, status, ["user"], id=f"no system, {name}")
            for name, body, status in (
                ("list", told("Invalid role: system. Role must be one of: user, assistant"), 400),
                ("path", told("Input should be 'user' or 'assistant'", param="messages.0.role"), 400),
                (
                    "pydantic 1",
                    {
                        "detail": [
                            {"loc": ["body", "messages", 0, "role"], "msg": "unexpected value; permitted: 'user', 'assistant'"}
                        ]
                    },
                    422,
                ),
                (
                    "pydantic 2",
                    {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]},
                    422,
                ),
                ("a template of Mistral", told("Only user and assistant roles are supported!"), 500),
                ("Chinese", told("不支持 system 角色"), 400),
                ("minimax", told("invalid message role: system (2013)"), 400),
            )
        ),
        *(
            pytest.param([USER, USER], told(text), 400, ["user"], id=f"alternating, {name}")
            for name, text in (
                (
                    "deepseek-reasoner",
                    "deepseek-reasoner does not support successive user or assistant messages (messages[0] and messages[1] in "
                    "your input). You should interleave the user/assistant messages in the message sequence.",
                ),
                ("qianfan", "the length of messages must be an odd number"),
                ("order", "The messages should be in the order of user, assistant, user"),
            )
        ),
        *(
            pytest.param([ANSWER, USER], told(text), 400, ["user", "assistant", "user"], id=f"user first, {name}")
            for name, text in (
                ("gemini", "First content should be with role 'user', got model"),
                ("Chinese", "messages 参数非法\u3002请检查文档\u3002第一条消息必须是 user"),
            )
        ),
        pytest.param(
            [SYSTEM, ANSWER], told("No user query found in messages."), 400, ["system", "user", "assistant"], id="qwen"
        ),
        *(
            pytest.param([USER, ANSWER], told(text), 400, ["user", "assistant", "user"], id=f"user last, {name}")
            for name, text in (
                ("llama.cpp", "Assistant response prefill is incompatible with enable_thinking."),
                ("anthropic", "Pre-filling assistant response is not supported with thinking"),
                ("a final turn", "Requests with a final assistant turn are not supported"),
                ("Chinese", "最后一条消息必须是 user"),
            )
        ),
        *(
            pytest.param(
                [USER, CALL_OF_TOOL, RESULT, USER],
                told(text),
                400,
                ["user", "assistant", "tool", "assistant", "user"],
                id=f"after a tool, {number}",
            )
            for number, text in enumerate(
                (
                    "After tool messages, the next message must be an assistant message",
                    "role 'tool' must be followed by role 'assistant'",
                )
            )
        ),
        *(
            pytest.param([USER, EMPTY, USER], told(text), 400, ["user", "user"], id=f"nothing empty, {name}")
            for name, text in (
                ("mistral", "Assistant message must have either content or tool_calls, but not none."),
                ("index", "the message at index 1 has no content"),
                ("vertex", "Unable to submit request because it must have a text parameter."),
                ("length", "minimum length of content is 1"),
                ("pydantic", "String should have at least 1 character: messages.1.content"),
                ("Chinese", "输入不能为空"),
            )
        ),
        *(
            pytest.param([USER, CALL_OF_TOOL, RESULT], body, 400, ["user", "assistant", "user"], id=f"no tools, {name}")
            for name, body in (
                (
                    "list",
                    told(
                        "Invalid value: 'tool'. Supported values are: 'system', 'assistant', 'user', and 'function'.",
                        param="messages[2].role",
                    ),
                ),
                ("serde", told("unknown variant `tool`, expected one of `system`, `user`, `assistant`")),
            )
        ),
        pytest.param(
            [USER, SYSTEM], told("system messages must precede all other messages"), 400, ["system", "user"], id="precede"
        ),
    ],
)
def test_the_conversation_takes_its_shape(messages: list[dict[str, Any]], body: Any, status: int, then: list[str]) -> None:
    call = next_call(CHAT | {"messages": messages}, body, status)
    assert call
    assert roles(call) == then
    if SYSTEM in messages:
        assert "be kind" in str(call["messages"])


@pytest.mark.parametrize(
    "text",
    [
        "Missing `reasoning_content` field in the assistant message at message index 1.",
        "assistant message with tool_calls must include reasoning_content when thinking is enabled",
        "reasoning_content cannot be empty when thinking is enabled",
        "`reasoning_content` is expected in assistant messages with tool calls",
        "思考模式下必须回传 reasoning_content",
    ],
)
def test_reasoning_that_is_missing_is_filled_in(text: str) -> None:
    assert next_call(CHAT | LOOP, told(text))["messages"][1]["reasoning_content"]


def test_reasoning_that_is_refused_is_left_out_and_not_filled_in() -> None:
    text = (
        "reasoning_content is not supported in input messages. If the reasoning_content field is included in the sequence of "
        "input messages, the API will return a 400 error."
    )
    sent = CHAT | {"messages": [USER, CALL_OF_TOOL | {"reasoning_content": "x"}, RESULT]}
    assert next_call(sent, told(text)) == CHAT | {"messages": [USER, CALL_OF_TOOL, RESULT]}


@pytest.mark.parametrize(
    "text",
    [
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly.",
        "Unable to submit request because function call `f` in the 2. content block is missing a `thought_signature`.",
    ],
)
def test_a_signature_that_is_missing_is_filled_in(text: str) -> None:
    signed = {"google": {"thought_signature": "own"}}
    own = {**CALL_OF_TOOL["tool_calls"][0], "extra_content": signed}
    messages = [USER, CALL_OF_TOOL, RESULT, {**CALL_OF_TOOL, "tool_calls": [own]}, RESULT]
    shaped = next_call(CHAT | {"messages": messages}, [told(text)])["messages"]
    assert shaped[1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"] == "skip_thought_signature_validator"
    assert shaped[3]["tool_calls"][0]["extra_content"] == signed


@pytest.mark.parametrize(
    "text",
    [
        "Failed to deserialize the JSON body into the target type: messages[0]: invalid type: sequence, expected a string",
        "json: cannot unmarshal array into Go struct field ChatMessage.messages.content of type string",
        'can only concatenate str (not "list") to str',
        "Cannot deserialize value of type `java.lang.String` from Array value (token `JsonToken.START_ARRAY`)",
        'Mismatch type string with value array "at index 10: mismatched type with value"',
        "unsupported content type: list",
    ],
)
def test_parts_become_a_text_where_only_texts_are_taken(text: str) -> None:
    sent = CHAT | {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}
    assert next_call(sent, told(text), 422) == CHAT | {"messages": [{"role": "user", "content": "a"}]}


@pytest.mark.parametrize("text", ["missing field `content` at line 1", 'can only concatenate str (not "NoneType") to str'])
def test_a_content_that_is_null_becomes_empty(text: str) -> None:
    sent = CHAT | {"messages": [USER, CALL_OF_TOOL | {"content": None}, RESULT]}
    assert next_call(sent, told(text), 422) == CHAT | {"messages": [USER, CALL_OF_TOOL, RESULT]}


@pytest.mark.parametrize("text", ["messages[2].name is required for role tool", "missing field `name` for tool message"])
def test_results_get_the_name_of_their_tool(text: str) -> None:
    assert next_call(CHAT | LOOP, told(text))["messages"][2] == RESULT | {"name": "f"}


def test_ids_of_calls_get_the_characters_that_are_taken() -> None:
    text = "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    messages = next_call(CHAT | LOOP, told(text))["messages"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] != "call_00000000"


# -- streams, tools and formats


@pytest.mark.parametrize(
    "text",
    [
        "Tool and function calls do not currently support streaming",
        "Invalid request: Function calling is not yet implemented for stream mode.",
        "The model is unsupported for ConverseStream",
        "该模型不支持流式输出",
    ],
)
def test_a_stream_is_not_asked_for(text: str) -> None:
    assert next_call(CHAT | {"tools": [TOOL]}, told(text)) == {
        "model": "m",
        "messages": [USER],
        "tools": [TOOL],
        "stream": False,
    }


@pytest.mark.parametrize(
    "text",
    [
        "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required or object "
        "in thinking mode",
        "Thinking mode does not support this tool_choice",
        "unknown variant `required`, expected `auto` or `none`",
        "This model does not support forcing tool use",
        "Function calling mode ANY is not supported for this model",
        "思考模式不支持 tool_choice",
    ],
)
def test_a_choice_of_tools_is_left_out(text: str) -> None:
    tools = {"tools": [TOOL]}
    assert next_call(CHAT | tools | {"tool_choice": "required"}, told(text)) == CHAT | tools


@pytest.mark.parametrize(
    "text",
    [
        "Cannot use custom grammar constraints with tools.",
        "Structured outputs do not work with tool use",
        "Forcing JSON output is not possible while tools are given",
    ],
)
def test_a_format_beside_tools_is_told_in_words(text: str) -> None:
    call = next_call(CHAT | {"tools": [TOOL], "response_format": SCHEMA}, told(text))
    assert call["tools"] == [TOOL]
    assert "response_format" not in call
    assert "city" in str(call["messages"])


@pytest.mark.parametrize(
    "text",
    [
        "structured_outputs not supported",
        "guided_json is not supported on this backend",
        "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.",
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        "当前模型不支持 response_format json_schema",
        "The model `m` does not support guided generation",
    ],
)
def test_a_schema_is_told_in_words(text: str) -> None:
    call = next_call(CHAT | {"response_format": SCHEMA}, told(text))
    assert call.get("response_format") in (None, {"type": "json_object"})
    assert "city" in str(call["messages"])


@pytest.mark.parametrize(
    "text", ["Please mention json in your prompt when using json_object", "messages should contain 'json' for json_object"]
)
def test_the_word_json_is_said(text: str) -> None:
    call = next_call(CHAT | {"response_format": {"type": "json_object"}}, told(text))
    assert "JSON" in call["messages"][0]["content"]


RICH_TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False},
    },
}
SIMPLE_TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            told("Invalid schema for function 'f': In context=('properties', 'a'), array schema missing items."), id="openai"
        ),
        pytest.param(
            [
                told(
                    'Invalid JSON payload received. Unknown name "type" at '
                    "'tools[0].function_declarations[0].parameters.properties[0].value': Proto field is not repeating, cannot "
                    "start list."
                )
            ],
            id="gemini, aoci-code#61",
        ),
        pytest.param(
            told(
                "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].any_of[1].items: missing."
            ),
            id="gemini, skyvern#8611",
        ),
        pytest.param(told("tools.0.custom.input_schema: JSON schema is invalid. It must match draft 2020-12"), id="anthropic"),
        pytest.param(
            told("The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of: object."), id="bedrock"
        ),
        pytest.param(
            told("tools.function.parameters is not a valid moonshot flavored json schema, details: <At path 'properties.a'>"),
            id="moonshot",
        ),
        pytest.param(told("invalid JSON schema for tool f, tools[0].function.parameters: one of"), id="groq"),
        pytest.param(told("JSON schema conversion failed: Unrecognized schema"), id="llama.cpp"),
        pytest.param(told("it has no type and is invalid", param="tools[0].function.parameters"), id="a path"),
    ],
)
def test_schemas_of_tools_are_simplified(body: Any) -> None:
    assert next_call(CHAT | {"tools": [RICH_TOOL, "odd"]}, body) == CHAT | {"tools": [SIMPLE_TOOL, "odd"]}


@pytest.mark.parametrize(
    "body",
    [
        told("Invalid 'tools[0].function.name': string too long.", param="tools[0].function.name"),
        told("This model does not support tools"),
        told("Unsupported parameter: 'tools' is not supported with this model.", param="tools"),
        told("messages.3: `tool_use` ids were found without `tool_result` blocks immediately after"),
    ],
)
def test_what_is_not_about_schemas_leaves_them(body: Any) -> None:
    assert next_call(CHAT | {"tools": [RICH_TOOL]}, body) == {}


def test_simple_schemas_are_for_chats_with_tools() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CHAT | {"tools": [RICH_TOOL]})
    assert attempts.learn(400, "Invalid schema for function 'f': it is odd", None).again
    attempts.confirm()
    assert Attempts(attempts._learned, CHAT).call.parameters == CHAT


# -- embeddings


@pytest.mark.parametrize(
    "text",
    ["encoding_format must be float", "encoding_format: Input should be 'float'", "Only float encoding_format is supported"],
)
def test_vectors_are_asked_for_as_numbers(text: str) -> None:
    sent = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    assert next_call(sent, told(text)) == sent | {"encoding_format": "float"}


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        pytest.param("text too long: 4001 tokens, max 512", 1024, id="a bare number"),
        pytest.param(
            "The input sequence length is 4001, which exceeds the maximum sequence length of 512", 1024, id="length and maximum"
        ),
        pytest.param("Invalid 'input[0]': maximum input length is 8192 tokens.", 4000, id="openai, tokens of one character"),
        pytest.param("`inputs` must have less than 2000 characters. Given: 8000", 1999, id="tei, characters"),
        pytest.param("string too long. Expected a string with maximum length 2000", 2000, id="openai, characters"),
        pytest.param("输入超过最大长度 512", 1024, id="in Chinese"),
    ],
)
def test_texts_are_cut(text: str, longest: int) -> None:
    call = next_call({"model": "m", "input": ["a" * 8000, "b"]}, told(text))
    assert 400 < len(call["input"][0]) <= longest
    assert call["input"][1] == "b"


def test_texts_of_one_character_are_not_cut() -> None:
    assert next_call({"model": "m", "input": ["a"]}, told("input is too long")) == {}
