"""The proxy as an addon for mitmproxy's own tools, where each request is a flow that hooks see and users look at."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from mitmproxy import ctx

from ..app import is_upload
from ..guard.admission import size_of
from ..net.http_messages import NO_TUNNEL, STILL_TO_COME
from .addon import ProxyAddon
from .flow_messages import ARRIVED_AS, REPAIRED, flow_request
from .http1_patches import teach_manners
from .in_process_upstream import InProcessUpstream

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mitmproxy import http
    from mitmproxy.connection import Client
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData

    from ..guard.held_bytes import Hold
    from ..net.http_messages import Reply, Request
    from ..settings import Settings
    from .in_process_upstream import Watch


class FlowAddon(ProxyAddon):
    """Puts each flow right, as far as it was mangled, and lets the proxy answer it.

    Args:
        settings: of the proxy.
        watch: makes the watcher of a flow, where somebody looks at flows.

    Raises:
        SettingsError: a setting, or a file that the settings name, is wrong.
    """

    def __init__(self, settings: Settings, watch: Watch | None = None) -> None:
        super().__init__(settings)
        self._held: dict[str, Hold] = {}
        """Bodies that mitmproxy collects, by the ids of their flows."""
        self._upstream = InProcessUpstream(self._respond, watch)
        teach_manners()

    async def _respond(self, request: Request) -> Reply:
        # Whichever front there is by then: settings may change.
        return await self._front.respond(request)

    def client_disconnected(self, client: Client) -> None:
        """Stop what still works for a client that has gone."""
        super().client_disconnected(client)
        self._upstream.detach(client)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin at once with a request that does not have to be there as a whole."""
        self._patience.head_arrived(flow)
        if flow.request.port == 0:
            # The port that mitmproxy's mode names where any free port is taken; users see the one that the client asked. Not by
            # the property: that one sets the Host header, too.
            flow.request.data.port = flow.client_conn.sockname[1]
        if flow.response is not None or not _announces_body(flow.request) or _replays():
            return
        asked = flow_request(flow, parts=STILL_TO_COME)
        mended = self._front.mend_head(asked)
        hold = None if self._front.takes_parts(mended) else self._front.hold(size_of(mended) or 0)
        if hold is not None:
            self._held[flow.id] = hold
        else:
            if is_upload(mended):
                _apply(mended, asked, flow)
            flow.request.stream = True
            self._upstream.attach(flow)

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Mend the request and choose who answers it; one that is replayed has no client to stream to, and is answered here."""
        self._patience.body_arrived(flow)
        self._release(flow)
        request = flow.request
        if flow.response is not None or request.stream:
            return None
        # A flow that is replayed may have been edited since its request was repaired.
        asked = replace(flow_request(flow, request.raw_content or b""), repaired=False)
        _apply(self._front.mend(asked), asked, flow)
        return None if self._upstream.attach(flow) else self._upstream.answer(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Note that a client may send its next request."""
        self._patience.answered(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Forget a flow that was killed or broke off."""
        self._release(flow)

    def _release(self, flow: http.HTTPFlow) -> None:
        """Leave it to the proxy to hold the body of a flow that is complete."""
        if hold := self._held.pop(flow.id, None):
            hold.release()

    # Whatever mode mitmproxy is in, nothing but what the settings name is ever connected to.

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Be no tunnel."""
        self._patience.refuse(flow, HTTPStatus.FORBIDDEN, NO_TUNNEL)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Let mitmproxy itself connect to nothing."""
        data.server.error = "this proxy connects only to what is behind it"


def _apply(mended: Request, arrived: Request, flow: http.HTTPFlow) -> None:
    """Show in the flow what was mended."""
    request = flow.request
    flow.metadata[REPAIRED] = mended.repaired
    if mended.arrived_as:
        flow.metadata[ARRIVED_AS] = mended.arrived_as
    request.method = mended.method
    request.path = mended.target
    if mended.fields != arrived.fields:
        request.headers.fields = tuple((_octets(name), _octets(value)) for name, value in mended.fields)
    if mended.body != arrived.body:
        request.content = mended.body


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _replays() -> bool:
    """Whether mitmproxy answers from a file, for which it needs whole requests."""
    return "server_replay" in ctx.options and bool(ctx.options.server_replay)


def _announces_body(request: http.Request) -> bool:
    headers = request.headers
    if request.is_http2 and "content-length" not in headers:
        return request.method not in ("GET", "HEAD", "OPTIONS")
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
