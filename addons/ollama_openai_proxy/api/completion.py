"""Makes the reply to a translated call: asks a back end for a completion, and has the answer written in the client's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import ModelNotFound
from ..net.answer_driver import AnswerDriver
from ..net.messages import Reply
from ..net.request_context import current_record
from ..translate.answer_machine import AnswerMachine, Reader, Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..backend.client import Backend
    from ..translate.adaptation.changes import Call
    from ..translate.model_descriptions import Model
    from .keep_alive import Waiting

type Parameters = dict[str, Any]
type Ask = Callable[[Parameters], Awaitable[None]]
SSE_TYPE = "text/event-stream"


class ApiWriter(Writer, Protocol):
    """A writer, with the type of what it writes."""

    content_type: str


class Completion(NamedTuple):
    """A call, as it was translated.

    Attributes:
        backend: the server.
        path: of the call below the server's base URL.
        parameters: of the call.
        make_reader: makes a reader; the argument is whether the answer is a value in an object, see `Call.unwrap`.
        writer: writes the answer, as a stream or whole.
        stream: whether the client gets a stream.
        keep_alive: seconds of silence after which the client gets a sign of life; 0 is never.
        attempts: makes the call as often as needed, with other parameters where the server refuses; by default once.
        began: is called when the answer begins.
    """

    backend: Backend
    path: str
    parameters: Parameters
    make_reader: Callable[[bool], Reader]
    writer: ApiWriter
    stream: bool
    keep_alive: float
    attempts: Callable[[Parameters, Ask], Awaitable[None]] | None = None
    began: Callable[[], None] | None = None


async def complete(completion: Completion, waiting: Waiting | None = None) -> Reply:
    """The reply; for a stream, as soon as the first piece is there.

    Args:
        completion: the call.
        waiting: a client that is kept waiting meanwhile.

    Raises:
        ApiError: the back end refused or failed before the first piece, or before the end of an answer that is not streamed.
    """
    backend, writer, stream = completion.backend, completion.writer, completion.stream
    driver = AnswerDriver(
        AnswerMachine(completion.make_reader(False), writer),
        backend.timeouts,
        backend.explain,
        keep_alive=completion.keep_alive if stream else 0,
        watcher=current_record().watcher,
        began=completion.began,
    )
    if waiting is not None:
        waiting.filler = driver

    def make_machine(call: Call) -> AnswerMachine:
        return AnswerMachine(completion.make_reader(call.unwrap), writer)

    async def ask(parameters: Parameters) -> None:
        await backend.answer(completion.path, parameters, driver, make_machine, whole=not stream)

    if completion.attempts is None:
        await ask(completion.parameters)
    else:
        await completion.attempts(completion.parameters, ask)
    headers = {"Content-Type": writer.content_type}
    if writer.content_type == SSE_TYPE:
        headers["Cache-Control"] = "no-cache"
    return Reply(200, headers, driver if stream else driver.collected())


def require_named(model: Model | None) -> Model:
    """The model of a call; to be called when the call has been read, since other faults are told first.

    Raises:
        ModelNotFound: the call names no model.
    """
    if model is None:
        raise ModelNotFound("model '' not found")
    return model
