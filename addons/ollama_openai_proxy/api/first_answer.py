"""Gets an answer from the first of several models that gives one.

A model of the models file may name others in `fallback`. They are asked in order when a server cannot be reached, answers with
a status of 500 or more, 429 or 402, or ends before the first piece of content. Where no model answers and a server says that it
is loading, all are asked again later (`BACKEND_WAIT_SECONDS`). At most one answer reaches the client.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..errors import BackendError
from ..net.request_context import current_record
from ..net.server_wait import ServerWait
from ..translate.server_loading import says_loading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..models.catalogue import Catalogue
    from ..translate.ollama_descriptions import Model

PAYMENT_REQUIRED, TOO_MANY = 402, 429

logger = logging.getLogger(__name__)


async def first_answer[T](models: Sequence[Model], ask: Callable[[Model], Awaitable[T]], catalogue: Catalogue) -> T:
    """The answer of the first model that gives one.

    Args:
        models: in the order in which they are asked; at least one.
        ask: asks one model. Raises `BackendError` as long as the client was told no content.
        catalogue: knows the back ends of the models.

    Raises:
        ApiError: the error of the first model if all failed, else the one that is about the call itself.
    """
    wait = ServerWait(catalogue.wait_limits)
    while True:
        errors: list[BackendError] = []
        for model in models:
            if errors:
                _note_fallback(model, models[0], errors[-1], catalogue)
            try:
                return await ask(model)
            except BackendError as error:
                if not (is_servers_fault(error.status) or says_loading(error.status, error.message)):
                    raise
                errors.append(error)
        delay = wait.delay(*errors)
        if delay is None:
            raise errors[0]
        _note_waiting(models[0], errors[0])
        await asyncio.sleep(delay)
        _note_model(models[0], "", catalogue)


def is_servers_fault(status: int) -> bool:
    """Whether an error of this status says nothing of the call, so that another server may answer the call."""
    return status >= 500 or status in (PAYMENT_REQUIRED, TOO_MANY)


def _note_waiting(model: Model, error: BackendError) -> None:
    record = current_record()
    if not record.waits:
        logger.info(
            "back end %s, model %s: waiting for the server, which answers %d", model.backend, model.target, error.status
        )
        if record.watcher is not None:
            record.watcher.note(f"waited for the model {model.target}: {error.message}")
    record.waits += 1


def _note_fallback(model: Model, first: Model, error: BackendError, catalogue: Catalogue) -> None:
    # The text of an error may quote the call.
    logger.warning("model %s does not answer (%d): %s is asked instead", first.id, error.status, model.id)
    _note_model(model, model.id, catalogue)
    record = current_record()
    if record.watcher is not None:
        record.watcher.note(f"the model {model.id} of {model.backend} is asked instead of {first.id}: {error.message}")


def _note_model(model: Model, fallback: str, catalogue: Catalogue) -> None:
    record = current_record()
    record.fallback = fallback
    record.backend = model.backend
    record.profile = catalogue.backend_of(model).profile.name
