"""Errors of servers are found, also where they look like answers, and are told in words that clients act on."""

# ruff: noqa: E501  # texts of servers, each in one line

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.reader.server_errors import ModelNames, error_in_chunk, not_understood, server_error

NAMES = ModelNames("mine:latest", "org/model")


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": {"message": "x"}},
        {"error": "x"},
        {"error": ["x"]},
        {"error": {"code": 5}},
        {"error": {"type": "overloaded"}},
        {"error": True, "message": "x"},
        {"base_resp": {"status_code": 1008, "status_msg": "x"}},
        {"base_resp": {"status_code": 1008}, "choices": [{}]},
        {"object": "error", "message": "x"},
        {"type": "error", "x": 1},
        {"code": 1302, "msg": "x"},
        {"code": "InvalidParameter", "message": "x"},
        {"code": 500},
        {"status_code": 429},
        {"status": "error", "message": "x"},
        {"status": 404, "title": "x"},
        {"success": False},
        {"message": "x"},
        {"detail": "x"},
        {"detail": [{"loc": ["body"], "msg": "x"}]},
        {"errors": [{"message": "x"}]},
        {"Message": "x"},
        {"error_msg": "x", "error_code": 336},
        {"fault": {"faultstring": "x"}},
        {"choices": [], "message": "x"},
    ],
)
def test_what_is_an_error(chunk: dict[str, Any]) -> None:
    assert error_in_chunk(chunk, None) is not None


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": [], "usage": {"prompt_tokens": 1}},
        {"error": None},
        {"error": {}},
        {"error": ""},
        {"error": {"message": "", "code": 0}},
        {"error": False},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"base_resp": {"status_code": 0, "status_msg": "success"}, "choices": [{}]},
        {"code": 0, "msg": "success"},
        {"code": 200, "message": "ok"},
        {"code": "0"},
        {"code": None, "success": True},
        {"type": "ping"},
        {"id": "x", "object": "chat.completion.chunk", "choices": []},
        {"message": {"role": "assistant", "content": "Hi"}},
    ],
)
def test_what_is_none(chunk: dict[str, Any]) -> None:
    assert error_in_chunk(chunk, None) is None


def test_progress_is_no_error() -> None:
    assert error_in_chunk({"status": "processing"}, None) is None
    assert error_in_chunk({"choices": [{}], "message": "x"}, {}) is None


def test_an_error_within_a_choice() -> None:
    assert error_in_chunk({}, {"error": {"message": "x"}}) == {"message": "x"}
    assert error_in_chunk({}, {"error": "x"}) == "x"
    assert error_in_chunk({"choices": [{}]}, {"error": None}) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"error": {"message": "x", "code": 404}}, 404),
        ({"error": {"message": "x", "code": "429"}}, 429),
        ({"code": 1302, "msg": "Rate limit reached"}, 429),
        ({"error": {"message": "x", "type": "overloaded_error"}}, 503),
        ({"error": {"message": "Insufficient Balance"}}, 402),
        ({"error": {"message": "x", "type": "authentication_error"}}, 401),
        ({"error": {"message": "The model `x` does not exist"}}, 404),
        ({"code": "InvalidParameter", "message": "x"}, 400),
        ({"error": {"message": "x"}}, 500),
        ({"errors": [{"message": "x", "code": 403}]}, 403),
        ([{"error": {"message": "x", "code": 403}}], 403),
        ([], 500),
        (True, 500),
        ("x", 500),
    ],
)
def test_the_status_of_an_error_without_one(error: Any, status: int) -> None:
    assert server_error(error, NAMES).status == status


def test_what_a_server_says_beside_the_message_is_kept() -> None:
    error = server_error(
        {"error": {"message": "no `top_k`", "type": "invalid_request_error", "param": "top_k", "code": "unknown"}},
        NAMES,
        status=422,
        headers={"Retry-After": "3"},
    )
    assert (error.status, error.message, error.kind) == (422, "no `top_k`", "backend_refused")
    assert (error.code, error.error_type, error.param) == ("unknown", "invalid_request_error", "top_k")
    assert error.headers == {"Retry-After": "3"}


def test_an_error_without_words_has_some() -> None:
    error = server_error({"error": {"code": 5}}, NAMES)
    assert (error.message, error.kind, error.param) == ("the back end reported an error", "backend_failed", None)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The model `org/model` does not exist", "The model `mine:latest` does not exist"),
        ("org/model: gone.", "mine:latest: gone."),
        ("org/model.", "mine:latest."),
        ("org/model-large and my/org/model", "org/model-large and my/org/model"),
        ("org/model.gguf", "org/model.gguf"),
    ],
)
def test_the_model_is_named_as_the_client_wrote_it(said: str, told: str) -> None:
    assert server_error({"error": {"message": said}}, NAMES).message == told


def test_a_name_that_is_not_known_or_the_same_is_left() -> None:
    assert ModelNames().put_right("org/model") == "org/model"
    assert ModelNames("m", "m").put_right("m") == "m"
    assert ModelNames(r"a\1", "m").put_right("m") == r"a\1"


