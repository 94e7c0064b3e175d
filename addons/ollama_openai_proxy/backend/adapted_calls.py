"""Calls that a server has refused are made again in the way that the refusal asks for, which is remembered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..net.request_context import current_record
from ..translate.adaptation.api_changes import in_chat_terms, use_responses
from ..translate.adaptation.finding import STATUSES
from ..translate.adaptation.refusal_text import RefusalText
from ..translate.error_text import error_text
from ..translate.responses_backend.reasoning_items import without_items
from ..translate.responses_backend.request import responses_parameters
from .sdk_errors import ContextTooLong, Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ..errors import BackendError
    from ..translate.adaptation.changes import Call, Change
    from ..translate.adaptation.learned import LearnedByModel
    from .call_headers import CallHeaders

type Parameters = dict[str, Any]

logger = logging.getLogger(__name__)


class AdaptedCalls:
    """Makes the calls to one server as its refusals have taught.

    Args:
        name: what the models file calls the server.
        base_url: of the server.
        learned: what its refusals have taught of each model.
        headers: of its calls.
    """

    def __init__(self, name: str, base_url: str, learned: LearnedByModel, headers: CallHeaders) -> None:
        self._name = name
        self._base_url = base_url
        self._learned = learned
        self._headers = headers

    async def make[T](
        self,
        parameters: Parameters,
        attempt: Callable[[Call], Awaitable[T]],
        *,
        excluding: tuple[type[Change], ...] = (),
        beginning: tuple[Change, ...] = (),
        refusal: BackendError | None = None,
    ) -> T:
        """Make a call, and make it again in the way that the server's refusal asks for; what it refuses is remembered.

        Args:
            parameters: the call as it is made where nothing is known.
            attempt: makes the call once.
            excluding: the changes that may not be made.
            beginning: the changes that are made from the beginning.
            refusal: how the server has refused the call before, so that the first attempt is made otherwise.

        Raises:
            ContextTooLong: the prompt alone is longer than the model's context.
            BackendError: the server cannot be reached, or refuses the call as such.
        """
        attempts = self._learned.attempts(parameters, excluding, beginning)
        record = current_record()
        if refusal is not None:
            self._tell(parameters, attempts.learn(refusal.status, refusal.message, refusal.param).changes)
        while True:
            if record.watcher is not None:
                record.watcher.sent(self._name, self._base_url, sent_body(attempts.call), with_key=self._headers.brings_key())
            try:
                result = await attempt(attempts.call)
            except Refusal as error:
                if record.watcher is not None:
                    record.watcher.note(f"the back end refused with {error.status}: {error.message}")
                lesson = attempts.learn(error.status, *_in_chat_terms(error, attempts.call))
                self._tell(parameters, lesson.changes)
                if not lesson.again:
                    if lesson.too_long is not None:
                        raise ContextTooLong(error, lesson.too_long) from error
                    raise
            else:
                attempts.confirm()
                return result

    def learn_responses(self, chat: Mapping[str, Any], status: int, body: bytes) -> bool:
        """Learn from the refusal of a chat completion that was passed on whether its model has only `/v1/responses`.

        Args:
            chat: the parameters that were sent.
            status: of the refusal.
            body: of the refusal.
        """
        refusal = RefusalText.of(status, error_text(body.decode("utf-8", "replace")), None)
        changes = [finding.change for finding in use_responses(refusal, chat)] if status in STATUSES else []
        if changes and self._learned.enabled:
            self._learned.of(str(chat.get("model")), "chat").remember(changes)
            self._tell(chat, changes)
        return bool(changes) and self._learned.enabled

    def _tell(self, parameters: Mapping[str, Any], changes: Sequence[Change]) -> None:
        """Say in the log, in the user interface and in the metrics what was learned from a refusal."""
        record = current_record()
        for change in changes:
            logger.info("back end %s, model %s: for an hour, %s", self._name, parameters["model"], change.describe())
            if record.watcher is not None:
                record.watcher.note(f"asked again: {change.describe()}")
        for kind in {change.kind for change in changes}:
            record.extra_calls.append(kind)
        record.retries += bool(changes)


def sent_body(call: Call) -> Parameters:
    """The body of a call, in the terms of the API that is called."""
    return responses_parameters(call.parameters) if call.api == "responses" else without_items(call.parameters)


def _in_chat_terms(refusal: Refusal, call: Call) -> tuple[str, str | None]:
    """The text and the parameter of a refusal in the terms in which calls are changed."""
    if call.api == "chat":
        return refusal.message, refusal.param
    return in_chat_terms(refusal.message), refusal.param and in_chat_terms(refusal.param)
