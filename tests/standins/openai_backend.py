"""A scripted OpenAI-compatible server: answers sensibly by itself, and exactly as told when told.

A script is one reply. `Stream`, `Whole`, `Error` and `Cut` can be queued with `ScriptedBackend.reply_with`; each POST
takes the oldest one, whatever it asked for, so a back end that streams unasked or sends JSON instead of a stream is
one line in a test. Without a script, the reply is the fixed default.
"""

import asyncio
import base64
import hashlib
import json
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

from aiohttp import web
from typing_extensions import TypeIs

from tests.standins._further_calls import FURTHER, FurtherOperation, answer
from tests.standins._openai_params import Operation, complaint
from tests.standins._thread import ThreadedServer

CREATED = 1_700_000_000
DEFAULT_TEXT = ("Hello", " world", "!")
DEFAULT_USAGE = (5, 3)
EMBEDDING_LENGTH = 8
CLIENT_PATIENCE = 10
_GATE_POLL = 0.005

# ---------------------------------------------------------------------------------------------------------------------
# Steps of a stream


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event with exactly this object; in a stream of Responses or messages it is also named after its `type`."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delta:
    """One event in the shape of the endpoint that was called, with its `id`, `object`, `created` and `model`."""

    delta: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes written as they are: comments, other line ends, half a character, nonsense."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The event `[DONE]`. The connection stays open for further steps."""


@dataclass(frozen=True, slots=True)
class End:
    """The regular end of the body, without `[DONE]`."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is dropped. As a script of its own: instead of any answer."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitForClient:
    """Nothing until the client has left, at most `CLIENT_PATIENCE` seconds."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Nothing until the test sets the event."""

    event: threading.Event


type Pause = Sleep | WaitForClient | Gate
type Step = Chunk | Delta | Raw | Done | End | Cut | Pause


def role(name: str = "assistant") -> Delta:
    """The opening chunk of a chat stream: a role and no text."""
    return Delta({"role": name, "content": ""})


def text(content: str) -> Delta:
    """A piece of the answer."""
    return Delta({"content": content})


def reasoning(content: str, key: str = "reasoning_content") -> Delta:
    """A piece of the reasoning, under the key that this kind of back end uses."""
    return Delta({key: content})


def tool_delta(
    index: int,
    call_id: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
) -> Delta:
    """A piece of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call: dict[str, Any] = {"index": index}
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
    return Delta({"tool_calls": [call | {"function": function}]})


def finish(reason: str = "stop") -> Delta:
    """The chunk that names why the answer ended."""
    return Delta({}, finish_reason=reason)


def usage(prompt: int, completion: int) -> Delta:
    """The chunk without choices that carries the token counts."""
    return Delta(usage=_usage(prompt, completion))


# ---------------------------------------------------------------------------------------------------------------------
# Scripts


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of server-sent events. Unless told otherwise (`Done`, `End`, `Cut`) it closes with `[DONE]`, if its API does."""

    steps: Sequence[Step]
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Pause] = ()
    """Played before the status line is sent."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An unstreamed reply with status 200 and exactly this object."""

    data: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Pause] = ()


@dataclass(frozen=True, slots=True)
class Error:
    """A refusal: an object is sent as JSON, a str as plain text, bytes without any content type.

    Without a body it is OpenAI's usual error object with the message `scripted error <status>`.
    """

    status: int
    body: Mapping[str, Any] | str | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Pause] = ()


type Script = Stream | Whole | Error | Cut


def chat_completion(
    content: str | None = "".join(DEFAULT_TEXT),
    *,
    model: str = "gpt-test",
    finish_reason: str = "stop",
    tokens: tuple[int, int] = DEFAULT_USAGE,
    **message: Any,
) -> dict[str, Any]:
    """An unstreamed chat reply; further keywords (`tool_calls`, `reasoning_content`, …) become part of the message."""
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish_reason,
                "logprobs": None,
            }
        ],
        "usage": _usage(*tokens),
    }


def text_completion(
    content: str = "".join(DEFAULT_TEXT),
    *,
    model: str = "gpt-test",
    finish_reason: str = "stop",
    tokens: tuple[int, int] = DEFAULT_USAGE,
) -> dict[str, Any]:
    """An unstreamed reply of the old completions endpoint."""
    return {
        "id": "cmpl-test",
        "object": "text_completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "text": content, "finish_reason": finish_reason, "logprobs": None}],
        "usage": _usage(*tokens),
    }


