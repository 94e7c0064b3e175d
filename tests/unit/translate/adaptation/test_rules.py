"""A call that is refused for a parameter is made again without it; one that is refused for anything else is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.adaptation.learned import Attempts, Learned
from ollama_openai_proxy.translate.error_text import error_text

JSON = {"type": "json_object"}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "schema", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
ANY_OBJECT = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}

CALL: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
FULL: dict[str, Any] = CALL | {
    "tools": [{"type": "function"}],
    "temperature": 0.2,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["x"],
    "max_tokens": 5,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {},
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "reasoning": {"enabled": True},
    "thinking": {"type": "enabled"},
    "chat_template_kwargs": {"enable_thinking": True},
    "stream_options": {"include_usage": True},
    "top_k": 4,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "repetition_penalty": 1.1,
}


OF_REASONING_MODELS = {
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"),
}
"""What OpenAI's reasoning models refuse, one parameter in each refusal."""


def then_sent(text: str, param: str | None = None, sent: dict[str, Any] = FULL, status: int = 400) -> dict[str, Any]:
    """What is sent after a refusal."""
    attempts = Attempts(Learned(lambda: 0.0), sent)
    again = attempts.learn(status, text, param).again
    assert again == (attempts.call.parameters != sent)
    return attempts.call.parameters


def refused(text: str, param: str | None = None, sent: dict[str, Any] = FULL, status: int = 400) -> dict[str, Any]:
    """The parameters that the next call has otherwise."""
    then = then_sent(text, param, sent, status)
    names = sent.keys() | then.keys()
    return {name: then.get(name) for name in names if sent.get(name) != then.get(name)}


