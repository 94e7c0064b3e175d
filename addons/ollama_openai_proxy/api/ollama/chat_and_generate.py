"""`/api/chat` and `/api/generate`."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from ...backend.client import CHAT, COMPLETIONS
from ...backend.sdk_calls import INFILL
from ...errors import BackendError, InvalidRequest
from ...models.lookup import does_not_support, require_capabilities
from ...net.http_messages import Reply
from ...net.off_loop import off_loop
from ...net.request_context import current_record
from ...schemas.go_json_decoding import decode
from ...schemas.ollama.json_encoding import JSON_TYPE
from ...schemas.ollama.requests import ChatRequest, GenerateRequest
from ...translate.ollama.generate_context import write_context
from ...translate.ollama.request import (
    chat_parameters,
    check_raw,
    completion_parameters,
    generate_messages,
    generate_parameters,
    infill_parameters,
    tool_names,
)
from ...translate.thinking_levels import check_level, level_for, nearest_level
from ...translate.truncation import ContextSizes
from ...translate.writers.carried_state import id_of_call
from ...translate.writers.ollama_chat import ChatAnswerWriter, ChatForm, ChatStreamWriter
from ...translate.writers.ollama_frames import OllamaStreamWriter, idle_answer
from ...translate.writers.ollama_generate import GenerateAnswerWriter, GenerateForm, GenerateStreamWriter
from ..completion import Answering, Completion
from ..first_answer import first_answer
from ..heartbeats import WriterFiller, kept_waiting, silence_limits
from ..path_table import OPENAI_COMPLETIONS
from .shortened_chat import ShortenedChat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence

    from ...backend.client import Backend
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.http_messages import Request
    from ...translate.ollama_descriptions import Model
    from ...translate.server_profiles import Profile
    from ...translate.writers.ollama_frames import FrameForm
    from .loaded_models import Residents
    from .model_loading import ModelLoading

MOST_TOP_LOGPROBS = 20
CHARACTERS_PER_TOKEN = 4


class Generation:
    """The endpoints that make text."""

    def __init__(
        self, models: Models, catalogue: Catalogue, residents: Residents, loading: ModelLoading, heartbeat: float | None
    ) -> None:
        self._models = models
        self._catalogue = catalogue
        self._residents = residents
        self._loading = loading
        self._heartbeat = heartbeat
        self._context_sizes = ContextSizes(time.monotonic)

    async def chat(self, request: Request) -> Reply:
        """Answer a conversation, or load or unload a model where there is none."""
        chat = await off_loop(len(request.body), decode, ChatRequest, request.body)
        _check_top_logprobs(chat)
        return await self._kept_waiting(chat, lambda: self._chat(chat, len(request.body)), ChatForm(chat.model), request.path)

    async def generate(self, request: Request) -> Reply:
        """Answer a prompt, or load or unload a model where it is empty."""
        generate = await off_loop(len(request.body), decode, GenerateRequest, request.body)
        _check_top_logprobs(generate)
        return await self._kept_waiting(
            generate, lambda: self._generate(generate, len(request.body)), GenerateForm(generate.model), request.path
        )

    async def _kept_waiting(
        self,
        asked: ChatRequest | GenerateRequest,
        answer: Callable[[], Coroutine[None, None, Reply]],
        form: FrameForm,
        path: str,
    ) -> Reply:
        seconds = silence_limits(path, self._heartbeat).before
        if not (asked.stream and seconds):
            return await answer()
        writer = OllamaStreamWriter(form, None)
        headers = {"Content-Type": writer.content_type}
        return await kept_waiting(lambda _: answer(), WriterFiller(writer), headers, seconds)

    async def _chat(self, chat: ChatRequest, size: int) -> Reply:
        model = await self._models.require(chat.model)
        wanted = ["completion", *(["tools"] if chat.tools else []), *_wanted_thinking(chat, model)]
        if chat.messages or chat.keep_alive != 0:
            require_capabilities(model, chat.model, wanted)
        if not chat.messages:
            return await self._idle(model, ChatForm(chat.model), chat.keep_alive)

        async def completion(model: Model) -> Completion:
            backend = self._catalogue.backend_of(model)
            return self._completion(
                chat,
                model,
                path=CHAT,
                parameters=await off_loop(size, chat_parameters, chat, model, backend.profile),
                writer=(ChatStreamWriter if chat.stream else ChatAnswerWriter)(chat.model, call_id=id_of_call),
                prompt_tokens=estimate_tokens(message.content for message in chat.messages),
                original_tool_name=tool_names(chat).original,
            )

        return await self._first_answer(model, completion)

    async def _generate(self, generate: GenerateRequest, size: int) -> Reply:
        model = await self._models.require(generate.model, nameless="")
        check_raw(generate)
        wanted = ["completion", *(["insert"] if generate.suffix else []), *_wanted_thinking(generate, model)]
        if generate.prompt or generate.keep_alive != 0:
            require_capabilities(model, generate.model, wanted, "generate")
        if not generate.prompt:
            return await self._idle(model, GenerateForm(generate.model), generate.keep_alive)
        raw = bool(generate.raw or generate.suffix)
        context = None if generate.raw else _context_of(generate, model)
        make_writer = GenerateStreamWriter if generate.stream else GenerateAnswerWriter

        async def completion(model: Model) -> Completion:
            backend = self._catalogue.backend_of(model)
            path, make_parameters = _generate_call(generate, backend)
            return self._completion(
                generate,
                model,
                path=path,
                parameters=await off_loop(size, make_parameters, generate, model, backend.profile),
                writer=make_writer(generate.model, context),
                prompt_tokens=estimate_tokens((generate.system, generate.prompt)),
                raw=raw,
            )

        try:
            return await self._first_answer(model, completion)
        except BackendError as error:
            if generate.suffix and "insert" in self._catalogue.backend_of(model).learned.lacks(model.target):
                raise does_not_support(generate.model, "insert") from error
            raise

    async def _first_answer(self, model: Model, make_completion: Callable[[Model], Awaitable[Completion]]) -> Reply:
        answering = Answering()

        async def ask(model: Model) -> Reply:
            return await answering.complete(await make_completion(model))

        return await first_answer(await self._models.answering(model), ask, self._catalogue)

    def _completion(
        self, asked: ChatRequest | GenerateRequest, model: Model, *, path: str, parameters: dict[str, Any], **more: Any
    ) -> Completion:
        self._note_differences(asked, model)
        shortened = ShortenedChat(model, self._context_sizes) if asked.truncate and path == CHAT else None
        return Completion(
            backend=self._catalogue.backend_of(model),
            path=path,
            parameters=parameters,
            model=asked.model,
            stream=asked.stream,
            drop_thinking=level_for(asked.think, model) is False,
            content_filter_fails=True,
            keep_alive=silence_limits("", self._heartbeat).between,
            attempts=shortened.attempts if shortened else None,
            began=lambda: self._residents.used(model, asked.keep_alive),
            ended=lambda: self._loading.keep(model, asked.keep_alive),
            **more,
        )

    def _note_differences(self, asked: ChatRequest | GenerateRequest, model: Model) -> None:
        """Tell whoever watches the call what the back end gets otherwise than the client sent it."""
        watcher = current_record().watcher
        if watcher is None:
            return
        if model.target != asked.model:
            watcher.note(f"the model {asked.model} is {model.target} at the back end {model.backend}")
        profile = self._catalogue.backend_of(model).profile
        if unknown := sorted(set(asked.options) - set(profile.options)):
            watcher.note(f"not sent, since a server of the kind {profile.name} does not know them: {', '.join(unknown)}")

    async def _idle(self, model: Model, form: FrameForm, keep_alive: float | None) -> Reply:
        """The reply to a call without anything to answer, by which clients load and unload models."""
        await self._loading.set(model, keep_alive)
        return Reply(200, {"Content-Type": JSON_TYPE}, idle_answer(form, "unload" if keep_alive == 0 else "load"))


def _generate_call(
    generate: GenerateRequest, backend: Backend
) -> tuple[str, Callable[[GenerateRequest, Model, Profile], dict[str, Any]]]:
    """The path of the call to a server, and what makes its parameters.

    Raises:
        BackendError: the server has no such call that may be used.
    """
    if generate.suffix and backend.profile.infill:
        return INFILL, infill_parameters
    if not (generate.raw or generate.suffix):
        return CHAT, generate_parameters
    if not backend.options.uses(OPENAI_COMPLETIONS):
        raise BackendError(501, f"raw and suffix need {OPENAI_COMPLETIONS}, which is not used of the back end {backend.name}")
    return COMPLETIONS, completion_parameters


def estimate_tokens(texts: Iterable[str]) -> int:
    """Roughly how many tokens a model makes of the texts; at least 1."""
    return max(math.ceil(sum(map(len, texts)) / CHARACTERS_PER_TOKEN), 1)


def _wanted_thinking(request: ChatRequest | GenerateRequest, model: Model) -> list[str]:
    """The capability that a request to think needs.

    Raises:
        InvalidRequest: the model cannot think, and the level is one that nobody knows.
    """
    if "thinking" in model.lacks:
        check_level(request.think)
    return [] if nearest_level(request.think) in (None, False) else ["thinking"]


def _check_top_logprobs(asked: ChatRequest | GenerateRequest) -> None:
    if not 0 <= asked.top_logprobs <= MOST_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MOST_TOP_LOGPROBS}")


def _context_of(asked: GenerateRequest, model: Model) -> Callable[[str], Sequence[int]]:
    def context(answer: str) -> Sequence[int]:
        # Made when the answer has ended, so that it does not hold up the first frame.
        messages = [{"role": message.role, "content": message.content} for message in generate_messages(asked, model.system)]
        return write_context([*messages, {"role": "assistant", "content": answer}])

    return context
