"""What the SDK raises, as errors that a client of Ollama understands."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ..errors import BackendError, Unreachable
from ..net.body import TooLargeError
from ..net.redirects import RedirectError
from ..net.server_names import about_server
from ..translate.error_text import error_text
from ..translate.refused_key import names_refused_key
from .lazy_sdk import httpx2, openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..translate.adaptation.limit_rules import TooLong

_KEPT_HEADERS = ("retry-after",)


class Refusal(BackendError):
    """The back end answered with an error status.

    Attributes:
        param: the parameter that the back end names as the reason.
        told: the whole of what the back end said, in whatever shape.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str], param: str | None, told: object = None) -> None:
        super().__init__(status, message, headers, kind="backend_refused", param=param)
        self.told = message if told is None else told


class ContextTooLong(Refusal):
    """The prompt alone is longer than the model's context, so that only a shorter conversation can be answered.

    Attributes:
        limit: tokens that the model takes; 0 where the server does not say.
        prompt_tokens: tokens that the prompt has; 0 where the server does not say.
        quoted: whether both may be the client's own words, so that they say nothing of the calls of others.
    """

    def __init__(self, refusal: Refusal, length: TooLong) -> None:
        super().__init__(refusal.status, refusal.message, refusal.headers, refusal.param, refusal.told)
        self.limit = length.limit
        self.prompt_tokens = length.prompt_tokens
        self.quoted = length.quoted


def backend_error(error: openai.OpenAIError | httpx2.HTTPError, base_url: str) -> BackendError:
    """The error for the client; `base_url` is named where the back end could not be reached."""
    match error:
        case openai.APIStatusError():
            return _refusal(error)
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return BackendError(504, late(base_url))
        case openai.APIConnectionError():
            cause = error.__cause__
            reason = _reason(cause or error)
            if isinstance(cause, httpx2.ConnectError):
                return unreachable(reason, base_url)
            if isinstance(cause, RedirectError):
                return moved(cause, base_url)
            if cause is not None and isinstance(cause.__cause__, TooLargeError):
                return BackendError(502, reason)
            return broken(reason, base_url)
        case httpx2.HTTPError():
            return BackendError(502, f"the connection to the back end broke off: {_reason(error)}")
    return BackendError(502, f"the back end sent an answer that cannot be understood ({type(error).__name__})")


def unreachable(reason: str, base_url: str) -> Unreachable:
    """The error for the client of a back end to which there is no connection."""
    whole = f"cannot connect to the back end at {base_url}: {reason}"
    return Unreachable(502, about_server(base_url, whole, f"cannot connect to the back end: {reason}"))


def broken(reason: str, base_url: str) -> BackendError:
    """The error for the client of a back end whose connection broke."""
    whole = f"the connection to the back end at {base_url} broke: {reason}"
    return BackendError(502, about_server(base_url, whole, f"the connection to the back end broke: {reason}"))


def moved(error: RedirectError, base_url: str) -> BackendError:
    """The error for the client of a back end that redirects where the proxy does not follow."""
    return BackendError(502, about_server(base_url, str(error), f"the back end {error.told}"))


def late(base_url: str) -> str:
    """What a client is told of a back end that took too long."""
    return about_server(base_url, f"the back end at {base_url} did not answer in time", "the back end did not answer in time")


def _refusal(error: openai.APIStatusError) -> Refusal:
    status = error.status_code
    text = error_text(error.body)
    if not text:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "an unknown status"
        text = f"the back end answered {status} {phrase}"
    if names_refused_key(status, text):
        status = 401
    headers = {name.title(): error.response.headers[name] for name in _KEPT_HEADERS if name in error.response.headers}
    return Refusal(status if 400 <= status <= 599 else 502, text, headers, error.param, error.body or text)


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