@pytest.mark.parametrize(
    ("text", "param", "without"),
    [
        pytest.param(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            "temperature",
            OF_REASONING_MODELS,
            id="openai, value",
        ),
        pytest.param(
            "Unsupported parameter: 'top_p' is not supported with this model.",
            "top_p",
            OF_REASONING_MODELS,
            id="openai, parameter",
        ),
        pytest.param("Unknown parameter: 'top_k'.", "top_k", {"top_k"}, id="openai, unknown"),
        pytest.param("Unrecognized request argument supplied: min_p", None, {"min_p"}, id="openai, older"),
        pytest.param(
            "Unrecognized request arguments supplied: min_p, top_k", None, {"min_p", "top_k"}, id="openai, older, several"
        ),
        pytest.param(
            "Unsupported parameter: 'logprobs' is not supported with this model.",
            "logprobs",
            OF_REASONING_MODELS,
            id="openai, reasoning models",
        ),
        pytest.param(
            "logprobs are not supported with reasoning models.", None, {"logprobs", "top_logprobs"}, id="openai, bare"
        ),
        pytest.param("Unsupported parameter: 'stop' is not supported with this model.", "stop", {"stop"}, id="openai, stop"),
        pytest.param("Unknown parameter: 'reasoning_effort'.", "reasoning_effort", {"reasoning_effort"}, id="azure"),
        pytest.param(
            "Unrecognized request argument supplied: reasoning_effort", None, {"reasoning_effort"}, id="azure, deployment"
        ),
        pytest.param("Unrecognized request argument supplied: stream_options", None, {"stream_options"}, id="azure, older"),
        pytest.param(
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            "reasoning.effort",
            {"reasoning"},
            id="openai, path into a parameter",
        ),
        pytest.param(
            "property 'chat_template_kwargs' is unsupported, did you mean 'temperature'?",
            None,
            {"chat_template_kwargs"},
            id="groq, with a guess",
        ),
        pytest.param("property 'reasoning' is unsupported", None, {"reasoning"}, id="groq"),
        pytest.param("`logprobs` is not supported with this model", None, {"logprobs", "top_logprobs"}, id="groq, model"),
        pytest.param(
            "reasoning_effort is not supported with this model", None, {"reasoning_effort"}, id="groq, model, without quotes"
        ),
        pytest.param("body.top_k: Extra inputs are not permitted", None, {"top_k"}, id="pydantic, dotted"),
        pytest.param(
            "1 validation error for Request\nbody -> min_p\n  extra fields not permitted (type=value_error.extra)",
            None,
            {"min_p"},
            id="pydantic, version 1",
        ),
        pytest.param(
            "[{'type': 'extra_forbidden', 'loc': ('body', 'top_k'), 'msg': 'Extra inputs are not permitted', "
            "'input': 'is `temperature` unsupported?'}]",
            None,
            {"top_k"},
            id="vllm, older",
        ),
        pytest.param(
            "[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'name'), 'msg': 'Extra inputs are not permitted', "
            "'input': 'a'}, {'type': 'extra_forbidden', 'loc': ('body', 'min_p'), 'msg': 'Extra inputs are not permitted', "
            "'input': 1}]",
            None,
            {"min_p"},
            id="vllm, older, several",
        ),
        pytest.param(
            "chat_template is not supported for Mistral tokenizers.", None, {"chat_template_kwargs"}, id="vllm, mistral models"
        ),
        pytest.param(
            "Kwargs ['reasoning_effort'] are not supported by `MistralCommonTokenizer.apply_chat_template`.",
            None,
            {"reasoning_effort"},
            id="vllm, mistral models, effort",
        ),
        pytest.param(
            'Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find field.',
            None,
            {"frequency_penalty"},
            id="gemini",
        ),
        pytest.param(
            'Invalid JSON payload received. Unknown name "seed": Cannot find field.\n'
            'Invalid JSON payload received. Unknown name "top_k": Cannot find field.',
            None,
            {"seed", "top_k"},
            id="gemini, several",
        ),
        pytest.param(
            "Argument not supported on this model: presencePenalty", None, {"presence_penalty"}, id="xai, in camel case"
        ),
        pytest.param("Argument not supported on this model: stop", None, {"stop"}, id="xai, a word of everyday language"),
        pytest.param(
            "Model grok-4-latest does not support parameter reasoningEffort.", None, {"reasoning_effort"}, id="xai, newer"
        ),
        pytest.param("Extra inputs are not permitted, field: 'stream_options'", None, {"stream_options"}, id="fireworks"),
        pytest.param("Unsupported param: logit_bias", None, {"logit_bias"}, id="llama.cpp"),
        pytest.param(
            "create() got an unexpected keyword argument 'repeat_penalty'", None, {"repeat_penalty"}, id="a server in Python"
        ),
        pytest.param(
            "openai does not support parameters: ['reasoning_effort'], for model=x.", None, {"reasoning_effort"}, id="litellm"
        ),
        pytest.param(
            "gemini does not support parameters: {'frequency_penalty': 0.5}",
            None,
            {"frequency_penalty"},
            id="litellm, with the value",
        ),
        pytest.param("`temperature` is deprecated for this model.", None, {"temperature"}, id="openrouter, claude"),
        pytest.param(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            None,
            {"top_p"},
            id="openrouter, claude, two that exclude each other",
        ),
        pytest.param(
            "`temperature` may only be set to 1 when thinking is enabled.",
            None,
            {"temperature"},
            id="openrouter, claude thinks",
        ),
        pytest.param("top_k: Extra inputs are not permitted", None, {"top_k"}, id="claude"),
        pytest.param("invalid temperature: only 1 is allowed for this model", None, {"temperature"}, id="moonshot"),
        pytest.param("The parameter 'repetition_penalty' is not supported.", None, {"repetition_penalty"}, id="together"),
        pytest.param("Invalid parameter: 'parallel_tool_calls'", None, {"parallel_tool_calls"}, id="invalid parameter"),
        pytest.param("This model does not support the 'seed' parameter.", None, {"seed"}, id="in a sentence"),
        pytest.param("not supported", "seed", {"seed"}, id="named beside the text"),
        pytest.param("not supported", "body.seed", {"seed"}, id="named beside the text, with its place"),
    ],
)
def test_a_parameter_that_is_refused_is_left_out(text: str, param: str | None, without: set[str]) -> None:
    assert refused(text, param) == dict.fromkeys(without)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        pytest.param("The temperature of the conversation is not allowed to rise. Please stop.", None, id="content policy"),
        pytest.param("Discussing temperature is not allowed.", None, id="content policy, as if it were a parameter"),
        pytest.param("Images are not supported, stop sending them", None, id="an everyday word after a refusal"),
        pytest.param("Unsupported parameter: 'tools' is not supported with this model.", "tools", id="openai, tools"),
        pytest.param("property 'tools' is unsupported, did you mean 'stop'?", None, id="groq, tools"),
        pytest.param("Unsupported param: tools", None, id="llama.cpp, tools"),
        pytest.param("This model does not support tools.", None, id="a sentence on tools"),
        pytest.param("Unsupported parameter: 'messages'", "messages", id="what a call consists of"),
        pytest.param("'temperature' is not supported in messages", "messages[0].content", id="openai, within the messages"),
        pytest.param(
            "'messages.2' : for 'role:assistant' the following must be satisfied"
            "[('messages.2' : property 'reasoning_content' is unsupported)]",
            None,
            id="groq, within the messages",
        ),
        pytest.param("property 'messages.2.stop' is unsupported", None, id="groq, same name within the messages"),
        pytest.param(
            "[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'stop'), 'msg': 'Extra inputs are not permitted'}]",
            None,
            id="vllm, within the messages",
        ),
        pytest.param(
            "[{'type': 'less_than_equal', 'loc': ('body', 'temperature'), 'msg': 'Input should be less than or equal to 2'}]",
            None,
            id="vllm, a value out of range",
        ),
        pytest.param("Invalid 'temperature': decimal above maximum value.", "temperature", id="openai, out of range"),
        pytest.param(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.", "messages", id="too long"
        ),
        pytest.param("The model `m` does not exist or you do not have access to it.", None, id="no such model"),
        pytest.param("Provider returned error", None, id="openrouter, no reason"),
        pytest.param("Unsupported value: 'effort' must be low or high", "messages", id="a choice about something else"),
        pytest.param("", None, id="no text"),
        pytest.param("", "", id="nothing at all"),
    ],
)
@pytest.mark.parametrize("form", [None, JSON, SCHEMA])
def test_other_errors_are_the_clients(text: str, param: str | None, form: dict[str, Any] | None) -> None:
    assert refused(text, param, FULL | ({"response_format": form} if form else {})) == {}


