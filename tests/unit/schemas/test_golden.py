"""Refusals of a recorded Ollama, word for word."""

import json
from pathlib import Path
from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.go_json_decoding import decode
from ollama_openai_proxy.schemas.ollama.requests import (
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    ShowRequest,
)
from ollama_openai_proxy.translate.ollama.embeddings import inputs
from ollama_openai_proxy.translate.ollama.request import chat_parameters, check_raw, generate_parameters
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.server_profiles import PROFILES

RECORDINGS = Path(__file__).parents[4] / "shared" / "golden"

MODEL = read_model({"id": "m"}, 0)

# What decoding, options and format decide. The other refusals depend on the model, or on its being named.
TEXTS = [
    ("/api/generate", "", 400, "missing request body"),
    ("/api/generate", "{", 400, "unexpected EOF"),
    ("/api/generate", "[]", 400, "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
    (
        *("/api/generate", '{"model":1}', 400),
        "json: cannot unmarshal number into Go struct field GenerateRequest.model of type string",
    ),
    (
        *("/api/generate", '{"prompt":"x","raw":true,"system":"x"}', 400),
        "raw mode does not support template, system, or context",
    ),
    (
        *("/api/generate", '{"prompt":"x","format":"xml"}', 500),
        'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object',
    ),
    ("/api/generate", '{"images":["data:image/png;base64,xx"]}', 400, "illegal base64 data at input byte 4"),
    ("/api/generate", '{"keep_alive":"abc"}', 400, 'time: invalid duration "abc"'),
    ("/api/generate", '{"think":5}', 400, "think must be a boolean or string"),
    ("/api/generate", '{"options":{"num_predict":"x"}}', 500, 'option "num_predict" must be of type integer'),
    ("/api/chat", "[]", 400, "json: cannot unmarshal array into Go value of type api.ChatRequest"),
    (
        *("/api/chat", '{"messages":[{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}', 400),
        "Value looks like object, but can't find closing '}' symbol",
    ),
    (
        *("/api/chat", '{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}', 400),
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
    ),
    (
        *("/api/chat", '{"messages":"x"}', 400),
        "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message",
    ),
    ("/api/embed", "[]", 400, "json: cannot unmarshal array into Go value of type api.EmbedRequest"),
    ("/api/embed", '{"input":3}', 400, "invalid input type"),
    ("/api/embeddings", "[]", 400, "json: cannot unmarshal array into Go value of type api.EmbeddingRequest"),
    (
        *("/api/show", '{"model":1}', 400),
        "json: cannot unmarshal number into Go struct field ShowRequest.model of type string",
    ),
]
# Decided elsewhere: by the model's capabilities and by the range of a field.
ELSEWHERE = (
    "support insert",
    "support tools",
    "support thinking",
    "invalid think value",
    "model is required",
    "top_logprobs must be",
)


def refusal(path: str, body: bytes) -> tuple[int, str] | None:
    """What the modules that read a request say of it."""
    try:
        match path:
            case "/api/chat":
                chat_parameters(decode(ChatRequest, body), MODEL, PROFILES["generic"])
            case "/api/generate":
                asked = decode(GenerateRequest, body)
                check_raw(asked)
                generate_parameters(asked, MODEL, PROFILES["generic"])
            case "/api/embed":
                inputs(decode(EmbedRequest, body).input)
            case "/api/embeddings":
                decode(EmbeddingsRequest, body)
            case "/api/show":
                decode(ShowRequest, body)
    except InvalidRequest as error:
        return error.status, error.message
    return None


@pytest.mark.parametrize(("path", "body", "status", "text"), TEXTS)
def test_a_request_is_refused_as_ollama_refuses_it(path: str, body: str, status: int, text: str) -> None:
    assert refusal(path, body.encode()) == (status, text)


def recorded(version: str) -> list[dict[str, Any]]:
    exchanges: list[dict[str, Any]] = json.loads((RECORDINGS / f"ollama-{version}.json").read_text())["exchanges"]
    return exchanges


@pytest.mark.parametrize("version", ["0.24", "0.33"])
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of a real Ollama are not on this machine")
def test_every_recorded_request_is_taken_or_refused_as_recorded(version: str) -> None:
    differ = []
    for exchange in recorded(version):
        request, response = exchange["request"], exchange["response"]
        if request["path"] not in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"):
            continue
        if request["method"] != "POST":
            continue
        body = json.dumps(request["json"]) if "json" in request else request.get("text", "")
        expected = None
        if response["status"] in (400, 500):
            text = response["json"]["error"]
            expected = None if any(words in text for words in ELSEWHERE) else (response["status"], text)
        if (said := refusal(request["path"], body.encode())) != expected:
            differ.append((exchange["name"], said, expected))
    assert differ == []
