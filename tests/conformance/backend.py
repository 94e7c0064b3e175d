"""The two models of the recordings, behind an OpenAI-compatible server that speaks as Ollama's own `/v1` does.

`tiny` completes text; `tinytools` also takes tools and may think, though neither does so here. What they say is nonsense of
the right length: `max_tokens` cuts it, `stop` ends it, `response_format` makes it JSON.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins import Chunk, Error, ScriptedBackend, Stream, Whole, embedding_of, error_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.standins import Script
    from tests.standins._further_calls import FurtherOperation
    from tests.standins._openai_params import Operation

type Body = Mapping[str, Any]

NAMES = ("tiny:latest", "tinytools:latest")
CREATED = 1_795_231_478
EMBEDDING_LENGTH = 64
NUM_PREDICT = 40
"""How many tokens the models say when nobody limits them."""
TOKENS = ("m", " world", "p", "v", " in", "!")
AFTER_A_TOOL = (" lights", " a")
FINGERPRINT = "fp_ollama"
MODELS_FILE = """\
[models."tiny:latest"]
capabilities = ["completion"]
context_length = 2048
embedding_length = 64
family = "llama"
parameter_size = "122K"
quantization_level = "unknown"

[models."tinytools:latest"]
capabilities = ["completion", "tools", "thinking"]
context_length = 2048
embedding_length = 64
family = "llama"
parameter_size = "122K"
quantization_level = "unknown"
"""
"""What the proxy is told of the models: all that `/v1/models` does not say."""


class TinyModels(ScriptedBackend):
    """The server. A request that the OpenAI SDK would not make is refused and remembered in `violations`."""

    def __init__(self) -> None:
        super().__init__(strict=True)
        self.models = [{"id": name, "object": "model", "created": CREATED, "owned_by": "library"} for name in NAMES]

    def write_models_file(self, directory: Path) -> Path:
        """Put the models file for the proxy there."""
        path = directory / "models.toml"
        path.write_text(MODELS_FILE, "utf-8")
        return path

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.path in ("/v1/responses", "/v1/messages"):
            body = await request.read()
            self._note_request(request, body)
            return (_response if request.path == "/v1/responses" else _message)(json.loads(body))
        return await super()._serve_any(request)

    def _model(self, name: str) -> web.Response:
        return _json(self.models[0] | {"id": name}) if _known(name) else _json(_unknown(name), 404)

    async def _invoke(self, request: web.Request, operation: Operation | FurtherOperation, body: bytes) -> web.StreamResponse:
        # A request that is refused leaves its script behind.
        self._scripts = deque([_script(operation, json.loads(body))])
        return await super()._invoke(request, operation, body)


# ── what is said


def _script(operation: Operation | FurtherOperation, body: Body) -> Script:
    name = str(body.get("model"))
    if not _known(name):
        return Error(404, _unknown(name))
    if operation == "embeddings":
        return Whole(_embeddings(body))
    tokens, reason = _say(body)
    usage = _usage(body, tokens)
    chat = operation == "chat/completions"
    if not body.get("stream"):
        choice = _choice(chat, "".join(tokens), reason, whole=True)
        return Whole(_envelope(chat, body) | {"choices": [choice], "usage": usage})
    envelope = _envelope(chat, body)
    chunks = [
        envelope | {"choices": [_choice(chat, token, None) | (_logprobs(body, token) if chat else {})]} for token in tokens
    ]
    chunks.append(envelope | {"choices": [_choice(chat, "", reason)]})
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append(envelope | {"choices": [], "usage": usage})
    return Stream([Chunk(chunk) for chunk in chunks], {"Content-Type": "text/event-stream"})


def _say(body: Body) -> tuple[list[str], str]:
    """The tokens of an answer, and why it ends."""
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or NUM_PREDICT
    messages = body.get("messages") or [{}]
    said: Sequence[str]
    match body.get("response_format"):
        case {"json_schema": {"schema": schema}}:
            said = list(json.dumps(_instance(schema)))
        case {"type": "json_object"}:
            said = ["{", " ", "}"]
        case _ if messages[-1].get("role") == "tool":
            said = AFTER_A_TOOL
        case _:
            said = list(itertools.islice(itertools.cycle(TOKENS), limit + 1))
    stops = body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    until_stop = list(itertools.takewhile(lambda token: not any(stop in token for stop in stops), said))
    return until_stop[:limit], "length" if len(until_stop) > limit else "stop"


def _instance(schema: Any) -> Any:
    """A value that a schema allows, for the plainest of schemas."""
    match schema:
        case {"type": "object"}:
            return {name: _instance(part) for name, part in schema.get("properties", {}).items()}
        case {"type": "boolean"}:
            return False
        case {"type": "integer" | "number"}:
            return 0
        case {"type": "array"}:
            return []
    return "m"


# ── how it is said


def _envelope(chat: bool, body: Body) -> dict[str, Any]:
    kind = "chat.completion.chunk" if body.get("stream") else "chat.completion"
    return {
        "id": "chatcmpl-196" if chat else "cmpl-672",
        "object": kind if chat else "text_completion",
        "created": CREATED,
        "model": body["model"],
        "system_fingerprint": FINGERPRINT,
    }


def _choice(chat: bool, text: str, reason: str | None, *, whole: bool = False) -> dict[str, Any]:
    if not chat:
        return {"text": text, "index": 0, "finish_reason": reason}
    return {"index": 0, "message" if whole else "delta": {"role": "assistant", "content": text}, "finish_reason": reason}


def _logprobs(body: Body, token: str) -> dict[str, Any]:
    if not body.get("logprobs"):
        return {}
    others = [token, *(other for other in TOKENS if other != token)][: body.get("top_logprobs") or 0]
    tops = [_logprob(other, -0.5 - place) for place, other in enumerate(others)]
    return {"logprobs": {"content": [_logprob(token, -0.5) | {"top_logprobs": tops}], "refusal": None}}


def _logprob(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}


def _usage(body: Body, tokens: Sequence[str]) -> dict[str, int]:
    prompt = len(json.dumps(body.get("messages") or body.get("prompt") or ""))
    return {"prompt_tokens": prompt, "completion_tokens": len(tokens), "total_tokens": prompt + len(tokens)}


def _embeddings(body: Body) -> dict[str, Any]:
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    vectors = [_shortened(embedding_of(text, EMBEDDING_LENGTH), body.get("dimensions")) for text in texts]
    written: list[list[float] | str] = [*vectors]
    if body.get("encoding_format") == "base64":
        written = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    tokens = sum(map(len, texts))
    return {
        "object": "list",
        "data": [{"object": "embedding", "embedding": vector, "index": index} for index, vector in enumerate(written)],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _shortened(vector: list[float], dimensions: int | None) -> list[float]:
    short = vector[: dimensions or len(vector)]
    length = math.hypot(*short)
    return [number / length for number in short]


# ── the two APIs that nothing is translated to


def _response(body: Body) -> web.Response:
    tokens, _ = _say({"max_tokens": body.get("max_output_tokens")})
    text = {"type": "output_text", "text": "".join(tokens), "annotations": [], "logprobs": []}
    message = {"id": "msg_186253", "type": "message", "status": "completed", "role": "assistant", "content": [text]}
    return _json(
        {
            "id": "resp_306328",
            "object": "response",
            "created_at": CREATED,
            "completed_at": CREATED,
            "status": "completed",
            "incomplete_details": None,
            "model": body["model"],
            "previous_response_id": None,
            "instructions": None,
            "output": [message],
            "error": None,
            "tools": [],
            "tool_choice": "auto",
            "truncation": "disabled",
            "parallel_tool_calls": True,
            "text": {"format": {"type": "text"}},
            "top_p": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "temperature": 1,
            "reasoning": None,
            "usage": {
                "input_tokens": 21,
                "output_tokens": len(tokens),
                "total_tokens": 21 + len(tokens),
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": None,
            "store": False,
            "background": False,
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
        }
    )


def _message(body: Body) -> web.Response:
    if not body.get("max_tokens"):
        error = {"type": "invalid_request_error", "message": "max_tokens is required and must be positive"}
        refusal = {"type": "error", "error": error, "request_id": "req_351793c78ac88c67660afea7"}
        return _json(refusal, 400, "application/json; charset=utf-8")
    tokens, _ = _say(body)
    return _json(
        {
            "id": "msg_bbc2a0ff3f7fc13cfb729f90",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": "".join(tokens)}],
            "stop_reason": "max_tokens",
            "usage": {"input_tokens": 30, "output_tokens": len(tokens)},
        }
    )


def _json(data: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(status=status, body=json.dumps(data).encode(), headers={"Content-Type": content_type})


def _known(name: str) -> bool:
    return name.casefold().removesuffix(":latest") in {known.removesuffix(":latest") for known in NAMES}


def _unknown(name: str) -> dict[str, Any]:
    return error_body(f"model '{name}' not found", kind="not_found_error")
