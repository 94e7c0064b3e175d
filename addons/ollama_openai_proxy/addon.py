"""The two modes as mitmproxy addons: which flow goes where.

In translate mode every flow is answered by the Ollama API in this process; in fix mode the request is put right and goes on
to the real Ollama through mitmproxy. Both expect mitmproxy to listen in reverse mode, with the options of `mitm_options`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mitmproxy import http

from .fix import methods
from .ollama.server import OllamaServer
from .upstream import InProcessServer, InProcessUpstream, exchange_request

if TYPE_CHECKING:
    from mitmproxy.connection import Client

    from .settings import Settings

# mitmproxy closes a connection after ten minutes of silence, which a long unstreamed answer may well take.
CONNECTION_TIMEOUT_SECONDS = 3600
HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings")
# Whoever names these in `Connection` must not have them removed: the body would lose its end (RFC 9110 §7.6.1).
FRAMING = ("content-length", "host", "transfer-encoding")

OPENAI_PATHS = "/v1/"
FORWARDED = "ollama_forwarded"
"""Marks, in a flow's metadata, one that goes on to the back end as it is; holds the headers for its reply."""
CLIENT_KEYS = ("authorization", "x-api-key", "api-key")
"""Headers in which a client names a key of its own."""

type ModeAddon = TranslateMode | FixMode


def mode_addon(settings: Settings) -> ModeAddon:
    """The addon of the mode that the settings ask for."""
    return TranslateMode(settings) if settings.proxy_mode == "translate" else FixMode(settings)


def mitm_options(settings: Settings) -> dict[str, Any]:
    """The mitmproxy options that the mode needs to listen on the host and port of the settings."""
    if settings.proxy_mode == "translate":
        # Nothing is ever sent there: each flow gets an upstream in this process. What a user of mitmweb sees is the URL
        # that the client asked for.
        target = f"http://127.0.0.1:{settings.proxy_port}"
    else:
        target = settings.ollama_upstream_url
        target = target.removesuffix(urlsplit(target).path)
    return {
        "mode": [f"reverse:{target}"],
        "listen_host": settings.proxy_host,
        "listen_port": settings.proxy_port,
        "keep_host_header": settings.proxy_mode == "translate",
        "connection_strategy": "lazy",
        "tcp_timeout": CONNECTION_TIMEOUT_SECONDS,
    }


class TranslateMode:
    """Answers the Ollama API through an OpenAI-compatible server."""

    name = "ollama_translate"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = OllamaServer(settings)
        self._upstream = InProcessUpstream(self._server.respond)

    async def done(self) -> None:
        """Close the connections to the back end."""
        await self._server.close()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decide who answers, before mitmproxy looks for the flow's upstream."""
        if flow.response is not None:
            return
        request = flow.request
        request.path = methods.mend_slashes(request.path)
        if self._settings.fix_methods:
            _restore_method(flow, has_body=_announces_body(request), only_with_body=True)
        if request.path.startswith(OPENAI_PATHS) and self._server.refusal(asked := exchange_request(request)) is None:
            flow.metadata[FORWARDED] = self._server.cors(asked)
            self._forward(request)
        else:
            self._upstream.attach(flow)
            if request.path.startswith(methods.BLOBS) and request.method == "POST" and flow.response is None:
                request.stream = BlobDigest()

    async def request(self, flow: http.HTTPFlow) -> None:
        """Answer a flow that is replayed, and so has no client to stream to."""
        if flow.response is None and FORWARDED not in flow.metadata and not self._upstream.attach(flow):
            await self._upstream.answer(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Let frames through as they come."""
        if flow.response is None:
            return
        if isinstance(flow.server_conn, InProcessServer):
            flow.response.stream = "content-length" not in flow.response.headers
        elif FORWARDED in flow.metadata:
            flow.response.headers.update(flow.metadata[FORWARDED])
            flow.response.stream = True

    def _forward(self, request: http.Request) -> None:
        """Send an OpenAI call on to the back end, with the proxy's own key."""
        base = urlsplit(self._settings.openai_api_base_url)
        request.scheme = base.scheme
        request.host = base.hostname or ""
        request.port = base.port or (443 if base.scheme == "https" else 80)
        request.host_header = base.netloc
        request.path = base.path + "/" + request.path.removeprefix(OPENAI_PATHS)
        _strip_hop_by_hop(request.headers)
        for name in CLIENT_KEYS:
            request.headers.pop(name, None)
        if key := self._settings.openai_api_key:
            request.headers["Authorization"] = f"Bearer {key.get_secret_value()}"

    def client_disconnected(self, client: Client) -> None:
        """Stop what still works for a client that has gone."""
        self._upstream.detach(client)


class BlobDigest:
    """Puts the digest of an uploaded blob in place of the blob, which may be larger than memory."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def __call__(self, data: bytes) -> bytes:
        """Take a piece of the body; an empty one ends it."""
        if data:
            self._hash.update(data)
            return b""
        return f"sha256:{self._hash.hexdigest()}".encode()


class FixMode:
    """Restores the methods of requests to a real Ollama and lets bodies through unbuffered, both ways."""

    name = "ollama_fix"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._upstream_path = urlsplit(settings.ollama_upstream_url).path

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Put the head of the request right."""
        if flow.response is not None:
            return
        request = flow.request
        arrived_as = request.method
        request.path = methods.mend_slashes(request.path)
        path, mark, query = request.path.partition("?")
        endpoint = methods.find(path)
        if self._settings.fix_methods:
            _restore_method(flow, has_body=_announces_body(request))
        _strip_hop_by_hop(request.headers)
        if endpoint is not None and endpoint.path is not None:
            path = endpoint.path
        flow.metadata["unload"] = endpoint is not None and endpoint.unload
        flow.metadata["became_head"] = request.method == "HEAD" != arrived_as
        # A blob may be larger than memory.
        request.stream = path.startswith(methods.BLOBS) and flow.response is None
        request.path = self._upstream_path + path + mark + query

    def request(self, flow: http.HTTPFlow) -> None:
        """Rewrite the body of a call that no Ollama server knows."""
        if flow.metadata.get("unload") and flow.response is None:
            flow.request.content = methods.unload_body(flow.request.raw_content or b"")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Let the reply through as it comes."""
        if flow.response is not None:
            flow.response.stream = True
            if flow.metadata.get("became_head"):
                # Whoever sent a GET waits for the body that a reply to HEAD announces and does not have.
                flow.response.headers.pop("transfer-encoding", None)
                flow.response.headers["content-length"] = "0"


def _restore_method(flow: http.HTTPFlow, *, has_body: bool, only_with_body: bool = False) -> None:
    request = flow.request
    restored = methods.restore(request.method, request.path.partition("?")[0], has_body=has_body)
    if isinstance(restored, methods.LostBody):
        error = json.dumps({"error": methods.explain_lost_body(restored)})
        headers = {"Content-Type": "application/json; charset=utf-8", "Allow": restored.allow}
        flow.response = http.Response.make(405, error, headers)
    elif has_body or not only_with_body:
        request.method = restored


def _strip_hop_by_hop(headers: http.Headers) -> None:
    named = [name.strip().lower() for name in headers.get("connection", "").split(",")]
    for name in (*HOP_BY_HOP, *named):
        if name not in FRAMING:
            headers.pop(name, None)
    if "close" in named:
        # mitmproxy reads here what is to happen after the reply, and the upstream may as well close, too.
        headers["connection"] = "close"


def _announces_body(request: http.Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
