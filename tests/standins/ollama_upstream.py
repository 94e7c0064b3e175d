"""A stand-in for a real Ollama 0.24, as strict about methods, paths and bodies as the real one.

What it says comes from `tests/data/ollama_upstream.json`, recorded from a real server; the rules that pick an answer
are written here, and the unit tests play the whole recording back against them. Only transfers from and to the
registry are not in the recording: their frames follow docs/wire.md#pull-push-and-create.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

from tests.standins._record import RecordedRequest
from tests.standins._thread import ThreadedServer

if TYPE_CHECKING:
    import threading

RECORDING = Path(__file__).parents[1] / "data" / "ollama_upstream.json"
BODY_KEPT = 1 << 20
GO_CHUNKS_FROM = 2048
"""Go stops announcing a Content-Length from this size on."""

JSON = "application/json; charset=utf-8"
JSON_OF_A_STREAM = "application/json"
NDJSON = "application/x-ndjson"

_NO_METHOD = b"405 method not allowed"
_NO_PAGE = b"404 page not found"
_GO_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?")
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LAYER = "sha256:8e80329beb36370b7e0335aae6d8418cf5e8e62e915c63a91eab2fa5682c4e98"
_LAYER_SIZE = 495_998

METHODS = {
    "/": "HEAD, GET",
    "/api/version": "HEAD, GET",
    "/api/tags": "HEAD, GET",
    "/api/status": "GET",
    "/api/ps": "GET",
    "/v1/models": "GET",
    "/api/delete": "DELETE",
    "/api/me": "POST",
    **{
        f"/api/{name}": "POST" for name in ("generate", "chat", "embed", "embeddings", "show", "pull", "push", "create", "copy")
    },
}
"""The `Allow` header of each path; blobs, which carry their digest in the path, are `HEAD, POST`."""

GO_TYPES = {
    "/api/generate": "GenerateRequest",
    "/api/chat": "ChatRequest",
    "/api/embed": "EmbedRequest",
    "/api/embeddings": "EmbeddingRequest",
    "/api/show": "ShowRequest",
    "/api/pull": "PullRequest",
    "/api/push": "PushRequest",
    "/api/create": "CreateRequest",
    "/api/copy": "CopyRequest",
    "/api/delete": "DeleteRequest",
}
"""The structs that Ollama names when a body does not fit."""


class Blob(NamedTuple):
    """An upload as it was received."""

    digest: str
    size: int


@cache
def recording() -> Mapping[str, Mapping[str, Any]]:
    """Return the recorded exchanges by name."""
    exchanges = json.loads(RECORDING.read_text(encoding="utf-8"))["exchanges"]
    return {exchange["name"]: exchange for exchange in exchanges}


def go_json(data: object) -> bytes:
    """Encode as Ollama does: compact, and with Go's escapes for HTML (docs/wire.md#json-encoding)."""
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _GO_ESCAPES.items():
        encoded = encoded.replace(character, escape)
    return encoded.encode()