@pytest.mark.parametrize("status", [401, 403, 408, 502, 503])
def test_only_statuses_of_a_refusal_are_learnt_from(status: int) -> None:
    assert refused("Unknown parameter: 'top_k'.", "top_k", status=status) == {}


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422, 429, 500, 501])
def test_servers_refuse_with_different_statuses(status: int) -> None:
    assert refused("Unsupported param: top_k", status=status) == {"top_k": None}


def test_the_limit_of_tokens_takes_its_other_name_and_goes_if_that_is_refused_too() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CALL | {"max_tokens": 5})
    text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    assert attempts.learn(400, text, "max_tokens").again
    assert attempts.call.parameters == CALL | {"max_completion_tokens": 5}
    text = "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted'}]"
    assert attempts.learn(400, text, None).again
    assert attempts.call.parameters == CALL


def test_the_newer_limit_of_tokens_becomes_the_older() -> None:
    sent = CALL | {"max_completion_tokens": 5}
    assert refused("Unknown parameter: 'max_completion_tokens'.", None, sent) == {
        "max_completion_tokens": None,
        "max_tokens": 5,
    }


@pytest.mark.parametrize(
    ("sent", "text", "param", "then"),
    [
        pytest.param(
            "none", "Supported values are: 'minimal', 'low', 'medium', and 'high'.", "", "minimal", id="openai, gpt-5"
        ),
        pytest.param(
            "none",
            "Invalid value: 'none'. Supported values are: 'low', 'medium', and 'high'.",
            "reasoning_effort",
            "low",
            id="azure",
        ),
        pytest.param(
            "minimal",
            "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. "
            "Supported values are: 'none', 'low', 'medium', and 'high'. Learn more about max at example.com.",
            "***.effort",
            "low",
            id="openai, a path with its beginning hidden",
        ),
        pytest.param(
            "none",
            "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', "
            "'low', 'medium', and 'high'.",
            None,
            "minimal",
            id="moonshot",
        ),
        pytest.param("high", "`reasoning_effort` must be one of `none` or `default`", None, "default", id="groq, qwen"),
        pytest.param("none", "`reasoning_effort` must be one of `low`, `medium`, or `high`", None, "low", id="groq, gpt-oss"),
        pytest.param("low", "reasoning_effort must be one of none or default", None, "default", id="groq, without quotes"),
        pytest.param(
            "medium",
            "reasoning_effort='medium' is not supported for this model. Must be one of (<ReasoningEffort.none: 'none'>, "
            "<ReasoningEffort.high: 'high'>)",
            None,
            "high",
            id="mistral",
        ),
        pytest.param(
            "minimal", "Invalid reasoning_effort: minimal. Valid values are: high, low, medium, none", None, "low", id="gemini"
        ),
        pytest.param(
            "xhigh",
            "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be "
            "'low', 'medium' or 'high'\", 'input': 'xhigh', 'ctx': {'expected': \"'low', 'medium' or 'high'\"}}",
            None,
            "high",
            id="sglang",
        ),
        pytest.param("max", "Input should be 'low', 'medium' or 'high'", None, "high", id="fastapi, flattened"),
        pytest.param(
            "minimal",
            "Failed to deserialize the JSON body into the target type: reasoning_effort: unknown variant `minimal`, expected "
            "one of `low`, `high`, `max` at line 1 column 63",
            None,
            "low",
            id="deepseek",
        ),
        pytest.param("medium", "reasoning_effort must be one of low, high", None, "high", id="rather more than less"),
        pytest.param("low", "reasoning_effort must be one of none, low", None, None, id="not switched off instead"),
        pytest.param("none", "reasoning_effort must be default", None, None, id="not switched on instead"),
        pytest.param("huge", "reasoning_effort must be one of low, high", None, None, id="a value from elsewhere"),
        pytest.param(
            "low",
            "Unsupported value: 'reasoning_effort' does not support 'low' with this model. Only the default is supported.",
            None,
            None,
            id="openai, no choice",
        ),
        pytest.param("low", "The size should be 'high'", None, "low", id="a choice about something else"),
    ],
)
def test_an_effort_that_is_refused_becomes_the_nearest_one(sent: str, text: str, param: str | None, then: str | None) -> None:
    call = CALL | {"reasoning_effort": sent}
    expected = {} if then == sent else {"reasoning_effort": then}
    assert refused(text, param, call) == expected


