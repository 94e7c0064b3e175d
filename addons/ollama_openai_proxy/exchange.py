"""One HTTP request and its reply, free of any server: what the doors hand in and what the Ollama API hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body has arrived in full.

    Attributes:
        method: as the client sent it, or as it was restored.
        target: path and query as on the request line, still percent-encoded.
        headers: names in lower case; the values of a repeated header are joined with ", ".
        body: as received, without transfer coding.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path, without the query."""
        return unquote(self.target.partition("?")[0])


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, whole or streamed.

    Attributes:
        status: HTTP status code.
        headers: without those of the connection (`Content-Length`, `Transfer-Encoding`, `Date` …), which the door sets.
        body: the whole body, or an asynchronous generator of parts. Each part is sent at once; the generator is closed
            when the client leaves, at the `yield` it waits in or by cancellation of what it awaits.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncGenerator[bytes, None] = b""