class _RefusedError(Exception):
    """An Ollama-shaped error."""

    def __init__(self, status: int, message: str, kind: str = JSON, *, chunked: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.chunked = chunked


@dataclass(frozen=True, slots=True)
class _Call:
    request: web.Request
    path: str
    body: Mapping[str, Any]
    """With keys in lower case, since Ollama's match without regard to it."""

    @property
    def model(self) -> str:
        return str(self.body.get("model") or self.body.get("name") or "")

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is not False


class StrictOllama(ThreadedServer):
    """A real Ollama's manners with the models `tiny` (text only) and `tinytools` (tools and thinking).

    Copies, deletions, creations and pulls change the list of models; a name that begins with `nope` is in no registry.
    """

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.first_frame_delay = 0.0
        """Seconds of model loading before anything is answered to chat and generate, and before a pull begins."""
        self.frame_delay = 0.0
        """Seconds between two frames of chat, generate and pull."""
        self.frame_permits: threading.Semaphore | None = None
        """Where set, each frame of chat, generate and pull but the first waits for a permit."""
        self.cut_after: int | None = None
        """Drop the connection of chat, generate and pull after so many frames."""
        self.failure: str | None = None
        """Why chat and generate fail with a status of 500 when the model should have been loaded."""
        self.last_blob: Blob | None = None
        """The newest upload that has arrived completely, whether its digest was right or not."""
        self.blob_received = 0
        """How many bytes of the newest upload have arrived so far."""
        self.models: list[dict[str, Any]] = [dict(model) for model in _recorded("tags GET")["models"]]
        self._loaded = {"tiny:latest"}
        self._blobs: set[str] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._serve_any)
        app.on_response_prepare.append(_as_go_does)

    # -- Routing ------------------------------------------------------------------------------------------------------

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        blob = path.startswith("/api/blobs/") and path.count("/") == 3
        recorded = self._note_request(request, None if blob else await request.read())
        allowed = "HEAD, POST" if blob else METHODS.get(path)
        refused = _check_origin(request, allowed)
        if refused is not None:
            return refused
        if allowed is None:
            return _redirected(request, path)
        if request.method not in allowed.split(", "):
            return web.Response(status=405, body=_NO_METHOD, headers={"Allow": allowed, "Content-Type": "text/plain"})
        try:
            if blob:
                return await self._blob(request, path.rpartition("/")[2], recorded)
            if path in GO_TYPES:
                return await self._invoke(_Call(request, path, _decoded(path, recorded.body or b"")))
            return self._fixed(path)
        except _RefusedError as error:
            return _json({"error": error.message}, error.status, error.kind, chunked=error.chunked)

    def _fixed(self, path: str) -> web.Response:
        match path:
            case "/":
                return web.Response(text=_recorded("root GET"), content_type="text/plain", charset="utf-8")
            case "/api/version":
                return _json(_recorded("version GET"))
            case "/api/tags":
                return _json({"models": self.models})
            case "/api/ps":
                entry = _recorded("ps loaded")["models"][0]
                return _json({"models": [entry | self._names(name) for name in sorted(self._loaded)]})
            case "/api/status":
                return _json(_recorded("status"))
            case "/v1/models":
                template = _recorded("v1 models")["data"][0]
                data = [template | {"id": model["name"]} for model in self.models]
                return web.Response(body=go_json({"object": "list", "data": data}) + b"\n", content_type=JSON_OF_A_STREAM)
        raise _RefusedError(503, _recorded("me")["error"])

    async def _invoke(self, call: _Call) -> web.StreamResponse:
        match call.path:
            case "/api/chat" | "/api/generate":
                return await self._complete(call)
            case "/api/embed" | "/api/embeddings":
                return self._embed(call)
            case "/api/show":
                return self._show(call)
            case "/api/pull":
                return await self._pull(call)
            case "/api/push":
                return await self._push(call)
            case "/api/create":
                return await self._create(call)
            case "/api/copy":
                return self._copy(call)
        return self._delete(call)

    # -- Models -------------------------------------------------------------------------------------------------------

    def _find(self, name: str) -> dict[str, Any] | None:
        return next((model for model in self.models if model["name"] == _full_name(name)), None)

    def _names(self, name: str) -> dict[str, str]:
        return {"name": name, "model": name}

    def _add(self, name: str, source: Mapping[str, Any] | None = None) -> None:
        entry = dict(source or _recorded("tags GET")["models"][0])
        if self._find(name) is None:
            self.models.insert(0, entry | self._names(_full_name(name)))

    def _existing(self, call: _Call) -> dict[str, Any]:
        found = self._find(call.model)
        if found is not None:
            return found
        if call.path.startswith("/api/embed") and call.model:
            raise _RefusedError(404, f'model "{call.model}" not found, try pulling it first')
        if not call.model and call.path not in ("/api/generate", "/api/embed"):
            raise _RefusedError(400, "model is required")
        raise _RefusedError(404, f"model '{call.model}' not found")

    def _show(self, call: _Call) -> web.Response:
        name = self._existing(call)["name"]
        return _json(_recorded("show name" if name.startswith("tinytools:") else "show"))

    def _copy(self, call: _Call) -> web.Response:
        names = [str(call.body.get(key) or "") for key in ("source", "destination")]
        for key, name in zip(("source", "destination"), names, strict=True):
            if not name or " " in name:
                raise _RefusedError(400, f'{key} "{name}" is invalid')
        source = self._find(names[0])
        if source is None:
            raise _RefusedError(404, f'model "{names[0]}" not found')
        self._add(names[1], source)
        return web.Response()

    def _delete(self, call: _Call) -> web.Response:
        self.models.remove(self._existing(call))
        self._loaded.discard(_full_name(call.model))
        return web.Response()

    # -- Inference ----------------------------------------------------------------------------------------------------

    async def _complete(self, call: _Call) -> web.StreamResponse:
        name = self._existing(call)["name"]
        chat = call.path == "/api/chat"
        kind = "chat" if chat else "generate"
        capable = name.startswith("tinytools:")
        if call.body.get("think") and not capable:
            raise _RefusedError(400, f'"{call.model}" does not support thinking')
        if call.body.get("tools") and not capable:
            raise _RefusedError(400, f"registry.ollama.ai/library/{name} does not support tools")
        if not call.body.get("messages" if chat else "prompt"):
            unload = call.body.get("keep_alive") in (0, "0", "0s")
            (self._loaded.discard if unload else self._loaded.add)(name)
            return _json(_signed(call, _recorded(f"{kind} {'unload' if unload else 'load'}")))
        if self.failure is not None:
            await asyncio.sleep(self.first_frame_delay)
            raise _RefusedError(500, self.failure)
        self._loaded.add(name)
        frames = _recorded(f"{kind} stream")
        if call.stream:
            return await self._stream(call, frames, paced=True)
        await asyncio.sleep(self.first_frame_delay + self.frame_delay * (len(frames) - 1))
        return _json(_signed(call, _recorded(f"{kind} whole")))

    def _embed(self, call: _Call) -> web.Response:
        self._existing(call)
        if call.path == "/api/embeddings":
            return _json(_recorded("embeddings" if call.body.get("prompt") else "embeddings empty"))
        given = call.body.get("input")
        if not isinstance(given, str | list | None):
            raise _RefusedError(400, "invalid input type")
        if not given:
            return _json(_signed(call, _recorded("embed empty list")))
        whole = _signed(call, _recorded("embed list"))
        vectors = whole["embeddings"]
        count = 1 if isinstance(given, str) else len(given)
        whole["embeddings"] = [vectors[index % len(vectors)] for index in range(count)]
        return _json(whole)

    # -- Transfers ----------------------------------------------------------------------------------------------------

    async def _pull(self, call: _Call) -> web.StreamResponse:
        if not call.model:
            raise _RefusedError(400, "invalid model name")
        if call.model.startswith("nope"):
            failure = "pull model manifest: file does not exist"
            return await self._transfer(call, [{"status": "pulling manifest"}, {"error": failure}])
        layer: dict[str, Any] = {"status": f"pulling {_LAYER[7:19]}", "digest": _LAYER, "total": _LAYER_SIZE}
        frames = [
            {"status": "pulling manifest"},
            layer,
            layer | {"completed": _LAYER_SIZE // 2},
            layer | {"completed": _LAYER_SIZE},
            {"status": "verifying sha256 digest"},
            {"status": "writing manifest"},
            {"status": "success"},
        ]
        return await self._transfer(call, frames, lambda: self._add(call.model), paced=True)

    async def _push(self, call: _Call) -> web.StreamResponse:
        if not call.model:
            raise _RefusedError(400, "model is required")
        if self._find(call.model) is None:
            return await self._transfer(call, _recorded("push unknown"))
        layer: dict[str, Any] = {"status": f"pushing {_LAYER[7:19]}", "digest": _LAYER, "total": _LAYER_SIZE}
        frames = [
            {"status": "retrieving manifest"},
            layer,
            layer | {"completed": _LAYER_SIZE},
            {"status": "pushing manifest"},
            {"status": "success"},
        ]
        return await self._transfer(call, frames)

    async def _create(self, call: _Call) -> web.StreamResponse:
        if not call.model:
            raise _RefusedError(400, "invalid model name")
        if not (call.body.get("from") or call.body.get("files")):
            # The first thing on a would-be stream: written by Ollama's streaming code, and so chunked.
            message = _recorded("create nothing")["error"]
            raise _RefusedError(400, message, JSON_OF_A_STREAM, chunked=call.stream)
        return await self._transfer(call, _recorded("create from"), lambda: self._add(call.model))

    async def _transfer(
        self,
        call: _Call,
        frames: Sequence[Mapping[str, Any]],
        completed: Callable[[], None] | None = None,
        *,
        paced: bool = False,
    ) -> web.StreamResponse:
        if call.stream:
            response = await self._stream(call, frames, paced=paced)
        elif "error" in (last := frames[-1]):
            raise _RefusedError(500, str(last["error"]), JSON_OF_A_STREAM)
        else:
            response = _json(last, kind=JSON_OF_A_STREAM)
        if completed is not None:
            completed()
        return response

    async def _stream(self, call: _Call, frames: Sequence[Mapping[str, Any]], *, paced: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": NDJSON})
        response.enable_chunked_encoding()
        if paced:
            await asyncio.sleep(self.first_frame_delay)
        # Headers go out with the first frame, as from the real server: nothing is sent while a model loads.
        await response.prepare(call.request)
        async for frame in self._paced(call, frames, paced=paced):
            await self.write(response, go_json(_signed(call, frame)) + b"\n")
        await response.write_eof()
        return response

    async def _paced(
        self, call: _Call, frames: Sequence[Mapping[str, Any]], *, paced: bool
    ) -> AsyncIterator[Mapping[str, Any]]:
        for number, frame in enumerate(frames):
            if paced and number == self.cut_after:
                await self.cut(call.request)
            if paced and number:
                await asyncio.sleep(self.frame_delay)
                while self.frame_permits is not None and not self.frame_permits.acquire(blocking=False):
                    await asyncio.sleep(0.005)
            yield frame

    # -- Blobs --------------------------------------------------------------------------------------------------------

    async def _blob(self, request: web.Request, digest: str, recorded: RecordedRequest) -> web.Response:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise _RefusedError(400, "invalid digest format")
        wanted = f"sha256:{match[1]}"
        if request.method == "HEAD":
            return self._blob_head(wanted)
        hashed, kept = hashlib.sha256(), bytearray()
        self.blob_received = 0
        async for piece in request.content.iter_any():
            hashed.update(piece)
            self.blob_received += len(piece)
            if self.blob_received <= BODY_KEPT:
                kept += piece
        if self.blob_received <= BODY_KEPT:
            recorded.body = bytes(kept)
        found = f"sha256:{hashed.hexdigest()}"
        self.last_blob = Blob(found, self.blob_received)
        if found != wanted:
            raise _RefusedError(400, f'digest mismatch, expected "{wanted}", got "{found}"')
        status = 200 if wanted in self._blobs else 201
        self._blobs.add(wanted)
        return web.Response(status=status)

    def _blob_head(self, digest: str) -> web.Response:
        if digest not in self._blobs:
            raise _RefusedError(404, f'blob "{digest}" not found')
        return web.Response()


# ---------------------------------------------------------------------------------------------------------------------


def _recorded(name: str) -> Any:
    response = recording()[name]["response"]
    return next(response[form] for form in ("json", "frames", "text") if form in response)


def _signed(call: _Call, frame: Mapping[str, Any]) -> dict[str, Any]:
    """Give a recorded frame the caller's model name and the present time; the order of its keys stays."""
    signed = dict(frame)
    if "model" in signed:
        signed["model"] = call.model
    if "created_at" in signed:
        signed["created_at"] = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    return signed


def _full_name(name: str) -> str:
    name = name.strip().lower()
    return name if ":" in name else f"{name}:latest"


def _decoded(path: str, body: bytes) -> dict[str, Any]:
    try:
        source = body.decode().lstrip()
        # Like Go's decoder, which stops after the first value and leaves the rest unread.
        data = json.JSONDecoder().raw_decode(source)[0] if source else None
    except ValueError as error:
        raise _RefusedError(400, "unexpected EOF") from error
    go_type = GO_TYPES[path]
    match data:
        case None if not source:
            raise _RefusedError(400, "missing request body")
        case None:
            return {}
        case dict():
            fields = {key.lower(): value for key, value in data.items()}
        case _:
            raise _RefusedError(400, f"json: cannot unmarshal {_go_kind(data)} into Go value of type api.{go_type}")
    model = fields.get("model")
    if path != "/api/copy" and not isinstance(model, str | None):
        kind = _go_kind(model)
        raise _RefusedError(400, f"json: cannot unmarshal {kind} into Go struct field {go_type}.model of type string")
    return fields


def _go_kind(data: object) -> str:
    match data:
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    return "number"


def _check_origin(request: web.Request, allowed: str | None) -> web.Response | None:
    """Answer foreign pages with 403 and preflights with 204; None for everything else."""
    origin = request.headers.get("Origin")
    if origin is None or _LOCAL_ORIGIN.fullmatch(origin):
        if origin is None or request.method != "OPTIONS":
            return None
        headers = {**recording()["preflight"]["response"]["headers"], "access-control-allow-origin": origin}
        if allowed is not None:
            headers["allow"] = allowed
        return web.Response(status=204, headers=headers)
    preflight = request.method == "OPTIONS" and allowed is not None
    return web.Response(status=403, headers={"Allow": allowed} if preflight and allowed else {})


def _redirected(request: web.Request, path: str) -> web.Response:
    if (proper := path.rstrip("/")) in METHODS and not path.startswith("//"):
        if request.method != "GET":
            return web.Response(status=307, headers={"Location": proper})
        link = f'<a href="{proper}">Moved Permanently</a>.\n\n'
        return web.Response(
            status=301, body=link.encode(), headers={"Location": proper, "Content-Type": "text/html; charset=utf-8"}
        )
    return web.Response(status=404, body=_NO_PAGE, headers={"Content-Type": "text/plain"})


def _json(data: object, status: int = 200, kind: str = JSON, *, chunked: bool = False) -> web.Response:
    body = go_json(data)
    response = web.Response(status=status, body=body, headers={"Content-Type": kind})
    if chunked or len(body) >= GO_CHUNKS_FROM:
        response.enable_chunked_encoding()
    return response


async def _as_go_does(request: web.Request, response: web.StreamResponse) -> None:
    """Take away what aiohttp adds and Go does not, and allow the page that asked."""
    del response.headers["Server"]
    if isinstance(response, web.Response) and not response.body:
        response.headers.popall("Content-Type", None)
    origin = request.headers.get("Origin")
    if origin is not None and response.status != 403 and request.method != "OPTIONS":
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
