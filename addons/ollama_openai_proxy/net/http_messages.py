"""One HTTP request and its reply, free of any server: what the doors hand in and what the Ollama API hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from .body import Body
    from .request_context import Watcher

DIRECT = "ollama_openai_proxy"
"""The ASGI extension in which the console command's server puts its `DirectResponse`."""
MALFORMED = "malformed HTTP request"
NO_TUNNEL = "this is no forward proxy: it answers for itself only"
REQUEST_ID = "X-Request-Id"
"""The header with the id of a request, which the client is told, and the server behind the proxy, too."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, with its whole body or with one that still arrives.

    Attributes:
        method: as the client sent it, or as it was restored.
        target: path and query as on the request line, still percent-encoded.
        headers: names in lower case; the values of a repeated header are joined with ", ".
        body: as received, without transfer coding; empty where `parts` has it.
        fields: the headers as they came: in order, repeated, in the client's spelling.
        parts: the body as it arrives, where the door does not wait for its end. Who reads slowly slows the client.
        peer: the address of whoever sent it.
        arrived_as: the method with which it came, where that was mended before.
        repaired: whether its body and its query were repaired already.
        authority: the host that an absolute request target names; empty for the usual one.
        watcher: who looks at it.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fields: Sequence[tuple[str, str]] = ()
    parts: AsyncIterable[bytes] | None = None
    peer: str = ""
    arrived_as: str = ""
    authority: str = ""
    repaired: bool = field(default=False, compare=False)
    watcher: Watcher | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> str:
        """The decoded path, without the query."""
        target = self.target
        return unquote(target.partition("?")[0]) if "?" in target or "%" in target else target

    def marked_as_repaired(self) -> Request:
        """Return the request with `repaired` set; `dataclasses.replace` costs twice as much, and each request comes here."""
        return Request(
            *(self.method, self.target, self.headers, self.body, self.fields, self.parts),
            *(self.peer, self.arrived_as, self.authority),
            repaired=True,
            watcher=self.watcher,
        )


class _StillToCome:
    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise NotImplementedError
        yield b""


STILL_TO_COME = _StillToCome()
"""Stands for the parts of a body that has not arrived, where it only counts that there is one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, whole or streamed.

    Attributes:
        status: HTTP status code.
        headers: without those of the connection (`Content-Length`, `Transfer-Encoding` …), which the door sets.
        body: the whole body, or one that comes in parts. A body in parts is started with the head, in one write with the first
            part if there is one by then, and closed when the body has ended or the client has left.
        length: the bytes of a body that comes in parts, or that a reply to HEAD only announces, where they are known.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body = b""
    length: int | None = None


class Timeouts(NamedTuple):
    """How long what stands behind the proxy may take.

    Attributes:
        begin: seconds until its answer begins; None for ever.
        idle: seconds of silence within its answer; None for ever.
    """

    begin: float | None
    idle: float | None