@pytest.mark.parametrize(
    ("error", "numbers"),
    [
        pytest.param("This model's maximum context length is 32768 tokens. However, you requested 40000 tokens in the messages. Please reduce the length of the messages.", (40000, 32768), id="vLLM"),
        pytest.param("This model's maximum context length is 8192 tokens. However, you requested 10000 tokens (5904 in the messages, 4096 in the completion).", (10000, 8192), id="OpenAI, with the completion"),
        pytest.param("This model's maximum context length is 32768 tokens. However, your prompt contains at least 32769 input tokens.", (32769, 32768), id="vLLM, newer"),
        pytest.param("Your input exceeds the context window of this model. Please adjust your input and try again.", None, id="OpenAI"),
        pytest.param("the request exceeds the available context size. try increasing the context size or enable context shift", None, id="llama.cpp"),
        pytest.param({"message": "request (40000 tokens) exceeds the available context size (32768 tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 40000, "n_ctx": 32768}, (40000, 32768), id="llama.cpp, newer"),
        pytest.param("Requested tokens (40000) exceed context window of 32768", (40000, 32768), id="llama-cpp-python"),
        pytest.param("The input token count (1,200,000) exceeds the maximum number of tokens allowed (1,048,576).", (1200000, 1048576), id="Gemini"),
        pytest.param("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", (40000, 32768), id="Mistral"),
        pytest.param("This model's maximum prompt length is 131072 but the request contains 150000 tokens.", (150000, 131072), id="xAI"),
        pytest.param("Invalid request: Your request exceeded model token limit: 131072", None, id="Moonshot"),
        pytest.param("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", None, id="DashScope"),
        pytest.param("The input (40000 tokens) is longer than the model's context length (32768 tokens).", (40000, 32768), id="SGLang"),
        pytest.param("Input validation error: `inputs` must have less than 4096 tokens. Given: 5000", (5000, 4096), id="TGI"),
        pytest.param("Input is too long for requested model.", None, id="Bedrock"),
        pytest.param("Please reduce the length of the messages or completion.", None, id="Groq"),
        pytest.param({"message": "too much", "code": "context_length_exceeded"}, None, id="only the code"),
        pytest.param("Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens", (5000, 4096), id="LM Studio"),
        pytest.param("the input length exceeds the context length", None, id="Ollama"),
        pytest.param("Prompt exceeds max length", None, id="GLM"),
        pytest.param("prompt token count of 150000 exceeds the limit of 128000", (150000, 128000), id="GitHub Copilot"),
        pytest.param({"message": "too much", "code": "model_max_prompt_tokens_exceeded"}, None, id="GitHub Copilot, only the code"),
        pytest.param("Request body too large for gpt-4o model. Max size: 8000 tokens.", None, id="GitHub Models"),
        pytest.param("Please reduce your prompt; or completion length.", None, id="OpenAI, older"),
        pytest.param("messages token length exceeds the limit", None, id="Hunyuan"),
        pytest.param("输入长度超过模型最大上下文长度", None, id="in Chinese"),
        pytest.param("prompt length (40000) exceeds max_seq_len (32768)", (40000, 32768), id="TensorRT-LLM"),
        pytest.param("Your request contains 200000 tokens, which exceeds the 128000 limit", (200000, 128000), id="a gateway"),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_told_so_that_clients_compact(error: Any, numbers: tuple[int, int] | None) -> None:
    told = server_error({"error": error}, NAMES, status=400)
    said = error["message"] if isinstance(error, dict) else error
    lead = f"prompt is too long: {numbers[0]} tokens > {numbers[1]} maximum. " if numbers else "prompt is too long: "
    assert told.message == lead + said
    code = error.get("code") if isinstance(error, dict) else None
    assert (told.status, told.kind, told.code) == (400, "context_overflow", code or "context_length_exceeded")


def test_words_that_say_it_already_stay() -> None:
    said = "prompt is too long: 204000 tokens > 200000 maximum"
    assert server_error({"type": "error", "error": {"type": "invalid_request_error", "message": said}}, NAMES).message == said


def test_the_servers_own_code_stays() -> None:
    assert server_error({"error": {"message": "Input is too long", "code": "too_long"}}, NAMES).code == "too_long"


@pytest.mark.parametrize(
    "said",
    [
        "max_tokens is too large: 40000. This model's maximum context length is 32768 tokens",
        "'max_tokens' or 'max_completion_tokens' is too large: 40000. This model's maximum context length is 32768 tokens and your request has 100 input tokens",
        "Request too large for model `x` on tokens per minute (TPM): Limit 30000, Requested 40000",
        "Request Entity Too Large",
        "Input list length must not be greater than 10",
        "temperature is too large",
        "the context is missing",
    ],
)  # fmt: skip
def test_other_limits_are_no_prompt_that_is_too_long(said: str) -> None:
    assert server_error({"error": {"message": said}}, NAMES, status=400).message == said


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, {"detail": "Not Found"}, (501, "the back end has no such call: it answered 404 (Not Found)")),
        (404, "", (501, "the back end has no such call: it answered 404")),
        (405, {"detail": "Method Not Allowed"}, (501, "the back end has no such call: it answered 405 (Method Not Allowed)")),
        (404, {"error": {"message": "The model `x` does not exist"}}, (404, "The model `x` does not exist")),
    ],
)
def test_a_call_that_the_server_does_not_have_is_no_missing_model(status: int, body: Any, told: tuple[int, str]) -> None:
    error = server_error(body, NAMES, status=status)
    assert (error.status, error.message) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "the back end sent an answer that cannot be understood"),
        (" ok org/model\n", "the back end sent an answer that cannot be understood: ok mine:latest"),
        ("<html><title> Sign\n in </title></html>", "the back end sent a web page: Sign in"),
        ("<html></html>", "the back end sent a web page instead of an answer"),
        ("<?xml version='1.0'?><Error><Message>denied</Message></Error>", "denied"),
        ("x" * 1000, "the back end sent an answer that cannot be understood: " + "x" * 300),
    ],
)
def test_what_is_no_answer(said: str, told: str) -> None:
    error = not_understood(said, NAMES)
    assert (error.status, error.message) == (502, told)


def test_progress_with_a_code_that_is_an_error_is_an_error() -> None:
    assert error_in_chunk({"status": "queued", "message": "2 before you"}, None) is None
    failed = {"status": "queued", "code": 500, "message": "the queue is full"}
    assert error_in_chunk(failed, None) is failed