def error_body(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def embedding_of(item: str | Sequence[int], length: int = EMBEDDING_LENGTH) -> list[float]:
    """The vector that the server gives for an input: always the same, exact in 32 bits, not of length 1."""
    seed = json.dumps(item, ensure_ascii=False).encode()
    digests = b"".join(hashlib.sha256(seed + bytes([block])).digest() for block in range(length // 16 + 1))
    return [(number - 32768) / 8192 for number in struct.unpack(f"<{length}H", digests[: 2 * length])]


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


# ---------------------------------------------------------------------------------------------------------------------
# The server


@dataclass(frozen=True, slots=True)
class _Call:
    request: web.Request
    operation: Operation | FurtherOperation
    body: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True


class ScriptedBackend(ThreadedServer):
    """An OpenAI-compatible server under `/v1`.

    With `api_key`, whoever does not send it as a bearer token gets a 401. A body that the OpenAI SDK's own types do not
    allow gets a 400 and is remembered in `violations`; it does not use up a script. Reasoning that comes back with tool
    calls is taken. Without `strict`, parameters that OpenAI does not have are taken, as other families of servers take them.

    By itself it has models, chat completions, completions and embeddings. With `everything` it also has `/v1/responses`,
    `/v1/messages`, `/v1/messages/count_tokens` and `/v1/audio/transcriptions`, whose bodies are not checked.

    Raises:
        AssertionError: on leaving the context, if there are violations. A test that means them clears the list.
    """

    def __init__(self, *, strict: bool = True, api_key: str | None = None, everything: bool = False, port: int = 0) -> None:
        super().__init__(port=port)
        self.strict = strict
        self.everything = everything
        self.api_key = api_key
        self.violations: list[str] = []
        self.models: list[dict[str, Any]] = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "tests"}
            for name in ("gpt-test", "text-embedding-test")
        ]
        self._scripts: deque[Script] = deque()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if self.violations and error is None:
            raise AssertionError("\n".join(["the back end was sent what OpenAI does not take:", *self.violations]))

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    def reply_with(self, *scripts: Script) -> None:
        """Queue replies, one for each of the next POSTs."""
        self._scripts.extend(scripts)

    def forget_scripts(self) -> None:
        """Forget the queued replies that no POST took."""
        self._scripts.clear()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._serve_any)

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._note_request(request, body)
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return _json(401, error_body("Incorrect API key provided.", code="invalid_api_key"))
        match request.method, request.path.removeprefix("/v1/"):
            case "GET", "models":
                return _json(200, {"object": "list", "data": self.models})
            case "GET", path if path.startswith("models/"):
                return self._model(path.removeprefix("models/"))
            case "POST", ("chat/completions" | "completions" | "embeddings") as operation:
                return await self._invoke(request, operation, body)
            case "POST", further if self.everything and further in FURTHER:
                return await self._invoke(request, cast("FurtherOperation", further), body)
        return _json(404, error_body(f"Invalid URL ({request.method} {request.path})"))

    def _model(self, name: str) -> web.Response:
        for model in self.models:
            if model["id"] == name:
                return _json(200, model)
        message = f"The model '{name}' does not exist"
        return _json(404, error_body(message, param="model", code="model_not_found"))

    async def _invoke(self, request: web.Request, operation: Operation | FurtherOperation, body: bytes) -> web.StreamResponse:
        try:
            data = {} if operation == "audio/transcriptions" else json.loads(body)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return self._refuse(operation, "", "We could not parse the JSON body of your request.")
        call = _Call(request, operation, data)
        if self.strict and not _is_further(operation):
            checked = body if "messages" not in data else _without_reasoning(data)
            if found := complaint(operation, checked, stream=call.stream):
                return self._refuse(operation, *found)
        script = self._scripts.popleft() if self._scripts else _default(call)
        if isinstance(script, Cut):
            await self.cut(request)
        for step in script.before:
            await _pause(step)
        if isinstance(script, Stream):
            return await self._play(call, script)
        if isinstance(script, Whole):
            return _json(200, script.data, script.headers)
        return _refusal(script)

    def _refuse(self, operation: str, param: str, message: str) -> web.Response:
        self.violations.append(f"{operation}: {message}")
        return _json(400, error_body(message, param=param or None))

    async def _play(self, call: _Call, script: Stream) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **script.headers}
        response = web.StreamResponse(headers=headers)
        await response.prepare(call.request)
        further = _is_further(call.operation)
        finished = further
        for step in script.steps:
            match step:
                case Chunk(data):
                    await self.write(response, _event(data, named=further))
                case Delta():
                    await self.write(response, _event(_enveloped(call, step)))
                case Raw(piece):
                    await self.write(response, piece)
                case Done():
                    finished = True
                    await self.write(response, b"data: [DONE]\n\n")
                case End():
                    finished = True
                    break
                case Cut():
                    await self.cut(call.request)
                case _:
                    await _pause(step)
        if not finished:
            await self.write(response, b"data: [DONE]\n\n")
        await response.write_eof()
        return response


