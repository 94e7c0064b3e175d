"""Where the scenarios are played: the proxy in one of its modes, behind it a scripted server, and a control for the scripts.

Both modes look the same to a scenario: the same models, the same answers. What a reply is to be, the scenario says over the
control, for its next call only; without that the answer is `SAID`.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, override

from aiohttp import web

from tests.live.proxy import ProxyProcess
from tests.standins import (
    Cut,
    Mangler,
    ScriptedBackend,
    Stream,
    StrictOllama,
    WaitForClient,
    Whole,
    chat_completion,
    finish,
    reasoning,
    role,
    text,
    text_completion,
    tool_delta,
    usage,
)
from tests.standins.openai_backend import CLIENT_PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standins import Step
    from tests.standins.ollama_upstream import _Call
    from tests.standins.openai_backend import Script

type Mode = Literal["translate", "fix"]

MODES: tuple[Mode, ...] = ("translate", "fix")
PIECES = ("Hello", " world", "!")
TOKENS = (5, 3)
CAPABILITIES = {
    "tinytools": ["completion", "tools", "thinking", "vision", "insert", "decision"],
    "tiny": ["completion", "embedding"],
}
MODELS_FILE = "".join(
    f"[models.{name}]\nmodel = {json.dumps(name)}\ncapabilities = {json.dumps(able)}\ncontext_length = 2048\n"
    for name, able in CAPABILITIES.items()
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a back end says to one call, whatever API it speaks."""

    text: tuple[str, ...] = PIECES
    thinking: str = ""
    tool: tuple[str, str] | None = None
    """The name of a function and its arguments as JSON, in place of the text."""
    slow: bool = False
    """After the first piece nothing comes until the client leaves."""
    breaks: bool = False
    """After the first piece the connection is dropped."""

    @classmethod
    def of(cls, data: dict[str, Any]) -> Reply:
        """What a scenario asked for."""
        tool = data.get("tool")
        return cls(
            text=tuple(data.get("text", PIECES)),
            thinking=data.get("thinking", ""),
            tool=(tool["name"], json.dumps(tool["arguments"])) if tool else None,
            slow=data.get("slow", False),
            breaks=data.get("breaks", False),
        )

    def as_script(self, *, streamed: bool, chat: bool = True) -> Script:
        """The same as a script of the OpenAI back end."""
        if self.slow or self.breaks:
            steps: list[Step] = [text(self.text[0]), WaitForClient() if self.slow else Cut()]
            if streamed:
                return Stream([role(), *steps] if chat else steps)
            return Whole({}, before=[WaitForClient()]) if self.slow else Cut()
        if not streamed:
            return Whole(self._whole() if chat else text_completion("".join(self.text), model="tinytools"))
        steps = [reasoning(self.thinking)] if self.thinking else []
        if self.tool:
            steps += [tool_delta(0, "call_1", *self.tool), finish("tool_calls")]
        else:
            steps += [*map(text, self.text), finish()]
        return Stream([*([role()] if chat else []), *steps, usage(*TOKENS)])

    def _whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"reasoning_content": self.thinking} if self.thinking else {}
        if self.tool:
            function = {"name": self.tool[0], "arguments": self.tool[1]}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
            return chat_completion(None, model="tinytools", finish_reason="tool_calls", **message)
        return chat_completion("".join(self.text), model="tinytools", **message)

    def as_frames(self, *, chat: bool) -> list[dict[str, Any]]:
        """The same as the frames of a real Ollama."""
        said: list[dict[str, Any]] = [{"thinking": self.thinking}] if self.thinking else []
        if self.tool:
            function = {"index": 0, "name": self.tool[0], "arguments": json.loads(self.tool[1])}
            said.append({"tool_calls": [{"id": "call_1", "function": function}]})
        else:
            said += [{"content": piece} for piece in self.text]
        return [*(_frame(part, chat=chat) for part in said), _frame({}, chat=chat) | _last(chat=chat)]

    def as_whole_frame(self, *, chat: bool) -> dict[str, Any]:
        """The same as the unstreamed answer of a real Ollama."""
        parts: dict[str, Any] = {"content": "" if self.tool else "".join(self.text)}
        if self.thinking:
            parts["thinking"] = self.thinking
        if self.tool:
            parts |= self.as_frames(chat=True)[-2]["message"]
        return _frame(parts, chat=chat) | _last(chat=chat)


def _frame(parts: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    whole = {"content": "", **parts}
    said = {"message": {"role": "assistant", **whole}}
    if not chat:
        said = {"response": whole.pop("content"), **whole}
    return {"model": "", "created_at": "", **said, "done": False}


def _last(*, chat: bool) -> dict[str, Any]:
    counters = {"total_duration": 4_000, "load_duration": 1_000, "prompt_eval_count": TOKENS[0]}
    counters |= {"prompt_eval_duration": 2_000, "eval_count": TOKENS[1], "eval_duration": 1_000}
    return {"done": True, "done_reason": "stop", **({} if chat else {"context": [1, 2, 3]}), **counters}


# ---------------------------------------------------------------------------------------------------------------------
# The servers


class Backend(ScriptedBackend):
    """The OpenAI-compatible server of translate mode."""

    def __init__(self) -> None:
        super().__init__()
        self.models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in CAPABILITIES]
        self.next: deque[Reply] = deque()

    def reset(self) -> None:
        """Be as at the start."""
        self.next.clear()
        _forget(self)

    @override
    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/systemone", _score)
        super().add_routes(app)

    @override
    async def _invoke(self, request: web.Request, operation: Any, body: bytes) -> web.StreamResponse:
        if operation in ("chat/completions", "completions"):
            reply = self.next.popleft() if self.next else Reply()
            streamed = json.loads(body).get("stream") is True
            self.reply_with(reply.as_script(streamed=streamed, chat=operation == "chat/completions"))
        return await super()._invoke(request, operation, body)


