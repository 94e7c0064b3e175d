"""Makes the reply to a translated call: asks a back end for a completion, and has the answer written in the client's API."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..backend.sdk_errors import Refusal
from ..errors import ModelNotFound
from ..net.answer_driver import AnswerDriver
from ..net.http_messages import Reply
from ..net.request_context import current_record
from ..translate.adaptation.changes import Call
from ..translate.answer_machine import AnswerMachine, Reader, Writer
from ..translate.reader.server_errors import ModelNames, server_error
from ..translate.reader.stream_reader import StreamReader
from ..translate.responses_backend.reader import ResponsesReader
from ..translate.token_estimate import prompt_tokens
from ..translate.unwrapping_reader import UnwrappingReader
from .passed_answers import SSE_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ..backend.client import Backend
    from ..errors import BackendError
    from ..translate.ollama_descriptions import Model
    from .heartbeats import Waiting

type Parameters = dict[str, Any]
type Ask = Callable[[Parameters], Awaitable[None]]

logger = logging.getLogger(__name__)


class ApiWriter(Writer, Protocol):
    """A writer, with the type of what it writes."""

    @property
    def content_type(self) -> str:
        """The content type."""


class ServerReader(Reader, Protocol):
    """A reader, with what an answer shows of its server; see `StreamReader`."""

    @property
    def closed_alone(self) -> bool:
        """Whether the text began with thinking that no tag opened."""

    @property
    def unknown_finish_reason(self) -> str:
        """The server's word for the end, where it is none that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A call, as it was translated.

    Attributes:
        backend: the server.
        path: of the call below the server's base URL.
        parameters: of the call.
        model: the model's name, as the client wrote it.
        writer: writes the answer, as a stream or whole.
        stream: whether the client gets a stream.
        prompt_tokens: an estimate, for servers that do not count.
        original_tool_name: maps a tool's name that was changed for the server back to that of the client.
        drop_thinking: whether the client asked for an answer without thinking.
        raw: whether the text of the answer passes as it is, so that nothing in it is taken for thinking.
        content_filter_fails: whether the client's API has no word for an answer that a content filter stopped.
        keep_alive: seconds of silence after which the client gets a sign of life; 0 is never.
        refusal: how the server has refused the call before; the first attempt is made as the refusal asks for.
        attempts: makes the call as often as needed, with other parameters where the server refuses; by default once.
        began: is called when the answer begins.
        ended: is called when an answer that has begun has ended, complete or not.
    """

    backend: Backend
    path: str
    parameters: Parameters
    model: str
    writer: ApiWriter
    stream: bool
    prompt_tokens: int
    original_tool_name: Callable[[str], str] = str
    drop_thinking: bool = False
    raw: bool = False
    content_filter_fails: bool = False
    keep_alive: float = 0
    refusal: BackendError | None = None
    attempts: Callable[[Parameters, Ask], Awaitable[None]] | None = None
    began: Callable[[], None] | None = None
    ended: Callable[[], None] | None = None


class Answering:
    """One answer to a client, for which several models may be asked in turn (see `first_answer`).

    All attempts share one driver and, for a stream, one writer, so that what the client was told while it waited stays the
    beginning of the answer.

    Args:
        waiting: a client that is kept waiting meanwhile.
    """

    def __init__(self, waiting: Waiting | None = None) -> None:
        self._waiting = waiting
        self._driver: AnswerDriver | None = None
        self._writer: ApiWriter
        self._completion: Completion
        self._reader: ServerReader
        self._content = False

    @property
    def begun(self) -> bool:
        """Whether the client was told the beginning of this stream, so that the stream of another writer cannot follow."""
        return self._driver is not None and self._driver.begun

    def made(self, reply: Reply) -> bool:
        """Whether a reply is the stream of this answer, whose first piece is there."""
        return self._driver is not None and reply.body is self._driver

    async def complete(self, completion: Completion) -> Reply:
        """The reply; for a stream, as soon as the first piece is there.

        Args:
            completion: the call.

        Raises:
            ApiError: the back end refused or failed before the first piece, or before the end of an answer that is not
                streamed.
        """
        backend, stream = completion.backend, completion.stream
        self._completion = completion
        self._content = False
        self._reader = _reader(completion, Call(completion.parameters))
        if self._driver is None or not stream:
            # What is not streamed is told at the end only, so nothing of an earlier attempt has to be kept.
            self._writer = completion.writer
            self._driver = self._make_driver(completion)
        driver = self._driver

        async def ask(parameters: Parameters) -> None:
            await backend.answer(
                completion.path, parameters, driver, self._make_machine, whole=not stream, refusal=completion.refusal
            )

        try:
            if completion.attempts is None:
                await ask(completion.parameters)
            else:
                await completion.attempts(completion.parameters, ask)
        except Refusal as refusal:
            names = ModelNames(completion.model, completion.parameters["model"])
            error = server_error(refusal.told, names, status=refusal.status, headers=refusal.headers)
            raise backend.sdk.with_key_named(error) from refusal
        headers = {"Content-Type": self._writer.content_type}
        if self._writer.content_type == SSE_TYPE:
            headers["Cache-Control"] = "no-cache"
        return Reply(200, headers, driver if stream else driver.collected())

    def _make_driver(self, completion: Completion) -> AnswerDriver:
        driver = AnswerDriver(
            AnswerMachine(self._reader, self._writer),
            completion.backend.timeouts,
            completion.backend.sdk.explain,
            keep_alive=completion.keep_alive if completion.stream else 0,
            watcher=current_record().watcher,
            began=self._began,
            ended=self._ended,
            limit=completion.backend.limit,
        )
        if self._waiting is not None:
            self._waiting.filler = driver
        return driver

    def _make_machine(self, call: Call) -> AnswerMachine:
        self._reader = _reader(self._completion, call)
        return AnswerMachine(UnwrappingReader(self._reader) if call.unwrap else self._reader, self._writer)

    def _began(self) -> None:
        self._content = True
        if self._completion.began is not None:
            self._completion.began()

    def _ended(self) -> None:
        """Note what an answer has shown of its server."""
        completion, reader = self._completion, self._reader
        if reader.closed_alone:
            completion.backend.note_opened_thinking(completion.parameters["model"])
        if reader.unknown_finish_reason:
            completion.backend.note_finish_reason(reader.unknown_finish_reason)
        if completion.ended is not None and self._content:
            completion.ended()


def require_named(model: Model | None) -> Model:
    """The model of a call; to be called when the call has been read, since other faults are told first.

    Raises:
        ModelNotFound: the call names no model.
    """
    if model is None:
        raise ModelNotFound("model '' not found")
    return model


def _reader(completion: Completion, call: Call) -> ServerReader:
    parameters = call.parameters
    if call.api == "responses":
        return ResponsesReader(
            original_tool_name=completion.original_tool_name,
            drop_thinking=completion.drop_thinking,
            stop_texts=_stop_texts(completion.parameters),
            prompt_tokens=_estimate(completion, call),
            names=ModelNames(completion.model, parameters["model"]),
            content_filter_fails=completion.content_filter_fails,
        )
    # A client that gets the answer whole can wait until it is clear whether the text begins with thinking.
    unknown = False if completion.stream else None
    opened = True if parameters["model"] in completion.backend.opens_thinking else unknown
    return StreamReader(
        tools=_offered(parameters),
        original_tool_name=completion.original_tool_name,
        split_thinking=not completion.raw,
        thinking_opened=opened,
        drop_thinking=completion.drop_thinking,
        stop_texts=_stop_texts(completion.parameters),
        prompt_tokens=_estimate(completion, call),
        model=completion.model,
        server_model=parameters["model"],
        content_filter_fails=completion.content_filter_fails,
    )


def _estimate(completion: Completion, call: Call) -> int:
    """Roughly how many tokens the prompt has, also of a conversation that was shortened."""
    messages = call.parameters.get("messages")
    if messages is None or len(messages) >= len(completion.parameters["messages"]):
        return completion.prompt_tokens
    return prompt_tokens(messages, call.parameters.get("tools") or ())


def _stop_texts(parameters: Mapping[str, Any]) -> Sequence[str]:
    """The stop texts of the client, also those that a server does not take."""
    stop = parameters.get("stop") or ()
    return (stop,) if isinstance(stop, str) else stop


def _offered(parameters: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schemas of the tools that a call offers, by name. A tool without a name is the server's to refuse."""
    functions = [tool.get("function") or {} for tool in parameters.get("tools") or ()]
    return {name: function.get("parameters") or {} for function in functions if (name := function.get("name"))}
