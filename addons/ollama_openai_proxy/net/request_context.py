"""What is known of the request that is being answered: written wherever something is learnt, read when it has been answered.

Each request is answered in a task of its own, and what that task starts sees the same record.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Watcher(Protocol):
    """Someone who looks at one request more closely: at both sides of it, with their bodies."""

    def sent(self, backend: str, url: str, body: Mapping[str, Any] | bytes, *, with_key: bool) -> None:
        """A call to a back end is about to be made; a further one takes the place of the last."""

    def received(self, status: int, data: bytes) -> None:
        """The back end has sent a part of its answer."""

    def note(self, text: str) -> None:
        """Something about the call was left out, renamed or tried again."""

    def told(self, part: bytes) -> None:
        """A part of the reply goes to the client."""

    def ended(self, record: Record) -> None:
        """The answer has ended."""


@dataclass(slots=True)
class Record:
    """One request. Nothing in it but `client_key` is secret.

    Attributes:
        request_id: the id that the client is told and that log lines carry.
        method: as the request goes on.
        path: without the query.
        arrived_as: the method with which it came.
        on_loopback: whether the client is on this machine, so that errors may name servers.
        client_key: the client's own key, where it is passed through to the back end.
        caller: who calls: an address, or the id of a key.
        started: when its answer was begun, on `time.perf_counter`'s clock.
        model: the model's name as the client wrote it.
        backend: the name of the back end that answers; "ollama" in fix mode.
        profile: the kind of that back end.
        fallback: the name of the model that was asked last in place of `model`; empty where `model` itself was.
        traceparent: the client's place in a distributed trace (W3C Trace Context).
        tracestate: likewise.
        backend_ids: the ids under which back ends know their part of it.
        status: of the reply; 0 while there is none.
        error: the kind of error that the client was told, also within a stream; see `ApiError.kind`.
        bytes: of the reply's body that were sent.
        frames: lines of NDJSON, or events, that were sent.
        first_part: seconds until the first part of the body; None where there is none yet.
        duration: seconds until the answer ended; None before.
        prompt_tokens: as the back end counted them; None where it did not.
        completion_tokens: likewise.
        retries: calls to back ends that were made again.
        extra_calls: for each of these calls, what was changed after the refusal; see `translate.adaptation.changes.Kind`.
        waits: how often a server that loads was asked again.
        heartbeats: empty frames that kept the client waiting.
        gone: whether the client left before the end.
        watcher: who looks at this request; nobody, except in mitmproxy's own user interfaces.
    """

    request_id: str
    method: str = ""
    path: str = ""
    arrived_as: str = ""
    on_loopback: bool = True
    client_key: str | None = field(default=None, repr=False)
    caller: str = ""
    started: float = field(default_factory=time.perf_counter)
    model: str = ""
    backend: str = ""
    profile: str = ""
    fallback: str = ""
    traceparent: str = ""
    tracestate: str = ""
    backend_ids: list[str] = field(default_factory=list)
    status: int = 0
    error: str = ""
    bytes: int = 0
    frames: int = 0
    first_part: float | None = None
    duration: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    retries: int = 0
    extra_calls: list[str] = field(default_factory=list)
    waits: int = 0
    heartbeats: int = 0
    gone: bool = False
    watcher: Watcher | None = field(default=None, repr=False)


_CURRENT: ContextVar[Record | None] = ContextVar("request record", default=None)


def begin_record(record: Record) -> None:
    """Make it the one of this task."""
    _CURRENT.set(record)


def current_record() -> Record:
    """The record of the request being answered; outside of any, one that nobody reads."""
    return _CURRENT.get() or Record("")