def test_efforts_that_were_refused_do_not_come_back() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CALL | {"reasoning_effort": "high"})
    for text, then in (("one of low, medium", "medium"), ("one of low, high", "low"), ("high", None)):
        assert attempts.learn(400, f"reasoning_effort must be {text}", None).again
        assert attempts.call.parameters.get("reasoning_effort") == then


@pytest.mark.parametrize(
    ("form", "text", "param", "then"),
    [
        pytest.param(
            SCHEMA,
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more at ...",
            "response_format",
            JSON,
            id="openai",
        ),
        pytest.param(
            JSON,
            "Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.",
            "response_format",
            None,
            id="openai, older",
        ),
        pytest.param(SCHEMA, "This response_format type is unavailable now", None, JSON, id="deepseek"),
        pytest.param(
            SCHEMA,
            "Failed to deserialize the JSON body into the target type: response_format: response_format.type `json_schema` is "
            "unavailable now at line 1 column 1193",
            None,
            JSON,
            id="deepseek, older",
        ),
        pytest.param(SCHEMA, "This model does not support response format `json_schema`. See ...", None, JSON, id="groq"),
        pytest.param(
            SCHEMA,
            "'response_format' : one of the following must be satisfied[('response_format.type' : value is not one of the "
            "allowed values ['text']) OR ('response_format.type' : value is not one of the allowed values ['json_object'])]",
            None,
            JSON,
            id="groq, older",
        ),
        pytest.param(JSON, "'response_format.type' must be 'json_schema' or 'text'", None, ANY_OBJECT, id="lm studio"),
        pytest.param(JSON, "'response_format.type' must be 'json_schema'", None, ANY_OBJECT, id="lm studio, older"),
        pytest.param(
            SCHEMA,
            "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or "
            "'json_object'\", 'input': 'json_schema'}]",
            None,
            JSON,
            id="vllm, older",
        ),
        pytest.param(JSON, 'Unknown name "response_format": Cannot find field.', None, None, id="unknown"),
        pytest.param(
            SCHEMA,
            "invalid schema for response format: response_format/json_schema/step: minItems is not supported",
            None,
            JSON,
            id="groq, a schema that is refused",
        ),
        pytest.param(
            SCHEMA,
            "Invalid schema for response_format 'schema': In context=(), 'minLength' is not permitted.",
            "response_format",
            JSON,
            id="openai, a schema that is refused",
        ),
        pytest.param(
            SCHEMA, "Failed to parse grammar: unsupported pattern", None, JSON, id="llama.cpp, a schema without a grammar"
        ),
        pytest.param(
            SCHEMA,
            "The provided JSON schema contains features not supported by xgrammar.",
            None,
            JSON,
            id="vllm, a schema without a grammar",
        ),
        pytest.param(SCHEMA, "JSON schema is not supported by this model", None, JSON, id="in a sentence"),
        pytest.param(SCHEMA, "Structured outputs are not supported on this endpoint", None, JSON, id="by its other name"),
        pytest.param(
            JSON,
            "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
            '"Input should be '
            "'text' or 'json_schema'\", 'input': 'json_object'}",
            None,
            ANY_OBJECT,
            id="mlx",
        ),
    ],
)
def test_a_format_that_is_refused_becomes_the_nearest_one_and_is_told_in_words(
    form: dict[str, Any], text: str, param: str | None, then: dict[str, Any] | None
) -> None:
    sent = then_sent(text, param, CALL | {"response_format": form})
    assert sent.get("response_format") == then
    told = str(sent["messages"])
    assert ("JSON" in told) == (then != ANY_OBJECT)
    assert ("'city'" in told or '"city"' in told) == (form is SCHEMA)