class Ollama(StrictOllama):
    """The real Ollama of fix mode, which also answers what clients of OpenAI ask it."""

    def __init__(self) -> None:
        super().__init__()
        self.next: deque[Reply] = deque()
        self._models = [dict(model) for model in self.models if model["name"].removesuffix(":latest") in CAPABILITIES]
        self._openai = Backend()

    def reset(self) -> None:
        """Be as at the start."""
        self.next.clear()
        self.models[:] = self._models
        _forget(self)

    @override
    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/systemone", _score)
        app.router.add_post("/v1/{operation:chat/completions|embeddings}", self._openai_call)
        super().add_routes(app)

    async def _openai_call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._note_request(request, body)
        if self._find(json.loads(body)["model"]) is None:
            message = f"model '{json.loads(body)['model']}' not found"
            return web.json_response({"error": {"message": message, "type": "not_found_error"}}, status=404)
        operation = request.match_info["operation"]
        if self.next and operation == "chat/completions":
            self._openai.next.append(self.next.popleft())
        return await self._openai._invoke(request, operation, body)  # noqa: SLF001

    @override
    def _show(self, call: _Call) -> web.Response:
        shown = json.loads(super()._show(call).body)  # type: ignore[arg-type]
        name = call.model.partition(":")[0]
        return web.json_response(shown | {"capabilities": CAPABILITIES.get(name, ["completion"])})

    @override
    async def _complete(self, call: _Call) -> web.StreamResponse:
        chat = call.path == "/api/chat"
        refused = call.model.startswith("tiny:") or call.model == "tiny"
        if refused or self._find(call.model) is None or not call.body.get("messages" if chat else "prompt"):
            return await super()._complete(call)
        self._loaded.add(f"{call.model.partition(':')[0]}:latest")
        reply = self.next.popleft() if self.next else Reply()
        self.cut_after = 1 if reply.breaks else None
        self.frame_delay = CLIENT_PATIENCE if reply.slow else 0
        if call.stream:
            return await self._stream(call, reply.as_frames(chat=chat), paced=True)
        if reply.slow:
            return await super()._complete(call)
        created = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
        frame = reply.as_whole_frame(chat=chat) | {"model": call.model, "created_at": created}
        if reply.breaks:
            await self._break_off(call.request, json.dumps(frame).encode())
        return web.json_response(frame)

    async def _break_off(self, request: web.Request, body: bytes) -> NoReturn:
        """Drop the connection within the body. Where nothing of an answer has come, the proxy makes the call again."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2])
        await self.cut(request)


def _forget(server: Backend | Ollama) -> None:
    server.requests.clear()
    server.sent.clear()
    while server.wait_for_disconnect(timeout=0) is not None:
        pass


async def _score(request: web.Request) -> web.Response:
    """The System One of a newer Ollama."""
    body = await request.json()
    answers = {name: {"type": "noul", "noul": 0.75} for name in body["questions"]}
    usage_ = {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1]}
    return web.json_response({"model": body["model"], "answers": answers, "usage": usage_})


# ---------------------------------------------------------------------------------------------------------------------
# The stage


@dataclass(frozen=True, slots=True)
class Stage:
    """A running proxy, what stands behind it, and the URL of the control that the scripts talk to."""

    mode: Mode
    url: str
    backend: Backend | Ollama
    control: str


def _answer(backend: Backend | Ollama, what: str, body: bytes) -> object:
    """What a scenario gets that asks the control for something."""
    match what:
        case "/reset":
            backend.reset()
        case "/next":
            backend.next.append(Reply.of(json.loads(body)))
        case "/asked":
            return next((it.body or b"" for it in reversed(backend.requests) if it.method == "POST"), b"").decode()
        case "/left":
            return backend.wait_for_disconnect() is not None
    return None


@contextmanager
def _control(backend: Backend | Ollama) -> Iterator[str]:
    """Serve the control; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = json.dumps(_answer(backend, self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def stage(mode: Mode) -> Iterator[Stage]:
    """Start everything of one mode. In fix mode, all requests come to the proxy as GETs."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if mode == "translate":
            models = place / "models.toml"
            models.write_text(MODELS_FILE, "utf-8")
            with (
                Backend() as backend,
                ProxyProcess(cwd=place, OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=str(models)) as proxy,
                _control(backend) as control,
            ):
                yield Stage(mode, proxy.url, backend, control)
        else:
            with (
                Ollama() as upstream,
                ProxyProcess(cwd=place, PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url) as proxy,
                Mangler(proxy.url) as pod,
                _control(upstream) as control,
            ):
                yield Stage(mode, pod.url, upstream, control)