async def _pause(step: Pause) -> None:
    match step:
        case Sleep(seconds):
            await asyncio.sleep(seconds)
        case WaitForClient():
            await asyncio.sleep(CLIENT_PATIENCE)  # the handler is cancelled when the client leaves
        case Gate(event):
            # The event belongs to the test's thread; a thread that waited for it here could not be cancelled.
            while not event.is_set():
                await asyncio.sleep(_GATE_POLL)


def _refusal(script: Error) -> web.Response:
    match script.body:
        case str() as sentence:
            return _plain(script.status, sentence.encode(), "text/plain; charset=utf-8", script.headers)
        case bytes() as raw:
            return _plain(script.status, raw, None, script.headers)
        case None:
            return _json(script.status, error_body(f"scripted error {script.status}", kind="api_error"), script.headers)
        case body:
            return _json(script.status, body, script.headers)


def _json(status: int, data: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return _plain(status, json.dumps(data, ensure_ascii=False).encode(), "application/json", headers or {})


def _plain(status: int, body: bytes, kind: str | None, headers: Mapping[str, str]) -> web.Response:
    own = {} if kind is None else {"Content-Type": kind}
    return web.Response(status=status, body=body, headers={**own, **headers})


def _without_reasoning(data: Mapping[str, Any]) -> bytes:
    """The body without the one field that OpenAI does not have: servers that send reasoning take it back with tool calls."""
    messages = data["messages"]
    if isinstance(messages, list):
        messages = [
            {name: value for name, value in message.items() if name != "reasoning_content"}
            if isinstance(message, dict) and message.get("tool_calls")
            else message
            for message in messages
        ]
    return json.dumps({**data, "messages": messages}).encode()


def _is_further(operation: Operation | FurtherOperation) -> TypeIs[FurtherOperation]:
    return operation in FURTHER


def _event(data: Mapping[str, Any], *, named: bool = False) -> bytes:
    name = f"event: {data['type']}\n".encode() if named else b""
    return name + b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _enveloped(call: _Call, step: Delta) -> dict[str, Any]:
    chat = call.operation == "chat/completions"
    envelope: dict[str, Any] = {
        "id": "chatcmpl-test" if chat else "cmpl-test",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": CREATED,
        "model": call.model,
        "choices": [],
    }
    if step.delta is not None:
        said = {"delta": step.delta} if chat else {"text": step.delta.get("content", "")}
        envelope["choices"] = [{"index": 0, **said, "finish_reason": step.finish_reason, "logprobs": None}]
    if step.usage is not None:
        envelope["usage"] = step.usage
    return envelope


def _default(call: _Call) -> Script:
    if _is_further(call.operation):
        said = answer(call.operation, call.body, DEFAULT_TEXT)
        return Stream([*map(Chunk, said)]) if isinstance(said, list) else Whole(said)
    if call.operation == "embeddings":
        return Whole(_embeddings(call.body))
    if not call.stream:
        whole = chat_completion if call.operation == "chat/completions" else text_completion
        return Whole(whole(model=call.model))
    steps = [*map(text, DEFAULT_TEXT), finish("stop")]
    if call.operation == "chat/completions":
        steps.insert(0, role())
    if (call.body.get("stream_options") or {}).get("include_usage"):
        steps.append(usage(*DEFAULT_USAGE))
    return Stream(steps)


def _embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("input")
    one = isinstance(given, str) or (isinstance(given, list) and bool(given) and isinstance(given[0], int))
    items: list[Any] = [given] if one else list(given or [])
    length = body.get("dimensions") or EMBEDDING_LENGTH
    vectors: list[list[float] | str] = [embedding_of(item, length) for item in items]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{length}f", *embedding_of(item, length))).decode() for item in items]
    tokens = sum(len(item.split()) if isinstance(item, str) else len(item) for item in items)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": it} for index, it in enumerate(vectors)],
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