def test_a_format_goes_if_nothing_in_its_place_is_taken_either() -> None:
    attempts = Attempts(Learned(lambda: 0.0), CALL | {"response_format": SCHEMA})
    text = "This response_format type is unavailable now"
    assert attempts.learn(400, text, None).again
    assert attempts.call.parameters["response_format"] == JSON
    assert attempts.learn(400, text, None).again
    sent = attempts.call.parameters
    assert "response_format" not in sent
    assert '"city"' in sent["messages"][0]["content"]
    assert sent["messages"][1:] == CALL["messages"]


@pytest.mark.parametrize(
    ("text", "param", "most"),
    [
        pytest.param(
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 6 instead.",
            "stop",
            4,
            id="openai",
        ),
        pytest.param("'$.stop' is invalid. Please check the API reference.", None, 4, id="azure, older"),
        pytest.param("'stop' takes at most 2 strings", None, 2, id="another number"),
        pytest.param("'stop' takes at most 9 strings", None, 6, id="not too many"),
        pytest.param("at most 2 images", None, 6, id="about something else"),
    ],
)
def test_stop_strings_that_are_too_many_are_cut(text: str, param: str | None, most: int) -> None:
    sent = CALL | {"stop": list("abcdef")}
    assert refused(text, param, sent).get("stop", sent["stop"]) == sent["stop"][:most]


def test_a_single_stop_string_is_not_cut() -> None:
    assert then_sent("'$.stop' is invalid.", None, CALL | {"stop": "abcdef"}) == CALL | {"stop": "abcdef"}


@pytest.mark.parametrize(
    ("text", "without"),
    [
        pytest.param(
            'Model "bge-m3" does not support matryoshka representation, changing output dimensions will lead to poor results.',
            "dimensions",
            id="vllm",
        ),
        pytest.param("This model does not support specifying dimensions.", "dimensions", id="openai"),
        pytest.param("Unknown parameter: dimensions", "dimensions", id="unknown"),
        pytest.param('Unknown name "encoding_format": Cannot find field.', "encoding_format", id="gemini"),
        pytest.param("Unsupported parameter: 'input'", None, id="what a call consists of"),
    ],
)
def test_embeddings_go_without_what_is_refused(text: str, without: str | None) -> None:
    sent = {"model": "m", "input": ["a"], "dimensions": 8, "encoding_format": "float"}
    assert refused(text, None, sent) == ({without: None} if without else {})


FASTAPI = {
    "detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra inputs are not permitted", "input": 4}]
}


@pytest.mark.parametrize(
    "body", [FASTAPI, {"object": "error", "message": FASTAPI}, FASTAPI["detail"]], ids=["fastapi", "mistral", "a list"]
)
def test_a_refusal_that_names_nothing_costs_what_is_not_standard(body: Any) -> None:
    attempts = Attempts(
        Learned(lambda: 0.0), CALL | {"top_k": 4, "temperature": 0.1, "reasoning_effort": "low", "stream_options": {}}
    )
    for rest in ({"top_k"}, {"reasoning_effort"}, {"stream_options"}):
        before = attempts.call.parameters
        assert attempts.learn(422, error_text(body), None).again
        assert before.keys() - attempts.call.parameters.keys() == rest
    assert not attempts.learn(422, error_text(body), None).again
    assert attempts.call.parameters == CALL | {"temperature": 0.1}


@given(st.text(), st.none() | st.text(), st.sampled_from([400, 422, 500]))
def test_any_text_leaves_what_a_call_consists_of(text: str, param: str | None, status: int) -> None:
    sent = then_sent(text, param, FULL, status)
    kept = {name: FULL[name] for name in ("model", "messages", "tools")}
    assert sent.items() >= kept.items()


@pytest.mark.parametrize("name", ["model", "messages", "input", "prompt", "suffix", "tools"])
def test_what_makes_the_call_is_never_left_out(name: str) -> None:
    sent = FULL | {name: "x"}
    assert refused(f"Unsupported parameter: '{name}' is not supported with this model.", name, sent) == {}
